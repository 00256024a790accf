/*
 * source.h - where packets come from: files of two formats, standard input, bytes in
 * memory, or a live interface.
 *
 * Files are pcap (microseconds or nanoseconds) or pcapng (any number of sections and
 * interfaces, each with its own link type and clock), in either byte order, plain or
 * compressed with zstd; they are read as a stream, so a pipe does as well. One thread
 * at a time.
 *
 * Formats: the PCAP and PCAPNG Internet drafts of the IETF's opsawg
 * (draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CAPTURE_SOURCE_H
#define CAPTURE_SOURCE_H

#include "capture/packet.h"
#include "traces/base/err.h"

#define CAP_PACKET_MAX     (1u << 20) /* captured bytes of one packet */
#define CAP_BLOCK_MAX      (1u << 20) /* pcapng: of a block that has to be understood */
#define CAP_INTERFACE_MAX  4096u      /* pcapng: in all sections of a file */
#define CAP_LIVE_SNAPLEN   262144     /* no packet of Linux is longer, GRO included */
#define CAP_LIVE_RING      (64u << 20)
#define CAP_LIVE_RING_MAX  (1u << 30)
#define CAP_LIVE_PORTS_MAX 128u /* a filter of so many still fits the kernel */
#define CAP_LIVE_TICK_MS   10   /* after which a ring's block is handed over unfilled */
#define CAP_LIVE_WAIT_MS   100  /* after which a source without a packet says so */

struct cap_source;

struct cap_source_counts {
    uint64_t packets, captured_bytes, wire_bytes;
    uint64_t untimed; /* pcapng: simple packets; they take their forerunner's time */
    uint64_t other_blocks; /* pcapng: passed over */
    bool drops_known;      /* the kernel, or the file, tells these two: */
    uint64_t kernel_drops; /* no room in the ring */
    uint64_t interface_drops;
};

/* "-": standard input. ERR_IO, ERR_NOMEM; ERR_FORMAT when it is neither pcap nor
 * pcapng. */
int cap_source_open_file(struct cap_source **s, const char *path,
                         struct err *e) MUST_USE;
/* Several files (at least one), one after another, as if they were one. Borrows paths
 * until close. Errors as above, for all of them before a packet is read. Drops are
 * known when each file tells them. */
int cap_source_open_list(struct cap_source **s, const char *const *paths, size_t n,
                         struct err *e) MUST_USE;
/* Borrows bytes until close. */
int cap_source_open_bytes(struct cap_source **s, struct span bytes,
                          struct err *e) MUST_USE;

struct cap_live {
    const char *interface; /* "any" and "lo" too */
    const uint16_t *ports; /* host byte order; none: all of TCP */
    size_t port_count;     /* at most CAP_LIVE_PORTS_MAX */
    size_t ring_bytes;     /* 0: CAP_LIVE_RING */
    const char *user;      /* who to become once the interface is open; NULL: stay */
    bool no_wait; /* QUIET comes at once: the caller waits with cap_source_fd */
};

/* Opens an interface, without promiscuous mode. Call it before other threads start: it
 * gives up privileges, for the whole process when `user` is named, for the calling
 * thread when the program runs with capabilities alone. ERR_USAGE for an interface or
 * user that is not there and for limits above, ERR_IO for what the system refuses: the
 * text then names the missing capability. */
int cap_source_open_live(struct cap_source **s, const struct cap_live *how,
                         struct err *e) MUST_USE;
/* The filter that a live source sets, as pcap-filter(7) text of at most CAP_FILTER_MAX
 * bytes with its NUL: TCP with one of the ports, and what the ports cannot be told of
 * in the kernel (fragments, IPv6 with extension headers). `vlan`: also behind one tag
 * or two. */
#define CAP_FILTER_MAX 16384u
void cap_live_filter(const struct cap_live *how, bool vlan, char out[CAP_FILTER_MAX]);

void cap_source_close(struct cap_source *s); /* NULL is fine */

/* CAP_SOURCE_PACKET: *p is set, borrowed until the next call or close. A file that was
 * cut off gives all that came before, then ERR_TRUNCATED; ERR_FORMAT and ERR_LIMIT for
 * contents that cannot be: each with the byte offset. ERR_IO. */
enum cap_source_event {
    CAP_SOURCE_END = 0,
    CAP_SOURCE_PACKET = 1,
    CAP_SOURCE_QUIET = 2, /* live: nothing came for CAP_LIVE_WAIT_MS, or a signal did */
};
int cap_source_next(struct cap_source *s, struct cap_packet *p, struct err *e) MUST_USE;

/* Live: readable when packets are at hand. -1: a file, which never has to be waited
 * for. */
int cap_source_fd(const struct cap_source *s);
/* Asks the kernel first when the source is live. Borrowed until the next call. */
const struct cap_source_counts *cap_source_counts(struct cap_source *s);

#endif

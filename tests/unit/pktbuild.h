/*
 * pktbuild.h - TCP segments as frames of every link type, and frames as capture files.
 *
 * Out of memory fails the test. Checksums are right unless asked otherwise, so that
 * other tools read the files too.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_UNIT_PKTBUILD_H
#define TESTS_UNIT_PKTBUILD_H

#include "capture/packet.h"
#include "traces/base/buf.h"

/* How a frame is dressed. */
struct pkt_style {
    int link_type;
    bool ip6;
    bool swapped; /* loopback: the address family in the other byte order */
    unsigned vlans;
    uint8_t outgoing;                 /* cooked: 1 sent, 0 received */
    uint32_t ifindex;                 /* cooked v2 */
    unsigned ip_options, tcp_options; /* bytes, multiples of 4, at most 40 */
    unsigned extensions;              /* IPv6: headers of 8, 16, 24, … bytes */
    bool no_length;                   /* IP says 0 */
    bool bad_checksums;
    unsigned padding; /* bytes behind the datagram */
};

struct pkt_tcp {
    struct cap_endpoint src, dst;
    uint32_t seq, ack;
    uint8_t flags;
    uint16_t window;
    struct span payload;
};

/* 10.0.0.host or fd00::host. */
struct cap_endpoint pkt_end(bool ip6, uint8_t host, uint16_t port);

/* Appends the frame of one segment. */
void pkt_frame(struct buf *frame, const struct pkt_style *how, const struct pkt_tcp *t);
/* Appends the frame of one fragment of it: the bytes [from, to) of what follows the IP
 * header. The TCP header is 20 bytes, plus options. */
void pkt_fragment(struct buf *frame, const struct pkt_style *how,
                  const struct pkt_tcp *t, uint32_t id, size_t from, size_t to);

/* --- files --- */
struct pkt_file {
    struct buf b;
    bool big, nanoseconds; /* byte order; pcap's resolution */
};

void pkt_pcap(struct pkt_file *f, int link_type); /* the header */
void pkt_pcap_add(struct pkt_file *f, int64_t ns, struct span frame, size_t wire);

void pkt_ng_section(struct pkt_file *f);
/* resolution < 0: no such option; offset 0: no such option. */
void pkt_ng_interface(struct pkt_file *f, int link_type, uint32_t snaplen,
                      int resolution, int64_t offset);
void pkt_ng_add(struct pkt_file *f, uint32_t interface, uint64_t ticks,
                struct span frame, size_t wire);
void pkt_ng_simple(struct pkt_file *f, struct span frame, size_t wire);
/* drops < 0: without options. */
void pkt_ng_statistics(struct pkt_file *f, uint32_t interface, int64_t kernel_drops,
                       int64_t interface_drops);
/* A block of any type. body's length need not be a multiple of 4. */
void pkt_ng_block(struct pkt_file *f, uint32_t type, struct span body);
void pkt_put16(struct buf *b, bool big, unsigned v);
void pkt_put32(struct buf *b, bool big, uint32_t v);
void pkt_put64(struct buf *b, bool big, uint64_t v);

#endif

/*
 * link.h - the TCP segment in a packet.
 *
 * Ethernet with VLAN tags, Linux cooked (two versions), BSD loopback (both byte
 * orders), and IP alone; IPv4 with options, IPv6 with extension headers, fragments of
 * both. Lengths on the wire are told apart from what was captured. Checksums are not
 * looked at: with offload, they are wrong in most captures of a sender. Every packet is
 * counted under one verdict. One thread at a time.
 *
 * Sources: RFC 791, 8200 (IP), 4302 (AH), 9293 (TCP), IEEE 802.1Q; the link types as
 * https://www.tcpdump.org/linktypes.html gives them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CAPTURE_LINK_H
#define CAPTURE_LINK_H

#include "capture/packet.h"
#include "traces/base/err.h"

#define CAP_VLAN_MAX 4u /* tags */

enum cap_seen {
    CAP_SEEN_SEGMENT,    /* *seg is set */
    CAP_SEEN_OTHER_LINK, /* a link type that we do not read */
    CAP_SEEN_NOT_IP,
    CAP_SEEN_NOT_TCP,
    CAP_SEEN_FRAGMENT,  /* held until its datagram is whole */
    CAP_SEEN_CUT,       /* the snapshot length cut off a header, or a fragment */
    CAP_SEEN_MALFORMED, /* lengths that contradict each other */
    CAP_SEEN_OVERLAP,   /* of a datagram whose fragments overlap */
    CAP_SEEN_LIMIT,     /* a limit of fragment.h */
    CAP_SEEN_COUNT
};
extern const char *const cap_seen_names[CAP_SEEN_COUNT]; /* "segment", "not ip", … */

struct cap_link_counts {
    uint64_t packets[CAP_SEEN_COUNT];
    uint64_t wire_bytes[CAP_SEEN_COUNT]; /* of these packets */
    uint64_t fragments_lost; /* held, but their datagrams never became whole */
};

struct cap_link;
struct cap_link *cap_link_new(struct err *e); /* NULL with ERR_NOMEM in *e */
void cap_link_free(struct cap_link *l);       /* NULL is fine */
/* seg's payload borrows from p, or from l until the next call (a datagram that was in
 * fragments). */
enum cap_seen cap_link_decode(struct cap_link *l, const struct cap_packet *p,
                              struct cap_segment *seg);
const struct cap_link_counts *cap_link_counts(struct cap_link *l);

#endif

/*
 * fragment.h - IP datagrams out of their fragments, in bounded memory.
 *
 * A datagram whose fragments overlap with anything but the same bytes is refused as a
 * whole, as RFC 5722 asks for IPv6 and Linux does for IPv4 too: which bytes its
 * receiver took cannot be known. At most CAP_FRAG_DATAGRAMS are under way at a time;
 * the oldest makes room. One that is not whole after CAP_FRAG_NS of packet time is
 * given up. One thread at a time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CAPTURE_FRAGMENT_H
#define CAPTURE_FRAGMENT_H

#include "capture/packet.h"
#include "traces/base/err.h"

#define CAP_FRAG_DATAGRAMS 64u
#define CAP_FRAG_RANGES    128u /* pieces that do not touch, of one datagram */
#define CAP_FRAG_BYTES     65535u
#define CAP_FRAG_NS        (30 * CLK_SEC) /* Linux's default, net.ipv4.ipfrag_time */

struct cap_fragment {
    uint8_t src[16], dst[16];
    uint32_t id;
    uint32_t interface; /* the copies of a packet on several interfaces stay apart */
    uint8_t outgoing;
    uint8_t version, protocol;
    uint32_t offset; /* of bytes in the datagram's payload */
    bool more;       /* it is not the last */
    struct span bytes;
    struct clk_wall at;
};

enum cap_frag_result {
    CAP_FRAG_WHOLE,     /* *whole is set, borrowed until the next call */
    CAP_FRAG_HELD,      /* more have to come */
    CAP_FRAG_MALFORMED, /* no fragment can be like this one; it is passed over */
    CAP_FRAG_OVERLAP,   /* refused, with all others of its datagram */
    CAP_FRAG_LIMIT,     /* beyond a limit above, or out of memory: refused likewise */
};

struct cap_fragments;
struct cap_fragments *cap_fragments_new(struct err *e); /* NULL with ERR_NOMEM in *e */
void cap_fragments_free(struct cap_fragments *f);
/* protocol: of the datagram's payload, as its first fragment names it. */
enum cap_frag_result cap_fragments_add(struct cap_fragments *f,
                                       const struct cap_fragment *piece,
                                       struct span *whole, uint8_t *protocol);
/* Fragments that were held for datagrams which never became whole; those still held
 * do not count yet. */
uint64_t cap_fragments_lost(const struct cap_fragments *f);

#endif

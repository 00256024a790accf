/*
 * link.c - see link.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "capture/link.h"

#include <stdlib.h>
#include <string.h>

#include "capture/fragment.h"

enum {
    ETHERTYPE_IP4 = 0x0800,
    ETHERTYPE_IP6 = 0x86dd,
    ETHERTYPE_VLAN = 0x8100,
    ETHERTYPE_QINQ = 0x88a8,
    ETHERTYPE_QINQ_OLD = 0x9100,
    PROTO_HOP = 0,
    PROTO_TCP = 6,
    PROTO_ROUTING = 43,
    PROTO_FRAGMENT = 44,
    PROTO_AUTH = 51,
    PROTO_OPTIONS = 60,
    PROTO_MOBILITY = 135,
    PROTO_HIP = 139,
    PROTO_SHIM6 = 140,
    SLL_HEAD = 16,
    SLL2_HEAD = 20,
    SLL_OUTGOING = 4,
    ARPHRD_NETLINK = 824,
    NOT_KNOWN = 2, /* cap_segment.outgoing */
};

const char *const cap_seen_names[CAP_SEEN_COUNT] = {
    [CAP_SEEN_SEGMENT] = "segment",     [CAP_SEEN_OTHER_LINK] = "other link type",
    [CAP_SEEN_NOT_IP] = "not ip",       [CAP_SEEN_NOT_TCP] = "not tcp",
    [CAP_SEEN_FRAGMENT] = "fragment",   [CAP_SEEN_CUT] = "cut off",
    [CAP_SEEN_MALFORMED] = "malformed", [CAP_SEEN_OVERLAP] = "overlapping fragments",
    [CAP_SEEN_LIMIT] = "over a limit",
};

struct cap_link {
    struct cap_link_counts counts;
    struct cap_fragments *fragments;
};

/* Bytes as captured, and how many of them there were on the wire. */
struct part {
    struct span s;
    size_t wire; /* >= s.n */
};

struct cap_link *cap_link_new(struct err *e)
{
    struct cap_link *l = calloc(1, sizeof *l);
    if (!l) {
        err_set(e, ERR_NOMEM, "no memory for the decoder of packets");
        return NULL;
    }
    l->fragments = cap_fragments_new(e);
    if (!l->fragments) {
        free(l);
        return NULL;
    }
    return l;
}

void cap_link_free(struct cap_link *l)
{
    if (!l)
        return;
    cap_fragments_free(l->fragments);
    free(l);
}

const struct cap_link_counts *cap_link_counts(struct cap_link *l)
{
    l->counts.fragments_lost = cap_fragments_lost(l->fragments);
    return &l->counts;
}

static unsigned be16(const uint8_t *p)
{
    return (unsigned)p[0] << 8 | p[1];
}

static uint32_t be32(const uint8_t *p)
{
    return (uint32_t)be16(p) << 16 | be16(p + 2);
}

static struct part part_from(struct part a, size_t n)
{
    return (struct part){span_sub(a.s, n, a.s.n), a.wire > n ? a.wire - n : 0};
}

/* The first n bytes of the wire. */
static struct part part_to(struct part a, size_t n)
{
    return (struct part){span_sub(a.s, 0, n), a.wire < n ? a.wire : n};
}

/* What is wrong when the part has fewer than n captured bytes. */
static enum cap_seen too_short(struct part a, size_t n)
{
    return a.wire < n ? CAP_SEEN_MALFORMED : CAP_SEEN_CUT;
}

/* --- TCP ----------------------------------------------------------------------------
 */

static enum cap_seen tcp(struct part a, struct cap_segment *seg)
{
    if (a.s.n < 20)
        return too_short(a, 20);
    const uint8_t *p = a.s.p;
    size_t head = (size_t)(p[12] >> 4) * 4;
    if (head < 20 || head > a.wire)
        return CAP_SEEN_MALFORMED;
    struct part payload = part_from(a, head); /* options need not be captured */
    seg->src.port = (uint16_t)be16(p);
    seg->dst.port = (uint16_t)be16(p + 2);
    seg->seq = be32(p + 4);
    seg->ack = be32(p + 8);
    seg->flags = p[13] & (CAP_FIN | CAP_SYN | CAP_RST | CAP_ACK | CAP_URG);
    seg->window = (uint16_t)be16(p + 14);
    seg->payload = payload.s;
    seg->payload_bytes = (uint32_t)payload.wire;
    return CAP_SEEN_SEGMENT;
}

/* --- IP -----------------------------------------------------------------------------
 */

static bool is_extension(unsigned proto)
{
    switch (proto) {
    case PROTO_HOP:
    case PROTO_ROUTING:
    case PROTO_AUTH:
    case PROTO_OPTIONS:
    case PROTO_MOBILITY:
    case PROTO_HIP:
    case PROTO_SHIM6:
        return true;
    default:
        return false;
    }
}

/* Passes over IPv6 extension headers, none of them a fragment's. Each is 8 bytes or
 * more, so that their number is bounded by the packet. */
static enum cap_seen extensions(struct part *a, unsigned *proto)
{
    while (is_extension(*proto)) {
        if (a->s.n < 2)
            return too_short(*a, 2);
        size_t n = *proto == PROTO_AUTH ? ((size_t)a->s.p[1] + 2) * 4
                                        : ((size_t)a->s.p[1] + 1) * 8;
        if (n > a->wire)
            return CAP_SEEN_MALFORMED;
        *proto = a->s.p[0];
        *a = part_from(*a, n);
    }
    return CAP_SEEN_SEGMENT;
}

static enum cap_seen transport(struct part a, unsigned proto, struct cap_segment *seg)
{
    enum cap_seen seen = extensions(&a, &proto);
    if (seen != CAP_SEEN_SEGMENT)
        return seen;
    return proto == PROTO_TCP ? tcp(a, seg) : CAP_SEEN_NOT_TCP;
}

/* A fragment: held, or the last that was missing. `f` lacks what seg knows already. */
static enum cap_seen fragment(struct cap_link *l, struct part a, struct cap_fragment *f,
                              struct cap_segment *seg)
{
    if (a.s.n < a.wire)
        return CAP_SEEN_CUT;
    memcpy(f->src, seg->src.addr, 16);
    memcpy(f->dst, seg->dst.addr, 16);
    f->interface = seg->interface;
    f->outgoing = seg->outgoing;
    f->at = seg->at;
    f->bytes = a.s;
    struct part whole = {0};
    uint8_t proto = 0;
    switch (cap_fragments_add(l->fragments, f, &whole.s, &proto)) {
    case CAP_FRAG_HELD:
        return CAP_SEEN_FRAGMENT;
    case CAP_FRAG_MALFORMED:
        return CAP_SEEN_MALFORMED;
    case CAP_FRAG_OVERLAP:
        return CAP_SEEN_OVERLAP;
    case CAP_FRAG_LIMIT:
        return CAP_SEEN_LIMIT;
    case CAP_FRAG_WHOLE:
        break;
    }
    whole.wire = whole.s.n;
    if (f->version == 4)
        return proto == PROTO_TCP ? tcp(whole, seg) : CAP_SEEN_NOT_TCP;
    return transport(whole, proto, seg);
}

static void ip4_address(uint8_t to[16], const uint8_t *from)
{
    /* Written as it is read, in words: a load that needs two stores waits for both. */
    const uint8_t low[8] = {0, 0, 0xff, 0xff, from[0], from[1], from[2], from[3]};
    memset(to, 0, 8);
    memcpy(to + 8, low, 8);
}

static enum cap_seen ip4(struct cap_link *l, struct part a, struct cap_segment *seg)
{
    if (a.s.n < 20)
        return too_short(a, 20);
    const uint8_t *p = a.s.p;
    size_t head = (size_t)(p[0] & 15) * 4, total = be16(p + 2);
    if (total == 0) /* left to the hardware (TSO), or beyond 16 bits (big TCP) */
        total = a.wire;
    if (p[0] >> 4 != 4 || head < 20 || total < head || total > a.wire)
        return CAP_SEEN_MALFORMED;
    if (p[9] != PROTO_TCP)
        return CAP_SEEN_NOT_TCP;
    ip4_address(seg->src.addr, p + 12);
    ip4_address(seg->dst.addr, p + 16);
    struct part body = part_from(part_to(a, total), head);
    unsigned place = be16(p + 6);
    if ((place & 0x3fff) == 0) /* neither an offset nor "more fragments" */
        return tcp(body, seg);
    struct cap_fragment f = {.id = be16(p + 4),
                             .version = 4,
                             .protocol = p[9],
                             .offset = (place & 0x1fff) * 8,
                             .more = place & 0x2000};
    return fragment(l, body, &f, seg);
}

static enum cap_seen ip6_fragment(struct cap_link *l, struct part a,
                                  struct cap_segment *seg)
{
    if (a.s.n < 8)
        return too_short(a, 8);
    const uint8_t *p = a.s.p;
    unsigned place = be16(p + 2);
    struct part body = part_from(a, 8);
    if ((place & 0xfff9) == 0) /* an atomic fragment (RFC 6946) is whole */
        return transport(body, p[0], seg);
    struct cap_fragment f = {.id = be32(p + 4),
                             .version = 6,
                             .protocol = p[0],
                             .offset = place & 0xfff8,
                             .more = place & 1};
    if (f.protocol != PROTO_TCP && !is_extension(f.protocol))
        return CAP_SEEN_NOT_TCP;
    return fragment(l, body, &f, seg);
}

static enum cap_seen ip6(struct cap_link *l, struct part a, struct cap_segment *seg)
{
    if (a.s.n < 40)
        return too_short(a, 40);
    const uint8_t *p = a.s.p;
    size_t length = be16(p + 4);
    unsigned proto = p[6];
    /* No length: a jumbo payload (RFC 2675), or big TCP that left its option out. */
    size_t total = length ? 40 + length : a.wire;
    if (p[0] >> 4 != 6 || total > a.wire)
        return CAP_SEEN_MALFORMED;
    memcpy(seg->src.addr, p + 8, 16);
    memcpy(seg->dst.addr, p + 24, 16);
    struct part body = part_from(part_to(a, total), 40);
    enum cap_seen seen = extensions(&body, &proto);
    if (seen != CAP_SEEN_SEGMENT)
        return seen;
    return proto == PROTO_FRAGMENT ? ip6_fragment(l, body, seg)
                                   : transport(body, proto, seg);
}

static enum cap_seen ip_any(struct cap_link *l, struct part a, struct cap_segment *seg)
{
    if (a.s.n < 1)
        return too_short(a, 1);
    switch (a.s.p[0] >> 4) {
    case 4:
        return ip4(l, a, seg);
    case 6:
        return ip6(l, a, seg);
    default:
        return CAP_SEEN_NOT_IP;
    }
}

/* --- links --------------------------------------------------------------------------
 */

/* What follows an Ethernet type; VLAN tags come first. */
static enum cap_seen by_ethertype(struct cap_link *l, unsigned type, struct part a,
                                  struct cap_segment *seg)
{
    for (unsigned tags = 0;
         type == ETHERTYPE_VLAN || type == ETHERTYPE_QINQ || type == ETHERTYPE_QINQ_OLD;
         tags++) {
        if (tags == CAP_VLAN_MAX)
            return CAP_SEEN_NOT_IP;
        if (a.s.n < 4)
            return too_short(a, 4);
        type = be16(a.s.p + 2);
        a = part_from(a, 4);
    }
    if (type == ETHERTYPE_IP4)
        return ip4(l, a, seg);
    return type == ETHERTYPE_IP6 ? ip6(l, a, seg) : CAP_SEEN_NOT_IP;
}

static enum cap_seen cooked(struct cap_link *l, struct part a, struct cap_segment *seg)
{
    if (a.s.n < SLL_HEAD)
        return too_short(a, SLL_HEAD);
    seg->outgoing = be16(a.s.p) == SLL_OUTGOING;
    if (be16(a.s.p + 2) == ARPHRD_NETLINK)
        return CAP_SEEN_NOT_IP;
    return by_ethertype(l, be16(a.s.p + 14), part_from(a, SLL_HEAD), seg);
}

static enum cap_seen cooked2(struct cap_link *l, struct part a, struct cap_segment *seg)
{
    if (a.s.n < SLL2_HEAD)
        return too_short(a, SLL2_HEAD);
    seg->outgoing = a.s.p[10] == SLL_OUTGOING;
    seg->interface = be32(a.s.p + 4);
    if (be16(a.s.p + 8) == ARPHRD_NETLINK)
        return CAP_SEEN_NOT_IP;
    return by_ethertype(l, be16(a.s.p), part_from(a, SLL2_HEAD), seg);
}

/* The address family in front is in the writer's byte order, and IPv6's number is the
 * writer's system's: the version that IP itself carries has to agree. */
static enum cap_seen loopback(struct cap_link *l, struct part a,
                              struct cap_segment *seg)
{
    if (a.s.n < 4)
        return too_short(a, 4);
    uint32_t family = be32(a.s.p);
    if (family > 0xffff)
        family = __builtin_bswap32(family);
    struct part ip = part_from(a, 4);
    switch (family) {
    case 2:
        return ip4(l, ip, seg);
    case 10: /* Linux */
    case 24: /* NetBSD, OpenBSD */
    case 28: /* FreeBSD */
    case 30: /* macOS */
        return ip6(l, ip, seg);
    default:
        return CAP_SEEN_NOT_IP;
    }
}

static enum cap_seen by_link(struct cap_link *l, int type, struct part a,
                             struct cap_segment *seg)
{
    switch (type) {
    case CAP_LINK_ETHERNET:
        if (a.s.n < 14)
            return too_short(a, 14);
        return by_ethertype(l, be16(a.s.p + 12), part_from(a, 14), seg);
    case CAP_LINK_SLL:
        return cooked(l, a, seg);
    case CAP_LINK_SLL2:
        return cooked2(l, a, seg);
    case CAP_LINK_NULL:
    case CAP_LINK_LOOP:
        return loopback(l, a, seg);
    case CAP_LINK_RAW:
    case 12: /* what DLT_RAW is on most systems, as found in files of careless writers
              */
    case 14: /* … and on OpenBSD */
        return ip_any(l, a, seg);
    case CAP_LINK_IPV4:
        return ip4(l, a, seg);
    case CAP_LINK_IPV6:
        return ip6(l, a, seg);
    default:
        return CAP_SEEN_OTHER_LINK;
    }
}

enum cap_seen cap_link_decode(struct cap_link *l, const struct cap_packet *p,
                              struct cap_segment *seg)
{
    struct part a = {p->bytes, p->wire_bytes > p->bytes.n ? p->wire_bytes : p->bytes.n};
    *seg = (struct cap_segment){
        .at = p->at, .interface = p->interface, .outgoing = NOT_KNOWN};
    enum cap_seen seen = by_link(l, p->link_type, a, seg);
    l->counts.packets[seen]++;
    l->counts.wire_bytes[seen] += a.wire;
    return seen;
}

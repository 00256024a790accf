/* pktbuild.c - see pktbuild.h. SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/pktbuild.h"

#include <stdlib.h>
#include <string.h>

void pkt_put16(struct buf *b, bool big, unsigned v)
{
    if (big)
        v = (v << 8 | v >> 8) & 0xffff;
    buf_u16(b, (uint16_t)v);
}

void pkt_put32(struct buf *b, bool big, uint32_t v)
{
    buf_u32(b, big ? __builtin_bswap32(v) : v);
}

void pkt_put64(struct buf *b, bool big, uint64_t v)
{
    buf_u64(b, big ? __builtin_bswap64(v) : v);
}

static void set16(struct buf *b, size_t at, unsigned v)
{
    b->p[at] = (uint8_t)(v >> 8);
    b->p[at + 1] = (uint8_t)v;
}

struct cap_endpoint pkt_end(bool ip6, uint8_t host, uint16_t port)
{
    struct cap_endpoint e = {.port = port};
    if (ip6) {
        e.addr[0] = 0xfd;
    } else {
        e.addr[10] = e.addr[11] = 0xff;
        e.addr[12] = 10;
    }
    e.addr[15] = host;
    return e;
}

/* --- checksums: RFC 1071 --- */

static uint32_t sum_of(uint32_t sum, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        sum += i % 2 ? p[i] : (uint32_t)p[i] << 8;
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return sum;
}

static unsigned tcp_checksum(const struct pkt_style *how, const struct pkt_tcp *t,
                             const uint8_t *segment, size_t n)
{
    size_t from = how->ip6 ? 0 : 12;
    uint32_t sum = sum_of(0, t->src.addr + from, 16 - from);
    sum = sum_of(sum, t->dst.addr + from, 16 - from);
    uint8_t rest[8] = {(uint8_t)(n >> 24),
                       (uint8_t)(n >> 16),
                       (uint8_t)(n >> 8),
                       (uint8_t)n,
                       0,
                       0,
                       0,
                       6};
    sum = sum_of(sum, rest, sizeof rest);
    return ~sum_of(sum, segment, n) & 0xffff;
}

/* --- layers, from the inside out --- */

static void segment(struct buf *b, const struct pkt_style *how, const struct pkt_tcp *t)
{
    size_t start = b->n;
    pkt_put16(b, true, t->src.port);
    pkt_put16(b, true, t->dst.port);
    buf_u32_be(b, t->seq);
    buf_u32_be(b, t->ack);
    buf_u8(b, (uint8_t)((20 + how->tcp_options) / 4 << 4));
    buf_u8(b, t->flags);
    pkt_put16(b, true, t->window);
    buf_zeros(b, 4); /* checksum, urgent pointer */
    for (unsigned i = 0; i < how->tcp_options; i++)
        buf_u8(b, 1); /* no operation */
    buf_span(b, t->payload);
    if (b->failed)
        abort();
    unsigned sum = tcp_checksum(how, t, b->p + start, b->n - start);
    set16(b, start + 16, how->bad_checksums ? sum ^ 0x5555 : sum);
}

/* In front of `body` bytes. place: the fragment field, in units of the version. */
static void ip4_head(struct buf *b, const struct pkt_style *how,
                     const struct pkt_tcp *t, size_t body, uint32_t id, unsigned place)
{
    size_t start = b->n, head = 20 + how->ip_options;
    buf_u8(b, (uint8_t)(0x40 | head / 4));
    buf_u8(b, 0);
    pkt_put16(b, true, how->no_length ? 0 : (unsigned)(head + body));
    pkt_put16(b, true, id & 0xffff);
    pkt_put16(b, true, place);
    buf_u8(b, 64);
    buf_u8(b, 6);
    pkt_put16(b, true, 0);
    buf_add(b, t->src.addr + 12, 4);
    buf_add(b, t->dst.addr + 12, 4);
    for (unsigned i = 0; i < how->ip_options; i++)
        buf_u8(b, 1);
    if (b->failed)
        abort();
    unsigned sum = ~sum_of(0, b->p + start, head) & 0xffff;
    set16(b, start + 10, how->bad_checksums ? sum ^ 0x5555 : sum);
}

static void ip6_head(struct buf *b, const struct pkt_style *how,
                     const struct pkt_tcp *t, size_t body, uint32_t id, int place)
{
    static const uint8_t kinds[] = {0, 60, 43, 60, 135, 139, 140};
    size_t extra = 0;
    for (unsigned i = 0; i < how->extensions; i++)
        extra += 8 * (i + 1);
    uint8_t last = place < 0 ? 6 : 44;
    buf_u32_be(b, 0x60000000);
    pkt_put16(b, true,
              how->no_length ? 0 : (unsigned)(extra + body + (place < 0 ? 0 : 8)));
    buf_u8(b, how->extensions ? kinds[0] : last);
    buf_u8(b, 64);
    buf_add(b, t->src.addr, 16);
    buf_add(b, t->dst.addr, 16);
    for (unsigned i = 0; i < how->extensions; i++) {
        buf_u8(b, i + 1 < how->extensions ? kinds[(i + 1) % sizeof kinds] : last);
        buf_u8(b, (uint8_t)i); /* units of 8 bytes behind the first */
        for (unsigned k = 2; k < 8 * (i + 1); k++)
            buf_u8(b, 0);
    }
    if (place >= 0) {
        buf_u8(b, 6);
        buf_u8(b, 0);
        pkt_put16(b, true, (unsigned)place);
        buf_u32_be(b, id);
    }
}

static void link_head(struct buf *b, const struct pkt_style *how)
{
    unsigned type = how->ip6 ? 0x86dd : 0x0800;
    unsigned outer = how->vlans ? 0x8100 : type;
    uint32_t family = how->ip6 ? 10 : 2;
    switch (how->link_type) {
    case CAP_LINK_ETHERNET:
        buf_zeros(b, 12);
        pkt_put16(b, true, how->vlans > 1 ? 0x88a8 : outer);
        break;
    case CAP_LINK_SLL:
        pkt_put16(b, true, how->outgoing ? 4 : 0);
        pkt_put16(b, true, 1);
        pkt_put16(b, true, 6);
        buf_zeros(b, 8);
        pkt_put16(b, true, outer);
        break;
    case CAP_LINK_SLL2:
        pkt_put16(b, true, outer);
        pkt_put16(b, true, 0);
        buf_u32_be(b, how->ifindex);
        pkt_put16(b, true, 1);
        buf_u8(b, how->outgoing ? 4 : 0);
        buf_u8(b, 6);
        buf_zeros(b, 8);
        break;
    case CAP_LINK_NULL:
        pkt_put32(b, how->swapped, family);
        return;
    case CAP_LINK_LOOP:
        pkt_put32(b, true, family);
        return;
    default:
        return; /* IP alone */
    }
    for (unsigned i = 0; i < how->vlans; i++) {
        pkt_put16(b, true, 100 + i);
        pkt_put16(b, true, i + 1 < how->vlans ? 0x8100 : type);
    }
}

void pkt_frame(struct buf *frame, const struct pkt_style *how, const struct pkt_tcp *t)
{
    size_t body = 20 + how->tcp_options + t->payload.n;
    link_head(frame, how);
    if (how->ip6)
        ip6_head(frame, how, t, body, 0, -1);
    else
        ip4_head(frame, how, t, body, 7, 0x4000); /* don't fragment */
    segment(frame, how, t);
    buf_zeros(frame, how->padding);
    if (frame->failed)
        abort();
}

void pkt_fragment(struct buf *frame, const struct pkt_style *how,
                  const struct pkt_tcp *t, uint32_t id, size_t from, size_t to)
{
    struct buf whole = {0};
    segment(&whole, how, t);
    if (to > whole.n)
        to = whole.n;
    bool more = to < whole.n;
    link_head(frame, how);
    if (how->ip6)
        ip6_head(frame, how, t, to - from, id, (int)from | more);
    else
        ip4_head(frame, how, t, to - from, id,
                 (unsigned)from / 8 | (more ? 0x2000 : 0));
    buf_add(frame, whole.p + from, to - from);
    buf_zeros(frame, how->padding);
    if (frame->failed)
        abort();
    buf_done(&whole);
}

/* --- files --- */

void pkt_pcap(struct pkt_file *f, int link_type)
{
    pkt_put32(&f->b, f->big, f->nanoseconds ? 0xa1b23c4d : 0xa1b2c3d4);
    pkt_put16(&f->b, f->big, 2);
    pkt_put16(&f->b, f->big, 4);
    buf_zeros(&f->b, 8);
    pkt_put32(&f->b, f->big, 262144);
    pkt_put32(&f->b, f->big, (uint32_t)link_type);
}

void pkt_pcap_add(struct pkt_file *f, int64_t ns, struct span frame, size_t wire)
{
    pkt_put32(&f->b, f->big, (uint32_t)(ns / CLK_SEC));
    pkt_put32(&f->b, f->big, (uint32_t)(ns % CLK_SEC / (f->nanoseconds ? 1 : CLK_US)));
    pkt_put32(&f->b, f->big, (uint32_t)frame.n);
    pkt_put32(&f->b, f->big, (uint32_t)wire);
    buf_span(&f->b, frame);
    if (f->b.failed)
        abort();
}

void pkt_ng_block(struct pkt_file *f, uint32_t type, struct span body)
{
    size_t padding = (4 - body.n % 4) % 4;
    uint32_t length = (uint32_t)(12 + body.n + padding);
    pkt_put32(&f->b, f->big, type);
    pkt_put32(&f->b, f->big, length);
    buf_span(&f->b, body);
    buf_zeros(&f->b, padding);
    pkt_put32(&f->b, f->big, length);
    if (f->b.failed)
        abort();
}

static void block_of(struct pkt_file *f, uint32_t type, struct buf *body)
{
    pkt_ng_block(f, type, buf_view(body));
    buf_done(body);
}

void pkt_ng_section(struct pkt_file *f)
{
    struct buf body = {0};
    pkt_put32(&body, f->big, 0x1a2b3c4d);
    pkt_put16(&body, f->big, 1);
    pkt_put16(&body, f->big, 0);
    pkt_put64(&body, f->big, UINT64_MAX);
    block_of(f, 0x0a0d0d0a, &body);
}

void pkt_ng_interface(struct pkt_file *f, int link_type, uint32_t snaplen,
                      int resolution, int64_t offset)
{
    struct buf body = {0};
    pkt_put16(&body, f->big, (unsigned)link_type);
    pkt_put16(&body, f->big, 0);
    pkt_put32(&body, f->big, snaplen);
    pkt_put16(&body, f->big, 2); /* a name, to be passed over */
    pkt_put16(&body, f->big, 5);
    buf_add(&body, "veth0\0\0", 8);
    if (resolution >= 0) {
        pkt_put16(&body, f->big, 9);
        pkt_put16(&body, f->big, 1);
        buf_u8(&body, (uint8_t)resolution);
        buf_zeros(&body, 3);
    }
    if (offset) {
        pkt_put16(&body, f->big, 14);
        pkt_put16(&body, f->big, 8);
        pkt_put64(&body, f->big, (uint64_t)offset);
    }
    buf_zeros(&body, 4);
    block_of(f, 1, &body);
}

void pkt_ng_add(struct pkt_file *f, uint32_t interface, uint64_t ticks,
                struct span frame, size_t wire)
{
    struct buf body = {0};
    pkt_put32(&body, f->big, interface);
    pkt_put32(&body, f->big, (uint32_t)(ticks >> 32));
    pkt_put32(&body, f->big, (uint32_t)ticks);
    pkt_put32(&body, f->big, (uint32_t)frame.n);
    pkt_put32(&body, f->big, (uint32_t)wire);
    buf_span(&body, frame);
    buf_zeros(&body, (4 - frame.n % 4) % 4);
    pkt_put16(&body, f->big, 2); /* flags, to be passed over */
    pkt_put16(&body, f->big, 4);
    buf_zeros(&body, 8);
    block_of(f, 6, &body);
}

void pkt_ng_simple(struct pkt_file *f, struct span frame, size_t wire)
{
    struct buf body = {0};
    pkt_put32(&body, f->big, (uint32_t)wire);
    buf_span(&body, frame);
    block_of(f, 3, &body);
}

void pkt_ng_statistics(struct pkt_file *f, uint32_t interface, int64_t kernel_drops,
                       int64_t interface_drops)
{
    struct buf body = {0};
    pkt_put32(&body, f->big, interface);
    buf_zeros(&body, 8);
    if (interface_drops >= 0) {
        pkt_put16(&body, f->big, 5);
        pkt_put16(&body, f->big, 8);
        pkt_put64(&body, f->big, (uint64_t)interface_drops);
    }
    if (kernel_drops >= 0) {
        pkt_put16(&body, f->big, 7);
        pkt_put16(&body, f->big, 8);
        pkt_put64(&body, f->big, (uint64_t)kernel_drops);
    }
    block_of(f, 5, &body);
}

/*
 * source_file.c - packets of pcap and pcapng files; see source.h.
 *
 * Our own reader, because libpcap refuses a pcapng file whose interfaces have several
 * link types, and reads neither from memory nor from zstd.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>

#include "capture/source.h"
#include "capture/source_own.h"
#include "traces/container/zin.h"

#define PCAP_US         UINT32_C(0xa1b2c3d4)
#define PCAP_NS         UINT32_C(0xa1b23c4d)
#define PCAP_FILE_HEAD  24
#define PCAP_RECORD     16
#define NG_SECTION      UINT32_C(0x0a0d0d0a) /* the same in both byte orders */
#define NG_BYTE_ORDER   UINT32_C(0x1a2b3c4d)
#define NG_INTERFACE    1u
#define NG_OLD_PACKET   2u
#define NG_SIMPLE       3u
#define NG_STATISTICS   5u
#define NG_PACKET       6u
#define NG_HEAD         8  /* type and length of a block */
#define NG_TAIL         4  /* its length again */
#define NG_PACKET_HEAD  20 /* of the body, in front of the packet's bytes */
#define OPT_END         0u
#define OPT_TSRESOL     9u
#define OPT_TSOFFSET    14u
#define OPT_STAT_IFDROP 5u
#define OPT_STAT_OSDROP 7u

/* One of a pcapng file. */
struct interface {
    int link_type;
    uint32_t snaplen;   /* 0: none */
    uint8_t resolution; /* top bit: a power of 2, else of 10; negated exponent */
    int64_t offset_s;
    uint64_t kernel_drops, interface_drops; /* its last statistics */
};

struct file_source {
    struct cap_source base;
    struct zin *in;
    bool ng, big;  /* pcapng; big-endian */
    size_t unused; /* bytes of the packet that was handed out, to be passed over */
    uint32_t tail; /* pcapng: what its block's length must be again; 0: no block */
    /* pcap */
    bool nanoseconds;
    int link_type;
    /* pcapng */
    struct interface *interfaces;
    uint32_t interface_count, interface_room;
    uint32_t section_first; /* the section's interface 0 */
    struct clk_wall last;   /* of a packet with a time */
};

static uint32_t get32(const struct file_source *f, const uint8_t *p)
{
    if (f->big)
        return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
    return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

static uint16_t get16(const struct file_source *f, const uint8_t *p)
{
    return (uint16_t)(f->big ? p[0] << 8 | p[1] : p[1] << 8 | p[0]);
}

static uint64_t get64(const struct file_source *f, const uint8_t *p)
{
    uint64_t first = get32(f, p), second = get32(f, p + 4);
    return f->big ? first << 32 | second : second << 32 | first;
}

/* n bytes that must be there. */
static int need(struct file_source *f, size_t n, const char *what, struct span *s,
                struct err *e)
{
    int rc = zin_peek(f->in, n, s, e);
    if (rc < 0)
        return rc;
    if (s->n < n)
        return err_at(e, ERR_TRUNCATED, zin_offset(f->in),
                      "the file ends inside of %s (wanted %zu bytes, got %zu)", what, n,
                      s->n);
    return 0;
}

static int pass(struct file_source *f, uint64_t n, struct err *e)
{
    return zin_skip(f->in, n, e);
}

/* --- pcap ---------------------------------------------------------------------------
 */

static bool pcap_file_magic(struct file_source *f, const uint8_t *p)
{
    for (int big = 0; big < 2; big++) {
        f->big = big;
        uint32_t magic = get32(f, p);
        f->nanoseconds = magic == PCAP_NS;
        if (magic == PCAP_US || magic == PCAP_NS)
            return true;
    }
    return false;
}

static int pcap_file_open(struct file_source *f, struct err *e)
{
    struct span s;
    int rc = need(f, PCAP_FILE_HEAD, "the file's header", &s, e);
    if (rc < 0)
        return rc;
    uint16_t major = get16(f, s.p + 4), minor = get16(f, s.p + 6);
    if (major != 2 || minor != 4)
        return err_at(e, ERR_FORMAT, 4, "pcap version %u.%u is not 2.4", major, minor);
    f->link_type = (int)(get32(f, s.p + 20) & 0xffff); /* above: length of the FCS */
    return pass(f, PCAP_FILE_HEAD, e);
}

static int too_long(const struct file_source *f, uint32_t n, struct err *e)
{
    return err_at(e, ERR_LIMIT, zin_offset(f->in),
                  "a packet of %u bytes is over the limit of %u", n, CAP_PACKET_MAX);
}

static int pcap_file_next(struct file_source *f, struct cap_packet *p, struct err *e)
{
    struct span s;
    int rc = zin_peek(f->in, PCAP_RECORD, &s, e);
    if (rc < 0 || s.n == 0)
        return rc;
    if (s.n < PCAP_RECORD &&
        (rc = need(f, PCAP_RECORD, "a packet's header", &s, e)) < 0)
        return rc;
    int64_t fraction = get32(f, s.p + 4);
    uint32_t captured = get32(f, s.p + 8);
    if (captured > CAP_PACKET_MAX)
        return too_long(f, captured, e);
    if (s.n < PCAP_RECORD + captured &&
        (rc = need(f, PCAP_RECORD + captured, "a packet", &s, e)) < 0)
        return rc;
    *p = (struct cap_packet){
        .at.ns = get32(f, s.p) * CLK_SEC + fraction * (f->nanoseconds ? 1 : CLK_US),
        .bytes = span_of(s.p + PCAP_RECORD, captured),
        .wire_bytes = get32(f, s.p + 12),
        .link_type = f->link_type,
    };
    f->unused = PCAP_RECORD + captured;
    return CAP_SOURCE_PACKET;
}

/* --- pcapng -------------------------------------------------------------------------
 */

/* The bytes of option `code` in the list; an empty span without bytes when there is
 * none. */
static struct span option(const struct file_source *f, struct span list, unsigned code)
{
    while (list.n >= 4) {
        unsigned kind = get16(f, list.p);
        size_t n = get16(f, list.p + 2), padded = (n + 3) & ~(size_t)3;
        if (kind == OPT_END || n > list.n - 4)
            break;
        if (kind == code)
            return span_of(list.p + 4, n);
        list = span_sub(list, 4 + padded, list.n);
    }
    return (struct span){0};
}

static int interface_add(struct file_source *f, struct span body, struct err *e)
{
    uint64_t at = zin_offset(f->in);
    if (body.n < 8)
        return err_at(e, ERR_FORMAT, at, "an interface's block is too short");
    if (f->interface_count == CAP_INTERFACE_MAX)
        return err_at(e, ERR_LIMIT, at, "more than %u interfaces", CAP_INTERFACE_MAX);
    if (f->interface_count == f->interface_room) {
        uint32_t room = f->interface_room ? 2 * f->interface_room : 8;
        struct interface *more = realloc(f->interfaces, room * sizeof *more);
        if (!more)
            return err_set(e, ERR_NOMEM, "no memory for %u interfaces", room);
        f->interfaces = more;
        f->interface_room = room;
    }
    struct span list = span_sub(body, 8, body.n);
    struct span resolution = option(f, list, OPT_TSRESOL);
    struct span offset = option(f, list, OPT_TSOFFSET);
    f->interfaces[f->interface_count++] = (struct interface){
        .link_type = get16(f, body.p),
        .snaplen = get32(f, body.p + 4),
        .resolution = resolution.n == 1 ? resolution.p[0] : 6,
        .offset_s = offset.n == 8 ? (int64_t)get64(f, offset.p) : 0,
    };
    return 0;
}

static struct interface *interface_of(struct file_source *f, uint32_t id, struct err *e)
{
    if (id < f->interface_count - f->section_first)
        return &f->interfaces[f->section_first + id];
    err_at(e, ERR_FORMAT, zin_offset(f->in), "interface %u was not described", id);
    return NULL;
}

/* Statistics are totals since the capture began: the last ones count. */
static int statistics(struct file_source *f, struct span body, struct err *e)
{
    if (body.n < 12)
        return err_at(e, ERR_FORMAT, zin_offset(f->in),
                      "an interface's statistics are too short");
    struct interface *i = interface_of(f, get32(f, body.p), e);
    if (!i)
        return ERR_FORMAT;
    struct span list = span_sub(body, 12, body.n);
    struct span kernel = option(f, list, OPT_STAT_OSDROP);
    struct span nic = option(f, list, OPT_STAT_IFDROP);
    struct cap_source_counts *c = &f->base.counts;
    if (kernel.n == 8) {
        c->kernel_drops += get64(f, kernel.p) - i->kernel_drops;
        i->kernel_drops = get64(f, kernel.p);
        c->drops_known = true;
    }
    if (nic.n == 8) {
        c->interface_drops += get64(f, nic.p) - i->interface_drops;
        i->interface_drops = get64(f, nic.p);
        c->drops_known = true;
    }
    return 0;
}

/* Ticks of an interface's clock as nanoseconds since 1970. */
static int wall_of(const struct file_source *f, const struct interface *i,
                   uint64_t ticks, struct clk_wall *at, struct err *e)
{
    __extension__ typedef __int128 wide;
    unsigned exponent = i->resolution & 0x7f;
    wide ns = ticks;
    if (i->resolution & 0x80) {
        ns = ns * CLK_SEC >> exponent;
    } else {
        for (unsigned k = exponent; k < 9; k++)
            ns *= 10;
        for (unsigned k = 9; k < exponent && ns > 0; k++)
            ns /= 10;
    }
    ns += (wide)i->offset_s * CLK_SEC;
    if (ns > INT64_MAX || ns < INT64_MIN)
        return err_at(e, ERR_FORMAT, zin_offset(f->in),
                      "a packet's time is beyond all calendars");
    at->ns = (int64_t)ns;
    return 0;
}

static int section(struct file_source *f, struct err *e)
{
    struct span s;
    int rc = need(f, NG_HEAD + 16, "a section's header", &s, e);
    if (rc < 0)
        return rc;
    f->big = true;
    if (get32(f, s.p + 8) != NG_BYTE_ORDER) {
        f->big = false;
        if (get32(f, s.p + 8) != NG_BYTE_ORDER)
            return err_at(e, ERR_FORMAT, zin_offset(f->in) + 8,
                          "a section without a byte order");
    }
    if (get16(f, s.p + 12) != 1)
        return err_at(e, ERR_FORMAT, zin_offset(f->in) + 12,
                      "pcapng version %u is not 1", get16(f, s.p + 12));
    f->section_first = f->interface_count;
    return 0;
}

/* A block that holds a packet. */
struct packet_block {
    size_t head; /* bytes of the block in front of the packet's */
    uint32_t interface, captured, wire;
    uint64_t ticks;
    bool timed;
};

static int packet_block(struct file_source *f, uint32_t type, uint32_t length,
                        struct packet_block *b, struct err *e)
{
    size_t head = NG_HEAD + (type == NG_SIMPLE ? 4 : NG_PACKET_HEAD);
    uint64_t at = zin_offset(f->in);
    if (length < head + NG_TAIL)
        return err_at(e, ERR_FORMAT, at, "a packet's block of %u bytes", length);
    struct span s;
    int rc = need(f, head, "a packet's block", &s, e);
    if (rc < 0)
        return rc;
    const uint8_t *p = s.p + NG_HEAD;
    *b = (struct packet_block){.head = head, .timed = type != NG_SIMPLE};
    if (type == NG_SIMPLE) {
        struct interface *i = interface_of(f, 0, e);
        if (!i)
            return ERR_FORMAT;
        b->wire = get32(f, p);
        b->captured = i->snaplen && i->snaplen < b->wire ? i->snaplen : b->wire;
        size_t room = length - head - NG_TAIL;
        if (b->captured > room)
            return err_at(e, ERR_FORMAT, at,
                          "a packet of %u bytes in a block with room for %zu",
                          b->captured, room);
    } else {
        b->interface = type == NG_PACKET ? get32(f, p) : get16(f, p);
        b->ticks = (uint64_t)get32(f, p + 4) << 32 | get32(f, p + 8);
        b->captured = get32(f, p + 12);
        b->wire = get32(f, p + 16);
    }
    if (b->captured > CAP_PACKET_MAX)
        return too_long(f, b->captured, e);
    if (b->captured > length - head - NG_TAIL)
        return err_at(e, ERR_FORMAT, at, "a packet of %u bytes in a block of %u",
                      b->captured, length);
    return 0;
}

static int ng_packet(struct file_source *f, uint32_t type, uint32_t length,
                     struct cap_packet *p, struct err *e)
{
    struct packet_block b = {0};
    int rc = packet_block(f, type, length, &b, e);
    if (rc < 0)
        return rc;
    struct interface *i = interface_of(f, b.interface, e);
    if (!i)
        return ERR_FORMAT;
    if (!b.timed)
        f->base.counts.untimed++;
    else if ((rc = wall_of(f, i, b.ticks, &f->last, e)) < 0)
        return rc;
    struct span s;
    if ((rc = need(f, b.head + b.captured, "a packet", &s, e)) < 0)
        return rc;
    *p = (struct cap_packet){
        .at = f->last,
        .bytes = span_of(s.p + b.head, b.captured),
        .wire_bytes = b.wire,
        .interface = f->section_first + b.interface,
        .link_type = i->link_type,
    };
    f->unused = length - NG_TAIL;
    f->tail = length;
    return CAP_SOURCE_PACKET;
}

/* A block that holds no packet, up to its tail. */
static int ng_other(struct file_source *f, uint32_t type, uint32_t length,
                    struct err *e)
{
    int rc = 0;
    if (type == NG_INTERFACE || type == NG_STATISTICS) {
        if (length > CAP_BLOCK_MAX)
            return err_at(e, ERR_LIMIT, zin_offset(f->in),
                          "a block of %u bytes is over the limit of %u", length,
                          CAP_BLOCK_MAX);
        struct span s;
        if ((rc = need(f, length - NG_TAIL, "a block", &s, e)) < 0)
            return rc;
        s = span_sub(s, NG_HEAD, length - NG_TAIL);
        rc = type == NG_INTERFACE ? interface_add(f, s, e) : statistics(f, s, e);
    } else if (type != NG_SECTION) { /* ng_head has read that */
        f->base.counts.other_blocks++;
    }
    return rc < 0 ? rc : pass(f, length - NG_TAIL, e);
}

/* The length at the end of a block must be that at its start. */
static int ng_tail(struct file_source *f, uint32_t length, struct err *e)
{
    struct span s;
    int rc = need(f, NG_TAIL, "a block", &s, e);
    if (rc < 0)
        return rc;
    if (get32(f, s.p) != length)
        return err_at(e, ERR_FORMAT, zin_offset(f->in),
                      "a block of %u bytes ends as one of %u", length, get32(f, s.p));
    return pass(f, NG_TAIL, e);
}

/* Type and length of the next block. 1: there is one; 0: the end. */
static int ng_head(struct file_source *f, uint32_t *type, uint32_t *length,
                   struct err *e)
{
    struct span s;
    int rc = zin_peek(f->in, NG_HEAD, &s, e);
    if (rc < 0 || s.n == 0)
        return rc;
    if ((rc = need(f, NG_HEAD, "a block's header", &s, e)) < 0)
        return rc;
    *type = get32(f, s.p);
    if (*type == NG_SECTION && (rc = section(f, e)) < 0) /* may turn the byte order */
        return rc;
    /* Not borrowed over section(): it looked at more. */
    if ((rc = need(f, NG_HEAD, "a block's header", &s, e)) < 0)
        return rc;
    *length = get32(f, s.p + 4);
    if (*length < NG_HEAD + NG_TAIL || *length % 4 != 0 ||
        (*type == NG_SECTION && *length < 28))
        return err_at(e, ERR_FORMAT, zin_offset(f->in), "a block of %u bytes cannot be",
                      *length);
    return 1;
}

static int ng_next(struct file_source *f, struct cap_packet *p, struct err *e)
{
    for (;;) {
        uint32_t type = 0, length = 0;
        int rc = 0;
        if (f->tail && (rc = ng_tail(f, f->tail, e)) < 0)
            return rc;
        f->tail = 0;
        if ((rc = ng_head(f, &type, &length, e)) <= 0)
            return rc;
        if (type == NG_PACKET || type == NG_SIMPLE || type == NG_OLD_PACKET)
            return ng_packet(f, type, length, p, e);
        if ((rc = ng_other(f, type, length, e)) < 0)
            return rc;
        f->tail = length;
    }
}

/* --- both ---------------------------------------------------------------------------
 */

static int file_next(struct cap_source *s, struct cap_packet *p, struct err *e)
{
    struct file_source *f = (struct file_source *)s;
    if (f->unused) {
        int rc = pass(f, f->unused, e);
        if (rc < 0)
            return rc;
        f->unused = 0;
    }
    return f->ng ? ng_next(f, p, e) : pcap_file_next(f, p, e);
}

static void file_close(struct cap_source *s)
{
    struct file_source *f = (struct file_source *)s;
    zin_close(f->in);
    free(f->interfaces);
    free(f);
}

static const struct cap_source_kind FILE_KIND = {.next = file_next,
                                                 .close = file_close};

static int recognise(struct file_source *f, struct err *e)
{
    struct span s;
    int rc = zin_peek(f->in, 4, &s, e);
    if (rc < 0)
        return rc;
    if (s.n >= 4 && pcap_file_magic(f, s.p))
        return pcap_file_open(f, e);
    if (s.n >= 4 && get32(f, s.p) == NG_SECTION) {
        f->ng = true;
        return 0;
    }
    if (s.n < 4)
        return err_set(e, ERR_TRUNCATED, "%zu bytes are no capture file", s.n);
    return err_set(e, ERR_FORMAT, "neither a pcap nor a pcapng file");
}

static int open_common(struct cap_source **out, struct zin *in, struct err *e)
{
    struct file_source *f = calloc(1, sizeof *f);
    if (!f) {
        zin_close(in);
        return err_set(e, ERR_NOMEM, "no memory for a source of packets");
    }
    f->base.kind = &FILE_KIND;
    f->base.fd = -1;
    f->in = in;
    int rc = recognise(f, e);
    if (rc < 0) {
        file_close(&f->base);
        return rc;
    }
    *out = &f->base;
    return 0;
}

int cap_source_open_file(struct cap_source **out, const char *path, struct err *e)
{
    struct zin *in;
    *out = NULL;
    int rc = zin_open(&in, path, e);
    if (rc < 0)
        return rc;
    rc = open_common(out, in, e);
    return rc < 0 ? err_note(e, "reading '%s'", path) : 0;
}

int cap_source_open_bytes(struct cap_source **out, struct span bytes, struct err *e)
{
    struct zin *in;
    *out = NULL;
    int rc = zin_open_bytes(&in, bytes, e);
    return rc < 0 ? rc : open_common(out, in, e);
}

/*
 * fragment.c - see fragment.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "capture/fragment.h"

#include <stdlib.h>
#include <string.h>

struct range {
    uint32_t from, to;
};

struct datagram {
    bool used, refused; /* refused: stays as a mark until it is too old */
    struct cap_fragment key;
    struct clk_wall last; /* packet time of its latest fragment */
    uint8_t *bytes;
    uint32_t room;    /* of bytes */
    uint32_t total;   /* of its payload; 0: the last fragment has not come */
    uint32_t highest; /* end of the furthest fragment */
    uint8_t protocol;
    uint32_t held;                        /* fragments */
    struct range ranges[CAP_FRAG_RANGES]; /* in order; they neither touch nor overlap */
    uint32_t range_count;
};

struct cap_fragments {
    struct datagram datagrams[CAP_FRAG_DATAGRAMS];
    struct datagram *handed_out; /* its bytes are with the caller */
    uint64_t lost;
};

struct cap_fragments *cap_fragments_new(struct err *e)
{
    struct cap_fragments *f = calloc(1, sizeof *f);
    if (!f)
        err_set(e, ERR_NOMEM, "no memory for fragments");
    return f;
}

static void forget(struct cap_fragments *f, struct datagram *d)
{
    f->lost += d->held;
    free(d->bytes);
    *d = (struct datagram){0};
}

void cap_fragments_free(struct cap_fragments *f)
{
    if (!f)
        return;
    for (size_t i = 0; i < CAP_FRAG_DATAGRAMS; i++)
        free(f->datagrams[i].bytes);
    free(f);
}

uint64_t cap_fragments_lost(const struct cap_fragments *f)
{
    return f->lost;
}

static bool same_datagram(const struct cap_fragment *a, const struct cap_fragment *b)
{
    /* RFC 791 tells datagrams apart by protocol too; in IPv6 only the first fragment's
     * counts (RFC 8200, 4.5). */
    return a->id == b->id && a->version == b->version &&
           (a->version == 6 || a->protocol == b->protocol) &&
           a->interface == b->interface && a->outgoing == b->outgoing &&
           memcmp(a->src, b->src, 16) == 0 && memcmp(a->dst, b->dst, 16) == 0;
}

static int64_t age(const struct datagram *d, struct clk_wall now)
{
    int64_t ns;
    if (__builtin_sub_overflow(now.ns, d->last.ns, &ns))
        return INT64_MAX;
    return ns < 0 && ns > -CAP_FRAG_NS ? 0 : ns < 0 ? INT64_MAX : ns;
}

/* The piece's datagram: as it is, or a fresh one in a free or in the oldest place. */
static struct datagram *find(struct cap_fragments *f, const struct cap_fragment *piece)
{
    struct datagram *place = NULL;
    int64_t oldest = -1;
    for (size_t i = 0; i < CAP_FRAG_DATAGRAMS; i++) {
        struct datagram *d = &f->datagrams[i];
        if (d->used && age(d, piece->at) > CAP_FRAG_NS)
            forget(f, d);
        if (d->used && same_datagram(&d->key, piece))
            return d;
        int64_t years = d->used ? age(d, piece->at) : INT64_MAX;
        if (years > oldest) {
            oldest = years;
            place = d;
        }
    }
    forget(f, place);
    place->used = true;
    place->key = *piece;
    place->last = piece->at;
    return place;
}

static bool make_room(struct datagram *d, uint32_t end)
{
    if (end <= d->room)
        return true;
    uint32_t room = d->room ? d->room : 4096;
    while (room < end)
        room *= 2;
    uint8_t *bytes = realloc(d->bytes, room);
    if (!bytes)
        return false;
    d->bytes = bytes;
    d->room = room;
    return true;
}

/* Where a range that ends at or behind `from` stands first. */
static uint32_t first_touching(const struct datagram *d, uint32_t from)
{
    uint32_t low = 0, high = d->range_count;
    while (low < high) {
        uint32_t mid = (low + high) / 2;
        if (d->ranges[mid].to < from)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static enum cap_frag_result place(struct datagram *d, const struct cap_fragment *piece)
{
    uint32_t from = piece->offset, to = from + (uint32_t)piece->bytes.n;
    uint32_t i = first_touching(d, from);
    struct range *r = &d->ranges[i];
    bool here = i < d->range_count;
    if (here && r->from <= from && to <= r->to) /* a copy, when the bytes are equal */
        return memcmp(d->bytes + from, piece->bytes.p, piece->bytes.n) == 0
                   ? CAP_FRAG_HELD
                   : CAP_FRAG_OVERLAP;
    if (here && r->to > from && r->from < to)
        return CAP_FRAG_OVERLAP;
    bool touches_before = here && r->to == from;
    uint32_t after = touches_before ? i + 1 : i;
    if (after < d->range_count && d->ranges[after].from < to)
        return CAP_FRAG_OVERLAP;
    bool touches_after = after < d->range_count && d->ranges[after].from == to;
    if (!touches_before && !touches_after && d->range_count == CAP_FRAG_RANGES)
        return CAP_FRAG_LIMIT;
    if (!make_room(d, to))
        return CAP_FRAG_LIMIT;
    memcpy(d->bytes + from, piece->bytes.p, piece->bytes.n);
    size_t behind = d->range_count - after;
    if (touches_before && touches_after) {
        r->to = r[1].to;
        memmove(r + 1, r + 2, (behind - 1) * sizeof *r);
        d->range_count--;
    } else if (touches_before) {
        r->to = to;
    } else if (touches_after) {
        r->from = from;
    } else {
        memmove(r + 1, r, behind * sizeof *r);
        *r = (struct range){from, to};
        d->range_count++;
    }
    d->held++;
    return CAP_FRAG_HELD;
}

/* Whether the piece fits what is known of its datagram's end. */
static bool fits_end(const struct datagram *d, const struct cap_fragment *piece)
{
    size_t end = piece->offset + piece->bytes.n;
    if (!piece->more && ((d->total && d->total != end) || end < d->highest))
        return false; /* two ends, or bytes behind the end */
    return !d->total || end <= d->total;
}

static void refuse(struct cap_fragments *f, struct datagram *d)
{
    struct datagram mark = {
        .used = true, .refused = true, .key = d->key, .last = d->last};
    forget(f, d);
    *d = mark;
}

enum cap_frag_result cap_fragments_add(struct cap_fragments *f,
                                       const struct cap_fragment *piece,
                                       struct span *whole, uint8_t *protocol)
{
    if (f->handed_out) {
        f->handed_out->held = 0;
        forget(f, f->handed_out);
        f->handed_out = NULL;
    }
    if (piece->bytes.n == 0 || (piece->more && piece->bytes.n % 8 != 0) ||
        piece->offset + piece->bytes.n > CAP_FRAG_BYTES)
        return CAP_FRAG_MALFORMED;
    struct datagram *d = find(f, piece);
    if (d->refused)
        return CAP_FRAG_OVERLAP;
    d->last = piece->at;
    enum cap_frag_result result =
        fits_end(d, piece) ? place(d, piece) : CAP_FRAG_OVERLAP;
    if (result != CAP_FRAG_HELD) {
        refuse(f, d);
        return result;
    }
    uint32_t end = piece->offset + (uint32_t)piece->bytes.n;
    d->highest = end > d->highest ? end : d->highest;
    if (!piece->more)
        d->total = end;
    if (piece->offset == 0)
        d->protocol = piece->protocol;
    if (!d->total || d->range_count != 1 || d->ranges[0].from != 0 ||
        d->ranges[0].to != d->total)
        return CAP_FRAG_HELD;
    *whole = span_of(d->bytes, d->total);
    *protocol = d->protocol;
    f->handed_out = d;
    return CAP_FRAG_WHOLE;
}

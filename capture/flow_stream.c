/*
 * flow_stream.c - one direction of a connection: segments into ordered bytes.
 *
 *   base ........ next ......... first piece held ...... pieces ....... end
 *   delivered or given up |  a hole  |  came ahead of its turn  |  the FIN, if seen
 *
 * What is held never overlaps and never touches `next`: whenever the hole is filled or
 * given up, what follows it is delivered.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "capture/flow_own.h"

#define FIRST_SEQ (UINT64_C(1) << 32) /* so that nothing near it is below 0 */

/* What is left of a segment's payload. */
struct rest {
    uint64_t from;
    uint32_t bytes;   /* on the wire */
    struct span have; /* captured of them: the first ones */
    struct clk_wall at;
    bool probe; /* a keep-alive: its byte may be any */
};

int flow_dir(const struct stream *s)
{
    return s->side == s->owner->server_side;
}

struct cap_flow_counts *flow_counts(struct cap_flows *f, const struct stream *s)
{
    return &f->totals.dir[flow_dir(s)];
}

void flow_memory(struct cap_flows *f, int64_t change)
{
    f->totals.memory_bytes += (uint64_t)change;
    if (f->totals.memory_bytes > f->totals.memory_most)
        f->totals.memory_most = f->totals.memory_bytes;
}

void flow_anchor(struct stream *s, uint32_t seq)
{
    s->anchored = true;
    s->base = s->next = s->tail_from = FIRST_SEQ + seq;
}

/* b is a or comes behind it, and is of the same connection. */
static bool is_behind(uint32_t a, uint32_t b)
{
    return b - a <= CAP_FLOW_JUMP_BYTES;
}

void flow_note_ack(struct stream *s, uint32_t ack)
{
    if (!s->said)
        s->said_from = s->said_to = ack;
    else if (is_behind(s->said_to, ack))
        s->said_to = ack;
    s->said = true;
}

void flow_join(struct cap_flows *f, struct stream *s, uint32_t seq)
{
    bool before = s->said && is_behind(s->said_from, seq);
    flow_anchor(s, before ? s->said_from : seq);
    if (before)
        flow_take_ack(f, s, s->said_to);
}

uint64_t flow_widen(const struct stream *s, uint32_t seq, bool *near)
{
    if (seq == (uint32_t)s->next) {
        *near = true;
        return s->next;
    }
    uint64_t around = s->acked > s->next ? s->acked : s->next;
    int32_t distance = (int32_t)(seq - (uint32_t)around);
    *near = distance >= -(int32_t)CAP_FLOW_JUMP_BYTES &&
            distance <= (int32_t)CAP_FLOW_JUMP_BYTES;
    return around + (uint64_t)(int64_t)distance;
}

static struct rest rest_from(struct rest r, uint64_t from)
{
    uint32_t n = (uint32_t)(from - r.from);
    r.have = span_sub(r.have, n, r.have.n);
    r.bytes -= n;
    r.from = from;
    return r;
}

static struct rest rest_to(struct rest r, uint64_t to)
{
    r.bytes = (uint32_t)(to - r.from);
    r.have = span_sub(r.have, 0, r.bytes);
    return r;
}

static uint64_t rest_end(const struct rest *r)
{
    return r->from + r->bytes;
}

static uint64_t later_of(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t earlier_of(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static struct clk_wall later_time(struct clk_wall a, struct clk_wall b)
{
    return a.ns > b.ns ? a : b;
}

/* --- out to the sink ----------------------------------------------------------------
 */

/* The gap [next, to). */
static void remember_gap(struct stream *s, uint64_t to)
{
    uint32_t newest = (s->gap_count - 1) % FLOW_GAPS;
    if (s->gap_count > 0 && s->gaps[newest].to == s->next) {
        s->gaps[newest].to = to; /* the same one, acknowledged by and by */
        return;
    }
    newest = s->gap_count++ % FLOW_GAPS;
    s->gaps[newest].from = s->next;
    s->gaps[newest].to = to;
}

static void declare_gap(struct cap_flows *f, struct stream *s, uint64_t to,
                        struct clk_wall at, enum cap_gap why)
{
    struct cap_flow_counts *c = flow_counts(f, s);
    uint64_t bytes = to - s->next;
    if (why == CAP_GAP_SNAPLEN) {
        c->snaplen_bytes += bytes; /* in payload_bytes since they were seen */
    } else {
        c->payload_bytes += bytes;
        remember_gap(s, to);
        s->told.ns = INT64_MIN;
    }
    c->gap_bytes += bytes;
    c->gaps++;
    s->next = s->tail_from = to;
    f->sink.gap(f->sink.arg, s->owner->conn, flow_dir(s), at, bytes, why);
}

static void remember_tail(struct stream *s, struct span bytes)
{
    size_t n = bytes.n < CAP_FLOW_TAIL ? bytes.n : CAP_FLOW_TAIL;
    const uint8_t *p = bytes.p + (bytes.n - n);
    size_t place = (s->next - n) % CAP_FLOW_TAIL; /* s->next: behind the bytes */
    size_t first = n < CAP_FLOW_TAIL - place ? n : CAP_FLOW_TAIL - place;
    memcpy(s->tail + place, p, first);
    memcpy(s->tail, p + first, n - first);
}

/* Hands on what comes next, and what of it is not there. */
static void deliver(struct cap_flows *f, struct stream *s, struct span have,
                    uint32_t bytes, struct clk_wall at)
{
    assert(have.n <= bytes);
    if (have.n > 0) {
        s->next += have.n;
        flow_counts(f, s)->delivered_bytes += have.n;
        remember_tail(s, have);
        s->told = at;
        f->sink.data(f->sink.arg, s->owner->conn, flow_dir(s), at, have);
    }
    if (have.n < bytes)
        declare_gap(f, s, s->next + (bytes - have.n), at, CAP_GAP_SNAPLEN);
}

/* Takes the first piece out of the hold and delivers it. */
static void deliver_first(struct cap_flows *f, struct stream *s, struct clk_wall at)
{
    uint64_t memory = s->hold.memory;
    struct flow_piece *p = flow_hold_take(&s->hold, &f->totals.steps);
    flow_memory(f, -(int64_t)(memory - s->hold.memory));
    assert(p->from == s->next);
    flow_counts(f, s)->held_bytes -= p->bytes;
    deliver(f, s, span_of(p->data, p->have), p->bytes, later_time(p->at, at));
    free(p);
}

/* The place behind the first hole; 0: there is no hole. Pieces behind the end do not
 * prove anything. */
static uint64_t hole_end(const struct stream *s)
{
    if (s->fin && s->next >= s->end)
        return 0;
    uint64_t to = s->hold.first ? s->hold.first->from : 0;
    return s->fin && (!to || s->end < to) ? s->end : to;
}

/* What is held behind the end cannot belong to it. */
static void drop_held(struct cap_flows *f, struct stream *s)
{
    while (s->hold.first) {
        uint64_t memory = s->hold.memory;
        struct flow_piece *p = flow_hold_take(&s->hold, &f->totals.steps);
        flow_memory(f, -(int64_t)(memory - s->hold.memory));
        flow_counts(f, s)->held_bytes -= p->bytes;
        flow_counts(f, s)->stray_bytes += p->bytes;
        free(p);
    }
}

/* Delivers what has its turn; then says when the first hole is due. at: the time of
 * what filled the hole. */
static void settle(struct cap_flows *f, struct stream *s, struct clk_wall at)
{
    while (s->hold.first && s->hold.first->from == s->next)
        deliver_first(f, s, at);
    if (s->fin && !s->finished && s->next >= s->end) {
        drop_held(f, s);
        s->finished = true;
        if (s->owner->list == LIST_ACTIVE)
            f->sink.finish(f->sink.arg, s->owner->conn, flow_dir(s),
                           later_time(at, s->fin_at));
    }
    if (!hole_end(s)) {
        flow_due_remove(f, s);
        return;
    }
    int64_t since = s->hold.first ? s->hold.first->since : s->fin_since;
    if (!flow_due_set(f, s, since + CAP_FLOW_GAP_NS))
        flow_give_up(f, s, CAP_GAP_CEILING);
}

/* Nothing before `to` will come. */
static void give_up_to(struct cap_flows *f, struct stream *s, uint64_t to,
                       struct clk_wall at, enum cap_gap why)
{
    declare_gap(f, s, to, at, why);
    settle(f, s, at);
}

void flow_give_up(struct cap_flows *f, struct stream *s, enum cap_gap why)
{
    uint64_t to = hole_end(s);
    if (to)
        give_up_to(f, s, to, s->hold.first ? s->hold.first->at : s->fin_at, why);
}

/* At the end, what the peer says it has got proves that it was sent, but for the last
 * byte: that may stand for a FIN. */
static void give_up_tail(struct cap_flows *f, struct stream *s)
{
    if (!s->anchored && s->said)
        flow_join(f, s, s->said_from); /* not a byte of it was seen */
    if (s->anchored && !s->fin && s->acked > s->next + 1)
        declare_gap(f, s, s->acked - 1, f->newest, CAP_GAP_ACKED);
}

void flow_flush(struct cap_flows *f, struct stream *s, enum cap_gap why)
{
    while (hole_end(s))
        flow_give_up(f, s, why);
    give_up_tail(f, s);
    assert(!s->hold.first && !s->due_place);
}

/* The part of the first hole that the peer says it has got. */
static void give_up_acked(struct cap_flows *f, struct stream *s)
{
    uint64_t end;
    while ((end = hole_end(s)) && s->acked > s->next)
        give_up_to(f, s, earlier_of(s->acked, end),
                   s->hold.first ? s->hold.first->at : s->fin_at, CAP_GAP_ACKED);
}

/* --- in from segments ---------------------------------------------------------------
 */

static void count_conflicts(struct cap_flows *f, const struct stream *s,
                            const uint8_t *a, const uint8_t *b, size_t n)
{
    uint64_t differing = 0;
    if (n > 0 && memcmp(a, b, n) != 0)
        for (size_t i = 0; i < n; i++)
            differing += a[i] != b[i];
    flow_counts(f, s)->conflicting_bytes += differing;
}

/* The first n bytes of r are in the piece too. */
static void compare_held(struct cap_flows *f, const struct stream *s,
                         const struct rest *r, const struct flow_piece *p, uint32_t n)
{
    size_t skip = (size_t)(r->from - p->from);
    size_t there = p->have > skip ? p->have - skip : 0;
    if (there > n)
        there = n;
    if (there > r->have.n)
        there = r->have.n;
    if (there > 0)
        count_conflicts(f, s, p->data + skip, r->have.p, there);
}

/* The bytes of r before `to` were delivered: are they the same, as far as we know? */
static void compare_tail(struct cap_flows *f, const struct stream *s,
                         const struct rest *r, uint64_t to)
{
    uint64_t from = later_of(r->from, s->tail_from);
    if (s->next - from > CAP_FLOW_TAIL)
        from = s->next - CAP_FLOW_TAIL;
    to = earlier_of(to, r->from + r->have.n);
    if (from >= to)
        return;
    uint8_t first[CAP_FLOW_TAIL];
    for (uint64_t at = from; at < to; at++)
        first[at - from] = s->tail[at % CAP_FLOW_TAIL];
    count_conflicts(f, s, first, r->have.p + (from - r->from), (size_t)(to - from));
}

/* How many of [from, to) lie in [a, b). */
static uint64_t overlap(uint64_t from, uint64_t to, uint64_t a, uint64_t b)
{
    from = later_of(from, a);
    to = earlier_of(to, b);
    return from < to ? to - from : 0;
}

/* Takes off what lies before `next`: it was had, or given up, or comes from before the
 * first byte. */
static struct rest without_past(struct cap_flows *f, struct stream *s, struct rest r,
                                bool *duplicate)
{
    if (r.from >= s->next)
        return r;
    struct cap_flow_counts *c = flow_counts(f, s);
    uint64_t to = earlier_of(rest_end(&r), s->next), all = to - r.from;
    uint64_t stray = overlap(r.from, to, 0, s->base);
    for (uint32_t i = 0; i < FLOW_GAPS && i < s->gap_count; i++)
        stray += overlap(r.from, to, s->gaps[i].from, s->gaps[i].to);
    if (!r.probe)
        compare_tail(f, s, &r, to);
    c->stray_bytes += stray;
    c->duplicate_bytes += all - stray;
    *duplicate |= all > stray;
    return rest_from(r, to);
}

/* r starts at next: delivers it, with pieces that are held within it. */
static void take_in_turn(struct cap_flows *f, struct stream *s, struct rest r,
                         bool *duplicate)
{
    while (r.bytes > 0) {
        struct flow_piece *p = s->hold.first;
        uint64_t end = rest_end(&r);
        if (!p || p->from >= end) {
            deliver(f, s, r.have, r.bytes, r.at);
            break;
        }
        struct rest part = rest_to(r, p->from);
        if (part.bytes > 0)
            deliver(f, s, part.have, part.bytes, r.at);
        r = rest_from(r, p->from);
        uint32_t n = (uint32_t)(earlier_of(end, flow_piece_end(p)) - p->from);
        compare_held(f, s, &r, p, n);
        flow_counts(f, s)->duplicate_bytes += n;
        *duplicate = true;
        deliver_first(f, s, r.at);
        r = rest_from(r, r.from + n);
    }
}

/* Whether so many more bytes may be held: by the direction's limits, and by the
 * table's, for which others that wait longer give way. */
static bool may_hold(struct cap_flows *f, struct stream *s, uint32_t bytes, size_t have)
{
    if (s->hold.count >= CAP_FLOW_HOLD_COUNT ||
        s->hold.bytes + bytes > CAP_FLOW_HOLD_BYTES)
        return false;
    size_t need = flow_piece_memory(have);
    while (f->totals.memory_bytes + need > CAP_FLOW_MEMORY_BYTES) {
        struct stream *oldest = f->due_count ? f->due[0] : s;
        if (oldest == s)
            return false;
        flow_give_up(f, oldest, CAP_GAP_CEILING);
    }
    return true;
}

/* r starts behind a hole: one step, which passes over what a piece has already, or
 * holds what lies before the next piece. Gives what is left of r. */
static struct rest take_ahead(struct cap_flows *f, struct stream *s, struct rest r,
                              bool *duplicate)
{
    struct flow_piece *p = flow_hold_find(&s->hold, r.from, &f->totals.steps);
    if (p && flow_piece_end(p) > r.from) {
        uint64_t to = earlier_of(flow_piece_end(p), rest_end(&r));
        compare_held(f, s, &r, p, (uint32_t)(to - r.from));
        flow_counts(f, s)->duplicate_bytes += to - r.from;
        *duplicate = true;
        return rest_from(r, to);
    }
    struct flow_piece *after = p ? p->after : s->hold.first;
    uint64_t end = rest_end(&r);
    struct rest part = rest_to(r, after ? earlier_of(after->from, end) : end);
    uint64_t memory = s->hold.memory;
    struct flow_piece *held = NULL;
    if (may_hold(f, s, part.bytes, part.have.n))
        held =
            flow_hold_add(&s->hold, part.from, part.bytes, part.have, &f->totals.steps);
    if (!held) {
        uint64_t to = s->hold.first ? earlier_of(s->hold.first->from, r.from) : r.from;
        give_up_to(f, s, to, to == r.from ? r.at : s->hold.first->at, CAP_GAP_CEILING);
        return r;
    }
    held->at = r.at;
    held->since = f->clock;
    flow_memory(f, (int64_t)(s->hold.memory - memory));
    flow_counts(f, s)->held_bytes += part.bytes;
    return rest_from(r, rest_end(&part));
}

/* What lies behind the FIN, or comes after the end, belongs to no one. */
static struct rest without_future(struct cap_flows *f, struct stream *s, struct rest r)
{
    if (!s->fin || rest_end(&r) <= s->end)
        return r;
    uint64_t stray = rest_end(&r) - later_of(r.from, s->end);
    flow_counts(f, s)->stray_bytes += stray;
    return rest_to(r, rest_end(&r) - stray);
}

void flow_take(struct cap_flows *f, struct stream *s, uint64_t from,
               const struct cap_segment *seg)
{
    struct cap_flow_counts *c = flow_counts(f, s);
    struct rest r = {.from = from,
                     .bytes = seg->payload_bytes,
                     .have = seg->payload,
                     .at = seg->at,
                     .probe = seg->payload_bytes == 1 && from + 1 == s->next};
    bool duplicate = false, ahead = false;
    s->silent = false;
    s->seen = f->packets;
    c->segments++;
    c->payload_bytes += r.bytes;
    r = without_future(f, s, r);
    for (;;) {
        r = without_past(f, s, r, &duplicate);
        if (r.bytes == 0)
            break;
        if (r.from == s->next) {
            take_in_turn(f, s, r, &duplicate);
            break;
        }
        ahead = true;
        r = take_ahead(f, s, r, &duplicate);
    }
    c->out_of_order += ahead;
    c->retransmissions += duplicate;
    if (s->hold.first || s->fin || s->due_place) {
        settle(f, s, seg->at);
        give_up_acked(f, s);
    }
}

void flow_take_fin(struct cap_flows *f, struct stream *s, uint64_t at,
                   struct clk_wall time)
{
    if (s->fin || at < s->next)
        return;
    s->fin = true;
    s->end = at;
    s->fin_at = time;
    s->fin_since = f->clock;
    settle(f, s, time);
    give_up_acked(f, s);
}

void flow_take_ack(struct cap_flows *f, struct stream *s, uint32_t ack)
{
    bool near;
    uint64_t to = flow_widen(s, ack, &near);
    if (!near || to <= s->acked)
        return;
    s->acked = to;
    if (to > s->next)
        give_up_acked(f, s);
    if (to > s->next && f->sink.unseen && s->owner->list == LIST_ACTIVE)
        f->sink.unseen(f->sink.arg, s->owner->conn, flow_dir(s));
}

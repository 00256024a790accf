/*
 * flow_wait.c - see flow_wait.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "capture/flow_wait.h"

#include <stdlib.h>
#include <string.h>

/* How far a is behind b in the space of sequence numbers. */
static int32_t beyond(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b);
}

/* Ahead of `place`, and not so far that it is of another connection. */
static bool is_ahead(uint32_t seq, uint64_t place)
{
    int32_t n = beyond(seq, (uint32_t)place);
    return n > 0 && n <= (int32_t)CAP_FLOW_JUMP_BYTES;
}

int flow_wait_side(const struct flow_waiting *w)
{
    const struct cap_endpoint *first = &w->owner->end[0];
    return w->seg.src.port != first->port ||
           memcmp(w->seg.src.addr, first->addr, sizeof first->addr) != 0;
}

/* --- whether to wait ---------------------------------------------------------------
 */

/* Bytes of the other direction wait, though they were acknowledged as this was sent. */
static bool forerunner_waits(struct cap_flows *f, const struct flow *fl, int side,
                             uint32_t ack)
{
    for (const struct flow_waiting *w = fl->wait_first; w; w = w->after) {
        f->totals.steps++;
        if (w->seg.payload_bytes > 0 && flow_wait_side(w) != side &&
            beyond(ack, w->seg.seq) > 0)
            return true;
    }
    return false;
}

/* The segment acknowledges what was neither seen nor acknowledged before. */
static bool is_early_answer(struct cap_flows *f, const struct flow *fl, int side,
                            const struct cap_segment *seg)
{
    const struct stream *peer = &fl->from[!side];
    if (!(seg->flags & CAP_ACK))
        return false;
    if (!peer->anchored && fl->syn_side >= 0)
        return true; /* the answer to the SYN, which says where the peer begins */
    if (!peer->anchored || peer->silent)
        return forerunner_waits(f, fl, side, seg->ack);
    uint64_t known = peer->next > peer->acked ? peer->next : peer->acked;
    known += peer->fin && peer->next == peer->end; /* it counts as a byte */
    return is_ahead(seg->ack, known);
}

/* It may not be the first of its direction; or it ends it before what was seen is all.
 */
static bool is_ahead_of_turn(const struct flow *fl, int side,
                             const struct cap_segment *seg)
{
    const struct stream *s = &fl->from[side];
    if (seg->payload_bytes == 0 && !(seg->flags & (CAP_FIN | CAP_RST)))
        return false;
    if (s->anchored)
        return seg->flags & CAP_RST && is_ahead(seg->seq, s->next);
    if (seg->flags & CAP_RST)
        return false;
    return true;
}

bool flow_must_wait(struct cap_flows *f, const struct flow *fl, int side,
                    const struct cap_segment *seg)
{
    if (seg->flags & CAP_SYN)
        return false;
    if (!fl)
        return seg->payload_bytes > 0 && !(seg->flags & CAP_RST);
    if (fl->list == LIST_OVER)
        return false;
    return is_ahead_of_turn(fl, side, seg) || is_early_answer(f, fl, side, seg);
}

/* --- those that wait ---------------------------------------------------------------
 */

bool flow_wait_add(struct cap_flows *f, struct flow *fl, const struct cap_segment *seg)
{
    size_t memory = sizeof(struct flow_waiting) + seg->payload.n;
    if (fl->wait_count >= FLOW_WAIT_COUNT ||
        fl->wait_memory + memory > CAP_FLOW_HOLD_BYTES ||
        f->totals.memory_bytes + memory > CAP_FLOW_MEMORY_BYTES)
        return false;
    struct flow_waiting *w = malloc(memory);
    if (!w)
        return false;
    *w = (struct flow_waiting){.before = fl->wait_last,
                               .older = f->wait_last,
                               .owner = fl,
                               .since = f->clock,
                               .packets = f->packets,
                               .seg = *seg};
    if (seg->payload.n > 0)
        memcpy(w->data, seg->payload.p, seg->payload.n);
    w->seg.payload.p = w->data;
    *(fl->wait_last ? &fl->wait_last->after : &fl->wait_first) = w;
    fl->wait_last = w;
    *(f->wait_last ? &f->wait_last->newer : &f->wait_first) = w;
    f->wait_last = w;
    fl->wait_count++;
    fl->wait_memory += memory;
    flow_memory(f, (int64_t)memory);
    f->totals.waiting_bytes += seg->payload_bytes;
    f->totals.waited++;
    return true;
}

void flow_wait_take(struct cap_flows *f, struct flow_waiting *w)
{
    struct flow *fl = w->owner;
    size_t memory = sizeof *w + w->seg.payload.n;
    *(w->before ? &w->before->after : &fl->wait_first) = w->after;
    *(w->after ? &w->after->before : &fl->wait_last) = w->before;
    *(w->older ? &w->older->newer : &f->wait_first) = w->newer;
    *(w->newer ? &w->newer->older : &f->wait_last) = w->older;
    fl->wait_count--;
    fl->wait_memory -= memory;
    flow_memory(f, -(int64_t)memory);
    f->totals.waiting_bytes -= w->seg.payload_bytes;
}

struct flow_waiting *flow_wait_ready(struct cap_flows *f, const struct flow *fl)
{
    for (struct flow_waiting *w = fl->wait_first; w; w = w->after) {
        f->totals.steps++;
        if (w->seg.flags & CAP_RST && fl->wait_count > 1)
            continue; /* nothing that waits is to come after the end */
        if (!flow_must_wait(f, fl, flow_wait_side(w), &w->seg))
            return w;
    }
    return NULL;
}

/* Whether a was sent before b, as their numbers say. */
static bool was_before(const struct flow_waiting *a, const struct flow_waiting *b)
{
    if (flow_wait_side(a) == flow_wait_side(b))
        return beyond(b->seg.seq, a->seg.seq) > 0;
    return b->seg.flags & CAP_ACK &&
           (a->seg.payload_bytes > 0 || a->seg.flags & CAP_FIN) &&
           beyond(b->seg.ack, a->seg.seq) > 0;
}

struct flow_waiting *flow_wait_first_sent(struct cap_flows *f, const struct flow *fl)
{
    struct flow_waiting *first = fl->wait_first;
    bool again = true;
    /* Of what was sent again numbers may say both before and after: so often and no
     * more. */
    for (int round = 0; again && round < 4; round++) {
        again = false;
        for (struct flow_waiting *w = fl->wait_first; w; w = w->after) {
            f->totals.steps++;
            if (w != first && was_before(w, first)) {
                first = w;
                again = true;
            }
        }
    }
    return first;
}

bool flow_wait_is_over(const struct cap_flows *f)
{
    const struct flow_waiting *w = f->wait_first;
    if (!w)
        return false;
    int64_t passed = f->clock - w->since;
    return passed >= CAP_FLOW_GRACE_MOST_NS ||
           (passed >= CAP_FLOW_GRACE_NS &&
            f->packets - w->packets >= CAP_FLOW_GRACE_PACKETS);
}

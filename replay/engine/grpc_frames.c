/*
 * grpc_frames.c - requests become frames: which call has its turn, how much of it goes
 * into one write, and when the next message of several is due. See grpc_own.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replay/engine/grpc_own.h"

#include <stdlib.h>

#include "replay/mark.h"
#include "replay/schedule.h"

#define SEND_BYTES (256u << 10) /* of one write, or a little more */
#define TURN_BYTES (16u << 10)  /* of one call, before others have their turn */

/* --- messages that have a time ---------------------------------------------------- */

/* --- requests become frames ---------------------------------------------------------
 */

/* When the part behind those taken may go: the gaps of the trace, from the moment at
 * which the first went out. */
static int64_t part_time(const struct rep_call *c)
{
    const struct rep_request *r = c->request;
    if (c->parts_taken == 0)
        return 0;
    return r->out.sent_ns == OP_TIME_NONE
               ? REP_NEVER
               : r->out.sent_ns + r->parts.v[c->parts_taken].at_ns;
}

/* Bytes of the request that may have gone by now. */
static size_t parts_due(struct rep_call *c)
{
    const struct op_messages *parts = &c->request->parts;
    int64_t now = rep_grpc_now(c->link->en);
    while (c->parts_taken < parts->count && part_time(c) <= now)
        c->parts_end += parts->v[c->parts_taken++].bytes;
    return c->parts_end;
}

int64_t rep_grpc_resume(struct rep_grpc *en, int64_t now)
{
    int64_t first = REP_NEVER;
    for (struct rep_request *r = en->flight.head; r; r = r->next) {
        struct rep_call *c = r->place;
        if (r->parts.count == 0 || !c || !c->paused)
            continue;
        int64_t at = part_time(c);
        if (at > now) {
            first = at < first ? at : first;
            continue;
        }
        c->paused = false;
        rep_call_work_add(c);
    }
    return first;
}

/* --- framing ---------------------------------------------------------------------- */

/* Frames the head: the stream is open. */
static bool open_stream(struct rep_call *c)
{
    struct rep_link *l = c->link;
    const struct rep_request *r = c->request;
    const struct rep_stream *s = r->stream;
    struct h2_request q = {
        .key = s->serial * 2 + (r->id.n > 0),
        .fields = s->fields,
        .field_count = s->field_count,
    };
    if (s->serial == 0)
        q.key = 0;
    if (r->id.n > 0)
        q.last = (struct op_header){SPAN_LIT(REP_MARK_FIELD), r->id};
    if (l->fresh_count == l->fresh_cap) {
        size_t cap = l->fresh_cap ? l->fresh_cap * 2 : 128;
        struct rep_call **p = realloc(l->fresh, cap * sizeof *p);
        if (!p)
            return false;
        l->fresh = p;
        l->fresh_cap = cap;
    }
    if (h2_client_open(&l->h2, &q, c, &c->slot, NULL) < 0)
        return false;
    c->has_slot = true;
    l->fresh[l->fresh_count++] = c;
    return true;
}

/* Frames some of the body, or all that may go by now. True: something was framed. */
static bool frame_body(struct rep_call *c)
{
    const struct rep_request *r = c->request;
    size_t whole = r->wire[0].n + r->wire[1].n;
    size_t due = r->parts.count > 0 ? parts_due(c) : whole;
    size_t n = due - c->taken < TURN_BYTES ? due - c->taken : TURN_BYTES;
    size_t behind = c->taken > r->wire[0].n ? c->taken - r->wire[0].n : 0;
    struct span data[2] = {span_sub(r->wire[0], c->taken, c->taken + n)};
    data[1] = span_sub(r->wire[1], behind, behind + n - data[0].n);
    bool end = c->taken + n == whole, all;
    size_t taken = h2_client_parts(&c->link->h2, c->slot, data, end, &all);

    c->taken += taken;
    if (all && end) {
        rep_call_work_remove(c);
        return true;
    }
    if (taken == 0 && due > c->taken) /* the peer's window is shut */
        return false;
    rep_call_work_remove(c);
    c->paused = c->taken == due && due < whole;
    if (!c->paused)
        rep_call_work_add(c); /* behind those that wait for their turn */
    return taken > 0;
}

bool rep_link_frame_calls(struct rep_link *l)
{
    bool moved = true;
    while (moved && l->work) {
        moved = false;
        for (struct rep_call *c = l->work, *next; c; c = next) {
            next = c->work_next;
            if (l->h2.out.failed)
                return false;
            if (l->h2.out.n >= SEND_BYTES)
                return true;
            if (!c->has_slot) {
                if (h2_client_room(&l->h2) == 0)
                    continue;
                if (!open_stream(c))
                    return false;
            }
            moved = frame_body(c) || moved;
        }
    }
    return true;
}

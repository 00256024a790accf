/*
 * grpc_calls.c - the calls that connections carry, and how many more each could: how a
 * call comes onto its connection, gets and loses its turn to be framed, and leaves it;
 * the requests that go back, or wait to be sent a second time. See grpc_own.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replay/engine/grpc_own.h"

#include <stdlib.h>

/* --- how much a connection can carry ---------------------------------------------- */

uint32_t rep_link_room(const struct rep_link *l)
{
    uint32_t most = l->en->base.config.streams;
    if (l->draining) /* its successor's */
        return most;
    if (l->settled && l->h2.peer_streams < most)
        most = l->h2.peer_streams;
    return most > l->open ? most - l->open : 0;
}

void rep_link_note(struct rep_link *l)
{
    struct rep_grpc *en = l->en;
    if (l->index == REP_GRPC_NONE)
        return;
    uint32_t room = rep_link_room(l), open = l->draining ? 0 : l->open;
    uint32_t down = l->draining ? REP_LINK_UP : REP_LINK_UP - l->state;
    en->room += room;
    en->room -= l->room;
    l->room = room;
    en->rank[l->index] = room > 0 ? open * 4 + down : REP_GRPC_NONE;
}

void rep_link_drain(struct rep_link *l, enum rep_end why)
{
    if (!l->draining)
        l->why = why;
    l->draining = true;
    rep_link_note(l);
}

/* --- requests in hand ------------------------------------------------------------- */

static void flight_leave(struct rep_grpc *en, struct rep_request *r)
{
    en->parted -= r->parts.count > 0;
    rep_queue_remove(&en->flight, r);
}

void rep_grpc_give_back(struct rep_grpc *en, struct rep_request *r,
                        enum out_cause cause)
{
    flight_leave(en, r);
    r->out.cause = cause;
    en->base.config.done(en->base.config.arg, r);
}

bool rep_grpc_again_add(struct rep_grpc *en, struct rep_request *r)
{
    if (en->again_count == en->again_cap) {
        size_t cap = en->again_cap ? en->again_cap * 2 : 64;
        struct rep_request **p = realloc(en->again, cap * sizeof *p);
        if (!p)
            return false;
        en->again = p;
        en->again_cap = cap;
    }
    en->again[en->again_count++] = r;
    return true;
}

void rep_grpc_again_remove(struct rep_grpc *en, const struct rep_request *r)
{
    size_t kept = 0;
    for (size_t i = 0; i < en->again_count; i++)
        if (en->again[i] != r)
            en->again[kept++] = en->again[i];
    en->again_count = kept;
}

bool rep_grpc_send_again(struct rep_grpc *en, struct rep_request *r)
{
    if (r->tries >= REP_TRIES_MAX || !rep_grpc_again_add(en, r))
        return false;
    r->out.first_ns = OP_TIME_NONE;
    return true;
}

/* --- calls on their connection ---------------------------------------------------- */

struct rep_call *rep_call_new(struct rep_link *l, struct rep_request *r)
{
    struct rep_grpc *en = l->en;
    struct rep_call *c = en->spare_calls;
    if (c)
        en->spare_calls = c->next;
    else if (!(c = calloc(1, sizeof *c)))
        return NULL;
    struct buf message = c->message;
    buf_reset(&message);
    *c = (struct rep_call){.link = l,
                           .request = r,
                           .grpc_status = -1,
                           .streams = r->stream->streams,
                           .message = message};
    c->next = l->calls;
    if (l->calls)
        l->calls->prev = c;
    l->calls = c;
    l->open++;
    rep_link_note(l);
    rep_call_work_add(c);
    r->place = c;
    return c;
}

void rep_call_spare(struct rep_grpc *en, struct rep_call *c)
{
    c->request->place = NULL;
    c->next = en->spare_calls;
    en->spare_calls = c;
}

/* Takes it off its link. The stream is over, or was never opened. */
static void call_unlink(struct rep_call *c)
{
    struct rep_link *l = c->link;
    rep_call_work_remove(c);
    if (c->prev)
        c->prev->next = c->next;
    else
        l->calls = c->next;
    if (c->next)
        c->next->prev = c->prev;
    l->open--;
    rep_link_note(l);
    for (size_t i = 0; i < l->fresh_count; i++)
        if (l->fresh[i] == c)
            l->fresh[i] = NULL;
    rep_call_spare(l->en, c);
}

/* --- how they end ----------------------------------------------------------------- */

void rep_call_finish(struct rep_call *c, enum out_cause cause)
{
    struct rep_grpc *en = c->link->en;
    struct rep_request *r = c->request;
    r->out.status = c->status;
    r->out.grpc_status = (int16_t)c->grpc_status;
    call_unlink(c);
    rep_grpc_give_back(en, r, cause);
}

void rep_call_abort(struct rep_call *c, enum out_cause cause, enum h2_code code)
{
    struct rep_grpc *en = c->link->en;
    if (c->has_slot)
        h2_client_cancel(&c->link->h2, c->slot, code);
    c->request->out.done_ns = rep_grpc_now(en);
    rep_request_cut(c->request);
    rep_call_finish(c, cause);
}

void rep_call_reset(struct rep_call *c, uint32_t code, bool broken)
{
    struct rep_grpc *en = c->link->en;
    struct rep_request *r = c->request;

    if (code == H2_REFUSED_STREAM && !broken && rep_grpc_send_again(en, r)) {
        call_unlink(c);
        return;
    }
    r->out.done_ns = en->now;
    rep_request_cut(r);
    rep_call_finish(c, broken ? OUT_GARBAGE : OUT_RESET);
}

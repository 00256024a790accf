/*
 * grpc_engine.c - gRPC over HTTP/2 (traces/wire/h2_client.h): unary calls, and those
 * whose both sides are streams of messages. Of the latter, each message of the request
 * goes out at its recorded time after the first, each of the answer is timed by its
 * first byte.
 *
 * Bytes go out once per loop turn (flush), whatever was asked for in between: batching,
 * not framing, decides what HTTP/2 costs. The next call goes to the connection with the
 * fewest open streams. A connection that got a GOAWAY finishes what it carries beside
 * its successor. Streams that a GOAWAY disowned end like those that were refused.
 *
 * Here is the engine's face, and which connection a request goes to; grpc_own.h says
 * where the rest is.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replay/engine/grpc_own.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "replay/schedule.h"

/* --- requests find a connection --------------------------------------------------- */

/* A link that drains makes room for a successor in the same place. */
static struct rep_link *fresh_link(struct rep_grpc *en, uint32_t i)
{
    struct rep_link *l = en->links[i];
    if (l && (!l->draining || l->state == REP_LINK_CLOSED))
        return l;
    struct rep_link *n = calloc(1, sizeof *n);
    if (!n)
        return l;
    n->en = en;
    n->fd = -1;
    n->index = i;
    if (l) {
        n->room = l->room;
        l->index = REP_GRPC_NONE;
        l->next_old = en->old;
        en->old = l;
    }
    en->links[i] = n;
    rep_link_note(n);
    return n;
}

static bool has_room(const struct rep_grpc *en)
{
    return en->base.config.pinned || en->room > 0;
}

/* There is room on some. */
static struct rep_link *best_link(struct rep_grpc *en)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < en->reach; i++)
        if (en->rank[i] < en->rank[best])
            best = i;
    return fresh_link(en, best);
}

/* It had its share of calls: another takes its place, and is begun at once. */
static void succeed(struct rep_link *l)
{
    uint32_t i = l->index;
    rep_link_drain(l, REP_END_LIMIT);
    struct rep_link *next = i != REP_GRPC_NONE ? fresh_link(l->en, i) : l;
    if (next != l && next->state == REP_LINK_CLOSED)
        rep_link_start(next);
}

static void submit(struct rep_link *l, struct rep_request *r)
{
    const struct rep_engine_config *config = &l->en->base.config;
    r->tries++;
    r->out.connection = config->pinned ? r->pin : l->ordinal;
    if (!rep_call_new(l, r)) {
        l->en->base.stats.client_errors++;
        rep_grpc_give_back(l->en, r, OUT_CONNECT);
        return;
    }
    l->carried++;
    /* Streams have numbers up to 2^31: those that are left are for calls that wait. */
    uint64_t bound = (H2_ID_MAX / 2) - config->streams;
    uint64_t asked = config->pinned ? 0 : config->requests_per_connection;
    bound = asked > 0 && asked < bound ? asked : bound;
    if (l->carried >= bound && !l->draining)
        succeed(l);
}

/* Puts a request that is in flight already on some link. There is room. */
static void place(struct rep_grpc *en, struct rep_request *r)
{
    struct rep_link *l =
        en->base.config.pinned ? fresh_link(en, r->slot) : best_link(en);
    if (l->state == REP_LINK_CLOSED)
        rep_link_start(l);
    if (l->state != REP_LINK_CLOSED) {
        submit(l, r);
        return;
    }
    r->out.done_ns = rep_grpc_now(en);
    rep_grpc_give_back(en, r, OUT_CONNECT);
}

/* Those that were sent before, and have to wait no more. What comes back meanwhile
 * waits for the next turn; each leaves the list first, since placing it may bring us
 * here again. */
static void place_again(struct rep_grpc *en)
{
    for (size_t n = en->again_count; n > 0 && en->again_count > 0 && has_room(en);
         n--) {
        struct rep_request *r = en->again[0];
        en->again_count--;
        memmove(en->again, en->again + 1, en->again_count * sizeof(*en->again));
        place(en, r);
    }
}

/* --- opening and closing ---------------------------------------------------------- */

static void grpc_close(struct rep_engine *base)
{
    struct rep_grpc *en = (struct rep_grpc *)base;
    if (!en)
        return;
    for (uint32_t i = 0; en->links && i < base->config.connections; i++)
        rep_link_free(en->links[i]);
    while (en->old) {
        struct rep_link *l = en->old;
        en->old = l->next_old;
        rep_link_free(l);
    }
    while (en->spare_calls) {
        struct rep_call *c = en->spare_calls;
        en->spare_calls = c->next;
        buf_done(&c->message);
        free(c);
    }
    rep_tls_done(&en->tls);
    free(en->links);
    free(en->rank);
    free(en->again);
    free(en->recv_bytes);
    free(en);
}

static int grpc_open(struct rep_engine **out, const struct rep_engine_config *config,
                     struct err *e)
{
    struct rep_grpc *en = calloc(1, sizeof *en);
    if (!en)
        return err_set(e, ERR_NOMEM, "out of memory for the gRPC engine");
    en->base = (struct rep_engine){.ops = &rep_grpc_engine, .config = *config};
    en->reach = config->pinned ? 0 : config->connections;
    en->links = calloc(config->connections, sizeof *en->links);
    en->rank = calloc(config->connections, sizeof *en->rank);
    en->recv_bytes = malloc(REP_GRPC_RECV_BYTES);
    int rc = en->links && en->rank && en->recv_bytes
                 ? 0
                 : err_set(e, ERR_NOMEM, "out of memory for the gRPC engine");
    if (rc == 0 && config->target->tls)
        rc = rep_tls_init(&en->tls, config->tls, config->target, "h2", e);
    for (uint32_t i = 0; rc == 0 && i < config->connections; i++)
        if (!fresh_link(en, i))
            rc = err_set(e, ERR_NOMEM, "out of memory for %u connections",
                         config->connections);
    if (rc < 0) {
        grpc_close(&en->base);
        return rc;
    }
    *out = &en->base;
    return 0;
}

/* --- the engine's face ------------------------------------------------------------ */

static void grpc_warm(struct rep_engine *base)
{
    struct rep_grpc *en = (struct rep_grpc *)base;
    for (uint32_t i = 0; i < en->reach; i++)
        if (en->links[i]->state == REP_LINK_CLOSED)
            rep_link_start(en->links[i]);
}

static bool grpc_warming(const struct rep_engine *base)
{
    return ((const struct rep_grpc *)base)->warming > 0;
}

static uint32_t grpc_live(const struct rep_engine *base)
{
    const struct rep_grpc *en = (const struct rep_grpc *)base;
    uint32_t n = 0;
    for (uint32_t i = 0; i < en->reach; i++)
        n += en->links[i]->state == REP_LINK_UP;
    return n;
}

static uint32_t grpc_free_slots(const struct rep_engine *base)
{
    const struct rep_grpc *en = (const struct rep_grpc *)base;
    return en->room > en->again_count ? (uint32_t)(en->room - en->again_count) : 0;
}

static uint32_t grpc_room(const struct rep_engine *base, uint32_t slot)
{
    return rep_link_room(((const struct rep_grpc *)base)->links[slot]);
}

/* Streams that were given up may still be open on it: then it drains. */
static void grpc_renew(struct rep_engine *base, uint32_t slot)
{
    struct rep_link *l = ((struct rep_grpc *)base)->links[slot];
    if (l->open > 0) {
        rep_link_drain(l, REP_END_ROOM);
        return;
    }
    if (l->state == REP_LINK_UP)
        rep_connect_ended(base, REP_END_ROOM);
    rep_link_shut(l);
}

static void grpc_send(struct rep_engine *base, struct rep_request *r)
{
    struct rep_grpc *en = (struct rep_grpc *)base;
    if (base->config.pinned && r->slot >= en->reach)
        en->reach = r->slot + 1;
    rep_flight_add(&en->flight, r, rep_grpc_now(en));
    en->parted += r->parts.count > 0;
    if (has_room(en))
        place(en, r);
    else if (!rep_grpc_again_add(en, r))
        rep_grpc_give_back(en, r, OUT_CONNECT);
}

static void grpc_frame(struct rep_engine *base)
{
    struct rep_grpc *en = (struct rep_grpc *)base;
    for (uint32_t i = 0; i < en->reach; i++) {
        struct rep_link *l = en->links[i];
        /* What fails here fails again in flush, which knows what to do about it. */
        if (l->state == REP_LINK_UP && !l->reading && l->out_at == l->out.n &&
            rep_link_busy(l))
            (void)rep_link_frame(l);
    }
}

static void grpc_flush(struct rep_engine *base)
{
    struct rep_grpc *en = (struct rep_grpc *)base;

    place_again(en);
    en->now = rep_grpc_now(en);
    for (uint32_t i = 0; i < en->reach; i++) {
        struct rep_link *l = en->links[i];
        if (l->state == REP_LINK_UP && !l->wants_write && !l->reading &&
            (l->out_at < l->out.n || rep_link_busy(l) || rep_link_over(l)))
            (void)rep_link_write(l);
    }
    /* Writing may put more links in front of the list; sweeping calls nobody. */
    for (struct rep_link *l = en->old; l; l = l->next_old)
        if (l->state == REP_LINK_UP && !l->wants_write && !l->reading)
            (void)rep_link_write(l);
    for (struct rep_link **at = &en->old; *at;) {
        struct rep_link *l = *at;
        if (!l->reading && (l->state == REP_LINK_CLOSED || l->open == 0)) {
            *at = l->next_old;
            if (l->state == REP_LINK_UP)
                rep_connect_ended(base, l->why);
            rep_link_free(l);
        } else {
            at = &l->next_old;
        }
    }
}

static int64_t grpc_expire(struct rep_engine *base, int64_t now)
{
    struct rep_grpc *en = (struct rep_grpc *)base;
    struct rep_request *r;
    int64_t next = en->parted > 0 ? rep_grpc_resume(en, now) : REP_NEVER;

    while ((r = en->flight.head) != NULL &&
           r->started_ns + base->config.deadline_ns <= now) {
        struct rep_call *c = r->place;
        struct rep_link *l = c ? c->link : NULL;
        if (c) {
            rep_call_abort(c, OUT_DEADLINE, H2_CANCEL);
        } else {
            rep_grpc_again_remove(en, r);
            r->out.done_ns = now;
            rep_grpc_give_back(en, r, OUT_DEADLINE);
        }
        if (l &&
            l->state == REP_LINK_CONNECTING) { /* for a whole deadline: give it up */
            struct err e = {0};
            err_sys(&e, ETIMEDOUT, "cannot connect");
            rep_link_refused(l, &e);
        }
    }
    int64_t deadline = r ? r->started_ns + base->config.deadline_ns : REP_NEVER;
    return next < deadline ? next : deadline;
}

static uint32_t grpc_in_flight(const struct rep_engine *base)
{
    return (uint32_t)((const struct rep_grpc *)base)->flight.count;
}

static void grpc_cancel(struct rep_engine *base, enum out_cause cause)
{
    struct rep_grpc *en = (struct rep_grpc *)base;
    struct rep_request *r;

    en->again_count = 0;
    while ((r = en->flight.head) != NULL) {
        struct rep_call *c = r->place;
        if (!c) {
            rep_grpc_give_back(en, r, cause);
            continue;
        }
        if (c->has_slot)
            h2_client_cancel(&c->link->h2, c->slot, H2_CANCEL);
        rep_request_cut(r);
        rep_call_finish(c, cause);
    }
}

const struct rep_engine_ops rep_grpc_engine = {
    .name = "grpc",
    .protocol = OP_GRPC,
    .open = grpc_open,
    .warm = grpc_warm,
    .warming = grpc_warming,
    .live = grpc_live,
    .free_slots = grpc_free_slots,
    .send = grpc_send,
    .room = grpc_room,
    .renew = grpc_renew,
    .frame = grpc_frame,
    .flush = grpc_flush,
    .expire = grpc_expire,
    .in_flight = grpc_in_flight,
    .cancel = grpc_cancel,
    .close = grpc_close,
};

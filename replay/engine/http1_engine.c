/*
 * http1_engine.c - REST over HTTP/1.1: keep-alive connections, one request on each.
 *
 * A slot is a connection object without a request, whether or not it is connected:
 * given a request, one that is not connects first, and that wait is back-pressure. The
 * connection used last is used next, as Go's client (k6) does, so that few connections
 * stay warm at low rates. Closed by the peer while idle: it stays closed until it is
 * wanted. Closed with an answer (`connection: close`), or by us after so many requests
 * as config allows: it is made anew at once, off the next request's time. Two system
 * calls a request: one send, one recv.
 *
 * Here is the engine's face, and which connection a request goes to;
 * http1_engine_own.h says where the rest is.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replay/engine/http1_engine_own.h"

#include <assert.h>
#include <stdlib.h>

#include "replay/schedule.h"

static void http1_close(struct rep_engine *base)
{
    struct rep_http1 *en = (struct rep_http1 *)base;
    if (!en)
        return;
    for (uint32_t i = 0; en->conns && i < base->config.connections; i++) {
        rep_conn_shut(&en->conns[i]);
        http1_done(&en->conns[i].parser);
        buf_done(&en->conns[i].body);
    }
    rep_tls_done(&en->tls);
    free(en->conns);
    free(en->recv_bytes);
    free(en->send_bytes);
    free(en);
}

static int http1_open(struct rep_engine **out, const struct rep_engine_config *config,
                      struct err *e)
{
    struct rep_http1 *en = calloc(1, sizeof *en);
    if (en) {
        en->conns = calloc(config->connections, sizeof *en->conns);
        en->recv_bytes = malloc(REP_TURN_BYTES);
        en->send_bytes = malloc(REP_HTTP1_GATHER);
    }
    if (!en || !en->conns || !en->recv_bytes || !en->send_bytes) {
        if (en) {
            free(en->conns);
            free(en->recv_bytes);
            free(en->send_bytes);
        }
        free(en);
        return err_set(e, ERR_NOMEM, "out of memory for %u connections",
                       config->connections);
    }
    en->base = (struct rep_engine){.ops = &rep_http1_engine, .config = *config};
    /* Pushed last first, so that ordinal 0 is used first. */
    for (uint32_t i = config->connections; i-- > 0;) {
        struct rep_conn *c = &en->conns[i];
        c->en = en;
        c->fd = -1;
        c->ordinal = i;
        http1_init(&c->parser, HTTP1_RESPONSE, config->answer_max);
        rep_conn_push(&en->spare, c);
    }
    int rc = config->target->tls
                 ? rep_tls_init(&en->tls, config->tls, config->target, "http/1.1", e)
                 : 0;
    if (rc < 0)
        http1_close(&en->base);
    else
        *out = &en->base;
    return rc;
}

static void http1_warm(struct rep_engine *base)
{
    struct rep_http1 *en = (struct rep_http1 *)base;
    for (uint32_t i = 0; i < base->config.connections; i++)
        if (en->conns[i].state == REP_CONN_CLOSED)
            rep_conn_start(&en->conns[i]);
}

static bool http1_warming(const struct rep_engine *base)
{
    return ((const struct rep_http1 *)base)->connecting > 0;
}

static uint32_t http1_live(const struct rep_engine *base)
{
    const struct rep_http1 *en = (const struct rep_http1 *)base;
    uint32_t n = 0;
    for (uint32_t i = 0; i < base->config.connections; i++)
        n += en->conns[i].state == REP_CONN_IDLE || en->conns[i].state == REP_CONN_BUSY;
    return n;
}

static uint32_t http1_free_slots(const struct rep_engine *base)
{
    const struct rep_http1 *en = (const struct rep_http1 *)base;
    return en->idle.count + en->spare.count;
}

static uint32_t http1_room(const struct rep_engine *base, uint32_t slot)
{
    return ((const struct rep_http1 *)base)->conns[slot].request == NULL;
}

static void http1_renew(struct rep_engine *base, uint32_t slot)
{
    struct rep_http1 *en = (struct rep_http1 *)base;
    struct rep_conn *c = &en->conns[slot];

    assert(!c->request);
    if (c->state == REP_CONN_IDLE) {
        rep_connect_ended(base, REP_END_ROOM);
        rep_conn_remove(&en->idle, c);
        rep_conn_push(&en->spare, c);
    } else if (c->state != REP_CONN_CLOSED) {
        en->connecting--;
    }
    rep_conn_shut(c);
}

static void http1_send(struct rep_engine *base, struct rep_request *r)
{
    struct rep_http1 *en = (struct rep_http1 *)base;
    struct rep_conn *c = en->base.config.pinned ? &en->conns[r->slot]
                         : en->idle.head        ? en->idle.head
                                                : en->spare.head;

    int64_t now = rep_http1_now(en);
    rep_conn_remove(c->state == REP_CONN_IDLE ? &en->idle : &en->spare, c);
    rep_flight_add(&en->flight, r, now);
    r->place = c;
    c->request = r;
    if (c->state == REP_CONN_IDLE) {
        rep_conn_put(c, now);
    } else if (c->state == REP_CONN_CONNECTING) {
        en->connecting--;
    } else {
        rep_conn_start(c);
    }
}

static void http1_flush(struct rep_engine *base)
{
    (void)base; /* everything was written when it was sent */
}

static int64_t http1_expire(struct rep_engine *base, int64_t now)
{
    struct rep_http1 *en = (struct rep_http1 *)base;
    struct rep_request *r;

    while ((r = en->flight.head) != NULL &&
           r->started_ns + base->config.deadline_ns <= now)
        rep_conn_fail(r->place, OUT_DEADLINE);
    return r ? r->started_ns + base->config.deadline_ns : REP_NEVER;
}

static uint32_t http1_in_flight(const struct rep_engine *base)
{
    return (uint32_t)((const struct rep_http1 *)base)->flight.count;
}

static void http1_cancel(struct rep_engine *base, enum out_cause cause)
{
    struct rep_http1 *en = (struct rep_http1 *)base;
    while (en->flight.head) {
        struct rep_conn *c = en->flight.head->place;
        rep_request_cut(c->request);
        rep_conn_shut(c);
        rep_conn_finish(c, cause);
    }
}

const struct rep_engine_ops rep_http1_engine = {
    .name = "http1",
    .protocol = OP_REST,
    .open = http1_open,
    .warm = http1_warm,
    .warming = http1_warming,
    .live = http1_live,
    .free_slots = http1_free_slots,
    .send = http1_send,
    .room = http1_room,
    .renew = http1_renew,
    .flush = http1_flush,
    .expire = http1_expire,
    .in_flight = http1_in_flight,
    .cancel = http1_cancel,
    .close = http1_close,
};

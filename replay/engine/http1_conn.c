/*
 * http1_conn.c - one connection: how it is made, read, idle and lost. See
 * http1_engine_own.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replay/engine/http1_engine_own.h"

#include <assert.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "traces/base/log.h"

#define AREA "engine"

/* --- its end ---------------------------------------------------------------------- */

void rep_conn_shut(struct rep_conn *c)
{
    rep_tls_close(c->tls, false);
    c->tls = NULL;
    if (c->fd >= 0) {
        ev_remove(c->en->base.config.ev, c->fd);
        close(c->fd);
    }
    c->fd = -1;
    c->state = REP_CONN_CLOSED;
    c->wants_write = false;
    c->sent = 0;
    c->write_error = 0;
    c->answered = false;
    c->carried = 0;
    c->piece = (struct span){0};
    buf_reset(&c->body);
    rep_events_done(&c->events);
    http1_reset(&c->parser);
}

void rep_conn_finish(struct rep_conn *c, enum out_cause cause)
{
    struct rep_http1 *en = c->en;
    struct rep_request *r = c->request;

    c->request = NULL;
    rep_conn_push(c->state == REP_CONN_IDLE ? &en->idle : &en->spare, c);
    rep_queue_remove(&en->flight, r);
    r->place = NULL;
    r->out.cause = cause;
    if (cause == OUT_OK || cause == OUT_STATUS)
        assert(r->out.done_ns != OP_TIME_NONE);
    en->base.config.done(en->base.config.arg, r);
}

/* A request's deadline came before its connection did. */
static void conn_too_slow(struct rep_conn *c)
{
    struct err e = {0};
    if (c->tls)
        err_set(&e, ERR_PEER, "the TLS handshake was not complete by the deadline");
    else
        err_sys(&e, ETIMEDOUT, "cannot connect");
    rep_connect_failed(&c->en->base, &e);
}

/* Gives up the connection, whose end is counted, and with it its request. */
static void conn_give_up(struct rep_conn *c, enum out_cause cause)
{
    rep_request_cut(c->request);
    c->request->out.done_ns = rep_http1_now(c->en);
    rep_conn_shut(c);
    rep_conn_finish(c, cause);
}

void rep_conn_fail(struct rep_conn *c, enum out_cause cause)
{
    if (c->state == REP_CONN_BUSY)
        rep_connect_ended(&c->en->base, rep_end_of(cause));
    else if (cause == OUT_DEADLINE)
        conn_too_slow(c);
    conn_give_up(c, cause);
}

void rep_conn_lost(struct rep_conn *c, int sys)
{
    struct rep_request *r = c->request;
    sys = c->write_error ? c->write_error : sys;
    bool again =
        !c->answered && r->tries < REP_TRIES_MAX &&
        rep_unprocessed(c->fd, sys, c->tls ? rep_tls_written(c->tls) : c->sent);
    if (!again) {
        rep_conn_fail(c, rep_end_cause(sys));
        return;
    }
    c->en->base.stats.retries++;
    rep_connect_ended(&c->en->base, REP_END_IDLE);
    log_debug(AREA,
              "http1: closed before operation %llu was read: sent anew connection=%u",
              (unsigned long long)r->out.op_index, c->ordinal);
    rep_conn_shut(c);
    rep_conn_start(c);
}

/* Idle: the peer closed, or says something that nobody asked for (a 408 before
 * closing). */
static void conn_idle_end(struct rep_conn *c)
{
    rep_connect_ended(&c->en->base, REP_END_IDLE);
    log_debug(AREA, "http1: closed by the peer while idle connection=%u", c->ordinal);
    rep_conn_remove(&c->en->idle, c);
    rep_conn_shut(c);
    rep_conn_push(&c->en->spare, c);
}

/* No connection was made after all, which is counted: so ends the request on it. */
static void conn_not_made(struct rep_conn *c, enum out_cause cause)
{
    if (c->state == REP_CONN_IDLE) {
        rep_conn_remove(&c->en->idle, c);
        rep_conn_shut(c);
        rep_conn_push(&c->en->spare, c);
    } else {
        conn_give_up(c, cause);
    }
}

/* The peer refused the handshake after all. */
static void conn_refused_late(struct rep_conn *c)
{
    struct err e = {0};
    err_set(&e, ERR_PEER, "%s", rep_tls_why(c->tls));
    rep_connect_failed(&c->en->base, &e);
    conn_not_made(c, OUT_CONNECT);
}

/* The first bytes of the peer are of another protocol, which it may speak unasked. */
static bool conn_is_foreign(struct rep_conn *c, struct span first)
{
    return !c->answered && c->carried <= 1 && first.n > 0 && first.p[0] < ' ' &&
           rep_connect_foreign(&c->en->base, rep_dialect_of(first));
}

/* --- reading ---------------------------------------------------------------------- */

static ssize_t receive(struct rep_conn *c)
{
    uint8_t *to = c->en->recv_bytes;
    return c->tls ? rep_tls_recv(c->tls, to, REP_TURN_BYTES)
                  : recv(c->fd, to, REP_TURN_BYTES, 0);
}

static void conn_read(struct rep_conn *c)
{
    struct rep_http1 *en = c->en;
    for (;;) {
        ssize_t n = receive(c);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return;
        if (n < 0 && c->tls && rep_tls_refused(c->tls)) {
            conn_refused_late(c);
            return;
        }
        if (n > 0 && conn_is_foreign(c, span_of(en->recv_bytes, (size_t)n))) {
            if (c->request)
                c->request->out.first_ns = rep_http1_now(en);
            conn_not_made(c, OUT_GARBAGE);
            return;
        }
        if (c->state == REP_CONN_IDLE) {
            conn_idle_end(c);
            return;
        }
        if (n < 0) {
            rep_conn_lost(c, errno);
            return;
        }
        c->read_ns = rep_http1_now(en);
        if (n == 0) {
            rep_conn_eof(c);
            return;
        }
        if (!c->answered) {
            c->answered = true;
            c->request->out.first_ns = c->read_ns;
        }
        if (!rep_conn_feed(c, span_of(en->recv_bytes, (size_t)n)))
            return;
        if (!c->tls || !rep_tls_over(c->tls))
            return; /* what is left comes with the next turn */
    }
}

/* --- its beginning ---------------------------------------------------------------- */

static void conn_refused(struct rep_conn *c, const struct err *e)
{
    struct rep_http1 *en = c->en;
    rep_connect_failed(&en->base, e);
    if (!c->request) {
        en->connecting--;
        rep_conn_shut(c);
    } else {
        rep_conn_fail(c, OUT_CONNECT);
    }
}

/* Connected and, with TLS, agreed: serves its request, or is free. */
static void conn_up(struct rep_conn *c)
{
    struct rep_http1 *en = c->en;
    rep_connect_made(&en->base, c->tls);
    rep_conn_watch(c, false);
    if (c->request) {
        int64_t now = rep_http1_now(en);
        if (c->request->out.attempts == 0)
            rep_request_waited(c->request, now, OUT_WAIT_CONNECT);
        rep_conn_put(c, now);
    } else {
        en->connecting--;
        rep_conn_remove(&en->spare, c);
        c->state = REP_CONN_IDLE;
        rep_conn_push(&en->idle, c);
    }
    if (c->tls) /* what came with the end of the handshake */
        conn_read(c);
}

/* The socket is connected, or the handshake can go on. */
static void conn_connected(struct rep_conn *c)
{
    struct rep_http1 *en = c->en;
    struct err e = {0};
    int rc = 1;

    if (!c->tls) {
        int sys = rep_connect_result(c->fd);
        if (sys != 0)
            rc = err_sys(&e, sys, "cannot connect");
        else if (en->base.config.target->tls)
            rc = rep_tls_open(&c->tls, &en->tls, c->fd, &e);
    }
    if (rc >= 0 && c->tls)
        rc = rep_tls_handshake(c->tls, &e);
    if (rc < 0)
        conn_refused(c, &e);
    else if (rc == 0)
        rep_conn_watch(c, rep_tls_pending(c->tls));
    else
        conn_up(c);
}

static void on_event(struct ev *ev, int fd, unsigned events, void *arg)
{
    struct rep_conn *c = arg;
    (void)ev;
    (void)fd;
    if (c->state == REP_CONN_CONNECTING) {
        conn_connected(c);
        return;
    }
    if (events & (EV_READ | EV_HANGUP)) {
        struct rep_request *r = c->request;
        conn_read(c);
        if (c->request != r || c->state != REP_CONN_BUSY)
            return; /* ended, or another request's turn */
    }
    if ((events & EV_WRITE) && c->wants_write && c->state == REP_CONN_BUSY)
        rep_conn_write(c, rep_http1_now(c->en));
}

void rep_conn_start(struct rep_conn *c)
{
    struct rep_http1 *en = c->en;
    struct err e = {0};

    c->fd = rep_connect(en->base.config.target, &e);
    if (c->fd >= 0 &&
        ev_add(en->base.config.ev, c->fd, EV_WRITE | EV_READ, on_event, c, &e) < 0) {
        close(c->fd);
        c->fd = -1;
    }
    c->state = REP_CONN_CONNECTING;
    c->wants_write = true;
    if (!c->request)
        en->connecting++;
    if (c->fd < 0) {
        c->fd = -1;
        conn_refused(c, &e);
    }
}

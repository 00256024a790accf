/*
 * grpc_link.c - one connection: how it is made, written, read and lost. See grpc_own.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replay/engine/grpc_own.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "traces/base/log.h"

#define AREA "engine"

/* --- its end ---------------------------------------------------------------------- */

void rep_link_shut(struct rep_link *l)
{
    rep_tls_close(l->tls, l->out_at < l->out.n);
    l->tls = NULL;
    if (l->fd >= 0) {
        ev_remove(l->en->base.config.ev, l->fd);
        close(l->fd);
    }
    l->fd = -1;
    if (l->state != REP_LINK_CLOSED && !l->settled)
        l->en->warming -= l->en->warming > 0;
    l->state = REP_LINK_CLOSED;
    l->wants_write = l->settled = l->draining = l->foreign = false;
    buf_reset(&l->out);
    l->out_at = 0;
    l->fresh_count = 0;
    l->flushes = 0;
    l->last_write = 0;
    l->carried = 0;
    rep_link_note(l);
}

void rep_link_free(struct rep_link *l)
{
    if (!l)
        return;
    assert(l->open == 0);
    rep_link_shut(l);
    h2_client_done(&l->h2);
    buf_done(&l->out);
    free(l->fresh);
    free(l);
}

static bool all_in_last_write(const struct rep_link *l)
{
    for (const struct rep_call *c = l->calls; c; c = c->next)
        if (c->flush > 0 && c->flush < l->flushes)
            return false;
    return true;
}

/* Why it ended. unread: the last write did not arrive. */
static enum rep_end link_end(const struct rep_link *l, enum out_cause cause,
                             bool unread)
{
    if (cause == OUT_GARBAGE)
        return REP_END_GARBAGE;
    if (l->open > 0 && !(unread && all_in_last_write(l)))
        return rep_end_of(cause);
    return l->draining ? l->why : REP_END_IDLE;
}

/* The connection is gone: ends its calls with `cause`, except those that may go again:
 * never written, or in the last write when that is proved unread. */
static void link_lost(struct rep_link *l, enum out_cause cause, int sys)
{
    struct rep_call *doomed = l->calls;
    bool unread = cause != OUT_CONNECT && cause != OUT_GARBAGE && l->fd >= 0 &&
                  l->last_write > 0 && rep_unprocessed(l->fd, sys, l->last_write);
    uint64_t last = l->flushes;
    bool connected = cause != OUT_CONNECT;
    int64_t now = rep_grpc_now(l->en);
    log_debug(AREA, "grpc: connection ended: %s calls=%u connection=%u",
              out_cause_names[cause], l->open, l->ordinal);

    if (l->state == REP_LINK_UP && cause != OUT_CONNECT && !l->foreign)
        rep_connect_ended(&l->en->base, link_end(l, cause, unread));
    l->calls = l->work = l->work_last = NULL;
    l->open = 0;
    rep_link_shut(l);
    while (doomed) {
        struct rep_call *c = doomed;
        struct rep_request *r = c->request;
        doomed = c->next;
        bool safe = connected && (c->flush == 0 || (unread && c->flush == last));
        r->out.status = c->status;
        r->out.grpc_status = (int16_t)c->grpc_status;
        rep_call_spare(l->en, c);
        if (safe && rep_grpc_send_again(l->en, r))
            continue;
        r->out.done_ns = now;
        rep_request_cut(r);
        rep_grpc_give_back(l->en, r, cause);
    }
}

void rep_link_refused(struct rep_link *l, const struct err *e)
{
    rep_connect_failed(&l->en->base, e);
    link_lost(l, OUT_CONNECT, e->sys);
}

/* The connection ended: errno value sys, 0 for FIN or close_notify. */
static void link_ended(struct rep_link *l, int sys)
{
    struct err e = {0};
    if (l->tls && sys != 0 && rep_tls_refused(l->tls)) {
        err_set(&e, ERR_PEER, "%s", rep_tls_why(l->tls));
        rep_link_refused(l, &e);
        return;
    }
    if (l->tls && sys == 0 && l->open > 0 && !rep_tls_fin(l->tls)) {
        /* After close_notify alone the peer may still be reading: the FIN decides, or
         * the deadlines. */
        rep_link_drain(l, REP_END_CLOSED);
        return;
    }
    link_lost(l, rep_end_cause(sys), sys);
}

/* --- writing ---------------------------------------------------------------------- */

static void link_watch(struct rep_link *l, bool write)
{
    if (l->wants_write == write)
        return;
    l->wants_write = write;
    if (ev_change(l->en->base.config.ev, l->fd, write ? EV_READ | EV_WRITE : EV_READ,
                  NULL) < 0)
        l->en->base.stats.client_errors++;
}

bool rep_link_frame(struct rep_link *l)
{
    if (!rep_link_frame_calls(l) || !h2_client_take(&l->h2, &l->out))
        return false;
    return !l->tls || rep_tls_seal_buf(l->tls, &l->out);
}

static void link_stamp(struct rep_link *l, int64_t now)
{
    l->flushes++;
    for (size_t i = 0; i < l->fresh_count; i++) {
        struct rep_call *c = l->fresh[i];
        if (!c)
            continue;
        c->flush = l->flushes;
        l->en->base.stats.retries += c->request->out.attempts++ > 0;
        if (c->request->out.sent_ns == OP_TIME_NONE)
            c->request->out.sent_ns = now;
    }
    l->fresh_count = 0;
}

bool rep_link_write(struct rep_link *l)
{
    for (;;) {
        if (l->out_at == l->out.n) {
            buf_reset(&l->out);
            l->out_at = 0;
            if (!rep_link_frame(l)) {
                link_lost(l, OUT_GARBAGE, 0);
                return false;
            }
            if (l->out.n == 0)
                break;
        }
        int64_t before = rep_grpc_now(l->en);
        ssize_t n =
            send(l->fd, l->out.p + l->out_at, l->out.n - l->out_at, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            link_watch(l, true);
            return true;
        }
        if (n < 0) {
            link_lost(l, OUT_RESET, errno);
            return false;
        }
        if (l->out_at == 0) {
            link_stamp(l, before);
            l->last_write = 0;
        }
        l->out_at += (size_t)n;
        l->last_write += (size_t)n;
    }
    link_watch(l, false);
    if (rep_link_over(l)) {
        link_lost(l, OUT_CLOSED, 0);
        return false;
    }
    return true;
}

/* --- reading ---------------------------------------------------------------------- */

/* What came is handled. False: it broke the rules of HTTP/2. */
static bool link_events(struct rep_link *l, struct span in)
{
    struct h2_event ev;
    struct err e = {0};
    struct span first = in;
    int rc;

    l->reading = true;
    while ((rc = h2_client_next(&l->h2, &in, l->en->now, &ev, &e)) > 0)
        rep_link_event(l, &ev);
    l->reading = false;
    if (rc < 0)
        log_debug(AREA, "grpc: %s connection=%u", e.text, l->ordinal);
    if (rc < 0 && !l->settled)
        l->foreign = rep_connect_foreign(&l->en->base, rep_dialect_of(first));
    return rc == 0;
}

/* Says why we leave, if that does not block. */
static void link_broken(struct rep_link *l)
{
    if (l->out_at == l->out.n) {
        buf_reset(&l->out);
        l->out_at = 0;
        if (h2_client_take(&l->h2, &l->out) &&
            (!l->tls || rep_tls_seal_buf(l->tls, &l->out)))
            (void)!send(l->fd, l->out.p, l->out.n, MSG_NOSIGNAL | MSG_DONTWAIT);
        l->out_at = l->out.n;
    }
    link_lost(l, OUT_GARBAGE, 0);
}

static void link_read(struct rep_link *l)
{
    struct rep_grpc *en = l->en;
    for (;;) {
        ssize_t n = l->tls ? rep_tls_recv(l->tls, en->recv_bytes, REP_GRPC_RECV_BYTES)
                           : recv(l->fd, en->recv_bytes, REP_GRPC_RECV_BYTES, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return;
        if (n <= 0) {
            link_ended(l, n < 0 ? errno : 0);
            return;
        }
        en->now = rep_grpc_now(en);
        if (!link_events(l, span_of(en->recv_bytes, (size_t)n))) {
            link_broken(l);
            return;
        }
        if (n < (ssize_t)REP_GRPC_RECV_BYTES && !(l->tls && rep_tls_over(l->tls)))
            return;
    }
}

/* --- its beginning ---------------------------------------------------------------- */

/* Connected and, with TLS, agreed: its calls may go. */
static void link_up(struct rep_link *l)
{
    int64_t now = rep_grpc_now(l->en);
    rep_connect_made(&l->en->base, l->tls);
    l->state = REP_LINK_UP;
    rep_link_note(l);
    for (struct rep_call *c = l->calls; c; c = c->next)
        if (c->request->out.attempts == 0)
            rep_request_waited(c->request, now, OUT_WAIT_CONNECT);
    if (rep_link_write(l) && l->tls) /* what came with the end of the handshake */
        link_read(l);
}

/* The socket is connected, or the handshake can go on. */
static void link_connected(struct rep_link *l)
{
    struct rep_grpc *en = l->en;
    struct err e = {0};
    int rc = 1;

    if (!l->tls) {
        int sys = rep_connect_result(l->fd);
        if (sys != 0)
            rc = err_sys(&e, sys, "cannot connect");
        else if (en->base.config.target->tls)
            rc = rep_tls_open(&l->tls, &en->tls, l->fd, &e);
    }
    if (rc >= 0 && l->tls)
        rc = rep_tls_handshake(l->tls, &e);
    if (rc < 0)
        rep_link_refused(l, &e);
    else if (rc == 0)
        link_watch(l, rep_tls_pending(l->tls));
    else
        link_up(l);
}

static void on_event(struct ev *ev, int fd, unsigned events, void *arg)
{
    struct rep_link *l = arg;
    (void)ev;
    (void)fd;
    if (l->state == REP_LINK_CONNECTING) {
        link_connected(l);
        return;
    }
    if (events & (EV_READ | EV_HANGUP))
        link_read(l);
    if ((events & EV_WRITE) && l->state == REP_LINK_UP && l->wants_write)
        (void)rep_link_write(l);
}

void rep_link_start(struct rep_link *l)
{
    struct err e = {0};

    l->ordinal = l->en->next_ordinal++;
    l->fd = rep_connect(l->en->base.config.target, &e);
    if (l->fd >= 0 &&
        ev_add(l->en->base.config.ev, l->fd, EV_WRITE | EV_READ, on_event, l, &e) < 0) {
        close(l->fd);
        l->fd = -1;
    }
    if (h2_client_init(&l->h2, l->en->base.config.streams, NULL) < 0)
        err_sys(&e, ENOMEM, "cannot begin HTTP/2");
    l->state = REP_LINK_CONNECTING;
    l->settled = false;
    l->wants_write = true;
    rep_link_note(l);
    l->en->warming++;
    if (l->fd < 0 || e.sys != 0)
        rep_link_refused(l, &e);
}

/*
 * http1_send.c - a request goes out on its connection, in parts if it is large. See
 * http1_engine_own.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replay/engine/http1_engine_own.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

/* What delays a large body must not be: the first byte waits for the encryption of one
 * record of TLS alone, and others that are due wait for a part of it alone (engine.h).
 */
#define FIRST_SEAL (16u << 10)
#define PIECES     3 /* of a request */

/* The pieces of the request that are to be sent next, at most `room` bytes, a single
 * one if they are short; how many. Valid until asked again. */
static size_t pieces(const struct rep_conn *c, size_t room, struct span out[PIECES])
{
    const struct rep_request *r = c->request;
    struct span all[PIECES] = {r->stream->head, r->wire[0], r->wire[1]};
    size_t count = 0, from = c->sent, n = 0;
    for (size_t i = 0; i < PIECES; i++) {
        size_t skip = from < all[i].n ? from : all[i].n;
        struct span left = span_sub(all[i], skip, all[i].n);
        left.n = left.n < room ? left.n : room;
        from -= skip;
        room -= left.n;
        if (left.n > 0)
            out[count++] = left;
    }
    if (count < 2 || rep_conn_request_bytes(r) - c->sent > REP_HTTP1_GATHER)
        return count;
    for (size_t i = 0; i < count; n += out[i++].n)
        memcpy(c->en->send_bytes + n, out[i].p, out[i].n);
    out[0] = span_of(c->en->send_bytes, n);
    return 1;
}

static ssize_t send_some(const struct rep_conn *c)
{
    struct span left[PIECES];
    struct iovec iov[PIECES];
    size_t count = pieces(c, REP_TURN_BYTES, left);

    if (count == 1)
        return send(c->fd, left[0].p, left[0].n, MSG_NOSIGNAL);
    for (size_t i = 0; i < count; i++)
        iov[i] = (struct iovec){(void *)(uintptr_t)left[i].p, left[i].n};
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = count};
    return sendmsg(c->fd, &m, MSG_NOSIGNAL);
}

/* TLS: encrypts the next piece of the request once the one before is written. False:
 * broken. */
static bool conn_seal(struct rep_conn *c)
{
    struct span left[PIECES];
    size_t room = c->sent == 0 ? FIRST_SEAL : REP_TLS_SEAL_MAX;

    if (c->sent > 0 && rep_tls_pending(c->tls))
        return true;
    size_t count = pieces(c, room, left);
    for (size_t i = 0; i < count; i++) {
        if (!rep_tls_seal(c->tls, left[i]))
            return false;
        c->sent += left[i].n;
    }
    return true;
}

static bool conn_written(const struct rep_conn *c, size_t total)
{
    return c->sent == total && !(c->tls && rep_tls_pending(c->tls));
}

static bool conn_untouched(const struct rep_conn *c)
{
    return c->tls ? rep_tls_written(c->tls) == 0 : c->sent == 0;
}

/* A write failed. Perhaps the peer answered before it closed (413): looks there first,
 * and lets the end of the connection say what it means. */
static void conn_write_failed(struct rep_conn *c, int sys)
{
    c->write_error = sys;
    if (conn_untouched(c))
        rep_conn_lost(c, sys);
    else
        rep_conn_watch(c, false);
}

void rep_conn_write(struct rep_conn *c, int64_t now)
{
    struct rep_request *r = c->request;
    size_t total = rep_conn_request_bytes(r), begun = c->sent;

    while (!conn_written(c, total)) {
        if (c->sent - begun >= REP_TURN_BYTES) { /* the socket has room: goes on soon */
            rep_conn_watch(c, true);
            return;
        }
        if (c->tls && !conn_seal(c)) {
            rep_conn_fail(c, OUT_GARBAGE);
            return;
        }
        bool first = conn_untouched(c);
        if (c->tls) /* encrypting is no part of sending */
            now = rep_http1_now(c->en);
        ssize_t n = c->tls ? rep_tls_flush(c->tls) : send_some(c);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            rep_conn_watch(c, true);
            return;
        }
        if (n < 0) {
            conn_write_failed(c, errno);
            return;
        }
        if (first) {
            r->out.attempts++;
            if (r->out.sent_ns == OP_TIME_NONE)
                r->out.sent_ns = now;
        }
        if (!c->tls)
            c->sent += (size_t)n;
    }
    rep_conn_watch(c, false);
}

void rep_conn_put(struct rep_conn *c, int64_t now)
{
    struct rep_request *r = c->request;
    c->state = REP_CONN_BUSY;
    c->parser.head.status =
        0; /* that of the answer before must not be taken for ours */
    c->parser.head_request = span_eq_str(r->stream->as_sent.method, "HEAD");
    r->out.connection = c->en->base.config.pinned ? r->pin : c->ordinal;
    r->tries++;
    c->carried++;
    if (c->tls)
        rep_tls_mark(c->tls);
    rep_conn_write(c, now);
}

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
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "replay/engine/engine.h"
#include "replay/mark.h"
#include "replay/schedule.h"
#include "traces/base/log.h"
#include "traces/wire/content_encoding.h"
#include "traces/wire/http1.h"
#include "traces/wire/sse.h"

#define AREA       "engine"
#define RECV_BYTES REP_TURN_BYTES
/* What delays a large body must not be: the first byte waits for the encryption of one
 * record of TLS alone, and others that are due wait for a part of it alone (engine.h).
 */
#define FIRST_SEAL (16u << 10)
/* What is left of a request goes out as one piece up to this size: to copy it costs
 * less than a list of pieces. */
#define GATHER_BYTES 4096u
#define PIECES       3 /* of a request */

enum conn_state { CONN_CLOSED, CONN_CONNECTING, CONN_IDLE, CONN_BUSY };

/* Invariants: fd >= 0 unless CLOSED; request set in BUSY, perhaps in CONNECTING, never
 * else; in exactly one list while it has no request: idle when IDLE, else spare. */
struct conn {
    struct http1 *en;
    struct conn *next, *prev;
    int fd;
    struct rep_tls_conn *tls; /* NULL: plaintext, or not connected */
    enum conn_state state;
    uint32_t ordinal;
    bool wants_write; /* EV_WRITE is on */
    struct rep_request *request;
    size_t sent;       /* bytes of the request that were written; TLS: encrypted */
    int write_error;   /* errno value of a failed write: recv may not tell it again */
    bool answered;     /* a byte of the answer came */
    bool events;       /* the answer is a stream of server-sent events */
    uint64_t carried;  /* requests since it was connected */
    int64_t read_ns;   /* when the last read had brought something, or the end */
    struct span piece; /* the body so far, when it is one piece of the receive buffer */
    struct buf body;   /* else */
    struct sse sse;
    int64_t event_ns;           /* when the first byte of the present one came */
    struct http1_parser parser; /* last, for it is long and mostly not touched */
};

struct list {
    struct conn *head;
    uint32_t count;
};

struct http1 {
    struct rep_engine base;
    struct conn *conns;
    struct list idle, spare;
    uint32_t connecting; /* without a request */
    struct rep_queue flight;
    uint8_t *recv_bytes, *send_bytes;
    struct rep_tls tls; /* where the target takes it */
};

static void conn_start(struct conn *c);
static void conn_write(struct conn *c, int64_t now);

static int64_t now_ns(const struct http1 *en)
{
    return clk_mono_now(en->base.config.clk).ns;
}

static void list_push(struct list *l, struct conn *c)
{
    c->prev = NULL;
    c->next = l->head;
    if (l->head)
        l->head->prev = c;
    l->head = c;
    l->count++;
}

static void list_remove(struct list *l, struct conn *c)
{
    if (c->prev)
        c->prev->next = c->next;
    else
        l->head = c->next;
    if (c->next)
        c->next->prev = c->prev;
    c->next = c->prev = NULL;
    l->count--;
}

/* --- connections ------------------------------------------------------------------ */

/* Closes the socket; lists and request are the caller's to mend. */
static void conn_shut(struct conn *c)
{
    rep_tls_close(c->tls, false);
    c->tls = NULL;
    if (c->fd >= 0) {
        ev_remove(c->en->base.config.ev, c->fd);
        close(c->fd);
    }
    c->fd = -1;
    c->state = CONN_CLOSED;
    c->wants_write = false;
    c->sent = 0;
    c->write_error = 0;
    c->answered = false;
    c->carried = 0;
    c->piece = (struct span){0};
    buf_reset(&c->body);
    http1_reset(&c->parser);
}

static void conn_watch(struct conn *c, bool write)
{
    if (c->wants_write == write)
        return;
    c->wants_write = write;
    /* Cannot fail for a descriptor that is being watched. */
    if (ev_change(c->en->base.config.ev, c->fd, write ? EV_READ | EV_WRITE : EV_READ,
                  NULL) < 0)
        c->en->base.stats.client_errors++;
}

/* Takes the request off the connection and gives it back. The last thing that a handler
 * does with c: the worker may put the next request on it before this returns. */
static void conn_finish(struct conn *c, enum out_cause cause)
{
    struct http1 *en = c->en;
    struct rep_request *r = c->request;

    c->request = NULL;
    list_push(c->state == CONN_IDLE ? &en->idle : &en->spare, c);
    rep_queue_remove(&en->flight, r);
    r->place = NULL;
    r->out.cause = cause;
    if (cause == OUT_OK || cause == OUT_STATUS)
        assert(r->out.done_ns != OP_TIME_NONE);
    en->base.config.done(en->base.config.arg, r);
}

/* A request's deadline came before its connection did. */
static void conn_too_slow(struct conn *c)
{
    struct err e = {0};
    if (c->tls)
        err_set(&e, ERR_PEER, "the TLS handshake was not complete by the deadline");
    else
        err_sys(&e, ETIMEDOUT, "cannot connect");
    rep_connect_failed(&c->en->base, &e);
}

/* Gives up the connection, whose end is counted, and with it its request. */
static void conn_give_up(struct conn *c, enum out_cause cause)
{
    rep_request_cut(c->request);
    c->request->out.done_ns = now_ns(c->en);
    conn_shut(c);
    conn_finish(c, cause);
}

static void conn_fail(struct conn *c, enum out_cause cause)
{
    if (c->state == CONN_BUSY)
        rep_connect_ended(&c->en->base, rep_end_of(cause));
    else if (cause == OUT_DEADLINE)
        conn_too_slow(c);
    conn_give_up(c, cause);
}

/* The connection ended (errno value sys; 0: FIN) before the answer was complete: sends
 * the request once more if that is safe (engine.h), else ends it. */
static void conn_lost(struct conn *c, int sys)
{
    struct rep_request *r = c->request;
    sys = c->write_error ? c->write_error : sys;
    bool again =
        !c->answered && r->tries < REP_TRIES_MAX &&
        rep_unprocessed(c->fd, sys, c->tls ? rep_tls_written(c->tls) : c->sent);
    if (!again) {
        conn_fail(c, rep_end_cause(sys));
        return;
    }
    c->en->base.stats.retries++;
    rep_connect_ended(&c->en->base, REP_END_IDLE);
    log_debug(AREA,
              "http1: closed before operation %llu was read: sent anew connection=%u",
              (unsigned long long)r->out.op_index, c->ordinal);
    conn_shut(c);
    conn_start(c);
}

/* --- answers ---------------------------------------------------------------------- */

static void conn_body_piece(struct conn *c, struct span data)
{
    if (c->piece.n == 0 && c->body.n == 0) {
        c->piece = data;
        return;
    }
    buf_span(&c->body, c->piece);
    c->piece = (struct span){0};
    buf_span(&c->body, data);
}

static size_t request_bytes(const struct rep_request *r)
{
    return r->stream->head.n + r->wire[0].n + r->wire[1].n;
}

static void look_at_marks(struct conn *c)
{
    const struct http1_head *h = &c->parser.head;
    for (uint32_t i = 0; i < h->field_count; i++)
        if (span_eq_nocase(h->fields[i].name, REP_MARK_FIELD))
            rep_mark_look(c->request, h->fields[i].value);
}

/* How the answer ends its connection; REP_END_COUNT: not at all. `more` bytes came
 * behind it. */
static enum rep_end ended_by_answer(const struct conn *c, bool more, bool eof)
{
    const struct rep_request *r = c->request;
    uint64_t limit = c->en->base.config.requests_per_connection;
    bool whole = c->sent == request_bytes(r) &&
                 !(c->tls && (rep_tls_pending(c->tls) || rep_tls_over(c->tls)));
    return !c->parser.head.keep_alive || !whole || eof ? REP_END_ANSWER
           : more                                      ? REP_END_GARBAGE
           : limit > 0 && c->carried >= limit          ? REP_END_LIMIT
                                                       : REP_END_COUNT;
}

/* Answer complete; `more` bytes came behind it. */
static void conn_answered(struct conn *c, bool more, bool eof)
{
    struct http1 *en = c->en;
    struct rep_request *r = c->request;
    struct span body = c->body.n > 0 ? buf_view(&c->body) : c->piece;
    uint16_t status = c->parser.head.status;
    enum rep_end end = ended_by_answer(c, more, eof);

    r->out.done_ns = c->read_ns;
    r->out.status = status;
    r->out.bytes_in = body.n;
    r->out.answer_hash = outcome_answer_hash(body);
    look_at_marks(c);
    if (c->events && sse_end(&c->sse) == SSE_EVENT &&
        rep_request_message(r, c->event_ns, c->sse.bytes) < 0)
        en->base.stats.client_errors++;
    if (en->base.config.keep_answers)
        buf_span(&r->answer, body);
    if (c->body.failed)
        en->base.stats.client_errors++;
    enum out_cause cause = c->body.failed                  ? OUT_TOO_BIG
                           : status >= 200 && status < 300 ? OUT_OK
                                                           : OUT_STATUS;
    if (end == REP_END_COUNT) {
        c->state = CONN_IDLE;
        c->sent = 0;
        c->answered = false;
        c->piece = (struct span){0};
        buf_reset(&c->body);
        conn_watch(c, false);
        conn_finish(c, cause);
        return;
    }
    /* Connect anew before the request goes back, so that the next one finds it under
     * way. */
    rep_connect_ended(&en->base, end);
    conn_shut(c);
    c->request = NULL;
    conn_start(c);
    c->request = r;
    conn_finish(c, cause);
}

/* Notes the events that end in data. False when there are too many of them. */
static bool conn_events(struct conn *c, struct span data)
{
    while (data.n > 0) {
        if (!c->sse.inside)
            c->event_ns = c->read_ns;
        if (sse_feed(&c->sse, &data) == SSE_EVENT &&
            rep_request_message(c->request, c->event_ns, c->sse.bytes) < 0)
            return false;
    }
    return true;
}

static void conn_head(struct conn *c)
{
    const struct http1_head *h = &c->parser.head;
    uint16_t *codings = &c->request->answer_codings;
    *codings = 0; /* perhaps a 1xx went before */
    for (uint32_t i = 0; i < h->field_count; i++)
        if (span_eq_nocase(h->fields[i].name, "content-encoding"))
            content_codings_add(codings, h->fields[i].value);
    c->events = h->status / 100 == 2 && *codings == 0 &&
                rep_is_event_stream(http1_field(h, "content-type"));
    c->sse = (struct sse){0};
}

/* Feeds what came to the parser. False: c was given back and must not be touched. */
static bool conn_feed(struct conn *c, struct span in)
{
    for (;;) {
        struct span data = {0};
        int event = http1_feed(&c->parser, &in, &data, NULL);
        if (event == HTTP1_HEAD)
            conn_head(c);
        if (event == HTTP1_DATA && c->events && !conn_events(c, data)) {
            conn_fail(c, OUT_TOO_BIG);
            return false;
        }
        if (event == HTTP1_DATA)
            conn_body_piece(c, data);
        if (event == HTTP1_END) {
            conn_answered(c, in.n > 0, false);
            return false;
        }
        if (event < 0) {
            c->request->out.status = c->parser.head.status;
            conn_fail(c, event == ERR_LIMIT ? OUT_TOO_BIG : OUT_GARBAGE);
            return false;
        }
        if (event == HTTP1_MORE)
            break;
    }
    /* The receive buffer is used again by others: keep our piece of it. */
    if (c->piece.n > 0) {
        buf_span(&c->body, c->piece);
        c->piece = (struct span){0};
    }
    return true;
}

static void conn_eof(struct conn *c)
{
    if (!c->answered) {
        /* After close_notify alone the peer may still be reading: the FIN decides, or
         * the deadline. */
        if (!c->tls || rep_tls_fin(c->tls))
            conn_lost(c, 0);
        return;
    }
    bool begun = !http1_idle(&c->parser);
    bool orderly = !c->tls || rep_tls_ended(c->tls);
    if (http1_eof(&c->parser, NULL) == HTTP1_END && begun && orderly) {
        conn_answered(c, false, true);
    } else {
        c->request->out.status = c->parser.head.status;
        conn_fail(c, OUT_CLOSED);
    }
}

/* Idle: the peer closed, or says something that nobody asked for (a 408 before
 * closing). */
static void conn_idle_end(struct conn *c)
{
    rep_connect_ended(&c->en->base, REP_END_IDLE);
    log_debug(AREA, "http1: closed by the peer while idle connection=%u", c->ordinal);
    list_remove(&c->en->idle, c);
    conn_shut(c);
    list_push(&c->en->spare, c);
}

/* No connection was made after all, which is counted: so ends the request on it. */
static void conn_not_made(struct conn *c, enum out_cause cause)
{
    if (c->state == CONN_IDLE) {
        list_remove(&c->en->idle, c);
        conn_shut(c);
        list_push(&c->en->spare, c);
    } else {
        conn_give_up(c, cause);
    }
}

/* The peer refused the handshake after all. */
static void conn_refused_late(struct conn *c)
{
    struct err e = {0};
    err_set(&e, ERR_PEER, "%s", rep_tls_why(c->tls));
    rep_connect_failed(&c->en->base, &e);
    conn_not_made(c, OUT_CONNECT);
}

/* The first bytes of the peer are of another protocol, which it may speak unasked. */
static bool conn_is_foreign(struct conn *c, struct span first)
{
    return !c->answered && c->carried <= 1 && first.n > 0 && first.p[0] < ' ' &&
           rep_connect_foreign(&c->en->base, rep_dialect_of(first));
}

static ssize_t receive(struct conn *c)
{
    uint8_t *to = c->en->recv_bytes;
    return c->tls ? rep_tls_recv(c->tls, to, RECV_BYTES)
                  : recv(c->fd, to, RECV_BYTES, 0);
}

static void conn_read(struct conn *c)
{
    struct http1 *en = c->en;
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
                c->request->out.first_ns = now_ns(en);
            conn_not_made(c, OUT_GARBAGE);
            return;
        }
        if (c->state == CONN_IDLE) {
            conn_idle_end(c);
            return;
        }
        if (n < 0) {
            conn_lost(c, errno);
            return;
        }
        c->read_ns = now_ns(en);
        if (n == 0) {
            conn_eof(c);
            return;
        }
        if (!c->answered) {
            c->answered = true;
            c->request->out.first_ns = c->read_ns;
        }
        if (!conn_feed(c, span_of(en->recv_bytes, (size_t)n)))
            return;
        if (!c->tls || !rep_tls_over(c->tls))
            return; /* what is left comes with the next turn */
    }
}

/* --- requests --------------------------------------------------------------------- */

/* The pieces of the request that are to be sent next, at most `room` bytes, a single
 * one if they are short; how many. Valid until asked again. */
static size_t pieces(const struct conn *c, size_t room, struct span out[PIECES])
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
    if (count < 2 || request_bytes(r) - c->sent > GATHER_BYTES)
        return count;
    for (size_t i = 0; i < count; n += out[i++].n)
        memcpy(c->en->send_bytes + n, out[i].p, out[i].n);
    out[0] = span_of(c->en->send_bytes, n);
    return 1;
}

static ssize_t send_some(const struct conn *c)
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
static bool conn_seal(struct conn *c)
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

static bool conn_written(const struct conn *c, size_t total)
{
    return c->sent == total && !(c->tls && rep_tls_pending(c->tls));
}

static bool conn_untouched(const struct conn *c)
{
    return c->tls ? rep_tls_written(c->tls) == 0 : c->sent == 0;
}

/* A write failed. Perhaps the peer answered before it closed (413): looks there first,
 * and lets the end of the connection say what it means. */
static void conn_write_failed(struct conn *c, int sys)
{
    c->write_error = sys;
    if (conn_untouched(c))
        conn_lost(c, sys);
    else
        conn_watch(c, false);
}

/* now: the clock, just read. */
static void conn_write(struct conn *c, int64_t now)
{
    struct rep_request *r = c->request;
    size_t total = request_bytes(r), begun = c->sent;

    while (!conn_written(c, total)) {
        if (c->sent - begun >= REP_TURN_BYTES) { /* the socket has room: goes on soon */
            conn_watch(c, true);
            return;
        }
        if (c->tls && !conn_seal(c)) {
            conn_fail(c, OUT_GARBAGE);
            return;
        }
        bool first = conn_untouched(c);
        if (c->tls) /* encrypting is no part of sending */
            now = now_ns(c->en);
        ssize_t n = c->tls ? rep_tls_flush(c->tls) : send_some(c);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            conn_watch(c, true);
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
    conn_watch(c, false);
}

/* now: the clock, just read. */
static void conn_put(struct conn *c, int64_t now)
{
    struct rep_request *r = c->request;
    c->state = CONN_BUSY;
    c->parser.head.status =
        0; /* that of the answer before must not be taken for ours */
    c->parser.head_request = span_eq_str(r->stream->as_sent.method, "HEAD");
    r->out.connection = c->en->base.config.pinned ? r->pin : c->ordinal;
    r->tries++;
    c->carried++;
    if (c->tls)
        rep_tls_mark(c->tls);
    conn_write(c, now);
}

static void conn_refused(struct conn *c, const struct err *e)
{
    struct http1 *en = c->en;
    rep_connect_failed(&en->base, e);
    if (!c->request) {
        en->connecting--;
        conn_shut(c);
    } else {
        conn_fail(c, OUT_CONNECT);
    }
}

/* Connected and, with TLS, agreed: serves its request, or is free. */
static void conn_up(struct conn *c)
{
    struct http1 *en = c->en;
    rep_connect_made(&en->base, c->tls);
    conn_watch(c, false);
    if (c->request) {
        int64_t now = now_ns(en);
        if (c->request->out.attempts == 0)
            rep_request_waited(c->request, now, OUT_WAIT_CONNECT);
        conn_put(c, now);
    } else {
        en->connecting--;
        list_remove(&en->spare, c);
        c->state = CONN_IDLE;
        list_push(&en->idle, c);
    }
    if (c->tls) /* what came with the end of the handshake */
        conn_read(c);
}

/* The socket is connected, or the handshake can go on. */
static void conn_connected(struct conn *c)
{
    struct http1 *en = c->en;
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
        conn_watch(c, rep_tls_pending(c->tls));
    else
        conn_up(c);
}

static void on_event(struct ev *ev, int fd, unsigned events, void *arg)
{
    struct conn *c = arg;
    (void)ev;
    (void)fd;
    if (c->state == CONN_CONNECTING) {
        conn_connected(c);
        return;
    }
    if (events & (EV_READ | EV_HANGUP)) {
        struct rep_request *r = c->request;
        conn_read(c);
        if (c->request != r || c->state != CONN_BUSY)
            return; /* ended, or another request's turn */
    }
    if ((events & EV_WRITE) && c->wants_write && c->state == CONN_BUSY)
        conn_write(c, now_ns(c->en));
}

/* Begins to connect; with a request on it or without. */
static void conn_start(struct conn *c)
{
    struct http1 *en = c->en;
    struct err e = {0};

    c->fd = rep_connect(en->base.config.target, &e);
    if (c->fd >= 0 &&
        ev_add(en->base.config.ev, c->fd, EV_WRITE | EV_READ, on_event, c, &e) < 0) {
        close(c->fd);
        c->fd = -1;
    }
    c->state = CONN_CONNECTING;
    c->wants_write = true;
    if (!c->request)
        en->connecting++;
    if (c->fd < 0) {
        c->fd = -1;
        conn_refused(c, &e);
    }
}

/* --- the engine's face ------------------------------------------------------------ */

static void http1_close(struct rep_engine *base)
{
    struct http1 *en = (struct http1 *)base;
    if (!en)
        return;
    for (uint32_t i = 0; en->conns && i < base->config.connections; i++) {
        conn_shut(&en->conns[i]);
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
    struct http1 *en = calloc(1, sizeof *en);
    if (en) {
        en->conns = calloc(config->connections, sizeof *en->conns);
        en->recv_bytes = malloc(RECV_BYTES);
        en->send_bytes = malloc(GATHER_BYTES);
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
        struct conn *c = &en->conns[i];
        c->en = en;
        c->fd = -1;
        c->ordinal = i;
        http1_init(&c->parser, HTTP1_RESPONSE, config->answer_max);
        list_push(&en->spare, c);
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
    struct http1 *en = (struct http1 *)base;
    for (uint32_t i = 0; i < base->config.connections; i++)
        if (en->conns[i].state == CONN_CLOSED)
            conn_start(&en->conns[i]);
}

static bool http1_warming(const struct rep_engine *base)
{
    return ((const struct http1 *)base)->connecting > 0;
}

static uint32_t http1_live(const struct rep_engine *base)
{
    const struct http1 *en = (const struct http1 *)base;
    uint32_t n = 0;
    for (uint32_t i = 0; i < base->config.connections; i++)
        n += en->conns[i].state == CONN_IDLE || en->conns[i].state == CONN_BUSY;
    return n;
}

static uint32_t http1_free_slots(const struct rep_engine *base)
{
    const struct http1 *en = (const struct http1 *)base;
    return en->idle.count + en->spare.count;
}

static uint32_t http1_room(const struct rep_engine *base, uint32_t slot)
{
    return ((const struct http1 *)base)->conns[slot].request == NULL;
}

static void http1_renew(struct rep_engine *base, uint32_t slot)
{
    struct http1 *en = (struct http1 *)base;
    struct conn *c = &en->conns[slot];

    assert(!c->request);
    if (c->state == CONN_IDLE) {
        rep_connect_ended(base, REP_END_ROOM);
        list_remove(&en->idle, c);
        list_push(&en->spare, c);
    } else if (c->state != CONN_CLOSED) {
        en->connecting--;
    }
    conn_shut(c);
}

static void http1_send(struct rep_engine *base, struct rep_request *r)
{
    struct http1 *en = (struct http1 *)base;
    struct conn *c = en->base.config.pinned ? &en->conns[r->slot]
                     : en->idle.head        ? en->idle.head
                                            : en->spare.head;

    int64_t now = now_ns(en);
    list_remove(c->state == CONN_IDLE ? &en->idle : &en->spare, c);
    rep_flight_add(&en->flight, r, now);
    r->place = c;
    c->request = r;
    if (c->state == CONN_IDLE) {
        conn_put(c, now);
    } else if (c->state == CONN_CONNECTING) {
        en->connecting--;
    } else {
        conn_start(c);
    }
}

static void http1_flush(struct rep_engine *base)
{
    (void)base; /* everything was written when it was sent */
}

static int64_t http1_expire(struct rep_engine *base, int64_t now)
{
    struct http1 *en = (struct http1 *)base;
    struct rep_request *r;

    while ((r = en->flight.head) != NULL &&
           r->started_ns + base->config.deadline_ns <= now)
        conn_fail(r->place, OUT_DEADLINE);
    return r ? r->started_ns + base->config.deadline_ns : REP_NEVER;
}

static uint32_t http1_in_flight(const struct rep_engine *base)
{
    return (uint32_t)((const struct http1 *)base)->flight.count;
}

static void http1_cancel(struct rep_engine *base, enum out_cause cause)
{
    struct http1 *en = (struct http1 *)base;
    while (en->flight.head) {
        struct conn *c = en->flight.head->place;
        rep_request_cut(c->request);
        conn_shut(c);
        conn_finish(c, cause);
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

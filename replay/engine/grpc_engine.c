/*
 * grpc_engine.c - gRPC over HTTP/2, framed by nghttp2: unary calls, and those whose
 * both sides are streams of messages. Of the latter, each message of the request goes
 * out at its recorded time after the first, each of the answer is timed by its first
 * byte.
 *
 * Bytes go out once per loop turn (flush), whatever was asked for in between: batching,
 * not framing, decides what HTTP/2 costs. The next call goes to the connection with the
 * fewest open streams. A connection that got a GOAWAY finishes what it carries beside
 * its successor. nghttp2 answers PING and SETTINGS, keeps the windows, and closes
 * streams that a GOAWAY disowned with REFUSED_STREAM.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <nghttp2/nghttp2.h>

#include "replay/engine/engine.h"
#include "replay/mark.h"
#include "replay/schedule.h"
#include "traces/base/log.h"
#include "traces/wire/grpc_frame.h"

#define AREA         "engine"
#define RECV_BYTES   (256u << 10)
#define SEND_BYTES   (256u << 10)       /* of one write */
#define WINDOW_BYTES (16 * 1024 * 1024) /* per stream and connection: envoy's */
#define PREFIX_BYTES 5                  /* compressed flag, big-endian length */

enum link_state { LINK_CLOSED, LINK_CONNECTING, LINK_UP };

/* One stream. request is NULL once the call was given back before its stream closed. */
struct call {
    struct call *next, *prev; /* of the link's open calls, or of the free ones (next) */
    struct link *link;
    struct rep_request *request;
    int32_t stream_id;
    size_t taken;   /* bytes of the request given to nghttp2 */
    uint64_t flush; /* number of the write that carried its HEADERS; 0: none yet */
    uint16_t status;
    int grpc_status; /* -1: none came */
    bool streams;    /* the answer may be any number of messages */
    bool grpc_type;  /* content-type is application/grpc… */
    bool ended;      /* the peer's END_STREAM came */
    bool peer_reset;
    bool garbage;
    uint32_t prefix_got;
    uint8_t prefix[PREFIX_BYTES];
    uint64_t message_bytes; /* promised by the prefix */
    struct buf message;     /* of a stream: its messages, one behind the other */
    struct grpc_frame frame;
    size_t message_at;  /* where the present one begins */
    int64_t message_ns; /* when its first byte came */
    /* Of a request of several messages: those given to nghttp2, and whether it waits
     * for the time of the next. */
    uint32_t parts_taken;
    size_t parts_end; /* bytes of the request that may go by now */
    bool paused;
};

/* Invariants: session and fd exist unless CLOSED; open == length of calls. */
struct link {
    struct grpc *en;
    struct link *next_old; /* among those that drain */
    int fd;
    struct rep_tls_conn *tls; /* NULL: plaintext, or not connected */
    enum link_state state;
    uint32_t ordinal;
    bool wants_write, settled; /* settled: the peer's SETTINGS came */
    bool draining;
    bool reading; /* nghttp2 is at work on what came, and calls us: it may neither be
                     made to write nor be freed */
    nghttp2_session *session;
    struct call *calls;
    uint32_t open;
    struct buf out; /* framed (TLS: encrypted), not yet written: from out_at on */
    size_t out_at;
    struct call **fresh; /* whose HEADERS are in `out` and not yet stamped */
    size_t fresh_count, fresh_cap;
    uint64_t flushes;
    size_t last_write; /* bytes of write number `flushes` */
};

struct grpc {
    struct rep_engine base;
    struct link **links;
    struct link *old; /* draining */
    struct call *spare_calls;
    struct rep_queue flight;    /* every request that is ours */
    uint64_t parted;            /* … of them with several messages */
    struct rep_request **again; /* to be sent a second time */
    size_t again_count, again_cap;
    uint8_t *recv_bytes;
    nghttp2_session_callbacks *callbacks;
    uint32_t reach; /* of links: those behind were never used */
    uint32_t next_ordinal;
    uint32_t warming;
    int64_t now;        /* of the read in hand */
    struct rep_tls tls; /* where the target takes it */
};

static int64_t now_ns(const struct grpc *en)
{
    return clk_mono_now(en->base.config.clk).ns;
}

static void flight_leave(struct grpc *en, struct rep_request *r)
{
    en->parted -= r->parts.count > 0;
    rep_queue_remove(&en->flight, r);
}

/* --- calls ------------------------------------------------------------------------ */

static struct call *call_new(struct link *l, struct rep_request *r)
{
    struct grpc *en = l->en;
    struct call *c = en->spare_calls;
    if (c)
        en->spare_calls = c->next;
    else if (!(c = calloc(1, sizeof *c)))
        return NULL;
    struct buf message = c->message;
    buf_reset(&message);
    *c = (struct call){.link = l,
                       .request = r,
                       .grpc_status = -1,
                       .streams = r->stream->streams,
                       .message = message};
    c->next = l->calls;
    if (l->calls)
        l->calls->prev = c;
    l->calls = c;
    l->open++;
    r->place = c;
    return c;
}

static void call_unlink(struct call *c)
{
    struct link *l = c->link;
    if (c->prev)
        c->prev->next = c->next;
    else
        l->calls = c->next;
    if (c->next)
        c->next->prev = c->prev;
    l->open--;
    for (size_t i = 0; i < l->fresh_count; i++)
        if (l->fresh[i] == c)
            l->fresh[i] = NULL;
    c->next = l->en->spare_calls;
    l->en->spare_calls = c;
}

/* Gives the request back. The stream may live on without it. */
static void call_finish(struct call *c, enum out_cause cause)
{
    struct grpc *en = c->link->en;
    struct rep_request *r = c->request;

    c->request = NULL;
    r->place = NULL;
    flight_leave(en, r);
    r->out.cause = cause;
    r->out.status = c->status;
    r->out.grpc_status = (int16_t)c->grpc_status;
    en->base.config.done(en->base.config.arg, r);
}

/* Takes the request off its stream, to be sent once more at the next flush. */
static bool call_again(struct call *c)
{
    struct grpc *en = c->link->en;
    struct rep_request *r = c->request;

    if (r->tries >= REP_TRIES_MAX)
        return false;
    if (en->again_count == en->again_cap) {
        size_t cap = en->again_cap ? en->again_cap * 2 : 64;
        struct rep_request **p = realloc(en->again, cap * sizeof *p);
        if (!p)
            return false;
        en->again = p;
        en->again_cap = cap;
    }
    en->again[en->again_count++] = r;
    en->base.stats.retries++;
    r->out.first_ns = OP_TIME_NONE;
    r->place = NULL;
    c->request = NULL;
    return true;
}

/* What a stream that the peer ended properly amounts to. */
static enum out_cause call_verdict(struct call *c)
{
    if (c->garbage || c->status == 0)
        return OUT_GARBAGE;
    if (c->status != 200)
        return OUT_STATUS;
    if (!c->grpc_type || c->grpc_status < 0)
        return OUT_GARBAGE;
    if (c->grpc_status > 0)
        return OUT_STATUS;
    if (c->message.failed)
        return OUT_TOO_BIG;
    if (c->streams)
        return grpc_frame_idle(&c->frame) ? OUT_OK : OUT_GARBAGE;
    if (c->prefix_got < PREFIX_BYTES || c->message.n != c->message_bytes)
        return OUT_GARBAGE;
    return OUT_OK;
}

static void call_complete(struct call *c)
{
    struct grpc *en = c->link->en;
    struct rep_request *r = c->request;
    struct span body = buf_view(&c->message);

    if (c->streams && !grpc_frame_idle(&c->frame)) /* broke off in a message */
        body = span_sub(body, 0, c->message_at);
    r->out.bytes_in = body.n;
    if (c->prefix_got == PREFIX_BYTES || r->out.messages.count > 0) {
        r->out.answer_hash = outcome_answer_hash(body);
        if (en->base.config.keep_answers)
            buf_span(&r->answer, body);
    }
    call_finish(c, call_verdict(c));
}

/* Ends a call whose stream we give up: deadline, too big, garbage. */
static void call_abort(struct call *c, enum out_cause cause, uint32_t h2_code)
{
    if (nghttp2_submit_rst_stream(c->link->session, NGHTTP2_FLAG_NONE, c->stream_id,
                                  h2_code) != 0)
        c->link->en->base.stats.client_errors++;
    c->request->out.done_ns = now_ns(c->link->en);
    rep_request_cut(c->request);
    call_finish(c, cause);
}

/* --- nghttp2's callbacks ---------------------------------------------------------- */

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame,
                            void *user)
{
    struct link *l = user;
    struct call *c = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (c && c->request && c->request->out.first_ns == OP_TIME_NONE)
        c->request->out.first_ns = l->en->now;
    return 0;
}

static int small_number(const uint8_t *p, size_t n)
{
    uint64_t v;
    return span_u64(span_of(p, n), &v) && v < 1000 ? (int)v : -1;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame,
                     const uint8_t *name, size_t name_len, const uint8_t *value,
                     size_t value_len, uint8_t flags, void *user)
{
    struct call *c = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    struct span n = span_of(name, name_len), v = span_of(value, value_len);
    (void)flags;
    (void)user;
    if (!c || !c->request)
        return 0;
    if (span_eq_str(n, ":status")) {
        int status = small_number(value, value_len);
        c->status = status >= 200 ? (uint16_t)status : 0;
    } else if (span_eq_str(n, "grpc-status")) {
        c->grpc_status = small_number(value, value_len);
        c->garbage = c->garbage || c->grpc_status < 0;
    } else if (span_eq_str(n, REP_MARK_FIELD)) {
        rep_mark_look(c->request, v);
    } else if (span_eq_str(n, "content-type")) {
        c->grpc_type = span_starts(v, "application/grpc");
    }
    return 0;
}

/* A prefix is whole: what follows is as long as it says. */
static void read_prefix(struct call *c)
{
    c->message_bytes = (uint64_t)c->prefix[1] << 24 | (uint64_t)c->prefix[2] << 16 |
                       (uint64_t)c->prefix[3] << 8 | c->prefix[4];
    /* No compression was offered, so none may be used. */
    c->garbage = c->garbage || c->prefix[0] != 0;
}

/* Data of a call that streams: any number of messages. */
static void stream_data(struct call *c, const uint8_t *p, size_t n)
{
    struct grpc *en = c->link->en;
    struct span in = span_of(p, n), piece;
    int what = GRPC_FRAME_PIECE;

    while (what != GRPC_FRAME_MORE) {
        if (grpc_frame_idle(&c->frame)) {
            c->message_ns = en->now;
            c->message_at = c->message.n;
        }
        what = grpc_frame_feed(&c->frame, &in,
                               en->base.config.answer_max - c->message_at, &piece);
        if (what == GRPC_FRAME_PIECE)
            buf_span(&c->message, piece);
        if (what == ERR_FORMAT)
            call_abort(c, OUT_GARBAGE, NGHTTP2_PROTOCOL_ERROR);
        else if (what < 0 ||
                 (what == GRPC_FRAME_END &&
                  rep_request_message(c->request, c->message_ns, c->frame.bytes) < 0))
            call_abort(c, OUT_TOO_BIG, NGHTTP2_CANCEL);
        if (!c->request)
            return;
    }
}

/* Splits off the 5-byte prefix; what follows is the message. */
static void call_data(struct call *c, const uint8_t *p, size_t n)
{
    uint64_t limit = c->link->en->base.config.answer_max;

    while (n > 0 && c->prefix_got < PREFIX_BYTES) {
        c->prefix[c->prefix_got++] = *p++;
        n--;
        if (c->prefix_got == PREFIX_BYTES)
            read_prefix(c);
    }
    if (c->prefix_got < PREFIX_BYTES)
        return;
    if (c->message_bytes > limit)
        call_abort(c, OUT_TOO_BIG, NGHTTP2_CANCEL);
    else if (c->garbage || c->message.n + n > c->message_bytes)
        call_abort(c, OUT_GARBAGE, NGHTTP2_PROTOCOL_ERROR);
    else
        buf_add(&c->message, p, n);
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream_id,
                   const uint8_t *data, size_t n, void *user)
{
    struct call *c = nghttp2_session_get_stream_user_data(session, stream_id);
    (void)flags;
    (void)user;
    /* What a proxy says in its own words (status other than 200) is not a message. */
    if (c && c->request && c->status == 200 && c->grpc_type)
        (c->streams ? stream_data : call_data)(c, data, n);
    return 0;
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame,
                         void *user)
{
    struct link *l = user;
    struct call *c;

    if (frame->hd.type == NGHTTP2_GOAWAY) {
        l->draining = true;
        log_debug(AREA, "grpc: GOAWAY code=%u connection=%u", frame->goaway.error_code,
                  l->ordinal);
    }
    if (frame->hd.type == NGHTTP2_SETTINGS && !(frame->hd.flags & NGHTTP2_FLAG_ACK) &&
        !l->settled) {
        l->settled = true;
        l->en->warming -= l->en->warming > 0;
    }
    if (frame->hd.stream_id == 0)
        return 0;
    c = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (!c || !c->request)
        return 0;
    if (frame->hd.type == NGHTTP2_RST_STREAM)
        c->peer_reset = true;
    bool ends = (frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS) &&
                (frame->hd.flags & NGHTTP2_FLAG_END_STREAM);
    if (ends) {
        c->ended = true;
        c->request->out.done_ns = l->en->now;
        if (c->taken < c->request->wire[0].n &&
            nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
                                      NGHTTP2_CANCEL) != 0)
            l->en->base.stats.client_errors++;
    }
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t stream_id, uint32_t code,
                           void *user)
{
    struct call *c = nghttp2_session_get_stream_user_data(session, stream_id);
    struct link *l = user;

    if (!c)
        return 0;
    (void)nghttp2_session_set_stream_user_data(session, stream_id, NULL);
    struct rep_request *r = c->request;
    call_unlink(c); /* first: giving the request back may bring the next one */
    if (!r)
        return 0;
    if (c->ended) {
        call_complete(c);
        return 0;
    }
    if (code == NGHTTP2_REFUSED_STREAM && call_again(c))
        return 0;
    r->out.done_ns = l->en->now;
    rep_request_cut(r);
    call_finish(c, c->peer_reset || code == NGHTTP2_REFUSED_STREAM ? OUT_RESET
                                                                   : OUT_GARBAGE);
    return 0;
}

static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame,
                         void *user)
{
    struct link *l = user;
    if (frame->hd.type != NGHTTP2_HEADERS)
        return 0;
    struct call *c = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (!c || !c->request)
        return 0;
    if (l->fresh_count == l->fresh_cap) {
        size_t cap = l->fresh_cap ? l->fresh_cap * 2 : 128;
        struct call **p = realloc(l->fresh, cap * sizeof *p);
        if (!p)
            return NGHTTP2_ERR_CALLBACK_FAILURE;
        l->fresh = p;
        l->fresh_cap = cap;
    }
    l->fresh[l->fresh_count++] = c;
    return 0;
}

/* When the part behind those taken may go: the gaps of the trace, from the moment at
 * which the first went out. */
static int64_t part_time(const struct call *c)
{
    const struct rep_request *r = c->request;
    if (c->parts_taken == 0)
        return 0;
    return r->out.sent_ns == OP_TIME_NONE
               ? REP_NEVER
               : r->out.sent_ns + r->parts.v[c->parts_taken].at_ns;
}

/* Bytes of the request that may have gone by now. */
static size_t parts_due(struct call *c)
{
    const struct op_messages *parts = &c->request->parts;
    int64_t now = now_ns(c->link->en);
    while (c->parts_taken < parts->count && part_time(c) <= now)
        c->parts_end += parts->v[c->parts_taken++].bytes;
    return c->parts_end;
}

static ssize_t read_request(nghttp2_session *session, int32_t stream_id, uint8_t *out,
                            size_t length, uint32_t *flags, nghttp2_data_source *source,
                            void *user)
{
    struct call *c = source->ptr;
    (void)session;
    (void)stream_id;
    (void)user;
    if (!c->request)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    struct span wire = c->request->wire[0];
    if (c->request->parts.count > 0)
        wire.n = parts_due(c);
    if (c->taken == wire.n && wire.n < c->request->wire[0].n) {
        c->paused = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    size_t n = wire.n - c->taken < length ? wire.n - c->taken : length;
    memcpy(out, wire.p + c->taken, n);
    c->taken += n;
    if (c->taken == c->request->wire[0].n)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)n;
}

static int make_callbacks(struct grpc *en, struct err *e)
{
    if (nghttp2_session_callbacks_new(&en->callbacks) != 0)
        return err_set(e, ERR_NOMEM, "out of memory for HTTP/2");
    nghttp2_session_callbacks *b = en->callbacks;
    nghttp2_session_callbacks_set_on_begin_headers_callback(b, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(b, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(b, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(b, on_frame_recv);
    nghttp2_session_callbacks_set_on_stream_close_callback(b, on_stream_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(b, on_frame_send);
    return 0;
}

/* --- links ------------------------------------------------------------------------ */

static void link_shut(struct link *l)
{
    rep_tls_close(l->tls, l->out_at < l->out.n);
    l->tls = NULL;
    if (l->fd >= 0) {
        ev_remove(l->en->base.config.ev, l->fd);
        close(l->fd);
    }
    l->fd = -1;
    nghttp2_session_del(l->session);
    l->session = NULL;
    if (l->state != LINK_CLOSED && !l->settled)
        l->en->warming -= l->en->warming > 0;
    l->state = LINK_CLOSED;
    l->wants_write = l->settled = l->draining = false;
    buf_reset(&l->out);
    l->out_at = 0;
    l->fresh_count = 0;
    l->flushes = 0;
    l->last_write = 0;
}

/* The connection is gone: ends its calls with `cause`, except those that may go again:
 * never written, or in the last write when that is proved unread. */
static void link_lost(struct link *l, enum out_cause cause, int sys)
{
    struct call *doomed = l->calls;
    bool unread = cause != OUT_CONNECT && cause != OUT_GARBAGE && l->fd >= 0 &&
                  l->last_write > 0 && rep_unprocessed(l->fd, sys, l->last_write);
    uint64_t last = l->flushes;
    bool connected = cause != OUT_CONNECT;
    int64_t now = now_ns(l->en);
    log_debug(AREA, "grpc: connection ended: %s calls=%u connection=%u",
              out_cause_names[cause], l->open, l->ordinal);

    l->calls = NULL;
    l->open = 0;
    link_shut(l);
    while (doomed) {
        struct call *c = doomed;
        doomed = c->next;
        bool safe = connected && (c->flush == 0 || (unread && c->flush == last));
        if (c->request && !(safe && !c->ended && call_again(c))) {
            c->request->out.done_ns = now;
            rep_request_cut(c->request);
            call_finish(c, cause);
        }
        c->next = l->en->spare_calls;
        l->en->spare_calls = c;
    }
}

static void link_watch(struct link *l, bool write)
{
    if (l->wants_write == write)
        return;
    l->wants_write = write;
    if (ev_change(l->en->base.config.ev, l->fd, write ? EV_READ | EV_WRITE : EV_READ,
                  NULL) < 0)
        l->en->base.stats.client_errors++;
}

/* What was asked of nghttp2 becomes bytes, as long as they fit one write. `out` is
 * empty before. */
static bool link_frame(struct link *l)
{
    while (l->out.n < SEND_BYTES) {
        const uint8_t *p;
        ssize_t n = nghttp2_session_mem_send(l->session, &p);
        if (n < 0)
            return false;
        if (n == 0)
            break;
        buf_add(&l->out, p, (size_t)n);
    }
    if (l->tls)
        return rep_tls_seal_buf(l->tls, &l->out);
    return !l->out.failed;
}

static void link_stamp(struct link *l, int64_t now)
{
    l->flushes++;
    for (size_t i = 0; i < l->fresh_count; i++) {
        struct call *c = l->fresh[i];
        if (!c || !c->request)
            continue;
        c->flush = l->flushes;
        c->request->out.attempts++;
        if (c->request->out.sent_ns == OP_TIME_NONE)
            c->request->out.sent_ns = now;
    }
    l->fresh_count = 0;
}

/* Writes all there is. False when the link is gone. */
static bool link_write(struct link *l)
{
    for (;;) {
        if (l->out_at == l->out.n) {
            buf_reset(&l->out);
            l->out_at = 0;
            if (!link_frame(l)) {
                link_lost(l, OUT_GARBAGE, 0);
                return false;
            }
            if (l->out.n == 0)
                break;
        }
        int64_t before = now_ns(l->en);
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
    if (!nghttp2_session_want_read(l->session) &&
        !nghttp2_session_want_write(l->session)) {
        /* Either side said GOAWAY and nothing is left, or we refused what came. */
        link_lost(l, l->draining ? OUT_CLOSED : OUT_GARBAGE, 0);
        return false;
    }
    return true;
}

static void link_refused(struct link *l, const struct err *e)
{
    rep_connect_failed(&l->en->base, e);
    link_lost(l, OUT_CONNECT, e->sys);
}

/* The connection ended: errno value sys, 0 for FIN or close_notify. */
static void link_ended(struct link *l, int sys)
{
    struct err e = {0};
    if (l->tls && sys != 0 && rep_tls_refused(l->tls)) {
        err_set(&e, ERR_PEER, "%s", rep_tls_why(l->tls));
        link_refused(l, &e);
        return;
    }
    if (l->tls && sys == 0 && l->open > 0 && !rep_tls_fin(l->tls)) {
        /* After close_notify alone the peer may still be reading: the FIN decides, or
         * the deadlines. */
        l->draining = true;
        return;
    }
    if (l->open == 0)
        l->en->base.stats.peer_closes++;
    link_lost(l, rep_end_cause(sys), sys);
}

static void link_read(struct link *l)
{
    struct grpc *en = l->en;
    for (;;) {
        ssize_t n = l->tls ? rep_tls_recv(l->tls, en->recv_bytes, RECV_BYTES)
                           : recv(l->fd, en->recv_bytes, RECV_BYTES, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return;
        if (n <= 0) {
            link_ended(l, n < 0 ? errno : 0);
            return;
        }
        en->now = now_ns(en);
        l->reading = true;
        ssize_t used = nghttp2_session_mem_recv(l->session, en->recv_bytes, (size_t)n);
        l->reading = false;
        if (used < 0) {
            link_lost(l, OUT_GARBAGE, 0);
            return;
        }
        if (n < (ssize_t)RECV_BYTES && !(l->tls && rep_tls_over(l->tls)))
            return;
    }
}

/* Connected and, with TLS, agreed: its calls may go. */
static void link_up(struct link *l)
{
    int64_t now = now_ns(l->en);
    rep_connect_made(&l->en->base, l->tls);
    l->state = LINK_UP;
    for (struct call *c = l->calls; c; c = c->next)
        if (c->request && c->request->out.attempts == 0)
            rep_request_waited(c->request, now, OUT_WAIT_CONNECT);
    if (link_write(l) && l->tls) /* what came with the end of the handshake */
        link_read(l);
}

/* The socket is connected, or the handshake can go on. */
static void link_connected(struct link *l)
{
    struct grpc *en = l->en;
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
        link_refused(l, &e);
    else if (rc == 0)
        link_watch(l, rep_tls_pending(l->tls));
    else
        link_up(l);
}

static void on_event(struct ev *ev, int fd, unsigned events, void *arg)
{
    struct link *l = arg;
    (void)ev;
    (void)fd;
    if (l->state == LINK_CONNECTING) {
        link_connected(l);
        return;
    }
    if (events & (EV_READ | EV_HANGUP))
        link_read(l);
    if ((events & EV_WRITE) && l->state == LINK_UP && l->wants_write)
        (void)link_write(l);
}

static int new_session(struct link *l)
{
    nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW_BYTES},
    };
    if (nghttp2_session_client_new(&l->session, l->en->callbacks, l) != 0)
        return -1;
    if (nghttp2_submit_settings(l->session, NGHTTP2_FLAG_NONE, settings, 2) != 0 ||
        nghttp2_session_set_local_window_size(l->session, NGHTTP2_FLAG_NONE, 0,
                                              WINDOW_BYTES) != 0)
        return -1;
    return 0;
}

static void link_start(struct link *l)
{
    struct err e = {0};

    l->ordinal = l->en->next_ordinal++;
    l->fd = rep_connect(l->en->base.config.target, &e);
    if (l->fd >= 0 &&
        ev_add(l->en->base.config.ev, l->fd, EV_WRITE | EV_READ, on_event, l, &e) < 0) {
        close(l->fd);
        l->fd = -1;
    }
    if (l->fd >= 0 && new_session(l) < 0)
        err_sys(&e, ENOMEM, "cannot begin HTTP/2");
    l->state = LINK_CONNECTING;
    l->settled = false;
    l->wants_write = true;
    l->en->warming++;
    if (l->fd < 0 || !l->session || e.sys != 0)
        link_refused(l, &e);
}

/* --- requests --------------------------------------------------------------------- */

static uint32_t link_room(const struct link *l)
{
    uint32_t most = l->en->base.config.streams;
    if (l->settled) {
        uint32_t theirs = nghttp2_session_get_remote_settings(
            l->session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
        most = theirs < most ? theirs : most;
    }
    return most > l->open ? most - l->open : 0;
}

/* A link that drains makes room for a successor in the same place. */
static struct link *fresh_link(struct grpc *en, uint32_t i)
{
    struct link *l = en->links[i];
    if (l && (!l->draining || l->state == LINK_CLOSED))
        return l;
    struct link *n = calloc(1, sizeof *n);
    if (!n)
        return l;
    n->en = en;
    n->fd = -1;
    if (l) {
        l->next_old = en->old;
        en->old = l;
    }
    en->links[i] = n;
    return n;
}

static struct link *best_link(struct grpc *en)
{
    struct link *best = NULL;
    for (uint32_t i = 0; i < en->reach; i++) {
        struct link *l = fresh_link(en, i);
        if (!l || l->draining || link_room(l) == 0)
            continue;
        if (!best || l->open < best->open ||
            (l->open == best->open && l->state > best->state))
            best = l;
    }
    return best;
}

static nghttp2_nv make_nv(struct span name, struct span value, uint8_t flags)
{
    /* nghttp2 copies both; it only never says const. */
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name.p, (uint8_t *)(uintptr_t)value.p,
                        name.n, value.n, flags};
}

static void submit(struct link *l, struct rep_request *r)
{
    const struct rep_stream *s = r->stream;
    nghttp2_nv nv[REP_FIELDS_MAX + 1];
    size_t n = 0;

    for (uint32_t i = 0; i < s->field_count && n < REP_FIELDS_MAX; i++)
        nv[n++] = make_nv(s->fields[i].name, s->fields[i].value, NGHTTP2_NV_FLAG_NONE);
    if (r->id.n > 0) /* never the same again: must not push others out of the table */
        nv[n++] = make_nv(SPAN_LIT("x-request-id"), r->id, NGHTTP2_NV_FLAG_NO_INDEX);
    struct call *c = call_new(l, r);
    r->tries++;
    r->out.connection = l->en->base.config.pinned ? r->pin : l->ordinal;
    if (c) {
        nghttp2_data_provider body = {.source.ptr = c, .read_callback = read_request};
        c->stream_id = nghttp2_submit_request(l->session, NULL, nv, n, &body, c);
        if (c->stream_id > 0)
            return;
        /* Out of stream numbers or of memory: this link takes no more. */
        l->draining = true;
        call_unlink(c);
        r->out.done_ns = now_ns(l->en);
        l->en->base.stats.client_errors++;
        call_finish(c, OUT_CONNECT);
        return;
    }
    l->en->base.stats.client_errors++;
    flight_leave(l->en, r);
    r->out.cause = OUT_CONNECT;
    l->en->base.config.done(l->en->base.config.arg, r);
}

/* Puts a request that is in flight already on some link. */
static void place(struct grpc *en, struct rep_request *r)
{
    struct link *l = en->base.config.pinned ? fresh_link(en, r->slot) : best_link(en);
    if (l && l->state == LINK_CLOSED)
        link_start(l);
    if (l && l->session) {
        submit(l, r);
        return;
    }
    flight_leave(en, r);
    r->out.cause = OUT_CONNECT;
    r->out.done_ns = now_ns(en);
    en->base.config.done(en->base.config.arg, r);
}

/* --- the engine's face ------------------------------------------------------------ */

static void link_free(struct link *l)
{
    if (!l)
        return;
    assert(l->open == 0 || !l->calls->request);
    while (l->calls) {
        struct call *c = l->calls;
        l->calls = c->next;
        c->next = l->en->spare_calls;
        l->en->spare_calls = c;
    }
    link_shut(l);
    buf_done(&l->out);
    free(l->fresh);
    free(l);
}

static void grpc_close(struct rep_engine *base)
{
    struct grpc *en = (struct grpc *)base;
    if (!en)
        return;
    for (uint32_t i = 0; en->links && i < base->config.connections; i++)
        link_free(en->links[i]);
    while (en->old) {
        struct link *l = en->old;
        en->old = l->next_old;
        link_free(l);
    }
    while (en->spare_calls) {
        struct call *c = en->spare_calls;
        en->spare_calls = c->next;
        buf_done(&c->message);
        free(c);
    }
    nghttp2_session_callbacks_del(en->callbacks);
    rep_tls_done(&en->tls);
    free(en->links);
    free(en->again);
    free(en->recv_bytes);
    free(en);
}

static int grpc_open(struct rep_engine **out, const struct rep_engine_config *config,
                     struct err *e)
{
    struct grpc *en = calloc(1, sizeof *en);
    if (!en)
        return err_set(e, ERR_NOMEM, "out of memory for the gRPC engine");
    en->base = (struct rep_engine){.ops = &rep_grpc_engine, .config = *config};
    en->reach = config->pinned ? 0 : config->connections;
    en->links = calloc(config->connections, sizeof *en->links);
    en->recv_bytes = malloc(RECV_BYTES);
    int rc = en->links && en->recv_bytes
                 ? make_callbacks(en, e)
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

static void grpc_warm(struct rep_engine *base)
{
    struct grpc *en = (struct grpc *)base;
    for (uint32_t i = 0; i < en->reach; i++)
        if (en->links[i]->state == LINK_CLOSED)
            link_start(en->links[i]);
}

static bool grpc_warming(const struct rep_engine *base)
{
    return ((const struct grpc *)base)->warming > 0;
}

static uint32_t grpc_live(const struct rep_engine *base)
{
    const struct grpc *en = (const struct grpc *)base;
    uint32_t n = 0;
    for (uint32_t i = 0; i < en->reach; i++)
        n += en->links[i]->state == LINK_UP;
    return n;
}

static uint32_t grpc_free_slots(const struct rep_engine *base)
{
    const struct grpc *en = (const struct grpc *)base;
    uint64_t n = 0;
    for (uint32_t i = 0; i < en->reach; i++) {
        const struct link *l = en->links[i];
        n += l->draining ? base->config.streams : link_room(l);
    }
    return n > en->again_count ? (uint32_t)(n - en->again_count) : 0;
}

static uint32_t grpc_room(const struct rep_engine *base, uint32_t slot)
{
    const struct link *l = ((const struct grpc *)base)->links[slot];
    return l->draining ? base->config.streams : link_room(l);
}

/* Streams that were given up may still be open on it: then it drains. */
static void grpc_renew(struct rep_engine *base, uint32_t slot)
{
    struct link *l = ((struct grpc *)base)->links[slot];
    if (l->open > 0)
        l->draining = true;
    else
        link_shut(l);
}

static void grpc_send(struct rep_engine *base, struct rep_request *r)
{
    struct grpc *en = (struct grpc *)base;
    if (base->config.pinned && r->slot >= en->reach)
        en->reach = r->slot + 1;
    rep_flight_add(&en->flight, r, now_ns(en));
    en->parted += r->parts.count > 0;
    place(en, r);
}

static void grpc_frame(struct rep_engine *base)
{
    struct grpc *en = (struct grpc *)base;
    for (uint32_t i = 0; i < en->reach; i++) {
        struct link *l = en->links[i];
        /* What fails here fails again in flush, which knows what to do about it. */
        if (l->state == LINK_UP && !l->reading && l->out_at == l->out.n &&
            nghttp2_session_want_write(l->session))
            (void)link_frame(l);
    }
}

static void grpc_flush(struct rep_engine *base)
{
    struct grpc *en = (struct grpc *)base;

    size_t again = en->again_count;
    for (size_t i = 0; i < again; i++)
        place(en, en->again[i]);
    if (again > 0) /* those that came in the meantime wait for the next turn */
        memmove(en->again, en->again + again,
                (en->again_count - again) * sizeof(*en->again));
    en->again_count -= again;

    en->now = now_ns(en);
    for (uint32_t i = 0; i < en->reach; i++) {
        struct link *l = en->links[i];
        if (l->state == LINK_UP && !l->wants_write && !l->reading &&
            (l->out_at < l->out.n || nghttp2_session_want_write(l->session) ||
             !nghttp2_session_want_read(l->session)))
            (void)link_write(l);
    }
    /* Writing may put more links in front of the list; sweeping calls nobody. */
    for (struct link *l = en->old; l; l = l->next_old)
        if (l->state == LINK_UP && !l->wants_write && !l->reading)
            (void)link_write(l);
    for (struct link **at = &en->old; *at;) {
        struct link *l = *at;
        if (!l->reading && (l->state == LINK_CLOSED || l->open == 0)) {
            *at = l->next_old;
            link_free(l);
        } else {
            at = &l->next_old;
        }
    }
}

/* Lets calls that wait for the time of their next message go on; when the next is. */
static int64_t resume_parts(struct grpc *en, int64_t now)
{
    int64_t first = REP_NEVER;
    for (struct rep_request *r = en->flight.head; r; r = r->next) {
        struct call *c = r->place;
        if (r->parts.count == 0 || !c || !c->paused)
            continue;
        int64_t at = part_time(c);
        if (at > now) {
            first = at < first ? at : first;
            continue;
        }
        c->paused = false;
        if (nghttp2_session_resume_data(c->link->session, c->stream_id) != 0)
            en->base.stats.client_errors++;
    }
    return first;
}

static int64_t grpc_expire(struct rep_engine *base, int64_t now)
{
    struct grpc *en = (struct grpc *)base;
    struct rep_request *r;
    int64_t next = en->parted > 0 ? resume_parts(en, now) : REP_NEVER;

    while ((r = en->flight.head) != NULL &&
           r->started_ns + base->config.deadline_ns <= now && r->place) {
        struct call *c = r->place;
        struct link *l = c->link;
        call_abort(c, OUT_DEADLINE, NGHTTP2_CANCEL);
        if (l->state == LINK_CONNECTING) { /* for a whole deadline: give it up */
            struct err e = {0};
            err_sys(&e, ETIMEDOUT, "cannot connect");
            link_refused(l, &e);
        }
    }
    int64_t deadline = r ? r->started_ns + base->config.deadline_ns : REP_NEVER;
    return next < deadline ? next : deadline;
}

static uint32_t grpc_in_flight(const struct rep_engine *base)
{
    return (uint32_t)((const struct grpc *)base)->flight.count;
}

static void grpc_cancel(struct rep_engine *base, enum out_cause cause)
{
    struct grpc *en = (struct grpc *)base;
    struct rep_request *r;

    en->again_count = 0;
    while ((r = en->flight.head) != NULL) {
        struct call *c = r->place;
        if (c) {
            (void)nghttp2_submit_rst_stream(c->link->session, NGHTTP2_FLAG_NONE,
                                            c->stream_id, NGHTTP2_CANCEL);
            call_finish(c, cause);
        } else {
            flight_leave(en, r);
            r->out.cause = cause;
            base->config.done(base->config.arg, r);
        }
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

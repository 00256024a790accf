/*
 * si_h2.c - HTTP/2 requests in, replies out: gRPC, and REST where envoy takes it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "deploy/standin/si_conn.h"

#include <stdlib.h>
#include <string.h>

#include <nghttp2/nghttp2.h>

/* Names and values of one request's fields. */
#define FIELD_BYTES_MAX (64u << 10)
#define FIELDS_MAX      256u

struct si_h2 {
    nghttp2_session *session;
    uint32_t streams; /* open ones that have a call */
    bool pumping;
};

static const struct si_wire h2_wire;

/* --- requests ------------------------------------------------------------------ */

static struct si_exchange *exchange_of(nghttp2_session *session, int32_t stream)
{
    return nghttp2_session_get_stream_user_data(session, stream);
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame,
                            void *user)
{
    struct si_conn *conn = user;
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    struct si_exchange *ex = si_core_take(conn->core, conn->tier, &h2_wire, conn,
                                          conn->ordinal, conn->read_at);
    if (!ex)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    ex->stream = frame->hd.stream_id;
    ex->call.request.http2 = true;
    ex->call.request.minor_version = 1;
    conn->h2->streams++;
    return nghttp2_session_set_stream_user_data(session, ex->stream, ex);
}

static void take_field(struct si_request *q, struct arena *a, struct span name,
                       struct span value)
{
    if (span_eq_str(name, ":method"))
        q->method = value;
    else if (span_eq_str(name, ":path"))
        q->target = value;
    else if (span_eq_str(name, ":authority"))
        q->authority = value;
    else if (!span_starts(name, ":"))
        si_fields_add(&q->fields, a, name, value);
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame,
                     const uint8_t *name, size_t name_bytes, const uint8_t *value,
                     size_t value_bytes, uint8_t flags, void *user)
{
    (void)flags;
    (void)user;
    struct si_exchange *ex = exchange_of(session, frame->hd.stream_id);
    if (!ex || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    struct arena *a = &ex->call.arena;
    struct si_request *q = &ex->call.request;
    if (a->used + name_bytes + value_bytes > FIELD_BYTES_MAX ||
        q->fields.n >= FIELDS_MAX)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    struct span n = arena_dup(a, span_of(name, name_bytes));
    struct span v = arena_dup(a, span_of(value, value_bytes));
    if (!n.p || !v.p)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    take_field(q, a, n, v);
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream,
                   const uint8_t *data, size_t n, void *user)
{
    (void)flags;
    (void)user;
    struct si_exchange *ex = exchange_of(session, stream);
    if (!ex || ex->state != SI_READING)
        return 0;
    if (n <= SI_BODY_MAX - ex->body.n) {
        buf_add(&ex->body, data, n);
        if (!ex->body.failed)
            return 0;
    }
    return nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, stream,
                                     NGHTTP2_ENHANCE_YOUR_CALM);
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct si_conn *conn = user;
    bool ends = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
    if (!ends || (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA))
        return 0;
    struct si_exchange *ex = exchange_of(session, frame->hd.stream_id);
    if (!ex || ex->state != SI_READING)
        return 0;
    struct si_request *q = &ex->call.request;
    q->body = buf_view(&ex->body);
    q->has_body = q->body.n > 0;
    q->grpc =
        conn->tier->one_port
            ? span_starts(si_fields_get(&q->fields, "content-type"), "application/grpc")
            : true;
    si_core_request(ex, conn->read_at);
    return 0;
}

static int on_close(nghttp2_session *session, int32_t stream, uint32_t error,
                    void *user)
{
    (void)error;
    struct si_conn *conn = user;
    struct si_exchange *ex = exchange_of(session, stream);
    if (ex) {
        conn->h2->streams--;
        si_core_drop(ex);
    }
    return 0;
}

/* --- session ------------------------------------------------------------------- */

static int set_callbacks(nghttp2_session_callbacks **cb)
{
    if (nghttp2_session_callbacks_new(cb) != 0)
        return -1;
    nghttp2_session_callbacks_set_on_begin_headers_callback(*cb, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(*cb, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(*cb, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(*cb, on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(*cb, on_close);
    return 0;
}

static int submit_settings(struct si_conn *conn)
{
    const struct si_tier *t = conn->tier;
    nghttp2_settings_entry iv[4];
    size_t n = 0;
    if (t->h2_streams)
        iv[n++] = (nghttp2_settings_entry){NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS,
                                           t->h2_streams};
    if (t->h2_window)
        iv[n++] = (nghttp2_settings_entry){NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE,
                                           t->h2_window};
    if (t->h2_frame)
        iv[n++] =
            (nghttp2_settings_entry){NGHTTP2_SETTINGS_MAX_FRAME_SIZE, t->h2_frame};
    nghttp2_session *s = conn->h2->session;
    if (nghttp2_submit_settings(s, NGHTTP2_FLAG_NONE, iv, n) != 0)
        return -1;
    return t->h2_connection_window
               ? nghttp2_session_set_local_window_size(s, NGHTTP2_FLAG_NONE, 0,
                                                       (int32_t)t->h2_connection_window)
               : 0;
}

int si_h2_init(struct si_conn *conn, struct err *e)
{
    nghttp2_session_callbacks *cb = NULL;
    conn->h2 = calloc(1, sizeof *conn->h2);
    bool ok = conn->h2 && set_callbacks(&cb) == 0 &&
              nghttp2_session_server_new(&conn->h2->session, cb, conn) == 0 &&
              submit_settings(conn) == 0;
    nghttp2_session_callbacks_del(cb);
    if (!ok)
        return err_set(e, ERR_NOMEM, "out of memory for an HTTP/2 session");
    conn->wake(conn, conn->wake_arg);
    return 0;
}

void si_h2_done(struct si_conn *conn)
{
    if (!conn->h2)
        return;
    /* Deleting a session closes no streams: their calls are among those in use. */
    for (struct si_exchange *ex = conn->core->in_use, *next; ex; ex = next) {
        next = ex->next;
        if (ex->conn == conn)
            si_core_drop(ex);
    }
    nghttp2_session_del(conn->h2->session);
    free(conn->h2);
    conn->h2 = NULL;
}

void si_h2_feed(struct si_conn *conn, struct span bytes)
{
    ssize_t n = nghttp2_session_mem_recv(conn->h2->session, bytes.p, bytes.n);
    if (n < 0)
        conn->ending = true;
    conn->wake(conn, conn->wake_arg);
}

void si_h2_eof(struct si_conn *conn)
{
    conn->ending = true;
}

bool si_h2_idle(const struct si_conn *conn)
{
    return conn->h2->streams == 0;
}

void si_h2_pump(struct si_conn *conn)
{
    if (!conn->h2 || conn->h2->pumping)
        return;
    conn->h2->pumping = true; /* sending may close a stream, which may wake us again */
    const uint8_t *data;
    ssize_t n;
    while ((n = nghttp2_session_mem_send(conn->h2->session, &data)) > 0)
        buf_add(&conn->out, data, (size_t)n);
    conn->h2->pumping = false;
    bool over = !nghttp2_session_want_read(conn->h2->session) &&
                !nghttp2_session_want_write(conn->h2->session);
    if (n < 0 || conn->out.failed || over)
        conn->ending = true;
}

/* --- replies ------------------------------------------------------------------- */

#define NV_MAX (FIELDS_MAX + 8)

struct nv_list {
    nghttp2_nv v[NV_MAX];
    size_t n;
};

static void put_nv(struct nv_list *l, struct span name, struct span value)
{
    if (l->n == NV_MAX)
        return;
    l->v[l->n++] =
        (nghttp2_nv){(uint8_t *)(uintptr_t)name.p, (uint8_t *)(uintptr_t)value.p,
                     name.n, value.n, NGHTTP2_NV_FLAG_NONE};
}

static void put_fields(struct nv_list *l, const struct si_fields *f, struct arena *a)
{
    for (uint32_t i = 0; i < f->n; i++) {
        struct span name = si_lower_case(a, f->v[i].name);
        if (!span_eq_str(name, "connection") && !span_eq_str(name, "transfer-encoding"))
            put_nv(l, name, f->v[i].value);
    }
}

/* grpc-message: bytes outside of the printable ones, and '%', go as %XX. */
static struct span percent(struct arena *a, struct span s)
{
    static const char hex[] = "0123456789ABCDEF";
    uint8_t *p = arena_alloc(a, s.n * 3 + 1);
    size_t n = 0;
    if (!p)
        return (struct span){0};
    for (size_t i = 0; i < s.n; i++) {
        uint8_t c = s.p[i];
        if (c >= ' ' && c <= '~' && c != '%') {
            p[n++] = c;
            continue;
        }
        p[n++] = '%';
        p[n++] = (uint8_t)hex[c >> 4];
        p[n++] = (uint8_t)hex[c & 15];
    }
    return span_of(p, n);
}

static void put_grpc_status(struct nv_list *l, struct si_call *c)
{
    struct si_reply *r = &c->reply;
    put_nv(l, SPAN_LIT("grpc-status"), si_text(&c->arena, "%d", r->grpc_status));
    if (r->grpc_message.n || r->grpc_has_message)
        put_nv(l, SPAN_LIT("grpc-message"), percent(&c->arena, r->grpc_message));
    put_fields(l, &r->trailers, &c->arena);
}

static ssize_t read_body(nghttp2_session *session, int32_t stream, uint8_t *to,
                         size_t n, uint32_t *flags, nghttp2_data_source *source,
                         void *user)
{
    (void)user;
    struct si_exchange *ex = source->ptr;
    struct si_reply *r = &ex->call.reply;
    size_t left = ex->released - ex->body_sent;
    if (left == 0 && ex->released < r->body.n)
        return NGHTTP2_ERR_DEFERRED;
    if (n > left)
        n = left;
    if (n)
        memcpy(to, r->body.p + ex->body_sent, n);
    ex->body_sent += n;
    if (ex->body_sent < r->body.n)
        return (ssize_t)n;
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (ex->fault == SI_FAULT_CLOSE) {
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, stream,
                                  NGHTTP2_INTERNAL_ERROR);
    } else if (r->grpc_status != SI_NO_GRPC) {
        struct nv_list l = {.n = 0};
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        put_grpc_status(&l, &ex->call);
        nghttp2_submit_trailer(session, stream, l.v, l.n);
    }
    return (ssize_t)n;
}

/* What a fault makes of the body, all of which is released then. */
static void spoil(struct si_exchange *ex)
{
    struct si_reply *r = &ex->call.reply;
    if (ex->fault == SI_FAULT_GARBAGE && r->grpc_status != SI_NO_GRPC)
        r->body = SPAN_LIT("\x07\0\0\0\x16 this is not a message");
    else if (ex->fault == SI_FAULT_GARBAGE)
        r->body = SPAN_LIT("\x7f\x01 this is not JSON\n");
    else if (ex->fault == SI_FAULT_CLOSE)
        r->body.n /= 2;
    if (ex->fault != SI_FAULT_NONE)
        ex->released = r->body.n;
}

static void h2_answer(struct si_exchange *ex)
{
    struct si_conn *conn = ex->conn;
    struct si_call *c = &ex->call;
    struct si_reply *r = &c->reply;
    struct nv_list l = {.n = 0};
    nghttp2_data_provider body = {.source.ptr = ex, .read_callback = read_body};
    spoil(ex);
    put_nv(&l, SPAN_LIT(":status"), si_text(&c->arena, "%u", r->status));
    put_fields(&l, &r->fields, &c->arena);
    bool trailers_only = r->grpc_status != SI_NO_GRPC && r->grpc_status != SI_OK;
    bool has_body = !trailers_only && (r->body.n > 0 || r->grpc_status == SI_OK);
    if (span_eq_str(c->request.method, "HEAD"))
        has_body = false;
    if (trailers_only)
        put_grpc_status(&l, c);
    if (nghttp2_submit_response(conn->h2->session, ex->stream, l.v, l.n,
                                has_body ? &body : NULL) != 0)
        nghttp2_submit_rst_stream(conn->h2->session, NGHTTP2_FLAG_NONE, ex->stream,
                                  NGHTTP2_INTERNAL_ERROR);
    conn->wake(conn, conn->wake_arg);
}

static void h2_more(struct si_exchange *ex)
{
    struct si_conn *conn = ex->conn;
    nghttp2_session_resume_data(conn->h2->session, ex->stream);
    conn->wake(conn, conn->wake_arg);
}

static void h2_cut(struct si_exchange *ex)
{
    struct si_conn *conn = ex->conn;
    nghttp2_submit_rst_stream(conn->h2->session, NGHTTP2_FLAG_NONE, ex->stream,
                              NGHTTP2_INTERNAL_ERROR);
    conn->wake(conn, conn->wake_arg);
}

static void h2_rebind(struct si_exchange *ex)
{
    struct si_conn *conn = ex->conn;
    nghttp2_session_set_stream_user_data(conn->h2->session, ex->stream, ex);
}

static const struct si_wire h2_wire = {h2_answer, h2_more, h2_cut, h2_rebind};

/*
 * si_h1.c - HTTP/1.1 requests in, replies out; one call at a time on a connection.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "deploy/standin/si_conn.h"

#include <stdio.h>
#include <string.h>

static const struct si_wire h1_wire;

int si_h1_init(struct si_conn *conn, struct err *e)
{
    (void)e;
    http1_init(&conn->h1.parser, HTTP1_REQUEST, SI_BODY_MAX);
    return 0;
}

static void drop_current(struct si_conn *conn)
{
    if (conn->h1.current)
        si_core_drop(conn->h1.current);
    conn->h1.current = NULL;
}

void si_h1_done(struct si_conn *conn)
{
    drop_current(conn);
    http1_done(&conn->h1.parser);
    buf_done(&conn->h1.pending);
}

/* --- requests ------------------------------------------------------------------ */

/* The parser's head moves with the next message, and a call can outlive its connection:
 * the head is copied once and the spans follow. */
static bool take_head(struct si_exchange *ex, const struct http1_parser *p)
{
    struct arena *a = &ex->call.arena;
    struct si_request *q = &ex->call.request;
    const struct http1_head *h = &p->head;
    const uint8_t *from = p->head_bytes.p;
    struct span copy = arena_dup(a, buf_view(&p->head_bytes));
    struct op_header *v = arena_alloc(a, (h->field_count + 8) * sizeof *v);
    if (!copy.p || !v)
        return false;
#define MOVED(s) ((struct span){copy.p + ((s).p - from), (s).n})
    q->method = MOVED(h->method);
    q->target = MOVED(h->target);
    for (uint32_t i = 0; i < h->field_count; i++)
        v[i] = (struct op_header){MOVED(h->fields[i].name), MOVED(h->fields[i].value)};
#undef MOVED
    q->fields = (struct si_fields){v, h->field_count, h->field_count + 8};
    q->minor_version = h->minor_version;
    q->wants_close = !h->keep_alive;
    q->has_body = h->chunked || (h->has_length && h->length > 0);
    return true;
}

static void refuse(struct si_conn *conn, const char *status)
{
    drop_current(conn);
    buf_fmt(&conn->out, "HTTP/1.1 %s\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            status);
    conn->ending = true;
    conn->wake(conn, conn->wake_arg);
}

static void take_event(struct si_conn *conn, int event, struct span data)
{
    struct si_h1 *h1 = &conn->h1;
    struct si_exchange *ex = h1->current;
    switch (event) {
    case HTTP1_HEAD:
        if (!take_head(ex, &h1->parser)) {
            refuse(conn, "500 Internal Server Error");
            return;
        }
        h1->keep_alive = h1->parser.head.keep_alive;
        h1->head_request = span_eq_str(ex->call.request.method, "HEAD");
        if (h1->parser.head.expect_continue && ex->call.request.has_body) {
            buf_str(&conn->out, "HTTP/1.1 100 Continue\r\n\r\n");
            conn->wake(conn, conn->wake_arg);
        }
        return;
    case HTTP1_DATA:
        buf_span(&ex->body, data);
        if (ex->body.failed)
            refuse(conn, "500 Internal Server Error");
        return;
    case HTTP1_END:
        ex->call.request.body = buf_view(&ex->body);
        si_core_request(ex, conn->read_at);
        return;
    default:
        refuse(conn, event == ERR_LIMIT && ex->call.request.method.n
                         ? "413 Content Too Large"
                     : event == ERR_LIMIT ? "431 Request Header Fields Too Large"
                     : event == ERR_NOMEM ? "500 Internal Server Error"
                                          : "400 Bad Request");
    }
}

/* Parses until the bytes are used up or a call is in service. */
static void parse(struct si_conn *conn, struct span *bytes)
{
    struct si_h1 *h1 = &conn->h1;
    h1->parsing = true;
    while (!conn->ending && !(h1->current && h1->current->state != SI_READING)) {
        if (!h1->current && bytes->n)
            h1->current = si_core_take(conn->core, conn->tier, &h1_wire, conn,
                                       conn->ordinal, conn->read_at);
        if (!h1->current) {
            conn->ending = conn->ending || bytes->n > 0; /* out of memory */
            break;
        }
        struct span data;
        struct err e = {0};
        int event = http1_feed(&h1->parser, bytes, &data, &e);
        if (event == HTTP1_MORE)
            break;
        take_event(conn, event, data);
    }
    h1->parsing = false;
}

static void parse_pending(struct si_conn *conn)
{
    struct si_h1 *h1 = &conn->h1;
    struct span rest = buf_view(&h1->pending);
    size_t before = rest.n;
    parse(conn, &rest);
    buf_shift(&h1->pending, before - rest.n);
    if (h1->eof && !(h1->current && h1->current->state == SI_SERVING))
        conn->ending = true;
}

void si_h1_feed(struct si_conn *conn, struct span bytes)
{
    struct si_h1 *h1 = &conn->h1;
    if (!h1->pending.n)
        parse(conn, &bytes);
    if (!bytes.n || conn->ending)
        return;
    if (h1->pending.n + bytes.n > SI_PENDING_MAX) {
        refuse(conn, "400 Bad Request");
        return;
    }
    buf_span(&h1->pending, bytes);
    conn->ending = conn->ending || h1->pending.failed;
}

void si_h1_eof(struct si_conn *conn)
{
    struct si_h1 *h1 = &conn->h1;
    h1->eof = true;
    if (!h1->current || h1->current->state != SI_SERVING)
        conn->ending = true;
}

/* --- replies ------------------------------------------------------------------- */

static const char *reason(uint16_t status)
{
    switch (status) {
    case 200:
        return "OK";
    case 400:
        return "Bad Request";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 422:
        return "Unprocessable Entity";
    case 424:
        return "Failed Dependency";
    case 426:
        return "Upgrade Required";
    case 429:
        return "Too Many Requests";
    case 500:
        return "Internal Server Error";
    case 502:
        return "Bad Gateway";
    case 503:
        return "Service Unavailable";
    case 504:
        return "Gateway Timeout";
    default:
        return status < 400 ? "OK" : "Error";
    }
}

static void put_field(struct buf *out, struct span name, struct span value)
{
    buf_span(out, name);
    buf_add(out, ": ", 2);
    buf_span(out, value);
    buf_add(out, "\r\n", 2);
}

static void put_head(struct si_conn *conn, const struct si_reply *r, bool chunked)
{
    struct buf *out = &conn->out;
    const struct si_fields *f = &r->fields;
    bool capital = conn->tier != &si_tiers[SI_ENVOY]; /* only envoy writes small ones */
    buf_fmt(out, "HTTP/1.1 %u %s\r\n", r->status, reason(r->status));
    for (uint32_t i = 0; i < f->n; i++)
        put_field(out, f->v[i].name, f->v[i].value);
    if (chunked)
        buf_str(out, capital ? "Transfer-Encoding: chunked\r\n"
                             : "transfer-encoding: chunked\r\n");
    else if (r->chunked)
        buf_fmt(out, "content-length: %zu\r\n", r->body.n);
    if (conn->ending && !si_fields_count(f, "connection"))
        buf_str(out, capital ? "Connection: close\r\n" : "connection: close\r\n");
    buf_add(out, "\r\n", 2);
}

/* A piece of body; the last one ends chunked framing. */
static void put_body(struct buf *out, struct span body, bool chunked, bool last)
{
    if (!chunked) {
        buf_span(out, body);
        return;
    }
    if (body.n) {
        buf_fmt(out, "%zx\r\n", body.n);
        buf_span(out, body);
        buf_add(out, "\r\n", 2);
    }
    if (last)
        buf_add(out, "0\r\n\r\n", 5);
}

/* What was released of the body and has not gone yet. */
static void put_released(struct si_conn *conn, struct si_exchange *ex)
{
    const struct si_reply *r = &ex->call.reply;
    bool chunked = r->chunked && ex->call.request.minor_version > 0;
    put_body(&conn->out, span_sub(r->body, ex->body_sent, ex->released), chunked,
             ex->released == r->body.n);
    ex->body_sent = ex->released;
}

static void put_reply(struct si_conn *conn, struct si_exchange *ex)
{
    const struct si_reply *r = &ex->call.reply;
    bool chunked = r->chunked && ex->call.request.minor_version > 0;
    if (ex->fault == SI_FAULT_GARBAGE) {
        buf_str(&conn->out, "\x7f\x01 this is not HTTP\n");
        conn->ending = true;
        return;
    }
    put_head(conn, r, chunked);
    if (conn->h1.head_request) {
        ex->released = r->body.n;
        return;
    }
    if (ex->fault == SI_FAULT_CLOSE) {
        put_body(&conn->out, span_sub(r->body, 0, r->body.n / 2), false, true);
        conn->ending = true;
        return;
    }
    put_released(conn, ex);
}

/* Everything is out. */
static void end_reply(struct si_conn *conn)
{
    struct si_h1 *h1 = &conn->h1;
    drop_current(conn);
    if (conn->out.failed)
        conn->ending = true;
    conn->wake(conn, conn->wake_arg);
    if (!conn->ending && h1->pending.n && !h1->parsing) {
        conn->read_at = ev_now(conn->core->ev);
        parse_pending(conn);
    }
}

static void h1_answer(struct si_exchange *ex)
{
    struct si_conn *conn = ex->conn;
    struct si_h1 *h1 = &conn->h1;
    const struct si_reply *r = &ex->call.reply;
    conn->reset = r->reset;
    if (r->close || !h1->keep_alive || (h1->eof && !h1->pending.n))
        conn->ending = true;
    put_reply(conn, ex);
    if (ex->released == r->body.n) {
        end_reply(conn);
        return;
    }
    h1->ends = conn->ending;
    conn->ending = false; /* not before the last event */
    conn->wake(conn, conn->wake_arg);
}

static void h1_more(struct si_exchange *ex)
{
    struct si_conn *conn = ex->conn;
    put_released(conn, ex);
    if (ex->released < ex->call.reply.body.n) {
        conn->wake(conn, conn->wake_arg);
        return;
    }
    conn->ending = conn->ending || conn->h1.ends;
    end_reply(conn);
}

static void h1_cut(struct si_exchange *ex)
{
    struct si_conn *conn = ex->conn;
    drop_current(conn);
    conn->ending = true;
    conn->wake(conn, conn->wake_arg);
}

static void h1_rebind(struct si_exchange *ex)
{
    struct si_conn *conn = ex->conn;
    conn->h1.current = ex;
}

static const struct si_wire h1_wire = {h1_answer, h1_more, h1_cut, h1_rebind};

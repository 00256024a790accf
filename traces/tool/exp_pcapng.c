/*
 * exp_pcapng.c - a trace's REST and gRPC operations as packets; see trc_export.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "traces/tool/exp_h2.h"
#include "traces/tool/trc_copy.h"
#include "traces/tool/trc_export.h"
#include "traces/wire/content_encoding.h"
#include "traces/wire/sse.h"

#define SEGMENT     16384u /* bytes of a segment: loopback has large ones */
#define LINK_RAW    101    /* LINKTYPE_RAW: the IP header comes first */
#define HEADERS     40u    /* IPv4 and TCP, without options */
#define FIRST_PORT  32768u /* of clients */
#define PORTS       28232u
#define SERVER_ADDR 0x7f000001u
#define CLIENT_NET  0x7f010000u /* 127.1.x.y */
#define PENDING_MAX ((size_t)64 << 20)

enum { FIN = 1, SYN = 2, PSH = 8, ACK = 16 };

/* The ports at which `reprise capture` knows the tiers by itself. */
static uint16_t port_of(const struct op_stream *s)
{
    static const uint16_t ports[OP_TIER_COUNT][2] = {
        [OP_TIER_ANY] = {80, 80},
        [OP_TIER_ENVOY] = {80, 80},
        [OP_TIER_RPROXY] = {9001, 9501},
        [OP_TIER_SERVER] = {9500, 9500},
        [OP_TIER_PIPELINEGATEWAY] = {9010, 9011},
        [OP_TIER_MODELGATEWAY] = {9010, 9011},
    };
    return ports[s->tier][s->protocol == OP_GRPC];
}

/* One operation's connection. */
struct wire {
    uint32_t client;
    uint16_t port, server_port;
    uint32_t seq, ack; /* of the client; the server's are the other way round */
};

/* Bytes [from, to) of a script go out at at_ns. */
struct step {
    int64_t at_ns;
    size_t from, to;
    bool answer;
};

/* What is yet to come on a connection: messages of a request that streams, and the
 * answer. Scripts stand in a heap by the time of their next step. */
struct script {
    uint64_t order;
    struct wire wire;
    struct buf bytes;
    struct step *steps; /* ascending by time */
    size_t n, cap, next;
    bool answered; /* both sides close behind the last step */
};

struct packets {
    struct buf out;
    FILE *to;
    int64_t epoch_ns;
    const struct exp_late *late;
    struct script *heap;
    size_t n, cap, pending;
    uint64_t order;
};

/* --- blocks --- */

static void put_u32(struct buf *b, uint32_t v)
{
    buf_u32(b, v);
}

static void put_head(struct buf *b)
{
    put_u32(b, 0x0a0d0d0a); /* section header */
    put_u32(b, 28);
    put_u32(b, 0x1a2b3c4d);
    buf_u16(b, 1);
    buf_u16(b, 0);
    buf_u64(b, UINT64_MAX);
    put_u32(b, 28);
    put_u32(b, 1); /* interface, times in ns */
    put_u32(b, 32);
    buf_u16(b, LINK_RAW);
    buf_u16(b, 0);
    put_u32(b, 0);
    buf_u16(b, 9);
    buf_u16(b, 1);
    put_u32(b, 9);
    put_u32(b, 0);
    put_u32(b, 32);
}

static uint32_t sum16(struct span s, uint32_t sum)
{
    for (size_t i = 0; i < s.n; i++)
        sum += i % 2 ? s.p[i] : (uint32_t)s.p[i] << 8;
    return sum;
}

static void put_sum(uint8_t *at, uint32_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    at[0] = (uint8_t)(~sum >> 8);
    at[1] = (uint8_t)~sum;
}

static void set16(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static void set32(uint8_t *p, uint32_t v)
{
    set16(p, v >> 16);
    set16(p + 2, v);
}

static void put_segment(struct packets *k, int64_t at_ns, struct wire *w, bool answer,
                        unsigned flags, struct span data)
{
    uint32_t n = HEADERS + (uint32_t)data.n, padded = (n + 3) & ~3u;
    uint64_t at = (uint64_t)k->epoch_ns + (uint64_t)at_ns;
    uint8_t h[HEADERS] = {0x45};
    set16(h + 2, n);
    h[6] = 0x40; /* do not fragment */
    h[8] = 64;
    h[9] = 6;
    set32(h + 12, answer ? SERVER_ADDR : w->client);
    set32(h + 16, answer ? w->client : SERVER_ADDR);
    put_sum(h + 10, sum16(span_of(h, 20), 0));
    set16(h + 20, answer ? w->server_port : w->port);
    set16(h + 22, answer ? w->port : w->server_port);
    set32(h + 24, answer ? w->ack : w->seq);
    set32(h + 28, !(flags & ACK) ? 0 : answer ? w->seq : w->ack);
    h[32] = 5 << 4;
    h[33] = (uint8_t)flags;
    set16(h + 34, 65535);
    put_sum(h + 36, sum16(data, sum16(span_of(h + 12, 28), 6 + n - 20)));

    put_u32(&k->out, 6); /* enhanced packet */
    put_u32(&k->out, 32 + padded);
    put_u32(&k->out, 0);
    put_u32(&k->out, (uint32_t)(at >> 32));
    put_u32(&k->out, (uint32_t)at);
    put_u32(&k->out, n);
    put_u32(&k->out, n);
    buf_add(&k->out, h, sizeof h);
    buf_span(&k->out, data);
    buf_zeros(&k->out, padded - n);
    put_u32(&k->out, 32 + padded);
    *(answer ? &w->ack : &w->seq) += (uint32_t)data.n + (flags & (SYN | FIN) ? 1 : 0);
}

static void put_stream(struct packets *k, int64_t at_ns, struct wire *w, bool answer,
                       struct span data)
{
    for (size_t at = 0; at < data.n; at += SEGMENT)
        put_segment(k, at_ns, w, answer, ACK | PSH, span_sub(data, at, at + SEGMENT));
}

/* --- what is to come, in order of time --- */

static int64_t next_ns(const struct script *s)
{
    return s->steps[s->next].at_ns;
}

static bool before(const struct script *a, const struct script *b)
{
    return next_ns(a) != next_ns(b) ? next_ns(a) < next_ns(b) : a->order < b->order;
}

static void script_done(struct script *s)
{
    buf_done(&s->bytes);
    free(s->steps);
}

static size_t script_bytes(const struct script *s)
{
    return s->bytes.n + s->n * sizeof *s->steps + sizeof *s;
}

/* Takes s over, unless it fails. */
static int push(struct packets *k, struct script s, struct err *e)
{
    if (k->n == k->cap) {
        size_t cap = k->cap ? 2 * k->cap : 64;
        struct script *heap = realloc(k->heap, cap * sizeof *heap);
        if (!heap)
            return err_set(e, ERR_NOMEM, "out of memory for answers to come");
        k->heap = heap;
        k->cap = cap;
    }
    s.order = k->order++;
    size_t i = k->n++;
    for (; i > 0 && before(&s, &k->heap[(i - 1) / 2]); i = (i - 1) / 2)
        k->heap[i] = k->heap[(i - 1) / 2];
    k->heap[i] = s;
    return 0;
}

static struct script pop(struct packets *k)
{
    struct script top = k->heap[0], last = k->heap[--k->n];
    size_t i = 0, child;
    while ((child = 2 * i + 1) < k->n) {
        if (child + 1 < k->n && before(&k->heap[child + 1], &k->heap[child]))
            child++;
        if (!before(&k->heap[child], &last))
            break;
        k->heap[i] = k->heap[child];
        i = child;
    }
    k->heap[i] = last;
    return top;
}

static void close_both(struct packets *k, int64_t at_ns, struct wire *w)
{
    put_segment(k, at_ns, w, false, ACK | FIN, (struct span){0});
    put_segment(k, at_ns, w, true, ACK | FIN, (struct span){0});
    put_segment(k, at_ns, w, false, ACK, (struct span){0});
}

/* The next step of the script that is first. */
static int send_top(struct packets *k, struct err *e)
{
    struct script s = pop(k);
    const struct step *now = &s.steps[s.next++];
    int rc = 0;
    put_stream(k, now->at_ns, &s.wire, now->answer,
               span_sub(buf_view(&s.bytes), now->from, now->to));
    if (s.next < s.n) {
        rc = push(k, s, e); /* there is room: one was taken */
    } else {
        if (s.answered)
            close_both(k, now->at_ns, &s.wire);
        k->pending -= script_bytes(&s);
        script_done(&s);
    }
    return rc == 0 && k->out.n >= TRC_EXPORT_CHUNK ? trc_export_flush(&k->out, k->to, e)
                                                   : rc;
}

/* --- operations --- */

static bool fits_line(struct span s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < ' ' || s.p[i] == 0x7f)
            return false;
    return true;
}

static bool fits_word(struct span s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == ' ' || s.p[i] == ':')
            return false;
    return fits_line(s);
}

static bool can_say(const struct op *o)
{
    const struct op_stream *s = o->stream;
    if (s->tier == OP_TIER_KAFKA || s->protocol == OP_GRPC)
        return s->tier != OP_TIER_KAFKA && exp_h2_can_say(o);
    bool ok = s->protocol == OP_REST && o->request.state != OP_BODY_ELIDED &&
              o->request_messages.count == 0 && fits_word(s->method) &&
              fits_line(s->path) && span_find(s->path, ' ', 0) == s->path.n &&
              fits_word(s->name) && fits_line(s->content_type) &&
              fits_line(s->content_encoding) && fits_line(o->id);
    for (uint32_t i = 0; ok && i < s->header_count; i++)
        ok = s->headers[i].name.n && fits_word(s->headers[i].name) &&
             fits_line(s->headers[i].value);
    return ok;
}

static bool has_header(const struct op_stream *s, const char *name)
{
    for (uint32_t i = 0; i < s->header_count; i++)
        if (span_eq_nocase(s->headers[i].name, name))
            return true;
    return false;
}

static void header(struct buf *b, const struct op_stream *s, const char *name,
                   struct span value)
{
    if (value.n && !has_header(s, name))
        buf_fmt(b, "%s: %.*s\r\n", name, SPAN_ARG(value));
}

static bool frames(struct span name)
{
    return span_eq_nocase(name, "content-length") ||
           span_eq_nocase(name, "transfer-encoding") ||
           span_eq_nocase(name, "connection") || span_eq_nocase(name, "expect");
}

/* What seldon-model says. */
static void put_route(const struct op_stream *s, struct buf *b)
{
    static const char *const suffixes[] = {"", ".pipeline", ".experiment"};
    bool gateway = s->tier == OP_TIER_MODELGATEWAY && s->resource == OP_MODEL;
    buf_fmt(b, "%.*s%s", SPAN_ARG(s->name), gateway ? ".model" : suffixes[s->resource]);
}

static void put_request(const struct op *o, struct span route, struct buf *b)
{
    const struct op_stream *s = o->stream;
    buf_span(b, s->method.n ? s->method : SPAN_LIT("POST"));
    buf_u8(b, ' ');
    if (s->path.n)
        buf_span(b, s->path);
    else
        buf_fmt(b, "/v2/models/%.*s/infer", SPAN_ARG(s->name));
    buf_str(b, " HTTP/1.1\r\n");
    header(b, s, "host", span_str(op_tier_names[s->tier]));
    header(b, s, "seldon-model", route);
    for (uint32_t i = 0; i < s->header_count; i++)
        if (!frames(s->headers[i].name))
            buf_fmt(b, "%.*s: %.*s\r\n", SPAN_ARG(s->headers[i].name),
                    SPAN_ARG(s->headers[i].value));
    header(b, s, "content-type", s->content_type);
    header(b, s, "content-encoding", s->content_encoding);
    header(b, s, "x-request-id", o->id);
    buf_fmt(b, "content-length: %zu\r\n\r\n", o->request.data.n);
    buf_span(b, o->request.data);
}

/* Answers that HTTP/1.1 ends at their head, whatever their length says. */
static bool cannot_have_body(const struct op *o)
{
    return o->response.data.n && (o->status == 204 || o->status == 304 ||
                                  span_eq_str(o->stream->method, "HEAD") ||
                                  span_eq_str(o->stream->method, "CONNECT"));
}

/* Server-sent events, each at its time between the answer's first byte and its last,
 * come apart as `capture` takes them apart, or not at all. */
static bool fits_events(const struct op *o)
{
    const struct op_messages *m = &o->response_messages;
    int64_t now = o->first_ns;
    size_t at = 0;
    if (o->response.state != OP_BODY_KEPT || o->last_ns == OP_TIME_NONE ||
        o->response_codings || m->count == OP_MESSAGES_MAX)
        return false;
    for (uint32_t i = 0; i < m->count; i++) {
        size_t end = sse_block_end(o->response.data, at);
        if (m->v[i].at_ns < now || m->v[i].at_ns > o->last_ns ||
            m->v[i].bytes != end - at || end == at)
            return false;
        now = m->v[i].at_ns;
        at = end;
    }
    return true;
}

static bool answered(const struct op *o)
{
    if (o->stream->protocol == OP_GRPC)
        return exp_h2_answered(o);
    if (cannot_have_body(o) || (o->response_messages.count && !fits_events(o)))
        return false;
    return o->status >= 200 && o->status <= 999 && o->first_ns != OP_TIME_NONE &&
           o->response.state != OP_BODY_ELIDED;
}

/* What of s->bytes no step has yet goes out then. */
static int add_step(struct script *s, const struct op *o, int64_t since_ns, bool answer,
                    size_t to, struct err *e)
{
    struct step step = {
        .from = s->n ? s->steps[s->n - 1].to : 0, .to = to, .answer = answer};
    if (__builtin_add_overflow(o->arrival_ns, since_ns, &step.at_ns))
        return err_set(e, ERR_LIMIT,
                       "operation %" PRIu64 " is answered after the end of time",
                       o->index);
    if (s->n == s->cap) {
        size_t cap = s->cap ? 2 * s->cap : 4;
        struct step *steps = realloc(s->steps, cap * sizeof *steps);
        if (!steps)
            return err_set(e, ERR_NOMEM, "out of memory for a stream's messages");
        s->steps = steps;
        s->cap = cap;
    }
    s->steps[s->n++] = step;
    return 0;
}

static int script_request(struct script *s, const struct op *o, struct err *e)
{
    const struct op_messages *m = &o->request_messages;
    size_t at = 0;
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < m->count; i++) {
        size_t end = at + (size_t)m->v[i].bytes;
        exp_h2_request_message(o, span_sub(o->request.data, at, end), i + 1 == m->count,
                               &s->bytes);
        rc = add_step(s, o, m->v[i].at_ns, false, s->bytes.n, e);
        at = end;
    }
    return rc;
}

/* An event as a chunk of HTTP/1.1. */
static void put_chunk(struct span event, struct buf *b)
{
    buf_fmt(b, "%zx\r\n", event.n);
    buf_span(b, event);
    buf_str(b, "\r\n");
}

static void put_answer_head(const struct op *o, struct buf *b)
{
    char names[CONTENT_CODINGS_TEXT];
    buf_fmt(b, "HTTP/1.1 %u \r\n", (unsigned)o->status);
    if (o->response_codings)
        buf_fmt(b, "content-encoding: %s\r\n",
                content_codings_text(o->response_codings, names));
    if (o->response_messages.count)
        buf_str(b, "content-type: text/event-stream\r\n"
                   "transfer-encoding: chunked\r\n\r\n");
    else
        buf_fmt(b, "content-length: %zu\r\n\r\n", o->response.data.n);
}

/* Its beginning, each message, and its end, at their times. */
static int script_stream(struct script *s, const struct op *o, struct err *e)
{
    const struct op_messages *m = &o->response_messages;
    bool grpc = o->stream->protocol == OP_GRPC;
    size_t at = 0;
    if (grpc)
        exp_h2_answer(o, &s->bytes);
    else
        put_answer_head(o, &s->bytes);
    int rc = add_step(s, o, o->first_ns, true, s->bytes.n, e);
    for (uint32_t i = 0; rc == 0 && i < m->count; i++) {
        size_t end = at + (size_t)m->v[i].bytes;
        struct span message = span_sub(o->response.data, at, end);
        if (grpc)
            exp_h2_answer_message(o, message, &s->bytes);
        else
            put_chunk(message, &s->bytes);
        rc = add_step(s, o, m->v[i].at_ns, true, s->bytes.n, e);
        at = end;
    }
    if (grpc)
        exp_h2_answer_end(o, &s->bytes);
    else
        buf_str(&s->bytes, "0\r\n\r\n");
    return rc < 0 ? rc : add_step(s, o, o->last_ns, true, s->bytes.n, e);
}

/* The first byte at its time, the last one at its own. */
static int script_unary(struct script *s, const struct op *o, struct err *e)
{
    int64_t last = o->last_ns == OP_TIME_NONE ? o->first_ns : o->last_ns;
    size_t from = s->bytes.n;
    int rc = 0;
    if (o->stream->protocol == OP_GRPC) {
        exp_h2_answer(o, &s->bytes);
    } else {
        put_answer_head(o, &s->bytes);
        buf_span(&s->bytes, o->response.data);
    }
    if (last > o->first_ns)
        rc = add_step(s, o, o->first_ns, true, from + 1, e);
    return rc < 0 ? rc
                  : add_step(s, o, last > o->first_ns ? last : o->first_ns, true,
                             s->bytes.n, e);
}

/* Of two at one time the request's comes first. */
static int by_time(const void *a, const void *b)
{
    const struct step *x = a, *y = b;
    if (x->at_ns != y->at_ns)
        return x->at_ns < y->at_ns ? -1 : 1;
    return x->from < y->from ? -1 : x->from > y->from;
}

/* All that comes after the request's beginning. */
static int put_rest(struct packets *k, const struct op *o, struct wire w, struct err *e)
{
    struct script s = {.wire = w, .answered = answered(o)};
    int rc = script_request(&s, o, e);
    if (rc == 0 && s.answered)
        rc = o->response_messages.count ? script_stream(&s, o, e)
                                        : script_unary(&s, o, e);
    if (rc == 0)
        rc = buf_check(&s.bytes, e);
    size_t bytes = script_bytes(&s);
    if (rc == 0 && s.n > 0) {
        qsort(s.steps, s.n, sizeof *s.steps, by_time);
        rc = push(k, s, e);
        if (rc == 0) {
            k->pending += bytes;
            return 0;
        }
    }
    script_done(&s);
    return rc;
}

static int put_op(struct packets *k, const struct op *o, uint64_t n,
                  struct trc_export_done *done, struct err *e)
{
    struct wire w = {.client = CLIENT_NET + (uint32_t)(n / PORTS % 65535) + 1,
                     .port = (uint16_t)(FIRST_PORT + n % PORTS),
                     .server_port = port_of(o->stream),
                     .seq = 1,
                     .ack = 1};
    struct buf request = {0}, route = {0}, greeting = {0};
    bool grpc = o->stream->protocol == OP_GRPC;
    int rc = 0;
    while (rc == 0 && k->n &&
           (next_ns(&k->heap[0]) < o->arrival_ns || k->pending > PENDING_MAX))
        rc = send_top(k, e);
    put_route(o->stream, &route);
    if (grpc) {
        exp_h2_greeting(true, &request);
        exp_h2_greeting(false, &greeting);
        exp_h2_request(o, buf_view(&route), &request);
    } else {
        put_request(o, buf_view(&route), &request);
    }
    put_segment(k, o->arrival_ns, &w, false, SYN, (struct span){0});
    put_segment(k, o->arrival_ns, &w, true, SYN | ACK, (struct span){0});
    put_segment(k, o->arrival_ns, &w, false, ACK, (struct span){0});
    put_stream(k, o->arrival_ns, &w, false, buf_view(&request));
    put_stream(k, o->arrival_ns, &w, true, buf_view(&greeting));
    k->out.failed |= request.failed || route.failed || greeting.failed;
    buf_done(&request);
    buf_done(&route);
    buf_done(&greeting);
    if (rc == 0)
        rc = put_rest(k, o, w, e);
    if (!answered(o) && (o->status || o->first_ns != OP_TIME_NONE))
        done->answers_left_out++;
    if (rc == 0 && (k->out.n >= TRC_EXPORT_CHUNK || k->out.failed))
        rc = trc_export_flush(&k->out, k->to, e);
    return rc;
}

/* The operations of a block, with answers that stand behind them. */
static int put_block(struct packets *k, const struct trc_block *b,
                     struct trc_export_done *done, struct err *e)
{
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < b->count; i++) {
        struct op o = b->ops[i];
        exp_late_join(k->late, &o);
        if (can_say(&o))
            rc = put_op(k, &o, done->written++, done, e);
    }
    done->records += b->count;
    for (uint32_t i = 0; i < b->late_count; i++)
        done->late_answers += !exp_late_has(k->late, b->late[i].index);
    return rc;
}

int trc_export_pcapng(struct trc_reader *r, const struct exp_late *late, FILE *to,
                      struct trc_export_done *done, struct err *e)
{
    const struct trc_info *info = trc_reader_info(r);
    struct packets k = {.to = to, .epoch_ns = info->epoch_wall_ns, .late = late};
    int rc = 0, got = 1;
    if (info->kind != TRC_TRACE)
        return err_set(e, ERR_USAGE, "a run holds no requests to make packets of");
    if (info->epoch_wall_ns < 0)
        return err_set(e, ERR_USAGE, "packets cannot be older than 1970");
    put_head(&k.out);
    while (rc == 0 && got == 1) {
        struct trc_block *b;
        if ((got = trc_copy_next(r, &b, &done->unclosed, e)) != 1)
            break;
        rc = put_block(&k, b, done, e);
        trc_block_free(b);
    }
    while (rc == 0 && got == 0 && k.n)
        rc = send_top(&k, e);
    if (rc == 0 && got == 0)
        rc = trc_export_flush(&k.out, to, e);
    while (k.n > 0)
        script_done(&k.heap[--k.n]);
    free(k.heap);
    buf_done(&k.out);
    return got < 0 ? got : rc;
}

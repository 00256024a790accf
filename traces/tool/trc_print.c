/*
 * trc_print.c - see trc_print.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/tool/trc_print.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "traces/base/jsonw.h"
#include "traces/base/units.h"
#include "traces/wire/content_encoding.h"

const char *const trc_flag_names[] = {
    "truncated", "redacted",    "inferred",  "opaque", "gap",
    "sampled",   "dequantized", "synthetic", "k6",     NULL};

char *trc_hash_text(const uint64_t hash[2], char out[TRC_HASH_TEXT])
{
    snprintf(out, TRC_HASH_TEXT, "%016" PRIx64 "%016" PRIx64, hash[1], hash[0]);
    return out;
}

bool trc_hash_parse(struct span text, uint64_t hash[2])
{
    uint64_t high_first[2] = {0};
    for (size_t i = 0; i < text.n && i < 32; i++) {
        uint8_t c = text.p[i];
        int d = c >= '0' && c <= '9'   ? c - '0'
                : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                       : -1;
        if (d < 0)
            return false;
        high_first[i / 16] = high_first[i / 16] << 4 | (uint64_t)d;
    }
    hash[0] = high_first[1];
    hash[1] = high_first[0];
    return text.n == 32;
}

/* Length of the valid UTF-8 sequence at p, or 0. */
static size_t utf8_at(const uint8_t *p, size_t n)
{
    if (p[0] < 0x80)
        return 1;
    size_t length = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || length > n)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    /* No overlong forms, no surrogates, nothing above U+10FFFF. */
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
        (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return length;
}

bool trc_is_text(struct span s)
{
    for (size_t i = 0; i < s.n;) {
        size_t n = s.p[i] ? utf8_at(s.p + i, s.n - i) : 0;
        if (n == 0)
            return false;
        i += n;
    }
    return true;
}

void trc_base64(struct span s, struct buf *out)
{
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint8_t *p = buf_grow(out, (s.n + 2) / 3 * 4);
    for (size_t i = 0; p && i < s.n; i += 3) {
        size_t n = s.n - i < 3 ? s.n - i : 3;
        uint32_t v = (uint32_t)s.p[i] << 16 | (n > 1 ? (uint32_t)s.p[i + 1] << 8 : 0) |
                     (n > 2 ? s.p[i + 2] : 0);
        *p++ = (uint8_t)digits[v >> 18];
        *p++ = (uint8_t)digits[v >> 12 & 63];
        *p++ = n > 1 ? (uint8_t)digits[v >> 6 & 63] : '=';
        *p++ = n > 2 ? (uint8_t)digits[v & 63] : '=';
    }
}

/* --- JSON --- */

static void put_base64(struct jsonw *w, struct span s)
{
    struct buf text = {0};
    buf_u8(&text, '"');
    trc_base64(s, &text);
    buf_u8(&text, '"');
    w->out->failed |= text.failed;
    jsonw_raw(w, buf_view(&text));
    buf_done(&text);
}

/* A string, or {"base64": …} where it is none. */
static void put_text(struct jsonw *w, struct span s)
{
    if (trc_is_text(s)) {
        jsonw_span(w, s);
        return;
    }
    jsonw_object(w);
    jsonw_key(w, "base64");
    put_base64(w, s);
    jsonw_end(w);
}

static void key_text(struct jsonw *w, const char *key, struct span s)
{
    if (s.n == 0)
        return;
    jsonw_key(w, key);
    put_text(w, s);
}

static void key_body(struct jsonw *w, const char *key, const struct op_body *b)
{
    if (b->state == OP_BODY_NONE)
        return;
    char hash[TRC_HASH_TEXT];
    jsonw_key(w, key);
    jsonw_object(w);
    if (b->state == OP_BODY_KEPT) {
        bool text = trc_is_text(b->data);
        jsonw_key(w, text ? "text" : "base64");
        if (text)
            jsonw_span(w, b->data);
        else
            put_base64(w, b->data);
    }
    jsonw_key_u64(w, "bytes", b->bytes);
    jsonw_key_str(w, "hash", trc_hash_text(b->hash, hash));
    jsonw_end(w);
}

void trc_key_messages(struct jsonw *w, const char *key, const struct op_messages *m)
{
    if (m->count == 0)
        return;
    jsonw_key(w, key);
    jsonw_array(w);
    for (uint32_t i = 0; i < m->count; i++) {
        jsonw_array(w);
        jsonw_i64(w, m->v[i].at_ns);
        jsonw_u64(w, m->v[i].bytes);
        jsonw_end(w);
    }
    jsonw_end(w);
}

static void key_ordinal(struct jsonw *w, const char *key, uint32_t v)
{
    if (v != OP_NONE)
        jsonw_key_u64(w, key, v);
}

static void key_time(struct jsonw *w, const char *key, int64_t ns)
{
    if (ns != OP_TIME_NONE)
        jsonw_key_i64(w, key, ns);
}

static void put_stream_names(struct jsonw *w, const struct op_stream *s)
{
    jsonw_key_str(w, "protocol", op_protocol_names[s->protocol]);
    jsonw_key_str(w, "tier", op_tier_names[s->tier]);
    jsonw_key_str(w, "resource", op_resource_names[s->resource]);
    jsonw_key(w, "name");
    put_text(w, s->name);
}

static void put_stream_details(struct jsonw *w, const struct op_stream *s)
{
    key_text(w, "model_type", s->model_type);
    key_text(w, "method", s->method);
    key_text(w, "path", s->path);
    key_text(w, "content_type", s->content_type);
    key_text(w, "content_encoding", s->content_encoding);
    if (s->header_count == 0)
        return;
    jsonw_key(w, "headers");
    jsonw_array(w);
    for (uint32_t i = 0; i < s->header_count; i++) {
        jsonw_array(w);
        put_text(w, s->headers[i].name);
        put_text(w, s->headers[i].value);
        jsonw_end(w);
    }
    jsonw_end(w);
}

static void put_flags(struct jsonw *w, uint32_t flags)
{
    if (flags == 0)
        return;
    jsonw_key(w, "flags");
    jsonw_array(w);
    size_t named = 0;
    for (; trc_flag_names[named]; named++)
        if (flags & 1u << named)
            jsonw_str(w, trc_flag_names[named]);
    for (size_t bit = named; bit < 32; bit++)
        if (flags & 1u << bit)
            jsonw_u64(w, bit);
    jsonw_end(w);
}

static void put_answer(struct jsonw *w, const struct op *o)
{
    if (o->status)
        jsonw_key_u64(w, "status", o->status);
    if (o->grpc_status >= 0)
        jsonw_key_i64(w, "grpc_status", o->grpc_status);
    key_time(w, "first_ns", o->first_ns);
    key_time(w, "last_ns", o->last_ns);
    key_body(w, "answer", &o->response);
    if (o->response_codings) {
        char text[CONTENT_CODINGS_TEXT];
        jsonw_key_str(w, "answer_encoding",
                      content_codings_text(o->response_codings, text));
    }
    trc_key_messages(w, "answer_messages", &o->response_messages);
}

void trc_print_op_json(const struct op *o, struct buf *out)
{
    struct jsonw w = {.out = out};
    jsonw_object(&w);
    jsonw_key_u64(&w, "index", o->index);
    jsonw_key_i64(&w, "arrival_ns", o->arrival_ns);
    put_stream_names(&w, o->stream);
    put_stream_details(&w, o->stream);
    put_flags(&w, o->flags);
    key_body(&w, "body", &o->request);
    trc_key_messages(&w, "messages", &o->request_messages);
    key_text(&w, "id", o->id);
    key_ordinal(&w, "connection", o->connection);
    key_ordinal(&w, "conn_stream", o->conn_stream);
    key_ordinal(&w, "client", o->client);
    key_ordinal(&w, "tokens_in", o->tokens_in);
    key_ordinal(&w, "tokens_out", o->tokens_out);
    if (o->weight < 1 || o->weight > 1)
        jsonw_key_f64(&w, "weight", (double)o->weight);
    put_answer(&w, o);
    jsonw_end(&w);
    buf_u8(out, '\n');
}

void trc_print_late_json(const struct op *o, struct buf *out)
{
    struct jsonw w = {.out = out};
    jsonw_object(&w);
    jsonw_key_u64(&w, "late", o->index);
    put_flags(&w, o->flags);
    put_answer(&w, o);
    jsonw_end(&w);
    buf_u8(out, '\n');
}

void trc_print_outcome_json(const struct outcome *o, struct buf *out)
{
    struct jsonw w = {.out = out};
    char hash[20];
    jsonw_object(&w);
    jsonw_key_u64(&w, "op", o->op_index);
    jsonw_key_i64(&w, "due_ns", o->due_ns);
    put_stream_names(&w, o->stream);
    jsonw_key_str(&w, "cause", out_cause_names[o->cause]);
    jsonw_key_str(&w, "check", out_check_names[o->check]);
    key_time(&w, "ready_ns", o->ready_ns);
    key_time(&w, "sent_ns", o->sent_ns);
    key_time(&w, "first_ns", o->first_ns);
    key_time(&w, "done_ns", o->done_ns);
    if (o->status)
        jsonw_key_u64(&w, "status", o->status);
    if (o->grpc_status >= 0)
        jsonw_key_i64(&w, "grpc_status", o->grpc_status);
    jsonw_key_u64(&w, "attempts", o->attempts);
    if (o->wait)
        jsonw_key_str(&w, "wait", out_wait_names[o->wait]);
    jsonw_key_u64(&w, "worker", o->worker);
    key_ordinal(&w, "connection", o->connection);
    jsonw_key_u64(&w, "bytes_out", o->bytes_out);
    jsonw_key_u64(&w, "bytes_in", o->bytes_in);
    if (o->answer_hash) {
        snprintf(hash, sizeof hash, "%016" PRIx64, o->answer_hash);
        jsonw_key_str(&w, "answer_hash", hash);
    }
    trc_key_messages(&w, "messages", &o->messages);
    put_stream_details(&w, o->stream);
    jsonw_end(&w);
    buf_u8(out, '\n');
}

/* --- text --- */

/* Printable as it is; anything else as \xNN, so that a terminal is never driven by
 * data. */
static void plain(struct buf *out, struct span s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] >= ' ' && s.p[i] < 0x7f)
            buf_u8(out, s.p[i]);
        else
            buf_fmt(out, "\\x%02x", s.p[i]);
}

static void stream_text(const struct op_stream *s, struct buf *out)
{
    buf_fmt(out, "  %-4s  %-6s  %s ", op_protocol_names[s->protocol],
            op_tier_names[s->tier], op_resource_names[s->resource]);
    plain(out, s->name);
}

static void seconds(struct buf *out, int64_t ns)
{
    uint64_t v = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns;
    buf_fmt(out, "%s%" PRIu64 ".%09" PRIu64, ns < 0 ? "-" : "", v / 1000000000,
            v % 1000000000);
}

static void duration(struct buf *out, const char *what, int64_t ns)
{
    char text[UNITS_TEXT_MAX];
    if (ns != OP_TIME_NONE)
        buf_fmt(out, "  %s %s", what, units_duration_text(ns, text));
}

static void body_text(const struct op_body *b, const char *what, struct buf *out)
{
    if (b->state != OP_BODY_NONE)
        buf_fmt(out, "  %s %" PRIu64 " B%s", what, b->bytes,
                b->state == OP_BODY_ELIDED ? " elided" : "");
}

static void messages_text(const struct op_messages *m, struct buf *out)
{
    if (m->count)
        buf_fmt(out, " in %" PRIu32 " message%s", m->count, m->count == 1 ? "" : "s");
}

static void flags_text(uint32_t flags, struct buf *out)
{
    for (size_t i = 0; trc_flag_names[i]; i++)
        if (flags & 1u << i && 1u << i != OP_FLAG_SYNTHETIC)
            buf_fmt(out, "  %s", trc_flag_names[i]);
}

static void answer_text(const struct op *o, struct buf *out)
{
    if (o->status)
        buf_fmt(out, "  http %u", (unsigned)o->status);
    if (o->grpc_status >= 0) {
        const char *name = out_grpc_name(o->grpc_status);
        buf_fmt(out, "  grpc %d%s%s", o->grpc_status, name ? " " : "",
                name ? name : "");
    }
    duration(out, "first", o->first_ns);
    duration(out, "last", o->last_ns);
    body_text(&o->response, "answer", out);
    if (o->response_codings) {
        char text[CONTENT_CODINGS_TEXT];
        buf_fmt(out, " in %s", content_codings_text(o->response_codings, text));
    }
    messages_text(&o->response_messages, out);
    buf_u8(out, '\n');
}

void trc_print_op_text(const struct op *o, struct buf *out)
{
    buf_fmt(out, "%8" PRIu64 "  ", o->index);
    seconds(out, o->arrival_ns);
    stream_text(o->stream, out);
    if (o->stream->path.n) {
        buf_str(out, "  ");
        plain(out, o->stream->method);
        buf_str(out, o->stream->method.n ? " " : "");
        plain(out, o->stream->path);
    }
    body_text(&o->request, "body", out);
    messages_text(&o->request_messages, out);
    flags_text(o->flags, out);
    if (o->id.n) {
        buf_str(out, "  id ");
        plain(out, o->id);
    }
    answer_text(o, out);
}

void trc_print_late_text(const struct op *o, struct buf *out)
{
    buf_fmt(out, "%8" PRIu64 "  late answer", o->index);
    flags_text(o->flags, out);
    answer_text(o, out);
}

static void since(struct buf *out, const char *what, int64_t ns, int64_t from)
{
    duration(out, what, ns == OP_TIME_NONE ? ns : ns - from);
}

void trc_print_outcome_text(const struct outcome *o, struct buf *out)
{
    char class[OUT_CLASS_MAX];
    buf_fmt(out, "%8" PRIu64 "  ", o->op_index);
    seconds(out, o->due_ns);
    stream_text(o->stream, out);
    buf_fmt(out, "  %s", outcome_class(o, class));
    since(out, "late", o->sent_ns, o->due_ns);
    since(out, "response", o->done_ns, o->due_ns);
    if (o->sent_ns != OP_TIME_NONE)
        since(out, "service", o->done_ns, o->sent_ns);
    buf_fmt(out, "  out %" PRIu64 " B  in %" PRIu64 " B\n", o->bytes_out, o->bytes_in);
}

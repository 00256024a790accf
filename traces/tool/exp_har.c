/*
 * exp_har.c - a trace as an HTTP Archive; see trc_export.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <string.h>

#include "traces/base/clk.h"
#include "traces/base/jsonw.h"
#include "traces/tool/trc_copy.h"
#include "traces/tool/trc_export.h"
#include "traces/tool/trc_print.h"
#include "traces/wire/content_encoding.h"

#define GRPC_PATH "/inference.GRPCInferenceService/ModelInfer"
#define NS_PER_MS 1e6

/* --- what belongs to both sides --- */

/* "text" of a body, base64 where it is not UTF-8; true then. */
static bool put_bytes(struct jsonw *w, struct span s)
{
    bool text = trc_is_text(s);
    jsonw_key(w, "text");
    if (text) {
        jsonw_span(w, s);
        return false;
    }
    struct buf quoted = {0};
    buf_u8(&quoted, '"');
    trc_base64(s, &quoted);
    buf_u8(&quoted, '"');
    w->out->failed |= quoted.failed;
    jsonw_raw(w, buf_view(&quoted));
    buf_done(&quoted);
    return true;
}

static void put_header(struct jsonw *w, struct span name, struct span value)
{
    jsonw_object(w);
    jsonw_key(w, "name");
    jsonw_span(w, name);
    jsonw_key(w, "value");
    jsonw_span(w, value);
    jsonw_end(w);
}

static void key_empty_array(struct jsonw *w, const char *key)
{
    jsonw_key(w, key);
    jsonw_array(w);
    jsonw_end(w);
}

/* So that `import har` makes the same operation of it again. */
static void put_hash(struct jsonw *w, const struct op_body *b)
{
    char text[TRC_HASH_TEXT];
    jsonw_key_str(w, "_hash", trc_hash_text(b->hash, text));
}

static int64_t length_of(const struct op_body *b)
{
    return b->state == OP_BODY_NONE         ? 0
           : b->bytes > (uint64_t)INT64_MAX ? INT64_MAX
                                            : (int64_t)b->bytes;
}

static const char *version_of(const struct op_stream *s)
{
    return s->protocol == OP_GRPC ? "HTTP/2.0" : "HTTP/1.1";
}

/* --- request --- */

static struct span path_of(const struct op_stream *s, struct buf *made)
{
    if (s->path.n)
        return s->path;
    if (s->protocol == OP_GRPC)
        return SPAN_LIT(GRPC_PATH);
    buf_str(made, "/v2/models/");
    buf_span(made, s->name);
    buf_str(made, "/infer");
    return buf_view(made);
}

static int hex_digit(uint8_t c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                  : -1;
}

/* A part of a query with its escapes undone, as the format wants it; what is no escape
 * stays. */
static void unescaped(struct jsonw *w, const char *key, struct span s)
{
    struct buf plain = {0};
    for (size_t i = 0; i < s.n; i++) {
        int high = s.p[i] == '%' && i + 2 < s.n ? hex_digit(s.p[i + 1]) : -1;
        int low = high < 0 ? -1 : hex_digit(s.p[i + 2]);
        if (low >= 0) {
            buf_u8(&plain, (uint8_t)(high << 4 | low));
            i += 2;
        } else {
            buf_u8(&plain, s.p[i] == '+' ? ' ' : s.p[i]);
        }
    }
    w->out->failed |= plain.failed;
    jsonw_key(w, key);
    jsonw_span(w, buf_view(&plain));
    buf_done(&plain);
}

static void put_query(struct jsonw *w, struct span path)
{
    jsonw_key(w, "queryString");
    jsonw_array(w);
    size_t at = span_find(path, '?', 0);
    while (at < path.n) {
        size_t from = at + 1;
        at = span_find(path, '&', from);
        struct span pair = span_sub(path, from, at);
        size_t equals = span_find(pair, '=', 0);
        if (pair.n == 0)
            continue;
        jsonw_object(w);
        unescaped(w, "name", span_sub(pair, 0, equals));
        unescaped(w, "value", span_sub(pair, equals + 1, pair.n));
        jsonw_end(w);
    }
    jsonw_end(w);
}

static bool has_header(const struct op_stream *s, const char *name)
{
    for (uint32_t i = 0; i < s->header_count; i++)
        if (span_eq_nocase(s->headers[i].name, name))
            return true;
    return false;
}

static void put_request_headers(struct jsonw *w, const struct op *o)
{
    const struct op_stream *s = o->stream;
    jsonw_key(w, "headers");
    jsonw_array(w);
    for (uint32_t i = 0; i < s->header_count; i++)
        put_header(w, s->headers[i].name, s->headers[i].value);
    if (s->content_type.n && !has_header(s, "content-type"))
        put_header(w, SPAN_LIT("content-type"), s->content_type);
    if (s->content_encoding.n && !has_header(s, "content-encoding"))
        put_header(w, SPAN_LIT("content-encoding"), s->content_encoding);
    if (o->id.n && !has_header(s, "x-request-id"))
        put_header(w, SPAN_LIT("x-request-id"), o->id);
    jsonw_end(w);
}

static void put_post_data(struct jsonw *w, const struct op *o)
{
    if (o->request.state == OP_BODY_NONE)
        return;
    jsonw_key(w, "postData");
    jsonw_object(w);
    jsonw_key(w, "mimeType");
    jsonw_span(w, o->stream->content_type);
    key_empty_array(w, "params");
    if (o->request.state == OP_BODY_KEPT) {
        if (put_bytes(w, o->request.data))
            jsonw_key_str(w, "_encoding", "base64");
    } else {
        jsonw_key_str(w, "text", "");
        put_hash(w, &o->request);
        jsonw_key_str(w, "comment", "the trace keeps length and hash alone");
    }
    jsonw_end(w);
}

static void put_request(struct jsonw *w, const struct op *o)
{
    const struct op_stream *s = o->stream;
    struct buf made = {0}, url = {0};
    struct span path = path_of(s, &made);
    buf_fmt(&url, "http://%s.invalid", op_tier_names[s->tier]);
    buf_span(&url, path);

    jsonw_key(w, "request");
    jsonw_object(w);
    jsonw_key(w, "method");
    jsonw_span(w, s->method.n ? s->method : SPAN_LIT("POST"));
    jsonw_key(w, "url");
    jsonw_span(w, buf_view(&url));
    jsonw_key_str(w, "httpVersion", version_of(s));
    key_empty_array(w, "cookies");
    put_request_headers(w, o);
    put_query(w, path);
    put_post_data(w, o);
    jsonw_key_i64(w, "headersSize", -1);
    jsonw_key_i64(w, "bodySize", length_of(&o->request));
    jsonw_end(w);
    w->out->failed |= made.failed || url.failed;
    buf_done(&made);
    buf_done(&url);
}

/* --- answer --- */

/* What the answer's bytes are encoded in; gzip shows itself where it was not told. */
static uint16_t codings_of(const struct op *o)
{
    bool zipped = o->response_codings == 0 && o->response.state == OP_BODY_KEPT &&
                  is_gzip(o->response.data);
    return zipped ? CONTENT_GZIP : o->response_codings;
}

/* Of an answer's headers a trace keeps what its bytes are encoded in; its type is not
 * known. A HAR has what the client made of it, where that can be made. */
static void put_content(struct jsonw *w, const struct op *o)
{
    bool kept = o->response.state == OP_BODY_KEPT;
    int64_t bytes = length_of(&o->response);
    struct span body = kept ? o->response.data : (struct span){0};
    struct buf plain = {0};
    char names[CONTENT_CODINGS_TEXT], comment[96];
    uint16_t codings = codings_of(o);
    bool whole = o->response_messages.count == 0; /* else each by itself */
    bool decoded = kept && codings && whole &&
                   content_decode(codings, body, CONTENT_PLAIN_MAX, &plain, NULL) == 0;

    jsonw_key(w, "content");
    jsonw_object(w);
    jsonw_key_i64(w, "size", decoded ? (int64_t)plain.n : bytes);
    if (decoded)
        jsonw_key_i64(w, "compression", (int64_t)plain.n - bytes);
    jsonw_key_str(w, "mimeType",
                  o->stream->protocol == OP_GRPC   ? "application/grpc"
                  : o->response_messages.count > 0 ? "text/event-stream"
                                                   : "x-unknown");
    if (kept && put_bytes(w, decoded ? buf_view(&plain) : body))
        jsonw_key_str(w, "encoding", "base64");
    snprintf(comment, sizeof comment, "as it was sent, in %s",
             content_codings_text(codings, names));
    if (o->response.state == OP_BODY_ELIDED) {
        put_hash(w, &o->response);
        jsonw_key_str(w, "comment", "the trace keeps length and hash alone");
    } else if (codings && !decoded) {
        jsonw_key_bool(w, "_encoded", true);
        jsonw_key_str(w, "comment", comment);
    }
    jsonw_end(w);
    buf_done(&plain);
}

/* The one header of an answer that a trace tells. */
static void put_answer_headers(struct jsonw *w, const struct op *o)
{
    char names[CONTENT_CODINGS_TEXT];
    jsonw_key(w, "headers");
    jsonw_array(w);
    if (o->response_codings)
        put_header(w,
                   o->stream->protocol == OP_GRPC ? SPAN_LIT("grpc-encoding")
                                                  : SPAN_LIT("content-encoding"),
                   span_str(content_codings_text(o->response_codings, names)));
    jsonw_end(w);
}

static void put_response(struct jsonw *w, const struct op *o)
{
    bool answered = o->status || o->grpc_status >= 0 || o->first_ns != OP_TIME_NONE;
    jsonw_key(w, "response");
    jsonw_object(w);
    jsonw_key_u64(w, "status", o->status);
    jsonw_key_str(w, "statusText", "");
    jsonw_key_str(w, "httpVersion", answered ? version_of(o->stream) : "");
    key_empty_array(w, "cookies");
    put_answer_headers(w, o);
    put_content(w, o);
    jsonw_key_str(w, "redirectURL", "");
    jsonw_key_i64(w, "headersSize", -1);
    jsonw_key_i64(w, "bodySize",
                  o->response.state == OP_BODY_NONE ? -1 : length_of(&o->response));
    if (o->grpc_status >= 0)
        jsonw_key_i64(w, "_grpcStatus", o->grpc_status);
    if (!answered)
        jsonw_key_str(w, "comment", "no answer was recorded");
    jsonw_end(w);
}

static void put_timings(struct jsonw *w, const struct op *o)
{
    static const char *const unknown[] = {"blocked", "dns", "connect", "ssl", "send"};
    int64_t first = o->first_ns, last = o->last_ns;
    bool both = first != OP_TIME_NONE && last != OP_TIME_NONE;
    jsonw_key(w, "timings");
    jsonw_object(w);
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++)
        jsonw_key_i64(w, unknown[i], -1);
    jsonw_key_f64(w, "wait", first == OP_TIME_NONE ? -1 : (double)first / NS_PER_MS);
    jsonw_key_f64(w, "receive", both ? (double)(last - first) / NS_PER_MS : -1);
    jsonw_end(w);
}

/* Total of an entry: the sum of the timings that are known. */
static double total_ms(const struct op *o)
{
    int64_t ns = o->first_ns == OP_TIME_NONE  ? 0
                 : o->last_ns == OP_TIME_NONE ? o->first_ns
                                              : o->last_ns;
    return (double)ns / NS_PER_MS;
}

/* --- entries and frame --- */

static void key_ordinal(struct jsonw *w, const char *key, uint32_t v)
{
    if (v != OP_NONE)
        jsonw_key_u64(w, key, v);
}

/* What HTTP does not say of it. */
static void put_operation(struct jsonw *w, const struct op *o)
{
    const struct op_stream *s = o->stream;
    jsonw_key_str(w, "_protocol", op_protocol_names[s->protocol]);
    jsonw_key(w, "_resource");
    jsonw_span(w, s->name);
    if (s->resource != OP_MODEL)
        jsonw_key_str(w, "_resourceKind", op_resource_names[s->resource]);
    if (s->model_type.n) {
        jsonw_key(w, "_modelType");
        jsonw_span(w, s->model_type);
    }
    if (o->flags)
        jsonw_key_u64(w, "_flags", o->flags);
    key_ordinal(w, "_connStream", o->conn_stream);
    key_ordinal(w, "_client", o->client);
    key_ordinal(w, "_tokensIn", o->tokens_in);
    key_ordinal(w, "_tokensOut", o->tokens_out);
    if (o->weight < 1 || o->weight > 1)
        jsonw_key_f64(w, "_weight", (double)o->weight);
}

static void put_entry(struct jsonw *w, const struct op *o, int64_t epoch_ns)
{
    int64_t at;
    char when[CLK_TEXT_MAX];
    if (__builtin_add_overflow(epoch_ns, o->arrival_ns, &at))
        at = INT64_MAX;
    clk_wall_text((struct clk_wall){at}, when);
    jsonw_object(w);
    jsonw_key_str(w, "startedDateTime", when);
    jsonw_key_f64(w, "time", total_ms(o));
    put_request(w, o);
    put_response(w, o);
    jsonw_key(w, "cache");
    jsonw_object(w);
    jsonw_end(w);
    put_timings(w, o);
    if (o->connection != OP_NONE) {
        char text[16];
        snprintf(text, sizeof text, "%" PRIu32, o->connection);
        jsonw_key_str(w, "connection", text);
    }
    jsonw_key_u64(w, "_index", o->index);
    jsonw_key_i64(w, "_arrivalNs", o->arrival_ns);
    if (o->first_ns == OP_TIME_NONE && o->last_ns != OP_TIME_NONE)
        jsonw_key_i64(w, "_lastNs", o->last_ns);
    trc_key_messages(w, "_requestMessages", &o->request_messages);
    trc_key_messages(w, "_responseMessages", &o->response_messages);
    put_operation(w, o);
    jsonw_end(w);
}

static void begin(struct jsonw *w, const struct trc_info *info)
{
    struct buf comment = {0};
    if (info->epoch_wall_ns == 0)
        buf_str(&comment, "The trace has no calendar: it is put at 1970-01-01. ");
    buf_str(&comment,
            "Hosts are names of tiers. A path or method that the trace leaves open is "
            "that of an inference. wait begins at the first byte of the request, so it "
            "holds the sending; -1 was not recorded.");
    jsonw_object(w);
    jsonw_key(w, "log");
    jsonw_object(w);
    jsonw_key_str(w, "version", "1.2");
    jsonw_key(w, "creator");
    jsonw_object(w);
    jsonw_key_str(w, "name", "reprise");
    jsonw_key_str(w, "version", REPRISE_VERSION);
    jsonw_end(w);
    jsonw_key_str(w, "comment", buf_text(&comment));
    jsonw_key_i64(w, "_epochWallNs", info->epoch_wall_ns);
    jsonw_key(w, "entries");
    jsonw_array(w);
    w->out->failed |= comment.failed;
    buf_done(&comment);
}

/* The operations of a block that HTTP knows. */
static int put_block(struct jsonw *w, const struct trc_block *b,
                     const struct exp_late *late, int64_t epoch_ns, FILE *to,
                     struct trc_export_done *done, struct err *e)
{
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < b->count; i++) {
        struct op o = b->ops[i];
        if (o.stream->protocol == OP_REST || o.stream->protocol == OP_GRPC) {
            exp_late_join(late, &o);
            buf_u8(w->out, '\n');
            put_entry(w, &o, epoch_ns);
            done->written++;
        }
        if (w->out->n >= TRC_EXPORT_CHUNK || w->out->failed)
            rc = trc_export_flush(w->out, to, e);
    }
    done->records += b->count;
    for (uint32_t i = 0; i < b->late_count; i++)
        done->late_answers += !exp_late_has(late, b->late[i].index);
    return rc;
}

int trc_export_har(struct trc_reader *r, const struct exp_late *late, FILE *to,
                   struct trc_export_done *done, struct err *e)
{
    const struct trc_info *info = trc_reader_info(r);
    struct buf out = {0};
    struct jsonw w = {.out = &out};
    int rc = 0, got = 1;
    if (info->kind != TRC_TRACE)
        return err_set(e, ERR_USAGE, "a run holds no requests to make a HAR of");
    begin(&w, info);
    while (rc == 0 && got == 1) {
        struct trc_block *b;
        if ((got = trc_copy_next(r, &b, &done->unclosed, e)) != 1)
            break;
        rc = put_block(&w, b, late, info->epoch_wall_ns, to, done, e);
        trc_block_free(b);
    }
    if (rc == 0 && got == 0) {
        jsonw_end(&w);
        jsonw_end(&w);
        jsonw_end(&w);
        buf_u8(&out, '\n');
        rc = trc_export_flush(&out, to, e);
    }
    buf_done(&out);
    return got < 0 ? got : rc;
}

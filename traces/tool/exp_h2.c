/*
 * exp_h2.c - see exp_h2.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/tool/exp_h2.h"

#include <string.h>

#include "traces/wire/content_encoding.h"

#define FRAME_MAX   16384u /* of a peer that has not said more */
#define MESSAGE_MAX UINT32_MAX

#define STREAM_METHOD "/inference.GRPCInferenceService/ModelStreamInfer"

enum frame { DATA = 0, HEADERS = 1, SETTINGS = 4, CONTINUATION = 9 };
enum { END_STREAM = 1, END_HEADERS = 4 };

/* --- frames ----------------------------------------------------------------------- */

static void put_be(struct buf *out, uint64_t v, unsigned bytes)
{
    while (bytes-- > 0)
        buf_u8(out, (uint8_t)(v >> (8 * bytes)));
}

static void put_frame(struct buf *out, enum frame type, unsigned flags, uint32_t stream,
                      struct span payload)
{
    put_be(out, payload.n, 3);
    buf_u8(out, (uint8_t)type);
    buf_u8(out, (uint8_t)flags);
    put_be(out, stream, 4);
    buf_span(out, payload);
}

/* In frames that any peer takes; `last` are the flags of the last one, `first_type` the
 * type of the first. */
static void put_pieces(struct buf *out, enum frame first_type, enum frame type,
                       unsigned first, unsigned last, struct span all)
{
    size_t at = 0;
    do {
        size_t end = all.n - at > FRAME_MAX ? at + FRAME_MAX : all.n;
        unsigned flags = (at == 0 ? first : 0) | (end == all.n ? last : 0);
        put_frame(out, at == 0 ? first_type : type, flags, 1, span_sub(all, at, end));
        at = end;
    } while (at < all.n);
}

/* --- headers ---------------------------------------------------------------------- */

static void put_text(struct buf *block, struct span text)
{
    uint64_t left = text.n;
    if (left < 127) {
        buf_u8(block, (uint8_t)left);
    } else {
        buf_u8(block, 127);
        for (left -= 127; left > 127; left >>= 7)
            buf_u8(block, (uint8_t)(0x80 | (left & 0x7f)));
        buf_u8(block, (uint8_t)left);
    }
    buf_span(block, text);
}

static void put_header(struct buf *block, struct span name, struct span value)
{
    buf_u8(block, 0); /* a literal with its name, not to be remembered */
    put_text(block, name);
    put_text(block, value);
}

static void put_headers(struct buf *out, const struct buf *block, bool end_stream)
{
    put_pieces(out, HEADERS, CONTINUATION, end_stream ? END_STREAM : 0, END_HEADERS,
               buf_view(block));
    out->failed |= block->failed;
}

static void put_message(struct buf *out, struct span message, bool compressed,
                        bool end_stream)
{
    struct buf all = {0};
    buf_u8(&all, compressed);
    put_be(&all, message.n, 4);
    buf_span(&all, message);
    put_pieces(out, DATA, DATA, 0, end_stream ? END_STREAM : 0, buf_view(&all));
    out->failed |= all.failed;
    buf_done(&all);
}

/* Headers that the operation has in fields of its own, or that HTTP/2 forbids. */
static bool own(struct span name)
{
    static const char *const names[] = {
        "content-type", "te",         "grpc-encoding",    "x-request-id",
        "connection",   "keep-alive", "proxy-connection", "transfer-encoding",
        "upgrade",      "host",       "content-length",   "content-encoding"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (span_eq_str(name, names[i]))
            return true;
    return false;
}

static bool has(const struct op_stream *s, const char *name)
{
    for (uint32_t i = 0; i < s->header_count; i++)
        if (span_eq_str(s->headers[i].name, name))
            return true;
    return false;
}

static bool encoded(const struct op_stream *s)
{
    return s->content_encoding.n > 0 && !span_eq_str(s->content_encoding, "identity");
}

/* --- what can be said ------------------------------------------------------------- */

static bool fits_value(struct span s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < ' ' || s.p[i] == 0x7f)
            return false;
    return true;
}

static bool fits_name(struct span s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] >= 0x7f || s.p[i] == ':' ||
            (s.p[i] >= 'A' && s.p[i] <= 'Z'))
            return false;
    return s.n > 0;
}

/* A method both of whose sides may send any number of messages. */
static bool is_stream(const struct op_stream *s)
{
    return span_eq_str(s->path, STREAM_METHOD);
}

/* Messages that came between `first` and `last`, in their order. One alone is told from
 * a unary call by its method. */
static bool fits_messages(const struct op *o, const struct op_body *body,
                          const struct op_messages *m, int64_t first, int64_t last)
{
    if (body->state == OP_BODY_ELIDED || body->bytes > MESSAGE_MAX ||
        (m->count == 1 && !is_stream(o->stream)))
        return false;
    for (uint32_t i = 0; i < m->count; i++) {
        if (m->v[i].at_ns < first || m->v[i].at_ns > last)
            return false;
        first = m->v[i].at_ns;
    }
    return true;
}

bool exp_h2_can_say(const struct op *o)
{
    const struct op_stream *s = o->stream;
    bool ok = s->protocol == OP_GRPC &&
              fits_messages(o, &o->request, &o->request_messages, 0, INT64_MAX) &&
              fits_value(s->path) && fits_value(s->name) &&
              fits_value(s->content_type) && fits_value(s->content_encoding) &&
              fits_value(o->id);
    for (uint32_t i = 0; ok && i < s->header_count; i++)
        ok = fits_name(s->headers[i].name) && fits_value(s->headers[i].value);
    return ok;
}

bool exp_h2_answered(const struct op *o)
{
    return o->first_ns != OP_TIME_NONE && o->grpc_status >= 0 &&
           (o->status == 0 || (o->status >= 200 && o->status <= 999)) &&
           (o->response_messages.count == 0 || o->last_ns != OP_TIME_NONE) &&
           fits_messages(o, &o->response, &o->response_messages, o->first_ns,
                         o->last_ns);
}

/* --- the bytes -------------------------------------------------------------------- */

void exp_h2_greeting(bool client, struct buf *out)
{
    if (client)
        buf_str(out, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    put_frame(out, SETTINGS, 0, 0, (struct span){0});
}

void exp_h2_request(const struct op *o, struct span name, struct buf *out)
{
    const struct op_stream *s = o->stream;
    struct buf block = {0};
    put_header(&block, SPAN_LIT(":method"), SPAN_LIT("POST"));
    put_header(&block, SPAN_LIT(":scheme"), SPAN_LIT("http"));
    put_header(&block, SPAN_LIT(":path"),
               s->path.n ? s->path
                         : SPAN_LIT("/inference.GRPCInferenceService/ModelInfer"));
    put_header(&block, SPAN_LIT(":authority"), span_str(op_tier_names[s->tier]));
    put_header(&block, SPAN_LIT("te"), SPAN_LIT("trailers"));
    put_header(&block, SPAN_LIT("content-type"),
               s->content_type.n ? s->content_type : SPAN_LIT("application/grpc"));
    if (encoded(s))
        put_header(&block, SPAN_LIT("grpc-encoding"), s->content_encoding);
    if (!has(s, "seldon-model"))
        put_header(&block, SPAN_LIT("seldon-model"), name);
    for (uint32_t i = 0; i < s->header_count; i++)
        if (!own(s->headers[i].name))
            put_header(&block, s->headers[i].name, s->headers[i].value);
    if (o->id.n)
        put_header(&block, SPAN_LIT("x-request-id"), o->id);
    bool none = is_stream(s) && o->request.state == OP_BODY_NONE &&
                o->request_messages.count == 0;
    put_headers(out, &block, none);
    if (!none && o->request_messages.count == 0)
        put_message(out, o->request.data, encoded(s), true);
    buf_done(&block);
}

void exp_h2_request_message(const struct op *o, struct span message, bool last,
                            struct buf *out)
{
    put_message(out, message, encoded(o->stream), last);
}

static void put_status(struct buf *block, const char *name, int value)
{
    struct buf number = {0};
    buf_fmt(&number, "%d", value);
    put_header(block, span_str(name), buf_view(&number));
    block->failed |= number.failed;
    buf_done(&number);
}

/* A refusal without a message is trailers alone, and so is a stream that says nothing;
 * success of a unary call always has a message. */
static bool has_message(const struct op *o)
{
    return o->response_messages.count > 0 || o->response.state == OP_BODY_KEPT ||
           (o->grpc_status == 0 && !is_stream(o->stream));
}

static void put_trailers(const struct op *o, struct buf *block, struct buf *out)
{
    put_status(block, "grpc-status", o->grpc_status);
    put_headers(out, block, true);
}

void exp_h2_answer(const struct op *o, struct buf *out)
{
    struct buf block = {0};
    char names[CONTENT_CODINGS_TEXT];
    put_status(&block, ":status", o->status ? o->status : 200);
    put_header(&block, SPAN_LIT("content-type"), SPAN_LIT("application/grpc"));
    if (o->response_codings)
        put_header(&block, SPAN_LIT("grpc-encoding"),
                   span_str(content_codings_text(o->response_codings, names)));
    if (has_message(o)) {
        put_headers(out, &block, false);
        buf_reset(&block);
    }
    if (has_message(o) && o->response_messages.count == 0)
        exp_h2_answer_message(o, o->response.data, out);
    if (o->response_messages.count == 0)
        put_trailers(o, &block, out);
    buf_done(&block);
}

void exp_h2_answer_message(const struct op *o, struct span message, struct buf *out)
{
    put_message(out, message, o->response_codings != 0, false);
}

void exp_h2_answer_end(const struct op *o, struct buf *out)
{
    struct buf block = {0};
    put_trailers(o, &block, out);
    buf_done(&block);
}

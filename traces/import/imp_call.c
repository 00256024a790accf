/*
 * imp_call.c - see imp_call.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/import/imp_call.h"

#include "traces/payload/call_name.h"
#include "traces/payload/call_type.h"
#include "traces/tool/trc_secret.h"

#define HEADERS_MAX 64u        /* that are kept of a call */
#define TYPE_BYTES  (1u << 20) /* a larger body is not looked into */

struct span imp_header(const struct imp_call *c, const char *name)
{
    for (uint32_t i = 0; i < c->header_count; i++)
        if (span_eq_nocase(c->headers[i].name, name))
            return span_trim(c->headers[i].value);
    return (struct span){0};
}

bool imp_is_grpc(const struct imp_call *c)
{
    struct span type = imp_header(c, "content-type");
    struct span web = SPAN_LIT("application/grpc-web");
    struct span grpc = SPAN_LIT("application/grpc");
    bool other = span_same_nocase(span_sub(type, 0, web.n), web) && type.n >= web.n;
    return !other && type.n >= grpc.n &&
           span_same_nocase(span_sub(type, 0, grpc.n), grpc);
}

bool imp_grpc_message(struct span framed, struct span *message)
{
    struct cursor c = cursor_of(framed);
    uint8_t compressed = cursor_u8(&c);
    size_t n = cursor_u32_be(&c);
    *message = cursor_take(&c, n);
    return !c.bad && compressed == 0 && cursor_left(&c) == 0;
}

struct span imp_path_of(struct span target)
{
    size_t at = span_starts(target, "https://")  ? 8
                : span_starts(target, "http://") ? 7
                                                 : 0;
    if (at)
        target = span_sub(target, span_find(target, '/', at), target.n);
    return span_sub(target, 0, span_find(target, '#', 0));
}

static bool is_whole_in_stream(struct span name)
{
    static const char *const known[] = {"content-type", "content-encoding",
                                        "x-request-id", "content-length",
                                        "host",         "te",
                                        "connection",   "transfer-encoding"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (span_eq_nocase(name, known[i]))
            return true;
    return name.n == 0 || name.p[0] == ':'; /* HTTP/2's own */
}

bool imp_take_headers(const struct imp_rule *rule, const struct imp_call *c,
                      struct arena *a, struct op_stream *s, struct imp_out_done *done)
{
    uint32_t most = c->header_count < HEADERS_MAX ? c->header_count : HEADERS_MAX;
    struct op_header *kept = arena_alloc(a, (most + 1) * sizeof *kept);
    if (!kept)
        return false;
    s->headers = kept;
    for (uint32_t i = 0; i < c->header_count; i++) {
        struct op_header h = c->headers[i];
        if (is_whole_in_stream(h.name))
            continue;
        enum trc_header_fate fate =
            trc_header_fate(h.name, rule->keep, rule->keep_count);
        if (fate == TRC_HEADER_DENIED) {
            done->headers_denied++;
            continue;
        }
        if (s->header_count == most || h.name.n + h.value.n > IMP_PATH_MAX)
            return false;
        h.name = arena_dup(a, h.name);
        if (!h.name.p)
            return false;
        span_to_lower((uint8_t *)(uintptr_t)h.name.p, h.name.n);
        h.value = fate == TRC_HEADER_KEPT ? span_trim(h.value) : (struct span){0};
        kept[s->header_count++] = h;
    }
    return true;
}

static bool take_name(const struct imp_call *c, struct op_stream *s)
{
    struct call_name by;
    struct span message = s->protocol == OP_GRPC ? c->body.data : (struct span){0};
    bool gateway = s->tier == OP_TIER_RPROXY || s->tier == OP_TIER_PIPELINEGATEWAY ||
                   s->tier == OP_TIER_MODELGATEWAY;
    if (!(gateway && call_name_of_value(imp_header(c, "seldon-internal-model"), &by)) &&
        !call_name_of_value(imp_header(c, "seldon-model"), &by) &&
        !call_name_of_path(s->path, &by) &&
        !call_name_of_value(call_name_of_message(message), &by))
        return false;
    s->name = by.name;
    s->resource = by.resource;
    return true;
}

void imp_call_type(struct op_stream *s, const struct op_body *request, struct arena *a)
{
    bool plain = s->protocol == OP_REST || s->protocol == OP_GRPC;
    if (!plain || s->model_type.n > 0 || s->resource != OP_MODEL ||
        s->content_encoding.n > 0 || request->state != OP_BODY_KEPT ||
        request->bytes > TYPE_BYTES)
        return;
    const struct model_type *type =
        call_type_of(s->name, s->protocol, request->data, a);
    s->model_type = span_str(type ? type->name : NULL);
}

bool imp_call_make(const struct imp_rule *rule, const struct imp_call *given,
                   struct arena *a, struct op_stream *s, struct op *op,
                   enum imp_left *why, struct imp_out_done *done)
{
    struct imp_call c = *given;
    struct span whole = imp_path_of(c.target);
    struct span path = span_sub(whole, 0, span_find(whole, '?', 0));
    bool untyped = imp_header(&c, "content-type").n == 0;
    bool grpc = imp_is_grpc(&c) || (untyped && span_starts(path, CALL_GRPC_SERVICE));
    *s = (struct op_stream){.protocol = grpc ? OP_GRPC : OP_REST, .tier = rule->tier};
    s->path = path;
    *why = IMP_LEFT_OTHER;
    if (!call_is_inference(grpc, c.method, path))
        return false;
    if (grpc && c.framed && c.body.state == OP_BODY_KEPT) {
        struct span message;
        *why = IMP_LEFT_GRPC;
        if (!imp_grpc_message(c.body.data, &message))
            return false;
        c.body = op_body_of(message);
    }
    *why = IMP_LEFT_UNNAMED;
    if (!take_name(&c, s))
        return false;
    s->method = grpc ? (struct span){0} : c.method;
    s->content_type = imp_header(&c, "content-type");
    s->content_encoding = grpc ? (struct span){0} : imp_header(&c, "content-encoding");
    struct span id = imp_header(&c, "x-request-id");
    *why = IMP_LEFT_LONG;
    if (s->name.n > IMP_NAME_MAX || whole.n > IMP_PATH_MAX || id.n > IMP_ID_MAX ||
        s->content_type.n > IMP_ID_MAX || s->content_encoding.n > IMP_ID_MAX ||
        c.method.n > IMP_NAME_MAX || !imp_take_headers(rule, &c, a, s, done))
        return false;
    if (rule->keep_query)
        s->path = whole;
    else
        done->queries_cut += path.n < whole.n;
    imp_call_type(s, &c.body, a);
    op->stream = s;
    op->request = c.body;
    op->id = id;
    return true;
}

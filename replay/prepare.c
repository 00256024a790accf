/*
 * prepare.c - see prepare.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replay/prepare.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "replay/mark.h"
#include "traces/base/rng.h"
#include "traces/payload/v2_json.h"
#include "traces/payload/v2_proto.h"

#define USER_AGENT "reprise/" REPRISE_VERSION
/* A gRPC message up to this size travels in one piece. */
#define INLINE_BYTES 1024
#define GRPC_SERVICE "/inference.GRPCInferenceService/"

static const char no_memory[] = "out of memory while preparing requests";

/* --- streams ---------------------------------------------------------------------- */

static bool path_ok(struct span path)
{
    for (size_t i = 0; i < path.n; i++)
        if (path.p[i] <= ' ' || path.p[i] >= 0x7f)
            return false;
    return path.n > 0 && path.p[0] == '/';
}

static bool method_ok(struct span method)
{
    for (size_t i = 0; i < method.n; i++)
        if (method.p[i] < 'A' || method.p[i] > 'Z')
            return false;
    return method.n > 0 && method.n <= 16;
}

static bool value_ok(struct span value)
{
    for (size_t i = 0; i < value.n; i++)
        if ((value.p[i] < ' ' && value.p[i] != '\t') || value.p[i] == 0x7f)
            return false;
    return true;
}

static int keep(struct rep_preparer *p, struct arena *a, struct span *out,
                struct err *e)
{
    *out = arena_dup(a, buf_view(&p->scratch));
    if (p->scratch.failed || (p->scratch.n > 0 && !out->p))
        return err_set(e, ERR_NOMEM, "%s", no_memory);
    return 0;
}

static int dup_name(struct rep_preparer *p, enum rep_name form, struct span name,
                    struct arena *a, struct span *out, struct err *e)
{
    buf_reset(&p->scratch);
    rep_tier_name(&p->config->versions, form, name, &p->scratch);
    return keep(p, a, out, e);
}

/* The routing headers of the row, as name and value; how many. */
static int routing(struct rep_preparer *p, const struct rep_tier_rule *rule,
                   struct span name, struct arena *a, struct op_header out[2],
                   struct err *e)
{
    int n = 0, rc;
    if (rule->seldon_model != REP_NAME_NONE) {
        out[n].name = SPAN_LIT("seldon-model");
        if ((rc = dup_name(p, rule->seldon_model, name, a, &out[n++].value, e)) < 0)
            return rc;
    }
    if (rule->internal != REP_NAME_NONE) {
        out[n].name = SPAN_LIT("seldon-internal-model");
        if ((rc = dup_name(p, rule->internal, name, a, &out[n++].value, e)) < 0)
            return rc;
    }
    return n;
}

/* The i-th header that goes along with every request; NULL past the last. */
static const struct op_header *given(const struct rep_preparer *p, uint32_t i)
{
    const struct rep_headers *h = p->config->headers;
    return h && i < h->n ? &h->v[i] : NULL;
}

/* Whether a recorded header is sent: not where the user gave one of its name. */
static bool passes(const struct rep_preparer *p, const struct op_header *recorded)
{
    const struct rep_headers *h = p->config->headers;
    return rep_tier_header_passes(recorded) &&
           !(h && rep_headers_has(h, recorded->name));
}

static void put_field(struct buf *out, struct span name, struct span value)
{
    buf_span(out, name);
    buf_str(out, ": ");
    buf_span(out, value);
    buf_str(out, "\r\n");
}

static int prepare_rest(struct rep_preparer *p, const struct op_stream *s,
                        const struct rep_tier_rule *rule, struct arena *a,
                        struct rep_stream *out, struct err *e)
{
    struct op_header route[2];
    struct span method = s->method.n > 0 ? s->method : SPAN_LIT("POST");
    struct span type =
        s->content_type.n > 0 ? s->content_type : SPAN_LIT("application/json");
    int rc;

    buf_reset(&p->scratch);
    rep_tier_path(rule, &p->config->versions, s, &p->scratch);
    if ((rc = keep(p, a, &out->as_sent.path, e)) < 0)
        return rc;
    out->as_sent.method = method;
    if (!method_ok(method) || !path_ok(out->as_sent.path) || !value_ok(type) ||
        !value_ok(s->content_encoding)) {
        out->refusal = "its method, path or content type cannot stand in a request";
        return 0;
    }
    int routes = routing(p, rule, s->name, a, route, e);
    if (routes < 0)
        return routes;

    struct buf *b = &p->scratch;
    buf_reset(b);
    buf_span(b, method);
    buf_u8(b, ' ');
    buf_span(b, out->as_sent.path);
    buf_fmt(b, " HTTP/1.1\r\nHost: %s\r\nUser-Agent: " USER_AGENT "\r\n",
            p->config->http);
    buf_str(b, "Accept-Encoding: identity\r\n");
    put_field(b, SPAN_LIT("Content-Type"), type);
    if (s->content_encoding.n > 0)
        put_field(b, SPAN_LIT("Content-Encoding"), s->content_encoding);
    for (int i = 0; i < routes; i++)
        put_field(b, route[i].name, route[i].value);
    for (uint32_t i = 0; i < s->header_count; i++)
        if (passes(p, &s->headers[i]))
            put_field(b, s->headers[i].name, s->headers[i].value);
    for (uint32_t i = 0; given(p, i); i++)
        put_field(b, given(p, i)->name, given(p, i)->value);
    return keep(p, a, &out->head, e);
}

static void add_field(struct rep_stream *s, struct span name, struct span value)
{
    s->fields[s->field_count++] = (struct op_header){name, value};
}

/* The recorded headers that go on: by gRPC, or in a record. */
static void add_recorded(const struct rep_preparer *p, const struct op_stream *s,
                         bool record, struct rep_stream *out)
{
    for (uint32_t i = 0; i < s->header_count; i++) {
        const struct op_header *h = &s->headers[i];
        if (record ? !rep_tier_record_header_passes(s->protocol, h) : !passes(p, h))
            continue;
        if (out->field_count == REP_FIELDS_MAX - 1) {
            out->refusal = "it has too many headers";
            return;
        }
        add_field(out, h->name, h->value);
    }
}

/* Milliseconds at most eight digits long, else seconds: the wire form of a time-out. */
static int timeout_text(struct rep_preparer *p, struct arena *a, struct span *out,
                        struct err *e)
{
    int64_t ms = (p->config->deadline_ns + CLK_MS - 1) / CLK_MS;
    buf_reset(&p->scratch);
    if (ms < 100000000)
        buf_fmt(&p->scratch, "%" PRId64 "m", ms);
    else
        buf_fmt(&p->scratch, "%" PRId64 "S",
                ms / 1000 < 99999999 ? ms / 1000 : INT64_C(99999999));
    return keep(p, a, out, e);
}

/* What stands in field 1 of a request is a name for these methods. */
static bool method_renames(struct span path)
{
    static const char *const names[] = {"ModelInfer", "ModelReady", "ModelMetadata",
                                        "ModelStreamInfer"};
    struct span method = span_sub(path, sizeof GRPC_SERVICE - 1, path.n);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (span_eq_str(method, names[i]))
            return true;
    return false;
}

static int prepare_grpc(struct rep_preparer *p, const struct op_stream *s,
                        const struct rep_tier_rule *rule, struct arena *a,
                        struct rep_stream *out, struct err *e)
{
    struct op_header route[2];
    struct span path = s->path.n > 0 ? s->path : SPAN_LIT(GRPC_SERVICE "ModelInfer");
    struct span timeout;
    int rc, routes;

    out->as_sent.path = path;
    if (!path_ok(path)) {
        out->refusal = "its gRPC method cannot stand in a request";
        return 0;
    }
    out->streams = span_ends(path, "/ModelStreamInfer");
    if ((rc = timeout_text(p, a, &timeout, e)) < 0 ||
        (rc = routes = routing(p, rule, s->name, a, route, e)) < 0 ||
        (rc = dup_name(p, rule->target, s->name, a, &out->target_name, e)) < 0)
        return rc;
    out->renames = span_starts(path, GRPC_SERVICE) && method_renames(path);
    out->fields = arena_alloc(a, REP_FIELDS_MAX * sizeof *out->fields);
    if (!out->fields)
        return err_set(e, ERR_NOMEM, "%s", no_memory);
    add_field(out, SPAN_LIT(":method"), SPAN_LIT("POST"));
    add_field(out, SPAN_LIT(":scheme"),
              p->config->grpc_tls ? SPAN_LIT("https") : SPAN_LIT("http"));
    add_field(out, SPAN_LIT(":path"), path);
    add_field(out, SPAN_LIT(":authority"), span_str(p->config->grpc));
    add_field(out, SPAN_LIT("te"), SPAN_LIT("trailers"));
    add_field(out, SPAN_LIT("content-type"), SPAN_LIT("application/grpc"));
    add_field(out, SPAN_LIT("user-agent"), SPAN_LIT(USER_AGENT));
    add_field(out, SPAN_LIT("grpc-accept-encoding"), SPAN_LIT("identity"));
    add_field(out, SPAN_LIT("grpc-timeout"), timeout);
    for (int i = 0; i < routes; i++)
        add_field(out, route[i].name, route[i].value);
    for (uint32_t i = 0; given(p, i); i++)
        add_field(out, given(p, i)->name, given(p, i)->value);
    add_recorded(p, s, false, out);
    return 0;
}

/* Whether a record can say it: one message in, one out. NULL, or why not. */
static const char *record_refusal(const struct op_stream *s)
{
    if (s->protocol == OP_KAFKA)
        return NULL;
    if (span_ends(s->path, "/infer_stream") || span_ends(s->path, "/ModelStreamInfer"))
        return "a call that streams cannot be asked for by a record";
    if (s->protocol == OP_REST
            ? (s->method.n > 0 && !span_eq_str(s->method, "POST")) ||
                  (s->path.n > 0 && !span_ends(s->path, "/infer"))
            : s->path.n > 0 && !span_eq_str(s->path, GRPC_SERVICE "ModelInfer"))
        return "it is no inference, and topics take nothing else";
    if (s->content_encoding.n > 0 && !span_eq_nocase(s->content_encoding, "identity"))
        return "its body is in an encoding, and a record's value is not";
    return NULL;
}

static int prepare_record(struct rep_preparer *p, const struct op_stream *s,
                          struct arena *a, struct rep_stream *out, struct err *e)
{
    const struct rep_routes *routes = &p->config->routes;
    out->refusal = record_refusal(s);
    if (!out->refusal && !routes->find)
        out->refusal = "no --kafka target was given";
    if (!out->refusal)
        out->route = routes->find(routes->arg, s->resource, s->name, &out->refusal);
    if (out->refusal)
        return 0;
    out->as_sent.protocol = OP_KAFKA;
    out->as_sent.path = out->route->topic;
    out->as_sent.method = out->as_sent.content_type = out->as_sent.content_encoding =
        (struct span){0};
    out->target_name = s->name;
    out->fields = arena_alloc(a, REP_FIELDS_MAX * sizeof *out->fields);
    if (!out->fields)
        return err_set(e, ERR_NOMEM, "%s", no_memory);
    if (s->resource == OP_PIPELINE)
        add_field(out, SPAN_LIT("pipeline"), s->name);
    add_recorded(p, s, true, out);
    return 0;
}

int rep_prepare_stream(struct rep_preparer *p, const struct op_stream *s,
                       struct arena *a, struct rep_stream **out, struct err *e)
{
    const struct rep_plan_config *c = p->config;
    struct rep_stream *st = arena_zalloc(a, sizeof *st);
    if (!st)
        return err_set(e, ERR_NOMEM, "%s", no_memory);
    *out = st;
    st->serial = ++p->streams;
    st->as_sent = *s;
    st->as_sent.tier = c->tier;
    st->as_sent.headers = NULL;
    st->as_sent.header_count = 0;

    const struct rep_tier_rule *rule =
        rep_tier_rule(c->tier, s->protocol, s->resource, &st->refusal);
    if (!rule)
        return 0;
    if (!rep_tier_name_ok(s->name)) {
        st->refusal = "its name cannot stand in a request";
        return 0;
    }
    st->sends_id =
        c->ids != REP_IDS_NONE || rep_tier_needs_unique_id(c->tier, s->resource);
    if (c->tier == OP_TIER_KAFKA)
        return prepare_record(p, s, a, st, e);
    if (s->protocol == OP_REST) {
        if (!c->http)
            st->refusal = "it is a REST operation, and no --http target was given";
        return c->http ? prepare_rest(p, s, rule, a, st, e) : 0;
    }
    if (!c->grpc)
        st->refusal = "it is a gRPC operation, and no --grpc target was given";
    return c->grpc ? prepare_grpc(p, s, rule, a, st, e) : 0;
}

/* --- requests --------------------------------------------------------------------- */

static bool id_ok(struct span id)
{
    for (size_t i = 0; i < id.n; i++)
        if (id.p[i] <= ' ' || id.p[i] >= 0x7f)
            return false;
    return id.n > 0 && id.n <= REP_ID_MAX;
}

/* Unique in this run by its index, among runs by the nonce. */
static int make_id(struct rep_preparer *p, const struct op *op,
                   const struct rep_stream *s, struct arena *a, struct rep_request *r,
                   struct err *e)
{
    bool may_keep = p->config->ids == REP_IDS_KEEP &&
                    !rep_tier_needs_unique_id(p->config->tier, s->as_sent.resource);
    char text[REP_ID_MAX];

    if (!s->sends_id)
        return 0;
    if (may_keep && id_ok(op->id)) {
        r->id = op->id;
        return 0;
    }
    r->minted = true;
    size_t n = rep_mark_make(p->config->id_nonce, op->index, text);
    r->id = arena_dup(a, span_of(text, n));
    return r->id.p ? 0 : err_set(e, ERR_NOMEM, "%s", no_memory);
}

/* One a request, hence without printf. */
static void put_decimal(struct buf *b, size_t v)
{
    char digits[20];
    size_t at = sizeof digits;
    do
        digits[--at] = (char)('0' + v % 10);
    while ((v /= 10) > 0);
    buf_add(b, digits + at, sizeof digits - at);
}

/* What tells it from others of its stream is little: the rest is not copied. */
static int frame_rest(struct rep_preparer *p, const struct rep_stream *s,
                      struct arena *a, struct rep_request *r, struct err *e)
{
    struct buf *b = &p->scratch;
    struct span method = s->as_sent.method;
    bool states_length =
        r->body.n > 0 || !(span_eq_str(method, "GET") || span_eq_str(method, "HEAD"));
    buf_reset(b);
    if (r->id.n > 0)
        put_field(b, SPAN_LIT("x-request-id"), r->id);
    if (states_length) {
        buf_str(b, "Content-Length: ");
        put_decimal(b, r->body.n);
        buf_str(b, "\r\n");
    }
    buf_str(b, "\r\n");
    r->wire[1] = r->body;
    return keep(p, a, &r->wire[0], e);
}

/* Of the message whose prefix begins at `at`. */
static void set_length(struct buf *b, size_t at, uint32_t n)
{
    for (size_t i = 0; i < 4 && !b->failed; i++)
        b->p[at + 1 + i] = (uint8_t)(n >> (24 - 8 * i));
}

/* Appends a message with its prefix. NULL, or why it cannot be sent. */
static const char *put_message(const struct rep_stream *s, struct span body,
                               struct buf *b)
{
    size_t at = b->n;
    buf_zeros(b, 5);
    if (!s->renames)
        buf_span(b, body);
    else if (v2_proto_rename(body, s->target_name, (struct span){0}, b, NULL) < 0)
        return "its body is not a protobuf message";
    if (b->n - at - 5 > UINT32_MAX)
        return "its message is longer than gRPC can carry";
    set_length(b, at, (uint32_t)(b->n - at - 5));
    return NULL;
}

/* The same for one of which only the beginning is copied. */
static const char *put_front(const struct rep_stream *s, struct span body,
                             struct buf *b, struct span *rest)
{
    buf_zeros(b, 5);
    *rest = body;
    if (s->renames && v2_proto_rename_front(body, s->target_name, b, rest, NULL) < 0)
        return "its body is not a protobuf message";
    size_t n = b->n - 5 + rest->n;
    if (n > UINT32_MAX)
        return "its message is longer than gRPC can carry";
    set_length(b, 0, (uint32_t)n);
    return NULL;
}

/* The messages of a call that streams, one behind the other. */
static int frame_messages(struct rep_preparer *p, const struct op_messages *m,
                          const struct rep_stream *s, struct arena *a,
                          struct rep_request *r, struct err *e)
{
    struct buf *b = &p->scratch;
    struct op_message *parts = arena_alloc(a, (m->count + 1) * sizeof *parts);
    size_t at = 0;

    if (!parts)
        return err_set(e, ERR_NOMEM, "%s", no_memory);
    buf_reset(b);
    for (uint32_t i = 0; i < m->count && !r->refusal; i++) {
        size_t begin = b->n;
        int64_t since = m->v[i].at_ns - m->v[0].at_ns;
        r->refusal = put_message(s, span_sub(r->body, at, at + m->v[i].bytes), b);
        at += m->v[i].bytes;
        parts[i].bytes = b->n - begin;
        parts[i].at_ns = since > 0 ? rep_schedule_due(p->config->speed, since) : 0;
    }
    if (m->count > 1)
        r->parts = (struct op_messages){parts, m->count};
    return r->refusal ? 0 : keep(p, a, &r->wire[0], e);
}

static int frame_grpc(struct rep_preparer *p, const struct rep_stream *s,
                      struct arena *a, struct rep_request *r, struct err *e)
{
    struct buf *b = &p->scratch;
    uint64_t slot = rng_hash((uintptr_t)r->body.p, (uintptr_t)s) % REP_RENAMED_SLOTS;
    struct rep_renamed *known = &p->renamed[slot];

    if (known->wire[0].p && known->stream == s && known->body == r->body.p &&
        known->body_bytes == r->body.n) {
        r->wire[0] = known->wire[0];
        r->wire[1] = known->wire[1];
        return 0;
    }
    buf_reset(b);
    r->refusal = r->body.n > INLINE_BYTES ? put_front(s, r->body, b, &r->wire[1])
                                          : put_message(s, r->body, b);
    if (r->refusal)
        return 0;
    int rc = keep(p, a, &r->wire[0], e);
    if (rc == 0)
        *known =
            (struct rep_renamed){s, r->body.p, r->body.n, {r->wire[0], r->wire[1]}};
    return rc;
}

/* What the pipeline gateway makes of a JSON request. NULL, or why it is none. */
static const char *put_transcoded(struct rep_preparer *p, const struct rep_stream *s,
                                  struct span body, struct buf *b)
{
    struct pay_message m;
    arena_reset(&p->work);
    if (v2_json_parse_request(body, &p->work, &m, NULL) < 0)
        return "its body is no V2 request in JSON";
    m.model_name = s->target_name;
    m.model_version = (struct span){0};
    v2_proto_request(&m, b);
    return NULL;
}

/* The value of a record: what was recorded as one stays as it is. */
static int frame_record(struct rep_preparer *p, const struct rep_stream *s,
                        struct arena *a, struct rep_request *r, struct err *e)
{
    struct buf *b = &p->scratch;
    enum op_protocol protocol = r->op->stream->protocol;
    uint64_t slot = rng_hash((uintptr_t)r->body.p, (uintptr_t)s) % REP_RENAMED_SLOTS;
    struct rep_renamed *known = &p->renamed[slot];

    r->wire[0] = r->body;
    if (protocol == OP_KAFKA) {
        r->refusal = r->body.n == 0 ? "a record without a value asks nothing" : NULL;
        return 0;
    }
    if (known->wire[0].p && known->stream == s && known->body == r->body.p &&
        known->body_bytes == r->body.n) {
        r->wire[0] = known->wire[0];
        return 0;
    }
    buf_reset(b);
    if (protocol == OP_REST)
        r->refusal = put_transcoded(p, s, r->body, b);
    else if (v2_proto_rename(r->body, s->target_name, (struct span){0}, b, NULL) < 0)
        r->refusal = "its body is not a protobuf message";
    if (r->refusal)
        return 0;
    int rc = keep(p, a, &r->wire[0], e);
    if (rc == 0)
        *known = (struct rep_renamed){s, r->body.p, r->body.n, {r->wire[0]}};
    return rc;
}

static int refuse(struct rep_request *r, const char *why)
{
    r->refusal = why;
    return 0;
}

int rep_prepare_request(struct rep_preparer *p, const struct op *op,
                        const struct rep_stream *s, struct arena *a,
                        struct rep_request *r, struct err *e)
{
    r->stream = s;
    r->out = outcome_empty();
    r->out.op_index = op->index;
    r->out.stream = &s->as_sent;
    r->out.stream_index = op->stream_index;
    r->refusal = s->refusal;
    if (r->refusal)
        return 0;
    if (op->request.state == OP_BODY_ELIDED || (op->flags & OP_FLAG_TRUNCATED)) {
        r->refusal = "its body was not kept whole";
        return 0;
    }
    if (op->request.state == OP_BODY_KEPT)
        r->body = op->request.data;
    r->op = op;
    int rc = make_id(p, op, s, a, r, e);
    if (rc == 0 && s->as_sent.protocol == OP_REST)
        rc = frame_rest(p, s, a, r, e);
    else if (rc == 0 && s->as_sent.protocol == OP_KAFKA)
        rc = op->request_messages.count > 0
                 ? refuse(r, "it has messages, and a record holds one")
                 : frame_record(p, s, a, r, e);
    else if (rc == 0 && op->request_messages.count > 0)
        rc = s->streams ? frame_messages(p, &op->request_messages, s, a, r, e)
                        : refuse(r, "it has messages, and its method takes one");
    else if (rc == 0)
        rc = frame_grpc(p, s, a, r, e);
    r->out.bytes_out = s->as_sent.protocol == OP_REST    ? r->body.n
                       : s->as_sent.protocol == OP_KAFKA ? r->wire[0].n
                       : r->wire[0].n > 5 || r->wire[1].n > 0
                           ? r->wire[0].n + r->wire[1].n -
                                 5 * (uint64_t)(r->parts.count ? r->parts.count : 1)
                           : 0;
    return rc;
}

void rep_preparer_next_slice(struct rep_preparer *p)
{
    memset(p->renamed, 0, sizeof p->renamed);
}

void rep_preparer_done(struct rep_preparer *p)
{
    buf_done(&p->scratch);
    arena_done(&p->work);
}

/*
 * record.c - see record.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "capture/record.h"

#include <string.h>

#include "traces/payload/call_name.h"
#include "traces/wire/content_encoding.h"
#include "traces/wire/kafka_topic.h"

/* --- headers ---------------------------------------------------------------------- */

/* The headers that are looked for; NULL: not there. Of several it is the first, but for
 * the models' names: the last. */
struct told {
    const struct op_header *model, *internal, *id;
    const struct op_header *content_type, *content_encoding, *grpc_encoding;
};

static bool is_named(const struct op_header *h, struct span name)
{
    return span_eq(h->name, name);
}

/* One look at each header; most go by their length. */
static struct told told_by(const struct cap_message *m)
{
    struct told t = {0};
    for (uint32_t i = 0; i < m->header_count; i++) {
        const struct op_header *h = &m->headers[i];
        switch (h->name.n) {
        case sizeof "seldon-model" - 1:
            if (is_named(h, SPAN_LIT("seldon-model")))
                t.model = h;
            else if (!t.content_type && is_named(h, SPAN_LIT("content-type")))
                t.content_type = h;
            else if (!t.id && is_named(h, SPAN_LIT("x-request-id")))
                t.id = h;
            break;
        case sizeof "grpc-encoding" - 1:
            if (!t.grpc_encoding && is_named(h, SPAN_LIT("grpc-encoding")))
                t.grpc_encoding = h;
            break;
        case sizeof "content-encoding" - 1:
            if (!t.content_encoding && is_named(h, SPAN_LIT("content-encoding")))
                t.content_encoding = h;
            break;
        case sizeof "seldon-internal-model" - 1:
            if (is_named(h, SPAN_LIT("seldon-internal-model")))
                t.internal = h;
            break;
        default:
            break;
        }
    }
    return t;
}

static struct span value_of(const struct op_header *h)
{
    return h ? span_trim(h->value) : (struct span){0};
}

/* A value that stands in a stream: empty when it is absurdly long. */
static struct span short_value(const struct op_header *h)
{
    struct span value = value_of(h);
    return value.n <= CAP_VALUE_MAX ? value : (struct span){0};
}

static struct span last_header(const struct cap_message *m, struct span name)
{
    for (uint32_t i = m->header_count; i > 0; i--)
        if (span_eq(m->headers[i - 1].name, name))
            return span_trim(m->headers[i - 1].value);
    return (struct span){0};
}

/* --- names ------------------------------------------------------------------------ */

struct called {
    struct call_name by;
    bool guessed; /* by the message, where headers should have told */
};

static bool called_by_message(const struct cap_exchange *x, struct called *c)
{
    return x->grpc && x->request.body.state == OP_BODY_KEPT &&
           !x->request.grpc_compressed &&
           call_name_of_value(call_name_of_message(x->request.body.data), &c->by);
}

/* Who is called, as told at the tier. */
static bool who(enum op_tier tier, const struct cap_exchange *x, const struct told *t,
                const struct op_stream *s, struct called *c)
{
    struct span model = value_of(t->model), internal = value_of(t->internal);
    bool gateway = tier == OP_TIER_PIPELINEGATEWAY || tier == OP_TIER_MODELGATEWAY;

    if (tier == OP_TIER_SERVER)
        return call_name_of_path(s->path, &c->by) || called_by_message(x, c) ||
               call_name_of_value(internal, &c->by) ||
               call_name_of_value(model, &c->by);
    if (tier == OP_TIER_ENVOY && call_name_of_value(model, &c->by))
        return true;
    if (tier != OP_TIER_ENVOY &&
        (call_name_of_value(internal, &c->by) || call_name_of_value(model, &c->by)))
        return true;
    if (call_name_of_path(s->path, &c->by)) {
        c->guessed = gateway; /* which goes by its headers alone */
        return true;
    }
    c->guessed = called_by_message(x, c);
    if (gateway && c->guessed && x->request.headers_opaque)
        c->by.resource = OP_PIPELINE; /* far likelier, and nothing says so */
    return c->guessed;
}

/* --- what counts as an inference -------------------------------------------------- */

static bool is_inference(const struct cap_exchange *x, const struct op_stream *s)
{
    return call_is_inference(x->grpc, x->method, s->path) ||
           (x->grpc && s->path.n == 0 && x->inferred);
}

/* A call whose path cannot be read may have been one, unless its message is there to
 * say no: the parser has looked at it. */
static bool may_be_inference(const struct cap_exchange *x, const struct op_stream *s)
{
    const struct cap_message *m = &x->request;
    bool read = x->grpc && m->loss == CAP_LOSS_NONE && !m->grpc_compressed &&
                m->body.state != OP_BODY_ELIDED;
    return s->path.n == 0 && m->headers_opaque && !read;
}

/* --- ids -------------------------------------------------------------------------- */

/* What an answer calls the request. The pipeline gateway puts "PARTITION.NAME." before
 * the id (from 2.10 on; "NAME." before that), and envoy joins its two lines by a comma,
 * the plain one last. Elsewhere an id is what the client made of it. */
static struct span answer_id(const struct cap_message *answer,
                             const struct op_stream *s)
{
    struct span id = last_header(answer, SPAN_LIT("x-request-id"));
    bool gateway = s->resource == OP_PIPELINE || s->tier == OP_TIER_PIPELINEGATEWAY ||
                   s->tier == OP_TIER_MODELGATEWAY;
    for (size_t at = span_find(id, ',', 0); at < id.n; at = span_find(id, ',', 0))
        id = span_trim(span_sub(id, at + 1, id.n));
    return gateway ? kafka_key_of(id, s->name).id : id;
}

static void take_id(const struct cap_exchange *x, const struct told *t,
                    struct cap_record *r)
{
    struct op *op = &r->op;
    op->id = value_of(t->id);
    if (op->id.n == 0 && x->part != CAP_PART_REQUEST)
        op->id = answer_id(&x->answer, &r->stream);
    if (op->id.n > CAP_ID_MAX)
        op->id = (struct span){0};
    if (op->id.n > 0)
        return;
    for (uint32_t i = 0;
         i < x->request.header_count && r->nameless_count < CAP_NAMELESS_MAX; i++) {
        const struct op_header *h = &x->request.headers[i];
        if (h->name.n == 0 && h->value.n > 0 && h->value.n <= CAP_ID_MAX)
            r->nameless[r->nameless_count++] = h->value;
    }
}

/* --- the operation ---------------------------------------------------------------- */

/* Whether a message is not all there. What was still under way when the capture or the
 * connection ended is whole only where it is a message of gRPC that its length ended.
 */
static bool lacks_bytes(const struct cap_message *m)
{
    switch (m->loss) {
    case CAP_LOSS_GAP:
    case CAP_LOSS_RESET:
        return true;
    case CAP_LOSS_UNANSWERED:
        return m->messages_listed == 0 || m->in_message;
    default:
        return false;
    }
}

/* A body that lacks bytes is no body to send: its length alone is known. */
static struct op_body whole_or_elided(const struct cap_message *m)
{
    struct op_body body = m->body;
    if (lacks_bytes(m) && body.state != OP_BODY_NONE) {
        body.state = OP_BODY_ELIDED;
        body.data = (struct span){0};
        body.hash[0] = body.hash[1] = 0;
    }
    return body;
}

/* What the bytes of an answer are encoded in. Of a connection that was joined midway
 * the header may be unreadable: gRPC's flag says all the same that there is one. */
static uint16_t codings_of(const struct cap_exchange *x)
{
    const struct cap_message *m = &x->answer;
    struct span name =
        x->grpc ? SPAN_LIT("grpc-encoding") : SPAN_LIT("content-encoding");
    uint16_t codings = 0;
    if (x->grpc && !m->grpc_compressed)
        return 0;
    for (uint32_t i = 0; i < m->header_count; i++)
        if (is_named(&m->headers[i], name))
            content_codings_add(&codings, m->headers[i].value);
    return x->grpc && codings == 0 ? CONTENT_OTHER : codings;
}

void cap_record_answer(const struct cap_exchange *x, struct op *op)
{
    if (!x->answered)
        return;
    op->first_ns = x->answer.first.ns - x->request.first.ns;
    if (x->answer.loss == CAP_LOSS_NONE || x->answer.loss == CAP_LOSS_LIMIT)
        op->last_ns = x->answer.last.ns - x->request.first.ns;
    op->status = x->status;
    op->grpc_status = x->grpc_status;
    op->response = whole_or_elided(&x->answer);
    op->response_codings = codings_of(x);
    if (x->answer.loss == CAP_LOSS_GAP)
        op->flags |= OP_FLAG_GAP;
}

static uint32_t flags_of(const struct cap_exchange *x, const struct cap_record *r,
                         const struct called *c)
{
    uint32_t flags = 0;
    if (x->inferred || c->guessed)
        flags |= OP_FLAG_INFERRED;
    if (x->request.headers_opaque)
        flags |= OP_FLAG_OPAQUE;
    if (x->gap_near || x->request.loss == CAP_LOSS_GAP)
        flags |= OP_FLAG_GAP;
    if (r->cut)
        flags |= OP_FLAG_TRUNCATED;
    return flags;
}

static void fill_op(const struct cap_exchange *x, const struct told *t,
                    const struct called *c, struct cap_record *r)
{
    struct op *op = &r->op;
    r->cut = lacks_bytes(&x->request) ||
             (x->request.grpc_messages > 1 &&
              x->request.messages_listed < x->request.grpc_messages);
    r->internal = c->by.version;
    op->stream = &r->stream;
    op->request = whole_or_elided(&x->request);
    r->buffers[0] = x->request.buffer;
    op->connection = (uint32_t)x->connection;
    op->conn_stream = x->stream;
    if (x->part != CAP_PART_REQUEST) {
        cap_record_answer(x, op);
        r->buffers[1] = x->answer.buffer;
    }
    op->flags |= flags_of(x, r, c);
    take_id(x, t, r);
}

enum cap_recorded cap_record_make(enum op_tier tier, const struct cap_exchange *x,
                                  struct cap_record *r)
{
    *r = (struct cap_record){.op = op_empty(), .at = x->request.first};
    struct op_stream *s = &r->stream;
    size_t query = span_find(x->path, '?', 0);
    s->protocol = x->grpc ? OP_GRPC : OP_REST;
    s->path = span_sub(x->path, 0, query);
    r->query_cut = query < x->path.n;
    if (!is_inference(x, s))
        return may_be_inference(x, s) ? CAP_RECORDED_UNNAMED : CAP_RECORDED_PASSED;

    const struct told t = told_by(&x->request);
    struct called c = {0};
    if (!who(tier, x, &t, s, &c))
        return CAP_RECORDED_UNNAMED;
    if (c.by.name.n > CAP_NAME_MAX || s->path.n > CAP_PATH_MAX)
        return CAP_RECORDED_REFUSED;
    bool gateway = tier == OP_TIER_PIPELINEGATEWAY || tier == OP_TIER_MODELGATEWAY;
    s->tier = !gateway                    ? tier
              : c.by.resource == OP_MODEL ? OP_TIER_MODELGATEWAY
                                          : OP_TIER_PIPELINEGATEWAY;
    s->resource = c.by.resource;
    s->name = c.by.name;
    s->method = x->grpc ? (struct span){0} : x->method;
    s->content_type = short_value(t.content_type);
    s->content_encoding =
        short_value(x->request.grpc_compressed ? t.grpc_encoding : t.content_encoding);
    s->headers = x->request.headers;
    s->header_count = x->request.header_count;
    fill_op(x, &t, &c, r);
    return CAP_RECORDED_OP;
}

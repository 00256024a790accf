/*
 * op.c - see op.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/op.h"

#include <xxhash.h>

const char *const op_protocol_names[] = {"rest", "grpc", "kafka", "control", NULL};
const char *const op_tier_names[] = {
    "any",          "envoy", "rproxy", "server", "pipelinegateway",
    "modelgateway", "kafka", NULL};
const char *const op_resource_names[] = {"model", "pipeline", "experiment", NULL};

_Static_assert(sizeof op_protocol_names / sizeof *op_protocol_names ==
                   OP_PROTOCOL_COUNT + 1,
               "a name for each protocol");
_Static_assert(sizeof op_tier_names / sizeof *op_tier_names == OP_TIER_COUNT + 1,
               "a name for each tier");
_Static_assert(sizeof op_resource_names / sizeof *op_resource_names ==
                   OP_RESOURCE_COUNT + 1,
               "a name for each resource");

struct op op_empty(void)
{
    return (struct op){
        .connection = OP_NONE,
        .conn_stream = OP_NONE,
        .client = OP_NONE,
        .tokens_in = OP_NONE,
        .tokens_out = OP_NONE,
        .weight = 1,
        .first_ns = OP_TIME_NONE,
        .last_ns = OP_TIME_NONE,
        .grpc_status = -1,
    };
}

void op_take_answer(struct op *op, const struct op *answer)
{
    op->first_ns = answer->first_ns;
    op->last_ns = answer->last_ns;
    op->status = answer->status;
    op->grpc_status = answer->grpc_status;
    op->response_codings = answer->response_codings;
    op->response = answer->response;
    op->response_messages = answer->response_messages;
    op->flags |= answer->flags;
}

bool op_stream_equal(const struct op_stream *a, const struct op_stream *b)
{
    if (a->protocol != b->protocol || a->tier != b->tier ||
        a->resource != b->resource || a->header_count != b->header_count)
        return false;
    if (!span_eq(a->name, b->name) || !span_eq(a->model_type, b->model_type) ||
        !span_eq(a->method, b->method) || !span_eq(a->path, b->path) ||
        !span_eq(a->content_type, b->content_type) ||
        !span_eq(a->content_encoding, b->content_encoding))
        return false;
    for (uint32_t i = 0; i < a->header_count; i++)
        if (!span_eq(a->headers[i].name, b->headers[i].name) ||
            !span_eq(a->headers[i].value, b->headers[i].value))
            return false;
    return true;
}

void op_body_hash(struct span body, uint64_t hash[2])
{
    XXH128_hash_t h = XXH3_128bits(body.p, body.n);
    hash[0] = h.low64;
    hash[1] = h.high64;
}

/* struct op_hash is never defined: it is the library's state under another name. */
static XXH3_state_t *state_of(struct op_hash *h)
{
    return (XXH3_state_t *)h;
}

struct op_hash *op_hash_new(void)
{
    XXH3_state_t *state = XXH3_createState();
    if (state)
        XXH3_128bits_reset(state);
    return (struct op_hash *)state;
}

void op_hash_add(struct op_hash *h, struct span piece)
{
    XXH3_128bits_update(state_of(h), piece.p, piece.n);
}

void op_hash_end(struct op_hash *h, uint64_t hash[2])
{
    XXH128_hash_t sum = XXH3_128bits_digest(state_of(h));
    hash[0] = sum.low64;
    hash[1] = sum.high64;
    XXH3_128bits_reset(state_of(h));
}

void op_hash_free(struct op_hash *h)
{
    XXH3_freeState(state_of(h));
}

struct op_body op_body_of(struct span data)
{
    if (data.n == 0)
        return (struct op_body){.state = OP_BODY_NONE};
    struct op_body body = {.state = OP_BODY_KEPT, .data = data, .bytes = data.n};
    op_body_hash(data, body.hash);
    return body;
}

bool op_messages_fit(const struct op_messages *m, const struct op_body *body)
{
    uint64_t left = body->state == OP_BODY_NONE ? 0 : body->bytes;
    if (m->count == 0)
        return true;
    for (uint32_t i = 0; i < m->count; i++) {
        if (m->v[i].bytes > left)
            return false;
        left -= m->v[i].bytes;
    }
    return left == 0;
}

/*
 * trc_random.c - see trc_random.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/trc_random.h"

#include <stdio.h>
#include <string.h>

static struct span random_bytes(struct arena *a, struct rng *r, size_t n)
{
    uint8_t *p = arena_alloc(a, n + 1);
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)rng_u64(r);
    return span_of(p, n);
}

static struct span random_text(struct arena *a, struct rng *r, size_t max)
{
    size_t n = (size_t)rng_below(r, max + 1);
    uint8_t *p = arena_alloc(a, n + 1);
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)(' ' + rng_below(r, 95));
    return span_of(p, n);
}

static struct op_stream *random_streams(struct arena *a, struct rng *r, uint32_t n)
{
    struct op_stream *v = arena_zalloc(a, n * sizeof *v);
    for (uint32_t i = 0; i < n; i++) {
        struct op_stream *s = &v[i];
        char name[32];
        snprintf(name, sizeof name, "model%u", (unsigned)i / 2);
        s->protocol = (enum op_protocol)rng_below(r, OP_PROTOCOL_COUNT);
        s->tier = (enum op_tier)rng_below(r, OP_TIER_COUNT);
        s->resource = (enum op_resource)rng_below(r, OP_RESOURCE_COUNT);
        s->name = span_str(arena_str(a, name));
        s->model_type = random_text(a, r, 8);
        s->method = rng_below(r, 2) ? span_str("POST") : span_str("");
        s->path = random_text(a, r, 60);
        s->content_type = random_text(a, r, 20);
        s->content_encoding = random_text(a, r, 4);
        s->header_count = (uint32_t)rng_below(r, 4);
        struct op_header *h = arena_alloc(a, 4 * sizeof *h);
        for (uint32_t k = 0; k < s->header_count; k++)
            h[k] = (struct op_header){random_text(a, r, 12), random_text(a, r, 30)};
        s->headers = s->header_count ? h : NULL;
    }
    return v;
}

static struct op_body *random_bodies(struct arena *a, struct rng *r,
                                     const struct trc_random *how)
{
    struct op_body *v = arena_zalloc(a, (how->bodies + 1) * sizeof *v);
    for (uint32_t i = 0; i < how->bodies; i++) {
        size_t n = (size_t)rng_below(r, how->body_max + 1);
        v[i] = op_body_of(random_bytes(a, r, n));
        if (n == 0 && rng_below(r, 2)) {
            v[i].state = OP_BODY_KEPT; /* a body of no bytes is not no body */
            op_body_hash(v[i].data, v[i].hash);
        }
        if (rng_below(r, 8) == 0) {
            v[i] = (struct op_body){.state = OP_BODY_ELIDED,
                                    .bytes = rng_below(r, (uint64_t)1 << 40),
                                    .hash = {rng_u64(r), rng_u64(r)}};
        }
    }
    return v;
}

static struct span random_id(struct arena *a, struct rng *r)
{
    static const char hex[] = "0123456789abcdef",
                      base32[] = "0123456789abcdefghijklmnopqrstuv";
    char text[40];
    switch (rng_below(r, 5)) {
    case 0:
        return (struct span){0};
    case 1:
        for (int i = 0; i < 36; i++)
            text[i] =
                i == 8 || i == 13 || i == 18 || i == 23 ? '-' : hex[rng_below(r, 16)];
        if (!rng_below(r, 3)) /* then it only looks like a UUID */
            text[rng_below(r, 36)] = (char)rng_u64(r);
        return arena_dup(a, span_of(text, 36));
    case 2:
        for (int i = 0; i < 20; i++)
            text[i] = base32[rng_below(r, 32)];
        if (rng_below(r, 4))
            text[19] = rng_below(r, 2) ? 'g' : '0'; /* else it only looks like an xid */
        return arena_dup(a, span_of(text, 20));
    case 3:
        return random_text(a, r, 36);
    default:
        return random_bytes(a, r, (size_t)rng_below(r, 40));
    }
}

static uint32_t random_ordinal(struct rng *r)
{
    return rng_below(r, 3) ? (uint32_t)rng_below(r, 100)
                           : (uint32_t)(rng_u64(r) >> 32); /* OP_NONE among them */
}

static int64_t random_time(struct rng *r, int64_t unit)
{
    return (int64_t)(rng_u64(r) >> (24 + rng_below(r, 40))) / unit * unit;
}

/* A body as the messages of a stream; sometimes none at all. */
static struct op_messages random_messages(struct arena *a, struct rng *r,
                                          const struct op_body *body,
                                          const struct trc_random *how)
{
    uint64_t left = body->state == OP_BODY_NONE ? 0 : body->bytes;
    uint32_t n = rng_below(r, 6) ? 0 : 1 + (uint32_t)rng_below(r, 5);
    struct op_message *v = arena_alloc(a, (n + 1) * sizeof *v);
    int64_t now = 0;
    for (uint32_t i = 0; i < n; i++) {
        now += random_time(r, how->unit) - (rng_below(r, 9) ? 0 : 3 * how->unit);
        v[i] = (struct op_message){now, i + 1 == n ? left : rng_below(r, left + 1)};
        left -= v[i].bytes;
    }
    return (struct op_messages){n ? v : NULL, n};
}

static void random_answer(struct arena *a, struct op *o, struct rng *r,
                          const struct op_body *bodies, const struct trc_random *how)
{
    o->status = (uint16_t)(rng_below(r, 4) ? 200 : rng_below(r, 65536));
    o->grpc_status = (int16_t)(rng_below(r, 4) ? -1 : (int)rng_below(r, 17));
    if (rng_below(r, 8)) {
        o->first_ns = random_time(r, how->unit);
        o->last_ns = o->first_ns + random_time(r, how->unit);
    }
    if (rng_below(r, 16) == 0)
        o->last_ns = rng_below(r, 2) ? OP_TIME_NONE : random_time(r, how->unit);
    if (how->bodies && rng_below(r, 3))
        o->response = bodies[rng_below(r, how->bodies)];
    o->response_messages = random_messages(a, r, &o->response, how);
    if (rng_below(r, 8) == 0)
        o->response_codings = (uint16_t)(rng_below(r, 2) ? 1 : 0x4f31);
}

struct op *trc_random_ops(struct arena *a, uint64_t seed, size_t n,
                          const struct trc_random *how)
{
    struct rng r;
    rng_init(&r, seed);
    const struct op_stream *streams = random_streams(a, &r, how->streams);
    const struct op_body *bodies = random_bodies(a, &r, how);
    struct op *ops = arena_alloc(a, n * sizeof *ops);
    int64_t now = 0;
    for (size_t i = 0; i < n; i++) {
        struct op *o = &ops[i];
        *o = op_empty();
        o->index = i;
        now += rng_below(&r, 10)
                   ? random_time(&r, how->unit) % 10000000 / how->unit * how->unit
                   : 0;
        o->arrival_ns = now;
        o->stream = &streams[rng_below(&r, how->streams)];
        o->flags = (uint32_t)(rng_below(&r, 4) ? 0 : rng_u64(&r));
        if (how->bodies && rng_below(&r, 8))
            o->request = bodies[rng_below(&r, how->bodies)];
        o->request_messages = random_messages(a, &r, &o->request, how);
        if (how->ids) {
            o->id = random_id(a, &r);
            o->connection = random_ordinal(&r);
            o->conn_stream = random_ordinal(&r);
            o->client = random_ordinal(&r);
            o->tokens_in = random_ordinal(&r);
            o->tokens_out = random_ordinal(&r);
            o->weight = rng_below(&r, 4) ? 1 : (float)(1 + 100 * rng_unit(&r));
        }
        if (how->answers && rng_below(&r, 8))
            random_answer(a, o, &r, bodies, how);
    }
    return ops;
}

struct outcome *trc_random_outcomes(struct arena *a, uint64_t seed, size_t n,
                                    const struct trc_random *how)
{
    struct rng r;
    rng_init(&r, seed);
    const struct op_stream *streams = random_streams(a, &r, how->streams);
    struct outcome *all = arena_alloc(a, n * sizeof *all);
    int64_t now = 0;
    for (size_t i = 0; i < n; i++) {
        struct outcome *o = &all[i];
        *o = outcome_empty();
        now += random_time(&r, 1) % 1000000;
        o->op_index = rng_below(&r, 50) ? i : rng_u64(&r) >> 1;
        o->stream = &streams[rng_below(&r, how->streams)];
        o->cause =
            (enum out_cause)(rng_below(&r, 4) ? 0 : rng_below(&r, OUT_CAUSE_COUNT));
        o->check = (enum out_check)rng_below(&r, OUT_CHECK_COUNT);
        o->wait = (enum out_wait)rng_below(&r, OUT_WAIT_COUNT);
        o->due_ns = now;
        int64_t *times[] = {&o->ready_ns, &o->sent_ns, &o->first_ns, &o->done_ns};
        int64_t t = now;
        for (int k = 0; k < 4; k++) {
            *times[k] = OP_TIME_NONE;
            if (rng_below(&r, 10) == 0)
                continue;
            t += random_time(&r, 1) - (rng_below(&r, 20) ? 0 : 100000);
            *times[k] = t;
        }
        o->status = (uint16_t)(rng_below(&r, 4) ? 200 : rng_below(&r, 65536));
        o->grpc_status = (int16_t)(rng_below(&r, 4) ? -1 : (int)rng_below(&r, 17));
        o->attempts = (uint8_t)(rng_below(&r, 4) ? 1 : rng_below(&r, 256));
        o->worker = (uint16_t)rng_below(&r, 65536);
        o->connection = random_ordinal(&r);
        o->bytes_out = rng_u64(&r) >> (1 + rng_below(&r, 63));
        o->bytes_in = rng_u64(&r) >> (1 + rng_below(&r, 63));
        o->answer_hash = rng_below(&r, 3) ? rng_below(&r, 5) : rng_u64(&r);
        if (how->answers && rng_below(&r, 2)) {
            struct op_body body = {.state = OP_BODY_ELIDED, .bytes = o->bytes_in};
            o->messages = random_messages(a, &r, &body, how);
        }
    }
    return all;
}

#define DIFFER(field)                                                                  \
    do {                                                                               \
        if (a->field != b->field)                                                      \
            return #field;                                                             \
    } while (0)

static bool body_equal(const struct op_body *a, const struct op_body *b)
{
    return a->state == b->state && a->bytes == b->bytes && a->hash[0] == b->hash[0] &&
           a->hash[1] == b->hash[1] && span_eq(a->data, b->data);
}

static bool messages_equal(const struct op_messages *a, const struct op_messages *b)
{
    bool equal = a->count == b->count;
    for (uint32_t i = 0; equal && i < a->count; i++)
        equal = a->v[i].at_ns == b->v[i].at_ns && a->v[i].bytes == b->v[i].bytes;
    return equal;
}

const char *trc_answer_difference(const struct op *a, const struct op *b)
{
    DIFFER(index);
    DIFFER(first_ns);
    DIFFER(last_ns);
    DIFFER(status);
    DIFFER(grpc_status);
    DIFFER(response_codings);
    if (!messages_equal(&a->response_messages, &b->response_messages))
        return "response_messages";
    return body_equal(&a->response, &b->response) ? NULL : "response";
}

const char *trc_op_difference(const struct op *a, const struct op *b)
{
    DIFFER(arrival_ns);
    DIFFER(flags);
    DIFFER(connection);
    DIFFER(conn_stream);
    DIFFER(client);
    DIFFER(tokens_in);
    DIFFER(tokens_out);
    DIFFER(weight);
    if (!op_stream_equal(a->stream, b->stream))
        return "stream";
    if (!body_equal(&a->request, &b->request))
        return "request";
    if (!messages_equal(&a->request_messages, &b->request_messages))
        return "request_messages";
    if (!span_eq(a->id, b->id))
        return "id";
    return trc_answer_difference(a, b);
}

const char *trc_outcome_difference(const struct outcome *a, const struct outcome *b)
{
    DIFFER(op_index);
    DIFFER(cause);
    DIFFER(check);
    DIFFER(wait);
    DIFFER(due_ns);
    DIFFER(ready_ns);
    DIFFER(sent_ns);
    DIFFER(first_ns);
    DIFFER(done_ns);
    DIFFER(status);
    DIFFER(grpc_status);
    DIFFER(attempts);
    DIFFER(worker);
    DIFFER(connection);
    DIFFER(bytes_out);
    DIFFER(bytes_in);
    DIFFER(answer_hash);
    if (!messages_equal(&a->messages, &b->messages))
        return "messages";
    return op_stream_equal(a->stream, b->stream) ? NULL : "stream";
}

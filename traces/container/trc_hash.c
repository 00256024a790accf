/*
 * trc_hash.c - see trc_hash.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/container/trc_hash.h"

#include <stdlib.h>
#include <string.h>

#define XXH_STATIC_LINKING_ONLY  /* the state on the stack; our Debian pins its layout \
                                  */
#include <xxhash.h>

/* The fixed part of a record's bytes; ids follow in the same buffer when they fit. */
struct packed {
    uint8_t p[512];
    size_t n;
};

static void put(struct packed *k, uint64_t v, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        k->p[k->n++] = (uint8_t)(v >> (8 * i));
}

static void put_tag(struct packed *k, const char tag[2])
{
    k->p[k->n++] = (uint8_t)tag[0];
    k->p[k->n++] = (uint8_t)tag[1];
}

static void put_body(struct packed *k, const struct op_body *b)
{
    put(k, b->state, 1);
    put(k, b->state == OP_BODY_NONE ? 0 : b->bytes, 8);
    put(k, b->state == OP_BODY_NONE ? 0 : b->hash[0], 8);
    put(k, b->state == OP_BODY_NONE ? 0 : b->hash[1], 8);
}

void trc_xxh128(const void *p, size_t n, uint64_t hash[2])
{
    XXH128_hash_t h = XXH3_128bits(p, n);
    hash[0] = h.low64;
    hash[1] = h.high64;
}

void trc_hash_add(uint64_t sum[2], const uint64_t more[2])
{
    sum[0] += more[0];
    sum[1] += more[1] + (sum[0] < more[0] ? 1 : 0);
}

static void add_term(uint64_t sum[2], const struct packed *k)
{
    uint64_t h[2];
    trc_xxh128(k->p, k->n, h);
    trc_hash_add(sum, h);
}

/* A term with an id too long for the buffer. */
static void add_long_term(uint64_t sum[2], const struct packed *k, struct span id)
{
    XXH3_state_t state;
    XXH3_INITSTATE(&state);
    XXH3_128bits_reset(&state);
    XXH3_128bits_update(&state, k->p, k->n);
    XXH3_128bits_update(&state, id.p, id.n);
    XXH128_hash_t h = XXH3_128bits_digest(&state);
    trc_hash_add(sum, (uint64_t[2]){h.low64, h.high64});
}

bool trc_has_answer(const struct op *o)
{
    return o->status != 0 || o->grpc_status != -1 || o->first_ns != OP_TIME_NONE ||
           o->last_ns != OP_TIME_NONE || o->response.state != OP_BODY_NONE;
}

void trc_hash_op(const struct op *o, const uint64_t stream_hash[2], uint64_t sum[2])
{
    struct packed k;
    k.n = 0;
    uint32_t weight;
    memcpy(&weight, &o->weight, sizeof weight);
    put_tag(&k, "op");
    put(&k, o->index, 8);
    put(&k, (uint64_t)o->arrival_ns, 8);
    put(&k, stream_hash[0], 8);
    put(&k, stream_hash[1], 8);
    put(&k, o->flags, 4);
    put(&k, o->connection, 4);
    put(&k, o->conn_stream, 4);
    put(&k, o->client, 4);
    put(&k, o->tokens_in, 4);
    put(&k, o->tokens_out, 4);
    put(&k, weight, 4);
    put_body(&k, &o->request);
    if (o->id.n > sizeof k.p - k.n) {
        add_long_term(sum, &k, o->id);
        return;
    }
    if (o->id.n)
        memcpy(k.p + k.n, o->id.p, o->id.n);
    k.n += o->id.n;
    add_term(sum, &k);
}

void trc_hash_answer(const struct op *o, uint64_t sum[2])
{
    if (!trc_has_answer(o))
        return;
    struct packed k;
    k.n = 0;
    put_tag(&k, "an");
    put(&k, o->index, 8);
    put(&k, (uint64_t)o->first_ns, 8);
    put(&k, (uint64_t)o->last_ns, 8);
    put(&k, o->status, 2);
    put(&k, (uint16_t)o->grpc_status, 2);
    put_body(&k, &o->response);
    add_term(sum, &k);
}

void trc_hash_outcome(const struct outcome *o, const uint64_t stream_hash[2],
                      uint64_t sum[2])
{
    struct packed k;
    k.n = 0;
    put_tag(&k, "ou");
    put(&k, o->op_index, 8);
    put(&k, stream_hash[0], 8);
    put(&k, stream_hash[1], 8);
    put(&k, o->cause, 1);
    put(&k, o->check, 1);
    put(&k, o->attempts, 1);
    put(&k, 0, 1);
    put(&k, o->worker, 2);
    put(&k, o->status, 2);
    put(&k, (uint16_t)o->grpc_status, 2);
    put(&k, o->connection, 4);
    const int64_t times[] = {o->due_ns, o->ready_ns, o->sent_ns, o->first_ns,
                             o->done_ns};
    for (size_t i = 0; i < sizeof times / sizeof *times; i++)
        put(&k, (uint64_t)times[i], 8);
    put(&k, o->bytes_out, 8);
    put(&k, o->bytes_in, 8);
    put(&k, o->answer_hash, 8);
    add_term(sum, &k);
}

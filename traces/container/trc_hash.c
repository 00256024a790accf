/*
 * trc_hash.c - see trc_hash.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/container/trc_hash.h"

#include <endian.h>
#include <string.h>

#define XXH_STATIC_LINKING_ONLY  /* the state on the stack; our Debian pins its layout \
                                  */
#include <xxhash.h>

/* The fixed part of a record's bytes; ids follow in the same buffer when they fit. */
struct packed {
    uint8_t p[512];
    size_t n;
};

static void put64(struct packed *k, uint64_t v)
{
    v = htole64(v);
    memcpy(k->p + k->n, &v, sizeof v);
    k->n += sizeof v;
}

static void put32(struct packed *k, uint32_t v)
{
    v = htole32(v);
    memcpy(k->p + k->n, &v, sizeof v);
    k->n += sizeof v;
}

static void put16(struct packed *k, uint16_t v)
{
    v = htole16(v);
    memcpy(k->p + k->n, &v, sizeof v);
    k->n += sizeof v;
}

static void put8(struct packed *k, uint8_t v)
{
    k->p[k->n++] = v;
}

static void put_tag(struct packed *k, const char tag[2])
{
    k->p[k->n++] = (uint8_t)tag[0];
    k->p[k->n++] = (uint8_t)tag[1];
}

static void put_body(struct packed *k, const struct op_body *b)
{
    bool none = b->state == OP_BODY_NONE;
    put8(k, (uint8_t)b->state);
    put64(k, none ? 0 : b->bytes);
    put64(k, none ? 0 : b->hash[0]);
    put64(k, none ? 0 : b->hash[1]);
}

void trc_xxh128(const void *p, size_t n, uint64_t hash[2])
{
    XXH128_hash_t h = XXH3_128bits(p, n);
    hash[0] = h.low64;
    hash[1] = h.high64;
}

uint64_t trc_xxh64_pieces(const struct iovec *v, size_t n)
{
    XXH3_state_t state;
    XXH3_INITSTATE(&state);
    XXH3_64bits_reset(&state);
    for (size_t i = 0; i < n; i++)
        XXH3_64bits_update(&state, v[i].iov_base, v[i].iov_len);
    return XXH3_64bits_digest(&state);
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

/* Messages of a stream, where there are any. */
static void add_messages(uint64_t sum[2], const char tag[2], uint64_t index,
                         const struct op_messages *m)
{
    if (m->count == 0)
        return;
    XXH3_state_t state;
    XXH3_INITSTATE(&state);
    XXH3_128bits_reset(&state);
    struct packed k = {.n = 0};
    put_tag(&k, tag);
    put64(&k, index);
    for (uint32_t i = 0; i < m->count; i++) {
        put64(&k, (uint64_t)m->v[i].at_ns);
        put64(&k, m->v[i].bytes);
        if (k.n + 16 > sizeof k.p) {
            XXH3_128bits_update(&state, k.p, k.n);
            k.n = 0;
        }
    }
    XXH3_128bits_update(&state, k.p, k.n);
    XXH128_hash_t h = XXH3_128bits_digest(&state);
    trc_hash_add(sum, (uint64_t[2]){h.low64, h.high64});
}

bool trc_has_answer(const struct op *o)
{
    return o->response_messages.count > 0 || o->response_codings || o->status != 0 ||
           o->grpc_status != -1 || o->first_ns != OP_TIME_NONE ||
           o->last_ns != OP_TIME_NONE || o->response.state != OP_BODY_NONE;
}

void trc_hash_op(const struct op *o, const uint64_t stream_hash[2], uint64_t sum[2])
{
    struct packed k;
    k.n = 0;
    uint32_t weight;
    add_messages(sum, "qm", o->index, &o->request_messages);
    memcpy(&weight, &o->weight, sizeof weight);
    put_tag(&k, "op");
    put64(&k, o->index);
    put64(&k, (uint64_t)o->arrival_ns);
    put64(&k, stream_hash[0]);
    put64(&k, stream_hash[1]);
    put32(&k, o->flags);
    put32(&k, o->connection);
    put32(&k, o->conn_stream);
    put32(&k, o->client);
    put32(&k, o->tokens_in);
    put32(&k, o->tokens_out);
    put32(&k, weight);
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
    add_messages(sum, "rm", o->index, &o->response_messages);
    struct packed k;
    k.n = 0;
    if (o->response_codings) {
        put_tag(&k, "ae");
        put64(&k, o->index);
        put16(&k, o->response_codings);
        add_term(sum, &k);
        k.n = 0;
    }
    put_tag(&k, "an");
    put64(&k, o->index);
    put64(&k, (uint64_t)o->first_ns);
    put64(&k, (uint64_t)o->last_ns);
    put16(&k, o->status);
    put16(&k, (uint16_t)o->grpc_status);
    put_body(&k, &o->response);
    add_term(sum, &k);
}

void trc_hash_late(const struct op *o, uint64_t sum[2])
{
    trc_hash_answer(o, sum);
    if (o->flags == 0)
        return;
    struct packed k;
    k.n = 0;
    put_tag(&k, "af");
    put64(&k, o->index);
    put32(&k, o->flags);
    add_term(sum, &k);
}

void trc_hash_outcome(const struct outcome *o, const uint64_t stream_hash[2],
                      uint64_t sum[2])
{
    struct packed k;
    k.n = 0;
    add_messages(sum, "om", o->op_index, &o->messages);
    put_tag(&k, "ou");
    put64(&k, o->op_index);
    put64(&k, stream_hash[0]);
    put64(&k, stream_hash[1]);
    put8(&k, (uint8_t)o->cause);
    put8(&k, (uint8_t)o->check);
    put8(&k, o->attempts);
    put8(&k, (uint8_t)o->wait);
    put16(&k, o->worker);
    put16(&k, o->status);
    put16(&k, (uint16_t)o->grpc_status);
    put32(&k, o->connection);
    const int64_t times[] = {o->due_ns, o->ready_ns, o->sent_ns, o->first_ns,
                             o->done_ns};
    for (size_t i = 0; i < sizeof times / sizeof *times; i++)
        put64(&k, (uint64_t)times[i]);
    put64(&k, o->bytes_out);
    put64(&k, o->bytes_in);
    put64(&k, o->answer_hash);
    add_term(sum, &k);
}

/*
 * trc_stream.c - see trc_stream.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/container/trc_stream.h"

#include <stdlib.h>
#include <string.h>

#include "traces/container/trc_hash.h"

void trc_streams_reset(struct trc_streams *t)
{
    arena_reset(&t->arena);
    buf_reset(&t->entries);
    t->n = 0;
    if (t->slots)
        memset(t->slots, 0, t->slot_count * sizeof *t->slots);
    memset(t->cache, 0, sizeof t->cache);
}

void trc_streams_done(struct trc_streams *t)
{
    arena_done(&t->arena);
    buf_done(&t->entries);
    free(t->v);
    free(t->slots);
    memset(t, 0, sizeof *t);
}

static void put_string(struct buf *out, struct span s)
{
    buf_varint(out, s.n);
    buf_span(out, s);
}

void trc_stream_encode(const struct op_stream *s, struct buf *out)
{
    buf_varint(out, s->protocol);
    buf_varint(out, s->tier);
    buf_varint(out, s->resource);
    put_string(out, s->name);
    put_string(out, s->model_type);
    put_string(out, s->method);
    put_string(out, s->path);
    put_string(out, s->content_type);
    put_string(out, s->content_encoding);
    buf_varint(out, s->header_count);
    for (uint32_t i = 0; i < s->header_count; i++) {
        put_string(out, s->headers[i].name);
        put_string(out, s->headers[i].value);
    }
}

static int check_stream(const struct op_stream *s, struct err *e)
{
    const struct span strings[] = {s->name, s->model_type,   s->method,
                                   s->path, s->content_type, s->content_encoding};
    if ((unsigned)s->protocol >= OP_PROTOCOL_COUNT ||
        (unsigned)s->tier >= OP_TIER_COUNT ||
        (unsigned)s->resource >= OP_RESOURCE_COUNT)
        return err_set(e, ERR_USAGE, "stream with protocol %u, tier %u, resource %u",
                       (unsigned)s->protocol, (unsigned)s->tier, (unsigned)s->resource);
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++)
        if (strings[i].n > TRC_STRING_MAX)
            return err_set(e, ERR_LIMIT, "string of %zu bytes in a stream, limit %u",
                           strings[i].n, TRC_STRING_MAX);
    if (s->header_count > TRC_HEADERS_MAX)
        return err_set(e, ERR_LIMIT, "stream with %u headers, limit %u",
                       s->header_count, TRC_HEADERS_MAX);
    size_t bytes = 0;
    for (uint32_t i = 0; i < s->header_count; i++)
        bytes += s->headers[i].name.n + s->headers[i].value.n;
    if (bytes > TRC_HEADERS_BYTES)
        return err_set(e, ERR_LIMIT, "stream with %zu bytes of headers, limit %u",
                       bytes, TRC_HEADERS_BYTES);
    return 0;
}

static bool grow_slots(struct trc_streams *t)
{
    uint32_t count = t->slot_count ? 2 * t->slot_count : 64;
    uint32_t *slots = calloc(count, sizeof *slots);
    if (!slots)
        return false;
    for (uint32_t i = 0; i < t->n; i++) {
        uint32_t at = (uint32_t)t->v[i].hash[0] & (count - 1);
        while (slots[at])
            at = (at + 1) & (count - 1);
        slots[at] = i + 1;
    }
    free(t->slots);
    t->slots = slots;
    t->slot_count = count;
    return true;
}

static bool copy_stream(struct arena *a, const struct op_stream *s,
                        struct op_stream *out)
{
    *out = *s;
    out->name = arena_dup(a, s->name);
    out->model_type = arena_dup(a, s->model_type);
    out->method = arena_dup(a, s->method);
    out->path = arena_dup(a, s->path);
    out->content_type = arena_dup(a, s->content_type);
    out->content_encoding = arena_dup(a, s->content_encoding);
    bool ok = out->name.p && out->model_type.p && out->method.p && out->path.p &&
              out->content_type.p && out->content_encoding.p;
    if (s->header_count == 0) {
        out->headers = NULL;
        return ok;
    }
    struct op_header *h = arena_alloc(a, s->header_count * sizeof *h);
    if (!h)
        return false;
    for (uint32_t i = 0; i < s->header_count; i++) {
        h[i].name = arena_dup(a, s->headers[i].name);
        h[i].value = arena_dup(a, s->headers[i].value);
        ok &= h[i].name.p && h[i].value.p;
    }
    out->headers = h;
    return ok;
}

/* Adds the stream whose entry stands at the end of t->entries, from `at` on. */
static int add_stream(struct trc_streams *t, const struct op_stream *s, size_t at,
                      const uint64_t hash[2], struct err *e)
{
    if (t->n == t->cap) {
        uint32_t cap = t->cap ? 2 * t->cap : 32;
        struct trc_stream *v = realloc(t->v, cap * sizeof *v);
        if (!v)
            return err_set(e, ERR_NOMEM, "out of memory for streams");
        t->v = v;
        t->cap = cap;
    }
    struct trc_stream *n = &t->v[t->n];
    *n = (struct trc_stream){
        .hash = {hash[0], hash[1]}, .at = at, .n = t->entries.n - at};
    if (!copy_stream(&t->arena, s, &n->s))
        return err_set(e, ERR_NOMEM, "out of memory for streams");
    uint32_t slot = (uint32_t)hash[0] & (t->slot_count - 1);
    while (t->slots[slot])
        slot = (slot + 1) & (t->slot_count - 1);
    t->slots[slot] = ++t->n;
    return 0;
}

static int find_slow(struct trc_streams *t, const struct op_stream *s, uint32_t *index,
                     struct err *e)
{
    int rc = check_stream(s, e);
    if (rc < 0)
        return rc;
    if (2 * (t->n + 1) > t->slot_count && !grow_slots(t))
        return err_set(e, ERR_NOMEM, "out of memory for streams");
    size_t at = t->entries.n;
    uint64_t hash[2];
    trc_stream_encode(s, &t->entries);
    rc = buf_check(&t->entries, e);
    if (rc < 0)
        return rc;
    const uint8_t *entry = t->entries.p + at;
    size_t n = t->entries.n - at;
    trc_xxh128(entry, n, hash);
    for (uint32_t slot = (uint32_t)hash[0] & (t->slot_count - 1); t->slots[slot];
         slot = (slot + 1) & (t->slot_count - 1)) {
        const struct trc_stream *old = &t->v[t->slots[slot] - 1];
        if (old->hash[0] == hash[0] && old->hash[1] == hash[1] && old->n == n &&
            memcmp(t->entries.p + old->at, entry, n) == 0) {
            t->entries.n = at;
            *index = t->slots[slot] - 1;
            return 0;
        }
    }
    if (t->n == TRC_STREAMS_MAX) {
        t->entries.n = at;
        return err_set(e, ERR_LIMIT, "more than %u streams in a block",
                       TRC_STREAMS_MAX);
    }
    rc = add_stream(t, s, at, hash, e);
    if (rc == 0)
        *index = t->n - 1;
    return rc;
}

/* The first and the last bytes, at most four. */
static uint64_t ends_of(struct span s)
{
    uint32_t first = 0, last = 0;
    if (s.n < sizeof first) {
        for (size_t i = 0; i < s.n; i++)
            first = first << 8 | s.p[i];
        return first;
    }
    memcpy(&first, s.p, sizeof first);
    memcpy(&last, s.p + (s.n - sizeof last), sizeof last);
    return (uint64_t)first << 32 | last;
}

/* A place in the cache by what tells most streams apart. */
static unsigned glance(const struct op_stream *s)
{
    const uint64_t odd = UINT64_C(0x9e3779b97f4a7c15);
    uint64_t v = (unsigned)s->protocol | (unsigned)s->tier << 4;
    v = (v ^ ends_of(s->name) ^ s->name.n << 8) * odd;
    v = (v ^ v >> 32 ^ ends_of(s->path) ^ s->path.n << 8) * odd;
    if (s->header_count > 0)
        v = (v ^ v >> 32 ^ ends_of(s->headers[s->header_count - 1].value)) * odd;
    return (unsigned)(v >> 32) % TRC_STREAM_CACHE;
}

int trc_streams_find(struct trc_streams *t, const struct op_stream *s, uint32_t *index,
                     struct err *e)
{
    uint32_t *cached = &t->cache[glance(s)];
    if (*cached && op_stream_equal(&t->v[*cached - 1].s, s)) {
        *index = *cached - 1;
        return 0;
    }
    int rc = find_slow(t, s, index, e);
    if (rc == 0)
        *cached = *index + 1;
    return rc;
}

void trc_streams_put(const struct trc_streams *t, struct trc_group_out *g)
{
    buf_reset(&g->scratch);
    buf_varint(&g->scratch, t->n);
    for (uint32_t i = 0; i < t->n; i++) {
        buf_varint(&g->scratch, t->v[i].n);
        buf_add(&g->scratch, t->entries.p + t->v[i].at, t->v[i].n);
    }
    if (g->scratch.failed)
        g->raw.failed = true;
    trc_put_bytes(g, TRC_COL_STREAM_TABLE, true, buf_view(&g->scratch));
}

static struct span take_string(struct cursor *c)
{
    uint64_t n = cursor_varint(c);
    if (n > TRC_STRING_MAX) {
        c->bad = true;
        return (struct span){0};
    }
    return cursor_take(c, (size_t)n);
}

static bool decode_headers(struct cursor *c, struct arena *a, struct op_stream *s)
{
    uint64_t n = cursor_varint(c);
    if (c->bad || n > TRC_HEADERS_MAX || n > cursor_left(c) / 2)
        return false;
    s->header_count = (uint32_t)n;
    if (n == 0)
        return true;
    struct op_header *h = arena_alloc(a, n * sizeof *h);
    if (!h)
        return false;
    size_t bytes = 0;
    for (uint32_t i = 0; i < n; i++) {
        h[i].name = take_string(c);
        h[i].value = take_string(c);
        bytes += h[i].name.n + h[i].value.n;
    }
    s->headers = h;
    return bytes <= TRC_HEADERS_BYTES;
}

static bool decode_stream(struct span entry, struct arena *a, struct op_stream *s)
{
    struct cursor c = cursor_of(entry);
    uint64_t protocol = cursor_varint(&c), tier = cursor_varint(&c),
             resource = cursor_varint(&c);
    if (protocol >= OP_PROTOCOL_COUNT || tier >= OP_TIER_COUNT ||
        resource >= OP_RESOURCE_COUNT)
        return false;
    *s = (struct op_stream){.protocol = (enum op_protocol)protocol,
                            .tier = (enum op_tier)tier,
                            .resource = (enum op_resource)resource};
    s->name = take_string(&c);
    s->model_type = take_string(&c);
    s->method = take_string(&c);
    s->path = take_string(&c);
    s->content_type = take_string(&c);
    s->content_encoding = take_string(&c);
    return decode_headers(&c, a, s) && !c.bad;
}

int trc_streams_decode(const struct trc_group *g, struct arena *a,
                       const struct op_stream **v, uint32_t *n, struct err *e)
{
    struct span content;
    if (!trc_group_find(g, TRC_COL_STREAM_TABLE, &content))
        return trc_column_error(g, TRC_COL_STREAM_TABLE, "the stream table is absent",
                                e);
    struct cursor c = cursor_of(content);
    uint64_t count = cursor_varint(&c);
    /* An entry is 11 bytes at least, so this also bounds what is allocated. */
    if (c.bad || count > TRC_STREAMS_MAX || count > cursor_left(&c) / 11)
        return trc_column_error(g, TRC_COL_STREAM_TABLE, "impossible count of streams",
                                e);
    struct op_stream *s = arena_alloc(a, (count ? count : 1) * sizeof *s);
    if (!s)
        return err_set(e, ERR_NOMEM, "out of memory for %u streams", (unsigned)count);
    for (uint64_t i = 0; i < count; i++) {
        uint64_t bytes = cursor_varint(&c);
        if (bytes > cursor_left(&c))
            c.bad = true;
        if (c.bad || !decode_stream(cursor_take(&c, (size_t)bytes), a, &s[i]))
            return trc_column_error(g, TRC_COL_STREAM_TABLE, "malformed stream", e);
    }
    if (cursor_left(&c) > 0)
        return trc_column_error(g, TRC_COL_STREAM_TABLE, "bytes left over", e);
    *v = s;
    *n = (uint32_t)count;
    return 0;
}

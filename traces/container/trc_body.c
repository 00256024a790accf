/*
 * trc_body.c - see trc_body.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/container/trc_body.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "traces/container/trc_hash.h"
#include "traces/container/trc_plain.h"

#define SEEN_MAX (512u * 1024) /* bodies that one half of the memory remembers */

void trc_blob_memory_done(struct trc_blob_memory *m)
{
    free(m->young.v);
    free(m->old.v);
    free(m->lengths);
    buf_done(&m->pending);
    *m = (struct trc_blob_memory){0};
}

static struct trc_blob_seen *seen_slot(const struct trc_blob_half *h,
                                       const uint64_t hash[2], uint64_t bytes)
{
    size_t at = (size_t)hash[0] & (h->slots - 1);
    while (h->v[at].bytes != 0 &&
           (h->v[at].hash[0] != hash[0] || h->v[at].hash[1] != hash[1] ||
            h->v[at].bytes != bytes))
        at = (at + 1) & (h->slots - 1);
    return &h->v[at];
}

static bool seen_grow(struct trc_blob_half *h)
{
    struct trc_blob_half wide = {.slots = h->slots ? 2 * h->slots : 64, .n = h->n};
    wide.v = calloc(wide.slots, sizeof *wide.v);
    if (!wide.v)
        return false;
    for (size_t i = 0; i < h->slots; i++)
        if (h->v[i].bytes)
            *seen_slot(&wide, h->v[i].hash, h->v[i].bytes) = h->v[i];
    free(h->v);
    *h = wide;
    return true;
}

/* The memory of a body, made (bytes 0) when there is none; NULL when out of memory. */
static struct trc_blob_seen *recall(struct trc_blob_memory *m, const uint64_t hash[2],
                                    uint64_t bytes)
{
    if (m->young.n == SEEN_MAX) {
        free(m->old.v);
        m->old = m->young;
        m->young = (struct trc_blob_half){0};
    }
    if (2 * (m->young.n + 1) > m->young.slots && !seen_grow(&m->young))
        return NULL;
    struct trc_blob_seen *s = seen_slot(&m->young, hash, bytes);
    if (s->bytes == 0 && m->old.slots) {
        const struct trc_blob_seen *o = seen_slot(&m->old, hash, bytes);
        if (o->bytes) {
            *s = *o;
            m->young.n++;
        }
    }
    return s;
}

/* Queues data as blobs for a BLOBS block in front of the block in the making. */
static int add_blobs(struct trc_blob_memory *m, struct span data,
                     struct trc_blob_seen *s, struct err *e)
{
    size_t fragments = (data.n + TRC_BLOB_MAX - 1) / TRC_BLOB_MAX;
    if (m->pending_count + fragments > m->lengths_cap) {
        size_t cap = 2 * (m->lengths_cap + fragments);
        int64_t *lengths = realloc(m->lengths, cap * sizeof *lengths);
        if (!lengths)
            return err_set(e, ERR_NOMEM, "out of memory for blobs");
        m->lengths = lengths;
        m->lengths_cap = cap;
    }
    buf_span(&m->pending, data);
    int rc = buf_check(&m->pending, e);
    if (rc < 0)
        return rc;
    s->stored = true;
    s->first = m->count;
    s->fragments = (uint32_t)fragments;
    for (size_t at = 0; at < data.n; at += TRC_BLOB_MAX) {
        size_t n = data.n - at < TRC_BLOB_MAX ? data.n - at : TRC_BLOB_MAX;
        m->lengths[m->pending_count++] = (int64_t)n;
        m->count++;
    }
    m->bytes += data.n;
    s->end = m->bytes;
    return 0;
}

/* Writes data as blobs, each in a block of its own. */
static int write_plain(struct trc_blob_memory *m, struct span data,
                       struct trc_blob_seen *s, struct err *e)
{
    s->stored = true;
    s->first = m->count;
    s->fragments = 0;
    for (size_t at = 0; at < data.n; at += TRC_BLOB_MAX) {
        int rc = m->write_plain(m->arg, span_sub(data, at, at + TRC_BLOB_MAX), e);
        if (rc < 0)
            return rc;
        m->count++;
        s->fragments++;
    }
    m->bytes += data.n;
    s->end = m->bytes;
    return 0;
}

/* Decides where a large body that is new to its block goes: inline at first sight,
 * blobs from the second on; or blobs at once, where it is to be written plain. */
static int place_large(struct trc_blob_memory *m, uint32_t block, struct span data,
                       struct trc_body *n, struct err *e)
{
    struct trc_blob_seen *s = recall(m, n->hash, n->bytes);
    if (!s)
        return err_set(e, ERR_NOMEM, "out of memory for blobs");
    bool known = s->bytes != 0;
    if (!known) {
        m->young.n++;
        *s = (struct trc_blob_seen){
            .hash = {n->hash[0], n->hash[1]}, .bytes = n->bytes, .block = block};
    }
    bool in_reach = s->stored && m->bytes - s->end <= TRC_BLOB_REACH;
    bool again = known && (s->stored || s->block != block);
    if (!in_reach && m->plain_from && n->bytes >= m->plain_from &&
        (m->plain_all || !trc_plain_repeats(data))) {
        int rc = write_plain(m, data, s, e);
        if (rc < 0)
            return rc;
        in_reach = true;
    }
    if (!in_reach && (again || n->bytes > TRC_BLOB_MAX)) {
        int rc = add_blobs(m, data, s, e);
        if (rc < 0)
            return rc;
        in_reach = true;
    }
    if (in_reach) {
        n->form = TRC_BODY_BLOB;
        n->first = s->first;
        n->fragments = s->fragments;
    }
    return 0;
}

void trc_bodies_reset(struct trc_bodies *t)
{
    t->n = 0;
    buf_reset(&t->bytes);
    if (t->slots)
        memset(t->slots, 0, t->slot_count * sizeof *t->slots);
}

void trc_bodies_done(struct trc_bodies *t)
{
    free(t->v);
    free(t->slots);
    free(t->order);
    buf_done(&t->bytes);
    *t = (struct trc_bodies){0};
}

static bool grow_slots(struct trc_bodies *t)
{
    size_t count = t->slot_count ? 2 * t->slot_count : 64;
    uint32_t *slots = calloc(count, sizeof *slots);
    if (!slots)
        return false;
    for (size_t i = 0; i < t->n; i++) {
        size_t at = (size_t)t->v[i].hash[0] & (count - 1);
        while (slots[at])
            at = (at + 1) & (count - 1);
        slots[at] = (uint32_t)i + 1;
    }
    free(t->slots);
    t->slots = slots;
    t->slot_count = count;
    return true;
}

/* The slot of a body of that hash, length and kind (elided or not), or the empty slot
 * for it. */
static size_t find_slot(const struct trc_bodies *t, const uint64_t hash[2],
                        uint64_t bytes, bool elided)
{
    size_t at = (size_t)hash[0] & (t->slot_count - 1);
    for (; t->slots[at]; at = (at + 1) & (t->slot_count - 1)) {
        const struct trc_body *v = &t->v[t->slots[at] - 1];
        if (v->hash[0] == hash[0] && v->hash[1] == hash[1] && v->bytes == bytes &&
            (v->form == TRC_BODY_ELIDED) == elided)
            break;
    }
    return at;
}

static bool same_inline(const struct trc_bodies *t, size_t slot, struct span data)
{
    const struct trc_body *v = t->slots[slot] ? &t->v[t->slots[slot] - 1] : NULL;
    return v && v->form == TRC_BODY_INLINE &&
           (data.n == 0 || memcmp(t->bytes.p + v->at, data.p, data.n) == 0);
}

static int add_new(struct trc_bodies *t, struct trc_blob_memory *m, uint32_t block,
                   size_t slot, struct trc_body n, struct span data, struct err *e)
{
    if (n.form == TRC_BODY_INLINE && n.bytes >= TRC_BLOB_FROM) {
        int rc = place_large(m, block, data, &n, e);
        if (rc < 0)
            return rc;
    }
    if (t->n == t->cap) {
        size_t cap = t->cap ? 2 * t->cap : 64;
        struct trc_body *v = realloc(t->v, cap * sizeof *v);
        if (!v)
            return err_set(e, ERR_NOMEM, "out of memory for bodies");
        t->v = v;
        t->cap = cap;
    }
    if (n.form == TRC_BODY_INLINE) {
        n.at = t->bytes.n;
        buf_span(&t->bytes, data);
        int rc = buf_check(&t->bytes, e);
        if (rc < 0)
            return rc;
    }
    t->v[t->n++] = n;
    t->slots[slot] = (uint32_t)t->n;
    return 0;
}

int trc_bodies_add(struct trc_bodies *t, struct trc_blob_memory *m, uint32_t block,
                   const struct op_body *b, int64_t *ref, uint64_t hash[2],
                   struct err *e)
{
    *ref = 0;
    hash[0] = hash[1] = 0;
    if (b->state == OP_BODY_NONE)
        return 0;
    bool elided = b->state == OP_BODY_ELIDED;
    if (!elided && b->bytes != b->data.n)
        return err_set(e, ERR_USAGE, "body of %zu bytes that claims to have %" PRIu64,
                       b->data.n, b->bytes);
    if (!elided && b->bytes > TRC_BODY_MAX)
        return err_set(e, ERR_LIMIT, "body of %" PRIu64 " bytes, limit %u", b->bytes,
                       TRC_BODY_MAX);
    if (b->bytes > (uint64_t)INT64_MAX >> 4)
        return err_set(e, ERR_LIMIT, "body of %" PRIu64 " bytes", b->bytes);
    if (2 * (t->n + 1) > t->slot_count && !grow_slots(t))
        return err_set(e, ERR_NOMEM, "out of memory for bodies");
    hash[0] = b->hash[0];
    hash[1] = b->hash[1];
    size_t slot = find_slot(t, hash, b->bytes, elided);
    /* The hash that came along is believed when equal bytes confirm it, else made anew.
     */
    if (!elided && !m->trusted && !same_inline(t, slot, b->data)) {
        trc_xxh128(b->data.p, b->data.n, hash);
        slot = find_slot(t, hash, b->bytes, elided);
    }
    if (t->slots[slot]) {
        *ref = t->slots[slot];
        return 0;
    }
    struct trc_body n = {.form = elided ? TRC_BODY_ELIDED : TRC_BODY_INLINE,
                         .bytes = b->bytes,
                         .hash = {hash[0], hash[1]}};
    *ref = (int64_t)t->n + 1;
    return add_new(t, m, block, slot, n, b->data, e);
}

int trc_bodies_codes(struct trc_bodies *t, const int64_t *refs, size_t n,
                     int64_t *codes, struct err *e)
{
    uint32_t *rank = calloc(t->n + 1, sizeof *rank); /* place in the new order + 1 */
    free(t->order);
    t->order = malloc((t->n + 1) * sizeof *t->order);
    t->used = 0;
    if (!rank || !t->order) {
        free(rank);
        return err_set(e, ERR_NOMEM, "out of memory for bodies");
    }
    for (size_t i = 0; i < n; i++) {
        size_t ref = (size_t)refs[i];
        if (ref == 0) {
            codes[i] = 0;
        } else if (rank[ref - 1] == 0) {
            t->order[t->used++] = (uint32_t)ref - 1;
            rank[ref - 1] = (uint32_t)t->used;
            codes[i] = 1;
        } else {
            codes[i] = (int64_t)(t->used - (rank[ref - 1] - 1)) + 1;
        }
    }
    free(rank);
    return 0;
}

/* The inline bytes in the order of the table. */
static void put_inline(const struct trc_bodies *t, unsigned id, struct trc_group_out *g)
{
    struct buf joined = {0};
    size_t expected = 0;
    bool in_order = true;
    for (size_t i = 0; i < t->used; i++) {
        const struct trc_body *v = &t->v[t->order[i]];
        if (v->form != TRC_BODY_INLINE)
            continue;
        in_order &= v->at == expected;
        expected = v->at + (size_t)v->bytes;
    }
    in_order &= expected == t->bytes.n;
    for (size_t i = 0; !in_order && i < t->used; i++) {
        const struct trc_body *v = &t->v[t->order[i]];
        if (v->form == TRC_BODY_INLINE)
            buf_add(&joined, t->bytes.p + v->at, (size_t)v->bytes);
    }
    struct span bytes = buf_view(in_order ? &t->bytes : &joined);
    if (bytes.n)
        trc_put_bytes(g, id, true, bytes);
    g->raw.failed |= joined.failed || t->bytes.failed;
    buf_done(&joined);
}

void trc_bodies_put(const struct trc_bodies *t, unsigned first_id,
                    struct trc_group_out *g)
{
    if (t->used == 0)
        return;
    struct buf prefix = {0}, details = {0};
    int64_t *forms = malloc(t->used * sizeof *forms);
    if (!forms) {
        g->raw.failed = true;
        return;
    }
    for (size_t i = 0; i < t->used; i++) {
        const struct trc_body *v = &t->v[t->order[i]];
        forms[i] = (int64_t)(v->bytes * 8 + v->form);
        if (v->form == TRC_BODY_BLOB) {
            buf_varint(&details, v->first);
            buf_varint(&details, v->fragments);
        }
        if (v->form != TRC_BODY_INLINE) {
            buf_u64(&details, v->hash[0]);
            buf_u64(&details, v->hash[1]);
        }
    }
    buf_varint(&prefix, t->used);
    g->raw.failed |= prefix.failed || details.failed;
    trc_put_prefixed(g, first_id, true, buf_view(&prefix), forms, t->used);
    if (details.n)
        trc_put_bytes(g, first_id + 1, true, buf_view(&details));
    put_inline(t, first_id + 2, g);
    free(forms);
    buf_done(&prefix);
    buf_done(&details);
}

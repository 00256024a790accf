/*
 * trc_blobs.c - see trc_blobs.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/container/trc_blobs.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "traces/container/trc_hash.h"

struct trc_blob_block *trc_blob_block_hold(struct trc_blob_block *b)
{
    atomic_fetch_add_explicit(&b->count, 1, memory_order_relaxed);
    return b;
}

void trc_blob_block_drop(struct trc_blob_block *b)
{
    if (!b || atomic_fetch_sub_explicit(&b->count, 1, memory_order_acq_rel) != 1)
        return;
    free(b->raw);
    free(b->hashes);
    free(b->blobs);
    free(b);
}

static int decode(struct trc_blob_block *b, const struct trc_head *head, uint64_t at,
                  struct err *e)
{
    static const uint8_t known[] = {TRC_COL_BLOB_BYTES, TRC_COL_BLOBS, 0};
    char block[48];
    snprintf(block, sizeof block, "BLOBS block %" PRIu32, head->ordinal);
    struct trc_group g = {
        .block = block, .name = trc_group_names[TRC_PAYLOAD], .at = at};
    int rc = trc_group_parse(&g, span_of(b->raw, head->raw[TRC_PAYLOAD]), known, e);
    if (rc < 0)
        return rc;
    struct span content;
    trc_group_find(&g, TRC_COL_BLOBS, &content);
    if (head->records > content.n) /* a blob is not empty */
        return trc_column_error(&g, TRC_COL_BLOBS, "fewer bytes than blobs", e);
    b->blobs = calloc(head->records ? head->records : 1, sizeof *b->blobs);
    b->hashes = calloc(head->records ? head->records : 1, sizeof *b->hashes);
    int64_t *lengths = calloc(head->records ? head->records : 1, sizeof *lengths);
    if (!b->blobs || !b->hashes || !lengths) {
        free(lengths);
        return err_set(e, ERR_NOMEM, "out of memory for blobs");
    }
    rc = trc_ints_all(&g, TRC_COL_BLOB_BYTES, 0, lengths, head->records, e);
    struct cursor c = cursor_of(content);
    for (uint32_t i = 0; rc == 0 && i < head->records; i++) {
        if (lengths[i] < 1 || lengths[i] > TRC_BLOB_MAX)
            rc = trc_column_error(&g, TRC_COL_BLOB_BYTES, "impossible length of a blob",
                                  e);
        else
            b->blobs[i] = cursor_take(&c, (size_t)lengths[i]);
    }
    free(lengths);
    if (rc == 0 && (c.bad || cursor_left(&c) > 0))
        rc = trc_column_error(&g, TRC_COL_BLOBS, "lengths and bytes disagree", e);
    for (uint32_t i = 0; rc == 0 && i < head->records; i++)
        trc_xxh128(b->blobs[i].p, b->blobs[i].n, b->hashes[i]);
    b->n = head->records;
    b->bytes = content.n;
    return rc;
}

int trc_blob_block_new(struct trc_blob_block **out, const struct trc_head *head,
                       uint64_t at, uint8_t *raw, struct err *e)
{
    struct trc_blob_block *b = calloc(1, sizeof *b);
    if (!b) {
        free(raw);
        return err_set(e, ERR_NOMEM, "out of memory for blobs");
    }
    atomic_init(&b->count, 1);
    b->first = head->first_index;
    b->raw = raw;
    int rc = decode(b, head, at, e);
    if (rc < 0) {
        trc_blob_block_drop(b);
        return rc;
    }
    *out = b;
    return 0;
}

void trc_blob_cache_done(struct trc_blob_cache *c)
{
    for (size_t i = 0; i < c->n; i++)
        trc_blob_block_drop(c->v[i].loaded);
    free(c->v);
    *c = (struct trc_blob_cache){0};
}

/* Index of the first place whose `first` is above blob. */
static size_t place_above(const struct trc_blob_cache *c, uint64_t blob)
{
    size_t low = 0, high = c->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (c->v[mid].first <= blob)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

int trc_blob_cache_add(struct trc_blob_cache *c, uint64_t first, uint32_t n,
                       uint64_t offset, struct err *e)
{
    size_t at = place_above(c, first);
    if (at > 0 && c->v[at - 1].first == first)
        return 0;
    if (c->n == c->cap) {
        size_t cap = c->cap ? 2 * c->cap : 16;
        struct trc_blob_place *v = realloc(c->v, cap * sizeof *v);
        if (!v)
            return err_set(e, ERR_NOMEM, "out of memory for the places of blobs");
        c->v = v;
        c->cap = cap;
    }
    memmove(c->v + at + 1, c->v + at, (c->n - at) * sizeof *c->v);
    c->v[at] = (struct trc_blob_place){.first = first, .n = n, .offset = offset};
    c->n++;
    return 0;
}

struct trc_blob_place *trc_blob_cache_find(struct trc_blob_cache *c, uint64_t blob)
{
    size_t at = place_above(c, blob);
    if (at == 0 || blob - c->v[at - 1].first >= c->v[at - 1].n)
        return NULL;
    c->v[at - 1].used = ++c->tick;
    return &c->v[at - 1];
}

static void unload(struct trc_blob_cache *c, struct trc_blob_place *p)
{
    c->bytes -= p->loaded->bytes;
    trc_blob_block_drop(p->loaded);
    p->loaded = NULL;
}

void trc_blob_cache_put(struct trc_blob_cache *c, struct trc_blob_place *p,
                        struct trc_blob_block *b)
{
    if (p->loaded)
        unload(c, p);
    p->loaded = b;
    p->lost = false;
    p->used = ++c->tick;
    c->bytes += b->bytes;
}

void trc_blob_cache_trim(struct trc_blob_cache *c, uint64_t bytes,
                         const struct trc_blob_place *keep)
{
    while (c->bytes > bytes) {
        struct trc_blob_place *oldest = NULL;
        for (size_t i = 0; i < c->n; i++)
            if (c->v[i].loaded && &c->v[i] != keep &&
                (!oldest || c->v[i].used < oldest->used))
                oldest = &c->v[i];
        if (!oldest)
            return;
        unload(c, oldest);
    }
}

void trc_blob_cache_slide(struct trc_blob_cache *c, uint64_t window)
{
    uint64_t behind = 0;
    for (size_t i = c->n; i-- > 0;) {
        if (!c->v[i].loaded)
            continue;
        uint64_t bytes = c->v[i].loaded->bytes;
        if (behind > window)
            unload(c, &c->v[i]);
        behind += bytes;
    }
}

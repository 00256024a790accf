/*
 * trc_blobs.h - blobs as a reader keeps them: a bounded cache of BLOBS blocks.
 *
 * A trc_blob_block is counted: the cache holds one count, each block of operations that
 * uses it another, so that it may go from the cache while it is in use. Counting is
 * thread-safe; the cache belongs to its reader.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_CONTAINER_TRC_BLOBS_H
#define TRACES_CONTAINER_TRC_BLOBS_H

#include <stdatomic.h>

#include "traces/container/trc_column.h"

struct trc_blob_block {
    atomic_uint count;
    uint64_t first; /* number of its first blob */
    uint32_t n;
    uint64_t bytes;        /* of all its blobs */
    struct span *blobs;    /* into raw */
    uint64_t (*hashes)[2]; /* of each blob, computed when the block is made */
    uint8_t *raw;          /* owned */
};
/* Takes raw over (frees it on failure). ERR_FORMAT, ERR_NOMEM. */
int trc_blob_block_new(struct trc_blob_block **out, const struct trc_head *head,
                       uint64_t at, uint8_t *raw, struct err *e) MUST_USE;
struct trc_blob_block *trc_blob_block_hold(struct trc_blob_block *b);
void trc_blob_block_drop(struct trc_blob_block *b); /* NULL is fine; any thread */

/* A BLOBS block of the file, whether it is loaded or not. */
struct trc_blob_place {
    uint64_t first, offset; /* number of its first blob; of the block in the file */
    uint64_t used;          /* tick of the last use */
    uint32_t n;
    bool lost;
    struct trc_blob_block *loaded; /* counted, or NULL */
};
struct trc_blob_cache {
    struct trc_blob_place *v; /* ascending by first */
    size_t n, cap;
    uint64_t tick, bytes; /* bytes: loaded */
};
void trc_blob_cache_done(struct trc_blob_cache *c);
/* Notes a place, unless it is known. */
int trc_blob_cache_add(struct trc_blob_cache *c, uint64_t first, uint32_t n,
                       uint64_t offset, struct err *e) MUST_USE;
/* The place that holds blob number `blob`, or NULL. */
struct trc_blob_place *trc_blob_cache_find(struct trc_blob_cache *c, uint64_t blob);
/* Takes one count of b over into its place. */
void trc_blob_cache_put(struct trc_blob_cache *c, struct trc_blob_place *p,
                        struct trc_blob_block *b);
/* Drops the least recently used down to `bytes` loaded, never `keep`. */
void trc_blob_cache_trim(struct trc_blob_cache *c, uint64_t bytes,
                         const struct trc_blob_place *keep);
/* Drops those that ended more than `window` blob bytes ago: for pipes, in order of
 * place. */
void trc_blob_cache_slide(struct trc_blob_cache *c, uint64_t window);

#endif

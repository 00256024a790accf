/*
 * batch.c - see batch.h.
 *
 * Returned batches are a stack that any thread pushes on; the taker takes the whole of
 * it at once, so that no pop can meet a push of the same batch.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replay/batch.h"

#include <assert.h>
#include <stdlib.h>

/* An arena that grew beyond this (large bodies under other names) is not kept. */
#define KEPT_ARENA_MAX ((size_t)8 << 20)

struct rep_block *rep_block_share(struct trc_block *block, struct err *e)
{
    struct rep_block *b = calloc(1, sizeof *b);
    if (b)
        b->streams =
            calloc(block->stream_count ? block->stream_count : 1, sizeof *b->streams);
    if (!b || !b->streams) {
        free(b);
        trc_block_free(block);
        err_set(e, ERR_NOMEM, "out of memory for a block of the trace");
        return NULL;
    }
    atomic_init(&b->shares, 1);
    b->block = block;
    return b;
}

void rep_block_drop(struct rep_block *b)
{
    if (atomic_fetch_sub(&b->shares, 1) != 1)
        return;
    trc_block_free(b->block);
    arena_done(&b->arena);
    free(b->streams);
    free(b);
}

static struct rep_batch *batch_new(struct rep_batch_pool *p, struct err *e)
{
    struct rep_batch *b = calloc(1, sizeof *b);
    if (b)
        b->requests = malloc(REP_SLICE * sizeof *b->requests);
    if (!b || !b->requests) {
        free(b);
        err_set(e, ERR_NOMEM, "out of memory for %u requests", REP_SLICE);
        return NULL;
    }
    b->pool = p;
    return b;
}

static void batch_free(struct rep_batch *b)
{
    arena_done(&b->arena);
    free(b->requests);
    free(b);
}

struct rep_batch *rep_batch_take(struct rep_batch_pool *p, struct rep_block *block,
                                 struct err *e)
{
    if (!p->spare)
        p->spare = atomic_exchange_explicit(&p->returned, NULL, memory_order_acquire);
    struct rep_batch *b = p->spare;
    if (b)
        p->spare = b->next;
    else
        b = batch_new(p, e);
    if (!b)
        return NULL;
    b->next = NULL;
    b->bytes = 0;
    b->block = block;
    atomic_fetch_add(&block->shares, 1);
    return b;
}

/* Back into the pool. */
static void batch_return(struct rep_batch *b)
{
    struct rep_batch_pool *p = b->pool;

    rep_block_drop(b->block);
    b->block = NULL;
    atomic_fetch_sub(&p->bytes_in_use, b->bytes);
    if (b->arena.total > KEPT_ARENA_MAX)
        arena_done(&b->arena);
    else
        arena_reset(&b->arena);
    b->next = atomic_load_explicit(&p->returned, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(
        &p->returned, &b->next, b, memory_order_release, memory_order_relaxed))
        ;
}

bool rep_batch_filled(struct rep_batch *b, uint32_t count, size_t bytes)
{
    b->bytes = bytes;
    atomic_fetch_add(&b->pool->bytes_in_use, bytes);
    atomic_store(&b->left, count);
    if (count == 0)
        batch_return(b);
    return count > 0;
}

void rep_request_release(struct rep_request *r)
{
    struct rep_batch *b = r->batch;
    buf_done(&r->answer);
    buf_done(&r->encoded);
    free(r->messages);
    if (atomic_fetch_sub(&b->left, 1) == 1)
        batch_return(b);
}

void rep_batch_pool_done(struct rep_batch_pool *p)
{
    assert(atomic_load(&p->bytes_in_use) == 0);
    struct rep_batch *lists[] = {p->spare, atomic_load(&p->returned)};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        for (struct rep_batch *b = lists[i], *next; b; b = next) {
            next = b->next;
            batch_free(b);
        }
    *p = (struct rep_batch_pool){0};
}

/*
 * pool.c - see pool.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "capture/pool.h"

#include <stdlib.h>

struct cap_pool_block {
    struct cap_pool_block *next;
};

/* CAP_POOL_SIZES: too large for any. */
static size_t size_of(size_t n)
{
    size_t i = (n - 1) / CAP_POOL_STEP;
    return i < CAP_POOL_SIZES ? i : CAP_POOL_SIZES;
}

void cap_pool_done(struct cap_pool *p)
{
    for (size_t i = 0; i < CAP_POOL_SIZES; i++)
        while (p->rest[i]) {
            struct cap_pool_block *b = p->rest[i];
            p->rest[i] = b->next;
            free(b);
        }
    *p = (struct cap_pool){0};
}

void *cap_pool_take(struct cap_pool *p, size_t n)
{
    size_t i = size_of(n);
    if (i == CAP_POOL_SIZES)
        return malloc(n);
    struct cap_pool_block *b = p->rest[i];
    if (!b)
        return malloc((i + 1) * CAP_POOL_STEP);
    p->rest[i] = b->next;
    p->count[i]--;
    return b;
}

void cap_pool_give(struct cap_pool *p, void *block, size_t n)
{
    size_t i = size_of(n);
    if (!block || i == CAP_POOL_SIZES || p->count[i] == CAP_POOL_REST) {
        free(block);
        return;
    }
    struct cap_pool_block *b = block;
    b->next = p->rest[i];
    p->rest[i] = b;
    p->count[i]++;
}

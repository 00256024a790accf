/*
 * pool.h - small blocks of memory, the latest given back first.
 *
 * What is held for long is cold when it is let go, and has just been read; a block that
 * is taken soon after is warm, where malloc would go round through all of the memory
 * that it has. Blocks come in a few sizes; larger ones, and more than a few at rest,
 * are malloc's. A zeroed struct is a valid start. One thread at a time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CAPTURE_POOL_H
#define CAPTURE_POOL_H

#include <stddef.h>
#include <stdint.h>

#define CAP_POOL_STEP  128u /* bytes between one size and the next */
#define CAP_POOL_SIZES 8u
#define CAP_POOL_REST  128u /* blocks of each size that are kept: 2.2 MB in all */

struct cap_pool {
    struct cap_pool_block *rest[CAP_POOL_SIZES];
    uint32_t count[CAP_POOL_SIZES];
};

void cap_pool_done(struct cap_pool *p); /* what was not given back is malloc's */

/* At least n bytes (n > 0), not zeroed; NULL: out of memory. */
void *cap_pool_take(struct cap_pool *p, size_t n);
/* n as it was taken; NULL is fine. */
void cap_pool_give(struct cap_pool *p, void *block, size_t n);

#endif

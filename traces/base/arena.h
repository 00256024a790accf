/*
 * arena.h - memory that is given back all at once.
 *
 * A zeroed arena is a valid empty one. Allocations are aligned for any type, live until
 * arena_reset or arena_done, and are never freed alone. One thread at a time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_BASE_ARENA_H
#define TRACES_BASE_ARENA_H

#include "traces/base/span.h"

struct arena_chunk;
struct arena {
    struct arena_chunk *head; /* newest chunk */
    size_t used, total;       /* bytes handed out; bytes held */
};

void *arena_alloc(struct arena *a, size_t n);  /* uninitialized; NULL: out of memory */
void *arena_zalloc(struct arena *a, size_t n); /* zeroed; NULL: out of memory */
/* A copy, NUL-terminated behind its end; {NULL, 0} when out of memory. */
struct span arena_dup(struct arena *a, struct span s);
char *arena_str(struct arena *a, const char *text);
void arena_reset(struct arena *a); /* keeps the largest chunk */
void arena_done(struct arena *a);

#endif

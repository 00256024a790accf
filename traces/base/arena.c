/*
 * arena.c - see arena.h.
 *
 * Chunks double, so that the largest holds at least half of everything: an arena that
 * is reset after similar rounds of work stops calling malloc after the second or third.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/base/arena.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_FIRST 4096 /* bytes of the first chunk */

struct arena_chunk {
    struct arena_chunk *next; /* older */
    size_t size, used;        /* of bytes */
    alignas(max_align_t) uint8_t bytes[];
};

static struct arena_chunk *add_chunk(struct arena *a, size_t n)
{
    size_t size = a->head ? a->head->size * 2 : ARENA_FIRST;
    if (size < n)
        size = n;
    struct arena_chunk *c = malloc(sizeof(*c) + size);
    if (!c)
        return NULL;
    c->next = a->head;
    c->size = size;
    c->used = 0;
    a->head = c;
    a->total += size;
    return c;
}

void *arena_alloc(struct arena *a, size_t n)
{
    const size_t unit = alignof(max_align_t);
    if (n > SIZE_MAX / 4)
        return NULL;
    n = n ? (n + unit - 1) / unit * unit : unit;
    struct arena_chunk *c = a->head;
    if (!c || n > c->size - c->used)
        c = add_chunk(a, n);
    if (!c)
        return NULL;
    void *p = c->bytes + c->used;
    c->used += n;
    a->used += n;
    return p;
}

void *arena_zalloc(struct arena *a, size_t n)
{
    void *p = arena_alloc(a, n);
    if (p)
        memset(p, 0, n);
    return p;
}

struct span arena_dup(struct arena *a, struct span s)
{
    if (s.n == SIZE_MAX)
        return (struct span){0};
    uint8_t *p = arena_alloc(a, s.n + 1);
    if (!p)
        return (struct span){0};
    if (s.n)
        memcpy(p, s.p, s.n);
    p[s.n] = 0;
    return span_of(p, s.n);
}

char *arena_str(struct arena *a, const char *text)
{
    size_t n = strlen(text) + 1;
    char *p = arena_alloc(a, n);
    if (p)
        memcpy(p, text, n);
    return p;
}

static void free_chunks(struct arena_chunk *c, const struct arena_chunk *except)
{
    while (c) {
        struct arena_chunk *next = c->next;
        if (c != except)
            free(c);
        c = next;
    }
}

void arena_reset(struct arena *a)
{
    struct arena_chunk *largest = a->head;
    for (struct arena_chunk *c = a->head; c; c = c->next)
        if (c->size > largest->size)
            largest = c;
    free_chunks(a->head, largest);
    *a = (struct arena){0};
    if (largest) {
        largest->next = NULL;
        largest->used = 0;
        a->head = largest;
        a->total = largest->size;
    }
}

void arena_done(struct arena *a)
{
    free_chunks(a->head, NULL);
    *a = (struct arena){0};
}

/*
 * rows.c - see rows.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "analysis/rows.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define HUGE_PAGE ((size_t)2 << 20) /* x86-64, and arm64 with pages of 4 KiB */
#define LINE      64                /* columns begin on the border of a cache line */

/* Behind each column is a line more: those of a piece would else begin at the same
 * place of all pages, and their rows share one set of each cache. */

/* Fresh memory that begins on the border of a huge page. */
static char *map_slab(void)
{
    char *p = mmap(NULL, ANA_SLAB + HUGE_PAGE, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    size_t over = (HUGE_PAGE - (uintptr_t)p % HUGE_PAGE) % HUGE_PAGE;
    if (over > 0)
        munmap(p, over);
    if (over < HUGE_PAGE)
        munmap(p + over + ANA_SLAB, HUGE_PAGE - over);
    (void)!madvise(p + over, ANA_SLAB, MADV_HUGEPAGE); /* as it can */
    return p + over;
}

static bool add_slab(struct ana_slabs *s)
{
    if (s->count == s->cap) {
        size_t cap = s->cap ? 2 * s->cap : 16;
        char **slabs = realloc(s->slabs, cap * sizeof *slabs);
        if (!slabs)
            return false;
        s->slabs = slabs;
        s->cap = cap;
    }
    s->slabs[s->count] = map_slab();
    s->count += s->slabs[s->count] != NULL;
    return s->at < s->count;
}

/* bytes: a multiple of LINE, at most a slab. */
static void *take(struct ana_slabs *s, size_t bytes)
{
    if (s->at < s->count && s->used + bytes > ANA_SLAB) {
        s->at++;
        s->used = 0;
    }
    if (s->at == s->count && !add_slab(s))
        return NULL;
    char *p = s->slabs[s->at] + s->used;
    s->used += bytes;
    return p;
}

void ana_slabs_reset(struct ana_slabs *s)
{
    s->at = s->used = 0;
}

void ana_slabs_done(struct ana_slabs *s)
{
    for (size_t i = 0; i < s->count; i++)
        munmap(s->slabs[i], ANA_SLAB);
    free(s->slabs);
    *s = (struct ana_slabs){0};
}

struct ana_piece *ana_piece_new(struct ana_slabs *s, struct ana_piece *last,
                                bool with_due)
{
    size_t head = (sizeof(struct ana_piece) + LINE - 1) / LINE * LINE;
    size_t cap = last ? 2 * last->cap : ANA_PIECE_LEAST;
    cap = cap > ANA_PIECE_ROWS ? ANA_PIECE_ROWS : cap;
    size_t due = with_due ? cap * sizeof *last->due + LINE : 0,
           narrow = cap * sizeof(uint32_t) + LINE;
    char *at = take(s, head + due + ANA_COL_BACK_PRESSURE * narrow);
    if (!at)
        return NULL;
    struct ana_piece *p = (struct ana_piece *)(void *)at;
    *p = (struct ana_piece){.cap = cap};
    if (with_due)
        p->due = (int64_t *)(void *)(at + head);
    for (int c = 0; c < ANA_COL_BACK_PRESSURE; c++)
        p->narrow[c] = (uint32_t *)(void *)(at + head + due + (size_t)c * narrow);
    if (last)
        last->next = p;
    return p;
}

bool ana_piece_press(struct ana_slabs *s, struct ana_piece *p)
{
    uint32_t **column = &p->narrow[ANA_COL_BACK_PRESSURE];
    *column = take(s, p->cap * sizeof **column);
    if (*column)
        memset(*column, 0, p->n * sizeof **column);
    return *column != NULL;
}

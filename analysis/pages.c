/*
 * pages.c - see pages.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "analysis/pages.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Fresh memory; large arrays begin on the border of a huge page (x86-64, and arm64 with
 * pages of 4 KiB). */
static char *map(size_t bytes)
{
    size_t slack = bytes < ANA_PAGES_HUGE ? 0 : ANA_PAGES_HUGE;
    char *p = mmap(NULL, bytes + slack, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    if (slack == 0)
        return p;
    size_t over = (slack - (uintptr_t)p % slack) % slack;
    if (over > 0)
        munmap(p, over);
    munmap(p + over + bytes, slack - over);
    (void)!madvise(p + over, bytes, MADV_HUGEPAGE); /* as it can */
    return p + over;
}

void *ana_pages_grow(void *p, size_t old_bytes, size_t new_bytes)
{
    if (new_bytes < ANA_PAGES_FROM)
        return realloc(p, new_bytes);
    char *to = map(new_bytes);
    if (!to)
        return NULL;
    if (old_bytes < ANA_PAGES_FROM) {
        if (old_bytes > 0)
            memcpy(to, p, old_bytes);
        free(p);
        return to;
    }
    if (mremap(p, old_bytes, old_bytes, MREMAP_MAYMOVE | MREMAP_FIXED, to) ==
        MAP_FAILED) {
        munmap(to, new_bytes);
        return NULL;
    }
    return to;
}

void ana_pages_free(void *p, size_t bytes)
{
    if (bytes < ANA_PAGES_FROM)
        free(p);
    else
        munmap(p, bytes);
}

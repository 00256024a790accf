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

#define HUGE_PAGE ANA_PAGES_FROM /* of x86-64 and arm64 with pages of 4 KiB */

/* Fresh memory that begins on the border of a huge page. */
static char *map_aligned(size_t bytes)
{
    char *p = mmap(NULL, bytes + HUGE_PAGE, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    size_t over = (HUGE_PAGE - (uintptr_t)p % HUGE_PAGE) % HUGE_PAGE;
    if (over > 0)
        munmap(p, over);
    munmap(p + over + bytes, HUGE_PAGE - over);
    (void)!madvise(p + over, bytes, MADV_HUGEPAGE); /* as it can */
    return p + over;
}

void *ana_pages_grow(void *p, size_t old_bytes, size_t new_bytes)
{
    if (new_bytes < ANA_PAGES_FROM)
        return realloc(p, new_bytes);
    char *to = map_aligned(new_bytes);
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

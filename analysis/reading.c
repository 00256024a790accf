/*
 * reading.c - see reading.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "analysis/reading.h"

#include <sys/stat.h>

void ana_reading_init(struct ana_reading *r, bool quiet)
{
    *r = (struct ana_reading){.operations = 0};
    making_line_init(&r->line, "reading", quiet);
    pthread_mutex_init(&r->lock, NULL);
}

void ana_reading_expect(struct ana_reading *r, const char *const *paths, size_t n)
{
    struct stat st;
    for (size_t i = 0; i < n; i++)
        if (stat(paths[i], &st) == 0 && S_ISREG(st.st_mode))
            r->total_bytes += (uint64_t)st.st_size;
}

void ana_reading_add(struct ana_reading *r, uint64_t operations, uint64_t bytes)
{
    if (!r || !r->line.on)
        return;
    pthread_mutex_lock(&r->lock);
    r->operations += operations;
    r->bytes += bytes;
    making_line_draw(&r->line, r->operations,
                     r->total_bytes ? (double)r->bytes / (double)r->total_bytes : -1);
    pthread_mutex_unlock(&r->lock);
}

void ana_reading_done(struct ana_reading *r)
{
    making_line_clear(&r->line);
    pthread_mutex_destroy(&r->lock);
}

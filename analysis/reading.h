/*
 * reading.h - shows people how far the reading of runs is.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ANALYSIS_READING_H
#define ANALYSIS_READING_H

#include <pthread.h>

#include "traces/synth/making.h"

/* The line on standard error: on a terminal only, and not within the first second. */
struct ana_reading {
    struct making_line line;
    pthread_mutex_t lock; /* of what follows, and of the line */
    uint64_t operations, bytes, total_bytes;
};
/* n more files are to be read; pipes have no size that counts. */
void ana_reading_init(struct ana_reading *r, bool quiet);
void ana_reading_expect(struct ana_reading *r, const char *const *paths, size_t n);
/* So much was read; any thread. r may be NULL. */
void ana_reading_add(struct ana_reading *r, uint64_t operations, uint64_t bytes);
void ana_reading_done(struct ana_reading *r); /* takes the line away */

#endif

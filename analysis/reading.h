/*
 * reading.h - reads several runs side by side, and shows people how far it is.
 *
 * A run is read by one thread; as many are read at once as there are cores, but no more
 * than ANA_READERS_MAX, since the columns of each are in memory while it is read.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ANALYSIS_READING_H
#define ANALYSIS_READING_H

#include <pthread.h>

#include "analysis/scan.h"
#include "analysis/shards.h"
#include "traces/synth/making.h"

#define ANA_READERS_MAX 4

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

/* Scans and judges runs[i] from the files of *groups[i], n of them. Of several errors
 * the one with the least i is told, as if they had been read in turn. runs are to be
 * given to ana_run_done in any case. */
int ana_read_runs(struct ana_run *runs, const struct ana_group *const *groups, size_t n,
                  const struct ana_scan_config *config, struct err *e) MUST_USE;

#endif

/*
 * read_runs.h - reads several runs side by side.
 *
 * A run is read by one thread; as many are read at once as there are cores, but no more
 * than ANA_READERS_MAX, since the columns of each are in memory while it is read.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ANALYSIS_READ_RUNS_H
#define ANALYSIS_READ_RUNS_H

#include "analysis/scan.h"
#include "analysis/shards.h"

#define ANA_READERS_MAX 4

/* Scans and judges runs[i] from the files of *groups[i], n of them. Of several errors
 * the one with the least i is told, as if they had been read in turn. runs are to be
 * given to ana_run_done in any case. */
int ana_read_runs(struct ana_run *runs, const struct ana_group *const *groups, size_t n,
                  const struct ana_scan_config *config, struct err *e) MUST_USE;

#endif

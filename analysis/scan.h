/*
 * scan.h - reads one run file, or the shards of a run, into what is known of it.
 *
 * Columns live during the scan only (16 bytes an operation, 20 where there is
 * back-pressure, and 8 more for charts); what stays is small. Scans into separate runs
 * may go on in several threads.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ANALYSIS_SCAN_H
#define ANALYSIS_SCAN_H

#include "analysis/ana_run.h"

#define ANA_LEAVES_MAX 65536 /* names told apart while reading; beyond, model types */

struct ana_reading; /* reading.h */
struct ana_slabs;   /* rows.h */

struct ana_scan_config {
    int64_t warmup_ns; /* operations due before it are left out, and before the end of
                          the warm-up that the run notes; the longer one counts */
    const uint32_t *p; /* further quantiles, any order */
    size_t p_count;
    bool charts; /* curves and blocks are wanted, too: a third of the work, for HTML */
    struct ana_reading *reading; /* is told how far it is; NULL: nobody is */
    struct ana_slabs *slabs;     /* memory of the scan, for the next one of the same
                                    thread; NULL: it has its own */
};

/* Reads path ("-": standard input). A file that ends early or has damaged blocks is no
 * failure: run->fault and lost_blocks tell it. ERR_FORMAT when it is no run file at
 * all, ERR_IO, ERR_NOMEM, ERR_LIMIT. run is to be given to ana_run_done in any case. */
int ana_scan(struct ana_run *run, const char *path,
             const struct ana_scan_config *config, struct err *e) MUST_USE;
/* The same of n files that are shards of one run, outcomes put together. ERR_USAGE:
 * that is not what they are. */
int ana_scan_shards(struct ana_run *run, const char *const *paths, size_t n,
                    const struct ana_scan_config *config, struct err *e) MUST_USE;

#endif

/*
 * scan_columns.h - what scan.c collects and scan_summary.c reduces; private to the two.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ANALYSIS_SCAN_COLUMNS_H
#define ANALYSIS_SCAN_COLUMNS_H

#include "analysis/scan.h"
#include "traces/base/buf.h"

enum ana_column {
    ANA_COL_RESPONSE, /* ANA_INF where it failed */
    ANA_COL_SERVICE,
    ANA_COL_TTFB,
    ANA_COL_GENERATOR,
    ANA_COL_BACK_PRESSURE,
    ANA_COLUMN_COUNT
};

struct ana_values {
    int64_t *v;
    size_t n, cap;
};

/* Columns are aligned: index i of each is one operation. Nearly all latencies fit 32
 * bits, and memory that is touched for the first time is the dearest part of a scan:
 * what does not fit (ANA_NONE, ANA_INF, 4.3 s and more) is ANA_WIDE in `narrow` and the
 * next of `wide`. */
struct ana_leaf {
    const char *name, *type; /* in run->arena */
    enum op_protocol protocol;
    enum op_tier tier;
    uint64_t hash;
    struct ana_counts counts;
    int64_t *due;
    uint32_t *narrow[ANA_COLUMN_COUNT];
    struct ana_values wide[ANA_COLUMN_COUNT];
    size_t due_cap, narrow_cap[ANA_COLUMN_COUNT]; /* cap, but while they grow in turn */
    size_t n, cap;
    uint64_t plain; /* of the present block, not yet in counts */
    /* Of good answers that stream: time to the first message of each; all gaps. */
    struct ana_values first_message, message_gap;
};

struct ana_scan {
    struct ana_run *run;
    const struct ana_scan_config *config;
    int64_t warmup_ns, cooldown_from_ns; /* of the present file */
    struct ana_leaf *leaves;
    size_t leaf_count, leaf_cap;
    uint32_t *table; /* open addressing: index of a leaf + 1; 0 is free */
    size_t table_size;
    uint32_t *map; /* stream of the present block -> leaf */
    size_t map_cap;
    struct buf name;
    bool clock_fault; /* of the present outcome */
    struct ana_class classes[ANA_CLASSES_MAX];
    size_t class_count;
};

/* Fills everything of s->run that comes from the columns. ERR_NOMEM, ERR_LIMIT. */
int ana_summarize(struct ana_scan *s, struct err *e) MUST_USE;

#endif

/*
 * scan_own.h - what the files of a scan share: the columns that scan_leaves.c and
 * scan_rows.c fill, and scan_summary.c and scan_series.c reduce.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ANALYSIS_SCAN_OWN_H
#define ANALYSIS_SCAN_OWN_H

#include "analysis/rows.h"
#include "analysis/scan.h"
#include "traces/base/buf.h"
#include "traces/container/trc_reader.h"

struct ana_values {
    int64_t *v;
    size_t n, cap;
};

struct ana_leaf {
    const char *name, *type; /* in run->arena */
    enum op_protocol protocol;
    enum op_tier tier;
    uint64_t hash;
    struct ana_counts counts;
    struct ana_piece *first, *last; /* of its rows, n in all */
    size_t n, piece_count;
    struct ana_values wide[ANA_COLUMN_COUNT];
    uint64_t plain; /* of the present block, not yet in n and counts */
    /* Of good answers that stream: time to the first message of each; all gaps. */
    struct ana_values first_message, message_gap;
};

struct ana_scan {
    struct ana_run *run;
    const struct ana_scan_config *config;
    struct ana_slabs *slabs;
    int64_t warmup_ns, cooldown_from_ns; /* of the present file */
    struct ana_leaf *leaves;
    size_t leaf_count, leaf_cap;
    uint32_t *table; /* open addressing: index of a leaf + 1; 0 is free */
    size_t table_size;
    struct ana_leaf **map; /* stream of the present block -> leaf */
    uint32_t *indices;     /* the same, while leaves are still made */
    size_t map_cap;
    struct buf name;
    bool clock_fault;    /* of the present outcome */
    bool disordered;     /* some row is due before the one that was read before it */
    int64_t last_due_ns; /* of a row */
    struct ana_class classes[ANA_CLASSES_MAX];
    size_t class_count;
};

/* Leaves that are summarized together. */
struct ana_members {
    const struct ana_leaf *const *leaves;
    size_t count;
    struct ana_slice *slices; /* scratch: one for each piece, and one more a leaf */
};

/* The leaf of a stream, made if it is new; its index in *index: leaves may move until
 * the last one is made. ERR_NOMEM. */
int ana_scan_leaf(struct ana_scan *s, const struct op_stream *stream, uint32_t *index,
                  struct err *e) MUST_USE;

/* Takes all outcomes of a block, whose streams s->map leads to their leaves. ERR_NOMEM.
 */
int ana_scan_rows(struct ana_scan *s, const struct trc_block *b,
                  struct err *e) MUST_USE;

/* Fills everything of s->run that comes from the columns. ERR_NOMEM, ERR_LIMIT. */
int ana_summarize(struct ana_scan *s, struct err *e) MUST_USE;

/* run->blocks, of all rows: the counts and the moments of run->all are there. t is
 * scratch. ERR_NOMEM. */
int ana_make_series(const struct ana_scan *s, const struct ana_members *all,
                    struct ana_tally *t, struct err *e) MUST_USE;

/* A column's value of row i. *wide: the leaf's next value of that column that is not
 * narrow; rows are to be asked for in turn. */
static inline int64_t ana_piece_value(const struct ana_piece *p, enum ana_column c,
                                      size_t i, const int64_t **wide)
{
    uint32_t v = p->narrow[c] ? p->narrow[c][i] : 0;
    return v == ANA_WIDE ? *(*wide)++ : v;
}

#endif

/*
 * scan_series.c - latencies over run time: quantiles of each slice of it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>

#include "analysis/scan_own.h"

static const enum ana_column in_series[] = {ANA_COL_RESPONSE, ANA_COL_GENERATOR,
                                            ANA_COL_BACK_PRESSURE};
#define IN_SERIES (sizeof in_series / sizeof *in_series)

static void cut_into_blocks(struct ana_run *run)
{
    uint64_t due = run->all.counts.due, blocks = due / ANA_BLOCK_LEAST;

    run->block_count = blocks < 1            ? 1
                       : blocks > ANA_BLOCKS ? ANA_BLOCKS
                                             : (size_t)blocks;
    run->high_p = due / run->block_count >= 1000 ? ANA_P(99) : ANA_P(95);
    run->block_ns =
        (run->last_due_ns - run->first_due_ns) / (int64_t)run->block_count + 1;
}

/* per_ns: slices in a nanosecond; a multiplication, since there are many to place. */
static size_t block_of(const struct ana_run *run, int64_t due, double per_ns)
{
    size_t b = (size_t)((double)(due - run->first_due_ns) * per_ns);
    return b < run->block_count ? b : run->block_count - 1;
}

/* One column of a slice of run time, which t counts, into its place of the series. */
static int put_block(struct ana_run *run, size_t b, enum ana_column c,
                     struct ana_tally *t, const struct ana_slice *parts, size_t n,
                     struct err *e)
{
    struct ana_block *block = &run->blocks[b];
    uint32_t p[2] = {ANA_P(50), run->high_p};
    struct ana_dist d;
    int64_t q[2];

    int rc = ana_tally_ask(t, parts, n, &(struct ana_ask){false, p, 2, q, &d}, 1, e);
    if (rc < 0)
        return rc;
    if (c == ANA_COL_RESPONSE) {
        block->p50 = q[0];
        block->high = q[1];
        block->failed = d.infinite;
    } else if (c == ANA_COL_GENERATOR) {
        block->generator_p50 = q[0];
        block->generator_high = q[1];
    } else {
        block->back_pressure_high = q[1];
    }
    return 0;
}

/* --- rows in order of due time ---------------------------------------------------- */

/* Rows from here on; past the last one, piece is NULL. */
struct place {
    const struct ana_piece *piece;
    size_t row;
};

/* How far the series has come in a leaf: rows, and wide values of each column of it. */
struct progress {
    struct place from, to;
    const int64_t *wide[IN_SERIES];
};

/* First row of an ordered piece, from `from` on, that does not lie in slices up to b.
 */
static size_t end_in_piece(const struct ana_run *run, const struct ana_piece *p,
                           size_t from, size_t b)
{
    double per_ns = 1 / (double)run->block_ns;
    size_t to = p->n;

    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (block_of(run, p->due[middle], per_ns) <= b)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

/* Moves to the first row that does not lie in slices up to b; returns how many rows it
 * passed. */
static size_t pass_block(const struct ana_run *run, struct place *at, size_t b)
{
    size_t passed = 0;
    while (at->piece) {
        size_t to = end_in_piece(run, at->piece, at->row, b);
        passed += to - at->row;
        at->row = to;
        if (to < at->piece->n)
            break;
        *at = (struct place){at->piece->next, 0};
    }
    return passed;
}

/* Counts column c of the rows of a leaf that are in the slice at hand. Returns how many
 * slices they are. */
static size_t count_rows(struct progress *at, size_t c, struct ana_tally *t,
                         struct ana_slice *slices)
{
    enum ana_column column = in_series[c];
    struct place next = at->from;
    size_t n = 0, wide = 0;

    while (next.piece && (next.piece != at->to.piece || next.row < at->to.row)) {
        const struct ana_piece *p = next.piece;
        size_t to = p == at->to.piece ? at->to.row : p->n;
        const uint32_t *narrow = p->narrow[column];
        slices[n] = (struct ana_slice){.narrow = narrow ? narrow + next.row : NULL,
                                       .n = to - next.row};
        wide += ana_tally_count(t, &slices[n++]);
        next = p == at->to.piece ? at->to : (struct place){p->next, 0};
    }
    if (wide > 0) {
        slices[n] = (struct ana_slice){.v = at->wide[c], .n = wide};
        ana_tally_count(t, &slices[n++]);
        at->wide[c] += wide;
    }
    return n;
}

static void begin(struct progress *at, const struct ana_members *m)
{
    for (size_t i = 0; i < m->count; i++) {
        at[i].to = (struct place){m->leaves[i]->first, 0};
        for (size_t c = 0; c < IN_SERIES; c++)
            at[i].wide[c] = m->leaves[i]->wide[in_series[c]].v;
    }
}

/* A slice of run time is a slice of each column. */
static int series_of_ordered(struct ana_run *run, const struct ana_members *m,
                             struct ana_tally *t, struct err *e)
{
    struct progress *at = calloc(m->count + 1, sizeof *at);
    if (!at)
        return err_set(e, ERR_NOMEM, "out of memory");
    int rc = 0;
    begin(at, m);
    for (size_t b = 0; b < run->block_count && rc == 0; b++) {
        for (size_t i = 0; i < m->count; i++) {
            at[i].from = at[i].to;
            run->blocks[b].due += pass_block(run, &at[i].to, b);
        }
        for (size_t c = 0; c < IN_SERIES && rc == 0; c++) {
            size_t n = 0;
            ana_tally_reset(t);
            for (size_t i = 0; i < m->count; i++)
                n += count_rows(&at[i], c, t, m->slices + n);
            rc = put_block(run, b, in_series[c], t, m->slices, n, e);
        }
    }
    free(at);
    return rc;
}

/* --- rows in any order ------------------------------------------------------------ */

/* Values of one column, dealt to slices of run time: values[start[b] .. start[b + 1]).
 */
struct dealt {
    int64_t *values;
    size_t start[ANA_BLOCKS + 1];
};

/* Adds to at[b] the values of a column in each slice; puts them there, too, where
 * values are. */
static void deal_leaf(const struct ana_run *run, const struct ana_leaf *l,
                      enum ana_column c, int64_t *values, size_t *at)
{
    const int64_t *wide = l->wide[c].v;
    double per_ns = 1 / (double)run->block_ns;

    for (const struct ana_piece *p = l->first; p; p = p->next)
        for (size_t i = 0; i < p->n; i++) {
            int64_t v = ana_piece_value(p, c, i, &wide);
            if (v < 0)
                continue;
            size_t b = block_of(run, p->due[i], per_ns);
            if (values)
                values[at[b]] = v;
            at[b]++;
        }
}

static void deal(const struct ana_run *run, const struct ana_members *m,
                 enum ana_column c, struct dealt *d)
{
    size_t at[ANA_BLOCKS] = {0};

    for (size_t i = 0; i < m->count; i++)
        deal_leaf(run, m->leaves[i], c, NULL, at);
    d->start[0] = 0;
    for (size_t b = 0; b < run->block_count; b++) {
        d->start[b + 1] = d->start[b] + at[b];
        at[b] = d->start[b];
    }
    for (size_t i = 0; i < m->count; i++)
        deal_leaf(run, m->leaves[i], c, d->values, at);
}

/* Shards, and runs whose clock went back: values are dealt to slices first. */
static int series_of_mixed(struct ana_run *run, const struct ana_members *m,
                           struct ana_tally *t, struct err *e)
{
    struct dealt d = {malloc((run->all.counts.due + 1) * sizeof *d.values), {0}};
    double per_ns = 1 / (double)run->block_ns;
    int rc = d.values ? 0 : err_set(e, ERR_NOMEM, "out of memory");

    for (size_t i = 0; i < m->count; i++)
        for (const struct ana_piece *p = m->leaves[i]->first; p; p = p->next)
            for (size_t k = 0; k < p->n; k++)
                run->blocks[block_of(run, p->due[k], per_ns)].due++;
    for (size_t c = 0; c < IN_SERIES && rc == 0; c++) {
        deal(run, m, in_series[c], &d);
        for (size_t b = 0; b < run->block_count && rc == 0; b++) {
            struct ana_slice part = {.v = d.values + d.start[b],
                                     .n = d.start[b + 1] - d.start[b]};
            ana_tally_reset(t);
            ana_tally_count(t, &part);
            rc = put_block(run, b, in_series[c], t, &part, 1, e);
        }
    }
    free(d.values);
    return rc;
}

/* Whether the rows of each leaf are in order of due time. Those of all together nearly
 * always are. */
static bool is_in_order(const struct ana_scan *s, const struct ana_members *m)
{
    bool ordered = true;
    for (size_t i = 0; i < m->count && s->disordered; i++) {
        int64_t last = INT64_MIN;
        for (const struct ana_piece *p = m->leaves[i]->first; p; p = p->next)
            for (size_t k = 0; k < p->n; k++) {
                ordered &= p->due[k] >= last;
                last = p->due[k];
            }
    }
    return ordered;
}

int ana_make_series(const struct ana_scan *s, const struct ana_members *all,
                    struct ana_tally *t, struct err *e)
{
    cut_into_blocks(s->run);
    return is_in_order(s, all) ? series_of_ordered(s->run, all, t, e)
                               : series_of_mixed(s->run, all, t, e);
}

/*
 * scan_summary.c - from columns to cells, quantiles, curves and the series over run
 * time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/scan_columns.h"

const char *const ana_metric_names[] = {"response",      "response_ok", "service",
                                        "ttfb",          "generator",   "back_pressure",
                                        "first_message", "message_gap", NULL};

bool ana_is_of_streams(enum ana_metric metric)
{
    return metric == ANA_FIRST_MESSAGE || metric == ANA_MESSAGE_GAP;
}

const uint32_t ana_standard_p[] = {ANA_P(50), ANA_P(90), ANA_P(95), ANA_P(99),
                                   ANA_P(99.9)};

static const enum ana_column column_of[] = {
    [ANA_RESPONSE] = ANA_COL_RESPONSE,   [ANA_RESPONSE_OK] = ANA_COL_RESPONSE,
    [ANA_SERVICE] = ANA_COL_SERVICE,     [ANA_TTFB] = ANA_COL_TTFB,
    [ANA_GENERATOR] = ANA_COL_GENERATOR, [ANA_BACK_PRESSURE] = ANA_COL_BACK_PRESSURE,
};

/* --- small things ----------------------------------------------------------------- */

size_t ana_p_index(const struct ana_run *run, uint32_t p)
{
    size_t i = 0;
    while (i < run->p_count && run->p[i] != p)
        i++;
    return i;
}

int64_t ana_quantile_at(const struct ana_run *run, const struct ana_latency *l,
                        uint32_t p)
{
    size_t i = ana_p_index(run, p);
    return i < run->p_count ? l->q[i] : ANA_NONE;
}

char *ana_p_text(uint32_t p, char out[ANA_P_TEXT_MAX])
{
    int n = snprintf(out, ANA_P_TEXT_MAX, "p%u.%07u", p / 10000000, p % 10000000);
    while (n > 0 && out[n - 1] == '0')
        out[--n] = '\0';
    if (n > 0 && out[n - 1] == '.')
        out[n - 1] = '\0';
    return out;
}

/* 1 - 10^-x for x = 0, 0.05 … 5. */
uint32_t ana_curve_p(size_t i)
{
    uint32_t p = (uint32_t)(ANA_P_ONE * (1 - pow(10, -0.05 * (double)i)) + 0.5);
    return p ? p : 1;
}

static double rate(uint64_t n, int64_t first, int64_t last)
{
    if (n < 2 || first == OP_TIME_NONE || last <= first)
        return NAN;
    return (double)(n - 1) / ((double)(last - first) / 1e9);
}

double ana_rate_offered(const struct ana_run *run)
{
    return rate(run->all.counts.due, run->first_due_ns, run->last_due_ns);
}

double ana_rate_achieved(const struct ana_run *run)
{
    return rate(run->all.counts.sent, run->first_sent_ns, run->last_sent_ns);
}

double ana_rate_ok(const struct ana_run *run)
{
    if (run->all.counts.ok == 0)
        return 0;
    return rate(run->all.counts.ok + 1, run->first_due_ns, run->last_done_ns);
}

static int by_p(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static int collect_p(struct ana_scan *s, struct err *e)
{
    size_t n = ANA_STANDARD_COUNT + s->config->p_count, kept = 0;
    uint32_t *p = arena_alloc(&s->run->arena, n * sizeof *p);

    if (!p)
        return err_set(e, ERR_NOMEM, "out of memory");
    memcpy(p, ana_standard_p, ANA_STANDARD_COUNT * sizeof *p);
    if (s->config->p_count > 0)
        memcpy(p + ANA_STANDARD_COUNT, s->config->p, s->config->p_count * sizeof *p);
    qsort(p, n, sizeof *p, by_p);
    for (size_t i = 0; i < n; i++)
        if (kept == 0 || p[i] != p[kept - 1])
            p[kept++] = p[i];
    s->run->p = p;
    s->run->p_count = kept;
    return 0;
}

static void add_counts(struct ana_counts *to, const struct ana_counts *from)
{
    to->due += from->due;
    to->sent += from->sent;
    to->done += from->done;
    to->ok += from->ok;
    to->failed += from->failed;
    to->dropped += from->dropped;
    to->refused += from->refused;
    to->stopped += from->stopped;
    to->stopped_sent += from->stopped_sent;
    to->bytes_out += from->bytes_out;
    to->bytes_in += from->bytes_in;
}

/* --- cells ------------------------------------------------------------------------ */

/* The leaves of one cell: leaves[0 .. count) of the sorted list. */
struct members {
    const struct ana_leaf *const *leaves;
    size_t count;
    struct ana_slice *slices; /* scratch, twice as many */
};

/* Returns how many slices it made. */
static size_t take_slices(const struct members *m, enum ana_metric metric)
{
    size_t n = 0;
    for (size_t i = 0; i < m->count; i++) {
        const struct ana_leaf *l = m->leaves[i];
        if (ana_is_of_streams(metric)) {
            const struct ana_values *of =
                metric == ANA_FIRST_MESSAGE ? &l->first_message : &l->message_gap;
            m->slices[n++] = (struct ana_slice){.v = of->v, .n = of->n};
            continue;
        }
        enum ana_column c = column_of[metric];
        m->slices[n++] = (struct ana_slice){.narrow = l->narrow[c], .n = l->n};
        m->slices[n++] = (struct ana_slice){.v = l->wide[c].v, .n = l->wide[c].n};
    }
    return n;
}

/* The values of a column in turn. */
struct walk {
    const uint32_t *narrow;
    const int64_t *wide;
};

static struct walk walk_of(const struct ana_leaf *l, enum ana_column c)
{
    return (struct walk){l->narrow[c], l->wide[c].v};
}

static int64_t walk_on(struct walk *w)
{
    uint32_t v = *w->narrow++;
    return v == ANA_WIDE ? *w->wide++ : v;
}

/* True when the next of the two ascending lists is the run's own. */
static bool own_is_next(const struct ana_run *run, size_t own, size_t curve)
{
    if (own == run->p_count || curve == ANA_CURVE)
        return curve == ANA_CURVE;
    return run->p[own] <= ana_curve_p(curve);
}

/* Counts of values: those of the cell at hand, and of all cells together. */
struct tallies {
    struct ana_tally *cell, *all[ANA_METRIC_COUNT];
};

static void tallies_done(struct tallies *t)
{
    ana_tally_free(t->cell);
    for (int m = 0; m < ANA_METRIC_COUNT; m++)
        ana_tally_free(t->all[m]);
}

static int tallies_init(struct tallies *t, struct err *e)
{
    bool made = (t->cell = ana_tally_new()) != NULL;
    for (int m = 0; m < ANA_METRIC_COUNT && made; m++)
        made = m == ANA_RESPONSE_OK || (t->all[m] = ana_tally_new()) != NULL;
    return made ? 0 : err_set(e, ERR_NOMEM, "out of memory");
}

/* The quantiles of the run and those of the curve in one go over the values. */
static int summarize_with_curve(struct ana_run *run, const struct members *m,
                                enum ana_metric metric, struct ana_tally *t,
                                struct ana_latency *l, int64_t *curve, struct err *e)
{
    size_t n = run->p_count + ANA_CURVE, own = 0, point = 0;
    uint32_t *p = malloc(n * sizeof *p);
    int64_t *out = malloc(n * sizeof *out);
    int rc = p && out ? 0 : err_set(e, ERR_NOMEM, "out of memory");

    for (size_t i = 0; i < n && rc == 0; i++)
        p[i] = own_is_next(run, own, point) ? run->p[own++] : ana_curve_p(point++);
    if (rc == 0)
        rc = ana_tally_quantiles(t, m->slices, take_slices(m, metric),
                                 metric == ANA_RESPONSE_OK, p, n, out, &l->d, e);
    own = point = 0;
    for (size_t i = 0; i < n && rc == 0; i++) {
        if (own_is_next(run, own, point))
            l->q[own++] = out[i];
        else
            curve[point++] = out[i];
    }
    free(out);
    free(p);
    return rc;
}

/* Where nothing failed, good answers are all answers. */
static bool is_copied(struct ana_run *run, struct ana_cell *cell,
                      enum ana_metric metric, int64_t (*curves)[ANA_CURVE])
{
    const struct ana_latency *from = &cell->latency[ANA_RESPONSE];
    struct ana_latency *to = &cell->latency[metric];

    if (metric != ANA_RESPONSE_OK || from->d.infinite > 0)
        return false;
    memcpy(to->q, from->q, run->p_count * sizeof *to->q);
    to->d = from->d;
    if (curves)
        memcpy(curves[metric], curves[ANA_RESPONSE], sizeof curves[metric]);
    return true;
}

static int begin_latency(struct ana_run *run, struct ana_cell *cell,
                         enum ana_metric metric, struct err *e)
{
    struct ana_latency *l = &cell->latency[metric];
    l->q = arena_alloc(&run->arena, run->p_count * sizeof *l->q);
    return l->q ? 0 : err_set(e, ERR_NOMEM, "out of memory");
}

/* add: the cell is one of those that all operations are made of. */
static int summarize_cell(struct ana_run *run, const struct members *m,
                          struct ana_cell *cell, struct tallies *t, bool add,
                          struct err *e)
{
    int rc = 0;

    for (size_t i = 0; i < m->count; i++)
        add_counts(&cell->counts, &m->leaves[i]->counts);
    for (int k = 0; k < ANA_METRIC_COUNT && rc == 0; k++) {
        enum ana_metric metric = (enum ana_metric)k;
        struct ana_latency *l = &cell->latency[metric];
        rc = begin_latency(run, cell, metric, e);
        if (rc < 0 || is_copied(run, cell, metric, NULL))
            continue;
        size_t n = take_slices(m, metric);
        if (metric != ANA_RESPONSE_OK) { /* else they were counted just before */
            ana_tally_reset(t->cell);
            for (size_t i = 0; i < n; i++)
                ana_tally_count(t->cell, &m->slices[i]);
            if (add)
                ana_tally_add(t->all[metric], t->cell);
        }
        rc = ana_tally_quantiles(t->cell, m->slices, n, metric == ANA_RESPONSE_OK,
                                 run->p, run->p_count, l->q, &l->d, e);
    }
    return rc;
}

static int order_leaves(const struct ana_leaf *x, const struct ana_leaf *y, int names)
{
    if (names != 0)
        return names;
    if (x->protocol != y->protocol)
        return x->protocol < y->protocol ? -1 : 1;
    return (x->tier > y->tier) - (x->tier < y->tier);
}

static int by_name(const void *a, const void *b)
{
    const struct ana_leaf *x = *(const struct ana_leaf *const *)a,
                          *y = *(const struct ana_leaf *const *)b;
    return order_leaves(x, y, strcmp(x->name, y->name));
}

static int by_type(const void *a, const void *b)
{
    const struct ana_leaf *x = *(const struct ana_leaf *const *)a,
                          *y = *(const struct ana_leaf *const *)b;
    return order_leaves(x, y, strcmp(x->type, y->type));
}

static size_t same_cell(const struct ana_leaf *const *sorted, size_t n, size_t from,
                        int (*order)(const void *, const void *))
{
    size_t to = from + 1;
    while (to < n && order(&sorted[from], &sorted[to]) == 0)
        to++;
    return to;
}

static size_t count_cells(const struct ana_leaf *const *sorted, size_t n,
                          int (*order)(const void *, const void *))
{
    size_t cells = 0;
    for (size_t i = 0; i < n; i = same_cell(sorted, n, i, order))
        cells++;
    return cells;
}

/* One cell for each run of equal leaves in the sorted list. */
static int make_group(struct ana_run *run, const struct members *all, bool types,
                      bool add, struct tallies *t, struct ana_cell **cells,
                      size_t *count, struct err *e)
{
    int (*order)(const void *, const void *) = types ? by_type : by_name;
    size_t n = all->count, most = count_cells(all->leaves, n, order);

    if (most > ANA_CELLS_MAX)
        return err_set(e, ERR_LIMIT, "'%s' holds more than %d model types", run->path,
                       ANA_CELLS_MAX);
    *cells = arena_zalloc(&run->arena, (most + 1) * sizeof **cells);
    if (!*cells)
        return err_set(e, ERR_NOMEM, "out of memory");
    for (size_t i = 0, to; i < n; i = to) {
        to = same_cell(all->leaves, n, i, order);
        struct members m = {all->leaves + i, to - i, all->slices};
        struct ana_cell *cell = &(*cells)[(*count)++];
        cell->name = types ? all->leaves[i]->type : all->leaves[i]->name;
        if (types && !*cell->name)
            cell->name = ANA_OTHER;
        cell->by_type = types;
        cell->protocol = all->leaves[i]->protocol;
        cell->tier = all->leaves[i]->tier;
        int rc = summarize_cell(run, &m, cell, t, add, e);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static void sort_leaves(const struct ana_leaf **leaves, size_t n, bool types)
{
    if (n > 0)
        qsort(leaves, n, sizeof *leaves, types ? by_type : by_name);
}

/* By name, and by model type where several names share one. */
static int make_cells(struct ana_run *run, const struct ana_leaf **leaves,
                      const struct members *all, struct tallies *t, struct err *e)
{
    int rc;

    run->grouped = all->count > ANA_CELLS_MAX;
    sort_leaves(leaves, all->count, run->grouped);
    rc = make_group(run, all, run->grouped, true, t, &run->cells, &run->cell_count, e);
    if (rc < 0 || run->grouped)
        return rc;
    sort_leaves(leaves, all->count, true);
    if (count_cells(all->leaves, all->count, by_type) == run->cell_count)
        return 0;
    return make_group(run, all, true, false, t, &run->types, &run->type_count, e);
}

/* --- all operations --------------------------------------------------------------- */

/* How much of the slowest responses is our own lateness: operations at or above p99. */
static void find_tail_share(struct ana_run *run, const struct members *m)
{
    int64_t p99 = ana_quantile_at(run, &run->all.latency[ANA_RESPONSE_OK], ANA_P(99));
    double late = 0, whole = 0;

    for (size_t i = 0; i < m->count; i++) {
        struct walk responses = walk_of(m->leaves[i], ANA_COL_RESPONSE);
        struct walk generators = walk_of(m->leaves[i], ANA_COL_GENERATOR);
        for (size_t k = 0; k < m->leaves[i]->n; k++) {
            int64_t response = walk_on(&responses), generator = walk_on(&generators);
            if (response < p99 || response == ANA_INF || response < 0)
                continue;
            whole += (double)response;
            if (generator > 0)
                late += (double)generator;
        }
    }
    run->tail_share = whole > 0 ? late / whole : NAN;
}

/* Values of one column, dealt to slices of run time: values[start[b] .. start[b + 1]).
 */
struct dealt {
    int64_t *values;
    size_t start[ANA_BLOCKS + 1];
};

/* per_ns: slices in a nanosecond; a multiplication, since there are many to place. */
static size_t block_of(const struct ana_run *run, int64_t due, double per_ns)
{
    size_t b = (size_t)((double)(due - run->first_due_ns) * per_ns);
    return b < run->block_count ? b : run->block_count - 1;
}

static void deal(const struct ana_run *run, const struct members *m, enum ana_column c,
                 struct dealt *d)
{
    size_t at[ANA_BLOCKS] = {0};
    double per_ns = 1 / (double)run->block_ns;

    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < m->count; i++) {
            const struct ana_leaf *l = m->leaves[i];
            struct walk values = walk_of(l, c);
            for (size_t k = 0; k < l->n; k++) {
                int64_t v = walk_on(&values);
                if (v < 0)
                    continue;
                size_t b = block_of(run, l->due[k], per_ns);
                if (pass == 1)
                    d->values[at[b]] = v;
                at[b]++;
            }
        }
        if (pass == 1)
            return;
        d->start[0] = 0;
        for (size_t b = 0; b < run->block_count; b++) {
            d->start[b + 1] = d->start[b] + at[b];
            at[b] = d->start[b];
        }
    }
}

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

/* Median and high quantile of one column in one slice of run time, which t counts. */
static int block_quantiles(const struct ana_run *run, struct ana_tally *t,
                           const struct ana_slice *parts, size_t n, int64_t *p50,
                           int64_t *high, uint64_t *infinite, struct err *e)
{
    uint32_t p[2] = {ANA_P(50), run->high_p};
    struct ana_dist d;
    int64_t q[2];

    int rc = ana_tally_quantiles(t, parts, n, false, p, 2, q, &d, e);
    if (rc < 0)
        return rc;
    *p50 = q[0];
    *high = q[1];
    *infinite = d.infinite;
    return 0;
}

/* One column of a slice into its place of the series. */
static int put_block(struct ana_run *run, size_t b, enum ana_column c,
                     struct ana_tally *t, const struct ana_slice *parts, size_t n,
                     struct err *e)
{
    struct ana_block *block = &run->blocks[b];
    int64_t ignored;
    uint64_t none;

    if (c == ANA_COL_RESPONSE)
        return block_quantiles(run, t, parts, n, &block->p50, &block->high,
                               &block->failed, e);
    if (c == ANA_COL_GENERATOR)
        return block_quantiles(run, t, parts, n, &block->generator_p50,
                               &block->generator_high, &none, e);
    return block_quantiles(run, t, parts, n, &ignored, &block->back_pressure_high,
                           &none, e);
}

static const enum ana_column in_series[] = {ANA_COL_RESPONSE, ANA_COL_GENERATOR,
                                            ANA_COL_BACK_PRESSURE};
#define IN_SERIES (sizeof in_series / sizeof *in_series)

static bool is_in_order(const struct members *m)
{
    for (size_t i = 0; i < m->count; i++) {
        const int64_t *due = m->leaves[i]->due;
        bool ordered = true;
        for (size_t k = 1; k < m->leaves[i]->n; k++)
            ordered &= due[k] >= due[k - 1];
        if (!ordered)
            return false;
    }
    return true;
}

/* First row of an ordered leaf, from `from` on, that does not lie in slices up to b. */
static size_t end_of_block(const struct ana_run *run, const struct ana_leaf *l,
                           size_t from, size_t b)
{
    double per_ns = 1 / (double)run->block_ns;
    size_t to = l->n;

    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (block_of(run, l->due[middle], per_ns) <= b)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

/* How far the series has come in a leaf: rows, and wide values of each column of it. */
struct place {
    size_t from, to, wide[IN_SERIES];
};

/* Counts column c of the rows [from, to) of each leaf. Returns how many slices they
 * are.
 */
static size_t count_rows(const struct members *m, struct place *at, size_t c,
                         struct ana_tally *t)
{
    size_t n = 0;
    ana_tally_reset(t);
    for (size_t i = 0; i < m->count; i++) {
        const struct ana_leaf *l = m->leaves[i];
        enum ana_column column = in_series[c];
        struct ana_slice *rows = &m->slices[n++], *wide = &m->slices[n++];
        *rows = (struct ana_slice){.narrow = l->narrow[column] + at[i].from,
                                   .n = at[i].to - at[i].from};
        *wide = (struct ana_slice){.n = ana_tally_count(t, rows)};
        if (wide->n > 0)
            wide->v = l->wide[column].v + at[i].wide[c];
        ana_tally_count(t, wide);
        at[i].wide[c] += wide->n;
    }
    return n;
}

/* Rows are in order of due time, so that a slice of run time is a slice of each column.
 */
static int series_of_ordered(struct ana_run *run, const struct members *m,
                             struct ana_tally *t, struct err *e)
{
    struct place *at = calloc(m->count + 1, sizeof *at);
    int rc = at ? 0 : err_set(e, ERR_NOMEM, "out of memory");

    for (size_t b = 0; b < run->block_count && rc == 0; b++) {
        for (size_t i = 0; i < m->count; i++) {
            at[i].from = at[i].to;
            at[i].to = end_of_block(run, m->leaves[i], at[i].from, b);
            run->blocks[b].due += at[i].to - at[i].from;
        }
        for (size_t c = 0; c < IN_SERIES && rc == 0; c++) {
            size_t n = count_rows(m, at, c, t);
            rc = put_block(run, b, in_series[c], t, m->slices, n, e);
        }
    }
    free(at);
    return rc;
}

/* Shards, and runs whose clock went back: values are dealt to slices first. */
static int series_of_mixed(struct ana_run *run, const struct members *m,
                           struct ana_tally *t, struct err *e)
{
    struct dealt d = {malloc((run->all.counts.due + 1) * sizeof *d.values), {0}};
    double per_ns = 1 / (double)run->block_ns;
    int rc = d.values ? 0 : err_set(e, ERR_NOMEM, "out of memory");

    for (size_t i = 0; i < m->count; i++)
        for (size_t k = 0; k < m->leaves[i]->n; k++)
            run->blocks[block_of(run, m->leaves[i]->due[k], per_ns)].due++;
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

static int make_series(struct ana_run *run, const struct members *m,
                       struct ana_tally *t, struct err *e)
{
    cut_into_blocks(run);
    return is_in_order(m) ? series_of_ordered(run, m, t, e)
                          : series_of_mixed(run, m, t, e);
}

static int by_count(const void *a, const void *b)
{
    const struct ana_class *x = a, *y = b;
    if (x->count != y->count)
        return x->count > y->count ? -1 : 1;
    return strcmp(x->name, y->name);
}

static int keep_classes(struct ana_scan *s, struct err *e)
{
    struct ana_run *run = s->run;

    run->classes =
        arena_alloc(&run->arena, (s->class_count + 1) * sizeof *run->classes);
    if (!run->classes)
        return err_set(e, ERR_NOMEM, "out of memory");
    memcpy(run->classes, s->classes, s->class_count * sizeof *run->classes);
    run->class_count = s->class_count;
    if (run->class_count > 0)
        qsort(run->classes, run->class_count, sizeof *run->classes, by_count);
    return 0;
}

static int summarize_all(struct ana_run *run, const struct members *m,
                         struct tallies *t, struct err *e)
{
    struct ana_cell *all = &run->all;
    int rc = 0;

    for (size_t i = 0; i < m->count; i++)
        add_counts(&all->counts, &m->leaves[i]->counts);
    for (int k = 0; k < ANA_METRIC_COUNT && rc == 0; k++) {
        enum ana_metric metric = (enum ana_metric)k;
        struct ana_tally *of =
            t->all[metric == ANA_RESPONSE_OK ? ANA_RESPONSE : metric];
        rc = begin_latency(run, all, metric, e);
        if (rc == 0 && !is_copied(run, all, metric, run->curve))
            rc = summarize_with_curve(run, m, metric, of, &all->latency[metric],
                                      run->curve[metric], e);
    }
    if (rc == 0 && run->first_due_ns != OP_TIME_NONE)
        rc = make_series(run, m, t->cell, e);
    if (rc == 0)
        find_tail_share(run, m);
    return rc;
}

int ana_summarize(struct ana_scan *s, struct err *e)
{
    size_t n = s->leaf_count, kept = 0;
    const struct ana_leaf **sorted = malloc((n + 1) * sizeof *sorted);
    struct ana_slice *slices = malloc((2 * n + 1) * sizeof *slices);
    struct tallies t = {0};
    int rc = tallies_init(&t, e);

    s->run->all.name = "";
    if (!sorted || !slices)
        rc = err_set(e, ERR_NOMEM, "out of memory");
    if (rc == 0)
        rc = collect_p(s, e);
    if (rc == 0)
        rc = keep_classes(s, e);
    if (rc == 0) {
        for (size_t i = 0; i < n; i++)
            if (s->leaves[i].n > 0) /* a stream that was declared and not used */
                sorted[kept++] = &s->leaves[i];
        struct members all = {sorted, kept, slices};
        rc = make_cells(s->run, sorted, &all, &t, e);
        if (rc == 0)
            rc = summarize_all(s->run, &all, &t, e);
    }
    tallies_done(&t);
    free(slices);
    free(sorted);
    return rc;
}

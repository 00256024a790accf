/*
 * scan_summary.c - from columns to cells, quantiles and curves; scan_series.c makes the
 * series over run time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/scan_own.h"

static const enum ana_column column_of[] = {
    [ANA_RESPONSE] = ANA_COL_RESPONSE,   [ANA_RESPONSE_OK] = ANA_COL_RESPONSE,
    [ANA_SERVICE] = ANA_COL_SERVICE,     [ANA_TTFB] = ANA_COL_TTFB,
    [ANA_GENERATOR] = ANA_COL_GENERATOR, [ANA_BACK_PRESSURE] = ANA_COL_BACK_PRESSURE,
};

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

/* Returns how many slices it made. */
static size_t take_slices(const struct ana_members *m, enum ana_metric metric)
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
        for (const struct ana_piece *p = l->first; p; p = p->next)
            m->slices[n++] = (struct ana_slice){.narrow = p->narrow[c], .n = p->n};
        m->slices[n++] = (struct ana_slice){.v = l->wide[c].v, .n = l->wide[c].n};
    }
    return n;
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

/* The answers on one metric: of a cell, and of its curve where it has one. */
static size_t ask_of(const struct ana_run *run, struct ana_cell *cell,
                     enum ana_metric metric, const uint32_t *curve_p, int64_t *curve,
                     struct ana_ask asks[2])
{
    struct ana_latency *l = &cell->latency[metric];
    bool finite_only = metric == ANA_RESPONSE_OK;
    asks[0] = (struct ana_ask){finite_only, run->p, run->p_count, l->q, &l->d};
    if (!curve)
        return 1;
    asks[1] = (struct ana_ask){finite_only, curve_p, ANA_CURVE, curve, NULL};
    return 2;
}

/* What a metric of a cell is, of values that t has counted; with responses come those
 * of good answers, which are the same without the infinite ones. curve_p: the run's
 * curve is wanted as well; NULL: it is not. */
static int summarize_metric(struct ana_run *run, const struct ana_members *m,
                            struct ana_cell *cell, enum ana_metric metric,
                            const uint32_t *curve_p, struct ana_tally *t, struct err *e)
{
    struct ana_ask asks[4];
    size_t n = 0, slices = take_slices(m, metric);
    enum ana_metric last = metric == ANA_RESPONSE ? ANA_RESPONSE_OK : metric;

    for (enum ana_metric k = metric; k <= last; k++) {
        struct ana_latency *l = &cell->latency[k];
        l->q = arena_alloc(&run->arena, run->p_count * sizeof *l->q);
        if (!l->q)
            return err_set(e, ERR_NOMEM, "out of memory");
        n += ask_of(run, cell, k, curve_p, curve_p ? run->curve[k] : NULL, asks + n);
    }
    return ana_tally_ask(t, m->slices, slices, asks, n, e);
}

/* add: the cell is one of those that all operations are made of. */
static int summarize_cell(struct ana_run *run, const struct ana_members *m,
                          struct ana_cell *cell, struct tallies *t, bool add,
                          struct err *e)
{
    int rc = 0;

    for (size_t i = 0; i < m->count; i++)
        add_counts(&cell->counts, &m->leaves[i]->counts);
    for (int k = 0; k < ANA_METRIC_COUNT && rc == 0; k++) {
        enum ana_metric metric = (enum ana_metric)k;
        if (metric == ANA_RESPONSE_OK)
            continue;
        size_t n = take_slices(m, metric);
        ana_tally_reset(t->cell);
        for (size_t i = 0; i < n; i++)
            ana_tally_count(t->cell, &m->slices[i]);
        if (add)
            ana_tally_add(t->all[metric], t->cell);
        rc = summarize_metric(run, m, cell, metric, NULL, t->cell, e);
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
static int make_group(struct ana_run *run, const struct ana_members *all, bool types,
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
        struct ana_members m = {all->leaves + i, to - i, all->slices};
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
                      const struct ana_members *all, struct tallies *t, struct err *e)
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

/* Adds up responses at or above p99, and how much of them is our own lateness. Nearly
 * all are below, and narrow: those are passed over at once. */
static void add_tail(const struct ana_leaf *l, int64_t p99, double *late, double *whole)
{
    const int64_t *responses = l->wide[ANA_COL_RESPONSE].v,
                  *generators = l->wide[ANA_COL_GENERATOR].v;
    uint32_t from = p99 < 0 ? 0 : p99 < ANA_WIDE ? (uint32_t)p99 : ANA_WIDE;

    for (const struct ana_piece *p = l->first; p; p = p->next)
        for (size_t i = 0; i < p->n; i++) {
            if (p->narrow[ANA_COL_RESPONSE][i] < from &&
                p->narrow[ANA_COL_GENERATOR][i] != ANA_WIDE)
                continue;
            int64_t response = ana_piece_value(p, ANA_COL_RESPONSE, i, &responses);
            int64_t generator = ana_piece_value(p, ANA_COL_GENERATOR, i, &generators);
            if (response < p99 || response == ANA_INF || response < 0)
                continue;
            *whole += (double)response;
            if (generator > 0)
                *late += (double)generator;
        }
}

static void find_tail_share(struct ana_run *run, const struct ana_members *m)
{
    int64_t p99 = ana_quantile_at(run, &run->all.latency[ANA_RESPONSE_OK], ANA_P(99));
    double late = 0, whole = 0;

    for (size_t i = 0; i < m->count; i++)
        add_tail(m->leaves[i], p99, &late, &whole);
    run->tail_share = whole > 0 ? late / whole : NAN;
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

static int summarize_all(const struct ana_scan *s, const struct ana_members *m,
                         struct tallies *t, struct err *e)
{
    struct ana_run *run = s->run;
    struct ana_cell *all = &run->all;
    uint32_t curve_p[ANA_CURVE];
    bool is_only_cell = run->cell_count == 1 && !run->charts;
    int rc = 0;

    for (size_t i = 0; i < ANA_CURVE; i++)
        curve_p[i] = ana_curve_p(i);
    for (size_t i = 0; i < m->count; i++)
        add_counts(&all->counts, &m->leaves[i]->counts);
    for (int k = 0; k < ANA_METRIC_COUNT && rc == 0; k++) {
        enum ana_metric metric = (enum ana_metric)k;
        if (metric != ANA_RESPONSE_OK && !is_only_cell)
            rc = summarize_metric(run, m, all, metric, run->charts ? curve_p : NULL,
                                  t->all[metric], e);
    }
    if (is_only_cell) /* what it is made of is all there is */
        memcpy(all->latency, run->cells[0].latency, sizeof all->latency);
    if (rc == 0 && run->charts && run->first_due_ns != OP_TIME_NONE)
        rc = ana_make_series(s, m, t->cell, e);
    if (rc == 0)
        find_tail_share(run, m);
    return rc;
}

int ana_summarize(struct ana_scan *s, struct err *e)
{
    size_t n = s->leaf_count, kept = 0, most = 1;
    for (size_t i = 0; i < n; i++)
        most += s->leaves[i].piece_count + 1;
    const struct ana_leaf **sorted = malloc((n + 1) * sizeof *sorted);
    struct ana_slice *slices = malloc(most * sizeof *slices);
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
        struct ana_members all = {sorted, kept, slices};
        rc = make_cells(s->run, sorted, &all, &t, e);
        if (rc == 0)
            rc = summarize_all(s, &all, &t, e);
    }
    tallies_done(&t);
    free(slices);
    free(sorted);
    return rc;
}

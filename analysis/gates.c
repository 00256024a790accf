/*
 * gates.c - the effects of every gate, their tests, and the verdict; see compare.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/compare.h"

#define POWER         0.8
#define Q_DISCOVERY   0.05
#define LATE_MULTIPLE 2 /* of the generator's lateness, for the floor */

/* --- what gates look at -------------------------------------------------------------
 */

/* Cells are numbered through: -1 is all operations, after the cells come the types. */
static const struct ana_cell *cell_of(const struct ana_run *run, ptrdiff_t cell)
{
    ptrdiff_t names = (ptrdiff_t)run->cell_count;
    return cell < 0       ? &run->all
           : cell < names ? &run->cells[cell]
                          : &run->types[cell - names];
}

static size_t numbered_cells(const struct ana_run *run)
{
    return run->cell_count + run->type_count;
}

double ana_tolerance_share(const struct ana_comparison *c, uint32_t p)
{
    for (size_t i = 0; i < c->config.tolerance_count; i++)
        if (c->config.tolerances[i].p == p)
            return c->config.tolerances[i].share;
    return p <= ANA_P(90) ? 0.02 : p <= ANA_P(99) ? 0.03 : 0.10;
}

/* Twice the median over all runs of what the generator was late by at p99, or the floor
 * that was asked for: what is smaller than our own noise does not matter. */
static int64_t find_floor(const struct ana_comparison *c)
{
    int64_t late[2 * ANA_PAIRS_MAX];
    size_t n = 0;

    for (unsigned i = 0; i < c->pair_count; i++)
        for (int arm = 0; arm < 2; arm++) {
            const struct ana_run *run = ana_pair_run(c, i, arm);
            int64_t v =
                ana_quantile_at(run, &run->all.latency[ANA_GENERATOR], ANA_P(99));
            if (v >= 0)
                late[n++] = v;
        }
    int64_t ours = n ? LATE_MULTIPLE * ana_select(late, n, (n - 1) / 2) : 0;
    return ours > c->config.floor_ns ? ours : c->config.floor_ns;
}

const struct ana_run *ana_pair_run(const struct ana_comparison *c, unsigned pair,
                                   int arm)
{
    return &c->runs[arm == 0 ? c->pairs[pair].a : c->pairs[pair].b];
}

static double log_ratio(int64_t a, int64_t b)
{
    if (a == ANA_INF)
        return -INFINITY;
    if (b == ANA_INF)
        return INFINITY;
    return log((double)(b > 0 ? b : 1)) - log((double)(a > 0 ? a : 1));
}

static double error_rate(const struct ana_cell *cell)
{
    return cell->counts.due == 0 ? 0
                                 : (double)(cell->counts.due - cell->counts.ok) /
                                       (double)cell->counts.due;
}

static void measure_errors(const struct ana_comparison *c, struct ana_gate *g,
                           ptrdiff_t cell)
{
    for (unsigned i = 0; i < g->n; i++) {
        double a = error_rate(cell_of(&c->runs[c->pairs[i].a], cell));
        double b = error_rate(cell_of(&c->runs[c->pairs[i].b], cell));
        g->d[i] = b - a;
        g->a_rate += a / g->n;
        g->b_rate += b / g->n;
    }
    g->tolerance = g->relative = c->config.error_margin;
    g->least_n = cell_of(&c->runs[c->pairs[0].a], cell)->counts.due;
}

static void measure_latency(const struct ana_comparison *c, struct ana_gate *g,
                            ptrdiff_t cell)
{
    int64_t a[ANA_PAIRS_MAX], b[ANA_PAIRS_MAX];

    g->least_n = UINT64_MAX;
    g->needed_n = ana_needed(g->spec.p);
    for (unsigned i = 0; i < g->n; i++) {
        const struct ana_run *ra = &c->runs[c->pairs[i].a],
                             *rb = &c->runs[c->pairs[i].b];
        const struct ana_latency *la = &cell_of(ra, cell)->latency[g->spec.metric];
        const struct ana_latency *lb = &cell_of(rb, cell)->latency[g->spec.metric];
        uint64_t n = la->d.n < lb->d.n ? la->d.n : lb->d.n;
        a[i] = ana_quantile_at(ra, la, g->spec.p);
        b[i] = ana_quantile_at(rb, lb, g->spec.p);
        g->least_n = n < g->least_n ? n : g->least_n;
        if (a[i] == ANA_NONE || b[i] == ANA_NONE)
            g->why = ANA_WHY_NO_VALUES;
        else if (ana_estimable(n, g->spec.p) != ANA_JUDGED && g->why == ANA_WHY_NOTHING)
            g->why = ANA_WHY_NOT_ESTIMABLE;
        else if (a[i] == ANA_INF && b[i] == ANA_INF && g->why == ANA_WHY_NOTHING)
            g->why = ANA_WHY_ERRORS_DOMINATE;
        g->d[i] = log_ratio(a[i], b[i]);
    }
    g->a_ns = ana_select(a, g->n, (g->n - 1) / 2);
    g->b_ns = ana_select(b, g->n, (g->n - 1) / 2);
    g->relative = ana_tolerance_share(c, g->spec.p);
    g->floor =
        g->a_ns > 0 && g->a_ns != ANA_INF ? (double)c->floor_ns / (double)g->a_ns : 0;
    g->tolerance = log1p(fmax(g->relative, g->floor));
}

static int measure(struct ana_comparison *c, struct ana_gate *g,
                   const struct ana_gate_spec *spec, ptrdiff_t cell, struct err *e)
{
    *g = (struct ana_gate){.spec = *spec,
                           .cell = cell_of(&c->runs[c->pairs[0].a], cell),
                           .is_all = cell < 0,
                           .n = c->pair_count,
                           .q = NAN,
                           .verdict = ANA_INCONCLUSIVE,
                           .evidence = ANA_INCONCLUSIVE};
    g->d = arena_alloc(&c->arena, g->n * sizeof *g->d);
    if (!g->d)
        return err_set(e, ERR_NOMEM, "out of memory");
    if (spec->errors)
        measure_errors(c, g, cell);
    else
        measure_latency(c, g, cell);
    return 0;
}

static int add_gate(struct ana_comparison *c, const struct ana_gate_spec *spec,
                    ptrdiff_t cell, struct err *e)
{
    if (c->gate_count == ANA_GATES_MAX)
        return err_set(e, ERR_USAGE, "more than %d gates", ANA_GATES_MAX);
    return measure(c, &c->gates[c->gate_count++], spec, cell, e);
}

/* A gate on a model (or, where no model has the name, on a model type) is one for each
 * protocol by which it was asked. */
static int add_model_gates(struct ana_comparison *c, const struct ana_gate_spec *spec,
                           struct err *e)
{
    const struct ana_run *run = &c->runs[c->pairs[0].a];
    bool found = false, found_name = false;

    for (size_t i = 0; i < numbered_cells(run); i++) {
        const struct ana_cell *cell = cell_of(run, (ptrdiff_t)i);
        bool by_type = i >= run->cell_count;
        if (strcmp(cell->name, spec->model) != 0 || (by_type && found_name))
            continue;
        int rc = add_gate(c, spec, (ptrdiff_t)i, e);
        if (rc < 0)
            return rc;
        found = true;
        found_name = found_name || !by_type;
    }
    if (!found)
        return err_set(e, ERR_USAGE,
                       "no operation of '%s' is in the runs (the first %s is '%.60s')",
                       spec->model, run->grouped ? "model type" : "model",
                       run->cell_count ? run->cells[0].name : "");
    return 0;
}

static int build_gates(struct ana_comparison *c, struct err *e)
{
    static const struct ana_gate_spec standard[] = {
        {.metric = ANA_RESPONSE, .p = ANA_P(50)},
        {.metric = ANA_RESPONSE, .p = ANA_P(95)},
        {.metric = ANA_RESPONSE, .p = ANA_P(99)},
    };
    const struct ana_gate_spec *specs =
        c->config.gate_count ? c->config.gates : standard;
    size_t n = c->config.gate_count ? c->config.gate_count : 3;
    bool errors = false;
    int rc = 0;

    c->gates = arena_alloc(&c->arena, ANA_GATES_MAX * sizeof *c->gates);
    if (!c->gates)
        return err_set(e, ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < n && rc == 0; i++) {
        errors = errors || (specs[i].errors && !specs[i].model);
        rc = specs[i].model ? add_model_gates(c, &specs[i], e)
                            : add_gate(c, &specs[i], -1, e);
    }
    if (rc == 0 && !errors) /* always there: no speed excuses errors */
        rc = add_gate(c, &(struct ana_gate_spec){.errors = true}, -1, e);
    return rc;
}

/* --- what is only explored ----------------------------------------------------------
 */

static bool is_gate(const struct ana_comparison *c, const struct ana_gate_spec *s,
                    const struct ana_cell *cell)
{
    for (size_t i = 0; i < c->gate_count; i++) {
        const struct ana_gate *g = &c->gates[i];
        if (g->cell == cell && g->spec.errors == s->errors &&
            (s->errors || (g->spec.metric == s->metric && g->spec.p == s->p)))
            return true;
    }
    return false;
}

static int explore(struct ana_comparison *c, const struct ana_gate_spec *spec,
                   ptrdiff_t cell, struct err *e)
{
    if (is_gate(c, spec, cell_of(&c->runs[c->pairs[0].a], cell)))
        return 0;
    return measure(c, &c->explored[c->explored_count++], spec, cell, e);
}

static int build_explored(struct ana_comparison *c, struct err *e)
{
    static const struct ana_gate_spec overall[] = {
        {.metric = ANA_RESPONSE, .p = ANA_P(50)},
        {.metric = ANA_RESPONSE, .p = ANA_P(90)},
        {.metric = ANA_RESPONSE, .p = ANA_P(95)},
        {.metric = ANA_RESPONSE, .p = ANA_P(99)},
        {.metric = ANA_RESPONSE, .p = ANA_P(99.9)},
        {.metric = ANA_SERVICE, .p = ANA_P(50)},
        {.metric = ANA_SERVICE, .p = ANA_P(99)},
        {.metric = ANA_TTFB, .p = ANA_P(50)},
        {.metric = ANA_TTFB, .p = ANA_P(99)},
        {.metric = ANA_FIRST_MESSAGE, .p = ANA_P(50)},
        {.metric = ANA_FIRST_MESSAGE, .p = ANA_P(99)},
        {.metric = ANA_MESSAGE_GAP, .p = ANA_P(50)},
        {.metric = ANA_MESSAGE_GAP, .p = ANA_P(99)},
    };
    enum { OVERALL = sizeof overall / sizeof *overall };
    size_t cells = numbered_cells(&c->runs[c->pairs[0].a]);
    int rc = 0;

    c->explored = arena_alloc(&c->arena, (OVERALL + cells * (ANA_STANDARD_COUNT + 1)) *
                                             sizeof *c->explored);
    if (!c->explored)
        return err_set(e, ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < OVERALL && rc == 0; i++)
        if (!ana_is_of_streams(overall[i].metric) ||
            c->runs[c->pairs[0].a].all.latency[overall[i].metric].d.n > 0)
            rc = explore(c, &overall[i], -1, e);
    for (size_t k = 0; k < cells && rc == 0; k++) {
        for (size_t i = 0; i < ANA_STANDARD_COUNT && rc == 0; i++)
            rc = explore(
                c,
                &(struct ana_gate_spec){.metric = ANA_RESPONSE, .p = ana_standard_p[i]},
                (ptrdiff_t)k, e);
        if (rc == 0)
            rc = explore(c, &(struct ana_gate_spec){.errors = true}, (ptrdiff_t)k, e);
    }
    return rc;
}

int ana_gates_build(struct ana_comparison *c, struct err *e)
{
    c->floor_ns = find_floor(c);
    int rc = build_gates(c, e);
    return rc == 0 ? build_explored(c, e) : rc;
}

/* --- tests ------------------------------------------------------------------------ */

/* Everything about one gate that does not depend on the others. */
static void test_alone(struct ana_flips *f, struct ana_gate *g, double alpha)
{
    g->centre = ana_centre(g->d, g->n);
    g->ci = ana_flip_interval(f, g->d, alpha);
    g->ci_t = ana_t_interval(&g->centre, g->n, alpha);
    g->p_worse = ana_flip_p(f, g->d, 0, true);
    g->p_better = ana_flip_p(f, g->d, 0, false);
    g->p_above = ana_flip_p(f, g->d, -g->tolerance, true);
    g->p_below = ana_flip_p(f, g->d, g->tolerance, false);
}

static void plan_for(const struct ana_comparison *c, struct ana_gate *g)
{
    double t = c->critical;
    double half = t * g->centre.sd / sqrt((double)g->n);
    g->ci_all = (struct ana_interval){-INFINITY, INFINITY};
    g->mde = INFINITY;
    g->needed_pairs = 0;
    if (g->centre.by_sign)
        return;
    if (isfinite(t))
        g->ci_all =
            (struct ana_interval){g->centre.estimate - half, g->centre.estimate + half};
    g->mde = ana_mde(g->n, g->centre.sd, t, g->tolerance, POWER);
    if (g->n < 2)
        return;
    g->needed_pairs =
        ana_needed_pairs(g->centre.sd, g->tolerance, c->config.alpha, POWER);
    if (g->needed_pairs < c->least_pairs)
        g->needed_pairs = c->least_pairs;
}

static struct ana_drift drift_of(const struct ana_comparison *c,
                                 const struct ana_gate *g)
{
    bool a_first[ANA_PAIRS_MAX];
    for (unsigned i = 0; i < g->n; i++)
        a_first[i] = ana_pair_run(c, i, 0)->start_wall_ns <=
                     ana_pair_run(c, i, 1)->start_wall_ns;
    return ana_drift_of(g->d, a_first, g->n);
}

static enum ana_verdict judge_gate(const struct ana_gate *g, double alpha)
{
    struct ana_evidence ev = {g->centre.estimate, g->adj_worse, g->adj_better,
                              g->p_above, g->p_below};
    return ana_judge(&ev, g->tolerance, alpha);
}

/* The family: gates that have evidence. */
static size_t family(const struct ana_comparison *c, const double **d, size_t *index)
{
    size_t m = 0;
    for (size_t i = 0; i < c->gate_count; i++)
        if (c->gates[i].why == ANA_WHY_NOTHING) {
            d[m] = c->gates[i].d;
            index[m++] = i;
        }
    return m;
}

static int test_family(struct ana_comparison *c, struct ana_flips *f, struct err *e)
{
    const double *d[ANA_GATES_MAX];
    double worse[ANA_GATES_MAX], better[ANA_GATES_MAX], alpha = c->config.alpha;
    size_t index[ANA_GATES_MAX], m = family(c, d, index);
    int rc = ana_maxt(f, d, m, true, worse, e);

    if (rc == 0)
        rc = ana_maxt(f, d, m, false, better, e);
    if (rc == 0)
        rc = ana_maxt_critical(f, d, m, alpha, &c->critical, e);
    for (size_t i = 0; i < m && rc == 0; i++) {
        struct ana_gate *g = &c->gates[index[i]];
        test_alone(f, g, alpha);
        g->adj_worse = worse[i];
        g->adj_better = better[i];
        plan_for(c, g);
        g->drift = drift_of(c, g);
        g->verdict = g->evidence = judge_gate(g, alpha);
    }
    return rc;
}

static int test_explored(struct ana_comparison *c, struct ana_flips *f, struct err *e)
{
    double *p = malloc((c->explored_count + 1) * sizeof *p);
    int rc;

    if (!p)
        return err_set(e, ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < c->explored_count; i++) {
        struct ana_gate *g = &c->explored[i];
        p[i] = NAN;
        if (g->why != ANA_WHY_NOTHING)
            continue;
        test_alone(f, g, c->config.alpha);
        p[i] = fmin(1, 2 * fmin(g->p_worse, g->p_better));
    }
    rc = ana_bh(p, c->explored_count, e);
    for (size_t i = 0; i < c->explored_count && rc == 0; i++) {
        c->explored[i].q = p[i];
        c->discoveries += p[i] <= Q_DISCOVERY;
    }
    free(p);
    return rc;
}

/* --- the verdict ------------------------------------------------------------------ */

/* How much a gate says, for choosing the one to speak of: the effect in tolerances. */
static double weight(const struct ana_gate *g)
{
    if (g->why != ANA_WHY_NOTHING)
        return -INFINITY;
    double tolerances = g->centre.estimate / fmax(g->tolerance, 1e-12);
    return g->verdict == ANA_IMPROVED ? -tolerances : tolerances;
}

static void decide(struct ana_comparison *c)
{
    for (size_t i = 0; i < c->gate_count; i++) {
        struct ana_gate *g = &c->gates[i];
        bool green = g->evidence < ANA_INCONCLUSIVE;
        if (c->layout.capped || (c->attrition && green)) {
            g->verdict = ANA_INCONCLUSIVE;
            g->capped = g->evidence != ANA_INCONCLUSIVE;
        }
        c->counts[g->verdict]++;
    }
    c->verdict = ana_overall(c->counts);
    for (size_t i = 0; i < c->gate_count; i++) {
        const struct ana_gate *g = &c->gates[i];
        if (g->verdict == c->verdict && (!c->worst || weight(g) > weight(c->worst)))
            c->worst = g;
    }
}

/* The verdict without pair `out`, from the tests alone. */
static int verdict_without(const struct ana_comparison *c, struct ana_flips *f,
                           unsigned out, double *store, enum ana_verdict *verdict,
                           struct err *e)
{
    const double *d[ANA_GATES_MAX];
    double worse[ANA_GATES_MAX], better[ANA_GATES_MAX];
    size_t index[ANA_GATES_MAX], m = family(c, d, index);
    unsigned counts[ANA_VERDICT_COUNT] = {0};
    int rc;

    for (size_t i = 0; i < m; i++) {
        double *kept = store + i * f->n;
        memcpy(kept, d[i], out * sizeof *kept);
        memcpy(kept + out, d[i] + out + 1, (f->n - out) * sizeof *kept);
        d[i] = kept;
    }
    rc = ana_maxt(f, d, m, true, worse, e);
    if (rc == 0)
        rc = ana_maxt(f, d, m, false, better, e);
    counts[ANA_INCONCLUSIVE] = (unsigned)(c->gate_count - m);
    for (size_t i = 0; i < m && rc == 0; i++) {
        struct ana_gate g = c->gates[index[i]];
        g.centre = ana_centre(d[i], f->n);
        g.adj_worse = worse[i];
        g.adj_better = better[i];
        g.p_above = ana_flip_p(f, d[i], -g.tolerance, true);
        g.p_below = ana_flip_p(f, d[i], g.tolerance, false);
        counts[judge_gate(&g, c->config.alpha)]++;
    }
    *verdict = ana_overall(counts);
    return rc;
}

/* A verdict that one pair can turn over is told as fragile. */
static int find_fragility(struct ana_comparison *c, struct err *e)
{
    struct ana_flips f;
    double *store;
    int rc = 0;

    if (c->layout.capped || c->attrition || c->pair_count <= c->least_pairs ||
        c->verdict == ANA_INCONCLUSIVE)
        return 0;
    rc = ana_flips_init(&f, c->pair_count - 1, c->config.seed, e);
    if (rc < 0)
        return rc;
    store = malloc(ANA_GATES_MAX * c->pair_count * sizeof *store);
    if (!store)
        rc = err_set(e, ERR_NOMEM, "out of memory");
    for (unsigned i = 0; i < c->pair_count && rc == 0 && !c->fragile; i++) {
        enum ana_verdict v;
        rc = verdict_without(c, &f, i, store, &v, e);
        if (rc == 0 && v != c->verdict) {
            c->fragile = true;
            c->fragile_pair = i;
        }
    }
    free(store);
    ana_flips_done(&f);
    return rc;
}

int ana_gates_judge(struct ana_comparison *c, struct err *e)
{
    struct ana_flips f;
    int rc = ana_flips_init(&f, c->pair_count, c->config.seed, e);

    if (rc < 0)
        return rc;
    rc = test_family(c, &f, e);
    if (rc == 0)
        rc = test_explored(c, &f, e);
    ana_flips_done(&f);
    if (rc < 0)
        return rc;
    decide(c);
    return find_fragility(c, e);
}

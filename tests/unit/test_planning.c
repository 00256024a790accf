/*
 * test_planning.c - planned numbers of pairs against tables, simulation and hand-made
 * comparisons.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/check.h"

#include <math.h>
#include <string.h>

#include "analysis/planning.h"
#include "traces/base/rng.h"

#define PAIRS 8
#define GATES 3

/* --- what planning says of spread and power ------------------------------------------
 */

static void the_upper_limit_of_a_spread_is_that_of_tables(void **state)
{
    /* 20 % quantiles of chi-squared: NIST/SEMATECH e-Handbook's definition, values by
     * SciPy 1.10. */
    static const struct {
        unsigned n;
        double chi2;
    } rows[] = {{4, 1.005174}, {6, 2.342534}, {10, 5.380053}, {31, 23.364115}};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        double want = 0.03 * sqrt((rows[i].n - 1) / rows[i].chi2);
        double got = ana_sd_upper(0.03, rows[i].n, 0.8);
        check_true(fabs(got / want - 1) < 0.01);
    }
}

/* Share of 1,000 experiments that call the first of `gates` independent gates
 * REGRESSED. */
static double simulated_power(unsigned n, unsigned gates, double sd, double effect,
                              double tolerance, uint64_t seed)
{
    enum { ROUNDS = 1000, MOST = 4 };
    double v[MOST][20], worse[MOST];
    const double *d[MOST];
    struct ana_flips f;
    struct err e = {0};
    struct rng r;
    unsigned found = 0;

    rng_init(&r, seed);
    check_ok(ana_flips_init(&f, n, 0, &e), &e);
    for (int round = 0; round < ROUNDS; round++) {
        for (unsigned g = 0; g < gates; g++) {
            for (unsigned i = 0; i < n; i++)
                v[g][i] = (g == 0 ? effect : 0) + sd * rng_normal(&r);
            d[g] = v[g];
        }
        check_ok(ana_maxt(&f, d, gates, true, worse, &e), &e);
        found += worse[0] <= 0.05 && ana_centre(d[0], n).estimate >= tolerance;
    }
    ana_flips_done(&f);
    return (double)found / ROUNDS;
}

static void the_planned_power_is_what_experiments_have(void **state)
{
    static const struct {
        unsigned n, gates;
        double sd, effect;
    } worlds[] = {
        {8, 1, 0.03, 0.05}, {10, 1, 0.05, 0.05}, {14, 1, 0.05, 0.05},
        {8, 4, 0.03, 0.05}, {10, 4, 0.03, 0.04}, {14, 4, 0.05, 0.05},
    };
    double tolerance = log(1.03);

    (void)state;
    for (size_t i = 0; i < sizeof worlds / sizeof *worlds; i++) {
        unsigned n = worlds[i].n, gates = worlds[i].gates;
        double planned =
            ana_plan_power(n, worlds[i].effect, worlds[i].sd, tolerance, 0.05, gates);
        double seen = simulated_power(n, gates, worlds[i].sd, worlds[i].effect,
                                      tolerance, 100 + i);
        if (fabs(planned - seen) >= 0.06)
            fail_msg("%u pairs, %u gates, sd %.2f: planned %.3f, seen %.3f", n, gates,
                     worlds[i].sd, planned, seen);
    }
}

static void fewer_pairs_than_patterns_of_signs_need_have_no_power(void **state)
{
    (void)state;
    check_true(ana_plan_power(4, 0.5, 0.001, 0.03, 0.05, 1) == 0);
    check_true(ana_plan_power(5, 0.5, 0.001, 0.03, 0.05, 1) > 0.99);
    check_true(ana_plan_power(5, 0.05, 0, 0.03, 0.05, 1) == 1); /* no spread at all */
    check_true(ana_plan_power(5, 0.02, 0, 0.03, 0.05, 1) == 0);
}

/* --- from a comparison -------------------------------------------------------------
 */

struct made {
    struct ana_comparison c;
    struct ana_gate gates[GATES];
    struct ana_run runs[2 * PAIRS];
    struct ana_pair pairs[PAIRS];
};

/* Pairs 300 s apart, A first in every other one. */
static void make(struct made *m)
{
    static const double sd[GATES] = {0.01, 0.03, 0};

    memset(m, 0, sizeof *m);
    m->c.config.alpha = 0.05;
    m->c.runs = m->runs;
    m->c.run_count = 2 * PAIRS;
    m->c.a_count = PAIRS;
    m->c.pairs = m->pairs;
    m->c.pair_count = PAIRS;
    m->c.layout.kind = ANA_LAYOUT_PAIRED_RANDOM;
    m->c.gates = m->gates;
    m->c.gate_count = GATES;
    m->c.critical = 2.5;
    for (unsigned i = 0; i < PAIRS; i++) {
        m->pairs[i] = (struct ana_pair){i, PAIRS + i};
        int64_t start = (1000 + 300 * (int64_t)i) * 1000000000;
        m->runs[i].start_wall_ns = start + (i % 2 ? 100000000000 : 0);
        m->runs[PAIRS + i].start_wall_ns = start + (i % 2 ? 0 : 100000000000);
    }
    for (size_t i = 0; i < GATES; i++) {
        struct ana_gate *g = &m->gates[i];
        g->is_all = true;
        g->spec.metric = ANA_RESPONSE;
        g->spec.p = i == 0 ? ANA_P(50) : ANA_P(99);
        g->n = PAIRS;
        g->tolerance = log(i == 0 ? 1.02 : 1.03);
        g->centre.sd = sd[i];
    }
    m->gates[2].spec = (struct ana_gate_spec){.errors = true};
    m->gates[2].tolerance = 0.001;
}

static void plan_it(struct made *m, struct ana_plan *plan, double detect)
{
    struct err e = {0};
    check_ok(ana_plan_make(plan, &m->c, log1p(detect), 0.002, 0.8, &e), &e);
}

static void the_gate_that_needs_most_pairs_decides(void **state)
{
    struct made m;
    struct ana_plan plan;

    (void)state;
    make(&m);
    plan_it(&m, &plan, 0.05);
    check_true(plan.cannot == NULL);
    check_true(plan.decides == &m.gates[1]);
    check_true(plan.pair_ns == 300000000000);
    check_true(plan.family > 1 && plan.family < 3);
    for (size_t i = 0; i < GATES; i++) {
        const struct ana_gate_plan *p = &plan.gates[i];
        double alpha = m.c.config.alpha, effect = i == 2 ? 0.002 : log(1.05);
        unsigned n = p->detect.likely;
        check_true(p->possible);
        check_true(n >= 5 && p->detect.cautious >= n);
        check_true(ana_plan_power(n, effect, p->sd, m.gates[i].tolerance, alpha,
                                  plan.family) >= 0.8);
        check_true(ana_plan_power(n - 1, effect, p->sd, m.gates[i].tolerance, alpha,
                                  plan.family) < 0.8);
        check_true(plan.needed.likely >= n);
        check_true(plan.needed.likely >= p->pass.likely);
        check_true(plan.needed.cautious >= p->detect.cautious);
    }
    check_true(plan.gates[1].pass.likely ==
               ana_needed_pairs(0.03, log(1.03), 0.05, 0.8));
    arena_done(&m.c.arena);
}

static void more_pairs_detect_smaller_changes(void **state)
{
    struct made m;
    struct ana_plan plan;

    (void)state;
    make(&m);
    plan_it(&m, &plan, 0.05);
    for (size_t k = 1; k < ANA_PLAN_COLUMNS; k++) {
        check_true(plan.gates[1].mde[k] < plan.gates[1].mde[k - 1]);
        check_true(plan.gates[1].mde[k] > log(1.03));
    }
    arena_done(&m.c.arena);
}

static void a_change_within_the_tolerance_is_found_by_no_number_of_pairs(void **state)
{
    struct made m;
    struct ana_plan plan;

    (void)state;
    make(&m);
    plan_it(&m, &plan, 0.03);
    check_true(plan.gates[0].detect.likely > 0); /* its tolerance is 2 % */
    check_true(plan.gates[1].detect.likely == 0);
    check_true(plan.needed.likely == 0 && plan.needed.cautious == 0);
    check_true(plan.decides == &m.gates[1]);
    arena_done(&m.c.arena);
}

static void gates_without_numbers_are_left_out(void **state)
{
    struct made m;
    struct ana_plan plan;

    (void)state;
    make(&m);
    m.gates[0].why = ANA_WHY_NOT_ESTIMABLE;
    m.gates[1].centre.by_sign = true;
    plan_it(&m, &plan, 0.05);
    check_true(!plan.gates[0].possible && !plan.gates[1].possible);
    check_true(plan.decides == &m.gates[2] && plan.needed.cautious == 5);
    m.gates[2].why = ANA_WHY_NO_VALUES;
    plan_it(&m, &plan, 0.05);
    check_true(plan.decides == NULL && plan.cannot == NULL);
    arena_done(&m.c.arena);
}

static void runs_that_are_no_pairs_give_no_plan(void **state)
{
    struct made m;
    struct ana_plan plan;

    (void)state;
    make(&m);
    m.c.layout.kind = ANA_LAYOUT_SEQUENTIAL;
    plan_it(&m, &plan, 0.05);
    check_true(strstr(plan.cannot, "run a campaign") != NULL);
    make(&m);
    m.c.pair_count = 3;
    plan_it(&m, &plan, 0.05);
    check_true(strstr(plan.cannot, "fewer than 4") != NULL);
    make(&m);
    m.c.invalid = "no pair is left";
    plan_it(&m, &plan, 0.05);
    check_true(plan.cannot == m.c.invalid);
}

static void the_time_of_a_pair_is_left_out_where_starts_are_unknown(void **state)
{
    struct made m;
    struct ana_plan plan;

    (void)state;
    make(&m);
    m.runs[3].start_wall_ns = m.runs[PAIRS + 3].start_wall_ns = 0;
    plan_it(&m, &plan, 0.05);
    check_true(plan.pair_ns == 0);
    arena_done(&m.c.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_upper_limit_of_a_spread_is_that_of_tables),
        cmocka_unit_test(the_planned_power_is_what_experiments_have),
        cmocka_unit_test(fewer_pairs_than_patterns_of_signs_need_have_no_power),
        cmocka_unit_test(the_gate_that_needs_most_pairs_decides),
        cmocka_unit_test(more_pairs_detect_smaller_changes),
        cmocka_unit_test(a_change_within_the_tolerance_is_found_by_no_number_of_pairs),
        cmocka_unit_test(gates_without_numbers_are_left_out),
        cmocka_unit_test(runs_that_are_no_pairs_give_no_plan),
        cmocka_unit_test(the_time_of_a_pair_is_left_out_where_starts_are_unknown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

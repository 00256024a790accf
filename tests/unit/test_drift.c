/*
 * test_drift.c - effects of order and of time, against values worked out by SciPy.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/check.h"

#include <math.h>
#include <string.h>

#include "analysis/drift.h"
#include "traces/base/rng.h"

#define NEAR(a, b) check_true(fabs((a) - (b)) < 1e-9)

static const double d[8] = {0.031, 0.012, 0.045, 0.022, 0.050, 0.018, 0.061, 0.040};
static const bool first[8] = {true, false, true, false, true, false, true, true};

/* scipy.stats.ttest_ind(d[A first], d[B first]) and scipy.stats.linregress(range(8), d)
 */
static void both_tests_are_scipys(void **state)
{
    struct ana_drift r = ana_drift_of(d, first, 8);

    (void)state;
    NEAR(r.order, 0.0280666666667);
    NEAR(r.order_p, 0.00706019159602);
    NEAR(r.trend, 0.00303571428571);
    NEAR(r.trend_p, 0.279241479859);
}

static void too_few_pairs_say_nothing(void **state)
{
    const bool same[8] = {true, true, true, true, true, true, true, true};
    struct ana_drift r = ana_drift_of(d, same, 8);

    (void)state;
    check_true(isnan(r.order) && isnan(r.order_p) && !isnan(r.trend));
    r = ana_drift_of(d, first, 2);
    check_true(isnan(r.order) && isnan(r.trend) && isnan(r.trend_p));
}

static void an_infinite_pair_silences_both(void **state)
{
    double v[8];
    memcpy(v, d, sizeof v);
    v[3] = INFINITY;
    struct ana_drift r = ana_drift_of(v, first, 8);

    (void)state;
    check_true(isnan(r.order_p) && isnan(r.trend_p));
}

static void equal_effects_have_no_drift(void **state)
{
    const double same[6] = {0.1, 0.1, 0.1, 0.1, 0.1, 0.1};
    struct ana_drift r = ana_drift_of(same, first, 6);

    (void)state;
    NEAR(r.order_p, 1);
    NEAR(r.trend_p, 1);
}

static void false_alarms_come_as_often_as_they_may(void **state)
{
    enum { ROUNDS = 4000, N = 10 };
    struct rng r;
    int order = 0, trend = 0;

    (void)state;
    rng_init(&r, 31);
    for (int round = 0; round < ROUNDS; round++) {
        double v[N];
        bool a[N];
        for (int i = 0; i < N; i++) {
            v[i] = 0.03 * rng_normal(&r);
            a[i] = i % 2;
        }
        struct ana_drift found = ana_drift_of(v, a, N);
        order += found.order_p <= 0.05;
        trend += found.trend_p <= 0.05;
    }
    check_int(order, >=, ROUNDS * 4 / 100);
    check_int(order, <=, ROUNDS * 6 / 100);
    check_int(trend, >=, ROUNDS * 4 / 100);
    check_int(trend, <=, ROUNDS * 6 / 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_tests_are_scipys),
        cmocka_unit_test(too_few_pairs_say_nothing),
        cmocka_unit_test(an_infinite_pair_silences_both),
        cmocka_unit_test(equal_effects_have_no_drift),
        cmocka_unit_test(false_alarms_come_as_often_as_they_may),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

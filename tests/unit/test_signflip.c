/*
 * test_signflip.c - sign-flip tests against brute force, hand-made cases and
 * simulation.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/signflip.h"
#include "analysis/verdict.h"
#include "traces/base/rng.h"

#define NEAR(a, b) check_true(fabs((a) - (b)) < 1e-9)

/* --- brute force: the definition, with no algebra in it ----------------------------
 */

static double student(const double *x, unsigned n)
{
    double mean = 0, squares = 0;
    for (unsigned i = 0; i < n; i++)
        mean += x[i] / n;
    for (unsigned i = 0; i < n; i++)
        squares += (x[i] - mean) * (x[i] - mean);
    double sd = sqrt(squares / (n - 1));
    if (sd < 1e-12 * fabs(mean) || sd == 0)
        return mean > 0 ? INFINITY : mean < 0 ? -INFINITY : 0;
    return mean / (sd / sqrt((double)n));
}

static double student_of_pattern(const double *d, unsigned n, uint64_t pattern,
                                 double shift, bool up)
{
    double x[16];
    for (unsigned i = 0; i < n; i++) {
        double v = up ? d[i] - shift : shift - d[i];
        x[i] = pattern >> i & 1 ? -v : v;
    }
    return student(x, n);
}

static bool reaches(double t, double observed)
{
    return t >= observed - 1e-9 * fmax(1, fabs(observed)) || t == observed;
}

static double brute_p(const double *d, unsigned n, double shift, bool up)
{
    double observed = student_of_pattern(d, n, 0, shift, up);
    size_t count = 0;
    for (uint64_t s = 0; s < UINT64_C(1) << n; s++)
        count += reaches(student_of_pattern(d, n, s, shift, up), observed);
    return (double)count / (double)(UINT64_C(1) << n);
}

/* Closed testing with the max statistic: p of a gate is the greatest, over all subsets
 * that hold it, of the chance that the subset's maximum reaches the subset's observed
 * maximum. */
static double brute_maxt(const double *const *d, size_t m, unsigned n, bool up,
                         size_t gate)
{
    double worst = 0;
    for (unsigned set = 1; set < 1u << m; set++) {
        double observed = -INFINITY;
        size_t count = 0;
        if (!(set >> gate & 1))
            continue;
        for (size_t g = 0; g < m; g++)
            if (set >> g & 1)
                observed = fmax(observed, student_of_pattern(d[g], n, 0, 0, up));
        for (uint64_t s = 0; s < UINT64_C(1) << n; s++) {
            double most = -INFINITY;
            for (size_t g = 0; g < m; g++)
                if (set >> g & 1)
                    most = fmax(most, student_of_pattern(d[g], n, s, 0, up));
            count += reaches(most, observed);
        }
        worst = fmax(worst, (double)count / (double)(UINT64_C(1) << n));
    }
    return worst;
}

/* --- exactness -------------------------------------------------------------------- */

static void p_equals_enumeration_of_the_studentised_mean(void **state)
{
    struct rng r;
    double d[11];

    (void)state;
    rng_init(&r, 1);
    for (int round = 0; round < 60; round++) {
        unsigned n = 2 + (unsigned)rng_below(&r, 10);
        struct ana_flips f;
        struct err e = {0};
        for (unsigned i = 0; i < n; i++) /* every third round has ties */
            d[i] = round % 3 ? rng_normal(&r) + 0.3 : (double)rng_below(&r, 4) - 1;
        check_ok(ana_flips_init(&f, n, 0, &e), &e);
        NEAR(ana_flip_p(&f, d, 0, true), brute_p(d, n, 0, true));
        NEAR(ana_flip_p(&f, d, 0, false), brute_p(d, n, 0, false));
        NEAR(ana_flip_p(&f, d, 0.2, true), brute_p(d, n, 0.2, true));
        ana_flips_done(&f);
    }
}

static void adjusted_p_equals_closed_testing_by_enumeration(void **state)
{
    struct rng r;
    double v[4][8], adjusted[4];
    const double *d[4] = {v[0], v[1], v[2], v[3]};

    (void)state;
    rng_init(&r, 2);
    for (int round = 0; round < 12; round++) {
        unsigned n = 5 + (unsigned)rng_below(&r, 3);
        struct ana_flips f;
        struct err e = {0};
        for (unsigned i = 0; i < n; i++) {
            double shared = rng_normal(&r);
            for (int g = 0; g < 4; g++)
                v[g][i] = shared + rng_normal(&r) + g * 0.5;
        }
        check_ok(ana_flips_init(&f, n, 0, &e), &e);
        for (int up = 0; up < 2; up++) {
            check_ok(ana_maxt(&f, d, 4, up, adjusted, &e), &e);
            for (size_t g = 0; g < 4; g++)
                NEAR(adjusted[g], brute_maxt(d, 4, n, up, g));
        }
        ana_flips_done(&f);
    }
}

static void one_gate_alone_needs_no_adjustment(void **state)
{
    const double v[] = {0.03, 0.05, -0.01, 0.04, 0.02, 0.06}, *d[] = {v};
    struct ana_flips f;
    struct err e = {0};
    double p;

    (void)state;
    check_ok(ana_flips_init(&f, 6, 0, &e), &e);
    check_ok(ana_maxt(&f, d, 1, true, &p, &e), &e);
    NEAR(p, 2.0 / 64); /* the observed pattern, and the one that flips -0.01 */
    NEAR(p, ana_flip_p(&f, v, 0, true));
    ana_flips_done(&f);
}

static void equal_differences_give_the_least_p(void **state)
{
    const double same[] = {0.05, 0.05, 0.05, 0.05, 0.05}, zero[5] = {0};
    struct ana_flips f;
    struct err e = {0};

    (void)state;
    check_ok(ana_flips_init(&f, 5, 0, &e), &e);
    NEAR(ana_flip_p(&f, same, 0, true), 1.0 / 32);
    NEAR(ana_flip_p(&f, same, 0, false), 1);
    NEAR(ana_flip_p(&f, zero, 0, true), 1);
    NEAR(ana_flip_p(&f, zero, -0.001, true),
         1.0 / 32); /* equal: no worse, by any margin */
    struct ana_interval i = ana_flip_interval(&f, same, 0.05);
    NEAR(i.low, 0.05);
    NEAR(i.high, 0.05);
    ana_flips_done(&f);
}

static void the_fewest_pairs_follow_from_alpha(void **state)
{
    (void)state;
    check_int(ana_least_pairs(0.05), ==, 5);
    check_int(ana_least_pairs(0.0625), ==, 4);
    check_int(ana_least_pairs(0.01), ==, 7);
    check_int(ana_least_pairs(0.5), ==, 1);
}

static void four_pairs_can_not_reject_at_five_percent(void **state)
{
    const double d[] = {0.5, 0.6, 0.7, 0.8}, *gates[] = {d};
    struct ana_flips f;
    struct err e = {0};
    double t;

    (void)state;
    check_ok(ana_flips_init(&f, 4, 0, &e), &e);
    check_true(ana_flip_p(&f, d, 0, true) > 0.05);
    struct ana_interval i = ana_flip_interval(&f, d, 0.05);
    check_true(isinf(i.low) && isinf(i.high));
    check_ok(ana_maxt_critical(&f, gates, 1, 0.05, &t, &e), &e);
    check_true(isinf(t));
    ana_flips_done(&f);
}

/* --- intervals -------------------------------------------------------------------- */

static void an_interval_ends_where_the_test_begins_to_reject(void **state)
{
    struct rng r;
    double d[20];

    (void)state;
    rng_init(&r, 3);
    for (int round = 0; round < 60; round++) {
        unsigned n = 5 + (unsigned)rng_below(&r, 14); /* exact and random patterns */
        struct ana_flips f;
        struct err e = {0};
        for (unsigned i = 0; i < n; i++)
            d[i] = rng_normal(&r);
        check_ok(ana_flips_init(&f, n, 7, &e), &e);
        struct ana_interval i = ana_flip_interval(&f, d, 0.05);
        check_true(i.low <= i.high);
        check_true(ana_flip_p(&f, d, i.low - 1e-7, true) <= 0.05);
        check_true(ana_flip_p(&f, d, i.low + 1e-7, true) > 0.05);
        check_true(ana_flip_p(&f, d, i.high + 1e-7, false) <= 0.05);
        check_true(ana_flip_p(&f, d, i.high - 1e-7, false) > 0.05);
        ana_flips_done(&f);
    }
}

static void intervals_cover_the_truth_as_often_as_they_say(void **state)
{
    enum { ROUNDS = 2000 };
    struct rng r;
    struct ana_flips f;
    struct err e = {0};
    double d[10];
    int covered = 0, t_covered = 0;

    (void)state;
    rng_init(&r, 4);
    check_ok(ana_flips_init(&f, 10, 0, &e), &e);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < 10; i++)
            d[i] = 0.7 + rng_normal(&r);
        struct ana_interval i = ana_flip_interval(&f, d, 0.05);
        struct ana_centre c = ana_centre(d, 10);
        struct ana_interval t = ana_t_interval(&c, 10, 0.05);
        covered += i.low <= 0.7 && 0.7 <= i.high;
        t_covered += t.low <= 0.7 && 0.7 <= t.high;
    }
    ana_flips_done(&f);
    /* 90 % and, since 51 of 1,024 patterns are allowed, a little more; se 0.7 points.
     */
    check_int(covered, >=, ROUNDS * 88 / 100);
    check_int(covered, <=, ROUNDS * 93 / 100);
    check_int(t_covered, >=, ROUNDS * 88 / 100);
    check_int(t_covered, <=, ROUNDS * 92 / 100);
}

/* --- infinities ------------------------------------------------------------------- */

static void an_infinite_pair_turns_the_test_into_the_sign_test(void **state)
{
    const double d[] = {INFINITY, 0.1, 0.2, INFINITY, 0.3, -0.1, 0.4, 0.5, 0.6, 0.7};
    struct ana_flips f;
    struct err e = {0};

    (void)state;
    check_ok(ana_flips_init(&f, 10, 0, &e), &e);
    NEAR(ana_flip_p(&f, d, 0, true), 11.0 / 1024); /* P(Bin(10, 1/2) >= 9) */
    struct ana_centre c = ana_centre(d, 10);
    check_true(c.by_sign);
    NEAR(c.estimate, 0.45);
    struct ana_interval i = ana_flip_interval(&f, d, 0.05);
    NEAR(i.low, 0.1); /* the second smallest: P(Bin <= 1) = 11 / 1024 <= 0.05 */
    check_true(isinf(i.high) && i.high > 0); /* the second largest is infinite */
    const double *gates[] = {d};
    double p;
    check_ok(ana_maxt(&f, gates, 1, true, &p, &e), &e);
    NEAR(p, 11.0 / 1024);
    ana_flips_done(&f);
}

static void the_middle_of_infinities_of_both_signs_is_no_effect(void **state)
{
    const double d[] = {INFINITY, -INFINITY}, more[] = {INFINITY, INFINITY, 0.1, -0.2};

    (void)state;
    check_true(ana_centre(d, 2).estimate == 0);
    NEAR(ana_centre(more, 4).estimate, 0.1);
}

/* --- many pairs ------------------------------------------------------------------- */

static void random_patterns_are_seeded_and_come_close_to_all(void **state)
{
    struct rng r;
    double d[15];
    struct ana_flips f, g;
    struct err e = {0};

    (void)state;
    rng_init(&r, 5);
    for (int i = 0; i < 15; i++)
        d[i] = rng_normal(&r) + 0.4;
    check_ok(ana_flips_init(&f, 15, 9, &e), &e);
    check_ok(ana_flips_init(&g, 15, 9, &e), &e);
    check_int(f.exact, ==, 0);
    check_true(ana_flip_p(&f, d, 0, true) == ana_flip_p(&g, d, 0, true));
    double truth = brute_p(d, 15, 0, true), p = ana_flip_p(&f, d, 0, true);
    check_true(fabs(p - truth) < 5 * sqrt(truth * (1 - truth) / 10000) + 2e-4);
    ana_flips_done(&f);
    ana_flips_done(&g);
}

static void hundreds_of_pairs_never_give_p_zero(void **state)
{
    double d[300];
    struct ana_flips f;
    struct err e = {0};

    (void)state;
    for (int i = 0; i < 300; i++)
        d[i] = 1 + i % 3;
    check_ok(ana_flips_init(&f, 300, 1, &e), &e);
    NEAR(ana_flip_p(&f, d, 0, true), 1.0 / ANA_RANDOM_FLIPS);
    ana_flips_done(&f);
}

static void counts_of_pairs_beyond_the_limit_are_refused(void **state)
{
    struct ana_flips f;
    struct err e = {0};

    (void)state;
    check_int(ana_flips_init(&f, 0, 1, &e), ==, ERR_LIMIT);
    err_clear(&e);
    check_int(ana_flips_init(&f, ANA_PAIRS_MAX + 1, 1, &e), ==, ERR_LIMIT);
    check_str_has(e.text, "513 pairs");
}

/* --- q-values --------------------------------------------------------------------- */

static void q_values_are_those_of_benjamini_and_hochberg(void **state)
{
    double p[] = {0.01, 0.04, NAN, 0.03, 0.005, 0.5};
    struct err e = {0};

    (void)state;
    check_ok(ana_bh(p, 6, &e), &e);
    NEAR(p[4], 0.025); /* 0.005 * 5 / 1 */
    NEAR(p[0], 0.025); /* 0.01 * 5 / 2 */
    NEAR(p[3], 0.05);  /* 0.03 * 5 / 3 = 0.05, and 0.04 * 5 / 4 is the same */
    NEAR(p[1], 0.05);
    NEAR(p[5], 0.5);
    check_true(isnan(p[2]));
}

/* --- what the whole procedure does, in worlds whose truth is known ------------------
 */

struct world {
    unsigned pairs, gates;
    double sd, effect, disturbed; /* of the log ratio; share of pairs with sd 15 % */
};

static unsigned verdicts(const struct world *w, int rounds, uint64_t seed,
                         unsigned counts[ANA_VERDICT_COUNT])
{
    enum { GATES = 8 };
    struct rng r;
    struct ana_flips f;
    struct err e = {0};
    double v[GATES][20], worse[GATES], better[GATES];
    const double *d[GATES];
    unsigned any = 0;

    memset(counts, 0, ANA_VERDICT_COUNT * sizeof *counts);
    rng_init(&r, seed);
    check_ok(ana_flips_init(&f, w->pairs, 0, &e), &e);
    for (int round = 0; round < rounds; round++) {
        bool regressed = false;
        for (unsigned i = 0; i < w->pairs; i++) { /* correlation 0.5 between gates */
            double shared = rng_normal(&r);
            double sd = rng_unit(&r) < w->disturbed ? 0.15 : w->sd;
            for (unsigned g = 0; g < w->gates; g++)
                v[g][i] = w->effect + sd * (shared + rng_normal(&r)) * sqrt(0.5);
        }
        for (unsigned g = 0; g < w->gates; g++)
            d[g] = v[g];
        check_ok(ana_maxt(&f, d, w->gates, true, worse, &e), &e);
        check_ok(ana_maxt(&f, d, w->gates, false, better, &e), &e);
        for (unsigned g = 0; g < w->gates; g++) {
            double eps = log(1.03);
            struct ana_evidence ev = {ana_centre(d[g], w->pairs).estimate, worse[g],
                                      better[g], ana_flip_p(&f, d[g], -eps, true),
                                      ana_flip_p(&f, d[g], eps, false)};
            enum ana_verdict verdict = ana_judge(&ev, eps, 0.05);
            counts[verdict]++;
            regressed = regressed || worse[g] <= 0.05;
        }
        any += regressed;
    }
    ana_flips_done(&f);
    return any;
}

static void false_alarms_of_eight_gates_stay_below_five_percent(void **state)
{
    unsigned counts[ANA_VERDICT_COUNT];
    const struct world plain = {10, 8, 0.03, 0, 0}, disturbed = {10, 8, 0.03, 0, 0.1};

    (void)state;
    /* 5 % of 500 is 25; 34 is the 97 % point. Significance alone, without the
     * tolerance. */
    check_int(verdicts(&plain, 500, 11, counts), <=, 34);
    check_int(verdicts(&disturbed, 500, 12, counts), <=, 34);
}

static void a_slowdown_of_five_percent_is_found(void **state)
{
    unsigned counts[ANA_VERDICT_COUNT];
    const struct world eight = {10, 8, 0.03, log(1.05), 0.05};
    const struct world one = {8, 1, 0.03, log(1.05), 0};

    (void)state;
    verdicts(&eight, 200, 13, counts);
    check_int(counts[ANA_REGRESSED], >=, 200 * 8 * 78 / 100);
    verdicts(&one, 300, 14, counts);
    check_int(counts[ANA_REGRESSED], >=, 300 * 90 / 100);
    check_int(counts[ANA_IMPROVED], ==, 0);
}

static void a_slowdown_of_the_tolerance_is_rarely_called_not_worse(void **state)
{
    unsigned counts[ANA_VERDICT_COUNT];
    const struct world w = {10, 1, 0.03, log(1.03), 0};

    (void)state;
    verdicts(&w, 1000, 15, counts);
    check_int(counts[ANA_NOT_WORSE] + counts[ANA_NO_CHANGE] + counts[ANA_IMPROVED], <=,
              65);
}

static void no_change_is_said_when_nothing_changed(void **state)
{
    unsigned counts[ANA_VERDICT_COUNT];
    const struct world w = {10, 1, 0.03, 0, 0};

    (void)state;
    verdicts(&w, 500, 16, counts);
    check_int(counts[ANA_NO_CHANGE], >=, 500 * 70 / 100);
    check_int(counts[ANA_REGRESSED], <=, 5);
}

/* The printed MDE must be true: at that effect, about 80 % of experiments say
 * REGRESSED. */
static void the_minimum_detectable_effect_is_detected_as_often_as_promised(void **state)
{
    enum { N = 10, ROUNDS = 600 };
    struct rng r;
    struct ana_flips f;
    struct err e = {0};
    double d[N], t, eps = log(1.03), mde_of_truth;
    const double *gate[] = {d};
    int found = 0;

    (void)state;
    rng_init(&r, 17);
    check_ok(ana_flips_init(&f, N, 0, &e), &e);
    /* Critical value as one experiment sees it, averaged over a few. */
    double mean_t = 0;
    for (int k = 0; k < 40; k++) {
        for (int i = 0; i < N; i++)
            d[i] = 0.03 * rng_normal(&r);
        check_ok(ana_maxt_critical(&f, gate, 1, 0.05, &t, &e), &e);
        mean_t += t / 40;
    }
    mde_of_truth = ana_mde(N, 0.03, mean_t, eps, 0.8);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < N; i++)
            d[i] = mde_of_truth + 0.03 * rng_normal(&r);
        found += ana_flip_p(&f, d, 0, true) <= 0.05 && ana_centre(d, N).estimate >= eps;
    }
    ana_flips_done(&f);
    check_int(found, >=, ROUNDS * 75 / 100);
    check_int(found, <=, ROUNDS * 85 / 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(p_equals_enumeration_of_the_studentised_mean),
        cmocka_unit_test(adjusted_p_equals_closed_testing_by_enumeration),
        cmocka_unit_test(one_gate_alone_needs_no_adjustment),
        cmocka_unit_test(equal_differences_give_the_least_p),
        cmocka_unit_test(the_fewest_pairs_follow_from_alpha),
        cmocka_unit_test(four_pairs_can_not_reject_at_five_percent),
        cmocka_unit_test(an_interval_ends_where_the_test_begins_to_reject),
        cmocka_unit_test(intervals_cover_the_truth_as_often_as_they_say),
        cmocka_unit_test(an_infinite_pair_turns_the_test_into_the_sign_test),
        cmocka_unit_test(the_middle_of_infinities_of_both_signs_is_no_effect),
        cmocka_unit_test(random_patterns_are_seeded_and_come_close_to_all),
        cmocka_unit_test(hundreds_of_pairs_never_give_p_zero),
        cmocka_unit_test(counts_of_pairs_beyond_the_limit_are_refused),
        cmocka_unit_test(q_values_are_those_of_benjamini_and_hochberg),
        cmocka_unit_test(false_alarms_of_eight_gates_stay_below_five_percent),
        cmocka_unit_test(a_slowdown_of_five_percent_is_found),
        cmocka_unit_test(a_slowdown_of_the_tolerance_is_rarely_called_not_worse),
        cmocka_unit_test(no_change_is_said_when_nothing_changed),
        cmocka_unit_test(
            the_minimum_detectable_effect_is_detected_as_often_as_promised),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

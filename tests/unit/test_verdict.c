/*
 * test_verdict.c - the table of verdicts row by row, the exit status, power and
 * planning.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/check.h"

#include <math.h>

#include "analysis/verdict.h"

#define EPS 0.03

static void each_row_of_the_table_gives_its_word(void **state)
{
    static const struct {
        const char *what;
        struct ana_evidence ev; /* estimate, worse, better, above -eps, below +eps */
        enum ana_verdict want;
    } rows[] = {
        {"slower, beyond the tolerance", {0.06, 0.01, 1, 0.001, 0.9}, ANA_REGRESSED},
        {"slower, just at both limits", {EPS, 0.05, 1, 0.001, 0.5}, ANA_REGRESSED},
        {"significant but too small, interval fits",
         {0.01, 0.01, 1, 0.01, 0.01},
         ANA_NO_CHANGE},
        {"significant but too small, interval too wide",
         {0.02, 0.04, 1, 0.01, 0.2},
         ANA_INCONCLUSIVE},
        {"large but not significant", {0.09, 0.06, 0.9, 0.01, 0.8}, ANA_INCONCLUSIVE},
        {"faster, beyond the tolerance", {-0.06, 1, 0.01, 0.9, 0.001}, ANA_IMPROVED},
        {"faster but too small: a slow-down is excluded",
         {-0.02, 1, 0.01, 0.2, 0.001},
         ANA_NOT_WORSE},
        {"faster but not significant: a slow-down is excluded",
         {-0.06, 1, 0.06, 0.9, 0.001},
         ANA_NOT_WORSE},
        {"nothing, narrow", {0, 0.5, 0.5, 0.001, 0.001}, ANA_NO_CHANGE},
        {"nothing, wide", {0, 0.5, 0.5, 0.2, 0.2}, ANA_INCONCLUSIVE},
        {"only a speed-up is excluded", {0.02, 0.1, 0.9, 0.01, 0.3}, ANA_INCONCLUSIVE},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        enum ana_verdict got = ana_judge(&rows[i].ev, EPS, 0.05);
        if (got != rows[i].want) {
            print_error("%s: %s, wanted %s\n", rows[i].what, ana_verdict_names[got],
                        ana_verdict_names[rows[i].want]);
            fail();
        }
    }
}

static void the_worst_word_has_the_greatest_number(void **state)
{
    static const char *const from_best[] = {"IMPROVED",     "NO CHANGE", "NOT WORSE",
                                            "INCONCLUSIVE", "INVALID",   "REGRESSED"};
    (void)state;
    for (int v = 0; v < ANA_VERDICT_COUNT; v++)
        check_str(ana_verdict_names[v], from_best[v]);
}

static void slower_and_could_not_tell_never_share_a_status(void **state)
{
    struct ana_policy policy = {0};

    (void)state;
    check_int(ana_verdict_status(ANA_IMPROVED, &policy), ==, 0);
    check_int(ana_verdict_status(ANA_NO_CHANGE, &policy), ==, 0);
    check_int(ana_verdict_status(ANA_NOT_WORSE, &policy), ==, 0);
    check_int(ana_verdict_status(ANA_REGRESSED, &policy), ==, 1);
    check_int(ana_verdict_status(ANA_INCONCLUSIVE, &policy), ==, 2);
    check_int(ana_verdict_status(ANA_INVALID, &policy), ==, 3);
    policy = (struct ana_policy){true, true};
    check_int(ana_verdict_status(ANA_INCONCLUSIVE, &policy), ==, 0);
    check_int(ana_verdict_status(ANA_NOT_WORSE, &policy), ==, 2);
    check_int(ana_verdict_status(ANA_REGRESSED, &policy), ==, 1);
    check_int(ana_verdict_status(ANA_INVALID, &policy), ==, 3);
}

/* Pairs for 80 % power, one-sided 5 %: from the noncentral t distribution. */
static void needed_pairs_are_those_of_the_t_test(void **state)
{
    static const struct {
        double sd, effect;
        unsigned low, high;
    } rows[] = {
        {0.01, 0.02, 4, 4}, {0.02, 0.02, 7, 8},     {0.03, 0.02, 15, 16},
        {0.03, 0.03, 8, 8}, {0.03, 0.05, 4, 5},     {0.05, 0.03, 19, 20},
        {0.05, 0.05, 8, 9}, {0.10, 0.02, 158, 160}, {0.10, 0.10, 8, 9},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        unsigned n = ana_needed_pairs(rows[i].sd, log1p(rows[i].effect), 0.05, 0.8);
        check_int(n, >=, rows[i].low);
        check_int(n, <=, rows[i].high);
    }
    check_int(ana_needed_pairs(0, 0.03, 0.05, 0.8), ==, 2);
    check_int(ana_needed_pairs(0.5, 1e-6, 0.05, 0.8), ==, ANA_NEEDED_MAX);
    check_int(ana_needed_pairs(0.5, 0, 0.05, 0.8), ==, ANA_NEEDED_MAX);
}

static void the_detectable_effect_never_lies_below_the_tolerance(void **state)
{
    (void)state;
    check_true(ana_mde(10, 0, 1.8, EPS, 0.8) == EPS);
    check_true(ana_mde(10, 1e-6, 1.8, EPS, 0.8) > EPS);
    check_true(ana_mde(10, 0.03, 1.833, EPS, 0.8) > ana_mde(20, 0.03, 1.729, EPS, 0.8));
    check_true(isinf(ana_mde(4, 0.03, INFINITY, EPS, 0.8)));
    check_true(isinf(ana_mde(1, 0.03, 2, EPS, 0.8)));
    /* Without a tolerance: (t_.95 + about t_.80) sd / sqrt(n). */
    double mde = ana_mde(10, 0.03, 1.8331, 0, 0.8);
    check_true(fabs(mde - 0.0256) < 0.001);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_row_of_the_table_gives_its_word),
        cmocka_unit_test(the_worst_word_has_the_greatest_number),
        cmocka_unit_test(slower_and_could_not_tell_never_share_a_status),
        cmocka_unit_test(needed_pairs_are_those_of_the_t_test),
        cmocka_unit_test(the_detectable_effect_never_lies_below_the_tolerance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

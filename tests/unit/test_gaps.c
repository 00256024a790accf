/* test_gaps.c - the arrival test. SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/check.h"

#include "replay/gaps.h"
#include "traces/base/clk.h"

#define COUNT 2000

static struct rep_gaps gaps;

static int setup(void **state)
{
    (void)state;
    return rep_gaps_init(&gaps, NULL);
}

static int teardown(void **state)
{
    (void)state;
    rep_gaps_done(&gaps);
    return 0;
}

static void add(uint64_t i, int64_t ready, int64_t late)
{
    rep_gaps_add(&gaps, i, ready, ready + late);
}

static void punctual_sends_have_no_distance(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < COUNT; i++)
        add(i, (int64_t)i * CLK_MS, (int64_t)(i % 7) * 30 * CLK_US);
    check_int(gaps.sent.total, ==, COUNT - 1);
    check_true(rep_gaps_distance(&gaps) == 0);
}

static void what_is_late_alike_keeps_its_gaps(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < COUNT; i++)
        add(i, (int64_t)i * CLK_MS, 50 * CLK_MS);
    check_true(rep_gaps_distance(&gaps) == 0);
}

static void the_share_of_gaps_that_are_off_is_the_distance(void **state)
{
    (void)state;
    /* Every twentieth is 0.5 ms late: one gap in twenty is too long, one too short. */
    for (uint64_t i = 0; i < COUNT; i++)
        add(i, (int64_t)i * CLK_MS, i % 20 == 19 ? 500 * CLK_US : 0);
    double d = rep_gaps_distance(&gaps);
    check_true(d > 0.049 && d < 0.051);
}

static void bunches_are_found_whatever_the_rate(void **state)
{
    (void)state;
    /* 10,000/s, sent in bunches of ten. */
    for (uint64_t i = 0; i < COUNT; i++)
        add(i, (int64_t)i * 100 * CLK_US, (int64_t)(9 - i % 10) * 100 * CLK_US);
    check_true(rep_gaps_distance(&gaps) > 0.09);
}

static void outcomes_may_come_in_any_order(void **state)
{
    (void)state;
    /* Backwards within each hundred. */
    for (uint64_t i = 0; i < COUNT; i++) {
        uint64_t at = i / 100 * 100 + 99 - i % 100;
        add(at, (int64_t)at * CLK_MS, at % 20 == 19 ? 500 * CLK_US : 0);
    }
    check_int(gaps.sent.total, ==, COUNT - 1);
    double d = rep_gaps_distance(&gaps);
    check_true(d > 0.049 && d < 0.051);
}

static void gaps_beside_what_was_not_sent_do_not_count(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < COUNT; i++)
        if (i % 4 != 0)
            add(i, (int64_t)i * CLK_MS, 0);
    check_int(gaps.sent.total, ==, COUNT / 2);
}

static void few_gaps_tell_nothing(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < REP_GAPS_LEAST; i++)
        add(i, (int64_t)i * CLK_MS, (int64_t)(i % 2) * 10 * CLK_MS);
    check_true(rep_gaps_distance(&gaps) == 0);
    add(REP_GAPS_LEAST, REP_GAPS_LEAST * CLK_MS, 0);
    check_true(rep_gaps_distance(&gaps) > 0.4);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(punctual_sends_have_no_distance),
        TEST(what_is_late_alike_keeps_its_gaps),
        TEST(the_share_of_gaps_that_are_off_is_the_distance),
        TEST(bunches_are_found_whatever_the_rate),
        TEST(outcomes_may_come_in_any_order),
        TEST(gaps_beside_what_was_not_sent_do_not_count),
        TEST(few_gaps_tell_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_gaps.c - the arrival test. SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/check.h"

#include <math.h>

#include "replay/gaps.h"
#include "traces/base/clk.h"
#include "traces/base/rng.h"

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
    check_int(gaps.total, ==, COUNT - 1);
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
    check_int(gaps.total, ==, COUNT - 1);
    double d = rep_gaps_distance(&gaps);
    check_true(d > 0.049 && d < 0.051);
}

static void gaps_beside_what_was_not_sent_do_not_count(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < COUNT; i++)
        if (i % 4 != 0)
            add(i, (int64_t)i * CLK_MS, 0);
    check_int(gaps.total, ==, COUNT / 2);
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

/* --- arrivals as generators make them ----------------------------------------------
 */

/* Moments of a Poisson process of that rate. */
static void poisson(int64_t *at, double rate)
{
    struct rng rng;
    double t = 0;

    rng_init(&rng, 5);
    for (int i = 0; i < COUNT; i++) {
        t += -log(1 - (double)rng_below(&rng, 1u << 30) / (1u << 30)) / rate;
        at[i] = (int64_t)(t * (double)CLK_SEC);
    }
}

/* The distance when operation i, ready at ready[i], was sent at sent[i]. */
static double distance(const int64_t *ready, const int64_t *sent)
{
    rep_gaps_done(&gaps);
    check_int(rep_gaps_init(&gaps, NULL), ==, 0);
    for (int i = 0; i < COUNT; i++)
        rep_gaps_add(&gaps, (uint64_t)i, ready[i], sent[i]);
    return rep_gaps_distance(&gaps);
}

static const double rates[] = {10, 100, 1000, 10000};
#define RATES (sizeof rates / sizeof *rates)

static void random_arrivals_sent_at_their_time_have_no_distance(void **state)
{
    int64_t due[COUNT], sent[COUNT];
    (void)state;
    for (size_t r = 0; r < RATES; r++) {
        poisson(due, rates[r]);
        for (int i = 0; i < COUNT; i++)
            sent[i] = due[i] + i % 11 * 20 * CLK_US;
        check_true(distance(due, sent) == 0);
    }
}

static void bursts_are_found_in_random_arrivals(void **state)
{
    int64_t due[COUNT], sent[COUNT];
    (void)state;
    for (size_t r = 0; r < 3; r++) { /* five by five, when the last of them is due */
        poisson(due, rates[r]);
        for (int i = 0; i < COUNT; i++)
            sent[i] = due[i / 5 * 5 + 4];
        check_true(distance(due, sent) > 0.05);
    }
}

static void a_clock_that_ticks_in_milliseconds_is_found(void **state)
{
    int64_t due[COUNT], sent[COUNT];
    (void)state;
    for (size_t r = 0; r < 3; r++) {
        poisson(due, rates[r]);
        for (int i = 0; i < COUNT; i++)
            sent[i] = (due[i] + CLK_MS - 1) / CLK_MS * CLK_MS;
        check_true(distance(due, sent) > 0.05);
    }
}

/* The right number of gaps of the right lengths: distributions are equal. */
static void another_process_of_the_same_kind_is_found(void **state)
{
    int64_t due[COUNT], sent[COUNT];
    (void)state;
    for (size_t r = 0; r < 3; r++) {
        poisson(due, rates[r]);
        for (int i = 0; i < COUNT; i++) /* the schedule backwards */
            sent[i] = due[COUNT - 1] - due[COUNT - 1 - i];
        check_true(distance(due, sent) > 0.3);
        for (int i = 0; i + 1 < COUNT; i++) /* one is missing, the others close ranks */
            sent[i] = i < COUNT / 2 ? due[i] : due[i + 1];
        sent[COUNT - 1] = due[COUNT - 1] + CLK_SEC;
        check_true(distance(due, sent) > 0.15);
    }
}

static void sends_that_wait_for_answers_are_found(void **state)
{
    int64_t due[COUNT], sent[COUNT];
    (void)state;
    for (size_t r = 0; r < 3; r++) {
        /* Answers take half a gap, one in ten three gaps: the next waits for it. */
        int64_t gap = (int64_t)((double)CLK_SEC / rates[r]);
        for (int i = 0; i < COUNT; i++) {
            int64_t answer = i % 10 == 1 ? 3 * gap : gap / 2;
            due[i] = i * gap;
            sent[i] =
                i > 0 && sent[i - 1] + answer > due[i] ? sent[i - 1] + answer : due[i];
        }
        check_true(distance(due, sent) > 0.05);
        /* What the target held up is told by ready, and is not ours. */
        check_true(distance(sent, sent) == 0);
    }
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
        TEST(random_arrivals_sent_at_their_time_have_no_distance),
        TEST(bursts_are_found_in_random_arrivals),
        TEST(a_clock_that_ticks_in_milliseconds_is_found),
        TEST(another_process_of_the_same_kind_is_found),
        TEST(sends_that_wait_for_answers_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

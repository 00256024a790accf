/*
 * test_hist.c - counts in buckets below 0.8 % wide, and nothing clamped.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>

#include "tests/unit/check.h"
#include "traces/base/hist.h"
#include "traces/base/rng.h"

#define LIMIT INT64_C(3600000000000)

static struct hist new_hist(int64_t limit)
{
    struct hist h;
    struct err e = {0};
    check_ok(hist_init(&h, limit, &e), &e);
    return h;
}

static void an_empty_one_answers_zero(void **state)
{
    (void)state;
    struct hist h = new_hist(LIMIT);
    check_int(hist_quantile(&h, 0.5), ==, 0);
    check_true(hist_mean(&h) == 0);
    check_int(h.total, ==, 0);
    hist_done(&h);
    check_true(h.counts == NULL);
    hist_done(&h);
}

static void one_value_is_every_quantile(void **state)
{
    (void)state;
    struct hist h = new_hist(LIMIT);
    hist_add(&h, 123456789);
    check_int(hist_quantile(&h, 1e-9), ==, 123456789);
    check_int(hist_quantile(&h, 0.5), ==, 123456789);
    check_int(hist_quantile(&h, 1), ==, 123456789);
    check_int(h.min_ns, ==, 123456789);
    check_int(h.max_ns, ==, 123456789);
    hist_done(&h);
}

/* A value's bucket ends at the value or above it, by less than 0.8 %. */
static void check_edge(int64_t ns)
{
    struct hist h = new_hist(INT64_MAX);
    hist_add(&h, ns);
    hist_add(&h, INT64_MAX); /* so that the maximum does not hide the bucket's edge */
    int64_t edge = hist_quantile(&h, 0.5);
    check_int(edge, >=, ns);
    check_true((double)(edge - ns) <= (double)ns / 128);
    if (ns < 256)
        check_int(edge, ==, ns);
    hist_done(&h);
}

static void buckets_are_narrower_than_0_8_percent(void **state)
{
    (void)state;
    for (int64_t ns = 0; ns < 5000; ns++)
        check_edge(ns);
    for (int bit = 7; bit < 63; bit++)
        for (int64_t off = -2; off <= 2; off++)
            check_edge((INT64_C(1) << bit) + off);
    struct rng r;
    rng_init(&r, 1);
    for (int i = 0; i < 2000; i++)
        check_edge((int64_t)(rng_u64(&r) >> (1 + rng_below(&r, 55))));
    check_edge(INT64_MAX - 1);
}

static void what_is_beyond_the_limit_is_counted_not_clamped(void **state)
{
    (void)state;
    struct hist h = new_hist(1000);
    for (int i = 0; i < 98; i++)
        hist_add(&h, 500);
    hist_add(&h, 1000); /* the limit itself is within */
    check_int(h.beyond, ==, 0);
    check_int(hist_quantile(&h, 1), ==, 1000);
    hist_add(&h, 1001); /* in the bucket of the limit, but above it */
    check_int(h.beyond, ==, 1);
    check_int(h.total, ==, 100);
    check_int(hist_quantile(&h, 0.98), <, 504);
    check_int(hist_quantile(&h, 0.99), ==, 1000);
    check_true(hist_quantile(&h, 0.991) == HIST_BEYOND);
    check_true(hist_quantile(&h, 1) == HIST_BEYOND);
    check_int(h.max_ns, ==, 1001);
    check_true(hist_mean(&h) == (98 * 500 + 2001) / 100.0);
    hist_done(&h);
}

static void negative_values_count_as_zero(void **state)
{
    (void)state;
    struct hist h = new_hist(LIMIT);
    hist_add(&h, -5);
    hist_add(&h, INT64_MIN);
    check_int(h.total, ==, 2);
    check_int(h.min_ns, ==, 0);
    check_int(h.max_ns, ==, 0);
    check_int(hist_quantile(&h, 1), ==, 0);
    check_true(hist_mean(&h) == 0);
    hist_done(&h);
}

static void the_smallest_limit_has_one_bucket(void **state)
{
    (void)state;
    struct hist h = new_hist(0);
    check_int(h.bucket_count, ==, 1);
    hist_add(&h, 0);
    hist_add(&h, 1);
    check_int(h.beyond, ==, 1);
    check_int(hist_quantile(&h, 0.5), ==, 0);
    hist_done(&h);
}

static void ranks_are_not_off_by_rounding(void **state)
{
    (void)state;
    struct hist h = new_hist(LIMIT);
    for (int64_t ns = 1; ns <= 100; ns++)
        hist_add(&h, ns);
    for (int percent = 1; percent <= 100; percent++)
        check_int(hist_quantile(&h, percent / 100.0), ==, percent);
    check_int(hist_quantile(&h, 0.071), ==, 8);
    check_int(hist_quantile(&h, 0.0699), ==, 7);
    hist_done(&h);
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void quantiles_are_those_of_a_sort_within_a_bucket(void **state)
{
    (void)state;
    enum { COUNT = 20011 };
    static int64_t values[COUNT];
    struct hist h = new_hist(LIMIT);
    struct rng r;
    rng_init(&r, 99);
    for (int i = 0; i < COUNT; i++) {
        values[i] = (int64_t)(1e6 * rng_gamma(&r, 0.6));
        hist_add(&h, values[i]);
    }
    qsort(values, COUNT, sizeof *values, by_value);
    for (int k = 1; k <= COUNT; k += 7) {
        int64_t exact = values[k - 1], got = hist_quantile(&h, (double)k / COUNT);
        check_int(got, >=, exact);
        check_true((double)(got - exact) <= (double)exact / 128);
    }
    check_int(hist_quantile(&h, 1), ==, values[COUNT - 1]);
    hist_done(&h);
}

static void merged_parts_equal_the_whole(void **state)
{
    (void)state;
    struct hist whole = new_hist(5000000), parts[3], merged = new_hist(5000000);
    struct rng r;
    rng_init(&r, 4);
    for (int i = 0; i < 3; i++)
        parts[i] = new_hist(5000000);
    for (int i = 0; i < 30000; i++) {
        int64_t ns = (int64_t)rng_below(&r, 6000000);
        hist_add(&whole, ns);
        hist_add(&parts[i % 2], ns); /* the third stays empty */
    }
    for (int i = 0; i < 3; i++)
        hist_merge(&merged, &parts[i]);
    check_int(merged.total, ==, whole.total);
    check_int(merged.beyond, ==, whole.beyond);
    check_int(merged.beyond, >, 0);
    check_int(merged.min_ns, ==, whole.min_ns);
    check_int(merged.max_ns, ==, whole.max_ns);
    check_true(hist_mean(&merged) ==
               hist_mean(&whole)); /* sums of integers below 2^53 */
    assert_memory_equal(merged.counts, whole.counts,
                        whole.bucket_count * sizeof *whole.counts);
    hist_reset(&merged);
    check_int(merged.total, ==, 0);
    check_int(hist_quantile(&merged, 1), ==, 0);
    hist_merge(&merged, &whole);
    check_int(merged.min_ns, ==, whole.min_ns);
    for (int i = 0; i < 3; i++)
        hist_done(&parts[i]);
    hist_done(&whole);
    hist_done(&merged);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_one_answers_zero),
        cmocka_unit_test(one_value_is_every_quantile),
        cmocka_unit_test(buckets_are_narrower_than_0_8_percent),
        cmocka_unit_test(what_is_beyond_the_limit_is_counted_not_clamped),
        cmocka_unit_test(negative_values_count_as_zero),
        cmocka_unit_test(the_smallest_limit_has_one_bucket),
        cmocka_unit_test(ranks_are_not_off_by_rounding),
        cmocka_unit_test(quantiles_are_those_of_a_sort_within_a_bucket),
        cmocka_unit_test(merged_parts_equal_the_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

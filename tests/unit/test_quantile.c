/*
 * test_quantile.c - exact quantiles against sort-and-index, on the arrays that hurt.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/quantile.h"
#include "traces/base/rng.h"

static const uint32_t ps[] = {1,           ANA_P(1),     ANA_P(25), ANA_P(50),
                              ANA_P(50),   ANA_P(90),    ANA_P(95), ANA_P(99),
                              ANA_P(99.9), ANA_P(99.99), 999999999, ANA_P_ONE};
#define P_COUNT (sizeof ps / sizeof *ps)

static int order(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* The definition, spelled out: the least value whose cumulated share reaches p. */
static void check_against_sorting(const int64_t *v, size_t n, size_t parts,
                                  bool finite_only)
{
    int64_t *sorted = malloc((n + 1) * sizeof *sorted), out[P_COUNT];
    struct ana_slice slices[8] = {0};
    struct ana_dist d;
    struct err e = {0};
    size_t kept = 0, from = 0;

    assert_non_null(sorted);
    for (size_t i = 0; i < n; i++)
        if (v[i] >= 0 && !(finite_only && v[i] == ANA_INF))
            sorted[kept++] = v[i];
    qsort(sorted, kept, sizeof *sorted, order);
    for (size_t i = 0; i < parts; i++) {
        size_t to = i + 1 == parts ? n : n * (i + 1) / parts;
        slices[i] = (struct ana_slice){.v = v + from, .n = to - from};
        from = to;
    }
    check_ok(ana_quantiles(slices, parts, finite_only, ps, P_COUNT, out, &d, &e), &e);
    check_int(d.n, ==, kept);
    for (size_t i = 0; i < P_COUNT; i++) {
        size_t rank = 1; /* from 1: the least with rank / n >= p */
        while (rank < kept && (__int128)rank * ANA_P_ONE < (__int128)ps[i] * kept)
            rank++;
        check_int(out[i], ==, kept ? sorted[rank - 1] : ANA_NONE);
    }
    check_int(d.max, ==, kept ? sorted[kept - 1] : ANA_NONE);
    free(sorted);
}

static int64_t draw(struct rng *r, unsigned kind)
{
    switch (kind) {
    case 0:
        return (int64_t)(1e6 * exp(0.35 * rng_normal(r)));
    case 1:
        return (int64_t)rng_below(r, 3); /* ties, and 0 */
    case 2:
        return (int64_t)(rng_u64(r) >> (1 + rng_below(r, 63))); /* every magnitude */
    case 3:
        return rng_below(r, 4) ? (int64_t)rng_below(r, 1000) : ANA_INF;
    case 4:
        return rng_below(r, 2) ? ANA_NONE : (int64_t)rng_below(r, 300);
    case 5:
        return ANA_INF - (int64_t)rng_below(r, 3); /* the far end */
    case 6:
        return 123456789; /* all equal */
    default:
        return 1000000 + (int64_t)rng_below(r, 9000); /* one bucket */
    }
}

static void quantiles_equal_sort_and_index_on_random_arrays(void **state)
{
    enum { MOST = 300 };
    struct rng r;
    int64_t v[MOST];

    (void)state;
    rng_init(&r, 42);
    for (int round = 0; round < 10000; round++) {
        unsigned kind = (unsigned)rng_below(&r, 8);
        size_t n = rng_below(&r, 5) == 0 ? rng_below(&r, 4) : rng_below(&r, MOST);
        for (size_t i = 0; i < n; i++)
            v[i] = draw(&r, kind);
        check_against_sorting(v, n, 1 + rng_below(&r, 8), rng_below(&r, 3) == 0);
    }
}

static void quantiles_equal_sort_and_index_on_large_arrays(void **state)
{
    enum { N = 200000 };
    struct rng r;
    int64_t *v = malloc(N * sizeof *v);

    (void)state;
    assert_non_null(v);
    rng_init(&r, 43);
    for (unsigned kind = 0; kind < 8; kind++) {
        for (size_t i = 0; i < N; i++)
            v[i] = draw(&r, kind);
        check_against_sorting(v, N, 3, false);
    }
    free(v);
}

static void values_of_each_power_of_two_are_kept_apart(void **state)
{
    int64_t v[3 * 63];
    size_t n = 0;

    (void)state;
    for (int b = 0; b < 63; b++) {
        int64_t p = INT64_C(1) << b;
        v[n++] = p;
        v[n++] = p - 1;
        v[n++] = p + 1;
    }
    check_against_sorting(v, n, 1, false);
}

static void selection_orders_around_the_rank(void **state)
{
    enum { N = 5000 };
    struct rng r;
    static int64_t v[N], sorted[N];

    (void)state;
    rng_init(&r, 44);
    for (int round = 0; round < 60; round++) {
        for (size_t i = 0; i < N; i++) /* organ pipe, saw, constant, random */
            sorted[i] = v[i] = round % 4 == 0   ? (int64_t)(i < N / 2 ? i : N - i)
                               : round % 4 == 1 ? (int64_t)(i % 7)
                               : round % 4 == 2 ? 5
                                                : (int64_t)rng_below(&r, 1u << 20);
        qsort(sorted, N, sizeof *sorted, order);
        size_t k = (size_t)rng_below(&r, N);
        check_int(ana_select(v, N, k), ==, sorted[k]);
        for (size_t i = 0; i < N; i++)
            check_true(i < k ? v[i] <= v[k] : v[i] >= v[k]);
    }
}

static void ranks_do_not_suffer_from_rounding(void **state)
{
    (void)state;
    check_int(ana_rank(100, ANA_P(99)), ==, 99);
    check_int(ana_rank(100, ANA_P(7)), ==, 7); /* 0.07 * 100 is above 7 in doubles */
    check_int(ana_rank(34, ANA_P(95)), ==, 33);
    check_int(ana_rank(1, 1), ==, 1);
    check_int(ana_rank(1000, ANA_P(99.9)), ==, 999);
    check_int(ana_rank(ANA_N_MAX, ANA_P_ONE), ==, ANA_N_MAX);
}

static void a_quantile_is_judged_from_20_observations_beyond_it(void **state)
{
    (void)state;
    check_int(ana_estimable(2000, ANA_P(99)), ==, ANA_JUDGED);
    check_int(ana_estimable(1999, ANA_P(99)), ==, ANA_SHOWN);
    check_int(ana_estimable(1000, ANA_P(99)), ==, ANA_SHOWN);
    check_int(ana_estimable(999, ANA_P(99)), ==, ANA_NOT_ESTIMABLE);
    check_int(ana_estimable(0, ANA_P(50)), ==, ANA_NOT_ESTIMABLE);
    check_int(ana_estimable(20000, ANA_P(99.9)), ==, ANA_JUDGED);
    check_int(ana_needed(ANA_P(99)), ==, 2000);
    check_int(ana_needed(ANA_P(99.9)), ==, 20000);
    check_int(ana_needed(ANA_P(50)), ==, 40);
    check_int(ana_estimable(ana_needed(ANA_P(97.3)), ANA_P(97.3)), ==, ANA_JUDGED);
    check_int(ana_estimable(ana_needed(ANA_P(97.3)) - 1, ANA_P(97.3)), ==, ANA_SHOWN);
}

static void the_mean_is_exact_and_infinite_with_any_failure(void **state)
{
    int64_t v[] = {INT64_C(9007199254740993), 1, ANA_NONE, INT64_C(9007199254740993),
                   1};
    int64_t w[] = {5, ANA_INF, 7};
    struct ana_slice s = {.v = v, .n = 5}, t = {.v = w, .n = 3};
    struct ana_dist d;
    struct err e = {0};

    (void)state;
    check_ok(ana_quantiles(&s, 1, false, NULL, 0, NULL, &d, &e), &e);
    check_true(d.mean == 4503599627370497.0 && d.n == 4 && d.infinite == 0);
    check_ok(ana_quantiles(&t, 1, false, NULL, 0, NULL, &d, &e), &e);
    check_true(isinf(d.mean) && d.infinite == 1 && d.n == 3 && d.max == ANA_INF);
    check_ok(ana_quantiles(&t, 1, true, NULL, 0, NULL, &d, &e), &e);
    check_true(d.mean == 6 && d.n == 2 && d.infinite == 0 && d.max == 7);
}

static void check_dist(const struct ana_dist *d, const struct ana_dist *wanted)
{
    check_int(d->n, ==, wanted->n);
    check_int(d->infinite, ==, wanted->infinite);
    check_int(d->max, ==, wanted->max);
    check_true(d->mean == wanted->mean || (isnan(d->mean) && isnan(wanted->mean)));
}

/* Counted in three parts, added, and asked three things at once: what one call each
 * gives. */
static void tallies_that_are_added_give_the_quantiles_of_all(void **state)
{
    struct ana_tally *whole = ana_tally_new(), *part = ana_tally_new();
    struct rng r;
    int64_t v[3000], out[3][P_COUNT], expected[P_COUNT];
    struct ana_dist d[2], wanted;
    struct err e = {0};

    (void)state;
    assert_non_null(whole);
    assert_non_null(part);
    rng_init(&r, 21);
    for (unsigned round = 0; round < 40; round++) {
        size_t n = (size_t)rng_below(&r, 3000);
        struct ana_slice all = {.v = v, .n = n};
        for (size_t i = 0; i < n; i++)
            v[i] = draw(&r, round % 8);
        ana_tally_reset(whole);
        for (size_t k = 0; k < 3; k++) {
            size_t from = n * k / 3, to = n * (k + 1) / 3;
            ana_tally_reset(part);
            ana_tally_count(part, &(struct ana_slice){.v = v + from, .n = to - from});
            ana_tally_add(whole, part);
        }
        struct ana_ask asks[] = {{false, ps, P_COUNT, out[0], &d[0]},
                                 {true, ps, P_COUNT, out[1], &d[1]},
                                 {true, ps + 3, 1, out[2], NULL}};
        check_ok(ana_tally_ask(whole, &all, 1, asks, 3, &e), &e);
        for (int k = 0; k < 2; k++) {
            check_ok(ana_quantiles(&all, 1, k == 1, ps, P_COUNT, expected, &wanted, &e),
                     &e);
            assert_memory_equal(out[k], expected, sizeof expected);
            check_dist(&d[k], &wanted);
        }
        check_int(out[2][0], ==, expected[3]);
    }
    ana_tally_free(whole);
    ana_tally_free(part);
}

/* The same values, narrow where they fit and beside that where they do not. */
static void narrow_slices_give_the_quantiles_of_their_values(void **state)
{
    struct rng r;
    int64_t v[3000], wide[3000], out[P_COUNT], expected[P_COUNT];
    uint32_t narrow[3000];
    struct ana_dist d, wanted;
    struct err e = {0};

    (void)state;
    rng_init(&r, 22);
    for (unsigned round = 0; round < 40; round++) {
        size_t n = (size_t)rng_below(&r, 3000), w = 0;
        for (size_t i = 0; i < n; i++) {
            v[i] =
                i % 50 ? draw(&r, round % 8) : (int64_t)ANA_WIDE - 1 + (int64_t)i % 3;
            narrow[i] = v[i] >= 0 && v[i] < ANA_WIDE ? (uint32_t)v[i] : ANA_WIDE;
            if (narrow[i] == ANA_WIDE)
                wide[w++] = v[i];
        }
        struct ana_slice all = {.v = v, .n = n};
        struct ana_slice parts[] = {{.narrow = narrow, .n = n}, {.v = wide, .n = w}};
        check_ok(ana_quantiles(&all, 1, round % 2, ps, P_COUNT, expected, &wanted, &e),
                 &e);
        check_ok(ana_quantiles(parts, 2, round % 2, ps, P_COUNT, out, &d, &e), &e);
        assert_memory_equal(out, expected, sizeof out);
        check_dist(&d, &wanted);
        struct ana_tally *t = ana_tally_new();
        assert_non_null(t);
        check_int(ana_tally_count(t, &parts[0]), ==, w);
        check_int(ana_tally_count(t, &parts[1]), ==, 0);
        ana_tally_free(t);
    }
}

/* A slice of nothing but zeros is told by its length alone. */
static void zeros_need_no_values(void **state)
{
    static const int64_t zeros[700];
    static const uint32_t narrow[700];
    int64_t some[] = {5, 0, ANA_INF, 1000000, 7};
    const struct ana_slice told[] = {{.n = 700}, {.v = some, .n = 5}};
    const struct ana_slice spelled[] = {{.v = zeros, .n = 700}, {.v = some, .n = 5}};
    const struct ana_slice narrowed[] = {{.narrow = narrow, .n = 700},
                                         {.v = some, .n = 5}};
    const struct ana_slice *ways[] = {told, spelled, narrowed};
    static const uint32_t p[] = {1, ANA_P(99.3), ANA_P(99.7), ANA_P_ONE};
    int64_t out[4];
    struct ana_dist d;
    struct err e = {0};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        check_ok(ana_quantiles(ways[i], 2, true, p, 4, out, &d, &e), &e);
        check_int(out[0], ==, 0);
        check_int(out[1], ==, 0);
        check_int(out[2], ==, 5);
        check_int(out[3], ==, 1000000);
        check_int(d.n, ==, 704);
        check_true(d.mean == 1000012.0 / 704);
    }
}

/* Around each border of buckets, where a float rounds: values of 2^24 and more. */
static void values_that_no_float_holds_are_told_apart(void **state)
{
    int64_t v[64 * 12], n = 0;
    uint32_t narrow[64 * 12];

    (void)state;
    for (int b = 20; b < 32; b++)
        for (int64_t k = -32; k < 32; k++, n++) {
            int64_t x = (INT64_C(1) << b) + k * (INT64_C(1) << (b - 8)) + k % 3;
            v[n] = x;
            narrow[n] = (uint32_t)x;
        }
    check_against_sorting(v, (size_t)n, 2, false);
    struct ana_slice as[] = {{.v = v, .n = (size_t)n},
                             {.narrow = narrow, .n = (size_t)n}};
    for (int p = 1; p <= n; p++) { /* each of them in turn */
        uint32_t share = (uint32_t)((uint64_t)p * ANA_P_ONE / (uint64_t)n);
        int64_t wide, of_narrow;
        struct err e = {0};
        check_ok(ana_quantiles(&as[0], 1, false, &share, 1, &wide, NULL, &e), &e);
        check_ok(ana_quantiles(&as[1], 1, false, &share, 1, &of_narrow, NULL, &e), &e);
        check_int(of_narrow, ==, wide);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quantiles_equal_sort_and_index_on_random_arrays),
        cmocka_unit_test(quantiles_equal_sort_and_index_on_large_arrays),
        cmocka_unit_test(values_of_each_power_of_two_are_kept_apart),
        cmocka_unit_test(selection_orders_around_the_rank),
        cmocka_unit_test(ranks_do_not_suffer_from_rounding),
        cmocka_unit_test(a_quantile_is_judged_from_20_observations_beyond_it),
        cmocka_unit_test(tallies_that_are_added_give_the_quantiles_of_all),
        cmocka_unit_test(narrow_slices_give_the_quantiles_of_their_values),
        cmocka_unit_test(zeros_need_no_values),
        cmocka_unit_test(values_that_no_float_holds_are_told_apart),
        cmocka_unit_test(the_mean_is_exact_and_infinite_with_any_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

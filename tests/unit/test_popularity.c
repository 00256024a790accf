/*
 * test_popularity.c - draws against their exact shares.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/synth/popularity.h"

#include <math.h>

#include "tests/unit/check.h"

/* Draws 1e5 times from the first 20 and returns chi-square against shares; 43.8 has p =
 * 0.001 at 19 degrees of freedom. */
static double chi_square(const struct popularity *p, const double *shares)
{
    enum { DRAWS = 100000 };
    struct rng r;
    rng_init(&r, 5);
    double seen[20] = {0}, chi = 0;
    for (int i = 0; i < DRAWS; i++) {
        uint64_t k = popularity_draw(p, &r);
        check_true(k < p->n);
        seen[k]++;
    }
    for (size_t i = 0; i < p->n; i++) {
        double expected = shares[i] * DRAWS;
        if (expected == 0)
            check_true(seen[i] == 0);
        else
            chi += (seen[i] - expected) * (seen[i] - expected) / expected;
    }
    return chi;
}

static void zipf_gives_each_rank_its_share(void **state)
{
    (void)state;
    static const double exponents[] = {0, 0.5, 1, 1.4, 3};
    for (size_t k = 0; k < sizeof exponents / sizeof *exponents; k++) {
        double shares[20], sum = 0;
        for (int i = 0; i < 20; i++)
            sum += shares[i] = pow(i + 1, -exponents[k]);
        for (int i = 0; i < 20; i++)
            shares[i] /= sum;
        struct popularity p;
        struct err e = {0};
        check_ok(popularity_zipf(&p, 20, exponents[k], &e), &e);
        double chi = chi_square(&p, shares);
        if (chi > 43.8)
            fail_msg("zipf:%g: chi-square %g", exponents[k], chi);
        popularity_done(&p);
    }
}

static void uniform_and_weights_give_their_shares(void **state)
{
    (void)state;
    double shares[20], weights[20], sum = 0;
    for (int i = 0; i < 20; i++)
        shares[i] = 1.0 / 20;
    struct popularity p;
    struct err e = {0};
    check_ok(popularity_parse(&p, "uniform", 20, &e), &e);
    check_true(chi_square(&p, shares) < 43.8);
    popularity_done(&p);
    for (int i = 0; i < 20; i++) /* with zeros at both ends and inside */
        sum += weights[i] = i % 4 == 0 || i == 19 ? 0 : i;
    for (int i = 0; i < 20; i++)
        shares[i] = weights[i] / sum;
    check_ok(popularity_weights(&p, weights, 20, &e), &e);
    check_true(chi_square(&p, shares) < 43.8);
    popularity_done(&p);
}

static void a_single_choice_is_always_drawn(void **state)
{
    (void)state;
    struct popularity p;
    struct err e = {0};
    struct rng r;
    rng_init(&r, 1);
    check_ok(popularity_parse(&p, "zipf:1.4", 1, &e), &e);
    check_int(popularity_draw(&p, &r), ==, 0);
    popularity_done(&p);
    const double last[] = {0, 0, 2};
    check_ok(popularity_weights(&p, last, 3, &e), &e);
    for (int i = 0; i < 100; i++)
        check_int(popularity_draw(&p, &r), ==, 2);
    popularity_done(&p);
    popularity_done(&p); /* again is fine */
}

static void nonsense_is_refused_with_its_reason(void **state)
{
    (void)state;
    struct popularity p;
    static const struct {
        const char *text;
        uint64_t n;
        const char *says;
    } cases[] = {
        {"uniform", 0, "cannot choose from 0"},
        {"uniform", POPULARITY_MAX + 1, "cannot choose from 1000001"},
        {"zipf:x", 5, "popularity 'zipf:x'"},
        {"zipf:-1", 5, "-1"},
        {"zipf:11", 5, "not in 0..10"},
        {"pareto", 5, "uniform or zipf:S"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err e = {0};
        check_int(popularity_parse(&p, cases[i].text, cases[i].n, &e), ==, ERR_USAGE);
        check_str_has(e.text, cases[i].says);
        popularity_done(&p);
    }
    const double bad[][2] = {{1, -1}, {0, 0}, {1, NAN}, {1, INFINITY}, {1e308, 1e308}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct err e = {0};
        check_int(popularity_weights(&p, bad[i], 2, &e), ==, ERR_USAGE);
        check_str_has(e.text, "weight");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zipf_gives_each_rank_its_share),
        cmocka_unit_test(uniform_and_weights_give_their_shares),
        cmocka_unit_test(a_single_choice_is_always_drawn),
        cmocka_unit_test(nonsense_is_refused_with_its_reason),
    };
    return cmocka_run_group_tests_name("popularity", tests, NULL, NULL);
}

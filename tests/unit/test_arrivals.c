/*
 * test_arrivals.c - rates, processes, and their composition against exact
 * distributions.
 *
 * Seeds are fixed, so a test that passes once passes always; the bounds are those that
 * a right generator misses with a probability below 1e-3 for a random seed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/synth/arrivals.h"

#include <math.h>
#include <stdlib.h>

#include "tests/unit/check.h"
#include "traces/base/clk.h"

static struct rng seeded(uint64_t seed)
{
    struct rng r;
    rng_init(&r, seed);
    return r;
}

static struct arr_process process_of(const char *text)
{
    struct arr_process p;
    struct err e = {0};
    check_ok(arr_process_parse(&p, text, &e), &e);
    return p;
}

/* Draws n gaps (not the first) and returns their mean and coefficient of variation. */
static void moments(const char *text, size_t n, double *mean, double *cv)
{
    struct arr_process p = process_of(text);
    struct rng r = seeded(7);
    double sum = 0, squares = 0;
    for (size_t i = 0; i < n; i++) {
        double gap = p.gap(&p, &r, false);
        sum += gap;
        squares += gap * gap;
    }
    *mean = sum / (double)n;
    *cv = sqrt(squares / (double)n - *mean * *mean) / *mean;
}

static void check_near(double a, double b, double tolerance)
{
    if (!(fabs(a - b) <= tolerance))
        fail_msg("got %.12g, wanted %.12g within %g", a, b, tolerance);
}

static void gaps_have_mean_one_and_the_cv_that_was_asked_for(void **state)
{
    (void)state;
    double mean, cv;
    moments("constant", 1000, &mean, &cv);
    check_near(mean, 1, 0);
    check_near(cv, 0, 0);
    moments("poisson", 400000, &mean, &cv);
    check_near(mean, 1, 0.006);
    check_near(cv, 1, 0.01);
    moments("gamma:0.5", 400000, &mean, &cv);
    check_near(mean, 1, 0.003);
    check_near(cv, 0.5, 0.005);
    moments("gamma:3", 400000, &mean, &cv);
    check_near(mean, 1, 0.017);
    check_near(cv, 3, 0.1);
    moments("weibull:2", 400000, &mean, &cv);
    check_near(mean, 1, 0.003);
    check_near(cv, sqrt(tgamma(2) / pow(tgamma(1.5), 2) - 1), 0.005);
    moments("weibull:0.5", 400000, &mean, &cv);
    check_near(mean, 1, 0.015);
    check_near(cv, sqrt(5), 0.12);
}

/* The regularized lower incomplete gamma function: series, or continued fraction of the
 * upper one (Lentz). */
static double gamma_cdf(double a, double x)
{
    if (x <= 0)
        return 0;
    double front = exp(a * log(x) - x - lgamma(a));
    if (x < a + 1) {
        double term = 1 / a, sum = term;
        for (double k = a + 1; term > sum * 1e-16; k += 1)
            sum += term *= x / k;
        return front * sum;
    }
    double b = x + 1 - a, c = 1e300, d = 1 / b, h = d;
    for (int i = 1; i < 500; i++) {
        double an = -i * (i - a);
        b += 2;
        d = 1 / (an * d + b);
        c = b + an / c;
        h *= d * c;
    }
    return 1 - front * h;
}

static double cdf(const struct arr_process *p, double x)
{
    switch (p->family) {
    case ARR_POISSON:
        return 1 - exp(-x);
    case ARR_GAMMA:
        return gamma_cdf(p->shape, x * p->shape);
    case ARR_WEIBULL:
        return 1 - exp(-pow(x * tgamma(1 + 1 / p->shape), p->shape));
    case ARR_CONSTANT:
        break;
    }
    return x >= 1;
}

/* Of the first gap: the integral of 1 - F over [0, x], closed for each family. */
static double first_cdf(const struct arr_process *p, double x)
{
    if (p->family == ARR_POISSON)
        return cdf(p, x);
    if (p->family == ARR_GAMMA) /* x (1 - F_k(x)) + F_(k+1)(x), at mean 1 */
        return x * (1 - gamma_cdf(p->shape, x * p->shape)) +
               gamma_cdf(p->shape + 1, x * p->shape);
    double k = p->shape, scaled = x * tgamma(1 + 1 / k);
    return gamma_cdf(1 / k, pow(scaled, k));
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Kolmogorov and Smirnov's distance of n draws, times sqrt(n); 1.95 has p = 0.001. */
static double ks(const char *text, bool first, uint64_t seed)
{
    enum { N = 20000 };
    struct arr_process p = process_of(text);
    struct rng r = seeded(seed);
    double *x = malloc(N * sizeof *x), worst = 0;
    check_true(x != NULL);
    for (size_t i = 0; i < N; i++)
        x[i] = p.gap(&p, &r, first);
    qsort(x, N, sizeof *x, ascending);
    for (size_t i = 0; i < N; i++) {
        double f = first ? first_cdf(&p, x[i]) : cdf(&p, x[i]);
        worst = fmax(worst, fmax(f - (double)i / N, (double)(i + 1) / N - f));
    }
    free(x);
    return worst * sqrt(N);
}

static void gaps_follow_their_exact_distribution(void **state)
{
    (void)state;
    static const char *const texts[] = {"poisson",      "gamma:0.4",   "gamma:1",
                                        "gamma:3.6",    "weibull:0.4", "weibull:1",
                                        "weibull:0.22", "weibull:2.5"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        double distance = ks(texts[i], false, 11);
        if (distance > 1.95)
            fail_msg("gaps of %s: sqrt(n) D = %g", texts[i], distance);
        distance = ks(texts[i], true, 12);
        if (distance > 1.95)
            fail_msg("first gaps of %s: sqrt(n) D = %g", texts[i], distance);
    }
}

static void the_distance_test_sees_a_wrong_distribution(void **state)
{
    (void)state;
    /* A first gap that is drawn like any other must be caught: 3.6 is far from 1. */
    enum { N = 20000 };
    struct arr_process p = process_of("gamma:3.6");
    struct rng r = seeded(12);
    double worst = 0, *x = malloc(N * sizeof *x);
    check_true(x != NULL);
    for (size_t i = 0; i < N; i++)
        x[i] = p.gap(&p, &r, false);
    qsort(x, N, sizeof *x, ascending);
    for (size_t i = 0; i < N; i++)
        worst = fmax(worst, fabs(first_cdf(&p, x[i]) - (double)i / N));
    free(x);
    check_true(worst * sqrt(N) > 10);
}

static void the_gamma_function_is_right_to_fourteen_digits(void **state)
{
    (void)state;
    for (double x = 1; x <= 101; x += 0.37)
        check_near(arr_gamma_function(x) / tgamma(x), 1, 1e-14);
    check_near(arr_gamma_function(101) / tgamma(101), 1, 1e-14);
}

static void fixed_logarithms_are_right(void **state)
{
    (void)state;
    struct rng r = seeded(3);
    for (int i = 0; i < 100000; i++) {
        double x = rng_open(&r), y = rng_exp(200 * (x - 0.5));
        check_near(rng_log(x), log(x), 1e-15 * fmax(1, fabs(log(x))));
        check_near(y / exp(200 * (x - 0.5)), 1, 4e-14);
    }
}

static struct arrivals of_list(struct arr_list *l, const struct arr_piece *pieces,
                               size_t count, struct arr_process *p, uint64_t seed)
{
    struct arrivals a;
    arr_list_init(l, pieces, count);
    arrivals_init(&a, &l->rate, p, seeded(seed));
    return a;
}

static void
a_stationary_process_expects_rate_times_time_from_its_first_instant(void **state)
{
    (void)state;
    /* 2 s at 5/s: 10 arrivals. Starting gamma:4 with a full gap would give 7 fewer;
     * with an arrival at 0, far more. */
    static const struct arr_piece piece = {2 * CLK_SEC, 5, 5};
    static const char *const texts[] = {"poisson", "gamma:4", "gamma:0.3",
                                        "weibull:0.4"};
    for (size_t t = 0; t < sizeof texts / sizeof *texts; t++) {
        struct arr_process p = process_of(texts[t]);
        enum { RUNS = 20000 };
        double sum = 0, squares = 0;
        for (uint64_t run = 0; run < RUNS; run++) {
            struct arr_list l;
            struct arrivals a = of_list(&l, &piece, 1, &p, 1000 + run);
            double n = 0;
            while (arrivals_next(&a) != ARR_END)
                n++;
            sum += n;
            squares += n * n;
        }
        double mean = sum / RUNS, error = sqrt((squares / RUNS - mean * mean) / RUNS);
        if (fabs(mean - 10) > 3.3 * error)
            fail_msg("%s: %g arrivals (standard error %g), wanted 10", texts[t], mean,
                     error);
    }
}

static void constant_arrivals_never_drift(void **state)
{
    (void)state;
    /* 3/s has no exact period; after a day the 259,200th arrival is at its exact place.
     */
    static const struct arr_piece day = {86400 * CLK_SEC, 3, 3};
    struct arr_process p = process_of("constant");
    struct arr_list l;
    struct arrivals a = of_list(&l, &day, 1, &p, 1);
    int64_t last = -1;
    for (int64_t n = 0; n < 3 * 86400; n++) {
        last = arrivals_next(&a);
        check_int(last, ==, (n * CLK_SEC + 1) / 3); /* rounded to the nearest ns */
    }
    check_int(arrivals_next(&a), ==, 86400 * CLK_SEC); /* on the very end */
    check_int(arrivals_next(&a), ==, ARR_END);
    check_int(arrivals_next(&a), ==, ARR_END);
}

static void an_endless_rate_gives_arrivals_until_time_ends(void **state)
{
    (void)state;
    static const struct arr_piece endless = {ARR_ENDLESS, 1e9, 1e9};
    struct arr_process p = process_of("constant");
    struct arr_list l;
    struct arrivals a = of_list(&l, &endless, 1, &p, 1);
    for (int64_t n = 0; n < 1000; n++)
        check_int(arrivals_next(&a), ==, n);
    static const struct arr_piece slow = {ARR_ENDLESS, 1e-10, 1e-10};
    a = of_list(&l, &slow, 1, &p, 1);
    check_int(arrivals_next(&a), ==, 0);
    check_int(arrivals_next(&a), ==, ARR_END); /* 300 years later */
}

static void stages_ramp_and_hold_as_k6_does(void **state)
{
    (void)state;
    const double rates[] = {20, 10};
    const int64_t holds[] = {30 * CLK_SEC, 10 * CLK_SEC};
    struct arr_piece pieces[4];
    struct err e = {0};
    check_ok(arr_stages(rates, holds, 2, pieces, &e), &e);
    check_int(pieces[0].duration_ns, ==, 10 * CLK_SEC); /* a third of 30 s */
    check_int(pieces[0].from, ==, 5);
    check_int(pieces[0].to, ==, 20);
    check_int(pieces[1].duration_ns, ==, 30 * CLK_SEC);
    check_int(pieces[1].from, ==, 20);
    check_int(pieces[1].to, ==, 20);
    check_int(pieces[2].duration_ns, ==, 4 * CLK_SEC); /* 3.33 s, rounded up */
    check_int(pieces[2].from, ==, 20);
    check_int(pieces[2].to, ==, 10);
    check_int(pieces[3].duration_ns, ==, 10 * CLK_SEC);
}

static void stages_count_exactly_the_integral_of_their_rate(void **state)
{
    (void)state;
    /* 125 in the ramp, 600 held, 60 down, 100 held: whole numbers at every border. */
    const double rates[] = {20, 10};
    const int64_t holds[] = {30 * CLK_SEC, 10 * CLK_SEC};
    const int64_t borders[] = {10, 40, 44, 54}, counts[] = {125, 725, 785, 885};
    struct arr_piece pieces[4];
    struct err e = {0};
    check_ok(arr_stages(rates, holds, 2, pieces, &e), &e);
    struct arr_process p = process_of("constant");
    p.phase = 1; /* k6 starts iteration n when the integral reaches n */
    struct arr_list l;
    struct arrivals a = of_list(&l, pieces, 4, &p, 1);
    int64_t n = 0, previous = -1, t;
    size_t border = 0;
    while ((t = arrivals_next(&a)) != ARR_END) {
        n++;
        check_true(t > previous);
        previous = t;
        if (n == counts[border]) { /* on the border, to the nanosecond */
            check_int(t, ==, borders[border] * CLK_SEC);
            border++;
        }
    }
    check_int(n, ==, 885);
    check_int(border, ==, 4);
}

static void arrivals_on_a_ramp_solve_the_quadratic_exactly(void **state)
{
    (void)state;
    /* From 0 to 2/s in 100 s: the integral is t^2 / 100, so arrival n comes at 10
     * sqrt(n). */
    static const struct arr_piece up[] = {{100 * CLK_SEC, 0, 2}, {100 * CLK_SEC, 2, 0}};
    struct arr_process p = process_of("constant");
    struct arr_list l;
    struct arrivals a = of_list(&l, up, 2, &p, 1);
    check_int(arrivals_next(&a), ==, 0);
    for (int64_t n = 1; n <= 100; n++)
        check_int(arrivals_next(&a), ==, llround(1e10 * sqrt((double)n)));
    /* And back down, mirrored: 200 - 10 sqrt(100 - n), to the last one at the end. */
    for (int64_t n = 1; n <= 100; n++) {
        int64_t wanted = 200 * CLK_SEC - llround(1e10 * sqrt((double)(100 - n)));
        int64_t got = arrivals_next(&a);
        check_int(llabs(got - wanted), <=, 1);
    }
    check_int(arrivals_next(&a), ==, ARR_END);
}

static void poisson_on_stages_follows_the_rate(void **state)
{
    (void)state;
    const double rates[] = {20, 10};
    const int64_t holds[] = {30 * CLK_SEC, 10 * CLK_SEC};
    const double expected[] = {125, 600, 60, 100};
    const int64_t borders[] = {10, 40, 44, 54};
    struct arr_piece pieces[4];
    struct err e = {0};
    check_ok(arr_stages(rates, holds, 2, pieces, &e), &e);
    struct arr_process p = process_of("poisson");
    enum { RUNS = 2000 };
    double counts[4] = {0};
    for (uint64_t run = 0; run < RUNS; run++) {
        struct arr_list l;
        struct arrivals a = of_list(&l, pieces, 4, &p, run);
        for (int64_t t; (t = arrivals_next(&a)) != ARR_END;) {
            size_t i = 0;
            while (t > borders[i] * CLK_SEC)
                i++;
            counts[i]++;
        }
    }
    for (size_t i = 0; i < 4; i++) /* a Poisson count: its variance is its mean */
        check_near(counts[i] / RUNS, expected[i], 3.5 * sqrt(expected[i] / RUNS));
}

static void a_rate_of_zero_lets_nothing_through(void **state)
{
    (void)state;
    static const struct arr_piece pieces[] = {
        {CLK_SEC, 10, 10}, {5 * CLK_SEC, 0, 0}, {CLK_SEC, 10, 10}};
    struct arr_process p = process_of("constant");
    p.phase = 0.5;
    struct arr_list l;
    struct arrivals a = of_list(&l, pieces, 3, &p, 1);
    int n = 0;
    for (int64_t t; (t = arrivals_next(&a)) != ARR_END; n++)
        check_true(t < CLK_SEC || t > 6 * CLK_SEC);
    check_int(n, ==, 20);
}

static void the_same_seed_gives_the_same_arrivals_for_ever(void **state)
{
    (void)state;
    /* Written down once: a change of these numbers changes every synthesized trace. */
    static const struct arr_piece piece = {10 * CLK_SEC, 100, 100};
    static const struct {
        const char *text;
        int64_t ns[3];
    } wanted[] = {
        {"poisson", {24785711, 34488423, 38344409}},
        {"gamma:2", {825307, 7480528, 8445170}},
        {"weibull:0.5", {12554862, 12555201, 12897643}},
    };
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        struct arr_process p = process_of(wanted[i].text);
        struct arr_list l;
        struct arrivals a = of_list(&l, &piece, 1, &p, 42);
        for (size_t k = 0; k < 3; k++)
            check_int(arrivals_next(&a), ==, wanted[i].ns[k]);
    }
}

static void gaps_that_leave_the_doubles_end_the_arrivals(void **state)
{
    (void)state;
    struct arr_count c = {0};
    check_true(!arr_count_add(&c, NAN));
    check_true(!arr_count_add(&c, INFINITY));
    check_true(!arr_count_add(&c, -1));
    check_true(!arr_count_add(&c, 0x1p62));
    check_int(c.whole, ==, 0);
    check_true(arr_count_add(&c, 3.75));
    check_true(arr_count_add(&c, 0.5));
    check_int(c.whole, ==, 4);
    check_near(c.part, 0.25, 0);
    check_near(arr_count_minus((struct arr_count){2, 0.25}, c), -2, 0);
}

static void bad_words_and_numbers_are_named(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",          "gamma",     "gamma:",   "gamma:x",   "gamma:0",      "gamma:-1",
        "gamma:nan", "gamma:1e9", "weibull:", "weibull:0", "weibull:1e-9", "pareto:2"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct arr_process p;
        struct err e = {0};
        if (arr_process_parse(&p, texts[i], &e) != ERR_USAGE || e.code != ERR_USAGE)
            fail_msg("'%s' was taken (%s)", texts[i], e.text);
    }
    struct err e = {0};
    struct arr_process p;
    check_int(arr_process_parse(&p, "gamma:0", &e), ==, ERR_USAGE);
    check_str_has(e.text, "gamma:CV");
    const double rates[] = {10, -1};
    const int64_t holds[] = {CLK_SEC, CLK_SEC}, none[] = {CLK_SEC, 0};
    struct arr_piece pieces[4];
    err_clear(&e);
    check_int(arr_stages(rates, holds, 2, pieces, &e), ==, ERR_USAGE);
    check_str_has(e.text, "stage 2: rate -1");
    err_clear(&e);
    check_int(arr_stages((const double[]){1, 2}, none, 2, pieces, &e), ==, ERR_USAGE);
    check_str_has(e.text, "stage 2: cannot hold");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gaps_have_mean_one_and_the_cv_that_was_asked_for),
        cmocka_unit_test(gaps_follow_their_exact_distribution),
        cmocka_unit_test(the_distance_test_sees_a_wrong_distribution),
        cmocka_unit_test(the_gamma_function_is_right_to_fourteen_digits),
        cmocka_unit_test(fixed_logarithms_are_right),
        cmocka_unit_test(
            a_stationary_process_expects_rate_times_time_from_its_first_instant),
        cmocka_unit_test(constant_arrivals_never_drift),
        cmocka_unit_test(an_endless_rate_gives_arrivals_until_time_ends),
        cmocka_unit_test(stages_ramp_and_hold_as_k6_does),
        cmocka_unit_test(stages_count_exactly_the_integral_of_their_rate),
        cmocka_unit_test(arrivals_on_a_ramp_solve_the_quadratic_exactly),
        cmocka_unit_test(poisson_on_stages_follows_the_rate),
        cmocka_unit_test(a_rate_of_zero_lets_nothing_through),
        cmocka_unit_test(the_same_seed_gives_the_same_arrivals_for_ever),
        cmocka_unit_test(gaps_that_leave_the_doubles_end_the_arrivals),
        cmocka_unit_test(bad_words_and_numbers_are_named),
    };
    return cmocka_run_group_tests_name("arrivals", tests, NULL, NULL);
}

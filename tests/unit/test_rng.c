/*
 * test_rng.c - random numbers that are the same for ever, and distributed as they say.
 *
 * The vectors of xoshiro256** from state {1, 2, 3, 4} and of splitmix64 from 1234567
 * are the ones that other implementations of both are tested with. All others were
 * computed by a second implementation with arbitrary-size integers and the C library's
 * logarithm.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>

#include "tests/unit/check.h"
#include "traces/base/rng.h"

#define DRAWS 200000

static void seeding_is_splitmix64(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 1234567);
    check_true(r.s[0] == UINT64_C(6457827717110365317));
    check_true(r.s[1] == UINT64_C(3203168211198807973));
    check_true(r.s[2] == UINT64_C(9817491932198370423));
    check_true(r.s[3] == UINT64_C(4593380528125082431));
}

static void numbers_are_xoshiro256_star_star(void **state)
{
    (void)state;
    static const uint64_t wanted[] = {UINT64_C(11520),
                                      UINT64_C(0),
                                      UINT64_C(1509978240),
                                      UINT64_C(1215971899390074240),
                                      UINT64_C(1216172134540287360),
                                      UINT64_C(607988272756665600),
                                      UINT64_C(16172922978634559625),
                                      UINT64_C(8476171486693032832),
                                      UINT64_C(10595114339597558777),
                                      UINT64_C(2904607092377533576)};
    struct rng r = {{1, 2, 3, 4}};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        check_true(rng_u64(&r) == wanted[i]);
}

static double half_gamma(struct rng *r)
{
    return rng_gamma(r, 0.4);
}

static double big_gamma(struct rng *r)
{
    return rng_gamma(r, 2.5);
}

static double weibull(struct rng *r)
{
    return rng_weibull(r, 0.7);
}

static void every_distribution_gives_these_bits_for_ever(void **state)
{
    (void)state;
    static const struct {
        double (*draw)(struct rng *r);
        double wanted[4];
    } golden[] = {
        {rng_unit,
         {0x1.5780b2e0c2ecp-4, 0x1.84136619b444ep-2, 0x1.5c2ea66473c93p-1,
          0x1.d9715a8e0766cp-1}},
        {rng_open,
         {0x1.5780b2e0c2ec8p-4, 0x1.84136619b444ep-2, 0x1.5c2ea66473c93p-1,
          0x1.d9715a8e0766dp-1}},
        {rng_exponential,
         {0x1.3d41d16f1bc98p+1, 0x1.f0c76279dedcp-1, 0x1.8ada5ee606e81p-2,
          0x1.40b0bc254fd12p-4}},
        {rng_normal,
         {-0x1.73d2feb0fb37cp-1, 0x1.c5e21f7812a45p-3, 0x1.db514bfac5b47p-2,
          0x1.79eb7c13cfccbp+0}},
        {big_gamma,
         {0x1.438c773a77602p+0, 0x1.eda13ca073005p+1, 0x1.4969058700963p+2,
          0x1.5be234f1a9104p+0}},
        {half_gamma,
         {0x1.930b197018b67p-2, 0x1.af8cea28cf164p-2, 0x1.29cd69db753e4p-3,
          0x1.005e7421d2345p+0}},
        {weibull,
         {0x1.d41e0f3b0bdcdp+1, 0x1.ea65125614c2p-1, 0x1.06760af3ecdbdp-2,
          0x1.ae8e09ab331edp-6}},
    };
    for (size_t i = 0; i < sizeof golden / sizeof *golden; i++) {
        struct rng r;
        rng_init(&r, 42);
        for (int k = 0; k < 4; k++) {
            double got = golden[i].draw(&r);
            if (got != golden[i].wanted[k])
                fail_msg("row %zu, draw %d: %a, wanted %a", i, k, got,
                         golden[i].wanted[k]);
        }
    }
}

static void bounded_draws_give_these_values_for_ever(void **state)
{
    (void)state;
    static const uint64_t below_ten[] = {0, 3, 6, 9, 9, 7};
    /* A bound for which a quarter of all draws must be thrown away. */
    static const uint64_t below_most[] = {
        UINT64_C(1160249073301919056), UINT64_C(5243213769723407326),
        UINT64_C(9408440071686419256), UINT64_C(12793180581886593144)};
    struct rng r;
    rng_init(&r, 42);
    for (size_t i = 0; i < 6; i++)
        check_true(rng_below(&r, 10) == below_ten[i]);
    rng_init(&r, 42);
    for (size_t i = 0; i < 4; i++)
        check_true(rng_below(&r, UINT64_C(3) << 62) == below_most[i]);
    check_int(rng_below(&r, 1), ==, 0);
}

static void hashes_and_forks_give_these_values_for_ever(void **state)
{
    (void)state;
    check_true(rng_hash(0, 0) == UINT64_C(12035550249420947055));
    check_true(rng_hash(1, 2) == UINT64_C(13608149317741381227));
    check_true(rng_hash(2, 1) == UINT64_C(16171810823986729605));
    struct rng r;
    rng_init(&r, 42);
    struct rng fork = rng_fork(&r, "arrivals");
    check_true(rng_u64(&fork) == UINT64_C(9339135066919841590));
    check_true(rng_u64(&fork) == UINT64_C(5610081088516077087));
    fork = rng_fork(&r, "");
    check_true(rng_u64(&fork) == UINT64_C(2739827412797781339));
    check_true(rng_u64(&r) == UINT64_C(1546998764402558742)); /* r did not move */
}

/* Pearson's correlation of two streams. */
static double correlation(struct rng *a, struct rng *b)
{
    double sx = 0, sy = 0, sxx = 0, syy = 0, sxy = 0, n = DRAWS;
    for (int i = 0; i < DRAWS; i++) {
        double x = rng_unit(a), y = rng_unit(b);
        sx += x;
        sy += y;
        sxx += x * x;
        syy += y * y;
        sxy += x * y;
    }
    return (sxy - sx * sy / n) / sqrt((sxx - sx * sx / n) * (syy - sy * sy / n));
}

static void forks_are_independent_of_each_other_and_of_their_origin(void **state)
{
    (void)state;
    struct rng r, next;
    rng_init(&r, 7);
    rng_init(&next, 8);
    struct rng a = rng_fork(&r, "a"), b = rng_fork(&r, "b"),
               other = rng_fork(&next, "a");
    double bound = 5 / sqrt(DRAWS);
    struct rng a2 = a, b2 = b, a3 = a;
    check_true(fabs(correlation(&a, &b)) < bound);
    check_true(fabs(correlation(&a2, &r)) < bound);
    check_true(fabs(correlation(&b2, &next)) < bound);
    check_true(fabs(correlation(&a3, &other)) < bound);
}

/* Mean and variance of DRAWS draws, within five standard errors of what they should be;
 * fourth is the fourth central moment. */
static void check_moments(double (*draw)(struct rng *r), double mean, double variance,
                          double fourth)
{
    struct rng r;
    rng_init(&r, 2024);
    double sum = 0, squares = 0;
    for (int i = 0; i < DRAWS; i++) {
        double d = draw(&r) - mean;
        sum += d;
        squares += d * d;
    }
    double off_mean = fabs(sum / DRAWS),
           off_variance = fabs(squares / DRAWS - variance);
    if (off_mean > 5 * sqrt(variance / DRAWS) ||
        off_variance > 5 * sqrt((fourth - variance * variance) / DRAWS))
        fail_msg("mean is off by %g, variance by %g", off_mean, off_variance);
}

static void moments_are_those_of_the_distributions(void **state)
{
    (void)state;
    check_moments(rng_unit, 0.5, 1.0 / 12, 1.0 / 80);
    check_moments(rng_open, 0.5, 1.0 / 12, 1.0 / 80);
    check_moments(rng_exponential, 1, 1, 9);
    check_moments(rng_normal, 0, 1, 3);
    /* Gamma with shape a: mean a, variance a, fourth central moment 3a^2 + 6a. */
    check_moments(big_gamma, 2.5, 2.5, 3 * 6.25 + 15);
    check_moments(half_gamma, 0.4, 0.4, 3 * 0.16 + 2.4);
    /* Weibull with shape k: raw moments m_j = Gamma(1 + j/k). */
    double m1 = tgamma(1 + 1 / 0.7), m2 = tgamma(1 + 2 / 0.7), m3 = tgamma(1 + 3 / 0.7),
           m4 = tgamma(1 + 4 / 0.7);
    check_moments(weibull, m1, m2 - m1 * m1,
                  m4 - 4 * m1 * m3 + 6 * m1 * m1 * m2 - 3 * m1 * m1 * m1 * m1);
}

static void bounded_draws_are_even(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 5);
    uint64_t counts[7] = {0};
    for (int i = 0; i < DRAWS; i++)
        counts[rng_below(&r, 7)]++;
    double chi = 0, wanted = DRAWS / 7.0;
    for (int i = 0; i < 7; i++)
        chi += ((double)counts[i] - wanted) * ((double)counts[i] - wanted) / wanted;
    check_true(chi < 27.9); /* 6 degrees of freedom: 99.99 % */
    check_true(chi > 0.1);  /* and not more even than chance allows */
}

static void unit_draws_stay_in_their_interval(void **state)
{
    (void)state;
    struct rng all = {{0, UINT64_MAX / 5, 0, 0}}; /* some states with extreme outputs */
    for (int i = 0; i < DRAWS; i++) {
        struct rng same = all;
        double u = rng_unit(&all), o = rng_open(&same);
        check_true(u >= 0 && u < 1 && o > 0 && o < 1);
    }
}

static void logarithm_and_exponential_agree_with_the_library(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 3);
    for (int i = 0; i < DRAWS; i++) {
        double x = ldexp(rng_open(&r), (int)rng_below(&r, 2000) - 1000);
        double y = (rng_unit(&r) - 0.5) * 1400;
        check_true(fabs(rng_log(x) - log(x)) <= 1e-15 * fabs(log(x)));
        check_true(fabs(rng_exp(y) - exp(y)) <= 1e-15 * exp(y));
    }
    check_true(rng_log(1) == 0 && rng_exp(0) == 1);
    check_true(rng_exp(1000) == INFINITY && rng_exp(-1000) == 0);
}

static void hashing_moves_about_half_of_the_bits(void **state)
{
    (void)state;
    double moved = 0;
    int tries = 0;
    for (uint64_t a = 0; a < 50; a++)
        for (int bit = 0; bit < 64; bit++, tries += 2) {
            uint64_t flip = UINT64_C(1) << bit;
            moved += __builtin_popcountll(rng_hash(a, 9) ^ rng_hash(a ^ flip, 9));
            moved += __builtin_popcountll(rng_hash(9, a) ^ rng_hash(9, a ^ flip));
        }
    /* A mean of 32 with standard deviation 4 each. */
    check_true(fabs(moved / tries - 32) < 5 * 4 / sqrt(tries));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seeding_is_splitmix64),
        cmocka_unit_test(numbers_are_xoshiro256_star_star),
        cmocka_unit_test(every_distribution_gives_these_bits_for_ever),
        cmocka_unit_test(bounded_draws_give_these_values_for_ever),
        cmocka_unit_test(hashes_and_forks_give_these_values_for_ever),
        cmocka_unit_test(forks_are_independent_of_each_other_and_of_their_origin),
        cmocka_unit_test(moments_are_those_of_the_distributions),
        cmocka_unit_test(bounded_draws_are_even),
        cmocka_unit_test(unit_draws_stay_in_their_interval),
        cmocka_unit_test(logarithm_and_exponential_agree_with_the_library),
        cmocka_unit_test(hashing_moves_about_half_of_the_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

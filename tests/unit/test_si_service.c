/* test_si_service.c - service times and faults. SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/check.h"

#include <math.h>
#include <stdlib.h>

#include "deploy/standin/si_fault.h"
#include "deploy/standin/si_service.h"

#define DRAWS 200000
#define MS    INT64_C(1000000)

static struct si_service service(const char *text, uint64_t seed)
{
    struct si_service s;
    struct err e = {0};
    check_ok(si_service_parse(&s, text, seed, &e), &e);
    return s;
}

/* Share of draws at or below ns. */
static double share_upto(const struct si_service *s, int64_t ns)
{
    int n = 0;
    for (uint64_t key = 0; key < DRAWS; key++)
        n += si_service_draw(s, key) <= ns;
    return (double)n / DRAWS;
}

static void close_to(double got, double wanted, double tolerance)
{
    if (!(fabs(got - wanted) <= tolerance))
        fail_msg("got %.9g, wanted %.9g within %.3g", got, wanted, tolerance);
}

static void fixed_is_always_the_same(void **state)
{
    (void)state;
    struct si_service s = service("fixed:5ms", 7);
    for (uint64_t key = 0; key < 1000; key++)
        check_int(si_service_draw(&s, key), ==, 5 * MS);
}

static void draws_depend_on_seed_and_key_alone(void **state)
{
    (void)state;
    struct si_service a = service("lognormal:5ms,0.5", 7), b = a;
    struct si_service c = service("lognormal:5ms,0.5", 8);
    int same = 0;
    for (uint64_t key = 0; key < 1000; key++) {
        check_int(si_service_draw(&a, key), ==, si_service_draw(&b, key));
        same += si_service_draw(&a, key) == si_service_draw(&c, key);
    }
    check_int(same, <, 5);
}

/* ln of a draw is normal: mean ln median, deviation sigma. With n = 200,000 the
 * standard error of the mean is sigma/447 and that of the deviation sigma/632; five of
 * each. */
static void lognormal_has_its_moments(void **state)
{
    (void)state;
    struct si_service s = service("lognormal:5ms,0.4", 3);
    double sum = 0, squares = 0, plain = 0;
    for (uint64_t key = 0; key < DRAWS; key++) {
        double ns = (double)si_service_draw(&s, key), x = log(ns / (5.0 * MS));
        sum += x;
        squares += x * x;
        plain += ns;
    }
    double mean = sum / DRAWS;
    close_to(mean, 0, 5 * 0.4 / 447);
    close_to(sqrt(squares / DRAWS - mean * mean), 0.4, 5 * 0.4 / 632);
    /* The mean itself: median * exp(sigma^2 / 2). */
    close_to(plain / DRAWS / (5.0 * MS), exp(0.08), 0.006);
}

static void lognormal_quantiles_are_exact(void **state)
{
    (void)state;
    struct si_service s = service("lognormal:100ms,1", 3);
    /* exp of the normal quantiles 0, 1.2815515655446, 2.3263478740408, -2.3263478740408
     * and 3.0902323061678. */
    close_to((double)si_service_quantile(&s, 0.5) / 1e8, 1, 1e-8);
    close_to((double)si_service_quantile(&s, 0.9) / 1e8, 3.6022244792791, 1e-7);
    close_to((double)si_service_quantile(&s, 0.99) / 1e8, 10.240473656312, 1e-7);
    close_to((double)si_service_quantile(&s, 0.01) / 1e8, 0.0976517330703, 1e-8);
    close_to((double)si_service_quantile(&s, 0.999) / 1e8, 21.982183979583, 1e-6);
}

static void modes_come_at_their_shares(void **state)
{
    (void)state;
    struct si_service s = service("modes:0.015=30ms,0.985=8ms", 5);
    for (uint64_t key = 0; key < 1000; key++) {
        int64_t ns = si_service_draw(&s, key);
        check_true(ns == 8 * MS || ns == 30 * MS);
    }
    close_to(share_upto(&s, 8 * MS), 0.985, 5 * sqrt(0.985 * 0.015 / DRAWS));
    check_int(si_service_quantile(&s, 0.98), ==, 8 * MS);
    check_int(si_service_quantile(&s, 0.99), ==, 30 * MS);
}

static void slow_changes_only_what_lies_beyond_the_quantile(void **state)
{
    (void)state;
    struct err e = {0};
    struct si_service plain = service("lognormal:5ms,0.3", 11), slow = plain;
    check_ok(si_service_slow(&slow, "1.10@0.98", &e), &e);
    int64_t edge = si_service_quantile(&plain, 0.98);
    int slower = 0;
    for (uint64_t key = 0; key < DRAWS; key++) {
        int64_t a = si_service_draw(&plain, key), b = si_service_draw(&slow, key);
        if (a > edge) {
            close_to((double)b, 1.10 * (double)a, 1);
            slower++;
        } else {
            check_int(b, ==, a);
        }
    }
    close_to((double)slower / DRAWS, 0.02, 5 * sqrt(0.02 * 0.98 / DRAWS));
    close_to((double)si_service_quantile(&slow, 0.99) /
                 (double)si_service_quantile(&plain, 0.99),
             1.10, 1e-6);
    check_int(si_service_quantile(&slow, 0.5), ==, si_service_quantile(&plain, 0.5));
}

static void refuses(const char *text, const char *why)
{
    struct si_service s;
    struct err e = {0};
    check_int(si_service_parse(&s, text, 1, &e), ==, ERR_USAGE);
    check_str_has(e.text, why);
}

static void bad_distributions_are_refused(void **state)
{
    (void)state;
    refuses("", "none of fixed:D");
    refuses("normal:5ms", "none of fixed:D");
    refuses("fixed:5", "service time 'fixed:5'");
    refuses("fixed:", "not a duration");
    refuses("fixed:2h", "between 0 and 1h");
    refuses("lognormal:5ms", "MEDIAN,SIGMA");
    refuses("lognormal:5ms,-1", "sigma from 0 to 5");
    refuses("lognormal:5ms,nan", "service time");
    refuses("lognormal:0,1", "a median above 0");
    refuses("modes:", "sum to 0");
    refuses("modes:1", "not SHARE=DURATION");
    refuses("modes:0.5=1ms", "sum to 0.5");
    refuses("modes:2=1ms", "at most 1");
    refuses("modes:0=1ms,1=2ms", "above 0");
}

static void bad_slow_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"1.1",   "@0.5",  "1.1@",
                                        "0@0.5", "1.1@1", "x@0.5"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct si_service s = service("fixed:1ms", 1);
        struct err e = {0};
        check_int(si_service_slow(&s, texts[i], &e), ==, ERR_USAGE);
    }
}

static void faults_come_at_their_rates_and_exclude_each_other(void **state)
{
    (void)state;
    struct si_faults f = {.rates = {0, 0.1, 0.05, 0.02, 0.01}, .seed = 9};
    struct err e = {0};
    check_ok(si_faults_check(&f, &e), &e);
    int counts[SI_FAULT_COUNT] = {0};
    for (uint64_t key = 0; key < DRAWS; key++) {
        enum si_fault fault = si_fault_pick(&f, key);
        check_int(fault, ==, si_fault_pick(&f, key));
        counts[fault]++;
    }
    for (int i = SI_FAULT_ERROR; i < SI_FAULT_COUNT; i++)
        close_to((double)counts[i] / DRAWS, f.rates[i],
                 5 * sqrt(f.rates[i] * (1 - f.rates[i]) / DRAWS));
}

static void faults_do_not_follow_service_times(void **state)
{
    (void)state;
    /* Same seed and key: a fault must not single out slow calls. */
    struct si_service s = service("modes:0.5=1ms,0.5=2ms", 9);
    struct si_faults f = {.rates = {0, 0.1}, .seed = 9};
    int slow = 0, all = 0;
    for (uint64_t key = 0; key < DRAWS; key++)
        if (si_fault_pick(&f, key) == SI_FAULT_ERROR) {
            all++;
            slow += si_service_draw(&s, key) == 2 * MS;
        }
    close_to((double)slow / all, 0.5, 5 * 0.5 / sqrt(all));
}

static void certain_and_impossible_faults(void **state)
{
    (void)state;
    struct si_faults never = {.seed = 1},
                     always = {.rates = {0, 0, 0, 0, 1}, .seed = 1};
    struct si_faults bad = {.rates = {0, 0.6, 0.6}}, worse = {.rates = {0, NAN}};
    struct err e = {0};
    for (uint64_t key = 0; key < 1000; key++) {
        check_int(si_fault_pick(&never, key), ==, SI_FAULT_NONE);
        check_int(si_fault_pick(&always, key), ==, SI_FAULT_NEVER);
    }
    check_int(si_faults_check(&bad, &e), ==, ERR_USAGE);
    err_clear(&e);
    check_int(si_faults_check(&worse, &e), ==, ERR_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fixed_is_always_the_same),
        cmocka_unit_test(draws_depend_on_seed_and_key_alone),
        cmocka_unit_test(lognormal_has_its_moments),
        cmocka_unit_test(lognormal_quantiles_are_exact),
        cmocka_unit_test(modes_come_at_their_shares),
        cmocka_unit_test(slow_changes_only_what_lies_beyond_the_quantile),
        cmocka_unit_test(bad_distributions_are_refused),
        cmocka_unit_test(bad_slow_is_refused),
        cmocka_unit_test(faults_come_at_their_rates_and_exclude_each_other),
        cmocka_unit_test(faults_do_not_follow_service_times),
        cmocka_unit_test(certain_and_impossible_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

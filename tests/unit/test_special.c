/*
 * test_special.c - special functions against SciPy's values.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/check.h"

#include <math.h>

#include "analysis/special.h"
#include "tests/unit/special_golden.h"

#define ROWS(table) (sizeof(table) / sizeof *(table))

/* Relative, or absolute near zero. */
static void near(double got, double want, double tolerance, const char *what,
                 size_t row)
{
    double scale = fmax(fabs(want), 1e-300);
    if (!(fabs(got - want) <= tolerance * scale) && !(fabs(got - want) < 1e-15)) {
        print_error("%s, row %zu: %.17g, wanted %.17g\n", what, row, got, want);
        fail();
    }
}

static void normal_quantile_is_scipys(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(golden_normal); i++) {
        const double *r = golden_normal[i];
        near(ana_normal_quantile(r[0]), r[1], 1e-13, "quantile", i);
        if (r[0] > 1e-250 && r[0] < 0.9)
            near(ana_normal_cdf(r[1]), r[0], 1e-11, "cdf", i);
    }
    check_true(isinf(ana_normal_quantile(0)) && isinf(ana_normal_quantile(1)));
}

static void incomplete_beta_is_scipys(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(golden_beta); i++) {
        const double *r = golden_beta[i];
        near(ana_beta(r[0], r[1], r[2]), r[3], 1e-10, "beta", i);
    }
    check_true(ana_beta(0, 2, 3) == 0 && ana_beta(1, 2, 3) == 1);
}

static void t_tail_is_scipys(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(golden_t_upper); i++)
        near(ana_t_upper(golden_t_upper[i][0], golden_t_upper[i][1]),
             golden_t_upper[i][2], 1e-10, "t upper", i);
}

static void t_quantile_is_scipys(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(golden_t_quantile); i++)
        near(ana_t_quantile_upper(golden_t_quantile[i][0], golden_t_quantile[i][1]),
             golden_t_quantile[i][2], 1e-10, "t quantile", i);
}

static void sign_test_probabilities_are_scipys(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(golden_half_binomial); i++)
        near(ana_half_binomial_cdf((unsigned)golden_half_binomial[i][0],
                                   (unsigned)golden_half_binomial[i][1]),
             golden_half_binomial[i][2], 1e-11, "binomial", i);
}

static void power_is_that_of_the_noncentral_t(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(golden_power); i++) {
        const double *r = golden_power[i];
        double got = ana_t_power((unsigned)r[0], r[1], r[2], r[3], r[4]);
        if (fabs(got - r[5]) > 1e-5) {
            print_error("power, row %zu: %.9g, wanted %.9g\n", i, got, r[5]);
            fail();
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(normal_quantile_is_scipys),
        cmocka_unit_test(incomplete_beta_is_scipys),
        cmocka_unit_test(t_tail_is_scipys),
        cmocka_unit_test(t_quantile_is_scipys),
        cmocka_unit_test(sign_test_probabilities_are_scipys),
        cmocka_unit_test(power_is_that_of_the_noncentral_t),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * drift.c - see drift.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "analysis/drift.h"

#include <math.h>

#include "analysis/special.h"

/* Two-sided p of an estimate with its standard error. What is nothing but rounding
 * beside the size of the values is no effect. */
static double p_of(double estimate, double error, double df, double size)
{
    if (fabs(estimate) <= 1e-12 * size)
        return 1;
    return error > 0 ? 2 * ana_t_upper(fabs(estimate) / error, df) : 0;
}

static double size_of(const double *d, unsigned n)
{
    double size = 0;
    for (unsigned i = 0; i < n; i++)
        size = fmax(size, fabs(d[i]));
    return size;
}

static void test_order(struct ana_drift *r, const double *d, const bool *a_first,
                       unsigned n)
{
    double sum[2] = {0}, squares = 0;
    unsigned count[2] = {0};

    for (unsigned i = 0; i < n; i++) {
        sum[a_first[i]] += d[i];
        count[a_first[i]]++;
    }
    if (count[0] < 2 || count[1] < 2)
        return;
    double mean[2] = {sum[0] / count[0], sum[1] / count[1]};
    for (unsigned i = 0; i < n; i++)
        squares += (d[i] - mean[a_first[i]]) * (d[i] - mean[a_first[i]]);
    r->order = mean[1] - mean[0];
    r->order_p =
        p_of(r->order, sqrt(squares / (n - 2) * (1.0 / count[0] + 1.0 / count[1])),
             n - 2.0, size_of(d, n));
}

static void test_trend(struct ana_drift *r, const double *d, unsigned n)
{
    double middle = (n - 1) / 2.0, mean = 0, xx = 0, xy = 0, squares = 0;

    if (n < 3)
        return;
    for (unsigned i = 0; i < n; i++)
        mean += d[i] / n;
    for (unsigned i = 0; i < n; i++) {
        xx += (i - middle) * (i - middle);
        xy += (i - middle) * (d[i] - mean);
    }
    r->trend = xy / xx;
    for (unsigned i = 0; i < n; i++) {
        double rest = d[i] - mean - r->trend * (i - middle);
        squares += rest * rest;
    }
    r->trend_p = p_of(r->trend, sqrt(squares / (n - 2) / xx), n - 2.0, size_of(d, n));
}

struct ana_drift ana_drift_of(const double *d, const bool *a_first, unsigned n)
{
    struct ana_drift r = {NAN, NAN, NAN, NAN};

    for (unsigned i = 0; i < n; i++)
        if (!isfinite(d[i]))
            return r;
    test_order(&r, d, a_first, n);
    test_trend(&r, d, n);
    return r;
}

/*
 * special.c - see special.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "analysis/special.h"

#include <math.h>

#define SQRT_HALF 0.70710678118654752440
#define SQRT_2PI  2.50662827463100050242

/* lgamma itself stores the sign in a global. */
static double log_gamma(double x)
{
    int sign;
    return lgamma_r(x, &sign);
}

double ana_normal_cdf(double x)
{
    return 0.5 * erfc(-x * SQRT_HALF);
}

/* Halley's method on the distribution function. The start is the classical rational
 * approximation 26.2.23 of Abramowitz and Stegun, good to 4.5e-4: three steps reach the
 * accuracy of erfc itself. */
static double normal_upper_tail_quantile(double p) /* p in (0, 0.5] */
{
    double w = sqrt(-2 * log(p));
    double x = w - (2.515517 + w * (0.802853 + w * 0.010328)) /
                       (1 + w * (1.432788 + w * (0.189269 + w * 0.001308)));
    for (int i = 0; i < 3; i++) {
        /* Near the middle, the distance from one half keeps the digits that 1 - p
         * loses. */
        double miss = p > 0.25 ? (0.5 - p) - 0.5 * erf(x * SQRT_HALF)
                               : 0.5 * erfc(x * SQRT_HALF) - p;
        double density = exp(-0.5 * x * x) / SQRT_2PI;
        double step = miss / density;
        x += step / (1 - 0.5 * x * step);
    }
    return x;
}

double ana_normal_quantile(double p)
{
    if (p <= 0)
        return -INFINITY;
    if (p >= 1)
        return INFINITY;
    return p < 0.5 ? -normal_upper_tail_quantile(p) : normal_upper_tail_quantile(1 - p);
}

/* The continued fraction of DLMF 8.17.22; converges fast for x < (a + 1) / (a + b + 2).
 */
static double beta_fraction(double x, double a, double b)
{
    const double tiny = 1e-300;
    double c = 1, d = 1 - (a + b) * x / (a + 1);

    d = 1 / (fabs(d) < tiny ? tiny : d);
    double f = d;
    for (int m = 1; m <= 20000; m++) {
        double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
        double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        d = 1 + even * d;
        c = 1 + even / c;
        d = 1 / (fabs(d) < tiny ? tiny : d);
        c = fabs(c) < tiny ? tiny : c;
        f *= d * c;
        d = 1 + odd * d;
        c = 1 + odd / c;
        d = 1 / (fabs(d) < tiny ? tiny : d);
        c = fabs(c) < tiny ? tiny : c;
        f *= d * c;
        if (fabs(d * c - 1) < 1e-16)
            break;
    }
    return f;
}

/* I_x(a, b) with y = 1 - x given apart, so that neither loses its digits near 0. */
static double beta_xy(double x, double y, double a, double b)
{
    if (x <= 0)
        return 0;
    if (y <= 0)
        return 1;
    double front =
        exp(log_gamma(a + b) - log_gamma(a) - log_gamma(b) + a * log(x) + b * log(y));
    if (x < (a + 1) / (a + b + 2))
        return front * beta_fraction(x, a, b) / a;
    return 1 - front * beta_fraction(y, b, a) / b;
}

double ana_beta(double x, double a, double b)
{
    return beta_xy(x, 1 - x, a, b);
}

double ana_t_upper(double t, double df)
{
    if (isinf(t))
        return t > 0 ? 0 : 1;
    double tt = t * t,
           tail = 0.5 * beta_xy(df / (df + tt), tt / (df + tt), df / 2, 0.5);
    return t >= 0 ? tail : 1 - tail;
}

static double t_density(double t, double df)
{
    return exp(log_gamma((df + 1) / 2) - log_gamma(df / 2) -
               (df + 1) / 2 * log1p(t * t / df)) /
           sqrt(df * 3.14159265358979323846);
}

/* Bisection brackets the root, Newton's steps inside the bracket finish it. */
double ana_t_quantile_upper(double p, double df)
{
    if (p <= 0)
        return INFINITY;
    if (p >= 1)
        return -INFINITY;
    if (p > 0.5)
        return -ana_t_quantile_upper(1 - p, df);
    double low = 0, high = 1;
    while (ana_t_upper(high, df) > p && high < 1e300)
        low = high, high *= 2;
    double t = (low + high) / 2;
    for (int i = 0; i < 200; i++) {
        double miss = ana_t_upper(t, df) - p;
        if (miss > 0)
            low = t;
        else
            high = t;
        double next = t + miss / t_density(t, df);
        if (!(next > low && next < high))
            next = (low + high) / 2;
        if (fabs(next - t) <= 1e-15 * fabs(next))
            return next;
        t = next;
    }
    return t;
}

double ana_half_binomial_cdf(unsigned k, unsigned n)
{
    double term = ldexp(1, -(int)n), sum = term; /* C(n, 0) / 2^n */
    if (k >= n)
        return 1;
    for (unsigned i = 1; i <= k; i++) {
        term *= (double)(n - i + 1) / i;
        sum += term;
    }
    return sum;
}

struct power {
    double df, root, mean, sd, crit, floor;
    double log_scale; /* of the chi density */
};

/* Density of y = sqrt(df) s / sd, which is chi, times the chance of a mean above the
 * bar. */
static double power_at(const struct power *w, double y)
{
    double density = y > 0 ? exp(w->log_scale + (w->df - 1) * log(y) - 0.5 * y * y)
                     : w->df > 1 ? 0
                                 : exp(w->log_scale);
    double bar = fmax(w->crit * w->sd * y / sqrt(w->df) / w->root, w->floor);
    return density * ana_normal_cdf((w->mean - bar) * w->root / w->sd);
}

static double simpson(const struct power *w, double low, double high)
{
    enum { PANELS = 300 }; /* even */
    double width = (high - low) / PANELS, sum = power_at(w, low) + power_at(w, high);

    for (int i = 1; i < PANELS; i++)
        sum += (i % 2 ? 4 : 2) * power_at(w, low + i * width);
    return sum * width / 3;
}

double ana_t_power(unsigned n, double mean, double sd, double crit, double floor)
{
    struct power w = {n - 1.0, sqrt((double)n), mean, sd, crit, floor, 0};
    double middle = sqrt(w.df), low = fmax(0, middle - 9), high = middle + 9;

    if (isinf(crit))
        return 0;
    w.log_scale = (1 - w.df / 2) * log(2.0) - log_gamma(w.df / 2);
    /* The bar has a knee where crit * s / sqrt(n) passes the floor. */
    double knee = crit > 0 ? floor * w.root * middle / (crit * sd) : high;
    if (knee > low && knee < high)
        return simpson(&w, low, knee) + simpson(&w, knee, high);
    return simpson(&w, low, high);
}

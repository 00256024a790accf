/*
 * special.h - the few special functions that tests and intervals need.
 *
 * Accurate to about 1e-12 relative where the result is not near zero, for degrees of
 * freedom up to 1e4; checked against SciPy by tests/unit/test_special.c. Pure functions
 * of finite arguments, thread-safe. lgamma and erfc are the C library's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ANALYSIS_SPECIAL_H
#define ANALYSIS_SPECIAL_H

/* P(Z <= x) and its inverse, p in (0, 1) (0 and 1 give -inf and inf). */
double ana_normal_cdf(double x);
double ana_normal_quantile(double p);

/* Regularized incomplete beta I_x(a, b); a, b > 0, x in [0, 1]. Continued fraction DLMF
 * 8.17.22, by the modified Lentz method (Thompson, Barnett 1986). */
double ana_beta(double x, double a, double b);

/* Student's t with df > 0: P(T > t), and the t with P(T > t) = p, p in (0, 1). */
double ana_t_upper(double t, double df);
double ana_t_quantile_upper(double p, double df);

/* P(X <= k) for X binomial(n, 1/2), n <= 1000: the sign test. */
double ana_half_binomial_cdf(unsigned k, unsigned n);

/* Probability that a sample of n normal values with the given true mean and sd has
 * mean >= max(crit * s / sqrt(n), floor), s its standard deviation: the power of a
 * one-sided t test that also asks for an estimate of at least `floor`. Simpson's rule
 * over the density of s. n >= 2, sd > 0; crit >= 0, infinity gives 0. */
double ana_t_power(unsigned n, double mean, double sd, double crit, double floor);

#endif

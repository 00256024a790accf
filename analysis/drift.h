/*
 * drift.h - does the effect depend on which run of a pair came first, or on the hour?
 *
 * Both are t tests on the effects of the pairs: the difference of their means between
 * pairs in which A ran first and those in which B did (pooled variance), and the slope
 * over the index of the pair (least squares). They are warnings beside a verdict, never
 * part of it. Pure functions, thread-safe.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ANALYSIS_DRIFT_H
#define ANALYSIS_DRIFT_H

#include <stdbool.h>

/* Below it, a drift is told. */
#define ANA_DRIFT_P 0.01

struct ana_drift {
    double order, order_p; /* A first minus B first; NaN: fewer than two of either */
    double trend, trend_p; /* per pair; NaN: fewer than three pairs */
};

/* All NaN when some d is infinite. p-values are two-sided. */
struct ana_drift ana_drift_of(const double *d, const bool *a_first, unsigned n);

#endif

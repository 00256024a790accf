/*
 * verdict.c - see verdict.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "analysis/verdict.h"

#include <math.h>

#include "analysis/special.h"

const char *const ana_verdict_names[] = {
    "IMPROVED", "NO CHANGE", "NOT WORSE", "INCONCLUSIVE", "INVALID", "REGRESSED", NULL};

enum ana_verdict ana_judge(const struct ana_evidence *ev, double tolerance,
                           double alpha)
{
    if (ev->p_worse <= alpha && ev->estimate >= tolerance)
        return ANA_REGRESSED;
    if (ev->p_better <= alpha && ev->estimate <= -tolerance)
        return ANA_IMPROVED;
    if (ev->p_below <= alpha)
        return ev->p_above <= alpha ? ANA_NO_CHANGE : ANA_NOT_WORSE;
    return ANA_INCONCLUSIVE;
}

enum ana_verdict ana_overall(const unsigned counts[ANA_VERDICT_COUNT])
{
    for (int v = ANA_VERDICT_COUNT; v-- > ANA_INCONCLUSIVE;)
        if (counts[v] > 0)
            return (enum ana_verdict)v;
    return counts[ANA_IMPROVED] > 0    ? ANA_IMPROVED
           : counts[ANA_NOT_WORSE] > 0 ? ANA_NOT_WORSE
           : counts[ANA_NO_CHANGE] > 0 ? ANA_NO_CHANGE
                                       : ANA_INVALID;
}

enum exit_status ana_verdict_status(enum ana_verdict v, const struct ana_policy *policy)
{
    switch (v) {
    case ANA_IMPROVED:
    case ANA_NO_CHANGE:
        return EXIT_DONE;
    case ANA_NOT_WORSE:
        return policy->not_worse_fails ? EXIT_INCONCLUSIVE : EXIT_DONE;
    case ANA_INCONCLUSIVE:
        return policy->inconclusive_passes ? EXIT_DONE : EXIT_INCONCLUSIVE;
    case ANA_REGRESSED:
        return EXIT_REGRESSED;
    case ANA_INVALID:
    case ANA_VERDICT_COUNT:
        break;
    }
    return EXIT_INVALID;
}

double ana_mde(unsigned n, double sd, double t, double tolerance, double power)
{
    double low = 0, high = fmax(tolerance, 1e-9);

    if (n < 2 || !isfinite(t))
        return INFINITY;
    if (sd <= 0)
        return tolerance;
    while (ana_t_power(n, high, sd, t, tolerance) < power) {
        high *= 2;
        if (high > 1e6)
            return INFINITY;
    }
    for (int i = 0; i < 60; i++) {
        double middle = (low + high) / 2;
        if (ana_t_power(n, middle, sd, t, tolerance) < power)
            low = middle;
        else
            high = middle;
    }
    return high;
}

static bool enough(unsigned n, double sd, double tolerance, double alpha, double power)
{
    double t = ana_t_quantile_upper(alpha, n - 1.0);
    return ana_t_power(n, tolerance, sd, t, -INFINITY) >= power;
}

unsigned ana_needed_pairs(double sd, double tolerance, double alpha, double power)
{
    unsigned low = 2,
             high = 4; /* low is not enough, high is, once the loop has ended */

    if (tolerance <= 0)
        return ANA_NEEDED_MAX;
    if (sd <= 0 || enough(2, sd, tolerance, alpha, power))
        return 2;
    while (!enough(high, sd, tolerance, alpha, power)) {
        if (high >= ANA_NEEDED_MAX)
            return ANA_NEEDED_MAX;
        low = high;
        high *= 2;
    }
    while (high - low > 1) {
        unsigned middle = low + (high - low) / 2;
        if (enough(middle, sd, tolerance, alpha, power))
            high = middle;
        else
            low = middle;
    }
    return high < ANA_NEEDED_MAX ? high : ANA_NEEDED_MAX;
}

/*
 * planning.h - how many pairs of runs are needed for which change to be detected.
 *
 * Pairs that were run already (best: both arms the same version) tell how far pairs
 * spread. From the spread follows what any number of pairs would detect. METHOD.md has
 * the definitions. Pure functions of a comparison, thread-safe on separate ones.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ANALYSIS_PLANNING_H
#define ANALYSIS_PLANNING_H

#include "analysis/compare.h"

#define ANA_PLAN_LEAST   4 /* pairs from which a spread may be taken at all */
#define ANA_PLAN_COLUMNS 6 /* numbers of pairs whose detectable change is told */
extern const unsigned ana_plan_pairs[ANA_PLAN_COLUMNS];

/* How many pairs; 0: no number up to ANA_PAIRS_MAX is enough. */
struct ana_pairs_wanted {
    unsigned likely;   /* with the spread that was seen */
    unsigned cautious; /* with the upper 80 % limit of that spread */
};

struct ana_gate_plan {
    const struct ana_gate *gate;
    bool possible; /* false: no spread in numbers (gate->why, or infinite quantiles) */
    double sd, sd_upper; /* of d; its one-sided upper 80 % limit */
    /* A change of `detect` is called REGRESSED with probability `power`. 0, too, where
     * detect lies within the tolerance: estimates of a change of just the tolerance
     * fall short of it every other time. */
    struct ana_pairs_wanted detect;
    /* Where nothing changed, the gate says so (NOT WORSE or better) as often. */
    struct ana_pairs_wanted pass;
    double mde[ANA_PLAN_COLUMNS]; /* with ana_plan_pairs; as ana_gate.mde */
};

struct ana_plan {
    const struct ana_comparison *comparison;
    double detect, error_detect; /* log ratio; difference of error rates */
    double power;
    double family;   /* how many independent gates weigh as much as these do together */
    int64_t pair_ns; /* from the start of a pair to that of the next, median; 0: not
                        known */
    struct ana_gate_plan *gates;    /* comparison->gate_count, in its arena */
    struct ana_pairs_wanted needed; /* for every possible gate, both to detect and to
                                       pass */
    const struct ana_gate *decides; /* the gate that needs most; NULL: none possible */
    const char *cannot; /* why nothing can be planned from these runs, or NULL; what
                           stands above but `comparison` is not set then */
};

/* c was compared. detect, error_detect > 0; 0 < power < 1. ERR_NOMEM. */
int ana_plan_make(struct ana_plan *plan, struct ana_comparison *c, double detect,
                  double error_detect, double power, struct err *e) MUST_USE;

/* Probability that a true effect is called REGRESSED by n pairs of standard deviation
 * sd, as one of `family` gates. */
double ana_plan_power(unsigned n, double effect, double sd, double tolerance,
                      double alpha, double family);
/* One-sided upper limit of the true standard deviation at `confidence`, n normal values
 * having shown sd: sd sqrt((n - 1) / q), q the quantile 1 - confidence of chi-squared
 * with n - 1 degrees of freedom, by Wilson and Hilferty (1931), within 1 % from 3
 * degrees on. n >= 2. */
double ana_sd_upper(double sd, unsigned n, double confidence);

void ana_plan_text(const struct ana_plan *plan, struct buf *out);
void ana_plan_json(const struct ana_plan *plan, struct buf *out);

#endif

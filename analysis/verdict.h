/*
 * verdict.h - from numbers to words: the table of verdicts, and the exit status.
 *
 * A gate is judged on the log ratio (or, for errors, the difference of rates) that
 * pairs of runs show, against a tolerance: the smallest change that matters. The six
 * words exclude each other; METHOD.md has the table. Pure functions, thread-safe.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ANALYSIS_VERDICT_H
#define ANALYSIS_VERDICT_H

#include <stdbool.h>
#include <stddef.h>

#include "traces/base/err.h"

/* From best to worst. The overall verdict is the greatest of the gates', with one
 * exception: where every gate passes and at least one IMPROVED, so did the whole. (The
 * greatest alone would call a faster version "no change" for its unchanged error rate.)
 */
enum ana_verdict {
    ANA_IMPROVED,
    ANA_NO_CHANGE,
    ANA_NOT_WORSE,
    ANA_INCONCLUSIVE,
    ANA_INVALID,
    ANA_REGRESSED,
    ANA_VERDICT_COUNT
};
extern const char *const ana_verdict_names[]; /* "IMPROVED" … "REGRESSED" */

struct ana_evidence {
    double estimate;          /* effect: positive is worse */
    double p_worse, p_better; /* one-sided, adjusted for all gates */
    double p_above, p_below; /* one-sided, of "effect > -tolerance" and "< tolerance" */
};

/* tolerance: in the unit of the estimate, >= 0. */
enum ana_verdict ana_judge(const struct ana_evidence *ev, double tolerance,
                           double alpha);

enum ana_verdict
ana_overall(const unsigned counts[ANA_VERDICT_COUNT]); /* gates by word */

/* Words that pass and words that fail, as the user wants them. */
struct ana_policy {
    bool inconclusive_passes; /* default: does not */
    bool not_worse_fails;     /* default: passes */
};
enum exit_status ana_verdict_status(enum ana_verdict v,
                                    const struct ana_policy *policy);

/* Smallest true effect for which this design says REGRESSED with probability `power`: n
 * pairs of standard deviation sd, critical value t, estimate at least `tolerance`.
 * Infinite when t is. */
double ana_mde(unsigned n, double sd, double t, double tolerance, double power);

/* Fewest pairs with which a one-sided t test at alpha sees an effect of `tolerance` (or
 * excludes it where there is none) with probability `power`; ANA_NEEDED_MAX at most. */
#define ANA_NEEDED_MAX 10000
unsigned ana_needed_pairs(double sd, double tolerance, double alpha, double power);

#endif

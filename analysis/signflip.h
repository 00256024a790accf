/*
 * signflip.h - exact paired tests by flipping signs, and intervals from the same test.
 *
 * d[i] is what the i-th pair of runs says, log(B / A) or a difference of rates. If A
 * and B do not differ, and the order inside each pair was random, every pattern of
 * signs is as likely as the one observed: the share of patterns whose studentised mean
 * is at least the observed one is a p-value without any further assumption (Fisher
 * 1935; Westfall, Young 1993 for several gates at once). Up to ANA_EXACT_PAIRS pairs
 * all 2^n patterns are visited, beyond that 9,999 seeded random ones and the identity,
 * so that p is never 0 (Phipson, Smyth 2010).
 *
 * The sum of squares does not change under flips, so the studentised mean grows with
 *     u = sum(s[i] d[i]) / sqrt(n sum(d[i]^2)),   t = u sqrt(n - 1) / sqrt(1 - u^2),
 * and everything is done with u, which stays finite when all d are equal. Patterns
 * within 1e-12 of the observed value count as ties: against us.
 *
 * Inverting the test needs no search: a pattern that flips the set K is at least as
 * extreme, seen from shift m, just when the mean of d over K is <= m, so the bounds are
 * order statistics of the means over all non-empty K (Hartigan 1969).
 *
 * A pair may be infinite (one arm's quantile is +inf). Then signs take the place of
 * values: the sign test, and order statistics of d as bounds.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ANALYSIS_SIGNFLIP_H
#define ANALYSIS_SIGNFLIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "traces/base/err.h"

#define ANA_EXACT_PAIRS  14
#define ANA_RANDOM_FLIPS 10000 /* the identity included */
#define ANA_PAIRS_MAX    512

/* Fewest pairs of which one pattern of signs is as rare as alpha: 5 for 5 %. */
unsigned ana_least_pairs(double alpha);

/* The patterns: pattern f flips the pairs whose bit is set; pattern 0 flips none. */
struct ana_flips {
    unsigned n;     /* pairs */
    size_t count;   /* patterns */
    bool exact;     /* all of them; then the bits of pattern f are f itself */
    uint64_t *bits; /* random: count rows of `words` words */
    unsigned words;
    double *sums;    /* scratch: of flipped pairs, by pattern */
    int64_t *keys;   /* scratch: means as ordered integers */
    uint16_t *sizes; /* flipped pairs, by pattern */
};

int ana_flips_init(struct ana_flips *f, unsigned n, uint64_t seed,
                   struct err *e) MUST_USE;
void ana_flips_done(struct ana_flips *f);

/* One-sided p of "mean of d is greater than shift" (up) or less (down). */
double ana_flip_p(struct ana_flips *f, const double *d, double shift, bool up);

/* Interval of the mean (or median, with infinities) that the one-sided tests at `alpha`
 * on each side do not exclude: confidence 1 - 2 alpha. A side that n cannot bound is
 * infinite. */
struct ana_interval {
    double low, high;
};
struct ana_interval ana_flip_interval(struct ana_flips *f, const double *d,
                                      double alpha);

/* Step-down max-T (Westfall, Young 1993): p_adj[g] for the gates d[0..m), each n long.
 * The chance of any false rejection among them is at most alpha. ERR_NOMEM. */
int ana_maxt(struct ana_flips *f, const double *const *d, size_t m, bool up,
             double *p_adj, struct err *e) MUST_USE;

/* The t that the largest of the centred gates exceeds in a share alpha of the patterns:
 * what one gate must reach in this company. Infinite when n is too small. ERR_NOMEM. */
int ana_maxt_critical(struct ana_flips *f, const double *const *d, size_t m,
                      double alpha, double *t, struct err *e) MUST_USE;

/* Mean, or median when any is infinite; sd is 0 then. */
struct ana_centre {
    double estimate, sd;
    bool by_sign; /* some d was infinite */
};
struct ana_centre ana_centre(const double *d, unsigned n);

/* Mean +- t sd / sqrt(n), as a cross-check: confidence 1 - 2 alpha. */
struct ana_interval ana_t_interval(const struct ana_centre *c, unsigned n,
                                   double alpha);

/* Benjamini-Hochberg: q[i] of p[i], in place of p; NaN stays NaN and does not count. */
int ana_bh(double *p, size_t n, struct err *e) MUST_USE;

#endif

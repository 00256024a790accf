/*
 * quantile.h - exact quantiles of nanoseconds, without sorting.
 *
 * A quantile here is the inverse of the empirical distribution function: the value of
 * rank ceil(p * n), one that was really observed (Hyndman, Fan 1996, type 1), bit for
 * bit what sorting and indexing gives. Probabilities are whole billionths, so that the
 * rank of p99 of 100 values is 99 and not what rounding makes of 0.99 * 100. Values are
 * split over several slices where they come from several places. Thread-safe on
 * separate data.
 *
 * How: values are counted in log-linear buckets (128 an octave); the buckets that hold
 * the wanted ranks are known then, and only their values are gathered and selected
 * from. A bucket of one value (below 256 ns) needs no gathering.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ANALYSIS_QUANTILE_H
#define ANALYSIS_QUANTILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "traces/base/err.h"

#define ANA_INF  INT64_MAX /* it failed: slower than anything */
#define ANA_NONE INT64_MIN /* not there; this and every negative value is left out */

#define ANA_P_ONE      UINT32_C(1000000000) /* probability 1, in billionths */
#define ANA_P(percent) ((uint32_t)((percent)*1e7 + 0.5)) /* ANA_P(99.9) */
#define ANA_N_MAX      UINT64_C(18000000000) /* values: rank arithmetic stays in 64 bits */

/* n values: v; or where narrow is set those of it that are not ANA_WIDE (what is
 * ANA_WIDE there stands in a slice of its own); or, where neither is, n zeros. */
#define ANA_WIDE UINT32_MAX
struct ana_slice {
    const int64_t *v;
    size_t n;
    const uint32_t *narrow;
};

struct ana_dist {
    uint64_t n; /* values, infinite ones included */
    uint64_t infinite;
    int64_t max; /* ANA_NONE when n is 0 */
    double mean; /* from an exact sum; infinite when any value is, NaN when n is 0 */
};

/* Rank ceil(p * n), from 1; p in (0, ANA_P_ONE]. */
uint64_t ana_rank(uint64_t n, uint32_t p);
/* Observations beyond the quantile: n - rank. */
uint64_t ana_beyond(uint64_t n, uint32_t p);

/* Whether a quantile may be judged: with too few observations beyond it, it is hearsay.
 */
enum ana_estimable { ANA_NOT_ESTIMABLE, ANA_SHOWN, ANA_JUDGED };
#define ANA_BEYOND_JUDGED 20
#define ANA_BEYOND_SHOWN  10
enum ana_estimable ana_estimable(uint64_t n, uint32_t p);
/* Least number of observations with which p is judged. */
uint64_t ana_needed(uint32_t p);

/* out[i] is the quantile p[i]; p ascending. With finite_only, ANA_INF is left out too.
 * No values: every out[i] is ANA_NONE. d may be NULL. ERR_NOMEM, ERR_LIMIT (ANA_N_MAX).
 */
int ana_quantiles(const struct ana_slice *parts, size_t part_count, bool finite_only,
                  const uint32_t *p, size_t p_count, int64_t *out, struct ana_dist *d,
                  struct err *e) MUST_USE;

/* The same in two steps, where values are wanted in several groupings, or with and
 * without infinite ones: count once, add tallies, then ask. Counting goes over the
 * values once, asking once more, and not at all where the buckets tell. */
struct ana_tally;
struct ana_tally *ana_tally_new(void); /* empty; NULL: out of memory */
void ana_tally_free(struct ana_tally *t);
void ana_tally_reset(struct ana_tally *t);
/* Returns how many of a narrow slice were ANA_WIDE. */
size_t ana_tally_count(struct ana_tally *t, const struct ana_slice *part);
void ana_tally_add(struct ana_tally *to, const struct ana_tally *from);
/* One question of what was counted; as the arguments of ana_quantiles. */
struct ana_ask {
    bool finite_only;
    const uint32_t *p;
    size_t p_count;
    int64_t *out;
    struct ana_dist *d;
};
/* Answers all of them in one go over the values. parts hold the values that were
 * counted, no more and no fewer. */
int ana_tally_ask(struct ana_tally *t, const struct ana_slice *parts, size_t part_count,
                  const struct ana_ask *asks, size_t ask_count, struct err *e) MUST_USE;

/* Reorders v and returns what would stand at index k after sorting; k < n. What stands
 * left of k is then not greater, what stands right of it not smaller. */
int64_t ana_select(int64_t *v, size_t n, size_t k);

#endif

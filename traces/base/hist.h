/*
 * hist.h - log-linear histogram of non-negative nanoseconds, for live views and
 * planning.
 *
 * 128 buckets per octave (relative width below 0.8 %), from 0 to `limit`; what lies
 * above is counted as beyond it, never clamped, and a quantile that falls there is
 * HIST_BEYOND. Exact quantiles come from the outcomes, not from here. Each thread has
 * its own; merge after joining. A zeroed hist must be given to hist_init first.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_BASE_HIST_H
#define TRACES_BASE_HIST_H

#include "traces/base/err.h"

#define HIST_BEYOND INT64_MAX

struct hist {
    uint64_t *counts;
    uint32_t bucket_count;
    int64_t limit_ns;
    uint64_t total;         /* all values, those beyond included */
    uint64_t beyond;        /* values above limit_ns */
    int64_t min_ns, max_ns; /* exact, beyond included; 0 when empty */
    double sum_ns;
};

int hist_init(struct hist *h, int64_t limit_ns, struct err *e) MUST_USE; /* ERR_NOMEM */
void hist_done(struct hist *h);
void hist_reset(struct hist *h);
void hist_add(struct hist *h, int64_t ns);                   /* negative counts as 0 */
void hist_merge(struct hist *into, const struct hist *from); /* same limit */
/* Greatest value of the bucket that holds rank ceil(p * total), or max_ns if that is
 * less; p in (0, 1]; 0 when empty. */
int64_t hist_quantile(const struct hist *h, double p);
/* The greatest value of bucket `index`. */
int64_t hist_bucket_top(uint32_t index);
double hist_mean(const struct hist *h);

#endif

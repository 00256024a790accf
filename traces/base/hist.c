/*
 * hist.c - see hist.h.
 *
 * Values below 256 have a bucket each. Above, with the highest set bit at position 7 +
 * k, the top 8 bits choose the bucket and the k bits below are forgotten:
 *
 *   value 1 a b c d e f g x … x  (k times x)  ->  index = 128 k + (value >> k)
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/base/hist.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define HALF_BITS 7 /* log2 of the buckets per octave */

static uint32_t index_of(int64_t ns)
{
    uint64_t v = (uint64_t)ns;
    int top = v ? 63 - __builtin_clzll(v) : 0;
    int k = top > HALF_BITS ? top - HALF_BITS : 0;
    return ((uint32_t)k << HALF_BITS) + (uint32_t)(v >> k);
}

int64_t hist_bucket_top(uint32_t index)
{
    uint32_t k = index >> HALF_BITS;
    k = k > 0 ? k - 1 : 0;
    uint64_t top = index - (k << HALF_BITS);
    return (int64_t)(((top + 1) << k) - 1);
}

int hist_init(struct hist *h, int64_t limit_ns, struct err *e)
{
    assert(limit_ns >= 0);
    *h = (struct hist){.limit_ns = limit_ns, .bucket_count = index_of(limit_ns) + 1};
    h->counts = calloc(h->bucket_count, sizeof *h->counts);
    if (!h->counts) {
        *h = (struct hist){0};
        return err_set(e, ERR_NOMEM, "out of memory for a histogram");
    }
    return 0;
}

void hist_done(struct hist *h)
{
    free(h->counts);
    *h = (struct hist){0};
}

void hist_reset(struct hist *h)
{
    if (h->counts)
        memset(h->counts, 0, h->bucket_count * sizeof *h->counts);
    h->total = h->beyond = 0;
    h->min_ns = h->max_ns = 0;
    h->sum_ns = 0;
}

void hist_add(struct hist *h, int64_t ns)
{
    if (ns < 0)
        ns = 0;
    if (ns > h->limit_ns)
        h->beyond++;
    else
        h->counts[index_of(ns)]++;
    if (h->total == 0 || ns < h->min_ns)
        h->min_ns = ns;
    if (ns > h->max_ns)
        h->max_ns = ns;
    h->total++;
    h->sum_ns += (double)ns;
}

void hist_merge(struct hist *into, const struct hist *from)
{
    assert(into->limit_ns == from->limit_ns &&
           into->bucket_count == from->bucket_count);
    if (from->total == 0)
        return;
    for (uint32_t i = 0; i < from->bucket_count; i++)
        into->counts[i] += from->counts[i];
    if (into->total == 0 || from->min_ns < into->min_ns)
        into->min_ns = from->min_ns;
    if (from->max_ns > into->max_ns)
        into->max_ns = from->max_ns;
    into->total += from->total;
    into->beyond += from->beyond;
    into->sum_ns += from->sum_ns;
}

/* ceil(p * n) in 1..n, where a product that is whole but for its rounding counts as
 * whole: 0.07 * 100 is 7, though not in binary. */
static uint64_t rank_of(double p, uint64_t n)
{
    double r = p * (double)n, whole = nearbyint(r);
    if (fabs(r - whole) > r * 4 * DBL_EPSILON)
        whole = ceil(r);
    if (whole < 1)
        return 1;
    return whole < (double)n ? (uint64_t)whole : n;
}

int64_t hist_quantile(const struct hist *h, double p)
{
    if (h->total == 0)
        return 0;
    uint64_t rank = rank_of(p, h->total), seen = 0;
    for (uint32_t i = 0; i < h->bucket_count; i++) {
        seen += h->counts[i];
        if (seen < rank)
            continue;
        int64_t edge = hist_bucket_top(i), most = h->beyond ? h->limit_ns : h->max_ns;
        return edge < most ? edge : most;
    }
    return HIST_BEYOND;
}

double hist_mean(const struct hist *h)
{
    return h->total ? h->sum_ns / (double)h->total : 0;
}

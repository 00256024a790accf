/*
 * quantile.c - see quantile.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "analysis/quantile.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SUB_BITS 7 /* 128 buckets an octave */
#define SUB      (1u << SUB_BITS)
#define BUCKETS  ((63 - SUB_BITS + 1) * SUB)
#define NO_SLOT  UINT16_MAX

uint64_t ana_rank(uint64_t n, uint32_t p)
{
    return (n * p + (ANA_P_ONE - 1)) / ANA_P_ONE;
}

uint64_t ana_beyond(uint64_t n, uint32_t p)
{
    return n - ana_rank(n, p);
}

enum ana_estimable ana_estimable(uint64_t n, uint32_t p)
{
    uint64_t beyond = ana_beyond(n, p);
    if (n == 0 || beyond < ANA_BEYOND_SHOWN)
        return ANA_NOT_ESTIMABLE;
    return beyond < ANA_BEYOND_JUDGED ? ANA_SHOWN : ANA_JUDGED;
}

uint64_t ana_needed(uint32_t p)
{
    /* n - ceil(p n) = floor((1 - p) n) >= 20 */
    uint64_t rest = ANA_P_ONE - p;
    if (rest == 0)
        return UINT64_MAX;
    return (UINT64_C(20) * ANA_P_ONE + rest - 1) / rest;
}

/* Below SUB each value has its own bucket; above, SUB buckets share an octave of
 * v + SUB, whose top SUB_BITS + 1 bits name them. Order of buckets is order of values.
 */
static inline unsigned bucket_of(uint64_t v)
{
    uint64_t u = v + SUB;
    unsigned shift = 63 - SUB_BITS - (unsigned)__builtin_clzll(u);
    return shift * SUB + (unsigned)(u >> shift) - SUB;
}

struct ana_tally {
    uint64_t counts[BUCKETS]; /* of finite values */
    uint64_t finite, infinite;
    int64_t max; /* of the finite ones; ANA_NONE: there are none */
    unsigned __int128 sum;
    uint16_t slot[BUCKETS]; /* of a bucket that is gathered, else NO_SLOT */
};

struct ana_tally *ana_tally_new(void)
{
    struct ana_tally *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    memset(t->slot, 0xff, sizeof t->slot);
    t->max = ANA_NONE;
    return t;
}

void ana_tally_free(struct ana_tally *t)
{
    free(t);
}

/* Buckets behind the greatest value's are empty. */
static unsigned used_buckets(const struct ana_tally *t)
{
    return t->max < 0 ? 0 : bucket_of((uint64_t)t->max) + 1;
}

void ana_tally_reset(struct ana_tally *t)
{
    memset(t->counts, 0, used_buckets(t) * sizeof *t->counts);
    t->finite = t->infinite = 0;
    t->max = ANA_NONE;
    t->sum = 0;
}

static size_t count_narrow(struct ana_tally *t, const uint32_t *v, size_t n)
{
    uint64_t zeros = 0, wide = 0, sum = 0; /* of n < 2^32 values below 2^32 */
    uint32_t max = 0;

    for (size_t i = 0; i < n; i++) {
        if (v[i] == 0) { /* often all are: no memory is waited for then */
            zeros++;
            continue;
        }
        if (v[i] == ANA_WIDE) {
            wide++;
            continue;
        }
        t->counts[bucket_of(v[i])]++;
        sum += v[i];
        max = v[i] > max ? v[i] : max;
    }
    t->counts[0] += zeros;
    t->sum += sum;
    t->finite += n - wide;
    if (n > wide && max > t->max)
        t->max = max;
    if (n > wide && t->max < 0)
        t->max = 0;
    return wide;
}

size_t ana_tally_count(struct ana_tally *t, const struct ana_slice *part)
{
    size_t wide = 0;
    if (part->narrow) { /* in pieces, whose sums fit 64 bits */
        const size_t piece = (size_t)1 << 30;
        for (size_t at = 0; at < part->n; at += piece)
            wide += count_narrow(t, part->narrow + at,
                                 part->n - at < piece ? part->n - at : piece);
        return wide;
    }
    uint64_t zeros = 0, infinite = 0, left_out = 0;
    int64_t max = t->max;

    for (size_t i = 0; i < part->n; i++) {
        int64_t v = part->v[i];
        if (v <= 0) { /* often all are: no memory is waited for then */
            zeros += v == 0;
            left_out += v < 0;
            continue;
        }
        if (v == ANA_INF) {
            infinite++;
            continue;
        }
        t->counts[bucket_of((uint64_t)v)]++;
        t->sum += (uint64_t)v;
        max = v > max ? v : max;
    }
    if (zeros > 0 && max < 0)
        max = 0;
    t->counts[0] += zeros;
    t->max = max;
    t->infinite += infinite;
    t->finite += part->n - left_out - infinite;
    return 0;
}

void ana_tally_add(struct ana_tally *to, const struct ana_tally *from)
{
    unsigned n = used_buckets(from);
    for (unsigned b = 0; b < n; b++)
        to->counts[b] += from->counts[b];
    to->finite += from->finite;
    to->infinite += from->infinite;
    to->sum += from->sum;
    to->max = from->max > to->max ? from->max : to->max;
}

/* Where one wanted rank lies, or what the value is where that is known at once. */
struct target {
    bool known;
    int64_t value;
    unsigned bucket;
    uint64_t rank_in_bucket; /* from 0 */
};

/* The gathered values of one hit bucket: values[start .. start + count). */
struct gathered {
    unsigned bucket;
    size_t start, count, filled;
};

/* n: values to rank among, infinite ones in the end. Returns the number of hits. */
static size_t locate(struct ana_tally *t, uint64_t n, const uint32_t *p, size_t p_count,
                     struct target *targets, struct gathered *hits, size_t *total)
{
    size_t hit_count = 0, at = 0;
    uint64_t before = 0; /* values in buckets before `bucket` */
    unsigned bucket = 0;

    for (size_t i = 0; i < p_count; i++) {
        uint64_t rank = ana_rank(n, p[i]);
        targets[i] = (struct target){.known = true, .value = ANA_INF};
        if (rank > t->finite)
            continue;
        while (before + t->counts[bucket] < rank)
            before += t->counts[bucket++];
        if (bucket < SUB) { /* a bucket of one value */
            targets[i].value = (int64_t)bucket;
            continue;
        }
        if (t->slot[bucket] == NO_SLOT) {
            t->slot[bucket] = (uint16_t)hit_count;
            hits[hit_count++] =
                (struct gathered){bucket, at, (size_t)t->counts[bucket], 0};
            at += (size_t)t->counts[bucket];
        }
        targets[i] =
            (struct target){.bucket = bucket, .rank_in_bucket = rank - before - 1};
    }
    *total = at;
    return hit_count;
}

static void gather_narrow(const struct ana_tally *t, const struct ana_slice *part,
                          struct gathered *hits, int64_t *values)
{
    for (size_t i = 0; i < part->n; i++) {
        uint32_t v = part->narrow[i];
        unsigned slot = t->slot[bucket_of(v)];
        if (slot != NO_SLOT && v != ANA_WIDE)
            values[hits[slot].start + hits[slot].filled++] = v;
    }
}

static void gather_part(const struct ana_tally *t, const struct ana_slice *part,
                        struct gathered *hits, int64_t *values)
{
    if (part->narrow) {
        gather_narrow(t, part, hits, values);
        return;
    }
    for (size_t i = 0; i < part->n; i++) {
        int64_t v = part->v[i];
        if (v < SUB || v == ANA_INF)
            continue;
        unsigned slot = t->slot[bucket_of((uint64_t)v)];
        if (slot != NO_SLOT)
            values[hits[slot].start + hits[slot].filled++] = v;
    }
}

/* Ascending ranks share a bucket: each selection leaves the rest to its right. */
static void pick(const struct ana_tally *t, const struct target *targets,
                 size_t p_count, const struct gathered *hits, int64_t *values,
                 int64_t *out)
{
    unsigned last = UINT32_MAX;
    size_t done = 0; /* values of this bucket that are in place already */

    for (size_t i = 0; i < p_count; i++) {
        if (targets[i].known) {
            out[i] = targets[i].value;
            continue;
        }
        const struct gathered *g = &hits[t->slot[targets[i].bucket]];
        size_t k = (size_t)targets[i].rank_in_bucket;
        if (targets[i].bucket != last) {
            last = targets[i].bucket;
            done = 0;
        }
        if (k < done) { /* the same rank again */
            out[i] = values[g->start + k];
            continue;
        }
        out[i] = ana_select(values + g->start + done, g->count - done, k - done);
        done = k + 1;
    }
}

static int select_all(struct ana_tally *t, uint64_t n, const struct ana_slice *parts,
                      size_t part_count, const uint32_t *p, size_t p_count,
                      int64_t *out, struct err *e)
{
    struct target *targets = malloc((p_count + 1) * sizeof *targets);
    struct gathered *hits = malloc((p_count + 1) * sizeof *hits);
    int64_t *values = NULL;
    size_t hit_count = 0, total = 0;
    int rc = 0;

    if (targets && hits) {
        hit_count = locate(t, n, p, p_count, targets, hits, &total);
        values = malloc((total + 1) * sizeof *values);
    }
    if (values) {
        for (size_t i = 0; i < part_count && total > 0; i++)
            gather_part(t, &parts[i], hits, values);
        pick(t, targets, p_count, hits, values, out);
    } else {
        rc = err_set(e, ERR_NOMEM, "out of memory");
    }
    for (size_t i = 0; i < hit_count; i++)
        t->slot[hits[i].bucket] = NO_SLOT;
    free(values);
    free(hits);
    free(targets);
    return rc;
}

int ana_tally_quantiles(struct ana_tally *t, const struct ana_slice *parts,
                        size_t part_count, bool finite_only, const uint32_t *p,
                        size_t p_count, int64_t *out, struct ana_dist *d, struct err *e)
{
    uint64_t infinite = finite_only ? 0 : t->infinite, n = t->finite + infinite;
    int rc = 0;

    if (n > ANA_N_MAX)
        rc = err_set(e, ERR_LIMIT, "more than %llu values",
                     (unsigned long long)ANA_N_MAX);
    else if (n > 0 && p_count > 0)
        rc = select_all(t, n, parts, part_count, p, p_count, out, e);
    else
        for (size_t i = 0; i < p_count; i++)
            out[i] = ANA_NONE;
    if (d)
        *d = (struct ana_dist){.n = n,
                               .infinite = infinite,
                               .max = infinite ? ANA_INF : t->max,
                               .mean = n == 0     ? NAN
                                       : infinite ? INFINITY
                                                  : (double)t->sum / (double)n};
    return rc;
}

int ana_quantiles(const struct ana_slice *parts, size_t part_count, bool finite_only,
                  const uint32_t *p, size_t p_count, int64_t *out, struct ana_dist *d,
                  struct err *e)
{
    struct ana_tally *t = ana_tally_new();

    if (!t)
        return err_set(e, ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < part_count; i++)
        ana_tally_count(t, &parts[i]);
    int rc =
        ana_tally_quantiles(t, parts, part_count, finite_only, p, p_count, out, d, e);
    ana_tally_free(t);
    return rc;
}

static int order(const void *a, const void *b)
{
    int64_t x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

static int64_t median3(int64_t a, int64_t b, int64_t c)
{
    if (a > b) {
        int64_t kept = a;
        a = b;
        b = kept;
    }
    return c < a ? a : c > b ? b : c;
}

/* The median of three places, and of three medians where many values are left (Bentley,
 * McIlroy 1993). */
static int64_t pivot_of(const int64_t *v, size_t n)
{
    size_t s = n / 8;
    if (n < 64)
        return median3(v[0], v[n / 2], v[n - 1]);
    return median3(median3(v[0], v[s], v[2 * s]), median3(v[3 * s], v[4 * s], v[5 * s]),
                   median3(v[6 * s], v[7 * s], v[n - 1]));
}

/* Three-way partition: [0, *low) < pivot, [*low, *high) equal to it, [*high, n) >
 * pivot. */
static void partition(int64_t *v, size_t n, int64_t pivot, size_t *low, size_t *high)
{
    size_t lo = 0, i = 0, hi = n;

    while (i < hi) {
        int64_t kept = v[i];
        if (kept < pivot) {
            v[i++] = v[lo];
            v[lo++] = kept;
        } else if (kept > pivot) {
            v[i] = v[--hi];
            v[hi] = kept;
        } else {
            i++;
        }
    }
    *low = lo;
    *high = hi;
}

/* Quickselect. Input that defeats the pivots is sorted after SELECT_ROUNDS rounds, so
 * that none costs more than those rounds and one sort. */
int64_t ana_select(int64_t *v, size_t n, size_t k)
{
    enum { SELECT_ROUNDS = 64, SMALL = 16 };

    for (int round = 0; n > SMALL && round < SELECT_ROUNDS; round++) {
        size_t low, high;
        partition(v, n, pivot_of(v, n), &low, &high);
        if (k < low) {
            n = low;
        } else if (k < high) {
            return v[k];
        } else {
            v += high;
            n -= high;
            k -= high;
        }
    }
    qsort(v, n, sizeof *v, order);
    return v[k];
}

/*
 * quantile.c - see quantile.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "analysis/quantile.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK    64                /* values that are looked at together */
#define DROPPED  16                /* bits of a float below those that name a bucket */
#define BEFORE_1 ((127u << 7) - 1) /* what is left of the floats below 1 */
#define BUCKETS  (63 * 128 + 2)
#define EXACT    1024 /* up to this one, that of 255, each bucket has one value */

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

/* The exponent of the value as a float and 7 bits behind its first: 128 buckets share
 * an octave, 0 has one of its own. Order of buckets is order of values, for a value is
 * rounded to no less than a lesser one. */
static inline unsigned bucket_of_float(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    int32_t bucket = (int32_t)(bits >> DROPPED) - (int32_t)BEFORE_1;
    return bucket < 0 ? 0 : (unsigned)bucket;
}

static inline unsigned bucket_of(int64_t v)
{
    return bucket_of_float((float)v);
}

/* Of a bucket up to EXACT. */
static int64_t value_of(unsigned bucket)
{
    uint32_t bits = (bucket + BEFORE_1) << DROPPED;
    float f;
    memcpy(&f, &bits, sizeof f);
    return bucket ? (int64_t)f : 0;
}

/* All bits of a chunk together. */
static uint32_t bits_of(const uint32_t *v)
{
    uint32_t bits = 0;
    for (int i = 0; i < CHUNK; i++)
        bits |= v[i];
    return bits;
}

/* Of a chunk of values below 2^31. */
static void name_buckets(const uint32_t *restrict v, uint32_t *restrict buckets)
{
    for (int i = 0; i < CHUNK; i++)
        buckets[i] = bucket_of_float((float)(int32_t)v[i]);
}

struct ana_tally {
    uint64_t counts[BUCKETS]; /* of finite values */
    uint64_t finite, infinite;
    int64_t max; /* of the finite ones; ANA_NONE: there are none */
    unsigned __int128 sum;
    uint16_t slot[BUCKETS]; /* of a bucket that is gathered, from 1; 0: it is not */
};

struct ana_tally *ana_tally_new(void)
{
    struct ana_tally *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
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
    return t->max < 0 ? 0 : bucket_of(t->max) + 1;
}

void ana_tally_reset(struct ana_tally *t)
{
    memset(t->counts, 0, used_buckets(t) * sizeof *t->counts);
    t->finite = t->infinite = 0;
    t->max = ANA_NONE;
    t->sum = 0;
}

static void count_zeros(struct ana_tally *t, size_t n)
{
    t->counts[0] += n;
    t->finite += n;
    if (n > 0 && t->max < 0)
        t->max = 0;
}

static void count_finite(struct ana_tally *t, int64_t v)
{
    t->counts[bucket_of(v)]++;
    t->finite++;
    t->sum += (uint64_t)v;
    t->max = v > t->max ? v : t->max;
}

static int64_t greatest(const uint32_t *v)
{
    int32_t max = 0;
    for (int i = 0; i < CHUNK; i++)
        max = (int32_t)v[i] > max ? (int32_t)v[i] : max;
    return max;
}

/* A chunk of values below 2^31, whose bits together are these: no value is greater. */
static void count_chunk(struct ana_tally *t, const uint32_t *v, uint32_t bits)
{
    uint32_t buckets[CHUNK];
    uint64_t sum = 0;

    name_buckets(v, buckets);
    for (int i = 0; i < CHUNK; i += 2) {
        t->counts[buckets[i]]++;
        t->counts[buckets[i + 1]]++;
    }
    for (int i = 0; i < CHUNK; i++)
        sum += v[i];
    t->finite += CHUNK;
    t->sum += sum;
    if (bits > t->max) {
        int64_t max = greatest(v);
        t->max = max > t->max ? max : t->max;
    }
}

static size_t count_narrow(struct ana_tally *t, const uint32_t *v, size_t n)
{
    size_t i = 0, wide = 0;

    while (i < n) {
        uint32_t bits = n - i < CHUNK ? UINT32_MAX : bits_of(v + i);
        if (bits == 0) { /* often all are */
            count_zeros(t, CHUNK);
            i += CHUNK;
        } else if (bits <= INT32_MAX) {
            count_chunk(t, v + i, bits);
            i += CHUNK;
        } else {
            for (size_t end = n - i < CHUNK ? n : i + CHUNK; i < end; i++)
                if (v[i] == ANA_WIDE)
                    wide++;
                else
                    count_finite(t, v[i]);
        }
    }
    return wide;
}

size_t ana_tally_count(struct ana_tally *t, const struct ana_slice *part)
{
    if (part->narrow)
        return count_narrow(t, part->narrow, part->n);
    if (!part->v) {
        count_zeros(t, part->n);
        return 0;
    }
    for (size_t i = 0; i < part->n; i++) {
        int64_t v = part->v[i];
        if (v == ANA_INF)
            t->infinite++;
        else if (v >= 0)
            count_finite(t, v);
    }
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

/* One wanted rank, from 1, among the finite values. */
struct target {
    uint64_t rank;
    int64_t *out;
    unsigned slot;       /* of the bucket that it is in, from 1 */
    size_t rank_in_slot; /* from 0 */
};

/* The gathered values of one bucket: values[start .. start + count). */
struct gathered {
    unsigned bucket;
    size_t start, count, filled;
};

static int by_rank(const void *a, const void *b)
{
    const struct target *x = a, *y = b;
    return (x->rank > y->rank) - (x->rank < y->rank);
}

static uint64_t count_of(const struct ana_tally *t, const struct ana_ask *ask)
{
    return t->finite + (ask->finite_only ? 0 : t->infinite);
}

/* The ranks that are wanted, ascending. What is infinite, or not there, is answered at
 * once. Returns how many are left. */
static size_t aim(const struct ana_tally *t, const struct ana_ask *asks,
                  size_t ask_count, struct target *targets)
{
    size_t left = 0;
    for (size_t k = 0; k < ask_count; k++) {
        uint64_t n = count_of(t, &asks[k]);
        for (size_t i = 0; i < asks[k].p_count; i++) {
            uint64_t rank = ana_rank(n, asks[k].p[i]);
            asks[k].out[i] = n > 0 ? ANA_INF : ANA_NONE;
            if (n > 0 && rank <= t->finite)
                targets[left++] = (struct target){.rank = rank, .out = &asks[k].out[i]};
        }
    }
    if (ask_count > 1 && left > 0)
        qsort(targets, left, sizeof *targets, by_rank);
    return left;
}

/* Finds the bucket of each target; those of one value answer at once. Returns how many
 * buckets are to be gathered, and in *count of how many targets. */
static size_t locate(struct ana_tally *t, struct target *targets, size_t *count,
                     struct gathered *hits, size_t *total)
{
    size_t hit_count = 0, at = 0, left = 0;
    uint64_t before = 0; /* values in buckets before `bucket` */
    unsigned bucket = 0;

    for (size_t i = 0; i < *count; i++) {
        struct target *to = &targets[left];
        *to = targets[i];
        while (before + t->counts[bucket] < to->rank)
            before += t->counts[bucket++];
        if (bucket <= EXACT) {
            *to->out = value_of(bucket);
            continue;
        }
        if (t->slot[bucket] == 0) {
            hits[hit_count++] =
                (struct gathered){bucket, at, (size_t)t->counts[bucket], 0};
            at += (size_t)t->counts[bucket];
            t->slot[bucket] = (uint16_t)hit_count;
        }
        to->slot = t->slot[bucket];
        to->rank_in_slot = (size_t)(to->rank - before - 1);
        left++;
    }
    *count = left;
    *total = at;
    return hit_count;
}

static inline void gather(const struct ana_tally *t, unsigned bucket, int64_t v,
                          struct gathered *hits, int64_t *values)
{
    unsigned slot = t->slot[bucket];
    if (slot == 0)
        return;
    struct gathered *g = &hits[slot - 1];
    values[g->start + g->filled++] = v;
}

/* A chunk of values below 2^31. Those that are wanted are found first, without a branch
 * for each. */
static void gather_chunk(const struct ana_tally *t, const uint32_t *v,
                         struct gathered *hits, int64_t *values)
{
    uint32_t buckets[CHUNK];
    uint8_t wanted[CHUNK];
    size_t n = 0;

    name_buckets(v, buckets);
    for (unsigned i = 0; i < CHUNK; i += 2) {
        wanted[n] = (uint8_t)i;
        n += t->slot[buckets[i]] != 0;
        wanted[n] = (uint8_t)(i + 1);
        n += t->slot[buckets[i + 1]] != 0;
    }
    for (size_t k = 0; k < n; k++)
        gather(t, buckets[wanted[k]], v[wanted[k]], hits, values);
}

static void gather_narrow(const struct ana_tally *t, const uint32_t *v, size_t n,
                          struct gathered *hits, int64_t *values)
{
    size_t i = 0;
    while (i < n) {
        uint32_t bits = n - i < CHUNK ? UINT32_MAX : bits_of(v + i);
        if (bits <= INT32_MAX) {
            if (bits > 0) /* the bucket of 0 is not gathered */
                gather_chunk(t, v + i, hits, values);
            i += CHUNK;
            continue;
        }
        for (size_t end = n - i < CHUNK ? n : i + CHUNK; i < end; i++)
            if (v[i] != ANA_WIDE)
                gather(t, bucket_of(v[i]), v[i], hits, values);
    }
}

static void gather_part(const struct ana_tally *t, const struct ana_slice *part,
                        struct gathered *hits, int64_t *values)
{
    if (part->narrow)
        gather_narrow(t, part->narrow, part->n, hits, values);
    else if (part->v)
        for (size_t i = 0; i < part->n; i++)
            if (part->v[i] >= 0 && part->v[i] != ANA_INF)
                gather(t, bucket_of(part->v[i]), part->v[i], hits, values);
}

/* Ascending ranks share a bucket: each selection leaves the rest to its right. */
static void pick(const struct target *targets, size_t count,
                 const struct gathered *hits, int64_t *values)
{
    unsigned last = 0;
    size_t done = 0; /* values of this bucket that are in place already */

    for (size_t i = 0; i < count; i++) {
        const struct gathered *g = &hits[targets[i].slot - 1];
        size_t k = targets[i].rank_in_slot;
        if (targets[i].slot != last) {
            last = targets[i].slot;
            done = 0;
        }
        if (k >= done) { /* else the same rank again */
            ana_select(values + g->start + done, g->count - done, k - done);
            done = k + 1;
        }
        *targets[i].out = values[g->start + k];
    }
}

static int answer(struct ana_tally *t, const struct ana_slice *parts, size_t part_count,
                  const struct ana_ask *asks, size_t ask_count, size_t most,
                  struct err *e)
{
    struct target *targets = malloc((most + 1) * sizeof *targets);
    struct gathered *hits = malloc((most + 1) * sizeof *hits);
    int64_t *values = NULL;
    size_t count = 0, hit_count = 0, total = 0;
    int rc = 0;

    if (targets && hits) {
        count = aim(t, asks, ask_count, targets);
        hit_count = locate(t, targets, &count, hits, &total);
        values = malloc((total + 1) * sizeof *values);
    }
    if (values) {
        for (size_t i = 0; i < part_count && total > 0; i++)
            gather_part(t, &parts[i], hits, values);
        pick(targets, count, hits, values);
    } else {
        rc = err_set(e, ERR_NOMEM, "out of memory");
    }
    for (size_t i = 0; i < hit_count; i++)
        t->slot[hits[i].bucket] = 0;
    free(values);
    free(hits);
    free(targets);
    return rc;
}

static struct ana_dist dist_of(const struct ana_tally *t, const struct ana_ask *ask)
{
    uint64_t n = count_of(t, ask), infinite = n - t->finite;
    return (struct ana_dist){.n = n,
                             .infinite = infinite,
                             .max = infinite ? ANA_INF : t->max,
                             .mean = n == 0     ? NAN
                                     : infinite ? INFINITY
                                                : (double)t->sum / (double)n};
}

int ana_tally_ask(struct ana_tally *t, const struct ana_slice *parts, size_t part_count,
                  const struct ana_ask *asks, size_t ask_count, struct err *e)
{
    size_t most = 0;

    for (size_t k = 0; k < ask_count; k++) {
        if (count_of(t, &asks[k]) > ANA_N_MAX)
            return err_set(e, ERR_LIMIT, "more than %llu values",
                           (unsigned long long)ANA_N_MAX);
        if (asks[k].d)
            *asks[k].d = dist_of(t, &asks[k]);
        most += asks[k].p_count;
    }
    return most > 0 ? answer(t, parts, part_count, asks, ask_count, most, e) : 0;
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
    struct ana_ask ask = {finite_only, p, p_count, out, d};
    int rc = ana_tally_ask(t, parts, part_count, &ask, 1, e);
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

/* Puts what is below the pivot in front, or what is not above it, without a branch on
 * values; returns how many that are. */
static inline size_t partition(int64_t *v, size_t n, int64_t pivot, bool or_equal)
{
    size_t low = 0;
    for (size_t i = 0; i < n; i++) {
        int64_t kept = v[i];
        v[i] = v[low];
        v[low] = kept;
        low += or_equal ? kept <= pivot : kept < pivot;
    }
    return low;
}

/* Quickselect. Input that defeats the pivots is sorted after SELECT_ROUNDS rounds, so
 * that none costs more than those rounds and one sort. */
int64_t ana_select(int64_t *v, size_t n, size_t k)
{
    enum { SELECT_ROUNDS = 64, SMALL = 16 };

    for (int round = 0; n > SMALL && round < SELECT_ROUNDS; round++) {
        int64_t pivot = pivot_of(v, n);
        size_t low = partition(v, n, pivot, false);
        if (k < low) {
            n = low;
            continue;
        }
        size_t equal = partition(v + low, n - low, pivot, true);
        if (k < low + equal)
            return pivot;
        v += low + equal;
        n -= low + equal;
        k -= low + equal;
    }
    qsort(v, n, sizeof *v, order);
    return v[k];
}

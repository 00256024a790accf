/*
 * signflip.c - see signflip.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "analysis/signflip.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/quantile.h"
#include "analysis/special.h"
#include "traces/base/rng.h"

#define TIE 1e-12

/* --- patterns --------------------------------------------------------------------- */

static void draw_patterns(struct ana_flips *f, uint64_t seed)
{
    struct rng r;
    uint64_t last = f->n % 64 ? (UINT64_C(1) << (f->n % 64)) - 1 : UINT64_MAX;

    rng_init(&r, seed);
    for (size_t i = 0; i < f->count; i++) {
        unsigned size = 0;
        for (unsigned w = 0; w < f->words; w++) {
            uint64_t bits = i == 0 ? 0 : rng_u64(&r);
            if (w == f->words - 1)
                bits &= last;
            f->bits[i * f->words + w] = bits;
            size += (unsigned)__builtin_popcountll(bits);
        }
        f->sizes[i] = (uint16_t)size;
    }
}

unsigned ana_least_pairs(double alpha)
{
    unsigned n = 1;
    while (n < ANA_PAIRS_MAX && ldexp(1, -(int)n) > alpha)
        n++;
    return n;
}

int ana_flips_init(struct ana_flips *f, unsigned n, uint64_t seed, struct err *e)
{
    *f = (struct ana_flips){
        .n = n, .exact = n <= ANA_EXACT_PAIRS, .words = (n + 63) / 64};
    if (n == 0 || n > ANA_PAIRS_MAX)
        return err_set(e, ERR_LIMIT, "%u pairs; 1 to %d can be tested", n,
                       ANA_PAIRS_MAX);
    f->count = f->exact ? (size_t)1 << n : ANA_RANDOM_FLIPS;
    f->sums = malloc(f->count * sizeof *f->sums);
    f->keys = malloc(f->count * sizeof *f->keys);
    f->sizes = malloc(f->count * sizeof *f->sizes);
    f->bits = f->exact ? NULL : malloc(f->count * f->words * sizeof *f->bits);
    if (!f->sums || !f->keys || !f->sizes || (!f->exact && !f->bits)) {
        ana_flips_done(f);
        return err_set(e, ERR_NOMEM, "out of memory");
    }
    if (f->exact)
        for (size_t i = 0; i < f->count; i++)
            f->sizes[i] = (uint16_t)__builtin_popcountll(i);
    else
        draw_patterns(f, seed);
    return 0;
}

void ana_flips_done(struct ana_flips *f)
{
    free(f->bits);
    free(f->sums);
    free(f->keys);
    free(f->sizes);
    *f = (struct ana_flips){0};
}

/* f->sums[i] = sum of x over the pairs that pattern i flips. */
static void flipped_sums(struct ana_flips *f, const double *x)
{
    f->sums[0] = 0;
    for (size_t i = 1; i < f->count; i++) {
        if (f->exact) { /* the pattern without its lowest bit came before */
            f->sums[i] = f->sums[i & (i - 1)] + x[__builtin_ctzll(i)];
            continue;
        }
        double sum = 0;
        for (unsigned w = 0; w < f->words; w++)
            for (uint64_t b = f->bits[i * f->words + w]; b; b &= b - 1)
                sum += x[w * 64 + (unsigned)__builtin_ctzll(b)];
        f->sums[i] = sum;
    }
}

/* --- one gate --------------------------------------------------------------------- */

static bool any_infinite(const double *d, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (isinf(d[i]))
            return true;
    return false;
}

/* What is flipped: d - shift, mirrored for `down`; signs of it where d is not finite.
 */
static void prepare(const double *d, unsigned n, double shift, bool up, bool by_sign,
                    double *x)
{
    for (unsigned i = 0; i < n; i++) {
        double v = up ? d[i] - shift : shift - d[i];
        x[i] = by_sign ? (v > 0) - (v < 0) : v;
    }
}

/* sqrt(n sum x^2), or 0. */
static double scale_of(const double *x, unsigned n)
{
    double squares = 0;
    for (unsigned i = 0; i < n; i++)
        squares += x[i] * x[i];
    return sqrt(n * squares);
}

/* Leaves u of every pattern in f->sums. */
static void all_u(struct ana_flips *f, const double *x)
{
    double scale = scale_of(x, f->n), total = 0;

    for (unsigned i = 0; i < f->n; i++)
        total += x[i];
    flipped_sums(f, x);
    for (size_t i = 0; i < f->count; i++)
        f->sums[i] = scale > 0 ? (total - 2 * f->sums[i]) / scale : 0;
}

double ana_flip_p(struct ana_flips *f, const double *d, double shift, bool up)
{
    double x[ANA_PAIRS_MAX];
    size_t at_least = 0;

    prepare(d, f->n, shift, up, any_infinite(d, f->n), x);
    all_u(f, x);
    for (size_t i = 0; i < f->count; i++)
        at_least += f->sums[i] >= f->sums[0] - TIE;
    return (double)at_least / (double)f->count;
}

/* Doubles as integers of the same order. */
static int64_t key_of(double v)
{
    int64_t k;
    v += 0.0; /* no negative zero */
    memcpy(&k, &v, sizeof k);
    return k < 0 ? INT64_MIN - k : k;
}

static double value_of(int64_t k)
{
    double v;
    k = k < 0 ? INT64_MIN - k : k;
    memcpy(&v, &k, sizeof v);
    return v;
}

static int order(const void *a, const void *b)
{
    double x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

/* Order statistics of d: the largest k with P(Bin(n, 1/2) < k) <= alpha. */
static struct ana_interval sign_interval(const double *d, unsigned n, double alpha)
{
    double sorted[ANA_PAIRS_MAX];
    unsigned k = 0;

    memcpy(sorted, d, n * sizeof *d);
    qsort(sorted, n, sizeof *sorted, order);
    while (k < n && ana_half_binomial_cdf(k, n) <= alpha)
        k++;
    if (k == 0)
        return (struct ana_interval){-INFINITY, INFINITY};
    return (struct ana_interval){sorted[k - 1], sorted[n - k]};
}

struct ana_interval ana_flip_interval(struct ana_flips *f, const double *d,
                                      double alpha)
{
    struct ana_interval i = {-INFINITY, INFINITY};
    size_t k = (size_t)(alpha * (double)f->count * (1 + 1e-12)), empty = 0, m = 0;

    if (any_infinite(d, f->n))
        return sign_interval(d, f->n, alpha);
    flipped_sums(f, d);
    for (size_t p = 0; p < f->count; p++) {
        if (f->sizes[p] == 0)
            empty++; /* the identity, always as extreme as itself */
        else
            f->keys[m++] = key_of(f->sums[p] / f->sizes[p]);
    }
    /* Shifts below the bound are rejected: empty + #{means <= shift} <= k there. */
    if (k < empty || m == 0)
        return i;
    k -= empty; /* at most k means may lie at or below a rejected shift */
    if (k >= m)
        return i;
    i.low = value_of(ana_select(f->keys, m, k));
    i.high = value_of(ana_select(f->keys, m, m - 1 - k));
    return i;
}

/* --- several gates ---------------------------------------------------------------- */

struct ranked {
    double u;
    size_t gate;
};

static int by_u(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->u != y->u)
        return x->u < y->u ? -1 : 1;
    return x->gate < y->gate ? -1 : x->gate > y->gate;
}

static double observed_u(const double *x, unsigned n)
{
    double scale = scale_of(x, n), total = 0;
    for (unsigned i = 0; i < n; i++)
        total += x[i];
    return scale > 0 ? total / scale : 0;
}

/* From the weakest gate to the strongest, so that `most` is, pattern by pattern, the
 * greatest u among the gates that are not stronger than the present one. */
static void step_up_maxima(struct ana_flips *f, const double *const *d, size_t m,
                           bool up, const struct ranked *ranked, double *most,
                           double *p_adj)
{
    double x[ANA_PAIRS_MAX], above = 0;

    for (size_t i = 0; i < f->count; i++)
        most[i] = -INFINITY;
    for (size_t g = 0; g < m; g++) {
        const double *dg = d[ranked[g].gate];
        size_t at_least = 0;
        prepare(dg, f->n, 0, up, any_infinite(dg, f->n), x);
        all_u(f, x);
        for (size_t i = 0; i < f->count; i++) {
            most[i] = fmax(most[i], f->sums[i]);
            at_least += most[i] >= ranked[g].u - TIE;
        }
        p_adj[ranked[g].gate] = (double)at_least / (double)f->count;
    }
    for (size_t g = m; g-- > 0;) { /* a weaker gate never has the smaller p */
        above = fmax(above, p_adj[ranked[g].gate]);
        p_adj[ranked[g].gate] = above;
    }
}

int ana_maxt(struct ana_flips *f, const double *const *d, size_t m, bool up,
             double *p_adj, struct err *e)
{
    struct ranked *ranked = malloc((m + 1) * sizeof *ranked);
    double *most = malloc(f->count * sizeof *most), x[ANA_PAIRS_MAX];
    int rc = 0;

    if (ranked && most) {
        for (size_t g = 0; g < m; g++) {
            prepare(d[g], f->n, 0, up, any_infinite(d[g], f->n), x);
            ranked[g] = (struct ranked){observed_u(x, f->n), g};
        }
        qsort(ranked, m, sizeof *ranked, by_u);
        step_up_maxima(f, d, m, up, ranked, most, p_adj);
    } else {
        rc = err_set(e, ERR_NOMEM, "out of memory");
    }
    free(most);
    free(ranked);
    return rc;
}

int ana_maxt_critical(struct ana_flips *f, const double *const *d, size_t m,
                      double alpha, double *t, struct err *e)
{
    double x[ANA_PAIRS_MAX], *most = malloc(f->count * sizeof *most);
    size_t k = (size_t)(alpha * (double)f->count * (1 + 1e-12));

    *t = INFINITY;
    if (!most)
        return err_set(e, ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < f->count; i++)
        most[i] = 0;
    for (size_t g = 0; g < m; g++) {
        struct ana_centre c = ana_centre(d[g], f->n);
        bool by_sign = any_infinite(d[g], f->n);
        prepare(d[g], f->n, by_sign ? 0 : c.estimate, true, by_sign, x);
        all_u(f, x);
        for (size_t i = 0; i < f->count; i++)
            most[i] = fmax(most[i], f->sums[i]);
    }
    /* A test that rejects for at most k of the patterns: those beyond the k-th
     * greatest. */
    if (k > 0) {
        for (size_t i = 0; i < f->count; i++)
            f->keys[i] = key_of(most[i]);
        double u = value_of(ana_select(f->keys, f->count, f->count - k));
        *t = u < 1 ? u * sqrt(f->n - 1.0) / sqrt(1 - u * u) : INFINITY;
    }
    free(most);
    return 0;
}

/* --- summaries -------------------------------------------------------------------- */

struct ana_centre ana_centre(const double *d, unsigned n)
{
    struct ana_centre c = {0};
    double sum = 0, squares = 0;

    assert(n > 0 && n <= ANA_PAIRS_MAX);
    if (any_infinite(d, n)) {
        double sorted[ANA_PAIRS_MAX];
        memcpy(sorted, d, n * sizeof *d);
        qsort(sorted, n, sizeof *sorted, order);
        double low = sorted[(n - 1) / 2], high = sorted[n / 2];
        c.by_sign = true;
        /* Between two middle values of which one is infinite there is no middle: take
         * the one nearer to no effect. */
        c.estimate = isinf(low) || isinf(high) ? (fabs(low) < fabs(high) ? low : high)
                                               : (low + high) / 2;
        if (isinf(low) && isinf(high) && low != high)
            c.estimate = 0;
        return c;
    }
    for (unsigned i = 0; i < n; i++)
        sum += d[i];
    c.estimate = sum / n;
    for (unsigned i = 0; i < n; i++)
        squares += (d[i] - c.estimate) * (d[i] - c.estimate);
    c.sd = n > 1 ? sqrt(squares / (n - 1)) : 0;
    return c;
}

struct ana_interval ana_t_interval(const struct ana_centre *c, unsigned n, double alpha)
{
    if (n < 2 || c->by_sign)
        return (struct ana_interval){-INFINITY, INFINITY};
    double half = ana_t_quantile_upper(alpha, n - 1.0) * c->sd / sqrt((double)n);
    return (struct ana_interval){c->estimate - half, c->estimate + half};
}

int ana_bh(double *p, size_t n, struct err *e)
{
    struct ranked *ranked = malloc((n + 1) * sizeof *ranked);
    double least = 1;
    size_t m = 0;

    if (!ranked)
        return err_set(e, ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < n; i++)
        if (!isnan(p[i]))
            ranked[m++] = (struct ranked){p[i], i};
    qsort(ranked, m, sizeof *ranked, by_u);
    for (size_t i = m; i-- > 0;) {
        least = fmin(least, ranked[i].u * (double)m / (double)(i + 1));
        p[ranked[i].gate] = least;
    }
    free(ranked);
    return 0;
}

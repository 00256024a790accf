/*
 * popularity.c - tables of cumulative weights.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/synth/popularity.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "traces/base/units.h"

static int check_n(uint64_t n, struct err *e)
{
    if (n == 0 || n > POPULARITY_MAX)
        return err_set(e, ERR_USAGE, "cannot choose from %llu: 1 to %d",
                       (unsigned long long)n, POPULARITY_MAX);
    return 0;
}

/* Turns weights that stand in upto into cumulative shares. */
static int accumulate(struct popularity *p, struct err *e)
{
    double sum = 0, last = 0;
    for (uint64_t i = 0; i < p->n; i++) {
        if (!(p->upto[i] >= 0 && isfinite(p->upto[i])))
            return err_set(e, ERR_USAGE, "weight %g is not a number of 0 or more",
                           p->upto[i]);
        sum += p->upto[i];
    }
    if (!(sum > 0 && isfinite(sum)))
        return err_set(e, ERR_USAGE, "weights sum to %g", sum);
    uint64_t positive = 0;
    for (uint64_t i = 0; i < p->n; i++) {
        if (p->upto[i] > 0)
            positive = i;
        last = p->upto[i] += last;
    }
    for (uint64_t i = 0; i < p->n; i++)
        p->upto[i] = i >= positive ? 1 : p->upto[i] / last;
    return 0;
}

static int table(struct popularity *p, uint64_t n, struct err *e)
{
    *p = (struct popularity){0};
    if (check_n(n, e) < 0)
        return ERR_USAGE;
    p->upto = malloc(n * sizeof *p->upto);
    if (!p->upto)
        return err_set(e, ERR_NOMEM, "no memory for %llu weights",
                       (unsigned long long)n);
    p->n = n;
    return 0;
}

int popularity_uniform(struct popularity *p, uint64_t n, struct err *e)
{
    *p = (struct popularity){.n = n};
    return check_n(n, e);
}

int popularity_zipf(struct popularity *p, uint64_t n, double s, struct err *e)
{
    *p = (struct popularity){0};
    if (!(s >= 0 && s <= POPULARITY_S_MAX))
        return err_set(e, ERR_USAGE, "zipf exponent %g is not in 0..%g", s,
                       POPULARITY_S_MAX);
    int rc = table(p, n, e);
    if (rc < 0)
        return rc;
    for (uint64_t i = 0; i < n; i++)
        p->upto[i] = rng_exp(-s * rng_log((double)i + 1));
    return accumulate(p, e);
}

int popularity_weights(struct popularity *p, const double *weights, size_t n,
                       struct err *e)
{
    int rc = table(p, n, e);
    if (rc < 0)
        return rc;
    memcpy(p->upto, weights, n * sizeof *weights);
    rc = accumulate(p, e);
    if (rc < 0)
        popularity_done(p);
    return rc;
}

void popularity_done(struct popularity *p)
{
    free(p->upto);
    *p = (struct popularity){0};
}

int popularity_parse(struct popularity *p, const char *text, uint64_t n, struct err *e)
{
    double s;
    if (strcmp(text, "uniform") == 0)
        return popularity_uniform(p, n, e);
    if (strncmp(text, "zipf:", 5) == 0) {
        int rc = units_f64(text + 5, &s, e);
        return rc < 0 ? err_note(e, "popularity '%s'", text)
                      : popularity_zipf(p, n, s, e);
    }
    return err_set(e, ERR_USAGE, "unknown popularity '%s': say uniform or zipf:S",
                   text);
}

uint64_t popularity_draw(const struct popularity *p, struct rng *rng)
{
    if (!p->upto)
        return rng_below(rng, p->n);
    double u = rng_unit(rng);
    uint64_t low = 0,
             high = p->n - 1; /* the first i with u < upto[i] lies in low..high */
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (u < p->upto[middle])
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

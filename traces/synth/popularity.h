/*
 * popularity.h - which of n is meant: uniform, by given weights, or by Zipf's law.
 *
 * Draws are exact: by a table of cumulative weights, one random number each. A zeroed
 * struct may be given to done. Not thread-safe while it is built; drawing only reads
 * it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_SYNTH_POPULARITY_H
#define TRACES_SYNTH_POPULARITY_H

#include <stddef.h>

#include "traces/base/err.h"
#include "traces/base/rng.h"

#define POPULARITY_MAX   1000000 /* of n: 8 MB of table */
#define POPULARITY_S_MAX 10.0    /* Zipf exponent; beyond, the second is never drawn */

struct popularity {
    uint64_t n;
    double *upto; /* upto[i]: weights of 0..i over their sum; NULL: all are equal */
};

/* All: ERR_USAGE for n of 0 or above POPULARITY_MAX; ERR_NOMEM. */
int popularity_uniform(struct popularity *p, uint64_t n, struct err *e) MUST_USE;
/* Rank i, from 0, has weight (i + 1)^-s. ERR_USAGE for s outside of
 * 0..POPULARITY_S_MAX. */
int popularity_zipf(struct popularity *p, uint64_t n, double s, struct err *e) MUST_USE;
/* ERR_USAGE for a weight below 0 or not finite, or a sum of 0. */
int popularity_weights(struct popularity *p, const double *weights, size_t n,
                       struct err *e) MUST_USE;
void popularity_done(struct popularity *p);

/* From "uniform" or "zipf:S". ERR_USAGE names what can be said. */
int popularity_parse(struct popularity *p, const char *text, uint64_t n,
                     struct err *e) MUST_USE;

/* In [0, n); never one whose weight is 0. */
uint64_t popularity_draw(const struct popularity *p, struct rng *rng);

#endif

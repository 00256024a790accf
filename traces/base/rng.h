/*
 * rng.h - seeded random numbers that are the same on every machine.
 *
 * xoshiro256** (Blackman, Vigna 2018), seeded through splitmix64. Same seed and same
 * calls give the same values for ever: files depend on it. A stream per purpose
 * (rng_fork) keeps one purpose's draws from shifting another's. Not thread-safe.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_BASE_RNG_H
#define TRACES_BASE_RNG_H

#include <stdint.h>

struct rng {
    uint64_t s[4];
};

void rng_init(struct rng *r, uint64_t seed);
/* An independent stream that depends on the seed state of r and on label alone; r does
 * not move. */
struct rng rng_fork(const struct rng *r, const char *label);
uint64_t rng_u64(struct rng *r);
uint64_t rng_below(struct rng *r, uint64_t n); /* uniform in [0, n), unbiased; n > 0 */
double rng_unit(struct rng *r);                /* uniform in [0, 1), 53 bits */
double rng_open(struct rng *r);                /* uniform in (0, 1) */
double rng_exponential(struct rng *r);         /* mean 1 */
double rng_normal(struct rng *r);              /* mean 0, sd 1 (polar method) */
/* Scale 1, shape > 0 (Marsaglia, Tsang 2000). */
double rng_gamma(struct rng *r, double shape);
/* Scale 1, shape > 0, by inversion. */
double rng_weibull(struct rng *r, double shape);
/* ln x (finite x > 0) and e^y, to about 1e-15 of the value and the same bits on every
 * machine, which the C library's are not: for numbers that decide what is drawn. */
double rng_log(double x);
double rng_exp(double y);
/* Stateless: a well-mixed hash of two numbers (splitmix64's finalizer). */
uint64_t rng_hash(uint64_t a, uint64_t b);

#endif

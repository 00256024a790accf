/*
 * rng.c - see rng.h.
 *
 * Sources: D. Blackman, S. Vigna, "Scrambled linear pseudorandom number generators"
 * (2018) for xoshiro256** and the splitmix64 seeding; D. Lemire, "Fast random integer
 * generation in an interval" (2019); G. Marsaglia, W. W. Tsang, "A simple method for
 * generating gamma variables" (2000).
 *
 * The C library's log and exp differ in the last bit between machines and releases, and
 * one bit is enough to send a rejection loop another way. So both are computed here
 * from + - * / alone, which IEEE 754 fixes to the bit.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/base/rng.h"

#include <assert.h>
#include <math.h>

#ifdef __clang__
#pragma STDC FP_CONTRACT OFF /* gcc does not contract under -std=c17 */
#endif

#define GOLDEN                                                                         \
    UINT64_C(0x9e3779b97f4a7c15) /* 2^64 divided by the golden ratio, odd              \
                                  */

static uint64_t rotl(uint64_t x, int k)
{
    return x << k | x >> (64 - k);
}

/* The finalizer of splitmix64: a bijection in which every input bit moves every output
 * bit. */
static uint64_t mix(uint64_t z)
{
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

void rng_init(struct rng *r, uint64_t seed)
{
    for (int i = 0; i < 4; i++) {
        seed += GOLDEN;
        r->s[i] = mix(seed);
    }
}

struct rng rng_fork(const struct rng *r, const char *label)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325); /* FNV-1a, 64 bits */
    for (const char *p = label; *p; p++)
        h = (h ^ (uint8_t)*p) * UINT64_C(0x100000001b3);
    for (int i = 0; i < 4; i++)
        h = rng_hash(h, r->s[i]);
    struct rng fork;
    rng_init(&fork, h);
    return fork;
}

uint64_t rng_u64(struct rng *r)
{
    uint64_t *s = r->s, result = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

uint64_t rng_below(struct rng *r, uint64_t n)
{
    assert(n > 0);
    __extension__ typedef unsigned __int128 u128;
    u128 m = (u128)rng_u64(r) * n;
    if ((uint64_t)m < n) {
        uint64_t unfair = (0 - n) % n; /* 2^64 mod n */
        while ((uint64_t)m < unfair)
            m = (u128)rng_u64(r) * n;
    }
    return (uint64_t)(m >> 64);
}

double rng_unit(struct rng *r)
{
    return (double)(rng_u64(r) >> 11) * 0x1p-53;
}

double rng_open(struct rng *r)
{
    return ((double)(rng_u64(r) >> 12) + 0.5) * 0x1p-52;
}

/* ln 2 in two parts; the first has 20 trailing zero bits, so that k * LN2_HIGH is
 * exact. */
#define LN2_HIGH 0x1.62e42fefap-1
#define LN2_LOW  0x1.cf79abc9e3b3ap-40

/* x = m * 2^k with m near 1, then the series of 2 artanh(s) with
 * s = (m - 1) / (m + 1), |s| < 0.172, whose first omitted term is below 2^-60. */
double rng_log(double x)
{
    int k;
    double m = frexp(x, &k);
    if (m < 0x1.6a09e667f3bcdp-1) { /* sqrt(1/2) */
        m *= 2;
        k--;
    }
    double f = m - 1, s = f / (2 + f), z = s * s, tail = 0;
    for (int i = 23; i >= 3; i -= 2)
        tail = tail * z + 1.0 / i;
    tail *= z;
    return k * LN2_HIGH + (2 * s + (2 * s * tail + k * LN2_LOW));
}

/* y = k ln 2 + r with |r| <= 0.35, then the series of e^r, cut below 2^-57. */
double rng_exp(double y)
{
    if (y > 710)
        return INFINITY;
    if (y < -746)
        return 0;
    double k = floor(y * 0x1.71547652b82fep+0 + 0.5);
    double r = y - k * LN2_HIGH - k * LN2_LOW, sum = 1;
    for (int i = 14; i >= 1; i--)
        sum = 1 + sum * r / i;
    return ldexp(sum, (int)k);
}

double rng_exponential(struct rng *r)
{
    return -rng_log(rng_open(r));
}

double rng_normal(struct rng *r)
{
    for (;;) {
        double u = 2 * rng_open(r) - 1, v = 2 * rng_open(r) - 1, s = u * u + v * v;
        if (s < 1 && s > 0)
            return u * sqrt(-2 * rng_log(s) / s);
    }
}

/* Marsaglia and Tsang, shape >= 1. */
static double gamma_from_one(struct rng *r, double shape)
{
    double d = shape - 1.0 / 3, c = 1 / sqrt(9 * d);
    for (;;) {
        double x = rng_normal(r), v = 1 + c * x;
        if (v <= 0)
            continue;
        v = v * v * v;
        double u = rng_open(r), xx = x * x;
        if (u < 1 - 0.0331 * xx * xx)
            return d * v;
        if (rng_log(u) < 0.5 * xx + d * (1 - v + rng_log(v)))
            return d * v;
    }
}

double rng_gamma(struct rng *r, double shape)
{
    assert(shape > 0);
    if (shape >= 1)
        return gamma_from_one(r, shape);
    /* Boosting: Gamma(a) = Gamma(a + 1) * U^(1/a). */
    double g = gamma_from_one(r, shape + 1);
    return g * rng_exp(rng_log(rng_open(r)) / shape);
}

double rng_weibull(struct rng *r, double shape)
{
    assert(shape > 0);
    return rng_exp(rng_log(rng_exponential(r)) / shape);
}

uint64_t rng_hash(uint64_t a, uint64_t b)
{
    return mix(mix(a + GOLDEN) + b + GOLDEN);
}

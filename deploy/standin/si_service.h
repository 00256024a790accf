/*
 * si_service.h - how long a model takes: seeded distributions of service time.
 *
 * A draw is a pure function of the seed and a key (the call's ordinal, body or id), so
 * two stand-ins with the same seed give the same sequence, and a slower version differs
 * from the other in nothing but what --slow says. Read-only once parsed; thread-safe.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DEPLOY_STANDIN_SI_SERVICE_H
#define DEPLOY_STANDIN_SI_SERVICE_H

#include <stdint.h>

#include "traces/base/err.h"

#define SI_MODES_MAX      16
#define SI_SERVICE_MAX_NS INT64_C(3600000000000) /* a longer draw is cut to an hour */

struct si_service {
    enum { SI_FIXED, SI_LOGNORMAL, SI_MODES } kind;
    int64_t fixed_ns;
    double median_ns, sigma; /* lognormal: exp(ln median + sigma z) */
    struct {
        double upto; /* cumulative share, the last is 1 */
        int64_t ns;
    } modes[SI_MODES_MAX]; /* in order of ns */
    uint32_t mode_count;
    double slow_factor,
        slow_from; /* draws beyond quantile slow_from take factor times */
    uint64_t seed;
};

/* "fixed:5ms", "lognormal:MEDIAN,SIGMA", "modes:SHARE=DURATION,…" (shares sum to 1). */
int si_service_parse(struct si_service *s, const char *text, uint64_t seed,
                     struct err *e) MUST_USE;
/* "FACTOR@QUANTILE": "1.10@0.98". Call after si_service_parse. */
int si_service_slow(struct si_service *s, const char *text, struct err *e) MUST_USE;

int64_t si_service_draw(const struct si_service *s, uint64_t key);
/* The distribution's quantile, --slow included; 0 < p < 1. */
int64_t si_service_quantile(const struct si_service *s, double p);

#endif

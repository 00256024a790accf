/*
 * trc_scale.h - a trace at another pace: time stretched, or its rate made lower or
 * higher.
 *
 * Three ways, with different effects on burstiness, which is measured before and after:
 *   speed   every arrival is divided by it: gaps keep their shape, rates and bursts
 * rise alike rate<1  thinning: each operation stays with that probability,
 * independently; what is left tends towards a Poisson process rate>1  superposition:
 * whole copies, each turned in a circle by a random part of the trace's period, and one
 * thinned copy for the fraction; bursts of one copy fall into lulls of others, so the
 * sum is smoother than the original sped up
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_TOOL_TRC_SCALE_H
#define TRACES_TOOL_TRC_SCALE_H

#include "traces/container/trc_reader.h"

#define TRC_SCALE_COPIES_MAX 64
#define TRC_SCALE_WINDOW_NS  INT64_C(1000000000) /* of the index of dispersion */
/* Fewer say nothing: a Poisson process of n windows gives 1 with a standard error of
 * sqrt(2 / (n - 1)), a third at 20. */
#define TRC_SCALE_WINDOWS_MIN 20

struct trc_burst {
    uint64_t n; /* arrivals */
    double
        gap_cv; /* of the times between them: standard deviation / mean; NAN under 3 */
    double dispersion; /* of counts per window: variance / mean; NAN with fewer whole
                          windows than TRC_SCALE_WINDOWS_MIN */
};

struct trc_scale {
    double speed; /* 0: leave times */
    double rate;  /* 0: leave the rate; not together with speed */
    uint64_t seed;
};
struct trc_scale_done {
    struct trc_burst before, after;
    uint64_t lost_answers;
    bool unclosed;
};

/* Copies a trace, scaled. Of copies behind the first, request ids get "~N" at their
 * end, and connections and clients stay apart as in trc_merge. rate > 1 needs a
 * complete file; else streams do. Notes "scale.*" tell what was done and its effect. */
int trc_scale(const char *in, const char *out, const struct trc_scale *how,
              struct trc_scale_done *done, struct err *e) MUST_USE;

#endif

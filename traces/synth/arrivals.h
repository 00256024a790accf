/*
 * arrivals.h - arrival times: a process at unit rate, run at a rate that changes over
 * time.
 *
 * Gaps of the process add up to operational time, which arr_map turns into nanoseconds.
 * A modulated process (diurnal rate, gaps with memory) is another arr_rate or
 * arr_process; this file does not change for it. What kind of operation arrives (the
 * marks) is mix.h's matter. Not thread-safe.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_SYNTH_ARRIVALS_H
#define TRACES_SYNTH_ARRIVALS_H

#include "traces/synth/arr_process.h"
#include "traces/synth/arr_rate.h"

struct arrivals {
    struct arr_map map;
    struct arr_process *process;
    struct rng rng;
    struct arr_count at; /* operational time of the last arrival */
    int64_t last_ns;
    bool started, ended;
};

/* rate and process are borrowed, and belong to a alone while it lives. */
void arrivals_init(struct arrivals *a, struct arr_rate *rate,
                   struct arr_process *process, struct rng rng);
/* The next arrival in ns from the start, never below the one before; ARR_END after the
 * last. An arrival that falls on the very end of the rate is given; whoever wants
 * half-open time drops it. */
int64_t arrivals_next(struct arrivals *a);

#endif

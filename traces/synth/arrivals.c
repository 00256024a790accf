/*
 * arrivals.c - rate and process composed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/synth/arrivals.h"

void arrivals_init(struct arrivals *a, struct arr_rate *rate,
                   struct arr_process *process, struct rng rng)
{
    *a = (struct arrivals){.process = process, .rng = rng};
    arr_map_init(&a->map, rate);
}

int64_t arrivals_next(struct arrivals *a)
{
    if (a->ended)
        return ARR_END;
    double gap = a->process->gap(a->process, &a->rng, !a->started);
    a->started = true;
    int64_t ns = arr_count_add(&a->at, gap) ? arr_map_time(&a->map, a->at) : ARR_END;
    a->ended = ns == ARR_END;
    if (ns < a->last_ns) /* two arrivals closer than the rounding of a square root */
        ns = a->last_ns;
    a->last_ns = ns;
    return ns;
}

/*
 * slots.h - since when a free slot was free: what tells back-pressure from our own
 * delay.
 *
 * A request that finds no free connection or stream waits for one; how long is the
 * target's doing. Free slots are served in the order in which they became free, so the
 * next request gets the one that has been free longest, and it was ready to be sent
 * from the later of its due time and that moment. Slots never used yet were free for
 * ever. Bounded: beyond REP_SLOTS_MAX remembered moments the oldest are forgotten. A
 * zeroed struct is valid. One thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef REPLAY_SLOTS_H
#define REPLAY_SLOTS_H

#include <stdint.h>

#define REP_SLOTS_MAX 4096u /* a power of two */

struct rep_slots {
    int64_t freed[REP_SLOTS_MAX];
    uint64_t put, taken;
};

void rep_slots_freed(struct rep_slots *s, int64_t now_ns);
/* Takes one of `free` slots (> 0): the moment at which it became free, or INT64_MIN. */
int64_t rep_slots_take(struct rep_slots *s, uint64_t free_count);

#endif

/*
 * slots.c - see slots.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replay/slots.h"

void rep_slots_freed(struct rep_slots *s, int64_t now_ns)
{
    if (s->put - s->taken == REP_SLOTS_MAX)
        s->taken++;
    s->freed[s->put++ % REP_SLOTS_MAX] = now_ns;
}

int64_t rep_slots_take(struct rep_slots *s, uint64_t free_count)
{
    int64_t since = INT64_MIN;
    /* More moments than free slots: the target allows fewer streams than it did. */
    while (s->put - s->taken > free_count)
        s->taken++;
    if (s->put - s->taken == free_count)
        since = s->freed[s->taken++ % REP_SLOTS_MAX];
    return since;
}

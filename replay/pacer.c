/*
 * pacer.c - see pacer.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replay/pacer.h"

#include <stddef.h>
#include <stdlib.h>

#define SLEEPS   32
#define SLEEP_NS (200 * CLK_US)

static int ascending(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

int64_t rep_pacer_margin(int64_t *late_ns, size_t count)
{
    qsort(late_ns, count, sizeof *late_ns, ascending);
    /* The 90th percentile with half as much again: the tail beyond comes from other
     * processes, and no margin covers that. */
    int64_t margin = count > 0 ? late_ns[count * 9 / 10] * 3 / 2 : 0;
    if (margin < REP_MARGIN_MIN_NS)
        return REP_MARGIN_MIN_NS;
    return margin > REP_MARGIN_MAX_NS ? REP_MARGIN_MAX_NS : margin;
}

int rep_pacer_calibrate(struct rep_pacer *p, struct ev *ev, struct err *e)
{
    int64_t late[SLEEPS];
    for (size_t i = 0; i < SLEEPS; i++) {
        struct clk_mono wake = clk_mono_add(ev_now(ev), SLEEP_NS);
        int rc = ev_turn(ev, wake, e);
        if (rc < 0)
            return rc;
        int64_t over = clk_mono_diff(ev_now(ev), wake);
        late[i] = over > 0 ? over : 0;
    }
    p->margin_ns = rep_pacer_margin(late, SLEEPS);
    return 0;
}

int64_t rep_pacer_until(const struct rep_pacer *p, int64_t now_ns, int64_t due_ns)
{
    if (due_ns - now_ns <= p->margin_ns)
        return now_ns;
    return due_ns - p->margin_ns;
}

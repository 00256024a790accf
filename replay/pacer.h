/*
 * pacer.h - sleeping until shortly before a moment, then watching the clock.
 *
 * A sleep wakes late by tens of microseconds, and by how much is the machine's own. The
 * pacer measures that at the start, and sleeps no further than that margin before a due
 * time; over the rest it polls. Without spinning it sleeps all the way. One thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef REPLAY_PACER_H
#define REPLAY_PACER_H

#include "traces/base/ev.h"

#define REP_MARGIN_MIN_NS (100 * CLK_US) /* 50 us left p50 lateness at 39 us */
#define REP_MARGIN_MAX_NS (250 * CLK_US) /* more burns a core and gains nothing */

struct rep_pacer {
    int64_t margin_ns; /* 0: sleeps only */
};

/* Sleeps some thirty times, in about 10 ms, to learn how late wake-ups come. */
int rep_pacer_calibrate(struct rep_pacer *p, struct ev *ev, struct err *e) MUST_USE;
/* The margin that covers nearly all of those delays (sorted in place). */
int64_t rep_pacer_margin(int64_t *late_ns, size_t count);

/* Until when a turn may wait at `now` if something is due then; `now` itself: only
 * poll. */
int64_t rep_pacer_until(const struct rep_pacer *p, int64_t now_ns, int64_t due_ns);

#endif

/*
 * progress.h - the live view: one line a second on a terminal, one in ten seconds
 * elsewhere.
 *
 * Rates and quantiles are of the time since the line before. One thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef REPLAY_PROGRESS_H
#define REPLAY_PROGRESS_H

#include <stdio.h>

#include "traces/base/buf.h"
#include "traces/base/clk.h"
#include "traces/base/hist.h"
#include "traces/outcome.h"

struct rep_progress {
    FILE *out; /* NULL: quiet */
    bool terminal;
    int64_t every_ns, next_ns;
    uint64_t total;  /* operations of the trace; 0: unknown */
    int64_t span_ns; /* from the first due to the last; 0: unknown, or closed loop */
    bool closed;     /* closed loop: the finish is judged by operations, not by time */
    struct hist response, generator; /* since the last line */
    uint64_t ended, failed;          /* so far */
    uint64_t last_due, last_sent, last_ended;
    int64_t last_ns;
    int width; /* of the last line on a terminal */
};

/* What the workers have done so far, summed. */
struct rep_progress_counts {
    uint64_t due, sent, in_flight, waiting;
};

int rep_progress_init(struct rep_progress *p, FILE *out, struct err *e) MUST_USE;
void rep_progress_done(struct rep_progress *p);
void rep_progress_add(struct rep_progress *p, const struct outcome *o);
/* Prints a line when it is time. now_ns: since the start; wall: the calendar's now. */
void rep_progress_tick(struct rep_progress *p, int64_t now_ns, struct clk_wall wall,
                       const struct rep_progress_counts *c);
/* For a view of another kind: whether it is time, and that it was drawn. */
bool rep_progress_is_time(const struct rep_progress *p, int64_t now_ns);
void rep_progress_step(struct rep_progress *p, int64_t now_ns,
                       const struct rep_progress_counts *c);
/* Until it will be over, if that can be known; else negative. */
int64_t rep_progress_left_ns(const struct rep_progress *p, int64_t now_ns,
                             uint64_t due);
/* Ends the line on a terminal. */
void rep_progress_end(struct rep_progress *p);
/* The line, without its end; for tests. */
void rep_progress_line(const struct rep_progress *p, int64_t now_ns,
                       struct clk_wall wall, const struct rep_progress_counts *c,
                       struct buf *out);

#endif

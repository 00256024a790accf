/*
 * screen.h - the live view over a whole terminal (--live).
 *
 * The text is made for a size that is asked for at each drawing, so a terminal may be
 * resized at any time: lines are cut, never wrapped, and what finds no row is left out
 * from the end. It is drawn on the terminal's alternate screen, by plain ANSI
 * sequences; leaving gives the screen back as it was. Log lines are held back meanwhile
 * and shown then. One thread; rep_screen_restore alone may be called from a signal
 * handler.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef REPLAY_SCREEN_H
#define REPLAY_SCREEN_H

#include "replay/health.h"
#include "replay/progress.h"
#include "replay/tally.h"

/* What is shown; all borrowed. */
struct rep_screen_view {
    const char *title; /* "day.trace to envoy, http 127.0.0.1:9000" */
    const char *out;   /* the run file */
    const struct rep_progress *progress;
    const struct rep_progress_counts *counts;
    const struct rep_tally *tally;
    const struct rep_health *health; /* so far */
    int64_t now_ns;                  /* since the start */
    struct clk_wall wall;
    uint64_t held; /* log lines that wait for the end */
};
/* Lines of at most `columns` bytes, at most `rows` of them, each with its "\n". */
void rep_screen_text(const struct rep_screen_view *v, unsigned rows, unsigned columns,
                     struct buf *out);

struct rep_screen {
    int fd;     /* the terminal */
    int log_fd; /* where log lines are held */
    bool on;
};
/* ERR_USAGE when standard error is no terminal. Until then and after leaving, nothing
 * is changed. */
int rep_screen_enter(struct rep_screen *s, struct err *e) MUST_USE;
void rep_screen_draw(struct rep_screen *s, struct rep_screen_view *v);
/* Also after a failed enter, and twice. */
void rep_screen_leave(struct rep_screen *s);
/* Gives the terminal back if a screen is on; for a handler that ends the process. */
void rep_screen_restore(void);

#endif

/*
 * making.h - what every command that makes a trace needs on its way: a progress line
 * for people, and Ctrl-C that still closes the file.
 *
 * The first SIGINT or SIGTERM is remembered for making_stopped; the next one has its
 * usual effect. One trace at a time in a process.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_SYNTH_MAKING_H
#define TRACES_SYNTH_MAKING_H

#include "traces/base/clk.h"
#include "traces/base/err.h"

struct making_line {
    bool on; /* standard error is a terminal, and the user did not ask for quiet */
    bool shown;
    const char *name;
    struct clk_mono next;
};

void making_catch_signals(void);
bool making_stopped(void);

void making_line_init(struct making_line *l, const char *name, bool quiet);
/* Redraws the line a few times per second; share is what is done, or negative where
 * nobody can know. Cheap enough to call every few thousand operations. */
void making_line_draw(struct making_line *l, uint64_t operations, double share);
void making_line_clear(struct making_line *l);

#endif

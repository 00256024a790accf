/*
 * share.h - a processor for two: those who send go first, those who prepare and write
 * give way.
 *
 * A container may have a single processor. The feeder and the run writer ("helpers")
 * then take turns with a worker on it, and what they do goes in pieces of milliseconds:
 * a block of the trace is decoded, a block of outcomes is compressed. The scheduler
 * ends a turn only at its tick (4 ms on most machines), unless somebody wakes up. So:
 *
 * - A worker has a short slice, by which it goes first when it wakes up while a helper
 *   runs (EEVDF, Linux 6.12; older kernels ignore it).
 * - While a helper has work, a worker whose next request is not due yet sleeps rather
 *   than polls, and so lends its processor.
 * - A helper has a lower weight, and rests for a moment after REP_SHARE_BITE_NS of
 *   work, wherever it is: a timer sends SIGURG to its thread, whose handler sleeps.
 *   What can be interrupted like this must do with restarted system calls.
 *
 * All of it is allowed to every user. A struct rep_share is shared by the threads of a
 * run; `working` is its only field that changes while they run.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef REPLAY_SHARE_H
#define REPLAY_SHARE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "traces/base/clk.h"

#define REP_SHARE_SLICE_NS (100 * CLK_US) /* the least that the kernel takes */
#define REP_SHARE_BITE_NS  (100 * CLK_US) /* longest that a helper holds others up */
#define REP_SHARE_REST_NS  (20 * CLK_US)
#define REP_SHARE_NICE     10 /* about a tenth of a worker's weight */

/* Zeroed: each thread has a processor of its own. */
struct rep_share {
    bool crowded;             /* there are not more processors than workers */
    _Atomic uint32_t working; /* helpers that could use a processor now */
    _Atomic bool refused;     /* a helper could not be made to give way */
};

/* Whether so many workers leave no processor, of those that this process may run on, to
 * the helpers. */
bool rep_share_crowded(uint32_t workers);

/* The calling thread is a worker: asks for the short slice. What it has then; 0: the
 * kernel does not know of slices, refused, or the user chose another policy. */
int64_t rep_share_hurry(void);

/* The calling thread is a helper from now on, if s says that it is crowded (NULL: it
 * does not); it begins without work. One run at a time. */
void rep_share_join(struct rep_share *s);
/* It has work now, or none (naps). Repeated calls change nothing. */
void rep_share_work(bool has);
void rep_share_leave(void); /* it is none any more */

/* For workers: a helper waits for the processor, or has it. */
static inline bool rep_share_wanted(const struct rep_share *s)
{
    return s && atomic_load_explicit(&s->working, memory_order_relaxed) > 0;
}

#endif

/*
 * clk.h - two kinds of time that cannot be mixed, and a clock that tests turn by hand.
 *
 * clk_mono is CLOCK_MONOTONIC in nanoseconds: all latencies and schedules. clk_wall is
 * CLOCK_REALTIME in nanoseconds since 1970 UTC: only where a trace meets the calendar.
 * Differences are plain int64_t nanoseconds. Reading a clock is thread-safe; a
 * hand-driven one belongs to the test that turns it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_BASE_CLK_H
#define TRACES_BASE_CLK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLK_US  INT64_C(1000)
#define CLK_MS  INT64_C(1000000)
#define CLK_SEC INT64_C(1000000000)

struct clk_mono {
    int64_t ns;
};
struct clk_wall {
    int64_t ns;
};

struct clk; /* a source of both times */
struct clk_hand;

const struct clk *clk_system(void);
struct clk_mono clk_mono_now(const struct clk *clk);
struct clk_wall clk_wall_now(const struct clk *clk);
static inline struct clk_mono clk_mono_add(struct clk_mono t, int64_t ns)
{
    return (struct clk_mono){t.ns + ns};
}
static inline int64_t clk_mono_diff(struct clk_mono later, struct clk_mono earlier)
{
    return later.ns - earlier.ns;
}

/* A clock that stands still until told. new gives NULL when out of memory; free takes
 * NULL. */
struct clk_hand *clk_hand_new(struct clk_mono mono, struct clk_wall wall);
void clk_hand_free(struct clk_hand *h);
const struct clk *clk_hand_clk(struct clk_hand *h);    /* borrowed from h */
void clk_hand_advance(struct clk_hand *h, int64_t ns); /* both times */
void clk_hand_step_wall(struct clk_hand *h, int64_t ns);
/* From here on it runs by itself, so that hours pass in a moment and alike each time:
 * each reading of the monotonic clock moves both times by tick_ns, and a moment that
 * somebody waits for (clk_passes) is there at once, or oversleep(arg) ns later. For one
 * thread alone. */
void clk_hand_run(struct clk_hand *h, int64_t tick_ns, int64_t (*oversleep)(void *arg),
                  void *arg);

/* For whoever is about to sleep: true when the clock has moved to that moment by
 * itself, so that there is nothing to wait for. Never of the system's clock. */
bool clk_passes(const struct clk *clk, struct clk_mono until);

/* "2031-05-04T12:00:01.123Z" in out (CLK_TEXT_MAX bytes with its NUL). */
#define CLK_TEXT_MAX 32
void clk_wall_text(struct clk_wall t, char out[CLK_TEXT_MAX]);

#endif

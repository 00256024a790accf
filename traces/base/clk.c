/*
 * clk.c - see clk.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/base/clk.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct clk {
    struct clk_hand *hand; /* NULL: the system's clocks */
};

struct clk_hand {
    struct clk clk;
    struct clk_mono mono;
    struct clk_wall wall;
    int64_t tick_ns; /* > 0: it runs by itself */
    int64_t (*oversleep)(void *arg);
    void *arg;
};

static int64_t system_ns(clockid_t id)
{
    struct timespec ts = {0};
    clock_gettime(id, &ts); /* cannot fail for the two clocks that we ask */
    return (int64_t)ts.tv_sec * CLK_SEC + ts.tv_nsec;
}

const struct clk *clk_system(void)
{
    static const struct clk system_clk = {NULL};
    return &system_clk;
}

struct clk_mono clk_mono_now(const struct clk *clk)
{
    if (clk->hand) {
        struct clk_mono now = clk->hand->mono;
        clk_hand_advance(clk->hand, clk->hand->tick_ns);
        return now;
    }
    return (struct clk_mono){system_ns(CLOCK_MONOTONIC)};
}

struct clk_wall clk_wall_now(const struct clk *clk)
{
    if (clk->hand)
        return clk->hand->wall;
    return (struct clk_wall){system_ns(CLOCK_REALTIME)};
}

struct clk_hand *clk_hand_new(struct clk_mono mono, struct clk_wall wall)
{
    struct clk_hand *h = malloc(sizeof(*h));
    if (h)
        *h = (struct clk_hand){.clk = {h}, .mono = mono, .wall = wall};
    return h;
}

void clk_hand_free(struct clk_hand *h)
{
    free(h);
}

const struct clk *clk_hand_clk(struct clk_hand *h)
{
    return &h->clk;
}

void clk_hand_advance(struct clk_hand *h, int64_t ns)
{
    h->mono.ns += ns;
    h->wall.ns += ns;
}

void clk_hand_step_wall(struct clk_hand *h, int64_t ns)
{
    h->wall.ns += ns;
}

void clk_hand_run(struct clk_hand *h, int64_t tick_ns, int64_t (*oversleep)(void *arg),
                  void *arg)
{
    h->tick_ns = tick_ns;
    h->oversleep = oversleep;
    h->arg = arg;
}

bool clk_passes(const struct clk *clk, struct clk_mono until)
{
    struct clk_hand *h = clk->hand;
    if (!h || h->tick_ns == 0)
        return false;
    if (until.ns > h->mono.ns)
        clk_hand_advance(h, until.ns - h->mono.ns + h->oversleep(h->arg));
    return true;
}

void clk_wall_text(struct clk_wall t, char out[CLK_TEXT_MAX])
{
    int64_t seconds = t.ns / CLK_SEC, rest = t.ns % CLK_SEC;
    if (rest < 0) {
        rest += CLK_SEC;
        seconds--;
    }
    struct tm tm;
    time_t when = (time_t)seconds;
    gmtime_r(&when,
             &tm); /* 64 bits of nanoseconds stay within the years 1677 to 2262 */
    char text[80];
    snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ",
             tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min,
             tm.tm_sec, (int)(rest / CLK_MS));
    snprintf(out, CLK_TEXT_MAX, "%.31s", text);
}

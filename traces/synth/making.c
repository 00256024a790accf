/*
 * making.c - see making.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/synth/making.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#define DRAW_EVERY (200 * CLK_MS)

static volatile sig_atomic_t stopped;

static void on_signal(int number)
{
    (void)number;
    stopped = 1;
}

void making_catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

bool making_stopped(void)
{
    return stopped != 0;
}

void making_line_init(struct making_line *l, const char *name, bool quiet)
{
    *l = (struct making_line){.on = !quiet && isatty(STDERR_FILENO), .name = name};
    l->next =
        clk_mono_add(clk_mono_now(clk_system()), CLK_SEC); /* short ones show none */
}

void making_line_draw(struct making_line *l, uint64_t operations, double share)
{
    if (!l->on)
        return;
    struct clk_mono now = clk_mono_now(clk_system());
    if (clk_mono_diff(now, l->next) < 0)
        return;
    l->next = clk_mono_add(now, DRAW_EVERY);
    fprintf(stderr, "\r%s: %llu operations", l->name, (unsigned long long)operations);
    if (share >= 0)
        fprintf(stderr, ", %.0f %%", 100 * (share < 1 ? share : 1));
    fputs("   ", stderr);
    l->shown = true;
}

void making_line_clear(struct making_line *l)
{
    if (l->shown)
        fputs("\r\033[K", stderr);
    l->shown = false;
}

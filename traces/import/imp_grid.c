/*
 * imp_grid.c - see imp_grid.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/import/imp_grid.h"

#include <stdio.h>
#include <stdlib.h>

#include "traces/base/clk.h"
#include "traces/base/units.h"

#define SAMPLE     1024 /* rows that a phase is chosen by */
#define CANDIDATES 32   /* rows that offer their residue as the phase */
#define CELLS_MIN  3    /* that a period must be seen in */
#define MINUTE     (60 * CLK_SEC)

static const int64_t periods[] = {/* coarsest first */
                                  1440 * MINUTE, 60 * MINUTE,  15 * MINUTE,
                                  10 * MINUTE,   5 * MINUTE,   MINUTE,
                                  30 * CLK_SEC,  20 * CLK_SEC, 15 * CLK_SEC,
                                  10 * CLK_SEC,  5 * CLK_SEC,  3 * CLK_SEC,
                                  2 * CLK_SEC,   CLK_SEC,      100 * CLK_MS,
                                  10 * CLK_MS,   CLK_MS};

/* The cell of a time, and whether it lies on the grid. Times are below 2^61, and a
 * phase is below its period. */
static int64_t cell_of(const struct imp_grid *g, int64_t at_ns, bool *on)
{
    int64_t shifted = at_ns - g->phase_ns + g->period_ns / 2 + g->period_ns; /* > 0 */
    int64_t cell = shifted / g->period_ns - 1;
    int64_t off = shifted % g->period_ns - g->period_ns / 2;
    *on = off <= g->tolerance_ns && off >= -g->tolerance_ns;
    return cell;
}

int64_t imp_grid_cell_start(const struct imp_grid *g, int64_t at_ns)
{
    bool on;
    return g->phase_ns + cell_of(g, at_ns, &on) * g->period_ns;
}

bool imp_grid_on(const struct imp_grid *g, int64_t at_ns)
{
    bool on;
    cell_of(g, at_ns, &on);
    return on;
}

/* How well a phase fits every stride-th row: hits within the tolerance, exact ones
 * twice, so that the centre of a jitter wins over its rim. */
static size_t fit_of(const struct imp_rows *rows, size_t stride,
                     const struct imp_grid *g)
{
    size_t fit = 0;
    for (size_t i = 0; i < rows->n; i += stride) {
        bool on;
        cell_of(g, rows->v[i].at_ns, &on);
        fit += on;
        fit += (rows->v[i].at_ns - g->phase_ns) % g->period_ns == 0;
    }
    return fit;
}

/* Sets the phase that fits a sample best, of those that some rows offer. */
static void choose_phase(const struct imp_rows *rows, struct imp_grid *g)
{
    size_t stride = (rows->n + SAMPLE - 1) / SAMPLE;
    size_t between = (rows->n + CANDIDATES - 1) / CANDIDATES;
    int64_t best_phase = 0;
    size_t best = 0;
    for (size_t i = 0; i < rows->n; i += between) {
        g->phase_ns = rows->v[i].at_ns % g->period_ns;
        size_t fit = fit_of(rows, stride, g);
        if (fit > best) {
            best = fit;
            best_phase = g->phase_ns;
        }
    }
    g->phase_ns = best_phase;
}

/* Shares over all rows, and how many cells are in use. */
static uint64_t measure(const struct imp_rows *rows, struct imp_grid *g)
{
    uint64_t cells = 0, hits = 0, ties = 0;
    int64_t last = 0;
    for (size_t i = 0; i < rows->n; i++) {
        bool on;
        int64_t cell = cell_of(g, rows->v[i].at_ns, &on);
        if (!on)
            continue;
        ties += hits > 0 && cell == last;
        cells += hits == 0 || cell != last;
        hits++;
        last = cell;
    }
    g->share = (double)hits / (double)rows->n;
    g->ties = hits ? (double)ties / (double)hits : 0;
    return cells;
}

void imp_grid_find(const struct imp_rows *rows, struct imp_grid *g)
{
    uint64_t repeated = 0;
    for (size_t i = 1; i < rows->n; i++)
        repeated += rows->v[i].at_ns == rows->v[i - 1].at_ns;
    double share = rows->n ? (double)repeated / (double)rows->n : 0;
    for (size_t i = 0; i < sizeof periods / sizeof *periods && rows->n >= CELLS_MIN;
         i++) {
        *g = (struct imp_grid){.period_ns = periods[i], .repeated = share};
        g->tolerance_ns = periods[i] >= CLK_SEC ? CLK_MS : 0;
        choose_phase(rows, g);
        if (measure(rows, g) < CELLS_MIN || g->share < IMP_GRID_SHARE)
            continue;
        g->matters = periods[i] >= CLK_SEC || g->ties >= IMP_GRID_TIES;
        return;
    }
    *g = (struct imp_grid){.repeated = share, .matters = share >= IMP_GRID_TIES};
}

char *imp_grid_text(const struct imp_grid *g, size_t rows, char out[IMP_GRID_TEXT_MAX])
{
    char period[UNITS_TEXT_MAX], tolerance[UNITS_TEXT_MAX];
    if (g->period_ns == 0)
        snprintf(out, IMP_GRID_TEXT_MAX,
                 "no known grid; %.3g %% of %zu rows repeat the time of the row before",
                 100 * g->repeated, rows);
    else
        snprintf(out, IMP_GRID_TEXT_MAX,
                 "%s grid: %.3g %% of %zu rows lie on it (within %s), %.3g %% of those "
                 "share a cell with the row before",
                 units_duration_text(g->period_ns, period), 100 * g->share, rows,
                 units_duration_text(g->tolerance_ns, tolerance), 100 * g->ties);
    return out;
}

static int ascending(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* New times for the rows on the grid among v[0..n), which are all of one cell; spare
 * has room for n. */
static void spread_cell(struct imp_row *v, size_t n, const struct imp_grid *g,
                        int64_t *spare, struct rng *rng)
{
    size_t moved = 0;
    for (size_t i = 0; i < n; i++) {
        bool on;
        cell_of(g, v[i].at_ns, &on);
        if (on)
            spare[moved++] = imp_grid_cell_start(g, v[i].at_ns) +
                             (int64_t)rng_below(rng, (uint64_t)g->period_ns);
    }
    qsort(spare, moved, sizeof *spare, ascending);
    moved = 0;
    for (size_t i = 0; i < n; i++) {
        bool on;
        cell_of(g, v[i].at_ns, &on);
        if (!on)
            continue;
        v[i].at_ns = spare[moved++];
        v[i].spread = 1;
    }
}

int imp_grid_spread(struct imp_rows *rows, const struct imp_grid *g, struct rng *rng,
                    struct err *e)
{
    int64_t *spare = malloc((rows->n ? rows->n : 1) * sizeof *spare);
    if (!spare)
        return err_set(e, ERR_NOMEM, "no memory to spread %zu rows", rows->n);
    for (size_t from = 0, to; from < rows->n; from = to) {
        bool on;
        int64_t cell = cell_of(g, rows->v[from].at_ns, &on);
        for (to = from + 1; to < rows->n; to++)
            if (cell_of(g, rows->v[to].at_ns, &on) != cell)
                break;
        spread_cell(rows->v + from, to - from, g, spare, rng);
    }
    free(spare);
    return imp_rows_sort(rows, e);
}

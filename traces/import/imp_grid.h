/*
 * imp_grid.h - time grids: found, judged, and undone by a stated rule.
 *
 * Many public traces hold rounded times: minute counts, second stamps, Mooncake's 3 s
 * buckets. Replayed as they stand they send bursts that never were. A grid of period P
 * is claimed when at least IMP_GRID_SHARE of the rows lie within a tolerance (1 ms for
 * periods from 1 s on, else 0) of multiples of P beyond a common phase, in 3 cells at
 * least; the coarsest such P of a table from 1 ms to 1 day is the grid. It matters when
 * P is 1 s or more, or when IMP_GRID_TIES of the rows share their cell with the row
 * before: times that are merely kept in milliseconds are no harm at a few arrivals per
 * second.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_IMPORT_IMP_GRID_H
#define TRACES_IMPORT_IMP_GRID_H

#include "traces/base/rng.h"
#include "traces/import/imp_rows.h"

#define IMP_GRID_SHARE 0.9
#define IMP_GRID_TIES  0.05

struct imp_grid {
    int64_t period_ns; /* 0: no grid */
    int64_t phase_ns, tolerance_ns;
    double share;    /* of rows on the grid */
    double ties;     /* of rows on it that share their cell with the row before */
    double repeated; /* of rows whose time equals that of the row before, grid or not */
    bool matters;    /* must not be replayed as it stands */
};

/* Rows are in order of time. Work is linear in their number. */
void imp_grid_find(const struct imp_rows *rows, struct imp_grid *g);

#define IMP_GRID_TEXT_MAX 160
/* "3 s grid: 99.8 % of 12031 rows lie on it (within 1 ms), 97 % share a cell with the
 * row before" and the like. Returns out. */
char *imp_grid_text(const struct imp_grid *g, size_t rows, char out[IMP_GRID_TEXT_MAX]);

/* Whether a time lies on the grid. */
bool imp_grid_on(const struct imp_grid *g, int64_t at_ns);
/* The multiple that a row's cell starts at. */
int64_t imp_grid_cell_start(const struct imp_grid *g, int64_t at_ns);

/* Spreads the rows that lie on the grid: those of a cell become uniform order
 * statistics in [multiple, multiple + period), keep their order, and are marked
 * `spread`. Others stay. Rows are sorted anew. The grid has a period. ERR_NOMEM. */
int imp_grid_spread(struct imp_rows *rows, const struct imp_grid *g, struct rng *rng,
                    struct err *e) MUST_USE;

#endif

/*
 * import_rows.h - what the fuzzers of importers of rows have in common: any bytes are
 * read, sorted, judged, spread, or refused with a reason.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_FUZZ_IMPORT_ROWS_H
#define TESTS_FUZZ_IMPORT_ROWS_H

#include <stdlib.h>

#include "traces/import/imp_grid.h"

typedef int fuzz_rows_fn(struct zin *in, struct imp_rows *rows, struct err *e);

static inline void fuzz_rows(struct span input, fuzz_rows_fn *read)
{
    struct zin *in;
    struct imp_rows rows = {0};
    struct imp_grid g;
    struct rng rng;
    struct err e = {0};
    if (zin_open_bytes(&in, input, &e) < 0)
        return;
    int rc = read(in, &rows, &e);
    zin_close(in);
    if (rc < 0 && e.code != rc)
        abort();
    if (rc == 0 && imp_rows_sort(&rows, &e) == 0) {
        imp_grid_find(&rows, &g);
        rng_init(&rng, 1);
        if (g.period_ns > 0 && imp_grid_spread(&rows, &g, &rng, &e) < 0)
            abort();
        for (size_t i = 1; i < rows.n; i++)
            if (rows.v[i].at_ns < rows.v[i - 1].at_ns)
                abort();
    }
    imp_rows_done(&rows);
}

#endif

/*
 * fuzz_import_mooncake.c - any bytes as a Mooncake trace: read, sorted, judged, spread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>

#include "traces/import/imp_grid.h"
#include "traces/import/imp_mooncake.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct zin *in;
    struct imp_rows rows = {0};
    struct imp_grid g;
    struct rng rng;
    struct err e = {0};
    if (zin_open_bytes(&in, span_of(data, size), &e) < 0)
        return 0;
    int rc = imp_mooncake_read(in, &rows, &e);
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
    return 0;
}

/*
 * fuzz_import_burstgpt.c - any bytes as a BurstGPT trace: read, sorted, judged, spread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/fuzz/import_rows.h"
#include "traces/import/imp_burst.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int read_all(struct zin *in, struct imp_rows *rows, struct err *e)
{
    struct imp_burst b = {.model = NULL};
    return imp_burst_read(in, &b, rows, e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_rows(span_of(data, size), read_all);
    return 0;
}

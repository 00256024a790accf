/*
 * fuzz_import_mooncake.c - any bytes as a Mooncake trace: read, sorted, judged, spread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/fuzz/import_rows.h"
#include "traces/import/imp_mooncake.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_rows(span_of(data, size), imp_mooncake_read);
    return 0;
}

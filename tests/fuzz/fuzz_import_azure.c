/*
 * fuzz_import_azure.c - any bytes as an Azure LLM trace: read, sorted, judged, spread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/fuzz/import_rows.h"
#include "traces/import/imp_azure.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_rows(span_of(data, size), imp_azure_read);
    return 0;
}

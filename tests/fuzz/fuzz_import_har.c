/*
 * fuzz_import_har.c - HTTP Archives: refused with a reason, or a sound file.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/fuzz/import_calls.h"
#include "traces/import/imp_har.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int read_har(struct zin *in, struct imp_out *o, struct err *e)
{
    const struct imp_rule rule = {.tier = OP_TIER_ENVOY};
    return imp_har_read(in, &rule, o, e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_import(span_of(data, size), "har", read_har);
    return 0;
}

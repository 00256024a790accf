/*
 * fuzz_import_goreplay.c - files of GoReplay: refused with a reason, or a sound file.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/fuzz/import_calls.h"
#include "traces/import/imp_gor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int read_gor(struct zin *in, struct imp_out *o, struct err *e)
{
    const struct imp_rule rule = {.tier = OP_TIER_ENVOY, .keep_query = true};
    return imp_gor_read(in, &rule, o, e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_import(span_of(data, size), "goreplay", read_gor);
    return 0;
}

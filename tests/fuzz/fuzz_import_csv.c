/*
 * fuzz_import_csv.c - tables of calls: refused with a reason, or a sound file. The
 * first byte chooses among options.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/fuzz/import_calls.h"
#include "traces/import/imp_csv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t choice;

static int read_csv(struct zin *in, struct imp_out *o, struct err *e)
{
    char unread[64];
    const struct imp_csv how = {.unit = (enum imp_unit)(choice % 5),
                                .latency_unit = (enum imp_unit)(choice / 8 % 4),
                                .separator = choice & 32 ? ';' : ',',
                                .protocol = choice & 64 ? OP_GRPC : OP_REST,
                                .model_type = choice & 128 ? "iris" : NULL,
                                .make_bodies = choice & 128};
    return imp_csv_read(in, &how, o, unread, sizeof unread, e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    choice = data[0];
    fuzz_import(span_of(data + 1, size - 1), "csv", read_csv);
    return 0;
}

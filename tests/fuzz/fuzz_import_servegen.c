/*
 * fuzz_import_servegen.c - any bytes as ServeGen windows, and their first arrivals.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>

#include "traces/import/imp_servegen.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* From 0: skipping into a window of 1e6 per second draws all that is skipped. */
    const struct imp_span span = {0, INT64_C(3600) * 1000000000, NULL};
    struct zin *in;
    struct imp_servegen *s;
    struct err e = {0};
    if (zin_open_bytes(&in, span_of(data, size), &e) < 0)
        return 0;
    int rc = imp_servegen_read(&s, in, &span, 1, &e);
    zin_close(in);
    if (rc < 0 && e.code != rc)
        abort();
    int64_t at = 0, last = 0;
    uint32_t client;
    for (int i = 0; rc == 0 && i < 1000 && imp_servegen_next(s, &at, &client); i++) {
        if (at < last || at >= span.duration_ns || client >= IMP_CLIENTS_MAX)
            abort();
        last = at;
    }
    imp_servegen_free(s);
    return 0;
}

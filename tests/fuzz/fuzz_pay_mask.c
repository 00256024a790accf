/*
 * fuzz_pay_mask.c - bodies that are to be masked: whatever they are, nothing that a
 * mask names is left, and what comes out is as well-formed as what went in.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "traces/payload/json_scan.h"
#include "traces/payload/pay_mask.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool truth)
{
    if (!truth)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const paths[] = {"id", "inputs.*.data", "parameters.user",
                                        "a.1.b"};
    struct pay_mask masks[4];
    struct arena a = {0};
    struct buf once = {0}, twice = {0}, shape = {0};
    struct span in = span_of(data, size);
    for (size_t i = 0; i < 4; i++)
        must(pay_mask_parse(span_str(paths[i]), &masks[i], NULL) == 0);

    if (pay_mask_json(masks, 4, in, &a, &once, NULL) == 0) {
        struct json_scan s;
        json_scan_init(&s, buf_view(&once), &a, NULL);
        json_scan_skip(&s);
        must(json_scan_end(&s) == 0);
        must(pay_mask_json(masks, 4, buf_view(&once), &a, &twice, NULL) == 0);
        must(span_eq(buf_view(&once), buf_view(&twice)));
    }
    if (pay_mask_shape(OP_REST, false, in, &a, &shape, NULL) == 0)
        must(shape.n >= in.n);
    buf_reset(&shape);
    (void)!pay_mask_shape(OP_REST, true, in, &a, &shape, NULL);
    for (int answer = 0; answer < 2; answer++) {
        buf_reset(&once);
        buf_reset(&twice);
        if (pay_mask_proto(masks, 4, answer, in, &a, &once, NULL) != 0)
            continue;
        must(pay_mask_proto(masks, 4, answer, buf_view(&once), &a, &twice, NULL) == 0);
        must(span_eq(buf_view(&once), buf_view(&twice)));
    }
    buf_done(&once);
    buf_done(&twice);
    buf_done(&shape);
    arena_done(&a);
    return 0;
}

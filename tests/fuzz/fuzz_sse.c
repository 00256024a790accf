/*
 * fuzz_sse.c - events end at the same places however a stream is split, and the data of
 * an event is never longer than the event.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>
#include <string.h>

#include "traces/wire/sse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t feed(struct sse *s, const uint8_t *bytes, size_t n, uint64_t sum)
{
    uint8_t *exact = malloc(n ? n : 1); /* reading past it is found */
    if (!exact)
        abort();
    memcpy(exact, bytes, n);
    struct span in = span_of(exact, n);
    for (;;) {
        enum sse_what what = sse_feed(s, &in);
        if (what == SSE_EVENT)
            sum = sum * UINT64_C(0x9e3779b97f4a7c15) + s->bytes;
        if (what == SSE_MORE)
            break;
    }
    if (in.n != 0)
        abort();
    free(exact);
    return sum;
}

static uint64_t story(const uint8_t *data, size_t size, size_t cut, size_t step)
{
    struct sse s = {0};
    uint64_t sum = feed(&s, data, cut, 1);
    for (size_t at = cut; at < size; at += step)
        sum = feed(&s, data + at, size - at < step ? size - at : step, sum);
    return sse_end(&s) == SSE_EVENT ? sum * UINT64_C(0x9e3779b97f4a7c15) + s.bytes
                                    : sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf out = {0};
    uint64_t want = story(data, size, size, 1);
    size_t stride = size > 256 ? size / 64 : 1;

    if (story(data, size, 0, 1) != want)
        abort();
    for (size_t cut = 0; cut < size; cut += stride)
        if (story(data, size, cut, size) != want)
            abort();
    sse_data(span_of(data, size), &out);
    if (out.n > size)
        abort();
    buf_done(&out);
    return 0;
}

/*
 * fuzz_grpc_frame.c - the messages of a gRPC body are the same however it is split, and
 * no longer than their limit and their input.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>
#include <string.h>

#include "traces/wire/grpc_frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LIMIT 300u

struct story {
    struct grpc_frame frame;
    uint64_t sum, bytes, in_message;
    int failed;
};

static void add(struct story *s, uint64_t v)
{
    s->sum = (s->sum ^ v) * UINT64_C(0x100000001b3);
}

static void feed(struct story *s, const uint8_t *bytes, size_t n)
{
    uint8_t *exact = malloc(n ? n : 1); /* reading past it is found */
    struct span in = {exact, n}, piece;
    int what = GRPC_FRAME_PIECE;
    if (!exact)
        abort();
    memcpy(exact, bytes, n);
    while (!s->failed && what != GRPC_FRAME_MORE) {
        what = grpc_frame_feed(&s->frame, &in, LIMIT, &piece);
        if (what < 0) {
            s->failed = what;
            add(s, (uint64_t)-what);
        } else if (what == GRPC_FRAME_PIECE) {
            for (size_t i = 0; i < piece.n; i++)
                add(s, piece.p[i]);
            s->in_message += piece.n;
            s->bytes += piece.n;
        } else if (what == GRPC_FRAME_END) {
            if (s->in_message != s->frame.bytes || s->in_message > LIMIT)
                abort();
            s->in_message = 0;
            add(s, 256 + s->frame.bytes + s->frame.compressed);
            if (s->frame.compressed && !s->frame.packs)
                abort();
        }
    }
    if (!s->failed && in.n != 0)
        abort();
    free(exact);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct grpc_frame start = {.packs = size % 2};
    struct story whole = {.frame = start, .sum = 1}, single = whole;
    size_t stride = size > 256 ? size / 64 : 1;

    feed(&whole, data, size);
    for (size_t i = 0; i < size; i++)
        feed(&single, data + i, 1);
    if (whole.sum != single.sum || whole.failed != single.failed || whole.bytes > size)
        abort();
    for (size_t cut = 0; cut < size; cut += stride) {
        struct story halves = {.frame = start, .sum = 1};
        feed(&halves, data, cut);
        feed(&halves, data + cut, size - cut);
        if (halves.sum != whole.sum)
            abort();
    }
    return 0;
}

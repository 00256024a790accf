/*
 * grpc_frame.c - see grpc_frame.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/wire/grpc_frame.h"

#include <string.h>

bool grpc_frame_idle(const struct grpc_frame *f)
{
    return f->prefix_got == 0;
}

/* What is missing of the prefix. */
static void take_prefix(struct grpc_frame *f, struct span *in)
{
    size_t wanted = GRPC_PREFIX_BYTES - f->prefix_got;
    size_t n = in->n < wanted ? in->n : wanted;
    if (n > 0)
        memcpy(f->prefix + f->prefix_got, in->p, n);
    f->prefix_got = (uint8_t)(f->prefix_got + n);
    *in = span_sub(*in, n, in->n);
}

int grpc_frame_feed(struct grpc_frame *f, struct span *in, uint64_t max,
                    struct span *piece)
{
    if (f->prefix_got < GRPC_PREFIX_BYTES) {
        take_prefix(f, in);
        if (f->prefix_got < GRPC_PREFIX_BYTES)
            return GRPC_FRAME_MORE;
        if (f->prefix[0] > f->packs)
            return ERR_FORMAT;
        f->compressed = f->prefix[0];
        f->bytes = (uint64_t)f->prefix[1] << 24 | (uint64_t)f->prefix[2] << 16 |
                   (uint64_t)f->prefix[3] << 8 | f->prefix[4];
        f->left = f->bytes;
        if (f->bytes > max)
            return ERR_LIMIT;
    }
    if (f->left == 0) {
        f->prefix_got = 0;
        return GRPC_FRAME_END;
    }
    if (in->n == 0)
        return GRPC_FRAME_MORE;
    *piece = span_sub(*in, 0, f->left < in->n ? (size_t)f->left : in->n);
    *in = span_sub(*in, piece->n, in->n);
    f->left -= piece->n;
    return GRPC_FRAME_PIECE;
}

/*
 * gunzip.c - see gunzip.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/wire/gunzip.h"

#include <zlib.h>

#define PIECE        (64u << 10)
#define GZIP_WITH_15 (15 + 16) /* zlib: the largest window, in gzip's wrapping */
#define GZIP_METHOD  8u        /* deflate, the only one that RFC 1952 2.3.1 has */

bool is_gzip(struct span s)
{
    return s.n >= 3 && s.p[0] == 0x1f && s.p[1] == 0x8b && s.p[2] == GZIP_METHOD;
}

bool gunzip(struct span packed, size_t most, struct buf *out)
{
    z_stream z = {0};
    size_t from = out->n;
    if (packed.n > UINT32_MAX || inflateInit2(&z, GZIP_WITH_15) != Z_OK)
        return false;
    z.next_in = (Bytef *)(uintptr_t)packed.p;
    z.avail_in = (uInt)packed.n;
    int rc = Z_OK;
    while (rc == Z_OK && out->n - from <= most) {
        uint8_t *to = buf_grow(out, PIECE);
        if (!to)
            break;
        z.next_out = to;
        z.avail_out = PIECE;
        rc = inflate(&z, Z_NO_FLUSH);
        out->n -= z.avail_out;
        if (rc == Z_STREAM_END && z.avail_in > 0) /* members may follow one another */
            rc = inflateReset(&z);
    }
    inflateEnd(&z);
    return rc == Z_STREAM_END && out->n - from <= most;
}

/*
 * content_stream.c - see content_stream.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/wire/content_stream.h"

#include <stdlib.h>

#include <zlib.h>
#include <zstd.h>

#define PIECE       (16u << 10)
#define ZSTD_WINDOW 23 /* log2 */

/* Invariant: of zlib and zstd at most one is there. deflate waits for its first two
 * bytes, which tell whether it is wrapped (content_encoding.c). */
struct content_stream {
    enum content_coding coding;
    bool begun; /* a byte came */
    bool whole; /* the last member or frame ended, and nothing came behind it */
    bool zlib_is;
    z_stream zlib;
    ZSTD_DStream *zstd;
    bool full; /* the last piece was: there may be more without more input */
    uint8_t first[2];
    size_t first_got;
    uint64_t left;
    uint8_t piece[PIECE];
};

static int begin_zlib(struct content_stream *s, int window)
{
    s->zlib_is = inflateInit2(&s->zlib, window) == Z_OK;
    return s->zlib_is ? 0 : ERR_NOMEM;
}

static int begin_zstd(struct content_stream *s)
{
    s->zstd = ZSTD_createDStream();
    return s->zstd && !ZSTD_isError(ZSTD_DCtx_setParameter(s->zstd, ZSTD_d_windowLogMax,
                                                           ZSTD_WINDOW))
               ? 0
               : ERR_NOMEM;
}

struct content_stream *content_stream_new(uint16_t codings, uint64_t most)
{
    if (codings == 0 || codings > CONTENT_ZSTD)
        return NULL;
    struct content_stream *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->coding = (enum content_coding)codings;
    s->left = most;
    int rc = s->coding == CONTENT_GZIP   ? begin_zlib(s, 15 + 16)
             : s->coding == CONTENT_ZSTD ? begin_zstd(s)
                                         : 0;
    if (rc < 0) {
        content_stream_free(s);
        return NULL;
    }
    return s;
}

void content_stream_free(struct content_stream *s)
{
    if (!s)
        return;
    if (s->zlib_is)
        inflateEnd(&s->zlib);
    ZSTD_freeDStream(s->zstd);
    free(s);
}

bool content_stream_whole(const struct content_stream *s)
{
    return s->whole || !s->begun;
}

/* Takes some of *in, and makes some of a piece: *made bytes. */
static int step_zlib(struct content_stream *s, struct span *in, size_t *made)
{
    uInt most = in->n < UINT32_MAX ? (uInt)in->n : UINT32_MAX;
    int rc = Z_OK;
    if (s->whole && s->coding != CONTENT_GZIP)
        return ERR_FORMAT; /* there is but one */
    if (s->whole)
        rc = inflateReset(&s->zlib);
    s->whole = false;
    s->zlib.next_in = (Bytef *)(uintptr_t)in->p;
    s->zlib.avail_in = most;
    s->zlib.next_out = s->piece;
    s->zlib.avail_out = PIECE;
    if (rc == Z_OK)
        rc = inflate(&s->zlib, Z_SYNC_FLUSH);
    *made = PIECE - s->zlib.avail_out;
    *in = span_sub(*in, most - s->zlib.avail_in, in->n);
    s->whole = rc == Z_STREAM_END;
    return rc == Z_OK || rc == Z_STREAM_END || rc == Z_BUF_ERROR ? 0
           : rc == Z_MEM_ERROR                                   ? ERR_NOMEM
                                                                 : ERR_FORMAT;
}

static int step_zstd(struct content_stream *s, struct span *in, size_t *made)
{
    ZSTD_inBuffer from = {in->p, in->n, 0};
    ZSTD_outBuffer to = {s->piece, PIECE, 0};
    size_t rc = ZSTD_decompressStream(s->zstd, &to, &from);
    *made = to.pos;
    *in = span_sub(*in, from.pos, in->n);
    if (from.pos > 0 || to.pos > 0)
        s->whole = rc == 0;
    return ZSTD_isError(rc) ? ERR_FORMAT : 0;
}

/* The first two bytes of deflate are there: RFC 1950, 2.2 tells whether it is wrapped.
 * They make a byte at the most, and are used up. */
static int begin_deflate(struct content_stream *s, size_t *made)
{
    bool wrapped = (s->first[0] & 15) == 8 &&
                   ((unsigned)s->first[0] << 8 | s->first[1]) % 31 == 0 &&
                   !(s->first[1] & 0x20);
    struct span first = span_of(s->first, sizeof s->first);
    int rc = begin_zlib(s, wrapped ? 15 : -15);
    if (rc == 0)
        rc = step_zlib(s, &first, made);
    return rc == 0 && first.n > 0 ? ERR_FORMAT : rc;
}

static int step(struct content_stream *s, struct span *in, size_t *made)
{
    if (s->zstd)
        return step_zstd(s, in, made);
    if (s->zlib_is)
        return step_zlib(s, in, made);
    s->first[s->first_got++] = *in->p;
    *in = span_sub(*in, 1, in->n);
    return s->first_got == sizeof s->first ? begin_deflate(s, made) : 0;
}

int content_stream_next(struct content_stream *s, struct span *in, struct span *out)
{
    s->begun = s->begun || in->n > 0;
    while (in->n > 0 || (s->full && !s->whole)) {
        size_t before = in->n, made = 0;
        int rc = step(s, in, &made);
        if (rc < 0)
            return rc;
        s->full = made == PIECE;
        if (made > s->left)
            return ERR_LIMIT;
        s->left -= made;
        *out = span_of(s->piece, made);
        if (made > 0)
            return 1;
        if (in->n == before && before > 0)
            return ERR_FORMAT; /* it takes no more */
    }
    return 0;
}

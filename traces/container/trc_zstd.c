/*
 * trc_zstd.c - see trc_zstd.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/container/trc_zstd.h"

#include <stdlib.h>
#include <string.h>

#include <zstd.h>

struct trc_pack {
    ZSTD_CCtx *ctx;
};
struct trc_unpack {
    ZSTD_DCtx *ctx;
};

struct trc_pack *trc_pack_new(void)
{
    struct trc_pack *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->ctx = ZSTD_createCCtx();
    if (!p->ctx) {
        free(p);
        return NULL;
    }
    /* Our own checksums are over the compressed bytes; zstd's would be a second pass.
     */
    ZSTD_CCtx_setParameter(p->ctx, ZSTD_c_checksumFlag, 0);
    ZSTD_CCtx_setParameter(p->ctx, ZSTD_c_contentSizeFlag, 1);
    return p;
}

void trc_pack_free(struct trc_pack *p)
{
    if (p)
        ZSTD_freeCCtx(p->ctx);
    free(p);
}

/* Feeds raw[from, to) and closes a zstd block, or the frame when `last`. */
static int feed(struct trc_pack *p, const struct buf *raw, size_t from, size_t to,
                bool last, ZSTD_outBuffer *out, struct err *e)
{
    ZSTD_inBuffer in = {raw->p + from, to - from, 0};
    ZSTD_EndDirective what = last ? ZSTD_e_end : ZSTD_e_flush;
    size_t left;
    do {
        left = ZSTD_compressStream2(p->ctx, out, &in, what);
        if (ZSTD_isError(left))
            return err_set(e, ERR_NOMEM, "compressing a block: %s",
                           ZSTD_getErrorName(left));
    } while (left != 0 && out->pos < out->size);
    if (left != 0)
        return err_set(e, ERR_LIMIT, "compressing a block: grew beyond its bound");
    return 0;
}

int trc_pack_group(struct trc_pack *p, int level, const struct trc_group_out *g,
                   struct buf *out, struct err *e)
{
    ZSTD_CCtx_reset(p->ctx, ZSTD_reset_session_only);
    ZSTD_CCtx_setParameter(p->ctx, ZSTD_c_compressionLevel, level);
    /* Cuts add a few bytes each over the bound of a single block; a frame that grows
     * beyond the bound readers insist on is made anew without them. */
    for (int attempt = 0; attempt < 2; attempt++) {
        size_t bound = ZSTD_compressBound(g->raw.n);
        buf_reset(out);
        uint8_t *room = buf_grow(out, bound);
        if (!room)
            return err_set(e, ERR_NOMEM, "compressing a block: out of memory");
        ZSTD_outBuffer dst = {room, bound, 0};
        ZSTD_CCtx_reset(p->ctx, ZSTD_reset_session_only);
        ZSTD_CCtx_setPledgedSrcSize(p->ctx, g->raw.n);
        size_t from = 0;
        int rc = 0;
        for (unsigned i = 0; attempt == 0 && i < g->cut_count && rc == 0; i++) {
            if (g->cuts[i] == g->raw.n)
                break;
            rc = feed(p, &g->raw, from, g->cuts[i], false, &dst, NULL);
            from = g->cuts[i];
        }
        if (rc == 0)
            rc = feed(p, &g->raw, from, g->raw.n, true, &dst, attempt ? e : NULL);
        out->n = dst.pos;
        if (rc == 0 || attempt == 1)
            return rc;
    }
    return 0;
}

struct trc_unpack *trc_unpack_new(void)
{
    struct trc_unpack *u = calloc(1, sizeof *u);
    if (!u)
        return NULL;
    u->ctx = ZSTD_createDCtx();
    if (!u->ctx) {
        free(u);
        return NULL;
    }
    return u;
}

void trc_unpack_free(struct trc_unpack *u)
{
    if (u)
        ZSTD_freeDCtx(u->ctx);
    free(u);
}

/* Window descriptor of RFC 8878, 3.1.1.1.2: absent in single-segment frames, where the
 * window is the content itself. */
static bool window_fits(struct span frame)
{
    if (frame.n < 6)
        return false;
    bool single_segment = frame.p[4] & 0x20;
    return single_segment || 10 + (frame.p[5] >> 3) <= TRC_WINDOW_LOG_MAX - 1 ||
           (10 + (frame.p[5] >> 3) == TRC_WINDOW_LOG_MAX && (frame.p[5] & 7) == 0);
}

int trc_unpack_group(struct trc_unpack *u, struct span frame, uint8_t *out, size_t raw,
                     struct err *e)
{
    if (frame.n < 4 || memcmp(frame.p, "\x28\xB5\x2F\xFD", 4) != 0)
        return err_set(e, ERR_FORMAT, "not a zstd frame");
    unsigned long long size = ZSTD_getFrameContentSize(frame.p, frame.n);
    if (size == ZSTD_CONTENTSIZE_UNKNOWN || size == ZSTD_CONTENTSIZE_ERROR)
        return err_set(e, ERR_FORMAT, "zstd frame without content size");
    if (size != raw)
        return err_set(e, ERR_FORMAT,
                       "zstd frame of %llu bytes where %zu were promised", size, raw);
    if (ZSTD_getDictID_fromFrame(frame.p, frame.n) != 0)
        return err_set(e, ERR_FORMAT, "zstd frame wants a dictionary");
    if (!window_fits(frame))
        return err_set(e, ERR_LIMIT, "zstd window above 2^%d bytes",
                       TRC_WINDOW_LOG_MAX);
    if (ZSTD_findFrameCompressedSize(frame.p, frame.n) != frame.n)
        return err_set(e, ERR_FORMAT, "not exactly one zstd frame");
    size_t n = ZSTD_decompressDCtx(u->ctx, out, raw, frame.p, frame.n);
    if (ZSTD_isError(n))
        return err_set(e, ERR_FORMAT, "zstd: %s", ZSTD_getErrorName(n));
    if (n != raw)
        return err_set(e, ERR_FORMAT, "zstd frame gave %zu bytes of %zu", n, raw);
    return 0;
}

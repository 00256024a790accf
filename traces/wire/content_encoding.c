/*
 * content_encoding.c - see content_encoding.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/wire/content_encoding.h"

#include <stdio.h>

#include <zlib.h>
#include <zstd.h>

#define PIECE (64u << 10)

/* zlib's word for a wrapping, each with the largest window. */
enum wrapping { WRAPPED_GZIP = 15 + 16, WRAPPED_ZLIB = 15, WRAPPED_NOT = -15 };
#define METHOD_DEFLATE 8u /* the only one that RFC 1950 and 1952 have */
#define ZSTD_WINDOW    26 /* log2: no larger than what may come out */

/* --- lists ------------------------------------------------------------------------ */

static const struct {
    const char *name;
    enum content_coding coding;
} names[] = {
    {"identity", CONTENT_IDENTITY}, {"gzip", CONTENT_GZIP},
    {"x-gzip", CONTENT_GZIP},       {"deflate", CONTENT_DEFLATE},
    {"zstd", CONTENT_ZSTD},         {"br", CONTENT_BR},
    {"compress", CONTENT_COMPRESS}, {"x-compress", CONTENT_COMPRESS},
    {"snappy", CONTENT_SNAPPY},
};
#define NAMES (sizeof names / sizeof *names)

static enum content_coding coding_of(struct span name)
{
    for (size_t i = 0; i < NAMES; i++)
        if (span_eq_nocase(name, names[i].name))
            return names[i].coding;
    return CONTENT_OTHER;
}

static const char *name_of(unsigned coding)
{
    for (size_t i = 0; i < NAMES; i++)
        if (names[i].coding == coding)
            return names[i].name;
    return "other";
}

static void add(uint16_t *codings, enum content_coding coding)
{
    if (coding == CONTENT_IDENTITY)
        return;
    for (unsigned shift = 0; shift < 4 * CONTENT_CODINGS_MAX; shift += 4)
        if (*codings >> shift == 0) {
            *codings = (uint16_t)(*codings | coding << shift);
            return;
        }
    *codings = CONTENT_OTHER;
}

void content_codings_add(uint16_t *codings, struct span value)
{
    for (size_t at = 0; at < value.n;) {
        size_t end = span_find(value, ',', at);
        struct span name = span_trim(span_sub(value, at, end));
        if (name.n > 0) /* empty elements count for nothing: RFC 9110, 5.6.1 */
            add(codings, coding_of(name));
        at = end + 1;
    }
}

char *content_codings_text(uint16_t codings, char out[CONTENT_CODINGS_TEXT])
{
    int n = 0;
    out[0] = 0;
    for (; codings; codings >>= 4)
        n += snprintf(out + n, CONTENT_CODINGS_TEXT - (size_t)n, "%s%s", n ? ", " : "",
                      name_of(codings & 15));
    return out;
}

bool content_codings_valid(uint16_t codings)
{
    for (; codings; codings >>= 4)
        if ((codings & 15) == CONTENT_IDENTITY)
            return false;
    return true;
}

bool content_codings_known(uint16_t codings)
{
    for (; codings; codings >>= 4)
        if ((codings & 15) == CONTENT_IDENTITY || (codings & 15) > CONTENT_ZSTD)
            return false;
    return true;
}

/* --- each of them ----------------------------------------------------------------- */

bool is_gzip(struct span s)
{
    return s.n >= 3 && s.p[0] == 0x1f && s.p[1] == 0x8b && s.p[2] == METHOD_DEFLATE;
}

/* RFC 1950, 2.2: method, a multiple of 31, no preset dictionary. */
static bool is_zlib(struct span s)
{
    return s.n >= 2 && (s.p[0] & 15) == METHOD_DEFLATE &&
           ((unsigned)s.p[0] << 8 | s.p[1]) % 31 == 0 && !(s.p[1] & 0x20);
}

/* Members of gzip may follow one another; of the others there is one. */
static int inflate_all(struct span packed, enum wrapping wrapping, size_t most,
                       struct buf *out)
{
    z_stream z = {0};
    size_t from = out->n;
    if (packed.n > UINT32_MAX)
        return ERR_LIMIT;
    if (inflateInit2(&z, wrapping) != Z_OK)
        return ERR_NOMEM;
    z.next_in = (Bytef *)(uintptr_t)packed.p;
    z.avail_in = (uInt)packed.n;
    int rc = Z_OK;
    while (rc == Z_OK && out->n - from <= most) {
        uint8_t *to = buf_grow(out, PIECE);
        if (!to) {
            rc = Z_MEM_ERROR;
            break;
        }
        z.next_out = to;
        z.avail_out = PIECE;
        rc = inflate(&z, Z_NO_FLUSH);
        out->n -= z.avail_out;
        if (rc == Z_STREAM_END && z.avail_in > 0)
            rc = wrapping == WRAPPED_GZIP ? inflateReset(&z) : Z_DATA_ERROR;
    }
    inflateEnd(&z);
    return rc == Z_MEM_ERROR      ? ERR_NOMEM
           : out->n - from > most ? ERR_LIMIT
           : rc != Z_STREAM_END   ? ERR_FORMAT
                                  : 0;
}

/* What is wrapped but damaged is not taken for bare: read so, its first byte begins a
 * stored block, whose length stands there twice and would not hold. */
static int inflate_either(struct span packed, size_t most, struct buf *out)
{
    size_t from = out->n;
    int rc =
        is_zlib(packed) ? inflate_all(packed, WRAPPED_ZLIB, most, out) : ERR_FORMAT;
    if (rc != ERR_FORMAT)
        return rc;
    out->n = from;
    return inflate_all(packed, WRAPPED_NOT, most, out);
}

/* Frames may follow one another. */
static int unzstd_all(struct span packed, size_t most, struct buf *out)
{
    ZSTD_DStream *z = ZSTD_createDStream();
    ZSTD_inBuffer in = {packed.p, packed.n, 0};
    size_t from = out->n, left = 1; /* left: 0 at the end of a frame */
    int rc = 0;
    if (!z || ZSTD_isError(ZSTD_DCtx_setParameter(z, ZSTD_d_windowLogMax, ZSTD_WINDOW)))
        rc = ERR_NOMEM;
    while (rc == 0 && (left > 0 || in.pos < in.size)) {
        uint8_t *to = buf_grow(out, PIECE);
        if (!to) {
            rc = ERR_NOMEM;
            break;
        }
        ZSTD_outBuffer piece = {to, PIECE, 0};
        size_t before = in.pos;
        left = ZSTD_decompressStream(z, &piece, &in);
        out->n -= PIECE - piece.pos;
        if (ZSTD_isError(left) || (left > 0 && in.pos == before && piece.pos == 0))
            rc = ERR_FORMAT; /* or it ends early */
        else if (out->n - from > most)
            rc = ERR_LIMIT;
    }
    ZSTD_freeDStream(z);
    return rc;
}

bool gunzip(struct span packed, size_t most, struct buf *out)
{
    return inflate_all(packed, WRAPPED_GZIP, most, out) == 0;
}

bool unzstd(struct span packed, size_t most, struct buf *out)
{
    return unzstd_all(packed, most, out) == 0;
}

/* --- all of them ------------------------------------------------------------------ */

static int undo(unsigned coding, struct span packed, size_t most, struct buf *out,
                struct err *e)
{
    int rc = packed.n == 0               ? 0
             : coding == CONTENT_GZIP    ? inflate_all(packed, WRAPPED_GZIP, most, out)
             : coding == CONTENT_DEFLATE ? inflate_either(packed, most, out)
                                         : unzstd_all(packed, most, out);
    switch (rc) {
    case ERR_FORMAT:
        return err_set(e, rc, "it is no %s, or not all of it", name_of(coding));
    case ERR_LIMIT:
        return err_set(e, rc, "its %s stands for more than %zu bytes", name_of(coding),
                       most);
    case ERR_NOMEM:
        return err_set(e, rc, "out of memory for what its %s stands for",
                       name_of(coding));
    default:
        return rc;
    }
}

int content_decode(uint16_t codings, struct span packed, size_t most, struct buf *out,
                   struct err *e)
{
    struct buf held = {0}; /* of the step before */
    char text[CONTENT_CODINGS_TEXT];
    unsigned n = 0;
    int rc = 0;

    if (!content_codings_known(codings))
        return err_set(e, ERR_USAGE, "its encoding is not known: %s",
                       content_codings_text(codings, text));
    while (n < CONTENT_CODINGS_MAX && codings >> 4 * n)
        n++;
    if (n == 0 && packed.n > most)
        return err_set(e, ERR_LIMIT, "it has more than %zu bytes", most);
    if (n == 0)
        buf_span(out, packed);
    while (rc == 0 && n-- > 0) { /* the last that was applied comes first */
        struct buf step = {0};
        rc = undo(codings >> 4 * n & 15, packed, most, n == 0 ? out : &step, e);
        buf_done(&held);
        held = step;
        packed = buf_view(&held);
    }
    buf_done(&held);
    return rc == 0 ? buf_check(out, e) : rc;
}

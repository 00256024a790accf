/*
 * fuzz_content_encoding.c - whatever comes and whatever it is called, no more comes out
 * than may; a list reads back as it was; what zlib and zstd packed comes back.
 *
 * The first two bytes are the list, then comes a body.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/wire/content_stream.h"

#include <stdlib.h>

#include <zlib.h>
#include <zstd.h>

#define MOST ((size_t)1 << 18)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void deflate_as(int window, struct span s, struct buf *out)
{
    z_stream z = {0};
    if (deflateInit2(&z, 1, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        abort();
    size_t most = deflateBound(&z, s.n);
    z.next_out = buf_grow(out, most);
    z.avail_out = (uInt)most;
    z.next_in = (Bytef *)(uintptr_t)s.p;
    z.avail_in = (uInt)s.n;
    if (!z.next_out || deflate(&z, Z_FINISH) != Z_STREAM_END)
        abort();
    out->n -= z.avail_out;
    deflateEnd(&z);
}

static void zstd(struct span s, struct buf *out)
{
    size_t most = ZSTD_compressBound(s.n);
    uint8_t *to = buf_grow(out, most);
    size_t n = to ? ZSTD_compress(to, most, s.p, s.n, 1) : 0;
    if (n == 0 || ZSTD_isError(n))
        abort();
    out->n -= most - n;
}

static void expect(uint16_t codings, const struct buf *packed, struct span plain)
{
    struct buf out = {0};
    if (content_decode(codings, buf_view(packed), plain.n, &out, NULL) < 0 ||
        !span_eq(buf_view(&out), plain))
        abort();
    if (plain.n > 0 &&
        content_decode(codings, buf_view(packed), plain.n - 1, &out, NULL) != ERR_LIMIT)
        abort();
    buf_done(&out);
}

static void round_trips(struct span plain)
{
    static const struct {
        int window;
        uint16_t coding;
    } ways[] = {{15 + 16, CONTENT_GZIP}, {15, CONTENT_DEFLATE}, {-15, CONTENT_DEFLATE}};
    struct buf packed = {0}, twice = {0};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        buf_reset(&packed);
        deflate_as(ways[i].window, plain, &packed);
        expect(ways[i].coding, &packed, plain);
    }
    buf_reset(&packed);
    zstd(plain, &packed);
    expect(CONTENT_ZSTD, &packed, plain);
    deflate_as(15, buf_view(&packed), &twice);
    buf_reset(&packed);
    if (content_decode(CONTENT_ZSTD | CONTENT_DEFLATE << 4, buf_view(&twice), MOST,
                       &packed, NULL) < 0 ||
        !span_eq(buf_view(&packed), plain))
        abort();
    buf_done(&packed);
    buf_done(&twice);
}

/* all: what the whole is, or why it is nothing. A stream knows of no second try at
 * deflate, and of smaller windows. */
static void as_stream(uint16_t codings, struct span body, int rc, const struct buf *all)
{
    struct content_stream *s = content_stream_new(codings, MOST);
    struct buf out = {0};
    size_t step = body.n > 0 ? 1 + body.p[body.n - 1] : 1;
    int got = 0;
    if (!s)
        return;
    for (size_t at = 0; at < body.n && got == 0; at += step) {
        struct span in = span_sub(body, at, at + step), piece;
        while ((got = content_stream_next(s, &in, &piece)) > 0)
            if (piece.n == 0)
                abort();
            else
                buf_span(&out, piece);
    }
    bool good = got == 0 && content_stream_whole(s);
    if (out.n > MOST || (good && (rc < 0 || !span_eq(buf_view(&out), buf_view(all)))) ||
        (!good && rc == 0 && codings == CONTENT_GZIP))
        abort();
    buf_done(&out);
    content_stream_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf out = {0};
    struct err e = {0};
    char text[CONTENT_CODINGS_TEXT];
    uint16_t read_back = 0, any = 0;
    if (size < 2 || size > 65536)
        return 0;
    uint16_t codings = (uint16_t)(data[0] | data[1] << 8);
    struct span body = span_of(data + 2, size - 2);
    uint8_t *exact = malloc(body.n ? body.n : 1); /* reading past it is found */
    if (!exact)
        abort();
    memcpy(exact, body.p, body.n);

    content_codings_text(codings, text);
    content_codings_add(&read_back, span_str(text));
    if (content_codings_known(codings) && read_back != codings)
        abort();
    content_codings_add(&any, span_of(exact, body.n)); /* whatever a field says */
    int rc = content_decode(codings, span_of(exact, body.n), MOST, &out, &e);
    if ((rc == 0 && out.n > MOST) || (rc < 0 && e.code != rc) ||
        (rc == ERR_USAGE) != !content_codings_known(codings))
        abort();
    as_stream(codings, span_of(exact, body.n), rc, &out);
    buf_done(&out);
    round_trips(span_of(exact, body.n));
    free(exact);
    return 0;
}

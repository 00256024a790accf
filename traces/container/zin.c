/*
 * zin.c - see zin.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/container/zin.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#define RAW_BYTES  (128u * 1024) /* read at once */
#define TEXT_BYTES (2 * ZIN_LINE_MAX)
#define GZIP_WBITS (16 + MAX_WBITS) /* inflateInit2: a header of gzip, and no other */

struct zin {
    int fd;             /* -1: bytes are all there */
    struct span source; /* not yet used part of what was read */
    uint64_t read;      /* bytes behind source's end in the file: where it ends */
    uint8_t *raw;       /* holds source when there is a file */
    bool source_ended;
    ZSTD_DStream *zstd; /* this, or gzip, or both NULL: plain */
    z_stream *gzip;
    bool in_frame;   /* decompression stands inside of a frame, or member */
    size_t line_max; /* bytes of a line that are taken */
    size_t text_cap; /* at least TEXT_BYTES */
    uint8_t *text;   /* text[from..to) is not yet handed out */
    size_t from, to;
    bool text_ended;
    uint64_t line;
    uint64_t skipped; /* bytes passed over by zin_skip */
};

_Static_assert(TEXT_BYTES >= ZIN_PEEK_MAX, "what can be asked for has room");

/* Reads on; what was left of source moves to the front. */
static int refill(struct zin *in, struct err *e)
{
    if (in->fd < 0) {
        in->source_ended = true;
        return 0;
    }
    if (in->source.n > 0)
        memmove(in->raw, in->source.p, in->source.n);
    size_t kept = in->source.n;
    ssize_t n;
    do
        n = read(in->fd, in->raw + kept, RAW_BYTES - kept);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return err_sys(e, errno, "reading at byte %llu", (unsigned long long)in->read);
    in->source_ended = n == 0;
    in->read += (uint64_t)n;
    in->source = span_of(in->raw, kept + (size_t)n);
    return 0;
}

/* Zstd frames start with 28 B5 2F FD, skippable ones with 5x 2A 4D 18. */
static bool is_zstd(struct span s)
{
    static const uint8_t frame[] = {0x28, 0xb5, 0x2f, 0xfd},
                         skip[] = {0x2a, 0x4d, 0x18};
    return s.n >= 4 && (memcmp(s.p, frame, 4) == 0 ||
                        ((s.p[0] & 0xf0) == 0x50 && memcmp(s.p + 1, skip, 3) == 0));
}

/* Of deflate, the only method that gzip has. */
static bool is_gzip(struct span s)
{
    static const uint8_t member[] = {0x1f, 0x8b, 8};
    return s.n >= 4 && memcmp(s.p, member, sizeof member) == 0;
}

static int start_gzip(struct zin *in, struct err *e)
{
    in->gzip = calloc(1, sizeof *in->gzip);
    if (in->gzip && inflateInit2(in->gzip, GZIP_WBITS) == Z_OK)
        return 0;
    free(in->gzip);
    in->gzip = NULL;
    return err_set(e, ERR_NOMEM, "no memory to decompress");
}

static int start(struct zin *in, struct err *e)
{
    while (in->source.n < 4 && !in->source_ended) {
        int rc = refill(in, e);
        if (rc < 0)
            return rc;
    }
    if (is_zstd(in->source)) {
        in->zstd = ZSTD_createDStream();
        if (!in->zstd)
            return err_set(e, ERR_NOMEM, "no memory to decompress");
        ZSTD_DCtx_setParameter(in->zstd, ZSTD_d_windowLogMax, ZIN_WINDOW_LOG);
    }
    return is_gzip(in->source) ? start_gzip(in, e) : 0;
}

static int open_common(struct zin **out, struct zin *in, struct err *e)
{
    in->line_max = ZIN_LINE_MAX;
    in->text_cap = TEXT_BYTES;
    in->text = malloc(in->text_cap);
    if (!in->text) {
        zin_close(in);
        return err_set(e, ERR_NOMEM, "no memory for lines");
    }
    int rc = start(in, e);
    if (rc < 0) {
        zin_close(in);
        return rc;
    }
    *out = in;
    return 0;
}

int zin_open(struct zin **out, const char *path, struct err *e)
{
    *out = NULL;
    struct zin *in = calloc(1, sizeof *in);
    if (!in || !(in->raw = malloc(RAW_BYTES))) {
        free(in);
        return err_set(e, ERR_NOMEM, "no memory to read '%s'", path);
    }
    in->source.p = in->raw;
    in->fd = strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (in->fd < 0) {
        int sys = errno;
        zin_close(in);
        return err_sys(e, sys, "opening '%s'", path);
    }
    return open_common(out, in, e);
}

int zin_open_bytes(struct zin **out, struct span bytes, struct err *e)
{
    *out = NULL;
    struct zin *in = calloc(1, sizeof *in);
    if (!in)
        return err_set(e, ERR_NOMEM, "no memory to read bytes");
    in->fd = -1;
    in->source = bytes;
    in->read = bytes.n;
    return open_common(out, in, e);
}

void zin_close(struct zin *in)
{
    if (!in)
        return;
    if (in->fd > STDIN_FILENO)
        close(in->fd);
    ZSTD_freeDStream(in->zstd);
    if (in->gzip)
        inflateEnd(in->gzip);
    free(in->gzip);
    free(in->raw);
    free(in->text);
    free(in);
}

/* Moves plain bytes to the text. */
static void copy(struct zin *in)
{
    size_t room = in->text_cap - in->to;
    size_t n = in->source.n < room ? in->source.n : room;
    if (n > 0)
        memcpy(in->text + in->to, in->source.p, n);
    in->to += n;
    in->source = span_sub(in->source, n, in->source.n);
    in->text_ended = in->source.n == 0 && in->source_ended;
}

/* From source, which ends at byte `at`, to the text. Sets in_frame. `dry`: nothing will
 * come any more, so what is held back must come out. */
static int from_zstd(struct zin *in, uint64_t at, bool dry, struct err *e)
{
    ZSTD_inBuffer from = {in->source.p, in->source.n, 0};
    ZSTD_outBuffer to = {in->text + in->to, in->text_cap - in->to, 0};
    size_t rc = ZSTD_decompressStream(in->zstd, &to, &from);
    if (ZSTD_isError(rc))
        return err_at(e, ERR_FORMAT, at, "broken zstd data (%s)",
                      ZSTD_getErrorName(rc));
    if (dry && rc != 0 && to.pos == 0)
        return err_at(e, ERR_TRUNCATED, at, "compressed data ends early");
    in->in_frame = rc != 0;
    in->source = span_sub(in->source, from.pos, in->source.n);
    in->to += to.pos;
    return 0;
}

/* The same; source and text are well below what a uInt holds. */
static int from_gzip(struct zin *in, uint64_t at, bool dry, struct err *e)
{
    z_stream *z = in->gzip;
    if (!in->in_frame)
        inflateReset(z); /* fails for streams that were never started alone */
    z->next_in = (Bytef *)(uintptr_t)in->source.p; /* only read */
    z->avail_in = (uInt)in->source.n;
    z->next_out = in->text + in->to;
    z->avail_out = (uInt)(in->text_cap - in->to);
    int rc = inflate(z, Z_NO_FLUSH);
    if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR)
        return err_at(e, rc == Z_MEM_ERROR ? ERR_NOMEM : ERR_FORMAT, at,
                      "broken gzip data (%s)", z->msg ? z->msg : zError(rc));
    size_t got = in->text_cap - in->to - z->avail_out;
    if (dry && rc != Z_STREAM_END && got == 0)
        return err_at(e, ERR_TRUNCATED, at, "compressed data ends early");
    in->in_frame = rc != Z_STREAM_END;
    in->source = span_sub(in->source, in->source.n - z->avail_in, in->source.n);
    in->to += got;
    return 0;
}

static int decompress(struct zin *in, struct err *e)
{
    uint64_t at = in->read - in->source.n;
    bool dry = in->source.n == 0; /* then the source has ended: see more_text */
    if (dry && !in->in_frame) {
        in->text_ended = true;
        return 0;
    }
    return in->zstd ? from_zstd(in, at, dry, e) : from_gzip(in, at, dry, e);
}

/* Plain bytes of a file need no stop on their way to the text. */
static int read_plain(struct zin *in, struct err *e)
{
    size_t room = in->text_cap - in->to;
    ssize_t n;
    do
        n = read(in->fd, in->text + in->to, room < RAW_BYTES ? room : RAW_BYTES);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return err_sys(e, errno, "reading at byte %llu", (unsigned long long)in->read);
    in->read += (uint64_t)n;
    in->to += (size_t)n;
    in->source_ended = in->text_ended = n == 0;
    return 0;
}

/* Gets more text behind in->to; there is room. */
static int more_text(struct zin *in, struct err *e)
{
    if (!in->zstd && !in->gzip && in->fd >= 0 && in->source.n == 0 && !in->source_ended)
        return read_plain(in, e);
    while (in->source.n == 0 && !in->source_ended) {
        int rc = refill(in, e);
        if (rc < 0)
            return rc;
    }
    if (in->zstd || in->gzip)
        return decompress(in, e);
    copy(in);
    return 0;
}

static void hand_out(struct zin *in, size_t end, size_t next, struct span *line)
{
    *line = span_of(in->text + in->from, end - in->from);
    if (in->line == 0 && span_starts(*line, "\xef\xbb\xbf"))
        *line = span_sub(*line, 3, line->n);
    if (line->n > 0 && line->p[line->n - 1] == '\r')
        line->n--;
    in->from = next;
    in->line++;
}

static void move_to_front(struct zin *in)
{
    if (in->from == 0)
        return;
    memmove(in->text, in->text + in->from, in->to - in->from);
    in->to -= in->from;
    in->from = 0;
}

/* Doubles the room for text: a line that is longer, and may be. */
static int widen(struct zin *in, struct err *e)
{
    uint8_t *text = realloc(in->text, 2 * in->text_cap);
    if (!text)
        return err_set(e, ERR_NOMEM, "no memory for a line of %zu bytes", in->text_cap);
    in->text = text;
    in->text_cap *= 2;
    return 0;
}

void zin_line_max(struct zin *in, size_t max)
{
    in->line_max = max;
}

int zin_line(struct zin *in, struct span *line, struct err *e)
{
    size_t searched = in->from;
    for (;;) {
        const uint8_t *end = searched < in->to
                                 ? memchr(in->text + searched, '\n', in->to - searched)
                                 : NULL;
        size_t at = end ? (size_t)(end - in->text) : in->to;
        if (at - in->from > in->line_max)
            return err_set(e, ERR_LIMIT, "line %llu is longer than %zu bytes",
                           (unsigned long long)in->line + 1, in->line_max);
        if (end) {
            hand_out(in, at, at + 1, line);
            return 1;
        }
        if (in->text_ended) {
            if (in->from == in->to)
                return 0;
            hand_out(in, at, at, line);
            return 1;
        }
        move_to_front(in);
        searched = in->to;
        int rc = in->to == in->text_cap ? widen(in, e) : 0;
        if (rc == 0)
            rc = more_text(in, e);
        if (rc < 0)
            return rc;
    }
}

uint64_t zin_line_number(const struct zin *in)
{
    return in->line;
}

int zin_peek(struct zin *in, size_t want, struct span *bytes, struct err *e)
{
    while (in->to - in->from < want && !in->text_ended) {
        if (in->text_cap - in->from < want || in->to == in->text_cap ||
            in->from >= RAW_BYTES) /* early, so that all stays in the cache */
            move_to_front(in);
        int rc = more_text(in, e);
        if (rc < 0)
            return rc;
    }
    *bytes = span_of(in->text + in->from, in->to - in->from);
    return 0;
}

int zin_skip(struct zin *in, uint64_t n, struct err *e)
{
    while (n > 0) {
        size_t step = in->to - in->from;
        if (step == 0) {
            struct span s;
            int rc = zin_peek(in, 1, &s, e);
            if (rc < 0)
                return rc;
            if (s.n == 0)
                return err_at(e, ERR_TRUNCATED, in->skipped, "input ends early");
            step = s.n;
        }
        if (n < step)
            step = (size_t)n;
        in->from += step;
        in->skipped += step;
        n -= step;
    }
    if (in->from == in->to)
        in->from = in->to = 0;
    return 0;
}

uint64_t zin_offset(const struct zin *in)
{
    return in->skipped;
}

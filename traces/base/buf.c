/*
 * buf.c - see buf.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/base/buf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUF_FIRST      64           /* smallest allocation */
#define BUF_READ_CHUNK (256 * 1024) /* of a file whose size is not known */

void buf_done(struct buf *b)
{
    free(b->p);
    *b = (struct buf){0};
}

void buf_reset(struct buf *b)
{
    b->n = 0;
    b->failed = false;
}

void buf_reserve(struct buf *b, size_t more)
{
    if (b->failed || more <= b->cap - b->n)
        return;
    if (more > BUF_MAX - b->n) {
        b->failed = true;
        return;
    }
    size_t cap = b->cap < BUF_FIRST ? BUF_FIRST : b->cap;
    while (cap < b->n + more)
        cap *= 2;
    uint8_t *p = realloc(b->p, cap);
    if (!p) {
        b->failed = true;
        return;
    }
    b->p = p;
    b->cap = cap;
}

uint8_t *buf_grow_more(struct buf *b, size_t n)
{
    buf_reserve(b, n ? n : 1);
    if (b->failed)
        return NULL;
    uint8_t *at = b->p + b->n;
    b->n += n;
    return at;
}

void buf_str(struct buf *b, const char *text)
{
    buf_add(b, text, strlen(text));
}

void buf_fmt(struct buf *b, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    char text[256];
    int n = vsnprintf(text, sizeof text, format, args);
    if (n < 0) {
        b->failed = true;
    } else if ((size_t)n < sizeof text) {
        buf_add(b, text, (size_t)n);
    } else {
        buf_reserve(b, (size_t)n + 1);
        if (!b->failed) {
            vsnprintf((char *)b->p + b->n, (size_t)n + 1, format, again);
            b->n += (size_t)n;
        }
    }
    va_end(again);
    va_end(args);
}

/* v as n little-endian bytes. */
static void add_le(struct buf *b, uint64_t v, size_t n)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < n; i++)
        bytes[i] = (uint8_t)(v >> (8 * i));
    buf_add(b, bytes, n);
}

void buf_u8(struct buf *b, uint8_t v)
{
    add_le(b, v, 1);
}

void buf_u16(struct buf *b, uint16_t v)
{
    add_le(b, v, 2);
}

void buf_u32(struct buf *b, uint32_t v)
{
    add_le(b, v, 4);
}

void buf_u64(struct buf *b, uint64_t v)
{
    add_le(b, v, 8);
}

void buf_u32_be(struct buf *b, uint32_t v)
{
    add_le(b, v >> 24 | (v >> 8 & 0xff00) | (v << 8 & 0xff0000) | v << 24, 4);
}

void buf_varint(struct buf *b, uint64_t v)
{
    uint8_t bytes[10];
    size_t n = 0;
    bool room = !b->failed && sizeof bytes < b->cap - b->n;
    uint8_t *at = room ? b->p + b->n : bytes;
    for (; v >= 0x80; v >>= 7)
        at[n++] = (uint8_t)(v | 0x80);
    at[n++] = (uint8_t)v;
    if (room)
        b->n += n;
    else
        buf_add(b, bytes, n);
}

void buf_zigzag(struct buf *b, int64_t v)
{
    uint64_t sign = v < 0 ? UINT64_MAX : 0;
    buf_varint(b, (uint64_t)v << 1 ^ sign);
}

void buf_zeros(struct buf *b, size_t n)
{
    uint8_t *at = buf_grow(b, n);
    if (at)
        memset(at, 0, n);
}

void buf_shift(struct buf *b, size_t n)
{
    if (n >= b->n) {
        b->n = 0;
        return;
    }
    if (n == 0)
        return;
    memmove(b->p, b->p + n, b->n - n);
    b->n -= n;
}

const char *buf_text(struct buf *b)
{
    buf_reserve(b, 1);
    if (b->failed)
        return "";
    b->p[b->n] = '\0';
    return (const char *)b->p;
}

int buf_check(const struct buf *b, struct err *e)
{
    if (!b->failed)
        return 0;
    return err_set(e, ERR_NOMEM, "out of memory after %zu bytes", b->n);
}

/* Reads fd to its end; what came is appended to b, and is more than max when the file
 * is. */
static int read_all(struct buf *b, int fd, size_t max, const char *name, struct err *e)
{
    struct stat st;
    size_t chunk = BUF_READ_CHUNK, got = 0;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size >= 0)
        chunk = (size_t)st.st_size + 1; /* one more, to meet the end in the same call */
    while (got <= max) {
        size_t ask = chunk < max - got + 1 ? chunk : max - got + 1;
        buf_reserve(b, ask);
        if (b->failed)
            return err_set(e, ERR_NOMEM, "out of memory while reading '%s'", name);
        ssize_t n = read(fd, b->p + b->n, ask);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(e, errno, "cannot read '%s'", name);
        if (n == 0)
            return 0;
        b->n += (size_t)n;
        got += (size_t)n;
        chunk = BUF_READ_CHUNK;
    }
    return err_set(e, ERR_LIMIT, "'%s' is larger than the limit of %zu bytes", name,
                   max);
}

int buf_read_file(struct buf *b, const char *path, size_t max, struct err *e)
{
    if (b->failed)
        return buf_check(b, e);
    bool is_stdin = strcmp(path, "-") == 0;
    const char *name = is_stdin ? "standard input" : path;
    int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(e, errno, "cannot open '%s'", name);
    size_t before = b->n;
    int rc = read_all(b, fd, max < BUF_MAX ? max : BUF_MAX - 1, name, e);
    if (rc < 0)
        b->n = before;
    if (!is_stdin)
        close(fd);
    return rc;
}

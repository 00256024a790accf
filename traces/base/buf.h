/*
 * buf.h - owned, growing bytes.
 *
 * A zeroed buf is a valid empty one. Appending never fails at once: running out of
 * memory or of BUF_MAX sets `failed`, later appends do nothing, and the caller asks
 * buf_check once when the whole thing is built. The bytes move when the buf grows:
 * borrow late.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_BASE_BUF_H
#define TRACES_BASE_BUF_H

#include "traces/base/err.h"
#include "traces/base/span.h"

#define BUF_MAX ((size_t)1 << 32)

struct buf {
    uint8_t *p;
    size_t n, cap;
    bool failed;
};

void buf_done(struct buf *b);  /* frees; b is zeroed */
void buf_reset(struct buf *b); /* empties, keeps memory, clears failed */
void buf_reserve(struct buf *b, size_t more);
uint8_t *buf_grow_more(struct buf *b, size_t n); /* buf_grow where there is no room */

/* n raw bytes at the end, or NULL. Here and below, what needs no more memory is inline:
 * that is nearly all of it. */
static inline uint8_t *buf_grow(struct buf *b, size_t n)
{
    if (b->failed || n >= b->cap - b->n)
        return buf_grow_more(b, n);
    uint8_t *at = b->p + b->n;
    b->n += n;
    return at;
}

static inline void buf_add(struct buf *b, const void *p, size_t n)
{
    uint8_t *at = n ? buf_grow(b, n) : NULL;
    if (at)
        memcpy(at, p, n);
}

static inline void buf_span(struct buf *b, struct span s)
{
    buf_add(b, s.p, s.n);
}

void buf_str(struct buf *b, const char *text);
void buf_fmt(struct buf *b, const char *format, ...) PRINTF_LIKE(2, 3);
void buf_u8(struct buf *b, uint8_t v);
void buf_u16(struct buf *b, uint16_t v);
void buf_u32(struct buf *b, uint32_t v);
void buf_u64(struct buf *b, uint64_t v);
void buf_u32_be(struct buf *b, uint32_t v);
void buf_varint(struct buf *b, uint64_t v);
void buf_zigzag(struct buf *b, int64_t v);
void buf_zeros(struct buf *b, size_t n);
/* Drops the first n bytes. O(what stays). */
void buf_shift(struct buf *b, size_t n);

static inline struct span buf_view(const struct buf *b) /* until the next append */
{
    return span_of(b->p, b->n);
}

/* NUL-terminated text, borrowed until the next append; "" when failed. */
const char *buf_text(struct buf *b);
/* 0, or ERR_NOMEM described in *e. */
int buf_check(const struct buf *b, struct err *e) MUST_USE;

/* The whole of a file ("-": standard input), appended to b. ERR_IO; ERR_LIMIT above
 * max. */
int buf_read_file(struct buf *b, const char *path, size_t max, struct err *e) MUST_USE;

#endif

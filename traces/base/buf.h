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
uint8_t *buf_grow(struct buf *b, size_t n); /* n raw bytes at the end, or NULL */
void buf_add(struct buf *b, const void *p, size_t n);
void buf_span(struct buf *b, struct span s);
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

struct span buf_view(const struct buf *b); /* borrowed until the next append */
/* NUL-terminated text, borrowed until the next append; "" when failed. */
const char *buf_text(struct buf *b);
/* 0, or ERR_NOMEM described in *e. */
int buf_check(const struct buf *b, struct err *e) MUST_USE;

/* The whole of a file ("-": standard input), appended to b. ERR_IO; ERR_LIMIT above
 * max. */
int buf_read_file(struct buf *b, const char *path, size_t max, struct err *e) MUST_USE;

#endif

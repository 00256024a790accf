/*
 * span.c - see span.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/base/span.h"

#include <string.h>

#define VARINT_MAX_BYTES 10

static uint8_t ascii_lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

void span_to_lower_any(uint8_t *p, size_t n)
{
    for (; n >= 8; p += 8, n -= 8)
        span_put_eight(p, span_lower_eight(span_eight(p)));
    for (size_t i = 0; i < n; i++)
        p[i] = ascii_lower(p[i]);
}

static uint64_t lower_at(const uint8_t *p)
{
    return span_lower_eight(span_eight(p));
}

bool span_same_nocase(struct span a, struct span b)
{
    size_t i = 0;
    if (a.n > 0 && (a.p[0] ^ b.p[0]) & ~('a' - 'A')) /* most are told apart by this */
        return false;
    for (; i + 8 <= a.n; i += 8)
        if (lower_at(a.p + i) != lower_at(b.p + i))
            return false;
    if (i > 0 && i < a.n) /* the last eight may overlap */
        return lower_at(a.p + a.n - 8) == lower_at(b.p + a.n - 8);
    for (; i < a.n; i++)
        if (ascii_lower(a.p[i]) != ascii_lower(b.p[i]))
            return false;
    return true;
}

size_t span_find(struct span s, uint8_t c, size_t from)
{
    if (from >= s.n)
        return s.n;
    const uint8_t *hit = memchr(s.p + from, c, s.n - from);
    return hit ? (size_t)(hit - s.p) : s.n;
}

bool span_u64(struct span s, uint64_t *value)
{
    uint64_t v = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
        uint64_t digit = (uint64_t)(s.p[i] - '0');
        if (v > (UINT64_MAX - digit) / 10)
            return false;
        v = v * 10 + digit;
    }
    if (s.n == 0)
        return false;
    *value = v;
    return true;
}

struct cursor cursor_of(struct span s)
{
    /* An empty span may have no address at all; one keeps the arithmetic below defined.
     */
    static const uint8_t nothing[1];
    const uint8_t *p = s.p ? s.p : nothing;
    return (struct cursor){.p = p, .end = p + s.n, .start = p};
}

size_t cursor_left(const struct cursor *c)
{
    return c->bad ? 0 : (size_t)(c->end - c->p);
}

size_t cursor_offset(const struct cursor *c)
{
    return (size_t)(c->p - c->start);
}

/* The next n bytes as a little-endian number, n <= 8. */
static uint64_t take_le(struct cursor *c, size_t n)
{
    struct span s = cursor_take(c, n);
    uint64_t v = 0;
    for (size_t i = s.n; i-- > 0;)
        v = v << 8 | s.p[i];
    return v;
}

static uint64_t take_be(struct cursor *c, size_t n)
{
    struct span s = cursor_take(c, n);
    uint64_t v = 0;
    for (size_t i = 0; i < s.n; i++)
        v = v << 8 | s.p[i];
    return v;
}

uint8_t cursor_u8(struct cursor *c)
{
    return (uint8_t)take_le(c, 1);
}

uint16_t cursor_u16(struct cursor *c)
{
    return (uint16_t)take_le(c, 2);
}

uint32_t cursor_u32(struct cursor *c)
{
    return (uint32_t)take_le(c, 4);
}

uint64_t cursor_u64(struct cursor *c)
{
    return take_le(c, 8);
}

uint16_t cursor_u16_be(struct cursor *c)
{
    return (uint16_t)take_be(c, 2);
}

uint32_t cursor_u32_be(struct cursor *c)
{
    return (uint32_t)take_be(c, 4);
}

uint64_t cursor_varint(struct cursor *c)
{
    uint64_t v = 0;
    size_t left = cursor_left(c);
    for (size_t i = 0; i < VARINT_MAX_BYTES && i < left; i++) {
        uint8_t byte = c->p[i];
        if (i == VARINT_MAX_BYTES - 1 && byte > 1)
            break; /* beyond 64 bits, or an eleventh byte */
        v |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (!(byte & 0x80)) {
            c->p += i + 1;
            return v;
        }
    }
    c->bad = true;
    return 0;
}

int64_t cursor_zigzag(struct cursor *c)
{
    uint64_t v = cursor_varint(c);
    return (int64_t)(v >> 1 ^ (~(v & 1) + 1));
}

struct span cursor_take(struct cursor *c, size_t n)
{
    if (c->bad || n > cursor_left(c)) {
        c->bad = true;
        return (struct span){0};
    }
    struct span s = span_of(c->p, n);
    c->p += n;
    return s;
}

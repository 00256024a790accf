/*
 * span.h - borrowed bytes, and a cursor that reads them without ever running past the
 * end.
 *
 * A span never owns. A zeroed span is the empty one. A cursor is sticky: after the
 * first read that does not fit it is `bad`, every later read gives zero or an empty
 * span, and the caller checks once at the end of a structure; its offset stays where
 * that read began. Values are little-endian unless named _be.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_BASE_SPAN_H
#define TRACES_BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct span {
    const uint8_t *p;
    size_t n;
};

#define SPAN_ARG(s)      (int)(s).n, (const char *)(s).p /* for printf's "%.*s" */
#define SPAN_LIT(string) ((struct span){(const uint8_t *)(string), sizeof(string) - 1})

/* The small ones are inline: they are most of what parsers do, and the length of a
 * literal is known when compiling. */
static inline struct span span_of(const void *p, size_t n)
{
    return (struct span){(const uint8_t *)p, n};
}

/* NULL gives the empty span. */
static inline struct span span_str(const char *text)
{
    return text ? span_of(text, strlen(text)) : (struct span){0};
}

static inline bool span_eq(struct span a, struct span b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool span_eq_str(struct span a, const char *text)
{
    return span_eq(a, span_str(text));
}

static inline uint64_t span_eight(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline void span_put_eight(uint8_t *p, uint64_t v)
{
    memcpy(p, &v, sizeof v);
}

/* Eight bytes of ASCII in lower case: adding carries into bit 7 of each byte that is at
 * least 'A', and of each that is above 'Z'. */
static inline uint64_t span_lower_eight(uint64_t v)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t low = v & ones * 0x7f;
    uint64_t upper =
        (low + ones * (0x80 - 'A')) & ~(low + ones * (0x7f - 'Z')) & ~v & ones * 0x80;
    return v | upper >> 2;
}

void span_to_lower_any(uint8_t *p, size_t n);

/* ASCII, in place. Nearly all names of headers have 4 to 16 letters: the first and the
 * last half of so many, which may overlap, are loaded before either is stored. */
static inline void span_to_lower(uint8_t *p, size_t n)
{
    if (n >= 8 && n <= 16) {
        uint64_t first = span_lower_eight(span_eight(p));
        uint64_t last = span_lower_eight(span_eight(p + n - 8));
        span_put_eight(p, first);
        span_put_eight(p + n - 8, last);
    } else if (n >= 4 && n < 8) {
        uint8_t both[8];
        memcpy(both, p, 4);
        memcpy(both + 4, p + n - 4, 4);
        span_put_eight(both, span_lower_eight(span_eight(both)));
        memcpy(p, both, 4);
        memcpy(p + n - 4, both + 4, 4);
    } else {
        span_to_lower_any(p, n);
    }
}

bool span_same_nocase(struct span a, struct span b); /* ASCII; of equal length */
static inline bool span_eq_nocase(struct span a, const char *text)
{
    struct span b = span_str(text);
    return a.n == b.n && span_same_nocase(a, b);
}

/* The part from (inclusive) to (exclusive); both are cut to the span. */
static inline struct span span_sub(struct span s, size_t from, size_t to)
{
    if (to > s.n)
        to = s.n;
    return from < to ? span_of(s.p + from, to - from) : (struct span){0};
}

static inline bool span_starts(struct span s, const char *prefix)
{
    size_t n = strlen(prefix);
    return s.n >= n && (n == 0 || memcmp(s.p, prefix, n) == 0);
}

static inline bool span_ends(struct span s, const char *suffix)
{
    size_t n = strlen(suffix);
    return s.n >= n && (n == 0 || memcmp(s.p + (s.n - n), suffix, n) == 0);
}

/* Index of the first c at or after from; s.n if there is none. */
size_t span_find(struct span s, uint8_t c, size_t from);

static inline bool span_blank(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Without ASCII blanks at both ends. */
static inline struct span span_trim(struct span s)
{
    while (s.n > 0 && span_blank(s.p[0])) {
        s.p++;
        s.n--;
    }
    while (s.n > 0 && span_blank(s.p[s.n - 1]))
        s.n--;
    return s.n > 0 ? s : (struct span){0};
}
/* A decimal number that fills the whole span; false when it is not one or overflows. */
bool span_u64(struct span s, uint64_t *value);

struct cursor {
    const uint8_t *p, *end;
    const uint8_t *start;
    bool bad;
};

struct cursor cursor_of(struct span s);
size_t cursor_left(const struct cursor *c);   /* 0 once bad */
size_t cursor_offset(const struct cursor *c); /* bytes read so far */
uint8_t cursor_u8(struct cursor *c);
uint16_t cursor_u16(struct cursor *c);
uint32_t cursor_u32(struct cursor *c);
uint64_t cursor_u64(struct cursor *c);
uint16_t cursor_u16_be(struct cursor *c);
uint32_t cursor_u32_be(struct cursor *c);
/* LEB128 of at most 64 bits; padding zeros are accepted within 10 bytes, as protobuf
 * does. */
uint64_t cursor_varint(struct cursor *c);
int64_t cursor_zigzag(struct cursor *c); /* a varint that folds the sign into bit 0 */
struct span cursor_take(struct cursor *c, size_t n);

#endif

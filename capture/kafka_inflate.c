/*
 * kafka_inflate.c - see kafka_inflate.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "capture/kafka_inflate.h"

#include <string.h>

#include <zlib.h>

#include "traces/wire/content_encoding.h"

static bool room(const struct buf *out, size_t n)
{
    return !out->failed && n <= CAP_KAFKA_INFLATED_MAX &&
           out->n <= CAP_KAFKA_INFLATED_MAX - n;
}

/* --- what Snappy and LZ4 have in common ------------------------------------------- */

/* n bytes that stand `back` bytes before the end; they may overlap what they make.
 * `from`: nothing before it may be meant. */
static bool repeat(struct buf *out, size_t from, size_t back, size_t n)
{
    if (back == 0 || back > out->n - from || !room(out, n))
        return false;
    size_t at = out->n - back;
    uint8_t *to = buf_grow(out, n);
    if (!to)
        return n == 0;
    for (size_t i = 0; i < n; i++)
        to[i] = out->p[at + i];
    return true;
}

static bool literal(struct buf *out, struct cursor *c, size_t n)
{
    struct span s = cursor_take(c, n);
    if (c->bad || !room(out, n))
        return false;
    buf_span(out, s);
    return !out->failed;
}

/* --- Snappy ------------------------------------------------------------------------
 */

/* One element of the raw format: its low two bits tell which. */
static bool snappy_element(struct cursor *c, struct buf *out, size_t from)
{
    unsigned tag = cursor_u8(c), kind = tag & 3;
    size_t n, back;
    switch (kind) {
    case 0:
        n = tag >> 2;
        if (n >= 60) { /* its length stands in the next 1 to 4 bytes */
            size_t bytes = n - 59;
            n = 0;
            for (size_t i = 0; i < bytes; i++)
                n |= (size_t)cursor_u8(c) << (8 * i);
        }
        return literal(out, c, n + 1);
    case 1:
        n = 4 + (tag >> 2 & 7);
        back = (size_t)(tag >> 5) << 8 | cursor_u8(c);
        break;
    case 2:
        n = 1 + (tag >> 2);
        back = cursor_u16(c);
        break;
    default:
        n = 1 + (tag >> 2);
        back = cursor_u32(c);
    }
    return !c->bad && repeat(out, from, back, n);
}

static bool snappy_block(struct span packed, struct buf *out)
{
    struct cursor c = cursor_of(packed);
    uint64_t n = cursor_varint(&c);
    size_t from = out->n;
    if (c.bad || n > CAP_KAFKA_INFLATED_MAX)
        return false;
    while (cursor_left(&c) > 0)
        if (!snappy_element(&c, out, from) || out->n - from > n)
            return false;
    return !c.bad && out->n - from == n;
}

static bool unsnappy(struct span packed, struct buf *out)
{
    static const uint8_t magic[8] = {0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0};
    if (packed.n < 16 || memcmp(packed.p, magic, sizeof magic) != 0)
        return snappy_block(packed, out);
    struct cursor c = cursor_of(span_sub(packed, 16, packed.n));
    while (cursor_left(&c) > 0) {
        size_t n = cursor_u32_be(&c);
        struct span block = cursor_take(&c, n);
        if (c.bad || !snappy_block(block, out))
            return false;
    }
    return true;
}

/* --- LZ4 ---------------------------------------------------------------------------
 */

static bool lz4_length(struct cursor *c, size_t *n)
{
    unsigned more = 255;
    if (*n < 15)
        return true;
    while (more == 255 && !c->bad && *n <= CAP_KAFKA_INFLATED_MAX)
        *n += more = cursor_u8(c);
    return !c->bad && *n <= CAP_KAFKA_INFLATED_MAX;
}

static bool lz4_block(struct span packed, struct buf *out, size_t from)
{
    struct cursor c = cursor_of(packed);
    while (cursor_left(&c) > 0) {
        unsigned token = cursor_u8(&c);
        size_t literals = token >> 4, match = token & 15;
        if (!lz4_length(&c, &literals) || !literal(out, &c, literals))
            return false;
        if (cursor_left(&c) == 0)
            return true; /* a block ends with literals */
        size_t back = cursor_u16(&c);
        if (!lz4_length(&c, &match) || c.bad || !repeat(out, from, back, match + 4))
            return false;
    }
    return false;
}

static bool lz4_frame(struct cursor *c, struct buf *out)
{
    size_t frame_from = out->n;
    if (cursor_u32(c) != 0x184D2204u)
        return false;
    unsigned flags = cursor_u8(c);
    cursor_u8(c); /* largest block */
    if (flags >> 6 != 1)
        return false;
    if (flags & 8)
        cursor_u64(c); /* content size */
    if (flags & 1)
        return false; /* a dictionary, which nobody has */
    cursor_u8(c);     /* header checksum */
    for (;;) {
        uint32_t size = cursor_u32(c);
        if (c->bad)
            return false;
        if (size == 0)
            break;
        struct span block = cursor_take(c, size & 0x7fffffffu);
        if (flags & 16)
            cursor_u32(c); /* block checksum */
        size_t from = flags & 32 ? out->n : frame_from;
        if (c->bad || !room(out, 0))
            return false;
        if (size >> 31) {
            struct cursor plain = cursor_of(block);
            if (!literal(out, &plain, block.n))
                return false;
        } else if (!lz4_block(block, out, from)) {
            return false;
        }
    }
    if (flags & 4)
        cursor_u32(c); /* content checksum */
    return !c->bad;
}

static bool unlz4(struct span packed, struct buf *out)
{
    struct cursor c = cursor_of(packed);
    bool good = packed.n > 0;
    while (good && cursor_left(&c) > 0)
        good = lz4_frame(&c, out);
    return good;
}

bool cap_kafka_inflate(unsigned codec, struct span packed, struct buf *out)
{
    switch (codec) {
    case CAP_KAFKA_GZIP:
        return gunzip(packed, CAP_KAFKA_INFLATED_MAX, out);
    case CAP_KAFKA_SNAPPY:
        return unsnappy(packed, out);
    case CAP_KAFKA_LZ4:
        return unlz4(packed, out);
    case CAP_KAFKA_ZSTD:
        return unzstd(packed, CAP_KAFKA_INFLATED_MAX, out);
    default:
        return false;
    }
}

uint32_t cap_kafka_crc32(struct span s)
{
    return (uint32_t)crc32_z(0, s.p, s.n);
}

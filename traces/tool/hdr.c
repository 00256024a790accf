/*
 * hdr.c - see hdr.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/tool/hdr.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "traces/tool/trc_print.h"

#define HALF_BITS   10 /* log2 of the buckets of an octave: 2 * 10^3 fits 2^(10 + 1) */
#define HALF        ((size_t)1 << HALF_BITS)
#define DIGITS      3
#define COOKIE      0x1c849313u /* V2: counts */
#define COOKIE_ZLIB 0x1c849314u /* V2: the same, compressed */
#define DOUBLE_ONE  0x3ff0000000000000u
#define LEAST_RANGE INT64_C(3600000000000) /* readers size their arrays by it: 1 h */

void hdr_done(struct hdr *h)
{
    free(h->counts);
    *h = (struct hdr){0};
}

void hdr_reset(struct hdr *h)
{
    if (h->size)
        memset(h->counts, 0, h->size * sizeof *h->counts);
    h->total = 0;
    h->max = 0;
}

size_t hdr_index(int64_t value)
{
    uint64_t v = (uint64_t)value;
    unsigned octave = (unsigned)(63 - __builtin_clzll(v | (2 * HALF - 1))) - HALF_BITS;
    return ((size_t)octave << HALF_BITS) + (size_t)(v >> octave);
}

int64_t hdr_value(size_t index)
{
    size_t octave = index < 2 * HALF ? 0 : (index >> HALF_BITS) - 1;
    return (int64_t)((uint64_t)(index - (octave << HALF_BITS)) << octave);
}

int hdr_add(struct hdr *h, int64_t value, struct err *e)
{
    size_t index = hdr_index(value);
    if (index >= h->size) {
        size_t size = (index / HALF + 1) * HALF;
        uint64_t *counts = realloc(h->counts, size * sizeof *counts);
        if (!counts)
            return err_set(e, ERR_NOMEM, "out of memory for a histogram");
        memset(counts + h->size, 0, (size - h->size) * sizeof *counts);
        h->counts = counts;
        h->size = size;
    }
    h->counts[index]++;
    h->total++;
    if (value > h->max)
        h->max = value;
    return 0;
}

static void put_u32(struct buf *b, uint32_t v)
{
    buf_u32_be(b, v);
}

static void put_u64(struct buf *b, uint64_t v)
{
    buf_u32_be(b, (uint32_t)(v >> 32));
    buf_u32_be(b, (uint32_t)v);
}

/* A zigzag number below 2^56 has at most 8 bytes, where the format's LEB128 (whose 9th
 * byte holds 8 bits) is the usual one. No file has so many records. */
static void put_counts(const struct hdr *h, struct buf *b)
{
    size_t end = h->total ? hdr_index(h->max) + 1 : 0;
    for (size_t i = 0; i < end;) {
        size_t zeros = 0;
        while (i + zeros < end && h->counts[i + zeros] == 0)
            zeros++;
        if (zeros > 1)
            buf_zigzag(b, -(int64_t)zeros);
        else
            buf_zigzag(b, (int64_t)h->counts[i]);
        i += zeros ? zeros : 1;
    }
}

static void put_plain(const struct hdr *h, struct buf *b)
{
    struct buf counts = {0};
    put_counts(h, &counts);
    put_u32(b, COOKIE);
    put_u32(b, (uint32_t)counts.n);
    put_u32(b, 0); /* normalizing index offset */
    put_u32(b, DIGITS);
    put_u64(b, 1); /* lowest discernible value */
    put_u64(b, (uint64_t)(h->max > LEAST_RANGE ? h->max : LEAST_RANGE));
    put_u64(b, DOUBLE_ONE); /* integer to double conversion ratio */
    buf_span(b, buf_view(&counts));
    b->failed |= counts.failed;
    buf_done(&counts);
}

int hdr_encode(const struct hdr *h, struct buf *out, struct err *e)
{
    struct buf plain = {0}, packed = {0};
    put_plain(h, &plain);
    uLongf n = compressBound((uLong)plain.n);
    put_u32(&packed, COOKIE_ZLIB);
    put_u32(&packed, 0); /* length, known below */
    uint8_t *to = buf_grow(&packed, n);
    int rc = buf_check(&plain, e);
    if (rc == 0)
        rc = buf_check(&packed, e);
    if (rc == 0 && compress2(to, &n, plain.p, (uLong)plain.n, Z_DEFAULT_COMPRESSION) !=
                       Z_OK) /* the output is large enough: only memory can fail */
        rc = err_set(e, ERR_NOMEM, "out of memory for zlib");
    if (rc == 0) {
        for (unsigned i = 0; i < 4; i++)
            packed.p[4 + i] = (uint8_t)(n >> (24 - 8 * i));
        trc_base64(span_of(packed.p, 8 + n), out);
    }
    buf_done(&plain);
    buf_done(&packed);
    return rc;
}

/*
 * hpack.c - see hpack.h. Section numbers are those of RFC 7541.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/wire/hpack.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "traces/wire/hpack_tables.h"

#define ENTRY_OVERHEAD 32u /* 4.1 */
#define RING_MIN       16u
/* An index this high points at nothing that any table in use could hold. */
#define INDEX_MAX (1u << 20)

void hpack_init(struct hpack *h, uint32_t limit_bytes)
{
    memset(h, 0, sizeof *h);
    h->limit_bytes = limit_bytes;
    h->max_bytes = HPACK_TABLE_INIT;
}

void hpack_done(struct hpack *h)
{
    free(h->ring);
    buf_done(&h->text);
    buf_done(&h->scratch);
    memset(h, 0, sizeof *h);
}

static void forget_all(struct hpack *h)
{
    h->text_at += h->text.n;
    buf_reset(&h->text);
    h->count = 0;
    h->bytes = 0;
}

void hpack_join(struct hpack *h)
{
    h->changes++;
    forget_all(h);
    buf_reset(&h->scratch);
    h->block = (struct span){0};
    h->joined = true;
}

size_t hpack_memory(const struct hpack *h)
{
    return h->ring_size * sizeof *h->ring + h->text.cap + h->scratch.cap;
}

/* --- the dynamic table ------------------------------------------------------------ */

static uint32_t table_max(const struct hpack *h)
{
    /* Joined: the true size is not known, and nothing depends on it. */
    return h->joined || h->max_bytes > HPACK_TABLE_MAX ? HPACK_TABLE_MAX : h->max_bytes;
}

static const struct hpack_entry *entry(const struct hpack *h, uint32_t age)
{
    return &h->ring[(h->newest - age) & (h->ring_size - 1)];
}

static struct span entry_name(const struct hpack *h, const struct hpack_entry *t)
{
    return (struct span){h->text.p + (t->at - h->text_at), t->name_bytes};
}

static struct span entry_value(const struct hpack *h, const struct hpack_entry *t)
{
    return (struct span){h->text.p + (t->at - h->text_at) + t->name_bytes,
                         t->value_bytes};
}

static void evict_to(struct hpack *h, uint32_t max)
{
    while (h->bytes > max) {
        assert(h->count > 0);
        const struct hpack_entry *t = entry(h, h->count - 1);
        h->bytes -= ENTRY_OVERHEAD + t->name_bytes + t->value_bytes;
        h->count--;
    }
    if (h->count == 0)
        forget_all(h);
}

/* Moves the living text to the front once the dead part is the larger one. */
static void compact(struct hpack *h)
{
    if (h->count == 0)
        return;
    size_t dead = (size_t)(entry(h, h->count - 1)->at - h->text_at);
    if (dead > 512 && dead > h->text.n / 2) {
        buf_shift(&h->text, dead);
        h->text_at += dead;
    }
}

static int make_place(struct hpack *h, struct err *e)
{
    if (h->count < h->ring_size)
        return 0;
    uint32_t size = h->ring_size ? h->ring_size * 2 : RING_MIN;
    struct hpack_entry *ring = malloc(size * sizeof *ring);
    if (!ring)
        return err_set(e, ERR_NOMEM, "no memory for a header table");
    for (uint32_t i = 0; i < h->count; i++)
        ring[i] = *entry(h, h->count - 1 - i);
    free(h->ring);
    h->ring = ring;
    h->ring_size = size;
    h->newest = h->count - 1; /* wraps to all ones when empty, as insert expects */
    return 0;
}

/* 4.4. The spans of f must not lie in the table. */
static int insert(struct hpack *h, const struct hpack_field *f, struct err *e)
{
    uint64_t size = (uint64_t)ENTRY_OVERHEAD + f->name.n + f->value.n;
    uint32_t max = table_max(h);
    h->changes++;
    if (size > max) { /* not an error: it empties the table */
        evict_to(h, 0);
        h->joined = h->joined || h->max_bytes > max;
        return 0;
    }
    uint32_t before = h->count;
    evict_to(h, max - (uint32_t)size);
    if (h->count < before && h->max_bytes > max)
        h->joined = true; /* the receiver still has what was evicted */
    compact(h);
    if (make_place(h, e) < 0)
        return ERR_NOMEM;
    struct hpack_entry *t = &h->ring[++h->newest & (h->ring_size - 1)];
    *t = (struct hpack_entry){
        .at = h->text_at + h->text.n,
        .name_bytes = (uint32_t)f->name.n,
        .value_bytes = (uint32_t)f->value.n,
        .flags = f->flags,
    };
    buf_reserve(&h->text, 1); /* so that even an empty entry has an address */
    buf_span(&h->text, f->name);
    buf_span(&h->text, f->value);
    h->count++;
    h->bytes += (uint32_t)size;
    return buf_check(&h->text, e);
}

/* What an index stands for (2.3.3); borrowed from the table. */
static int look_up(struct hpack *h, uint32_t index, struct hpack_field *f,
                   struct err *e)
{
    *f = (struct hpack_field){0};
    if (index == 0)
        return err_set(e, ERR_FORMAT, "header index 0");
    if (index <= HPACK_STATIC) {
        f->name = hpack_static[index - 1].name;
        f->value = hpack_static[index - 1].value;
        return 0;
    }
    uint32_t age = index - HPACK_STATIC - 1;
    if (age < h->count) {
        const struct hpack_entry *t = entry(h, age);
        f->name = entry_name(h, t);
        f->value = entry_value(h, t);
        f->flags = t->flags;
        return 0;
    }
    if (!h->joined || index > INDEX_MAX)
        return err_set(e, ERR_FORMAT, "header index %u points at nothing", index);
    f->flags = HPACK_NAME_UNKNOWN | HPACK_VALUE_UNKNOWN;
    return 0;
}

/* --- primitives ------------------------------------------------------------------- */

/* The rest of an integer whose prefix is full; values up to 32 bits in at most five
 * more bytes. */
static int take_long_integer(struct hpack *h, uint32_t mask, uint32_t *value,
                             struct err *e)
{
    struct span *s = &h->block;
    uint64_t sum = mask;
    size_t used = 1;
    bool more = true;
    for (unsigned shift = 0; more; shift += 7, used++) {
        if (used == s->n)
            return err_set(e, ERR_FORMAT, "header block ends inside an integer");
        if (shift > 28)
            return err_set(e, ERR_FORMAT, "integer over 32 bits in a header block");
        sum += (uint64_t)(s->p[used] & 127) << shift;
        if (sum > UINT32_MAX)
            return err_set(e, ERR_FORMAT, "integer over 32 bits in a header block");
        more = s->p[used] & 128;
        *value = (uint32_t)sum;
    }
    *s = span_sub(*s, used, s->n);
    return 0;
}

/* 5.1, with a prefix of `bits`. */
static inline int take_integer(struct hpack *h, unsigned bits, uint32_t *value,
                               struct err *e)
{
    uint32_t mask = (1u << bits) - 1;
    struct span *s = &h->block;
    if (s->n == 0)
        return err_set(e, ERR_FORMAT, "header block ends inside a field");
    *value = s->p[0] & mask;
    if (*value == mask)
        return take_long_integer(h, mask, value, e);
    *s = span_of(s->p + 1, s->n - 1);
    return 0;
}

/* The symbol whose code begins the 32 bits `window`, and its length; -1: none. */
static int huffman_symbol(uint32_t window, unsigned *bits)
{
    const struct hpack_huffman_quick *q = &hpack_huffman_quick[window >> 24];
    if (q->bits) {
        *bits = q->bits;
        return q->symbol;
    }
    for (unsigned b = 9; b <= HPACK_HUFFMAN_BITS; b++) {
        uint32_t code = window >> (32 - b);
        uint32_t count = (uint32_t)hpack_huffman_begin[b + 1] - hpack_huffman_begin[b];
        if (code - hpack_huffman_first[b] <
            count) { /* codes below it are shorter ones */
            *bits = b;
            return hpack_huffman_symbols[hpack_huffman_begin[b] + code -
                                         hpack_huffman_first[b]];
        }
    }
    return -1;
}

/* 5.2. Appends to out, which has room. */
static int huffman_decode(struct span in, struct buf *out, struct err *e)
{
    uint64_t bits = 0; /* left-aligned */
    unsigned have = 0;
    size_t at = 0;
    for (;;) {
        while (have <= 56 && at < in.n) {
            bits |= (uint64_t)in.p[at++] << (56 - have);
            have += 8;
        }
        /* Up to seven ones fill the last byte: the start of the end-of-string code. */
        if (have < 8 && bits >> (64 - 8) == (0xffu << (8 - have) & 0xffu))
            return 0;
        unsigned used = 0;
        int symbol = huffman_symbol((uint32_t)(bits >> 32), &used);
        if (symbol < 0 || symbol > 255 || used > have)
            return err_set(e, ERR_FORMAT, "bad Huffman code in a header");
        out->p[out->n++] = (uint8_t)symbol;
        bits <<= used;
        have -= used;
    }
}

/* A string (5.2): borrowed from the block, or appended to scratch, and then *decoded.
 */
static int take_string(struct hpack *h, struct span *s, bool *decoded, struct err *e)
{
    bool huffman = h->block.n && h->block.p[0] & 128;
    uint32_t n;
    int rc = take_integer(h, 7, &n, e);
    if (rc < 0)
        return rc;
    if (n > h->block.n)
        return err_set(e, ERR_FORMAT, "header string longer than its block");
    struct span raw = span_sub(h->block, 0, n);
    h->block = span_sub(h->block, n, h->block.n);
    *s = raw;
    *decoded = huffman;
    if (!huffman)
        return 0;
    size_t from = h->scratch.n;
    buf_reserve(&h->scratch, (size_t)n * 8 / 5 + 1); /* the shortest code has 5 bits */
    rc = buf_check(&h->scratch, e);
    if (rc < 0 || (rc = huffman_decode(raw, &h->scratch, e)) < 0)
        return rc;
    *s = span_sub(buf_view(&h->scratch), from, h->scratch.n);
    return 0;
}

/* --- fields ----------------------------------------------------------------------- */

static int take_literal(struct hpack *h, unsigned prefix_bits, bool index,
                        struct hpack_field *f, struct err *e)
{
    buf_reset(&h->scratch);
    uint32_t name_index;
    int rc = take_integer(h, prefix_bits, &name_index, e);
    if (rc < 0)
        return rc;
    *f = (struct hpack_field){0};
    bool name_decoded = false, value_decoded;
    if (name_index > HPACK_STATIC) {
        /* A copy: the table may move or lose it when this field is inserted. */
        if ((rc = look_up(h, name_index, f, e)) < 0)
            return rc;
        buf_span(&h->scratch, f->name);
        f->flags &= HPACK_NAME_UNKNOWN;
        name_decoded = true;
        rc = buf_check(&h->scratch, e);
    } else if (name_index) {
        rc = look_up(h, name_index, f, e);
    } else {
        rc = take_string(h, &f->name, &name_decoded, e);
    }
    size_t name_bytes = h->scratch.n;
    if (rc < 0 || (rc = take_string(h, &f->value, &value_decoded, e)) < 0)
        return rc;
    if (name_decoded) /* scratch may have moved */
        f->name = span_sub(buf_view(&h->scratch), 0, name_bytes);
    return index ? insert(h, f, e) : 0;
}

static int take_size_update(struct hpack *h, struct err *e)
{
    uint32_t size;
    if (!h->at_start)
        return err_set(e, ERR_FORMAT, "table size update behind a header");
    int rc = take_integer(h, 5, &size, e);
    if (rc < 0)
        return rc;
    if (size > h->limit_bytes)
        return err_set(e, ERR_FORMAT, "header table of %u bytes, %u are allowed", size,
                       h->limit_bytes);
    h->max_bytes = size;
    h->changes++;
    /* Joined, the size is known from here on: drop what its owner drops. */
    evict_to(h, size < HPACK_TABLE_MAX ? size : HPACK_TABLE_MAX);
    return 0;
}

void hpack_begin(struct hpack *h, struct span block)
{
    h->block = block;
    h->at_start = true;
}

int hpack_next(struct hpack *h, struct hpack_field *f, struct err *e)
{
    int rc;
    while (h->block.n && (h->block.p[0] & 0xe0) == 0x20)
        if ((rc = take_size_update(h, e)) < 0)
            return rc;
    if (h->block.n == 0)
        return 0;
    h->at_start = false;
    uint8_t first = h->block.p[0];
    if (first & 0x80) { /* 6.1 */
        uint32_t index;
        rc = take_integer(h, 7, &index, e);
        return rc < 0 || (rc = look_up(h, index, f, e)) < 0 ? rc : 1;
    }
    if (first & 0x40) /* 6.2.1 */
        rc = take_literal(h, 6, true, f, e);
    else /* 6.2.2, 6.2.3 */
        rc = take_literal(h, 4, false, f, e);
    if (rc < 0)
        return rc;
    if ((first & 0xf0) == 0x10)
        f->flags |= HPACK_NEVER_INDEXED;
    return 1;
}

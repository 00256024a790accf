/*
 * hpack_write.c - see hpack_write.h. Section numbers are those of RFC 7541.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/wire/hpack_write.h"

#include "traces/wire/hpack_tables.h"

#define ENTRY_OVERHEAD 32u /* 4.1 */

void hpack_writer_init(struct hpack_writer *w)
{
    w->count = w->text_bytes = w->bytes = 0;
    w->limit = HPACK_WRITER_MAX;
    w->tell = false;
    w->changes = 0;
}

void hpack_writer_limit(struct hpack_writer *w, uint32_t bytes)
{
    bytes = bytes < HPACK_WRITER_MAX ? bytes : HPACK_WRITER_MAX;
    if (bytes == w->limit)
        return;
    w->limit = bytes;
    w->tell = true;
}

/* --- primitives ------------------------------------------------------------------- */

/* 5.1: an integer with a prefix of `bits`, below the bits of `first`. */
static void put_integer(struct buf *out, uint8_t first, unsigned bits, size_t v)
{
    size_t mask = (1u << bits) - 1;
    if (v < mask) {
        buf_u8(out, (uint8_t)(first | v));
        return;
    }
    buf_u8(out, (uint8_t)(first | mask));
    for (v -= mask; v >= 128; v >>= 7)
        buf_u8(out, (uint8_t)(v | 128));
    buf_u8(out, (uint8_t)v);
}

void hpack_put_string(struct buf *out, struct span s)
{
    put_integer(out, 0, 7, s.n);
    buf_span(out, s);
}

/* --- the table -------------------------------------------------------------------- */

/* The index of a field with that name; *whole: with that value, too. 0: there is none.
 */
static uint32_t look_up(const struct hpack_writer *w, struct span name,
                        struct span value, bool *whole)
{
    uint32_t found = 0;
    *whole = true;
    for (uint32_t i = 0; i < HPACK_STATIC; i++) {
        if (!span_eq(hpack_static[i].name, name))
            continue;
        if (span_eq(hpack_static[i].value, value))
            return i + 1;
        found = found ? found : i + 1;
    }
    for (uint32_t i = 0; i < w->count; i++) {
        const uint8_t *p = w->text + w->entry[i].at;
        uint32_t name_bytes = w->entry[i].name_bytes;
        if (!span_eq(span_of(p, name_bytes), name))
            continue;
        uint32_t index = HPACK_STATIC + w->count - i;
        if (span_eq(span_of(p + name_bytes, w->entry[i].value_bytes), value))
            return index;
        found = found ? found : index;
    }
    *whole = false;
    return found;
}

static bool fits(const struct hpack_writer *w, struct span name, struct span value)
{
    size_t room = w->limit - w->bytes;
    return name.n <= room && value.n <= room &&
           ENTRY_OVERHEAD + name.n + value.n <= room;
}

static void insert(struct hpack_writer *w, struct span name, struct span value)
{
    w->entry[w->count].at = (uint16_t)w->text_bytes;
    w->entry[w->count].name_bytes = (uint16_t)name.n;
    w->entry[w->count].value_bytes = (uint16_t)value.n;
    w->count++;
    if (name.n > 0)
        memcpy(w->text + w->text_bytes, name.p, name.n);
    if (value.n > 0)
        memcpy(w->text + w->text_bytes + name.n, value.p, value.n);
    w->text_bytes += (uint32_t)(name.n + value.n);
    w->bytes += ENTRY_OVERHEAD + (uint32_t)(name.n + value.n);
    w->changes++;
}

/* --- blocks ----------------------------------------------------------------------- */

/* 4.2: the smallest size since the last block has to be said, and the present one. 0 is
 * never larger than that smallest, and leaves both sides with an empty table. */
void hpack_writer_begin(struct hpack_writer *w, struct buf *out)
{
    if (!w->tell)
        return;
    put_integer(out, 0x20, 5, 0);
    if (w->limit > 0)
        put_integer(out, 0x20, 5, w->limit);
    w->count = w->text_bytes = w->bytes = 0;
    w->tell = false;
    w->changes++;
}

void hpack_writer_field(struct hpack_writer *w, struct span name, struct span value,
                        enum hpack_keep keep, struct buf *out)
{
    bool whole;
    uint32_t index = look_up(w, name, value, &whole);

    if (index && whole) { /* 6.1 */
        put_integer(out, 0x80, 7, index);
        return;
    }
    bool kept = (keep == HPACK_KEEP_ALL || index == 0) && fits(w, name, value);
    put_integer(out, kept ? 0x40 : 0, kept ? 6 : 4, index); /* 6.2.1, 6.2.2 */
    if (index == 0)
        hpack_put_string(out, name);
    hpack_put_string(out, value);
    if (kept)
        insert(w, name, value);
}

bool hpack_writer_name(const struct hpack_writer *w, struct span name, struct buf *out)
{
    bool whole;
    uint32_t index = look_up(w, name, (struct span){0}, &whole);
    if (index == 0)
        return false;
    put_integer(out, 0, 4, index);
    return true;
}

/*
 * trc_column.c - see trc_column.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/container/trc_column.h"

#include <inttypes.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define FORM_CONSTANT 1u
#define FORM_SIGNED   2u
#define FORM_NULLABLE 4u
#define FORM_KNOWN    (FORM_CONSTANT | FORM_SIGNED | FORM_NULLABLE)

/* A column from this size on gets zstd blocks of its own: below, the tables cost more
 * than they save. */
#define CUT_FROM 2048

void trc_group_out_reset(struct trc_group_out *g)
{
    buf_reset(&g->raw);
    g->cut_count = 0;
}

void trc_group_out_done(struct trc_group_out *g)
{
    buf_done(&g->raw);
    buf_done(&g->scratch);
    *g = (struct trc_group_out){0};
}

static void cut(struct trc_group_out *g)
{
    size_t last = g->cut_count ? g->cuts[g->cut_count - 1] : 0;
    if (g->raw.n > last && g->cut_count < TRC_CUTS_MAX)
        g->cuts[g->cut_count++] = g->raw.n;
}

void trc_put_head(struct trc_group_out *g, unsigned id, bool required, size_t bytes)
{
    buf_varint(&g->raw, 2 * (uint64_t)id + (required ? 1 : 0));
    buf_varint(&g->raw, bytes);
}

void trc_put_bytes(struct trc_group_out *g, unsigned id, bool required,
                   struct span content)
{
    if (content.n >= CUT_FROM)
        cut(g);
    trc_put_head(g, id, required, content.n);
    buf_span(&g->raw, content);
    if (content.n >= CUT_FROM)
        cut(g);
}

static uint8_t *put_varint(uint8_t *p, uint64_t v)
{
    while (v >= 0x80) {
        *p++ = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    *p++ = (uint8_t)v;
    return p;
}

static uint64_t fold(int64_t v, unsigned form)
{
    if ((form & FORM_NULLABLE) && v == TRC_NULL)
        return 0;
    uint64_t u = (uint64_t)v;
    if (form & FORM_SIGNED)
        u = (u << 1) ^ (v < 0 ? UINT64_MAX : 0);
    return u + (form & FORM_NULLABLE ? 1 : 0);
}

static void put_ints(struct buf *out, const int64_t *values, size_t n)
{
    bool same = n > 0, null = false;
    int64_t least = 0;
    for (size_t i = 0; i < n; i++) {
        same &= values[i] == values[0];
        null |= values[i] == TRC_NULL;
        least = values[i] != TRC_NULL && values[i] < least ? values[i] : least;
    }
    unsigned form = (same ? FORM_CONSTANT : 0) | (least < 0 ? FORM_SIGNED : 0) |
                    (null ? FORM_NULLABLE : 0);
    size_t stored = same ? 1 : n;
    buf_u8(out, (uint8_t)form);
    buf_reserve(out, 10 * stored);
    if (out->failed)
        return;
    uint8_t *p = out->p + out->n;
    if (form == 0)
        for (size_t i = 0; i < stored; i++)
            p = put_varint(p, (uint64_t)values[i]);
    else
        for (size_t i = 0; i < stored; i++)
            p = put_varint(p, fold(values[i], form));
    out->n = (size_t)(p - out->p);
}

void trc_put_ints(struct trc_group_out *g, unsigned id, bool required,
                  const int64_t *values, size_t n, int64_t def)
{
    size_t i = 0;
    while (i < n && values[i] == def)
        i++;
    if (i == n)
        return;
    trc_put_prefixed(g, id, required, (struct span){0}, values, n);
}

void trc_put_prefixed(struct trc_group_out *g, unsigned id, bool required,
                      struct span prefix, const int64_t *values, size_t n)
{
    buf_reset(&g->scratch);
    buf_span(&g->scratch, prefix);
    put_ints(&g->scratch, values, n);
    if (g->scratch.failed)
        g->raw.failed = true;
    trc_put_bytes(g, id, required, buf_view(&g->scratch));
}

int trc_column_error(const struct trc_group *g, unsigned id, const char *reason,
                     struct err *e)
{
    return err_at(e, ERR_FORMAT, g->at, "%s: %s column %u: %s", g->block, g->name, id,
                  reason);
}

static bool is_known(const uint8_t *known, uint64_t id)
{
    for (; *known; known++)
        if (*known == id)
            return true;
    return false;
}

int trc_group_parse(struct trc_group *g, struct span raw, const uint8_t *known,
                    struct err *e)
{
    struct cursor c = cursor_of(raw);
    uint64_t last = 0;
    g->count = 0;
    for (unsigned seen = 0; cursor_left(&c) > 0; seen++) {
        uint64_t tag = cursor_varint(&c), id = tag >> 1, n = cursor_varint(&c);
        if (c.bad || n > cursor_left(&c))
            return err_at(e, ERR_FORMAT, g->at,
                          "%s: %s: a column runs past the end of its group", g->block,
                          g->name);
        struct span content = cursor_take(&c, (size_t)n);
        if (seen == TRC_COLUMNS_MAX)
            return err_at(e, ERR_LIMIT, g->at, "%s: %s: more than %u columns", g->block,
                          g->name, TRC_COLUMNS_MAX);
        if (id <= last)
            return err_at(e, ERR_FORMAT, g->at,
                          "%s: %s: column %" PRIu64 " after %" PRIu64, g->block,
                          g->name, id, last);
        last = id;
        if (is_known(known, id)) {
            g->columns[g->count].id = (unsigned)id;
            g->columns[g->count++].content = content;
        } else if (tag & 1) {
            return err_at(e, ERR_FORMAT, g->at,
                          "%s: %s: column %" PRIu64
                          " must be understood and is not known to this version",
                          g->block, g->name, id);
        }
    }
    return 0;
}

bool trc_group_find(const struct trc_group *g, unsigned id, struct span *content)
{
    for (unsigned i = 0; i < g->count; i++)
        if (g->columns[i].id == id) {
            *content = g->columns[i].content;
            return true;
        }
    *content = (struct span){0};
    return false;
}

/* One varint at *p, in front of end. */
static bool take_varint(const uint8_t **p, const uint8_t *end, uint64_t *v)
{
    struct cursor c = cursor_of(span_of(*p, (size_t)(end - *p)));
    *v = cursor_varint(&c);
    *p += cursor_offset(&c);
    return !c.bad;
}

static bool unfold(const struct trc_ints *it, uint64_t u, int64_t *v)
{
    if (it->nullable) {
        if (u == 0) {
            *v = TRC_NULL;
            return true;
        }
        u--;
    }
    if (it->is_signed) {
        *v = (int64_t)((u >> 1) ^ (0 - (u & 1)));
        return *v != INT64_MIN;
    }
    *v = (int64_t)u;
    return u <= INT64_MAX;
}

bool trc_ints_init(struct trc_ints *it, struct span content)
{
    *it = (struct trc_ints){.p = content.p, .end = content.p + content.n};
    if (content.n == 0)
        return false;
    unsigned form = *it->p++;
    it->constant = form & FORM_CONSTANT;
    it->is_signed = form & FORM_SIGNED;
    it->nullable = form & FORM_NULLABLE;
    if (form & ~FORM_KNOWN)
        return false;
    uint64_t u;
    return !it->constant ||
           (take_varint(&it->p, it->end, &u) && unfold(it, u, &it->value));
}

int trc_ints_open(struct trc_ints *it, const struct trc_group *g, unsigned id,
                  int64_t def, struct err *e)
{
    struct span content;
    if (!trc_group_find(g, id, &content)) {
        *it = (struct trc_ints){.constant = true, .value = def};
        return 0;
    }
    if (!trc_ints_init(it, content))
        return trc_column_error(g, id, "malformed integers", e);
    return 0;
}

static uint64_t load64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    v = __builtin_bswap64(v);
#endif
    return v;
}

#define WINDOW 64 /* bytes looked at together */
#define BATCH  64 /* values that are settled together */

/* Bit i: byte i of the window at p ends a varint, its top bit is clear. */
static uint64_t ends_of(const uint8_t *p)
{
    uint64_t ends = 0;
#ifdef __SSE2__
    for (unsigned i = 0; i < WINDOW; i += 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(p + i));
        ends |= (uint64_t)(~(unsigned)_mm_movemask_epi8(bytes) & 0xffff) << i;
    }
#else
    /* The product moves the lowest bit of each of eight bytes into the highest byte, no
     * two to one place. */
    for (unsigned i = 0; i < WINDOW; i += 8) {
        uint64_t low = ~load64(p + i) >> 7 & UINT64_C(0x0101010101010101);
        ends |= (low * UINT64_C(0x0102040810204080)) >> 56 << i;
    }
#endif
    return ends;
}

/* What a varint of n bytes keeps of the eight that were loaded. */
static const uint64_t seven_bits[9] = {
    0,
    UINT64_C(0x7f),
    UINT64_C(0x7f7f),
    UINT64_C(0x7f7f7f),
    UINT64_C(0x7f7f7f7f),
    UINT64_C(0x7f7f7f7f7f),
    UINT64_C(0x7f7f7f7f7f7f),
    UINT64_C(0x7f7f7f7f7f7f7f),
    UINT64_C(0x7f7f7f7f7f7f7f7f),
};

/* A window of varints of one byte each, and one of two bytes each. */
static void widen_ones(int64_t *restrict out, const uint8_t *restrict p)
{
    for (unsigned k = 0; k < WINDOW; k++)
        out[k] = p[k];
}

static void widen_pairs(int64_t *restrict out, const uint8_t *restrict p)
{
    for (unsigned k = 0; k < WINDOW / 2; k++)
        out[k] = (p[2 * k] & 0x7f) | (int64_t)p[2 * k + 1] << 8;
}

/* Plain varints of up to 8 bytes, while a window and what is loaded behind it are
 * there; the rest is read with care. Where varints end is found for a window at a time,
 * so that no length waits for, or is guessed from, the one before. What it gives is
 * still to be joined, seven bits of eight each: of 1 << *steps bytes at most. */
static size_t take_fast(struct trc_ints *it, int64_t *out, size_t n, unsigned *steps)
{
    const uint8_t *p = it->p;
    uint64_t beyond_2 = 0, beyond_4 = 0; /* bytes that so many of one varint follow */
    size_t i = 0;
    *steps = 0;
    while (i < n && it->end - p >= WINDOW + 8) {
        uint64_t ends = ends_of(p), on = ~ends;
        if (on == 0 && n - i >= WINDOW) {
            widen_ones(out + i, p);
            i += WINDOW;
            p += WINDOW;
            continue;
        }
        *steps = 1;
        if (ends == UINT64_C(0xaaaaaaaaaaaaaaaa) && n - i >= WINDOW / 2) {
            widen_pairs(out + i, p);
            i += WINDOW / 2;
            p += WINDOW;
            continue;
        }
        on &= on >> 1;
        beyond_2 |= on;
        beyond_4 |= on & on >> 2;
        unsigned from = 0, bytes = 0;
        for (; ends && i < n; ends &= ends - 1) {
            unsigned to = (unsigned)__builtin_ctzll(ends) + 1;
            bytes = to - from;
            if (bytes > 8)
                break;
            out[i++] = (int64_t)(load64(p + from) & seven_bits[bytes]);
            from = to;
        }
        p += from;
        if (bytes > 8 || from == 0)
            break;
    }
    *steps += (beyond_2 != 0 ? 1u : 0u) + (beyond_4 != 0 ? 1u : 0u);
    it->p = p;
    return i;
}

/* Groups of seven bits, moved together: pairs, then fours, then all eight. */
static inline void join(int64_t *values, unsigned steps, size_t n)
{
    if (steps == 1) {
        for (size_t i = 0; i < n; i++) {
            uint64_t v = (uint64_t)values[i];
            values[i] = (int64_t)((v & 0x7f) | (v & 0x7f00) >> 1);
        }
    } else if (steps == 2) {
        for (size_t i = 0; i < n; i++) {
            uint64_t v = (uint64_t)values[i];
            v = (v & UINT64_C(0x007f007f)) | (v & UINT64_C(0x7f007f00)) >> 1;
            values[i] = (int64_t)((v & 0x3fff) | (v & 0x3fff0000) >> 2);
        }
    } else if (steps == 3) {
        for (size_t i = 0; i < n; i++) {
            uint64_t v = (uint64_t)values[i];
            v = (v & UINT64_C(0x007f007f007f007f)) |
                (v & UINT64_C(0x7f007f007f007f00)) >> 1;
            v = (v & UINT64_C(0x00003fff00003fff)) |
                (v & UINT64_C(0x3fff00003fff0000)) >> 2;
            v = (v & UINT64_C(0x0fffffff)) | (v & UINT64_C(0x0fffffff00000000)) >> 4;
            values[i] = (int64_t)v;
        }
    }
}

/* unfold, of values below 2^56: they have room for all that it may give. */
static inline void unfold_all(const struct trc_ints *it, int64_t *values, size_t n)
{
    const unsigned shift = it->is_signed;
    const uint64_t one = it->nullable, sign = it->is_signed ? UINT64_MAX : 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t u = (uint64_t)values[i] - one;
        uint64_t none = u >> 63;
        u += none;
        u = (u >> shift) ^ ((0 - (u & 1)) & sign);
        values[i] = (int64_t)(u | none << 63); /* TRC_NULL is the top bit alone */
    }
}

/* What take_fast gave, made what it means. The length of a batch is said to the
 * compiler, which then takes several values at a time. */
static void settle(const struct trc_ints *it, unsigned steps, int64_t *v, size_t n)
{
    bool folded = it->is_signed || it->nullable;
    for (; n >= BATCH; v += BATCH, n -= BATCH) {
        join(v, steps, BATCH);
        if (folded)
            unfold_all(it, v, BATCH);
    }
    join(v, steps, n);
    if (folded)
        unfold_all(it, v, n);
}

bool trc_ints_take(struct trc_ints *it, int64_t *out, size_t n)
{
    if (it->constant) {
        for (size_t i = 0; i < n; i++)
            out[i] = it->value;
        return true;
    }
    for (size_t i = 0; i < n;) {
        unsigned steps;
        size_t got = take_fast(it, out + i, n - i, &steps);
        settle(it, steps, out + i, got);
        i += got;
        uint64_t u;
        if (i < n) {
            if (!take_varint(&it->p, it->end, &u) || !unfold(it, u, &out[i]))
                return false;
            i++;
        }
    }
    return true;
}

bool trc_ints_ended(const struct trc_ints *it)
{
    return it->p == it->end;
}

int trc_ints_all(const struct trc_group *g, unsigned id, int64_t def, int64_t *out,
                 size_t n, struct err *e)
{
    struct trc_ints it;
    int rc = trc_ints_open(&it, g, id, def, e);
    if (rc < 0)
        return rc;
    if (!trc_ints_take(&it, out, n))
        return trc_column_error(g, id, "malformed integers", e);
    return trc_ints_ended(&it) ? 0 : trc_column_error(g, id, "bytes left over", e);
}

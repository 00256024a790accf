/*
 * http1_known.c - see http1_known.h. What a line says depends on the line alone, but
 * for fields that frame the message; so those may not differ, and a length only where
 * it is the only one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/wire/http1_known.h"

#include <string.h>

#include "traces/wire/http1_own.h"

enum may_differ { NOTHING, VALUE, LENGTH };

/* --- what is remembered ----------------------------------------------------------- */

/* The place of a head, by bytes that tell paths, models and first fields apart. NULL:
 * it is too short to be worth it. */
static struct http1_known_head *place_of(struct http1_known *k, struct span bytes)
{
    const uint64_t odd = UINT64_C(0x9e3779b97f4a7c15);
    uint64_t a, b;
    if (bytes.n < 32)
        return NULL;
    memcpy(&a, bytes.p + 16, sizeof a);
    memcpy(&b, bytes.p + 24, sizeof b);
    uint64_t hash = ((a ^ b * odd) * odd) >> 32;
    return &k->heads[hash & (HTTP1_KNOWN_HEADS - 1)];
}

static struct http1_known_part part_of(struct span bytes, struct span part)
{
    if (part.n == 0)
        return (struct http1_known_part){0};
    return (struct http1_known_part){(uint16_t)(part.p - bytes.p), (uint16_t)part.n};
}

static enum may_differ may_differ(const struct op_header *f, uint32_t lengths,
                                  const uint8_t *line_end)
{
    const uint8_t *colon = f->name.p + f->name.n;
    bool usual =
        f->value.p == colon + 1 || (f->value.p == colon + 2 && colon[1] == ' ');
    if (!usual || f->value.p + f->value.n + 2 != line_end ||
        span_eq_nocase(f->name, "connection") || span_eq_nocase(f->name, "expect") ||
        span_eq_nocase(f->name, "transfer-encoding"))
        return NOTHING;
    if (span_eq_nocase(f->name, "content-length"))
        return lengths == 1 ? LENGTH : NOTHING;
    return VALUE;
}

static void remember(struct http1_known_head *k, struct span bytes,
                     const struct http1_head *h)
{
    uint32_t lengths = 0, n = h->field_count;
    k->bytes = 0;
    if (h->bytes > HTTP1_KNOWN_BYTES || n + 1 > HTTP1_KNOWN_LINES)
        return;
    for (uint32_t i = 0; i < n; i++)
        lengths += span_eq_nocase(h->fields[i].name, "content-length");
    const uint8_t *end = bytes.p + h->bytes - 2;
    k->lines[n] = (struct http1_known_line){.at = (uint16_t)(h->bytes - 2),
                                            .end = (uint16_t)h->bytes};
    for (uint32_t i = n; i-- > 0;) {
        const struct op_header *f = &h->fields[i];
        k->lines[i] = (struct http1_known_line){
            .at = (uint16_t)(f->name.p - bytes.p),
            .name_bytes = (uint16_t)f->name.n,
            .value = (uint16_t)(f->value.p - bytes.p),
            .value_bytes = (uint16_t)f->value.n,
            .end = (uint16_t)(end - bytes.p),
            .may_differ = (uint8_t)may_differ(f, lengths, end),
        };
        end = f->name.p;
    }
    k->line_count = n + 1;
    k->method = part_of(bytes, h->method);
    k->target = part_of(bytes, h->target);
    k->reason = part_of(bytes, h->reason);
    k->status = h->status;
    k->minor_version = h->minor_version;
    k->keep_alive = h->keep_alive;
    k->chunked = h->chunked;
    k->expect_continue = h->expect_continue;
    k->has_length = h->has_length;
    k->length = h->length;
    memcpy(k->text, bytes.p, h->bytes);
    k->bytes = (uint32_t)h->bytes;
}

/* --- what comes after ------------------------------------------------------------- */

static struct span span_from(const uint8_t *p, struct http1_known_part part)
{
    return part.n ? span_of(p + part.at, part.n) : (struct span){0};
}

static void begin(const struct http1_known_head *k, struct span bytes,
                  struct http1_head *h)
{
    h->method = span_from(bytes.p, k->method);
    h->target = span_from(bytes.p, k->target);
    h->reason = span_from(bytes.p, k->reason);
    h->status = k->status;
    h->minor_version = k->minor_version;
    h->keep_alive = k->keep_alive;
    h->chunked = k->chunked;
    h->expect_continue = k->expect_continue;
    h->has_length = k->has_length;
    h->length = k->length;
    h->field_count = k->line_count - 1;
}

/* The empty rest has an address too. */
static struct span skip(struct span s, size_t n)
{
    n = n < s.n ? n : s.n;
    return span_of(s.p + n, s.n - n);
}

/* Whether s begins with what the remembered text has from `from` to `to`. */
static bool is_same(const struct http1_known_head *k, struct span s, size_t from,
                    size_t to)
{
    return s.n >= to - from && memcmp(s.p, k->text + from, to - from) == 0;
}

/* Lines from the i-th to the j-th, or the start line and those, are not what they were:
 * finds the first that differs. False: it may not. s begins where `from` does. */
static bool find_differing(struct http1_known_head *k, struct span s, size_t from,
                           uint32_t i, uint32_t j)
{
    size_t first = k->lines[i].at;
    if (!is_same(k, s, from, first))
        return false;
    for (; i < j; i++) {
        struct http1_known_line *l = &k->lines[i];
        if (is_same(k, skip(s, l->at - from), l->at, l->end))
            continue;
        l->differs = l->may_differ != NOTHING;
        return l->differs;
    }
    return false;
}

/* A line with another value at the front of s: how many bytes it takes; 0: it is not
 * that, or wrong. */
static size_t other_value(const struct http1_known_head *k,
                          const struct http1_known_line *l, struct span s,
                          struct http1_head *h, struct op_header *f)
{
    size_t from = l->value - l->at;
    if (!is_same(k, s, l->at, l->value))
        return 0;
    size_t to = http1_value_end(s, from);
    if (to == 0)
        return 0;
    f->name = span_of(s.p, l->name_bytes);
    f->value = span_of(s.p + from, to - from);
    if (l->may_differ == LENGTH && !span_u64(f->value, &h->length))
        return 0;
    return to + 2;
}

/* Runs of lines that were always the same are compared in one go. */
static bool parse_as(struct http1_known_head *k, struct span bytes,
                     struct http1_head *h)
{
    size_t from = 0;       /* in the remembered text */
    struct span s = bytes; /* from there on */
    uint32_t i = 0, j;
    begin(k, bytes, h);
    for (;;) {
        for (j = i; j < k->line_count && !k->lines[j].differs;)
            j++;
        size_t to = j < k->line_count ? k->lines[j].at : k->bytes;
        if (!is_same(k, s, from, to)) {
            if (!find_differing(k, s, from, i, j))
                return false;
            continue;
        }
        for (; i < j && i < h->field_count; i++) {
            const struct http1_known_line *l = &k->lines[i];
            h->fields[i].name = span_of(s.p + (l->at - from), l->name_bytes);
            h->fields[i].value = span_of(s.p + (l->value - from), l->value_bytes);
        }
        s = skip(s, to - from);
        if (j == k->line_count)
            break;
        size_t n = other_value(k, &k->lines[j], s, h, &h->fields[j]);
        if (n == 0)
            return false;
        s = skip(s, n);
        from = k->lines[j].end;
        i = j + 1;
    }
    h->bytes = bytes.n - s.n;
    return true;
}

int http1_known_parse(struct http1_known *known, enum http1_kind kind,
                      struct span bytes, struct http1_head *h, struct err *e)
{
    struct http1_known_head *k = place_of(known, bytes);
    if (k && k->bytes && parse_as(k, bytes, h))
        return 0;
    int rc = http1_parse_head(kind, bytes, h, e);
    if (k && rc == 0)
        remember(k, bytes, h);
    return rc;
}

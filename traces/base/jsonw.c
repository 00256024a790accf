/*
 * jsonw.c - see jsonw.h. Writes RFC 8259; malformed UTF-8 is replaced as Unicode 15,
 * section 3.9 recommends: one U+FFFD for each maximal part of a broken sequence.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/base/jsonw.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void new_line(struct jsonw *w)
{
    if (!w->pretty)
        return;
    buf_u8(w->out, '\n');
    for (int i = 0; i < w->depth; i++)
        buf_str(w->out, "  ");
}

/* The comma and the line break in front of a member or an element. */
static void separate(struct jsonw *w)
{
    int top = w->depth - 1;
    if (w->has_member[top])
        buf_u8(w->out, ',');
    w->has_member[top] = true;
    new_line(w);
}

/* Called before every value. */
static void before_value(struct jsonw *w)
{
    if (w->after_key) {
        w->after_key = false;
        return;
    }
    if (w->depth == 0)
        return;
    assert(!w->in_object[w->depth - 1] && "a member of an object needs a key");
    separate(w);
}

static void open_level(struct jsonw *w, bool object)
{
    before_value(w);
    assert(w->depth < JSONW_DEPTH);
    w->in_object[w->depth] = object;
    w->has_member[w->depth] = false;
    w->depth++;
    buf_u8(w->out, object ? '{' : '[');
}

void jsonw_object(struct jsonw *w)
{
    open_level(w, true);
}

void jsonw_array(struct jsonw *w)
{
    open_level(w, false);
}

void jsonw_end(struct jsonw *w)
{
    assert(w->depth > 0 && !w->after_key);
    w->depth--;
    if (w->has_member[w->depth])
        new_line(w);
    buf_u8(w->out, w->in_object[w->depth] ? '}' : ']');
}

/* Length of the well-formed UTF-8 sequence at the start of s; if there is none, 0 and
 * *bad is the length of the part to replace. Unicode 15, table 3-7. */
static size_t utf8_length(struct span s, size_t *bad)
{
    uint8_t lead = s.p[0], low = 0x80, high = 0xbf;
    size_t more;
    *bad = 1;
    if (lead < 0x80)
        return 1;
    if (lead >= 0xc2 && lead <= 0xdf) {
        more = 1;
    } else if (lead >= 0xe0 && lead <= 0xef) {
        more = 2;
        low = lead == 0xe0 ? 0xa0 : 0x80;  /* no overlong forms */
        high = lead == 0xed ? 0x9f : 0xbf; /* no surrogates */
    } else if (lead >= 0xf0 && lead <= 0xf4) {
        more = 3;
        low = lead == 0xf0 ? 0x90 : 0x80;
        high = lead == 0xf4 ? 0x8f : 0xbf; /* nothing above U+10FFFF */
    } else {
        return 0;
    }
    for (size_t i = 1; i <= more; i++) {
        if (i >= s.n || s.p[i] < low || s.p[i] > high)
            return 0;
        *bad = i + 1;
        low = 0x80;
        high = 0xbf;
    }
    return more + 1;
}

static void escape(struct buf *out, uint8_t c)
{
    static const char letters[] = "\bb\ff\nn\rr\tt\"\"\\\\";
    for (size_t i = 0; i + 1 < sizeof letters; i += 2)
        if (c == (uint8_t)letters[i]) {
            buf_u8(out, '\\');
            buf_u8(out, (uint8_t)letters[i + 1]);
            return;
        }
    buf_fmt(out, "\\u%04x", c);
}

static void quoted(struct buf *out, struct span s)
{
    buf_u8(out, '"');
    size_t plain = 0; /* start of what may be copied as it is */
    for (size_t i = 0; i < s.n;) {
        size_t bad, n = utf8_length(span_of(s.p + i, s.n - i), &bad);
        uint8_t c = s.p[i];
        if (n > 0 && c >= 0x20 && c != '"' && c != '\\') {
            i += n;
            continue;
        }
        buf_span(out, span_sub(s, plain, i));
        if (n > 0)
            escape(out, c);
        else
            buf_str(out, "\xef\xbf\xbd");
        i += n > 0 ? n : bad;
        plain = i;
    }
    buf_span(out, span_sub(s, plain, s.n));
    buf_u8(out, '"');
}

void jsonw_key(struct jsonw *w, const char *key)
{
    assert(w->depth > 0 && w->in_object[w->depth - 1] && !w->after_key);
    separate(w);
    quoted(w->out, span_str(key));
    buf_str(w->out, w->pretty ? ": " : ":");
    w->after_key = true;
}

void jsonw_str(struct jsonw *w, const char *text)
{
    if (text)
        jsonw_span(w, span_str(text));
    else
        jsonw_null(w);
}

void jsonw_span(struct jsonw *w, struct span s)
{
    before_value(w);
    quoted(w->out, s);
}

void jsonw_i64(struct jsonw *w, int64_t v)
{
    before_value(w);
    buf_fmt(w->out, "%" PRId64, v);
}

void jsonw_u64(struct jsonw *w, uint64_t v)
{
    before_value(w);
    buf_fmt(w->out, "%" PRIu64, v);
}

/* Makes the decimal digits of a "%e" text one unit larger in the last place. False when
 * they are all nines. */
static bool next_decimal(char *text)
{
    char *p = strchr(text, 'e');
    while (p > text) {
        p--;
        if (*p >= '0' && *p < '9') {
            (*p)++;
            return true;
        }
        if (*p == '9')
            *p = '0';
    }
    return false;
}

/* The fewest digits that read back equal. Up to 15 digits always survive the way
 * through a normal double, so nothing shorter than what "%.15g" strips to can do;
 * subnormals hold fewer and are tried from 1 on. The nearest decimal of 16 digits is
 * the only candidate of that length, except at powers of two: there doubles lie twice
 * as dense below as above, and the next one up may read back although the nearest,
 * below, does not. */
static void shortest(double v, char *out, size_t size)
{
    for (int digits = fabs(v) < 0x1p-1022 ? 1 : 15; digits <= 16; digits++) {
        snprintf(out, size, "%.*g", digits, v);
        if (strtod(out, NULL) == v)
            return;
    }
    int exponent;
    if (fabs(frexp(v, &exponent)) == 0.5) {
        snprintf(out, size, "%.15e", v);
        if (next_decimal(out) && strtod(out, NULL) == v)
            return;
    }
    snprintf(out, size, "%.17g", v);
}

void jsonw_f64(struct jsonw *w, double v)
{
    before_value(w);
    if (isnan(v)) {
        buf_str(w->out, "null");
    } else if (isinf(v)) {
        buf_str(w->out, v > 0 ? "\"inf\"" : "\"-inf\"");
    } else {
        char text[40];
        shortest(v, text, sizeof text);
        buf_str(w->out, text);
    }
}

void jsonw_bool(struct jsonw *w, bool v)
{
    before_value(w);
    buf_str(w->out, v ? "true" : "false");
}

void jsonw_null(struct jsonw *w)
{
    before_value(w);
    buf_str(w->out, "null");
}

void jsonw_raw(struct jsonw *w, struct span json)
{
    before_value(w);
    buf_span(w->out, json);
}

void jsonw_key_str(struct jsonw *w, const char *key, const char *text)
{
    jsonw_key(w, key);
    jsonw_str(w, text);
}

void jsonw_key_i64(struct jsonw *w, const char *key, int64_t v)
{
    jsonw_key(w, key);
    jsonw_i64(w, v);
}

void jsonw_key_u64(struct jsonw *w, const char *key, uint64_t v)
{
    jsonw_key(w, key);
    jsonw_u64(w, v);
}

void jsonw_key_f64(struct jsonw *w, const char *key, double v)
{
    jsonw_key(w, key);
    jsonw_f64(w, v);
}

void jsonw_key_bool(struct jsonw *w, const char *key, bool v)
{
    jsonw_key(w, key);
    jsonw_bool(w, v);
}

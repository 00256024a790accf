/*
 * json_scan.c - a pull scanner for JSON, and exact numbers.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/payload/json_scan.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "traces/payload/pay_tensor.h"

void json_scan_init(struct json_scan *s, struct span text, struct arena *a,
                    struct err *e)
{
    *s = (struct json_scan){.arena = a, .e = e};
    s->start = s->p = text.p;
    s->end = text.n ? text.p + text.n : text.p;
}

size_t json_scan_at(const struct json_scan *s)
{
    return (size_t)(s->p - s->start);
}

int json_scan_fail(struct json_scan *s, enum err_code code, size_t at,
                   const char *format, ...)
{
    if (s->rc == 0) {
        char text[160];
        va_list args;
        va_start(args, format);
        vsnprintf(text, sizeof text, format, args);
        va_end(args);
        s->rc = err_at(s->e, code, at, "%s", text);
        s->p = s->end;
    }
    return s->rc;
}

static bool fail_here(struct json_scan *s, const char *what)
{
    json_scan_fail(s, ERR_FORMAT, json_scan_at(s), "%s", what);
    return false;
}

static void skip_blanks(struct json_scan *s)
{
    while (s->p < s->end &&
           (*s->p == ' ' || *s->p == '\n' || *s->p == '\r' || *s->p == '\t'))
        s->p++;
}

static bool take_char(struct json_scan *s, uint8_t c)
{
    skip_blanks(s);
    if (s->p >= s->end || *s->p != c)
        return false;
    s->p++;
    return true;
}

enum json_kind json_scan_peek(struct json_scan *s)
{
    skip_blanks(s);
    if (s->rc != 0 || s->p >= s->end) {
        fail_here(s, "unexpected end of JSON");
        return JSON_KIND_BAD;
    }
    switch (*s->p) {
    case '{':
        return JSON_KIND_OBJECT;
    case '[':
        return JSON_KIND_ARRAY;
    case '"':
        return JSON_KIND_STRING;
    case 't':
        return JSON_KIND_TRUE;
    case 'f':
        return JSON_KIND_FALSE;
    case 'n':
        return JSON_KIND_NULL;
    default:
        if (*s->p == '-' || (*s->p >= '0' && *s->p <= '9'))
            return JSON_KIND_NUMBER;
        fail_here(s, "not a JSON value");
        return JSON_KIND_BAD;
    }
}

/* --- objects and arrays ------------------------------------------------------ */

bool json_scan_open(struct json_scan *s, enum json_kind kind)
{
    assert(kind == JSON_KIND_OBJECT || kind == JSON_KIND_ARRAY);
    if (json_scan_peek(s) != kind)
        return fail_here(s, kind == JSON_KIND_OBJECT ? "not a JSON object"
                                                     : "not a JSON array");
    if (s->depth == JSON_DEPTH_MAX) {
        json_scan_fail(s, ERR_LIMIT, json_scan_at(s), "JSON nested deeper than %d",
                       JSON_DEPTH_MAX);
        return false;
    }
    s->p++;
    s->depth++;
    s->fresh = true;
    return true;
}

/* Whether another member or element comes; takes its comma, or the closing bracket. */
static bool another(struct json_scan *s, uint8_t close)
{
    if (s->rc != 0)
        return false;
    bool first = s->fresh;
    s->fresh = false;
    if (take_char(s, close)) {
        s->depth--;
        return false;
    }
    if (first || take_char(s, ','))
        return true;
    return fail_here(s, s->p >= s->end ? "unexpected end of JSON"
                        : close == '}' ? "expected ',' or '}'"
                                       : "expected ',' or ']'");
}

bool json_scan_member(struct json_scan *s, struct span *key)
{
    if (!another(s, '}'))
        return false;
    skip_blanks(s);
    if (s->p < s->end && *s->p != '"')
        return fail_here(s, "expected a member name");
    if (!json_scan_string(s, key))
        return false;
    return take_char(s, ':') || fail_here(s, "expected ':'");
}

bool json_scan_element(struct json_scan *s)
{
    return another(s, ']');
}

/* --- strings ----------------------------------------------------------------- */

static int hex4(const uint8_t *p)
{
    int v = 0;
    for (int i = 0; i < 4; i++) {
        int c = p[i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0)
            return -1;
        v = v << 4 | digit;
    }
    return v;
}

static size_t put_utf8(uint8_t *out, uint32_t c)
{
    if (c < 0x80) {
        out[0] = (uint8_t)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (uint8_t)(0xc0 | c >> 6);
        out[1] = (uint8_t)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (uint8_t)(0xe0 | c >> 12);
        out[1] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
        out[2] = (uint8_t)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (uint8_t)(0xf0 | c >> 18);
    out[1] = (uint8_t)(0x80 | (c >> 12 & 0x3f));
    out[2] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
    out[3] = (uint8_t)(0x80 | (c & 0x3f));
    return 4;
}

/* The code point of a \u escape whose digits begin at p; a surrogate needs its other
 * half. Moves *p behind it. -1: not one. */
static int32_t take_unicode(const uint8_t **p, const uint8_t *end)
{
    if (end - *p < 4)
        return -1;
    int32_t c = hex4(*p);
    *p += 4;
    if (c < 0xd800 || c > 0xdfff)
        return c;
    if (c > 0xdbff || end - *p < 6 || (*p)[0] != '\\' || (*p)[1] != 'u')
        return -1;
    int32_t low = hex4(*p + 2);
    *p += 6;
    if (low < 0xdc00 || low > 0xdfff)
        return -1;
    return 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
}

/* Unescapes raw (what stands between the quotes) into out, which has raw.n bytes: no
 * escape is shorter than what it stands for. Returns the length; *fault is the offset
 * of the escape that is none, or raw.n. */
static size_t unescape(struct span raw, uint8_t *out, size_t *fault)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const uint8_t *p = raw.p, *end = raw.p + raw.n;
    size_t n = 0;
    *fault = raw.n;
    while (p < end) {
        if (*p != '\\') {
            out[n++] = *p++;
            continue;
        }
        const uint8_t *at = p++;
        const char *known = memchr(from, *p, sizeof from - 1);
        int32_t c = -1;
        if (known) {
            c = to[known - from];
            p++;
        } else if (*p == 'u') {
            p++;
            c = take_unicode(&p, end);
        }
        if (c < 0) {
            *fault = (size_t)(at - raw.p);
            break;
        }
        n += put_utf8(out + n, (uint32_t)c);
    }
    return n;
}

/* Finds the closing quote. raw is what stands before it, which is checked for control
 * characters and UTF-8. */
static bool take_quoted(struct json_scan *s, struct span *raw, bool *escaped)
{
    const uint8_t *from = ++s->p;
    bool ascii = true;
    *escaped = false;
    for (;; s->p++) {
        if (s->p >= s->end)
            return fail_here(s, "string without an end");
        if (*s->p == '"')
            break;
        if (*s->p < 0x20)
            return fail_here(s, "control character in a string");
        if (*s->p >= 0x80)
            ascii = false;
        if (*s->p == '\\') {
            *escaped = true;
            if (s->end - s->p < 2)
                return fail_here(s, "string without an end");
            s->p++;
        }
    }
    *raw = span_of(from, (size_t)(s->p++ - from));
    if (ascii)
        return true;
    size_t fault = pay_utf8_fault(*raw);
    if (fault == raw->n)
        return true;
    json_scan_fail(s, ERR_FORMAT, (size_t)(from - s->start) + fault,
                   "string is not UTF-8");
    return false;
}

bool json_scan_string(struct json_scan *s, struct span *text)
{
    if (json_scan_peek(s) != JSON_KIND_STRING)
        return fail_here(s, "not a JSON string");
    bool escaped;
    if (!take_quoted(s, text, &escaped))
        return false;
    if (!escaped)
        return true;
    struct span raw = *text;
    size_t fault, offset = (size_t)(raw.p - s->start);
    uint8_t *out = arena_alloc(s->arena, raw.n);
    if (!out) {
        json_scan_fail(s, ERR_NOMEM, offset, "out of memory for a string");
        return false;
    }
    *text = span_of(out, unescape(raw, out, &fault));
    if (fault == raw.n)
        return true;
    json_scan_fail(s, ERR_FORMAT, offset + fault, "bad escape in a string");
    return false;
}

/* --- numbers, words, skipping ------------------------------------------------ */

static size_t take_digits(struct json_scan *s)
{
    const uint8_t *from = s->p;
    while (s->p < s->end && *s->p >= '0' && *s->p <= '9')
        s->p++;
    return (size_t)(s->p - from);
}

bool json_scan_number(struct json_scan *s, struct span *digits)
{
    if (json_scan_peek(s) != JSON_KIND_NUMBER)
        return fail_here(s, "not a JSON number");
    const uint8_t *from = s->p;
    bool ok;
    if (*s->p == '-')
        s->p++;
    if (s->p < s->end && *s->p == '0') {
        s->p++;
        ok = true;
    } else {
        ok = take_digits(s) > 0;
    }
    if (ok && s->p < s->end && *s->p == '.') {
        s->p++;
        ok = take_digits(s) > 0;
    }
    if (ok && s->p < s->end && (*s->p == 'e' || *s->p == 'E')) {
        s->p++;
        if (s->p < s->end && (*s->p == '+' || *s->p == '-'))
            s->p++;
        ok = take_digits(s) > 0;
    }
    /* "012" and "1x" must not pass as a number followed by something. */
    if (!ok || (s->p < s->end && ((*s->p >= '0' && *s->p <= '9') || *s->p == '.' ||
                                  *s->p == '-' || *s->p == '+')))
        return fail_here(s, "malformed number");
    *digits = span_of(from, (size_t)(s->p - from));
    if (digits->n <= JSON_NUMBER_MAX)
        return true;
    json_scan_fail(s, ERR_LIMIT, (size_t)(from - s->start),
                   "number of more than %d characters", JSON_NUMBER_MAX);
    return false;
}

static bool take_word(struct json_scan *s, const char *word)
{
    struct span left = span_of(s->p, (size_t)(s->end - s->p));
    if (!span_starts(left, word))
        return fail_here(s, "not a JSON value");
    s->p += strlen(word);
    return true;
}

bool json_scan_bool(struct json_scan *s, bool *value)
{
    enum json_kind kind = json_scan_peek(s);
    if (kind != JSON_KIND_TRUE && kind != JSON_KIND_FALSE)
        return fail_here(s, "neither true nor false");
    *value = kind == JSON_KIND_TRUE;
    return take_word(s, *value ? "true" : "false");
}

/* Takes a value that is not an object or array. */
static bool skip_leaf(struct json_scan *s, enum json_kind kind)
{
    struct span text;
    switch (kind) {
    case JSON_KIND_STRING:
        return json_scan_string(s, &text);
    case JSON_KIND_NUMBER:
        return json_scan_number(s, &text);
    case JSON_KIND_TRUE:
        return take_word(s, "true");
    case JSON_KIND_FALSE:
        return take_word(s, "false");
    case JSON_KIND_NULL:
        return take_word(s, "null");
    default:
        return false;
    }
}

bool json_scan_skip(struct json_scan *s)
{
    bool in_object[JSON_DEPTH_MAX + 1];
    int outer = s->depth;
    struct span key;
    do {
        enum json_kind kind = json_scan_peek(s);
        if (kind == JSON_KIND_OBJECT || kind == JSON_KIND_ARRAY) {
            if (!json_scan_open(s, kind))
                return false;
            in_object[s->depth] = kind == JSON_KIND_OBJECT;
        } else if (!skip_leaf(s, kind)) {
            return false;
        }
        /* Leave what ends here, until a value comes or the outermost is done. */
        while (s->depth > outer && !(in_object[s->depth] ? json_scan_member(s, &key)
                                                         : json_scan_element(s)))
            if (s->rc != 0)
                return false;
    } while (s->depth > outer);
    return s->rc == 0;
}

int json_scan_end(struct json_scan *s)
{
    skip_blanks(s);
    if (s->rc == 0 && s->p < s->end)
        fail_here(s, "something follows the JSON text");
    return s->rc;
}

/* --- what numbers mean ------------------------------------------------------- */

static const double powers_of_ten[] = {
    1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
};

/* A number as significand * 10^exponent, its trailing zeros moved into the exponent.
 * exact: the significand is all of it. */
struct decimal {
    bool negative, exact;
    uint64_t significand;
    int64_t exponent;
};

static struct decimal decimal_of(struct span digits)
{
    struct decimal d = {.exact = true};
    const uint8_t *p = digits.p, *end = digits.p + digits.n;
    bool point = false;
    if (p < end && *p == '-') {
        d.negative = true;
        p++;
    }
    for (; p < end && *p != 'e' && *p != 'E'; p++) {
        if (*p == '.') {
            point = true;
            continue;
        }
        uint64_t digit = *p - (uint64_t)'0';
        if (d.significand > (UINT64_MAX - digit) / 10) {
            d.exact = false;
            return d;
        }
        d.significand = d.significand * 10 + digit;
        d.exponent -= point;
    }
    if (p < end) {
        bool minus = p[1] == '-';
        int64_t exponent = 0;
        for (p += 1 + (p[1] == '-' || p[1] == '+'); p < end && exponent < 100000; p++)
            exponent = exponent * 10 + (*p - '0');
        d.exponent += minus ? -exponent : exponent;
    }
    if (d.significand == 0)
        d.exponent = 0;
    for (; d.exponent < 0 && d.significand != 0 && d.significand % 10 == 0;
         d.exponent++)
        d.significand /= 10;
    return d;
}

/* The magnitude when it is whole and fits. */
static bool decimal_whole(struct decimal d, uint64_t *magnitude)
{
    if (!d.exact || d.exponent < 0)
        return false;
    *magnitude = d.significand;
    for (; d.exponent > 0; d.exponent--)
        if (__builtin_mul_overflow(*magnitude, 10, magnitude))
            return false;
    return true;
}

bool json_number_i64(struct span digits, int64_t *v)
{
    struct decimal d = decimal_of(digits);
    uint64_t magnitude;
    if (!decimal_whole(d, &magnitude) ||
        magnitude > (uint64_t)INT64_MAX + (d.negative ? 1 : 0))
        return false;
    *v = (int64_t)(d.negative ? 0 - magnitude : magnitude);
    return true;
}

bool json_number_u64(struct span digits, uint64_t *v)
{
    struct decimal d = decimal_of(digits);
    return decimal_whole(d, v) && (!d.negative || *v == 0);
}

double json_number_f64(struct span digits)
{
    struct decimal d = decimal_of(digits);
    /* Both operands are exact doubles, so the one operation rounds correctly (Clinger
     * 1990). */
    if (d.exact && d.significand <= UINT64_C(1) << 53 && d.exponent >= -22 &&
        d.exponent <= 22) {
        double v = (double)d.significand;
        v = d.exponent < 0 ? v / powers_of_ten[-d.exponent]
                           : v * powers_of_ten[d.exponent];
        return d.negative ? -v : v;
    }
    char text[JSON_NUMBER_MAX + 1];
    assert(digits.n <= JSON_NUMBER_MAX);
    memcpy(text, digits.p, digits.n);
    text[digits.n] = '\0';
    return strtod(text, NULL);
}

/*
 * text.c - see text.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "analysis/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "traces/base/units.h"

#define RED    "\033[31m"
#define GREEN  "\033[32m"
#define YELLOW "\033[33m"
#define BOLD   "\033[1m"
#define PLAIN  "\033[0m"

const char *const ana_wait_words[OUT_WAIT_COUNT] = {"", "a free connection or stream",
                                                    "its own connection", "connecting",
                                                    "its turn (--catch-up)"};

size_t ana_utf8(const char *text)
{
    const unsigned char *s = (const unsigned char *)text;
    size_t n = s[0] < 0x80   ? 1
               : s[0] < 0xc2 ? 0
               : s[0] < 0xe0 ? 2
               : s[0] < 0xf0 ? 3
                             : 4;
    if (s[0] > 0xf4)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
        (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
        return 0;
    return n;
}

size_t ana_text_width(const char *s)
{
    size_t width = 0;
    for (; *s; s++)
        width += ((unsigned char)*s & 0xc0) != 0x80;
    return width;
}

/* One character of a name; gives the number of bytes it took. */
static size_t put_safe(struct buf *out, const char *s)
{
    size_t n = ana_utf8(s);
    bool control =
        (unsigned char)s[0] < 0x20 || s[0] == 0x7f ||
        (n == 2 && (unsigned char)s[0] == 0xc2 && (unsigned char)s[1] < 0xa0);
    if (n == 0 || control) {
        buf_str(out, "?");
        return n ? n : 1;
    }
    buf_add(out, s, n);
    return n;
}

void ana_text_name(struct buf *out, const char *name, size_t max)
{
    size_t width = 0, keep_left = max / 2, at = 0;
    struct buf safe = {0};

    for (const char *s = name; *s;)
        s += put_safe(&safe, s);
    const char *text = buf_text(&safe);
    width = ana_text_width(text);
    size_t skip_to = width > max ? width - (max - keep_left - 1) : 0;
    for (const char *s = text; *s; at++) {
        size_t n = ana_utf8(s);
        if (width <= max || at < keep_left || at >= skip_to)
            buf_add(out, s, n);
        else if (at == keep_left)
            buf_str(out, "~");
        s += n;
    }
    buf_done(&safe);
}

void ana_text_cell(struct buf *out, const char *text, size_t width, bool right)
{
    size_t have = ana_text_width(text), pad = have < width ? width - have : 0;
    buf_fmt(out, "%*s%s%*s", right ? (int)pad : 0, "", text, right ? 0 : (int)pad, "");
}

void ana_text_wrap(struct buf *out, const char *text, size_t at, size_t indent,
                   size_t width)
{
    bool first = true;
    while (*text) {
        size_t n = strcspn(text, " ");
        char word[512];
        snprintf(word, sizeof word, "%.*s", (int)(n < 511 ? n : 511), text);
        size_t w = ana_text_width(word);
        if (!first && at + 1 + w > width) {
            buf_fmt(out, "\n%*s", (int)indent, "");
            at = indent;
        } else if (!first) {
            buf_str(out, " ");
            at++;
        }
        buf_str(out, word);
        at += w;
        first = false;
        text += n + (text[n] == ' ');
    }
    buf_str(out, "\n");
}

void ana_text_verdict(struct buf *out, enum ana_verdict v, bool colour)
{
    const char *paint = v == ANA_REGRESSED || v == ANA_INVALID ? RED
                        : v == ANA_INCONCLUSIVE                ? YELLOW
                                                               : GREEN;
    buf_fmt(out, "%s%s%s%s", colour ? BOLD : "", colour ? paint : "",
            ana_verdict_names[v], colour ? PLAIN : "");
}

void ana_text_health(struct buf *out, enum ana_health h, bool colour)
{
    const char *paint = h == ANA_UNFIT ? RED : h == ANA_DEGRADED ? YELLOW : GREEN;
    buf_fmt(out, "%s%s%s", colour ? paint : "", ana_health_names[h],
            colour ? PLAIN : "");
}

char *ana_ns_text(int64_t ns, char out[ANA_NS_TEXT_MAX])
{
    if (ns == ANA_INF)
        snprintf(out, ANA_NS_TEXT_MAX, "inf");
    else if (ns == ANA_NONE)
        snprintf(out, ANA_NS_TEXT_MAX, "-");
    else
        units_duration_text(ns, out);
    return out;
}

char *ana_quantile_text(const struct ana_run *run, const struct ana_latency *l,
                        uint32_t p, char out[ANA_NS_TEXT_MAX])
{
    enum ana_estimable est = ana_estimable(l->d.n, p);
    if (est == ANA_NOT_ESTIMABLE)
        return ana_ns_text(ANA_NONE, out);
    ana_ns_text(ana_quantile_at(run, l, p), out);
    if (est == ANA_SHOWN)
        strncat(out, "*", ANA_NS_TEXT_MAX - strlen(out) - 1);
    return out;
}

static void signed_number(double v, const char *unit, char out[ANA_NS_TEXT_MAX])
{
    double a = fabs(v);
    int decimals = a < 9.995 ? 2 : a < 99.95 ? 1 : 0;
    if (isinf(v))
        snprintf(out, ANA_NS_TEXT_MAX, "%cinf", v > 0 ? '+' : '-');
    else if (a >= 1e6)
        snprintf(out, ANA_NS_TEXT_MAX, "%+.2e%s", v, unit);
    else
        snprintf(out, ANA_NS_TEXT_MAX, "%+.*f%s", decimals, v, unit);
}

char *ana_percent_text(double log_ratio, char out[ANA_NS_TEXT_MAX])
{
    if (log_ratio ==
        -INFINITY) /* a baseline that is infinitely slow: all of it is gained */
        snprintf(out, ANA_NS_TEXT_MAX, "-100 %%");
    else
        signed_number(100 * expm1(log_ratio), " %", out);
    return out;
}

char *ana_points_text(double difference, char out[ANA_NS_TEXT_MAX])
{
    signed_number(100 * difference, " pp", out);
    return out;
}

bool ana_text_colour(void)
{
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
    return isatty(STDOUT_FILENO) && !(no && *no) && term && strcmp(term, "dumb") != 0;
}

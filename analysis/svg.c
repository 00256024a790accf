/*
 * svg.c - see svg.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "analysis/svg.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "analysis/text.h"

#define TICKS_MAX 12

/* --- text ------------------------------------------------------------------------- */

void ana_escape(struct buf *out, const char *text)
{
    while (*text) {
        size_t n = ana_utf8(text);
        unsigned char c = (unsigned char)*text;
        bool control = (c < 0x20 && c != '\n' && c != '\t') || c == 0x7f ||
                       (c == 0xc2 && (unsigned char)text[1] < 0xa0);
        if (n == 0 || control)
            buf_str(out, "\xef\xbf\xbd");
        else if (c == '<')
            buf_str(out, "&lt;");
        else if (c == '>')
            buf_str(out, "&gt;");
        else if (c == '&')
            buf_str(out, "&amp;");
        else if (c == '"')
            buf_str(out, "&quot;");
        else if (c == '\'')
            buf_str(out, "&#39;");
        else
            buf_add(out, text, n);
        text += n ? n : 1;
    }
}

/* --- scales ----------------------------------------------------------------------- */

double ana_place(const struct ana_scale *s, double v)
{
    double low = s->log ? log10(s->low) : s->low,
           high = s->log ? log10(s->high) : s->high;
    double at = s->log ? log10(v) : v;
    return s->from + (at - low) / (high - low) * (s->to - s->from);
}

bool ana_within(const struct ana_scale *s, double v)
{
    return v >= s->low && v <= s->high;
}

static double step_for(double span, int most)
{
    double step = pow(10, floor(log10(span / most)));
    static const double by[] = {1, 2, 5, 10};
    for (int i = 0; i < 4; i++)
        if (span / (step * by[i]) <= most)
            return step * by[i];
    return step * 10;
}

void ana_nice(struct ana_scale *s, double low, double high)
{
    if (s->log) {
        double a = pow(10, floor(log10(low))), b = pow(10, floor(log10(high)));
        s->low = low >= 5 * a ? 5 * a : low >= 2 * a ? 2 * a : a;
        s->high = high <= b       ? b
                  : high <= 2 * b ? 2 * b
                  : high <= 5 * b ? 5 * b
                                  : 10 * b;
        if (s->high <= s->low)
            s->high = s->low * 10;
        return;
    }
    if (!(high > low))
        high = low + (low != 0 ? fabs(low) : 1);
    double step = step_for(high - low, 6);
    s->low = floor(low / step + 1e-9) * step;
    s->high = ceil(high / step - 1e-9) * step;
}

/* Values of the grid lines: 1, 2, 5 per decade (or decades alone), or even steps. */
static size_t ticks_of(const struct ana_scale *s, double out[TICKS_MAX])
{
    size_t n = 0;
    if (!s->log) {
        double step = step_for(s->high - s->low, 6);
        long first = lround(ceil(s->low / step - 1e-9));
        for (long k = first;
             n < TICKS_MAX && (double)k * step <= s->high * (1 + 1e-12) + step * 1e-9;
             k++)
            out[n++] = (double)k * step;
        return n;
    }
    double decades = log10(s->high / s->low);
    for (double ten = pow(10, floor(log10(s->low))); ten <= s->high; ten *= 10)
        for (int i = 0; i < 3; i++) {
            double v = ten * (i == 0 ? 1 : i == 1 ? 2 : 5);
            if ((i > 0 && decades > 3) || v < s->low * 0.999 || v > s->high * 1.001)
                continue;
            if (n < TICKS_MAX)
                out[n++] = v;
        }
    return n;
}

/* --- elements --------------------------------------------------------------------- */

void ana_svg_open(struct ana_svg *s, unsigned id, const char *title,
                  const char *description)
{
    buf_fmt(s->out,
            "<svg viewBox=\"0 0 %.0f %.0f\" role=\"img\" aria-labelledby=\"t%u d%u\">\n"
            "<title id=\"t%u\">",
            s->width, s->height, id, id, id);
    ana_escape(s->out, title);
    buf_fmt(s->out, "</title><desc id=\"d%u\">", id);
    ana_escape(s->out, description);
    buf_str(s->out, "</desc>\n");
    s->x.from = s->left;
    s->x.to = s->width - s->right;
    s->y.from = s->height - s->bottom;
    s->y.to = s->top;
}

void ana_svg_close(struct ana_svg *s)
{
    buf_str(s->out, "</svg>\n");
}

static void put_hint(struct buf *out, const char *tag, const char *hint)
{
    if (!hint) {
        buf_str(out, "/>\n");
        return;
    }
    buf_str(out, "><title>");
    ana_escape(out, hint);
    buf_fmt(out, "</title></%s>\n", tag);
}

void ana_svg_line(const struct ana_svg *s, const char *class, double x1, double y1,
                  double x2, double y2)
{
    buf_fmt(s->out,
            "<line class=\"%s\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>\n",
            class, x1, y1, x2, y2);
}

void ana_svg_rect(const struct ana_svg *s, const char *class, double x, double y,
                  double w, double h, const char *hint)
{
    if (w < 0) {
        x += w;
        w = -w;
    }
    buf_fmt(s->out,
            "<rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"",
            class, x, y, w, h);
    put_hint(s->out, "rect", hint);
}

void ana_svg_dot(const struct ana_svg *s, const char *class, double x, double y,
                 double r, const char *hint)
{
    buf_fmt(s->out, "<circle class=\"%s\" cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\"", class, x,
            y, r);
    put_hint(s->out, "circle", hint);
}

void ana_svg_text(const struct ana_svg *s, const char *class, double x, double y,
                  const char *anchor, const char *text)
{
    buf_fmt(s->out, "<text class=\"%s\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">",
            class, x, y, anchor);
    ana_escape(s->out, text);
    buf_str(s->out, "</text>\n");
}

/* --- axes ------------------------------------------------------------------------- */

void ana_svg_y_tick(const struct ana_svg *s, double value, const char *label)
{
    double y = ana_place(&s->y, value);
    ana_svg_line(s, "grid", s->x.from, y, s->x.to, y);
    ana_svg_text(s, "tick", s->x.from - 8, y + 4, "end", label);
}

void ana_svg_y_axis(const struct ana_svg *s, ana_label_fn *label, const char *name)
{
    double ticks[TICKS_MAX];
    size_t n = ticks_of(&s->y, ticks);
    char text[64];

    for (size_t i = 0; i < n; i++) {
        label(ticks[i], text, sizeof text);
        ana_svg_y_tick(s, ticks[i], text);
    }
    ana_svg_text(s, "name", s->x.from, s->top - 10, "start", name);
}

void ana_svg_x_tick(const struct ana_svg *s, double value, const char *label)
{
    double x = ana_place(&s->x, value);
    ana_svg_line(s, "grid", x, s->y.from, x, s->y.to);
    ana_svg_text(s, "tick", x, s->y.from + 18, "middle", label);
}

void ana_svg_x_name(const struct ana_svg *s, const char *name)
{
    ana_svg_text(s, "name", (s->x.from + s->x.to) / 2, s->y.from + 38, "middle", name);
}

void ana_svg_x_axis(const struct ana_svg *s, ana_label_fn *label, const char *name)
{
    double ticks[TICKS_MAX];
    size_t n = ticks_of(&s->x, ticks);
    char text[64];

    for (size_t i = 0; i < n; i++) {
        label(ticks[i], text, sizeof text);
        ana_svg_x_tick(s, ticks[i], text);
    }
    ana_svg_x_name(s, name);
}

/* --- lines and bands ----------------------------------------------------------------
 */

static double clamped(const struct ana_scale *s, double v)
{
    return ana_place(s, v < s->low ? s->low : v > s->high ? s->high : v);
}

void ana_svg_path(const struct ana_svg *s, const char *class, const double *x,
                  const double *y, size_t n, const char *hint)
{
    bool open = false;

    buf_fmt(s->out, "<path class=\"%s\" d=\"", class);
    for (size_t i = 0; i < n; i++) {
        bool next = i + 1 < n && isfinite(y[i + 1]);
        if (isnan(y[i]) || (isinf(y[i]) && !open && !next)) {
            open = false;
            continue;
        }
        buf_fmt(s->out, "%c%.1f %.1f", open ? 'L' : 'M', clamped(&s->x, x[i]),
                clamped(&s->y, y[i]));
        open = isfinite(y[i]) || next;
    }
    buf_str(s->out, "\"");
    put_hint(s->out, "path", hint);
}

void ana_svg_band(const struct ana_svg *s, const char *class, const double *x,
                  const double *low, const double *high, size_t n)
{
    for (size_t from = 0; from < n;) {
        size_t to = from;
        while (to < n && isfinite(low[to]) && isfinite(high[to]))
            to++;
        if (to - from > 1) {
            buf_fmt(s->out, "<path class=\"%s\" d=\"M", class);
            for (size_t i = from; i < to; i++)
                buf_fmt(s->out, "%.1f %.1fL", clamped(&s->x, x[i]),
                        clamped(&s->y, high[i]));
            for (size_t i = to; i-- > from;)
                buf_fmt(s->out, "%.1f %.1f%s", clamped(&s->x, x[i]),
                        clamped(&s->y, low[i]), i > from ? "L" : "Z");
            buf_str(s->out, "\"/>\n");
        }
        from = to > from ? to : from + 1;
    }
}

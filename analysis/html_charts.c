/*
 * html_charts.c - drawings that both reports use; see html.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "analysis/html.h"

#define WIDTH  1000
#define HEIGHT 400

void ana_label_seconds(double v, char *out, size_t size)
{
    double a = fabs(v);
    if (a >= 1 || a == 0)
        snprintf(out, size, "%.3g s", v);
    else if (a >= 1e-3)
        snprintf(out, size, "%.3g ms", v * 1e3);
    else if (a >= 1e-6)
        snprintf(out, size, "%.3g \xc2\xb5s", v * 1e6);
    else
        snprintf(out, size, "%.3g ns", v * 1e9);
}

void ana_label_percent(double v, char *out, size_t size)
{
    double percent = 100 * expm1(v);
    snprintf(out, size, fabs(percent) < 0.005 ? "0 %%" : "%+.3g %%", percent);
}

void ana_curve_seconds(const struct ana_run *run, enum ana_metric metric,
                       double out[ANA_CURVE])
{
    uint64_t n = run->all.latency[metric].d.n;
    for (size_t i = 0; i < ANA_CURVE; i++) {
        int64_t v = run->curve[metric][i];
        bool beyond = n > 0 && ana_beyond(n, ana_curve_p(i)) >= 1;
        out[i] = v < 0 || !beyond ? NAN : v == ANA_INF ? INFINITY : (double)v / 1e9;
    }
}

size_t ana_curve_trusted(uint64_t n)
{
    size_t i = 0;
    while (i < ANA_CURVE && ana_estimable(n, ana_curve_p(i)) == ANA_JUDGED)
        i++;
    return i;
}

static void limits(const struct ana_line *lines, size_t n, size_t points, double *low,
                   double *high)
{
    *low = INFINITY;
    *high = -INFINITY;
    for (size_t k = 0; k < n; k++)
        for (size_t i = 0; i < points; i++) {
            double v = lines[k].y[i];
            if (!isfinite(v) || v <= 0)
                continue;
            *low = fmin(*low, v);
            *high = fmax(*high, v);
        }
}

void ana_nines_axis(const struct ana_svg *s)
{
    static const struct {
        double nines;
        const char *label;
    } ticks[] = {{0, "0"},      {0.30103, "50 %"}, {1, "90 %"},    {2, "99 %"},
                 {3, "99.9 %"}, {4, "99.99 %"},    {5, "99.999 %"}};
    for (size_t i = 0; i < sizeof ticks / sizeof *ticks; i++)
        if (ana_within(&s->x, ticks[i].nines))
            ana_svg_x_tick(s, ticks[i].nines, ticks[i].label);
}

/* The last point at which any line has a value: the axis ends there. */
static double last_nines(const struct ana_line *lines, size_t n)
{
    size_t last = 20;
    for (size_t k = 0; k < n; k++)
        for (size_t i = 0; i < ANA_CURVE; i++)
            if (!isnan(lines[k].y[i]) && i > last)
                last = i;
    return 0.05 * (double)last;
}

static void draw_lines(const struct ana_svg *s, const struct ana_line *lines, size_t n,
                       const double *x, size_t points)
{
    for (size_t k = 0; k < n; k++)
        ana_svg_path(s, lines[k].class, x, lines[k].y, points, lines[k].hint);
}

void ana_html_percentiles(struct buf *out, unsigned id, const char *title,
                          const char *description, const struct ana_line *lines,
                          size_t n, size_t trusted)
{
    struct ana_svg s = {.out = out,
                        .width = WIDTH,
                        .height = HEIGHT,
                        .left = 74,
                        .right = 20,
                        .top = 32,
                        .bottom = 52};
    double x[ANA_CURVE], low, high;

    limits(lines, n, ANA_CURVE, &low, &high);
    if (!(low <= high)) {
        buf_str(out, "<p class=\"lead\">There is nothing to draw.</p>\n");
        return;
    }
    for (size_t i = 0; i < ANA_CURVE; i++)
        x[i] = 0.05 * (double)i;
    buf_str(out, "<div class=\"chart\">");
    ana_svg_open(&s, id, title, description);
    s.x.low = 0;
    s.x.high = last_nines(lines, n);
    s.y.log = true;
    ana_nice(&s.y, low, high);
    if (trusted < ANA_CURVE && x[trusted] < s.x.high) {
        double from = ana_place(&s.x, x[trusted]);
        ana_svg_rect(&s, "dim", from, s.y.to, s.x.to - from, s.y.from - s.y.to, NULL);
        ana_svg_text(&s, "soft", s.x.to - 6, s.y.from - 8, "end", "few observations");
    }
    ana_svg_y_axis(&s, ana_label_seconds, "latency, logarithmic");
    ana_nines_axis(&s);
    ana_svg_x_name(&s, "share of operations that were at least as fast");
    draw_lines(&s, lines, n, x, ANA_CURVE);
    ana_svg_close(&s);
    buf_str(out, "</div>\n");
}

void ana_html_timeline(struct buf *out, unsigned id, const char *title,
                       const char *description, const struct ana_line *lines, size_t n,
                       size_t blocks, double span)
{
    struct ana_svg s = {.out = out,
                        .width = WIDTH,
                        .height = 300,
                        .left = 74,
                        .right = 20,
                        .top = 32,
                        .bottom = 52};
    double x[ANA_BLOCKS], low, high;

    limits(lines, n, blocks, &low, &high);
    if (!(low <= high) || !(span > 0)) {
        buf_str(out, "<p class=\"lead\">There is nothing to draw.</p>\n");
        return;
    }
    for (size_t i = 0; i < blocks; i++)
        x[i] = ((double)i + 0.5) / (double)blocks * span;
    buf_str(out, "<div class=\"chart\">");
    ana_svg_open(&s, id, title, description);
    s.x.low = 0;
    s.x.high = span;
    s.y.log = true;
    ana_nice(&s.y, low, high);
    ana_svg_y_axis(&s, ana_label_seconds, "latency, logarithmic");
    ana_svg_x_axis(&s, ana_label_seconds, "time of the run");
    draw_lines(&s, lines, n, x, blocks);
    ana_svg_close(&s);
    buf_str(out, "</div>\n");
}

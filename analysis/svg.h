/*
 * svg.h - small drawings inside an HTML page: axes, lines, bands, dots.
 *
 * Colours and weights are CSS classes of html.c, so that light, dark and print need no
 * second drawing. Every drawing has a title and a description for those who do not see
 * it, and a table beside it that its user writes. Coordinates are in the units of the
 * view box.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ANALYSIS_SVG_H
#define ANALYSIS_SVG_H

#include "traces/base/buf.h"

/* A scale from values to places. log: base 10, low > 0. */
struct ana_scale {
    double low, high; /* values */
    double from, to;  /* places */
    bool log;
};

struct ana_svg {
    struct buf *out;
    double width, height;
    double left, right, top, bottom; /* of the plot inside */
    struct ana_scale x, y;
};

/* Text with <, >, &, quotes escaped; control characters and broken UTF-8 become U+FFFD.
 */
void ana_escape(struct buf *out, const char *text);

void ana_svg_open(struct ana_svg *s, unsigned id, const char *title,
                  const char *description);
void ana_svg_close(struct ana_svg *s);

double ana_place(const struct ana_scale *scale, double value);
bool ana_within(const struct ana_scale *scale, double value);

/* Horizontal grid lines with labels at the left; format gets the value. */
typedef void ana_label_fn(double value, char *out, size_t size);
void ana_svg_y_axis(const struct ana_svg *s, ana_label_fn *label, const char *name);
void ana_svg_x_axis(const struct ana_svg *s, ana_label_fn *label, const char *name);
/* One horizontal grid line with its label at the left. */
void ana_svg_y_tick(const struct ana_svg *s, double value, const char *label);
/* One vertical grid line with its label below. */
void ana_svg_x_tick(const struct ana_svg *s, double value, const char *label);
void ana_svg_x_name(const struct ana_svg *s, const char *name);

void ana_svg_line(const struct ana_svg *s, const char *class, double x1, double y1,
                  double x2, double y2);
void ana_svg_rect(const struct ana_svg *s, const char *class, double x, double y,
                  double w, double h, const char *hint);
void ana_svg_dot(const struct ana_svg *s, const char *class, double x, double y,
                 double r, const char *hint);
/* anchor: "start", "middle" or "end" */
void ana_svg_text(const struct ana_svg *s, const char *class, double x, double y,
                  const char *anchor, const char *text);

/* A polyline through values; a NaN parts it, an infinite one runs to the edge and ends
 * it. */
void ana_svg_path(const struct ana_svg *s, const char *class, const double *x,
                  const double *y, size_t n, const char *hint);
/* The area between two lines; pieces with a NaN or infinite end are left out. */
void ana_svg_band(const struct ana_svg *s, const char *class, const double *x,
                  const double *low, const double *high, size_t n);

/* Round limits around [low, high]: for linear scales from a step of 1, 2 or 5, for log
 * ones powers of ten split at 1, 2, 5. */
void ana_nice(struct ana_scale *scale, double low, double high);

#endif

/*
 * html.h - the page around the drawings, and the drawings that reports share.
 *
 * One page, no script, no request to anywhere: the policy in its head forbids both, and
 * the page reads the same with scripts switched off, printed, light, dark, or on a
 * narrow screen. A is blue and solid, B is vermilion and dashed (Okabe, Ito 2008), and
 * never told apart by colour alone.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ANALYSIS_HTML_H
#define ANALYSIS_HTML_H

#include "analysis/ana_run.h"
#include "analysis/svg.h"

void ana_html_open(struct buf *out, const char *title);
void ana_html_close(struct buf *out);
/* A section with its heading and a sentence of what it shows; to be closed. */
void ana_html_section(struct buf *out, const char *heading, const char *lead);
void ana_html_section_end(struct buf *out);
/* <td> or <th> with escaped text. */
void ana_html_td(struct buf *out, const char *class, const char *text);
void ana_html_th(struct buf *out, const char *class, const char *text);
/* A labelled fact in a row of facts. */
void ana_html_fact(struct buf *out, const char *name, const char *text);

/* One line of a chart. hint may be NULL. */
struct ana_line {
    const char *class; /* "thin a", "thick b" … */
    const char *hint;
    const double *y;
};

/* Percentile plot on the axis of nines: y[i] in seconds at ana_curve_p(i), NaN: none.
 * Beyond `trusted` (index) fewer than 20 observations lie beyond a quantile: shaded. */
void ana_html_percentiles(struct buf *out, unsigned id, const char *title,
                          const char *description, const struct ana_line *lines,
                          size_t n, size_t trusted);

/* Values over run time: y[i] in seconds for slice i of `blocks`, `span` seconds in all.
 */
void ana_html_timeline(struct buf *out, unsigned id, const char *title,
                       const char *description, const struct ana_line *lines, size_t n,
                       size_t blocks, double span);

/* Columns of one curve as doubles in seconds: NaN for ANA_NONE and where not even one
 * observation lies beyond, infinite for ANA_INF. */
void ana_curve_seconds(const struct ana_run *run, enum ana_metric metric,
                       double out[ANA_CURVE]);
/* First point of the curve whose quantile n observations do not allow to judge. */
size_t ana_curve_trusted(uint64_t n);

/* Labels of axes. */
void ana_label_seconds(double seconds, char *out, size_t size);
void ana_label_percent(double log_ratio, char *out, size_t size); /* of a log ratio */
void ana_nines_axis(const struct ana_svg *s);

#endif

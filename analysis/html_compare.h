/*
 * html_compare.h - the drawings of a comparison; private to its page.
 *
 * Each appends one section (strip and forest: a drawing) for a comparison that is not
 * invalid; the strip takes any.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ANALYSIS_HTML_COMPARE_H
#define ANALYSIS_HTML_COMPARE_H

#include "analysis/compare.h"
#include "analysis/html.h"

const char *ana_verdict_class(enum ana_verdict v); /* "good" "warn" "bad" */

void ana_draw_strip(const struct ana_comparison *c, struct buf *out);
void ana_draw_forest(const struct ana_comparison *c, struct buf *out);
void ana_draw_distribution(const struct ana_comparison *c, struct buf *out);
void ana_draw_shift(const struct ana_comparison *c, struct buf *out);
void ana_draw_pairs(const struct ana_comparison *c, struct buf *out);
void ana_draw_parts(const struct ana_comparison *c, struct buf *out);
void ana_draw_over_time(const struct ana_comparison *c, struct buf *out);

#endif

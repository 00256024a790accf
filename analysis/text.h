/*
 * text.h - what the terminal reports share: columns, numbers, names that cannot do
 * harm.
 *
 * Everything is appended to a buf as UTF-8. Names come from files of others: control
 * characters and broken UTF-8 become "?", overlong ones lose their middle. Thread-safe
 * on separate buffers.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ANALYSIS_TEXT_H
#define ANALYSIS_TEXT_H

#include "analysis/ana_run.h"
#include "analysis/verdict.h"
#include "traces/base/buf.h"

/* What back-pressure was a wait for, in words, by enum out_wait. */
extern const char *const ana_wait_words[OUT_WAIT_COUNT];

/* Length of the well-formed UTF-8 sequence at s, or 0. */
size_t ana_utf8(const char *s);
/* Columns that a string takes on a terminal, one for each code point. */
size_t ana_text_width(const char *s);
/* A name, safe to print, at most max columns wide. */
void ana_text_name(struct buf *out, const char *name, size_t max);
/* Text in a column: padded with blanks at the right, or (right) at the left. */
void ana_text_cell(struct buf *out, const char *text, size_t width, bool right);
/* Words wrapped at `width` columns; every line but the first starts with `indent`
 * blanks. The cursor stands at column `at`. Ends with a newline. */
void ana_text_wrap(struct buf *out, const char *text, size_t at, size_t indent,
                   size_t width);
/* The word of a verdict or of health, in colour if wanted. */
void ana_text_verdict(struct buf *out, enum ana_verdict v, bool colour);
void ana_text_health(struct buf *out, enum ana_health h, bool colour);

/* "12.1 ms"; "inf" for ANA_INF, "-" for ANA_NONE. */
#define ANA_NS_TEXT_MAX 40
char *ana_ns_text(int64_t ns, char out[ANA_NS_TEXT_MAX]);
/* A quantile as its number of observations allows: "-" where it is not estimable, a
 * star behind it where it is shown but never judged. */
char *ana_quantile_text(const struct ana_run *run, const struct ana_latency *l,
                        uint32_t p, char out[ANA_NS_TEXT_MAX]);
/* A log ratio as "+6.1 %"; infinite ones as "+inf". Three significant figures at most,
 * two decimals at most. */
char *ana_percent_text(double log_ratio, char out[ANA_NS_TEXT_MAX]);
/* A difference of rates as "+0.12 pp". */
char *ana_points_text(double difference, char out[ANA_NS_TEXT_MAX]);

/* Whether stdout wants colour: a terminal, TERM not dumb, NO_COLOR not set. */
bool ana_text_colour(void);

#endif

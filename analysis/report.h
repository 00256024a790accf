/*
 * report.h - one run, told: as text, as JSON (schema reprise/report/1), as HTML.
 *
 * Equal runs give equal bytes. METHOD.md defines every number. Appends to out; the
 * caller checks the buf. One thread at a time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ANALYSIS_REPORT_H
#define ANALYSIS_REPORT_H

#include "analysis/ana_run.h"
#include "traces/base/jsonw.h"

void ana_report_text(const struct ana_run *run, bool colour, struct buf *out);
void ana_report_json(const struct ana_run *run, struct buf *out);
void ana_report_html(const struct ana_run *run, struct buf *out); /* with charts */

/* Parts that the JSON of a comparison shares. */
void ana_json_counts(struct jsonw *w, const struct ana_counts *c);
void ana_json_ns(struct jsonw *w, int64_t ns); /* number, "inf", or null */
void ana_json_health(struct jsonw *w, const struct ana_run *run);

#endif

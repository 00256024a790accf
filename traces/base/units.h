/*
 * units.h - numbers with units, read and printed by the same tables.
 *
 * Durations: ns us ms s m h ("250us", "1.5s", "2m"). Sizes: B KB MB GB (powers of
 * 1000), KiB MiB GiB (powers of 1024). A bare number where a unit is needed is an error
 * that names the units (only "0" needs none). One blank may stand before the unit. What
 * is finer than a nanosecond or a byte is rounded, but never to nothing. Rates: per
 * second, "200", "1.5k", "200/s", "12/m". Nothing is negative but what units_f64 reads.
 * Thread-safe.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_BASE_UNITS_H
#define TRACES_BASE_UNITS_H

#include <stddef.h>

#include "traces/base/err.h"

#define UNITS_TEXT_MAX 32

/* All give ERR_USAGE with the offending text and the units that are known, and then
 * leave the value alone. */
int units_duration(const char *text, int64_t *ns, struct err *e) MUST_USE;
int units_size(const char *text, uint64_t *bytes, struct err *e) MUST_USE;
int units_rate(const char *text, double *per_second, struct err *e) MUST_USE;
int units_u64(const char *text, uint64_t *value, struct err *e) MUST_USE;
int units_f64(const char *text, double *value, struct err *e) MUST_USE;

/* Three significant figures in the unit that fits: "1.25 ms", "64 MiB", "12.3k/s". They
 * return out. */
char *units_duration_text(int64_t ns, char out[UNITS_TEXT_MAX]);
char *units_size_text(uint64_t bytes, char out[UNITS_TEXT_MAX]);
char *units_rate_text(double per_second, char out[UNITS_TEXT_MAX]);

#endif

/*
 * output.h - where reports go: a file, or standard output.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ANALYSIS_OUTPUT_H
#define ANALYSIS_OUTPUT_H

#include "traces/base/buf.h"

/* Both give ERR_NOMEM when b had failed, ERR_IO when not all of it could be written. A
 * file is written beside its place and renamed, so that nobody sees half of it; "-" is
 * standard output. */
int ana_write_file(const char *path, const struct buf *b, struct err *e) MUST_USE;
int ana_write_stdout(const struct buf *b, struct err *e) MUST_USE;

#endif

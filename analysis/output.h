/*
 * output.h - reports go to a file, or to standard output.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ANALYSIS_OUTPUT_H
#define ANALYSIS_OUTPUT_H

#include "traces/base/buf.h"

/* ERR_NOMEM when b had failed, ERR_IO when not all of it could be written. A file is
 * written beside its place and renamed, so that nobody sees half of it; "-" is
 * standard output. */
int ana_write_file(const char *path, struct buf *b, struct err *e) MUST_USE;

#endif

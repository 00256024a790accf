/*
 * outfile.h - may a file be written to, or is there something that would be lost?
 *
 * The one rule, and the one option, of every command that writes a file. Thread-safe.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_BASE_OUTFILE_H
#define TRACES_BASE_OUTFILE_H

#include <stddef.h>

#include "traces/base/err.h"

/* The row of an option table for --force, whose bool lies at `where`. */
#define OUTFILE_FORCE_OPT(where)                                                       \
    {                                                                                  \
        .name = "force", .letter = 'f', .type = OPT_FLAG, .at = (where),               \
        .help = "write over a file that is there"                                      \
    }

/* ERR_USAGE when path is a regular file that holds anything, unless force is set, and
 * when it is one of the n inputs, force or not: it would be gone before it is read.
 * "-" as output, pipes and devices are always fine; "-" as input is standard input. */
int outfile_check(const char *path, bool force, const char *const *inputs, size_t n,
                  struct err *e) MUST_USE;

#endif

/*
 * outfile.h - may a file be written to, or is there something that would be lost?
 * And the way to standard output.
 *
 * The one rule, and the options, of every command that writes a file. Thread-safe.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_BASE_OUTFILE_H
#define TRACES_BASE_OUTFILE_H

#include <stddef.h>

#include "traces/base/err.h"
#include "traces/base/opt.h"

/* The row of an option table for --force, whose bool lies at `where`. */
#define OUTFILE_FORCE_OPT(where)                                                       \
    {                                                                                  \
        .name = "force", .letter = 'f', .type = OPT_FLAG, .at = (where),               \
        .help = "write over a file that is there"                                      \
    }

/* The file that a command makes of others, as -o, -f and -q say it. */
struct outfile {
    const char *path; /* NULL: not given */
    bool force, quiet;
};
/* Their rows, for a struct outfile that lies at `where`; `what` is the help of -o. */
#define OUTFILE_OPTS(where, what)                                                      \
    {.name = "output",                                                                 \
     .letter = 'o',                                                                    \
     .type = OPT_STR,                                                                  \
     .at = (where) + offsetof(struct outfile, path),                                   \
     .arg = "OUT",                                                                     \
     .help = (what)},                                                                  \
        OUTFILE_FORCE_OPT((where) + offsetof(struct outfile, force)),                  \
    {                                                                                  \
        .name = "quiet", .letter = 'q', .type = OPT_FLAG,                              \
        .at = (where) + offsetof(struct outfile, quiet), .help = "no summary"          \
    }

/* ERR_USAGE when path is a regular file that holds anything, unless force is set, and
 * when it is one of the n inputs, force or not: it would be gone before it is read.
 * "-" as output, pipes and devices are always fine; "-" as input is standard input. */
int outfile_check(const char *path, bool force, const char *const *inputs, size_t n,
                  struct err *e) MUST_USE;

/* The same for o, which must have been given. */
int outfile_wanted(const struct outfile *o, const char *const *inputs, size_t n,
                   struct err *e) MUST_USE;

/* Writes b to standard output, at once, and empties it. ERR_NOMEM when b had failed,
 * ERR_IO when not all of it could be written. */
int outfile_print(struct buf *b, struct err *e) MUST_USE;

#endif

/*
 * made_trace.h - runs a command that makes a trace, and reads back what it made.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_UNIT_MADE_TRACE_H
#define TESTS_UNIT_MADE_TRACE_H

#include "commands.h"
#include "traces/container/trc_reader.h"

#define MADE_BLOCKS_MAX 4096

/* All operations of a trace in a scratch file, which is gone when made_free returns. */
struct made {
    int status;           /* exit status of the command */
    struct trc_reader *r; /* NULL when the command failed */
    struct trc_block *blocks[MADE_BLOCKS_MAX];
    size_t block_count;
    const struct op **ops; /* in order of arrival; borrowed from the blocks */
    size_t n;
};

/* Words are the command line without "-o FILE", separated by single blanks; environment
 * is a list like "MODEL_TYPE=iris REQUEST_RATE=20", set for this call alone, or NULL.
 */
struct made made_by(cmd_fn *cmd, const char *words, const char *environment);
void made_free(struct made *m);

#endif

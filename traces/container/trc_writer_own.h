/*
 * trc_writer_own.h - a writer that goes on behind blocks which are there already;
 * inside container/ only.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_CONTAINER_TRC_WRITER_OWN_H
#define TRACES_CONTAINER_TRC_WRITER_OWN_H

#include "traces/container/trc_index.h"

struct trc_resume {
    uint64_t offset, file_id; /* end of the blocks that are there */
    uint32_t ordinal, prev_bytes;
    struct trc_totals totals;
    struct trc_index index; /* moved into the writer, as tally is */
    struct trc_tally tally;
};

/* Opens path, whose first at->offset bytes are blocks, to be closed behind them. */
int trc_writer_resume(struct trc_writer **w, const char *path,
                      const struct trc_options *options, struct trc_resume *at,
                      struct err *e) MUST_USE;

#endif

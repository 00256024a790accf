/*
 * trc_repair.h - a whole file out of a damaged or unfinished one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_CONTAINER_TRC_REPAIR_H
#define TRACES_CONTAINER_TRC_REPAIR_H

#include "traces/container/trc_reader.h"

struct trc_repaired {
    uint64_t records;         /* in the new file */
    struct trc_loss loss;     /* blocks 0: nothing was lost */
    struct trc_partly partly; /* kept, but not all of them */
    uint64_t lost_answers;    /* late ones whose operation is lost */
    bool copied;              /* the blocks are those of the old file, byte for byte */
};

/* Reads `in` (seekable) and puts a complete file at `out`, made beside it and renamed
 * when it is whole; `in` may be `out`. When no block was lost inside, the new file is
 * the old one up to its last whole block, closed. Else its blocks are made anew and
 * notes "repair.*" say what is missing. Of a block with damaged groups the others are
 * kept where they say enough: operations need their schedule (and weights, where they
 * stand for more than themselves), outcomes all but hashes of answers. ERR_FORMAT,
 * ERR_TRUNCATED: nothing usable; ERR_USAGE, ERR_IO, ERR_NOMEM. */
int trc_repair(const char *in, const char *out, struct trc_repaired *done,
               struct err *e) MUST_USE;

#endif

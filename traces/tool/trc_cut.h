/*
 * trc_cut.h - a part of a trace: by time, by count.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_TOOL_TRC_CUT_H
#define TRACES_TOOL_TRC_CUT_H

#include "traces/container/trc_reader.h"

struct trc_cut {
    int64_t from_ns,
        to_ns;       /* arrivals, inclusive and exclusive; to_ns INT64_MAX: the end */
    uint64_t count;  /* at most so many operations; 0: all */
    bool keep_times; /* else from_ns becomes 0 of the new trace, and its epoch moves */
};
struct trc_cut_done {
    uint64_t read, written; /* operations */
    bool unclosed;          /* the input ends without a footer, with nothing lost */
};

/* Copies operations and their late answers from `in` to `out` (either may be "-"), with
 * the notes of `in`. A damaged block is an error. On failure `out` is removed if it is
 * a file. */
int trc_cut(const char *in, const char *out, const struct trc_cut *how,
            struct trc_cut_done *done, struct err *e) MUST_USE;

#endif

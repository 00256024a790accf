/*
 * trc_merge.h - several traces as one, in order of time; and a part of one by content.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_TOOL_TRC_MERGE_H
#define TRACES_TOOL_TRC_MERGE_H

#include "traces/tool/trc_select.h"

#define TRC_MERGE_MAX 64 /* inputs; each holds a block in memory */

struct trc_merge_done {
    uint64_t read, written; /* operations */
    uint64_t lost_answers;  /* late ones that came too far behind (trc_remap.h) */
    bool unclosed;          /* an input ends without a footer, with nothing lost */
};

/* Merges n traces by arrival; at equal times the one named first goes first.
 * by_calendar: the inputs' calendar times put them in place (all must have one), else
 * all begin together. Connection and client ordinals of input i become ordinal * n + i,
 * so that those of different inputs stay apart. Notes of input i become
 * "merge.<i>.<key>". */
int trc_merge(const char *const *in, size_t n, const char *out, bool by_calendar,
              struct trc_merge_done *done, struct err *e) MUST_USE;

/* Copies the operations that `select` passes (or, inverted, those that it does not),
 * times as they are; `note` describes the choice in the note "filter". */
int trc_filter(const char *in, const char *out, const struct trc_select *select,
               bool invert, const char *note, struct trc_merge_done *done,
               struct err *e) MUST_USE;

#endif

/*
 * trc_remap.h - where the operations of one trace went in another, for answers that
 * come late.
 *
 * Remembers the last TRC_REMAP_MAX operations of an input, so memory stays flat; an
 * answer to an older one is counted as lost. A zeroed remap is a valid empty one. Not
 * thread-safe.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_TOOL_TRC_REMAP_H
#define TRACES_TOOL_TRC_REMAP_H

#include "traces/container/trc_reader.h"

#define TRC_REMAP_MAX (1u << 20) /* 8 MiB per input that may have late answers */

struct trc_remap {
    uint64_t *to; /* ring by index of the input; UINT64_MAX: was not taken */
    uint64_t next;
    uint64_t lost; /* answers whose operation is too far back */
};
void trc_remap_done(struct trc_remap *m);
/* Operation `from` of the input became operation `to`, or was left out (UINT64_MAX).
 * from counts on from call to call, but may jump ahead. */
int trc_remap_add(struct trc_remap *m, uint64_t from, uint64_t to,
                  struct err *e) MUST_USE;
/* Hands the late answers of b on to w. */
int trc_remap_late(struct trc_remap *m, const struct trc_block *b, struct trc_writer *w,
                   struct err *e) MUST_USE;

#endif

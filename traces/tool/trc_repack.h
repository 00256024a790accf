/*
 * trc_repack.h - the same records in fewer bytes: `reprise trace pack`.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_TOOL_TRC_REPACK_H
#define TRACES_TOOL_TRC_REPACK_H

#include "traces/container/trc_reader.h"

struct trc_repack_done {
    uint64_t records, bytes_before, bytes_after; /* bytes 0 where it is a stream */
    uint64_t blocks_before, blocks_after;
};

/* Writes trace or run `in` anew at `out`, small blocks joined, at a zstd level of 1
 * to 19, or TRC_LEVEL_STORE. Late answers join their operation where they meet it. The
 * content hash stays; it is checked when both are files. Packing what is packed changes
 * no byte. */
int trc_repack(const char *in, const char *out, int level, struct trc_repack_done *done,
               struct err *e) MUST_USE;

#endif

/*
 * imp_jsonl.h - JSON lines as `reprise trace cat --jsonl` prints them become a trace or
 * a run.
 *
 * The keys are those of FORMAT.md, section 10; an unknown key is an error, since what
 * it says would be lost. A first line {"reprise": "trace" or "run", …} may give
 * resolution_ns, epoch_wall_ns and notes. Without one, the first record tells the kind:
 * `arrival_ns` or `due_ns`.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_IMPORT_IMP_JSONL_H
#define TRACES_IMPORT_IMP_JSONL_H

#include "traces/container/trc_writer.h"
#include "traces/container/zin.h"

#define IMP_JSONL_LINE_MAX (192u << 20) /* two bodies of 64 MiB, as base64 */

struct imp_jsonl_done {
    enum trc_kind kind;
    uint64_t records, late;
};

/* Reads to the end and writes `out` ("-": standard output). Indices need not count from
 * 0: operations are numbered anew, and late answers follow theirs. ERR_FORMAT and
 * ERR_LIMIT name the line; then nothing is left at `out` if it is a file. */
int imp_jsonl_read(struct zin *in, const char *out, struct imp_jsonl_done *done,
                   struct err *e) MUST_USE;

#endif

/*
 * trc_writer.h - writes a trace or a run: blocks, index, footer (FORMAT.md).
 *
 * Operations must come in order of arrival (the writer refuses a step back: ERR_USAGE);
 * outcomes in any order. Everything given is copied before the call returns. A block
 * goes out in one write when it is `flush_ns` old, and without flush_ns when a record
 * comes behind a full one; a killed process loses no more than that. Without
 * trc_writer_close the file lacks index and footer, and is readable all the same. Path
 * "-" is standard output. One thread at a time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_CONTAINER_TRC_WRITER_H
#define TRACES_CONTAINER_TRC_WRITER_H

#include "traces/base/clk.h"
#include "traces/op.h"
#include "traces/outcome.h"

enum trc_kind { TRC_TRACE, TRC_RUN };

/* All bytes go out as they are, in frames of zstd all the same. */
#define TRC_LEVEL_STORE (-1)
#define TRC_PLAIN_MIN   8192u

struct trc_options {
    enum trc_kind kind;
    int64_t resolution_ns; /* of arrivals: 1, 1000 or 1000000; 0 means 1 */
    int64_t epoch_wall_ns; /* wall time of arrival 0; 0: the trace has no calendar */
    uint64_t file_id; /* random identity against stale tails; 0: derived from the seed
                         of the contents so that equal input gives equal bytes */
    /* zstd level, 1 to 19, or TRC_LEVEL_STORE. 0 means 2, and that payloads which it
     * makes smaller by less than an eighth stay as they are: random numbers. */
    int level;
    /* For writers that must keep up: bodies from so many bytes on (at least
     * TRC_PLAIN_MIN; 0: none) are written at once and as they are, without being
     * gathered or compressed, unless they repeat so much that this costs nothing. */
    uint32_t plain_from;
    /* Hashes of kept bodies are their XXH3-128 for certain: they are not made anew. */
    bool trust_hashes;
    uint32_t block_records; /* 0 means 16384 */
    int64_t flush_ns;       /* 0: only full blocks; else also by age (clk) */
    const struct clk *clk;  /* for flush_ns; NULL: the system's */
};

struct trc_writer;

int trc_writer_open(struct trc_writer **w, const char *path,
                    const struct trc_options *options, struct err *e) MUST_USE;

/* A fact about the whole file ("tool.version", "synth.seed", "run.health"), stored in
 * META blocks: those noted before the first record in the first one, later ones at the
 * close. A key noted again replaces its value for readers. ERR_LIMIT above 64 KiB. */
int trc_writer_note(struct trc_writer *w, const char *key, const char *value,
                    struct err *e) MUST_USE;

int trc_writer_op(struct trc_writer *w, const struct op *op, struct err *e) MUST_USE;
int trc_writer_outcome(struct trc_writer *w, const struct outcome *o,
                       struct err *e) MUST_USE;

/* The answer (times, status, response) to operation answer->index, which was written
 * before without one: for captures that do not hold operations back until they are
 * answered. answer->flags are those that it adds to its operation's. */
int trc_writer_late(struct trc_writer *w, const struct op *answer,
                    struct err *e) MUST_USE;

/* Writes the open block if it is old enough (flush_ns), for callers that idle. */
int trc_writer_tick(struct trc_writer *w, struct err *e) MUST_USE;

/* Writes what is pending, notes, index and footer, syncs and frees w, also on failure.
 */
int trc_writer_close(struct trc_writer *w, struct err *e) MUST_USE;
/* Frees w; complete blocks stay on disk, nothing more is written. NULL is fine. */
void trc_writer_abandon(struct trc_writer *w);

#endif

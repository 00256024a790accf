/*
 * trc_encode.h - the block in the making: records in, raw groups out (FORMAT.md, 5.1
 * to 5.6).
 *
 * A zeroed builder must be given to trc_build_init first. Records are checked before
 * any of their parts is kept, so that a refused record leaves no trace; after ERR_NOMEM
 * the builder is of no more use. Not thread-safe.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_CONTAINER_TRC_ENCODE_H
#define TRACES_CONTAINER_TRC_ENCODE_H

#include "traces/container/trc_body.h"
#include "traces/container/trc_index.h"
#include "traces/container/trc_messages.h"
#include "traces/container/trc_stream.h"

enum trc_row {
    TRC_ROW_TIME, /* arrival in units, or index of the operation in LATE */
    TRC_ROW_STREAM,
    TRC_ROW_REQUEST,
    TRC_ROW_FLAGS,
    TRC_ROW_STATUS,
    TRC_ROW_GRPC,
    TRC_ROW_FIRST,
    TRC_ROW_LAST,
    TRC_ROW_RESPONSE,
    TRC_ROW_CODINGS,
    TRC_ROW_ANSWERED, /* number + 1 of the list of messages, 0: none */
    TRC_ROW_ASKED,
    TRC_ROW_ID_FORM,
    TRC_ROW_CONNECTION,
    TRC_ROW_CONN_STREAM,
    TRC_ROW_CLIENT,
    TRC_ROW_TOKENS_IN,
    TRC_ROW_TOKENS_OUT,
    TRC_ROW_WEIGHT,
    TRC_ROW_COUNT
};

struct trc_build {
    int64_t unit; /* resolution, ns */
    uint32_t n, cap;
    int64_t *rows[TRC_ROW_COUNT]; /* of operations and late answers; one allocation */
    struct outcome *outcomes; /* of a run; stream is meaningless, stream_index counts,
                                 messages.count is the number of a list */
    struct trc_streams streams;
    struct trc_bodies bodies[2]; /* requests, responses */
    struct trc_messages messages[2];
    struct buf ids;
    int64_t *scratch; /* cap values */
    int64_t t_min, t_max;
};
int trc_build_init(struct trc_build *b, bool run, int64_t unit, uint32_t cap,
                   struct err *e) MUST_USE;
void trc_build_reset(struct trc_build *b);
void trc_build_done(struct trc_build *b);
/* Bytes that the block holds beside its columns. */
size_t trc_build_payload(const struct trc_build *b);

/* Checks that *o can be written; ERR_USAGE, ERR_LIMIT. */
int trc_check_op(const struct op *o, struct err *e) MUST_USE;
int trc_check_answer(const struct op *o, struct err *e) MUST_USE;
int trc_check_outcome(const struct outcome *o, struct err *e) MUST_USE;

/* Adds a checked record and makes *o what will be read back: times on the grid, bodies
 * with their own hashes, stream_index. */
int trc_build_op(struct trc_build *b, struct trc_blob_memory *m, uint32_t block,
                 struct op *o, struct err *e) MUST_USE;
int trc_build_late(struct trc_build *b, struct trc_blob_memory *m, uint32_t block,
                   struct op *o, struct err *e) MUST_USE;
int trc_build_outcome(struct trc_build *b, struct outcome *o, struct err *e) MUST_USE;
/* Gives operation `row` of the block an answer. */
int trc_build_answer(struct trc_build *b, struct trc_blob_memory *m, uint32_t block,
                     uint32_t row, struct op *o, struct err *e) MUST_USE;

bool trc_build_answered(const struct trc_build *b, uint32_t row);

/* The groups of the block (g: TRC_GROUPS of them, reset). */
int trc_encode_ops(struct trc_build *b, struct trc_group_out *g,
                   struct err *e) MUST_USE;
int trc_encode_late(struct trc_build *b, struct trc_group_out *g,
                    struct err *e) MUST_USE;
int trc_encode_outcomes(struct trc_build *b, struct trc_group_out *g,
                        struct err *e) MUST_USE;

#endif

/*
 * trc_columns.h - the outcomes of a block as arrays, one for each thing that is asked
 * for.
 *
 * What goes over millions of outcomes and needs a few things of each reads a run so: no
 * record is filled, and what nobody asked for is neither decompressed nor decoded (and
 * not checked: its damage is not met); hashes of answers are not even read from a file.
 * Given by trc_reader_next after trc_reader_want_columns; the arrays live until
 * trc_block_free. Values mean what struct outcome says of its fields. Thread-safe once
 * handed out.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_CONTAINER_TRC_COLUMNS_H
#define TRACES_CONTAINER_TRC_COLUMNS_H

#include "traces/outcome.h"

enum trc_column {
    TRC_WANT_DUE = 1 << 0,
    TRC_WANT_READY = 1 << 1,
    TRC_WANT_SENT = 1 << 2,
    TRC_WANT_FIRST = 1 << 3,
    TRC_WANT_DONE = 1 << 4,
    TRC_WANT_OP_INDEX = 1 << 5,
    TRC_WANT_BYTES_OUT = 1 << 6,
    TRC_WANT_BYTES_IN = 1 << 7,
    TRC_WANT_ANSWER_HASH = 1 << 8,
    TRC_WANT_STREAM = 1 << 9,
    TRC_WANT_CONNECTION = 1 << 10,
    TRC_WANT_STATUS = 1 << 11,
    TRC_WANT_GRPC_STATUS = 1 << 12,
    TRC_WANT_WORKER = 1 << 13,
    TRC_WANT_CAUSE = 1 << 14,
    TRC_WANT_CHECK = 1 << 15,
    TRC_WANT_WAIT = 1 << 16,
    TRC_WANT_ATTEMPTS = 1 << 17,
    TRC_WANT_MESSAGES = 1 << 18,
    TRC_WANT_ALL = (1 << 19) - 1,
};

/* An array that was not asked for is NULL. Moments build on one another: with one of
 * them come those before it. */
struct trc_columns {
    uint32_t asked;
    /* Of these every outcome of the block has the value of the first: never set for a
     * moment or op_index. A column may be uniform and not be among them. */
    uint32_t uniform;
    int64_t *due_ns, *ready_ns, *sent_ns, *first_ns, *done_ns;
    uint64_t *op_index, *bytes_out, *bytes_in, *answer_hash;
    uint32_t *stream_index, *connection;
    uint16_t *status;
    int16_t *grpc_status;
    uint16_t *worker;
    uint8_t *cause, *check, *wait, *attempts;
    const struct op_messages *messages; /* NULL also when no outcome has any */
};

/* Outcome i, of a block whose streams these are; what was not asked for is as
 * outcome_empty gives it. Its stream and messages are borrowed from the block. */
struct outcome trc_columns_row(const struct trc_columns *c,
                               const struct op_stream *streams, uint32_t i);
/* The groups (bits of enum trc_read) that hold these columns. */
unsigned trc_columns_groups(uint32_t columns);
/* All columns that stand in these groups. */
uint32_t trc_columns_of(unsigned groups);

#endif

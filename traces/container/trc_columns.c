/*
 * trc_columns.c - see trc_columns.h; trc_outcomes.c fills them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/container/trc_columns.h"

#include "traces/container/trc_reader.h"

#define IN_ANSWERS                                                                     \
    (TRC_WANT_READY | TRC_WANT_SENT | TRC_WANT_FIRST | TRC_WANT_DONE |                 \
     TRC_WANT_STATUS | TRC_WANT_GRPC_STATUS | TRC_WANT_CAUSE | TRC_WANT_CHECK |        \
     TRC_WANT_WAIT | TRC_WANT_ATTEMPTS | TRC_WANT_MESSAGES)
#define IN_IDS                                                                         \
    (TRC_WANT_CONNECTION | TRC_WANT_WORKER | TRC_WANT_BYTES_OUT | TRC_WANT_BYTES_IN)

unsigned trc_columns_groups(uint32_t columns)
{
    return TRC_READ_SCHEDULE | (columns & IN_ANSWERS ? TRC_READ_ANSWERS : 0) |
           (columns & IN_IDS ? TRC_READ_IDS : 0) |
           (columns & TRC_WANT_ANSWER_HASH ? TRC_READ_PAYLOAD : 0);
}

uint32_t trc_columns_of(unsigned groups)
{
    uint32_t of_schedule = TRC_WANT_DUE | TRC_WANT_OP_INDEX | TRC_WANT_STREAM;
    return of_schedule | (groups & TRC_READ_ANSWERS ? IN_ANSWERS : 0) |
           (groups & TRC_READ_IDS ? IN_IDS : 0) |
           (groups & TRC_READ_PAYLOAD ? TRC_WANT_ANSWER_HASH : 0);
}

#define GIVE(array, field, type)                                                       \
    do {                                                                               \
        if (c->array)                                                                  \
            o.field = (type)c->array[i];                                               \
    } while (0)

struct outcome trc_columns_row(const struct trc_columns *c,
                               const struct op_stream *streams, uint32_t i)
{
    struct outcome o = outcome_empty();
    GIVE(due_ns, due_ns, int64_t);
    GIVE(ready_ns, ready_ns, int64_t);
    GIVE(sent_ns, sent_ns, int64_t);
    GIVE(first_ns, first_ns, int64_t);
    GIVE(done_ns, done_ns, int64_t);
    GIVE(op_index, op_index, uint64_t);
    GIVE(bytes_out, bytes_out, uint64_t);
    GIVE(bytes_in, bytes_in, uint64_t);
    GIVE(answer_hash, answer_hash, uint64_t);
    GIVE(stream_index, stream_index, uint32_t);
    GIVE(connection, connection, uint32_t);
    GIVE(status, status, uint16_t);
    GIVE(grpc_status, grpc_status, int16_t);
    GIVE(worker, worker, uint16_t);
    GIVE(cause, cause, enum out_cause);
    GIVE(check, check, enum out_check);
    GIVE(wait, wait, enum out_wait);
    GIVE(attempts, attempts, uint8_t);
    if (c->stream_index)
        o.stream = &streams[o.stream_index];
    if (c->messages)
        o.messages = c->messages[i];
    return o;
}

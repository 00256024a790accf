/*
 * kafka_batch.h - what Kafka's log holds, as producers send and brokers give it.
 *
 * Record batches (magic 2, since Kafka 0.11):
 *   base offset (8), length (4), leader epoch (4), magic (1), CRC-32C (4) of all that
 *   follows: attributes (2), last offset delta (4), base and greatest timestamp (8, 8),
 *   producer (8), its epoch (2), base sequence (4), count (4), records
 *
 * Messages (magic 0 and 1), of older clients, and of brokers to them:
 *
 *   offset (8), length (4), CRC-32 (4) of all that follows: magic (1), attributes (1),
 *   timestamp (8; magic 1), key, value
 *
 * where the value of a message with a codec is messages itself, compressed. Each such
 * message is taken for a batch of its own.
 *
 * Integers are big-endian; those within records of magic 2 are zigzag varints. Pure
 * functions that borrow from their arguments; thread-safe.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CAPTURE_KAFKA_BATCH_H
#define CAPTURE_KAFKA_BATCH_H

#include "traces/base/buf.h"
#include "traces/op.h"

#define CAP_KAFKA_HEADERS_MAX 256u /* of a record; more: it is malformed to us */
#define CAP_BATCH_HEAD        61u

enum cap_batch_state {
    CAP_BATCH_GOOD,
    CAP_BATCH_CUT,       /* the run of bytes ends inside it, as a fetch may */
    CAP_BATCH_CRC,       /* its checksum is wrong */
    CAP_BATCH_MALFORMED, /* and nothing behind it can be read */
};

#define CAP_BATCH_COUNT_UNKNOWN UINT32_MAX

struct cap_batch {
    size_t bytes; /* of it in the run */
    unsigned magic;
    /* Of the first record. A compressed message tells that of its last one, magic 1
     * only in a log (producers send what they like); base_time_ms: -1 in magic 0. */
    int64_t base_offset, base_time_ms;
    unsigned codec; /* enum cap_kafka_codec, or beyond */
    bool control;   /* markers of transactions: no data */
    uint32_t count; /* of its records; of compressed messages not known */
    /* Compressed by codec. Of magic 0 and 1 messages, of which a plain one is one. */
    struct span records;
    /* XXH3-128 of all in it that a broker leaves as the producer made it. */
    uint64_t identity[2];
};
/* The batch at the front of *run, which is taken off (all of it where the state is CUT
 * or MALFORMED). Every state but CUT and MALFORMED leaves *b->bytes right. */
enum cap_batch_state cap_batch_take(struct span *run, struct cap_batch *b);

struct cap_batch_record {
    size_t bytes; /* with its length in front */
    int64_t offset_delta;
    struct span key, value; /* empty where null */
    bool null_value;        /* a tombstone */
    struct op_header headers[CAP_KAFKA_HEADERS_MAX];
    uint32_t header_count;
};
/* The next record at *c, of decompressed records of that magic. False: malformed. */
bool cap_batch_record_take(unsigned magic, struct cursor *c,
                           struct cap_batch_record *r);

uint32_t cap_crc32c(struct span s); /* Castagnoli, as RFC 3720 B.4 gives it */

#endif

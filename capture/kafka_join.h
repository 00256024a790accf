/*
 * kafka_join.h - records of topics become requests with their answers, joined by key.
 *
 * A record of an inputs topic is a request; the record of the outputs topic of the same
 * model or pipeline with the same key is its answer, and so is a record of the errors
 * topic whose header seldon-pipeline-errors names that model. What a key repeats is
 * answered in order of arrival. Whichever comes first waits for the other, in records'
 * time, which never runs backwards here:
 *   CAP_KAFKA_EARLY_NS   a request waits so long before it is told without its answer
 *                        (which then comes as a part of its own); an answer waits so
 *                        long for its request
 *   answer_wait_ns       until a request counts as unanswered
 *   CAP_KAFKA_DONE_NS    an answered key is remembered, to tell duplicates of answers
 * Both the number of keys and the bytes held are bounded: beyond, requests are told
 * early, and the oldest keys forgotten, counted.
 *
 * Times are the timestamps of the records, in steps of 1 ms, by the producer's clock
 * (CreateTime) or the broker's (LogAppendTime). The dataflow engine gives its records
 * the time of the record that they come from, so that a leg of a model in a pipeline
 * holds the engine's hop before it, and a pipeline's answer has the time of its last
 * model's. An answer that is older than its request by those clocks has latency 0, and
 * is counted.
 *
 * An answer's status is what the pipeline gateway makes of it for REST: 200, or 400 for
 * an error. One thread at a time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CAPTURE_KAFKA_JOIN_H
#define CAPTURE_KAFKA_JOIN_H

#include "capture/record.h"
#include "traces/wire/kafka_topic.h"

#define CAP_KAFKA_EARLY_NS      (3 * CLK_SEC)
#define CAP_KAFKA_DONE_NS       (60 * CLK_SEC)
#define CAP_KAFKA_KEYS_MAX      262144u
#define CAP_KAFKA_KEY_BYTES_MAX 4096u
#define CAP_KAFKA_REPEATS_MAX   64u /* of one key that wait at a time */
#define CAP_KAFKA_RESOLUTION_NS CLK_MS

enum cap_kafka_clock {
    CAP_KAFKA_CLOCK_NONE, /* the record has no time */
    CAP_KAFKA_CLOCK_CREATE,
    CAP_KAFKA_CLOCK_APPEND,
    CAP_KAFKA_CLOCK_PACKET, /* of a capture: when it was on the wire */
    CAP_KAFKA_CLOCK_COUNT
};

/* One record. Borrowed for the duration of a call. */
struct cap_kafka_record {
    struct kafka_topic topic;
    struct span topic_name;
    uint32_t source; /* ordinal of the topic's partition: op.connection */
    int64_t offset;  /* its low half is op.conn_stream */
    enum cap_kafka_clock clock;
    struct clk_wall at;
    bool late;           /* it was there before: `at` is when it was fetched */
    bool tombstone;      /* it has no value, and asks or answers nothing */
    uint8_t dir;         /* seen on the wire: in which direction of its connection, */
    uint64_t wire_bytes; /* and as so many bytes; 0 otherwise */
    struct span key, value;          /* as on the wire */
    const struct op_header *headers; /* names in lower case */
    uint32_t header_count;
};

/* inputs = told + untimed + refused, once all is flushed. */
struct cap_kafka_counts {
    uint64_t records, inputs, outputs, errors, others, tombstones;
    uint64_t clocks[CAP_KAFKA_CLOCK_COUNT];
    uint64_t told;             /* requests */
    uint64_t answered, failed; /* of the told; failed ones are answered too */
    uint64_t unanswered, keyless, forgotten; /* of the unanswered: without a key, and
                                                given up since too many waited */
    uint64_t untimed;                        /* inputs without a time */
    uint64_t refused;  /* inputs whose name or topic a trace cannot hold */
    uint64_t repeated; /* inputs whose key waited already */
    uint64_t duplicates,
        unmatched;      /* answers: to what was answered; to nothing known */
    uint64_t backwards; /* answers older than their request */
    uint64_t framed, broken_framing;
    uint64_t keys[3]; /* of inputs, by kafka_key_style */
    /* Of records seen on the wire, by direction: that wait, that were refused, answers
     * to no request that was seen, duplicates of answers and tombstones. All others
     * were told. */
    uint64_t pending_bytes[2], refused_bytes[2], orphan_bytes[2], passed_bytes[2];
    size_t held_bytes, held_bytes_max, held_keys, held_keys_max;
};

/* part WHOLE or REQUEST: an operation as cap_record_make gives one, op.arrival_ns 0,
 * time in r->at. ANSWER: r->op alone, its times, status, response, connection and
 * conn_stream. Borrowed; a negative return ends the call in progress. */
typedef int cap_kafka_fn(void *arg, enum cap_part part, struct cap_record *r,
                         struct err *e);

struct cap_kafka_join_options {
    cap_kafka_fn *take;
    void *arg;
    int64_t answer_wait_ns;
    size_t memory_bytes;
};

struct cap_kafka_join;
int cap_kafka_join_new(struct cap_kafka_join **out,
                       const struct cap_kafka_join_options *options,
                       struct err *e) MUST_USE;     /* ERR_NOMEM */
void cap_kafka_join_free(struct cap_kafka_join *j); /* NULL is fine */

/* Errors: ERR_NOMEM, and those of `take`. */
int cap_kafka_join_add(struct cap_kafka_join *j, const struct cap_kafka_record *r,
                       struct err *e) MUST_USE;
int cap_kafka_join_time(struct cap_kafka_join *j, struct clk_wall now,
                        struct err *e) MUST_USE;
/* Nothing more comes: all that waits is told. */
int cap_kafka_join_flush(struct cap_kafka_join *j, struct err *e) MUST_USE;

/* When the oldest request that is not told yet arrived, at most `now`. */
struct clk_wall cap_kafka_join_oldest(const struct cap_kafka_join *j,
                                      struct clk_wall now);
const struct cap_kafka_counts *cap_kafka_join_counts(const struct cap_kafka_join *j);

#endif

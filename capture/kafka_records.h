/*
 * kafka_records.h - the records that a capture sees on Kafka connections: each once,
 * under the name of its topic, handed to the join (kafka_join.h).
 *
 * A record crosses the wire when it is produced and again for each group of consumers
 * that fetches it. The first sight is the record, all others are copies of it: a batch
 * is known by what producers put in it (cap_batch.identity), or by its topic, partition
 * and base offset, which the answer to a Produce request tells. The last
 * CAP_KAFKA_BATCHES batches are remembered.
 *
 * Newer protocol versions name topics by ids. What an id stands for is told by a
 * Metadata response, or by a batch that was seen under its name when it was produced
 * and comes again, with the same partition and offset, under the id. Batches of ids
 * that are not known are opaque.
 *
 * The topics that matter are those of Seldon Core v2, with any prefix and namespace
 * (cap_topic_guess). One thread at a time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CAPTURE_KAFKA_RECORDS_H
#define CAPTURE_KAFKA_RECORDS_H

#include "capture/kafka_join.h"
#include "capture/kafka_proto.h"

#define CAP_KAFKA_BATCHES    65536u
#define CAP_KAFKA_TOPICS_MAX 16384u /* names and ids that are remembered */
#define CAP_KAFKA_TOPIC_MAX  1024u  /* bytes of a name: Kafka allows 249 */

struct cap_krecords_counts {
    uint64_t batches, records;
    uint64_t copies;         /* of the batches: seen before */
    uint64_t topics_unknown, /* batches whose topic id is not known */
        checksums_wrong, malformed, cut, old_format,
        packed; /* batches whose compression could not be undone */
    uint64_t topics_told, topics_matched; /* ids learned: by Metadata, by a batch */
    uint64_t passed_bytes[2]; /* of records that are no inference, and of copies */
};

/* Bytes of a frame's records by their fate; the rest of the frame is framing. */
struct cap_krecords_taken {
    uint64_t read, opaque;
    uint64_t identity[2]; /* of the last good batch, where has_batch */
    bool has_batch;
};

struct cap_krecords;
/* join is borrowed. ERR_NOMEM. */
int cap_krecords_new(struct cap_krecords **out, struct cap_kafka_join *join,
                     struct err *e) MUST_USE;
void cap_krecords_free(struct cap_krecords *k); /* NULL is fine */

/* The records of one partition in a Produce request or a Fetch response that came at
 * `at` in direction dir of connection `source`. Adds to *taken. A failure of the join
 * is kept for cap_krecords_check. */
void cap_krecords_take(struct cap_krecords *k, const struct cap_kafka_part *p, int dir,
                       bool produced, uint32_t source, struct clk_wall at,
                       struct cap_krecords_taken *taken);
/* A partition of a Produce response: where a batch that was produced begins.
 * `identity`: of that batch. */
void cap_krecords_placed(struct cap_krecords *k, const uint64_t identity[2],
                         int64_t base_offset);
/* A topic of a Metadata response. */
void cap_krecords_topic(struct cap_krecords *k, const struct cap_kafka_part *p);

int cap_krecords_check(const struct cap_krecords *k, struct err *e) MUST_USE;
const struct cap_krecords_counts *cap_krecords_counts(const struct cap_krecords *k);
const struct cap_kafka_counts *cap_krecords_joined(const struct cap_krecords *k);

#endif

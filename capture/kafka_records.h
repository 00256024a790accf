/*
 * kafka_records.h - the records that a capture sees on Kafka connections: each once,
 * under the name of its topic, handed to the join (kafka_join.h).
 *
 * A record crosses the wire when it is produced and again for each group of consumers
 * that fetches it. The first sight is the record, all others are copies of it: a batch
 * is known by what producers put in it (cap_batch.identity), or by its topic, partition
 * and base offset, which the answer to a Produce request tells. The last
 * CAP_KAFKA_BATCHES batches are remembered. A broker may give what was produced in
 * another format: where old ones (magic 0 and 1) are in use, copies are also known by
 * their place alone, among the last CAP_KAFKA_PLACED.
 *
 * A record that is fetched before it was seen produced, though its topic is produced in
 * sight, or though it is older than the capture, was missed: its time is that of the
 * copy, later than it was, and it is told so (cap_kafka_record.late).
 *
 * Newer protocol versions name topics by ids. What an id stands for is told by a
 * Metadata response, or by a batch that was seen under its name when it was produced
 * and comes again, with the same partition and offset, under the id, unless batches of
 * two topics are that. What comes under an id that is not known is held for
 * CAP_KAFKA_UNKNOWN_NS since the id's first batch, within CAP_KAFKA_UNKNOWN_BYTES, for
 * clients ask soon; then batches of that id are opaque until it is known.
 *
 * A batch that a fetch cuts off at its end comes again, and is passed over. So are
 * control batches and tombstones (records without a value).
 *
 * The topics that matter are those of Seldon Core v2, with any prefix and namespace
 * (kafka_topic_guess). One thread at a time.
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
#define CAP_KAFKA_PLACED     1024u

#define CAP_KAFKA_UNKNOWN_NS      (3 * CLK_SEC)
#define CAP_KAFKA_UNKNOWN_BYTES   ((size_t)16 << 20)
#define CAP_KAFKA_UNKNOWN_BATCHES 1024u
#define CAP_KAFKA_UNKNOWN_IDS     64u

struct cap_krecords_counts {
    uint64_t batches, records;
    uint64_t copies;         /* of the batches: seen before */
    uint64_t late;           /* of the batches: their Produce request was missed */
    uint64_t old_format;     /* of the batches: magic 0 or 1 */
    uint64_t topics_unknown, /* batches whose topic id is not known */
        checksums_wrong, malformed, cut,
        packed; /* batches whose compression could not be undone */
    uint64_t topics_told, topics_matched; /* ids learned: by Metadata, by a batch */
    uint64_t passed_bytes[2]; /* of records that are no inference, and of copies */
    /* Of batches that wait for their topic's name; of those that got none, or could not
     * be read with it. */
    uint64_t held_bytes[2], opaque_bytes[2];
};

/* Bytes of a frame's records by their fate; the rest of the frame is framing. */
struct cap_krecords_taken {
    uint64_t read, opaque;
    uint64_t set; /* of what a Produce request holds for one partition; 0: nothing */
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
/* A partition of a Produce response: where the first batch of a set begins. */
void cap_krecords_placed(struct cap_krecords *k, uint64_t set, int64_t base_offset);
/* Bytes that clients sent were missed: there may have been Produce requests in them. */
void cap_krecords_missed(struct cap_krecords *k);
/* Packet time passes: what waited for too long is opaque. */
void cap_krecords_time(struct cap_krecords *k, struct clk_wall now);
void cap_krecords_flush(struct cap_krecords *k); /* nothing more comes */
/* When the oldest batch that waits came, at most `now`. */
struct clk_wall cap_krecords_oldest(const struct cap_krecords *k, struct clk_wall now);
/* A topic of a Metadata response. */
void cap_krecords_topic(struct cap_krecords *k, const struct cap_kafka_part *p);

int cap_krecords_check(const struct cap_krecords *k, struct err *e) MUST_USE;
const struct cap_krecords_counts *cap_krecords_counts(const struct cap_krecords *k);
const struct cap_kafka_counts *cap_krecords_joined(const struct cap_krecords *k);

#endif

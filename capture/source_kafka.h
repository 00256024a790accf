/*
 * source_kafka.h - the records of an installation's topics, in order of their times.
 *
 * Reads all partitions of the topics that are there at the start, by themselves: no
 * consumer group, no commit, nothing on the broker changes. Of the partitions' next
 * records the oldest comes first, so that what is told is ordered as well as each
 * partition is, and no partition runs ahead of another. A partition that is read to its
 * end, or that is silent for CAP_KAFKA_SILENT_NS, is not waited for. Topics and
 * partitions that appear later are not read; a warning says so, and they are counted.
 *
 * One thread at a time; librdkafka has its own.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CAPTURE_SOURCE_KAFKA_H
#define CAPTURE_SOURCE_KAFKA_H

#include "capture/kafka_join.h"

#define CAP_KAFKA_PARTITIONS_MAX 1024u
#define CAP_KAFKA_HEADERS_MAX    256u /* of one record; what is beyond is left out */
#define CAP_KAFKA_SILENT_NS      (2 * CLK_SEC)
#define CAP_KAFKA_WAIT_MS        50 /* that cap_kafka_next waits at most, about */

struct cap_kafka_config {
    const char *brokers;             /* HOST:PORT,… */
    const char *prefix, *name_space; /* of the topics */
    /* "beginning", "end", an offset, a time ("2031-05-04T12:00:00Z"), or a duration
     * before now ("15m"). */
    const char *from;
    bool until_end; /* stop at the ends that the partitions have at the start */
    /* KEY=VALUE for librdkafka. VALUE may be file:PATH or env:NAME, and must be for
     * what is secret. What would join a group, commit, or change what is read is
     * refused. */
    const char *const *options;
    size_t option_count;
    int64_t connect_ns; /* for each answer of the brokers at the start */
};

struct cap_kafka_reads {
    uint32_t topics, partitions;
    uint64_t bytes; /* of keys, values and headers that were given */
    uint64_t
        offsets_skipped;    /* asked for, but deleted by the broker before the start */
    uint64_t offsets_empty; /* without a record: compaction, transactions */
    uint64_t headers_left_out; /* not printable, or too many */
    uint32_t partitions_new;   /* appeared later, not read */
    uint64_t silences;         /* times that a partition was not waited for */
};

struct cap_kafka_source;
/* ERR_USAGE: options; ERR_PEER: brokers; ERR_LIMIT: too many partitions. The error
 * names no secret. Borrows nothing. */
int cap_kafka_open(struct cap_kafka_source **out, const struct cap_kafka_config *config,
                   struct err *e) MUST_USE;
void cap_kafka_close(struct cap_kafka_source *s); /* NULL is fine */

enum { CAP_KAFKA_END, CAP_KAFKA_RECORD, CAP_KAFKA_QUIET };
/* *r is borrowed until the next call. ERR_PEER: a partition cannot be read on. */
int cap_kafka_next(struct cap_kafka_source *s, struct cap_kafka_record *r,
                   struct err *e) MUST_USE;

const struct cap_kafka_reads *cap_kafka_reads(const struct cap_kafka_source *s);

#endif

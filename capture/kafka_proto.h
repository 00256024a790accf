/*
 * kafka_proto.h - the messages of Kafka's wire protocol that carry records, or say
 * which topic a topic id stands for.
 *
 * A request is: length (4), api (2), version (2), correlation id (4), client id, then,
 * from an api's first flexible version on, tagged fields. A response is: length,
 * correlation id, and tagged fields likewise. Read are
 *   Produce   0 to 13; flexible from 9, topic ids from 13
 *   Fetch     0 to 18; flexible from 12, topic ids from 13 (requests: their head alone)
 *   Metadata  10 to 13, responses: topic ids with their names
 * in both forms: classic strings and arrays behind lengths of 2 and 4 bytes, flexible
 * ones behind varints of length + 1. Pure functions that borrow; thread-safe.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CAPTURE_KAFKA_PROTO_H
#define CAPTURE_KAFKA_PROTO_H

#include "traces/base/span.h"

enum { CAP_KAFKA_PRODUCE = 0, CAP_KAFKA_FETCH = 1, CAP_KAFKA_METADATA = 3 };

#define CAP_KAFKA_API_MAX     100   /* highest api key that is credible */
#define CAP_KAFKA_VERSION_MAX 30    /* highest version of any */
#define CAP_KAFKA_CLIENT_MAX  1024u /* bytes of a credible client id */
/* A frame is at most so long: what brokers and clients of SCv2 allow is 10^9 bytes. */
#define CAP_KAFKA_LENGTH_MAX   (1u << 30)
#define CAP_KAFKA_REQUEST_HEAD 14u /* bytes that tell whether one may begin */
#define CAP_KAFKA_TOPIC_ID     16u

struct cap_kafka_head {
    uint32_t length; /* of what follows the length */
    int16_t api, version;
    uint32_t correlation;
    struct span client; /* empty where there is none */
    bool whole;         /* its client id is all there */
};
/* Whether a request may begin at s, which has CAP_KAFKA_REQUEST_HEAD bytes at least. */
bool cap_kafka_head_of(struct span s, struct cap_kafka_head *h);

/* Whether responses (requests) of that api and version are read. */
bool cap_kafka_response_known(int api, int version);
bool cap_kafka_produce_known(int version);

/* One partition of a Produce or Fetch, or one topic of a Metadata response. */
struct cap_kafka_part {
    struct span topic; /* its name; empty: told by id */
    struct span id;    /* CAP_KAFKA_TOPIC_ID bytes, or empty */
    int32_t partition;
    int16_t error;
    int64_t base_offset; /* Produce response; -1 where it tells none */
    struct span records; /* Produce request, Fetch response */
};
typedef void cap_kafka_part_fn(void *arg, const struct cap_kafka_part *p);

/* What a whole frame (with its length) holds, part by part. False: it is not what its
 * version says; parts may have been told. *acks: 0 when no response will come. */
bool cap_kafka_produce_read(struct span frame, cap_kafka_part_fn *fn, void *arg,
                            int *acks);
bool cap_kafka_response_read(struct span frame, int api, int version,
                             cap_kafka_part_fn *fn, void *arg);

#endif

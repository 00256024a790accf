/*
 * kafka_brokers.h - the brokers of a run: their clients, and the topics that requests
 * go to and answers come from.
 *
 * What a run asks, and where Seldon Core v2 answers:
 *   a model       PREFIX.NAMESPACE.model.NAME.inputs, answered in its .outputs, or in
 *                 PREFIX.NAMESPACE.errors.errors when it fails
 *   a pipeline    PREFIX.NAMESPACE.pipeline.NAME.inputs, answered in its .outputs;
 *                 failures are copied there, with the header seldon-pipeline-errors
 *
 * Every partition of an answering topic is read from the end that it had before the
 * first request of that model or pipeline was prepared: nothing older is counted, and
 * nothing missed. A topic that was not there then is looked for every second and read
 * from its beginning. No group is joined, no offset committed, no topic created.
 *
 * Open, close and the counts belong to one thread; routes may be asked for by another;
 * what the engine does is in kafka_own.h. librdkafka has threads of its own.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef REPLAY_ENGINE_KAFKA_BROKERS_H
#define REPLAY_ENGINE_KAFKA_BROKERS_H

#include <stddef.h>

#include "replay/engine/engine.h"
#include "replay/route.h"
#include "traces/base/hist.h"
#include "traces/wire/kafka_topic.h"

#define REP_KAFKA_ROUTES_MAX     8192u  /* models and pipelines of a run */
#define REP_KAFKA_PARTITIONS_MAX 16384u /* that are read */
/* Operations that ended without an answer and are remembered, to tell an answer that is
 * late from a second one. */
#define REP_KAFKA_LATE_MAX (1u << 20)

struct rep_kafka_config {
    const char *brokers;             /* HOST:PORT,… */
    const char *prefix, *name_space; /* of the topics */
    const char *const *options;      /* KEY=VALUE for librdkafka (kafka_conf.h) */
    size_t option_count;
    enum kafka_key_style keys;
    uint64_t id_nonce;   /* of the ids that this run mints (mark.h) */
    int64_t connect_ns;  /* longest wait for each answer of the brokers */
    int64_t deadline_ns; /* what is not delivered by then is not sent any more */
};

/* What came of records; they are of the engine's thread until it is closed. */
struct rep_kafka_counts {
    uint64_t delivered;   /* acknowledged by the broker */
    uint64_t undelivered; /* given up: refused, lost with its broker, or too late */
    uint64_t answers;     /* that ended an operation */
    uint64_t failures;    /* of these: failures of a model */
    uint64_t again;       /* to an operation that had its answer */
    uint64_t late;    /* to one that had ended without: deadline, lost, interrupted */
    uint64_t hops;    /* of this run's keys, but a step on the way of a pipeline */
    uint64_t unknown; /* keys that this run did not give */
    uint64_t read_errors;       /* partitions that could not be read on */
    uint64_t queue_full;        /* times that librdkafka's queue took no more */
    uint64_t topics_late;       /* answering topics that were not there at first */
    struct hist delivery;       /* sent to acknowledged, ns */
    struct rep_failures errors; /* what models and brokers said, each text once */
};

struct rep_kafka;

/* Makes the clients and asks the brokers for their topics. ERR_USAGE: options;
 * ERR_PEER: the brokers cannot be reached, or have none of our topics; the text says
 * what to look at, and no secret. Borrows the strings of config. */
int rep_kafka_open(struct rep_kafka **k, const struct rep_kafka_config *config,
                   struct err *e) MUST_USE;
void rep_kafka_close(struct rep_kafka *k); /* after the engine; NULL is fine */

/* To be given to the feeder: find may wait for the brokers. */
struct rep_routes rep_kafka_routes(struct rep_kafka *k);

const struct rep_kafka_counts *rep_kafka_counts(struct rep_kafka *k);
const char *rep_kafka_version(void);            /* of librdkafka */
extern const char *const rep_kafka_key_names[]; /* by style: "2.7" "2.8" "2.10" */

#endif

/*
 * si_kafka.h - the tier kafka of the stand-in: a broker in this process (librdkafka's
 * mock cluster), and what answers behind its topics.
 *
 * Every model and pipeline of the catalog has its topics. A record of an inputs topic
 * is answered in the outputs topic with the same key on the same partition, its headers
 * copied and those of the model's answer added; an error goes to the errors topic, and
 * of a pipeline to its outputs as well, with the header seldon-pipeline-errors. A
 * protobuf request gets a protobuf answer, JSON gets JSON. A pipeline takes only
 * records whose header `pipeline` names it and that hold a tensor; others are dropped.
 * One thread, that of the loop; librdkafka has its own.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DEPLOY_STANDIN_SI_KAFKA_H
#define DEPLOY_STANDIN_SI_KAFKA_H

#include "deploy/standin/si_core.h"

#define SI_PARTITIONS_MAX 64u

struct si_kafka_options {
    /* Answer behind the topics of these brokers, which have to be there, in place of a
     * broker of our own: requests from now on. NULL: a broker of our own. */
    const char *brokers;
    const char *prefix, *name_space;
    uint64_t partitions; /* of each topic */
};

struct si_kafka;

/* Service times, faults, queue and counts are those of the core; models and pipelines
 * those of its world. ERR_USAGE: nothing is declared, or faults that a topic cannot
 * have; ERR_NOMEM. */
int si_kafka_open(struct si_kafka **k, struct si_core *core,
                  const struct si_kafka_options *options, struct err *e) MUST_USE;
const char *si_kafka_brokers(const struct si_kafka *k); /* "127.0.0.1:41234" */
void si_kafka_close(struct si_kafka *k);                /* NULL is fine */

#endif

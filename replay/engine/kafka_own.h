/*
 * kafka_own.h - what the files of the Kafka engine share: kafka_brokers.c makes
 * clients, kafka_topics.c finds topics, kafka_calls.c remembers what is under way,
 * kafka_engine.c sends, kafka_answer.c joins. Inside replay/engine/kafka*.c only.
 *
 * Types of librdkafka are named by their structs, so that no header includes its.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef REPLAY_ENGINE_KAFKA_OWN_H
#define REPLAY_ENGINE_KAFKA_OWN_H

#include <pthread.h>
#include <stdatomic.h>

#include "replay/engine/kafka_brokers.h"
#include "traces/base/buf.h"

#define REP_KAFKA_ERROR_HEADER    "seldon-pipeline-errors"
#define REP_KAFKA_PIPELINE_HEADER "pipeline"

struct rd_kafka_s;
struct rd_kafka_topic_s;
struct rd_kafka_queue_s;
struct rd_kafka_message_s;
struct rd_kafka_metadata;

/* A topic that answers come from. Made by whoever finds it; `at_end` is the engine's.
 */
struct rep_kafka_source {
    struct rep_kafka *kafka;
    const struct rep_kafka_route *route; /* NULL: the errors topic */
    struct rd_kafka_topic_s *topic;
    int32_t partitions; /* that it has; 0: it is not there yet */
    int32_t reads;      /* of them, that are read */
    bool *at_end;       /* each: everything that was there has been read, once */
    struct rep_kafka_source *next;
};

struct rep_kafka_route {
    struct rep_route base;
    struct rd_kafka_topic_s *to;
    const char *why;        /* it cannot be used, for now; or NULL */
    int64_t asked_ns;       /* when that was found out */
    bool missing;           /* the topic of its answers was not there */
    int32_t partitions;     /* of the topic that requests go to */
    int32_t next_partition; /* the engine's: it deals them in turn */
    struct rep_kafka_source from;
    struct rep_kafka_route *next;
};

struct rep_kafka {
    struct rep_kafka_config config;
    struct rd_kafka_s *producer, *consumer;
    struct rd_kafka_queue_s *records, *events[2]; /* main queues of the two */
    uint64_t queue_max; /* messages that may wait to be sent */
    struct rep_kafka_counts counts;
    struct rep_engine *engine; /* while there is one */
    char trouble[200]; /* what librdkafka said last, before there is an engine */

    pthread_mutex_t lock; /* of all below */
    pthread_cond_t changed;
    pthread_t seeker; /* looks for topics that are not there yet */
    bool seeking;
    _Atomic bool closing; /* may be set without the lock, which a look may hold */
    const struct rd_kafka_metadata *list; /* of topics, as of listed_ns */
    int64_t listed_ns;
    struct rep_kafka_route *routes;
    struct rep_kafka_source errors;
    bool no_errors; /* that topic was not there */
    uint32_t route_count, partition_count;
    uint32_t missing;                      /* answering topics that are not there yet */
    _Atomic uint32_t started, topics_late; /* partitions that are read; late topics */
};

/* Lists all topics into k->list: brokers may make one exist that is asked for by its
 * name. Returns a code of librdkafka, 0 for success. The lock is held, or nobody else
 * knows k yet. */
int rep_kafka_list_topics(struct rep_kafka *k);
/* Reads the topic of errors, or waits for it to come. A negative number: neither, for
 * the reason in *why. */
int rep_kafka_watch_errors(struct rep_kafka *k, const char **why);
void rep_kafka_close_topics(struct rep_kafka *k); /* all of them, and the waiting */

/* The engine's, set while it is open: a message was delivered or was not. m is a
 * rd_kafka_message_t. */
void rep_kafka_delivered(struct rep_engine *en, const void *message);
/* librdkafka says that something is wrong with a broker. */
void rep_kafka_trouble(struct rep_engine *en, const char *text);

/* --- kafka_calls.c ---------------------------------------------------------------- */

/* A message between produce() and both its ends: delivered or not, and answered or
 * given up. */
struct rep_kafka_call {
    struct rep_request *r; /* NULL: ended; only its delivery is waited for */
    struct rep_kafka_route *route;
    struct rep_kafka_call *next; /* spare ones, and those that wait to be produced */
    uint64_t index;              /* of its operation */
    int64_t sent_ns;
    int32_t partition;
    bool queued; /* librdkafka has it and has not reported its delivery */
};

/* Calls by the index of their operation, and which operations ended without an answer.
 * Zeroed is empty. */
struct rep_kafka_calls {
    struct rep_kafka_slot *slots; /* open addressing, a power of two */
    size_t cap, used;
    uint64_t *late; /* ring of the indexes that ended without an answer */
    size_t late_cap, late_put, late_taken;
    struct rep_kafka_call *spare;
    struct rep_kafka_chunk *chunks; /* memory of all calls */
};

/* A call in the table; NULL: no memory. */
struct rep_kafka_call *rep_kafka_calls_new(struct rep_kafka_calls *c, uint64_t index);
/* What is known of an operation: it is under way (*call), was given up, or neither. */
enum rep_kafka_known { REP_KAFKA_UNKNOWN, REP_KAFKA_UNDER_WAY, REP_KAFKA_GIVEN_UP };
enum rep_kafka_known rep_kafka_calls_find(const struct rep_kafka_calls *c,
                                          uint64_t index, struct rep_kafka_call **call);
/* It ended: with its answer, or given up. The call stays the caller's. */
void rep_kafka_calls_end(struct rep_kafka_calls *c, struct rep_kafka_call *call,
                         bool answered);
/* Forgets that an operation was given up. */
void rep_kafka_calls_forget(struct rep_kafka_calls *c, uint64_t index);
void rep_kafka_calls_free(struct rep_kafka_calls *c, struct rep_kafka_call *call);
void rep_kafka_calls_done(struct rep_kafka_calls *c);

/* --- the engine ------------------------------------------------------------------- */

#define REP_KAFKA_BATCH 256 /* records taken at a time */

struct rep_kafka_engine {
    struct rep_engine base;
    struct rep_kafka *k;
    int fd; /* written to by librdkafka when a queue has news */
    bool watched;
    struct rep_queue flight; /* of requests, in the order of their deadlines */
    struct rep_kafka_calls calls;
    struct rep_kafka_call *again, **again_tail; /* that found the queue full */
    uint64_t queued; /* messages that librdkafka has not reported on */
    bool full;
    int64_t room_ns; /* when it was full for the last time */
    int64_t looked_ns;
    uint32_t at_end; /* partitions that were read to their end */
    struct buf key;
    struct rd_kafka_message_s *batch[REP_KAFKA_BATCH];
};

int64_t rep_kafka_now(struct rep_kafka_engine *en);
/* The request goes back; its call lives on while its delivery is not known. */
void rep_kafka_finish(struct rep_kafka_engine *en, struct rep_kafka_call *call,
                      enum out_cause cause);
/* Writes the call's key into en->key. */
void rep_kafka_make_key(struct rep_kafka_engine *en, const struct rep_kafka_call *call);

/* --- kafka_answer.c --------------------------------------------------------------- */

/* What a model or a broker said, once each. What is not printable shows as '?'. */
void rep_kafka_count_error(struct rep_kafka_engine *en, const char *who,
                           struct span name, struct span said);
/* A record, or what else librdkafka tells of a partition; read at `now`. */
void rep_kafka_take_event(struct rep_kafka_engine *en,
                          const struct rd_kafka_message_s *m, int64_t now);

#endif

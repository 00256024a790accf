/*
 * kafka_topic.h - what the names, keys and values of Seldon Core v2's topics say.
 *
 *   PREFIX.NAMESPACE.model.NAME.inputs      PREFIX.NAMESPACE.model.NAME.outputs
 *   PREFIX.NAMESPACE.pipeline.NAME.inputs   PREFIX.NAMESPACE.pipeline.NAME.outputs
 *   PREFIX.NAMESPACE.errors.errors          one for everything in the namespace
 *
 * Keys, by release:
 *   up to 2.7     ID
 *   2.8 to 2.9.1  NAME.ID                NAME: of the pipeline, or of the model that is
 *   from 2.10     PARTITION.NAME.ID      called through the pipeline gateway
 *
 * With a schema registry (from 2.10) a value stands behind Confluent's framing: a zero
 * byte, the schema's number in four bytes (big-endian), and the place of the message in
 * its schema: a count and so many numbers, zigzag varints, where a lone zero stands for
 * the first message. A message of the Open Inference Protocol never begins with a zero
 * byte, nor does JSON.
 *
 * Pure functions that borrow from their arguments; thread-safe.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_WIRE_KAFKA_TOPIC_H
#define TRACES_WIRE_KAFKA_TOPIC_H

#include "traces/base/buf.h"
#include "traces/op.h"

enum kafka_topic_kind {
    KAFKA_TOPIC_OTHER,
    KAFKA_TOPIC_INPUTS,
    KAFKA_TOPIC_OUTPUTS,
    KAFKA_TOPIC_ERRORS
};

struct kafka_topic {
    enum kafka_topic_kind kind;
    enum op_resource resource; /* OP_MODEL or OP_PIPELINE */
    struct span name;          /* empty for errors */
};

/* What a topic is for, to an installation with that prefix and namespace. A prefix may
 * have dots in it; so may a name. */
struct kafka_topic kafka_topic_of(struct span topic, const char *prefix,
                                  const char *name_space);

/* The same where neither is known: the first part that is `model` or `pipeline` and has
 * two parts before it at least, names what the topic is for. */
struct kafka_topic kafka_topic_guess(struct span topic);

/* Appends the name of a topic; resource and name are not looked at for errors. */
void kafka_topic_write(enum kafka_topic_kind kind, enum op_resource resource,
                       struct span name, const char *prefix, const char *name_space,
                       struct buf *out);

enum kafka_key_style { KAFKA_KEY_ID, KAFKA_KEY_NAME_ID, KAFKA_KEY_PARTITION_NAME_ID };

struct kafka_key {
    enum kafka_key_style style;
    int32_t partition; /* -1 where the key does not say */
    struct span id;
};
/* `owner` is the name that the key may hold: of the pipeline (header "pipeline"), else
 * of the topic. An id may look like anything, so only that name tells the styles apart.
 */
struct kafka_key kafka_key_of(struct span key, struct span owner);
/* Appends the key of that style. */
void kafka_key_write(enum kafka_key_style style, int32_t partition, struct span owner,
                     struct span id, struct buf *out);

#define KAFKA_SCHEMA_INDEX_MAX 64u /* numbers that say where a message stands */

enum kafka_framing {
    KAFKA_FRAMING_NONE,
    KAFKA_FRAMING_SCHEMA,
    KAFKA_FRAMING_BROKEN /* begins with a zero byte, but no framing can be read */
};
struct kafka_value {
    enum kafka_framing framing;
    uint32_t schema;    /* SCHEMA only */
    struct span body;   /* without framing; all of it when it is BROKEN */
    bool first_message; /* SCHEMA: the message is the first of its schema */
};
struct kafka_value kafka_value_of(struct span value);

#endif

/*
 * tier.h - what each tier of SCv2 wants to be told: names, headers and paths, as one
 * table.
 *
 * The same model is called "iris" at envoy, "iris_1" at its server and "iris.model" at
 * the pipeline gateway. A row says, for a tier, a protocol and a kind of resource,
 * which form stands in the path (REST) or in model_name (gRPC; in the records of the
 * tier kafka, whatever the protocol was), in `seldon-model` and in
 * `seldon-internal-model`. What has no row cannot be expressed there and is refused,
 * with the reason. As observed on Seldon Core 2.8.5 and 2.10.2: rproxy 2.8.5 wants both
 * headers, so both are always sent; envoy knows no ".model"; the pipeline gateway goes
 * by its header alone. Read-only data and pure functions; thread-safe.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef REPLAY_TIER_H
#define REPLAY_TIER_H

#include "traces/base/buf.h"
#include "traces/op.h"

/* How a resource is called. */
enum rep_name {
    REP_NAME_NONE,       /* not at all: the header is not sent */
    REP_NAME_BARE,       /* iris */
    REP_NAME_INTERNAL,   /* iris_1 */
    REP_NAME_MODEL,      /* iris.model */
    REP_NAME_PIPELINE,   /* chain.pipeline */
    REP_NAME_EXPERIMENT, /* split.experiment */
};

struct rep_tier_rule {
    enum op_tier tier;
    enum op_protocol protocol;
    enum op_resource resource;
    enum rep_name target;       /* in the REST path, or as gRPC model_name */
    enum rep_name seldon_model; /* value of `seldon-model` */
    enum rep_name internal;     /* value of `seldon-internal-model` */
};

/* The row, or NULL with *why set to a constant text that says why there is none. */
const struct rep_tier_rule *rep_tier_rule(enum op_tier tier, enum op_protocol protocol,
                                          enum op_resource resource, const char **why);
/* The i-th row; NULL past the last. */
const struct rep_tier_rule *rep_tier_rule_at(size_t i);

/* Which version a model has: `iris` of version 3 is `iris_3` inside. The scheduler
 * counts from 1 and on with every change, so 1 is right for a first load alone. */
struct rep_version {
    struct span name;
    uint64_t version;
};
struct rep_versions {
    uint64_t common; /* of every model that is not listed */
    const struct rep_version *listed;
    size_t count;
};

/* Appends the name in that form. */
void rep_tier_name(const struct rep_versions *v, enum rep_name form, struct span name,
                   struct buf *out);

/* Appends the REST path: the recorded one with its model or pipeline segment replaced
 * by the tier's form (and without "/versions/N" at the server tier, where N is another
 * count), or /v2/models/NAME/infer where none was recorded. Paths that name no resource
 * stay. */
void rep_tier_path(const struct rep_tier_rule *rule, const struct rep_versions *v,
                   const struct op_stream *s, struct buf *out);

/* True for a name that can stand in a path and in a header as it is. */
bool rep_tier_name_ok(struct span name);

/* True for what can be the name of a header (RFC 9110, 5.6.2). */
bool rep_tier_is_token(struct span name);

/* Whether a recorded header goes along. Not: what belongs to one hop (connection, te,
 * content-length, x-forwarded-*, x-envoy-* …), what routes (seldon-model,
 * x-seldon-route: a recorded one makes envoy answer 404), what we set ourselves, and
 * credentials. */
bool rep_tier_header_passes(const struct op_header *h);

/* Whether a recorded header of an operation of that protocol goes into a record of
 * Kafka: x- headers that pass, and of a record others too. */
bool rep_tier_record_header_passes(enum op_protocol protocol,
                                   const struct op_header *h);

/* True where two calls in flight must not share a request id: the pipeline gateway
 * matches answers by it, and a shared one gives one caller the other's answer and hangs
 * the other. At the tier kafka we do the matching. */
bool rep_tier_needs_unique_id(enum op_tier tier, enum op_resource resource);

#endif

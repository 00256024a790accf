/*
 * mix.h - what arrives: model type, instance, protocol, batch, body and id of each
 * operation.
 *
 * The third layer of synthesis (arr_rate.h names the three); importers use it too, to
 * turn arrival times into operations. A type is drawn by weight, then an instance of it
 * by popularity (SCv2's k6 tests draw both uniformly), then the protocol and the batch
 * size. Each of these has a random stream of its own, so that another choice of one
 * does not change the draws of the others. Operations borrow from the mix until the
 * next call. Bodies of constant values are built once per type, protocol and batch. Not
 * thread-safe.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_SYNTH_MIX_H
#define TRACES_SYNTH_MIX_H

#include "traces/base/jsonw.h"
#include "traces/base/opt.h"
#include "traces/op.h"
#include "traces/payload/model_type.h"

enum mix_protocol { MIX_REST, MIX_GRPC, MIX_BOTH };
extern const char *const mix_protocol_names[]; /* "rest" "grpc" "both" */

#define MIX_NAME_MAX  63           /* bytes of a model name: a Kubernetes label */
#define MIX_CACHE_MAX (256u << 20) /* bytes of constant bodies that are kept */

/* As the rows of MIX_OPTS fill it. */
struct mix_options {
    const char *model_types; /* "iris:3,tfsimple": types and weights */
    const char *instances; /* "10" or "10,100": how many of each; 0 leaves a type out */
    const char *popularity; /* "uniform" or "zipf:S", over the instances of a type */
    const char *prefixes;   /* of names, in front of the instance's index, or NULL */
    const char *names;      /* whole names, instead of prefix and index, or NULL */
    const char *batches;    /* "4", "1,4" (one per type) or "1:8,4:1" (weights) */
    int protocol;           /* enum mix_protocol */
    double grpc_share;      /* of MIX_BOTH */
    int values;             /* enum mt_values */
    bool k6, pipeline, ids;
};

#define MIX_OPTS(T, field)                                                             \
    {"model-type",                                                                     \
     'm',                                                                              \
     OPT_STR,                                                                          \
     offsetof(T, field.model_types),                                                   \
     "LIST",                                                                           \
     "iris",                                                                           \
     "model types, with weights if wanted: iris:3,tfsimple",                           \
     NULL,                                                                             \
     "MODEL_TYPE"},                                                                    \
        {"instances",                                                                  \
         0,                                                                            \
         OPT_STR,                                                                      \
         offsetof(T, field.instances),                                                 \
         "LIST",                                                                       \
         "1",                                                                          \
         "models of each type: one number for all types, or one per type; 0 leaves a " \
         "type "                                                                       \
         "out",                                                                        \
         NULL,                                                                         \
         "MAX_NUM_MODELS"},                                                            \
        {"popularity",                                                                 \
         0,                                                                            \
         OPT_STR,                                                                      \
         offsetof(T, field.popularity),                                                \
         "LAW",                                                                        \
         "uniform",                                                                    \
         "how often each instance of a type is meant: uniform, or zipf:S where "       \
         "instance i "                                                                 \
         "has weight (i+1)^-S",                                                        \
         NULL,                                                                         \
         NULL},                                                                        \
        {"name-prefix",                                                                \
         0,                                                                            \
         OPT_STR,                                                                      \
         offsetof(T, field.prefixes),                                                  \
         "LIST",                                                                       \
         NULL,                                                                         \
         "prefixes of the names, one per type, in front of the instance's index, "     \
         "which "                                                                      \
         "starts at 0. Without it: the model type, with - for _",                      \
         NULL,                                                                         \
         "MODELNAME_PREFIX"},                                                          \
        {"model-name",                                                                 \
         0,                                                                            \
         OPT_STR,                                                                      \
         offsetof(T, field.names),                                                     \
         "LIST",                                                                       \
         NULL,                                                                         \
         "whole names, one per type, without an index; needs --instances 1",           \
         NULL,                                                                         \
         "MODEL_NAME"},                                                                \
        {"protocol",                                                                   \
         0,                                                                            \
         OPT_CHOICE,                                                                   \
         offsetof(T, field.protocol),                                                  \
         "NAME",                                                                       \
         "rest",                                                                       \
         "protocol of the operations",                                                 \
         mix_protocol_names,                                                           \
         NULL},                                                                        \
        {"grpc-share",                                                                 \
         0,                                                                            \
         OPT_F64,                                                                      \
         offsetof(T, field.grpc_share),                                                \
         "SHARE",                                                                      \
         "0.5",                                                                        \
         "with --protocol both: the part that is gRPC, from 0 to 1",                   \
         NULL,                                                                         \
         NULL},                                                                        \
        {"batch",                                                                      \
         0,                                                                            \
         OPT_STR,                                                                      \
         offsetof(T, field.batches),                                                   \
         "LIST",                                                                       \
         "1",                                                                          \
         "batch sizes: one number, one per type (1,4), or weights for all types "      \
         "(1:8,4:1)",                                                                  \
         NULL,                                                                         \
         "INFER_BATCH_SIZE"},                                                          \
        {"values",                                                                     \
         0,                                                                            \
         OPT_CHOICE,                                                                   \
         offsetof(T, field.values),                                                    \
         "KIND",                                                                       \
         "constant",                                                                   \
         "tensor values: constant, counting on from operation to operation, or "       \
         "random "                                                                     \
         "within the type's valid range",                                              \
         mt_values_names,                                                              \
         NULL},                                                                        \
        {"k6-compatible",                                                              \
         0,                                                                            \
         OPT_FLAG,                                                                     \
         offsetof(T, field.k6),                                                        \
         NULL,                                                                         \
         NULL,                                                                         \
         "bodies as SCv2's k6 tests build them, defects included",                     \
         NULL,                                                                         \
         NULL},                                                                        \
        {"pipeline",                                                                   \
         0,                                                                            \
         OPT_FLAG,                                                                     \
         offsetof(T, field.pipeline),                                                  \
         NULL,                                                                         \
         NULL,                                                                         \
         "names address pipelines, not models",                                        \
         NULL,                                                                         \
         "VIA_PIPELINE"},                                                              \
    {                                                                                  \
        "ids", 0, OPT_FLAG, offsetof(T, field.ids), NULL, NULL,                        \
            "give every operation a request id, a seeded UUID", NULL, NULL             \
    }

struct mix;
/* ERR_USAGE with the option's name in front; ERR_NOMEM. */
int mix_new(struct mix **m, const struct mix_options *o, uint64_t seed,
            struct err *e) MUST_USE;
void mix_free(struct mix *m); /* NULL is fine */

/* The next operation: everything but its arrival, client and token counts, which the
 * caller sets (they come as of op_empty). batch 0: drawn as the options say; else this
 * one, cut to what the type can carry and to 1 where it does not batch. ERR_LIMIT,
 * ERR_NOMEM. */
int mix_next(struct mix *m, uint32_t batch, struct op *op, struct err *e) MUST_USE;

/* Models, over all types. */
uint64_t mix_models(const struct mix *m);

/* Key and value pairs for the object that w has open: all options in effect. */
void mix_describe(const struct mix *m, struct jsonw *w);

#endif

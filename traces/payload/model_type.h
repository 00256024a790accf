/*
 * model_type.h - the table of SCv2's MODEL_TYPEs: artefacts, tensors, payloads,
 * answers.
 *
 * One row per type, from which everything else follows: what to load, what a request of
 * batch size B looks like in each protocol, what k6 sent instead, and what a right
 * answer must satisfy. Read-only data; thread-safe.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_PAYLOAD_MODEL_TYPE_H
#define TRACES_PAYLOAD_MODEL_TYPE_H

#include "traces/base/buf.h"
#include "traces/base/rng.h"
#include "traces/op.h"
#include "traces/payload/pay_tensor.h"

enum mt_values {
    MT_CONSTANT, /* the same in every request: the correct form of what k6 sends */
    MT_COUNTING, /* values that count on from request to request */
    MT_RANDOM,   /* seeded, within the type's valid range */
};
extern const char *const mt_values_names[]; /* "constant" "counting" "random" */

#define MT_BATCH_MAX 4096

struct mt_tensor {
    const char *name, *k6_rest_name, *k6_grpc_name;
    enum pay_type type;
    int32_t dims[4];  /* -1 is the batch size; 0 ends */
    double low, high; /* valid range of MT_RANDOM values; integers include high */
    const char *text; /* BYTES: the constant */
    bool ramp;        /* MT_CONSTANT counts 0, 1, 2 … */
    double constant;  /* … or repeats this */
};

struct mt_param {
    const char *name, *value;
};

enum mt_kind {
    MT_TFSIMPLE_STRING,
    MT_TFSIMPLE,
    MT_IRIS,
    MT_PYTORCH_CIFAR10,
    MT_TFMNIST,
    MT_TFRESNET152,
    MT_ONNX_GPT2,
    MT_MLFLOW_WINE,
    MT_ADD10,
    MT_SENTIMENT,
    MT_ECHO,
    MT_SYNTH,
    MT_KIND_COUNT
};

/* Memory that SCv2's templates ask for a model of any type, in bytes. */
#define MT_MEMORY_BYTES 20000

struct model_type {
    enum mt_kind kind; /* its place in the table */
    const char *name;  /* "tfsimple" */
    const char *storage_uri;
    bool uri_numbered;        /* several artefacts: see model_type_uri */
    const char *requirements; /* comma list */
    const char *server;       /* "mlserver" or "triton" */
    const struct mt_tensor *inputs;
    uint32_t input_count;
    const struct mt_param *model_params; /* to load it with; ends with a NULL name */
    const char *content_type_param;      /* request parameter content_type, or NULL */
    uint32_t max_batch;                  /* 0: no limit of its own */
    bool batches; /* whether the batch size changes its tensors */
};

const struct model_type *model_type_find(struct span name); /* NULL: unknown */
const struct model_type *model_type_at(size_t i);           /* NULL past the last */

/* Appends the storage URI of instance `offset`: of a numbered type one of ten
 * artefacts. */
void model_type_uri(const struct model_type *mt, uint64_t offset, struct buf *out);

/* Why REST or gRPC cannot carry what k6 built for this type, or NULL when it can. */
const char *model_type_k6_refusal(const struct model_type *mt,
                                  enum op_protocol protocol);

/* Appends the body of one request: JSON for OP_REST, a ModelInferRequest without
 * model_name for OP_GRPC and OP_KAFKA. `ordinal` makes MT_COUNTING and MT_RANDOM differ
 * from request to request; the same mt_request always gives the same bytes. With k6,
 * builds what k6 sent, defects included (always MT_CONSTANT). The batch size is of no
 * effect where mt->batches is false, as in k6. ERR_LIMIT: a batch that the type or a
 * message cannot carry; ERR_USAGE: batch 0, another protocol, or k6 where
 * model_type_k6_refusal says so or with other values than MT_CONSTANT. */
#define MT_TENSOR_BYTES_MAX (64u << 20) /* of one request's elements */
struct mt_request {
    enum op_protocol protocol;
    uint32_t batch;
    enum mt_values values;
    uint64_t seed, ordinal;
    bool k6;
};
int model_type_request(const struct model_type *mt, const struct mt_request *q,
                       struct buf *out, struct err *e) MUST_USE;

/* Computes a plausible answer to a decoded request (tfsimple adds and subtracts, add10
 * adds 10, iris classifies …): outputs only, borrowed from a. ERR_FORMAT when the
 * request does not fit the type. */
int model_type_answer(const struct model_type *mt, const struct pay_message *request,
                      struct arena *a, struct pay_message *answer,
                      struct err *e) MUST_USE;

/* True where the right answer follows from the request element by element, and (nearly)
 * no two different requests have the same one: an answer tells its request. */
bool model_type_is_function(const struct model_type *mt);

/* Whether an answer is what the type must give to that request: exact where the type is
 * a function (sums, echoes), shape and range where it is not (classes). 0 right;
 * ERR_FORMAT wrong, with the first difference; ERR_USAGE when the request itself cannot
 * be judged. */
int model_type_check(const struct model_type *mt, const struct pay_message *request,
                     const struct pay_message *answer, struct err *e) MUST_USE;

#endif

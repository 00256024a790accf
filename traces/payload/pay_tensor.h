/*
 * pay_tensor.h - an inference message of the V2 protocol, apart from its encoding.
 *
 * REST JSON (v2_json.h) and gRPC protobuf (v2_proto.h) decode into and encode from this
 * one form, so that payloads are built, and answers compared, once. Numeric elements
 * are kept as one packed little-endian array of the datatype's width; BYTES elements as
 * spans. Datatype names and contents rules: V2 inference protocol; SCv2 facts as noted
 * at v2_json.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_PAYLOAD_PAY_TENSOR_H
#define TRACES_PAYLOAD_PAY_TENSOR_H

#include "traces/base/arena.h"
#include "traces/base/err.h"

#define PAY_RANK_MAX    8
#define PAY_TENSORS_MAX 256
#define PAY_PARAMS_MAX  64

enum pay_type {
    PAY_BOOL,
    PAY_UINT8,
    PAY_UINT16,
    PAY_UINT32,
    PAY_UINT64,
    PAY_INT8,
    PAY_INT16,
    PAY_INT32,
    PAY_INT64,
    PAY_FP16,
    PAY_FP32,
    PAY_FP64,
    PAY_BYTES,
    PAY_BF16,
    PAY_TYPE_COUNT
};
extern const char *const pay_type_names[]; /* "BOOL" "UINT8" … */
size_t pay_type_width(enum pay_type t);    /* bytes per element; 0 for BYTES */
int pay_type_of(struct span name, enum pay_type *t); /* 0, or ERR_FORMAT */

struct pay_param {
    struct span name;
    enum { PAY_PARAM_BOOL, PAY_PARAM_INT, PAY_PARAM_STRING, PAY_PARAM_DOUBLE } kind;
    bool b;
    int64_t i;
    double d;
    struct span s;
};

/* Invariant: product of shape == element_count; packed.n == element_count * width for
 * numeric types; bytes holds element_count spans for BYTES. */
struct pay_tensor {
    struct span name;
    enum pay_type type;
    int64_t shape[PAY_RANK_MAX];
    uint32_t rank;
    uint64_t element_count;
    struct span packed;
    const struct span *bytes;
    const struct pay_param *params;
    uint32_t param_count;
};

/* A request or a response; everything is borrowed from the arena it was decoded into.
 */
struct pay_message {
    struct span model_name, model_version, id;
    const struct pay_param *params;
    uint32_t param_count;
    const struct pay_tensor *tensors; /* inputs of a request, outputs of a response */
    uint32_t tensor_count;
    bool raw; /* gRPC: contents came, or shall go, as raw_*_contents */
};

/* Element i as a double; 0 for BYTES. FP16 and BF16 are widened. */
double pay_tensor_number(const struct pay_tensor *t, uint64_t i);
/* The tensor of that name, or NULL. */
const struct pay_tensor *pay_message_tensor(const struct pay_message *m,
                                            const char *name);

#endif

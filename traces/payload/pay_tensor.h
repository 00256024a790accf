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
/* Elements of one tensor: beyond any message that a tier accepts, below any overflow.
 */
#define PAY_ELEMENTS_MAX (UINT64_C(1) << 32)

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

bool pay_type_is_float(enum pay_type t); /* FP16 BF16 FP32 FP64 */

/* Product of a shape (1 for rank 0). ERR_FORMAT: a negative dimension; ERR_LIMIT: more
 * than PAY_ELEMENTS_MAX. */
int pay_shape_count(const int64_t *shape, uint32_t rank, uint64_t *count,
                    struct err *e) MUST_USE;

/* v rounded to the nearest value of a float type, ties to even; beyond its range:
 * infinity. */
double pay_round(enum pay_type t, double v);
/* Writes one element in its packed form. Floats are rounded; integers must be in range.
 */
void pay_store_float(enum pay_type t, uint8_t *at, double v);
void pay_store_int(enum pay_type t, uint8_t *at,
                   int64_t v); /* all but UINT64; BOOL: 0, 1 */
/* True when v is a value of an integer type other than UINT64, or 0 or 1 for BOOL. */
bool pay_int_fits(enum pay_type t, int64_t v);

/* Element i as a double; 0 for BYTES. FP16 and BF16 are widened. */
double pay_tensor_number(const struct pay_tensor *t, uint64_t i);
/* Element i of an integer type or BOOL, exact. UINT64 comes as its two's complement. */
int64_t pay_tensor_int(const struct pay_tensor *t, uint64_t i);
/* The tensor of that name, or NULL. */
const struct pay_tensor *pay_message_tensor(const struct pay_message *m,
                                            const char *name);
/* The parameter of that name, or NULL. */
const struct pay_param *pay_param_find(const struct pay_param *params, uint32_t count,
                                       const char *name);

/* Offset of the first byte that is not well-formed UTF-8; s.n when all of it is. */
size_t pay_utf8_fault(struct span s);

#endif

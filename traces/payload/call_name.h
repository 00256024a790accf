/*
 * call_name.h - which model or pipeline an HTTP call means, as its path and its headers
 * tell it.
 *
 * Names may carry a suffix that says what is called (.model, .pipeline, .experiment),
 * and models the version by which SCv2 knows them inside ("iris_3"). Names of models
 * have no underscore, so that "_3" at a name's end is always a version. Pure functions
 * over borrowed bytes; thread-safe.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_PAYLOAD_CALL_NAME_H
#define TRACES_PAYLOAD_CALL_NAME_H

#include "traces/op.h"

#define CALL_GRPC_SERVICE "/inference.GRPCInferenceService/"

struct call_name {
    struct span name;
    struct span version; /* "3" of "iris_3"; empty where there is none */
    enum op_resource resource;
};

/* As the value of a header spells it (seldon-model, seldon-internal-model). False, and
 * *c unspecified, when there is no name in it. */
bool call_name_of_value(struct span value, struct call_name *c);
/* As a path tells it: /v2/models/NAME… or /v2/pipelines/NAME…. */
bool call_name_of_path(struct span path, struct call_name *c);
/* model_name of a ModelInferRequest, without decoding the rest; empty where the bytes
 * are none. */
struct span call_name_of_message(struct span message);

/* Whether a call is an inference: of gRPC ModelInfer or ModelStreamInfer; of REST a
 * POST to …/infer or …/generate (and what begins so), with or without a version. */
bool call_is_inference(bool grpc, struct span method, struct span path);

#endif

/*
 * v2_proto.h - V2 inference messages as protobuf: ModelInferRequest,
 * ModelInferResponse.
 *
 * Field numbers: package `inference`, ModelInferRequest 1 model_name, 2 model_version,
 * 3 id, 4 parameters, 5 inputs, 6 outputs, 7 raw_input_contents; ModelInferResponse 5
 * outputs, 6 raw_output_contents. Thread-safe.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_PAYLOAD_V2_PROTO_H
#define TRACES_PAYLOAD_V2_PROTO_H

#include "traces/base/buf.h"
#include "traces/payload/pay_tensor.h"

void v2_proto_request(const struct pay_message *m, struct buf *out);
void v2_proto_response(const struct pay_message *m, struct buf *out);
/* Both: 0, or ERR_FORMAT, ERR_LIMIT, ERR_NOMEM. *m borrows from a and from the bytes.
 */
int v2_proto_parse_request(struct span bytes, struct arena *a, struct pay_message *m,
                           struct err *e) MUST_USE;
int v2_proto_parse_response(struct span bytes, struct arena *a, struct pay_message *m,
                            struct err *e) MUST_USE;

/* Appends `request` with its model_name set to name and its model_version and, when id
 * is not empty, its id replaced: unknown fields, order and contents of the rest stay as
 * they are. Does not decode tensors. ERR_FORMAT when the top level is not protobuf. */
int v2_proto_rename(struct span request, struct span name, struct span id,
                    struct buf *out, struct err *e) MUST_USE;

#endif

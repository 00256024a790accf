/*
 * v2_proto.h - V2 inference messages as protobuf: ModelInferRequest,
 * ModelInferResponse.
 *
 * Field numbers: package `inference`, ModelInferRequest 1 model_name, 2 model_version,
 * 3 id, 4 parameters, 5 inputs, 6 outputs, 7 raw_input_contents; ModelInferResponse 5
 * outputs, 6 raw_output_contents.
 *
 * Elements travel in the repeated field of their datatype or, with pay_message.raw, as
 * raw contents (little-endian; BYTES each behind its length in four bytes). FP16 and
 * BF16 have no field of their own: typed, they go through fp32_contents. A parameter
 * whose value is of a choice that we do not know counts as absent; the outputs that a
 * request asks for are passed over. Texts must be UTF-8. Thread-safe.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_PAYLOAD_V2_PROTO_H
#define TRACES_PAYLOAD_V2_PROTO_H

#include "traces/base/buf.h"
#include "traces/payload/pay_tensor.h"

#define V2_PROTO_MAX (64u << 20) /* bytes of one message */

void v2_proto_request(const struct pay_message *m, struct buf *out);
void v2_proto_response(const struct pay_message *m, struct buf *out);
/* Both: 0, or ERR_FORMAT, ERR_LIMIT, ERR_NOMEM. *m borrows from a and from the bytes.
 */
int v2_proto_parse_request(struct span bytes, struct arena *a, struct pay_message *m,
                           struct err *e) MUST_USE;
int v2_proto_parse_response(struct span bytes, struct arena *a, struct pay_message *m,
                            struct err *e) MUST_USE;

/* Appends `request` with name as its model_name, without model_version, and with id as
 * its id unless id is empty. What else it holds, unknown fields too, stays as it is and
 * in order; tensors are not decoded. ERR_FORMAT, with offset, when the top level is not
 * protobuf; out then holds a part. */
int v2_proto_rename(struct span request, struct span name, struct span id,
                    struct buf *out, struct err *e) MUST_USE;
/* The same without an id, and without copying what stays at the end: *rest, borrowed
 * from request, follows what was appended. */
int v2_proto_rename_front(struct span request, struct span name, struct buf *out,
                          struct span *rest, struct err *e) MUST_USE;

/* What a message of ModelStreamInfer's answer is. MLServer and Seldon's own tiers
 * answer with ModelInferResponse itself; Triton wraps: 1 error_message, 2
 * infer_response. They are told apart by field 2, which is a whole message there and
 * the version, a text, in the other. V2_STREAM_ERROR: a wrapped error; or field 1
 * alone, which could be a bare response without outputs as well. */
enum v2_stream { V2_STREAM_BARE, V2_STREAM_WRAPPED, V2_STREAM_ERROR };
/* *response: the ModelInferResponse, empty for V2_STREAM_ERROR. Never fails: what is no
 * protobuf at all counts as bare. */
enum v2_stream v2_proto_unwrap(struct span message, struct span *response);

#endif

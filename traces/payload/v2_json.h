/*
 * v2_json.h - V2 inference messages as REST JSON.
 *
 * Encoding writes flat `data` without blanks, floats with the fewest digits that read
 * back equal in their own width; NaN and infinities, which JSON lacks, are null.
 * Decoding takes flat or nested `data` in one pass over the text, without a tree, so
 * that memory is bounded by the text. Null counts as absent, and as NaN in float data;
 * members that the protocol does not know, and the outputs that a request asks for, are
 * passed over.
 *
 * BYTES elements are JSON strings, and what a string says is the element: nothing is
 * decoded on the strength of a content_type. A tensor with an element that is not UTF-8
 * cannot be said so; the encoder writes all its elements in base64 and sets its
 * parameter content_type to "base64", as MLServer's codec of that name does.
 * Thread-safe.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_PAYLOAD_V2_JSON_H
#define TRACES_PAYLOAD_V2_JSON_H

#include "traces/base/buf.h"
#include "traces/payload/pay_tensor.h"

#define V2_JSON_MAX (64u << 20) /* bytes of one message */

void v2_json_request(const struct pay_message *m, struct buf *out);
void v2_json_response(const struct pay_message *m, struct buf *out);
/* The parts of a tensor, for who composes one: "[1,16]", and "[…]" with its elements.
 */
void v2_json_shape(const struct pay_tensor *t, struct buf *out);
void v2_json_data(const struct pay_tensor *t, struct buf *out);

/* Both: 0, or ERR_FORMAT (with offset), ERR_LIMIT, ERR_NOMEM. *m borrows from a. */
int v2_json_parse_request(struct span json, struct arena *a, struct pay_message *m,
                          struct err *e) MUST_USE;
int v2_json_parse_response(struct span json, struct arena *a, struct pay_message *m,
                           struct err *e) MUST_USE;

#endif

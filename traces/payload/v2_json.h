/*
 * v2_json.h - V2 inference messages as REST JSON.
 *
 * Decoding is for cold paths (checks, the stand-in): jansson reads, limits are checked
 * first. Encoding writes flat `data`, floats with the fewest digits that read back
 * equal in their own width. Thread-safe.
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
/* Both: 0, or ERR_FORMAT (with offset), ERR_LIMIT, ERR_NOMEM. *m borrows from a. */
int v2_json_parse_request(struct span json, struct arena *a, struct pay_message *m,
                          struct err *e) MUST_USE;
int v2_json_parse_response(struct span json, struct arena *a, struct pay_message *m,
                           struct err *e) MUST_USE;

#endif

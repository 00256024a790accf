/*
 * pay_mask.h - V2 inference messages with chosen values taken out, their shape left.
 *
 * A path is a list of words between dots: "inputs.*.data". In JSON a word is a member's
 * key, an element's number, the text of an element's own member "name", or * for any;
 * what the path names is masked with all below it: numbers become 0, texts as many "x",
 * true becomes false. Everything else stays byte for byte. A protobuf message is
 * decoded, masked by the same paths (id, parameters.KEY, inputs.NAME.data,
 * inputs.NAME.parameters.KEY; outputs likewise) and encoded anew. Thread-safe.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_PAYLOAD_PAY_MASK_H
#define TRACES_PAYLOAD_PAY_MASK_H

#include "traces/base/arena.h"
#include "traces/base/buf.h"
#include "traces/op.h"

#define PAY_MASKS_MAX      32u /* of one policy: a bit each */
#define PAY_MASK_WORDS_MAX 8u

struct pay_mask {
    struct span words[PAY_MASK_WORDS_MAX];
    uint32_t count;
};
/* ERR_USAGE when it is no path. Borrows text. */
int pay_mask_parse(struct span text, struct pay_mask *m, struct err *e) MUST_USE;

/* How a body is written, OP_REST for JSON: Kafka holds both, which differ in their
 * first byte. */
enum op_protocol pay_mask_form(enum op_protocol protocol, struct span body);

/* Append the message with its masks applied. ERR_FORMAT when it cannot be decoded,
 * ERR_LIMIT, ERR_NOMEM; out then holds a part. At most PAY_MASKS_MAX masks. */
int pay_mask_json(const struct pay_mask *masks, size_t n, struct span json,
                  struct arena *a, struct buf *out, struct err *e) MUST_USE;
int pay_mask_proto(const struct pay_mask *masks, size_t n, bool answer,
                   struct span message, struct arena *a, struct buf *out,
                   struct err *e) MUST_USE;

/* Appends only names, datatypes and shapes of the message, with zeros for elements. */
int pay_mask_shape(enum op_protocol protocol, bool answer, struct span message,
                   struct arena *a, struct buf *out, struct err *e) MUST_USE;

#endif

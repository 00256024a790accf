/*
 * pay_compare.h - whether two answers say the same, in whichever protocol they came.
 *
 * What is compared: outputs by name, their datatypes, shapes and elements. What is not:
 * order of outputs, model name and version, id, parameters, raw or typed contents. A
 * BYTES element may also be the base64 of what is wanted, because the pipeline gateway
 * writes it so over REST without saying it. Thread-safe.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_PAYLOAD_PAY_COMPARE_H
#define TRACES_PAYLOAD_PAY_COMPARE_H

#include "traces/base/buf.h"
#include "traces/payload/pay_tensor.h"

/* Output `want` in the answer, where it is looked for at `place` first. Floats x, y are
 * equal when |x - y| <= tolerance * max(|x|, |y|), or both no numbers. 0 equal;
 * ERR_FORMAT with the first difference. */
int pay_compare_tensor(const struct pay_tensor *want, const struct pay_message *answer,
                       uint32_t place, double tolerance, struct err *e) MUST_USE;
/* All outputs, and no further ones. */
int pay_compare(const struct pay_message *want, const struct pay_message *answer,
                double tolerance, struct err *e) MUST_USE;

/* "[1,16]" */
struct pay_shape_text {
    char text[PAY_RANK_MAX * 21 + 3];
};
struct pay_shape_text pay_shape_text(const struct pay_tensor *t);

/* Appends what an answer says, in the form of FORMAT.md 5.6.1: equal bytes for equal
 * answers, and no others. */
void pay_content(const struct pay_message *m, struct buf *out);

#endif

/*
 * pay_equal.h - whether two messages say the same; for unit tests and fuzz targets.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_UNIT_PAY_EQUAL_H
#define TESTS_UNIT_PAY_EQUAL_H

#include <math.h>
#include <string.h>

#include "traces/payload/pay_tensor.h"

static inline bool same_double(double a, double b)
{
    return (isnan(a) && isnan(b)) || (a == b && signbit(a) == signbit(b));
}

static inline bool params_equal(const struct pay_param *a, uint32_t na,
                                const struct pay_param *b, uint32_t nb)
{
    if (na != nb)
        return false;
    for (uint32_t i = 0; i < na; i++) {
        if (!span_eq(a[i].name, b[i].name) || a[i].kind != b[i].kind)
            return false;
        bool same = a[i].kind == PAY_PARAM_BOOL     ? a[i].b == b[i].b
                    : a[i].kind == PAY_PARAM_INT    ? a[i].i == b[i].i
                    : a[i].kind == PAY_PARAM_STRING ? span_eq(a[i].s, b[i].s)
                                                    : same_double(a[i].d, b[i].d);
        if (!same)
            return false;
    }
    return true;
}

/* NaN equals NaN, whatever its bits. */
static inline bool elements_equal(const struct pay_tensor *a,
                                  const struct pay_tensor *b)
{
    for (uint64_t i = 0; i < a->element_count; i++) {
        bool same = a->type == PAY_BYTES ? span_eq(a->bytes[i], b->bytes[i])
                    : pay_type_is_float(a->type)
                        ? same_double(pay_tensor_number(a, i), pay_tensor_number(b, i))
                        : pay_tensor_int(a, i) == pay_tensor_int(b, i);
        if (!same)
            return false;
    }
    return true;
}

static inline bool tensors_equal(const struct pay_tensor *a, const struct pay_tensor *b)
{
    return span_eq(a->name, b->name) && a->type == b->type && a->rank == b->rank &&
           memcmp(a->shape, b->shape, a->rank * sizeof a->shape[0]) == 0 &&
           a->element_count == b->element_count && elements_equal(a, b) &&
           params_equal(a->params, a->param_count, b->params, b->param_count);
}

static inline bool messages_equal(const struct pay_message *a,
                                  const struct pay_message *b)
{
    if (!span_eq(a->model_name, b->model_name) ||
        !span_eq(a->model_version, b->model_version) || !span_eq(a->id, b->id) ||
        !params_equal(a->params, a->param_count, b->params, b->param_count) ||
        a->tensor_count != b->tensor_count)
        return false;
    for (uint32_t i = 0; i < a->tensor_count; i++)
        if (!tensors_equal(&a->tensors[i], &b->tensors[i]))
            return false;
    return true;
}

#endif

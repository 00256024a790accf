/*
 * pay_compare.c - see pay_compare.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/payload/pay_compare.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "traces/payload/base64.h"

/* Start of a text for an error message. */
#define SHOWN(s) (int)((s).n < 40 ? (s).n : 40), (const char *)(s).p

/* Integers must be equal, whatever the tolerance. */
static bool same_number(const struct pay_tensor *a, const struct pay_tensor *b,
                        uint64_t i, double tolerance)
{
    if (!pay_type_is_float(a->type))
        return pay_tensor_int(a, i) == pay_tensor_int(b, i);
    double x = pay_tensor_number(a, i), y = pay_tensor_number(b, i);
    if (x == y || (isnan(x) && isnan(y)))
        return true;
    return tolerance > 0 && fabs(x - y) <= tolerance * fmax(fabs(x), fabs(y));
}

static int compare_numbers(const struct pay_tensor *want, const struct pay_tensor *got,
                           double tolerance, struct err *e)
{
    if (span_eq(want->packed, got->packed))
        return 0;
    for (uint64_t i = 0; i < want->element_count; i++) {
        if (same_number(want, got, i, tolerance))
            continue;
        if (pay_type_is_float(want->type))
            return err_set(e, ERR_FORMAT,
                           "'%.*s' element %" PRIu64 " is %.9g, wanted %.9g",
                           SHOWN(want->name), i, pay_tensor_number(got, i),
                           pay_tensor_number(want, i));
        return err_set(
            e, ERR_FORMAT, "'%.*s' element %" PRIu64 " is %" PRId64 ", wanted %" PRId64,
            SHOWN(want->name), i, pay_tensor_int(got, i), pay_tensor_int(want, i));
    }
    return 0;
}

static int compare_texts(const struct pay_tensor *want, const struct pay_tensor *got,
                         struct err *e)
{
    struct buf base64 = {0};
    int rc = 0;
    for (uint64_t i = 0; rc == 0 && i < want->element_count; i++) {
        if (span_eq(want->bytes[i], got->bytes[i]))
            continue;
        buf_reset(&base64);
        base64_encode(want->bytes[i], &base64);
        rc = buf_check(&base64, e);
        if (rc == 0 && !span_eq(buf_view(&base64), got->bytes[i]))
            rc = err_set(e, ERR_FORMAT,
                         "'%.*s' element %" PRIu64 " is \"%.*s\", wanted \"%.*s\"",
                         SHOWN(want->name), i, SHOWN(got->bytes[i]),
                         SHOWN(want->bytes[i]));
    }
    buf_done(&base64);
    return rc;
}

struct pay_shape_text pay_shape_text(const struct pay_tensor *t)
{
    struct pay_shape_text out;
    size_t n = 0;
    out.text[n++] = '[';
    for (uint32_t i = 0; i < t->rank; i++)
        n += (size_t)sprintf(out.text + n, i > 0 ? ",%" PRId64 : "%" PRId64,
                             t->shape[i]);
    out.text[n++] = ']';
    out.text[n] = '\0';
    return out;
}

static bool same_shape(const struct pay_tensor *a, const struct pay_tensor *b)
{
    return a->rank == b->rank &&
           memcmp(a->shape, b->shape, a->rank * sizeof a->shape[0]) == 0;
}

int pay_compare_tensor(const struct pay_tensor *want, const struct pay_message *answer,
                       uint32_t place, double tolerance, struct err *e)
{
    const struct pay_tensor *got = NULL;
    if (place < answer->tensor_count &&
        span_eq(answer->tensors[place].name, want->name))
        got = &answer->tensors[place];
    for (uint32_t i = 0; !got && i < answer->tensor_count; i++)
        if (span_eq(answer->tensors[i].name, want->name))
            got = &answer->tensors[i];
    if (!got)
        return err_set(e, ERR_FORMAT, "no output '%.*s'", SHOWN(want->name));
    if (got->type != want->type)
        return err_set(e, ERR_FORMAT, "'%.*s' is %s, wanted %s", SHOWN(want->name),
                       pay_type_names[got->type], pay_type_names[want->type]);
    if (!same_shape(want, got))
        return err_set(e, ERR_FORMAT, "'%.*s' has shape %s, wanted %s",
                       SHOWN(want->name), pay_shape_text(got).text,
                       pay_shape_text(want).text);
    return want->type == PAY_BYTES ? compare_texts(want, got, e)
                                   : compare_numbers(want, got, tolerance, e);
}

int pay_compare(const struct pay_message *want, const struct pay_message *answer,
                double tolerance, struct err *e)
{
    for (uint32_t i = 0; i < want->tensor_count; i++) {
        int rc = pay_compare_tensor(&want->tensors[i], answer, i, tolerance, e);
        if (rc < 0)
            return rc;
    }
    if (answer->tensor_count != want->tensor_count)
        return err_set(e, ERR_FORMAT, "%u outputs, wanted %u", answer->tensor_count,
                       want->tensor_count);
    return 0;
}

/* --- what an answer says ------------------------------------------------------ */

static int by_name(const void *a, const void *b)
{
    const struct pay_tensor *x = *(const struct pay_tensor *const *)a,
                            *y = *(const struct pay_tensor *const *)b;
    size_t n = x->name.n < y->name.n ? x->name.n : y->name.n;
    int order = n > 0 ? memcmp(x->name.p, y->name.p, n) : 0;
    return order != 0 ? order : (x->name.n > y->name.n) - (x->name.n < y->name.n);
}

/* One number in the form in which equal ones are equal bytes. */
static void put_number(const struct pay_tensor *t, uint64_t i, struct buf *out)
{
    size_t width = pay_type_width(t->type);
    uint8_t bytes[8];
    double v = pay_type_is_float(t->type) ? pay_tensor_number(t, i) : 1;
    if (isnan(v) || v == 0)
        pay_store_float(t->type, bytes, isnan(v) ? (double)NAN : 0.0);
    else
        memcpy(bytes, t->packed.p + i * width, width);
    buf_add(out, bytes, width);
}

static void put_tensor(const struct pay_tensor *t, struct buf *out)
{
    buf_varint(out, t->name.n);
    buf_span(out, t->name);
    buf_u8(out, (uint8_t)t->type);
    buf_u8(out, (uint8_t)t->rank);
    for (uint32_t i = 0; i < t->rank; i++)
        buf_u64(out, (uint64_t)t->shape[i]);
    if (t->type != PAY_BYTES && !pay_type_is_float(t->type)) {
        buf_span(out, t->packed);
        return;
    }
    for (uint64_t i = 0; i < t->element_count; i++) {
        if (t->type != PAY_BYTES) {
            put_number(t, i, out);
            continue;
        }
        buf_varint(out, t->bytes[i].n);
        buf_span(out, t->bytes[i]);
    }
}

void pay_content(const struct pay_message *m, struct buf *out)
{
    const struct pay_tensor *sorted[PAY_TENSORS_MAX];
    for (uint32_t i = 0; i < m->tensor_count; i++)
        sorted[i] = &m->tensors[i];
    if (m->tensor_count > 1)
        qsort(sorted, m->tensor_count, sizeof(*sorted), by_name);
    for (uint32_t i = 0; i < m->tensor_count; i++)
        put_tensor(sorted[i], out);
}

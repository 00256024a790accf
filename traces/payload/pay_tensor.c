/*
 * pay_tensor.c - datatypes, their packed form, and look-ups in a message.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/payload/pay_tensor.h"

#include <assert.h>
#include <math.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "packed elements are little-endian and read in place");

const char *const pay_type_names[] = {
    "BOOL",  "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32",
    "INT64", "FP16",  "FP32",   "FP64",   "BYTES",  "BF16", NULL,
};

static const uint8_t type_widths[PAY_TYPE_COUNT] = {
    [PAY_BOOL] = 1,   [PAY_UINT8] = 1, [PAY_UINT16] = 2, [PAY_UINT32] = 4,
    [PAY_UINT64] = 8, [PAY_INT8] = 1,  [PAY_INT16] = 2,  [PAY_INT32] = 4,
    [PAY_INT64] = 8,  [PAY_FP16] = 2,  [PAY_FP32] = 4,   [PAY_FP64] = 8,
    [PAY_BYTES] = 0,  [PAY_BF16] = 2,
};

size_t pay_type_width(enum pay_type t)
{
    assert((unsigned)t < PAY_TYPE_COUNT);
    return type_widths[t];
}

int pay_type_of(struct span name, enum pay_type *t)
{
    for (int i = 0; i < PAY_TYPE_COUNT; i++) {
        if (span_eq_str(name, pay_type_names[i])) {
            *t = (enum pay_type)i;
            return 0;
        }
    }
    return ERR_FORMAT;
}

bool pay_type_is_float(enum pay_type t)
{
    return t == PAY_FP16 || t == PAY_BF16 || t == PAY_FP32 || t == PAY_FP64;
}

int pay_shape_count(const int64_t *shape, uint32_t rank, uint64_t *count, struct err *e)
{
    uint64_t product = 1;
    bool empty = false;
    for (uint32_t i = 0; i < rank; i++) {
        if (shape[i] < 0)
            return err_set(e, ERR_FORMAT, "negative dimension %lld",
                           (long long)shape[i]);
        if (shape[i] == 0) {
            empty = true;
            continue;
        }
        if ((uint64_t)shape[i] > PAY_ELEMENTS_MAX / product)
            return err_set(e, ERR_LIMIT, "shape of more than %llu elements",
                           (unsigned long long)PAY_ELEMENTS_MAX);
        product *= (uint64_t)shape[i];
    }
    *count = empty ? 0 : product;
    return 0;
}

/* --- floats ------------------------------------------------------------------ */

/* The nearest number with `bits` explicit bits of significand, least exponent min_exp
 * (below it the spacing stays), and nothing at or above 2^(max_exp + 1). */
static double round_to(double v, int bits, int min_exp, int max_exp)
{
    if (v == 0 || !isfinite(v))
        return v;
    int exponent = ilogb(v);
    if (exponent < min_exp)
        exponent = min_exp;
    double spacing = ldexp(1, exponent - bits);
    double r = nearbyint(v / spacing) * spacing;
    return fabs(r) >= ldexp(1, max_exp + 1) ? copysign(INFINITY, v) : r;
}

double pay_round(enum pay_type t, double v)
{
    switch (t) {
    case PAY_FP16:
        return round_to(v, 10, -14, 15);
    case PAY_BF16:
        return round_to(v, 7, -126, 127);
    case PAY_FP32:
        return (double)(float)v;
    default:
        return v;
    }
}

/* A half from a double that is one already (pay_round). */
static uint16_t half_bits(double v)
{
    uint16_t sign = signbit(v) ? 0x8000 : 0;
    v = fabs(v);
    if (isnan(v))
        return sign | 0x7e00;
    if (isinf(v))
        return sign | 0x7c00;
    if (v < ldexp(1, -14)) /* zero and subnormals: multiples of 2^-24 */
        return (uint16_t)(sign | (uint16_t)ldexp(v, 24));
    int exponent = ilogb(v);
    double fraction = ldexp(v, -exponent) - 1;
    return (uint16_t)(sign | (uint16_t)(exponent + 15) << 10 |
                      (uint16_t)ldexp(fraction, 10));
}

static double half_value(uint16_t bits)
{
    int exponent = bits >> 10 & 0x1f;
    double fraction = bits & 0x3ff;
    double v;
    if (exponent == 0x1f)
        v = fraction != 0 ? (double)NAN : (double)INFINITY;
    else if (exponent == 0)
        v = ldexp(fraction, -24);
    else
        v = ldexp(1024 + fraction, exponent - 25);
    return bits & 0x8000 ? -v : v;
}

void pay_store_float(enum pay_type t, uint8_t *at, double v)
{
    float single = (float)pay_round(t, v);
    uint32_t bits;
    uint16_t half;
    switch (t) {
    case PAY_FP64:
        memcpy(at, &v, 8);
        break;
    case PAY_FP32:
        memcpy(at, &single, 4);
        break;
    case PAY_BF16: /* the upper half of the same number as FP32 */
        memcpy(&bits, &single, 4);
        half = (uint16_t)(bits >> 16);
        memcpy(at, &half, 2);
        break;
    default:
        assert(t == PAY_FP16);
        half = half_bits(pay_round(t, v));
        memcpy(at, &half, 2);
    }
}

/* --- integers ---------------------------------------------------------------- */

bool pay_int_fits(enum pay_type t, int64_t v)
{
    switch (t) {
    case PAY_BOOL:
        return v == 0 || v == 1;
    case PAY_UINT8:
        return v >= 0 && v <= UINT8_MAX;
    case PAY_UINT16:
        return v >= 0 && v <= UINT16_MAX;
    case PAY_UINT32:
        return v >= 0 && v <= UINT32_MAX;
    case PAY_INT8:
        return v >= INT8_MIN && v <= INT8_MAX;
    case PAY_INT16:
        return v >= INT16_MIN && v <= INT16_MAX;
    case PAY_INT32:
        return v >= INT32_MIN && v <= INT32_MAX;
    default:
        return t == PAY_INT64;
    }
}

void pay_store_int(enum pay_type t, uint8_t *at, int64_t v)
{
    assert(pay_int_fits(t, v));
    memcpy(at, &v, pay_type_width(t)); /* little-endian: the low bytes come first */
}

int64_t pay_tensor_int(const struct pay_tensor *t, uint64_t i)
{
    const uint8_t *at = t->packed.p + i * pay_type_width(t->type);
    uint64_t v = 0;
    memcpy(&v, at, pay_type_width(t->type));
    switch (t->type) {
    case PAY_INT8:
        return (int8_t)v;
    case PAY_INT16:
        return (int16_t)v;
    case PAY_INT32:
        return (int32_t)v;
    case PAY_BOOL:
        return v != 0;
    default:
        return (int64_t)v;
    }
}

double pay_tensor_number(const struct pay_tensor *t, uint64_t i)
{
    const uint8_t *at = t->packed.p + i * pay_type_width(t->type);
    uint16_t half;
    uint32_t bits;
    float single;
    double v;
    switch (t->type) {
    case PAY_BYTES:
        return 0;
    case PAY_FP64:
        memcpy(&v, at, 8);
        return v;
    case PAY_FP32:
        memcpy(&single, at, 4);
        return (double)single;
    case PAY_BF16:
        memcpy(&half, at, 2);
        bits = (uint32_t)half << 16;
        memcpy(&single, &bits, 4);
        return (double)single;
    case PAY_FP16:
        memcpy(&half, at, 2);
        return half_value(half);
    case PAY_UINT64:
        return (double)(uint64_t)pay_tensor_int(t, i);
    default:
        return (double)pay_tensor_int(t, i);
    }
}

/* --- look-ups ---------------------------------------------------------------- */

const struct pay_tensor *pay_message_tensor(const struct pay_message *m,
                                            const char *name)
{
    for (uint32_t i = 0; i < m->tensor_count; i++)
        if (span_eq_str(m->tensors[i].name, name))
            return &m->tensors[i];
    return NULL;
}

const struct pay_param *pay_param_find(const struct pay_param *params, uint32_t count,
                                       const char *name)
{
    for (uint32_t i = 0; i < count; i++)
        if (span_eq_str(params[i].name, name))
            return &params[i];
    return NULL;
}

/* Length of the UTF-8 sequence that p begins, of at most n bytes; 0 if it is none.
 * Overlong forms, surrogates and what lies above U+10FFFF are none. */
static size_t utf8_length(const uint8_t *p, size_t n)
{
    size_t length = p[0] < 0x80   ? 1
                    : p[0] < 0xc2 ? 0
                    : p[0] < 0xe0 ? 2
                    : p[0] < 0xf0 ? 3
                    : p[0] < 0xf5 ? 4
                                  : 0;
    if (length == 0 || length > n)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    bool bad = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
               (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f);
    return bad ? 0 : length;
}

size_t pay_utf8_fault(struct span s)
{
    size_t at = 0;
    while (at < s.n) {
        size_t length = utf8_length(s.p + at, s.n - at);
        if (length == 0)
            break;
        at += length;
    }
    return at;
}

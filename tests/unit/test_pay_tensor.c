/* test_pay_tensor.c - traces/payload/pay_tensor. SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/check.h"

#include <math.h>
#include <string.h>

#include "traces/payload/pay_tensor.h"

static void datatypes_have_names_and_widths(void **state)
{
    (void)state;
    enum pay_type t = PAY_BOOL;
    for (int i = 0; i < PAY_TYPE_COUNT; i++) {
        check_int(pay_type_of(span_str(pay_type_names[i]), &t), ==, 0);
        check_int(t, ==, i);
    }
    check_true(pay_type_names[PAY_TYPE_COUNT] == NULL);
    check_int(pay_type_of(SPAN_LIT("FP33"), &t), ==, ERR_FORMAT);
    check_int(pay_type_of(SPAN_LIT(""), &t), ==, ERR_FORMAT);
    check_int(pay_type_width(PAY_INT64), ==, 8);
    check_int(pay_type_width(PAY_BF16), ==, 2);
    check_int(pay_type_width(PAY_BYTES), ==, 0);
}

static void shapes_are_multiplied_without_overflow(void **state)
{
    (void)state;
    struct err e = {0};
    uint64_t count = 9;
    check_int(pay_shape_count(NULL, 0, &count, &e), ==, 0);
    check_int(count, ==, 1);
    check_int(pay_shape_count((int64_t[]){3, 4, 5}, 3, &count, &e), ==, 0);
    check_int(count, ==, 60);
    check_int(pay_shape_count((int64_t[]){INT64_MAX, 0}, 2, &count, &e), ==, ERR_LIMIT);
    err_clear(&e);
    check_int(pay_shape_count((int64_t[]){0, 1 << 20}, 2, &count, &e), ==, 0);
    check_int(count, ==, 0);
    check_int(pay_shape_count((int64_t[]){1 << 17, 1 << 17}, 2, &count, &e), ==,
              ERR_LIMIT);
    err_clear(&e);
    check_int(pay_shape_count((int64_t[]){2, -1}, 2, &count, &e), ==, ERR_FORMAT);
    check_str_has(e.text, "negative dimension -1");
}

/* Half precision goes there and back for each of its 65,536 values. */
static void all_halves_survive_storing(void **state)
{
    (void)state;
    for (uint32_t bits = 0; bits < 65536; bits++) {
        uint16_t half = (uint16_t)bits, back;
        uint8_t at[2];
        struct pay_tensor t = {.type = PAY_FP16, .element_count = 1};
        t.packed = span_of(&half, 2);
        double v = pay_tensor_number(&t, 0);
        if (isnan(v)) {
            check_int(bits & 0x7c00, ==, 0x7c00);
            continue;
        }
        pay_store_float(PAY_FP16, at, v);
        memcpy(&back, at, 2);
        check_int(back, ==, half);
    }
}

static void halves_are_rounded_to_even(void **state)
{
    (void)state;
    check_true(pay_round(PAY_FP16, 2049) == 2048);
    check_true(pay_round(PAY_FP16, 2051) == 2052);
    check_true(pay_round(PAY_FP16, 65519) == 65504);
    check_true(isinf(pay_round(PAY_FP16, 65520)));
    check_true(pay_round(PAY_FP16, ldexp(1, -24)) == ldexp(1, -24));
    check_true(pay_round(PAY_FP16, ldexp(1, -25)) == 0);
    check_true(pay_round(PAY_FP16, ldexp(3, -25)) == ldexp(2, -24));
    check_true(pay_round(PAY_BF16, 257) == 256);
    check_true(pay_round(PAY_BF16, 259) == 260);
    check_true(pay_round(PAY_FP32, 16777217) == 16777216);
    check_true(pay_round(PAY_FP64, 0.1) == 0.1);
}

static void all_brain_floats_survive_storing(void **state)
{
    (void)state;
    for (uint32_t bits = 0; bits < 65536; bits++) {
        uint16_t bf = (uint16_t)bits, back;
        uint8_t at[2];
        struct pay_tensor t = {.type = PAY_BF16, .element_count = 1};
        t.packed = span_of(&bf, 2);
        double v = pay_tensor_number(&t, 0);
        if (isnan(v))
            continue;
        pay_store_float(PAY_BF16, at, v);
        memcpy(&back, at, 2);
        check_int(back, ==, bf);
    }
}

static void integers_keep_sign_and_range(void **state)
{
    (void)state;
    static const struct {
        enum pay_type type;
        int64_t low, high;
    } ranges[] = {{PAY_BOOL, 0, 1},
                  {PAY_UINT8, 0, UINT8_MAX},
                  {PAY_UINT16, 0, UINT16_MAX},
                  {PAY_UINT32, 0, UINT32_MAX},
                  {PAY_INT8, INT8_MIN, INT8_MAX},
                  {PAY_INT16, INT16_MIN, INT16_MAX},
                  {PAY_INT32, INT32_MIN, INT32_MAX}};
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        enum pay_type type = ranges[i].type;
        uint8_t two[16];
        size_t width = pay_type_width(type);
        check_true(!pay_int_fits(type, ranges[i].low - 1));
        check_true(!pay_int_fits(type, ranges[i].high + 1));
        pay_store_int(type, two, ranges[i].low);
        pay_store_int(type, two + width, ranges[i].high);
        struct pay_tensor t = {.type = type, .packed = span_of(two, 2 * width)};
        check_int(pay_tensor_int(&t, 0), ==, ranges[i].low);
        check_int(pay_tensor_int(&t, 1), ==, ranges[i].high);
        check_true(pay_tensor_number(&t, 1) == (double)ranges[i].high);
    }
    uint64_t big = UINT64_MAX;
    struct pay_tensor t = {.type = PAY_UINT64, .packed = span_of(&big, 8)};
    check_true(pay_tensor_number(&t, 0) == 18446744073709551616.0);
    check_true(!pay_int_fits(PAY_UINT64, 1) && pay_int_fits(PAY_INT64, INT64_MIN));
}

static void utf8_is_judged_as_the_standard_says(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t fault;
    } cases[] = {
        {"plain", 5},
        {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 9},
        {"\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf", 10},
        {"a\xc0\xaf", 1},          /* overlong */
        {"a\xe0\x9f\xbf", 1},      /* overlong */
        {"a\xf0\x8f\xbf\xbf", 1},  /* overlong */
        {"a\xed\xa0\x80", 1},      /* surrogate */
        {"ab\xf4\x90\x80\x80", 2}, /* above U+10FFFF */
        {"a\x80", 1},
        {"a\xc3", 1},
        {"a\xe2\x82", 1},
        {"a\xe2(\xa1", 1},
        {"\xff", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_int(pay_utf8_fault(span_str(cases[i].text)), ==, cases[i].fault);
}

static void tensors_and_parameters_are_found_by_name(void **state)
{
    (void)state;
    struct pay_param p[] = {{.name = SPAN_LIT("x")}, {.name = SPAN_LIT("y")}};
    struct pay_tensor t[] = {{.name = SPAN_LIT("a")}, {.name = SPAN_LIT("b")}};
    struct pay_message m = {.tensors = t, .tensor_count = 2};
    check_true(pay_message_tensor(&m, "b") == &t[1]);
    check_true(pay_message_tensor(&m, "c") == NULL);
    check_true(pay_param_find(p, 2, "y") == &p[1]);
    check_true(pay_param_find(p, 1, "y") == NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(datatypes_have_names_and_widths),
        cmocka_unit_test(shapes_are_multiplied_without_overflow),
        cmocka_unit_test(all_halves_survive_storing),
        cmocka_unit_test(halves_are_rounded_to_even),
        cmocka_unit_test(all_brain_floats_survive_storing),
        cmocka_unit_test(integers_keep_sign_and_range),
        cmocka_unit_test(utf8_is_judged_as_the_standard_says),
        cmocka_unit_test(tensors_and_parameters_are_found_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

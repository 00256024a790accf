/*
 * test_jsonw.c - JSON that any parser reads back.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/check.h"
#include "traces/base/jsonw.h"
#include "traces/base/rng.h"

static void nesting_and_commas_are_kept(void **state)
{
    (void)state;
    struct buf b = {0};
    struct jsonw w = {.out = &b};
    jsonw_object(&w);
    jsonw_key_i64(&w, "a", -1);
    jsonw_key(&w, "b");
    jsonw_array(&w);
    jsonw_u64(&w, UINT64_MAX);
    jsonw_bool(&w, true);
    jsonw_object(&w);
    jsonw_end(&w);
    jsonw_array(&w);
    jsonw_end(&w);
    jsonw_null(&w);
    jsonw_raw(&w, SPAN_LIT("{\"raw\":1}"));
    jsonw_end(&w);
    jsonw_key_str(&w, "c", NULL);
    jsonw_key_bool(&w, "d", false);
    jsonw_key_u64(&w, "e", 5);
    jsonw_key_f64(&w, "f", 0.5);
    jsonw_key_str(&w, "g", "x");
    jsonw_end(&w);
    check_str(buf_text(&b),
              "{\"a\":-1,\"b\":[18446744073709551615,true,{},[],null,{\"raw\":1}],"
              "\"c\":null,\"d\":false,\"e\":5,\"f\":0.5,\"g\":\"x\"}");
    buf_done(&b);
}

static void pretty_puts_a_member_on_a_line(void **state)
{
    (void)state;
    struct buf b = {0};
    struct jsonw w = {.out = &b, .pretty = true};
    jsonw_object(&w);
    jsonw_key_i64(&w, "a", 1);
    jsonw_key(&w, "b");
    jsonw_array(&w);
    jsonw_i64(&w, 2);
    jsonw_i64(&w, 3);
    jsonw_end(&w);
    jsonw_key(&w, "c");
    jsonw_object(&w);
    jsonw_end(&w);
    jsonw_end(&w);
    check_str(buf_text(&b),
              "{\n  \"a\": 1,\n  \"b\": [\n    2,\n    3\n  ],\n  \"c\": {}\n}");
    buf_done(&b);
}

static void several_values_may_follow_one_another(void **state)
{
    (void)state;
    struct buf b = {0};
    struct jsonw w = {.out = &b};
    for (int i = 0; i < 2; i++) {
        jsonw_object(&w);
        jsonw_key_i64(&w, "i", i);
        jsonw_end(&w);
        buf_u8(&b, '\n');
    }
    check_str(buf_text(&b), "{\"i\":0}\n{\"i\":1}\n");
    buf_done(&b);
}

static void check_string(struct span s, const char *wanted)
{
    struct buf b = {0};
    struct jsonw w = {.out = &b};
    jsonw_span(&w, s);
    check_str(buf_text(&b), wanted);
    json_t *read = json_loads(buf_text(&b), JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    assert_non_null(read);
    json_decref(read);
    buf_done(&b);
}

static void strings_are_escaped(void **state)
{
    (void)state;
    check_string(SPAN_LIT(""), "\"\"");
    check_string(SPAN_LIT("\"\\/"), "\"\\\"\\\\/\"");
    check_string(SPAN_LIT("\b\f\n\r\t"), "\"\\b\\f\\n\\r\\t\"");
    check_string(SPAN_LIT("\0\x01\x1f\x7f"), "\"\\u0000\\u0001\\u001f\x7f\"");
    check_string(SPAN_LIT("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80"),
                 "\"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80\"");
}

#define R "\xef\xbf\xbd"
static void broken_utf8_becomes_the_replacement_character(void **state)
{
    (void)state;
    check_string(SPAN_LIT("a\xff"
                          "b"),
                 "\"a" R "b\"");
    check_string(SPAN_LIT("\x80"), "\"" R "\"");
    check_string(SPAN_LIT("\xc0\xaf"), "\"" R R "\"");             /* overlong */
    check_string(SPAN_LIT("\xe0\x80\xaf"), "\"" R R R "\"");       /* overlong */
    check_string(SPAN_LIT("\xed\xa0\x80"), "\"" R R R "\"");       /* a surrogate */
    check_string(SPAN_LIT("\xf4\x90\x80\x80"), "\"" R R R R "\""); /* above U+10FFFF */
    check_string(SPAN_LIT("\xe2\x82"), "\"" R "\"");               /* cut at the end */
    check_string(SPAN_LIT("\xe2\x82"
                          "A"),
                 "\"" R "A\"");
    check_string(SPAN_LIT("\xf0\x9f\x98"), "\"" R "\"");
    check_string(SPAN_LIT("\xe2\xe2\x82\xac"), "\"" R "\xe2\x82\xac\"");
    /* The example of Unicode 15, section 3.9, table 3-8. */
    check_string(SPAN_LIT("\xc0\xaf\xe0\x80\xbf\xf0\x81\x82\x41"),
                 "\"" R R R R R R R R "A\"");
}

static void any_bytes_give_a_string_that_parses(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 1);
    for (int i = 0; i < 2000; i++) {
        uint8_t bytes[24];
        for (size_t k = 0; k < sizeof bytes; k++)
            bytes[k] =
                (uint8_t)(rng_below(&r, 3) ? 0x80 + rng_below(&r, 128) : rng_u64(&r));
        struct buf b = {0};
        struct jsonw w = {.out = &b};
        jsonw_span(&w, span_of(bytes, sizeof bytes));
        json_error_t error;
        json_t *read = json_loadb((const char *)b.p, b.n,
                                  JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
        if (!read)
            fail_msg("%s: %s", error.text, buf_text(&b));
        json_decref(read);
        buf_done(&b);
    }
}

static const char *f64_text(double v)
{
    static char text[64];
    struct buf b = {0};
    struct jsonw w = {.out = &b};
    jsonw_f64(&w, v);
    strcpy(text, buf_text(&b));
    buf_done(&b);
    return text;
}

static void doubles_print_with_the_fewest_digits(void **state)
{
    (void)state;
    check_str(f64_text(0), "0");
    check_str(f64_text(-0.0), "-0");
    check_str(f64_text(1), "1");
    check_str(f64_text(0.1), "0.1");
    check_str(f64_text(0.1 + 0.2), "0.30000000000000004");
    check_str(f64_text(1.0 / 3), "0.3333333333333333");
    check_str(f64_text(1e21), "1e+21");
    check_str(f64_text(123456789012345680.0), "1.2345678901234568e+17");
    check_str(f64_text(5e-324), "5e-324");
    check_str(f64_text(1.7976931348623157e308), "1.7976931348623157e+308");
    check_str(f64_text(2.2250738585072014e-308), "2.2250738585072014e-308");
    /* A power of two whose nearest decimal of 16 digits does not read back, but the
     * next. */
    check_str(f64_text(0x1p-24), "5.960464477539063e-08");
    check_str(f64_text(-0x1p-24), "-5.960464477539063e-08");
}

static void what_is_no_number_is_no_number(void **state)
{
    (void)state;
    check_str(f64_text(NAN), "null");
    check_str(f64_text(INFINITY), "\"inf\"");
    check_str(f64_text(-INFINITY), "\"-inf\"");
}

/* Digits of a printed number, without zeros at either end. */
static int digits_of(const char *text)
{
    int digits = 0, zeros = 0;
    for (; *text && *text != 'e'; text++) {
        if (*text == '0' && digits > 0)
            zeros++;
        if (*text >= '1' && *text <= '9') {
            digits += zeros + 1;
            zeros = 0;
        }
    }
    return digits;
}

/* True when v has a decimal of that many digits: the nearest and both its neighbours.
 */
static bool has_decimal_of(double v, int digits)
{
    char text[64];
    snprintf(text, sizeof text, "%.*e", digits - 1, v);
    char *e = strchr(text, 'e');
    long long number = 0;
    for (char *c = text; c < e; c++)
        if (*c != '.')
            number = number * 10 + (*c - '0');
    for (long long n = number - 1; n <= number + 1; n++) {
        char neighbour[64];
        snprintf(neighbour, sizeof neighbour, "%llde%d", n, atoi(e + 1) - digits + 1);
        if (strtod(neighbour, NULL) == v)
            return true;
    }
    return false;
}

static void every_double_reads_back_and_none_is_shorter(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 11);
    for (int i = 0; i < 20000; i++) {
        uint64_t bits = rng_u64(&r) >> 1;
        double v;
        memcpy(&v, &bits, sizeof v);
        if (i < 2098)
            v = ldexp(1, i - 1074); /* every power of two */
        if (!isfinite(v) || v == 0)
            continue;
        const char *text = f64_text(v);
        check_true(strtod(text, NULL) == v);
        int digits = digits_of(text);
        if (digits > 1 && has_decimal_of(v, digits - 1))
            fail_msg("%a prints as %s, one digit too long", v, text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nesting_and_commas_are_kept),
        cmocka_unit_test(pretty_puts_a_member_on_a_line),
        cmocka_unit_test(several_values_may_follow_one_another),
        cmocka_unit_test(strings_are_escaped),
        cmocka_unit_test(broken_utf8_becomes_the_replacement_character),
        cmocka_unit_test(any_bytes_give_a_string_that_parses),
        cmocka_unit_test(doubles_print_with_the_fewest_digits),
        cmocka_unit_test(what_is_no_number_is_no_number),
        cmocka_unit_test(every_double_reads_back_and_none_is_shorter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_v2_json.c - traces/payload/v2_json. SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/pay_equal.h"
#include "traces/base/rng.h"
#include "traces/payload/v2_json.h"

static struct arena arena;
static struct err e;

static int clean(void **state)
{
    (void)state;
    arena_done(&arena);
    e = (struct err){0};
    return 0;
}

/* From a copy that ends where the heap block ends; the block lives until clean. */
static int parse(const char *json, bool request, struct pay_message *m)
{
    struct span text = arena_dup(&arena, span_str(json));
    return request ? v2_json_parse_request(text, &arena, m, &e)
                   : v2_json_parse_response(text, &arena, m, &e);
}

static struct pay_message request(const char *json)
{
    struct pay_message m;
    check_ok(parse(json, true, &m), &e);
    return m;
}

static void refused(const char *json, enum err_code code, const char *why)
{
    struct pay_message m;
    check_int(parse(json, true, &m), ==, code);
    check_str_has(e.text, why);
    err_clear(&e);
}

#define TENSOR(shape, type, data)                                                      \
    "{\"inputs\":[{\"name\":\"x\",\"shape\":" shape ",\"datatype\":\"" type            \
    "\",\"data\":" data "}]}"

/* --- reading ----------------------------------------------------------------- */

static void members_may_come_in_any_order(void **state)
{
    (void)state;
    struct pay_message m =
        request("{\"outputs\":[{\"name\":\"o\"}],\"inputs\":[{\"data\":[1,2],\"extra\":"
                "{\"a\":[]},\"parameters\":{\"p\":true,\"q\":-7,\"r\":\"s\",\"t\":1.5,"
                "\"u\":null,\"v\":1e2},\"datatype\":\"INT8\",\"shape\":[2,1],\"name\":"
                "\"x\"}],\"parameters\":{},\"id\":\"42\"}");
    check_span(m.id, "42");
    check_int(m.tensor_count, ==, 1);
    const struct pay_tensor *t = &m.tensors[0];
    check_span(t->name, "x");
    check_int(t->type, ==, PAY_INT8);
    check_int(t->rank, ==, 2);
    check_int(pay_tensor_int(t, 1), ==, 2);
    check_int(t->param_count, ==, 5);
    check_true(t->params[0].kind == PAY_PARAM_BOOL && t->params[0].b);
    check_true(t->params[1].kind == PAY_PARAM_INT && t->params[1].i == -7);
    check_true(t->params[2].kind == PAY_PARAM_STRING);
    check_span(t->params[2].s, "s");
    check_true(t->params[3].kind == PAY_PARAM_DOUBLE && t->params[3].d == 1.5);
    check_true(t->params[4].kind == PAY_PARAM_DOUBLE && t->params[4].d == 100);
}

static void nested_data_is_flattened_in_order(void **state)
{
    (void)state;
    struct pay_message m = request(TENSOR("[2,3]", "INT32", "[[1,[2]],[],[3,4,5],6]"));
    for (int i = 0; i < 6; i++)
        check_int(pay_tensor_int(&m.tensors[0], (uint64_t)i), ==, i + 1);
}

static void elements_of_every_datatype_are_read(void **state)
{
    (void)state;
    struct pay_message m = request(TENSOR("[2]", "BOOL", "[true,false]"));
    check_int(pay_tensor_int(&m.tensors[0], 0), ==, 1);
    m = request(TENSOR("[1]", "UINT64", "[18446744073709551615]"));
    check_true((uint64_t)pay_tensor_int(&m.tensors[0], 0) == UINT64_MAX);
    m = request(TENSOR("[2]", "INT64", "[-9223372036854775808,9007199254740993]"));
    check_int(pay_tensor_int(&m.tensors[0], 0), ==, INT64_MIN);
    check_int(pay_tensor_int(&m.tensors[0], 1), ==, 9007199254740993);
    m = request(TENSOR("[2]", "UINT8", "[255,2.0]"));
    check_int(pay_tensor_int(&m.tensors[0], 1), ==, 2);
    m = request(TENSOR("[3]", "FP32", "[0.1,null,16777217]"));
    check_true(pay_tensor_number(&m.tensors[0], 0) == (double)0.1F);
    check_true(isnan(pay_tensor_number(&m.tensors[0], 1)));
    check_true(pay_tensor_number(&m.tensors[0], 2) == 16777216);
    m = request(TENSOR("[1]", "FP16", "[2049]"));
    check_true(pay_tensor_number(&m.tensors[0], 0) == 2048);
    m = request(TENSOR("[]", "FP64", "[0.1]"));
    check_true(pay_tensor_number(&m.tensors[0], 0) == 0.1);
    m = request(TENSOR("[2]", "BYTES", "[\"\",\"a\\u0000b\"]"));
    check_int(m.tensors[0].bytes[1].n, ==, 3);
    m = request(TENSOR("[0,5]", "FP32", "[]"));
    check_int(m.tensors[0].element_count, ==, 0);
}

static void a_string_is_its_element_whatever_the_content_type(void **state)
{
    (void)state;
    struct pay_message m = request(
        "{\"inputs\":[{\"name\":\"x\",\"shape\":[1],\"data\":[\"//"
        "4=\"],\"datatype\":\"BYTES\",\"parameters\":{\"content_type\":\"base64\"}}]}");
    check_span(m.tensors[0].bytes[0], "//4=");
}

static void faults_are_named_with_their_place(void **state)
{
    (void)state;
    refused("", ERR_FORMAT, "unexpected end of JSON at byte 0");
    refused("[]", ERR_FORMAT, "not a JSON object at byte 0");
    refused("{}", ERR_FORMAT, "no 'inputs' in the message");
    refused("{\"inputs\":{}}", ERR_FORMAT, "not a JSON array at byte 10");
    refused("{\"inputs\":[],\"inputs\":[]}", ERR_FORMAT,
            "'inputs' comes twice at byte 22");
    refused("{\"inputs\":[]} x", ERR_FORMAT,
            "something follows the JSON text at byte 14");
    refused("{\"inputs\":[{\"shape\":[1],\"datatype\":\"INT8\",\"data\":[1]}]}",
            ERR_FORMAT, "tensor without 'name' at byte 11");
    refused("{\"inputs\":[{\"name\":\"x\"}]}", ERR_FORMAT, "tensor without 'datatype'");
    refused(TENSOR("[1]", "INT9", "[1]"), ERR_FORMAT,
            "unknown datatype 'INT9' at byte 46");
    refused(TENSOR("[1]", "INT8", "[128]"), ERR_FORMAT, "128 is no INT8 at byte 61");
    refused(TENSOR("[2]", "INT32", "[1,0.1]"), ERR_FORMAT,
            "0.1 is no INT32 at byte 64");
    refused(TENSOR("[1]", "UINT64", "[-1]"), ERR_FORMAT, "-1 is no UINT64");
    refused(TENSOR("[1]", "FP32", "[1e39]"), ERR_FORMAT, "1e39 is no FP32");
    refused(TENSOR("[1]", "FP64", "[1e999]"), ERR_FORMAT, "1e999 is no FP64");
    refused(TENSOR("[1]", "BOOL", "[1]"), ERR_FORMAT,
            "neither true nor false at byte 61");
    refused(TENSOR("[1]", "BYTES", "[1]"), ERR_FORMAT, "not a JSON string");
    refused(TENSOR("[1]", "INT32", "[null]"), ERR_FORMAT, "not a JSON number");
    refused(TENSOR("[1]", "INT32", "7"), ERR_FORMAT, "data has fewer than 1 elements");
    refused(TENSOR("[1]", "INT32", "\"abc\""), ERR_FORMAT,
            "not a JSON array at byte 61");
    refused(TENSOR("[3]", "INT32", "[1,2222]"), ERR_FORMAT,
            "data has 2 elements, its shape 3 at byte 61");
    refused(TENSOR("[1]", "INT32", "[1,2]"), ERR_FORMAT,
            "data has more than 1 elements at byte 64");
    refused(TENSOR("[-1]", "INT32", "[]"), ERR_FORMAT,
            "negative dimension -1 at byte 31");
    refused(TENSOR("[1.5]", "INT32", "[]"), ERR_FORMAT,
            "a dimension is not a whole number at byte 32");
    refused("{\"inputs\":[],\"parameters\":{\"a\":[]}}", ERR_FORMAT,
            "a parameter is neither boolean, number nor string at byte 31");
    refused("{\"inputs\":[],\"parameters\":{\"a\":1e999}}", ERR_FORMAT,
            "a parameter is out of range at byte 31");
    refused("{\"inputs\":[],\"id\":7}", ERR_FORMAT, "not a JSON string at byte 18");
}

/* MLServer's events carry what a single answer has as header fields. */
static void an_answer_may_have_parameters_that_are_objects(void **state)
{
    struct arena a = {0};
    struct pay_message m;
    struct err failure = {0};
    (void)state;
    check_ok(v2_json_parse_response(
                 SPAN_LIT("{\"outputs\":[],\"parameters\":{\"headers\":{\"Ce-Id\":"
                          "\"x\",\"n\":{}},\"content_type\":\"np\"}}"),
                 &a, &m, &failure),
             &failure);
    check_int(m.param_count, ==, 1);
    check_span(m.params[0].name, "content_type");
    check_int(v2_json_parse_response(
                  SPAN_LIT("{\"outputs\":[],\"parameters\":{\"a\":{\"b\"}}}"), &a, &m,
                  &failure),
              ==, ERR_FORMAT);
    arena_done(&a);
}

static void a_shape_is_not_believed_beyond_its_data(void **state)
{
    (void)state;
    refused(TENSOR("[4000000000]", "FP64", "[1]"), ERR_FORMAT,
            "data has fewer than 4000000000 elements");
    check_int(arena.total, <, 100000);
    refused(TENSOR("[100000,100000]", "FP64", "[1]"), ERR_LIMIT, "shape of more than");
    refused(TENSOR("[1,1,1,1,1,1,1,1,1]", "FP64", "[1]"), ERR_LIMIT,
            "more than 8 dimensions");
}

/* left, a number from 0 on and right, as often as wanted, between front and back. */
static char *repeated(const char *front, const char *left, const char *right, int times,
                      const char *back)
{
    struct buf b = {0};
    buf_str(&b, front);
    for (int i = 0; i < times; i++)
        buf_fmt(&b, "%s%s%d%s", i > 0 ? "," : "", left, i, right);
    buf_str(&b, back);
    char *text = arena_str(&arena, buf_text(&b));
    buf_done(&b);
    return text;
}

static void lists_have_limits(void **state)
{
    (void)state;
    static const char front[] = "{\"inputs\":[", left[] = "{\"name\":\"x",
                      right[] = "\",\"shape\":[1],\"datatype\":\"INT8\",\"data\":[1]}";
    struct pay_message m;
    check_ok(parse(repeated(front, left, right, 256, "]}"), true, &m), &e);
    check_int(m.tensor_count, ==, 256);
    check_span(m.tensors[255].name, "x255");
    refused(repeated(front, left, right, 257, "]}"), ERR_LIMIT,
            "more than 256 tensors");
    static const char params[] = "{\"inputs\":[],\"parameters\":{";
    check_ok(parse(repeated(params, "\"p", "\":1", 64, "}}"), true, &m), &e);
    check_span(m.params[63].name, "p63");
    refused(repeated(params, "\"p", "\":1", 65, "}}"), ERR_LIMIT,
            "more than 64 parameters");
}

static void a_message_has_a_largest_size(void **state)
{
    (void)state;
    uint8_t *big = malloc(V2_JSON_MAX + 1);
    struct pay_message m;
    assert_non_null(big);
    memset(big, ' ', V2_JSON_MAX + 1);
    check_int(v2_json_parse_request(span_of(big, V2_JSON_MAX + 1), &arena, &m, &e), ==,
              ERR_LIMIT);
    check_str_has(e.text, "67108865 bytes (limit 67108864)");
    free(big);
}

static void responses_have_names_and_errors_are_told(void **state)
{
    (void)state;
    struct pay_message m;
    check_ok(parse("{\"model_name\":\"iris_1\",\"model_version\":null,\"id\":null,"
                   "\"parameters\":null,\"outputs\":[{\"name\":\"predict\",\"shape\":["
                   "1,1],\"datatype\":\"INT64\",\"parameters\":null,\"data\":[2]}]}",
                   false, &m),
             &e);
    check_span(m.model_name, "iris_1");
    check_int(m.model_version.n + m.id.n + m.param_count, ==, 0);
    check_int(parse("{\"error\":\"Model nope not found\"}", false, &m), ==, ERR_FORMAT);
    check_str_has(e.text, "an error, not an answer: Model nope not found");
    err_clear(&e);
    check_int(parse("{\"detail\":[]}", false, &m), ==, ERR_FORMAT);
    check_str_has(e.text, "no 'outputs' in the message");
}

/* --- writing ----------------------------------------------------------------- */

static void numbers_are_written_with_the_fewest_digits(void **state)
{
    (void)state;
    struct buf out = {0};
    struct pay_message m =
        request(TENSOR("[14]", "FP32",
                       "[0.1,0,-0.0,1,-2.5,16777216,3.4028235e38,1e-45,0.00001,1."
                       "17549435e-38,123456.789,1e15,0.3,-1e-7]"));
    v2_json_data(&m.tensors[0], &out);
    check_str(buf_text(&out), "[0.1,0,-0.0,1,-2.5,16777216,3.4028235e+38,1e-45,1e-05,1."
                              "1754944e-38,123456.79,1e+15,0.3,-1e-07]");
    buf_reset(&out);
    m = request(TENSOR("[6]", "FP64",
                       "[0.1,0.30000000000000004,5e-324,1.7976931348623157e308,"
                       "9007199254740993,9007199254740991]"));
    v2_json_data(&m.tensors[0], &out);
    check_str(buf_text(&out), "[0.1,0.30000000000000004,5e-324,1.7976931348623157e+308,"
                              "9007199254740992,9007199254740991]");
    buf_reset(&out);
    m = request(TENSOR("[3]", "FP16", "[0.1,65504,0.333]"));
    v2_json_data(&m.tensors[0], &out);
    check_str(buf_text(&out), "[0.1,6.55e+04,0.333]");
    buf_reset(&out);
    m = request(TENSOR("[3]", "INT64", "[0,-9223372036854775808,9223372036854775807]"));
    v2_json_data(&m.tensors[0], &out);
    check_str(buf_text(&out), "[0,-9223372036854775808,9223372036854775807]");
    buf_done(&out);
}

/* Random bit patterns and random short decimals, both widths. */
static void every_float_reads_back_equal(void **state)
{
    (void)state;
    enum { COUNT = 4000 };
    static double doubles[COUNT];
    static float floats[COUNT];
    struct rng rng;
    struct buf out = {0};
    rng_init(&rng, 9);
    for (int i = 0; i < COUNT; i++) {
        uint64_t bits = rng_u64(&rng);
        uint32_t half = (uint32_t)(bits >> 32);
        memcpy(&doubles[i], &bits, 8);
        memcpy(&floats[i], &half, 4);
        if (i % 2 || !isfinite(doubles[i]))
            doubles[i] = (double)rng_below(&rng, 1 << 20) / 1000;
        if (i % 2 || !isfinite(floats[i]))
            floats[i] = (float)rng_unit(&rng);
    }
    struct pay_tensor t[2] = {{.name = SPAN_LIT("d"),
                               .type = PAY_FP64,
                               .shape = {COUNT},
                               .rank = 1,
                               .element_count = COUNT,
                               .packed = span_of(doubles, sizeof doubles)},
                              {.name = SPAN_LIT("f"),
                               .type = PAY_FP32,
                               .shape = {COUNT},
                               .rank = 1,
                               .element_count = COUNT,
                               .packed = span_of(floats, sizeof floats)}};
    struct pay_message m = {.tensors = t, .tensor_count = 2}, back;
    v2_json_request(&m, &out);
    check_ok(v2_json_parse_request(buf_view(&out), &arena, &back, &e), &e);
    check_true(messages_equal(&m, &back));
    buf_done(&out);
}

/* Without zeros in front and at the end. */
static size_t significant_digits(const char *text)
{
    size_t all = 0, significant = 0;
    for (const char *p = text; *p && *p != 'e'; p++) {
        if (*p < '0' || *p > '9' || (*p == '0' && all == 0))
            continue;
        all++;
        if (*p != '0')
            significant = all;
    }
    return significant;
}

/* No text that is shorter reads back equal: tried with the C library's printing. */
static void float_text_is_as_short_as_any(void **state)
{
    (void)state;
    struct rng rng;
    struct buf out = {0};
    rng_init(&rng, 10);
    for (int i = 0; i < 3000; i++) {
        float f = (float)(rng_unit(&rng) * (double)(1 << rng_below(&rng, 30)));
        struct pay_tensor t = {
            .type = PAY_FP32, .element_count = 1, .packed = span_of(&f, 4)};
        char shortest[32];
        for (int digits = 1; digits <= 9; digits++) {
            snprintf(shortest, sizeof shortest, "%.*g", digits, (double)f);
            if ((float)strtod(shortest, NULL) == f)
                break;
        }
        buf_reset(&out);
        v2_json_data(&t, &out);
        size_t ours = significant_digits(buf_text(&out)),
               significant = significant_digits(shortest);
        check_int(ours, <=, significant);
    }
    buf_done(&out);
}

static void what_json_cannot_say_is_null(void **state)
{
    (void)state;
    float odd[] = {(float)NAN, (float)INFINITY, (float)-INFINITY};
    struct pay_tensor t = {
        .type = PAY_FP32, .element_count = 3, .packed = span_of(odd, sizeof odd)};
    struct buf out = {0};
    v2_json_data(&t, &out);
    check_str(buf_text(&out), "[null,null,null]");
    buf_done(&out);
}

static void bytes_that_are_no_text_go_as_base64(void **state)
{
    (void)state;
    struct span elements[] = {SPAN_LIT("\xff\xfe"), SPAN_LIT("ok")};
    struct pay_param params[] = {
        {.name = SPAN_LIT("content_type"),
         .kind = PAY_PARAM_STRING,
         .s = SPAN_LIT("str")},
        {.name = SPAN_LIT("p"), .kind = PAY_PARAM_BOOL},
    };
    struct pay_tensor t = {.name = SPAN_LIT("x"),
                           .type = PAY_BYTES,
                           .shape = {2},
                           .rank = 1,
                           .element_count = 2,
                           .bytes = elements};
    struct pay_message m = {.tensors = &t, .tensor_count = 1};
    struct buf out = {0};
    v2_json_request(&m, &out);
    check_str(
        buf_text(&out),
        "{\"inputs\":[{\"name\":\"x\",\"shape\":[2],\"datatype\":\"BYTES\","
        "\"parameters\":{\"content_type\":\"base64\"},\"data\":[\"//4=\",\"b2s=\"]}]}");
    t.params = params;
    t.param_count = 2;
    buf_reset(&out);
    v2_json_request(&m, &out);
    check_str_has(buf_text(&out),
                  "\"parameters\":{\"p\":false,\"content_type\":\"base64\"}");
    buf_done(&out);
}

static void a_whole_message_is_written_without_blanks(void **state)
{
    (void)state;
    static const char json[] =
        "{\"model_name\":\"m\\\"1\",\"model_version\":\"2\",\"id\":\"i\","
        "\"parameters\":{\"b\":false,\"i\":-1,\"d\":2.0,\"s\":\"\\n\"},\"outputs\":[{"
        "\"name\":\"a "
        "b\",\"shape\":[],\"datatype\":\"INT8\",\"data\":[-1]},{\"name\":\"\","
        "\"shape\":[0],\"datatype\":\"BYTES\",\"data\":[]}]}";
    struct pay_message m;
    struct buf out = {0};
    check_ok(parse(json, false, &m), &e);
    v2_json_response(&m, &out);
    check_str(buf_text(&out), json);
    buf_done(&out);
}

#define T(f) cmocka_unit_test_teardown(f, clean)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(members_may_come_in_any_order),
        T(nested_data_is_flattened_in_order),
        T(elements_of_every_datatype_are_read),
        T(a_string_is_its_element_whatever_the_content_type),
        T(faults_are_named_with_their_place),
        T(an_answer_may_have_parameters_that_are_objects),
        T(a_shape_is_not_believed_beyond_its_data),
        T(lists_have_limits),
        T(a_message_has_a_largest_size),
        T(responses_have_names_and_errors_are_told),
        T(numbers_are_written_with_the_fewest_digits),
        T(every_float_reads_back_equal),
        T(float_text_is_as_short_as_any),
        T(what_json_cannot_say_is_null),
        T(bytes_that_are_no_text_go_as_base64),
        T(a_whole_message_is_written_without_blanks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

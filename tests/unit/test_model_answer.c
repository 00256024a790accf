/* test_model_answer.c - answers of model types, and their checks.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/check.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "traces/payload/model_type.h"
#include "traces/payload/v2_json.h"
#include "traces/payload/v2_proto.h"

static struct arena arena;
static struct err e;

static int clean(void **state)
{
    (void)state;
    arena_done(&arena);
    e = (struct err){0};
    return 0;
}

static const struct model_type *type(const char *name)
{
    const struct model_type *mt = model_type_find(span_str(name));
    assert_non_null(mt);
    return mt;
}

static struct pay_message request_json(const char *json)
{
    struct pay_message m;
    check_ok(v2_json_parse_request(span_str(json), &arena, &m, &e), &e);
    return m;
}

static struct pay_message response_json(const char *json)
{
    struct pay_message m;
    check_ok(v2_json_parse_response(span_str(json), &arena, &m, &e), &e);
    return m;
}

static struct pay_message built(const struct model_type *mt, const struct mt_request *q)
{
    struct buf body = {0};
    struct pay_message m;
    check_ok(model_type_request(mt, q, &body, &e), &e);
    struct span kept = arena_dup(&arena, buf_view(&body));
    buf_done(&body);
    check_ok(q->protocol == OP_REST ? v2_json_parse_request(kept, &arena, &m, &e)
                                    : v2_proto_parse_request(kept, &arena, &m, &e),
             &e);
    return m;
}

/* The answer after it went through the encoding of a protocol. */
static struct pay_message carried(struct pay_message answer, enum op_protocol protocol,
                                  bool raw)
{
    struct buf bytes = {0};
    struct pay_message m;
    answer.raw = raw;
    answer.model_name = SPAN_LIT("m_1");
    if (protocol == OP_REST)
        v2_json_response(&answer, &bytes);
    else
        v2_proto_response(&answer, &bytes);
    check_ok(buf_check(&bytes, &e), &e);
    struct span kept = arena_dup(&arena, buf_view(&bytes));
    buf_done(&bytes);
    check_ok(protocol == OP_REST ? v2_json_parse_response(kept, &arena, &m, &e)
                                 : v2_proto_parse_response(kept, &arena, &m, &e),
             &e);
    return m;
}

static void refused(const char *name, const struct pay_message *request,
                    const char *json, const char *why)
{
    struct pay_message answer = response_json(json);
    check_int(model_type_check(type(name), request, &answer, &e), ==, ERR_FORMAT);
    check_str_has(e.text, why);
    err_clear(&e);
}

static void accepted(const char *name, const struct pay_message *request,
                     const char *json)
{
    struct pay_message answer = response_json(json);
    check_ok(model_type_check(type(name), request, &answer, &e), &e);
}

/* --- answers ----------------------------------------------------------------- */

static void every_type_answers_what_it_accepts_in_every_encoding(void **state)
{
    (void)state;
    for (size_t i = 0; model_type_at(i); i++) {
        const struct model_type *mt = model_type_at(i);
        for (unsigned way = 0; way < 2 * 3 * 2; way++) {
            struct mt_request q = {.protocol = way % 2 ? OP_GRPC : OP_REST,
                                   .values = way / 2 % 3,
                                   .batch = way / 6 ? 3 : 1,
                                   .seed = 7,
                                   .ordinal = 5};
            struct pay_message request = built(mt, &q), answer, got;
            check_ok(model_type_answer(mt, &request, &arena, &answer, &e), &e);
            got = carried(answer, OP_REST, false);
            check_ok(model_type_check(mt, &request, &got, &e), &e);
            got = carried(answer, OP_GRPC, false);
            check_ok(model_type_check(mt, &request, &got, &e), &e);
            got = carried(answer, OP_GRPC, true);
            check_ok(model_type_check(mt, &request, &got, &e), &e);
            arena_reset(&arena);
        }
    }
}

static void answer_is(const char *name, const char *request, const char *wanted)
{
    struct pay_message m = request_json(request), answer;
    struct buf text = {0};
    check_ok(model_type_answer(type(name), &m, &arena, &answer, &e), &e);
    v2_json_response(&answer, &text);
    check_str(buf_text(&text), wanted);
    buf_done(&text);
}

#define SIXTEEN_SEVENS "7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7"
#define SIXTEEN_ONES   "1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1"

static void tfsimple_adds_and_subtracts(void **state)
{
    (void)state;
    answer_is(
        "tfsimple",
        "{\"inputs\":[{\"name\":\"INPUT0\",\"datatype\":\"INT32\",\"shape\":[1,16],"
        "\"data\":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,2147483647]},{\"name\":"
        "\"INPUT1\",\"datatype\":\"INT32\",\"shape\":[1,16],\"data\":[" SIXTEEN_ONES
        "]}]}",
        "{\"model_name\":\"\",\"outputs\":[{\"name\":\"OUTPUT0\",\"shape\":[1,16],"
        "\"datatype\":\"INT32\",\"data\":[2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,-"
        "2147483648]},{\"name\":\"OUTPUT1\",\"shape\":[1,16],\"datatype\":\"INT32\","
        "\"data\":[0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,2147483646]}]}");
}

static void tfsimple_string_adds_decimal_numbers(void **state)
{
    (void)state;
    struct mt_request q = {.batch = 1};
    struct pay_message m = built(type("tfsimple_string"), &q), answer;
    check_ok(model_type_answer(type("tfsimple_string"), &m, &arena, &answer, &e), &e);
    check_span(answer.tensors[0].bytes[15], "194");
    check_span(answer.tensors[1].bytes[0], "0");
}

static void tfsimple_string_wants_decimal_numbers(void **state)
{
    (void)state;
    struct span odd[16], fine[16];
    for (int i = 0; i < 16; i++)
        odd[i] = fine[i] = SPAN_LIT("-12");
    odd[3] = SPAN_LIT("1234567890123456789");
    struct pay_tensor t[2];
    t[0] = (struct pay_tensor){.name = SPAN_LIT("INPUT0"),
                               .type = PAY_BYTES,
                               .shape = {1, 16},
                               .rank = 2,
                               .element_count = 16,
                               .bytes = fine};
    t[1] = t[0];
    t[1].name = SPAN_LIT("INPUT1");
    t[1].bytes = odd;
    struct pay_message m = {.tensors = t, .tensor_count = 2}, answer;
    check_int(model_type_answer(type("tfsimple_string"), &m, &arena, &answer, &e), ==,
              ERR_FORMAT);
    check_str_has(e.text, "element 3 is no decimal number");
}

static void add10_adds_ten_in_single_precision(void **state)
{
    (void)state;
    answer_is("add10",
              "{\"inputs\":[{\"name\":\"INPUT\",\"datatype\":\"FP32\",\"shape\":[2],"
              "\"data\":[0.1,1e9]}]}",
              "{\"model_name\":\"\",\"outputs\":[{\"name\":\"OUTPUT\",\"shape\":[2],"
              "\"datatype\":\"FP32\",\"data\":[10.1,1e+09]}]}");
}

static void iris_tells_species_by_their_petals(void **state)
{
    (void)state;
    answer_is("iris",
              "{\"inputs\":[{\"name\":\"predict\",\"datatype\":\"FP32\",\"shape\":[3,4]"
              ",\"data\":[5.1,3.5,1.4,0.2, 5.7,2.8,4.5,1.3, 6.3,3.3,6,2.5]}]}",
              "{\"model_name\":\"\",\"outputs\":[{\"name\":\"predict\",\"shape\":[3,1],"
              "\"datatype\":\"INT64\",\"data\":[0,1,2]}]}");
}

static void random_flowers_are_of_all_species(void **state)
{
    (void)state;
    struct mt_request q = {.values = MT_RANDOM, .batch = 60, .seed = 3};
    struct pay_message m = built(type("iris"), &q), answer;
    check_ok(model_type_answer(type("iris"), &m, &arena, &answer, &e), &e);
    int seen[3] = {0};
    for (uint64_t i = 0; i < 60; i++)
        seen[pay_tensor_int(&answer.tensors[0], i)]++;
    for (int species = 0; species < 3; species++)
        check_int(seen[species], >=, 10);
}

static void echo_gives_back_names_contents_and_parameters(void **state)
{
    (void)state;
    answer_is(
        "echo",
        "{\"inputs\":[{\"name\":\"a\",\"datatype\":\"BYTES\",\"shape\":[1],"
        "\"parameters\":{\"content_type\":\"str\"},\"data\":[\"x\"]},{\"name\":\"b\","
        "\"datatype\":\"BOOL\",\"shape\":[2],\"data\":[true,false]}]}",
        "{\"model_name\":\"\",\"outputs\":[{\"name\":\"a\",\"shape\":[1],\"datatype\":"
        "\"BYTES\",\"parameters\":{\"content_type\":\"str\"},\"data\":[\"x\"]},{"
        "\"name\":\"b\",\"shape\":[2],\"datatype\":\"BOOL\",\"data\":[true,false]}]}");
}

static void scores_add_up_to_one_and_depend_on_the_picture(void **state)
{
    (void)state;
    struct mt_request q = {.values = MT_RANDOM, .batch = 2, .seed = 3};
    struct pay_message m = built(type("pytorch_cifar10"), &q), answer;
    check_ok(model_type_answer(type("pytorch_cifar10"), &m, &arena, &answer, &e), &e);
    const struct pay_tensor *t = &answer.tensors[0];
    check_int(t->element_count, ==, 20);
    double sum = 0;
    for (uint64_t i = 0; i < 10; i++)
        sum += pay_tensor_number(t, i);
    check_true(fabs(sum - 1) < 1e-5);
    check_true(pay_tensor_number(t, 0) != pay_tensor_number(t, 10));
}

static void a_wrong_datatype_or_shape_is_named(void **state)
{
    (void)state;
    struct pay_message answer;
    struct pay_message m =
        request_json("{\"inputs\":[{\"name\":\"predict\",\"datatype\":\"FP64\","
                     "\"shape\":[1,4],\"data\":[1,2,3,4]}]}");
    check_int(model_type_answer(type("iris"), &m, &arena, &answer, &e), ==, ERR_FORMAT);
    check_str_has(e.text, "'predict' is FP64, not FP32");
    err_clear(&e);
    m = request_json("{\"inputs\":[{\"name\":\"predict\",\"datatype\":\"FP32\","
                     "\"shape\":[4],\"data\":[1,2,3,4]}]}");
    check_int(model_type_answer(type("iris"), &m, &arena, &answer, &e), ==, ERR_FORMAT);
    check_str_has(e.text, "'predict' has not the shape that iris takes");
    err_clear(&e);
    m = request_json("{\"inputs\":[]}");
    check_int(model_type_answer(type("tfsimple"), &m, &arena, &answer, &e), ==,
              ERR_FORMAT);
    check_str_has(e.text, "tfsimple wants a tensor 'INPUT0'");
}

/* --- checks ------------------------------------------------------------------ */

static void sums_are_checked_to_the_element(void **state)
{
    (void)state;
    struct pay_message m = request_json(
        "{\"inputs\":[{\"name\":\"INPUT0\",\"datatype\":\"INT32\",\"shape\":[1,16],"
        "\"data\":[" SIXTEEN_SEVENS "]},{\"name\":\"INPUT1\",\"datatype\":\"INT32\","
        "\"shape\":[1,16],\"data\":[" SIXTEEN_ONES "]}]}");
    /* Other order, another output, parameters, nested data, a name of the server's. */
    accepted(
        "tfsimple", &m,
        "{\"model_name\":\"tfsimple_1\",\"model_version\":\"1\",\"id\":\"x\","
        "\"parameters\":{\"y\":1},\"outputs\":[{\"name\":\"OUTPUT1\",\"shape\":[1,16],"
        "\"datatype\":\"INT32\",\"parameters\":{\"content_type\":\"np\"},\"data\":[[6,"
        "6,6,6,6,6,6,6,6,6,6,6,6,6,6,6]]},{\"name\":\"more\",\"shape\":[0],"
        "\"datatype\":\"FP32\",\"data\":[]},{\"name\":\"OUTPUT0\",\"shape\":[1,16],"
        "\"datatype\":\"INT32\",\"data\":[8,8,8,8,8,8,8,8,8,8,8,8,8,8,8,8]}]}");
    refused("tfsimple", &m,
            "{\"outputs\":[{\"name\":\"OUTPUT0\",\"shape\":[1,16],\"datatype\":"
            "\"INT32\",\"data\":[8,8,8,8,8,8,8,8,8,8,8,8,8,8,9,8]}]}",
            "'OUTPUT0' element 14 is 9, wanted 8");
    refused("tfsimple", &m,
            "{\"outputs\":[{\"name\":\"OUTPUT0\",\"shape\":[1,16],\"datatype\":"
            "\"INT32\",\"data\":[8,8,8,8,8,8,8,8,8,8,8,8,8,8,8,8]}]}",
            "no output 'OUTPUT1'");
    refused("tfsimple", &m,
            "{\"outputs\":[{\"name\":\"OUTPUT0\",\"shape\":[1,2],\"datatype\":"
            "\"INT32\",\"data\":[8,8]}]}",
            "'OUTPUT0' has shape [1,2], wanted [1,16]");
    refused("tfsimple", &m,
            "{\"outputs\":[{\"name\":\"OUTPUT0\",\"shape\":[1],\"datatype\":\"INT64\","
            "\"data\":[8]}]}",
            "'OUTPUT0' is INT64, wanted INT32");
}

static void float_sums_are_compared_in_their_own_precision(void **state)
{
    (void)state;
    struct pay_message m = request_json("{\"inputs\":[{\"name\":\"INPUT\",\"datatype\":"
                                        "\"FP32\",\"shape\":[1],\"data\":[0.1]}]}");
    /* 10.1 as FP32, written with the digits of a double. */
    accepted("add10", &m,
             "{\"outputs\":[{\"name\":\"OUTPUT\",\"shape\":[1],\"datatype\":\"FP32\","
             "\"data\":[10.100000381469727]}]}");
    refused("add10", &m,
            "{\"outputs\":[{\"name\":\"OUTPUT\",\"shape\":[1],\"datatype\":\"FP32\","
            "\"data\":[10.2]}]}",
            "'OUTPUT' element 0 is 10.1999998, wanted 10.1000004");
}

static void bytes_may_come_as_base64_of_what_is_right(void **state)
{
    (void)state;
    struct pay_message m =
        request_json("{\"inputs\":[{\"name\":\"p\",\"datatype\":\"BYTES\",\"shape\":[1]"
                     ",\"data\":[\"hello\"]}]}");
    accepted("echo", &m,
             "{\"outputs\":[{\"name\":\"p\",\"shape\":[1],\"datatype\":\"BYTES\","
             "\"data\":[\"aGVsbG8=\"]}]}");
    refused("echo", &m,
            "{\"outputs\":[{\"name\":\"p\",\"shape\":[1],\"datatype\":\"BYTES\","
            "\"data\":[\"hallo\"]}]}",
            "'p' element 0 is \"hallo\", wanted \"hello\"");
}

static void iris_classes_are_checked_by_range_and_count(void **state)
{
    (void)state;
    struct mt_request q = {.batch = 2};
    struct pay_message m = built(type("iris"), &q);
    accepted("iris", &m,
             "{\"outputs\":[{\"name\":\"predict\",\"shape\":[2,1],\"datatype\":"
             "\"INT64\",\"data\":[2,0]}]}");
    accepted("iris", &m,
             "{\"outputs\":[{\"name\":\"predict\",\"shape\":[2],\"datatype\":\"INT64\","
             "\"data\":[1,1]}]}");
    refused("iris", &m,
            "{\"outputs\":[{\"name\":\"predict\",\"shape\":[2,1],\"datatype\":"
            "\"INT64\",\"data\":[2,3]}]}",
            "'predict' element 1 is 3, wanted 0, 1 or 2");
    refused("iris", &m,
            "{\"outputs\":[{\"name\":\"predict\",\"shape\":[1,1],\"datatype\":"
            "\"INT64\",\"data\":[2]}]}",
            "'predict' has shape [1,1], wanted [2] or [2,1]");
    refused("iris", &m,
            "{\"outputs\":[{\"name\":\"predict\",\"shape\":[2,1],\"datatype\":\"FP32\","
            "\"data\":[1,1]}]}",
            "'predict' is FP32, wanted INT64");
    refused("iris", &m, "{\"outputs\":[]}", "no output 'predict'");
}

static void look_alikes_are_checked_by_size_and_finiteness(void **state)
{
    (void)state;
    struct mt_request q = {.batch = 2};
    struct pay_message wine = built(type("mlflow_wine"), &q);
    accepted("mlflow_wine", &wine,
             "{\"outputs\":[{\"name\":\"any\",\"shape\":[2,1],\"datatype\":\"FP64\","
             "\"data\":[5.5,6]}]}");
    refused("mlflow_wine", &wine,
            "{\"outputs\":[{\"name\":\"any\",\"shape\":[1,2],\"datatype\":\"FP64\","
            "\"data\":[5.5,6]}]}",
            "no output of 2 x 1");
    refused("mlflow_wine", &wine,
            "{\"outputs\":[{\"name\":\"any\",\"shape\":[2],\"datatype\":\"FP64\","
            "\"data\":[5.5,null]}]}",
            "'any' element 1 is not finite");
    q.batch = 1;
    struct pay_message gpt2 = built(type("onnx_gpt2"), &q);
    accepted("onnx_gpt2", &gpt2,
             "{\"outputs\":[{\"name\":\"logits\",\"shape\":[1,10,2],\"datatype\":"
             "\"FP32\",\"data\":[1,2,3,4,5,6,7,8,9,10,1,2,3,4,5,6,7,8,9,10]}]}");
    refused("onnx_gpt2", &gpt2,
            "{\"outputs\":[{\"name\":\"logits\",\"shape\":[1,2,10],\"datatype\":"
            "\"FP32\",\"data\":[1,2,3,4,5,6,7,8,9,10,1,2,3,4,5,6,7,8,9,10]}]}",
            "no output of 1 x 10 x logits");
}

static void sentiments_are_json_with_label_and_score(void **state)
{
    (void)state;
    struct mt_request q = {.batch = 1};
    struct pay_message m = built(type("sentiment"), &q);
    accepted(
        "sentiment", &m,
        "{\"outputs\":[{\"name\":\"output\",\"shape\":[1,1],\"datatype\":\"BYTES\","
        "\"data\":[\"{\\\"label\\\": \\\"NEGATIVE\\\", \\\"score\\\": 0.75}\"]}]}");
    accepted("sentiment", &m, /* the same through base64 */
             "{\"outputs\":[{\"name\":\"output\",\"shape\":[1],\"datatype\":\"BYTES\","
             "\"data\":[\"eyJsYWJlbCI6ICJORUdBVElWRSIsICJzY29yZSI6IDAuNzV9\"]}]}");
    refused("sentiment", &m,
            "{\"outputs\":[{\"name\":\"output\",\"shape\":[1],\"datatype\":\"BYTES\","
            "\"data\":[\"{\\\"label\\\": \\\"NEGATIVE\\\", \\\"score\\\": 1.5}\"]}]}",
            "wanted a label and a score from 0 to 1");
}

static void answers_of_real_servers_are_right(void **state)
{
    (void)state;
    static const char *const servers[] = {"mlserver", "triton"};
    static const char *const names[] = {"iris", "tfsimple", "add10", "echo"};
    for (int i = 0; i < 2 * 4 * 2; i++) {
        enum op_protocol protocol = i % 2 ? OP_GRPC : OP_REST;
        const struct model_type *mt = type(names[i / 2 % 4]);
        struct mt_request q = {.protocol = protocol, .batch = 1};
        struct pay_message request = built(mt, &q), answer;
        struct buf file = {0};
        char path[128];
        snprintf(path, sizeof path, "tests/data/v2-answers/%s-%s.%s", servers[i / 8],
                 mt->name, protocol == OP_REST ? "json" : "pb");
        check_ok(buf_read_file(&file, path, 100000, &e), &e);
        check_ok(protocol == OP_REST
                     ? v2_json_parse_response(buf_view(&file), &arena, &answer, &e)
                     : v2_proto_parse_response(buf_view(&file), &arena, &answer, &e),
                 &e);
        check_int(answer.raw, ==, protocol == OP_GRPC && i >= 8); /* Triton */
        check_ok(model_type_check(mt, &request, &answer, &e), &e);
        q.values = MT_RANDOM; /* and the same are wrong for another request */
        request = built(mt, &q);
        if (mt->kind != MT_IRIS) {
            check_int(model_type_check(mt, &request, &answer, &e), ==, ERR_FORMAT);
            err_clear(&e);
        }
        buf_done(&file);
    }
}

static void a_request_without_a_right_answer_is_not_judged(void **state)
{
    (void)state;
    struct pay_message m = request_json("{\"inputs\":[]}");
    struct pay_message answer = response_json("{\"outputs\":[]}");
    check_int(model_type_check(type("add10"), &m, &answer, &e), ==, ERR_USAGE);
    check_str_has(e.text,
                  "this request has no right answer: add10 wants a tensor 'INPUT'");
}

#define T(f) cmocka_unit_test_teardown(f, clean)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(every_type_answers_what_it_accepts_in_every_encoding),
        T(tfsimple_adds_and_subtracts),
        T(tfsimple_string_adds_decimal_numbers),
        T(tfsimple_string_wants_decimal_numbers),
        T(add10_adds_ten_in_single_precision),
        T(iris_tells_species_by_their_petals),
        T(random_flowers_are_of_all_species),
        T(echo_gives_back_names_contents_and_parameters),
        T(scores_add_up_to_one_and_depend_on_the_picture),
        T(a_wrong_datatype_or_shape_is_named),
        T(sums_are_checked_to_the_element),
        T(float_sums_are_compared_in_their_own_precision),
        T(bytes_may_come_as_base64_of_what_is_right),
        T(iris_classes_are_checked_by_range_and_count),
        T(look_alikes_are_checked_by_size_and_finiteness),
        T(sentiments_are_json_with_label_and_score),
        T(answers_of_real_servers_are_right),
        T(a_request_without_a_right_answer_is_not_judged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_model_type.c - the MODEL_TYPE table and its requests.
 *
 * tests/golden/payload/TYPE.txt holds a line for each request: how it was asked for,
 * and the JSON, or the protobuf in hexadecimal; of long ones length, hash and
 * beginning. What k6 must look like is computed once more by
 * tests/golden/payload/oracle.py.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/check.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/pay_equal.h"
#include "traces/payload/model_type.h"
#include "traces/payload/v2_json.h"
#include "traces/payload/v2_proto.h"

#define SHOWN_BYTES 2000 /* of a body, in a golden file */

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

/* The body, kept in the arena. */
static struct span body(const struct model_type *mt, const struct mt_request *q)
{
    struct buf b = {0};
    check_ok(model_type_request(mt, q, &b, &e), &e);
    struct span s = arena_dup(&arena, buf_view(&b));
    buf_done(&b);
    return s;
}

static struct pay_message message(const struct model_type *mt,
                                  const struct mt_request *q)
{
    struct pay_message m;
    struct span s = body(mt, q);
    check_ok(q->protocol == OP_REST ? v2_json_parse_request(s, &arena, &m, &e)
                                    : v2_proto_parse_request(s, &arena, &m, &e),
             &e);
    return m;
}

/* --- golden ------------------------------------------------------------------ */

static void show(struct buf *out, struct span s, enum op_protocol protocol)
{
    size_t shown = s.n;
    if (s.n > SHOWN_BYTES) {
        uint64_t hash[2];
        op_body_hash(s, hash);
        shown = 120;
        buf_fmt(out, "%zu bytes, %016llx%016llx, ", s.n, (unsigned long long)hash[1],
                (unsigned long long)hash[0]);
    }
    for (size_t i = 0; protocol != OP_REST && i < shown; i++)
        buf_fmt(out, "%02x", s.p[i]);
    if (protocol == OP_REST)
        buf_add(out, s.p, shown);
}

static void show_request(struct buf *out, const struct model_type *mt,
                         const struct mt_request *q)
{
    struct buf b = {0};
    buf_fmt(out, "%s %u %s: ", op_protocol_names[q->protocol], q->batch,
            q->k6 ? "k6" : mt_values_names[q->values]);
    if (model_type_request(mt, q, &b, &e) == 0)
        show(out, buf_view(&b), q->protocol);
    else
        buf_fmt(out, "refused: %s", e.text);
    err_clear(&e);
    buf_u8(out, '\n');
    buf_done(&b);
}

static void requests_of_every_type_are_as_they_were(void **state)
{
    (void)state;
    for (size_t i = 0; model_type_at(i); i++) {
        const struct model_type *mt = model_type_at(i);
        struct buf out = {0};
        char name[80];
        for (enum op_protocol protocol = OP_REST; protocol <= OP_GRPC; protocol++)
            for (uint32_t batch = 1; batch <= 3; batch += 2)
                for (unsigned kind = 0; kind < 4; kind++)
                    show_request(&out, mt,
                                 &(struct mt_request){.protocol = protocol,
                                                      .batch = batch,
                                                      .values = kind % 3,
                                                      .seed = 1,
                                                      .ordinal = 5,
                                                      .k6 = kind == 3});
        snprintf(name, sizeof name, "payload/%s.txt", mt->name);
        check_golden(name, buf_view(&out));
        buf_done(&out);
    }
}

/* --- the table --------------------------------------------------------------- */

static void types_are_found_by_name_and_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < MT_KIND_COUNT; i++) {
        const struct model_type *mt = model_type_at(i);
        assert_non_null(mt);
        check_int(mt->kind, ==, i);
        check_true(type(mt->name) == mt);
        check_true(mt->storage_uri && mt->requirements && mt->input_count > 0);
        check_true(strcmp(mt->server, "triton") == 0 ||
                   strcmp(mt->server, "mlserver") == 0);
    }
    check_true(model_type_at(MT_KIND_COUNT) == NULL);
    check_true(model_type_find(SPAN_LIT("iris2")) == NULL);
    check_true(model_type_find(SPAN_LIT("")) == NULL);
}

static void only_iris_has_numbered_artefacts(void **state)
{
    (void)state;
    struct buf uri = {0};
    model_type_uri(type("iris"), 13, &uri);
    check_str(buf_text(&uri), "gs://seldon-models/testing/iris3");
    buf_reset(&uri);
    model_type_uri(type("tfsimple"), 13, &uri);
    check_str(buf_text(&uri), "gs://seldon-models/triton/simple");
    buf_done(&uri);
}

/* --- sizes and values -------------------------------------------------------- */

static void tensors_have_the_sizes_that_the_models_take(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint64_t bytes;
    } sizes[] = {{"tfsimple", 128},   {"pytorch_cifar10", 12288},
                 {"tfmnist", 3136},   {"tfresnet152", 602112},
                 {"onnx_gpt2", 80},   {"iris", 16},
                 {"mlflow_wine", 44}, {"add10", 16}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct mt_request q = {.protocol = OP_GRPC, .batch = 1};
        struct pay_message m = message(type(sizes[i].name), &q);
        uint64_t bytes = 0;
        for (uint32_t k = 0; k < m.tensor_count; k++)
            bytes += m.tensors[k].packed.n;
        check_int(bytes, ==, sizes[i].bytes);
    }
}

static void both_protocols_carry_the_same_message(void **state)
{
    (void)state;
    for (size_t i = 0; model_type_at(i); i++) {
        for (unsigned values = 0; values < 3; values++) {
            struct mt_request q = {
                .batch = 2, .values = values, .seed = 4, .ordinal = 9};
            struct pay_message rest = message(model_type_at(i), &q);
            q.protocol = OP_GRPC;
            struct pay_message grpc = message(model_type_at(i), &q);
            check_true(messages_equal(&rest, &grpc));
            q.protocol = OP_KAFKA;
            struct pay_message kafka = message(model_type_at(i), &q);
            check_true(messages_equal(&rest, &kafka));
            arena_reset(&arena);
        }
    }
}

static void seed_and_ordinal_decide_what_is_drawn(void **state)
{
    (void)state;
    for (size_t i = 0; model_type_at(i); i++) {
        const struct model_type *mt = model_type_at(i);
        struct mt_request q = {
            .batch = 2, .values = MT_RANDOM, .seed = 4, .ordinal = 9};
        struct span first = body(mt, &q);
        check_true(span_eq(first, body(mt, &q)));
        if (mt->kind != MT_SENTIMENT) { /* has eight sentences only */
            q.seed = 5;
            check_true(!span_eq(first, body(mt, &q)));
            q.seed = 4;
            q.ordinal = 10;
            check_true(!span_eq(first, body(mt, &q)));
        }
        q.values = MT_COUNTING;
        first = body(mt, &q);
        q.ordinal = 11;
        check_true(!span_eq(first, body(mt, &q)));
        q.values = MT_CONSTANT;
        first = body(mt, &q);
        q.ordinal = 12;
        q.seed = 3;
        check_true(span_eq(first, body(mt, &q)));
        arena_reset(&arena);
    }
}

static void counting_goes_on_where_the_last_request_ended(void **state)
{
    (void)state;
    struct mt_request q = {.batch = 1, .values = MT_COUNTING, .ordinal = 1};
    struct pay_message m = message(type("tfsimple"), &q);
    check_int(pay_tensor_int(&m.tensors[0], 0), ==, 16);
    check_int(pay_tensor_int(&m.tensors[0], 15), ==, 31);
    q.ordinal = 63; /* 63 * 16 + 15 is beyond 999 */
    m = message(type("tfsimple"), &q);
    check_int(pay_tensor_int(&m.tensors[0], 0), ==, 8);
    m = message(type("echo"), &q);
    check_span(m.tensors[0].bytes[0], "hello-63");
}

static void random_values_stay_in_range(void **state)
{
    (void)state;
    for (size_t i = 0; model_type_at(i); i++) {
        const struct model_type *mt = model_type_at(i);
        for (uint64_t ordinal = 0; ordinal < 5 && mt->kind != MT_IRIS; ordinal++) {
            struct mt_request q = {
                .batch = 8, .values = MT_RANDOM, .seed = 4, .ordinal = ordinal};
            q.protocol = OP_GRPC;
            struct pay_message m = message(mt, &q);
            for (uint32_t k = 0; k < m.tensor_count; k++) {
                const struct pay_tensor *t = &m.tensors[k];
                for (uint64_t n = 0; t->type != PAY_BYTES && n < t->element_count;
                     n++) {
                    double v = pay_tensor_number(t, n);
                    check_true(v >= (double)(float)mt->inputs[k].low &&
                               v <= (double)(float)mt->inputs[k].high);
                }
            }
            arena_reset(&arena);
        }
    }
}

static void random_flowers_have_plausible_measures(void **state)
{
    (void)state;
    struct mt_request q = {.batch = 1000, .values = MT_RANDOM, .seed = 8};
    struct pay_message m = message(type("iris"), &q);
    double sum[4] = {0};
    for (uint64_t i = 0; i < 4000; i++) {
        double v = pay_tensor_number(&m.tensors[0], i);
        check_true(v > 0.09 && v < 11);
        sum[i % 4] += v / 1000;
    }
    /* Means over the three species, within four standard errors. */
    check_true(sum[0] > 5.73 && sum[0] < 5.95 && sum[1] > 3.00 && sum[1] < 3.12);
    check_true(sum[2] > 3.53 && sum[2] < 3.99 && sum[3] > 1.10 && sum[3] < 1.30);
}

/* --- refusals ---------------------------------------------------------------- */

static void refused(const char *name, struct mt_request q, enum err_code code,
                    const char *why)
{
    struct buf b = {0};
    check_int(model_type_request(type(name), &q, &b, &e), ==, code);
    check_str_has(e.text, why);
    err_clear(&e);
    buf_done(&b);
}

static void batches_have_limits(void **state)
{
    (void)state;
    struct mt_request q = {.batch = 9};
    refused("tfsimple", q, ERR_LIMIT, "batch 9 of tfsimple (limit 8)");
    q.k6 = true; /* k6 knows no limit */
    body(type("tfsimple"), &q);
    q.k6 = false;
    q.batch = 0;
    refused("iris", q, ERR_USAGE, "a batch has at least one item");
    q.batch = 4097;
    refused("iris", q, ERR_LIMIT, "batch 4097 of iris (limit 4096)");
    q.batch = 4096;
    refused("tfresnet152", q, ERR_LIMIT, "tfresnet152 at batch 4096 is larger than");
    q.batch = 100; /* 60 MB as numbers, more as text */
    q.values = MT_COUNTING;
    refused("tfresnet152", q, ERR_LIMIT, "tfresnet152 at batch 100 takes");
    q.batch = 1u << 31; /* of no effect */
    body(type("add10"), &q);
}

static void k6_payloads_are_refused_where_k6_cannot_send_them(void **state)
{
    (void)state;
    struct mt_request q = {.batch = 1, .protocol = OP_GRPC, .k6 = true};
    int refusals = 0;
    for (size_t i = 0; model_type_at(i); i++) {
        const char *why = model_type_k6_refusal(model_type_at(i), OP_GRPC);
        check_true(model_type_k6_refusal(model_type_at(i), OP_REST) == NULL);
        if (!why) {
            body(model_type_at(i), &q);
            continue;
        }
        refusals++;
        refused(model_type_at(i)->name, q, ERR_USAGE, why);
    }
    check_int(refusals, ==, 2); /* add10 and synth */
    q.protocol = OP_KAFKA;
    refused("iris", q, ERR_USAGE, "k6 sends requests by REST and gRPC only");
    q = (struct mt_request){.batch = 1, .values = MT_RANDOM, .k6 = true};
    refused("iris", q, ERR_USAGE, "k6 payloads have constant values, not random");
    q = (struct mt_request){.batch = 1, .protocol = OP_CONTROL};
    refused("iris", q, ERR_USAGE, "no payload goes with protocol control");
}

#define T(f) cmocka_unit_test_teardown(f, clean)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(requests_of_every_type_are_as_they_were),
        T(types_are_found_by_name_and_place),
        T(only_iris_has_numbered_artefacts),
        T(tensors_have_the_sizes_that_the_models_take),
        T(both_protocols_carry_the_same_message),
        T(seed_and_ordinal_decide_what_is_drawn),
        T(counting_goes_on_where_the_last_request_ended),
        T(random_values_stay_in_range),
        T(random_flowers_have_plausible_measures),
        T(batches_have_limits),
        T(k6_payloads_are_refused_where_k6_cannot_send_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

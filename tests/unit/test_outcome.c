/*
 * test_outcome.c - names, classes and hashes of the data model.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>

#include "tests/unit/check.h"
#include "traces/outcome.h"

static void every_enum_value_has_its_name(void **state)
{
    (void)state;
    check_str(op_protocol_names[OP_REST], "rest");
    check_str(op_protocol_names[OP_CONTROL], "control");
    check_true(op_protocol_names[OP_PROTOCOL_COUNT] == NULL);
    check_str(op_tier_names[OP_TIER_ANY], "any");
    check_str(op_tier_names[OP_TIER_PIPELINEGATEWAY], "pipelinegateway");
    check_str(op_tier_names[OP_TIER_MODELGATEWAY], "modelgateway");
    check_str(op_tier_names[OP_TIER_KAFKA], "kafka");
    check_true(op_tier_names[OP_TIER_COUNT] == NULL);
    check_str(op_resource_names[OP_EXPERIMENT], "experiment");
    check_true(op_resource_names[OP_RESOURCE_COUNT] == NULL);
    check_str(out_cause_names[OUT_OK], "ok");
    check_str(out_cause_names[OUT_STOPPED], "stopped");
    check_true(out_cause_names[OUT_CAUSE_COUNT] == NULL);
    check_str(out_check_names[OUT_WRONG], "wrong");
    check_str(out_check_names[OUT_CROSSED], "crossed");
    check_true(out_check_names[OUT_CHECK_COUNT] == NULL);
    check_str(out_wait_names[OUT_WAIT_TURN], "turn");
    check_true(out_wait_names[OUT_WAIT_COUNT] == NULL);
}

static void an_empty_op_knows_nothing(void **state)
{
    (void)state;
    struct op op = op_empty();
    check_int(op.connection, ==, OP_NONE);
    check_int(op.conn_stream, ==, OP_NONE);
    check_int(op.client, ==, OP_NONE);
    check_int(op.tokens_in, ==, OP_NONE);
    check_int(op.tokens_out, ==, OP_NONE);
    check_true(op.first_ns == OP_TIME_NONE && op.last_ns == OP_TIME_NONE);
    check_true(op.weight == 1);
    check_int(op.grpc_status, ==, -1);
    check_int(op.request.state, ==, OP_BODY_NONE);
    struct outcome o = outcome_empty();
    check_true(o.due_ns == OP_TIME_NONE && o.ready_ns == OP_TIME_NONE);
    check_true(o.sent_ns == OP_TIME_NONE && o.first_ns == OP_TIME_NONE);
    check_true(o.done_ns == OP_TIME_NONE);
    check_int(o.connection, ==, OP_NONE);
    check_int(o.grpc_status, ==, -1);
}

static void bodies_are_hashed_with_xxh3_128(void **state)
{
    (void)state;
    uint64_t hash[2];
    /* What xxhsum -H128 prints for the empty input and for "abc". */
    op_body_hash((struct span){0}, hash);
    check_true(hash[1] == UINT64_C(0x99aa06d3014798d8));
    check_true(hash[0] == UINT64_C(0x6001c324468d497f));
    struct op_body body = op_body_of(SPAN_LIT("abc"));
    check_int(body.state, ==, OP_BODY_KEPT);
    check_int(body.bytes, ==, 3);
    check_span(body.data, "abc");
    check_true(body.hash[1] == UINT64_C(0x06b05ab6733a6185));
    check_true(body.hash[0] == UINT64_C(0x78af5f94892f3950));
    body = op_body_of((struct span){0});
    check_int(body.state, ==, OP_BODY_NONE);
    check_true(body.hash[0] == 0 && body.hash[1] == 0 && body.bytes == 0);
}

static struct op_stream a_stream(void)
{
    static struct op_header headers[] = {
        {{(const uint8_t *)"seldon-model", 12}, {(const uint8_t *)"iris1", 5}},
    };
    return (struct op_stream){.protocol = OP_REST,
                              .tier = OP_TIER_ENVOY,
                              .resource = OP_MODEL,
                              .name = SPAN_LIT("iris1"),
                              .model_type = SPAN_LIT("iris"),
                              .method = SPAN_LIT("POST"),
                              .path = SPAN_LIT("/v2/models/iris1/infer"),
                              .content_type = SPAN_LIT("application/json"),
                              .headers = headers,
                              .header_count = 1};
}

static void streams_are_equal_by_value_in_every_field(void **state)
{
    (void)state;
    struct op_stream a = a_stream(), b = a_stream();
    char name[] = "iris1";
    b.name = span_str(name); /* another address */
    check_true(op_stream_equal(&a, &b));
    struct op_header other[] = {{SPAN_LIT("seldon-model"), SPAN_LIT("iris2")},
                                {SPAN_LIT("x"), SPAN_LIT("y")}};
    for (int field = 0; field < 11; field++) {
        b = a_stream();
        switch (field) {
        case 0:
            b.protocol = OP_GRPC;
            break;
        case 1:
            b.tier = OP_TIER_SERVER;
            break;
        case 2:
            b.resource = OP_PIPELINE;
            break;
        case 3:
            b.name = SPAN_LIT("iris2");
            break;
        case 4:
            b.model_type = SPAN_LIT("");
            break;
        case 5:
            b.method = SPAN_LIT("PUT");
            break;
        case 6:
            b.path = SPAN_LIT("/v2/models/iris1/infer?");
            break;
        case 7:
            b.content_type = SPAN_LIT("text/plain");
            break;
        case 8:
            b.content_encoding = SPAN_LIT("gzip");
            break;
        case 9:
            b.headers = other;
            break;
        case 10:
            b.header_count = 0;
            break;
        }
        check_true(!op_stream_equal(&a, &b));
        check_true(!op_stream_equal(&b, &a));
    }
}

static void check_class(struct outcome o, const char *wanted, bool ok)
{
    char text[OUT_CLASS_MAX];
    check_str(outcome_class(&o, text), wanted);
    check_int(outcome_ok(&o), ==, ok);
}

static void classes_are_what_the_report_says(void **state)
{
    (void)state;
    struct outcome o = outcome_empty();
    o.status = 200;
    check_class(o, "ok", true);
    o.check = OUT_RIGHT;
    check_class(o, "ok", true);
    o.check = OUT_WRONG;
    check_class(o, "wrong answer", false);
    o.check = OUT_CROSSED;
    check_class(o, "crossed answer", false);
    o.cause = OUT_STATUS; /* whose failure it is matters less than whose answer */
    o.status = 503;
    check_class(o, "crossed answer", false);
    o.check = OUT_UNCHECKED;
    o.status = 503;
    check_class(o, "http 503", false);
    o.grpc_status = 0; /* no failure of gRPC's: the HTTP status is */
    check_class(o, "http 503", false);
    o.status = 200;
    o.grpc_status = 5;
    check_class(o, "grpc 5 NOT_FOUND", false);
    o.grpc_status = 16;
    check_class(o, "grpc 16 UNAUTHENTICATED", false);
    o.grpc_status = 99;
    check_class(o, "grpc 99", false);
    o.grpc_status = -1;
    o.status = 0;
    check_class(o, "status", false);
    for (int cause = OUT_CONNECT; cause < OUT_CAUSE_COUNT; cause++) {
        o.cause = (enum out_cause)cause;
        check_class(o, out_cause_names[cause], false);
    }
}

static void the_longest_class_fits(void **state)
{
    (void)state;
    struct outcome o = outcome_empty();
    o.cause = OUT_STATUS;
    for (int code = 1; code < 32767; code++) {
        char text[OUT_CLASS_MAX], wanted[200];
        o.grpc_status = (int16_t)code;
        const char *name = out_grpc_name(code);
        snprintf(wanted, sizeof wanted, "grpc %d%s%s", code, name ? " " : "",
                 name ? name : "");
        check_str(outcome_class(&o, text), wanted);
    }
}

static void grpc_codes_have_their_names(void **state)
{
    (void)state;
    check_str(out_grpc_name(0), "OK");
    check_str(out_grpc_name(4), "DEADLINE_EXCEEDED");
    check_str(out_grpc_name(5), "NOT_FOUND");
    check_str(out_grpc_name(8), "RESOURCE_EXHAUSTED");
    check_str(out_grpc_name(13), "INTERNAL");
    check_str(out_grpc_name(14), "UNAVAILABLE");
    check_str(out_grpc_name(16), "UNAUTHENTICATED");
    check_true(out_grpc_name(17) == NULL && out_grpc_name(-1) == NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_enum_value_has_its_name),
        cmocka_unit_test(an_empty_op_knows_nothing),
        cmocka_unit_test(bodies_are_hashed_with_xxh3_128),
        cmocka_unit_test(streams_are_equal_by_value_in_every_field),
        cmocka_unit_test(classes_are_what_the_report_says),
        cmocka_unit_test(the_longest_class_fits),
        cmocka_unit_test(grpc_codes_have_their_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

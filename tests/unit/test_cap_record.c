/*
 * test_cap_record.c - exchanges become operations: who was called, when, and how it
 * ended.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "check.h"

#include <string.h>

#include "capture/record.h"
#include "made_exchange.h"
#include "traces/payload/call_type.h"
#include "traces/payload/v2_proto.h"

/* ModelInferRequest{model_name: "iris_3", id: "a", …}: fields 1 and 3. */
static const uint8_t message[] = "\x0a\x06iris_3\x1a\x01"
                                 "a";
#define MESSAGE span_of(message, sizeof message - 1)

static void check_called(const struct cap_record *r, const char *name,
                         enum op_resource resource, enum op_tier tier)
{
    check_span(r->stream.name, name);
    check_int(r->stream.resource, ==, resource);
    check_int(r->stream.tier, ==, tier);
}

static void who_is_called_is_told_as_at_each_tier(void **state)
{
    (void)state;
    static const struct {
        enum op_tier tier;
        const char *path, *headers, *name;
        enum op_resource resource;
        enum op_tier as;
    } cases[] = {
        {OP_TIER_ENVOY, "/v2/models/any/infer", "seldon-model: iris\n", "iris",
         OP_MODEL, OP_TIER_ENVOY},
        {OP_TIER_ENVOY, "/v2/models/iris/infer", "", "iris", OP_MODEL, OP_TIER_ENVOY},
        {OP_TIER_ENVOY, "/v2/models/iris/versions/2/infer", "", "iris", OP_MODEL,
         OP_TIER_ENVOY},
        {OP_TIER_ENVOY, "/v2/models/chain.pipeline/infer", "", "chain", OP_PIPELINE,
         OP_TIER_ENVOY},
        {OP_TIER_ENVOY, "/v2/pipelines/chain/infer", "", "chain", OP_PIPELINE,
         OP_TIER_ENVOY},
        {OP_TIER_ENVOY, "/v2/models/x/infer", "seldon-model: ab.experiment\n", "ab",
         OP_EXPERIMENT, OP_TIER_ENVOY},
        {OP_TIER_RPROXY, "/v2/models/x/infer",
         "seldon-model: ab.experiment\nseldon-internal-model: iris_12\n", "iris",
         OP_MODEL, OP_TIER_RPROXY},
        {OP_TIER_RPROXY, "/v2/models/x/infer", "seldon-model: iris\n", "iris", OP_MODEL,
         OP_TIER_RPROXY},
        {OP_TIER_SERVER, "/v2/models/iris_3/infer",
         "seldon-model: ab.experiment\nseldon-internal-model: iris_3\n", "iris",
         OP_MODEL, OP_TIER_SERVER},
        {OP_TIER_SERVER, "/v2/models/tf_simple/infer", "", "tf_simple", OP_MODEL,
         OP_TIER_SERVER},
        {OP_TIER_PIPELINEGATEWAY, "/v2/models/any/infer",
         "seldon-model: no\nseldon-internal-model: no\n"
         "seldon-internal-model: chain.pipeline\n",
         "chain", OP_PIPELINE, OP_TIER_PIPELINEGATEWAY},
        {OP_TIER_PIPELINEGATEWAY, "/v2/models/any/infer", "seldon-model: iris.model\n",
         "iris", OP_MODEL, OP_TIER_MODELGATEWAY},
        {OP_TIER_MODELGATEWAY, "/v2/models/any/infer", "seldon-model: chain.pipeline\n",
         "chain", OP_PIPELINE, OP_TIER_PIPELINEGATEWAY},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct cap_record r;
        struct cap_exchange x = made_rest(5, cases[i].path, cases[i].headers, "{}");
        check_int(cap_record_make(cases[i].tier, &x, &r), ==, CAP_RECORDED_OP);
        check_called(&r, cases[i].name, cases[i].resource, cases[i].as);
        check_int(r.op.flags, ==, 0);
        check_span(r.stream.path, cases[i].path);
    }
}

static void a_version_is_told_apart_from_the_name(void **state)
{
    (void)state;
    struct cap_record r;
    struct cap_exchange x = made_rest(0, "/v2/models/iris_12/infer", "", "{}");
    check_int(cap_record_make(OP_TIER_SERVER, &x, &r), ==, CAP_RECORDED_OP);
    check_span(r.internal, "12");
    x = made_grpc(0, "", MESSAGE);
    check_int(cap_record_make(OP_TIER_SERVER, &x, &r), ==, CAP_RECORDED_OP);
    check_called(&r, "iris", OP_MODEL, OP_TIER_SERVER);
    check_span(r.internal, "3");
    check_int(r.op.flags, ==, 0);
}

static void a_name_from_the_message_is_flagged_as_inferred(void **state)
{
    (void)state;
    struct cap_record r;
    struct cap_exchange x = made_grpc(0, ": secret\n: pcap-0001\n", MESSAGE);
    x.request.headers_opaque = true;
    check_int(cap_record_make(OP_TIER_RPROXY, &x, &r), ==, CAP_RECORDED_OP);
    check_called(&r, "iris", OP_MODEL, OP_TIER_RPROXY);
    check_int(r.op.flags, ==, OP_FLAG_INFERRED | OP_FLAG_OPAQUE);
    check_int(r.nameless_count, ==, 2);
    check_span(r.nameless[1], "pcap-0001");

    x.path = (struct span){0}; /* the parser inferred the method */
    x.inferred = true;
    check_int(cap_record_make(OP_TIER_ENVOY, &x, &r), ==, CAP_RECORDED_OP);
    check_int(r.op.flags, ==, OP_FLAG_INFERRED | OP_FLAG_OPAQUE);

    x.request.body = op_body_of(SPAN_LIT("\x0a\x7f too long"));
    check_int(cap_record_make(OP_TIER_ENVOY, &x, &r), ==, CAP_RECORDED_UNNAMED);
    x.inferred = false; /* whole, and no ModelInferRequest */
    check_int(cap_record_make(OP_TIER_ENVOY, &x, &r), ==, CAP_RECORDED_PASSED);
    x.request.loss = CAP_LOSS_GAP;
    check_int(cap_record_make(OP_TIER_ENVOY, &x, &r), ==, CAP_RECORDED_UNNAMED);
    x.request.loss = CAP_LOSS_NONE;
    x.grpc = false;
    check_int(cap_record_make(OP_TIER_ENVOY, &x, &r), ==, CAP_RECORDED_UNNAMED);
}

static void what_is_no_inference_is_passed_over(void **state)
{
    (void)state;
    static const struct {
        const char *method, *path;
        enum cap_recorded as;
    } cases[] = {
        {"GET", "/v2/health/ready", CAP_RECORDED_PASSED},
        {"GET", "/v2/models/iris/infer", CAP_RECORDED_PASSED},
        {"GET", "/v2/models/iris/ready", CAP_RECORDED_PASSED},
        {"POST", "/v2/models/iris/ready", CAP_RECORDED_PASSED},
        {"POST", "/v2/repository/index", CAP_RECORDED_PASSED},
        {"POST", "/v2/models//infer", CAP_RECORDED_PASSED},
        {"POST", "/metrics", CAP_RECORDED_PASSED},
        {"POST", "/v2/models/iris/infer_stream", CAP_RECORDED_OP},
        {"POST", "/v2/models/iris/generate", CAP_RECORDED_OP},
        {"POST", "/v2/models/iris/infer/chat/completions", CAP_RECORDED_OP},
    };
    struct cap_record r;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct cap_exchange x = made_rest(0, cases[i].path, "seldon-model: iris\n", "");
        x.method = span_str(cases[i].method);
        check_int(cap_record_make(OP_TIER_ENVOY, &x, &r), ==, cases[i].as);
    }
    struct cap_exchange x = made_grpc(0, "seldon-model: iris\n", MESSAGE);
    x.path = SPAN_LIT("/inference.GRPCInferenceService/ModelReady");
    check_int(cap_record_make(OP_TIER_ENVOY, &x, &r), ==, CAP_RECORDED_PASSED);
    char name[CAP_NAME_MAX + 32];
    memset(name, 'a', sizeof name);
    memcpy(name, "seldon-model: ", 14);
    name[sizeof name - 1] = 0;
    x = made_rest(0, "/v2/models/iris/infer", name, "");
    check_int(cap_record_make(OP_TIER_ENVOY, &x, &r), ==, CAP_RECORDED_REFUSED);
}

static void times_count_from_the_first_byte_of_the_request(void **state)
{
    (void)state;
    struct cap_record r;
    struct cap_exchange x = made_rest(5, "/v2/models/iris/infer?tag=a",
                                      "x-request-id: q-1\n", "{\"inputs\":[]}");
    check_int(cap_record_make(OP_TIER_ENVOY, &x, &r), ==, CAP_RECORDED_OP);
    check_int(r.at.ns, ==, MADE_EPOCH_NS + 5 * CLK_MS);
    check_int(r.op.first_ns, ==, 2 * CLK_MS);
    check_int(r.op.last_ns, ==, 3 * CLK_MS);
    check_int(r.op.status, ==, 200);
    check_int(r.op.grpc_status, ==, -1);
    check_span(r.op.id, "q-1");
    check_span(r.op.request.data, "{\"inputs\":[]}");
    check_span(r.stream.path, "/v2/models/iris/infer");
    check_true(r.query_cut);
    check_int(r.op.connection, ==, 7);
    check_int(r.op.conn_stream, ==, 3);
}

static void an_answer_tells_the_id_that_the_request_lacks(void **state)
{
    (void)state;
    static const struct {
        const char *headers, *id;
    } cases[] = {
        {"x-request-id: abc\n", "abc"},
        {"x-request-id: 0.chain.abc,abc\n", "abc"},
        {"x-request-id: 12.chain.abc\n", "abc"},
        {"x-request-id: chain.abc\n", "abc"}, /* up to 2.9.1 */
        {"x-request-id: 12.other.abc\n", "12.other.abc"},
        {"x-request-id: 0.chain.abc\nx-request-id: abc\n", "abc"},
        {"content-type: a/b\n", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct cap_record r;
        struct cap_exchange x =
            made_rest(0, "/v2/models/m/infer", "seldon-model: chain.pipeline\n", "{}");
        made_headers(&x.answer, 2, cases[i].headers);
        check_int(cap_record_make(OP_TIER_PIPELINEGATEWAY, &x, &r), ==,
                  CAP_RECORDED_OP);
        check_span(r.op.id, cases[i].id);
    }
    /* A model's id is the client's own, whatever it looks like. */
    struct cap_record r;
    struct cap_exchange x =
        made_rest(0, "/v2/models/m/infer", "seldon-model: m\n", "{}");
    made_headers(&x.answer, 2, "x-request-id: m.abc\n");
    check_int(cap_record_make(OP_TIER_ENVOY, &x, &r), ==, CAP_RECORDED_OP);
    check_span(r.op.id, "m.abc");
}

static void what_is_not_all_there_is_said_so(void **state)
{
    (void)state;
    struct cap_record r;
    struct cap_exchange x = made_rest(0, "/v2/models/iris/infer", "", "{\"a\":1}");
    x.request.loss = CAP_LOSS_GAP;
    x.answered = false;
    check_int(cap_record_make(OP_TIER_ENVOY, &x, &r), ==, CAP_RECORDED_OP);
    check_int(r.op.flags, ==, OP_FLAG_GAP | OP_FLAG_TRUNCATED);
    check_int(r.op.request.state, ==, OP_BODY_ELIDED);
    check_int(r.op.request.hash[0] | r.op.request.hash[1], ==, 0);
    check_int(r.op.first_ns, ==, OP_TIME_NONE);
    check_int(r.op.status, ==, 0);

    x = made_rest(0, "/v2/models/iris/infer", "", "{\"a\":1}");
    x.answer.loss = CAP_LOSS_RESET;
    check_int(cap_record_make(OP_TIER_ENVOY, &x, &r), ==, CAP_RECORDED_OP);
    check_int(r.op.first_ns, ==, 2 * CLK_MS);
    check_int(r.op.last_ns, ==, OP_TIME_NONE);
    check_int(r.op.response.state, ==, OP_BODY_ELIDED);

    /* Under way when the capture ended: no body, unless gRPC's length ended it. */
    x = made_rest(0, "/v2/models/iris/infer", "", "{\"a\":1}");
    x.request.loss = x.answer.loss = CAP_LOSS_UNANSWERED;
    check_int(cap_record_make(OP_TIER_ENVOY, &x, &r), ==, CAP_RECORDED_OP);
    check_int(r.op.flags, ==, OP_FLAG_TRUNCATED);
    check_int(r.op.request.state, ==, OP_BODY_ELIDED);
    check_int(r.op.response.state, ==, OP_BODY_ELIDED);
    check_int(r.op.last_ns, ==, OP_TIME_NONE);
    x = made_grpc(0, "seldon-model: iris\n", MESSAGE);
    x.answer.loss = CAP_LOSS_UNANSWERED;
    x.answer.messages_listed = 1;
    check_int(cap_record_make(OP_TIER_ENVOY, &x, &r), ==, CAP_RECORDED_OP);
    check_int(r.op.response.state, ==, OP_BODY_KEPT);
    x.answer.in_message = true;
    check_int(cap_record_make(OP_TIER_ENVOY, &x, &r), ==, CAP_RECORDED_OP);
    check_int(r.op.response.state, ==, OP_BODY_ELIDED);

    x = made_grpc(0, "seldon-model: iris\n", MESSAGE);
    x.request.grpc_messages = 3;
    check_int(cap_record_make(OP_TIER_ENVOY, &x, &r), ==, CAP_RECORDED_OP);
    check_int(r.op.flags, ==, OP_FLAG_TRUNCATED);
}

static void what_an_answer_is_encoded_in_is_told_by_its_headers(void **state)
{
    (void)state;
    static const struct {
        bool grpc, compressed;
        const char *lines;
        uint16_t codings;
    } cases[] = {
        {false, false, "content-type: application/json\n", 0},
        {false, false, "content-encoding: gzip\n", 1},
        {false, false, "content-encoding: identity\n", 0},
        {false, false, "content-encoding: Deflate, br\ncontent-encoding: zstd\n",
         0x342},
        {false, false, "content-encoding: dcb\n", 15},
        {false, false, "grpc-encoding: gzip\n", 0},
        {true, true, "grpc-encoding: gzip\n", 1},
        {true, false, "grpc-encoding: gzip\n", 0}, /* this message is not */
        {true, true, "grpc-encoding: snappy\n", 6},
        {true, true, "content-type: application/grpc\n", 15}, /* by who knows what */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct cap_exchange x =
            cases[i].grpc ? made_grpc(0, "seldon-model: iris\n", MESSAGE)
                          : made_rest(0, "/v2/models/iris/infer", "a: b\n", "{}");
        struct cap_record r;
        struct op late = op_empty();
        x.answer.grpc_compressed = cases[i].compressed;
        made_headers(&x.answer, 1, cases[i].lines);
        check_int(cap_record_make(OP_TIER_ENVOY, &x, &r), ==, CAP_RECORDED_OP);
        check_int(r.op.response_codings, ==, cases[i].codings);
        x.part = CAP_PART_ANSWER;
        cap_record_answer(&x, &late);
        check_int(late.response_codings, ==, cases[i].codings);
    }
}

static void a_type_is_told_only_where_the_tensors_fit(void **state)
{
    (void)state;
    static const char iris[] = "{\"inputs\":[{\"name\":\"predict\",\"shape\":[2,4],"
                               "\"datatype\":\"FP32\",\"data\":[1,2,3,4,5,6,7,8]}]}";
    static const struct {
        const char *name, *body, *type;
    } cases[] = {
        {"iris", iris, "iris"},      {"iris7", iris, "iris"},
        {"iris-0", iris, "iris"},    {"irispipe", iris, NULL},
        {"add10", iris, NULL},       {"iris1", "{\"inputs\":[]}", NULL},
        {"iris1", "not JSON", NULL}, {"other", iris, NULL},
    };
    struct arena a = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct model_type *mt =
            call_type_of(span_str(cases[i].name), OP_REST, span_str(cases[i].body), &a);
        check_int(mt != NULL, ==, cases[i].type != NULL);
        if (mt)
            check_str(mt->name, cases[i].type);
    }
    /* What the table itself builds, in either protocol. */
    for (size_t i = 0; model_type_at(i); i++) {
        const struct model_type *mt = model_type_at(i);
        for (int p = OP_REST; p <= OP_GRPC; p++) {
            struct buf body = {0};
            struct err e = {0};
            struct mt_request q = {.protocol = (enum op_protocol)p, .batch = 1};
            check_ok(model_type_request(mt, &q, &body, &e), &e);
            check_true(call_type_of(span_str(mt->name), q.protocol, buf_view(&body),
                                    &a) == mt);
            buf_done(&body);
            arena_reset(&a);
        }
    }
    arena_done(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_is_called_is_told_as_at_each_tier),
        cmocka_unit_test(a_version_is_told_apart_from_the_name),
        cmocka_unit_test(a_name_from_the_message_is_flagged_as_inferred),
        cmocka_unit_test(what_is_no_inference_is_passed_over),
        cmocka_unit_test(times_count_from_the_first_byte_of_the_request),
        cmocka_unit_test(an_answer_tells_the_id_that_the_request_lacks),
        cmocka_unit_test(what_is_not_all_there_is_said_so),
        cmocka_unit_test(what_an_answer_is_encoded_in_is_told_by_its_headers),
        cmocka_unit_test(a_type_is_told_only_where_the_tensors_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

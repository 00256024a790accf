/*
 * test_cap_redact.c - what may be written, and what must not be.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "check.h"

#include <stdlib.h>
#include <string.h>

#include "capture/redact.h"
#include "made_exchange.h"
#include "traces/base/keyed_hash.h"
#include "traces/payload/pay_mask.h"
#include "traces/payload/v2_json.h"
#include "traces/payload/v2_proto.h"
#include "traces/tool/trc_secret.h"

#define KEY "000102030405060708090a0b0c0d0e0f"

static const char rest_body[] =
    "{\"id\": \"u-17\", \"parameters\": {\"user\": \"ann\", \"n\": 5, "
    "\"content_type\": \"pd\"}, \"inputs\": [{\"name\": \"predict\", \"shape\": [1, "
    "4], \"datatype\": \"FP32\", \"data\": [[1.5, -6.25e3, 6.1, 2]]}, "
    "{\"name\":\"t\",\"shape\":[2],\"datatype\":\"BYTES\",\"data\":[\"Ann\","
    "\"B\\u00e9\"]}]}";

struct bench {
    struct cap_redact *r;
    struct cap_record rec;
    struct cap_exchange x;
    struct arena a;
};

static void start(struct bench *b, const char *bodies)
{
    struct cap_redact_options o = {.bodies = bodies};
    struct err e = {0};
    *b = (struct bench){0};
    setenv(KAFKA_KEY_ENV, KEY, 1);
    check_ok(cap_redact_new(&b->r, &o, &e), &e);
}

static void run(struct bench *b)
{
    struct err e = {0};
    check_int(cap_record_make(OP_TIER_ENVOY, &b->x, &b->rec), ==, CAP_RECORDED_OP);
    check_ok(cap_redact_record(b->r, &b->x, &b->rec, &b->a, &e), &e);
}

static void finish(struct bench *b)
{
    cap_redact_free(b->r);
    arena_done(&b->a);
}

static void headers_are_denied_unless_allowed(void **state)
{
    (void)state;
    struct bench b;
    start(&b, "keep");
    b.x = made_rest(0, "/v2/models/iris/infer?token=abc",
                    "authorization: Bearer abc\ncookie: a=b\nx-api-key: k\n"
                    "content-type: application/json\naccept-encoding: gzip\n"
                    "seldon-model: iris\nx-seldon-route: :iris_1:\n"
                    "traceparent: 00-11-22-01\nuser-agent: me\nx-user: ann\n",
                    rest_body);
    run(&b);
    const struct op_stream *s = &b.rec.stream;
    check_int(s->header_count, ==, 4);
    check_span(made_find(s->headers, 4, "accept-encoding"), "gzip");
    check_span(made_find(s->headers, 4, "seldon-model"), "iris");
    check_span(s->headers[2].name, "x-seldon-route");
    check_int(s->headers[2].value.n, ==, 0);
    check_span(s->headers[3].name, "traceparent");
    check_int(s->headers[3].value.n, ==, 0);
    check_span(s->content_type, "application/json");
    check_span(s->path, "/v2/models/iris/infer");
    check_int(b.rec.op.flags, ==, OP_FLAG_REDACTED); /* the query */
    check_span(b.rec.op.request.data, rest_body);
    check_int(cap_redact_counts(b.r)->headers_denied, ==, 5);
    finish(&b);
}

static void credentials_are_never_kept_even_when_asked_for(void **state)
{
    (void)state;
    static const char *const never[] = {
        "authorization", "Proxy-Authorization",
        "cookie",        "set-cookie",
        "x-api-key",     "apikey",
        "x-auth-token",  "x-amz-security-token",
        "x-csrf-token",  "x-session-id",
        "client-secret", "x-goog-iam-authority",
    };
    for (size_t i = 0; i < sizeof never / sizeof *never; i++) {
        struct cap_redact_options o = {.headers = &never[i], .header_count = 1};
        struct cap_redact *r;
        struct err e = {0};
        check_int(cap_redact_new(&r, &o, &e), ==, ERR_USAGE);
        check_str_has(e.text, never[i]);
        check_true(r == NULL);
    }
    check_true(!trc_secret_header(SPAN_LIT("x-user")));
    check_true(!trc_secret_header(SPAN_LIT("")));
}

static void allowed_headers_stay_up_to_a_bound(void **state)
{
    (void)state;
    static const char *const mine[] = {"X-User", "traceparent"};
    struct cap_redact_options o = {.headers = mine, .header_count = 2};
    struct err e = {0};
    struct bench b = {0};
    check_ok(cap_redact_new(&b.r, &o, &e), &e);
    b.x = made_rest(0, "/v2/models/iris/infer",
                    "x-user: ann\ntraceparent: 00-11-22-01\nx-other: 1\n", "{}");
    run(&b);
    check_int(b.rec.stream.header_count, ==, 2);
    check_span(b.rec.stream.headers[0].value, "ann");
    check_span(b.rec.stream.headers[1].value, "00-11-22-01");
    static uint8_t long_value[CAP_HEADERS_BYTES];
    struct op_header h[2] = {
        {SPAN_LIT("x-user"), span_of(long_value, sizeof long_value)},
        {SPAN_LIT("x-user"), SPAN_LIT("ann")}};
    b.x.request.headers = h;
    b.x.request.header_count = 2;
    run(&b);
    check_int(b.rec.stream.header_count, ==, 0);
    finish(&b);
}

static void a_hashed_body_leaves_length_and_keyed_hash(void **state)
{
    (void)state;
    struct bench b;
    uint64_t plain[2], keyed[2];
    start(&b, "hash");
    b.x = made_rest(0, "/v2/models/iris/infer", "", rest_body);
    memcpy(plain, b.x.request.body.hash, sizeof plain);
    run(&b);
    memcpy(keyed, b.rec.op.request.hash, sizeof keyed);
    check_int(b.rec.op.request.state, ==, OP_BODY_ELIDED);
    check_int(b.rec.op.request.data.n, ==, 0);
    check_int(b.rec.op.request.bytes, ==, sizeof rest_body - 1);
    check_true(memcmp(plain, keyed, sizeof plain) != 0);
    check_int(b.rec.op.response.state, ==, OP_BODY_ELIDED);
    check_int(b.rec.op.flags, ==, OP_FLAG_REDACTED);
    run(&b); /* the same again: equal bodies can be told */
    check_true(memcmp(b.rec.op.request.hash, keyed, sizeof keyed) == 0);

    /* A body of which only the plain hash is known is not written with that. */
    b.x.request.body.state = OP_BODY_ELIDED;
    b.x.request.body.data = (struct span){0};
    run(&b);
    check_true(memcmp(b.rec.op.request.hash, plain, sizeof plain) != 0);
    finish(&b);
}

static void shape_keeps_a_message_that_can_be_sent(void **state)
{
    (void)state;
    struct bench b;
    struct pay_message m;
    struct err e = {0};
    start(&b, "shape");
    b.x = made_rest(0, "/v2/models/iris/infer", "", rest_body);
    b.x.answer.body = op_body_of(SPAN_LIT("{\"error\":\"Ann is unknown\"}"));
    run(&b);
    struct span out = b.rec.op.request.data;
    check_int(b.rec.op.request.state, ==, OP_BODY_KEPT);
    check_int(out.n, ==, sizeof rest_body - 1);
    check_ok(v2_json_parse_request(out, &b.a, &m, &e), &e);
    check_int(m.tensor_count, ==, 2);
    check_span(m.tensors[0].name, "predict");
    check_int(m.tensors[0].element_count, ==, 4);
    for (int i = 0; i < 4; i++)
        check_true(pay_tensor_number(&m.tensors[0], (uint64_t)i) == 0);
    check_span(m.tensors[1].bytes[0], "xxx");
    check_span(m.id, "xxxx");
    check_span(pay_param_find(m.params, m.param_count, "content_type")->s, "pd");
    check_span(pay_param_find(m.params, m.param_count, "user")->s, "xxx");
    check_int(pay_param_find(m.params, m.param_count, "n")->i, ==, 0);
    check_true(memmem(out.p, out.n, "Ann", 3) == NULL);
    /* The error text is no V2 message: it is not kept. */
    check_int(b.rec.op.response.state, ==, OP_BODY_ELIDED);
    check_int(cap_redact_counts(b.r)->bodies_refused, ==, 1);
    finish(&b);
}

static void shape_of_a_protobuf_message_has_its_names_and_types(void **state)
{
    (void)state;
    struct bench b;
    struct err e = {0};
    struct pay_message m;
    struct buf body = {0};
    struct arena a = {0};
    check_ok(v2_json_parse_request(SPAN_LIT(rest_body), &a, &m, &e), &e);
    m.model_name = SPAN_LIT("iris");
    v2_proto_request(&m, &body);
    start(&b, "shape");
    b.x = made_grpc(0, "seldon-model: iris\n", buf_view(&body));
    run(&b);
    check_int(b.rec.op.request.state, ==, OP_BODY_KEPT);
    check_ok(v2_proto_parse_request(b.rec.op.request.data, &b.a, &m, &e), &e);
    check_span(m.model_name, "iris");
    check_span(m.tensors[0].name, "predict");
    check_int(m.tensors[0].shape[1], ==, 4);
    check_true(pay_tensor_number(&m.tensors[0], 1) == 0);
    check_span(m.tensors[1].bytes[1], "xxx"); /* three bytes of UTF-8 */
    finish(&b);
    buf_done(&body);
    arena_done(&a);
}

static void masks_take_out_what_their_paths_name(void **state)
{
    (void)state;
    static const struct {
        const char *paths, *in, *out;
    } cases[] = {
        {"id", "{\"id\": \"abc\", \"x\" : [1 , 2]}",
         "{\"id\": \"xxx\", \"x\" : [1 , 2]}"},
        {"nothing", "{\"id\":\"abc\"}", "{\"id\":\"abc\"}"},
        {"a.b", "{\"a\":{\"b\":[1.5,\"y\",true,null],\"c\":1},\"b\":2}",
         "{\"a\":{\"b\":[0,\"x\",false,null],\"c\":1},\"b\":2}"},
        {"a.*", "{\"a\":[1,{\"k\":\"vv\"}]}", "{\"a\":[0,{\"k\":\"xx\"}]}"},
        {"a.1", "{\"a\":[1,2,3]}", "{\"a\":[1,0,3]}"},
        {"inputs.t.data",
         "{\"inputs\":[{\"name\":\"s\",\"data\":[7]},{\"data\":[8, "
         "9],\"name\":\"t\"}]}",
         "{\"inputs\":[{\"name\":\"s\",\"data\":[7]},{\"data\":[0,0],\"name\":\"t\"}]"
         "}"},
        {"*", "{\"a\":1,\"b\":{\"c\":-2e9}}", "{\"a\":0,\"b\":{\"c\":0}}"},
        {"a,a.b,c", "{\"a\":{\"b\":1},\"c\":3}", "{\"a\":{\"b\":0},\"c\":0}"},
        {"d", "{\"\\u0064\":1,\"d\":2}", "{\"\\u0064\":0,\"d\":0}"},
        {"a.b", "[1,2]", "[1,2]"},
        {"a", "17", "17"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct pay_mask masks[4];
        size_t n = 0;
        struct err e = {0};
        struct arena a = {0};
        struct buf out = {0};
        struct span left = span_str(cases[i].paths);
        for (size_t at = 0; at <= left.n; n++) {
            size_t comma = span_find(left, ',', at);
            check_ok(pay_mask_parse(span_sub(left, at, comma), &masks[n], &e), &e);
            at = comma + 1;
        }
        check_ok(pay_mask_json(masks, n, span_str(cases[i].in), &a, &out, &e), &e);
        check_span(buf_view(&out), cases[i].out);
        buf_done(&out);
        arena_done(&a);
    }
}

static void a_mask_holds_in_both_protocols(void **state)
{
    (void)state;
    struct bench b;
    struct err e = {0};
    struct pay_message m;
    struct buf body = {0};
    start(&b, "mask:id,inputs.t.data,parameters.user");
    b.x = made_rest(0, "/v2/models/iris/infer", "", rest_body);
    run(&b);
    struct span out = b.rec.op.request.data;
    check_int(out.n, ==, sizeof rest_body - 1 - strlen("\\u00e9") + 2);
    check_true(memmem(out.p, out.n, "ann", 3) == NULL);
    check_true(memmem(out.p, out.n, "Ann", 3) == NULL);
    check_true(memmem(out.p, out.n, "[[1.5, -6.25e3, 6.1, 2]]", 24) != NULL);
    check_ok(v2_json_parse_request(SPAN_LIT(rest_body), &b.a, &m, &e), &e);
    v2_proto_request(&m, &body);
    struct span kept = arena_dup(&b.a, buf_view(&body));
    b.x = made_grpc(0, "seldon-model: iris\n", kept);
    run(&b);
    check_ok(v2_proto_parse_request(b.rec.op.request.data, &b.a, &m, &e), &e);
    check_span(m.id, "xxxx");
    check_span(m.tensors[1].bytes[0], "xxx");
    check_true(pay_tensor_number(&m.tensors[0], 1) == -6250);
    check_span(pay_param_find(m.params, m.param_count, "user")->s, "xxx");
    check_int(pay_param_find(m.params, m.param_count, "n")->i, ==, 5);
    finish(&b);
    buf_done(&body);
}

static void what_cannot_be_masked_is_not_kept(void **state)
{
    (void)state;
    static const struct {
        const char *headers, *body;
    } cases[] = {
        {"content-encoding: gzip\n", "{\"id\":\"a\"}"},
        {"", "{\"id\":\"a\""},
        {"", "id=a"},
        {"", "{\"id\":\"a\"} {\"id\":\"b\"}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bench b;
        start(&b, "mask:id");
        b.x = made_rest(0, "/v2/models/iris/infer", cases[i].headers, cases[i].body);
        run(&b);
        check_int(b.rec.op.request.state, ==, OP_BODY_ELIDED);
        check_int(b.rec.op.flags, ==, OP_FLAG_REDACTED);
        check_int(cap_redact_counts(b.r)->bodies_refused, ==, 1);
        finish(&b);
    }
}

static void a_policy_that_makes_no_sense_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *bodies, *why;
    } cases[] = {
        {"drop", "is not keep, hash, shape or mask"},
        {"mask:", "is not a path"},
        {"mask:a..b", "is not a path"},
        {"mask:a,", "is not a path"},
        {"mask:a.b.c.d.e.f.g.h.i", "more than 8 words"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct cap_redact_options o = {.bodies = cases[i].bodies};
        struct cap_redact *r;
        struct err e = {0};
        check_int(cap_redact_new(&r, &o, &e), ==, ERR_USAGE);
        check_str_has(e.text, cases[i].why);
    }
    struct cap_redact_options o = {.key_file = "/dev/null"};
    struct cap_redact *r;
    struct err e = {0};
    check_int(cap_redact_new(&r, &o, &e), ==, ERR_FORMAT);
    setenv(KAFKA_KEY_ENV, "0011", 1);
    o.key_file = NULL;
    err_clear(&e);
    check_int(cap_redact_new(&r, &o, &e), ==, ERR_USAGE);
    setenv(KAFKA_KEY_ENV, KEY, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_are_denied_unless_allowed),
        cmocka_unit_test(credentials_are_never_kept_even_when_asked_for),
        cmocka_unit_test(allowed_headers_stay_up_to_a_bound),
        cmocka_unit_test(a_hashed_body_leaves_length_and_keyed_hash),
        cmocka_unit_test(shape_keeps_a_message_that_can_be_sent),
        cmocka_unit_test(shape_of_a_protobuf_message_has_its_names_and_types),
        cmocka_unit_test(masks_take_out_what_their_paths_name),
        cmocka_unit_test(a_mask_holds_in_both_protocols),
        cmocka_unit_test(what_cannot_be_masked_is_not_kept),
        cmocka_unit_test(a_policy_that_makes_no_sense_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

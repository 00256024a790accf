/* test_prepare.c - operations become the bytes that a tier expects.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/check.h"

#include <stdio.h>
#include <string.h>

#include <zlib.h>

#include "replay/answer.h"
#include "replay/mark.h"
#include "replay/prepare.h"
#include "traces/payload/model_type.h"
#include "traces/payload/v2_json.h"
#include "traces/payload/v2_proto.h"
#include "traces/wire/content_encoding.h"

static struct rep_plan_config config;
static struct rep_preparer preparer;
static struct arena arena;
static struct rep_request request;

static int setup(void **state)
{
    (void)state;
    config = (struct rep_plan_config){.tier = OP_TIER_RPROXY,
                                      .http = "h:1",
                                      .grpc = "g:2",
                                      .versions = {.common = 4},
                                      .ids = REP_IDS_MINT,
                                      .id_nonce = 0xabcdef12,
                                      .deadline_ns = 1500 * CLK_MS,
                                      .workers = 1};
    memset(&preparer, 0, sizeof preparer);
    preparer.config = &config;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rep_preparer_done(&preparer);
    arena_done(&arena);
    return 0;
}

static struct rep_stream *prepare_stream(const struct op_stream *s)
{
    struct err e = {0};
    struct rep_stream *out = NULL;
    check_ok(rep_prepare_stream(&preparer, s, &arena, &out, &e), &e);
    return out;
}

static struct rep_request *prepare_op(const struct op *op)
{
    struct err e = {0};
    memset(&request, 0, sizeof request);
    check_ok(rep_prepare_request(&preparer, op, prepare_stream(op->stream), &arena,
                                 &request, &e),
             &e);
    return &request;
}

static struct rep_request *prepare(const struct op_stream *s, struct op_body body,
                                   uint64_t index)
{
    static struct op op; /* the request keeps it */
    op = op_empty();
    op.index = index;
    op.stream = s;
    op.request = body;
    op.id = SPAN_LIT("recorded-id");
    return prepare_op(&op);
}

/* All that goes out for a REST request, NUL-terminated; until the next call. */
static struct span written(const struct rep_request *r)
{
    static char text[4096];
    int n = snprintf(text, sizeof text, "%.*s%.*s%.*s", SPAN_ARG(r->stream->head),
                     SPAN_ARG(r->wire[0]), SPAN_ARG(r->wire[1]));
    check_true(n > 0 && (size_t)n < sizeof text);
    return span_of(text, (size_t)n);
}

static void a_rest_request_is_written_as_rproxy_wants_it(void **state)
{
    const struct op_header headers[] = {
        {SPAN_LIT("traceparent"), SPAN_LIT("00-aa-bb-01")},
        {SPAN_LIT("x-seldon-route"), SPAN_LIT(":iris_1:")},
        {SPAN_LIT("content-length"), SPAN_LIT("999")},
    };
    const struct op_stream s = {.protocol = OP_REST,
                                .tier = OP_TIER_ENVOY,
                                .name = SPAN_LIT("iris"),
                                .headers = headers,
                                .header_count = 3};
    (void)state;
    struct rep_request *r = prepare(&s, op_body_of(SPAN_LIT("{\"a\": 1}")), 255);
    check_span(written(r), "POST /v2/models/iris/infer HTTP/1.1\r\n"
                           "Host: h:1\r\n"
                           "User-Agent: reprise/" REPRISE_VERSION "\r\n"
                           "Accept-Encoding: identity\r\n"
                           "Content-Type: application/json\r\n"
                           "seldon-model: iris\r\n"
                           "seldon-internal-model: iris_4\r\n"
                           "traceparent: 00-aa-bb-01\r\n"
                           "x-request-id: abcdef12-ff\r\n"
                           "Content-Length: 8\r\n"
                           "\r\n"
                           "{\"a\": 1}");
    check_int(r->out.bytes_out, ==, 8);
    check_int(r->out.stream->tier, ==, OP_TIER_RPROXY);
    check_span(r->out.stream->path, "/v2/models/iris/infer");
    check_true(r->refusal == NULL);
}

static void given_headers_go_along_in_place_of_recorded_ones(void **state)
{
    static const struct rep_headers given = {
        .v = {{SPAN_LIT("authorization"), SPAN_LIT("Bearer t")},
              {SPAN_LIT("traceparent"), SPAN_LIT("given")}},
        .n = 2,
    };
    const struct op_header headers[] = {
        {SPAN_LIT("Traceparent"), SPAN_LIT("recorded")},
        {SPAN_LIT("x-kept"), SPAN_LIT("1")},
    };
    struct op_stream s = {.protocol = OP_REST,
                          .name = SPAN_LIT("iris"),
                          .headers = headers,
                          .header_count = 2};
    (void)state;
    config.headers = &given;
    struct rep_stream *out = prepare_stream(&s);
    struct buf head = {0};
    buf_span(&head, out->head);
    check_str_has(buf_text(&head), "x-kept: 1\r\nauthorization: Bearer t\r\n"
                                   "traceparent: given\r\n");
    check_true(strstr(buf_text(&head), "recorded") == NULL);
    buf_done(&head);
    /* What the run file keeps of a stream has none of them. */
    check_int(out->as_sent.header_count, ==, 0);

    s.protocol = OP_GRPC;
    out = prepare_stream(&s);
    uint32_t found = 0;
    for (uint32_t i = 0; i < out->field_count; i++) {
        const struct op_header *f = &out->fields[i];
        check_true(!span_eq_str(f->value, "recorded"));
        found +=
            span_eq_str(f->name, "authorization") && span_eq_str(f->value, "Bearer t");
        found += span_eq_str(f->name, "traceparent") && span_eq_str(f->value, "given");
    }
    check_int(found, ==, 2);
    check_int(out->as_sent.header_count, ==, 0);
}

static void a_body_is_lent_not_copied(void **state)
{
    static uint8_t body[5000];
    const struct op_stream s = {.protocol = OP_REST, .name = SPAN_LIT("iris")};
    (void)state;
    memset(body, 'b', sizeof body);
    struct rep_request *r = prepare(&s, op_body_of(span_of(body, sizeof body)), 0);
    check_true(r->wire[1].p == body && r->wire[1].n == sizeof body);
    check_true(span_ends(r->wire[0], "Content-Length: 5000\r\n\r\n"));
}

static void a_get_states_no_length(void **state)
{
    const struct op_stream s = {.protocol = OP_REST,
                                .name = SPAN_LIT("iris"),
                                .method = SPAN_LIT("GET"),
                                .path = SPAN_LIT("/v2/models/iris/ready")};
    (void)state;
    struct rep_request *r = prepare(&s, (struct op_body){.state = OP_BODY_NONE}, 0);
    struct span text = written(r);
    check_true(span_starts(text, "GET /v2/models/iris/ready HTTP/1.1\r\n"));
    check_true(strstr((const char *)text.p, "Content-Length") == NULL);
}

static void ids_are_minted_kept_or_left_out(void **state)
{
    const struct op_stream model = {.protocol = OP_REST, .name = SPAN_LIT("iris")};
    const struct op_stream pipe = {
        .protocol = OP_REST, .resource = OP_PIPELINE, .name = SPAN_LIT("chain")};
    struct op_body body = op_body_of(SPAN_LIT("{}"));
    (void)state;
    config.tier = OP_TIER_ENVOY;
    check_span(prepare(&model, body, 16)->id, "abcdef12-10");
    config.ids = REP_IDS_KEEP;
    check_span(prepare(&model, body, 16)->id, "recorded-id");
    /* Through the pipeline gateway a shared id would cross answers. */
    check_span(prepare(&pipe, body, 17)->id, "abcdef12-11");
    config.ids = REP_IDS_NONE;
    check_int(prepare(&model, body, 16)->id.n, ==, 0);
    check_span(prepare(&pipe, body, 18)->id, "abcdef12-12");
}

static struct span message(enum op_protocol protocol, struct buf *out)
{
    struct err e = {0};
    const struct mt_request q = {
        .protocol = protocol, .batch = 1, .values = MT_CONSTANT};
    check_ok(model_type_request(model_type_find(SPAN_LIT("tfsimple")), &q, out, &e),
             &e);
    return buf_view(out);
}

static void a_grpc_message_is_prefixed_and_names_the_model(void **state)
{
    const struct op_stream s = {.protocol = OP_GRPC, .name = SPAN_LIT("tfsimple")};
    struct pay_message m;
    struct arena decoded = {0};
    struct buf body = {0};
    struct err e = {0};
    (void)state;
    config.tier = OP_TIER_SERVER;
    struct op_body b = op_body_of(message(OP_GRPC, &body));
    struct rep_request *r = prepare(&s, b, 0);
    struct cursor c = cursor_of(r->wire[0]);
    check_int(cursor_u8(&c), ==, 0);
    check_int(cursor_u32_be(&c), ==, r->wire[0].n - 5);
    check_ok(
        v2_proto_parse_request(span_sub(r->wire[0], 5, r->wire[0].n), &decoded, &m, &e),
        &e);
    check_span(m.model_name, "tfsimple_4");
    check_int(m.tensor_count, ==, 2);
    check_int(r->out.bytes_out, ==, r->wire[0].n - 5);
    arena_done(&decoded);
    buf_done(&body);
}

static void equal_grpc_bodies_share_one_message_within_a_slice(void **state)
{
    const struct op_stream s = {.protocol = OP_GRPC, .name = SPAN_LIT("tfsimple")};
    struct rep_request a = {0}, b = {0};
    struct buf body = {0};
    struct err e = {0};
    struct op op = op_empty();
    (void)state;
    op.stream = &s;
    op.request = op_body_of(message(OP_GRPC, &body));
    struct rep_stream *stream = prepare_stream(&s);
    check_ok(rep_prepare_request(&preparer, &op, stream, &arena, &a, &e), &e);
    op.index = 1;
    check_ok(rep_prepare_request(&preparer, &op, stream, &arena, &b, &e), &e);
    check_true(a.wire[0].p == b.wire[0].p);
    check_true(!span_eq(a.id, b.id));
    rep_preparer_next_slice(&preparer);
    check_ok(rep_prepare_request(&preparer, &op, stream, &arena, &b, &e), &e);
    check_true(a.wire[0].p != b.wire[0].p);
    buf_done(&body);
}

static void a_large_grpc_message_is_copied_only_where_it_changes(void **state)
{
    const struct op_stream s = {.protocol = OP_GRPC, .name = SPAN_LIT("iris")};
    const struct mt_request q = {
        .protocol = OP_GRPC, .batch = 256, .values = MT_CONSTANT};
    struct pay_message m;
    struct arena decoded = {0};
    struct buf body = {0}, whole = {0};
    struct err e = {0};
    (void)state;
    config.tier = OP_TIER_SERVER;
    check_ok(model_type_request(model_type_find(SPAN_LIT("iris")), &q, &body, &e), &e);
    struct rep_request *r = prepare(&s, op_body_of(buf_view(&body)), 0);
    check_int(r->wire[0].n, <, 64);
    check_int(r->wire[1].n, >, 4096);
    check_true(r->wire[1].p >= body.p);
    check_true(r->wire[1].p + r->wire[1].n == body.p + body.n);
    struct cursor c = cursor_of(r->wire[0]);
    check_int(cursor_u8(&c), ==, 0);
    check_int(cursor_u32_be(&c), ==, r->wire[0].n - 5 + r->wire[1].n);
    check_int(r->out.bytes_out, ==, r->wire[0].n - 5 + r->wire[1].n);
    buf_span(&whole, span_sub(r->wire[0], 5, r->wire[0].n));
    buf_span(&whole, r->wire[1]);
    check_ok(v2_proto_parse_request(buf_view(&whole), &decoded, &m, &e), &e);
    check_span(m.model_name, "iris_4");
    check_int(m.tensor_count, ==, 1);
    arena_done(&decoded);
    buf_done(&whole);
    buf_done(&body);
}

static const char *field(const struct rep_stream *s, const char *name, char *out,
                         size_t size)
{
    for (uint32_t i = 0; i < s->field_count; i++) {
        if (span_eq_str(s->fields[i].name, name)) {
            snprintf(out, size, "%.*s", SPAN_ARG(s->fields[i].value));
            return out;
        }
    }
    return "(none)";
}

static void grpc_fields_carry_routing_and_the_deadline(void **state)
{
    const struct op_stream s = {.protocol = OP_GRPC, .name = SPAN_LIT("iris")};
    char v[128];
    (void)state;
    struct rep_stream *st = prepare_stream(&s);
    check_span(st->fields[0].name, ":method");
    check_str(field(st, ":path", v, sizeof v),
              "/inference.GRPCInferenceService/ModelInfer");
    check_str(field(st, ":authority", v, sizeof v), "g:2");
    check_str(field(st, "te", v, sizeof v), "trailers");
    check_str(field(st, "grpc-timeout", v, sizeof v), "1500m");
    check_str(field(st, "seldon-model", v, sizeof v), "iris");
    check_str(field(st, "seldon-internal-model", v, sizeof v), "iris_4");
    config.deadline_ns = 400 * 86400 * CLK_SEC;
    check_str(field(prepare_stream(&s), "grpc-timeout", v, sizeof v), "34560000S");
}

static void messages_of_a_stream_are_framed_and_timed_each(void **state)
{
    static const struct op_message parts[] = {{2000, 3}, {3000, 0}, {9000, 5}};
    const struct op_stream s = {
        .protocol = OP_GRPC,
        .name = SPAN_LIT("iris"),
        .path = SPAN_LIT("/inference.GRPCInferenceService/ModelStreamInfer")};
    struct op op = op_empty();
    struct err e = {0};
    (void)state;
    check_ok(rep_speed_parse("2", &config.speed, &e), &e);
    op.stream = &s;
    op.request = op_body_of(SPAN_LIT("\x0a\x01x\x0a\x03xyz"));
    op.request_messages = (struct op_messages){parts, 3};
    struct rep_request *r = prepare_op(&op);
    check_true(r->refusal == NULL && r->stream->streams);
    static const char wire[] =
        "\0\0\0\0\6\x0a\4iris\0\0\0\0\6\x0a\4iris\0\0\0\0\6\x0a\4iris";
    check_true(span_eq(r->wire[0], span_of(wire, sizeof wire - 1)));
    check_int(r->out.bytes_out, ==, 18);
    check_int(r->parts.count, ==, 3);
    static const struct op_message want[] = {{0, 11}, {500, 11}, {3500, 11}};
    check_true(memcmp(r->parts.v, want, sizeof want) == 0);

    op.request_messages.count = 1; /* one message: nothing to wait for */
    op.request = op_body_of(SPAN_LIT("\x0a\x01x"));
    r = prepare_op(&op);
    check_int(r->parts.count, ==, 0);
    check_int(r->wire[0].n, ==, 11);
}

static const char *refusal_of(const struct op_stream *s, struct op_body body)
{
    struct rep_request *r = prepare(s, body, 0);
    return r->refusal ? r->refusal : "(none)";
}

static void what_cannot_be_sent_says_why(void **state)
{
    struct op_body ok = op_body_of(SPAN_LIT("{}"));
    struct op_stream s = {.protocol = OP_REST, .name = SPAN_LIT("a b")};
    (void)state;
    check_str(refusal_of(&s, ok), "its name cannot stand in a request");
    s.name = SPAN_LIT("iris");
    s.path = SPAN_LIT("/v2/models/iris/infer HTTP/1.1\r\nx: y");
    check_str_has(refusal_of(&s, ok), "cannot stand in a request");
    s.path = (struct span){0};
    s.method = SPAN_LIT("PO ST");
    check_str_has(refusal_of(&s, ok), "cannot stand in a request");
    s.method = (struct span){0};
    check_str(refusal_of(&s, (struct op_body){.state = OP_BODY_ELIDED, .bytes = 9}),
              "its body was not kept whole");
    s.protocol = OP_GRPC;
    check_str(refusal_of(&s, op_body_of(SPAN_LIT("\xff\xff\xff"))),
              "its body is not a protobuf message");
    struct op_message two[] = {{0, 1}, {5, 1}};
    struct op op = op_empty();
    op.stream = &s;
    op.request = ok;
    op.request_messages = (struct op_messages){two, 2};
    check_str(prepare_op(&op)->refusal, "it has messages, and its method takes one");
    config.grpc = NULL;
    check_str(refusal_of(&s, ok),
              "it is a gRPC operation, and no --grpc target was given");
    s.protocol = OP_KAFKA;
    check_str(refusal_of(&s, ok), "a Kafka operation needs the tier kafka");
}

static enum out_check judged(struct rep_request *r, const struct rep_answer_want *w,
                             struct arena *a, struct err *why)
{
    rep_answer_judge(r, w, a, why);
    return r->out.check;
}

/* r with the answer that its model gives to it, in scratch memory a. */
static void answer_well(struct rep_request *r, struct arena *a)
{
    struct pay_message q, answer;
    struct err e = {0};
    check_ok(v2_json_parse_request(r->body, a, &q, &e), &e);
    check_ok(
        model_type_answer(model_type_find(SPAN_LIT("tfsimple")), &q, a, &answer, &e),
        &e);
    buf_reset(&r->answer);
    v2_json_response(&answer, &r->answer);
}

static void answers_are_held_against_the_recorded_one(void **state)
{
    static const char recorded[] =
        "{\"model_name\":\"iris_1\",\"id\":\"a\",\"outputs\":[{\"name\":\"x\","
        "\"shape\":[2],\"datatype\":\"FP32\",\"data\":[1.0,2.0]}]}";
    const struct op_stream s = {.protocol = OP_REST, .name = SPAN_LIT("m")};
    struct rep_answer_want want = {.recorded = true};
    struct arena scratch = {0};
    struct err e = {0};
    (void)state;
    struct rep_request *r = prepare(&s, op_body_of(SPAN_LIT("{}")), 0);
    struct op op = *r->op;
    r->op = &op;
    r->out.status = 200;
    buf_str(&r->answer, "{\"id\":\"b\",\"outputs\":[{\"name\":\"x\",\"shape\":[2],"
                        "\"datatype\":\"FP32\",\"data\":[1,2.0001]}]}");
    check_int(judged(r, &want, &scratch, &e), ==, OUT_UNCHECKED); /* nothing recorded */
    op.status = 200;
    check_int(judged(r, &want, &scratch, &e), ==, OUT_UNCHECKED); /* not its body */
    op.response = op_body_of(SPAN_LIT(recorded));
    check_int(judged(r, &want, &scratch, &e), ==, OUT_WRONG);
    check_str_has(e.text, "'x' element 1 is 2.00009");
    err_clear(&e);
    want.tolerance = 1e-3;
    check_int(judged(r, &want, &scratch, &e), ==, OUT_RIGHT);
    op.status = 404;
    check_int(judged(r, &want, &scratch, &e), ==, OUT_WRONG);
    check_str_has(e.text, "recorded was http 404");
    op.status = 200;
    buf_reset(&r->answer);
    buf_str(&r->answer, "{\"outputs\":[]}");
    check_int(judged(r, &want, &scratch, NULL), ==, OUT_WRONG);
    buf_done(&r->answer);
    arena_done(&scratch);
}

/* Appends a response as Triton wraps it: ModelStreamInferResponse.infer_response. */
static void wrap(struct buf *out, const struct buf *inner)
{
    check_int(inner->n, <, 128);
    buf_u8(out, 0x12);
    buf_u8(out, (uint8_t)inner->n);
    buf_span(out, buf_view(inner));
}

#define THEN                                                                           \
    "{\"outputs\":[{\"name\":\"x\",\"shape\":[2],\"datatype\":\"FP32\",\"data\":[1,2]" \
    "}]}"

static void deflate_as(int window, struct span s, struct buf *out)
{
    z_stream z = {0};
    check_int(deflateInit2(&z, 6, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY), ==, Z_OK);
    size_t most = deflateBound(&z, s.n);
    z.next_out = buf_grow(out, most);
    z.avail_out = (uInt)most;
    z.next_in = (Bytef *)(uintptr_t)s.p;
    z.avail_in = (uInt)s.n;
    check_int(deflate(&z, Z_FINISH), ==, Z_STREAM_END);
    out->n -= z.avail_out;
    deflateEnd(&z);
}

/* text in gzip or bare deflate; for any other list what is nothing of the kind. */
static uint16_t encode(const char *codings, struct span text, struct buf *out)
{
    uint16_t list = 0;
    content_codings_add(&list, span_str(codings));
    buf_reset(out);
    if (list == CONTENT_GZIP)
        deflate_as(15 + 16, text, out);
    else if (list == CONTENT_DEFLATE)
        deflate_as(-15, text, out);
    else if (list != 0)
        buf_str(out, "\x0b\x02\x80");
    else
        buf_span(out, text);
    return list;
}

/* Answers and records in encodings are right where they say the same, wrong where they
 * do not, and not judged where nobody can read them. */
static void what_is_encoded_is_decoded_or_not_judged(void **state)
{
    static const struct {
        const char *then, *now;
        const char *says; /* the answer */
        enum out_check check;
        const char *why;
    } cases[] = {
        {"gzip", "", THEN, OUT_RIGHT, NULL},
        {"deflate", "", THEN, OUT_RIGHT, NULL},
        {"", "gzip", THEN, OUT_RIGHT, NULL},
        {"deflate", "gzip", THEN, OUT_RIGHT, NULL},
        {"deflate", "gzip", "{\"outputs\":[]}", OUT_WRONG, "no output 'x'"},
        {"", "deflate", "{\"outputs\":[]}", OUT_WRONG, "no output 'x'"},
        {"br", "", THEN, OUT_UNCHECKED,
         "the recorded answer is in an encoding that is not known"},
        {"", "br", THEN, OUT_UNCHECKED, "it is in an encoding that is not known"},
        {"gzip, br", "gzip", THEN, OUT_UNCHECKED,
         "the recorded answer is in an encoding that is not known"},
        {"zstd", "", THEN, OUT_UNCHECKED,
         "the recorded answer is not what its encoding says"},
        {"", "zstd", THEN, OUT_WRONG, "it is no zstd, or not all of it"},
    };
    const struct op_stream s = {.protocol = OP_REST, .name = SPAN_LIT("m")};
    const struct rep_answer_want want = {.recorded = true, .content = true};
    struct arena scratch = {0};
    struct buf then = {0};
    uint64_t hash = 0;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct rep_request *r = prepare(&s, op_body_of(SPAN_LIT("{}")), 0);
        struct op op = *r->op;
        struct err e = {0};
        r->op = &op;
        op.status = r->out.status = 200;
        op.response_codings = encode(cases[i].then, SPAN_LIT(THEN), &then);
        op.response = op_body_of(buf_view(&then));
        r->answer_codings = encode(cases[i].now, span_str(cases[i].says), &r->answer);
        check_int(judged(r, &want, &scratch, &e), ==, cases[i].check);
        if (cases[i].check == OUT_UNCHECKED)
            check_str(r->unjudged, cases[i].why);
        else
            check_true(r->unjudged == NULL);
        if (cases[i].check == OUT_WRONG)
            check_str_has(e.text, cases[i].why);
        if (cases[i].check == OUT_RIGHT) { /* its digest is of what it says */
            check_true(hash == 0 || hash == r->out.answer_hash);
            hash = r->out.answer_hash;
        }
        buf_done(&r->answer);
    }
    check_true(hash != 0);
    buf_done(&then);
    arena_done(&scratch);
}

/* A trace of earlier days tells of no encoding: gzip shows itself, the others are not
 * text, which an answer over REST is. */
static void a_record_that_is_no_text_is_not_judged(void **state)
{
    const struct op_stream s = {.protocol = OP_REST, .name = SPAN_LIT("m")};
    const struct rep_answer_want want = {.recorded = true};
    struct arena scratch = {0};
    struct buf then = {0};
    struct err e = {0};
    (void)state;
    struct rep_request *r = prepare(&s, op_body_of(SPAN_LIT("{}")), 0);
    struct op op = *r->op;
    r->op = &op;
    op.status = r->out.status = 200;
    buf_str(&r->answer, THEN);
    encode("gzip", SPAN_LIT(THEN), &then);
    op.response = op_body_of(buf_view(&then));
    check_int(judged(r, &want, &scratch, &e), ==, OUT_RIGHT);
    encode("deflate", SPAN_LIT(THEN), &then);
    op.response = op_body_of(buf_view(&then));
    check_int(judged(r, &want, &scratch, &e), ==, OUT_UNCHECKED);
    check_str_has(r->unjudged, "an encoding that the trace does not tell");
    op.response = op_body_of(SPAN_LIT("no JSON"));
    check_int(judged(r, &want, &scratch, &e), ==, OUT_WRONG);
    buf_done(&r->answer);
    buf_done(&then);
    arena_done(&scratch);
}

/* gRPC compresses each message by itself. */
static void recorded_messages_are_decoded_one_by_one(void **state)
{
    const struct op_stream s = {
        .protocol = OP_GRPC,
        .name = SPAN_LIT("m"),
        .path = SPAN_LIT("/inference.GRPCInferenceService/ModelStreamInfer")};
    const struct rep_answer_want want = {.recorded = true};
    struct arena scratch = {0};
    struct pay_message m;
    struct buf one = {0}, wrapped = {0}, packed = {0}, all = {0};
    struct err e = {0};
    (void)state;
    check_ok(v2_json_parse_response(SPAN_LIT(THEN), &scratch, &m, &e), &e);
    v2_proto_response(&m, &one);
    wrap(&wrapped, &one);
    struct rep_request *r = prepare(&s, op_body_of(SPAN_LIT("\x0a\x01m")), 0);
    struct op op = *r->op;
    r->op = &op;
    op.grpc_status = 0;
    op.response_codings = encode("deflate", buf_view(&wrapped), &packed);
    buf_span(&all, buf_view(&packed));
    buf_span(&all, buf_view(&packed));
    op.response = op_body_of(buf_view(&all));
    struct op_message then[] = {{0, packed.n}, {1, packed.n}},
                      now[] = {{0, wrapped.n}, {1, wrapped.n}};
    op.response_messages = (struct op_messages){then, 2};
    buf_span(&r->answer, buf_view(&wrapped));
    buf_span(&r->answer, buf_view(&wrapped));
    r->out.messages = (struct op_messages){now, 2};
    check_int(judged(r, &want, &scratch, &e), ==, OUT_RIGHT);
    op.response_codings = CONTENT_SNAPPY;
    check_int(judged(r, &want, &scratch, &e), ==, OUT_UNCHECKED);
    check_str(r->unjudged, "the recorded answer is in an encoding that is not known");
    /* A target that compresses is read the same way. */
    op.response_codings = r->answer_codings = CONTENT_DEFLATE;
    buf_reset(&r->answer);
    buf_span(&r->answer, buf_view(&all));
    r->out.messages = (struct op_messages){then, 2};
    check_int(judged(r, &want, &scratch, &e), ==, OUT_RIGHT);
    /* … also where one of its messages is not compressed. */
    struct op_message mixed[] = {{0, packed.n}, {1, wrapped.n}};
    buf_reset(&r->answer);
    buf_span(&r->answer, buf_view(&packed));
    buf_span(&r->answer, buf_view(&wrapped));
    r->out.messages = (struct op_messages){mixed, 2};
    buf_u8(&r->encoded, 1);
    buf_u8(&r->encoded, 0);
    check_int(judged(r, &want, &scratch, &e), ==, OUT_RIGHT);
    op.response = op_body_of(buf_view(&r->answer)); /* recorded so, too */
    op.response_messages.v = mixed;
    check_int(judged(r, &want, &scratch, &e), ==, OUT_RIGHT);
    r->encoded.p[1] = 1;
    check_int(judged(r, &want, &scratch, &e), ==, OUT_WRONG);
    check_str_has(e.text, "message 2 of 2: it is no deflate");
    err_clear(&e);
    op.response = op_body_of(buf_view(&all));
    op.response_messages.v = then;
    buf_done(&r->encoded);
    buf_reset(&r->answer);
    buf_span(&r->answer, buf_view(&all));
    r->out.messages = (struct op_messages){then, 2};
    const struct rep_answer_want digest = {.recorded = true, .content = true};
    r->answer_codings = CONTENT_OTHER;
    r->out.answer_hash = 77;
    check_int(judged(r, &digest, &scratch, &e), ==, OUT_UNCHECKED);
    check_str(r->unjudged, "it is in an encoding that is not known");
    check_int(r->out.answer_hash, ==, 77);
    err_clear(&e);
    r->answer_codings = CONTENT_ZSTD;
    check_int(judged(r, &want, &scratch, &e), ==, OUT_WRONG);
    check_str_has(e.text, "message 1 of 2: it is no zstd");
    r->out.messages.count = 0;
    check_int(judged(r, &want, &scratch, &e), ==, OUT_UNCHECKED);
    check_str(r->unjudged, "it is a stream without messages");
    buf_done(&r->answer);
    buf_done(&one);
    buf_done(&wrapped);
    buf_done(&packed);
    buf_done(&all);
    arena_done(&scratch);
}

/* Events in an encoding are decoded as a whole, of the answer and of the record, and
 * then judged one by one. */
static void events_in_an_encoding_are_judged(void **state)
{
    static const char two[] = "data: " THEN "\n\n: alive\n\ndata: " THEN "\n\n";
    static const struct {
        const char *then, *now, *says;
        enum out_check check;
        const char *why;
    } cases[] = {
        {"gzip", "", two, OUT_RIGHT, NULL},
        {"", "gzip", two, OUT_RIGHT, NULL},
        {"deflate", "gzip", two, OUT_RIGHT, NULL},
        {"gzip", "gzip", "data: " THEN "\n\n", OUT_WRONG,
         "1 messages, recorded were 2"},
        {"gzip", "deflate", "data: " THEN "\n\ndata: {\"outputs\":[]}\n\n", OUT_WRONG,
         "message 2 of 2: "},
        {"gzip", "deflate", ": alive\n\n", OUT_UNCHECKED,
         "it is a stream without messages"},
        {"gzip", "br", two, OUT_UNCHECKED, "it is in an encoding that is not known"},
        {"br", "gzip", two, OUT_UNCHECKED,
         "the recorded answer is in an encoding that is not known"},
        {"zstd", "gzip", two, OUT_UNCHECKED,
         "the recorded answer is not what its encoding says"},
        {"gzip", "zstd", two, OUT_WRONG, "it is no zstd, or not all of it"},
    };
    const struct op_stream s = {.protocol = OP_REST,
                                .name = SPAN_LIT("m"),
                                .path = SPAN_LIT("/v2/models/m/infer_stream")};
    const struct rep_answer_want want = {.recorded = true, .content = true};
    struct op_message plain[] = {
        {0, sizeof "data: \n\n" - 1 + sizeof THEN - 1},
        {1, sizeof ": alive\n\ndata: \n\n" - 1 + sizeof THEN - 1}};
    struct arena scratch = {0};
    struct buf then = {0};
    uint64_t hash = 0;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct rep_request *r = prepare(&s, op_body_of(SPAN_LIT("{}")), 0);
        struct op op = *r->op;
        struct err e = {0};
        r->op = &op;
        op.status = r->out.status = 200;
        op.response_codings = encode(cases[i].then, SPAN_LIT(two), &then);
        op.response = op_body_of(buf_view(&then));
        if (op.response_codings == 0)
            op.response_messages = (struct op_messages){plain, 2};
        r->answer_codings = encode(cases[i].now, span_str(cases[i].says), &r->answer);
        if (r->answer_codings == 0)
            r->out.messages = (struct op_messages){plain, 2};
        check_int(judged(r, &want, &scratch, &e), ==, cases[i].check);
        if (cases[i].check == OUT_UNCHECKED)
            check_str(r->unjudged, cases[i].why);
        if (cases[i].check == OUT_WRONG)
            check_str_has(e.text, cases[i].why);
        if (cases[i].check == OUT_RIGHT) {
            check_true(hash == 0 || hash == r->out.answer_hash);
            hash = r->out.answer_hash;
        }
        buf_done(&r->answer);
    }
    check_true(hash != 0);
    buf_done(&then);
    arena_done(&scratch);
}

/* A decoupled model of Triton: two answers, each in its wrapper, and the word that
 * there will be no more. */
static void wrapped_messages_are_judged_and_end_marks_are_not(void **state)
{
    static const char asked[] = "{\"inputs\":[{\"name\":\"INPUT\",\"datatype\":"
                                "\"FP32\",\"shape\":[2],\"data\":[1,2]}]}";
    /* parameters: triton_final_response is true */
    static const char mark[] = "\x22\x1b\x0a\x15triton_final_response\x12\x02\x08\x01";
    const struct op_stream s = {
        .protocol = OP_GRPC,
        .name = SPAN_LIT("m"),
        .model_type = SPAN_LIT("add10"),
        .path = SPAN_LIT("/inference.GRPCInferenceService/ModelStreamInfer")};
    struct rep_answer_want want = {.model = true};
    struct arena scratch = {0};
    struct pay_message q, answer;
    struct buf body = {0}, one = {0}, final = {0};
    struct err e = {0};
    (void)state;
    check_ok(v2_json_parse_request(SPAN_LIT(asked), &scratch, &q, &e), &e);
    check_ok(
        model_type_answer(model_type_find(s.model_type), &q, &scratch, &answer, &e),
        &e);
    v2_proto_request(&q, &body);
    v2_proto_response(&answer, &one);
    buf_span(&final, SPAN_LIT(mark));
    struct rep_request *r = prepare(&s, op_body_of(buf_view(&body)), 0);
    check_true(r->refusal == NULL);
    r->out.cause = OUT_OK;
    wrap(&r->answer, &one);
    wrap(&r->answer, &one);
    struct op_message sizes[3] = {{0, one.n + 2}, {0, one.n + 2}, {0, final.n + 2}};
    r->out.messages = (struct op_messages){sizes, 2};
    check_int(judged(r, &want, &scratch, &e), ==, OUT_RIGHT);
    wrap(&r->answer, &final);
    r->out.messages.count = 3;
    check_int(judged(r, &want, &scratch, &e), ==, OUT_RIGHT);
    /* The third says what went wrong instead. */
    r->answer.n -= final.n + 2;
    buf_str(&r->answer, "\x0a\x03"
                        "bad");
    sizes[2].bytes = 5;
    check_int(judged(r, &want, &scratch, &e), ==, OUT_WRONG);
    check_str_has(e.text, "message 3 of 3: it is an error");
    buf_done(&r->answer);
    buf_done(&body);
    buf_done(&one);
    buf_done(&final);
    arena_done(&scratch);
}

#define SUMS(a, b)                                                                     \
    "data: "                                                                           \
    "{\"model_name\":\"m\",\"outputs\":[{\"name\":\"OUTPUT\",\"datatype\":\"FP32\","   \
    "\"shape\":[2],\"data\":[" #a "," #b "]}]}\n\n"

static void a_stream_is_judged_message_by_message(void **state)
{
    static const char asked[] = "{\"inputs\":[{\"name\":\"INPUT\",\"datatype\":"
                                "\"FP32\",\"shape\":[2],\"data\":[1,2]}]}";
    static const struct {
        const char *first, *second;
        enum out_check by_model, by_record;
        const char *why;
    } cases[] = {
        {SUMS(11, 12), SUMS(11, 12), OUT_RIGHT, OUT_RIGHT, NULL},
        {SUMS(11, 12), SUMS(11, 13), OUT_WRONG, OUT_WRONG, "message 2 of 2"},
        {": alive\n\n" SUMS(11, 12), "data: no JSON\n\n", OUT_WRONG, OUT_WRONG,
         "message 2 of 2"},
        {SUMS(11, 12), NULL, OUT_RIGHT, OUT_WRONG, "1 messages, recorded were 2"},
    };
    const struct op_stream s = {.protocol = OP_REST,
                                .name = SPAN_LIT("add10"),
                                .model_type = SPAN_LIT("add10"),
                                .path = SPAN_LIT("/v2/models/add10/infer_stream")};
    struct arena scratch = {0};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct op_message then[] = {{0, strlen(SUMS(11, 12))},
                                    {1, strlen(SUMS(11, 12))}};
        struct op_message now[] = {{0, strlen(cases[i].first)}, {0, 0}};
        struct rep_answer_want model = {.model = true}, recorded = {.recorded = true};
        struct err e = {0};
        struct rep_request *r = prepare(&s, op_body_of(SPAN_LIT(asked)), 0);
        struct op op = *r->op;
        r->op = &op;
        op.response = op_body_of(SPAN_LIT(SUMS(11, 12) SUMS(11, 12)));
        op.response_messages = (struct op_messages){then, 2};
        buf_str(&r->answer, cases[i].first);
        if (cases[i].second) {
            now[1].bytes = strlen(cases[i].second);
            buf_str(&r->answer, cases[i].second);
        }
        r->out.cause = OUT_OK;
        r->out.messages = (struct op_messages){now, cases[i].second ? 2 : 1};
        check_int(judged(r, &model, &scratch, &e), ==, cases[i].by_model);
        err_clear(&e);
        check_int(judged(r, &recorded, &scratch, &e), ==, cases[i].by_record);
        if (cases[i].why)
            check_str_has(e.text, cases[i].why);
        buf_done(&r->answer);
    }
    arena_done(&scratch);
}

static void ways_of_checking_are_read(void **state)
{
    struct rep_answer_want want = {0};
    struct err e = {0};
    (void)state;
    check_ok(rep_answer_parse(&want, "model", &e), &e);
    check_true(want.model && !want.recorded);
    check_ok(rep_answer_parse(&want, "recorded:1e-6", &e), &e);
    check_true(want.recorded && want.tolerance == 1e-6);
    check_int(rep_answer_parse(&want, "recorded:-1", &e), ==, ERR_USAGE);
    err_clear(&e);
    check_int(rep_answer_parse(&want, "recorded:", &e), ==, ERR_USAGE);
    err_clear(&e);
    check_int(rep_answer_parse(&want, "all", &e), ==, ERR_USAGE);
    check_str_has(e.text, "'all' is not model");
}

/* Equal answers have equal digests whatever their ids and order; others have not. */
static void the_digest_is_of_what_an_answer_says(void **state)
{
    static const char *const same[] = {
        "{\"id\":\"a\",\"outputs\":[{\"name\":\"x\",\"shape\":[1],\"datatype\":"
        "\"FP32\",\"data\":[0]},{\"name\":\"b\",\"shape\":[1],\"datatype\":\"BYTES\","
        "\"data\":[\"t\"]}]}",
        "{\"model_version\":\"2\",\"outputs\":[{\"name\":\"b\",\"shape\":[1],"
        "\"datatype\":\"BYTES\",\"data\":[\"t\"]},{\"name\":\"x\",\"shape\":[1],"
        "\"datatype\":\"FP32\",\"data\":[-0.0]}]}"};
    static const char other[] =
        "{\"outputs\":[{\"name\":\"x\",\"shape\":[1],\"datatype\":\"FP32\",\"data\":[0]"
        "},{\"name\":\"b\",\"shape\":[1],\"datatype\":\"BYTES\",\"data\":[\"u\"]}]}";
    const struct op_stream s = {.protocol = OP_REST, .name = SPAN_LIT("m")};
    const struct rep_answer_want want = {.content = true};
    struct arena scratch = {0};
    uint64_t hash[3];
    (void)state;
    struct rep_request *r = prepare(&s, op_body_of(SPAN_LIT("{}")), 0);
    for (int i = 0; i < 3; i++) {
        buf_reset(&r->answer);
        buf_str(&r->answer, i < 2 ? same[i] : other);
        r->out.answer_hash = outcome_answer_hash(buf_view(&r->answer));
        check_int(judged(r, &want, &scratch, NULL), ==, OUT_UNCHECKED);
        hash[i] = r->out.answer_hash;
    }
    check_true(hash[0] == hash[1]);
    check_true(hash[0] != hash[2]);
    buf_done(&r->answer);
    arena_done(&scratch);
}

static void an_answer_tells_whose_it_is_by_its_mark(void **state)
{
    static const struct {
        const char *value;
        enum rep_mark mark;
    } cases[] = {
        {"abcdef12-ff", REP_MARK_OWN},
        {"0.some-pipe.abcdef12-ff, abcdef12-ff", REP_MARK_OWN},
        {"some-pipe.abcdef12-ff", REP_MARK_OWN},
        {"abcdef12-fe", REP_MARK_OTHER},
        {"0.p.abcdef12-1,abcdef12-ff", REP_MARK_OTHER},
        {"00000000-ff", REP_MARK_OTHER},         /* of another run */
        {"d0k3v1g2s7pc73b8sr5g", REP_MARK_NONE}, /* made by a tier */
        {"6ba7b810-9dad-11d1-80b4-00c04fd430c8", REP_MARK_NONE},
        {"abcdef12-", REP_MARK_NONE},
        {"", REP_MARK_NONE},
        {",,", REP_MARK_NONE},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct rep_request r = {.id = SPAN_LIT("abcdef12-ff"), .minted = true};
        rep_mark_look(&r, span_str(cases[i].value));
        check_int(r.mark, ==, cases[i].mark);
        r = (struct rep_request){.id = SPAN_LIT("abcdef12-ff")}; /* a recorded id */
        rep_mark_look(&r, span_str(cases[i].value));
        check_int(r.mark, ==, REP_MARK_NONE);
    }
}

static void tensors_tell_whose_answer_it_is(void **state)
{
    const struct op_stream s = {
        .protocol = OP_REST, .name = SPAN_LIT("m"), .model_type = SPAN_LIT("tfsimple")};
    const struct model_type *type = model_type_find(s.model_type);
    struct arena a = {0}, scratch = {0};
    struct buf bodies[2] = {0};
    struct rep_request r[2];
    (void)state;
    for (uint64_t i = 0; i < 2; i++) {
        struct mt_request q = {
            .protocol = OP_REST, .batch = 1, .values = MT_COUNTING, .ordinal = i};
        check_ok(model_type_request(type, &q, &bodies[i], NULL), NULL);
        r[i] = *prepare(&s, op_body_of(buf_view(&bodies[i])), i);
        answer_well(&r[i], &a);
        check_true(rep_answer_tells(&r[i]));
    }
    check_true(!rep_answer_fits(&r[0], &r[1], &scratch));
    struct buf kept = r[0].answer;
    r[0].answer = r[1].answer;
    r[1].answer = kept;
    check_true(rep_answer_fits(&r[0], &r[1], &scratch));
    check_true(rep_answer_fits(&r[1], &r[0], &scratch));
    check_true(!rep_answer_fits(&r[0], &r[0], &scratch));
    for (int i = 0; i < 2; i++) {
        buf_done(&r[i].answer);
        buf_done(&bodies[i]);
    }
    arena_done(&a);
    arena_done(&scratch);
}

static void answers_are_judged_by_their_model_type(void **state)
{
    struct op_stream s = {
        .protocol = OP_REST, .name = SPAN_LIT("m"), .model_type = SPAN_LIT("tfsimple")};
    const struct model_type *type = model_type_find(s.model_type);
    struct pay_message q, answer;
    struct arena a = {0}, scratch = {0};
    struct buf body = {0};
    struct err e = {0};
    const struct rep_answer_want model = {.model = true};
    (void)state;
    struct rep_request *r = prepare(&s, op_body_of(message(OP_REST, &body)), 0);
    check_ok(v2_json_parse_request(r->body, &a, &q, &e), &e);
    check_ok(model_type_answer(type, &q, &a, &answer, &e), &e);
    v2_json_response(&answer, &r->answer);

    check_int(judged(r, &model, &scratch, &e), ==, OUT_RIGHT);
    r->mark = REP_MARK_OTHER; /* right by chance */
    check_int(judged(r, &model, &scratch, NULL), ==, OUT_CROSSED);
    r->mark = REP_MARK_OWN;
    r->out.cause = OUT_STATUS;
    check_int(judged(r, &model, &scratch, &e), ==, OUT_UNCHECKED);
    r->out.cause = OUT_OK;
    buf_reset(&r->answer);
    buf_str(&r->answer, "{\"outputs\": []}");
    check_int(judged(r, &model, &scratch, &e), ==, OUT_WRONG);
    check_true(e.text[0] != '\0');
    buf_reset(&r->answer);
    buf_str(&r->answer, "no JSON");
    check_int(judged(r, &model, &scratch, NULL), ==, OUT_WRONG);
    buf_done(&r->answer);
    s.model_type = SPAN_LIT("unheard-of");
    prepare(&s, op_body_of(buf_view(&body)), 0);
    check_int(judged(&request, &model, &scratch, NULL), ==, OUT_UNCHECKED);
    arena_done(&a);
    arena_done(&scratch);
    buf_done(&body);
}

#define PART(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

/* --- records of Kafka ------------------------------------------------------------- */

static struct rep_route known_route = {OP_MODEL, {0}, {0}};

static const struct rep_route *find_known(void *arg, enum op_resource resource,
                                          struct span name, const char **why)
{
    check_true(arg == &known_route);
    *why = NULL;
    if (span_eq_str(name, "nobody")) {
        *why = "there is no topic";
        return NULL;
    }
    known_route = (struct rep_route){resource, name, SPAN_LIT("the.topic")};
    return &known_route;
}

static void to_topics(void)
{
    config.tier = OP_TIER_KAFKA;
    config.http = config.grpc = NULL;
    config.routes = (struct rep_routes){find_known, &known_route};
}

static void a_json_request_becomes_the_value_that_the_gateway_writes(void **state)
{
    static const char json[] =
        "{\"id\":\"q\",\"parameters\":{\"k\":\"v\"},\"inputs\":[{\"name\":\"predict\","
        "\"shape\":[1,4],\"datatype\":\"FP32\",\"data\":[1.5,2,3,4]}]}";
    const struct op_header headers[] = {{SPAN_LIT("x-tenant"), SPAN_LIT("t")},
                                        {SPAN_LIT("accept"), SPAN_LIT("*/*")}};
    struct op_stream s = {.protocol = OP_REST,
                          .resource = OP_PIPELINE,
                          .name = SPAN_LIT("chain"),
                          .method = SPAN_LIT("POST"),
                          .path = SPAN_LIT("/v2/models/chain/infer"),
                          .content_type = SPAN_LIT("application/json"),
                          .headers = headers,
                          .header_count = 2};
    struct pay_message m;
    struct err e = {0};
    (void)state;
    to_topics();
    struct rep_request *r = prepare(&s, op_body_of(SPAN_LIT(json)), 255);
    check_true(r->refusal == NULL);
    check_ok(v2_proto_parse_request(r->wire[0], &arena, &m, &e), &e);
    check_span(m.model_name, "chain");
    check_span(m.id, "q");
    check_int(m.param_count, ==, 1);
    check_int(m.tensor_count, ==, 1);
    check_int(m.tensors[0].type, ==, PAY_FP32);
    check_true(pay_tensor_number(&m.tensors[0], 0) == 1.5);
    check_int(r->wire[1].n, ==, 0);
    check_int(r->out.bytes_out, ==, r->wire[0].n);
    check_span(r->body, json);
    check_span(r->id, "abcdef12-ff");
    check_true(r->minted);
    const struct rep_stream *p = r->stream;
    check_true(p->route == &known_route);
    check_int(p->as_sent.protocol, ==, OP_KAFKA);
    check_int(p->as_sent.tier, ==, OP_TIER_KAFKA);
    check_span(p->as_sent.path, "the.topic");
    check_int(p->as_sent.method.n + p->as_sent.content_type.n, ==, 0);
    check_int(p->field_count, ==, 2);
    check_span(p->fields[0].name, "pipeline");
    check_span(p->fields[0].value, "chain");
    check_span(p->fields[1].name, "x-tenant");
}

static void a_grpc_request_is_renamed_and_a_record_stays_as_it_is(void **state)
{
    struct op_stream s = {.protocol = OP_GRPC, .name = SPAN_LIT("iris")};
    struct op_body body = op_body_of(SPAN_LIT("\x0a\6iris_1\x1a\2id"));
    (void)state;
    to_topics();
    struct rep_request *r = prepare(&s, body, 1);
    check_span(r->wire[0], "\x0a\4iris\x1a\2id");
    check_int(r->stream->field_count, ==, 0);
    s.protocol = OP_KAFKA;
    s.path = SPAN_LIT("other.ns.model.iris.inputs");
    check_span(prepare(&s, body, 2)->wire[0], "\x0a\6iris_1\x1a\2id");
    check_span(prepare(&s, op_body_of(SPAN_LIT("{\"inputs\":[]}")), 2)->wire[0],
               "{\"inputs\":[]}");
    check_span(prepare(&s, op_body_of(SPAN_LIT("\xff junk")), 2)->wire[0], "\xff junk");
    config.ids = REP_IDS_KEEP; /* we match answers by it */
    check_span(prepare(&s, body, 3)->id, "abcdef12-3");
}

static void what_no_record_can_say_is_refused(void **state)
{
    static const struct {
        enum op_protocol protocol;
        const char *method, *path, *encoding, *why;
    } rows[] = {
        {OP_REST, "GET", "/v2/models/iris/ready", "", "it is no inference"},
        {OP_REST, "POST", "/v2/models/iris/generate", "", "it is no inference"},
        {OP_REST, "GET", "/v2/models/iris/infer", "", "it is no inference"},
        {OP_REST, "POST", "/v2/models/iris/infer_stream", "", "a call that streams"},
        {OP_REST, "POST", "/v2/models/iris/infer", "gzip",
         "its body is in an encoding"},
        {OP_GRPC, "", "/inference.GRPCInferenceService/ModelReady", "",
         "it is no inference"},
        {OP_GRPC, "", "/inference.GRPCInferenceService/ModelStreamInfer", "",
         "a call that streams"},
    };
    struct op_stream s;
    (void)state;
    to_topics();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        s = (struct op_stream){.protocol = rows[i].protocol,
                               .name = SPAN_LIT("iris"),
                               .method = span_str(rows[i].method),
                               .path = span_str(rows[i].path),
                               .content_encoding = span_str(rows[i].encoding)};
        check_str_has(refusal_of(&s, op_body_of(SPAN_LIT("{}"))), rows[i].why);
    }
    s = (struct op_stream){.protocol = OP_REST, .name = SPAN_LIT("iris")};
    check_str(refusal_of(&s, op_body_of(SPAN_LIT("{"))),
              "its body is no V2 request in JSON");
    s.protocol = OP_GRPC;
    check_str(refusal_of(&s, op_body_of(SPAN_LIT("\xff"))),
              "its body is not a protobuf message");
    s.protocol = OP_KAFKA;
    check_str(refusal_of(&s, op_body_of((struct span){0})),
              "a record without a value asks nothing");
    s.name = SPAN_LIT("nobody");
    check_str(refusal_of(&s, op_body_of(SPAN_LIT("x"))), "there is no topic");
    config.routes.find = NULL;
    check_str(refusal_of(&s, op_body_of(SPAN_LIT("x"))), "no --kafka target was given");
}

static void an_answer_from_a_topic_is_held_against_what_was_recorded(void **state)
{
    static const struct {
        enum op_protocol protocol;
        const char *body, *recorded;
        size_t body_n, recorded_n;
    } rows[] = {
#define ROW(p, b, r) {p, b, r, sizeof(b) - 1, sizeof(r) - 1}
#define TENSOR       "\"name\":\"x\",\"shape\":[1],\"datatype\":\"INT32\",\"data\":[7]"
        ROW(OP_REST, "{\"inputs\":[{" TENSOR "}]}", "{\"outputs\":[{" TENSOR "}]}"),
        ROW(OP_KAFKA, "{\"inputs\":[{" TENSOR "}]}", "{\"outputs\":[{" TENSOR "}]}"),
#define PROTO "\x2a\x12\x0a\1x\x12\5INT32\x1a\1\1\x2a\3\x12\1\7"
        ROW(OP_GRPC, PROTO, PROTO),
        ROW(OP_KAFKA, PROTO, PROTO),
    };
    const struct rep_answer_want want = {.recorded = true};
    struct arena a = {0};
    struct err e = {0};
    (void)state;
    to_topics();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct op_stream s = {.protocol = rows[i].protocol,
                                    .name = SPAN_LIT("echo")};
        struct op op = op_empty();
        op.stream = &s;
        op.request = op_body_of(span_of(rows[i].body, rows[i].body_n));
        op.response = op_body_of(span_of(rows[i].recorded, rows[i].recorded_n));
        op.status = 200;
        struct rep_request *r = prepare_op(&op);
        check_true(r->refusal == NULL);
        r->out.cause = OUT_OK;
        buf_add(&r->answer, PROTO, sizeof PROTO - 1);
        check_int(judged(r, &want, &a, &e), ==, OUT_RIGHT);
        r->answer.p[r->answer.n - 1] = 8;
        check_int(judged(r, &want, &a, &e), ==, OUT_WRONG);
        err_clear(&e);
        buf_reset(&r->answer); /* JSON comes where JSON was asked with */
        buf_str(&r->answer, "{\"outputs\":[{" TENSOR "}]}");
        check_int(judged(r, &want, &a, &e), ==, OUT_RIGHT);
        buf_done(&r->answer);
    }
    arena_done(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PART(a_rest_request_is_written_as_rproxy_wants_it),
        PART(given_headers_go_along_in_place_of_recorded_ones),
        PART(a_body_is_lent_not_copied),
        PART(a_get_states_no_length),
        PART(ids_are_minted_kept_or_left_out),
        PART(a_grpc_message_is_prefixed_and_names_the_model),
        PART(equal_grpc_bodies_share_one_message_within_a_slice),
        PART(a_large_grpc_message_is_copied_only_where_it_changes),
        PART(grpc_fields_carry_routing_and_the_deadline),
        PART(what_cannot_be_sent_says_why),
        PART(messages_of_a_stream_are_framed_and_timed_each),
        PART(a_stream_is_judged_message_by_message),
        PART(wrapped_messages_are_judged_and_end_marks_are_not),
        PART(answers_are_judged_by_their_model_type),
        PART(answers_are_held_against_the_recorded_one),
        PART(what_is_encoded_is_decoded_or_not_judged),
        PART(a_record_that_is_no_text_is_not_judged),
        PART(recorded_messages_are_decoded_one_by_one),
        PART(events_in_an_encoding_are_judged),
        PART(ways_of_checking_are_read),
        PART(the_digest_is_of_what_an_answer_says),
        PART(an_answer_tells_whose_it_is_by_its_mark),
        PART(tensors_tell_whose_answer_it_is),
        PART(a_json_request_becomes_the_value_that_the_gateway_writes),
        PART(a_grpc_request_is_renamed_and_a_record_stays_as_it_is),
        PART(what_no_record_can_say_is_refused),
        PART(an_answer_from_a_topic_is_held_against_what_was_recorded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

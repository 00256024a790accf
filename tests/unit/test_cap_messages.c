/*
 * test_cap_messages.c - bodies of streams come apart into messages with their times,
 * are redacted one by one, and reach the trace.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "check.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "capture/messages.h"
#include "capture/order.h"
#include "capture/redact.h"
#include "capture/stream.h"
#include "made_exchange.h"
#include "traces/container/trc_reader.h"

#define STREAM_PATH "/inference.GRPCInferenceService/ModelStreamInfer"

/* "iris" with a tensor of one INT32. */
#define MESSAGE(value)                                                                 \
    SPAN_LIT("\x0a\x04iris\x2a\x12\x0a\x01t\x12\x05INT32\x1a\x01\x01\x2a\x03\x12"      \
             "\x01" value)

static struct clk_wall ms(int64_t at)
{
    return (struct clk_wall){MADE_EPOCH_NS + at * CLK_MS};
}

/* Three requests at 0, 5 and 9 ms, two answers at 2 and 12 ms. */
static struct cap_exchange stream_of(struct cap_grpc_message asked[3],
                                     struct cap_grpc_message told[2])
{
    struct cap_exchange x =
        made_grpc(0, "seldon-model: iris\nx-request-id: s1\n", MESSAGE("\x05"));
    x.path = SPAN_LIT(STREAM_PATH);
    asked[0] = (struct cap_grpc_message){ms(0), ms(0), op_body_of(MESSAGE("\x05")), 0};
    asked[1] = (struct cap_grpc_message){ms(5), ms(6), {0}, 0}; /* an empty one */
    asked[2] = (struct cap_grpc_message){ms(9), ms(9), op_body_of(MESSAGE("\x07")), 0};
    told[0] = (struct cap_grpc_message){ms(2), ms(2), op_body_of(SPAN_LIT("one")), 0};
    told[1] =
        (struct cap_grpc_message){ms(12), ms(12), op_body_of(SPAN_LIT("two!")), 0};
    x.request.grpc_messages = x.request.messages_listed = 3;
    x.request.messages = asked;
    x.answer.grpc_messages = x.answer.messages_listed = 2;
    x.answer.message_bytes = 7;
    x.request.message_bytes = 2 * MESSAGE("\x05").n;
    x.answer.messages = told;
    return x;
}

static void check_list(const struct op_messages *m, uint32_t n, const int64_t *at_ms,
                       const uint64_t *bytes)
{
    check_int(m->count, ==, n);
    for (uint32_t i = 0; i < n; i++) {
        check_int(m->v[i].at_ns, ==, at_ms[i] * CLK_MS);
        check_int(m->v[i].bytes, ==, bytes[i]);
    }
}

static void a_stream_of_grpc_keeps_its_messages_apart(void **state)
{
    (void)state;
    struct cap_grpc_message asked[3], told[2];
    struct cap_exchange x = stream_of(asked, told);
    struct cap_record r;
    struct arena a = {0};
    struct err e = {0};
    check_int(cap_record_make(OP_TIER_ENVOY, &x, &r), ==, CAP_RECORDED_OP);
    check_true(!r.cut);
    check_ok(cap_messages_take(&x, &r.op, &a, &e), &e);
    size_t n = MESSAGE("\x05").n;
    check_list(&r.op.request_messages, 3, (int64_t[]){0, 5, 9}, (uint64_t[]){n, 0, n});
    check_list(&r.op.response_messages, 2, (int64_t[]){2, 12}, (uint64_t[]){3, 4});
    check_span(r.op.response.data, "onetwo!");
    check_true(op_messages_fit(&r.op.request_messages, &r.op.request));
    check_true(span_eq(span_sub(r.op.request.data, n, 2 * n), MESSAGE("\x07")));
    arena_done(&a);
}

/* Unary calls stay as they are; what lacks bytes is no body, but has its lengths. */
static void only_whole_streams_have_bodies(void **state)
{
    (void)state;
    struct cap_grpc_message asked[3], told[2];
    struct cap_record r;
    struct arena a = {0};
    struct err e = {0};
    struct cap_exchange x = made_grpc(0, "seldon-model: iris\n", MESSAGE("\x05"));
    check_int(cap_record_make(OP_TIER_ENVOY, &x, &r), ==, CAP_RECORDED_OP);
    check_ok(cap_messages_take(&x, &r.op, &a, &e), &e);
    check_int(r.op.request_messages.count, ==, 0);
    check_int(r.op.response_messages.count, ==, 0);

    x = stream_of(asked, told);
    told[0].body.state = OP_BODY_ELIDED;
    asked[1].compressed = true; /* one of three: no encoding says what the bytes are */
    check_int(cap_record_make(OP_TIER_ENVOY, &x, &r), ==, CAP_RECORDED_OP);
    check_ok(cap_messages_take(&x, &r.op, &a, &e), &e);
    check_int(r.op.request_messages.count, ==, 0);
    check_int(r.op.request.state, ==, OP_BODY_ELIDED);
    check_int(r.op.request.bytes, ==, 2 * MESSAGE("\x05").n);
    check_int(r.op.response.state, ==, OP_BODY_ELIDED);
    check_int(r.op.response.bytes, ==, 7);
    check_int(r.op.response_messages.count, ==, 2);

    /* More messages than a trace can hold: a request is cut, and says so; an answer
     * is not told by its first part. */
    x = stream_of(asked, told);
    x.request.grpc_messages = x.answer.grpc_messages = 70000;
    x.answer.message_bytes = 240000;
    check_int(cap_record_make(OP_TIER_ENVOY, &x, &r), ==, CAP_RECORDED_OP);
    check_true(r.cut);
    check_int(r.op.flags & OP_FLAG_TRUNCATED, ==, OP_FLAG_TRUNCATED);
    check_ok(cap_messages_take(&x, &r.op, &a, &e), &e);
    check_int(r.op.request_messages.count, ==, 3);
    check_int(r.op.response_messages.count, ==, 0);
    check_int(r.op.response.state, ==, OP_BODY_ELIDED);
    check_int(r.op.response.bytes, ==, 240000);
    arena_done(&a);
}

static void messages_are_redacted_one_by_one(void **state)
{
    (void)state;
    struct cap_grpc_message asked[3], told[2];
    struct cap_exchange x = stream_of(asked, told);
    struct cap_redact *redact;
    struct cap_redact_options o = {.bodies = "shape"};
    struct cap_record r;
    struct arena a = {0};
    struct err e = {0};
    setenv(KAFKA_KEY_ENV, "000102030405060708090a0b0c0d0e0f", 1);
    check_ok(cap_redact_new(&redact, &o, &e), &e);
    check_int(cap_record_make(OP_TIER_ENVOY, &x, &r), ==, CAP_RECORDED_OP);
    check_ok(cap_messages_take(&x, &r.op, &a, &e), &e);
    check_ok(cap_redact_record(redact, &x, &r, &a, &e), &e);
    const struct op_messages *m = &r.op.request_messages;
    check_int(r.op.request.state, ==, OP_BODY_KEPT);
    check_int(m->count, ==, 3);
    check_int(m->v[1].bytes, ==, 0);
    check_int(m->v[2].at_ns, ==, 9 * CLK_MS);
    check_true(op_messages_fit(m, &r.op.request));
    /* Both have the shape of one, and nothing of its value. */
    struct span first = span_sub(r.op.request.data, 0, (size_t)m->v[0].bytes);
    struct span last =
        span_sub(r.op.request.data, (size_t)m->v[0].bytes, r.op.request.data.n);
    check_true(span_eq(first, last));
    /* Texts are no messages of the protocol: hashed, lengths stay. */
    check_int(r.op.response.state, ==, OP_BODY_ELIDED);
    check_int(r.op.response_messages.count, ==, 2);
    cap_redact_free(redact);
    arena_done(&a);
}

/* --- server-sent events, through the parser --- */

struct hearing {
    struct arena a;
    struct op op;
    int exchanges;
};

static void hear(void *arg, const struct cap_exchange *x)
{
    struct hearing *h = arg;
    struct err e = {0};
    struct cap_record r;
    check_int(cap_record_make(OP_TIER_ENVOY, x, &r), ==, CAP_RECORDED_OP);
    check_ok(cap_messages_take(x, &r.op, &h->a, &e), &e);
    h->op = r.op;
    h->op.response.data = arena_dup(&h->a, r.op.response.data);
    h->exchanges++;
}

static void answered_by(struct hearing *h, const char *head, const char *const *pieces)
{
    static const char request[] =
        "POST /v2/models/iris/infer_stream HTTP/1.1\r\nHost: h\r\n"
        "Content-Length: 2\r\n\r\n{}";
    struct cap_budget budget = {.limit_bytes = 1u << 24};
    struct cap_parse_config config = {.exchange = hear, .arg = h, .budget = &budget};
    struct cap_flow_info info = {.from_start = true};
    struct err e = {0};
    *h = (struct hearing){0};
    struct cap_parse *parse = cap_parse_new(&config, &e);
    struct cap_stream *s = cap_stream_new(parse, &info);
    assert_non_null(s);
    cap_stream_data(s, 0, ms(0), span_str(request));
    cap_stream_data(s, 1, ms(10), span_str(head));
    for (int i = 0; pieces[i]; i++) {
        struct buf chunk = {0};
        buf_fmt(&chunk, "%zx\r\n%s\r\n", strlen(pieces[i]), pieces[i]);
        cap_stream_data(s, 1, ms(20 + 10 * i), buf_view(&chunk));
        buf_done(&chunk);
    }
    cap_stream_data(s, 1, ms(100), SPAN_LIT("0\r\n\r\n"));
    cap_stream_close(s, ms(100), CAP_END_FIN);
    check_int(h->exchanges, ==, 1);
    check_int(budget.used_bytes, ==, 0);
    cap_parse_free(parse);
}

#define CHUNKED "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: "

static void events_have_the_time_of_their_first_byte(void **state)
{
    (void)state;
    struct hearing h;
    /* Two in one piece; one over two pieces; both kinds of line ends; a rest. */
    static const char *const pieces[] = {"data: a\n\ndata: bb\n\n",
                                         "event: x\r\ndata:", " c\r\n\r\n",
                                         "\n\ndata: rest", NULL};
    answered_by(&h, CHUNKED "text/event-stream; charset=utf-8\r\n\r\n", pieces);
    check_list(&h.op.response_messages, 4, (int64_t[]){20, 20, 30, 50},
               (uint64_t[]){9, 10, 21, 12});
    check_true(op_messages_fit(&h.op.response_messages, &h.op.response));
    check_int(h.op.last_ns, ==, 100 * CLK_MS);
    arena_done(&h.a);

    answered_by(&h, CHUNKED "application/json\r\n\r\n", pieces);
    check_int(h.op.response_messages.count, ==, 0);
    arena_done(&h.a);
    answered_by(&h, CHUNKED "text/event-stream\r\nContent-Encoding: gzip\r\n\r\n",
                pieces);
    check_int(h.op.response_messages.count, ==, 0);
    arena_done(&h.a);
}

static void messages_reach_the_trace_with_the_answer_early_or_late(void **state)
{
    (void)state;
    char path[] = "/tmp/test_cap_messages.XXXXXX";
    struct cap_grpc_message asked[3], told[2];
    struct cap_exchange x = stream_of(asked, told);
    struct trc_options options = {.kind = TRC_TRACE};
    struct cap_order_options how = {.epoch = {MADE_EPOCH_NS}};
    struct trc_writer *w;
    struct trc_reader *reader;
    struct trc_block *block;
    struct cap_order *o;
    struct cap_record r;
    struct arena a = {0};
    struct err e = {0};
    close(mkstemp(path));
    check_ok(trc_writer_open(&w, path, &options, &e), &e);
    check_ok(cap_order_new(&o, w, &how, &e), &e);
    check_int(cap_record_make(OP_TIER_ENVOY, &x, &r), ==, CAP_RECORDED_OP);
    check_ok(cap_messages_take(&x, &r.op, &a, &e), &e);
    r.op.response_codings = 0x43;
    check_int(cap_order_add(o, &r, false, &e), ==, 1);
    struct op answer = r.op;
    r.op.response_codings = 0;
    r.op.response = (struct op_body){0};
    r.op.response_messages = (struct op_messages){0};
    r.op.first_ns = r.op.last_ns = OP_TIME_NONE;
    r.op.status = 0;
    r.op.grpc_status = -1;
    r.op.conn_stream = 77;
    check_int(cap_order_add(o, &r, true, &e), ==, 1);
    check_int(cap_order_answer(o, r.op.connection, 77, &answer, NULL, NULL, &e), ==, 1);
    r.op.conn_stream = 78;
    check_int(cap_order_add(o, &r, true, &e), ==, 1);
    check_ok(cap_order_flush(o, &e), &e);
    check_int(cap_order_answer(o, r.op.connection, 78, &answer, NULL, NULL, &e), ==, 1);
    cap_order_free(o);
    arena_done(&a);
    check_ok(trc_writer_close(w, &e), &e);
    check_ok(trc_reader_open(&reader, path, &e), &e);
    check_int(trc_reader_next(reader, &block, &e), ==, 1);
    check_int(block->count, ==, 3);
    for (uint32_t i = 0; i < 3; i++) {
        check_int(block->ops[i].request_messages.count, ==, 3);
        check_list(&block->ops[i].response_messages, 2, (int64_t[]){2, 12},
                   (uint64_t[]){3, 4});
        check_span(block->ops[i].response.data, "onetwo!");
        check_int(block->ops[i].response_codings, ==, 0x43);
    }
    trc_block_free(block);
    trc_reader_close(reader);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stream_of_grpc_keeps_its_messages_apart),
        cmocka_unit_test(only_whole_streams_have_bodies),
        cmocka_unit_test(messages_are_redacted_one_by_one),
        cmocka_unit_test(events_have_the_time_of_their_first_byte),
        cmocka_unit_test(messages_reach_the_trace_with_the_answer_early_or_late),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

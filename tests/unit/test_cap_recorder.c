/*
 * test_cap_recorder.c - from exchanges to a trace: each is counted once, by what became
 * of it, and what was learned on the way is told.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "capture/recorder.h"
#include "made_exchange.h"
#include "traces/capture_notes.h"
#include "traces/container/trc_reader.h"
#include "traces/payload/model_type.h"

#define PATH "/v2/models/x/infer"

struct bench {
    char path[64];
    struct cap_tiers tiers;
    struct cap_redact *redact;
    struct trc_writer *w;
    struct cap_order *o;
    struct cap_recorder *r;
    const struct cap_tallies *t;
    struct trc_reader *reader;
    struct trc_block *block;
    struct err e;
};

static void start(struct bench *b, size_t memory, const char *bodies)
{
    struct trc_options options = {.kind = TRC_TRACE};
    struct cap_order_options order = {.epoch = {MADE_EPOCH_NS}, .memory_bytes = memory};
    struct cap_redact_options redact = {.bodies = bodies};
    *b = (struct bench){.path = "/tmp/test_cap_recorder.XXXXXX"};
    int fd = mkstemp(b->path);
    check_int(fd, >=, 0);
    close(fd);
    check_ok(cap_tiers_add(&b->tiers, "9000=envoy,9001=rproxy", &b->e), &b->e);
    check_ok(cap_redact_new(&b->redact, &redact, &b->e), &b->e);
    check_ok(trc_writer_open(&b->w, b->path, &options, &b->e), &b->e);
    check_ok(cap_order_new(&b->o, b->w, &order, &b->e), &b->e);
    check_ok(cap_recorder_new(&b->r, &b->tiers, b->redact, b->o, &b->e), &b->e);
    b->t = cap_recorder_tallies(b->r);
}

static void stop(struct bench *b)
{
    cap_recorder_free(NULL);
    cap_recorder_free(b->r);
    cap_order_free(b->o);
    cap_redact_free(b->redact);
}

/* The trace, read back: its one block. */
static void read_back(struct bench *b)
{
    check_ok(cap_order_flush(b->o, &b->e), &b->e);
    stop(b);
    check_ok(trc_writer_close(b->w, &b->e), &b->e);
    check_ok(trc_reader_open(&b->reader, b->path, &b->e), &b->e);
    check_int(trc_reader_next(b->reader, &b->block, &b->e), ==, 1);
    unlink(b->path);
}

static void close_trace(struct bench *b)
{
    trc_block_free(b->block);
    trc_reader_close(b->reader);
}

/* A capture whose trace does not matter. */
static void give_up(struct bench *b)
{
    stop(b);
    trc_writer_abandon(b->w);
    unlink(b->path);
}

static void take(struct bench *b, struct cap_exchange x, uint16_t port)
{
    x.server.port = port;
    cap_recorder_take(b->r, &x);
    check_ok(cap_recorder_check(b->r, &b->e), &b->e);
}

static void check_bytes(const uint64_t bytes[2], uint64_t requests, uint64_t answers)
{
    check_int(bytes[0], ==, requests);
    check_int(bytes[1], ==, answers);
}

/* Bytes of a request and of its answer as they were counted on the wire. */
static struct cap_exchange sized(struct cap_exchange x, uint64_t request,
                                 uint64_t answer)
{
    x.request.counted_bytes = request;
    x.answer.counted_bytes = answer;
    return x;
}

static void an_exchange_is_counted_once_by_what_becomes_of_it(void **state)
{
    (void)state;
    struct bench b;
    char name[400];
    start(&b, 0, "keep");
    take(&b, sized(made_rest(0, PATH, "seldon-model: iris\n", "{}"), 1, 2), 9000);
    take(&b, sized(made_rest(0, "/v2/health/live", "", ""), 10, 20), 9000);
    take(&b, sized(made_rest(0, PATH, "seldon-model: iris\n", "{}"), 100, 200), 9999);
    struct cap_exchange x = made_rest(0, "", "", "");
    x.request.headers_opaque = true;
    take(&b, sized(x, 1000, 2000), 9000);
    snprintf(name, sizeof name, "seldon-model: %0300d\n", 0);
    take(&b, sized(made_rest(0, PATH, name, "{}"), 10000, 20000), 9000);
    check_int(b.t->recorded, ==, 1);
    check_int(b.t->passed, ==, 2); /* no inference; a port that is not mapped */
    check_int(b.t->unmapped.n, ==, 1);
    check_int(b.t->unmapped.ports[0].port, ==, 9999);
    check_int(b.t->unmapped.ports[0].requests, ==, 1);
    check_int(b.t->unnamed, ==, 1);
    check_int(b.t->refused, ==, 1);
    check_int(b.t->shed, ==, 0);
    check_bytes(b.t->recorded_bytes, 1, 2);
    check_bytes(b.t->passed_bytes, 110, 220);
    check_bytes(b.t->lost_bytes, 11000, 22000);
    check_bytes(b.t->shed_bytes, 0, 0);
    check_int(b.t->unanswered, ==, 0);
    read_back(&b);
    check_int(b.block->count, ==, 1);
    check_span(b.block->ops[0].stream->name, "iris");
    check_int(b.block->ops[0].stream->tier, ==, OP_TIER_ENVOY);
    close_trace(&b);
}

static void the_parts_of_an_exchange_count_their_own_bytes(void **state)
{
    (void)state;
    struct bench b;
    start(&b, 0, "keep");
    struct cap_exchange x =
        sized(made_rest(0, PATH, "seldon-model: iris\n", "{}"), 1, 2);
    x.part = CAP_PART_REQUEST;
    x.answered = false;
    take(&b, x, 9000);
    check_bytes(b.t->recorded_bytes, 1, 0);
    check_int(b.t->recorded, ==, 1);
    check_int(b.t->unanswered, ==, 0); /* that is not known yet */
    check_int(cap_order_counts(b.o)->written, ==, 0);

    x.part = CAP_PART_ANSWER;
    x.answered = true;
    x.status = 429;
    take(&b, x, 9000);
    check_bytes(b.t->recorded_bytes, 1, 2);
    check_int(b.t->unanswered, ==, 0);
    take(&b, x, 9000); /* of a request that nobody recorded: its fate */
    check_bytes(b.t->recorded_bytes, 1, 2);
    check_bytes(b.t->passed_bytes, 0, 2);

    x.part = CAP_PART_REQUEST;
    x.stream = 4;
    take(&b, x, 9000);
    x.part = CAP_PART_ANSWER;
    x.answered = false; /* none came */
    take(&b, x, 9000);
    check_int(b.t->unanswered, ==, 1);
    check_int(b.t->recorded, ==, 2);
    x.part = CAP_PART_WHOLE;
    x.stream = 5;
    take(&b, x, 9000);
    check_int(b.t->unanswered, ==, 2);
    check_int(b.t->recorded, ==, 3);
    read_back(&b);
    check_int(b.block->count, ==, 3);
    check_int(b.block->ops[0].status, ==, 429);
    check_int(b.block->ops[0].first_ns, ==, 2 * CLK_MS);
    check_span(b.block->ops[0].response.data, "{\"outputs\":[]}");
    check_int(b.block->ops[1].status, ==, 0);
    check_int(b.block->ops[1].first_ns, ==, OP_TIME_NONE);
    close_trace(&b);
}

static void what_is_odd_about_a_recorded_one_is_counted(void **state)
{
    (void)state;
    struct bench b;
    start(&b, 0, "keep");
    const struct cap_exchange plain = made_rest(0, PATH, "seldon-model: iris\n", "{}");
    struct cap_exchange x = plain;
    x.inferred = true;
    take(&b, x, 9000);
    check_int(b.t->inferred, ==, 1);
    x = plain;
    x.request.headers_opaque = true;
    take(&b, x, 9000);
    check_int(b.t->opaque, ==, 1);
    x = plain;
    x.gap_near = true;
    take(&b, x, 9000);
    check_int(b.t->near_gap, ==, 1);
    x = plain;
    x.request.loss = CAP_LOSS_RESET;
    take(&b, x, 9000);
    check_int(b.t->cut, ==, 1);
    check_int(b.t->streams, ==, 0);
    check_int(b.t->messages_beyond, ==, 0);

    struct cap_grpc_message one = {.body = op_body_of(SPAN_LIT("\x0a\x01i"))};
    x = made_grpc(0, "seldon-model: iris\n", one.body.data);
    x.request.messages = x.answer.messages = &one;
    x.request.messages_listed = x.answer.messages_listed = 1;
    take(&b, x, 9000); /* one message each way is no stream */
    check_int(b.t->streams, ==, 0);
    check_int(b.t->messages_beyond, ==, 0);

    /* Streams: of 5 messages asked 3 are listed, of 9 answered 2. */
    struct cap_grpc_message asked[3] = {0}, told[2] = {0};
    x = made_grpc(0, "seldon-model: iris\n", SPAN_LIT(""));
    x.request.messages = asked;
    x.answer.messages = told;
    x.request.grpc_messages = 5;
    x.request.messages_listed = 3;
    x.answer.grpc_messages = 9;
    x.answer.messages_listed = 2;
    take(&b, x, 9000);
    check_int(b.t->streams, ==, 1);
    check_int(b.t->messages_beyond, ==, 2 + 7);
    x.part = CAP_PART_REQUEST;
    x.request.grpc_messages = x.request.messages_listed = 2;
    x.answer.grpc_messages = 0; /* nothing of it is told yet: none is beyond */
    take(&b, x, 9000);
    check_int(b.t->streams, ==, 2);
    check_int(b.t->messages_beyond, ==, 2 + 7);
    x.part = CAP_PART_ANSWER;
    x.answer.grpc_messages = 5;
    take(&b, x, 9000);
    check_int(b.t->messages_beyond, ==, 2 + 7 + 3);
    check_int(b.t->inferred, ==, 1);
    check_int(b.t->opaque, ==, 1);
    check_int(b.t->near_gap, ==, 1);
    check_int(b.t->cut, ==, 2); /* and the first of the streams */
    check_int(b.t->recorded, ==, 7);
    give_up(&b);
}

static void what_memory_has_no_room_for_is_counted_as_shed(void **state)
{
    (void)state;
    struct bench b;
    start(&b, 4096, "keep");
    uint64_t taken = 0;
    for (uint32_t i = 0; i < 40; i++) {
        struct cap_exchange x =
            sized(made_rest(i, PATH, "seldon-model: iris\n", "{}"), 3, 5);
        x.stream = i;
        taken = b.t->recorded;
        take(&b, x, 9000);
    }
    check_true(taken > 0 && taken < 40);
    check_int(b.t->recorded + b.t->shed, ==, 40);
    check_int(b.t->shed, ==, cap_order_counts(b.o)->shed_operations);
    check_bytes(b.t->recorded_bytes, 3 * b.t->recorded, 5 * b.t->recorded);
    check_bytes(b.t->shed_bytes, 3 * b.t->shed, 5 * b.t->shed);
    give_up(&b);
}

static void bodies_are_redacted_before_they_are_kept(void **state)
{
    (void)state;
    struct bench b;
    start(&b, 0, "hash");
    struct cap_exchange x =
        made_rest(0, PATH, "seldon-model: iris\ncookie: a=b\n", "{\"secret\":1}");
    take(&b, x, 9000);
    x.part = CAP_PART_REQUEST;
    x.answered = false;
    x.stream++;
    take(&b, x, 9000);
    x.part = CAP_PART_ANSWER;
    x.answered = true;
    take(&b, x, 9000);
    read_back(&b);
    check_int(b.block->count, ==, 2);
    for (uint32_t i = 0; i < 2; i++) {
        const struct op *op = &b.block->ops[i];
        check_int(op->request.state, ==, OP_BODY_ELIDED);
        check_int(op->request.bytes, ==, 12);
        check_int(op->response.state, ==, OP_BODY_ELIDED);
        check_int(op->response.bytes, ==, 14);
        check_int(op->stream->header_count, ==, 1);
    }
    close_trace(&b);
}

/* A path that is told through to the trace's writer: -7 is no status. */
static void the_first_failure_is_kept_and_nothing_follows_it(void **state)
{
    (void)state;
    struct bench b;
    struct err e = {0};
    start(&b, 0, "keep");
    struct cap_exchange x = made_rest(0, PATH, "seldon-model: iris\n", "{}");
    x.part = CAP_PART_REQUEST;
    take(&b, x, 9000);
    check_ok(cap_order_flush(b.o, &b.e), &b.e);
    x.part = CAP_PART_ANSWER;
    x.grpc_status = -7;
    cap_recorder_take(b.r, &x);
    check_int(cap_recorder_check(b.r, &e), ==, ERR_USAGE);
    check_str_has(e.text, "recording: ");
    check_str_has(e.text, "-7");
    check_int(cap_recorder_check(b.r, NULL), ==, ERR_USAGE);
    struct err other = {0};
    check_int(err_set(&other, ERR_IO, "earlier"), ==, ERR_IO);
    check_int(cap_recorder_check(b.r, &other), ==, ERR_USAGE);
    check_str(other.text, "earlier");
    x.part = CAP_PART_WHOLE;
    cap_recorder_take(b.r, &x);
    check_int(b.t->recorded, ==, 1);
    check_int(cap_recorder_check(b.r, &e), ==, ERR_USAGE);
    check_true(strstr(strstr(e.text, "recording: ") + 1, "recording: ") == NULL);
    give_up(&b);
}

/* --- types of models -------------------------------------------------------------- */

static struct buf iris_body(enum op_protocol protocol, uint64_t seed)
{
    struct buf body = {0};
    struct err e = {0};
    struct mt_request q = {.protocol = protocol, .batch = 1, .seed = seed};
    check_ok(model_type_request(model_type_find(SPAN_LIT("iris")), &q, &body, &e), &e);
    return body;
}

/* One more request of a model; what is said of its type. */
static void ask(struct bench *b, const char *model, struct span body)
{
    char lines[300];
    snprintf(lines, sizeof lines, "seldon-model: %s\n", model);
    struct cap_exchange x = made_rest((int64_t)b->t->recorded, PATH, lines, "");
    x.request.body = op_body_of(body);
    take(b, x, 9000);
}

static void check_type(const struct bench *b, uint32_t i, const char *type)
{
    check_span(b->block->ops[i].stream->model_type, type);
}

static void a_type_is_told_from_the_first_body_that_says_one_on(void **state)
{
    (void)state;
    struct bench b;
    struct buf body = iris_body(OP_REST, 1);
    start(&b, 0, "keep");
    ask(&b, "iris1", SPAN_LIT("{}"));
    ask(&b, "iris1", buf_view(&body));
    ask(&b, "iris1", SPAN_LIT("{}"));  /* not looked at any more */
    ask(&b, "other", buf_view(&body)); /* whose name does not say so */
    ask(&b, "iris2", SPAN_LIT("{}"));
    ask(&b, "iris1", SPAN_LIT("{}")); /* remembered after others */
    read_back(&b);
    check_type(&b, 0, "");
    check_type(&b, 1, "iris");
    check_type(&b, 2, "iris");
    check_type(&b, 3, "");
    check_type(&b, 4, "");
    check_type(&b, 5, "iris");
    close_trace(&b);
    buf_done(&body);
}

/* More models than are remembered: one takes another's place, but not its type. */
static void no_model_has_the_type_of_another(void **state)
{
    enum { MODELS = 1500 };
    (void)state;
    struct bench b;
    struct buf body = iris_body(OP_REST, 1);
    char name[32];
    start(&b, 0, "keep");
    for (int i = 0; i < MODELS; i++) {
        snprintf(name, sizeof name, "iris%d", i);
        ask(&b, name, buf_view(&body));
    }
    for (int i = 0; i < MODELS; i++) {
        snprintf(name, sizeof name, "wine%d", i);
        ask(&b, name, SPAN_LIT("{}"));
    }
    read_back(&b);
    check_int(b.block->count, ==, 2 * MODELS);
    for (uint32_t i = 0; i < 2 * MODELS; i++)
        check_type(&b, i, i < MODELS ? "iris" : "");
    close_trace(&b);
    buf_done(&body);
}

static void only_so_many_different_bodies_are_looked_at(void **state)
{
    (void)state;
    struct bench b;
    struct buf body = iris_body(OP_REST, 1);
    char other[32];
    start(&b, 0, "keep");
    for (int i = 0; i < 20; i++) /* all the same: looked at once */
        ask(&b, "iris1", SPAN_LIT("{}"));
    for (int i = 0; i < 6; i++) {
        snprintf(other, sizeof other, "{\"n\":%d}", i);
        ask(&b, "iris1", span_str(other));
    }
    ask(&b, "iris1", buf_view(&body)); /* the eighth */
    for (int i = 0; i < 8; i++) {
        snprintf(other, sizeof other, "{\"n\":%d}", i);
        ask(&b, "iris2", span_str(other));
    }
    ask(&b, "iris2", buf_view(&body)); /* the ninth */
    read_back(&b);
    check_type(&b, 26, "iris");
    check_type(&b, 35, "");
    close_trace(&b);
    buf_done(&body);
}

/* A body of iris, padded by blanks to n bytes. */
static struct buf padded(size_t n)
{
    struct buf body = iris_body(OP_REST, 1);
    memset(buf_grow(&body, n - body.n), ' ', n - body.n);
    return body;
}

static void large_bodies_are_looked_at_within_a_bound(void **state)
{
    (void)state;
    struct bench b;
    struct buf whole = padded((size_t)4 << 20), more = padded(((size_t)4 << 20) + 1);
    struct buf blank = {0}, small = iris_body(OP_REST, 1);
    memset(buf_grow(&blank, (1 << 20) - 1), ' ', (1 << 20) - 1);
    start(&b, 0, "hash"); /* the trace stays small */
    ask(&b, "iris1", buf_view(&whole));
    ask(&b, "iris2", buf_view(&more));  /* one byte beyond: not looked at */
    ask(&b, "iris2", buf_view(&small)); /* which cost nothing */
    ask(&b, "iris3", buf_view(&blank)); /* a byte less than the bound of all */
    ask(&b, "iris3", buf_view(&small));
    *buf_grow(&blank, 1) = ' ';
    ask(&b, "iris4", buf_view(&blank)); /* all of it */
    ask(&b, "iris4", buf_view(&small));
    read_back(&b);
    check_type(&b, 0, "iris");
    check_type(&b, 1, "");
    check_type(&b, 2, "iris");
    check_type(&b, 4, "iris");
    check_type(&b, 6, "");
    close_trace(&b);
    buf_done(&whole);
    buf_done(&more);
    buf_done(&blank);
    buf_done(&small);
}

static void models_of_either_protocol_are_remembered_apart(void **state)
{
    (void)state;
    struct bench b;
    struct buf rest = iris_body(OP_REST, 1), grpc = iris_body(OP_GRPC, 1);
    start(&b, 0, "keep");
    ask(&b, "iris1", buf_view(&rest));
    take(&b, made_grpc(1, "seldon-model: iris1\n", SPAN_LIT("\x0a\x01i")), 9000);
    take(&b, made_grpc(2, "seldon-model: iris1\n", buf_view(&grpc)), 9000);
    ask(&b, "iris1", SPAN_LIT("{}"));
    /* What is encoded, and what is no model, says nothing. */
    struct cap_exchange x =
        made_rest(4, PATH, "seldon-model: iris4\ncontent-encoding: gzip\n", "");
    x.request.body = op_body_of(buf_view(&rest));
    take(&b, x, 9000);
    made_headers(&x.request, 0, "seldon-model: iris5.pipeline\n");
    take(&b, x, 9000);
    x.request.body.state = OP_BODY_ELIDED;
    made_headers(&x.request, 0, "seldon-model: iris6\n");
    take(&b, x, 9000);
    struct buf spaced = {0}; /* JSON all the same */
    buf_fmt(&spaced, "\n%s", buf_text(&rest));
    ask(&b, "iris7", buf_view(&spaced));
    buf_done(&spaced);
    take(&b, made_grpc(20, "seldon-model: iris8\n", buf_view(&grpc)), 9000);
    take(&b, made_rest(21, PATH, "seldon-model: iris8\n", "{}"), 9000);
    read_back(&b);
    static const char *const types[] = {"iris", "", "iris", "iris", "",
                                        "",     "", "iris", "iris", ""};
    check_int(b.block->count, ==, 10);
    for (uint32_t i = 0; i < 10; i++)
        check_type(&b, i, types[i]);
    close_trace(&b);
    buf_done(&rest);
    buf_done(&grpc);
}

/* --- versions --------------------------------------------------------------------- */

static void ask_version(struct bench *b, const char *internal)
{
    char lines[600];
    snprintf(lines, sizeof lines, "seldon-internal-model: %s\n", internal);
    take(b, made_rest(0, PATH, lines, "{}"), 9001);
}

static void the_versions_of_each_model_are_noted_once(void **state)
{
    (void)state;
    struct bench b;
    char name[300];
    start(&b, 0, "keep");
    ask_version(&b, "iris_1");
    ask_version(&b, "wine_7");
    ask_version(&b, "iris_3");
    ask_version(&b, "iris_1");
    ask_version(&b, "iris_3");
    ask_version(&b, "plain");
    /* A name that no note can hold. */
    struct op_header odd = {SPAN_LIT("seldon-internal-model"), SPAN_LIT("a\0b_3")};
    struct cap_exchange x = made_rest(0, PATH, "", "{}");
    x.request.headers = &odd;
    x.request.header_count = 1;
    take(&b, x, 9001);
    ask_version(&b, "long_123456789012345");  /* 15 digits */
    ask_version(&b, "much_1234567890123456"); /* 16 */
    memset(name, 'n', sizeof name);
    /* The key of a note is at most 256 bytes, of which 16 are its beginning. */
    snprintf(name + 240, 3, "_2");
    ask_version(&b, name);
    name[240] = 'n';
    snprintf(name + 241, 3, "_2");
    ask_version(&b, name);
    check_ok(cap_recorder_note(b.r, b.w, &b.e), &b.e);
    read_back(&b);
    check_str(trc_reader_note(b.reader, NOTE_CAPTURE_VERSION "iris"), "1,3");
    check_str(trc_reader_note(b.reader, NOTE_CAPTURE_VERSION "wine"), "7");
    check_str(trc_reader_note(b.reader, NOTE_CAPTURE_VERSION "long"),
              "123456789012345");
    size_t notes = 0, longest = 0;
    const char *key, *value;
    for (size_t i = 0; trc_reader_note_at(b.reader, i, &key, &value); i++) {
        if (!span_starts(span_str(key), NOTE_CAPTURE_VERSION))
            continue;
        notes++;
        longest = strlen(key) > longest ? strlen(key) : longest;
    }
    check_int(notes, ==, 4);
    check_int(longest, ==, 256);
    close_trace(&b);
}

static void no_more_than_256_versions_are_noted(void **state)
{
    (void)state;
    struct bench b;
    char name[32];
    start(&b, 0, "keep");
    for (int i = 0; i < 300; i++) {
        snprintf(name, sizeof name, "m%d_%d", i % 2, i);
        ask_version(&b, name);
    }
    check_ok(cap_recorder_note(b.r, b.w, &b.e), &b.e);
    read_back(&b);
    const char *odd = trc_reader_note(b.reader, NOTE_CAPTURE_VERSION "m1");
    check_true(span_ends(span_str(odd), ",253,255"));
    close_trace(&b);
}

/* --- Kafka ------------------------------------------------------------------------ */

/* A record's request and answer as kafka_join.h tells them: 30 bytes to the server and
 * 70 to the client. */
static struct cap_record kafka_record(struct span request, struct span answer)
{
    struct cap_record r = {.op = op_empty(), .at = {MADE_EPOCH_NS}};
    r.stream = (struct op_stream){.protocol = OP_KAFKA,
                                  .tier = OP_TIER_KAFKA,
                                  .name = SPAN_LIT("iris1"),
                                  .path = SPAN_LIT("topic")};
    r.op.stream = &r.stream;
    r.op.connection = 5;
    r.op.conn_stream = 6;
    r.op.request = op_body_of(request);
    r.op.response = op_body_of(answer);
    r.wire[0] = (struct cap_wire_share){0, 30};
    r.wire[1] = (struct cap_wire_share){1, 70};
    return r;
}

static void records_of_kafka_are_counted_by_their_shares_of_the_wire(void **state)
{
    (void)state;
    struct bench b;
    struct buf body = iris_body(OP_GRPC, 1);
    start(&b, 0, "keep");
    struct cap_record r = kafka_record(buf_view(&body), SPAN_LIT("{\"a\":1}"));
    r.op.first_ns = r.op.last_ns = 9;
    check_ok(cap_recorder_kafka(b.r, CAP_PART_WHOLE, &r, &b.e), &b.e);
    check_bytes(b.t->recorded_bytes, 30, 70);
    check_int(b.t->recorded, ==, 1);
    check_int(b.t->unanswered, ==, 0);

    r = kafka_record(buf_view(&body), SPAN_LIT(""));
    r.wire[1].bytes = 0;
    check_ok(cap_recorder_kafka(b.r, CAP_PART_REQUEST, &r, &b.e), &b.e);
    check_bytes(b.t->recorded_bytes, 60, 70);
    check_int(b.t->recorded, ==, 2);
    check_int(b.t->unanswered, ==, 1);

    struct cap_record answer = kafka_record(SPAN_LIT(""), SPAN_LIT("{\"b\":2}"));
    answer.wire[0].bytes = 0;
    answer.wire[1] = (struct cap_wire_share){0, 7}; /* produced, so to the server */
    answer.op.first_ns = answer.op.last_ns = 11;
    check_int(cap_recorder_kafka(b.r, CAP_PART_ANSWER, &answer, &b.e), ==, 0);
    check_bytes(b.t->recorded_bytes, 67, 70);
    check_int(b.t->unanswered, ==, 0);
    check_int(b.t->recorded, ==, 2);
    check_int(cap_recorder_kafka(b.r, CAP_PART_ANSWER, &answer, &b.e), ==, 0);
    check_bytes(b.t->recorded_bytes, 67, 70);
    check_bytes(b.t->passed_bytes, 7, 0); /* to nothing */
    check_int(b.t->unanswered, ==, 0);
    read_back(&b);
    check_int(b.block->count, ==, 2);
    check_type(&b, 0, "iris");
    check_span(b.block->ops[0].response.data, "{\"a\":1}");
    check_int(b.block->ops[1].first_ns, ==, 11);
    check_span(b.block->ops[1].response.data, "{\"b\":2}");
    close_trace(&b);
    buf_done(&body);
}

static void records_of_kafka_are_shed_and_redacted_as_others(void **state)
{
    (void)state;
    struct bench b;
    start(&b, 4096, "hash");
    struct buf body = iris_body(OP_REST, 1);
    for (uint32_t i = 0; i < 40; i++) {
        struct cap_record r = kafka_record(buf_view(&body), SPAN_LIT("{\"a\":1}"));
        r.op.conn_stream = i;
        check_ok(cap_recorder_kafka(b.r, CAP_PART_WHOLE, &r, &b.e), &b.e);
    }
    check_true(b.t->recorded > 0 && b.t->shed > 0);
    check_int(b.t->recorded + b.t->shed, ==, 40);
    check_int(b.t->unanswered, ==, b.t->recorded);
    check_bytes(b.t->recorded_bytes, 30 * b.t->recorded, 70 * b.t->recorded);
    check_bytes(b.t->shed_bytes, 30 * b.t->shed, 70 * b.t->shed);
    struct cap_record asked = kafka_record(buf_view(&body), SPAN_LIT(""));
    read_back(&b);
    check_int(b.block->ops[0].request.state, ==, OP_BODY_ELIDED);
    check_int(b.block->ops[0].response.state, ==, OP_BODY_ELIDED);
    close_trace(&b);

    start(&b, 0, "hash");
    check_ok(cap_recorder_kafka(b.r, CAP_PART_REQUEST, &asked, &b.e), &b.e);
    struct cap_record told = kafka_record(SPAN_LIT(""), SPAN_LIT("{\"a\":1}"));
    told.op.first_ns = told.op.last_ns = 4;
    check_ok(cap_recorder_kafka(b.r, CAP_PART_ANSWER, &told, &b.e), &b.e);
    read_back(&b);
    check_int(b.block->ops[0].response.state, ==, OP_BODY_ELIDED);
    check_int(b.block->ops[0].response.bytes, ==, 7);
    close_trace(&b);
    buf_done(&body);
}

/* What an answer took on the wire is told, for it may be let go; and its failure. */
static void an_answer_of_kafka_is_let_go_by_its_share(void **state)
{
    (void)state;
    struct bench b;
    char large[6000];
    memset(large, 'x', sizeof large);
    start(&b, 4096, "keep");
    struct cap_record asked = kafka_record(SPAN_LIT("{}"), SPAN_LIT(""));
    check_ok(cap_recorder_kafka(b.r, CAP_PART_REQUEST, &asked, &b.e), &b.e);
    struct cap_record told = kafka_record(SPAN_LIT(""), span_of(large, sizeof large));
    told.op.first_ns = told.op.last_ns = 4;
    told.wire[0] = (struct cap_wire_share){0, 0};
    told.wire[1] = (struct cap_wire_share){0, 77};
    check_int(cap_recorder_kafka(b.r, CAP_PART_ANSWER, &told, &b.e), ==, 0);
    check_bytes(cap_order_counts(b.o)->shed_body_bytes, 77, 0);
    asked.op.conn_stream = told.op.conn_stream = 8;
    check_ok(cap_recorder_kafka(b.r, CAP_PART_REQUEST, &asked, &b.e), &b.e);
    check_ok(cap_order_flush(b.o, &b.e), &b.e);
    told.op.grpc_status = -7;
    check_int(cap_recorder_kafka(b.r, CAP_PART_ANSWER, &told, &b.e), ==, ERR_USAGE);
    give_up(&b);
}

/* Values are masked by the form of each message. */
static void messages_in_records_are_of_either_form(void **state)
{
    (void)state;
    struct bench b;
    start(&b, 0, "shape");
    struct buf rest = iris_body(OP_REST, 1), grpc = iris_body(OP_GRPC, 1);
    struct span bodies[2] = {buf_view(&rest), buf_view(&grpc)};
    for (uint32_t i = 0; i < 2; i++) {
        struct cap_record asked = kafka_record(bodies[i], SPAN_LIT(""));
        asked.op.conn_stream = i;
        check_ok(cap_recorder_kafka(b.r, CAP_PART_REQUEST, &asked, &b.e), &b.e);
        struct cap_record told = kafka_record(
            SPAN_LIT(""), i ? SPAN_LIT("\x0a\x01i") : SPAN_LIT("{\"outputs\":[]}"));
        told.op.conn_stream = i;
        told.op.first_ns = told.op.last_ns = 4;
        check_ok(cap_recorder_kafka(b.r, CAP_PART_ANSWER, &told, &b.e), &b.e);
    }
    check_int(cap_redact_counts(b.redact)->bodies_refused, ==, 0);
    check_int(cap_redact_counts(b.redact)->bodies_hashed, ==, 0);
    read_back(&b);
    for (uint32_t i = 0; i < 2; i++) {
        check_type(&b, i, "iris");
        check_int(b.block->ops[i].request.state, ==, OP_BODY_KEPT);
        check_int(b.block->ops[i].response.state, ==, OP_BODY_KEPT);
    }
    close_trace(&b);
    buf_done(&rest);
    buf_done(&grpc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_exchange_is_counted_once_by_what_becomes_of_it),
        cmocka_unit_test(the_parts_of_an_exchange_count_their_own_bytes),
        cmocka_unit_test(what_is_odd_about_a_recorded_one_is_counted),
        cmocka_unit_test(what_memory_has_no_room_for_is_counted_as_shed),
        cmocka_unit_test(bodies_are_redacted_before_they_are_kept),
        cmocka_unit_test(the_first_failure_is_kept_and_nothing_follows_it),
        cmocka_unit_test(a_type_is_told_from_the_first_body_that_says_one_on),
        cmocka_unit_test(no_model_has_the_type_of_another),
        cmocka_unit_test(only_so_many_different_bodies_are_looked_at),
        cmocka_unit_test(large_bodies_are_looked_at_within_a_bound),
        cmocka_unit_test(models_of_either_protocol_are_remembered_apart),
        cmocka_unit_test(the_versions_of_each_model_are_noted_once),
        cmocka_unit_test(no_more_than_256_versions_are_noted),
        cmocka_unit_test(records_of_kafka_are_counted_by_their_shares_of_the_wire),
        cmocka_unit_test(records_of_kafka_are_shed_and_redacted_as_others),
        cmocka_unit_test(an_answer_of_kafka_is_let_go_by_its_share),
        cmocka_unit_test(messages_in_records_are_of_either_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

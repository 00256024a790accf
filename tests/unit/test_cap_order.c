/*
 * test_cap_order.c - operations come out in order of arrival, within bounds, all
 * counted.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "check.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "capture/order.h"
#include "made_exchange.h"
#include "traces/container/trc_reader.h"

struct bench {
    char path[64];
    struct trc_writer *w;
    struct cap_order *o;
    struct cap_spare spares; /* of o */
    struct err e;
};

static void start(struct bench *b, size_t memory)
{
    struct trc_options options = {.kind = TRC_TRACE};
    struct cap_order_options order = {
        .epoch = {MADE_EPOCH_NS}, .memory_bytes = memory, .spares = &b->spares};
    *b = (struct bench){.path = "/tmp/test_cap_order.XXXXXX"};
    int fd = mkstemp(b->path);
    check_int(fd, >=, 0);
    close(fd);
    check_ok(trc_writer_open(&b->w, b->path, &options, &b->e), &b->e);
    check_ok(cap_order_new(&b->o, b->w, &order, &b->e), &b->e);
}

static struct clk_wall at(int64_t ms)
{
    return (struct clk_wall){MADE_EPOCH_NS + ms * CLK_MS};
}

/* A request that arrives at `ms`, with an id of its own unless id is NULL. */
static int add(struct bench *b, int64_t ms, uint32_t stream, const char *id,
               const char *body, bool waiting)
{
    struct cap_record r;
    struct cap_exchange x = made_rest(ms, "/v2/models/iris/infer", "", body);
    x.stream = stream;
    if (waiting)
        x.part = CAP_PART_REQUEST;
    check_int(cap_record_make(OP_TIER_ENVOY, &x, &r), ==, CAP_RECORDED_OP);
    r.op.id = span_str(id);
    int rc = cap_order_add(b->o, &r, waiting, &b->e);
    check_true(rc >= 0);
    return rc;
}

/* Closes the trace and reads it back; the caller frees it. */
static struct trc_block *finish(struct bench *b, struct trc_reader **r)
{
    struct trc_block *block = NULL;
    check_ok(cap_order_flush(b->o, &b->e), &b->e);
    cap_order_free(b->o);
    check_ok(trc_writer_close(b->w, &b->e), &b->e);
    check_ok(trc_reader_open(r, b->path, &b->e), &b->e);
    check_int(trc_reader_next(*r, &block, &b->e), ==, 1);
    unlink(b->path);
    return block;
}

static void they_come_out_in_order_of_arrival(void **state)
{
    (void)state;
    struct bench b;
    struct trc_reader *r;
    start(&b, 0);
    static const int64_t times[] = {30, 10, 20, 10, 5};
    for (uint32_t i = 0; i < 5; i++)
        add(&b, times[i], i, NULL, "{}", false);
    check_ok(cap_order_advance(b.o, at(40), at(20), &b.e), &b.e);
    check_int(cap_order_counts(b.o)->written, ==, 3); /* 20 is not before 20 */
    add(&b, 25, 9, NULL, "{}", false);
    check_ok(cap_order_advance(b.o, at(40), at(31), &b.e), &b.e);
    check_int(cap_order_counts(b.o)->written, ==, 6);
    check_int(cap_order_counts(b.o)->held_bytes, ==, 0);
    check_int(cap_order_counts(b.o)->moved, ==, 0);
    struct trc_block *block = finish(&b, &r);
    static const int64_t want[] = {5, 10, 10, 20, 25, 30};
    static const uint32_t streams[] = {4, 1, 3,
                                       2, 9, 0}; /* equal times: as they came */
    check_int(block->count, ==, 6);
    for (uint32_t i = 0; i < 6; i++) {
        check_int(block->ops[i].arrival_ns, ==, want[i] * CLK_MS);
        check_int(block->ops[i].conn_stream, ==, streams[i]);
    }
    trc_block_free(block);
    trc_reader_close(r);
}

static void nothing_is_held_longer_than_the_hold(void **state)
{
    (void)state;
    struct bench b;
    struct trc_reader *r;
    start(&b, 0);
    add(&b, 0, 1, NULL, "{}", false);
    check_ok(cap_order_advance(b.o, at(5000), at(0), &b.e), &b.e);
    check_int(cap_order_counts(b.o)->written, ==, 0);
    check_ok(cap_order_advance(b.o, at(5001), at(0), &b.e), &b.e);
    check_int(cap_order_counts(b.o)->written, ==, 1);
    /* One that took its time: it is written now, and said to be. */
    add(&b, 100, 2, NULL, "{}", false);
    check_ok(cap_order_advance(b.o, at(6000), at(5000), &b.e), &b.e);
    add(&b, 40, 3, NULL, "{}", false);
    check_ok(cap_order_flush(b.o, &b.e), &b.e);
    check_int(cap_order_counts(b.o)->moved, ==, 1);
    check_int(cap_order_counts(b.o)->moved_max_ns, ==, 60 * CLK_MS);
    struct trc_block *block = finish(&b, &r);
    check_int(block->ops[2].arrival_ns, ==, 100 * CLK_MS);
    check_int(block->ops[2].first_ns, ==, 2 * CLK_MS); /* its latency is its own */
    trc_block_free(block);
    trc_reader_close(r);
}

static void an_answer_finds_its_request_held_or_written(void **state)
{
    (void)state;
    struct bench b;
    struct trc_reader *r;
    start(&b, 0);
    add(&b, 0, 1, NULL, "{}", true);
    add(&b, 1, 2, NULL, "{}", true);
    add(&b, 2, 3, NULL, "{}", true);
    check_ok(cap_order_advance(b.o, at(10), at(1), &b.e), &b.e);
    struct op answer = op_empty();
    answer.first_ns = 7 * CLK_SEC;
    answer.last_ns = 8 * CLK_SEC;
    answer.status = 503;
    answer.response = op_body_of(SPAN_LIT("late"));
    check_int(cap_order_answer(b.o, 7, 1, &answer, NULL, NULL, &b.e), ==,
              1); /* written */
    check_int(cap_order_answer(b.o, 7, 2, &answer, NULL, NULL, &b.e), ==, 1); /* held */
    check_int(cap_order_answer(b.o, 7, 2, &answer, NULL, NULL, &b.e), ==,
              0); /* twice */
    check_int(cap_order_answer(b.o, 8, 3, &answer, NULL, NULL, &b.e), ==,
              0); /* of another */
    check_int(cap_order_counts(b.o)->late_answers, ==, 1);
    check_int(cap_order_counts(b.o)->unmatched_answers, ==, 2);
    struct trc_block *block = finish(&b, &r);
    check_int(block->count, ==, 3);
    check_int(block->ops[2].status, ==, 0);
    check_int(block->ops[2].first_ns, ==, OP_TIME_NONE);
    for (int i = 0; i < 2; i++) { /* the writer's block was still open */
        check_int(block->ops[i].status, ==, 503);
        check_int(block->ops[i].first_ns, ==, 7 * CLK_SEC);
        check_span(block->ops[i].response.data, "late");
    }
    trc_block_free(block);
    trc_reader_close(r);
}

static void only_so_many_wait_for_an_answer(void **state)
{
    (void)state;
    struct bench b;
    struct trc_reader *r;
    struct op answer = op_empty();
    answer.status = 200;
    start(&b, (size_t)1 << 30);
    for (uint32_t i = 0; i < CAP_WAITING_MAX + 10; i++) {
        add(&b, i / 1000, i, NULL, "{}", true);
        if (i % 4096 == 0)
            check_ok(cap_order_advance(b.o, at(i / 1000), at(i / 1000), &b.e), &b.e);
    }
    check_int(cap_order_answer(b.o, 7, 9, &answer, NULL, NULL, &b.e), ==, 0);
    check_int(cap_order_answer(b.o, 7, 10, &answer, NULL, NULL, &b.e), ==, 1);
    check_int(cap_order_answer(b.o, 7, CAP_WAITING_MAX + 9, &answer, NULL, NULL, &b.e),
              ==, 1);
    trc_block_free(finish(&b, &r));
    trc_reader_close(r);
}

static void memory_is_shed_in_the_stated_order(void **state)
{
    (void)state;
    struct bench b;
    struct trc_reader *r;
    const size_t memory = 64 << 10;
    char body[1024];
    memset(body, 'b', sizeof body);
    body[sizeof body - 1] = 0;
    start(&b, memory);
    uint64_t taken = 0, offered = 0;
    size_t first_answer = 0, first_request = 0, first_operation = 0;
    const struct cap_order_counts *c = cap_order_counts(b.o);
    for (uint32_t i = 0; i < 400; i++, offered++) {
        taken += (uint64_t)add(&b, i, i, NULL, body, false);
        if (!first_answer && c->shed_answers)
            first_answer = c->held_bytes;
        if (!first_request && c->shed_requests)
            first_request = c->held_bytes;
        if (!first_operation && c->shed_operations)
            first_operation = c->held_bytes;
    }
    check_true(first_answer >= memory / 2 - 2048 && first_answer < memory * 3 / 4);
    check_true(first_request >= memory * 3 / 4 - 2048 && first_request < memory);
    check_true(first_operation > memory / 8 * 7);
    check_true(c->held_bytes_max <= memory + 2048);
    check_int(taken + c->shed_operations, ==, offered);
    check_int(c->shed_body_bytes[0], ==, c->shed_requests * (sizeof body - 1));
    check_ok(cap_order_flush(b.o, &b.e), &b.e);
    check_int(c->written, ==, taken);
    check_int(c->held_bytes, ==, 0);
    struct trc_block *block = finish(&b, &r);
    const struct op *last = &block->ops[block->count - 1];
    check_int(last->request.state, ==, OP_BODY_ELIDED);
    check_int(last->request.bytes, ==, sizeof body - 1);
    check_true(last->request.hash[0] == block->ops[0].request.hash[0]);
    trc_block_free(block);
    trc_reader_close(r);
}

static void where_much_is_held_the_earliest_that_may_go_do(void **state)
{
    (void)state;
    struct bench b;
    struct trc_reader *r;
    char body[1024];
    memset(body, 'b', sizeof body);
    body[sizeof body - 1] = 0;
    start(&b, 0);
    const struct cap_order_counts *c = cap_order_counts(b.o);
    for (uint32_t i = 0; i < 100; i++)
        add(&b, 99 - i, i, NULL, body, false);
    size_t all = c->held_bytes;
    check_ok(cap_order_ease(b.o, at(100), all, &b.e), &b.e);
    check_int(c->written, ==, 0);
    check_ok(cap_order_ease(b.o, at(100), all / 4 * 3, &b.e), &b.e);
    check_int(c->written, ==, 25);
    check_ok(cap_order_ease(b.o, at(50), 0, &b.e), &b.e); /* more may not go */
    check_int(c->written, ==, 50);
    check_int(c->moved, ==, 0);
    struct trc_block *block = finish(&b, &r);
    check_int(block->count, ==, 100);
    for (int i = 0; i < 100; i++)
        check_int(block->ops[i].arrival_ns, ==, i * CLK_MS);
    trc_block_free(block);
    trc_reader_close(r);
}

static void a_leg_with_unreadable_headers_gets_the_id_of_another(void **state)
{
    (void)state;
    struct bench b;
    struct trc_reader *r;
    struct cap_record rec;
    start(&b, 0);
    static const char *const lines[] = {": gzip\n: pcap-0001\n: 10S\n",
                                        ": gzip\n: pcap-0009\n",
                                        ": pcap-0001\n: pcap-0002\n", ": abc\n"};
    for (uint32_t i = 0; i < 4; i++) {
        struct cap_exchange x =
            made_rest(2 + i, "/v2/models/iris/infer", lines[i], "{}");
        x.request.headers_opaque = true;
        check_int(cap_record_make(OP_TIER_RPROXY, &x, &rec), ==, CAP_RECORDED_OP);
        check_int(cap_order_add(b.o, &rec, false, &b.e), ==, 1);
    }
    add(&b, 0, 1, "pcap-0001", "{}", false); /* known later, arrived before */
    add(&b, 1, 2, "pcap-0002", "{}", false);
    add(&b, 1, 3, "abc", "{}", false); /* too short to mean anything */
    check_ok(cap_order_flush(b.o, &b.e), &b.e);
    check_int(cap_order_counts(b.o)->joined_ids, ==, 1);
    struct trc_block *block = finish(&b, &r);
    check_span(block->ops[3].id, "pcap-0001");
    for (int i = 4; i < 7; i++)
        check_int(block->ops[i].id.n, ==, 0);
    trc_block_free(block);
    trc_reader_close(r);
}

/* A request whose body is the last n bytes of a buffer of room bytes. */
static struct cap_record large_record(struct cap_exchange *x, struct buf *b,
                                      size_t room, size_t n)
{
    struct cap_record r;
    buf_reserve(b, room);
    memset(buf_grow(b, room), 'b', room);
    *x = made_rest(1, "/v2/models/iris/infer", "", "");
    x->request.body = op_body_of(span_sub(buf_view(b), room - n, room));
    x->request.buffer = b;
    check_int(cap_record_make(OP_TIER_ENVOY, x, &r), ==, CAP_RECORDED_OP);
    return r;
}

static void a_large_body_is_taken_over_and_its_memory_goes_round(void **state)
{
    (void)state;
    const size_t room = (size_t)128 << 10;
    struct bench b;
    struct cap_exchange x;
    struct trc_reader *r;
    struct buf body = {0}, answered = {0};
    start(&b, 0);
    struct cap_record rec = large_record(&x, &body, room, room - 5);
    const uint8_t *p = body.p;
    check_int(cap_order_add(b.o, &rec, true, &b.e), ==, 1);
    check_true(body.p == NULL && body.cap == 0);
    size_t held = cap_order_counts(b.o)->held_bytes;
    check_true(held >= room && held < room + 4096);

    struct op answer = op_empty();
    buf_reserve(&answered, room);
    memset(buf_grow(&answered, room), 'a', room);
    answer.status = 200;
    answer.response = op_body_of(buf_view(&answered));
    check_int(cap_order_answer(b.o, rec.op.connection, rec.op.conn_stream, &answer,
                               &answered, NULL, &b.e),
              ==, 1);
    check_true(answered.p == NULL);
    check_int(cap_order_counts(b.o)->held_bytes, ==, held + room);
    check_ok(cap_order_flush(b.o, &b.e), &b.e);
    check_int(cap_order_counts(b.o)->held_bytes, ==, 0);
    check_int(b.spares.count, ==, 2);
    check_true(b.spares.kept[0].p == p);

    struct trc_block *block = finish(&b, &r);
    check_int(block->ops[0].request.data.n, ==, room - 5);
    check_int(block->ops[0].request.data.p[room - 6], ==, 'b');
    check_int(block->ops[0].response.data.n, ==, room);
    check_int(block->ops[0].response.data.p[0], ==, 'a');
    trc_block_free(block);
    trc_reader_close(r);
    cap_spare_done(&b.spares);
}

static void what_is_not_worth_it_is_copied(void **state)
{
    (void)state;
    struct bench b;
    struct cap_exchange x;
    struct trc_reader *r;
    struct buf large = {0}, small = {0};
    start(&b, 0);
    struct cap_record rec = large_record(&x, &large, (size_t)256 << 10, 1000);
    check_int(cap_order_add(b.o, &rec, false, &b.e), ==, 1);
    rec = large_record(&x, &small, 20000, 20000);
    check_int(cap_order_add(b.o, &rec, false, &b.e), ==, 1);
    /* What redaction made of a body does not stand in the buffer. */
    char other[100000];
    memset(other, 'r', sizeof other);
    rec.op.request = op_body_of(span_of(other, sizeof other));
    rec.buffers[0] = &large;
    check_int(cap_order_add(b.o, &rec, false, &b.e), ==, 1);
    check_true(large.p != NULL && small.p != NULL);
    check_true(cap_order_counts(b.o)->held_bytes < 121000 + 8192);
    memset(large.p, 0, large.n);
    memset(small.p, 0, small.n);
    memset(other, 0, sizeof other);
    struct trc_block *block = finish(&b, &r);
    check_int(block->count, ==, 3);
    check_int(block->ops[0].request.data.p[999], ==, 'b');
    check_int(block->ops[1].request.data.p[19999], ==, 'b');
    check_int(block->ops[2].request.data.p[99999], ==, 'r');
    trc_block_free(block);
    trc_reader_close(r);
    buf_done(&large);
    buf_done(&small);
}

/* --- what nothing else would notice ----------------------------------------------- */

static uint32_t next_of(uint32_t *seed)
{
    *seed = *seed * 1664525 + 1013904223;
    return *seed >> 8;
}

/* A record that needs no exchange. */
static struct cap_record plain(struct op_stream *s, int64_t ms, uint32_t stream)
{
    struct cap_record r = {.op = op_empty(), .at = at(ms)};
    r.stream = *s;
    r.op.stream = &r.stream;
    r.op.connection = 7;
    r.op.conn_stream = stream;
    return r;
}

static struct op_stream iris(void)
{
    return (struct op_stream){.protocol = OP_REST,
                              .tier = OP_TIER_ENVOY,
                              .name = SPAN_LIT("iris"),
                              .method = SPAN_LIT("POST"),
                              .path = SPAN_LIT("/v2/models/iris/infer")};
}

/* Most of them out of turn, so that line and heap both grow and come round, and some
 * are written meanwhile. Equal times come out as they came in. */
static void thousands_that_come_in_any_order_come_out_in_order(void **state)
{
    enum { N = 6000, SPREAD = 900 };
    (void)state;
    struct bench b;
    struct trc_reader *reader;
    struct op_stream s = iris();
    uint32_t seed = 1;
    start(&b, (size_t)1 << 30);
    for (uint32_t i = 0; i < N; i++) {
        int64_t ms = i + (int64_t)(next_of(&seed) % SPREAD) / 100 * 100;
        struct cap_record r = plain(&s, ms, i);
        check_int(cap_order_add(b.o, &r, false, &b.e), ==, 1);
        if (i % 700 == 699)
            check_ok(cap_order_advance(b.o, at(i), at(i), &b.e), &b.e);
    }
    check_ok(cap_order_flush(b.o, &b.e), &b.e);
    check_int(cap_order_counts(b.o)->moved, ==, 0); /* which would hide disorder */
    struct trc_block *block = finish(&b, &reader);
    check_int(block->count, ==, N);
    static uint8_t seen[N];
    for (uint32_t i = 0; i < N; i++) {
        const struct op *op = &block->ops[i], *last = op - 1;
        check_int(seen[op->conn_stream]++, ==, 0);
        if (i > 0 && (last->arrival_ns > op->arrival_ns ||
                      (last->arrival_ns == op->arrival_ns &&
                       last->conn_stream > op->conn_stream)))
            fail_msg("operation %u: %lld after %lld", i, (long long)op->arrival_ns,
                     (long long)last->arrival_ns);
    }
    trc_block_free(block);
    trc_reader_close(reader);
}

/* One stands in line, so that five before it go through the heap, in each order. */
static void few_that_come_in_any_order_come_out_in_order(void **state)
{
    enum { FEW = 5, ORDERS = 5 * 5 * 5 * 5 * 5 };
    (void)state;
    struct bench b;
    struct trc_reader *reader;
    struct op_stream s = iris();
    int64_t base = 0;
    start(&b, (size_t)1 << 30);
    for (int n = 0; n < ORDERS; n++) {
        unsigned seen = 0;
        int digits[FEW], rest = n;
        for (int i = 0; i < FEW; i++, rest /= FEW)
            seen |= 1u << (digits[i] = rest % FEW);
        if (seen != (1u << FEW) - 1)
            continue; /* not each once */
        struct cap_record r = plain(&s, base + FEW, FEW);
        check_int(cap_order_add(b.o, &r, false, &b.e), ==, 1);
        for (int i = 0; i < FEW; i++) {
            r = plain(&s, base + digits[i], (uint32_t)digits[i]);
            check_int(cap_order_add(b.o, &r, false, &b.e), ==, 1);
        }
        check_ok(cap_order_flush(b.o, &b.e), &b.e);
        base += FEW + 1;
    }
    check_int(cap_order_counts(b.o)->moved, ==, 0);
    struct trc_block *block = finish(&b, &reader);
    check_int(block->count, ==, 120 * (FEW + 1));
    for (uint32_t i = 0; i < block->count; i++)
        check_int(block->ops[i].conn_stream, ==, i % (FEW + 1));
    trc_block_free(block);
    trc_reader_close(reader);
}

/* The line is a ring: it grows while its first stands in the middle. */
static void what_is_in_line_stays_so_when_the_line_grows(void **state)
{
    (void)state;
    struct bench b;
    struct trc_reader *reader;
    struct op_stream s = iris();
    start(&b, (size_t)1 << 30);
    for (uint32_t i = 0; i < 2000; i++) {
        struct cap_record r = plain(&s, i, i);
        check_int(cap_order_add(b.o, &r, false, &b.e), ==, 1);
        if (i == 200)
            check_ok(cap_order_advance(b.o, at(100), at(100), &b.e), &b.e);
    }
    struct trc_block *block = finish(&b, &reader);
    check_int(block->count, ==, 2000);
    for (uint32_t i = 0; i < 2000; i++)
        check_int(block->ops[i].conn_stream, ==, i);
    trc_block_free(block);
    trc_reader_close(reader);
}

static void all_that_an_operation_points_to_is_copied(void **state)
{
    (void)state;
    struct bench b;
    struct trc_reader *reader;
    static char texts[12][16] = {"iris",  "type",  "PUT", "/path", "a/json", "gzip",
                                 "id-17", "name1", "v",   "name2", "v2",     "body"};
    struct span t[12];
    for (int i = 0; i < 12; i++)
        t[i] = span_str(texts[i]);
    struct op_header headers[2] = {{t[7], t[8]}, {t[9], t[10]}};
    struct op_message asked[2] = {{1, 1}, {2, 3}}, told[1] = {{6, 4}};
    struct op_stream s = {OP_REST, OP_TIER_RPROXY, OP_PIPELINE, t[0],    t[1], t[2],
                          t[3],    t[4],           t[5],        headers, 2};
    struct cap_record r = plain(&s, 3, 9);
    r.op.id = t[6];
    r.op.request = r.op.response = op_body_of(t[11]);
    r.op.request_messages = (struct op_messages){asked, 2};
    r.op.response_messages = (struct op_messages){told, 1};
    r.op.flags = OP_FLAG_GAP;
    r.op.first_ns = 4;
    r.op.last_ns = 6;
    r.op.status = 418;
    r.op.grpc_status = 3;
    start(&b, 0);
    check_int(cap_order_add(b.o, &r, false, &b.e), ==, 1);
    memset(texts, 'x', sizeof texts);
    memset(headers, 0, sizeof headers);
    memset(asked, 0, sizeof asked);
    memset(told, 0, sizeof told);
    memset(&r, 0, sizeof r);
    struct trc_block *block = finish(&b, &reader);
    const struct op *op = &block->ops[0];
    const struct op_stream *got = op->stream;
    check_int(got->tier, ==, OP_TIER_RPROXY);
    check_int(got->resource, ==, OP_PIPELINE);
    check_span(got->name, "iris");
    check_span(got->model_type, "type");
    check_span(got->method, "PUT");
    check_span(got->path, "/path");
    check_span(got->content_type, "a/json");
    check_span(got->content_encoding, "gzip");
    check_int(got->header_count, ==, 2);
    check_span(got->headers[0].name, "name1");
    check_span(got->headers[0].value, "v");
    check_span(got->headers[1].name, "name2");
    check_span(got->headers[1].value, "v2");
    check_span(op->id, "id-17");
    check_span(op->request.data, "body");
    check_span(op->response.data, "body");
    check_int(op->request_messages.count, ==, 2);
    check_int(op->request_messages.v[1].at_ns, ==, 2);
    check_int(op->request_messages.v[1].bytes, ==, 3);
    check_int(op->response_messages.count, ==, 1);
    check_int(op->response_messages.v[0].bytes, ==, 4);
    check_int(op->response_messages.v[0].at_ns, ==, 6);
    check_int(op->flags, ==, OP_FLAG_GAP);
    check_int(op->status, ==, 418);
    check_int(op->grpc_status, ==, 3);
    check_int(op->conn_stream, ==, 9);
    trc_block_free(block);
    trc_reader_close(reader);
}

/* Every third waits for no answer; half are answered held, the others written. */
static void each_of_thousands_of_answers_finds_its_own_request(void **state)
{
    enum { N = 9000 };
    (void)state;
    struct bench b;
    struct trc_reader *reader;
    struct trc_block *block;
    struct op_stream s = iris();
    static uint32_t turn[N];
    uint32_t seed = 7;
    struct op answer = op_empty();
    start(&b, (size_t)1 << 30);
    for (uint32_t i = 0; i < N; i++) {
        struct cap_record r = plain(&s, i, i / 2);
        r.op.connection = i % 2;
        turn[i] = i;
        check_int(cap_order_add(b.o, &r, i % 3 != 0, &b.e), ==, 1);
    }
    for (uint32_t i = N - 1; i > 0; i--) {
        uint32_t k = next_of(&seed) % (i + 1), v = turn[i];
        turn[i] = turn[k];
        turn[k] = v;
    }
    for (uint32_t i = 0; i < N; i++) {
        uint32_t k = turn[i];
        if (i % 500 == 0)
            check_ok(cap_order_advance(b.o, at(i), at(i), &b.e), &b.e);
        answer.status = (uint16_t)(k % 60000 + 1);
        answer.first_ns = k;
        answer.last_ns = k + 5;
        answer.grpc_status = (int16_t)(k % 17);
        check_int(cap_order_answer(b.o, k % 2, k / 2, &answer, NULL, NULL, &b.e), ==,
                  k % 3 != 0);
    }
    check_int(cap_order_counts(b.o)->unmatched_answers, ==, N / 3);
    check_true(cap_order_counts(b.o)->late_answers > N / 6);
    check_true(cap_order_counts(b.o)->late_answers < N / 2);
    block = finish(&b, &reader);
    check_int(block->count, ==, N);
    for (uint32_t i = 0; i < N; i++) {
        const struct op *op = &block->ops[i];
        check_int(op->status, ==, i % 3 ? i % 60000 + 1 : 0);
        check_int(op->first_ns, ==, i % 3 ? (int64_t)i : OP_TIME_NONE);
        check_int(op->last_ns, ==, i % 3 ? (int64_t)i + 5 : OP_TIME_NONE);
        check_int(op->grpc_status, ==, i % 3 ? (int)(i % 17) : -1);
    }
    trc_block_free(block);
    trc_reader_close(reader);
}

/* A connection's number and stream come again: the answer is that of the latest. */
static void an_answer_is_for_the_latest_request_of_its_name(void **state)
{
    (void)state;
    struct bench b;
    struct trc_reader *reader;
    struct op answer = op_empty();
    answer.status = 201;
    start(&b, 0);
    add(&b, 0, 1, NULL, "{}", true);
    add(&b, 1, 1, NULL, "{}", true);
    add(&b, 2, 2, NULL, "{}", true);
    check_int(cap_order_answer(b.o, 7, 1, &answer, NULL, NULL, &b.e), ==, 1);
    check_int(cap_order_answer(b.o, 7, 1, &answer, NULL, NULL, &b.e), ==, 0);
    check_int(cap_order_answer(b.o, 7, 2, &answer, NULL, NULL, &b.e), ==, 1);
    struct trc_block *block = finish(&b, &reader);
    check_int(block->ops[0].status, ==, 0);
    check_int(block->ops[1].status, ==, 201);
    check_int(block->ops[2].status, ==, 201);
    trc_block_free(block);
    trc_reader_close(reader);
}

/* Those that waited longest are forgotten, whichever was answered in between. */
static void the_oldest_of_too_many_waiting_is_forgotten(void **state)
{
    (void)state;
    struct bench b;
    struct op_stream s = iris();
    struct op answer = op_empty();
    answer.status = 200;
    start(&b, (size_t)1 << 30);
    for (uint32_t i = 0; i < CAP_WAITING_MAX; i++) {
        struct cap_record r = plain(&s, 0, i);
        check_int(cap_order_add(b.o, &r, true, &b.e), ==, 1);
    }
    /* The oldest, one in the middle and the newest are answered: room for three. */
    static const uint32_t gone[] = {0, 3, CAP_WAITING_MAX - 1};
    for (int i = 0; i < 3; i++)
        check_int(cap_order_answer(b.o, 7, gone[i], &answer, NULL, NULL, &b.e), ==, 1);
    for (uint32_t i = 0; i < 6; i++) {
        struct cap_record r = plain(&s, 1, CAP_WAITING_MAX + i);
        check_int(cap_order_add(b.o, &r, true, &b.e), ==, 1);
    }
    for (uint32_t i = 1; i < CAP_WAITING_MAX - 1; i++)
        if (i != 3)
            check_int(cap_order_answer(b.o, 7, i, &answer, NULL, NULL, &b.e), ==,
                      i > 4);
    for (uint32_t i = 0; i < 6; i++)
        check_int(
            cap_order_answer(b.o, 7, CAP_WAITING_MAX + i, &answer, NULL, NULL, &b.e),
            ==, 1);
    struct trc_reader *reader;
    struct trc_block *block = finish(&b, &reader);
    check_int(block->ops[1].status, ==, 0);   /* its answer found it forgotten */
    check_int(block->ops[3].status, ==, 200); /* this one was in time */
    check_int(block->ops[4].status, ==, 0);
    check_int(block->ops[5].status, ==, 200);
    trc_block_free(block);
    trc_reader_close(reader);
}

/* Answered ones leave the row of those that wait, wherever they stand in it. */
static void all_that_wait_are_replaced_by_as_many(void **state)
{
    (void)state;
    struct bench b;
    struct op_stream s = iris();
    struct op answer = op_empty();
    answer.status = 200;
    start(&b, (size_t)1 << 30);
    for (uint32_t i = 0; i < 2 * CAP_WAITING_MAX; i++) {
        struct cap_record r = plain(&s, i / 1000, i);
        check_int(cap_order_add(b.o, &r, true, &b.e), ==, 1);
        if (i % 5 == 4) /* the newest, and one of the middle */
            check_int(cap_order_answer(b.o, 7, i, &answer, NULL, NULL, &b.e) +
                          cap_order_answer(b.o, 7, i - 2, &answer, NULL, NULL, &b.e),
                      ==, 2);
        if (i % 4096 == 0)
            check_ok(cap_order_advance(b.o, at(i / 1000), at(i / 1000), &b.e), &b.e);
    }
    /* Three of five wait: of the latest, as many as there is room for. */
    uint32_t found = 0;
    for (uint32_t i = 2 * CAP_WAITING_MAX; i-- > 0;) {
        int rc = cap_order_answer(b.o, 7, i, &answer, NULL, NULL, &b.e);
        if (i % 5 == 4 || i % 5 == 2)
            check_int(rc, ==, i % 5 == 2 && i + 2 >= 2 * CAP_WAITING_MAX);
        else
            check_int(rc, ==, found < CAP_WAITING_MAX);
        found += rc == 1;
    }
    check_int(found, ==, CAP_WAITING_MAX);
    struct trc_reader *reader;
    trc_block_free(finish(&b, &reader));
    trc_reader_close(reader);
}

/* An entry of the row is used again while its first user is held still. */
static void who_is_answered_is_not_waited_for_any_more(void **state)
{
    (void)state;
    struct bench b;
    struct trc_reader *reader;
    struct op answer = op_empty();
    answer.first_ns = answer.last_ns = 3;
    answer.status = 201;
    start(&b, 0);
    add(&b, 0, 1, NULL, "{}", true);
    check_int(cap_order_answer(b.o, 7, 1, &answer, NULL, NULL, &b.e), ==, 1);
    add(&b, 10, 2, NULL, "{}", true);
    check_ok(cap_order_advance(b.o, at(5), at(5), &b.e), &b.e);
    check_int(cap_order_counts(b.o)->written, ==, 1);
    answer.status = 202;
    check_int(cap_order_answer(b.o, 7, 2, &answer, NULL, NULL, &b.e), ==, 1);
    check_int(cap_order_counts(b.o)->late_answers, ==, 0);
    struct trc_block *block = finish(&b, &reader);
    check_int(block->ops[0].status, ==, 201);
    check_int(block->ops[1].status, ==, 202);
    trc_block_free(block);
    trc_reader_close(reader);
}

static void an_answer_that_comes_late_is_told_whole(void **state)
{
    (void)state;
    struct bench b;
    struct trc_reader *reader;
    struct op_message told[2] = {{4, 3}, {5, 1}};
    char text[] = "told";
    struct op answer = op_empty();
    answer.first_ns = 4;
    answer.last_ns = 6;
    answer.status = 207;
    answer.grpc_status = 9;
    answer.flags = OP_FLAG_GAP;
    answer.response = op_body_of(span_str(text));
    answer.response_messages = (struct op_messages){told, 2};
    start(&b, 0);
    add(&b, 0, 1, NULL, "{}", true);
    add(&b, 1, 2, NULL, "{}", true);
    add(&b, 1, 3, NULL, "{}", true);
    size_t most = cap_order_counts(b.o)->held_bytes;
    check_ok(cap_order_advance(b.o, at(1), at(1), &b.e), &b.e);
    check_int(cap_order_counts(b.o)->written, ==, 1);
    size_t held = cap_order_counts(b.o)->held_bytes;
    check_int(cap_order_answer(b.o, 7, 1, &answer, NULL, NULL, &b.e), ==, 1);
    check_int(cap_order_counts(b.o)->held_bytes, ==, held);
    check_int(cap_order_answer(b.o, 7, 2, &answer, NULL, NULL, &b.e), ==, 1);
    check_int(cap_order_counts(b.o)->held_bytes, ==, held + 2 * sizeof *told + 4);
    check_int(cap_order_counts(b.o)->held_bytes_max, ==, most);
    memset(told, 0, sizeof told); /* what is held is a copy */
    memset(text, 'x', sizeof text - 1);
    char one[] = "1"; /* one byte, and no messages */
    answer.response = op_body_of(span_of(one, 1));
    answer.response_messages = (struct op_messages){0};
    check_int(cap_order_answer(b.o, 7, 3, &answer, NULL, NULL, &b.e), ==, 1);
    one[0] = 'x';
    struct trc_block *block = finish(&b, &reader);
    check_int(block->ops[1].flags, ==, OP_FLAG_GAP);
    check_span(block->ops[2].response.data, "1");
    check_int(block->ops[2].response_messages.count, ==, 0);
    struct trc_block *behind; /* it has flags of its own */
    check_int(block->ops[0].flags, ==, 0);
    check_int(trc_reader_next(reader, &behind, &b.e), ==, 1);
    check_int(behind->late_count, ==, 1);
    check_int(behind->late[0].index, ==, 0);
    check_int(behind->late[0].flags, ==, OP_FLAG_GAP);
    for (int i = 0; i < 2; i++) {
        const struct op *op = i == 0 ? &behind->late[0] : &block->ops[i];
        check_int(op->status, ==, 207);
        check_int(op->grpc_status, ==, 9);
        check_int(op->first_ns, ==, 4);
        check_int(op->last_ns, ==, 6);
        check_span(op->response.data, "told");
        check_int(op->response_messages.count, ==, 2);
        check_int(op->response_messages.v[0].bytes, ==, 3);
        check_int(op->response_messages.v[1].at_ns, ==, 5);
    }
    trc_block_free(behind);
    trc_block_free(block);
    trc_reader_close(reader);
}

static void the_furthest_that_one_was_moved_is_told(void **state)
{
    (void)state;
    struct bench b;
    struct trc_reader *reader;
    start(&b, 0);
    add(&b, 100, 1, NULL, "{}", false);
    check_ok(cap_order_flush(b.o, &b.e), &b.e);
    add(&b, 40, 2, NULL, "{}", false);
    check_ok(cap_order_flush(b.o, &b.e), &b.e);
    add(&b, 90, 3, NULL, "{}", false);
    add(&b, 100, 4, NULL, "{}", false); /* of the same time: it is in its place */
    check_ok(cap_order_flush(b.o, &b.e), &b.e);
    check_int(cap_order_counts(b.o)->moved, ==, 2);
    check_int(cap_order_counts(b.o)->moved_max_ns, ==, 60 * CLK_MS);
    struct trc_block *block = finish(&b, &reader);
    for (int i = 0; i < 4; i++)
        check_int(block->ops[i].arrival_ns, ==, 100 * CLK_MS);
    trc_block_free(block);
    trc_reader_close(reader);
}

static void two_operations_of_one_id_name_it_for_others(void **state)
{
    (void)state;
    struct bench b;
    struct trc_reader *reader;
    static const char *const lines[] = {": abcd\n: abcd\n", ": abc\n: zzzz\n: abcd\n",
                                        ": abcd\n: efgh\n"};
    struct cap_record rec;
    start(&b, 0);
    add(&b, 0, 1, "abcd", "{}", false);
    add(&b, 0, 2, "abcd", "{}", false);
    add(&b, 0, 3, "efgh", "{}", false);
    for (uint32_t i = 0; i < 3; i++) {
        struct cap_exchange x =
            made_rest(2 + i, "/v2/models/iris/infer", lines[i], "{}");
        x.request.headers_opaque = true;
        check_int(cap_record_make(OP_TIER_RPROXY, &x, &rec), ==, CAP_RECORDED_OP);
        check_int(cap_order_add(b.o, &rec, false, &b.e), ==, 1);
    }
    check_ok(cap_order_flush(b.o, &b.e), &b.e);
    check_int(cap_order_counts(b.o)->joined_ids, ==, 2);
    struct trc_block *block = finish(&b, &reader);
    check_span(block->ops[3].id, "abcd"); /* twice the same is certain */
    check_span(block->ops[4].id, "abcd"); /* others are no ids */
    check_int(block->ops[5].id.n, ==, 0); /* two of them: neither is */
    trc_block_free(block);
    trc_reader_close(reader);
}

/* --- memory ----------------------------------------------------------------------- */

/* What an operation without bodies takes, so that ceilings can be set to the byte. */
static size_t size_of_one(void)
{
    struct bench b;
    struct trc_reader *reader;
    struct op_stream s = iris();
    start(&b, 0);
    struct cap_record r = plain(&s, 0, 0);
    check_int(cap_order_add(b.o, &r, false, &b.e), ==, 1);
    size_t size = cap_order_counts(b.o)->held_bytes;
    trc_block_free(finish(&b, &reader));
    trc_reader_close(reader);
    return size;
}

static void end(struct bench *b)
{
    struct trc_reader *reader;
    struct cap_record r;
    struct op_stream s = iris();
    check_ok(cap_order_flush(b->o, &b->e), &b->e);
    r = plain(&s, 0, 0); /* a trace needs one to be read */
    check_true(cap_order_add(b->o, &r, false, &b->e) >= 0);
    trc_block_free(finish(b, &reader));
    trc_reader_close(reader);
}

/* held bytes, then bodies of so many: what of it is let go under a ceiling of most. */
static void check_shed(size_t most, size_t request, size_t answer, bool lets_request_go,
                       bool lets_answer_go)
{
    static uint8_t bytes[1 << 16];
    struct bench b;
    struct op_stream s = iris();
    start(&b, most);
    struct cap_record r = plain(&s, 0, 0);
    check_int(cap_order_add(b.o, &r, false, &b.e), ==, 1);
    r = plain(&s, 1, 1);
    r.op.request = op_body_of(span_of(bytes, request));
    r.op.response = op_body_of(span_of(bytes, answer));
    check_int(cap_order_add(b.o, &r, false, &b.e), ==, 1);
    const struct cap_order_counts *c = cap_order_counts(b.o);
    check_int(c->shed_requests, ==, lets_request_go);
    check_int(c->shed_answers, ==, lets_answer_go);
    check_int(c->shed_body_bytes[0], ==, lets_request_go ? request : 0);
    check_int(c->shed_body_bytes[1], ==, lets_answer_go ? answer : 0);
    check_int(r.op.request.state, ==, OP_BODY_KEPT); /* the caller's is as it was */
    end(&b);
}

static void ceilings_hold_to_the_byte(void **state)
{
    (void)state;
    const size_t one = size_of_one(), most = 16 * one;
    /* An answer may fill the memory to its half, a request to three quarters. */
    check_shed(most, one, 6 * one, false, false);
    check_shed(most, one, 6 * one + 1, false, true);
    check_shed(most, one + 1, 6 * one, false, true);
    check_shed(most, 11 * one, 1, false, true);
    check_shed(most, 11 * one + 1, 1, true, true);
}

/* From seven eighths on every other connection is shed, at the whole all are. */
static void operations_are_shed_by_connection_and_then_all(void **state)
{
    (void)state;
    const size_t one = size_of_one();
    struct bench b;
    struct op_stream s = iris();
    uint64_t taken[2] = {0, 0}, n = 0;
    start(&b, 80 * one);
    const struct cap_order_counts *c = cap_order_counts(b.o);
    for (uint32_t i = 0; c->shed_operations == 0; i++, n++) {
        struct cap_record r = plain(&s, i, i);
        r.op.connection = i;
        check_true(cap_order_add(b.o, &r, false, &b.e) >= 0);
    }
    check_true(n > 70 && n < 81); /* 70 of them are seven eighths: not beyond */
    /* Which of two connections is shed is its own: again and again the same. */
    uint32_t kept = 0, shed = 0;
    for (uint32_t i = 0; kept == 0 || shed == 0; i++) {
        struct cap_record r = plain(&s, 100, i);
        r.op.connection = i;
        int rc = cap_order_add(b.o, &r, false, &b.e);
        *(rc ? &kept : &shed) = i + 1;
        check_true(i < 64);
    }
    for (uint32_t i = 0; i < 100; i++) {
        struct cap_record r = plain(&s, 101, i);
        r.op.connection = (i % 2 ? kept : shed) - 1;
        uint64_t held = c->held_bytes;
        int rc = cap_order_add(b.o, &r, false, &b.e);
        check_int(rc, ==, i % 2 && held <= 80 * one);
        taken[i % 2] += (uint64_t)rc;
    }
    check_int(taken[0], ==, 0);
    check_int(c->held_bytes, ==, 81 * one); /* the last began at the whole */
    end(&b);
    /* At seven eighths even those are taken, and not beyond. */
    start(&b, 80 * one);
    for (uint32_t i = 0; i < 72; i++) {
        struct cap_record r = plain(&s, i, i);
        r.op.connection = (i < 70 ? kept : shed) - 1;
        check_int(cap_order_add(b.o, &r, false, &b.e), ==, i < 71);
    }
    end(&b);
}

static void shares_of_the_wire_are_shed_in_their_direction(void **state)
{
    (void)state;
    static uint8_t bytes[1 << 16];
    const size_t one = size_of_one();
    struct bench b;
    struct op_stream s = iris();
    start(&b, 16 * one);
    const struct cap_order_counts *c = cap_order_counts(b.o);
    struct cap_record r = plain(&s, 0, 1);
    r.op.request = op_body_of(span_of(bytes, 13 * one));
    r.op.response = op_body_of(span_of(bytes, 5));
    r.wire[0] = (struct cap_wire_share){1, 1000};
    r.wire[1] = (struct cap_wire_share){0, 100};
    check_int(cap_order_add(b.o, &r, true, &b.e), ==, 1);
    check_int(c->shed_body_bytes[0], ==, 100);
    check_int(c->shed_body_bytes[1], ==, 1000);
    /* An answer by itself: no share was told, then one. */
    struct op answer = op_empty();
    answer.first_ns = answer.last_ns = 1;
    answer.response = op_body_of(span_of(bytes, 7 * one));
    check_int(cap_order_answer(b.o, 7, 1, &answer, NULL, NULL, &b.e), ==, 1);
    check_int(c->shed_answers, ==, 1); /* to the half, not beyond */
    answer.response = op_body_of(span_of(bytes, 9 * one));
    r = plain(&s, 1, 3);
    check_int(cap_order_add(b.o, &r, true, &b.e), ==, 1);
    check_int(cap_order_answer(b.o, 7, 3, &answer, NULL, NULL, &b.e), ==, 1);
    check_int(c->shed_answers, ==, 2);
    check_int(c->shed_body_bytes[1], ==, 1000 + 9 * one);
    check_int(c->shed_operations, ==, 0);
    const struct cap_wire_share wire = {0, 10};
    r = plain(&s, 1, 2);
    check_int(cap_order_add(b.o, &r, true, &b.e), ==, 1);
    answer.response = op_body_of(span_of(bytes, 1));
    check_int(cap_order_answer(b.o, 7, 2, &answer, NULL, &wire, &b.e), ==, 1);
    check_int(c->shed_answers, ==, 3);
    check_int(c->shed_body_bytes[0], ==, 110);
    struct trc_reader *reader;
    struct trc_block *block = finish(&b, &reader);
    check_int(block->ops[0].request.state, ==, OP_BODY_ELIDED);
    check_int(block->ops[0].response.state, ==, OP_BODY_KEPT);
    check_int(block->ops[1].response.state, ==, OP_BODY_ELIDED);
    trc_block_free(block);
    trc_reader_close(reader);
}

/* The bounds that hold where none are told: 64 MiB, 5 seconds. */
static void without_options_the_stated_bounds_hold(void **state)
{
    (void)state;
    static uint8_t bytes[1 << 20];
    struct bench b;
    struct op_stream s = iris();
    start(&b, 0);
    const struct cap_order_counts *c = cap_order_counts(b.o);
    uint32_t n = 0;
    for (; c->shed_answers == 0; n++) {
        struct cap_record r = plain(&s, n, n);
        r.op.response = op_body_of(span_of(bytes, sizeof bytes));
        check_int(cap_order_add(b.o, &r, false, &b.e), ==, 1);
    }
    check_int(n, ==, 32); /* half of it: 31 and what they stand in */
    end(&b);
    struct trc_options options = {.kind = TRC_TRACE};
    struct cap_order_options order = {.epoch = {MADE_EPOCH_NS}, .hold_ns = CLK_SEC};
    b = (struct bench){.path = "/tmp/test_cap_order.XXXXXX"};
    close(mkstemp(b.path));
    check_ok(trc_writer_open(&b.w, b.path, &options, &b.e), &b.e);
    check_ok(cap_order_new(&b.o, b.w, &order, &b.e), &b.e);
    struct cap_record r = plain(&s, 0, 1);
    check_int(cap_order_add(b.o, &r, false, &b.e), ==, 1);
    check_ok(cap_order_advance(b.o, at(1000), at(0), &b.e), &b.e);
    check_int(cap_order_counts(b.o)->written, ==, 0);
    check_ok(cap_order_advance(b.o, at(1001), at(0), &b.e), &b.e);
    check_int(cap_order_counts(b.o)->written, ==, 1);
    end(&b);
}

/* Whether a request of n bytes that begins `from` into a buffer of room bytes is taken
 * over, and its answer in another, too. */
static void check_taken(size_t room, size_t from, size_t n, bool taken)
{
    for (int which = 0; which < 2; which++) {
        struct bench b;
        struct op_stream s = iris();
        struct buf buffer = {0};
        start(&b, 0);
        buf_reserve(&buffer, room);
        memset(buf_grow(&buffer, room), 'b', room);
        check_int(buffer.cap, ==, room);
        struct cap_record r = plain(&s, 0, 0);
        struct op_body *body = which ? &r.op.response : &r.op.request;
        *body = op_body_of(span_sub(buf_view(&buffer), from, from + n));
        r.buffers[which] = &buffer;
        check_int(cap_order_add(b.o, &r, false, &b.e), ==, 1);
        check_int(buffer.p == NULL, ==, taken);
        size_t held = cap_order_counts(b.o)->held_bytes - size_of_one();
        check_int(held, ==, taken ? room : n);
        buf_done(&buffer);
        end(&b);
        check_int(b.spares.count, ==, taken);
        cap_spare_done(&b.spares);
    }
}

/* Half a buffer of room bytes, as a request [0] or an answer [1], and a byte as the
 * other: whether the answer is let go under a ceiling of most. */
static void check_weight(int which, size_t room, size_t most, bool shed)
{
    static uint8_t byte[1];
    struct bench b;
    struct op_stream s = iris();
    struct buf buffer = {0};
    start(&b, most);
    buf_reserve(&buffer, room);
    memset(buf_grow(&buffer, room), 'b', room);
    struct cap_record r = plain(&s, 0, 0);
    struct span half = span_sub(buf_view(&buffer), 0, room / 2);
    r.op.request = op_body_of(which ? span_of(byte, 1) : half);
    r.op.response = op_body_of(which ? half : span_of(byte, 1));
    r.buffers[which] = &buffer;
    check_int(cap_order_add(b.o, &r, true, &b.e), ==, 1);
    check_int(cap_order_counts(b.o)->shed_answers, ==, shed);
    buf_done(&buffer);
    end(&b);
    cap_spare_done(&b.spares);
}

/* What is taken over weighs as much as the buffer that it stands in. */
static void a_half_empty_buffer_weighs_as_a_full_one(void **state)
{
    (void)state;
    const size_t room = 2 * CAP_SPARE_FROM;
    for (int which = 0; which < 2; which++) {
        check_weight(which, room, 2 * (room + 1), false);
        check_weight(which, room, 2 * room, true);
    }
}

static void a_buffer_is_taken_over_from_half_its_size_on(void **state)
{
    const size_t from = CAP_SPARE_FROM;
    (void)state;
    check_taken(from, 0, from / 2, true);
    check_taken(from, 5, from / 2 - 1, false);
    check_taken(from, from / 2, from / 2, true);
    check_taken(from / 2, 0, from / 2, false); /* too small to be worth it */
    check_taken(2 * from, 0, from - 1, false);
}

/* A body that stands before, behind or across the ends of a buffer is not in it. */
static void a_body_beside_a_buffer_is_copied(void **state)
{
    (void)state;
    static uint8_t bytes[4 * CAP_SPARE_FROM];
    const size_t n = CAP_SPARE_FROM;
    static const int at_half[] = {0, 1, 3, 4};
    struct op_stream s = iris();
    for (size_t i = 0; i < 4; i++) {
        struct bench b;
        struct buf fake = {.p = bytes + n, .n = n, .cap = n};
        start(&b, 0);
        struct cap_record r = plain(&s, 0, 0);
        r.op.request = op_body_of(span_of(bytes + (size_t)at_half[i] * n / 2, n));
        r.buffers[0] = &fake;
        check_int(cap_order_add(b.o, &r, false, &b.e), ==, 1);
        check_true(fake.p == bytes + n);
        end(&b);
        check_int(b.spares.count, ==, 0);
    }
}

static void what_is_held_at_the_end_is_given_up(void **state)
{
    (void)state;
    struct bench b;
    struct cap_exchange x;
    struct buf body = {0};
    start(&b, 0);
    struct cap_record rec =
        large_record(&x, &body, (size_t)128 << 10, (size_t)128 << 10);
    check_int(cap_order_add(b.o, &rec, true, &b.e), ==, 1);
    add(&b, 5, 5, NULL, "{}", true);
    add(&b, 1, 6, NULL, "{}", true);
    struct op answer = op_empty();
    answer.response = op_body_of(SPAN_LIT("told"));
    check_int(cap_order_answer(b.o, 7, 5, &answer, NULL, NULL, &b.e), ==, 1);
    cap_order_free(b.o);
    check_int(b.spares.count, ==, 1);
    cap_spare_done(&b.spares);
    cap_order_free(NULL);
    trc_writer_abandon(b.w);
    unlink(b.path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(thousands_that_come_in_any_order_come_out_in_order),
        cmocka_unit_test(what_is_in_line_stays_so_when_the_line_grows),
        cmocka_unit_test(all_that_an_operation_points_to_is_copied),
        cmocka_unit_test(each_of_thousands_of_answers_finds_its_own_request),
        cmocka_unit_test(an_answer_is_for_the_latest_request_of_its_name),
        cmocka_unit_test(the_oldest_of_too_many_waiting_is_forgotten),
        cmocka_unit_test(an_answer_that_comes_late_is_told_whole),
        cmocka_unit_test(the_furthest_that_one_was_moved_is_told),
        cmocka_unit_test(two_operations_of_one_id_name_it_for_others),
        cmocka_unit_test(ceilings_hold_to_the_byte),
        cmocka_unit_test(operations_are_shed_by_connection_and_then_all),
        cmocka_unit_test(shares_of_the_wire_are_shed_in_their_direction),
        cmocka_unit_test(without_options_the_stated_bounds_hold),
        cmocka_unit_test(a_buffer_is_taken_over_from_half_its_size_on),
        cmocka_unit_test(a_body_beside_a_buffer_is_copied),
        cmocka_unit_test(what_is_held_at_the_end_is_given_up),
        cmocka_unit_test(a_large_body_is_taken_over_and_its_memory_goes_round),
        cmocka_unit_test(what_is_not_worth_it_is_copied),
        cmocka_unit_test(they_come_out_in_order_of_arrival),
        cmocka_unit_test(nothing_is_held_longer_than_the_hold),
        cmocka_unit_test(an_answer_finds_its_request_held_or_written),
        cmocka_unit_test(only_so_many_wait_for_an_answer),
        cmocka_unit_test(memory_is_shed_in_the_stated_order),
        cmocka_unit_test(where_much_is_held_the_earliest_that_may_go_do),
        cmocka_unit_test(a_leg_with_unreadable_headers_gets_the_id_of_another),
        cmocka_unit_test(all_that_wait_are_replaced_by_as_many),
        cmocka_unit_test(who_is_answered_is_not_waited_for_any_more),
        cmocka_unit_test(a_half_empty_buffer_weighs_as_a_full_one),
        cmocka_unit_test(few_that_come_in_any_order_come_out_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

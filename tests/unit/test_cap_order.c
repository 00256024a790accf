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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_large_body_is_taken_over_and_its_memory_goes_round),
        cmocka_unit_test(what_is_not_worth_it_is_copied),
        cmocka_unit_test(they_come_out_in_order_of_arrival),
        cmocka_unit_test(nothing_is_held_longer_than_the_hold),
        cmocka_unit_test(an_answer_finds_its_request_held_or_written),
        cmocka_unit_test(only_so_many_wait_for_an_answer),
        cmocka_unit_test(memory_is_shed_in_the_stated_order),
        cmocka_unit_test(where_much_is_held_the_earliest_that_may_go_do),
        cmocka_unit_test(a_leg_with_unreadable_headers_gets_the_id_of_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * test_kafka_join.c - records are joined by key: answers, errors, duplicates, what is
 * never answered, in every order, within bounds.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "check.h"

#include <stdio.h>
#include <string.h>

#include "capture/kafka_join.h"
#include "traces/base/buf.h"

struct rig {
    struct cap_kafka_join *j;
    struct buf story; /* a line per thing told */
    struct err e;
};

static int hear(void *arg, enum cap_part part, struct cap_record *r, struct err *e)
{
    struct buf *b = &((struct rig *)arg)->story;
    (void)e;
    if (part == CAP_PART_ANSWER) {
        buf_fmt(b, "answer %u/%u", r->op.connection, r->op.conn_stream);
    } else {
        buf_fmt(b, "%s %s %.*s id=%.*s %.*s at=%d",
                part == CAP_PART_WHOLE ? "whole" : "request",
                op_resource_names[r->stream.resource], SPAN_ARG(r->stream.name),
                SPAN_ARG(r->op.id), SPAN_ARG(r->op.request.data),
                (int)(r->at.ns / CLK_MS));
        check_int(r->stream.protocol, ==, OP_KAFKA);
        check_int(r->stream.tier, ==, OP_TIER_KAFKA);
    }
    if (r->op.first_ns != OP_TIME_NONE)
        buf_fmt(b, " -> %u %.*s +%d", r->op.status, SPAN_ARG(r->op.response.data),
                (int)(r->op.last_ns / CLK_MS));
    buf_str(b, "\n");
    return 0;
}

static void start(struct rig *g, size_t memory)
{
    *g = (struct rig){0};
    struct cap_kafka_join_options o = {.take = hear,
                                       .arg = g,
                                       .answer_wait_ns = 120 * CLK_SEC,
                                       .memory_bytes = memory};
    check_ok(cap_kafka_join_new(&g->j, &o, &g->e), &g->e);
}

static void stop(struct rig *g)
{
    cap_kafka_join_free(g->j);
    buf_done(&g->story);
}

/* The story so far, which then begins anew. */
static void told(struct rig *g, const char *want)
{
    check_str(buf_text(&g->story), want);
    buf_reset(&g->story);
}

static int64_t offsets;

static void give(struct rig *g, const char *topic, int at_ms, const char *key,
                 const char *value, const struct op_header *headers, uint32_t n)
{
    struct span name = span_str(topic);
    struct cap_kafka_record r = {.topic = kafka_topic_of(name, "seldon", "ns"),
                                 .topic_name = name,
                                 .source = 7,
                                 .offset = offsets++,
                                 .clock = CAP_KAFKA_CLOCK_CREATE,
                                 .at = {at_ms * CLK_MS},
                                 .key = span_str(key),
                                 .value = span_str(value),
                                 .headers = headers,
                                 .header_count = n};
    check_ok(cap_kafka_join_add(g->j, &r, &g->e), &g->e);
}

#define IN   "seldon.ns.model.iris.inputs"
#define OUT  "seldon.ns.model.iris.outputs"
#define ERRS "seldon.ns.errors.errors"

static void requests_meet_their_answers_in_all_key_styles(void **state)
{
    (void)state;
    struct rig g;
    start(&g, 1 << 20);
    give(&g, IN, 1000, "a1", "in", NULL, 0);
    give(&g, IN, 1001, "iris.a2", "in", NULL, 0);
    give(&g, IN, 1002, "0.iris.a3", "in", NULL, 0);
    check_int(cap_kafka_join_oldest(g.j, (struct clk_wall){INT64_MAX}).ns, ==,
              1000 * CLK_MS);
    give(&g, OUT, 1010, "0.iris.a3", "out3", NULL, 0);
    give(&g, OUT, 1011, "a1", "out1", NULL, 0);
    give(&g, OUT, 1012, "iris.a2", "out2", NULL, 0);
    told(&g, "whole model iris id=a3 in at=1002 -> 200 out3 +8\n"
             "whole model iris id=a1 in at=1000 -> 200 out1 +11\n"
             "whole model iris id=a2 in at=1001 -> 200 out2 +11\n");
    const struct cap_kafka_counts *n = cap_kafka_join_counts(g.j);
    check_int(n->keys[KAFKA_KEY_ID], ==, 1);
    check_int(n->keys[KAFKA_KEY_NAME_ID], ==, 1);
    check_int(n->keys[KAFKA_KEY_PARTITION_NAME_ID], ==, 1);
    check_int(n->answered, ==, 3);
    check_int(n->clocks[CAP_KAFKA_CLOCK_CREATE], ==, 6);
    stop(&g);
}

static void headers_name_the_pipeline_and_the_id(void **state)
{
    (void)state;
    const struct op_header h[] = {{SPAN_LIT("pipeline"), SPAN_LIT("pipe")},
                                  {SPAN_LIT("x-request-id"), SPAN_LIT("first")},
                                  {SPAN_LIT("x-request-id"), SPAN_LIT("last")}};
    struct rig g;
    start(&g, 1 << 20);
    give(&g, IN, 5, "3.pipe.abc", "in", h, 1);
    give(&g, OUT, 6, "3.pipe.abc", "out", h, 1);
    give(&g, "seldon.ns.pipeline.pipe.inputs", 7, "3.pipe.d", "in", h, 3);
    give(&g, "seldon.ns.pipeline.pipe.outputs", 9, "3.pipe.d", "out", h, 3);
    told(&g, "whole model iris id=abc in at=5 -> 200 out +1\n"
             "whole pipeline pipe id=last in at=7 -> 200 out +2\n");
    stop(&g);
}

static void errors_answer_the_model_they_name(void **state)
{
    (void)state;
    const struct op_header h[] = {
        {SPAN_LIT("pipeline"), SPAN_LIT("p")},
        {SPAN_LIT("seldon-pipeline-errors"), SPAN_LIT("iris")}};
    struct rig g;
    start(&g, 1 << 20);
    give(&g, "seldon.ns.pipeline.p.inputs", 1, "0.p.x", "in", h, 1);
    give(&g, IN, 1, "0.p.x", "in", h, 1);
    give(&g, ERRS, 4, "0.p.x", "bad tensor", h, 2);
    give(&g, "seldon.ns.pipeline.p.outputs", 4, "0.p.x", "bad tensor", h, 2);
    told(&g, "whole model iris id=x in at=1 -> 400 bad tensor +3\n"
             "whole pipeline p id=x in at=1 -> 400 bad tensor +3\n");
    give(&g, ERRS, 5, "0.p.x", "names no model", h, 1);
    const struct cap_kafka_counts *n = cap_kafka_join_counts(g.j);
    check_int(n->failed, ==, 2);
    check_int(n->unmatched, ==, 1);
    stop(&g);
}

static void framing_is_no_part_of_a_body(void **state)
{
    (void)state;
    struct rig g;
    start(&g, 1 << 20);
    struct span name = SPAN_LIT(IN);
    struct cap_kafka_record r = {.topic = kafka_topic_of(name, "seldon", "ns"),
                                 .topic_name = name,
                                 .clock = CAP_KAFKA_CLOCK_APPEND,
                                 .key = SPAN_LIT("k"),
                                 .value = SPAN_LIT("\0\0\0\0\1\0in")};
    check_ok(cap_kafka_join_add(g.j, &r, &g.e), &g.e);
    give(&g, OUT, 3, "k", "{\"x\":1}", NULL, 0);
    told(&g, "whole model iris id=k in at=0 -> 200 {\"x\":1} +3\n");
    check_int(cap_kafka_join_counts(g.j)->framed, ==, 1);
    check_int(cap_kafka_join_counts(g.j)->clocks[CAP_KAFKA_CLOCK_APPEND], ==, 1);
    stop(&g);
}

static void an_answer_may_come_before_its_request(void **state)
{
    (void)state;
    struct rig g;
    start(&g, 1 << 20);
    give(&g, OUT, 1000, "k", "out", NULL, 0);
    told(&g, "");
    give(&g, IN, 1002, "k", "in", NULL, 0);
    told(&g, "whole model iris id=k in at=1002 -> 200 out +0\n");
    check_int(cap_kafka_join_counts(g.j)->backwards, ==, 1);
    give(&g, OUT, 1003, "nobody", "out", NULL, 0);
    check_ok(cap_kafka_join_time(g.j, (struct clk_wall){5 * CLK_SEC}, &g.e), &g.e);
    check_int(cap_kafka_join_counts(g.j)->unmatched, ==, 1);
    stop(&g);
}

static void slow_answers_come_apart(void **state)
{
    (void)state;
    struct rig g;
    start(&g, 1 << 20);
    offsets = 40;
    give(&g, IN, 0, "slow", "in", NULL, 0);
    give(&g, IN, 0, "never", "in", NULL, 0);
    check_ok(cap_kafka_join_time(g.j, (struct clk_wall){2999 * CLK_MS}, &g.e), &g.e);
    told(&g, "");
    check_ok(cap_kafka_join_time(g.j, (struct clk_wall){3000 * CLK_MS}, &g.e), &g.e);
    told(&g, "request model iris id=slow in at=0\n"
             "request model iris id=never in at=0\n");
    give(&g, OUT, 90000, "slow", "out", NULL, 0);
    told(&g, "answer 7/40 -> 200 out +90000\n");
    check_ok(cap_kafka_join_time(g.j, (struct clk_wall){124 * CLK_SEC}, &g.e), &g.e);
    check_int(cap_kafka_join_counts(g.j)->unanswered, ==, 1);
    give(&g, OUT, 124001, "never", "out", NULL, 0);
    check_ok(cap_kafka_join_flush(g.j, &g.e), &g.e);
    told(&g, "");
    check_int(cap_kafka_join_counts(g.j)->unmatched, ==, 1);
    check_int(cap_kafka_join_counts(g.j)->held_keys, ==, 0);
    check_int(cap_kafka_join_counts(g.j)->held_bytes, ==, 0);
    stop(&g);
}

static void repeated_keys_are_answered_in_order_and_duplicates_are_told(void **state)
{
    (void)state;
    struct rig g;
    start(&g, 1 << 20);
    give(&g, IN, 1, "k", "one", NULL, 0);
    give(&g, IN, 2, "k", "two", NULL, 0);
    give(&g, OUT, 3, "k", "ONE", NULL, 0);
    give(&g, OUT, 4, "k", "TWO", NULL, 0);
    give(&g, OUT, 5, "k", "TWO", NULL, 0);
    told(&g, "whole model iris id=k one at=1 -> 200 ONE +2\n"
             "whole model iris id=k two at=2 -> 200 TWO +2\n");
    const struct cap_kafka_counts *n = cap_kafka_join_counts(g.j);
    check_int(n->repeated, ==, 1);
    check_int(n->duplicates, ==, 1);
    check_int(n->unmatched, ==, 0);
    stop(&g);
}

static void what_cannot_be_joined_is_told_and_counted(void **state)
{
    (void)state;
    struct rig g;
    start(&g, 1 << 20);
    give(&g, IN, 1, "", "in", NULL, 0);
    give(&g, OUT, 1, "", "out", NULL, 0);
    give(&g, "seldon.ns.elsewhere", 1, "k", "in", NULL, 0);
    struct span name = SPAN_LIT(IN);
    struct cap_kafka_record r = {.topic = kafka_topic_of(name, "seldon", "ns"),
                                 .topic_name = name,
                                 .key = SPAN_LIT("k")};
    check_ok(cap_kafka_join_add(g.j, &r, &g.e), &g.e);
    give(&g, IN, 2, "open", "in", NULL, 0);
    check_ok(cap_kafka_join_flush(g.j, &g.e), &g.e);
    told(&g, "whole model iris id= in at=1\n"
             "whole model iris id=open in at=2\n");
    const struct cap_kafka_counts *n = cap_kafka_join_counts(g.j);
    check_int(n->keyless, ==, 1);
    check_int(n->unmatched, ==, 1);
    check_int(n->others, ==, 1);
    check_int(n->untimed, ==, 1);
    check_int(n->unanswered, ==, 2);
    check_int(n->inputs, ==, n->told + n->untimed + n->refused);
    stop(&g);
}

static void memory_is_bounded_and_no_request_is_lost(void **state)
{
    (void)state;
    struct rig g;
    start(&g, 20000);
    char key[32];
    for (int i = 0; i < 1000; i++) {
        snprintf(key, sizeof key, "k%d", i);
        give(&g, IN, i, key, "a body of some length, and then some", NULL, 0);
        check_int(cap_kafka_join_counts(g.j)->held_bytes, <=, 20000);
    }
    for (int i = 0; i < 1000; i++) /* one key that is repeated is bounded too */
        give(&g, IN, 1000, "same", "in", NULL, 0);
    check_ok(cap_kafka_join_flush(g.j, &g.e), &g.e);
    const struct cap_kafka_counts *n = cap_kafka_join_counts(g.j);
    check_int(n->told, ==, 2000);
    check_int(n->unanswered, ==, 2000);
    check_int(n->forgotten, >, 0);
    check_int(n->held_bytes, ==, 0);
    stop(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_meet_their_answers_in_all_key_styles),
        cmocka_unit_test(headers_name_the_pipeline_and_the_id),
        cmocka_unit_test(errors_answer_the_model_they_name),
        cmocka_unit_test(framing_is_no_part_of_a_body),
        cmocka_unit_test(an_answer_may_come_before_its_request),
        cmocka_unit_test(slow_answers_come_apart),
        cmocka_unit_test(repeated_keys_are_answered_in_order_and_duplicates_are_told),
        cmocka_unit_test(what_cannot_be_joined_is_told_and_counted),
        cmocka_unit_test(memory_is_bounded_and_no_request_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

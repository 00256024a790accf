/*
 * test_suspects.c - wrong answers are told from answers of other requests by tensors.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "replay/answer.h"
#include "replay/plan.h"
#include "replay/suspects.h"
#include "traces/container/trc_writer.h"
#include "traces/payload/model_type.h"
#include "traces/payload/v2_json.h"

#define COUNT 1000

static char folder[64], path[128];
static enum out_check decided_as[COUNT];
static int decisions;

static void decided(void *arg, struct rep_request *r)
{
    (void)arg;
    check_true(decided_as[r->out.op_index] == OUT_CHECK_COUNT); /* once */
    decided_as[r->out.op_index] = r->out.check;
    decisions++;
}

static void write_trace(void)
{
    const struct op_stream s = {
        .protocol = OP_REST, .name = SPAN_LIT("t"), .model_type = SPAN_LIT("tfsimple")};
    const struct model_type *type = model_type_find(s.model_type);
    struct trc_options options = {.kind = TRC_TRACE};
    struct trc_writer *w;
    struct buf body = {0};
    struct err e = {0};

    check_ok(trc_writer_open(&w, path, &options, &e), &e);
    for (uint64_t i = 0; i < COUNT; i++) {
        struct mt_request q = {
            .protocol = OP_REST, .batch = 1, .values = MT_RANDOM, .ordinal = i};
        struct op op = op_empty();
        buf_reset(&body);
        check_ok(model_type_request(type, &q, &body, &e), &e);
        op.index = i;
        op.arrival_ns = (int64_t)i;
        op.stream = &s;
        op.request = op_body_of(buf_view(&body));
        check_ok(trc_writer_op(w, &op, &e), &e);
    }
    check_ok(trc_writer_close(w, &e), &e);
    buf_done(&body);
}

static void answer_well(struct rep_request *r)
{
    struct pay_message q, answer;
    struct arena a = {0};
    struct err e = {0};
    check_ok(v2_json_parse_request(r->body, &a, &q, &e), &e);
    check_ok(
        model_type_answer(model_type_find(SPAN_LIT("tfsimple")), &q, &a, &answer, &e),
        &e);
    v2_json_response(&answer, &r->answer);
    r->out.cause = OUT_OK;
    arena_done(&a);
}

static void exchange(struct rep_request **r, int i, int k)
{
    struct buf kept = r[i]->answer;
    r[i]->answer = r[k]->answer;
    r[k]->answer = kept;
}

static void take_all(struct rep_plan *p, struct rep_request *out[COUNT])
{
    int n = 0;
    while (n < COUNT) {
        struct rep_request *r = rep_plan_take(p, 0);
        for (; r; r = r->next)
            out[n++] = r;
        if (n < COUNT)
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    for (int i = 0; i < COUNT; i++)
        out[i]->next = NULL;
}

/* COUNT requests, each answered well. */
static struct rep_plan *plan_answered(struct rep_request **r)
{
    const struct rep_plan_config config = {.trace = path,
                                           .tier = OP_TIER_SERVER,
                                           .http = "h:1",
                                           .rest_wanted = true,
                                           .speed = {1, 1},
                                           .versions = {.common = 1},
                                           .limit_ns = REP_NEVER,
                                           .workers = 1};
    struct rep_plan *p;
    struct err e = {0};

    write_trace();
    check_ok(rep_plan_open(&p, &config, &e), &e);
    check_ok(rep_plan_start(p, &e), &e);
    take_all(p, r);
    for (int i = 0; i < COUNT; i++) {
        answer_well(r[i]);
        decided_as[i] = OUT_CHECK_COUNT;
    }
    decisions = 0;
    return p;
}

/* Judges request i, and takes it for one that may be a suspect. */
static void add(struct rep_suspects *s, struct rep_request *r, int64_t now_ns)
{
    const struct rep_answer_want want = {.model = true};
    struct arena a = {0};
    struct err why = {0};

    rep_answer_judge(r, &want, &a, &why);
    rep_suspects_add(s, r, now_ns);
    arena_done(&a);
}

static void close_plan(struct rep_plan *p)
{
    struct err e = {0};
    check_ok(rep_plan_join(p, &e), &e);
    rep_plan_close(p); /* what was not released shows under AddressSanitizer */
}

static void exchanged_answers_are_found_near_and_far_ones_stay_wrong(void **state)
{
    struct rep_suspects s = {.decided = decided};
    struct rep_request *r[COUNT];
    struct rep_plan *p = plan_answered(r);
    (void)state;
    exchange(r, 10, 11);
    exchange(r, 20, 200);
    exchange(r, 30, 600);      /* too far apart */
    buf_reset(&r[40]->answer); /* nobody's */
    buf_str(&r[40]->answer, "{\"outputs\":[]}");
    exchange(r, COUNT - 1, COUNT - 2);
    for (int i = 0; i < COUNT; i++)
        add(&s, r[i], i);
    rep_suspects_done(&s);
    check_int(decisions, ==, COUNT);
    for (int i = 0; i < COUNT; i++)
        check_int(decided_as[i], ==,
                  i == 10 || i == 11 || i == 20 || i == 200 || i >= COUNT - 2
                      ? OUT_CROSSED
                  : i == 30 || i == 40 || i == 600 ? OUT_WRONG
                                                   : OUT_RIGHT);
    close_plan(p);
}

static void no_outcome_waits_longer_than_its_time(void **state)
{
    struct rep_suspects s = {.decided = decided};
    struct rep_request *r[COUNT];
    struct rep_plan *p = plan_answered(r);
    (void)state;
    exchange(r, 0, 3);
    exchange(r, 1, 2);
    add(&s, r[0], 0);
    add(&s, r[1], CLK_MS);
    rep_suspects_tick(&s, REP_SUSPECTS_NS - 1);
    check_int(decisions, ==, 0);
    rep_suspects_tick(&s, REP_SUSPECTS_NS);
    check_int(decisions, ==, 1);
    check_int(decided_as[0], ==, OUT_WRONG);
    add(&s, r[2], REP_SUSPECTS_NS); /* in time for the second */
    check_int(decisions, ==, 3);
    check_int(decided_as[1], ==, OUT_CROSSED);
    check_int(decided_as[2], ==, OUT_CROSSED);
    for (int i = 3; i < COUNT; i++)
        add(&s, r[i], REP_SUSPECTS_NS + i);
    check_int(decided_as[3], ==, OUT_CROSSED); /* the first is still remembered */
    rep_suspects_done(&s);
    check_int(decisions, ==, COUNT);
    close_plan(p);
}

static int setup(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/reprise-test-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/t.trace", folder);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exchanged_answers_are_found_near_and_far_ones_stay_wrong),
        cmocka_unit_test(no_outcome_waits_longer_than_its_time),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

/*
 * test_sessions.c - what a session is, and what of it is due when.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/check.h"

#include <string.h>

#include "replay/sessions.h"

static const struct rep_speed twice = {2, 1};

static struct rep_request booked(struct rep_session_book *b, uint32_t client,
                                 uint32_t connection, int64_t arrival, int64_t last)
{
    struct rep_request r = {0};
    struct op op = op_empty();
    op.client = client;
    op.connection = connection;
    op.arrival_ns = arrival;
    op.last_ns = last;
    check_ok(rep_session_book_add(b, &op, twice, &r, NULL), NULL);
    return r;
}

static void think_time_is_what_the_answer_leaves(void **state)
{
    struct rep_session_book b = {0};
    (void)state;
    struct rep_request r = booked(&b, 7, OP_NONE, 100, 30);
    check_int(r.session, ==, 0);
    check_int(r.think_ns, ==, -1);
    r = booked(&b, 7, OP_NONE, 200, OP_TIME_NONE);
    check_int(r.session, ==, 0);
    check_int(r.think_ns, ==, (200 - 130) / 2);
    r = booked(&b, 7, OP_NONE, 260, 1000); /* its answer's end was not recorded */
    check_int(r.think_ns, ==, 60 / 2);
    r = booked(&b, 7, OP_NONE, 300, 1); /* sent before the answer came */
    check_int(r.think_ns, ==, 0);
    check_int(b.thinks, ==, 3);
    check_int(b.gaps, ==, 1);
    rep_session_book_done(&b);
}

static void a_session_is_a_client_else_a_connection(void **state)
{
    struct rep_session_book b = {0};
    (void)state;
    check_int(booked(&b, 7, 1, 0, 1).session, ==, 0);
    check_int(booked(&b, 7, 2, 1, 1).session, ==, 0);
    check_int(booked(&b, OP_NONE, 7, 2, 1).session, ==, 1);
    check_int(booked(&b, OP_NONE, OP_NONE, 3, 1).session, ==, OP_NONE);
    check_int(booked(&b, OP_NONE, 7, 4, 1).session, ==, 1);
    for (uint32_t i = 0; i < 5000; i++)
        check_int(booked(&b, i + 100, OP_NONE, 5, 1).session, ==, 2 + i);
    check_int(booked(&b, 7, OP_NONE, 6, 1).session, ==, 0);
    check_int(b.count, ==, 5002);
    rep_session_book_done(&b);
}

static void add(struct rep_sessions *s, struct rep_request *r, int64_t due)
{
    int64_t wanted = due;
    check_ok(rep_sessions_add(s, r, &due, NULL), NULL);
    check_true(due == wanted || due == REP_NEVER || r->think_ns >= 0);
}

static void what_is_due_first_comes_first(void **state)
{
    enum { N = 300 };
    static struct rep_request r[N];
    struct rep_sessions s = {.workers = 1};
    (void)state;
    for (uint32_t i = 0; i < N; i++) {
        r[i] = (struct rep_request){.session = OP_NONE, .think_ns = -1};
        r[i].out.op_index = i;
        r[i].out.due_ns = (i * 7919) % 97;
        add(&s, &r[i], r[i].out.due_ns);
    }
    const struct rep_request *last = NULL, *next;
    for (int i = 0; i < N; i++) {
        check_true(rep_sessions_first(&s) != NULL);
        next = rep_sessions_pop(&s);
        check_true(!last || last->out.due_ns < next->out.due_ns ||
                   (last->out.due_ns == next->out.due_ns &&
                    last->out.op_index < next->out.op_index));
        last = next;
    }
    check_true(rep_sessions_pop(&s) == NULL);
    rep_sessions_done(&s);
}

static void a_later_operation_waits_for_the_one_before(void **state)
{
    struct rep_request r[3] = {{.session = 3, .think_ns = -1},
                               {.session = 3, .think_ns = 10},
                               {.session = 3, .think_ns = 20}};
    struct rep_sessions s = {.workers = 2, .stops = true};
    (void)state;
    for (int i = 0; i < 3; i++)
        add(&s, &r[i], r[i].out.due_ns = i);
    check_true(rep_sessions_pop(&s) == &r[0]);
    check_true(rep_sessions_first(&s) == NULL); /* nothing more is known to be due */
    r[0].out.cause = OUT_OK;
    rep_sessions_ended(&s, &r[0], 1000);
    check_true(rep_sessions_pop(&s) == &r[1]);
    check_int(r[1].out.due_ns, ==, 1010);
    r[1].out.cause = OUT_RESET;
    rep_sessions_ended(&s, &r[1], 2000);
    check_true(rep_sessions_first(&s) == &r[2]);
    check_int(r[2].out.due_ns, ==, 2020);
    check_str_has(r[2].refusal, "--on-session-error stop");
    check_true(rep_sessions_drain(&s) == &r[2]);
    check_true(rep_sessions_drain(&s) == NULL);
    rep_sessions_done(&s);
}

static void what_nobody_waits_for_any_more_is_given_back(void **state)
{
    struct rep_request r[6] = {0};
    struct rep_sessions s = {.workers = 1};
    (void)state;
    for (uint32_t i = 0; i < 6; i++) {
        r[i].session = i % 2;
        r[i].think_ns = i < 2 ? -1 : 5;
        add(&s, &r[i], 0);
    }
    check_true(rep_sessions_pop(&s) != NULL);
    int given = 0;
    while (rep_sessions_drain(&s))
        given++;
    check_int(given, ==, 5);
    check_int(s.held, ==, 0);
    rep_sessions_done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(think_time_is_what_the_answer_leaves),
        cmocka_unit_test(a_session_is_a_client_else_a_connection),
        cmocka_unit_test(what_is_due_first_comes_first),
        cmocka_unit_test(a_later_operation_waits_for_the_one_before),
        cmocka_unit_test(what_nobody_waits_for_any_more_is_given_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

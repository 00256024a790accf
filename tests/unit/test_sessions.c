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
    int rc = rep_session_book_add(b, &op, twice, &r, NULL);
    check_int(rc, ==, 0);
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

/* Takes the next of the plan; what was told of its due time. */
static int64_t add(struct rep_sessions *s, struct rep_request *r)
{
    int64_t due = -77;
    int rc = rep_sessions_add(s, r, &due, NULL);
    check_int(rc, ==, 0);
    check_true(due != -77);
    return due;
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
        check_int(add(&s, &r[i]), ==, (i * 7919) % 97); /* by the schedule */
    }
    check_int(s.held, ==, N);
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
    check_true(rep_sessions_first(&s) == NULL);
    check_int(s.held, ==, 0);
    rep_sessions_done(&s);
    check_true(s.heap == NULL && s.sessions == NULL);
}

/* Taken and given in turns, so that the heap has every size. */
static void what_is_due_first_comes_first_of_any_number(void **state)
{
    enum { N = 5000 };
    static struct rep_request r[N];
    struct rep_sessions s = {.workers = 3};
    uint32_t seed = 1;
    uint64_t out = 0, in = 0;
    (void)state;
    while (out < N) {
        seed = seed * 1664525 + 1013904223;
        if (in < N && (in == out || seed >> 30 != 0)) {
            r[in] = (struct rep_request){.session = OP_NONE, .think_ns = -1};
            r[in].out.op_index = in;
            r[in].out.due_ns = (int64_t)(seed >> 8 & 1023);
            check_int(add(&s, &r[in]), ==, (int64_t)(seed >> 8 & 1023));
            in++;
            continue;
        }
        const struct rep_request *first = rep_sessions_pop(&s), *next;
        out++;
        check_int(s.held, ==, in - out);
        next = rep_sessions_first(&s);
        check_true((next == NULL) == (in == out));
        check_true(!next || first->out.due_ns < next->out.due_ns ||
                   (first->out.due_ns == next->out.due_ns &&
                    first->out.op_index < next->out.op_index));
    }
    rep_sessions_done(&s);
}

static void a_later_operation_waits_for_the_one_before(void **state)
{
    struct rep_request r[3] = {{.session = 3, .think_ns = -1},
                               {.session = 3, .think_ns = 10},
                               {.session = 3, .think_ns = 20}};
    struct rep_sessions s = {.workers = 2, .stops = true};
    (void)state;
    for (int i = 0; i < 3; i++) {
        r[i].out.due_ns = i;
        check_int(add(&s, &r[i]), ==, i == 0 ? 0 : REP_NEVER);
    }
    check_int(s.held, ==, 3);
    check_true(rep_sessions_pop(&s) == &r[0]);
    check_true(rep_sessions_first(&s) == NULL); /* nothing more is known to be due */
    r[0].out.cause = OUT_OK;
    rep_sessions_ended(&s, &r[0], 1000);
    check_true(rep_sessions_pop(&s) == &r[1]);
    check_int(r[1].out.due_ns, ==, 1010);
    check_true(r[1].refusal == NULL);
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
        check_int(add(&s, &r[i]), ==, i < 2 ? 0 : REP_NEVER);
    }
    struct rep_request *given = rep_sessions_pop(&s);
    for (int n = 5; n > 0; n--) { /* each once */
        check_true(given != NULL && given->think_ns != 99);
        given->think_ns = 99;
        check_int(s.held, ==, n);
        given = rep_sessions_drain(&s);
    }
    check_true(given != NULL && given->think_ns != 99);
    check_true(rep_sessions_drain(&s) == NULL);
    check_int(s.held, ==, 0);
    rep_sessions_done(&s);
}

/* Its session is idle: then it is due its think time after the end that is known, and
 * the next has to wait for it again. */
static void one_that_comes_after_the_end_is_due_at_once(void **state)
{
    struct rep_request r[4] = {{.session = 5, .think_ns = -1},
                               {.session = 5, .think_ns = 30},
                               {.session = 5, .think_ns = 1},
                               {.session = 5, .think_ns = 0}};
    struct rep_sessions s = {.workers = 1};
    (void)state;
    r[0].out.due_ns = 100;
    check_int(add(&s, &r[0]), ==, 100);
    check_true(rep_sessions_pop(&s) == &r[0]);
    r[0].out.cause = OUT_RESET;
    rep_sessions_ended(&s, &r[0], 400);
    check_int(add(&s, &r[1]), ==, 430);
    check_int(r[1].out.due_ns, ==, 430);
    check_true(r[1].refusal == NULL); /* sessions go on unless told to stop */
    check_int(add(&s, &r[2]), ==, REP_NEVER);
    check_true(rep_sessions_pop(&s) == &r[1]);
    check_true(rep_sessions_pop(&s) == NULL);
    check_int(s.held, ==, 1);
    r[1].out.cause = OUT_OK;
    rep_sessions_ended(&s, &r[1], 500);
    check_int(add(&s, &r[3]), ==, REP_NEVER); /* r[2] is under way */
    check_true(rep_sessions_pop(&s) == &r[2]);
    check_int(r[2].out.due_ns, ==, 501);
    rep_sessions_ended(&s, &r[2], 600);
    check_true(rep_sessions_pop(&s) == &r[3]);
    check_int(r[3].out.due_ns, ==, 600);
    rep_sessions_ended(&s, &r[3], 700);
    check_true(rep_sessions_first(&s) == NULL);
    check_int(s.held, ==, 0);
    rep_sessions_done(&s);
}

static void a_session_that_failed_stays_so_and_others_go_on(void **state)
{
    struct rep_request r[6] = {
        {.session = 0, .think_ns = -1}, {.session = 1, .think_ns = -1},
        {.session = 0, .think_ns = 5},  {.session = 1, .think_ns = 6},
        {.session = 0, .think_ns = 7},  {.session = OP_NONE, .think_ns = -1}};
    struct rep_sessions s = {.workers = 1, .stops = true};
    (void)state;
    for (int i = 0; i < 6; i++)
        add(&s, &r[i]);
    r[4].refusal = "for a reason of its own";
    r[0].out.cause = OUT_RESET;
    rep_sessions_ended(&s, &r[0], 10);
    rep_sessions_ended(&s, &r[1], 10);
    r[5].out.cause = OUT_RESET;
    rep_sessions_ended(&s, &r[5], 10); /* of no session: nothing follows it */
    check_str_has(r[2].refusal, "--on-session-error stop");
    check_true(r[3].refusal == NULL);
    rep_sessions_ended(&s, &r[2], 20); /* though this one did not fail */
    check_str(r[4].refusal, "for a reason of its own");
    check_int(r[4].out.due_ns, ==, 27);
    while (rep_sessions_drain(&s))
        ;
    rep_sessions_done(&s);
    check_int(s.workers, ==, 1);
    check_true(s.stops);
}

/* Sessions are dealt to workers: this one has each third, far apart. */
static void many_sessions_keep_apart(void **state)
{
    enum { N = 1200 };
    static struct rep_request first[N], second[N], third[N];
    struct rep_sessions s = {.workers = 3};
    (void)state;
    for (uint32_t i = 0; i < N; i++) {
        uint32_t session = 3 * ((i * 7) % N) + 1;
        first[i] = (struct rep_request){.session = session, .think_ns = -1};
        first[i].out.due_ns = i;
        second[i] = (struct rep_request){.session = session, .think_ns = i + 1};
        third[i] = (struct rep_request){.session = session, .think_ns = 1};
        check_int(add(&s, &first[i]), ==, i);
        check_int(add(&s, &second[i]), ==, REP_NEVER);
        check_int(add(&s, &third[i]), ==, REP_NEVER);
    }
    check_int(s.held, ==, 3 * N);
    for (uint32_t i = 0; i < N; i++)
        check_true(rep_sessions_pop(&s) == &first[i]);
    check_true(rep_sessions_pop(&s) == NULL);
    for (uint32_t i = 0; i < N; i++) {
        rep_sessions_ended(&s, &first[i], 10000 - i);
        check_true(rep_sessions_pop(&s) == &second[i]);
        check_int(second[i].out.due_ns, ==, 10001);
        check_true(second[i].next == NULL);
        rep_sessions_ended(&s, &second[i], 20000 + i);
        check_true(rep_sessions_pop(&s) == &third[i]);
        check_int(third[i].out.due_ns, ==, 20001 + i);
        rep_sessions_ended(&s, &third[i], 30000);
        check_true(rep_sessions_first(&s) == NULL);
    }
    check_int(s.held, ==, 0);
    rep_sessions_done(&s);
}

static void ordinals_of_all_sizes_are_sessions_of_their_own(void **state)
{
    struct rep_session_book b = {0};
    (void)state;
    /* Clients and connections of the same numbers, 0 among them. */
    for (uint32_t round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < 3000; i++) {
            check_int(booked(&b, i, OP_NONE, 0, 1).session, ==, 2 * i);
            check_int(booked(&b, OP_NONE, i, 0, 1).session, ==, 2 * i + 1);
        }
        check_int(b.count, ==, 6000);
    }
    check_int(b.thinks, ==, 6000);
    check_true(2 * b.count <= b.capacity);
    check_int(booked(&b, OP_NONE - 1, OP_NONE, 0, 1).session, ==, 6000);
    check_int(booked(&b, OP_NONE, OP_NONE - 1, 0, 1).session, ==, 6001);
    rep_session_book_done(&b);
    check_true(b.entries == NULL && b.capacity == 0 && b.count == 0);
}

static void no_more_than_the_stated_number_of_sessions_is_kept(void **state)
{
    struct rep_session_book b = {0};
    struct rep_request r = {0};
    struct err e = {0};
    struct op op = op_empty();
    (void)state;
    op.arrival_ns = 0;
    for (uint32_t i = 0; i < REP_SESSIONS_MAX; i++) {
        op.client = i;
        if (rep_session_book_add(&b, &op, twice, &r, &e) != 0 || r.session != i)
            fail_msg("session %u", i);
    }
    op.client++;
    check_int(rep_session_book_add(&b, &op, twice, &r, &e), ==, ERR_LIMIT);
    check_str_has(e.text, "more than 1048576 sessions");
    op.client = 5; /* those that are known go on */
    check_int(rep_session_book_add(&b, &op, twice, &r, &e), ==, 0);
    check_int(r.session, ==, 5);
    rep_session_book_done(&b);
}

static void an_answer_at_once_is_an_answer(void **state)
{
    struct rep_session_book b = {0};
    (void)state;
    booked(&b, 7, OP_NONE, 100, 0);
    check_int(booked(&b, 7, OP_NONE, 110, -1).think_ns, ==, 5);
    check_int(b.gaps, ==, 0);
    /* One that ended before it began says nothing. */
    check_int(booked(&b, 7, OP_NONE, 130, 1).think_ns, ==, 10);
    check_int(b.gaps, ==, 1);
    check_int(booked(&b, 7, OP_NONE, 133, 1).think_ns, ==, 1);
    check_int(booked(&b, 7, OP_NONE, 134, 1).think_ns, ==, 0); /* at its very end */
    check_int(b.thinks, ==, 4);
    struct rep_request r = {0};
    struct op op = op_empty();
    op.client = 7;
    op.arrival_ns = 136; /* a nanosecond behind it, at half the speed */
    check_int(rep_session_book_add(&b, &op, (struct rep_speed){1, 2}, &r, NULL), ==, 0);
    check_int(r.think_ns, ==, 2);
    rep_session_book_done(&b);
}

/* What stands in line keeps its place when more come behind it. */
static void more_of_a_session_stand_behind_those_that_wait(void **state)
{
    enum { N = 6 };
    struct rep_request r[N];
    struct rep_sessions s = {.workers = 1};
    (void)state;
    for (int i = 0; i < N; i++) {
        r[i] = (struct rep_request){.session = 256, .think_ns = 1, .next = &r[0]};
        if (i < 3)
            check_int(add(&s, &r[i]), ==, i ? REP_NEVER : 0);
    }
    check_true(s.capacity > 256);
    for (int i = 0; i < N; i++) {
        check_true(rep_sessions_pop(&s) == &r[i]);
        rep_sessions_ended(&s, &r[i], 10 * i);
        if (i + 3 < N)
            check_int(add(&s, &r[i + 3]), ==, REP_NEVER);
    }
    check_true(rep_sessions_first(&s) == NULL);
    r[0].next = &r[1];
    check_int(add(&s, &r[0]), ==, 10 * (N - 1) + 1);
    check_true(r[0].next == NULL);
    check_true(rep_sessions_drain(&s) == &r[0]);
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
        cmocka_unit_test(what_is_due_first_comes_first_of_any_number),
        cmocka_unit_test(one_that_comes_after_the_end_is_due_at_once),
        cmocka_unit_test(a_session_that_failed_stays_so_and_others_go_on),
        cmocka_unit_test(many_sessions_keep_apart),
        cmocka_unit_test(ordinals_of_all_sizes_are_sessions_of_their_own),
        cmocka_unit_test(no_more_than_the_stated_number_of_sessions_is_kept),
        cmocka_unit_test(an_answer_at_once_is_an_answer),
        cmocka_unit_test(more_of_a_session_stand_behind_those_that_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_schedule.c - due times, the pacer's margins, who waited for whom.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/check.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "replay/handoff.h"
#include "replay/pacer.h"
#include "replay/schedule.h"
#include "replay/slots.h"

static struct rep_speed speed(const char *text)
{
    struct err e = {0};
    struct rep_speed s = {0, 0};
    int rc = rep_speed_parse(text, &s, &e);
    check_ok(rc, &e);
    check_int(rc, ==, 0);
    return s;
}

static void due_times_are_exact_at_any_decimal_speed(void **state)
{
    (void)state;
    check_int(rep_schedule_due(speed("1"), 123456789), ==, 123456789);
    check_int(rep_schedule_due(speed("2"), 5), ==, 2);
    check_int(rep_schedule_due(speed("0.01"), 1), ==, 100);
    check_int(rep_schedule_due(speed("1000"), 999), ==, 0);
    check_int(rep_schedule_due(speed("1000"), 123456789000), ==, 123456789);
    /* A tenth is a tenth: no nanosecond is lost though 0.1 is no double. */
    check_int(rep_schedule_due(speed("0.1"), INT64_C(864000000000007)), ==,
              INT64_C(8640000000000070));
    check_int(rep_schedule_due(speed("1.1"), 11), ==, 10);
    check_int(rep_schedule_due(speed("0.3"), 1), ==, 3);
    check_int(rep_schedule_due(speed("0.333333333"), 333333333), ==, 1000000000);
}

static void long_traces_keep_every_nanosecond(void **state)
{
    const int64_t year = INT64_C(365) * 86400 * INT64_C(1000000000);
    (void)state;
    check_int(rep_schedule_due(speed("0.01"), 2 * year + 1), ==, 200 * year + 100);
    check_int(rep_schedule_due(speed("999.999999999"), 250 * year), ==,
              INT64_C(7884000000007884));
    check_int(rep_schedule_due(speed("0.01"), 3 * year), ==, REP_NEVER);
    check_int(rep_schedule_due(speed("1"), INT64_MAX), ==, REP_NEVER);
    check_int(rep_schedule_due(speed("1"), INT64_MAX - 1), ==, INT64_MAX - 1);
}

static void ten_minutes_end_on_the_nanosecond_at_every_speed(void **state)
{
    /* Tenths of each speed: the due time is the exact quotient, rounded down, for each
     * of 600,000 arrivals whose gaps are no round numbers; nothing adds up. */
    static const struct {
        const char *text;
        int64_t tenths;
    } speeds[] = {{"0.1", 1},  {"0.7", 7},  {"1", 10},
                  {"3.3", 33}, {"10", 100}, {"100", 1000}};
    const int64_t gap = 1000033;
    (void)state;
    for (size_t i = 0; i < sizeof speeds / sizeof *speeds; i++)
        for (int64_t n = 0; n < 600000; n++)
            if (rep_schedule_due(speed(speeds[i].text), n * gap) !=
                n * gap * 10 / speeds[i].tenths)
                fail_msg("operation %lld at speed %s", (long long)n, speeds[i].text);
}

static void due_times_never_step_back(void **state)
{
    static const char *const speeds[] = {"0.01", "0.7", "1", "3.3", "1000"};
    (void)state;
    for (size_t i = 0; i < sizeof speeds / sizeof *speeds; i++) {
        int64_t before = 0;
        for (int64_t at = 0; at < 100000; at += 7) {
            int64_t due = rep_schedule_due(speed(speeds[i]), at);
            check_int(due, >=, before);
            before = due;
        }
    }
}

static void speeds_that_are_none_are_refused(void **state)
{
    static const struct {
        const char *text, *why;
    } bad[] = {{"", "not"},
               {".", "not"},
               {"x", "not"},
               {"1x", "not"},
               {"-1", "not"},
               {"1e3", "not"},
               {" 1", "not"},
               {"1..2", "not"},
               {"1.2.", "not"},
               {"0.0100000001", "not"},
               {"0", "out of range"},
               {"0.009", "out of range"},
               {"0.0", "out of range"},
               {"0.009999999", "out of range"},
               {"1000.1", "out of range"},
               {"1000.000000001", "out of range"},
               {"1001", "out of range"},
               {"10000000000000", "out of range"},
               {"99999999999999999999", "out of range"},
               {"18446744073709551617.000000001", "out of range"},
               {"99999999999999999999x", "not"}};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct rep_speed s = {7, 3};
        struct err e = {0};
        char start[64];
        check_int(rep_speed_parse(bad[i].text, &s, &e), ==, ERR_USAGE);
        snprintf(start, sizeof start, "speed '%s' is ", bad[i].text);
        check_str_has(e.text, start);
        check_str_has(e.text, bad[i].why[0] == 'n' ? "is not a decimal number"
                                                   : "out of range: from 0.01 to 1000");
        check_true(s.num == 7 && s.den == 3);
    }
    check_int(speed("1000.000000000").den, ==, 1000000000);
    check_int(speed("0.010000000").num, ==, 10000000);
    check_int(speed(".5").num, ==, 5);
    check_int(speed("2.").den, ==, 1);
}

static void the_margin_covers_most_wake_ups_within_its_bounds(void **state)
{
    int64_t late[20];
    (void)state;
    for (int i = 0; i < 20; i++)
        late[i] = 10 * CLK_US;
    check_int(rep_pacer_margin(late, 20), ==, REP_MARGIN_MIN_NS);
    for (int i = 0; i < 20; i++)
        late[i] = (20 - i) * 8 * CLK_US; /* 90 % are within 152 us */
    check_int(rep_pacer_margin(late, 20), ==, 228 * CLK_US);
    for (int i = 0; i < 20; i++)
        late[i] = CLK_SEC;
    check_int(rep_pacer_margin(late, 20), ==, REP_MARGIN_MAX_NS);
    /* Of none nothing is known; of one it is that one. */
    check_int(rep_pacer_margin(late, 0), ==, REP_MARGIN_MIN_NS);
    late[0] = 100 * CLK_US;
    check_int(rep_pacer_margin(late, 1), ==, 150 * CLK_US);
    for (int i = 0; i < 20; i++) /* in any order */
        late[i] = ((i * 7) % 20 + 1) * 8 * CLK_US;
    check_int(rep_pacer_margin(late, 20), ==, 228 * CLK_US);
}

/* How late the sleeps of a clock are, in no order: 5, 10, … 160 us. */
static int64_t late_by_turns(void *arg)
{
    int *n = arg;
    return (int64_t)((*n)++ * 7 % 32 + 1) * 5 * CLK_US;
}

static void the_pacer_learns_its_margin_by_sleeping(void **state)
{
    struct rep_pacer p = {0};
    struct err e = {0};
    int sleeps = 0;
    (void)state;
    struct clk_hand *hand =
        clk_hand_new((struct clk_mono){1000}, (struct clk_wall){1000});
    assert_non_null(hand);
    clk_hand_run(hand, 1, late_by_turns, &sleeps);
    struct ev *ev = ev_new(clk_hand_clk(hand), &e);
    assert_non_null(ev);
    check_int(rep_pacer_calibrate(&p, ev, &e), ==, 0);
    check_int(sleeps, ==, 32);
    /* Nine of ten are within 145 us; to read the clock takes a nanosecond. */
    check_int(p.margin_ns, >=, 145 * CLK_US * 3 / 2);
    check_int(p.margin_ns, <, 145 * CLK_US * 3 / 2 + 10);
    check_int(clk_mono_now(clk_hand_clk(hand)).ns, >=, 1000 + 32 * 200 * CLK_US);
    ev_free(ev);
    clk_hand_free(hand);
}

static void the_pacer_sleeps_to_the_margin_and_then_only_polls(void **state)
{
    struct rep_pacer p = {.margin_ns = 100}, sleeper = {.margin_ns = 0};
    (void)state;
    check_int(rep_pacer_until(&p, 1000, 5000), ==, 4900);
    check_int(rep_pacer_until(&p, 4900, 5000), ==, 4900);
    check_int(rep_pacer_until(&p, 4999, 5000), ==, 4999);
    check_int(rep_pacer_until(&p, 5001, 5000), ==, 5001);
    check_int(rep_pacer_until(&sleeper, 4999, 5000), ==, 5000);
}

static void a_slot_that_was_always_free_makes_nobody_wait(void **state)
{
    static struct rep_slots s;
    (void)state;
    s = (struct rep_slots){0};
    check_int(rep_slots_take(&s, 2), ==, INT64_MIN);
    check_int(rep_slots_take(&s, 1), ==, INT64_MIN);
    rep_slots_freed(&s, 70);
    rep_slots_freed(&s, 80);
    check_int(rep_slots_take(&s, 2), ==, 70);
    check_int(rep_slots_take(&s, 1), ==, 80);
}

static void the_slot_that_is_free_longest_is_taken_first(void **state)
{
    static struct rep_slots s;
    (void)state;
    s = (struct rep_slots){0};
    rep_slots_freed(&s, 10);
    /* Three are free: two were never used, the third since 10. */
    check_int(rep_slots_take(&s, 3), ==, INT64_MIN);
    check_int(rep_slots_take(&s, 2), ==, INT64_MIN);
    check_int(rep_slots_take(&s, 1), ==, 10);
    /* The target now allows fewer streams than were freed. */
    rep_slots_freed(&s, 20);
    rep_slots_freed(&s, 30);
    rep_slots_freed(&s, 40);
    check_int(rep_slots_take(&s, 1), ==, 40);
}

static void a_full_ring_refuses_and_an_empty_one_gives_nothing(void **state)
{
    struct rep_handoff h;
    struct err e = {0};
    int things[5];
    (void)state;
    check_ok(rep_handoff_init(&h, 4, &e), &e);
    check_true(rep_handoff_take(&h) == NULL);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 4; i++)
            check_true(rep_handoff_put(&h, &things[i]));
        check_true(!rep_handoff_put(&h, &things[4]));
        for (int i = 0; i < 4; i++)
            check_true(rep_handoff_take(&h) == &things[i]);
        check_true(rep_handoff_take(&h) == NULL);
    }
    rep_handoff_done(&h);
}

#define HANDED 200000
static struct rep_handoff ring;
static int *handed;

static void *produce(void *arg)
{
    (void)arg;
    for (int i = 0; i < HANDED; i++) {
        handed[i] = i * 3;
        while (!rep_handoff_put(&ring, &handed[i]))
            sched_yield();
    }
    return NULL;
}

static void two_threads_see_everything_once_and_in_order(void **state)
{
    struct err e = {0};
    pthread_t t;
    (void)state;
    handed = calloc(HANDED, sizeof *handed);
    check_ok(rep_handoff_init(&ring, 64, &e), &e);
    check_int(pthread_create(&t, NULL, produce, NULL), ==, 0);
    for (int i = 0; i < HANDED;) {
        int *p = rep_handoff_take(&ring);
        if (!p) {
            sched_yield();
            continue;
        }
        if (*p != i * 3 || p != &handed[i])
            fail_msg("item %d came as %d", i, *p);
        i++;
    }
    pthread_join(t, NULL);
    check_true(rep_handoff_take(&ring) == NULL);
    rep_handoff_done(&ring);
    free(handed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(due_times_are_exact_at_any_decimal_speed),
        cmocka_unit_test(long_traces_keep_every_nanosecond),
        cmocka_unit_test(ten_minutes_end_on_the_nanosecond_at_every_speed),
        cmocka_unit_test(due_times_never_step_back),
        cmocka_unit_test(speeds_that_are_none_are_refused),
        cmocka_unit_test(the_margin_covers_most_wake_ups_within_its_bounds),
        cmocka_unit_test(the_pacer_learns_its_margin_by_sleeping),
        cmocka_unit_test(the_pacer_sleeps_to_the_margin_and_then_only_polls),
        cmocka_unit_test(a_slot_that_was_always_free_makes_nobody_wait),
        cmocka_unit_test(the_slot_that_is_free_longest_is_taken_first),
        cmocka_unit_test(a_full_ring_refuses_and_an_empty_one_gives_nothing),
        cmocka_unit_test(two_threads_see_everything_once_and_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

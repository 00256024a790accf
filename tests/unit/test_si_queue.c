/* test_si_queue.c - workers and their line. SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/check.h"

#include "deploy/standin/si_queue.h"

static void without_a_limit_nobody_waits(void **state)
{
    (void)state;
    struct si_queue q = {0};
    struct si_place places[100];
    for (int i = 0; i < 100; i++)
        check_true(si_queue_enter(&q, &places[i]));
    check_int(q.busy, ==, 100);
    for (int i = 0; i < 100; i++)
        check_true(si_queue_leave(&q) == NULL);
    check_int(q.busy, ==, 0);
    check_int(q.longest, ==, 0);
}

static void who_came_first_starts_first(void **state)
{
    (void)state;
    struct si_queue q = {.workers = 2};
    struct si_place places[6];
    for (int i = 0; i < 6; i++)
        check_int(si_queue_enter(&q, &places[i]), ==, i < 2);
    check_int(q.waiting, ==, 4);
    for (int i = 2; i < 6; i++) {
        check_true(si_queue_leave(&q) == &places[i]);
        check_int(q.busy, ==, 2);
    }
    check_true(si_queue_leave(&q) == NULL);
    check_true(si_queue_leave(&q) == NULL);
    check_int(q.busy, ==, 0);
    check_int(q.waiting, ==, 0);
    check_int(q.longest, ==, 4);
}

static void an_emptied_line_can_be_used_again(void **state)
{
    (void)state;
    struct si_queue q = {.workers = 1};
    struct si_place a, b, c;
    for (int round = 0; round < 3; round++) {
        check_true(si_queue_enter(&q, &a));
        check_true(!si_queue_enter(&q, &b));
        check_true(si_queue_leave(&q) == &b);
        check_true(!si_queue_enter(&q, &c));
        check_true(si_queue_leave(&q) == &c);
        check_true(si_queue_leave(&q) == NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_limit_nobody_waits),
        cmocka_unit_test(who_came_first_starts_first),
        cmocka_unit_test(an_emptied_line_can_be_used_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

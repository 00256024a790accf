/*
 * test_clk.c - two kinds of time, and the clock turned by hand.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/check.h"
#include "traces/base/clk.h"

static void a_hand_clock_stands_still_until_told(void **state)
{
    (void)state;
    struct clk_hand *h =
        clk_hand_new((struct clk_mono){100}, (struct clk_wall){CLK_SEC});
    assert_non_null(h);
    const struct clk *clk = clk_hand_clk(h);
    check_int(clk_mono_now(clk).ns, ==, 100);
    check_int(clk_mono_now(clk).ns, ==, 100);
    clk_hand_advance(h, 5 * CLK_US);
    check_int(clk_mono_now(clk).ns, ==, 5100);
    check_int(clk_wall_now(clk).ns, ==, CLK_SEC + 5000);
    clk_hand_step_wall(h, -CLK_MS);
    check_int(clk_mono_now(clk).ns, ==, 5100);
    check_int(clk_wall_now(clk).ns, ==, CLK_SEC + 5000 - CLK_MS);
    clk_hand_free(h);
    clk_hand_free(NULL);
}

static int64_t seven(void *arg)
{
    (*(int *)arg)++;
    return 7;
}

static void a_hand_clock_may_run_by_itself(void **state)
{
    (void)state;
    int sleeps = 0;
    struct clk_hand *h =
        clk_hand_new((struct clk_mono){100}, (struct clk_wall){CLK_SEC});
    const struct clk *clk = clk_hand_clk(h);
    check_true(!clk_passes(clk, (struct clk_mono){200})); /* not yet: it stands */
    check_int(clk_mono_now(clk).ns, ==, 100);
    clk_hand_run(h, 3, seven, &sleeps);
    check_int(clk_mono_now(clk).ns, ==, 100);
    check_int(clk_mono_now(clk).ns, ==, 103);
    check_true(clk_passes(clk, (struct clk_mono){CLK_SEC}));
    check_int(clk_mono_now(clk).ns, ==, CLK_SEC + 7);
    check_int(clk_wall_now(clk).ns, ==, 2 * CLK_SEC + 7 + 3 - 100);
    check_true(clk_passes(clk, (struct clk_mono){5})); /* past: nobody sleeps */
    check_int(sleeps, ==, 1);
    clk_hand_free(h);
    check_true(!clk_passes(clk_system(), (struct clk_mono){INT64_MAX}));
}

static void monotonic_time_never_goes_back(void **state)
{
    (void)state;
    struct clk_mono last = clk_mono_now(clk_system());
    for (int i = 0; i < 1000; i++) {
        struct clk_mono now = clk_mono_now(clk_system());
        check_int(clk_mono_diff(now, last), >=, 0);
        last = now;
    }
    check_int(clk_mono_add(last, -5).ns, ==, last.ns - 5);
}

static void wall_time_is_of_this_century(void **state)
{
    (void)state;
    check_int(clk_wall_now(clk_system()).ns, >, INT64_C(1600000000) * CLK_SEC);
}

static void check_text(int64_t ns, const char *wanted)
{
    char text[CLK_TEXT_MAX];
    clk_wall_text((struct clk_wall){ns}, text);
    check_str(text, wanted);
}

static void wall_time_prints_as_utc_with_milliseconds(void **state)
{
    (void)state;
    check_text(0, "1970-01-01T00:00:00.000Z");
    check_text(INT64_C(1935662401) * CLK_SEC + 123999999, "2031-05-04T12:00:01.123Z");
    check_text(INT64_C(951782400) * CLK_SEC - 1, "2000-02-28T23:59:59.999Z");
    check_text(INT64_C(951782400) * CLK_SEC, "2000-02-29T00:00:00.000Z");
    check_text(-1, "1969-12-31T23:59:59.999Z");
    check_text(-CLK_SEC, "1969-12-31T23:59:59.000Z");
    check_text(INT64_MAX, "2262-04-11T23:47:16.854Z");
    check_text(INT64_MIN, "1677-09-21T00:12:43.145Z");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hand_clock_stands_still_until_told),
        cmocka_unit_test(a_hand_clock_may_run_by_itself),
        cmocka_unit_test(monotonic_time_never_goes_back),
        cmocka_unit_test(wall_time_is_of_this_century),
        cmocka_unit_test(wall_time_prints_as_utc_with_milliseconds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

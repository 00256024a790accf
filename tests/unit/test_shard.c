/*
 * test_shard.c - parts of a schedule, and the instant at which they start.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/check.h"

#include "replay/shard.h"

static int parse(const char *text, const char *completion, struct rep_shard *s)
{
    struct err e = {0};
    return rep_shard_parse(text, completion, s, &e);
}

static void a_shard_is_one_of_n(void **state)
{
    struct rep_shard s;
    (void)state;
    check_int(parse("1/3", NULL, &s), ==, 0);
    check_int(s.index, ==, 0);
    check_int(s.count, ==, 3);
    check_int(parse("4096/4096", NULL, &s), ==, 0);
    check_int(s.index, ==, 4095);
    check_int(parse("1/1", "7", &s), ==, 0); /* the variable is for auto alone */
    check_int(s.index, ==, 0);
}

static void a_pod_of_an_indexed_job_knows_its_shard(void **state)
{
    struct rep_shard s;
    (void)state;
    check_int(parse("auto/3", "0", &s), ==, 0);
    check_int(s.index, ==, 0);
    check_int(parse("auto/3", "2", &s), ==, 0);
    check_int(s.index, ==, 2);
    check_int(parse("auto/3", "3", &s), ==, ERR_USAGE);
    check_int(parse("auto/3", NULL, &s), ==, ERR_USAGE);
    check_int(parse("auto/3", "", &s), ==, ERR_USAGE);
    check_int(parse("auto/3", "18446744073709551615", &s), ==, ERR_USAGE);
}

static void what_is_no_shard_is_refused(void **state)
{
    static const char *const bad[] = {
        "",     "1",   "0/3",   "4/3",  "1/0",  "1/4097", "/3",     "1/",
        "-1/3", "a/3", "1/3/3", " 1/3", "+1/3", "1/3 ",   "auto/0", "auto"};
    struct rep_shard s;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        check_int(parse(bad[i], "0", &s), ==, ERR_USAGE);
}

static void every_operation_is_in_one_shard(void **state)
{
    (void)state;
    for (uint32_t n = 1; n < 8; n++)
        for (uint64_t total = 0; total < 30; total++) {
            uint64_t sum = 0;
            for (uint32_t i = 0; i < n; i++) {
                uint64_t mine = 0;
                for (uint64_t op = 0; op < total; op++)
                    mine += rep_shard_has((struct rep_shard){i, n}, op);
                check_int(rep_shard_size((struct rep_shard){i, n}, total), ==, mine);
                sum += mine;
            }
            check_int(sum, ==, total);
        }
    check_int(rep_shard_size((struct rep_shard){0, 0}, 17), ==, 17);
    check_true(rep_shard_has((struct rep_shard){0, 0}, 5));
}

static int64_t instant(const char *text)
{
    struct clk_wall t;
    struct err e = {0};
    int rc = rep_start_parse(text, (struct clk_wall){1000}, &t, &e);
    return rc < 0 ? rc : t.ns;
}

static void an_instant_is_read_to_the_nanosecond(void **state)
{
    (void)state;
    /* As date(1) says: date -u -d TIME +%s */
    check_int(instant("2031-05-04T12:00:00Z"), ==, INT64_C(1935662400) * CLK_SEC);
    check_int(instant("2000-02-29T23:59:59.000000001Z"), ==,
              INT64_C(951868799) * CLK_SEC + 1);
    check_int(instant("2000-03-01t00:00:00z"), ==, INT64_C(951868800) * CLK_SEC);
    check_int(instant("2031-05-04 14:00:00.5+02:00"), ==,
              INT64_C(1935662400) * CLK_SEC + CLK_SEC / 2);
    check_int(instant("2031-05-04T06:30:00-05:30"), ==, INT64_C(1935662400) * CLK_SEC);
    check_int(instant("2100-03-01T00:00:00Z"), ==, INT64_C(4107542400) * CLK_SEC);
}

static void what_clocks_print_is_read_back(void **state)
{
    char text[CLK_TEXT_MAX];
    (void)state;
    for (int64_t ms = INT64_C(40000000000); ms < INT64_C(9000000000000);
         ms += INT64_C(98765432101)) {
        clk_wall_text((struct clk_wall){ms * CLK_MS}, text);
        check_int(instant(text), ==, ms * CLK_MS);
    }
}

static void an_instant_may_count_from_now(void **state)
{
    (void)state;
    check_int(instant("+5s"), ==, 1000 + 5 * CLK_SEC);
    check_int(instant("+0s"), ==, 1000);
}

static void what_is_no_instant_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "now",
        "12:00",
        "2031-05-04",
        "2031-05-04T12:00:00",
        "2031-05-04T12:00Z",
        "2031-05-04T12:00:00.Z",
        "2031-05-04T12:00:00.1234567890Z",
        "2031-02-29T12:00:00Z",
        "2031-13-01T12:00:00Z",
        "2031-00-01T12:00:00Z",
        "2031-01-00T12:00:00Z",
        "2031-05-04T24:00:00Z",
        "2031-05-04T12:00:60Z",
        "2031-05-04T12:00:00Z ",
        "2031-05-04T12:00:00+2:00",
        "2031-05-04T12:00:00+24:00",
        "1969-12-31T23:59:59Z",
        "2262-05-04T12:00:00Z",
        "+5",
        "+-5s",
        "+",
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        check_int(instant(bad[i]), ==, ERR_USAGE);
}

static void both_clocks_mean_the_same_instant(void **state)
{
    struct clk_hand *h = clk_hand_new((struct clk_mono){500}, (struct clk_wall){9000});
    (void)state;
    check_int(rep_start_mono(clk_hand_clk(h), (struct clk_wall){9100}), ==, 600);
    clk_hand_step_wall(h, 50); /* a step before the start moves it */
    check_int(rep_start_mono(clk_hand_clk(h), (struct clk_wall){9100}), ==, 550);
    clk_hand_free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_shard_is_one_of_n),
        cmocka_unit_test(a_pod_of_an_indexed_job_knows_its_shard),
        cmocka_unit_test(what_is_no_shard_is_refused),
        cmocka_unit_test(every_operation_is_in_one_shard),
        cmocka_unit_test(an_instant_is_read_to_the_nanosecond),
        cmocka_unit_test(what_clocks_print_is_read_back),
        cmocka_unit_test(an_instant_may_count_from_now),
        cmocka_unit_test(what_is_no_instant_is_refused),
        cmocka_unit_test(both_clocks_mean_the_same_instant),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

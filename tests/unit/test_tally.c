/* test_tally.c - counts, the trend of lateness, the live view, the machine.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/check.h"

#include <stdio.h>
#include <string.h>

#include "replay/machine.h"
#include "replay/progress.h"
#include "replay/tally.h"

static struct outcome sent_at(int64_t due, int64_t ready, int64_t sent, int64_t done)
{
    struct outcome o = outcome_empty();
    o.due_ns = due;
    o.ready_ns = ready;
    o.sent_ns = sent;
    o.first_ns = o.done_ns = done;
    o.attempts = 1;
    o.status = 200;
    return o;
}

static void every_outcome_counts_in_one_place(void **state)
{
    struct rep_tally t;
    struct err e = {0};
    (void)state;
    check_ok(rep_tally_init(&t, &e), &e);
    for (int cause = 0; cause < OUT_CAUSE_COUNT; cause++) {
        struct outcome o = sent_at(cause, cause, cause, cause);
        o.cause = (enum out_cause)cause;
        rep_tally_add(&t, &o, cause == OUT_REFUSED ? "why not" : NULL);
    }
    struct outcome wrong = sent_at(1, 1, 1, 1);
    wrong.check = OUT_WRONG;
    rep_tally_add(&t, &wrong, NULL);
    check_int(t.due, ==, OUT_CAUSE_COUNT + 1);
    check_int(t.ok + t.failed + t.dropped + t.refused + t.stopped, ==, t.due);
    check_int(t.ok, ==, 1);
    check_int(t.dropped, ==, 1);
    check_int(t.refused, ==, 1);
    check_int(t.stopped, ==, 1);
    check_int(t.wrong, ==, 1);
    check_int(t.answered, ==, 3); /* ok, a status, the wrong answer */
    check_int(t.reason_count, ==, 1);
    rep_tally_done(&t);
}

static void only_the_first_of_a_class_is_news(void **state)
{
    struct rep_tally t;
    struct err e = {0};
    (void)state;
    check_ok(rep_tally_init(&t, &e), &e);
    struct outcome o = sent_at(0, 0, 0, 0);
    check_true(!rep_tally_add(&t, &o, NULL));
    o.cause = OUT_STATUS;
    o.status = 503;
    check_true(rep_tally_add(&t, &o, NULL));
    check_true(!rep_tally_add(&t, &o, NULL));
    o.status = 404;
    check_true(rep_tally_add(&t, &o, NULL));
    check_int(t.class_count, ==, 2);
    check_str(t.classes[0].text, "http 503");
    check_int(t.classes[0].count, ==, 2);
    rep_tally_done(&t);
}

/* A run of `seconds` at 100/s; lateness of the i-th operation is base + slope per
 * second, with a hiccup of half a second in second 5. */
static double trend_of(int seconds, int64_t base, int64_t per_second)
{
    struct rep_tally t;
    struct err e = {0};
    check_ok(rep_tally_init(&t, &e), &e);
    for (int64_t i = 0; i < seconds * 100; i++) {
        int64_t due = i * 10 * CLK_MS;
        int64_t late = base + per_second * (i / 100);
        if (i >= 500 && i < 550)
            late += 500 * CLK_MS;
        struct outcome o = sent_at(due, due, due + late, due + late + CLK_MS);
        rep_tally_add(&t, &o, NULL);
    }
    double ppm = rep_tally_trend_ppm(&t);
    rep_tally_done(&t);
    return ppm;
}

static void a_schedule_that_slips_is_told_from_a_hiccup(void **state)
{
    (void)state;
    check_int(trend_of(60, 50 * CLK_US, 0) * 1000, ==, 0);
    /* 0.1 ms a second is 100 ppm. */
    double slip = trend_of(60, 0, 100 * CLK_US);
    check_true(slip > 99.9 && slip < 100.1);
    /* Too short to tell. */
    check_int(trend_of(9, 0, 100 * CLK_US), ==, 0);
}

static void a_gap_in_the_schedule_does_not_confuse_the_trend(void **state)
{
    struct rep_tally t;
    struct err e = {0};
    (void)state;
    check_ok(rep_tally_init(&t, &e), &e);
    for (int64_t s = 0; s < 200; s++) {
        int64_t due = (s < 100 ? s : s * 1000) * CLK_SEC;
        struct outcome o = sent_at(due, due, due + 10, due + 20);
        rep_tally_add(&t, &o, NULL);
    }
    check_int(rep_tally_trend_ppm(&t), ==, 0);
    rep_tally_done(&t);
}

static void rates_are_of_intervals_and_forgive_back_pressure(void **state)
{
    struct rep_tally t;
    struct err e = {0};
    (void)state;
    check_ok(rep_tally_init(&t, &e), &e);
    /* Eleven a hundred milliseconds apart: ten a second. The last one waited a second
     * for a connection. */
    for (int64_t i = 0; i < 11; i++) {
        int64_t due = i * 100 * CLK_MS, ready = i == 10 ? due + CLK_SEC : due;
        struct outcome o = sent_at(due, ready, ready, ready + 1);
        rep_tally_add(&t, &o, NULL);
    }
    check_int(rep_tally_offered(&t) * 1000, ==, 10000);
    check_int(rep_tally_achieved(&t) * 1000, ==, 5000);
    check_int(rep_tally_kept(&t) * 1000, ==, 10000);
    rep_tally_done(&t);
}

static void what_the_target_did_is_kept_apart_from_our_lateness(void **state)
{
    struct rep_tally t;
    struct err e = {0};
    (void)state;
    check_ok(rep_tally_init(&t, &e), &e);
    /* 10 ms of back-pressure, 5 ms of our own, 20 ms of service. */
    struct outcome o = sent_at(0, 10 * CLK_MS, 15 * CLK_MS, 35 * CLK_MS);
    rep_tally_add(&t, &o, NULL);
    check_int(t.response.max_ns, ==, 35 * CLK_MS);
    check_int(t.undelayed.max_ns, ==, 30 * CLK_MS);
    check_int(t.service.max_ns, ==, 20 * CLK_MS);
    check_int(t.pressure.max_ns, ==, 10 * CLK_MS);
    check_int(t.generator.max_ns, ==, 5 * CLK_MS);
    rep_tally_done(&t);
}

static void the_live_view_says_where_it_is_and_when_it_ends(void **state)
{
    struct rep_progress p;
    struct rep_progress_counts c = {
        .due = 2000, .sent = 1990, .in_flight = 7, .waiting = 3};
    struct err e = {0};
    struct buf b = {0};
    (void)state;
    check_ok(rep_progress_init(&p, NULL, &e), &e);
    p.total = 8000;
    p.span_ns = 8 * CLK_SEC;
    for (int i = 0; i < 100; i++) {
        struct outcome o = sent_at(0, 0, CLK_US, CLK_MS);
        o.cause = i == 0 ? OUT_RESET : OUT_OK;
        rep_progress_add(&p, &o);
    }
    rep_progress_line(&p, 2 * CLK_SEC, (struct clk_wall){INT64_C(1800000000) * CLK_SEC},
                      &c, &b);
    check_str_has(buf_text(&b), "replay: at 2 s of 8 s, 2000 of 8000 operations");
    check_str_has(buf_text(&b), "due 1k/s, sent 995/s, done 50/s");
    check_str_has(buf_text(&b), "in flight 7, waiting 3");
    check_str_has(buf_text(&b), "failed 1");
    check_str_has(buf_text(&b), ", ends 2027-01-15T08:00:06.000Z");
    buf_reset(&b);
    /* A closed loop ends when its operations are used up. */
    p.closed = true;
    rep_progress_line(&p, 2 * CLK_SEC, (struct clk_wall){INT64_C(1800000000) * CLK_SEC},
                      &c, &b);
    check_str_has(buf_text(&b), ", ends 2027-01-15T08:00:06.000Z");
    buf_done(&b);
    rep_progress_done(&p);
}

static void processor_time_is_shared_out(void **state)
{
    struct rep_cpu_times a =
        rep_cpu_times_parse(SPAN_LIT("cpu  100 0 50 800 50 0 0 0 0 0\n"));
    struct rep_cpu_times b =
        rep_cpu_times_parse(SPAN_LIT("cpu  150 0 70 1600 60 0 10 110 5 0\n"));
    (void)state;
    check_true(a.known && b.known);
    check_int(rep_cpu_steal(&a, &b) * 1000, ==, 110);
    check_int(rep_cpu_busy(&a, &b) * 1000 + 0.5, ==, 190);
    struct rep_cpu_times none = rep_cpu_times_parse(SPAN_LIT("cpu0 1 2 3"));
    check_true(!none.known);
    check_true(rep_cpu_steal(&none, &b) < 0);
    check_true(!rep_cpu_times_parse(SPAN_LIT("cpu  1 2 3 x")).known);
}

static void the_wait_for_a_processor_is_read(void **state)
{
    (void)state;
    check_int(rep_waited_parse(SPAN_LIT("84536 173368 2\n")), ==, 173368);
    check_int(rep_waited_parse(SPAN_LIT("0 0 0\n")), ==, 0);
    static const char *const none[] = {
        "", " ", "1", "1 2", "1 x 3", "1 -2 3", "1 9223372036854775808 3"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        check_int(rep_waited_parse(span_str(none[i])), ==, -1);
}

static void check_cpu_stat(const char *cgroups, const char *want)
{
    char path[256] = "";
    check_int(rep_throttled_path(span_str(cgroups), path, sizeof path), ==,
              want != NULL);
    check_str(path, want ? want : "");
}

static void the_limit_of_a_control_group_is_found_in_both_versions(void **state)
{
    (void)state;
    check_cpu_stat("0::/\n", "/sys/fs/cgroup/cpu.stat");
    check_cpu_stat("0::/kube/pod 7", "/sys/fs/cgroup/kube/pod 7/cpu.stat");
    check_cpu_stat("4:memory:/a\n2:cpu,cpuacct:/b\n0::/c\n",
                   "/sys/fs/cgroup/cpu,cpuacct/b/cpu.stat");
    check_cpu_stat("0::/c\n1:cpu:/\n", "/sys/fs/cgroup/cpu/cpu.stat");
    check_cpu_stat("3:cpuset:/\n2:cpuacct:/x\nnoise\n:\n", NULL);
    check_cpu_stat("", NULL);
    check_int(rep_throttled_parse(SPAN_LIT("usage_usec 9\nnr_throttled 3\n"
                                           "throttled_usec 250\n")),
              ==, 250 * CLK_US);
    check_int(rep_throttled_parse(SPAN_LIT("nr_periods 0\nthrottled_time 77")), ==, 77);
    check_int(rep_throttled_parse(SPAN_LIT("usage_usec 9\n")), ==, -1);
    check_int(rep_throttled_parse(SPAN_LIT("throttled_usec 99999999999999999\n")), ==,
              -1);
}

static void a_step_of_the_wall_clock_is_seen(void **state)
{
    struct clk_hand *h =
        clk_hand_new((struct clk_mono){5}, (struct clk_wall){1000 * CLK_SEC});
    struct rep_clock_watch w = {0};
    (void)state;
    check_true(h != NULL);
    rep_clock_look(&w, clk_hand_clk(h));
    clk_hand_advance(h, 10 * CLK_SEC);
    rep_clock_look(&w, clk_hand_clk(h));
    check_int(w.steps, ==, 0);
    clk_hand_step_wall(h, CLK_MS); /* as slewing may move it */
    rep_clock_look(&w, clk_hand_clk(h));
    check_int(w.steps, ==, 0);
    clk_hand_step_wall(h, -30 * CLK_MS);
    rep_clock_look(&w, clk_hand_clk(h));
    clk_hand_step_wall(h, 50 * CLK_MS);
    rep_clock_look(&w, clk_hand_clk(h));
    check_int(w.steps, ==, 2);
    check_int(w.stepped_ns, ==, 80 * CLK_MS);
    clk_hand_free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_outcome_counts_in_one_place),
        cmocka_unit_test(only_the_first_of_a_class_is_news),
        cmocka_unit_test(a_schedule_that_slips_is_told_from_a_hiccup),
        cmocka_unit_test(a_gap_in_the_schedule_does_not_confuse_the_trend),
        cmocka_unit_test(rates_are_of_intervals_and_forgive_back_pressure),
        cmocka_unit_test(what_the_target_did_is_kept_apart_from_our_lateness),
        cmocka_unit_test(the_live_view_says_where_it_is_and_when_it_ends),
        cmocka_unit_test(processor_time_is_shared_out),
        cmocka_unit_test(the_wait_for_a_processor_is_read),
        cmocka_unit_test(the_limit_of_a_control_group_is_found_in_both_versions),
        cmocka_unit_test(a_step_of_the_wall_clock_is_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

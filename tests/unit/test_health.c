/* test_health.c - the verdict on a run. SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/check.h"

#include "replay/health.h"
#include "traces/base/clk.h"

/* A run with which nothing is wrong. */
static struct rep_health_facts fine(void)
{
    return (struct rep_health_facts){
        .due = 100000,
        .outcomes = 100000,
        .sent = 100000,
        .generator_p99_ns = 100 * CLK_US,
        .service_p50_ns = 2 * CLK_MS,
        .response_p50_ns = 2 * CLK_MS,
        .response_p99_ns = 10 * CLK_MS,
        .offered = 1000,
        .achieved = 1000,
        .duration_ns = 100 * CLK_SEC,
        .steal_share = 0.001,
    };
}

static void check_verdict(const struct rep_health_facts *f, enum rep_verdict want,
                          const char *code)
{
    struct rep_health h;
    rep_health_judge(f, &h);
    check_str(rep_verdict_names[h.verdict], rep_verdict_names[want]);
    if (want == REP_VALID) {
        check_int(h.count, ==, 0);
        return;
    }
    check_int(h.count, >=, 1);
    check_str(h.causes[0].code, code);
    check_int(h.causes[0].weight, ==, want);
}

static void a_clean_run_is_valid_without_a_cause(void **state)
{
    struct rep_health_facts f = fine();
    (void)state;
    check_verdict(&f, REP_VALID, NULL);
    /* What could not be measured speaks against nobody. */
    f = (struct rep_health_facts){.due = 1, .outcomes = 1, .steal_share = -1};
    check_verdict(&f, REP_VALID, NULL);
}

static void lateness_of_our_own_is_judged_by_its_p99(void **state)
{
    struct rep_health_facts f = fine();
    (void)state;
    f.generator_p99_ns = 500 * CLK_US;
    check_verdict(&f, REP_VALID, NULL);
    f.generator_p99_ns = 501 * CLK_US;
    check_verdict(&f, REP_DEGRADED, "lateness");
    f.generator_p99_ns = 2 * CLK_MS;
    check_verdict(&f, REP_DEGRADED, "lateness");
    f.generator_p99_ns = 2 * CLK_MS + 1;
    check_verdict(&f, REP_INVALID, "lateness");
    /* Before a slow target the same lateness matters less: 5 % and 10 %. */
    f.service_p50_ns = f.response_p50_ns = 100 * CLK_MS;
    check_verdict(&f, REP_VALID, NULL);
    f.generator_p99_ns = 5 * CLK_MS + 1;
    check_verdict(&f, REP_DEGRADED, "lateness");
    f.generator_p99_ns = 10 * CLK_MS + 1;
    check_verdict(&f, REP_INVALID, "lateness");
}

static void a_late_generator_says_how_long_it_waited_for_a_processor(void **state)
{
    struct rep_health h;
    struct rep_health_facts f = fine();
    (void)state;
    f.generator_p99_ns = 3 * CLK_MS;
    f.waited_ns = CLK_SEC; /* of 100 s: not worth a word */
    rep_health_judge(&f, &h);
    check_str(h.causes[0].text, "the generator was late by 3 ms at p99");
    f.waited_ns = 26 * CLK_SEC;
    rep_health_judge(&f, &h);
    check_str(h.causes[0].text,
              "the generator was late by 3 ms at p99; for 26 s of 1.67 m "
              "it stood in line for a processor");
    /* Waiting alone is no cause. */
    f.generator_p99_ns = 100 * CLK_US;
    check_verdict(&f, REP_VALID, NULL);
}

static void lateness_must_not_make_the_tail(void **state)
{
    struct rep_health_facts f = fine();
    struct rep_health h;
    (void)state;
    f.response_p99_ns = 100 * CLK_MS;
    f.undelayed_p99_ns = 99 * CLK_MS;
    check_verdict(&f, REP_VALID, NULL);
    f.undelayed_p99_ns = 98 * CLK_MS;
    check_verdict(&f, REP_DEGRADED, "lateness-share");
    f.undelayed_p99_ns = 94 * CLK_MS;
    check_verdict(&f, REP_INVALID, "lateness-share");
    rep_health_judge(&f, &h);
    check_str(h.causes[0].text, "the generator's lateness makes 6.0 % of the response "
                                "time's p99: 100 ms with it, 94 ms without");
    /* An effect of no more than a wake-up is not judged. */
    f.response_p99_ns = CLK_MS;
    f.undelayed_p99_ns = 750 * CLK_US;
    check_verdict(&f, REP_VALID, NULL);
}

static void each_threshold_has_two_sides(void **state)
{
    struct rep_health_facts f = fine();
    (void)state;

    f.trend_ppm = 20;
    check_verdict(&f, REP_VALID, NULL);
    f.trend_ppm = 21;
    check_verdict(&f, REP_DEGRADED, "schedule-slips");
    f.trend_ppm = 201;
    check_verdict(&f, REP_INVALID, "schedule-slips");

    f = fine();
    f.achieved = 999.1;
    check_verdict(&f, REP_VALID, NULL);
    f.achieved = 998.9;
    check_verdict(&f, REP_DEGRADED, "rate");
    f.achieved = 994.9;
    check_verdict(&f, REP_INVALID, "rate");

    f = fine();
    f.steal_share = 0.011;
    check_verdict(&f, REP_DEGRADED, "steal");
    f.steal_share = 0.051;
    check_verdict(&f, REP_INVALID, "steal");

    f = fine();
    f.throttled_ns = f.duration_ns / 100 + 1;
    check_verdict(&f, REP_DEGRADED, "throttled");
    f.throttled_ns = f.duration_ns / 20 + 1;
    check_verdict(&f, REP_INVALID, "throttled");

    f = fine();
    f.worked_share = 0.69;
    check_verdict(&f, REP_VALID, NULL);
    f.worked_share = 0.71;
    check_verdict(&f, REP_DEGRADED, "saturated");
    f.worked_share = 0.91;
    check_verdict(&f, REP_INVALID, "saturated");

    f = fine();
    f.gap_distance = 0.01;
    check_verdict(&f, REP_VALID, NULL);
    f.gap_distance = 0.011;
    check_verdict(&f, REP_DEGRADED, "arrivals");
    f.gap_distance = 0.051;
    check_verdict(&f, REP_INVALID, "arrivals");

    f = fine();
    f.coverage_lack = 0.0011;
    check_verdict(&f, REP_DEGRADED, "trace-coverage");
    f = fine();
    f.workers_lost = 1;
    check_verdict(&f, REP_INVALID, "worker-lost");

    f = fine();
    f.client_errors = 1;
    check_verdict(&f, REP_DEGRADED, "client-errors");
    f.client_errors = 11;
    check_verdict(&f, REP_INVALID, "client-errors");

    f = fine();
    f.starved_ns = 11 * CLK_MS;
    check_verdict(&f, REP_DEGRADED, "trace-reading");
    f.starved_ns = 2 * CLK_SEC;
    check_verdict(&f, REP_INVALID, "trace-reading");

    f = fine();
    f.wall_step_ns = 5 * CLK_MS;
    check_verdict(&f, REP_DEGRADED, "clock-step");
    f = fine();
    f.interrupted = true;
    check_verdict(&f, REP_INVALID, "interrupted");
    f = fine();
    f.clock_backwards = true;
    check_verdict(&f, REP_INVALID, "clock");
    f = fine();
    f.outcomes = 99999;
    check_verdict(&f, REP_INVALID, "lost");
}

static void the_worst_cause_comes_first_and_all_are_told(void **state)
{
    struct rep_health_facts f = fine();
    struct rep_health h;
    struct buf b = {0};
    (void)state;
    f.interrupted = true;
    f.steal_share = 0.2;
    f.client_errors = 1;
    rep_health_judge(&f, &h);
    check_int(h.verdict, ==, REP_INVALID);
    check_int(h.count, ==, 3);
    rep_health_lines(&h, &b);
    check_str(buf_text(&b),
              "INVALID steal: the hypervisor took 20.0 % of the processors' time\n"
              "INVALID interrupted: the run was ended before the trace was\n"
              "DEGRADED client-errors: 1 errors of this machine's own: ports, "
              "descriptors or memory");
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_clean_run_is_valid_without_a_cause),
        cmocka_unit_test(lateness_of_our_own_is_judged_by_its_p99),
        cmocka_unit_test(a_late_generator_says_how_long_it_waited_for_a_processor),
        cmocka_unit_test(lateness_must_not_make_the_tail),
        cmocka_unit_test(each_threshold_has_two_sides),
        cmocka_unit_test(the_worst_cause_comes_first_and_all_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

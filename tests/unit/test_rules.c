/*
 * test_rules.c - the last seconds of a run, against their bounds.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/check.h"

#include <string.h>

#include "replay/rules.h"
#include "traces/base/clk.h"

static struct rep_rules rules;
static struct rep_rule rule;
static char text[REP_RULES_TEXT_MAX];

static void set_up(const char *given)
{
    struct err e = {0};
    check_ok(rep_rule_parse(given, &rule, &e), &e);
    check_ok(rep_rules_init(&rules, &rule, 1, 5 * CLK_SEC, &e), &e);
}

static bool look(int64_t now, uint64_t due, uint64_t sent, uint64_t outstanding)
{
    rules.next_look_ns = 0; /* whenever it is asked */
    return rep_rules_look(&rules, now,
                          &(struct rep_rule_counts){due, sent, outstanding}, text);
}

static void end_one(int64_t now, enum out_cause cause, int64_t response, int64_t late)
{
    struct outcome o = outcome_empty();
    o.cause = cause;
    o.due_ns = o.ready_ns = now - response;
    o.sent_ns = cause == OUT_DROPPED ? OP_TIME_NONE : o.ready_ns + late;
    o.done_ns = now;
    o.status = 200;
    rep_rules_add(&rules, now, &o);
}

static void rules_are_read_strictly(void **state)
{
    static const char *const bad[] = {
        "",
        "p99",
        "p99>",
        "p99<1s",
        "p0>1s",
        "p100>1s",
        "p>1s",
        "p99>1",
        "p99>0ms",
        "p99>5%",
        "errors>5",
        "errors<5%",
        "errors>101%",
        "errors>-1%",
        "errors>%",
        "lateness>1",
        "achieved>9%",
        "achieved<x%",
        "achieved",
        "outstanding>1.5",
        "outstanding>-1",
        "outstanding>5%",
        "latency>1s",
        "p99>1s x",
        "p99=1s",
        "p99>200msp99>200msp99>200msp99>200msp99>200msp99>200ms"};
    struct rep_rule r;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct err e = {0};
        check_int(rep_rule_parse(bad[i], &r, &e), ==, ERR_USAGE);
    }
    struct err e = {0};
    check_ok(rep_rule_parse("p99.9 > 1.5s", &r, &e), &e);
    check_int(r.kind, ==, REP_RULE_LATENCY);
    check_true(r.p > 0.99899 && r.p < 0.99901 && r.bound == 1.5e9);
    check_ok(rep_rule_parse("achieved<90%", &r, &e), &e);
    check_true(r.kind == REP_RULE_ACHIEVED && r.bound > 0.899 && r.bound < 0.901);
    check_ok(rep_rule_parse("outstanding>1000", &r, &e), &e);
    check_true(r.kind == REP_RULE_OUTSTANDING && r.bound == 1000);
}

static void latency_counts_failures_as_infinite(void **state)
{
    (void)state;
    set_up("p99>200ms");
    for (int i = 0; i < 1000; i++)
        end_one(4 * CLK_SEC, OUT_OK, i < 10 ? CLK_SEC : 10 * CLK_MS, 0);
    check_true(!look(4 * CLK_SEC + 1, 1000, 1000, 0)); /* no whole window yet */
    check_true(!look(5 * CLK_SEC, 1000, 1000, 0));     /* rank 990 is a fast one */
    end_one(5 * CLK_SEC, OUT_OK, CLK_SEC, 0);
    end_one(5 * CLK_SEC, OUT_OK, CLK_SEC, 0);
    check_true(look(5 * CLK_SEC, 1000, 1000, 0));
    check_str_has(text, "rule p99>200ms: 1");
    check_str_has(text, " over the last 5");
    rep_rules_done(&rules);

    set_up("p99>200ms");
    for (int i = 0; i < 1000; i++)
        end_one(5 * CLK_SEC, i < 12 ? OUT_DEADLINE : OUT_OK, 10 * CLK_MS, 0);
    check_true(look(5 * CLK_SEC, 1000, 1000, 0));
    check_str_has(text, "failures");
    rep_rules_done(&rules);
}

static void too_few_operations_break_no_rule(void **state)
{
    (void)state;
    set_up("p99>200ms");
    for (int i = 0; i < 99; i++)
        end_one(5 * CLK_SEC, OUT_OK, CLK_SEC, 0);
    check_true(!look(5 * CLK_SEC, 99, 99, 0));
    end_one(5 * CLK_SEC, OUT_OK, CLK_SEC, 0);
    check_true(look(5 * CLK_SEC, 100, 100, 0));
    rep_rules_done(&rules);
}

static void errors_are_a_share_of_what_ended_lately(void **state)
{
    (void)state;
    set_up("errors>5%");
    for (int i = 0; i < 100; i++)
        end_one(6 * CLK_SEC, i < 6 ? OUT_DROPPED : OUT_OK, CLK_MS, 0);
    check_true(look(6 * CLK_SEC, 100, 94, 0));
    check_str(text, "rule errors>5%: 6 % over the last 5 s");
    /* 5.5 s later it is forgotten. */
    for (int i = 0; i < 100; i++)
        end_one(11 * CLK_SEC + CLK_SEC / 2, OUT_OK, CLK_MS, 0);
    check_true(!look(11 * CLK_SEC + CLK_SEC / 2, 200, 194, 0));
    rep_rules_done(&rules);
}

static void what_a_signal_stopped_is_no_error(void **state)
{
    (void)state;
    set_up("errors>0%");
    for (int i = 0; i < 100; i++)
        end_one(5 * CLK_SEC, OUT_STOPPED, CLK_MS, 0);
    check_true(!look(5 * CLK_SEC, 100, 100, 0));
    rep_rules_done(&rules);
}

static void lateness_is_the_generators_own(void **state)
{
    (void)state;
    set_up("lateness>10ms");
    for (int i = 0; i < 100; i++)
        end_one(5 * CLK_SEC, OUT_OK, CLK_SEC, CLK_MS);
    check_true(!look(5 * CLK_SEC, 100, 100, 0));
    for (int i = 0; i < 100; i++)
        end_one(5 * CLK_SEC, OUT_OK, CLK_SEC, 20 * CLK_MS);
    check_true(look(5 * CLK_SEC, 200, 200, 0));
    rep_rules_done(&rules);
}

static void achieved_is_what_was_sent_of_what_was_due(void **state)
{
    bool broken = false;
    int64_t at = 0;
    (void)state;
    set_up("achieved<90%");
    for (at = 0; at < 10 * CLK_SEC; at += 100 * CLK_MS) /* 100/s, all sent */
        check_true(!look(at, (uint64_t)(at / (10 * CLK_MS)),
                         (uint64_t)(at / (10 * CLK_MS)), 0));
    for (; at < 20 * CLK_SEC && !broken; at += 100 * CLK_MS) /* from here on none */
        broken = look(at, (uint64_t)(at / (10 * CLK_MS)), 1000, 0);
    check_true(broken);
    /* A tenth of the window, and at most a tenth more. */
    check_int(at, <=, 10 * CLK_SEC + CLK_SEC);
    rep_rules_done(&rules);
}

static void outstanding_has_to_last(void **state)
{
    int64_t at;
    bool broken = false;
    (void)state;
    set_up("outstanding>10");
    for (at = 0; at < 8 * CLK_SEC; at += 100 * CLK_MS) /* a short peak in each second */
        check_true(!look(at, 0, 0, at % CLK_SEC == 0 ? 0 : 5000));
    for (; at < 20 * CLK_SEC && !broken; at += 100 * CLK_MS)
        broken = look(at, 0, 0, 11);
    check_true(broken);
    check_int(at, >=, 12 * CLK_SEC);
    check_int(at, <=, 14 * CLK_SEC);
    check_str(text, "rule outstanding>10: 11 over the last 5 s");
    rep_rules_done(&rules);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_are_read_strictly),
        cmocka_unit_test(latency_counts_failures_as_infinite),
        cmocka_unit_test(too_few_operations_break_no_rule),
        cmocka_unit_test(errors_are_a_share_of_what_ended_lately),
        cmocka_unit_test(what_a_signal_stopped_is_no_error),
        cmocka_unit_test(lateness_is_the_generators_own),
        cmocka_unit_test(achieved_is_what_was_sent_of_what_was_due),
        cmocka_unit_test(outstanding_has_to_last),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

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

static bool warm; /* what ends was due in the warm-up */

static void end_one(int64_t now, enum out_cause cause, int64_t response, int64_t late)
{
    struct outcome o = outcome_empty();
    o.cause = cause;
    o.due_ns = o.ready_ns = now - response;
    o.sent_ns = cause == OUT_DROPPED ? OP_TIME_NONE : o.ready_ns + late;
    o.done_ns = now;
    o.status = 200;
    rep_rules_add(&rules, now, &o, warm);
}

static void latency_in_the_warm_up_breaks_no_rule(void **state)
{
    static const char *const given[] = {"p99>10ms", "lateness>1ms", "errors>5%"};
    (void)state;
    for (size_t k = 0; k < 3; k++) {
        set_up(given[k]);
        warm = true;
        for (int64_t i = 0; i < 200; i++)
            end_one(i * 20 * CLK_MS, i % 10 ? OUT_OK : OUT_CLOSED, 50 * CLK_MS,
                    5 * CLK_MS);
        warm = false;
        for (int64_t i = 200; i < 300; i++)
            end_one(i * 20 * CLK_MS, OUT_OK, 5 * CLK_MS, 0);
        check_true(look(6 * CLK_SEC, 300, 300, 0) == (k > 0));
        for (int64_t i = 300; i < 302; i++)
            end_one(i * 20 * CLK_MS, OUT_OK, 50 * CLK_MS, 0);
        check_true(look(6040 * CLK_MS, 302, 302, 0));
        if (k == 0)
            check_str_has(text, "2 of 102 took longer or failed");
        rep_rules_done(&rules);
    }
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
    check_str(text,
              "rule p99>200ms: 12 of 1002 took longer or failed over the last 5 s");
    rep_rules_done(&rules);

    set_up("p99>200ms");
    for (int i = 0; i < 1000; i++)
        end_one(5 * CLK_SEC, i < 12 ? OUT_DEADLINE : OUT_OK, 10 * CLK_MS, 0);
    check_true(look(5 * CLK_SEC, 1000, 1000, 0));
    check_str_has(text, "12 of 1000 took longer or failed");
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

static void a_share_needs_twenty(void **state)
{
    (void)state;
    set_up("achieved<90%");
    check_true(!look(0, 0, 0, 0));
    check_true(!look(5 * CLK_SEC, 19, 0, 0));
    check_true(look(5 * CLK_SEC, 20, 0, 0));
    rep_rules_done(&rules);
}

/* --- how soon ----------------------------------------------------------------------
 */

/* A run of 100/s in steps of 10 ms, of which each ends one operation and looks. From
 * `trouble_ns` on it breaks the rule in its own way. */
struct steps {
    int64_t trouble_ns;
    enum rep_rule_kind kind;
};

#define STEP_NS (10 * CLK_MS)

static struct rep_rule_counts counts_at(const struct steps *s, int64_t now)
{
    uint64_t due = (uint64_t)(now / STEP_NS) + 1;
    uint64_t since =
        now > s->trouble_ns ? (uint64_t)((now - s->trouble_ns) / STEP_NS) : 0;
    return (struct rep_rule_counts){
        .due = due,
        .sent = s->kind == REP_RULE_ACHIEVED ? due - since / 2 : due,
        .outstanding = s->kind == REP_RULE_OUTSTANDING && since > 0 ? 11 : 3};
}

/* Every tenth operation is bad from the trouble on: slow, failed, or late. */
static void end_at(const struct steps *s, int64_t now)
{
    bool bad = now >= s->trouble_ns && now / STEP_NS % 10 == 0;
    end_one(now, bad && s->kind == REP_RULE_ERRORS ? OUT_STATUS : OUT_OK,
            bad && s->kind == REP_RULE_LATENCY ? CLK_SEC : CLK_MS,
            bad && s->kind == REP_RULE_LATENESS ? 20 * CLK_MS : 0);
}

/* The first moment whose last window_ns, exactly, break the rule. The number of bad
 * ones that this takes is spelled out for each rule below. */
static int64_t broken_at(const struct steps *s, int64_t window_ns)
{
    double n = (double)window_ns / STEP_NS;
    double bad; /* steps after the trouble began */
    switch (s->kind) {
    case REP_RULE_LATENCY: /* p95: more than a twentieth, one in ten being bad */
        bad = n / 20 * 10;
        break;
    case REP_RULE_ERRORS: /* 4 % */
        bad = n / 25 * 10;
        break;
    case REP_RULE_LATENESS: /* p99 */
        bad = n / 100 * 10;
        break;
    case REP_RULE_ACHIEVED: /* less than 90 %, of which every second is missing */
        bad = n / 10 * 2;
        break;
    default: /* all window long */
        bad = n;
    }
    return s->trouble_ns + (int64_t)(bad * STEP_NS);
}

static void each_rule_is_decided_within_a_second(void **state)
{
    static const char *const given[] = {"p95>200ms", "errors>4%", "lateness>10ms",
                                        "achieved<90%", "outstanding>10"};
    static const int64_t windows[] = {CLK_SEC, 5 * CLK_SEC, 60 * CLK_SEC,
                                      600 * CLK_SEC};
    (void)state;
    for (size_t i = 0; i < sizeof given / sizeof *given; i++)
        for (size_t k = 0; k < sizeof windows / sizeof *windows; k++) {
            struct err e = {0};
            check_ok(rep_rule_parse(given[i], &rule, &e), &e);
            check_ok(rep_rules_init(&rules, &rule, 1, windows[k], &e), &e);
            struct steps s = {.trouble_ns = 2 * windows[k] + 123 * CLK_MS,
                              .kind = rule.kind};
            int64_t want = broken_at(&s, windows[k]), now = 0;
            bool broken = false;
            for (; !broken && now < want + 10 * CLK_SEC; now += STEP_NS) {
                struct rep_rule_counts c = counts_at(&s, now);
                end_at(&s, now);
                broken = rep_rules_look(&rules, now, &c, text);
            }
            check_true(broken);
            check_int(now, <=, want + CLK_SEC);
            check_int(now, >=, want - CLK_SEC);
            check_str_has(text, given[i]);
            rep_rules_done(&rules);
        }
}

static void outstanding_has_to_last(void **state)
{
    int64_t at;
    (void)state;
    set_up("outstanding>10");
    for (at = 0; at < 30 * CLK_SEC; at += 100 * CLK_MS) /* it eases once a window */
        check_true(!look(at, 0, 0, at % (5 * CLK_SEC) == 0 ? 10 : 5000));
    rep_rules_done(&rules);
}

static void
several_rules_are_looked_at_and_the_first_that_is_broken_is_told(void **state)
{
    struct rep_rule many[REP_RULES_MAX];
    struct err e = {0};
    (void)state;
    for (size_t i = 0; i < REP_RULES_MAX; i++)
        check_ok(
            rep_rule_parse(i == REP_RULES_MAX - 1 ? "p50>1ms" : "p50>1s", &many[i], &e),
            &e);
    check_ok(rep_rules_init(&rules, many, REP_RULES_MAX, CLK_SEC, &e), &e);
    for (int i = 0; i < 100; i++)
        end_one(CLK_SEC, OUT_OK, 10 * CLK_MS, 0);
    check_true(look(CLK_SEC, 100, 100, 0));
    check_str(text, "rule p50>1ms: 100 of 100 took longer or failed over the last 1 s");
    rep_rules_done(&rules);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_are_read_strictly),
        cmocka_unit_test(latency_in_the_warm_up_breaks_no_rule),
        cmocka_unit_test(latency_counts_failures_as_infinite),
        cmocka_unit_test(too_few_operations_break_no_rule),
        cmocka_unit_test(errors_are_a_share_of_what_ended_lately),
        cmocka_unit_test(what_a_signal_stopped_is_no_error),
        cmocka_unit_test(lateness_is_the_generators_own),
        cmocka_unit_test(a_share_needs_twenty),
        cmocka_unit_test(each_rule_is_decided_within_a_second),
        cmocka_unit_test(outstanding_has_to_last),
        cmocka_unit_test(
            several_rules_are_looked_at_and_the_first_that_is_broken_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

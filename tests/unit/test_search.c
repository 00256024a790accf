/*
 * test_search.c - the search for the highest rate, on response curves that are known.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/check.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "replay/search_probe.h"
#include "traces/base/rng.h"

/* A target that keeps within the limit up to `knee`, blurred by a normal share. */
struct target {
    double knee, blur;
    struct rng rng;
};

static struct rep_search searching(double from, double to, double start,
                                   unsigned probes)
{
    return (struct rep_search){
        .config = {
            .from = from, .to = to, .start = start, .error = 0.05, .probes = probes}};
}

static void run(struct rep_search *s, struct target *t)
{
    double rate;
    while (rep_search_next(s, &rate)) {
        check_true(rate >= s->config.from && rate <= s->config.to);
        double felt = rate * (1 + t->blur * (t->blur > 0 ? rng_normal(&t->rng) : 0));
        rep_search_tell(s, felt <= t->knee ? REP_PROBE_WITHIN : REP_PROBE_BEYOND);
    }
    check_int(s->count, <=, s->config.probes);
}

static void a_sharp_knee_is_found_in_twelve_probes(void **state)
{
    (void)state;
    for (double knee = 1.0 / 30; knee < 30; knee *= 1.013) {
        struct rep_search s = searching(0.01, 1000, 1, 12);
        run(&s, &(struct target){.knee = knee});
        check_int(s.end, ==, REP_SEARCH_FOUND);
        check_true(s.low <= knee && knee < s.high);
        check_true(rep_search_error(&s) <= 0.05);
        check_true(s.confirmed);
    }
}

/* Near the knee chance decides; what is found lies near it all the same. */
static void a_blurred_knee_is_found_nearly(void **state)
{
    int near = 0, found = 0;
    (void)state;
    for (uint64_t seed = 0; seed < 1000; seed++) {
        struct target t = {.knee = 0.2 * pow(1.005, (double)seed), .blur = 0.02};
        struct rep_search s = searching(0.01, 1000, t.knee * 0.4, 12);
        rng_init(&t.rng, seed);
        run(&s, &t);
        found += s.end == REP_SEARCH_FOUND;
        near += fabs(s.low / t.knee - 1) <= 0.05;
    }
    check_int(found, >=, 980);
    check_int(near, >=, 950);
}

static void the_ends_of_the_range_are_named(void **state)
{
    (void)state;
    struct rep_search s = searching(0.5, 8, 1, 12);
    run(&s, &(struct target){.knee = 100});
    check_int(s.end, ==, REP_SEARCH_ALL_WITHIN);
    check_true(s.low == 8 && s.high == 0);
    s = searching(0.5, 8, 1, 12);
    run(&s, &(struct target){.knee = 0.1});
    check_int(s.end, ==, REP_SEARCH_ALL_BEYOND);
    check_true(s.low == 0 && s.high == 0.5);
    s = searching(0.01, 1000, 1, 4);
    run(&s, &(struct target){.knee = 300});
    check_int(s.end, ==, REP_SEARCH_SPENT);
    check_int(s.count, ==, 4);
}

static void a_probe_that_says_nothing_is_repeated_once(void **state)
{
    struct rep_search s = searching(0.01, 1000, 1, 12);
    double first, again;
    (void)state;
    check_true(rep_search_next(&s, &first));
    rep_search_tell(&s, REP_PROBE_NOTHING);
    check_true(rep_search_next(&s, &again));
    check_true(first == again);
    rep_search_tell(&s, REP_PROBE_WITHIN); /* and now it does */
    check_true(rep_search_next(&s, &first));
    check_true(first == 2 * again);
    rep_search_tell(&s, REP_PROBE_NOTHING);
    check_true(rep_search_next(&s, &again));
    rep_search_tell(&s, REP_PROBE_NOTHING);
    check_true(!rep_search_next(&s, &again));
    check_int(s.end, ==, REP_SEARCH_NOTHING);
}

static void a_rate_that_passed_by_chance_is_given_up(void **state)
{
    struct rep_search s = searching(0.01, 1000, 1, 12);
    double rate;
    (void)state;
    /* The first time at 1.04 it passes; the knee is 1.01. */
    bool lucky = true;
    while (rep_search_next(&s, &rate)) {
        bool within = rate <= 1.01 || (rate > 1.03 && rate < 1.1 && lucky);
        lucky = lucky && !(rate > 1.03 && rate < 1.1);
        rep_search_tell(&s, within ? REP_PROBE_WITHIN : REP_PROBE_BEYOND);
    }
    check_int(s.end, ==, REP_SEARCH_FOUND);
    check_true(s.low <= 1.01 && s.high > 1.01);
}

static void limits_are_read(void **state)
{
    static const char *const wrong[] = {"p99",
                                        "p99<50",
                                        "p98<50ms",
                                        "latency:p99<50ms",
                                        "errors<1",
                                        "errors<0%",
                                        "errors<101%",
                                        "p99<-1ms",
                                        "",
                                        "<5ms",
                                        "errors<1%%",
                                        "p99>50ms",
                                        "p99<50ms<60ms"};
    struct rep_limit l;
    struct err e = {0};
    (void)state;
    check_ok(rep_limit_parse(&l, "p99<50ms", &e), &e);
    check_str(l.metric, "response");
    check_str(l.quantile, "p99");
    check_int(l.below_ns, ==, 50000000);
    check_ok(rep_limit_parse(&l, "service:p99.9 < 1s", &e), &e);
    check_str(l.metric, "service");
    check_str(l.quantile, "p99.9");
    check_ok(rep_limit_parse(&l, "errors<0.5%", &e), &e);
    check_true(l.errors && l.below_share == 0.005);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        err_clear(&e);
        check_int(rep_limit_parse(&l, wrong[i], &e), ==, ERR_USAGE);
    }
}

#define REPORT(health, p99)                                                            \
    "{\"schema\":\"reprise/report/1\",\"operations\":{\"due\":200,\"ok\":199},"        \
    "\"latency_ns\":{\"response\":{\"p99\":" p99 "}},\"rate\":{\"offered\":100.5,"     \
    "\"achieved\":100},\"health\":{\"verdict\":\"" health "\",\"causes\":[{"           \
    "\"code\":\"lateness\",\"text\":\"late by 5 ms\"}]}}"

static void a_report_is_judged_by_health_first(void **state)
{
    static const struct {
        const char *json;
        enum rep_probe said;
        const char *reason;
    } rows[] = {
        {REPORT("VALID", "49999999"), REP_PROBE_WITHIN, ""},
        {REPORT("DEGRADED", "50000000"), REP_PROBE_BEYOND, ""},
        {REPORT("VALID", "\"inf\""), REP_PROBE_BEYOND, ""},
        {REPORT("VALID", "null"), REP_PROBE_NOTHING, "too few operations for p99"},
        {REPORT("INVALID", "60000000"), REP_PROBE_NOTHING, "lateness: late by 5 ms"},
    };
    struct rep_limit limits[2];
    struct rep_probe_facts f;
    struct err e = {0};
    (void)state;
    check_ok(rep_limit_parse(&limits[0], "p99<50ms", &e), &e);
    check_ok(rep_limit_parse(&limits[1], "errors<1%", &e), &e);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        check_ok(rep_probe_judge(&f, span_str(rows[i].json), limits, 2, true, &e), &e);
        check_int(f.said, ==, rows[i].said);
        check_str_has(f.reason, rows[i].reason);
        check_true(f.offered == 100.5);
        check_true(f.values[1].known && !f.values[1].beyond);
    }
    /* Taken at its numbers, if that is wanted. */
    check_ok(rep_probe_judge(&f, span_str(rows[4].json), limits, 2, false, &e), &e);
    check_int(f.said, ==, REP_PROBE_BEYOND);
    check_str(f.health, "INVALID");
    check_str(f.reason, "");
    check_ok(rep_limit_parse(&limits[1], "errors<0.5%", &e), &e);
    check_ok(rep_probe_judge(&f, span_str(rows[0].json), limits, 2, true, &e), &e);
    check_int(f.said, ==, REP_PROBE_BEYOND);
    check_int(rep_probe_judge(&f, SPAN_LIT("{}"), limits, 1, true, &e), ==, ERR_FORMAT);
    err_clear(&e);
    check_int(rep_probe_judge(&f, SPAN_LIT("no JSON"), limits, 1, true, &e), ==,
              ERR_FORMAT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sharp_knee_is_found_in_twelve_probes),
        cmocka_unit_test(a_blurred_knee_is_found_nearly),
        cmocka_unit_test(the_ends_of_the_range_are_named),
        cmocka_unit_test(a_probe_that_says_nothing_is_repeated_once),
        cmocka_unit_test(a_rate_that_passed_by_chance_is_given_up),
        cmocka_unit_test(limits_are_read),
        cmocka_unit_test(a_report_is_judged_by_health_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

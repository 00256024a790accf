/*
 * test_compare.c - comparisons of runs whose truth is known, and the golden reports.
 *
 *   test_compare --write DIR    writes the worlds of fake_run.h, for
 * tests/cli/analysis.sh
 *
 * Golden files lie in tests/golden/analysis.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "analysis/compare.h"
#include "analysis/report.h"
#include "analysis/run_health.h"
#include "analysis/scan.h"
#include "tests/unit/fake_run.h"

#define MOST 16

static char home[1024], scratch[64];

/* Worlds are written once; tests then stand in their folder, so that paths are short
 * and the same everywhere. */
static int enter(void **state)
{
    (void)state;
    strcpy(scratch, "/tmp/reprise-compare-XXXXXX");
    if (!getcwd(home, sizeof home) || !mkdtemp(scratch) || chdir(scratch) != 0)
        return -1;
    fake_worlds_write(".");
    return 0;
}

static int leave(void **state)
{
    char command[128];
    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'", scratch);
    return chdir(home) != 0 || system(command) != 0;
}

/* --- helpers
 * -------------------------------------------------------------------------- */

struct session {
    struct ana_comparison c;
    char paths[2][MOST][40];
    const char *list[2][MOST];
    struct ana_compare_config config;
};

static void setup(struct session *s, const char *world, size_t pairs)
{
    *s = (struct session){.config = {.error_margin = 0.001,
                                     .floor_ns = 100000,
                                     .alpha = 0.05,
                                     .seed = 1,
                                     .a_count = pairs,
                                     .b_count = pairs}};
    for (size_t i = 0; i < pairs; i++)
        for (int arm = 0; arm < 2; arm++) {
            snprintf(s->paths[arm][i], sizeof s->paths[arm][i], "%s/%02zu-%c.run",
                     world, i + 1, "AB"[arm]);
            s->list[arm][i] = s->paths[arm][i];
        }
    s->config.a = s->list[0];
    s->config.b = s->list[1];
}

static void judge(struct session *s, const char *world, size_t pairs)
{
    struct err e = {0};
    setup(s, world, pairs);
    check_ok(ana_compare(&s->c, &s->config, &e), &e);
}

static enum ana_verdict verdict_of(const char *world, size_t pairs)
{
    static struct session s;
    judge(&s, world, pairs);
    enum ana_verdict v = s.c.verdict;
    ana_comparison_done(&s.c);
    return v;
}

/* --- verdicts
 * ------------------------------------------------------------------------- */

static void answers_are_compared_operation_by_operation(void **state)
{
    struct session s;
    (void)state;
    judge(&s, "answers", 6);
    const struct ana_answers *a = &s.c.answers;
    check_true(a->reason == NULL);
    check_int(a->ab.compared, ==, 6 * 3000);
    check_int(a->ab.differ, ==, 6 * 30);
    check_int(a->aa.compared, ==, 5 * 3000);
    check_int(a->aa.differ, ==, 0);
    check_int(a->first_op, ==, 1);
    check_str(a->first_model, "tfsimple");
    ana_comparison_done(&s.c);
    judge(&s, "bodies", 6);
    check_str_has(s.c.answers.reason, "--digest content");
    ana_comparison_done(&s.c);
}

static void what_answers_say_is_compared_whatever_the_health(void **state)
{
    struct session s;
    struct buf text = {0}, json = {0};
    (void)state;
    judge(&s, "answers-unfit", 2);
    check_int(s.c.verdict, ==, ANA_INVALID);
    check_int(s.c.answers.ab.compared, ==, 2 * 300);
    check_int(s.c.answers.ab.differ, ==, 2 * 3);
    ana_compare_text(&s.c, false, &text);
    check_str_has(buf_text(&text), "answers   6 of 600 differ between A and B");
    ana_compare_json(&s.c, &json);
    check_str_has(buf_text(&json), "\"compared\": 600");
    ana_comparison_done(&s.c);
    judge(&s, "answers-other", 2);
    check_str_has(s.c.answers.reason, "of the same trace");
    ana_comparison_done(&s.c);
    buf_done(&text);
    buf_done(&json);
}

static void runs_that_were_loaded_differently_are_refused(void **state)
{
    static const struct {
        const char *world, *why;
    } rows[] = {
        {"policies", "policy when nothing is free (queue and queue, cap 8)"},
        {"disciplines", "discipline of arrivals (open and partly-open)"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct session s;
        judge(&s, rows[i].world, 6);
        check_int(s.c.verdict, ==, ANA_INVALID);
        check_int(s.c.status, ==, EXIT_INVALID);
        check_str_has(s.c.invalid, "differ in what makes the load: ");
        check_str_has(s.c.invalid, rows[i].why);
        ana_comparison_done(&s.c);
    }
}

static void each_world_gets_the_verdict_of_its_truth(void **state)
{
    static const struct {
        const char *world;
        size_t pairs;
        enum ana_verdict want;
    } rows[] = {
        {"slow", 8, ANA_REGRESSED},         {"tail", 8, ANA_REGRESSED},
        {"fast", 8, ANA_IMPROVED},          {"same", 10, ANA_NO_CHANGE},
        {"errors", 8, ANA_REGRESSED},       {"broken", 8, ANA_INCONCLUSIVE},
        {"fixed", 8, ANA_REGRESSED},        {"sequential", 8, ANA_INCONCLUSIVE},
        {"single", 1, ANA_INCONCLUSIVE},    {"few", 4, ANA_INCONCLUSIVE},
        {"unfit", 6, ANA_INVALID},          {"other", 6, ANA_INVALID},
        {"attrition", 9, ANA_INCONCLUSIVE}, {"policies", 6, ANA_INVALID},
        {"disciplines", 6, ANA_INVALID},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        enum ana_verdict got = verdict_of(rows[i].world, rows[i].pairs);
        if (got != rows[i].want) {
            print_error("%s: %s, wanted %s\n", rows[i].world, ana_verdict_names[got],
                        ana_verdict_names[rows[i].want]);
            fail();
        }
    }
}

static void only_the_quantile_that_moved_is_blamed(void **state)
{
    static struct session s;

    (void)state;
    judge(&s, "tail", 8);
    check_int(s.c.gate_count, ==, 4);
    check_int(s.c.gates[0].verdict, ==, ANA_NO_CHANGE);
    check_int(s.c.gates[1].verdict, ==, ANA_NO_CHANGE);
    check_int(s.c.gates[2].verdict, ==, ANA_REGRESSED);
    check_int(s.c.gates[3].verdict, ==, ANA_NO_CHANGE);
    check_true(s.c.worst == &s.c.gates[2]);
    check_true(fabs(expm1(s.c.gates[2].centre.estimate) - 0.25) < 0.04);
    check_str_has(s.c.sentence, "response p99");
    ana_comparison_done(&s.c);
}

static void every_sentence_carries_its_evidence(void **state)
{
    static const char *const worlds[] = {"slow", "fast", "same", "errors", "few"};
    static const size_t pairs[] = {8, 8, 10, 8, 4};
    static struct session s;

    (void)state;
    for (size_t i = 0; i < 5; i++) {
        judge(&s, worlds[i], pairs[i]);
        char n[16];
        snprintf(n, sizeof n, "%zu pairs", pairs[i]);
        check_str_has(s.c.sentence, " CI");
        check_str_has(s.c.sentence, n);
        check_str_has(s.c.sentence, "tolerance ");
        check_str_has(s.c.sentence, "MDE ");
        ana_comparison_done(&s.c);
    }
}

static void an_invalid_run_takes_its_pair_with_it(void **state)
{
    static struct session s;

    (void)state;
    judge(&s, "attrition", 9);
    check_int(s.c.pair_count, ==, 7);
    check_int(s.c.invalid_pairs, ==, 2);
    check_int(s.c.invalid_runs[0], ==, 0);
    check_int(s.c.invalid_runs[1], ==, 2);
    check_int(s.c.attrition, ==, 1);
    for (size_t i = 0; i < s.c.gate_count; i++) /* the numbers alone would be green */
        check_true(s.c.gates[i].verdict == ANA_INCONCLUSIVE);
    check_str_has(s.c.sentence, "2 of B were invalid");
    ana_comparison_done(&s.c);
}

static void errors_that_dominate_silence_the_quantile(void **state)
{
    static struct session s;

    (void)state;
    judge(&s, "broken", 8);
    check_int(s.c.gates[2].why, ==, ANA_WHY_ERRORS_DOMINATE);
    check_int(s.c.gates[0].why, ==, ANA_WHY_NOTHING);
    check_str_has(s.c.next_step, "errors first");
    ana_comparison_done(&s.c);
}

static void short_runs_are_not_judged_where_they_cannot_be(void **state)
{
    static struct session s;

    (void)state;
    judge(&s, "short", 8);
    check_int(s.c.gates[0].why, ==, ANA_WHY_NOTHING);
    check_int(s.c.gates[1].why, ==, ANA_WHY_NOT_ESTIMABLE);
    check_int(s.c.gates[2].why, ==, ANA_WHY_NOT_ESTIMABLE);
    check_int(s.c.gates[2].needed_n, ==, 2000);
    check_int(s.c.gates[2].least_n, ==, 300);
    ana_comparison_done(&s.c);
}

static void new_classes_of_errors_come_first(void **state)
{
    static struct session s;

    (void)state;
    judge(&s, "errors", 8);
    check_int(s.c.class_count, ==, 1);
    check_str(s.c.classes[0].name, "http 503");
    check_int(s.c.classes[0].a, ==, 0);
    check_true(s.c.classes[0].b > 100);
    check_int(s.c.gates[3].verdict, ==, ANA_REGRESSED);
    ana_comparison_done(&s.c);
}

static void gates_can_be_chosen_and_models_must_exist(void **state)
{
    static struct session s;
    const struct ana_gate_spec gates[] = {
        {.metric = ANA_SERVICE, .p = ANA_P(90)},
        {.metric = ANA_RESPONSE, .p = ANA_P(75), .model = "iris"},
        {.errors = true, .model = "tfsimple"},
    };
    const struct ana_gate_spec unknown[] = {
        {.metric = ANA_RESPONSE, .p = ANA_P(50), .model = "wine"}};
    const struct ana_tolerance wide[] = {{ANA_P(90), 0.5}};
    struct err e = {0};

    (void)state;
    setup(&s, "slow", 8);
    s.config.gates = gates;
    s.config.gate_count = 3;
    s.config.tolerances = wide;
    s.config.tolerance_count = 1;
    check_ok(ana_compare(&s.c, &s.config, &e), &e);
    check_int(s.c.gate_count, ==, 4);                   /* and the error rate of all */
    check_int(s.c.gates[0].verdict, ==, ANA_NO_CHANGE); /* +10 % within 50 % */
    check_int(s.c.gates[1].verdict, ==, ANA_REGRESSED);
    check_str(s.c.gates[1].cell->name, "iris");
    check_int(s.c.gates[2].spec.errors, ==, 1);
    check_str(s.c.gates[2].cell->name, "tfsimple");
    check_int(s.c.gates[3].is_all, ==, 1);
    ana_comparison_done(&s.c);

    setup(&s, "slow", 8);
    s.config.gates = unknown;
    s.config.gate_count = 1;
    check_int(ana_compare(&s.c, &s.config, &e), ==, ERR_USAGE);
    check_str_has(e.text, "no operation of 'wine' is in the runs");
    ana_comparison_done(&s.c);
}

static void a_floor_swallows_small_differences(void **state)
{
    static struct session s;
    struct err e = {0};

    (void)state;
    setup(&s, "slow", 8);
    s.config.floor_ns = 20000000; /* 20 ms, on responses of 10 ms */
    check_ok(ana_compare(&s.c, &s.config, &e), &e);
    check_int(s.c.verdict, ==, ANA_NO_CHANGE);
    check_true(s.c.gates[0].tolerance > log(2));
    ana_comparison_done(&s.c);
}

static void a_run_given_twice_is_refused(void **state)
{
    static struct session s;
    struct err e = {0};

    (void)state;
    setup(&s, "slow", 2);
    s.list[1][0] = s.list[0][0];
    check_int(ana_compare(&s.c, &s.config, &e), ==, ERR_USAGE);
    check_str_has(e.text, "is given twice");
    ana_comparison_done(&s.c);
}

static void runs_on_the_wrong_side_are_noticed(void **state)
{
    static struct session s;
    struct err e = {0};

    (void)state;
    setup(&s, "slow", 6);
    const char *kept = s.list[0][2];
    s.list[0][2] = s.list[1][2];
    s.list[1][2] = kept;
    check_ok(ana_compare(&s.c, &s.config, &e), &e);
    check_int(s.c.verdict, ==, ANA_INVALID);
    check_str_has(s.c.invalid, "wrong side of --vs");
    ana_comparison_done(&s.c);
}

static void the_order_of_the_arguments_does_not_matter(void **state)
{
    static struct session s, t;
    struct buf a = {0}, b = {0};
    struct err e = {0};

    (void)state;
    judge(&s, "tail", 8);
    setup(&t, "tail", 8);
    for (int i = 0; i < 4; i++) {
        const char *kept = t.list[1][i];
        t.list[1][i] = t.list[1][7 - i];
        t.list[1][7 - i] = kept;
    }
    check_ok(ana_compare(&t.c, &t.config, &e), &e);
    ana_compare_text(&s.c, false, &a);
    ana_compare_text(&t.c, false, &b);
    check_str(buf_text(&a), buf_text(&b));
    buf_done(&a);
    buf_done(&b);
    ana_comparison_done(&s.c);
    ana_comparison_done(&t.c);
}

/* --- golden reports
 * --------------------------------------------------------------------- */

/* Golden files are found from where the tests were started. */
static void check_analysis_golden(const char *name, struct buf *got)
{
    char path[96];

    snprintf(path, sizeof path, "analysis/%s", name);
    check_int(chdir(home), ==, 0);
    check_golden(path, buf_view(got));
    check_int(chdir(scratch), ==, 0);
}

static void comparisons_read_as_they_did(void **state)
{
    static const struct {
        const char *world;
        size_t pairs;
    } rows[] = {{"tail", 8},  {"same", 10}, {"sequential", 8}, {"errors", 8},
                {"named", 6}, {"unfit", 6}, {"short", 8}};
    static struct session s;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char name[64];
        struct buf out = {0};
        judge(&s, rows[i].world, rows[i].pairs);
        ana_compare_text(&s.c, false, &out);
        snprintf(name, sizeof name, "compare-%s.txt", rows[i].world);
        check_analysis_golden(name, &out);
        for (const char *line = buf_text(&out); *line; line++) {
            size_t n = strcspn(line, "\n");
            check_int(n, <=, 80);
            line += n;
        }
        buf_done(&out);
        ana_comparison_done(&s.c);
    }
}

static void the_json_of_a_comparison_is_the_same_to_the_byte(void **state)
{
    static struct session s;
    struct buf out = {0};

    (void)state;
    judge(&s, "named", 6);
    ana_compare_json(&s.c, &out);
    /* The version of the tool is not part of the golden file. */
    const char *version = strstr(buf_text(&out), REPRISE_VERSION);
    assert_non_null(version);
    memset(out.p + (version - buf_text(&out)), 'x', strlen(REPRISE_VERSION));
    check_analysis_golden("compare-named.json", &out);
    buf_done(&out);
    ana_comparison_done(&s.c);
}

static void report_on(const char *path, const char *text_name, const char *json_name)
{
    struct ana_run run;
    struct ana_scan_config config = {0};
    struct buf out = {0};
    struct err e = {0};

    check_ok(ana_scan(&run, path, &config, &e), &e);
    check_ok(ana_health_judge(&run, &e), &e);
    ana_report_text(&run, false, &out);
    check_analysis_golden(text_name, &out);
    buf_reset(&out);
    ana_report_json(&run, &out);
    check_analysis_golden(json_name, &out);
    buf_done(&out);
    ana_run_done(&run);
}

static void reports_read_as_they_did(void **state)
{
    const struct fake_run whole = {.seed = 21,
                                   .operations = 3000,
                                   .errors = 0.004,
                                   .deadlines = 0.001,
                                   .drop_every = 500,
                                   .version = "2.10.2",
                                   .start_wall_ns = INT64_C(1924000000000000000)},
                          cut = {.seed = 22, .operations = 3000, .abandon = true};

    (void)state;
    fake_run_write("whole.run", &whole);
    report_on("whole.run", "report-whole.txt", "report-whole.json");
    fake_run_write("cut.run", &cut);
    report_on("cut.run", "report-cut.txt", "report-cut.json");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_world_gets_the_verdict_of_its_truth),
        cmocka_unit_test(runs_that_were_loaded_differently_are_refused),
        cmocka_unit_test(answers_are_compared_operation_by_operation),
        cmocka_unit_test(what_answers_say_is_compared_whatever_the_health),
        cmocka_unit_test(only_the_quantile_that_moved_is_blamed),
        cmocka_unit_test(every_sentence_carries_its_evidence),
        cmocka_unit_test(an_invalid_run_takes_its_pair_with_it),
        cmocka_unit_test(errors_that_dominate_silence_the_quantile),
        cmocka_unit_test(short_runs_are_not_judged_where_they_cannot_be),
        cmocka_unit_test(new_classes_of_errors_come_first),
        cmocka_unit_test(gates_can_be_chosen_and_models_must_exist),
        cmocka_unit_test(a_floor_swallows_small_differences),
        cmocka_unit_test(a_run_given_twice_is_refused),
        cmocka_unit_test(runs_on_the_wrong_side_are_noticed),
        cmocka_unit_test(the_order_of_the_arguments_does_not_matter),
        cmocka_unit_test(comparisons_read_as_they_did),
        cmocka_unit_test(the_json_of_a_comparison_is_the_same_to_the_byte),
        cmocka_unit_test(reports_read_as_they_did),
    };
    if (argc == 3 && strcmp(argv[1], "--write") == 0) {
        fake_worlds_write(argv[2]);
        return 0;
    }
    return cmocka_run_group_tests(tests, enter, leave);
}

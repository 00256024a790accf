/*
 * test_shards.c - the shards of a run are the run.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "analysis/compare.h"
#include "analysis/report.h"
#include "analysis/run_health.h"
#include "analysis/scan.h"
#include "analysis/shards.h"
#include "tests/unit/fake_run.h"
#include "traces/base/clk.h"
#include "traces/run_notes.h"

#define START (INT64_C(1900000000) * CLK_SEC)

static char folder[64], paths[16][96];

static int setup(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/reprise-shards-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    for (int i = 0; i < 16; i++)
        snprintf(paths[i], sizeof paths[i], "%s/%d.run", folder, i);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (int i = 0; i < 16; i++)
        unlink(paths[i]);
    return rmdir(folder);
}

static struct fake_run truth(void)
{
    return (struct fake_run){.seed = 5,
                             .operations = 5000,
                             .errors = 0.01,
                             .deadlines = 0.002,
                             .drop_every = 97,
                             .health = "VALID",
                             .start_wall_ns = START};
}

static void write_shard(int file, struct fake_run f, uint32_t shard, uint32_t shards)
{
    f.shard = shard;
    f.shards = shards;
    fake_run_write(paths[file], &f);
}

static int scan(struct ana_run *run, int first, size_t n, int64_t warmup_ns,
                struct err *e)
{
    const char *files[16];
    struct ana_scan_config config = {.warmup_ns = warmup_ns, .charts = true};
    for (size_t i = 0; i < n; i++)
        files[i] = paths[first + (int)i];
    int rc = ana_scan_shards(run, files, n, &config, e);
    return rc == 0 ? ana_health_judge(run, e) : rc;
}

/* From "operations" on: what stands before names files. */
static char *told(const struct ana_run *run)
{
    struct buf out = {0};
    ana_report_json(run, &out);
    const char *from = strstr(buf_text(&out), "\"operations\": {");
    assert_non_null(from);
    char *copy = strdup(from);
    buf_done(&out);
    return copy;
}

static void shards_together_are_exactly_the_run(void **state)
{
    (void)state;
    struct fake_run f = truth();
    fake_run_write(paths[0], &f);
    write_shard(1, f, 3, 3); /* in any order */
    write_shard(2, f, 1, 3);
    write_shard(3, f, 2, 3);
    for (int64_t warmup = 0; warmup <= CLK_SEC; warmup += CLK_SEC) {
        struct ana_run whole, merged;
        struct err e = {0};
        check_ok(scan(&whole, 0, 1, warmup, &e), &e);
        check_ok(scan(&merged, 1, 3, warmup, &e), &e);
        char *a = told(&whole), *b = told(&merged);
        check_str(a, b);
        check_int(merged.health, ==, ANA_VALID);
        check_int(merged.cut, ==, warmup / CLK_MS);
        check_str(ana_run_note(&merged, NOTE_DUE), "5000");
        check_int(memcmp(whole.curve, merged.curve, sizeof whole.curve), ==, 0);
        free(a);
        free(b);
        ana_run_done(&whole);
        ana_run_done(&merged);
    }
}

static void what_shards_count_by_cause_is_summed_by_cause(void **state)
{
    static const char *const ends[] = {"3: idle\n1: reset", NULL, "4: idle\n2: limit"};
    struct ana_run run;
    struct err e = {0};
    struct buf text = {0};
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct fake_run f = truth();
        f.connects = "8";
        f.connection_ends = ends[i];
        write_shard(i, f, (uint32_t)i + 1, 3);
    }
    check_ok(scan(&run, 0, 3, 0, &e), &e);
    check_str(ana_run_note(&run, NOTE_CONNECTS), "24");
    check_str(ana_run_note(&run, NOTE_CONNECTION_ENDS), "7: idle\n1: reset\n2: limit");
    ana_report_text(&run, false, &text);
    check_str_has(buf_text(&text),
                  "connections 24 made; ended: 7 idle, 1 reset, 2 limit\n");
    buf_reset(&text);
    ana_report_json(&run, &text);
    check_str_has(buf_text(&text), "\"cause\": \"idle\"");
    buf_done(&text);
    ana_run_done(&run);
}

static void a_missing_shard_makes_the_run_invalid(void **state)
{
    struct ana_run run;
    struct err e = {0};
    (void)state;
    write_shard(0, truth(), 1, 3);
    write_shard(1, truth(), 3, 3);
    check_ok(scan(&run, 0, 2, 0, &e), &e);
    check_int(run.health, ==, ANA_UNFIT);
    check_str(run.causes[0].code, "shards");
    check_str(run.causes[0].text, "2 of 3 shards are here; missing: 2/3");
    ana_run_done(&run);
    check_ok(scan(&run, 0, 1, 0, &e), &e); /* one alone as well */
    check_int(run.health, ==, ANA_UNFIT);
    check_str(run.causes[0].text, "1 of 3 shards are here; missing: 2/3 3/3");
    ana_run_done(&run);
}

static void the_whole_is_as_healthy_as_its_worst_shard(void **state)
{
    struct ana_run run;
    struct err e = {0};
    struct fake_run f = truth();
    (void)state;
    write_shard(0, f, 1, 2);
    f.health = "DEGRADED";
    f.health_causes = "steal: 2 % of the time";
    write_shard(1, f, 2, 2);
    check_ok(scan(&run, 0, 2, 0, &e), &e);
    check_int(run.health, ==, ANA_DEGRADED);
    check_int(run.cause_count, ==, 1);
    check_str(run.causes[0].code, "steal");
    check_str(run.causes[0].text, "shard 2/2: 2 % of the time");
    ana_run_done(&run);
    f.abandon = true;
    write_shard(1, f, 2, 2);
    check_ok(scan(&run, 0, 2, 0, &e), &e);
    check_int(run.health, ==, ANA_UNFIT);
    ana_run_done(&run);
}

static void shards_must_have_started_together(void **state)
{
    static const struct {
        int64_t apart;
        enum ana_health health;
    } cases[] = {
        {5 * CLK_MS, ANA_VALID}, {20 * CLK_MS, ANA_DEGRADED}, {2 * CLK_SEC, ANA_UNFIT}};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct ana_run run;
        struct err e = {0};
        struct fake_run f = truth();
        write_shard(0, f, 1, 2);
        f.start_wall_ns -= cases[i].apart;
        write_shard(1, f, 2, 2);
        check_ok(scan(&run, 0, 2, 0, &e), &e);
        check_int(run.health, ==, cases[i].health);
        check_int(run.start_wall_ns, ==, START - cases[i].apart);
        ana_run_done(&run);
    }
}

static void shards_of_different_traces_are_no_run(void **state)
{
    struct ana_run run;
    struct err e = {0};
    struct fake_run f = truth();
    (void)state;
    write_shard(0, f, 1, 2);
    f.trace_hash = "ffffffffffffffffffffffffffffffff";
    write_shard(1, f, 2, 2);
    check_ok(scan(&run, 0, 2, 0, &e), &e);
    check_int(run.health, ==, ANA_UNFIT);
    check_str_has(run.causes[0].text, "differ in trace.hash");
    ana_run_done(&run);
}

static void check_refused(size_t n, const char *why)
{
    struct ana_run run;
    struct err e = {0};
    check_int(scan(&run, 0, n, 0, &e), ==, ERR_USAGE);
    check_str_has(e.text, why);
    ana_run_done(&run);
}

static void files_that_are_no_shards_of_one_run_are_refused(void **state)
{
    struct fake_run f = truth();
    (void)state;
    write_shard(0, f, 1, 2);
    fake_run_write(paths[1], &f);
    check_refused(2, "is no shard");
    write_shard(1, f, 1, 2);
    check_refused(2, "is there twice");
    write_shard(1, f, 2, 3);
    check_refused(2, "one of 3");
    f.pair = "7";
    write_shard(0, f, 1, 2);
    f.pair = "8";
    write_shard(1, f, 2, 2);
    check_refused(2, "different labels");
}

/* Two arms, two pairs, two shards: eight files are four runs. */
static void a_comparison_takes_shards_as_runs(void **state)
{
    const char *files[8];
    (void)state;
    for (int i = 0; i < 8; i++) {
        struct fake_run f = truth();
        char pair[2] = {(char)('1' + i / 2 % 2), '\0'};
        f.seed = (uint64_t)(i / 2) + 1;
        f.arm = i < 4 ? "old" : "new";
        f.pair = pair;
        f.start_wall_ns += (i / 2 % 2 * 2 + i / 4) * 60 * CLK_SEC;
        write_shard(i, f, (uint32_t)i % 2 + 1, 2);
        files[i] = paths[i];
    }
    struct ana_compare_config config = {
        .a = files, .b = files + 4, .a_count = 4, .b_count = 4, .alpha = 0.05};
    struct ana_comparison c;
    struct err e = {0};
    check_ok(ana_compare(&c, &config, &e), &e);
    check_int(c.run_count, ==, 4);
    check_int(c.a_count, ==, 2);
    check_int(c.pair_count, ==, 2);
    check_int(c.invalid_pairs, ==, 0);
    check_int(c.due[0], ==, 10000);
    check_str(c.arm[1], "new");
    ana_comparison_done(&c);

    config.b_count = 3; /* a shard is missing: its pair is lost, and that is told */
    check_ok(ana_compare(&c, &config, &e), &e);
    check_int(c.pair_count, ==, 1);
    check_int(c.invalid_pairs, ==, 1);
    ana_comparison_done(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shards_together_are_exactly_the_run),
        cmocka_unit_test(what_shards_count_by_cause_is_summed_by_cause),
        cmocka_unit_test(a_missing_shard_makes_the_run_invalid),
        cmocka_unit_test(the_whole_is_as_healthy_as_its_worst_shard),
        cmocka_unit_test(shards_must_have_started_together),
        cmocka_unit_test(shards_of_different_traces_are_no_run),
        cmocka_unit_test(files_that_are_no_shards_of_one_run_are_refused),
        cmocka_unit_test(a_comparison_takes_shards_as_runs),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

/*
 * test_reading.c - several runs read at once are what they are read one by one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "analysis/read_runs.h"
#include "analysis/reading.h"
#include "analysis/report.h"
#include "analysis/run_health.h"
#include "analysis/scan.h"
#include "tests/unit/fake_run.h"

#define RUNS 9

static char folder[64], names[RUNS][96];
static const char *paths[RUNS];
static struct ana_group one[RUNS];
static const struct ana_group *groups[RUNS];

static int make_runs(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/reprise-reading-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    for (unsigned i = 0; i < RUNS; i++) {
        const struct fake_run f = {
            .seed = 40 + i, .operations = 500 + 300 * i, .errors = 0.01 * i};
        snprintf(names[i], sizeof names[i], "%s/%u.run", folder, i);
        paths[i] = names[i];
        one[i] = (struct ana_group){&paths[i], 1};
        groups[i] = &one[i];
        fake_run_write(names[i], &f);
    }
    return 0;
}

static int remove_runs(void **state)
{
    (void)state;
    for (unsigned i = 0; i < RUNS; i++)
        unlink(names[i]);
    return rmdir(folder);
}

static void runs_read_side_by_side_are_what_each_is_alone(void **state)
{
    struct ana_run runs[RUNS] = {0};
    struct ana_reading reading;
    struct ana_scan_config config = {.charts = true, .reading = &reading};
    struct err e = {0};

    (void)state;
    ana_reading_init(&reading, true);
    check_ok(ana_read_runs(runs, groups, RUNS, &config, &e), &e);
    ana_reading_done(&reading);
    config.reading = NULL;
    for (unsigned i = 0; i < RUNS; i++) {
        struct ana_run alone;
        struct buf x = {0}, y = {0};
        check_ok(ana_scan(&alone, paths[i], &config, &e), &e);
        check_ok(ana_health_judge(&alone, &e), &e);
        check_int(alone.all.counts.due, ==, 500 + 300 * i);
        ana_report_json(&alone, &x);
        ana_report_json(&runs[i], &y);
        check_str(buf_text(&x), buf_text(&y));
        buf_done(&x);
        buf_done(&y);
        ana_run_done(&alone);
        ana_run_done(&runs[i]);
    }
}

static void of_several_files_that_fail_the_first_is_told(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 20; round++) {
        struct ana_run runs[RUNS] = {0};
        struct ana_scan_config config = {.charts = true};
        struct err e = {0};
        const char *missing[2] = {"/nowhere/first.run", "/nowhere/second.run"};
        struct ana_group gone[2] = {{&missing[0], 1}, {&missing[1], 1}};
        const struct ana_group *mixed[RUNS];
        memcpy(mixed, groups, sizeof mixed);
        mixed[round % 5] = &gone[0];
        mixed[round % 5 + 1] = &gone[1];
        check_true(ana_read_runs(runs, mixed, RUNS, &config, &e) < 0);
        check_int(e.code, ==, ERR_IO);
        check_true(strstr(e.text, "first.run") != NULL);
        for (unsigned i = 0; i < RUNS; i++)
            ana_run_done(&runs[i]);
    }
}

static void what_was_read_is_counted_where_a_line_is_shown(void **state)
{
    struct ana_reading r;

    (void)state;
    ana_reading_init(&r, false);
    ana_reading_expect(&r, paths, 2);
    check_true(r.total_bytes > 0);
    r.line.on = true; /* as on a terminal; its first second shows nothing */
    ana_reading_add(&r, 10, 100);
    ana_reading_add(&r, 5, 50);
    check_int(r.operations, ==, 15);
    check_int(r.bytes, ==, 150);
    check_true(!r.line.shown);
    ana_reading_done(&r);
    ana_reading_add(NULL, 1, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_read_side_by_side_are_what_each_is_alone),
        cmocka_unit_test(of_several_files_that_fail_the_first_is_told),
        cmocka_unit_test(what_was_read_is_counted_where_a_line_is_shown),
    };
    return cmocka_run_group_tests(tests, make_runs, remove_runs);
}

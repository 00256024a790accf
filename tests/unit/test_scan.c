/*
 * test_scan.c - what a run file holds, counted and measured by definition.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "analysis/report.h"
#include "analysis/run_health.h"
#include "analysis/scan.h"
#include "tests/unit/fake_run.h"
#include "tests/unit/trc_both.h"
#include "traces/base/clk.h"
#include "traces/base/rng.h"
#include "traces/container/trc_writer.h"
#include "traces/run_notes.h"

static char path[64];

static int make_path(void **state)
{
    (void)state;
    strcpy(path, "/tmp/reprise-scan-XXXXXX");
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int remove_path(void **state)
{
    (void)state;
    return unlink(path);
}

static void scan(struct ana_run *run, int64_t warmup_ns)
{
    struct ana_scan_config config = {.warmup_ns = warmup_ns, .charts = true};
    struct err e = {0};
    const char *differ = trc_both_ways(path); /* of every run that a test here makes */
    if (differ)
        fail_msg("%s", differ);
    check_ok(ana_scan(run, path, &config, &e), &e);
    check_ok(ana_health_judge(run, &e), &e);
}

/* --- hand-made outcomes -------------------------------------------------------------
 */

static const struct op_stream iris = {.protocol = OP_REST,
                                      .tier = OP_TIER_ENVOY,
                                      .name = {(const uint8_t *)"iris", 4},
                                      .model_type = {(const uint8_t *)"iris", 4}};

static struct outcome outcome_at(uint64_t i, enum out_cause cause, int64_t due,
                                 int64_t ready, int64_t sent, int64_t first,
                                 int64_t done)
{
    struct outcome o = outcome_empty();
    o.op_index = i;
    o.stream = &iris;
    o.cause = cause;
    o.due_ns = due;
    o.ready_ns = ready;
    o.sent_ns = sent;
    o.first_ns = first;
    o.done_ns = done;
    o.status = cause == OUT_OK ? 200 : cause == OUT_STATUS ? 503 : 0;
    o.attempts = sent == OP_TIME_NONE ? 0 : 1;
    return o;
}

static void write_outcomes(const struct outcome *o, size_t n, const char *key,
                           const char *value)
{
    struct trc_options options = {.kind = TRC_RUN};
    struct trc_writer *w;
    struct err e = {0};

    check_ok(trc_writer_open(&w, path, &options, &e), &e);
    for (size_t i = 0; i < n; i++)
        check_ok(trc_writer_outcome(w, &o[i], &e), &e);
    if (key)
        check_ok(trc_writer_note(w, key, value, &e), &e);
    check_ok(trc_writer_close(w, &e), &e);
}

static void every_kind_of_end_is_counted_once_and_the_sums_hold(void **state)
{
    const struct outcome o[] = {
        outcome_at(0, OUT_OK, 0, 0, 10, 500, 600),
        outcome_at(1, OUT_STATUS, 100, 100, 120, 500, 700),
        outcome_at(2, OUT_CONNECT, 200, 200, OP_TIME_NONE, OP_TIME_NONE, 300),
        outcome_at(3, OUT_DEADLINE, 300, 350, 360, OP_TIME_NONE, 5000),
        outcome_at(4, OUT_DROPPED, 400, OP_TIME_NONE, OP_TIME_NONE, OP_TIME_NONE,
                   OP_TIME_NONE),
        outcome_at(5, OUT_REFUSED, 500, OP_TIME_NONE, OP_TIME_NONE, OP_TIME_NONE,
                   OP_TIME_NONE),
        outcome_at(6, OUT_STOPPED, 600, 600, 610, OP_TIME_NONE, OP_TIME_NONE),
        outcome_at(7, OUT_STOPPED, 700, OP_TIME_NONE, OP_TIME_NONE, OP_TIME_NONE,
                   OP_TIME_NONE),
    };
    struct ana_run run;

    (void)state;
    write_outcomes(o, 8, NULL, NULL);
    scan(&run, 0);
    const struct ana_counts *c = &run.all.counts;
    check_int(c->due, ==, 8);
    check_int(c->ok, ==, 1);
    check_int(c->failed, ==, 3);
    check_int(c->done, ==, 4);
    check_int(c->dropped, ==, 1);
    check_int(c->refused, ==, 1);
    check_int(c->stopped, ==, 2);
    check_int(c->stopped_sent, ==, 1);
    check_int(c->sent, ==, 5);
    check_int(c->due, ==, c->done + c->dropped + c->refused + c->stopped);
    check_int(c->done, ==, c->ok + c->failed);
    check_int(c->sent, ==, c->done + c->stopped_sent);
    check_int(run.cell_count, ==, 1);
    check_int(run.cells[0].counts.due, ==, 8);
    check_int(run.health, ==, ANA_UNFIT); /* interrupted */
    ana_run_done(&run);
}

static void latencies_follow_their_definitions(void **state)
{
    const struct outcome o[] = {
        outcome_at(0, OUT_OK, 1000, 1400, 1450, 2000, 2600),
        outcome_at(1, OUT_STATUS, 1000, 1000, 1010, 1500, 1600),
        outcome_at(2, OUT_DROPPED, 1000, OP_TIME_NONE, OP_TIME_NONE, OP_TIME_NONE,
                   OP_TIME_NONE),
        outcome_at(3, OUT_STOPPED, 1000, 1000, 1020, OP_TIME_NONE, OP_TIME_NONE),
    };
    struct ana_run run;

    (void)state;
    write_outcomes(o, 4, NULL, NULL);
    scan(&run, 0);
    const struct ana_latency *l = run.all.latency;
    check_int(l[ANA_RESPONSE].d.n, ==, 3); /* the stopped one has none */
    check_int(l[ANA_RESPONSE].d.infinite, ==, 2);
    check_int(run.curve[ANA_RESPONSE][0], ==, 1600);
    check_int(l[ANA_RESPONSE].d.max, ==, ANA_INF);
    check_int(l[ANA_RESPONSE_OK].d.n, ==, 1);
    check_int(l[ANA_RESPONSE_OK].d.max, ==, 1600);
    check_int(l[ANA_SERVICE].d.n, ==, 1);
    check_int(l[ANA_SERVICE].d.max, ==, 1150);
    check_int(l[ANA_TTFB].d.max, ==, 550);
    check_int(l[ANA_BACK_PRESSURE].d.n, ==, 3);
    check_int(l[ANA_BACK_PRESSURE].d.max, ==, 400);
    check_int(l[ANA_GENERATOR].d.n, ==, 3);
    check_int(l[ANA_GENERATOR].d.max, ==, 50);
    ana_run_done(&run);
}

static void a_wrong_answer_is_a_failure(void **state)
{
    struct outcome o = outcome_at(0, OUT_OK, 0, 0, 10, 500, 600);
    struct ana_run run;

    (void)state;
    o.check = OUT_WRONG;
    write_outcomes(&o, 1, NULL, NULL);
    scan(&run, 0);
    check_int(run.all.counts.ok, ==, 0);
    check_int(run.all.counts.failed, ==, 1);
    check_int(run.all.latency[ANA_RESPONSE].d.infinite, ==, 1);
    check_int(run.class_count, ==, 1);
    check_str(run.classes[0].name, "wrong answer");
    ana_run_done(&run);
}

static void moments_that_run_backwards_make_the_run_invalid(void **state)
{
    struct outcome o[2] = {outcome_at(0, OUT_OK, 1000, 1000, 1010, 1500, 1600),
                           outcome_at(1, OUT_OK, 2000, 2000, 2010, 1990, 2600)};
    struct ana_run run;
    struct ana_scan_config config = {0};
    struct err e = {0};

    (void)state;
    o[1].first_ns = 2005; /* the first byte before it was sent */
    write_outcomes(o, 2, NULL, NULL);
    int rc = ana_scan(&run, path, &config, &e);
    if (rc == 0) {
        check_ok(ana_health_judge(&run, &e), &e);
        check_int(run.health, ==, ANA_UNFIT);
    } else {
        check_int(rc, ==, ERR_FORMAT); /* the container may refuse it first */
    }
    ana_run_done(&run);
}

/* --- whole runs ---------------------------------------------------------------------
 */

static int order(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* Against the fake run's own draws, sorted. */
static void quantiles_of_a_run_are_exact(void **state)
{
    enum { N = 5000 };
    const struct fake_run f = {.seed = 5, .operations = N, .deadlines = 0.002};
    static int64_t response[N];
    struct ana_run run;
    struct rng r;

    (void)state;
    fake_run_write(path, &f);
    scan(&run, 0);
    rng_init(&r, 5);
    for (int i = 0; i < N; i++) {
        double service = 10e6 * exp(0.35 * rng_normal(&r)), fate = rng_unit(&r);
        int64_t late = (int64_t)(rng_exponential(&r) * 2000);
        response[i] = fate < 0.002 ? ANA_INF : late + (int64_t)service;
    }
    qsort(response, N, sizeof *response, order);
    const struct ana_latency *l = &run.all.latency[ANA_RESPONSE];
    check_int(l->d.n, ==, N);
    for (size_t i = 0; i < run.p_count; i++)
        check_int(l->q[i], ==, response[ana_rank(N, run.p[i]) - 1]);
    check_int(run.cell_count, ==, 3);
    check_str(run.cells[0].name, "chain.pipeline");
    check_str(run.cells[1].name, "iris");
    check_str(run.cells[2].name, "tfsimple");
    check_int(run.cells[2].protocol, ==, OP_GRPC);
    check_true(fabs(ana_rate_offered(&run) - 1000) < 1e-6);
    ana_run_done(&run);
}

static void blocks_of_the_series_hold_every_operation(void **state)
{
    const struct fake_run f = {.seed = 6, .operations = 6000, .errors = 0.01};
    struct ana_run run;
    uint64_t due = 0, failed = 0;

    (void)state;
    fake_run_write(path, &f);
    scan(&run, 0);
    check_int(run.block_count, ==, 30);
    check_int(run.high_p, ==, ANA_P(95));
    for (size_t b = 0; b < run.block_count; b++) {
        due += run.blocks[b].due;
        failed += run.blocks[b].failed;
        check_true(run.blocks[b].p50 > 5 * CLK_MS && run.blocks[b].p50 < 20 * CLK_MS);
    }
    check_int(due, ==, 6000);
    check_int(failed, ==, run.all.counts.failed);
    check_str(run.classes[0].name, "http 503");
    ana_run_done(&run);
}

static void the_warm_up_is_cut_by_due_time_and_counted(void **state)
{
    const struct fake_run f = {.seed = 7, .operations = 3000};
    struct ana_run run;

    (void)state;
    fake_run_write(path, &f);
    scan(&run, 500 * CLK_MS);
    check_int(run.cut, ==, 500);
    check_int(run.all.counts.due, ==, 2500);
    check_int(run.first_due_ns, ==, 500 * CLK_MS);
    check_int(run.health, ==, ANA_VALID);
    ana_run_done(&run);
    scan(&run, CLK_SEC * 60);
    check_int(run.all.counts.due, ==, 0);
    check_int(run.health, ==, ANA_UNFIT);
    check_str(run.causes[0].code, "empty");
    ana_run_done(&run);
}

static void more_cells_than_the_limit_are_told_by_model_type(void **state)
{
    const struct fake_run f = {
        .seed = 8, .operations = 4000, .cells = ANA_CELLS_MAX + 1};
    struct ana_run run;
    uint64_t due = 0;

    (void)state;
    fake_run_write(path, &f);
    scan(&run, 0);
    check_int(run.grouped, ==, 1);
    check_int(run.cell_count, ==, 2);
    check_str(run.cells[0].name, "echo");
    check_str(run.cells[1].name, "iris");
    for (size_t i = 0; i < run.cell_count; i++)
        due += run.cells[i].counts.due;
    check_int(due, ==, 4000);
    ana_run_done(&run);
}

static void a_run_of_exactly_the_limit_keeps_its_names(void **state)
{
    const struct fake_run f = {.seed = 8, .operations = 4000, .cells = ANA_CELLS_MAX};
    struct ana_run run;

    (void)state;
    fake_run_write(path, &f);
    scan(&run, 0);
    check_int(run.grouped, ==, 0);
    check_int(run.cell_count, ==, ANA_CELLS_MAX);
    ana_run_done(&run);
}

static void names_that_share_a_model_type_are_told_by_type_too(void **state)
{
    const struct fake_run f = {.seed = 8, .operations = 4000, .cells = 10};
    struct ana_run run;

    (void)state;
    fake_run_write(path, &f);
    scan(&run, 0);
    check_int(run.cell_count, ==, 10);
    check_int(run.cells[0].counts.due, ==, 400);
    check_int(run.type_count, ==, 2);
    check_str(run.types[0].name, "echo");
    check_int(run.types[0].by_type, ==, 1);
    check_int(run.types[0].counts.due, ==, 2000);
    check_int(run.types[1].latency[ANA_RESPONSE].d.n, ==, 2000);
    ana_run_done(&run);
}

/* --- damage and health
 * ---------------------------------------------------------------- */

static void a_file_without_its_end_is_reported_and_invalid(void **state)
{
    const struct fake_run f = {.seed = 9, .operations = 3000, .abandon = true};
    struct ana_run run;

    (void)state;
    fake_run_write(path, &f);
    scan(&run, 0);
    check_int(run.complete, ==, 0);
    check_true(run.all.counts.due > 0 && run.all.counts.due < 3000);
    check_int(run.health, ==, ANA_UNFIT);
    check_str(run.causes[0].code, "truncated");
    ana_run_done(&run);
}

static void a_file_cut_anywhere_never_passes_for_a_whole_one(void **state)
{
    const struct fake_run f = {.seed = 10, .operations = 3000};
    struct ana_scan_config config = {0};
    FILE *in;
    static unsigned char bytes[1 << 20];

    (void)state;
    fake_run_write(path, &f);
    in = fopen(path, "rb");
    assert_non_null(in);
    size_t n = fread(bytes, 1, sizeof bytes, in);
    fclose(in);
    for (size_t keep = 0; keep < n; keep += 1 + n / 97) {
        struct ana_run run;
        struct err e = {0};
        FILE *out = fopen(path, "wb");
        assert_non_null(out);
        check_int(fwrite(bytes, 1, keep, out), ==, keep);
        fclose(out);
        int rc = ana_scan(&run, path, &config, &e);
        if (rc == 0) {
            check_ok(ana_health_judge(&run, &e), &e);
            check_int(run.health, ==, ANA_UNFIT);
        } else {
            check_true(rc == ERR_TRUNCATED || rc == ERR_FORMAT);
        }
        ana_run_done(&run);
    }
}

static void a_trace_is_no_run(void **state)
{
    struct trc_options options = {.kind = TRC_TRACE};
    struct ana_scan_config config = {0};
    struct trc_writer *w;
    struct ana_run run;
    struct err e = {0};

    (void)state;
    check_ok(trc_writer_open(&w, path, &options, &e), &e);
    check_ok(trc_writer_close(w, &e), &e);
    check_int(ana_scan(&run, path, &config, &e), ==, ERR_FORMAT);
    check_str_has(e.text, "is a trace, not a run");
    ana_run_done(&run);
}

static void what_replay_says_of_its_health_is_taken(void **state)
{
    const struct fake_run f = {.seed = 11,
                               .operations = 3000,
                               .health = "DEGRADED",
                               .health_causes =
                                   "steal: 3 % of CPU was stolen\nodd line"};
    struct ana_run run;

    (void)state;
    fake_run_write(path, &f);
    scan(&run, 0);
    check_int(run.health, ==, ANA_DEGRADED);
    check_int(run.cause_count, ==, 2);
    check_str(run.causes[0].code, "steal");
    check_str(run.causes[0].text, "3 % of CPU was stolen");
    check_str(run.causes[1].code, "noted");
    check_str(run.causes[1].text, "odd line");
    ana_run_done(&run);
}

static void each_cause_keeps_the_severity_that_replay_gave_it(void **state)
{
    const struct fake_run f = {.seed = 11,
                               .operations = 3000,
                               .health = "INVALID",
                               .health_causes =
                                   "INVALID steal: 30 % of CPU was stolen\n"
                                   "DEGRADED clock-step: by 2 ms: in all\n"
                                   "DEGRADEDly: not a severity\n"
                                   "INVALID\nINVALID no code"};
    static const struct {
        enum ana_health severity;
        const char *code, *text;
    } want[] = {{ANA_UNFIT, "steal", "30 % of CPU was stolen"},
                {ANA_UNFIT, "DEGRADEDly", "not a severity"},
                {ANA_UNFIT, "noted", "INVALID"},
                {ANA_UNFIT, "noted", "no code"},
                {ANA_DEGRADED, "clock-step", "by 2 ms: in all"}};
    enum { COUNT = sizeof want / sizeof *want };
    struct buf text = {0}, json = {0}, html = {0};
    struct ana_run run;

    (void)state;
    fake_run_write(path, &f);
    scan(&run, 0);
    check_int(run.health, ==, ANA_UNFIT);
    check_int(run.cause_count, ==, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        check_int(run.causes[i].severity, ==, want[i].severity);
        check_str(run.causes[i].code, want[i].code);
        check_str(run.causes[i].text, want[i].text);
    }
    ana_report_text(&run, false, &text);
    check_str_has(buf_text(&text), "INVALID steal: 30 % of CPU was stolen");
    check_str_has(buf_text(&text), "DEGRADED clock-step: by 2 ms: in all");
    ana_report_json(&run, &json);
    check_str_has(buf_text(&json), "\"code\": \"clock-step\",\n"
                                   "        \"severity\": \"DEGRADED\"");
    ana_report_html(&run, &html);
    check_str_has(buf_text(&html), "<b>INVALID</b> steal: ");
    check_str_has(buf_text(&html), "<b>DEGRADED</b> clock-step: ");
    buf_done(&text);
    buf_done(&json);
    buf_done(&html);
    ana_run_done(&run);
}

static void a_verdict_holds_though_its_causes_are_milder(void **state)
{
    const struct fake_run f = {.seed = 11,
                               .operations = 3000,
                               .health = "INVALID",
                               .health_causes = "DEGRADED steal: 3 %"};
    struct ana_run run;

    (void)state;
    fake_run_write(path, &f);
    scan(&run, 0);
    check_int(run.health, ==, ANA_UNFIT);
    check_int(run.causes[0].severity, ==, ANA_DEGRADED);
    ana_run_done(&run);
}

static void a_late_generator_is_found_without_a_note(void **state)
{
    struct fake_run f = {.seed = 12, .operations = 3000, .late_ns = 600000};
    struct ana_run run;

    (void)state;
    fake_run_write(path, &f); /* p99 of 2.8 ms: beyond 2 ms */
    scan(&run, 0);
    check_int(run.health, ==, ANA_UNFIT);
    check_str(run.causes[0].code, "generator-late");
    ana_run_done(&run);
    f.late_ns = 150000; /* p99 of 0.7 ms */
    fake_run_write(path, &f);
    scan(&run, 0);
    check_int(run.health, ==, ANA_DEGRADED);
    ana_run_done(&run);
    f.health = "VALID"; /* replay's own word, which knows more, is not overruled */
    fake_run_write(path, &f);
    scan(&run, 0);
    check_int(run.health, ==, ANA_VALID);
    ana_run_done(&run);
}

static void back_pressure_is_never_held_against_a_run(void **state)
{
    enum { N = 3000 };
    static struct outcome o[N];
    struct ana_run run;

    (void)state;
    for (int i = 0; i < N; i++) { /* the target holds each for up to a second */
        int64_t due = i * CLK_MS, ready = due + (i % 1000) * CLK_MS;
        o[i] = outcome_at((uint64_t)i, OUT_OK, due, ready, ready + 1000, ready + CLK_MS,
                          ready + 2 * CLK_MS);
    }
    write_outcomes(o, N, NULL, NULL);
    scan(&run, 0);
    check_int(run.health, ==, ANA_VALID);
    ana_run_done(&run);
}

/* Starvation is told as such, in every form of the report. */
static void waits_are_told_by_what_was_waited_for(void **state)
{
    struct outcome o[4];
    struct buf text = {0}, json = {0}, html = {0};
    struct ana_run run;

    (void)state;
    for (int i = 0; i < 4; i++) { /* the last one waits for nothing */
        int64_t due = i * CLK_SEC, ready = due + (i < 3 ? (i + 1) * 10 * CLK_MS : 0);
        o[i] = outcome_at((uint64_t)i, OUT_OK, due, ready, ready, ready + 1, ready + 2);
        o[i].wait = i == 2 ? OUT_WAIT_CONNECT : i < 2 ? OUT_WAIT_SLOT : OUT_WAIT_NONE;
    }
    write_outcomes(o, 4, NULL, NULL);
    scan(&run, 0);
    check_int(run.waits[OUT_WAIT_SLOT].count, ==, 2);
    check_int(run.waits[OUT_WAIT_SLOT].total_ns, ==, 30 * CLK_MS);
    check_int(run.waits[OUT_WAIT_SLOT].most_ns, ==, 20 * CLK_MS);
    check_int(run.waits[OUT_WAIT_CONNECT].count, ==, 1);
    check_int(run.waits[OUT_WAIT_NONE].count, ==, 0);
    ana_report_text(&run, false, &text);
    check_str_has(buf_text(&text), "waited for  a free connection or stream: 2 "
                                   "operations, 30 ms in all, 20 ms at most\n"
                                   "            connecting: 1 operations, 30 ms");
    ana_report_json(&run, &json);
    check_str_has(buf_text(&json),
                  "\"slot\": {\n      \"count\": 2,\n      \"total_ns\": 30000000,\n   "
                  "   \"max_ns\": 20000000");
    ana_report_html(&run, &html);
    check_str_has(buf_text(&html),
                  "<td>a free connection or stream</td><td class=\"n\">2</td><td "
                  "class=\"n\">30 ms</td><td class=\"n\">20 ms</td>");
    check_str_has(buf_text(&html), "<td>connecting</td><td class=\"n\">1</td>");
    check_true(strstr(buf_text(&html), "its turn") == NULL);
    ana_run_done(&run);
    buf_done(&text);
    buf_done(&json);
    buf_done(&html);
}

static void missing_operations_are_missed(void **state)
{
    const struct outcome o = outcome_at(0, OUT_OK, 0, 0, 10, 500, 600);
    struct ana_run run;

    (void)state;
    write_outcomes(&o, 1, NOTE_DUE, "3");
    scan(&run, 0);
    check_int(run.health, ==, ANA_UNFIT);
    check_str(run.causes[0].code, "missing");
    check_str_has(run.causes[0].text, "3 operations were due, the file holds 1");
    ana_run_done(&run);
}

static void a_slipping_schedule_has_a_slope(void **state)
{
    double y[60];

    (void)state;
    for (int i = 0; i < 60; i++)
        y[i] = 3 + 2.0 * i + (i == 30 ? 1000 : 0); /* one outlier does not matter */
    check_true(fabs(ana_theil_sen(y, 60) - 2) < 1e-9);
    y[3] = NAN;
    check_true(fabs(ana_theil_sen(y, 60) - 2) < 1e-9);
    check_true(isnan(ana_theil_sen(y, 1)));
}

static void names_of_quantiles_are_short(void **state)
{
    char text[ANA_P_TEXT_MAX];

    (void)state;
    check_str(ana_p_text(ANA_P(50), text), "p50");
    check_str(ana_p_text(ANA_P(99.9), text), "p99.9");
    check_str(ana_p_text(ANA_P(99.99), text), "p99.99");
    check_str(ana_p_text(ANA_P(97.5), text), "p97.5");
    check_str(ana_p_text(1, text), "p0.0000001");
}

/* Operations are due every millisecond. */
static void the_phases_that_a_run_notes_are_left_out(void **state)
{
    struct ana_run run;
    struct fake_run f = {.seed = 3,
                         .operations = 3000,
                         .warmup_ns = 500 * CLK_MS,
                         .cooldown_from_ns = 2900 * CLK_MS};
    (void)state;
    fake_run_write(path, &f);
    scan(&run, 0);
    check_int(run.cut, ==, 500);
    check_int(run.cut_late, ==, 100);
    check_int(run.all.counts.due, ==, 2400);
    check_int(run.first_due_ns, ==, 500 * CLK_MS);
    check_int(run.last_due_ns, ==, 2899 * CLK_MS);
    for (size_t i = 0; i < run.cause_count; i++) /* none is missed */
        check_true(strcmp(run.causes[i].code, "missing") != 0);
    ana_run_done(&run);
    scan(&run, 700 * CLK_MS); /* the longer one counts */
    check_int(run.cut, ==, 700);
    ana_run_done(&run);
    scan(&run, 300 * CLK_MS);
    check_int(run.cut, ==, 500);
    ana_run_done(&run);
}

static void messages_of_streams_are_told_by_the_first_and_by_their_gaps(void **state)
{
    static const struct op_message long_one[] = {{50, 1}, {80, 1}, {200, 1}},
                                   short_one[] = {{70, 3}}, failed[] = {{1, 1}, {2, 1}};
    struct outcome o[] = {
        outcome_at(0, OUT_OK, 0, 0, 10, 40, 600),
        outcome_at(1, OUT_OK, 100, 100, 120, 150, 700),
        outcome_at(2, OUT_OK, 200, 200, 220, 230, 300), /* no stream */
        outcome_at(3, OUT_DEADLINE, 300, 350, 360, 365, 5000),
    };
    struct ana_run run;

    (void)state;
    o[0].bytes_in = o[1].bytes_in = 3;
    o[3].bytes_in = 2;
    o[0].messages = (struct op_messages){long_one, 3};
    o[1].messages = (struct op_messages){short_one, 1};
    o[3].messages = (struct op_messages){failed, 2};
    write_outcomes(o, 4, NULL, NULL);
    scan(&run, 0);
    const struct ana_latency *first = &run.all.latency[ANA_FIRST_MESSAGE];
    const struct ana_latency *gap = &run.all.latency[ANA_MESSAGE_GAP];
    check_int(first->d.n, ==, 2);
    check_int(ana_quantile_at(&run, first, ANA_P(50)), ==, 50);
    check_int(first->d.max, ==, 70);
    check_int(gap->d.n, ==, 2);
    check_int(ana_quantile_at(&run, gap, ANA_P(50)), ==, 30);
    check_int(gap->d.max, ==, 120);
    check_int(run.cell_count, ==, 1);
    check_int(run.cells[0].latency[ANA_MESSAGE_GAP].d.n, ==, 2);
    check_int(run.clock_faults, ==, 0);
    ana_run_done(&run);

    o[0].messages = (struct op_messages){failed + 1, 1};
    static const struct op_message back[] = {{5, 1}, {4, 1}};
    o[1].messages = (struct op_messages){back, 2};
    write_outcomes(o, 3, NULL, NULL);
    scan(&run, 0);
    check_int(run.clock_faults, ==, 1);
    check_int(run.all.latency[ANA_MESSAGE_GAP].d.n, ==, 0);
    ana_run_done(&run);
}

/* The same outcomes, in order of due time and not: operation i has index `index`. */
static void write_in_order(bool ordered)
{
    enum { SERIES = 4000 };
    static struct outcome all[SERIES];
    struct op_stream other = iris;
    struct rng r;

    other.name = span_str("tfsimple");
    rng_init(&r, 11);
    for (size_t i = 0; i < SERIES; i++) {
        int64_t due = (int64_t)i * 1000 + (int64_t)rng_below(&r, 1000);
        int64_t sent = due + (int64_t)rng_below(&r, 300);
        bool dropped = rng_below(&r, 50) == 0;
        all[i] = outcome_at(
            ordered ? i : SERIES - 1 - i,
            dropped             ? OUT_DROPPED
            : rng_below(&r, 40) ? OUT_OK
                                : OUT_STATUS,
            due, dropped ? OP_TIME_NONE : due + (sent - due) / 2,
            dropped ? OP_TIME_NONE : sent, dropped ? OP_TIME_NONE : sent + 500,
            dropped ? OP_TIME_NONE : sent + 500 + (int64_t)rng_below(&r, 100000));
        all[i].stream = rng_below(&r, 3) ? &iris : &other;
    }
    write_outcomes(all, SERIES, NULL, NULL);
}

static void the_series_is_the_same_whatever_the_order_of_outcomes(void **state)
{
    struct ana_run ordered, mixed;

    (void)state;
    write_in_order(true);
    scan(&ordered, 0);
    write_in_order(false);
    scan(&mixed, 0);
    check_int(ordered.block_count, ==, 20);
    check_int(mixed.block_count, ==, 20);
    for (size_t b = 0; b < 20; b++) {
        const struct ana_block *x = &ordered.blocks[b], *y = &mixed.blocks[b];
        check_true(x->due > 150 && x->failed > 0 && x->back_pressure_high > 0);
        check_int(x->due, ==, y->due);
        check_int(x->failed, ==, y->failed);
        check_int(x->p50, ==, y->p50);
        check_int(x->high, ==, y->high);
        check_int(x->generator_p50, ==, y->generator_p50);
        check_int(x->generator_high, ==, y->generator_high);
        check_int(x->back_pressure_high, ==, y->back_pressure_high);
    }
    for (int m = 0; m < ANA_METRIC_COUNT; m++) {
        check_int(ordered.all.latency[m].d.n, ==, mixed.all.latency[m].d.n);
        for (size_t i = 0; i < ordered.p_count; i++)
            check_int(ordered.all.latency[m].q[i], ==, mixed.all.latency[m].q[i]);
        assert_memory_equal(ordered.curve[m], mixed.curve[m], sizeof mixed.curve[m]);
    }
    ana_run_done(&ordered);
    ana_run_done(&mixed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_of_streams_are_told_by_the_first_and_by_their_gaps),
        cmocka_unit_test(every_kind_of_end_is_counted_once_and_the_sums_hold),
        cmocka_unit_test(latencies_follow_their_definitions),
        cmocka_unit_test(a_wrong_answer_is_a_failure),
        cmocka_unit_test(moments_that_run_backwards_make_the_run_invalid),
        cmocka_unit_test(quantiles_of_a_run_are_exact),
        cmocka_unit_test(blocks_of_the_series_hold_every_operation),
        cmocka_unit_test(the_series_is_the_same_whatever_the_order_of_outcomes),
        cmocka_unit_test(the_warm_up_is_cut_by_due_time_and_counted),
        cmocka_unit_test(more_cells_than_the_limit_are_told_by_model_type),
        cmocka_unit_test(a_run_of_exactly_the_limit_keeps_its_names),
        cmocka_unit_test(names_that_share_a_model_type_are_told_by_type_too),
        cmocka_unit_test(a_file_without_its_end_is_reported_and_invalid),
        cmocka_unit_test(a_file_cut_anywhere_never_passes_for_a_whole_one),
        cmocka_unit_test(a_trace_is_no_run),
        cmocka_unit_test(what_replay_says_of_its_health_is_taken),
        cmocka_unit_test(each_cause_keeps_the_severity_that_replay_gave_it),
        cmocka_unit_test(a_verdict_holds_though_its_causes_are_milder),
        cmocka_unit_test(a_late_generator_is_found_without_a_note),
        cmocka_unit_test(back_pressure_is_never_held_against_a_run),
        cmocka_unit_test(waits_are_told_by_what_was_waited_for),
        cmocka_unit_test(missing_operations_are_missed),
        cmocka_unit_test(a_slipping_schedule_has_a_slope),
        cmocka_unit_test(names_of_quantiles_are_short),
        cmocka_unit_test(the_phases_that_a_run_notes_are_left_out),
    };
    return cmocka_run_group_tests(tests, make_path, remove_path);
}

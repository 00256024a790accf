/*
 * report_text.c - `reprise report` for a terminal of 80 columns.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "analysis/report.h"
#include "analysis/text.h"
#include "traces/base/clk.h"
#include "traces/base/units.h"
#include "traces/run_notes.h"

#define WIDTH    80
#define LABEL    12 /* of the left column */
#define CELL_MAX 40 /* cells listed; the JSON has all */

static void label(struct buf *out, const char *text)
{
    ana_text_cell(out, text, LABEL, false);
}

static void put_note(struct buf *out, const struct ana_run *run, const char *before,
                     const char *key)
{
    const char *v = ana_run_note(run, key);
    if (!v)
        return;
    buf_str(out, before);
    ana_text_name(out, v, 44);
}

/* Live traffic that was mirrored: how far behind. */
static void put_lag(const struct ana_run *run, struct buf *out)
{
    char lag[UNITS_TEXT_MAX], asked_text[UNITS_TEXT_MAX];
    uint64_t ns, asked;
    if (!ana_run_note_u64(run, NOTE_SCHEDULE_LAG, &ns) || ns > INT64_MAX)
        return;
    label(out, "lag");
    buf_fmt(out, "%s behind the recorded arrivals",
            units_duration_text((int64_t)ns, lag));
    if (ana_run_note_u64(run, NOTE_SCHEDULE_LAG_ASKED, &asked) && asked <= INT64_MAX)
        buf_fmt(out, ", %s were asked for",
                units_duration_text((int64_t)asked, asked_text));
    buf_str(out, "\n");
}

/* Two targets may have agreed on different things: not to be cut short. */
static void put_tls(struct buf *out, const struct ana_run *run)
{
    buf_fmt(out, "\n%*sTLS ", LABEL, "");
    ana_text_name(out, ana_run_note(run, NOTE_TARGET_TLS), 200);
    buf_fmt(out, "\n%*s", LABEL, "");
    put_note(out, run, "handshakes full ", NOTE_TLS_FULL);
    put_note(out, run, ", resumed ", NOTE_TLS_RESUMED);
}

static void put_what_ran(const struct ana_run *run, struct buf *out)
{
    char span[UNITS_TEXT_MAX], wall[CLK_TEXT_MAX], cut[UNITS_TEXT_MAX];
    const char *hash = ana_run_note(run, NOTE_TRACE_HASH);

    label(out, "run");
    ana_text_name(out, run->path, WIDTH - LABEL);
    buf_str(out, "\n");
    label(out, "trace");
    put_note(out, run, "", NOTE_TRACE_FILE);
    if (hash) {
        buf_str(out, "  ");
        ana_text_name(out, hash, 17);
    }
    put_note(out, run, "  operations ", NOTE_TRACE_OPERATIONS);
    buf_str(out, "\n");
    label(out, "target");
    put_note(out, run, "", NOTE_TARGET_TIER);
    put_note(out, run, "  version ", NOTE_LABEL_VERSION);
    if (ana_run_note(run, NOTE_TARGET_HTTP))
        buf_fmt(out, "\n%*s", LABEL, "");
    put_note(out, run, "http ", NOTE_TARGET_HTTP);
    if (ana_run_note(run, NOTE_TARGET_GRPC))
        buf_fmt(out, "\n%*s", LABEL, "");
    put_note(out, run, "grpc ", NOTE_TARGET_GRPC);
    if (ana_run_note(run, NOTE_TARGET_KAFKA))
        buf_fmt(out, "\n%*s", LABEL, "");
    put_note(out, run, "kafka ", NOTE_TARGET_KAFKA);
    if (ana_run_note(run, NOTE_TARGET_TLS))
        put_tls(out, run);
    buf_str(out, "\n");
    label(out, "schedule");
    put_note(out, run, "", NOTE_SCHEDULE_MODE);
    put_note(out, run, " loop, speed ", NOTE_SCHEDULE_SPEED);
    if (run->first_due_ns != OP_TIME_NONE)
        buf_fmt(out, "  over %s",
                units_duration_text(run->last_due_ns - run->first_due_ns, span));
    if (run->start_wall_ns > 0) {
        clk_wall_text((struct clk_wall){run->start_wall_ns}, wall);
        buf_fmt(out, "  from %s", wall);
    }
    buf_str(out, "\n");
    put_lag(run, out);
    if (run->cut > 0) {
        label(out, "warm-up");
        buf_fmt(out, "%" PRIu64 " operations due before %s are left out\n", run->cut,
                units_duration_text(
                    run->first_due_ns == OP_TIME_NONE ? 0 : run->first_due_ns, cut));
    }
    if (run->cut_late > 0) {
        label(out, "cool-down");
        buf_fmt(out, "%" PRIu64 " operations due after %s are left out\n",
                run->cut_late,
                units_duration_text(
                    run->last_due_ns == OP_TIME_NONE ? 0 : run->last_due_ns, cut));
    }
}

static void put_health(const struct ana_run *run, bool colour, struct buf *out)
{
    struct buf line = {0};

    label(out, "health");
    ana_text_health(out, run->health, colour);
    buf_str(out, "\n");
    for (size_t i = 0; i < run->cause_count; i++) {
        buf_reset(&line);
        buf_fmt(&line, "%s ", ana_health_names[run->causes[i].severity]);
        ana_text_name(&line, run->causes[i].code, 24);
        buf_str(&line, ": ");
        ana_text_name(&line, run->causes[i].text, 400);
        buf_fmt(out, "%*s", LABEL, "");
        ana_text_wrap(out, buf_text(&line), LABEL, LABEL + 2, WIDTH);
    }
    buf_done(&line);
}

static void put_operations(const struct ana_run *run, struct buf *out)
{
    const struct ana_counts *c = &run->all.counts;
    char offered[UNITS_TEXT_MAX], achieved[UNITS_TEXT_MAX], ok[UNITS_TEXT_MAX];
    char bytes_out[UNITS_TEXT_MAX], bytes_in[UNITS_TEXT_MAX];

    buf_str(out, "\n");
    label(out, "operations");
    buf_fmt(out,
            "%" PRIu64 " due = %" PRIu64 " done + %" PRIu64 " dropped + %" PRIu64
            " refused",
            c->due, c->done, c->dropped, c->refused);
    if (c->stopped > 0)
        buf_fmt(out, " + %" PRIu64 " stopped", c->stopped);
    buf_fmt(out, "\n%*s%" PRIu64 " done = %" PRIu64 " ok + %" PRIu64 " failed", LABEL,
            "", c->done, c->ok, c->failed);
    buf_fmt(out, "; %" PRIu64 " sent\n", c->sent);
    label(out, "rate");
    if (isnan(ana_rate_offered(run)))
        buf_str(out, "-\n");
    else
        buf_fmt(out, "%s offered, %s achieved, %s ok\n",
                units_rate_text(ana_rate_offered(run), offered),
                units_rate_text(ana_rate_achieved(run), achieved),
                units_rate_text(ana_rate_ok(run), ok));
    label(out, "bytes");
    buf_fmt(out, "%s out, %s in (bodies)\n", units_size_text(c->bytes_out, bytes_out),
            units_size_text(c->bytes_in, bytes_in));
}

/* True when a quantile got a star. */
static bool put_latency(const struct ana_run *run, const char *name,
                        const struct ana_latency *l, struct buf *out)
{
    static const uint32_t p[] = {ANA_P(50), ANA_P(90), ANA_P(95), ANA_P(99),
                                 ANA_P(99.9)};
    char text[ANA_NS_TEXT_MAX];
    bool starred = false;

    ana_text_cell(out, name, 16, false);
    for (size_t i = 0; i < sizeof p / sizeof *p; i++) {
        ana_text_cell(out, ana_quantile_text(run, l, p[i], text), 9, true);
        starred = starred || ana_estimable(l->d.n, p[i]) == ANA_SHOWN;
    }
    ana_text_cell(out, ana_ns_text(l->d.max, text), 10, true);
    ana_text_cell(out,
                  ana_ns_text(isnan(l->d.mean)   ? ANA_NONE
                              : isinf(l->d.mean) ? ANA_INF
                                                 : (int64_t)llround(l->d.mean),
                              text),
                  9, true);
    buf_str(out, "\n");
    return starred;
}

static bool put_latencies(const struct ana_run *run, struct buf *out)
{
    static const char *const names[] = {"response",    "  good ones", "service",
                                        "first byte",  "late: ours",  "late: target's",
                                        "1st message", "between them"};
    static const char *const heads[] = {"p50", "p90", "p95", "p99", "p99.9"};
    bool starred = false;

    buf_str(out, "\n");
    ana_text_cell(out, "latency", 16, false);
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++)
        ana_text_cell(out, heads[i], 9, true);
    ana_text_cell(out, "max", 10, true);
    ana_text_cell(out, "mean", 9, true);
    buf_str(out, "\n");
    for (int m = 0; m < ANA_METRIC_COUNT; m++)
        if (!ana_is_of_streams((enum ana_metric)m) || run->all.latency[m].d.n > 0)
            starred |= put_latency(run, names[m], &run->all.latency[m], out);
    buf_str(out, "response counts from due, failures as infinite; service from sent, "
                 "good ones only\n");
    return starred;
}

/* What it was that made operations late by the target's doing. */
static void put_waits(const struct ana_run *run, struct buf *out)
{
    char total[UNITS_TEXT_MAX], most[UNITS_TEXT_MAX];
    bool first = true;

    for (int i = OUT_WAIT_SLOT; i < OUT_WAIT_COUNT; i++) {
        const struct ana_wait *w = &run->waits[i];
        if (w->count == 0)
            continue;
        buf_str(out, first ? "\n" : "");
        label(out, first ? "waited for" : "");
        buf_fmt(out, "%s: %" PRIu64 " operations, %s in all, %s at most\n",
                ana_wait_words[i], w->count, units_duration_text(w->total_ns, total),
                units_duration_text(w->most_ns, most));
        first = false;
    }
}

static void put_span(struct buf *out, struct span name, size_t max)
{
    struct buf copy = {0};
    buf_span(&copy, name);
    ana_text_name(out, buf_text(&copy), max);
    buf_done(&copy);
}

/* How many were made, what ended them, and why others were not made. */
static void put_connections(const struct ana_run *run, struct buf *out)
{
    const char *made = ana_run_note(run, NOTE_CONNECTS);
    struct span ends = span_str(ana_run_note(run, NOTE_CONNECTION_ENDS));
    struct span failures = span_str(ana_run_note(run, NOTE_CONNECT_FAILURES)), what;
    const char *before = "; ended: ";
    struct buf line = {0};
    uint64_t count;

    if (!made)
        return;
    buf_str(out, "\n");
    label(out, "connections");
    buf_fmt(&line, "%.20s made", made);
    for (; ana_note_line(&ends, &count, &what); before = ", ") {
        buf_fmt(&line, "%s%" PRIu64 " ", before, count);
        put_span(&line, what, 24);
    }
    ana_text_wrap(out, buf_text(&line), LABEL, LABEL + 2, WIDTH);
    while (ana_note_line(&failures, &count, &what)) {
        buf_reset(&line);
        buf_fmt(&line, "%" PRIu64 " not made: ", count);
        put_span(&line, what, 200);
        buf_fmt(out, "%*s", LABEL, "");
        ana_text_wrap(out, buf_text(&line), LABEL, LABEL + 2, WIDTH);
    }
    buf_done(&line);
}

/* What became of messages, and what records were none of the answers. */
static void put_kafka(const struct ana_run *run, struct buf *out)
{
    static const struct {
        const char *note, *words;
    } rows[] = {
        {NOTE_KAFKA_DELIVERED, "delivered"},
        {NOTE_KAFKA_UNDELIVERED, "not delivered"},
        {NOTE_KAFKA_AGAIN, "second answers"},
        {NOTE_KAFKA_LATE, "answers to what had ended without"},
        {NOTE_KAFKA_HOPS, "records of steps of pipelines"},
        {NOTE_KAFKA_UNKNOWN, "records with keys of others"},
        {NOTE_KAFKA_READ_ERRORS, "partitions that could not be read"},
    };
    char p50[UNITS_TEXT_MAX], p99[UNITS_TEXT_MAX];
    struct span said = span_str(ana_run_note(run, NOTE_KAFKA_ERRORS)), what;
    struct buf line = {0};
    uint64_t n, middle, high;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (ana_run_note_u64(run, rows[i].note, &n) && (n > 0 || i == 0))
            buf_fmt(&line, "%s%" PRIu64 " %s", line.n ? ", " : "", n, rows[i].words);
    if (line.n == 0)
        return;
    if (ana_run_note_u64(run, NOTE_KAFKA_DELIVERY_P50, &middle) &&
        ana_run_note_u64(run, NOTE_KAFKA_DELIVERY_P99, &high))
        buf_fmt(&line, "; sent to acknowledged: p50 %s, p99 %s",
                units_duration_text((int64_t)middle, p50),
                units_duration_text((int64_t)high, p99));
    buf_str(out, "\n");
    label(out, "kafka");
    ana_text_wrap(out, buf_text(&line), LABEL, LABEL + 2, WIDTH);
    while (ana_note_line(&said, &n, &what)) {
        buf_reset(&line);
        buf_fmt(&line, "%" PRIu64 " times: ", n);
        put_span(&line, what, 200);
        buf_fmt(out, "%*s", LABEL, "");
        ana_text_wrap(out, buf_text(&line), LABEL, LABEL + 2, WIDTH);
    }
    buf_done(&line);
}

static void put_errors(const struct ana_run *run, struct buf *out)
{
    enum { SHOWN = 12 };
    if (run->class_count == 0)
        return;
    buf_str(out, "\n");
    label(out, "errors");
    for (size_t i = 0; i < run->class_count && i < SHOWN; i++) {
        buf_fmt(out, "%*s%10" PRIu64 "  ", i ? LABEL : 0, "", run->classes[i].count);
        ana_text_name(out, run->classes[i].name, 48);
        buf_str(out, "\n");
    }
    if (run->class_count > SHOWN)
        buf_fmt(out, "%*s and %zu kinds more\n", LABEL, "", run->class_count - SHOWN);
}

static bool put_cell(const struct ana_run *run, const struct ana_cell *c,
                     struct buf *out)
{
    static const uint32_t p[] = {ANA_P(50), ANA_P(95), ANA_P(99)};
    const struct ana_latency *l = &c->latency[ANA_RESPONSE];
    struct buf name = {0};
    char text[ANA_NS_TEXT_MAX];
    bool starred = false;

    ana_text_name(&name, c->name, 21);
    ana_text_cell(out, buf_text(&name), 22, false);
    buf_done(&name);
    ana_text_cell(out, op_protocol_names[c->protocol], 6, false);
    ana_text_cell(out, op_tier_names[c->tier], 9, false);
    buf_fmt(out, "%9" PRIu64 "%7" PRIu64, c->counts.due, c->counts.due - c->counts.ok);
    for (size_t i = 0; i < sizeof p / sizeof *p; i++) {
        ana_text_cell(out, ana_quantile_text(run, l, p[i], text), 9, true);
        starred = starred || ana_estimable(l->d.n, p[i]) == ANA_SHOWN;
    }
    buf_str(out, "\n");
    return starred;
}

static bool put_cells(const struct ana_run *run, const struct ana_cell *cells, size_t n,
                      struct buf *out)
{
    bool starred = false;

    if (n == 0)
        return false;
    buf_str(out, "\n");
    ana_text_cell(out, cells[0].by_type ? "model type" : "model", 22, false);
    ana_text_cell(out, "proto", 6, false);
    ana_text_cell(out, "tier", 9, false);
    buf_str(out, "      due    bad      p50      p95      p99\n");
    for (size_t i = 0; i < n && i < CELL_MAX; i++)
        starred |= put_cell(run, &cells[i], out);
    if (n > CELL_MAX)
        buf_fmt(out, "and %zu cells more; --json has them all\n", n - CELL_MAX);
    return starred;
}

void ana_report_text(const struct ana_run *run, bool colour, struct buf *out)
{
    put_what_ran(run, out);
    put_health(run, colour, out);
    put_operations(run, out);
    bool starred = put_latencies(run, out);
    put_waits(run, out);
    put_connections(run, out);
    put_kafka(run, out);
    put_errors(run, out);
    starred |= put_cells(run, run->types, run->type_count, out);
    starred |= put_cells(run, run->cells, run->cell_count, out);
    if (starred)
        buf_str(out, "* fewer than 20 observations lie beyond: shown, never judged\n");
}

/*
 * report_json.c - `reprise report --json`.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>

#include "analysis/report.h"
#include "traces/run_notes.h"

void ana_json_ns(struct jsonw *w, int64_t ns)
{
    if (ns == ANA_NONE)
        jsonw_null(w);
    else if (ns == ANA_INF)
        jsonw_f64(w, INFINITY);
    else
        jsonw_i64(w, ns);
}

void ana_json_counts(struct jsonw *w, const struct ana_counts *c)
{
    jsonw_object(w);
    jsonw_key_u64(w, "due", c->due);
    jsonw_key_u64(w, "sent", c->sent);
    jsonw_key_u64(w, "done", c->done);
    jsonw_key_u64(w, "ok", c->ok);
    jsonw_key_u64(w, "failed", c->failed);
    jsonw_key_u64(w, "dropped", c->dropped);
    jsonw_key_u64(w, "refused", c->refused);
    jsonw_key_u64(w, "stopped", c->stopped);
    jsonw_end(w);
}

void ana_json_health(struct jsonw *w, const struct ana_run *run)
{
    jsonw_object(w);
    jsonw_key_str(w, "verdict", ana_health_names[run->health]);
    jsonw_key(w, "causes");
    jsonw_array(w);
    for (size_t i = 0; i < run->cause_count; i++) {
        jsonw_object(w);
        jsonw_key_str(w, "code", run->causes[i].code);
        jsonw_key_str(w, "severity", ana_health_names[run->causes[i].severity]);
        jsonw_key_str(w, "text", run->causes[i].text);
        jsonw_end(w);
    }
    jsonw_end(w);
    jsonw_end(w);
}

/* A quantile is null where fewer than 10 observations lie beyond it. */
static void put_latency(struct jsonw *w, const struct ana_run *run,
                        const struct ana_latency *l)
{
    char key[ANA_P_TEXT_MAX];

    jsonw_object(w);
    for (size_t i = 0; i < run->p_count; i++) {
        jsonw_key(w, ana_p_text(run->p[i], key));
        if (ana_estimable(l->d.n, run->p[i]) == ANA_NOT_ESTIMABLE)
            jsonw_null(w);
        else
            ana_json_ns(w, l->q[i]);
    }
    jsonw_key(w, "max");
    ana_json_ns(w, l->d.max);
    jsonw_key(w, "mean");
    if (isfinite(l->d.mean))
        jsonw_i64(w, (int64_t)llround(l->d.mean));
    else
        jsonw_f64(w, l->d.mean); /* "inf", or null without values */
    jsonw_key_u64(w, "n", l->d.n);
    jsonw_key_u64(w, "infinite", l->d.infinite);
    jsonw_end(w);
}

static void put_latencies(struct jsonw *w, const struct ana_run *run,
                          const struct ana_cell *cell)
{
    jsonw_key(w, "latency_ns");
    jsonw_object(w);
    for (int m = ANA_RESPONSE; m <= ANA_TTFB; m++) {
        jsonw_key(w, ana_metric_names[m]);
        put_latency(w, run, &cell->latency[m]);
    }
    for (int m = ANA_FIRST_MESSAGE; m <= ANA_MESSAGE_GAP; m++) {
        if (cell->latency[m].d.n == 0)
            continue;
        jsonw_key(w, ana_metric_names[m]);
        put_latency(w, run, &cell->latency[m]);
    }
    jsonw_key(w, "lateness");
    jsonw_object(w);
    jsonw_key(w, "generator");
    put_latency(w, run, &cell->latency[ANA_GENERATOR]);
    jsonw_key(w, "back_pressure");
    put_latency(w, run, &cell->latency[ANA_BACK_PRESSURE]);
    jsonw_end(w);
    jsonw_end(w);
}

static void put_note_u64(struct jsonw *w, const struct ana_run *run, const char *key,
                         const char *note)
{
    uint64_t v;
    jsonw_key(w, key);
    if (ana_run_note_u64(run, note, &v))
        jsonw_u64(w, v);
    else
        jsonw_null(w);
}

static void put_what_ran(struct jsonw *w, const struct ana_run *run)
{
    jsonw_key_str(w, "run", run->path);
    jsonw_key(w, "trace");
    jsonw_object(w);
    jsonw_key_str(w, "hash", ana_run_note(run, NOTE_TRACE_HASH));
    put_note_u64(w, run, "operations", NOTE_TRACE_OPERATIONS);
    jsonw_key_str(w, "file", ana_run_note(run, NOTE_TRACE_FILE));
    jsonw_end(w);
    jsonw_key(w, "target");
    jsonw_object(w);
    jsonw_key_str(w, "tier", ana_run_note(run, NOTE_TARGET_TIER));
    jsonw_key_str(w, "http", ana_run_note(run, NOTE_TARGET_HTTP));
    jsonw_key_str(w, "grpc", ana_run_note(run, NOTE_TARGET_GRPC));
    jsonw_key_str(w, "kafka", ana_run_note(run, NOTE_TARGET_KAFKA));
    jsonw_key_str(w, "tls", ana_run_note(run, NOTE_TARGET_TLS));
    jsonw_key_str(w, "version", ana_run_note(run, NOTE_LABEL_VERSION));
    jsonw_end(w);
    jsonw_key(w, "schedule");
    jsonw_object(w);
    jsonw_key_str(w, "mode", ana_run_note(run, NOTE_SCHEDULE_MODE));
    jsonw_key_str(w, "speed", ana_run_note(run, NOTE_SCHEDULE_SPEED));
    jsonw_key_str(w, "start", ana_run_note(run, NOTE_START));
    jsonw_key_u64(w, "warmup_cut", run->cut);
    jsonw_key_u64(w, "cooldown_cut", run->cut_late);
    uint64_t lag;
    if (ana_run_note_u64(run, NOTE_SCHEDULE_LAG, &lag))
        jsonw_key_u64(w, "lag_ns", lag);
    if (ana_run_note_u64(run, NOTE_SCHEDULE_LAG_ASKED, &lag))
        jsonw_key_u64(w, "lag_asked_ns", lag);
    jsonw_end(w);
}

static void put_file(struct jsonw *w, const struct ana_run *run)
{
    jsonw_key(w, "file");
    jsonw_object(w);
    jsonw_key_bool(w, "complete", run->complete && run->fault.code == ERR_OK);
    jsonw_key_u64(w, "bytes", run->file_bytes);
    jsonw_key_u64(w, "lost_blocks", run->lost_blocks);
    jsonw_key(w, "fault");
    if (run->fault.code == ERR_OK) {
        jsonw_null(w);
    } else {
        jsonw_object(w);
        jsonw_key_str(w, "text", run->fault.text);
        jsonw_key(w, "byte");
        if (run->fault.has_at)
            jsonw_u64(w, run->fault.at);
        else
            jsonw_null(w);
        jsonw_end(w);
    }
    jsonw_end(w);
}

static void put_rate(struct jsonw *w, const struct ana_run *run)
{
    jsonw_key(w, "rate");
    jsonw_object(w);
    jsonw_key_f64(w, "offered", ana_rate_offered(run));
    jsonw_key_f64(w, "achieved", ana_rate_achieved(run));
    jsonw_key_f64(w, "ok", ana_rate_ok(run));
    jsonw_end(w);
    jsonw_key(w, "bytes");
    jsonw_object(w);
    jsonw_key_u64(w, "out", run->all.counts.bytes_out);
    jsonw_key_u64(w, "in", run->all.counts.bytes_in);
    jsonw_end(w);
}

/* What back-pressure was made of: operations that waited, and how long in all. */
static void put_waits(struct jsonw *w, const struct ana_run *run)
{
    jsonw_key(w, "waits");
    jsonw_object(w);
    for (int i = OUT_WAIT_SLOT; i < OUT_WAIT_COUNT; i++) {
        jsonw_key(w, out_wait_names[i]);
        jsonw_object(w);
        jsonw_key_u64(w, "count", run->waits[i].count);
        jsonw_key_i64(w, "total_ns", run->waits[i].total_ns);
        jsonw_key_i64(w, "max_ns", run->waits[i].most_ns);
        jsonw_end(w);
    }
    jsonw_end(w);
}

static void put_lines(struct jsonw *w, const struct ana_run *run, const char *note,
                      const char *what)
{
    struct span rest = span_str(ana_run_note(run, note)), text;
    uint64_t count;
    jsonw_array(w);
    while (ana_note_line(&rest, &count, &text)) {
        jsonw_object(w);
        jsonw_key(w, what);
        jsonw_span(w, text);
        jsonw_key_u64(w, "count", count);
        jsonw_end(w);
    }
    jsonw_end(w);
}

/* How many were made, what ended them, and why others were not made. */
static void put_kafka(struct jsonw *w, const struct ana_run *run)
{
    jsonw_key(w, "kafka");
    jsonw_object(w);
    put_note_u64(w, run, "delivered", NOTE_KAFKA_DELIVERED);
    put_note_u64(w, run, "undelivered", NOTE_KAFKA_UNDELIVERED);
    jsonw_key(w, "delivery_ns");
    jsonw_object(w);
    put_note_u64(w, run, "p50", NOTE_KAFKA_DELIVERY_P50);
    put_note_u64(w, run, "p99", NOTE_KAFKA_DELIVERY_P99);
    put_note_u64(w, run, "max", NOTE_KAFKA_DELIVERY_MAX);
    jsonw_end(w);
    put_note_u64(w, run, "answers", NOTE_KAFKA_ANSWERS);
    put_note_u64(w, run, "answers_again", NOTE_KAFKA_AGAIN);
    put_note_u64(w, run, "answers_late", NOTE_KAFKA_LATE);
    put_note_u64(w, run, "records_of_steps", NOTE_KAFKA_HOPS);
    put_note_u64(w, run, "records_of_others", NOTE_KAFKA_UNKNOWN);
    put_note_u64(w, run, "read_errors", NOTE_KAFKA_READ_ERRORS);
    put_note_u64(w, run, "queue_full", NOTE_KAFKA_QUEUE_FULL);
    put_note_u64(w, run, "topics_late", NOTE_KAFKA_TOPICS_LATE);
    jsonw_key(w, "errors");
    put_lines(w, run, NOTE_KAFKA_ERRORS, "text");
    jsonw_end(w);
}

static void put_connections(struct jsonw *w, const struct ana_run *run)
{
    if (!ana_run_note(run, NOTE_CONNECTS))
        return;
    jsonw_key(w, "connections");
    jsonw_object(w);
    put_note_u64(w, run, "made", NOTE_CONNECTS);
    jsonw_key(w, "ended");
    put_lines(w, run, NOTE_CONNECTION_ENDS, "cause");
    jsonw_key(w, "failed");
    put_lines(w, run, NOTE_CONNECT_FAILURES, "reason");
    put_note_u64(w, run, "retries", NOTE_RETRIES);
    jsonw_end(w);
}

static void put_errors(struct jsonw *w, const struct ana_run *run)
{
    jsonw_key(w, "errors");
    jsonw_array(w);
    for (size_t i = 0; i < run->class_count; i++) {
        jsonw_object(w);
        jsonw_key_str(w, "class", run->classes[i].name);
        jsonw_key_u64(w, "count", run->classes[i].count);
        jsonw_end(w);
    }
    jsonw_end(w);
}

static void put_cells(struct jsonw *w, const struct ana_run *run, const char *key,
                      const struct ana_cell *cells, size_t n)
{
    jsonw_key(w, key);
    jsonw_array(w);
    for (size_t i = 0; i < n; i++) {
        const struct ana_cell *c = &cells[i];
        jsonw_object(w);
        jsonw_key_str(w, "model", c->name);
        jsonw_key_bool(w, "by_type", c->by_type);
        jsonw_key_str(w, "protocol", op_protocol_names[c->protocol]);
        jsonw_key_str(w, "tier", op_tier_names[c->tier]);
        jsonw_key(w, "operations");
        ana_json_counts(w, &c->counts);
        put_latencies(w, run, c);
        jsonw_end(w);
    }
    jsonw_end(w);
}

void ana_report_json(const struct ana_run *run, struct buf *out)
{
    struct jsonw w = {.out = out, .pretty = true};

    jsonw_object(&w);
    jsonw_key_str(&w, "schema", "reprise/report/1");
    put_what_ran(&w, run);
    put_file(&w, run);
    jsonw_key(&w, "operations");
    ana_json_counts(&w, &run->all.counts);
    put_latencies(&w, run, &run->all);
    put_waits(&w, run);
    put_rate(&w, run);
    put_connections(&w, run);
    if (ana_run_note(run, NOTE_TARGET_KAFKA))
        put_kafka(&w, run);
    put_errors(&w, run);
    jsonw_key(&w, "health");
    ana_json_health(&w, run);
    put_cells(&w, run, "cells", run->cells, run->cell_count);
    put_cells(&w, run, "types", run->types, run->type_count);
    jsonw_end(&w);
    buf_str(out, "\n");
}

/*
 * run_note.c - what a run file says of its run: see run_own.h, and
 * traces/run_notes.h for each note.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replay/run_own.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "traces/base/units.h"
#include "traces/run_notes.h"

void rep_running_note(struct rep_running *x, const char *key, const char *value)
{
    if (x->writer && x->fault.code == ERR_OK)
        (void)!trc_writer_note(x->writer, key, value, &x->fault);
}

PRINTF_LIKE(3, 4)
static void note_fmt(struct rep_running *x, const char *key, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    rep_running_note(x, key, text);
}

static void note_i64(struct rep_running *x, const char *key, int64_t v)
{
    note_fmt(x, key, "%" PRId64, v);
}

static void note_labels(struct rep_running *x)
{
    const struct opt_strv *labels = x->config->labels;
    for (size_t i = 0; labels && i < labels->n; i++) {
        const char *equals = strchr(labels->v[i], '=');
        char key[160];
        snprintf(key, sizeof key, NOTE_LABEL "%.*s", (int)(equals - labels->v[i]),
                 labels->v[i]);
        rep_running_note(x, key, equals + 1);
    }
}

static void note_trace(struct rep_running *x)
{
    const struct trc_info *info = rep_plan_info(x->plan);
    rep_running_note(x, NOTE_TRACE_FILE, x->config->trace);
    if (*x->coverage)
        rep_running_note(x, NOTE_TRACE_COVERAGE, x->coverage);
    if (!info->complete)
        return; /* what a footer would say is not known yet */
    note_fmt(x, NOTE_TRACE_HASH, "%016" PRIx64 "%016" PRIx64, info->content_hash[1],
             info->content_hash[0]);
    note_fmt(x, NOTE_TRACE_OPERATIONS, "%" PRIu64, info->records);
    note_i64(x, NOTE_TRACE_SPAN, info->last_ns - info->first_ns);
}

/* "queue", or what else becomes of operations that find nothing free. */
static void note_policy(struct rep_running *x)
{
    const struct rep_policy *p = &x->config->policy;
    char text[UNITS_TEXT_MAX];
    struct buf out = {0};

    if (p->drop_late_ns > 0)
        buf_fmt(&out, ", drop-late %s", units_duration_text(p->drop_late_ns, text));
    if (p->cap > 0)
        buf_fmt(&out, ", cap %" PRIu32, p->cap);
    if (p->abort_late_ns > 0)
        buf_fmt(&out, ", abort-late %s", units_duration_text(p->abort_late_ns, text));
    if (p->catch_up > 0)
        buf_fmt(&out, ", catch-up %g", p->catch_up);
    note_fmt(x, NOTE_SCHEDULE_POLICY, "queue%s", out.n > 0 ? buf_text(&out) : "");
    buf_done(&out);
}

static void note_rules(struct rep_running *x)
{
    const struct rep_run_config *c = x->config;
    struct buf out = {0};

    for (size_t i = 0; i < c->rule_count; i++)
        buf_fmt(&out, "%s%s", i ? ", " : "", c->rules[i].text);
    if (c->rule_count > 0) {
        rep_running_note(x, NOTE_RULES, buf_text(&out));
        note_i64(x, NOTE_RULE_WINDOW, c->rule_window_ns);
    }
    buf_done(&out);
}

static void note_client(struct rep_running *x)
{
    const struct rep_run_config *c = x->config;
    const char *engine = !c->curl               ? "own"
                         : c->http_version == 2 ? "curl, HTTP/2"
                                                : "curl, HTTP/1.1";
    if (c->http)
        rep_running_note(x, NOTE_ENGINE, engine);
    if (x->kafka) {
        note_fmt(x, NOTE_ENGINE, "librdkafka %s", rep_kafka_version());
        return;
    }
    if (*x->result->tls)
        rep_running_note(x, NOTE_TARGET_TLS, x->result->tls);
    if (c->pinned) {
        note_fmt(x, NOTE_CONNECTIONS, "recorded, grpc of %" PRIu32 " streams",
                 c->streams);
        return;
    }
    if (c->requests_per_connection > 0)
        note_fmt(x, NOTE_CONNECTIONS,
                 "rest %" PRIu32 ", grpc %" PRIu32 " of %" PRIu32
                 " streams, of %" PRIu64 " requests each",
                 rep_running_http(c), rep_running_grpc(c), c->streams,
                 c->requests_per_connection);
    else
        note_fmt(x, NOTE_CONNECTIONS,
                 "rest %" PRIu32 ", grpc %" PRIu32 " of %" PRIu32 " streams",
                 rep_running_http(c), rep_running_grpc(c), c->streams);
}

/* Names alone: values are credentials, or may be. */
static void note_headers(struct rep_running *x)
{
    struct buf names = {0};
    if (!x->config->headers || x->config->headers->n == 0)
        return;
    rep_headers_names(x->config->headers, &names);
    rep_running_note(x, NOTE_TARGET_HEADERS, buf_text(&names));
    buf_done(&names);
}

void rep_running_note_start(struct rep_running *x)
{
    const struct rep_run_config *c = x->config;
    rep_running_note(x, NOTE_TOOL_VERSION, REPRISE_VERSION);
    note_trace(x);
    rep_running_note(x, NOTE_TARGET_TIER, op_tier_names[c->tier]);
    if (c->http)
        rep_running_note(x, NOTE_TARGET_HTTP, x->http.text);
    if (c->grpc)
        rep_running_note(x, NOTE_TARGET_GRPC, x->grpc.text);
    if (x->kafka)
        note_fmt(x, NOTE_TARGET_KAFKA, "%s, %s.%s, %s keys", c->kafka.brokers,
                 c->kafka.prefix, c->kafka.name_space,
                 rep_kafka_key_names[c->kafka.keys]);
    note_headers(x);
    rep_running_note(x, NOTE_SCHEDULE_MODE, x->result->discipline);
    if (c->sessions)
        rep_running_note(x, NOTE_SESSION_ERROR, c->sessions_stop ? "stop" : "continue");
    rep_running_note(x, NOTE_SCHEDULE_SPEED, c->speed);
    if (c->users > 0)
        note_i64(x, NOTE_SCHEDULE_USERS, c->users);
    note_policy(x);
    note_client(x);
    note_rules(x);
    if (c->warmup_ns > 0)
        note_i64(x, NOTE_WARMUP, c->warmup_ns);
    if (c->cooldown_ns > 0)
        note_i64(x, NOTE_COOLDOWN, x->cooldown_from_ns);
    if (c->shard.count > 0)
        note_fmt(x, NOTE_SCHEDULE_SHARD, "%" PRIu32 "/%" PRIu32, c->shard.index + 1,
                 c->shard.count);
    rep_running_note(x, NOTE_ANSWER_DIGEST, c->answers.content ? "content" : "body");
    rep_running_note(x, NOTE_OPTIONS, c->options);
    rep_running_note(x, NOTE_MACHINE_NAME, x->machine.name);
    rep_running_note(x, NOTE_MACHINE_KERNEL, x->machine.kernel);
    rep_running_note(x, NOTE_MACHINE_CPU, x->machine.cpu);
    note_i64(x, NOTE_MACHINE_CPUS, x->machine.cpus);
    note_labels(x);
}

void rep_running_note_moment(struct rep_running *x)
{
    char text[CLK_TEXT_MAX];
    struct clk_wall wall = clk_wall_now(x->clk);
    wall.ns += x->start_ns - clk_mono_now(x->clk).ns;
    if (x->start_at.ns > 0) /* that is what start_ns was made of */
        wall = x->start_at;
    clk_wall_text(wall, text);
    rep_running_note(x, NOTE_START, text);
    note_i64(x, NOTE_START_WALL, wall.ns);
    x->start_wall = wall;
    note_i64(x, NOTE_START_MONO, x->start_ns);
}

/* "COUNT: reason" lines, where there are any. */
static void note_reasons(struct rep_running *x, const char *key,
                         const struct rep_reason *reasons, size_t count)
{
    struct buf lines = {0};
    for (size_t i = 0; i < count; i++)
        buf_fmt(&lines, "%s%" PRIu64 ": %s", i ? "\n" : "", reasons[i].count,
                reasons[i].text);
    if (count > 0)
        rep_running_note(x, key, buf_text(&lines));
    buf_done(&lines);
}

static void note_lateness(struct rep_running *x, const struct rep_health_facts *f)
{
    struct rep_tally *t = &x->result->tally;
    if (t->generator.total > 0) {
        note_i64(x, NOTE_GENERATOR_P50, hist_quantile(&t->generator, 0.5));
        note_i64(x, NOTE_GENERATOR_P99, f->generator_p99_ns);
        note_i64(x, NOTE_GENERATOR_MAX, t->generator.max_ns);
        note_i64(x, NOTE_PRESSURE_P99, hist_quantile(&t->pressure, 0.99));
        note_i64(x, NOTE_PRESSURE_MAX, t->pressure.max_ns);
        note_fmt(x, NOTE_TREND, "%.3f", f->trend_ppm);
    }
    if (f->offered > 0)
        note_fmt(x, NOTE_RATE_OFFERED, "%.6g", f->offered);
    if (t->sent > 1)
        note_fmt(x, NOTE_RATE_ACHIEVED, "%.6g", rep_tally_achieved(t));
}

/* "COUNT: text" lines, where there are any. */
static void note_failures(struct rep_running *x, const char *key,
                          const struct rep_failures *f)
{
    struct buf lines = {0};
    for (size_t i = 0; i < f->n; i++)
        if (f->v[i].count > 0)
            buf_fmt(&lines, "%s%" PRIu64 ": %s", lines.n ? "\n" : "", f->v[i].count,
                    f->v[i].text);
    if (lines.n > 0)
        rep_running_note(x, key, buf_text(&lines));
    buf_done(&lines);
}

/* Connections that ended, and those that could not be made, by reason; handshakes. */
static void note_connecting(struct rep_running *x)
{
    const struct rep_engine_stats *s = &x->stats.engine;
    struct buf lines = {0};

    for (int i = 0; i < REP_END_COUNT; i++)
        if (s->ends[i] > 0)
            buf_fmt(&lines, "%s%" PRIu64 ": %s", lines.n ? "\n" : "", s->ends[i],
                    rep_end_codes[i]);
    if (lines.n > 0)
        rep_running_note(x, NOTE_CONNECTION_ENDS, buf_text(&lines));
    note_failures(x, NOTE_CONNECT_FAILURES, &s->failures);
    if (*x->result->tls) {
        note_fmt(x, NOTE_TLS_FULL, "%" PRIu64, s->tls_full);
        note_fmt(x, NOTE_TLS_RESUMED, "%" PRIu64, s->tls_resumed);
    }
    buf_done(&lines);
}

static void note_kafka(struct rep_running *x)
{
    const struct rep_kafka_counts *k = &x->result->kafka;
    const struct {
        const char *key;
        uint64_t count;
    } rows[] = {
        {NOTE_KAFKA_DELIVERED, k->delivered},
        {NOTE_KAFKA_UNDELIVERED, k->undelivered},
        {NOTE_KAFKA_ANSWERS, k->answers},
        {NOTE_KAFKA_AGAIN, k->again},
        {NOTE_KAFKA_LATE, k->late},
        {NOTE_KAFKA_HOPS, k->hops},
        {NOTE_KAFKA_UNKNOWN, k->unknown},
        {NOTE_KAFKA_READ_ERRORS, k->read_errors},
        {NOTE_KAFKA_QUEUE_FULL, k->queue_full},
        {NOTE_KAFKA_TOPICS_LATE, k->topics_late},
    };
    if (!x->kafka)
        return;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        note_fmt(x, rows[i].key, "%" PRIu64, rows[i].count);
    if (k->delivery.total > 0) {
        note_i64(x, NOTE_KAFKA_DELIVERY_P50, hist_quantile(&k->delivery, 0.5));
        note_i64(x, NOTE_KAFKA_DELIVERY_P99, hist_quantile(&k->delivery, 0.99));
        note_i64(x, NOTE_KAFKA_DELIVERY_MAX, k->delivery.max_ns);
    }
    note_failures(x, NOTE_KAFKA_ERRORS, &k->errors);
}

void rep_running_note_end(struct rep_running *x, const struct rep_health_facts *f)
{
    struct rep_run_result *r = x->result;
    struct buf causes = {0};

    note_trace(x); /* of a pipe, known only now */
    note_i64(x, NOTE_SCHEDULE_EPOCH, r->plan.epoch_ns);
    if (r->lag_known)
        note_i64(x, NOTE_SCHEDULE_LAG, r->lag_ns);
    if (r->lag_asked_ns)
        note_i64(x, NOTE_SCHEDULE_LAG_ASKED, r->lag_asked_ns);
    note_i64(x, NOTE_DURATION, r->duration_ns);
    rep_running_note(x, NOTE_INTERRUPTED, r->interrupted ? "yes" : "no");
    note_fmt(x, NOTE_DUE, "%" PRIu64, r->tally.due);
    note_fmt(x, NOTE_SENT, "%" PRIu64, r->tally.sent);
    if (r->never_due_known)
        note_fmt(x, NOTE_NEVER_DUE, "%" PRIu64, r->never_due);
    note_fmt(x, NOTE_FILTERED, "%" PRIu64, r->plan.filtered);
    if (x->config->sessions) {
        note_fmt(x, NOTE_SESSIONS, "%" PRIu64, r->plan.sessions);
        note_fmt(x, NOTE_SESSION_THINKS, "%" PRIu64, r->plan.thinks);
        note_fmt(x, NOTE_SESSION_GAPS, "%" PRIu64, r->plan.gaps);
    }
    note_reasons(x, NOTE_REFUSALS, r->tally.reasons, r->tally.reason_count);
    note_connecting(x);
    note_kafka(x);
    note_lateness(x, f);
    note_fmt(x, NOTE_CHECK_CROSSED, "%" PRIu64, r->tally.crossed);
    if (x->config->answers.model || x->config->answers.recorded) {
        note_fmt(x, NOTE_CHECK_RIGHT, "%" PRIu64, r->tally.right);
        note_fmt(x, NOTE_CHECK_WRONG, "%" PRIu64, r->tally.wrong);
        note_fmt(x, NOTE_CHECK_UNJUDGED, "%" PRIu64, r->tally.unjudged);
        note_reasons(x, NOTE_CHECK_REASONS, r->tally.unjudged_reasons,
                     r->tally.unjudged_reason_count);
    }
    note_i64(x, NOTE_STARVED, x->stats.starved_ns);
    if (f->steal_share >= 0)
        note_fmt(x, NOTE_CPU_STEAL, "%.6f", f->steal_share);
    struct rep_cpu_times now = rep_cpu_times_read();
    if (rep_cpu_busy(&x->cpu_before, &now) >= 0)
        note_fmt(x, NOTE_CPU_BUSY, "%.4f", rep_cpu_busy(&x->cpu_before, &now));
    if (x->throttled_before_ns >= 0)
        note_i64(x, NOTE_CPU_THROTTLED, f->throttled_ns);
    note_fmt(x, NOTE_CPU_WORKED, "%.4f", f->worked_share);
    if (f->waited_ns >= 0)
        note_i64(x, NOTE_CPU_WAITED, f->waited_ns);
    note_fmt(x, NOTE_GAP_DISTANCE, "%.4f", f->gap_distance);
    note_fmt(x, NOTE_GAPS, "%" PRIu64, x->gaps.total);
    note_i64(x, NOTE_CPU_OWN, rep_cpu_own_ns() - x->own_before_ns);
    note_i64(x, NOTE_CLOCK_STEP, x->clock.stepped_ns);
    rep_running_note(x, NOTE_CLOCK_BACKWARDS, x->stats.clock_backwards ? "yes" : "no");
    note_fmt(x, NOTE_CLIENT_ERRORS, "%" PRIu64, x->stats.engine.client_errors);
    note_fmt(x, NOTE_CONNECTS, "%" PRIu64, x->stats.engine.connects);
    note_fmt(x, NOTE_RETRIES, "%" PRIu64, x->stats.engine.retries);
    note_fmt(x, NOTE_WARM_FAILED, "%" PRIu64, x->stats.warm_failed);
    note_i64(x, NOTE_PACER_MARGIN, x->stats.margin_ns);
    note_i64(x, NOTE_PACER_SLICE, x->stats.slice_ns);
    rep_running_note(x, NOTE_PACER_SHARED,
                     !x->share.crowded                ? "no"
                     : atomic_load(&x->share.refused) ? "refused"
                                                      : "gives way");
    rep_running_note(x, NOTE_HEALTH_VERDICT, rep_verdict_names[r->health.verdict]);
    rep_health_lines(&r->health, &causes);
    rep_running_note(x, NOTE_HEALTH_CAUSES, buf_text(&causes));
    buf_done(&causes);
}

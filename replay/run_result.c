/*
 * run_result.c - see run_result.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replay/run_result.h"

#include <inttypes.h>
#include <math.h>

#include "traces/base/jsonw.h"
#include "traces/base/units.h"

#define BEYOND_SHOWN 10 /* as many have to lie beyond a quantile, in report as here */

/* Whether enough was seen to tell the quantile p. */
static bool quantile_known(const struct hist *h, double p)
{
    double rank = ceil(p * (double)h->total);
    return (double)h->total - rank >= BEYOND_SHOWN;
}

static void json_hist(struct jsonw *w, const char *key, const struct hist *h)
{
    static const struct {
        const char *key;
        double p;
    } quantiles[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99.9", 0.999}};

    jsonw_key(w, key);
    if (h->total == 0) {
        jsonw_null(w);
        return;
    }
    jsonw_object(w);
    for (size_t i = 0; i < sizeof quantiles / sizeof *quantiles; i++) {
        jsonw_key(w, quantiles[i].key);
        if (quantile_known(h, quantiles[i].p))
            jsonw_i64(w, hist_quantile(h, quantiles[i].p));
        else
            jsonw_null(w);
    }
    jsonw_key_i64(w, "max", h->max_ns);
    jsonw_end(w);
}

static void json_counts(struct jsonw *w, const struct rep_run_result *r)
{
    const struct rep_tally *t = &r->tally;
    jsonw_key(w, "operations");
    jsonw_object(w);
    jsonw_key_u64(w, "due", t->due);
    jsonw_key_u64(w, "sent", t->sent);
    jsonw_key_u64(w, "done", t->answered);
    jsonw_key_u64(w, "ok", t->ok);
    jsonw_key_u64(w, "failed", t->failed);
    jsonw_key_u64(w, "dropped", t->dropped);
    jsonw_key_u64(w, "refused", t->refused);
    jsonw_key_u64(w, "stopped", t->stopped);
    jsonw_key_u64(w, "wrong", t->wrong);
    jsonw_key_u64(w, "crossed", t->crossed);
    jsonw_key_u64(w, "never_due", r->never_due);
    jsonw_end(w);
}

/* What --check found; nothing where it was not asked for, but what marks tell. */
static void json_answers(struct jsonw *w, const struct rep_tally *t)
{
    if (t->right + t->wrong + t->crossed + t->unjudged == 0)
        return;
    jsonw_key(w, "answers");
    jsonw_object(w);
    jsonw_key_u64(w, "right", t->right);
    jsonw_key_u64(w, "wrong", t->wrong);
    jsonw_key_u64(w, "crossed", t->crossed);
    jsonw_key_u64(w, "unjudged", t->unjudged);
    jsonw_key(w, "unjudged_reasons");
    jsonw_array(w);
    for (size_t i = 0; i < t->unjudged_reason_count; i++) {
        jsonw_object(w);
        jsonw_key_str(w, "reason", t->unjudged_reasons[i].text);
        jsonw_key_u64(w, "count", t->unjudged_reasons[i].count);
        jsonw_end(w);
    }
    jsonw_end(w);
    jsonw_end(w);
}

static void json_health(struct jsonw *w, const struct rep_health *h)
{
    jsonw_key(w, "health");
    jsonw_object(w);
    jsonw_key_str(w, "verdict", rep_verdict_names[h->verdict]);
    jsonw_key(w, "causes");
    jsonw_array(w);
    for (size_t i = 0; i < h->count; i++) {
        jsonw_object(w);
        jsonw_key_str(w, "code", h->causes[i].code);
        jsonw_key_str(w, "text", h->causes[i].text);
        jsonw_end(w);
    }
    jsonw_end(w);
    jsonw_end(w);
}

/* What became of connections: made, ended and why, not made and why. */
static void json_connections(struct jsonw *w, const struct rep_run_result *r)
{
    jsonw_key(w, "connections");
    jsonw_object(w);
    jsonw_key_u64(w, "made", r->connects);
    jsonw_key(w, "ended");
    jsonw_array(w);
    for (int i = 0; i < REP_END_COUNT; i++) {
        if (r->connection_ends[i] == 0)
            continue;
        jsonw_object(w);
        jsonw_key_str(w, "cause", rep_end_codes[i]);
        jsonw_key_u64(w, "count", r->connection_ends[i]);
        jsonw_end(w);
    }
    jsonw_end(w);
    jsonw_key(w, "failed");
    jsonw_array(w);
    for (size_t i = 0; i < r->connect_failures.n; i++) {
        if (r->connect_failures.v[i].count == 0)
            continue;
        jsonw_object(w);
        jsonw_key_str(w, "reason", r->connect_failures.v[i].text);
        jsonw_key_u64(w, "count", r->connect_failures.v[i].count);
        jsonw_end(w);
    }
    jsonw_end(w);
    jsonw_end(w);
}

/* No operation was sent later than this after its recorded arrival. */
static int64_t lag_most(const struct rep_run_result *r)
{
    return r->lag_ns + r->tally.generator.max_ns + r->tally.pressure.max_ns;
}

/* Quantiles here are those of the histograms: at most 0.8 % too high. */
static void json_kafka(struct jsonw *w, const struct rep_run_result *r)
{
    const struct rep_kafka_counts *k = &r->kafka;
    if (k->delivery.limit_ns == 0)
        return; /* another tier */
    jsonw_key(w, "kafka");
    jsonw_object(w);
    jsonw_key_u64(w, "delivered", k->delivered);
    jsonw_key_u64(w, "undelivered", k->undelivered);
    json_hist(w, "delivery_ns", &k->delivery);
    jsonw_key_u64(w, "answers", k->answers);
    jsonw_key_u64(w, "failures", k->failures);
    jsonw_key_u64(w, "answers_again", k->again);
    jsonw_key_u64(w, "answers_late", k->late);
    jsonw_key_u64(w, "records_of_steps", k->hops);
    jsonw_key_u64(w, "records_of_others", k->unknown);
    jsonw_key_u64(w, "read_errors", k->read_errors);
    jsonw_key_u64(w, "queue_full", k->queue_full);
    jsonw_key_u64(w, "topics_late", k->topics_late);
    jsonw_key(w, "errors");
    jsonw_array(w);
    for (size_t i = 0; i < k->errors.n; i++) {
        if (k->errors.v[i].count == 0)
            continue;
        jsonw_object(w);
        jsonw_key_str(w, "text", k->errors.v[i].text);
        jsonw_key_u64(w, "count", k->errors.v[i].count);
        jsonw_end(w);
    }
    jsonw_end(w);
    jsonw_end(w);
}

void rep_result_json(const struct rep_run_result *r, FILE *f)
{
    struct buf out = {0};
    struct jsonw w = {.out = &out, .pretty = true};
    const struct rep_tally *t = &r->tally;

    jsonw_object(&w);
    jsonw_key_str(&w, "schema", "reprise/replay/1");
    jsonw_key_str(&w, "run", r->out);
    jsonw_key_str(&w, "discipline", r->discipline);
    jsonw_key_bool(&w, "interrupted", r->interrupted);
    jsonw_key_str(&w, "aborted", *r->aborted ? r->aborted : NULL);
    jsonw_key_i64(&w, "duration_ns", r->duration_ns);
    json_counts(&w, r);
    json_answers(&w, t);
    jsonw_key(&w, "latency_ns");
    jsonw_object(&w);
    json_hist(&w, "response", &t->response);
    json_hist(&w, "service", &t->service);
    json_hist(&w, "ttfb", &t->ttfb);
    jsonw_key(&w, "lateness");
    jsonw_object(&w);
    json_hist(&w, "generator", &t->generator);
    json_hist(&w, "back_pressure", &t->pressure);
    jsonw_end(&w);
    jsonw_end(&w);
    if (r->lag_asked_ns)
        jsonw_key_i64(&w, "lag_asked_ns", r->lag_asked_ns);
    if (r->lag_known) {
        jsonw_key_i64(&w, "lag_ns", r->lag_ns);
        jsonw_key_i64(&w, "lag_most_ns", lag_most(r));
    }
    if (r->plan.sessions > 0) {
        jsonw_key(&w, "sessions");
        jsonw_object(&w);
        jsonw_key_u64(&w, "count", r->plan.sessions);
        jsonw_key_u64(&w, "thinks", r->plan.thinks);
        jsonw_key_u64(&w, "gaps", r->plan.gaps);
        jsonw_end(&w);
    }
    jsonw_key(&w, "rate");
    jsonw_object(&w);
    jsonw_key_f64(&w, "offered", rep_tally_offered(t));
    jsonw_key_f64(&w, "achieved", rep_tally_achieved(t));
    jsonw_end(&w);
    jsonw_key(&w, "errors");
    jsonw_array(&w);
    for (size_t i = 0; i < t->class_count; i++) {
        jsonw_object(&w);
        jsonw_key_str(&w, "class", t->classes[i].text);
        jsonw_key_u64(&w, "count", t->classes[i].count);
        jsonw_end(&w);
    }
    jsonw_end(&w);
    json_connections(&w, r);
    json_kafka(&w, r);
    json_health(&w, &r->health);
    jsonw_end(&w);
    buf_str(&out, "\n");
    fputs(buf_text(&out), f);
    buf_done(&out);
}

static const char *quantile_text(const struct hist *h, double p, char *out)
{
    return quantile_known(h, p) ? units_duration_text(hist_quantile(h, p), out) : "-";
}

static void print_hist(FILE *f, const char *name, const struct hist *h)
{
    char a[UNITS_TEXT_MAX], b[UNITS_TEXT_MAX], c[UNITS_TEXT_MAX], d[UNITS_TEXT_MAX];
    if (h->total == 0)
        return;
    fprintf(f, "  %-24s p50 %-9s p99 %-9s p99.9 %-9s max %s\n", name,
            quantile_text(h, 0.5, a), quantile_text(h, 0.99, b),
            quantile_text(h, 0.999, c), units_duration_text(h->max_ns, d));
}

/* How many think times are gaps between arrivals, for want of the answer's end. */
static const char *gap_text(const struct rep_run_result *r, char *out, size_t size)
{
    snprintf(out, size, " (%" PRIu64 " by gap)", r->plan.gaps);
    return r->plan.gaps > 0 ? out : "";
}

static void print_kafka(FILE *f, const struct rep_kafka_counts *k)
{
    const struct {
        const char *what;
        uint64_t count;
    } rows[] = {
        {"answers to what was answered", k->again},
        {"answers to what had ended without", k->late},
        {"records of steps of pipelines", k->hops},
        {"records with keys of others", k->unknown},
        {"partitions that could not be read", k->read_errors},
    };
    if (k->delivery.limit_ns == 0)
        return;
    print_hist(f, "delivery, from sent", &k->delivery);
    fprintf(f,
            "  kafka       delivered %" PRIu64 ", not delivered %" PRIu64
            ", answers %" PRIu64 ", of them failures %" PRIu64 "\n",
            k->delivered, k->undelivered, k->answers, k->failures);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].count > 0)
            fprintf(f, "  %s: %" PRIu64 "\n", rows[i].what, rows[i].count);
    for (size_t i = 0; i < k->errors.n; i++)
        if (k->errors.v[i].count > 0)
            fprintf(f, "  said %" PRIu64 ": %s\n", k->errors.v[i].count,
                    k->errors.v[i].text);
}

void rep_result_text(const struct rep_run_result *r, FILE *f)
{
    const struct rep_tally *t = &r->tally;
    char a[UNITS_TEXT_MAX], b[UNITS_TEXT_MAX];

    fprintf(f, "%s: %s, %s loop, %s\n", r->out, rep_verdict_names[r->health.verdict],
            r->discipline, units_duration_text(r->duration_ns, a));
    for (size_t i = 0; i < r->health.count; i++)
        fprintf(f, "  %s: %s: %s\n", rep_verdict_names[r->health.causes[i].weight],
                r->health.causes[i].code, r->health.causes[i].text);
    fprintf(f,
            "  operations  due %" PRIu64 ", sent %" PRIu64 ", ok %" PRIu64
            ", failed %" PRIu64 ", dropped %" PRIu64 ", refused %" PRIu64
            ", stopped %" PRIu64 "\n",
            t->due, t->sent, t->ok, t->failed, t->dropped, t->refused, t->stopped);
    if (r->never_due > 0)
        fprintf(f, "  never due   %" PRIu64 "\n", r->never_due);
    if (t->right + t->wrong + t->crossed + t->unjudged > 0)
        fprintf(f,
                "  answers     right %" PRIu64 ", wrong %" PRIu64
                ", another operation's %" PRIu64 ", not judged %" PRIu64 "\n",
                t->right, t->wrong, t->crossed, t->unjudged);
    for (size_t i = 0; i < t->unjudged_reason_count; i++)
        fprintf(f, "  not judged %" PRIu64 ": %s\n", t->unjudged_reasons[i].count,
                t->unjudged_reasons[i].text);
    fprintf(f, "  rate        offered %s, achieved %s\n",
            units_rate_text(rep_tally_offered(t), a),
            units_rate_text(rep_tally_achieved(t), b));
    if (r->plan.sessions > 0)
        fprintf(f,
                "  sessions    %" PRIu64 ", %" PRIu64 " operations after another%s\n",
                r->plan.sessions, r->plan.thinks, gap_text(r, a, sizeof a));
    if (r->lag_known)
        fprintf(f, "  lag         %s behind the trace's own time%s, at most %s\n",
                units_duration_text(r->lag_ns, a),
                r->lag_asked_ns == 0                   ? ""
                : r->lag_ns > r->lag_asked_ns + CLK_MS ? " (more than asked)"
                                                       : " (as asked)",
                units_duration_text(lag_most(r), b));
    print_hist(f, "response, from due", &t->response);
    print_hist(f, "service, from sent", &t->service);
    print_hist(f, "lateness, generator", &t->generator);
    print_hist(f, "lateness, back-pressure", &t->pressure);
    print_kafka(f, &r->kafka);
    for (size_t i = 0; i < t->class_count; i++)
        fprintf(f, "  %-24s %" PRIu64 "\n", t->classes[i].text, t->classes[i].count);
    for (size_t i = 0; i < t->reason_count; i++)
        fprintf(f, "  refused %" PRIu64 ": %s\n", t->reasons[i].count,
                t->reasons[i].text);
    for (int i = 0; i < REP_END_COUNT; i++)
        if (r->connection_ends[i] > 0)
            fprintf(f, "  connections ended %" PRIu64 ": %s\n", r->connection_ends[i],
                    rep_end_texts[i]);
    for (size_t i = 0; i < r->connect_failures.n; i++)
        if (r->connect_failures.v[i].count > 0)
            fprintf(f, "  no connection %" PRIu64 ": %s\n",
                    r->connect_failures.v[i].count, r->connect_failures.v[i].text);
    if (*r->tls)
        fprintf(f,
                "  TLS         %s; handshakes full %" PRIu64 ", resumed %" PRIu64 "\n",
                r->tls, r->tls_full, r->tls_resumed);
}

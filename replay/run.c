/*
 * run.c - a run from its beginning to its end: see run.h, and run_own.h for its parts.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replay/run.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "replay/pins.h"
#include "replay/run_own.h"
#include "traces/base/log.h"
#include "traces/run_notes.h"

#define DEFAULT_HTTP_CONNECTIONS 64
#define DEFAULT_GRPC_CONNECTIONS 4
#define LEAD_NS                  CLK_MS /* from "all ready" to the first due time */
/* Before the time of --start-at: connections are made, besides the time that they may
 * take, and the measuring begins. */
#define CONNECT_EARLY_NS (500 * CLK_MS)
#define START_EARLY_NS   (20 * CLK_MS)
/* After --duration: what a pipe has not brought by then was not in time. */
#define PIPE_LATE_NS CLK_SEC
#define SPARE_FILES  4 /* descriptors that connections must leave to us */

void rep_running_nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = REP_RUN_NAP_NS}, NULL);
}

bool rep_running_interrupted(const struct rep_running *x)
{
    return x->config->interrupts && *x->config->interrupts > 0;
}

void rep_running_stop(struct rep_running *x)
{
    atomic_store(&x->control.stop, true);
    rep_plan_stop(x->plan);
    for (uint32_t i = 0; i < x->worker_count; i++)
        rep_worker_wake(x->workers[i]);
}

uint32_t rep_running_http(const struct rep_run_config *c)
{
    return c->http_connections ? c->http_connections
           : c->pinned         ? REP_RECORDED_MAX
           : c->users          ? c->users
                               : DEFAULT_HTTP_CONNECTIONS;
}

uint32_t rep_running_grpc(const struct rep_run_config *c)
{
    return c->grpc_connections ? c->grpc_connections
           : c->pinned         ? REP_RECORDED_MAX
                               : DEFAULT_GRPC_CONNECTIONS;
}

/* --- workers ---------------------------------------------------------------------- */

/* Worker i's part of n things, at least one. */
static uint32_t part(uint32_t n, uint32_t i, uint32_t workers)
{
    uint32_t mine = n / workers + (i < n % workers);
    return mine > 0 ? mine : 1;
}

static int start_workers(struct rep_running *x, struct err *e)
{
    const struct rep_run_config *c = x->config;
    uint32_t http = rep_running_http(c), grpc = rep_running_grpc(c);

    for (uint32_t i = 0; i < c->workers; i++) {
        struct rep_worker_config w = {
            .index = i,
            .plan = x->plan,
            .control = &x->control,
            .share = &x->share,
            .clk = x->clk,
            .http = c->http ? &x->http : NULL,
            .grpc = c->grpc ? &x->grpc : NULL,
            .http_connections = part(http, i, c->workers),
            .grpc_connections = part(grpc, i, c->workers),
            .streams = c->streams,
            .requests_per_connection = c->requests_per_connection,
            .tls = &c->tls,
            .rest = c->curl ? &rep_curl_engine : &rep_http1_engine,
            .http_version = c->http_version,
            .proxy = c->proxy ? &x->proxy : NULL,
            .pinned = c->pinned,
            .kafka = x->kafka,
            .warm = c->pinned ? 0 : rep_plan_protocols(x->plan),
            .warm_limit_ns = c->connect_limit_ns,
            .deadline_ns = c->deadline_ns,
            .answer_max = c->answer_max,
            .keep_answers = rep_answer_wanted(&c->answers),
            .spin = c->spin,
            .pin_cpu = c->pin ? rep_machine_cpu(i) : -1,
            .users = c->users ? part(c->users, i, c->workers) : 0,
            .sessions = c->sessions,
            .sessions_stop = c->sessions_stop,
            .policy = c->policy,
            .limit_ns = c->duration_ns > 0 ? c->duration_ns : REP_NEVER,
        };
        if (c->policy.cap > 0)
            w.policy.cap = part(c->policy.cap, i, c->workers);
        int rc = rep_worker_start(&x->workers[i], &w, e);
        if (rc < 0)
            return rc;
        x->worker_count++;
    }
    return 0;
}

static int await_workers(struct rep_running *x, struct err *e)
{
    for (uint32_t i = 0; i < x->worker_count; i++) {
        while (!rep_worker_ready(x->workers[i])) {
            if (rep_running_interrupted(x))
                return err_set(e, ERR_STOPPED, "interrupted before the start");
            nanosleep(&(struct timespec){.tv_nsec = CLK_MS}, NULL);
        }
    }
    /* One that could not even begin has stopped the others; joining tells why. */
    return atomic_load(&x->control.stop) ? ERR_STOPPED : 0;
}

static void join_workers(struct rep_running *x)
{
    x->stats.waited_ns = -1; /* unless one of them knows */
    for (uint32_t i = 0; i < x->worker_count; i++) {
        struct rep_worker_stats s;
        struct err e = {0};
        bool failed = rep_worker_join(x->workers[i], &s, &e) < 0;
        x->due_by_workers += rep_worker_live(x->workers[i]).due;
        if (failed) {
            x->workers_lost++;
            err_set(&x->fault, e.code, "worker %u: %s", i, e.text);
        }
        rep_engine_stats_add(&x->stats.engine, &s.engine);
        x->stats.starved_ns += s.starved_ns;
        x->stats.warm_failed += s.warm_failed;
        x->stats.clock_backwards = x->stats.clock_backwards || s.clock_backwards;
        if (s.worked_ns > x->stats.worked_ns)
            x->stats.worked_ns = s.worked_ns;
        if (s.waited_ns > x->stats.waited_ns)
            x->stats.waited_ns = s.waited_ns;
        if (s.margin_ns > x->stats.margin_ns)
            x->stats.margin_ns = s.margin_ns;
        if (s.slice_ns > x->stats.slice_ns)
            x->stats.slice_ns = s.slice_ns;
        rep_worker_free(x->workers[i]);
    }
    x->worker_count = 0;
}

/* --- the end ---------------------------------------------------------------------- */

/* Traffic is mirrored as it comes: how far behind? */
static void find_lag(struct rep_running *x)
{
    const struct rep_run_config *c = x->config;
    struct rep_run_result *r = x->result;
    if ((strcmp(c->trace, "-") != 0 && c->lag_ns == 0) || c->users > 0 ||
        strcmp(c->speed, "1") != 0 || r->trace.epoch_wall_ns <= 0 || r->tally.due == 0)
        return;
    r->lag_ns = x->start_wall.ns - r->trace.epoch_wall_ns - r->plan.epoch_ns;
    r->lag_known = true;
}

static void count_never_due(struct rep_running *x)
{
    struct rep_run_result *r = x->result;
    r->trace = *rep_plan_info(x->plan);
    r->plan = rep_plan_counts(x->plan);
    r->never_due_known = r->trace.complete;
    uint64_t accounted = r->tally.due + r->plan.filtered;
    uint64_t mine = rep_shard_size(x->config->shard, r->trace.records);
    if (mine > accounted)
        r->never_due = mine - accounted;
    find_lag(x);
}

/* What, if anything, makes this run less than whole. */
static int verdict(struct rep_running *x, struct err *e)
{
    struct rep_run_result *r = x->result;
    if (x->fault.code != ERR_OK)
        return err_set(e, x->fault.code, "%s", x->fault.text);
    if (rep_running_interrupted(x))
        return err_set(e, ERR_STOPPED, "interrupted");
    if (r->tally.sent > 0 || r->tally.due == 0 || *r->aborted)
        return 0;
    const char *why = r->tally.reason_count ? r->tally.reasons[0].text
                      : r->connect_failures.n && r->connect_failures.v[0].count
                          ? r->connect_failures.v[0].text
                      : r->tally.class_count ? r->tally.classes[0].text
                                             : "";
    return err_set(e, ERR_PEER, "no operation could be sent: %s", why);
}

/* A check that judged nothing must not pass for one that found nothing. */
static void look_at_checks(const struct rep_running *x)
{
    const struct rep_tally *t = &x->result->tally;
    const struct rep_reason *most = &t->unjudged_reasons[0];
    for (size_t i = 1; i < t->unjudged_reason_count; i++)
        if (t->unjudged_reasons[i].count > most->count)
            most = &t->unjudged_reasons[i];
    if (t->unjudged > 0 && t->right + t->wrong + t->crossed == 0)
        log_warn(REP_RUN_AREA, "--check judged none of %" PRIu64 " answers: %s",
                 t->unjudged, most->text);
}

/* The engine is closed: what it counted stands. */
static void take_kafka(struct rep_running *x)
{
    if (!x->kafka)
        return;
    x->result->kafka = *rep_kafka_counts(x->kafka);
    x->result->kafka.delivery = (struct hist){0};
    if (hist_init(&x->result->kafka.delivery,
                  rep_kafka_counts(x->kafka)->delivery.limit_ns, &x->fault) == 0)
        hist_merge(&x->result->kafka.delivery, &rep_kafka_counts(x->kafka)->delivery);
}

/* From due = 0 to the last end; now_ns: when the last operations came back. What was
 * stopped ended then, what was not sent when it was due at the earliest. */
static int64_t duration(const struct rep_tally *t, int64_t now_ns)
{
    int64_t end = t->last_end_ns > t->last_due_ns ? t->last_end_ns : t->last_due_ns;
    end = t->stopped > 0 && now_ns > end ? now_ns : end;
    return end > 0 ? end : 0;
}

static int finish(struct rep_running *x, struct err *e)
{
    struct rep_run_result *r = x->result;
    int64_t now = clk_mono_now(x->clk).ns - x->start_ns;
    struct rep_health_facts facts;
    struct err reading = {0};

    join_workers(x);
    r->connect_failures = x->stats.engine.failures;
    r->connects = x->stats.engine.connects;
    memcpy(r->connection_ends, x->stats.engine.ends, sizeof r->connection_ends);
    r->tls_full = x->stats.engine.tls_full;
    r->tls_resumed = x->stats.engine.tls_resumed;
    take_kafka(x);
    rep_running_look_at_rules(x); /* the last word of a worker */
    bool whole = !rep_running_interrupted(x) && x->fault.code == ERR_OK && !*r->aborted;
    if (rep_plan_join(x->plan, &reading) < 0)
        err_set(&x->fault, reading.code, "%s", reading.text);
    r->interrupted = !whole || x->fault.code != ERR_OK;
    r->duration_ns = duration(&r->tally, now);
    count_never_due(x);
    look_at_checks(x);
    rep_running_gather(x, r->duration_ns, &facts);
    rep_health_judge(&facts, &r->health);
    if (x->writer) {
        /* A damaged trace ends the run early, but does not spoil the file. */
        struct err kept = x->fault;
        if (kept.code != ERR_IO && kept.code != ERR_NOMEM)
            err_clear(&x->fault);
        if (r->interrupted)
            rep_running_note(x, NOTE_ENDED_BY,
                             rep_running_interrupted(x) ? "a signal"
                             : *r->aborted              ? r->aborted
                                                        : kept.text);
        rep_running_note_end(x, &facts);
        if (x->fault.code == ERR_OK)
            (void)!trc_writer_close(x->writer, &x->fault);
        else
            trc_writer_abandon(x->writer);
        x->writer = NULL;
        if (kept.code != ERR_OK)
            x->fault = kept;
    }
    return verdict(x, e);
}

/* --- the beginning ---------------------------------------------------------------- */

/* Connections may want more descriptors than this process may hold. That is a finding
 * for the run's health, not a reason to have no run: some are held back for its file
 * and for what is read of the machine. */
static void hold_files(int files[SPARE_FILES])
{
    for (int i = 0; i < SPARE_FILES; i++)
        files[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void release_files(const int files[SPARE_FILES])
{
    for (int i = 0; i < SPARE_FILES; i++)
        if (files[i] >= 0)
            close(files[i]);
}

static int connect_workers(struct rep_running *x, struct err *e)
{
    int files[SPARE_FILES];
    hold_files(files);
    int rc = start_workers(x, e);
    if (rc == 0)
        rc = await_workers(x, e);
    release_files(files);
    return rc;
}

static int prepare(struct rep_running *x, struct err *e)
{
    const struct rep_run_config *c = x->config;
    int rc = rep_running_ask(x, e);

    if (rc == 0)
        rc = rep_tally_init(&x->result->tally, e);
    if (rc == 0)
        rc = rep_gaps_init(&x->gaps, e);
    if (rc == 0)
        rc = rep_progress_init(&x->progress, c->quiet ? NULL : stderr, e);
    if (rc == 0 && c->metrics)
        rc = rep_metrics_open(&x->metrics, c->metrics, e);
    if (x->metrics)
        log_info(REP_RUN_AREA, "metrics at http://%s/metrics",
                 rep_metrics_address(x->metrics));
    if (rc == 0)
        rc = rep_rules_init(&x->rules, c->rules, c->rule_count, c->rule_window_ns, e);
    if (rc == 0)
        rc = rep_running_open(x, e);
    if (rc == 0) /* connections would be closed by then */
        rc = rep_running_await_start(x, c->connect_limit_ns + CONNECT_EARLY_NS, e);
    if (rc == 0)
        rc = connect_workers(x, e);
    if (rc == 0)
        rc = rep_running_open_writer(x, e);
    return rc == 0 ? rep_running_await_start(x, START_EARLY_NS, e) : rc;
}

static void begin(struct rep_running *x)
{
    const struct trc_info *info = rep_plan_info(x->plan);
    x->cpu_before = rep_cpu_times_read();
    x->own_before_ns = rep_cpu_own_ns();
    x->throttled_before_ns = rep_throttled_ns();
    rep_machine_read(&x->machine);
    rep_clock_look(&x->clock, x->clk);
    x->progress.closed = x->config->users > 0 || x->config->sessions;
    if (info->complete) {
        x->progress.total = rep_shard_size(x->config->shard, info->records);
        x->progress.span_ns =
            rep_schedule_due(x->speed, info->last_ns - info->first_ns);
        if (x->config->duration_ns > 0 && x->config->duration_ns < x->progress.span_ns)
            x->progress.span_ns = x->config->duration_ns;
    }
    rep_running_note_start(x);
    x->start_ns = x->start_at.ns > 0 ? rep_start_mono(x->clk, x->start_at)
                                     : clk_mono_now(x->clk).ns + LEAD_NS;
    rep_running_note_moment(x);
    if (x->config->duration_ns > 0)
        rep_plan_wait_until(x->plan,
                            x->start_ns + x->config->duration_ns + PIPE_LATE_NS);
    atomic_store(&x->control.start_ns, x->start_ns);
    for (uint32_t i = 0; i < x->worker_count; i++)
        rep_worker_wake(x->workers[i]);
}

int rep_run(const struct rep_run_config *c, struct rep_run_result *r, struct err *e)
{
    struct rep_running *x = calloc(1, sizeof *x);
    if (!x)
        return err_set(e, ERR_NOMEM, "out of memory for a run");
    memset(r, 0, sizeof *r);
    x->config = c;
    x->result = r;
    x->clk = clk_system();
    r->out = c->out;
    r->discipline = c->users > 0 ? "closed" : c->sessions ? "partly-open" : "open";
    x->suspects.decided = rep_running_outcome;
    x->suspects.arg = x;

    int rc = prepare(x, e);
    if (rc == 0 && c->live)
        rc = rep_screen_enter(&x->screen, e);
    if (rc == 0) {
        begin(x);
        rep_running_watch(x);
        rc = finish(x, e);
    } else if (x->plan) {
        rep_running_stop(x);
        rep_running_watch(x);
        join_workers(x);
        (void)!rep_plan_join(x->plan, NULL);
        if (x->fault.code != ERR_OK)
            rc = err_set(e, x->fault.code, "%s", x->fault.text);
    }
    trc_writer_abandon(x->writer);
    rep_plan_close(x->plan);
    rep_kafka_close(x->kafka);
    rep_progress_done(&x->progress);
    rep_gaps_done(&x->gaps);
    rep_metrics_close(x->metrics);
    rep_screen_leave(&x->screen);
    rep_rules_done(&x->rules);
    arena_done(&x->arena);
    free(x);
    return rc;
}

void rep_run_result_done(struct rep_run_result *r)
{
    rep_tally_done(&r->tally);
    hist_done(&r->kafka.delivery);
}

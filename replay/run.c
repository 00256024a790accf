/*
 * run.c - see run.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replay/run.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "replay/gaps.h"
#include "replay/machine.h"
#include "replay/metrics.h"
#include "replay/pins.h"
#include "replay/progress.h"
#include "replay/screen.h"
#include "replay/suspects.h"
#include "replay/worker.h"
#include "traces/base/log.h"
#include "traces/base/outfile.h"
#include "traces/base/units.h"
#include "traces/capture_notes.h"
#include "traces/container/trc_writer.h"
#include "traces/run_notes.h"

#define AREA "replay"

#define DEFAULT_HTTP_CONNECTIONS 64
#define DEFAULT_GRPC_CONNECTIONS 4
/* A killed replay loses no more than its last second: this, what an outcome may wait
 * for its verdict (REP_SUSPECTS_NS), and what is left for a machine that is busy. */
#define FLUSH_NS (500 * CLK_MS)
/* Encoded in one go, perhaps on the processor of a worker that would have to send. */
#define BLOCK_OUTCOMES 4096
#define NAP_NS         (5 * CLK_MS) /* between two looks at the workers */
#define LEAD_NS        CLK_MS       /* from "all ready" to the first due time */
/* Before the time of --start-at: connections are made, besides the time that they may
 * take, and the measuring begins. */
#define CONNECT_EARLY_NS (500 * CLK_MS)
#define START_EARLY_NS   (20 * CLK_MS)
#define WRONG_SHOWN      10 /* wrong answers that get a line in the log; crossed too */
#define SPARE_FILES      4  /* descriptors that connections must leave to us */

/* Everything of one run; owned by rep_run. */
struct run {
    const struct rep_run_config *config;
    struct rep_run_result *result;
    const struct clk *clk;
    struct rep_address http, grpc, proxy;
    struct rep_speed speed;
    struct rep_plan *plan;
    char coverage[32]; /* share that a captured trace states; empty: none */
    struct trc_writer *writer;
    struct rep_worker *workers[REP_WORKERS_MAX];
    struct rep_worker_stats stats; /* summed */
    uint32_t worker_count;
    struct rep_control control;
    struct rep_share share; /* of processors, between workers, feeder and this thread */
    struct clk_wall start_at;   /* when to start; 0: as soon as all is ready */
    struct clk_wall start_wall; /* the same moment */
    int64_t start_ns;
    int64_t cooldown_from_ns; /* of run time; meaningful if there is a cool-down */
    struct rep_progress progress;
    struct rep_screen screen;
    struct rep_metrics *metrics; /* NULL: not asked for */
    int64_t metrics_next_ns;     /* absolute: when to look at it again */
    uint64_t due_by_workers;     /* once they are joined */
    struct rep_rules rules;
    struct rep_machine machine;
    struct rep_cpu_times cpu_before;
    int64_t throttled_before_ns; /* < 0: unknown */
    struct rep_gaps gaps;
    double coverage_lack;
    uint32_t workers_lost;
    int64_t own_before_ns;
    struct rep_clock_watch clock;
    struct arena arena; /* of answer checks */
    struct rep_suspects suspects;
    unsigned wrong_shown, crossed_shown;
    struct err fault; /* the first thing that ended the run early */
};

static void nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = NAP_NS}, NULL);
}

static bool interrupted(const struct run *x)
{
    return x->config->interrupts && *x->config->interrupts > 0;
}

/* Lets workers end what they have; outcomes are still collected. */
static void stop(struct run *x)
{
    atomic_store(&x->control.stop, true);
    rep_plan_stop(x->plan);
    for (uint32_t i = 0; i < x->worker_count; i++)
        rep_worker_wake(x->workers[i]);
}

/* --- opening ---------------------------------------------------------------------- */

static uint64_t id_nonce(uint64_t seed)
{
    uint64_t v = seed;
    if (seed == 0 && getrandom(&v, sizeof v, 0) != sizeof v)
        v = (uint64_t)clk_wall_now(clk_system()).ns;
    return v;
}

/* A trace that lacks part of what happened is replayed as it is, but not silently. */
static void look_at_coverage(struct run *x)
{
    const char *share = rep_plan_note(x->plan, NOTE_COVERAGE_SHARE);
    const char *words = rep_plan_note(x->plan, NOTE_COVERAGE);
    double value;
    if (!share || units_f64(share, &value, NULL) < 0)
        return;
    snprintf(x->coverage, sizeof x->coverage, "%s", share);
    x->coverage_lack = 1 - value;
    if (value < COVERAGE_GOOD)
        log_warn(AREA, "the trace does not hold all that happened: coverage %s",
                 words ? words : share);
}

/* With --lag, what arrived first is due so long after it arrived. */
static int place_start(struct run *x, struct err *e)
{
    int64_t first, epoch = rep_plan_info(x->plan)->epoch_wall_ns;
    x->start_at = x->config->start_at;
    x->result->lag_asked_ns = x->config->lag_ns;
    if (x->config->lag_ns == 0)
        return 0;
    if (epoch <= 0)
        return err_set(e, ERR_USAGE,
                       "--lag: the trace does not say when its operations arrived");
    if (!rep_plan_first(x->plan, &first))
        return err_set(e, ERR_FORMAT, "--lag: the trace begins without an operation");
    x->start_at.ns = epoch + first + x->config->lag_ns;
    return 0;
}

static int open_plan(struct run *x, struct err *e)
{
    const struct rep_run_config *c = x->config;
    struct rep_plan_config plan = {
        .trace = c->trace,
        .tier = c->tier,
        .http = c->http ? x->http.authority : NULL,
        .grpc = c->grpc ? x->grpc.authority : NULL,
        .grpc_tls = c->grpc && x->grpc.tls,
        .rest_wanted = c->rest_wanted,
        .grpc_wanted = c->grpc_wanted,
        .speed = x->speed,
        .shard = c->shard,
        .versions = c->versions,
        .headers = c->headers,
        .ids = c->ids,
        .id_nonce = id_nonce(c->seed),
        .deadline_ns = c->deadline_ns,
        .pins = c->pinned,
        .sessions = c->sessions,
        .limit_ns = c->duration_ns > 0 && c->users == 0 && !c->sessions ? c->duration_ns
                                                                        : REP_NEVER,
        .workers = c->workers,
        .share = &x->share,
    };
    /* In closed loop nothing is due at a moment that others could miss for it. */
    x->share.crowded = c->users == 0 && rep_share_crowded(c->workers);
    int rc = rep_plan_open(&x->plan, &plan, e);
    if (rc < 0)
        return rc;
    look_at_coverage(x);
    rc = place_start(x, e);
    return rc < 0 ? rc : rep_plan_start(x->plan, e);
}

/* The moment that --lag asks for is past: the start is as early as can be, and the lag
 * is what it is then. */
static void miss_lag(struct run *x, int64_t late_ns)
{
    char asked[UNITS_TEXT_MAX], late[UNITS_TEXT_MAX];
    log_warn(AREA,
             "a lag of %s is too small: the first operation reached us, or everything "
             "was ready, %s later than that",
             units_duration_text(x->config->lag_ns, asked),
             units_duration_text(late_ns, late));
    x->start_at.ns = 0;
}

/* Until the first requests are ready. A pipe may never fill the rings: its first block
 * does. */
static int await_plan(struct run *x, struct err *e)
{
    bool pipe = strcmp(x->config->trace, "-") == 0;
    while (!rep_plan_primed(x->plan) && !(pipe && rep_plan_protocols(x->plan) != 0)) {
        if (interrupted(x))
            return err_set(e, ERR_STOPPED, "interrupted before the start");
        nap();
    }
    return 0;
}

/* Proves that TLS can be agreed with a target, and keeps what was. */
static int shake_hands(struct run *x, const struct rep_address *target,
                       const char *alpn, bool used, struct err *e)
{
    char *text = x->result->tls;
    struct secure_facts f;

    if (!used)
        return 0;
    int rc = rep_tls_probe(&x->config->tls, target, alpn, x->config->connect_limit_ns,
                           &f, e);
    if (rc < 0)
        return rc;
    size_t n = strlen(text);
    snprintf(text + n, REP_TLS_TEXT_MAX - n, "%s%s %s %s, %s%s", n > 0 ? "; " : "",
             f.version, f.cipher, *f.alpn ? f.alpn : "without ALPN",
             x->config->tls.insecure ? "certificate NOT VERIFIED" : "verified",
             f.asked && x->config->tls.cert_file ? ", mutual" : "");
    return 0;
}

static bool is_loopback(const struct rep_address *a)
{
    return a->to.any.sa_family == AF_INET6
               ? IN6_IS_ADDR_LOOPBACK(&a->to.v6.sin6_addr)
               : ntohl(a->to.v4.sin_addr.s_addr) >> 24 == 127;
}

/* Whoever is on the way to the target reads what goes there in plaintext. */
static void look_at_secrecy(const struct run *x)
{
    const struct rep_run_config *c = x->config;
    const struct rep_address *http = c->proxy ? &x->proxy : &x->http;
    if (!c->headers || c->headers->n == 0)
        return;
    if (c->http && !x->http.tls && !is_loopback(http))
        log_warn(AREA, "headers for the target go in plaintext to %s", http->text);
    if (c->grpc && !x->grpc.tls && !is_loopback(&x->grpc))
        log_warn(AREA, "headers for the target go in plaintext to %s", x->grpc.text);
}

/* Looks the targets up, and proves that those used first can be reached. */
static int reach_targets(struct run *x, struct err *e)
{
    unsigned used = rep_plan_protocols(x->plan);
    int64_t limit = x->config->connect_limit_ns;
    int rc = 0;
    if (x->config->proxy) /* which finds the target itself */
        rc = rep_target_resolve(&x->proxy, used & 1u << OP_REST, limit, e);
    else if (x->config->http)
        rc = rep_target_resolve(&x->http, used & 1u << OP_REST, limit, e);
    if (rc == 0 && x->config->grpc)
        rc = rep_target_resolve(&x->grpc, used & 1u << OP_GRPC, limit, e);
    if (rc == 0 && x->config->http && x->http.tls && !x->config->proxy)
        rc = shake_hands(x, &x->http, x->config->http_version == 2 ? "h2" : "http/1.1",
                         used & 1u << OP_REST, e);
    if (rc == 0 && x->config->grpc && x->grpc.tls)
        rc = shake_hands(x, &x->grpc, "h2", used & 1u << OP_GRPC, e);
    if (rc == 0 && (x->http.tls || x->grpc.tls) && x->config->tls.insecure)
        log_warn(AREA, "--tls-insecure: the target's certificate is not verified; "
                       "whoever answers is believed");
    if (rc == 0)
        look_at_secrecy(x);
    return rc;
}

static int check_output(const struct rep_run_config *c, struct err *e)
{
    return outfile_check(c->out, c->force, &c->trace, 1, e);
}

static int open_writer(struct run *x, struct err *e)
{
    const struct rep_run_config *c = x->config;
    struct trc_options options = {
        .kind = TRC_RUN, .flush_ns = FLUSH_NS, .block_records = BLOCK_OUTCOMES};

    uint64_t id = 0;
    if (getrandom(&id, sizeof id, 0) == sizeof id)
        options.file_id = id;
    return trc_writer_open(&x->writer, c->out, &options, e);
}

/* --- notes ------------------------------------------------------------------------ */

static void note(struct run *x, const char *key, const char *value)
{
    if (x->writer && x->fault.code == ERR_OK)
        (void)!trc_writer_note(x->writer, key, value, &x->fault);
}

PRINTF_LIKE(3, 4)
static void note_fmt(struct run *x, const char *key, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    note(x, key, text);
}

static void note_i64(struct run *x, const char *key, int64_t v)
{
    note_fmt(x, key, "%" PRId64, v);
}

static void note_labels(struct run *x)
{
    const struct opt_strv *labels = x->config->labels;
    for (size_t i = 0; labels && i < labels->n; i++) {
        const char *equals = strchr(labels->v[i], '=');
        char key[160];
        snprintf(key, sizeof key, NOTE_LABEL "%.*s", (int)(equals - labels->v[i]),
                 labels->v[i]);
        note(x, key, equals + 1);
    }
}

static void note_trace(struct run *x)
{
    const struct trc_info *info = rep_plan_info(x->plan);
    note(x, NOTE_TRACE_FILE, x->config->trace);
    if (*x->coverage)
        note(x, NOTE_TRACE_COVERAGE, x->coverage);
    if (!info->complete)
        return; /* what a footer would say is not known yet */
    note_fmt(x, NOTE_TRACE_HASH, "%016" PRIx64 "%016" PRIx64, info->content_hash[1],
             info->content_hash[0]);
    note_fmt(x, NOTE_TRACE_OPERATIONS, "%" PRIu64, info->records);
    note_i64(x, NOTE_TRACE_SPAN, info->last_ns - info->first_ns);
}

/* "queue", or what else becomes of operations that find nothing free. */
static void note_policy(struct run *x)
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

static void note_rules(struct run *x)
{
    const struct rep_run_config *c = x->config;
    struct buf out = {0};

    for (size_t i = 0; i < c->rule_count; i++)
        buf_fmt(&out, "%s%s", i ? ", " : "", c->rules[i].text);
    if (c->rule_count > 0) {
        note(x, NOTE_RULES, buf_text(&out));
        note_i64(x, NOTE_RULE_WINDOW, c->rule_window_ns);
    }
    buf_done(&out);
}

static uint32_t http_connections(const struct rep_run_config *c)
{
    return c->http_connections ? c->http_connections
           : c->pinned         ? REP_RECORDED_MAX
           : c->users          ? c->users
                               : DEFAULT_HTTP_CONNECTIONS;
}

static uint32_t grpc_connections(const struct rep_run_config *c)
{
    return c->grpc_connections ? c->grpc_connections
           : c->pinned         ? REP_RECORDED_MAX
                               : DEFAULT_GRPC_CONNECTIONS;
}

static void note_client(struct run *x)
{
    const struct rep_run_config *c = x->config;
    const char *engine = !c->curl               ? "own"
                         : c->http_version == 2 ? "curl, HTTP/2"
                                                : "curl, HTTP/1.1";
    if (c->http)
        note(x, NOTE_ENGINE, engine);
    if (*x->result->tls)
        note(x, NOTE_TARGET_TLS, x->result->tls);
    if (c->pinned) {
        note_fmt(x, NOTE_CONNECTIONS, "recorded, grpc of %" PRIu32 " streams",
                 c->streams);
        return;
    }
    if (c->requests_per_connection > 0)
        note_fmt(x, NOTE_CONNECTIONS,
                 "rest %" PRIu32 ", grpc %" PRIu32 " of %" PRIu32
                 " streams, of %" PRIu64 " requests each",
                 http_connections(c), grpc_connections(c), c->streams,
                 c->requests_per_connection);
    else
        note_fmt(x, NOTE_CONNECTIONS,
                 "rest %" PRIu32 ", grpc %" PRIu32 " of %" PRIu32 " streams",
                 http_connections(c), grpc_connections(c), c->streams);
}

/* Names alone: values are credentials, or may be. */
static void note_headers(struct run *x)
{
    struct buf names = {0};
    if (!x->config->headers || x->config->headers->n == 0)
        return;
    rep_headers_names(x->config->headers, &names);
    note(x, NOTE_TARGET_HEADERS, buf_text(&names));
    buf_done(&names);
}

static void note_start(struct run *x)
{
    const struct rep_run_config *c = x->config;
    note(x, NOTE_TOOL_VERSION, REPRISE_VERSION);
    note_trace(x);
    note(x, NOTE_TARGET_TIER, op_tier_names[c->tier]);
    if (c->http)
        note(x, NOTE_TARGET_HTTP, x->http.text);
    if (c->grpc)
        note(x, NOTE_TARGET_GRPC, x->grpc.text);
    note_headers(x);
    note(x, NOTE_SCHEDULE_MODE, x->result->discipline);
    if (c->sessions)
        note(x, NOTE_SESSION_ERROR, c->sessions_stop ? "stop" : "continue");
    note(x, NOTE_SCHEDULE_SPEED, c->speed);
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
    note(x, NOTE_ANSWER_DIGEST, c->answers.content ? "content" : "body");
    note(x, NOTE_OPTIONS, c->options);
    note(x, NOTE_MACHINE_NAME, x->machine.name);
    note(x, NOTE_MACHINE_KERNEL, x->machine.kernel);
    note(x, NOTE_MACHINE_CPU, x->machine.cpu);
    note_i64(x, NOTE_MACHINE_CPUS, x->machine.cpus);
    note_labels(x);
}

/* Last of the notes of the start: names the moment that was just chosen. */
static void note_moment(struct run *x)
{
    char text[CLK_TEXT_MAX];
    struct clk_wall wall = clk_wall_now(x->clk);
    wall.ns += x->start_ns - clk_mono_now(x->clk).ns;
    if (x->start_at.ns > 0) /* that is what start_ns was made of */
        wall = x->start_at;
    clk_wall_text(wall, text);
    note(x, NOTE_START, text);
    note_i64(x, NOTE_START_WALL, wall.ns);
    x->start_wall = wall;
    note_i64(x, NOTE_START_MONO, x->start_ns);
}

static void note_refusals(struct run *x)
{
    const struct rep_tally *t = &x->result->tally;
    struct buf lines = {0};
    for (size_t i = 0; i < t->reason_count; i++)
        buf_fmt(&lines, "%s%" PRIu64 ": %s", i ? "\n" : "", t->reasons[i].count,
                t->reasons[i].text);
    if (t->reason_count > 0)
        note(x, NOTE_REFUSALS, buf_text(&lines));
    buf_done(&lines);
}

static void note_lateness(struct run *x, const struct rep_health_facts *f)
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

/* Connections that ended, and those that could not be made, by reason; handshakes. */
static void note_connecting(struct run *x)
{
    const struct rep_engine_stats *s = &x->stats.engine;
    struct buf lines = {0};

    for (int i = 0; i < REP_END_COUNT; i++)
        if (s->ends[i] > 0)
            buf_fmt(&lines, "%s%" PRIu64 ": %s", lines.n ? "\n" : "", s->ends[i],
                    rep_end_codes[i]);
    if (lines.n > 0)
        note(x, NOTE_CONNECTION_ENDS, buf_text(&lines));
    buf_reset(&lines);
    for (size_t i = 0; i < s->failures.n; i++)
        if (s->failures.v[i].count > 0)
            buf_fmt(&lines, "%s%" PRIu64 ": %s", lines.n ? "\n" : "",
                    s->failures.v[i].count, s->failures.v[i].text);
    if (lines.n > 0)
        note(x, NOTE_CONNECT_FAILURES, buf_text(&lines));
    if (*x->result->tls) {
        note_fmt(x, NOTE_TLS_FULL, "%" PRIu64, s->tls_full);
        note_fmt(x, NOTE_TLS_RESUMED, "%" PRIu64, s->tls_resumed);
    }
    buf_done(&lines);
}

static void note_end(struct run *x, const struct rep_health_facts *f)
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
    note(x, NOTE_INTERRUPTED, r->interrupted ? "yes" : "no");
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
    note_refusals(x);
    note_connecting(x);
    note_lateness(x, f);
    note_fmt(x, NOTE_CHECK_CROSSED, "%" PRIu64, r->tally.crossed);
    if (x->config->answers.model || x->config->answers.recorded) {
        note_fmt(x, NOTE_CHECK_RIGHT, "%" PRIu64, r->tally.right);
        note_fmt(x, NOTE_CHECK_WRONG, "%" PRIu64, r->tally.wrong);
        note_fmt(x, NOTE_CHECK_UNJUDGED, "%" PRIu64, r->tally.unjudged);
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
    note_fmt(x, NOTE_GAP_DISTANCE, "%.4f", f->gap_distance);
    note_fmt(x, NOTE_GAPS, "%" PRIu64, x->gaps.total);
    note_i64(x, NOTE_CPU_OWN, rep_cpu_own_ns() - x->own_before_ns);
    note_i64(x, NOTE_CLOCK_STEP, x->clock.stepped_ns);
    note(x, NOTE_CLOCK_BACKWARDS, x->stats.clock_backwards ? "yes" : "no");
    note_fmt(x, NOTE_CLIENT_ERRORS, "%" PRIu64, x->stats.engine.client_errors);
    note_fmt(x, NOTE_CONNECTS, "%" PRIu64, x->stats.engine.connects);
    note_fmt(x, NOTE_RETRIES, "%" PRIu64, x->stats.engine.retries);
    note_fmt(x, NOTE_WARM_FAILED, "%" PRIu64, x->stats.warm_failed);
    note_i64(x, NOTE_PACER_MARGIN, x->stats.margin_ns);
    note_i64(x, NOTE_PACER_SLICE, x->stats.slice_ns);
    note(x, NOTE_PACER_SHARED,
         !x->share.crowded                ? "no"
         : atomic_load(&x->share.refused) ? "refused"
                                          : "gives way");
    note(x, NOTE_HEALTH_VERDICT, rep_verdict_names[r->health.verdict]);
    rep_health_lines(&r->health, &causes);
    note(x, NOTE_HEALTH_CAUSES, buf_text(&causes));
    buf_done(&causes);
}

/* --- workers ---------------------------------------------------------------------- */

/* Worker i's part of n things, at least one. */
static uint32_t part(uint32_t n, uint32_t i, uint32_t workers)
{
    uint32_t mine = n / workers + (i < n % workers);
    return mine > 0 ? mine : 1;
}

static int start_workers(struct run *x, struct err *e)
{
    const struct rep_run_config *c = x->config;
    uint32_t http = http_connections(c), grpc = grpc_connections(c);

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

static int await_workers(struct run *x, struct err *e)
{
    for (uint32_t i = 0; i < x->worker_count; i++) {
        while (!rep_worker_ready(x->workers[i])) {
            if (interrupted(x))
                return err_set(e, ERR_STOPPED, "interrupted before the start");
            nanosleep(&(struct timespec){.tv_nsec = CLK_MS}, NULL);
        }
    }
    /* One that could not even begin has stopped the others; joining tells why. */
    return atomic_load(&x->control.stop) ? ERR_STOPPED : 0;
}

/* --- collecting ------------------------------------------------------------------- */

static void to_start(int64_t *t, int64_t start)
{
    if (*t != OP_TIME_NONE)
        *t -= start;
}

static void judge_answer(struct run *x, struct rep_request *r)
{
    struct err why = {0};

    rep_answer_judge(r, &x->config->answers, &x->arena, &why);
    if (r->out.check == OUT_WRONG && x->wrong_shown++ < WRONG_SHOWN)
        log_warn(AREA, "wrong answer to operation %" PRIu64 " (%.*s): %s%s",
                 r->out.op_index, SPAN_ARG(r->stream->as_sent.name), why.text,
                 x->wrong_shown == WRONG_SHOWN ? "; no more of these are shown" : "");
}

static void report_news(struct run *x, const struct rep_request *r)
{
    char class[OUT_CLASS_MAX];
    outcome_class(&r->out, class);
    if (r->refusal)
        log_warn(AREA, "operation %" PRIu64 " (%.*s) is not sent: %s", r->out.op_index,
                 SPAN_ARG(r->stream->as_sent.name), r->refusal);
    else if (r->out.cause != OUT_STOPPED && r->out.check < OUT_WRONG)
        log_info(AREA, "first '%s': operation %" PRIu64 " (%.*s)", class,
                 r->out.op_index, SPAN_ARG(r->stream->as_sent.name));
    (void)x;
}

/* Writes an outcome and counts it. The request is still to be released. */
static void write_outcome(void *arg, struct rep_request *r)
{
    struct run *x = arg;
    struct outcome *o = &r->out;

    if (o->check == OUT_CROSSED && x->crossed_shown++ < WRONG_SHOWN)
        log_warn(AREA,
                 "operation %" PRIu64 " (%.*s) got the answer of another operation%s",
                 o->op_index, SPAN_ARG(r->stream->as_sent.name),
                 x->crossed_shown == WRONG_SHOWN ? "; no more of these are shown" : "");
    if (x->config->answers.model || x->config->answers.recorded)
        x->result->tally.unjudged += o->check == OUT_UNCHECKED && o->cause == OUT_OK;
    if (rep_tally_add(&x->result->tally, o, r->refusal))
        report_news(x, r);
    if (o->sent_ns != OP_TIME_NONE && x->config->users == 0)
        rep_gaps_add(&x->gaps, r->sequence, o->ready_ns, o->sent_ns);
    rep_progress_add(&x->progress, o);
    if (x->config->rule_count > 0)
        rep_rules_add(&x->rules, clk_mono_now(x->clk).ns - x->start_ns, o);
    if (x->fault.code == ERR_OK && trc_writer_outcome(x->writer, o, &x->fault) < 0)
        stop(x);
}

/* A request has ended: judges its answer, writes its outcome, gives its memory back. */
static void settle(struct run *x, struct rep_request *r)
{
    struct outcome *o = &r->out;

    if (o->cause == OUT_STOPPED && o->due_ns == OP_TIME_NONE) {
        rep_request_release(r); /* was never due: no outcome */
        return;
    }
    to_start(&o->due_ns, x->start_ns);
    to_start(&o->ready_ns, x->start_ns);
    to_start(&o->sent_ns, x->start_ns);
    to_start(&o->first_ns, x->start_ns);
    to_start(&o->done_ns, x->start_ns);
    if (r->mark == REP_MARK_OTHER || rep_answer_wanted(&x->config->answers))
        judge_answer(x, r);
    if (x->config->answers.model) {
        rep_suspects_add(&x->suspects, r, clk_mono_now(x->clk).ns);
        return;
    }
    write_outcome(x, r);
    rep_request_release(r);
}

static bool collect(struct run *x)
{
    bool any = false;
    for (uint32_t i = 0; i < x->worker_count; i++) {
        struct rep_request *r;
        while ((r = rep_worker_take(x->workers[i])) != NULL) {
            any = true;
            rep_share_work(true);
            while (r) {
                struct rep_request *next = r->next;
                settle(x, r);
                r = next;
            }
        }
    }
    return any;
}

/* Since the start; 0: not at all, or unknown. */
static int64_t throttled(const struct run *x)
{
    int64_t now = x->throttled_before_ns < 0 ? -1 : rep_throttled_ns();
    return now > x->throttled_before_ns ? now - x->throttled_before_ns : 0;
}

/* What the health is judged by, after duration_ns of the run. */
static void gather(struct run *x, int64_t duration_ns, struct rep_health_facts *f)
{
    struct rep_tally *t = &x->result->tally;
    struct rep_cpu_times now = rep_cpu_times_read();
    bool closed = x->config->users > 0;

    *f = (struct rep_health_facts){
        .due = x->due_by_workers > 0 ? x->due_by_workers : t->due,
        .outcomes = t->due,
        .sent = t->sent,
        .generator_p99_ns = hist_quantile(&t->generator, 0.99),
        .undelayed_p99_ns = hist_quantile(&t->undelayed, 0.99),
        .service_p50_ns = hist_quantile(&t->service, 0.5),
        .response_p50_ns = hist_quantile(&t->response, 0.5),
        .response_p99_ns = hist_quantile(&t->response, 0.99),
        .trend_ppm = closed ? 0 : rep_tally_trend_ppm(t),
        .offered = closed ? 0 : rep_tally_offered(t),
        .achieved = closed ? 0 : rep_tally_kept(t),
        .starved_ns = x->stats.starved_ns,
        .duration_ns = duration_ns,
        .steal_share = rep_cpu_steal(&x->cpu_before, &now),
        .throttled_ns = throttled(x),
        .worked_share =
            duration_ns > 0 ? (double)x->stats.worked_ns / (double)duration_ns : 0,
        .gap_distance = rep_gaps_distance(&x->gaps),
        .coverage_lack = x->coverage_lack,
        .workers_lost = x->workers_lost,
        .wall_step_ns = x->clock.stepped_ns,
        .clock_backwards = x->stats.clock_backwards,
        .interrupted = x->result->interrupted,
        .client_errors = x->stats.engine.client_errors,
    };
}

static struct rep_progress_counts live_counts(const struct run *x)
{
    struct rep_progress_counts sum = {0};
    for (uint32_t i = 0; i < x->worker_count; i++) {
        struct rep_worker_live live = rep_worker_live(x->workers[i]);
        sum.due += live.due;
        sum.sent += live.sent;
        sum.in_flight += live.in_flight;
        sum.waiting += live.waiting;
    }
    return sum;
}

/* As far as it can be told before the workers are joined. */
static void judge_so_far(struct run *x, struct rep_health *h)
{
    struct rep_health_facts facts;
    gather(x, clk_mono_now(x->clk).ns - x->start_ns, &facts);
    rep_health_judge(&facts, h);
}

static void draw_screen(struct run *x, int64_t now, struct rep_progress_counts *counts)
{
    const struct rep_run_config *c = x->config;
    char title[2048];
    struct rep_health health;
    struct rep_screen_view view = {
        .title = title,
        .out = c->out,
        .progress = &x->progress,
        .counts = counts,
        .tally = &x->result->tally,
        .health = &health,
        .now_ns = now,
        .wall = clk_wall_now(x->clk),
    };
    judge_so_far(x, &health);
    snprintf(title, sizeof title, "%s to %s%s%s%s%s", c->trace, op_tier_names[c->tier],
             c->http ? ", http " : "", c->http ? x->http.text : "",
             c->grpc ? ", grpc " : "", c->grpc ? x->grpc.text : "");
    rep_screen_draw(&x->screen, &view);
    rep_progress_step(&x->progress, now, counts);
}

static void show_progress(struct run *x)
{
    int64_t now = clk_mono_now(x->clk).ns - x->start_ns;
    if (!x->progress.out || !rep_progress_is_time(&x->progress, now))
        return;
    struct rep_progress_counts counts = live_counts(x);
    if (x->screen.on)
        draw_screen(x, now, &counts);
    else
        rep_progress_tick(&x->progress, now, clk_wall_now(x->clk), &counts);
}

static void make_page(void *arg, struct buf *page)
{
    struct run *x = arg;
    struct rep_health health;
    struct rep_progress_counts counts = live_counts(x);
    bool begun = x->start_ns > 0 && clk_mono_now(x->clk).ns > x->start_ns;
    struct rep_metrics_view view = {
        .tier = op_tier_names[x->config->tier],
        .tally = &x->result->tally,
        .counts = &counts,
        .health = &health,
        .position_ns = begun ? clk_mono_now(x->clk).ns - x->start_ns : 0,
        .span_ns = x->progress.closed ? 0 : x->progress.span_ns,
    };
    judge_so_far(x, &health);
    rep_metrics_page(&view, page);
}

static void serve_metrics(struct run *x)
{
    int64_t now = clk_mono_now(x->clk).ns;
    if (!x->metrics || now < x->metrics_next_ns)
        return;
    x->metrics_next_ns = now + NAP_NS;
    rep_metrics_serve(x->metrics, now, make_page, x);
}

PRINTF_LIKE(2, 3)
static void abort_run(struct run *x, const char *format, ...)
{
    va_list args;
    if (*x->result->aborted)
        return;
    va_start(args, format);
    vsnprintf(x->result->aborted, sizeof x->result->aborted, format, args);
    va_end(args);
    stop(x);
}

/* Whether the run is to go on, by the rules it was given. */
static void look_at_rules(struct run *x)
{
    char text[UNITS_TEXT_MAX], broken[REP_RULES_TEXT_MAX];
    struct rep_rule_counts sum = {0};
    int64_t now = clk_mono_now(x->clk).ns - x->start_ns;

    for (uint32_t i = 0; i < x->worker_count && x->config->rule_count > 0; i++) {
        struct rep_worker_live live = rep_worker_live(x->workers[i]);
        sum.due += live.due;
        sum.sent += live.sent;
        sum.outstanding += live.in_flight + live.waiting;
    }
    if (x->start_ns > 0 && x->worker_count > 0 && !interrupted(x) &&
        rep_rules_look(&x->rules, now, &sum, broken))
        abort_run(x, "%s", broken);
    if (atomic_load(&x->control.too_late))
        abort_run(x, "an operation waited longer than --abort-late %s",
                  units_duration_text(x->config->policy.abort_late_ns, text));
}

static bool workers_ended(const struct run *x)
{
    for (uint32_t i = 0; i < x->worker_count; i++)
        if (!rep_worker_ended(x->workers[i]))
            return false;
    return true;
}

/* Until every worker has ended and every outcome is written. */
static void watch(struct run *x)
{
    bool told = false;
    rep_share_join(&x->share);
    for (;;) {
        bool ended = workers_ended(x);
        bool any = collect(x);
        rep_suspects_tick(&x->suspects, clk_mono_now(x->clk).ns);
        if (ended && !any)
            break;
        if (x->writer && x->fault.code == ERR_OK &&
            trc_writer_tick(x->writer, &x->fault) < 0)
            stop(x);
        rep_clock_look(&x->clock, x->clk);
        if (interrupted(x) && !told) {
            told = true;
            stop(x);
        }
        look_at_rules(x);
        if (x->start_ns > 0 && clk_mono_now(x->clk).ns >= x->start_ns)
            show_progress(x);
        serve_metrics(x);
        if (!any) {
            rep_share_work(false);
            nap();
        }
    }
    rep_share_leave();
    rep_suspects_done(&x->suspects);
    rep_progress_end(&x->progress);
    rep_screen_leave(&x->screen);
}

static void join_workers(struct run *x)
{
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
        if (s.margin_ns > x->stats.margin_ns)
            x->stats.margin_ns = s.margin_ns;
        if (s.slice_ns > x->stats.slice_ns)
            x->stats.slice_ns = s.slice_ns;
        rep_worker_free(x->workers[i]);
    }
    x->worker_count = 0;
}

/* Traffic is mirrored as it comes: how far behind? */
static void find_lag(struct run *x)
{
    const struct rep_run_config *c = x->config;
    struct rep_run_result *r = x->result;
    if ((strcmp(c->trace, "-") != 0 && c->lag_ns == 0) || c->users > 0 ||
        strcmp(c->speed, "1") != 0 || r->trace.epoch_wall_ns <= 0 || r->tally.due == 0)
        return;
    r->lag_ns = x->start_wall.ns - r->trace.epoch_wall_ns - r->plan.epoch_ns;
    r->lag_known = true;
}

/* --- the end ---------------------------------------------------------------------- */

static void count_never_due(struct run *x)
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
static int verdict(struct run *x, struct err *e)
{
    struct rep_run_result *r = x->result;
    if (x->fault.code != ERR_OK)
        return err_set(e, x->fault.code, "%s", x->fault.text);
    if (interrupted(x))
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
static void look_at_checks(const struct run *x)
{
    const struct rep_tally *t = &x->result->tally;
    if (t->unjudged > 0 && t->right + t->wrong + t->crossed == 0)
        log_warn(AREA, "--check judged none of %" PRIu64 " answers: %s", t->unjudged,
                 x->config->answers.model
                     ? "their models' types do not tell what is right"
                     : "the trace holds none to compare them with");
}

static int finish(struct run *x, struct err *e)
{
    struct rep_run_result *r = x->result;
    struct rep_health_facts facts;
    struct err reading = {0};

    join_workers(x);
    r->connect_failures = x->stats.engine.failures;
    r->connects = x->stats.engine.connects;
    memcpy(r->connection_ends, x->stats.engine.ends, sizeof r->connection_ends);
    r->tls_full = x->stats.engine.tls_full;
    r->tls_resumed = x->stats.engine.tls_resumed;
    look_at_rules(x); /* the last word of a worker */
    bool whole = !interrupted(x) && x->fault.code == ERR_OK && !*r->aborted;
    if (rep_plan_join(x->plan, &reading) < 0)
        err_set(&x->fault, reading.code, "%s", reading.text);
    r->interrupted = !whole || x->fault.code != ERR_OK;
    r->duration_ns = r->tally.last_end_ns > 0 ? r->tally.last_end_ns : 0;
    count_never_due(x);
    look_at_checks(x);
    gather(x, r->duration_ns, &facts);
    rep_health_judge(&facts, &r->health);
    if (x->writer) {
        /* A damaged trace ends the run early, but does not spoil the file. */
        struct err kept = x->fault;
        if (kept.code != ERR_IO && kept.code != ERR_NOMEM)
            err_clear(&x->fault);
        if (r->interrupted)
            note(x, NOTE_ENDED_BY,
                 interrupted(x) ? "a signal"
                 : *r->aborted  ? r->aborted
                                : kept.text);
        note_end(x, &facts);
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

static int connect_workers(struct run *x, struct err *e)
{
    int files[SPARE_FILES];
    hold_files(files);
    int rc = start_workers(x, e);
    if (rc == 0)
        rc = await_workers(x, e);
    release_files(files);
    return rc;
}

/* Where the phases lie in run time. The end has to be known at the start: from the
 * trace's index, or by --duration. */
static int find_phases(struct run *x, struct err *e)
{
    const struct rep_run_config *c = x->config;
    const struct trc_info *info = rep_plan_info(x->plan);
    int64_t end = c->duration_ns > 0 ? c->duration_ns : REP_NEVER;

    if (info->complete && c->users == 0 && !c->sessions) {
        int64_t last = rep_schedule_due(x->speed, info->last_ns - info->first_ns);
        end = last < end ? last : end;
    }
    if (c->cooldown_ns > 0 && end == REP_NEVER)
        return err_set(
            e, ERR_USAGE,
            "--cooldown: it is not known when the run ends; --duration says it");
    if (c->warmup_ns > 0 && c->warmup_ns >= end)
        return err_set(e, ERR_USAGE, "the warm-up is as long as the run");
    if (c->cooldown_ns > 0 && c->cooldown_ns >= end - c->warmup_ns)
        return err_set(e, ERR_USAGE,
                       "warm-up and cool-down leave nothing of the run to judge");
    x->cooldown_from_ns = end - c->cooldown_ns;
    return 0;
}

/* Until `early` before the moment that was asked for. A start that was missed is an
 * error: other machines have begun without us. */
static int await_start(struct run *x, int64_t early, struct err *e)
{
    struct clk_wall at = x->start_at;
    char text[CLK_TEXT_MAX];

    if (at.ns == 0)
        return 0;
    for (;;) {
        int64_t left = at.ns - clk_wall_now(x->clk).ns;
        if (left <= 0 && x->config->lag_ns > 0) {
            miss_lag(x, -left);
            return 0;
        }
        if (left <= 0)
            return err_set(e, ERR_USAGE,
                           "the start at %s is past: everything was ready %.3f s later",
                           (clk_wall_text(at, text), text),
                           (double)-left / (double)CLK_SEC);
        if (left <= early)
            return 0;
        if (interrupted(x))
            return err_set(e, ERR_STOPPED, "interrupted before the start");
        nap();
    }
}

static int check_tls(const struct run *x, struct err *e)
{
    const struct rep_tls_config *t = &x->config->tls;
    bool wanted =
        t->ca_file || t->cert_file || t->key_file || t->server_name || t->insecure;
    if (x->proxy.tls)
        return err_set(e, ERR_USAGE,
                       "--proxy: TLS to the proxy itself is not supported");
    if (wanted && !x->http.tls && !x->grpc.tls)
        return err_set(
            e, ERR_USAGE,
            "options for TLS, and no target that takes it: https://HOST, grpcs://HOST");
    if (!t->cert_file != !t->key_file)
        return err_set(e, ERR_USAGE, "--tls-cert and --tls-key belong together");
    return 0;
}

static int prepare(struct run *x, struct err *e)
{
    const struct rep_run_config *c = x->config;
    int rc = rep_speed_parse(c->speed, &x->speed, e);

    if (rc == 0)
        rc = check_output(c, e);
    if (rc == 0 && c->http)
        rc = rep_target_parse(&x->http, c->http, "--http", e);
    if (rc == 0 && c->grpc)
        rc = rep_target_parse(&x->grpc, c->grpc, "--grpc", e);
    if (rc == 0 && c->proxy)
        rc = rep_target_parse(&x->proxy, c->proxy, "--proxy", e);
    if (rc == 0)
        rc = check_tls(x, e);
    if (rc == 0)
        rc = rep_tally_init(&x->result->tally, e);
    if (rc == 0)
        rc = rep_gaps_init(&x->gaps, e);
    if (rc == 0)
        rc = rep_progress_init(&x->progress, c->quiet ? NULL : stderr, e);
    if (rc == 0 && c->metrics)
        rc = rep_metrics_open(&x->metrics, c->metrics, e);
    if (x->metrics)
        log_info(AREA, "metrics at http://%s/metrics", rep_metrics_address(x->metrics));
    if (rc == 0)
        rc = rep_rules_init(&x->rules, c->rules, c->rule_count, c->rule_window_ns, e);
    if (rc == 0)
        rc = open_plan(x, e);
    if (rc == 0)
        rc = find_phases(x, e);
    if (rc == 0)
        rc = await_plan(x, e);
    if (rc == 0)
        rc = reach_targets(x, e);
    if (rc == 0) /* connections would be closed by then */
        rc = await_start(x, c->connect_limit_ns + CONNECT_EARLY_NS, e);
    if (rc == 0)
        rc = connect_workers(x, e);
    if (rc == 0)
        rc = open_writer(x, e);
    return rc == 0 ? await_start(x, START_EARLY_NS, e) : rc;
}

static void begin(struct run *x)
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
    note_start(x);
    x->start_ns = x->start_at.ns > 0 ? rep_start_mono(x->clk, x->start_at)
                                     : clk_mono_now(x->clk).ns + LEAD_NS;
    note_moment(x);
    atomic_store(&x->control.start_ns, x->start_ns);
    for (uint32_t i = 0; i < x->worker_count; i++)
        rep_worker_wake(x->workers[i]);
}

int rep_run(const struct rep_run_config *c, struct rep_run_result *r, struct err *e)
{
    struct run *x = calloc(1, sizeof *x);
    if (!x)
        return err_set(e, ERR_NOMEM, "out of memory for a run");
    memset(r, 0, sizeof *r);
    x->config = c;
    x->result = r;
    x->clk = clk_system();
    r->out = c->out;
    r->discipline = c->users > 0 ? "closed" : c->sessions ? "partly-open" : "open";
    x->suspects.decided = write_outcome;
    x->suspects.arg = x;

    int rc = prepare(x, e);
    if (rc == 0 && c->live)
        rc = rep_screen_enter(&x->screen, e);
    if (rc == 0) {
        begin(x);
        watch(x);
        rc = finish(x, e);
    } else if (x->plan) {
        stop(x);
        watch(x);
        join_workers(x);
        (void)!rep_plan_join(x->plan, NULL);
        if (x->fault.code != ERR_OK)
            rc = err_set(e, x->fault.code, "%s", x->fault.text);
    }
    trc_writer_abandon(x->writer);
    rep_plan_close(x->plan);
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
}

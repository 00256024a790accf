/*
 * run_open.c - what a run needs before it begins: see run_own.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replay/run_own.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "traces/base/log.h"
#include "traces/base/outfile.h"
#include "traces/base/units.h"
#include "traces/capture_notes.h"

/* A killed replay loses no more than its last second: this, what an outcome may wait
 * for its verdict (REP_SUSPECTS_NS), and what is left for a machine that is busy. */
#define FLUSH_NS (500 * CLK_MS)
/* Encoded in one go, perhaps on the processor of a worker that would have to send. */
#define BLOCK_OUTCOMES 4096

static uint64_t id_nonce(uint64_t seed)
{
    uint64_t v = seed;
    if (seed == 0 && getrandom(&v, sizeof v, 0) != sizeof v)
        v = (uint64_t)clk_wall_now(clk_system()).ns;
    return v;
}

/* A trace that lacks part of what happened is replayed as it is, but not silently. */
static void look_at_coverage(struct rep_running *x)
{
    const char *share = rep_plan_note(x->plan, NOTE_COVERAGE_SHARE);
    const char *words = rep_plan_note(x->plan, NOTE_COVERAGE);
    double value;
    if (!share || units_f64(share, &value, NULL) < 0)
        return;
    snprintf(x->coverage, sizeof x->coverage, "%s", share);
    x->coverage_lack = 1 - value;
    if (value < COVERAGE_GOOD)
        log_warn(REP_RUN_AREA, "the trace does not hold all that happened: coverage %s",
                 words ? words : share);
}

/* With --lag, what arrived first is due so long after it arrived. */
static int place_start(struct rep_running *x, struct err *e)
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
    if (__builtin_add_overflow(epoch, first, &x->start_at.ns) ||
        __builtin_add_overflow(x->start_at.ns, x->config->lag_ns, &x->start_at.ns))
        return err_set(e, ERR_FORMAT,
                       "--lag: the trace is of a time beyond all clocks");
    return 0;
}

/* Before the plan, which asks for topics. */
static int open_kafka(struct rep_running *x, uint64_t nonce, struct err *e)
{
    const struct rep_run_config *c = x->config;
    struct rep_kafka_config k = c->kafka;
    if (!k.brokers)
        return 0;
    k.id_nonce = nonce;
    k.connect_ns = c->connect_limit_ns;
    k.deadline_ns = c->deadline_ns;
    return rep_kafka_open(&x->kafka, &k, e);
}

static int open_plan(struct rep_running *x, struct err *e)
{
    const struct rep_run_config *c = x->config;
    uint64_t nonce = id_nonce(c->seed);
    int rc = open_kafka(x, nonce, e);
    if (rc < 0)
        return rc;
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
        .id_nonce = nonce,
        .deadline_ns = c->deadline_ns,
        .pins = c->pinned,
        .sessions = c->sessions,
        .limit_ns = c->duration_ns > 0 && c->users == 0 && !c->sessions ? c->duration_ns
                                                                        : REP_NEVER,
        .workers = c->workers,
        .share = &x->share,
        .interrupts = c->interrupts,
    };
    /* In closed loop nothing is due at a moment that others could miss for it. */
    x->share.crowded = c->users == 0 && rep_share_crowded(c->workers);
    if (x->kafka)
        plan.routes = rep_kafka_routes(x->kafka);
    rc = rep_plan_open(&x->plan, &plan, e);
    if (rc < 0)
        return rc;
    look_at_coverage(x);
    rc = place_start(x, e);
    return rc < 0 ? rc : rep_plan_start(x->plan, e);
}

/* The moment that --lag asks for is past: the start is as early as can be, and the lag
 * is what it is then. */
static void miss_lag(struct rep_running *x, int64_t late_ns)
{
    char asked[UNITS_TEXT_MAX], late[UNITS_TEXT_MAX];
    log_warn(REP_RUN_AREA,
             "a lag of %s is too small: the first operation reached us, or everything "
             "was ready, %s later than that",
             units_duration_text(x->config->lag_ns, asked),
             units_duration_text(late_ns, late));
    x->start_at.ns = 0;
}

/* Until the first requests are ready. A pipe may never fill the rings: its first block
 * does. */
static int await_plan(struct rep_running *x, struct err *e)
{
    bool pipe = strcmp(x->config->trace, "-") == 0;
    while (!rep_plan_primed(x->plan) && !(pipe && rep_plan_protocols(x->plan) != 0)) {
        if (rep_running_interrupted(x))
            return err_set(e, ERR_STOPPED, "interrupted before the start");
        rep_running_nap();
    }
    return 0;
}

static bool wants_h2(const struct rep_running *x, enum op_protocol protocol)
{
    return protocol == OP_GRPC || x->config->http_version == 2;
}

/* TLS was not agreed. If it can be with the other version of HTTP, in what is left of
 * the time, that is why. */
static int explain_refusal(const struct rep_running *x,
                           const struct rep_address *target, enum op_protocol protocol,
                           int64_t left_ns, struct err *e)
{
    bool h2 = wants_h2(x, protocol);
    struct secure_facts f;
    struct err why = *e;

    if (left_ns <= 0 || rep_tls_probe(&x->config->tls, target, h2 ? "http/1.1" : "h2",
                                      left_ns, &f, NULL) < 0)
        return e->code;
    const char *words = rep_dialect_words(h2 ? REP_DIALECT_HTTP1 : REP_DIALECT_HTTP2,
                                          protocol, x->config->http_version);
    *e = (struct err){0};
    return err_set(e, why.code, "%s; %s", why.text, words);
}

/* Proves that TLS can be agreed with a target, and keeps what was. */
static int shake_hands(struct rep_running *x, const struct rep_address *target,
                       enum op_protocol protocol, bool used, struct err *e)
{
    const char *alpn = wants_h2(x, protocol) ? "h2" : "http/1.1";
    char *text = x->result->tls;
    struct secure_facts f;
    int64_t limit = x->config->connect_limit_ns, from = clk_mono_now(x->clk).ns;

    if (!used)
        return 0;
    int rc = rep_tls_probe(&x->config->tls, target, alpn, limit, &f, e);
    if (rc < 0)
        return explain_refusal(x, target, protocol,
                               from + limit - clk_mono_now(x->clk).ns, e);
    size_t n = strlen(text);
    snprintf(text + n, REP_TLS_TEXT_MAX - n, "%s%s %s %s, %s%s", n > 0 ? "; " : "",
             f.version, f.cipher, *f.alpn ? f.alpn : "without ALPN",
             x->config->tls.insecure ? "certificate NOT VERIFIED" : "verified",
             f.asked && x->config->tls.cert_file ? ", mutual" : "");
    return 0;
}

/* The same for HTTP/2 that nobody agrees on: in plaintext. */
static int begin_h2(const struct rep_running *x, unsigned used, struct err *e)
{
    const struct rep_run_config *c = x->config;
    const struct rep_address *proxy = c->proxy ? &x->proxy : NULL;
    int rc = 0;

    if (c->http && !x->http.tls && wants_h2(x, OP_REST) && (used & 1u << OP_REST))
        rc = rep_dialect_probe_h2(&x->http, proxy, OP_REST, c->connect_limit_ns, e);
    if (rc == 0 && c->grpc && !x->grpc.tls && (used & 1u << OP_GRPC))
        rc = rep_dialect_probe_h2(&x->grpc, NULL, OP_GRPC, c->connect_limit_ns, e);
    return rc;
}

static bool is_loopback(const struct rep_address *a)
{
    return a->to.any.sa_family == AF_INET6
               ? IN6_IS_ADDR_LOOPBACK(&a->to.v6.sin6_addr)
               : ntohl(a->to.v4.sin_addr.s_addr) >> 24 == 127;
}

/* Whoever is on the way to the target reads what goes there in plaintext. */
static void look_at_secrecy(const struct rep_running *x)
{
    const struct rep_run_config *c = x->config;
    const struct rep_address *http = c->proxy ? &x->proxy : &x->http;
    if (!c->headers || c->headers->n == 0)
        return;
    if (c->http && !x->http.tls && !is_loopback(http))
        log_warn(REP_RUN_AREA, "headers for the target go in plaintext to %s",
                 http->text);
    if (c->grpc && !x->grpc.tls && !is_loopback(&x->grpc))
        log_warn(REP_RUN_AREA, "headers for the target go in plaintext to %s",
                 x->grpc.text);
}

/* Looks the targets up, and proves that those used first can be reached. */
static int reach_targets(struct rep_running *x, struct err *e)
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
        rc = shake_hands(x, &x->http, OP_REST, used & 1u << OP_REST, e);
    if (rc == 0 && x->config->grpc && x->grpc.tls)
        rc = shake_hands(x, &x->grpc, OP_GRPC, used & 1u << OP_GRPC, e);
    if (rc == 0)
        rc = begin_h2(x, used, e);
    if (rc == 0 && (x->http.tls || x->grpc.tls) && x->config->tls.insecure)
        log_warn(REP_RUN_AREA,
                 "--tls-insecure: the target's certificate is not verified; "
                 "whoever answers is believed");
    if (rc == 0)
        look_at_secrecy(x);
    return rc;
}

static int check_output(const struct rep_run_config *c, struct err *e)
{
    return outfile_check(c->out, c->force, &c->trace, 1, e);
}

int rep_running_open_writer(struct rep_running *x, struct err *e)
{
    const struct rep_run_config *c = x->config;
    struct trc_options options = {
        .kind = TRC_RUN, .flush_ns = FLUSH_NS, .block_records = BLOCK_OUTCOMES};

    uint64_t id = 0;
    if (getrandom(&id, sizeof id, 0) == sizeof id)
        options.file_id = id;
    return trc_writer_open(&x->writer, c->out, &options, e);
}

/* Where the phases lie in run time. The end has to be known at the start: from the
 * trace's index, or by --duration. */
static int find_phases(struct rep_running *x, struct err *e)
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

int rep_running_await_start(struct rep_running *x, int64_t early, struct err *e)
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
        if (rep_running_interrupted(x))
            return err_set(e, ERR_STOPPED, "interrupted before the start");
        rep_running_nap();
    }
}

static int check_tls(const struct rep_running *x, struct err *e)
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

int rep_running_ask(struct rep_running *x, struct err *e)
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
    return rc == 0 ? check_tls(x, e) : rc;
}

int rep_running_open(struct rep_running *x, struct err *e)
{
    int rc = open_plan(x, e);
    if (rc == 0)
        rc = find_phases(x, e);
    if (rc == 0)
        rc = await_plan(x, e);
    return rc == 0 ? reach_targets(x, e) : rc;
}

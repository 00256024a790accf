/*
 * cmd_standin.c - `reprise standin`: the tiers of SCv2 on loopback, in one process.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "commands.h"
#include "deploy/standin/si_host.h"
#include "deploy/standin/si_kafka.h"
#include "traces/base/log.h"
#include "traces/base/units.h"

struct standin_config {
    const char *tier, *http, *grpc, *ports;
    bool all, free_ports, listen_any, quiet, cold;
    int release, draw, error_at;
    const char *model_types;
    const char *tls_cert, *tls_key, *tls_client_ca;
    uint64_t instances;
    struct opt_strv models, pipelines, experiments;
    const char *service, *slow, *stall;
    uint64_t workers, seed, error_status, error_code;
    double error_rate, close_rate, garbage_rate, never_rate, cross_rate;
    int64_t stream_timeout_ns, stream_gap_ns;
    uint64_t stream_messages;
    const char *stamps, *log_requests, *debug;
    const char *kafka, *topic_prefix, *name_space;
    uint64_t partitions;
};

static const char *const error_at_names[] = {"answer", "model", NULL};
enum { ERROR_AT_ANSWER, ERROR_AT_MODEL };

#define ROW(n, t, f, a, d, h, ...)                                                     \
    {                                                                                  \
        .name = n, .type = t, .at = offsetof(struct standin_config, f), .arg = a,      \
        .def = d, .help = h, __VA_ARGS__                                               \
    }

static const struct opt standin_opts[] = {
    ROW("tier", OPT_STR, tier, "NAME", NULL,
        "serve one tier: envoy, rproxy, server, pipelinegateway, or modelgateway, "
        "which is the pipeline gateway too; or kafka, a broker in this process with "
        "the topics of the models and pipelines that are declared, on a free port"),
    ROW("http", OPT_STR, http, "HOST:PORT", NULL,
        "with --tier: where it takes HTTP; port 0 takes a free one"),
    ROW("grpc", OPT_STR, grpc, "HOST:PORT", NULL,
        "with --tier: where it takes gRPC. Envoy takes HTTP/1.1, h2c and gRPC on each"),
    ROW("all", OPT_FLAG, all, NULL, NULL,
        "serve every tier on the ports of SCv2's docker compose (the default without "
        "--tier)"),
    ROW("free-ports", OPT_FLAG, free_ports, NULL, NULL,
        "take free loopback ports instead; they are printed, and written to --ports"),
    ROW("ports", OPT_STR, ports, "FILE", NULL,
        "once all listen, write lines like envoy.http=127.0.0.1:9000 to FILE, which "
        "appears whole"),
    ROW("listen-any", OPT_FLAG, listen_any, NULL, NULL,
        "allow addresses that are not loopback ones. There is no access control"),
    ROW("tls-cert", OPT_STR, tls_cert, "FILE", NULL,
        "serve TLS 1.2 and 1.3 alone, with this certificate (PEM, and the chain behind "
        "it)"),
    ROW("tls-key", OPT_STR, tls_key, "FILE", NULL, "its key, without a pass phrase"),
    ROW("tls-client-ca", OPT_STR, tls_client_ca, "FILE", NULL,
        "mutual TLS: let in only clients whose certificate these authorities signed"),
    ROW("release", OPT_CHOICE, release, "NAME", "2.10",
        "behave as this release of SCv2", .choices = si_release_names),
    ROW("model-type", OPT_STR, model_types, "LIST", NULL,
        "only models of these types exist, named as synth names them: TYPE0, TYPE1, "
        "..."),
    ROW("instances", OPT_U64, instances, "N", "1",
        "with --model-type: how many of each"),
    ROW("models", OPT_STRV, models, "NAME=TYPE[:VERSION]", NULL,
        "this model exists. Without --models and --model-type, every name exists that "
        "is a model type with digits or a dash and digits behind it, version 1"),
    ROW("pipeline", OPT_STRV, pipelines, "NAME=MODEL[,MODEL]...", NULL,
        "this pipeline exists. Without, every model's name is also a pipeline of that "
        "one step, and so is TYPEpipe or TYPE-pipeline with its digits"),
    ROW("experiment", OPT_STRV, experiments, "NAME=MODEL[:WEIGHT],...", NULL,
        "this experiment exists at envoy"),
    ROW("service", OPT_STR, service, "DIST", "fixed:2ms",
        "how long a model takes: fixed:D, lognormal:MEDIAN,SIGMA, or "
        "modes:SHARE=D,SHARE=D,..."),
    ROW("slow", OPT_STR, slow, "FACTOR@QUANTILE", NULL,
        "draws beyond that quantile of --service take FACTOR times as long: 1.10@0.98"),
    ROW("draw", OPT_CHOICE, draw, "NAME", "order",
        "what a request's random numbers depend on, besides the seed: its order of "
        "arrival, its body, or its x-request-id",
        .choices = si_draw_names),
    ROW("workers", OPT_U64, workers, "N", "0",
        "models run in N workers with one first-come first-served queue; 0: no limit"),
    ROW("seed", OPT_U64, seed, "N", "1", "seed of all random numbers"),
    ROW("error-rate", OPT_F64, error_rate, "P", "0",
        "share of inferences that are answered with an error"),
    ROW("error-status", OPT_U64, error_status, "N", "503", "its HTTP status"),
    ROW("error-code", OPT_U64, error_code, "N", "14",
        "its gRPC code, where the answer itself is replaced"),
    ROW("error-at", OPT_CHOICE, error_at, "NAME", "answer",
        "where it arises: answer replaces what the tier would send; model lets the "
        "model raise the status, so that tiers in front convert, reload and retry as "
        "SCv2's do",
        .choices = error_at_names),
    ROW("close-rate", OPT_F64, close_rate, "P", "0",
        "share that gets half an answer and then the end of the connection (gRPC: of "
        "the stream)"),
    ROW("garbage-rate", OPT_F64, garbage_rate, "P", "0",
        "share that gets bytes which break the protocol"),
    ROW("never-rate", OPT_F64, never_rate, "P", "0", "share that is never answered"),
    ROW("cross-rate", OPT_F64, cross_rate, "P", "0",
        "share whose answers are exchanged, two and two of one tier and protocol: each "
        "caller gets the other's. One that finds no other within 50 ms keeps its own"),
    ROW("stall", OPT_STR, stall, "EVERY,FOR", NULL,
        "freeze the whole process for FOR, every EVERY, counted from the first "
        "request: 6s,1s"),
    ROW("stream-messages", OPT_U64, stream_messages, "N", "1",
        "a streaming call of an MLServer model (infer_stream, ModelStreamInfer) gets "
        "its answer N times for each request"),
    ROW("stream-gap", OPT_DURATION, stream_gap_ns, "D", "0s",
        "and they go out D apart, the first after --service"),
    ROW("stream-timeout", OPT_DURATION, stream_timeout_ns, "D", "300s",
        "when envoy gives up a silent call"),
    ROW("cold", OPT_FLAG, cold, NULL, NULL,
        "imitate the stall of the first model and the first pipeline call through the "
        "pipeline gateway (0.6 to 2 s)"),
    ROW("stamps", OPT_STR, stamps, "FILE", NULL,
        "at exit, write when each request's first byte was read, its connection, and "
        "when the answer left (the file's first line names the columns)"),
    ROW("log-requests", OPT_STR, log_requests, "FILE", NULL,
        "write a line of JSON about each request as it came: tier, method, path, "
        "fields"),
    ROW("kafka", OPT_STR, kafka, "BROKERS", NULL,
        "with --tier kafka: answer behind the topics of these brokers, which have to "
        "be there, from now on, in place of a broker of its own"),
    ROW("topic-prefix", OPT_STR, topic_prefix, "TEXT", "seldon",
        "with --tier kafka: what topics begin with"),
    ROW("namespace", OPT_STR, name_space, "NAME", "default",
        "with --tier kafka: the second part of the topics' names"),
    ROW("kafka-partitions", OPT_U64, partitions, "N", "3",
        "with --tier kafka: partitions of each topic"),
    ROW("quiet", OPT_FLAG, quiet, NULL, NULL, "no summary at exit"),
    ROW("debug", OPT_STR, debug, "AREAS", NULL, "debug lines for these areas, or all"),
    {.name = NULL},
};

static const struct opt_cmd standin_cmd = {
    .name = "standin",
    .summary = "stand in for the tiers of Seldon Core v2, on loopback",
    .synopsis = "[--tier NAME [--http HOST:PORT] [--grpc HOST:PORT]] [OPTION]...",
    .about =
        "Speaks REST and gRPC as the tiers of SCv2 were seen to, for quick starts, "
        "calibration and faults: routing headers, internal names, request ids, error "
        "answers, hangs, idle time-outs and HTTP/2 settings per tier. Models are "
        "computed (tfsimple adds and subtracts, add10 adds 10, iris classifies, ...), "
        "take --service time, and can be made to fail, each at its own rate and always "
        "for the same requests.\n\n"
        "What it imitates of SCv2 2.10 (and 2.8), what it was held against, and what "
        "it does not imitate stands in deploy/standin/README.md. Not imitated, above "
        "all: the time that real tiers add, the scheduler, compression, the "
        "limit of 20 connections between rproxy and its server, Triton's binary "
        "tensors over REST, and answers of ModelStreamInfer before the client has "
        "ended its half.\n\n"
        "Addresses are printed on standard output once all listen. SIGINT or SIGTERM "
        "ends it: stamps are written and a summary goes to standard error.",
    .opts = standin_opts,
    .examples =
        "# every tier, on the ports of SCv2's docker compose\n"
        "reprise standin\n"
        "# envoy alone on a free port, 5 ms a request, four workers\n"
        "reprise standin --tier envoy --http 127.0.0.1:0 --service fixed:5ms --workers "
        "4\n"
        "# a version whose p99 is 10 % slower than that of the same without --slow\n"
        "reprise standin --tier envoy --service modes:0.985=8ms,0.015=30ms --slow "
        "1.10@0.98\n"
        "# a broker, and models that answer behind its topics\n"
        "reprise standin --tier kafka --model-type iris --instances 2\n"
        "# ask it something\n"
        "curl -d "
        "'{\"inputs\":[{\"name\":\"predict\",\"shape\":[1,4],\"datatype\":\"FP32\","
        "\"data\":[1,2,3,4]}]}' http://127.0.0.1:9000/v2/models/iris1/infer\n",
};

const struct opt_cmd *const dep_standin_docs[] = {&standin_cmd, NULL};

/* --- stopping ------------------------------------------------------------------ */

static volatile sig_atomic_t stop_asked;
static struct ev *stop_loop; /* to be woken; set while handlers are installed */

static void on_signal(int number)
{
    (void)number;
    stop_asked = 1;
    ev_wake(stop_loop);
}

static void catch_signals(struct ev *ev)
{
    struct sigaction sa = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    sigemptyset(&sa.sa_mask);
    stop_loop = ev;
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static void release_signals(void)
{
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    stop_loop = NULL;
}

/* --- configuration ------------------------------------------------------------- */

static int fill_catalog(const struct standin_config *cfg, struct si_catalog *c,
                        struct err *e)
{
    int rc = 0;
    if (cfg->model_types)
        rc = si_catalog_types(c, cfg->model_types, cfg->instances, e);
    for (size_t i = 0; rc == 0 && i < cfg->models.n; i++)
        rc = si_catalog_model(c, cfg->models.v[i], e);
    for (size_t i = 0; rc == 0 && i < cfg->pipelines.n; i++)
        rc = si_catalog_pipeline(c, cfg->pipelines.v[i], e);
    for (size_t i = 0; rc == 0 && i < cfg->experiments.n; i++)
        rc = si_catalog_experiment(c, cfg->experiments.v[i], e);
    si_catalog_ready(c);
    return rc;
}

static int fill_options(const struct standin_config *cfg, struct si_core_options *o,
                        struct err *e)
{
    int rc = si_service_parse(&o->service, cfg->service, cfg->seed, e);
    if (rc == 0 && cfg->slow)
        rc = si_service_slow(&o->service, cfg->slow, e);
    if (rc < 0)
        return rc;
    o->faults = (struct si_faults){.rates = {[SI_FAULT_ERROR] = cfg->error_rate,
                                             [SI_FAULT_CLOSE] = cfg->close_rate,
                                             [SI_FAULT_GARBAGE] = cfg->garbage_rate,
                                             [SI_FAULT_NEVER] = cfg->never_rate,
                                             [SI_FAULT_CROSS] = cfg->cross_rate},
                                   .seed = cfg->seed};
    if (cfg->error_status < 400 || cfg->error_status > 599)
        return err_set(e, ERR_USAGE, "--error-status is between 400 and 599");
    if (cfg->error_code < 1 || cfg->error_code > 16)
        return err_set(e, ERR_USAGE, "--error-code is between 1 and 16");
    if (cfg->stream_messages < 1 || cfg->stream_messages > 10000)
        return err_set(e, ERR_USAGE, "--stream-messages is between 1 and 10000");
    if (cfg->stream_gap_ns < 0)
        return err_set(e, ERR_USAGE, "--stream-gap is not negative");
    if (cfg->stream_timeout_ns <= 0)
        return err_set(e, ERR_USAGE, "--stream-timeout is above 0");
    o->error_status = (uint16_t)cfg->error_status;
    o->error_code = (int)cfg->error_code;
    o->error_at_model = cfg->error_at == ERROR_AT_MODEL;
    o->draw = cfg->draw;
    o->workers = cfg->workers;
    o->stream_timeout_ns = cfg->stream_timeout_ns;
    o->stream_gap_ns = cfg->stream_gap_ns;
    return si_faults_check(&o->faults, e);
}

static int parse_stall(const char *text, struct si_host *h, struct err *e)
{
    const char *comma = strchr(text, ',');
    char every[32];
    size_t n = comma ? (size_t)(comma - text) : 0;
    if (!comma || n == 0 || n >= sizeof every)
        return err_set(e, ERR_USAGE, "--stall '%s' is not EVERY,FOR, as in 6s,1s",
                       text);
    memcpy(every, text, n);
    every[n] = 0;
    int rc = units_duration(every, &h->stall_every_ns, e);
    if (rc == 0)
        rc = units_duration(comma + 1, &h->stall_for_ns, e);
    if (rc < 0)
        return err_note(e, "--stall");
    if (h->stall_for_ns <= 0 || h->stall_every_ns <= h->stall_for_ns)
        return err_set(e, ERR_USAGE, "--stall '%s': EVERY is longer than FOR", text);
    return 0;
}

/* --- listening ----------------------------------------------------------------- */

/* Lines "TIER.PROTOCOL=ADDRESS"; the pipeline gateway is named by both its tiers. */
static void name_address(struct buf *lines, const struct si_tier *t,
                         const char *protocol, const char *address)
{
    buf_fmt(lines, "%s.%s=%s\n", t->name, protocol, address);
    if (t == &si_tiers[SI_GATEWAY])
        buf_fmt(lines, "modelgateway.%s=%s\n", protocol, address);
}

static int listen_tier(const struct standin_config *cfg, struct si_host *h,
                       const struct si_tier *t, const char *http, const char *grpc,
                       struct buf *lines, struct err *e)
{
    const struct si_listener *l = NULL;
    int rc = 0;
    if (http) {
        rc = si_host_listen(h, t, t->one_port ? SI_SPEAKS_BOTH : SI_SPEAKS_HTTP1, http,
                            cfg->listen_any, &l, e);
        if (rc < 0)
            return rc;
        name_address(lines, t, "http", l->address);
    }
    if (grpc) {
        rc = si_host_listen(h, t, t->one_port ? SI_SPEAKS_BOTH : SI_SPEAKS_HTTP2, grpc,
                            cfg->listen_any, &l, e);
        if (rc < 0)
            return rc;
    }
    if (l && (grpc || t->one_port))
        name_address(lines, t, "grpc", l->address);
    return rc;
}

static bool is_kafka(const struct standin_config *cfg)
{
    return cfg->tier && strcmp(cfg->tier, "kafka") == 0;
}

/* The broker chooses its port. */
static int open_kafka(const struct standin_config *cfg, struct si_core *core,
                      struct si_kafka **k, struct buf *lines, struct err *e)
{
    struct si_kafka_options o = {.brokers = cfg->kafka,
                                 .prefix = cfg->topic_prefix,
                                 .name_space = cfg->name_space,
                                 .partitions = cfg->partitions};
    if (!is_kafka(cfg))
        return 0;
    int rc = si_kafka_open(k, core, &o, e);
    if (rc == 0)
        buf_fmt(lines, "kafka.brokers=%s\n", si_kafka_brokers(*k));
    return rc;
}

static int listen_all(const struct standin_config *cfg, struct si_host *h,
                      struct buf *lines, struct err *e)
{
    static const char any_port[] = "127.0.0.1:0";
    const struct si_tier *only =
        cfg->tier && !is_kafka(cfg) ? si_tier_find(cfg->tier) : NULL;
    if (!cfg->tls_cert != !cfg->tls_key || (cfg->tls_client_ca && !cfg->tls_cert))
        return err_set(
            e, ERR_USAGE,
            "--tls-cert and --tls-key belong together, and --tls-client-ca needs them");
    if (is_kafka(cfg))
        return cfg->http || cfg->grpc || cfg->tls_cert || cfg->stamps ||
                       cfg->log_requests || cfg->stall
                   ? err_set(e, ERR_USAGE,
                             "--tier kafka takes no --http, --grpc, --tls-cert, "
                             "--stamps, --log-requests and --stall")
                   : 0;
    if (cfg->kafka)
        return err_set(e, ERR_USAGE, "--kafka needs --tier kafka");
    if (cfg->tier && !only)
        return err_set(e, ERR_USAGE, "unknown tier '%s'", cfg->tier);
    if (!only && (cfg->http || cfg->grpc))
        return err_set(e, ERR_USAGE, "--http and --grpc need --tier");
    if (only && cfg->all)
        return err_set(e, ERR_USAGE, "--tier and --all exclude each other");
    if (cfg->free_ports && (cfg->http || cfg->grpc))
        return err_set(e, ERR_USAGE, "--free-ports excludes --http and --grpc");
    for (int i = 0; i < SI_TIER_COUNT; i++) {
        const struct si_tier *t = &si_tiers[i];
        const char *http = t->http_at, *grpc = t->grpc_at;
        if (only && t != only)
            continue;
        if (cfg->http || cfg->grpc) {
            http = cfg->http;
            grpc = cfg->grpc;
        } else if (cfg->free_ports) {
            http = any_port;
            grpc = grpc ? any_port : NULL;
        }
        int rc = listen_tier(cfg, h, t, http, grpc, lines, e);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* Readers see nothing or the whole file. */
static int write_ports(const char *path, struct span lines, struct err *e)
{
    struct buf name = {0};
    buf_fmt(&name, "%s.%ld.tmp", path, (long)getpid());
    const char *temporary = buf_text(&name);
    FILE *f = fopen(temporary, "we");
    bool ok = f && fwrite(lines.p, 1, lines.n, f) == lines.n;
    int sys = errno;
    if (f && fclose(f) != 0 && ok) {
        ok = false;
        sys = errno;
    }
    if (ok && rename(temporary, path) != 0) {
        ok = false;
        sys = errno;
    }
    if (!ok && f)
        unlink(temporary);
    buf_done(&name);
    return ok ? 0 : err_sys(e, sys, "cannot write ports to '%s'", path);
}

static int announce(const struct standin_config *cfg, struct buf *lines, struct err *e)
{
    int rc = buf_check(lines, e);
    if (rc == 0 && cfg->ports)
        rc = write_ports(cfg->ports, buf_view(lines), e);
    if (rc == 0 && (fputs(buf_text(lines), stdout) < 0 || fflush(stdout) != 0))
        rc = err_sys(e, errno, "cannot write to standard output");
    return rc;
}

/* --- running ------------------------------------------------------------------- */

static void print_summary(const struct si_core *core, const struct si_host *h)
{
    const struct si_counts *n = &core->counts;
    fprintf(stderr,
            "standin: connections %" PRIu64 ", requests %" PRIu64 ", answered %" PRIu64
            " (with an error %" PRIu64 "), hung %" PRIu64 ", cut %" PRIu64
            ", given up by the client %" PRIu64 "\n",
            n->connections, n->requests, n->answered, n->failed, n->hung, n->cut,
            n->abandoned);
    fprintf(stderr,
            "standin: faults: errors %" PRIu64 ", closed %" PRIu64 ", garbage %" PRIu64
            ", never %" PRIu64 ", exchanged %" PRIu64 "; longest queue %" PRIu64
            "; connections refused %" PRIu64 "; stamps lost %" PRIu64 "\n",
            n->faults[SI_FAULT_ERROR], n->faults[SI_FAULT_CLOSE],
            n->faults[SI_FAULT_GARBAGE], n->faults[SI_FAULT_NEVER],
            n->faults[SI_FAULT_CROSS], core->queue.longest, h->refused,
            core->stamps.lost);
}

static int turn_until_stopped(struct ev *ev, struct err *e)
{
    while (!stop_asked) {
        int rc = ev_turn(ev, (struct clk_mono){INT64_MAX}, e);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* Listens, serves until stopped, tells what happened. */
static int serve_at(const struct standin_config *cfg, struct si_core *core,
                    struct si_host *host, struct ev *ev, struct err *e)
{
    struct buf lines = {0};
    struct si_kafka *kafka = NULL;
    int rc = cfg->stall ? parse_stall(cfg->stall, host, e) : 0;
    if (rc == 0)
        rc = listen_all(cfg, host, &lines, e);
    if (rc == 0)
        rc = open_kafka(cfg, core, &kafka, &lines, e);
    catch_signals(ev);
    if (rc == 0)
        rc = announce(cfg, &lines, e);
    if (rc == 0)
        rc = turn_until_stopped(ev, e);
    release_signals();
    if (rc == 0 && !cfg->quiet)
        print_summary(core, host);
    if (rc == 0 && cfg->stamps)
        rc = si_stamps_write(&core->stamps, cfg->stamps, e);
    si_kafka_close(kafka);
    buf_done(&lines);
    return rc;
}

static int open_log(const char *path, struct si_core *core, struct err *e)
{
    if (!path)
        return 0;
    core->log = fopen(path, "we");
    if (!core->log)
        return err_sys(e, errno, "cannot write requests to '%s'", path);
    setvbuf(core->log, NULL, _IOLBF, 0); /* to be watched while it grows */
    return 0;
}

static int close_log(const char *path, struct si_core *core, int rc, struct err *e)
{
    if (!core->log)
        return rc;
    bool bad = ferror(core->log) != 0;
    bad = fclose(core->log) != 0 || bad;
    core->log = NULL;
    return bad && rc == 0 ? err_sys(e, errno, "cannot write requests to '%s'", path)
                          : rc;
}

static int serve(const struct standin_config *cfg, struct si_core *core, struct ev *ev,
                 struct err *e)
{
    struct si_host host;
    int rc = si_host_init(&host, ev, core, e);
    if (rc < 0)
        return rc;
    host.stop = &stop_asked;
    host.tls = (struct secure_config){.cert_file = cfg->tls_cert,
                                      .key_file = cfg->tls_key,
                                      .ca_file = cfg->tls_client_ca};
    core->stamps.on = cfg->stamps != NULL;
    rc = open_log(cfg->log_requests, core, e);
    if (rc == 0)
        rc = serve_at(cfg, core, &host, ev, e);
    rc = close_log(cfg->log_requests, core, rc, e);
    si_host_done(&host);
    return rc;
}

static int run(const struct standin_config *cfg, struct err *e)
{
    struct si_core_options o = {0};
    struct si_world world;
    struct si_core core;
    int rc = fill_options(cfg, &o, e);
    if (rc < 0)
        return rc;
    rc = si_world_init(&world, clk_system(), cfg->seed, e);
    if (rc < 0)
        return rc;
    world.release = (enum si_release)cfg->release;
    world.cold = cfg->cold;
    world.stream_messages = (uint32_t)cfg->stream_messages;
    rc = fill_catalog(cfg, &world.catalog, e);
    struct ev *ev = rc == 0 ? ev_new(clk_system(), e) : NULL;
    if (ev) {
        si_core_init(&core, &o, ev, &world);
        rc = serve(cfg, &core, ev, e);
        si_core_done(&core);
    } else if (rc == 0) {
        rc = e->code;
    }
    ev_free(ev);
    si_world_done(&world);
    return rc;
}

/* Many connections, and timers that are kept to the microsecond: the kernel's default
 * slack of 50 us would be added to every service time. */
static void prepare_process(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    prctl(PR_SET_TIMERSLACK, 1ul, 0ul, 0ul, 0ul);
}

int dep_cmd_standin(int argc, char **argv)
{
    struct standin_config cfg = {0};
    struct err e = {0};
    int operands = 0;
    int rc = opt_parse(&standin_cmd, argc, argv, &cfg, &operands, &e);
    if (rc == 0) {
        log_setup(cfg.quiet, cfg.debug);
        prepare_process();
        rc = run(&cfg, &e);
    }
    opt_strv_done(&cfg.models);
    opt_strv_done(&cfg.pipelines);
    opt_strv_done(&cfg.experiments);
    return rc < 0 ? opt_fail(&standin_cmd, &e) : EXIT_DONE;
}

/*
 * replay_options.c - the table of replay_options.h, from which --help and the man page
 * are made, and what of it is noted in the run.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replay/replay_options.h"

#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "traces/base/outfile.h"

/* In the order of enum op_tier, from OP_TIER_ENVOY on. */
static const char *const tier_choices[] = {
    "envoy", "rproxy", "server", "pipelinegateway", "modelgateway", "kafka", NULL};
static const char *const protocol_choices[] = {"both", "rest", "grpc", NULL};
static const char *const engine_choices[] = {"own", "curl", NULL};
static const char *const version_choices[] = {"1.1", "2", NULL};
static const char *const key_choices[] = {"2.10", "2.8", "2.7", NULL};
static const char *const id_choices[] = {"mint", "keep", "none", NULL};
static const char *const invalid_choices[] = {"fail", "pass", NULL};
static const char *const session_choices[] = {"continue", "stop", NULL};
static const char *const digest_choices[] = {"body", "content", NULL};

#define FIELD(name) offsetof(struct rep_options, name)

static const struct opt options[] = {
    OPT_GROUP_ROW("Where to"),
    {.name = "tier",
     .type = OPT_CHOICE,
     .at = FIELD(tier),
     .arg = "TIER",
     .def = "envoy",
     .choices = tier_choices,
     .help = "where requests enter Seldon Core: decides names, headers and paths"},
    {.name = "http",
     .type = OPT_STR,
     .at = FIELD(http),
     .arg = "URL",
     .env = "INFER_HTTP_ENDPOINT",
     .help = "target of REST operations: http://HOST:PORT or HOST:PORT, with TLS "
             "https://HOST:PORT"},
    {.name = "grpc",
     .type = OPT_STR,
     .at = FIELD(grpc),
     .arg = "HOST:PORT",
     .env = "INFER_GRPC_ENDPOINT",
     .help = "target of gRPC operations, with TLS grpcs://HOST:PORT; at the tier "
             "envoy, which takes both on one port, the address of --http unless given"},
    OPT_GROUP_ROW("Kafka"),
    {.name = "kafka",
     .type = OPT_STR,
     .at = FIELD(kafka),
     .arg = "BROKERS",
     .help = "with --tier kafka: produce operations of every protocol to the topics of "
             "models and pipelines at these brokers, HOST:PORT,..., and take the "
             "answers from theirs; joins no group, commits nothing, makes no topic"},
    {.name = "topic-prefix",
     .type = OPT_STR,
     .at = FIELD(topic_prefix),
     .arg = "TEXT",
     .def = "seldon",
     .help = "what topics begin with"},
    {.name = "namespace",
     .type = OPT_STR,
     .at = FIELD(name_space),
     .arg = "NAME",
     .def = "default",
     .help = "the second part of the topics' names"},
    {.name = "kafka-option",
     .type = OPT_STRV,
     .at = FIELD(kafka_options),
     .arg = "KEY=VALUE",
     .help = "a setting of librdkafka, as security.protocol=SASL_SSL or linger.ms=5; "
             "VALUE may be file:PATH or env:NAME; passwords and other secrets must be"},
    {.name = "kafka-keys",
     .type = OPT_CHOICE,
     .at = FIELD(keys),
     .arg = "RELEASE",
     .def = "2.10",
     .choices = key_choices,
     .help = "form of the keys, by the release of Seldon Core from which on it is so: "
             "2.10, PARTITION.NAME.ID, where the partition is chosen in turn; 2.8, "
             "NAME.ID, or 2.7 (and before), ID, where it follows from the key"},
    OPT_GROUP_ROW("What is written"),
    {.name = "output",
     .letter = 'o',
     .type = OPT_STR,
     .at = FIELD(out),
     .arg = "RUN",
     .help = "run file to write, or - for standard output; by default the name of the "
             "trace with .run, in the current folder"},
    OUTFILE_FORCE_OPT(FIELD(force)),
    OPT_GROUP_ROW("When"),
    {.name = "speed",
     .type = OPT_STR,
     .at = FIELD(speed),
     .arg = "X",
     .def = "1",
     .help =
         "replay X times as fast, 0.01 to 1000; due times are exact for any decimal"},
    {.name = "protocol",
     .type = OPT_CHOICE,
     .at = FIELD(protocol),
     .arg = "P",
     .def = "both",
     .choices = protocol_choices,
     .help = "send only operations of this protocol; the others are left out"},
    {.name = "duration",
     .type = OPT_DURATION,
     .at = FIELD(duration_ns),
     .arg = "D",
     .help = "stop after this time: what is due later is not sent"},
    {.name = "warmup",
     .type = OPT_DURATION,
     .at = FIELD(warmup_ns),
     .arg = "D",
     .help = "note that what is due before D only warms up: it is sent and recorded "
             "like all else, and report and compare leave it out, saying how many"},
    {.name = "cooldown",
     .type = OPT_DURATION,
     .at = FIELD(cooldown_ns),
     .arg = "D",
     .help = "the same for what is due within D of the last due time, or of the end "
             "that --duration sets"},
    {.name = "start-at",
     .type = OPT_STR,
     .at = FIELD(start_at),
     .arg = "TIME",
     .help = "what is due first is due at this instant, on several machines the same: "
             "2031-05-04T12:00:00Z, or from the call of the command on, as +5s; a "
             "start that cannot be kept is an error"},
    {.name = "lag",
     .type = OPT_DURATION,
     .at = FIELD(lag_ns),
     .arg = "D",
     .help = "shadow live traffic D behind it: each operation is due D after it "
             "arrived by its trace's calendar. Larger than what capture holds back and "
             "its --flush, the pipe never starves the schedule; a smaller D shows as "
             "trace-reading in the run's health"},
    {.name = "shard",
     .type = OPT_STR,
     .at = FIELD(shard),
     .arg = "I/N",
     .help = "send only part I of N, each a different one: every N-th operation, at "
             "its time in the whole schedule. auto/N takes I from "
             "JOB_COMPLETION_INDEX, which pods of a Kubernetes Indexed Job have. "
             "report and compare take the runs of all shards as one"},
    {.name = "closed-loop",
     .type = OPT_U64,
     .at = FIELD(users),
     .arg = "N",
     .help = "ignore the schedule: N virtual users send the same operations in the "
             "same order, each the next one as soon as its answer came"},
    {.name = "sessions",
     .type = OPT_FLAG,
     .at = FIELD(sessions),
     .help = "partly open: the first operation of each recorded client (or, where "
             "clients are not known, connection) is due at its time, later ones after "
             "the answer before plus the recorded think time; the gap between arrivals "
             "is taken where the trace does not say when that answer came"},
    {.name = "on-session-error",
     .type = OPT_CHOICE,
     .at = FIELD(session_error),
     .arg = "HOW",
     .def = "continue",
     .choices = session_choices,
     .help = "with --sessions: what follows an operation that was not answered well: "
             "the next one of its session all the same, or none (they are recorded as "
             "refused)"},
    OPT_GROUP_ROW("Connections"),
    {.name = "connections",
     .type = OPT_STR,
     .at = FIELD(connections_text),
     .arg = "N|recorded",
     .help =
         "HTTP/1.1 connections, over all workers; by default 64, or one per virtual "
         "user. recorded, for both protocols: each operation goes over the connection "
         "that it came on, in recorded order, and waits for that one alone; at most "
         "4096 are open at once, beyond that the longest quiet one makes room"},
    {.name = "grpc-connections",
     .type = OPT_U64,
     .at = FIELD(grpc_connections),
     .arg = "N",
     .help = "HTTP/2 connections, over all workers; by default 4"},
    {.name = "requests-per-connection",
     .type = OPT_U64,
     .at = FIELD(requests_per_connection),
     .arg = "N",
     .help = "close a connection after N requests, once the last has ended, and make "
             "another at once, as clients and proxies do that bound it; by default one "
             "lasts until the target ends it. What ended connections, and how often, "
             "is in the summary. With --engine curl in HTTP/1.1 alone"},
    OPT_GROUP_ROW("Credentials"),
    {.name = "header-file",
     .type = OPT_STR,
     .at = FIELD(header_file),
     .arg = "FILE",
     .help = "send these headers with every request, over gRPC as metadata: lines "
             "\"name: value\", # begins a comment. For credentials, which do not "
             "belong on a command line: values are told to the target alone, names are "
             "noted in the run"},
    {.name = "bearer-file",
     .type = OPT_STR,
     .at = FIELD(bearer_file),
     .arg = "FILE",
     .help = "send \"authorization: Bearer TOKEN\" with every request, TOKEN being "
             "what the file holds; without it, what the environment variable "
             "REPRISE_BEARER holds, if it is set"},
    OPT_GROUP_ROW("TLS"),
    {.name = "tls-ca",
     .type = OPT_STR,
     .at = FIELD(tls.ca_file),
     .arg = "FILE",
     .help = "PEM file of the authorities that may have signed the target's "
             "certificate; by default the system's"},
    {.name = "tls-cert",
     .type = OPT_STR,
     .at = FIELD(tls.cert_file),
     .arg = "FILE",
     .help = "mutual TLS: PEM file of this client's certificate, and of the chain "
             "behind it"},
    {.name = "tls-key",
     .type = OPT_STR,
     .at = FIELD(tls.key_file),
     .arg = "FILE",
     .help = "PEM file of its key, without a pass phrase"},
    {.name = "tls-server-name",
     .type = OPT_STR,
     .at = FIELD(tls.server_name),
     .arg = "NAME",
     .help = "name that the target's certificate must be for, and that is told to it "
             "(SNI); by default the host of the address"},
    {.name = "tls-insecure",
     .type = OPT_FLAG,
     .at = FIELD(tls.insecure),
     .help = "believe any certificate; the run says so"},
    {.name = "tls-resume",
     .type = OPT_FLAG,
     .at = FIELD(tls.resume),
     .def = "yes",
     .help = "new connections resume sessions of earlier ones; --no-tls-resume makes "
             "each handshake a full one, as clients without a session cache do"},
    OPT_GROUP_ROW("Engine"),
    {.name = "engine",
     .type = OPT_CHOICE,
     .at = FIELD(engine),
     .arg = "E",
     .def = "own",
     .choices = engine_choices,
     .help = "what sends REST operations: own is fast and exact, HTTP/1.1 alone; curl "
             "is libcurl, the reference, with HTTP/2 and proxies"},
    {.name = "http-version",
     .type = OPT_CHOICE,
     .at = FIELD(http_version),
     .arg = "V",
     .def = "1.1",
     .choices = version_choices,
     .help = "HTTP version of REST operations, with --engine curl; 2 is spoken from "
             "the first byte on, and a target that does not is an error at the start"},
    {.name = "proxy",
     .type = OPT_STR,
     .at = FIELD(proxy),
     .arg = "URL",
     .help = "HTTP proxy for REST operations, with --engine curl: http://HOST:PORT; "
             "what the environment says of proxies is never followed"},
    {.name = "streams",
     .type = OPT_U64,
     .at = FIELD(streams),
     .arg = "N",
     .def = "100",
     .help =
         "gRPC calls at once on one connection, at most; the target may allow fewer"},
    {.name = "workers",
     .type = OPT_U64,
     .at = FIELD(workers),
     .arg = "N",
     .def = "1",
     .help = "sending threads; the schedule is dealt to them in turn"},
    OPT_GROUP_ROW("Deadlines and back-pressure"),
    {.name = "deadline",
     .type = OPT_DURATION,
     .at = FIELD(deadline_ns),
     .arg = "D",
     .def = "30s",
     .help = "give an operation up when its answer is not complete this long after it "
             "was given to a connection, the making of which counts; also told to gRPC "
             "targets"},
    {.name = "connect-timeout",
     .type = OPT_DURATION,
     .at = FIELD(connect_ns),
     .arg = "D",
     .def = "3s",
     .help = "how long to wait at the start for the target and its connections"},
    {.name = "drop-late",
     .type = OPT_DURATION,
     .at = FIELD(drop_late_ns),
     .arg = "D",
     .help = "drop an operation that finds nothing free for this long, instead of "
             "sending it ever later; it is recorded as dropped"},
    {.name = "cap",
     .type = OPT_U64,
     .at = FIELD(cap),
     .arg = "N",
     .help =
         "refuse an operation while N others are under way or wait to be sent; it is "
         "recorded as refused, with the reason. Over all workers, each has its part"},
    {.name = "abort-late",
     .type = OPT_DURATION,
     .at = FIELD(abort_late_ns),
     .arg = "D",
     .help = "end the run as soon as an operation has waited this long to be sent; the "
             "exit status is then 3"},
    {.name = "abort-if",
     .type = OPT_STRV,
     .at = FIELD(rules),
     .arg = "RULE",
     .help = "end the run when the last --abort-window breaks the rule: p99>200ms "
             "(response from due, after the warm-up; what failed counts as infinite), "
             "errors>5%, "
             "lateness>10ms (the generator's, p99), achieved<90% (sent, of what was "
             "due) or outstanding>1000 (due and not ended, all window long). The "
             "exit status is then 3"},
    {.name = "abort-window",
     .type = OPT_DURATION,
     .at = FIELD(window_ns),
     .arg = "D",
     .def = "5s",
     .help = "how far back the rules of --abort-if look, 1s to 10m; they are first "
             "judged when it has passed"},
    {.name = "catch-up",
     .type = OPT_F64,
     .at = FIELD(catch_up),
     .arg = "X",
     .help = "send what has piled up at most X times as fast as it was due, 1 or more; "
             "by default as fast as connections become free"},
    OPT_GROUP_ROW("Names and ids"),
    {.name = "model-version",
     .type = OPT_U64,
     .at = FIELD(version),
     .arg = "N",
     .def = "1",
     .help = "version in the internal names of models (iris_N), for the tiers that "
             "need them; 1 is right for a first load alone"},
    {.name = "internal-version",
     .type = OPT_STRV,
     .at = FIELD(versions),
     .arg = "MODEL=N",
     .help = "the version of one model, where it differs"},
    {.name = "request-ids",
     .type = OPT_CHOICE,
     .at = FIELD(ids),
     .arg = "HOW",
     .def = "mint",
     .choices = id_choices,
     .help = "x-request-id: mint a new one for each operation, keep the recorded one, "
             "or send none; through the pipeline gateway, which confuses calls that "
             "share an id, one is always minted"},
    {.name = "seed",
     .type = OPT_U64,
     .at = FIELD(seed),
     .arg = "N",
     .help =
         "make the request ids reproducible; by default they differ from run to run"},
    OPT_GROUP_ROW("Answers"),
    {.name = "check",
     .type = OPT_STRV,
     .at = FIELD(checks),
     .arg = "HOW",
     .help = "decode every answer and check it: model, against its request, as far as "
             "the model type tells what is right; recorded, against the answer in the "
             "trace (status, outputs by name, type, shape and value); recorded:1e-6 "
             "lets floats differ by that share. Encodings are undone; what nobody can "
             "read is not judged, and counted with the reason. The exit status is 3 if "
             "any answer is wrong, or another operation's"},
    {.name = "check-answers",
     .type = OPT_FLAG,
     .at = FIELD(check),
     .help = "the same as --check model"},
    {.name = "digest",
     .type = OPT_CHOICE,
     .at = FIELD(digest),
     .arg = "WHAT",
     .def = "body",
     .choices = digest_choices,
     .help = "what of an answer its hash in the run file is of: body, its bytes; "
             "content, what it says (outputs alone, without ids and versions), so that "
             "compare can tell how many answers differ between runs"},
    {.name = "answer-limit",
     .type = OPT_SIZE,
     .at = FIELD(answer_max),
     .arg = "SIZE",
     .def = "64MiB",
     .help = "longest answer that is read; a longer one is recorded as too-big"},
    OPT_GROUP_ROW("Pacing"),
    {.name = "spin",
     .type = OPT_FLAG,
     .at = FIELD(spin),
     .def = "yes",
     .help =
         "watch the clock shortly before each due time; --no-spin only sleeps, which "
         "saves most of a processor and costs tens of microseconds of punctuality"},
    {.name = "pin",
     .type = OPT_FLAG,
     .at = FIELD(pin),
     .help = "bind each worker to a processor of its own"},
    OPT_GROUP_ROW("Reporting"),
    {.name = "invalid",
     .type = OPT_CHOICE,
     .at = FIELD(invalid),
     .arg = "fail|pass",
     .def = "fail",
     .choices = invalid_choices,
     .env = "REPRISE_INVALID",
     .help = "whether a run whose health is INVALID, so that its numbers must not be "
             "believed, ends with status 3 or 0; the run file is the same"},
    {.name = "label",
     .type = OPT_STRV,
     .at = FIELD(labels),
     .arg = "KEY=VALUE",
     .help = "note something about this run in its file"},
    {.name = "live",
     .type = OPT_FLAG,
     .at = FIELD(live),
     .help = "show the run over the whole terminal while it lasts: rates, times from "
             "due, lateness, errors, health so far; log lines are shown at its end"},
    {.name = "metrics",
     .type = OPT_STR,
     .at = FIELD(metrics),
     .arg = "HOST:PORT",
     .help = "serve the run's counters and histograms to Prometheus while it lasts, at "
             "http://HOST:PORT/metrics. HOST is a number; without it, 127.0.0.1; there "
             "is no access control. Port 0 takes a free one, which the log tells"},
    {.name = "quiet",
     .letter = 'q',
     .type = OPT_FLAG,
     .at = FIELD(quiet),
     .help = "no progress and no summary; warnings stay"},
    {.name = "json",
     .type = OPT_FLAG,
     .at = FIELD(json),
     .help = "print the summary as JSON on standard output"},
    {.name = "debug",
     .type = OPT_STR,
     .at = FIELD(debug),
     .arg = "AREAS",
     .help = "log details of these areas: engine (connections), pacer; or all"},
    {.name = NULL},
};

const struct opt_cmd rep_replay_doc = {
    .name = "replay",
    .summary = "send a trace to a target on its own schedule, and record what happens",
    .synopsis = "TRACE --tier TIER (--http URL --grpc HOST:PORT | --kafka BROKERS) -o "
                "RUN [OPTION]...",
    .about = "Every operation of the trace is due at its own moment: the start, plus "
             "its arrival since the trace's first, divided by --speed. It is sent "
             "then, whatever became of the others; if no connection is free it waits "
             "its turn, and the wait is recorded. The run file holds one outcome for "
             "each operation that was due: sent, first byte, done, status, sizes, a "
             "hash of the answer, or the cause of failure. A target that fails makes a "
             "bad run, not a failed command.\n"
             "\n"
             "An operation that the tier cannot express (a pipeline at a server) is "
             "refused: it gets an outcome, and is never sent. One that may have been "
             "processed is never sent twice. Hop-by-hop headers, x-seldon-route and "
             "credentials of a recorded request are not sent.\n"
             "\n"
             "With TRACE \"-\" the trace is read from standard input. A first Ctrl-C "
             "ends the run: what is in flight is recorded as stopped, and the file is "
             "closed properly; a second one leaves at once. Whether the generator "
             "itself was exact enough to be believed is stated as the run's health: "
             "VALID, DEGRADED or INVALID.\n"
             "\n"
             "Exit status: 0 completed, also with failed operations; 3 the run is "
             "INVALID, an answer was wrong (--check), or it was ended early by a rule "
             "(--abort-if, --abort-late); 65 the trace cannot be read to its end; 69 "
             "the target cannot be reached, or nothing could be sent; 74 the run file "
             "cannot be written; 130 interrupted.",
    .opts = options,
    .examples =
        "# both protocols through envoy, at the recorded pace\n"
        "reprise replay day.trace --tier envoy --http http://127.0.0.1:9000 -o a.run\n"
        "# twice as fast, straight to a server, at most ten minutes\n"
        "reprise replay day.trace --tier server --http 127.0.0.1:9001 --grpc "
        "127.0.0.1:9002 --speed 2 --duration 10m -o b.run\n"
        "# as k6 does it: twenty users, each waiting for its answer\n"
        "reprise replay day.trace --http 127.0.0.1:9000 --closed-loop 20 --duration 1m "
        "-o c.run\n"
        "# past the gateways: straight into the topics of models and pipelines\n"
        "reprise replay day.trace --tier kafka --kafka broker:9092 --namespace "
        "seldon-mesh -o k.run\n"
        "# a third of the load from this machine, with two others, at noon\n"
        "reprise replay day.trace --http 10.0.0.7:9000 --shard 1/3 --start-at "
        "2031-05-04T12:00:00Z -o c1.run\n",
    .min_args = 1,
    .max_args = 1,
};

void rep_options_describe(const struct rep_options *c, struct buf *out)
{
    buf_fmt(out,
            "tier=%s protocol=%s speed=%s workers=%" PRIu64 " connections=%" PRIu64
            " grpc-connections=%" PRIu64 " streams=%" PRIu64 " closed-loop=%" PRIu64,
            tier_choices[c->tier], protocol_choices[c->protocol], c->speed, c->workers,
            c->connections, c->grpc_connections, c->streams, c->users);
    if (c->kafka)
        buf_fmt(out, " topic-prefix=%s namespace=%s kafka-keys=%s", c->topic_prefix,
                c->name_space, key_choices[c->keys]);
    /* Names alone: a value may say where a secret is. */
    for (size_t i = 0; i < c->kafka_options.n; i++)
        buf_fmt(out, " kafka-option=%.*s", (int)strcspn(c->kafka_options.v[i], "="),
                c->kafka_options.v[i]);
    if (c->requests_per_connection > 0)
        buf_fmt(out, " requests-per-connection=%" PRIu64, c->requests_per_connection);
    buf_fmt(out, " engine=%s http-version=%s", engine_choices[c->engine],
            version_choices[c->http_version]);
    buf_fmt(out,
            " deadline=%" PRId64 "ns duration=%" PRId64 "ns drop-late=%" PRId64
            "ns abort-late=%" PRId64 "ns cap=%" PRIu64 " catch-up=%g warmup=%" PRId64
            "ns cooldown=%" PRId64 "ns model-version=%" PRIu64
            " request-ids=%s seed=%" PRIu64 " digest=%s spin=%s pin=%s",
            c->deadline_ns, c->duration_ns, c->drop_late_ns, c->abort_late_ns, c->cap,
            c->catch_up, c->warmup_ns, c->cooldown_ns, c->version, id_choices[c->ids],
            c->seed, digest_choices[c->digest], c->spin ? "yes" : "no",
            c->pin ? "yes" : "no");
    if (c->pinned)
        buf_str(out, " recorded-connections=yes");
    if (c->sessions)
        buf_fmt(out, " sessions=yes on-session-error=%s",
                session_choices[c->session_error]);
    if (c->check)
        buf_str(out, " check=model");
    for (size_t i = 0; i < c->checks.n; i++)
        buf_fmt(out, " check=%s", c->checks.v[i]);
}

void rep_options_done(struct rep_options *c)
{
    opt_strv_done(&c->versions);
    opt_strv_done(&c->labels);
    opt_strv_done(&c->rules);
    opt_strv_done(&c->checks);
    opt_strv_done(&c->kafka_options);
}

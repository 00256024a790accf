/*
 * cmd_capture.c - reprise capture: packets become a trace, with what was missed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "capture/kafka_session.h"
#include "capture/session.h"
#include "commands.h"
#include "traces/base/log.h"
#include "traces/base/outfile.h"
#include "traces/base/units.h"
#include "traces/capture_notes.h"

struct config {
    const char *interface, *kafka, *out, *user;
    const char *prefix, *name_space, *from, *until;
    struct opt_strv files, maps, headers, kafka_options;
    const char *bodies, *key_file, *debug;
    bool keep_query, no_answers, store, compress, json, quiet, force;
    int64_t answer_wait_ns, hold_ns, duration_ns, flush_ns, kafka_wait_ns;
    uint64_t memory, ring;
    double min_coverage;
};

static const struct opt options[] = {
    OPT_GROUP_ROW("Where from"),
    {.name = "interface",
     .letter = 'i',
     .type = OPT_STR,
     .at = offsetof(struct config, interface),
     .arg = "IF",
     .help = "record what passes this interface: eth0, lo, any; needs CAP_NET_RAW"},
    {.name = "read",
     .letter = 'r',
     .type = OPT_STRV,
     .at = offsetof(struct config, files),
     .arg = "FILE",
     .help = "read packets from a pcap or pcapng file, plain or compressed with zstd "
             "or gzip; "
             "- is standard input. Several are read one after another, as if they were "
             "one: connections go on from each to the next"},
    {.name = "kafka",
     .type = OPT_STR,
     .at = offsetof(struct config, kafka),
     .arg = "BROKERS",
     .help = "record the topics of these brokers, HOST:PORT,...: what pipelines and "
             "their models were asked and answered; joins no group, commits nothing"},
    {.name = "topic-prefix",
     .type = OPT_STR,
     .at = offsetof(struct config, prefix),
     .arg = "TEXT",
     .def = "seldon",
     .help = "Kafka: what topics begin with"},
    {.name = "namespace",
     .type = OPT_STR,
     .at = offsetof(struct config, name_space),
     .arg = "NAME",
     .def = "default",
     .help = "Kafka: the second part of the topics' names"},
    {.name = "from",
     .type = OPT_STR,
     .at = offsetof(struct config, from),
     .arg = "WHERE",
     .def = "end",
     .help = "Kafka: beginning, end, an offset, a time like 2031-05-04T12:00:00Z, or a "
             "duration before now like 15m"},
    {.name = "until",
     .type = OPT_STR,
     .at = offsetof(struct config, until),
     .arg = "end",
     .help = "Kafka: stop where the topics end at the start (default: go on as they "
             "grow, until Ctrl-C or --duration)"},
    {.name = "kafka-option",
     .type = OPT_STRV,
     .at = offsetof(struct config, kafka_options),
     .arg = "KEY=VALUE",
     .help = "Kafka: a setting of librdkafka, as security.protocol=SASL_SSL; VALUE may "
             "be file:PATH or env:NAME; passwords and other "
             "secrets must be"},
    {.name = "kafka-timeout",
     .type = OPT_DURATION,
     .at = offsetof(struct config, kafka_wait_ns),
     .arg = "TIME",
     .def = "10s",
     .help = "Kafka: longest wait for an answer of the brokers at the start"},
    {.name = "map",
     .letter = 'm',
     .type = OPT_STRV,
     .at = offsetof(struct config, maps),
     .arg = "LIST",
     .help = "which port is which tier: k8s, compose, and [lo:]PORT=TIER, separated by "
             "commas. lo: means the loopback only. On ports of the "
             "tier kafka its own protocol is read (default: k8s)"},
    OPT_GROUP_ROW("What is written"),
    {.name = "output",
     .letter = 'o',
     .type = OPT_STR,
     .at = offsetof(struct config, out),
     .arg = "TRACE",
     .help = "the trace to write; - is standard output, for `reprise replay -`"},
    OUTFILE_FORCE_OPT(offsetof(struct config, force)),
    {.name = "bodies",
     .type = OPT_STR,
     .at = offsetof(struct config, bodies),
     .arg = "MODE",
     .def = "keep",
     .help = "keep; hash: length and keyed hash alone; shape: tensors keep names, "
             "types and shapes, elements become zeros; mask:PATH,... takes out values "
             "by their place, as in mask:id,parameters.user,inputs.*.data"},
    {.name = "no-answer-bodies",
     .type = OPT_FLAG,
     .at = offsetof(struct config, no_answers),
     .help = "of answers keep length and hash alone"},
    {.name = "store",
     .type = OPT_FLAG,
     .at = offsetof(struct config, store),
     .help = "packets: compress nothing; trace pack does it later"},
    {.name = "compress",
     .type = OPT_FLAG,
     .at = offsetof(struct config, compress),
     .help = "packets: compress bodies of 16 KiB and more too, which are stored as "
             "they are, for what comes faster than it can be compressed would be lost"},
    {.name = "keep-header",
     .type = OPT_STRV,
     .at = offsetof(struct config, headers),
     .arg = "NAME",
     .help = "keep this request header too. Headers that may hold "
             "credentials are refused"},
    {.name = "keep-query",
     .type = OPT_FLAG,
     .at = offsetof(struct config, keep_query),
     .help = "keep what follows ? in paths"},
    {.name = "hash-key-file",
     .type = OPT_STR,
     .at = offsetof(struct config, key_file),
     .arg = "FILE",
     .help = "key of keyed hashes, 32 hex digits; without it the environment variable "
             "REPRISE_CAPTURE_KEY, else one is drawn and forgotten"},
    OPT_GROUP_ROW("How long, how much"),
    {.name = "answer-wait",
     .type = OPT_DURATION,
     .at = offsetof(struct config, answer_wait_ns),
     .arg = "TIME",
     .def = "10m",
     .help = "after which a request counts as unanswered"},
    {.name = "hold",
     .type = OPT_DURATION,
     .at = offsetof(struct config, hold_ns),
     .arg = "TIME",
     .def = "5s",
     .help = "longest time that operations are held back to put them in order"},
    {.name = "duration",
     .letter = 'd',
     .type = OPT_DURATION,
     .at = offsetof(struct config, duration_ns),
     .arg = "TIME",
     .help = "stop so long after the first packet; live, also when none came for "
             "so long"},
    {.name = "flush",
     .type = OPT_DURATION,
     .at = offsetof(struct config, flush_ns),
     .arg = "TIME",
     .def = "500ms",
     .help =
         "live: operations reach the output at most so late after they are complete"},
    {.name = "memory",
     .type = OPT_SIZE,
     .at = offsetof(struct config, memory),
     .arg = "SIZE",
     .def = "256MiB",
     .help = "for all that is pending; near it, bodies of answers are let go, then "
             "those of requests, then connections, all counted"},
    {.name = "ring",
     .type = OPT_SIZE,
     .at = offsetof(struct config, ring),
     .arg = "SIZE",
     .def = "64MiB",
     .help = "live: the kernel's buffer"},
    {.name = "user",
     .type = OPT_STR,
     .at = offsetof(struct config, user),
     .arg = "NAME",
     .help = "live: become this user once the interface is open"},
    OPT_GROUP_ROW("Reporting"),
    {.name = "min-coverage",
     .type = OPT_F64,
     .at = offsetof(struct config, min_coverage),
     .arg = "SHARE",
     .def = "0",
     .help = "exit with 3 when less than this share (0 to 1) of the traffic is in the "
             "trace"},
    {.name = "json",
     .type = OPT_FLAG,
     .at = offsetof(struct config, json),
     .help = "print the summary as one JSON object on standard output"},
    {.name = "quiet",
     .letter = 'q',
     .type = OPT_FLAG,
     .at = offsetof(struct config, quiet),
     .help = "no progress and no summary"},
    {.name = "debug",
     .type = OPT_STR,
     .at = offsetof(struct config, debug),
     .arg = "AREAS",
     .help = "say more about these areas"},
    {.name = NULL},
};

static const struct opt_cmd doc = {
    .name = "capture",
    .summary =
        "record inference traffic from packets or Kafka, and say what was missed",
    .synopsis = "(-i IF | -r FILE... | --kafka BROKERS) -o TRACE [OPTION]...",
    .about =
        "Reads packets, puts connections together, and pairs requests with answers: "
        "HTTP/1.1, HTTP/2 and gRPC in clear text, also on connections that were open "
        "before. Each inference becomes an operation with its time of arrival, tier, "
        "model, body, status and latency. What is no inference (health, metadata, "
        "metrics) is passed over; TLS is counted as opaque.\n\n"
        "From Kafka come the requests of pipelines and their models, joined with "
        "answers and errors by key. Times are those of the records, in steps of 1 ms: "
        "whose clock, the trace notes. A model's leg within a pipeline holds the time "
        "of the dataflow engine before it, which gives its records the time of the "
        "record they come from. Status is 200, or 400 for errors, as the pipeline "
        "gateway tells them. Direct calls of models are not in Kafka.\n\n"
        "Nothing is written before it is redacted. Headers are dropped but for content "
        "type, encodings and seldon-model; traceparent and x-seldon-route leave a "
        "trace of their presence alone. Headers that may hold credentials, and the "
        "queries of paths, are dropped in any case.\n\n"
        "Every byte and every request is accounted for: the summary, and notes in the "
        "trace, say how much was recorded, passed over, or lost and why, with the "
        "packets that the kernel dropped. A trace below 99.9 % says so when it is "
        "replayed.\n\n"
        "A first Ctrl-C closes the trace properly, behind the last packet that had "
        "come by then; a second one leaves at once.\n\n"
        "Exit status: 0 done; 3 below --min-coverage; 65 the input is damaged (what "
        "came before is in the trace); 64 there is no such interface; 69 or 74 it "
        "cannot be opened, or the "
        "trace not be written; 130 interrupted, with the trace closed.",
    .opts = options,
    .examples =
        "# a pod's traffic for a minute, bodies without their contents\n"
        "reprise capture -i eth0 --map k8s --bodies shape -d 1m -o pod.trace\n"
        "# packets that tcpdump wrote, with the ports of a compose installation\n"
        "reprise capture -r day.pcap --map compose -o day.trace\n"
        "# and that it began a new file of now and then, the oldest first\n"
        "reprise capture -r day.pcap0 -r day.pcap1 -r day.pcap2 -o day.trace\n"
        "# what pipelines were asked in the last hour\n"
        "reprise capture --kafka broker:9092 --namespace seldon-mesh --from 1h --until "
        "end -o hour.trace\n"
        "# mirror live traffic onto a second installation\n"
        "reprise capture -i eth0 -m 9000=envoy -o - | reprise replay - --tier envoy "
        "--http http://10.0.0.9:9000 -o shadow.run\n",
    .min_args = 0,
    .max_args = 0,
};

const struct opt_cmd *const cap_capture_docs[] = {&doc, NULL};

/* --- signals ---------------------------------------------------------------------- */

static volatile sig_atomic_t interrupts;

static void on_signal(int sig)
{
    (void)sig;
    interrupts = interrupts + 1;
    if (interrupts > 1)
        _exit(EXIT_INTERRUPTED);
}

static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal}; /* calls are not resumed */
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

/* --- configuration ---------------------------------------------------------------- */

/* The first of these options that was given, or NULL. */
static const char *given(const char *const *names)
{
    while (*names && !opt_given(&doc, *names))
        names++;
    return *names;
}

static int check_source(const struct config *c, struct err *e)
{
    static const char *const of_packets[] = {"map", "ring", "user", NULL};
    static const char *const of_kafka[] = {
        "topic-prefix", "namespace",     "from", "until",
        "kafka-option", "kafka-timeout", NULL};
    const char *odd = given(c->kafka ? of_packets : of_kafka);
    if ((c->interface != NULL) + (c->files.n > 0) + (c->kafka != NULL) != 1)
        return err_set(e, ERR_USAGE,
                       "give either an interface (-i), files (-r) or --kafka");
    if (odd)
        return err_set(e, ERR_USAGE, "--%s is for %s", odd,
                       c->kafka ? "packets" : "--kafka");
    if (c->until && strcmp(c->until, "end") != 0)
        return err_set(e, ERR_USAGE, "--until '%s' is not end", c->until);
    if (c->kafka_wait_ns < CLK_MS || c->kafka_wait_ns > 3600 * CLK_SEC)
        return err_set(e, ERR_USAGE, "--kafka-timeout is not between 1ms and 1h");
    return 0;
}

static int check(const struct config *c, struct err *e)
{
    bool to_stdout = c->out && strcmp(c->out, "-") == 0;
    int rc = check_source(c, e);
    if (rc < 0)
        return rc;
    if (!c->out)
        return err_set(e, ERR_USAGE, "-o TRACE is missing");
    if (to_stdout && c->json)
        return err_set(e, ERR_USAGE, "--json and -o - both want standard output");
    if (to_stdout && isatty(STDOUT_FILENO))
        return err_set(e, ERR_USAGE, "-o - would write a trace to the terminal");
    if (c->store && c->compress)
        return err_set(e, ERR_USAGE, "--store and --compress exclude each other");
    if (c->memory < CAP_MEMORY_MIN)
        return err_set(e, ERR_USAGE, "--memory must be at least 32MiB");
    if (c->answer_wait_ns <= 0 || c->hold_ns <= 0 || c->flush_ns <= 0 ||
        c->duration_ns < 0)
        return err_set(e, ERR_USAGE, "a time must be above 0");
    if (!(c->min_coverage >= 0 && c->min_coverage <= 1))
        return err_set(e, ERR_USAGE, "--min-coverage %g is not between 0 and 1",
                       c->min_coverage);
    return outfile_check(c->out, c->force, c->files.v, c->files.n, e);
}

static int parse_maps(const struct config *c, struct cap_tiers *t, struct buf *text,
                      struct err *e)
{
    int rc = 0;
    for (size_t i = 0; i < c->maps.n && rc == 0; i++) {
        rc = cap_tiers_add(t, c->maps.v[i], e);
        buf_fmt(text, "%s%s", i ? "," : "", c->maps.v[i]);
    }
    if (c->maps.n == 0) {
        rc = cap_tiers_add(t, "k8s", e);
        buf_str(text, "k8s");
    }
    return rc == 0 ? buf_check(text, e) : rc;
}

/* --- results ---------------------------------------------------------------------- */

static void show_progress(void *arg, const struct cap_parts *p, int64_t span_ns)
{
    const struct config *c = arg;
    char span[UNITS_TEXT_MAX];
    double share = 1;
    if (c->quiet || !isatty(STDERR_FILENO) || !p->tallies)
        return;
    bool known = cap_account_share(p, &share);
    fprintf(stderr,
            "\rcapture: %s, %" PRIu64 " operations, %" PRIu64
            " lost, coverage %.4f %% ",
            units_duration_text(span_ns, span), p->tallies->recorded,
            cap_account_lost_all(p), known ? share * 100 : 100);
}

static void print_refused(const struct config *c, uint64_t bodies)
{
    if (bodies > 0)
        fprintf(stderr,
                "  redaction   %" PRIu64
                " bodies could not be treated as --bodies %s wants and were hashed\n",
                bodies, c->bodies);
}

static void print_text(const struct config *c, const struct cap_session_result *r)
{
    char span[UNITS_TEXT_MAX];
    struct buf text = {0};
    cap_account_text(&r->parts, &text);
    if (isatty(STDERR_FILENO))
        fputs("\r\033[K", stderr);
    fprintf(stderr, "%s: %" PRIu64 " operations over %s%s\n%s",
            strcmp(c->out, "-") == 0 ? "capture" : c->out, r->order.written,
            units_duration_text(r->span_ns, span), r->closed ? "" : ", NOT CLOSED",
            buf_text(&text));
    print_refused(c, r->redact.bodies_refused);
    buf_done(&text);
}

/* What all captures have in common, before and after their own members. */
static void begin_json(struct jsonw *w, const struct config *c, bool closed,
                       bool interrupted, uint64_t operations, int64_t span_ns)
{
    jsonw_object(w);
    jsonw_key_str(w, "schema", "reprise/capture/1");
    jsonw_key_str(w, "trace", c->out);
    jsonw_key_bool(w, "complete", closed);
    jsonw_key_bool(w, "interrupted", interrupted);
    jsonw_key_u64(w, "operations", operations);
    jsonw_key_i64(w, "span_ns", span_ns);
}

static void end_json(struct jsonw *w, const struct cap_redact_counts *redact)
{
    jsonw_key(w, "redaction");
    jsonw_object(w);
    jsonw_key_u64(w, "headers_denied", redact->headers_denied);
    jsonw_key_u64(w, "bodies_changed", redact->bodies_changed);
    jsonw_key_u64(w, "bodies_hashed", redact->bodies_hashed);
    jsonw_key_u64(w, "bodies_refused", redact->bodies_refused);
    jsonw_end(w);
    jsonw_end(w);
    buf_str(w->out, "\n");
    fputs(buf_text(w->out), stdout);
}

static void print_json(const struct config *c, const struct cap_session_result *r)
{
    struct buf out = {0};
    struct jsonw w = {.out = &out, .pretty = true};
    begin_json(&w, c, r->closed, r->interrupted, r->order.written, r->span_ns);
    cap_account_json(&r->parts, &w);
    end_json(&w, &r->redact);
    buf_done(&out);
}

/* What the status should be when all went well: is enough in the trace? */
static int judge(const struct config *c, bool known, double share)
{
    if (!known || share >= c->min_coverage)
        return EXIT_DONE;
    fprintf(stderr, "reprise capture: coverage %.6f is below --min-coverage %g\n",
            share, c->min_coverage);
    return EXIT_INVALID;
}

static void show_kafka(const struct config *c, const struct cap_kafka_result *r)
{
    char span[UNITS_TEXT_MAX];
    struct buf out = {0};
    if (!c->quiet) {
        cap_kafka_text(r, &out);
        fprintf(stderr, "%s: %" PRIu64 " operations over %s%s\n%s",
                strcmp(c->out, "-") == 0 ? "capture" : c->out, r->order.written,
                units_duration_text(r->span_ns, span), r->closed ? "" : ", NOT CLOSED",
                buf_text(&out));
        print_refused(c, r->redact.bodies_refused);
        buf_reset(&out);
    }
    if (c->json) {
        struct jsonw w = {.out = &out, .pretty = true};
        begin_json(&w, c, r->closed, r->interrupted, r->order.written, r->span_ns);
        cap_kafka_json(r, &w);
        end_json(&w, &r->redact);
    }
    buf_done(&out);
}

/* --- the command ------------------------------------------------------------------ */

static struct cap_redact_options redaction(const struct config *c)
{
    return (struct cap_redact_options){.bodies = c->bodies,
                                       .headers = c->headers.v,
                                       .header_count = c->headers.n,
                                       .keep_query = c->keep_query,
                                       .no_answers = c->no_answers,
                                       .key_file = c->key_file};
}

/* Large bodies come and go all the time: memory that one gave back serves the next,
 * instead of being handed to the kernel and cleared anew. What is held stays bounded by
 * --memory. */
static void keep_memory(void)
{
    mallopt(M_MMAP_THRESHOLD, 32 << 20);
    mallopt(M_TRIM_THRESHOLD, 32 << 20);
}

/* *status: what the coverage asks for. */
static int run_kafka(const struct config *c, int *status, struct err *e)
{
    struct cap_kafka_result r;
    double share = 1;
    struct cap_kafka_session_config s = {
        .source = {.brokers = c->kafka,
                   .prefix = c->prefix,
                   .name_space = c->name_space,
                   .from = c->from,
                   .until_end = c->until != NULL,
                   .options = c->kafka_options.v,
                   .option_count = c->kafka_options.n,
                   .connect_ns = c->kafka_wait_ns},
        .out = c->out,
        .redact = redaction(c),
        .answer_wait_ns = c->answer_wait_ns,
        .hold_ns = c->hold_ns,
        .duration_ns = c->duration_ns,
        .flush_ns = c->flush_ns,
        .memory_bytes = (size_t)c->memory,
        .interrupts = &interrupts,
    };
    int rc = cap_kafka_session_run(&s, &r, e);
    if (r.closed || r.counts.records > 0)
        show_kafka(c, &r);
    if (rc == 0) {
        bool known = cap_kafka_share(&r, &share);
        *status = judge(c, known, share);
    }
    return rc;
}

static int run_packets(const struct config *c, struct cap_session_result *r,
                       int *status, struct err *e)
{
    struct buf map = {0};
    struct cap_session_config s = {
        .interface = c->interface,
        .files = c->files.v,
        .file_count = c->files.n,
        .out = c->out,
        .redact = redaction(c),
        .store = c->store,
        .compress = c->compress,
        .ring_bytes = (size_t)c->ring,
        .user = c->user,
        .answer_wait_ns = c->answer_wait_ns,
        .hold_ns = c->hold_ns,
        .duration_ns = c->duration_ns,
        .flush_ns = c->flush_ns,
        .memory_bytes = (size_t)c->memory,
        .interrupts = &interrupts,
        .progress = show_progress,
    };
    union { /* the callback is given back what it was made with */
        const struct config *from;
        void *to;
    } arg = {.from = c};
    s.progress_arg = arg.to;
    keep_memory();
    int rc = parse_maps(c, &s.tiers, &map, e);
    s.map = buf_text(&map);
    if (rc == 0) {
        rc = cap_session_run(&s, r, e);
        /* Nothing captured is a result, too; nothing opened is not. */
        if (r->parts.source && (r->closed || r->source.packets > 0)) {
            if (!c->quiet)
                print_text(c, r);
            if (c->json)
                print_json(c, r);
        }
    }
    if (rc == 0) {
        double share = 1;
        bool known = cap_account_share(&r->parts, &share);
        *status = judge(c, known, share);
    }
    buf_done(&map);
    return rc;
}

int cap_cmd_capture(int argc, char **argv)
{
    struct config c = {0};
    static struct cap_session_result result; /* too large for a stack */
    struct err e = {0};
    int operands, status = EXIT_DONE;

    int rc = opt_parse(&doc, argc, argv, &c, &operands, &e);
    if (rc == 0)
        rc = check(&c, &e);
    if (rc == 0) {
        log_setup(c.quiet, c.debug);
        catch_signals();
        rc = c.kafka ? run_kafka(&c, &status, &e)
                     : run_packets(&c, &result, &status, &e);
    }
    if (rc < 0)
        status = opt_fail(&doc, &e);
    opt_strv_done(&c.files);
    opt_strv_done(&c.maps);
    opt_strv_done(&c.headers);
    opt_strv_done(&c.kafka_options);
    return rc == 1 ? EXIT_DONE : status;
}

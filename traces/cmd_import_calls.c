/*
 * cmd_import_calls.c - `reprise import har`, csv and goreplay: files that hold calls,
 * with their bodies, become operations as they are.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/cmd_import_calls.h"

#include <inttypes.h>
#include <stdio.h>

#include "traces/base/outfile.h"
#include "traces/base/units.h"
#include "traces/import/imp_csv.h"
#include "traces/import/imp_gor.h"
#include "traces/import/imp_har.h"
#include "traces/synth/making.h"

struct calls_config {
    struct outfile out;
    struct opt_strv headers;
    uint64_t seed;
    int tier, spread;
    bool keep_query;
    struct opt_strv renamed; /* from here on: of csv */
    const char *model_type, *body_dir;
    int unit, latency_unit, separator, protocol;
    bool unix_time, make_bodies;
    char unread[200];
};
#define AT(field) offsetof(struct calls_config, field)
#define CALL_OPTS                                                                      \
    OUTFILE_OPTS(AT(out), "the trace to write; - is a pipe"),                          \
        {.name = "tier",                                                               \
         .type = OPT_CHOICE,                                                           \
         .at = AT(tier),                                                               \
         .arg = "TIER",                                                                \
         .def = "any",                                                                 \
         .choices = op_tier_names,                                                     \
         .help = "where the calls entered SCv2; any: replay decides"},                 \
        {.name = "keep-header",                                                        \
         .type = OPT_STRV,                                                             \
         .at = AT(headers),                                                            \
         .arg = "NAME",                                                                \
         .help = "keep this header too; never one that carries credentials"},          \
        {.name = "keep-query",                                                         \
         .type = OPT_FLAG,                                                             \
         .at = AT(keep_query),                                                         \
         .help = "keep what stands behind ? in paths"},                                \
        {.name = "spread",                                                             \
         .type = OPT_CHOICE,                                                           \
         .at = AT(spread),                                                             \
         .arg = "RULE",                                                                \
         .def = "refuse",                                                              \
         .choices = imp_spread_names,                                                  \
         .help = "what to do with times that lie on a grid, several to a cell: "       \
                 "refuse the file, draw each uniformly from its cell (calls of a "     \
                 "cell may change places), or none: take them as they stand"},         \
    {                                                                                  \
        .name = "seed", .type = OPT_U64, .at = AT(seed), .arg = "N", .def = "1",       \
        .help = "seed of all that is random"                                           \
    }

#define RULES                                                                          \
    "An operation is an inference: a POST to /v2/models/NAME or /v2/pipelines/NAME "   \
    "and then /infer or /generate, or ModelInfer of gRPC; who is meant say "           \
    "seldon-model and the path; its model type is told where name and tensors fit, "   \
    "as in capture. Other calls are left out, and the summary counts "                 \
    "them with the first one's place. Headers are denied as in capture, but for "      \
    "accept-encoding, seldon-model and those of --keep-header; credentials are never " \
    "kept. Calls are put in order of time while 65536 of them or 64 MiB are held."

/* --- what they share -------------------------------------------------------------- */

static void tell(uint64_t n, const char *what)
{
    if (n)
        fprintf(stderr, "import: %" PRIu64 " %s\n", n, what);
}

static void summary(const struct calls_config *c, const struct imp_out_done *d)
{
    const char *out = c->out.path;
    char text[UNITS_TEXT_MAX];
    fprintf(stderr,
            "import: %" PRIu64 " operations over %s to '%s', %" PRIu64 " answered\n",
            d->operations, units_duration_text(d->last_ns, text), out, d->answers);
    if (d->grid[0])
        fprintf(stderr, "import: %s%s\n", d->grid,
                d->spread ? "; spread uniformly within each cell" : "");
    for (size_t i = 0; i < IMP_LEFT_COUNT; i++)
        if (d->left[i])
            fprintf(stderr, "import: left out: %" PRIu64 " %s (the first: %s)\n",
                    d->left[i], imp_left_texts[i], d->left_first[i]);
    tell(d->headers_denied, "headers denied");
    tell(d->queries_cut, "paths lost their query");
    tell(d->bodies_missing, "bodies are not in the file; their length alone is kept");
    tell(d->bodies_none, "operations have no body");
    tell(d->bodies_decoded, "answers are kept as they were decoded");
    tell(d->answers_left_out, "answers lack a body that can be kept as it was sent");
    tell(d->bodies_made, "bodies were made, because the file has none");
    tell(d->late, "answers stand behind their operations");
    if (c->unread[0])
        fprintf(stderr, "import: columns that are not read: %s\n", c->unread);
    if (d->steps_back)
        fprintf(stderr,
                "import: %" PRIu64 " came with an earlier time than the one before, by "
                "up to %s; sorted\n",
                d->steps_back, units_duration_text(d->worst_back_ns, text));
}

typedef int read_fn(struct zin *in, struct calls_config *c, const struct imp_rule *rule,
                    struct imp_out *o, struct err *e);

static int import(struct calls_config *c, const char *file,
                  const struct imp_out_options *how, read_fn *read,
                  struct imp_out_done *done, struct err *e)
{
    struct zin *in = NULL;
    struct imp_out *o = NULL;
    const struct imp_rule rule = {.tier = (enum op_tier)c->tier,
                                  .keep = c->headers.v,
                                  .keep_count = c->headers.n,
                                  .keep_query = c->keep_query};
    int rc = zin_open(&in, file, e);
    if (rc == 0)
        rc = imp_out_open(&o, how, e);
    if (rc == 0)
        rc = read(in, c, &rule, o, e);
    rc = imp_out_close(o, rc, done, e);
    if (rc < 0 && rc != ERR_STOPPED && in)
        err_note(e, "'%s'", file);
    zin_close(in);
    return rc;
}

/* argv[1] is the file. */
static int run(const struct opt_cmd *page, char **argv, struct calls_config *c,
               struct imp_out_options *how, read_fn *read, int rc, struct err *e)
{
    struct imp_out_done done = {0};
    if (rc == 0)
        rc = outfile_wanted(&c->out, (const char *const *)(argv + 1), 1, e);
    if (rc == 0) {
        making_catch_signals();
        how->path = c->out.path;
        how->format = argv[0];
        how->source = argv[1];
        how->spread = (enum imp_spread)c->spread;
        how->seed = c->seed;
        rc = import(c, argv[1], how, read, &done, e);
    }
    opt_strv_done(&c->headers);
    opt_strv_done(&c->renamed);
    if (rc < 0)
        return opt_fail(page, e);
    if (!c->out.quiet)
        summary(c, &done);
    return EXIT_DONE;
}

/* A format without options of its own, whose times are the calendar's. */
static int run_plain(const struct opt_cmd *page, int argc, char **argv, read_fn *read)
{
    struct calls_config c = {.tier = OP_TIER_ANY};
    struct imp_out_options how = {.calendar = true};
    struct err e = {0};
    int operands, rc = opt_parse(page, argc, argv, &c, &operands, &e);
    return rc > 0 ? EXIT_DONE : run(page, argv, &c, &how, read, rc, &e);
}

/* --- har -------------------------------------------------------------------------- */

static const struct opt har_opts[] = {CALL_OPTS, {.name = NULL}};
const struct opt_cmd trc_import_har_page = {
    .name = "import har",
    .summary = "HTTP Archives of browsers, proxies and 'trace export' as operations",
    .synopsis = "FILE -o TRACE [OPTION]...",
    .about =
        "Reads a HAR 1.2, plain or compressed with zstd or gzip, - is standard input; "
        "an entry at a time, of up to 192 MiB, so memory does not grow with the "
        "file. " RULES "\n\n"
        "A request arrives at startedDateTime and its blocked, dns and connect. Its "
        "answer begins after send and wait, and ends after receive. A HAR has answers "
        "decoded: they are kept so, and counted. Bodies that the file does not hold "
        "are kept as their length.\n\n"
        "What 'reprise trace export --format har' wrote comes back as it was: times "
        "in ns, tiers, names, flags, ordinals, messages of streams, hashes of elided "
        "bodies, and all headers. Not so: Kafka and control operations and notes, "
        "which are not in it; answers in gzip, deflate or zstd, which were decoded; "
        "paths and methods that the trace had left open. --tier and the rules for "
        "headers are for other files.",
    .opts = har_opts,
    .examples = "# what a browser or mitmproxy recorded in front of Envoy\n"
                "reprise import har session.har --tier envoy -o session.trace\n"
                "# a trace, edited as a HAR\n"
                "reprise trace export day.trace --format har | jq '.log.entries |= "
                ".[:100]' | reprise import har - -o first.trace\n",
    .min_args = 1,
    .max_args = 1,
};

static int read_har(struct zin *in, struct calls_config *c, const struct imp_rule *rule,
                    struct imp_out *o, struct err *e)
{
    (void)c;
    return imp_har_read(in, rule, o, e);
}

int trc_import_har_run(int argc, char **argv)
{
    return run_plain(&trc_import_har_page, argc, argv, read_har);
}

/* --- csv -------------------------------------------------------------------------- */

static const char *const separator_names[] = {"comma", "semicolon", "tab", NULL};
static const char *const protocol_names[] = {"rest", "grpc", "kafka", NULL};
static const char *const latency_names[] = {"ns", "us", "ms", "s", NULL};

static const struct opt csv_opts[] = {
    {.name = "unit",
     .letter = 'u',
     .type = OPT_CHOICE,
     .at = AT(unit),
     .arg = "UNIT",
     .choices = imp_unit_names,
     .help = "what arrivals are given in; must be said"},
    {.name = "unix",
     .type = OPT_FLAG,
     .at = AT(unix_time),
     .help = "numbers count from 1970; else the first arrival is the beginning and "
             "there is no calendar"},
    {.name = "latency-unit",
     .type = OPT_CHOICE,
     .at = AT(latency_unit),
     .arg = "UNIT",
     .def = "ms",
     .choices = latency_names,
     .help = "what first and last are given in"},
    {.name = "column",
     .letter = 'c',
     .type = OPT_STRV,
     .at = AT(renamed),
     .arg = "OURS=THEIRS",
     .help = "a column of ours has another name in the file"},
    {.name = "separator",
     .type = OPT_CHOICE,
     .at = AT(separator),
     .arg = "NAME",
     .def = "comma",
     .choices = separator_names,
     .help = "what stands between cells"},
    {.name = "protocol",
     .type = OPT_CHOICE,
     .at = AT(protocol),
     .arg = "NAME",
     .def = "rest",
     .choices = protocol_names,
     .help = "protocol of rows that do not say it"},
    {.name = "model-type",
     .letter = 'm',
     .type = OPT_STR,
     .at = AT(model_type),
     .arg = "TYPE",
     .help = "model type of rows that do not say it"},
    {.name = "make-bodies",
     .type = OPT_FLAG,
     .at = AT(make_bodies),
     .help = "a row without a body gets that of its model type, and is flagged as "
             "synthetic"},
    {.name = "body-dir",
     .type = OPT_STR,
     .at = AT(body_dir),
     .arg = "DIR",
     .help = "where the files of body_file are"},
    CALL_OPTS,
    {.name = NULL},
};
const struct opt_cmd trc_import_csv_page = {
    .name = "import csv",
    .summary = "tables of calls (access logs, spreadsheets) as operations",
    .synopsis = "FILE --unit UNIT -o TRACE [OPTION]...",
    .about =
        "Reads comma-separated values as RFC 4180 has them, plain or compressed with "
        "zstd or gzip, - is standard input; a row at a time, of up to 128 MiB, so "
        "memory does not grow with the file. The first row names the columns, in any "
        "order. An empty cell says nothing; columns that are none of these are named "
        "by the summary.\n\n" IMP_CSV_COLUMNS "\n\n"
        "Rows are put in order of time while 65536 of them or 64 MiB are held. Times "
        "on a grid (whole seconds of a log) with several rows to a cell are refused "
        "unless --spread says what to do about it. Headers that may hold credentials "
        "are never kept. A model type that no cell says is told where name and tensors "
        "fit.",
    .opts = csv_opts,
    .examples =
        "# three calls by hand\n"
        "printf 'arrival,model,body\\n0,iris,{}\\n12.5,iris,{}\\n20,wine,{}\\n' | "
        "reprise import csv - --unit ms -o three.trace\n"
        "# an access log with columns of its own, bodies made of the model's type\n"
        "reprise import csv envoy.csv --unit calendar --column arrival=start_time "
        "--column last=duration --column path=x-path --model-type iris --make-bodies "
        "-o day.trace\n",
    .min_args = 1,
    .max_args = 1,
};

static int read_csv(struct zin *in, struct calls_config *c, const struct imp_rule *rule,
                    struct imp_out *o, struct err *e)
{
    const struct imp_csv how = {.unit = (enum imp_unit)c->unit,
                                .latency_unit = (enum imp_unit)c->latency_unit,
                                .separator = ",;\t"[c->separator],
                                .protocol = (enum op_protocol)c->protocol,
                                .model_type = c->model_type,
                                .make_bodies = c->make_bodies,
                                .body_dir = c->body_dir,
                                .renamed = c->renamed.v,
                                .renamed_count = c->renamed.n,
                                .rule = *rule};
    return imp_csv_read(in, &how, o, c->unread, sizeof c->unread, e);
}

static int check_csv(const struct calls_config *c, struct err *e)
{
    if (!opt_given(&trc_import_csv_page, "unit"))
        return err_set(e, ERR_USAGE,
                       "--unit is missing: are arrivals in ns, us, ms, s or calendar?");
    if (c->unix_time && c->unit == IMP_UNIT_CALENDAR)
        return err_set(e, ERR_USAGE, "--unix is for numbers, not for --unit calendar");
    if (c->model_type && !model_type_find(span_str(c->model_type)))
        return err_set(e, ERR_USAGE, "--model-type '%s' is none that is known",
                       c->model_type);
    return 0;
}

int trc_import_csv_run(int argc, char **argv)
{
    struct calls_config c = {.tier = OP_TIER_ANY};
    struct err e = {0};
    int operands, rc = opt_parse(&trc_import_csv_page, argc, argv, &c, &operands, &e);
    if (rc > 0)
        return EXIT_DONE;
    if (rc == 0)
        rc = check_csv(&c, &e);
    struct imp_out_options how = {.calendar =
                                      c.unit == IMP_UNIT_CALENDAR || c.unix_time};
    return run(&trc_import_csv_page, argv, &c, &how, read_csv, rc, &e);
}

/* --- goreplay --------------------------------------------------------------------- */

static const struct opt gor_opts[] = {CALL_OPTS, {.name = NULL}};
const struct opt_cmd trc_import_goreplay_page = {
    .name = "import goreplay",
    .summary = "files of GoReplay (gor --output-file) as operations",
    .synopsis = "FILE -o TRACE [OPTION]...",
    .about =
        "Reads requests and the answers that they got (--input-raw-track-response), "
        "joined by their id, plain or compressed with gzip (.gz) or zstd, - is "
        "standard input; a payload at a time, of up to 80 MiB, so memory does not grow "
        "with the file. Answers to a replay are left out, and so is what is no whole "
        "HTTP/1.1 message; the summary counts both. A body that holds GoReplay's "
        "separator is read as it was.\n\n" RULES
        " An answer finds its request among the latest 65536.\n\n"
        "Times are ns since 1970, as in the file. Of an answer's end, versions 1.0 to "
        "1.2 tell only what counts from a moment that is not in the file: it is left "
        "out. GoReplay's own ids join, and are not kept; x-request-id is.",
    .opts = gor_opts,
    .examples = "# what was recorded in front of Envoy\n"
                "reprise import goreplay requests_0.gor --tier envoy -o day.trace\n"
                "# the chunks of a day, in order\n"
                "zcat requests_*.gz | reprise import goreplay - -o day.trace\n",
    .min_args = 1,
    .max_args = 1,
};

static int read_gor(struct zin *in, struct calls_config *c, const struct imp_rule *rule,
                    struct imp_out *o, struct err *e)
{
    (void)c;
    return imp_gor_read(in, rule, o, e);
}

int trc_import_goreplay_run(int argc, char **argv)
{
    return run_plain(&trc_import_goreplay_page, argc, argv, read_gor);
}

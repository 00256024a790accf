/*
 * cmd_import_calls.c - `reprise import har`: files that hold calls, with their bodies,
 * become operations as they are.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/cmd_import_calls.h"

#include <inttypes.h>
#include <stdio.h>

#include "traces/base/outfile.h"
#include "traces/base/units.h"
#include "traces/import/imp_har.h"
#include "traces/synth/making.h"

struct calls_config {
    struct outfile out;
    struct opt_strv headers;
    int tier;
    bool keep_query;
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
    {                                                                                  \
        .name = "keep-query", .type = OPT_FLAG, .at = AT(keep_query),                  \
        .help = "keep what stands behind ? in paths"                                   \
    }

#define RULES                                                                          \
    "An operation is an inference: a POST to /v2/models/NAME or /v2/pipelines/NAME "   \
    "and then /infer or /generate, or ModelInfer of gRPC; who is meant say "           \
    "seldon-model and the path. Other calls are left out, and the summary counts "     \
    "them with the first one's place. Headers are denied as in capture, but for "      \
    "accept-encoding, seldon-model and those of --keep-header; credentials are never " \
    "kept. Calls are put in order of time while 65536 of them or 64 MiB are held."

/* --- what they share -------------------------------------------------------------- */

static void tell(uint64_t n, const char *what)
{
    if (n)
        fprintf(stderr, "import: %" PRIu64 " %s\n", n, what);
}

static void summary(const char *out, const struct imp_out_done *d)
{
    char text[UNITS_TEXT_MAX];
    fprintf(stderr,
            "import: %" PRIu64 " operations over %s to '%s', %" PRIu64 " answered\n",
            d->operations, units_duration_text(d->last_ns, text), out, d->answers);
    for (size_t i = 0; i < IMP_LEFT_COUNT; i++)
        if (d->left[i])
            fprintf(stderr, "import: left out: %" PRIu64 " %s (the first: %s)\n",
                    d->left[i], imp_left_texts[i], d->left_first[i]);
    tell(d->headers_denied, "headers denied");
    tell(d->queries_cut, "paths lost their query");
    tell(d->bodies_missing, "bodies are not in the file; their length alone is kept");
    tell(d->bodies_decoded, "answers are kept as they were decoded");
    tell(d->answers_left_out, "answers lack a body that can be kept as it was sent");
    tell(d->bodies_made, "bodies were made, because the file has none");
    tell(d->late, "answers stand behind their operations");
    if (d->steps_back)
        fprintf(stderr,
                "import: %" PRIu64 " came with an earlier time than the one before, by "
                "up to %s; sorted\n",
                d->steps_back, units_duration_text(d->worst_back_ns, text));
}

typedef int read_fn(struct zin *in, const struct calls_config *c,
                    const struct imp_rule *rule, struct imp_out *o, struct err *e);

static int import(const struct calls_config *c, const char *file,
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
        rc = import(c, argv[1], how, read, &done, e);
    }
    opt_strv_done(&c->headers);
    if (rc < 0)
        return opt_fail(page, e);
    if (!c->out.quiet)
        summary(c->out.path, &done);
    return EXIT_DONE;
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

static int read_har(struct zin *in, const struct calls_config *c,
                    const struct imp_rule *rule, struct imp_out *o, struct err *e)
{
    (void)c;
    return imp_har_read(in, rule, o, e);
}

int trc_import_har_run(int argc, char **argv)
{
    struct calls_config c = {.tier = OP_TIER_ANY};
    struct imp_out_options how = {.calendar = true};
    struct err e = {0};
    int operands, rc = opt_parse(&trc_import_har_page, argc, argv, &c, &operands, &e);
    if (rc > 0)
        return EXIT_DONE;
    return run(&trc_import_har_page, argv, &c, &how, read_har, rc, &e);
}

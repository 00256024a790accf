/*
 * cmd_compare.c - `reprise compare A... --vs B...`: do they differ, and how is that
 * known?
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/compare.h"
#include "analysis/output.h"
#include "analysis/reading.h"
#include "analysis/text.h"
#include "commands.h"
#include "traces/base/outfile.h"
#include "traces/base/units.h"

struct config {
    const char *vs; /* for the help alone: find_vs handles it */
    struct opt_strv gates, tolerances;
    double error_margin, alpha;
    int64_t floor_ns, warmup_ns;
    uint64_t seed;
    int inconclusive, not_worse;
    bool json, quiet;
    const char *html, *junit;
};

static const char *const pass_fail[] = {"fail", "pass", NULL};

static const struct opt options[] = {
    {.name = "vs",
     .type = OPT_STR,
     .at = offsetof(struct config, vs),
     .arg = "RUN...",
     .help = "what stands before it is A, the baseline; what follows is B"},
    {.name = "gate",
     .type = OPT_STRV,
     .at = offsetof(struct config, gates),
     .arg = "METRIC:QUANTILE[:MODEL]",
     .help =
         "judge this instead of response:p50, response:p95 and response:p99. METRIC is "
         "response, response_ok, service, ttfb, first_message, message_gap, or errors "
         "(which has no quantile: errors or errors:MODEL); \"default\" stands for the "
         "three. The error rate of all operations is always judged"},
    {.name = "tolerance",
     .type = OPT_STRV,
     .at = offsetof(struct config, tolerances),
     .arg = "QUANTILE=PERCENT",
     .help = "smallest change of a quantile that matters: \"p99=5\". Without it 2 % up "
             "to p90, 3 % up to p99, 10 % beyond"},
    {.name = "floor",
     .type = OPT_DURATION,
     .at = offsetof(struct config, floor_ns),
     .arg = "DURATION",
     .def = "100us",
     .help = "differences below DURATION never matter, nor below twice the generator's "
             "own lateness at p99"},
    {.name = "error-margin",
     .type = OPT_F64,
     .at = offsetof(struct config, error_margin),
     .arg = "POINTS",
     .def = "0.1",
     .help = "smallest change of the error rate that matters, in percentage points"},
    {.name = "alpha",
     .type = OPT_F64,
     .at = offsetof(struct config, alpha),
     .arg = "PERCENT",
     .def = "5",
     .help = "risk of a false alarm over all gates, on each side"},
    {.name = "warmup",
     .type = OPT_DURATION,
     .at = offsetof(struct config, warmup_ns),
     .arg = "DURATION",
     .def = "0",
     .help = "leave out operations due before DURATION, in all runs alike; warm-up and "
             "cool-down that replay noted are left out anyway"},
    {.name = "inconclusive",
     .type = OPT_CHOICE,
     .at = offsetof(struct config, inconclusive),
     .arg = "pass|fail",
     .def = "fail",
     .choices = pass_fail,
     .help = "whether INCONCLUSIVE ends with status 0 or 2"},
    {.name = "not-worse",
     .type = OPT_CHOICE,
     .at = offsetof(struct config, not_worse),
     .arg = "pass|fail",
     .def = "pass",
     .choices = pass_fail,
     .help = "whether NOT WORSE ends with status 0 or 2"},
    {.name = "seed",
     .type = OPT_U64,
     .at = offsetof(struct config, seed),
     .arg = "N",
     .def = "1",
     .help = "of the random sign patterns, used with more than 14 pairs"},
    {.name = "json",
     .type = OPT_FLAG,
     .at = offsetof(struct config, json),
     .help = "print JSON (schema reprise/compare/1)"},
    {.name = "html",
     .type = OPT_STR,
     .at = offsetof(struct config, html),
     .arg = "FILE",
     .help =
         "also write a report that stands alone: no scripts, no requests to anywhere"},
    {.name = "junit",
     .type = OPT_STR,
     .at = offsetof(struct config, junit),
     .arg = "FILE",
     .help = "also write a JUnit file: a case for each gate, REGRESSED is a failure, "
             "INCONCLUSIVE is skipped, INVALID is an error"},
    {.name = "quiet",
     .letter = 'q',
     .type = OPT_FLAG,
     .at = offsetof(struct config, quiet),
     .help = "print one line: VERDICT, gates, pairs, the gate that decided"},
    {.name = NULL},
};

static const struct opt_cmd compare_page = {
    .name = "compare",
    .summary = "decide whether runs of B differ from runs of A, with evidence",
    .synopsis = "A-RUN... --vs B-RUN... [OPTION]...",
    .about =
        "Runs are the replicates, pairs of runs the evidence: one run of A and one of "
        "B, of the same trace, next to each other in time, in random order (`reprise "
        "campaign` makes them). For every gate the log ratio of each pair is tested by "
        "flipping signs, exactly, and adjusted for the number of gates. Five pairs are "
        "the least from which anything can follow, ten a good number.\n"
        "\n"
        "REGRESSED: slower, significantly and by the tolerance or more. IMPROVED: the "
        "opposite. NO CHANGE: any change is smaller than the tolerance, and that is "
        "shown, not assumed. NOT WORSE: a slow-down of the tolerance is excluded. "
        "INCONCLUSIVE: the evidence does not decide; how many more pairs would is "
        "told. INVALID: the measurement says nothing about the target.\n"
        "\n"
        "Files of one side that are shards of one run (replay --shard I/N, and equal "
        "labels arm and pair) are taken as that run; where one is missing, the run is "
        "INVALID.\n"
        "\n"
        "Runs that are INVALID lose their pair. One run against one, and all of A "
        "before all of B, are INCONCLUSIVE whatever the numbers say: time is "
        "confounded with the difference.\n"
        "\n"
        "The exit status is 0 for IMPROVED, NO CHANGE and NOT WORSE, 1 for REGRESSED, "
        "2 for INCONCLUSIVE, 3 for INVALID.",
    .opts = options,
    .examples =
        "# the runs of a campaign\n"
        "reprise compare runs/*-A.run --vs runs/*-B.run\n"
        "# a stricter gate on one model, and a page to look at\n"
        "reprise compare runs/*-A.run --vs runs/*-B.run --gate default "
        "--gate response:p99:iris --tolerance p99=2 --html compare.html\n"
        "# in a pipeline that lets the undecided pass\n"
        "reprise compare runs/*-A.run --vs runs/*-B.run --quiet --inconclusive=pass\n",
    .min_args = 0, /* find_vs says more clearly what is missing */
    .max_args = -1,
};

const struct opt_cmd *const ana_compare_docs[] = {&compare_page, NULL};

/* --vs parts the operands and takes no single value, which option tables cannot say. It
 * is exchanged for this word, which is then known by its address. */
static char vs_mark[] = "vs";

static void mark_vs(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--vs") == 0)
            argv[i] = vs_mark;
}

/* Place of the mark among the operands argv[1..n]. */
static int find_vs(const struct config *config, int n, char **argv, struct err *e)
{
    int at = 0;

    if (config->vs)
        return err_set(e, ERR_USAGE,
                       "write --vs as a word of its own: A.run --vs B.run");
    for (int i = 1; i <= n; i++) {
        if (argv[i] != vs_mark)
            continue;
        if (at > 0)
            return err_set(e, ERR_USAGE, "--vs is given twice");
        at = i;
    }
    if (at == 0)
        return err_set(e, ERR_USAGE, "--vs is missing: runs of A, --vs, runs of B");
    if (at == 1 || at == n)
        return err_set(e, ERR_USAGE, "no run of %s: runs of A, --vs, runs of B",
                       at == 1 ? "A" : "B");
    return at;
}

/* --- gates and tolerances
 * ------------------------------------------------------------- */

/* "p99.9" to billionths. */
static int parse_quantile(struct span text, uint32_t *p, struct err *e)
{
    char number[24];
    double percent;

    if (text.n < 2 || text.n >= sizeof number || text.p[0] != 'p')
        return err_set(e, ERR_USAGE, "'%.*s' is not a quantile such as p50 or p99.9",
                       SPAN_ARG(text));
    snprintf(number, sizeof number, "%.*s", (int)text.n - 1, (const char *)text.p + 1);
    if (units_f64(number, &percent, NULL) < 0 || !(percent > 0 && percent < 100))
        return err_set(e, ERR_USAGE, "'%.*s' is not a quantile between p0 and p100",
                       SPAN_ARG(text));
    *p = ANA_P(percent);
    if (*p == 0 || *p >= ANA_P_ONE)
        return err_set(e, ERR_USAGE, "'%.*s' has more digits than can be told apart",
                       SPAN_ARG(text));
    return 0;
}

static int parse_metric(struct span name, struct ana_gate_spec *g, struct err *e)
{
    if (span_eq_str(name, "errors")) {
        g->errors = true;
        return 0;
    }
    for (int m = ANA_RESPONSE; m < ANA_METRIC_COUNT; m++)
        if (m != ANA_GENERATOR && m != ANA_BACK_PRESSURE &&
            span_eq_str(name, ana_metric_names[m])) {
            g->metric = (enum ana_metric)m;
            return 0;
        }
    return err_set(e, ERR_USAGE,
                   "'%.*s' is not one of: response, response_ok, service, ttfb, "
                   "first_message, message_gap, errors",
                   SPAN_ARG(name));
}

/* METRIC:QUANTILE[:MODEL], errors[:MODEL]. Model names may hold colons. */
static int parse_gate(const char *text, struct ana_gate_spec *g, struct err *e)
{
    struct span whole = span_str(text);
    size_t colon = span_find(whole, ':', 0);
    int rc;

    *g = (struct ana_gate_spec){0};
    rc = parse_metric(span_sub(whole, 0, colon), g, e);
    if (rc < 0)
        return rc;
    if (!g->errors) {
        size_t next = span_find(whole, ':', colon + 1);
        if (colon == whole.n)
            return err_set(e, ERR_USAGE, "a quantile is missing: %s:p99", text);
        rc = parse_quantile(span_sub(whole, colon + 1, next), &g->p, e);
        if (rc < 0)
            return rc;
        colon = next;
    }
    if (colon < whole.n)
        g->model = text + colon + 1;
    if (g->model && !*g->model)
        return err_set(e, ERR_USAGE, "a model is missing after the last ':'");
    return 0;
}

static int parse_gates(const struct opt_strv *v, struct ana_gate_spec *gates, size_t *n,
                       struct err *e)
{
    static const char *const standard[] = {"response:p50", "response:p95",
                                           "response:p99"};

    *n = 0;
    for (size_t i = 0; i < v->n; i++) {
        size_t words = strcmp(v->v[i], "default") == 0 ? 3 : 1;
        if (*n + words > ANA_GATES_MAX)
            return err_set(e, ERR_USAGE, "more than %d gates", ANA_GATES_MAX);
        for (size_t k = 0; k < words; k++) {
            const char *text = words == 3 ? standard[k] : v->v[i];
            int rc = parse_gate(text, &gates[(*n)++], e);
            if (rc < 0)
                return err_note(e, "--gate %s", text);
        }
    }
    return 0;
}

static int parse_tolerances(const struct opt_strv *v, struct ana_tolerance *out,
                            struct err *e)
{
    if (v->n > ANA_GATES_MAX)
        return err_set(e, ERR_USAGE, "more than %d tolerances", ANA_GATES_MAX);
    for (size_t i = 0; i < v->n; i++) {
        struct span whole = span_str(v->v[i]);
        size_t equals = span_find(whole, '=', 0);
        const char *number = v->v[i] + equals + (equals < whole.n);
        double percent;
        int rc = parse_quantile(span_sub(whole, 0, equals), &out[i].p, e);
        if (rc == 0 && (units_f64(number, &percent, NULL) < 0 ||
                        !(percent >= 0 && percent <= 1000)))
            rc = err_set(e, ERR_USAGE, "'%s' is not a percentage", number);
        if (rc < 0)
            return err_note(e, "--tolerance %s", v->v[i]);
        out[i].share = percent / 100;
    }
    return 0;
}

/* --- the command
 * ---------------------------------------------------------------------- */

struct parsed {
    struct ana_compare_config compare;
    struct ana_gate_spec gates[ANA_GATES_MAX];
    struct ana_tolerance tolerances[ANA_GATES_MAX];
};

static int check_numbers(const struct config *config, struct err *e)
{
    if (!(config->alpha > 0 && config->alpha < 50))
        return err_set(e, ERR_USAGE, "--alpha must lie between 0 and 50 percent");
    if (!(config->error_margin >= 0 && config->error_margin <= 100))
        return err_set(e, ERR_USAGE,
                       "--error-margin must lie between 0 and 100 points");
    if (config->floor_ns < 0 || config->warmup_ns < 0)
        return err_set(e, ERR_USAGE, "--floor and --warmup cannot be negative");
    return 0;
}

static int prepare(struct parsed *p, const struct config *config, int operands,
                   char **argv, struct err *e)
{
    int mark = find_vs(config, operands, argv, e), rc;

    if (mark < 0)
        return mark;
    rc = check_numbers(config, e);
    if (rc < 0)
        return rc;
    p->compare = (struct ana_compare_config){
        .a = (const char *const *)(argv + 1),
        .b = (const char *const *)(argv + mark + 1),
        .a_count = (size_t)mark - 1,
        .b_count = (size_t)(operands - mark),
        .gates = p->gates,
        .tolerances = p->tolerances,
        .tolerance_count = config->tolerances.n,
        .error_margin = config->error_margin / 100,
        .floor_ns = config->floor_ns,
        .alpha = config->alpha / 100,
        .warmup_ns = config->warmup_ns,
        .seed = config->seed,
        .charts = config->html != NULL,
        .policy = {config->inconclusive == 1, config->not_worse == 0},
    };
    rc = parse_gates(&config->gates, p->gates, &p->compare.gate_count, e);
    return rc == 0 ? parse_tolerances(&config->tolerances, p->tolerances, e) : rc;
}

static int tell(const struct ana_comparison *c, const struct config *config,
                struct err *e)
{
    struct buf out = {0};
    int rc = 0;

    if (config->html) {
        ana_compare_html(c, &out);
        rc = ana_write_file(config->html, &out, e);
        buf_reset(&out);
    }
    if (rc == 0 && config->junit) {
        ana_compare_junit(c, &out);
        rc = ana_write_file(config->junit, &out, e);
        buf_reset(&out);
    }
    if (rc == 0) {
        if (config->json)
            ana_compare_json(c, &out);
        else if (config->quiet)
            ana_compare_line(c, &out);
        else
            ana_compare_text(c, ana_text_colour(), &out);
        rc = outfile_print(&out, e);
    }
    buf_done(&out);
    return rc;
}

static int compare(struct ana_comparison *c, struct ana_compare_config *config,
                   bool quiet, struct err *e)
{
    struct ana_reading reading;
    ana_reading_init(&reading, quiet);
    ana_reading_expect(&reading, config->a, config->a_count);
    ana_reading_expect(&reading, config->b, config->b_count);
    config->reading = &reading;
    int rc = ana_compare(c, config, e);
    config->reading = c->config.reading = NULL;
    ana_reading_done(&reading);
    return rc;
}

int ana_cmd_compare(int argc, char **argv)
{
    struct config config = {0};
    struct parsed parsed = {0};
    struct ana_comparison c = {0};
    struct err e = {0};
    int operands = 0, status = EXIT_DONE;
    int rc;

    mark_vs(argc, argv);
    rc = opt_parse(&compare_page, argc, argv, &config, &operands, &e);
    if (rc == 0)
        rc = prepare(&parsed, &config, operands, argv, &e);
    if (rc == 0)
        rc = compare(&c, &parsed.compare, config.quiet, &e);
    if (rc == 0) {
        status = (int)c.status;
        rc = tell(&c, &config, &e);
    }
    if (rc < 0)
        status = opt_fail(&compare_page, &e);
    ana_comparison_done(&c);
    opt_strv_done(&config.gates);
    opt_strv_done(&config.tolerances);
    return status;
}

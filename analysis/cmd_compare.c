/*
 * cmd_compare.c - `reprise compare A... --vs B...`: do they differ, and how is that
 * known?
 *
 * SPDX-License-Identifier: Apache-2.0
 */

#include "analysis/compare.h"
#include "analysis/gate_options.h"
#include "analysis/output.h"
#include "analysis/text.h"
#include "commands.h"
#include "traces/base/outfile.h"

struct config {
    struct ana_gate_options gate;
    int inconclusive, not_worse;
    bool json, quiet;
    const char *html, *junit;
};

static const char *const pass_fail[] = {"fail", "pass", NULL};

static const struct opt options[] = {
    ANA_GATE_OPTION_ROWS(struct config, gate),
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
    .min_args = 0, /* ana_gate_options_read says more clearly what is missing */
    .max_args = -1,
};

const struct opt_cmd *const ana_compare_docs[] = {&compare_page, NULL};

static int prepare(struct ana_gate_request *r, const struct config *config,
                   int operands, char **argv, struct err *e)
{
    int rc = ana_gate_options_read(r, &config->gate, operands, argv, e);
    r->compare.charts = config->html != NULL;
    r->compare.policy =
        (struct ana_policy){config->inconclusive == 1, config->not_worse == 0};
    return rc;
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

int ana_cmd_compare(int argc, char **argv)
{
    struct config config = {0};
    struct ana_gate_request request = {0};
    struct ana_comparison c = {0};
    struct err e = {0};
    int operands = 0, status = EXIT_DONE;
    int rc;

    ana_vs_mark(argc, argv);
    rc = opt_parse(&compare_page, argc, argv, &config, &operands, &e);
    if (rc == 0)
        rc = prepare(&request, &config, operands, argv, &e);
    if (rc == 0)
        rc = ana_compare_shown(&c, &request.compare, config.quiet, &e);
    if (rc == 0) {
        status = (int)c.status;
        rc = tell(&c, &config, &e);
    }
    if (rc < 0)
        status = opt_fail(&compare_page, &e);
    ana_comparison_done(&c);
    ana_gate_options_done(&config.gate);
    return status;
}

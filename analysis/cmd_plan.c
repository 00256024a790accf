/*
 * cmd_plan.c - `reprise plan A... --vs B...`: how many pairs for which change?
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>

#include "analysis/gate_options.h"
#include "analysis/planning.h"
#include "commands.h"
#include "traces/base/outfile.h"

struct config {
    struct ana_gate_options gate;
    double detect, error_detect, power;
    bool json, quiet;
};

static const struct opt options[] = {
    {.name = "detect",
     .type = OPT_F64,
     .at = offsetof(struct config, detect),
     .arg = "PERCENT",
     .def = "5",
     .help =
         "the slow-down of a quantile that is to be called REGRESSED; it must exceed "
         "the tolerance"},
    {.name = "error-detect",
     .type = OPT_F64,
     .at = offsetof(struct config, error_detect),
     .arg = "POINTS",
     .def = "0.2",
     .help = "the same for error rates, in percentage points; it must exceed the error "
             "margin"},
    {.name = "power",
     .type = OPT_F64,
     .at = offsetof(struct config, power),
     .arg = "PERCENT",
     .def = "80",
     .help = "how often such a change is to be found, and its absence shown"},
    ANA_GATE_OPTION_ROWS(struct config, gate),
    {.name = "json",
     .type = OPT_FLAG,
     .at = offsetof(struct config, json),
     .help = "print JSON (schema reprise/plan/1); effects are log ratios, for errors "
             "differences of rates"},
    {.name = "quiet",
     .letter = 'q',
     .type = OPT_FLAG,
     .at = offsetof(struct config, quiet),
     .help = "do not show how far the reading is"},
    {.name = NULL},
};

static const struct opt_cmd plan_page = {
    .name = "plan",
    .summary = "tell how many pairs of runs a comparison needs, from pairs already run",
    .synopsis = "A-RUN... --vs B-RUN... [OPTION]...",
    .about =
        "How many pairs a verdict takes follows from how far pairs of runs spread, "
        "which is a property of the cluster, the trace and the time of day. Run a "
        "small "
        "campaign once, best with the same version in both arms, and plan from it.\n"
        "\n"
        "For each gate: the spread of pairs, the pairs needed to call a slow-down of "
        "--detect REGRESSED, and those needed to pass (NOT WORSE or better) where "
        "nothing changed. In brackets the same for the upper 80 % limit of the spread, "
        "which few pairs leave far above. Then what other numbers of pairs would "
        "detect, and the time that they take.\n"
        "\n"
        "At least four valid pairs are needed, ten make a good plan. The numbers are "
        "plans under a normal model with the spread that was seen, not promises.\n"
        "\n"
        "The exit status is 2 where nothing can be planned from the runs, and 3 where "
        "they are INVALID.",
    .opts = options,
    .examples = "# a campaign of a version against itself, then the plan\n"
                "reprise campaign same.json -o calibration\n"
                "reprise plan calibration/*-A.run --vs calibration/*-B.run\n"
                "# what a change of 3 % at p99 of one model would take\n"
                "reprise plan calibration/*-A.run --vs calibration/*-B.run "
                "--gate response:p99:iris --tolerance p99=2 --detect 3\n",
    .min_args = 0, /* ana_gate_options_read says more clearly what is missing */
    .max_args = -1,
};

const struct opt_cmd *const ana_plan_docs[] = {&plan_page, NULL};

static int check(const struct config *config, struct err *e)
{
    if (!(config->detect > 0 && config->detect <= 1000))
        return err_set(e, ERR_USAGE, "--detect must lie between 0 and 1000 percent");
    if (!(config->error_detect > 0 && config->error_detect <= 100))
        return err_set(e, ERR_USAGE,
                       "--error-detect must lie between 0 and 100 points");
    if (!(config->power >= 50 && config->power < 100))
        return err_set(e, ERR_USAGE, "--power must lie between 50 and 100 percent");
    return 0;
}

static int tell(const struct ana_plan *plan, bool json, struct err *e)
{
    struct buf out = {0};

    if (json)
        ana_plan_json(plan, &out);
    else
        ana_plan_text(plan, &out);
    int rc = outfile_print(&out, e);
    buf_done(&out);
    return rc;
}

static int status_of(const struct ana_plan *plan)
{
    if (plan->comparison->invalid)
        return EXIT_INVALID;
    return plan->cannot || !plan->decides ? EXIT_INCONCLUSIVE : EXIT_DONE;
}

int ana_cmd_plan(int argc, char **argv)
{
    struct config config = {0};
    struct ana_gate_request request = {0};
    struct ana_comparison c = {0};
    struct ana_plan plan = {0};
    struct err e = {0};
    int operands = 0, status = EXIT_DONE;
    int rc;

    ana_vs_mark(argc, argv);
    rc = opt_parse(&plan_page, argc, argv, &config, &operands, &e);
    if (rc == 0)
        rc = check(&config, &e);
    if (rc == 0)
        rc = ana_gate_options_read(&request, &config.gate, operands, argv, &e);
    if (rc == 0)
        rc = ana_compare_shown(&c, &request.compare, config.quiet, &e);
    if (rc == 0)
        rc = ana_plan_make(&plan, &c, log1p(config.detect / 100),
                           config.error_detect / 100, config.power / 100, &e);
    if (rc == 0) {
        status = status_of(&plan);
        rc = tell(&plan, config.json, &e);
    }
    if (rc < 0)
        status = opt_fail(&plan_page, &e);
    ana_comparison_done(&c);
    ana_gate_options_done(&config.gate);
    return status;
}

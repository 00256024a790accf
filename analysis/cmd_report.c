/*
 * cmd_report.c - `reprise report RUN`: one run, told.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <string.h>

#include "analysis/output.h"
#include "analysis/reading.h"
#include "analysis/report.h"
#include "analysis/run_health.h"
#include "analysis/scan.h"
#include "analysis/text.h"
#include "commands.h"
#include "traces/base/outfile.h"
#include "traces/tool/trc_legs.h"

struct config {
    bool json;
    const char *html;
    int64_t warmup_ns;
};

static const struct opt options[] = {
    {.name = "json",
     .type = OPT_FLAG,
     .at = offsetof(struct config, json),
     .help = "print JSON (schema reprise/report/1): times are whole nanoseconds, null "
             "is not estimable, \"inf\" is a quantile that falls among failures"},
    {.name = "html",
     .type = OPT_STR,
     .at = offsetof(struct config, html),
     .arg = "FILE",
     .help =
         "also write a report that stands alone: no scripts, no requests to anywhere"},
    {.name = "warmup",
     .type = OPT_DURATION,
     .at = offsetof(struct config, warmup_ns),
     .arg = "DURATION",
     .def = "0",
     .help = "leave out operations that were due before DURATION; how many is told. "
             "Warm-up and cool-down that replay noted are left out anyway"},
    {.name = NULL},
};

static const struct opt_cmd report_page = {
    .name = "report",
    .summary = "tell what happened in one run",
    .synopsis = "(RUN [SHARD...] | TRACE) [OPTION]...",
    .about = "Reads a run and prints what was due and what became of it, exact "
             "quantiles of response time (from due), service time (from sent), first "
             "byte, and of lateness split into the generator's own and the target's, "
             "errors by class, and whether the run may be believed.\n"
             "\n"
             "Response time counts every operation that was due; one that failed, was "
             "dropped or refused counts as infinitely slow. A quantile is an observed "
             "value, of rank ceil(p * n), and is shown only with 10 observations "
             "beyond it.\n"
             "\n"
             "Several files are taken as one run if they are its shards (replay "
             "--shard I/N): outcomes are put together, totals added, and the run is as "
             "healthy as the worst of them; INVALID, if a shard is missing.\n"
             "\n"
             "Of a captured trace it tells where the time of its calls goes: the "
             "latency of each tier that they went through, and how much of it is the "
             "tier's own (`reprise trace legs`, in JSON schema reprise/trace-legs/1).\n"
             "\n"
             "The exit status is 0, or 3 when the run is INVALID: it was interrupted, "
             "its file ends early or is damaged, or the generator disturbed it. What "
             "is there is printed all the same.",
    .opts = options,
    .examples = "# for people\n"
                "reprise report a.run\n"
                "# for scripts: p99 in nanoseconds\n"
                "reprise report a.run --json | jq '.latency_ns.response.p99'\n"
                "# where the time of captured calls goes\n"
                "reprise report day.trace\n"
                "# as a page, without the first ten seconds\n"
                "reprise report a.run --warmup 10s --html a.html\n"
                "# what three machines measured together\n"
                "reprise report a-1.run a-2.run a-3.run\n",
    .min_args = 1,
    .max_args = -1,
};

const struct opt_cmd *const ana_report_docs[] = {&report_page, NULL};

/* Whether path is a trace; what cannot be opened is for the report to complain about. A
 * pipe can be read but once, so it is taken for a run. */
static bool is_trace(const char *path)
{
    struct trc_reader *r;
    if (strcmp(path, "-") == 0 || trc_reader_open(&r, path, NULL) < 0)
        return false;
    bool trace = trc_reader_info(r)->kind == TRC_TRACE;
    trc_reader_close(r);
    return trace;
}

/* A captured trace: the latency of its calls, taken apart by tier. */
static int report_trace(const struct config *config, const char *path, size_t n,
                        struct err *e)
{
    struct buf out = {0};
    int rc = 0;
    if (n > 1)
        rc = err_set(e, ERR_USAGE, "'%s' is a trace: it is reported on its own", path);
    else if (config->html || config->warmup_ns)
        rc = err_set(e, ERR_USAGE, "'%s' is a trace: --html and --warmup are for runs",
                     path);
    if (rc == 0)
        rc = trc_legs_tell(path, config->json, &out, e);
    if (rc == 0)
        rc = outfile_print(&out, e);
    buf_done(&out);
    return rc;
}

static int report(const struct config *config, const char *const *paths, size_t n,
                  struct ana_run *run, struct err *e)
{
    struct ana_reading reading;
    struct ana_scan_config scan = {.warmup_ns = config->warmup_ns,
                                   .charts = config->html != NULL,
                                   .reading = &reading};
    struct buf out = {0};

    ana_reading_init(&reading, false);
    ana_reading_expect(&reading, paths, n);
    int rc = ana_scan_shards(run, paths, n, &scan, e);
    ana_reading_done(&reading);
    if (rc == 0)
        rc = ana_health_judge(run, e);
    if (rc == 0 && config->html) {
        ana_report_html(run, &out);
        rc = ana_write_file(config->html, &out, e);
        buf_reset(&out);
    }
    if (rc == 0) {
        if (config->json)
            ana_report_json(run, &out);
        else
            ana_report_text(run, ana_text_colour(), &out);
        rc = outfile_print(&out, e);
    }
    buf_done(&out);
    return rc;
}

int ana_cmd_report(int argc, char **argv)
{
    struct config config = {0};
    struct ana_run run = {0};
    struct err e = {0};
    int operands = 0, status = EXIT_DONE;
    int rc = opt_parse(&report_page, argc, argv, &config, &operands, &e);

    if (rc == 1)
        return EXIT_DONE;
    if (rc == 0 && is_trace(argv[1]))
        rc = report_trace(&config, argv[1], (size_t)operands, &e);
    else if (rc == 0)
        rc = report(&config, (const char *const *)(argv + 1), (size_t)operands, &run,
                    &e);
    if (rc < 0)
        status = opt_fail(&report_page, &e);
    else if (run.health == ANA_UNFIT)
        status = EXIT_INVALID;
    ana_run_done(&run);
    return status;
}

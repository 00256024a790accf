/*
 * cmd_campaign.c - `reprise campaign PLAN`: interleaved runs, then the comparison.
 *
 * Every run is a `reprise replay` of its own process, and the verdict comes from
 * `reprise compare`: this command only decides the order, keeps count of what was
 * valid, and starts the others. So what a campaign does can be done by hand, and a
 * crash of one run does not take the campaign with it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "commands.h"
#include "replay/campaign.h"
#include "replay/process.h"
#include "traces/base/buf.h"
#include "traces/container/trc_reader.h"

struct config {
    const char *out_dir;
    bool quiet, dry_run;
};

static const struct opt options[] = {
    {"out", 'o', OPT_STR, offsetof(struct config, out_dir), "DIR", "campaign",
     "Folder for the runs and the reports; made if it is not there, refused if it "
     "holds runs already",
     NULL, NULL},
    {"dry-run", 'n', OPT_FLAG, offsetof(struct config, dry_run), NULL, NULL,
     "Print the commands in the order in which they would run, and run nothing", NULL,
     NULL},
    {"quiet", 'q', OPT_FLAG, offsetof(struct config, quiet), NULL, NULL,
     "Print the verdict and nothing else", NULL, NULL},
    {NULL, 0, OPT_FLAG, 0, NULL, NULL, NULL, NULL, NULL},
};

static const struct opt_cmd campaign_doc = {
    .name = "campaign",
    .summary =
        "run interleaved pairs of replays against two or more targets, then compare",
    .synopsis = "PLAN -o DIR [OPTION]...",
    .about = "Replays one trace against every arm of a plan, pair after pair, in a "
             "random order inside each pair that the plan's seed decides, and hands "
             "the runs to `reprise compare`. The first arm is the baseline. A pair "
             "with an INVALID run is kept on disk, named by the comparison, and "
             "replaced by a spare pair while there are any.\n"
             "\n"
             "A plan is a JSON object with these keys: trace (a file); arms (a list of "
             "objects with name, optional version, and replay: the options of `reprise "
             "replay` that are this arm's alone); pairs (10); spares (2); seed (1); "
             "pause between runs (\"0\"); replay (options that all runs share); gates "
             "(as in `reprise compare --gate`); before_run (a command to run before "
             "each run, as a list of words, without a shell). Unknown keys are "
             "refused. The hash of the plan and of its trace goes into every run.\n"
             "\n"
             "The folder then holds NNN-ARM.run for every run, and compare.txt, "
             "compare.json and compare.html (with more than two arms: compare-ARM.* "
             "for each of them against the baseline). The exit status is that of the "
             "comparison, the worst of several.",
    .opts = options,
    .examples = "# ten pairs, as written in plan.json\n"
                "reprise campaign plan.json -o results\n"
                "# what a plan looks like\n"
                "{\"trace\": \"mixed.trace\", \"pairs\": 10,\n"
                " \"arms\": [{\"name\": \"A\", \"version\": \"2.9.1\",\n"
                "           \"replay\": [\"--tier\", \"envoy\", \"--http\", "
                "\"http://127.0.0.1:9000\"]},\n"
                "          {\"name\": \"B\", \"version\": \"2.10.2\",\n"
                "           \"replay\": [\"--tier\", \"envoy\", \"--http\", "
                "\"http://127.0.0.1:9100\"]}]}\n",
    .min_args = 1,
    .max_args = 1,
};

const struct opt_cmd *const rep_campaign_docs[] = {&campaign_doc, NULL};

static volatile sig_atomic_t stopped;

static void argv_list(struct rep_argv *a, const struct rep_args *words)
{
    for (size_t i = 0; i < words->n; i++)
        rep_argv_add(a, words->v[i]);
}

/* --- one campaign ----------------------------------------------------------------- */

struct campaign {
    const struct config *config;
    struct rep_campaign plan;
    char self[4096];
    uint64_t pairs_run, pairs_valid;
    int failed_status; /* of the run that ended the campaign; it becomes ours */
};

static void run_path(const struct campaign *c, uint64_t pair, size_t arm, char *out,
                     size_t size)
{
    snprintf(out, size, "%s/%03" PRIu64 "-%s.run", c->config->out_dir, pair + 1,
             c->plan.arms[arm].name);
}

static void replay_command(const struct campaign *c, uint64_t pair, size_t arm,
                           size_t place, struct rep_argv *a)
{
    const struct rep_arm *r = &c->plan.arms[arm];
    char path[4096];

    run_path(c, pair, arm, path, sizeof path);
    rep_argv_add(a, c->self);
    rep_argv_add(a, "replay");
    rep_argv_add(a, c->plan.trace);
    argv_list(a, &c->plan.replay);
    argv_list(a, &r->replay);
    rep_argv_fmt(a, "--label=arm=%s", r->name);
    rep_argv_fmt(a, "--label=pair=%" PRIu64, pair + 1);
    rep_argv_fmt(a, "--label=order=%zu", place + 1);
    rep_argv_fmt(a, "--label=plan=%s", c->plan.hash);
    if (r->version)
        rep_argv_fmt(a, "--label=version=%s", r->version);
    rep_argv_add(a, "--quiet");
    rep_argv_fmt(a, "--output=%s", path);
}

/* The health that the run claims for itself; "INVALID" when the file cannot say. */
static void read_health(const char *path, char *out, size_t size)
{
    struct trc_reader *r = NULL;
    const char *verdict = NULL;

    if (trc_reader_open(&r, path, NULL) == 0 && trc_reader_info(r)->complete)
        verdict = trc_reader_note(r, "health.verdict");
    snprintf(out, size, "%s", verdict ? verdict : "INVALID");
    trc_reader_close(r);
}

/* One run of one arm. 1: valid, 0: INVALID, or an error that ends the campaign. */
static int run_arm(struct campaign *c, uint64_t pair, size_t arm, size_t place,
                   struct err *e)
{
    struct rep_argv a = {0};
    char path[4096], health[32];
    int status;

    if (c->plan.before_run.n > 0) {
        argv_list(&a, &c->plan.before_run);
        status = rep_process_run(&a, NULL, e);
        rep_argv_done(&a);
        if (status < 0)
            return status;
        if (status > 0)
            return err_set(e, ERR_PEER, "before_run ended with exit status %d", status);
    }
    replay_command(c, pair, arm, place, &a);
    status = rep_process_run(&a, "/dev/null", e);
    rep_argv_done(&a);
    if (status < 0)
        return status;
    if (stopped || status == EXIT_INTERRUPTED)
        return err_set(e, ERR_STOPPED, "interrupted");
    if (status != EXIT_DONE && status != EXIT_INVALID) {
        /* What failed now fails in the next runs too: no verdict can come of this. */
        c->failed_status = status;
        return err_set(e, ERR_PEER, "the run of arm '%s' ended with exit status %d",
                       c->plan.arms[arm].name, status);
    }
    run_path(c, pair, arm, path, sizeof path);
    read_health(path, health, sizeof health);
    if (!c->config->quiet)
        fprintf(stderr, "campaign: pair %" PRIu64 ", arm %s: %s\n", pair + 1,
                c->plan.arms[arm].name, health);
    return strcmp(health, "INVALID") != 0;
}

static int run_pairs(struct campaign *c, struct err *e)
{
    const struct rep_campaign *plan = &c->plan;
    size_t order[REP_ARMS_MAX];

    while (c->pairs_valid < plan->pairs && c->pairs_run < plan->pairs + plan->spares) {
        bool valid = true;
        rep_campaign_order(plan, c->pairs_run, order);
        for (size_t place = 0; place < plan->arm_count; place++) {
            if (plan->pause_ns > 0 && (place > 0 || c->pairs_run > 0))
                rep_process_nap(plan->pause_ns, &stopped);
            int rc = run_arm(c, c->pairs_run, order[place], place, e);
            if (rc < 0)
                return rc;
            valid = valid && rc == 1;
        }
        c->pairs_run++;
        c->pairs_valid += valid;
    }
    return 0;
}

static void print_plan(const struct campaign *c)
{
    size_t order[REP_ARMS_MAX];

    for (uint64_t pair = 0; pair < c->plan.pairs; pair++) {
        rep_campaign_order(&c->plan, pair, order);
        for (size_t place = 0; place < c->plan.arm_count; place++) {
            struct rep_argv a = {0};
            replay_command(c, pair, order[place], place, &a);
            rep_argv_print(&a);
            rep_argv_done(&a);
        }
    }
}

/* --- the comparison --------------------------------------------------------------- */

static void compare_command(const struct campaign *c, size_t arm, struct rep_argv *a)
{
    char path[4096];

    rep_argv_add(a, c->self);
    rep_argv_add(a, "compare");
    for (size_t i = 0; i < c->plan.gates.n; i++)
        rep_argv_fmt(a, "--gate=%s", c->plan.gates.v[i]);
    for (size_t side = 0; side < 2; side++) {
        if (side == 1)
            rep_argv_add(a, "--vs");
        for (uint64_t pair = 0; pair < c->pairs_run; pair++) {
            run_path(c, pair, side ? arm : 0, path, sizeof path);
            rep_argv_fmt(a, "%s", path);
        }
    }
}

/* Compares one arm with the baseline, thrice: JSON and HTML into files, text to both.
 */
static int compare_arm(const struct campaign *c, size_t arm, struct err *e)
{
    struct rep_argv a = {0};
    char stem[4096], path[4112];
    int status;

    if (c->plan.arm_count == 2)
        snprintf(stem, sizeof stem, "%s/compare", c->config->out_dir);
    else
        snprintf(stem, sizeof stem, "%s/compare-%s", c->config->out_dir,
                 c->plan.arms[arm].name);
    compare_command(c, arm, &a);
    rep_argv_add(&a, "--json");
    rep_argv_fmt(&a, "--html=%s.html", stem);
    snprintf(path, sizeof path, "%s.json", stem);
    status = rep_process_run(&a, path, e);
    rep_argv_done(&a);
    if (status < 0)
        return status;

    compare_command(c, arm, &a);
    if (c->config->quiet)
        rep_argv_add(&a, "--quiet");
    snprintf(path, sizeof path, "%s.txt", stem);
    status = rep_process_run(&a, path, e);
    rep_argv_done(&a);
    if (status < 0)
        return status;

    struct buf text = {0};
    if (buf_read_file(&text, path, 1u << 20, NULL) == 0)
        fwrite(text.p, 1, text.n, stdout);
    buf_done(&text);
    return status;
}

/* REGRESSED outranks INVALID outranks INCONCLUSIVE; any other failure outranks them
 * all. */
static int worse(int a, int b)
{
    static const int rank[] = {EXIT_DONE, EXIT_INCONCLUSIVE, EXIT_INVALID,
                               EXIT_REGRESSED};
    int ra = 99, rb = 99;
    for (int i = 0; i < 4; i++) {
        if (a == rank[i])
            ra = i;
        if (b == rank[i])
            rb = i;
    }
    return rb > ra ? b : a;
}

static int compare_all(const struct campaign *c, struct err *e)
{
    int worst = EXIT_DONE;
    for (size_t arm = 1; arm < c->plan.arm_count; arm++) {
        int status = compare_arm(c, arm, e);
        if (status < 0)
            return status;
        worst = worse(worst, status);
    }
    return worst;
}

/* --- the command ------------------------------------------------------------------ */

static int prepare_folder(const struct campaign *c, struct err *e)
{
    const char *dir = c->config->out_dir;
    char path[4096];

    if (mkdir(dir, 0777) < 0 && errno != EEXIST)
        return err_sys(e, errno, "cannot make folder '%s'", dir);
    for (size_t arm = 0; arm < c->plan.arm_count; arm++) {
        run_path(c, 0, arm, path, sizeof path);
        if (access(path, F_OK) == 0)
            return err_set(e, ERR_USAGE,
                           "folder '%s' holds runs already; choose another", dir);
    }
    return 0;
}

static int campaign_run(struct campaign *c, struct err *e)
{
    int rc = rep_self(c->self, sizeof c->self, e);

    if (rc < 0)
        return rc;
    if (c->config->dry_run) {
        print_plan(c);
        return EXIT_DONE;
    }
    rc = prepare_folder(c, e);
    if (rc < 0)
        return rc;
    rep_process_watch(&stopped);
    rc = run_pairs(c, e);
    if (rc < 0)
        return rc;
    return compare_all(c, e);
}

int rep_cmd_campaign(int argc, char **argv)
{
    struct config config = {0};
    struct campaign c = {.config = &config};
    struct err e = {0};
    int operands = 0;
    int rc = opt_parse(&campaign_doc, argc, argv, &config, &operands, &e);

    if (rc == 1)
        return EXIT_DONE;
    if (rc == 0)
        rc = rep_campaign_load(&c.plan, argv[1], &e);
    if (rc == 0)
        rc = campaign_run(&c, &e);
    rep_campaign_done(&c.plan);
    if (rc < 0) {
        int status = opt_fail(&campaign_doc, &e);
        return c.failed_status ? c.failed_status : status;
    }
    return rc;
}

/*
 * cmd_search.c - `reprise search TRACE`: the highest rate within a limit.
 *
 * Each probe is a `reprise replay` of the whole trace at another speed, and what it
 * says comes from `reprise report`: this command only decides the next speed.
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
#include "replay/process.h"
#include "replay/search_probe.h"
#include "traces/base/buf.h"
#include "traces/base/clk.h"
#include "traces/base/jsonw.h"
#include "traces/base/units.h"

#define REPORT_BYTES_MAX (64u << 20)
#define PATH_BYTES       4096

struct config {
    const char *out_dir;
    struct opt_strv limits;
    double from, to, start, error;
    uint64_t probes;
    int64_t duration_ns, pause_ns;
    bool json, quiet;
};

#define FIELD(name) offsetof(struct config, name)

static const struct opt options[] = {
    {.name = "limit",
     .type = OPT_STRV,
     .at = FIELD(limits),
     .arg = "LIMIT",
     .help =
         "what must hold: p99<50ms (response, from due; failures count as infinite), "
         "service:p99.9<1s, ttfb:p50<20ms, or errors<1%. May be given again: all must "
         "hold"},
    {.name = "out",
     .letter = 'o',
     .type = OPT_STR,
     .at = FIELD(out_dir),
     .arg = "DIR",
     .def = "search",
     .help =
         "folder for the runs of the probes; made if it is not there, refused if it "
         "holds some already"},
    {.name = "start",
     .type = OPT_F64,
     .at = FIELD(start),
     .arg = "X",
     .def = "1",
     .help = "speed of the first probe"},
    {.name = "from",
     .type = OPT_F64,
     .at = FIELD(from),
     .arg = "X",
     .def = "0.01",
     .help = "least speed"},
    {.name = "to",
     .type = OPT_F64,
     .at = FIELD(to),
     .arg = "X",
     .def = "1000",
     .help = "greatest speed"},
    {.name = "error",
     .type = OPT_F64,
     .at = FIELD(error),
     .arg = "PERCENT",
     .def = "5",
     .help = "how far apart the highest rate within the limit and the lowest beyond it "
             "may be at the end"},
    {.name = "probes",
     .type = OPT_U64,
     .at = FIELD(probes),
     .arg = "N",
     .def = "12",
     .help = "probes at most, repeated ones included"},
    {.name = "probe-duration",
     .type = OPT_DURATION,
     .at = FIELD(duration_ns),
     .arg = "D",
     .help =
         "let each probe end after D (replay --duration); without it each sends the "
         "whole trace, in less time the faster it is"},
    {.name = "pause",
     .type = OPT_DURATION,
     .at = FIELD(pause_ns),
     .arg = "D",
     .def = "0",
     .help = "wait between probes, for what is queued at the target to drain"},
    {.name = "json",
     .type = OPT_FLAG,
     .at = FIELD(json),
     .help = "print the result as JSON (schema reprise/search/1)"},
    {.name = "quiet",
     .letter = 'q',
     .type = OPT_FLAG,
     .at = FIELD(quiet),
     .help = "no line for each probe"},
    {.name = NULL},
};

static const struct opt_cmd search_doc = {
    .name = "search",
    .summary = "find the highest rate at which a target keeps within a limit",
    .synopsis = "TRACE --limit LIMIT [OPTION]... -- REPLAY-OPTION...",
    .about =
        "Replays one trace faster and slower (replay --speed) until the highest rate "
        "within the limit and the lowest beyond it are at most --error apart, then "
        "asks once more at the lower one. What stands behind -- goes to every replay: "
        "tier, addresses, connections and the like, but neither --speed nor "
        "--duration.\n"
        "\n"
        "Each probe is judged by its health first: one that is INVALID (the generator "
        "was late or could not keep the rate), or too short for the quantile asked "
        "for, says nothing. It is repeated; a second one ends the search with its "
        "reason, because then it is not the target that was measured. The runs stay in "
        "the folder as probe-NN.run.\n"
        "\n"
        "A probe has to last: an overload shows as a queue that grows with time, a "
        "rate e above capacity lets responses wait e x duration. For 5 % and a limit "
        "of "
        "50 ms a few seconds suffice; see also --probe-duration.\n"
        "\n"
        "Exit status: 0 found; 2 the limit holds up to --to, or not even at --from, or "
        "the probes ran out; 3 probes that say nothing.",
    .opts = options,
    .examples =
        "# what envoy takes at p99 below 50 ms and less than 0.1 % errors\n"
        "reprise search day.trace --limit 'p99<50ms' --limit 'errors<0.1%' -o knee -- "
        "--tier envoy --http http://127.0.0.1:9000\n"
        "# probes of ten seconds of a long trace, as JSON\n"
        "reprise search day.trace --limit 'p95<20ms' --probe-duration 10s --json -- "
        "--tier server --http 127.0.0.1:9001 --workers 2\n",
    .min_args = 1,
    .max_args = -1,
};

const struct opt_cmd *const rep_search_docs[] = {&search_doc, NULL};

static volatile sig_atomic_t stopped;

struct probe {
    double speed;
    struct rep_probe_facts facts;
};

struct search {
    const struct config *config;
    const char *trace;
    char **replay; /* options for every replay */
    int replay_count;
    char self[PATH_BYTES];
    struct rep_limit limits[REP_LIMITS_MAX];
    struct rep_search s;
    struct probe probes[REP_PROBES_MAX];
    unsigned count;
    int failed_status; /* of a process that ended the search */
};

/* --- one probe -------------------------------------------------------------------- */

static void run_path(const struct search *x, unsigned i, const char *ending, char *out)
{
    snprintf(out, PATH_BYTES, "%s/probe-%02u.%s", x->config->out_dir, i + 1, ending);
}

static int replay(struct search *x, double speed, const char *run, struct err *e)
{
    struct rep_argv a = {0};

    rep_argv_add(&a, x->self);
    rep_argv_add(&a, "replay");
    rep_argv_add(&a, x->trace);
    for (int i = 0; i < x->replay_count; i++)
        rep_argv_add(&a, x->replay[i]);
    rep_argv_fmt(&a, "--speed=%.6f", speed);
    if (x->config->duration_ns > 0)
        rep_argv_fmt(&a, "--duration=%" PRId64 "ns", x->config->duration_ns);
    rep_argv_add(&a, "--quiet");
    rep_argv_add(&a, "--invalid=pass");
    rep_argv_fmt(&a, "--output=%s", run);
    int status = rep_process_run(&a, "/dev/null", e);
    rep_argv_done(&a);
    if (status < 0)
        return status;
    if (stopped || status == EXIT_INTERRUPTED)
        return err_set(e, ERR_STOPPED, "interrupted");
    if (status == EXIT_DONE || status == EXIT_INVALID)
        return 0;
    x->failed_status = status;
    return err_set(e, ERR_PEER, "the replay at speed %.6f ended with exit status %d",
                   speed, status);
}

static int report(struct search *x, const char *run, const char *path, struct err *e)
{
    struct rep_argv a = {0};

    rep_argv_add(&a, x->self);
    rep_argv_add(&a, "report");
    rep_argv_add(&a, run);
    rep_argv_add(&a, "--json");
    int status = rep_process_run(&a, path, e);
    rep_argv_done(&a);
    if (status < 0 || status == EXIT_DONE || status == EXIT_INVALID)
        return status < 0 ? status : 0;
    x->failed_status = status;
    return err_set(e, ERR_PEER, "the report of '%s' ended with exit status %d", run,
                   status);
}

static void say(const struct search *x, const struct probe *p)
{
    const struct rep_probe_facts *f = &p->facts;
    char rate[UNITS_TEXT_MAX];

    fprintf(stderr, "search: probe %u, speed %.4g, %s: %s", x->count, p->speed,
            units_rate_text(f->offered, rate), rep_probe_names[f->said]);
    for (size_t i = 0; i < x->config->limits.n; i++) {
        char value[UNITS_TEXT_MAX];
        if (!f->values[i].known)
            continue;
        if (x->limits[i].errors)
            snprintf(value, sizeof value, "%.3g %%", 100 * f->values[i].share);
        else if (f->values[i].infinite)
            snprintf(value, sizeof value, "inf");
        else
            units_duration_text(f->values[i].ns, value);
        fprintf(stderr, " (%s: %s)", x->limits[i].text, value);
    }
    fprintf(stderr, "%s%s\n", *f->reason ? ": " : "", f->reason);
}

static int probe(struct search *x, double speed, struct err *e)
{
    char run[PATH_BYTES], path[PATH_BYTES];
    struct probe *p = &x->probes[x->count];
    struct buf json = {0};

    if (x->count > 0 && x->config->pause_ns > 0)
        rep_process_nap(x->config->pause_ns, &stopped);
    run_path(x, x->count, "run", run);
    run_path(x, x->count, "json", path);
    p->speed = speed;
    int rc = replay(x, speed, run, e);
    if (rc == 0)
        rc = report(x, run, path, e);
    if (rc == 0)
        rc = buf_read_file(&json, path, REPORT_BYTES_MAX, e);
    if (rc >= 0)
        rc = rep_probe_judge(&p->facts, buf_view(&json), x->limits, x->config->limits.n,
                             e);
    buf_done(&json);
    if (rc < 0)
        return rc;
    x->count++;
    rep_search_tell(&x->s, p->facts.said);
    if (!x->config->quiet)
        say(x, p);
    return 0;
}

/* --- results ---------------------------------------------------------------------- */

/* The last probe at that speed that said something. */
static const struct probe *probe_at(const struct search *x, double speed)
{
    const struct probe *found = NULL;
    for (unsigned i = 0; i < x->count; i++)
        if (x->probes[i].speed == speed && x->probes[i].facts.said != REP_PROBE_NOTHING)
            found = &x->probes[i];
    return found;
}

static const char *reason(const struct search *x)
{
    return x->count > 0 ? x->probes[x->count - 1].facts.reason : "";
}

static void put_side(struct jsonw *w, const char *key, const struct probe *p)
{
    jsonw_key(w, key);
    if (!p) {
        jsonw_null(w);
        return;
    }
    jsonw_object(w);
    jsonw_key_f64(w, "speed", p->speed);
    jsonw_key_f64(w, "rate", p->facts.offered);
    jsonw_end(w);
}

static void put_probe(struct jsonw *w, const struct search *x, unsigned i)
{
    const struct probe *p = &x->probes[i];
    char run[PATH_BYTES];

    run_path(x, i, "run", run);
    jsonw_object(w);
    jsonw_key_f64(w, "speed", p->speed);
    jsonw_key_f64(w, "rate", p->facts.offered);
    jsonw_key_f64(w, "achieved", p->facts.achieved);
    jsonw_key_str(w, "said", rep_probe_names[p->facts.said]);
    jsonw_key_str(w, "health", p->facts.health);
    jsonw_key_str(w, "reason", *p->facts.reason ? p->facts.reason : NULL);
    jsonw_key(w, "values");
    jsonw_array(w);
    for (size_t k = 0; k < x->config->limits.n; k++) {
        if (!p->facts.values[k].known)
            jsonw_null(w);
        else if (x->limits[k].errors)
            jsonw_f64(w, p->facts.values[k].share);
        else if (p->facts.values[k].infinite)
            jsonw_str(w, "inf");
        else
            jsonw_i64(w, p->facts.values[k].ns);
    }
    jsonw_end(w);
    jsonw_key_str(w, "run", run);
    jsonw_end(w);
}

static void print_json(const struct search *x)
{
    struct buf out = {0};
    struct jsonw w = {.out = &out, .pretty = true};
    bool bad = x->s.end == REP_SEARCH_NOTHING;

    jsonw_object(&w);
    jsonw_key_str(&w, "schema", "reprise/search/1");
    jsonw_key_str(&w, "trace", x->trace);
    jsonw_key(&w, "limits");
    jsonw_array(&w);
    for (size_t i = 0; i < x->config->limits.n; i++)
        jsonw_str(&w, x->limits[i].text);
    jsonw_end(&w);
    jsonw_key_str(&w, "outcome", rep_search_end_names[x->s.end]);
    jsonw_key_str(&w, "reason", bad ? reason(x) : NULL);
    put_side(&w, "within", x->s.low > 0 ? probe_at(x, x->s.low) : NULL);
    put_side(&w, "beyond", x->s.high > 0 ? probe_at(x, x->s.high) : NULL);
    jsonw_key(&w, "error");
    if (x->s.low > 0 && x->s.high > 0)
        jsonw_f64(&w, rep_search_error(&x->s));
    else
        jsonw_null(&w);
    jsonw_key_bool(&w, "confirmed", x->s.confirmed);
    jsonw_key(&w, "probes");
    jsonw_array(&w);
    for (unsigned i = 0; i < x->count; i++)
        put_probe(&w, x, i);
    jsonw_end(&w);
    jsonw_end(&w);
    buf_str(&out, "\n");
    fputs(buf_text(&out), stdout);
    buf_done(&out);
}

static void print_text(const struct search *x)
{
    const struct probe *low = probe_at(x, x->s.low), *high = probe_at(x, x->s.high);
    char a[UNITS_TEXT_MAX], b[UNITS_TEXT_MAX];

    if (low)
        printf("within  %s (speed %.4g)%s\n", units_rate_text(low->facts.offered, a),
               low->speed, x->s.confirmed ? ", twice" : "");
    if (high)
        printf("beyond  %s (speed %.4g)\n", units_rate_text(high->facts.offered, b),
               high->speed);
    switch (x->s.end) {
    case REP_SEARCH_FOUND:
        printf("knee    between the two, %.1f %% apart; %u probes\n",
               100 * rep_search_error(&x->s), x->count);
        break;
    case REP_SEARCH_ALL_WITHIN:
        printf("knee    not reached: the limit holds up to the greatest speed\n");
        break;
    case REP_SEARCH_ALL_BEYOND:
        printf("knee    below: the limit does not hold even at the least speed\n");
        break;
    case REP_SEARCH_SPENT:
        printf("knee    not found: %u probes are spent\n", x->count);
        break;
    default:
        printf("knee    not found: two probes in a row say nothing: %s\n", reason(x));
    }
}

/* --- the command ------------------------------------------------------------------ */

static int check(const struct config *c, struct search *x, struct err *e)
{
    if (c->limits.n == 0)
        return err_set(e, ERR_USAGE, "--limit is missing: --limit 'p99<50ms'");
    if (c->limits.n > REP_LIMITS_MAX)
        return err_set(e, ERR_USAGE, "more than %d limits", REP_LIMITS_MAX);
    for (size_t i = 0; i < c->limits.n; i++) {
        int rc = rep_limit_parse(&x->limits[i], c->limits.v[i], e);
        if (rc < 0)
            return rc;
    }
    if (!(c->from >= 0.01 && c->from <= c->start && c->start <= c->to && c->to <= 1000))
        return err_set(e, ERR_USAGE,
                       "--from, --start and --to must ascend, from 0.01 to 1000");
    if (!(c->error >= 0.1 && c->error <= 100))
        return err_set(e, ERR_USAGE, "--error must lie between 0.1 and 100 percent");
    if (c->probes < 1 || c->probes > REP_PROBES_MAX)
        return err_set(e, ERR_USAGE, "--probes must lie between 1 and %d",
                       REP_PROBES_MAX);
    if (c->duration_ns < 0 || c->pause_ns < 0)
        return err_set(e, ERR_USAGE, "a duration must not be negative");
    if (strcmp(x->trace, "-") == 0)
        return err_set(e, ERR_USAGE, "a trace from a pipe cannot be replayed twice");
    return 0;
}

static int prepare_folder(const struct search *x, struct err *e)
{
    char path[PATH_BYTES];

    if (mkdir(x->config->out_dir, 0777) < 0 && errno != EEXIST)
        return err_sys(e, errno, "cannot make folder '%s'", x->config->out_dir);
    run_path(x, 0, "run", path);
    if (access(path, F_OK) == 0)
        return err_set(e, ERR_USAGE, "folder '%s' holds probes already; choose another",
                       x->config->out_dir);
    return 0;
}

static int search_run(struct search *x, struct err *e)
{
    double speed;
    int rc = rep_self(x->self, sizeof x->self, e);

    if (rc == 0)
        rc = prepare_folder(x, e);
    rep_process_watch(&stopped);
    while (rc == 0 && rep_search_next(&x->s, &speed))
        rc = probe(x, speed, e);
    return rc;
}

int rep_cmd_search(int argc, char **argv)
{
    struct config config = {0};
    struct err e = {0};
    int operands = 0, status;
    struct search *x = calloc(1, sizeof *x);
    int rc = opt_parse(&search_doc, argc, argv, &config, &operands, &e);

    if (rc == 0 && !x)
        rc = err_set(&e, ERR_NOMEM, "out of memory");
    if (rc == 0) {
        x->config = &config;
        x->trace = argv[1];
        x->replay = argv + 2;
        x->replay_count = operands - 1;
        rc = check(&config, x, &e);
    }
    if (rc == 0) {
        x->s.config = (struct rep_search_config){.from = config.from,
                                                 .to = config.to,
                                                 .start = config.start,
                                                 .error = config.error / 100,
                                                 .probes = (unsigned)config.probes};
        rc = search_run(x, &e);
    }
    if (rc == 0) {
        if (config.json)
            print_json(x);
        else
            print_text(x);
        status = x->s.end == REP_SEARCH_FOUND     ? EXIT_DONE
                 : x->s.end == REP_SEARCH_NOTHING ? EXIT_INVALID
                                                  : EXIT_INCONCLUSIVE;
    } else {
        status = rc == 1 ? EXIT_DONE : opt_fail(&search_doc, &e);
        if (rc < 0 && x && x->failed_status)
            status = x->failed_status;
    }
    opt_strv_done(&config.limits);
    free(x);
    return status;
}

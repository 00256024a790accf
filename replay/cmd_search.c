/*
 * cmd_search.c - `reprise search TRACE`: the highest rate within a limit.
 *
 * Each probe is a `reprise replay` of the whole trace at another speed, or of a trace
 * that `reprise synth` made for its rate, and what it says comes from `reprise report`:
 * this command only decides the next speed or rate.
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
#define RATE_MAX         1e6 /* of --synth */
/* With --synth, where nothing else is said. */
#define RATE_FROM   1.0
#define RATE_START  100.0
#define DURATION_NS (10 * CLK_SEC)

struct config {
    const char *out_dir;
    struct opt_strv limits;
    double from, to, start, error;
    uint64_t probes;
    int64_t duration_ns, pause_ns;
    int invalid;
    bool synth, json, quiet;
};

#define FIELD(name) offsetof(struct config, name)

enum { INVALID_FAIL, INVALID_PASS };
static const char *const invalid_choices[] = {"fail", "pass", NULL};

static const struct opt options[] = {
    {.name = "limit",
     .type = OPT_STRV,
     .at = FIELD(limits),
     .arg = "LIMIT",
     .help = "what must hold: p99<50ms (response, from due; failures count as "
             "infinite), service:p99.9<1s, ttfb:p50<20ms, or errors<1%; all that are "
             "given must hold"},
    {.name = "out",
     .letter = 'o',
     .type = OPT_STR,
     .at = FIELD(out_dir),
     .arg = "DIR",
     .def = "search",
     .help = "folder for the runs of the probes; made if it is not there, refused if "
             "it holds some already"},
    {.name = "synth",
     .type = OPT_FLAG,
     .at = FIELD(synth),
     .help = "there is no TRACE: each probe replays one that is synthesized for its "
             "rate, by the options of `reprise synth` that stand behind a second --"},
    {.name = "start",
     .type = OPT_F64,
     .at = FIELD(start),
     .arg = "X",
     .def = "1",
     .help = "speed of the first probe; with --synth its rate per second, 100 unless "
             "given"},
    {.name = "from",
     .type = OPT_F64,
     .at = FIELD(from),
     .arg = "X",
     .def = "0.01",
     .help = "least speed; with --synth least rate, 1 unless given"},
    {.name = "to",
     .type = OPT_F64,
     .at = FIELD(to),
     .arg = "X",
     .def = "1000",
     .help = "greatest speed; with --synth greatest rate, 1000000 unless given"},
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
     .help = "let each probe end after D (replay --duration); without it each sends "
             "the whole trace, in less time the faster it is. With --synth each is "
             "synthesized to last so long, 10s unless given"},
    {.name = "pause",
     .type = OPT_DURATION,
     .at = FIELD(pause_ns),
     .arg = "D",
     .def = "0",
     .help = "wait between probes, for what is queued at the target to drain"},
    {.name = "invalid",
     .type = OPT_CHOICE,
     .at = FIELD(invalid),
     .arg = "fail|pass",
     .def = "fail",
     .choices = invalid_choices,
     .help = "whether a probe whose run is INVALID says nothing, or is taken at its "
             "numbers, which must not be believed: for trying things out"},
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
    .synopsis = "TRACE|--synth --limit LIMIT [OPTION]... -- REPLAY-OPTION... [-- "
                "SYNTH-OPTION...]",
    .about = "Replays one trace faster and slower (replay --speed) until the highest "
             "rate within the limit and the lowest beyond it are at most --error "
             "apart, then asks once more at the lower one. What stands behind -- goes "
             "to every replay: tier, addresses, connections and the like, but neither "
             "--speed nor --duration.\n"
             "\n"
             "With --synth a probe is not the same trace stretched: the mix behind the "
             "second -- is synthesized at the probe's rate, so that each probe lasts "
             "as long as the others, whatever its rate (--probe-duration), and traffic "
             "need not have been recorded. It sets neither --rate, --duration, "
             "--stages nor --output. The traces stay in the folder as probe-NN.trace.\n"
             "\n"
             "Each probe is judged by its health first: one that is INVALID (the "
             "generator was late or could not keep the rate), or too short for the "
             "quantile asked for, says nothing. It is repeated; a second one ends the "
             "search with its reason, because then it is not the target that was "
             "measured. The runs stay in the folder as probe-NN.run.\n"
             "\n"
             "A probe has to last: an overload shows as a queue that grows with time, "
             "a rate e above capacity lets responses wait e x duration. For 5 % and a "
             "limit of 50 ms a few seconds suffice; see also --probe-duration.\n"
             "\n"
             "Exit status: 0 found; 2 the limit holds up to --to, or not even at "
             "--from, or the probes ran out; 3 probes that say nothing.",
    .opts = options,
    .examples =
        "# what envoy takes at p99 below 50 ms and less than 0.1 % errors\n"
        "reprise search day.trace --limit 'p99<50ms' --limit 'errors<0.1%' -o knee -- "
        "--tier envoy --http http://127.0.0.1:9000\n"
        "# probes of ten seconds of a long trace, as JSON\n"
        "reprise search day.trace --limit 'p95<20ms' --probe-duration 10s --json -- "
        "--tier server --http 127.0.0.1:9001 --workers 2\n"
        "# from 50 a second on, with a mix that nobody recorded\n"
        "reprise search --synth --limit 'p99<50ms' --start 50 -- --tier envoy --http "
        "http://127.0.0.1:9000 -- --model-type iris,tfsimple --arrivals poisson\n",
    .min_args = 1,
    .max_args = -1,
};

const struct opt_cmd *const rep_search_docs[] = {&search_doc, NULL};

static volatile sig_atomic_t stopped;

struct probe {
    double at; /* speed, or rate with --synth */
    struct rep_probe_facts facts;
};

struct search {
    const struct config *config;
    const char *trace;      /* NULL: --synth */
    char **replay, **synth; /* options for every one of them */
    int replay_count, synth_count;
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

/* Runs a program that has to end well, or INVALID if it may; a is used up. */
static int run_step(struct search *x, struct rep_argv *a, const char *out,
                    bool may_be_invalid, const char *what, struct err *e)
{
    int status = rep_process_run(a, out, e);
    rep_argv_done(a);
    if (status < 0)
        return status;
    if (stopped || status == EXIT_INTERRUPTED)
        return err_set(e, ERR_STOPPED, "interrupted");
    if (status == EXIT_DONE || (may_be_invalid && status == EXIT_INVALID))
        return 0;
    x->failed_status = status;
    return err_set(e, ERR_PEER, "%s ended with exit status %d", what, status);
}

static int synthesize(struct search *x, double rate, const char *trace, struct err *e)
{
    struct rep_argv a = {0};
    char what[80];

    rep_argv_add(&a, x->self);
    rep_argv_add(&a, "synth");
    for (int i = 0; i < x->synth_count; i++)
        rep_argv_add(&a, x->synth[i]);
    rep_argv_fmt(&a, "--rate=%.6f", rate);
    rep_argv_fmt(&a, "--duration=%" PRId64 "ns", x->config->duration_ns);
    rep_argv_add(&a, "--stages=none"); /* the environment may have some */
    rep_argv_add(&a, "--quiet");
    rep_argv_fmt(&a, "--output=%s", trace);
    snprintf(what, sizeof what, "synth at %.6g/s", rate);
    return run_step(x, &a, "/dev/null", false, what, e);
}

static int replay(struct search *x, double at, const char *trace, const char *run,
                  struct err *e)
{
    struct rep_argv a = {0};
    char what[80];

    rep_argv_add(&a, x->self);
    rep_argv_add(&a, "replay");
    rep_argv_add(&a, trace);
    for (int i = 0; i < x->replay_count; i++)
        rep_argv_add(&a, x->replay[i]);
    if (x->trace)
        rep_argv_fmt(&a, "--speed=%.6f", at);
    if (x->trace && x->config->duration_ns > 0)
        rep_argv_fmt(&a, "--duration=%" PRId64 "ns", x->config->duration_ns);
    rep_argv_add(&a, "--quiet");
    rep_argv_add(&a, "--invalid=pass");
    rep_argv_fmt(&a, "--output=%s", run);
    snprintf(what, sizeof what, "the replay at %s%.6g%s", x->trace ? "speed " : "", at,
             x->trace ? "" : "/s");
    return run_step(x, &a, "/dev/null", true, what, e);
}

static int report(struct search *x, const char *run, const char *path, struct err *e)
{
    struct rep_argv a = {0};

    rep_argv_add(&a, x->self);
    rep_argv_add(&a, "report");
    rep_argv_add(&a, run);
    rep_argv_add(&a, "--json");
    return run_step(x, &a, path, true, "the report of a probe", e);
}

static void say(const struct search *x, const struct probe *p)
{
    const struct rep_probe_facts *f = &p->facts;
    char rate[UNITS_TEXT_MAX];

    fprintf(stderr, "search: probe %u, ", x->count);
    if (x->trace)
        fprintf(stderr, "speed %.4g, ", p->at);
    fprintf(stderr, "%s: %s", units_rate_text(f->offered, rate),
            rep_probe_names[f->said]);
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

static int probe(struct search *x, double at, struct err *e)
{
    char run[PATH_BYTES], path[PATH_BYTES], trace[PATH_BYTES];
    struct probe *p = &x->probes[x->count];
    struct buf json = {0};
    int rc = 0;

    if (x->count > 0 && x->config->pause_ns > 0)
        rep_process_nap(x->config->pause_ns, &stopped);
    run_path(x, x->count, "run", run);
    run_path(x, x->count, "json", path);
    run_path(x, x->count, "trace", trace);
    p->at = at;
    if (!x->trace)
        rc = synthesize(x, at, trace, e);
    if (rc == 0)
        rc = replay(x, at, x->trace ? x->trace : trace, run, e);
    if (rc == 0)
        rc = report(x, run, path, e);
    if (rc == 0)
        rc = buf_read_file(&json, path, REPORT_BYTES_MAX, e);
    if (rc >= 0)
        rc = rep_probe_judge(&p->facts, buf_view(&json), x->limits, x->config->limits.n,
                             x->config->invalid == INVALID_FAIL, e);
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

/* The last probe at that speed or rate that said something. */
static const struct probe *probe_at(const struct search *x, double at)
{
    const struct probe *found = NULL;
    for (unsigned i = 0; i < x->count; i++)
        if (x->probes[i].at == at && x->probes[i].facts.said != REP_PROBE_NOTHING)
            found = &x->probes[i];
    return found;
}

static const char *reason(const struct search *x)
{
    return x->count > 0 ? x->probes[x->count - 1].facts.reason : "";
}

/* Speed, of a trace; rate that was asked of synth; null what it is not. */
static void put_at(struct jsonw *w, const struct search *x, const struct probe *p)
{
    jsonw_key(w, "speed");
    if (x->trace)
        jsonw_f64(w, p->at);
    else
        jsonw_null(w);
    jsonw_key(w, "synth_rate");
    if (x->trace)
        jsonw_null(w);
    else
        jsonw_f64(w, p->at);
}

static void put_side(struct jsonw *w, const char *key, const struct search *x,
                     const struct probe *p)
{
    jsonw_key(w, key);
    if (!p) {
        jsonw_null(w);
        return;
    }
    jsonw_object(w);
    put_at(w, x, p);
    jsonw_key_f64(w, "rate", p->facts.offered);
    jsonw_end(w);
}

static void put_probe(struct jsonw *w, const struct search *x, unsigned i)
{
    const struct probe *p = &x->probes[i];
    char run[PATH_BYTES];

    run_path(x, i, "run", run);
    jsonw_object(w);
    put_at(w, x, p);
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
    put_side(&w, "within", x, x->s.low > 0 ? probe_at(x, x->s.low) : NULL);
    put_side(&w, "beyond", x, x->s.high > 0 ? probe_at(x, x->s.high) : NULL);
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

static void print_side(const struct search *x, const char *side, const struct probe *p,
                       const char *more)
{
    char rate[UNITS_TEXT_MAX];

    if (!p)
        return;
    printf("%s  %s", side, units_rate_text(p->facts.offered, rate));
    if (x->trace)
        printf(" (speed %.4g)", p->at);
    printf("%s\n", more);
}

static void print_text(const struct search *x)
{
    const struct probe *low = probe_at(x, x->s.low), *high = probe_at(x, x->s.high);
    const char *what = x->trace ? "speed" : "rate";
    char a[UNITS_TEXT_MAX], b[UNITS_TEXT_MAX];

    print_side(x, "within", low, x->s.confirmed ? ", twice" : "");
    print_side(x, "beyond", high, "");
    switch (x->s.end) {
    case REP_SEARCH_FOUND:
        printf("knee    between %s and %s, %.1f %% apart; %u probes\n",
               low ? units_rate_text(low->facts.offered, a) : "-",
               high ? units_rate_text(high->facts.offered, b) : "-",
               100 * rep_search_error(&x->s), x->count);
        break;
    case REP_SEARCH_ALL_WITHIN:
        printf("knee    not reached: the limit holds up to the greatest %s\n", what);
        break;
    case REP_SEARCH_ALL_BEYOND:
        printf("knee    below: the limit does not hold even at the least %s\n", what);
        break;
    case REP_SEARCH_SPENT:
        printf("knee    not found: %u probes are spent\n", x->count);
        break;
    default:
        printf("knee    not found: two probes in a row say nothing: %s\n", reason(x));
    }
}

/* --- the command ------------------------------------------------------------------ */

/* Where nothing was given, rates are not speeds. */
static void set_rates(struct config *c)
{
    c->from = opt_given(&search_doc, "from") ? c->from : RATE_FROM;
    c->to = opt_given(&search_doc, "to") ? c->to : RATE_MAX;
    c->start = opt_given(&search_doc, "start") ? c->start : RATE_START;
    c->duration_ns = c->duration_ns > 0 ? c->duration_ns : DURATION_NS;
}

static int check_bounds(const struct config *c, struct err *e)
{
    double least = c->synth ? 0.001 : 0.01, most = c->synth ? RATE_MAX : 1000;

    if (!(c->from >= least && c->from <= c->start && c->start <= c->to &&
          c->to <= most))
        return err_set(e, ERR_USAGE,
                       "--from, --start and --to must ascend, from %g to %.0f", least,
                       most);
    return 0;
}

/* Words behind a -- that set what the search itself decides; where: which --. */
static int refuse_ours(char *const *words, int count, const char *const *ours,
                       const char *where, struct err *e)
{
    for (int i = 0; i < count; i++)
        for (const char *const *o = ours; *o; o++) {
            struct span word = span_str(words[i]);
            size_t n = strlen(*o);
            if (span_starts(word, *o) &&
                ((*o)[1] != '-' || word.n == n || word.p[n] == '='))
                return err_set(e, ERR_USAGE,
                               "'%s' behind the %s --: the search sets it", words[i],
                               where);
        }
    return 0;
}

static int check_options(const struct search *x, struct err *e)
{
    static const char *const of_replay[] = {"--speed", "--duration", "--output", "-o",
                                            NULL};
    static const char *const of_synth[] = {
        "--rate", "--duration", "--stages", "--output", "-r", "-d", "-o", NULL};
    int rc = refuse_ours(x->replay, x->replay_count, of_replay, "first", e);
    return rc < 0 ? rc : refuse_ours(x->synth, x->synth_count, of_synth, "second", e);
}

/* Operands: TRACE, then what stands behind --; with --synth, what stands behind the
 * first -- and behind the second. */
static int take_operands(struct search *x, char **words, int count, struct err *e)
{
    bool synth = x->config->synth;
    int split = 0;

    if (!synth) {
        x->trace = words[0];
        x->replay = words + 1;
        x->replay_count = count - 1;
        return check_options(x, e);
    }
    while (split < count && strcmp(words[split], "--") != 0)
        split++;
    if (split == count)
        return err_set(
            e, ERR_USAGE,
            "--synth: a second -- is missing, and options of synth behind it");
    if (split > 0 && words[0][0] != '-')
        return err_set(e, ERR_USAGE, "--synth: '%.80s' is one trace too many",
                       words[0]);
    x->replay = words;
    x->replay_count = split;
    x->synth = words + split + 1;
    x->synth_count = count - split - 1;
    return check_options(x, e);
}

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
    if (check_bounds(c, e) < 0)
        return ERR_USAGE;
    if (!(c->error >= 0.1 && c->error <= 100))
        return err_set(e, ERR_USAGE, "--error must lie between 0.1 and 100 percent");
    if (c->probes < 1 || c->probes > REP_PROBES_MAX)
        return err_set(e, ERR_USAGE, "--probes must lie between 1 and %d",
                       REP_PROBES_MAX);
    if (c->duration_ns < 0 || c->pause_ns < 0)
        return err_set(e, ERR_USAGE, "a duration must not be negative");
    if (x->trace && strcmp(x->trace, "-") == 0)
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
    double at;
    int rc = rep_self(x->self, sizeof x->self, e);

    if (rc == 0)
        rc = prepare_folder(x, e);
    rep_process_watch(&stopped);
    while (rc == 0 && rep_search_next(&x->s, &at))
        rc = probe(x, at, e);
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
        if (config.synth)
            set_rates(&config);
        rc = take_operands(x, argv + 1, operands, &e);
    }
    if (rc == 0) {
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

/*
 * cmd_synth.c - reprise synth: a trace from model types, a rate and a process.
 *
 * Equal options and seed give equal bytes. Memory does not grow with the trace.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "traces/base/outfile.h"
#include "traces/base/units.h"
#include "traces/container/trc_writer.h"
#include "traces/synth/arrivals.h"
#include "traces/synth/list.h"
#include "traces/synth/making.h"
#include "traces/synth/mix.h"
#include "traces/synth/when.h"

#define DEFAULT_DURATION (30 * CLK_SEC)
#define DRAW_MASK        0xfff /* operations between looks at the clock, less one */

struct synth_config {
    struct mix_options mix;
    const char *out;
    double rate;
    const char *duration;        /* bare seconds when it came from k6's variable */
    const char *stages;          /* rates, "ramp", "none" or NULL */
    const char *stage_durations; /* as duration */
    const char *arrivals, *epoch;
    uint64_t count, seed, clients;
    bool has_count, force, store, quiet;
};

#define AT(field) offsetof(struct synth_config, field)

static const struct opt synth_opts[] = {
    OPT_GROUP_ROW("The file"),
    {"output", 'o', OPT_STR, AT(out), "FILE", NULL, "the trace to write; - is a pipe",
     NULL, NULL},
    OUTFILE_FORCE_OPT(AT(force)),
    {"store", 0, OPT_FLAG, AT(store), NULL, NULL,
     "compress nothing: a larger file, which replay reads with the least work", NULL,
     NULL},
    OPT_GROUP_ROW("What is sent"),
    MIX_OPTS(struct synth_config, mix),
    OPT_GROUP_ROW("When"),
    {"rate", 'r', OPT_RATE, AT(rate), "RATE", "10", "operations per second", NULL,
     "REQUEST_RATE"},
    {"duration", 'd', OPT_STR, AT(duration), "TIME", NULL,
     "length of the trace (default: 30s, or none with --count). With --stages: what "
     "all stages hold together. The variable is in seconds without a unit",
     NULL, "CONSTANT_RATE_DURATION_SECONDS"},
    {"count", 'n', OPT_U64, AT(count), "N", NULL, "stop after N operations", NULL,
     NULL},
    {"arrivals", 'a', OPT_STR, AT(arrivals), "LAW", "constant",
     "how arrivals are spaced: constant, poisson, gamma:CV (coefficient of variation "
     "of the gaps) or weibull:SHAPE",
     NULL, NULL},
    {"stages", 0, OPT_STR, AT(stages), "RATES", NULL,
     "rates per second of stages, instead of --rate: from 5/s, for each stage a ramp "
     "of a third of its duration (in whole seconds, rounded up), then the duration at "
     "its rate. \"ramp\": one ramp from 5/s to --rate over --duration. \"none\": as "
     "without",
     NULL, "REQUEST_RATES"},
    {"stage-durations", 0, OPT_STR, AT(stage_durations), "TIMES", NULL,
     "how long each stage holds its rate: one time, or one per stage. Without it: "
     "equal parts of --duration. The variable is in seconds without units; a longer "
     "list than there are stages is cut, and a shorter one is not used, as in k6",
     NULL, "CONSTANT_RATE_DURATIONS_SECONDS"},
    {"clients", 0, OPT_U64, AT(clients), "N", "0",
     "deal the operations by chance to N clients, each with a connection of its own, "
     "for replay --sessions and --connections recorded; 0: no clients are noted",
     NULL, NULL},
    {"seed", 0, OPT_U64, AT(seed), "N", "1", "seed of all that is random", NULL, NULL},
    {"epoch", 0, OPT_STR, AT(epoch), "MOMENT", NULL,
     "calendar time of the trace's start (2031-05-04T12:00:00Z); without it the trace "
     "has no calendar",
     NULL, NULL},
    OPT_GROUP_ROW("Reporting"),
    {"quiet", 'q', OPT_FLAG, AT(quiet), NULL, NULL, "no progress and no summary", NULL,
     NULL},
    {0},
};

static const struct opt_cmd synth_page = {
    "synth",
    "synthesize a trace from model types, a rate and an arrival process",
    "-o TRACE [OPTION]...",
    "Writes operations as clients of Seldon Core v2 would send them: which model, by "
    "which protocol, with which body, and when. Times, choices and values come from "
    "--seed alone: equal options give equal bytes, on every machine.\n\n"
    "Random arrivals are stationary from the first instant: every window of the trace "
    "expects its length times the rate. Constant arrivals start at 0 and are placed to "
    "the nanosecond without drift; with --stages the n-th comes when the integral of "
    "the rate reaches n, as k6 does it.\n\n"
    "The variables named with the options are those of SCv2's k6 tests. INFER_TYPE "
    "(REST, else gRPC), and INFER_HTTP_ITERATIONS and INFER_GRPC_ITERATIONS (0 turns a "
    "protocol off) stand for --protocol where it is not given. Options win over "
    "variables, but --stages, given either way, wins over --rate.",
    synth_opts,
    "# a minute of two models at 200 per second\n"
    "reprise synth -o day.trace --model-type iris,tfsimple --rate 200 --duration 60s "
    "--arrivals poisson\n"
    "# 50 iris models by Zipf's law, bursts, both protocols, batches of 1 and 4\n"
    "reprise synth -o zipf.trace --model-type iris --instances 50 --popularity "
    "zipf:1.2 --rate 500 --duration 5m --arrivals gamma:3 --protocol both --batch "
    "1:8,4:1\n"
    "# the stages of a k6 job\n"
    "REQUEST_RATES=10,20,40 CONSTANT_RATE_DURATIONS_SECONDS=30,30,60 reprise synth -o "
    "k6.trace\n",
    0,
    0,
};
const struct opt_cmd *const trc_synth_docs[] = {&synth_page, NULL};

/* --- the plan: pieces of the rate, and the process -----------------------------------
 */

struct plan {
    struct arr_piece pieces[2 * LIST_MAX];
    size_t piece_count;
    struct arr_process process;
    int64_t span_ns; /* of all pieces; ARR_ENDLESS when only the count ends it */
    bool staged;     /* the very end belongs to it, and the first arrival is number 1 */
    double expected; /* operations */
};

/* Whether an option's text is the one of an environment variable. */
static bool from_env(const char *text, const char *variable)
{
    return text && text == getenv(variable);
}

/* A time from an option, or bare seconds from a variable of k6. */
static int time_of(const char *text, bool bare_seconds, int64_t *ns, struct err *e)
{
    if (!bare_seconds)
        return units_duration(text, ns, e);
    double seconds;
    int rc = units_f64(text, &seconds, e);
    if (rc == 0 && !(seconds >= 0 && seconds < 1e9))
        rc = err_set(e, ERR_USAGE, "%s seconds", text);
    *ns = rc == 0 ? llround(seconds * (double)CLK_SEC) : 0;
    return rc;
}

static int plan_duration(const struct synth_config *c, int64_t *ns, struct err *e)
{
    *ns = DEFAULT_DURATION;
    if (!c->duration)
        return 0;
    bool bare = from_env(c->duration, "CONSTANT_RATE_DURATION_SECONDS");
    int rc = time_of(c->duration, bare, ns, e);
    if (rc == 0 && (*ns <= 0 || *ns > ARR_DURATION_MAX))
        rc = err_set(e, ERR_USAGE, "'%s' is not above 0 and up to 366 days",
                     c->duration);
    const char *name = bare ? "CONSTANT_RATE_DURATION_SECONDS" : "--duration";
    return rc < 0 ? err_note(e, "%s", name) : 0;
}

/* The times of a list that does not fit k6's variable are not used, as k6 does. */
static int stage_times(const struct synth_config *c, size_t n, int64_t total_ns,
                       int64_t *holds, struct err *e)
{
    bool bare = from_env(c->stage_durations, "CONSTANT_RATE_DURATIONS_SECONDS");
    struct list l = {.n = 0};
    for (size_t i = 0; i < n; i++)
        holds[i] = total_ns / (int64_t)n;
    if (!c->stage_durations)
        return 0;
    int rc = list_parse(&l, c->stage_durations, false, e);
    if (bare && l.n < n)
        return rc;
    for (size_t i = 0; i < n && rc == 0; i++) {
        size_t item = i;
        char text[UNITS_TEXT_MAX];
        if (!bare)
            rc = list_place(&l, i, n, "stages", &item, e);
        if (rc == 0 && l.items[item].text.n >= sizeof text)
            rc = err_set(e, ERR_USAGE, "'%.*s' is not a time",
                         SPAN_ARG(l.items[item].text));
        if (rc == 0) {
            snprintf(text, sizeof text, "%.*s", SPAN_ARG(l.items[item].text));
            rc = time_of(text, bare, &holds[i], e);
        }
    }
    return rc;
}

static int plan_stages(const struct synth_config *c, struct plan *p, struct err *e)
{
    struct list l;
    double rates[LIST_MAX];
    int64_t holds[LIST_MAX], total;
    int rc = list_parse(&l, c->stages, false, e);
    for (size_t i = 0; i < l.n && rc == 0; i++)
        rc = list_rate(&l, i, &rates[i], e);
    if (rc < 0)
        return err_note(e, "--stages");
    rc = plan_duration(c, &total, e);
    if (rc < 0)
        return rc;
    rc = stage_times(c, l.n, total, holds, e);
    if (rc < 0)
        return err_note(e, "--stage-durations");
    p->piece_count = 2 * l.n;
    p->staged = true;
    return arr_stages(rates, holds, l.n, p->pieces, e);
}

static int plan_rate(const struct synth_config *c, struct plan *p, struct err *e)
{
    bool ramp = c->stages && strcmp(c->stages, "ramp") == 0;
    if (!(c->rate > 0 && c->rate <= ARR_RATE_MAX))
        return err_set(e, ERR_USAGE, "--rate: %g is not above 0 and up to %g", c->rate,
                       ARR_RATE_MAX);
    int64_t ns;
    int rc = plan_duration(c, &ns, e);
    if (rc < 0)
        return rc;
    if (c->has_count && !c->duration && !ramp)
        ns = ARR_ENDLESS;
    p->pieces[0] = (struct arr_piece){ns, ramp ? ARR_STAGE_START : c->rate, c->rate};
    p->piece_count = 1;
    p->staged = ramp;
    return 0;
}

static int plan_make(const struct synth_config *c, struct plan *p, struct err *e)
{
    *p = (struct plan){.piece_count = 0};
    int rc = arr_process_parse(&p->process, c->arrivals, e);
    if (rc < 0)
        return err_note(e, "--arrivals");
    bool list =
        c->stages && strcmp(c->stages, "none") != 0 && strcmp(c->stages, "ramp") != 0;
    rc = list ? plan_stages(c, p, e) : plan_rate(c, p, e);
    if (rc < 0)
        return rc;
    if (c->has_count && c->count == 0)
        return err_set(e, ERR_USAGE, "--count: 0 operations are no trace");
    p->process.phase = p->staged ? 1 : 0;
    for (size_t i = 0; i < p->piece_count; i++) {
        p->span_ns += p->pieces[i].duration_ns;
        p->expected += arr_piece_events(&p->pieces[i]);
    }
    if (c->has_count && p->expected > (double)c->count)
        p->expected = (double)c->count;
    return 0;
}

/* --- writing ------------------------------------------------------------------------
 */

static int note_number(struct trc_writer *w, const char *key, uint64_t value,
                       struct err *e)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, value);
    return trc_writer_note(w, key, text, e);
}

/* All options in effect as one JSON object; neither file names nor wall time. */
static int note_options(struct trc_writer *w, const struct synth_config *c,
                        const struct mix *mix, const struct plan *p, struct err *e)
{
    struct buf text = {0};
    struct jsonw j = {.out = &text};
    jsonw_object(&j);
    mix_describe(mix, &j);
    jsonw_key_str(&j, "arrivals", c->arrivals);
    jsonw_key(&j, "rate");
    jsonw_array(&j);
    for (size_t i = 0; i < p->piece_count; i++) {
        jsonw_object(&j);
        if (p->pieces[i].duration_ns < ARR_ENDLESS)
            jsonw_key_i64(&j, "duration_ns", p->pieces[i].duration_ns);
        jsonw_key_f64(&j, "from", p->pieces[i].from);
        jsonw_key_f64(&j, "to", p->pieces[i].to);
        jsonw_end(&j);
    }
    jsonw_end(&j);
    if (c->has_count)
        jsonw_key_u64(&j, "count", c->count);
    if (c->clients > 0)
        jsonw_key_u64(&j, "clients", c->clients);
    jsonw_end(&j);
    int rc = buf_check(&text, e);
    if (rc == 0)
        rc = trc_writer_note(w, "synth.options", buf_text(&text), e);
    buf_done(&text);
    return rc;
}

static int note_all(struct trc_writer *w, const struct synth_config *c,
                    const struct mix *mix, const struct plan *p, struct err *e)
{
    int rc = trc_writer_note(w, "tool.version", REPRISE_VERSION, e);
    if (rc == 0)
        rc = trc_writer_note(w, "tool.command", "synth", e);
    if (rc == 0)
        rc = note_number(w, "synth.seed", c->seed, e);
    return rc == 0 ? note_options(w, c, mix, p, e) : rc;
}

struct summary {
    uint64_t operations;
    int64_t last_ns;
};

static int write_ops(struct trc_writer *w, const struct synth_config *c,
                     struct mix *mix, struct plan *p, struct summary *s, struct err *e)
{
    struct arr_list rate;
    struct arrivals arrivals;
    struct rng root;
    struct making_line line;
    arr_list_init(&rate, p->pieces, p->piece_count);
    rng_init(&root, c->seed);
    arrivals_init(&arrivals, &rate.rate, &p->process, rng_fork(&root, "arrivals"));
    struct rng clients = rng_fork(&root, "clients");
    making_line_init(&line, "synth", c->quiet);
    int rc = 0;
    while (rc == 0 && !(c->has_count && s->operations == c->count)) {
        int64_t ns = arrivals_next(&arrivals);
        if (ns == ARR_END || (ns >= p->span_ns && !p->staged))
            break;
        struct op op;
        rc = mix_next(mix, 0, &op, e);
        op.arrival_ns = ns;
        if (c->clients > 0)
            op.client = op.connection = (uint32_t)rng_below(&clients, c->clients);
        if (rc == 0)
            rc = trc_writer_op(w, &op, e);
        if (rc < 0)
            break;
        s->last_ns = ns;
        s->operations++;
        if ((s->operations & DRAW_MASK) != 0)
            continue;
        making_line_draw(&line, s->operations, (double)s->operations / p->expected);
        if (making_stopped())
            rc = err_set(e, ERR_STOPPED, "stopped after %" PRIu64 " operations",
                         s->operations);
    }
    making_line_clear(&line);
    return rc;
}

static int synth_run(const struct synth_config *c, struct summary *s, struct err *e)
{
    struct clk_wall epoch = {0};
    struct mix *mix = NULL;
    struct trc_writer *w = NULL;
    struct plan *p = malloc(sizeof *p);
    int rc = p ? 0 : err_set(e, ERR_NOMEM, "no memory for the plan");
    if (rc == 0 && !c->out)
        rc = err_set(e, ERR_USAGE, "-o FILE is missing: where shall the trace go?");
    if (rc == 0)
        rc = outfile_check(c->out, c->force, NULL, 0, e);
    if (rc == 0 && c->epoch && when_parse(span_str(c->epoch), &epoch, e) < 0) {
        if (e)
            e->code = ERR_USAGE;
        rc = err_note(e, "--epoch");
    }
    if (rc == 0)
        rc = plan_make(c, p, e);
    if (rc == 0)
        rc = mix_new(&mix, &c->mix, c->seed, e);
    const struct trc_options options = {.kind = TRC_TRACE,
                                        .epoch_wall_ns = epoch.ns,
                                        .level = c->store ? TRC_LEVEL_STORE : 0};
    if (rc == 0)
        rc = trc_writer_open(&w, c->out, &options, e);
    if (rc == 0)
        rc = note_all(w, c, mix, p, e);
    if (rc == 0)
        rc = write_ops(w, c, mix, p, s, e);
    if (w && rc == ERR_STOPPED) {
        struct err failed = {0}; /* closed properly all the same */
        rc = trc_writer_note(w, "synth.stopped", "by a signal", &failed);
        if (trc_writer_close(w, &failed) < 0 || rc < 0)
            *e = failed;
        rc = e->code;
    } else if (w && rc == 0) {
        rc = trc_writer_close(w, e);
    } else {
        trc_writer_abandon(w);
    }
    mix_free(mix);
    free(p);
    return rc;
}

/* --- the command --------------------------------------------------------------------
 */

/* INFER_HTTP_ITERATIONS and its like: whether the protocol takes part. */
static int iterations(const char *variable, bool *on, struct err *e)
{
    const char *text = getenv(variable);
    *on = !text || strcmp(text, "0") != 0;
    if (text && *text && strcmp(text, "0") != 0 && strcmp(text, "1") != 0)
        return err_set(e, ERR_USAGE,
                       "environment variable %s: '%s' requests per arrival cannot be "
                       "made; 0 and 1 can",
                       variable, text);
    return 0;
}

/* k6's words for the protocol, where the option was not given. */
static int protocol_from_env(struct synth_config *c, struct err *e)
{
    const char *type = getenv("INFER_TYPE");
    if (type && *type) {
        c->mix.protocol = strcmp(type, "REST") == 0 ? MIX_REST : MIX_GRPC;
        return 0;
    }
    static const char http[] = "INFER_HTTP_ITERATIONS",
                      grpc[] = "INFER_GRPC_ITERATIONS";
    bool rest_on, grpc_on;
    int rc = iterations(http, &rest_on, e);
    if (rc == 0)
        rc = iterations(grpc, &grpc_on, e);
    if (rc < 0 || (!getenv(http) && !getenv(grpc)))
        return rc;
    if (!rest_on && !grpc_on)
        return err_set(e, ERR_USAGE,
                       "environment variables %s and %s turn both protocols off", http,
                       grpc);
    c->mix.protocol = rest_on && grpc_on ? MIX_BOTH : grpc_on ? MIX_GRPC : MIX_REST;
    return 0;
}

static void print_summary(const struct synth_config *c, const struct summary *s)
{
    char span[UNITS_TEXT_MAX];
    if (c->quiet)
        return;
    fprintf(stderr, "synth: %" PRIu64 " operations over %s to '%s'\n", s->operations,
            units_duration_text(s->last_ns, span), c->out);
}

int trc_cmd_synth(int argc, char **argv)
{
    struct synth_config c = {.rate = 0};
    struct summary s = {0};
    struct err e = {0};
    int operands, rc = opt_parse(&synth_page, argc, argv, &c, &operands, &e);
    if (rc > 0)
        return EXIT_DONE;
    if (rc == 0) {
        c.has_count = opt_given(&synth_page, "count");
        if (!opt_given(&synth_page, "protocol"))
            rc = protocol_from_env(&c, &e);
        making_catch_signals();
        if (rc == 0)
            rc = synth_run(&c, &s, &e);
    }
    if (rc < 0)
        return opt_fail(&synth_page, &e);
    print_summary(&c, &s);
    return EXIT_DONE;
}

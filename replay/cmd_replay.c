/*
 * cmd_replay.c - `reprise replay TRACE`: sends a trace on its own schedule, records a
 * run. Its options are those of replay_options.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "commands.h"
#include "replay/replay_options.h"
#include "replay/run.h"
#include "replay/run_result.h"
#include "replay/screen.h"
#include "traces/base/log.h"

const struct opt_cmd *const rep_replay_docs[] = {&rep_replay_doc, NULL};

/* --- signals ---------------------------------------------------------------------- */

static volatile sig_atomic_t interrupts;

static void on_signal(int sig)
{
    (void)sig;
    interrupts = interrupts + 1;
    if (interrupts > 1) {
        rep_screen_restore();
        _exit(EXIT_INTERRUPTED);
    }
}

static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

/* --- what the options say -----------------------------------------------------------
 */

/* What is made of options, for the run. Zeroed memory may be given to done. */
struct asked {
    char out[512]; /* where the run goes, unless that is said */
    struct rep_version *versions;
    struct buf text;
    struct rep_headers headers;
    struct rep_rule rules[REP_RULES_MAX];
    struct rep_answer_want answers;
    struct rep_shard shard;
    struct clk_wall start_at;
};

/* "day.trace" -> "day.run", in the current folder. */
static void default_output(const char *trace, char *out, size_t size)
{
    const char *slash = strrchr(trace, '/');
    struct span name = span_str(slash ? slash + 1 : trace);
    if (span_eq_str(name, "-"))
        name = SPAN_LIT("replay");
    else if (span_ends(name, ".trace"))
        name = span_sub(name, 0, name.n - 6);
    snprintf(out, size, "%.*s.run", SPAN_ARG(name));
}

static int parse_versions(const struct opt_strv *given, struct rep_version **out,
                          struct err *e)
{
    *out = calloc(given->n ? given->n : 1, sizeof **out);
    if (!*out)
        return err_set(e, ERR_NOMEM, "out of memory for %zu versions", given->n);
    for (size_t i = 0; i < given->n; i++) {
        struct span s = span_str(given->v[i]);
        size_t equals = span_find(s, '=', 0);
        (*out)[i].name = span_sub(s, 0, equals);
        if (equals == 0 || !span_u64(span_sub(s, equals + 1, s.n), &(*out)[i].version))
            return err_set(e, ERR_USAGE, "--internal-version '%s' is not MODEL=N",
                           given->v[i]);
    }
    return 0;
}

static int read_headers(const struct rep_options *c, struct rep_headers *h,
                        struct err *e)
{
    const char *token = getenv("REPRISE_BEARER");
    if (c->kafka) /* topics are kept, and read by others: no place for credentials */
        return 0;
    int rc = c->header_file ? rep_headers_file(h, c->header_file, e) : 0;
    if (rc == 0 && c->bearer_file)
        rc = rep_headers_bearer_file(h, c->bearer_file, e);
    else if (rc == 0 && token && *token)
        rc = rep_headers_bearer(h, token, "REPRISE_BEARER", e);
    return rc;
}

static int asked_read(struct asked *a, const struct rep_options *c, const char *trace,
                      struct err *e)
{
    default_output(trace, a->out, sizeof a->out);
    rep_options_describe(c, &a->text);
    a->answers.model = c->check;
    a->answers.content = c->digest == REP_DIGEST_CONTENT;
    int rc = parse_versions(&c->versions, &a->versions, e);
    for (size_t i = 0; i < c->rules.n && rc == 0; i++)
        rc = rep_rule_parse(c->rules.v[i], &a->rules[i], e);
    for (size_t i = 0; i < c->checks.n && rc == 0; i++)
        rc = rep_answer_parse(&a->answers, c->checks.v[i], e);
    if (rc == 0)
        rc = read_headers(c, &a->headers, e);
    if (rc == 0 && c->shard)
        rc = rep_shard_parse(c->shard, getenv("JOB_COMPLETION_INDEX"), &a->shard, e);
    if (rc == 0 && c->start_at)
        rc = rep_start_parse(c->start_at, clk_wall_now(clk_system()), &a->start_at, e);
    return rc;
}

static void asked_done(struct asked *a)
{
    free(a->versions);
    buf_done(&a->text);
    rep_headers_done(&a->headers);
}

/* Borrows from both. */
static struct rep_run_config config_of(const struct rep_options *c, struct asked *a,
                                       const char *trace)
{
    return (struct rep_run_config){
        .trace = trace,
        .out = c->out ? c->out : a->out,
        .force = c->force,
        .tier = (enum op_tier)(OP_TIER_ENVOY + c->tier),
        .http = c->http,
        .grpc = c->grpc || c->tier != 0 ? c->grpc : c->http,
        .kafka = {.brokers = c->kafka,
                  .prefix = c->topic_prefix,
                  .name_space = c->name_space,
                  .options = c->kafka_options.v,
                  .option_count = c->kafka_options.n,
                  .keys =
                      (enum kafka_key_style)(KAFKA_KEY_PARTITION_NAME_ID - c->keys)},
        .tls = c->tls,
        .curl = c->engine == REP_ENGINE_CURL,
        .http_version = c->http_version + 1,
        .proxy = c->proxy,
        .rest_wanted = c->protocol != REP_PROTOCOL_GRPC,
        .grpc_wanted = c->protocol != REP_PROTOCOL_REST,
        .speed = c->speed,
        .versions = {.common = c->version,
                     .listed = a->versions,
                     .count = c->versions.n},
        .headers = &a->headers,
        .ids = (enum rep_ids)c->ids,
        .seed = c->seed,
        .workers = (uint32_t)c->workers,
        .http_connections = (uint32_t)c->connections,
        .grpc_connections = (uint32_t)c->grpc_connections,
        .pinned = c->pinned,
        .streams = (uint32_t)c->streams,
        .requests_per_connection = c->requests_per_connection,
        .users = (uint32_t)c->users,
        .sessions = c->sessions,
        .sessions_stop = c->session_error == REP_SESSION_STOPS,
        .deadline_ns = c->deadline_ns,
        .connect_limit_ns = c->connect_ns,
        .duration_ns = c->duration_ns,
        .warmup_ns = c->warmup_ns,
        .cooldown_ns = c->cooldown_ns,
        .rules = a->rules,
        .rule_count = c->rules.n,
        .rule_window_ns = c->window_ns,
        .shard = a->shard,
        .start_at = a->start_at,
        .lag_ns = c->lag_ns,
        .policy = {.drop_late_ns = c->drop_late_ns,
                   .abort_late_ns = c->abort_late_ns,
                   .cap = (uint32_t)c->cap,
                   .catch_up = c->catch_up},
        .answer_max = c->answer_max,
        .answers = a->answers,
        .spin = c->spin,
        .pin = c->pin,
        .quiet = c->quiet,
        .live = c->live,
        .metrics = c->metrics,
        .labels = &c->labels,
        .options = buf_text(&a->text),
        .interrupts = &interrupts,
    };
}

/* --- the command ------------------------------------------------------------------ */

static void raise_descriptor_limit(void)
{
    struct rlimit l;
    if (getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur < l.rlim_max) {
        l.rlim_cur = l.rlim_max;
        setrlimit(RLIMIT_NOFILE, &l);
    }
}

static int run(const struct rep_options *c, const char *trace, struct rep_run_result *r,
               struct err *e)
{
    struct asked a = {0};
    int rc = asked_read(&a, c, trace, e);
    if (rc == 0) {
        struct rep_run_config config = config_of(c, &a, trace);
        rc = rep_run(&config, r, e);
        if (r->tally.due > 0 && c->json)
            rep_result_json(r, stdout);
        else if (r->tally.due > 0 && !c->quiet)
            rep_result_text(r, strcmp(config.out, "-") == 0 ? stderr : stdout);
    }
    asked_done(&a);
    return rc;
}

/* Of a run that was completed: says what it cannot pass for. */
static int judge(const struct rep_options *c, const struct rep_run_result *r)
{
    uint64_t not_right = r->tally.wrong + r->tally.crossed;
    if (*r->aborted) {
        fprintf(stderr, "reprise replay: aborted: %s\n", r->aborted);
        return EXIT_INVALID;
    }
    if (r->tally.due > 0 && c->invalid == REP_INVALID_FAILS &&
        r->health.verdict == REP_INVALID) {
        fprintf(stderr, "reprise replay: the run is INVALID: %s: %s\n",
                r->health.causes[0].code, r->health.causes[0].text);
        return EXIT_INVALID;
    }
    if (not_right > 0 && (c->check || c->checks.n > 0)) {
        fprintf(stderr,
                "reprise replay: %" PRIu64 " wrong answers, %" PRIu64
                " of them another operation's\n",
                not_right, r->tally.crossed);
        return EXIT_INVALID;
    }
    return EXIT_DONE;
}

int rep_cmd_replay(int argc, char **argv)
{
    struct rep_options c = {0};
    struct rep_run_result result = {0};
    struct err e = {0};
    int operands;

    int rc = opt_parse(&rep_replay_doc, argc, argv, &c, &operands, &e);
    if (rc == 1)
        return EXIT_DONE;
    if (rc == 0)
        rc = rep_options_check(&c, &e);
    if (rc == 0) {
        log_setup(c.quiet, c.debug);
        raise_descriptor_limit();
        catch_signals();
        rc = run(&c, argv[1], &result, &e);
    }
    int status = rc < 0 ? opt_fail(&rep_replay_doc, &e) : judge(&c, &result);
    rep_run_result_done(&result);
    rep_options_done(&c);
    return status;
}

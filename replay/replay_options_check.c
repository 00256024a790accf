/*
 * replay_options_check.c - which options of replay go together, and which values they
 * may have: see replay_options.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replay/replay_options.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "replay/run.h"

#define TIME_MAX_HOURS 87600 /* ten years */

/* What an option must not be, or two of them not together. */
struct rule {
    bool broken;
    const char *words;
};

static int check_rules(const struct rule *rules, size_t n, struct err *e)
{
    for (size_t i = 0; i < n; i++)
        if (rules[i].broken)
            return err_set(e, ERR_USAGE, "%s", rules[i].words);
    return 0;
}

#define CHECK_RULES(rules, e) check_rules(rules, sizeof(rules) / sizeof *(rules), e)

/* --- values ----------------------------------------------------------------------- */

/* "recorded", or a number. */
static int parse_connections(struct rep_options *c, struct err *e)
{
    if (!c->connections_text)
        return 0;
    c->pinned = strcmp(c->connections_text, "recorded") == 0;
    if (c->pinned || span_u64(span_str(c->connections_text), &c->connections))
        return 0;
    return err_set(e, ERR_USAGE, "--connections '%s' is neither a number nor recorded",
                   c->connections_text);
}

static int check_range(const char *name, uint64_t v, uint64_t least, uint64_t most,
                       struct err *e)
{
    if (v >= least && v <= most)
        return 0;
    return err_set(e, ERR_USAGE,
                   "--%s %" PRIu64 " is out of range: from %" PRIu64 " to %" PRIu64,
                   name, v, least, most);
}

static int check_ranges(const struct rep_options *c, struct err *e)
{
    const struct {
        const char *name;
        uint64_t value, least, most;
    } rows[] = {
        {"workers", c->workers, 1, REP_WORKERS_MAX},
        {"closed-loop", c->users, 0, c->workers * REP_USERS_MAX},
        {"connections", c->connections, 0, 65536},
        {"requests-per-connection", c->requests_per_connection, 0, UINT32_MAX},
        {"grpc-connections", c->grpc_connections, 0, 4096},
        {"streams", c->streams, 1, 1u << 20},
        {"cap", c->cap, c->cap > 0 ? c->workers : 0, UINT32_MAX},
    };
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof rows / sizeof *rows; i++)
        rc = check_range(rows[i].name, rows[i].value, rows[i].least, rows[i].most, e);
    return rc;
}

/* Where 0 is what stands for "not given", who gives it means something else. */
static int check_zeros(const struct rep_options *c, struct err *e)
{
    const struct {
        const char *name;
        bool zero;
    } rows[] = {
        {"connections", c->connections == 0 && !c->pinned},
        {"grpc-connections", c->grpc_connections == 0},
        {"closed-loop", c->users == 0},
        {"duration", c->duration_ns == 0},
        {"drop-late", c->drop_late_ns == 0},
        {"abort-late", c->abort_late_ns == 0},
        {"cap", c->cap == 0},
        {"lag", c->lag_ns == 0},
        {"requests-per-connection", c->requests_per_connection == 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].zero && opt_given(&rep_replay_doc, rows[i].name))
            return err_set(e, ERR_USAGE, "--%s must be more than 0", rows[i].name);
    return 0;
}

/* What is dealt out to workers leaves none of them without. */
static int check_shares(const struct rep_options *c, struct err *e)
{
    const struct {
        const char *name, *words;
        uint64_t value;
    } rows[] = {
        {"closed-loop", "a user: give fewer --workers", c->users},
        {"connections", "one", c->connections},
        {"grpc-connections", "one", c->grpc_connections},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].value > 0 && rows[i].value < c->workers)
            return err_set(e, ERR_USAGE, "--%s %" PRIu64 " leaves workers without %s",
                           rows[i].name, rows[i].value, rows[i].words);
    return 0;
}

/* Moments are sums of these and of the clock, and have to fit in 64 bits. */
static int check_lengths(const struct rep_options *c, struct err *e)
{
    const struct {
        const char *name;
        int64_t ns;
    } rows[] = {
        {"deadline", c->deadline_ns},     {"connect-timeout", c->connect_ns},
        {"duration", c->duration_ns},     {"drop-late", c->drop_late_ns},
        {"abort-late", c->abort_late_ns}, {"warmup", c->warmup_ns},
        {"cooldown", c->cooldown_ns},     {"lag", c->lag_ns},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].ns > TIME_MAX_HOURS * 3600 * CLK_SEC)
            return err_set(e, ERR_USAGE, "--%s is longer than %dh", rows[i].name,
                           TIME_MAX_HOURS);
    return 0;
}

static int check_times(const struct rep_options *c, struct err *e)
{
    const struct rule rules[] = {
        {c->deadline_ns <= 0, "--deadline must be more than 0"},
        {c->connect_ns <= 0 || c->duration_ns < 0 || c->drop_late_ns < 0 ||
             c->warmup_ns < 0 || c->cooldown_ns < 0 || c->abort_late_ns < 0,
         "a duration must not be negative"},
        {opt_given(&rep_replay_doc, "catch-up") &&
             !(c->catch_up >= 1 && c->catch_up <= 1e6),
         "--catch-up must be 1 or more, at most 1000000"},
        {c->window_ns < CLK_SEC || c->window_ns > 600 * CLK_SEC,
         "--abort-window must lie between 1s and 10m"},
    };
    return CHECK_RULES(rules, e);
}

static bool label_ok(const char *label)
{
    size_t n = strcspn(label, "=");
    for (size_t i = 0; i < n; i++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-",
                    label[i]))
            return false;
    return n > 0 && n <= 100 && label[n] == '=';
}

static int check_lists(const struct rep_options *c, struct err *e)
{
    if (c->rules.n > REP_RULES_MAX)
        return err_set(e, ERR_USAGE, "more than %d rules", REP_RULES_MAX);
    for (size_t i = 0; i < c->labels.n; i++)
        if (!label_ok(c->labels.v[i]))
            return err_set(
                e, ERR_USAGE,
                "--label '%s' is not KEY=VALUE with a key of letters, digits, "
                "dots, dashes",
                c->labels.v[i]);
    return 0;
}

/* A comma list of areas that log anything, or all. */
static int check_debug(const char *list, struct err *e)
{
    struct span s = span_str(list);
    for (size_t from = 0; from < s.n;) {
        size_t comma = span_find(s, ',', from);
        struct span area = span_trim(span_sub(s, from, comma));
        if (!span_eq_str(area, "engine") && !span_eq_str(area, "pacer") &&
            !span_eq_str(area, "kafka") && !span_eq_str(area, "all"))
            return err_set(e, ERR_USAGE,
                           "--debug '%.*s' is none of engine, kafka, pacer and all",
                           SPAN_ARG(area));
        from = comma + 1;
    }
    return 0;
}

/* --- what goes together ----------------------------------------------------------- */

static int check_connections(const struct rep_options *c, struct err *e)
{
    bool curl = c->engine == REP_ENGINE_CURL;
    const struct rule rules[] = {
        {c->pinned && (c->users > 0 || c->grpc_connections > 0 || c->catch_up > 0 ||
                       c->shard || curl),
         "--connections recorded excludes --closed-loop, --shard, "
         "--grpc-connections, --catch-up and --engine curl"},
        {c->requests_per_connection > 0 &&
             (c->pinned || (curl && c->http_version == 1)),
         "--requests-per-connection excludes --connections recorded and "
         "--http-version 2"},
        {!curl && (c->proxy || opt_given(&rep_replay_doc, "http-version")),
         "--proxy and --http-version need --engine curl"},
    };
    return CHECK_RULES(rules, e);
}

/* Open, partly open or closed, and what has a meaning in which. */
static int check_discipline(const struct rep_options *c, struct err *e)
{
    bool closed = c->users > 0;
    const struct rule rules[] = {
        {closed && opt_given(&rep_replay_doc, "speed"),
         "--speed has no meaning with --closed-loop"},
        {closed && (c->cap > 0 || c->abort_late_ns > 0 || c->catch_up > 0),
         "--cap, --abort-late and --catch-up have no meaning with "
         "--closed-loop, where nothing piles up"},
        {c->lag_ns > 0 && (closed || c->start_at || strcmp(c->speed, "1") != 0),
         "--lag is for live traffic at its own speed: not with "
         "--closed-loop, --start-at or --speed"},
        {c->sessions && (closed || c->shard),
         "--sessions excludes --closed-loop and --shard"},
        {c->session_error == REP_SESSION_STOPS && !c->sessions,
         "--on-session-error needs --sessions"},
        {closed && c->shard, "--shard has no meaning with --closed-loop"},
    };
    return CHECK_RULES(rules, e);
}

static bool is_kafka(const struct rep_options *c)
{
    return c->tier + OP_TIER_ENVOY == OP_TIER_KAFKA;
}

static const char *first_given(const char *const *names)
{
    while (*names && !opt_given(&rep_replay_doc, *names))
        names++;
    return *names;
}

/* The tier kafka has brokers in place of connections, and topics in place of ports. */
static int check_kafka(const struct rep_options *c, struct err *e)
{
    static const char *const of_kafka[] = {"kafka",        "kafka-option", "kafka-keys",
                                           "topic-prefix", "namespace",    NULL};
    static const char *const of_others[] = {"http",
                                            "grpc",
                                            "connections",
                                            "grpc-connections",
                                            "requests-per-connection",
                                            "streams",
                                            "header-file",
                                            "bearer-file",
                                            "tls-ca",
                                            "tls-cert",
                                            "tls-key",
                                            "tls-server-name",
                                            "tls-insecure",
                                            "tls-resume",
                                            "engine",
                                            "http-version",
                                            "proxy",
                                            "request-ids",
                                            NULL};
    const char *odd = first_given(is_kafka(c) ? of_others : of_kafka);
    if (!is_kafka(c))
        return odd ? err_set(e, ERR_USAGE, "--%s needs --tier kafka", odd) : 0;
    if (!c->kafka)
        return err_set(e, ERR_USAGE, "no target: --tier kafka needs --kafka BROKERS");
    if (odd && strncmp(odd, "tls-", 4) == 0)
        return err_set(e, ERR_USAGE,
                       "--%s is not for --tier kafka, where TLS is set by "
                       "--kafka-option: security.protocol=SSL, ssl.ca.location=FILE",
                       odd);
    if (odd)
        return err_set(e, ERR_USAGE, "--%s has no meaning with --tier kafka", odd);
    if (c->workers > 1)
        return err_set(e, ERR_USAGE,
                       "--tier kafka takes one worker: librdkafka's own threads send");
    return 0;
}

static int check_surface(const struct rep_options *c, struct err *e)
{
    const struct rule rules[] = {
        {c->live && (c->quiet || c->debug),
         "--live goes with neither --quiet nor --debug"},
        {c->live && !isatty(STDERR_FILENO),
         "--live needs a terminal on standard error"},
        {!c->http && !c->grpc && !c->kafka && !is_kafka(c),
         "no target: give --http, --grpc or both"},
        {c->json && c->out && strcmp(c->out, "-") == 0,
         "--json and -o - both want standard output"},
    };
    return CHECK_RULES(rules, e);
}

int rep_options_check(struct rep_options *c, struct err *e)
{
    int (*const checks[])(const struct rep_options *, struct err *) = {
        check_ranges,  check_zeros,      check_connections, check_shares, check_times,
        check_lengths, check_discipline, check_lists,       check_kafka,  check_surface,
    };
    int rc = parse_connections(c, e);
    if (rc == 0 && c->debug)
        rc = check_debug(c->debug, e);
    for (size_t i = 0; rc == 0 && i < sizeof checks / sizeof *checks; i++)
        rc = checks[i](c, e);
    return rc;
}

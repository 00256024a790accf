/*
 * run.h - one replay of one trace against one target, from opening to the closed run
 * file.
 *
 * Three kinds of threads: the feeder (plan.h) reads ahead, workers (worker.h) send, and
 * the caller's own writes outcomes, watches clocks and signals, and shows the live
 * view. They meet in hand-over rings. rep_run takes no argv and prints nothing but log
 * lines and the live view, so that tests call it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef REPLAY_RUN_H
#define REPLAY_RUN_H

#include <signal.h>

#include "replay/answer.h"
#include "replay/engine/kafka_brokers.h"
#include "replay/health.h"
#include "replay/plan.h"
#include "replay/rules.h"
#include "replay/tally.h"
#include "replay/worker.h"
#include "traces/base/opt.h"

#define REP_ABORTED_MAX  REP_RULES_TEXT_MAX
#define REP_TLS_TEXT_MAX 200
#define REP_USERS_MAX    4096u /* per worker */

struct rep_run_config {
    const char *trace, *out; /* paths, or "-" */
    bool force;              /* replace an existing run file */
    enum op_tier tier;
    const char *http, *grpc; /* targets, or NULL */
    /* Of the tier kafka, in place of them; brokers NULL: another tier. What is not of
     * its options (ids, times) is filled in. */
    struct rep_kafka_config kafka;
    struct rep_tls_config tls; /* where a target's address asks for it */
    bool curl;                 /* REST goes out by libcurl */
    int http_version;          /* of libcurl: 1 or 2 */
    const char *proxy;         /* of libcurl; or NULL */
    bool rest_wanted, grpc_wanted;
    const char *speed;
    struct rep_versions versions;
    const struct rep_headers *headers; /* sent with every request; or NULL */
    enum rep_ids ids;
    uint64_t seed; /* of request ids; 0: by chance */
    uint32_t workers;
    uint32_t http_connections, grpc_connections; /* over all workers; 0: by default */
    bool pinned; /* over recorded ones; the two above then bound those open at once */
    uint32_t streams;
    uint64_t requests_per_connection; /* 0: no bound */
    uint32_t users;                   /* closed loop; 0: open */
    bool sessions, sessions_stop;     /* partly open; a failure ends its session */
    int64_t deadline_ns, connect_limit_ns;
    int64_t duration_ns;            /* 0: the whole trace */
    int64_t warmup_ns, cooldown_ns; /* phases at both ends, which analysis leaves out */
    struct rep_shard shard;
    struct clk_wall start_at; /* 0: as soon as all is ready */
    int64_t lag_ns; /* start so long behind the trace's own time; 0: do not. Of a trace
                       with its calendar, at speed 1, in an open loop */
    struct rep_rule *rules; /* that end the run early */
    size_t rule_count;
    int64_t rule_window_ns;
    struct rep_policy policy; /* cap: over all workers */
    uint64_t answer_max;
    struct rep_answer_want answers;
    bool spin, pin;
    bool quiet;
    bool live;                     /* the view over the whole terminal */
    const char *metrics;           /* where a page for Prometheus is served, or NULL */
    const struct opt_strv *labels; /* KEY=VALUE, checked */
    const char *options;           /* for the note: the command line in short */
    const volatile sig_atomic_t *interrupts; /* signals that came so far; or NULL */
};

struct rep_run_result {
    struct rep_tally tally;
    struct rep_health health;
    struct rep_failures connect_failures;
    char tls[REP_TLS_TEXT_MAX]; /* what was agreed at the start; empty: plaintext */
    uint64_t tls_full, tls_resumed;
    uint64_t connects, connection_ends[REP_END_COUNT];
    struct trc_info trace;
    struct rep_plan_counts plan;
    /* Of a trace that came through a pipe with its calendar, at speed 1: how long after
     * its recorded arrival each operation was due. */
    int64_t lag_ns;
    bool lag_known;
    int64_t lag_asked_ns;          /* 0: none was */
    struct rep_kafka_counts kafka; /* of the tier kafka; its histogram is ours */
    uint64_t never_due;
    bool never_due_known;
    bool interrupted;
    char aborted[REP_ABORTED_MAX]; /* why a rule ended the run early; empty: none did */
    int64_t duration_ns;
    const char *discipline; /* of arrivals: "open", "partly-open", "closed" */
    const char *out;
};

/* 0, or what ended or prevented the run: ERR_STOPPED for a signal, ERR_PEER when the
 * target cannot be reached at the start or nothing could be sent, the reader's or the
 * writer's error. The result is to be given to rep_run_result_done in any case, and is
 * filled as far as the run went (tally.due > 0). A run that a rule of its own ended
 * early is no failure here: result->aborted says why. The run file, once begun, is
 * closed properly unless it is what failed. */
int rep_run(const struct rep_run_config *c, struct rep_run_result *r,
            struct err *e) MUST_USE;
void rep_run_result_done(struct rep_run_result *r);

#endif

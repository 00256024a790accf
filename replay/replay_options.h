/*
 * replay_options.h - what `reprise replay` is asked for: its options as they are given,
 * checked, and described in the run.
 *
 * One thread at a time. A zeroed struct is what opt_parse of rep_replay_doc fills.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef REPLAY_REPLAY_OPTIONS_H
#define REPLAY_REPLAY_OPTIONS_H

#include "replay/engine/tls.h"
#include "traces/base/buf.h"
#include "traces/base/opt.h"

enum { REP_PROTOCOL_BOTH, REP_PROTOCOL_REST, REP_PROTOCOL_GRPC };
enum { REP_ENGINE_OWN, REP_ENGINE_CURL };
enum { REP_INVALID_FAILS, REP_INVALID_PASSES };
enum { REP_SESSION_CONTINUES, REP_SESSION_STOPS };
enum { REP_DIGEST_BODY, REP_DIGEST_CONTENT };

/* Of choices it has the place in the option's list: tier from OP_TIER_ENVOY on, ids as
 * enum rep_ids, http_version 0 or 1 for 1.1 or 2, the others as above. */
struct rep_options {
    struct rep_tls_config tls;
    const char *out, *http, *grpc, *speed, *debug, *start_at, *shard;
    const char *kafka, *topic_prefix, *name_space;
    struct opt_strv kafka_options;
    int keys; /* enum kafka_key_style, newest first */
    const char *proxy, *connections_text, *header_file, *bearer_file;
    int invalid, tier, protocol, ids, engine, http_version, session_error;
    uint64_t connections, grpc_connections, streams, workers, users, seed, version;
    int64_t deadline_ns, connect_ns, duration_ns, drop_late_ns, abort_late_ns,
        warmup_ns, cooldown_ns, lag_ns;
    uint64_t cap, requests_per_connection;
    double catch_up;
    uint64_t answer_max;
    struct opt_strv versions, labels, rules, checks;
    int64_t window_ns;
    int digest;
    bool pinned, sessions, force, check, spin, pin, quiet, json, live;
    const char *metrics;
};

extern const struct opt_cmd rep_replay_doc; /* the table, and all that --help says */

/* Reads what is a number or a word, and refuses what is out of range or does not go
 * together. Contacts nobody. ERR_USAGE. */
int rep_options_check(struct rep_options *c, struct err *e) MUST_USE;
/* What of the command line decides what was measured, in one line. Labels and addresses
 * have notes of their own. */
void rep_options_describe(const struct rep_options *c, struct buf *out);
void rep_options_done(struct rep_options *c);

#endif

/*
 * campaign.h - a plan for comparing targets: which runs, in which order.
 *
 * A plan is a JSON file (the keys stand in the --help of `reprise campaign`). It names
 * one trace and two or more arms; the first arm is the baseline. Runs come in pairs
 * (one run of every arm, next to each other in time), and the order inside each pair is
 * drawn from the plan's seed, so that time is no confounder and the sign-flip test of
 * the comparison is exact. A zeroed struct is a valid empty plan. One thread at a time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef REPLAY_CAMPAIGN_H
#define REPLAY_CAMPAIGN_H

#include "traces/base/arena.h"
#include "traces/base/err.h"

#define REP_ARMS_MAX       8
#define REP_ARGS_MAX       64
#define REP_PAIRS_MAX      1000
#define REP_PLAN_BYTES_MAX (1u << 20)

/* A list of words, as they go into an argument vector. */
struct rep_args {
    const char *v[REP_ARGS_MAX];
    size_t n;
};

struct rep_arm {
    const char *name;    /* letters, digits, '-', '_': it becomes part of file names */
    const char *version; /* of SCv2, for the report; may be NULL */
    struct rep_args replay; /* options of this arm alone: tier and addresses at least */
};

struct rep_campaign {
    const char
        *trace;      /* as written in the plan; relative to where reprise was started */
    uint64_t pairs;  /* wanted */
    uint64_t spares; /* pairs that may be run in addition, one for each invalid pair */
    uint64_t seed;
    int64_t pause_ns;       /* between runs */
    struct rep_args replay; /* options that all runs share */
    struct rep_args gates;  /* of the comparison; none: its default */
    struct rep_args
        before_run; /* a command to run before each run (no shell); may be empty */
    struct rep_arm arms[REP_ARMS_MAX];
    size_t arm_count;
    char hash[33];      /* of everything above, in a canonical form: 32 hex digits */
    struct arena arena; /* owns the strings */
};

/* Reads and checks a plan. ERR_IO; ERR_FORMAT with line and column or the offending key
 * (unknown keys are refused, not ignored); ERR_LIMIT. On failure c is empty. */
int rep_campaign_load(struct rep_campaign *c, const char *path, struct err *e) MUST_USE;
/* The same from memory. */
int rep_campaign_parse(struct rep_campaign *c, struct span text,
                       struct err *e) MUST_USE;
void rep_campaign_done(struct rep_campaign *c);

/* The order of the arms in pair number `pair` (from 0): a permutation of 0…arm_count-1
 * that depends on seed and pair alone. */
void rep_campaign_order(const struct rep_campaign *c, uint64_t pair,
                        size_t order[REP_ARMS_MAX]);

#endif

/*
 * search_probe.h - what the report of one run says about limits.
 *
 * Reads the JSON of `reprise report` (schema reprise/report/1): replay and analysis
 * meet in files. Thread-safe.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef REPLAY_SEARCH_PROBE_H
#define REPLAY_SEARCH_PROBE_H

#include "replay/search.h"
#include "traces/base/span.h"

#define REP_LIMITS_MAX 8

struct rep_probe_facts {
    enum rep_probe said;
    char health[16];          /* "VALID" … */
    char reason[200];         /* why it says nothing; empty else */
    double offered, achieved; /* per second; 0: not told */
    struct {
        bool known, infinite;
        int64_t ns;   /* of a latency */
        double share; /* of errors */
        bool beyond;
    } values[REP_LIMITS_MAX];
};

/* An INVALID run (if by_health), and one too short for a limit's quantile, say nothing.
 * ERR_FORMAT: it is no such report. */
int rep_probe_judge(struct rep_probe_facts *f, struct span json,
                    const struct rep_limit *limits, size_t count, bool by_health,
                    struct err *e) MUST_USE;

#endif

/*
 * health.h - may this run be believed? Causes with their numbers, and one verdict.
 *
 * Judges the generator, never the target: a slow or failing target gives a VALID run
 * with bad numbers. Back-pressure (nothing was free because the target held it) is
 * therefore no cause. The thresholds are the rows of one table, each with what makes a
 * run DEGRADED and what makes it INVALID; where a threshold is relative to the target's
 * own times, the larger of the relative and the absolute bound holds, so that a fast
 * target does not condemn a machine that is as exact as it can be. Pure; thread-safe.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef REPLAY_HEALTH_H
#define REPLAY_HEALTH_H

#include "traces/base/buf.h"

enum rep_verdict { REP_VALID, REP_DEGRADED, REP_INVALID };
extern const char *const rep_verdict_names[]; /* "VALID" "DEGRADED" "INVALID" */

/* Numbers of one run. A time that is zero or negative was not measured: no row asks. */
struct rep_health_facts {
    uint64_t due, outcomes; /* operations due; outcomes written */
    uint64_t sent;
    int64_t generator_p99_ns; /* lateness of our own making */
    int64_t undelayed_p99_ns; /* of response times without that lateness */
    int64_t service_p50_ns, response_p50_ns, response_p99_ns; /* of answered ones */
    double trend_ppm;         /* growth of the generator's lateness per run time */
    double offered, achieved; /* starts per second, back-pressure taken out */
    int64_t starved_ns, duration_ns;
    double steal_share;   /* of the machine's time; < 0: unknown */
    int64_t throttled_ns; /* held back by the CPU limit of its control group */
    double worked_share;  /* of the busiest worker's time: work, not waiting */
    int64_t waited_ns;    /* longest that a worker stood in line for a processor; < 0:
                             unknown */
    double gap_distance;  /* share of gaps between sends that were off (gaps.h) */
    double coverage_lack; /* share of what happened that the trace does not hold */
    uint32_t workers_lost;
    int64_t wall_step_ns; /* sum of absolute steps of the wall clock */
    bool clock_backwards, interrupted;
    uint64_t client_errors; /* lacks of our own: ports, descriptors, memory */
};

#define REP_CAUSES_MAX 16

struct rep_cause {
    enum rep_verdict weight;
    const char *code; /* constant: "lateness", "steal" … */
    char text[160];
};

struct rep_health {
    enum rep_verdict verdict;
    size_t count;
    struct rep_cause causes[REP_CAUSES_MAX]; /* worst first */
};

void rep_health_judge(const struct rep_health_facts *f, struct rep_health *h);
/* "SEVERITY code: text" lines, as the note has them (traces/run_notes.h). */
void rep_health_lines(const struct rep_health *h, struct buf *out);

#endif

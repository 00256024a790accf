/*
 * run_own.h - one run while it lasts, for the files that make it up; inside
 * replay/run*.c only.
 *
 * run_open.c makes sure of everything that a run needs before it begins, run_watch.c is
 * what the caller's thread does meanwhile, run_note.c writes down what the run is and
 * how it went, and run.c leads from one to the other. All of it belongs to the caller's
 * thread; with workers it shares `control` and their own hand-over.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef REPLAY_RUN_OWN_H
#define REPLAY_RUN_OWN_H

#include "replay/gaps.h"
#include "replay/machine.h"
#include "replay/metrics.h"
#include "replay/progress.h"
#include "replay/run.h"
#include "replay/screen.h"
#include "replay/suspects.h"
#include "traces/container/trc_writer.h"

#define REP_RUN_AREA   "replay"     /* of the log */
#define REP_RUN_NAP_NS (5 * CLK_MS) /* between two looks at the workers */

/* Everything of one run while it lasts; owned by rep_run. */
struct rep_running {
    const struct rep_run_config *config;
    struct rep_run_result *result;
    const struct clk *clk;
    struct rep_address http, grpc, proxy;
    struct rep_speed speed;
    struct rep_kafka *kafka; /* of the tier kafka, or NULL */
    struct rep_plan *plan;
    char coverage[32]; /* share that a captured trace states; empty: none */
    struct trc_writer *writer;
    struct rep_worker *workers[REP_WORKERS_MAX];
    struct rep_worker_stats stats; /* summed */
    uint32_t worker_count;
    struct rep_control control;
    struct rep_share share; /* of processors, between workers, feeder and this thread */
    struct clk_wall start_at;   /* when to start; 0: as soon as all is ready */
    struct clk_wall start_wall; /* the same moment */
    int64_t start_ns;
    int64_t cooldown_from_ns; /* of run time; meaningful if there is a cool-down */
    struct rep_progress progress;
    struct rep_screen screen;
    struct rep_metrics *metrics; /* NULL: not asked for */
    int64_t metrics_next_ns;     /* absolute: when to look at it again */
    uint64_t due_by_workers;     /* once they are joined */
    struct rep_rules rules;
    struct rep_machine machine;
    struct rep_cpu_times cpu_before;
    int64_t throttled_before_ns; /* < 0: unknown */
    struct rep_gaps gaps;
    double coverage_lack;
    uint32_t workers_lost;
    int64_t own_before_ns;
    struct rep_clock_watch clock;
    struct arena arena; /* of answer checks */
    struct rep_suspects suspects;
    unsigned wrong_shown, crossed_shown;
    struct err fault; /* the first thing that ended the run early */
};

/* --- run.c ------------------------------------------------------------------------ */

void rep_running_nap(void);
bool rep_running_interrupted(const struct rep_running *x); /* by a signal */
/* Lets workers end what they have; outcomes are still collected. */
void rep_running_stop(struct rep_running *x);
/* Connections, over all workers, as they were asked for or by default. */
uint32_t rep_running_http(const struct rep_run_config *c);
uint32_t rep_running_grpc(const struct rep_run_config *c);

/* --- run_open.c ------------------------------------------------------------------- */

/* Understands speed and addresses, and refuses what the run file or TLS cannot be.
 * ERR_USAGE. */
int rep_running_ask(struct rep_running *x, struct err *e) MUST_USE;
/* Opens the trace, waits until its first part is read, and sees whether the targets are
 * there and their certificates hold. ERR_PEER, ERR_STOPPED, or why the trace cannot be
 * read. */
int rep_running_open(struct rep_running *x, struct err *e) MUST_USE;
/* Opens the run file. */
int rep_running_open_writer(struct rep_running *x, struct err *e) MUST_USE;
/* Until `early` before the moment that was asked for (0: none was). A start that was
 * missed is an error: other machines have begun without us. ERR_USAGE, ERR_STOPPED. */
int rep_running_await_start(struct rep_running *x, int64_t early,
                            struct err *e) MUST_USE;

/* --- run_note.c ------------------------------------------------------------------- */

/* Notes go to the run file; one that cannot be written is x->fault. */
void rep_running_note(struct rep_running *x, const char *key, const char *value);
/* Trace, target, schedule, machine: all that is known when the run begins. */
void rep_running_note_start(struct rep_running *x);
/* Last of the notes of the start: names the moment that was just chosen. */
void rep_running_note_moment(struct rep_running *x);
/* Counts, lateness, health: all that is known when it has ended. */
void rep_running_note_end(struct rep_running *x, const struct rep_health_facts *f);

/* --- run_watch.c ------------------------------------------------------------------ */

/* Until every worker has ended and every outcome is written. */
void rep_running_watch(struct rep_running *x);
/* Writes an outcome and counts it (x is a struct rep_running). The request is still to
 * be released. */
void rep_running_outcome(void *x, struct rep_request *r);
/* Ends the run if a rule that it was given is broken. */
void rep_running_look_at_rules(struct rep_running *x);
/* What the health is judged by, after duration_ns of the run. */
void rep_running_gather(struct rep_running *x, int64_t duration_ns,
                        struct rep_health_facts *f);

#endif

/*
 * worker.h - one sending thread: its loop, its connections, its share of the schedule.
 *
 * A worker takes requests from the plan, holds each until it is due, gives it to the
 * engine of its protocol when a connection or stream is free, and passes it on when it
 * ended. It shares nothing with other workers; requests come in and go out through
 * hand-over rings.
 *
 * Open loop: a request is due at its scheduled time, whatever happens to others. One
 * that finds nothing free waits in order (back-pressure) and is sent late, unless the
 * policy has another way. Partly open: so is the first of a session, and later ones
 * follow its answers (sessions.h). Closed loop: `users` requests are under way at any
 * time; the next is due when a user becomes free.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef REPLAY_WORKER_H
#define REPLAY_WORKER_H

#include <stdatomic.h>

#include "replay/engine/engine.h"
#include "replay/plan.h"
#include "replay/share.h"

/* What becomes of an operation that is due and finds nothing free. All zero: it waits
 * for its turn, however long. */
struct rep_policy {
    int64_t drop_late_ns;  /* drop it once it is so late; 0: never */
    int64_t abort_late_ns; /* end the run once one is so late; 0: never */
    uint32_t cap;    /* refuse it while so many are due and not ended; 0: no cap */
    double catch_up; /* send a backlog at most so many times as fast as it was due; 0:
                        as fast as it can be */
};

/* What the run and its workers tell each other. */
struct rep_control {
    _Atomic int64_t start_ns; /* absolute; 0: not yet known */
    _Atomic bool stop;        /* end what is in flight, send no more */
    _Atomic bool too_late;    /* by a worker: one waited longer than abort_late_ns */
};

struct rep_worker_config {
    uint32_t index;
    struct rep_plan *plan;
    struct rep_control *control;
    const struct rep_share *share; /* or NULL */
    const struct clk *clk;
    const struct rep_address *http, *grpc;       /* NULL: no such target */
    uint32_t http_connections, grpc_connections; /* of this worker */
    uint32_t streams;
    uint64_t requests_per_connection;  /* 0: no bound */
    const struct rep_tls_config *tls;  /* of targets that take it */
    const struct rep_engine_ops *rest; /* which engine sends REST */
    int http_version;                  /* rep_engine_config tells of these two */
    const struct rep_address *proxy;
    struct rep_kafka *kafka; /* of the tier kafka, in place of targets; or NULL */
    unsigned warm;           /* protocols to connect before the start: 1 << protocol */
    int64_t warm_limit_ns;   /* wait no longer for them */
    int64_t deadline_ns;
    uint64_t answer_max;
    bool keep_answers;
    bool spin;
    int pin_cpu;    /* or -1 */
    uint32_t users; /* closed loop; 0: open */
    bool pinned; /* over recorded connections: *_connections bound those open at once */
    bool sessions;      /* partly open */
    bool sessions_stop; /* a session ends with its first failure */
    struct rep_policy policy;
    int64_t limit_ns; /* closed, partly open: nothing after this; REP_NEVER: all */
};

/* Read once the worker is joined. */
struct rep_worker_stats {
    struct rep_engine_stats engine; /* of all its engines */
    int64_t starved_ns; /* it could have sent, but the plan had nothing ready */
    int64_t margin_ns;  /* of its pacer */
    int64_t slice_ns;   /* by which it goes first; 0: none */
    int64_t worked_ns;  /* processor time from the start on, less polling for nothing */
    int64_t waited_ns;  /* since then, ready to run, but others had the processor; < 0:
                           unknown */
    uint64_t warm_failed; /* connections that were not up at the start */
    bool clock_backwards;
};

struct rep_worker;

int rep_worker_start(struct rep_worker **w, const struct rep_worker_config *c,
                     struct err *e) MUST_USE;
bool rep_worker_ready(const struct rep_worker *w); /* connected, or given up trying */
bool rep_worker_ended(const struct rep_worker *w);
void rep_worker_wake(struct rep_worker *w); /* after a change of control */

/* Takes requests that ended, linked by next, in the order of their ends; NULL: none
 * now. One whose cause is OUT_STOPPED and whose due_ns is OP_TIME_NONE was never due.
 * Times are absolute. */
struct rep_request *rep_worker_take(struct rep_worker *w);

/* For the live view; may be read at any time. */
struct rep_worker_live {
    uint64_t due, sent; /* so far */
    uint64_t in_flight, waiting;
};
struct rep_worker_live rep_worker_live(const struct rep_worker *w);

/* Waits for the thread, which ends by itself once the plan ended or control.stop was
 * set. 0, or what made it give up; its requests have come back all the same. Requests
 * may still have to be taken afterwards. */
int rep_worker_join(struct rep_worker *w, struct rep_worker_stats *stats,
                    struct err *e) MUST_USE;
void rep_worker_free(struct rep_worker *w); /* joined; NULL is fine */

#endif

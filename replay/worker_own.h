/*
 * worker_own.h - a worker, for the two files that make it up: worker_send.c, where a
 * request that is due goes to an engine and comes back, and worker.c, the thread.
 * Inside replay/worker*.c only.
 *
 * All of it belongs to the worker's thread, but for what is _Atomic, for `out`, which
 * has two ends, and for the config, which is read only.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef REPLAY_WORKER_OWN_H
#define REPLAY_WORKER_OWN_H

#include <pthread.h>

#include "replay/handoff.h"
#include "replay/pacer.h"
#include "replay/pins.h"
#include "replay/sessions.h"
#include "replay/slots.h"
#include "replay/worker.h"

#define REP_LANE_COUNT 2

/* A protocol: its engine, and the requests that are due but found nothing free. */
struct rep_lane {
    struct rep_engine *engine; /* NULL: no target for it */
    struct rep_queue waiting;
    struct rep_slots slots;
    struct rep_pins pins; /* with recorded connections, in place of slots */
    /* Of the one sent last; with a limit to catching up. sent_at 0: none yet. */
    int64_t sent_at, sent_due;
    bool answered; /* in its protocol, once */
};

/* Invariant: a request that is due is in a lane's waiting (or a pin's), with an engine,
 * or in finished; `waiting` and `in_flight` count the first two until the worker gives
 * up what is left. */
struct rep_worker {
    struct rep_worker_config config;
    pthread_t thread;
    struct ev *ev;
    struct rep_lane lanes[REP_LANE_COUNT]; /* REST or Kafka, gRPC */
    const struct rep_engine *astray;       /* its target speaks another protocol */
    struct rep_request *planned;  /* taken from the plan, in order, not yet due */
    struct rep_sessions sessions; /* partly open */
    struct rep_slots users;       /* closed loop: since when each free user is free */
    uint32_t free_users;
    int64_t start_ns, starved_since; /* absolute; 0: is not */
    struct rep_queue finished;       /* to be handed over at the end of the turn */
    struct rep_handoff out;
    struct rep_pacer pacer;
    bool pumping, past_limit;
    bool polls;    /* the plan will have more, and may have it before anything is due */
    int64_t next;  /* what the last pump found: see there */
    int64_t paced; /* when the backlog may go on; REP_NEVER: nothing holds it */
    int64_t last_now; /* read from the clock */
    int64_t recent;   /* that, or when something ended since */
    /* The last turn of the loop began, and was to end at the latest; the last one that
     * looked at all sockets had ended. */
    int64_t turn_from, turn_until, turn_before;
    int64_t polled_ns; /* spent on looking at clock and sockets, for nothing */
    struct rep_worker_stats stats;
    _Atomic bool ready, ended;
    _Atomic uint64_t due, sent, in_flight, waiting;
    int rc;
    struct err err;
};

static inline int64_t rep_worker_now(struct rep_worker *w)
{
    int64_t now = clk_mono_now(w->config.clk).ns;
    if (now < w->last_now)
        w->stats.clock_backwards = true;
    w->last_now = w->recent = now;
    return now;
}

/* The first of planned, of which there is one. */
static inline struct rep_request *rep_worker_pop_planned(struct rep_worker *w)
{
    struct rep_request *r = w->planned;
    w->planned = r->next;
    r->next = r->prev = NULL;
    return r;
}

/* --- worker_send.c ---------------------------------------------------------------- */

/* Sends all that is due. In next it leaves when the next one is: absolute, REP_NEVER
 * when that hangs on an answer or there is none, 0 when the plan has to be asked again.
 * The clock was read since this thread slept. */
void rep_worker_pump(struct rep_worker *w);
/* An engine gives a request back (arg is the worker): its slot goes to the next at
 * once, not at the turn's end. */
void rep_worker_done(void *arg, struct rep_request *r);
/* The request ended, or will not be sent: it goes to `finished`. */
void rep_worker_finish(struct rep_worker *w, struct rep_request *r);
/* It waited, and never got a connection. */
void rep_worker_never_ready(struct rep_request *r);

#endif

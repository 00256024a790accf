/*
 * si_core.h - the life of a call between its last byte and its answer.
 *
 *      reading ──► serving: queue ─ worker ─ extra time ──► answered ──► free
 *         │           │ (client gone: finishes alone)          ▲
 *         └───────────┴──► hanging ──(envoy: stream timeout)───┘
 *
 * A connection takes an exchange with its first byte, fills the request and hands it
 * in; the core lets the tier decide, draws service time and faults, and calls the
 * connection back when the answer goes out. Exchanges are pooled: the steady state
 * allocates nothing. One thread, that of the loop.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DEPLOY_STANDIN_SI_CORE_H
#define DEPLOY_STANDIN_SI_CORE_H

#include <stdio.h>

#include "deploy/standin/si_fault.h"
#include "deploy/standin/si_queue.h"
#include "deploy/standin/si_service.h"
#include "deploy/standin/si_stamps.h"
#include "deploy/standin/si_tier.h"
#include "traces/base/ev.h"

enum si_draw { SI_DRAW_ORDER, SI_DRAW_BODY, SI_DRAW_ID };
extern const char *const si_draw_names[]; /* "order" "body" "id" */

struct si_core_options {
    struct si_service service;
    struct si_faults faults;
    int draw;              /* enum si_draw: what a call's random numbers depend on */
    uint16_t error_status; /* of SI_FAULT_ERROR */
    int error_code;        /* its gRPC code when the tier itself answers it */
    bool error_at_model;   /* raised by the model, so that tiers in front retry */
    uint64_t workers;
    int64_t stream_timeout_ns;
    int64_t stream_gap_ns; /* between the messages of an answer that streams */
};

struct si_exchange;

/* How the core talks to the connection that an exchange came from. None may free the
 * exchange before it returns; all may mark the connection for closing. */
struct si_wire {
    /* The reply goes out, with the exchange's fault, of its body the first `released`
     * bytes; then ex is the wire's. */
    void (*answer)(struct si_exchange *ex);
    /* More of the body is released; perhaps all. */
    void (*more)(struct si_exchange *ex);
    /* The call ends without an answer: connection or stream is cut. */
    void (*cut)(struct si_exchange *ex);
    /* `ex` now belongs to the call that ex->conn and ex->stream name. */
    void (*rebind)(struct si_exchange *ex);
};

enum si_state { SI_READING, SI_SERVING, SI_HANGING, SI_DONE };

struct si_exchange {
    struct si_call call;
    struct si_core *core;
    const struct si_tier *tier;
    const struct si_wire *wire;
    void *conn;     /* the wire's; NULL: the client is gone */
    int32_t stream; /* HTTP/2 */
    enum si_state state;
    enum si_fault fault;
    uint64_t ordinal;
    struct clk_mono first_byte;
    struct clk_mono due; /* end of its service */
    int64_t service_ns;
    struct ev_timer *timer;
    struct si_stamp *stamp;
    struct buf body;                 /* of the request, as collected by the wire */
    size_t body_sent;                /* of the reply, by the wire */
    size_t released;                 /* of the reply's body: what may go out */
    struct si_place place;           /* in the queue */
    struct si_exchange *next_flying; /* same bucket of flying calls */
    struct si_exchange *next, *prev; /* all that are in use, or the free list (next) */
};

#define SI_FLYING 1024u

struct si_counts {
    uint64_t requests, answered;
    uint64_t failed; /* of the answered: with HTTP >= 400 or a gRPC code */
    uint64_t faults[SI_FAULT_COUNT];
    uint64_t hung, cut, abandoned; /* abandoned: the client went before the answer */
    uint64_t connections;
};

struct si_core {
    struct si_core_options o;
    struct ev *ev;
    struct si_world *world;
    struct si_queue queue;
    struct si_stamps stamps;
    FILE *log; /* borrowed; NULL: requests are not logged */
    struct buf log_line;
    struct si_counts counts;
    uint64_t next_ordinal;
    struct si_exchange *in_use, *unused;
    struct si_exchange *crossing; /* waits for another to exchange answers with */
    struct si_exchange *flying[SI_FLYING]; /* at the gateway, by key */
};

/* ev and world are borrowed. */
void si_core_init(struct si_core *core, const struct si_core_options *o, struct ev *ev,
                  struct si_world *world);
void si_core_done(struct si_core *core); /* after all connections are gone */

/* For the wire: an exchange whose first byte was read at `at`; NULL: no memory. */
struct si_exchange *si_core_take(struct si_core *core, const struct si_tier *tier,
                                 const struct si_wire *wire, void *conn,
                                 uint32_t conn_ordinal, struct clk_mono at);
/* The request is complete since `at`; may answer at once. */
void si_core_request(struct si_exchange *ex, struct clk_mono at);
/* The wire is done with it, or its client is gone. ex must not be used afterwards. */
void si_core_drop(struct si_exchange *ex);

#endif

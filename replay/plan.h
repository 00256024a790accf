/*
 * plan.h - the feeder: reads a trace ahead and makes its operations ready to be sent.
 *
 * One thread decodes blocks, rewrites names, headers and ids for the tier, frames
 * bodies, computes due times, and deals the requests to the workers in turn. It stays
 * ahead by as many slices as fit the workers' rings, and never holds more than
 * REP_PLAN_BYTES_MAX, so memory does not depend on the length of the trace. Nothing of
 * this happens on a sending thread. Open, start, stop, join and close belong to one
 * thread; rep_request_release may be called from any.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef REPLAY_PLAN_H
#define REPLAY_PLAN_H

#include <signal.h>

#include "replay/handoff.h"
#include "replay/headers.h"
#include "replay/request.h"
#include "replay/schedule.h"
#include "replay/shard.h"
#include "replay/share.h"
#include "replay/tier.h"
#include "traces/container/trc_reader.h"

#define REP_PLAN_BYTES_MAX ((size_t)512 << 20)
#define REP_RING           8u /* slices that a worker may have waiting */
#define REP_WORKERS_MAX    256u

enum rep_ids { REP_IDS_MINT, REP_IDS_KEEP, REP_IDS_NONE };

struct rep_plan_config {
    const char *trace; /* path, or "-" */
    enum op_tier tier;
    struct rep_routes routes; /* of the tier kafka */
    const char *http, *grpc;  /* authorities ("host:port"), or NULL: not given */
    bool grpc_tls;            /* the scheme is https */
    bool rest_wanted, grpc_wanted;
    struct rep_speed speed;
    struct rep_shard shard; /* plan its operations alone */
    struct rep_versions versions;
    const struct rep_headers *headers; /* sent with every request; or NULL */
    enum rep_ids ids;
    uint64_t id_nonce;   /* sets the ids of this run apart from all others */
    int64_t deadline_ns; /* for grpc-timeout */
    bool pins;           /* each goes over its recorded connection, or is refused */
    bool sessions;       /* give each its session and think time */
    int64_t limit_ns;    /* plan nothing due at or after this; REP_NEVER: all */
    uint32_t workers;
    struct rep_share *share; /* with the workers; or NULL */
    /* Signals that came so far: rep_plan_open waits for a pipe no longer; or NULL. */
    const volatile sig_atomic_t *interrupts;
};

struct rep_plan;

/* Opens the trace and reads its first block. ERR_IO, ERR_FORMAT, ERR_TRUNCATED …;
 * ERR_FORMAT as well when the file is a run; ERR_STOPPED by a signal. */
int rep_plan_open(struct rep_plan **p, const struct rep_plan_config *c,
                  struct err *e) MUST_USE;
/* While the feeder runs: what was known at the opening. Once joined: all there is. */
const struct trc_info *rep_plan_info(const struct rep_plan *p);
/* Arrival of the trace's first operation; false: the first block holds none. Before the
 * start only. */
bool rep_plan_first(const struct rep_plan *p, int64_t *arrival_ns);
/* A note of the trace, or NULL; before the start only. Borrowed until then. */
const char *rep_plan_note(const struct rep_plan *p, const char *key);
int rep_plan_start(struct rep_plan *p, struct err *e) MUST_USE;

/* For worker i: takes the next requests, linked by next in order of due time, or NULL
 * when there are none now; then, if rep_plan_ended was true before the call, there
 * never will be. */
struct rep_request *rep_plan_take(struct rep_plan *p, uint32_t worker);
bool rep_plan_ended(const struct rep_plan *p);
uint32_t rep_plan_workers(const struct rep_plan *p);
/* True once every ring is full or the whole trace is read: a good moment to start. */
bool rep_plan_primed(const struct rep_plan *p);

/* Bit 1 << protocol for what has been planned so far and can be sent. */
unsigned rep_plan_protocols(const struct rep_plan *p);

/* Tells the feeder to stop, also where it waits for a pipe; requests that were planned
 * stay valid. */
void rep_plan_stop(struct rep_plan *p);
/* The same, from this moment on, if the feeder then waits for a pipe: absolute, on the
 * monotonic clock. What a pipe brought by then is planned as far as the limit goes. */
void rep_plan_wait_until(struct rep_plan *p, int64_t at_ns);
/* Waits for the feeder. 0, or why it could not read on. Afterwards the counts hold. */
int rep_plan_join(struct rep_plan *p, struct err *e) MUST_USE;

struct rep_plan_counts {
    uint64_t planned;    /* requests handed out, those to be refused included */
    uint64_t filtered;   /* of the shard: their protocol was not wanted */
    int64_t epoch_ns;    /* arrival of the trace's first operation */
    int64_t last_due_ns; /* of the last one planned */
    uint64_t sessions, thinks, gaps; /* as in sessions.h; without them 0 */
};
struct rep_plan_counts rep_plan_counts(const struct rep_plan *p);

/* Releases what nobody took; requests that were taken must have been released. NULL is
 * fine. */
void rep_plan_close(struct rep_plan *p);

#endif

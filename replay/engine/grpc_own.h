/*
 * grpc_own.h - the gRPC engine's connections and calls, for the files that make it up;
 * inside replay/engine/grpc*.c only.
 *
 * In the order in which they build on each other: grpc_calls.c is the calls that a
 * connection carries and could carry, grpc_answer.c what the peer says of them,
 * grpc_frames.c how requests become frames, grpc_link.c one connection from connect to
 * its end, grpc_engine.c which connection a request goes to and the engine's face.
 * All of it belongs to the worker's thread. Giving a request back (done of the
 * configuration) may bring the next one, and with it any call of the engine but close.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef REPLAY_ENGINE_GRPC_OWN_H
#define REPLAY_ENGINE_GRPC_OWN_H

#include "replay/engine/engine.h"
#include "traces/wire/grpc_frame.h"
#include "traces/wire/h2_client.h"

#define REP_GRPC_RECV_BYTES (256u << 10)
#define REP_GRPC_NONE       UINT32_MAX

enum rep_link_state { REP_LINK_CLOSED, REP_LINK_CONNECTING, REP_LINK_UP };

/* One stream, or what is to become one. It is in its link's calls from rep_call_new
 * until it ends; request->place leads to it, and is NULL while it is on no link. */
struct rep_call {
    struct rep_call *next, *prev; /* of the link's calls, or of the free ones (next) */
    struct rep_call *work_next, *work_prev;
    struct rep_link *link;
    struct rep_request *request;
    uint32_t slot; /* of the HTTP/2 connection, while has_slot */
    bool has_slot;
    bool working;   /* is in the link's list of those with something to frame */
    bool streams;   /* the answer may be any number of messages */
    bool grpc_type; /* content-type is application/grpc… */
    bool garbage;
    uint16_t status;
    int grpc_status; /* -1: none came */
    size_t taken;    /* bytes of the request that were framed */
    uint64_t flush;  /* number of the write that carried its HEADERS; 0: none yet */
    uint32_t prefix_got;
    uint8_t prefix[GRPC_PREFIX_BYTES];
    uint64_t message_bytes; /* promised by the prefix */
    struct buf message;     /* of a stream: its messages, one behind the other */
    struct grpc_frame frame;
    size_t message_at;  /* where the present one begins */
    int64_t message_ns; /* when its first byte came */
    /* Of a request of several messages: those that may go by now, and whether it waits
     * for the time of the next. */
    uint32_t parts_taken;
    size_t parts_end; /* their bytes */
    bool paused;
};

/* One connection, or a place for one. Invariants: fd exists unless CLOSED; open ==
 * length of calls; those with something to frame are in work, unless they wait for a
 * time. */
struct rep_link {
    struct rep_grpc *en;
    struct rep_link *next_old; /* among those that drain */
    uint32_t index; /* its place among the links; REP_GRPC_NONE: a successor has it */
    uint32_t room;  /* calls that its place has room for; see rep_link_note */
    int fd;
    struct rep_tls_conn *tls; /* NULL: plaintext, or not connected */
    enum rep_link_state state;
    uint32_t ordinal;
    bool wants_write, settled; /* settled: the peer's SETTINGS came */
    bool draining;             /* it takes no more calls, for that reason: */
    enum rep_end why;
    bool foreign;     /* the peer speaks another protocol: counted as not made */
    uint64_t carried; /* calls that it was given */
    bool reading; /* its events are being handled: it may neither be made to write nor
                     be freed */
    struct rep_call *calls;
    struct rep_call *work, *work_last;
    uint32_t open;
    struct buf out; /* framed (TLS: encrypted), not yet written: from out_at on */
    size_t out_at;
    struct rep_call **fresh; /* whose HEADERS are in `out` and not yet stamped */
    size_t fresh_count, fresh_cap;
    uint64_t flushes;
    size_t last_write; /* bytes of write number `flushes` */
    struct h2_client h2;
};

/* Invariants: room == sum of the links' rooms; every request of ours is in flight, and
 * either on a link or in again. */
struct rep_grpc {
    struct rep_engine base;
    struct rep_link **links;
    struct rep_link *old; /* draining, with a successor in their place */
    struct rep_call *spare_calls;
    struct rep_queue flight;    /* every request that is ours */
    uint64_t parted;            /* … of them with several messages */
    struct rep_request **again; /* to be sent a second time, when there is room */
    size_t again_count, again_cap;
    uint32_t *rank; /* of each link: the least takes the next call; REP_GRPC_NONE: none
                       can */
    uint64_t room;  /* for calls, on all links */
    uint8_t *recv_bytes; /* REP_GRPC_RECV_BYTES of them */
    uint32_t reach;      /* of links: those behind were never used */
    uint32_t next_ordinal;
    uint32_t warming;   /* links whose first attempt has not ended */
    int64_t now;        /* of the read in hand */
    struct rep_tls tls; /* where the target takes it */
};

static inline int64_t rep_grpc_now(const struct rep_grpc *en)
{
    return clk_mono_now(en->base.config.clk).ns;
}

/* Whether there may be something to frame. */
static inline bool rep_link_busy(const struct rep_link *l)
{
    return l->h2.out.n > 0 || l->work;
}

/* Nothing is left to be said on it: a connection that drains has carried its last call.
 */
static inline bool rep_link_over(const struct rep_link *l)
{
    return l->draining && l->open == 0;
}

/* Puts the call into its link's work, behind the others, or takes it out. Nothing
 * happens when it is there, or is not. */
static inline void rep_call_work_add(struct rep_call *c)
{
    struct rep_link *l = c->link;
    if (c->working)
        return;
    c->working = true;
    c->work_next = NULL;
    c->work_prev = l->work_last;
    if (l->work_last)
        l->work_last->work_next = c;
    else
        l->work = c;
    l->work_last = c;
}

static inline void rep_call_work_remove(struct rep_call *c)
{
    struct rep_link *l = c->link;
    if (!c->working)
        return;
    c->working = false;
    if (c->work_prev)
        c->work_prev->work_next = c->work_next;
    else
        l->work = c->work_next;
    if (c->work_next)
        c->work_next->work_prev = c->work_prev;
    else
        l->work_last = c->work_prev;
}

/* --- grpc_calls.c ----------------------------------------------------------------- */

/* How many more calls it can carry; one that drains: its successor. */
uint32_t rep_link_room(const struct rep_link *l);
/* Keeps count of what its place among the links can carry, and how soon it is to be
 * taken: fewest calls first, and of these one that is up. To be called when that may
 * have changed. */
void rep_link_note(struct rep_link *l);
/* It finishes what it carries, and takes no more; the first reason stays. */
void rep_link_drain(struct rep_link *l, enum rep_end why);

/* Gives a request back, which is on no link, and may bring the next one. */
void rep_grpc_give_back(struct rep_grpc *en, struct rep_request *r,
                        enum out_cause cause);
/* The request, which is on no link, is to be sent when there is room for it. False: no
 * memory. */
bool rep_grpc_again_add(struct rep_grpc *en, struct rep_request *r);
void rep_grpc_again_remove(struct rep_grpc *en, const struct rep_request *r);
/* The same, as a second sending. False also when it had that. */
bool rep_grpc_send_again(struct rep_grpc *en, struct rep_request *r);

/* A call for the request, on the link and in its work. NULL: no memory. */
struct rep_call *rep_call_new(struct rep_link *l, struct rep_request *r);
/* Puts away a call that is on no list of a link. */
void rep_call_spare(struct rep_grpc *en, struct rep_call *c);
/* Takes a call whose stream is over off its link and gives its request back. */
void rep_call_finish(struct rep_call *c, enum out_cause cause);
/* The same for one whose stream we give up: deadline, too big, garbage. */
void rep_call_abort(struct rep_call *c, enum out_cause cause, enum h2_code code);
/* The same for one whose stream was reset, or can not be opened any more; it may be
 * sent again. broken: by us, because the answer broke the rules. */
void rep_call_reset(struct rep_call *c, uint32_t code, bool broken);

/* --- grpc_answer.c ---------------------------------------------------------------- */

/* What came from the peer; it may end calls. */
void rep_link_event(struct rep_link *l, const struct h2_event *ev);

/* --- grpc_frames.c ---------------------------------------------------------------- */

/* What there is to frame, turn by turn, as long as it fits one write. False: no memory.
 */
bool rep_link_frame_calls(struct rep_link *l);
/* Lets calls that wait for the time of their next message go on; when the next is, or
 * REP_NEVER. */
int64_t rep_grpc_resume(struct rep_grpc *en, int64_t now);

/* --- grpc_link.c ------------------------------------------------------------------ */

/* Begins to connect; what comes of it is counted, and may be known at once. */
void rep_link_start(struct rep_link *l);
/* It could not be made, for that reason; its calls end. */
void rep_link_refused(struct rep_link *l, const struct err *e);
/* What is to be sent becomes bytes of out, which is empty before. */
bool rep_link_frame(struct rep_link *l);
/* Writes all there is. False when the link is gone. */
bool rep_link_write(struct rep_link *l);
/* Closes it; it carries no calls, or only such that are gone from its list. */
void rep_link_shut(struct rep_link *l);
void rep_link_free(struct rep_link *l); /* NULL is fine */

#endif

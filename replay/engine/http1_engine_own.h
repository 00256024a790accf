/*
 * http1_engine_own.h - the HTTP/1.1 engine's connections, for the files that make it
 * up; inside replay/engine/http1_*.c only.
 *
 * In the order in which a request meets them: http1_engine.c gives it a connection,
 * http1_conn.c makes that, reads it and knows its end, http1_send.c writes the request,
 * http1_answer.c is what the peer says to it. All of it belongs to the worker's thread.
 * Giving a request back (done of the configuration) may bring the next one, and with it
 * any call of the engine but close.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef REPLAY_ENGINE_HTTP1_ENGINE_OWN_H
#define REPLAY_ENGINE_HTTP1_ENGINE_OWN_H

#include "replay/engine/engine.h"
#include "replay/engine/events.h"
#include "traces/wire/http1.h"

/* What is left of a request goes out as one piece up to this size: to copy it costs
 * less than a list of pieces. */
#define REP_HTTP1_GATHER 4096u

enum rep_conn_state {
    REP_CONN_CLOSED,
    REP_CONN_CONNECTING,
    REP_CONN_IDLE,
    REP_CONN_BUSY
};

/* Invariants: fd >= 0 unless CLOSED; request set in BUSY, perhaps in CONNECTING, never
 * else; in exactly one list while it has no request: idle when IDLE, else spare. */
struct rep_conn {
    struct rep_http1 *en;
    struct rep_conn *next, *prev;
    int fd;
    struct rep_tls_conn *tls; /* NULL: plaintext, or not connected */
    enum rep_conn_state state;
    uint32_t ordinal;
    bool wants_write; /* EV_WRITE is on */
    struct rep_request *request;
    size_t sent;       /* bytes of the request that were written; TLS: encrypted */
    int write_error;   /* errno value of a failed write: recv may not tell it again */
    bool answered;     /* a byte of the answer came */
    uint64_t carried;  /* requests since it was connected */
    int64_t read_ns;   /* when the last read had brought something, or the end */
    struct span piece; /* the body so far, when it is one piece of the receive buffer */
    struct buf body;   /* else */
    struct rep_events events;   /* of the answer, where it is a stream of them */
    struct http1_parser parser; /* last, for it is long and mostly not touched */
};

struct rep_conn_list {
    struct rep_conn *head;
    uint32_t count;
};

struct rep_http1 {
    struct rep_engine base;
    struct rep_conn *conns;
    struct rep_conn_list idle, spare;
    uint32_t connecting; /* without a request */
    struct rep_queue flight;
    uint8_t *recv_bytes, *send_bytes;
    struct rep_tls tls; /* where the target takes it */
};

static inline int64_t rep_http1_now(const struct rep_http1 *en)
{
    return clk_mono_now(en->base.config.clk).ns;
}

static inline void rep_conn_push(struct rep_conn_list *l, struct rep_conn *c)
{
    c->prev = NULL;
    c->next = l->head;
    if (l->head)
        l->head->prev = c;
    l->head = c;
    l->count++;
}

static inline void rep_conn_remove(struct rep_conn_list *l, struct rep_conn *c)
{
    if (c->prev)
        c->prev->next = c->next;
    else
        l->head = c->next;
    if (c->next)
        c->next->prev = c->prev;
    c->next = c->prev = NULL;
    l->count--;
}

static inline void rep_conn_watch(struct rep_conn *c, bool write)
{
    if (c->wants_write == write)
        return;
    c->wants_write = write;
    /* Cannot fail for a descriptor that is being watched. */
    if (ev_change(c->en->base.config.ev, c->fd, write ? EV_READ | EV_WRITE : EV_READ,
                  NULL) < 0)
        c->en->base.stats.client_errors++;
}

static inline size_t rep_conn_request_bytes(const struct rep_request *r)
{
    return r->stream->head.n + r->wire[0].n + r->wire[1].n;
}

/* --- http1_conn.c ----------------------------------------------------------------- */

/* Begins to connect; with a request on it or without. What comes of it is counted, and
 * may be known at once. */
void rep_conn_start(struct rep_conn *c);
/* Closes the socket; lists and request are the caller's to mend. */
void rep_conn_shut(struct rep_conn *c);
/* Takes the request off the connection and gives it back. The last thing that a handler
 * does with c: the worker may put the next request on it before this returns. */
void rep_conn_finish(struct rep_conn *c, enum out_cause cause);
/* Gives up the connection, whose end is counted here, and with it its request. */
void rep_conn_fail(struct rep_conn *c, enum out_cause cause);
/* The connection ended (errno value sys; 0: FIN) before the answer was complete: sends
 * the request once more if that is safe (engine.h), else ends it. */
void rep_conn_lost(struct rep_conn *c, int sys);

/* --- http1_send.c ----------------------------------------------------------------- */

/* The request of a connection that is up goes out on it. now: the clock, just read. */
void rep_conn_put(struct rep_conn *c, int64_t now);
/* … as far as the socket takes it: to be called when it takes more. */
void rep_conn_write(struct rep_conn *c, int64_t now);

/* --- http1_answer.c --------------------------------------------------------------- */

/* Feeds what came to the parser. False: c was given back and must not be touched. */
bool rep_conn_feed(struct rep_conn *c, struct span in);
/* The peer ended its side. */
void rep_conn_eof(struct rep_conn *c);

#endif

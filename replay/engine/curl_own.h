/*
 * curl_own.h - the sockets and transfers of the engine that is libcurl, for the files
 * that make it up; inside replay/engine/curl*.c only.
 *
 * In the order in which they build on each other: curl_sock.c is the sockets,
 * curl_transfer.c one request on its way through libcurl, curl_request.c what libcurl
 * is told, curl_engine.c its place in the worker's loop and the engine's face. All of
 * it belongs to the worker's thread. Giving a request back may bring the next one, and
 * with it any call of the engine but close; so it never happens within a callback.
 *
 * Headers of ours do not include libcurl's: its handles, CURL and CURLM, are void there
 * too.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef REPLAY_ENGINE_CURL_OWN_H
#define REPLAY_ENGINE_CURL_OWN_H

#include "replay/engine/engine.h"
#include "replay/engine/events.h"

/* A socket of libcurl. In the list socks at its ordinal, fd -1: free. */
struct rep_sock {
    struct rep_curl *en;
    int fd;
    uint32_t ordinal;
    unsigned watched; /* events in the loop; 0: not there */
    bool idle;        /* libcurl does not want to hear of it */
    uint64_t carried; /* requests; 0: it is not known to be connected */
    uint16_t port;    /* its local one; 0: not asked yet */
};

/* What the kernel knows of a connection. */
struct rep_sock_facts {
    bool closed, close_wait; /* its state: reset or over; the peer's FIN came */
    uint64_t acked, sent;    /* bytes of ours */
};

/* A request under way, or a place for one (request NULL). */
struct rep_transfer {
    struct rep_curl *en;
    struct rep_transfer *next; /* of the spare ones */
    void *easy;                /* CURL */
    struct curl_slist *fields;
    struct rep_request *request;
    struct rep_sock *sock; /* that carries it; NULL: none yet, or closed */
    uint64_t epoch;        /* flush before which it was added */
    bool given_up;         /* a further sending was forbidden */
    bool stale;    /* its connection was at its end before anything was sent on it */
    bool opens;    /* HTTP/2: may make a connection, and shares none */
    bool homeless; /* it found none with room, and may not make one */
    bool
        head_ended; /* its empty line came: libcurl takes half a head for a whole one */
    bool too_big, garbage;
    bool closes, framed; /* its answer says close; or where it ends */
    bool sock_limit;     /* its connection takes no more after it */
    bool aborted;
    char why[256];      /* libcurl's words for a failure: CURL_ERROR_SIZE */
    struct span length; /* the last content-length, in length_text */
    char length_text[24];
    uint64_t acked, sent; /* of its connection when it went out */
    bool foreign;         /* what came is of another version of HTTP */
    /* Facts taken when its socket was closed under it. */
    bool lost, unread, orderly, reset;
    enum rep_end ended; /* what that was counted as; REP_END_COUNT: it was not */
    int own_fault;      /* errno value of a socket that could not be made */
    bool events_told;   /* the answer's content type is that of a stream of events */
    bool body_begun;
    struct rep_events events;
    size_t head_bytes;
    struct buf body;
};

/* Invariants: transfers == those in all; of them free_count are spare; each of the
 * others has a request, which is in flight. */
struct rep_curl {
    struct rep_engine base;
    void *multi; /* CURLM */
    struct rep_transfer *spare;
    uint32_t transfers, free_count, limit;
    struct rep_transfer **all; /* [transfers] */
    struct rep_sock **socks;
    size_t sock_count;
    uint32_t *by_port; /* ordinal + 1 of the socket with this local port */
    struct rep_queue flight;
    struct curl_slist *resolve, *connect_to;
    struct buf head; /* of the request that is being set up */
    char url[REP_AUTHORITY_MAX + 16];
    char proxy[REP_AUTHORITY_MAX + 16];
    bool answered;  /* the target did, once */
    bool asked;     /* we did, whether its port is the right one */
    bool closing;   /* what is closed now says nothing about the target */
    bool kick;      /* libcurl wants its timers looked at now */
    uint64_t epoch; /* counts rounds of flush */
    struct ev_timer *timer;
};

static inline int64_t rep_curl_now(const struct rep_curl *en)
{
    return clk_mono_now(en->base.config.clk).ns;
}

/* HTTP/2 that nobody agreed on: without TLS. */
static inline bool rep_curl_by_knowledge(const struct rep_engine_config *c)
{
    return c->http_version == 2 && !c->target->tls;
}

/* --- curl_sock.c ------------------------------------------------------------------ */

struct rep_sock *rep_sock_find(struct rep_curl *en, int fd); /* NULL: closed */
/* The socket with this local port; NULL: there is none. */
struct rep_sock *rep_sock_at(struct rep_curl *en, uint16_t port);
void rep_sock_unwatch(struct rep_sock *s);
/* False: the kernel does not tell. */
bool rep_sock_look(int fd, struct rep_sock_facts *facts);
/* The transfer's sockets are made, and closed, by us. False: no memory. */
bool rep_sock_callbacks(struct rep_transfer *t);

/* --- curl_transfer.c -------------------------------------------------------------- */

/* libcurl tells of the transfer. False: no memory. */
bool rep_transfer_callbacks(struct rep_transfer *t);
/* Gives the transfer, whose request is set up, to libcurl. False: it does not take it.
 */
bool rep_transfer_add(struct rep_transfer *t);
/* Puts the transfer, which libcurl does not have, away and gives its request back: the
 * last thing done with it. */
void rep_transfer_finish(struct rep_transfer *t, enum out_cause cause);
/* Takes a transfer from libcurl in the middle of its work, and gives it back. */
void rep_transfer_abort(struct rep_transfer *t, enum out_cause cause);
/* Gives back what ended, or has libcurl send it once more. Others may be sent
 * meanwhile. Outside of callbacks. */
void rep_curl_drain(struct rep_curl *en);

/* --- curl_request.c --------------------------------------------------------------- */

/* One more transfer, in all, told what is the same for every request. NULL: no memory.
 */
struct rep_transfer *rep_transfer_new(struct rep_curl *en);
void rep_transfer_free(struct rep_transfer *t); /* NULL is fine */
/* Tells libcurl what to send: the same that HTTP/1.1 says. False: no memory. */
bool rep_transfer_request(struct rep_transfer *t);

#endif

/*
 * engine.h - what carries requests to a target: the face of HTTP/1.1, gRPC and Kafka.
 *
 * An engine belongs to one worker, lives in its event loop and never blocks. The worker
 * gives it a request only while `free_slots` is above 0; from then on the engine owns
 * it, and gives it back exactly once through `done`, with cause, clocks, status, sizes
 * and attempts filled in. `send` may only queue: bytes leave at the latest in `flush`,
 * which the worker calls once per turn. Engines never decide when something is due;
 * they stamp when it was sent, answered and finished.
 *
 * When is a request sent a second time? Only if nothing of it can have been processed,
 * and once at most. HTTP/1.1: no byte of the answer came, the peer closed its side in
 * an orderly way (FIN), and its kernel acknowledged no byte of the request, so the
 * close came first (keep-alive race); or no byte could be written at all. A reset alone
 * proves nothing and is an outcome. gRPC: REFUSED_STREAM, or a stream above the last
 * one that a GOAWAY names (RFC 9113 6.8, 8.7). Over TLS the same proof is asked of the
 * ciphertext, and the FIN must have come: close_notify alone leaves the peer free to go
 * on reading. outcome.attempts counts how often its bytes went out; sent_ns is the
 * first time.
 *
 * Every content-encoding of an answer over REST goes to request.answer_codings, and the
 * grpc-encoding of one over gRPC whose message is compressed, or which streams: then
 * request.encoded tells which are.
 * Every x-request-id of an answer, header or trailer (but those of the HTTP/1.1 engine
 * of our own, whose trailers are dropped), is shown to rep_mark_look
 * (mark.h) before the request is given back.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef REPLAY_ENGINE_ENGINE_H
#define REPLAY_ENGINE_ENGINE_H

#include "replay/engine/dialect.h"
#include "replay/engine/tls.h"
#include "replay/request.h"
#include "replay/target.h"
#include "traces/base/ev.h"

#define REP_TRIES_MAX 2

/* Of a large REST body no more is sent, or received, in one system call, and after one
 * that took as much the engine of our own leaves the loop to others. */
#define REP_TURN_BYTES (256u << 10)

/* The deadline of an operation ends in OUT_DEADLINE, a local lack (ports, descriptors)
 * in OUT_CONNECT and a count. */
struct rep_engine_config {
    struct ev *ev; /* borrowed, as all that follows */
    const struct clk *clk;
    const struct rep_address *target; /* NULL for Kafka */
    const struct rep_tls_config *tls; /* where target->tls; else NULL is fine */
    uint32_t connections;             /* > 0 */
    uint32_t streams;                 /* gRPC: at most this many per connection; > 0 */
    /* A connection that was given so many requests, second sendings included, takes no
     * more: once the last of them ended it is closed and another is made at once, off
     * the next request's time (HTTP/2: the next one is begun when it takes no more). 0:
     * no bound. Not with pinned, and not in HTTP/2 of curl. */
    uint64_t requests_per_connection;
    bool pinned;         /* connections are slots: each request says on which it goes */
    int64_t deadline_ns; /* > 0; from hand-over to the last byte */
    uint64_t answer_max; /* bytes of one answer's body; above: OUT_TOO_BIG */
    bool keep_answers;   /* leave the body in request.answer */
    int http_version;    /* curl alone: 1 or 2; 0 is 1 */
    const struct rep_address
        *proxy;              /* curl alone: reached instead of target; or NULL */
    struct rep_kafka *kafka; /* Kafka alone (kafka_brokers.h), in place of target */
    void (*done)(void *arg, struct rep_request *r);
    void *arg;
};

/* Why connections could not be made, each reason once. The last place is for all that
 * found none. */
#define REP_FAILURES_MAX     8
#define REP_FAILURE_TEXT_MAX 200
struct rep_failures {
    struct {
        char text[REP_FAILURE_TEXT_MAX];
        uint64_t count;
    } v[REP_FAILURES_MAX];
    size_t n;
};
/* True when this reason is new. */
bool rep_failures_add(struct rep_failures *f, const char *text, uint64_t count);

/* Why a connection that was up is no more. What we close at the end of the run, or when
 * it is stopped, is not counted. */
enum rep_end {
    REP_END_LIMIT,   /* it had its requests_per_connection */
    REP_END_IDLE,    /* the peer closed or reset it with nothing in flight, or so nearly
                        that what was sent meanwhile is proved not to have arrived */
    REP_END_ANSWER,  /* the peer ended it with an answer: connection: close, an early
                        refusal, an answer as long as the connection */
    REP_END_GOAWAY,  /* HTTP/2: the peer said so; also where it was idle */
    REP_END_CLOSED,  /* the peer closed it with something in flight */
    REP_END_RESET,   /* … or reset it, or the network did */
    REP_END_GARBAGE, /* what came broke HTTP or TLS */
    REP_END_GIVEN_UP, /* we did, with its request: deadline, answer too long */
    REP_END_ROOM,     /* pinned: another recorded connection needed its place */
    REP_END_COUNT
};
extern const char *const rep_end_codes[REP_END_COUNT]; /* "limit" … for scripts */
extern const char *const rep_end_texts[REP_END_COUNT]; /* for people */

/* Each counts events since open; they belong to the worker's thread. */
struct rep_engine_stats {
    uint64_t connects; /* connections that were made */
    uint64_t connect_failures;
    struct rep_failures failures;   /* the same, by reason */
    uint64_t tls_full, tls_resumed; /* handshakes of those that were made */
    uint64_t retries;               /* second sendings */
    uint64_t ends[REP_END_COUNT];   /* of connections that were made */
    uint64_t client_errors; /* our machine's doing: EMFILE, ENOBUFS, EADDRNOTAVAIL … */
};

void rep_engine_stats_add(struct rep_engine_stats *sum,
                          const struct rep_engine_stats *s);

/* First member of every engine. */
struct rep_engine {
    const struct rep_engine_ops *ops;
    struct rep_engine_config config;
    struct rep_engine_stats stats;
    const char *foreign; /* rep_dialect_words of a peer that spoke another protocol;
                            NULL: none did */
};

struct rep_engine_ops {
    const char *name;
    enum op_protocol protocol;
    int (*open)(struct rep_engine **en, const struct rep_engine_config *c,
                struct err *e);
    /* Begins to connect everything; warming turns false when each attempt has ended.
     * NULL: it connects when it has something to send. */
    void (*warm)(struct rep_engine *en);
    bool (*warming)(const struct rep_engine *en);
    uint32_t (*live)(const struct rep_engine *en); /* connections that are up */
    uint32_t (*free_slots)(const struct rep_engine *en);
    void (*send)(struct rep_engine *en, struct rep_request *r);
    /* With config.pinned, in place of free_slots: how many more requests the connection
     * of a slot can carry; and that slot gets another connection with its next request,
     * nothing being in flight on it. NULL: the engine cannot be pinned. */
    uint32_t (*room)(const struct rep_engine *en, uint32_t slot);
    void (*renew)(struct rep_engine *en, uint32_t slot);
    /* Does ahead what flush would do before it writes; NULL: there is nothing. */
    void (*frame)(struct rep_engine *en);
    void (*flush)(struct rep_engine *en);
    /* Ends what is past its deadline; returns the next one, or REP_NEVER. now_ns: what
     * had come by then has been read. */
    int64_t (*expire)(struct rep_engine *en, int64_t now_ns);
    uint32_t (*in_flight)(const struct rep_engine *en);
    /* Ends everything in flight with that cause. */
    void (*cancel)(struct rep_engine *en, enum out_cause cause);
    void (*close)(struct rep_engine *en); /* nothing in flight; NULL is fine */
};

extern const struct rep_engine_ops rep_http1_engine; /* REST over HTTP/1.1 */
extern const struct rep_engine_ops rep_curl_engine;  /* REST by libcurl */
extern const struct rep_engine_ops rep_grpc_engine;  /* gRPC over HTTP/2 */
extern const struct rep_engine_ops rep_kafka_engine; /* Kafka, by librdkafka */

/* --- for engines ------------------------------------------------------------------ */

/* Requests in flight, in the order in which their deadlines come: the deadline is the
 * same for all, so that is the order of hand-over. */
void rep_flight_add(struct rep_queue *flight, struct rep_request *r, int64_t now_ns);

/* A non-blocking stream socket that connects to the target, without Nagle's delay. The
 * descriptor, or an error; err.sys tells a lack of our own (rep_own_fault). */
int rep_connect(const struct rep_address *target, struct err *e) MUST_USE;
int rep_connect_result(int fd); /* after it became writable: 0 or an errno value */
bool rep_own_fault(int sys);
/* Counts an attempt that failed; e: as rep_connect or rep_tls_handshake left it. Says
 * so in the log when the reason is new. */
void rep_connect_failed(struct rep_engine *en, const struct err *e);
/* The same, for that reason, where the peer speaks a protocol that is not ours;
 * `foreign` keeps it. False: it does not, or that is not known; nothing is counted. */
bool rep_connect_foreign(struct rep_engine *en, enum rep_dialect d);
/* Counts a connection that was made; tls: NULL for plaintext. */
void rep_connect_made(struct rep_engine *en, const struct rep_tls_conn *tls);
/* Counts the end of one. */
void rep_connect_ended(struct rep_engine *en, enum rep_end why);
/* Which end goes with the outcome of the request that the connection carried. */
enum rep_end rep_end_of(enum out_cause cause);

/* What the end of a connection means: errno value `sys` of a failed call, 0 for FIN.
 * EPROTO: TLS was broken. */
enum out_cause rep_end_cause(int sys);

/* True when the peer's close is proved to have come before any of the `sent` bytes that
 * we wrote last reached it. Ask before the descriptor is closed. sys: as above. */
bool rep_unprocessed(int fd, int sys, size_t sent);

#endif

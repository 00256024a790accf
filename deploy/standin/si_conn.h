/*
 * si_conn.h - one connection of the stand-in without its socket: bytes in, bytes out.
 *
 * Tells HTTP/1.1 from HTTP/2 by the preface where a tier serves both, and frames
 * requests and replies (si_h1.c, si_h2.c). Whoever owns it feeds what was read, writes
 * `out` when `wake` was called, and closes when `ending` is set and `out` is empty. One
 * thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DEPLOY_STANDIN_SI_CONN_H
#define DEPLOY_STANDIN_SI_CONN_H

#include "deploy/standin/si_core.h"
#include "traces/wire/http1.h"

enum si_speaks { SI_SPEAKS_HTTP1, SI_SPEAKS_HTTP2, SI_SPEAKS_BOTH };

/* Bytes of requests that wait behind one in service (pipelining); more is an abuse. */
#define SI_PENDING_MAX (1u << 20)

struct si_h1 {
    struct http1_parser parser;
    struct si_exchange *current; /* being read, served, or hanging */
    struct buf pending;          /* read, not parsed: a call is in service */
    bool keep_alive, head_request, eof;
    bool ends;    /* the connection does, with the answer that goes out by and by */
    bool parsing; /* answers that come at once leave the rest to the parse loop */
};

struct si_h2; /* an nghttp2 session */

struct si_conn;
typedef void si_wake_fn(struct si_conn *conn, void *arg);

struct si_conn {
    struct si_core *core;
    const struct si_tier *tier;
    enum si_speaks speaks;
    uint32_t ordinal;
    struct clk_mono read_at; /* of the bytes being fed */
    uint8_t preface[24];     /* SI_SPEAKS_BOTH: what came so far */
    size_t preface_bytes;
    struct si_h1 h1;
    struct si_h2 *h2;
    struct buf out;
    bool ending; /* close once out is written */
    bool reset;  /* … with RST, unless the peer closes first */
    si_wake_fn *wake;
    void *wake_arg;
};

/* ERR_NOMEM. core, tier and what arg points to are borrowed. */
int si_conn_init(struct si_conn *conn, struct si_core *core, const struct si_tier *tier,
                 enum si_speaks speaks, uint32_t ordinal, si_wake_fn *wake, void *arg,
                 struct err *e) MUST_USE;
void si_conn_done(struct si_conn *conn); /* gives up its calls */

void si_conn_feed(struct si_conn *conn, struct span bytes, struct clk_mono at);
/* The peer will send no more. */
void si_conn_eof(struct si_conn *conn);
/* No call in progress and nothing half read. */
bool si_conn_idle(const struct si_conn *conn);

/* For si_h1.c and si_h2.c. */
int si_h1_init(struct si_conn *conn, struct err *e) MUST_USE;
void si_h1_done(struct si_conn *conn);
void si_h1_feed(struct si_conn *conn, struct span bytes);
void si_h1_eof(struct si_conn *conn);
int si_h2_init(struct si_conn *conn, struct err *e) MUST_USE;
void si_h2_done(struct si_conn *conn);
void si_h2_feed(struct si_conn *conn, struct span bytes);
void si_h2_eof(struct si_conn *conn);
/* Moves what the session wants to send into conn->out. */
void si_h2_pump(struct si_conn *conn);
bool si_h2_idle(const struct si_conn *conn);

#endif

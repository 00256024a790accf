/*
 * dialect.h - which protocol a target speaks, told from the first bytes that it sends,
 * and what to tell users where it is not the one that they asked for.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef REPLAY_ENGINE_DIALECT_H
#define REPLAY_ENGINE_DIALECT_H

#include "replay/target.h"
#include "traces/op.h"

enum rep_dialect {
    REP_DIALECT_UNKNOWN, /* not told yet, or none of these */
    REP_DIALECT_HTTP1,   /* a status line */
    REP_DIALECT_HTTP2,   /* SETTINGS or GOAWAY (RFC 9113 3.4, 6.8) */
    REP_DIALECT_TLS,     /* an alert (RFC 8446 6) */
};

enum rep_dialect rep_dialect_of(struct span first);

/* What is wrong with a target that speaks this, and what to do: "it answers in …". NULL
 * where nothing is wrong, or it is not known. http_version: of REST, 1 (or 0) or 2. */
const char *rep_dialect_words(enum rep_dialect d, enum op_protocol protocol,
                              int http_version);

/* Connects in plaintext (through a CONNECT of the proxy, if there is one), begins
 * HTTP/2 and waits for what the target says to that; no request is sent. ERR_PEER when
 * it says that it does not speak HTTP/2, or hangs up; a target that says nothing, or
 * nothing that is known, is none of our errors: the run will show. */
int rep_dialect_probe_h2(const struct rep_address *target,
                         const struct rep_address *proxy, enum op_protocol protocol,
                         int64_t timeout_ns, struct err *e) MUST_USE;

#endif

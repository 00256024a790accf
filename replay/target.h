/*
 * target.h - where requests go: an address, resolved once at the start.
 *
 * Accepted: "http://HOST:PORT", "http://HOST", "HOST:PORT", "[::1]:9000", and with TLS
 * "https://HOST" (port 443) or "grpcs://HOST:PORT". Nothing but these addresses is ever
 * contacted. Names are resolved once, so a run does not move
 * between hosts; the first address that answers the probe is used. Not thread-safe;
 * read-only after open.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef REPLAY_TARGET_H
#define REPLAY_TARGET_H

#include <netinet/in.h>
#include <sys/socket.h>

#include "traces/base/err.h"
#include "traces/base/span.h"

#define REP_AUTHORITY_MAX 300

struct rep_address {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } to;
    socklen_t length;
    char authority[REP_AUTHORITY_MAX]; /* "host:port", for Host and :authority */
    char text[REP_AUTHORITY_MAX];      /* as given, without credentials: for notes */
    char host[REP_AUTHORITY_MAX];      /* name or address alone, without brackets */
    bool tls;
};

/* Sets authority, text, host and tls; contacts nobody. option names the origin in
 * messages ("--http"). ERR_USAGE for what is no such address (user info, a path). */
int rep_target_parse(struct rep_address *a, const char *text, const char *option,
                     struct err *e) MUST_USE;

/* Looks the name up, and keeps the first of its addresses that accepts a connection
 * within timeout_ns. Where none does that is ERR_PEER, if the target is needed; else
 * the first is kept, for it may be up once it is (all are then tried within timeout_ns,
 * and a single one is not). ERR_PEER as well where the name has none. */
int rep_target_resolve(struct rep_address *a, bool needed, int64_t timeout_ns,
                       struct err *e) MUST_USE;

/* Blocks until fd is readable, or writable, or it is end_ns; for what is asked before a
 * run. 0 or an errno value. */
int rep_await(int fd, bool write, int64_t end_ns);
/* Connects and closes again. ERR_PEER. */
int rep_target_probe(const struct rep_address *a, int64_t timeout_ns,
                     struct err *e) MUST_USE;

#endif

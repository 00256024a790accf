/*
 * tls.h - TLS between an engine and its sockets.
 *
 * The functions stand where an engine would call recv and send, and mean the same: a
 * count, or -1 and errno. Encrypting (rep_tls_seal) and writing (rep_tls_flush) are
 * apart, so that sent_ns is read between them. The handshake is part of connecting.
 * Everything of one engine belongs to its worker's thread.
 *
 * The end of a connection: FIN after close_notify is the orderly end of what the peer
 * had to say. FIN without close_notify is a truncation: it completes no answer whose
 * length is told by the end of the connection (RFC 9112, 9.8).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef REPLAY_ENGINE_TLS_H
#define REPLAY_ENGINE_TLS_H

#include <sys/types.h>

#include "replay/target.h"
#include "traces/base/buf.h"
#include "traces/wire/secure.h"

#define REP_TLS_RECV_MIN                                                               \
    (256u << 10)                     /* what rep_tls_recv has to be given, at least    \
                                      */
#define REP_TLS_SEAL_MAX (64u << 10) /* plaintext to be encrypted at once, at most */

/* What the user says about TLS; the same for all targets. */
struct rep_tls_config {
    const char *ca_file;   /* NULL: the system's authorities */
    const char *cert_file; /* of the client, with its key; NULL: none */
    const char *key_file;
    const char *server_name; /* NULL: the host of the address */
    bool insecure;           /* believe any certificate */
    bool resume;             /* use tickets of earlier connections */
};

/* What an engine's connections have in common. */
struct rep_tls {
    struct secure_context *context;
    struct secure_sessions *sessions; /* NULL: none are resumed */
    const char *name;                 /* borrowed from config or address */
    uint8_t *cipher;                  /* what one recv brings */
};

/* alpn: "h2" must be agreed; "http/1.1" may be. config and target are borrowed. Codes
 * of secure_context_new. A zeroed one may be given to done. */
int rep_tls_init(struct rep_tls *t, const struct rep_tls_config *config,
                 const struct rep_address *target, const char *alpn,
                 struct err *e) MUST_USE;
void rep_tls_done(struct rep_tls *t);

struct rep_tls_conn;

/* Over a connected, non-blocking socket, which stays the caller's. ERR_NOMEM. */
int rep_tls_open(struct rep_tls_conn **c, struct rep_tls *t, int fd,
                 struct err *e) MUST_USE;
/* Says goodbye if that does not block, and not while some bytes of a write are out and
 * others not (midway). Before the socket is closed; NULL is fine. */
void rep_tls_close(struct rep_tls_conn *c, bool midway);

/* Goes on with the handshake. 1: complete; what follows it may have been read already,
 * so read before waiting. 0: waits for the socket to be readable, or writable if
 * rep_tls_pending. Negative: failed, for the reason in e; e->sys: errno, or 0. */
int rep_tls_handshake(struct rep_tls_conn *c, struct err *e) MUST_USE;
struct secure_facts rep_tls_facts(const struct rep_tls_conn *c);

/* Encrypts a piece. False: broken; the connection is to be given up. */
bool rep_tls_seal(struct rep_tls_conn *c, struct span plaintext) MUST_USE;
/* The same in place: the plaintext in `data` gives way to all that is to be sent. */
bool rep_tls_seal_buf(struct rep_tls_conn *c, struct buf *data) MUST_USE;
bool rep_tls_pending(const struct rep_tls_conn *c); /* encrypted and not yet written */
ssize_t rep_tls_flush(struct rep_tls_conn *c);      /* one send of what is pending */

/* As recv. Leaves nothing behind that it has read; but if rep_tls_over is then true,
 * the next call tells the end without waiting. 0: the peer's end, by close_notify or
 * FIN. errno is EPROTO where TLS was broken, ECONNRESET after a fatal alert. */
ssize_t rep_tls_recv(struct rep_tls_conn *c, uint8_t *to, size_t n);
bool rep_tls_over(const struct rep_tls_conn *c);
bool rep_tls_ended(const struct rep_tls_conn *c); /* close_notify came */
bool rep_tls_fin(const struct rep_tls_conn *c);   /* the FIN came */
/* The peer refused the handshake after all, as TLS 1.3 allows; why. */
bool rep_tls_refused(const struct rep_tls_conn *c);
const char *rep_tls_why(const struct rep_tls_conn *c);

/* rep_unprocessed of engine.h, for a request since whose beginning (rep_tls_mark) these
 * bytes of ciphertext were written. Needs the FIN: close_notify alone leaves the peer
 * free to go on reading. */
void rep_tls_mark(struct rep_tls_conn *c);
size_t rep_tls_written(const struct rep_tls_conn *c);

/* Connects, shakes hands and closes, to say at the start what is wrong. *facts, if not
 * NULL, borrows nothing. ERR_PEER, and what rep_tls_init returns. */
int rep_tls_probe(const struct rep_tls_config *config, const struct rep_address *target,
                  const char *alpn, int64_t timeout_ns, struct secure_facts *facts,
                  struct err *e) MUST_USE;

#endif

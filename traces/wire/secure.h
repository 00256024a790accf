/*
 * secure.h - TLS without sockets: ciphertext in, ciphertext out. The one user of
 * OpenSSL.
 *
 * TLS 1.2 and 1.3; no renegotiation, no compression, no early data. A context holds
 * what connections of one kind have in common (certificates, whom to trust, ALPN); a
 * connection belongs to one context and one thread. Bytes that came are put in, bytes
 * to be sent are gathered in `out`, and whoever owns the socket moves both. That
 * separates encrypting from writing, so that a caller can tell when it did which.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_WIRE_SECURE_H
#define TRACES_WIRE_SECURE_H

#include "traces/base/buf.h"
#include "traces/base/err.h"
#include "traces/base/span.h"

#define SECURE_RECORD_MAX   (17u << 10) /* ciphertext that may wait for its record */
#define SECURE_SESSIONS_MAX 32u

struct secure_context;
struct secure;
struct secure_sessions; /* what a client may resume; one thread */

struct secure_config {
    bool server;
    /* PEM files. Client: whom to trust, NULL: the system's authorities; server: whose
     * clients are let in, NULL: everybody, and no certificate is asked for. */
    const char *ca_file;
    const char *cert_file, *key_file; /* chain and key; both or none. Server: both */
    bool insecure;                    /* client: any certificate will do */
    const char *alpn; /* names, separated by commas, best first: "h2,http/1.1" */
    bool alpn_needed; /* client: fail unless the peer chooses one of them */
};

/* ERR_IO: a file cannot be read; ERR_FORMAT: it does not hold what it should, or key
 * and certificate are not a pair; ERR_NOMEM. */
int secure_context_new(struct secure_context **c, const struct secure_config *config,
                       struct err *e) MUST_USE;
void secure_context_free(struct secure_context *c); /* after its connections */

struct secure_sessions *secure_sessions_new(void); /* NULL: out of memory */
void secure_sessions_free(struct secure_sessions *s);
size_t secure_sessions_held(const struct secure_sessions *s); /* tickets to go */

/* A connection. Client: peer_name is the host name that the certificate must be for
 * (and SNI), or an IP address; borrowed until close. sessions, if not NULL, are used
 * and added to, and outlive it. Server: both NULL. ERR_NOMEM. */
int secure_open(struct secure **s, struct secure_context *c, const char *peer_name,
                struct secure_sessions *sessions, struct err *e) MUST_USE;
void secure_close(struct secure *s); /* says nothing to the peer; NULL is fine */

/* Ciphertext that came; borrowed until handshake or read ask for more. What was put in
 * before must be used up. */
void secure_put(struct secure *s, struct span ciphertext);
size_t secure_unused(const struct secure *s); /* of what was put in */
/* What is to be sent, in order; the caller takes bytes from its front, or all. */
struct buf *secure_out(struct secure *s);

/* 1: complete. 0: needs what the peer says next. ERR_PEER: failed, for the reason in
 * e; an alert may be in out. */
int secure_handshake(struct secure *s, struct err *e) MUST_USE;

/* Encrypts all of it into out. ERR_PEER, ERR_NOMEM. */
int secure_write(struct secure *s, struct span plaintext, struct err *e) MUST_USE;

/* Decrypts up to n bytes. 1: *got bytes. 0: needs more ciphertext. SECURE_END: the peer
 * said that it sends no more (close_notify). ERR_PEER: the reason is in e. */
#define SECURE_END 2
int secure_read(struct secure *s, uint8_t *to, size_t n, size_t *got,
                struct err *e) MUST_USE;

void secure_end(struct secure *s); /* puts our close_notify into out */

/* Valid once the handshake is complete; borrowed until close. */
struct secure_facts {
    const char *version, *cipher; /* "TLSv1.3", "TLS_AES_256_GCM_SHA384" */
    char alpn[16];                /* what was agreed; empty: nothing */
    bool resumed;
    bool asked; /* client: the peer asked for a certificate */
    /* With TLS 1.3 a server judges the client's certificate after the client's part of
     * the handshake is complete: a refusal is then the first thing that is read. */
    bool late_refusal;
};
struct secure_facts secure_facts(const struct secure *s);

/* After secure_read failed: the peer ended the connection by a fatal alert; and did so
 * in place of any data, which refuses the handshake after all. */
bool secure_alerted(const struct secure *s);
bool secure_refused(const struct secure *s);

#endif

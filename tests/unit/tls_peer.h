/*
 * tls_peer.h - TLS in front of what a test peer does, and certificates for it.
 *
 * tls_peer is a peer_fn (peer.h): it shakes hands and hands plaintext to another
 * peer_fn, through a socket pair. Certificates are made anew by each test program.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_UNIT_TLS_PEER_H
#define TESTS_UNIT_TLS_PEER_H

#include "tests/unit/peer.h"
#include "traces/wire/secure.h"

struct tls_peer {
    struct secure_context *context;
    peer_fn *inner;
    void *arg;
    bool truncates; /* closes without close_notify */
    bool dribbles;  /* writes single bytes */
};
peer_fn tls_peer; /* arg: a struct tls_peer */

/* A folder with ca.pem, and NAME.pem and NAME.key for server (localhost, 127.0.0.1),
 * other (elsewhere.example), client, expired, and stranger, which signed itself. */
void tls_files_make(void);
void tls_files_remove(void);
const char *tls_file(const char *name); /* its path; static, a few at a time */

#endif

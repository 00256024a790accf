/*
 * peer.h - a TCP server on loopback that does what a test tells it, bad manners
 * included.
 *
 * Every connection is handled by a function in a thread of its own, with blocking
 * calls; the socket is closed when it returns. peer_stop ends those that still read or
 * write.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_UNIT_PEER_H
#define TESTS_UNIT_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct peer;
/* nth: number of the connection, from 0. */
typedef void peer_fn(int fd, int nth, void *arg);

struct peer *peer_start(peer_fn *fn, void *arg);
uint16_t peer_port(const struct peer *p);
int peer_connections(const struct peer *p); /* accepted so far */
void peer_stop(struct peer *p);

/* Reads one HTTP/1.1 request, body included, into out (NUL-terminated). Its length; 0
 * when the client closed. Bytes of a second request are not expected. */
size_t peer_read_request(int fd, char *out, size_t size);
/* False when the client is gone. */
bool peer_send(int fd, const void *p, size_t n);
bool peer_say(int fd, const char *text);
/* Closes so that the client sees a reset. */
void peer_reset(int fd);
/* The client's end of a connection to p, if the client is in this process; -1: none is
 * open. */
int peer_client(const struct peer *p);
/* Waits until that end's kernel has the peer's FIN or reset, which whoever owns the
 * socket need not have seen. False after ten seconds. */
bool peer_await_end(int client);
/* A port on which nobody listens. */
uint16_t peer_dead_port(void);

#endif

/*
 * si_host.h - sockets of the stand-in: listeners, connections, idle time-outs, stalls.
 *
 * Handlers only feed connections and mark them; once per turn of the loop, marked ones
 * are written, closed and freed. One thread, that of the loop.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DEPLOY_STANDIN_SI_HOST_H
#define DEPLOY_STANDIN_SI_HOST_H

#include <signal.h>

#include "deploy/standin/si_conn.h"
#include "traces/wire/secure.h"

#define SI_LISTENERS_MAX (2 * SI_TIER_COUNT)
#define SI_ADDRESS_MAX   96

struct si_host;
struct si_socket;

struct si_listener {
    struct si_host *host;
    const struct si_tier *tier;
    enum si_speaks speaks;
    int fd;
    struct secure_context *tls;   /* NULL: plaintext */
    char address[SI_ADDRESS_MAX]; /* as bound: "127.0.0.1:41234", "[::1]:9000" */
};

struct si_host {
    struct ev *ev;
    struct si_core *core;
    struct si_listener listeners[SI_LISTENERS_MAX];
    size_t listener_count;
    struct si_socket *sockets; /* all open ones */
    size_t socket_count;
    struct si_socket *marked; /* to be written or closed in this turn */
    uint32_t next_connection;
    uint64_t refused; /* accept failed: no descriptors, no memory */
    struct ev_timer *accept_again;
    /* Stalls: the process freezes for stall_for_ns every stall_every_ns (0: never),
     * counted from the first request; *stop ends a freeze early. */
    int64_t stall_every_ns, stall_for_ns;
    struct clk_mono next_stall;
    bool stalling;
    const volatile sig_atomic_t *stop;
    uint8_t *read_buffer, *plain_buffer;
    /* Set before listening: certificate and key of all listeners, and whose clients are
     * let in; no certificate: plaintext. */
    struct secure_config tls;
};

/* ERR_NOMEM. ev and core are borrowed; core outlives the host. */
int si_host_init(struct si_host *h, struct ev *ev, struct si_core *core,
                 struct err *e) MUST_USE;
void si_host_done(struct si_host *h);

/* Listens on "HOST:PORT", port 0 for a free one. ERR_USAGE: not an address, or not a
 * loopback one and any is not allowed; ERR_IO. *l is borrowed from h. */
int si_host_listen(struct si_host *h, const struct si_tier *tier, enum si_speaks speaks,
                   const char *address, bool any, const struct si_listener **l,
                   struct err *e) MUST_USE;

#endif

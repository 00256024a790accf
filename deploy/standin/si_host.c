/* si_host.c - see si_host.h. SPDX-License-Identifier: Apache-2.0 */
#include "deploy/standin/si_host.h"

#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "traces/base/log.h"

#define READ_BYTES      (256u << 10)
#define KEEP_BYTES      (1u << 20) /* of a written buffer; a larger one is given back */
#define BACKLOG         4096
#define ACCEPTS_A_TURN  64
#define ACCEPT_PAUSE_NS (100 * CLK_MS)
#define LINGER_NS       CLK_SEC /* how long a closed connection waits for its peer */

struct si_socket {
    struct si_conn conn;
    struct si_host *host;
    int fd;
    struct secure *tls; /* NULL: plaintext */
    bool agreed;        /* the handshake is complete */
    size_t sent;        /* of what goes over the wire */
    struct clk_mono last_active;
    struct ev_timer *timer; /* idle, or lingering */
    bool marked, dead, lingering, eof;
    unsigned events;
    struct si_socket *next, *prev, *next_marked;
};

static void mark(struct si_socket *s)
{
    if (s->marked)
        return;
    s->marked = true;
    s->next_marked = s->host->marked;
    s->host->marked = s;
}

static void wake(struct si_conn *conn, void *arg)
{
    (void)conn;
    mark(arg);
}

/* --- closing ------------------------------------------------------------------- */

static void close_socket(struct si_socket *s)
{
    struct si_host *h = s->host;
    struct linger hard = {.l_onoff = 1, .l_linger = 0};
    if (s->conn.reset && !s->eof)
        setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    ev_remove(h->ev, s->fd);
    close(s->fd);
    if (s->timer)
        ev_timer_cancel(h->ev, s->timer);
    if (s->prev)
        s->prev->next = s->next;
    else
        h->sockets = s->next;
    if (s->next)
        s->next->prev = s->prev;
    h->socket_count--;
    si_conn_done(&s->conn);
    secure_close(s->tls);
    free(s);
}

static void linger_over(struct ev *ev, void *arg)
{
    struct si_socket *s = arg;
    (void)ev;
    s->timer = NULL;
    s->dead = true;
    mark(s);
}

/* All is written: says so to the peer and waits for it to close, so that a reset does
 * not overtake the answer. */
static void start_lingering(struct si_socket *s)
{
    s->lingering = true;
    if (s->timer)
        ev_timer_cancel(s->host->ev, s->timer);
    s->timer = ev_timer_at(s->host->ev, clk_mono_add(ev_now(s->host->ev), LINGER_NS),
                           linger_over, s);
    if (!s->timer || s->eof)
        s->dead = true;
    else if (!s->conn.reset)
        shutdown(s->fd, SHUT_WR);
}

/* A server looks at what came before it looks at its clock, however late it does both.
 */
static bool has_unread(const struct si_socket *s)
{
    char byte;
    return recv(s->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

static void idle_check(struct ev *ev, void *arg)
{
    struct si_socket *s = arg;
    struct clk_mono now = ev_now(ev);
    int64_t idle_ns = s->conn.tier->idle_ns;
    bool idle = si_conn_idle(&s->conn) && !has_unread(s);
    int64_t quiet = idle ? clk_mono_diff(now, s->last_active) : 0;
    s->timer = NULL;
    if (quiet >= idle_ns) {
        s->dead = true;
        mark(s);
        return;
    }
    s->timer = ev_timer_at(ev, clk_mono_add(now, idle_ns - quiet), idle_check, s);
}

/* --- reading and writing ------------------------------------------------------- */

static void want(struct si_socket *s, unsigned events)
{
    struct err e = {0};
    if (s->events == events)
        return;
    s->events = events;
    if (ev_change(s->host->ev, s->fd, events, &e) < 0)
        s->dead = true;
}

/* What is to be written: the connection's bytes, or those that TLS made of them. */
static struct buf *wire(struct si_socket *s)
{
    return s->tls ? secure_out(s->tls) : &s->conn.out;
}

static void encrypt(struct si_socket *s)
{
    struct err e = {0};
    if (!s->agreed || s->conn.out.n == 0)
        return;
    if (secure_write(s->tls, buf_view(&s->conn.out), &e) < 0)
        s->dead = true;
    buf_reset(&s->conn.out);
}

static void write_out(struct si_socket *s)
{
    struct buf *out = wire(s);
    while (s->sent < out->n) {
        ssize_t n = send(s->fd, out->p + s->sent, out->n - s->sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            s->dead = errno != EAGAIN && errno != EWOULDBLOCK;
            break;
        }
        s->sent += (size_t)n;
    }
    s->last_active = ev_now(s->host->ev);
    if (s->sent < out->n)
        return;
    s->sent = 0;
    if (out->cap > KEEP_BYTES)
        buf_done(out);
    else
        buf_reset(out);
}

static void settle(struct si_socket *s)
{
    si_h2_pump(&s->conn);
    if (s->tls)
        encrypt(s);
    if (!s->dead && wire(s)->n)
        write_out(s);
    bool written = wire(s)->n == 0;
    if (!s->dead && written && s->conn.ending && !s->lingering) {
        if (s->tls && !s->conn.reset) {
            secure_end(s->tls);
            write_out(s);
        }
        start_lingering(s);
    }
    if (!s->dead)
        want(s, (s->eof ? 0 : EV_READ) | (written ? 0 : EV_WRITE));
}

static void got_eof(struct si_socket *s)
{
    s->eof = true;
    if (s->lingering)
        s->dead = true;
    else
        si_conn_eof(&s->conn);
    mark(s);
}

/* Ciphertext came: goes on with the handshake, or feeds what it says. */
static void feed_tls(struct si_socket *s, struct span in, struct clk_mono at)
{
    uint8_t *to = s->host->plain_buffer;
    struct err e = {0};
    size_t got;
    int rc = 1;

    secure_put(s->tls, in);
    if (!s->agreed) {
        rc = secure_handshake(s->tls, &e);
        s->agreed = rc == 1;
    }
    while (rc == 1 && (rc = secure_read(s->tls, to, READ_BYTES, &got, &e)) == 1)
        if (!s->lingering)
            si_conn_feed(&s->conn, span_of(to, got), at);
    if (rc == SECURE_END) {
        got_eof(s);
    } else if (rc < 0) {
        log_debug("standin", "connection ended: %s", e.text);
        write_out(s); /* the alert, if there is one */
        s->dead = true;
    }
}

static void on_socket(struct ev *ev, int fd, unsigned events, void *arg)
{
    struct si_socket *s = arg;
    uint8_t *to = s->host->read_buffer;
    if (events & EV_HANGUP && s->eof)
        s->dead = true;
    mark(s);
    if (s->dead || s->eof || !(events & (EV_READ | EV_HANGUP)))
        return;
    ssize_t n = recv(fd, to, READ_BYTES, 0);
    struct clk_mono at = ev_now(ev);
    if (n > 0) {
        s->last_active = at;
        if (s->tls)
            feed_tls(s, span_of(to, (size_t)n), at);
        else if (!s->lingering)
            si_conn_feed(&s->conn, span_of(to, (size_t)n), at);
    } else if (n == 0) {
        got_eof(s);
    } else if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
        s->dead = true;
    }
}

/* --- accepting ----------------------------------------------------------------- */

static bool add_socket(struct si_listener *l, int fd)
{
    struct si_host *h = l->host;
    struct err e = {0};
    int on = 1;
    struct si_socket *s = calloc(1, sizeof *s);
    if (!s)
        return false;
    s->host = h;
    s->fd = fd;
    s->events = EV_READ;
    s->last_active = ev_now(h->ev);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if ((l->tls && secure_open(&s->tls, l->tls, NULL, NULL, &e) < 0) ||
        ev_add(h->ev, fd, EV_READ, on_socket, s, &e) < 0) {
        secure_close(s->tls);
        free(s);
        return false;
    }
    s->next = h->sockets;
    if (s->next)
        s->next->prev = s;
    h->sockets = s;
    h->socket_count++;
    if (si_conn_init(&s->conn, h->core, l->tier, l->speaks, h->next_connection++, wake,
                     s, &e) < 0) {
        s->dead = true;
        mark(s);
    } else if (l->tier->idle_ns && l->speaks == SI_SPEAKS_HTTP1) {
        s->timer = ev_timer_at(h->ev, clk_mono_add(s->last_active, l->tier->idle_ns),
                               idle_check, s);
    }
    return true;
}

static void listen_all(struct si_host *h, unsigned events)
{
    struct err e = {0};
    for (size_t i = 0; i < h->listener_count; i++)
        if (ev_change(h->ev, h->listeners[i].fd, events, &e) < 0)
            log_warn("standin", "%s", e.text);
}

static void accept_again(struct ev *ev, void *arg)
{
    struct si_host *h = arg;
    (void)ev;
    h->accept_again = NULL;
    listen_all(h, EV_READ);
}

/* Out of descriptors: waits a little instead of turning in circles. */
static void pause_accepting(struct si_host *h, int sys)
{
    if (h->refused++ == 0)
        log_warn("standin", "cannot accept: %s", strerror(sys));
    h->accept_again = ev_timer_at(h->ev, clk_mono_add(ev_now(h->ev), ACCEPT_PAUSE_NS),
                                  accept_again, h);
    if (h->accept_again)
        listen_all(h, 0);
}

static void on_listener(struct ev *ev, int fd, unsigned events, void *arg)
{
    struct si_listener *l = arg;
    (void)ev;
    (void)events;
    for (int i = 0; i < ACCEPTS_A_TURN && !l->host->accept_again; i++) {
        int client = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (client < 0) {
            if (errno == EAGAIN || errno == EWOULDBLOCK)
                return;
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
                errno == ENOMEM)
                pause_accepting(l->host, errno);
            continue;
        }
        if (!add_socket(l, client)) {
            close(client);
            l->host->refused++;
        }
    }
}

static bool is_loopback(const struct sockaddr *a)
{
    if (a->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, a, sizeof in);
        return (ntohl(in.sin_addr.s_addr) >> 24) == 127;
    }
    struct sockaddr_in6 in6;
    memcpy(&in6, a, sizeof in6);
    return a->sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&in6.sin6_addr);
}

static int resolve(const char *address, struct addrinfo **found, struct err *e)
{
    char host[SI_ADDRESS_MAX];
    const char *colon = strrchr(address, ':');
    size_t n = colon ? (size_t)(colon - address) : 0;
    if (!colon || n == 0 || n >= sizeof host || !colon[1])
        return err_set(e, ERR_USAGE, "'%s' is not HOST:PORT", address);
    memcpy(host, address, n);
    host[n] = 0;
    char *name = host;
    if (host[0] == '[' && host[n - 1] == ']') {
        host[n - 1] = 0;
        name++;
    }
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    int rc = getaddrinfo(name, colon + 1, &hints, found);
    if (rc != 0)
        return err_set(e, ERR_USAGE, "address '%s': %s", address, gai_strerror(rc));
    return 0;
}

static void name_of(int fd, char out[SI_ADDRESS_MAX])
{
    struct sockaddr_storage at;
    socklen_t n = sizeof at;
    char host[64] = "?", port[16] = "?";
    if (getsockname(fd, (struct sockaddr *)&at, &n) == 0)
        getnameinfo((struct sockaddr *)&at, n, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV);
    snprintf(out, SI_ADDRESS_MAX, strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
}

static int open_listener(const struct addrinfo *ai, const char *address, struct err *e)
{
    int on = 1;
    int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_sys(e, errno, "cannot make a socket");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, ai->ai_addr, ai->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0) {
        int sys = errno;
        close(fd);
        return err_sys(e, sys, "cannot listen on '%s'", address);
    }
    return fd;
}

static int make_context(struct si_listener *l, struct err *e)
{
    static const char *const alpn[] = {[SI_SPEAKS_HTTP1] = "http/1.1",
                                       [SI_SPEAKS_HTTP2] = "h2",
                                       [SI_SPEAKS_BOTH] = "h2,http/1.1"};
    struct secure_config c = l->host->tls;
    c.server = true;
    c.alpn = alpn[l->speaks];
    return secure_context_new(&l->tls, &c, e);
}

int si_host_listen(struct si_host *h, const struct si_tier *tier, enum si_speaks speaks,
                   const char *address, bool any, const struct si_listener **out,
                   struct err *e)
{
    struct addrinfo *ai = NULL;
    int rc = resolve(address, &ai, e);
    if (rc < 0)
        return rc;
    int fd = any || is_loopback(ai->ai_addr)
                 ? open_listener(ai, address, e)
                 : err_set(e, ERR_USAGE,
                           "'%s' is not a loopback address; --listen-any allows it",
                           address);
    freeaddrinfo(ai);
    if (fd < 0)
        return fd;
    assert(h->listener_count < SI_LISTENERS_MAX);
    struct si_listener *l = &h->listeners[h->listener_count];
    *l = (struct si_listener){.host = h, .tier = tier, .speaks = speaks, .fd = fd};
    name_of(fd, l->address);
    rc = h->tls.cert_file ? make_context(l, e) : 0;
    if (rc == 0)
        rc = ev_add(h->ev, fd, EV_READ, on_listener, l, e);
    if (rc < 0) {
        secure_context_free(l->tls);
        close(fd);
        return rc;
    }
    h->listener_count++;
    *out = l;
    return 0;
}

/* --- stalls, and the end of a turn --------------------------------------------- */

static void stall(struct ev *ev, void *arg)
{
    struct si_host *h = arg;
    struct clk_mono from = ev_now(ev);
    int64_t until = from.ns + h->stall_for_ns;
    struct timespec ts = {until / CLK_SEC, until % CLK_SEC};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) == EINTR)
        if (h->stop && *h->stop)
            return;
    si_stamps_stall(&h->core->stamps, from.ns, ev_now(ev).ns);
    h->next_stall = clk_mono_add(h->next_stall, h->stall_every_ns);
    ev_timer_at(ev, h->next_stall, stall, h);
}

static void settle_all(struct ev *ev, void *arg)
{
    struct si_host *h = arg;
    while (h->marked) {
        struct si_socket *s = h->marked;
        h->marked = s->next_marked;
        s->marked = false;
        settle(s);
        if (s->dead) {
            if (s->marked) /* marked again while it was settled */
                h->marked = s->next_marked;
            close_socket(s);
        }
    }
    if (h->stall_every_ns && !h->stalling && h->core->counts.requests) {
        h->stalling = true;
        h->next_stall = clk_mono_add(ev_now(ev), h->stall_every_ns);
        ev_timer_at(ev, h->next_stall, stall, h);
    }
}

int si_host_init(struct si_host *h, struct ev *ev, struct si_core *core, struct err *e)
{
    *h = (struct si_host){.ev = ev,
                          .core = core,
                          .read_buffer = malloc(READ_BYTES),
                          .plain_buffer = malloc(READ_BYTES)};
    if (!h->read_buffer || !h->plain_buffer) {
        free(h->read_buffer);
        free(h->plain_buffer);
        return err_set(e, ERR_NOMEM, "out of memory for the stand-in");
    }
    ev_after(ev, settle_all, h);
    return 0;
}

void si_host_done(struct si_host *h)
{
    for (size_t i = 0; i < h->listener_count; i++) {
        ev_remove(h->ev, h->listeners[i].fd);
        close(h->listeners[i].fd);
    }
    while (h->sockets)
        close_socket(h->sockets);
    for (size_t i = 0; i < h->listener_count; i++)
        secure_context_free(h->listeners[i].tls);
    if (h->accept_again)
        ev_timer_cancel(h->ev, h->accept_again);
    free(h->read_buffer);
    free(h->plain_buffer);
    memset(h, 0, sizeof *h);
}

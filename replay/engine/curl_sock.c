/*
 * curl_sock.c - the sockets of libcurl: those that it may make, and what the kernel
 * knows of one when libcurl closes it, which decides whether the request that it
 * carried may be sent again. See curl_own.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replay/engine/curl_own.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/tcp.h>

#include <curl/curl.h>

#define STATE_CLOSED     7 /* the kernel's numbers of tcpi_state */
#define STATE_CLOSE_WAIT 8

/* --- the list --------------------------------------------------------------------- */

struct rep_sock *rep_sock_find(struct rep_curl *en, int fd)
{
    for (size_t i = 0; i < en->sock_count; i++)
        if (en->socks[i]->fd == fd)
            return en->socks[i];
    return NULL;
}

static struct rep_sock *sock_new(struct rep_curl *en, int fd)
{
    struct rep_sock *s = rep_sock_find(en, -1);
    if (!s) {
        struct rep_sock **p = realloc(en->socks, (en->sock_count + 1) * sizeof(*p));
        if (p)
            en->socks = p;
        s = p ? calloc(1, sizeof *s) : NULL;
        if (!s)
            return NULL;
        s->ordinal = (uint32_t)en->sock_count;
        en->socks[en->sock_count++] = s;
    }
    *s = (struct rep_sock){.en = en, .fd = fd, .ordinal = s->ordinal};
    return s;
}

struct rep_sock *rep_sock_at(struct rep_curl *en, uint16_t port)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } a;
    if (en->by_port[port])
        return en->socks[en->by_port[port] - 1];
    for (size_t i = 0; i < en->sock_count; i++) {
        struct rep_sock *s = en->socks[i];
        socklen_t n = sizeof a;
        if (s->fd < 0 || s->port || getsockname(s->fd, &a.any, &n) < 0)
            continue;
        s->port = ntohs(a.any.sa_family == AF_INET6 ? a.v6.sin6_port : a.v4.sin_port);
        en->by_port[s->port] = s->ordinal + 1;
        if (s->port == port)
            return s;
    }
    return NULL;
}

void rep_sock_unwatch(struct rep_sock *s)
{
    if (s->watched)
        ev_remove(s->en->base.config.ev, s->fd);
    s->watched = 0;
}

/* --- opening ---------------------------------------------------------------------- */

/* Makes the socket, for an address that was given and for no other. */
static curl_socket_t open_socket(void *arg, curlsocktype purpose,
                                 struct curl_sockaddr *to)
{
    struct rep_transfer *t = arg;
    struct rep_curl *en = t->en;
    const struct rep_engine_config *c = &en->base.config;
    const struct rep_address *a = c->proxy ? c->proxy : c->target;

    if (purpose != CURLSOCKTYPE_IPCXN || t->given_up || to->addrlen != a->length ||
        memcmp(&to->addr, &a->to, a->length) != 0)
        return CURL_SOCKET_BAD;
    t->given_up = t->lost && !t->unread;
    t->homeless = !t->given_up && rep_curl_by_knowledge(c) && !t->opens;
    if (t->given_up || t->homeless)
        return CURL_SOCKET_BAD;
    int fd =
        socket(to->family, to->socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, to->protocol);
    if (fd < 0 || !sock_new(en, fd)) {
        t->own_fault = fd < 0 ? errno : ENOMEM;
        if (fd >= 0)
            close(fd);
        return CURL_SOCKET_BAD;
    }
    return fd;
}

/* --- closing ---------------------------------------------------------------------- */

bool rep_sock_look(int fd, struct rep_sock_facts *facts)
{
    struct tcp_info info;
    socklen_t n = sizeof info;
    memset(&info, 0, sizeof info);
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &n) < 0)
        return false;
    *facts = (struct rep_sock_facts){
        .closed = info.tcpi_state == STATE_CLOSED,
        .close_wait = info.tcpi_state == STATE_CLOSE_WAIT,
        .acked = info.tcpi_bytes_acked,
        .sent = info.tcpi_bytes_sent,
    };
    return true;
}

/* What the end of the socket says about a transfer on it that has no answer yet. */
static void note_loss(struct rep_transfer *t, const struct rep_sock_facts *facts,
                      int pending)
{
    struct outcome *o = &t->request->out;
    t->sock = NULL;
    if (t->stale) /* nothing of it was sent: what was known before holds */
        return;
    t->lost = true;
    /* See rep_unprocessed: a reset behind a FIN is EPIPE. */
    t->orderly = facts->close_wait || pending == EPIPE;
    t->reset = facts->closed && !t->orderly;
    bool unsent = facts->sent == t->sent && t->sent > 0;
    t->unread = o->first_ns == OP_TIME_NONE &&
                (unsent || (t->orderly && facts->acked == t->acked));
    if (unsent && o->attempts > 0 && --o->attempts == 0)
        o->sent_ns = OP_TIME_NONE;
}

/* Why libcurl closes a connection; t: what it carried and note_loss looked at, or NULL.
 * A GOAWAY is not told, and shows as what came of it. */
static enum rep_end why_closed(const struct rep_transfer *t)
{
    if (!t || t->stale || t->unread)
        return REP_END_IDLE;
    uint64_t length = 0;
    (void)span_u64(t->length, &length);
    return t->aborted || t->too_big || length > t->en->base.config.answer_max
               ? REP_END_GIVEN_UP
           : t->garbage                                 ? REP_END_GARBAGE
           : t->reset                                   ? REP_END_RESET
           : t->head_ended && (t->closes || !t->framed) ? REP_END_ANSWER
           : t->orderly                                 ? REP_END_CLOSED
           : t->sock_limit                              ? REP_END_LIMIT
                                                        : REP_END_GARBAGE;
}

static int close_socket(void *arg, curl_socket_t fd)
{
    struct rep_curl *en = arg;
    struct rep_sock *s = rep_sock_find(en, fd);
    struct rep_sock_facts facts;
    int pending = rep_connect_result(fd);
    bool known = rep_sock_look(fd, &facts);
    struct rep_transfer *carried = NULL;

    for (uint32_t i = 0; s && i < en->transfers; i++)
        if (en->all[i]->sock == s && known) {
            carried = en->all[i];
            note_loss(en->all[i], &facts, pending);
        }
    if (s && s->carried > 0 && !en->closing) {
        enum rep_end why = why_closed(carried);
        rep_connect_ended(&en->base, why);
        if (carried)
            carried->ended = why;
    }
    if (s) {
        rep_sock_unwatch(s);
        if (s->port && en->by_port[s->port] == s->ordinal + 1)
            en->by_port[s->port] = 0;
        s->fd = -1;
    }
    return close(fd);
}

bool rep_sock_callbacks(struct rep_transfer *t)
{
    return !curl_easy_setopt(t->easy, CURLOPT_OPENSOCKETFUNCTION, open_socket) &&
           !curl_easy_setopt(t->easy, CURLOPT_OPENSOCKETDATA, t) &&
           !curl_easy_setopt(t->easy, CURLOPT_CLOSESOCKETFUNCTION, close_socket) &&
           !curl_easy_setopt(t->easy, CURLOPT_CLOSESOCKETDATA, t->en);
}

/*
 * target.c - see target.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replay/target.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "traces/base/clk.h"

#define HOST_MAX 256
#define PORT_MAX 8

/* Splits "host:port", "host" or "[v6]:port". False when it is none of them. */
static bool split(struct span text, const char *usual_port, char *host,
                  size_t host_size, char *port, size_t port_size)
{
    struct span h = text, p = span_str(usual_port);

    if (text.n > 0 && text.p[0] == '[') {
        size_t end = span_find(text, ']', 0);
        if (end == text.n)
            return false;
        h = span_sub(text, 1, end);
        text = span_sub(text, end + 1, text.n);
        if (text.n > 0 && text.p[0] != ':')
            return false;
        if (text.n > 0)
            p = span_sub(text, 1, text.n);
    } else if (span_find(text, ':', 0) < text.n) {
        size_t colon = span_find(text, ':', 0);
        if (span_find(text, ':', colon + 1) < text.n)
            return false; /* a bare IPv6 address: which colon is the port's? */
        h = span_sub(text, 0, colon);
        p = span_sub(text, colon + 1, text.n);
    }
    uint64_t number;
    if (!span_u64(p, &number) || number == 0 || number > 65535 || h.n == 0 ||
        h.n >= host_size || p.n >= port_size)
        return false;
    memcpy(host, h.p, h.n);
    host[h.n] = '\0';
    memcpy(port, p.p, p.n);
    port[p.n] = '\0';
    return strpbrk(host, "/?#@ \t\r\n") == NULL;
}

int rep_target_parse(struct rep_address *a, const char *text, const char *option,
                     struct err *e)
{
    struct span s = span_str(text);
    char host[HOST_MAX], port[PORT_MAX];

    memset(a, 0, sizeof *a);
    if (span_find(s, '@', 0) < s.n)
        return err_set(e, ERR_USAGE, "%s: credentials do not belong in an address",
                       option);
    if (span_starts(s, "https://") || span_starts(s, "grpcs://")) {
        a->tls = true;
        s = span_sub(s, 8, s.n);
    } else if (span_starts(s, "http://")) {
        s = span_sub(s, 7, s.n);
    }
    if (span_ends(s, "/"))
        s = span_sub(s, 0, s.n - 1);
    if (!split(s, a->tls ? "443" : "80", host, sizeof host, port, sizeof port))
        return err_set(e, ERR_USAGE,
                       "%s '%s' is not an address such as http://127.0.0.1:9000, "
                       "127.0.0.1:9000 or [::1]:9000",
                       option, text);
    if (strchr(host, ':'))
        snprintf(a->authority, sizeof a->authority, "[%s]:%s", host, port);
    else
        snprintf(a->authority, sizeof a->authority, "%s:%s", host, port);
    snprintf(a->text, sizeof a->text, "%s", text);
    snprintf(a->host, sizeof a->host, "%s", host);
    return 0;
}

int rep_await(int fd, bool write, int64_t end_ns)
{
    for (;;) {
        int64_t left = end_ns - clk_mono_now(clk_system()).ns;
        struct pollfd p = {.fd = fd, .events = write ? POLLOUT : POLLIN};
        int ready = left > 0 ? poll(&p, 1, (int)(left / CLK_MS) + 1) : 0;
        if (ready > 0)
            return 0;
        if (ready == 0)
            return ETIMEDOUT;
        if (errno != EINTR)
            return errno;
    }
}

/* Waits until fd is connected. 0 or an errno value. */
static int await_connected(int fd, int64_t timeout_ns)
{
    int sys = rep_await(fd, true, clk_mono_now(clk_system()).ns + timeout_ns);
    socklen_t n = sizeof sys;
    return sys != 0 || getsockopt(fd, SOL_SOCKET, SO_ERROR, &sys, &n) == 0 ? sys
                                                                           : errno;
}

int rep_target_probe(const struct rep_address *a, int64_t timeout_ns, struct err *e)
{
    int fd = socket(a->to.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
                    IPPROTO_TCP);
    if (fd < 0)
        return err_sys(e, errno, "cannot make a socket");
    int sys = connect(fd, &a->to.any, a->length) == 0 ? 0 : errno;
    if (sys == EINPROGRESS)
        sys = await_connected(fd, timeout_ns);
    close(fd);
    if (sys == 0)
        return 0;
    return err_set(e, ERR_PEER, "cannot reach %s: %s", a->authority, strerror(sys));
}

/* The next of the list that fits, from i on; NULL: none. */
static const struct addrinfo *usable(const struct addrinfo *i)
{
    while (i && i->ai_addrlen > sizeof((struct rep_address *)0)->to)
        i = i->ai_next;
    return i;
}

static void take(struct rep_address *a, const struct addrinfo *i)
{
    memcpy(&a->to, i->ai_addr, i->ai_addrlen);
    a->length = i->ai_addrlen;
}

/* Keeps the first of the list that accepts a connection, else the first. needed: each
 * is given that time, else all together. ERR_PEER: none accepts one. */
static int take_open(struct rep_address *a, const struct addrinfo *first, bool needed,
                     int64_t timeout_ns, struct err *last)
{
    int64_t end = clk_mono_now(clk_system()).ns + timeout_ns;
    int rc = ERR_PEER;
    for (const struct addrinfo *i = first; i && rc < 0; i = usable(i->ai_next)) {
        int64_t left = needed ? timeout_ns : end - clk_mono_now(clk_system()).ns;
        err_clear(last);
        take(a, i);
        rc = rep_target_probe(a, left > 0 ? left : 0, last);
    }
    if (rc < 0)
        take(a, first);
    return rc;
}

int rep_target_resolve(struct rep_address *a, bool needed, int64_t timeout_ns,
                       struct err *e)
{
    char host[HOST_MAX], port[PORT_MAX];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    struct addrinfo *list = NULL;
    struct err last = {0};
    int rc = 0;

    if (!split(span_str(a->authority), "80", host, sizeof host, port, sizeof port))
        return err_set(e, ERR_USAGE, "'%s' is not an address", a->authority);
    int gai = getaddrinfo(host, port, &hints, &list);
    if (gai != 0) {
        /* AI_ADDRCONFIG hides loopback on a machine with no other address. */
        hints.ai_flags = 0;
        gai = getaddrinfo(host, port, &hints, &list);
    }
    if (gai != 0)
        return err_set(e, ERR_PEER, "cannot resolve '%s': %s", host, gai_strerror(gai));
    const struct addrinfo *first = usable(list);
    if (!first)
        rc = err_set(&last, ERR_PEER, "'%s' has no address that can be used", host);
    else if (needed || usable(first->ai_next))
        rc = take_open(a, first, needed, timeout_ns, &last);
    else
        take(a, first);
    freeaddrinfo(list);
    return rc < 0 && (needed || !first) ? err_set(e, rc, "%s", last.text) : 0;
}

/* peer.c - see peer.h. SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/peer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS_MAX 4096

struct visit {
    struct peer *peer;
    int nth;
    _Atomic int fd; /* -1: closed */
    pthread_t thread;
};

struct peer {
    peer_fn *fn;
    void *arg;
    int listener;
    uint16_t port;
    pthread_t thread;
    _Atomic int count;
    struct visit visits[CONNECTIONS_MAX];
};

static int listen_somewhere(uint16_t *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) < 0 ||
        listen(fd, 512) < 0 || getsockname(fd, (struct sockaddr *)&a, &n) < 0)
        abort();
    *port = ntohs(a.sin_port);
    return fd;
}

static void *handle(void *arg)
{
    struct visit *v = arg;
    int fd = atomic_load(&v->fd);
    v->peer->fn(fd, v->nth, v->peer->arg);
    /* Taken by peer_stop in the meantime? Then it only shut it down; we close it. */
    atomic_store(&v->fd, -1);
    close(fd);
    return NULL;
}

static void *serve(void *arg)
{
    struct peer *p = arg;
    for (;;) {
        int fd = accept4(p->listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            return NULL;
        int nth = atomic_load(&p->count), on = 1;
        if (nth == CONNECTIONS_MAX)
            abort();
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        struct visit *v = &p->visits[nth];
        v->peer = p;
        v->nth = nth;
        atomic_store(&v->fd, fd);
        atomic_store(&p->count, nth + 1); /* first: its answer may be seen at once */
        if (pthread_create(&v->thread, NULL, handle, v) != 0)
            abort();
    }
}

struct peer *peer_start(peer_fn *fn, void *arg)
{
    struct peer *p = calloc(1, sizeof *p);
    if (!p)
        abort();
    p->fn = fn;
    p->arg = arg;
    p->listener = listen_somewhere(&p->port);
    if (pthread_create(&p->thread, NULL, serve, p) != 0)
        abort();
    return p;
}

uint16_t peer_port(const struct peer *p)
{
    return p->port;
}

int peer_connections(const struct peer *p)
{
    return atomic_load(&p->count);
}

void peer_stop(struct peer *p)
{
    shutdown(p->listener, SHUT_RDWR);
    pthread_join(p->thread, NULL);
    for (int i = 0; i < atomic_load(&p->count); i++) {
        int fd = atomic_load(&p->visits[i].fd);
        if (fd >= 0)
            shutdown(fd, SHUT_RDWR);
        pthread_join(p->visits[i].thread, NULL);
    }
    close(p->listener);
    free(p);
}

size_t peer_read_request(int fd, char *out, size_t size)
{
    size_t have = 0;
    for (;;) {
        ssize_t n = read(fd, out + have, size - 1 - have);
        if (n <= 0)
            return 0;
        have += (size_t)n;
        out[have] = '\0';
        char *end = strstr(out, "\r\n\r\n");
        if (!end)
            continue;
        char *length = strstr(out, "Content-Length: ");
        size_t body = length && length < end ? strtoul(length + 16, NULL, 10) : 0;
        if (have >= (size_t)(end + 4 - out) + body)
            return have;
    }
}

bool peer_send(int fd, const void *p, size_t n)
{
    const char *at = p;
    while (n > 0) {
        ssize_t sent = send(fd, at, n, MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        at += sent;
        n -= (size_t)sent;
    }
    return true;
}

bool peer_say(int fd, const char *text)
{
    return peer_send(fd, text, strlen(text));
}

void peer_reset(int fd)
{
    struct linger l = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
    /* The close comes when the handler returns. */
}

int peer_client(const struct peer *p)
{
    for (int fd = 3; fd < 1024; fd++) {
        struct sockaddr_in to;
        socklen_t n = sizeof to;
        if (getpeername(fd, (struct sockaddr *)&to, &n) == 0 &&
            to.sin_family == AF_INET && ntohs(to.sin_port) == p->port)
            return fd;
    }
    return -1;
}

bool peer_await_end(int client)
{
    struct pollfd p = {.fd = client, .events = POLLRDHUP};
    return poll(&p, 1, 60000) == 1;
}

uint16_t peer_dead_port(void)
{
    uint16_t port;
    close(listen_somewhere(&port));
    return port;
}

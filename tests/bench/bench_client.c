/*
 * bench_client.c - the least that a client can do: the floor that `make bench` shows
 * beside reprise and its peers.
 *
 *   bench_client PORT REQUEST CONNECTIONS closed SECONDS
 *   bench_client PORT REQUEST CONNECTIONS open DUE
 *
 * One thread sends the bytes of the file REQUEST to bench_server and reads its answers:
 * no trace is read, nothing is checked, recorded or judged. In closed loop each
 * connection always has one request in flight. In open loop the file DUE holds when
 * each request is due (64-bit integers, nanoseconds since the start, ascending); a free
 * connection takes the next one that is due, and the thread polls, so it has the
 * processor all the time. Where this client falls short, the limit is the machine with
 * its kernel, not what a client does beside sending and reading.
 *
 * Prints when due time 0 was (CLOCK_MONOTONIC, ns; closed loop: the start) and how many
 * requests were answered. It shares no code with the program that it is held against.
 * Limits: 1,024 connections, requests and answers of 4 KiB, all answers of one length.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CONN_MAX = 1024, MESSAGE_MAX = 4096, EVENTS = 256 };

#define LEAD_NS INT64_C(20000000) /* from the last connection to due time 0 */

static struct {
    char request[MESSAGE_MAX], answer[MESSAGE_MAX];
    size_t request_bytes, answer_bytes; /* of the answer: 0 until the first came */
    int fds[CONN_MAX], epoll;
    size_t read[CONN_MAX];            /* of the answer that is coming */
    uint32_t free[CONN_MAX], frees;   /* connections without a request: a stack */
    int64_t *due, start_ns, until_ns; /* due: NULL in closed loop */
    uint64_t dues, sent, answered;
} c;

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "bench_client: %s: %s\n", what,
            errno ? strerror(errno) : "unusable");
    exit(1);
}

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void connect_all(uint16_t port, uint32_t connections)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    c.epoll = epoll_create1(EPOLL_CLOEXEC);
    for (uint32_t i = 0; i < connections; i++) {
        struct epoll_event e = {.events = EPOLLIN, .data.u32 = i};
        int fd = c.fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
        if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) != 0 ||
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) != 0 ||
            epoll_ctl(c.epoll, EPOLL_CTL_ADD, fd, &e) != 0)
            die("connect");
        c.free[c.frees++] = i;
    }
}

/* Sends what is due as far as connections are free. False: nothing will be due any
 * more. */
static bool send_due(void)
{
    while (c.frees > 0) {
        if (c.due ? c.sent == c.dues : now_ns() >= c.until_ns)
            return false;
        if (c.due && now_ns() < c.start_ns + c.due[c.sent])
            break;
        int fd = c.fds[c.free[--c.frees]];
        if (send(fd, c.request, c.request_bytes, MSG_NOSIGNAL) !=
            (ssize_t)c.request_bytes)
            die("send");
        c.sent++;
    }
    return true;
}

/* How long all answers are, from the whole first one. */
static size_t answer_length(const char *bytes, size_t n)
{
    char text[MESSAGE_MAX + 1];
    memcpy(text, bytes, n);
    text[n] = 0;
    const char *end = strstr(text, "\r\n\r\n"),
               *length = strcasestr(text, "content-length:");
    if (!end || !length || length > end)
        die("the first answer");
    return (size_t)(end + 4 - text) +
           strtoul(length + strlen("content-length:"), NULL, 10);
}

static void read_answer(uint32_t i)
{
    ssize_t n = recv(c.fds[i], c.answer, sizeof c.answer, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0)
        die("recv");
    if (c.answer_bytes == 0)
        c.answer_bytes = answer_length(c.answer, (size_t)n);
    c.read[i] += (size_t)n;
    if (c.read[i] < c.answer_bytes)
        return;
    if (c.read[i] > c.answer_bytes)
        die("an answer");
    c.read[i] = 0;
    c.answered++;
    c.free[c.frees++] = i;
}

static void run(void)
{
    struct epoll_event events[EVENTS];
    while (send_due() || c.answered < c.sent) {
        int n = epoll_wait(c.epoll, events, EVENTS, c.due ? 0 : -1);
        for (int i = 0; i < n; i++) {
            read_answer(events[i].data.u32);
            send_due(); /* not only after all of them: what is due now goes now */
        }
    }
}

static void *read_file(const char *path, size_t limit, size_t *bytes)
{
    FILE *f = fopen(path, "rb");
    char *data = malloc(limit + 1);
    if (!f || !data)
        die(path);
    *bytes = fread(data, 1, limit + 1, f);
    if (ferror(f) || *bytes == 0 || *bytes > limit)
        die(path);
    fclose(f);
    return data;
}

int main(int argc, char **argv)
{
    unsigned long port = argc == 6 ? strtoul(argv[1], NULL, 10) : 0;
    unsigned long connections = argc == 6 ? strtoul(argv[3], NULL, 10) : 0;
    bool open = argc == 6 && strcmp(argv[4], "open") == 0;
    if (port == 0 || port > UINT16_MAX || connections == 0 || connections > CONN_MAX ||
        (!open && strcmp(argv[4], "closed") != 0)) {
        fprintf(stderr, "usage: bench_client PORT REQUEST CONNECTIONS closed SECONDS\n"
                        "       bench_client PORT REQUEST CONNECTIONS open DUE\n");
        return 64;
    }
    char *request = read_file(argv[2], MESSAGE_MAX, &c.request_bytes);
    memcpy(c.request, request, c.request_bytes);
    free(request);
    if (open) {
        size_t bytes;
        c.due = read_file(argv[5], (size_t)1 << 30, &bytes);
        c.dues = bytes / sizeof *c.due;
    }
    connect_all((uint16_t)port, (uint32_t)connections);
    c.start_ns = now_ns() + (open ? LEAD_NS : 0);
    c.until_ns = c.start_ns + (int64_t)(strtod(argv[5], NULL) * 1e9);
    run();
    printf("%" PRId64 " %" PRIu64 "\n", c.start_ns, c.answered);
    free(c.due);
    return 0;
}

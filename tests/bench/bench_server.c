/*
 * bench_server.c - the server that `make bench` measures clients against.
 *
 *   bench_server rest|grpc [--stamps FILE] [--first FILE]
 *
 * One thread, one epoll loop, a fixed answer to every request: HTTP/1.1 with a small V2
 * JSON answer, or HTTP/2 (prior knowledge) with a small ModelInferResponse and
 * trailers. All answers to what one read brought leave in one write. It listens on a
 * free loopback port and says which ("port N"); at SIGTERM it prints what it saw as one
 * line of JSON: requests, connections, faults, its CPU time, and when the first and
 * last request came.
 *
 * --stamps records when each request arrived, as the kernel stamped its packet on the
 * loopback device, so that neither the client's word nor this program's own wake-up
 * delay enters: FILE gets one pair of 64-bit integers (CLOCK_MONOTONIC nanoseconds,
 * connection) a request. Packets are stamped with the wall clock; its distance to the
 * monotonic one is taken at both ends and shared out linearly, so a steered clock does
 * not show.
 * --first keeps the first request (REST: head and body; gRPC: the message with its
 * prefix), which other clients are then given to send.
 *
 * Its HTTP/2 is the least that fixed answers need, so that clients are what is slow:
 * frames are found by their lengths, header blocks are not even decoded, and the head
 * and trailers of an answer are indexed from the second on. It keeps to the protocol
 * where a client could tell; what it cannot answer for is a fault.
 *
 * It shares no code with the program that it measures. Limits: 4,096 connections,
 * requests of 64 KiB, 16 million stamps.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    CONN_MAX = 4096,
    IN_MAX = 1 << 16,
    OUT_MAX = 1 << 20, /* answers to the most requests that IN_MAX can hold */
    STAMP_MAX = 1 << 24,
    EVENTS = 256
};

static const char REST_BODY[] =
    "{\"model_name\":\"iris_1\",\"model_version\":\"1\",\"outputs\":[{\"name\":"
    "\"predict\",\"datatype\":\"INT64\",\"shape\":[1,1],\"data\":[0]}]}";

/* ModelInferResponse: model_name "iris_1", model_version "1", outputs {name "predict",
 * datatype "INT64", shape [1,1]}, raw_output_contents of one INT64; with its prefix. */
static const char GRPC_ANSWER[] = "\0\0\0\0\x2b"
                                  "\x0a\x06iris_1\x12\x01"
                                  "1\x2a\x14"
                                  "\x0a\x07predict\x12\x05INT64\x1a\x02\x01\x01"
                                  "\x32\x08\0\0\0\0\0\0\0\0";

struct stamp {
    int64_t ns, connection; /* ns: wall clock until it is converted at the end */
};

struct conn {
    int fd; /* -1: free */
    int64_t ordinal;
    int64_t stamp_ns; /* of the read that is being handled, wall clock */
    size_t in_bytes, out_bytes;
    bool prefaced, answered; /* HTTP/2: its opening came; a first answer went */
    int64_t received;        /* HTTP/2: DATA since its window was opened last */
    int64_t send_window;     /* HTTP/2: of the connection, as the client widens it */
    char in[IN_MAX], out[OUT_MAX];
};

static struct {
    bool grpc, stamping;
    int epoll, listener, signals;
    const char *stamps_path, *first_path;
    struct conn *conns[CONN_MAX];
    struct stamp *stamps;
    uint64_t requests, connections, faults;
    int64_t first_ns, last_ns; /* monotonic, when handled */
    FILE *first;
    const struct conn *first_from; /* NULL: nothing came yet */
    bool first_done;
    char rest_answer[512];
    size_t rest_answer_bytes;
} srv;

static void die(const char *what)
{
    fprintf(stderr, "bench_server: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int64_t now_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Wall clock minus monotonic clock: of several tries, the one with the closest bracket.
 */
static int64_t clock_offset(void)
{
    int64_t best = INT64_MAX, offset = 0;
    for (int i = 0; i < 50; i++) {
        int64_t a = now_ns(CLOCK_MONOTONIC), w = now_ns(CLOCK_REALTIME);
        int64_t b = now_ns(CLOCK_MONOTONIC);
        if (b - a < best) {
            best = b - a;
            offset = w - (a + (b - a) / 2);
        }
    }
    return offset;
}

/* --- requests, whatever the protocol -------------------------------------------------
 */

static void count_request(struct conn *c)
{
    srv.last_ns = now_ns(CLOCK_MONOTONIC);
    if (srv.requests == 0)
        srv.first_ns = srv.last_ns;
    if (srv.stamping && srv.requests < STAMP_MAX)
        srv.stamps[srv.requests] = (struct stamp){c->stamp_ns, c->ordinal};
    srv.requests++;
}

/* Pieces of the first request; a connection that came earlier may never send one. */
static void keep_first(const struct conn *c, const void *bytes, size_t n)
{
    if (!srv.first || srv.first_done || n == 0)
        return;
    if (!srv.first_from)
        srv.first_from = c;
    if (c == srv.first_from && fwrite(bytes, n, 1, srv.first) != 1)
        die(srv.first_path);
}

static void first_is_whole(const struct conn *c)
{
    if (c != srv.first_from || srv.first_done)
        return;
    if (fflush(srv.first) != 0)
        die(srv.first_path);
    srv.first_done = true;
}

/* false: the answers do not fit, which no client that waits for answers can cause. */
static bool answer(struct conn *c, const void *bytes, size_t n)
{
    if (n > sizeof c->out - c->out_bytes)
        return false;
    memcpy(c->out + c->out_bytes, bytes, n);
    c->out_bytes += n;
    return true;
}

/* Writes what is pending; what the socket does not take waits for EPOLLOUT. */
static bool conn_write(struct conn *c)
{
    if (c->out_bytes == 0)
        return true;
    ssize_t n = write(c->fd, c->out, c->out_bytes);
    if (n < 0 && errno != EAGAIN)
        return false;
    size_t done = n < 0 ? 0 : (size_t)n;
    c->out_bytes -= done;
    memmove(c->out, c->out + done, c->out_bytes);
    if (c->out_bytes > 0) {
        struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT, .data.ptr = c};
        epoll_ctl(srv.epoll, EPOLL_CTL_MOD, c->fd, &ev);
    }
    return true;
}

/* --- HTTP/1.1
 * --------------------------------------------------------------------------- */

/* Length of the request at p (head and body); 0: not whole yet; -1: not for this
 * server. */
static ssize_t request_bytes(const char *p, size_t n)
{
    const char *end = memmem(p, n, "\r\n\r\n", 4);
    if (!end)
        return n < IN_MAX ? 0 : -1;
    size_t head = (size_t)(end - p) + 4, body = 0;
    for (const char *line = p; line < end;) {
        const char *eol = memmem(line, (size_t)(end + 2 - line), "\r\n", 2);
        static const char name[] = "content-length:";
        if ((size_t)(eol - line) > sizeof name - 1 &&
            strncasecmp(line, name, sizeof name - 1) == 0)
            body = strtoul(line + sizeof name - 1, NULL, 10);
        line = eol + 2;
    }
    if (body > IN_MAX - head)
        return -1;
    return head + body <= n ? (ssize_t)(head + body) : 0;
}

static bool rest_input(struct conn *c)
{
    size_t at = 0;
    for (;;) {
        ssize_t n = request_bytes(c->in + at, c->in_bytes - at);
        if (n < 0)
            return false;
        if (n == 0)
            break;
        count_request(c);
        keep_first(c, c->in + at, (size_t)n);
        first_is_whole(c);
        if (!answer(c, srv.rest_answer, srv.rest_answer_bytes))
            return false;
        at += (size_t)n;
    }
    c->in_bytes -= at;
    memmove(c->in, c->in + at, c->in_bytes);
    return true;
}

/* --- HTTP/2
 * ----------------------------------------------------------------------------- */

enum { DATA, HEADERS, SETTINGS = 4, PING = 6, WINDOW_UPDATE = 8 }; /* RFC 9113, 6 */
enum { END_STREAM = 1, ACK = 1, PADDED = 8 };
enum { FRAME_HEAD = 9, FRAME_MAX = 16384, WINDOW = 1 << 30 };

static const char PREFACE[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/* HEADERS, DATA and trailers; the stream is set in each. The first answer of a
 * connection puts content-type and grpc-status into the header table (RFC 7541). */
#define GRPC_DATA "\0\0\x30\0\0\0\0\0\0"
static const char FIRST_HEAD[] = "\0\0\x13\1\4\0\0\0\0\x88\x5f\x10"
                                 "application/grpc" GRPC_DATA;
static const char LATER_HEAD[] = "\0\0\2\1\4\0\0\0\0\x88\xbf" GRPC_DATA;
static const char FIRST_TRAILERS[] = "\0\0\x0f\1\5\0\0\0\0\x40\x0b"
                                     "grpc-status\1"
                                     "0";
static const char LATER_TRAILERS[] = "\0\0\1\1\5\0\0\0\0\xbe";
static_assert(sizeof GRPC_ANSWER - 1 == 0x30, "the length in GRPC_DATA");

static uint32_t get_u32(const void *bytes)
{
    uint32_t v;
    memcpy(&v, bytes, 4);
    return ntohl(v);
}

static bool h2_answer(struct conn *c, const char *stream)
{
    size_t at = c->out_bytes, body = sizeof GRPC_ANSWER - 1;
    bool first = !c->answered;
    c->answered = true;
    c->send_window -= (int64_t)body;
    size_t head = (first ? sizeof FIRST_HEAD : sizeof LATER_HEAD) - 1;
    size_t tail = (first ? sizeof FIRST_TRAILERS : sizeof LATER_TRAILERS) - 1;
    if (c->send_window < 0 || !answer(c, first ? FIRST_HEAD : LATER_HEAD, head) ||
        !answer(c, GRPC_ANSWER, body) ||
        !answer(c, first ? FIRST_TRAILERS : LATER_TRAILERS, tail))
        return false;
    memcpy(c->out + at + 5, stream, 4);
    memcpy(c->out + at + head - FRAME_HEAD + 5, stream, 4);
    memcpy(c->out + at + head + body + 5, stream, 4);
    return true;
}

/* What came as DATA; the window stays open. */
static bool h2_data(struct conn *c, const char *p, size_t n, uint32_t stream)
{
    static const char wider[] = "\0\0\4\x8\0\0\0\0\0";
    if (stream == 1)
        keep_first(c, p, n);
    c->received += (int64_t)n;
    if (c->received < WINDOW / 2)
        return true;
    uint32_t by = htonl((uint32_t)c->received);
    c->received = 0;
    return answer(c, wider, FRAME_HEAD) && answer(c, &by, 4);
}

static bool h2_frame(struct conn *c, const char *f, size_t n)
{
    static const char settings_ack[] = "\0\0\0\4\1\0\0\0\0", ping_ack[] = "\0\0\x8\6\1";
    unsigned type = (unsigned char)f[3], flags = (unsigned char)f[4];
    uint32_t stream = get_u32(f + 5);
    if (type == SETTINGS && !(flags & ACK))
        return answer(c, settings_ack, FRAME_HEAD);
    if (type == PING && !(flags & ACK))
        return answer(c, ping_ack, 5) && answer(c, "\0\0\0", 4) &&
               answer(c, f + FRAME_HEAD, n);
    if (type == WINDOW_UPDATE && stream == 0 && n == 4)
        c->send_window += get_u32(f + FRAME_HEAD);
    if (type != DATA && type != HEADERS)
        return true;
    if (flags & PADDED || (type == DATA && !h2_data(c, f + FRAME_HEAD, n, stream)))
        return false;
    if (!(flags & END_STREAM))
        return true;
    count_request(c);
    if (stream == 1)
        first_is_whole(c);
    return h2_answer(c, f + 5);
}

/* 1,000 streams at once; and a window that is opened wide. */
static bool h2_open(struct conn *c)
{
    static const char opening[] = "\0\0\6\4\0\0\0\0\0"
                                  "\0\3\0\0\3\xe8"
                                  "\0\0\4\x8\0\0\0\0\0"
                                  "\x3f\xff\0\1"; /* WINDOW - 65,535 */
    c->prefaced = c->answered = false;
    c->received = 0;
    c->send_window = 65535;
    return answer(c, opening, sizeof opening - 1) && conn_write(c);
}

static bool h2_input(struct conn *c)
{
    size_t at = 0;
    if (!c->prefaced) {
        if (c->in_bytes < sizeof PREFACE - 1)
            return true;
        if (memcmp(c->in, PREFACE, sizeof PREFACE - 1) != 0)
            return false;
        c->prefaced = true;
        at = sizeof PREFACE - 1;
    }
    while (c->in_bytes - at >= FRAME_HEAD) {
        size_t n = get_u32(c->in + at) >> 8;
        if (n > FRAME_MAX)
            return false;
        if (c->in_bytes - at < FRAME_HEAD + n)
            break;
        if (!h2_frame(c, c->in + at, n))
            return false;
        at += FRAME_HEAD + n;
    }
    c->in_bytes -= at;
    memmove(c->in, c->in + at, c->in_bytes);
    return true;
}

/* --- connections
 * ------------------------------------------------------------------------ */

static void conn_close(struct conn *c, bool fault)
{
    srv.faults += fault;
    close(c->fd); /* leaves the epoll set with it */
    c->fd = -1;
}

static void conn_accept(void)
{
    for (;;) {
        int fd = accept4(srv.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return;
        size_t i = 0;
        while (i < CONN_MAX && srv.conns[i] && srv.conns[i]->fd >= 0)
            i++;
        if (i == CONN_MAX) {
            srv.faults++;
            close(fd);
            continue;
        }
        if (!srv.conns[i] && !(srv.conns[i] = malloc(sizeof *srv.conns[i])))
            die("memory");
        struct conn *c = srv.conns[i];
        c->fd = fd, c->ordinal = (int64_t)srv.connections++, c->stamp_ns = 0;
        c->in_bytes = c->out_bytes = 0;
        int one = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        struct epoll_event ev = {.events = EPOLLIN, .data.ptr = c};
        if (epoll_ctl(srv.epoll, EPOLL_CTL_ADD, fd, &ev) < 0)
            die("epoll_ctl");
        if (srv.grpc && !h2_open(c))
            conn_close(c, true);
    }
}

/* Reads once. > 0: bytes; 0: the client is done; -1: nothing there; -2: broken. */
static ssize_t conn_read(struct conn *c)
{
    size_t room = sizeof c->in - c->in_bytes;
    ssize_t n;
    if (!srv.stamping) {
        n = read(c->fd, c->in + c->in_bytes, room);
    } else {
        union {
            char bytes[CMSG_SPACE(sizeof(struct timespec))];
            struct cmsghdr align;
        } control;
        struct iovec iov = {c->in + c->in_bytes, room};
        struct msghdr msg = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
        n = recvmsg(c->fd, &msg, 0);
        struct cmsghdr *m = n > 0 ? CMSG_FIRSTHDR(&msg) : NULL;
        if (m && m->cmsg_type == SCM_TIMESTAMPNS) {
            struct timespec t;
            memcpy(&t, CMSG_DATA(m), sizeof t);
            c->stamp_ns = (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
        } else if (n > 0) {
            srv.faults++; /* a stamp of our own would be another measure */
        }
    }
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? -1 : -2;
    c->in_bytes += (size_t)n;
    return n;
}

static void conn_event(struct conn *c, uint32_t events)
{
    if (c->fd < 0)
        return; /* closed earlier in this turn */
    if (events & EPOLLOUT) {
        struct epoll_event ev = {.events = EPOLLIN, .data.ptr = c};
        epoll_ctl(srv.epoll, EPOLL_CTL_MOD, c->fd, &ev);
    }
    ssize_t n = conn_read(c);
    if (n == 0 ||
        n == -2) { /* clients of a fixed duration may well leave mid-request */
        conn_close(c, false);
        return;
    }
    bool fine = n < 0 || (srv.grpc ? h2_input(c) : rest_input(c));
    if (!fine || !conn_write(c))
        conn_close(c, !fine);
}

/* --- main
 * ------------------------------------------------------------------------------- */

static void listen_on_loopback(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t n = sizeof a;
    srv.listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (srv.listener < 0 || bind(srv.listener, (struct sockaddr *)&a, n) < 0 ||
        listen(srv.listener, 1024) < 0 ||
        getsockname(srv.listener, (struct sockaddr *)&a, &n) < 0)
        die("listen");
    /* Connections inherit it; set here, the kernel stamps before the first one comes.
     */
    int one = 1;
    if (srv.stamping &&
        setsockopt(srv.listener, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof one) < 0)
        die("SO_TIMESTAMPNS");
    printf("port %d\n", ntohs(a.sin_port));
    fflush(stdout);
}

static void watch(int fd, void *id)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = id};
    if (epoll_ctl(srv.epoll, EPOLL_CTL_ADD, fd, &ev) < 0)
        die("epoll_ctl");
}

static void serve(void)
{
    for (;;) {
        struct epoll_event events[EVENTS];
        int n = epoll_wait(srv.epoll, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr == &srv.signals)
                return;
            if (events[i].data.ptr == &srv.listener)
                conn_accept();
            else
                conn_event(events[i].data.ptr, events[i].events);
        }
    }
}

static void write_stamps(int64_t start_ns, int64_t start_offset)
{
    int64_t end_ns = now_ns(CLOCK_REALTIME), drift = clock_offset() - start_offset;
    double span = (double)(end_ns - start_ns);
    uint64_t n = srv.requests < STAMP_MAX ? srv.requests : STAMP_MAX;
    for (uint64_t i = 0; i < n; i++) {
        double part = (double)(srv.stamps[i].ns - start_ns) / span;
        srv.stamps[i].ns -= start_offset + (int64_t)(part * (double)drift);
    }
    FILE *f = fopen(srv.stamps_path, "wb");
    if (!f || fwrite(srv.stamps, sizeof *srv.stamps, n, f) != n || fclose(f) != 0)
        die(srv.stamps_path);
}

static void usage(void)
{
    fprintf(stderr, "usage: bench_server rest|grpc [--stamps FILE] [--first FILE]\n");
    exit(64);
}

static void arguments(int argc, char **argv)
{
    if (argc < 2 || (strcmp(argv[1], "rest") != 0 && strcmp(argv[1], "grpc") != 0))
        usage();
    srv.grpc = strcmp(argv[1], "grpc") == 0;
    for (int i = 2; i < argc; i += 2) {
        if (i + 1 == argc)
            usage();
        if (strcmp(argv[i], "--stamps") == 0)
            srv.stamps_path = argv[i + 1];
        else if (strcmp(argv[i], "--first") == 0)
            srv.first_path = argv[i + 1];
        else
            usage();
    }
    srv.stamping = srv.stamps_path != NULL;
    if (srv.stamping && !(srv.stamps = calloc(STAMP_MAX, sizeof *srv.stamps)))
        die("memory");
    if (srv.first_path && !(srv.first = fopen(srv.first_path, "wb")))
        die(srv.first_path);
}

int main(int argc, char **argv)
{
    arguments(argc, argv);
    srv.rest_answer_bytes =
        (size_t)snprintf(srv.rest_answer, sizeof srv.rest_answer,
                         "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
                         "content-length: %zu\r\n\r\n%s",
                         sizeof REST_BODY - 1, REST_BODY);
    sigset_t stop;
    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGINT);
    sigprocmask(SIG_BLOCK, &stop, NULL);
    signal(SIGPIPE, SIG_IGN);
    srv.epoll = epoll_create1(EPOLL_CLOEXEC);
    srv.signals = signalfd(-1, &stop, SFD_CLOEXEC);
    if (srv.epoll < 0 || srv.signals < 0)
        die("epoll");
    listen_on_loopback();
    watch(srv.listener, &srv.listener);
    watch(srv.signals, &srv.signals);

    int64_t start_ns = now_ns(CLOCK_REALTIME), start_offset = clock_offset();
    serve();
    if (srv.stamping)
        write_stamps(start_ns, start_offset);
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    printf("{\"requests\":%" PRIu64 ",\"connections\":%" PRIu64 ",\"faults\":%" PRIu64
           ",\"first_ns\":%" PRId64 ",\"last_ns\":%" PRId64 ",\"cpu_us\":%" PRId64
           "}\n",
           srv.requests, srv.connections, srv.faults, srv.first_ns, srv.last_ns,
           (int64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000 +
               u.ru_utime.tv_usec + u.ru_stime.tv_usec);
    return 0;
}

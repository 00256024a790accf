/*
 * dialect.c - see dialect.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replay/engine/dialect.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "replay/engine/engine.h"
#include "traces/base/buf.h"
#include "traces/base/clk.h"
#include "traces/wire/h2_client.h"

#define FIRST_BYTES 9u        /* a frame's head; more than the others need */
#define SILENCE_NS  (CLK_SEC) /* a server of HTTP/2 speaks at once */
#define TUNNEL_MAX  8192u     /* bytes of a proxy's answer */

enum { FRAME_SETTINGS = 4, FRAME_GOAWAY = 7, TLS_ALERT = 21, TLS_MAJOR = 3 };

/* A frame of the connection that a server begins with; none is as long as text would
 * make it. */
static bool is_first_frame(struct span s)
{
    return s.n >= FIRST_BYTES && s.p[0] == 0 && s.p[1] < 4 &&
           (s.p[3] == FRAME_SETTINGS || s.p[3] == FRAME_GOAWAY) && s.p[4] == 0 &&
           memcmp(s.p + 5, "\0\0\0\0", 4) == 0;
}

enum rep_dialect rep_dialect_of(struct span first)
{
    if (span_starts(first, "HTTP/"))
        return REP_DIALECT_HTTP1;
    if (is_first_frame(first))
        return REP_DIALECT_HTTP2;
    if (first.n >= 2 && first.p[0] == TLS_ALERT && first.p[1] == TLS_MAJOR)
        return REP_DIALECT_TLS;
    return REP_DIALECT_UNKNOWN;
}

const char *rep_dialect_words(enum rep_dialect d, enum op_protocol protocol,
                              int http_version)
{
    bool grpc = protocol == OP_GRPC, h2 = grpc || http_version == 2;
    if (d == REP_DIALECT_HTTP1 && grpc)
        return "it answers in HTTP/1.1, and gRPC needs HTTP/2: is this the port for "
               "REST?";
    if (d == REP_DIALECT_HTTP1 && h2)
        return "it answers in HTTP/1.1, not HTTP/2: --http-version 1.1 speaks that";
    if (d == REP_DIALECT_HTTP2 && !h2)
        return "it answers in HTTP/2, not HTTP/1.1: is this the port for gRPC? "
               "--engine curl --http-version 2 speaks that";
    if (d == REP_DIALECT_TLS)
        return grpc ? "it answers in TLS: grpcs://HOST:PORT speaks that"
                    : "it answers in TLS: https://HOST:PORT speaks that";
    return NULL;
}

/* --- the probe -------------------------------------------------------------------- */

struct probe {
    int fd;
    int64_t end_ns;
    uint8_t bytes[TUNNEL_MAX];
    size_t n;
};

/* The few bytes fit what a socket takes at once. 0, or an errno value. */
static int put(const struct probe *p, struct span bytes)
{
    ssize_t n = send(p->fd, bytes.p, bytes.n, MSG_NOSIGNAL);
    return n == (ssize_t)bytes.n ? 0 : n < 0 ? errno : ENOBUFS;
}

/* Reads once, at most `max` bytes behind those that are there. 0, or an errno value;
 * *over: the peer's end. */
static int get(struct probe *p, size_t max, bool *over)
{
    int sys = rep_await(p->fd, false, p->end_ns);
    if (sys != 0)
        return sys;
    ssize_t n = recv(p->fd, p->bytes + p->n, max, 0);
    *over = n == 0 || (n < 0 && errno == ECONNRESET);
    if (n > 0)
        p->n += (size_t)n;
    return n < 0 && !*over && errno != EAGAIN && errno != EINTR ? errno : 0;
}

/* Has the proxy connect to the target. False: it does not, or says something else. */
static bool open_tunnel(struct probe *p, const struct rep_address *target)
{
    struct buf head = {0};
    bool over = false;

    buf_fmt(&head, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", target->authority,
            target->authority);
    int sys = head.failed ? ENOMEM : put(p, buf_view(&head));
    buf_done(&head);
    /* One by one, for what follows the head is the target's. */
    while (sys == 0 && !over && p->n < TUNNEL_MAX &&
           !span_ends(span_of(p->bytes, p->n), "\r\n\r\n"))
        sys = get(p, 1, &over);
    struct span answer = span_of(p->bytes, p->n);
    p->n = 0;
    return sys == 0 && !over && span_ends(answer, "\r\n\r\n") &&
           span_starts(answer, "HTTP/1.") && answer.n > 12 &&
           memcmp(answer.p + 8, " 2", 2) == 0;
}

static int open_h2(struct probe *p)
{
    struct h2_client h = {0};
    int sys = h2_client_init(&h, 1, NULL) < 0 ? ENOMEM : put(p, buf_view(&h.out));
    h2_client_done(&h);
    return sys;
}

static int ask(struct probe *p, const struct rep_address *target,
               const struct rep_address *proxy, enum op_protocol protocol,
               struct err *e)
{
    bool over = false;
    int sys = rep_await(p->fd, true, p->end_ns);

    if (sys == 0)
        sys = rep_connect_result(p->fd);
    if (sys != 0 || (proxy && !open_tunnel(p, target)) || open_h2(p) != 0)
        return 0;
    while (sys == 0 && !over && p->n < FIRST_BYTES)
        sys = get(p, FIRST_BYTES - p->n, &over);
    const char *words =
        rep_dialect_words(rep_dialect_of(span_of(p->bytes, p->n)), protocol, 2);
    if (!words && over && p->n == 0)
        words = "it hangs up when HTTP/2 is begun: does it speak that, in plaintext?";
    return words ? err_set(e, ERR_PEER, "cannot reach %s: %s", target->authority, words)
                 : 0;
}

int rep_dialect_probe_h2(const struct rep_address *target,
                         const struct rep_address *proxy, enum op_protocol protocol,
                         int64_t timeout_ns, struct err *e)
{
    struct probe p = {.end_ns = clk_mono_now(clk_system()).ns +
                                (timeout_ns < SILENCE_NS ? timeout_ns : SILENCE_NS)};
    p.fd = rep_connect(proxy ? proxy : target, NULL);
    if (p.fd < 0)
        return 0;
    int rc = ask(&p, target, proxy, protocol, e);
    close(p.fd);
    return rc;
}

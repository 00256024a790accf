/*
 * curl_engine.c - REST by libcurl: HTTP/1.1 and HTTP/2, through a proxy if need be.
 *
 * The reference that the engine of our own is checked against, and the way to what it
 * does not speak. Three to four times the processor time of that one. libcurl's sockets
 * live in the worker's loop (multi_socket); one that it keeps for later stays
 * registered, so that a request costs no epoll_ctl.
 *
 * Clocks, by libcurl's callbacks and our clock:
 *   ready  where no connection was free: PREREQFUNCTION, else as the worker says
 *   sent   PREREQFUNCTION: a connection is there, and the request is written next; the
 *          framing of it, some 10 us, falls into the service time
 *   first  the first line of the answer came whole (HEADERFUNCTION)
 *   done   the transfer left the multi handle, after its bytes were handed out
 *
 * A connection that the peer has ended is not written to: libcurl looks at it before it
 * takes it up again, but takes a close_notify that waits there for a sign of life;
 * PREREQFUNCTION looks for the FIN.
 *
 * Sending again is our rule's alone (engine.h). libcurl would repeat a request whenever
 * a connection that it used before ends without a byte, also when the peer read it:
 * every further sending passes through PREREQFUNCTION, which aborts it unless the facts
 * taken when the old socket was closed prove that nothing arrived. They are the
 * kernel's: no byte of the connection was acknowledged since the request went out, and
 * the peer's FIN came. What cannot be known here is that an HTTP/2 stream was refused
 * (REFUSED_STREAM, GOAWAY): libcurl does not tell, so such a request ends as a reset.
 *
 * Callbacks run within calls of libcurl, where no transfer may be added: what ended is
 * given back afterwards, in drain().
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replay/engine/engine.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/tcp.h>

#include <curl/curl.h>

#include "replay/mark.h"
#include "replay/schedule.h"
#include "traces/base/log.h"
#include "traces/wire/http1.h"
#include "traces/wire/sse.h"

#define AREA                 "engine"
#define RECV_BYTES           (256L << 10)
#define FOR_EVER             (10L * 365 * 86400) /* seconds that an idle connection is kept */
#define ROUNDS_MAX           8 /* at most so many rounds of due timers in one flush */
#define TCP_STATE_CLOSED     7 /* the kernel's numbers of tcpi_state */
#define TCP_STATE_CLOSE_WAIT 8

/* A socket of libcurl. In the list socks at its ordinal, fd -1: free. */
struct sock {
    struct curl_engine *en;
    int fd;
    uint32_t ordinal;
    unsigned watched; /* events in the loop; 0: not there */
    bool idle;        /* libcurl does not want to hear of it */
    uint64_t carried; /* requests; 0: it is not known to be connected */
    uint16_t port;    /* its local one; 0: not asked yet */
};

/* A request under way, or a place for one (request NULL). */
struct transfer {
    struct curl_engine *en;
    struct transfer *next; /* of the spare ones */
    CURL *easy;
    struct curl_slist *fields;
    struct rep_request *request;
    struct sock *sock; /* that carries it; NULL: none yet, or closed */
    uint64_t epoch;    /* flush before which it was added */
    bool given_up;     /* a further sending was forbidden */
    bool stale;    /* its connection was at its end before anything was sent on it */
    bool opens;    /* HTTP/2: may make a connection, and shares none */
    bool homeless; /* it found none with room, and may not make one */
    bool
        head_ended; /* its empty line came: libcurl takes half a head for a whole one */
    bool too_big, garbage;
    bool closes, framed; /* its answer says close; or where it ends */
    bool sock_limit;     /* its connection takes no more after it */
    bool aborted;
    char why[CURL_ERROR_SIZE]; /* libcurl's words for a failure */
    struct span length;        /* the last content-length, in length_text */
    char length_text[24];
    uint64_t acked, sent; /* of its connection when it went out */
    /* Facts taken when its socket was closed under it. */
    bool lost, unread, orderly, reset;
    int own_fault; /* errno value of a socket that could not be made */
    bool events;   /* the answer is a stream of server-sent events */
    struct sse sse;
    int64_t event_ns; /* when the first byte of the present one came */
    size_t head_bytes;
    struct buf body;
};

struct curl_engine {
    struct rep_engine base;
    CURLM *multi;
    struct transfer *spare;
    uint32_t transfers, free_count, limit;
    struct transfer **all; /* [transfers] */
    struct sock **socks;
    size_t sock_count;
    uint32_t *by_port; /* ordinal + 1 of the socket with this local port */
    struct rep_queue flight;
    struct curl_slist *resolve, *connect_to;
    struct buf head; /* of the request that is being set up */
    char url[REP_AUTHORITY_MAX + 16];
    char proxy[REP_AUTHORITY_MAX + 16];
    bool closing;   /* what is closed now says nothing about the target */
    bool kick;      /* libcurl wants its timers looked at now */
    uint64_t epoch; /* counts rounds of flush */
    struct ev_timer *timer;
};

static int64_t now_ns(const struct curl_engine *en)
{
    return clk_mono_now(en->base.config.clk).ns;
}

/* --- sockets ---------------------------------------------------------------------- */

static struct sock *sock_find(struct curl_engine *en, int fd)
{
    for (size_t i = 0; i < en->sock_count; i++)
        if (en->socks[i]->fd == fd)
            return en->socks[i];
    return NULL;
}

static struct sock *sock_new(struct curl_engine *en, int fd)
{
    struct sock *s = sock_find(en, -1);
    if (!s) {
        struct sock **p = realloc(en->socks, (en->sock_count + 1) * sizeof(*p));
        if (p)
            en->socks = p;
        s = p ? calloc(1, sizeof *s) : NULL;
        if (!s)
            return NULL;
        s->ordinal = (uint32_t)en->sock_count;
        en->socks[en->sock_count++] = s;
    }
    *s = (struct sock){.en = en, .fd = fd, .ordinal = s->ordinal};
    return s;
}

static void sock_unwatch(struct sock *s)
{
    if (s->watched)
        ev_remove(s->en->base.config.ev, s->fd);
    s->watched = 0;
}

static void drain(struct curl_engine *en);

static void on_event(struct ev *ev, int fd, unsigned events, void *arg)
{
    struct sock *s = arg;
    struct curl_engine *en = s->en;
    int mask = 0, running;
    (void)ev;

    if (s->idle) {
        /* libcurl looks at it when it wants to use it again, and not before. */
        sock_unwatch(s);
        return;
    }
    if (events & (EV_READ | EV_HANGUP))
        mask |= CURL_CSELECT_IN;
    if (events & EV_WRITE)
        mask |= CURL_CSELECT_OUT;
    (void)curl_multi_socket_action(en->multi, fd, mask, &running);
    drain(en);
}

/* Watches s for `events`; what cannot be watched is never heard of again, and ends at
 * its deadline. */
static void sock_watch(struct sock *s, unsigned events)
{
    struct ev *ev = s->en->base.config.ev;
    if (s->watched == events)
        return;
    int rc = s->watched ? ev_change(ev, s->fd, events, NULL)
                        : ev_add(ev, s->fd, events, on_event, s, NULL);
    if (rc < 0)
        s->en->base.stats.client_errors++;
    else
        s->watched = events;
}

/* Which events libcurl wants to hear of. */
static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
    struct curl_engine *en = arg;
    struct sock *s = known ? known : sock_find(en, fd);
    (void)easy;

    if (!s)
        return 0; /* closed already */
    if (!known)
        (void)curl_multi_assign(en->multi, fd, s);
    s->idle = what == CURL_POLL_REMOVE;
    if (!s->idle)
        sock_watch(s, ((what & CURL_POLL_IN) ? EV_READ : 0) |
                          ((what & CURL_POLL_OUT) ? EV_WRITE : 0));
    else if (s->watched)
        sock_watch(s, EV_READ);
    return 0;
}

/* HTTP/2 that nobody agreed on: without TLS. */
static bool by_knowledge(const struct rep_engine_config *c)
{
    return c->http_version == 2 && !c->target->tls;
}

/* Makes the socket, for an address that was given and for no other. */
static curl_socket_t open_socket(void *arg, curlsocktype purpose,
                                 struct curl_sockaddr *to)
{
    struct transfer *t = arg;
    struct curl_engine *en = t->en;
    const struct rep_engine_config *c = &en->base.config;
    const struct rep_address *a = c->proxy ? c->proxy : c->target;

    if (purpose != CURLSOCKTYPE_IPCXN || t->given_up || to->addrlen != a->length ||
        memcmp(&to->addr, &a->to, a->length) != 0)
        return CURL_SOCKET_BAD;
    t->given_up = t->lost && !t->unread;
    t->homeless = !t->given_up && by_knowledge(c) && !t->opens;
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

static bool tcp_facts(int fd, struct tcp_info *info)
{
    socklen_t n = sizeof *info;
    memset(info, 0, sizeof *info);
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, &n) == 0;
}

/* What the end of the socket says about a transfer on it that has no answer yet. */
static void note_loss(struct transfer *t, const struct tcp_info *info, int pending)
{
    struct outcome *o = &t->request->out;
    t->sock = NULL;
    if (t->stale) /* nothing of it was sent: what was known before holds */
        return;
    t->lost = true;
    /* See rep_unprocessed: a reset behind a FIN is EPIPE. */
    t->orderly = info->tcpi_state == TCP_STATE_CLOSE_WAIT || pending == EPIPE;
    t->reset = info->tcpi_state == TCP_STATE_CLOSED && !t->orderly;
    bool unsent = info->tcpi_bytes_sent == t->sent && t->sent > 0;
    t->unread = o->first_ns == OP_TIME_NONE &&
                (unsent || (t->orderly && info->tcpi_bytes_acked == t->acked));
    if (unsent && o->attempts > 0 && --o->attempts == 0)
        o->sent_ns = OP_TIME_NONE;
}

/* Why libcurl closes a connection; t: what it carried and note_loss looked at, or NULL.
 * A GOAWAY is not told, and shows as what came of it. */
static enum rep_end why_closed(const struct transfer *t)
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
    struct curl_engine *en = arg;
    struct sock *s = sock_find(en, fd);
    struct tcp_info info;
    int pending = rep_connect_result(fd);
    bool known = tcp_facts(fd, &info);
    const struct transfer *carried = NULL;

    for (uint32_t i = 0; s && i < en->transfers; i++)
        if (en->all[i]->sock == s && known) {
            carried = en->all[i];
            note_loss(en->all[i], &info, pending);
        }
    if (s && s->carried > 0 && !en->closing)
        rep_connect_ended(&en->base, why_closed(carried));
    if (s) {
        sock_unwatch(s);
        if (s->port && en->by_port[s->port] == s->ordinal + 1)
            en->by_port[s->port] = 0;
        s->fd = -1;
    }
    return close(fd);
}

/* --- what libcurl tells of a transfer --------------------------------------------- */

static struct sock *sock_at(struct curl_engine *en, uint16_t port)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } a;
    if (en->by_port[port])
        return en->socks[en->by_port[port] - 1];
    for (size_t i = 0; i < en->sock_count; i++) {
        struct sock *s = en->socks[i];
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

/* The request goes over t->sock. */
static void take_connection(struct transfer *t)
{
    uint64_t limit = t->en->base.config.requests_per_connection;
    t->request->out.connection = t->sock->ordinal;
    t->sock->carried++;
    if (limit == 0)
        return;
    t->sock_limit = t->sock->carried >= limit;
    if (curl_easy_setopt(t->easy, CURLOPT_FORBID_REUSE, (long)t->sock_limit))
        t->en->base.stats.client_errors++;
}

/* A connection is there, and the request is to be written now: the first time, or once
 * more. */
static int before_request(void *arg, char *remote, char *local, int remote_port,
                          int local_port)
{
    struct transfer *t = arg;
    struct curl_engine *en = t->en;
    struct rep_request *r = t->request;
    struct tcp_info info;
    (void)remote;
    (void)local;
    (void)remote_port;

    t->sock = sock_at(en, (uint16_t)local_port);
    bool known = t->sock && tcp_facts(t->sock->fd, &info);
    t->stale = known && t->sock->carried > 0 && en->base.config.http_version != 2 &&
               info.tcpi_state == TCP_STATE_CLOSE_WAIT;
    if (t->stale)
        return CURL_PREREQFUNC_ABORT;
    if (r->tries > 0 && (!t->lost || !t->unread || r->tries >= REP_TRIES_MAX)) {
        t->given_up = true;
        return CURL_PREREQFUNC_ABORT;
    }
    en->base.stats.retries += r->tries > 0;
    r->tries++;
    t->lost = t->unread = t->orderly = t->reset = false;
    if (known) {
        t->acked = info.tcpi_bytes_acked;
        t->sent = info.tcpi_bytes_sent;
    }
    int64_t now = now_ns(en);
    bool fresh = !t->sock || t->sock->carried == 0;
    if (t->sock)
        take_connection(t);
    /* Not in the round in which it was added: it waited until its connection was made,
     * or for one that another request had. */
    if (t->epoch != en->epoch && r->out.attempts == 0)
        rep_request_waited(r, now, fresh ? OUT_WAIT_CONNECT : OUT_WAIT_SLOT);
    r->out.attempts++;
    if (r->out.sent_ns == OP_TIME_NONE)
        r->out.sent_ns = now;
    return CURL_PREREQFUNC_OK;
}

/* The value of a header line when it has that name; NULL in p else. */
static struct span field_value(struct span line, const char *name)
{
    size_t n = strlen(name);
    if (line.n <= n || line.p[n] != ':' || !span_eq_nocase(span_sub(line, 0, n), name))
        return (struct span){0};
    line = span_sub(line, n + 1, line.n);
    while (line.n > 0 && line.p[line.n - 1] <= ' ')
        line.n--;
    return span_trim(line);
}

/* libcurl takes the last of several lengths; two that differ are no answer to trust. */
static bool length_agrees(struct transfer *t, struct span line)
{
    struct span value = field_value(line, "content-length");

    if (span_starts(line, "HTTP/")) /* a 1xx went before */
        t->length = (struct span){0};
    if (!value.p)
        return true;
    if (t->length.n > 0)
        return span_eq(t->length, value);
    if (value.n >= sizeof t->length_text)
        return false;
    memcpy(t->length_text, value.p, value.n);
    t->length = span_of(t->length_text, value.n);
    return true;
}

static size_t on_header(char *p, size_t size, size_t n, void *arg)
{
    struct transfer *t = arg;
    struct outcome *o = &t->request->out;
    struct span line = span_of(p, size * n);

    if (o->first_ns == OP_TIME_NONE)
        o->first_ns = now_ns(t->en);
    t->head_bytes += line.n;
    if (span_starts(line, "HTTP/")) /* perhaps a 1xx went before */
        t->head_ended = false;
    t->head_ended = t->head_ended || line.n <= 2;
    t->too_big = t->too_big || t->head_bytes > HTTP1_HEAD_MAX;
    t->events = t->events || rep_is_event_stream(field_value(line, "content-type"));
    struct span mark = field_value(line, REP_MARK_FIELD);
    if (mark.n > 0)
        rep_mark_look(t->request, mark);
    t->closes = t->closes || span_eq_nocase(field_value(line, "connection"), "close");
    t->framed = t->framed || field_value(line, "content-length").p ||
                field_value(line, "transfer-encoding").p;
    t->garbage = t->garbage || !length_agrees(t, line) ||
                 (t->en->base.config.http_version == 2 && span_starts(line, "HTTP/1"));
    return t->too_big || t->garbage ? 0 : line.n;
}

/* Notes the events that end in data. False when there are too many of them. */
static bool take_events(struct transfer *t, struct span data)
{
    int64_t now = now_ns(t->en);
    while (data.n > 0) {
        if (!t->sse.inside)
            t->event_ns = now;
        if (sse_feed(&t->sse, &data) == SSE_EVENT &&
            rep_request_message(t->request, t->event_ns, t->sse.bytes) < 0)
            return false;
    }
    return true;
}

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
    struct transfer *t = arg;
    if (n * size > t->en->base.config.answer_max - t->body.n) {
        t->too_big = true;
        return 0;
    }
    buf_add(&t->body, p, n * size);
    t->too_big = t->events && !take_events(t, span_of(p, n * size));
    return t->too_big ? 0 : n * size;
}

static void on_timer_due(struct ev *ev, void *arg)
{
    struct curl_engine *en = arg;
    (void)ev;
    en->timer = NULL;
    en->kick = true; /* the flush of this turn looks */
}

static int on_timer(CURLM *multi, long ms, void *arg)
{
    struct curl_engine *en = arg;
    (void)multi;
    if (en->timer)
        ev_timer_cancel(en->base.config.ev, en->timer);
    en->timer = NULL;
    en->kick = ms == 0;
    if (ms > 0)
        en->timer =
            ev_timer_at(en->base.config.ev, (struct clk_mono){now_ns(en) + ms * CLK_MS},
                        on_timer_due, en);
    if (ms > 0 && !en->timer)
        en->kick = true;
    return 0;
}

/* --- ends ------------------------------------------------------------------------- */

/* Puts the transfer away and gives its request back: the last thing done with it. */
static void transfer_finish(struct transfer *t, enum out_cause cause)
{
    struct curl_engine *en = t->en;
    struct rep_request *r = t->request;

    curl_slist_free_all(t->fields);
    t->fields = NULL;
    t->request = NULL;
    t->sock = NULL;
    buf_reset(&t->body);
    t->next = en->spare;
    en->spare = t;
    en->free_count++;
    rep_queue_remove(&en->flight, r);
    r->place = NULL;
    r->out.cause = cause;
    en->base.config.done(en->base.config.arg, r);
}

static enum out_cause lost_cause(const struct transfer *t)
{
    return t->lost && !t->reset ? OUT_CLOSED : OUT_RESET;
}

/* What a failed transfer amounts to. */
static enum out_cause failure(struct transfer *t, CURLcode code)
{
    const struct outcome *o = &t->request->out;
    if (t->too_big || code == CURLE_FILESIZE_EXCEEDED)
        return OUT_TOO_BIG;
    if (t->garbage)
        return OUT_GARBAGE;
    if (t->given_up)
        return lost_cause(t);
    if (o->attempts == 0 && !(t->lost && t->request->tries > 0))
        return OUT_CONNECT;
    switch (code) {
    case CURLE_OK:
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
        return t->reset ? OUT_RESET : OUT_CLOSED;
    case CURLE_SEND_ERROR:
        return OUT_RESET;
    case CURLE_RECV_ERROR: /* also what breaks chunked framing */
        return t->reset ? OUT_RESET : OUT_GARBAGE;
    case CURLE_HTTP2_STREAM:
        return OUT_RESET;
    default:
        return OUT_GARBAGE;
    }
}

static void transfer_answered(struct transfer *t)
{
    struct rep_request *r = t->request;
    struct span body = buf_view(&t->body);
    long status = 0;

    (void)curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    r->out.status = (uint16_t)status;
    r->out.bytes_in = body.n;
    r->out.answer_hash = outcome_answer_hash(body);
    if (t->events && sse_end(&t->sse) == SSE_EVENT &&
        rep_request_message(r, t->event_ns, t->sse.bytes) < 0)
        t->en->base.stats.client_errors++;
    if (t->en->base.config.keep_answers)
        buf_span(&r->answer, body);
    if (t->body.failed) {
        t->en->base.stats.client_errors++;
        transfer_finish(t, OUT_TOO_BIG);
        return;
    }
    transfer_finish(t, status >= 200 && status < 300 ? OUT_OK : OUT_STATUS);
}

/* No connection was made. Why TLS failed libcurl tells in words of its own; in others
 * stand times and ports, which would make each a reason of its own. */
static void count_failure(struct transfer *t, CURLcode code)
{
    struct err e = {0};
    long sys = 0;

    (void)curl_easy_getinfo(t->easy, CURLINFO_OS_ERRNO, &sys);
    if (t->own_fault)
        sys = t->own_fault;
    if (code == CURLE_COULDNT_CONNECT && sys > 0)
        err_sys(&e, (int)sys, "cannot connect");
    else if (code == CURLE_OPERATION_TIMEDOUT)
        err_sys(&e, ETIMEDOUT, "cannot connect");
    else if ((code == CURLE_PEER_FAILED_VERIFICATION ||
              code == CURLE_SSL_CONNECT_ERROR) &&
             *t->why)
        err_set(&e, ERR_PEER, "%s", t->why);
    else
        err_set(&e, ERR_PEER, "%s", curl_easy_strerror(code));
    rep_connect_failed(&t->en->base, &e);
}

static void transfer_failed(struct transfer *t, CURLcode code)
{
    struct rep_engine_stats *stats = &t->en->base.stats;
    struct rep_request *r = t->request;
    enum out_cause cause = failure(t, code);
    long status = 0;

    log_debug(AREA, "curl: operation %" PRIu64 ": %s: %s", r->out.op_index,
              out_cause_names[cause], curl_easy_strerror(code));
    if (cause == OUT_CONNECT)
        count_failure(t, code);
    stats->client_errors += code == CURLE_OUT_OF_MEMORY;
    if (r->out.first_ns != OP_TIME_NONE)
        (void)curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    r->out.status = (uint16_t)status;
    rep_request_cut(r);
    transfer_finish(t, cause);
}

/* libcurl 7.88 breaks an HTTP/2 connection when a request of prior knowledge is the
 * second on it. So one that makes a connection has that knowledge and asks for a fresh
 * one; the others want HTTP/2 where it is spoken already, and find nothing else,
 * because open_socket refuses them one. */
static CURLcode choose_version(struct transfer *t)
{
    long version =
        t->opens ? CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE : CURL_HTTP_VERSION_2TLS;
    CURLcode rc = curl_easy_setopt(t->easy, CURLOPT_HTTP_VERSION, version);
    return rc ? rc
              : curl_easy_setopt(t->easy, CURLOPT_FRESH_CONNECT, t->opens ? 1L : 0L);
}

static bool transfer_add(struct transfer *t)
{
    struct curl_engine *en = t->en;
    if (by_knowledge(&en->base.config) && choose_version(t) != CURLE_OK)
        return false;
    if (curl_multi_add_handle(en->multi, t->easy) != CURLM_OK)
        return false;
    t->epoch = en->epoch;
    t->closes = t->framed = t->sock_limit = false;
    en->kick = true;
    return true;
}

/* libcurl is done with it: so are we, or it is sent once more. */
static void transfer_end(struct transfer *t, CURLcode code)
{
    struct curl_engine *en = t->en;
    struct rep_request *r = t->request;
    long connects = 0;

    r->out.done_ns = now_ns(en);
    (void)curl_easy_getinfo(t->easy, CURLINFO_NUM_CONNECTS, &connects);
    en->base.stats.connects += connects > 0 ? (uint64_t)connects : 0;
    /* Whether a session was resumed libcurl does not tell. */
    if (en->base.config.target->tls && !en->base.config.tls->resume && connects > 0)
        en->base.stats.tls_full += (uint64_t)connects;
    (void)curl_multi_remove_handle(en->multi, t->easy);
    if (code == CURLE_OK && t->head_ended) {
        transfer_answered(t);
        return;
    }
    if (t->homeless) {
        t->homeless = false;
        t->opens = true;
        if (transfer_add(t)) {
            r->out.done_ns = OP_TIME_NONE;
            return;
        }
    }
    if (t->stale && transfer_add(t)) {
        r->out.done_ns = OP_TIME_NONE;
        return;
    }
    bool again = !t->given_up && t->lost && t->unread && r->tries < REP_TRIES_MAX;
    if (again && transfer_add(t)) {
        r->out.done_ns = OP_TIME_NONE;
        return;
    }
    transfer_failed(t, code);
}

/* Gives back what ended. Others may be sent meanwhile. */
static void drain(struct curl_engine *en)
{
    CURLMsg *m;
    int left;
    while ((m = curl_multi_info_read(en->multi, &left)) != NULL) {
        char *t = NULL;
        CURLcode code = m->data.result;
        if (m->msg != CURLMSG_DONE)
            continue;
        (void)curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &t);
        transfer_end((struct transfer *)(void *)t, code);
    }
}

/* Takes a transfer from libcurl in the middle of its work. */
static void transfer_abort(struct transfer *t, enum out_cause cause)
{
    struct outcome *o = &t->request->out;
    o->done_ns = cause == OUT_DEADLINE ? now_ns(t->en) : o->done_ns;
    if (cause == OUT_DEADLINE && t->en->base.config.http_version != 2 && !t->sock &&
        o->attempts == 0)
        count_failure(t, CURLE_OPERATION_TIMEDOUT);
    t->aborted = true;
    (void)curl_multi_remove_handle(t->en->multi, t->easy);
    rep_request_cut(t->request);
    transfer_finish(t, cause);
}

/* --- requests --------------------------------------------------------------------- */

static bool add_field(struct transfer *t, const char *line)
{
    struct curl_slist *list = curl_slist_append(t->fields, line);
    if (list)
        t->fields = list;
    return list != NULL;
}

/* The fields of the head as they stand, but for those that libcurl sets itself. Those
 * that it would add of its own are kept away. */
static bool set_fields(struct transfer *t, const struct http1_head *h)
{
    static const char *const none[] = {"Accept:", "Expect:", "Content-Type:"};
    static const char *const names[] = {"accept", "expect", "content-type"};
    char line[2 * HTTP1_HEAD_MAX];

    for (uint32_t i = 0; i < h->field_count; i++) {
        const struct op_header *f = &h->fields[i];
        if ((span_eq_nocase(f->name, "host") && !t->en->connect_to) ||
            span_eq_nocase(f->name, "content-length"))
            continue;
        /* "Name;" is how libcurl is told of a field without a value. */
        snprintf(line, sizeof line, f->value.n ? "%.*s: %.*s" : "%.*s;%.*s",
                 SPAN_ARG(f->name), SPAN_ARG(f->value));
        if (!add_field(t, line))
            return false;
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!http1_field(h, names[i]).p && !add_field(t, none[i]))
            return false;
    return true;
}

static bool set_target(struct transfer *t, struct span target)
{
    struct curl_engine *en = t->en;
    char path[HTTP1_HEAD_MAX];

    if (!en->base.config.proxy) { /* exactly as it stands */
        snprintf(path, sizeof path, "%.*s", SPAN_ARG(target));
        return curl_easy_setopt(t->easy, CURLOPT_REQUEST_TARGET, path) == CURLE_OK;
    }
    snprintf(path, sizeof path, "%.*s%.*s", (int)(strlen(en->url) - 1), en->url,
             SPAN_ARG(target));
    return curl_easy_setopt(t->easy, CURLOPT_URL, path) == CURLE_OK;
}

/* Tells libcurl what to send: the same that HTTP/1.1 says. */
static bool set_request(struct transfer *t)
{
    struct rep_request *r = t->request;
    struct span body = r->wire[1];
    struct buf *head = &t->en->head;
    struct http1_head h;
    char method[32];

    buf_reset(head);
    buf_span(head, r->stream->head);
    buf_span(head, r->wire[0]);
    if (http1_parse_head(HTTP1_REQUEST, buf_view(head), &h, NULL) < 0)
        return false;
    snprintf(method, sizeof method, "%.*s", SPAN_ARG(h.method));
    bool sends = h.has_length || body.n > 0;
    CURLcode rc = curl_easy_setopt(t->easy, CURLOPT_HTTPGET, 1L);
    if (rc == CURLE_OK && span_eq_str(h.method, "HEAD"))
        rc = curl_easy_setopt(t->easy, CURLOPT_NOBODY, 1L);
    if (rc == CURLE_OK && sends) {
        curl_easy_setopt(t->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.n);
        rc = curl_easy_setopt(t->easy, CURLOPT_POSTFIELDS,
                              body.n > 0 ? (const char *)body.p : "");
    }
    if (rc == CURLE_OK)
        rc = curl_easy_setopt(t->easy, CURLOPT_CUSTOMREQUEST, method);
    return rc == CURLE_OK && set_target(t, h.target) && set_fields(t, &h) &&
           curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->fields) == CURLE_OK;
}

/* --- opening ---------------------------------------------------------------------- */

#define SET(easy, option, value) (rc = rc ? rc : curl_easy_setopt(easy, option, value))

static CURLcode set_callbacks(struct transfer *t)
{
    CURLcode rc = CURLE_OK;
    SET(t->easy, CURLOPT_PRIVATE, t);
    SET(t->easy, CURLOPT_ERRORBUFFER, t->why);
    SET(t->easy, CURLOPT_PREREQFUNCTION, before_request);
    SET(t->easy, CURLOPT_PREREQDATA, t);
    SET(t->easy, CURLOPT_HEADERFUNCTION, on_header);
    SET(t->easy, CURLOPT_HEADERDATA, t);
    SET(t->easy, CURLOPT_WRITEFUNCTION, on_body);
    SET(t->easy, CURLOPT_WRITEDATA, t);
    SET(t->easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    SET(t->easy, CURLOPT_OPENSOCKETDATA, t);
    SET(t->easy, CURLOPT_CLOSESOCKETFUNCTION, close_socket);
    SET(t->easy, CURLOPT_CLOSESOCKETDATA, t->en);
    return rc;
}

/* What is the same for every request. Nothing is taken from the environment, no file is
 * read, no redirect followed, no name looked up. */
static CURLcode set_policy(struct transfer *t)
{
    struct curl_engine *en = t->en;
    const struct rep_engine_config *c = &en->base.config;
    CURLcode rc = CURLE_OK;
    SET(t->easy, CURLOPT_URL, en->url);
    SET(t->easy, CURLOPT_PROTOCOLS_STR, c->target->tls ? "https" : "http");
    SET(t->easy, CURLOPT_PROXY, en->proxy); /* empty: none, whatever http_proxy says */
    SET(t->easy, CURLOPT_NOPROXY, "");
    SET(t->easy, CURLOPT_HTTPPROXYTUNNEL, c->proxy && c->http_version == 2 ? 1L : 0L);
    SET(t->easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    SET(t->easy, CURLOPT_RESOLVE, en->resolve);
    SET(t->easy, CURLOPT_CONNECT_TO, en->connect_to);
    SET(t->easy, CURLOPT_HTTP_VERSION,
        c->http_version == 2 ? (long)CURL_HTTP_VERSION_2TLS
                             : (long)CURL_HTTP_VERSION_1_1);
    SET(t->easy, CURLOPT_PIPEWAIT, c->http_version == 2 ? 1L : 0L);
    SET(t->easy, CURLOPT_NOSIGNAL, 1L);
    SET(t->easy, CURLOPT_FOLLOWLOCATION, 0L);
    SET(t->easy, CURLOPT_PATH_AS_IS, 1L);
    SET(t->easy, CURLOPT_BUFFERSIZE, RECV_BYTES);
    SET(t->easy, CURLOPT_MAXAGE_CONN, FOR_EVER);
    SET(t->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)(c->deadline_ns / CLK_MS) + 1000);
    SET(t->easy, CURLOPT_MAXFILESIZE_LARGE,
        (curl_off_t)(c->answer_max < INT64_MAX ? c->answer_max : INT64_MAX));
    return rc;
}

/* The same that the fast engines do with these options. */
static CURLcode set_tls(struct transfer *t)
{
    const struct rep_tls_config *c = t->en->base.config.tls;
    CURLcode rc = CURLE_OK;
    if (!t->en->base.config.target->tls)
        return rc;
    SET(t->easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(t->easy, CURLOPT_SSL_VERIFYPEER, c->insecure ? 0L : 1L);
    SET(t->easy, CURLOPT_SSL_VERIFYHOST, c->insecure ? 0L : 2L);
    SET(t->easy, CURLOPT_SSL_OPTIONS, (long)CURLSSLOPT_NO_PARTIALCHAIN);
    SET(t->easy, CURLOPT_SSL_SESSIONID_CACHE, c->resume ? 1L : 0L);
    if (c->ca_file)
        SET(t->easy, CURLOPT_CAINFO, c->ca_file);
    if (c->cert_file) {
        SET(t->easy, CURLOPT_SSLCERT, c->cert_file);
        SET(t->easy, CURLOPT_SSLKEY, c->key_file);
    }
    return rc;
}

static void transfer_free(struct transfer *t)
{
    if (!t)
        return;
    curl_easy_cleanup(t->easy);
    buf_done(&t->body);
    free(t);
}

static struct transfer *transfer_new(struct curl_engine *en)
{
    struct transfer **all =
        realloc(en->all, (en->transfers + (size_t)1) * sizeof(*all));
    if (all)
        en->all = all;
    struct transfer *t = all ? calloc(1, sizeof *t) : NULL;
    if (!t)
        return NULL;
    t->en = en;
    t->easy = curl_easy_init();
    if (!t->easy || set_callbacks(t) != CURLE_OK || set_policy(t) != CURLE_OK ||
        set_tls(t) != CURLE_OK) {
        transfer_free(t);
        return NULL;
    }
    en->all[en->transfers++] = t;
    return t;
}

/* Pins the name to the address that was found at the start. */
static bool pin_name(struct curl_engine *en, const struct rep_address *a)
{
    char address[INET6_ADDRSTRLEN], line[REP_AUTHORITY_MAX + INET6_ADDRSTRLEN + 8];
    bool v6 = a->to.any.sa_family == AF_INET6;
    const void *from =
        v6 ? (const void *)&a->to.v6.sin6_addr : (const void *)&a->to.v4.sin_addr;

    if (a->authority[0] == '[') /* the address itself */
        return true;
    if (!inet_ntop(a->to.any.sa_family, from, address, sizeof address))
        return false;
    snprintf(line, sizeof line, v6 ? "%s:[%s]" : "%s:%s", a->authority, address);
    struct curl_slist *list = curl_slist_append(en->resolve, line);
    if (list)
        en->resolve = list;
    return list != NULL;
}

/* The certificate is to be another host's than the address names: libcurl takes that
 * name for the URL's, and connects to the address all the same. */
static bool name_server(struct curl_engine *en)
{
    const struct rep_engine_config *c = &en->base.config;
    const char *authority = c->target->authority;
    const char *port = strrchr(authority, ':');
    char line[2 * REP_AUTHORITY_MAX];

    if (!c->target->tls || !c->tls->server_name)
        return true;
    snprintf(en->url, sizeof en->url, "https://%s%s/", c->tls->server_name, port);
    snprintf(line, sizeof line, "%s%s:%s", c->tls->server_name, port, authority);
    en->connect_to = curl_slist_append(NULL, line);
    return en->connect_to != NULL;
}

static CURLMcode set_multi(struct curl_engine *en)
{
    const struct rep_engine_config *c = &en->base.config;
    long connections = (long)c->connections;
    CURLMcode rc = curl_multi_setopt(en->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    if (rc == CURLM_OK)
        rc = curl_multi_setopt(en->multi, CURLMOPT_SOCKETDATA, en);
    if (rc == CURLM_OK)
        rc = curl_multi_setopt(en->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    if (rc == CURLM_OK)
        rc = curl_multi_setopt(en->multi, CURLMOPT_TIMERDATA, en);
    if (rc == CURLM_OK)
        rc = curl_multi_setopt(en->multi, CURLMOPT_MAXCONNECTS, connections);
    if (rc == CURLM_OK)
        rc = curl_multi_setopt(en->multi, CURLMOPT_MAX_HOST_CONNECTIONS, connections);
    if (rc == CURLM_OK && c->http_version == 2)
        rc = curl_multi_setopt(en->multi, CURLMOPT_MAX_CONCURRENT_STREAMS,
                               (long)c->streams);
    return rc;
}

static void engine_close(struct rep_engine *base)
{
    struct curl_engine *en = (struct curl_engine *)base;
    if (!en)
        return;
    en->closing = true;
    for (uint32_t i = 0; i < en->transfers; i++)
        transfer_free(en->all[i]);
    en->transfers = 0;
    if (en->multi) /* closes what is open: needs the sockets, and no transfer */
        curl_multi_cleanup(en->multi);
    if (en->timer)
        ev_timer_cancel(en->base.config.ev, en->timer);
    for (size_t i = 0; i < en->sock_count; i++)
        free(en->socks[i]);
    curl_slist_free_all(en->resolve);
    curl_slist_free_all(en->connect_to);
    free(en->all);
    free(en->socks);
    free(en->by_port);
    buf_done(&en->head);
    free(en);
    curl_global_cleanup();
}

static int engine_open(struct rep_engine **out, const struct rep_engine_config *config,
                       struct err *e)
{
    struct curl_engine *en = calloc(1, sizeof *en);
    if (!en || curl_global_init(CURL_GLOBAL_ALL) != CURLE_OK) {
        free(en);
        return err_set(e, ERR_NOMEM, "out of memory for libcurl");
    }
    en->base = (struct rep_engine){.ops = &rep_curl_engine, .config = *config};
    uint64_t limit = config->http_version == 2
                         ? (uint64_t)config->connections * config->streams
                         : config->connections;
    en->limit = limit < UINT32_MAX ? (uint32_t)limit : UINT32_MAX;
    en->by_port = calloc(65536, sizeof *en->by_port);
    en->multi = curl_multi_init();
    snprintf(en->url, sizeof en->url, "http%s://%s/", config->target->tls ? "s" : "",
             config->target->authority);
    if (config->proxy)
        snprintf(en->proxy, sizeof en->proxy, "http://%s", config->proxy->authority);
    const struct rep_address *reached = config->proxy ? config->proxy : config->target;
    if (!en->by_port || !en->multi || !pin_name(en, reached) || !name_server(en) ||
        set_multi(en) != CURLM_OK) {
        engine_close(&en->base);
        return err_set(e, ERR_NOMEM, "libcurl cannot be set up");
    }
    *out = &en->base;
    return 0;
}

/* --- the engine's face ------------------------------------------------------------ */

static bool engine_warming(const struct rep_engine *base)
{
    (void)base;
    return false;
}

static uint32_t engine_live(const struct rep_engine *base)
{
    const struct curl_engine *en = (const struct curl_engine *)base;
    uint32_t n = 0;
    for (size_t i = 0; i < en->sock_count; i++)
        n += en->socks[i]->fd >= 0;
    return n;
}

static uint32_t engine_free_slots(const struct rep_engine *base)
{
    const struct curl_engine *en = (const struct curl_engine *)base;
    return en->free_count + (en->limit - en->transfers);
}

static void engine_send(struct rep_engine *base, struct rep_request *r)
{
    struct curl_engine *en = (struct curl_engine *)base;
    struct transfer *t = en->spare;

    rep_flight_add(&en->flight, r, now_ns(en));
    if (t) {
        en->spare = t->next;
        en->free_count--;
    } else if (!(t = transfer_new(en))) {
        base->stats.client_errors++;
        rep_queue_remove(&en->flight, r);
        r->out.cause = OUT_CONNECT;
        r->out.done_ns = now_ns(en);
        base->config.done(base->config.arg, r);
        return;
    }
    CURL *easy = t->easy;
    struct buf body = t->body;
    *t = (struct transfer){.en = en, .easy = easy, .request = r, .body = body};
    r->place = t;
    t->opens = engine_live(base) == 0;
    if (!set_request(t) || !transfer_add(t)) {
        base->stats.client_errors++;
        r->out.done_ns = now_ns(en);
        transfer_finish(t, OUT_CONNECT);
    }
}

static void engine_flush(struct rep_engine *base)
{
    struct curl_engine *en = (struct curl_engine *)base;
    int running;

    for (int i = 0; i < ROUNDS_MAX && en->kick; i++) {
        en->kick = false;
        (void)curl_multi_socket_action(en->multi, CURL_SOCKET_TIMEOUT, 0, &running);
        en->epoch++;
        drain(en);
    }
}

static int64_t engine_expire(struct rep_engine *base, int64_t now)
{
    struct curl_engine *en = (struct curl_engine *)base;
    struct rep_request *r;

    while ((r = en->flight.head) != NULL &&
           r->started_ns + base->config.deadline_ns <= now)
        transfer_abort(r->place, OUT_DEADLINE);
    return r ? r->started_ns + base->config.deadline_ns : REP_NEVER;
}

static uint32_t engine_in_flight(const struct rep_engine *base)
{
    return (uint32_t)((const struct curl_engine *)base)->flight.count;
}

static void engine_cancel(struct rep_engine *base, enum out_cause cause)
{
    struct curl_engine *en = (struct curl_engine *)base;
    en->closing = true;
    while (en->flight.head)
        transfer_abort(en->flight.head->place, cause);
    en->closing = false;
}

const struct rep_engine_ops rep_curl_engine = {
    .name = "curl",
    .protocol = OP_REST,
    .open = engine_open,
    .warming = engine_warming,
    .live = engine_live,
    .free_slots = engine_free_slots,
    .send = engine_send,
    .flush = engine_flush,
    .expire = engine_expire,
    .in_flight = engine_in_flight,
    .cancel = engine_cancel,
    .close = engine_close,
};

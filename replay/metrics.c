/*
 * metrics.c - see metrics.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replay/metrics.h"

#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "traces/base/clk.h"

/* --- the page --------------------------------------------------------------------- */

static void help(struct buf *out, const char *name, const char *type, const char *text)
{
    buf_fmt(out, "# HELP %s %s\n# TYPE %s %s\n", name, text, name, type);
}

/* As the format has label values: backslash, quote and line feed are escaped. */
static void label_value(struct buf *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '\\' || *text == '"')
            buf_str(out, "\\");
        if (*text == '\n')
            buf_str(out, "\\n");
        else
            buf_u8(out, (uint8_t)*text);
    }
}

/* Bounds of the buckets, in nanoseconds, and as the page writes them, in seconds. */
static const struct {
    int64_t ns;
    const char *text;
} bounds[] = {
    {10 * CLK_US, "1e-05"},   {25 * CLK_US, "2.5e-05"},  {50 * CLK_US, "5e-05"},
    {100 * CLK_US, "0.0001"}, {250 * CLK_US, "0.00025"}, {500 * CLK_US, "0.0005"},
    {CLK_MS, "0.001"},        {2500 * CLK_US, "0.0025"}, {5 * CLK_MS, "0.005"},
    {10 * CLK_MS, "0.01"},    {25 * CLK_MS, "0.025"},    {50 * CLK_MS, "0.05"},
    {100 * CLK_MS, "0.1"},    {250 * CLK_MS, "0.25"},    {500 * CLK_MS, "0.5"},
    {CLK_SEC, "1.0"},         {2500 * CLK_MS, "2.5"},    {5 * CLK_SEC, "5.0"},
    {10 * CLK_SEC, "10.0"},   {30 * CLK_SEC, "30.0"},    {60 * CLK_SEC, "60.0"},
};

/* labels: with its comma, or empty. */
static void histogram(struct buf *out, const char *name, const char *tier,
                      const char *labels, const struct hist *h)
{
    uint64_t below = 0;
    uint32_t at = 0;
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++) {
        while (at < h->bucket_count && hist_bucket_top(at) <= bounds[i].ns)
            below += h->counts[at++];
        buf_fmt(out, "%s_bucket{tier=\"%s\"%s,le=\"%s\"} %" PRIu64 "\n", name, tier,
                labels, bounds[i].text, below);
    }
    buf_fmt(out, "%s_bucket{tier=\"%s\"%s,le=\"+Inf\"} %" PRIu64 "\n", name, tier,
            labels, h->total);
    buf_fmt(out, "%s_sum{tier=\"%s\"%s} %.9f\n", name, tier, labels,
            h->sum_ns / (double)CLK_SEC);
    buf_fmt(out, "%s_count{tier=\"%s\"%s} %" PRIu64 "\n", name, tier, labels, h->total);
}

static void put_counts(struct buf *out, const struct rep_metrics_view *v)
{
    const struct rep_progress_counts *c = v->counts;

    help(out, "reprise_operations_due_total", "counter",
         "Operations that have come due.");
    buf_fmt(out, "reprise_operations_due_total{tier=\"%s\"} %" PRIu64 "\n", v->tier,
            c->due);
    help(out, "reprise_operations_sent_total", "counter",
         "Operations given to a connection.");
    buf_fmt(out, "reprise_operations_sent_total{tier=\"%s\"} %" PRIu64 "\n", v->tier,
            c->sent);
    help(out, "reprise_operations_in_flight", "gauge",
         "Operations that were sent and have not ended.");
    buf_fmt(out, "reprise_operations_in_flight{tier=\"%s\"} %" PRIu64 "\n", v->tier,
            c->in_flight);
    help(out, "reprise_operations_waiting", "gauge",
         "Operations that are due and found no connection or stream free.");
    buf_fmt(out, "reprise_operations_waiting{tier=\"%s\"} %" PRIu64 "\n", v->tier,
            c->waiting);
}

static void put_outcome(struct buf *out, const char *tier, const char *outcome,
                        uint64_t count)
{
    buf_fmt(out, "reprise_operations_total{tier=\"%s\",outcome=\"", tier);
    label_value(out, outcome);
    buf_fmt(out, "\"} %" PRIu64 "\n", count);
}

static void put_outcomes(struct buf *out, const struct rep_metrics_view *v)
{
    const struct rep_tally *t = v->tally;

    help(out, "reprise_operations_total", "counter",
         "Operations that have ended, by their outcome.");
    put_outcome(out, v->tier, "ok", t->ok);
    for (size_t i = 0; i < t->class_count; i++)
        put_outcome(out, v->tier, t->classes[i].text, t->classes[i].count);
    if (t->other_classes > 0)
        put_outcome(out, v->tier, "other", t->other_classes);
}

static void put_health(struct buf *out, const struct rep_metrics_view *v)
{
    help(out, "reprise_health", "gauge",
         "1 for the verdict on the generator so far, 0 for the others.");
    for (int i = 0; rep_verdict_names[i]; i++)
        buf_fmt(out, "reprise_health{verdict=\"%s\"} %d\n", rep_verdict_names[i],
                v->health->verdict == (enum rep_verdict)i);
}

#define BUCKETS                                                                        \
    " A value less than 0.8 % below a bound may be counted with the bucket above it."

void rep_metrics_page(const struct rep_metrics_view *v, struct buf *out)
{
    help(out, "reprise_build_info", "gauge", "1, with the version of the program.");
    buf_str(out, "reprise_build_info{version=\"" REPRISE_VERSION "\"} 1\n");
    help(out, "reprise_position_seconds", "gauge",
         "Time since the first operation was due.");
    buf_fmt(out, "reprise_position_seconds %.3f\n",
            (double)v->position_ns / (double)CLK_SEC);
    if (v->span_ns > 0) {
        help(out, "reprise_schedule_seconds", "gauge",
             "Length of the schedule, from its first operation to its last.");
        buf_fmt(out, "reprise_schedule_seconds %.3f\n",
                (double)v->span_ns / (double)CLK_SEC);
    }
    put_counts(out, v);
    put_outcomes(out, v);
    put_health(out, v);
    help(out, "reprise_response_seconds", "histogram",
         "From due to the end of the answer, of answered operations." BUCKETS);
    histogram(out, "reprise_response_seconds", v->tier, "", &v->tally->response);
    help(out, "reprise_service_seconds", "histogram",
         "From sent to the end of the answer, of answered operations." BUCKETS);
    histogram(out, "reprise_service_seconds", v->tier, "", &v->tally->service);
    help(out, "reprise_lateness_seconds", "histogram",
         "From due to sent, of sent operations: the generator's own part, and what the "
         "target made it wait." BUCKETS);
    histogram(out, "reprise_lateness_seconds", v->tier, ",cause=\"generator\"",
              &v->tally->generator);
    histogram(out, "reprise_lateness_seconds", v->tier, ",cause=\"back_pressure\"",
              &v->tally->pressure);
}

/* --- the server ------------------------------------------------------------------- */

/* fd < 0: free. While `out` is empty the request is read, then the answer written. */
struct client {
    int fd;
    int64_t until_ns; /* its patience with us, and ours with it */
    size_t got, sent;
    char head[REP_METRICS_HEAD_MAX];
    struct buf out;
    bool shut; /* all was written: what still comes is read until it closes */
};

struct rep_metrics {
    int fd;
    char address[128];
    struct client clients[REP_METRICS_CLIENTS];
};

/* "HOST:PORT" into both parts; an empty host is loopback. */
static bool split(const char *text, char *host, size_t size, const char **port)
{
    const char *colon = strrchr(text, ':');
    size_t n = colon ? (size_t)(colon - text) : 0;
    bool brackets = n >= 2 && text[0] == '[' && text[n - 1] == ']';
    if (!colon || n >= size || (!brackets && memchr(text, ':', n)))
        return false;
    snprintf(host, size, "%.*s", (int)(brackets ? n - 2 : n), text + brackets);
    if (n == 0)
        snprintf(host, size, "127.0.0.1");
    *port = colon + 1;
    return **port != '\0' && strspn(*port, "0123456789") == strlen(*port) &&
           strlen(*port) <= 5;
}

static int listen_at(struct rep_metrics *m, const struct addrinfo *a, struct err *e)
{
    struct sockaddr_storage bound;
    socklen_t length = sizeof bound;
    char host[64], port[8];
    int on = 1;

    m->fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (m->fd < 0)
        return err_sys(e, errno, "--metrics: cannot make a socket");
    (void)setsockopt(m->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(m->fd, a->ai_addr, a->ai_addrlen) < 0 ||
        listen(m->fd, REP_METRICS_CLIENTS) < 0 ||
        getsockname(m->fd, (struct sockaddr *)&bound, &length) < 0 ||
        getnameinfo((struct sockaddr *)&bound, length, host, sizeof host, port,
                    sizeof port, NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return err_sys(e, errno, "--metrics: cannot listen there");
    snprintf(m->address, sizeof m->address, strchr(host, ':') ? "[%s]:%s" : "%s:%s",
             host, port);
    return 0;
}

int rep_metrics_open(struct rep_metrics **out, const char *address, struct err *e)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE};
    struct addrinfo *found = NULL;
    char host[64];
    const char *port;

    if (!split(address, host, sizeof host, &port) ||
        strtol(port, NULL, 10) > UINT16_MAX ||
        getaddrinfo(host, port, &hints, &found) != 0)
        return err_set(e, ERR_USAGE,
                       "--metrics '%s' is not HOST:PORT with a numeric host", address);
    struct rep_metrics *m = calloc(1, sizeof *m);
    int rc = m ? listen_at(m, found, e) : err_set(e, ERR_NOMEM, "out of memory");
    freeaddrinfo(found);
    for (size_t i = 0; m && i < REP_METRICS_CLIENTS; i++)
        m->clients[i].fd = -1;
    if (rc < 0) {
        rep_metrics_close(m);
        return rc;
    }
    *out = m;
    return 0;
}

static void drop(struct client *c)
{
    if (c->fd >= 0)
        close(c->fd);
    buf_done(&c->out);
    *c = (struct client){.fd = -1};
}

void rep_metrics_close(struct rep_metrics *m)
{
    if (!m)
        return;
    for (size_t i = 0; i < REP_METRICS_CLIENTS; i++)
        drop(&m->clients[i]);
    if (m->fd >= 0)
        close(m->fd);
    free(m);
}

const char *rep_metrics_address(const struct rep_metrics *m)
{
    return m->address;
}

static void answer(struct client *c, const char *status, struct span body, bool head)
{
    buf_fmt(&c->out,
            "HTTP/1.1 %s\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
            "Content-Length: %zu\r\nConnection: close\r\n\r\n",
            status, body.n);
    if (!head)
        buf_span(&c->out, body);
}

/* "METHOD TARGET HTTP/1.x" up to the first line's end. */
static void answer_request(struct client *c, rep_metrics_fn *make, void *arg)
{
    struct span head = span_of(c->head, c->got);
    struct span line = span_sub(head, 0, span_find(head, '\r', 0));
    size_t first = span_find(line, ' ', 0);
    size_t second = first < line.n ? span_find(line, ' ', first + 1) : line.n;
    struct span method = span_sub(line, 0, first);
    bool is_head = span_eq_str(method, "HEAD");
    struct buf page = {0};

    if (second == line.n || !span_starts(span_sub(line, second + 1, line.n), "HTTP/1."))
        answer(c, "400 Bad Request", SPAN_LIT("no HTTP/1.1\n"), false);
    else if (!is_head && !span_eq_str(method, "GET"))
        answer(c, "405 Method Not Allowed", SPAN_LIT("only GET and HEAD\n"), false);
    else if (!span_eq_str(span_sub(line, first + 1, second), "/metrics"))
        answer(c, "404 Not Found", SPAN_LIT("only /metrics\n"), is_head);
    else {
        make(arg, &page);
        answer(c, page.failed ? "500 Internal Server Error" : "200 OK",
               page.failed ? (struct span){0} : buf_view(&page), is_head);
    }
    buf_done(&page);
}

static void accept_one(struct rep_metrics *m, int64_t now_ns)
{
    for (size_t i = 0; i < REP_METRICS_CLIENTS; i++) {
        struct client *c = &m->clients[i];
        if (c->fd >= 0)
            continue;
        c->fd = accept4(m->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        c->until_ns = now_ns + REP_METRICS_PATIENCE_NS;
        return;
    }
}

/* -1: the client is gone; 0: nothing now; else bytes. */
static ssize_t take(struct client *c, void *p, size_t n)
{
    ssize_t got = recv(c->fd, p, n, 0);
    if (got > 0)
        return got;
    return got < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
}

static bool has_end(const struct client *c)
{
    return memmem(c->head, c->got, "\r\n\r\n", 4) != NULL;
}

static void serve(struct client *c, rep_metrics_fn *make, void *arg)
{
    char rest[512];
    ssize_t n;

    if (c->shut) { /* closed too early, a reset could take the answer along */
        if (take(c, rest, sizeof rest) < 0)
            drop(c);
        return;
    }
    if (c->out.n == 0) {
        n = take(c, c->head + c->got, sizeof c->head - c->got);
        if (n < 0) {
            drop(c);
            return;
        }
        c->got += (size_t)n;
        if (has_end(c))
            answer_request(c, make, arg);
        else if (c->got == sizeof c->head)
            answer(c, "431 Request Header Fields Too Large", SPAN_LIT("too long\n"),
                   false);
    }
    if (c->out.failed) {
        drop(c);
        return;
    }
    if (c->out.n == 0)
        return;
    n = send(c->fd, c->out.p + c->sent, c->out.n - c->sent, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        drop(c);
        return;
    }
    c->sent += n > 0 ? (size_t)n : 0;
    if (c->sent == c->out.n) {
        shutdown(c->fd, SHUT_WR);
        c->shut = true;
    }
}

void rep_metrics_serve(struct rep_metrics *m, int64_t now_ns, rep_metrics_fn *make,
                       void *arg)
{
    accept_one(m, now_ns);
    for (size_t i = 0; i < REP_METRICS_CLIENTS; i++) {
        struct client *c = &m->clients[i];
        if (c->fd >= 0 && now_ns >= c->until_ns)
            drop(c);
        if (c->fd >= 0)
            serve(c, make, arg);
    }
}

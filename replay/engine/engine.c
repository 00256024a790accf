/*
 * engine.c - what all engines share: connecting, and what the end of a connection
 * proves.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replay/engine/engine.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "traces/base/log.h"

void rep_flight_add(struct rep_queue *flight, struct rep_request *r, int64_t now_ns)
{
    r->started_ns = now_ns;
    rep_queue_push(flight, r);
}

int rep_connect(const struct rep_address *target, struct err *e)
{
    int fd = socket(target->to.any.sa_family,
                    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
    if (fd < 0)
        return err_sys(e, errno, "cannot make a socket");
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(fd, &target->to.any, target->length) == 0 || errno == EINPROGRESS)
        return fd;
    int sys = errno;
    close(fd);
    return err_sys(e, sys, "cannot connect to %s", target->authority);
}

int rep_connect_result(int fd)
{
    int sys = 0;
    socklen_t n = sizeof sys;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &sys, &n) < 0 ? errno : sys;
}

bool rep_own_fault(int sys)
{
    return sys == EMFILE || sys == ENFILE || sys == ENOBUFS || sys == ENOMEM ||
           sys == EADDRNOTAVAIL || sys == EACCES || sys == EPERM;
}

bool rep_failures_add(struct rep_failures *f, const char *text, uint64_t count)
{
    size_t i = 0;
    while (i < f->n && strcmp(f->v[i].text, text) != 0)
        i++;
    if (i >= REP_FAILURES_MAX - 1) {
        i = REP_FAILURES_MAX - 1;
        text = "other reasons";
    }
    bool is_new = i >= f->n;
    if (is_new) {
        snprintf(f->v[i].text, sizeof f->v[i].text, "%s", text);
        f->n = i + 1;
    }
    f->v[i].count += count;
    return is_new;
}

const char *const rep_end_codes[REP_END_COUNT] = {
    [REP_END_LIMIT] = "limit",     [REP_END_IDLE] = "idle",
    [REP_END_ANSWER] = "answer",   [REP_END_GOAWAY] = "goaway",
    [REP_END_CLOSED] = "closed",   [REP_END_RESET] = "reset",
    [REP_END_GARBAGE] = "garbage", [REP_END_GIVEN_UP] = "given-up",
    [REP_END_ROOM] = "made-room",
};

const char *const rep_end_texts[REP_END_COUNT] = {
    [REP_END_LIMIT] = "after as many requests as it may carry",
    [REP_END_IDLE] = "by the target while idle",
    [REP_END_ANSWER] = "by the target with an answer",
    [REP_END_GOAWAY] = "by GOAWAY",
    [REP_END_CLOSED] = "by the target with a request under way",
    [REP_END_RESET] = "by a reset",
    [REP_END_GARBAGE] = "for what came broke the protocol",
    [REP_END_GIVEN_UP] = "with a request that was given up",
    [REP_END_ROOM] = "to make room for another recorded one",
};

void rep_connect_ended(struct rep_engine *en, enum rep_end why)
{
    en->stats.ends[why]++;
}

enum rep_end rep_end_of(enum out_cause cause)
{
    switch (cause) {
    case OUT_CLOSED:
        return REP_END_CLOSED;
    case OUT_RESET:
        return REP_END_RESET;
    case OUT_GARBAGE:
        return REP_END_GARBAGE;
    default:
        return REP_END_GIVEN_UP;
    }
}

void rep_engine_stats_add(struct rep_engine_stats *sum,
                          const struct rep_engine_stats *s)
{
    sum->connects += s->connects;
    sum->connect_failures += s->connect_failures;
    for (size_t i = 0; i < s->failures.n; i++)
        if (s->failures.v[i].count > 0)
            rep_failures_add(&sum->failures, s->failures.v[i].text,
                             s->failures.v[i].count);
    sum->tls_full += s->tls_full;
    sum->tls_resumed += s->tls_resumed;
    sum->retries += s->retries;
    for (int i = 0; i < REP_END_COUNT; i++)
        sum->ends[i] += s->ends[i];
    sum->client_errors += s->client_errors;
}

void rep_connect_failed(struct rep_engine *en, const struct err *e)
{
    const char *text =
        e->code == ERR_PEER ? e->text : strerror(e->sys ? e->sys : ENOMEM);
    en->stats.connect_failures++;
    if (rep_own_fault(e->sys) || e->code == ERR_NOMEM)
        en->stats.client_errors++;
    if (rep_failures_add(&en->stats.failures, text, 1))
        log_warn("engine", "%s: cannot connect to %s: %s", en->ops->name,
                 en->config.target->authority, text);
}

bool rep_connect_foreign(struct rep_engine *en, enum rep_dialect d)
{
    struct err e = {0};
    const char *words =
        rep_dialect_words(d, en->ops->protocol, en->config.http_version);
    if (!words)
        return false;
    en->foreign = words;
    err_set(&e, ERR_PEER, "%s", words);
    rep_connect_failed(en, &e);
    return true;
}

void rep_connect_made(struct rep_engine *en, const struct rep_tls_conn *tls)
{
    en->stats.connects++;
    if (!tls)
        return;
    if (rep_tls_facts(tls).resumed)
        en->stats.tls_resumed++;
    else
        en->stats.tls_full++;
}

enum out_cause rep_end_cause(int sys)
{
    return sys == 0 ? OUT_CLOSED : sys == EPROTO ? OUT_GARBAGE : OUT_RESET;
}

/* Linux reports a reset that came after the peer's FIN as EPIPE, any other as
 * ECONNRESET. A FIN acknowledges all that had arrived when the peer closed; so while
 * every byte of the request is still unacknowledged, the close came first. */
bool rep_unprocessed(int fd, int sys, size_t sent)
{
    int unacked = 0;
    if (sent == 0)
        return true;
    if (sys != 0 && sys != EPIPE)
        return false;
    return ioctl(fd, SIOCOUTQ, &unacked) == 0 && unacked > 0 && (size_t)unacked >= sent;
}

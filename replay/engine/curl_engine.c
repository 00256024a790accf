/*
 * curl_engine.c - REST by libcurl: HTTP/1.1 and HTTP/2, through a proxy if need be.
 *
 * The reference that the engine of our own is checked against, and the way to what it
 * does not speak. Three to four times the processor time of that one. libcurl's sockets
 * live in the worker's loop (multi_socket); one that it keeps for later stays
 * registered, so that a request costs no epoll_ctl.
 *
 * Here is libcurl's place in the loop, and the engine's face; curl_own.h says where the
 * rest is.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replay/engine/curl_own.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include "replay/schedule.h"

#define ROUNDS_MAX 8 /* at most so many rounds of due timers in one flush */

/* --- sockets and timers in the loop ----------------------------------------------- */

static void on_event(struct ev *ev, int fd, unsigned events, void *arg)
{
    struct rep_sock *s = arg;
    struct rep_curl *en = s->en;
    int mask = 0, running;
    (void)ev;

    if (s->idle) {
        /* libcurl looks at it when it wants to use it again, and not before. */
        rep_sock_unwatch(s);
        return;
    }
    if (events & (EV_READ | EV_HANGUP))
        mask |= CURL_CSELECT_IN;
    if (events & EV_WRITE)
        mask |= CURL_CSELECT_OUT;
    (void)curl_multi_socket_action(en->multi, fd, mask, &running);
    rep_curl_drain(en);
}

/* Watches s for `events`; what cannot be watched is never heard of again, and ends at
 * its deadline. */
static void sock_watch(struct rep_sock *s, unsigned events)
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
    struct rep_curl *en = arg;
    struct rep_sock *s = known ? known : rep_sock_find(en, fd);
    (void)easy;

    if (!s)
        return 0; /* closed already */
    if (!known)
        (void)curl_multi_assign(en->multi, fd, s);
    s->idle = what == CURL_POLL_REMOVE;
    if (s->idle && s->carried == 0 && fcntl(fd, F_GETFD) < 0) {
        /* libcurl 7.88 closes one through a proxy that is not up yet by itself. */
        rep_sock_unwatch(s);
        s->fd = -1;
        return 0;
    }
    if (!s->idle)
        sock_watch(s, ((what & CURL_POLL_IN) ? EV_READ : 0) |
                          ((what & CURL_POLL_OUT) ? EV_WRITE : 0));
    else if (s->watched)
        sock_watch(s, EV_READ);
    return 0;
}

static void on_timer_due(struct ev *ev, void *arg)
{
    struct rep_curl *en = arg;
    (void)ev;
    en->timer = NULL;
    en->kick = true; /* the flush of this turn looks */
}

static int on_timer(CURLM *multi, long ms, void *arg)
{
    struct rep_curl *en = arg;
    (void)multi;
    if (en->timer)
        ev_timer_cancel(en->base.config.ev, en->timer);
    en->timer = NULL;
    en->kick = ms == 0;
    if (ms > 0)
        en->timer = ev_timer_at(en->base.config.ev,
                                (struct clk_mono){rep_curl_now(en) + ms * CLK_MS},
                                on_timer_due, en);
    if (ms > 0 && !en->timer)
        en->kick = true;
    return 0;
}

/* --- opening and closing ---------------------------------------------------------- */

/* Pins the name to the address that was found at the start. */
static bool pin_name(struct rep_curl *en, const struct rep_address *a)
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
static bool name_server(struct rep_curl *en)
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

static CURLMcode set_multi(struct rep_curl *en)
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
    struct rep_curl *en = (struct rep_curl *)base;
    if (!en)
        return;
    en->closing = true;
    for (uint32_t i = 0; i < en->transfers; i++)
        rep_transfer_free(en->all[i]);
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
    struct rep_curl *en = calloc(1, sizeof *en);
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
    const struct rep_curl *en = (const struct rep_curl *)base;
    uint32_t n = 0;
    for (size_t i = 0; i < en->sock_count; i++)
        n += en->socks[i]->fd >= 0;
    return n;
}

static uint32_t engine_free_slots(const struct rep_engine *base)
{
    const struct rep_curl *en = (const struct rep_curl *)base;
    return en->free_count + (en->limit - en->transfers);
}

static void engine_send(struct rep_engine *base, struct rep_request *r)
{
    struct rep_curl *en = (struct rep_curl *)base;
    struct rep_transfer *t = en->spare;

    rep_flight_add(&en->flight, r, rep_curl_now(en));
    if (t) {
        en->spare = t->next;
        en->free_count--;
    } else if (!(t = rep_transfer_new(en))) {
        base->stats.client_errors++;
        rep_queue_remove(&en->flight, r);
        r->out.cause = OUT_CONNECT;
        r->out.done_ns = rep_curl_now(en);
        base->config.done(base->config.arg, r);
        return;
    }
    CURL *easy = t->easy;
    struct buf body = t->body;
    *t = (struct rep_transfer){
        .en = en, .easy = easy, .request = r, .ended = REP_END_COUNT, .body = body};
    r->place = t;
    t->opens = engine_live(base) == 0;
    if (!rep_transfer_request(t) || !rep_transfer_add(t)) {
        base->stats.client_errors++;
        r->out.done_ns = rep_curl_now(en);
        rep_transfer_finish(t, OUT_CONNECT);
    }
}

static void engine_flush(struct rep_engine *base)
{
    struct rep_curl *en = (struct rep_curl *)base;
    int running;

    for (int i = 0; i < ROUNDS_MAX && en->kick; i++) {
        en->kick = false;
        (void)curl_multi_socket_action(en->multi, CURL_SOCKET_TIMEOUT, 0, &running);
        en->epoch++;
        rep_curl_drain(en);
    }
}

static int64_t engine_expire(struct rep_engine *base, int64_t now)
{
    struct rep_curl *en = (struct rep_curl *)base;
    struct rep_request *r;

    while ((r = en->flight.head) != NULL &&
           r->started_ns + base->config.deadline_ns <= now)
        rep_transfer_abort(r->place, OUT_DEADLINE);
    return r ? r->started_ns + base->config.deadline_ns : REP_NEVER;
}

static uint32_t engine_in_flight(const struct rep_engine *base)
{
    return (uint32_t)((const struct rep_curl *)base)->flight.count;
}

static void engine_cancel(struct rep_engine *base, enum out_cause cause)
{
    struct rep_curl *en = (struct rep_curl *)base;
    en->closing = true;
    while (en->flight.head)
        rep_transfer_abort(en->flight.head->place, cause);
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

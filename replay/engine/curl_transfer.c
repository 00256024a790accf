/*
 * curl_transfer.c - one request on its way through libcurl: what libcurl tells of it,
 * whether it is sent again, and what its end amounts to. See curl_own.h.
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
 * given back afterwards, in rep_curl_drain.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replay/engine/curl_own.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <curl/curl.h>

#include "replay/mark.h"
#include "traces/base/log.h"
#include "traces/wire/content_encoding.h"
#include "traces/wire/http1.h"

#define AREA "engine"

static_assert(sizeof((struct rep_transfer *)0)->why >= CURL_ERROR_SIZE,
              "libcurl's words fit");

/* --- what libcurl tells ----------------------------------------------------------- */

/* The request goes over t->sock. */
static void take_connection(struct rep_transfer *t)
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
    struct rep_transfer *t = arg;
    struct rep_curl *en = t->en;
    struct rep_request *r = t->request;
    struct rep_sock_facts facts;
    (void)remote;
    (void)local;
    (void)remote_port;

    t->sock = rep_sock_at(en, (uint16_t)local_port);
    bool known = t->sock && rep_sock_look(t->sock->fd, &facts);
    t->stale = known && t->sock->carried > 0 && en->base.config.http_version != 2 &&
               facts.close_wait;
    if (t->stale)
        return CURL_PREREQFUNC_ABORT;
    if (r->tries > 0 && (!t->lost || !t->unread || r->tries >= REP_TRIES_MAX)) {
        t->given_up = true;
        return CURL_PREREQFUNC_ABORT;
    }
    en->base.stats.retries += r->tries > 0;
    r->tries++;
    t->lost = t->unread = t->orderly = t->reset = false;
    t->ended = REP_END_COUNT;
    if (known) {
        t->acked = facts.acked;
        t->sent = facts.sent;
    }
    int64_t now = rep_curl_now(en);
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
static bool length_agrees(struct rep_transfer *t, struct span line)
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
    struct rep_transfer *t = arg;
    struct outcome *o = &t->request->out;
    struct span line = span_of(p, size * n);

    if (o->first_ns == OP_TIME_NONE)
        o->first_ns = rep_curl_now(t->en);
    t->head_bytes += line.n;
    if (span_starts(line, "HTTP/")) { /* perhaps a 1xx went before */
        t->head_ended = t->events_told = false;
        t->request->answer_codings = 0;
    }
    content_codings_add(&t->request->answer_codings,
                        field_value(line, "content-encoding"));
    t->head_ended = t->head_ended || line.n <= 2;
    t->too_big = t->too_big || t->head_bytes > HTTP1_HEAD_MAX;
    t->events_told =
        t->events_told || rep_is_event_stream(field_value(line, "content-type"));
    struct span mark = field_value(line, REP_MARK_FIELD);
    if (mark.n > 0)
        rep_mark_look(t->request, mark);
    t->closes = t->closes || span_eq_nocase(field_value(line, "connection"), "close");
    t->framed = t->framed || field_value(line, "content-length").p ||
                field_value(line, "transfer-encoding").p;
    t->foreign = t->foreign ||
                 (t->en->base.config.http_version == 2 && span_starts(line, "HTTP/1"));
    t->garbage = t->garbage || t->foreign || !length_agrees(t, line);
    return t->too_big || t->garbage ? 0 : line.n;
}

/* What comes first of a body: its head is whole by now. */
static void begin_body(struct rep_transfer *t)
{
    long status = 0;
    t->body_begun = true;
    (void)curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    if (t->events_told && status / 100 == 2)
        rep_events_begin(&t->events, true, t->request->answer_codings,
                         t->en->base.config.answer_max);
}

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
    struct rep_transfer *t = arg;
    if (n * size > t->en->base.config.answer_max - t->body.n) {
        t->too_big = true;
        return 0;
    }
    if (!t->body_begun)
        begin_body(t);
    buf_add(&t->body, p, n * size);
    t->too_big =
        t->events.on && !rep_events_feed(&t->events, t->request, span_of(p, n * size),
                                         rep_curl_now(t->en));
    return t->too_big ? 0 : n * size;
}

bool rep_transfer_callbacks(struct rep_transfer *t)
{
    return !curl_easy_setopt(t->easy, CURLOPT_PRIVATE, t) &&
           !curl_easy_setopt(t->easy, CURLOPT_ERRORBUFFER, t->why) &&
           !curl_easy_setopt(t->easy, CURLOPT_PREREQFUNCTION, before_request) &&
           !curl_easy_setopt(t->easy, CURLOPT_PREREQDATA, t) &&
           !curl_easy_setopt(t->easy, CURLOPT_HEADERFUNCTION, on_header) &&
           !curl_easy_setopt(t->easy, CURLOPT_HEADERDATA, t) &&
           !curl_easy_setopt(t->easy, CURLOPT_WRITEFUNCTION, on_body) &&
           !curl_easy_setopt(t->easy, CURLOPT_WRITEDATA, t);
}

/* --- what it amounts to ----------------------------------------------------------- */

void rep_transfer_finish(struct rep_transfer *t, enum out_cause cause)
{
    struct rep_curl *en = t->en;
    struct rep_request *r = t->request;

    curl_slist_free_all(t->fields);
    t->fields = NULL;
    t->request = NULL;
    t->sock = NULL;
    buf_reset(&t->body);
    rep_events_done(&t->events);
    t->next = en->spare;
    en->spare = t;
    en->free_count++;
    rep_queue_remove(&en->flight, r);
    r->place = NULL;
    r->out.cause = cause;
    en->base.config.done(en->base.config.arg, r);
}

static enum out_cause lost_cause(const struct rep_transfer *t)
{
    return t->lost && !t->reset ? OUT_CLOSED : OUT_RESET;
}

/* What a failed transfer amounts to. */
static enum out_cause failure(struct rep_transfer *t, CURLcode code)
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

static void transfer_answered(struct rep_transfer *t)
{
    struct rep_request *r = t->request;
    struct span body = buf_view(&t->body);
    long status = 0;

    t->en->answered = true;
    (void)curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    r->out.status = (uint16_t)status;
    r->out.bytes_in = body.n;
    r->out.answer_hash = outcome_answer_hash(body);
    if (t->events.on && !rep_events_end(&t->events, r))
        t->en->base.stats.client_errors++;
    if (t->en->base.config.keep_answers)
        buf_span(&r->answer, body);
    if (t->body.failed) {
        t->en->base.stats.client_errors++;
        rep_transfer_finish(t, OUT_TOO_BIG);
        return;
    }
    rep_transfer_finish(t, status >= 200 && status < 300 ? OUT_OK : OUT_STATUS);
}

/* No connection was made. Why TLS failed libcurl tells in words of its own; in others
 * stand times and ports, which would make each a reason of its own. */
static void count_failure(struct rep_transfer *t, CURLcode code)
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

/* The target may speak another version of HTTP: then no connection was made after all,
 * and its end is not counted. What came in place of HTTP/1.1 libcurl does not show; it
 * may be no more than garbage. */
static void look_for_foreign(struct rep_transfer *t, CURLcode code)
{
    struct rep_curl *en = t->en;
    if (en->answered)
        return;
    if (code == CURLE_UNSUPPORTED_PROTOCOL && !en->asked) {
        log_warn(AREA,
                 "curl: %s does not answer in HTTP/1.1: is this the port for gRPC?",
                 en->base.config.target->authority);
        en->asked = true;
    }
    if (!t->foreign || !rep_connect_foreign(&en->base, REP_DIALECT_HTTP1))
        return;
    if (t->ended != REP_END_COUNT)
        en->base.stats.ends[t->ended]--;
    t->ended = REP_END_COUNT;
}

static void transfer_failed(struct rep_transfer *t, CURLcode code)
{
    struct rep_engine_stats *stats = &t->en->base.stats;
    struct rep_request *r = t->request;
    enum out_cause cause = failure(t, code);
    long status = 0;

    log_debug(AREA, "curl: operation %" PRIu64 ": %s: %s", r->out.op_index,
              out_cause_names[cause], curl_easy_strerror(code));
    if (cause == OUT_CONNECT)
        count_failure(t, code);
    else
        look_for_foreign(t, code);
    stats->client_errors += code == CURLE_OUT_OF_MEMORY;
    if (r->out.first_ns != OP_TIME_NONE)
        (void)curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    r->out.status = (uint16_t)status;
    rep_request_cut(r);
    rep_transfer_finish(t, cause);
}

/* --- into libcurl and out of it --------------------------------------------------- */

/* libcurl 7.88 breaks an HTTP/2 connection when a request of prior knowledge is the
 * second on it. So one that makes a connection has that knowledge and asks for a fresh
 * one; the others want HTTP/2 where it is spoken already, and find nothing else,
 * because open_socket refuses them one. */
static CURLcode choose_version(struct rep_transfer *t)
{
    long version =
        t->opens ? CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE : CURL_HTTP_VERSION_2TLS;
    CURLcode rc = curl_easy_setopt(t->easy, CURLOPT_HTTP_VERSION, version);
    return rc ? rc
              : curl_easy_setopt(t->easy, CURLOPT_FRESH_CONNECT, t->opens ? 1L : 0L);
}

bool rep_transfer_add(struct rep_transfer *t)
{
    struct rep_curl *en = t->en;
    if (rep_curl_by_knowledge(&en->base.config) && choose_version(t) != CURLE_OK)
        return false;
    if (curl_multi_add_handle(en->multi, t->easy) != CURLM_OK)
        return false;
    t->epoch = en->epoch;
    t->closes = t->framed = t->sock_limit = false;
    en->kick = true;
    return true;
}

/* Gives it to libcurl once more, where nothing of it was sent, or read. */
static bool send_again(struct rep_transfer *t)
{
    struct rep_request *r = t->request;
    bool unread = !t->given_up && t->lost && t->unread && r->tries < REP_TRIES_MAX;
    if (!t->homeless && !t->stale && !unread)
        return false;
    t->opens = t->opens || t->homeless;
    t->homeless = false;
    if (!rep_transfer_add(t))
        return false;
    r->out.done_ns = OP_TIME_NONE;
    return true;
}

/* libcurl is done with it: so are we, or it is sent once more. */
static void transfer_end(struct rep_transfer *t, CURLcode code)
{
    struct rep_curl *en = t->en;
    struct rep_request *r = t->request;
    long connects = 0;

    r->out.done_ns = rep_curl_now(en);
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
    if (!send_again(t))
        transfer_failed(t, code);
}

void rep_curl_drain(struct rep_curl *en)
{
    CURLMsg *m;
    int left;
    while ((m = curl_multi_info_read(en->multi, &left)) != NULL) {
        char *t = NULL;
        CURLcode code = m->data.result;
        if (m->msg != CURLMSG_DONE)
            continue;
        (void)curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &t);
        transfer_end((struct rep_transfer *)(void *)t, code);
    }
}

void rep_transfer_abort(struct rep_transfer *t, enum out_cause cause)
{
    struct outcome *o = &t->request->out;
    o->done_ns = cause == OUT_DEADLINE ? rep_curl_now(t->en) : o->done_ns;
    if (cause == OUT_DEADLINE && t->en->base.config.http_version != 2 && !t->sock &&
        o->attempts == 0)
        count_failure(t, CURLE_OPERATION_TIMEDOUT);
    t->aborted = true;
    (void)curl_multi_remove_handle(t->en->multi, t->easy);
    rep_request_cut(t->request);
    rep_transfer_finish(t, cause);
}

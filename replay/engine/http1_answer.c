/*
 * http1_answer.c - what the peer says to a request: head, body, and what an answer that
 * is over amounts to. See http1_engine_own.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replay/engine/http1_engine_own.h"

#include "replay/mark.h"
#include "traces/wire/content_encoding.h"

static void conn_body_piece(struct rep_conn *c, struct span data)
{
    if (c->piece.n == 0 && c->body.n == 0) {
        c->piece = data;
        return;
    }
    buf_span(&c->body, c->piece);
    c->piece = (struct span){0};
    buf_span(&c->body, data);
}

/* How the answer ends its connection; REP_END_COUNT: not at all. `more` bytes came
 * behind it. */
static enum rep_end ended_by_answer(const struct rep_conn *c, bool more, bool eof)
{
    const struct rep_request *r = c->request;
    uint64_t limit = c->en->base.config.requests_per_connection;
    bool whole = c->sent == rep_conn_request_bytes(r) &&
                 !(c->tls && (rep_tls_pending(c->tls) || rep_tls_over(c->tls)));
    return !c->parser.head.keep_alive || !whole || eof ? REP_END_ANSWER
           : more                                      ? REP_END_GARBAGE
           : limit > 0 && c->carried >= limit          ? REP_END_LIMIT
                                                       : REP_END_COUNT;
}

/* Answer complete; `more` bytes came behind it. */
static void conn_answered(struct rep_conn *c, bool more, bool eof)
{
    struct rep_http1 *en = c->en;
    struct rep_request *r = c->request;
    struct span body = c->body.n > 0 ? buf_view(&c->body) : c->piece;
    uint16_t status = c->parser.head.status;
    enum rep_end end = ended_by_answer(c, more, eof);

    r->out.done_ns = c->read_ns;
    r->out.status = status;
    r->out.bytes_in = body.n;
    r->out.answer_hash = outcome_answer_hash(body);
    if (c->events.on && !rep_events_end(&c->events, r))
        en->base.stats.client_errors++;
    if (en->base.config.keep_answers)
        buf_span(&r->answer, body);
    if (c->body.failed)
        en->base.stats.client_errors++;
    enum out_cause cause = c->body.failed                  ? OUT_TOO_BIG
                           : status >= 200 && status < 300 ? OUT_OK
                                                           : OUT_STATUS;
    if (end == REP_END_COUNT) {
        c->state = REP_CONN_IDLE;
        c->sent = 0;
        c->answered = false;
        c->piece = (struct span){0};
        buf_reset(&c->body);
        rep_conn_watch(c, false);
        rep_conn_finish(c, cause);
        return;
    }
    /* Connect anew before the request goes back, so that the next one finds it under
     * way. */
    rep_connect_ended(&en->base, end);
    rep_conn_shut(c);
    c->request = NULL;
    rep_conn_start(c);
    c->request = r;
    rep_conn_finish(c, cause);
}

/* Its head is whole: what of it is wanted, in one walk. */
static void conn_head(struct rep_conn *c)
{
    const struct http1_head *h = &c->parser.head;
    struct rep_request *r = c->request;
    struct span type = {0};

    r->answer_codings = 0;
    for (uint32_t i = 0; i < h->field_count; i++) {
        struct span name = h->fields[i].name, value = h->fields[i].value;
        if (name.n == sizeof "content-encoding" - 1 &&
            span_eq_nocase(name, "content-encoding"))
            content_codings_add(&r->answer_codings, value);
        if (name.n != sizeof "content-type" - 1)
            continue;
        if (!type.p && span_eq_nocase(name, "content-type"))
            type = value;
        else if (span_eq_nocase(name, REP_MARK_FIELD))
            rep_mark_look(r, value);
    }
    bool events = h->status / 100 == 2 && rep_is_event_stream(type);
    if (events || c->events.on)
        rep_events_begin(&c->events, events, r->answer_codings,
                         c->en->base.config.answer_max);
}

bool rep_conn_feed(struct rep_conn *c, struct span in)
{
    for (;;) {
        struct span data = {0};
        int event = http1_feed(&c->parser, &in, &data, NULL);
        if (event == HTTP1_HEAD)
            conn_head(c);
        if (event == HTTP1_DATA && c->events.on &&
            !rep_events_feed(&c->events, c->request, data, c->read_ns)) {
            rep_conn_fail(c, OUT_TOO_BIG);
            return false;
        }
        if (event == HTTP1_DATA)
            conn_body_piece(c, data);
        if (event == HTTP1_END) {
            conn_answered(c, in.n > 0, false);
            return false;
        }
        if (event < 0) {
            c->request->out.status = c->parser.head.status;
            rep_conn_fail(c, event == ERR_LIMIT ? OUT_TOO_BIG : OUT_GARBAGE);
            return false;
        }
        if (event == HTTP1_MORE)
            break;
    }
    /* The receive buffer is used again by others: keep our piece of it. */
    if (c->piece.n > 0) {
        buf_span(&c->body, c->piece);
        c->piece = (struct span){0};
    }
    return true;
}

void rep_conn_eof(struct rep_conn *c)
{
    if (!c->answered) {
        /* After close_notify alone the peer may still be reading: the FIN decides, or
         * the deadline. */
        if (!c->tls || rep_tls_fin(c->tls))
            rep_conn_lost(c, 0);
        return;
    }
    bool begun = !http1_idle(&c->parser);
    bool orderly = !c->tls || rep_tls_ended(c->tls);
    if (http1_eof(&c->parser, NULL) == HTTP1_END && begun && orderly) {
        conn_answered(c, false, true);
    } else {
        c->request->out.status = c->parser.head.status;
        rep_conn_fail(c, OUT_CLOSED);
    }
}

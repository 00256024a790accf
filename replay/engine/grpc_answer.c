/*
 * grpc_answer.c - what the peer's frames say of calls: status, messages, and what an
 * answer that is over amounts to. See grpc_own.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replay/engine/grpc_own.h"

#include <string.h>

#include "replay/mark.h"
#include "traces/base/log.h"
#include "traces/wire/content_encoding.h"

#define AREA "engine"

/* --- fields ----------------------------------------------------------------------- */

static int small_number(struct span s)
{
    uint64_t v;
    return span_u64(s, &v) && v < 1000 ? (int)v : -1;
}

static void take_fields(struct rep_call *c, const struct h2_event *ev)
{
    uint16_t codings = 0;
    for (size_t i = 0; i < ev->field_count; i++) {
        struct span n = ev->fields[i].name, v = ev->fields[i].value;
        if (span_eq_str(n, "grpc-status")) {
            c->grpc_status = small_number(v);
            c->garbage = c->garbage || c->grpc_status < 0;
        } else if (span_eq_str(n, REP_MARK_FIELD)) {
            rep_mark_look(c->request, v);
        } else if (span_eq_str(n, "content-type")) {
            c->grpc_type = span_starts(v, "application/grpc");
        } else if (span_eq_str(n, "grpc-encoding")) {
            content_codings_add(&codings, v);
        }
    }
    if (ev->trailers)
        return;
    c->status = ev->status;
    c->request->answer_codings = codings;
    c->frame.packs = codings != 0;
}

/* --- messages --------------------------------------------------------------------- */

/* A prefix is whole: what follows is as long as it says. */
static void read_prefix(struct rep_call *c)
{
    c->message_bytes = (uint64_t)c->prefix[1] << 24 | (uint64_t)c->prefix[2] << 16 |
                       (uint64_t)c->prefix[3] << 8 | c->prefix[4];
    /* We take none, as we say; a server that compresses all the same must name it. */
    c->garbage = c->garbage || c->prefix[0] > (c->request->answer_codings != 0);
    if (c->prefix[0] == 0)
        c->request->answer_codings = 0;
}

/* A message of a stream is whole. */
static int note_message(struct rep_call *c)
{
    struct rep_request *r = c->request;
    if (c->frame.packs) /* each may use the encoding, or not */
        buf_u8(&r->encoded, c->frame.compressed);
    return rep_request_message(r, c->message_ns, c->frame.bytes);
}

/* Data of a call that streams: any number of messages. False: the call was given up. */
static bool stream_data(struct rep_call *c, struct span in)
{
    struct rep_grpc *en = c->link->en;
    struct span piece;
    int what = GRPC_FRAME_PIECE;

    while (what != GRPC_FRAME_MORE) {
        if (grpc_frame_idle(&c->frame)) {
            c->message_ns = en->now;
            c->message_at = c->message.n;
        }
        what = grpc_frame_feed(&c->frame, &in,
                               en->base.config.answer_max - c->message_at, &piece);
        if (what == GRPC_FRAME_PIECE)
            buf_span(&c->message, piece);
        if (what == ERR_FORMAT) {
            rep_call_abort(c, OUT_GARBAGE, H2_PROTOCOL_ERROR);
            return false;
        }
        if (what < 0 || (what == GRPC_FRAME_END && note_message(c) < 0)) {
            rep_call_abort(c, OUT_TOO_BIG, H2_CANCEL);
            return false;
        }
    }
    return true;
}

/* Data of a call with one answer: splits off the prefix, and what follows is the
 * message. stream_data could do it, in three rounds of its loop, 2 % of all that a
 * small call costs. False: given up. */
static bool call_data(struct rep_call *c, struct span in)
{
    size_t n = GRPC_PREFIX_BYTES - c->prefix_got;
    n = n < in.n ? n : in.n;
    if (n > 0) {
        memcpy(c->prefix + c->prefix_got, in.p, n);
        in = span_sub(in, n, in.n);
        c->prefix_got += (uint32_t)n;
        if (c->prefix_got == GRPC_PREFIX_BYTES)
            read_prefix(c);
    }
    if (c->prefix_got < GRPC_PREFIX_BYTES)
        return true;
    if (c->message_bytes > c->link->en->base.config.answer_max)
        rep_call_abort(c, OUT_TOO_BIG, H2_CANCEL);
    else if (c->garbage || c->message.n + in.n > c->message_bytes)
        rep_call_abort(c, OUT_GARBAGE, H2_PROTOCOL_ERROR);
    else {
        buf_span(&c->message, in);
        return true;
    }
    return false;
}

/* --- the end ---------------------------------------------------------------------- */

/* What a stream that the peer ended properly amounts to. */
static enum out_cause call_verdict(struct rep_call *c)
{
    if (c->garbage || c->status == 0)
        return OUT_GARBAGE;
    if (c->status != 200)
        return OUT_STATUS;
    if (!c->grpc_type || c->grpc_status < 0)
        return OUT_GARBAGE;
    if (c->grpc_status > 0)
        return OUT_STATUS;
    if (c->message.failed)
        return OUT_TOO_BIG;
    if (c->streams)
        return grpc_frame_idle(&c->frame) ? OUT_OK : OUT_GARBAGE;
    if (c->prefix_got < GRPC_PREFIX_BYTES || c->message.n != c->message_bytes)
        return OUT_GARBAGE;
    return OUT_OK;
}

/* The answer came to its end, and the stream with it. */
static void call_complete(struct rep_call *c)
{
    struct rep_grpc *en = c->link->en;
    struct rep_request *r = c->request;
    struct span body = buf_view(&c->message);

    r->out.done_ns = en->now;
    if (c->streams && !grpc_frame_idle(&c->frame)) /* broke off in a message */
        body = span_sub(body, 0, c->message_at);
    r->out.bytes_in = body.n;
    if (c->prefix_got == GRPC_PREFIX_BYTES || r->out.messages.count > 0) {
        r->out.answer_hash = outcome_answer_hash(body);
        if (en->base.config.keep_answers)
            buf_span(&r->answer, body);
    }
    rep_call_finish(c, call_verdict(c));
}

/* --- events ----------------------------------------------------------------------- */

/* No more streams: what has none yet goes elsewhere. */
static void on_goaway(struct rep_link *l, const struct h2_event *ev)
{
    log_debug(AREA, "grpc: GOAWAY code=%u connection=%u", ev->code, l->ordinal);
    rep_link_drain(l, REP_END_GOAWAY);
    for (struct rep_call *c = l->calls, *next; c; c = next) {
        next = c->next;
        if (!c->has_slot)
            rep_call_reset(c, H2_REFUSED_STREAM, false);
    }
}

void rep_link_event(struct rep_link *l, const struct h2_event *ev)
{
    struct rep_call *c = ev->user;
    if (ev->ends)
        c->has_slot = false;
    switch (ev->kind) {
    case H2_EVENT_HEADERS:
        if (c->request->out.first_ns == OP_TIME_NONE)
            c->request->out.first_ns = ev->began;
        take_fields(c, ev);
        break;
    case H2_EVENT_DATA:
        /* What a proxy says in its own words (status other than 200) is no message. */
        if (c->status == 200 && c->grpc_type &&
            !(c->streams ? stream_data : call_data)(c, ev->data))
            return;
        break;
    case H2_EVENT_RESET:
        rep_call_reset(c, ev->code, ev->ours);
        return;
    case H2_EVENT_SETTINGS:
        if (!l->settled)
            l->en->warming -= l->en->warming > 0;
        l->settled = true;
        rep_link_note(l);
        return;
    case H2_EVENT_GOAWAY:
        on_goaway(l, ev);
        return;
    case H2_EVENT_MORE:
        return;
    }
    if (ev->ends)
        call_complete(c);
}

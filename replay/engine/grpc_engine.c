/*
 * grpc_engine.c - gRPC over HTTP/2 (traces/wire/h2_client.h): unary calls, and those
 * whose both sides are streams of messages. Of the latter, each message of the request
 * goes out at its recorded time after the first, each of the answer is timed by its
 * first byte.
 *
 * Bytes go out once per loop turn (flush), whatever was asked for in between: batching,
 * not framing, decides what HTTP/2 costs. The next call goes to the connection with the
 * fewest open streams. A connection that got a GOAWAY finishes what it carries beside
 * its successor. Streams that a GOAWAY disowned end like those that were refused.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "replay/engine/engine.h"
#include "replay/mark.h"
#include "replay/schedule.h"
#include "traces/base/log.h"
#include "traces/wire/grpc_frame.h"
#include "traces/wire/h2_client.h"

#define AREA         "engine"
#define RECV_BYTES   (256u << 10)
#define SEND_BYTES   (256u << 10) /* of one write, or a little more */
#define TURN_BYTES   (16u << 10)  /* of one call, before others have their turn */
#define NONE         UINT32_MAX
#define PREFIX_BYTES 5 /* compressed flag, big-endian length */

enum link_state { LINK_CLOSED, LINK_CONNECTING, LINK_UP };

/* One stream, or what is to become one. */
struct call {
    struct call *next, *prev; /* of the link's calls, or of the free ones (next) */
    struct call *work_next, *work_prev;
    struct link *link;
    struct rep_request *request;
    uint32_t slot; /* of the HTTP/2 connection, while has_slot */
    bool has_slot;
    bool working;   /* is in the link's list of those with something to frame */
    bool streams;   /* the answer may be any number of messages */
    bool grpc_type; /* content-type is application/grpc… */
    bool garbage;
    uint16_t status;
    int grpc_status; /* -1: none came */
    size_t taken;    /* bytes of the request that were framed */
    uint64_t flush;  /* number of the write that carried its HEADERS; 0: none yet */
    uint32_t prefix_got;
    uint8_t prefix[PREFIX_BYTES];
    uint64_t message_bytes; /* promised by the prefix */
    struct buf message;     /* of a stream: its messages, one behind the other */
    struct grpc_frame frame;
    size_t message_at;  /* where the present one begins */
    int64_t message_ns; /* when its first byte came */
    /* Of a request of several messages: those that may go by now, and whether it waits
     * for the time of the next. */
    uint32_t parts_taken;
    size_t parts_end; /* their bytes */
    bool paused;
};

/* Invariants: fd exists unless CLOSED; open == length of calls; those with something to
 * frame are in work, unless they wait for a time. */
struct link {
    struct grpc *en;
    struct link *next_old; /* among those that drain */
    uint32_t index;        /* its place among the links; NONE: a successor has it */
    uint32_t room;         /* calls that its place has room for; see link_note */
    int fd;
    struct rep_tls_conn *tls; /* NULL: plaintext, or not connected */
    enum link_state state;
    uint32_t ordinal;
    bool wants_write, settled; /* settled: the peer's SETTINGS came */
    bool draining;             /* it takes no more calls, for that reason: */
    enum rep_end why;
    uint64_t carried; /* calls that it was given */
    bool reading; /* its events are being handled: it may neither be made to write nor
                     be freed */
    struct call *calls;
    struct call *work, *work_last;
    uint32_t open;
    struct buf out; /* framed (TLS: encrypted), not yet written: from out_at on */
    size_t out_at;
    struct call **fresh; /* whose HEADERS are in `out` and not yet stamped */
    size_t fresh_count, fresh_cap;
    uint64_t flushes;
    size_t last_write; /* bytes of write number `flushes` */
    struct h2_client h2;
};

struct grpc {
    struct rep_engine base;
    struct link **links;
    struct link *old; /* draining */
    struct call *spare_calls;
    struct rep_queue flight;    /* every request that is ours */
    uint64_t parted;            /* … of them with several messages */
    struct rep_request **again; /* to be sent a second time, when there is room */
    size_t again_count, again_cap;
    uint32_t *rank; /* of each link: the least takes the next call; NONE: none can */
    uint64_t room;  /* for calls, on all links */
    uint8_t *recv_bytes;
    uint32_t reach; /* of links: those behind were never used */
    uint32_t next_ordinal;
    uint32_t warming;
    int64_t now;        /* of the read in hand */
    struct rep_tls tls; /* where the target takes it */
};

static int64_t now_ns(const struct grpc *en)
{
    return clk_mono_now(en->base.config.clk).ns;
}

static void flight_leave(struct grpc *en, struct rep_request *r)
{
    en->parted -= r->parts.count > 0;
    rep_queue_remove(&en->flight, r);
}

/* --- how much a connection can carry ---------------------------------------------- */

static uint32_t link_room(const struct link *l)
{
    uint32_t most = l->en->base.config.streams;
    if (l->draining) /* its successor's */
        return most;
    if (l->settled && l->h2.peer_streams < most)
        most = l->h2.peer_streams;
    return most > l->open ? most - l->open : 0;
}

/* Keeps count of what its place among the links can carry, and how soon it is to be
 * taken: fewest calls first, and of these one that is up. To be called when that may
 * have changed. */
static void link_note(struct link *l)
{
    struct grpc *en = l->en;
    if (l->index == NONE)
        return;
    uint32_t room = link_room(l), open = l->draining ? 0 : l->open;
    uint32_t down = l->draining ? LINK_UP : LINK_UP - l->state;
    en->room += room;
    en->room -= l->room;
    l->room = room;
    en->rank[l->index] = room > 0 ? open * 4 + down : NONE;
}

/* It finishes what it carries. */
static void link_drain(struct link *l, enum rep_end why)
{
    if (!l->draining)
        l->why = why;
    l->draining = true;
    link_note(l);
}

/* --- calls ------------------------------------------------------------------------ */

static void work_add(struct call *c)
{
    struct link *l = c->link;
    if (c->working)
        return;
    c->working = true;
    c->work_next = NULL;
    c->work_prev = l->work_last;
    if (l->work_last)
        l->work_last->work_next = c;
    else
        l->work = c;
    l->work_last = c;
}

static void work_remove(struct call *c)
{
    struct link *l = c->link;
    if (!c->working)
        return;
    c->working = false;
    if (c->work_prev)
        c->work_prev->work_next = c->work_next;
    else
        l->work = c->work_next;
    if (c->work_next)
        c->work_next->work_prev = c->work_prev;
    else
        l->work_last = c->work_prev;
}

static struct call *call_new(struct link *l, struct rep_request *r)
{
    struct grpc *en = l->en;
    struct call *c = en->spare_calls;
    if (c)
        en->spare_calls = c->next;
    else if (!(c = calloc(1, sizeof *c)))
        return NULL;
    struct buf message = c->message;
    buf_reset(&message);
    *c = (struct call){.link = l,
                       .request = r,
                       .grpc_status = -1,
                       .streams = r->stream->streams,
                       .message = message};
    c->next = l->calls;
    if (l->calls)
        l->calls->prev = c;
    l->calls = c;
    l->open++;
    link_note(l);
    work_add(c);
    r->place = c;
    return c;
}

static void call_spare(struct grpc *en, struct call *c)
{
    c->request->place = NULL;
    c->next = en->spare_calls;
    en->spare_calls = c;
}

/* Takes it off its link. The stream is over, or was never opened. */
static void call_unlink(struct call *c)
{
    struct link *l = c->link;
    work_remove(c);
    if (c->prev)
        c->prev->next = c->next;
    else
        l->calls = c->next;
    if (c->next)
        c->next->prev = c->prev;
    l->open--;
    link_note(l);
    for (size_t i = 0; i < l->fresh_count; i++)
        if (l->fresh[i] == c)
            l->fresh[i] = NULL;
    call_spare(l->en, c);
}

/* Gives a request back, which may bring the next one. */
static void give_back(struct grpc *en, struct rep_request *r, enum out_cause cause)
{
    flight_leave(en, r);
    r->out.cause = cause;
    en->base.config.done(en->base.config.arg, r);
}

/* The same for that of a call, which is taken off its link. */
static void call_finish(struct call *c, enum out_cause cause)
{
    struct grpc *en = c->link->en;
    struct rep_request *r = c->request;
    r->out.status = c->status;
    r->out.grpc_status = (int16_t)c->grpc_status;
    call_unlink(c);
    give_back(en, r, cause);
}

/* The request, which is on no link, is to be sent when there is room for it. */
static bool again_add(struct grpc *en, struct rep_request *r)
{
    if (en->again_count == en->again_cap) {
        size_t cap = en->again_cap ? en->again_cap * 2 : 64;
        struct rep_request **p = realloc(en->again, cap * sizeof *p);
        if (!p)
            return false;
        en->again = p;
        en->again_cap = cap;
    }
    en->again[en->again_count++] = r;
    return true;
}

static void again_remove(struct grpc *en, const struct rep_request *r)
{
    size_t kept = 0;
    for (size_t i = 0; i < en->again_count; i++)
        if (en->again[i] != r)
            en->again[kept++] = en->again[i];
    en->again_count = kept;
}

/* A second sending. */
static bool send_again(struct grpc *en, struct rep_request *r)
{
    if (r->tries >= REP_TRIES_MAX || !again_add(en, r))
        return false;
    en->base.stats.retries++;
    r->out.first_ns = OP_TIME_NONE;
    return true;
}

/* What a stream that the peer ended properly amounts to. */
static enum out_cause call_verdict(struct call *c)
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
    if (c->prefix_got < PREFIX_BYTES || c->message.n != c->message_bytes)
        return OUT_GARBAGE;
    return OUT_OK;
}

/* The answer came to its end, and the stream with it. */
static void call_complete(struct call *c)
{
    struct grpc *en = c->link->en;
    struct rep_request *r = c->request;
    struct span body = buf_view(&c->message);

    r->out.done_ns = en->now;
    if (c->streams && !grpc_frame_idle(&c->frame)) /* broke off in a message */
        body = span_sub(body, 0, c->message_at);
    r->out.bytes_in = body.n;
    if (c->prefix_got == PREFIX_BYTES || r->out.messages.count > 0) {
        r->out.answer_hash = outcome_answer_hash(body);
        if (en->base.config.keep_answers)
            buf_span(&r->answer, body);
    }
    call_finish(c, call_verdict(c));
}

/* Ends a call whose stream we give up: deadline, too big, garbage. */
static void call_abort(struct call *c, enum out_cause cause, enum h2_code code)
{
    struct grpc *en = c->link->en;
    if (c->has_slot)
        h2_client_cancel(&c->link->h2, c->slot, code);
    c->request->out.done_ns = now_ns(en);
    rep_request_cut(c->request);
    call_finish(c, cause);
}

/* Its stream was reset, or can not be opened any more. broken: by us, for cause. */
static void call_reset(struct call *c, uint32_t code, bool broken)
{
    struct grpc *en = c->link->en;
    struct rep_request *r = c->request;

    if (code == H2_REFUSED_STREAM && !broken && send_again(en, r)) {
        call_unlink(c);
        return;
    }
    r->out.done_ns = en->now;
    rep_request_cut(r);
    call_finish(c, broken ? OUT_GARBAGE : OUT_RESET);
}

/* --- answers ---------------------------------------------------------------------- */

static int small_number(struct span s)
{
    uint64_t v;
    return span_u64(s, &v) && v < 1000 ? (int)v : -1;
}

static void take_fields(struct call *c, const struct h2_event *ev)
{
    for (size_t i = 0; i < ev->field_count; i++) {
        struct span n = ev->fields[i].name, v = ev->fields[i].value;
        if (span_eq_str(n, "grpc-status")) {
            c->grpc_status = small_number(v);
            c->garbage = c->garbage || c->grpc_status < 0;
        } else if (span_eq_str(n, REP_MARK_FIELD)) {
            rep_mark_look(c->request, v);
        } else if (span_eq_str(n, "content-type")) {
            c->grpc_type = span_starts(v, "application/grpc");
        }
    }
    if (!ev->trailers)
        c->status = ev->status;
}

/* A prefix is whole: what follows is as long as it says. */
static void read_prefix(struct call *c)
{
    c->message_bytes = (uint64_t)c->prefix[1] << 24 | (uint64_t)c->prefix[2] << 16 |
                       (uint64_t)c->prefix[3] << 8 | c->prefix[4];
    /* No compression was offered, so none may be used. */
    c->garbage = c->garbage || c->prefix[0] != 0;
}

/* Data of a call that streams: any number of messages. False: the call was given up. */
static bool stream_data(struct call *c, struct span in)
{
    struct grpc *en = c->link->en;
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
            call_abort(c, OUT_GARBAGE, H2_PROTOCOL_ERROR);
            return false;
        }
        if (what < 0 ||
            (what == GRPC_FRAME_END &&
             rep_request_message(c->request, c->message_ns, c->frame.bytes) < 0)) {
            call_abort(c, OUT_TOO_BIG, H2_CANCEL);
            return false;
        }
    }
    return true;
}

/* Splits off the 5-byte prefix; what follows is the message. False: given up. */
static bool call_data(struct call *c, struct span in)
{
    size_t n = PREFIX_BYTES - c->prefix_got;
    n = n < in.n ? n : in.n;
    if (n > 0) {
        memcpy(c->prefix + c->prefix_got, in.p, n);
        in = span_sub(in, n, in.n);
        c->prefix_got += (uint32_t)n;
        if (c->prefix_got == PREFIX_BYTES)
            read_prefix(c);
    }
    if (c->prefix_got < PREFIX_BYTES)
        return true;
    if (c->message_bytes > c->link->en->base.config.answer_max)
        call_abort(c, OUT_TOO_BIG, H2_CANCEL);
    else if (c->garbage || c->message.n + in.n > c->message_bytes)
        call_abort(c, OUT_GARBAGE, H2_PROTOCOL_ERROR);
    else {
        buf_span(&c->message, in);
        return true;
    }
    return false;
}

/* No more streams: what has none yet goes elsewhere. */
static void on_goaway(struct link *l, const struct h2_event *ev)
{
    log_debug(AREA, "grpc: GOAWAY code=%u connection=%u", ev->code, l->ordinal);
    link_drain(l, REP_END_GOAWAY);
    for (struct call *c = l->calls, *next; c; c = next) {
        next = c->next;
        if (!c->has_slot)
            call_reset(c, H2_REFUSED_STREAM, false);
    }
}

static void on_event_of(struct link *l, const struct h2_event *ev)
{
    struct call *c = ev->user;
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
        call_reset(c, ev->code, ev->ours);
        return;
    case H2_EVENT_SETTINGS:
        if (!l->settled)
            l->en->warming -= l->en->warming > 0;
        l->settled = true;
        link_note(l);
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

/* --- requests become frames ---------------------------------------------------------
 */

/* When the part behind those taken may go: the gaps of the trace, from the moment at
 * which the first went out. */
static int64_t part_time(const struct call *c)
{
    const struct rep_request *r = c->request;
    if (c->parts_taken == 0)
        return 0;
    return r->out.sent_ns == OP_TIME_NONE
               ? REP_NEVER
               : r->out.sent_ns + r->parts.v[c->parts_taken].at_ns;
}

/* Bytes of the request that may have gone by now. */
static size_t parts_due(struct call *c)
{
    const struct op_messages *parts = &c->request->parts;
    int64_t now = now_ns(c->link->en);
    while (c->parts_taken < parts->count && part_time(c) <= now)
        c->parts_end += parts->v[c->parts_taken++].bytes;
    return c->parts_end;
}

/* Frames the head: the stream is open. */
static bool open_stream(struct call *c)
{
    struct link *l = c->link;
    const struct rep_request *r = c->request;
    const struct rep_stream *s = r->stream;
    struct h2_request q = {
        .key = s->serial * 2 + (r->id.n > 0),
        .fields = s->fields,
        .field_count = s->field_count,
    };
    if (s->serial == 0)
        q.key = 0;
    if (r->id.n > 0)
        q.last = (struct op_header){SPAN_LIT(REP_MARK_FIELD), r->id};
    if (l->fresh_count == l->fresh_cap) {
        size_t cap = l->fresh_cap ? l->fresh_cap * 2 : 128;
        struct call **p = realloc(l->fresh, cap * sizeof *p);
        if (!p)
            return false;
        l->fresh = p;
        l->fresh_cap = cap;
    }
    if (h2_client_open(&l->h2, &q, c, &c->slot, NULL) < 0)
        return false;
    c->has_slot = true;
    l->fresh[l->fresh_count++] = c;
    return true;
}

/* Frames some of the body, or all that may go by now. True: something was framed. */
static bool frame_body(struct call *c)
{
    const struct rep_request *r = c->request;
    size_t whole = r->wire[0].n + r->wire[1].n;
    size_t due = r->parts.count > 0 ? parts_due(c) : whole;
    size_t n = due - c->taken < TURN_BYTES ? due - c->taken : TURN_BYTES;
    size_t behind = c->taken > r->wire[0].n ? c->taken - r->wire[0].n : 0;
    struct span data[2] = {span_sub(r->wire[0], c->taken, c->taken + n)};
    data[1] = span_sub(r->wire[1], behind, behind + n - data[0].n);
    bool end = c->taken + n == whole, all;
    size_t taken = h2_client_parts(&c->link->h2, c->slot, data, end, &all);

    c->taken += taken;
    if (all && end) {
        work_remove(c);
        return true;
    }
    if (taken == 0 && due > c->taken) /* the peer's window is shut */
        return false;
    work_remove(c);
    c->paused = c->taken == due && due < whole;
    if (!c->paused)
        work_add(c); /* behind those that wait for their turn */
    return taken > 0;
}

/* What there is to frame, turn by turn, as long as it fits one write. False: no memory.
 */
static bool frame_calls(struct link *l)
{
    bool moved = true;
    while (moved && l->work) {
        moved = false;
        for (struct call *c = l->work, *next; c; c = next) {
            next = c->work_next;
            if (l->h2.out.failed)
                return false;
            if (l->h2.out.n >= SEND_BYTES)
                return true;
            if (!c->has_slot) {
                if (h2_client_room(&l->h2) == 0)
                    continue;
                if (!open_stream(c))
                    return false;
            }
            moved = frame_body(c) || moved;
        }
    }
    return true;
}

/* --- links ------------------------------------------------------------------------ */

static void link_shut(struct link *l)
{
    rep_tls_close(l->tls, l->out_at < l->out.n);
    l->tls = NULL;
    if (l->fd >= 0) {
        ev_remove(l->en->base.config.ev, l->fd);
        close(l->fd);
    }
    l->fd = -1;
    if (l->state != LINK_CLOSED && !l->settled)
        l->en->warming -= l->en->warming > 0;
    l->state = LINK_CLOSED;
    l->wants_write = l->settled = l->draining = false;
    buf_reset(&l->out);
    l->out_at = 0;
    l->fresh_count = 0;
    l->flushes = 0;
    l->last_write = 0;
    l->carried = 0;
    link_note(l);
}

static bool all_in_last_write(const struct link *l)
{
    for (const struct call *c = l->calls; c; c = c->next)
        if (c->flush > 0 && c->flush < l->flushes)
            return false;
    return true;
}

/* Why it ended. unread: the last write did not arrive. */
static enum rep_end link_end(const struct link *l, enum out_cause cause, bool unread)
{
    if (cause == OUT_GARBAGE)
        return REP_END_GARBAGE;
    if (l->open > 0 && !(unread && all_in_last_write(l)))
        return rep_end_of(cause);
    return l->draining ? l->why : REP_END_IDLE;
}

/* The connection is gone: ends its calls with `cause`, except those that may go again:
 * never written, or in the last write when that is proved unread. */
static void link_lost(struct link *l, enum out_cause cause, int sys)
{
    struct call *doomed = l->calls;
    bool unread = cause != OUT_CONNECT && cause != OUT_GARBAGE && l->fd >= 0 &&
                  l->last_write > 0 && rep_unprocessed(l->fd, sys, l->last_write);
    uint64_t last = l->flushes;
    bool connected = cause != OUT_CONNECT;
    int64_t now = now_ns(l->en);
    log_debug(AREA, "grpc: connection ended: %s calls=%u connection=%u",
              out_cause_names[cause], l->open, l->ordinal);

    if (l->state == LINK_UP && cause != OUT_CONNECT)
        rep_connect_ended(&l->en->base, link_end(l, cause, unread));
    l->calls = l->work = l->work_last = NULL;
    l->open = 0;
    link_shut(l);
    while (doomed) {
        struct call *c = doomed;
        struct rep_request *r = c->request;
        doomed = c->next;
        bool safe = connected && (c->flush == 0 || (unread && c->flush == last));
        r->out.status = c->status;
        r->out.grpc_status = (int16_t)c->grpc_status;
        call_spare(l->en, c);
        if (safe && send_again(l->en, r))
            continue;
        r->out.done_ns = now;
        rep_request_cut(r);
        give_back(l->en, r, cause);
    }
}

static void link_watch(struct link *l, bool write)
{
    if (l->wants_write == write)
        return;
    l->wants_write = write;
    if (ev_change(l->en->base.config.ev, l->fd, write ? EV_READ | EV_WRITE : EV_READ,
                  NULL) < 0)
        l->en->base.stats.client_errors++;
}

/* Whether there may be something to frame. */
static bool link_busy(const struct link *l)
{
    return l->h2.out.n > 0 || l->work;
}

/* Nothing is left to be said on it: a connection that drains has carried its last call.
 */
static bool link_over(const struct link *l)
{
    return l->draining && l->open == 0;
}

/* What is to be sent becomes bytes. `out` is empty before. */
static bool link_frame(struct link *l)
{
    if (!frame_calls(l) || !h2_client_take(&l->h2, &l->out))
        return false;
    return !l->tls || rep_tls_seal_buf(l->tls, &l->out);
}

static void link_stamp(struct link *l, int64_t now)
{
    l->flushes++;
    for (size_t i = 0; i < l->fresh_count; i++) {
        struct call *c = l->fresh[i];
        if (!c)
            continue;
        c->flush = l->flushes;
        c->request->out.attempts++;
        if (c->request->out.sent_ns == OP_TIME_NONE)
            c->request->out.sent_ns = now;
    }
    l->fresh_count = 0;
}

/* Writes all there is. False when the link is gone. */
static bool link_write(struct link *l)
{
    for (;;) {
        if (l->out_at == l->out.n) {
            buf_reset(&l->out);
            l->out_at = 0;
            if (!link_frame(l)) {
                link_lost(l, OUT_GARBAGE, 0);
                return false;
            }
            if (l->out.n == 0)
                break;
        }
        int64_t before = now_ns(l->en);
        ssize_t n =
            send(l->fd, l->out.p + l->out_at, l->out.n - l->out_at, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            link_watch(l, true);
            return true;
        }
        if (n < 0) {
            link_lost(l, OUT_RESET, errno);
            return false;
        }
        if (l->out_at == 0) {
            link_stamp(l, before);
            l->last_write = 0;
        }
        l->out_at += (size_t)n;
        l->last_write += (size_t)n;
    }
    link_watch(l, false);
    if (link_over(l)) {
        link_lost(l, OUT_CLOSED, 0);
        return false;
    }
    return true;
}

static void link_refused(struct link *l, const struct err *e)
{
    rep_connect_failed(&l->en->base, e);
    link_lost(l, OUT_CONNECT, e->sys);
}

/* The connection ended: errno value sys, 0 for FIN or close_notify. */
static void link_ended(struct link *l, int sys)
{
    struct err e = {0};
    if (l->tls && sys != 0 && rep_tls_refused(l->tls)) {
        err_set(&e, ERR_PEER, "%s", rep_tls_why(l->tls));
        link_refused(l, &e);
        return;
    }
    if (l->tls && sys == 0 && l->open > 0 && !rep_tls_fin(l->tls)) {
        /* After close_notify alone the peer may still be reading: the FIN decides, or
         * the deadlines. */
        link_drain(l, REP_END_CLOSED);
        return;
    }
    link_lost(l, rep_end_cause(sys), sys);
}

/* What came is handled. False: it broke the rules of HTTP/2. */
static bool link_events(struct link *l, struct span in)
{
    struct h2_event ev;
    struct err e = {0};
    int rc;

    l->reading = true;
    while ((rc = h2_client_next(&l->h2, &in, l->en->now, &ev, &e)) > 0)
        on_event_of(l, &ev);
    l->reading = false;
    if (rc < 0)
        log_debug(AREA, "grpc: %s connection=%u", e.text, l->ordinal);
    return rc == 0;
}

/* Says why we leave, if that does not block. */
static void link_broken(struct link *l)
{
    if (l->out_at == l->out.n) {
        buf_reset(&l->out);
        l->out_at = 0;
        if (h2_client_take(&l->h2, &l->out) &&
            (!l->tls || rep_tls_seal_buf(l->tls, &l->out)))
            (void)!send(l->fd, l->out.p, l->out.n, MSG_NOSIGNAL | MSG_DONTWAIT);
        l->out_at = l->out.n;
    }
    link_lost(l, OUT_GARBAGE, 0);
}

static void link_read(struct link *l)
{
    struct grpc *en = l->en;
    for (;;) {
        ssize_t n = l->tls ? rep_tls_recv(l->tls, en->recv_bytes, RECV_BYTES)
                           : recv(l->fd, en->recv_bytes, RECV_BYTES, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return;
        if (n <= 0) {
            link_ended(l, n < 0 ? errno : 0);
            return;
        }
        en->now = now_ns(en);
        if (!link_events(l, span_of(en->recv_bytes, (size_t)n))) {
            link_broken(l);
            return;
        }
        if (n < (ssize_t)RECV_BYTES && !(l->tls && rep_tls_over(l->tls)))
            return;
    }
}

/* Connected and, with TLS, agreed: its calls may go. */
static void link_up(struct link *l)
{
    int64_t now = now_ns(l->en);
    rep_connect_made(&l->en->base, l->tls);
    l->state = LINK_UP;
    link_note(l);
    for (struct call *c = l->calls; c; c = c->next)
        if (c->request->out.attempts == 0)
            rep_request_waited(c->request, now, OUT_WAIT_CONNECT);
    if (link_write(l) && l->tls) /* what came with the end of the handshake */
        link_read(l);
}

/* The socket is connected, or the handshake can go on. */
static void link_connected(struct link *l)
{
    struct grpc *en = l->en;
    struct err e = {0};
    int rc = 1;

    if (!l->tls) {
        int sys = rep_connect_result(l->fd);
        if (sys != 0)
            rc = err_sys(&e, sys, "cannot connect");
        else if (en->base.config.target->tls)
            rc = rep_tls_open(&l->tls, &en->tls, l->fd, &e);
    }
    if (rc >= 0 && l->tls)
        rc = rep_tls_handshake(l->tls, &e);
    if (rc < 0)
        link_refused(l, &e);
    else if (rc == 0)
        link_watch(l, rep_tls_pending(l->tls));
    else
        link_up(l);
}

static void on_event(struct ev *ev, int fd, unsigned events, void *arg)
{
    struct link *l = arg;
    (void)ev;
    (void)fd;
    if (l->state == LINK_CONNECTING) {
        link_connected(l);
        return;
    }
    if (events & (EV_READ | EV_HANGUP))
        link_read(l);
    if ((events & EV_WRITE) && l->state == LINK_UP && l->wants_write)
        (void)link_write(l);
}

static void link_start(struct link *l)
{
    struct err e = {0};

    l->ordinal = l->en->next_ordinal++;
    l->fd = rep_connect(l->en->base.config.target, &e);
    if (l->fd >= 0 &&
        ev_add(l->en->base.config.ev, l->fd, EV_WRITE | EV_READ, on_event, l, &e) < 0) {
        close(l->fd);
        l->fd = -1;
    }
    if (h2_client_init(&l->h2, l->en->base.config.streams, NULL) < 0)
        err_sys(&e, ENOMEM, "cannot begin HTTP/2");
    l->state = LINK_CONNECTING;
    l->settled = false;
    l->wants_write = true;
    link_note(l);
    l->en->warming++;
    if (l->fd < 0 || e.sys != 0)
        link_refused(l, &e);
}

/* --- requests --------------------------------------------------------------------- */

/* A link that drains makes room for a successor in the same place. */
static struct link *fresh_link(struct grpc *en, uint32_t i)
{
    struct link *l = en->links[i];
    if (l && (!l->draining || l->state == LINK_CLOSED))
        return l;
    struct link *n = calloc(1, sizeof *n);
    if (!n)
        return l;
    n->en = en;
    n->fd = -1;
    n->index = i;
    if (l) {
        n->room = l->room;
        l->index = NONE;
        l->next_old = en->old;
        en->old = l;
    }
    en->links[i] = n;
    link_note(n);
    return n;
}

static bool has_room(const struct grpc *en)
{
    return en->base.config.pinned || en->room > 0;
}

/* There is room on some. */
static struct link *best_link(struct grpc *en)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < en->reach; i++)
        if (en->rank[i] < en->rank[best])
            best = i;
    return fresh_link(en, best);
}

/* It had its share of calls: another takes its place, and is begun at once. */
static void succeed(struct link *l)
{
    uint32_t i = l->index;
    link_drain(l, REP_END_LIMIT);
    struct link *next = i != NONE ? fresh_link(l->en, i) : l;
    if (next != l && next->state == LINK_CLOSED)
        link_start(next);
}

static void submit(struct link *l, struct rep_request *r)
{
    const struct rep_engine_config *config = &l->en->base.config;
    r->tries++;
    r->out.connection = config->pinned ? r->pin : l->ordinal;
    if (!call_new(l, r)) {
        l->en->base.stats.client_errors++;
        give_back(l->en, r, OUT_CONNECT);
        return;
    }
    l->carried++;
    /* Streams have numbers up to 2^31: those that are left are for calls that wait. */
    uint64_t bound = (H2_ID_MAX / 2) - config->streams;
    uint64_t asked = config->pinned ? 0 : config->requests_per_connection;
    bound = asked > 0 && asked < bound ? asked : bound;
    if (l->carried >= bound && !l->draining)
        succeed(l);
}

/* Puts a request that is in flight already on some link. There is room. */
static void place(struct grpc *en, struct rep_request *r)
{
    struct link *l = en->base.config.pinned ? fresh_link(en, r->slot) : best_link(en);
    if (l->state == LINK_CLOSED)
        link_start(l);
    if (l->state != LINK_CLOSED) {
        submit(l, r);
        return;
    }
    r->out.done_ns = now_ns(en);
    give_back(en, r, OUT_CONNECT);
}

/* Those that were sent before, and have to wait no more. What comes back meanwhile
 * waits for the next turn; each leaves the list first, since placing it may bring us
 * here again. */
static void place_again(struct grpc *en)
{
    for (size_t n = en->again_count; n > 0 && en->again_count > 0 && has_room(en);
         n--) {
        struct rep_request *r = en->again[0];
        en->again_count--;
        memmove(en->again, en->again + 1, en->again_count * sizeof(*en->again));
        place(en, r);
    }
}

/* --- the engine's face ------------------------------------------------------------ */

static void link_free(struct link *l)
{
    if (!l)
        return;
    assert(l->open == 0);
    link_shut(l);
    h2_client_done(&l->h2);
    buf_done(&l->out);
    free(l->fresh);
    free(l);
}

static void grpc_close(struct rep_engine *base)
{
    struct grpc *en = (struct grpc *)base;
    if (!en)
        return;
    for (uint32_t i = 0; en->links && i < base->config.connections; i++)
        link_free(en->links[i]);
    while (en->old) {
        struct link *l = en->old;
        en->old = l->next_old;
        link_free(l);
    }
    while (en->spare_calls) {
        struct call *c = en->spare_calls;
        en->spare_calls = c->next;
        buf_done(&c->message);
        free(c);
    }
    rep_tls_done(&en->tls);
    free(en->links);
    free(en->rank);
    free(en->again);
    free(en->recv_bytes);
    free(en);
}

static int grpc_open(struct rep_engine **out, const struct rep_engine_config *config,
                     struct err *e)
{
    struct grpc *en = calloc(1, sizeof *en);
    if (!en)
        return err_set(e, ERR_NOMEM, "out of memory for the gRPC engine");
    en->base = (struct rep_engine){.ops = &rep_grpc_engine, .config = *config};
    en->reach = config->pinned ? 0 : config->connections;
    en->links = calloc(config->connections, sizeof *en->links);
    en->rank = calloc(config->connections, sizeof *en->rank);
    en->recv_bytes = malloc(RECV_BYTES);
    int rc = en->links && en->rank && en->recv_bytes
                 ? 0
                 : err_set(e, ERR_NOMEM, "out of memory for the gRPC engine");
    if (rc == 0 && config->target->tls)
        rc = rep_tls_init(&en->tls, config->tls, config->target, "h2", e);
    for (uint32_t i = 0; rc == 0 && i < config->connections; i++)
        if (!fresh_link(en, i))
            rc = err_set(e, ERR_NOMEM, "out of memory for %u connections",
                         config->connections);
    if (rc < 0) {
        grpc_close(&en->base);
        return rc;
    }
    *out = &en->base;
    return 0;
}

static void grpc_warm(struct rep_engine *base)
{
    struct grpc *en = (struct grpc *)base;
    for (uint32_t i = 0; i < en->reach; i++)
        if (en->links[i]->state == LINK_CLOSED)
            link_start(en->links[i]);
}

static bool grpc_warming(const struct rep_engine *base)
{
    return ((const struct grpc *)base)->warming > 0;
}

static uint32_t grpc_live(const struct rep_engine *base)
{
    const struct grpc *en = (const struct grpc *)base;
    uint32_t n = 0;
    for (uint32_t i = 0; i < en->reach; i++)
        n += en->links[i]->state == LINK_UP;
    return n;
}

static uint32_t grpc_free_slots(const struct rep_engine *base)
{
    const struct grpc *en = (const struct grpc *)base;
    return en->room > en->again_count ? (uint32_t)(en->room - en->again_count) : 0;
}

static uint32_t grpc_room(const struct rep_engine *base, uint32_t slot)
{
    return link_room(((const struct grpc *)base)->links[slot]);
}

/* Streams that were given up may still be open on it: then it drains. */
static void grpc_renew(struct rep_engine *base, uint32_t slot)
{
    struct link *l = ((struct grpc *)base)->links[slot];
    if (l->open > 0) {
        link_drain(l, REP_END_ROOM);
        return;
    }
    if (l->state == LINK_UP)
        rep_connect_ended(base, REP_END_ROOM);
    link_shut(l);
}

static void grpc_send(struct rep_engine *base, struct rep_request *r)
{
    struct grpc *en = (struct grpc *)base;
    if (base->config.pinned && r->slot >= en->reach)
        en->reach = r->slot + 1;
    rep_flight_add(&en->flight, r, now_ns(en));
    en->parted += r->parts.count > 0;
    if (has_room(en))
        place(en, r);
    else if (!again_add(en, r))
        give_back(en, r, OUT_CONNECT);
}

static void grpc_frame(struct rep_engine *base)
{
    struct grpc *en = (struct grpc *)base;
    for (uint32_t i = 0; i < en->reach; i++) {
        struct link *l = en->links[i];
        /* What fails here fails again in flush, which knows what to do about it. */
        if (l->state == LINK_UP && !l->reading && l->out_at == l->out.n && link_busy(l))
            (void)link_frame(l);
    }
}

static void grpc_flush(struct rep_engine *base)
{
    struct grpc *en = (struct grpc *)base;

    place_again(en);
    en->now = now_ns(en);
    for (uint32_t i = 0; i < en->reach; i++) {
        struct link *l = en->links[i];
        if (l->state == LINK_UP && !l->wants_write && !l->reading &&
            (l->out_at < l->out.n || link_busy(l) || link_over(l)))
            (void)link_write(l);
    }
    /* Writing may put more links in front of the list; sweeping calls nobody. */
    for (struct link *l = en->old; l; l = l->next_old)
        if (l->state == LINK_UP && !l->wants_write && !l->reading)
            (void)link_write(l);
    for (struct link **at = &en->old; *at;) {
        struct link *l = *at;
        if (!l->reading && (l->state == LINK_CLOSED || l->open == 0)) {
            *at = l->next_old;
            if (l->state == LINK_UP)
                rep_connect_ended(base, l->why);
            link_free(l);
        } else {
            at = &l->next_old;
        }
    }
}

/* Lets calls that wait for the time of their next message go on; when the next is. */
static int64_t resume_parts(struct grpc *en, int64_t now)
{
    int64_t first = REP_NEVER;
    for (struct rep_request *r = en->flight.head; r; r = r->next) {
        struct call *c = r->place;
        if (r->parts.count == 0 || !c || !c->paused)
            continue;
        int64_t at = part_time(c);
        if (at > now) {
            first = at < first ? at : first;
            continue;
        }
        c->paused = false;
        work_add(c);
    }
    return first;
}

static int64_t grpc_expire(struct rep_engine *base, int64_t now)
{
    struct grpc *en = (struct grpc *)base;
    struct rep_request *r;
    int64_t next = en->parted > 0 ? resume_parts(en, now) : REP_NEVER;

    while ((r = en->flight.head) != NULL &&
           r->started_ns + base->config.deadline_ns <= now) {
        struct call *c = r->place;
        struct link *l = c ? c->link : NULL;
        if (c) {
            call_abort(c, OUT_DEADLINE, H2_CANCEL);
        } else {
            again_remove(en, r);
            r->out.done_ns = now;
            give_back(en, r, OUT_DEADLINE);
        }
        if (l && l->state == LINK_CONNECTING) { /* for a whole deadline: give it up */
            struct err e = {0};
            err_sys(&e, ETIMEDOUT, "cannot connect");
            link_refused(l, &e);
        }
    }
    int64_t deadline = r ? r->started_ns + base->config.deadline_ns : REP_NEVER;
    return next < deadline ? next : deadline;
}

static uint32_t grpc_in_flight(const struct rep_engine *base)
{
    return (uint32_t)((const struct grpc *)base)->flight.count;
}

static void grpc_cancel(struct rep_engine *base, enum out_cause cause)
{
    struct grpc *en = (struct grpc *)base;
    struct rep_request *r;

    en->again_count = 0;
    while ((r = en->flight.head) != NULL) {
        struct call *c = r->place;
        if (!c) {
            give_back(en, r, cause);
            continue;
        }
        if (c->has_slot)
            h2_client_cancel(&c->link->h2, c->slot, H2_CANCEL);
        call_finish(c, cause);
    }
}

const struct rep_engine_ops rep_grpc_engine = {
    .name = "grpc",
    .protocol = OP_GRPC,
    .open = grpc_open,
    .warm = grpc_warm,
    .warming = grpc_warming,
    .live = grpc_live,
    .free_slots = grpc_free_slots,
    .send = grpc_send,
    .room = grpc_room,
    .renew = grpc_renew,
    .frame = grpc_frame,
    .flush = grpc_flush,
    .expire = grpc_expire,
    .in_flight = grpc_in_flight,
    .cancel = grpc_cancel,
    .close = grpc_close,
};

/*
 * h2_client_read.c - see h2_client.h: what the peer sends becomes events, or breaks a
 * stream or the connection. Section numbers are those of RFC 9113.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/wire/h2_client_own.h"

#include <string.h>

#define WINDOW_MAX INT32_MAX
#define FRAME_TOP  ((1u << 24) - 1) /* of SETTINGS_MAX_FRAME_SIZE */

/* --- what goes wrong -------------------------------------------------------------- */

/* 5.4.1 */
static int broken(struct h2_client *h, enum h2_code code, struct err *e,
                  const char *why)
{
    uint8_t *p = h2_put_frame(h, H2_TYPE_GOAWAY, 0, 0, 8);
    if (p) {
        h2_set_u32(p, 0); /* no stream of the peer's was ever processed */
        h2_set_u32(p + 4, code);
    }
    h->dead = true;
    return err_set(e, ERR_PEER, "the peer broke HTTP/2: %s", why);
}

/* 5.4.2. The event of it. */
static int stream_broken(struct h2_client *h, uint32_t slot, enum h2_code code,
                         struct h2_event *ev)
{
    ev->kind = H2_EVENT_RESET;
    ev->user = h->streams[slot].user;
    ev->ours = true;
    ev->code = code;
    h->owed += H2_FRAME_HEAD + 4;
    h2_client_cancel(h, slot, code);
    return 1;
}

/* The answer is complete. What is left of the request is of no use to the peer. */
static void ended(struct h2_client *h, uint32_t slot)
{
    if (!h->streams[slot].sent_all)
        h2_client_cancel(h, slot, H2_CANCEL);
    else
        h2_close_stream(h, slot);
}

/* 5.1: streams that we never opened are idle. */
static bool is_idle(const struct h2_client *h, uint32_t id)
{
    return id % 2 == 0 || id >= h->next_id;
}

static int nothing(struct h2_client *h, struct err *e)
{
    if (++h->idle_frames > H2_IDLE_FRAMES_MAX)
        return broken(h, H2_ENHANCE_YOUR_CALM, e, "too many frames that mean nothing");
    return 0;
}

static int may_owe(struct h2_client *h, struct err *e)
{
    if (h->owed > H2_OWED_MAX)
        return broken(h, H2_ENHANCE_YOUR_CALM, e, "it asks for too many replies");
    return 0;
}

/* --- header blocks ---------------------------------------------------------------- */

static int answer_head(struct h2_client *h, uint32_t slot, const struct h2_head *head,
                       bool ends, struct h2_event *ev)
{
    struct h2_stream *s = &h->streams[slot];
    bool interim = head->status < 200;

    ev->trailers = s->got_head;
    if (s->got_head ? head->status || !ends : !head->status || (interim && ends))
        return stream_broken(h, slot, H2_PROTOCOL_ERROR, ev);
    if (!s->got_head && interim)
        return 0;
    if (!s->got_head && head->status != 204 && head->status != 304)
        s->body_left = head->content_length;
    s->got_head = true;
    if (ends && s->body_left > 0)
        return stream_broken(h, slot, H2_PROTOCOL_ERROR, ev);
    ev->kind = H2_EVENT_HEADERS;
    ev->user = s->user;
    ev->status = head->status;
    ev->fields = head->fields;
    ev->field_count = head->field_count;
    ev->ends = ends;
    if (ends)
        ended(h, slot);
    return 1;
}

/* A whole block. Read even if nobody wants it: the table goes on with the peer's. */
static int on_block(struct h2_client *h, struct span block, uint32_t id, bool ends,
                    struct h2_event *ev, struct err *e)
{
    const struct h2_head *head;
    struct err why = {0};
    int rc = h2_heads_read(&h->heads, block, &head, &why);
    if (rc == ERR_NOMEM)
        return err_set(e, rc, "%s", why.text);
    if (rc < 0)
        return broken(h, H2_COMPRESSION_ERROR, e, why.text);
    uint32_t slot = h2_find_slot(h, id);
    if (slot == H2_NO_SLOT)
        return nothing(h, e);
    ev->began = h->block_began;
    rc = head->malformed ? stream_broken(h, slot, H2_PROTOCOL_ERROR, ev)
                         : answer_head(h, slot, head, ends, ev);
    if (rc == 0) /* interim */
        return nothing(h, e);
    h->idle_frames = 0;
    return rc;
}

/* 6.2 */
static int on_headers(struct h2_client *h, struct span p, struct h2_event *ev,
                      struct err *e)
{
    size_t pad = 0;
    if (is_idle(h, h->id))
        return broken(h, H2_PROTOCOL_ERROR, e, "HEADERS of a stream that is idle");
    if (h->flags & H2_FLAG_PADDED) {
        if (p.n == 0)
            return broken(h, H2_FRAME_SIZE_ERROR, e, "HEADERS without its padding");
        pad = p.p[0];
        p = span_sub(p, 1, p.n);
    }
    if (h->flags & H2_FLAG_HAS_PRIORITY) {
        if (p.n < 5)
            return broken(h, H2_FRAME_SIZE_ERROR, e, "HEADERS without its priority");
        p = span_sub(p, 5, p.n);
    }
    if (pad > p.n)
        return broken(h, H2_PROTOCOL_ERROR, e, "padding longer than its frame");
    p = span_sub(p, 0, p.n - pad);
    h->block_began = h->began;
    if (h->flags & H2_FLAG_END_HEADERS)
        return on_block(h, p, h->id, h->flags & H2_FLAG_END_STREAM, ev, e);
    h->block_id = h->id;
    h->block_ends = h->flags & H2_FLAG_END_STREAM;
    h->continuations = 0;
    buf_reset(&h->block);
    buf_span(&h->block, p);
    return buf_check(&h->block, e);
}

/* 6.10. Its stream is checked already. */
static int on_continuation(struct h2_client *h, struct span p, struct h2_event *ev,
                           struct err *e)
{
    if (++h->continuations > H2_CONTINUATIONS_MAX || h->block.n + p.n > H2_BLOCK_MAX)
        return broken(h, H2_ENHANCE_YOUR_CALM, e, "a header block that is too long");
    buf_span(&h->block, p);
    int rc = buf_check(&h->block, e);
    if (rc < 0 || !(h->flags & H2_FLAG_END_HEADERS))
        return rc;
    uint32_t id = h->block_id;
    h->block_id = 0;
    return on_block(h, buf_view(&h->block), id, h->block_ends, ev, e);
}

/* --- the other frames ------------------------------------------------------------- */

static int move_windows(struct h2_client *h, uint32_t value, struct err *e)
{
    if (value > WINDOW_MAX)
        return broken(h, H2_FLOW_CONTROL_ERROR, e, "a window of more than 2^31-1");
    int64_t by = (int64_t)value - h->peer_window;
    for (uint32_t i = 0; i < h->slots; i++) {
        if (h->streams[i].id == 0)
            continue;
        int64_t window = h->streams[i].send_window + by;
        if (window > WINDOW_MAX || window < -(int64_t)WINDOW_MAX)
            return broken(h, H2_FLOW_CONTROL_ERROR, e, "a window beyond 2^31-1");
        h->streams[i].send_window = (int32_t)window;
    }
    h->peer_window = (int32_t)value;
    return 0;
}

static int take_setting(struct h2_client *h, unsigned id, uint32_t value, struct err *e)
{
    switch (id) {
    case H2_SET_HEADER_TABLE_SIZE:
        hpack_writer_limit(&h->writer, value);
        return 0;
    case H2_SET_ENABLE_PUSH:
        return value == 0 ? 0
                          : broken(h, H2_PROTOCOL_ERROR, e, "a server enables push");
    case H2_SET_MAX_CONCURRENT_STREAMS:
        h->peer_streams = value;
        return 0;
    case H2_SET_INITIAL_WINDOW_SIZE:
        return move_windows(h, value, e);
    case H2_SET_MAX_FRAME_SIZE:
        if (value < H2_FRAME_MAX || value > FRAME_TOP)
            return broken(h, H2_PROTOCOL_ERROR, e, "a frame size out of range");
        h->peer_frame = value;
        return 0;
    default: /* unknown, or advice */
        return 0;
    }
}

/* 6.5 */
static int on_settings(struct h2_client *h, struct span p, struct h2_event *ev,
                       struct err *e)
{
    int rc = 0;
    if (h->flags & H2_FLAG_ACK)
        return p.n == 0 ? nothing(h, e)
                        : broken(h, H2_FRAME_SIZE_ERROR, e, "an ACK with settings");
    if (p.n % 6 != 0)
        return broken(h, H2_FRAME_SIZE_ERROR, e, "SETTINGS of an odd size");
    if (!h->settled)
        h->peer_streams = UINT32_MAX; /* unless it says less */
    h->settled = true;
    for (size_t i = 0; rc == 0 && i < p.n; i += 6)
        rc = take_setting(h, (unsigned)p.p[i] << 8 | p.p[i + 1],
                          h2_get_u32(p.p + i + 2), e);
    if (rc < 0)
        return rc;
    (void)h2_put_frame(h, H2_TYPE_SETTINGS, H2_FLAG_ACK, 0, 0);
    h->owed += H2_FRAME_HEAD;
    ev->kind = H2_EVENT_SETTINGS;
    rc = may_owe(h, e);
    return rc < 0 ? rc : 1;
}

/* 6.7 */
static int on_ping(struct h2_client *h, struct span p, struct err *e)
{
    if (p.n != 8)
        return broken(h, H2_FRAME_SIZE_ERROR, e, "PING that has not 8 bytes");
    if (h->flags & H2_FLAG_ACK)
        return nothing(h, e); /* we ask for none */
    uint8_t *out = h2_put_frame(h, H2_TYPE_PING, H2_FLAG_ACK, 0, 8);
    if (out)
        memcpy(out, p.p, 8);
    h->owed += H2_FRAME_HEAD + 8;
    return may_owe(h, e);
}

/* 6.8. A second one may disown more, never less. */
static int on_goaway(struct h2_client *h, struct span p, struct h2_event *ev,
                     struct err *e)
{
    if (p.n < 8)
        return broken(h, H2_FRAME_SIZE_ERROR, e, "GOAWAY of less than 8 bytes");
    uint32_t last = h2_get_u32(p.p) & H2_ID_MAX;
    h->goaway = true;
    h->last_id = last < h->last_id ? last : h->last_id;
    h->sweep = 0;
    ev->kind = H2_EVENT_GOAWAY;
    ev->last_id = h->last_id;
    ev->code = h2_get_u32(p.p + 4);
    return 1;
}

/* The next stream that a GOAWAY disowned: it was not, and will not be,
 * processed. */
static bool next_disowned(struct h2_client *h, struct h2_event *ev)
{
    for (; h->sweep < h->slots; h->sweep++) {
        struct h2_stream *s = &h->streams[h->sweep];
        if (s->id == 0 || s->id <= h->last_id)
            continue;
        *ev = (struct h2_event){
            .kind = H2_EVENT_RESET, .user = s->user, .code = H2_REFUSED_STREAM};
        h2_close_stream(h, h->sweep);
        return true;
    }
    return false;
}

/* 6.4 */
static int on_reset(struct h2_client *h, struct span p, struct h2_event *ev,
                    struct err *e)
{
    if (p.n != 4)
        return broken(h, H2_FRAME_SIZE_ERROR, e, "RST_STREAM that has not 4 bytes");
    if (is_idle(h, h->id))
        return broken(h, H2_PROTOCOL_ERROR, e, "RST_STREAM of a stream that is idle");
    uint32_t slot = h2_find_slot(h, h->id);
    if (slot == H2_NO_SLOT)
        return nothing(h, e);
    ev->kind = H2_EVENT_RESET;
    ev->user = h->streams[slot].user;
    ev->code = h2_get_u32(p.p);
    h2_close_stream(h, slot);
    return 1;
}

static bool widen(int32_t *window, uint32_t by)
{
    if ((int64_t)*window + by > WINDOW_MAX)
        return false;
    *window += (int32_t)by;
    return true;
}

/* 6.9 */
static int on_window_update(struct h2_client *h, struct span p, struct h2_event *ev,
                            struct err *e)
{
    if (p.n != 4)
        return broken(h, H2_FRAME_SIZE_ERROR, e, "WINDOW_UPDATE of an odd size");
    uint32_t by = h2_get_u32(p.p) & H2_ID_MAX;
    if (h->id == 0) {
        if (by == 0)
            return broken(h, H2_PROTOCOL_ERROR, e, "a window widened by nothing");
        return widen(&h->send_window, by)
                   ? 0
                   : broken(h, H2_FLOW_CONTROL_ERROR, e, "a window beyond 2^31-1");
    }
    if (is_idle(h, h->id))
        return broken(h, H2_PROTOCOL_ERROR, e, "WINDOW_UPDATE of an idle stream");
    uint32_t slot = h2_find_slot(h, h->id);
    if (slot == H2_NO_SLOT)
        return nothing(h, e);
    if (by == 0)
        return stream_broken(h, slot, H2_PROTOCOL_ERROR, ev);
    return widen(&h->streams[slot].send_window, by)
               ? 0
               : stream_broken(h, slot, H2_FLOW_CONTROL_ERROR, ev);
}

/* --- DATA, as it comes ------------------------------------------------------------ */

/* Our window of the connection opens again when half of it is used. */
static void reopen(struct h2_client *h, int32_t *window, uint32_t id)
{
    if (*window > H2_WINDOW / 2)
        return;
    h2_put_u32_frame(h, H2_TYPE_WINDOW_UPDATE, id, (uint32_t)(H2_WINDOW - *window));
    h->owed += H2_FRAME_HEAD + 4;
    *window = H2_WINDOW;
}

/* Its head came: windows are charged with all of it, padding included (6.9.1). */
static int begin_data(struct h2_client *h, struct h2_event *ev, struct err *e)
{
    if (is_idle(h, h->id))
        return broken(h, H2_PROTOCOL_ERROR, e, "DATA of a stream that is idle");
    if ((int32_t)h->length > h->recv_window)
        return broken(h, H2_FLOW_CONTROL_ERROR, e, "DATA beyond our window");
    h->recv_window -= (int32_t)h->length;
    reopen(h, &h->recv_window, 0);
    h->padding = 0;
    h->prefixed = !(h->flags & H2_FLAG_PADDED);
    if (!h->prefixed && h->length == 0)
        return broken(h, H2_FRAME_SIZE_ERROR, e, "DATA without its padding");
    uint32_t slot = h2_find_slot(h, h->id);
    if (slot == H2_NO_SLOT)
        return nothing(h, e);
    struct h2_stream *s = &h->streams[slot];
    if (!s->got_head)
        return stream_broken(h, slot, H2_PROTOCOL_ERROR, ev);
    if ((int32_t)h->length > s->recv_window)
        return stream_broken(h, slot, H2_FLOW_CONTROL_ERROR, ev);
    s->recv_window -= (int32_t)h->length;
    if (!(h->flags & H2_FLAG_END_STREAM))
        reopen(h, &s->recv_window, h->id);
    return may_owe(h, e);
}

static int read_pad_length(struct h2_client *h, struct span *in, struct err *e)
{
    h->padding = in->p[0];
    *in = span_sub(*in, 1, in->n);
    h->left--;
    h->prefixed = true;
    if (h->padding > h->left)
        return broken(h, H2_PROTOCOL_ERROR, e, "padding longer than its frame");
    return 0;
}

/* 1: an event; 0: nothing to tell, go on. The frame ends when nothing is left of it. */
static int read_data(struct h2_client *h, struct span *in, struct h2_event *ev,
                     struct err *e)
{
    int rc = 0;
    if (!h->prefixed && (rc = read_pad_length(h, in, e)) < 0)
        return rc;
    uint32_t body = h->left - h->padding;
    uint32_t n = body < in->n ? body : (uint32_t)in->n;
    struct span piece = span_sub(*in, 0, n);
    size_t skip = n == body ? h->padding : 0;
    skip = skip < in->n - n ? skip : in->n - n;
    *in = span_sub(*in, n + skip, in->n);
    h->left -= (uint32_t)(n + skip);
    h->padding -= (uint32_t)skip;
    h->in_frame = h->left > 0;
    bool last = n == body && (h->flags & H2_FLAG_END_STREAM);
    if (n == 0 && !last)
        return h->in_frame ? 0 : nothing(h, e);

    uint32_t slot = h2_find_slot(h, h->id);
    if (slot == H2_NO_SLOT)
        return 0;
    struct h2_stream *s = &h->streams[slot];
    if (s->body_left >= 0 && (n > s->body_left || (last && n < s->body_left)))
        return stream_broken(h, slot, H2_PROTOCOL_ERROR, ev);
    s->body_left -= s->body_left >= 0 ? n : 0;
    h->idle_frames = 0;
    ev->kind = H2_EVENT_DATA;
    ev->user = s->user;
    ev->data = piece;
    ev->ends = last;
    if (last)
        ended(h, slot);
    return 1;
}

/* --- frames ----------------------------------------------------------------------- */

static int begin_frame(struct h2_client *h, struct h2_event *ev, struct err *e)
{
    const uint8_t *p = h->head;
    h->length = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
    h->type = p[3];
    h->flags = p[4];
    h->id = h2_get_u32(p + 5) & H2_ID_MAX;
    h->left = h->length;
    h->in_frame = true;
    if (h->length > H2_FRAME_MAX)
        return broken(h, H2_FRAME_SIZE_ERROR, e, "a frame of more than 16,384 bytes");
    if (!h->settled && (h->type != H2_TYPE_SETTINGS || (h->flags & H2_FLAG_ACK)))
        return broken(h, H2_PROTOCOL_ERROR, e, "it does not begin with SETTINGS");
    if (h->block_id ? h->type != H2_TYPE_CONTINUATION || h->id != h->block_id
                    : h->type == H2_TYPE_CONTINUATION)
        return broken(h, H2_PROTOCOL_ERROR, e, "a header block that is not in a row");
    bool alone = h->type == H2_TYPE_SETTINGS || h->type == H2_TYPE_PING ||
                 h->type == H2_TYPE_GOAWAY;
    bool either = h->type == H2_TYPE_WINDOW_UPDATE || h->type > H2_TYPE_CONTINUATION;
    if (!either && alone != (h->id == 0))
        return broken(h, H2_PROTOCOL_ERROR, e, "a frame on the wrong kind of stream");
    return h->type == H2_TYPE_DATA ? begin_data(h, ev, e) : 0;
}

/* A frame other than DATA; its payload is whole. */
static int on_frame(struct h2_client *h, struct span p, struct h2_event *ev,
                    struct err *e)
{
    switch (h->type) {
    case H2_TYPE_HEADERS:
        return on_headers(h, p, ev, e);
    case H2_TYPE_CONTINUATION:
        return on_continuation(h, p, ev, e);
    case H2_TYPE_RST_STREAM:
        return on_reset(h, p, ev, e);
    case H2_TYPE_SETTINGS:
        return on_settings(h, p, ev, e);
    case H2_TYPE_PUSH_PROMISE:
        return broken(h, H2_PROTOCOL_ERROR, e, "a push, which was not allowed");
    case H2_TYPE_PING:
        return on_ping(h, p, e);
    case H2_TYPE_GOAWAY:
        return on_goaway(h, p, ev, e);
    case H2_TYPE_WINDOW_UPDATE:
        return on_window_update(h, p, ev, e);
    case H2_TYPE_PRIORITY:
        return p.n == 5 ? nothing(h, e)
                        : broken(h, H2_FRAME_SIZE_ERROR, e, "PRIORITY of an odd size");
    default: /* 5.5: unknown */
        return nothing(h, e);
    }
}

/* The nine bytes before a payload. False: they are not all there. */
static bool read_head(struct h2_client *h, struct span *in, int64_t stamp)
{
    size_t n = H2_FRAME_HEAD - h->head_got;
    if (h->head_got == 0)
        h->began = stamp;
    n = n < in->n ? n : in->n;
    memcpy(h->head + h->head_got, in->p, n);
    *in = span_sub(*in, n, in->n);
    h->head_got = (uint8_t)(h->head_got + n);
    if (h->head_got < H2_FRAME_HEAD)
        return false;
    h->head_got = 0;
    buf_reset(&h->part);
    return true;
}

/* The payload of a frame, whole, from the input if it can be. False: not all there. */
static bool read_payload(struct h2_client *h, struct span *in, struct span *payload)
{
    size_t n = h->left < in->n ? h->left : in->n;
    struct span piece = span_sub(*in, 0, n);
    *in = span_sub(*in, n, in->n);
    h->left -= (uint32_t)n;
    h->in_frame = h->left > 0;
    if (h->part.n == 0 && !h->in_frame) {
        *payload = piece;
        return true;
    }
    buf_span(&h->part, piece);
    *payload = buf_view(&h->part);
    return !h->in_frame;
}

static int step(struct h2_client *h, struct span *in, int64_t stamp,
                struct h2_event *ev, struct err *e)
{
    int rc = 0;
    if (!h->in_frame) {
        if (!read_head(h, in, stamp))
            return 0;
        ev->began = h->began;
        rc = begin_frame(h, ev, e);
        /* An empty payload may be all of the input. */
        if (rc != 0 || (in->n == 0 && h->left > 0))
            return rc;
    }
    ev->began = h->began;
    if (h->type == H2_TYPE_DATA)
        return read_data(h, in, ev, e);
    struct span payload;
    bool whole = read_payload(h, in, &payload);
    rc = buf_check(&h->part, e);
    return rc < 0 || !whole ? rc : on_frame(h, payload, ev, e);
}

int h2_client_next(struct h2_client *h, struct span *in, int64_t stamp,
                   struct h2_event *ev, struct err *e)
{
    *ev = (struct h2_event){.kind = H2_EVENT_MORE};
    if (h->dead)
        return err_set(e, ERR_PEER, "the connection is broken");
    if (h->sweep < h->slots && next_disowned(h, ev))
        return 1;
    while (in->n > 0) {
        int rc = step(h, in, stamp, ev, e);
        if (rc < 0)
            h->dead = true;
        if (rc != 0)
            return rc;
        ev->kind = H2_EVENT_MORE;
    }
    return 0;
}

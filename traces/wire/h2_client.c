/*
 * h2_client.c - see h2_client.h. Streams first, then what is sent, then what is read.
 * Section numbers are those of RFC 9113.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/wire/h2_client.h"

#include <assert.h>
#include <stdlib.h>

#define FRAME_HEAD 9u
#define NONE       UINT32_MAX
#define SLOTS_MIN  16u
#define WINDOW_MAX INT32_MAX
#define FRAME_TOP  ((1u << 24) - 1) /* of SETTINGS_MAX_FRAME_SIZE */
/* The initial window, of a stream and of the connection, before anybody says more. */
#define WINDOW_FIRST 65535

/* 6 */
enum frame_type {
    DATA,
    HEADERS,
    PRIORITY,
    RST_STREAM,
    SETTINGS,
    PUSH_PROMISE,
    PING,
    GOAWAY,
    WINDOW_UPDATE,
    CONTINUATION,
};
enum frame_flag {
    END_STREAM = 0x1,
    ACK = 0x1,
    END_HEADERS = 0x4,
    PADDED = 0x8,
    HAS_PRIORITY = 0x20,
};
/* 6.5.2 */
enum setting {
    HEADER_TABLE_SIZE = 1,
    ENABLE_PUSH,
    MAX_CONCURRENT_STREAMS,
    INITIAL_WINDOW_SIZE,
    MAX_FRAME_SIZE,
    MAX_HEADER_LIST_SIZE,
};

static uint32_t get_u32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void set_u32(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 24);
    p[1] = (uint8_t)(v >> 16);
    p[2] = (uint8_t)(v >> 8);
    p[3] = (uint8_t)v;
}

/* A frame whose payload of n bytes is to be filled in; NULL: no memory, marked in out.
 */
static uint8_t *put_frame(struct h2_client *h, enum frame_type type, unsigned flags,
                          uint32_t id, uint32_t n)
{
    uint8_t *p = buf_grow(&h->out, FRAME_HEAD + n);
    if (!p)
        return NULL;
    p[0] = (uint8_t)(n >> 16);
    p[1] = (uint8_t)(n >> 8);
    p[2] = (uint8_t)n;
    p[3] = (uint8_t)type;
    p[4] = (uint8_t)flags;
    set_u32(p + 5, id);
    return p + FRAME_HEAD;
}

static void put_u32_frame(struct h2_client *h, enum frame_type type, uint32_t id,
                          uint32_t v)
{
    uint8_t *p = put_frame(h, type, 0, id, 4);
    if (p)
        set_u32(p, v);
}

/* --- streams ---------------------------------------------------------------------- */

static uint32_t *bucket_of(const struct h2_client *h, uint32_t id)
{
    return &h->buckets[(id >> 1) & h->bucket_mask];
}

static uint32_t find_slot(const struct h2_client *h, uint32_t id)
{
    uint32_t slot = h->bucket_mask ? *bucket_of(h, id) : NONE;
    while (slot != NONE && h->streams[slot].id != id)
        slot = h->streams[slot].next;
    return slot;
}

static void free_slot(struct h2_client *h, uint32_t slot)
{
    h->streams[slot].id = 0;
    h->streams[slot].next = h->free_slot;
    h->free_slot = slot;
}

static void close_stream(struct h2_client *h, uint32_t slot)
{
    uint32_t *at = bucket_of(h, h->streams[slot].id);
    while (*at != slot)
        at = &h->streams[*at].next;
    *at = h->streams[slot].next;
    free_slot(h, slot);
    h->live--;
}

/* Twice as many slots and buckets; ids find their way again. */
static int more_slots(struct h2_client *h, struct err *e)
{
    uint32_t slots = h->slots ? h->slots * 2 : SLOTS_MIN;
    struct h2_stream *streams = realloc(h->streams, slots * sizeof *streams);
    if (streams)
        h->streams = streams;
    uint32_t *buckets = realloc(h->buckets, slots * sizeof *buckets);
    if (buckets)
        h->buckets = buckets;
    if (!streams || !buckets)
        return err_set(e, ERR_NOMEM, "no memory for %u streams", slots);
    for (uint32_t i = slots; i > h->slots; i--)
        free_slot(h, i - 1);
    h->bucket_mask = slots - 1;
    memset(buckets, 0xff, slots * sizeof *buckets);
    for (uint32_t i = 0; i < h->slots; i++) {
        if (h->streams[i].id == 0)
            continue;
        uint32_t *at = bucket_of(h, h->streams[i].id);
        h->streams[i].next = *at;
        *at = i;
    }
    h->sweep = h->sweep == h->slots ? slots : h->sweep;
    h->slots = slots;
    return 0;
}

static void add_stream(struct h2_client *h, void *user, uint32_t *slot)
{
    struct h2_stream *s = &h->streams[h->free_slot];
    *slot = h->free_slot;
    h->free_slot = s->next;
    *s = (struct h2_stream){
        .user = user,
        .body_left = -1,
        .id = h->next_id,
        .send_window = h->peer_window,
        .recv_window = H2_WINDOW,
    };
    h->next_id += 2;
    uint32_t *at = bucket_of(h, s->id);
    s->next = *at;
    *at = *slot;
    h->live++;
}

/* --- the connection --------------------------------------------------------------- */

/* 3.4 */
static void put_opening(struct h2_client *h)
{
    static const struct {
        uint16_t id;
        uint32_t value;
    } settings[] = {
        {ENABLE_PUSH, 0},
        {INITIAL_WINDOW_SIZE, H2_WINDOW},
        {MAX_HEADER_LIST_SIZE, H2_LIST_MAX},
    };
    uint32_t n = sizeof settings / sizeof *settings;

    buf_str(&h->out, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    uint8_t *p = put_frame(h, SETTINGS, 0, 0, n * 6);
    for (uint32_t i = 0; p && i < n; i++) {
        p[i * 6] = (uint8_t)(settings[i].id >> 8);
        p[i * 6 + 1] = (uint8_t)settings[i].id;
        set_u32(p + i * 6 + 2, settings[i].value);
    }
    put_u32_frame(h, WINDOW_UPDATE, 0, H2_WINDOW - WINDOW_FIRST);
}

int h2_client_init(struct h2_client *h, uint32_t streams_max, struct err *e)
{
    assert(streams_max > 0);
    buf_reset(&h->out);
    buf_reset(&h->part);
    buf_reset(&h->block);
    buf_reset(&h->head_out);
    h->free_slot = NONE;
    for (uint32_t i = h->slots; i > 0; i--)
        free_slot(h, i - 1);
    if (h->slots > 0)
        memset(h->buckets, 0xff, h->slots * sizeof *h->buckets);
    h->streams_max = streams_max;
    h->live = 0;
    h->next_id = 1;
    h->sweep = h->slots;
    h->settled = h->goaway = h->dead = false;
    h->peer_streams = H2_STREAMS_UNTOLD;
    h->peer_frame = H2_FRAME_MAX;
    h->peer_window = h->send_window = WINDOW_FIRST;
    h->last_id = H2_ID_MAX;
    h->recv_window = H2_WINDOW;
    h->owed = 0;
    h->idle_frames = 0;
    h->head_got = 0;
    h->in_frame = false;
    h->block_id = h->continuations = 0;
    h2_heads_init(&h->heads);
    hpack_writer_init(&h->writer);
    for (size_t i = 0; i < H2_BLOCKS; i++)
        h->blocks[i].key = 0;
    put_opening(h);
    return buf_check(&h->out, e);
}

void h2_client_done(struct h2_client *h)
{
    buf_done(&h->out);
    buf_done(&h->part);
    buf_done(&h->block);
    buf_done(&h->head_out);
    h2_heads_done(&h->heads);
    free(h->streams);
    free(h->buckets);
    memset(h, 0, sizeof *h);
}

bool h2_client_take(struct h2_client *h, struct buf *into)
{
    struct buf empty = *into;
    assert(empty.n == 0);
    if (h->out.failed)
        return false;
    *into = h->out;
    h->out = empty;
    h->owed = 0;
    return true;
}

bool h2_client_ended(const struct h2_client *h)
{
    return h->dead || h->goaway || h->next_id > H2_ID_MAX;
}

uint32_t h2_client_room(const struct h2_client *h)
{
    uint32_t most = h->peer_streams < h->streams_max ? h->peer_streams : h->streams_max;
    return h2_client_ended(h) || most <= h->live ? 0 : most - h->live;
}

/* --- sending ---------------------------------------------------------------------- */

static struct h2_block *block_of(struct h2_client *h, uint64_t key)
{
    return &h->blocks[key % H2_BLOCKS];
}

/* The block of a head that was sent before, but for the last field's value. */
static const struct h2_block *known_block(struct h2_client *h,
                                          const struct h2_request *q)
{
    const struct h2_block *b = block_of(h, q->key);
    bool known = q->key != 0 && b->key == q->key && b->changes == h->writer.changes &&
                 !h->writer.tell && q->last.value.n < 127;
    return known ? b : NULL;
}

static void put_known(struct h2_client *h, const struct h2_request *q,
                      const struct h2_block *b, uint32_t id)
{
    uint32_t value = (uint32_t)q->last.value.n;
    bool has_last = q->last.name.n > 0;
    uint8_t *p =
        put_frame(h, HEADERS, END_HEADERS, id, b->n + (has_last ? 1 + value : 0));
    if (!p)
        return;
    memcpy(p, b->bytes, b->n);
    if (!has_last)
        return;
    p += b->n;
    *p++ = (uint8_t)value; /* its length, not Huffman-coded */
    if (value > 0)
        memcpy(p, q->last.value.p, value);
}

/* A head in as many frames as the peer's limit asks for. */
static void put_pieces(struct h2_client *h, struct span block, uint32_t id)
{
    enum frame_type type = HEADERS;
    do {
        uint32_t n = block.n < h->peer_frame ? (uint32_t)block.n : h->peer_frame;
        uint8_t *p = put_frame(h, type, n == block.n ? END_HEADERS : 0, id, n);
        if (!p)
            return;
        memcpy(p, block.p, n);
        block = span_sub(block, n, block.n);
        type = CONTINUATION;
    } while (block.n > 0);
}

/* Writes a head by its fields, and remembers it if the next one will look the same. */
static void put_fields(struct h2_client *h, const struct h2_request *q, uint32_t id)
{
    struct hpack_writer *w = &h->writer;
    struct buf *b = &h->head_out;
    uint64_t changes = w->changes;

    buf_reset(b);
    hpack_writer_begin(w, b);
    for (uint32_t i = 0; i < q->field_count; i++)
        hpack_writer_field(w, q->fields[i].name, q->fields[i].value, HPACK_KEEP_ALL, b);
    size_t all = b->n; /* but the last field's value */
    if (q->last.name.n > 0 && hpack_writer_name(w, q->last.name, b)) {
        all = b->n;
        hpack_put_string(b, q->last.value);
    } else if (q->last.name.n > 0) {
        hpack_writer_field(w, q->last.name, q->last.value, HPACK_KEEP_NAME, b);
        all = SIZE_MAX;
    }
    struct h2_block *known = block_of(h, q->key);
    if (q->key != 0 && w->changes == changes && all <= sizeof known->bytes &&
        !b->failed) {
        known->key = q->key;
        known->changes = changes;
        known->n = (uint8_t)all;
        memcpy(known->bytes, b->p, all);
    }
    if (b->failed)
        h->out.failed = true;
    else
        put_pieces(h, buf_view(b), id);
}

int h2_client_open(struct h2_client *h, const struct h2_request *q, void *user,
                   uint32_t *slot, struct err *e)
{
    assert(h2_client_room(h) > 0);
    int rc = h->free_slot == NONE ? more_slots(h, e) : 0;
    if (rc < 0)
        return rc;
    add_stream(h, user, slot);
    const struct h2_block *b = known_block(h, q);
    if (b)
        put_known(h, q, b, h->streams[*slot].id);
    else
        put_fields(h, q, h->streams[*slot].id);
    return buf_check(&h->out, e);
}

/* n bytes from `from` on. */
static void copy_parts(uint8_t *to, const struct span parts[2], size_t from, size_t n)
{
    struct span a = span_sub(parts[0], from, from + n);
    from = from > parts[0].n ? from - parts[0].n : 0;
    struct span b = span_sub(parts[1], from, from + n - a.n);
    if (a.n > 0)
        memcpy(to, a.p, a.n);
    if (b.n > 0)
        memcpy(to + a.n, b.p, b.n);
}

size_t h2_client_parts(struct h2_client *h, uint32_t slot, const struct span parts[2],
                       bool end, bool *all)
{
    struct h2_stream *s = &h->streams[slot];
    size_t whole = parts[0].n + parts[1].n, taken = 0;

    assert(s->id != 0 && !s->sent_all);
    for (;;) {
        size_t left = whole - taken;
        int32_t window =
            s->send_window < h->send_window ? s->send_window : h->send_window;
        uint32_t n = window < 0 ? 0 : (uint32_t)window;
        n = n < h->peer_frame ? n : h->peer_frame;
        n = n < left ? n : (uint32_t)left;
        bool last = end && n == left;
        if ((n == 0 && !last) || h->dead)
            break;
        uint8_t *p = put_frame(h, DATA, last ? END_STREAM : 0, s->id, n);
        if (!p)
            break;
        copy_parts(p, parts, taken, n);
        taken += n;
        s->send_window -= (int32_t)n;
        h->send_window -= (int32_t)n;
        s->sent_all = last;
        if (last)
            break;
    }
    *all = taken == whole && (!end || s->sent_all);
    return taken;
}

size_t h2_client_data(struct h2_client *h, uint32_t slot, struct span data, bool end,
                      bool *all)
{
    return h2_client_parts(h, slot, (const struct span[2]){data, {0}}, end, all);
}

void h2_client_cancel(struct h2_client *h, uint32_t slot, enum h2_code code)
{
    assert(h->streams[slot].id != 0);
    if (!h->dead)
        put_u32_frame(h, RST_STREAM, h->streams[slot].id, code);
    close_stream(h, slot);
}

/* --- what goes wrong -------------------------------------------------------------- */

/* 5.4.1 */
static int broken(struct h2_client *h, enum h2_code code, struct err *e,
                  const char *why)
{
    uint8_t *p = put_frame(h, GOAWAY, 0, 0, 8);
    if (p) {
        set_u32(p, 0); /* no stream of the peer's was ever processed */
        set_u32(p + 4, code);
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
    h->owed += FRAME_HEAD + 4;
    h2_client_cancel(h, slot, code);
    return 1;
}

/* The answer is complete. What is left of the request is of no use to the peer. */
static void ended(struct h2_client *h, uint32_t slot)
{
    if (!h->streams[slot].sent_all)
        h2_client_cancel(h, slot, H2_CANCEL);
    else
        close_stream(h, slot);
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

/* --- reading: header blocks ------------------------------------------------------- */

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
    uint32_t slot = find_slot(h, id);
    if (slot == NONE)
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
    if (h->flags & PADDED) {
        if (p.n == 0)
            return broken(h, H2_FRAME_SIZE_ERROR, e, "HEADERS without its padding");
        pad = p.p[0];
        p = span_sub(p, 1, p.n);
    }
    if (h->flags & HAS_PRIORITY) {
        if (p.n < 5)
            return broken(h, H2_FRAME_SIZE_ERROR, e, "HEADERS without its priority");
        p = span_sub(p, 5, p.n);
    }
    if (pad > p.n)
        return broken(h, H2_PROTOCOL_ERROR, e, "padding longer than its frame");
    p = span_sub(p, 0, p.n - pad);
    h->block_began = h->began;
    if (h->flags & END_HEADERS)
        return on_block(h, p, h->id, h->flags & END_STREAM, ev, e);
    h->block_id = h->id;
    h->block_ends = h->flags & END_STREAM;
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
    if (rc < 0 || !(h->flags & END_HEADERS))
        return rc;
    uint32_t id = h->block_id;
    h->block_id = 0;
    return on_block(h, buf_view(&h->block), id, h->block_ends, ev, e);
}

/* --- reading: the other frames ---------------------------------------------------- */

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
    case HEADER_TABLE_SIZE:
        hpack_writer_limit(&h->writer, value);
        return 0;
    case ENABLE_PUSH:
        return value == 0 ? 0
                          : broken(h, H2_PROTOCOL_ERROR, e, "a server enables push");
    case MAX_CONCURRENT_STREAMS:
        h->peer_streams = value;
        return 0;
    case INITIAL_WINDOW_SIZE:
        return move_windows(h, value, e);
    case MAX_FRAME_SIZE:
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
    if (h->flags & ACK)
        return p.n == 0 ? nothing(h, e)
                        : broken(h, H2_FRAME_SIZE_ERROR, e, "an ACK with settings");
    if (p.n % 6 != 0)
        return broken(h, H2_FRAME_SIZE_ERROR, e, "SETTINGS of an odd size");
    if (!h->settled)
        h->peer_streams = UINT32_MAX; /* unless it says less */
    h->settled = true;
    for (size_t i = 0; rc == 0 && i < p.n; i += 6)
        rc = take_setting(h, (unsigned)p.p[i] << 8 | p.p[i + 1], get_u32(p.p + i + 2),
                          e);
    if (rc < 0)
        return rc;
    (void)put_frame(h, SETTINGS, ACK, 0, 0);
    h->owed += FRAME_HEAD;
    ev->kind = H2_EVENT_SETTINGS;
    rc = may_owe(h, e);
    return rc < 0 ? rc : 1;
}

/* 6.7 */
static int on_ping(struct h2_client *h, struct span p, struct err *e)
{
    if (p.n != 8)
        return broken(h, H2_FRAME_SIZE_ERROR, e, "PING that has not 8 bytes");
    if (h->flags & ACK)
        return nothing(h, e); /* we ask for none */
    uint8_t *out = put_frame(h, PING, ACK, 0, 8);
    if (out)
        memcpy(out, p.p, 8);
    h->owed += FRAME_HEAD + 8;
    return may_owe(h, e);
}

/* 6.8. A second one may disown more, never less. */
static int on_goaway(struct h2_client *h, struct span p, struct h2_event *ev,
                     struct err *e)
{
    if (p.n < 8)
        return broken(h, H2_FRAME_SIZE_ERROR, e, "GOAWAY of less than 8 bytes");
    uint32_t last = get_u32(p.p) & H2_ID_MAX;
    h->goaway = true;
    h->last_id = last < h->last_id ? last : h->last_id;
    h->sweep = 0;
    ev->kind = H2_EVENT_GOAWAY;
    ev->last_id = h->last_id;
    ev->code = get_u32(p.p + 4);
    return 1;
}

/* The next stream that a GOAWAY disowned: it was not, and will not be, processed. */
static bool next_disowned(struct h2_client *h, struct h2_event *ev)
{
    for (; h->sweep < h->slots; h->sweep++) {
        struct h2_stream *s = &h->streams[h->sweep];
        if (s->id == 0 || s->id <= h->last_id)
            continue;
        *ev = (struct h2_event){
            .kind = H2_EVENT_RESET, .user = s->user, .code = H2_REFUSED_STREAM};
        close_stream(h, h->sweep);
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
    uint32_t slot = find_slot(h, h->id);
    if (slot == NONE)
        return nothing(h, e);
    ev->kind = H2_EVENT_RESET;
    ev->user = h->streams[slot].user;
    ev->code = get_u32(p.p);
    close_stream(h, slot);
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
    uint32_t by = get_u32(p.p) & H2_ID_MAX;
    if (h->id == 0) {
        if (by == 0)
            return broken(h, H2_PROTOCOL_ERROR, e, "a window widened by nothing");
        return widen(&h->send_window, by)
                   ? 0
                   : broken(h, H2_FLOW_CONTROL_ERROR, e, "a window beyond 2^31-1");
    }
    if (is_idle(h, h->id))
        return broken(h, H2_PROTOCOL_ERROR, e, "WINDOW_UPDATE of an idle stream");
    uint32_t slot = find_slot(h, h->id);
    if (slot == NONE)
        return nothing(h, e);
    if (by == 0)
        return stream_broken(h, slot, H2_PROTOCOL_ERROR, ev);
    return widen(&h->streams[slot].send_window, by)
               ? 0
               : stream_broken(h, slot, H2_FLOW_CONTROL_ERROR, ev);
}

/* --- reading: DATA, as it comes --------------------------------------------------- */

/* Our window of the connection opens again when half of it is used. */
static void reopen(struct h2_client *h, int32_t *window, uint32_t id)
{
    if (*window > H2_WINDOW / 2)
        return;
    put_u32_frame(h, WINDOW_UPDATE, id, (uint32_t)(H2_WINDOW - *window));
    h->owed += FRAME_HEAD + 4;
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
    h->prefixed = !(h->flags & PADDED);
    if (!h->prefixed && h->length == 0)
        return broken(h, H2_FRAME_SIZE_ERROR, e, "DATA without its padding");
    uint32_t slot = find_slot(h, h->id);
    if (slot == NONE)
        return nothing(h, e);
    struct h2_stream *s = &h->streams[slot];
    if (!s->got_head)
        return stream_broken(h, slot, H2_PROTOCOL_ERROR, ev);
    if ((int32_t)h->length > s->recv_window)
        return stream_broken(h, slot, H2_FLOW_CONTROL_ERROR, ev);
    s->recv_window -= (int32_t)h->length;
    if (!(h->flags & END_STREAM))
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
    bool last = n == body && (h->flags & END_STREAM);
    if (n == 0 && !last)
        return h->in_frame ? 0 : nothing(h, e);

    uint32_t slot = find_slot(h, h->id);
    if (slot == NONE)
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

/* --- reading: frames -------------------------------------------------------------- */

static int begin_frame(struct h2_client *h, struct h2_event *ev, struct err *e)
{
    const uint8_t *p = h->head;
    h->length = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
    h->type = p[3];
    h->flags = p[4];
    h->id = get_u32(p + 5) & H2_ID_MAX;
    h->left = h->length;
    h->in_frame = true;
    if (h->length > H2_FRAME_MAX)
        return broken(h, H2_FRAME_SIZE_ERROR, e, "a frame of more than 16,384 bytes");
    if (!h->settled && (h->type != SETTINGS || (h->flags & ACK)))
        return broken(h, H2_PROTOCOL_ERROR, e, "it does not begin with SETTINGS");
    if (h->block_id ? h->type != CONTINUATION || h->id != h->block_id
                    : h->type == CONTINUATION)
        return broken(h, H2_PROTOCOL_ERROR, e, "a header block that is not in a row");
    bool alone = h->type == SETTINGS || h->type == PING || h->type == GOAWAY;
    bool either = h->type == WINDOW_UPDATE || h->type > CONTINUATION;
    if (!either && alone != (h->id == 0))
        return broken(h, H2_PROTOCOL_ERROR, e, "a frame on the wrong kind of stream");
    return h->type == DATA ? begin_data(h, ev, e) : 0;
}

/* A frame other than DATA; its payload is whole. */
static int on_frame(struct h2_client *h, struct span p, struct h2_event *ev,
                    struct err *e)
{
    switch (h->type) {
    case HEADERS:
        return on_headers(h, p, ev, e);
    case CONTINUATION:
        return on_continuation(h, p, ev, e);
    case RST_STREAM:
        return on_reset(h, p, ev, e);
    case SETTINGS:
        return on_settings(h, p, ev, e);
    case PUSH_PROMISE:
        return broken(h, H2_PROTOCOL_ERROR, e, "a push, which was not allowed");
    case PING:
        return on_ping(h, p, e);
    case GOAWAY:
        return on_goaway(h, p, ev, e);
    case WINDOW_UPDATE:
        return on_window_update(h, p, ev, e);
    case PRIORITY:
        return p.n == 5 ? nothing(h, e)
                        : broken(h, H2_FRAME_SIZE_ERROR, e, "PRIORITY of an odd size");
    default: /* 5.5: unknown */
        return nothing(h, e);
    }
}

/* The nine bytes before a payload. False: they are not all there. */
static bool read_head(struct h2_client *h, struct span *in, int64_t stamp)
{
    size_t n = FRAME_HEAD - h->head_got;
    if (h->head_got == 0)
        h->began = stamp;
    n = n < in->n ? n : in->n;
    memcpy(h->head + h->head_got, in->p, n);
    *in = span_sub(*in, n, in->n);
    h->head_got = (uint8_t)(h->head_got + n);
    if (h->head_got < FRAME_HEAD)
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
    if (h->type == DATA)
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

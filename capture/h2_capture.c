/*
 * h2_capture.c - see h2_capture.h. Streams first, then header blocks, then frames, then
 * the connection.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "capture/h2_capture.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "capture/h2_frame.h"
#include "capture/hold.h"
#include "traces/wire/hpack.h"

#define PREFIX_MAX  10u /* pad length (1), promised stream (4) or priority (5) */
#define BUCKETS_MIN 8u
#define UNKNOWN_MAX (16u << 10) /* of a frame whose type is not known */
#define BLOCK_KEEP  (16u << 10) /* of the buffer for header blocks, between blocks */

enum state { ST_PREFACE, ST_HEAD, ST_PREFIX, ST_CONTENT, ST_PADDING, ST_SEARCH };

/* A header block that is collected over frames. */
struct block {
    bool open, spoiled; /* spoiled: a part is missing, or it is too large */
    bool end_stream, promise;
    uint32_t stream, frames;
    uint64_t counted; /* its bytes, pending */
    struct clk_wall first;
    struct buf bytes;
};

struct side {
    enum state state;
    uint8_t head[CAP_H2_PREFACE_BYTES], head_n;
    uint8_t prefix[PREFIX_MAX], prefix_n, prefix_want;
    struct clk_wall frame_at; /* first byte of its header */
    struct cap_h2_frame frame;
    uint64_t left;    /* of its content */
    uint32_t padding; /* behind that */
    struct block block;
    struct hpack hpack;
    struct cap_hold hold; /* ST_SEARCH */
    struct cap_h2_sync sync;
};

struct list {
    struct cap_pending *head, *tail;
};

struct cap_h2 {
    struct cap_conn *c;
    struct side side[2];
    struct cap_pending **buckets; /* by stream; a power of two of them */
    uint32_t bucket_count, stream_count;
    struct list asked;   /* by stream, which is by age */
    struct list waiting; /* answers whose requests have not come yet */
    uint32_t last_asked; /* highest stream of a request */
    uint32_t goaway;     /* streams above it were not processed */
};

/* --- streams ---------------------------------------------------------------------- */

static struct cap_pending **bucket(const struct cap_h2 *h, uint32_t stream)
{
    return &h->buckets[(stream >> 1) & (h->bucket_count - 1)];
}

static struct cap_pending *find(const struct cap_h2 *h, uint32_t stream)
{
    if (!h->bucket_count)
        return NULL;
    struct cap_pending *p = *bucket(h, stream);
    while (p && p->stream != stream)
        p = p->chain;
    return p;
}

static bool make_buckets(struct cap_h2 *h)
{
    if (h->stream_count < h->bucket_count)
        return true;
    uint32_t count = h->bucket_count ? h->bucket_count * 2 : BUCKETS_MIN, old = 0;
    struct cap_pending **was = h->buckets;
    struct cap_pending **now = calloc(count, sizeof(struct cap_pending *));
    if (!now) {
        h->c->failed = true;
        return false;
    }
    old = h->bucket_count;
    h->buckets = now;
    h->bucket_count = count;
    for (uint32_t i = 0; i < old; i++) {
        for (struct cap_pending *p = was[i], *after; p; p = after) {
            after = p->chain;
            struct cap_pending **b = bucket(h, p->stream);
            p->chain = *b;
            *b = p;
        }
    }
    free(was);
    return true;
}

static void list_add(struct list *l, struct cap_pending *p)
{
    p->next = NULL;
    p->prev = l->tail;
    *(l->tail ? &l->tail->next : &l->head) = p;
    l->tail = p;
}

static void list_take(struct list *l, struct cap_pending *p)
{
    *(p->prev ? &p->prev->next : &l->head) = p->next;
    *(p->next ? &p->next->prev : &l->tail) = p->prev;
}

static void forget(struct cap_h2 *h, struct cap_pending *p)
{
    struct cap_pending **b = bucket(h, p->stream);
    while (*b != p)
        b = &(*b)->chain;
    *b = p->chain;
    list_take(p->waiting ? &h->waiting : &h->asked, p);
    h->stream_count--;
}

static void hand_on(struct cap_h2 *h, struct cap_pending *p)
{
    forget(h, p);
    cap_pending_emit(h->c, p);
}

static void orphan(struct cap_h2 *h, struct cap_pending *p)
{
    forget(h, p);
    h->c->parse->totals.orphan_answers++;
    cap_pending_drop(h->c, p, CAP_FATE_OPAQUE);
}

/* Bytes of the half may be missing since it began. */
static bool maybe_cut(const struct cap_h2 *h, const struct cap_pending *p, int dir)
{
    return p->half[dir].lost_before != h->c->lost[dir];
}

static void spoil(struct cap_half *half)
{
    half->broken = true;
    half->loss = CAP_LOSS_GAP;
}

/* Ends the stream as it is, for this reason. */
static void cut(struct cap_h2 *h, struct cap_pending *p, enum cap_loss why)
{
    if (p->waiting) {
        orphan(h, p);
        return;
    }
    for (int dir = 0; dir < 2; dir++) {
        struct cap_half *half = &p->half[dir];
        if (half->ended || half->loss != CAP_LOSS_NONE)
            continue;
        if (half->begun && maybe_cut(h, p, dir))
            spoil(half);
        else
            half->loss = why;
    }
    hand_on(h, p);
}

static void cut_all(struct cap_h2 *h, enum cap_loss why)
{
    while (h->asked.head)
        cut(h, h->asked.head, why);
    while (h->waiting.head)
        orphan(h, h->waiting.head);
}

static struct cap_pending *add(struct cap_h2 *h, struct cap_pending *p, bool waiting)
{
    if (!p || !make_buckets(h)) {
        if (p)
            cap_pending_drop(h->c, p, CAP_FATE_SHED);
        return NULL;
    }
    p->h2 = true;
    p->waiting = waiting;
    struct cap_pending **b = bucket(h, p->stream);
    p->chain = *b;
    *b = p;
    list_add(waiting ? &h->waiting : &h->asked, p);
    h->stream_count++;
    if (h->stream_count > CAP_H2_STREAMS_MAX) {
        h->c->parse->totals.streams_dropped++;
        struct cap_pending *oldest = h->waiting.head ? h->waiting.head : h->asked.head;
        if (oldest == p)
            oldest = h->asked.head;
        cut(h, oldest, CAP_LOSS_LIMIT);
    }
    return p;
}

static void aged(void *owner, struct cap_pending *p)
{
    hand_on(owner, p);
}

static void hand_on_when_complete(struct cap_h2 *h, struct cap_pending *p)
{
    struct cap_half *request = &p->half[0], *answer = &p->half[1];
    if (!answer->ended || !request->begun)
        return;
    if (!request->ended && maybe_cut(h, p, CAP_TO_SERVER)) {
        spoil(request); /* its end was among what is missing */
        request->ended = true;
    }
    if (request->ended)
        hand_on(h, p);
}

static void half_ends(struct cap_h2 *h, struct cap_pending *p, int dir,
                      struct clk_wall at)
{
    struct cap_half *half = &p->half[dir];
    half->ended = true;
    half->last = at;
    if (maybe_cut(h, p, dir))
        spoil(half);
    if (dir == CAP_TO_SERVER)
        cap_pending_asked(p);
    hand_on_when_complete(h, p);
}

/* --- header blocks ---------------------------------------------------------------- */

static void take_pseudo(struct cap_pending *p, int dir, const struct hpack_field *f)
{
    struct cap_half *half = &p->half[dir];
    uint64_t status;
    if (dir == CAP_TO_CLIENT) {
        if (span_eq_str(f->name, ":status") && f->value.n == 3 &&
            span_u64(f->value, &status))
            p->status = (uint16_t)status;
    } else if (f->value.n > CAP_FIELDS_BYTES - half->text.n) {
        half->headers_opaque = true;
    } else if (span_eq_str(f->name, ":method")) {
        p->method = cap_half_text(half, f->value);
        p->method_known = true;
    } else if (span_eq_str(f->name, ":path")) {
        p->path = cap_half_text(half, f->value);
        p->path_known = true;
    } else if (span_eq_str(f->name, ":authority")) {
        p->authority = cap_half_text(half, f->value);
    }
}

static void take_field(struct cap_pending *p, int dir, const struct hpack_field *f)
{
    struct cap_half *half = &p->half[dir];
    if (f->flags & (HPACK_NAME_UNKNOWN | HPACK_VALUE_UNKNOWN)) {
        half->headers_opaque = true;
        if (dir == CAP_TO_CLIENT &&
            (f->flags & HPACK_NAME_UNKNOWN || span_eq_str(f->name, "grpc-status")))
            p->status_unknown = true;
        /* A value by itself may still be known from another connection. */
        if (!(f->flags & (HPACK_VALUE_UNKNOWN | HPACK_NEVER_INDEXED)))
            cap_half_field(half, (struct span){0}, f->value);
        return;
    }
    if (f->name.n && f->name.p[0] == ':') {
        take_pseudo(p, dir, f);
        return;
    }
    uint64_t status;
    if (dir == CAP_TO_CLIENT && span_eq_str(f->name, "grpc-status") &&
        span_u64(f->value, &status) && status <= INT16_MAX)
        p->grpc_status = (int16_t)status;
    cap_half_field(half, f->name, f->value);
}

/* Decodes a block into p (NULL: only for the table's sake). */
static bool decode(struct cap_h2 *h, int dir, struct span bytes, struct cap_pending *p)
{
    struct hpack *table = &h->side[dir].hpack;
    struct hpack_field f;
    int rc;
    hpack_begin(table, bytes);
    while ((rc = hpack_next(table, &f, NULL)) > 0)
        if (p)
            take_field(p, dir, &f);
    if (rc == 0)
        return true;
    h->c->parse->totals.hpack_errors++;
    hpack_join(table);
    return false;
}

static bool is_grpc_type(struct span type)
{
    static const char grpc[] = "application/grpc";
    size_t n = sizeof grpc - 1;
    return span_starts(type, grpc) &&
           (type.n == n || type.p[n] == '+' || type.p[n] == ';');
}

static void choose_grpc(struct cap_half *half)
{
    struct span type = cap_half_find(half, SPAN_LIT("content-type"));
    half->grpc = is_grpc_type(type)                ? CAP_GRPC_ON
                 : type.n || !half->headers_opaque ? CAP_GRPC_OFF
                                                   : CAP_GRPC_MAYBE;
}

static void count_block(struct cap_h2 *h, int dir, struct cap_half *half)
{
    struct block *b = &h->side[dir].block;
    cap_count_again(h->c, dir, b->counted);
    if (half)
        cap_half_hold(h->c, dir, half, b->counted);
    b->counted = 0;
}

static void settle_block(struct cap_h2 *h, int dir, enum cap_fate fate)
{
    struct block *b = &h->side[dir].block;
    cap_count_settle(h->c, dir, fate, b->counted);
    b->counted = 0;
}

static void begin_half(struct cap_h2 *h, struct cap_pending *p, int dir)
{
    struct cap_half *half = &p->half[dir];
    half->begun = true;
    half->first = half->last = h->side[dir].block.first;
    half->lost_before = h->c->lost[dir];
}

/* Answers that came first, on streams that will not be asked any more. */
static void orphan_before(struct cap_h2 *h, uint32_t stream)
{
    while (h->waiting.head && h->waiting.head->stream < stream)
        orphan(h, h->waiting.head);
}

static void begin_request(struct cap_h2 *h, struct span bytes, struct clk_wall at)
{
    struct block *b = &h->side[CAP_TO_SERVER].block;
    struct cap_pending *p = find(h, b->stream);
    if (b->stream <= h->last_asked || b->stream % 2 == 0) {
        /* Trailers of a request that is not known, or nonsense. */
        decode(h, CAP_TO_SERVER, bytes, NULL);
        settle_block(h, CAP_TO_SERVER, CAP_FATE_OPAQUE);
        return;
    }
    h->last_asked = b->stream;
    if (p) { /* its answer came first */
        list_take(&h->waiting, p);
        p->waiting = false;
        list_add(&h->asked, p);
    } else if (!(p = add(h, cap_pending_new(h->c, b->stream), false))) {
        return;
    }
    begin_half(h, p, CAP_TO_SERVER);
    cap_pending_begun(p);
    bool good = decode(h, CAP_TO_SERVER, bytes, p);
    struct cap_half *half = &p->half[0];
    count_block(h, CAP_TO_SERVER, half);
    cap_half_charge(h->c, half);
    if (!good || (!half->headers_opaque && !p->method_known)) {
        h->c->parse->totals.lost_malformed++;
        forget(h, p);
        cap_pending_drop(h->c, p, CAP_FATE_OPAQUE);
        return;
    }
    choose_grpc(half);
    orphan_before(h, b->stream);
    if (b->end_stream)
        half_ends(h, p, CAP_TO_SERVER, at);
}

static void begin_answer(struct cap_h2 *h, struct span bytes, struct clk_wall at)
{
    struct block *b = &h->side[CAP_TO_CLIENT].block;
    struct cap_pending *p = find(h, b->stream);
    if (!p && b->stream % 2 == 1 && b->stream > h->last_asked)
        p = add(h, cap_pending_new(h->c, b->stream), true);
    if (!p) {
        decode(h, CAP_TO_CLIENT, bytes, NULL);
        settle_block(h, CAP_TO_CLIENT, CAP_FATE_OPAQUE);
        h->c->parse->totals.orphan_answers += b->end_stream && b->stream % 2 == 1;
        return;
    }
    struct cap_half *half = &p->half[1];
    begin_half(h, p, CAP_TO_CLIENT);
    bool good = decode(h, CAP_TO_CLIENT, bytes, p);
    count_block(h, CAP_TO_CLIENT, half);
    cap_half_charge(h->c, half);
    if (good && p->status / 100 == 1) { /* interim: the answer is to come */
        cap_half_drop(h->c, CAP_TO_CLIENT, half, CAP_FATE_FRAMING);
        p->status = 0;
        p->status_unknown = false;
        return;
    }
    half->headers_opaque = half->headers_opaque || !good;
    if (b->end_stream && !p->status && h->side[CAP_TO_CLIENT].hpack.joined) {
        /* Trailers, of an answer whose beginning was missed. */
        half->begun = false;
        half->loss = CAP_LOSS_GAP;
        half->ended = true;
        hand_on_when_complete(h, p);
        return;
    }
    choose_grpc(half);
    if (half->grpc == CAP_GRPC_MAYBE && p->half[0].grpc == CAP_GRPC_ON)
        half->grpc = CAP_GRPC_ON;
    p->trailers = b->end_stream;
    if (b->end_stream)
        half_ends(h, p, CAP_TO_CLIENT, at);
    else
        p->status_unknown = false; /* that is asked of the trailers */
}

static void take_trailers(struct cap_h2 *h, int dir, struct cap_pending *p,
                          struct span bytes, struct clk_wall at)
{
    struct cap_half *half = &p->half[dir];
    if (!decode(h, dir, bytes, p))
        half->headers_opaque = true;
    count_block(h, dir, half);
    cap_half_charge(h->c, half);
    if (dir == CAP_TO_CLIENT)
        p->trailers = true;
    if (h->side[dir].block.end_stream)
        half_ends(h, p, dir, at);
}

static void take_block(struct cap_h2 *h, int dir, struct span bytes, struct clk_wall at)
{
    struct block *b = &h->side[dir].block;
    struct cap_pending *p = find(h, b->stream);
    if (b->promise) {
        decode(h, dir, bytes, NULL);
        settle_block(h, dir, CAP_FATE_OPAQUE);
    } else if (p && p->half[dir].begun && !p->half[dir].ended) {
        take_trailers(h, dir, p, bytes, at);
    } else if (p && p->half[dir].ended) { /* a header behind the end */
        decode(h, dir, bytes, NULL);
        settle_block(h, dir, CAP_FATE_OPAQUE);
    } else if (dir == CAP_TO_SERVER) {
        begin_request(h, bytes, at);
    } else {
        begin_answer(h, bytes, at);
    }
    if (b->counted) /* out of memory in between */
        settle_block(h, dir, CAP_FATE_SHED);
}

/* The block that is open cannot be read: neither can what its entries stand for. */
static void spoil_block(struct cap_h2 *h, int dir, enum cap_fate fate)
{
    struct side *s = &h->side[dir];
    settle_block(h, dir, fate);
    hpack_join(&s->hpack);
    s->block.spoiled = true;
    buf_reset(&s->block.bytes);
}

static void flood(struct cap_h2 *h, int dir)
{
    spoil_block(h, dir, CAP_FATE_SHED);
    h->c->parse->totals.lost_limit += dir == CAP_TO_SERVER;
    cut_all(h, CAP_LOSS_LIMIT);
}

static void open_block(struct cap_h2 *h, int dir)
{
    struct side *s = &h->side[dir];
    struct block *b = &s->block;
    b->open = true;
    b->spoiled = false;
    b->end_stream = s->frame.flags & CAP_H2_END_STREAM;
    b->promise = s->frame.type == CAP_H2_PUSH_PROMISE;
    b->stream = s->frame.stream;
    b->frames = 0;
    b->first = s->frame_at;
    buf_reset(&b->bytes);
}

/* Content of HEADERS, PUSH_PROMISE or CONTINUATION. */
static void block_content(struct cap_h2 *h, int dir, struct clk_wall at,
                          struct span bytes)
{
    struct side *s = &h->side[dir];
    struct block *b = &s->block;
    if (!b->open || b->spoiled) {
        cap_count(h->c, dir, b->open ? CAP_FATE_SHED : CAP_FATE_OPAQUE, bytes.n);
        return;
    }
    cap_count_pending(h->c, dir, bytes.n);
    b->counted += bytes.n;
    if (b->bytes.n + bytes.n > CAP_H2_BLOCK_MAX) {
        flood(h, dir);
        return;
    }
    /* The usual block is one whole frame in one piece, and needs no copy. */
    bool whole = bytes.n == s->left && b->bytes.n == 0 &&
                 s->frame.flags & CAP_H2_END_HEADERS && s->padding == 0;
    if (whole) {
        b->open = false;
        take_block(h, dir, bytes, at);
        return;
    }
    buf_span(&b->bytes, bytes);
    if (b->bytes.failed)
        h->c->failed = true;
}

static void block_frame_ends(struct cap_h2 *h, int dir, struct clk_wall at)
{
    struct side *s = &h->side[dir];
    struct block *b = &s->block;
    if (!b->open || !(s->frame.flags & CAP_H2_END_HEADERS))
        return;
    b->open = false;
    if (!b->spoiled)
        take_block(h, dir, buf_view(&b->bytes), at);
    if (b->bytes.cap > BLOCK_KEEP)
        buf_done(&b->bytes);
}

/* --- frames ----------------------------------------------------------------------- */

/* Frame boundaries are not known any more; the bytes in head are not a header. */
static void lose_sync(struct cap_h2 *h, int dir)
{
    struct side *s = &h->side[dir];
    if (s->block.open)
        spoil_block(h, dir, CAP_FATE_OPAQUE);
    s->block.open = false;
    hpack_join(&s->hpack);
    s->state = ST_SEARCH;
    s->head_n = s->prefix_n = 0;
    cap_h2_sync_restart(&s->sync, s->hold.at);
    h->c->lost[dir]++;
    h->c->parse->totals.resyncs++;
}

static uint8_t prefix_of(const struct cap_h2_frame *f)
{
    switch (f->type) {
    case CAP_H2_DATA:
        return f->flags & CAP_H2_PADDED ? 1 : 0;
    case CAP_H2_HEADERS:
        return (uint8_t)((f->flags & CAP_H2_PADDED ? 1 : 0) +
                         (f->flags & CAP_H2_HAS_PRIORITY ? 5 : 0));
    case CAP_H2_PUSH_PROMISE:
        return f->flags & CAP_H2_PADDED ? 5 : 4;
    case CAP_H2_RST_STREAM:
        return 4;
    case CAP_H2_GOAWAY:
        return 8;
    default:
        return 0;
    }
}

static bool has_block(uint8_t type)
{
    return type == CAP_H2_HEADERS || type == CAP_H2_PUSH_PROMISE ||
           type == CAP_H2_CONTINUATION;
}

static uint32_t u32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void reset_stream(struct cap_h2 *h, uint32_t stream)
{
    struct cap_pending *p = find(h, stream);
    if (p)
        cut(h, p, CAP_LOSS_RESET);
}

/* The server will not answer streams above `last`; a client asks again elsewhere. */
static void go_away(struct cap_h2 *h, int dir, uint32_t last)
{
    if (dir != CAP_TO_CLIENT || last >= h->goaway)
        return;
    h->goaway = last;
    while (h->asked.tail && h->asked.tail->stream > last)
        cut(h, h->asked.tail, CAP_LOSS_RESET);
}

/* The bytes in front of the content are there. False: they make no sense. */
static bool begin_content(struct cap_h2 *h, int dir)
{
    struct side *s = &h->side[dir];
    const struct cap_h2_frame *f = &s->frame;
    bool padded = f->flags & CAP_H2_PADDED &&
                  (f->type == CAP_H2_DATA || f->type == CAP_H2_HEADERS ||
                   f->type == CAP_H2_PUSH_PROMISE);
    s->padding = padded ? s->prefix[0] : 0;
    if (s->padding > s->left)
        return false;
    s->left -= s->padding;
    s->state = ST_CONTENT;
    if (f->type == CAP_H2_RST_STREAM)
        reset_stream(h, f->stream);
    else if (f->type == CAP_H2_GOAWAY)
        go_away(h, dir, u32(s->prefix) & 0x7fffffffu);
    return true;
}

/* Blocks must not be interrupted, and not continued when there is none (6.10). */
static void check_block(struct cap_h2 *h, int dir)
{
    struct side *s = &h->side[dir];
    const struct cap_h2_frame *f = &s->frame;
    struct block *b = &s->block;
    bool continues = f->type == CAP_H2_CONTINUATION;
    if (b->open && (!continues || f->stream != b->stream)) {
        if (!b->spoiled)
            spoil_block(h, dir, CAP_FATE_OPAQUE);
        b->open = false;
    }
    if (f->type == CAP_H2_HEADERS || f->type == CAP_H2_PUSH_PROMISE)
        open_block(h, dir);
    else if (continues && !b->open)
        hpack_join(&s->hpack); /* its beginning was not seen */
    else if (continues && !b->spoiled && ++b->frames > CAP_H2_CONTINUATIONS)
        flood(h, dir);
}

static void begin_frame(struct cap_h2 *h, int dir, const uint8_t *head)
{
    struct side *s = &h->side[dir];
    struct cap_h2_frame *f = &s->frame;
    *f = cap_h2_frame_of(head);
    s->head_n = 0;
    s->prefix_n = 0;
    s->prefix_want = prefix_of(f);
    if (!cap_h2_frame_legal(f) || s->prefix_want > f->length ||
        (f->type > CAP_H2_CONTINUATION && f->length > UNKNOWN_MAX)) {
        cap_count(h->c, dir, CAP_FATE_OPAQUE, CAP_H2_HEAD);
        lose_sync(h, dir);
        return;
    }
    cap_count(h->c, dir, CAP_FATE_FRAMING, CAP_H2_HEAD);
    s->left = f->length - s->prefix_want;
    s->padding = 0;
    check_block(h, dir);
    s->state = s->prefix_want ? ST_PREFIX : ST_CONTENT;
}

static void data_content(struct cap_h2 *h, int dir, struct clk_wall at,
                         struct span bytes)
{
    struct cap_pending *p = find(h, h->side[dir].frame.stream);
    if (!p || !p->half[dir].begun || p->half[dir].ended) {
        cap_count(h->c, dir, CAP_FATE_OPAQUE, bytes.n);
        return;
    }
    struct cap_half *half = &p->half[dir];
    if (maybe_cut(h, p, dir))
        spoil(half);
    half->last = at;
    cap_half_body(h->c, dir, half, at, bytes);
}

static void end_frame(struct cap_h2 *h, int dir, struct clk_wall at)
{
    struct side *s = &h->side[dir];
    s->state = ST_HEAD;
    if (has_block(s->frame.type)) {
        block_frame_ends(h, dir, at);
    } else if (s->frame.type == CAP_H2_DATA && s->frame.flags & CAP_H2_END_STREAM) {
        struct cap_pending *p = find(h, s->frame.stream);
        if (p && p->half[dir].begun && !p->half[dir].ended)
            half_ends(h, p, dir, at);
    }
}

static struct span take(struct span *in, uint64_t n)
{
    struct span piece = span_sub(*in, 0, n < in->n ? (size_t)n : in->n);
    *in = span_sub(*in, piece.n, in->n);
    return piece;
}

static void step_preface(struct cap_h2 *h, int dir, struct span *in)
{
    struct side *s = &h->side[dir];
    struct span piece = take(in, CAP_H2_PREFACE_BYTES - s->head_n);
    memcpy(s->head + s->head_n, piece.p, piece.n);
    s->head_n = (uint8_t)(s->head_n + piece.n);
    bool good = memcmp(s->head, CAP_H2_PREFACE, s->head_n) == 0;
    cap_count(h->c, dir, good ? CAP_FATE_FRAMING : CAP_FATE_OPAQUE, piece.n);
    if (!good) {
        lose_sync(h, dir);
    } else if (s->head_n == CAP_H2_PREFACE_BYTES) {
        s->head_n = 0;
        s->state = ST_HEAD;
    }
}

static void step_head(struct cap_h2 *h, int dir, struct clk_wall at, struct span *in)
{
    struct side *s = &h->side[dir];
    if (s->head_n == 0)
        s->frame_at = at;
    if (s->head_n == 0 && in->n >= CAP_H2_HEAD) { /* nearly always */
        begin_frame(h, dir, take(in, CAP_H2_HEAD).p);
        return;
    }
    struct span piece = take(in, CAP_H2_HEAD - s->head_n);
    memcpy(s->head + s->head_n, piece.p, piece.n);
    s->head_n = (uint8_t)(s->head_n + piece.n);
    cap_count_pending(h->c, dir, piece.n);
    if (s->head_n < CAP_H2_HEAD)
        return;
    cap_count_again(h->c, dir, CAP_H2_HEAD);
    begin_frame(h, dir, s->head);
}

static void step_prefix(struct cap_h2 *h, int dir, struct span *in)
{
    struct side *s = &h->side[dir];
    struct span piece = take(in, (uint64_t)s->prefix_want - s->prefix_n);
    if (piece.n)
        memcpy(s->prefix + s->prefix_n, piece.p, piece.n);
    s->prefix_n = (uint8_t)(s->prefix_n + piece.n);
    cap_count(h->c, dir, CAP_FATE_FRAMING, piece.n);
    if (s->prefix_n == s->prefix_want && !begin_content(h, dir))
        lose_sync(h, dir);
}

static void step_content(struct cap_h2 *h, int dir, struct clk_wall at, struct span *in)
{
    struct side *s = &h->side[dir];
    struct span piece = take(in, s->left);
    if (has_block(s->frame.type))
        block_content(h, dir, at, piece);
    else if (s->frame.type == CAP_H2_DATA && piece.n)
        data_content(h, dir, at, piece);
    else
        cap_count(h->c, dir, CAP_FATE_FRAMING, piece.n);
    s->left -= piece.n;
    if (s->left > 0)
        return;
    s->state = ST_PADDING;
    if (s->padding == 0 && !h->c->failed)
        end_frame(h, dir, at);
}

static void step_padding(struct cap_h2 *h, int dir, struct clk_wall at, struct span *in)
{
    struct side *s = &h->side[dir];
    struct span piece = take(in, s->padding);
    cap_count(h->c, dir, CAP_FATE_FRAMING, piece.n);
    s->padding -= (uint32_t)piece.n;
    if (s->padding == 0)
        end_frame(h, dir, at);
}

/* Whether the state can go on without more bytes. */
static bool can_step(const struct side *s)
{
    switch (s->state) {
    case ST_PREFIX:
        return s->prefix_n == s->prefix_want;
    case ST_CONTENT:
        return s->left == 0;
    case ST_PADDING:
        return s->padding == 0;
    default:
        return false;
    }
}

static void step(struct cap_h2 *h, int dir, struct clk_wall at, struct span *in)
{
    switch (h->side[dir].state) {
    case ST_PREFACE:
        step_preface(h, dir, in);
        break;
    case ST_HEAD:
        step_head(h, dir, at, in);
        break;
    case ST_PREFIX:
        step_prefix(h, dir, in);
        break;
    case ST_CONTENT:
        step_content(h, dir, at, in);
        break;
    case ST_PADDING:
        step_padding(h, dir, at, in);
        break;
    case ST_SEARCH:
        break;
    }
}

/* --- the connection --------------------------------------------------------------- */

/* Reads what is held, from a frame header on, each piece with its own time. */
static void read_hold(struct cap_h2 *h, int dir)
{
    struct side *s = &h->side[dir];
    struct clk_wall at;
    struct span piece;
    while (!h->c->failed && s->state != ST_SEARCH &&
           cap_hold_piece(&s->hold, &at, &piece)) {
        struct span rest = piece;
        cap_count_again(h->c, dir, piece.n);
        while ((rest.n || can_step(s)) && s->state != ST_SEARCH && !h->c->failed)
            step(h, dir, at, &rest);
        cap_count_pending(h->c, dir, rest.n);
        cap_hold_drop(&s->hold, piece.n - rest.n);
    }
    if (s->state == ST_SEARCH) /* it was lost again */
        cap_h2_sync_restart(&s->sync, s->hold.at);
}

static void drop_hold(struct cap_h2 *h, int dir, size_t n)
{
    cap_hold_drop(&h->side[dir].hold, n);
    cap_count_settle(h->c, dir, CAP_FATE_OPAQUE, n);
}

static void found_frame(struct cap_h2 *h, int dir, uint64_t offset)
{
    struct side *s = &h->side[dir];
    drop_hold(h, dir, (size_t)(offset - s->hold.at));
    s->state = ST_HEAD;
    read_hold(h, dir);
}

static void search(struct cap_h2 *h, int dir, struct clk_wall at, struct span bytes)
{
    struct side *s = &h->side[dir];
    uint64_t found;
    cap_hold_add(&s->hold, at, bytes);
    if (cap_hold_failed(&s->hold)) {
        h->c->failed = true;
        return;
    }
    cap_count_pending(h->c, dir, bytes.n);
    while (s->state == ST_SEARCH && !h->c->failed &&
           cap_h2_sync_scan(&s->sync, &s->hold, &found))
        found_frame(h, dir, found);
    if (s->state == ST_SEARCH)
        drop_hold(h, dir, cap_h2_sync_spare(&s->sync, &s->hold));
}

static void charge(struct cap_h2 *h)
{
    uint64_t bytes = h->bucket_count * sizeof *h->buckets;
    for (int dir = 0; dir < 2; dir++) {
        const struct side *s = &h->side[dir];
        bytes +=
            s->block.bytes.cap + hpack_memory(&s->hpack) + cap_hold_memory(&s->hold);
    }
    cap_charge_conn(h->c, bytes);
}

void cap_h2_data(struct cap_h2 *h, int dir, struct clk_wall at, struct span bytes)
{
    struct side *s = &h->side[dir];
    while (!h->c->failed && (bytes.n || can_step(s))) {
        if (s->state == ST_SEARCH) {
            search(h, dir, at, bytes);
            break;
        }
        step(h, dir, at, &bytes);
    }
    charge(h);
}

void cap_h2_gap(struct cap_h2 *h, int dir, struct clk_wall at, uint64_t bytes)
{
    struct side *s = &h->side[dir];
    h->c->gaps++;
    if (s->state == ST_CONTENT && !has_block(s->frame.type) &&
        bytes <= s->left + s->padding) {
        uint64_t content = bytes < s->left ? bytes : s->left;
        struct cap_pending *p = find(h, s->frame.stream);
        if (s->frame.type == CAP_H2_DATA && p && p->half[dir].begun &&
            !p->half[dir].ended)
            cap_half_gap(&p->half[dir], content);
        s->left -= content;
        s->padding -= (uint32_t)(bytes - content);
        if (s->left == 0)
            s->state = ST_PADDING;
        struct span none = {0};
        while (can_step(s))
            step(h, dir, at, &none);
        return;
    }
    if (s->state == ST_HEAD)
        cap_count_settle(h->c, dir, CAP_FATE_OPAQUE, s->head_n);
    drop_hold(h, dir, cap_hold_view(&s->hold).n);
    lose_sync(h, dir);
    charge(h);
}

/* The direction brings nothing more: what is held is what it is. */
static void side_ends(struct cap_h2 *h, int dir)
{
    struct side *s = &h->side[dir];
    uint64_t found;
    if (s->state == ST_SEARCH && cap_h2_sync_end(&s->sync, &s->hold, &found))
        found_frame(h, dir, found);
    if (s->state == ST_HEAD)
        cap_count_settle(h->c, dir, CAP_FATE_OPAQUE, s->head_n);
    s->head_n = 0;
    drop_hold(h, dir, cap_hold_view(&s->hold).n);
    if (s->block.open && !s->block.spoiled)
        spoil_block(h, dir, CAP_FATE_OPAQUE);
    s->block.open = false;
}

void cap_h2_finish(struct cap_h2 *h, int dir)
{
    side_ends(h, dir);
}

void cap_h2_close(struct cap_h2 *h, enum cap_end how)
{
    for (int dir = 0; dir < 2; dir++)
        side_ends(h, dir);
    cut_all(h, how == CAP_END_RST ? CAP_LOSS_RESET : CAP_LOSS_UNANSWERED);
    for (int dir = 0; dir < 2; dir++) {
        struct side *s = &h->side[dir];
        cap_hold_done(&s->hold);
        hpack_done(&s->hpack);
        cap_h2_sync_done(&s->sync);
        buf_done(&s->block.bytes);
    }
    cap_charge_conn(h->c, 0);
    free(h->buckets);
    free(h);
}

struct cap_h2 *cap_h2_new(struct cap_conn *c, bool midway)
{
    struct cap_h2 *h = calloc(1, sizeof *h);
    if (!h) {
        c->failed = true;
        return NULL;
    }
    h->c = c;
    h->goaway = UINT32_MAX;
    c->keeper[1] = (struct cap_keeper){aged, h};
    for (int dir = 0; dir < 2; dir++) {
        struct side *s = &h->side[dir];
        hpack_init(&s->hpack, UINT32_MAX);
        s->state = dir == CAP_TO_SERVER ? ST_PREFACE : ST_HEAD;
        if (midway) {
            hpack_join(&s->hpack);
            s->state = ST_SEARCH;
        }
    }
    return h;
}

void cap_h2_join(struct cap_h2 *h, int dir)
{
    h->side[dir].state = ST_HEAD;
}

void cap_h2_adopt(struct cap_h2 *h, struct cap_pending *p)
{
    if (find(h, 1)) { /* its answer came first, as far as this side knows */
        cap_pending_move_answer(p, find(h, 1));
        orphan(h, find(h, 1));
        h->c->parse->totals.orphan_answers--;
    }
    p->stream = 1;
    h->last_asked = h->last_asked ? h->last_asked : 1;
    p = add(h, p, false);
    if (p)
        hand_on_when_complete(h, p);
}

/*
 * h2_blocks.c - header blocks of HTTP/2: collected over frames, decoded, and what they
 * say of a request, an answer or its end. See h2_own.h.
 *
 * A block is decoded even if nobody wants it: the table goes on with the sender's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "capture/h2_own.h"

#define BLOCK_KEEP (16u << 10) /* of the buffer for header blocks, between blocks */

/* --- fields ----------------------------------------------------------------------- */

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

/* The path says it where the content type cannot be read. */
static void choose_grpc_by_path(struct cap_pending *p)
{
    struct cap_half *half = &p->half[0];
    if (half->grpc == CAP_GRPC_MAYBE &&
        span_starts(cap_half_span(half, p->path), "/inference.GRPCInferenceService/"))
        half->grpc = CAP_GRPC_ON;
}

/* --- whose bytes they are --------------------------------------------------------- */

static void count_block(struct cap_h2 *h, int dir, struct cap_half *half)
{
    struct cap_h2_block *b = &h->side[dir].block;
    cap_count_again(h->c, dir, b->counted);
    if (half)
        cap_half_hold(h->c, dir, half, b->counted);
    b->counted = 0;
}

static void settle_block(struct cap_h2 *h, int dir, enum cap_fate fate)
{
    struct cap_h2_block *b = &h->side[dir].block;
    cap_count_settle(h->c, dir, fate, b->counted);
    b->counted = 0;
}

/* --- a whole block ---------------------------------------------------------------- */

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
        cap_h2_orphan(h, h->waiting.head);
}

static void begin_request(struct cap_h2 *h, struct span bytes, struct clk_wall at)
{
    struct cap_h2_block *b = &h->side[CAP_TO_SERVER].block;
    struct cap_pending *p = cap_h2_find(h, b->stream);
    if (b->stream <= h->last_asked || b->stream % 2 == 0) {
        /* Trailers of a request that is not known, or nonsense. */
        decode(h, CAP_TO_SERVER, bytes, NULL);
        settle_block(h, CAP_TO_SERVER, CAP_FATE_OPAQUE);
        return;
    }
    h->last_asked = b->stream;
    if (p) { /* its answer came first */
        cap_list_take(&h->waiting, p);
        p->waiting = false;
        cap_list_add(&h->asked, p);
    } else if (!(p = cap_h2_add(h, cap_pending_new(h->c, b->stream), false))) {
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
        cap_h2_forget(h, p);
        cap_pending_drop(h->c, p, CAP_FATE_OPAQUE);
        return;
    }
    choose_grpc(half);
    choose_grpc_by_path(p);
    orphan_before(h, b->stream);
    if (b->end_stream)
        cap_h2_half_ends(h, p, CAP_TO_SERVER, at);
}

static void begin_answer(struct cap_h2 *h, struct span bytes, struct clk_wall at)
{
    struct cap_h2_block *b = &h->side[CAP_TO_CLIENT].block;
    struct cap_pending *p = cap_h2_find(h, b->stream);
    if (!p && b->stream % 2 == 1 && b->stream > h->last_asked)
        p = cap_h2_add(h, cap_pending_new(h->c, b->stream), true);
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
        cap_h2_hand_on_when_complete(h, p);
        return;
    }
    choose_grpc(half);
    if (half->grpc == CAP_GRPC_MAYBE && p->half[0].grpc == CAP_GRPC_ON)
        half->grpc = CAP_GRPC_ON;
    p->trailers = b->end_stream;
    if (b->end_stream)
        cap_h2_half_ends(h, p, CAP_TO_CLIENT, at);
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
        cap_h2_half_ends(h, p, dir, at);
}

static void take_block(struct cap_h2 *h, int dir, struct span bytes, struct clk_wall at)
{
    struct cap_h2_block *b = &h->side[dir].block;
    struct cap_pending *p = cap_h2_find(h, b->stream);
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

/* --- over frames ------------------------------------------------------------------ */

void cap_h2_spoil_block(struct cap_h2 *h, int dir, enum cap_fate fate)
{
    struct cap_h2_side *s = &h->side[dir];
    settle_block(h, dir, fate);
    hpack_join(&s->hpack);
    s->block.spoiled = true;
    buf_reset(&s->block.bytes);
}

void cap_h2_flood(struct cap_h2 *h, int dir)
{
    cap_h2_spoil_block(h, dir, CAP_FATE_SHED);
    h->c->parse->totals.lost_limit += dir == CAP_TO_SERVER;
    cap_h2_cut_all(h, CAP_LOSS_LIMIT);
}

void cap_h2_lose_block(struct cap_h2 *h, int dir)
{
    struct cap_h2_block *b = &h->side[dir].block;
    if (b->open && !b->spoiled) {
        cap_h2_spoil_block(h, dir, CAP_FATE_OPAQUE);
        h->c->parse->totals.lost_to_gap +=
            dir == CAP_TO_SERVER && b->stream % 2 == 1 && b->stream > h->last_asked;
    }
    b->open = false;
}

void cap_h2_open_block(struct cap_h2 *h, int dir)
{
    struct cap_h2_side *s = &h->side[dir];
    struct cap_h2_block *b = &s->block;
    b->open = true;
    b->spoiled = false;
    b->end_stream = s->frame.flags & CAP_H2_END_STREAM;
    b->promise = s->frame.type == CAP_H2_PUSH_PROMISE;
    b->stream = s->frame.stream;
    b->frames = 0;
    b->first = s->frame_at;
    buf_reset(&b->bytes);
}

void cap_h2_block_content(struct cap_h2 *h, int dir, struct clk_wall at,
                          struct span bytes)
{
    struct cap_h2_side *s = &h->side[dir];
    struct cap_h2_block *b = &s->block;
    if (!b->open || b->spoiled) {
        cap_count(h->c, dir, b->open ? CAP_FATE_SHED : CAP_FATE_OPAQUE, bytes.n);
        return;
    }
    cap_count_pending(h->c, dir, bytes.n);
    b->counted += bytes.n;
    if (b->bytes.n + bytes.n > CAP_H2_BLOCK_MAX) {
        cap_h2_flood(h, dir);
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

void cap_h2_block_frame_ends(struct cap_h2 *h, int dir, struct clk_wall at)
{
    struct cap_h2_side *s = &h->side[dir];
    struct cap_h2_block *b = &s->block;
    if (!b->open || !(s->frame.flags & CAP_H2_END_HEADERS))
        return;
    b->open = false;
    if (!b->spoiled)
        take_block(h, dir, buf_view(&b->bytes), at);
    if (b->bytes.cap > BLOCK_KEEP)
        buf_done(&b->bytes);
}

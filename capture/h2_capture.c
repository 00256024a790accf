/*
 * h2_capture.c - see h2_capture.h: frames, and the connection, which finds their
 * boundaries again where they were lost. What is made of header blocks and of streams
 * stands in the files that h2_own.h names.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "capture/h2_capture.h"

#include <stdlib.h>
#include <string.h>

#include "capture/h2_own.h"

#define UNKNOWN_MAX (16u << 10) /* of a frame whose type is not known */

/* --- frames ----------------------------------------------------------------------- */

/* Frame boundaries are not known any more; the bytes in head are not a header. */
static void lose_sync(struct cap_h2 *h, int dir)
{
    struct cap_h2_side *s = &h->side[dir];
    cap_h2_lose_block(h, dir);
    hpack_join(&s->hpack);
    s->state = CAP_H2_IN_SEARCH;
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
    struct cap_pending *p = cap_h2_find(h, stream);
    if (p)
        cap_h2_cut(h, p, CAP_LOSS_RESET);
}

/* The server will not answer streams above `last`; a client asks again elsewhere. */
static void go_away(struct cap_h2 *h, int dir, uint32_t last)
{
    if (dir != CAP_TO_CLIENT || last >= h->goaway)
        return;
    h->goaway = last;
    while (h->asked.tail && h->asked.tail->stream > last)
        cap_h2_cut(h, h->asked.tail, CAP_LOSS_RESET);
}

/* The bytes in front of the content are there. False: they make no sense. */
static bool begin_content(struct cap_h2 *h, int dir)
{
    struct cap_h2_side *s = &h->side[dir];
    const struct cap_h2_frame *f = &s->frame;
    bool padded = f->flags & CAP_H2_PADDED &&
                  (f->type == CAP_H2_DATA || f->type == CAP_H2_HEADERS ||
                   f->type == CAP_H2_PUSH_PROMISE);
    s->padding = padded ? s->prefix[0] : 0;
    if (s->padding > s->left)
        return false;
    s->left -= s->padding;
    s->state = CAP_H2_IN_CONTENT;
    if (f->type == CAP_H2_RST_STREAM)
        reset_stream(h, f->stream);
    else if (f->type == CAP_H2_GOAWAY)
        go_away(h, dir, u32(s->prefix) & 0x7fffffffu);
    return true;
}

/* Blocks must not be interrupted, and not continued when there is none (6.10). */
static void check_block(struct cap_h2 *h, int dir)
{
    struct cap_h2_side *s = &h->side[dir];
    const struct cap_h2_frame *f = &s->frame;
    struct cap_h2_block *b = &s->block;
    bool continues = f->type == CAP_H2_CONTINUATION;
    if (b->open && (!continues || f->stream != b->stream)) {
        if (!b->spoiled)
            cap_h2_spoil_block(h, dir, CAP_FATE_OPAQUE);
        b->open = false;
    }
    if (f->type == CAP_H2_HEADERS || f->type == CAP_H2_PUSH_PROMISE)
        cap_h2_open_block(h, dir);
    else if (continues && !b->open)
        hpack_join(&s->hpack); /* its beginning was not seen */
    else if (continues && !b->spoiled && ++b->frames > CAP_H2_CONTINUATIONS)
        cap_h2_flood(h, dir);
}

static void begin_frame(struct cap_h2 *h, int dir, const uint8_t *head)
{
    struct cap_h2_side *s = &h->side[dir];
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
    s->state = s->prefix_want ? CAP_H2_IN_PREFIX : CAP_H2_IN_CONTENT;
}

static void data_content(struct cap_h2 *h, int dir, struct clk_wall at,
                         struct span bytes)
{
    struct cap_pending *p = cap_h2_find(h, h->side[dir].frame.stream);
    if (!p || !p->half[dir].begun || p->half[dir].ended) {
        cap_count(h->c, dir, CAP_FATE_OPAQUE, bytes.n);
        return;
    }
    struct cap_half *half = &p->half[dir];
    if (cap_h2_maybe_cut(h, p, dir))
        cap_h2_spoil(half);
    half->last = at;
    cap_half_body(h->c, dir, half, at, bytes);
}

static void end_frame(struct cap_h2 *h, int dir, struct clk_wall at)
{
    struct cap_h2_side *s = &h->side[dir];
    s->state = CAP_H2_IN_HEAD;
    if (has_block(s->frame.type)) {
        cap_h2_block_frame_ends(h, dir, at);
    } else if (s->frame.type == CAP_H2_DATA && s->frame.flags & CAP_H2_END_STREAM) {
        struct cap_pending *p = cap_h2_find(h, s->frame.stream);
        if (p && p->half[dir].begun && !p->half[dir].ended)
            cap_h2_half_ends(h, p, dir, at);
    }
}

/* --- steps ------------------------------------------------------------------------ */

static struct span take(struct span *in, uint64_t n)
{
    struct span piece = span_sub(*in, 0, n < in->n ? (size_t)n : in->n);
    *in = span_sub(*in, piece.n, in->n);
    return piece;
}

static void step_preface(struct cap_h2 *h, int dir, struct span *in)
{
    struct cap_h2_side *s = &h->side[dir];
    struct span piece = take(in, CAP_H2_PREFACE_BYTES - s->head_n);
    memcpy(s->head + s->head_n, piece.p, piece.n);
    s->head_n = (uint8_t)(s->head_n + piece.n);
    bool good = memcmp(s->head, CAP_H2_PREFACE, s->head_n) == 0;
    cap_count(h->c, dir, good ? CAP_FATE_FRAMING : CAP_FATE_OPAQUE, piece.n);
    if (!good) {
        lose_sync(h, dir);
    } else if (s->head_n == CAP_H2_PREFACE_BYTES) {
        s->head_n = 0;
        s->state = CAP_H2_IN_HEAD;
    }
}

static void step_head(struct cap_h2 *h, int dir, struct clk_wall at, struct span *in)
{
    struct cap_h2_side *s = &h->side[dir];
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
    struct cap_h2_side *s = &h->side[dir];
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
    struct cap_h2_side *s = &h->side[dir];
    struct span piece = take(in, s->left);
    if (has_block(s->frame.type))
        cap_h2_block_content(h, dir, at, piece);
    else if (s->frame.type == CAP_H2_DATA && piece.n)
        data_content(h, dir, at, piece);
    else
        cap_count(h->c, dir, CAP_FATE_FRAMING, piece.n);
    s->left -= piece.n;
    if (s->left > 0)
        return;
    s->state = CAP_H2_IN_PADDING;
    if (s->padding == 0 && !h->c->failed)
        end_frame(h, dir, at);
}

static void step_padding(struct cap_h2 *h, int dir, struct clk_wall at, struct span *in)
{
    struct cap_h2_side *s = &h->side[dir];
    struct span piece = take(in, s->padding);
    cap_count(h->c, dir, CAP_FATE_FRAMING, piece.n);
    s->padding -= (uint32_t)piece.n;
    if (s->padding == 0)
        end_frame(h, dir, at);
}

/* Whether the state can go on without more bytes. */
static bool can_step(const struct cap_h2_side *s)
{
    switch (s->state) {
    case CAP_H2_IN_PREFIX:
        return s->prefix_n == s->prefix_want;
    case CAP_H2_IN_CONTENT:
        return s->left == 0;
    case CAP_H2_IN_PADDING:
        return s->padding == 0;
    default:
        return false;
    }
}

static void step(struct cap_h2 *h, int dir, struct clk_wall at, struct span *in)
{
    switch (h->side[dir].state) {
    case CAP_H2_IN_PREFACE:
        step_preface(h, dir, in);
        break;
    case CAP_H2_IN_HEAD:
        step_head(h, dir, at, in);
        break;
    case CAP_H2_IN_PREFIX:
        step_prefix(h, dir, in);
        break;
    case CAP_H2_IN_CONTENT:
        step_content(h, dir, at, in);
        break;
    case CAP_H2_IN_PADDING:
        step_padding(h, dir, at, in);
        break;
    case CAP_H2_IN_SEARCH:
        break;
    }
}

/* --- the connection --------------------------------------------------------------- */

/* Reads what is held, from a frame header on, each piece with its own time. */
static void read_hold(struct cap_h2 *h, int dir)
{
    struct cap_h2_side *s = &h->side[dir];
    struct clk_wall at;
    struct span piece;
    while (!h->c->failed && s->state != CAP_H2_IN_SEARCH &&
           cap_hold_piece(&s->hold, &at, &piece)) {
        struct span rest = piece;
        cap_count_again(h->c, dir, piece.n);
        while ((rest.n || can_step(s)) && s->state != CAP_H2_IN_SEARCH && !h->c->failed)
            step(h, dir, at, &rest);
        cap_count_pending(h->c, dir, rest.n);
        cap_hold_drop(&s->hold, piece.n - rest.n);
    }
    if (s->state == CAP_H2_IN_SEARCH) /* it was lost again */
        cap_h2_sync_restart(&s->sync, s->hold.at);
}

static void drop_hold(struct cap_h2 *h, int dir, size_t n)
{
    cap_hold_drop(&h->side[dir].hold, n);
    cap_count_settle(h->c, dir, CAP_FATE_OPAQUE, n);
}

static void found_frame(struct cap_h2 *h, int dir, uint64_t offset)
{
    struct cap_h2_side *s = &h->side[dir];
    drop_hold(h, dir, (size_t)(offset - s->hold.at));
    s->state = CAP_H2_IN_HEAD;
    read_hold(h, dir);
}

static void search(struct cap_h2 *h, int dir, struct clk_wall at, struct span bytes)
{
    struct cap_h2_side *s = &h->side[dir];
    uint64_t found;
    cap_hold_add(&s->hold, at, bytes);
    if (cap_hold_failed(&s->hold)) {
        h->c->failed = true;
        return;
    }
    cap_count_pending(h->c, dir, bytes.n);
    while (s->state == CAP_H2_IN_SEARCH && !h->c->failed &&
           cap_h2_sync_scan(&s->sync, &s->hold, &found))
        found_frame(h, dir, found);
    if (s->state == CAP_H2_IN_SEARCH)
        drop_hold(h, dir, cap_h2_sync_spare(&s->sync, &s->hold));
}

static void charge(struct cap_h2 *h)
{
    uint64_t bytes = h->bucket_count * sizeof *h->buckets;
    for (int dir = 0; dir < 2; dir++) {
        const struct cap_h2_side *s = &h->side[dir];
        bytes +=
            s->block.bytes.cap + hpack_memory(&s->hpack) + cap_hold_memory(&s->hold);
    }
    cap_charge_conn(h->c, bytes);
}

void cap_h2_data(struct cap_h2 *h, int dir, struct clk_wall at, struct span bytes)
{
    struct cap_h2_side *s = &h->side[dir];
    while (!h->c->failed && (bytes.n || can_step(s))) {
        if (s->state == CAP_H2_IN_SEARCH) {
            search(h, dir, at, bytes);
            break;
        }
        step(h, dir, at, &bytes);
    }
    charge(h);
}

/* Nothing that is known follows what is held: its end stands for a last header. */
static void hold_ends(struct cap_h2 *h, int dir)
{
    struct cap_h2_side *s = &h->side[dir];
    uint64_t found;
    if (s->state == CAP_H2_IN_SEARCH && cap_h2_sync_end(&s->sync, &s->hold, &found))
        found_frame(h, dir, found);
}

void cap_h2_gap(struct cap_h2 *h, int dir, struct clk_wall at, uint64_t bytes)
{
    struct cap_h2_side *s = &h->side[dir];
    hold_ends(h, dir);
    h->c->gaps++;
    if (s->state == CAP_H2_IN_CONTENT && !has_block(s->frame.type) &&
        bytes <= s->left + s->padding) {
        uint64_t content = bytes < s->left ? bytes : s->left;
        struct cap_pending *p = cap_h2_find(h, s->frame.stream);
        if (s->frame.type == CAP_H2_DATA && p && p->half[dir].begun &&
            !p->half[dir].ended)
            cap_half_gap(&p->half[dir], content);
        s->left -= content;
        s->padding -= (uint32_t)(bytes - content);
        if (s->left == 0)
            s->state = CAP_H2_IN_PADDING;
        struct span none = {0};
        while (can_step(s))
            step(h, dir, at, &none);
        return;
    }
    if (s->state == CAP_H2_IN_HEAD)
        cap_count_settle(h->c, dir, CAP_FATE_OPAQUE, s->head_n);
    drop_hold(h, dir, cap_hold_view(&s->hold).n);
    lose_sync(h, dir);
    charge(h);
}

/* The direction brings nothing more: what is held is what it is. */
static void side_ends(struct cap_h2 *h, int dir)
{
    struct cap_h2_side *s = &h->side[dir];
    hold_ends(h, dir);
    if (s->state == CAP_H2_IN_HEAD)
        cap_count_settle(h->c, dir, CAP_FATE_OPAQUE, s->head_n);
    s->head_n = 0;
    drop_hold(h, dir, cap_hold_view(&s->hold).n);
    cap_h2_lose_block(h, dir);
}

void cap_h2_finish(struct cap_h2 *h, int dir)
{
    side_ends(h, dir);
}

void cap_h2_close(struct cap_h2 *h, enum cap_end how)
{
    for (int dir = 0; dir < 2; dir++)
        side_ends(h, dir);
    cap_h2_cut_all(h, how == CAP_END_RST ? CAP_LOSS_RESET : CAP_LOSS_UNANSWERED);
    for (int dir = 0; dir < 2; dir++) {
        struct cap_h2_side *s = &h->side[dir];
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
    c->keeper[1] = (struct cap_keeper){cap_h2_aged, h};
    for (int dir = 0; dir < 2; dir++) {
        struct cap_h2_side *s = &h->side[dir];
        hpack_init(&s->hpack, UINT32_MAX);
        s->state = dir == CAP_TO_SERVER ? CAP_H2_IN_PREFACE : CAP_H2_IN_HEAD;
        if (midway) {
            hpack_join(&s->hpack);
            s->state = CAP_H2_IN_SEARCH;
        }
    }
    return h;
}

void cap_h2_join(struct cap_h2 *h, int dir)
{
    h->side[dir].state = CAP_H2_IN_HEAD;
}

void cap_h2_adopt(struct cap_h2 *h, struct cap_pending *p)
{
    if (cap_h2_find(h, 1)) { /* its answer came first, as far as this side knows */
        cap_pending_move_answer(p, cap_h2_find(h, 1));
        cap_h2_orphan(h, cap_h2_find(h, 1));
        h->c->parse->totals.orphan_answers--;
    }
    p->stream = 1;
    h->last_asked = h->last_asked ? h->last_asked : 1;
    p = cap_h2_add(h, p, false);
    if (p)
        cap_h2_hand_on_when_complete(h, p);
}

/*
 * h1_capture.c - see h1_capture.h: the connection, which leads each direction from
 * state to state. What the states do stands in the files that h1_own.h names.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "capture/h1_capture.h"

#include <stdlib.h>

#include "capture/h1_own.h"

/* --- bytes ------------------------------------------------------------------------ */

/* Reads from the front of *in; the state is none that wants bytes held. */
static void step(struct cap_h1 *h, int dir, struct clk_wall at, struct span *in)
{
    struct cap_h1_side *s = &h->side[dir];
    switch (s->state) {
    case CAP_H1_LENGTH:
    case CAP_H1_CHUNK_DATA:
        cap_h1_step_sized(h, dir, at, in);
        break;
    case CAP_H1_CLOSE:
        cap_h1_give_body(h, dir, at, in, in->n);
        break;
    case CAP_H1_TUNNEL:
        cap_count(h->c, dir, CAP_FATE_OPAQUE, in->n);
        *in = span_sub(*in, in->n, in->n);
        break;
    default:
        cap_h1_step_chunked(h, dir, at, in);
    }
}

static bool wants_hold(enum cap_h1_state state)
{
    return state == CAP_H1_START || state == CAP_H1_SEARCH || state == CAP_H1_PEEK;
}

/* An answer whose request is not known may answer a HEAD: then the next one follows. */
static bool examine_peek(struct cap_h1 *h, int dir)
{
    struct cap_h1_side *s = &h->side[dir];
    enum cap_h1_verdict next = cap_h1_can_start(dir, cap_hold_view(&s->hold));
    if (next == CAP_H1_NO)
        s->state = s->after_peek; /* what is held is body */
    else if (next == CAP_H1_YES)
        cap_h1_message_ends(h, dir, cap_h1_half_of(s, dir)->last);
    return next != CAP_H1_MORE;
}

/* Looks at what is held; false: more bytes are needed. */
static bool examine(struct cap_h1 *h, int dir)
{
    switch (h->side[dir].state) {
    case CAP_H1_START:
        return cap_h1_examine_start(h, dir);
    case CAP_H1_PEEK:
        return examine_peek(h, dir);
    default:
        return cap_h1_examine_search(h, dir);
    }
}

static void hold_more(struct cap_h1 *h, int dir, struct clk_wall at, struct span *in)
{
    struct cap_h1_side *s = &h->side[dir];
    size_t max = HTTP1_HEAD_MAX;
    if (s->state == CAP_H1_PEEK)
        max = 7 - cap_hold_view(&s->hold).n;
    size_t n = in->n < max ? in->n : max;
    cap_h1_hold_bytes(h, dir, at, span_sub(*in, 0, n));
    *in = span_sub(*in, n, in->n);
}

/* Held bytes are read as those that come are, with their own times. */
static void step_held(struct cap_h1 *h, int dir)
{
    struct cap_h1_side *s = &h->side[dir];
    struct clk_wall at;
    struct span piece;
    if (!cap_hold_piece(&s->hold, &at, &piece))
        return;
    struct span rest = piece;
    cap_count_again(h->c, dir, piece.n);
    step(h, dir, at, &rest);
    cap_count_pending(h->c, dir, rest.n);
    cap_hold_drop(&s->hold, piece.n - rest.n);
}

size_t cap_h1_data(struct cap_h1 *h, int dir, struct clk_wall at, struct span bytes)
{
    struct cap_h1_side *s = &h->side[dir];
    struct span in = bytes;
    while (!h->c->failed && s->state != CAP_H1_HTTP2) {
        bool held = s->hold.bytes.n > 0;
        if (held && !wants_hold(s->state)) {
            step_held(h, dir);
        } else if (held && examine(h, dir)) {
            continue;
        } else if (!in.n) {
            break;
        } else if (!wants_hold(s->state)) {
            step(h, dir, at, &in);
        } else if (s->state != CAP_H1_START || !cap_h1_whole_head(h, dir, at, &in)) {
            hold_more(h, dir, at, &in);
        }
    }
    cap_charge_conn(h->c, cap_hold_memory(&h->side[0].hold) +
                              cap_hold_memory(&h->side[1].hold));
    return bytes.n - in.n;
}

/* --- gaps ------------------------------------------------------------------------- */

/* Bytes that are held become opaque. */
static void give_up_hold(struct cap_h1 *h, int dir)
{
    cap_h1_drop_hold(h, dir, CAP_FATE_OPAQUE, cap_hold_view(&h->side[dir].hold).n);
}

void cap_h1_gap(struct cap_h1 *h, int dir, struct clk_wall at, uint64_t bytes)
{
    struct cap_h1_side *s = &h->side[dir];
    h->c->gaps++;
    switch (s->state) {
    case CAP_H1_LENGTH:
    case CAP_H1_CHUNK_DATA:
        cap_half_gap(cap_h1_half_of(s, dir), bytes < s->left ? bytes : s->left);
        if (bytes > s->left) {
            cap_h1_message_breaks(h, dir, at);
        } else if ((s->left -= bytes) == 0) {
            if (s->state == CAP_H1_CHUNK_DATA)
                s->state = CAP_H1_CHUNK_CR;
            else
                cap_h1_message_ends(h, dir, at);
        }
        break;
    case CAP_H1_CLOSE:
        cap_half_gap(cap_h1_half_of(s, dir), bytes);
        break;
    case CAP_H1_TUNNEL:
    case CAP_H1_HTTP2:
        break;
    case CAP_H1_START:
    case CAP_H1_SEARCH:
        if (dir == CAP_TO_SERVER && cap_h1_holds_begun(s))
            h->c->parse->totals.lost_to_gap++;
        give_up_hold(h, dir);
        cap_h1_release(h, dir);
        cap_h1_search_from(s, s->hold.at);
        cap_h1_lose(h, dir);
        break;
    default:
        give_up_hold(h, dir);
        cap_h1_message_breaks(h, dir, at);
    }
}

/* --- beginning and end ------------------------------------------------------------ */

/* The direction brings nothing more. clean: its sender said so (FIN). */
static void side_ends(struct cap_h1 *h, int dir, bool clean, enum cap_loss loss)
{
    struct cap_h1_side *s = &h->side[dir];
    if (s->state == CAP_H1_PEEK) { /* up to six bytes of body */
        s->state = s->after_peek;
        while (s->msg && s->hold.bytes.n && !wants_hold(s->state))
            step_held(h, dir);
    }
    if (s->state == CAP_H1_HTTP2)
        return;
    if (dir == CAP_TO_SERVER && !s->msg && cap_h1_holds_begun(s))
        *(clean ? &h->c->parse->totals.lost_malformed
                : &h->c->parse->totals.lost_to_gap) += 1;
    give_up_hold(h, dir);
    cap_h1_release(h, dir);
    if (!s->msg)
        return;
    struct cap_half *half = cap_h1_half_of(s, dir);
    bool whole = s->state == CAP_H1_CLOSE && clean;
    if (!whole && half->loss == CAP_LOSS_NONE)
        half->loss = loss;
    s->from_search = false;
    cap_h1_message_ends(h, dir, half->last);
}

void cap_h1_finish(struct cap_h1 *h, int dir)
{
    side_ends(h, dir, true, CAP_LOSS_RESET);
}

void cap_h1_close(struct cap_h1 *h, enum cap_end how)
{
    enum cap_loss loss = how == CAP_END_RST ? CAP_LOSS_RESET : CAP_LOSS_UNANSWERED;
    for (int dir = 0; dir < 2; dir++)
        side_ends(h, dir, false, loss);
    while (h->asked.head) {
        struct cap_pending *p = h->asked.head;
        struct cap_half *answer = &p->half[CAP_TO_CLIENT];
        if (!answer->begun && answer->loss == CAP_LOSS_NONE)
            answer->loss = loss;
        cap_h1_hand_on(h, p);
    }
    while (h->waiting.head)
        cap_h1_orphan(h, h->waiting.head);
    if (h->upgraded)
        cap_pending_drop(h->c, h->upgraded, CAP_FATE_OPAQUE);
    for (int dir = 0; dir < 2; dir++)
        cap_hold_done(&h->side[dir].hold);
    cap_charge_conn(h->c, 0);
    free(h);
}

struct cap_h1 *cap_h1_new(struct cap_conn *c, bool midway)
{
    struct cap_h1 *h = calloc(1, sizeof *h);
    if (!h) {
        c->failed = true;
        return NULL;
    }
    h->c = c;
    h->last_answer.ns = INT64_MIN;
    c->keeper[0] = (struct cap_keeper){cap_h1_aged, h};
    if (midway) {
        h->uncertain = true;
        for (int dir = 0; dir < 2; dir++)
            cap_h1_search_from(&h->side[dir], 0);
    }
    return h;
}

/* --- on to HTTP/2 ----------------------------------------------------------------- */

bool cap_h1_upgraded(const struct cap_h1 *h, int dir)
{
    return h->side[dir].state == CAP_H1_HTTP2;
}

struct span cap_h1_upgrade_hold(struct cap_h1 *h, int dir)
{
    struct span held = cap_hold_view(&h->side[dir].hold);
    cap_count_again(h->c, dir, held.n);
    return held;
}

struct cap_pending *cap_h1_upgrade_request(struct cap_h1 *h)
{
    struct cap_pending *p = h->upgraded;
    h->upgraded = NULL;
    return p;
}

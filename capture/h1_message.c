/*
 * h1_message.c - messages of HTTP/1.1 begin and end: how a head says that the body is
 * framed, what is made of a message that a search found, and what leaves HTTP/1.1. See
 * h1_own.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "capture/h1_own.h"

/* --- ends ------------------------------------------------------------------------- */

void cap_h1_search_from(struct cap_h1_side *s, uint64_t offset)
{
    s->state = CAP_H1_SEARCH;
    s->candidate = false;
    s->resume = offset;
    s->scanned = offset;
}

/* The message is one, and complete. */
static void settle(struct cap_h1 *h, int dir, struct cap_pending *p)
{
    if (dir == CAP_TO_SERVER)
        cap_pending_asked(p);
    if (p->half[0].begun)
        cap_h1_hand_on_when_complete(h, p);
    else
        cap_h1_pair_all(h);
}

void cap_h1_release(struct cap_h1 *h, int dir)
{
    struct cap_pending *p = h->side[dir].trial;
    if (!p)
        return;
    h->side[dir].trial = NULL;
    settle(h, dir, p);
}

void cap_h1_retract(struct cap_h1 *h, int dir)
{
    struct cap_pending *p = h->side[dir].trial;
    h->side[dir].trial = NULL;
    if (!p)
        return;
    if (dir == CAP_TO_CLIENT && !p->half[0].begun) {
        cap_list_take(&h->waiting, p);
        cap_pending_drop(h->c, p, CAP_FATE_OPAQUE);
    } else if (dir == CAP_TO_CLIENT) {
        cap_half_drop(h->c, dir, &p->half[dir], CAP_FATE_OPAQUE);
        p->half[dir].loss = CAP_LOSS_GAP;
        cap_h1_hand_on_when_complete(h, p);
    } else if (!p->half[CAP_TO_CLIENT].begun) {
        cap_h1_leave_asked(h, p);
        cap_pending_drop(h->c, p, CAP_FATE_OPAQUE);
    } else { /* what seemed to be its answer is that of another */
        if (h->next == p)
            h->next = p->next;
        cap_list_take(&h->asked, p);
        cap_half_drop(h->c, dir, &p->half[dir], CAP_FATE_OPAQUE);
        cap_list_add(&h->waiting, p);
    }
    h->uncertain = true;
}

void cap_h1_message_ends(struct cap_h1 *h, int dir, struct clk_wall at)
{
    struct cap_h1_side *s = &h->side[dir];
    struct cap_pending *p = s->msg;
    struct cap_half *half = cap_h1_half_of(s, dir);
    half->ended = true;
    half->last = at;
    s->msg = NULL;
    s->state = CAP_H1_START;
    s->scanned = s->hold.at;
    if (dir == CAP_TO_CLIENT) {
        h->last_answer = at;
        if (!h->uncertain && p->half[0].begun && p->next &&
            cap_h1_older(p->next->half[0].first, at))
            h->pipelined = true;
    }
    if (s->from_search) {
        s->from_search = false;
        s->trial = p;
        return;
    }
    settle(h, dir, p);
}

void cap_h1_message_breaks(struct cap_h1 *h, int dir, struct clk_wall at)
{
    struct cap_h1_side *s = &h->side[dir];
    struct cap_half *half = cap_h1_half_of(s, dir);
    half->loss = CAP_LOSS_GAP;
    half->broken = true;
    s->from_search = false;
    cap_h1_message_ends(h, dir, at);
    cap_h1_search_from(s, s->hold.at);
    cap_h1_lose(h, dir);
}

/* --- requests begin --------------------------------------------------------------- */

static void choose_request_body(struct cap_h1 *h, const struct http1_head *head,
                                struct clk_wall at)
{
    struct cap_h1_side *s = &h->side[CAP_TO_SERVER];
    s->left = head->length;
    if (head->chunked)
        s->state = CAP_H1_CHUNK_SIZE;
    else if (head->has_length && head->length)
        s->state = CAP_H1_LENGTH;
    else
        cap_h1_message_ends(h, CAP_TO_SERVER, at);
}

void cap_h1_begin_request(struct cap_h1 *h, const struct http1_head *head,
                          struct span bytes, struct clk_wall first, struct clk_wall at)
{
    struct cap_h1_side *s = &h->side[CAP_TO_SERVER];
    cap_h1_settle_batch(h, first);
    struct cap_pending *p = cap_pending_new(h->c, h->requests++);
    if (!p)
        return;
    const struct cap_pending *before = h->asked.tail;
    struct cap_half *half = &p->half[0];
    half->begun = true;
    half->first = first;
    half->last = at;
    cap_pending_begun(p);
    half->lost_before = h->c->lost[0];
    /* Until its answer comes. Joined midway, what is missing in front of the first
     * answer's bytes is no gap, for nobody knows where they begin. */
    bool blind = !h->c->info.from_start && h->c->seen[1] == 0;
    p->half[1].lost_before = h->c->lost[1] - blind;
    p->gap_near = h->uncertain;
    uint32_t base = cap_half_head(half, bytes, head);
    p->method = cap_half_part(half, bytes, base, head->method);
    p->path = cap_half_part(half, bytes, base, head->target);
    p->authority = cap_half_part(half, bytes, base, http1_field(head, "host"));
    p->method_known = p->path_known = true;
    p->is_head = span_eq_str(head->method, "HEAD");
    p->is_connect = span_eq_str(head->method, "CONNECT");
    p->wants_h2c = span_eq_nocase(http1_field(head, "upgrade"), "h2c");
    cap_half_hold(h->c, CAP_TO_SERVER, half, bytes.n);
    cap_half_charge(h->c, half);
    if ((!h->uncertain && cap_h1_older(first, h->last_answer)) ||
        (before && before->half[0].last.ns == first.ns))
        h->pipelined = true; /* it did not wait */
    cap_list_add(&h->asked, p);
    if (!h->next)
        h->next = p;
    s->msg = p;
    choose_request_body(h, head, at);
    cap_h1_pair_all(h);
    cap_h1_too_many(h);
}

/* --- answers begin ---------------------------------------------------------------- */

static bool is_tunnel(const struct cap_pending *p, const struct http1_head *head)
{
    return head->status == 101 || (p->is_connect && head->status / 100 == 2);
}

/* 101, or 2xx to CONNECT: no HTTP/1.1 follows. */
static void switch_protocol(struct cap_h1 *h, const struct http1_head *head,
                            struct cap_pending *p, struct clk_wall at)
{
    struct cap_h1_side *s = &h->side[CAP_TO_CLIENT];
    bool h2c =
        head->status == 101 && span_eq_nocase(http1_field(head, "upgrade"), "h2c");
    if (!h2c) {
        h->c->parse->totals.connections_tunnel++;
        cap_h1_message_ends(h, CAP_TO_CLIENT, at);
        cap_h1_release(h, CAP_TO_CLIENT);
        s->state = CAP_H1_TUNNEL;
        if (h->side[0].state == CAP_H1_START)
            h->side[0].state = CAP_H1_TUNNEL;
        return;
    }
    if (p->half[0].begun && !p->half[0].ended) {
        /* Its body is still to come in HTTP/1.1: it stays here, answered by the 101. */
        cap_h1_message_ends(h, CAP_TO_CLIENT, at);
        cap_h1_release(h, CAP_TO_CLIENT);
        s->state = CAP_H1_HTTP2;
        return;
    }
    s->msg = NULL;
    s->from_search = false;
    s->state = CAP_H1_HTTP2;
    /* The answer to the request comes on stream 1; this one is framing. */
    cap_half_drop(h->c, CAP_TO_CLIENT, &p->half[1], CAP_FATE_FRAMING);
    if (!p->half[0].begun) {
        cap_list_take(&h->waiting, p);
        cap_pending_drop(h->c, p, CAP_FATE_FRAMING);
        return;
    }
    cap_h1_leave_asked(h, p);
    p->status = 0;
    h->upgraded = p;
}

static void choose_answer_body(struct cap_h1 *h, const struct http1_head *head,
                               struct cap_pending *p, struct clk_wall at)
{
    struct cap_h1_side *s = &h->side[CAP_TO_CLIENT];
    bool known = p->half[0].begun;
    if (is_tunnel(p, head)) {
        switch_protocol(h, head, p, at);
        return;
    }
    if (p->is_head || head->status == 204 || head->status == 304 ||
        (!head->chunked && head->has_length && head->length == 0)) {
        cap_h1_message_ends(h, CAP_TO_CLIENT, at);
        return;
    }
    s->left = head->length;
    s->state = head->chunked      ? CAP_H1_CHUNK_SIZE
               : head->has_length ? CAP_H1_LENGTH
                                  : CAP_H1_CLOSE;
    if (!known) { /* it may answer a HEAD */
        s->after_peek = s->state;
        s->state = CAP_H1_PEEK;
    }
}

void cap_h1_begin_answer(struct cap_h1 *h, const struct http1_head *head,
                         struct span bytes, struct clk_wall first, struct clk_wall at)
{
    struct cap_h1_side *s = &h->side[CAP_TO_CLIENT];
    /* Nearly always it is plain whose answer this is. */
    bool paired = h->next && !h->waiting.head && !h->uncertain;
    struct cap_pending *p = paired ? h->next : cap_pending_new(h->c, 0);
    if (!p)
        return;
    struct cap_half *half = &p->half[1];
    half->begun = true;
    half->first = first;
    half->last = at;
    p->status = head->status;
    cap_half_head(half, bytes, head);
    cap_half_hold(h->c, CAP_TO_CLIENT, half, bytes.n);
    cap_half_charge(h->c, half);
    s->msg = p;
    if (paired) {
        h->next = p->next;
    } else {
        p->gap_near = h->uncertain;
        cap_list_add(&h->waiting, p);
        cap_h1_pair_all(h);
    }
    choose_answer_body(h, head, s->msg, at);
    cap_h1_too_many(h);
}

/*
 * h2_streams.c - the streams of a connection of HTTP/2: which are open, how they end,
 * and when one is handed on. See h2_own.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "capture/h2_own.h"

#include <stdlib.h>

#define BUCKETS_MIN 8u

/* --- by number -------------------------------------------------------------------- */

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
            struct cap_pending **b = cap_h2_bucket(h, p->stream);
            p->chain = *b;
            *b = p;
        }
    }
    free(was);
    return true;
}

void cap_h2_forget(struct cap_h2 *h, struct cap_pending *p)
{
    struct cap_pending **b = cap_h2_bucket(h, p->stream);
    while (*b != p)
        b = &(*b)->chain;
    *b = p->chain;
    cap_list_take(p->waiting ? &h->waiting : &h->asked, p);
    h->stream_count--;
}

/* --- ends ------------------------------------------------------------------------- */

static void hand_on(struct cap_h2 *h, struct cap_pending *p)
{
    cap_h2_forget(h, p);
    cap_pending_emit(h->c, p);
}

void cap_h2_orphan(struct cap_h2 *h, struct cap_pending *p)
{
    cap_h2_forget(h, p);
    h->c->parse->totals.orphan_answers++;
    cap_pending_drop(h->c, p, CAP_FATE_OPAQUE);
}

void cap_h2_cut(struct cap_h2 *h, struct cap_pending *p, enum cap_loss why)
{
    if (p->waiting) {
        cap_h2_orphan(h, p);
        return;
    }
    for (int dir = 0; dir < 2; dir++) {
        struct cap_half *half = &p->half[dir];
        if (half->ended || half->loss != CAP_LOSS_NONE)
            continue;
        if (half->begun && cap_h2_maybe_cut(h, p, dir))
            cap_h2_spoil(half);
        else
            half->loss = why;
    }
    hand_on(h, p);
}

void cap_h2_cut_all(struct cap_h2 *h, enum cap_loss why)
{
    while (h->asked.head)
        cap_h2_cut(h, h->asked.head, why);
    while (h->waiting.head)
        cap_h2_orphan(h, h->waiting.head);
}

void cap_h2_aged(void *owner, struct cap_pending *p)
{
    hand_on(owner, p);
}

void cap_h2_hand_on_when_complete(struct cap_h2 *h, struct cap_pending *p)
{
    struct cap_half *request = &p->half[0], *answer = &p->half[1];
    if (!answer->ended || !request->begun)
        return;
    if (!request->ended && cap_h2_maybe_cut(h, p, CAP_TO_SERVER)) {
        cap_h2_spoil(request); /* its end was among what is missing */
        request->ended = true;
    }
    if (request->ended)
        hand_on(h, p);
}

void cap_h2_half_ends(struct cap_h2 *h, struct cap_pending *p, int dir,
                      struct clk_wall at)
{
    struct cap_half *half = &p->half[dir];
    half->ended = true;
    half->last = at;
    if (cap_h2_maybe_cut(h, p, dir))
        cap_h2_spoil(half);
    if (dir == CAP_TO_SERVER)
        cap_pending_asked(p);
    cap_h2_hand_on_when_complete(h, p);
}

/* --- beginning -------------------------------------------------------------------- */

struct cap_pending *cap_h2_add(struct cap_h2 *h, struct cap_pending *p, bool waiting)
{
    if (!p || !make_buckets(h)) {
        if (p)
            cap_pending_drop(h->c, p, CAP_FATE_SHED);
        return NULL;
    }
    p->h2 = true;
    p->waiting = waiting;
    struct cap_pending **b = cap_h2_bucket(h, p->stream);
    p->chain = *b;
    *b = p;
    cap_list_add(waiting ? &h->waiting : &h->asked, p);
    h->stream_count++;
    if (h->stream_count > CAP_H2_STREAMS_MAX) {
        h->c->parse->totals.streams_dropped++;
        struct cap_pending *oldest = h->waiting.head ? h->waiting.head : h->asked.head;
        if (oldest == p)
            oldest = h->asked.head;
        cap_h2_cut(h, oldest, CAP_LOSS_LIMIT);
    }
    return p;
}

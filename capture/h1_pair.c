/*
 * h1_pair.c - which answer belongs to which request: in order; by time where messages
 * may be missing; by batches where the client, besides, does not wait for answers; not
 * at all where it cannot be told. See h1_own.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "capture/h1_own.h"

#define WAITING_MAX 1024u /* answers whose requests have not come yet */

/* --- leaving ---------------------------------------------------------------------- */

void cap_h1_leave_asked(struct cap_h1 *h, struct cap_pending *p)
{
    if (h->next == p)
        h->next = p->next;
    cap_list_take(&h->asked, p);
    for (int dir = 0; dir < 2; dir++) {
        struct cap_h1_side *s = &h->side[dir];
        if (s->msg == p)
            s->msg = NULL;
        if (s->trial == p)
            s->trial = NULL;
    }
}

void cap_h1_hand_on(struct cap_h1 *h, struct cap_pending *p)
{
    cap_h1_leave_asked(h, p);
    cap_pending_emit(h->c, p);
}

void cap_h1_hand_on_when_complete(struct cap_h1 *h, struct cap_pending *p)
{
    const struct cap_half *answer = &p->half[CAP_TO_CLIENT];
    bool lost = !answer->begun && answer->loss != CAP_LOSS_NONE;
    if (p->half[0].ended && (answer->ended || lost) && h->side[0].trial != p &&
        h->side[1].trial != p)
        cap_h1_hand_on(h, p);
}

void cap_h1_orphan(struct cap_h1 *h, struct cap_pending *answer)
{
    struct cap_h1_side *s = &h->side[CAP_TO_CLIENT];
    h->c->parse->totals.orphan_answers++;
    cap_list_take(&h->waiting, answer);
    if (s->trial == answer)
        s->trial = NULL;
    cap_pending_drop(h->c, answer, CAP_FATE_OPAQUE);
}

void cap_h1_aged(void *owner, struct cap_pending *p)
{
    struct cap_h1 *h = owner;
    h->uncertain = true;
    cap_h1_hand_on(h, p);
}

/* --- pairing ---------------------------------------------------------------------- */

static void pair(struct cap_h1 *h, struct cap_pending *request,
                 struct cap_pending *answer)
{
    struct cap_h1_side *s = &h->side[CAP_TO_CLIENT];
    cap_list_take(&h->waiting, answer);
    cap_pending_move_answer(request, answer);
    if (s->msg == answer)
        s->msg = request;
    if (s->trial == answer)
        s->trial = request;
    cap_pending_drop(h->c, answer, CAP_FATE_OPAQUE); /* nothing is left in it */
    h->next = request->next;
    if (h->uncertain && !h->next && !h->waiting.count)
        h->uncertain = false; /* one question, one answer, nothing else open */
    cap_h1_hand_on_when_complete(h, request);
}

/* The request will not get its answer any more: that is missing. */
static void answer_is_lost(struct cap_h1 *h, struct cap_pending *request)
{
    h->next = request->next;
    request->half[CAP_TO_CLIENT].loss = CAP_LOSS_GAP;
    cap_h1_hand_on_when_complete(h, request);
}

/* Its answer may be among what is missing, and with it the next request: then what
 * comes now may answer that one. */
static bool answer_may_be_another(const struct cap_h1 *h,
                                  const struct cap_pending *request)
{
    bool asked_more = h->c->unseen[0] || request->half[0].lost_before != h->c->lost[0];
    return asked_more && request->half[1].lost_before != h->c->lost[1];
}

static void pair_by_time(struct cap_h1 *h)
{
    struct cap_pending *request, *answer;
    while ((request = h->next) && (answer = h->waiting.head)) {
        struct clk_wall answered = answer->half[CAP_TO_CLIENT].first;
        if (cap_h1_older(answered, request->half[0].first)) {
            if (answer == h->side[CAP_TO_CLIENT].msg)
                return; /* orphaned once it is complete */
            cap_h1_orphan(h, answer);
        } else if ((request->next &&
                    !cap_h1_older(answered, request->next->half[0].first)) ||
                   answer_may_be_another(h, request)) {
            answer_is_lost(h, request);
        } else {
            pair(h, request, answer);
        }
    }
}

/* It came before the request that it should answer. */
static bool answers_another(const struct cap_pending *answer,
                            const struct cap_pending *request)
{
    return cap_h1_older(answer->half[CAP_TO_CLIENT].first, request->half[0].first);
}

void cap_h1_pair_all(struct cap_h1 *h)
{
    while (!h->uncertain || h->pipelined) {
        struct cap_pending *answer = h->waiting.head;
        if (!h->next || !answer || answer == h->side[CAP_TO_CLIENT].msg ||
            !answers_another(answer, h->next))
            break;
        h->uncertain = h->pipelined = true; /* one answer more than was asked for */
        cap_h1_orphan(h, answer);
    }
    if (h->uncertain && !h->pipelined) {
        pair_by_time(h);
        return;
    }
    while (!h->uncertain && h->next && h->waiting.head)
        pair(h, h->next, h->waiting.head);
}

/* --- batches ---------------------------------------------------------------------- */

#define BATCHES_BELIEVED 2u

/* Two or more requests of one packet, and as many answers, none older than they are. */
static bool is_batch(const struct cap_h1 *h, uint32_t open)
{
    if (open < 2 || h->waiting.count != open)
        return false;
    int64_t asked = h->next->half[0].first.ns;
    const struct cap_pending *request = h->next, *answer = h->waiting.head;
    for (; request; request = request->next, answer = answer->next)
        if (request->half[0].first.ns != asked || answers_another(answer, request))
            return false;
    return true;
}

static void give_up_batch(struct cap_h1 *h)
{
    for (struct cap_pending *p = h->next, *after; p; p = after) {
        after = p->next;
        answer_is_lost(h, p);
    }
    for (struct cap_pending *p = h->waiting.head, *after; p; p = after) {
        after = p->next;
        if (p != h->side[CAP_TO_CLIENT].msg)
            cap_h1_orphan(h, p);
    }
}

void cap_h1_settle_batch(struct cap_h1 *h, struct clk_wall now)
{
    const struct cap_pending *last = h->asked.tail;
    bool all_seen = !h->c->unseen[CAP_TO_CLIENT]; /* that it had been answered */
    if (last && last->half[0].first.ns == now.ns)
        return; /* one more of this batch */
    if (!h->uncertain || !h->pipelined) {
        h->slides |= h->next && !h->uncertain && all_seen;
        return;
    }
    uint32_t open = 0;
    for (const struct cap_pending *p = h->next; p; p = p->next)
        open++;
    h->slides |= all_seen && (h->waiting.count < open || h->side[CAP_TO_CLIENT].msg);
    h->batches += is_batch(h, open);
    if (h->slides || h->batches < BATCHES_BELIEVED || !is_batch(h, open)) {
        give_up_batch(h);
        return;
    }
    h->uncertain = false;
    cap_h1_pair_all(h);
}

/* --- what is missing, or too much ------------------------------------------------- */

void cap_h1_lose(struct cap_h1 *h, int dir)
{
    h->c->lost[dir]++;
    h->uncertain = true;
    if (!h->pipelined)
        return;
    /* Which of several open requests the next answer belongs to cannot be told. */
    struct cap_pending *p = h->next;
    while (p) {
        struct cap_pending *after = p->next;
        answer_is_lost(h, p);
        p = after;
    }
}

void cap_h1_too_many(struct cap_h1 *h)
{
    if (h->asked.count > CAP_PIPELINED_MAX) {
        struct cap_pending *p = h->asked.head;
        h->uncertain = true;
        h->c->parse->totals.streams_dropped++;
        p->half[CAP_TO_CLIENT].loss = CAP_LOSS_LIMIT;
        if (p != h->side[0].msg && p != h->side[1].msg)
            cap_h1_hand_on(h, p);
    }
    if (h->waiting.count > WAITING_MAX && h->uncertain && h->pipelined)
        give_up_batch(h);
    else if (h->waiting.count > WAITING_MAX && h->waiting.head != h->side[1].msg)
        cap_h1_orphan(h, h->waiting.head);
}

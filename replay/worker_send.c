/*
 * worker_send.c - what is due goes to an engine, at its time: the schedule, the queue
 * behind it and what the policy says of that, closed loop, and what follows when a
 * request has ended. See worker_own.h.
 *
 * All of it is in one file so that the compiler sees the whole way of a request.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replay/worker_own.h"

#include <assert.h>

#define PAUSE_NS CLK_MS /* we were not just a little late, but held up */
/* So much later than it was to end, or to begin, a turn was held up. Less is what a
 * batch of events takes, or a processor that others want. */
#define HELD_NS (20 * CLK_MS)
/* So close to due that one more poll would cost punctuality: watch the clock alone. */
#define TIGHT_NS (4 * CLK_US)
/* Before due: time enough to frame a call, and little else is held up. */
#define FRAME_NS (10 * CLK_US)

#define CAP_REACHED                                                                    \
    "as many operations as --cap allows were under way, or waiting to be sent"

static void count(_Atomic uint64_t *n, uint64_t by)
{
    /* One writer: no locked instruction is needed. */
    atomic_store_explicit(n, atomic_load_explicit(n, memory_order_relaxed) + by,
                          memory_order_relaxed);
}

static struct rep_lane *lane_of(struct rep_worker *w, const struct rep_request *r)
{
    return &w->lanes[r->stream->as_sent.protocol == OP_GRPC];
}

/* --- how requests end ------------------------------------------------------------- */

/* What follows it in its session counts from here. */
static int64_t end_of(struct rep_worker *w, const struct rep_request *r)
{
    return r->out.done_ns != OP_TIME_NONE ? r->out.done_ns
           : r->refusal                   ? r->out.due_ns
                                          : rep_worker_now(w);
}

void rep_worker_finish(struct rep_worker *w, struct rep_request *r)
{
    if (w->config.sessions)
        rep_sessions_ended(&w->sessions, r, end_of(w, r) - w->start_ns);
    rep_queue_push(&w->finished, r);
    if (w->config.users > 0) {
        rep_slots_freed(&w->users, r->out.done_ns != OP_TIME_NONE ? r->out.done_ns
                                                                  : rep_worker_now(w));
        w->free_users++;
    }
}

void rep_worker_never_ready(struct rep_request *r)
{
    r->out.ready_ns = OP_TIME_NONE;
    r->out.wait = OUT_WAIT_NONE;
}

/* --- any connection --------------------------------------------------------------- */

/* The first moment at which what is due at `due` may follow the one sent last: the
 * backlog keeps the gaps of its schedule, divided by catch_up. */
static int64_t may_send(const struct rep_worker *w, const struct rep_lane *l,
                        int64_t due)
{
    double x = w->config.policy.catch_up;
    if (x <= 0 || l->sent_at == 0 || due <= l->sent_due)
        return x > 0 && l->sent_at > due ? l->sent_at : due;
    int64_t at = l->sent_at + (int64_t)((double)(due - l->sent_due) / x);
    return at > due ? at : due;
}

static void hand_to_engine(struct rep_worker *w, struct rep_lane *l,
                           struct rep_request *r)
{
    count(&w->waiting, (uint64_t)-1);
    count(&w->in_flight, 1);
    count(&w->sent, 1);
    l->engine->ops->send(l->engine, r);
}

static void send_one(struct rep_worker *w, struct rep_lane *l, uint32_t room)
{
    struct rep_request *r = rep_queue_pop(&l->waiting);
    int64_t since = rep_slots_take(&l->slots, room);
    r->out.ready_ns = r->out.due_ns;
    rep_request_waited(r, may_send(w, l, r->out.due_ns), OUT_WAIT_TURN);
    rep_request_waited(r, since, OUT_WAIT_SLOT);
    if (w->config.policy.catch_up > 0) {
        l->sent_at = rep_worker_now(w);
        l->sent_due = r->out.due_ns;
    }
    hand_to_engine(w, l, r);
}

/* The policy ends the run: nothing more is sent, and the run is told why. */
static void abort_late(struct rep_worker *w)
{
    atomic_store(&w->config.control->too_late, true);
    atomic_store(&w->config.control->stop, true);
}

/* Gives waiting requests to the engine while it has room; drops those that waited too
 * long, room or not. */
static void drain(struct rep_worker *w, struct rep_lane *l)
{
    const struct rep_policy *policy = &w->config.policy;
    bool timed = policy->drop_late_ns > 0 || policy->abort_late_ns > 0;
    struct rep_request *r;

    while ((r = l->waiting.head) != NULL) {
        int64_t late = timed ? rep_worker_now(w) - r->out.due_ns : 0;
        if (policy->abort_late_ns > 0 && late > policy->abort_late_ns) {
            abort_late(w);
            return;
        }
        if (policy->drop_late_ns > 0 && late > policy->drop_late_ns) {
            rep_queue_remove(&l->waiting, r);
            count(&w->waiting, (uint64_t)-1);
            r->out.cause = OUT_DROPPED;
            rep_worker_finish(w, r);
            continue;
        }
        uint32_t room = l->engine->ops->free_slots(l->engine);
        if (room == 0)
            return;
        int64_t allowed = policy->catch_up > 0 ? may_send(w, l, r->out.due_ns) : 0;
        if (allowed > r->out.due_ns && allowed > rep_worker_now(w)) {
            w->paced = allowed < w->paced ? allowed : w->paced;
            return;
        }
        send_one(w, l, room);
    }
}

/* --- recorded connections --------------------------------------------------------- */

/* What the policy says of one that still waits. */
enum patience { WAITS, DROPPED, ENDS_RUN };

static enum patience patience(struct rep_worker *w, const struct rep_request *r)
{
    const struct rep_policy *policy = &w->config.policy;
    if (policy->drop_late_ns == 0 && policy->abort_late_ns == 0)
        return WAITS;
    int64_t late = rep_worker_now(w) - r->out.due_ns;
    return policy->abort_late_ns > 0 && late > policy->abort_late_ns ? ENDS_RUN
           : policy->drop_late_ns > 0 && late > policy->drop_late_ns ? DROPPED
                                                                     : WAITS;
}

static void drop(struct rep_worker *w, struct rep_request *r)
{
    count(&w->waiting, (uint64_t)-1);
    rep_worker_never_ready(r);
    r->out.cause = OUT_DROPPED;
    rep_worker_finish(w, r);
}

/* Sends what waits for the connection of a slot, as far as it can carry more. */
static void drain_pin(struct rep_worker *w, struct rep_lane *l, uint32_t slot,
                      bool waited)
{
    struct rep_pin_slot *s = &l->pins.slots[slot];
    while (s->waiting.head) {
        enum patience p = patience(w, s->waiting.head);
        if (p == ENDS_RUN) {
            abort_late(w);
            return;
        }
        if (p == DROPPED) {
            drop(w, rep_pins_leave(&l->pins, slot));
            continue;
        }
        if (l->engine->ops->room(l->engine, slot) == 0)
            return;
        struct rep_request *r = rep_pins_begin(&l->pins, slot);
        r->slot = slot;
        if (waited)
            rep_request_waited(r, s->freed_ns, OUT_WAIT_OWN);
        hand_to_engine(w, l, r);
    }
}

/* Gives the first of those that have none a slot, if there is one. */
static bool assign_pin(struct rep_worker *w, struct rep_lane *l, bool waited)
{
    struct rep_request *r = l->waiting.head;
    bool renewed = false;
    uint32_t slot = rep_pins_find(&l->pins, r->pin);

    if (slot == OP_NONE)
        slot = rep_pins_take(&l->pins, r->pin, &renewed);
    if (slot == OP_NONE)
        return false;
    rep_queue_pop(&l->waiting);
    if (renewed) {
        l->engine->ops->renew(l->engine, slot);
        if (waited)
            rep_request_waited(r, l->pins.slots[slot].freed_ns, OUT_WAIT_SLOT);
    }
    rep_pins_wait(&l->pins, slot, r);
    drain_pin(w, l, slot, false);
    return true;
}

/* All that waits: for its connection, or for any. */
static void drain_pins(struct rep_worker *w, struct rep_lane *l)
{
    for (uint32_t i = 0; i < l->pins.used && l->pins.waiting > 0; i++)
        if (l->pins.slots[i].waiting.head)
            drain_pin(w, l, i, true);
    while (l->waiting.head) {
        enum patience p = patience(w, l->waiting.head);
        if (p == ENDS_RUN) {
            abort_late(w);
            return;
        }
        if (p == DROPPED)
            drop(w, rep_queue_pop(&l->waiting));
        else if (!assign_pin(w, l, true))
            return;
    }
}

/* One that is due now. */
static void accept_pinned(struct rep_worker *w, struct rep_lane *l,
                          struct rep_request *r)
{
    uint32_t slot = rep_pins_find(&l->pins, r->pin);
    if (slot != OP_NONE) {
        bool first = l->pins.slots[slot].waiting.head == NULL;
        rep_pins_wait(&l->pins, slot, r);
        if (first)
            drain_pin(w, l, slot, false);
        return;
    }
    bool first = l->waiting.head == NULL;
    rep_queue_push(&l->waiting, r);
    if (first)
        (void)assign_pin(w, l, false);
}

/* --- what is due ------------------------------------------------------------------ */

/* Requests that are due and have not ended: in flight, or waiting. */
static bool at_cap(const struct rep_worker *w)
{
    uint64_t under_way = atomic_load_explicit(&w->in_flight, memory_order_relaxed) +
                         atomic_load_explicit(&w->waiting, memory_order_relaxed);
    return w->config.policy.cap > 0 && under_way >= w->config.policy.cap;
}

static void accept_due(struct rep_worker *w, struct rep_request *r, int64_t due)
{
    r->out.due_ns = due;
    r->out.worker = (uint16_t)w->config.index;
    count(&w->due, 1);
    if (!r->refusal && at_cap(w))
        r->refusal = CAP_REACHED;
    if (r->refusal) {
        r->out.cause = OUT_REFUSED;
        rep_worker_finish(w, r);
        return;
    }
    struct rep_lane *l = lane_of(w, r);
    assert(l->engine);
    count(&w->waiting, 1);
    if (w->config.pinned) {
        r->out.ready_ns = due;
        accept_pinned(w, l, r);
        return;
    }
    rep_queue_push(&l->waiting, r);
    drain(w, l);
}

/* The plan had nothing since `starved_since`, though something could have been sent. */
static void starved_until(struct rep_worker *w, int64_t now, int64_t due)
{
    int64_t from = due > w->starved_since ? due : w->starved_since;
    if (w->starved_since > 0 && now > from)
        w->stats.starved_ns += now - from;
    w->starved_since = 0;
}

/* The next planned request, or NULL; *more tells whether there may be one later. */
static struct rep_request *next_planned(struct rep_worker *w, int64_t now, bool *more)
{
    bool ended = rep_plan_ended(w->config.plan);
    if (!w->planned)
        w->planned = rep_plan_take(w->config.plan, w->config.index);
    *more = w->planned || !ended;
    if (!w->planned && !ended && w->starved_since == 0)
        w->starved_since = now;
    return w->planned;
}

/* Takes from the plan what sessions may need: all that the schedule has reached, and
 * some more. */
static void look_ahead(struct rep_worker *w, int64_t now, bool *more)
{
    struct rep_request *r;
    while ((r = next_planned(w, now, more)) != NULL) {
        int64_t due = 0;
        if (w->sessions.held >= REP_SESSION_AHEAD && w->start_ns + r->out.due_ns > now)
            return;
        rep_worker_pop_planned(w);
        if (rep_sessions_add(&w->sessions, r, &due, &w->err) < 0) {
            r->session = OP_NONE;
            r->refusal = "there was no memory for its session";
            accept_due(w, r, now);
            continue;
        }
        if (w->starved_since > 0)
            starved_until(w, now, due == REP_NEVER ? due : w->start_ns + due);
    }
}

/* What is due next; it is still where it was. */
static struct rep_request *first_due(struct rep_worker *w, int64_t now, bool *more)
{
    if (!w->config.sessions)
        return next_planned(w, now, more);
    look_ahead(w, now, more);
    w->polls = *more && !w->planned;
    return rep_sessions_first(&w->sessions);
}

static struct rep_request *pop_due(struct rep_worker *w)
{
    return w->config.sessions ? rep_sessions_pop(&w->sessions)
                              : rep_worker_pop_planned(w);
}

/* --- sending at its time ---------------------------------------------------------- */

static void watch_until(struct rep_worker *w, int64_t due)
{
    int64_t from = w->last_now, now;
    while ((now = rep_worker_now(w)) < due)
        ;
    w->polled_ns += now - from;
}

/* Framing takes microseconds: done ahead, it does not make the request late. Only where
 * the request will be sent at its time for sure. */
static bool can_frame(struct rep_worker *w, const struct rep_request *r)
{
    const struct rep_lane *l = lane_of(w, r);
    int64_t due = w->start_ns + r->out.due_ns;
    if (w->config.pinned && !r->refusal) {
        uint32_t slot = rep_pins_find(&l->pins, r->pin);
        return l->engine->ops->frame && slot != OP_NONE && !at_cap(w) &&
               !l->pins.slots[slot].waiting.head &&
               l->engine->ops->room(l->engine, slot) > 0;
    }
    return !r->refusal && l->engine->ops->frame && !l->waiting.head && !at_cap(w) &&
           may_send(w, l, due) == due && l->engine->ops->free_slots(l->engine) > 0;
}

/* Sends everything that is due by now. Returns when the next is due: absolute,
 * REP_NEVER when that hangs on an answer or there is none, 0 when the plan has to be
 * asked again. */
static int64_t pump_open(struct rep_worker *w)
{
    for (;;) {
        bool more;
        int64_t now = rep_worker_now(w);
        struct rep_request *r = first_due(w, now, &more);
        if (w->config.sessions && now - w->start_ns >= w->config.limit_ns) {
            w->past_limit = true;
            rep_plan_stop(w->config.plan);
            return REP_NEVER;
        }
        if (!r)
            return more ? 0 : REP_NEVER;
        int64_t due = w->start_ns + r->out.due_ns;
        if (w->config.sessions && r->out.due_ns >= w->config.limit_ns)
            return w->start_ns + w->config.limit_ns;
        if (w->starved_since > 0 && !w->config.sessions)
            starved_until(w, now, due);
        if (due > now && w->config.spin && due - now <= FRAME_NS && can_frame(w, r)) {
            struct rep_engine *en = lane_of(w, r)->engine;
            accept_due(w, pop_due(w), due);
            en->ops->frame(en);
            watch_until(w, due);
            en->ops->flush(en);
            continue;
        }
        if (due - now > TIGHT_NS || (due > now && !w->config.spin))
            return due;
        watch_until(w, due);
        accept_due(w, pop_due(w), due);
    }
}

/* Gives every free user its next request; returns as pump_open. Nothing here hangs on
 * microseconds, so the last moment that is known will do. */
static int64_t pump_closed(struct rep_worker *w)
{
    while (w->free_users > 0) {
        bool more;
        int64_t now = w->recent;
        if (now < w->start_ns)
            return w->start_ns;
        if (now - w->start_ns >= w->config.limit_ns) {
            w->past_limit = true;
            rep_plan_stop(w->config.plan); /* the others are past it, too */
            break;
        }
        if (!next_planned(w, now, &more))
            return more ? 0 : REP_NEVER;
        int64_t due = rep_slots_take(&w->users, w->free_users);
        if (due < w->start_ns)
            due = w->start_ns;
        if (w->starved_since > 0)
            starved_until(w, now, due);
        w->free_users--;
        accept_due(w, rep_worker_pop_planned(w), due);
    }
    return REP_NEVER;
}

void rep_worker_pump(struct rep_worker *w)
{
    w->pumping = true;
    w->next = w->paced = REP_NEVER;
    for (int i = 0; i < REP_LANE_COUNT; i++)
        if (w->lanes[i].engine && w->config.pinned)
            drain_pins(w, &w->lanes[i]);
        else if (w->lanes[i].engine)
            drain(w, &w->lanes[i]);
    if (!w->past_limit)
        w->next = w->config.users > 0 ? pump_closed(w) : pump_open(w);
    w->pumping = false;
}

/* Since when this thread has not looked at its sockets, if it was held up until `now`;
 * else now. What came meanwhile may have come at any moment of it. */
static int64_t unseen_since(const struct rep_worker *w, int64_t now)
{
    if (w->turn_from - w->turn_before > HELD_NS)
        return w->turn_before;
    return now - w->turn_until > HELD_NS ? w->turn_until : now;
}

/* When the request's slot would have become free, but for a pause of ours: else those
 * behind what we sent late, or read late, would blame the target for the wait.
 * Microseconds are no pause: they would add up along a queue. */
static int64_t freed_at(struct rep_worker *w, const struct rep_request *r)
{
    int64_t done = r->out.done_ns != OP_TIME_NONE ? r->out.done_ns : rep_worker_now(w);
    done = unseen_since(w, done);
    int64_t late =
        r->out.sent_ns != OP_TIME_NONE ? r->out.sent_ns - r->out.ready_ns : 0;
    return late > PAUSE_NS ? done - late : done;
}

void rep_worker_done(void *arg, struct rep_request *r)
{
    struct rep_worker *w = arg;
    struct rep_lane *l = lane_of(w, r);
    l->answered = l->answered || r->out.cause == OUT_OK || r->out.cause == OUT_STATUS;
    if (w->config.pinned)
        rep_pins_end(&l->pins, r->slot, freed_at(w, r));
    else
        rep_slots_freed(&l->slots, freed_at(w, r));
    count(&w->in_flight, (uint64_t)-1);
    if (r->out.done_ns != OP_TIME_NONE && r->out.done_ns > w->recent)
        w->recent = r->out.done_ns;
    rep_worker_finish(w, r);
    if (!w->pumping && w->start_ns > 0 && !atomic_load(&w->config.control->stop))
        rep_worker_pump(w);
}

/*
 * worker.c - see worker.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replay/worker.h"

#include <assert.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include "replay/handoff.h"
#include "replay/machine.h"
#include "replay/pacer.h"
#include "replay/pins.h"
#include "replay/sessions.h"
#include "replay/slots.h"
#include "traces/base/log.h"

#define OUT_RING   4096u          /* chains of ended requests, for the run writer */
#define POLL_NS    (200 * CLK_US) /* while there is nothing to hold a turn for */
#define IDLE_NS    (50 * CLK_MS)  /* longest turn: bounds how late a stop is seen */
#define LANE_COUNT 2
#define PAUSE_NS   CLK_MS /* we were not just a little late, but held up */

/* So close to due that one more poll would cost punctuality: watch the clock alone. */
#define TIGHT_NS (4 * CLK_US)
/* Before due: where a helper wants the processor, wake up so early. On a processor that
 * is not idle that takes less than 10 us. */
#define LENT_NS (15 * CLK_US)
#define LEND_NS (20 * CLK_US) /* for less it is not worth two changes of threads */
/* Before due: time enough to frame a call, and little else is held up. */
#define FRAME_NS (10 * CLK_US)

/* A protocol: its engine, and the requests that are due but found nothing free. */
struct lane {
    struct rep_engine *engine; /* NULL: no target for it */
    struct rep_queue waiting;
    struct rep_slots slots;
    struct rep_pins pins; /* with recorded connections, in place of slots */
    /* Of the one sent last; with a limit to catching up. sent_at 0: none yet. */
    int64_t sent_at, sent_due;
    bool answered; /* in its protocol, once */
};

#define CAP_REACHED                                                                    \
    "as many operations as --cap allows were under way, or waiting to be sent"

struct rep_worker {
    struct rep_worker_config config;
    pthread_t thread;
    struct ev *ev;
    struct lane lanes[LANE_COUNT];
    struct rep_request *planned;  /* taken from the plan, in order, not yet due */
    struct rep_sessions sessions; /* partly open */
    struct rep_slots users;       /* closed loop: since when each free user is free */
    uint32_t free_users;
    int64_t start_ns, starved_since; /* absolute; 0: is not */
    struct rep_queue finished;       /* to be handed over at the end of the turn */
    struct rep_handoff out;
    struct rep_pacer pacer;
    bool pumping, past_limit;
    bool polls;    /* the plan will have more, and may have it before anything is due */
    int64_t next;  /* what the last pump found: see there */
    int64_t paced; /* when the backlog may go on; REP_NEVER: nothing holds it */
    int64_t last_now;  /* read from the clock */
    int64_t recent;    /* that, or when something ended since */
    int64_t polled_ns; /* spent on looking at clock and sockets, for nothing */
    struct rep_worker_stats stats;
    _Atomic bool ready, ended;
    _Atomic uint64_t due, sent, in_flight, waiting;
    int rc;
    struct err err;
};

static int64_t now_ns(struct rep_worker *w)
{
    int64_t now = clk_mono_now(w->config.clk).ns;
    if (now < w->last_now)
        w->stats.clock_backwards = true;
    w->last_now = w->recent = now;
    return now;
}

static void count(_Atomic uint64_t *n, uint64_t by)
{
    /* One writer: no locked instruction is needed. */
    atomic_store_explicit(n, atomic_load_explicit(n, memory_order_relaxed) + by,
                          memory_order_relaxed);
}

static struct lane *lane_of(struct rep_worker *w, const struct rep_request *r)
{
    return &w->lanes[r->stream->as_sent.protocol == OP_GRPC];
}

/* --- taking what is due ----------------------------------------------------------- */

/* What follows it in its session counts from here. */
static int64_t end_of(struct rep_worker *w, const struct rep_request *r)
{
    return r->out.done_ns != OP_TIME_NONE ? r->out.done_ns
           : r->refusal                   ? r->out.due_ns
                                          : now_ns(w);
}

static void finish(struct rep_worker *w, struct rep_request *r)
{
    if (w->config.sessions)
        rep_sessions_ended(&w->sessions, r, end_of(w, r) - w->start_ns);
    rep_queue_push(&w->finished, r);
    if (w->config.users > 0) {
        rep_slots_freed(&w->users,
                        r->out.done_ns != OP_TIME_NONE ? r->out.done_ns : now_ns(w));
        w->free_users++;
    }
}

/* The first moment at which what is due at `due` may follow the one sent last: the
 * backlog keeps the gaps of its schedule, divided by catch_up. */
static int64_t may_send(const struct rep_worker *w, const struct lane *l, int64_t due)
{
    double x = w->config.policy.catch_up;
    if (x <= 0 || l->sent_at == 0 || due <= l->sent_due)
        return x > 0 && l->sent_at > due ? l->sent_at : due;
    int64_t at = l->sent_at + (int64_t)((double)(due - l->sent_due) / x);
    return at > due ? at : due;
}

static void hand_to_engine(struct rep_worker *w, struct lane *l, struct rep_request *r)
{
    count(&w->waiting, (uint64_t)-1);
    count(&w->in_flight, 1);
    count(&w->sent, 1);
    l->engine->ops->send(l->engine, r);
}

static void send_one(struct rep_worker *w, struct lane *l, uint32_t room)
{
    struct rep_request *r = rep_queue_pop(&l->waiting);
    int64_t since = rep_slots_take(&l->slots, room);
    r->out.ready_ns = r->out.due_ns;
    rep_request_waited(r, may_send(w, l, r->out.due_ns), OUT_WAIT_TURN);
    rep_request_waited(r, since, OUT_WAIT_SLOT);
    if (w->config.policy.catch_up > 0) {
        l->sent_at = now_ns(w);
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
static void drain(struct rep_worker *w, struct lane *l)
{
    const struct rep_policy *policy = &w->config.policy;
    bool timed = policy->drop_late_ns > 0 || policy->abort_late_ns > 0;
    struct rep_request *r;

    while ((r = l->waiting.head) != NULL) {
        int64_t late = timed ? now_ns(w) - r->out.due_ns : 0;
        if (policy->abort_late_ns > 0 && late > policy->abort_late_ns) {
            abort_late(w);
            return;
        }
        if (policy->drop_late_ns > 0 && late > policy->drop_late_ns) {
            rep_queue_remove(&l->waiting, r);
            count(&w->waiting, (uint64_t)-1);
            r->out.cause = OUT_DROPPED;
            finish(w, r);
            continue;
        }
        uint32_t room = l->engine->ops->free_slots(l->engine);
        if (room == 0)
            return;
        int64_t allowed = policy->catch_up > 0 ? may_send(w, l, r->out.due_ns) : 0;
        if (allowed > r->out.due_ns && allowed > now_ns(w)) {
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
    int64_t late = now_ns(w) - r->out.due_ns;
    return policy->abort_late_ns > 0 && late > policy->abort_late_ns ? ENDS_RUN
           : policy->drop_late_ns > 0 && late > policy->drop_late_ns ? DROPPED
                                                                     : WAITS;
}

static void never_ready(struct rep_request *r)
{
    r->out.ready_ns = OP_TIME_NONE;
    r->out.wait = OUT_WAIT_NONE;
}

static void drop(struct rep_worker *w, struct rep_request *r)
{
    count(&w->waiting, (uint64_t)-1);
    never_ready(r);
    r->out.cause = OUT_DROPPED;
    finish(w, r);
}

/* Sends what waits for the connection of a slot, as far as it can carry more. */
static void drain_pin(struct rep_worker *w, struct lane *l, uint32_t slot, bool waited)
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
static bool assign_pin(struct rep_worker *w, struct lane *l, bool waited)
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
static void drain_pins(struct rep_worker *w, struct lane *l)
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
static void accept_pinned(struct rep_worker *w, struct lane *l, struct rep_request *r)
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
        finish(w, r);
        return;
    }
    struct lane *l = lane_of(w, r);
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

static struct rep_request *pop_planned(struct rep_worker *w)
{
    struct rep_request *r = w->planned;
    w->planned = r->next;
    r->next = r->prev = NULL;
    return r;
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
        pop_planned(w);
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
    return w->config.sessions ? rep_sessions_pop(&w->sessions) : pop_planned(w);
}

static void watch_until(struct rep_worker *w, int64_t due)
{
    int64_t from = w->last_now, now;
    while ((now = now_ns(w)) < due)
        ;
    w->polled_ns += now - from;
}

/* Framing takes microseconds: done ahead, it does not make the request late. Only where
 * the request will be sent at its time for sure. */
static bool can_frame(struct rep_worker *w, const struct rep_request *r)
{
    const struct lane *l = lane_of(w, r);
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
        int64_t now = now_ns(w);
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
        accept_due(w, pop_planned(w), due);
    }
    return REP_NEVER;
}

/* The clock was read since this thread slept. */
static void pump(struct rep_worker *w)
{
    w->pumping = true;
    w->next = w->paced = REP_NEVER;
    for (int i = 0; i < LANE_COUNT; i++)
        if (w->lanes[i].engine && w->config.pinned)
            drain_pins(w, &w->lanes[i]);
        else if (w->lanes[i].engine)
            drain(w, &w->lanes[i]);
    if (!w->past_limit)
        w->next = w->config.users > 0 ? pump_closed(w) : pump_open(w);
    w->pumping = false;
}

/* When the request's slot would have become free, but for a pause of ours: else those
 * behind what we sent late would blame the target for the wait. Microseconds are no
 * pause: they would add up along a queue. */
static int64_t freed_at(struct rep_worker *w, const struct rep_request *r)
{
    int64_t done = r->out.done_ns != OP_TIME_NONE ? r->out.done_ns : now_ns(w);
    int64_t late =
        r->out.sent_ns != OP_TIME_NONE ? r->out.sent_ns - r->out.ready_ns : 0;
    return late > PAUSE_NS ? done - late : done;
}

/* An engine gives a request back: its slot goes to the next at once, not at the turn's
 * end. */
static void on_done(void *arg, struct rep_request *r)
{
    struct rep_worker *w = arg;
    struct lane *l = lane_of(w, r);
    l->answered = l->answered || r->out.cause == OUT_OK || r->out.cause == OUT_STATUS;
    if (w->config.pinned)
        rep_pins_end(&l->pins, r->slot, freed_at(w, r));
    else
        rep_slots_freed(&l->slots, freed_at(w, r));
    count(&w->in_flight, (uint64_t)-1);
    if (r->out.done_ns != OP_TIME_NONE && r->out.done_ns > w->recent)
        w->recent = r->out.done_ns;
    finish(w, r);
    if (!w->pumping && w->start_ns > 0 && !atomic_load(&w->config.control->stop))
        pump(w);
}

/* --- the thread ------------------------------------------------------------------- */

static void nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = CLK_MS}, NULL);
}

static void hand_over(struct rep_worker *w)
{
    if (w->finished.head && rep_handoff_put(&w->out, w->finished.head))
        w->finished = (struct rep_queue){0};
}

static bool idle(const struct rep_worker *w)
{
    for (int i = 0; i < LANE_COUNT; i++) {
        const struct lane *l = &w->lanes[i];
        if (l->waiting.head || l->pins.waiting > 0 ||
            (l->engine && l->engine->ops->in_flight(l->engine) > 0))
            return false;
    }
    return true;
}

/* Ends what is past its deadline, sends what engines gathered; when to look again. */
static int64_t serve_engines(struct rep_worker *w)
{
    int64_t now = w->recent, first = REP_NEVER;
    for (int i = 0; i < LANE_COUNT; i++) {
        struct rep_engine *en = w->lanes[i].engine;
        if (!en)
            continue;
        int64_t deadline = en->ops->expire(en, now);
        en->ops->flush(en);
        first = deadline < first ? deadline : first;
    }
    return first;
}

/* An address that speaks another protocol, and has never answered in ours, is a
 * mistake: all that is sent there would fail. */
static int check_protocols(struct rep_worker *w)
{
    for (int i = 0; i < LANE_COUNT; i++) {
        const struct rep_engine *en = w->lanes[i].engine;
        if (en && en->foreign && !w->lanes[i].answered)
            return err_set(&w->err, ERR_PEER, "cannot reach %s: %s",
                           en->config.target->authority, en->foreign);
    }
    return 0;
}

static int turn(struct rep_worker *w, int64_t deadline)
{
    int64_t now = now_ns(w), until = now + IDLE_NS;

    until = deadline < until ? deadline : until;
    if ((w->next == 0 || w->polls || w->finished.head) && until > now + POLL_NS)
        until = now + POLL_NS;
    int64_t next = w->next != 0 && w->next < w->paced ? w->next : w->paced;
    if (next != REP_NEVER) {
        int64_t wake = rep_pacer_until(&w->pacer, now, next);
        if (wake == now && next - now > LEND_NS && rep_share_wanted(w->config.share))
            wake = next - LENT_NS;
        until = wake < until ? wake : until;
    }
    int rc = ev_turn(w->ev, (struct clk_mono){until}, &w->err);
    if (rc == 0 && until <= now)
        w->polled_ns += now_ns(w) - now;
    return rc;
}

static int run_loop(struct rep_worker *w)
{
    while (!atomic_load_explicit(&w->config.control->stop, memory_order_relaxed)) {
        (void)now_ns(w);
        pump(w);
        int64_t deadline = serve_engines(w);
        hand_over(w);
        bool over = w->past_limit || (w->next == REP_NEVER && !w->planned &&
                                      rep_plan_ended(w->config.plan));
        int rc = check_protocols(w);
        if (rc < 0 || (over && idle(w)))
            return rc;
        rc = turn(w, deadline);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* Everything that is still here goes back as stopped; planned ones as never due. */
static void give_up(struct rep_worker *w)
{
    struct rep_request *r;
    w->pumping = true; /* no more sending */
    for (int i = 0; i < LANE_COUNT; i++) {
        struct lane *l = &w->lanes[i];
        if (l->engine)
            l->engine->ops->cancel(l->engine, OUT_STOPPED);
        for (uint32_t s = 0; s < l->pins.used; s++)
            while (l->pins.slots[s].waiting.head)
                rep_queue_push(&l->waiting, rep_pins_leave(&l->pins, s));
        while ((r = rep_queue_pop(&l->waiting)) != NULL) {
            never_ready(r);
            r->out.cause = OUT_STOPPED;
            finish(w, r);
        }
    }
    while ((r = rep_sessions_drain(&w->sessions)) != NULL) {
        r->out.due_ns = OP_TIME_NONE;
        r->out.cause = OUT_STOPPED;
        rep_queue_push(&w->finished, r);
    }
    while (!rep_plan_ended(w->config.plan) || w->planned ||
           (w->planned = rep_plan_take(w->config.plan, w->config.index)) != NULL) {
        if (!w->planned &&
            !(w->planned = rep_plan_take(w->config.plan, w->config.index))) {
            nap();
            continue;
        }
        r = pop_planned(w);
        r->out.due_ns = OP_TIME_NONE;
        r->out.cause = OUT_STOPPED;
        rep_queue_push(&w->finished, r);
    }
    while (w->finished.head) {
        hand_over(w);
        if (w->finished.head)
            nap();
    }
}

static int open_engine(struct rep_worker *w, const struct rep_engine_ops *ops,
                       const struct rep_address *target, uint32_t connections)
{
    const struct rep_worker_config *c = &w->config;
    struct rep_engine_config config = {
        .ev = w->ev,
        .clk = c->clk,
        .target = target,
        .tls = c->tls,
        .connections = connections,
        .pinned = c->pinned,
        .streams = c->streams,
        .requests_per_connection = c->requests_per_connection,
        .deadline_ns = c->deadline_ns,
        .answer_max = c->answer_max,
        .keep_answers = c->keep_answers,
        .http_version = c->http_version,
        .proxy = c->proxy,
        .done = on_done,
        .arg = w,
    };
    struct lane *l = &w->lanes[ops->protocol == OP_GRPC];
    if (c->pinned && rep_pins_init(&l->pins, connections, &w->err) < 0)
        return ERR_NOMEM;
    return ops->open(&l->engine, &config, &w->err);
}

static int warm_up(struct rep_worker *w)
{
    int64_t limit = now_ns(w) + w->config.warm_limit_ns;
    bool warming = true;

    for (int i = 0; i < LANE_COUNT; i++) {
        struct rep_engine *en = w->lanes[i].engine;
        if (en && en->ops->warm && (w->config.warm & 1u << en->ops->protocol))
            en->ops->warm(en);
    }
    while (warming && now_ns(w) < limit && !atomic_load(&w->config.control->stop)) {
        warming = false;
        for (int i = 0; i < LANE_COUNT; i++) {
            struct rep_engine *en = w->lanes[i].engine;
            if (en)
                en->ops->flush(en);
            warming = warming || (en && en->ops->warming(en));
        }
        int rc = ev_turn(w->ev, (struct clk_mono){now_ns(w) + (warming ? CLK_MS : 0)},
                         &w->err);
        if (rc < 0)
            return rc;
    }
    for (int i = 0; i < LANE_COUNT; i++) {
        struct rep_engine *en = w->lanes[i].engine;
        if (en && en->ops->warm && (w->config.warm & 1u << en->ops->protocol))
            w->stats.warm_failed += en->config.connections - en->ops->live(en);
    }
    return 0;
}

static int prepare(struct rep_worker *w)
{
    const struct rep_worker_config *c = &w->config;
    int rc = 0;

    if (c->pin_cpu >= 0) {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET((size_t)c->pin_cpu, &set);
        if (pthread_setaffinity_np(pthread_self(), sizeof set, &set) != 0)
            return err_set(&w->err, ERR_USAGE, "cannot pin a worker to processor %d",
                           c->pin_cpu);
    }
    /* The kernel may else add 50 us to every sleep, to save wake-ups. */
    prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
    w->stats.slice_ns = rep_share_hurry();
    if (c->http)
        rc = open_engine(w, c->rest, c->http, c->http_connections);
    if (rc == 0 && c->grpc)
        rc = open_engine(w, &rep_grpc_engine, c->grpc, c->grpc_connections);
    if (rc == 0 && c->spin)
        rc = rep_pacer_calibrate(&w->pacer, w->ev, &w->err);
    log_debug("pacer", "margin_ns=%lld worker=%u", (long long)w->pacer.margin_ns,
              c->index);
    return rc < 0 ? rc : warm_up(w);
}

static int await_start(struct rep_worker *w)
{
    while ((w->start_ns = atomic_load(&w->config.control->start_ns)) == 0) {
        if (atomic_load(&w->config.control->stop))
            return 0;
        for (int i = 0; i < LANE_COUNT; i++)
            if (w->lanes[i].engine)
                w->lanes[i].engine->ops->flush(w->lanes[i].engine);
        int rc = ev_turn(w->ev, (struct clk_mono){now_ns(w) + POLL_NS}, &w->err);
        if (rc == 0)
            rc = check_protocols(w);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int64_t thread_cpu_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (int64_t)ts.tv_sec * CLK_SEC + ts.tv_nsec;
}

static void *work(void *arg)
{
    struct rep_worker *w = arg;
    char name[16];
    snprintf(name, sizeof name, "worker %u", w->config.index % 1000);
    pthread_setname_np(pthread_self(), name);
    int rc = prepare(w);

    atomic_store(&w->ready, true);
    if (rc == 0)
        rc = await_start(w);
    int64_t cpu = thread_cpu_ns(), waited = rep_thread_waited_ns();
    w->polled_ns = 0;
    if (rc == 0)
        rc = run_loop(w);
    w->stats.worked_ns = thread_cpu_ns() - cpu - w->polled_ns;
    w->stats.waited_ns = waited >= 0 ? rep_thread_waited_ns() - waited : -1;
    if (rc < 0) {
        w->rc = rc;
        atomic_store(&w->config.control->stop, true);
        rep_plan_stop(w->config.plan);
    }
    give_up(w);
    for (int i = 0; i < LANE_COUNT; i++) {
        struct rep_engine *en = w->lanes[i].engine;
        if (!en)
            continue;
        rep_engine_stats_add(&w->stats.engine, &en->stats);
        en->ops->close(en);
        rep_pins_done(&w->lanes[i].pins);
    }
    w->stats.margin_ns = w->pacer.margin_ns;
    atomic_store(&w->ended, true);
    return NULL;
}

/* --- face ------------------------------------------------------------------------- */

int rep_worker_start(struct rep_worker **out, const struct rep_worker_config *c,
                     struct err *e)
{
    struct rep_worker *w = calloc(1, sizeof *w);
    sigset_t all, before;

    if (!w)
        return err_set(e, ERR_NOMEM, "out of memory for a worker");
    w->config = *c;
    w->free_users = c->users;
    w->sessions.workers = rep_plan_workers(c->plan);
    w->sessions.stops = c->sessions_stop;
    w->ev = ev_new(c->clk, e);
    int rc = w->ev ? rep_handoff_init(&w->out, OUT_RING, e) : ERR_IO;
    if (rc == 0) {
        sigfillset(&all); /* signals are the main thread's */
        pthread_sigmask(SIG_SETMASK, &all, &before);
        int sys = pthread_create(&w->thread, NULL, work, w);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        if (sys != 0)
            rc = err_sys(e, sys, "cannot start a worker");
    }
    if (rc < 0) {
        rep_worker_free(w);
        return rc;
    }
    *out = w;
    return 0;
}

bool rep_worker_ready(const struct rep_worker *w)
{
    return atomic_load(&w->ready);
}

bool rep_worker_ended(const struct rep_worker *w)
{
    return atomic_load(&w->ended);
}

void rep_worker_wake(struct rep_worker *w)
{
    ev_wake(w->ev);
}

struct rep_request *rep_worker_take(struct rep_worker *w)
{
    return rep_handoff_take(&w->out);
}

struct rep_worker_live rep_worker_live(const struct rep_worker *w)
{
    return (struct rep_worker_live){
        .due = atomic_load_explicit(&w->due, memory_order_relaxed),
        .sent = atomic_load_explicit(&w->sent, memory_order_relaxed),
        .in_flight = atomic_load_explicit(&w->in_flight, memory_order_relaxed),
        .waiting = atomic_load_explicit(&w->waiting, memory_order_relaxed),
    };
}

int rep_worker_join(struct rep_worker *w, struct rep_worker_stats *stats, struct err *e)
{
    pthread_join(w->thread, NULL);
    *stats = w->stats;
    return w->rc < 0 ? err_set(e, w->err.code, "%s", w->err.text) : 0;
}

void rep_worker_free(struct rep_worker *w)
{
    if (!w)
        return;
    ev_free(w->ev);
    rep_sessions_done(&w->sessions);
    rep_handoff_done(&w->out);
    free(w);
}

/*
 * worker.c - see worker.h: the thread, from its engines to its end. What it does with a
 * request that is due stands in worker_send.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replay/worker_own.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>

#include "replay/machine.h"
#include "traces/base/log.h"

#define OUT_RING 4096u          /* chains of ended requests, for the run writer */
#define POLL_NS  (200 * CLK_US) /* while there is nothing to hold a turn for */
#define IDLE_NS  (50 * CLK_MS)  /* longest turn: bounds how late a stop is seen */
/* Before due: where a helper wants the processor, wake up so early. On a processor that
 * is not idle that takes less than 10 us. */
#define LENT_NS (15 * CLK_US)
#define LEND_NS (20 * CLK_US) /* for less it is not worth two changes of threads */

/* --- turns of the loop ------------------------------------------------------------ */

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
    for (int i = 0; i < REP_LANE_COUNT; i++) {
        const struct rep_lane *l = &w->lanes[i];
        if (l->waiting.head || l->pins.waiting > 0 ||
            (l->engine && l->engine->ops->in_flight(l->engine) > 0))
            return false;
    }
    return true;
}

/* An address that speaks another protocol, and has never answered in ours, is a
 * mistake: all that is sent there would fail. */
static void look_for_astray(struct rep_worker *w, const struct rep_lane *l)
{
    if (l->engine->foreign && !l->answered)
        w->astray = l->engine;
}

static int check_astray(struct rep_worker *w)
{
    const struct rep_engine *en = w->astray;
    return en ? err_set(&w->err, ERR_PEER, "cannot reach %s: %s",
                        en->config.target->authority, en->foreign)
              : 0;
}

/* Ends what is past its deadline, sends what engines gathered; when to look again. Past
 * it is what had no answer when we looked: where this thread was held up, answers that
 * came meanwhile are read first. */
static int64_t serve_engines(struct rep_worker *w)
{
    int64_t now = ev_looked(w->ev).ns, first = REP_NEVER;
    for (int i = 0; i < REP_LANE_COUNT; i++) {
        struct rep_engine *en = w->lanes[i].engine;
        if (!en)
            continue;
        int64_t deadline = en->ops->expire(en, now);
        en->ops->flush(en);
        look_for_astray(w, &w->lanes[i]);
        first = deadline < first ? deadline : first;
    }
    return first;
}

static int turn(struct rep_worker *w, int64_t deadline)
{
    int64_t now = rep_worker_now(w), until = now + IDLE_NS;

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
    w->turn_from = now;
    w->turn_until = until > now ? until : now;
    int rc = ev_turn(w->ev, (struct clk_mono){until}, &w->err);
    int64_t ended = rep_worker_now(w);
    if (ev_looked(w->ev).ns >= now) /* no signal came in place of events */
        w->turn_before = ended;
    if (rc == 0 && until <= now)
        w->polled_ns += ended - now;
    return rc;
}

static int run_loop(struct rep_worker *w)
{
    w->turn_before = w->turn_from = w->turn_until = rep_worker_now(w);
    while (!atomic_load_explicit(&w->config.control->stop, memory_order_relaxed)) {
        rep_worker_pump(w);
        int64_t deadline = serve_engines(w);
        hand_over(w);
        bool over = w->past_limit || (w->next == REP_NEVER && !w->planned &&
                                      rep_plan_ended(w->config.plan));
        int rc = check_astray(w);
        if (rc < 0 || (over && idle(w)))
            return rc;
        rc = turn(w, deadline);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* --- its end ---------------------------------------------------------------------- */

/* Everything that is still here goes back as stopped; planned ones as never due. */
static void give_up(struct rep_worker *w)
{
    struct rep_request *r;
    w->pumping = true; /* no more sending */
    for (int i = 0; i < REP_LANE_COUNT; i++) {
        struct rep_lane *l = &w->lanes[i];
        if (l->engine)
            l->engine->ops->cancel(l->engine, OUT_STOPPED);
        for (uint32_t s = 0; s < l->pins.used; s++)
            while (l->pins.slots[s].waiting.head)
                rep_queue_push(&l->waiting, rep_pins_leave(&l->pins, s));
        while ((r = rep_queue_pop(&l->waiting)) != NULL) {
            rep_worker_never_ready(r);
            r->out.cause = OUT_STOPPED;
            rep_worker_finish(w, r);
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
        r = rep_worker_pop_planned(w);
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

/* --- its beginning ---------------------------------------------------------------- */

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
        .kafka = c->kafka,
        .done = rep_worker_done,
        .arg = w,
    };
    struct rep_lane *l = &w->lanes[ops->protocol == OP_GRPC];
    if (c->pinned && rep_pins_init(&l->pins, connections, &w->err) < 0)
        return ERR_NOMEM;
    return ops->open(&l->engine, &config, &w->err);
}

static int warm_up(struct rep_worker *w)
{
    int64_t limit = rep_worker_now(w) + w->config.warm_limit_ns;
    bool warming = true;

    for (int i = 0; i < REP_LANE_COUNT; i++) {
        struct rep_engine *en = w->lanes[i].engine;
        if (en && en->ops->warm && (w->config.warm & 1u << en->ops->protocol))
            en->ops->warm(en);
    }
    while (warming && rep_worker_now(w) < limit &&
           !atomic_load(&w->config.control->stop)) {
        warming = false;
        for (int i = 0; i < REP_LANE_COUNT; i++) {
            struct rep_engine *en = w->lanes[i].engine;
            if (en)
                en->ops->flush(en);
            warming = warming || (en && en->ops->warming(en));
        }
        int rc = ev_turn(w->ev,
                         (struct clk_mono){rep_worker_now(w) + (warming ? CLK_MS : 0)},
                         &w->err);
        if (rc < 0)
            return rc;
    }
    for (int i = 0; i < REP_LANE_COUNT; i++) {
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
    if (rc == 0 && c->kafka)
        rc = open_engine(w, &rep_kafka_engine, NULL, 1);
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
        for (int i = 0; i < REP_LANE_COUNT; i++) {
            if (!w->lanes[i].engine)
                continue;
            w->lanes[i].engine->ops->flush(w->lanes[i].engine);
            look_for_astray(w, &w->lanes[i]);
        }
        int rc =
            ev_turn(w->ev, (struct clk_mono){rep_worker_now(w) + IDLE_NS}, &w->err);
        if (rc == 0)
            rc = check_astray(w);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* --- the thread ------------------------------------------------------------------- */

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
    for (int i = 0; i < REP_LANE_COUNT; i++) {
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

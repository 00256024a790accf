/*
 * test_punctual.c - whole replays of ten recorded minutes, without waiting for them.
 *
 * The worker is the real one, with plan, pacer and event loop; what is put in its
 * place is the clock, which jumps to wherever somebody would sleep, and a little
 * further, and the engine, which answers at once and reads that clock when it sends.
 * Every due time is held against integers, every send against its due time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "replay/pacer.h"
#include "replay/worker.h"
#include "traces/base/rng.h"
#include "traces/container/trc_writer.h"

#define COUNT    8000u /* fits the rings: all is planned before the start */
#define SPAN_NS  (600 * CLK_SEC)
#define START_NS (1000 * CLK_SEC) /* of the clock; its own begin is 0 */
#define TICK_NS  200 /* what reading a clock, and what goes with it, takes */

static char folder[64], path[128];
static int64_t arrivals[COUNT];

/* --- a machine that wakes up late ------------------------------------------------- */

struct machine {
    struct rng rng;
    uint64_t sleeps;
    int64_t most_ns;      /* of a wake-up, how late; 0: as late as 65 us */
    uint64_t pause_every; /* sleeps; 0: it is never held up */
    int64_t pause_ns;
    uint64_t pauses;
};

/* 5 to 65 us, and from time to time a pause. */
static int64_t oversleep(void *arg)
{
    struct machine *m = arg;
    int64_t most = m->most_ns > 0 ? m->most_ns : 65 * CLK_US;
    int64_t late = 5 * CLK_US + (int64_t)rng_below(&m->rng, (uint64_t)most - 5000);

    m->sleeps++;
    if (m->pause_every > 0 && m->sleeps % m->pause_every == 0) {
        m->pauses++;
        late += m->pause_ns;
    }
    return late;
}

/* --- an engine that answers at once ----------------------------------------------- */

struct instant {
    struct rep_engine base;
    struct rep_queue sent;
    uint32_t slots;
};

static int instant_open(struct rep_engine **en, const struct rep_engine_config *c,
                        struct err *e)
{
    struct instant *x = calloc(1, sizeof *x);
    extern const struct rep_engine_ops instant_engine;

    if (!x)
        return err_set(e, ERR_NOMEM, "out of memory");
    x->base = (struct rep_engine){.ops = &instant_engine, .config = *c};
    x->slots = c->connections;
    *en = &x->base;
    return 0;
}

static uint32_t instant_free_slots(const struct rep_engine *en)
{
    return ((const struct instant *)en)->slots;
}

static void instant_send(struct rep_engine *en, struct rep_request *r)
{
    struct instant *x = (struct instant *)en;
    r->out.sent_ns = clk_mono_now(en->config.clk).ns;
    x->slots--;
    rep_queue_push(&x->sent, r);
}

static void instant_flush(struct rep_engine *en)
{
    struct instant *x = (struct instant *)en;
    struct rep_request *r;

    while ((r = rep_queue_pop(&x->sent)) != NULL) {
        r->out.cause = OUT_OK;
        r->out.first_ns = r->out.done_ns = clk_mono_now(en->config.clk).ns;
        x->slots++;
        en->config.done(en->config.arg, r);
    }
}

static int64_t instant_expire(struct rep_engine *en, int64_t now_ns)
{
    (void)en;
    (void)now_ns;
    return REP_NEVER;
}

static uint32_t instant_in_flight(const struct rep_engine *en)
{
    return (uint32_t)((const struct instant *)en)->sent.count;
}

static void instant_cancel(struct rep_engine *en, enum out_cause cause)
{
    (void)cause;
    instant_flush(en);
}

static void instant_close(struct rep_engine *en)
{
    free(en);
}

extern const struct rep_engine_ops instant_engine;
const struct rep_engine_ops instant_engine = {
    .name = "instant",
    .protocol = OP_REST,
    .open = instant_open,
    .free_slots = instant_free_slots,
    .send = instant_send,
    .flush = instant_flush,
    .expire = instant_expire,
    .in_flight = instant_in_flight,
    .cancel = instant_cancel,
    .close = instant_close,
};

/* --- one replay ------------------------------------------------------------------- */

/* Arrivals of a Poisson process, in nanoseconds that are no round numbers; the last
 * comes at ten minutes exactly. */
static void write_trace(void)
{
    const struct op_stream s = {
        .protocol = OP_REST, .resource = OP_MODEL, .name = SPAN_LIT("iris")};
    struct trc_options options = {.kind = TRC_TRACE};
    struct trc_writer *w;
    struct rng rng;
    struct err e = {0};
    int64_t at = 0;

    rng_init(&rng, 31);
    check_ok(trc_writer_open(&w, path, &options, &e), &e);
    for (uint32_t i = 0; i < COUNT; i++) {
        struct op op = op_empty();
        arrivals[i] = i + 1 < COUNT ? at : SPAN_NS;
        op.index = i;
        op.arrival_ns = arrivals[i];
        op.stream = &s;
        op.request = op_body_of(SPAN_LIT("{}"));
        check_ok(trc_writer_op(w, &op, &e), &e);
        at += (int64_t)rng_below(&rng, 2 * SPAN_NS / COUNT - 200000) + 1;
        at = at < SPAN_NS ? at : SPAN_NS;
    }
    check_ok(trc_writer_close(w, &e), &e);
}

struct sends {
    int64_t due[COUNT], sent[COUNT]; /* since the start; by operation */
    uint64_t count;
};

static struct rep_share share; /* nobody has work, but where a test says so */

static struct sends *replay(const char *speed, bool spin, struct machine *m)
{
    struct rep_plan_config plan = {.trace = path,
                                   .tier = OP_TIER_SERVER,
                                   .http = "h:1",
                                   .rest_wanted = true,
                                   .versions = {.common = 1},
                                   .limit_ns = REP_NEVER,
                                   .workers = 1};
    struct rep_control control = {.start_ns = START_NS};
    struct clk_hand *hand = clk_hand_new((struct clk_mono){0}, (struct clk_wall){0});
    struct rep_address target = {.text = "h:1", .authority = "h:1"};
    struct rep_worker_config c = {.control = &control,
                                  .share = &share,
                                  .clk = clk_hand_clk(hand),
                                  .http = &target,
                                  .http_connections = 64,
                                  .rest = &instant_engine,
                                  .deadline_ns = CLK_SEC,
                                  .spin = spin,
                                  .pin_cpu = -1,
                                  .limit_ns = REP_NEVER};
    struct sends *s = calloc(1, sizeof *s);
    struct rep_worker_stats stats;
    struct rep_worker *w;
    struct rep_request *r;
    struct err e = {0};

    assert_non_null(s);
    rng_init(&m->rng, 7);
    clk_hand_run(hand, TICK_NS, oversleep, m);
    check_ok(rep_speed_parse(speed, &plan.speed, &e), &e);
    check_ok(rep_plan_open(&c.plan, &plan, &e), &e);
    check_ok(rep_plan_start(c.plan, &e), &e);
    while (!rep_plan_primed(c.plan))
        nanosleep(&(struct timespec){.tv_nsec = CLK_MS}, NULL);
    check_ok(rep_worker_start(&w, &c, &e), &e);
    for (bool ended = false; !ended;) {
        ended = rep_worker_ended(w);
        while ((r = rep_worker_take(w)) != NULL)
            while (r) {
                struct rep_request *next = r->next;
                check_int(r->out.cause, ==, OUT_OK);
                s->due[r->out.op_index] = r->out.due_ns - START_NS;
                s->sent[r->out.op_index] = r->out.sent_ns - START_NS;
                check_int(r->out.ready_ns, ==, r->out.due_ns);
                s->count++;
                rep_request_release(r);
                r = next;
            }
        nanosleep(&(struct timespec){.tv_nsec = CLK_MS}, NULL);
    }
    check_ok(rep_worker_join(w, &stats, &e), &e);
    check_int(stats.starved_ns, ==, 0);
    check_true(!stats.clock_backwards);
    rep_worker_free(w);
    check_ok(rep_plan_join(c.plan, &e), &e);
    rep_plan_close(c.plan);
    clk_hand_free(hand);
    check_int(s->count, ==, COUNT);
    return s;
}

/* --- what it must be -------------------------------------------------------------- */

/* Speeds in tenths, so that the right due time is a quotient of integers. */
static const struct {
    const char *text;
    int64_t tenths;
} speeds[] = {{"0.1", 1},  {"0.7", 7},  {"1", 10},
              {"3.3", 33}, {"10", 100}, {"100", 1000}};
#define SPEEDS (sizeof speeds / sizeof *speeds)

/* Every due time is exact; no send is early, and none later than most_ns, but for as
 * many as `held_up`. The most that one was late. */
static int64_t check_sends(const struct sends *s, int64_t tenths, int64_t most_ns,
                           uint64_t held_up)
{
    int64_t worst = 0;
    uint64_t beyond = 0;

    for (uint32_t i = 0; i < COUNT; i++) {
        int64_t late = s->sent[i] - s->due[i];
        check_int(s->due[i], ==, arrivals[i] * 10 / tenths);
        check_int(late, >=, 0);
        beyond += late > most_ns;
        worst = late > worst ? late : worst;
    }
    check_int(beyond, <=, held_up);
    return worst;
}

static void the_last_send_of_ten_minutes_is_on_time_at_every_speed(void **state)
{
    (void)state;
    for (size_t i = 0; i < SPEEDS; i++) {
        struct machine m = {0};
        struct sends *s = replay(speeds[i].text, true, &m);
        /* What the clock takes to be read a few times, for those due together. */
        check_sends(s, speeds[i].tenths, 5 * CLK_US, 0);
        check_int(s->due[COUNT - 1], ==, SPAN_NS * 10 / speeds[i].tenths);
        check_int(s->sent[COUNT - 1] - s->due[COUNT - 1], <, CLK_MS);
        free(s);
    }
}

static void without_spinning_a_send_is_late_by_its_own_wake_up_alone(void **state)
{
    (void)state;
    for (size_t i = 0; i < SPEEDS; i++) {
        struct machine m = {0};
        struct sends *s = replay(speeds[i].text, false, &m);
        check_sends(s, speeds[i].tenths, 70 * CLK_US, 0);
        free(s);
    }
}

/* A processor that is busy wakes up sooner than one that had gone to sleep. */
static void lending_the_processor_to_a_helper_makes_no_send_late(void **state)
{
    (void)state;
    struct machine alone = {.most_ns = 10 * CLK_US}, lent = alone;
    free(replay("100", true, &alone));
    atomic_store(&share.working, 1);
    struct sends *s = replay("100", true, &lent);
    atomic_store(&share.working, 0);
    check_sends(s, 1000, 5 * CLK_US, 0);
    /* It sleeps once more before each, over what else it would poll away. */
    check_int(lent.sleeps, >, alone.sleeps + COUNT / 2);
    free(s);
}

static void what_holds_us_up_delays_nothing_that_is_due_after_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < SPEEDS; i++) {
        /* One sleep in 500 takes 20 ms longer. */
        struct machine m = {.pause_every = 500, .pause_ns = 20 * CLK_MS};
        struct sends *s = replay(speeds[i].text, true, &m);
        int64_t gap = SPAN_NS * 10 / speeds[i].tenths / COUNT;
        uint64_t each = (uint64_t)(2 * m.pause_ns / gap) + 8; /* due meanwhile */
        check_int(m.pauses, >, 10);
        check_int(check_sends(s, speeds[i].tenths, 5 * CLK_US, m.pauses * each), <,
                  21 * CLK_MS);
        check_int(s->sent[COUNT - 1] - s->due[COUNT - 1], <, CLK_MS);
        free(s);
    }
}

static int setup(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/reprise-test-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/t.trace", folder);
    write_trace();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_send_of_ten_minutes_is_on_time_at_every_speed),
        cmocka_unit_test(without_spinning_a_send_is_late_by_its_own_wake_up_alone),
        cmocka_unit_test(lending_the_processor_to_a_helper_makes_no_send_late),
        cmocka_unit_test(what_holds_us_up_delays_nothing_that_is_due_after_it),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

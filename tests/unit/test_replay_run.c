/* test_replay_run.c - whole replays of small traces against peers in this process.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/check.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "replay/run.h"
#include "replay/sessions.h"
#include "tests/unit/peer.h"
#include "traces/base/log.h"
#include "traces/container/trc_reader.h"
#include "traces/container/trc_writer.h"
#include "traces/run_notes.h"

#define OPS_MAX 20000

static char folder[64], trace_path[128], run_path[128];

/* What came back, by index of the operation. */
static struct outcome outcomes[OPS_MAX];
static uint64_t outcome_count;
static struct err last_error;

static int setup(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/reprise-test-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(trace_path, sizeof trace_path, "%s/t.trace", folder);
    snprintf(run_path, sizeof run_path, "%s/t.run", folder);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(trace_path);
    unlink(run_path);
    return rmdir(folder);
}

struct spec {
    uint64_t count;
    int64_t gap_ns, first_ns;
    bool with_pipeline; /* every tenth operation is one */
    bool truncated;     /* leave the footer out */
    uint32_t clients;   /* operations are dealt to them in turn; 0: none */
    int64_t answer_ns;  /* from arrival to the recorded end of the answer; 0: none */
};

static void write_trace(const struct spec *s)
{
    struct trc_options options = {.kind = TRC_TRACE};
    struct trc_writer *w;
    struct err e = {0};
    const struct op_stream model = {.protocol = OP_REST,
                                    .resource = OP_MODEL,
                                    .name = SPAN_LIT("iris"),
                                    .model_type = SPAN_LIT("nothing-known")};
    const struct op_stream pipeline = {
        .protocol = OP_REST, .resource = OP_PIPELINE, .name = SPAN_LIT("chain")};

    check_ok(trc_writer_open(&w, trace_path, &options, &e), &e);
    for (uint64_t i = 0; i < s->count; i++) {
        struct op op = op_empty();
        char body[64];
        snprintf(body, sizeof body, "{\"n\": %llu}", (unsigned long long)i);
        op.index = i;
        op.arrival_ns = s->first_ns + (int64_t)i * s->gap_ns;
        op.stream = s->with_pipeline && i % 10 == 9 ? &pipeline : &model;
        op.request = op_body_of(span_str(body));
        if (s->clients > 0)
            op.client = op.connection = (uint32_t)(i % s->clients);
        if (s->answer_ns > 0) {
            op.first_ns = op.last_ns = s->answer_ns;
            op.status = 200;
        }
        check_ok(trc_writer_op(w, &op, &e), &e);
    }
    if (s->truncated) {
        trc_writer_abandon(w);
        return;
    }
    check_ok(trc_writer_close(w, &e), &e);
}

static void read_run(bool complete)
{
    struct trc_reader *r;
    struct trc_block *b;
    struct err e = {0};
    int rc;

    outcome_count = 0;
    check_ok(trc_reader_open(&r, run_path, &e), &e);
    check_int(trc_reader_info(r)->kind, ==, TRC_RUN);
    check_int(trc_reader_info(r)->complete, ==, complete);
    for (int i = 0; i < OPS_MAX; i++)
        outcomes[i].op_index = UINT64_MAX;
    while ((rc = trc_reader_next(r, &b, &e)) == 1) {
        for (uint32_t i = 0; i < b->count; i++) {
            const struct outcome *o = &b->outcomes[i];
            check_int(o->op_index, <, OPS_MAX);
            /* Every operation has one outcome, never two. */
            check_true(outcomes[o->op_index].op_index == UINT64_MAX);
            outcomes[o->op_index] = *o;
            outcomes[o->op_index].stream = NULL;
            outcome_count++;
        }
        trc_block_free(b);
    }
    check_ok(rc, &e);
    trc_reader_close(r);
}

static char *note_of(const char *key, char *out, size_t size)
{
    struct trc_reader *r;
    struct err e = {0};
    check_ok(trc_reader_open(&r, run_path, &e), &e);
    const char *v = trc_reader_note(r, key);
    snprintf(out, size, "%s", v ? v : "(none)");
    trc_reader_close(r);
    return out;
}

static struct rep_run_config config_for(const char *target)
{
    return (struct rep_run_config){
        .trace = trace_path,
        .out = run_path,
        .force = true,
        .tier = OP_TIER_SERVER,
        .http = target,
        .rest_wanted = true,
        .grpc_wanted = true,
        .speed = "1",
        .versions = {.common = 1},
        .workers = 1,
        .http_connections = 8,
        .streams = 10,
        .deadline_ns = 5 * CLK_SEC,
        .connect_limit_ns = 60 * CLK_SEC,
        .answer_max = 1u << 20,
        .spin = true,
        .quiet = true,
        .options = "test",
    };
}

static int replay(const struct rep_run_config *c, struct rep_run_result *r)
{
    memset(&last_error, 0, sizeof last_error);
    return rep_run(c, r, &last_error);
}

/* --- peers ---------------------------------------------------------------- */

#define ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

static _Atomic uint64_t seen_paths, seen_ids;

static void answer(int fd, int nth, void *arg)
{
    char request[8192];
    (void)nth;
    (void)arg;
    while (peer_read_request(fd, request, sizeof request) > 0) {
        seen_paths +=
            strncmp(request, "POST /v2/models/iris_1/infer HTTP/1.1\r\n", 39) == 0;
        seen_ids += strstr(request, "\r\nx-request-id: ") != NULL;
        if (!peer_say(fd, ANSWER))
            return;
    }
}

static pthread_t main_thread;
static _Atomic int swallowed, signal_at; /* 0: no signal */

/* Reads and never answers. When signal_at requests were read, the main thread is told.
 */
static void swallow(int fd, int nth, void *arg)
{
    char request[8192];
    (void)nth;
    (void)arg;
    while (peer_read_request(fd, request, sizeof request) > 0)
        if (atomic_fetch_add(&swallowed, 1) + 1 == signal_at)
            pthread_kill(main_thread, SIGALRM);
}

static const char *target_of(const struct peer *p, char *out, size_t size)
{
    snprintf(out, size, "http://127.0.0.1:%u", peer_port(p));
    return out;
}

/* --- tests ---------------------------------------------------------------- */

static void check_times(const struct outcome *o, int64_t due)
{
    check_int(o->due_ns, ==, due);
    check_int(o->due_ns, <=, o->ready_ns);
    check_int(o->ready_ns, <=, o->sent_ns);
    check_int(o->sent_ns, <=, o->first_ns);
    check_int(o->first_ns, <=, o->done_ns);
}

static void every_operation_is_sent_once_at_its_exact_due_time(void **state)
{
    struct peer *p = peer_start(answer, NULL);
    struct rep_run_result r;
    char target[64], text[64];
    (void)state;
    seen_paths = seen_ids = 0;
    /* Arrivals begin late in the trace's time: the first is due at 0 all the same. */
    write_trace(
        &(struct spec){.count = 3000, .gap_ns = 100003, .first_ns = 12345678901});
    struct rep_run_config c = config_for(target_of(p, target, sizeof target));
    c.speed = "0.7";
    check_ok(replay(&c, &r), &last_error);
    check_int(r.tally.due, ==, 3000);
    check_int(r.tally.ok, ==, 3000);
    check_int(seen_paths, ==, 3000);
    check_int(seen_ids, ==, 3000);
    rep_run_result_done(&r);
    read_run(true);
    check_int(outcome_count, ==, 3000);
    for (int64_t i = 0; i < 3000; i++) {
        check_times(&outcomes[i], i * 1000030 / 7);
        check_int(outcomes[i].cause, ==, OUT_OK);
        check_int(outcomes[i].attempts, ==, 1);
        check_true(outcomes[i].answer_hash == outcome_answer_hash(SPAN_LIT("ok")));
    }
    check_str(note_of(NOTE_DUE, text, sizeof text), "3000");
    check_str(note_of(NOTE_INTERRUPTED, text, sizeof text), "no");
    check_str(note_of(NOTE_SCHEDULE_SPEED, text, sizeof text), "0.7");
    check_str(note_of(NOTE_SCHEDULE_EPOCH, text, sizeof text), "12345678901");
    check_str(note_of(NOTE_TARGET_TIER, text, sizeof text), "server");
    peer_stop(p);
}

static void several_workers_lose_nothing(void **state)
{
    struct peer *p = peer_start(answer, NULL);
    struct rep_run_result r;
    char target[64];
    (void)state;
    write_trace(&(struct spec){.count = 10000, .gap_ns = 20000});
    struct rep_run_config c = config_for(target_of(p, target, sizeof target));
    c.workers = 3;
    c.spin = false;
    check_ok(replay(&c, &r), &last_error);
    check_int(r.tally.ok, ==, 10000);
    rep_run_result_done(&r);
    read_run(true);
    check_int(outcome_count, ==, 10000);
    int by_worker[3] = {0};
    for (int i = 0; i < 10000; i++) {
        check_times(&outcomes[i], (int64_t)i * 20000);
        by_worker[outcomes[i].worker]++;
    }
    for (int i = 0; i < 3; i++)
        check_int(by_worker[i], >=, 3333);
    peer_stop(p);
}

static void what_the_tier_cannot_express_is_refused_and_recorded(void **state)
{
    struct peer *p = peer_start(answer, NULL);
    struct rep_run_result r;
    char target[64], text[256];
    (void)state;
    write_trace(&(struct spec){.count = 100, .gap_ns = 1000, .with_pipeline = true});
    struct rep_run_config c = config_for(target_of(p, target, sizeof target));
    check_ok(replay(&c, &r), &last_error);
    check_int(r.tally.due, ==, 100);
    check_int(r.tally.ok, ==, 90);
    check_int(r.tally.refused, ==, 10);
    rep_run_result_done(&r);
    read_run(true);
    for (int i = 0; i < 100; i++) {
        check_int(outcomes[i].cause, ==, i % 10 == 9 ? OUT_REFUSED : OUT_OK);
        check_true((outcomes[i].sent_ns == OP_TIME_NONE) == (i % 10 == 9));
    }
    check_str_has(
        note_of(NOTE_REFUSALS, text, sizeof text),
        "10: a pipeline can be called at envoy, pipelinegateway and kafka only");
    peer_stop(p);
}

static void a_trace_of_which_nothing_can_be_sent_is_unavailable(void **state)
{
    struct peer *p = peer_start(answer, NULL);
    struct rep_run_result r;
    char target[64];
    (void)state;
    write_trace(&(struct spec){.count = 20, .gap_ns = 1000});
    struct rep_run_config c = config_for(target_of(p, target, sizeof target));
    c.tier = OP_TIER_PIPELINEGATEWAY;
    check_int(replay(&c, &r), ==, ERR_PEER);
    check_str_has(last_error.text, "no operation could be sent");
    check_int(r.tally.refused, ==, 20);
    rep_run_result_done(&r);
    read_run(true);
    check_int(outcome_count, ==, 20);
    peer_stop(p);
}

static void a_target_that_is_not_there_leaves_no_run(void **state)
{
    struct rep_run_result r;
    char target[64];
    (void)state;
    write_trace(&(struct spec){.count = 20, .gap_ns = 1000});
    snprintf(target, sizeof target, "127.0.0.1:%u", peer_dead_port());
    struct rep_run_config c = config_for(target);
    unlink(run_path);
    check_int(replay(&c, &r), ==, ERR_PEER);
    check_str_has(last_error.text, "cannot reach 127.0.0.1");
    rep_run_result_done(&r);
    check_int(access(run_path, F_OK), ==, -1);
}

/* Ready exactly when the slot was given back; less what we ourselves had sent the one
 * before too late. */
static void check_ready_after(const struct outcome *o, const struct outcome *before)
{
    int64_t late = before->sent_ns - before->ready_ns;
    check_true(o->ready_ns == before->done_ns ||
               o->ready_ns == before->done_ns - late ||
               (o->ready_ns == o->due_ns && before->done_ns - late <= o->due_ns));
}

static void back_pressure_is_told_from_our_own_lateness(void **state)
{
    /* One connection to a peer that takes 10 ms; 20 operations due at once. */
    struct rep_run_result r;
    char target[64];
    (void)state;
    write_trace(&(struct spec){.count = 20, .gap_ns = 0});
    struct peer *p = peer_start(answer, NULL);
    struct rep_run_config c = config_for(target_of(p, target, sizeof target));
    c.http_connections = 1;
    check_ok(replay(&c, &r), &last_error);
    rep_run_result_done(&r);
    read_run(true);
    check_int(outcomes[0].ready_ns, ==, 0);
    for (int i = 0; i < 20; i++) {
        check_times(&outcomes[i], 0);
        if (i > 0)
            check_ready_after(&outcomes[i], &outcomes[i - 1]);
    }
    peer_stop(p);
}

/* Of operations that are due within some ms, but for the first ones, none is sent until
 * patience_ns is over. Whether the machine held this process up for so long that it
 * made one of them late, or only looked after the first ones had their deadlines: then
 * the test asks again, with more patience. */
static bool held_up(int count, int64_t *patience_ns)
{
    int64_t from = INT64_MAX, until = 0;
    for (int i = 0; i < count; i++) {
        if (outcomes[i].sent_ns == OP_TIME_NONE)
            continue;
        from = outcomes[i].sent_ns < from ? outcomes[i].sent_ns : from;
        until = outcomes[i].sent_ns > until ? outcomes[i].sent_ns : until;
    }
    bool held =
        from > until || until - from > *patience_ns / 2 || from > *patience_ns / 2;
    *patience_ns *= 8;
    return held && *patience_ns < 60 * CLK_SEC;
}

static void operations_that_wait_too_long_are_dropped_on_demand(void **state)
{
    struct peer *p = peer_start(swallow, NULL);
    struct rep_run_result r;
    char target[64];
    (void)state;
    write_trace(&(struct spec){.count = 50, .gap_ns = 1000000});
    struct rep_run_config c = config_for(target_of(p, target, sizeof target));
    c.http_connections = 1;
    for (int64_t late_ns = CLK_SEC / 2;;) {
        c.deadline_ns = 2 * late_ns; /* the first is not late before the others are */
        c.policy.drop_late_ns = late_ns;
        check_ok(replay(&c, &r), &last_error);
        read_run(true);
        if (!held_up(50, &late_ns))
            break;
        rep_run_result_done(&r);
    }
    check_int(r.tally.due, ==, 50);
    check_int(r.tally.dropped, ==, 49);
    check_int(r.tally.sent + r.tally.dropped + r.tally.refused, ==, r.tally.due);
    rep_run_result_done(&r);
    check_int(outcomes[0].cause, ==, OUT_DEADLINE);
    check_int(outcomes[49].cause, ==, OUT_DROPPED);
    check_true(outcomes[49].sent_ns == OP_TIME_NONE);
    peer_stop(p);
}

/* Each of `clients` sends every gap; think time is what the answer leaves of that. */
static void check_sessions(int count, int clients, int64_t gap_ns, int64_t think_ns)
{
    for (int i = 0; i < count; i++) {
        if (i < clients) {
            check_int(outcomes[i].due_ns, ==, i * gap_ns);
            continue;
        }
        const struct outcome *before = &outcomes[i - clients];
        check_int(outcomes[i].due_ns, ==,
                  (before->cause == OUT_REFUSED ? before->due_ns : before->done_ns) +
                      think_ns);
    }
}

static void sessions_follow_their_answers(void **state)
{
    struct peer *p = peer_start(answer, NULL);
    struct rep_run_result r;
    char target[64], text[160];
    (void)state;
    for (uint32_t workers = 1; workers <= 3; workers += 2) {
        write_trace(&(struct spec){
            .count = 60, .gap_ns = 2 * CLK_MS, .clients = 6, .answer_ns = 5 * CLK_MS});
        struct rep_run_config c = config_for(target_of(p, target, sizeof target));
        c.sessions = true;
        c.workers = workers;
        c.speed = "2";
        check_ok(replay(&c, &r), &last_error);
        check_int(r.tally.ok, ==, 60);
        check_int(r.plan.sessions, ==, 6);
        check_int(r.plan.thinks, ==, 54);
        check_int(r.plan.gaps, ==, 0);
        rep_run_result_done(&r);
        read_run(true);
        check_int(outcome_count, ==, 60);
        check_sessions(60, 6, CLK_MS, (6 * 2 - 5) * CLK_MS / 2);
        check_str(note_of(NOTE_SCHEDULE_MODE, text, sizeof text), "partly-open");
    }
    peer_stop(p);
}

static void a_think_time_without_an_answer_is_the_gap(void **state)
{
    struct peer *p = peer_start(answer, NULL);
    struct rep_run_result r;
    char target[64], text[160];
    (void)state;
    write_trace(&(struct spec){.count = 20, .gap_ns = CLK_MS, .clients = 4});
    struct rep_run_config c = config_for(target_of(p, target, sizeof target));
    c.sessions = true;
    check_ok(replay(&c, &r), &last_error);
    rep_run_result_done(&r);
    read_run(true);
    check_sessions(20, 4, CLK_MS, 4 * CLK_MS);
    check_str(note_of(NOTE_SESSION_GAPS, text, sizeof text), "16");
    peer_stop(p);
}

/* Nobody answers: each session fails at its first deadline. */
static void a_session_goes_on_or_ends_with_its_first_failure(void **state)
{
    struct peer *p = peer_start(swallow, NULL);
    struct rep_run_result r;
    char target[64];
    (void)state;
    for (int stop = 0; stop < 2; stop++) {
        write_trace(&(struct spec){.count = 12, .gap_ns = CLK_MS, .clients = 4});
        struct rep_run_config c = config_for(target_of(p, target, sizeof target));
        c.sessions = true;
        c.sessions_stop = stop;
        c.deadline_ns = 50 * CLK_MS;
        check_ok(replay(&c, &r), &last_error);
        check_int(r.tally.due, ==, 12);
        check_int(r.tally.failed, ==, stop ? 4 : 12);
        check_int(r.tally.refused, ==, stop ? 8 : 0);
        check_int(r.tally.sent + r.tally.dropped + r.tally.refused, ==, r.tally.due);
        if (stop)
            check_str_has(r.tally.reasons[0].text, "--on-session-error");
        rep_run_result_done(&r);
        read_run(true);
        check_sessions(12, 4, CLK_MS, 4 * CLK_MS);
    }
    peer_stop(p);
}

/* More than a worker may hold ahead; an interrupted run accounts for all of it. */
static void sessions_are_bounded_in_time_and_memory(void **state)
{
    struct peer *p = peer_start(answer, NULL);
    struct rep_run_result r;
    char target[64];
    (void)state;
    write_trace(&(struct spec){.count = 3 * REP_SESSION_AHEAD,
                               .gap_ns = 100 * CLK_US,
                               .clients = 1000,
                               .answer_ns = CLK_US});
    struct rep_run_config c = config_for(target_of(p, target, sizeof target));
    c.sessions = true;
    c.duration_ns = 150 * CLK_MS;
    check_ok(replay(&c, &r), &last_error);
    check_int(r.tally.due, >, 0);
    check_int(r.tally.ok, ==, r.tally.due);
    check_int(r.tally.last_due_ns, <, 150 * CLK_MS);
    check_int(r.tally.due + r.never_due, ==, 3 * REP_SESSION_AHEAD);
    rep_run_result_done(&r);
    peer_stop(p);
}

/* What came on each connection of the peer, in order. */
#define CONNECTIONS_SEEN 64
static struct {
    int count, n[OPS_MAX];
} seen_on[CONNECTIONS_SEEN];
static _Atomic int connections_seen;

static void answer_and_note(int fd, int nth, void *arg)
{
    char request[8192];
    (void)nth;
    (void)arg;
    int mine = connections_seen++;
    while (peer_read_request(fd, request, sizeof request) > 0) {
        const char *n = strstr(request, "{\"n\": ");
        if (mine < CONNECTIONS_SEEN && n)
            seen_on[mine].n[seen_on[mine].count++] = atoi(n + 6);
        nanosleep(&(struct timespec){.tv_nsec = 3 * CLK_MS}, NULL);
        if (!peer_say(fd, ANSWER))
            return;
    }
}

/* Nothing but requests of one recorded connection, in their order. How many carried
 * any: one more is made before the start, to see whether the target is there. */
static int check_connections(int clients)
{
    int used = 0;
    for (int i = 0; i < connections_seen; i++)
        for (int k = 1; k < seen_on[i].count; k++) {
            check_int(seen_on[i].n[k] % clients, ==, seen_on[i].n[0] % clients);
            check_int(seen_on[i].n[k], >, seen_on[i].n[k - 1]);
        }
    for (int i = 0; i < connections_seen; i++)
        used += seen_on[i].count > 0;
    return used;
}

static int replay_recorded(struct rep_run_result *r, uint32_t workers, uint32_t most)
{
    char target[64];
    memset(seen_on, 0, sizeof seen_on);
    connections_seen = 0;
    struct peer *p = peer_start(answer_and_note, NULL);
    write_trace(&(struct spec){.count = 60, .gap_ns = 100 * CLK_US, .clients = 6});
    struct rep_run_config c = config_for(target_of(p, target, sizeof target));
    c.pinned = true;
    c.http_connections = most;
    c.workers = workers;
    check_ok(replay(&c, r), &last_error);
    check_int(r->tally.ok, ==, 60);
    read_run(true);
    peer_stop(p);
    return check_connections(6);
}

static void recorded_connections_and_their_order_are_kept(void **state)
{
    struct rep_run_result r;
    char text[160];
    (void)state;
    for (uint32_t workers = 1; workers <= 2; workers++) {
        check_int(replay_recorded(&r, workers, 0), ==, 6);
        rep_run_result_done(&r);
        int waited = 0;
        for (int i = 0; i < 60; i++) {
            check_int(outcomes[i].connection, ==, i % 6);
            if (i < 6) {
                check_int(outcomes[i].wait, ==, OUT_WAIT_CONNECT);
                continue;
            }
            /* Each is sent when the one before it on its connection has ended, for
             * which it waited; or we, had we not been late ourselves, would have been
             * free. */
            check_int(outcomes[i].sent_ns, >=, outcomes[i - 6].done_ns);
            check_true(outcomes[i].wait == OUT_WAIT_OWN ||
                       outcomes[i].ready_ns == outcomes[i].due_ns);
            check_ready_after(&outcomes[i], &outcomes[i - 6]);
            waited += outcomes[i].wait == OUT_WAIT_OWN;
        }
        check_int(waited, >, 0);
        check_str_has(note_of(NOTE_CONNECTIONS, text, sizeof text), "recorded");
    }
}

static void recorded_connections_share_a_bounded_number_of_slots(void **state)
{
    struct rep_run_result r;
    int slots = 0;
    (void)state;
    check_int(replay_recorded(&r, 1, 2), >, 6);
    rep_run_result_done(&r);
    for (int i = 0; i < 60; i++)
        slots +=
            outcomes[i].wait == OUT_WAIT_SLOT || outcomes[i].wait == OUT_WAIT_CONNECT;
    check_int(slots, >, 6);
}

static void an_operation_without_a_connection_is_refused(void **state)
{
    struct peer *p = peer_start(answer, NULL);
    struct rep_run_result r;
    char target[64];
    (void)state;
    write_trace(&(struct spec){.count = 5, .gap_ns = 1000});
    struct rep_run_config c = config_for(target_of(p, target, sizeof target));
    c.pinned = true;
    check_int(replay(&c, &r), ==, ERR_PEER);
    check_int(r.tally.refused, ==, 5);
    check_str_has(r.tally.reasons[0].text, "which connection");
    rep_run_result_done(&r);
    peer_stop(p);
}

/* The policies hold for what waits for its own connection as well. */
static void what_waits_for_its_connection_is_dropped_or_stopped(void **state)
{
    struct peer *p = peer_start(swallow, NULL);
    struct rep_run_result r;
    char target[64];
    (void)state;
    for (int abort = 0; abort < 2; abort++) {
        write_trace(&(struct spec){.count = 50, .gap_ns = CLK_MS, .clients = 5});
        struct rep_run_config c = config_for(target_of(p, target, sizeof target));
        c.pinned = true;
        for (int64_t late_ns = CLK_SEC / 2;;) {
            c.deadline_ns = 2 * late_ns; /* the first are not late before the others */
            c.policy.abort_late_ns = abort ? late_ns : 0;
            c.policy.drop_late_ns = abort ? 0 : late_ns;
            check_ok(replay(&c, &r), &last_error);
            read_run(true);
            if (!held_up(50, &late_ns))
                break;
            rep_run_result_done(&r);
        }
        check_int(r.tally.sent, ==, 5);
        check_int(r.tally.dropped, ==, abort ? 0 : 45);
        check_true(abort ? r.tally.stopped > 5 : r.tally.failed == 5);
        check_int(r.tally.due + r.never_due, ==, 50);
        rep_run_result_done(&r);
        check_true(outcomes[20].ready_ns == OP_TIME_NONE);
    }
    peer_stop(p);
}

/* Of the 50, all of them due within 49 ms, three fit; the peer answers none. */
static void a_cap_refuses_what_is_beyond_it(void **state)
{
    struct peer *p = peer_start(swallow, NULL);
    struct rep_run_result r;
    char target[64], text[160];
    (void)state;
    write_trace(&(struct spec){.count = 50, .gap_ns = CLK_MS});
    struct rep_run_config c = config_for(target_of(p, target, sizeof target));
    c.http_connections = 4;
    c.policy.cap = 3;
    for (int64_t patience_ns = CLK_SEC / 2;;) {
        c.deadline_ns = patience_ns;
        check_ok(replay(&c, &r), &last_error);
        read_run(true);
        if (!held_up(50, &patience_ns))
            break;
        rep_run_result_done(&r);
    }
    check_int(r.tally.due, ==, 50);
    check_int(r.tally.refused, ==, 47);
    check_int(r.tally.sent, ==, 3);
    check_int(r.tally.sent + r.tally.dropped + r.tally.refused, ==, r.tally.due);
    check_int(r.tally.reason_count, ==, 1);
    check_str_has(r.tally.reasons[0].text, "--cap");
    rep_run_result_done(&r);
    check_int(outcome_count, ==, 50);
    for (int i = 0; i < 50; i++)
        check_int(outcomes[i].cause, ==, i < 3 ? OUT_DEADLINE : OUT_REFUSED);
    check_str(note_of(NOTE_SCHEDULE_POLICY, text, sizeof text), "queue, cap 3");
    check_str_has(note_of(NOTE_REFUSALS, text, sizeof text), "47: as many operations");
    peer_stop(p);
}

static void a_run_is_aborted_when_one_waits_too_long(void **state)
{
    struct peer *p = peer_start(swallow, NULL);
    struct rep_run_result r;
    char target[64], text[160];
    (void)state;
    write_trace(&(struct spec){.count = 1000, .gap_ns = 10 * CLK_MS});
    struct rep_run_config c = config_for(target_of(p, target, sizeof target));
    c.http_connections = 1;
    c.deadline_ns = 60 * CLK_SEC;
    c.policy.abort_late_ns = 100 * CLK_MS;
    check_ok(replay(&c, &r), &last_error);
    check_str(r.aborted, "an operation waited longer than --abort-late 100 ms");
    check_true(r.interrupted);
    check_int(r.tally.due, >, 5);
    check_int(r.tally.due, ==, r.tally.stopped);
    check_int(r.tally.due + r.never_due, ==, 1000);
    rep_run_result_done(&r);
    read_run(true);
    check_str(note_of(NOTE_ENDED_BY, text, sizeof text),
              "an operation waited longer than --abort-late 100 ms");
    peer_stop(p);
}

/* Answers the first request of a run after 300 ms, all others at once. */
static _Atomic bool stalled;

static void stall(int fd, int nth, void *arg)
{
    char request[8192];
    (void)arg;
    (void)nth;
    while (peer_read_request(fd, request, sizeof request) > 0) {
        if (!atomic_exchange(&stalled, true))
            usleep(300000);
        if (!peer_say(fd, ANSWER))
            return;
    }
}

static void a_backlog_is_sent_no_faster_than_allowed(void **state)
{
    struct peer *p = peer_start(stall, NULL);
    struct rep_run_result r;
    char target[64], text[160];
    int paced = 0;
    (void)state;
    write_trace(&(struct spec){.count = 60, .gap_ns = 10 * CLK_MS});
    struct rep_run_config c = config_for(target_of(p, target, sizeof target));
    c.http_connections = 1;
    c.policy.catch_up = 2;
    check_ok(replay(&c, &r), &last_error);
    check_int(r.tally.ok, ==, 60);
    rep_run_result_done(&r);
    read_run(true);
    for (int i = 1; i < 60; i++) {
        const struct outcome *o = &outcomes[i];
        /* Ready no sooner than half a gap after the one before was sent. */
        check_int(o->ready_ns, >=, o->due_ns);
        check_int(o->sent_ns, >=, o->ready_ns);
        int64_t gap = o->ready_ns - outcomes[i - 1].ready_ns;
        check_int(gap, >=, 5 * CLK_MS);
        paced += o->ready_ns > o->due_ns;
    }
    check_int(paced, >=, 20); /* at full speed the backlog is gone after some ms */
    check_str(note_of(NOTE_SCHEDULE_POLICY, text, sizeof text), "queue, catch-up 2");
    peer_stop(p);
}

static void a_closed_loop_sends_the_next_when_the_answer_came(void **state)
{
    struct peer *p = peer_start(answer, NULL);
    struct rep_run_result r;
    char target[64], text[32];
    (void)state;
    /* An hour of schedule, which a closed loop ignores. */
    write_trace(&(struct spec){.count = 3000, .gap_ns = CLK_SEC});
    struct rep_run_config c = config_for(target_of(p, target, sizeof target));
    c.http_connections = 0;
    c.users = 3;
    check_ok(replay(&c, &r), &last_error);
    check_int(r.tally.ok, ==, 3000);
    rep_run_result_done(&r);
    read_run(true);
    check_int(outcome_count, ==, 3000);
    for (int i = 0; i < 3000; i++) {
        check_int(outcomes[i].ready_ns, >=, outcomes[i].due_ns);
        check_int(outcomes[i].sent_ns, >=, outcomes[i].ready_ns);
    }
    for (int i = 0; i < 3; i++)
        check_int(outcomes[i].due_ns, ==, 0);
    check_str(note_of(NOTE_SCHEDULE_MODE, text, sizeof text), "closed");
    check_int(peer_connections(p), ==, 3 + 1); /* and the probe */
    peer_stop(p);
}

static void a_duration_cuts_the_trace_by_due_time(void **state)
{
    struct peer *p = peer_start(answer, NULL);
    struct rep_run_result r;
    char target[64], text[32];
    (void)state;
    write_trace(&(struct spec){.count = 1000, .gap_ns = CLK_MS});
    struct rep_run_config c = config_for(target_of(p, target, sizeof target));
    c.duration_ns = 100 * CLK_MS;
    check_ok(replay(&c, &r), &last_error);
    check_int(r.tally.due, ==, 100);
    check_int(r.never_due, ==, 900);
    check_true(!r.interrupted);
    rep_run_result_done(&r);
    check_str(note_of(NOTE_NEVER_DUE, text, sizeof text), "900");
    c.users = 2;
    c.duration_ns = 50 * CLK_MS;
    check_ok(replay(&c, &r), &last_error);
    check_int(r.tally.due + r.never_due, ==, 1000);
    rep_run_result_done(&r);
    peer_stop(p);
}

static volatile sig_atomic_t interrupts;

static void on_alarm(int sig)
{
    (void)sig;
    interrupts = 1;
}

static void shards_share_one_schedule_and_leave_nothing_out(void **state)
{
    struct peer *p = peer_start(answer, NULL);
    char target[64], text[32];
    bool seen[50] = {false};
    (void)state;
    write_trace(&(struct spec){.count = 50, .gap_ns = CLK_MS, .first_ns = 7 * CLK_SEC});
    struct rep_run_config c = config_for(target_of(p, target, sizeof target));
    c.workers = 2;
    for (uint32_t i = 0; i < 3; i++) {
        struct rep_run_result r;
        c.shard = (struct rep_shard){i, 3};
        check_ok(replay(&c, &r), &last_error);
        check_int(r.tally.due, ==, i == 2 ? 16 : 17);
        check_int(r.never_due, ==, 0);
        rep_run_result_done(&r);
        read_run(true);
        for (uint64_t k = 0; k < 50; k++) {
            if (outcomes[k].op_index == UINT64_MAX)
                continue;
            check_int(k % 3, ==, i);
            check_int(outcomes[k].due_ns, ==, k * CLK_MS); /* of the whole trace */
            seen[k] = true;
        }
        snprintf(text, sizeof text, "%u/3", i + 1);
        char noted[32];
        check_str(note_of(NOTE_SCHEDULE_SHARD, noted, sizeof noted), text);
    }
    for (int k = 0; k < 50; k++)
        check_true(seen[k]);
    c.duration_ns = 10 * CLK_MS;
    struct rep_run_result r;
    c.shard = (struct rep_shard){1, 3};
    check_ok(replay(&c, &r), &last_error);
    check_int(r.tally.due, ==, 3);      /* 1, 4, 7 */
    check_int(r.never_due, ==, 17 - 3); /* of its own */
    rep_run_result_done(&r);
    peer_stop(p);
}

static void the_start_is_at_the_instant_that_was_asked_for(void **state)
{
    struct peer *p = peer_start(answer, NULL);
    struct rep_run_result r;
    char target[64], text[32];
    (void)state;
    write_trace(&(struct spec){.count = 5, .gap_ns = CLK_MS});
    struct rep_run_config c = config_for(target_of(p, target, sizeof target));
    int rc = ERR_USAGE; /* where it was past once everything was ready */
    for (int64_t lead = 300 * CLK_MS; rc == ERR_USAGE && lead < 60 * CLK_SEC;
         lead *= 4) {
        c.start_at.ns = clk_wall_now(clk_system()).ns + lead;
        rc = replay(&c, &r);
        if (rc < 0)
            rep_run_result_done(&r);
    }
    check_ok(rc, &last_error);
    check_int(r.tally.ok, ==, 5);
    rep_run_result_done(&r);
    int64_t start = strtoll(note_of(NOTE_START_WALL, text, sizeof text), NULL, 10);
    check_int(llabs(start - c.start_at.ns), <, CLK_MS);
    c.start_at.ns = clk_wall_now(clk_system()).ns - CLK_SEC;
    check_int(replay(&c, &r), ==, ERR_USAGE);
    check_str_has(last_error.text, "is past");
    rep_run_result_done(&r);
    peer_stop(p);
}

static void phases_are_noted_by_due_time(void **state)
{
    struct peer *p = peer_start(answer, NULL);
    struct rep_run_result r;
    char target[64], text[32];
    (void)state;
    write_trace(&(struct spec){.count = 101, .gap_ns = CLK_MS});
    struct rep_run_config c = config_for(target_of(p, target, sizeof target));
    c.speed = "2";
    c.warmup_ns = 20 * CLK_MS;
    c.cooldown_ns = 10 * CLK_MS;
    check_ok(replay(&c, &r), &last_error);
    check_int(r.tally.ok, ==, 101); /* all of them are sent */
    rep_run_result_done(&r);
    check_str(note_of(NOTE_WARMUP, text, sizeof text), "20000000");
    check_str(note_of(NOTE_COOLDOWN, text, sizeof text), "40000000");
    c.duration_ns = 35 * CLK_MS; /* it ends sooner */
    check_ok(replay(&c, &r), &last_error);
    rep_run_result_done(&r);
    check_str(note_of(NOTE_COOLDOWN, text, sizeof text), "25000000");
    c.cooldown_ns = 15 * CLK_MS;
    check_int(replay(&c, &r), ==, ERR_USAGE);
    check_str_has(last_error.text, "leave nothing");
    rep_run_result_done(&r);
    peer_stop(p);
}

static void an_interrupted_run_is_closed_and_tells_what_was_left(void **state)
{
    struct peer *p = peer_start(swallow, NULL);
    struct rep_run_result r;
    char target[64], text[512];
    (void)state;
    /* Forty connections hang, the rest of what is due waits, and most is never due. */
    write_trace(&(struct spec){.count = 10000, .gap_ns = CLK_MS});
    struct rep_run_config c = config_for(target_of(p, target, sizeof target));
    c.http_connections = 40;
    c.interrupts = &interrupts;
    interrupts = 0;
    signal(SIGALRM, on_alarm);
    main_thread = pthread_self();
    swallowed = 0;
    signal_at = 40;
    check_int(replay(&c, &r), ==, ERR_STOPPED);
    signal_at = 0;
    check_true(r.interrupted);
    check_int(r.tally.due, ==, r.tally.stopped);
    check_int(r.tally.sent, ==, 40);
    check_int(r.tally.due, >=, 40);
    check_int(r.tally.due + r.never_due, ==, 10000);
    uint64_t due = r.tally.due;
    rep_run_result_done(&r);
    read_run(true);
    check_int(outcome_count, ==, due);
    check_str(note_of(NOTE_INTERRUPTED, text, sizeof text), "yes");
    check_str(note_of(NOTE_ENDED_BY, text, sizeof text), "a signal");
    check_str_has(note_of(NOTE_HEALTH_CAUSES, text, sizeof text),
                  "INVALID interrupted: the run was ended before the trace was");
    peer_stop(p);
}

static void a_trace_that_breaks_off_is_replayed_up_to_there(void **state)
{
    struct peer *p = peer_start(answer, NULL);
    struct rep_run_result r;
    char target[64], text[256];
    (void)state;
    write_trace(&(struct spec){.count = 20000, .gap_ns = 1000, .truncated = true});
    struct rep_run_config c = config_for(target_of(p, target, sizeof target));
    check_int(replay(&c, &r), ==, ERR_TRUNCATED);
    check_str_has(last_error.text, "t.trace");
    check_true(r.interrupted);
    uint64_t due = r.tally.due;
    check_int(due, >, 10000);
    check_int(r.tally.ok, ==, due);
    rep_run_result_done(&r);
    read_run(true);
    check_int(outcome_count, ==, due);
    check_str_has(note_of(NOTE_ENDED_BY, text, sizeof text), "t.trace");
    peer_stop(p);
}

static void an_existing_run_is_not_replaced_unasked(void **state)
{
    struct rep_run_result r;
    (void)state;
    write_trace(&(struct spec){.count = 1});
    FILE *f = fopen(run_path, "w");
    check_true(f != NULL);
    fputs("mine", f);
    fclose(f);
    struct rep_run_config c = config_for("127.0.0.1:1");
    c.force = false;
    check_int(replay(&c, &r), ==, ERR_USAGE);
    check_str_has(last_error.text, "exists already");
    rep_run_result_done(&r);
    struct stat st;
    check_int(stat(run_path, &st), ==, 0);
    check_int(st.st_size, ==, 4);
}

static void a_run_is_no_trace(void **state)
{
    struct peer *p = peer_start(answer, NULL);
    struct rep_run_result r;
    char target[64];
    (void)state;
    write_trace(&(struct spec){.count = 5});
    struct rep_run_config c = config_for(target_of(p, target, sizeof target));
    check_ok(replay(&c, &r), &last_error);
    rep_run_result_done(&r);
    char other[160];
    snprintf(other, sizeof other, "%s.2", run_path);
    c.trace = run_path;
    c.out = other;
    check_int(replay(&c, &r), ==, ERR_FORMAT);
    check_str_has(last_error.text, "is a run, not a trace");
    rep_run_result_done(&r);
    peer_stop(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_operation_is_sent_once_at_its_exact_due_time),
        cmocka_unit_test(several_workers_lose_nothing),
        cmocka_unit_test(what_the_tier_cannot_express_is_refused_and_recorded),
        cmocka_unit_test(a_trace_of_which_nothing_can_be_sent_is_unavailable),
        cmocka_unit_test(a_target_that_is_not_there_leaves_no_run),
        cmocka_unit_test(back_pressure_is_told_from_our_own_lateness),
        cmocka_unit_test(operations_that_wait_too_long_are_dropped_on_demand),
        cmocka_unit_test(a_cap_refuses_what_is_beyond_it),
        cmocka_unit_test(a_run_is_aborted_when_one_waits_too_long),
        cmocka_unit_test(a_backlog_is_sent_no_faster_than_allowed),
        cmocka_unit_test(a_closed_loop_sends_the_next_when_the_answer_came),
        cmocka_unit_test(a_duration_cuts_the_trace_by_due_time),
        cmocka_unit_test(shards_share_one_schedule_and_leave_nothing_out),
        cmocka_unit_test(the_start_is_at_the_instant_that_was_asked_for),
        cmocka_unit_test(phases_are_noted_by_due_time),
        cmocka_unit_test(an_interrupted_run_is_closed_and_tells_what_was_left),
        cmocka_unit_test(a_trace_that_breaks_off_is_replayed_up_to_there),
        cmocka_unit_test(an_existing_run_is_not_replaced_unasked),
        cmocka_unit_test(recorded_connections_and_their_order_are_kept),
        cmocka_unit_test(recorded_connections_share_a_bounded_number_of_slots),
        cmocka_unit_test(an_operation_without_a_connection_is_refused),
        cmocka_unit_test(what_waits_for_its_connection_is_dropped_or_stopped),
        cmocka_unit_test(sessions_follow_their_answers),
        cmocka_unit_test(a_think_time_without_an_answer_is_the_gap),
        cmocka_unit_test(a_session_goes_on_or_ends_with_its_first_failure),
        cmocka_unit_test(sessions_are_bounded_in_time_and_memory),
        cmocka_unit_test(a_run_is_no_trace),
    };
    log_setup(true, NULL);
    return cmocka_run_group_tests(tests, setup, teardown);
}

/* test_http1_engine.c - both engines of REST against HTTP/1.1 peers of every kind: the
 * same tests, so that one is the measure of the other.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/check.h"

#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <zlib.h>

#include "replay/engine/engine.h"
#include "replay/schedule.h"
#include "tests/unit/peer.h"
#include "traces/wire/content_encoding.h"

#define OK_HEAD "HTTP/1.1 200 OK\r\nContent-Length: "
#define PLENTY  (60 * CLK_SEC)
#define LARGE   ((size_t)24 << 20)

static const struct rep_engine_ops *ops; /* the engine that is tested */
static uint64_t answer_max = 4096;

/* An engine on a loop, and what came back from it. */
struct rig {
    struct ev *ev;
    struct rep_address target;
    struct rep_engine *engine;
    struct rep_queue done;
    struct rep_stream stream;
    struct rep_request requests[64];
    char heads[64][256];
    int sent;
};

static void on_done(void *arg, struct rep_request *r)
{
    struct rig *g = arg;
    rep_queue_push(&g->done, r);
}

static int64_t now_ns(void)
{
    return clk_mono_now(clk_system()).ns;
}

static void setup_limited(struct rig *g, uint16_t port, uint32_t connections,
                          int64_t deadline, uint64_t per_connection)
{
    struct err e = {0};
    char text[64];
    memset(g, 0, sizeof *g);
    snprintf(text, sizeof text, "127.0.0.1:%u", port);
    check_ok(rep_target_parse(&g->target, text, "--http", &e), &e);
    check_ok(rep_target_resolve(&g->target, false, CLK_SEC, &e), &e);
    g->ev = ev_new(clk_system(), &e);
    check_true(g->ev != NULL);
    struct rep_engine_config c = {.ev = g->ev,
                                  .clk = clk_system(),
                                  .target = &g->target,
                                  .connections = connections,
                                  .streams = 1,
                                  .requests_per_connection = per_connection,
                                  .deadline_ns = deadline,
                                  .answer_max = answer_max,
                                  .keep_answers = true,
                                  .done = on_done,
                                  .arg = g};
    check_ok(ops->open(&g->engine, &c, &e), &e);
    g->stream.as_sent.method = SPAN_LIT("POST");
    g->stream.head = SPAN_LIT("POST /v2/models/m/infer HTTP/1.1\r\nHost: t\r\n");
}

static void setup(struct rig *g, uint16_t port, uint32_t connections, int64_t deadline)
{
    setup_limited(g, port, connections, deadline, 0);
}

/* So many connections ended so, and none in another way. */
static void check_ended(const struct rig *g, enum rep_end why, uint64_t count)
{
    for (int i = 0; i < REP_END_COUNT; i++)
        check_int(g->engine->stats.ends[i], ==, i == (int)why ? count : 0);
}

static void teardown(struct rig *g)
{
    check_int(g->engine->ops->in_flight(g->engine), ==, 0);
    g->engine->ops->close(g->engine);
    for (int i = 0; i < g->sent; i++) {
        buf_done(&g->requests[i].answer);
        free(g->requests[i].messages);
    }
    ev_free(g->ev);
}

/* A request with a body of its own; ready as of now. */
static struct rep_request *make(struct rig *g, const char *body)
{
    int i = g->sent++;
    struct rep_request *r = &g->requests[i];
    snprintf(g->heads[i], sizeof g->heads[i], "Content-Length: %zu\r\n\r\n",
             strlen(body));
    r->stream = &g->stream;
    r->out = outcome_empty();
    r->out.due_ns = r->out.ready_ns = now_ns();
    r->wire[0] = span_str(g->heads[i]);
    r->wire[1] = span_str(body);
    return r;
}

static struct rep_request *send_one(struct rig *g, const char *body)
{
    struct rep_request *r = make(g, body);
    check_int(g->engine->ops->free_slots(g->engine), >, 0);
    g->engine->ops->send(g->engine, r);
    return r;
}

/* Turns the loop until `count` requests came back in all. */
/* One turn of the loop, of 20 ms at most. */
static void turn(struct rig *g)
{
    struct err e = {0};
    int64_t next = g->engine->ops->expire(g->engine, now_ns());
    g->engine->ops->flush(g->engine);
    int64_t soon = now_ns() + 20 * CLK_MS;
    check_ok(ev_turn(g->ev, (struct clk_mono){next < soon ? next : soon}, &e), &e);
}

static void await(struct rig *g, uint64_t count)
{
    int64_t end = now_ns() + PLENTY;
    while (g->done.count < count) {
        check_true(now_ns() < end);
        turn(g);
    }
}

static void turn_for(struct rig *g, int64_t ns)
{
    struct err e = {0};
    int64_t end = now_ns() + ns;
    do {
        g->engine->ops->flush(g->engine);
        check_ok(ev_turn(g->ev, (struct clk_mono){end}, &e), &e);
    } while (now_ns() < end);
}

static void check_clocks(const struct rep_request *r)
{
    check_int(r->out.due_ns, <=, r->out.ready_ns);
    check_int(r->out.ready_ns, <=, r->out.sent_ns);
    check_int(r->out.sent_ns, <=, r->out.first_ns);
    check_int(r->out.first_ns, <=, r->out.done_ns);
}

/* --- peers ---------------------------------------------------------------- */

/* Answers every request with what arg holds. */
static void answer_with(int fd, int nth, void *arg)
{
    char request[8192];
    (void)nth;
    while (peer_read_request(fd, request, sizeof request) > 0)
        if (!peer_say(fd, arg))
            return;
}

static void echo_body(int fd, int nth, void *arg)
{
    char request[8192], head[128];
    (void)nth;
    (void)arg;
    while (peer_read_request(fd, request, sizeof request) > 0) {
        const char *body = strstr(request, "\r\n\r\n") + 4;
        snprintf(head, sizeof head, OK_HEAD "%zu\r\n\r\n", strlen(body));
        if (!peer_say(fd, head) || !peer_say(fd, body))
            return;
    }
}

/* What a peer waits for. */
static sem_t told;

/* One byte at a time, each in a packet of its own; the last one when it is told to. */
static void answer_bytewise(int fd, int nth, void *arg)
{
    char request[8192];
    (void)nth;
    while (peer_read_request(fd, request, sizeof request) > 0)
        for (const char *p = arg; *p; p++) {
            if (!p[1])
                sem_wait(&told);
            if (!peer_send(fd, p, 1))
                return;
        }
}

static void answer_once_and_close(int fd, int nth, void *arg)
{
    char request[8192];
    (void)nth;
    if (peer_read_request(fd, request, sizeof request) > 0)
        peer_say(fd, arg);
}

static void read_and_close(int fd, int nth, void *arg)
{
    char request[8192];
    (void)nth;
    (void)arg;
    peer_read_request(fd, request, sizeof request);
}

static void read_and_reset(int fd, int nth, void *arg)
{
    char request[8192];
    (void)nth;
    (void)arg;
    peer_read_request(fd, request, sizeof request);
    peer_reset(fd);
}

static void never_answer(int fd, int nth, void *arg)
{
    char request[8192];
    (void)nth;
    (void)arg;
    while (peer_read_request(fd, request, sizeof request) > 0)
        ;
}

/* --- tests ---------------------------------------------------------------- */

static void an_answer_is_timed_counted_and_hashed(void **state)
{
    struct peer *p = peer_start(echo_body, NULL);
    struct rig g;
    (void)state;
    setup(&g, peer_port(p), 1, PLENTY);
    struct rep_request *r = send_one(&g, "hello");
    await(&g, 1);
    check_int(r->out.cause, ==, OUT_OK);
    check_int(r->out.status, ==, 200);
    check_int(r->out.bytes_in, ==, 5);
    check_int(r->out.attempts, ==, 1);
    check_int(r->out.connection, ==, 0);
    check_true(r->out.answer_hash == outcome_answer_hash(SPAN_LIT("hello")));
    check_span(buf_view(&r->answer), "hello");
    check_clocks(r);
    teardown(&g);
    peer_stop(p);
}

static void one_connection_serves_many_requests(void **state)
{
    struct peer *p = peer_start(echo_body, NULL);
    struct rig g;
    char body[32];
    (void)state;
    setup(&g, peer_port(p), 1, PLENTY);
    for (int i = 0; i < 20; i++) {
        snprintf(body, sizeof body, "request %d", i);
        struct rep_request *r = send_one(&g, body);
        check_int(g.engine->ops->free_slots(g.engine), ==, 0);
        await(&g, (uint64_t)i + 1);
        check_span(buf_view(&r->answer), body);
    }
    check_int(peer_connections(p), ==, 1);
    teardown(&g);
    peer_stop(p);
}

static void a_connection_is_replaced_after_so_many_requests(void **state)
{
    struct peer *p = peer_start(echo_body, NULL);
    struct rig g;
    (void)state;
    setup_limited(&g, peer_port(p), 1, PLENTY, 3);
    for (uint64_t i = 1; i <= 8; i++) {
        struct rep_request *r = send_one(&g, "x");
        await(&g, i);
        check_int(r->out.cause, ==, OUT_OK);
        check_int(r->out.attempts, ==, 1);
        check_clocks(r);
    }
    check_int(peer_connections(p), ==, 3);
    check_ended(&g, REP_END_LIMIT, 2);
    /* The one after the last is made at once, for whoever comes next. */
    send_one(&g, "x");
    await(&g, 9);
    if (ops == &rep_http1_engine) {
        while (ops->live(g.engine) == 0)
            turn_for(&g, CLK_MS);
        check_int(g.engine->stats.connects, ==, 4);
    }
    teardown(&g);
    peer_stop(p);
}

static void connections_work_side_by_side(void **state)
{
    struct peer *p = peer_start(echo_body, NULL);
    struct rig g;
    static char bodies[16][32];
    (void)state;
    setup(&g, peer_port(p), 16, PLENTY);
    if (ops->warm) {
        ops->warm(g.engine);
        while (ops->warming(g.engine))
            turn_for(&g, CLK_MS);
        check_int(ops->live(g.engine), ==, 16);
    }
    for (int i = 0; i < 16; i++) {
        snprintf(bodies[i], sizeof bodies[i], "body %d", i);
        send_one(&g, bodies[i]);
    }
    check_int(g.engine->ops->free_slots(g.engine), ==, 0);
    await(&g, 16);
    for (int i = 0; i < 16; i++)
        check_span(buf_view(&g.requests[i].answer), bodies[i]);
    check_int(peer_connections(p), ==, 16);
    teardown(&g);
    peer_stop(p);
}

static void error_statuses_are_answers(void **state)
{
    static const int codes[] = {301, 404, 422, 500, 503};
    (void)state;
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        char text[128];
        struct rig g;
        snprintf(text, sizeof text, "HTTP/1.1 %d X\r\nContent-Length: 2\r\n\r\nno",
                 codes[i]);
        struct peer *p = peer_start(answer_with, text);
        setup(&g, peer_port(p), 1, PLENTY);
        struct rep_request *r = send_one(&g, "x");
        await(&g, 1);
        check_int(r->out.cause, ==, OUT_STATUS);
        check_int(r->out.status, ==, codes[i]);
        check_clocks(r);
        teardown(&g);
        peer_stop(p);
    }
}

static void answers_may_come_byte_by_byte(void **state)
{
    static char chunked[] = "HTTP/1.1 100 Continue\r\n\r\n"
                            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                            "3\r\nabc\r\n4;x=1\r\ndefg\r\n0\r\nTrailer: t\r\n\r\n";
    struct peer *p = peer_start(answer_bytewise, chunked);
    struct rig g;
    (void)state;
    setup(&g, peer_port(p), 1, PLENTY);
    for (uint64_t i = 1; i <= 3; i++) {
        struct rep_request *r = send_one(&g, "x");
        while (r->out.first_ns == OP_TIME_NONE)
            turn_for(&g, CLK_MS);
        sem_post(&told);
        await(&g, i);
        check_int(r->out.cause, ==, OUT_OK);
        check_span(buf_view(&r->answer), "abcdefg");
        check_true(r->out.answer_hash == outcome_answer_hash(SPAN_LIT("abcdefg")));
        check_int(r->out.first_ns, <, r->out.done_ns);
    }
    check_int(peer_connections(p), ==, 1);
    teardown(&g);
    peer_stop(p);
}

static void a_body_may_end_with_the_connection(void **state)
{
    static char text[] = "HTTP/1.0 200 OK\r\n\r\nto the end";
    struct peer *p = peer_start(answer_once_and_close, text);
    struct rig g;
    (void)state;
    setup(&g, peer_port(p), 1, PLENTY);
    for (uint64_t i = 1; i <= 3; i++) {
        struct rep_request *r = send_one(&g, "x");
        await(&g, i);
        check_int(r->out.cause, ==, OUT_OK);
        check_span(buf_view(&r->answer), "to the end");
    }
    check_ended(&g, REP_END_ANSWER, 3);
    teardown(&g);
    peer_stop(p);
}

static void after_connection_close_the_next_request_takes_a_new_one(void **state)
{
    static char text[] =
        "HTTP/1.1 404 Not Found\r\nconnection: close\r\nContent-Length: 0\r\n\r\n";
    struct peer *p = peer_start(answer_once_and_close, text);
    struct rig g;
    (void)state;
    setup(&g, peer_port(p), 1, PLENTY);
    for (uint64_t i = 1; i <= 5; i++) {
        struct rep_request *r = send_one(&g, "x");
        await(&g, i);
        check_int(r->out.cause, ==, OUT_STATUS);
        check_int(r->out.status, ==, 404);
        check_int(r->out.attempts, ==, 1);
        check_clocks(r);
    }
    check_int(g.engine->stats.retries, ==, 0);
    check_ended(&g, REP_END_ANSWER, 5);
    teardown(&g);
    peer_stop(p);
}

static void bytes_behind_an_answer_cost_the_connection_but_not_the_answer(void **state)
{
    static char text[] = OK_HEAD "2\r\n\r\nokHTTP/1.1 200 OK\r\n";
    struct peer *p = peer_start(answer_with, text);
    struct rig g;
    (void)state;
    setup(&g, peer_port(p), 1, PLENTY);
    for (uint64_t i = 1; i <= 2; i++) {
        struct rep_request *r = send_one(&g, "x");
        await(&g, i);
        check_int(r->out.cause, ==, OUT_OK);
        check_span(buf_view(&r->answer), "ok");
    }
    check_int(peer_connections(p), >=, 2);
    teardown(&g);
    peer_stop(p);
}

static void what_is_no_http_is_garbage(void **state)
{
    static char texts[][96] = {
        "220 mail.example ESMTP\r\n", "HTTP/1.1 abc\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"};
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct peer *p = peer_start(answer_with, texts[i]);
        struct rig g;
        setup(&g, peer_port(p), 1, PLENTY);
        struct rep_request *r = send_one(&g, "x");
        await(&g, 1);
        check_int(r->out.cause, ==, OUT_GARBAGE);
        check_int(r->out.attempts, ==, 1);
        check_ended(&g, REP_END_GARBAGE, 1);
        teardown(&g);
        peer_stop(p);
    }
}

static void an_answer_beyond_the_limit_is_too_big(void **state)
{
    static char stated[] = OK_HEAD "5000\r\n\r\n";
    static char chunked[8192];
    /* libcurl counts what came, not what a chunk promises. */
    snprintf(chunked, sizeof chunked,
             "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFF\r\n%05000d",
             0);
    char *texts[] = {stated, chunked};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct peer *p = peer_start(answer_with, texts[i]);
        struct rig g;
        setup(&g, peer_port(p), 1, PLENTY);
        struct rep_request *r = send_one(&g, "x");
        await(&g, 1);
        check_int(r->out.cause, ==, OUT_TOO_BIG);
        check_int(r->out.status, ==, 200);
        check_ended(&g, REP_END_GIVEN_UP, 1);
        teardown(&g);
        peer_stop(p);
    }
}

static void a_close_in_mid_answer_is_closed(void **state)
{
    static char texts[][96] = {"HTTP/1.1 200 OK\r\nConte", OK_HEAD "10\r\n\r\nhalf"};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct peer *p = peer_start(answer_once_and_close, texts[i]);
        struct rig g;
        setup(&g, peer_port(p), 1, PLENTY);
        struct rep_request *r = send_one(&g, "x");
        await(&g, 1);
        check_int(r->out.cause, ==, OUT_CLOSED);
        check_int(r->out.attempts, ==, 1);
        check_true(r->out.first_ns != OP_TIME_NONE);
        /* libcurl takes half a head for a whole one, and keeps the connection. */
        if (ops == &rep_http1_engine || i > 0)
            check_ended(&g, REP_END_CLOSED, 1);
        teardown(&g);
        peer_stop(p);
    }
}

static void a_request_that_was_read_is_never_sent_again(void **state)
{
    struct peer *p = peer_start(read_and_close, NULL);
    struct rig g;
    (void)state;
    setup(&g, peer_port(p), 1, PLENTY);
    struct rep_request *r = send_one(&g, "x");
    await(&g, 1);
    check_int(r->out.cause, ==, OUT_CLOSED);
    check_int(r->out.attempts, ==, 1);
    check_int(peer_connections(p), ==, 1);
    check_ended(&g, REP_END_CLOSED, 1);
    teardown(&g);
    peer_stop(p);

    p = peer_start(read_and_reset, NULL);
    setup(&g, peer_port(p), 1, PLENTY);
    r = send_one(&g, "x");
    await(&g, 1);
    check_int(r->out.cause, ==, OUT_RESET);
    check_int(r->out.attempts, ==, 1);
    check_int(peer_connections(p), ==, 1);
    check_ended(&g, REP_END_RESET, 1);
    teardown(&g);
    peer_stop(p);
}

/* Closes the first connection after one answer, when it is told to, without a word;
 * later ones are kept. */
static void close_first_when_idle(int fd, int nth, void *arg)
{
    if (nth == 0) {
        answer_once_and_close(fd, nth, arg);
        sem_wait(&told);
        return;
    }
    answer_with(fd, nth, arg);
}

/* Tells it, and waits until our kernel has the end. */
static void let_end(const struct peer *p)
{
    int client = peer_client(p);
    check_int(client, >=, 0);
    sem_post(&told);
    check_true(peer_await_end(client));
}

static void a_connection_closed_while_idle_is_noticed_before_it_is_used(void **state)
{
    static char text[] = OK_HEAD "2\r\n\r\nok";
    struct peer *p = peer_start(close_first_when_idle, text);
    struct rig g;
    (void)state;
    setup(&g, peer_port(p), 1, PLENTY);
    send_one(&g, "x");
    await(&g, 1);
    let_end(p);
    while (ops == &rep_http1_engine && ops->live(g.engine) > 0)
        turn_for(&g, CLK_MS); /* libcurl looks when it wants to use it */
    struct rep_request *r = send_one(&g, "x");
    await(&g, 2);
    check_int(r->out.cause, ==, OUT_OK);
    check_int(r->out.attempts, ==, 1);
    check_int(g.engine->stats.ends[REP_END_IDLE], ==, 1);
    check_int(g.engine->stats.retries, ==, 0);
    teardown(&g);
    peer_stop(p);
}

static void a_request_that_met_a_close_under_way_is_sent_once_more(void **state)
{
    static char text[] = OK_HEAD "2\r\n\r\nok";
    struct peer *p = peer_start(close_first_when_idle, text);
    struct rig g;
    (void)state;
    setup(&g, peer_port(p), 1, PLENTY);
    send_one(&g, "x");
    await(&g, 1);
    let_end(p); /* which the loop does not see yet */
    struct rep_request *r = send_one(&g, "x");
    await(&g, 2);
    check_int(r->out.cause, ==, OUT_OK);
    /* libcurl looks at a connection before it takes it up again. */
    int again = ops == &rep_http1_engine;
    check_int(r->out.attempts, ==, 1 + again);
    check_int(g.engine->stats.retries, ==, again);
    check_clocks(r);
    check_ended(&g, REP_END_IDLE, 1);
    teardown(&g);
    peer_stop(p);
}

static void reset_first_when_idle(int fd, int nth, void *arg)
{
    if (nth == 0) {
        answer_once_and_close(fd, nth, arg);
        sem_wait(&told);
        peer_reset(fd);
        return;
    }
    answer_with(fd, nth, arg);
}

static void a_request_of_which_no_byte_could_be_written_is_sent_anew(void **state)
{
    static char text[] = OK_HEAD "2\r\n\r\nok";
    struct peer *p = peer_start(reset_first_when_idle, text);
    struct rig g;
    (void)state;
    setup(&g, peer_port(p), 1, PLENTY);
    send_one(&g, "x");
    await(&g, 1);
    let_end(p); /* unseen: writing fails */
    struct rep_request *r = send_one(&g, "x");
    await(&g, 2);
    check_int(r->out.cause, ==, OUT_OK);
    check_int(r->out.attempts, ==, 1);
    check_ended(&g, REP_END_IDLE, 1);
    teardown(&g);
    peer_stop(p);
}

static void close_at_once(int fd, int nth, void *arg)
{
    (void)fd;
    (void)nth;
    (void)arg;
}

/* Each connection is at its end before the request goes out on it. libcurl connects and
 * writes in one go, so that nothing can come between. */
static void a_peer_that_closes_everything_ends_in_an_outcome_not_in_a_loop(void **state)
{
    struct peer *p;
    struct rig g;
    (void)state;
    if (ops != &rep_http1_engine)
        return;
    p = peer_start(close_at_once, NULL);
    setup(&g, peer_port(p), 1, PLENTY);
    for (uint64_t i = 1; i <= 5; i++) {
        struct rep_request *r = send_one(&g, "x");
        while (g.done.count < i) {
            int client = peer_client(p);
            check_true(client < 0 || peer_await_end(client));
            turn(&g);
        }
        check_int(r->out.cause, ==, OUT_CLOSED);
        check_int(r->out.attempts, ==, REP_TRIES_MAX);
    }
    teardown(&g);
    peer_stop(p);
}

static void close_when_something_came(int fd, int nth, void *arg)
{
    char first;
    (void)nth;
    (void)arg;
    (void)!recv(fd, &first, 1, MSG_PEEK);
}

static void a_request_that_came_and_was_not_read_is_not_sent_again(void **state)
{
    struct peer *p = peer_start(close_when_something_came, NULL);
    struct rig g;
    (void)state;
    setup(&g, peer_port(p), 1, PLENTY);
    for (uint64_t i = 1; i <= 5; i++) {
        struct rep_request *r = send_one(&g, "x");
        await(&g, i);
        check_int(r->out.cause, ==, OUT_RESET);
        check_int(r->out.attempts, ==, 1);
    }
    check_int(peer_connections(p), ==, 5);
    teardown(&g);
    peer_stop(p);
}

static void no_answer_ends_at_the_deadline(void **state)
{
    struct peer *p = peer_start(never_answer, NULL);
    struct rig g;
    (void)state;
    setup(&g, peer_port(p), 2, 50 * CLK_MS);
    struct rep_request *a = send_one(&g, "x");
    struct rep_request *b = send_one(&g, "y");
    await(&g, 2);
    check_int(a->out.cause, ==, OUT_DEADLINE);
    check_int(b->out.cause, ==, OUT_DEADLINE);
    check_int(a->out.done_ns - a->out.due_ns, >=, 50 * CLK_MS);
    check_true(a->out.first_ns == OP_TIME_NONE);
    check_int(g.engine->ops->free_slots(g.engine), ==, 2);
    check_ended(&g, REP_END_GIVEN_UP, 2);
    teardown(&g);
    peer_stop(p);
}

static void nobody_there_is_a_connect_failure(void **state)
{
    struct rig g;
    (void)state;
    setup(&g, peer_dead_port(), 2, PLENTY);
    for (uint64_t i = 1; i <= 4; i++) {
        struct rep_request *r = send_one(&g, "x");
        await(&g, i);
        check_int(r->out.cause, ==, OUT_CONNECT);
        check_int(r->out.attempts, ==, 0);
        check_true(r->out.sent_ns == OP_TIME_NONE);
    }
    check_int(g.engine->stats.connect_failures, ==, 4);
    check_int(g.engine->stats.failures.n, ==, 1);
    check_str_has(g.engine->stats.failures.v[0].text, "refused");
    check_int(g.engine->stats.failures.v[0].count, ==, 4);
    check_ended(&g, REP_END_COUNT, 0);
    check_int(g.engine->stats.client_errors, ==, 0);
    teardown(&g);
}

static void connecting_is_waiting_for_the_target(void **state)
{
    struct peer *p = peer_start(echo_body, NULL);
    struct rig g;
    (void)state;
    setup(&g, peer_port(p), 1, PLENTY);
    struct rep_request *r = make(&g, "x");
    r->out.due_ns = r->out.ready_ns = now_ns() - 5 * CLK_MS;
    g.engine->ops->send(g.engine, r);
    await(&g, 1);
    check_int(r->out.ready_ns, >=, r->out.due_ns + 5 * CLK_MS);
    check_clocks(r);
    teardown(&g);
    peer_stop(p);
}

/* Reads slowly, so that a large body fills the socket buffers. The body is all 'x'. */
static void read_slowly(int fd, int nth, void *arg)
{
    char piece[65536];
    size_t left = *(size_t *)arg, in_head = 1;
    (void)nth;
    while (left > 0) {
        ssize_t n = read(fd, piece, sizeof piece);
        if (n <= 0)
            return;
        char *end = in_head ? memmem(piece, (size_t)n, "\r\n\r\n", 4) : NULL;
        left -= end ? (size_t)(piece + n - end - 4) : in_head ? 0 : (size_t)n;
        in_head = in_head && !end;
        usleep(200);
    }
    peer_say(fd, OK_HEAD "2\r\n\r\nok");
    (void)!read(fd, piece, 1);
}

static void a_body_larger_than_the_socket_takes_goes_out_in_parts(void **state)
{
    size_t size = 24u << 20, total;
    char *body = malloc(size + 1);
    struct rig g;
    (void)state;
    check_true(body != NULL);
    memset(body, 'x', size);
    body[size] = '\0';
    struct peer *p = peer_start(read_slowly, &total);
    setup(&g, peer_port(p), 1, PLENTY);
    struct rep_request *r = make(&g, body);
    total = size;
    g.engine->ops->send(g.engine, r);
    await(&g, 1);
    check_int(r->out.cause, ==, OUT_OK);
    check_int(r->out.attempts, ==, 1);
    check_clocks(r);
    teardown(&g);
    peer_stop(p);
    free(body);
}

/* What has been given to the socket that is connected to the port, ever. */
static uint64_t written_to(uint16_t port)
{
    for (int fd = 0; fd < 256; fd++) {
        struct sockaddr_in to;
        struct tcp_info info;
        socklen_t n = sizeof to, m = sizeof info;
        if (getpeername(fd, (struct sockaddr *)&to, &n) == 0 &&
            to.sin_family == AF_INET && to.sin_port == htons(port) &&
            getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &m) == 0)
            return info.tcpi_bytes_sent - info.tcpi_bytes_retrans +
                   info.tcpi_notsent_bytes;
    }
    return 0;
}

static void swallow(int fd, int nth, void *arg)
{
    char piece[65536];
    size_t left = *(size_t *)arg;
    (void)nth;
    for (ssize_t n = 1; left > 0 && n > 0; left -= (size_t)(n > 0 ? n : 0))
        n = read(fd, piece, left < sizeof piece ? left : sizeof piece);
    peer_say(fd, OK_HEAD "2\r\n\r\nok");
    (void)!read(fd, piece, 1);
}

/* However much the socket would take: on loopback more than a megabyte at once. */
static void of_a_large_body_no_turn_sends_more_than_a_part(void **state)
{
    size_t total = 0;
    struct err e = {0};
    struct rig g;
    (void)state;
    if (ops != &rep_http1_engine)
        skip();
    char *body = malloc(LARGE + 1);
    assert_non_null(body);
    memset(body, 'x', LARGE);
    body[LARGE] = '\0';
    struct peer *p = peer_start(swallow, &total);
    setup(&g, peer_port(p), 1, PLENTY);
    struct rep_request *r = make(&g, body);
    total = g.stream.head.n + r->wire[0].n + LARGE;
    g.engine->ops->warm(g.engine);
    while (g.engine->ops->warming(g.engine))
        check_ok(ev_turn(g.ev, (struct clk_mono){now_ns() + CLK_MS}, &e), &e);
    uint64_t before = 0, after;
    g.engine->ops->send(g.engine, r);
    while (g.done.count == 0) {
        after = written_to(peer_port(p));
        check_int(after - before, <=, 2 * REP_TURN_BYTES);
        before = after;
        check_ok(ev_turn(g.ev, (struct clk_mono){now_ns() + CLK_MS}, &e), &e);
    }
    check_int(before, ==, total);
    check_int(r->out.cause, ==, OUT_OK);
    teardown(&g);
    peer_stop(p);
    free(body);
}

static void say_much(int fd, int nth, void *arg)
{
    char request[4096];
    (void)nth;
    (void)peer_read_request(fd, request, sizeof request);
    (void)(peer_say(fd, OK_HEAD "25165824\r\n\r\n") && peer_send(fd, arg, LARGE));
    (void)!read(fd, request, 1);
}

static void of_a_large_answer_no_turn_takes_more_than_a_part(void **state)
{
    struct err e = {0};
    struct rig g;
    (void)state;
    if (ops != &rep_http1_engine)
        skip();
    char *body = calloc(1, LARGE);
    assert_non_null(body);
    struct peer *p = peer_start(say_much, body);
    answer_max = LARGE;
    setup(&g, peer_port(p), 1, PLENTY);
    answer_max = 4096;
    struct rep_request *r = send_one(&g, "{}");
    size_t turns = 0;
    for (; g.done.count == 0; turns++)
        check_ok(ev_turn(g.ev, (struct clk_mono){now_ns() + CLK_SEC}, &e), &e);
    check_int(r->out.cause, ==, OUT_OK);
    check_int(r->out.bytes_in, ==, LARGE);
    check_int(turns, >=, LARGE / REP_TURN_BYTES);
    teardown(&g);
    peer_stop(p);
    free(body);
}

static void refuse_early(int fd, int nth, void *arg)
{
    char piece[512];
    (void)nth;
    (void)!read(fd, piece, sizeof piece);
    peer_say(fd, arg);
    (void)peer_await_end(fd); /* nothing is lost to a reset before it was read */
}

static void an_early_refusal_of_a_large_body_is_its_answer(void **state)
{
    static char text[] = "HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n";
    size_t size = 24u << 20;
    char *body = malloc(size + 1);
    struct rig g;
    (void)state;
    check_true(body != NULL);
    memset(body, 'x', size);
    body[size] = '\0';
    struct peer *p = peer_start(refuse_early, text);
    setup(&g, peer_port(p), 1, PLENTY);
    struct rep_request *r = send_one(&g, body);
    await(&g, 1);
    check_int(r->out.cause, ==, OUT_STATUS);
    check_int(r->out.status, ==, 413);
    teardown(&g);
    peer_stop(p);
    free(body);
}

static void cancelling_gives_everything_back(void **state)
{
    struct peer *p = peer_start(never_answer, NULL);
    struct rig g;
    (void)state;
    setup(&g, peer_port(p), 3, PLENTY);
    for (int i = 0; i < 3; i++)
        send_one(&g, "x");
    for (int i = 0; i < 3; i++)
        while (g.requests[i].out.sent_ns == OP_TIME_NONE)
            turn_for(&g, CLK_MS);
    check_int(g.engine->ops->in_flight(g.engine), ==, 3);
    g.engine->ops->cancel(g.engine, OUT_STOPPED);
    check_int(g.done.count, ==, 3);
    for (int i = 0; i < 3; i++) {
        check_int(g.requests[i].out.cause, ==, OUT_STOPPED);
        check_true(g.requests[i].out.done_ns == OP_TIME_NONE);
        check_true(g.requests[i].out.sent_ns != OP_TIME_NONE);
    }
    teardown(&g);
    peer_stop(p);
}

#define EVENTS_HEAD                                                                    \
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"            \
    "Transfer-Encoding: chunked\r\n\r\n"

/* Three events, 30 ms apart, the second one in two chunks; then what arg holds. */
static void tell_events(int fd, int nth, void *arg)
{
    char request[8192];
    (void)nth;
    while (peer_read_request(fd, request, sizeof request) > 0) {
        peer_say(fd, EVENTS_HEAD "b\r\ndata: one\n\n\r\n");
        usleep(30000);
        peer_say(fd, "8\r\ndata: tw\r\n");
        usleep(10000);
        peer_say(fd, "3\r\no\n\n\r\n");
        usleep(20000);
        peer_say(fd, "14\r\n: alive\n\ndata: 333\n\n\r\n");
        if (!peer_say(fd, arg))
            return;
        if (strlen(arg) == 0)
            return;
    }
}

static void check_events(const struct rep_request *r)
{
    const struct op_messages *m = &r->out.messages;
    check_int(m->count, ==, 3);
    check_int(m->v[0].bytes, ==, 11);
    check_int(m->v[1].bytes, ==, 11);
    check_int(m->v[2].bytes, ==, 20);
    check_int(m->v[0].at_ns, >=, 0);
    check_int(m->v[1].at_ns, >=, 30 * CLK_MS);
    check_int(m->v[2].at_ns, >=, 60 * CLK_MS);
    check_int(r->out.sent_ns + m->v[2].at_ns, <=, r->out.done_ns);
    check_int(r->out.bytes_in, ==, 42);
}

static void every_event_of_a_stream_has_its_time(void **state)
{
    static char end[] = "0\r\n\r\n";
    struct peer *p = peer_start(tell_events, end);
    struct rig g;
    (void)state;
    setup(&g, peer_port(p), 1, PLENTY);
    for (uint64_t i = 1; i <= 2; i++) {
        struct rep_request *r = send_one(&g, "x");
        await(&g, i);
        check_int(r->out.cause, ==, OUT_OK);
        check_events(r);
        check_int(buf_view(&r->answer).n, ==, 42);
    }
    check_int(peer_connections(p), ==, 1);
    teardown(&g);
    peer_stop(p);
}

static void a_stream_that_breaks_off_keeps_the_events_before(void **state)
{
    static char end[] = "", broken[] = "6\r\ndata: \r\n";
    struct peer *p = peer_start(tell_events, end);
    struct rig g;
    (void)state;
    setup(&g, peer_port(p), 1, PLENTY);
    struct rep_request *r = send_one(&g, "x");
    await(&g, 1);
    check_int(r->out.cause, ==, OUT_CLOSED);
    check_events(r);
    teardown(&g);
    peer_stop(p);

    /* A fourth one begins, and never ends. Where the third had not come by the
     * deadline, that was too short for this machine. */
    for (int64_t deadline = CLK_SEC;; deadline *= 4) {
        p = peer_start(tell_events, broken);
        setup(&g, peer_port(p), 1, deadline);
        r = send_one(&g, "x");
        await(&g, 1);
        check_int(r->out.cause, ==, OUT_DEADLINE);
        bool whole = r->out.messages.count == 3 || deadline > 20 * CLK_SEC;
        if (whole)
            check_events(r);
        teardown(&g);
        peer_stop(p);
        if (whole)
            return;
    }
}

static void events_are_no_messages_unless_the_type_says_so(void **state)
{
    static char text[] = OK_HEAD "9\r\nContent-Type: text/plain\r\n\r\ndata: a\n\n";
    struct peer *p = peer_start(answer_with, text);
    struct rig g;
    (void)state;
    setup(&g, peer_port(p), 1, PLENTY);
    struct rep_request *r = send_one(&g, "x");
    await(&g, 1);
    check_int(r->out.cause, ==, OUT_OK);
    check_int(r->out.messages.count, ==, 0);
    teardown(&g);
    peer_stop(p);
}

/* The same three events in gzip, each sent as far as it is compressed, 30 ms apart;
 * arg: whether the last of gzip is missing. */
static void tell_packed_events(int fd, int nth, void *arg)
{
    static const char *const events[] = {"data: one\n\n", "data: two\n\n",
                                         ": alive\n\ndata: 333\n\n", ""};
    char request[8192], chunk[512], head[16];
    z_stream z = {0};
    (void)nth;
    check_int(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), ==,
              Z_OK);
    if (peer_read_request(fd, request, sizeof request) > 0)
        peer_say(fd, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                     "Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (size_t i = 0; i < 3 + (arg == NULL); i++) {
        z.next_in = (Bytef *)(uintptr_t)events[i];
        z.avail_in = (uInt)strlen(events[i]);
        z.next_out = (Bytef *)chunk;
        z.avail_out = sizeof chunk - 2;
        deflate(&z, i < 3 ? Z_SYNC_FLUSH : Z_FINISH);
        size_t n = sizeof chunk - 2 - z.avail_out;
        snprintf(head, sizeof head, "%zx\r\n", n);
        memcpy(chunk + n, "\r\n", 2);
        peer_say(fd, head);
        (void)!send(fd, chunk, n + 2, MSG_NOSIGNAL);
        usleep(30000);
    }
    deflateEnd(&z);
    peer_say(fd, "0\r\n\r\n");
    peer_read_request(fd, request, sizeof request);
}

static void events_in_an_encoding_have_their_times(void **state)
{
    static char cut[] = "cut";
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct peer *p = peer_start(tell_packed_events, i ? cut : NULL);
        struct rig g;
        setup(&g, peer_port(p), 1, PLENTY);
        struct rep_request *r = send_one(&g, "x");
        await(&g, 1);
        const struct op_messages *m = &r->out.messages;
        check_int(r->out.cause, ==, OUT_OK);
        check_int(r->answer_codings, ==, CONTENT_GZIP);
        check_int(m->count, ==, 3);
        check_int(m->v[1].at_ns, >=, 30 * CLK_MS);
        check_int(m->v[2].at_ns, >=, 60 * CLK_MS);
        check_int(r->out.sent_ns + m->v[2].at_ns, <=, r->out.done_ns);
        uint64_t bytes = m->v[0].bytes + m->v[1].bytes + m->v[2].bytes;
        check_int(bytes, <=,
                  r->out.bytes_in); /* on the wire; gzip's end is no event's */
        check_true((bytes == r->out.bytes_in) == (i == 1));
        check_int(r->answer.n, ==, r->out.bytes_in);
        teardown(&g);
        peer_stop(p);
    }
}

/* The second answer is plain, after an interim one that says otherwise. */
static void tell_encodings(int fd, int nth, void *arg)
{
    char request[8192];
    (void)nth;
    (void)arg;
    if (peer_read_request(fd, request, sizeof request) == 0 ||
        !peer_say(fd, OK_HEAD "9\r\nContent-Type: text/event-stream\r\n"
                              "Content-Encoding: zstd , identity\r\n"
                              "content-encoding:BR\r\n\r\ndata: a\n\n"))
        return;
    if (peer_read_request(fd, request, sizeof request) == 0 ||
        !peer_say(fd,
                  "HTTP/1.1 103 Early Hints\r\nContent-Encoding: gzip\r\n\r\n" OK_HEAD
                  "9\r\nContent-Type: text/event-stream\r\n\r\ndata: a\n\n"))
        return;
    peer_read_request(fd, request, sizeof request);
}

static void what_is_in_several_encodings_is_said_so_and_has_no_events(void **state)
{
    struct peer *p = peer_start(tell_encodings, NULL);
    struct rig g;
    (void)state;
    setup(&g, peer_port(p), 1, PLENTY);
    struct rep_request *r = send_one(&g, "x");
    await(&g, 1);
    check_int(r->out.cause, ==, OUT_OK);
    check_int(r->answer_codings, ==, 0x43);
    check_int(r->out.messages.count, ==, 0);
    check_int(r->out.bytes_in, ==, 9);
    r = send_one(&g, "x");
    await(&g, 2);
    check_int(r->out.cause, ==, OUT_OK);
    check_int(r->answer_codings, ==, 0);
    check_int(r->out.messages.count, ==, 1);
    teardown(&g);
    peer_stop(p);
}

static int with_own(void **state)
{
    (void)state;
    ops = &rep_http1_engine;
    return 0;
}

static int with_curl(void **state)
{
    (void)state;
    ops = &rep_curl_engine;
    return 0;
}

int main(void)
{
    check_int(sem_init(&told, 0, 0), ==, 0);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_is_timed_counted_and_hashed),
        cmocka_unit_test(one_connection_serves_many_requests),
        cmocka_unit_test(a_connection_is_replaced_after_so_many_requests),
        cmocka_unit_test(events_in_an_encoding_have_their_times),
        cmocka_unit_test(what_is_in_several_encodings_is_said_so_and_has_no_events),
        cmocka_unit_test(connections_work_side_by_side),
        cmocka_unit_test(error_statuses_are_answers),
        cmocka_unit_test(answers_may_come_byte_by_byte),
        cmocka_unit_test(a_body_may_end_with_the_connection),
        cmocka_unit_test(after_connection_close_the_next_request_takes_a_new_one),
        cmocka_unit_test(bytes_behind_an_answer_cost_the_connection_but_not_the_answer),
        cmocka_unit_test(what_is_no_http_is_garbage),
        cmocka_unit_test(an_answer_beyond_the_limit_is_too_big),
        cmocka_unit_test(a_close_in_mid_answer_is_closed),
        cmocka_unit_test(a_request_that_was_read_is_never_sent_again),
        cmocka_unit_test(a_connection_closed_while_idle_is_noticed_before_it_is_used),
        cmocka_unit_test(a_request_that_met_a_close_under_way_is_sent_once_more),
        cmocka_unit_test(a_request_of_which_no_byte_could_be_written_is_sent_anew),
        cmocka_unit_test(
            a_peer_that_closes_everything_ends_in_an_outcome_not_in_a_loop),
        cmocka_unit_test(a_request_that_came_and_was_not_read_is_not_sent_again),
        cmocka_unit_test(no_answer_ends_at_the_deadline),
        cmocka_unit_test(nobody_there_is_a_connect_failure),
        cmocka_unit_test(connecting_is_waiting_for_the_target),
        cmocka_unit_test(a_body_larger_than_the_socket_takes_goes_out_in_parts),
        cmocka_unit_test(of_a_large_body_no_turn_sends_more_than_a_part),
        cmocka_unit_test(of_a_large_answer_no_turn_takes_more_than_a_part),
        cmocka_unit_test(an_early_refusal_of_a_large_body_is_its_answer),
        cmocka_unit_test(cancelling_gives_everything_back),
        cmocka_unit_test(every_event_of_a_stream_has_its_time),
        cmocka_unit_test(a_stream_that_breaks_off_keeps_the_events_before),
        cmocka_unit_test(events_are_no_messages_unless_the_type_says_so),
    };
    return cmocka_run_group_tests_name("http1 engine", tests, with_own, NULL) +
           cmocka_run_group_tests_name("curl engine", tests, with_curl, NULL);
}

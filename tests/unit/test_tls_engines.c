/* test_tls_engines.c - both engines over TLS: what works, and each way to fail.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "replay/engine/engine.h"
#include "replay/schedule.h"
#include "tests/unit/tls_peer.h"

#define OK_HEAD "HTTP/1.1 200 OK\r\nContent-Length: "
#define PLENTY  (60 * CLK_SEC)
#define BIG     (12u << 20)

struct rig {
    struct ev *ev;
    struct rep_address target;
    struct rep_tls_config tls;
    struct rep_engine *engine;
    struct rep_queue done;
    struct rep_stream stream;
    struct op_header fields[4];
    struct rep_request requests[32];
    char heads[32][160];
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

static const struct rep_tls_config trusting = {.resume = true};

static void setup(struct rig *g, const struct rep_engine_ops *ops, uint16_t port,
                  const struct rep_tls_config *tls, int64_t deadline)
{
    struct err e = {0};
    char text[64];
    memset(g, 0, sizeof *g);
    snprintf(text, sizeof text, "https://127.0.0.1:%u", port);
    check_ok(rep_target_parse(&g->target, text, "--http", &e), &e);
    check_ok(rep_target_resolve(&g->target, false, CLK_SEC, &e), &e);
    check_true(g->target.tls);
    g->tls = *tls;
    if (!g->tls.ca_file)
        g->tls.ca_file = tls_file("ca.pem");
    g->ev = ev_new(clk_system(), &e);
    struct rep_engine_config c = {.ev = g->ev,
                                  .clk = clk_system(),
                                  .target = &g->target,
                                  .tls = &g->tls,
                                  .connections = 1,
                                  .streams = 1,
                                  .deadline_ns = deadline,
                                  .answer_max = 2 * BIG,
                                  .keep_answers = true,
                                  .done = on_done,
                                  .arg = g};
    check_ok(ops->open(&g->engine, &c, &e), &e);
    g->stream.as_sent.method = SPAN_LIT("POST");
    g->fields[0] = (struct op_header){SPAN_LIT(":method"), SPAN_LIT("POST")};
    g->fields[1] = (struct op_header){SPAN_LIT(":scheme"), SPAN_LIT("https")};
    g->fields[2] = (struct op_header){SPAN_LIT(":path"), SPAN_LIT("/s/m")};
    g->fields[3] = (struct op_header){SPAN_LIT(":authority"), SPAN_LIT("t")};
    g->stream.fields = g->fields;
    g->stream.field_count = 4;
}

static void teardown(struct rig *g)
{
    check_int(g->engine->ops->in_flight(g->engine), ==, 0);
    g->engine->ops->close(g->engine);
    for (int i = 0; i < g->sent; i++)
        buf_done(&g->requests[i].answer);
    ev_free(g->ev);
}

static struct rep_request *send_body(struct rig *g, struct span body)
{
    int i = g->sent++;
    struct rep_request *r = &g->requests[i];
    snprintf(g->heads[i], sizeof g->heads[i], "Content-Length: %zu\r\n\r\n", body.n);
    g->stream.head = SPAN_LIT("POST /m HTTP/1.1\r\nHost: t\r\n");
    r->stream = &g->stream;
    r->out = outcome_empty();
    r->out.due_ns = r->out.ready_ns = now_ns();
    r->wire[0] = span_str(g->heads[i]);
    r->wire[1] = body;
    g->engine->ops->send(g->engine, r);
    return r;
}

static struct rep_request *send_one(struct rig *g, const char *body)
{
    return send_body(g, span_str(body));
}

static void await(struct rig *g, uint64_t count)
{
    struct err e = {0};
    int64_t end = now_ns() + PLENTY;
    while (g->done.count < count) {
        int64_t next = g->engine->ops->expire(g->engine, now_ns());
        g->engine->ops->flush(g->engine);
        int64_t soon = now_ns() + 20 * CLK_MS;
        check_true(now_ns() < end);
        check_ok(ev_turn(g->ev, (struct clk_mono){next < soon ? next : soon}, &e), &e);
    }
}

/* Until so many connections were closed by the peer. */
static void await_end(struct rig *g, uint64_t count)
{
    struct err e = {0};
    int64_t end = now_ns() + PLENTY;
    while (g->engine->stats.ends[REP_END_IDLE] + g->engine->stats.ends[REP_END_ANSWER] <
           count) {
        check_true(now_ns() < end);
        check_ok(ev_turn(g->ev, (struct clk_mono){now_ns() + 20 * CLK_MS}, &e), &e);
    }
}

static const char *reason(const struct rig *g)
{
    return g->engine->stats.failures.n ? g->engine->stats.failures.v[0].text : "";
}

/* --- peers ------------------------------------------------------------------------ */

static struct secure_context *context(const char *name, const char *client_ca,
                                      const char *alpn)
{
    struct secure_context *c;
    struct err e = {0};
    char cert[64], key[64];
    snprintf(cert, sizeof cert, "%s.pem", name);
    snprintf(key, sizeof key, "%s.key", name);
    struct secure_config config = {.server = true,
                                   .cert_file = tls_file(cert),
                                   .key_file = tls_file(key),
                                   .ca_file = client_ca ? tls_file(client_ca) : NULL,
                                   .alpn = alpn};
    check_ok(secure_context_new(&c, &config, &e), &e);
    return c;
}

/* Answers every request with what arg holds. */
static void answer_with(int fd, int nth, void *arg)
{
    char request[8192];
    (void)nth;
    while (peer_read_request(fd, request, sizeof request) > 0)
        if (!peer_say(fd, arg))
            return;
}

static void answer_once(int fd, int nth, void *arg)
{
    char request[8192];
    (void)nth;
    if (peer_read_request(fd, request, sizeof request) > 0)
        (void)peer_say(fd, arg);
}

static void echo_big(int fd, int nth, void *arg)
{
    char *request = malloc(BIG + 4096), head[64];
    (void)nth;
    (void)arg;
    if (!request)
        abort();
    if (peer_read_request(fd, request, BIG + 4096) > 0) {
        const char *body = strstr(request, "\r\n\r\n") + 4;
        snprintf(head, sizeof head, OK_HEAD "%u\r\n\r\n", BIG);
        if (peer_say(fd, head))
            (void)peer_send(fd, body, BIG);
    }
    free(request);
}

static void say_nothing(int fd, int nth, void *arg)
{
    char c;
    (void)nth;
    (void)arg;
    while (read(fd, &c, 1) > 0)
        ;
}

static void hang_up(int fd, int nth, void *arg)
{
    char hello[4096];
    (void)nth;
    (void)arg;
    (void)!read(fd, hello, sizeof hello);
}

static char ok_two[] = OK_HEAD "2\r\n\r\nok";
static char ok_close[] = "HTTP/1.1 200 OK\r\nConnection: close\r\n"
                         "Content-Length: 2\r\n\r\nok";
static char ok_until_end[] = "HTTP/1.1 200 OK\r\n\r\nuntil the end";

/* --- what works ------------------------------------------------------------------- */

static void requests_and_answers_travel_encrypted(void **state)
{
    struct tls_peer t = {.context = context("server", NULL, "http/1.1"),
                         .inner = answer_with,
                         .arg = ok_two};
    struct peer *p = peer_start(tls_peer, &t);
    struct rig g;
    (void)state;
    setup(&g, &rep_http1_engine, peer_port(p), &trusting, PLENTY);
    for (uint64_t i = 1; i <= 3; i++) {
        struct rep_request *r = send_one(&g, "body");
        await(&g, i);
        check_int(r->out.cause, ==, OUT_OK);
        check_span(buf_view(&r->answer), "ok");
        check_int(r->out.attempts, ==, 1);
        check_true(
            r->out.due_ns <= r->out.ready_ns && r->out.ready_ns <= r->out.sent_ns &&
            r->out.sent_ns <= r->out.first_ns && r->out.first_ns <= r->out.done_ns);
    }
    check_int(g.engine->stats.connects, ==, 1);
    check_int(g.engine->stats.tls_full, ==, 1);
    teardown(&g);
    peer_stop(p);
    secure_context_free(t.context);
}

static void warm_connections_are_ready_when_their_handshake_is(void **state)
{
    struct tls_peer t = {.context = context("server", NULL, "http/1.1"),
                         .inner = answer_with,
                         .arg = ok_two};
    struct peer *p = peer_start(tls_peer, &t);
    struct rig g;
    struct err e = {0};
    (void)state;
    setup(&g, &rep_http1_engine, peer_port(p), &trusting, PLENTY);
    g.engine->ops->warm(g.engine);
    int64_t end = now_ns() + PLENTY;
    while (g.engine->ops->warming(g.engine) && now_ns() < end)
        check_ok(ev_turn(g.ev, (struct clk_mono){end}, &e), &e);
    check_int(g.engine->ops->live(g.engine), ==, 1);
    struct rep_request *r = send_one(&g, "x");
    await(&g, 1);
    check_int(r->out.cause, ==, OUT_OK);
    check_int(r->out.ready_ns, ==, r->out.due_ns);
    teardown(&g);
    peer_stop(p);
    secure_context_free(t.context);
}

static void closed_connections(bool resume, uint64_t full)
{
    struct tls_peer t = {.context = context("server", NULL, "http/1.1"),
                         .inner = answer_once,
                         .arg = ok_close};
    struct peer *p = peer_start(tls_peer, &t);
    struct rep_tls_config c = {.resume = resume};
    struct rig g;
    setup(&g, &rep_http1_engine, peer_port(p), &c, PLENTY);
    for (uint64_t i = 1; i <= 5; i++) {
        struct rep_request *r = send_one(&g, "x");
        await(&g, i);
        check_int(r->out.cause, ==, OUT_OK);
    }
    check_int(g.engine->stats.tls_full, ==, full);
    check_int(g.engine->stats.tls_full + g.engine->stats.tls_resumed, ==,
              g.engine->stats.connects);
    teardown(&g);
    peer_stop(p);
    secure_context_free(t.context);
}

static void connections_made_anew_resume_the_session(void **state)
{
    (void)state;
    closed_connections(true, 1);
}

static void a_truncated_connection_does_not_spoil_its_session(void **state)
{
    struct tls_peer t = {.context = context("server", NULL, "http/1.1"),
                         .inner = answer_once,
                         .arg = ok_two,
                         .truncates = true};
    struct peer *p = peer_start(tls_peer, &t);
    struct rep_tls_config c = {.resume = true};
    struct rig g;
    (void)state;
    setup(&g, &rep_http1_engine, peer_port(p), &c, PLENTY);
    for (uint64_t i = 1; i <= 5; i++) {
        struct rep_request *r = send_one(&g, "x");
        await(&g, i);
        check_int(r->out.cause, ==, OUT_OK);
        await_end(&g, i);
    }
    check_int(g.engine->stats.tls_full, ==, 1);
    check_int(g.engine->stats.tls_resumed, ==, 4);
    teardown(&g);
    peer_stop(p);
    secure_context_free(t.context);
}

/* Answers once, and closes when it is told to. */
struct closing {
    char *answer;
    int told[2]; /* a pipe */
};

static void answer_and_close_when_told(int fd, int nth, void *arg)
{
    const struct closing *c = arg;
    char byte;
    answer_once(fd, nth, c->answer);
    (void)!read(c->told[0], &byte, 1);
}

/* The peer closes behind its first answer, which lies unread in our kernel, for the
 * loop does not turn before the next request is given to it: the race of every client
 * with idle connections, lost for certain. */
static void meet_a_close(const struct rep_engine_ops *ops, bool truncates, int attempts)
{
    struct closing closing = {.answer = ok_two};
    check_int(pipe(closing.told), ==, 0);
    struct tls_peer t = {.context = context("server", NULL, "http/1.1"),
                         .inner = answer_and_close_when_told,
                         .arg = &closing,
                         .truncates = truncates};
    struct peer *p = peer_start(tls_peer, &t);
    struct rig g;
    setup(&g, ops, peer_port(p), &trusting, PLENTY);
    send_one(&g, "x");
    await(&g, 1);
    check_int(write(closing.told[1], "c", 1), ==, 1);
    check_true(peer_await_end(peer_client(p)));
    struct rep_request *r = send_one(&g, "x");
    await(&g, 2);
    check_int(r->out.cause, ==, OUT_OK);
    check_int(r->out.attempts, ==, attempts);
    check_int(g.engine->stats.retries, ==, attempts - 1);
    await_end(&g, 1);
    check_int(peer_connections(p), ==, 2);
    close(closing.told[1]); /* the second connection is told so, too */
    teardown(&g);
    peer_stop(p);
    close(closing.told[0]);
    secure_context_free(t.context);
}

static void a_request_that_met_a_close_under_way_is_sent_once_more(void **state)
{
    (void)state;
    meet_a_close(&rep_http1_engine, false, 2);
    meet_a_close(&rep_http1_engine, true, 2);
}

static void libcurl_does_not_write_to_a_connection_at_its_end(void **state)
{
    (void)state;
    meet_a_close(&rep_curl_engine, false, 1);
    meet_a_close(&rep_curl_engine, true, 1);
}

static void without_resumption_every_handshake_is_full(void **state)
{
    (void)state;
    closed_connections(false, 5);
}

static void single_bytes_are_put_together(void **state)
{
    struct tls_peer t = {.context = context("server", NULL, "http/1.1"),
                         .inner = answer_with,
                         .arg = ok_two,
                         .dribbles = true};
    struct peer *p = peer_start(tls_peer, &t);
    struct rig g;
    (void)state;
    setup(&g, &rep_http1_engine, peer_port(p), &trusting, PLENTY);
    struct rep_request *r = send_one(&g, "x");
    await(&g, 1);
    check_int(r->out.cause, ==, OUT_OK);
    check_span(buf_view(&r->answer), "ok");
    teardown(&g);
    peer_stop(p);
    secure_context_free(t.context);
}

static void twelve_mebibytes_go_there_and_back(void **state)
{
    struct tls_peer t = {.context = context("server", NULL, "http/1.1"),
                         .inner = echo_big};
    struct peer *p = peer_start(tls_peer, &t);
    uint8_t *body = malloc(BIG);
    struct rig g;
    (void)state;
    check_true(body != NULL);
    for (uint32_t i = 0; i < BIG; i++)
        body[i] = (uint8_t)(i * 2654435761u >> 24);
    setup(&g, &rep_http1_engine, peer_port(p), &trusting, PLENTY);
    struct rep_request *r = send_body(&g, span_of(body, BIG));
    await(&g, 1);
    check_int(r->out.cause, ==, OUT_OK);
    check_int(r->out.bytes_in, ==, BIG);
    check_true(span_eq(buf_view(&r->answer), span_of(body, BIG)));
    teardown(&g);
    free(body);
    peer_stop(p);
    secure_context_free(t.context);
}

/* --- the end of a connection ------------------------------------------------------ */

static enum out_cause until_the_end(bool truncates)
{
    struct tls_peer t = {.context = context("server", NULL, "http/1.1"),
                         .inner = answer_once,
                         .arg = ok_until_end,
                         .truncates = truncates};
    struct peer *p = peer_start(tls_peer, &t);
    struct rig g;
    setup(&g, &rep_http1_engine, peer_port(p), &trusting, PLENTY);
    struct rep_request *r = send_one(&g, "x");
    await(&g, 1);
    enum out_cause cause = r->out.cause;
    teardown(&g);
    peer_stop(p);
    secure_context_free(t.context);
    return cause;
}

static void close_notify_ends_an_answer_without_length(void **state)
{
    (void)state;
    check_int(until_the_end(false), ==, OUT_OK);
}

static void a_fin_alone_truncates_an_answer_without_length(void **state)
{
    (void)state;
    check_int(until_the_end(true), ==, OUT_CLOSED);
}

/* --- handshakes that fail --------------------------------------------------------- */

/* The request must fail to connect, for a reason that has these words. */
static void refused(const struct rep_engine_ops *ops, const char *certificate,
                    const char *client_ca, const char *alpn,
                    const struct rep_tls_config *c, const char *words)
{
    struct tls_peer t = {.context = context(certificate, client_ca, alpn),
                         .inner = answer_with,
                         .arg = ok_two};
    struct peer *p = peer_start(tls_peer, &t);
    struct rig g;
    setup(&g, ops, peer_port(p), c, PLENTY);
    struct rep_request *r = send_one(&g, "x");
    await(&g, 1);
    check_int(r->out.cause, ==, OUT_CONNECT);
    check_str_has(reason(&g), words);
    check_int(g.engine->stats.connect_failures, >=, 1);
    check_int(g.engine->stats.client_errors, ==, 0);
    teardown(&g);
    peer_stop(p);
    secure_context_free(t.context);
}

static void each_fault_of_a_certificate_is_named(void **state)
{
    struct rep_tls_config stranger = {.ca_file = tls_file("stranger.pem")};
    struct rep_tls_config named = {.server_name = "wrong.example"};
    (void)state;
    refused(&rep_http1_engine, "server", NULL, "http/1.1", &stranger,
            "the authority that signed the peer's certificate, 'CN=test ca', is not");
    refused(&rep_http1_engine, "stranger", NULL, "http/1.1", &trusting,
            "'CN=s', is not trusted here");
    refused(&rep_http1_engine, "expired", NULL, "http/1.1", &trusting, "expired at ");
    refused(&rep_http1_engine, "other", NULL, "http/1.1", &trusting,
            "is for elsewhere.example, not for '127.0.0.1'");
    refused(&rep_http1_engine, "server", NULL, "http/1.1", &named,
            "is for localhost, 127.0.0.1, not for 'wrong.example'");
}

static void the_insecure_believe_anybody(void **state)
{
    struct tls_peer t = {.context = context("expired", NULL, "http/1.1"),
                         .inner = answer_with,
                         .arg = ok_two};
    struct peer *p = peer_start(tls_peer, &t);
    struct rep_tls_config c = {.insecure = true, .server_name = "wrong.example"};
    struct rig g;
    (void)state;
    setup(&g, &rep_http1_engine, peer_port(p), &c, PLENTY);
    struct rep_request *r = send_one(&g, "x");
    await(&g, 1);
    check_int(r->out.cause, ==, OUT_OK);
    teardown(&g);
    peer_stop(p);
    secure_context_free(t.context);
}

static void grpc_needs_h2(void **state)
{
    (void)state;
    refused(&rep_grpc_engine, "server", NULL, "http/1.1", &trusting,
            "the peer speaks none of what was offered (h2)");
    refused(&rep_grpc_engine, "server", NULL, NULL, &trusting,
            "the peer agrees to none of what was offered (h2)");
}

static void a_client_without_certificate_is_turned_away(void **state)
{
    struct rep_tls_config own = {.cert_file = tls_file("stranger.pem"),
                                 .key_file = tls_file("stranger.key")};
    (void)state;
    refused(&rep_http1_engine, "server", "ca.pem", "http/1.1", &trusting,
            "the peer asks for a client's certificate, and none was given");
    refused(&rep_grpc_engine, "server", "ca.pem", "h2", &trusting,
            "the peer asks for a client's certificate, and none was given");
    refused(&rep_http1_engine, "server", "ca.pem", "http/1.1", &own,
            "the peer refuses our certificate: ");
}

static void a_client_with_certificate_is_let_in(void **state)
{
    struct tls_peer t = {.context = context("server", "ca.pem", "http/1.1"),
                         .inner = answer_with,
                         .arg = ok_two};
    struct peer *p = peer_start(tls_peer, &t);
    struct rep_tls_config c = {.cert_file = tls_file("client.pem"),
                               .key_file = tls_file("client.key"),
                               .ca_file = tls_file("ca.pem")};
    struct secure_facts f;
    struct err e = {0};
    struct rig g;
    (void)state;
    setup(&g, &rep_http1_engine, peer_port(p), &c, PLENTY);
    struct rep_request *r = send_one(&g, "x");
    await(&g, 1);
    check_int(r->out.cause, ==, OUT_OK);
    check_ok(rep_tls_probe(&c, &g.target, "http/1.1", PLENTY, &f, &e), &e);
    check_true(f.asked);
    c.cert_file = c.key_file = NULL;
    check_int(rep_tls_probe(&c, &g.target, "http/1.1", PLENTY, &f, &e), ==, ERR_PEER);
    check_str_has(e.text, "none was given");
    teardown(&g);
    peer_stop(p);
    secure_context_free(t.context);
}

static void without_tls(peer_fn *fn, void *arg, const char *words)
{
    struct peer *p = peer_start(fn, arg);
    struct rig g;
    setup(&g, &rep_http1_engine, peer_port(p), &trusting, PLENTY);
    struct rep_request *r = send_one(&g, "x");
    await(&g, 1);
    check_int(r->out.cause, ==, OUT_CONNECT);
    check_int(r->out.attempts, ==, 0);
    check_int(r->out.sent_ns, ==, OP_TIME_NONE);
    check_str_has(reason(&g), words);
    teardown(&g);
    peer_stop(p);
}

static void speak_first(int fd, int nth, void *arg)
{
    (void)nth;
    if (peer_say(fd, arg))
        say_nothing(fd, 0, NULL);
}

static void peers_without_tls_are_told_apart(void **state)
{
    (void)state;
    without_tls(speak_first, ok_close, "the peer does not speak TLS");
    without_tls(hang_up, NULL, "closed the connection during the TLS handshake");
}

static void a_handshake_without_answer_ends_with_the_deadline(void **state)
{
    struct peer *p = peer_start(say_nothing, NULL);
    struct rig g;
    (void)state;
    setup(&g, &rep_http1_engine, peer_port(p), &trusting, 100 * CLK_MS);
    struct rep_request *r = send_one(&g, "x");
    await(&g, 1);
    check_int(r->out.cause, ==, OUT_DEADLINE);
    check_int(r->out.attempts, ==, 0);
    teardown(&g);
    peer_stop(p);
}

static void files_that_do_not_fit_are_named(void **state)
{
    const struct {
        struct rep_tls_config c;
        int code;
        const char *words;
    } cases[] = {
        {{.ca_file = tls_file("none.pem")}, ERR_IO, "cannot read a certificate"},
        {{.ca_file = tls_file("ca.key")}, ERR_FORMAT, "is not a certificate in PEM"},
        {{.cert_file = tls_file("client.pem"), .key_file = tls_file("server.key")},
         ERR_FORMAT,
         "is not the key of"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct rep_address a = {.host = "localhost"};
        struct rep_tls t;
        struct err e = {0};
        check_int(rep_tls_init(&t, &cases[i].c, &a, "h2", &e), ==, cases[i].code);
        check_str_has(e.text, cases[i].words);
    }
}

static int make_files(void **state)
{
    (void)state;
    tls_files_make();
    return 0;
}

static int remove_files(void **state)
{
    (void)state;
    tls_files_remove();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_and_answers_travel_encrypted),
        cmocka_unit_test(warm_connections_are_ready_when_their_handshake_is),
        cmocka_unit_test(connections_made_anew_resume_the_session),
        cmocka_unit_test(without_resumption_every_handshake_is_full),
        cmocka_unit_test(a_truncated_connection_does_not_spoil_its_session),
        cmocka_unit_test(a_request_that_met_a_close_under_way_is_sent_once_more),
        cmocka_unit_test(libcurl_does_not_write_to_a_connection_at_its_end),
        cmocka_unit_test(single_bytes_are_put_together),
        cmocka_unit_test(twelve_mebibytes_go_there_and_back),
        cmocka_unit_test(close_notify_ends_an_answer_without_length),
        cmocka_unit_test(a_fin_alone_truncates_an_answer_without_length),
        cmocka_unit_test(each_fault_of_a_certificate_is_named),
        cmocka_unit_test(the_insecure_believe_anybody),
        cmocka_unit_test(grpc_needs_h2),
        cmocka_unit_test(a_client_without_certificate_is_turned_away),
        cmocka_unit_test(a_client_with_certificate_is_let_in),
        cmocka_unit_test(peers_without_tls_are_told_apart),
        cmocka_unit_test(a_handshake_without_answer_ends_with_the_deadline),
        cmocka_unit_test(files_that_do_not_fit_are_named),
    };
    return cmocka_run_group_tests(tests, make_files, remove_files);
}

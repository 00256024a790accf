/* test_grpc_engine.c - the gRPC engine against HTTP/2 peers of every kind.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <nghttp2/nghttp2.h>

#include "replay/engine/engine.h"
#include "replay/schedule.h"
#include "tests/unit/peer.h"
#include "traces/wire/content_encoding.h"

#define PLENTY (60 * CLK_SEC)

/* --- an HTTP/2 server that does as it is told ------------------------------ */

enum manner {
    ECHO,          /* message back, grpc-status 0 in trailers */
    NOT_FOUND,     /* trailers only: grpc-status 5 */
    FAIL_LATE,     /* a message, then grpc-status 13 */
    PROXY_503,     /* an HTTP error with a text */
    NO_STATUS,     /* a message and the end, no trailers */
    NOT_GRPC,      /* 200 with a web page */
    STATUS_WORD,   /* grpc-status is no number */
    COMPRESSED,    /* prefix claims compression */
    ENCODED,       /* … and the head names it */
    SHORT_MESSAGE, /* less than the prefix promises */
    LONG_MESSAGE,  /* more than the prefix promises */
    NO_MESSAGE,    /* grpc-status 0, but no message */
    HUGE_MESSAGE,  /* promises a gigabyte */
    RESET_STREAM,
    REFUSE_STREAM,
    REFUSE_FIRST, /* the first of each connection; then echo */
    DISOWN_FIRST, /* GOAWAY that names no stream, on the first connection; then echo */
    DRAIN_FIRST,  /* answers the first request of connection 0, then GOAWAY */
    DROP,         /* closes the connection in mid answer */
    CLOSE_AFTER,  /* … behind the answer */
    SILENT,
    END_EARLY, /* answers before the request is complete */
    SPREAD,    /* message after message, 30 ms apart */
};

struct h2 {
    int fd, nth;
    enum manner manner;
    bool bytewise;
    nghttp2_session *session;
    int requests;
    bool dead; /* close now */
};

struct script {
    enum manner manner;
    bool bytewise;
    uint32_t max_streams; /* 0: not stated */
};

struct message {
    uint8_t bytes[65536];
    size_t n, sent;
    bool trailers, answered, spread;
    const char *status;
};

static nghttp2_nv nv(const char *name, const char *value)
{
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value,
                        strlen(name), strlen(value), NGHTTP2_NV_FLAG_NONE};
}

static ssize_t read_answer(nghttp2_session *session, int32_t id, uint8_t *out,
                           size_t length, uint32_t *flags, nghttp2_data_source *source,
                           void *user)
{
    struct message *m = source->ptr;
    size_t n = m->n - m->sent < length ? m->n - m->sent : length;
    (void)user;
    if (m->spread) {
        size_t one = 5 + (size_t)m->bytes[m->sent + 3] * 256 + m->bytes[m->sent + 4];
        n = one < n ? one : n;
        usleep(m->sent ? 30000 : 0);
    }
    memcpy(out, m->bytes + m->sent, n);
    m->sent += n;
    if (m->sent < m->n)
        return (ssize_t)n;
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (m->trailers) {
        nghttp2_nv t = nv("grpc-status", m->status);
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        nghttp2_submit_trailer(session, id, &t, 1);
    }
    return (ssize_t)n;
}

static void respond(struct h2 *h, int32_t id, struct message *m, const char *http,
                    const char *type)
{
    nghttp2_nv head[] = {nv(":status", http), nv("content-type", type),
                         nv("grpc-encoding", "gzip")};
    nghttp2_data_provider body = {.source.ptr = m, .read_callback = read_answer};
    m->answered = true;
    nghttp2_submit_response(h->session, id, head, h->manner == ENCODED ? 3 : 2, &body);
}

static void set_length(struct message *m, uint32_t n)
{
    for (int i = 0; i < 4; i++)
        m->bytes[1 + i] = (uint8_t)(n >> (24 - 8 * i));
}

static void respond_text(struct h2 *h, int32_t id, struct message *m, const char *http)
{
    m->trailers = false;
    m->n = 4;
    memcpy(m->bytes, "oops", 4);
    respond(h, id, m, http, "text/html");
}

static void trailers_only(struct h2 *h, int32_t id, const char *status)
{
    nghttp2_nv head[] = {nv(":status", "200"), nv("content-type", "application/grpc"),
                         nv("grpc-status", status), nv("grpc-message", "no such")};
    nghttp2_submit_response(h->session, id, head, 4, NULL);
}

static void spoil(struct h2 *h, struct message *m)
{
    if (h->manner == COMPRESSED || h->manner == ENCODED)
        m->bytes[0] = 1;
    if (h->manner == SHORT_MESSAGE)
        set_length(m, (uint32_t)m->n - 5 + 1);
    if (h->manner == LONG_MESSAGE)
        set_length(m, (uint32_t)m->n - 5 - 1);
    if (h->manner == HUGE_MESSAGE)
        set_length(m, 1u << 30);
    if (h->manner == NO_MESSAGE)
        m->n = 0;
    if (h->manner == NO_STATUS)
        m->trailers = false;
    if (h->manner == FAIL_LATE)
        m->status = "13";
    if (h->manner == STATUS_WORD)
        m->status = "fine";
}

static void go_away(struct h2 *h, int32_t last)
{
    nghttp2_submit_goaway(h->session, NGHTTP2_FLAG_NONE, last, NGHTTP2_NO_ERROR, NULL,
                          0);
}

static void on_request(struct h2 *h, int32_t id, struct message *m)
{
    int nth = h->requests++;
    switch (h->manner) {
    case NOT_FOUND:
    case END_EARLY:
        trailers_only(h, id, "5");
        return;
    case PROXY_503:
        respond_text(h, id, m, "503");
        return;
    case NOT_GRPC:
        respond_text(h, id, m, "200");
        return;
    case RESET_STREAM:
    case REFUSE_STREAM:
        nghttp2_submit_rst_stream(h->session, NGHTTP2_FLAG_NONE, id,
                                  h->manner == RESET_STREAM ? NGHTTP2_INTERNAL_ERROR
                                                            : NGHTTP2_REFUSED_STREAM);
        return;
    case SILENT:
        return;
    default:
        break;
    }
    if (h->manner == REFUSE_FIRST && nth == 0) {
        nghttp2_submit_rst_stream(h->session, NGHTTP2_FLAG_NONE, id,
                                  NGHTTP2_REFUSED_STREAM);
        return;
    }
    if (h->manner == DISOWN_FIRST && h->nth == 0) {
        go_away(h, 0);
        return;
    }
    m->trailers = true;
    m->status = "0";
    m->spread = h->manner == SPREAD;
    spoil(h, m);
    respond(h, id, m, "200", "application/grpc+proto");
    if (h->manner == DROP)
        h->dead = true;
    if (h->manner == DRAIN_FIRST && h->nth == 0 && nth == 0)
        go_away(h, id);
}

static int on_begin(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    (void)user;
    struct message *m = calloc(1, sizeof *m);
    if (!m)
        abort();
    nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, m);
    return 0;
}

static int on_chunk(nghttp2_session *session, uint8_t flags, int32_t id,
                    const uint8_t *data, size_t n, void *user)
{
    struct message *m = nghttp2_session_get_stream_user_data(session, id);
    (void)flags;
    (void)user;
    if (m && m->n + n <= sizeof m->bytes) {
        memcpy(m->bytes + m->n, data, n);
        m->n += n;
    }
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct h2 *h = user;
    struct message *m =
        nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    bool early = h->manner == END_EARLY && frame->hd.type == NGHTTP2_HEADERS;
    if (m && !m->answered && (early || (frame->hd.flags & NGHTTP2_FLAG_END_STREAM))) {
        m->answered = true;
        on_request(h, frame->hd.stream_id, m);
    }
    return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t code, void *user)
{
    (void)code;
    (void)user;
    free(nghttp2_session_get_stream_user_data(session, id));
    return 0;
}

static bool flush(struct h2 *h)
{
    const uint8_t *p;
    ssize_t n;
    while ((n = nghttp2_session_mem_send(h->session, &p)) > 0) {
        size_t step = h->bytewise ? 1 : (size_t)n;
        for (size_t at = 0; at < (size_t)n; at += step)
            if (!peer_send(h->fd, p + at, step))
                return false;
        /* The head of an answer, and no more. */
        if (h->dead && p[3] == NGHTTP2_HEADERS)
            return false;
    }
    return n == 0;
}

static void serve_h2(int fd, int nth, void *arg)
{
    const struct script *s = arg;
    struct h2 h = {.fd = fd, .nth = nth, .manner = s->manner, .bytewise = s->bytewise};
    nghttp2_session_callbacks *b;
    uint8_t bytes[65536];
    ssize_t n;

    nghttp2_session_callbacks_new(&b);
    nghttp2_session_callbacks_set_on_begin_headers_callback(b, on_begin);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(b, on_chunk);
    nghttp2_session_callbacks_set_on_frame_recv_callback(b, on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(b, on_close);
    nghttp2_session_server_new(&h.session, b, &h);
    nghttp2_session_callbacks_del(b);
    nghttp2_settings_entry e = {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS,
                                s->max_streams};
    nghttp2_submit_settings(h.session, NGHTTP2_FLAG_NONE, &e, s->max_streams > 0);
    nghttp2_submit_ping(h.session, NGHTTP2_FLAG_NONE, NULL);
    while (flush(&h) && !(h.manner == CLOSE_AFTER && h.requests > 0) &&
           (n = read(fd, bytes, sizeof bytes)) > 0)
        if (nghttp2_session_mem_recv(h.session, bytes, (size_t)n) < 0)
            break;
    if (h.dead) { /* unread bytes would turn the close into a reset */
        shutdown(fd, SHUT_WR);
        while (read(fd, bytes, sizeof bytes) > 0)
            ;
    }
    /* Streams that are still open lose their messages with the session. */
    for (int32_t id = 1; id < 2 * h.requests + 64; id += 2)
        free(nghttp2_session_get_stream_user_data(h.session, id));
    nghttp2_session_del(h.session);
}

/* --- the engine on a loop -------------------------------------------------- */

#define REQUESTS 256

struct rig {
    struct ev *ev;
    struct rep_address target;
    struct rep_engine *engine;
    struct rep_queue done;
    struct rep_stream stream;
    struct op_header fields[8];
    struct rep_request requests[REQUESTS];
    uint8_t *messages[REQUESTS];
    int sent;
};

static void on_done(void *arg, struct rep_request *r)
{
    rep_queue_push(&((struct rig *)arg)->done, r);
}

static int64_t now_ns(void)
{
    return clk_mono_now(clk_system()).ns;
}

/* bound: calls of one connection; 0: any number. */
static void setup_bounded(struct rig *g, uint16_t port, uint32_t connections,
                          uint32_t streams, int64_t deadline, uint64_t bound)
{
    struct err e = {0};
    char text[64];
    memset(g, 0, sizeof *g);
    snprintf(text, sizeof text, "127.0.0.1:%u", port);
    check_ok(rep_target_parse(&g->target, text, "--grpc", &e), &e);
    check_ok(rep_target_resolve(&g->target, false, CLK_SEC, &e), &e);
    g->ev = ev_new(clk_system(), &e);
    check_true(g->ev != NULL);
    struct rep_engine_config c = {.ev = g->ev,
                                  .clk = clk_system(),
                                  .target = &g->target,
                                  .connections = connections,
                                  .streams = streams,
                                  .requests_per_connection = bound,
                                  .deadline_ns = deadline,
                                  .answer_max = 1u << 20,
                                  .keep_answers = true,
                                  .done = on_done,
                                  .arg = g};
    check_ok(rep_grpc_engine.open(&g->engine, &c, &e), &e);
    static const struct op_header fields[] = {
        {SPAN_LIT(":method"), SPAN_LIT("POST")},
        {SPAN_LIT(":scheme"), SPAN_LIT("http")},
        {SPAN_LIT(":path"), SPAN_LIT("/inference.GRPCInferenceService/ModelInfer")},
        {SPAN_LIT(":authority"), SPAN_LIT("t")},
        {SPAN_LIT("te"), SPAN_LIT("trailers")},
        {SPAN_LIT("content-type"), SPAN_LIT("application/grpc")},
    };
    memcpy(g->fields, fields, sizeof fields);
    g->stream.fields = g->fields;
    g->stream.field_count = 6;
}

static void setup(struct rig *g, uint16_t port, uint32_t connections, uint32_t streams,
                  int64_t deadline)
{
    setup_bounded(g, port, connections, streams, deadline, 0);
}

static void teardown(struct rig *g)
{
    check_int(g->engine->ops->in_flight(g->engine), ==, 0);
    g->engine->ops->close(g->engine);
    for (int i = 0; i < g->sent; i++) {
        buf_done(&g->requests[i].answer);
        buf_done(&g->requests[i].encoded);
        free(g->requests[i].messages);
        free(g->messages[i]);
    }
    ev_free(g->ev);
}

static struct rep_request *send_sized(struct rig *g, const void *body, size_t n)
{
    struct rep_request *r = &g->requests[g->sent];
    uint8_t *wire = malloc(n + 5);
    check_true(wire != NULL);
    wire[0] = 0;
    for (int i = 0; i < 4; i++)
        wire[1 + i] = (uint8_t)(n >> (24 - 8 * i));
    memcpy(wire + 5, body, n);
    g->messages[g->sent++] = wire;
    r->stream = &g->stream;
    r->out = outcome_empty();
    r->out.due_ns = r->out.ready_ns = now_ns();
    r->wire[0] = span_of(wire, n + 5);
    r->id = SPAN_LIT("an-id");
    check_int(g->engine->ops->free_slots(g->engine), >, 0);
    g->engine->ops->send(g->engine, r);
    return r;
}

static struct rep_request *send_one(struct rig *g, const char *body)
{
    return send_sized(g, body, strlen(body));
}

static void turn(struct rig *g)
{
    struct err e = {0};
    int64_t next = g->engine->ops->expire(g->engine, now_ns());
    int64_t soon = now_ns() + 10 * CLK_MS;
    g->engine->ops->flush(g->engine);
    check_ok(ev_turn(g->ev, (struct clk_mono){next < soon ? next : soon}, &e), &e);
    g->engine->ops->flush(g->engine);
}

static void await(struct rig *g, uint64_t count)
{
    int64_t end = now_ns() + PLENTY;
    while (g->done.count < count) {
        check_true(now_ns() < end);
        turn(g);
    }
}

static void check_clocks(const struct rep_request *r)
{
    check_int(r->out.due_ns, <=, r->out.ready_ns);
    check_int(r->out.ready_ns, <=, r->out.sent_ns);
    check_int(r->out.sent_ns, <=, r->out.first_ns);
    check_int(r->out.first_ns, <=, r->out.done_ns);
}

/* One request to a peer of that manner; the outcome is left in *out. */
static void one_call(struct script s, int64_t deadline, struct outcome *out)
{
    struct peer *p = peer_start(serve_h2, &s);
    struct rig g;
    setup(&g, peer_port(p), 1, 4, deadline);
    struct rep_request *r = send_one(&g, "hello");
    await(&g, 1);
    *out = r->out;
    teardown(&g);
    peer_stop(p);
}

/* --- tests ----------------------------------------------------------------- */

static void a_call_is_timed_counted_and_hashed(void **state)
{
    struct script s = {.manner = ECHO};
    struct peer *p = peer_start(serve_h2, &s);
    struct rig g;
    (void)state;
    setup(&g, peer_port(p), 1, 4, PLENTY);
    struct rep_request *r = send_one(&g, "hello");
    await(&g, 1);
    check_int(r->out.cause, ==, OUT_OK);
    check_int(r->out.status, ==, 200);
    check_int(r->out.grpc_status, ==, 0);
    check_int(r->out.bytes_in, ==, 5);
    check_int(r->out.attempts, ==, 1);
    check_span(buf_view(&r->answer), "hello");
    check_true(r->out.answer_hash == outcome_answer_hash(SPAN_LIT("hello")));
    check_clocks(r);
    teardown(&g);
    peer_stop(p);
}

static void streams_share_a_connection(void **state)
{
    struct script s = {.manner = ECHO};
    struct peer *p = peer_start(serve_h2, &s);
    struct rig g;
    char body[32];
    (void)state;
    setup(&g, peer_port(p), 2, 20, PLENTY);
    for (int i = 0; i < 40; i++) {
        snprintf(body, sizeof body, "message %d", i);
        send_one(&g, body);
    }
    check_int(g.engine->ops->free_slots(g.engine), ==, 0);
    await(&g, 40);
    for (int i = 0; i < 40; i++) {
        snprintf(body, sizeof body, "message %d", i);
        check_int(g.requests[i].out.cause, ==, OUT_OK);
        check_span(buf_view(&g.requests[i].answer), body);
    }
    turn(&g);
    check_int(g.engine->ops->free_slots(g.engine), ==, 40);
    check_int(peer_connections(p), ==, 2);
    teardown(&g);
    peer_stop(p);
}

static void the_peers_limit_of_streams_is_kept(void **state)
{
    struct script s = {.manner = SILENT, .max_streams = 3};
    struct peer *p = peer_start(serve_h2, &s);
    struct rig g;
    (void)state;
    setup(&g, peer_port(p), 2, 100, PLENTY);
    g.engine->ops->warm(g.engine);
    while (g.engine->ops->warming(g.engine))
        turn(&g);
    check_int(g.engine->ops->live(g.engine), ==, 2);
    check_int(g.engine->ops->free_slots(g.engine), ==, 6);
    for (int i = 0; i < 6; i++)
        send_one(&g, "x");
    check_int(g.engine->ops->free_slots(g.engine), ==, 0);
    turn(&g);
    g.engine->ops->cancel(g.engine, OUT_STOPPED);
    check_int(g.done.count, ==, 6);
    teardown(&g);
    peer_stop(p);
}

static void answers_may_come_byte_by_byte(void **state)
{
    struct outcome o;
    (void)state;
    one_call((struct script){.manner = ECHO, .bytewise = true}, PLENTY, &o);
    check_int(o.cause, ==, OUT_OK);
    check_int(o.bytes_in, ==, 5);
}

static void error_codes_come_alone_or_behind_a_message(void **state)
{
    struct outcome o;
    (void)state;
    one_call((struct script){.manner = NOT_FOUND}, PLENTY, &o);
    check_int(o.cause, ==, OUT_STATUS);
    check_int(o.status, ==, 200);
    check_int(o.grpc_status, ==, 5);
    one_call((struct script){.manner = FAIL_LATE}, PLENTY, &o);
    check_int(o.cause, ==, OUT_STATUS);
    check_int(o.grpc_status, ==, 13);
}

static void an_http_error_of_a_proxy_is_a_status_without_a_code(void **state)
{
    struct outcome o;
    (void)state;
    one_call((struct script){.manner = PROXY_503}, PLENTY, &o);
    check_int(o.cause, ==, OUT_STATUS);
    check_int(o.status, ==, 503);
    check_int(o.grpc_status, ==, -1);
}

static void answers_that_break_grpc_are_garbage(void **state)
{
    static const enum manner manners[] = {NO_STATUS,  NOT_GRPC,      STATUS_WORD,
                                          COMPRESSED, SHORT_MESSAGE, LONG_MESSAGE,
                                          NO_MESSAGE};
    (void)state;
    for (size_t i = 0; i < sizeof manners / sizeof *manners; i++) {
        struct outcome o;
        one_call((struct script){.manner = manners[i]}, PLENTY, &o);
        if (o.cause != OUT_GARBAGE)
            fail_msg("manner %d gave cause %d", manners[i], o.cause);
        check_int(o.attempts, ==, 1);
    }
}

static void a_compressed_message_says_in_what(void **state)
{
    static const enum manner manners[] = {ENCODED, ECHO};
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct script s = {.manner = manners[i]};
        struct peer *p = peer_start(serve_h2, &s);
        struct rig g;
        setup(&g, peer_port(p), 1, 4, PLENTY);
        struct rep_request *r = send_one(&g, "hello");
        await(&g, 1);
        check_int(r->out.cause, ==, OUT_OK);
        check_int(r->answer_codings, ==, i == 0 ? CONTENT_GZIP : 0);
        teardown(&g);
        peer_stop(p);
    }
}

static void a_message_beyond_the_limit_is_too_big(void **state)
{
    struct outcome o;
    (void)state;
    one_call((struct script){.manner = HUGE_MESSAGE}, PLENTY, &o);
    check_int(o.cause, ==, OUT_TOO_BIG);
}

static void a_reset_stream_is_an_outcome_and_not_sent_again(void **state)
{
    struct outcome o;
    (void)state;
    one_call((struct script){.manner = RESET_STREAM}, PLENTY, &o);
    check_int(o.cause, ==, OUT_RESET);
    check_int(o.attempts, ==, 1);
}

static void a_refused_stream_is_sent_once_more(void **state)
{
    struct outcome o;
    (void)state;
    one_call((struct script){.manner = REFUSE_FIRST}, PLENTY, &o);
    check_int(o.cause, ==, OUT_OK);
    check_int(o.attempts, ==, 2);
    one_call((struct script){.manner = REFUSE_STREAM}, PLENTY, &o);
    check_int(o.cause, ==, OUT_RESET);
    check_int(o.attempts, ==, 2);
}

static void streams_that_a_goaway_disowns_go_to_a_new_connection(void **state)
{
    struct script s = {.manner = DISOWN_FIRST};
    struct peer *p = peer_start(serve_h2, &s);
    struct rig g;
    (void)state;
    setup(&g, peer_port(p), 1, 10, PLENTY);
    for (int i = 0; i < 5; i++)
        send_one(&g, "x");
    await(&g, 5);
    for (int i = 0; i < 5; i++) {
        check_int(g.requests[i].out.cause, ==, OUT_OK);
        check_int(g.requests[i].out.attempts, ==, 2);
        check_int(g.requests[i].out.connection, ==, 1);
        check_clocks(&g.requests[i]);
    }
    check_int(peer_connections(p), ==, 2);
    teardown(&g);
    peer_stop(p);
}

static void after_a_goaway_the_next_call_takes_a_new_connection(void **state)
{
    struct script s = {.manner = DRAIN_FIRST};
    struct peer *p = peer_start(serve_h2, &s);
    struct rig g;
    (void)state;
    setup(&g, peer_port(p), 1, 10, PLENTY);
    for (uint64_t i = 1; i <= 4; i++) {
        struct rep_request *r = send_one(&g, "x");
        await(&g, i);
        check_int(r->out.cause, ==, OUT_OK);
        check_int(r->out.attempts, ==, 1);
    }
    check_int(peer_connections(p), ==, 2);
    teardown(&g);
    peer_stop(p);
}

static void a_connection_lost_in_mid_answer_is_closed(void **state)
{
    struct outcome o;
    (void)state;
    one_call((struct script){.manner = DROP}, PLENTY, &o);
    check_int(o.cause, ==, OUT_CLOSED);
    check_int(o.attempts, ==, 1);
}

static void no_answer_ends_at_the_deadline_and_frees_the_stream(void **state)
{
    struct script s = {.manner = SILENT};
    struct peer *p = peer_start(serve_h2, &s);
    struct rig g;
    (void)state;
    setup(&g, peer_port(p), 1, 4, 50 * CLK_MS);
    for (int i = 0; i < 4; i++)
        send_one(&g, "x");
    await(&g, 4);
    for (int i = 0; i < 4; i++) {
        check_int(g.requests[i].out.cause, ==, OUT_DEADLINE);
        check_int(g.requests[i].out.done_ns - g.requests[i].out.due_ns, >=,
                  50 * CLK_MS);
    }
    turn(&g);
    check_int(g.engine->ops->free_slots(g.engine), ==, 4);
    teardown(&g);
    peer_stop(p);
}

static void accept_and_hang(int fd, int nth, void *arg)
{
    char byte;
    (void)nth;
    (void)arg;
    while (read(fd, &byte, 1) > 0)
        ;
}

static void speak_http1(int fd, int nth, void *arg)
{
    char bytes[4096];
    (void)nth;
    (void)arg;
    if (read(fd, bytes, sizeof bytes) > 0)
        peer_say(fd, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    (void)!read(fd, bytes, sizeof bytes);
}

static void a_peer_that_speaks_no_http2_is_garbage(void **state)
{
    struct peer *p = peer_start(speak_http1, NULL);
    struct rig g;
    (void)state;
    setup(&g, peer_port(p), 1, 4, PLENTY);
    struct rep_request *r = send_one(&g, "x");
    await(&g, 1);
    check_int(r->out.cause, ==, OUT_GARBAGE);
    teardown(&g);
    peer_stop(p);
}

static void a_peer_that_says_nothing_ends_at_the_deadline(void **state)
{
    struct peer *p = peer_start(accept_and_hang, NULL);
    struct rig g;
    (void)state;
    setup(&g, peer_port(p), 1, 4, 50 * CLK_MS);
    struct rep_request *r = send_one(&g, "x");
    await(&g, 1);
    check_int(r->out.cause, ==, OUT_DEADLINE);
    teardown(&g);
    peer_stop(p);
}

static void nobody_there_is_a_connect_failure(void **state)
{
    struct rig g;
    (void)state;
    setup(&g, peer_dead_port(), 1, 4, PLENTY);
    for (uint64_t i = 1; i <= 3; i++) {
        struct rep_request *r = send_one(&g, "x");
        await(&g, i);
        check_int(r->out.cause, ==, OUT_CONNECT);
        check_int(r->out.attempts, ==, 0);
    }
    teardown(&g);
}

static void a_large_message_goes_out_and_comes_back_in_parts(void **state)
{
    struct script s = {.manner = ECHO};
    struct peer *p = peer_start(serve_h2, &s);
    struct rig g;
    static uint8_t body[60000];
    (void)state;
    for (size_t i = 0; i < sizeof body; i++)
        body[i] = (uint8_t)(i * 7);
    setup(&g, peer_port(p), 1, 4, PLENTY);
    for (int i = 0; i < 4; i++)
        send_sized(&g, body, sizeof body);
    await(&g, 4);
    for (int i = 0; i < 4; i++) {
        check_int(g.requests[i].out.cause, ==, OUT_OK);
        check_true(
            span_eq(buf_view(&g.requests[i].answer), span_of(body, sizeof body)));
    }
    teardown(&g);
    peer_stop(p);
}

/* The windows are wide open, and one write takes no more than a quarter megabyte: what
 * is small goes between the parts of what is large. */
static void small_calls_do_not_wait_for_large_ones(void **state)
{
    struct script s = {.manner = NOT_FOUND};
    struct peer *p = peer_start(serve_h2, &s);
    struct rig g;
    size_t size = 8u << 20;
    uint8_t *body = calloc(1, size);
    int64_t large = INT64_MAX;
    (void)state;
    check_true(body != NULL);
    setup(&g, peer_port(p), 1, 40, PLENTY);
    for (int i = 0; i < 20; i++)
        send_sized(&g, body, size);
    struct rep_request *small = send_one(&g, "x");
    await(&g, 21);
    for (int i = 0; i < 20; i++) {
        const struct outcome *o = &g.requests[i].out;
        check_int(o->grpc_status, ==, 5);
        large = o->done_ns < large ? o->done_ns : large;
    }
    check_int(small->out.grpc_status, ==, 5);
    check_int(small->out.done_ns, <, large);
    teardown(&g);
    peer_stop(p);
    free(body);
}

static void a_request_in_two_parts_goes_out_as_one(void **state)
{
    static const size_t cuts[] = {5, 6, 20000, 40000};
    struct script s = {.manner = ECHO};
    struct peer *p = peer_start(serve_h2, &s);
    struct rig g;
    static uint8_t body[40000];
    (void)state;
    for (size_t i = 0; i < sizeof body; i++)
        body[i] = (uint8_t)(i * 11);
    setup(&g, peer_port(p), 1, 4, PLENTY);
    for (size_t i = 0; i < 4; i++) { /* cut before a byte of it leaves */
        struct rep_request *r = send_sized(&g, body, sizeof body);
        struct span whole = r->wire[0];
        r->wire[0] = span_sub(whole, 0, cuts[i]);
        r->wire[1] = span_sub(whole, cuts[i], whole.n);
    }
    await(&g, 4);
    for (int i = 0; i < 4; i++) {
        check_int(g.requests[i].out.cause, ==, OUT_OK);
        check_true(
            span_eq(buf_view(&g.requests[i].answer), span_of(body, sizeof body)));
    }
    teardown(&g);
    peer_stop(p);
}

static void an_answer_before_the_request_is_complete_is_its_answer(void **state)
{
    struct script s = {.manner = END_EARLY};
    struct peer *p = peer_start(serve_h2, &s);
    struct rig g;
    size_t size = 8u << 20;
    uint8_t *body = calloc(1, size);
    (void)state;
    check_true(body != NULL);
    setup(&g, peer_port(p), 1, 4, PLENTY);
    struct rep_request *r = send_sized(&g, body, size);
    await(&g, 1);
    check_int(r->out.cause, ==, OUT_STATUS);
    check_int(r->out.grpc_status, ==, 5);
    r = send_one(&g, "the connection goes on");
    await(&g, 2);
    check_int(r->out.grpc_status, ==, 5);
    check_int(peer_connections(p), ==, 1);
    teardown(&g);
    peer_stop(p);
    free(body);
}

/* Messages of 5, 0 and 300 bytes; framed, so that an echo answers the same three. */
static struct rep_request *send_stream(struct rig *g)
{
    struct rep_request *r = &g->requests[g->sent];
    static const size_t sizes[] = {5, 0, 300};
    uint8_t *wire = calloc(1, 320), *at = wire;
    check_true(wire != NULL);
    for (size_t i = 0; i < 3; i++) {
        at[3] = (uint8_t)(sizes[i] >> 8);
        at[4] = (uint8_t)sizes[i];
        memset(at + 5, 'a' + (int)i, sizes[i]);
        at += 5 + sizes[i];
    }
    g->messages[g->sent++] = wire;
    g->stream.streams = true;
    r->stream = &g->stream;
    r->out = outcome_empty();
    r->out.due_ns = r->out.ready_ns = now_ns();
    r->wire[0] = span_of(wire, 320);
    r->id = SPAN_LIT("an-id");
    return r;
}

static void check_three(const struct rep_request *r)
{
    const struct op_messages *m = &r->out.messages;
    check_int(m->count, ==, 3);
    check_int(m->v[0].bytes, ==, 5);
    check_int(m->v[1].bytes, ==, 0);
    check_int(m->v[2].bytes, ==, 300);
    check_int(m->v[0].at_ns, >=, 0);
    check_int(m->v[0].at_ns, <=, m->v[1].at_ns);
    check_int(m->v[1].at_ns, <=, m->v[2].at_ns);
    check_int(r->out.bytes_in, ==, 305);
}

static void a_stream_of_answers_has_a_time_for_each(void **state)
{
    (void)state;
    for (int bytewise = 0; bytewise < 2; bytewise++) {
        struct script s = {.manner = SPREAD, .bytewise = bytewise};
        struct peer *p = peer_start(serve_h2, &s);
        struct rig g;
        setup(&g, peer_port(p), 1, 4, PLENTY);
        struct rep_request *r = send_stream(&g);
        g.engine->ops->send(g.engine, r);
        await(&g, 1);
        check_int(r->out.cause, ==, OUT_OK);
        check_three(r);
        check_int(r->out.messages.v[1].at_ns, >=, 30 * CLK_MS);
        check_int(r->out.messages.v[2].at_ns, >=, 60 * CLK_MS);
        check_int(r->answer.n, ==, 305);
        check_clocks(r);
        teardown(&g);
        peer_stop(p);
    }
}

static void a_stream_that_is_stopped_keeps_the_messages_before(void **state)
{
    struct script s = {.manner = SPREAD};
    struct peer *p = peer_start(serve_h2, &s);
    struct rig g;
    (void)state;
    setup(&g, peer_port(p), 1, 4, PLENTY);
    struct rep_request *r = send_stream(&g);
    g.engine->ops->send(g.engine, r);
    while (r->out.messages.count == 0)
        turn(&g);
    g.engine->ops->cancel(g.engine, OUT_STOPPED);
    check_int(g.done.count, ==, 1);
    check_int(r->out.cause, ==, OUT_STOPPED);
    check_int(r->out.messages.v[0].bytes, ==, 5);
    check_int(r->out.bytes_in, ==, r->out.messages.count < 3 ? 5 : 305);
    teardown(&g);
    peer_stop(p);
}

static void messages_of_a_request_keep_their_gaps(void **state)
{
    static const struct op_message parts[] = {
        {0, 10}, {40 * CLK_MS, 5}, {80 * CLK_MS, 305}};
    struct script s = {.manner = ECHO};
    struct peer *p = peer_start(serve_h2, &s);
    struct rig g;
    (void)state;
    setup(&g, peer_port(p), 1, 4, PLENTY);
    struct rep_request *r = send_stream(&g);
    r->parts = (struct op_messages){parts, 3};
    g.engine->ops->send(g.engine, r);
    await(&g, 1);
    check_int(r->out.cause, ==, OUT_OK);
    check_three(r);
    check_int(r->out.attempts, ==, 1);
    /* The peer answers once all of the request is there. */
    check_int(r->out.first_ns - r->out.sent_ns, >=, 80 * CLK_MS);
    teardown(&g);
    peer_stop(p);
}

static void a_stream_that_fails_keeps_the_messages_before(void **state)
{
    static const struct {
        enum manner manner;
        enum out_cause cause;
        uint32_t count;
    } cases[] = {{FAIL_LATE, OUT_STATUS, 3},     {NO_STATUS, OUT_GARBAGE, 3},
                 {COMPRESSED, OUT_GARBAGE, 0},   {ENCODED, OUT_OK, 3},
                 {HUGE_MESSAGE, OUT_TOO_BIG, 0}, {NO_MESSAGE, OUT_OK, 0},
                 {RESET_STREAM, OUT_RESET, 0},   {SILENT, OUT_DEADLINE, 0}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct script s = {.manner = cases[i].manner};
        struct peer *p = peer_start(serve_h2, &s);
        struct rig g;
        setup(&g, peer_port(p), 1, 4, cases[i].manner == SILENT ? 50 * CLK_MS : PLENTY);
        struct rep_request *r = send_stream(&g);
        g.engine->ops->send(g.engine, r);
        await(&g, 1);
        check_int(r->out.cause, ==, cases[i].cause);
        check_int(r->out.messages.count, ==, cases[i].count);
        check_int(r->out.bytes_in, ==, cases[i].count ? 305 : 0);
        if (cases[i].manner == ENCODED) { /* the first of its messages alone */
            check_int(r->answer_codings, ==, CONTENT_GZIP);
            check_int(r->encoded.n, ==, 3);
            check_true(r->encoded.n == 3 && memcmp(r->encoded.p, "\1\0\0", 3) == 0);
        }
        teardown(&g);
        peer_stop(p);
    }
}

static void calls_beyond_a_limit_that_was_not_told_yet_wait_for_their_turn(void **state)
{
    struct script s = {.manner = ECHO, .max_streams = 3};
    struct peer *p = peer_start(serve_h2, &s);
    struct rig g;
    (void)state;
    setup(&g, peer_port(p), 1, 40, PLENTY);
    for (int i = 0; i < 40; i++) /* before the connection is made */
        send_one(&g, "x");
    await(&g, 40);
    for (int i = 0; i < 40; i++) {
        check_int(g.requests[i].out.cause, ==, OUT_OK);
        check_int(g.requests[i].out.attempts, <=, 2);
        check_clocks(&g.requests[i]);
    }
    check_int(g.engine->ops->free_slots(g.engine), ==, 3);
    teardown(&g);
    peer_stop(p);
}

static void what_waits_to_be_sent_again_meets_its_deadline(void **state)
{
    struct script s = {.manner = SILENT, .max_streams = 3};
    struct peer *p = peer_start(serve_h2, &s);
    struct rig g;
    (void)state;
    setup(&g, peer_port(p), 1, 10, 100 * CLK_MS);
    for (int i = 0; i < 10; i++)
        send_one(&g, "x");
    await(&g, 10);
    for (int i = 0; i < 10; i++) {
        const struct outcome *o = &g.requests[i].out;
        check_int(o->cause, ==, OUT_DEADLINE);
        check_int(o->done_ns - o->due_ns, >=, 100 * CLK_MS);
    }
    teardown(&g);
    peer_stop(p);
}

static void a_connection_that_had_its_calls_is_replaced(void **state)
{
    struct script s = {.manner = ECHO};
    struct peer *p = peer_start(serve_h2, &s);
    struct rig g;
    int on[REQUESTS] = {0};
    (void)state;
    setup_bounded(&g, peer_port(p), 2, 2, PLENTY, 5);
    for (int i = 0; i < 60; i++) {
        while (g.engine->ops->free_slots(g.engine) == 0)
            turn(&g);
        send_one(&g, "x");
    }
    await(&g, 60);
    for (int i = 0; i < 60; i++) {
        check_int(g.requests[i].out.cause, ==, OUT_OK);
        check_int(g.requests[i].out.attempts, ==, 1);
        on[g.requests[i].out.connection]++;
    }
    for (int i = 0; i < REQUESTS; i++)
        check_int(on[i], <=, 5);
    /* Two are there for the next calls, full ones have gone. */
    const struct rep_engine_stats *stats = &g.engine->stats;
    int64_t end = now_ns() + PLENTY;
    while (stats->ends[REP_END_LIMIT] + 2 != stats->connects) {
        check_true(now_ns() < end);
        turn(&g);
    }
    check_int(stats->ends[REP_END_LIMIT], >=, 11);
    check_int(stats->ends[REP_END_LIMIT], <=, 12);
    check_int(g.engine->ops->free_slots(g.engine), ==, 4);
    teardown(&g);
    peer_stop(p);
}

static void each_end_of_a_connection_has_its_cause(void **state)
{
    static const struct {
        enum manner manner;
        enum rep_end end;
    } cases[] = {{DRAIN_FIRST, REP_END_GOAWAY},
                 {DISOWN_FIRST, REP_END_GOAWAY},
                 {DROP, REP_END_CLOSED},
                 {CLOSE_AFTER, REP_END_IDLE}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct script s = {.manner = cases[i].manner};
        struct peer *p = peer_start(serve_h2, &s);
        struct rig g;
        setup(&g, peer_port(p), 1, 4, PLENTY);
        send_one(&g, "x");
        int64_t end = now_ns() + PLENTY;
        while (g.done.count == 0 || g.engine->stats.ends[cases[i].end] == 0) {
            check_true(now_ns() < end);
            turn(&g);
        }
        for (int k = 0; k < REP_END_COUNT; k++)
            check_int(g.engine->stats.ends[k], ==, k == (int)cases[i].end);
        teardown(&g);
        peer_stop(p);
    }
    struct peer *p = peer_start(speak_http1, NULL);
    struct rig g;
    setup(&g, peer_port(p), 1, 4, PLENTY);
    send_one(&g, "x");
    await(&g, 1);
    /* HTTP/2 never came to be: that is a connection that was not made, with the reason.
     */
    check_int(g.engine->stats.ends[REP_END_GARBAGE], ==, 0);
    check_int(g.engine->stats.failures.v[0].count, ==, 1);
    check_str_has(g.engine->stats.failures.v[0].text, "it answers in HTTP/1.1");
    check_str_has(g.engine->foreign, "is this the port for REST?");
    teardown(&g);
    peer_stop(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_is_timed_counted_and_hashed),
        cmocka_unit_test(a_stream_of_answers_has_a_time_for_each),
        cmocka_unit_test(a_stream_that_is_stopped_keeps_the_messages_before),
        cmocka_unit_test(messages_of_a_request_keep_their_gaps),
        cmocka_unit_test(a_stream_that_fails_keeps_the_messages_before),
        cmocka_unit_test(streams_share_a_connection),
        cmocka_unit_test(the_peers_limit_of_streams_is_kept),
        cmocka_unit_test(
            calls_beyond_a_limit_that_was_not_told_yet_wait_for_their_turn),
        cmocka_unit_test(what_waits_to_be_sent_again_meets_its_deadline),
        cmocka_unit_test(a_connection_that_had_its_calls_is_replaced),
        cmocka_unit_test(each_end_of_a_connection_has_its_cause),
        cmocka_unit_test(answers_may_come_byte_by_byte),
        cmocka_unit_test(error_codes_come_alone_or_behind_a_message),
        cmocka_unit_test(an_http_error_of_a_proxy_is_a_status_without_a_code),
        cmocka_unit_test(answers_that_break_grpc_are_garbage),
        cmocka_unit_test(a_compressed_message_says_in_what),
        cmocka_unit_test(a_message_beyond_the_limit_is_too_big),
        cmocka_unit_test(a_reset_stream_is_an_outcome_and_not_sent_again),
        cmocka_unit_test(a_refused_stream_is_sent_once_more),
        cmocka_unit_test(streams_that_a_goaway_disowns_go_to_a_new_connection),
        cmocka_unit_test(after_a_goaway_the_next_call_takes_a_new_connection),
        cmocka_unit_test(a_connection_lost_in_mid_answer_is_closed),
        cmocka_unit_test(no_answer_ends_at_the_deadline_and_frees_the_stream),
        cmocka_unit_test(a_peer_that_speaks_no_http2_is_garbage),
        cmocka_unit_test(a_peer_that_says_nothing_ends_at_the_deadline),
        cmocka_unit_test(nobody_there_is_a_connect_failure),
        cmocka_unit_test(a_large_message_goes_out_and_comes_back_in_parts),
        cmocka_unit_test(small_calls_do_not_wait_for_large_ones),
        cmocka_unit_test(a_request_in_two_parts_goes_out_as_one),
        cmocka_unit_test(an_answer_before_the_request_is_complete_is_its_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

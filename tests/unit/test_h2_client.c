/* test_h2_client.c - traces/wire/h2_client, with a server of nghttp2 as the other side,
 * and with peers that break the rules. SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/check.h"

#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/h2_build.h"
#include "traces/base/rng.h"
#include "traces/wire/h2_client.h"

#define STREAMS 256

static const struct op_header fields[] = {
    {SPAN_LIT(":method"), SPAN_LIT("POST")},
    {SPAN_LIT(":scheme"), SPAN_LIT("http")},
    {SPAN_LIT(":path"), SPAN_LIT("/inference.GRPCInferenceService/ModelInfer")},
    {SPAN_LIT(":authority"), SPAN_LIT("localhost")},
    {SPAN_LIT("te"), SPAN_LIT("trailers")},
    {SPAN_LIT("content-type"), SPAN_LIT("application/grpc")},
    {SPAN_LIT("empty"), SPAN_LIT("")},
};
#define FIELDS (sizeof fields / sizeof *fields)

static struct h2_request request_of(uint64_t key, const char *id)
{
    struct h2_request q = {.key = key, .fields = fields, .field_count = FIELDS};
    if (id)
        q.last = (struct op_header){SPAN_LIT("x-request-id"), span_str(id)};
    return q;
}

/* --- a server of nghttp2, without sockets ----------------------------------------- */

struct answer {
    size_t bytes, sent;
};

struct server {
    nghttp2_session *session;
    struct buf story;  /* "id name: value\n" and "id data N hash\n", in order */
    struct buf bodies; /* of all streams, as they came */
    size_t answer_bytes;
    bool silent;
    int requests;
};

static nghttp2_nv nv(const char *name, const char *value)
{
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value,
                        strlen(name), strlen(value), NGHTTP2_NV_FLAG_NONE};
}

static ssize_t answer_body(nghttp2_session *session, int32_t id, uint8_t *out,
                           size_t length, uint32_t *flags, nghttp2_data_source *source,
                           void *user)
{
    struct answer *a = source->ptr;
    size_t n = a->bytes - a->sent < length ? a->bytes - a->sent : length;
    (void)user;
    memset(out, 'z', n);
    a->sent += n;
    if (a->sent < a->bytes)
        return (ssize_t)n;
    nghttp2_nv t = nv("grpc-status", "0");
    *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
    check_int(nghttp2_submit_trailer(session, id, &t, 1), ==, 0);
    free(a);
    return (ssize_t)n;
}

static void respond(struct server *s, int32_t id)
{
    char nth[16];
    snprintf(nth, sizeof nth, "%d", s->requests++ / 8);
    nghttp2_nv head[] = {nv(":status", "200"), nv("content-type", "application/grpc"),
                         nv("turn", nth)};
    struct answer *a = calloc(1, sizeof *a);
    check_true(a != NULL);
    a->bytes = s->answer_bytes;
    nghttp2_data_provider body = {.source.ptr = a, .read_callback = answer_body};
    check_int(nghttp2_submit_response(s->session, id, head, 3, &body), ==, 0);
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame,
                     const uint8_t *name, size_t name_len, const uint8_t *value,
                     size_t value_len, uint8_t flags, void *user)
{
    struct server *s = user;
    (void)session;
    (void)flags;
    buf_fmt(&s->story, "%d %.*s: %.*s\n", frame->hd.stream_id, (int)name_len,
            (const char *)name, (int)value_len, (const char *)value);
    return 0;
}

static int on_chunk(nghttp2_session *session, uint8_t flags, int32_t id,
                    const uint8_t *data, size_t n, void *user)
{
    (void)session;
    (void)flags;
    (void)id;
    buf_add(&((struct server *)user)->bodies, data, n);
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct server *s = user;
    (void)session;
    bool body = frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS;
    if (body && frame->hd.flags & NGHTTP2_FLAG_END_STREAM) {
        buf_fmt(&s->story, "%d end\n", frame->hd.stream_id);
        if (!s->silent)
            respond(s, frame->hd.stream_id);
    }
    if (frame->hd.type == NGHTTP2_RST_STREAM)
        buf_fmt(&s->story, "%d reset %u\n", frame->hd.stream_id,
                frame->rst_stream.error_code);
    if (frame->hd.type == NGHTTP2_GOAWAY)
        buf_fmt(&s->story, "goaway %u\n", frame->goaway.error_code);
    return 0;
}

static int no_invalid(nghttp2_session *session, const nghttp2_frame *frame, int code,
                      void *user)
{
    (void)session;
    (void)frame;
    (void)user;
    fail_msg("the server refuses a frame: %s", nghttp2_strerror(code));
    return 0;
}

static void server_init(struct server *s, const nghttp2_settings_entry *settings,
                        size_t count)
{
    nghttp2_session_callbacks *b;
    memset(s, 0, sizeof *s);
    nghttp2_session_callbacks_new(&b);
    nghttp2_session_callbacks_set_on_header_callback(b, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(b, on_chunk);
    nghttp2_session_callbacks_set_on_frame_recv_callback(b, on_frame);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(b, no_invalid);
    check_int(nghttp2_session_server_new(&s->session, b, s), ==, 0);
    nghttp2_session_callbacks_del(b);
    check_int(nghttp2_submit_settings(s->session, NGHTTP2_FLAG_NONE, settings, count),
              ==, 0);
}

static void server_done(struct server *s)
{
    nghttp2_session_del(s->session);
    buf_done(&s->story);
    buf_done(&s->bodies);
}

/* What we have to say, to the server. */
static void to_server(struct server *s, struct h2_client *h)
{
    struct buf out = {0};
    check_true(h2_client_take(h, &out));
    if (out.n > 0)
        check_int(nghttp2_session_mem_recv(s->session, out.p, out.n), ==, out.n);
    buf_done(&out);
}

/* What the server has to say. */
static void from_server(struct server *s, struct buf *out)
{
    const uint8_t *p;
    ssize_t n;
    while ((n = nghttp2_session_mem_send(s->session, &p)) > 0)
        buf_add(out, p, (size_t)n);
    check_int(n, ==, 0);
}

/* --- what the client sees --------------------------------------------------------- */

/* Streams are known by the number that is their `user`. */
static void *number(uint32_t n)
{
    return (void *)(uintptr_t)(n + 1);
}

static void tell(struct buf *story, const struct h2_event *ev, uint64_t data[STREAMS])
{
    unsigned n = (unsigned)(uintptr_t)ev->user;
    switch (ev->kind) {
    case H2_EVENT_HEADERS:
        buf_fmt(story, "%u %s%u", n, ev->trailers ? "trailers" : "head", ev->status);
        for (size_t i = 0; i < ev->field_count; i++)
            buf_fmt(story, " %.*s=%.*s", SPAN_ARG(ev->fields[i].name),
                    SPAN_ARG(ev->fields[i].value));
        break;
    case H2_EVENT_DATA: /* how it is divided does not count */
        data[n % STREAMS] += ev->data.n;
        if (!ev->ends)
            return;
        buf_fmt(story, "%u body", n);
        break;
    case H2_EVENT_RESET:
        buf_fmt(story, "%u reset %u%s", n, ev->code, ev->ours ? " by us" : "");
        break;
    case H2_EVENT_SETTINGS:
        buf_str(story, "settings");
        break;
    case H2_EVENT_GOAWAY:
        buf_fmt(story, "goaway %u code %u", ev->last_id, ev->code);
        break;
    case H2_EVENT_MORE:
        fail();
    }
    if (ev->ends)
        buf_fmt(story, " ends after %llu", (unsigned long long)data[n % STREAMS]);
    buf_str(story, "\n");
}

/* Feeds bytes in pieces of `step`, each from memory of its own; 0 or the error. */
static int feed(struct h2_client *h, struct span in, size_t step, struct buf *story,
                struct err *e)
{
    static uint64_t data[STREAMS];
    memset(data, 0, sizeof data);
    for (size_t at = 0; at < in.n; at += step) {
        size_t n = in.n - at < step ? in.n - at : step;
        uint8_t *exact = malloc(n);
        check_true(exact != NULL);
        memcpy(exact, in.p + at, n);
        struct span piece = span_of(exact, n);
        struct h2_event ev;
        int rc;
        while ((rc = h2_client_next(h, &piece, (int64_t)at, &ev, e)) > 0)
            tell(story, &ev, data);
        check_true(rc < 0 || piece.n == 0);
        free(exact);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static void init(struct h2_client *h, uint32_t streams)
{
    struct err e = {0};
    check_ok(h2_client_init(h, streams, &e), &e);
}

static uint32_t open_one(struct h2_client *h, const struct h2_request *q, void *user)
{
    struct err e = {0};
    uint32_t slot;
    check_int(h2_client_room(h), >, 0);
    check_ok(h2_client_open(h, q, user, &slot, &e), &e);
    return slot;
}

static uint32_t call(struct h2_client *h, uint64_t key, const char *body, void *user)
{
    struct h2_request q = request_of(key, "an-id");
    uint32_t slot = open_one(h, &q, user);
    bool all;
    check_int(h2_client_data(h, slot, span_str(body), true, &all), ==, strlen(body));
    check_true(all);
    return slot;
}

/* Both sides talk until neither has anything to say. */
static void settle(struct h2_client *h, struct server *s, struct buf *story)
{
    struct buf in = {0};
    struct err e = {0};
    do {
        to_server(s, h);
        buf_reset(&in);
        from_server(s, &in);
        check_ok(feed(h, buf_view(&in), in.n + 1, story, &e), &e);
    } while (in.n > 0 || h->out.n > 0);
    buf_done(&in);
}

/* --- a peer that is written by hand ----------------------------------------------- */

/* A client with its SETTINGS exchanged and `open` streams that await their answers. */
static void established(struct h2_client *h, uint32_t open)
{
    struct buf in = {0}, story = {0};
    struct err e = {0};
    memset(h, 0, sizeof *h);
    init(h, 16);
    h2_frame(&in, H2_SETTINGS, 0, 0, (struct span){0});
    check_ok(feed(h, buf_view(&in), 100, &story, &e), &e);
    for (uint32_t i = 0; i < open; i++)
        call(h, 1, "x", number(i));
    buf_reset(&h->out);
    buf_done(&in);
    buf_done(&story);
}

/* These bytes bring that story, however they are cut. */
static void brings(const struct buf *in, const char *story)
{
    for (size_t step = 1; step <= in->n; step += step < 40 ? 1 : 997) {
        struct h2_client h;
        struct buf got = {0};
        struct err e = {0};
        established(&h, 2);
        check_ok(feed(&h, buf_view(in), step, &got, &e), &e);
        check_str(buf_text(&got), story);
        buf_done(&got);
        h2_client_done(&h);
    }
}

/* These bytes break the connection with that code. */
static void breaks(const struct buf *in, enum h2_code code, const char *why)
{
    for (size_t step = 1; step <= in->n; step += step < 40 ? 1 : 997) {
        struct h2_client h;
        struct buf got = {0};
        struct err e = {0};
        struct h2_event ev;
        struct span more = SPAN_LIT("more");
        established(&h, 2);
        check_int(feed(&h, buf_view(in), step, &got, &e), ==, ERR_PEER);
        check_str_has(e.text, why);
        check_int(h.out.n, >=, 17);
        const uint8_t *goaway = h.out.p + h.out.n - 17;
        check_int(goaway[3], ==, H2_GOAWAY);
        check_int(goaway[16], ==, code);
        check_int(h2_client_room(&h), ==, 0);
        check_true(h2_client_ended(&h));
        check_int(h2_client_next(&h, &more, 0, &ev, NULL), ==, ERR_PEER);
        buf_done(&got);
        h2_client_done(&h);
    }
}

static struct span head_200(struct buf *b)
{
    buf_reset(b);
    h2_indexed(b, 8);
    return buf_view(b);
}

/* --- what we send ----------------------------------------------------------------- */

static void a_request_reads_at_the_peer_as_it_was_written(void **state)
{
    (void)state;
    struct server s;
    struct h2_client h = {0};
    struct buf story = {0};
    server_init(&s, NULL, 0);
    init(&h, 8);
    settle(&h, &s, &story);
    call(&h, 7, "hello", number(0));
    settle(&h, &s, &story);
    check_str(buf_text(&s.story),
              "1 :method: POST\n1 :scheme: http\n"
              "1 :path: /inference.GRPCInferenceService/ModelInfer\n"
              "1 :authority: localhost\n1 te: trailers\n"
              "1 content-type: application/grpc\n1 empty: \n1 x-request-id: an-id\n"
              "1 end\n");
    check_span(buf_view(&s.bodies), "hello");
    check_str(buf_text(&story),
              "settings\n1 head200 :status=200 content-type=application/grpc turn=0\n"
              "1 trailers0 grpc-status=0 ends after 0\n");
    check_int(h.live, ==, 0);
    buf_done(&story);
    h2_client_done(&h);
    server_done(&s);
}

static void recurring_fields_travel_as_indices(void **state)
{
    (void)state;
    struct server s;
    struct h2_client h = {0};
    struct buf story = {0}, first = {0};
    server_init(&s, NULL, 0);
    init(&h, 8);
    settle(&h, &s, &story);
    for (int i = 0; i < 5; i++) {
        buf_reset(&s.story);
        call(&h, 7, "hello", number(0));
        /* 7 fields, the id's name index, its length, its 5 bytes; two frame heads. */
        if (i > 0)
            check_int(h.out.n, ==, 9 + 7 + 2 + 1 + 5 + 9 + 5);
        settle(&h, &s, &story);
        for (size_t k = 0; k < s.story.n; k++) /* but for the stream's number */
            if (s.story.p[k] >= '0' && s.story.p[k] <= '9')
                s.story.p[k] = '#';
        if (i == 0)
            buf_span(&first, buf_view(&s.story));
        check_true(span_eq(buf_view(&first), buf_view(&s.story)));
    }
    buf_done(&first);
    buf_done(&story);
    h2_client_done(&h);
    server_done(&s);
}

/* Many models over a small table, which the peer resizes now and then. */
static void every_head_survives_a_table_of_any_size(void **state)
{
    (void)state;
    struct rng g;
    rng_init(&g, 3);
    for (uint32_t size = 0; size <= 8192; size = size ? size * 3 : 20) {
        nghttp2_settings_entry setting = {NGHTTP2_SETTINGS_HEADER_TABLE_SIZE, size};
        struct server s;
        struct h2_client h = {0};
        struct buf story = {0}, want = {0};
        server_init(&s, &setting, 1);
        init(&h, 8);
        for (uint32_t i = 0; i < 300; i++) {
            char model[64], id[64];
            uint32_t which = (uint32_t)rng_below(&g, 60);
            snprintf(model, sizeof model, "model-%u", which);
            snprintf(id, sizeof id, "%u", i);
            struct op_header mine[FIELDS + 1];
            memcpy(mine, fields, sizeof fields);
            mine[FIELDS] =
                (struct op_header){SPAN_LIT("seldon-model"), span_str(model)};
            struct h2_request q = {
                .key = which + 1,
                .fields = mine,
                .field_count = FIELDS + 1,
                .last = {SPAN_LIT("x-request-id"), span_str(id)},
            };
            bool all;
            buf_reset(&want);
            buf_reset(&s.story);
            for (size_t k = 0; k < FIELDS + 1; k++)
                buf_fmt(&want, "%u %.*s: %.*s\n", h.next_id, SPAN_ARG(mine[k].name),
                        SPAN_ARG(mine[k].value));
            buf_fmt(&want, "%u x-request-id: %s\n%u end\n", h.next_id, id, h.next_id);
            uint32_t slot = open_one(&h, &q, number(0));
            h2_client_data(&h, slot, SPAN_LIT("m"), true, &all);
            settle(&h, &s, &story);
            check_str(buf_text(&s.story), buf_text(&want));
            if (i % 50 == 49) {
                setting.value = (uint32_t)rng_below(&g, 5000);
                nghttp2_submit_settings(s.session, NGHTTP2_FLAG_NONE, &setting, 1);
            }
        }
        check_int(h.live, ==, 0);
        buf_done(&want);
        buf_done(&story);
        h2_client_done(&h);
        server_done(&s);
    }
}

static void a_long_head_goes_on_in_continuations(void **state)
{
    (void)state;
    struct server s;
    struct h2_client h = {0};
    struct buf story = {0};
    char *value = calloc(1, 40001);
    check_true(value != NULL);
    memset(value, 'v', 40000);
    server_init(&s, NULL, 0);
    init(&h, 8);
    struct h2_request q = request_of(0, value);
    uint32_t slot = open_one(&h, &q, number(0));
    size_t at = sizeof H2_PREFACE - 1;
    int pieces = 0;
    for (; at < h.out.n; at += 9 + (size_t)(h.out.p[at + 1] << 8 | h.out.p[at + 2]))
        pieces += h.out.p[at + 3] == H2_HEADERS || h.out.p[at + 3] == H2_CONTINUATION;
    check_int(at, ==, h.out.n);
    check_int(pieces, ==, 3);
    bool all;
    h2_client_data(&h, slot, (struct span){0}, true, &all);
    check_true(all);
    settle(&h, &s, &story);
    check_str_has(buf_text(&s.story), "x-request-id: vvvv");
    check_int(s.story.n, >, 40000);
    check_str_has(buf_text(&story), "ends");
    free(value);
    buf_done(&story);
    h2_client_done(&h);
    server_done(&s);
}

/* nghttp2 complains when a window is overrun; the bodies must come whole. */
static void bodies_keep_to_the_peers_windows(void **state)
{
    (void)state;
    nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1000},
                                         {NGHTTP2_SETTINGS_MAX_FRAME_SIZE, 20000}};
    struct server s;
    struct h2_client h = {0};
    struct buf story = {0};
    static uint8_t body[300000];
    size_t at[3] = {0};
    uint32_t slot[3];
    bool all[3] = {0};
    server_init(&s, settings, 2);
    init(&h, 8);
    settle(&h, &s, &story);
    struct h2_request q = request_of(1, NULL);
    for (uint32_t i = 0; i < 3; i++)
        slot[i] = open_one(&h, &q, number(i));
    for (int round = 0; !(all[0] && all[1] && all[2]); round++) {
        check_int(round, <, 5000);
        for (int i = 0; i < 3; i++)
            if (!all[i])
                at[i] += h2_client_data(&h, slot[i],
                                        span_of(body + at[i], sizeof body - at[i]),
                                        true, &all[i]);
        if (round == 3 || round == 6) { /* shrinks to below nothing, and grows again */
            settings[0].value = round == 3 ? 0 : 50000;
            nghttp2_submit_settings(s.session, NGHTTP2_FLAG_NONE, settings, 1);
        }
        settle(&h, &s, &story);
    }
    check_int(s.bodies.n, ==, 3 * sizeof body);
    check_int(h.live, ==, 0);
    buf_done(&story);
    h2_client_done(&h);
    server_done(&s);
}

static void a_window_that_shrank_is_negative_and_sends_nothing(void **state)
{
    (void)state;
    struct h2_client h;
    struct buf in = {0}, story = {0};
    struct err e = {0};
    bool all;
    established(&h, 0);
    struct h2_request q = request_of(1, NULL);
    uint32_t slot = open_one(&h, &q, number(0));
    static uint8_t body[70000];
    check_int(h2_client_data(&h, slot, span_of(body, 60000), false, &all), ==, 60000);
    check_true(all);
    h2_frame(&in, H2_SETTINGS, 0, 0, SPAN_LIT("\0\x04\0\0\x03\xe8")); /* 1000 */
    h2_frame(&in, H2_WINDOW_UPDATE, 0, 1, SPAN_LIT("\0\0\xe7\x90"));  /* 59280 */
    check_ok(feed(&h, buf_view(&in), 5, &story, &e), &e);
    check_int(h.streams[slot].send_window, ==, 1000 - 60000 + 59280);
    check_int(h2_client_data(&h, slot, span_of(body, 500), true, &all), ==, 280);
    check_true(!all);
    check_int(h2_client_data(&h, slot, span_of(body, 220), true, &all), ==, 0);
    buf_done(&in);
    buf_done(&story);
    h2_client_done(&h);
}

static void the_end_of_a_body_needs_no_window(void **state)
{
    (void)state;
    struct h2_client h;
    bool all;
    established(&h, 0);
    struct h2_request q = request_of(1, NULL);
    uint32_t slot = open_one(&h, &q, number(0));
    h.streams[slot].send_window = -5;
    check_int(h2_client_data(&h, slot, (struct span){0}, false, &all), ==, 0);
    check_true(all);
    check_int(h2_client_data(&h, slot, (struct span){0}, true, &all), ==, 0);
    check_true(all && h.streams[slot].sent_all);
    h2_client_done(&h);
}

static void the_peers_limit_of_streams_is_room(void **state)
{
    (void)state;
    struct h2_client h;
    struct buf in = {0}, story = {0};
    struct err e = {0};
    memset(&h, 0, sizeof h);
    init(&h, 500);
    check_int(h2_client_room(&h), ==, H2_STREAMS_UNTOLD);
    h2_frame(&in, H2_SETTINGS, 0, 0, (struct span){0});
    check_ok(feed(&h, buf_view(&in), 100, &story, &e), &e);
    check_int(h2_client_room(&h), ==, 500);
    for (uint32_t i = 0; i < 40; i++)
        call(&h, 1, "x", number(i));
    check_int(h2_client_room(&h), ==, 460);
    buf_reset(&in);
    h2_frame(&in, H2_SETTINGS, 0, 0, SPAN_LIT("\0\x03\0\0\0\x1e")); /* 30 */
    h2_frame(&in, H2_RST_STREAM, 0, 1, SPAN_LIT("\0\0\0\x02"));
    check_ok(feed(&h, buf_view(&in), 100, &story, &e), &e);
    check_int(h2_client_room(&h), ==, 0);
    check_str(buf_text(&story), "settings\nsettings\n1 reset 2\n");
    buf_done(&in);
    buf_done(&story);
    h2_client_done(&h);
}

static void streams_end_with_their_numbers(void **state)
{
    (void)state;
    struct h2_client h;
    established(&h, 0);
    h.next_id = H2_ID_MAX - 2;
    call(&h, 1, "x", number(0));
    check_true(!h2_client_ended(&h));
    call(&h, 1, "x", number(1));
    check_true(h2_client_ended(&h));
    check_int(h2_client_room(&h), ==, 0);
    check_int(h.live, ==, 2);
    h2_client_done(&h);
}

static void a_cancelled_stream_is_reset_and_its_slot_is_free(void **state)
{
    (void)state;
    struct server s;
    struct h2_client h = {0};
    struct buf story = {0};
    server_init(&s, NULL, 0);
    s.silent = true;
    init(&h, 8);
    settle(&h, &s, &story);
    uint32_t slot = call(&h, 1, "x", number(0));
    settle(&h, &s, &story);
    h2_client_cancel(&h, slot, H2_CANCEL);
    settle(&h, &s, &story);
    check_str_has(buf_text(&s.story), "1 reset 8\n");
    check_int(h.live, ==, 0);
    check_int(call(&h, 1, "x", number(1)), ==, slot);
    buf_done(&story);
    h2_client_done(&h);
    server_done(&s);
}

static void a_connection_begins_anew_in_the_same_memory(void **state)
{
    (void)state;
    struct h2_client h;
    memset(&h, 0, sizeof h);
    for (int round = 0; round < 3; round++) {
        struct server s;
        struct buf story = {0};
        server_init(&s, NULL, 0);
        init(&h, 40);
        settle(&h, &s, &story);
        for (uint32_t i = 0; i < 40; i++)
            call(&h, 1 + i % 3, "hello", number(i));
        if (round < 2) {
            settle(&h, &s, &story);
            check_int(h.live, ==, 0);
        } /* the last one ends with all streams open */
        buf_done(&story);
        server_done(&s);
    }
    check_int(h.live, ==, 40);
    h2_client_done(&h);
}

/* --- what we read ----------------------------------------------------------------- */

static void answers_read_the_same_however_they_are_cut(void **state)
{
    (void)state;
    struct server s;
    struct h2_client h = {0};
    struct buf story = {0}, in = {0}, whole = {0};
    struct err e = {0};
    server_init(&s, NULL, 0);
    s.answer_bytes = 20000;
    init(&h, 40);
    for (uint32_t i = 0; i < 40; i++)
        call(&h, 1, "hello", number(i));
    to_server(&s, &h);
    from_server(&s, &in);
    check_int(in.n, >, 65535);
    struct h2_client h2 = {0};
    for (size_t step = 1; step < in.n; step = step * 3 + 1) {
        init(&h2, 40);
        buf_reset(&story);
        for (uint32_t i = 0; i < 40; i++)
            call(&h2, 1, "hello", number(i));
        check_ok(feed(&h2, buf_view(&in), step, &story, &e), &e);
        if (step == 1)
            buf_span(&whole, buf_view(&story));
        check_true(span_eq(buf_view(&whole), buf_view(&story)));
    }
    h2_client_done(&h2);
    buf_done(&whole);
    buf_done(&story);
    buf_done(&in);
    h2_client_done(&h);
    server_done(&s);
}

/* The server stops when a window is used up: then this would hang. */
static void our_windows_are_opened_again(void **state)
{
    (void)state;
    struct server s;
    struct h2_client h = {0};
    struct buf story = {0};
    server_init(&s, NULL, 0);
    s.answer_bytes = 3 * (size_t)H2_WINDOW;
    init(&h, 8);
    for (uint32_t i = 0; i < 2; i++)
        call(&h, 1, "x", number(i));
    settle(&h, &s, &story);
    check_str_has(buf_text(&story), "1 trailers0 grpc-status=0 ends after");
    check_str_has(buf_text(&story), "2 trailers0 grpc-status=0 ends after");
    check_int(h.live, ==, 0);
    buf_done(&story);
    h2_client_done(&h);
    server_done(&s);
}

static void a_block_that_was_seen_means_what_the_table_says_now(void **state)
{
    (void)state;
    struct buf in = {0}, b = {0};
    /* Inserts a: 1, refers to it twice, inserts a: 2, refers by the same byte. */
    h2_indexed(&b, 8);
    h2_literal(&b, H2_INSERT, 0, "a", "1");
    h2_frame(&in, H2_HEADERS, H2_END_HEADERS, 1, buf_view(&b));
    buf_reset(&b);
    h2_indexed(&b, 8);
    h2_indexed(&b, 62);
    h2_frame(&in, H2_HEADERS, H2_END_HEADERS, 3, buf_view(&b));
    buf_reset(&b);
    h2_indexed(&b, 62);
    h2_frame(&in, H2_HEADERS, H2_END_HEADERS | H2_END_STREAM, 1, buf_view(&b));
    buf_reset(&b);
    h2_indexed(&b, 62);
    h2_literal(&b, H2_INSERT, 0, "a", "2");
    h2_indexed(&b, 62);
    h2_frame(&in, H2_HEADERS, H2_END_HEADERS | H2_END_STREAM, 3, buf_view(&b));
    brings(&in, "1 head200 :status=200 a=1\n2 head200 :status=200 a=1\n"
                "1 trailers0 a=1 ends after 0\n2 trailers0 a=1 a=2 a=2 ends after 0\n");
    buf_done(&in);
    buf_done(&b);
}

static void one_byte_means_another_field_once_the_table_moved(void **state)
{
    (void)state;
    struct h2_heads h = {0};
    const struct h2_head *head;
    struct buf a = {0}, b = {0}, c = {0};
    struct err e = {0};
    h2_heads_init(&h);
    h2_literal(&a, H2_INSERT, 0, "a", "1");
    h2_indexed(&b, 62);
    h2_literal(&c, H2_INSERT, 0, "b", "2");
    check_ok(h2_heads_read(&h, buf_view(&a), &head, &e), &e);
    for (int i = 0; i < 3; i++) {
        check_ok(h2_heads_read(&h, buf_view(&b), &head, &e), &e);
        check_span(head->fields[0].name, "a");
    }
    check_ok(h2_heads_read(&h, buf_view(&c), &head, &e), &e);
    for (int i = 0; i < 3; i++) {
        check_ok(h2_heads_read(&h, buf_view(&b), &head, &e), &e);
        check_span(head->fields[0].name, "b");
        check_span(head->fields[0].value, "2");
    }
    buf_done(&a);
    buf_done(&b);
    buf_done(&c);
    h2_heads_done(&h);
}

static void padding_priority_and_continuations_are_read_through(void **state)
{
    (void)state;
    struct buf in = {0}, b = {0};
    h2_padded(&in, H2_HEADERS, H2_END_HEADERS, 1, head_200(&b), 7);
    h2_padded(&in, H2_DATA, 0, 1, SPAN_LIT("hello"), 200);
    h2_padded(&in, H2_DATA, 0, 1, (struct span){0}, 3);
    h2_frame(&in, H2_PRIORITY, 0, 1, SPAN_LIT("\0\0\0\0\x10"));
    h2_padded(&in, H2_DATA, H2_END_STREAM, 1, SPAN_LIT("!"), 0);
    buf_reset(&b);
    buf_add(&b, "\0\0\0\0\x10", 5);
    h2_indexed(&b, 8);
    h2_frame(&in, H2_HEADERS, H2_PRIO, 3, buf_view(&b));
    buf_reset(&b);
    h2_literal(&b, H2_PLAIN, 0, "name", "value");
    h2_frame(&in, H2_CONTINUATION, 0, 3, span_sub(buf_view(&b), 0, 3));
    h2_frame(&in, H2_CONTINUATION, 0, 3, (struct span){0});
    h2_frame(&in, H2_CONTINUATION, H2_END_HEADERS, 3, span_sub(buf_view(&b), 3, b.n));
    h2_frame(&in, H2_DATA, H2_END_STREAM, 3, (struct span){0});
    brings(&in, "1 head200 :status=200\n1 body ends after 6\n"
                "2 head200 :status=200 name=value\n2 body ends after 0\n");
    buf_done(&in);
    buf_done(&b);
}

static void what_is_unknown_or_late_is_ignored(void **state)
{
    (void)state;
    struct buf in = {0}, b = {0};
    h2_frame(&in, 77, 0xff, 12345, SPAN_LIT("what is this"));
    h2_frame(&in, H2_SETTINGS, 0, 0, SPAN_LIT("\0\x77\1\2\3\4"));
    h2_frame(&in, H2_PING, H2_ACK, 0, SPAN_LIT("12345678"));
    h2_frame(&in, H2_RST_STREAM, 0, 1, SPAN_LIT("\0\0\0\x05"));
    /* Of the stream that is closed by now: */
    h2_frame(&in, H2_HEADERS, H2_END_HEADERS, 1, head_200(&b));
    h2_frame(&in, H2_DATA, 0, 1, SPAN_LIT("late"));
    h2_frame(&in, H2_WINDOW_UPDATE, 0, 1, SPAN_LIT("\0\0\0\0"));
    h2_frame(&in, H2_RST_STREAM, 0, 1, SPAN_LIT("\0\0\0\x05"));
    h2_frame(&in, H2_HEADERS, H2_END_HEADERS | H2_END_STREAM, 3, head_200(&b));
    brings(&in, "settings\n1 reset 5\n2 head200 :status=200 ends after 0\n");
    buf_done(&in);
    buf_done(&b);
}

static void interim_answers_are_skipped(void **state)
{
    (void)state;
    struct buf in = {0}, b = {0};
    h2_literal(&b, H2_PLAIN, 8, "", "103");
    h2_literal(&b, H2_PLAIN, 0, "link", "x");
    h2_frame(&in, H2_HEADERS, H2_END_HEADERS, 1, buf_view(&b));
    h2_frame(&in, H2_HEADERS, H2_END_HEADERS, 1, head_200(&b));
    buf_reset(&b);
    h2_literal(&b, H2_PLAIN, 0, "grpc-status", "0");
    h2_frame(&in, H2_HEADERS, H2_END_HEADERS | H2_END_STREAM, 1, buf_view(&b));
    brings(&in, "1 head200 :status=200\n1 trailers0 grpc-status=0 ends after 0\n");
    buf_done(&in);
    buf_done(&b);
}

static void a_goaway_disowns_the_streams_above_its_last(void **state)
{
    (void)state;
    struct buf in = {0}, b = {0};
    h2_frame(&in, H2_GOAWAY, 0, 0, SPAN_LIT("\x7f\xff\xff\xff\0\0\0\0soon"));
    h2_frame(&in, H2_GOAWAY, 0, 0, SPAN_LIT("\0\0\0\x01\0\0\0\x0b"));
    h2_frame(&in, H2_HEADERS, H2_END_HEADERS | H2_END_STREAM, 1, head_200(&b));
    brings(&in, "goaway 2147483647 code 0\ngoaway 1 code 11\n2 reset 7\n"
                "1 head200 :status=200 ends after 0\n");
    buf_done(&in);
    buf_done(&b);
}

static void an_answer_before_the_end_of_its_request_resets_the_stream(void **state)
{
    (void)state;
    struct h2_client h;
    struct buf in = {0}, b = {0}, story = {0};
    struct err e = {0};
    established(&h, 0);
    struct h2_request q = request_of(1, NULL);
    (void)open_one(&h, &q, number(0));
    buf_reset(&h.out);
    h2_frame(&in, H2_HEADERS, H2_END_HEADERS | H2_END_STREAM, 1, head_200(&b));
    check_ok(feed(&h, buf_view(&in), 100, &story, &e), &e);
    check_str(buf_text(&story), "1 head200 :status=200 ends after 0\n");
    check_int(h.out.n, ==, 13);
    check_int(h.out.p[3], ==, H2_RST_STREAM);
    check_int(h.out.p[12], ==, H2_CANCEL);
    check_int(h.live, ==, 0);
    buf_done(&in);
    buf_done(&b);
    buf_done(&story);
    h2_client_done(&h);
}

static void a_ping_is_answered_and_settings_are_acknowledged(void **state)
{
    (void)state;
    struct h2_client h;
    struct buf in = {0}, want = {0}, story = {0};
    struct err e = {0};
    established(&h, 0);
    h2_frame(&in, H2_PING, 0, 0, SPAN_LIT("12345678"));
    h2_frame(&in, H2_SETTINGS, 0, 0, (struct span){0});
    h2_frame(&want, H2_PING, H2_ACK, 0, SPAN_LIT("12345678"));
    h2_frame(&want, H2_SETTINGS, H2_ACK, 0, (struct span){0});
    check_ok(feed(&h, buf_view(&in), 1, &story, &e), &e);
    check_true(span_eq(buf_view(&h.out), buf_view(&want)));
    buf_done(&in);
    buf_done(&want);
    buf_done(&story);
    h2_client_done(&h);
}

static void a_frame_began_when_its_first_byte_came(void **state)
{
    (void)state;
    struct h2_client h;
    struct buf in = {0}, b = {0};
    established(&h, 1);
    h2_frame(&in, H2_HEADERS, H2_END_HEADERS, 1, head_200(&b));
    for (size_t i = 0; i < in.n; i++) {
        struct span piece = span_of(in.p + i, 1);
        struct h2_event ev;
        int rc = h2_client_next(&h, &piece, 100 + (int64_t)i, &ev, NULL);
        check_int(rc, ==, i + 1 == in.n);
        if (rc == 1)
            check_int(ev.began, ==, 100);
    }
    buf_done(&in);
    buf_done(&b);
    h2_client_done(&h);
}

/* --- what breaks a stream --------------------------------------------------------- */

static void malformed_heads_break_their_stream_alone(void **state)
{
    static const struct {
        const char *name, *value;
    } cases[] = {
        {":status", "200"},
        {":path", "/"},
        {"Upper", "x"},
        {"a b", "x"},
        {"", "x"},
        {"connection", "close"},
        {"transfer-encoding", "x"},
        {"v", "a\nb"},
        {"content-length", "seven"},
        {"content-length", "99999999999999999999"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf in = {0}, b = {0};
        h2_indexed(&b, 8);
        h2_literal(&b, H2_PLAIN, 31, "", "x");
        h2_literal(&b, H2_PLAIN, 0, cases[i].name, cases[i].value);
        h2_frame(&in, H2_HEADERS, H2_END_HEADERS, 1, buf_view(&b));
        h2_frame(&in, H2_HEADERS, H2_END_HEADERS | H2_END_STREAM, 3, head_200(&b));
        brings(&in, "1 reset 1 by us\n2 head200 :status=200 ends after 0\n");
        buf_done(&in);
        buf_done(&b);
    }
}

static void statuses_that_are_none_break_their_stream(void **state)
{
    static const char *const values[] = {"", "20", "2000", "abc", "099", "101"};
    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        struct buf in = {0}, b = {0};
        h2_literal(&b, H2_PLAIN, 8, "", values[i]);
        h2_frame(&in, H2_HEADERS, H2_END_HEADERS, 1, buf_view(&b));
        brings(&in, "1 reset 1 by us\n");
        buf_done(&in);
        buf_done(&b);
    }
}

static void answers_out_of_order_break_their_stream(void **state)
{
    (void)state;
    struct buf in = {0}, b = {0};
    h2_frame(&in, H2_DATA, 0, 1, SPAN_LIT("before any head"));
    h2_frame(&in, H2_HEADERS, H2_END_HEADERS, 3, head_200(&b));
    h2_frame(&in, H2_HEADERS, H2_END_HEADERS | H2_END_STREAM, 3, head_200(&b));
    brings(&in, "1 reset 1 by us\n2 head200 :status=200\n2 reset 1 by us\n");
    buf_reset(&in);
    /* Trailers that do not end; an interim answer that does; no status at all. */
    h2_frame(&in, H2_HEADERS, H2_END_HEADERS, 1, head_200(&b));
    buf_reset(&b);
    h2_literal(&b, H2_PLAIN, 0, "grpc-status", "0");
    h2_frame(&in, H2_HEADERS, H2_END_HEADERS, 1, buf_view(&b));
    h2_frame(&in, H2_HEADERS, H2_END_HEADERS, 3, buf_view(&b));
    brings(&in, "1 head200 :status=200\n1 reset 1 by us\n2 reset 1 by us\n");
    buf_reset(&in);
    buf_reset(&b);
    h2_literal(&b, H2_PLAIN, 8, "", "100");
    h2_frame(&in, H2_HEADERS, H2_END_HEADERS | H2_END_STREAM, 1, buf_view(&b));
    h2_frame(&in, H2_HEADERS, H2_END_HEADERS, 3, (struct span){0});
    brings(&in, "1 reset 1 by us\n2 reset 1 by us\n");
    buf_done(&in);
    buf_done(&b);
}

static void a_body_is_as_long_as_its_head_says(void **state)
{
    (void)state;
    struct buf in = {0}, b = {0};
    for (uint32_t id = 1; id <= 3; id += 2) {
        buf_reset(&b);
        h2_indexed(&b, 8);
        h2_literal(&b, H2_PLAIN, 28, "", "4");
        h2_frame(&in, H2_HEADERS, H2_END_HEADERS, id, buf_view(&b));
    }
    h2_frame(&in, H2_DATA, 0, 1, SPAN_LIT("12345"));
    h2_frame(&in, H2_DATA, H2_END_STREAM, 3, SPAN_LIT("123"));
    brings(&in, "1 head200 :status=200 content-length=4\n"
                "2 head200 :status=200 content-length=4\n"
                "1 reset 1 by us\n2 reset 1 by us\n");
    buf_reset(&in);
    buf_reset(&b);
    h2_indexed(&b, 8);
    h2_literal(&b, H2_PLAIN, 28, "", "4");
    h2_frame(&in, H2_HEADERS, H2_END_HEADERS | H2_END_STREAM, 1, buf_view(&b));
    h2_frame(&in, H2_HEADERS, H2_END_HEADERS, 3, buf_view(&b));
    h2_frame(&in, H2_DATA, 0, 3, SPAN_LIT("12"));
    h2_frame(&in, H2_DATA, H2_END_STREAM, 3, SPAN_LIT("34"));
    brings(&in, "1 reset 1 by us\n2 head200 :status=200 content-length=4\n"
                "2 body ends after 4\n");
    buf_done(&in);
    buf_done(&b);
}

static void windows_of_a_stream_have_their_rules(void **state)
{
    (void)state;
    struct buf in = {0};
    h2_frame(&in, H2_WINDOW_UPDATE, 0, 1, SPAN_LIT("\0\0\0\0"));
    h2_frame(&in, H2_WINDOW_UPDATE, 0, 3, SPAN_LIT("\x7f\xff\xff\xff"));
    brings(&in, "1 reset 1 by us\n2 reset 3 by us\n");
    buf_done(&in);
}

static void a_list_of_too_many_fields_breaks_its_stream(void **state)
{
    (void)state;
    struct buf in = {0}, b = {0};
    /* Each of the last ones counts for 600 bytes, and takes one. */
    char value[600];
    memset(value, 'x', sizeof value);
    value[567] = 0;
    h2_indexed(&b, 8);
    h2_literal(&b, H2_INSERT, 0, "a", value);
    for (int i = 0; i < 200; i++)
        h2_indexed(&b, 62);
    h2_frame(&in, H2_HEADERS, H2_END_HEADERS, 1, buf_view(&b));
    /* The table is still right. */
    buf_reset(&b);
    h2_indexed(&b, 8);
    h2_literal(&b, H2_INSERT, 0, "b", "2");
    h2_indexed(&b, 62);
    h2_frame(&in, H2_HEADERS, H2_END_HEADERS | H2_END_STREAM, 3, buf_view(&b));
    brings(&in, "1 reset 1 by us\n2 head200 :status=200 b=2 b=2 ends after 0\n");
    buf_done(&in);
    buf_done(&b);
}

/* --- what breaks the connection --------------------------------------------------- */

static void frames_that_break_the_connection(void **state)
{
    static const struct {
        unsigned type, flags;
        uint32_t stream;
        const char *payload;
        size_t n;
        enum h2_code code;
        const char *why;
    } cases[] = {
        {H2_DATA, 0, 0, "x", 1, H2_PROTOCOL_ERROR, "wrong kind of stream"},
        {H2_DATA, 0, 5, "x", 1, H2_PROTOCOL_ERROR, "DATA of a stream that is idle"},
        {H2_DATA, 0, 2, "x", 1, H2_PROTOCOL_ERROR, "DATA of a stream that is idle"},
        {H2_DATA, H2_PADDED, 1, "", 0, H2_FRAME_SIZE_ERROR, "without its padding"},
        {H2_DATA, H2_PADDED, 1, "\x05xxxx", 5, H2_PROTOCOL_ERROR, "padding longer"},
        {H2_HEADERS, 4, 5, "\x88", 1, H2_PROTOCOL_ERROR, "HEADERS of a stream"},
        {H2_HEADERS, 4 | H2_PADDED, 1, "", 0, H2_FRAME_SIZE_ERROR, "its padding"},
        {H2_HEADERS, 4 | H2_PADDED, 1, "\x02x", 2, H2_PROTOCOL_ERROR, "padding longer"},
        {H2_HEADERS, 4 | H2_PRIO, 1, "xxx", 3, H2_FRAME_SIZE_ERROR, "its priority"},
        {H2_HEADERS, 4, 1, "\xff\x80", 2, H2_COMPRESSION_ERROR, "inside an integer"},
        {H2_HEADERS, 4, 1, "\xc0", 1, H2_COMPRESSION_ERROR, "points at nothing"},
        {H2_HEADERS, 4, 1, "\x3f\xe2\x1f", 3, H2_COMPRESSION_ERROR, "table of 4097"},
        {H2_CONTINUATION, 4, 1, "\x88", 1, H2_PROTOCOL_ERROR, "not in a row"},
        {H2_PRIORITY, 0, 1, "xxxx", 4, H2_FRAME_SIZE_ERROR, "PRIORITY"},
        {H2_RST_STREAM, 0, 1, "xxx", 3, H2_FRAME_SIZE_ERROR, "RST_STREAM"},
        {H2_RST_STREAM, 0, 7, "xxxx", 4, H2_PROTOCOL_ERROR, "idle"},
        {H2_SETTINGS, 0, 1, "", 0, H2_PROTOCOL_ERROR, "wrong kind of stream"},
        {H2_SETTINGS, 0, 0, "xxxxx", 5, H2_FRAME_SIZE_ERROR, "odd size"},
        {H2_SETTINGS, H2_ACK, 0, "xxxxxx", 6, H2_FRAME_SIZE_ERROR, "ACK"},
        {H2_SETTINGS, 0, 0, "\0\2\0\0\0\1", 6, H2_PROTOCOL_ERROR, "push"},
        {H2_SETTINGS, 0, 0, "\0\4\x80\0\0\0", 6, H2_FLOW_CONTROL_ERROR, "window"},
        {H2_SETTINGS, 0, 0, "\0\5\0\0\x3f\xff", 6, H2_PROTOCOL_ERROR, "frame size"},
        {H2_SETTINGS, 0, 0, "\0\5\x01\0\0\0", 6, H2_PROTOCOL_ERROR, "frame size"},
        {H2_PUSH_PROMISE, 4, 1, "\0\0\0\2\x88", 5, H2_PROTOCOL_ERROR, "a push"},
        {H2_PING, 0, 0, "1234567", 7, H2_FRAME_SIZE_ERROR, "PING"},
        {H2_PING, 0, 1, "12345678", 8, H2_PROTOCOL_ERROR, "wrong kind of stream"},
        {H2_GOAWAY, 0, 0, "1234567", 7, H2_FRAME_SIZE_ERROR, "GOAWAY"},
        {H2_WINDOW_UPDATE, 0, 0, "\0\0\0\0", 4, H2_PROTOCOL_ERROR, "by nothing"},
        {H2_WINDOW_UPDATE, 0, 0, "\x7f\xff\xff\xff", 4, H2_FLOW_CONTROL_ERROR, "2^31"},
        {H2_WINDOW_UPDATE, 0, 9, "\0\0\0\1", 4, H2_PROTOCOL_ERROR, "idle"},
        {H2_WINDOW_UPDATE, 0, 0, "\0\0\0", 3, H2_FRAME_SIZE_ERROR, "odd size"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf in = {0};
        h2_frame(&in, cases[i].type, cases[i].flags, cases[i].stream,
                 span_of(cases[i].payload, cases[i].n));
        breaks(&in, cases[i].code, cases[i].why);
        buf_done(&in);
    }
}

static void a_block_stands_in_a_row(void **state)
{
    (void)state;
    struct buf in = {0};
    h2_frame(&in, H2_HEADERS, 0, 1, SPAN_LIT("\x88"));
    h2_frame(&in, H2_PING, 0, 0, SPAN_LIT("12345678"));
    breaks(&in, H2_PROTOCOL_ERROR, "not in a row");
    buf_reset(&in);
    h2_frame(&in, H2_HEADERS, 0, 1, SPAN_LIT("\x88"));
    h2_frame(&in, H2_CONTINUATION, H2_END_HEADERS, 3, (struct span){0});
    breaks(&in, H2_PROTOCOL_ERROR, "not in a row");
    buf_done(&in);
}

static void a_peer_begins_with_its_settings(void **state)
{
    (void)state;
    static const char *const texts[] = {"HTTP/1.1 400 Bad Request\r\n\r\n",
                                        "\0\0\x08\6\0\0\0\0\0ping-me!",
                                        "\0\0\0\4\1\0\0\0\0"};
    static const size_t sizes[] = {28, 17, 9};
    for (size_t i = 0; i < 3; i++) {
        struct h2_client h = {0};
        struct buf story = {0};
        struct err e = {0};
        init(&h, 4);
        check_int(feed(&h, span_of(texts[i], sizes[i]), 3, &story, &e), ==, ERR_PEER);
        check_str_has(e.text, i == 0 ? "16,384" : "SETTINGS");
        buf_done(&story);
        h2_client_done(&h);
    }
}

static void a_window_that_grows_with_its_setting_has_an_end(void **state)
{
    (void)state;
    struct buf in = {0};
    h2_frame(&in, H2_WINDOW_UPDATE, 0, 1, SPAN_LIT("\x7f\xff\0\0"));
    h2_frame(&in, H2_SETTINGS, 0, 0, SPAN_LIT("\0\4\x7f\xff\xff\xff"));
    breaks(&in, H2_FLOW_CONTROL_ERROR, "beyond");
    buf_done(&in);
}

static void our_window_is_not_overrun(void **state)
{
    (void)state;
    struct h2_client h;
    struct buf in = {0}, b = {0}, story = {0};
    struct err e = {0};
    static const uint8_t body[16384];
    established(&h, 2);
    /* Nobody would open it again for a peer that does not wait; so shrink it. */
    h.streams[0].recv_window = 16000;
    h2_frame(&in, H2_HEADERS, H2_END_HEADERS, 1, head_200(&b));
    h2_frame(&in, H2_DATA, 0, 1, span_of(body, sizeof body));
    check_ok(feed(&h, buf_view(&in), 1000, &story, &e), &e);
    check_str(buf_text(&story), "1 head200 :status=200\n1 reset 3 by us\n");
    h.recv_window = 16000;
    check_int(feed(&h, buf_view(&in), 1000, &story, &e), ==, ERR_PEER);
    check_str_has(e.text, "beyond our window");
    buf_done(&in);
    buf_done(&b);
    buf_done(&story);
    h2_client_done(&h);
}

/* Feeds the same frame until the connection breaks; after how many. */
static int64_t flood(const struct buf *before, const struct buf *frame, int64_t most)
{
    struct h2_client h;
    struct buf story = {0};
    struct err e = {0};
    int64_t n = 0;
    established(&h, 2);
    check_ok(feed(&h, buf_view(before), 1000, &story, &e), &e);
    while (n < most && feed(&h, buf_view(frame), frame->n, &story, &e) == 0)
        n++;
    if (n < most)
        check_int(h.out.p[h.out.n - 1], ==, H2_ENHANCE_YOUR_CALM);
    buf_done(&story);
    h2_client_done(&h);
    return n;
}

static void floods_come_to_an_end(void **state)
{
    (void)state;
    struct buf in = {0}, before = {0}, b = {0};
    h2_frame(&in, H2_PING, 0, 0, SPAN_LIT("12345678"));
    check_int(flood(&before, &in, 100000), <=, H2_OWED_MAX / 17 + 1);
    buf_reset(&in);
    h2_frame(&in, H2_SETTINGS, 0, 0, (struct span){0});
    check_int(flood(&before, &in, 100000), <=, H2_OWED_MAX / 9 + 1);
    buf_reset(&in);
    h2_frame(&in, H2_PRIORITY, 0, 1, SPAN_LIT("\0\0\0\0\x10"));
    check_int(flood(&before, &in, 100000), ==, H2_IDLE_FRAMES_MAX);
    buf_reset(&in);
    h2_frame(&before, H2_HEADERS, H2_END_HEADERS, 1, head_200(&b));
    h2_frame(&in, H2_DATA, 0, 1, (struct span){0});
    check_int(flood(&before, &in, 100000), ==, H2_IDLE_FRAMES_MAX);
    buf_reset(&before);
    buf_reset(&in);
    h2_frame(&before, H2_HEADERS, 0, 1, SPAN_LIT("\x88"));
    h2_frame(&in, H2_CONTINUATION, 0, 1, (struct span){0});
    check_int(flood(&before, &in, 100000), ==, H2_CONTINUATIONS_MAX);
    static const uint8_t zeros[16000];
    buf_reset(&in);
    h2_frame(&in, H2_CONTINUATION, 0, 1, span_of(zeros, sizeof zeros));
    check_int(flood(&before, &in, 100000), ==, H2_BLOCK_MAX / sizeof zeros);
    buf_done(&in);
    buf_done(&b);
    buf_done(&before);
}

static void pings_that_are_taken_in_between_are_no_flood(void **state)
{
    (void)state;
    struct h2_client h;
    struct buf in = {0}, story = {0}, out = {0};
    struct err e = {0};
    established(&h, 0);
    h2_frame(&in, H2_PING, 0, 0, SPAN_LIT("12345678"));
    for (int i = 0; i < 20000; i++) {
        check_ok(feed(&h, buf_view(&in), in.n, &story, &e), &e);
        buf_reset(&out);
        check_true(h2_client_take(&h, &out));
        check_int(out.n, ==, 17);
    }
    buf_done(&in);
    buf_done(&story);
    buf_done(&out);
    h2_client_done(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_reads_at_the_peer_as_it_was_written),
        cmocka_unit_test(recurring_fields_travel_as_indices),
        cmocka_unit_test(every_head_survives_a_table_of_any_size),
        cmocka_unit_test(a_long_head_goes_on_in_continuations),
        cmocka_unit_test(bodies_keep_to_the_peers_windows),
        cmocka_unit_test(a_window_that_shrank_is_negative_and_sends_nothing),
        cmocka_unit_test(the_end_of_a_body_needs_no_window),
        cmocka_unit_test(the_peers_limit_of_streams_is_room),
        cmocka_unit_test(streams_end_with_their_numbers),
        cmocka_unit_test(a_cancelled_stream_is_reset_and_its_slot_is_free),
        cmocka_unit_test(a_connection_begins_anew_in_the_same_memory),
        cmocka_unit_test(answers_read_the_same_however_they_are_cut),
        cmocka_unit_test(our_windows_are_opened_again),
        cmocka_unit_test(a_block_that_was_seen_means_what_the_table_says_now),
        cmocka_unit_test(one_byte_means_another_field_once_the_table_moved),
        cmocka_unit_test(padding_priority_and_continuations_are_read_through),
        cmocka_unit_test(what_is_unknown_or_late_is_ignored),
        cmocka_unit_test(interim_answers_are_skipped),
        cmocka_unit_test(a_goaway_disowns_the_streams_above_its_last),
        cmocka_unit_test(an_answer_before_the_end_of_its_request_resets_the_stream),
        cmocka_unit_test(a_ping_is_answered_and_settings_are_acknowledged),
        cmocka_unit_test(a_frame_began_when_its_first_byte_came),
        cmocka_unit_test(malformed_heads_break_their_stream_alone),
        cmocka_unit_test(statuses_that_are_none_break_their_stream),
        cmocka_unit_test(answers_out_of_order_break_their_stream),
        cmocka_unit_test(a_body_is_as_long_as_its_head_says),
        cmocka_unit_test(windows_of_a_stream_have_their_rules),
        cmocka_unit_test(a_list_of_too_many_fields_breaks_its_stream),
        cmocka_unit_test(frames_that_break_the_connection),
        cmocka_unit_test(a_block_stands_in_a_row),
        cmocka_unit_test(a_peer_begins_with_its_settings),
        cmocka_unit_test(a_window_that_grows_with_its_setting_has_an_end),
        cmocka_unit_test(our_window_is_not_overrun),
        cmocka_unit_test(floods_come_to_an_end),
        cmocka_unit_test(pings_that_are_taken_in_between_are_no_flood),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

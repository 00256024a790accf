/*
 * fuzz_h2_client.c - what h2_client sends, a server of nghttp2 reads as it was meant;
 * what that server says, and any other bytes, come out as the same events however they
 * are cut, and never as more than the protocol allows.
 *
 * Input: an order byte each, with its arguments behind it, that moves a client and a
 * server side by side; or, with a first byte of 0xff, raw bytes of a peer.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "traces/wire/h2_client.h"

#define STREAMS 8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds)
{
    if (!holds)
        abort();
}

/* --- the client, and what it is told ---------------------------------------------- */

struct client {
    struct h2_client h;
    bool open[STREAMS]; /* by number, which is `user` - 1 */
    uint32_t slot[STREAMS];
    struct buf story;
};

static void take_event(struct client *c, const struct h2_event *ev)
{
    bool of_stream = ev->kind == H2_EVENT_HEADERS || ev->kind == H2_EVENT_DATA ||
                     ev->kind == H2_EVENT_RESET;
    size_t n = of_stream ? (size_t)(uintptr_t)ev->user - 1 : 0;
    demand(ev->kind != H2_EVENT_MORE);
    demand(!of_stream || (n < STREAMS && c->open[n]));
    if (of_stream && (ev->ends || ev->kind == H2_EVENT_RESET))
        c->open[n] = false;
    if (ev->kind != H2_EVENT_DATA || ev->ends)
        buf_fmt(&c->story, "%u %zu %u %u %u %d%d%d\n", ev->kind, n, ev->status,
                ev->code, ev->last_id, ev->ends, ev->trailers, ev->ours);
    for (size_t i = 0; i < ev->field_count; i++)
        buf_fmt(&c->story, "%.*s: %.*s\n", SPAN_ARG(ev->fields[i].name),
                SPAN_ARG(ev->fields[i].value));
}

/* Negative: the connection is broken. */
static int feed(struct client *c, struct span in, size_t step)
{
    for (size_t at = 0; at < in.n; at += step) {
        size_t n = in.n - at < step ? in.n - at : step;
        uint8_t *exact = malloc(n);
        demand(exact != NULL);
        memcpy(exact, in.p + at, n);
        struct span piece = span_of(exact, n);
        struct h2_event ev;
        int rc;
        while ((rc = h2_client_next(&c->h, &piece, 0, &ev, NULL)) > 0)
            take_event(c, &ev);
        free(exact);
        demand(rc < 0 || piece.n == 0);
        size_t open = 0;
        for (size_t i = 0; i < STREAMS; i++)
            open += c->open[i];
        demand(open == c->h.live);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static void open_stream(struct client *c, size_t i, const struct h2_request *q)
{
    demand(h2_client_open(&c->h, q, (void *)(uintptr_t)(i + 1), &c->slot[i], NULL) ==
           0);
    c->open[i] = true;
}

static void client_init(struct client *c)
{
    memset(c, 0, sizeof *c);
    demand(h2_client_init(&c->h, STREAMS, NULL) == 0);
}

static void client_done(struct client *c)
{
    h2_client_done(&c->h);
    buf_done(&c->story);
}

/* --- any bytes -------------------------------------------------------------------- */

static int raw(struct span in, size_t step, struct buf *story)
{
    static const struct op_header head = {SPAN_LIT(":method"), SPAN_LIT("POST")};
    struct h2_request q = {.fields = &head, .field_count = 1};
    struct client c;
    bool all;
    client_init(&c);
    for (size_t i = 0; i < 4; i++)
        open_stream(&c, i, &q);
    for (size_t i = 0; i < 3; i++)
        h2_client_data(&c.h, c.slot[i], SPAN_LIT("x"), true, &all);
    int rc = feed(&c, in, step);
    /* Nothing it was made to answer is beyond the limit. */
    demand(c.h.out.n < 4096 + H2_OWED_MAX);
    buf_span(story, buf_view(&c.story));
    client_done(&c);
    return rc;
}

static void any_bytes(struct span in)
{
    struct buf whole = {0}, cut = {0};
    int a = raw(in, in.n + 1, &whole);
    int b = raw(in, 1 + in.n % 7, &cut);
    demand(a == b);
    demand(span_eq(buf_view(&whole), buf_view(&cut)));
    buf_done(&whole);
    buf_done(&cut);
}

/* --- side by side with nghttp2 ---------------------------------------------------- */

struct server {
    nghttp2_session *session;
    struct buf got;                 /* names and values as they came */
    struct buf want;                /* … as they were sent */
    uint64_t body_got, body_wanted; /* sums of bytes */
    uint32_t ids[STREAMS];
};

static int on_header(nghttp2_session *session, const nghttp2_frame *frame,
                     const uint8_t *name, size_t name_len, const uint8_t *value,
                     size_t value_len, uint8_t flags, void *user)
{
    struct server *s = user;
    (void)session;
    (void)frame;
    (void)flags;
    buf_fmt(&s->got, "%.*s: %.*s\n", (int)name_len, (const char *)name, (int)value_len,
            (const char *)value);
    return 0;
}

static int on_chunk(nghttp2_session *session, uint8_t flags, int32_t id,
                    const uint8_t *data, size_t n, void *user)
{
    struct server *s = user;
    (void)session;
    (void)flags;
    (void)id;
    for (size_t i = 0; i < n; i++)
        s->body_got += data[i];
    return 0;
}

static int on_invalid(nghttp2_session *session, const nghttp2_frame *frame, int code,
                      void *user)
{
    (void)session;
    (void)frame;
    (void)code;
    (void)user;
    abort();
}

static void server_init(struct server *s)
{
    nghttp2_session_callbacks *b;
    nghttp2_option *options;
    memset(s, 0, sizeof *s);
    demand(nghttp2_session_callbacks_new(&b) == 0);
    demand(nghttp2_option_new(&options) == 0);
    /* Made-up fields are not HTTP. */
    nghttp2_option_set_no_http_messaging(options, 1);
    nghttp2_session_callbacks_set_on_header_callback(b, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(b, on_chunk);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(b, on_invalid);
    demand(nghttp2_session_server_new2(&s->session, b, s, options) == 0);
    nghttp2_session_callbacks_del(b);
    nghttp2_option_del(options);
    demand(nghttp2_submit_settings(s->session, NGHTTP2_FLAG_NONE, NULL, 0) == 0);
}

static uint8_t take(struct span *in)
{
    uint8_t v = in->n ? in->p[0] : 0;
    *in = span_sub(*in, 1, in->n);
    return v;
}

/* A request of fields from the input; the same bytes give the same ones. */
static void request(struct client *c, struct server *s, size_t i, struct span *in)
{
    static uint8_t letters[256];
    struct op_header fields[4];
    struct h2_request q = {.fields = fields, .field_count = 1 + take(in) % 4};
    if (letters[0] == 0)
        for (size_t k = 0; k < sizeof letters; k++)
            letters[k] = (uint8_t)('a' + k % 26);
    uint64_t key = 1;
    for (uint32_t k = 0; k < q.field_count; k++) {
        uint8_t a = take(in), b = take(in);
        fields[k].name = span_of(letters + a % 26, 1 + a / 64u);
        fields[k].value = span_of(letters, b);
        key = key * 65536 + a * 256u + b;
    }
    uint8_t last = take(in);
    q.key = q.field_count > 3 ? 0 : (key * 4 + q.field_count) * 2 + (last > 0);
    if (last > 0)
        q.last = (struct op_header){SPAN_LIT("id"), span_of(letters, last)};
    for (uint32_t k = 0; k < q.field_count; k++)
        buf_fmt(&s->want, "%.*s: %.*s\n", SPAN_ARG(fields[k].name),
                SPAN_ARG(fields[k].value));
    if (last > 0)
        buf_fmt(&s->want, "id: %.*s\n", SPAN_ARG(q.last.value));
    s->ids[i] = c->h.next_id;
    open_stream(c, i, &q);
}

static void answer(struct server *s, uint32_t id, struct span *in)
{
    uint8_t how = take(in), text[2] = {(uint8_t)('a' + how % 26), 0};
    nghttp2_nv head[] = {
        {(uint8_t *)(uintptr_t) ":status", (uint8_t *)(uintptr_t) "200", 7, 3, 0},
        {text, text, 1, how & 1, (how & 2) ? NGHTTP2_NV_FLAG_NO_INDEX : 0},
    };
    (void)nghttp2_submit_headers(s->session, how & 4 ? NGHTTP2_FLAG_END_STREAM : 0,
                                 (int32_t)id, NULL, head, 2, NULL);
}

/* Both sides say what they have to, the server's words in pieces. */
static bool exchange(struct client *c, struct server *s, size_t step)
{
    struct buf out = {0}, in = {0};
    demand(h2_client_take(&c->h, &out));
    if (out.n > 0)
        demand(nghttp2_session_mem_recv(s->session, out.p, out.n) == (ssize_t)out.n);
    const uint8_t *p;
    ssize_t n;
    while ((n = nghttp2_session_mem_send(s->session, &p)) > 0)
        buf_add(&in, p, (size_t)n);
    demand(n == 0);
    demand(feed(c, buf_view(&in), step) == 0);
    bool more = in.n > 0;
    buf_done(&out);
    buf_done(&in);
    return more;
}

static void settings(struct server *s, struct span *in)
{
    static const int32_t ids[] = {
        NGHTTP2_SETTINGS_HEADER_TABLE_SIZE, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE,
        NGHTTP2_SETTINGS_MAX_FRAME_SIZE, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS};
    uint8_t which = take(in) % 4;
    nghttp2_settings_entry e = {ids[which], take(in) * 50u};
    if (e.settings_id == NGHTTP2_SETTINGS_MAX_FRAME_SIZE)
        e.value += 16384;
    if (e.settings_id == NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS)
        e.value = e.value % 16 + STREAMS;
    (void)nghttp2_submit_settings(s->session, NGHTTP2_FLAG_NONE, &e, 1);
}

static void send_body(struct client *c, struct server *s, size_t i, struct span *in)
{
    static uint8_t body[70000];
    size_t n = take(in) * 257u;
    bool end = take(in) & 1, all;
    if (!c->open[i] || c->h.streams[c->slot[i]].sent_all)
        return;
    memset(body, 1, sizeof body);
    size_t sent = h2_client_data(&c->h, c->slot[i], span_of(body, n), end, &all);
    demand(sent <= n && (!all || sent == n));
    s->body_wanted += sent;
}

static void side_by_side(struct span in)
{
    struct client c;
    struct server s;
    client_init(&c);
    server_init(&s);
    while (in.n > 0) {
        uint8_t order = take(&in);
        size_t i = order / 8 % STREAMS;
        switch (order % 8) {
        case 0:
        case 1:
            if (!c.open[i] && h2_client_room(&c.h) > 0)
                request(&c, &s, i, &in);
            break;
        case 2:
            send_body(&c, &s, i, &in);
            break;
        case 3:
            if (c.open[i])
                answer(&s, s.ids[i], &in);
            break;
        case 4:
            settings(&s, &in);
            break;
        case 5:
            (void)exchange(&c, &s, 1 + take(&in) % 64);
            break;
        case 6:
            if (c.open[i])
                (void)nghttp2_submit_rst_stream(s.session, NGHTTP2_FLAG_NONE,
                                                (int32_t)s.ids[i], order / 64);
            break;
        default: /* what was not sent of it yet never will be */
            if (c.open[i])
                h2_client_cancel(&c.h, c.slot[i], H2_CANCEL);
            c.open[i] = false;
            break;
        }
    }
    while (exchange(&c, &s, 1000))
        ;
    demand(span_eq(buf_view(&s.got), buf_view(&s.want)));
    demand(s.body_got <= s.body_wanted); /* the rest was for streams that were reset */
    nghttp2_session_del(s.session);
    buf_done(&s.got);
    buf_done(&s.want);
    client_done(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 1u << 16)
        return 0;
    if (data[0] == 0xff)
        any_bytes(span_of(data + 1, size - 1));
    else
        side_by_side(span_of(data, size));
    return 0;
}

/* si_rig.c - see si_rig.h. SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/si_rig.h"

#include <stdlib.h>
#include <string.h>

#include <nghttp2/nghttp2.h>

#include "tests/unit/check.h"

void si_rig_open(struct si_rig *rig, const char *service,
                 const struct si_core_options *options, enum si_release release)
{
    struct err e = {0};
    struct si_core_options o = {.stream_timeout_ns = 300 * CLK_SEC,
                                .error_status = 503,
                                .error_code = SI_UNAVAILABLE};
    if (options)
        o = *options;
    check_ok(si_service_parse(&o.service, service, 1, &e), &e);
    rig->hand = clk_hand_new((struct clk_mono){1000 * CLK_SEC},
                             (struct clk_wall){1795493138 * CLK_SEC});
    assert_non_null(rig->hand);
    rig->ev = ev_new(clk_hand_clk(rig->hand), &e);
    assert_non_null(rig->ev);
    check_ok(si_world_init(&rig->world, clk_hand_clk(rig->hand), 1, &e), &e);
    rig->world.release = release;
    si_core_init(&rig->core, &o, rig->ev, &rig->world);
}

void si_rig_close(struct si_rig *rig)
{
    si_core_done(&rig->core);
    si_world_done(&rig->world);
    ev_free(rig->ev);
    clk_hand_free(rig->hand);
}

void si_rig_pass(struct si_rig *rig, int64_t ns)
{
    struct err e = {0};
    int called;
    clk_hand_advance(rig->hand, ns);
    do {
        called = ev_turn(rig->ev, ev_now(rig->ev), &e);
        check_ok(called, &e);
    } while (called > 0);
}

static void wake(struct si_conn *conn, void *arg)
{
    (void)conn;
    (void)arg;
}

/* --- HTTP/1 -------------------------------------------------------------------- */

void si_client_open(struct si_client *c, struct si_rig *rig, int tier)
{
    struct err e = {0};
    const struct si_tier *t = &si_tiers[tier];
    *c = (struct si_client){.rig = rig};
    check_ok(si_conn_init(&c->conn, &rig->core, t,
                          t->one_port ? SI_SPEAKS_BOTH : SI_SPEAKS_HTTP1, 0, wake, NULL,
                          &e),
             &e);
}

void si_client_close(struct si_client *c)
{
    si_conn_done(&c->conn);
    buf_done(&c->got);
}

void si_client_send(struct si_client *c, const char *bytes, size_t n)
{
    si_conn_feed(&c->conn, span_of(bytes, n), ev_now(c->rig->ev));
}

const char *si_client_got(struct si_client *c)
{
    buf_span(&c->got, buf_view(&c->conn.out));
    buf_reset(&c->conn.out);
    return buf_text(&c->got);
}

/* --- HTTP/2 -------------------------------------------------------------------- */

static struct si_h2_answer *answer_of(struct si_h2_client *c, int32_t stream)
{
    for (size_t i = 0; i < c->answer_count; i++)
        if (c->answers[i].stream == stream)
            return &c->answers[i];
    return NULL;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame,
                     const uint8_t *name, size_t name_bytes, const uint8_t *value,
                     size_t value_bytes, uint8_t flags, void *user)
{
    (void)session;
    (void)flags;
    struct si_h2_answer *a = answer_of(user, frame->hd.stream_id);
    bool trailer = frame->headers.cat == NGHTTP2_HCAT_HEADERS;
    struct buf *b = trailer ? &a->trailers : &a->headers;
    buf_add(b, name, name_bytes);
    buf_str(b, ": ");
    buf_add(b, value, value_bytes);
    buf_u8(b, '\n');
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream,
                   const uint8_t *data, size_t n, void *user)
{
    (void)session;
    (void)flags;
    buf_add(&answer_of(user, stream)->body, data, n);
    return 0;
}

static int on_close(nghttp2_session *session, int32_t stream, uint32_t error,
                    void *user)
{
    (void)session;
    struct si_h2_answer *a = answer_of(user, stream);
    a->closed = true;
    a->error = error;
    return 0;
}

void si_h2_client_open(struct si_h2_client *c, struct si_rig *rig, int tier)
{
    struct err e = {0};
    nghttp2_session_callbacks *cb;
    nghttp2_session *session;
    const struct si_tier *t = &si_tiers[tier];
    memset(c, 0, sizeof *c);
    c->rig = rig;
    check_ok(si_conn_init(&c->conn, &rig->core, t,
                          t->one_port ? SI_SPEAKS_BOTH : SI_SPEAKS_HTTP2, 0, wake, NULL,
                          &e),
             &e);
    assert_int_equal(nghttp2_session_callbacks_new(&cb), 0);
    nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_close);
    assert_int_equal(nghttp2_session_client_new(&session, cb, c), 0);
    nghttp2_session_callbacks_del(cb);
    c->session = session;
    assert_int_equal(nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, NULL, 0), 0);
    si_h2_client_pump(c);
}

void si_h2_client_close(struct si_h2_client *c)
{
    for (size_t i = 0; i < c->answer_count; i++) {
        buf_done(&c->answers[i].headers);
        buf_done(&c->answers[i].body);
        buf_done(&c->answers[i].trailers);
    }
    nghttp2_session_del(c->session);
    si_conn_done(&c->conn);
}

/* Carries bytes in both directions until neither side has any. */
void si_h2_client_pump(struct si_h2_client *c)
{
    bool moved;
    do {
        const uint8_t *data;
        ssize_t n;
        moved = false;
        while ((n = nghttp2_session_mem_send(c->session, &data)) > 0) {
            si_conn_feed(&c->conn, span_of(data, (size_t)n), ev_now(c->rig->ev));
            moved = true;
        }
        assert_true(n == 0);
        if (c->conn.h2)
            si_h2_pump(&c->conn);
        if (c->conn.out.n) {
            n = nghttp2_session_mem_recv(c->session, c->conn.out.p, c->conn.out.n);
            assert_true(n == (ssize_t)c->conn.out.n);
            buf_reset(&c->conn.out);
            moved = true;
        }
    } while (moved);
}

static ssize_t read_body(nghttp2_session *session, int32_t stream, uint8_t *to,
                         size_t n, uint32_t *flags, nghttp2_data_source *source,
                         void *user)
{
    (void)session;
    (void)stream;
    (void)user;
    struct span *left = source->ptr;
    if (n > left->n)
        n = left->n;
    if (n)
        memcpy(to, left->p, n);
    *left = span_sub(*left, n, left->n);
    if (!left->n)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)n;
}

struct si_h2_answer *si_h2_client_call(struct si_h2_client *c, const char *fields,
                                       struct span body)
{
    nghttp2_nv nv[32];
    size_t count = 0;
    for (const char *line = fields; *line; count++) {
        const char *end = strchr(line, '\n'), *colon = strchr(line + 1, ':');
        assert_true(end && colon && colon + 2 <= end && count < 32);
        nv[count] = (nghttp2_nv){
            (uint8_t *)(uintptr_t)line, (uint8_t *)(uintptr_t)(colon + 2),
            (size_t)(colon - line), (size_t)(end - colon - 2), NGHTTP2_NV_FLAG_NONE};
        line = end + 1;
    }
    nghttp2_data_provider provider = {.source.ptr = &body, .read_callback = read_body};
    int32_t stream = nghttp2_submit_request(c->session, NULL, nv, count,
                                            body.n ? &provider : NULL, NULL);
    assert_true(stream > 0 && c->answer_count < SI_CALLS_MAX);
    struct si_h2_answer *a = &c->answers[c->answer_count++];
    a->stream = stream;
    si_h2_client_pump(c);
    assert_int_equal(body.n, 0); /* all was taken */
    return a;
}

void si_h2_client_reset(struct si_h2_client *c, struct si_h2_answer *a)
{
    nghttp2_submit_rst_stream(c->session, NGHTTP2_FLAG_NONE, a->stream, NGHTTP2_CANCEL);
    si_h2_client_pump(c);
}

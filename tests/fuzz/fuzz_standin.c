/*
 * fuzz_standin.c - whatever a client sends, the stand-in frames, decides and answers
 * it.
 *
 * Byte 0 chooses tier (two bits), port (HTTP or gRPC), release, and whether calls take
 * time and are hit by faults; byte 1 how the rest is cut into reads. At the end an hour
 * goes by, so that everything that waits comes out, and no call may be left.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>
#include <string.h>

#include "deploy/standin/si_conn.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void wake(struct si_conn *conn, void *arg)
{
    (void)conn;
    (void)arg;
}

struct stage {
    struct clk_hand *hand;
    struct ev *ev;
    struct si_world world;
    struct si_core core;
};

static void set_up(struct stage *s, uint8_t how)
{
    bool eventful = how & 16;
    struct si_core_options o = {.stream_timeout_ns = 300 * CLK_SEC,
                                .error_status = 503,
                                .error_code = SI_UNAVAILABLE,
                                .error_at_model = how & 32,
                                .workers = 1};
    if (eventful)
        o.faults = (struct si_faults){.rates = {0, 0.1, 0.1, 0.1, 0.1}, .seed = how};
    struct err e = {0};
    s->hand = clk_hand_new((struct clk_mono){0}, (struct clk_wall){0});
    s->ev = s->hand ? ev_new(clk_hand_clk(s->hand), &e) : NULL;
    if (!s->ev ||
        si_service_parse(&o.service, eventful ? "fixed:1ms" : "fixed:0ms", 1, &e) < 0 ||
        si_world_init(&s->world, clk_hand_clk(s->hand), 1, &e) < 0 ||
        si_catalog_experiment(&s->world.catalog, "x=iris1,iris2", &e) < 0)
        abort();
    s->world.release = how & 8 ? SI_RELEASE_2_8 : SI_RELEASE_2_10;
    si_core_init(&s->core, &o, s->ev, &s->world);
}

static void tear_down(struct stage *s)
{
    si_core_done(&s->core);
    si_world_done(&s->world);
    ev_free(s->ev);
    clk_hand_free(s->hand);
}

static void pass(struct stage *s, int64_t ns)
{
    clk_hand_advance(s->hand, ns);
    while (ev_turn(s->ev, ev_now(s->ev), NULL) > 0)
        ;
}

/* One read: a copy of its own, so that keeping a span of it too long is found. */
static void read_piece(struct stage *s, struct si_conn *conn, const uint8_t *p,
                       size_t n)
{
    uint8_t *exact = malloc(n);
    if (!exact)
        abort();
    memcpy(exact, p, n);
    si_conn_feed(conn, span_of(exact, n), ev_now(s->ev));
    free(exact);
    si_h2_pump(conn);
    buf_reset(&conn->out);
    if (n & 1)
        pass(s, CLK_MS / 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3 || size > 8192)
        return 0;
    struct stage s = {0};
    struct si_conn conn;
    struct err e = {0};
    const struct si_tier *t = &si_tiers[data[0] & 3];
    set_up(&s, data[0]);
    enum si_speaks speaks = t->one_port   ? SI_SPEAKS_BOTH
                            : data[0] & 4 ? SI_SPEAKS_HTTP2
                                          : SI_SPEAKS_HTTP1;
    if (si_conn_init(&conn, &s.core, t, speaks, 0, wake, NULL, &e) < 0)
        abort();
    size_t step = data[1] ? data[1] : size;
    for (size_t at = 2; at < size && !conn.ending; at += step)
        read_piece(&s, &conn, data + at, step < size - at ? step : size - at);
    if (!conn.ending)
        si_conn_eof(&conn);
    pass(&s, 3600 * CLK_SEC);
    si_h2_pump(&conn);
    si_conn_done(&conn);
    pass(&s, 3600 * CLK_SEC); /* what was being served goes on without its client */
    if (s.core.in_use)
        abort(); /* nobody is left to free it */
    tear_down(&s);
    return 0;
}

/*
 * test_flow_memory.c - memory fails again and again: connections go on, bytes stay in
 * order, and all of them are accounted for.
 *
 * The files under test are compiled into this one, with their allocator replaced.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>

#include "tests/unit/check.h"
#include "traces/base/rng.h"

static struct rng luck;
static unsigned fail_one_in; /* 0: none fails */
static uint64_t failures;

static bool fails(void)
{
    if (fail_one_in == 0 || rng_below(&luck, fail_one_in) != 0)
        return false;
    failures++;
    return true;
}

static void *scarce_malloc(size_t n)
{
    return fails() ? NULL : malloc(n);
}

static void *scarce_calloc(size_t n, size_t size)
{
    return fails() ? NULL : calloc(n, size);
}

static void *scarce_realloc(void *p, size_t n)
{
    return fails() ? NULL : realloc(p, n);
}

#define malloc  scarce_malloc
#define calloc  scarce_calloc
#define realloc scarce_realloc
#include "capture/flow.c"
#include "capture/flow_due.c"
#include "capture/flow_hold.c"
#include "capture/flow_stream.c"
#undef malloc
#undef calloc
#undef realloc

#define PORTS 40

/* Bytes are told at places that go on from one to the next: the byte at `at` is its low
 * 8 bits. */
struct told {
    uint64_t data[2], gap[2];
    uint64_t opened, closed;
};

static void *on_open(void *arg, const struct cap_flow_info *info, struct clk_wall at)
{
    (void)info;
    (void)at;
    ((struct told *)arg)->opened++;
    return calloc(2, sizeof(int)); /* the next byte of each direction, plus 1 */
}

static void on_data(void *arg, void *conn, int dir, struct clk_wall at,
                    struct span bytes)
{
    int *next = (int *)conn + dir;
    (void)at;
    ((struct told *)arg)->data[dir] += bytes.n;
    for (size_t i = 0; i < bytes.n; i++) {
        if (*next)
            check_int(bytes.p[i], ==, *next - 1);
        *next = (uint8_t)(bytes.p[i] + 1) + 1;
    }
}

static void on_gap(void *arg, void *conn, int dir, struct clk_wall at, uint64_t bytes,
                   enum cap_gap why)
{
    int *next = (int *)conn + dir;
    (void)at;
    (void)why;
    ((struct told *)arg)->gap[dir] += bytes;
    if (*next)
        *next = (uint8_t)((uint64_t)*next - 1 + bytes) + 1;
}

static void on_finish(void *arg, void *conn, int dir, struct clk_wall at)
{
    (void)arg;
    (void)conn;
    (void)dir;
    (void)at;
}

static void on_close(void *arg, void *conn, struct clk_wall at, enum cap_end how)
{
    (void)at;
    (void)how;
    ((struct told *)arg)->closed++;
    free(conn);
}

static void check_sums(const struct cap_flows *f, const struct told *told,
                       uint64_t sent)
{
    const struct cap_flow_totals *t = cap_flows_totals(f);
    uint64_t seen = t->unplaced_bytes + t->waiting_bytes;
    for (int dir = 0; dir < 2; dir++) {
        const struct cap_flow_counts *c = &t->dir[dir];
        check_int(c->payload_bytes, ==,
                  c->delivered_bytes + c->gap_bytes + c->duplicate_bytes +
                      c->stray_bytes + c->held_bytes);
        check_int(c->delivered_bytes, ==, told->data[dir]);
        check_int(c->gap_bytes, ==, told->gap[dir]);
        seen += c->payload_bytes - c->gap_bytes;
    }
    check_int(seen, ==, sent);
}

/* Segments of several connections, out of order and lossy; how many bytes were sent. */
static uint64_t send_many(struct cap_flows *f, const struct told *told)
{
    uint8_t bytes[256 + 64];
    uint32_t place[PORTS] = {0};
    uint64_t sent = 0;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)i;
    for (int i = 0; i < 5000; i++) {
        unsigned k = (unsigned)rng_below(&luck, PORTS);
        uint32_t seq = place[k] + (uint32_t)rng_below(&luck, 300);
        uint32_t n = 1 + (uint32_t)rng_below(&luck, 64);
        struct cap_segment seg = {.at.ns = i * CLK_MS * 2,
                                  .src.port = (uint16_t)(40000 + k),
                                  .dst.port = 9000,
                                  .seq = seq,
                                  .payload = span_of(bytes + (seq & 255), n),
                                  .payload_bytes = n};
        cap_flows_segment(f, &seg);
        place[k] += 40;
        sent += n;
        check_sums(f, told, sent);
    }
    return sent;
}

static void failing_memory_loses_places_never_bytes(void **state)
{
    (void)state;
    rng_init(&luck, 5);
    for (unsigned one_in = 1; one_in < 40; one_in += one_in < 4 ? 1 : 7) {
        struct told told = {0};
        struct cap_flow_sink sink = {on_open,  on_data, on_gap, on_finish,
                                     on_close, &told,   NULL};
        fail_one_in = 0;
        struct cap_flows *f = cap_flows_new(&sink, NULL, 0, NULL);
        check_true(f != NULL);
        fail_one_in = one_in;
        failures = 0;
        uint64_t sent = send_many(f, &told);
        check_int(failures, >, 0);
        cap_flows_end(f);
        check_sums(f, &told, sent);
        check_int(told.opened, ==, told.closed);
        const struct cap_flow_totals *t = cap_flows_totals(f);
        check_int(t->dir[0].held_bytes + t->dir[1].held_bytes, ==, 0);
        check_true((t->unplaced_bytes == sent) == (one_in == 1));
        cap_flows_free(f);
        fail_one_in = 0;
    }
}

static void a_table_without_memory_is_not_made(void **state)
{
    (void)state;
    struct told told = {0};
    struct cap_flow_sink sink = {on_open,  on_data, on_gap, on_finish,
                                 on_close, &told,   NULL};
    struct err e = {0};
    fail_one_in = 1;
    check_true(cap_flows_new(&sink, NULL, 0, &e) == NULL);
    check_int(e.code, ==, ERR_NOMEM);
    fail_one_in = 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failing_memory_loses_places_never_bytes),
        cmocka_unit_test(a_table_without_memory_is_not_made),
    };
    return cmocka_run_group_tests_name("flow_memory", tests, NULL, NULL);
}

/*
 * test_scan_rows.c - outcomes that are taken many together, and the odd one among them,
 * against their definitions.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/check.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "analysis/scan.h"
#include "traces/base/rng.h"
#include "traces/container/trc_writer.h"
#include "traces/run_notes.h"

enum { N = 200, WARMUP = 10000 }; /* three times 64, and a rest */

static char path[64];

static int make_path(void **state)
{
    (void)state;
    strcpy(path, "/tmp/reprise-scan-rows-XXXXXX");
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int remove_path(void **state)
{
    (void)state;
    return unlink(path);
}

static const struct op_stream streams[] = {
    {.tier = OP_TIER_ENVOY, .name = {(const uint8_t *)"iris", 4}},
    {.tier = OP_TIER_ENVOY, .name = {(const uint8_t *)"echo", 4}},
    {.tier = OP_TIER_SERVER, .name = {(const uint8_t *)"iris", 4}},
};

static struct outcome draw(struct rng *r, uint64_t i, size_t stream_count)
{
    struct outcome o = outcome_empty();
    o.op_index = i;
    o.stream = &streams[rng_below(r, stream_count)];
    o.due_ns = o.ready_ns = WARMUP + (int64_t)(1000 * i);
    o.sent_ns = o.ready_ns + (int64_t)rng_below(r, 300);
    o.first_ns = o.sent_ns + (int64_t)rng_below(r, 3000000);
    o.done_ns = o.first_ns + (int64_t)rng_below(r, 9000);
    o.status = 200;
    o.attempts = 1;
    o.bytes_out = rng_below(r, 100);
    o.bytes_in = rng_below(r, 100000);
    return o;
}

enum odd {
    PLAIN,
    FAILED,
    WRONG,
    DROPPED,
    STOPPED,
    SLOW,      /* beyond what a narrow column holds */
    SLOW_HALF, /* and beyond what is taken together */
    PRESSED,
    NO_FIRST, /* moments that did not come */
    EARLY,    /* due before the ones before it */
    IN_WARMUP,
    ODD_COUNT
};

static void make_odd(struct outcome *o, enum odd odd)
{
    int64_t by = odd == EARLY ? -5500 : odd == IN_WARMUP ? 500 - o->due_ns : 0;
    if (odd == SLOW || odd == SLOW_HALF)
        o->done_ns += odd == SLOW ? 5000000000 : 3000000000;
    if (odd == PRESSED) {
        o->sent_ns += 700;
        o->ready_ns += 700;
        o->first_ns += 700;
        o->done_ns += 700;
        o->wait = OUT_WAIT_SLOT;
    }
    if (odd == FAILED)
        o->cause = OUT_RESET;
    if (odd == WRONG)
        o->check = OUT_WRONG;
    if (odd == DROPPED || odd == STOPPED) {
        o->cause = odd == DROPPED ? OUT_DROPPED : OUT_STOPPED;
        o->ready_ns = o->sent_ns = o->first_ns = o->done_ns = OP_TIME_NONE;
    }
    if (odd == NO_FIRST)
        o->first_ns = OP_TIME_NONE;
    o->due_ns += by;
    if (by) {
        o->ready_ns += by;
        o->sent_ns += by;
        o->first_ns += by;
        o->done_ns += by;
    }
}

static void write_all(const struct outcome *o)
{
    struct trc_options options = {.kind = TRC_RUN};
    struct trc_writer *w;
    struct err e = {0};

    check_ok(trc_writer_open(&w, path, &options, &e), &e);
    check_ok(trc_writer_note(w, NOTE_WARMUP, "10000", &e), &e);
    for (size_t i = 0; i < N; i++)
        check_ok(trc_writer_outcome(w, &o[i], &e), &e);
    check_ok(trc_writer_close(w, &e), &e);
}

/* scan.h's definitions. ANA_NONE: there is no such latency. */
static int64_t latency(const struct outcome *o, enum ana_metric m)
{
    bool ok = outcome_ok(o), sent = o->sent_ns != OP_TIME_NONE;
    switch (m) {
    case ANA_RESPONSE:
        if (o->cause == OUT_STOPPED)
            return ANA_NONE;
        return ok ? o->done_ns - o->due_ns : ANA_INF;
    case ANA_RESPONSE_OK:
        return ok ? o->done_ns - o->due_ns : ANA_NONE;
    case ANA_SERVICE:
        return ok ? o->done_ns - o->sent_ns : ANA_NONE;
    case ANA_TTFB:
        return ok && o->first_ns != OP_TIME_NONE ? o->first_ns - o->sent_ns : ANA_NONE;
    case ANA_GENERATOR:
        return sent ? o->sent_ns - o->ready_ns : ANA_NONE;
    case ANA_BACK_PRESSURE:
        return sent ? o->ready_ns - o->due_ns : ANA_NONE;
    case ANA_FIRST_MESSAGE:
    case ANA_MESSAGE_GAP:
    case ANA_METRIC_COUNT:
    default:
        return ANA_NONE;
    }
}

static int order(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static void check_latency(const struct ana_run *run, const struct outcome *o,
                          enum ana_metric m)
{
    const struct ana_latency *l = &run->all.latency[m];
    int64_t v[N];
    size_t n = 0;

    for (size_t i = 0; i < N; i++)
        if (o[i].due_ns >= WARMUP && latency(&o[i], m) != ANA_NONE)
            v[n++] = latency(&o[i], m);
    qsort(v, n, sizeof *v, order);
    check_int(l->d.n, ==, n);
    check_int(l->d.max, ==, v[n - 1]);
    for (size_t i = 0; i < run->p_count; i++)
        check_int(l->q[i], ==, v[ana_rank(n, run->p[i]) - 1]);
    for (size_t i = 0; i < ANA_CURVE; i++)
        check_int(run->curve[m][i], ==, v[ana_rank(n, ana_curve_p(i)) - 1]);
}

static void widen(int64_t t, int64_t *first, int64_t *last)
{
    if (t == OP_TIME_NONE)
        return;
    *first = t < *first ? t : *first;
    *last = t > *last ? t : *last;
}

static void check_run(const struct ana_run *run, const struct outcome *o)
{
    int64_t due[2] = {INT64_MAX, INT64_MIN}, sent[2] = {INT64_MAX, INT64_MIN},
            done[2] = {INT64_MAX, INT64_MIN};
    struct ana_counts c = {0};
    uint64_t in_blocks = 0, in_cells = 0, waited = 0;

    for (size_t i = 0; i < N; i++) {
        if (o[i].due_ns < WARMUP)
            continue;
        c.due++;
        c.ok += outcome_ok(&o[i]);
        c.sent += o[i].sent_ns != OP_TIME_NONE;
        c.bytes_out += o[i].bytes_out;
        c.bytes_in += o[i].bytes_in;
        waited += o[i].wait == OUT_WAIT_SLOT;
        widen(o[i].due_ns, &due[0], &due[1]);
        widen(o[i].sent_ns, &sent[0], &sent[1]);
        widen(o[i].done_ns, &done[0], &done[1]);
    }
    check_int(run->cut, ==, N - c.due);
    check_int(run->all.counts.due, ==, c.due);
    check_int(run->all.counts.ok, ==, c.ok);
    check_int(run->all.counts.sent, ==, c.sent);
    check_int(run->all.counts.bytes_out, ==, c.bytes_out);
    check_int(run->all.counts.bytes_in, ==, c.bytes_in);
    check_int(run->first_due_ns, ==, due[0]);
    check_int(run->last_due_ns, ==, due[1]);
    check_int(run->first_sent_ns, ==, sent[0]);
    check_int(run->last_sent_ns, ==, sent[1]);
    check_int(run->last_done_ns, ==, done[1]);
    check_int(run->waits[OUT_WAIT_SLOT].count, ==, waited);
    check_int(run->waits[OUT_WAIT_SLOT].total_ns, ==, 700 * waited);
    for (int m = 0; m <= ANA_BACK_PRESSURE; m++)
        check_latency(run, o, (enum ana_metric)m);
    for (size_t b = 0; b < run->block_count; b++)
        in_blocks += run->blocks[b].due;
    for (size_t i = 0; i < run->cell_count; i++)
        in_cells += run->cells[i].counts.due;
    check_int(in_blocks, ==, c.due);
    check_int(in_cells, ==, c.due);
}

/* Each kind of odd one, at the borders of what is taken together and within. */
static void one_odd_outcome_among_plain_ones_is_taken_as_defined(void **state)
{
    static const size_t places[] = {0, 1, 63, 64, 100, 127, 128, 191, 192, 199};
    struct ana_scan_config config = {.charts = true};
    struct outcome o[N];
    struct rng r;

    (void)state;
    rng_init(&r, 31);
    for (int odd = PLAIN; odd < ODD_COUNT; odd++)
        for (size_t k = 0; k < sizeof places / sizeof *places; k++) {
            struct ana_run run;
            struct err e = {0};
            for (size_t i = 0; i < N; i++)
                o[i] = draw(&r, i, 1 + k % 3);
            make_odd(&o[places[k]], (enum odd)odd);
            write_all(o);
            check_ok(ana_scan(&run, path, &config, &e), &e);
            check_run(&run, o);
            ana_run_done(&run);
        }
}

static void many_odd_outcomes_are_taken_as_defined(void **state)
{
    struct ana_scan_config config = {.charts = true};
    struct outcome o[N];
    struct rng r;

    (void)state;
    rng_init(&r, 32);
    for (uint64_t rare = 1; rare < 60; rare++) {
        struct ana_run run;
        struct err e = {0};
        for (size_t i = 0; i < N; i++) {
            o[i] = draw(&r, i, 3);
            if (rng_below(&r, rare) == 0)
                make_odd(&o[i], (enum odd)rng_below(&r, ODD_COUNT));
        }
        write_all(o);
        check_ok(ana_scan(&run, path, &config, &e), &e);
        check_run(&run, o);
        ana_run_done(&run);
    }
}

/* The rest of a run is the same, and what charts show is empty. */
static void check_charts(size_t stream_count)
{
    struct ana_scan_config with = {.charts = true}, without = {.charts = false};
    struct ana_run drawn, plain;
    struct outcome o[N];
    struct err e = {0};
    struct rng r;

    rng_init(&r, 33);
    for (size_t i = 0; i < N; i++)
        o[i] = draw(&r, i, stream_count);
    make_odd(&o[70], FAILED);
    write_all(o);
    check_ok(ana_scan(&drawn, path, &with, &e), &e);
    check_ok(ana_scan(&plain, path, &without, &e), &e);
    check_int(drawn.block_count, ==, 1);
    check_int(plain.block_count, ==, 0);
    check_true(drawn.charts && !plain.charts);
    check_true(drawn.curve[ANA_RESPONSE][0] > 0);
    check_int(plain.curve[ANA_RESPONSE][0], ==, 0);
    check_true(drawn.tail_share == plain.tail_share && plain.tail_share > 0);
    for (int m = 0; m < ANA_METRIC_COUNT; m++) {
        const struct ana_latency *x = &drawn.all.latency[m], *y = &plain.all.latency[m];
        assert_memory_equal(x->q, y->q, drawn.p_count * sizeof *x->q);
        check_int(x->d.n, ==, y->d.n);
        check_int(x->d.max, ==, y->d.max);
    }
    check_int(plain.cell_count, ==, stream_count);
    ana_run_done(&drawn);
    ana_run_done(&plain);
}

static void charts_are_made_where_they_are_asked_for(void **state)
{
    (void)state;
    check_charts(3);
    check_charts(1); /* its only cell is all of it */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_odd_outcome_among_plain_ones_is_taken_as_defined),
        cmocka_unit_test(many_odd_outcomes_are_taken_as_defined),
        cmocka_unit_test(charts_are_made_where_they_are_asked_for),
    };
    return cmocka_run_group_tests(tests, make_path, remove_path);
}

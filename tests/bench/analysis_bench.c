/*
 * analysis_bench.c - how fast a run file is read into a report, on one core; what an
 * outcome costs on disk; how long a comparison of twenty long runs takes.
 *
 *   analysis_bench [FOLDER]  writes runs there (default: in /tmp; 250 MB), reads them,
 *                            prints one line for each bar, and takes them away
 *
 * The runs are of the k6 mix: two models by REST and gRPC, Poisson at 1,000/s, answers
 * after some milliseconds, one in a thousand failed. Speeds are CPU time with the page
 * cache warm, the median of five passes; the comparison is wall time on all cores. What
 * a column costs is what a run is smaller by when that column says nothing. Absolute
 * figures only compare within one run.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "analysis/compare.h"
#include "analysis/quantile.h"
#include "analysis/report.h"
#include "analysis/run_health.h"
#include "analysis/scan.h"
#include "traces/base/rng.h"
#include "traces/container/trc_reader.h"

#define N      1000000
#define PASSES 5

#define LONG_RUNS 20 /* of LONG outcomes each, compared ten against ten */
#define LONG      10000000

static char folder[256];

/* Name of a file in the folder; valid until the call after the next. */
static const char *in_folder(const char *name)
{
    static char text[2][300];
    static unsigned turn;
    char *to = text[turn++ % 2];
    snprintf(to, sizeof text[0], "%s/%s", folder, name);
    return to;
}

static _Noreturn void die(const struct err *e)
{
    fprintf(stderr, "analysis_bench: %s\n", e->text);
    exit(1);
}

/* CPU time of this thread: what else the machine does, and its disk, stay out. */
static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* What is left out of a run, to see what it costs. */
enum without {
    NOTHING,
    DUE, /* operations come evenly */
    SENT,
    FIRST,
    DONE,
    STREAM,
    STATUS, /* and cause */
    GRPC_STATUS,
    CONNECTION,
    BYTES_IN,
    HASH,
    HASHES_BUT_100 /* a hundred different answers */
};

static void shift(struct outcome *o, int64_t by)
{
    o->due_ns += by;
    o->ready_ns += by;
    o->sent_ns += by;
    o->first_ns += by;
    o->done_ns += by;
}

static void leave_out(struct outcome *o, enum without what, const struct op_stream *one)
{
    int64_t late = o->sent_ns - o->ready_ns, rest = o->done_ns - o->first_ns;
    if (what == DUE)
        shift(o, (int64_t)o->op_index * 1000000 - o->due_ns);
    if (what == SENT) {
        o->sent_ns -= late;
        o->first_ns -= late;
        o->done_ns -= late;
    }
    if (what == FIRST) {
        o->first_ns = o->sent_ns;
        o->done_ns = o->first_ns + rest;
    }
    if (what == DONE)
        o->done_ns = o->first_ns;
    if (what == STREAM)
        o->stream = one;
    if (what == STATUS) {
        o->status = 200;
        o->cause = OUT_OK;
    }
    if (what == GRPC_STATUS)
        o->grpc_status = -1;
    if (what == CONNECTION)
        o->connection = 0;
    if (what == BYTES_IN)
        o->bytes_in = 200;
    if (what == HASH)
        o->answer_hash = 0;
    if (what == HASHES_BUT_100)
        o->answer_hash = (o->answer_hash % 100 + 1) * UINT64_C(0x9e3779b97f4a7c15);
}

static void write_run(const char *path, uint64_t n, uint64_t seed, enum without what)
{
    static const char *const names[] = {"iris", "tfsimple", "iris", "tfsimple"};
    struct trc_options options = {.kind = TRC_RUN};
    struct op_stream streams[4];
    struct trc_writer *w;
    struct rng r;
    struct err e = {0};
    double t = 0;

    rng_init(&r, seed);
    for (int i = 0; i < 4; i++)
        streams[i] = (struct op_stream){.protocol = i < 2 ? OP_REST : OP_GRPC,
                                        .tier = OP_TIER_ENVOY,
                                        .name = span_str(names[i]),
                                        .model_type = span_str(names[i])};
    if (trc_writer_open(&w, path, &options, &e) < 0)
        die(&e);
    for (uint64_t i = 0; i < n; i++) {
        struct outcome o = outcome_empty();
        double service = 2e6 * exp(0.5 * rng_normal(&r));
        t += 1e6 * rng_exponential(&r);
        o.op_index = i;
        o.stream = &streams[rng_below(&r, 4)];
        o.due_ns = o.ready_ns = (int64_t)t;
        o.sent_ns = o.due_ns + 200 + (int64_t)rng_below(&r, 20000);
        o.first_ns = o.sent_ns + (int64_t)service;
        o.done_ns = o.first_ns + 1000 + (int64_t)rng_below(&r, 5000);
        o.status = 200;
        o.grpc_status = o.stream->protocol == OP_GRPC ? 0 : -1;
        if (rng_below(&r, 1000) == 0) {
            o.cause = OUT_STATUS;
            o.status = 503;
        }
        o.attempts = 1;
        o.connection = (uint32_t)rng_below(&r, 64);
        o.bytes_out = 150;
        o.bytes_in = 200 + rng_below(&r, 20);
        o.answer_hash = rng_u64(&r) | 1;
        leave_out(&o, what, &streams[0]);
        if (trc_writer_outcome(w, &o, &e) < 0)
            die(&e);
    }
    if (trc_writer_close(w, &e) < 0)
        die(&e);
}

/* --- what an outcome costs on disk -------------------------------------------------
 */

static double bytes_each(enum without what)
{
    const char *path = in_folder("size.run");
    struct stat st;
    write_run(path, N, 1, what);
    if (stat(path, &st) != 0)
        exit(1);
    unlink(path);
    return (double)st.st_size / N;
}

static void tell_size(const char *what, double bytes, double bar)
{
    printf("%-52s %8.2f %-12s <= %6.0f  %s\n", what, bytes, "B/outcome", bar,
           bytes <= bar ? "met" : "missed");
}

static void sizes(void)
{
    static const struct {
        enum without what;
        const char *name;
    } columns[] = {{DUE, "due"},
                   {SENT, "sent"},
                   {FIRST, "first"},
                   {DONE, "done"},
                   {STREAM, "stream"},
                   {STATUS, "status, cause"},
                   {GRPC_STATUS, "grpc status"},
                   {CONNECTION, "connection"},
                   {BYTES_IN, "bytes in"},
                   {HASH, "answer hash"}};
    double whole = bytes_each(NOTHING);
    tell_size("an outcome on disk: every answer another", whole, 16);
    tell_size("an outcome on disk: 100 different answers", bytes_each(HASHES_BUT_100),
              16);
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
        printf("  of it %-44s   %8.2f B/outcome\n", columns[i].name,
               whole - bytes_each(columns[i].what));
}

/* --- how fast ----------------------------------------------------------------------
 */

/* What a report needs of each block, and nothing done with it. */
static void decode(const char *path)
{
    struct trc_reader *r;
    struct trc_block *b;
    struct err e = {0};
    int rc;

    if (trc_reader_open(&r, path, &e) < 0)
        die(&e);
    trc_reader_want_columns(
        r, TRC_WANT_DUE | TRC_WANT_READY | TRC_WANT_SENT | TRC_WANT_FIRST |
               TRC_WANT_DONE | TRC_WANT_STREAM | TRC_WANT_STATUS |
               TRC_WANT_GRPC_STATUS | TRC_WANT_CAUSE | TRC_WANT_CHECK | TRC_WANT_WAIT |
               TRC_WANT_BYTES_OUT | TRC_WANT_BYTES_IN | TRC_WANT_MESSAGES);
    while ((rc = trc_reader_next(r, &b, &e)) > 0)
        trc_block_free(b);
    if (rc < 0)
        die(&e);
    trc_reader_close(r);
}

static void report(const char *path)
{
    struct ana_scan_config config = {0};
    struct buf out = {0};
    struct ana_run run;
    struct err e = {0};

    if (ana_scan(&run, path, &config, &e) < 0 || ana_health_judge(&run, &e) < 0)
        die(&e);
    if (run.all.counts.due != N)
        exit(1);
    ana_report_json(&run, &out);
    ana_run_done(&run);
    buf_done(&out);
}

static int64_t *values, *latencies[4]; /* N of each */

/* Four latencies of outcomes in memory, each into its tally: what a scan is made of. */
static void tallies(const char *path)
{
    struct ana_tally *t = ana_tally_new();
    (void)path;
    if (!t)
        exit(1);
    for (int i = 0; i < 4; i++) {
        ana_tally_reset(t);
        ana_tally_count(t, &(struct ana_slice){.v = latencies[i], .n = N});
    }
    ana_tally_free(t);
}

static void quantiles(const char *path)
{
    static const uint32_t p[] = {ANA_P(50), ANA_P(90), ANA_P(95), ANA_P(99),
                                 ANA_P(99.9)};
    struct ana_slice slice = {.v = values, .n = N};
    int64_t out[5];
    struct err e = {0};

    (void)path;
    if (ana_quantiles(&slice, 1, false, p, 5, out, NULL, &e) < 0)
        die(&e);
}

static int ascending(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static void measure(const char *what, void (*fn)(const char *), const char *path,
                    double bar, const char *unit)
{
    double seconds[PASSES];

    fn(path); /* warms caches */
    for (int i = 0; i < PASSES; i++) {
        double from = cpu_seconds();
        fn(path);
        seconds[i] = cpu_seconds() - from;
    }
    qsort(seconds, PASSES, sizeof *seconds, ascending);
    double rate = N / seconds[PASSES / 2] / 1e6;
    printf("%-52s %8.2f %-12s >= %6.0f  %s\n", what, rate, unit, bar,
           rate >= bar ? "met" : "missed");
}

/* Outcomes as they are in memory: response, service, ttfb, lateness. */
static void fill_memory(void)
{
    struct rng r;
    rng_init(&r, 2);
    values = malloc(N * sizeof *values);
    for (int i = 0; i < 4; i++)
        latencies[i] = malloc(N * sizeof *latencies[i]);
    for (size_t i = 0; i < N; i++) {
        if (!values || !latencies[0] || !latencies[1] || !latencies[2] || !latencies[3])
            exit(1);
        values[i] = (int64_t)(2e6 * exp(0.5 * rng_normal(&r)));
        latencies[3][i] = 200 + (int64_t)rng_below(&r, 20000);
        latencies[2][i] = values[i];
        latencies[1][i] = values[i] + 1000 + (int64_t)rng_below(&r, 5000);
        latencies[0][i] = latencies[1][i] + latencies[3][i];
    }
}

/* The runs are one file under twenty names: what is measured is the reading. */
static void compare_long_runs(void)
{
    static char names[LONG_RUNS][300];
    const char *paths[LONG_RUNS];
    struct ana_compare_config config = {.a = paths,
                                        .b = paths + LONG_RUNS / 2,
                                        .a_count = LONG_RUNS / 2,
                                        .b_count = LONG_RUNS / 2,
                                        .error_margin = 0.001,
                                        .floor_ns = 100000,
                                        .alpha = 0.05,
                                        .seed = 1};
    struct ana_comparison c;
    struct err e = {0};
    struct timespec from, to;

    for (int i = 0; i < LONG_RUNS; i++) {
        snprintf(names[i], sizeof names[i], "%s/long-%d.run", folder, i);
        paths[i] = names[i];
        if (i == 0)
            write_run(paths[0], LONG, 3, NOTHING);
        else if (link(paths[0], paths[i]) != 0)
            exit(1);
    }
    clock_gettime(CLOCK_MONOTONIC, &from);
    if (ana_compare(&c, &config, &e) < 0)
        die(&e);
    clock_gettime(CLOCK_MONOTONIC, &to);
    for (int i = 0; i < LONG_RUNS; i++) {
        if (c.runs[i].all.counts.due != LONG)
            exit(1);
        unlink(paths[i]);
    }
    ana_comparison_done(&c);
    double seconds =
        (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9;
    printf("%-52s %8.2f %-12s <= %6.0f  %s\n", "20 runs of 10^7 outcomes, compared",
           seconds, "s", 10.0, seconds <= 10 ? "met" : "missed");
}

int main(int argc, char **argv)
{
    snprintf(folder, sizeof folder, "%s/reprise-analysis-bench-XXXXXX",
             argc > 1 ? argv[1] : "/tmp");
    if (!mkdtemp(folder))
        return 1;
    const char *path = in_folder("million.run");
    setvbuf(stdout, NULL, _IOLBF, 0);
    sizes();
    write_run(path, N, 1, NOTHING);
    fill_memory();
    measure("a compressed run file: decoded", decode, path, 20, "M outcomes/s");
    measure("a compressed run file: read into a report", report, path, 20,
            "M outcomes/s");
    measure("outcomes in memory: four latencies tallied", tallies, path, 100,
            "M outcomes/s");
    measure("exact p50 p90 p95 p99 p99.9 from memory", quantiles, path, 100,
            "M values/s");
    unlink(path);
    compare_long_runs();
    free(values);
    for (int i = 0; i < 4; i++)
        free(latencies[i]);
    return rmdir(folder) < 0;
}

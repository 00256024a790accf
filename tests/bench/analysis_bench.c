/*
 * analysis_bench.c - how fast a run file is read into a report, on one core.
 *
 *   analysis_bench [FILE]    writes a run of a million outcomes to FILE (default: in
 *                            /tmp), reads it, prints one line for each bar
 *
 * The run is of the k6 mix: two models by REST and gRPC, Poisson at 1,000/s, answers
 * after some milliseconds, one in a thousand failed. CPU time with the page cache warm;
 * the median of five passes counts. Absolute figures only compare within one run.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "analysis/quantile.h"
#include "analysis/report.h"
#include "analysis/run_health.h"
#include "analysis/scan.h"
#include "traces/base/rng.h"
#include "traces/container/trc_reader.h"

#define N      1000000
#define PASSES 5

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

static void write_run(const char *path)
{
    static const char *const names[] = {"iris", "tfsimple", "iris", "tfsimple"};
    struct trc_options options = {.kind = TRC_RUN};
    struct op_stream streams[4];
    struct trc_writer *w;
    struct rng r;
    struct err e = {0};
    double t = 0;

    rng_init(&r, 1);
    for (int i = 0; i < 4; i++)
        streams[i] = (struct op_stream){.protocol = i < 2 ? OP_REST : OP_GRPC,
                                        .tier = OP_TIER_ENVOY,
                                        .name = span_str(names[i]),
                                        .model_type = span_str(names[i])};
    if (trc_writer_open(&w, path, &options, &e) < 0)
        die(&e);
    for (uint64_t i = 0; i < N; i++) {
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
        if (trc_writer_outcome(w, &o, &e) < 0)
            die(&e);
    }
    if (trc_writer_close(w, &e) < 0)
        die(&e);
}

/* What a report needs of each block, and nothing done with it. */
static void decode(const char *path)
{
    struct trc_reader *r;
    struct trc_block *b;
    struct err e = {0};
    int rc;

    if (trc_reader_open(&r, path, &e) < 0)
        die(&e);
    trc_reader_want(r, TRC_READ_SCHEDULE | TRC_READ_ANSWERS);
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

static int64_t *values;

static void quantiles(const char *path)
{
    static const uint32_t p[] = {ANA_P(50), ANA_P(90), ANA_P(95), ANA_P(99),
                                 ANA_P(99.9)};
    struct ana_slice slice = {values, N};
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

int main(int argc, char **argv)
{
    char made[] = "/tmp/reprise-analysis-bench-XXXXXX";
    const char *path = argc > 1 ? argv[1] : made;
    struct rng r;

    if (argc < 2) {
        int fd = mkstemp(made);
        if (fd < 0)
            return 1;
        close(fd);
    }
    write_run(path);
    values = malloc(N * sizeof *values);
    if (!values)
        return 1;
    rng_init(&r, 2);
    for (size_t i = 0; i < N; i++)
        values[i] = (int64_t)(2e6 * exp(0.5 * rng_normal(&r)));
    measure("a compressed run file: decoded", decode, path, 20, "M outcomes/s");
    measure("a compressed run file: read into a report", report, path, 20,
            "M outcomes/s");
    measure("exact p50 p90 p95 p99 p99.9 from memory", quantiles, path, 100,
            "M values/s");
    free(values);
    if (argc < 2)
        unlink(path);
    return 0;
}

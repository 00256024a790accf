/*
 * container_bench.c - how fast traces are written and read, and how many bytes they
 * take.
 *
 *   container_bench [FILE]    writes and reads FILE (default: in /tmp), prints one line
 * each
 *
 * Operations are made before the clock starts. Rates are of one core, page cache warm;
 * the median of five passes counts. Figures only compare within one run of this
 * program.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "traces/base/rng.h"
#include "traces/container/trc_reader.h"

#define N      1000000
#define PASSES 5
#define BODY   352

struct load {
    struct op *ops;
    struct op_stream streams[8];
    uint8_t *bodies;
    char *ids;
};

static void die(const struct err *e)
{
    fprintf(stderr, "container_bench: %s\n", e->text);
    exit(1);
}

/* The k6 mix: two models, REST and gRPC, Poisson at 1,000/s, answers after about 2 ms.
 */
static void make_load(struct load *l, bool varied, bool ids, int64_t unit)
{
    static const char *const names[] = {"iris", "tfsimple", "iris", "tfsimple"};
    struct rng r;
    rng_init(&r, 1);
    l->ops = malloc(N * sizeof *l->ops);
    l->bodies = malloc((size_t)N * BODY);
    l->ids = malloc((size_t)N * 37);
    for (int i = 0; i < 4; i++)
        l->streams[i] =
            (struct op_stream){.protocol = i < 2 ? OP_REST : OP_GRPC,
                               .tier = OP_TIER_ENVOY,
                               .name = span_str(names[i]),
                               .method = SPAN_LIT("POST"),
                               .path = SPAN_LIT("/v2/models/iris/infer"),
                               .content_type = SPAN_LIT("application/json")};
    double t = 0;
    for (size_t i = 0; i < N; i++) {
        struct op *o = &l->ops[i];
        uint64_t which = rng_below(&r, 4);
        uint8_t *body = l->bodies + (varied ? i : which) * BODY;
        *o = op_empty();
        t += 1e6 * rng_exponential(&r);
        o->arrival_ns = (int64_t)t / unit * unit;
        o->stream = &l->streams[which];
        int n =
            snprintf((char *)body, BODY,
                     "{\"inputs\":[{\"name\":\"predict\",\"shape\":[1,4],\"datatype\":"
                     "\"FP32\",\"data\":[[%.6f,%.6f,%.6f,%.6f]]}]}",
                     rng_unit(&r), rng_unit(&r), rng_unit(&r), rng_unit(&r));
        if (!varied && i >= 4)
            n = (int)strlen((char *)body);
        o->request = op_body_of(span_of(body, (size_t)n));
        if (ids) {
            char *id = l->ids + i * 37;
            uint64_t a = rng_u64(&r), b = rng_u64(&r);
            snprintf(id, 37, "%08x-%04x-%04x-%04x-%012llx", (unsigned)a,
                     (unsigned)(a >> 32 & 0xffff), (unsigned)(a >> 48),
                     (unsigned)(b & 0xffff), (unsigned long long)(b >> 16));
            o->id = span_of(id, 36);
        }
        o->flags = OP_FLAG_SYNTHETIC;
    }
}

static void free_load(struct load *l)
{
    free(l->ops);
    free(l->bodies);
    free(l->ids);
}

/* CPU time of this thread: what else the machine does, and its disk, stay out. */
static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double write_pass(const struct load *l, const char *path, int64_t unit)
{
    struct err e = {0};
    struct trc_writer *w;
    struct trc_options options = {.kind = TRC_TRACE, .resolution_ns = unit};
    double from = cpu_seconds();
    if (trc_writer_open(&w, path, &options, &e) < 0)
        die(&e);
    for (size_t i = 0; i < N; i++)
        if (trc_writer_op(w, &l->ops[i], &e) < 0)
            die(&e);
    if (trc_writer_close(w, &e) < 0)
        die(&e);
    return cpu_seconds() - from;
}

static double read_pass(const char *path, unsigned want, uint64_t *bytes)
{
    struct err e = {0};
    struct trc_reader *r;
    struct trc_block *b;
    uint64_t sum = 0;
    int rc;
    double from = cpu_seconds();
    if (trc_reader_open(&r, path, &e) < 0)
        die(&e);
    trc_reader_want(r, want);
    while ((rc = trc_reader_next(r, &b, &e)) == 1) {
        for (uint32_t i = 0; i < b->count; i++)
            sum += (uint64_t)b->ops[i].arrival_ns + b->ops[i].request.data.n;
        trc_block_free(b);
    }
    if (rc < 0)
        die(&e);
    *bytes = trc_reader_info(r)->file_bytes;
    trc_reader_close(r);
    double s = cpu_seconds() - from;
    return sum ? s : -1;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double v[PASSES])
{
    qsort(v, PASSES, sizeof *v, by_value);
    return v[PASSES / 2];
}

static void measure(const char *what, bool varied, bool ids, int64_t unit,
                    const char *path)
{
    struct load l;
    double w[PASSES], s[PASSES], all[PASSES];
    uint64_t bytes = 0;
    make_load(&l, varied, ids, unit);
    for (int i = 0; i < PASSES; i++) {
        w[i] = write_pass(&l, path, unit);
        s[i] = read_pass(path, TRC_READ_SCHEDULE, &bytes);
        all[i] = read_pass(path, TRC_READ_ALL, &bytes);
    }
    printf("%-34s %6.2f B/op   write %5.2f   schedule %6.2f   all %6.2f  M op/s\n",
           what, (double)bytes / N, N / 1e6 / median(w), N / 1e6 / median(s),
           N / 1e6 / median(all));
    free_load(&l);
}

int main(int argc, char **argv)
{
    char path[64];
    snprintf(path, sizeof path, "/tmp/container_bench.%ld", (long)getpid());
    if (argc > 1)
        snprintf(path, sizeof path, "%s", argv[1]);
    measure("constant bodies", false, false, 1, path);
    measure("constant bodies, 1 us", false, false, 1000, path);
    measure("constant bodies, ids", false, true, 1, path);
    measure("varied bodies", true, false, 1, path);
    unlink(path);
    return 0;
}

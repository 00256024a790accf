/*
 * container_bench.c - how fast traces are written and read, how many bytes they take,
 * and whether that meets the bars that we set ourselves.
 *
 *   container_bench [FILE]    writes and reads FILE (default: in /tmp), prints one line
 *                             for each bar
 *   container_bench read FILE prints the resident memory that reading it whole took
 *
 * Operations are made before the clock starts. Rates are of one core, page cache warm;
 * the median of five passes counts. Absolute figures only compare within one run.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "traces/base/rng.h"
#include "traces/container/trc_reader_own.h"
#include "traces/container/trc_writer_own.h"

#define N      1000000
#define PASSES 5
#define BODY   352

struct load {
    struct op *ops;
    struct op_stream streams[8];
    uint8_t *bodies;
    char *ids;
};

static _Noreturn void die(const struct err *e)
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
        int n = snprintf((char *)body, BODY,
                         "{\"inputs\":[{\"name\":\"predict\",\"shape\":[1,4],"
                         "\"datatype\":\"FP32\",\"data\":[[%.6f,%.6f,%.6f,%.6f]]}]}",
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

static double write_pass(const struct load *l, const char *path, int64_t unit,
                         uint32_t block_records)
{
    struct err e = {0};
    struct trc_writer *w;
    struct trc_options options = {
        .kind = TRC_TRACE, .resolution_ns = unit, .block_records = block_records};
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

/* One line: what was asked for and what came. `most`: the bar is an upper bound. */
static void bar(const char *what, double got, double want, bool most, const char *unit)
{
    bool met = most ? got <= want : got >= want;
    printf("%-52s %9.2f %-7s %s %6g  %s\n", what, got, unit, most ? "<=" : ">=", want,
           met ? "met" : "missed");
    fflush(stdout);
}

static void measure(const char *what, bool varied, bool ids, int64_t unit,
                    const char *path, double most_bytes, double least_written)
{
    struct load l;
    char text[64];
    double w[PASSES], s[PASSES], all[PASSES];
    uint64_t bytes = 0;
    make_load(&l, varied, ids, unit);
    for (int i = 0; i < PASSES; i++) {
        w[i] = write_pass(&l, path, unit, 0);
        s[i] = read_pass(path, TRC_READ_SCHEDULE, &bytes);
        all[i] = read_pass(path, TRC_READ_ALL, &bytes);
    }
    snprintf(text, sizeof text, "%s: size", what);
    if (most_bytes > 0)
        bar(text, (double)bytes / N, most_bytes, true, "B/op");
    snprintf(text, sizeof text, "%s: written", what);
    bar(text, N / 1e6 / median(w), least_written, false, "M op/s");
    snprintf(text, sizeof text, "%s: schedule read", what);
    bar(text, N / 1e6 / median(s), 10, false, "M op/s");
    snprintf(text, sizeof text, "%s: all read", what);
    bar(text, N / 1e6 / median(all), 1, false, "M op/s");
    free_load(&l);
}

/* --- bodies ----------------------------------------------------------------------- */

#define IMAGES      20000
#define IMAGE_BYTES 12288 /* a 3 x 32 x 32 tensor of FP32 */

static void payload_out(const char *path)
{
    struct err e = {0};
    struct trc_writer *w;
    struct trc_options options = {0};
    struct op_stream stream = {.protocol = OP_GRPC, .name = SPAN_LIT("cifar10")};
    struct rng r;
    float tensor[IMAGE_BYTES / sizeof(float)];
    double passes[PASSES];
    uint64_t bytes;

    rng_init(&r, 2);
    if (trc_writer_open(&w, path, &options, &e) < 0)
        die(&e);
    for (int i = 0; i < IMAGES; i++) {
        struct op o = op_empty();
        for (size_t k = 0; k < sizeof tensor / sizeof *tensor; k++)
            tensor[k] = (float)rng_unit(&r);
        o.arrival_ns = i * 1000;
        o.stream = &stream;
        o.request = op_body_of(span_of(tensor, sizeof tensor));
        if (trc_writer_op(w, &o, &e) < 0)
            die(&e);
    }
    if (trc_writer_close(w, &e) < 0)
        die(&e);
    for (int i = 0; i < PASSES; i++)
        passes[i] = read_pass(path, TRC_READ_ALL, &bytes);
    bar("bodies of 12 KiB, random FP32: read",
        (double)IMAGES * IMAGE_BYTES / 1e6 / median(passes), 300, false, "MB/s");
}

/* --- large files ------------------------------------------------------------------ */

#define HOLE_BYTES    (4u << 20)
#define SMALL_RECORDS 400
#define KIND_HOLE     0x20 /* optional: readers skip it */

static double wall_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void put(int fd, const void *p, size_t n)
{
    if (write(fd, p, n) != (ssize_t)n) {
        perror("container_bench: cannot write");
        exit(1);
    }
}

/* One block of the large file; its group, if it is a hole, is never written. */
static void put_block(int fd, struct trc_resume *at, struct trc_head *h,
                      struct span rest)
{
    struct err e = {0};
    uint8_t frame[TRC_HEAD_BYTES];
    struct trc_entry entry = {at->offset, h->first_index, h->t_min,
                              h->t_max,   h->records,     h->kind};
    h->ordinal = at->ordinal++;
    h->prev_bytes = at->prev_bytes;
    h->file_id = at->file_id;
    trc_head_encode(h, frame);
    put(fd, frame, sizeof frame);
    put(fd, rest.p, rest.n);
    at->offset += trc_head_block_bytes(h);
    at->prev_bytes = (uint32_t)trc_head_block_bytes(h);
    if (trc_index_add(&at->index, &entry, &e) < 0)
        die(&e);
    if (lseek(fd, (off_t)at->offset, SEEK_SET) < 0) {
        perror("container_bench: cannot seek");
        exit(1);
    }
}

/* The blocks of `from` with a hole behind each, without an end. */
static struct trc_resume spread(const char *from, const char *to)
{
    struct err e = {0};
    struct trc_reader *r;
    struct buf block = {0};
    struct trc_head hole = {.kind = KIND_HOLE, .resolution_ns = 1, .frame_bytes = 136};
    if (trc_reader_open(&r, from, &e) < 0 || trc_reader_need_index(r, &e) < 0)
        die(&e);
    struct trc_resume at = {.file_id = r->file_id, .totals = r->totals};
    int fd = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    hole.raw[0] = hole.packed[0] = HOLE_BYTES;
    for (size_t i = 0; i < r->index.n; i++) {
        struct trc_head h;
        if (trc_reader_pread_block(r, r->index.v[i].offset, &h, &block, &e) < 0)
            die(&e);
        put_block(fd, &at, &h, span_sub(buf_view(&block), h.frame_bytes, block.n));
        put_block(fd, &at, &hole, (struct span){0});
    }
    at.totals.blocks = at.ordinal;
    if (ftruncate(fd, (off_t)at.offset) < 0 || close(fd) < 0)
        perror("container_bench: cannot close");
    buf_done(&block);
    trc_reader_close(r);
    return at;
}

static void survey(const char *path)
{
    struct err e = {0};
    double speed[PASSES];
    for (int i = 0; i < PASSES; i++) {
        struct trc_reader *r;
        if (trc_reader_open(&r, path, &e) < 0)
            die(&e);
        double from = wall_seconds();
        if (trc_reader_survey(r, &e) < 0)
            die(&e);
        speed[i] =
            (double)trc_reader_info(r)->file_bytes / 1e9 / (wall_seconds() - from);
        trc_reader_close(r);
    }
    bar("a file of 10 GB without an end: surveyed", median(speed), 5, false, "GB/s");
}

static void seek(const char *path)
{
    struct err e = {0};
    double ms[PASSES];
    uint64_t reads = 0;
    for (int i = 0; i < PASSES; i++) {
        struct trc_reader *r;
        struct trc_block *b;
        if (trc_reader_open(&r, path, &e) < 0)
            die(&e);
        uint64_t before = r->source.reads;
        int64_t to = trc_reader_info(r)->last_ns / (PASSES + 1) * (i + 1);
        double from = wall_seconds();
        if (trc_reader_seek(r, to, &e) < 0 || trc_reader_next(r, &b, &e) != 1)
            die(&e);
        ms[i] = 1e3 * (wall_seconds() - from);
        reads = r->source.reads - before > reads ? r->source.reads - before : reads;
        trc_block_free(b);
        trc_reader_close(r);
    }
    bar("an open file of 10 GB: seek to an operation", median(ms), 10, true, "ms");
    bar("an open file of 10 GB: seek, most reads", (double)reads, 5, true, "reads");
}

static void large_files(const char *path)
{
    struct err e = {0};
    struct load l;
    char large[96];
    struct trc_writer *w;
    struct trc_options options = {0};
    snprintf(large, sizeof large, "%s.large", path);
    make_load(&l, false, false, 1);
    write_pass(&l, path, 1, SMALL_RECORDS);
    free_load(&l);
    struct trc_resume at = spread(path, large);
    survey(large);
    if (trc_writer_resume(&w, large, &options, &at, &e) < 0 ||
        trc_writer_close(w, &e) < 0)
        die(&e);
    trc_index_done(&at.index);
    seek(large);
    unlink(large);
}

/* One operation a block: as many blocks as a trace ever has. */
static void info(const char *path)
{
    struct err e = {0};
    struct load l;
    double ms[PASSES];
    make_load(&l, false, false, 1);
    write_pass(&l, path, 1, 1);
    free_load(&l);
    for (int i = 0; i < PASSES; i++) {
        struct trc_reader *r;
        double from = wall_seconds();
        if (trc_reader_open(&r, path, &e) < 0 || !trc_reader_counts(r))
            die(&e);
        ms[i] = 1e3 * (wall_seconds() - from);
        trc_reader_close(r);
    }
    bar("a file of 1,000,000 blocks: info", median(ms), 5, true, "ms");
}

/* --- memory ----------------------------------------------------------------------- */

/* The peak of this program's own image: getrusage would count that of the process which
 * started it. */
static int read_and_tell(const char *path)
{
    char line[128];
    uint64_t bytes;
    long kib = 0;
    read_pass(path, TRC_READ_ALL, &bytes);
    FILE *f = fopen("/proc/self/status", "re");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "VmHWM: %ld kB", &kib) == 1)
            break;
    if (f)
        fclose(f);
    printf("%ld\n", kib);
    return kib <= 0;
}

/* By a process of its own, which made nothing. */
static void memory(const char *path)
{
    char program[] = "/proc/self/exe", word[] = "read", file[96], text[32] = "";
    char *argv[] = {program, word, file, NULL}, *environment[] = {NULL};
    posix_spawn_file_actions_t actions;
    int ends[2], status = 1;
    pid_t pid;
    snprintf(file, sizeof file, "%s", path);
    if (pipe(ends) < 0)
        return;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
    if (posix_spawn(&pid, program, &actions, NULL, argv, environment) != 0)
        return;
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    ssize_t n = read(ends[0], text, sizeof text - 1);
    close(ends[0]);
    if (waitpid(pid, &status, 0) != pid || status != 0 || n <= 0) {
        fprintf(stderr, "container_bench: reading failed\n");
        exit(1);
    }
    bar("a file of 240 MB of bodies: memory of its reader", strtod(text, NULL) / 1024,
        64, true, "MiB");
}

int main(int argc, char **argv)
{
    char path[64];
    if (argc == 3 && strcmp(argv[1], "read") == 0)
        return read_and_tell(argv[2]);
    snprintf(path, sizeof path, "/tmp/container_bench.%ld", (long)getpid());
    if (argc > 1)
        snprintf(path, sizeof path, "%s", argv[1]);
    measure("constant bodies", false, false, 1, path, 8, 5);
    measure("constant bodies, 1 us", false, false, 1000, path, 5, 5);
    measure("constant bodies, ids", false, true, 1, path, 24, 2);
    measure("varied bodies", true, false, 1, path, 0, 2);
    payload_out(path);
    memory(path);
    large_files(path);
    info(path);
    unlink(path);
    return 0;
}

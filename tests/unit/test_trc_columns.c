/*
 * test_trc_columns.c - a run read as columns tells what it tells read as records.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/check.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/trc_both.h"
#include "tests/unit/trc_craft.h"
#include "tests/unit/trc_random.h"

static char path[64];

static int make_path(void **state)
{
    (void)state;
    strcpy(path, "/tmp/reprise-columns-XXXXXX");
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int remove_path(void **state)
{
    (void)state;
    return unlink(path);
}

static void check_both(const char *what, unsigned long long which)
{
    const char *differ = trc_both_ways(path);
    if (differ)
        fail_msg("%s %llu: %s", what, which, differ);
}

static void write_run(const struct outcome *o, size_t n, uint32_t block_records)
{
    struct trc_options options = {.kind = TRC_RUN, .block_records = block_records};
    struct trc_writer *w;
    struct err e = {0};
    check_ok(trc_writer_open(&w, path, &options, &e), &e);
    for (size_t i = 0; i < n; i++)
        check_ok(trc_writer_outcome(w, &o[i], &e), &e);
    check_ok(trc_writer_close(w, &e), &e);
}

static void write_random(uint64_t seed, size_t n, uint32_t block_records)
{
    struct arena a = {0};
    struct outcome *all = trc_random_outcomes(
        &a, seed, n,
        &(struct trc_random){
            .streams = 1 + (uint32_t)seed % 9, .answers = seed % 3 != 0, .unit = 1});
    write_run(all, n, block_records);
    arena_done(&a);
}

static void put_file(const uint8_t *p, size_t n)
{
    int fd = open(path, O_WRONLY | O_TRUNC);
    check_int(write(fd, p, n), ==, n);
    close(fd);
}

static void get_file(struct buf *b)
{
    int fd = open(path, O_RDONLY);
    ssize_t n;
    buf_reset(b);
    while ((n = read(fd, buf_grow(b, 65536), 65536)) > 0)
        b->n -= 65536 - (size_t)n;
    b->n -= 65536;
    close(fd);
}

static void random_outcomes_are_the_same_either_way(void **state)
{
    static const size_t counts[] = {1, 2, 255, 256, 257, 700, 5000};
    static const uint32_t blocks[] = {0, 1, 64, 300};
    (void)state;
    for (uint64_t seed = 0; seed < 28; seed++) {
        size_t n = counts[seed % 7];
        write_random(seed, n, n > 300 ? blocks[seed % 4 / 2 * 3] : blocks[seed % 4]);
        check_both("seed", seed);
    }
}

/* A steady run: most columns hold one value, moments are close together. */
static void steady_outcomes_are_the_same_either_way(void **state)
{
    enum { STEADY = 2000 };
    static struct outcome all[STEADY];
    struct op_stream stream = {.name = span_str("iris"), .tier = OP_TIER_SERVER};
    (void)state;
    for (size_t i = 0; i < STEADY; i++) {
        int64_t due = (int64_t)i * 1000;
        all[i] = outcome_empty();
        all[i].op_index = i;
        all[i].stream = &stream;
        all[i].status = 200;
        all[i].attempts = 1;
        all[i].due_ns = all[i].ready_ns = due;
        all[i].sent_ns = due + (int64_t)(i % 300);
        all[i].first_ns = all[i].sent_ns + (i % 7 ? 20000 : 1);
        all[i].done_ns = all[i].first_ns + 300;
        all[i].bytes_in = 200 + i % 20;
        all[i].bytes_out = 100;
    }
    write_run(all, STEADY, 0);
    check_both("steady", STEADY);
    for (size_t i = 0; i < STEADY; i++) /* nothing was sent at all */
        all[i].ready_ns = all[i].sent_ns = all[i].first_ns = all[i].done_ns =
            OP_TIME_NONE;
    write_run(all, STEADY, 0);
    check_both("never sent", STEADY);
    all[STEADY / 2].done_ns = INT64_C(1) << 61; /* the limits */
    all[STEADY / 2 + 1].sent_ns = -(INT64_C(1) << 61);
    write_run(all, STEADY, 0);
    check_both("at the limits", STEADY);
}

static void an_empty_run_is_the_same_either_way(void **state)
{
    (void)state;
    write_run(NULL, 0, 0);
    check_both("empty", 0);
    put_file(NULL, 0);
    check_both("no bytes", 0);
}

static void a_cut_run_is_the_same_either_way(void **state)
{
    struct buf file = {0};
    (void)state;
    write_random(3, 200, 40);
    get_file(&file);
    for (size_t n = 0; n < file.n; n += 1 + n % 97) {
        put_file(file.p, n);
        check_both("cut at", n);
    }
    buf_done(&file);
}

static void a_flipped_run_is_the_same_either_way(void **state)
{
    struct buf file = {0};
    (void)state;
    write_random(4, 200, 40);
    get_file(&file);
    for (size_t at = 0; at < file.n; at += 1 + at % 31) {
        file.p[at] ^= (uint8_t)(1u << at % 8);
        put_file(file.p, file.n);
        check_both("flipped at", at);
        file.p[at] ^= (uint8_t)(1u << at % 8);
    }
    buf_done(&file);
}

/* All that is told of the file: outcomes of each block, and errors as they are worded.
 */
static void tell(uint32_t columns, struct buf *out)
{
    struct trc_reader *r;
    struct err e = {0};
    int rc = trc_reader_open(&r, path, &e);
    buf_reset(out);
    if (rc == 0)
        trc_reader_want_columns(r, columns);
    while (rc >= 0) {
        struct trc_block *b;
        e = (struct err){0};
        rc = trc_reader_next(r, &b, &e);
        if (rc == 0)
            break;
        if (rc > 0) {
            buf_fmt(out, "%u from %llu\n", b->count, (unsigned long long)b->offset);
            trc_block_free(b);
        } else {
            buf_fmt(out, "%s\n", e.text);
            rc = rc == ERR_FORMAT ? 0 : rc;
        }
    }
    if (rc < 0)
        buf_fmt(out, "ended by %d: %s\n", rc, e.text);
    trc_reader_close(r);
}

/* Blocks of 200 KB, of which 65 KB are hashes, at their end and not read. Wherever the
 * file is cut, what is said of it is the same. */
static void hashes_that_are_not_read_may_be_cut_off_all_the_same(void **state)
{
    enum { N = 20000, BLOCK = 8000 };
    struct outcome *all = calloc(N, sizeof *all);
    struct op_stream stream = {.name = span_str("iris"), .tier = OP_TIER_SERVER};
    struct buf file = {0}, whole = {0}, part = {0};
    struct rng r;
    (void)state;
    assert_non_null(all);
    rng_init(&r, 12);
    for (size_t i = 0; i < N; i++) {
        all[i] = outcome_empty();
        all[i].op_index = i;
        all[i].stream = &stream;
        all[i].due_ns = (int64_t)(i << 30) + (int64_t)rng_below(&r, 1 << 30);
        all[i].sent_ns = all[i].due_ns + (int64_t)rng_below(&r, 1 << 30);
        all[i].bytes_in = rng_below(&r, 1 << 30);
        all[i].answer_hash = rng_u64(&r) | 1;
    }
    write_run(all, N, BLOCK);
    free(all);
    get_file(&file);
    check_true(file.n > N * 20);
    for (size_t n = file.n; n > 100; n -= n > 12345 ? 12345 : 100) {
        put_file(file.p, n);
        tell(TRC_WANT_ALL, &whole);
        tell(TRC_WANT_DUE | TRC_WANT_SENT | TRC_WANT_BYTES_IN, &part);
        check_str(buf_text(&part), buf_text(&whole));
        tell(TRC_WANT_DUE, &part);
        check_str(buf_text(&part), buf_text(&whole));
    }
    buf_done(&part);
    buf_done(&whole);
    buf_done(&file);
}

/* --- blocks made by hand ---------------------------------------------------------- */

/* Three outcomes, with what a test adds to the four groups. */
static void put_crafted(struct craft *c, struct buf groups[TRC_GROUPS])
{
    craft_put(c, TRC_OUTCOMES, 3, 0, 0, 0, groups);
    put_file(c->file.p, c->file.n);
    for (int g = 0; g < TRC_GROUPS; g++)
        buf_done(&groups[g]);
    craft_done(c);
}

static void begin(struct craft *c, struct buf groups[TRC_GROUPS])
{
    struct buf ops = {0};
    memset(groups, 0, TRC_GROUPS * sizeof *groups);
    craft_init(c, true);
    craft_schedule(&groups[TRC_SCHEDULE], 3);
    craft_ints(&ops, TRC_COL_OP_INDEX, SPAN_LIT("\0"), (const uint64_t[]){0, 0, 0}, 3);
    buf_span(&groups[TRC_SCHEDULE], buf_view(&ops));
    buf_done(&ops);
}

/* How often a call gives what: blocks, refusals. */
static void count_blocks(uint32_t columns, int *blocks, int *refused)
{
    struct trc_reader *r;
    struct trc_block *b;
    struct err e = {0};
    int rc;
    *blocks = *refused = 0;
    check_ok(trc_reader_open(&r, path, &e), &e);
    trc_reader_want_columns(r, columns);
    while ((rc = trc_reader_next(r, &b, NULL)) != 0 && rc != ERR_TRUNCATED) {
        *blocks += rc == 1;
        *refused += rc == ERR_FORMAT;
        if (rc == 1)
            trc_block_free(b);
    }
    trc_reader_close(r);
}

static void unknown_columns_are_skipped_and_required_ones_refused(void **state)
{
    struct craft c;
    struct buf g[TRC_GROUPS];
    int blocks, refused;
    (void)state;
    for (int required = 0; required < 2; required++)
        for (int group = 0; group < TRC_GROUPS; group++) {
            begin(&c, g);
            craft_column(&g[group], 100, required, SPAN_LIT("new"));
            put_crafted(&c, g);
            check_both(required ? "required in group" : "unknown in group",
                       (unsigned)group);
            count_blocks(TRC_WANT_ALL, &blocks, &refused);
            check_int(blocks, ==, !required);
            check_int(refused, ==, required);
        }
}

static void a_column_that_is_not_asked_for_is_not_looked_at(void **state)
{
    struct craft c;
    struct buf g[TRC_GROUPS];
    int blocks, refused;
    (void)state;
    begin(&c, g); /* a cause that there is not */
    craft_ints(&g[TRC_ANSWERS], TRC_COL_CAUSE, (struct span){0},
               (const uint64_t[]){0, 99, 0}, 3);
    put_crafted(&c, g);
    check_both("cause", 99);
    count_blocks(TRC_WANT_CAUSE, &blocks, &refused);
    check_int(refused, ==, 1);
    count_blocks(TRC_WANT_CHECK | TRC_WANT_DONE, &blocks, &refused);
    check_int(blocks, ==, 1);
    check_int(refused, ==, 0);
}

static void malformed_columns_are_refused_either_way(void **state)
{
    const struct {
        int group;
        unsigned id;
        struct span content;
    } cases[] = {
        {TRC_ANSWERS, TRC_COL_STATUS, SPAN_LIT("\x08\1\2\3")}, /* an unknown form */
        {TRC_ANSWERS, TRC_COL_STATUS, SPAN_LIT("\0\1\2")},     /* too few */
        {TRC_ANSWERS, TRC_COL_STATUS, SPAN_LIT("\0\1\2\3\4")}, /* too many */
        {TRC_ANSWERS, TRC_COL_STATUS, SPAN_LIT("\1\1\2")},     /* … of a constant */
        {TRC_ANSWERS, TRC_COL_STATUS, SPAN_LIT("\0\1\2\xff\xff\x7f")}, /* too great */
        {TRC_ANSWERS, TRC_COL_STATUS, SPAN_LIT("\4\1\0\3")},           /* none */
        {TRC_ANSWERS, TRC_COL_CHECK, SPAN_LIT("\1\4")},
        {TRC_ANSWERS, TRC_COL_GRPC, /* but for its sign it would be 5 */
         SPAN_LIT("\6\1\1\xf6\xff\xff\xff\xff\xff\xff\xff\xff\1")},
        {TRC_ANSWERS, TRC_COL_SENT,
         SPAN_LIT("\0\1\2\x80\x80\x80\x80\x80\x80\x80\x80\x40")},
        {TRC_ANSWERS, TRC_COL_SENT,
         SPAN_LIT("\1\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\1")},
        {TRC_IDS, TRC_COL_WORKER, SPAN_LIT("\1\xff\xff\xff\1")},
        {TRC_PAYLOAD, TRC_COL_HASH_REF, SPAN_LIT("\0\1\2\3")},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct craft c;
        struct buf g[TRC_GROUPS];
        int blocks, refused;
        begin(&c, g);
        craft_column(&g[cases[i].group], cases[i].id, false, cases[i].content);
        put_crafted(&c, g);
        check_both("case", i);
        count_blocks(TRC_WANT_ALL, &blocks, &refused);
        if (blocks != 0 || refused != 1)
            fail_msg("case %zu: %d blocks, %d refused", i, blocks, refused);
    }
}

static void records_come_again_when_they_are_wanted_again(void **state)
{
    struct trc_reader *r;
    struct trc_block *b;
    struct err e = {0};
    (void)state;
    write_random(5, 100, 10);
    check_ok(trc_reader_open(&r, path, &e), &e);
    trc_reader_want_columns(r, TRC_WANT_DUE);
    check_int(trc_reader_next(r, &b, &e), ==, 1);
    check_true(b->columns && b->columns->due_ns && !b->outcomes);
    check_true(!b->columns->cause);
    trc_block_free(b);
    trc_reader_want_columns(r, 0);
    check_int(trc_reader_next(r, &b, &e), ==, 1);
    check_true(b->outcomes && !b->columns);
    check_true(b->outcomes[0].due_ns != OP_TIME_NONE);
    trc_block_free(b);
    trc_reader_want_columns(r, TRC_WANT_DUE); /* a verification reads it all */
    check_ok(trc_reader_verify(r, &e), &e);
    check_int(trc_reader_next(r, &b, &e), ==, 1);
    check_true(b->columns && !b->outcomes);
    trc_block_free(b);
    trc_reader_close(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, make_path, remove_path)
        T(random_outcomes_are_the_same_either_way),
        T(steady_outcomes_are_the_same_either_way),
        T(an_empty_run_is_the_same_either_way),
        T(a_cut_run_is_the_same_either_way),
        T(a_flipped_run_is_the_same_either_way),
        T(hashes_that_are_not_read_may_be_cut_off_all_the_same),
        T(unknown_columns_are_skipped_and_required_ones_refused),
        T(a_column_that_is_not_asked_for_is_not_looked_at),
        T(malformed_columns_are_refused_either_way),
        T(records_come_again_when_they_are_wanted_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

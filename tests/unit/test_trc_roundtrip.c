/*
 * test_trc_roundtrip.c - what is written is what is read, in every field.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/check.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/trc_both.h"
#include "tests/unit/trc_random.h"
#include "traces/base/buf.h"
#include "traces/container/trc_writer.h"

static char path[64];

static int make_path(void **state)
{
    (void)state;
    snprintf(path, sizeof path, "/tmp/test_trc.%ld", (long)getpid());
    return 0;
}

static int remove_path(void **state)
{
    (void)state;
    unlink(path);
    return 0;
}

static void write_ops(const struct op *ops, size_t n, struct trc_options options)
{
    struct err e = {0};
    struct trc_writer *w;
    check_ok(trc_writer_open(&w, path, &options, &e), &e);
    check_ok(trc_writer_note(w, "tool.version", "test", &e), &e);
    for (size_t i = 0; i < n; i++)
        check_ok(trc_writer_op(w, &ops[i], &e), &e);
    check_ok(trc_writer_close(w, &e), &e);
}

/* Reads the whole file and holds it against ops. */
static void read_ops(const struct op *ops, size_t n)
{
    struct err e = {0};
    struct trc_reader *r;
    struct trc_block *b;
    size_t seen = 0;
    int rc;
    check_ok(trc_reader_open(&r, path, &e), &e);
    check_int(trc_reader_info(r)->records, ==, n);
    check_true(trc_reader_info(r)->complete);
    while ((rc = trc_reader_next(r, &b, &e)) == 1) {
        check_int(b->first_index, ==, seen);
        for (uint32_t i = 0; i < b->count; i++, seen++) {
            check_true(seen < n);
            const char *field = trc_op_difference(&ops[seen], &b->ops[i]);
            if (field)
                fail_msg("operation %zu differs in %s", seen, field);
            check_true(b->ops[i].stream == &b->streams[b->ops[i].stream_index]);
        }
        trc_block_free(b);
    }
    check_ok(rc, &e);
    check_int(seen, ==, n);
    check_int(trc_reader_lost_blocks(r), ==, 0);
    check_ok(trc_reader_verify(r, &e), &e);
    trc_reader_close(r);
}

static void every_field_of_random_operations_comes_back(void **state)
{
    (void)state;
    static const struct trc_random how[] = {
        {1, 1, 10, false, false, 1},      {3, 20, 400, true, true, 1},
        {40, 300, 100, true, true, 1000}, {7, 5, 3000, true, false, 1000000},
        {2, 30, 20000, true, true, 1},    {300, 0, 0, false, true, 1},
    };
    for (uint64_t seed = 0; seed < 24; seed++) {
        struct arena a = {0};
        const struct trc_random *h = &how[seed % 6];
        size_t n = (size_t)(1 + seed * 37);
        const struct op *ops = trc_random_ops(&a, seed, n, h);
        write_ops(ops, n,
                  (struct trc_options){.kind = TRC_TRACE,
                                       .resolution_ns = h->unit,
                                       .block_records = seed % 5 ? 100 : 0});
        read_ops(ops, n);
        arena_done(&a);
    }
}

static int by_op(const void *a, const void *b)
{
    const struct outcome *x = a, *y = b;
    return x->op_index < y->op_index ? -1 : x->op_index > y->op_index;
}

static void every_field_of_random_outcomes_comes_back(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 12; seed++) {
        struct arena a = {0};
        struct err e = {0};
        size_t n = (size_t)(1 + seed * 99);
        struct outcome *all = trc_random_outcomes(
            &a, seed, n, &(struct trc_random){.streams = 5, .unit = 1});
        struct trc_writer *w;
        struct trc_options options = {.kind = TRC_RUN};
        check_ok(trc_writer_open(&w, path, &options, &e), &e);
        for (size_t i = 0; i < n; i++)
            check_ok(trc_writer_outcome(w, &all[i], &e), &e);
        check_ok(trc_writer_close(w, &e), &e);
        qsort(all, n, sizeof *all, by_op); /* a block is in order of operation */
        struct trc_reader *r;
        struct trc_block *b;
        check_ok(trc_reader_open(&r, path, &e), &e);
        check_int(trc_reader_info(r)->kind, ==, TRC_RUN);
        check_int(trc_reader_next(r, &b, &e), ==, 1);
        check_int(b->count, ==, n);
        for (size_t i = 0; i < n; i++) {
            const char *field = trc_outcome_difference(&all[i], &b->outcomes[i]);
            if (field)
                fail_msg("seed %d: outcome %zu differs in %s", (int)seed, i, field);
        }
        trc_block_free(b);
        check_int(trc_reader_next(r, &b, &e), ==, 0);
        check_ok(trc_reader_verify(r, &e), &e);
        trc_reader_close(r);
        check_true(trc_both_ways(path) == NULL);
        arena_done(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_of_random_operations_comes_back),
        cmocka_unit_test(every_field_of_random_outcomes_comes_back),
    };
    return cmocka_run_group_tests(tests, make_path, remove_path);
}

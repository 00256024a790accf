/*
 * test_trc_open.c - what opening a file and seeking in it cost, in reads, and that what
 * is known without the index is the same as with it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/check.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/trc_random.h"
#include "traces/container/trc_reader_own.h"

#define BLOCKS 30000

static char path[64];
static const struct trc_random plain = {4, 10, 200, true, true, 1};

static int remove_path(void **state)
{
    (void)state;
    unlink(path);
    return 0;
}

/* A block for each operation; a note at the start, one at the close, and a late answer
 * if wanted. */
static void write_blocks(size_t n, bool late)
{
    struct err e = {0};
    struct arena a = {0};
    struct trc_writer *w;
    struct trc_options options = {.block_records = 1};
    struct op *ops = trc_random_ops(&a, 7, n, &plain);

    snprintf(path, sizeof path, "/tmp/test_trc_open.%ld", (long)getpid());
    check_ok(trc_writer_open(&w, path, &options, &e), &e);
    check_ok(trc_writer_note(w, "synth.seed", "7", &e), &e);
    for (size_t i = 0; i < n; i++)
        check_ok(trc_writer_op(w, &ops[i], &e), &e);
    if (late) {
        struct op answer = op_empty();
        answer.status = 200;
        answer.first_ns = answer.last_ns = 5;
        check_ok(trc_writer_late(w, &answer, &e), &e);
    }
    check_ok(trc_writer_note(w, "run.end", "later", &e), &e);
    check_ok(trc_writer_close(w, &e), &e);
    arena_done(&a);
}

static struct trc_reader *open_path(void)
{
    struct err e = {0};
    struct trc_reader *r = NULL;
    check_ok(trc_reader_open(&r, path, &e), &e);
    return r;
}

/* Opens the file, and tells in how many reads. */
static uint64_t reads_of_open(void)
{
    struct trc_reader *r = open_path();
    assert_true(trc_reader_info(r)->complete);
    assert_string_equal(trc_reader_note(r, "run.end"), "later");
    uint64_t reads = r->source.reads;
    trc_reader_close(r);
    return reads;
}

static void opening_costs_the_same_reads_whatever_the_size(void **state)
{
    (void)state;
    write_blocks(40, false);
    uint64_t small = reads_of_open();
    write_blocks(BLOCKS, false);
    struct trc_reader *r = open_path();
    assert_int_equal(trc_reader_info(r)->records, BLOCKS);
    assert_true(r->totals.places.known);
    assert_int_equal(r->index.n, 0); /* not read */
    trc_reader_close(r);
    assert_true(small <= 4);
    assert_true(reads_of_open() <= 5); /* the notes stand before a long index */
}

static void a_seek_takes_five_reads_at_most(void **state)
{
    (void)state;
    struct err e = {0};
    write_blocks(BLOCKS, false);
    struct trc_reader *r = open_path();
    int64_t last = trc_reader_info(r)->last_ns;
    for (int i = 1; i < 4; i++) {
        struct trc_block *b;
        uint64_t before = r->source.reads;
        check_ok(trc_reader_seek(r, last / 4 * i, &e), &e);
        assert_int_equal(trc_reader_next(r, &b, &e), 1);
        assert_true(b->ops[0].arrival_ns >= last / 4 * i);
        assert_true(r->source.reads - before <= 5);
        trc_block_free(b);
    }
    trc_reader_close(r);
}

/* What stands behind the last record is cut off. */
static void a_survey_reads_headers_alone(void **state)
{
    (void)state;
    struct err e = {0};
    write_blocks(100, false);
    struct trc_reader *r = open_path();
    off_t end = (off_t)r->totals.index_offset;
    trc_reader_close(r);
    assert_int_equal(truncate(path, end), 0);

    r = open_path();
    uint64_t before = r->source.reads;
    check_ok(trc_reader_survey(r, &e), &e);
    assert_int_equal(trc_reader_info(r)->records, 100);
    /* One for each header; META blocks are read whole; one finds the end. */
    assert_true(r->source.reads - before <= 102 + 2 + 2);
    trc_reader_close(r);
}

static void late_answers_are_known_of_without_the_index(void **state)
{
    (void)state;
    for (int late = 0; late < 2; late++) {
        write_blocks(3, late);
        struct trc_reader *r = open_path();
        assert_int_equal(trc_reader_has_late(r), late);
        trc_reader_close(r);
    }
}

/* The header checksum of the first INDEX block is broken. */
static void a_broken_index_is_found_when_it_is_needed(void **state)
{
    (void)state;
    struct err e = {0};
    write_blocks(40, false);
    struct trc_reader *r = open_path();
    off_t at = (off_t)r->totals.index_offset + 130;
    int64_t last = trc_reader_info(r)->last_ns;
    trc_reader_close(r);
    int fd = open(path, O_RDWR);
    uint8_t byte;
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    close(fd);

    struct trc_block *b;
    r = open_path();
    check_ok(trc_reader_seek(r, last, &e), &e);
    assert_int_equal(trc_reader_next(r, &b, &e), 1);
    assert_int_equal(b->ops[0].arrival_ns, last);
    trc_block_free(b);
    assert_int_equal(trc_reader_verify(r, &e), ERR_FORMAT);
    check_str_has(e.text, "checksum");
    trc_reader_close(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(opening_costs_the_same_reads_whatever_the_size,
                                  remove_path),
        cmocka_unit_test_teardown(a_seek_takes_five_reads_at_most, remove_path),
        cmocka_unit_test_teardown(a_survey_reads_headers_alone, remove_path),
        cmocka_unit_test_teardown(late_answers_are_known_of_without_the_index,
                                  remove_path),
        cmocka_unit_test_teardown(a_broken_index_is_found_when_it_is_needed,
                                  remove_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * test_trc_writer.c - what the writer promises: order, notes, flushes, failures, equal
 * bytes; and how readers find their way in its files.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/check.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/trc_random.h"
#include "traces/base/buf.h"
#include "traces/container/trc_format.h"

static char path[64], other[96];

static int make_paths(void **state)
{
    (void)state;
    snprintf(path, sizeof path, "/tmp/test_trc_writer.%ld", (long)getpid());
    snprintf(other, sizeof other, "%s.other", path);
    return 0;
}

static int remove_paths(void **state)
{
    (void)state;
    unlink(path);
    unlink(other);
    return 0;
}

static const struct trc_random plain = {4, 10, 200, true, true, 1};

static void write_ops(const char *to, const struct op *ops, size_t n,
                      struct trc_options options, const char *note)
{
    struct err e = {0};
    struct trc_writer *w;
    check_ok(trc_writer_open(&w, to, &options, &e), &e);
    check_ok(trc_writer_note(w, "synth.seed", note, &e), &e);
    for (size_t i = 0; i < n; i++)
        check_ok(trc_writer_op(w, &ops[i], &e), &e);
    check_ok(trc_writer_close(w, &e), &e);
}

static struct trc_info info_of(const char *from)
{
    struct trc_reader *r;
    struct err e = {0};
    check_ok(trc_reader_open(&r, from, &e), &e);
    struct trc_info info = *trc_reader_info(r);
    check_ok(trc_reader_verify(r, &e), &e);
    trc_reader_close(r);
    return info;
}

static bool same_files(void)
{
    struct buf a = {0}, b = {0};
    struct err e = {0};
    check_ok(buf_read_file(&a, path, BUF_MAX, &e), &e);
    check_ok(buf_read_file(&b, other, BUF_MAX, &e), &e);
    bool same = a.n == b.n && memcmp(a.p, b.p, a.n) == 0;
    buf_done(&a);
    buf_done(&b);
    return same;
}

static void equal_input_gives_equal_bytes_and_other_input_another_file_id(void **state)
{
    (void)state;
    struct arena a = {0};
    const struct op *ops = trc_random_ops(&a, 1, 500, &plain);
    struct trc_options options = {.kind = TRC_TRACE, .block_records = 64};
    write_ops(path, ops, 500, options, "1");
    write_ops(other, ops, 500, options, "1");
    check_true(same_files());
    struct buf first = {0}, second = {0};
    struct err e = {0};
    write_ops(other, ops, 500, options, "2");
    check_ok(buf_read_file(&first, path, BUF_MAX, &e), &e);
    check_ok(buf_read_file(&second, other, BUF_MAX, &e), &e);
    check_true(memcmp(first.p + 24, second.p + 24, 8) != 0);
    buf_reset(&second);
    write_ops(other, ops + 1, 499, options, "1"); /* same notes, other operations */
    check_ok(buf_read_file(&second, other, BUF_MAX, &e), &e);
    check_true(memcmp(first.p + 24, second.p + 24, 8) != 0);
    buf_done(&first);
    buf_done(&second);
    arena_done(&a);
}

static void the_content_hash_does_not_depend_on_blocks_or_compression(void **state)
{
    (void)state;
    struct arena a = {0};
    struct op *ops = trc_random_ops(&a, 2, 300, &plain);
    write_ops(path, ops, 300, (struct trc_options){.kind = TRC_TRACE}, "1");
    struct trc_info one = info_of(path);
    write_ops(other, ops, 300,
              (struct trc_options){.kind = TRC_TRACE, .block_records = 7, .level = 12},
              "another note");
    struct trc_info two = info_of(other);
    check_true(one.blocks != two.blocks);
    check_true(memcmp(one.content_hash, two.content_hash, 16) == 0);
    ops[150].flags ^= 1u << 20;
    write_ops(other, ops, 300, (struct trc_options){.kind = TRC_TRACE}, "1");
    two = info_of(other);
    check_true(memcmp(one.content_hash, two.content_hash, 16) != 0);
    arena_done(&a);
}

/* Late answers end up as if they had been there: same hash, and each told once. */
static void late_answers_count_as_answers(void **state)
{
    (void)state;
    struct arena a = {0};
    struct err e = {0};
    struct trc_writer *w;
    const size_t n = 300;
    struct op *ops = trc_random_ops(&a, 3, n, &plain);
    for (size_t i = 0; i < n; i++)
        ops[i].flags = 0; /* of a late answer they would be its own */
    write_ops(path, ops, n, (struct trc_options){.kind = TRC_TRACE}, "1");
    struct trc_info want = info_of(path);
    struct trc_options options = {.kind = TRC_TRACE, .block_records = 50};
    check_ok(trc_writer_open(&w, other, &options, &e), &e);
    for (size_t i = 0; i < n; i++) {
        struct op bare = ops[i];
        const struct op none = op_empty();
        bare.first_ns = none.first_ns;
        bare.last_ns = none.last_ns;
        bare.status = none.status;
        bare.grpc_status = none.grpc_status;
        bare.response_codings = none.response_codings;
        bare.response = none.response;
        bare.response_messages = none.response_messages;
        check_ok(trc_writer_op(w, &bare, &e), &e);
        if (i % 3 == 2) { /* two of three at once, mostly while their block is open */
            check_ok(trc_writer_late(w, &ops[i], &e), &e);
            check_ok(trc_writer_late(w, &ops[i - 1], &e), &e);
        }
    }
    for (size_t i = n; i > 0; i -= 3) /* the rest long after, backwards */
        check_ok(trc_writer_late(w, &ops[i - 3], &e), &e);
    struct op stranger = ops[0];
    stranger.index = n;
    check_int(trc_writer_late(w, &stranger, &e), ==, ERR_USAGE);
    err_clear(&e);
    check_ok(trc_writer_close(w, &e), &e);

    struct trc_info got = info_of(other);
    check_int(got.records, ==, want.records);
    check_true(memcmp(got.content_hash, want.content_hash, 16) == 0);
    struct trc_reader *r;
    struct trc_block *b;
    size_t late = 0;
    check_ok(trc_reader_open(&r, other, &e), &e);
    int rc;
    while ((rc = trc_reader_next(r, &b, &e)) == 1) {
        for (uint32_t i = 0; i < b->late_count; i++, late++) {
            const char *field =
                trc_answer_difference(&ops[b->late[i].index], &b->late[i]);
            if (field)
                fail_msg("late answer to %d differs in %s", (int)b->late[i].index,
                         field);
        }
        trc_block_free(b);
    }
    check_ok(rc, &e);
    check_true(late >= n / 3 - 20 && late < n);
    trc_reader_close(r);
    arena_done(&a);
}

/* Flags stay with the answer, also where its operation's block is still open, and the
 * order of answers to one operation is kept. */
static void a_late_answer_keeps_its_flags(void **state)
{
    (void)state;
    struct err e = {0};
    struct trc_writer *w;
    struct trc_reader *r;
    struct trc_block *b;
    struct op_stream s = {.name = SPAN_LIT("iris")};
    struct trc_options options = {.kind = TRC_TRACE};
    static const struct {
        uint64_t index;
        uint32_t flags;
        uint16_t status;
    } told[] = {{1, 0, 200}, /* joins its operation */
                {2, OP_FLAG_GAP, 500},
                {2, 0, 503}, /* must not join it: it would count as the older one */
                {0, OP_FLAG_REDACTED | 1u << 31, 200},
                {3, OP_FLAG_GAP, 0}};
    check_ok(trc_writer_open(&w, path, &options, &e), &e);
    struct op o = op_empty();
    o.stream = &s;
    o.flags = OP_FLAG_OPAQUE;
    for (uint64_t i = 0; i < 4; i++)
        check_ok(trc_writer_op(w, &o, &e), &e);
    for (size_t i = 0; i < sizeof told / sizeof *told; i++) {
        struct op answer = op_empty();
        answer.index = told[i].index;
        answer.flags = told[i].flags;
        answer.status = told[i].status;
        check_ok(trc_writer_late(w, &answer, &e), &e);
    }
    check_ok(trc_writer_close(w, &e), &e);
    check_ok(trc_reader_open(&r, path, &e), &e);
    check_int(trc_reader_next(r, &b, &e), ==, 1);
    check_int(b->count, ==, 4);
    for (uint32_t i = 0; i < 4; i++) {
        check_int(b->ops[i].flags, ==, OP_FLAG_OPAQUE);
        check_int(b->ops[i].status, ==, i == 1 ? 200 : 0);
    }
    trc_block_free(b);
    check_int(trc_reader_next(r, &b, &e), ==, 1);
    static const size_t order[] = {3, 1, 2, 4};
    check_int(b->late_count, ==, 4);
    for (uint32_t i = 0; i < 4; i++) {
        check_int(b->late[i].index, ==, told[order[i]].index);
        check_int(b->late[i].flags, ==, told[order[i]].flags);
        check_int(b->late[i].status, ==, told[order[i]].status);
    }
    trc_block_free(b);
    check_int(trc_reader_next(r, &b, &e), ==, 0);
    trc_reader_close(r);
}

static void an_answer_gives_the_same_hash_early_or_late(void **state)
{
    (void)state;
    const struct op_message parts[] = {{500, 10}, {600, 4}};
    struct err e = {0};
    struct trc_writer *w;
    struct op_stream s = {.name = SPAN_LIT("iris")};
    struct trc_info infos[3];
    for (int how = 0; how < 3; how++) {
        struct trc_options options = {.kind = TRC_TRACE,
                                      .block_records = how == 2 ? 1 : 100};
        check_ok(trc_writer_open(&w, path, &options, &e), &e);
        for (uint64_t i = 0; i < 9; i++) {
            struct op o = op_empty(), answer = op_empty();
            o.stream = &s;
            o.arrival_ns = (int64_t)i * 1000;
            answer.index = i;
            answer.status = 200;
            answer.last_ns = 700;
            answer.response = op_body_of(SPAN_LIT("{\"outputs\":[]}"));
            answer.response_messages = (struct op_messages){parts, 2};
            if (how == 0) {
                o.status = answer.status;
                o.last_ns = answer.last_ns;
                o.response = answer.response;
                o.response_messages = answer.response_messages;
            }
            check_ok(trc_writer_op(w, &o, &e), &e);
            if (how > 0)
                check_ok(trc_writer_late(w, &answer, &e), &e);
        }
        check_ok(trc_writer_close(w, &e), &e);
        infos[how] = info_of(path);
    }
    check_true(memcmp(infos[0].content_hash, infos[1].content_hash, 16) == 0);
    check_true(memcmp(infos[0].content_hash, infos[2].content_hash, 16) == 0);
}

/* The first message of a stream of many stands in one block with others, and LATE. */
static void messages_of_streams_come_back_on_the_grid(void **state)
{
    (void)state;
    struct err e = {0};
    struct trc_writer *w;
    struct trc_reader *r;
    struct trc_block *b;
    struct op_stream s = {.name = SPAN_LIT("iris")};
    struct op o = op_empty();
    const struct op_message asked[] = {{0, 3}, {2500, 0}, {7999, 4}},
                            told[] = {{9001, 1}, {9000, 2}};
    struct trc_options options = {.kind = TRC_TRACE, .resolution_ns = 1000};
    o.stream = &s;
    o.request = op_body_of(SPAN_LIT("onetwo."));
    o.request_messages = (struct op_messages){asked, 3};
    o.first_ns = 9000;
    o.response = op_body_of(SPAN_LIT("abc"));
    o.response_messages = (struct op_messages){told, 2};
    check_ok(trc_writer_open(&w, path, &options, &e), &e);
    check_ok(trc_writer_op(w, &o, &e), &e);
    o.request_messages.count = 2;
    check_int(trc_writer_op(w, &o, &e), ==, ERR_USAGE);
    check_str(e.text, "request whose messages are not as many bytes as its body");
    err_clear(&e);
    o.request_messages.count = OP_MESSAGES_MAX + 1;
    check_int(trc_writer_op(w, &o, &e), ==, ERR_LIMIT);
    err_clear(&e);
    check_ok(trc_writer_close(w, &e), &e);
    check_ok(trc_reader_open(&r, path, &e), &e);
    check_int(trc_reader_next(r, &b, &e), ==, 1);
    check_int(b->count, ==, 1);
    const struct op *got = &b->ops[0];
    const struct op_message want[] = {{0, 3}, {2000, 0}, {7000, 4}};
    check_int(got->request_messages.count, ==, 3);
    check_true(memcmp(got->request_messages.v, want, sizeof want) == 0);
    check_int(got->response_messages.count, ==, 2);
    check_int(got->response_messages.v[0].at_ns, ==, 9000);
    check_int(got->response_messages.v[1].bytes, ==, 2);
    trc_block_free(b);
    check_ok(trc_reader_verify(r, &e), &e);
    trc_reader_close(r);
}

static void a_step_back_in_time_is_refused_and_harms_nothing(void **state)
{
    (void)state;
    struct err e = {0};
    struct trc_writer *w;
    struct op_stream s = {.name = SPAN_LIT("iris")};
    struct op o = op_empty();
    struct trc_options options = {.kind = TRC_TRACE};
    o.stream = &s;
    o.arrival_ns = 1000;
    check_ok(trc_writer_open(&w, path, &options, &e), &e);
    check_ok(trc_writer_op(w, &o, &e), &e);
    o.arrival_ns = 999;
    check_int(trc_writer_op(w, &o, &e), ==, ERR_USAGE);
    check_str(e.text, "operation 1 arrives before the one in front of it");
    err_clear(&e);
    o.arrival_ns = 1000;
    check_ok(trc_writer_op(w, &o, &e), &e);
    check_int(trc_writer_outcome(w, &(struct outcome){0}, &e), ==, ERR_USAGE);
    err_clear(&e);
    check_ok(trc_writer_close(w, &e), &e);
    check_int(info_of(path).records, ==, 2);
}

static void records_that_cannot_be_stored_are_refused(void **state)
{
    (void)state;
    struct err e = {0};
    struct trc_writer *w;
    struct op_stream s = {.name = SPAN_LIT("iris")}, bad = s;
    struct trc_options options = {.kind = TRC_TRACE};
    static uint8_t big[TRC_STRING_MAX + 1];
    check_ok(trc_writer_open(&w, path, &options, &e), &e);
    struct op o = op_empty();
    check_int(trc_writer_op(w, &o, &e), ==, ERR_USAGE); /* no stream */
    err_clear(&e);
    o.stream = &s;
    o.weight = 0;
    check_int(trc_writer_op(w, &o, &e), ==, ERR_USAGE);
    err_clear(&e);
    o.weight = 1;
    o.id = span_of(big, sizeof big);
    check_int(trc_writer_op(w, &o, &e), ==, ERR_LIMIT);
    err_clear(&e);
    o.id = (struct span){0};
    o.request =
        (struct op_body){.state = OP_BODY_KEPT, .bytes = 3, .data = SPAN_LIT("ab")};
    check_int(trc_writer_op(w, &o, &e), ==, ERR_USAGE);
    err_clear(&e);
    o.request = (struct op_body){0};
    bad.path = span_of(big, sizeof big);
    o.stream = &bad;
    check_int(trc_writer_op(w, &o, &e), ==, ERR_LIMIT);
    err_clear(&e);
    bad = s;
    bad.tier = OP_TIER_COUNT;
    check_int(trc_writer_op(w, &o, &e), ==, ERR_USAGE);
    err_clear(&e);
    o.stream = &s;
    o.first_ns = -TRC_TIME_MAX; /* each could be, but not the span between them */
    o.last_ns = TRC_TIME_MAX;
    check_int(trc_writer_op(w, &o, &e), ==, ERR_LIMIT);
    err_clear(&e);
    o.first_ns = o.last_ns = OP_TIME_NONE;
    check_ok(trc_writer_op(w, &o, &e), &e);
    check_ok(trc_writer_close(w, &e), &e);
    check_int(info_of(path).records, ==, 1);
}

static void a_wrong_hash_from_the_caller_is_not_believed(void **state)
{
    (void)state;
    struct err e = {0};
    struct trc_writer *w;
    struct trc_reader *r;
    struct trc_block *b;
    struct op_stream s = {.name = SPAN_LIT("iris")};
    struct trc_options options = {.kind = TRC_TRACE};
    struct op_body right = op_body_of(SPAN_LIT("body")), wrong = right;
    wrong.hash[0] ^= 1;
    struct op_body other_body = op_body_of(SPAN_LIT("ydob"));
    other_body.hash[0] = right.hash[0]; /* claims to be the first */
    other_body.hash[1] = right.hash[1];
    const struct op_body bodies[] = {right, wrong, other_body};
    check_ok(trc_writer_open(&w, path, &options, &e), &e);
    for (int i = 0; i < 3; i++) {
        struct op o = op_empty();
        o.stream = &s;
        o.request = bodies[i];
        check_ok(trc_writer_op(w, &o, &e), &e);
    }
    check_ok(trc_writer_close(w, &e), &e);
    check_ok(trc_reader_open(&r, path, &e), &e);
    check_int(trc_reader_next(r, &b, &e), ==, 1);
    check_span(b->ops[1].request.data, "body");
    check_true(b->ops[1].request.hash[0] == right.hash[0]);
    check_span(b->ops[2].request.data, "ydob");
    check_true(b->ops[2].request.hash[0] == op_body_of(SPAN_LIT("ydob")).hash[0]);
    trc_block_free(b);
    trc_reader_close(r);
}

static void notes_are_known_at_the_open_and_later_ones_replace_earlier(void **state)
{
    (void)state;
    struct err e = {0};
    struct trc_writer *w;
    struct trc_reader *r;
    struct op_stream s = {.name = SPAN_LIT("iris")};
    struct op o = op_empty();
    struct trc_options options = {
        .kind = TRC_TRACE, .block_records = 1, .epoch_wall_ns = 1700000000000000000};
    static char big[TRC_NOTE_MAX + 2];
    memset(big, 'x', sizeof big - 1);
    o.stream = &s;
    check_ok(trc_writer_open(&w, path, &options, &e), &e);
    check_ok(trc_writer_note(w, "a", "1", &e), &e);
    check_ok(trc_writer_note(w, "b", "", &e), &e);
    check_int(trc_writer_note(w, "big", big, &e), ==, ERR_LIMIT);
    err_clear(&e);
    check_int(trc_writer_note(w, "", "x", &e), ==, ERR_LIMIT);
    err_clear(&e);
    check_ok(trc_writer_op(w, &o, &e), &e);
    check_ok(trc_writer_note(w, "a", "2", &e), &e);
    check_ok(trc_writer_note(w, "run.health", "VALID", &e), &e);
    check_ok(trc_writer_close(w, &e), &e);
    check_ok(trc_reader_open(&r, path, &e), &e);
    check_str(trc_reader_note(r, "a"), "2");
    check_str(trc_reader_note(r, "b"), "");
    check_str(trc_reader_note(r, "run.health"), "VALID");
    check_true(trc_reader_note(r, "c") == NULL);
    const char *key, *value;
    check_true(trc_reader_note_at(r, 2, &key, &value));
    check_str(key, "run.health");
    check_true(!trc_reader_note_at(r, 3, &key, &value));
    check_int(trc_reader_info(r)->epoch_wall_ns, ==, 1700000000000000000);
    check_ok(trc_reader_verify(r, &e), &e);
    trc_reader_close(r);
}

static void an_empty_trace_is_a_whole_file(void **state)
{
    (void)state;
    struct trc_block *b;
    struct trc_reader *r;
    struct err e = {0};
    write_ops(path, NULL, 0, (struct trc_options){.kind = TRC_TRACE}, "1");
    struct trc_info info = info_of(path);
    check_int(info.records, ==, 0);
    check_true(info.complete);
    check_ok(trc_reader_open(&r, path, &e), &e);
    check_int(trc_reader_next(r, &b, &e), ==, 0);
    check_int(trc_reader_next(r, &b, &e), ==, 0);
    check_str(trc_reader_note(r, "synth.seed"), "1");
    trc_reader_close(r);
}

static void blocks_go_out_by_age(void **state)
{
    (void)state;
    struct err e = {0};
    struct trc_writer *w;
    struct stat st;
    struct op_stream s = {.name = SPAN_LIT("iris")};
    struct op o = op_empty();
    struct clk_hand *hand = clk_hand_new((struct clk_mono){5}, (struct clk_wall){7});
    struct trc_options options = {
        .kind = TRC_TRACE, .flush_ns = 1000, .clk = clk_hand_clk(hand)};
    o.stream = &s;
    check_ok(trc_writer_open(&w, path, &options, &e), &e);
    check_ok(trc_writer_op(w, &o, &e), &e);
    clk_hand_advance(hand, 999);
    check_ok(trc_writer_op(w, &o, &e), &e);
    check_ok(trc_writer_tick(w, &e), &e);
    check_int(stat(path, &st), ==, 0);
    check_int(st.st_size, ==, 0);
    clk_hand_advance(hand, 1);
    check_ok(trc_writer_tick(w, &e), &e);
    check_int(stat(path, &st), ==, 0);
    check_int(st.st_size, >, 2 * TRC_HEAD_BYTES);
    off_t size = st.st_size;
    clk_hand_advance(hand, 5000);
    check_ok(trc_writer_tick(w, &e), &e); /* nothing is pending */
    check_int(stat(path, &st), ==, 0);
    check_int(st.st_size, ==, size);
    check_ok(trc_writer_close(w, &e), &e);
    check_int(info_of(path).records, ==, 2);
    clk_hand_free(hand);
}

static void a_full_disk_is_an_error_and_whole_blocks_stay(void **state)
{
    (void)state;
    struct arena a = {0};
    struct err e = {0};
    struct trc_writer *w;
    const struct op *ops = trc_random_ops(&a, 5, 400, &plain);
    struct trc_options options = {.kind = TRC_TRACE, .block_records = 50};
    check_ok(trc_writer_open(&w, "/dev/full", &options, &e), &e);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < 400; i++)
        rc = trc_writer_op(w, &ops[i], &e);
    check_int(rc, ==, ERR_IO);
    check_int(e.sys, ==, ENOSPC);
    check_str_has(e.text, "cannot write '/dev/full' at byte 0");
    err_clear(&e);
    check_int(trc_writer_op(w, &ops[0], &e), ==, ERR_IO);
    check_int(trc_writer_close(w, &e), ==, ERR_IO);

    /* A file that may not grow beyond some bytes in the middle of a block. */
    struct rlimit old, low;
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old);
    low = (struct rlimit){.rlim_cur = 10001, .rlim_max = old.rlim_max};
    setrlimit(RLIMIT_FSIZE, &low);
    err_clear(&e);
    check_ok(trc_writer_open(&w, path, &options, &e), &e);
    rc = 0;
    for (size_t i = 0; rc == 0 && i < 400; i++)
        rc = trc_writer_op(w, &ops[i], &e);
    check_int(rc, ==, ERR_IO);
    check_int(trc_writer_close(w, NULL), ==, ERR_IO);
    setrlimit(RLIMIT_FSIZE, &old);
    struct trc_reader *r;
    struct trc_block *b;
    uint64_t seen = 0;
    err_clear(&e);
    check_ok(trc_reader_open(&r, path, &e), &e);
    while ((rc = trc_reader_next(r, &b, &e)) == 1) {
        seen += b->count;
        trc_block_free(b);
    }
    check_int(rc, ==, ERR_TRUNCATED);
    check_int(trc_reader_lost_blocks(r), ==, 0); /* the torn block was cut away */
    check_true(seen > 0 && seen % 50 == 0);
    trc_reader_close(r);
    arena_done(&a);
}

struct pumping {
    const struct op *ops;
    size_t n;
    char to[64];
    struct err e;
};

static void *pump(void *arg)
{
    struct pumping *p = arg;
    struct trc_writer *w;
    struct trc_options options = {.kind = TRC_TRACE, .block_records = 30};
    if (trc_writer_open(&w, p->to, &options, &p->e) < 0)
        return p;
    for (size_t i = 0; i < p->n; i++)
        if (trc_writer_op(w, &p->ops[i], &p->e) < 0) {
            trc_writer_abandon(w);
            return p;
        }
    return trc_writer_close(w, &p->e) < 0 ? p : NULL;
}

static void a_pipe_carries_a_trace_with_its_blobs(void **state)
{
    (void)state;
    struct arena a = {0};
    struct err e = {0};
    struct trc_reader *r;
    struct trc_block *b;
    int fds[2];
    char from[64];
    const struct trc_random how = {3, 6, 60000, true, true, 1};
    struct pumping p = {.ops = trc_random_ops(&a, 6, 500, &how), .n = 500};
    check_int(pipe(fds), ==, 0);
    snprintf(p.to, sizeof p.to, "/proc/self/fd/%d", fds[1]);
    snprintf(from, sizeof from, "/proc/self/fd/%d", fds[0]);
    pthread_t thread;
    check_int(pthread_create(&thread, NULL, pump, &p), ==, 0);
    check_ok(trc_reader_open(&r, from, &e), &e);
    close(fds[1]); /* the writer has opened its own by now */
    size_t seen = 0;
    int rc;
    check_int(trc_reader_seek(r, 0, &e), ==, ERR_USAGE);
    err_clear(&e);
    while ((rc = trc_reader_next(r, &b, &e)) == 1) {
        for (uint32_t i = 0; i < b->count; i++, seen++) {
            const char *field = trc_op_difference(&p.ops[seen], &b->ops[i]);
            if (field)
                fail_msg("operation %zu differs in %s", seen, field);
        }
        trc_block_free(b);
    }
    check_ok(rc, &e);
    check_int(seen, ==, 500);
    check_true(trc_reader_info(r)->complete);
    check_int(trc_reader_info(r)->records, ==, 500);
    void *failed;
    pthread_join(thread, &failed);
    if (failed)
        fail_msg("%s", p.e.text);
    close(fds[0]);
    trc_reader_close(r);
    arena_done(&a);
}

static void seeking_gives_the_block_that_holds_the_time(void **state)
{
    (void)state;
    struct arena a = {0};
    struct err e = {0};
    struct trc_reader *r;
    struct trc_block *b;
    const size_t n = 1000;
    const struct trc_random how = {4, 10, 30000, true, true, 1};
    struct op *ops = trc_random_ops(&a, 7, n, &how);
    for (int closed = 0; closed < 2; closed++) {
        struct trc_writer *w;
        struct trc_options options = {.kind = TRC_TRACE, .block_records = 37};
        check_ok(trc_writer_open(&w, path, &options, &e), &e);
        for (size_t i = 0; i < n; i++)
            check_ok(trc_writer_op(w, &ops[i], &e), &e);
        if (closed)
            check_ok(trc_writer_close(w, &e), &e);
        else
            trc_writer_abandon(w);
        size_t whole = closed ? n : n / 37 * 37;
        check_ok(trc_reader_open(&r, path, &e), &e);
        for (size_t i = 0; i < whole; i += 61) {
            check_ok(trc_reader_seek(r, ops[i].arrival_ns, &e), &e);
            check_int(trc_reader_next(r, &b, &e), ==, 1);
            uint32_t k = 0;
            while (k < b->count && b->ops[k].arrival_ns < ops[i].arrival_ns)
                k++;
            check_true(k < b->count);
            check_int(b->ops[k].arrival_ns, ==, ops[i].arrival_ns);
            const char *field = trc_op_difference(&ops[b->ops[k].index], &b->ops[k]);
            if (field)
                fail_msg("operation %zu differs in %s", i, field);
            trc_block_free(b);
        }
        check_ok(trc_reader_seek(r, ops[n - 1].arrival_ns + 1, &e), &e);
        check_int(trc_reader_next(r, &b, &e), ==, closed ? 0 : ERR_TRUNCATED);
        err_clear(&e);
        check_ok(trc_reader_survey(r, &e), &e);
        check_int(trc_reader_info(r)->records, ==, whole);
        check_int(trc_reader_info(r)->last_ns, ==, ops[whole - 1].arrival_ns);
        trc_reader_close(r);
    }
    arena_done(&a);
}

static void only_what_is_wanted_is_decoded(void **state)
{
    (void)state;
    struct arena a = {0};
    struct err e = {0};
    struct trc_reader *r;
    struct trc_block *b;
    const struct op *ops = trc_random_ops(&a, 8, 100, &plain);
    write_ops(path, ops, 100, (struct trc_options){.kind = TRC_TRACE}, "1");
    for (unsigned want = 0; want <= TRC_READ_ALL; want++) {
        check_ok(trc_reader_open(&r, path, &e), &e);
        trc_reader_want(r, want);
        check_int(trc_reader_next(r, &b, &e), ==, 1);
        for (uint32_t i = 0; i < b->count; i++) {
            struct op o = ops[i], none = op_empty();
            if (!(want & TRC_READ_ANSWERS)) {
                o.status = none.status;
                o.grpc_status = none.grpc_status;
                o.response_codings = none.response_codings;
                o.first_ns = none.first_ns;
                o.last_ns = none.last_ns;
            }
            if (!(want & TRC_READ_IDS)) {
                o.id = none.id;
                o.connection = none.connection;
                o.conn_stream = none.conn_stream;
                o.client = none.client;
                o.tokens_in = none.tokens_in;
                o.tokens_out = none.tokens_out;
                o.weight = none.weight;
            }
            if (!(want & TRC_READ_PAYLOAD)) {
                o.request = none.request;
                o.request_messages = none.request_messages;
            }
            if (!(want & TRC_READ_PAYLOAD) || !(want & TRC_READ_ANSWERS)) {
                o.response = none.response;
                o.response_messages = none.response_messages;
            }
            const char *field = trc_op_difference(&o, &b->ops[i]);
            if (field)
                fail_msg("with groups %u operation %u differs in %s", want, i, field);
        }
        trc_block_free(b);
        trc_reader_close(r);
    }
    arena_done(&a);
}

static void blocks_outlive_their_reader(void **state)
{
    (void)state;
    struct arena a = {0};
    struct err e = {0};
    struct trc_reader *r;
    struct trc_block *held[8] = {NULL};
    const struct trc_random how = {3, 4, 30000, true, true, 1};
    const struct op *ops = trc_random_ops(&a, 9, 80, &how);
    write_ops(path, ops, 80,
              (struct trc_options){.kind = TRC_TRACE, .block_records = 10}, "1");
    check_ok(trc_reader_open(&r, path, &e), &e);
    for (int i = 0; i < 8; i++)
        check_int(trc_reader_next(r, &held[i], &e), ==, 1);
    trc_reader_close(r);
    for (int i = 7; i >= 0; i--) {
        for (uint32_t k = 0; k < held[i]->count; k++) {
            const struct op *o = &held[i]->ops[k];
            const char *field = trc_op_difference(&ops[o->index], o);
            if (field)
                fail_msg("operation %d differs in %s", (int)o->index, field);
        }
        trc_block_free(held[i]);
    }
    arena_done(&a);
}

/* A queue of one block between the thread that reads and the one that looks and frees.
 */
struct handing {
    pthread_mutex_t lock;
    pthread_cond_t moved;
    struct trc_block *block;
    bool over;
    uint64_t seen;
};

/* Touches every byte of a body, which is what a sender does. */
static bool is_sound(const struct op_body *b)
{
    uint64_t hash[2];
    op_body_hash(b->data, hash);
    return b->state != OP_BODY_KEPT || hash[0] == b->hash[0];
}

static void *use_blocks(void *arg)
{
    struct handing *h = arg;
    for (;;) {
        pthread_mutex_lock(&h->lock);
        while (!h->block && !h->over)
            pthread_cond_wait(&h->moved, &h->lock);
        struct trc_block *b = h->block;
        h->block = NULL;
        pthread_cond_broadcast(&h->moved);
        pthread_mutex_unlock(&h->lock);
        if (!b)
            return NULL;
        for (uint32_t i = 0; i < b->count; i++)
            h->seen += is_sound(&b->ops[i].request);
        trc_block_free(b);
    }
}

static void blocks_are_used_and_freed_by_another_thread(void **state)
{
    (void)state;
    struct arena a = {0};
    struct err e = {0};
    struct trc_reader *r;
    struct trc_block *b;
    const struct trc_random how = {3, 4, 30000, true, true, 1}; /* with blobs */
    struct handing h = {.lock = PTHREAD_MUTEX_INITIALIZER,
                        .moved = PTHREAD_COND_INITIALIZER};
    pthread_t user;
    const struct op *ops = trc_random_ops(&a, 10, 500, &how);
    write_ops(path, ops, 500,
              (struct trc_options){.kind = TRC_TRACE, .block_records = 5}, "1");
    check_ok(trc_reader_open(&r, path, &e), &e);
    check_int(pthread_create(&user, NULL, use_blocks, &h), ==, 0);
    int rc;
    while ((rc = trc_reader_next(r, &b, &e)) == 1) {
        pthread_mutex_lock(&h.lock);
        while (h.block)
            pthread_cond_wait(&h.moved, &h.lock);
        h.block = b;
        pthread_cond_broadcast(&h.moved);
        pthread_mutex_unlock(&h.lock);
    }
    check_ok(rc, &e);
    trc_reader_close(r); /* with blocks still in use */
    pthread_mutex_lock(&h.lock);
    h.over = true;
    pthread_cond_broadcast(&h.moved);
    pthread_mutex_unlock(&h.lock);
    pthread_join(user, NULL);
    check_int(h.seen, ==, 500);
    arena_done(&a);
}

static void bodies_larger_than_a_blob_come_back_whole(void **state)
{
    (void)state;
    struct err e = {0};
    struct trc_writer *w;
    struct trc_reader *r;
    struct trc_block *b;
    struct op_stream s = {.name = SPAN_LIT("resnet")};
    struct trc_options options = {.kind = TRC_TRACE, .level = 1};
    const size_t n = TRC_BLOB_MAX * 2 + 12345;
    uint8_t *body = calloc(1, n);
    for (size_t i = 0; i < n; i += 997)
        body[i] = (uint8_t)i;
    struct op o = op_empty();
    o.stream = &s;
    o.request = op_body_of(span_of(body, n));
    check_ok(trc_writer_open(&w, path, &options, &e), &e);
    for (int i = 0; i < 3; i++)
        check_ok(trc_writer_op(w, &o, &e), &e);
    o.request.data.n = o.request.bytes = (size_t)TRC_BODY_MAX + 1;
    check_int(trc_writer_op(w, &o, &e), ==, ERR_LIMIT);
    err_clear(&e);
    check_ok(trc_writer_close(w, &e), &e);
    check_ok(trc_reader_open(&r, path, &e), &e);
    int seen = 0, rc;
    while ((rc = trc_reader_next(r, &b, &e)) == 1) {
        for (uint32_t i = 0; i < b->count; i++, seen++) {
            check_int(b->ops[i].request.data.n, ==, n);
            check_true(memcmp(b->ops[i].request.data.p, body, n) == 0);
        }
        trc_block_free(b);
    }
    check_ok(rc, &e);
    check_int(seen, ==, 3);
    check_int(trc_reader_info(r)->file_bytes, <, n / 4);
    trc_reader_close(r);
    free(body);
}

/* n bytes in which nothing repeats. */
static uint8_t *noise(uint64_t seed, size_t n)
{
    struct rng rng;
    uint8_t *p = malloc(n + 8);
    rng_init(&rng, seed);
    for (size_t i = 0; i < n; i += 8) {
        uint64_t v = rng_u64(&rng);
        memcpy(p + i, &v, sizeof v);
    }
    return p;
}

/* Counts BLOBS blocks, and records in them. */
static size_t blob_blocks(const char *from, uint64_t *blobs)
{
    struct buf file = {0};
    struct err e = {0};
    size_t count = 0;
    check_ok(buf_read_file(&file, from, BUF_MAX, &e), &e);
    struct trc_head h;
    bool checked;
    *blobs = 0;
    for (size_t at = 0; at < file.n; at += (size_t)trc_head_block_bytes(&h)) {
        struct span rest = span_sub(buf_view(&file), at, at + TRC_HEAD_BYTES);
        check_ok(trc_head_decode(rest, at, &h, &checked, &e), &e);
        if (h.kind == TRC_BLOBS) {
            count++;
            *blobs += h.records;
        }
        if (h.kind == TRC_FOOTER)
            break;
    }
    buf_done(&file);
    return count;
}

/* What all payload groups of a file have, and what they take in it. */
static void group_bytes(const char *from, uint64_t *raw, uint64_t *packed)
{
    struct buf file = {0};
    struct err e = {0};
    check_ok(buf_read_file(&file, from, BUF_MAX, &e), &e);
    struct trc_head h = {0};
    bool checked;
    *raw = *packed = 0;
    for (size_t at = 0; h.kind != TRC_FOOTER; at += (size_t)trc_head_block_bytes(&h)) {
        struct span rest = span_sub(buf_view(&file), at, at + TRC_HEAD_BYTES);
        check_ok(trc_head_decode(rest, at, &h, &checked, &e), &e);
        *raw += h.raw[TRC_PAYLOAD];
        *packed += h.packed[TRC_PAYLOAD];
    }
    buf_done(&file);
}

enum { NUMBERS = 1024, MESSAGES = 200 };

/* What the payload groups of a trace take, whose bodies are numbers drawn by `draw`. */
static void payload_of(int level, float (*draw)(struct rng *), uint64_t *raw,
                       uint64_t *packed)
{
    struct err e = {0};
    struct trc_writer *w;
    struct trc_reader *r;
    struct trc_block *b;
    struct op_stream s = {.name = SPAN_LIT("cifar10")};
    struct trc_options options = {.level = level, .block_records = 64};
    static float bodies[MESSAGES][NUMBERS];
    struct rng rng;
    rng_init(&rng, 5);
    for (size_t i = 0; i < MESSAGES; i++)
        for (size_t k = 0; k < NUMBERS; k++)
            bodies[i][k] = draw(&rng);
    check_ok(trc_writer_open(&w, path, &options, &e), &e);
    for (size_t i = 0; i < MESSAGES; i++) {
        struct op o = op_empty();
        o.stream = &s;
        o.arrival_ns = (int64_t)i;
        o.request = op_body_of(span_of(bodies[i], sizeof bodies[i]));
        check_ok(trc_writer_op(w, &o, &e), &e);
    }
    check_ok(trc_writer_close(w, &e), &e);
    check_ok(trc_reader_open(&r, path, &e), &e);
    for (size_t seen = 0; trc_reader_next(r, &b, &e) == 1; trc_block_free(b))
        for (uint32_t i = 0; i < b->count; i++, seen++)
            check_true(span_eq(b->ops[i].request.data,
                               span_of(bodies[seen], sizeof bodies[seen])));
    check_ok(e.code, &e);
    trc_reader_close(r);
    group_bytes(path, raw, packed);
    check_int(*raw, >, sizeof bodies);
}

static float any_number(struct rng *r)
{
    return (float)rng_unit(r);
}

static float normal_number(struct rng *r)
{
    return (float)rng_normal(r);
}

static float number_to_a_tenth(struct rng *r)
{
    return (float)rng_below(r, 80) / 10.0F;
}

static void bodies_that_compressing_makes_hardly_smaller_stay_as_they_are(void **state)
{
    (void)state;
    uint64_t raw, packed;
    payload_of(0, any_number, &raw, &packed);
    check_int(packed, >, raw);
    payload_of(0, normal_number, &raw, &packed);
    check_int(packed, >, raw);
    payload_of(0, number_to_a_tenth, &raw, &packed);
    check_int(packed, <, raw / 2);
    payload_of(2, any_number, &raw, &packed); /* a level that was asked for is kept */
    check_int(packed, <, raw / 100 * 95);
    payload_of(TRC_LEVEL_STORE, number_to_a_tenth, &raw, &packed);
    check_int(packed, >, raw);
}

enum { PLAIN_KINDS = 6 };

/* Small, repeating, and large bodies; those of i and i + PLAIN_KINDS are equal. */
static struct op_body plain_body(uint8_t *const large[], size_t i)
{
    static const size_t bytes[PLAIN_KINDS] = {
        100, 60000, 16384, 300000, TRC_BLOB_MAX + 77, 20000};
    size_t k = i % PLAIN_KINDS;
    return op_body_of(span_of(large[k], bytes[k]));
}

static void large_bodies_are_written_plain_at_first_sight_and_once(void **state)
{
    (void)state;
    struct err e = {0};
    struct trc_writer *w;
    struct trc_reader *r;
    struct trc_block *b;
    struct op_stream s = {.name = SPAN_LIT("resnet")};
    uint8_t *large[PLAIN_KINDS];
    for (size_t i = 0; i < PLAIN_KINDS; i++)
        large[i] = noise(i, TRC_BLOB_MAX + 100);
    memset(large[1], 'r', TRC_BLOB_MAX);
    static const struct {
        int level;
        uint32_t plain_from;
        bool trust;
        uint64_t blobs; /* of 2 × PLAIN_KINDS bodies */
    } cases[] = {
        {0, 16384, true, 5 + 1}, /* the repeating one comes again in another block */
        {0, 16384, false, 5 + 1},
        {TRC_LEVEL_STORE, 16384, true, 5 + 1},
        {0, 0, false, 2 + 4}, /* at second sight, but for the one above a blob */
    };
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        struct trc_options options = {.kind = TRC_TRACE,
                                      .level = cases[k].level,
                                      .plain_from = cases[k].plain_from,
                                      .trust_hashes = cases[k].trust,
                                      .block_records = PLAIN_KINDS};
        check_ok(trc_writer_open(&w, path, &options, &e), &e);
        for (size_t i = 0; i < 2 * PLAIN_KINDS; i++) {
            struct op o = op_empty();
            o.stream = &s;
            o.arrival_ns = (int64_t)i;
            o.request = plain_body(large, i);
            check_ok(trc_writer_op(w, &o, &e), &e);
            struct op answer = op_empty(); /* large ones, too: late */
            answer.index = i;
            answer.status = 200;
            answer.response = plain_body(large, i + 3);
            check_ok(trc_writer_late(w, &answer, &e), &e);
        }
        check_ok(trc_writer_close(w, &e), &e);
        uint64_t blobs;
        blob_blocks(path, &blobs);
        check_int(blobs, ==, cases[k].blobs);
        check_ok(trc_reader_open(&r, path, &e), &e);
        size_t seen = 0;
        while (trc_reader_next(r, &b, &e) == 1) {
            for (uint32_t i = 0; i < b->count; i++, seen++) {
                struct op_body want = plain_body(large, seen);
                check_true(span_eq(b->ops[i].request.data, want.data));
                want = plain_body(large, seen + 3);
                if (b->ops[i].status == 200)
                    check_true(span_eq(b->ops[i].response.data, want.data));
            }
            trc_block_free(b);
        }
        check_ok(e.code, &e);
        check_int(seen, ==, 2 * PLAIN_KINDS);
        check_ok(trc_reader_verify(r, &e), &e);
        trc_reader_close(r);
    }
    for (size_t i = 0; i < PLAIN_KINDS; i++)
        free(large[i]);
}

/* Plain blobs count as payload of the block that uses them: it does not wait. */
static void blocks_of_plain_bodies_stay_near_their_blobs(void **state)
{
    (void)state;
    struct err e = {0};
    struct trc_writer *w;
    struct op_stream s = {.name = SPAN_LIT("resnet")};
    struct trc_options options = {.kind = TRC_TRACE, .plain_from = 65536};
    const size_t n = (size_t)1 << 20;
    check_ok(trc_writer_open(&w, path, &options, &e), &e);
    for (int i = 0; i < 40; i++) {
        uint8_t *body = noise((uint64_t)i, n);
        struct op o = op_empty();
        o.stream = &s;
        o.request = op_body_of(span_of(body, n));
        check_ok(trc_writer_op(w, &o, &e), &e);
        free(body);
    }
    check_ok(trc_writer_close(w, &e), &e);
    check_int(info_of(path).blocks, ==, 1 + 40 + 40 / 4 + 1 + 1);
}

static void a_killed_writer_of_plain_bodies_leaves_whole_blocks(void **state)
{
    (void)state;
    struct err e = {0};
    struct trc_writer *w;
    struct trc_reader *r;
    struct trc_block *b;
    struct op_stream s = {.name = SPAN_LIT("resnet")};
    struct trc_options options = {
        .kind = TRC_TRACE, .plain_from = 16384, .block_records = 2};
    const size_t n = 20000;
    check_ok(trc_writer_open(&w, path, &options, &e), &e);
    for (int i = 0; i < 5; i++) {
        uint8_t *body = noise((uint64_t)i, n);
        struct op o = op_empty();
        o.stream = &s;
        o.request = op_body_of(span_of(body, n));
        check_ok(trc_writer_op(w, &o, &e), &e);
        free(body);
    }
    trc_writer_abandon(w);
    check_ok(trc_reader_open(&r, path, &e), &e);
    size_t seen = 0;
    while (trc_reader_next(r, &b, &e) == 1) {
        for (uint32_t i = 0; i < b->count; i++, seen++) {
            uint8_t *body = noise(seen, n);
            check_true(span_eq(b->ops[i].request.data, span_of(body, n)));
            free(body);
        }
        trc_block_free(b);
    }
    check_int(seen, ==, 4);
    trc_reader_close(r);
}

/* A steady run: 64 connections, lognormal service times, arrivals of a Poisson process
 * at 1,000/s, one answer per model. Lateness as a pacer that spins before due has it.
 */
static void an_outcome_of_a_steady_run_takes_16_bytes_at_most(void **state)
{
    (void)state;
    struct err e = {0};
    struct trc_writer *w;
    struct rng rng;
    struct trc_options options = {.kind = TRC_RUN};
    struct op_stream s[4] = {{.name = SPAN_LIT("iris")},
                             {.name = SPAN_LIT("tfsimple")},
                             {.name = SPAN_LIT("add10"), .protocol = OP_GRPC},
                             {.name = SPAN_LIT("echo"), .protocol = OP_GRPC}};
    const size_t n = 50000;
    double due = 0;
    struct outcome window[64];
    rng_init(&rng, 1);
    check_ok(trc_writer_open(&w, path, &options, &e), &e);
    for (size_t i = 0; i < n; i++) {
        struct outcome o = outcome_empty();
        uint64_t which = rng_below(&rng, 4);
        due += 1e6 * rng_exponential(&rng);
        o.op_index = i;
        o.stream = &s[which];
        o.due_ns = o.ready_ns = (int64_t)due;
        o.sent_ns = o.ready_ns + 900 + (int64_t)(600 * rng_exponential(&rng));
        o.first_ns = o.sent_ns + (int64_t)(2e6 * exp(0.5 * rng_normal(&rng)));
        o.done_ns = o.first_ns + 300 + (int64_t)rng_below(&rng, 400);
        o.status = 200;
        o.grpc_status = which >= 2 ? 0 : -1;
        o.attempts = 1;
        o.worker = (uint16_t)(i % 2);
        o.connection = (uint32_t)rng_below(&rng, 32);
        o.bytes_out = 200 + 10 * which;
        o.bytes_in = 240 + 10 * which;
        o.answer_hash = 1000 + which;
        /* They are handed over as they finish, not as they were due. */
        size_t slot = (size_t)rng_below(&rng, 64);
        if (i >= 64)
            check_ok(trc_writer_outcome(w, &window[slot], &e), &e);
        else
            slot = i;
        window[slot] = o;
    }
    for (size_t i = 0; i < 64; i++)
        check_ok(trc_writer_outcome(w, &window[i], &e), &e);
    check_ok(trc_writer_close(w, &e), &e);
    struct trc_info info = info_of(path);
    double each = (double)info.file_bytes / (double)n;
    print_message("%.2f bytes per outcome\n", each);
    check_true(each <= 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies_that_compressing_makes_hardly_smaller_stay_as_they_are),
        cmocka_unit_test(large_bodies_are_written_plain_at_first_sight_and_once),
        cmocka_unit_test(blocks_of_plain_bodies_stay_near_their_blobs),
        cmocka_unit_test(a_killed_writer_of_plain_bodies_leaves_whole_blocks),
        cmocka_unit_test(equal_input_gives_equal_bytes_and_other_input_another_file_id),
        cmocka_unit_test(the_content_hash_does_not_depend_on_blocks_or_compression),
        cmocka_unit_test(late_answers_count_as_answers),
        cmocka_unit_test(a_late_answer_keeps_its_flags),
        cmocka_unit_test(an_answer_gives_the_same_hash_early_or_late),
        cmocka_unit_test(messages_of_streams_come_back_on_the_grid),
        cmocka_unit_test(a_step_back_in_time_is_refused_and_harms_nothing),
        cmocka_unit_test(records_that_cannot_be_stored_are_refused),
        cmocka_unit_test(a_wrong_hash_from_the_caller_is_not_believed),
        cmocka_unit_test(notes_are_known_at_the_open_and_later_ones_replace_earlier),
        cmocka_unit_test(an_empty_trace_is_a_whole_file),
        cmocka_unit_test(blocks_go_out_by_age),
        cmocka_unit_test(a_full_disk_is_an_error_and_whole_blocks_stay),
        cmocka_unit_test(a_pipe_carries_a_trace_with_its_blobs),
        cmocka_unit_test(seeking_gives_the_block_that_holds_the_time),
        cmocka_unit_test(only_what_is_wanted_is_decoded),
        cmocka_unit_test(blocks_outlive_their_reader),
        cmocka_unit_test(blocks_are_used_and_freed_by_another_thread),
        cmocka_unit_test(bodies_larger_than_a_blob_come_back_whole),
        cmocka_unit_test(an_outcome_of_a_steady_run_takes_16_bytes_at_most),
    };
    return cmocka_run_group_tests(tests, make_paths, remove_paths);
}

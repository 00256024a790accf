/*
 * test_exp_late.c - answers that stand behind their operations are found before these
 * are exported, the last one of each, and up to a limit.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/tool/exp_late.h"

#include <stdlib.h>
#include <unistd.h>

#include "tests/unit/check.h"

#define OPS 40u

static char path[] = "/tmp/test_exp_late.XXXXXX";

static int make_path(void **state)
{
    (void)state;
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int remove_path(void **state)
{
    (void)state;
    return unlink(path);
}

/* Blocks of four operations; those at multiples of `every` are answered at the end, the
 * first of them twice. */
static void write_trace(uint32_t every)
{
    static const struct op_message parts[] = {{5, 2}, {6, 3}};
    struct op_stream s = {.protocol = OP_REST, .name = SPAN_LIT("m")};
    struct trc_options options = {.kind = TRC_TRACE, .block_records = 4};
    struct trc_writer *w;
    struct err e = {0};
    check_ok(trc_writer_open(&w, path, &options, &e), &e);
    struct op o = op_empty();
    o.stream = &s;
    o.flags = OP_FLAG_REDACTED;
    o.request = op_body_of(SPAN_LIT("asked"));
    for (uint32_t i = 0; i < OPS; i++) {
        o.arrival_ns = i;
        check_ok(trc_writer_op(w, &o, &e), &e);
    }
    for (uint32_t i = 0; every > 0 && i < OPS; i += every) {
        struct op late = op_empty();
        late.index = i;
        late.status = 500;
        late.flags = OP_FLAG_TRUNCATED; /* goes with the answer */
        if (i == 0)
            check_ok(trc_writer_late(w, &late, &e), &e);
        late.status = 200;
        late.flags = OP_FLAG_GAP;
        late.first_ns = 5;
        late.last_ns = 7;
        late.response_codings = 1;
        late.response = op_body_of(SPAN_LIT("hello"));
        late.response_messages = (struct op_messages){parts, 2};
        check_ok(trc_writer_late(w, &late, &e), &e);
    }
    check_ok(trc_writer_close(w, &e), &e);
}

static void the_last_answer_of_each_is_joined(void **state)
{
    (void)state;
    struct exp_late l = {0};
    struct err e = {0};
    write_trace(3);
    check_ok(exp_late_read(&l, path, &e), &e);
    for (uint32_t i = 0; i < OPS + 4; i++) {
        struct op o = op_empty();
        bool late = i % 3 == 0 && i < OPS - 4; /* the last block was still open */
        o.index = i;
        if (i >= OPS - 4 && i < OPS)
            continue;
        check_int(exp_late_has(&l, i), ==, late);
        exp_late_join(&l, &o);
        check_int(o.status, ==, late ? 200 : 0);
        check_int(o.response_codings, ==, late);
        check_int(o.flags, ==, late ? OP_FLAG_GAP : 0);
        check_int(o.last_ns, ==, late ? 7 : OP_TIME_NONE);
        check_int(o.response_messages.count, ==, late ? 2 : 0);
        check_true(span_eq(o.response.data, late ? SPAN_LIT("hello") : SPAN_LIT("")));
        if (late)
            check_int(o.response_messages.v[1].at_ns, ==, 6);
    }
    exp_late_join(NULL, NULL);
    check_true(!exp_late_has(NULL, 0));
    exp_late_done(&l);
}

static void what_is_beyond_the_limit_is_not_gathered(void **state)
{
    (void)state;
    struct exp_late all = {0}, few = {.bytes_max = 2048};
    /* Room for the first answer of operation 0, not for the one that counts. */
    struct exp_late one = {.bytes_max = sizeof(struct op) + 1};
    struct err e = {0};
    write_trace(1);
    check_ok(exp_late_read(&all, path, &e), &e);
    check_ok(exp_late_read(&few, path, &e), &e);
    check_ok(exp_late_read(&one, path, &e), &e);
    for (uint32_t i = 0; i < OPS - 4; i++) {
        check_true(exp_late_has(&all, i));
        check_true(!exp_late_has(&one, i));
    }
    check_true(exp_late_has(&few, 0));
    check_true(!exp_late_has(&few, OPS - 5));
    exp_late_done(&all);
    exp_late_done(&few);
    exp_late_done(&one);
}

static void a_trace_without_any_is_not_read_twice(void **state)
{
    (void)state;
    struct exp_late l = {0};
    struct err e = {0};
    write_trace(0);
    check_ok(exp_late_read(&l, path, &e), &e);
    check_int(l.n, ==, 0);
    check_int(exp_late_read(&l, "/nowhere/at/all", &e), ==, ERR_IO);
    exp_late_done(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_answer_of_each_is_joined),
        cmocka_unit_test(what_is_beyond_the_limit_is_not_gathered),
        cmocka_unit_test(a_trace_without_any_is_not_read_twice),
    };
    return cmocka_run_group_tests(tests, make_path, remove_path);
}

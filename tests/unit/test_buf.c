/*
 * test_buf.c - owned bytes: growth, sticky failure, whole files.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/check.h"
#include "traces/base/buf.h"

static void a_zeroed_buf_is_a_valid_empty_one(void **state)
{
    (void)state;
    struct buf b = {0};
    check_int(buf_view(&b).n, ==, 0);
    buf_add(&b, NULL, 0);
    buf_span(&b, (struct span){0});
    buf_shift(&b, 0);
    buf_shift(&b, 5);
    check_str(buf_text(&b), "");
    check_ok(buf_check(&b, NULL), NULL);
    buf_done(&b);
    check_true(b.p == NULL && b.n == 0 && b.cap == 0);
    buf_done(&b);
}

static void appends_land_behind_one_another(void **state)
{
    (void)state;
    struct buf b = {0};
    buf_str(&b, "ab");
    buf_u8(&b, 'c');
    buf_fmt(&b, "%d-%s", 7, "x");
    buf_zeros(&b, 2);
    buf_u16(&b, 0x0102);
    buf_u32(&b, 0x01020304);
    buf_u32_be(&b, 0x01020304);
    buf_u64(&b, UINT64_C(0x0102030405060708));
    static const char wanted[] = "abc7-x\0\0\2\1\4\3\2\1\1\2\3\4\10\7\6\5\4\3\2\1";
    check_int(b.n, ==, sizeof wanted - 1);
    assert_memory_equal(b.p, wanted, sizeof wanted - 1);
    buf_done(&b);
}

static void text_has_a_nul_that_does_not_count(void **state)
{
    (void)state;
    struct buf b = {0};
    for (int i = 0; i < 64; i++)
        buf_u8(&b, 'x'); /* full to the capacity */
    const char *text = buf_text(&b);
    check_int(strlen(text), ==, 64);
    check_int(b.n, ==, 64);
    buf_u8(&b, 'y');
    check_int(strlen(buf_text(&b)), ==, 65);
    buf_done(&b);
}

static void formatting_grows_as_far_as_it_must(void **state)
{
    (void)state;
    struct buf b = {0};
    for (int n = 250; n < 262; n++) { /* around the room of the first try */
        buf_reset(&b);
        buf_fmt(&b, "<%*d>", n, 5);
        check_int(b.n, ==, n + 2);
        check_int(b.p[b.n - 1], ==, '>');
        check_int(b.p[b.n - 2], ==, '5');
    }
    buf_fmt(&b, "%*s", 100000, "z");
    check_int(b.n, ==, 100000 + 263);
    check_int(b.p[b.n - 1], ==, 'z');
    buf_done(&b);
}

static void shift_drops_from_the_front(void **state)
{
    (void)state;
    struct buf b = {0};
    buf_str(&b, "abcdef");
    buf_shift(&b, 2);
    check_span(buf_view(&b), "cdef");
    buf_shift(&b, 4);
    check_int(b.n, ==, 0);
    buf_str(&b, "x");
    buf_shift(&b, SIZE_MAX);
    check_int(b.n, ==, 0);
    buf_done(&b);
}

static void failure_sticks_until_reset(void **state)
{
    (void)state;
    struct buf b = {0};
    struct err e = {0};
    buf_str(&b, "kept");
    buf_reserve(&b, BUF_MAX); /* together beyond the limit, before any allocation */
    check_true(b.failed);
    buf_str(&b, " lost");
    check_true(buf_grow(&b, 1) == NULL);
    check_span(buf_view(&b), "kept");
    check_str(buf_text(&b), "");
    check_int(buf_check(&b, &e), ==, ERR_NOMEM);
    check_str_has(e.text, "out of memory");
    buf_reset(&b);
    buf_str(&b, "again");
    check_ok(buf_check(&b, NULL), NULL);
    check_span(buf_view(&b), "again");
    buf_grow(&b, SIZE_MAX); /* no overflow in the sum */
    check_true(b.failed);
    buf_done(&b);
}

static char *temp_file(const char *bytes, size_t n)
{
    static char path[64];
    strcpy(path, "/tmp/test_buf_XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    check_int(write(fd, bytes, n), ==, n);
    close(fd);
    return path;
}

static void a_file_is_read_whole_behind_what_is_there(void **state)
{
    (void)state;
    char *path = temp_file("a\0b\n", 4);
    struct buf b = {0};
    struct err e = {0};
    buf_str(&b, ">");
    check_ok(buf_read_file(&b, path, 4, &e), &e);
    check_int(b.n, ==, 5);
    assert_memory_equal(b.p, ">a\0b\n", 5);
    unlink(path);
    buf_done(&b);
}

static void a_file_beyond_the_limit_is_refused_and_leaves_nothing(void **state)
{
    (void)state;
    char *path = temp_file("12345", 5);
    struct buf b = {0};
    struct err e = {0};
    buf_str(&b, "kept");
    check_int(buf_read_file(&b, path, 4, &e), ==, ERR_LIMIT);
    check_str_has(e.text, path);
    check_str_has(e.text, "larger than the limit of 4 bytes");
    check_span(buf_view(&b), "kept");
    check_ok(buf_read_file(&b, path, SIZE_MAX, NULL), NULL);
    check_span(buf_view(&b), "kept12345");
    err_clear(&e);
    check_int(buf_read_file(&b, path, 0, &e), ==, ERR_LIMIT);
    unlink(path);
    buf_done(&b);
}

static void a_file_that_hides_its_size_is_read_to_its_end(void **state)
{
    (void)state;
    struct buf b = {0};
    struct err e = {0};
    check_ok(buf_read_file(&b, "/proc/self/status", 1 << 20, &e),
             &e); /* st_size is 0 */
    check_str_has(buf_text(&b), "VmRSS");
    buf_reset(&b);
    check_int(buf_read_file(&b, "/dev/zero", 1 << 20, &e), ==, ERR_LIMIT); /* no end */
    check_int(b.n, ==, 0);
    buf_done(&b);
}

static void a_file_that_cannot_be_read_is_named(void **state)
{
    (void)state;
    struct buf b = {0};
    struct err e = {0};
    check_int(buf_read_file(&b, "/nonexistent/x", 10, &e), ==, ERR_IO);
    check_str(e.text, "cannot open '/nonexistent/x': No such file or directory");
    check_int(e.sys, ==, ENOENT);
    err_clear(&e);
    check_int(buf_read_file(&b, "/tmp", 10, &e), ==, ERR_IO);
    check_int(e.sys, ==, EISDIR);
    buf_done(&b);
}

static void a_dash_is_standard_input(void **state)
{
    (void)state;
    int ends[2], saved = dup(STDIN_FILENO);
    check_int(pipe(ends), ==, 0);
    check_int(write(ends[1], "piped", 5), ==, 5);
    close(ends[1]);
    dup2(ends[0], STDIN_FILENO);
    close(ends[0]);
    struct buf b = {0};
    struct err e = {0};
    int rc = buf_read_file(&b, "-", 100, &e);
    dup2(saved, STDIN_FILENO);
    close(saved);
    check_ok(rc, &e);
    check_span(buf_view(&b), "piped");
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_zeroed_buf_is_a_valid_empty_one),
        cmocka_unit_test(appends_land_behind_one_another),
        cmocka_unit_test(text_has_a_nul_that_does_not_count),
        cmocka_unit_test(formatting_grows_as_far_as_it_must),
        cmocka_unit_test(shift_drops_from_the_front),
        cmocka_unit_test(failure_sticks_until_reset),
        cmocka_unit_test(a_file_is_read_whole_behind_what_is_there),
        cmocka_unit_test(a_file_beyond_the_limit_is_refused_and_leaves_nothing),
        cmocka_unit_test(a_file_that_hides_its_size_is_read_to_its_end),
        cmocka_unit_test(a_file_that_cannot_be_read_is_named),
        cmocka_unit_test(a_dash_is_standard_input),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

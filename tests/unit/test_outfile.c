/*
 * test_outfile.c - nothing is written over unasked, and no input ever.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "traces/base/outfile.h"

static char dir[] = "/tmp/test-outfile-XXXXXX";

static void make(char *path, size_t n, const char *name, const char *text)
{
    snprintf(path, n, "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static int enter(void **state)
{
    (void)state;
    return mkdtemp(dir) ? chdir(dir) : -1;
}

static int leave(void **state)
{
    (void)state;
    static const char *const names[] = {"full", "empty", "link"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unlink(names[i]);
    return rmdir(dir);
}

static void a_file_with_contents_needs_force(void **state)
{
    (void)state;
    char path[64];
    struct err e = {0};
    make(path, sizeof path, "full", "x");
    check_int(outfile_check(path, false, NULL, 0, &e), ==, ERR_USAGE);
    check_str_has(e.text, "full' exists already; --force replaces it");
    err_clear(&e);
    check_ok(outfile_check(path, true, NULL, 0, &e), &e);
}

static void what_holds_nothing_may_be_written(void **state)
{
    (void)state;
    char path[64];
    struct err e = {0};
    make(path, sizeof path, "empty", "");
    check_ok(outfile_check(path, false, NULL, 0, &e), &e);
    check_ok(outfile_check("-", false, NULL, 0, &e), &e);
    check_ok(outfile_check("/dev/null", false, NULL, 0, &e), &e);
    check_ok(outfile_check("no-such-folder/file", false, NULL, 0, &e), &e);
}

static void an_input_is_never_written_by_whatever_name(void **state)
{
    (void)state;
    char path[64];
    const char *in[] = {"empty", "full"};
    struct err e = {0};
    make(path, sizeof path, "full", "x");
    check_int(outfile_check(path, true, in, 2, &e), ==, ERR_USAGE);
    check_str_has(e.text, "full' is read: it cannot be written at the same time");
    err_clear(&e);
    check_int(link(path, "link"), ==, 0);
    check_int(outfile_check("link", true, in, 2, &e), ==, ERR_USAGE);
    err_clear(&e);
    check_ok(outfile_check("link", true, in, 1, &e), &e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_with_contents_needs_force),
        cmocka_unit_test(what_holds_nothing_may_be_written),
        cmocka_unit_test(an_input_is_never_written_by_whatever_name),
    };
    return cmocka_run_group_tests(tests, enter, leave);
}

/*
 * test_err.c - messages keep the first cause, its context and its end.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <string.h>

#include "tests/unit/check.h"

static void a_zeroed_err_is_no_error(void **state)
{
    (void)state;
    struct err e = {0};
    check_int(e.code, ==, ERR_OK);
    check_int(err_exit_status(e.code), ==, EXIT_DONE);
}

static void the_first_cause_wins(void **state)
{
    (void)state;
    struct err e = {0};
    check_int(err_set(&e, ERR_FORMAT, "bad %s", "magic"), ==, ERR_FORMAT);
    check_int(err_set(&e, ERR_LIMIT, "later"), ==, ERR_LIMIT);
    check_int(err_at(&e, ERR_TRUNCATED, 7, "later"), ==, ERR_TRUNCATED);
    check_int(err_sys(&e, EIO, "later"), ==, ERR_IO);
    check_int(e.code, ==, ERR_FORMAT);
    check_str(e.text, "bad magic");
    check_true(!e.has_at);
    check_int(e.sys, ==, 0);
}

static void a_note_stands_in_front(void **state)
{
    (void)state;
    struct err e = {0};
    err_set(&e, ERR_FORMAT, "checksum mismatch");
    check_int(err_note(&e, "block %d", 12), ==, ERR_FORMAT);
    check_int(err_note(&e, "opening '%s'", "day1.trace"), ==, ERR_FORMAT);
    check_str(e.text, "opening 'day1.trace': block 12: checksum mismatch");
}

static void an_offset_is_kept_and_said(void **state)
{
    (void)state;
    struct err e = {0};
    check_int(err_at(&e, ERR_TRUNCATED, 99412, "wanted %d bytes", 8), ==,
              ERR_TRUNCATED);
    check_str(e.text, "wanted 8 bytes at byte 99412");
    check_true(e.has_at);
    check_int(e.at, ==, 99412);
}

static void errno_goes_last_and_is_kept(void **state)
{
    (void)state;
    struct err e = {0};
    check_int(err_sys(&e, ENOENT, "cannot open '%s'", "x"), ==, ERR_IO);
    check_str(e.text, "cannot open 'x': No such file or directory");
    check_int(e.sys, ==, ENOENT);
    check_true(!e.retriable);
    err_clear(&e);
    check_int(err_sys(&e, ENOMEM, "cannot map"), ==, ERR_NOMEM);
    check_int(e.code, ==, ERR_NOMEM);
}

static void what_passes_by_itself_is_retriable(void **state)
{
    (void)state;
    const int passing[] = {EAGAIN, EINTR, ECONNREFUSED, ETIMEDOUT, EMFILE};
    const int lasting[] = {EACCES, ENOSPC, EINVAL};
    for (size_t i = 0; i < sizeof passing / sizeof *passing; i++) {
        struct err e = {0};
        err_sys(&e, passing[i], "x");
        check_true(e.retriable);
    }
    for (size_t i = 0; i < sizeof lasting / sizeof *lasting; i++) {
        struct err e = {0};
        err_sys(&e, lasting[i], "x");
        check_true(!e.retriable);
    }
    struct err e = {0};
    err_set(&e, ERR_TIMEOUT, "no answer");
    check_true(e.retriable);
}

static void an_overlong_note_keeps_both_ends(void **state)
{
    (void)state;
    struct err e = {0};
    char path[300];
    memset(path, 'd', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    err_set(&e, ERR_FORMAT, "checksum mismatch in block 7");
    err_note(&e, "reading '%s'", path);
    check_int(strlen(e.text), ==, sizeof e.text - 1);
    check_int(strncmp(e.text, "reading 'ddd", 12), ==, 0);
    check_str_has(e.text, "d...d");
    check_str(e.text + strlen(e.text) - 30, ": checksum mismatch in block 7");
}

static void many_notes_never_lose_the_cause(void **state)
{
    (void)state;
    struct err e = {0};
    err_sys(&e, ECONNREFUSED, "connect");
    for (int i = 0; i < 200; i++)
        err_note(&e, "level %d of a deep call", i);
    check_true(strlen(e.text) < sizeof e.text);
    check_int(strncmp(e.text, "level 199 of", 12), ==, 0);
    check_str_has(e.text, ": connect: Connection refused");
    check_int(e.sys, ==, ECONNREFUSED);
}

static void a_message_of_exactly_the_room_is_whole(void **state)
{
    (void)state;
    for (size_t n = sizeof((struct err *)0)->text - 3;
         n <= sizeof((struct err *)0)->text + 3; n++) {
        char text[300];
        memset(text, 'a', n);
        text[0] = '<';
        text[n - 1] = '>';
        text[n] = '\0';
        struct err e = {0};
        err_set(&e, ERR_USAGE, "%s", text);
        bool fits = n < sizeof e.text;
        check_int(strlen(e.text), ==, fits ? n : sizeof e.text - 1);
        check_int(e.text[0], ==, '<');
        check_int(e.text[strlen(e.text) - 1], ==, '>');
        check_int(strstr(e.text, "...") != NULL, ==, !fits);
    }
}

static void a_cut_never_splits_a_character(void **state)
{
    (void)state;
    for (int shift = 0; shift < 4; shift++) {
        char text[512] = "abc";
        text[shift] = '\0';
        while (strlen(text) < 400)
            strcat(text, "\xe2\x82\xac"); /* three bytes each */
        struct err e = {0};
        err_set(&e, ERR_USAGE, "%s", text);
        const char *dots = strstr(e.text, "...");
        check_true(dots != NULL);
        check_int((dots - e.text - shift) % 3, ==, 0);
        check_int(strlen(dots + 3) % 3, ==, 0);
    }
}

static void no_err_is_fine(void **state)
{
    (void)state;
    check_int(err_set(NULL, ERR_PEER, "x"), ==, ERR_PEER);
    check_int(err_at(NULL, ERR_LIMIT, 1, "x"), ==, ERR_LIMIT);
    check_int(err_sys(NULL, EIO, "x"), ==, ERR_IO);
    check_int(err_note(NULL, "x"), ==, ERR_FORMAT);
    err_clear(NULL);
}

static void every_code_has_its_exit_status(void **state)
{
    (void)state;
    check_int(err_exit_status(ERR_NOMEM), ==, EXIT_IO);
    check_int(err_exit_status(ERR_IO), ==, EXIT_IO);
    check_int(err_exit_status(ERR_FORMAT), ==, EXIT_DATA);
    check_int(err_exit_status(ERR_TRUNCATED), ==, EXIT_DATA);
    check_int(err_exit_status(ERR_LIMIT), ==, EXIT_DATA);
    check_int(err_exit_status(ERR_PEER), ==, EXIT_UNAVAILABLE);
    check_int(err_exit_status(ERR_TIMEOUT), ==, EXIT_UNAVAILABLE);
    check_int(err_exit_status(ERR_USAGE), ==, EXIT_USAGE);
    check_int(err_exit_status(ERR_STOPPED), ==, EXIT_INTERRUPTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_zeroed_err_is_no_error),
        cmocka_unit_test(the_first_cause_wins),
        cmocka_unit_test(a_note_stands_in_front),
        cmocka_unit_test(an_offset_is_kept_and_said),
        cmocka_unit_test(errno_goes_last_and_is_kept),
        cmocka_unit_test(what_passes_by_itself_is_retriable),
        cmocka_unit_test(an_overlong_note_keeps_both_ends),
        cmocka_unit_test(many_notes_never_lose_the_cause),
        cmocka_unit_test(a_message_of_exactly_the_room_is_whole),
        cmocka_unit_test(a_cut_never_splits_a_character),
        cmocka_unit_test(no_err_is_fine),
        cmocka_unit_test(every_code_has_its_exit_status),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

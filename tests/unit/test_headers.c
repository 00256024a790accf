/* test_headers.c - headers that users give by file or environment, and that no value of
 * theirs is ever told.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "replay/headers.h"
#include "traces/base/buf.h"

static struct rep_headers headers;
static struct err fault;
static char path[] = "/tmp/test_headers.XXXXXX";

static int setup(void **state)
{
    (void)state;
    fault = (struct err){0};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rep_headers_done(&headers);
    return 0;
}

static int make_file(void **state)
{
    (void)state;
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(path);
}

static const char *file_of(struct span text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    check_int(fwrite(text.p, 1, text.n, f), ==, text.n);
    check_int(fclose(f), ==, 0);
    return path;
}

/* Refused, for that reason, and without a word of what it holds. */
static void check_refused(struct span text, const char *why)
{
    rep_headers_done(&headers);
    fault = (struct err){0};
    check_int(rep_headers_file(&headers, file_of(text), &fault), ==, ERR_FORMAT);
    check_str_has(fault.text, why);
    check_str_has(fault.text, path);
    check_true(strstr(fault.text, "s3cret") == NULL);
}

static void headers_of_a_file_are_taken_in_order(void **state)
{
    (void)state;
    check_ok(rep_headers_file(&headers,
                              file_of(SPAN_LIT("# who we are\n"
                                               "Authorization: Basic dTpw\r\n"
                                               "\n"
                                               "  X-Tenant:blue:green \n"
                                               "x-last: 1")),
                              &fault),
             &fault);
    check_int(headers.n, ==, 3);
    check_span(headers.v[0].name, "authorization");
    check_span(headers.v[0].value, "Basic dTpw");
    check_span(headers.v[1].name, "x-tenant");
    check_span(headers.v[1].value, "blue:green");
    check_span(headers.v[2].value, "1");
    check_true(rep_headers_has(&headers, SPAN_LIT("AUTHORIZATION")));
    check_true(!rep_headers_has(&headers, SPAN_LIT("x-tenan")));

    struct buf names = {0};
    rep_headers_names(&headers, &names);
    check_str(buf_text(&names), "authorization, x-tenant, x-last");
    buf_done(&names);
}

static void what_is_no_header_is_refused_without_its_value(void **state)
{
    (void)state;
    check_refused(SPAN_LIT("x-a: 1\ns3cret\n"), "line 2: this is not 'name: value'");
    check_refused(SPAN_LIT(": s3cret"), "line 1: this is not");
    check_refused(SPAN_LIT("two words: s3cret"), "line 1: this is not");
    check_refused(SPAN_LIT("x-a: s3c\x01ret"), "the value of 'x-a'");
    check_refused(SPAN_LIT("x-a: s3cret\0"), "the value of 'x-a'");
    check_refused(SPAN_LIT("x-a:  "), "the value of 'x-a' is empty");
    check_refused(SPAN_LIT("x-a: s3cret\nX-A: s3cret2"),
                  "line 2: 'x-a' is given twice");
}

static void what_replay_sets_itself_cannot_be_given(void **state)
{
    static const char *const names[] = {
        "Host",         "content-length", "Transfer-Encoding",  "x-request-id",
        "seldon-model", "grpc-timeout",   "proxy-authorization"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char text[64];
        snprintf(text, sizeof text, "%s: s3cret", names[i]);
        check_refused(span_str(text), "is set by replay itself");
    }
}

static void limits_hold(void **state)
{
    struct buf text = {0};
    (void)state;
    for (int i = 0; i <= REP_HEADERS_MAX; i++)
        buf_fmt(&text, "x-%d: s3cret\n", i);
    check_refused(buf_view(&text), "line 33: more than 32 headers");
    buf_reset(&text);
    buf_str(&text, "x-a: s3cret");
    buf_zeros(&text, REP_HEADER_FILE_MAX);
    check_refused(buf_view(&text), "is longer than 65536 bytes");
    buf_reset(&text);
    buf_str(&text, "x-a: s3cret");
    for (unsigned i = 0; i < REP_HEADER_VALUE_MAX; i++)
        buf_u8(&text, 'a');
    check_refused(buf_view(&text), "longer than 16384 bytes");
    buf_done(&text);
}

static void a_token_becomes_the_bearer(void **state)
{
    (void)state;
    check_ok(
        rep_headers_bearer_file(&headers, file_of(SPAN_LIT("abc.def==\r\n")), &fault),
        &fault);
    check_span(headers.v[0].name, "authorization");
    check_span(headers.v[0].value, "Bearer abc.def==");
    rep_headers_done(&headers);
    check_ok(rep_headers_bearer(&headers, "abc", "REPRISE_BEARER", &fault), &fault);
    check_span(headers.v[0].value, "Bearer abc");

    check_int(rep_headers_bearer(&headers, "s3cret", "REPRISE_BEARER", &fault), ==,
              ERR_FORMAT);
    check_str(fault.text, "'REPRISE_BEARER': 'authorization' is given twice");
    static const char *const bad[] = {"s3cret two", "", "s3cr\xc3\xa9t", "s3\ncret"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct rep_headers h = {0};
        fault = (struct err){0};
        check_int(rep_headers_bearer(&h, bad[i], "REPRISE_BEARER", &fault), ==,
                  ERR_FORMAT);
        check_str_has(fault.text, "'REPRISE_BEARER' does not hold a token");
        check_true(strstr(fault.text, "s3") == NULL);
        rep_headers_done(&h);
    }
}

static void a_file_and_a_token_go_together(void **state)
{
    (void)state;
    check_ok(rep_headers_file(&headers, file_of(SPAN_LIT("x-a: 1\n")), &fault), &fault);
    check_ok(rep_headers_bearer(&headers, "abc", "REPRISE_BEARER", &fault), &fault);
    check_int(headers.n, ==, 2);
    check_span(headers.v[0].value, "1");
}

static void a_file_that_is_not_there_is_an_error_of_its_own(void **state)
{
    (void)state;
    check_int(rep_headers_file(&headers, "/nowhere/at/all", &fault), ==, ERR_IO);
    check_str_has(fault.text, "cannot open '/nowhere/at/all'");
    fault = (struct err){0};
    check_int(rep_headers_bearer_file(&headers, "/", &fault), ==, ERR_IO);
    check_str_has(fault.text, "cannot read '/'");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(headers_of_a_file_are_taken_in_order, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_is_no_header_is_refused_without_its_value,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(what_replay_sets_itself_cannot_be_given, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(limits_hold, setup, teardown),
        cmocka_unit_test_setup_teardown(a_token_becomes_the_bearer, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_and_a_token_go_together, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_file_that_is_not_there_is_an_error_of_its_own,
                                        setup, teardown),
    };
    return cmocka_run_group_tests(tests, make_file, remove_file);
}

/* test_sse.c - server-sent events: where they end, what they carry, however they come.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/check.h"

#include <stdio.h>
#include <string.h>

#include "traces/wire/sse.h"

/* Lengths of the events of a stream that comes in steps of `step` bytes: "12 7". */
static void lengths(const char *text, size_t step, char *out, size_t size)
{
    struct sse s = {0};
    size_t n = strlen(text), used = 0;
    *out = '\0';
    for (size_t at = 0; at < n; at += step) {
        struct span in = span_of(text + at, n - at < step ? n - at : step);
        for (;;) {
            enum sse_what what = sse_feed(&s, &in);
            if (what == SSE_EVENT)
                used += (size_t)snprintf(out + used, size - used, "%s%llu",
                                         used ? " " : "", (unsigned long long)s.bytes);
            if (what == SSE_MORE)
                break;
        }
    }
    if (sse_end(&s) == SSE_EVENT)
        snprintf(out + used, size - used, "%s%llu", used ? " " : "",
                 (unsigned long long)s.bytes);
}

static void events_end_where_the_standard_says_so(void **state)
{
    static const struct {
        const char *stream, *want;
    } cases[] = {
        {"data: a\n\ndata: b\n\n", "9 9"},
        {"data: a\r\n\r\ndata: b\r\n\r\n", "11 11"},
        {"data: a\r\rdata: b\r\r", "9 9"},
        {"data:a\rdata\r\r\ndata:b\n\n", "14 8"},
        {"event: x\nid: 1\ndata: a\ndata: b\n\n", "32"},
        {"data\n\n", "6"},                /* empty data is data */
        {": alive\n\ndata: a\n\n", "18"}, /* a comment is no event */
        {"database: x\n\nid: 1\n\n", ""}, /* nor is anything without data */
        {"data: a\n", ""},                /* nor what has no end */
        {"\n\n\ndata: a\n\n\n", "12"},    /* empty lines alone */
        {"\xef\xbb\xbf"
         "data: a\n\n",
         "12"}, /* a byte order mark stands before the first line */
        {"data: \xef\xbb\xbf\n\n", "11"},
        {" data: a\n\n", ""},
        {"dat\n\nadata: a\n\n", ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t step = 1; step <= 40; step++) {
            char got[64];
            lengths(cases[i].stream, step, got, sizeof got);
            check_str(got, cases[i].want);
        }
}

static void the_beginning_of_an_event_is_known(void **state)
{
    struct sse s = {0};
    struct span in = SPAN_LIT("data: a\n\nda");
    (void)state;
    check_true(!s.inside);
    check_int(sse_feed(&s, &in), ==, SSE_EVENT);
    check_true(!s.inside);
    check_int(sse_feed(&s, &in), ==, SSE_MORE);
    check_true(s.inside);
}

static void data_lines_are_joined(void **state)
{
    static const char *const cases[][2] = {
        {"data: {\"x\":1}\n\n", "{\"x\":1}"},
        {"event: e\r\ndata:a\r\ndata: b\r\ndata:  c\r\n\r\n", "a\nb\n c"},
        {"data\ndata: x\n\n", "\nx"},
        {": c\nid: 7\ndata: y\n\n", "y"},
        {"\xef\xbb\xbf"
         "data: z\r\r",
         "z"},
        {"database: no\n\n", ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf out = {0};
        sse_data(span_str(cases[i][0]), &out);
        check_span(buf_view(&out), cases[i][1]);
        buf_done(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_end_where_the_standard_says_so),
        cmocka_unit_test(the_beginning_of_an_event_is_known),
        cmocka_unit_test(data_lines_are_joined),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

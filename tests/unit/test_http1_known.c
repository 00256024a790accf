/* test_http1_known.c - traces/wire/http1_known. SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/check.h"

#include <stdlib.h>
#include <string.h>

#include "traces/wire/http1_known.h"

static const char request[] =
    "POST /v2/models/iris0/infer HTTP/1.1\r\nHost: seldon-mesh:9000\r\nAccept: */*\r\n"
    "X-Request-Id: 00000001-0000-4000-8000-0000deadbeef\r\nx-empty:\r\nx-tight:v\r\n"
    "x-odd: \t v \r\nExpect: 100-continue\r\nContent-Length: 98\r\n\r\n";
static const char response[] =
    "HTTP/1.1 200 OK\r\ncontent-length: 134\r\ndate: Tue, 14 Nov 2023 22:13:20 GMT\r\n"
    "Connection: keep-alive\r\nserver: envoy\r\n\r\n";
static const char chunked[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
                              "x-envoy-upstream-service-time: 7\r\n\r\n";
static const char two_lengths[] =
    "POST /v2/models/iris0/infer HTTP/1.1\r\nContent-Length: 98\r\n"
    "Content-Length: 98\r\nx: y\r\n\r\n";

/* In memory of its own, so that a byte read too far is found. */
static struct span copied(const void *bytes, size_t n)
{
    uint8_t *p = malloc(n ? n : 1);
    assert_non_null(p);
    memcpy(p, bytes, n);
    return span_of(p, n);
}

static void check_same_span(struct span a, struct span b)
{
    check_int(a.n, ==, b.n);
    if (a.n > 0)
        assert_ptr_equal(a.p, b.p);
}

/* What is known gives what parsing gives. */
static void check_same(struct http1_known *k, enum http1_kind kind, struct span text)
{
    static struct http1_head a, b;
    struct span in = copied(text.p, text.n);
    struct err e = {0}, f = {0};
    int want = http1_parse_head(kind, in, &a, &e);
    check_int(http1_known_parse(k, kind, in, &b, &f), ==, want);
    assert_string_equal(e.text, f.text);
    if (want == 0) {
        check_same_span(b.method, a.method);
        check_same_span(b.target, a.target);
        check_same_span(b.reason, a.reason);
        check_int(b.status, ==, a.status);
        check_int(b.minor_version, ==, a.minor_version);
        check_int(b.keep_alive, ==, a.keep_alive);
        check_int(b.chunked, ==, a.chunked);
        check_int(b.expect_continue, ==, a.expect_continue);
        check_int(b.has_length, ==, a.has_length);
        check_int(b.length, ==, a.length);
        check_int(b.bytes, ==, a.bytes);
        check_int(b.field_count, ==, a.field_count);
        for (uint32_t i = 0; i < a.field_count; i++) {
            check_same_span(b.fields[i].name, a.fields[i].name);
            check_same_span(b.fields[i].value, a.fields[i].value);
        }
    }
    free((void *)(uintptr_t)in.p);
}

/* The head is known, then comes changed at one place, then as it was. */
static void check_around(enum http1_kind kind, const char *text)
{
    struct http1_known *k = calloc(1, sizeof *k);
    assert_non_null(k);
    size_t n = strlen(text);
    char changed[512];
    for (size_t at = 0; at < n; at++) {
        for (unsigned c = 0; c < 256; c++) {
            memcpy(changed, text, n);
            changed[at] = (char)c; /* another byte in its place */
            check_same(k, kind, span_of(changed, n));
            memmove(changed + at + 1, text + at, n - at); /* and in front of it */
            check_same(k, kind, span_of(changed, n + 1));
        }
        check_same(k, kind, span_of(text, n));
        check_same(k, kind, span_of(text, at));
        memcpy(changed, text, at);
        memcpy(changed + at, text + at + 1, n - at - 1);
        check_same(k, kind, span_of(changed, n - 1));
        check_same(k, kind, span_of(text, n));
    }
    free(k);
}

static void what_is_known_is_what_parsing_says_whatever_byte_differs(void **state)
{
    (void)state;
    check_around(HTTP1_REQUEST, request);
    check_around(HTTP1_REQUEST, two_lengths);
    check_around(HTTP1_RESPONSE, response);
    check_around(HTTP1_RESPONSE, chunked);
}

/* What of a head may differ while it stays known: where it was remembered, the text is
 * still the first one's. */
static void
a_head_stays_known_while_its_plain_values_and_its_length_change(void **state)
{
    (void)state;
    static const char *const heads[] = {
        "POST /v2/models/iris0/infer HTTP/1.1\r\nx-id: first\r\nContent-Length: 9\r\n"
        "\r\n",
        "POST /v2/models/iris0/infer HTTP/1.1\r\nx-id: 2\r\nContent-Length: 12345\r\n"
        "\r\n",
        "POST /v2/models/iris0/infer HTTP/1.1\r\nx-id: \r\nContent-Length: 0\r\n\r\n",
    };
    struct http1_known *k = calloc(1, sizeof *k);
    static struct http1_head h;
    const struct http1_known_head *kept = NULL;
    assert_non_null(k);
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        struct span in = span_str(heads[i]);
        check_int(http1_known_parse(k, HTTP1_REQUEST, in, &h, NULL), ==, 0);
        check_int(h.bytes, ==, in.n);
        for (unsigned at = 0; at < HTTP1_KNOWN_HEADS && !kept; at++)
            kept = k->heads[at].bytes ? &k->heads[at] : NULL;
        assert_non_null(kept);
        check_int(kept->bytes, ==, strlen(heads[0]));
        assert_memory_equal(kept->text, heads[0], strlen(heads[0]));
    }
    check_int(h.length, ==, 0);
    free(k);
}

static void a_head_with_too_much_to_remember_is_parsed_each_time(void **state)
{
    (void)state;
    struct http1_known *k = calloc(1, sizeof *k);
    char text[HTTP1_KNOWN_BYTES + 64] = "POST /v2/models/iris0/infer HTTP/1.1\r\n";
    assert_non_null(k);
    for (unsigned i = 0; i < HTTP1_KNOWN_LINES; i++)
        strcat(text, "a: b\r\n");
    strcat(text, "\r\n");
    for (int i = 0; i < 2; i++)
        check_same(k, HTTP1_REQUEST, span_str(text));
    size_t n = (size_t)(strstr(text, "a: b") - text);
    memset(text + n, 'a', HTTP1_KNOWN_BYTES);
    strcpy(text + HTTP1_KNOWN_BYTES, ": v\r\n\r\n");
    for (int i = 0; i < 2; i++)
        check_same(k, HTTP1_REQUEST, span_str(text));
    for (unsigned at = 0; at < HTTP1_KNOWN_HEADS; at++)
        check_int(k->heads[at].bytes, ==, 0);
    free(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_known_is_what_parsing_says_whatever_byte_differs),
        cmocka_unit_test(
            a_head_stays_known_while_its_plain_values_and_its_length_change),
        cmocka_unit_test(a_head_with_too_much_to_remember_is_parsed_each_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

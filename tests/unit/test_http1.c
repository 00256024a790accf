/* test_http1.c - traces/wire/http1. SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "traces/wire/http1.h"

/* Input that ends at an unreadable page: one byte read too far is a crash. */
static uint8_t *guard_page;
static long page_bytes;

static int map_guard(void **state)
{
    (void)state;
    page_bytes = sysconf(_SC_PAGESIZE);
    size_t span = (size_t)page_bytes * 33;
    uint8_t *p =
        mmap(NULL, span, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return -1;
    guard_page = p + span - (size_t)page_bytes;
    return mprotect(guard_page, (size_t)page_bytes, PROT_NONE);
}

static struct span at_guard(const void *bytes, size_t n)
{
    assert_true(n <= (size_t)page_bytes * 32);
    memcpy(guard_page - n, bytes, n);
    return (struct span){guard_page - n, n};
}

/* What came out, as text: "H200 k [abc] E" or "! FORMAT". Data is joined over pieces.
 */
struct story {
    char text[4096];
    size_t n;
    bool in_data;
    enum err_code failed;
    char why[240];
};

static void tell(struct story *s, const char *text, size_t n)
{
    assert_true(s->n + n < sizeof s->text);
    memcpy(s->text + s->n, text, n);
    s->n += n;
    s->text[s->n] = 0;
}

static void tell_data(struct story *s, struct span data, bool more)
{
    if (more && !s->in_data)
        tell(s, " [", 2);
    if (more)
        tell(s, (const char *)data.p, data.n);
    if (!more && s->in_data)
        tell(s, "]", 1);
    s->in_data = more;
}

static void tell_head(struct story *s, const struct http1_head *h, enum http1_kind kind)
{
    char line[600];
    int n = kind == HTTP1_REQUEST
                ? snprintf(line, sizeof line, " H %.*s %.*s 1.%d", SPAN_ARG(h->method),
                           SPAN_ARG(h->target), h->minor_version)
                : snprintf(line, sizeof line, " H%d 1.%d", h->status, h->minor_version);
    tell(s, line, (size_t)n);
    tell(s, h->keep_alive ? " keep" : " close", h->keep_alive ? 5 : 6);
    for (uint32_t i = 0; i < h->field_count; i++) {
        n = snprintf(line, sizeof line, " %.*s=%.*s", SPAN_ARG(h->fields[i].name),
                     SPAN_ARG(h->fields[i].value));
        tell(s, line, (size_t)n);
    }
}

/* Feeds one piece; false once the parser has failed. */
static bool listen(struct http1_parser *p, struct span in, struct story *s)
{
    struct err e = {0};
    struct span data;
    for (;;) {
        int event = http1_feed(p, &in, &data, &e);
        if (event != HTTP1_DATA && event != HTTP1_MORE)
            tell_data(s, data, false);
        switch (event) {
        case HTTP1_MORE:
            check_int(in.n, ==, 0);
            return true;
        case HTTP1_HEAD:
            tell_head(s, &p->head, p->kind);
            break;
        case HTTP1_DATA:
            check_int(data.n, >, 0);
            tell_data(s, data, true);
            break;
        case HTTP1_END:
            tell(s, " E", 2);
            break;
        default:
            s->failed = (enum err_code)event;
            tell(s, " !", 2);
            snprintf(s->why, sizeof s->why, "%s", e.text);
            return false;
        }
    }
}

static void hear_eof(struct http1_parser *p, struct story *s)
{
    struct err e = {0};
    if (http1_idle(p)) {
        tell(s, ".", 1);
        return;
    }
    int rc = http1_eof(p, &e);
    tell_data(s, (struct span){0}, false);
    tell(s, rc == HTTP1_END ? " E." : " cut", rc == HTTP1_END ? 3 : 4);
    if (rc != HTTP1_END) {
        check_int(rc, ==, ERR_TRUNCATED);
        snprintf(s->why, sizeof s->why, "%s", e.text);
    }
}

/* The story of the input fed in pieces of `step` bytes after a first piece of `first`.
 */
static struct story read_in_pieces(enum http1_kind kind, const void *bytes, size_t n,
                                   size_t first, size_t step)
{
    struct http1_parser p;
    http1_init(&p, kind, 1000);
    struct story s = {0};
    bool alive = true;
    for (size_t at = 0, take = first; at < n && alive; take = step) {
        take = take > n - at ? n - at : take;
        alive = take == 0 || listen(&p, at_guard((const char *)bytes + at, take), &s);
        at += take;
    }
    if (alive)
        hear_eof(&p, &s);
    http1_done(&p);
    return s;
}

/* Whole, byte by byte, and split in two at every place: always the same story. */
static struct story read_all_ways(enum http1_kind kind, const char *text, size_t n)
{
    struct story whole = read_in_pieces(kind, text, n, n, n);
    struct story bytes = read_in_pieces(kind, text, n, 1, 1);
    check_str(bytes.text, whole.text);
    check_int(bytes.failed, ==, whole.failed);
    for (size_t cut = 1; cut < n && n < 3000; cut++) {
        struct story two = read_in_pieces(kind, text, n, cut, n);
        check_str(two.text, whole.text);
        check_str(two.why, whole.why);
    }
    /* Every prefix ends in peace: cut, waiting, or done, but never an error of its own.
     */
    for (size_t cut = 0; cut < n && n < 3000 && !whole.failed; cut++)
        check_int(read_in_pieces(kind, text, cut, cut, cut).failed, ==, ERR_OK);
    return whole;
}

#define says(kind, input, wanted)                                                      \
    check_str(read_all_ways(kind, input, sizeof(input) - 1).text, wanted)
#define refuses(kind, input, code, reason)                                             \
    do {                                                                               \
        struct story s_ = read_all_ways(kind, input, sizeof(input) - 1);               \
        check_int(s_.failed, ==, code);                                                \
        check_str_has(s_.why, reason);                                                 \
    } while (0)
#define RESP HTTP1_RESPONSE
#define REQ  HTTP1_REQUEST
#define OKAY "HTTP/1.1 200 OK\r\n"

static void a_response_with_a_length(void **state)
{
    (void)state;
    says(RESP, OKAY "Content-Length: 5\r\nX-A:  b c \r\n\r\nhello",
         " H200 1.1 keep Content-Length=5 X-A=b c [hello] E.");
    says(RESP, OKAY "content-length: 0\r\n\r\n", " H200 1.1 keep content-length=0 E.");
    says(RESP, "HTTP/1.1 404\r\ncontent-length: 0\r\n\r\n",
         " H404 1.1 keep content-length=0 E.");
    says(RESP, OKAY "content-length: 2\r\ncontent-length: 2\r\n\r\nab",
         " H200 1.1 keep content-length=2 content-length=2 [ab] E.");
}

static void several_responses_on_one_connection(void **state)
{
    (void)state;
    says(RESP,
         OKAY "content-length: 1\r\n\r\na" OKAY
              "content-length: 2\r\n\r\nbcHTTP/1.1 204 No Content\r\n\r\n" OKAY
              "content-length: 0\r\n\r\n",
         " H200 1.1 keep content-length=1 [a] E H200 1.1 keep content-length=2 [bc] E "
         "H204 1.1 keep E H200 1.1 keep content-length=0 E.");
}

static void chunked_bodies(void **state)
{
    (void)state;
    says(RESP,
         OKAY
         "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n00a;x=\"y\"\r\n, 10 bytes\r\n"
         "0\r\n\r\n",
         " H200 1.1 keep Transfer-Encoding=chunked [hello, 10 bytes] E.");
    says(RESP,
         OKAY "transfer-encoding: Chunked\r\n\r\n1\r\na\r\n0\r\nX: y\r\nZ:\r\n\r\n",
         " H200 1.1 keep transfer-encoding=Chunked [a] E.");
    says(REQ,
         "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nA "
         "\r\n0123456789\r\n0\r\n\r\n",
         " H POST / 1.1 keep transfer-encoding=chunked [0123456789] E.");
    says(RESP, OKAY "transfer-encoding: chunked\r\n\r\n0\r\n\r\n",
         " H200 1.1 keep transfer-encoding=chunked E.");
}

static void a_body_that_ends_with_the_connection(void **state)
{
    (void)state;
    says(RESP, OKAY "a: b\r\n\r\nuntil the end",
         " H200 1.1 close a=b [until the end] E.");
    says(RESP, "HTTP/1.0 200 OK\r\n\r\n", " H200 1.0 close E.");
}

static void requests(void **state)
{
    (void)state;
    says(REQ,
         "GET /v2 HTTP/1.1\r\nHost: a\r\n\r\nPOST /b?c=%20 HTTP/1.1\r\n"
         "content-length: 3\r\nexpect: 100-continue\r\n\r\nabc",
         " H GET /v2 1.1 keep Host=a E H POST /b?c=%20 1.1 keep content-length=3 "
         "expect=100-continue [abc] E.");
    says(REQ, "\r\n\r\nGET / HTTP/1.1\r\n\r\n\r\nGET / HTTP/1.0\r\n\r\n",
         " H GET / 1.1 keep E H GET / 1.0 close E.");
}

static void connection_options(void **state)
{
    (void)state;
    says(RESP, OKAY "Connection: close\r\ncontent-length: 0\r\n\r\n",
         " H200 1.1 close Connection=close content-length=0 E.");
    says(RESP, OKAY "connection: Foo , CLOSE\r\ncontent-length: 0\r\n\r\n",
         " H200 1.1 close connection=Foo , CLOSE content-length=0 E.");
    says(RESP, "HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 0\r\n\r\n",
         " H200 1.0 keep connection=keep-alive content-length=0 E.");
}

static void interim_responses_are_skipped(void **state)
{
    (void)state;
    says(RESP,
         "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" OKAY
         "content-length: 1\r\n\r\na",
         " H200 1.1 keep content-length=1 [a] E.");
    refuses(RESP, "HTTP/1.1 101 Switching Protocols\r\n\r\n", ERR_FORMAT, "upgrade");
}

static void an_early_end_is_told(void **state)
{
    (void)state;
    check_str_has(read_all_ways(RESP, "HTTP/1.1 200", 12).why,
                  "inside a head, after 12");
    static const char body[] = OKAY "content-length: 9\r\n\r\nabc";
    check_str_has(read_all_ways(RESP, body, sizeof body - 1).why,
                  "wanted 9 bytes, got 3");
    static const char chunk[] = OKAY "transfer-encoding: chunked\r\n\r\n5\r\nhel";
    check_str_has(read_all_ways(RESP, chunk, sizeof chunk - 1).why,
                  "chunked body, after 3 bytes");
}

static void heads_that_two_readers_would_read_differently(void **state)
{
    (void)state;
    refuses(RESP, OKAY "content-length: 1\r\ncontent-length: 2\r\n\r\n", ERR_FORMAT,
            "two different");
    refuses(RESP, OKAY "content-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
            ERR_FORMAT, "both");
    refuses(RESP, OKAY "content-length: +1\r\n\r\n", ERR_FORMAT,
            "bad content-length '+1'");
    refuses(RESP, OKAY "content-length: 1, 1\r\n\r\n", ERR_FORMAT,
            "bad content-length");
    refuses(RESP, OKAY "content-length:\r\n\r\n", ERR_FORMAT, "bad content-length");
    refuses(RESP, OKAY "content-length: 99999999999999999999\r\n\r\n", ERR_FORMAT,
            "bad");
    refuses(RESP, OKAY "transfer-encoding: gzip, chunked\r\n\r\n", ERR_FORMAT,
            "unknown");
    refuses(REQ, "GET / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n", ERR_FORMAT,
            "unknown");
    refuses(RESP, OKAY "a: b\r\n c\r\n\r\n", ERR_FORMAT, "bad header field");
    refuses(RESP, OKAY "a : b\r\n\r\n", ERR_FORMAT, "bad header field");
    refuses(RESP, OKAY ": b\r\n\r\n", ERR_FORMAT, "bad header field");
    refuses(RESP, OKAY "a b\r\n\r\n", ERR_FORMAT, "bad header field");
    refuses(RESP, OKAY "a: b\rc\r\n\r\n", ERR_FORMAT, "control character");
    refuses(RESP, OKAY "a: b\0c\r\n\r\n", ERR_FORMAT, "control character");
    refuses(RESP, "HTTP/1.1 200 OK\nb: c\n\n", ERR_FORMAT, "without carriage return");
    refuses(RESP, OKAY "b: c\n\r\n", ERR_FORMAT, "without carriage return");
}

/* Every byte at every place of values of every length up to 20: what is refused are the
 * control characters but the tab. */
static void which_bytes_a_value_may_hold(void **state)
{
    (void)state;
    static const char rest[] = "\r\ncontent-length: 0\r\n\r\n";
    for (unsigned c = 0; c < 256; c++)
        for (size_t n = 1; n <= 20; n++)
            for (size_t at = 0; at < n; at++) {
                char text[64] = OKAY "a: x";
                size_t head = strlen(text);
                memset(text + head, 'v', n);
                text[head + at] = (char)c;
                memcpy(text + head + n, rest, sizeof rest - 1);
                bool good = (c >= ' ' && c != 127) || c == '\t';
                struct story s =
                    read_in_pieces(RESP, text, head + n + sizeof rest - 1, 999, 1);
                check_int(s.failed, ==, good ? ERR_OK : ERR_FORMAT);
            }
}

static void which_bytes_a_name_may_hold(void **state)
{
    (void)state;
    for (unsigned c = 0; c < 256; c++)
        for (size_t n = 1; n <= 20; n++)
            for (size_t at = 0; at < n; at++) {
                char text[64] = "GET / HTTP/1.1\r\n";
                size_t head = strlen(text);
                memset(text + head, 'n', n);
                text[head + at] = (char)c;
                memcpy(text + head + n, ":v\r\n\r\n", 7);
                struct http1_head h;
                struct err e = {0};
                struct span in = at_guard(text, head + n + 6);
                int rc = http1_parse_head(HTTP1_REQUEST, in, &h, &e);
                bool colon = c == ':' && at > 0; /* ends the name early */
                bool good = colon || (c > ' ' && c < 127 &&
                                      !strchr("\"(),/:;<=>?@[\\]{}", (int)c));
                check_int(rc, ==, good ? 0 : ERR_FORMAT);
                if (good)
                    check_int(h.fields[0].name.n, ==, colon ? at : n);
            }
}

static void a_field_is_read_without_the_blanks_around_its_value(void **state)
{
    (void)state;
    static const struct {
        const char *field, *value;
    } all[] = {{"a:v", "v"},
               {"a: v", "v"},
               {"a:  v", "v"},
               {"a: v ", "v"},
               {"a:\tv\t ", "v"},
               {"a: v w", "v w"},
               {"a: v\tw", "v\tw"},
               {"a:", ""},
               {"a: ", ""},
               {"a:  \t ", ""},
               {"a: 12345678", "12345678"},
               {"a:  12345678 ", "12345678"}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        char text[80];
        int n =
            snprintf(text, sizeof text, "GET / HTTP/1.1\r\n%s\r\n\r\n", all[i].field);
        struct http1_head h;
        struct err e = {0};
        struct span head = at_guard(text, (size_t)n);
        check_int(http1_parse_head(HTTP1_REQUEST, head, &h, &e), ==, 0);
        check_int(h.field_count, ==, 1);
        check_span(h.fields[0].value, all[i].value);
        check_int(h.bytes, ==, (size_t)n);
        head.n -= 1;
        check_int(http1_parse_head(HTTP1_REQUEST, head, &h, &e), ==, ERR_TRUNCATED);
    }
}

static void what_is_behind_a_head_is_not_looked_at(void **state)
{
    (void)state;
    struct span in =
        SPAN_LIT("POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n\n\0 no head");
    struct http1_head h;
    check_int(http1_parse_head(HTTP1_REQUEST, in, &h, NULL), ==, 0);
    check_int(h.bytes, ==, in.n - 10);
    check_int(h.length, ==, 2);
}

static void what_is_not_http(void **state)
{
    (void)state;
    refuses(RESP, "SSH-2.0-x\r\n", ERR_FORMAT, "not an HTTP/1 response");
    refuses(RESP, "HTTP/2.0 200 OK\r\n\r\n", ERR_FORMAT, "not an HTTP/1 response");
    refuses(RESP, "\r\n", ERR_FORMAT, "not an HTTP/1 response");
    refuses(RESP, "HTTP/1.1 20 OK\r\n\r\n", ERR_FORMAT, "bad status");
    refuses(RESP, "HTTP/1.1 099 OK\r\n\r\n", ERR_FORMAT, "bad status code");
    refuses(RESP, "HTTP/1.1 2000 OK\r\n\r\n", ERR_FORMAT, "bad status line");
    refuses(RESP, "HTTP/1.x 200 OK\r\n\r\n", ERR_FORMAT, "version");
    refuses(REQ, "\x16\x03\x01", ERR_FORMAT, "not an HTTP request");
    refuses(REQ, "GET /\r\n\r\n", ERR_FORMAT, "no target");
    refuses(REQ, "GET  / HTTP/1.1\r\n\r\n", ERR_FORMAT, "no target");
    refuses(REQ, "GET / HTTP/1.1 \r\n\r\n", ERR_FORMAT, "version");
    refuses(REQ, "GET / HTTP/2.0\r\n\r\n", ERR_FORMAT, "version");
    refuses(REQ, "GET\r\n\r\n", ERR_FORMAT, "no method");
}

static void broken_chunks(void **state)
{
    (void)state;
#define CHUNKED OKAY "transfer-encoding: chunked\r\n\r\n"
    refuses(RESP, CHUNKED "\r\n", ERR_FORMAT, "bad chunk size");
    refuses(RESP, CHUNKED "x", ERR_FORMAT, "bad chunk size");
    refuses(RESP, CHUNKED "1g", ERR_FORMAT, "bad chunk size");
    refuses(RESP, CHUNKED "-1", ERR_FORMAT, "bad chunk size");
    refuses(RESP, CHUNKED "1\n", ERR_FORMAT, "bad chunk size");
    refuses(RESP, CHUNKED "1\r\nab", ERR_FORMAT, "line end");
    refuses(RESP, CHUNKED "1\r\na\n", ERR_FORMAT, "line end");
    refuses(RESP, CHUNKED "1;a\nb", ERR_FORMAT, "control character");
    refuses(RESP, CHUNKED "0\r\nX: \n", ERR_FORMAT, "control character");
    refuses(RESP, CHUNKED "0\r\n\rX", ERR_FORMAT, "line end");
    refuses(RESP, CHUNKED "00000000000000000", ERR_LIMIT, "more than 16 digits");
    refuses(RESP, CHUNKED "ffffffffffffffff\r\n", ERR_LIMIT, "longer than 1000");
}

static void limits(void **state)
{
    (void)state;
    refuses(RESP, OKAY "content-length: 1001\r\n\r\n", ERR_LIMIT, "longer than 1000");
    says(RESP, OKAY "content-length: 1001\r\n\r\n",
         " H200 1.1 keep content-length=1001 !");

    size_t n = HTTP1_HEAD_MAX + 10;
    char *text = malloc(n);
    assert_non_null(text);
    memset(text, 'a', n);
    memcpy(text, OKAY, strlen(OKAY));
    struct story s = read_in_pieces(RESP, text, n, n, n);
    check_int(s.failed, ==, ERR_LIMIT);
    check_str_has(s.why, "head longer than 65536 bytes");
    check_int(read_in_pieces(RESP, text, n, 1, 7).failed, ==, ERR_LIMIT);

    size_t at = strlen(OKAY);
    for (int i = 0; i <= HTTP1_FIELDS_MAX; i++, at += 4)
        memcpy(text + at, "a:\r\n", 4);
    memcpy(text + at, "\r\n", 2);
    s = read_in_pieces(RESP, text, at + 2, at + 2, 1);
    check_int(s.failed, ==, ERR_LIMIT);
    check_str_has(s.why, "more than 256 header fields");
    free(text);
}

static void an_answer_to_head_has_no_body(void **state)
{
    (void)state;
    struct http1_parser p;
    http1_init(&p, RESP, 1000);
    p.head_request = true;
    struct story s = {0};
    static const char text[] = OKAY "content-length: 5\r\n\r\n";
    assert_true(listen(&p, span_of(text, sizeof text - 1), &s));
    check_str(s.text, " H200 1.1 keep content-length=5 E");
    http1_done(&p);
}

static void the_head_stays_readable_until_the_next_message(void **state)
{
    (void)state;
    struct http1_parser p;
    struct err e = {0};
    http1_init(&p, RESP, 1000);
    struct span in = SPAN_LIT(OKAY "X-Id: 7\r\ncontent-length: 0\r\n\r\n"), data;
    check_int(http1_feed(&p, &in, &data, &e), ==, HTTP1_HEAD);
    assert_false(http1_idle(&p));
    check_int(http1_feed(&p, &in, &data, &e), ==, HTTP1_END);
    assert_true(http1_idle(&p));
    check_span(http1_field(&p.head, "x-id"), "7");
    check_int(http1_field(&p.head, "y").n, ==, 0);
    check_int(http1_feed(&p, &in, &data, &e), ==, HTTP1_MORE);
    assert_true(http1_idle(&p));
    check_int(http1_eof(&p, &e), ==, HTTP1_END);
    http1_done(&p);
}

static void after_an_error_only_reset_helps(void **state)
{
    (void)state;
    struct http1_parser p;
    struct err e = {0};
    http1_init(&p, RESP, 1000);
    struct span in = SPAN_LIT("junk"), data;
    check_int(http1_feed(&p, &in, &data, &e), ==, ERR_FORMAT);
    in = SPAN_LIT(OKAY);
    err_clear(&e);
    check_int(http1_feed(&p, &in, &data, &e), ==, ERR_FORMAT);
    check_str_has(e.text, "behind an error");
    http1_reset(&p);
    struct story s = {0};
    assert_true(listen(&p, SPAN_LIT(OKAY "content-length: 0\r\n\r\n"), &s));
    check_str(s.text, " H200 1.1 keep content-length=0 E");
    http1_done(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_response_with_a_length),
        cmocka_unit_test(several_responses_on_one_connection),
        cmocka_unit_test(chunked_bodies),
        cmocka_unit_test(a_body_that_ends_with_the_connection),
        cmocka_unit_test(requests),
        cmocka_unit_test(connection_options),
        cmocka_unit_test(interim_responses_are_skipped),
        cmocka_unit_test(an_early_end_is_told),
        cmocka_unit_test(heads_that_two_readers_would_read_differently),
        cmocka_unit_test(which_bytes_a_value_may_hold),
        cmocka_unit_test(which_bytes_a_name_may_hold),
        cmocka_unit_test(a_field_is_read_without_the_blanks_around_its_value),
        cmocka_unit_test(what_is_behind_a_head_is_not_looked_at),
        cmocka_unit_test(what_is_not_http),
        cmocka_unit_test(broken_chunks),
        cmocka_unit_test(limits),
        cmocka_unit_test(an_answer_to_head_has_no_body),
        cmocka_unit_test(the_head_stays_readable_until_the_next_message),
        cmocka_unit_test(after_an_error_only_reset_helps),
    };
    return cmocka_run_group_tests(tests, map_guard, NULL);
}

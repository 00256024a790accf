/* test_h1_capture.c - capture/stream and h1_capture: HTTP/1.1 as it is watched.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/h2_build.h"
#include "tests/unit/wire_story.h"
#include "traces/base/rng.h"

#define POST(path, length)                                                             \
    "POST " path " HTTP/1.1\r\nHost: h\r\nContent-Length: " length "\r\n\r\n"
#define OK(length) "HTTP/1.1 200 OK\r\nContent-Length: " length "\r\n\r\n"

static void requests_are_paired_with_their_answers_and_timed(void **state)
{
    (void)state;
    struct script s = {0};
    script_text(&s, 0, 1, POST("/v2/models/iris/infer", "5") "hello");
    script_text(&s, 1, 4, OK("3") "one");
    script_text(&s, 0, 10, "GET /v2/health HTTP/1.1\r\nHost: h\r\n\r\n");
    script_text(&s, 1, 12, "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nn");
    script_text(&s, 1, 15, "o");
    expect_story(&s, "0 POST /v2/models/iris/infer [hello] -> 200 [one] @1-1,4-4\n"
                     "1 GET /v2/health - -> 404 [no] @10-10,12-15\n");
    script_done(&s);
}

static void a_head_cut_at_any_byte_is_one_head(void **state) /* 32 */
{
    (void)state;
    struct script s = {0};
    script_text(&s, 0, 1, "PO");
    script_text(&s, 0, 2, "ST /a HTTP/1.1\r\nHo");
    script_text(&s, 0, 3, "st: h\r\nContent-Length: 3\r");
    script_text(&s, 0, 4, "\n\r");
    script_text(&s, 0, 5, "\nabc");
    script_text(&s, 1, 6, "HTT");
    script_text(&s, 1, 7, "P/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    expect_story(&s, "0 POST /a [abc] -> 200 - @1-5,6-7\n");
    script_done(&s);
}

static void pipelined_requests_are_paired_in_order(void **state) /* 33 */
{
    (void)state;
    struct script s = {0};
    script_text(&s, 0, 1, POST("/1", "1") "a" POST("/2", "2") "bb\r\n" POST("/3", "0"));
    script_text(&s, 1, 2, OK("1") "x" OK("2") "yy" OK("3") "zzz");
    expect_story(&s, "0 POST /1 [a] -> 200 [x] @1-1,2-2\n"
                     "1 POST /2 [bb] -> 200 [yy] @1-1,2-2\n"
                     "2 POST /3 - -> 200 [zzz] @1-1,2-2\n");
    script_done(&s);
}

static void a_body_of_zeros_is_a_body(void **state) /* 34 */
{
    (void)state;
    struct script s = {0};
    struct buf zeros = {0};
    buf_zeros(&zeros, 65536);
    script_text(&s, 0, 1, POST("/z", "65536"));
    script_bytes(&s, 0, 2, buf_view(&zeros));
    script_text(&s, 1, 3, OK("0"));
    uint64_t hash[2];
    op_body_hash(buf_view(&zeros), hash);
    char want[100];
    snprintf(want, sizeof want, "0 POST /z 65536#%08x -> 200 - @1-2,3-3\n",
             (unsigned)hash[0]);
    struct told t = play(&s, 0, 0), cut = play(&s, 1000, 1448);
    check_str(buf_text(&t.story), want);
    check_str(buf_text(&cut.story), want);
    told_done(&t);
    told_done(&cut);
    buf_done(&zeros);
    script_done(&s);
}

static void interim_answers_are_passed_over(void **state) /* 35 */
{
    (void)state;
    struct script s = {0};
    script_text(&s, 0, 1,
                "POST /e HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n"
                "Content-Length: 4\r\n\r\nbo");
    script_text(&s, 1, 2,
                "HTTP/1.1 100 Go on, please, with whatever it is\r\nX: y\r\n\r\n"
                "HTTP/1.1 102 Processing\r\n\r\n");
    script_text(&s, 0, 3, "dy");
    script_text(&s, 1, 4,
                "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" OK("2") "ok");
    expect_story(&s, "0 POST /e [body] -> 200 [ok] @1-3,4-4\n");
    script_done(&s);
}

static void chunks_may_look_like_their_end(void **state) /* 36 */
{
    (void)state;
    struct script s = {0};
    script_text(&s, 0, 1,
                "POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                "5;name=\"v;0\"\r\n0\r\n\r\n\r\nA \r\nGET / HTTP\r\n"
                "0;last\r\nX-Trailer: 1\r\nY: 2\r\n\r\n"
                "GET /next HTTP/1.1\r\nHost: h\r\n\r\n");
    script_text(&s, 1, 2,
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                "3\r\nabc\r\n0\r\n\r\n" OK("0"));
    expect_story(&s, "0 POST /c [0\r\n\r\nGET / HTTP] -> 200 [abc] @1-1,2-2\n"
                     "1 GET /next - -> 200 - @1-1,2-2\n");
    script_done(&s);
}

static void a_chunk_of_2_to_the_64_is_given_up(void **state) /* 36 */
{
    (void)state;
    struct script s = {0};
    script_text(&s, 0, 1,
                "POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                "10000000000000000\r\nabc");
    script_text(&s, 0, 2, POST("/next", "2") "ok");
    script_text(&s, 1, 3, OK("1") "y");
    expect_story(&s, "0 POST /c elided 0#00000000 !gap -> none - !gap @1-1\n"
                     "1 POST /next [ok] -> 200 [y] gap @2-2,3-3\n");
    script_done(&s);
}

static void ambiguous_lengths_are_not_guessed_at(void **state) /* 37 */
{
    (void)state;
    static const char *const bad[] = {
        "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 3\r\nContent-Length: 4\r\n",
        "Content-Length: -3\r\n",
        "Content-Length: 18446744073709551616\r\n",
        "Content-Length: 3, 4\r\n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct script s = {0};
        char text[300];
        snprintf(text, sizeof text, "POST /bad HTTP/1.1\r\nHost: h\r\n%s\r\nabc",
                 bad[i]);
        script_text(&s, 0, 1, text);
        script_text(&s, 1, 2, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        script_text(&s, 0, 3, POST("/good", "2") "ok");
        script_text(&s, 1, 4, OK("1") "y");
        expect_story(&s, "0 POST /good [ok] -> 200 [y] gap @3-3,4-4\n");
        script_done(&s);
    }
}

static void bare_line_feeds_and_folded_lines_are_not_guessed_at(void **state) /* 38 */
{
    (void)state;
    static const char *const bad[] = {
        "POST /bad HTTP/1.1\nHost: h\n\n",
        "POST /bad HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\n\r\n",
        "POST /bad HTTP/1.1\r\nHost : h\r\n\r\n",
        "POST /bad\x01 HTTP/1.1\r\nHost: h\r\n\r\n",
        "P(ST /bad HTTP/1.1\r\nHost: h\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct script s = {0};
        script_text(&s, 0, 1, "GET /first HTTP/1.1\r\nHost: h\r\n\r\n");
        script_text(&s, 1, 2, OK("0"));
        script_text(&s, 0, 3, bad[i]);
        script_text(&s, 0, 3, POST("/good", "2") "ok");
        script_text(&s, 1, 4, OK("1") "y");
        expect_story(&s, "0 GET /first - -> 200 - @1-1,2-2\n"
                         "1 POST /good [ok] -> 200 [y] gap @3-3,4-4\n");
        script_done(&s);
    }
}

static void a_head_of_a_megabyte_is_given_up(void **state) /* 38 */
{
    (void)state;
    struct script s = {0};
    struct buf big = {0};
    buf_str(&big, "GET /bad HTTP/1.1\r\nHost: h\r\n");
    for (int i = 0; i < 20000; i++)
        buf_fmt(&big, "X-%d: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n", i);
    buf_str(&big, "\r\n" POST("/good", "2") "ok");
    script_bytes(&s, 0, 1, buf_view(&big));
    script_text(&s, 1, 2, OK("1") "y");
    for (size_t piece = 0; piece < 4000; piece += 1448) {
        struct told t = play(&s, 0, piece);
        check_str(buf_text(&t.story), "0 POST /good [ok] -> 200 [y] gap @1-1,2-2\n");
        check_int(t.totals.lost_limit, ==, 1);
        told_done(&t);
    }
    buf_done(&big);
    script_done(&s);
}

static void answers_without_a_length_end_with_the_connection(void **state) /* 39 */
{
    (void)state;
    struct script s = {0};
    script_text(&s, 0, 1, "GET /a HTTP/1.0\r\n\r\n");
    script_text(&s, 1, 2, "HTTP/1.0 200 OK\r\n\r\nsome");
    script_text(&s, 1, 3, " body");
    script_finish(&s, 1, 9);
    expect_story(&s, "0 GET /a - -> 200 [some body] @1-1,2-3\n");
    script_done(&s);
    script_text(&s, 0, 1, "GET /a HTTP/1.0\r\n\r\n");
    script_text(&s, 1, 2, "HTTP/1.0 200 OK\r\n\r\nsome");
    s.how = CAP_END_RST;
    expect_story(&s, "0 GET /a - -> 200 [some] !reset @1-1,2-2\n");
    script_done(&s);
}

static void some_answers_have_no_body_whatever_they_say(void **state) /* 39 */
{
    (void)state;
    struct script s = {0};
    script_text(&s, 0, 1, "HEAD /a HTTP/1.1\r\nHost: h\r\n\r\n");
    script_text(&s, 1, 2, "HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n");
    script_text(&s, 0, 3, "GET /b HTTP/1.1\r\nHost: h\r\n\r\n");
    script_text(&s, 1, 4, "HTTP/1.1 204 No Content\r\n\r\n");
    script_text(&s, 0, 5, "GET /c HTTP/1.1\r\nHost: h\r\n\r\n");
    script_text(&s, 1, 6, "HTTP/1.1 304 Not Modified\r\nContent-Length: 77\r\n\r\n");
    script_text(&s, 0, 7, "GET /d HTTP/1.1\r\nHost: h\r\n\r\n");
    script_text(&s, 1, 8, OK("1") "d");
    expect_story(&s, "0 HEAD /a - -> 200 - @1-1,2-2\n"
                     "1 GET /b - -> 204 - @3-3,4-4\n"
                     "2 GET /c - -> 304 - @5-5,6-6\n"
                     "3 GET /d - -> 200 [d] @7-7,8-8\n");
    script_done(&s);
}

static void an_upgrade_to_h2c_is_followed(void **state) /* 40, 57 */
{
    (void)state;
    struct script s = {0};
    struct buf client = {0}, server = {0}, block = {0};
    script_text(
        &s, 0, 1,
        "POST /up HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\n"
        "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
        "Content-Length: 2\r\n\r\nhi");
    script_text(&s, 1, 2,
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
                "Upgrade: h2c\r\n\r\n");
    h2_frame(&server, H2_SETTINGS, 0, 0, (struct span){0});
    h2_indexed(&block, 8);
    h2_frame(&server, H2_HEADERS, H2_END_HEADERS, 1, buf_view(&block));
    h2_frame(&server, H2_DATA, H2_END_STREAM, 1, SPAN_LIT("first"));
    script_bytes(&s, 1, 3, buf_view(&server));
    buf_str(&client, H2_PREFACE);
    h2_frame(&client, H2_SETTINGS, 0, 0, (struct span){0});
    buf_reset(&block);
    h2_indexed(&block, 2);
    h2_literal(&block, H2_INSERT, 4, NULL, "/two");
    h2_frame(&client, H2_HEADERS, H2_END_HEADERS | H2_END_STREAM, 3, buf_view(&block));
    script_bytes(&s, 0, 4, buf_view(&client));
    buf_reset(&server);
    buf_reset(&block);
    h2_indexed(&block, 13);
    h2_frame(&server, H2_HEADERS, H2_END_HEADERS | H2_END_STREAM, 3, buf_view(&block));
    script_bytes(&s, 1, 5, buf_view(&server));
    expect_story(&s, "1 POST /up [hi] -> 200 [first] @1-1,3-3\n"
                     "3 GET /two - -> 404 - @4-4,5-5\n");
    buf_done(&client);
    buf_done(&server);
    buf_done(&block);
    script_done(&s);
}

static void a_websocket_is_a_tunnel(void **state)
{
    (void)state;
    struct script s = {0};
    script_text(&s, 0, 1, "GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\r\n");
    script_text(&s, 1, 2,
                "HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n\r\n\x81\x05");
    script_text(&s, 0, 3, "GET /x HTTP/1.1\r\nHost: h\r\n\r\n");
    expect_story(&s, "0 GET /ws - -> 101 - @1-1,2-2\n");
    script_done(&s);
}

static void body_bytes_that_look_like_a_message_are_body(void **state) /* 41, 42 */
{
    (void)state;
    struct script s = {0};
    script_text(&s, 0, 1,
                POST("/a", "56") "\r\n\r\nGET /x HTTP/1.1\r\nHost: h\r\n\r\n"
                                 "1 2 3\n\xf0\x9f\x90\xb5\xf0\x9f\x99\x88"
                                 "0123456789");
    script_text(&s, 1, 2, OK("38") "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n");
    script_text(&s, 0, 3, "GET /b HTTP/1.1\r\nHost: h\r\n\r\n");
    script_text(&s, 1, 4, OK("0"));
    expect_story(&s, "0 POST /a [\r\n\r\nGET /x HTTP/1.1\r\nHost: h\r\n\r\n1 2 3\n"
                     "\xf0\x9f\x90\xb5\xf0\x9f\x99\x88"
                     "0123456789] -> 200 [HTTP/1.1 200 OK\r\nContent-Length: "
                     "9\r\n\r\n] @1-1,2-2\n1 GET /b - -> 200 - @3-3,4-4\n");
    script_done(&s);
}

static void a_compressed_body_is_kept_as_sent(void **state) /* 43 */
{
    (void)state;
    struct script s = {0};
    script_text(&s, 0, 1,
                "POST /z HTTP/1.1\r\nHost: h\r\nContent-Encoding: gzip\r\n"
                "Content-Length: 6\r\n\r\n\x1f\x8b\x08zzz");
    script_text(&s, 1, 2, OK("0"));
    expect_story(&s, "0 POST /z [\x1f\x8b\x08zzz] -> 200 - @1-1,2-2\n");
    script_done(&s);
}

static void a_gap_inside_a_body_costs_that_body_alone(void **state)
{
    (void)state;
    struct script s = {0};
    script_text(&s, 0, 1, POST("/a", "10") "abc");
    script_gap(&s, 0, 2, 5);
    script_text(&s, 0, 3, "ij");
    script_text(&s, 1, 4, OK("6") "xx");
    script_gap(&s, 1, 5, 4);
    script_text(&s, 0, 6, POST("/b", "1") "b");
    script_text(&s, 1, 7, OK("1") "y");
    expect_story(&s, "0 POST /a elided 10#00000000 !gap -> 200 elided 6#00000000 !gap "
                     "gap @1-3,4-5\n1 POST /b [b] -> 200 [y] @6-6,7-7\n");
    script_done(&s);
}

static void behind_a_gap_reading_goes_on_at_the_next_message(void **state)
{
    (void)state;
    struct script s = {0};
    script_text(&s, 0, 1, POST("/a", "10") "abc");
    script_gap(&s, 0, 2, 50);
    /* The rest of a body, with a start line in it that no message follows. */
    script_text(&s, 0, 3, "x GET /fake HTTP/1.1\r\nHost: h\r\n\r\nrest");
    script_text(&s, 0, 5, POST("/c", "2") "cc");
    script_text(&s, 1, 6, OK("1") "3");
    script_text(&s, 0, 7, POST("/d", "2") "dd");
    script_text(&s, 1, 8, OK("1") "4");
    expect_story(&s, "0 POST /a elided 10#00000000 !gap -> none - !gap gap @1-2\n"
                     "2 POST /c [cc] -> 200 [3] gap @5-5,6-6\n"
                     "3 POST /d [dd] -> 200 [4] @7-7,8-8\n");
    script_done(&s);
}

/* How many requests a script loses, in which nothing is told. */
static uint64_t lost_in(struct script *s, bool malformed)
{
    struct told t = play(s, 0, 0);
    check_str(buf_text(&t.story), "");
    uint64_t lost = malformed ? t.totals.lost_malformed : t.totals.lost_to_gap;
    check_int(t.totals.lost_to_gap + t.totals.lost_malformed, ==, lost);
    told_done(&t);
    script_done(s);
    return lost;
}

/* As a snapshot length leaves them: of each packet the first bytes. */
static void requests_of_which_the_beginning_is_there_are_counted(void **state)
{
    (void)state;
    struct script s = {0};
    for (int64_t i = 0; i < 5; i++) {
        script_text(&s, 0, 2 * i, "POST /v2/models/iris/infer HTT");
        script_gap(&s, 0, 2 * i, 280);
        script_text(&s, 1, 2 * i + 1, "HTTP/1.1 200 OK\r\ncontent-");
        script_gap(&s, 1, 2 * i + 1, 400);
    }
    check_int(lost_in(&s, false), ==, 5);

    s = (struct script){.midway = true};
    for (int64_t i = 0; i < 4; i++) { /* the first one decides what it is */
        script_text(&s, 0, i, "POST /v2/models/iris/infer HTTP/1.1\r\nhost: a\r\nx");
        script_gap(&s, 0, i, 280);
        script_text(&s, 0, i, "rest of a body, POST / and nothing that begins");
        script_gap(&s, 0, i, 10);
    }
    check_int(lost_in(&s, false), ==, 4);

    s = (struct script){0};
    script_text(&s, 0, 1, "POST /v2/models/iris/infer HTTP/1.1\r\nho");
    check_int(lost_in(&s, false), ==, 1); /* the capture is over */

    s = (struct script){0};
    script_text(&s, 0, 1, "POST /v2/models/iris/infer HTTP/1.1\r\nho");
    script_finish(&s, 0, 2); /* the client is */
    check_int(lost_in(&s, true), ==, 1);
}

static void start_lines_that_begin_nothing_are_passed_over(void **state)
{
    (void)state;
    struct script s = {0};
    struct buf b = {0};
    script_text(&s, 0, 1, "GET /first HTTP/1.1\r\nHost: h\r\n\r\n");
    script_gap(&s, 0, 2, 1);
    for (int i = 0; i < 20000; i++)
        buf_str(&b, "a:GET / HTTP/1.1\r\n");
    buf_str(&b, POST("/good", "2") "ok");
    script_bytes(&s, 0, 3, buf_view(&b));
    script_text(&s, 1, 4, OK("1") "y");
    static const size_t pieces[] = {0, 100, 1448, 65536};
    for (size_t i = 0; i < 4; i++) {
        struct told t = play(&s, 0, pieces[i]);
        check_str_has(buf_text(&t.story), "/good [ok] -> 200 [y] gap @3-3,4-4\n");
        check_int(t.exchanges, ==, 2);
        told_done(&t);
    }
    buf_done(&b);
    script_done(&s);
}

static void a_lost_answer_is_not_replaced_by_the_next_one(void **state)
{
    (void)state;
    struct script s = {0};
    script_text(&s, 0, 1, POST("/a", "1") "a");
    script_gap(&s, 1, 3, 40);
    script_text(&s, 0, 5, POST("/b", "1") "b");
    script_text(&s, 1, 6, OK("1") "2");
    script_text(&s, 0, 7, POST("/c", "1") "c");
    script_text(&s, 1, 8, OK("1") "3");
    expect_story(&s, "0 POST /a [a] -> none - !gap gap @1-1\n"
                     "1 POST /b [b] -> 200 [2] gap @5-5,6-6\n"
                     "2 POST /c [c] -> 200 [3] @7-7,8-8\n");
    script_done(&s);
}

/* A client that asks several things at once, and then more when it has all answers:
 * where some of them are missing, each answer is its own request's or no one's. */
static void behind_a_gap_pipelined_requests_are_paired_by_batches(void **state)
{
    (void)state;
    struct script s = {.midway = true};
    script_text(&s, 1, 1, OK("1") "0"); /* of a question from before */
    script_text(&s, 0, 2, POST("/a", "1") "a" POST("/b", "1") "b");
    script_text(&s, 1, 3, OK("1") "1");
    script_text(&s, 1, 4, OK("1") "2"); /* one batch is none */
    script_text(&s, 0, 5, POST("/c", "1") "c" POST("/d", "1") "d");
    script_text(&s, 1, 6, OK("1") "3");
    script_text(&s, 1, 7, OK("1") "4");
    script_text(&s, 0, 8, POST("/e", "1") "e" POST("/f", "1") "f");
    script_text(&s, 1, 9, OK("1") "5");
    script_gap(&s, 1, 10, 40);
    script_text(&s, 0, 11, POST("/g", "1") "g" POST("/h", "1") "h");
    script_text(&s, 1, 12, OK("1") "7");
    script_text(&s, 1, 13, OK("1") "8");
    script_text(&s, 0, 14, POST("/i", "1") "i");
    script_text(&s, 1, 15, OK("1") "9");
    expect_story(&s, "0 POST /a [a] -> none - !gap gap @2-2\n"
                     "1 POST /b [b] -> none - !gap gap @2-2\n"
                     "2 POST /c [c] -> 200 [3] gap @5-5,6-6\n"
                     "3 POST /d [d] -> 200 [4] gap @5-5,7-7\n"
                     "4 POST /e [e] -> 200 [5] @8-8,9-9\n"
                     "5 POST /f [f] -> none - !gap gap @8-8\n"
                     "6 POST /g [g] -> 200 [7] gap @11-11,12-12\n"
                     "7 POST /h [h] -> 200 [8] gap @11-11,13-13\n"
                     "8 POST /i [i] -> 200 [9] @14-14,15-15\n");
    script_done(&s);
}

/* It asks more though something is open: of one answer that is missing no one can tell
 * whose it is, then or later. */
static void behind_a_gap_a_client_that_never_waits_gets_no_answers(void **state)
{
    (void)state;
    struct script s = {0};
    script_text(&s, 0, 1, POST("/a", "1") "a" POST("/b", "1") "b" POST("/c", "1") "c");
    script_text(&s, 1, 2, OK("1") "1");
    script_text(&s, 0, 3, POST("/d", "1") "d");
    script_gap(&s, 1, 4, 40);
    for (int64_t i = 0; i < 6; i++) {
        script_text(&s, 1, 5 + 3 * i, OK("1") "x");
        script_text(&s, 1, 6 + 3 * i, OK("1") "y");
        script_text(&s, 0, 7 + 3 * i, POST("/e", "1") "e" POST("/f", "1") "f");
    }
    struct told t = play(&s, 0, 0);
    check_str_has(buf_text(&t.story), "0 POST /a [a] -> 200 [1] ");
    check_int(t.exchanges, ==, 16);
    check_int(t.totals.answered, ==, 1);
    told_done(&t);
    script_done(&s);
}

/* Joined midway, a client was taken for one that waits, and had one answer too few. */
static void
an_answer_in_front_of_its_request_shows_that_the_client_does_not_wait(void **state)
{
    (void)state;
    struct script s = {.midway = true};
    script_text(&s, 0, 1, POST("/a", "1") "a");
    script_text(&s, 0, 2, POST("/b", "1") "b"); /* the answer to /a may be missing */
    script_text(&s, 1, 3, OK("1") "1");
    script_text(&s, 1, 4, OK("1") "2"); /* it is not */
    script_text(&s, 0, 5, POST("/c", "1") "c");
    script_text(&s, 1, 6, OK("1") "3");
    script_text(&s, 0, 7, POST("/d", "1") "d");
    script_text(&s, 1, 8, OK("1") "4");
    struct told t = play(&s, 0, 0);
    check_str_has(buf_text(&t.story), "2 POST /c [c] -> none - !gap");
    check_str_has(buf_text(&t.story), "3 POST /d [d] -> none - ");
    check_int(t.totals.answered, ==, 1);
    told_done(&t);
    script_done(&s);
}

/* The answer to /a is missing and so is a whole request behind it. */
static void an_answer_behind_gaps_on_both_sides_is_no_one_s(void **state)
{
    (void)state;
    struct script s = {0};
    script_text(&s, 0, 1, POST("/a", "1") "a");
    script_unseen(&s, 0, 3); /* as the answer's acknowledgement tells */
    script_gap(&s, 1, 3, 40);
    script_text(&s, 1, 3, OK("1") "2");
    script_gap(&s, 0, 4, 60);
    script_text(&s, 0, 5, POST("/c", "1") "c");
    script_text(&s, 1, 6, OK("1") "3");
    script_text(&s, 0, 7, POST("/d", "1") "d");
    script_text(&s, 1, 8, OK("1") "4");
    expect_story(&s, "0 POST /a [a] -> none - !gap gap @1-1\n"
                     "1 POST /c [c] -> 200 [3] gap @5-5,6-6\n"
                     "2 POST /d [d] -> 200 [4] @7-7,8-8\n");
    struct told t = play(&s, 0, 0);
    check_int(t.totals.orphan_answers, ==, 1);
    told_done(&t);
    script_done(&s);

    /* Joined midway, what is missing in front of the first answer is no gap. */
    s.midway = true;
    script_text(&s, 0, 1, POST("/a", "1") "a");
    script_unseen(&s, 0, 3);
    script_text(&s, 1, 3, OK("1") "2");
    script_gap(&s, 0, 4, 60);
    script_text(&s, 0, 5, POST("/c", "1") "c");
    script_text(&s, 1, 6, OK("1") "3");
    expect_story(&s, "0 POST /a [a] -> none - !gap gap @1-1\n"
                     "1 POST /c [c] -> 200 [3] gap @5-5,6-6\n");
    script_done(&s);
}

/* The missing request comes after the answer that is there. */
static void an_answer_in_its_place_is_kept_whatever_is_missing_behind_it(void **state)
{
    (void)state;
    struct script s = {0};
    script_text(&s, 0, 1, POST("/a", "1") "a");
    script_unseen(&s, 0, 2);
    script_text(&s, 1, 3, OK("1") "2");
    script_gap(&s, 0, 4, 60);
    script_text(&s, 0, 5, POST("/c", "1") "c");
    script_text(&s, 1, 6, OK("1") "3");
    expect_story(&s, "0 POST /a [a] -> 200 [2] @1-1,3-3\n"
                     "1 POST /c [c] -> 200 [3] gap @5-5,6-6\n");
    script_done(&s);
}

static void a_connection_joined_midway_is_read_from_the_next_message(void **state)
{
    (void)state;
    struct script s = {.midway = true};
    script_text(&s, 1, 1, "of a body\r\n");
    script_text(&s, 0, 1, "the rest of a request");
    script_text(&s, 1, 2, OK("1") "1"); /* to the request that was not seen */
    script_text(&s, 0, 3, POST("/b", "1") "b");
    script_text(&s, 1, 4, OK("1") "2");
    script_text(&s, 0, 5, POST("/c", "1") "c");
    script_text(&s, 1, 6, OK("1") "3");
    expect_story(&s, "0 POST /b [b] -> 200 [2] gap @3-3,4-4\n"
                     "1 POST /c [c] -> 200 [3] @5-5,6-6\n");
    struct told t = play(&s, 0, 0);
    check_int(t.totals.orphan_answers, ==, 1);
    told_done(&t);
    script_done(&s);
}

static void an_unanswered_request_is_told_as_such(void **state)
{
    (void)state;
    struct script s = {.how = CAP_END_FILE};
    script_text(&s, 0, 1, POST("/a", "1") "a");
    script_text(&s, 0, 2, POST("/b", "9") "b");
    expect_story(&s, "0 POST /a [a] -> none - !unanswered @1-1\n"
                     "1 POST /b [b] !unanswered -> none - !unanswered @2-2\n");
    script_done(&s);
}

static void a_slow_answer_is_told_after_its_request(void **state)
{
    (void)state;
    struct script s = {0};
    script_text(&s, 0, 1, POST("/slow", "1") "a");
    script_text(&s, 1, 5000, OK("1") "y");
    script_text(&s, 0, 6000, POST("/never", "1") "b");
    script_text(&s, 0, 1000000, POST("/next", "1") "c");
    expect_story(
        &s,
        "(asked) 0 POST /slow [a] -> none - @1-1\n"
        "(answered) 0 POST /slow elided 1#00000000 -> 200 [y] @1-1,5000-5000\n"
        "(asked) 1 POST /never [b] -> none - @6000-6000\n"
        "(answered) 1 POST /never elided 1#00000000 -> none - !unanswered @6000-6000\n"
        "2 POST /next [c] -> none - !unanswered gap @1000000-1000000\n");
    script_done(&s);
}

static void tls_and_what_is_not_known_is_opaque(void **state)
{
    (void)state;
    struct script s = {0};
    script_bytes(&s, 0, 1, span_of("\x16\x03\x01\x00\x05hello GET / HTTP/1.1\r\n", 28));
    script_bytes(&s, 1, 2, span_of("\x16\x03\x03\x00\x05hello", 10));
    struct told t = play(&s, 0, 1);
    check_int(t.exchanges, ==, 0);
    check_int(t.totals.connections_tls, ==, 1);
    check_int(t.totals.dir[0].opaque_bytes, ==, 28);
    told_done(&t);
    script_done(&s);
    script_bytes(&s, 0, 1, span_of("\0\0\0\x20\0\x03\0\x07kafka", 13));
    t = play(&s, 0, 0);
    check_int(t.totals.connections_unknown, ==, 1);
    check_int(t.totals.dir[0].opaque_bytes, ==, 13);
    told_done(&t);
    script_done(&s);
}

static void a_body_over_the_limit_keeps_its_length_and_hash(void **state)
{
    (void)state;
    size_t n = CAP_MESSAGE_MAX + 1000;
    uint8_t *body = malloc(n);
    for (size_t i = 0; i < n; i++)
        body[i] = (uint8_t)(i * 2654435761u >> 13);
    char head[200], want[200];
    uint64_t hash[2];
    op_body_hash(span_of(body, n), hash);
    struct script s = {0};
    snprintf(head, sizeof head,
             "POST /big HTTP/1.1\r\nHost: h\r\nContent-Length: %zu\r\n\r\n", n);
    script_text(&s, 0, 1, head);
    script_bytes(&s, 0, 2, span_of(body, n));
    script_text(&s, 1, 3, OK("0"));
    snprintf(want, sizeof want,
             "0 POST /big elided %zu#%08x !limit -> 200 - @1-2,3-3\n", n,
             (unsigned)hash[0]);
    struct told t = play(&s, 0, 65536);
    check_str(buf_text(&t.story), want);
    check_int(t.totals.dir[0].shed_bytes, ==, n);
    told_done(&t);
    script_done(&s);
    free(body);
}

static void answer_bodies_are_shed_before_request_bodies(void **state)
{
    (void)state;
    struct script s = {.budget = 80000};
    struct buf big = {0};
    buf_zeros(&big, 58000);
    script_text(&s, 0, 1, POST("/a", "58000"));
    script_bytes(&s, 0, 1, buf_view(&big));
    script_text(&s, 1, 2, OK("0"));
    script_text(&s, 0, 3, POST("/b", "0"));
    script_text(&s, 1, 4, OK("58000"));
    script_bytes(&s, 1, 4, buf_view(&big));
    struct told t = play(&s, 0, 1000);
    check_str_has(buf_text(&t.story), "0 POST /a 58000#");
    check_str_has(buf_text(&t.story), "-> 200 elided 58000#");
    check_str_has(buf_text(&t.story), " !limit @");
    told_done(&t);
    s.budget = 700;
    t = play(&s, 0, 1000);
    check_int(t.totals.connections_shed, ==, 1);
    told_done(&t);
    buf_done(&big);
    script_done(&s);
}

static void
where_memory_is_short_a_whole_request_does_not_wait_for_its_answer(void **state)
{
    (void)state;
    struct script s = {.budget = 80000};
    struct buf big = {0};
    buf_zeros(&big, 50000);
    script_text(&s, 0, 1, POST("/a", "50000"));
    script_bytes(&s, 0, 1, buf_view(&big));
    script_text(&s, 0, 2, POST("/b", "50000"));
    script_bytes(&s, 0, 2, buf_view(&big));
    script_text(&s, 1, 3, OK("2") "ab");
    script_text(&s, 1, 4, OK("2") "cd");
    struct told t = play(&s, 0, 1000);
    check_str_has(buf_text(&t.story), "(asked) 0 POST /a 50000#");
    check_str_has(buf_text(&t.story), "(asked) 1 POST /b 50000#");
    check_str_has(buf_text(&t.story), "(answered) 0 POST /a");
    check_str_has(buf_text(&t.story), "(answered) 1 POST /b");
    check_int(t.totals.bodies_elided, ==, 0);
    check_int(t.totals.exchanges, ==, 2);
    told_done(&t);
    buf_done(&big);
    script_done(&s);
}

/* Requests and answers at random, cut at random, with random gaps: never a crash, every
 * byte accounted for (play checks it), and without gaps every exchange. */
static void random_conversations_are_told_exactly(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct rng r;
        struct script s = {0};
        struct buf want = {0};
        rng_init(&r, seed);
        bool gaps = seed % 3 == 0;
        int64_t ms = 1;
        for (int i = 0; i < 20; i++, ms += 4) {
            struct buf ask = {0}, answer = {0};
            char body[40];
            uint64_t n = rng_below(&r, 30);
            for (uint64_t k = 0; k < n; k++)
                body[k] = (char)('a' + rng_below(&r, 26));
            body[n] = 0;
            if (n && rng_below(&r, 2))
                buf_fmt(&ask,
                        "POST /%d HTTP/1.1\r\nHost: h\r\n"
                        "Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n",
                        i, (unsigned)n, body);
            else
                buf_fmt(&ask,
                        "POST /%d HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s",
                        i, (int)n, body);
            buf_fmt(&answer, "HTTP/1.1 20%d OK\r\nContent-Length: 1\r\n\r\n%d",
                    (int)rng_below(&r, 4), i % 10);
            buf_fmt(&want, "%d POST /%d ", i, i);
            buf_fmt(&want, n ? "[%s]" : "-%s", body);
            int status = answer.p[11] - '0';
            if (status == 4)
                abort();
            buf_fmt(&want, " -> 20%d [%d] @%d-%d,%d-%d\n", status, i % 10, (int)ms,
                    (int)ms, (int)ms + 2, (int)ms + 2);
            script_bytes(&s, 0, ms, buf_view(&ask));
            if (gaps && rng_below(&r, 4) == 0)
                script_gap(&s, (int)rng_below(&r, 2), ms + 1, 1 + rng_below(&r, 60));
            script_bytes(&s, 1, ms + 2, buf_view(&answer));
            buf_done(&ask);
            buf_done(&answer);
        }
        for (size_t cut = 0; cut < 40; cut += 13) {
            struct told t = play(&s, cut, 1 + (size_t)rng_below(&r, 50));
            if (!gaps)
                check_str(buf_text(&t.story), buf_text(&want));
            told_done(&t);
        }
        buf_done(&want);
        script_done(&s);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_paired_with_their_answers_and_timed),
        cmocka_unit_test(a_head_cut_at_any_byte_is_one_head),
        cmocka_unit_test(pipelined_requests_are_paired_in_order),
        cmocka_unit_test(a_body_of_zeros_is_a_body),
        cmocka_unit_test(interim_answers_are_passed_over),
        cmocka_unit_test(chunks_may_look_like_their_end),
        cmocka_unit_test(a_chunk_of_2_to_the_64_is_given_up),
        cmocka_unit_test(ambiguous_lengths_are_not_guessed_at),
        cmocka_unit_test(bare_line_feeds_and_folded_lines_are_not_guessed_at),
        cmocka_unit_test(a_head_of_a_megabyte_is_given_up),
        cmocka_unit_test(answers_without_a_length_end_with_the_connection),
        cmocka_unit_test(some_answers_have_no_body_whatever_they_say),
        cmocka_unit_test(an_upgrade_to_h2c_is_followed),
        cmocka_unit_test(a_websocket_is_a_tunnel),
        cmocka_unit_test(body_bytes_that_look_like_a_message_are_body),
        cmocka_unit_test(a_compressed_body_is_kept_as_sent),
        cmocka_unit_test(a_gap_inside_a_body_costs_that_body_alone),
        cmocka_unit_test(behind_a_gap_reading_goes_on_at_the_next_message),
        cmocka_unit_test(requests_of_which_the_beginning_is_there_are_counted),
        cmocka_unit_test(start_lines_that_begin_nothing_are_passed_over),
        cmocka_unit_test(a_lost_answer_is_not_replaced_by_the_next_one),
        cmocka_unit_test(behind_a_gap_pipelined_requests_are_paired_by_batches),
        cmocka_unit_test(behind_a_gap_a_client_that_never_waits_gets_no_answers),
        cmocka_unit_test(
            an_answer_in_front_of_its_request_shows_that_the_client_does_not_wait),
        cmocka_unit_test(an_answer_behind_gaps_on_both_sides_is_no_one_s),
        cmocka_unit_test(an_answer_in_its_place_is_kept_whatever_is_missing_behind_it),
        cmocka_unit_test(a_connection_joined_midway_is_read_from_the_next_message),
        cmocka_unit_test(an_unanswered_request_is_told_as_such),
        cmocka_unit_test(a_slow_answer_is_told_after_its_request),
        cmocka_unit_test(tls_and_what_is_not_known_is_opaque),
        cmocka_unit_test(a_body_over_the_limit_keeps_its_length_and_hash),
        cmocka_unit_test(answer_bodies_are_shed_before_request_bodies),
        cmocka_unit_test(
            where_memory_is_short_a_whole_request_does_not_wait_for_its_answer),
        cmocka_unit_test(random_conversations_are_told_exactly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

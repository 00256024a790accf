/*
 * test_capture_no_memory.c - while a capture's parsers read a connection, the first,
 * second, third ... growth of a buffer fails, once or for good: no byte is lost from
 * the accounts, nothing leaks, and the connection is given up, not the program.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>

#include "tests/unit/check.h"

static int until_failure = -1; /* allocations that still succeed; negative: all do */
static int failures;
static bool once;

static bool fails(void)
{
    if (until_failure < 0 || until_failure-- > 0)
        return false;
    until_failure = once ? -1 : 0;
    failures++;
    return true;
}

static void *scarce_malloc(size_t n)
{
    return fails() ? NULL : malloc(n);
}

static void *scarce_realloc(void *p, size_t n)
{
    return fails() ? NULL : realloc(p, n);
}

#define malloc  scarce_malloc
#define realloc scarce_realloc
#include "capture/spare.c"
#include "traces/base/arena.c"
#include "traces/base/buf.c"
#undef malloc
#undef realloc

#include "capture/stream.h"
#include "tests/unit/h2_build.h"

struct piece {
    int dir;
    struct buf bytes;
};

static void hear(void *arg, const struct cap_exchange *x)
{
    uint64_t *counted = arg;
    counted[0] += x->request.counted_bytes;
    counted[1] += x->answer.counted_bytes;
}

/* Plays the pieces byte by byte with memory for so many allocations; how many failed.
 */
static int play(const struct piece *pieces, size_t count, bool midway, int memory)
{
    uint64_t seen[2] = {0}, counted[2] = {0};
    struct cap_budget budget = {.limit_bytes = 1u << 26};
    struct cap_parse_config config = {
        .exchange = hear, .arg = counted, .budget = &budget};
    struct cap_parse *parse = cap_parse_new(&config, NULL);
    struct cap_flow_info info = {.from_start = !midway};
    struct cap_stream *s = cap_stream_new(parse, &info);
    check_true(s != NULL);
    until_failure = memory;
    failures = 0;
    for (size_t i = 0; i < count; i++) {
        const struct piece *p = &pieces[i];
        for (size_t k = 0; k < p->bytes.n; k += 3) {
            struct span three = span_sub(buf_view(&p->bytes), k, k + 3);
            cap_stream_data(s, p->dir, (struct clk_wall){1}, three);
            seen[p->dir] += three.n;
            const struct cap_parse_counts *c = cap_stream_counts(s, p->dir);
            check_int(c->record_bytes + c->framing_bytes + c->opaque_bytes +
                          c->shed_bytes + c->pending_bytes,
                      ==, seen[p->dir]);
        }
    }
    cap_stream_close(s, (struct clk_wall){1}, CAP_END_FIN);
    until_failure = -1;
    const struct cap_parse_totals *t = cap_parse_totals(parse);
    for (int dir = 0; dir < 2; dir++) {
        check_int(t->dir[dir].pending_bytes, ==, 0);
        check_int(t->dir[dir].record_bytes, ==, counted[dir]);
    }
    check_int(t->connections_shed, <=, 1);
    check_int(budget.used_bytes, ==, 0);
    cap_parse_free(parse);
    return failures;
}

static void play_all(const struct piece *pieces, size_t count, bool midway)
{
    for (int how = 0; how < 2; how++) {
        once = how;
        int n = 0;
        while (play(pieces, count, midway, n) > 0)
            n++;
        check_int(n, >, 5);
    }
    once = false;
}

static void http1_survives_a_lack_of_memory(void **state)
{
    (void)state;
    struct piece pieces[4] = {{.dir = 0}, {.dir = 1}, {.dir = 0}, {.dir = 1}};
    for (int i = 0; i < 4; i += 2) {
        buf_str(&pieces[i].bytes,
                "POST /v2/models/iris/infer HTTP/1.1\r\nHost: h\r\n"
                "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
        buf_str(&pieces[i + 1].bytes, "HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n");
        buf_zeros(&pieces[i + 1].bytes, 200);
    }
    play_all(pieces, 4, false);
    play_all(pieces, 4, true);
    for (int i = 0; i < 4; i++)
        buf_done(&pieces[i].bytes);
}

static void http2_survives_a_lack_of_memory(void **state)
{
    (void)state;
    struct piece pieces[2] = {{.dir = 0}, {.dir = 1}};
    struct buf *client = &pieces[0].bytes, *server = &pieces[1].bytes;
    struct buf block = {0}, grpc = {0};
    buf_str(client, H2_PREFACE);
    h2_grpc(&grpc, 0, SPAN_LIT("some message"));
    for (uint32_t i = 0; i < 4; i++) {
        buf_reset(&block);
        h2_indexed(&block, 3);
        h2_literal(&block, H2_INSERT, 4, NULL, "/p.S/M");
        h2_literal(&block, H2_INSERT, 31, NULL, "application/grpc");
        h2_frame(client, H2_HEADERS, 0, 2 * i + 1, buf_view(&block));
        buf_reset(&block);
        h2_literal(&block, H2_INSERT, 0, "x-long",
                   "a value of some length, as they are");
        h2_frame(client, H2_CONTINUATION, H2_END_HEADERS, 2 * i + 1, buf_view(&block));
        h2_frame(client, H2_DATA, H2_END_STREAM, 2 * i + 1, buf_view(&grpc));
        h2_frame(server, H2_HEADERS, H2_END_HEADERS, 2 * i + 1, SPAN_LIT("\x88"));
        h2_frame(server, H2_DATA, H2_END_STREAM, 2 * i + 1, buf_view(&grpc));
    }
    play_all(pieces, 2, false);
    play_all(pieces, 2, true);
    buf_done(&block);
    buf_done(&grpc);
    buf_done(client);
    buf_done(server);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(http1_survives_a_lack_of_memory),
        cmocka_unit_test(http2_survives_a_lack_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_replay_allocs.c - in its steady state a replay allocates per slice of the trace,
 * not per operation: every allocation of the process is counted, those of libraries
 * too. SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/check.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "replay/run.h"
#include "tests/unit/peer.h"
#include "traces/container/trc_writer.h"

/* Sanitizers bring an allocator of their own, under which there is nothing to count. */
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define COUNTING 1
#endif
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#undef COUNTING
#endif
#endif

static _Atomic uint64_t allocations;

#ifdef COUNTING
/* glibc's own functions, under the names by which it lets programs replace them. */
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);

void *malloc(size_t n)
{
    atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed);
    return __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
    atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed);
    return __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
    atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed);
    return __libc_realloc(p, n);
}
#endif

#define CONNECTIONS 4

static void answer(int fd, int nth, void *arg)
{
    (void)nth;
    (void)arg;
    char request[8192];
    while (peer_read_request(fd, request, sizeof request) > 0)
        peer_say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
}

static void write_trace(const char *path, uint64_t count)
{
    struct trc_options options = {.kind = TRC_TRACE};
    const struct op_stream model = {.protocol = OP_REST,
                                    .resource = OP_MODEL,
                                    .name = SPAN_LIT("iris"),
                                    .model_type = SPAN_LIT("nothing-known")};
    struct trc_writer *w;
    struct err e = {0};

    check_ok(trc_writer_open(&w, path, &options, &e), &e);
    for (uint64_t i = 0; i < count; i++) {
        struct op op = op_empty();
        char body[64];
        snprintf(body, sizeof body, "{\"n\": %llu}", (unsigned long long)i);
        op.index = i;
        op.arrival_ns = (int64_t)i;
        op.stream = &model;
        op.request = op_body_of(span_str(body));
        check_ok(trc_writer_op(w, &op, &e), &e);
    }
    check_ok(trc_writer_close(w, &e), &e);
}

/* Allocations of a whole replay of that many operations. */
static uint64_t replay(const char *folder, const char *target, uint64_t count)
{
    char trace[128], run[128];
    struct rep_run_result r;
    struct err e = {0};

    snprintf(trace, sizeof trace, "%s/t.trace", folder);
    snprintf(run, sizeof run, "%s/t.run", folder);
    write_trace(trace, count);
    struct rep_run_config c = {
        .trace = trace,
        .out = run,
        .force = true,
        .tier = OP_TIER_SERVER,
        .http = target,
        .rest_wanted = true,
        .speed = "1",
        .versions = {.common = 1},
        .workers = 1,
        .http_connections = CONNECTIONS,
        .streams = 10,
        .users = CONNECTIONS,
        .deadline_ns = 60 * CLK_SEC,
        .connect_limit_ns = 5 * CLK_SEC,
        .answer_max = 1u << 20,
        .quiet = true,
        .options = "test",
    };
    uint64_t before = atomic_load(&allocations);
    check_ok(rep_run(&c, &r, &e), &e);
    uint64_t made = atomic_load(&allocations) - before;
    check_int(r.tally.ok, ==, count);
    rep_run_result_done(&r);
    unlink(trace);
    unlink(run);
    return made;
}

static void ten_thousand_more_operations_cost_a_handful_of_allocations(void **state)
{
    char folder[] = "/tmp/reprise-test-XXXXXX", target[64];
    (void)state;
#ifndef COUNTING
    skip();
#endif
    check_true(mkdtemp(folder) != NULL);
    struct peer *p = peer_start(answer, NULL);
    snprintf(target, sizeof target, "http://127.0.0.1:%u", (unsigned)peer_port(p));
    uint64_t first = replay(folder, target, 10000);
    uint64_t second = replay(folder, target, 20000);
    peer_stop(p);
    check_int(rmdir(folder), ==, 0);
    /* Slices, blocks and arenas: of the trace, not of operations. */
    check_int(first, >, 0);
    check_int(second - first, <, 10000 / 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ten_thousand_more_operations_cost_a_handful_of_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

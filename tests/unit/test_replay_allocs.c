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

/* HTTP/2 with a fixed answer: it counts frames and allocates nothing. */
static void answer_h2(int fd, int nth, void *arg)
{
    /* SETTINGS, and a window that lasts. */
    static const uint8_t settings[] = {0, 0, 0, 4, 0, 0, 0, 0,    0, 0, 0,
                                       4, 8, 0, 0, 0, 0, 0, 0x7f, 0, 0, 0};
    static const uint8_t settings_ack[] = {0, 0, 0, 4, 1, 0, 0, 0, 0};
    /* A head that stays in the table, an empty message, trailers. */
    static const uint8_t first[] = "\0\0\x13\1\4\0\0\0\0\x88\x5f\x10"
                                   "application/grpc\0\0\5\0\0\0\0\0\0\0\0\0\0\0"
                                   "\0\0\x0f\1\5\0\0\0\0\x40\x0b"
                                   "grpc-status\1"
                                   "0";
    static const uint8_t later[] = "\0\0\2\1\4\0\0\0\0\x88\xbf"
                                   "\0\0\5\0\0\0\0\0\0\0\0\0\0\0"
                                   "\0\0\1\1\5\0\0\0\0\xbe";
    uint8_t in[4096], out[8192];
    size_t have = 0, answers = 0;
    ssize_t n;
    (void)nth;
    (void)arg;
    peer_send(fd, settings, sizeof settings);
    for (bool opened = false; (n = read(fd, in + have, sizeof in - have)) > 0;) {
        have += (size_t)n;
        size_t at = opened ? 0 : 24, said = 0;
        while (have >= at + 9) {
            const uint8_t *f = in + at;
            size_t whole = 9u + (size_t)(f[0] << 16 | f[1] << 8 | f[2]);
            if (have < at + whole || said > sizeof out - sizeof first)
                break;
            bool ends = f[3] == 0 && (f[4] & 1);
            const uint8_t *text = answers == 0 ? first : later;
            size_t size = (answers == 0 ? sizeof first : sizeof later) - 1;
            if (ends) {
                memcpy(out + said, text, size);
                for (size_t k = said; k < said + size; k += 9u + out[k + 2])
                    memcpy(out + k + 5, f + 5, 4); /* the stream */
                said += size;
                answers++;
            } else if (f[3] == 4 && !(f[4] & 1)) {
                memcpy(out + said, settings_ack, sizeof settings_ack);
                said += sizeof settings_ack;
            }
            at += whole;
            opened = true;
        }
        have -= at;
        memmove(in, in + at, have);
        if (!peer_send(fd, out, said))
            return;
    }
}

static void write_trace(const char *path, enum op_protocol protocol, uint64_t count)
{
    struct trc_options options = {.kind = TRC_TRACE};
    const struct op_stream model = {.protocol = protocol,
                                    .resource = OP_MODEL,
                                    .name = SPAN_LIT("iris"),
                                    .model_type = SPAN_LIT("nothing-known")};
    struct trc_writer *w;
    struct err e = {0};

    check_ok(trc_writer_open(&w, path, &options, &e), &e);
    for (uint64_t i = 0; i < count; i++) {
        struct op op = op_empty();
        char body[64];
        /* JSON; or a ModelInferRequest of that model, with an id of eight digits. */
        snprintf(body, sizeof body,
                 protocol == OP_REST ? "{\"n\": %llu}" : "\x0a\x04iris\x1a\x08%08llu",
                 (unsigned long long)i);
        op.index = i;
        op.arrival_ns = (int64_t)i;
        op.stream = &model;
        op.request = op_body_of(span_str(body));
        check_ok(trc_writer_op(w, &op, &e), &e);
    }
    check_ok(trc_writer_close(w, &e), &e);
}

/* Allocations of a whole replay of that many operations. */
static uint64_t replay(const char *folder, enum op_protocol protocol,
                       const char *target, uint64_t count)
{
    char trace[128], run[128];
    struct rep_run_result r;
    struct err e = {0};

    snprintf(trace, sizeof trace, "%s/t.trace", folder);
    snprintf(run, sizeof run, "%s/t.run", folder);
    write_trace(trace, protocol, count);
    struct rep_run_config c = {
        .trace = trace,
        .out = run,
        .force = true,
        .tier = OP_TIER_SERVER,
        .http = protocol == OP_REST ? target : NULL,
        .grpc = protocol == OP_GRPC ? target : NULL,
        .rest_wanted = true,
        .grpc_wanted = true,
        .speed = "1",
        .versions = {.common = 1},
        .workers = 1,
        .http_connections = CONNECTIONS,
        .grpc_connections = CONNECTIONS,
        .streams = 10,
        .users = protocol == OP_REST ? CONNECTIONS : 10 * CONNECTIONS,
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

/* What ten thousand more operations cost. */
static void compare(enum op_protocol protocol, peer_fn *serve)
{
    char folder[] = "/tmp/reprise-test-XXXXXX", target[64];
#ifndef COUNTING
    skip();
#endif
    check_true(mkdtemp(folder) != NULL);
    struct peer *p = peer_start(serve, NULL);
    snprintf(target, sizeof target, "%s127.0.0.1:%u",
             protocol == OP_REST ? "http://" : "", (unsigned)peer_port(p));
    uint64_t first = replay(folder, protocol, target, 10000);
    uint64_t second = replay(folder, protocol, target, 20000);
    peer_stop(p);
    check_int(rmdir(folder), ==, 0);
    /* Slices, blocks and arenas: of the trace, not of operations. */
    check_int(first, >, 0);
    check_int(second - first, <, 10000 / 20);
}

static void ten_thousand_more_rest_calls_cost_a_handful_of_allocations(void **state)
{
    (void)state;
    compare(OP_REST, answer);
}

static void ten_thousand_more_grpc_calls_cost_a_handful_of_allocations(void **state)
{
    (void)state;
    compare(OP_GRPC, answer_h2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ten_thousand_more_rest_calls_cost_a_handful_of_allocations),
        cmocka_unit_test(ten_thousand_more_grpc_calls_cost_a_handful_of_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

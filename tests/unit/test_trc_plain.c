/*
 * test_trc_plain.c - frames that hold their bytes as they are, and when that is the
 * better way.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "traces/base/rng.h"
#include "traces/container/trc_hash.h"
#include "traces/container/trc_plain.h"
#include "traces/container/trc_zstd.h"

#define KB ((size_t)1 << 10)

static uint8_t *noise(size_t n)
{
    struct rng rng;
    uint8_t *p = malloc(n + 8);
    rng_init(&rng, 7);
    for (size_t i = 0; i < n; i += 8) {
        uint64_t v = rng_u64(&rng);
        memcpy(p + i, &v, sizeof v);
    }
    return p;
}

static void zstd_reads_a_frame_of_any_size(void **state)
{
    (void)state;
    static const size_t sizes[] = {1,        255,          KB,           128 * KB - 1,
                                   128 * KB, 128 * KB + 1, 300 * KB + 5, 2000 * KB};
    struct trc_plain p = {0};
    struct trc_unpack *u = trc_unpack_new();
    struct err e = {0};
    uint8_t *bytes = noise(2000 * KB), *out = malloc(2000 * KB);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (size_t cut = 0; cut <= sizes[i]; cut += 1 + sizes[i] / 3) {
            struct span all = span_of(bytes, sizes[i]);
            struct buf frame = {0};
            check_ok(trc_plain_frame(&p, span_sub(all, 0, cut),
                                     span_sub(all, cut, all.n), &e),
                     &e);
            for (size_t k = 0; k < p.n; k++)
                buf_add(&frame, p.v[k].iov_base, p.v[k].iov_len);
            check_int(frame.n, ==, p.bytes);
            check_true(trc_xxh64(frame.p, frame.n) == trc_xxh64_pieces(p.v, p.n));
            check_ok(trc_unpack_group(u, buf_view(&frame), out, sizes[i], &e), &e);
            check_true(memcmp(out, bytes, sizes[i]) == 0);
            buf_done(&frame);
        }
    }
    trc_plain_done(&p);
    trc_unpack_free(u);
    free(bytes);
    free(out);
}

/* Numbers of a JSON array, the same one or each another. */
static void numbers(char *text, size_t n, bool same)
{
    struct rng rng;
    rng_init(&rng, 3);
    for (size_t at = 0; at + 24 < n;)
        at += (size_t)snprintf(text + at, 24, "%.7g,",
                               same ? 0.25 : (double)(rng_u64(&rng) >> 11) / 1e10);
}

static void what_repeats_is_told_from_what_does_not(void **state)
{
    (void)state;
    const size_t n = 100 * KB;
    uint8_t *p = noise(n);
    char *text = calloc(1, n);
    check_true(!trc_plain_repeats(span_of(p, n)));
    for (size_t i = 3; i < n; i += 4)
        p[i] = 0x3f; /* floats of a random mantissa */
    check_true(!trc_plain_repeats(span_of(p, n)));
    numbers(text, n, false);
    check_true(!trc_plain_repeats(span_of(text, n - 24)));
    numbers(text, n, true);
    check_true(trc_plain_repeats(span_of(text, n - 24)));
    memset(p, 0, n);
    check_true(trc_plain_repeats(span_of(p, n)));
    check_true(!trc_plain_repeats(span_of(p, 4095))); /* too small to say */
    check_true(!trc_plain_repeats((struct span){0}));
    free(p);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zstd_reads_a_frame_of_any_size),
        cmocka_unit_test(what_repeats_is_told_from_what_does_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

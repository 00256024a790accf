/*
 * test_trc_column.c - columns of integers, read by windows and batches, hold what
 * reading them one by one gives.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/check.h"

#include <stdlib.h>
#include <string.h>

#include "traces/base/rng.h"
#include "traces/container/trc_column.h"

enum { MOST = 2000 };

/* FORMAT.md, section 5, spelled out. False: no such value. */
static bool next_by_definition(struct cursor *c, unsigned form, int64_t *v)
{
    uint64_t u = cursor_varint(c);
    if (c->bad)
        return false;
    if (form & 4) {
        if (u == 0) {
            *v = TRC_NULL;
            return true;
        }
        u--;
    }
    if (form & 2) {
        *v = (int64_t)(u >> 1) ^ -(int64_t)(u & 1);
        return *v != INT64_MIN;
    }
    *v = (int64_t)u;
    return u <= INT64_MAX;
}

/* How many values of the column can be had, and whether they are those. The content
 * lies at the end of its memory: what reads past it is found out. */
static void check_against_definition(const uint8_t *bytes, size_t n, struct rng *r)
{
    uint8_t *content = malloc(n);
    static int64_t expected[MOST], got[MOST];
    struct trc_ints it;
    size_t count = 0, at = 0;

    assert_non_null(content);
    memcpy(content, bytes, n);
    struct cursor c = cursor_of(span_of(content + 1, n - 1));
    while (count < MOST && next_by_definition(&c, content[0], &expected[count]))
        count++;
    check_true(trc_ints_init(&it, span_of(content, n)));
    while (at < count) {
        size_t some = 1 + (size_t)rng_below(r, rng_below(r, 4) ? 40 : 700);
        some = some > count - at ? count - at : some;
        check_true(trc_ints_take(&it, got + at, some));
        at += some;
    }
    assert_memory_equal(got, expected, count * sizeof *got);
    if (count < MOST)
        check_true(!trc_ints_take(&it, got, 1));
    free(content);
}

static size_t put_varint(uint8_t *p, uint64_t v)
{
    size_t n = 0;
    for (; v >= 0x80; v >>= 7)
        p[n++] = (uint8_t)(v | 0x80);
    p[n++] = (uint8_t)v;
    return n;
}

/* Columns of any form, of lengths that are all alike, nearly alike, or mixed. */
static void integers_are_read_by_windows_as_one_by_one(void **state)
{
    static uint8_t bytes[10 * MOST + 1];
    struct rng r;

    (void)state;
    rng_init(&r, 7);
    for (int round = 0; round < 3000; round++) {
        unsigned most_bits = 1 + (unsigned)rng_below(&r, 64);
        uint64_t odd = rng_below(&r, 60); /* one of so many has another length */
        size_t n = 1, values = (size_t)rng_below(&r, MOST / 4);
        bytes[0] = (uint8_t)(2 * rng_below(&r, 4));
        for (size_t i = 0; i < values; i++) {
            unsigned bits = odd && rng_below(&r, odd) == 0
                                ? 1 + (unsigned)rng_below(&r, 64)
                                : most_bits;
            bool small = rng_below(&r, 9) == 0;
            uint64_t v = rng_u64(&r) >> (64 - bits);
            n += put_varint(bytes + n, small ? v % 3 : v);
        }
        check_against_definition(bytes, n, &r);
    }
}

/* Bytes that no writer makes: varints too long, with zeros at their end, cut off. */
static void bytes_of_any_kind_are_read_as_one_by_one(void **state)
{
    static uint8_t bytes[1200];
    struct rng r;

    (void)state;
    rng_init(&r, 8);
    for (int round = 0; round < 5000; round++) {
        size_t n = 2 + (size_t)rng_below(&r, sizeof bytes - 2);
        uint64_t on = rng_below(&r, 100); /* share of bytes that more follow */
        bytes[0] = (uint8_t)(2 * rng_below(&r, 4));
        for (size_t i = 1; i < n; i++)
            bytes[i] = (uint8_t)((rng_below(&r, 128)) * rng_below(&r, 2) |
                                 (rng_below(&r, 100) < on ? 0x80 : 0));
        check_against_definition(bytes, n, &r);
    }
}

/* What is written comes back, with "none" and both signs. */
static void columns_come_back_as_they_were_put(void **state)
{
    static const uint8_t known[] = {9, 0};
    static int64_t v[MOST], back[MOST];
    struct trc_group_out out = {0};
    struct rng r;

    (void)state;
    rng_init(&r, 9);
    for (int round = 0; round < 500; round++) {
        size_t n = (size_t)rng_below(&r, MOST);
        bool nulls = rng_below(&r, 2), negative = rng_below(&r, 2);
        unsigned bits = 1 + (unsigned)rng_below(&r, 62);
        for (size_t i = 0; i < n; i++) {
            v[i] = (int64_t)(rng_u64(&r) >> (64 - bits));
            if (negative && rng_below(&r, 2))
                v[i] = -v[i];
            if (nulls && rng_below(&r, 3) == 0)
                v[i] = TRC_NULL;
        }
        trc_group_out_reset(&out);
        trc_put_ints(&out, 9, false, v, n, 5);
        struct trc_group g = {.block = "block", .name = "group"};
        struct err e = {0};
        check_ok(trc_group_parse(&g, buf_view(&out.raw), known, &e), &e);
        check_ok(trc_ints_all(&g, 9, 5, back, n, &e), &e);
        assert_memory_equal(back, v, n * sizeof *v);
    }
    trc_group_out_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_are_read_by_windows_as_one_by_one),
        cmocka_unit_test(bytes_of_any_kind_are_read_as_one_by_one),
        cmocka_unit_test(columns_come_back_as_they_were_put),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * test_cap_spare.c - memory of large bodies is used again, within bounds.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "check.h"

#include <string.h>

#include "capture/spare.h"

#define KB ((size_t)1 << 10)
#define MB ((size_t)1 << 20)

static void add(struct cap_spare *s, struct buf *b, size_t n, uint64_t expected)
{
    cap_spare_reserve(s, b, n, expected);
    check_true(!b->failed && b->cap - b->n >= n);
    int fill = b->n == 0 ? 'f' : 'm'; /* the first, more */
    memset(buf_grow(b, n), fill, n);
}

static void a_buffer_that_was_given_is_taken_for_a_body_of_its_size(void **state)
{
    (void)state;
    struct cap_spare s = {0};
    struct buf b = {0};
    add(&s, &b, 600 * KB, 0);
    const uint8_t *p = b.p;
    cap_spare_give(&s, &b);
    check_true(b.p == NULL && b.cap == 0);
    check_int(s.count, ==, 1);
    check_int(s.bytes, ==, 600 * KB);
    add(&s, &b, 16 * KB, 590 * KB); /* too little yet to bother about */
    check_true(b.p != p);
    add(&s, &b, 64 * KB, 590 * KB);
    check_true(b.p == p);
    check_int(b.n, ==, 80 * KB);
    check_int(b.p[16 * KB - 1], ==, 'f'); /* what it held moved with it */
    check_int(b.p[16 * KB], ==, 'm');
    check_int(s.bytes, ==, s.count ? s.kept[0].cap : 0);
    buf_done(&b);
    cap_spare_done(&s);
}

static void a_much_larger_one_is_left_for_others(void **state)
{
    (void)state;
    struct cap_spare s = {0};
    struct buf large = {0}, b = {0};
    add(&s, &large, 4 * MB, 0);
    cap_spare_give(&s, &large);
    add(&s, &b, 128 * KB, 200 * KB);
    check_int(b.cap, ==, 200 * KB); /* what its sender says, and no more */
    check_int(s.bytes, ==, 4 * MB);
    buf_done(&b);
    cap_spare_done(&s);
}

static void a_length_that_was_only_promised_gets_little_memory(void **state)
{
    (void)state;
    struct cap_spare s = {0};
    struct buf b = {0};
    add(&s, &b, 64 * KB, 64 * MB);
    check_true(b.cap <= 4 * 64 * KB);
    check_int(cap_spare_wants(&b, b.cap, 64 * MB), <=, 8 * b.cap);
    buf_done(&b);
    cap_spare_done(&s);
}

static void an_unknown_length_doubles(void **state)
{
    (void)state;
    struct cap_spare s = {0};
    struct buf b = {0};
    size_t moves = 0, cap = 0;
    while (b.n < 8 * MB) {
        add(&s, &b, 60 * KB, 0);
        moves += b.cap != cap;
        cap = b.cap;
    }
    check_true(moves <= 10);
    check_true(cap <= 17 * MB);
    buf_done(&b);
    cap_spare_done(&s);
}

static void what_is_kept_is_bounded(void **state)
{
    (void)state;
    struct cap_spare s = {0};
    struct buf b[CAP_SPARE_COUNT + 40] = {0};
    for (size_t i = 0; i < sizeof b / sizeof *b; i++)
        add(&s, &b[i], i < 40 ? MB : CAP_SPARE_FROM, 0);
    for (size_t i = 0; i < sizeof b / sizeof *b; i++)
        cap_spare_give(&s, &b[i]);
    check_true(s.bytes <= CAP_SPARE_BYTES && s.bytes > CAP_SPARE_BYTES - MB);
    check_true(s.count <= CAP_SPARE_COUNT);
    cap_spare_done(&s);
    check_int(s.bytes, ==, 0);
    s.limit = MB;
    for (int i = 0; i < 3; i++)
        add(&s, &b[i], 600 * KB, 0);
    for (int i = 0; i < 3; i++)
        cap_spare_give(&s, &b[i]);
    check_int(s.count, ==, 1);
    cap_spare_done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_buffer_that_was_given_is_taken_for_a_body_of_its_size),
        cmocka_unit_test(a_much_larger_one_is_left_for_others),
        cmocka_unit_test(a_length_that_was_only_promised_gets_little_memory),
        cmocka_unit_test(an_unknown_length_doubles),
        cmocka_unit_test(what_is_kept_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * test_arena.c - memory that is given back all at once.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdalign.h>
#include <string.h>

#include "tests/unit/check.h"
#include "traces/base/arena.h"

static void allocations_are_aligned_and_do_not_overlap(void **state)
{
    (void)state;
    struct arena a = {0};
    uint8_t *last = NULL;
    for (size_t n = 0; n < 600; n++) {
        uint8_t *p = arena_alloc(&a, n);
        assert_non_null(p);
        check_int((uintptr_t)p % alignof(max_align_t), ==, 0);
        memset(p, (int)n, n);
        if (last && n > 1)
            check_int(last[n - 2], ==,
                      (uint8_t)(n - 1)); /* untouched by its neighbour */
        last = p;
    }
    check_true(a.used <= a.total);
    arena_done(&a);
    check_true(a.head == NULL && a.used == 0 && a.total == 0);
    arena_done(&a);
}

static void copies_end_with_a_nul(void **state)
{
    (void)state;
    struct arena a = {0};
    struct span s = arena_dup(&a, SPAN_LIT("a\0b"));
    check_int(s.n, ==, 3);
    assert_memory_equal(s.p, "a\0b", 4);
    s = arena_dup(&a, (struct span){0});
    check_int(s.n, ==, 0);
    assert_non_null(s.p);
    check_str(arena_str(&a, "text"), "text");
    const uint8_t *zeros = arena_zalloc(&a, 100);
    for (int i = 0; i < 100; i++)
        check_int(zeros[i], ==, 0);
    arena_done(&a);
}

static void a_round_like_the_last_one_needs_no_new_memory(void **state)
{
    (void)state;
    struct arena a = {0};
    size_t total[6];
    for (int round = 0; round < 6; round++) {
        arena_reset(&a);
        check_int(a.used, ==, 0);
        for (int i = 0; i < 5000; i++)
            assert_non_null(arena_alloc(&a, 100));
        total[round] = a.total;
    }
    check_int(total[5], ==, total[4]);
    check_int(total[4], ==, total[3]);
    arena_done(&a);
}

static void reset_keeps_the_largest_chunk_only(void **state)
{
    (void)state;
    struct arena a = {0};
    arena_alloc(&a, 10);
    arena_alloc(&a, 1 << 20);
    arena_alloc(&a, (1 << 20) + 1);
    arena_reset(&a);
    check_true(a.total >= (1 << 20) + 1);
    check_true(a.total < (3 << 20));
    arena_reset(&a);
    arena_done(&a);
    arena_reset(&a); /* of an empty one */
    check_true(a.head == NULL);
}

static void a_size_beyond_memory_is_refused(void **state)
{
    (void)state;
    struct arena a = {0};
    check_true(arena_alloc(&a, SIZE_MAX) == NULL);
    check_true(arena_alloc(&a, SIZE_MAX - 8) == NULL);
    check_true(arena_zalloc(&a, SIZE_MAX / 2) == NULL);
    check_true(arena_dup(&a, (struct span){(const uint8_t *)"", SIZE_MAX}).p == NULL);
    check_true(arena_alloc(&a, 8) != NULL); /* and hurts nobody */
    arena_done(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(allocations_are_aligned_and_do_not_overlap),
        cmocka_unit_test(copies_end_with_a_nul),
        cmocka_unit_test(a_round_like_the_last_one_needs_no_new_memory),
        cmocka_unit_test(reset_keeps_the_largest_chunk_only),
        cmocka_unit_test(a_size_beyond_memory_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

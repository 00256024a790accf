/*
 * test_pages.c - arrays that grow over the border between heap and pages.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/check.h"

#include <stdint.h>

#include "analysis/pages.h"

static void what_an_array_held_stays_while_it_grows(void **state)
{
    size_t had = 0;
    uint64_t *v = NULL;

    (void)state;
    for (size_t bytes = 512; bytes <= 8 * ANA_PAGES_HUGE; bytes *= 2) {
        v = ana_pages_grow(v, had, bytes);
        assert_non_null(v);
        for (size_t i = 0; i < had / sizeof *v; i++)
            if (v[i] != i * 3 + 1)
                fail_msg("%zu bytes: value %zu is %llu", bytes, i,
                         (unsigned long long)v[i]);
        for (size_t i = had / sizeof *v; i < bytes / sizeof *v; i++)
            v[i] = i * 3 + 1;
        had = bytes;
    }
    ana_pages_free(v, had);
    ana_pages_free(NULL, 0);
}

static void an_array_may_begin_large_or_stay_small(void **state)
{
    (void)state;
    char *large = ana_pages_grow(NULL, 0, ANA_PAGES_HUGE);
    assert_non_null(large);
    check_int((uintptr_t)large % ANA_PAGES_HUGE, ==, 0);
    check_int(large[ANA_PAGES_HUGE - 1], ==, 0);
    ana_pages_free(large, ANA_PAGES_HUGE);
    char *small = ana_pages_grow(NULL, 0, 64);
    assert_non_null(small);
    small[63] = 1;
    ana_pages_free(small, 64);
}

static void too_much_is_refused_and_costs_nothing(void **state)
{
    (void)state;
    char *p = ana_pages_grow(NULL, 0, 64);
    assert_non_null(p);
    p[0] = 7;
    assert_null(ana_pages_grow(p, 64, (size_t)1 << 62));
    check_int(p[0], ==, 7);
    ana_pages_free(p, 64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_an_array_held_stays_while_it_grows),
        cmocka_unit_test(an_array_may_begin_large_or_stay_small),
        cmocka_unit_test(too_much_is_refused_and_costs_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

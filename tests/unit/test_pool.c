/* test_pool.c - capture/pool. SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/check.h"

#include <malloc.h>
#include <string.h>

#include "capture/pool.h"

static void a_block_that_was_given_back_serves_the_next_of_its_size(void **state)
{
    (void)state;
    struct cap_pool p = {0};
    void *a = cap_pool_take(&p, CAP_POOL_STEP - 1), *b = cap_pool_take(&p, 1);
    assert_non_null(a);
    assert_non_null(b);
    cap_pool_give(&p, a, CAP_POOL_STEP - 1);
    cap_pool_give(&p, b, 1);
    void *other = cap_pool_take(&p, CAP_POOL_STEP + 1);
    assert_true(other != a && other != b);
    assert_ptr_equal(cap_pool_take(&p, 2), b); /* the latest first */
    assert_ptr_equal(cap_pool_take(&p, CAP_POOL_STEP), a);
    cap_pool_give(&p, other, CAP_POOL_STEP + 1);
    cap_pool_give(&p, a, CAP_POOL_STEP);
    cap_pool_give(&p, b, 2);
    cap_pool_give(&p, NULL, 1);
    cap_pool_done(&p);
}

static void every_block_has_room_for_what_was_asked(void **state)
{
    (void)state;
    struct cap_pool p = {0};
    size_t most = CAP_POOL_STEP * CAP_POOL_SIZES + 2 * CAP_POOL_STEP;
    for (int round = 0; round < 2; round++)
        for (size_t n = 1; n <= most; n++) {
            void *b = cap_pool_take(&p, n);
            assert_non_null(b);
            assert_true(malloc_usable_size(b) >= n);
            memset(b, 0xff, n);
            cap_pool_give(&p, b, n);
        }
    for (size_t i = 0; i < CAP_POOL_SIZES; i++)
        check_int(p.count[i], ==, 1);
    cap_pool_done(&p);
}

static void no_more_blocks_than_a_few_are_kept(void **state)
{
    (void)state;
    struct cap_pool p = {0};
    void *all[2 * CAP_POOL_REST];
    for (size_t i = 0; i < 2 * CAP_POOL_REST; i++)
        assert_non_null(all[i] = cap_pool_take(&p, 100));
    for (size_t i = 0; i < 2 * CAP_POOL_REST; i++)
        cap_pool_give(&p, all[i], 100);
    check_int(p.count[0], ==, CAP_POOL_REST);
    cap_pool_done(&p);
    assert_null(p.rest[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_block_that_was_given_back_serves_the_next_of_its_size),
        cmocka_unit_test(every_block_has_room_for_what_was_asked),
        cmocka_unit_test(no_more_blocks_than_a_few_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

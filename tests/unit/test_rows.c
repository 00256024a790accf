/*
 * test_rows.c - pieces of columns that keep what was put into them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/check.h"

#include <string.h>

#include "analysis/rows.h"

/* Pieces that hold n rows, each value another one. */
static struct ana_piece *fill(struct ana_slabs *s, size_t n)
{
    struct ana_piece *first = NULL, *last = NULL;
    for (size_t i = 0; i < n; i++) {
        if (!last || last->n == last->cap) {
            last = ana_piece_new(s, last, true);
            assert_non_null(last);
            first = first ? first : last;
        }
        last->due[last->n] = (int64_t)i << 33;
        for (int c = 0; c < ANA_COL_BACK_PRESSURE; c++)
            last->narrow[c][last->n] = (uint32_t)(8 * i) + (uint32_t)c;
        last->n++;
    }
    return first;
}

static void check_filled(const struct ana_piece *p, size_t n)
{
    size_t i = 0;
    for (; p; p = p->next)
        for (size_t k = 0; k < p->n; k++, i++) {
            check_int(p->due[k], ==, (int64_t)i << 33);
            for (int c = 0; c < ANA_COL_BACK_PRESSURE; c++)
                check_int(p->narrow[c][k], ==, 8 * i + (size_t)c);
        }
    check_int(i, ==, n);
}

static void pieces_double_up_to_the_limit_and_keep_their_rows(void **state)
{
    enum { N = 3 * ANA_PIECE_ROWS };
    struct ana_slabs s = {0};
    size_t cap = ANA_PIECE_LEAST;

    (void)state;
    const struct ana_piece *first = fill(&s, N);
    for (const struct ana_piece *p = first; p; p = p->next) {
        check_int(p->cap, ==, cap);
        cap = cap < ANA_PIECE_ROWS ? 2 * cap : cap;
    }
    check_filled(first, N);
    ana_slabs_done(&s);
}

static void leaves_that_grow_in_turn_share_slabs(void **state)
{
    enum { LEAVES = 70, N = 9000 }; /* 70 * 9000 * 24 bytes: at least one slab */
    struct ana_slabs s = {0};
    struct ana_piece *leaves[LEAVES];

    (void)state;
    for (int i = 0; i < LEAVES; i++)
        leaves[i] = fill(&s, N);
    check_true(s.count >= 1 && s.count <= 3);
    for (int i = 0; i < LEAVES; i++)
        check_filled(leaves[i], N);
    ana_slabs_done(&s);
}

static void slabs_are_used_again_after_a_reset(void **state)
{
    enum { N = 50 * ANA_PIECE_ROWS }; /* 19 MB: two slabs */
    struct ana_slabs s = {0};

    (void)state;
    check_filled(fill(&s, N), N);
    check_int(s.count, ==, 2);
    ana_slabs_reset(&s);
    check_filled(fill(&s, N), N);
    check_int(s.count, ==, 2);
    ana_slabs_done(&s);
    check_int(s.count, ==, 0);
}

static void
a_column_of_back_pressure_begins_with_zeros_for_the_rows_before(void **state)
{
    struct ana_slabs s = {0};

    (void)state;
    struct ana_piece *p = fill(&s, ANA_PIECE_LEAST - 1);
    assert_null(p->narrow[ANA_COL_BACK_PRESSURE]);
    check_true(ana_piece_press(&s, p));
    memset(p->narrow[ANA_COL_BACK_PRESSURE], 0xff, ANA_PIECE_LEAST * sizeof(uint32_t));
    ana_slabs_reset(&s); /* what is taken again is not zero */
    p = fill(&s, ANA_PIECE_LEAST - 1);
    check_true(ana_piece_press(&s, p));
    for (size_t i = 0; i < p->n; i++)
        check_int(p->narrow[ANA_COL_BACK_PRESSURE][i], ==, 0);
    check_filled(p, ANA_PIECE_LEAST - 1);
    ana_slabs_done(&s);
}

static void due_times_take_no_room_where_they_are_not_wanted(void **state)
{
    struct ana_slabs s = {0};

    (void)state;
    struct ana_piece *with = ana_piece_new(&s, NULL, true);
    size_t before = s.used;
    struct ana_piece *without = ana_piece_new(&s, NULL, false);
    assert_non_null(with);
    assert_non_null(without);
    check_int(without->cap, ==, with->cap);
    check_true(with->due != NULL && without->due == NULL);
    check_true(s.used - before + ANA_PIECE_LEAST * sizeof *with->due <= before);
    ana_slabs_done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_double_up_to_the_limit_and_keep_their_rows),
        cmocka_unit_test(leaves_that_grow_in_turn_share_slabs),
        cmocka_unit_test(due_times_take_no_room_where_they_are_not_wanted),
        cmocka_unit_test(slabs_are_used_again_after_a_reset),
        cmocka_unit_test(
            a_column_of_back_pressure_begins_with_zeros_for_the_rows_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

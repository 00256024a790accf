/*
 * test_layout.c - what the order of runs allows to conclude.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/check.h"

#include <stdio.h>
#include <string.h>

#include "analysis/layout.h"

#define MOST 24

/* "AB BA": one letter for each run in order of time; blanks do not count. Labels number
 * the couples if asked for; times are a second apart unless `timed` is false. */
static size_t stamps_of(const char *order, bool labels, bool timed,
                        struct ana_stamp *out)
{
    static char text[MOST][24];
    size_t n = 0;

    for (const char *c = order; *c; c++) {
        if (*c == ' ')
            continue;
        snprintf(text[n], sizeof text[n], "%zu", n / 2);
        out[n] = (struct ana_stamp){
            .arm = *c == 'B',
            .pair = labels ? text[n] : NULL,
            .start_ns = timed ? (int64_t)(n + 1) * 1000000000 : 0,
            .end_ns = timed ? (int64_t)(n + 1) * 1000000000 + 900000000 : 0};
        n++;
    }
    return n;
}

static void each_order_has_its_name(void **state)
{
    static const struct {
        const char *order;
        bool labels, timed;
        enum ana_layout_kind kind;
        size_t pairs;
        bool capped;
    } rows[] = {
        {"AB BA AB BA AB", true, true, ANA_LAYOUT_PAIRED_RANDOM, 5, false},
        {"AB BA AB BA AB", false, true, ANA_LAYOUT_PAIRED_RANDOM, 5, false},
        {"AB AB AB AB", true, true, ANA_LAYOUT_PAIRED_FIXED, 4, false},
        {"BA BA BA BA", false, true, ANA_LAYOUT_PAIRED_FIXED, 4, false},
        {"AAAA BBBB", false, true, ANA_LAYOUT_SEQUENTIAL, 4, true},
        {"BBBB AAAA", false, true, ANA_LAYOUT_SEQUENTIAL, 4, true},
        {"AABB AABB", false, true, ANA_LAYOUT_INTERLEAVED, 4, true},
        {"AAB BBA AB", false, true, ANA_LAYOUT_INTERLEAVED, 4, true},
        {"AB BA AB", true, false, ANA_LAYOUT_UNKNOWN, 3, true},
        {"AB BA AB", false, false, ANA_LAYOUT_UNKNOWN, 3, true},
        {"AB", true, true, ANA_LAYOUT_SINGLE, 1, true},
        {"AB", false, false, ANA_LAYOUT_SINGLE, 1, true},
        {"AAA", false, true, ANA_LAYOUT_SINGLE, 0, true},
        {"AABB", false, true, ANA_LAYOUT_SEQUENTIAL, 2, true},
        {"ABBA", false, true, ANA_LAYOUT_PAIRED_RANDOM, 2, false},
    };
    struct ana_stamp stamps[MOST];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ana_layout l;
        struct err e = {0};
        size_t n = stamps_of(rows[i].order, rows[i].labels, rows[i].timed, stamps);
        check_ok(ana_layout_find(&l, stamps, n, &e), &e);
        if (l.kind != rows[i].kind || l.capped != rows[i].capped ||
            l.pair_count != rows[i].pairs) {
            print_error("'%s': %s, %zu pairs%s; wanted %s, %zu\n", rows[i].order,
                        ana_layout_names[l.kind], l.pair_count,
                        l.capped ? ", capped" : "", ana_layout_names[rows[i].kind],
                        rows[i].pairs);
            fail();
        }
        for (size_t k = 0; k < l.pair_count; k++) {
            check_int(stamps[l.pairs[k].a].arm, ==, 0);
            check_int(stamps[l.pairs[k].b].arm, ==, 1);
        }
        check_int(l.unpaired, ==, n - 2 * l.pair_count);
        check_true(!l.capped || l.reason);
        ana_layout_done(&l);
    }
}

static void labels_do_not_make_pairs_of_what_time_has_parted(void **state)
{
    struct ana_stamp stamps[MOST];
    struct ana_layout l;
    struct err e = {0};
    size_t n = stamps_of("AAAA BBBB", false, true, stamps);
    static const char *const label[] = {"1", "2", "3", "4", "1", "2", "3", "4"};

    (void)state;
    for (size_t i = 0; i < n; i++)
        stamps[i].pair = label[i];
    check_ok(ana_layout_find(&l, stamps, n, &e), &e);
    check_int(l.kind, ==, ANA_LAYOUT_SEQUENTIAL);
    check_int(l.by_label, ==, 1);
    check_int(l.capped, ==, 1);
    check_str_has(l.reason, "confounded with time");
    ana_layout_done(&l);
}

static void a_pair_with_another_run_inside_it_is_not_adjacent(void **state)
{
    struct ana_stamp stamps[MOST];
    struct ana_layout l;
    struct err e = {0};
    size_t n = stamps_of("ABAB BA", false, true, stamps);
    static const char *const label[] = {"1", "2", "2", "1", "3", "3"};

    (void)state;
    for (size_t i = 0; i < n; i++)
        stamps[i].pair = label[i];
    check_ok(ana_layout_find(&l, stamps, n, &e), &e);
    check_int(l.kind, ==, ANA_LAYOUT_INTERLEAVED);
    ana_layout_done(&l);
}

static void runs_without_a_partner_are_counted(void **state)
{
    struct ana_stamp stamps[MOST];
    struct ana_layout l;
    struct err e = {0};
    size_t n = stamps_of("AB BA AB A", true, true, stamps);

    (void)state;
    check_ok(ana_layout_find(&l, stamps, n, &e), &e);
    check_int(l.pair_count, ==, 3);
    check_int(l.unpaired, ==, 1);
    check_int(l.kind, ==, ANA_LAYOUT_PAIRED_RANDOM);
    ana_layout_done(&l);
}

static void runs_at_the_same_time_are_told(void **state)
{
    struct ana_stamp stamps[MOST];
    struct ana_layout l;
    struct err e = {0};
    size_t n = stamps_of("AB BA AB", true, true, stamps);

    (void)state;
    stamps[2].end_ns = stamps[3].start_ns + 5;
    check_ok(ana_layout_find(&l, stamps, n, &e), &e);
    check_int(l.overlap, ==, 1);
    check_int(l.capped, ==, 0);
    check_str_has(l.reason, "same time");
    ana_layout_done(&l);
}

static void a_label_twice_in_one_arm_is_refused(void **state)
{
    struct ana_stamp stamps[MOST];
    struct ana_layout l;
    struct err e = {0};
    size_t n = stamps_of("AB BA", true, true, stamps);

    (void)state;
    stamps[3].pair = stamps[0].pair;
    check_int(ana_layout_find(&l, stamps, n, &e), ==, ERR_USAGE);
    check_str_has(e.text, "pair '0' has two runs in arm A");
}

static void nothing_at_all_is_no_layout(void **state)
{
    struct ana_layout l;
    struct err e = {0};

    (void)state;
    check_ok(ana_layout_find(&l, NULL, 0, &e), &e);
    check_int(l.pair_count, ==, 0);
    check_int(l.capped, ==, 1);
    ana_layout_done(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_order_has_its_name),
        cmocka_unit_test(labels_do_not_make_pairs_of_what_time_has_parted),
        cmocka_unit_test(a_pair_with_another_run_inside_it_is_not_adjacent),
        cmocka_unit_test(runs_without_a_partner_are_counted),
        cmocka_unit_test(runs_at_the_same_time_are_told),
        cmocka_unit_test(a_label_twice_in_one_arm_is_refused),
        cmocka_unit_test(nothing_at_all_is_no_layout),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

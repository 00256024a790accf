/*
 * test_span.c - borrowed bytes, and the cursor that never runs past them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>
#include <string.h>

#include "tests/unit/check.h"
#include "traces/base/buf.h"

static void a_zeroed_span_is_the_empty_one(void **state)
{
    (void)state;
    struct span none = {0};
    check_true(span_eq(none, SPAN_LIT("")));
    check_true(span_eq_str(none, ""));
    check_true(span_eq(span_str(NULL), none));
    check_true(span_starts(none, "") && span_ends(none, ""));
    check_int(span_find(none, 'x', 0), ==, 0);
    check_int(span_sub(none, 0, 10).n, ==, 0);
    check_int(span_trim(none).n, ==, 0);
}

static void equality_looks_at_every_byte_and_the_length(void **state)
{
    (void)state;
    check_true(span_eq(SPAN_LIT("a\0b"), SPAN_LIT("a\0b")));
    check_true(!span_eq(SPAN_LIT("a\0b"), SPAN_LIT("a\0c")));
    check_true(!span_eq_str(SPAN_LIT("iris1"), "iris"));
    check_true(!span_eq_str(SPAN_LIT("iris"), "iris1"));
    check_true(span_eq_nocase(SPAN_LIT("Content-TYPE"), "content-type"));
    check_true(!span_eq_nocase(SPAN_LIT("content_type"), "content-type"));
    check_true(!span_eq_nocase(SPAN_LIT("@["), "`{")); /* 0x20 apart, but no letters */
}

static void case_is_that_of_ascii_letters_at_every_place(void **state)
{
    (void)state;
    for (unsigned c = 0; c < 256; c++)
        for (size_t n = 1; n <= 20; n++)
            for (size_t at = 0; at < n; at++) {
                uint8_t a[20], lower[20];
                memset(a, 'X', n);
                memset(lower, 'x', n);
                a[at] = (uint8_t)c;
                lower[at] = (uint8_t)(c >= 'A' && c <= 'Z' ? c + 32 : c);
                check_true(span_same_nocase(span_of(a, n), span_of(lower, n)));
                uint8_t other = (uint8_t)(lower[at] ^ 32);
                bool letter = c <= 'z' && ((c | 32) >= 'a' && (c | 32) <= 'z');
                uint8_t kept = lower[at];
                lower[at] = other;
                check_true(span_same_nocase(span_of(a, n), span_of(lower, n)) ==
                           letter);
                lower[at] = kept;
                span_to_lower(a, n);
                check_true(span_eq(span_of(a, n), span_of(lower, n)));
            }
}

static void prefixes_and_suffixes_fit_or_do_not(void **state)
{
    (void)state;
    struct span s = SPAN_LIT("chain.pipeline");
    check_true(span_starts(s, "chain") && span_ends(s, ".pipeline"));
    check_true(!span_starts(s, "hain") && !span_ends(s, ".pipelin"));
    check_true(!span_starts(SPAN_LIT("ch"), "chain"));
    check_true(!span_ends(SPAN_LIT("line"), ".pipeline"));
}

static void find_gives_the_end_when_there_is_none(void **state)
{
    (void)state;
    struct span s = SPAN_LIT("a,b,c");
    check_int(span_find(s, ',', 0), ==, 1);
    check_int(span_find(s, ',', 2), ==, 3);
    check_int(span_find(s, ',', 4), ==, 5);
    check_int(span_find(s, ',', 99), ==, 5);
}

static void sub_is_cut_to_the_span(void **state)
{
    (void)state;
    struct span s = SPAN_LIT("abcdef");
    check_span(span_sub(s, 1, 3), "bc");
    check_span(span_sub(s, 4, SIZE_MAX), "ef");
    check_span(span_sub(s, 3, 3), "");
    check_span(span_sub(s, 5, 2), "");
    check_span(span_sub(s, SIZE_MAX, SIZE_MAX), "");
}

static void trim_takes_blanks_at_both_ends_only(void **state)
{
    (void)state;
    check_span(span_trim(SPAN_LIT(" \t\r\na b\v\f ")), "a b");
    check_span(span_trim(SPAN_LIT("   ")), "");
}

static void numbers_fill_the_whole_span(void **state)
{
    (void)state;
    uint64_t v = 7;
    check_true(span_u64(SPAN_LIT("0"), &v) && v == 0);
    check_true(span_u64(SPAN_LIT("0012"), &v) && v == 12);
    check_true(span_u64(SPAN_LIT("18446744073709551615"), &v) && v == UINT64_MAX);
    v = 7;
    const char *const bad[] = {"",
                               "18446744073709551616",
                               "184467440737095516150",
                               "+1",
                               "-1",
                               " 1",
                               "1 ",
                               "1x",
                               "0x1",
                               "1.0"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        check_true(!span_u64(span_str(bad[i]), &v));
    check_int(v, ==, 7);
}

static void a_cursor_reads_both_byte_orders(void **state)
{
    (void)state;
    static const uint8_t bytes[] = {1,  2,    3, 4, 5, 6, 7, 8, 9, 10,
                                    11, 0xff, 0, 1, 0, 0, 2, 0, 0};
    struct cursor c = cursor_of(span_of(bytes, sizeof bytes));
    check_int(cursor_u8(&c), ==, 1);
    check_int(cursor_u16(&c), ==, 0x0302);
    check_int(cursor_u64(&c), ==, 0x0b0a090807060504);
    check_int(cursor_u16_be(&c), ==, 0xff00);
    check_int(cursor_u32_be(&c), ==, 0x01000002);
    check_int(cursor_offset(&c), ==, 17);
    check_int(cursor_left(&c), ==, 2);
    check_true(!c.bad);
    check_int(cursor_u32(&c), ==, 0);
    check_true(c.bad);
}

static void a_bad_cursor_stays_bad_and_empty(void **state)
{
    (void)state;
    struct cursor c = cursor_of(SPAN_LIT("abc"));
    check_int(cursor_u8(&c), ==, 'a');
    check_int(cursor_u32(&c), ==, 0);
    check_true(c.bad);
    check_int(cursor_left(&c), ==, 0);   /* a loop over what is left ends */
    check_int(cursor_offset(&c), ==, 1); /* where the read began that did not fit */
    check_int(cursor_u8(&c), ==, 0);     /* though a byte is there */
    check_int(cursor_varint(&c), ==, 0);
    check_int(cursor_take(&c, 0).n, ==, 0);
    check_true(c.bad);
}

static void take_fits_or_fails_whatever_the_length(void **state)
{
    (void)state;
    struct cursor c = cursor_of(SPAN_LIT("abc"));
    check_span(cursor_take(&c, 0), "");
    check_span(cursor_take(&c, 3), "abc");
    check_span(cursor_take(&c, 0), "");
    check_true(!c.bad);
    c = cursor_of(SPAN_LIT("abc"));
    check_span(cursor_take(&c, SIZE_MAX), "");
    check_true(c.bad);
    c = cursor_of((struct span){0});
    check_int(cursor_left(&c), ==, 0);
    check_span(cursor_take(&c, 0), "");
    check_true(!c.bad);
    check_int(cursor_u8(&c), ==, 0);
    check_true(c.bad);
}

static uint64_t varint_of(const char *bytes, size_t n, bool *bad)
{
    /* An exact copy, so that ASan sees a read too far. */
    char *copy = malloc(n ? n : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, n);
    struct cursor c = cursor_of(span_of(copy, n));
    uint64_t v = cursor_varint(&c);
    *bad = c.bad;
    if (!c.bad)
        check_int(cursor_left(&c), ==, 0);
    free(copy);
    return v;
}

static void varints_end_within_ten_bytes_and_64_bits(void **state)
{
    (void)state;
    bool bad;
    check_int(varint_of("\x00", 1, &bad), ==, 0);
    check_int(varint_of("\x7f", 1, &bad), ==, 127);
    check_int(varint_of("\x80\x01", 2, &bad), ==, 128);
    check_true(varint_of("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10, &bad) ==
                   UINT64_MAX &&
               !bad);
    varint_of("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10, &bad);
    check_true(bad); /* bit 64 */
    varint_of("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x81\x00", 11, &bad);
    check_true(bad); /* an eleventh byte */
    check_true(varint_of("\x81\x80\x80\x80\x80\x80\x80\x80\x80\x00", 10, &bad) == 1);
    check_true(!bad); /* padded, but short enough */
    varint_of("", 0, &bad);
    check_true(bad);
    for (size_t n = 1; n < 10; n++) {
        varint_of("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", n, &bad);
        check_true(bad); /* every truncation */
    }
}

static void numbers_survive_the_way_through_a_buf(void **state)
{
    (void)state;
    static const uint64_t values[] = {0,
                                      1,
                                      127,
                                      128,
                                      300,
                                      1 << 14,
                                      (1 << 14) - 1,
                                      UINT32_MAX,
                                      UINT64_C(1) << 63,
                                      UINT64_MAX};
    static const int64_t folded[] = {0, -1, 1, -2, 63, -64, 64, INT64_MAX, INT64_MIN};
    struct buf b = {0};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        buf_varint(&b, values[i]);
    for (size_t i = 0; i < sizeof folded / sizeof *folded; i++)
        buf_zigzag(&b, folded[i]);
    struct cursor c = cursor_of(buf_view(&b));
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        check_true(cursor_varint(&c) == values[i]);
    for (size_t i = 0; i < sizeof folded / sizeof *folded; i++)
        check_int(cursor_zigzag(&c), ==, folded[i]);
    check_true(!c.bad);
    check_int(cursor_left(&c), ==, 0);
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_zeroed_span_is_the_empty_one),
        cmocka_unit_test(equality_looks_at_every_byte_and_the_length),
        cmocka_unit_test(case_is_that_of_ascii_letters_at_every_place),
        cmocka_unit_test(prefixes_and_suffixes_fit_or_do_not),
        cmocka_unit_test(find_gives_the_end_when_there_is_none),
        cmocka_unit_test(sub_is_cut_to_the_span),
        cmocka_unit_test(trim_takes_blanks_at_both_ends_only),
        cmocka_unit_test(numbers_fill_the_whole_span),
        cmocka_unit_test(a_cursor_reads_both_byte_orders),
        cmocka_unit_test(a_bad_cursor_stays_bad_and_empty),
        cmocka_unit_test(take_fits_or_fails_whatever_the_length),
        cmocka_unit_test(varints_end_within_ten_bytes_and_64_bits),
        cmocka_unit_test(numbers_survive_the_way_through_a_buf),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

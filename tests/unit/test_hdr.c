/*
 * test_hdr.c - HdrHistogram's buckets; the encoding is held against a decoder of its
 * own by tests/cli/trace_export.sh.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/tool/hdr.h"

#include "tests/unit/check.h"

static void values_below_2048_have_a_bucket_each(void **state)
{
    (void)state;
    for (int64_t v = 0; v < 2048; v++) {
        assert_int_equal(hdr_index(v), v);
        assert_int_equal(hdr_value((size_t)v), v);
    }
}

static void a_bucket_is_narrower_than_a_thousandth_of_its_value(void **state)
{
    (void)state;
    for (size_t i = 0; i < 54 * 1024 - 1; i++) {
        int64_t low = hdr_value(i), next = hdr_value(i + 1);
        assert_true(next > low);
        assert_int_equal(hdr_index(low), i);
        assert_int_equal(hdr_index(next - 1), i);
        assert_true(next - low == 1 || (next - low) * 1000 < low);
    }
    assert_int_equal(hdr_index(INT64_MAX), 54 * 1024 - 1);
}

static void the_array_grows_with_the_values_and_keeps_its_counts(void **state)
{
    (void)state;
    struct hdr h = {0};
    struct err e = {0};
    assert_int_equal(hdr_add(&h, 5, &e), 0);
    size_t before = h.size;
    assert_int_equal(hdr_add(&h, INT64_MAX, &e), 0);
    assert_int_equal(hdr_add(&h, 5, &e), 0);
    assert_true(h.size > before);
    assert_int_equal(h.counts[5], 2);
    assert_int_equal(h.counts[hdr_index(INT64_MAX)], 1);
    assert_int_equal(h.total, 3);
    assert_true(h.max == INT64_MAX);
    hdr_reset(&h);
    assert_int_equal(h.counts[5], 0);
    assert_int_equal(h.total, 0);
    hdr_done(&h);
}

static void an_empty_histogram_and_one_of_all_values_can_be_encoded(void **state)
{
    (void)state;
    struct hdr h = {0};
    struct buf out = {0};
    struct err e = {0};
    assert_int_equal(hdr_encode(&h, &out, &e), 0);
    assert_true(span_starts(buf_view(&out), "HISTFAAA")); /* cookie, length < 2^8 */
    for (int64_t v = 1; v > 0 && v < INT64_MAX / 2; v *= 2)
        assert_int_equal(hdr_add(&h, v, &e), 0);
    buf_reset(&out);
    assert_int_equal(hdr_encode(&h, &out, &e), 0);
    assert_true(span_starts(buf_view(&out), "HISTFAAA"));
    buf_done(&out);
    hdr_done(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_below_2048_have_a_bucket_each),
        cmocka_unit_test(a_bucket_is_narrower_than_a_thousandth_of_its_value),
        cmocka_unit_test(the_array_grows_with_the_values_and_keeps_its_counts),
        cmocka_unit_test(an_empty_histogram_and_one_of_all_values_can_be_encoded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

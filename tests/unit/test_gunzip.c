/*
 * test_gunzip.c - gzip is read whole, within its limit, or not at all.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/wire/gunzip.h"

#include <zlib.h>

#include "tests/unit/check.h"

#define LONG_BYTES (200u << 10) /* several of the pieces that it is made in */

static void zip(struct span s, struct buf *out)
{
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY),
                     Z_OK);
    size_t most = deflateBound(&z, s.n);
    z.next_out = buf_grow(out, most);
    z.avail_out = (uInt)most;
    z.next_in = (Bytef *)(uintptr_t)s.p;
    z.avail_in = (uInt)s.n;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    out->n -= z.avail_out;
    deflateEnd(&z);
}

static struct buf long_text(void)
{
    struct buf text = {0};
    for (uint32_t i = 0; text.n < LONG_BYTES; i++)
        buf_fmt(&text, "{\"id\":%u}", i * 2654435761u);
    return text;
}

static void what_was_packed_comes_back(void **state)
{
    (void)state;
    struct buf text = long_text(), packed = {0}, out = {0};
    zip(buf_view(&text), &packed);
    assert_true(is_gzip(buf_view(&packed)));
    assert_false(is_gzip(buf_view(&text)));
    buf_str(&out, "before");
    assert_true(gunzip(buf_view(&packed), text.n, &out));
    assert_int_equal(out.n, 6 + text.n);
    assert_memory_equal(out.p + 6, text.p, text.n);
    buf_done(&text);
    buf_done(&packed);
    buf_done(&out);
}

static void members_follow_one_another(void **state)
{
    (void)state;
    struct buf packed = {0}, out = {0};
    zip(SPAN_LIT("[1,2"), &packed);
    zip(SPAN_LIT(""), &packed);
    zip(SPAN_LIT(",3]"), &packed);
    assert_true(gunzip(buf_view(&packed), 100, &out));
    assert_true(span_eq(buf_view(&out), SPAN_LIT("[1,2,3]")));
    buf_done(&packed);
    buf_done(&out);
}

static void one_byte_more_than_may_be_is_refused(void **state)
{
    (void)state;
    struct buf text = long_text(), packed = {0}, out = {0};
    zip(buf_view(&text), &packed);
    assert_false(gunzip(buf_view(&packed), text.n - 1, &out));
    buf_reset(&out);
    assert_false(gunzip(buf_view(&packed), 0, &out));
    buf_done(&text);
    buf_done(&packed);
    buf_done(&out);
}

static void what_ends_early_or_is_damaged_is_refused(void **state)
{
    (void)state;
    struct buf text = {0}, packed = {0}, out = {0};
    buf_str(&text, "{\"outputs\":[{\"name\":\"OUTPUT\",\"data\":[1,2,3,4,5,6,7,8]}]}");
    zip(buf_view(&text), &packed);
    for (size_t n = 0; n < packed.n; n++) {
        buf_reset(&out);
        assert_false(gunzip(span_of(packed.p, n), 1000, &out));
    }
    /* Its last eight bytes are checksum and length; the first three say what it is. */
    for (size_t i = 0; i < 8; i++) {
        buf_reset(&out);
        packed.p[packed.n - 1 - i] ^= 0x10;
        assert_false(gunzip(buf_view(&packed), 1000, &out));
        packed.p[packed.n - 1 - i] ^= 0x10;
    }
    for (size_t i = 0; i < 3; i++) {
        packed.p[i] ^= 0x10;
        assert_false(is_gzip(buf_view(&packed)));
        packed.p[i] ^= 0x10;
    }
    assert_false(is_gzip(span_of(packed.p, 2)));
    buf_done(&text);
    buf_done(&packed);
    buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_packed_comes_back),
        cmocka_unit_test(members_follow_one_another),
        cmocka_unit_test(one_byte_more_than_may_be_is_refused),
        cmocka_unit_test(what_ends_early_or_is_damaged_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_trc_ident.c - traces/container/trc_ident. SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/check.h"

#include <string.h>

#include "traces/container/trc_ident.h"

static const char uuid[] = "01234567-89ab-cdef-fedc-ba9876543210";

static void a_uuid_takes_sixteen_bytes_and_comes_back(void **state)
{
    (void)state;
    static const uint8_t packed[16] = {0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef,
                                       0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54, 0x32, 0x10};
    struct buf out = {0};
    uint8_t text[TRC_UUID_TEXT];
    check_int(trc_ident_put(span_str(uuid), &out), ==, 1);
    check_int(out.n, ==, 16);
    assert_memory_equal(out.p, packed, 16);
    trc_uuid_text(out.p, text);
    assert_memory_equal(text, uuid, TRC_UUID_TEXT);
    buf_done(&out);
}

static void no_byte_but_small_hexadecimal_digits_and_dashes_makes_a_uuid(void **state)
{
    (void)state;
    for (size_t at = 0; at < TRC_UUID_TEXT; at++)
        for (unsigned c = 0; c < 256; c++) {
            char text[TRC_UUID_TEXT];
            uint8_t back[TRC_UUID_TEXT];
            struct buf out = {0};
            memcpy(text, uuid, sizeof text);
            text[at] = (char)c;
            bool good =
                uuid[at] == '-' ? c == '-' : c && strchr("0123456789abcdef", (int)c);
            int64_t form = trc_ident_put(span_of(text, sizeof text), &out);
            check_int(form, ==, good ? 1 : 3 + TRC_UUID_TEXT);
            if (good)
                trc_uuid_text(out.p, back);
            assert_memory_equal(good ? back : out.p, text, sizeof text);
            buf_done(&out);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_uuid_takes_sixteen_bytes_and_comes_back),
        cmocka_unit_test(no_byte_but_small_hexadecimal_digits_and_dashes_makes_a_uuid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

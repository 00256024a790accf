/*
 * test_content_encoding.c - what was encoded comes back whole, within its limit, or not
 * at all; what nobody can read is told from what is damaged.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/wire/content_stream.h"

#include <stdio.h>

#include <zlib.h>
#include <zstd.h>

#include "tests/unit/check.h"

#define LONG_BYTES (200u << 10) /* several of the pieces that it is made in */

static void deflate_as(int window, struct span s, struct buf *out)
{
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY),
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

static void zip(struct span s, struct buf *out)
{
    deflate_as(15 + 16, s, out);
}

static void wrap(struct span s, struct buf *out)
{
    deflate_as(15, s, out);
}

static void bare(struct span s, struct buf *out)
{
    deflate_as(-15, s, out);
}

static void zstd(struct span s, struct buf *out)
{
    size_t most = ZSTD_compressBound(s.n);
    uint8_t *to = buf_grow(out, most);
    assert_non_null(to);
    size_t n = ZSTD_compress(to, most, s.p, s.n, 3);
    assert_false(ZSTD_isError(n));
    out->n -= most - n;
}

/* Each that can be undone, as a field calls it. */
static const struct {
    const char *name;
    void (*pack)(struct span s, struct buf *out);
} ways[] = {{"gzip", zip}, {"deflate", wrap}, {"deflate", bare}, {"zstd", zstd}};
#define WAYS (sizeof ways / sizeof *ways)

static uint16_t listed(const char *value)
{
    uint16_t codings = 0;
    content_codings_add(&codings, span_str(value));
    return codings;
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
    for (size_t i = 0; i < WAYS; i++) {
        buf_reset(&packed);
        buf_reset(&out);
        ways[i].pack(buf_view(&text), &packed);
        assert_int_equal(is_gzip(buf_view(&packed)), i == 0);
        buf_str(&out, "before");
        assert_int_equal(
            content_decode(listed(ways[i].name), buf_view(&packed), text.n, &out, NULL),
            0);
        assert_int_equal(out.n, 6 + text.n);
        assert_memory_equal(out.p + 6, text.p, text.n);
    }
    assert_false(is_gzip(buf_view(&text)));
    buf_done(&text);
    buf_done(&packed);
    buf_done(&out);
}

static void members_of_gzip_and_frames_of_zstd_follow_one_another(void **state)
{
    (void)state;
    struct buf packed = {0}, out = {0};
    zip(SPAN_LIT("[1,2"), &packed);
    zip(SPAN_LIT(""), &packed);
    zip(SPAN_LIT(",3]"), &packed);
    assert_true(gunzip(buf_view(&packed), 100, &out));
    assert_true(span_eq(buf_view(&out), SPAN_LIT("[1,2,3]")));
    buf_reset(&packed);
    buf_reset(&out);
    zstd(SPAN_LIT("[1,2"), &packed);
    zstd(SPAN_LIT(""), &packed);
    zstd(SPAN_LIT(",3]"), &packed);
    assert_true(unzstd(buf_view(&packed), 100, &out));
    assert_true(span_eq(buf_view(&out), SPAN_LIT("[1,2,3]")));
    buf_done(&packed);
    buf_done(&out);
}

/* Feeds a stream in steps of so many bytes. What it ended with: 0, or an error. */
static int stream(uint16_t codings, const struct buf *packed, size_t step,
                  uint64_t most, struct buf *out, bool *whole)
{
    struct content_stream *s = content_stream_new(codings, most);
    int rc = 0;
    assert_non_null(s);
    for (size_t at = 0; at < packed->n && rc == 0; at += step) {
        struct span in = span_sub(buf_view(packed), at, at + step), piece;
        while ((rc = content_stream_next(s, &in, &piece)) > 0)
            buf_span(out, piece);
    }
    *whole = content_stream_whole(s);
    content_stream_free(s);
    return rc;
}

static void a_stream_comes_back_however_it_was_split(void **state)
{
    static const size_t steps[] = {1, 2, 3, 7, 1000, SIZE_MAX / 2};
    (void)state;
    struct buf text = long_text(), packed = {0}, out = {0};
    bool whole;
    for (size_t i = 0; i < WAYS; i++) {
        buf_reset(&packed);
        ways[i].pack(buf_view(&text), &packed);
        for (size_t k = 0; k < sizeof steps / sizeof *steps; k++) {
            buf_reset(&out);
            assert_int_equal(
                stream(listed(ways[i].name), &packed, steps[k], text.n, &out, &whole),
                0);
            assert_true(whole);
            assert_true(span_eq(buf_view(&out), buf_view(&text)));
        }
        buf_reset(&out);
        assert_int_equal(
            stream(listed(ways[i].name), &packed, 100, text.n - 1, &out, &whole),
            ERR_LIMIT);
        packed.n -= 5;
        assert_int_equal(
            stream(listed(ways[i].name), &packed, 100, text.n, &out, &whole), 0);
        assert_false(whole);
        buf_str(&packed, "no more of it at all"); /* bare, it may stand for much */
        assert_true(stream(listed(ways[i].name), &packed, 100, text.n, &out, &whole) <
                    0);
    }
    buf_done(&text);
    buf_done(&packed);
    buf_done(&out);
}

static void a_stream_goes_on_behind_a_member_or_a_frame(void **state)
{
    (void)state;
    for (size_t i = 0; i < WAYS; i++) {
        struct buf packed = {0}, out = {0};
        bool whole, several = i == 0 || i == WAYS - 1; /* gzip, zstd */
        ways[i].pack(SPAN_LIT("[1,2"), &packed);
        ways[i].pack(SPAN_LIT(",3]"), &packed);
        int rc = stream(listed(ways[i].name), &packed, 1, 100, &out, &whole);
        assert_int_equal(rc, several ? 0 : ERR_FORMAT);
        if (several)
            assert_true(whole && span_eq(buf_view(&out), SPAN_LIT("[1,2,3]")));
        buf_done(&packed);
        buf_done(&out);
    }
}

static void a_stream_is_of_one_encoding_that_is_known(void **state)
{
    static const char *const lists[] = {"", "br", "gzip, zstd", "odd"};
    (void)state;
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        assert_null(content_stream_new(listed(lists[i]), 100));
    struct content_stream *s = content_stream_new(CONTENT_GZIP, 100);
    assert_non_null(s);
    assert_true(content_stream_whole(s)); /* nothing stands for nothing */
    content_stream_free(s);
    content_stream_free(NULL);
}

static void one_byte_more_than_may_be_is_refused(void **state)
{
    (void)state;
    struct buf text = long_text(), packed = {0}, out = {0};
    for (size_t i = 0; i < WAYS; i++) {
        struct err e = {0};
        buf_reset(&packed);
        buf_reset(&out);
        ways[i].pack(buf_view(&text), &packed);
        assert_int_equal(content_decode(listed(ways[i].name), buf_view(&packed),
                                        text.n - 1, &out, &e),
                         ERR_LIMIT);
        assert_non_null(strstr(e.text, "stands for more than"));
        buf_reset(&out);
        assert_int_equal(
            content_decode(listed(ways[i].name), buf_view(&packed), 0, &out, NULL),
            ERR_LIMIT);
    }
    assert_int_equal(content_decode(0, buf_view(&text), text.n - 1, &out, NULL),
                     ERR_LIMIT);
    buf_done(&text);
    buf_done(&packed);
    buf_done(&out);
}

/* A few hundred bytes that stand for a gigabyte cost no more than what may come out. */
static void a_bomb_is_let_go_at_its_limit(void **state)
{
    (void)state;
    struct buf zeros = {0}, once = {0}, twice = {0}, out = {0};
    buf_zeros(&zeros, (size_t)8 << 20);
    for (size_t i = 0; i < WAYS; i++) {
        buf_reset(&once);
        buf_reset(&twice);
        ways[i].pack(buf_view(&zeros), &once);
        zip(buf_view(&once), &twice);
        char list[32];
        snprintf(list, sizeof list, "%s, gzip", ways[i].name);
        assert_true(twice.n < 1000);
        buf_done(&out);
        assert_int_equal(
            content_decode(listed(list), buf_view(&twice), 1 << 20, &out, NULL),
            ERR_LIMIT);
        assert_true(out.cap < (size_t)4 << 20);
    }
    buf_done(&zeros);
    buf_done(&once);
    buf_done(&twice);
    buf_done(&out);
}

static void what_ends_early_is_refused(void **state)
{
    (void)state;
    struct buf text = {0}, packed = {0}, out = {0};
    buf_str(&text, "{\"outputs\":[{\"name\":\"OUTPUT\",\"data\":[1,2,3,4,5,6,7,8]}]}");
    for (size_t i = 0; i < WAYS; i++) {
        buf_reset(&packed);
        ways[i].pack(buf_view(&text), &packed);
        for (size_t n = 1; n < packed.n; n++) {
            struct err e = {0};
            buf_reset(&out);
            assert_int_equal(content_decode(listed(ways[i].name), span_of(packed.p, n),
                                            1000, &out, &e),
                             ERR_FORMAT);
            assert_non_null(strstr(e.text, "or not all of it"));
        }
        buf_u8(&packed, 0); /* and so is what has more than its end */
        buf_reset(&out);
        assert_int_equal(
            content_decode(listed(ways[i].name), buf_view(&packed), 1000, &out, NULL),
            ERR_FORMAT);
    }
    assert_false(gunzip((struct span){0}, 1000, &out));
    assert_false(unzstd((struct span){0}, 1000, &out));
    buf_done(&text);
    buf_done(&packed);
    buf_done(&out);
}

/* gzip ends with checksum and length, zlib's wrapping with a checksum. */
static void what_is_damaged_is_refused(void **state)
{
    (void)state;
    struct buf text = {0}, packed = {0}, out = {0};
    buf_str(&text, "{\"outputs\":[{\"name\":\"OUTPUT\",\"data\":[1,2,3,4,5,6,7,8]}]}");
    zip(buf_view(&text), &packed);
    for (size_t i = 0; i < 8; i++) {
        buf_reset(&out);
        packed.p[packed.n - 1 - i] ^= 0x10;
        assert_false(gunzip(buf_view(&packed), 1000, &out));
        packed.p[packed.n - 1 - i] ^= 0x10;
    }
    for (size_t i = 0; i < 3; i++) { /* which say what it is */
        packed.p[i] ^= 0x10;
        assert_false(is_gzip(buf_view(&packed)));
        packed.p[i] ^= 0x10;
    }
    assert_false(is_gzip(span_of(packed.p, 2)));
    buf_reset(&packed);
    wrap(buf_view(&text), &packed);
    for (size_t i = 0; i < 4; i++) {
        buf_reset(&out);
        packed.p[packed.n - 1 - i] ^= 0x10;
        assert_int_equal(
            content_decode(CONTENT_DEFLATE, buf_view(&packed), 1000, &out, NULL),
            ERR_FORMAT);
        packed.p[packed.n - 1 - i] ^= 0x10;
    }
    buf_done(&text);
    buf_done(&packed);
    buf_done(&out);
}

static void a_list_is_undone_from_its_end(void **state)
{
    (void)state;
    struct buf text = long_text(), once = {0}, twice = {0}, thrice = {0}, out = {0};
    bare(buf_view(&text), &once);
    zstd(buf_view(&once), &twice);
    zip(buf_view(&twice), &thrice);
    uint16_t codings = listed("Deflate,\tidentity , ,ZSTD");
    content_codings_add(&codings, SPAN_LIT("x-gzip")); /* a field of its own */
    assert_int_equal(content_decode(codings, buf_view(&thrice), text.n, &out, NULL), 0);
    assert_true(span_eq(buf_view(&out), buf_view(&text)));
    buf_reset(&out);
    assert_int_equal(content_decode(listed("gzip, zstd, deflate"), buf_view(&thrice),
                                    text.n, &out, NULL),
                     ERR_FORMAT);
    buf_done(&text);
    buf_done(&once);
    buf_done(&twice);
    buf_done(&thrice);
    buf_done(&out);
}

static void a_list_reads_back_as_it_was(void **state)
{
    (void)state;
    static const struct {
        const char *value, *text;
        bool known;
    } lists[] = {
        {"", "", true},
        {"identity", "", true},
        {" , ,", "", true},
        {"gzip", "gzip", true},
        {"X-GZIP", "gzip", true},
        {"gzip,deflate,zstd,gzip", "gzip, deflate, zstd, gzip", true},
        {"br", "br", false},
        {"gzip, br", "gzip, br", false},
        {"x-compress", "compress", false},
        {"snappy", "snappy", false},
        {"gzipp", "other", false},
        {"gzip zstd", "other", false},
        {"other, other, other, br", "other, other, other, br", false},
        {"gzip,gzip,gzip,gzip,gzip", "other", false},
    };
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        char text[CONTENT_CODINGS_TEXT];
        uint16_t codings = listed(lists[i].value);
        assert_string_equal(content_codings_text(codings, text), lists[i].text);
        assert_int_equal(content_codings_known(codings), lists[i].known);
        if (strcmp(lists[i].text, "other") != 0)
            assert_int_equal(listed(text), codings);
    }
    for (uint32_t codings = 0; codings <= UINT16_MAX; codings++) { /* as stored */
        char text[CONTENT_CODINGS_TEXT];
        assert_true(strlen(content_codings_text((uint16_t)codings, text)) <
                    sizeof text);
    }
}

static void what_is_not_known_is_not_malformed(void **state)
{
    (void)state;
    struct buf out = {0};
    struct err e = {0};
    assert_int_equal(content_decode(listed("gzip, br"), SPAN_LIT("abc"), 9, &out, &e),
                     ERR_USAGE);
    assert_string_equal(e.text, "its encoding is not known: gzip, br");
    assert_int_equal(content_decode(0x0101, SPAN_LIT("abc"), 9, &out, NULL), ERR_USAGE);
    assert_int_equal(out.n, 0);
    assert_int_equal(content_decode(0, SPAN_LIT("abc"), 9, &out, NULL), 0);
    assert_true(span_eq(buf_view(&out), SPAN_LIT("abc")));
    assert_int_equal(content_decode(CONTENT_GZIP, (struct span){0}, 9, &out, NULL), 0);
    assert_int_equal(out.n, 3);
    buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_packed_comes_back),
        cmocka_unit_test(members_of_gzip_and_frames_of_zstd_follow_one_another),
        cmocka_unit_test(a_stream_comes_back_however_it_was_split),
        cmocka_unit_test(a_stream_goes_on_behind_a_member_or_a_frame),
        cmocka_unit_test(a_stream_is_of_one_encoding_that_is_known),
        cmocka_unit_test(one_byte_more_than_may_be_is_refused),
        cmocka_unit_test(a_bomb_is_let_go_at_its_limit),
        cmocka_unit_test(what_ends_early_is_refused),
        cmocka_unit_test(what_is_damaged_is_refused),
        cmocka_unit_test(a_list_is_undone_from_its_end),
        cmocka_unit_test(a_list_reads_back_as_it_was),
        cmocka_unit_test(what_is_not_known_is_not_malformed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * test_zin.c - lines and bytes of plain and compressed text, whole and broken.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/container/zin.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "tests/unit/check.h"
#include "traces/base/buf.h"

/* All lines of bytes, joined by '|'; with the error's code at the end when there is
 * one. */
static char *lines_of(struct span bytes, struct err *e)
{
    struct zin *in;
    struct buf out = {0};
    int rc = zin_open_bytes(&in, bytes, e);
    struct span line;
    uint64_t number = 0;
    while (rc >= 0 && (rc = zin_line(in, &line, e)) > 0) {
        check_int(zin_line_number(in), ==, ++number);
        buf_span(&out, line);
        buf_u8(&out, '|');
    }
    if (rc < 0)
        buf_fmt(&out, "error %d", rc);
    zin_close(in);
    char *text = strdup(buf_text(&out));
    buf_done(&out);
    return text;
}

static struct buf frame_of(struct span raw)
{
    struct buf b = {0};
    size_t bound = ZSTD_compressBound(raw.n);
    uint8_t *p = buf_grow(&b, bound);
    check_true(p != NULL);
    ZSTD_CCtx *c = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(c, ZSTD_c_checksumFlag, 1);
    size_t n = ZSTD_compress2(c, p, bound, raw.p, raw.n);
    ZSTD_freeCCtx(c);
    check_true(!ZSTD_isError(n));
    b.n = n;
    return b;
}

static struct buf member_of(struct span raw)
{
    struct buf b = {0};
    z_stream z = {0};
    check_int(deflateInit2(&z, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY),
              ==, Z_OK);
    size_t bound = deflateBound(&z, raw.n);
    z.next_in = (Bytef *)(uintptr_t)raw.p;
    z.avail_in = (uInt)raw.n;
    z.next_out = buf_grow(&b, bound);
    z.avail_out = (uInt)bound;
    check_int(deflate(&z, Z_FINISH), ==, Z_STREAM_END);
    b.n = bound - z.avail_out;
    deflateEnd(&z);
    return b;
}

/* All forms but plain. */
static struct buf (*const packers[])(struct span) = {frame_of, member_of};
enum { PACKERS = sizeof packers / sizeof *packers };

static void check_lines(const char *text, const char *wanted)
{
    struct err e = {0};
    char *plain = lines_of(span_str(text), &e);
    check_str(plain, wanted);
    free(plain);
    for (size_t i = 0; i < PACKERS; i++) {
        struct buf frame = packers[i](span_str(text));
        char *packed = lines_of(buf_view(&frame), &e);
        check_str(packed, wanted);
        free(packed);
        buf_done(&frame);
    }
    check_int(e.code, ==, ERR_OK);
}

static void lines_end_with_newline_or_with_the_file(void **state)
{
    (void)state;
    check_lines("", "");
    check_lines("a", "a|");
    check_lines("a\n", "a|");
    check_lines("a\nb", "a|b|");
    check_lines("\n\nb\n", "||b|");
    check_lines("a\r\nb\r\n", "a|b|");
    check_lines("\xef\xbb\xbfhead\nx", "head|x|");
}

static void frames_in_a_row_are_one_text(void **state)
{
    (void)state;
    struct buf all = frame_of(SPAN_LIT("one\ntw")),
               second = frame_of(SPAN_LIT("o\nthree"));
    static const uint8_t skippable[] = {0x53, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 'h', 'i'};
    struct buf joined = {0};
    buf_add(&joined, skippable, sizeof skippable);
    buf_span(&joined, buf_view(&all));
    buf_add(&joined, skippable, sizeof skippable);
    buf_span(&joined, buf_view(&second));
    struct err e = {0};
    char *text = lines_of(buf_view(&joined), &e);
    check_str(text, "one|two|three|");
    free(text);
    buf_done(&all);
    buf_done(&second);
    buf_done(&joined);
}

static void members_of_gzip_in_a_row_are_one_text(void **state)
{
    (void)state;
    struct buf joined = {0};
    static const char *const parts[] = {"one\ntw", "", "o\nthree"};
    for (size_t i = 0; i < 3; i++) {
        struct buf member = member_of(span_str(parts[i]));
        buf_span(&joined, buf_view(&member));
        buf_done(&member);
    }
    struct err e = {0};
    char *text = lines_of(buf_view(&joined), &e);
    check_str(text, "one|two|three|");
    free(text);
    size_t whole = joined.n;
    buf_str(&joined, "tail");
    free(lines_of(buf_view(&joined), &e));
    check_int(e.code, ==, ERR_FORMAT);
    check_int(e.at, ==, whole);
    check_str_has(e.text, "broken gzip data");
    buf_done(&joined);
}

static void every_cut_is_noticed(void **state)
{
    (void)state;
    struct buf raw = {0};
    for (int i = 0; i < 3000; i++)
        buf_fmt(&raw, "%d,%d\n", i, i * 7919 % 1000);
    for (size_t k = 0; k < PACKERS; k++) {
        struct buf frame = packers[k](buf_view(&raw));
        for (size_t n = 4; n < frame.n; n += n < 40 || n + 120 > frame.n ? 1 : 97) {
            struct err e = {0};
            char *text = lines_of(span_of(frame.p, n), &e);
            check_int(e.code, ==, ERR_TRUNCATED);
            check_str_has(e.text, "ends early");
            free(text);
        }
        frame.p[frame.n / 2] ^= 0x55;
        struct err e = {0};
        free(lines_of(buf_view(&frame), &e));
        check_true(e.code == ERR_FORMAT || e.code == ERR_TRUNCATED);
        buf_done(&frame);
    }
    buf_done(&raw);
}

/* What a sum at the end is for. */
static void a_changed_byte_of_gzip_is_noticed(void **state)
{
    (void)state;
    struct buf member = member_of(SPAN_LIT("aaaa\nbbbb\n"));
    member.p[member.n - 5] ^= 1; /* of the CRC */
    struct err e = {0};
    free(lines_of(buf_view(&member), &e));
    check_int(e.code, ==, ERR_FORMAT);
    check_str_has(e.text, "incorrect data check");
    buf_done(&member);
}

static void much_text_comes_through_whole(void **state)
{
    (void)state;
    struct buf raw = {0};
    for (int i = 0; i < 700000; i++) /* more than the text buffer holds */
        buf_fmt(&raw, "%d\n", i);
    for (size_t k = 0; k < PACKERS; k++) {
        struct buf frame = packers[k](buf_view(&raw));
        struct zin *in;
        struct err e = {0};
        struct span line;
        check_ok(zin_open_bytes(&in, buf_view(&frame), &e), &e);
        uint64_t i = 0, value;
        int rc;
        for (; (rc = zin_line(in, &line, &e)) > 0; i++)
            if (!span_u64(line, &value) || value != i)
                fail_msg("line %llu is '%.*s'", (unsigned long long)i, SPAN_ARG(line));
        check_int(rc, ==, 0);
        check_int(i, ==, 700000);
        zin_close(in);
        buf_done(&frame);
    }
    buf_done(&raw);
}

static void a_line_without_end_is_refused_early(void **state)
{
    (void)state;
    struct buf raw = {0};
    buf_str(&raw, "short\n");
    size_t n = raw.n;
    uint8_t *p = buf_grow(&raw, 8 * ZIN_LINE_MAX);
    check_true(p != NULL);
    memset(p, 'x', 8 * ZIN_LINE_MAX);
    raw.p[n + ZIN_LINE_MAX] = '\n'; /* just allowed */
    struct buf frame = frame_of(buf_view(&raw)), member = member_of(buf_view(&raw));
    const struct span all[] = {buf_view(&raw), buf_view(&frame), buf_view(&member)};
    for (size_t i = 0; i < 3; i++) {
        struct zin *in;
        struct err e = {0};
        struct span line;
        check_ok(zin_open_bytes(&in, all[i], &e), &e);
        check_int(zin_line(in, &line, &e), ==, 1);
        check_int(zin_line(in, &line, &e), ==, 1);
        check_int(line.n, ==, ZIN_LINE_MAX);
        check_int(zin_line(in, &line, &e), ==, ERR_LIMIT);
        check_str_has(e.text, "line 3 is longer than 1048576 bytes");
        zin_close(in);
    }
    buf_done(&raw);
    buf_done(&frame);
    buf_done(&member);
}

static void files_are_read_like_bytes_and_missing_ones_are_named(void **state)
{
    (void)state;
    char path[] = "/tmp/test_zin.XXXXXX";
    int fd = mkstemp(path);
    check_true(fd >= 0);
    struct buf frame = frame_of(SPAN_LIT("a\nb\n"));
    check_true(write(fd, frame.p, frame.n) == (ssize_t)frame.n);
    close(fd);
    struct zin *in;
    struct err e = {0};
    struct span line;
    check_ok(zin_open(&in, path, &e), &e);
    check_int(zin_line(in, &line, &e), ==, 1);
    check_span(line, "a");
    check_int(zin_line(in, &line, &e), ==, 1);
    check_span(line, "b");
    check_int(zin_line(in, &line, &e), ==, 0);
    check_int(zin_line(in, &line, &e), ==, 0);
    zin_close(in);
    unlink(path);
    check_int(zin_open(&in, path, &e), ==, ERR_IO);
    check_true(in == NULL);
    check_str_has(e.text, path);
    buf_done(&frame);
}

static void bytes_can_be_looked_at_and_passed_over(void **state)
{
    (void)state;
    struct buf raw = {0};
    for (uint32_t i = 0; i < 2000000; i++) /* four times the buffer */
        buf_u32(&raw, i);
    struct buf frame = frame_of(buf_view(&raw)), member = member_of(buf_view(&raw));
    const struct span all[] = {buf_view(&raw), buf_view(&frame), buf_view(&member)};
    for (size_t k = 0; k < 3; k++) {
        struct zin *in;
        struct err e = {0};
        struct span s;
        check_ok(zin_open_bytes(&in, all[k], &e), &e);
        uint64_t at = 0;
        for (size_t want = 1; at + want <= raw.n; want = want * 5 % ZIN_PEEK_MAX + 1) {
            check_ok(zin_peek(in, want, &s, &e), &e);
            check_true(s.n >= want && memcmp(s.p, raw.p + at, want) == 0);
            check_ok(zin_skip(in, want / 2 + 1, &e), &e);
            at += want / 2 + 1;
            check_int(zin_offset(in), ==, at);
        }
        check_ok(zin_skip(in, raw.n - at - 3, &e), &e);
        check_ok(zin_peek(in, 100, &s, &e), &e);
        check_int(s.n, ==, 3);
        check_int(zin_skip(in, 4, &e), ==, ERR_TRUNCATED);
        check_int(e.at, ==, raw.n);
        check_ok(zin_peek(in, 1, &s, NULL), NULL);
        check_int(s.n, ==, 0);
        zin_close(in);
    }
    buf_done(&raw);
    buf_done(&frame);
    buf_done(&member);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_end_with_newline_or_with_the_file),
        cmocka_unit_test(frames_in_a_row_are_one_text),
        cmocka_unit_test(members_of_gzip_in_a_row_are_one_text),
        cmocka_unit_test(every_cut_is_noticed),
        cmocka_unit_test(a_changed_byte_of_gzip_is_noticed),
        cmocka_unit_test(much_text_comes_through_whole),
        cmocka_unit_test(a_line_without_end_is_refused_early),
        cmocka_unit_test(files_are_read_like_bytes_and_missing_ones_are_named),
        cmocka_unit_test(bytes_can_be_looked_at_and_passed_over),
    };
    return cmocka_run_group_tests_name("zin", tests, NULL, NULL);
}

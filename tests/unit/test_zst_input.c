/*
 * test_zst_input.c - lines and bytes of plain and compressed text, whole and broken.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/container/zst_input.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#include "tests/unit/check.h"
#include "traces/base/buf.h"

/* All lines of bytes, joined by '|'; with the error's code at the end when there is
 * one. */
static char *lines_of(struct span bytes, struct err *e)
{
    struct zst_input *in;
    struct buf out = {0};
    int rc = zst_input_open_bytes(&in, bytes, e);
    struct span line;
    uint64_t number = 0;
    while (rc >= 0 && (rc = zst_input_line(in, &line, e)) > 0) {
        check_int(zst_input_line_number(in), ==, ++number);
        buf_span(&out, line);
        buf_u8(&out, '|');
    }
    if (rc < 0)
        buf_fmt(&out, "error %d", rc);
    zst_input_close(in);
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

static void check_lines(const char *text, const char *wanted)
{
    struct err e = {0};
    char *plain = lines_of(span_str(text), &e);
    check_str(plain, wanted);
    free(plain);
    struct buf frame = frame_of(span_str(text));
    char *packed = lines_of(buf_view(&frame), &e);
    check_str(packed, wanted);
    free(packed);
    buf_done(&frame);
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

static void every_cut_of_a_frame_is_noticed(void **state)
{
    (void)state;
    struct buf raw = {0};
    for (int i = 0; i < 3000; i++)
        buf_fmt(&raw, "%d,%d\n", i, i * 7919 % 1000);
    struct buf frame = frame_of(buf_view(&raw));
    for (size_t n = 4; n < frame.n; n += n < 40 ? 1 : 97) {
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
    buf_done(&raw);
    buf_done(&frame);
}

static void much_text_comes_through_whole(void **state)
{
    (void)state;
    struct buf raw = {0};
    for (int i = 0; i < 700000; i++) /* more than the text buffer holds */
        buf_fmt(&raw, "%d\n", i);
    struct buf frame = frame_of(buf_view(&raw));
    struct zst_input *in;
    struct err e = {0};
    struct span line;
    check_ok(zst_input_open_bytes(&in, buf_view(&frame), &e), &e);
    uint64_t i = 0, value;
    int rc;
    for (; (rc = zst_input_line(in, &line, &e)) > 0; i++)
        if (!span_u64(line, &value) || value != i)
            fail_msg("line %llu is '%.*s'", (unsigned long long)i, SPAN_ARG(line));
    check_int(rc, ==, 0);
    check_int(i, ==, 700000);
    zst_input_close(in);
    buf_done(&raw);
    buf_done(&frame);
}

static void a_line_without_end_is_refused_early(void **state)
{
    (void)state;
    struct buf raw = {0};
    buf_str(&raw, "short\n");
    size_t n = raw.n;
    uint8_t *p = buf_grow(&raw, 8 * ZST_LINE_MAX);
    check_true(p != NULL);
    memset(p, 'x', 8 * ZST_LINE_MAX);
    raw.p[n + ZST_LINE_MAX] = '\n'; /* just allowed */
    struct buf frame = frame_of(buf_view(&raw));
    const struct span both[] = {buf_view(&raw), buf_view(&frame)};
    for (size_t i = 0; i < 2; i++) {
        struct zst_input *in;
        struct err e = {0};
        struct span line;
        check_ok(zst_input_open_bytes(&in, both[i], &e), &e);
        check_int(zst_input_line(in, &line, &e), ==, 1);
        check_int(zst_input_line(in, &line, &e), ==, 1);
        check_int(line.n, ==, ZST_LINE_MAX);
        check_int(zst_input_line(in, &line, &e), ==, ERR_LIMIT);
        check_str_has(e.text, "line 3 is longer than 1048576 bytes");
        zst_input_close(in);
    }
    buf_done(&raw);
    buf_done(&frame);
}

static void files_are_read_like_bytes_and_missing_ones_are_named(void **state)
{
    (void)state;
    char path[] = "/tmp/test_zst_input.XXXXXX";
    int fd = mkstemp(path);
    check_true(fd >= 0);
    struct buf frame = frame_of(SPAN_LIT("a\nb\n"));
    check_true(write(fd, frame.p, frame.n) == (ssize_t)frame.n);
    close(fd);
    struct zst_input *in;
    struct err e = {0};
    struct span line;
    check_ok(zst_input_open(&in, path, &e), &e);
    check_int(zst_input_line(in, &line, &e), ==, 1);
    check_span(line, "a");
    check_int(zst_input_line(in, &line, &e), ==, 1);
    check_span(line, "b");
    check_int(zst_input_line(in, &line, &e), ==, 0);
    check_int(zst_input_line(in, &line, &e), ==, 0);
    zst_input_close(in);
    unlink(path);
    check_int(zst_input_open(&in, path, &e), ==, ERR_IO);
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
    struct buf frame = frame_of(buf_view(&raw));
    const struct span both[] = {buf_view(&raw), buf_view(&frame)};
    for (size_t k = 0; k < 2; k++) {
        struct zst_input *in;
        struct err e = {0};
        struct span s;
        check_ok(zst_input_open_bytes(&in, both[k], &e), &e);
        uint64_t at = 0;
        for (size_t want = 1; at + want <= raw.n; want = want * 5 % ZST_PEEK_MAX + 1) {
            check_ok(zst_input_peek(in, want, &s, &e), &e);
            check_true(s.n >= want && memcmp(s.p, raw.p + at, want) == 0);
            check_ok(zst_input_skip(in, want / 2 + 1, &e), &e);
            at += want / 2 + 1;
            check_int(zst_input_offset(in), ==, at);
        }
        check_ok(zst_input_skip(in, raw.n - at - 3, &e), &e);
        check_ok(zst_input_peek(in, 100, &s, &e), &e);
        check_int(s.n, ==, 3);
        check_int(zst_input_skip(in, 4, &e), ==, ERR_TRUNCATED);
        check_int(e.at, ==, raw.n);
        check_ok(zst_input_peek(in, 1, &s, NULL), NULL);
        check_int(s.n, ==, 0);
        zst_input_close(in);
    }
    buf_done(&raw);
    buf_done(&frame);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_end_with_newline_or_with_the_file),
        cmocka_unit_test(frames_in_a_row_are_one_text),
        cmocka_unit_test(every_cut_of_a_frame_is_noticed),
        cmocka_unit_test(much_text_comes_through_whole),
        cmocka_unit_test(a_line_without_end_is_refused_early),
        cmocka_unit_test(files_are_read_like_bytes_and_missing_ones_are_named),
        cmocka_unit_test(bytes_can_be_looked_at_and_passed_over),
    };
    return cmocka_run_group_tests_name("zst_input", tests, NULL, NULL);
}

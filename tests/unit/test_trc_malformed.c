/*
 * test_trc_malformed.c - files that break FORMAT.md, one sentence of it each, and the
 * exact error that names the place.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/check.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/unit/trc_craft.h"
#include "traces/container/trc_reader.h"

static char path[64];

static int make_path(void **state)
{
    (void)state;
    snprintf(path, sizeof path, "/tmp/test_trc_malformed.%ld", (long)getpid());
    return 0;
}

static int remove_path(void **state)
{
    (void)state;
    unlink(path);
    return 0;
}

static void save(const struct buf *b)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    check_int(write(fd, b->p, b->n), ==, b->n);
    close(fd);
}

/* The first error that reading gives, without the file's name; "" for none but the end.
 */
static void first_error(struct err *e, uint64_t *records)
{
    struct trc_reader *r;
    struct trc_block *b;
    *records = 0;
    err_clear(e);
    if (trc_reader_open(&r, path, e) == 0) {
        int rc;
        while ((rc = trc_reader_next(r, &b, e)) == 1) {
            *records += b->count;
            trc_block_free(b);
        }
        trc_reader_close(r);
    }
    char name[80];
    int n = snprintf(name, sizeof name, "'%s': ", path);
    if (strncmp(e->text, name, (size_t)n) == 0)
        memmove(e->text, e->text + n, strlen(e->text + n) + 1);
}

static void expect(const struct craft *c, enum err_code code, const char *text)
{
    struct err e = {0};
    uint64_t records;
    save(&c->file);
    first_error(&e, &records);
    check_int(e.code, ==, code);
    size_t n = strlen(text);
    if (text[n - 1] == '*') /* only the beginning is ours */
        check_int(strncmp(e.text, text, n - 1), ==, 0);
    else
        check_str(e.text, text);
}

static const struct buf none[TRC_GROUPS];

/* An OPS block whose groups are ruined by the caller before it is put. */
struct ops {
    struct craft c;
    struct buf g[TRC_GROUPS];
};
static void ops_init(struct ops *o, size_t n)
{
    memset(o, 0, sizeof *o);
    craft_init(&o->c, false);
    craft_schedule(&o->g[TRC_SCHEDULE], n);
}
static void ops_expect(struct ops *o, uint32_t n, enum err_code code, const char *text)
{
    craft_put(&o->c, TRC_OPS, n, 0, 0, 0, o->g);
    expect(&o->c, code, text);
    craft_done(&o->c);
    for (int g = 0; g < TRC_GROUPS; g++)
        buf_done(&o->g[g]);
}

static void crafted_operations_are_read(void **state)
{
    (void)state;
    struct ops o;
    struct err e = {0};
    uint64_t records;
    ops_init(&o, 3);
    craft_put(&o.c, TRC_OPS, 3, 0, 0, 0, o.g);
    save(&o.c.file);
    first_error(&e, &records);
    check_int(records, ==, 3);
    check_int(e.code, ==, ERR_TRUNCATED); /* no footer, and no other fault */
    check_str_has(e.text, "the file was not closed");
    craft_done(&o.c);
    buf_done(&o.g[0]);
}

static void unknown_optional_columns_and_blocks_are_skipped(void **state)
{
    (void)state;
    struct ops o;
    struct err e = {0};
    uint64_t records;
    struct buf g[TRC_GROUPS] = {{0}};
    ops_init(&o, 3);
    craft_column(&o.g[TRC_SCHEDULE], 99, false, SPAN_LIT("new"));
    craft_column(&o.g[TRC_IDS], 120, false, SPAN_LIT("newer"));
    craft_put(&o.c, TRC_OPS, 3, 0, 0, 0, o.g);
    craft_column(&g[0], 1, true, SPAN_LIT("whatever"));
    craft_put(&o.c, 0x55, 1, 0, 0, 0, g);
    craft_put(&o.c, TRC_STATS, 1, 0, 0, 0, g);
    craft_put(&o.c, TRC_OPS, 3, 3, 0, 0, o.g);
    save(&o.c.file);
    first_error(&e, &records);
    check_int(records, ==, 6);
    check_str_has(e.text, "the file was not closed");
    craft_done(&o.c);
    buf_done(&o.g[0]);
    buf_done(&o.g[TRC_IDS]);
    buf_done(&g[0]);
}

static void a_longer_header_is_read_and_what_it_adds_ignored(void **state)
{
    (void)state;
    struct ops o;
    struct err e = {0};
    uint64_t records;
    struct buf longer = {0};
    ops_init(&o, 2);
    craft_put(&o.c, TRC_OPS, 2, 0, 0, 0, o.g);
    size_t at = o.c.last;
    buf_add(&longer, o.c.file.p, at + TRC_HEAD_BYTES);
    buf_zeros(&longer, 24);
    buf_add(&longer, o.c.file.p + at + TRC_HEAD_BYTES,
            o.c.file.n - at - TRC_HEAD_BYTES);
    longer.p[at + 4] = TRC_HEAD_BYTES - 8 + 24;
    struct craft c = {.file = longer};
    craft_sign(&c, at);
    save(&c.file);
    first_error(&e, &records);
    check_int(records, ==, 2);
    check_str_has(e.text, "the file was not closed");
    buf_done(&longer);
    craft_done(&o.c);
    buf_done(&o.g[0]);
}

static void unknown_required_columns_are_refused_by_their_id(void **state)
{
    (void)state;
    struct ops o;
    ops_init(&o, 1);
    craft_column(&o.g[TRC_SCHEDULE], 99, true, SPAN_LIT("x"));
    ops_expect(&o, 1, ERR_FORMAT,
               "OPS block 1: schedule: column 99 must be understood and is not known "
               "to this version at byte 149");
}

static void unknown_required_blocks_are_refused_by_their_kind(void **state)
{
    (void)state;
    struct craft c;
    craft_init(&c, false);
    craft_put(&c, 0x9f, 0, 0, 0, 0, none);
    expect(&c, ERR_FORMAT,
           "block 1 is of kind 0x9f, which must be understood and is not known to this "
           "version at byte 149");
    craft_done(&c);
}

/* Byte `offset` of the content of the last block's header becomes v; signed or not. */
static void header_case(size_t offset, uint8_t v, bool sign, enum err_code code,
                        const char *text)
{
    struct ops o;
    ops_init(&o, 1);
    craft_put(&o.c, TRC_OPS, 1, 0, 0, 0, o.g);
    craft_put(&o.c, TRC_OPS, 1, 1, 0, 0, o.g); /* so that reading can go on */
    const size_t first = 149;                  /* behind META */
    o.c.file.p[first + 8 + offset] = v;
    if (sign)
        craft_sign(&o.c, first);
    expect(&o.c, code, text);
    craft_done(&o.c);
    buf_done(&o.g[0]);
}

static void headers_that_break_their_rules_are_refused(void **state)
{
    (void)state;
    header_case(4, 2, true, ERR_FORMAT,
                "block header: format version 2, this program reads version 1 at byte "
                "149; 164 bytes skipped at byte 149");
    header_case(
        12, 9, false, ERR_FORMAT,
        "block header: checksum mismatch at byte 149; 164 bytes skipped at byte 149");
    header_case(7, 2, true, ERR_FORMAT, "block header: unknown flags 0x02 at byte 149");
    header_case(8, 9, true, ERR_FORMAT,
                "block header: unknown resolution 10^9 ns at byte 149");
    header_case(8, 3, true, ERR_FORMAT, "block 1: another kind of file at byte 149");
    header_case(7, 1, true, ERR_FORMAT, "block 1: another kind of file at byte 149");
    header_case(12, 9, true, ERR_FORMAT, "blocks 1 to 8 are missing at byte 149");
    header_case(12, 0, true, ERR_FORMAT, "block 0 where block 1 belongs at byte 149");
    header_case(16, 1, true, ERR_FORMAT,
                "a block of another file; 164 bytes skipped at byte 149");
    header_case(31, 0x80, true, ERR_LIMIT,
                "block header: impossible times at byte 149");
    header_case(24, 1, true, ERR_LIMIT, "block header: impossible times at byte 149");
    header_case(
        32, 1, true, ERR_FORMAT,
        "OPS block 1: schedule column 1: the last arrival is not t_max at byte 149");
    header_case(40, 5, true, ERR_FORMAT,
                "block 1: first index 5 where 0 belongs at byte 149");
    header_case(47, 0x80, true, ERR_LIMIT,
                "block header: impossible first index at byte 149");
    header_case(51, 0x3b, true, ERR_LIMIT,
                "block header: 989855745 records, limit 1048576 at byte 149");
    header_case(52, 7, true, ERR_FORMAT,
                "block 1: the block before has 149 bytes, not 7 at byte 149");
    header_case(59, 0x7f, true, ERR_LIMIT,
                "block header: raw length above 67108864 bytes at byte 149");
    header_case(58, 0x40, true, ERR_LIMIT,
                "block header: group schedule: 4194323 bytes from 28 compressed ones "
                "at byte 149");
    header_case(
        61, 0x40, true, ERR_LIMIT,
        "block header: group schedule: 16412 compressed bytes for 19 at byte 149");
    header_case(64, 4, true, ERR_FORMAT,
                "block header: half of group answers is absent at byte 149");
    header_case(88, 0, true, ERR_FORMAT,
                "OPS block 1: schedule: checksum mismatch at byte 149");
    header_case(56, 29, true, ERR_FORMAT,
                "OPS block 1: schedule: zstd frame of 19 bytes where 29 were promised "
                "at byte 149");
    header_case(6, 0x86, true, ERR_FORMAT, "OUTCOMES block 1 in a trace at byte 149");
}

/* The compressed bytes of the last block's schedule are replaced and signed. */
static void frame_case(struct span frame, uint32_t raw, enum err_code code,
                       const char *text)
{
    struct ops o;
    ops_init(&o, 1);
    craft_put(&o.c, TRC_OPS, 1, 0, 0, 0, o.g);
    size_t at = o.c.last;
    o.c.file.n = at + TRC_HEAD_BYTES;
    buf_span(&o.c.file, frame);
    uint8_t *p = o.c.file.p + at + 8;
    uint64_t hash = trc_xxh64(frame.p, frame.n);
    uint32_t n = (uint32_t)frame.n;
    memcpy(p + 56, &raw, 4);
    memcpy(p + 60, &n, 4);
    memcpy(p + 88, &hash, 8);
    craft_sign(&o.c, at);
    expect(&o.c, code, text);
    craft_done(&o.c);
    buf_done(&o.g[0]);
}

static void groups_must_be_exactly_one_bounded_zstd_frame(void **state)
{
    (void)state;
    frame_case(SPAN_LIT("not zstd at all"), 15, ERR_FORMAT,
               "OPS block 1: schedule: not a zstd frame at byte 149");
    frame_case(SPAN_LIT("\x5e\x2a\x4d\x18\x02\0\0\0ab"), 2, ERR_FORMAT,
               "OPS block 1: schedule: not a zstd frame at byte 149");
    /* Window descriptor, no content size: a raw block "ab". */
    frame_case(SPAN_LIT("\x28\xb5\x2f\xfd\x00\x00\x11\0\0ab"), 2, ERR_FORMAT,
               "OPS block 1: schedule: zstd frame without content size at byte 149");
    frame_case(SPAN_LIT("\x28\xb5\x2f\xfd\x21\x07\x02\x11\0\0ab"), 2, ERR_FORMAT,
               "OPS block 1: schedule: zstd frame wants a dictionary at byte 149");
    frame_case(SPAN_LIT("\x28\xb5\x2f\xfd\x20\x02\x11\0\0ab!"), 2, ERR_FORMAT,
               "OPS block 1: schedule: not exactly one zstd frame at byte 149");
    /* A window of 2^27 and an 8-byte content size. */
    frame_case(SPAN_LIT("\x28\xb5\x2f\xfd\xc0\x88\x02\0\0\0\0\0\0\0\x11\0\0ab"), 2,
               ERR_LIMIT,
               "OPS block 1: schedule: zstd window above 2^24 bytes at byte 149");
    frame_case(SPAN_LIT("\x28\xb5\x2f\xfd\x20\x02\x15\0\0ab"), 2, ERR_FORMAT,
               "OPS block 1: schedule: zstd: *"); /* the words are zstd's */
}

static void columns_that_break_their_rules_are_refused(void **state)
{
    (void)state;
    struct ops o;
    const struct span no = {0};

    ops_init(&o, 1);
    buf_str(&o.g[TRC_SCHEDULE], "\xC8\x01\x7f");
    ops_expect(
        &o, 1, ERR_FORMAT,
        "OPS block 1: schedule: a column runs past the end of its group at byte 149");

    ops_init(&o, 1);
    craft_column(&o.g[TRC_SCHEDULE], TRC_COL_FLAGS, false, SPAN_LIT("\0\0"));
    ops_expect(&o, 1, ERR_FORMAT,
               "OPS block 1: schedule: column 4 after 32 at byte 149");

    ops_init(&o, 1);
    for (unsigned i = 0; i < 65; i++)
        craft_column(&o.g[TRC_SCHEDULE], 100 + i, false, no);
    ops_expect(&o, 1, ERR_LIMIT,
               "OPS block 1: schedule: more than 64 columns at byte 149");

    ops_init(&o, 1);
    craft_column(&o.g[TRC_ANSWERS], TRC_COL_STATUS, false, SPAN_LIT("\x09\0"));
    ops_expect(&o, 1, ERR_FORMAT,
               "OPS block 1: answers column 5: malformed integers at byte 149");

    ops_init(&o, 2);
    craft_column(&o.g[TRC_ANSWERS], TRC_COL_STATUS, false, SPAN_LIT("\0\x01"));
    ops_expect(&o, 2, ERR_FORMAT,
               "OPS block 1: answers column 5: malformed integers at byte 149");

    ops_init(&o, 1);
    craft_column(&o.g[TRC_ANSWERS], TRC_COL_STATUS, false, SPAN_LIT("\0\x01\x02"));
    ops_expect(&o, 1, ERR_FORMAT,
               "OPS block 1: answers column 5: bytes left over at byte 149");

    ops_init(&o, 1);
    craft_ints(&o.g[TRC_ANSWERS], TRC_COL_STATUS, no, (uint64_t[]){65536}, 1);
    ops_expect(&o, 1, ERR_FORMAT,
               "OPS block 1: answers column 5: a value out of range at byte 149");

    ops_init(&o, 1); /* an eleventh byte */
    craft_column(&o.g[TRC_ANSWERS], TRC_COL_STATUS, false,
                 SPAN_LIT("\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"));
    ops_expect(&o, 1, ERR_FORMAT,
               "OPS block 1: answers column 5: malformed integers at byte 149");

    ops_init(&o, 1);
    craft_ints(&o.g[TRC_ANSWERS], TRC_COL_RESPONSE, no, (uint64_t[]){1}, 1);
    ops_expect(
        &o, 1, ERR_FORMAT,
        "OPS block 1: answers column 9: a reference outside of its table at byte 149");

    ops_init(&o, 1);
    craft_ints(&o.g[TRC_IDS], TRC_COL_WEIGHT, no, (uint64_t[]){0x7f800000}, 1);
    ops_expect(&o, 1, ERR_FORMAT,
               "OPS block 1: ids column 23: a weight that is not above 0 at byte 149");

    ops_init(&o, 1);
    craft_ints(&o.g[TRC_IDS], TRC_COL_ID_FORM, no, (uint64_t[]){9}, 1);
    craft_column(&o.g[TRC_IDS], TRC_COL_ID_BYTES, false, SPAN_LIT("short"));
    ops_expect(&o, 1, ERR_FORMAT,
               "OPS block 1: ids column 16: ids end early at byte 149");

    ops_init(&o, 1);
    craft_ints(&o.g[TRC_IDS], TRC_COL_ID_FORM, no, (uint64_t[]){1}, 1);
    ops_expect(&o, 1, ERR_FORMAT, "OPS block 1: ids column 17: ends early at byte 149");
}

static void bodies_that_break_their_rules_are_refused(void **state)
{
    (void)state;
    struct ops o;
    const struct span one = SPAN_LIT("\x01");

    ops_init(&o, 1);
    craft_ints(&o.g[TRC_PAYLOAD], TRC_COL_REQUEST_TABLE, one, (uint64_t[]){8 * 3}, 1);
    craft_column(&o.g[TRC_PAYLOAD], TRC_COL_REQUEST_TABLE + 2, true, SPAN_LIT("abc"));
    ops_expect(&o, 1, ERR_FORMAT,
               "OPS block 1: schedule column 3: a table entry that nothing refers to "
               "at byte 149");

    ops_init(&o, 1);
    craft_ints(&o.g[TRC_PAYLOAD], TRC_COL_REQUEST_TABLE, one, (uint64_t[]){8 * 4}, 1);
    craft_column(&o.g[TRC_PAYLOAD], TRC_COL_REQUEST_TABLE + 2, true, SPAN_LIT("abc"));
    ops_expect(
        &o, 1, ERR_FORMAT,
        "OPS block 1: payload column 26: fewer bytes than the bodies have at byte 149");

    ops_init(&o, 1);
    craft_ints(&o.g[TRC_PAYLOAD], TRC_COL_REQUEST_TABLE, one, (uint64_t[]){8 * 2}, 1);
    craft_column(&o.g[TRC_PAYLOAD], TRC_COL_REQUEST_TABLE + 2, true, SPAN_LIT("abc"));
    ops_expect(
        &o, 1, ERR_FORMAT,
        "OPS block 1: payload column 24: details or bytes left over at byte 149");

    ops_init(&o, 1);
    craft_ints(&o.g[TRC_PAYLOAD], TRC_COL_REQUEST_TABLE, one, (uint64_t[]){7}, 1);
    ops_expect(&o, 1, ERR_FORMAT,
               "OPS block 1: payload column 24: unknown form of a body at byte 149");

    ops_init(&o, 1);
    craft_ints(&o.g[TRC_PAYLOAD], TRC_COL_REQUEST_TABLE, one,
               (uint64_t[]){((uint64_t)1 << 40) * 8}, 1);
    ops_expect(&o, 1, ERR_FORMAT,
               "OPS block 1: payload column 24: a body beyond the limit at byte 149");

    ops_init(&o, 1);
    craft_ints(&o.g[TRC_PAYLOAD], TRC_COL_REQUEST_TABLE,
               SPAN_LIT("\x80\x94\xeb\xdc\x03"), (uint64_t[]){0}, 1);
    ops_expect(&o, 1, ERR_FORMAT,
               "OPS block 1: payload column 24: more bodies than records at byte 149");

    /* A blob that does not stand before the block: forward references never resolve. */
    ops_init(&o, 1);
    craft_ints(&o.g[TRC_PAYLOAD], TRC_COL_REQUEST_TABLE, one,
               (uint64_t[]){8 * 9000 + 1}, 1);
    craft_column(&o.g[TRC_PAYLOAD], TRC_COL_REQUEST_TABLE + 1, true,
                 SPAN_LIT("\x00\x01"
                          "0123456789abcdef"));
    ops_expect(&o, 1, ERR_FORMAT,
               "OPS block 1: blob 0 does not stand before the block at byte 149");

    ops_init(&o, 1);
    craft_ints(&o.g[TRC_PAYLOAD], TRC_COL_REQUEST_TABLE, one,
               (uint64_t[]){8 * 9000 + 1}, 1);
    craft_column(&o.g[TRC_PAYLOAD], TRC_COL_REQUEST_TABLE + 1, true,
                 SPAN_LIT("\x00\x7f"
                          "0123456789abcdef"));
    ops_expect(
        &o, 1, ERR_FORMAT,
        "OPS block 1: payload column 25: impossible count of fragments at byte 149");
}

/* Two messages of an answer of 5 bytes, with one thing wrong each time. */
static void messages_that_break_their_rules_are_refused(void **state)
{
    (void)state;
    static const struct {
        unsigned absent; /* column that is not there; 0: none */
        uint64_t count, last_bytes, more;
        const char *error;
    } cases[] = {
        {0, 2, 3, 0, NULL},
        {0, 2, 4, 0, "column 86: messages are not as many bytes as their body"},
        {0, 2, 2, 0, "column 86: messages are not as many bytes as their body"},
        {0, 70000, 3, 0, "column 84: a value out of range"},
        {0, 3, 3, 0, "column 85: malformed integers"},
        {0, 1, 3, 0, "column 85: bytes left over"},
        {0, 2, 3, 1, "column 86: bytes left over"},
        {TRC_COL_ANSWERED, 2, 3, 0, "column 84: the column is absent"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ops o;
        char text[160];
        ops_init(&o, 1);
        craft_ints(&o.g[TRC_PAYLOAD], TRC_COL_RESPONSE_TABLE, SPAN_LIT("\x01"),
                   (uint64_t[]){8 * 5}, 1);
        craft_column(&o.g[TRC_PAYLOAD], TRC_COL_RESPONSE_TABLE + 2, true,
                     SPAN_LIT("hello"));
        if (cases[i].absent != TRC_COL_ANSWERED)
            craft_ints(&o.g[TRC_PAYLOAD], TRC_COL_ANSWERED, (struct span){0},
                       &cases[i].count, 1);
        craft_ints(&o.g[TRC_PAYLOAD], TRC_COL_ANSWERED + 1, (struct span){0},
                   (uint64_t[]){0, 9}, 2);
        craft_ints(&o.g[TRC_PAYLOAD], TRC_COL_ANSWERED + 2, (struct span){0},
                   (uint64_t[]){2, cases[i].last_bytes, 7}, 2 + cases[i].more);
        craft_ints(&o.g[TRC_ANSWERS], TRC_COL_RESPONSE, (struct span){0},
                   (uint64_t[]){1}, 1);
        snprintf(text, sizeof text, "OPS block 1: payload %s at byte 149",
                 cases[i].error ? cases[i].error : "");
        ops_expect(&o, 1, cases[i].error ? ERR_FORMAT : ERR_TRUNCATED,
                   cases[i].error ? text : "the file was not closed*");
    }
}

/* Messages that a few bytes claim are bounded before anything is made for them. */
static void more_messages_than_a_block_may_have_are_refused(void **state)
{
    (void)state;
    struct ops o;
    ops_init(&o, 17);
    craft_column(&o.g[TRC_PAYLOAD], TRC_COL_ANSWERED, false,
                 SPAN_LIT("\x01\xff\xff\x03"));
    ops_expect(&o, 17, ERR_FORMAT,
               "OPS block 1: payload column 84: more messages than a block may have at "
               "byte 149");
}

static void a_blob_must_be_the_body_that_is_meant(void **state)
{
    (void)state;
    struct ops o;
    struct buf blobs[TRC_GROUPS] = {{0}};
    ops_init(&o, 1);
    craft_ints(&blobs[TRC_PAYLOAD], TRC_COL_BLOB_BYTES, (struct span){0},
               (uint64_t[]){4}, 1);
    craft_column(&blobs[TRC_PAYLOAD], TRC_COL_BLOBS, true, SPAN_LIT("blob"));
    craft_put(&o.c, TRC_BLOBS, 1, 0, 0, 0, blobs);
    craft_ints(&o.g[TRC_PAYLOAD], TRC_COL_REQUEST_TABLE, SPAN_LIT("\x01"),
               (uint64_t[]){8 * 4 + 1}, 1);
    craft_column(&o.g[TRC_PAYLOAD], TRC_COL_REQUEST_TABLE + 1, true,
                 SPAN_LIT("\x00\x01"
                          "0123456789abcdef"));
    char text[120];
    snprintf(text, sizeof text,
             "OPS block 2: blob 0 is not the body that is meant at byte %zu",
             o.c.file.n);
    ops_expect(&o, 1, ERR_FORMAT, text);
    buf_done(&blobs[TRC_PAYLOAD]);
}

static void streams_that_break_their_rules_are_refused(void **state)
{
    (void)state;
    struct craft c;
    struct buf g[TRC_GROUPS] = {{0}};
    static const struct {
        const char *table;
        size_t n;
        const char *text;
    } cases[] = {
        {"\xff\xff\xff\xff\x0f", 5, "impossible count of streams"},
        {"\x01\x0b\x09\0\0\0\0\0\0\0\0\0\0", 13, "malformed stream"}, /* protocol 9 */
        {"\x01\x0b\0\x07\0\0\0\0\0\0\0\0\0", 13, "malformed stream"}, /* tier 7 */
        {"\x01\x0b\0\0\0\0\0\0\0\0\0\x09\0", 13, "malformed stream"}, /* 9 headers */
        {"\x01\x0b\0\0\0\x7f\0\0\0\0\0\0\0", 13, "malformed stream"}, /* long name */
        {"\x01\x0a\0\0\0\0\0\0\0\0\0\0\0", 13, "bytes left over"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[120];
        craft_init(&c, false);
        buf_reset(&g[0]);
        craft_ints(&g[0], TRC_COL_TIME, (struct span){0}, (uint64_t[]){0}, 1);
        craft_column(&g[0], TRC_COL_STREAM_TABLE, true,
                     span_of(cases[i].table, cases[i].n));
        craft_put(&c, TRC_OPS, 1, 0, 0, 0, g);
        snprintf(text, sizeof text, "OPS block 1: schedule column 32: %s at byte 149",
                 cases[i].text);
        expect(&c, ERR_FORMAT, text);
        craft_done(&c);
    }
    craft_init(&c, false);
    buf_reset(&g[0]);
    craft_ints(&g[0], TRC_COL_TIME, (struct span){0}, (uint64_t[]){0}, 1);
    craft_put(&c, TRC_OPS, 1, 0, 0, 0, g);
    expect(&c, ERR_FORMAT,
           "OPS block 1: schedule column 32: the stream table is absent at byte 149");
    craft_done(&c);
    buf_done(&g[0]);
}

static void files_that_are_none_of_ours_are_named_so(void **state)
{
    (void)state;
    struct craft c = {0};
    buf_str(&c.file, "GET / HTTP/1.1\r\n\r\n");
    expect(&c, ERR_FORMAT, "not a trace or run: no block header at byte 0");
    buf_reset(&c.file);
    expect(&c, ERR_TRUNCATED, "the file is empty");
    buf_str(&c.file, "\x5e\x2a\x4d\x18\x80");
    expect(&c, ERR_TRUNCATED, "the file ends within its first header at byte 5");
    buf_done(&c.file);
    craft_init(&c, false);
    c.file.p[12] = 2;
    expect(&c, ERR_FORMAT,
           "block header: format version 2, this program reads version 1 at byte 0");
    craft_done(&c);
}

static void impossible_claims_fail_at_once_and_in_little_memory(void **state)
{
    (void)state;
    struct rusage before, after;
    struct ops o;
    getrusage(RUSAGE_SELF, &before);
    for (int i = 0; i < 50; i++) {
        /* 2^20 bodies, ids, streams that are not there. */
        ops_init(&o, 1);
        craft_ints(&o.g[TRC_PAYLOAD], TRC_COL_REQUEST_TABLE, SPAN_LIT("\x80\x80\x40"),
                   (uint64_t[]){0}, 1);
        ops_expect(
            &o, 1, ERR_FORMAT,
            "OPS block 1: payload column 24: more bodies than records at byte 149");
        ops_init(&o, 1);
        ops_expect(&o, TRC_RECORDS_MAX, ERR_FORMAT,
                   "OPS block 1: schedule column 1: malformed integers at byte 149");
    }
    getrusage(RUSAGE_SELF, &after);
#if defined(__SANITIZE_ADDRESS__) /* keeps what is freed for a while */
    const long limit = 256 * 1024;
#else
    const long limit = 16 * 1024;
#endif
    check_int(after.ru_maxrss - before.ru_maxrss, <, limit); /* KiB */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crafted_operations_are_read),
        cmocka_unit_test(unknown_optional_columns_and_blocks_are_skipped),
        cmocka_unit_test(a_longer_header_is_read_and_what_it_adds_ignored),
        cmocka_unit_test(unknown_required_columns_are_refused_by_their_id),
        cmocka_unit_test(unknown_required_blocks_are_refused_by_their_kind),
        cmocka_unit_test(headers_that_break_their_rules_are_refused),
        cmocka_unit_test(groups_must_be_exactly_one_bounded_zstd_frame),
        cmocka_unit_test(columns_that_break_their_rules_are_refused),
        cmocka_unit_test(bodies_that_break_their_rules_are_refused),
        cmocka_unit_test(messages_that_break_their_rules_are_refused),
        cmocka_unit_test(more_messages_than_a_block_may_have_are_refused),
        cmocka_unit_test(a_blob_must_be_the_body_that_is_meant),
        cmocka_unit_test(streams_that_break_their_rules_are_refused),
        cmocka_unit_test(files_that_are_none_of_ours_are_named_so),
        cmocka_unit_test(impossible_claims_fail_at_once_and_in_little_memory),
    };
    return cmocka_run_group_tests(tests, make_path, remove_path);
}

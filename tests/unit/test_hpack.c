/* test_hpack.c - traces/wire/hpack, with nghttp2's coder as the oracle.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/check.h"

#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/h2_build.h"
#include "traces/base/rng.h"
#include "traces/wire/hpack.h"
#include "traces/wire/hpack_tables.h"

/* The fields of a block as text, "name: value\n" each; unknown parts are "?". */
static int read_block(struct hpack *h, struct span block, struct buf *story,
                      struct err *e)
{
    struct hpack_field f;
    int rc;
    hpack_begin(h, block);
    while ((rc = hpack_next(h, &f, e)) > 0) {
        buf_span(story, f.flags & HPACK_NAME_UNKNOWN ? SPAN_LIT("?") : f.name);
        buf_str(story, ": ");
        buf_span(story, f.flags & HPACK_VALUE_UNKNOWN ? SPAN_LIT("?") : f.value);
        buf_str(story, f.flags & HPACK_NEVER_INDEXED ? " (never)\n" : "\n");
    }
    return rc;
}

static void expect(struct hpack *h, const struct buf *block, const char *story)
{
    struct buf got = {0};
    struct err e = {0};
    check_ok(read_block(h, buf_view(block), &got, &e), &e);
    check_str(buf_text(&got), story);
    buf_done(&got);
}

static void refused(uint32_t limit, const struct buf *block, const char *why)
{
    struct hpack h;
    struct buf got = {0};
    struct err e = {0};
    hpack_init(&h, limit);
    check_int(read_block(&h, buf_view(block), &got, &e), ==, ERR_FORMAT);
    check_str_has(e.text, why);
    hpack_done(&h);
    buf_done(&got);
}

static void add_hex(struct buf *b, const char *hex)
{
    unsigned byte;
    for (; *hex; hex += 2) {
        check_int(sscanf(hex, "%2x", &byte), ==, 1);
        buf_u8(b, (uint8_t)byte);
    }
}

static void the_huffman_examples_of_the_rfc_are_read(void **state)
{
    (void)state;
    /* RFC 7541, C.4: three requests on one connection. */
    static const char *const blocks[] = {
        "828684418cf1e3c2e5f23a6ba0ab90f4ff",
        "828684be5886a8eb10649cbf",
        "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
    };
    static const char *const stories[] = {
        ":method: GET\n:scheme: http\n:path: /\n:authority: www.example.com\n",
        ":method: GET\n:scheme: http\n:path: /\n:authority: www.example.com\n"
        "cache-control: no-cache\n",
        ":method: GET\n:scheme: https\n:path: /index.html\n"
        ":authority: www.example.com\ncustom-key: custom-value\n",
    };
    struct hpack h;
    hpack_init(&h, HPACK_TABLE_INIT);
    for (size_t i = 0; i < 3; i++) {
        struct buf block = {0};
        add_hex(&block, blocks[i]);
        expect(&h, &block, stories[i]);
        buf_done(&block);
    }
    check_int(h.bytes, ==, 164);
    hpack_done(&h);
}

/* One block by nghttp2, freed by the caller. */
static void deflate(nghttp2_hd_deflater *d, const nghttp2_nv *nv, size_t n,
                    struct buf *block)
{
    size_t bound = nghttp2_hd_deflate_bound(d, nv, n);
    buf_reset(block);
    uint8_t *p = buf_grow(block, bound);
    ssize_t used = nghttp2_hd_deflate_hd(d, p, bound, nv, n);
    check_int(used, >, 0);
    block->n = (size_t)used;
}

static nghttp2_nv nv_of(const char *name, const uint8_t *value, size_t n)
{
    nghttp2_nv nv = {.name = (uint8_t *)(uintptr_t)name,
                     .value = (uint8_t *)(uintptr_t)value,
                     .namelen = strlen(name),
                     .valuelen = n,
                     .flags = NGHTTP2_NV_FLAG_NO_INDEX};
    return nv;
}

static void every_huffman_symbol_is_read(void **state)
{
    (void)state;
    nghttp2_hd_deflater *d;
    check_int(nghttp2_hd_deflate_new(&d, 4096), ==, 0);
    struct hpack h;
    hpack_init(&h, 4096);
    for (unsigned c = 0; c < 256; c++) {
        uint8_t value[600];
        memset(value, '0', sizeof value); /* makes Huffman the shorter form */
        for (unsigned i = 0; i < 8; i++)  /* at every place within a byte */
            value[i * 9] = (uint8_t)c;
        nghttp2_nv nv = nv_of("x", value, sizeof value);
        struct buf block = {0};
        struct err e = {0};
        struct hpack_field f;
        deflate(d, &nv, 1, &block);
        check_int(block.n, <, 500); /* it was Huffman */
        hpack_begin(&h, buf_view(&block));
        check_int(hpack_next(&h, &f, &e), ==, 1);
        check_int(f.value.n, ==, sizeof value);
        check_int(memcmp(f.value.p, value, sizeof value), ==, 0);
        buf_done(&block);
    }
    nghttp2_hd_deflate_del(d);
    hpack_done(&h);
}

static void every_static_entry_is_what_nghttp2_knows(void **state)
{
    (void)state;
    nghttp2_hd_inflater *inflater;
    check_int(nghttp2_hd_inflate_new(&inflater), ==, 0);
    for (uint32_t i = 1; i <= HPACK_STATIC; i++) {
        uint8_t byte = (uint8_t)(0x80 | i);
        nghttp2_nv nv;
        int flags = 0;
        check_int(nghttp2_hd_inflate_hd2(inflater, &nv, &flags, &byte, 1, 1), ==, 1);
        check_true(span_eq(span_of(nv.name, nv.namelen), hpack_static[i - 1].name));
        check_true(span_eq(span_of(nv.value, nv.valuelen), hpack_static[i - 1].value));
        nghttp2_hd_inflate_end_headers(inflater);
    }
    nghttp2_hd_inflate_del(inflater);
}

/* Names and values that come back now and then, as those of real traffic do. */
static size_t random_headers(struct rng *r, nghttp2_nv *nv, char (*text)[64],
                             size_t max)
{
    static const char *const names[] = {":path",        "content-type", "user-agent",
                                        "seldon-model", "x-request-id", "grpc-status",
                                        "te",           "x-odd"};
    size_t n = 1 + (size_t)rng_below(r, max);
    for (size_t i = 0; i < n; i++) {
        uint64_t v = rng_below(r, 4) ? rng_below(r, 12) : rng_below(r, 100000);
        int len =
            snprintf(text[i], sizeof text[i], "value %llu", (unsigned long long)v);
        nv[i] = nv_of(names[rng_below(r, 8)], (uint8_t *)text[i], (size_t)len);
        nv[i].flags = NGHTTP2_NV_FLAG_NONE;
    }
    return n;
}

/* A decoder that misses the first `skipped` blocks: what it says is right or "?", and
 * nothing that was inserted later stays unknown. Gives the number of unknown fields. */
static size_t follow(uint64_t seed, size_t skipped, size_t blocks)
{
    struct rng r;
    rng_init(&r, seed);
    nghttp2_hd_deflater *d;
    check_int(nghttp2_hd_deflate_new(&d, 16384), ==, 0);
    struct hpack whole, late;
    hpack_init(&whole, 16384);
    hpack_init(&late, UINT32_MAX);
    hpack_join(&late);
    size_t unknown = 0;
    for (size_t i = 0; i < blocks; i++) {
        nghttp2_nv nv[16];
        char text[16][64];
        struct buf block = {0}, exact = {0}, seen = {0};
        struct err e = {0};
        static const size_t sizes[] = {4096, 0, 200, 16384, 100, 1000};
        if (i % 40 == 20)
            nghttp2_hd_deflate_change_table_size(d, sizes[i / 40 % 6]);
        size_t n = random_headers(&r, nv, text, 16);
        deflate(d, nv, n, &block);
        check_ok(read_block(&whole, buf_view(&block), &exact, &e), &e);
        struct buf sent = {0};
        for (size_t k = 0; k < n; k++)
            buf_fmt(&sent, "%s: %s\n", (const char *)nv[k].name, text[k]);
        check_str(buf_text(&exact), buf_text(&sent));
        if (i >= skipped) {
            check_ok(read_block(&late, buf_view(&block), &seen, &e), &e);
            const char *a = buf_text(&seen), *b = buf_text(&exact);
            for (; *a && *b; a++, b++) {
                if (*a == '?') { /* up to the end of the name or value */
                    unknown++;
                    char stop = a[1];
                    while (*b != stop)
                        b++;
                    b--;
                } else {
                    check_int(*a, ==, *b);
                }
            }
            check_int(*a, ==, *b);
        }
        buf_done(&sent);
        buf_done(&block);
        buf_done(&exact);
        buf_done(&seen);
    }
    nghttp2_hd_deflate_del(d);
    hpack_done(&whole);
    hpack_done(&late);
    return unknown;
}

static void
what_is_inserted_after_joining_resolves_and_the_rest_is_unknown(void **state)
{
    (void)state;
    size_t some = 0;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        check_int(follow(seed, 0, 300), ==, 0);
        some += follow(seed, 1 + (size_t)seed, 300) > 0;
    }
    check_int(some, >, 30); /* the test does meet unknown fields */
}

static void an_unknown_name_keeps_its_place(void **state)
{
    (void)state;
    struct hpack h;
    struct buf block = {0};
    hpack_init(&h, UINT32_MAX);
    hpack_join(&h);
    h2_literal(&block, H2_INSERT, 0, "a", "1");
    h2_literal(&block, H2_INSERT, 70, NULL, "2"); /* a name from before */
    h2_literal(&block, H2_INSERT, 0, "b", "3");
    h2_indexed(&block, 62);
    h2_indexed(&block, 63);
    h2_indexed(&block, 64);
    h2_indexed(&block, 65);
    h2_literal(&block, H2_PLAIN, 63, NULL, "4");
    h2_literal(&block, H2_NEVER, 64, NULL, "5");
    expect(&h, &block,
           "a: 1\n?: 2\nb: 3\nb: 3\n?: 2\na: 1\n?: ?\n?: 4\na: 5 (never)\n");
    buf_done(&block);
    hpack_done(&h);
}

static void a_joined_table_stays_within_its_ceiling(void **state)
{
    (void)state;
    struct hpack h;
    static char big[5000];
    memset(big, 'v', sizeof big - 1);
    hpack_init(&h, UINT32_MAX);
    hpack_join(&h);
    for (int i = 0; i < 1000; i++) {
        struct buf block = {0}, story = {0};
        struct err e = {0};
        h2_literal(&block, H2_INSERT, 0, "x", big);
        check_ok(read_block(&h, buf_view(&block), &story, &e), &e);
        check_int(h.bytes, <=, HPACK_TABLE_MAX);
        check_int(hpack_memory(&h), <=, 8 * HPACK_TABLE_MAX);
        buf_done(&block);
        buf_done(&story);
    }
    hpack_done(&h);
}

static void
a_larger_table_than_the_ceiling_gives_unknown_fields_and_no_error(void **state)
{
    (void)state;
    struct hpack h;
    hpack_init(&h, UINT32_MAX);
    struct buf block = {0}, story = {0};
    struct err e = {0};
    h2_integer(&block, 0x20, 5, 1 << 20);
    static char big[1001];
    memset(big, 'v', sizeof big - 1);
    for (int i = 0; i < 100; i++)
        h2_literal(&block, H2_INSERT, 0, "x", big);
    check_ok(read_block(&h, buf_view(&block), &story, &e), &e);
    buf_reset(&block);
    h2_indexed(&block, 62 + 99); /* the first one, which its receiver still has */
    expect(&h, &block, "?: ?\n");
    buf_done(&block);
    buf_done(&story);
    hpack_done(&h);
}

static void bad_blocks_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *hex, *why;
    } bad[] = {
        {"80", "header index 0"},
        {"be", "points at nothing"},
        {"7e0161", "points at nothing"},
        {"40", "inside a field"},
        {"4001", "longer than its block"},
        {"400161", "inside a field"},
        {"ff", "inside an integer"},
        {"ff80", "inside an integer"},
        {"ff80ffffff0f", "points at nothing"},
        {"ffffffffffff00", "over 32 bits"},
        {"ff808080808000", "over 32 bits"},
        {"007fffffffff7f", "over 32 bits"},
        {"007f80ffffff07", "longer than its block"},
        {"0001618100", "bad Huffman"},       /* padding of zeros */
        {"00016182ffff", "bad Huffman"},     /* padding of more than seven bits */
        {"00016184ffffffff", "bad Huffman"}, /* the end of string itself */
        {"00016181fe", "bad Huffman"},
        {"823fe11f", "behind a header"},
        {"3fe21f", "4096 are allowed"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct buf block = {0};
        add_hex(&block, bad[i].hex);
        refused(4096, &block, bad[i].why);
        buf_done(&block);
    }
}

static void no_prefix_of_a_block_is_read_past_its_end(void **state)
{
    (void)state;
    struct buf block = {0};
    add_hex(&block, "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf");
    for (size_t n = 0; n < block.n; n++) {
        uint8_t *exact = malloc(n + 1); /* the sanitizer watches its end */
        memcpy(exact, block.p, n);
        struct hpack h;
        struct buf story = {0};
        hpack_init(&h, 4096);
        hpack_join(&h);
        (void)!read_block(&h, span_of(exact, n), &story, NULL);
        check_true(!story.failed);
        hpack_done(&h);
        buf_done(&story);
        free(exact);
    }
    buf_done(&block);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_huffman_examples_of_the_rfc_are_read),
        cmocka_unit_test(every_huffman_symbol_is_read),
        cmocka_unit_test(every_static_entry_is_what_nghttp2_knows),
        cmocka_unit_test(
            what_is_inserted_after_joining_resolves_and_the_rest_is_unknown),
        cmocka_unit_test(an_unknown_name_keeps_its_place),
        cmocka_unit_test(a_joined_table_stays_within_its_ceiling),
        cmocka_unit_test(
            a_larger_table_than_the_ceiling_gives_unknown_fields_and_no_error),
        cmocka_unit_test(bad_blocks_are_refused),
        cmocka_unit_test(no_prefix_of_a_block_is_read_past_its_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

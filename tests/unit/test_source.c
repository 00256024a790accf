/*
 * test_source.c - packets of capture files: both formats, both byte orders, whole, cut
 * and damaged.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "capture/source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#include "tests/unit/check.h"
#include "tests/unit/pktbuild.h"

#define START (INT64_C(1790000000) * CLK_SEC)

/* "time interface link captured/wire first-byte" of each packet, and the error. */
static struct buf listing(struct span file, struct err *e)
{
    struct cap_source *s;
    struct buf out = {0};
    int rc = cap_source_open_bytes(&s, file, e);
    if (rc < 0) {
        buf_fmt(&out, "cannot open: %d", rc);
        return out;
    }
    struct cap_packet p;
    while ((rc = cap_source_next(s, &p, e)) == CAP_SOURCE_PACKET)
        buf_fmt(&out, "%lld %u %d %zu/%u %c\n", (long long)(p.at.ns - START),
                p.interface, p.link_type, p.bytes.n, p.wire_bytes,
                p.bytes.n ? p.bytes.p[0] : '-');
    if (rc < 0)
        buf_fmt(&out, "error %d\n", rc);
    cap_source_close(s);
    return out;
}

static void check_listing(struct span file, const char *wanted)
{
    struct err e = {0};
    struct buf out = listing(file, &e);
    check_str(buf_text(&out), wanted);
    buf_done(&out);
}

static void check_refused(struct span file, int code, const char *why)
{
    struct err e = {0};
    struct buf out = listing(file, &e);
    check_int(e.code, ==, code);
    check_str_has(e.text, why);
    buf_done(&out);
}

static void pcap_of_both_resolutions_and_byte_orders_is_read(void **state)
{
    (void)state;
    for (int kind = 0; kind < 4; kind++) {
        struct pkt_file f = {.big = kind & 1, .nanoseconds = kind & 2};
        pkt_pcap(&f, CAP_LINK_SLL2);
        pkt_pcap_add(&f, START + 1000, SPAN_LIT("a-packet"), 8);
        pkt_pcap_add(&f, START + CLK_SEC + 999999000, SPAN_LIT("b"), 1500);
        pkt_pcap_add(&f, START + 5123, SPAN_LIT(""), 0);
        check_listing(buf_view(&f.b), kind & 2 ? "1000 0 276 8/8 a\n"
                                                 "1999999000 0 276 1/1500 b\n"
                                                 "5123 0 276 0/0 -\n"
                                               : "1000 0 276 8/8 a\n"
                                                 "1999999000 0 276 1/1500 b\n"
                                                 "5000 0 276 0/0 -\n");
        buf_done(&f.b);
    }
}

/* Two sections: of five interfaces with their own clocks; of one, in `big` turned. */
static struct pkt_file mixed(bool big)
{
    struct pkt_file f = {.big = big};
    pkt_ng_section(&f);
    pkt_ng_interface(&f, CAP_LINK_ETHERNET, 262144, -1, 0);     /* microseconds */
    pkt_ng_interface(&f, CAP_LINK_SLL, 0, 9, 0);                /* nanoseconds */
    pkt_ng_interface(&f, CAP_LINK_RAW, 0, 0x80 | 20, 0);        /* 2^-20 s */
    pkt_ng_interface(&f, CAP_LINK_NULL, 0, 3, START / CLK_SEC); /* ms, shifted */
    pkt_ng_interface(&f, CAP_LINK_IPV6, 0, 12, 1789000000);     /* ps, shifted */
    pkt_ng_block(&f, 0x0bad, SPAN_LIT("a block of a kind that no one knows"));
    pkt_ng_add(&f, 0, (uint64_t)START / 1000 + 5, SPAN_LIT("apple"), 5);
    pkt_ng_add(&f, 1, (uint64_t)START + 5123, SPAN_LIT("banana"), 60);
    pkt_ng_add(&f, 2, (uint64_t)(START / CLK_SEC) << 20 | 1 << 19, SPAN_LIT("c"), 1);
    pkt_ng_add(&f, 3, 250, SPAN_LIT("damson"), 6);
    pkt_ng_add(&f, 4, UINT64_C(1000000000123456789), SPAN_LIT("elderberry"), 10);
    pkt_ng_simple(&f, SPAN_LIT("fig"), 3);
    pkt_ng_statistics(&f, 0, 3, 4);
    pkt_ng_statistics(&f, 1, 10, -1);
    pkt_ng_statistics(&f, 0, 5, 4); /* totals: in place of the first */
    f.big = !big;
    pkt_ng_section(&f);
    pkt_ng_interface(&f, CAP_LINK_LOOP, 2, 9, 0);
    pkt_ng_add(&f, 0, (uint64_t)START, SPAN_LIT("grape"), 5);
    pkt_ng_simple(&f, SPAN_LIT("ha"), 900); /* cut to the interface's 2 bytes */
    return f;
}

#define MIXED                                                                          \
    "5000 0 1 5/5 a\n5123 1 113 6/60 b\n500000000 2 101 1/1 c\n250000000 3 0 6/6 d\n"  \
    "123456 4 229 10/10 e\n123456 0 1 3/3 f\n0 5 108 5/5 g\n0 5 108 2/900 h\n"

static void pcapng_with_several_interfaces_and_resolutions_is_read(void **state)
{
    (void)state;
    for (int big = 0; big < 2; big++) {
        struct pkt_file f = mixed(big);
        check_listing(buf_view(&f.b), MIXED);
        buf_done(&f.b);
    }
}

static void what_the_kernel_dropped_is_read_from_statistics(void **state)
{
    (void)state;
    struct pkt_file f = mixed(false);
    struct cap_source *s;
    struct err e = {0};
    struct cap_packet p;
    check_ok(cap_source_open_bytes(&s, buf_view(&f.b), &e), &e);
    check_true(!cap_source_counts(s)->drops_known);
    while (cap_source_next(s, &p, &e) == CAP_SOURCE_PACKET)
        ;
    const struct cap_source_counts *c = cap_source_counts(s);
    check_int(e.code, ==, ERR_OK);
    check_int(c->packets, ==, 8);
    check_int(c->captured_bytes, ==, 38);
    check_int(c->wire_bytes, ==, 5 + 60 + 1 + 6 + 10 + 3 + 5 + 900);
    check_int(c->untimed, ==, 2);
    check_int(c->other_blocks, ==, 1);
    check_true(c->drops_known);
    check_int(c->kernel_drops, ==, 15);
    check_int(c->interface_drops, ==, 4);
    check_int(cap_source_fd(s), ==, -1);
    cap_source_close(s);
    buf_done(&f.b);
}

static void the_packet_block_of_old_files_is_read(void **state)
{
    (void)state;
    struct pkt_file f = {0};
    pkt_ng_section(&f);
    pkt_ng_interface(&f, CAP_LINK_RAW, 0, 9, 0);
    struct buf body = {0};
    buf_u16(&body, 0);
    buf_u16(&body, 77); /* drops since the last */
    buf_u32(&body, (uint32_t)((uint64_t)START >> 32));
    buf_u32(&body, (uint32_t)START + 42);
    buf_u32(&body, 3);
    buf_u32(&body, 4);
    buf_str(&body, "old");
    pkt_ng_block(&f, 2, buf_view(&body));
    check_listing(buf_view(&f.b), "42 0 101 3/4 o\n");
    buf_done(&body);
    buf_done(&f.b);
}

static void a_file_cut_anywhere_gives_what_came_before(void **state)
{
    (void)state;
    struct pkt_file f[2] = {mixed(false), {.nanoseconds = true}};
    pkt_pcap(&f[1], CAP_LINK_ETHERNET);
    for (int i = 0; i < 5; i++)
        pkt_pcap_add(&f[1], START + i, SPAN_LIT("some packet"), 11);
    for (size_t k = 0; k < 2; k++) {
        struct err e = {0};
        struct buf whole = listing(buf_view(&f[k].b), &e);
        int clean = 0;
        for (size_t n = 0; n < f[k].b.n; n++) {
            /* An exact copy, so that one byte too far is seen by the sanitizer. */
            uint8_t *exact = malloc(n ? n : 1);
            check_true(exact != NULL);
            if (n)
                memcpy(exact, f[k].b.p, n);
            e = (struct err){0};
            struct buf part = listing(span_of(exact, n), &e);
            free(exact);
            if (e.code == ERR_OK) { /* between packets or blocks */
                clean++;
                check_true(
                    span_eq(buf_view(&part), span_sub(buf_view(&whole), 0, part.n)));
            } else {
                check_int(e.code, ==, ERR_TRUNCATED);
                check_true(n < 4 || (e.has_at && e.at <= n));
                const char *end = strstr(buf_text(&part), "error");
                if (!end)
                    end = strstr(buf_text(&part), "cannot open");
                size_t same = end ? (size_t)(end - (char *)part.p) : part.n;
                check_true(memcmp(buf_text(&part), buf_text(&whole), same) == 0);
            }
            buf_done(&part);
        }
        /* after pcap's header and 4 packets; after all of pcapng's 20 blocks but one */
        check_int(clean, ==, k == 0 ? 19 : 5);
        buf_done(&whole);
        buf_done(&f[k].b);
    }
}

static void a_truncated_packet_names_its_place(void **state)
{
    (void)state;
    struct pkt_file f = {0};
    pkt_pcap(&f, CAP_LINK_ETHERNET);
    pkt_pcap_add(&f, START, SPAN_LIT("whole"), 5);
    pkt_pcap_add(&f, START, SPAN_LIT("cut off"), 7);
    f.b.n -= 3;
    check_refused(
        buf_view(&f.b), ERR_TRUNCATED,
        "the file ends inside of a packet (wanted 23 bytes, got 20) at byte 45");
    buf_done(&f.b);
}

static void flipped_bits_never_crash_and_never_run_away(void **state)
{
    (void)state;
    struct pkt_file f[2] = {mixed(false), {.big = true}};
    pkt_pcap(&f[1], CAP_LINK_ETHERNET);
    for (int i = 0; i < 3; i++)
        pkt_pcap_add(&f[1], START + i, SPAN_LIT("some packet"), 11);
    for (size_t k = 0; k < 2; k++) {
        for (size_t bit = 0; bit < 8 * f[k].b.n; bit++) {
            f[k].b.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
            struct err e = {0};
            struct buf out = listing(buf_view(&f[k].b), &e);
            size_t lines = 0;
            for (size_t i = 0; i < out.n; i++)
                lines += out.p[i] == '\n';
            check_true(lines <= 10);
            check_true(e.code == ERR_OK || e.code == ERR_FORMAT ||
                       e.code == ERR_TRUNCATED || e.code == ERR_LIMIT);
            buf_done(&out);
            f[k].b.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        buf_done(&f[k].b);
    }
}

static void compressed_files_and_pipes_are_read_alike(void **state)
{
    (void)state;
    struct pkt_file f = mixed(false);
    struct buf packed = {0};
    size_t bound = ZSTD_compressBound(f.b.n);
    uint8_t *p = buf_grow(&packed, bound);
    check_true(p != NULL);
    packed.n = ZSTD_compress(p, bound, f.b.p, f.b.n, 3);
    check_true(!ZSTD_isError(packed.n));
    check_listing(buf_view(&packed), MIXED);

    char path[] = "/tmp/test_source.XXXXXX";
    int fd = mkstemp(path);
    check_true(fd >= 0);
    check_true(write(fd, f.b.p, f.b.n) == (ssize_t)f.b.n);
    close(fd);
    struct cap_source *s;
    struct err e = {0};
    struct cap_packet packet;
    check_ok(cap_source_open_file(&s, path, &e), &e);
    int n = 0;
    while (cap_source_next(s, &packet, &e) == CAP_SOURCE_PACKET)
        n++;
    check_int(n, ==, 8);
    cap_source_close(s);
    check_true(truncate(path, 2) == 0);
    check_int(cap_source_open_file(&s, path, &e), ==, ERR_TRUNCATED);
    check_str_has(e.text, path);
    unlink(path);
    buf_done(&packed);
    buf_done(&f.b);
}

static void a_file_longer_than_the_buffer_comes_through_whole(void **state)
{
    (void)state;
    struct pkt_file f = {.nanoseconds = true};
    pkt_pcap(&f, CAP_LINK_RAW);
    uint8_t *big = calloc(1, CAP_PACKET_MAX);
    check_true(big != NULL);
    for (size_t i = 0; i < 12; i++) {
        memset(big, 'a' + (int)i, CAP_PACKET_MAX);
        pkt_pcap_add(&f, START, span_of(big, CAP_PACKET_MAX - i * 50000), 2000000);
    }
    struct cap_source *s;
    struct err e = {0};
    struct cap_packet p;
    check_ok(cap_source_open_bytes(&s, buf_view(&f.b), &e), &e);
    for (size_t i = 0; i < 12; i++) {
        check_int(cap_source_next(s, &p, &e), ==, CAP_SOURCE_PACKET);
        check_int(p.bytes.n, ==, CAP_PACKET_MAX - i * 50000);
        memset(big, 'a' + (int)i, CAP_PACKET_MAX);
        check_true(memcmp(p.bytes.p, big, p.bytes.n) == 0);
    }
    check_int(cap_source_next(s, &p, &e), ==, CAP_SOURCE_END);
    cap_source_close(s);
    free(big);
    buf_done(&f.b);
}

static void what_cannot_be_is_refused_with_its_place(void **state)
{
    (void)state;
    check_refused(SPAN_LIT("GET / HTTP/1.1\r\n\r\n"), ERR_FORMAT,
                  "neither a pcap nor a pcapng file");
    check_refused(SPAN_LIT(""), ERR_TRUNCATED, "0 bytes are no capture file");
    struct pkt_file f = {0};
    pkt_pcap(&f, CAP_LINK_ETHERNET);
    f.b.p[4] = 3;
    check_refused(buf_view(&f.b), ERR_FORMAT, "pcap version 3.4 is not 2.4 at byte 4");
    f.b.p[4] = 2;
    pkt_pcap_add(&f, START, SPAN_LIT("x"), 1);
    f.b.p[24 + 8 + 3] = 1;
    check_refused(buf_view(&f.b), ERR_LIMIT,
                  "a packet of 16777217 bytes is over the limit of 1048576 at byte 24");
    buf_reset(&f.b);
    pkt_ng_section(&f);
    pkt_ng_add(&f, 0, 0, SPAN_LIT("x"), 1);
    check_refused(buf_view(&f.b), ERR_FORMAT, "interface 0 was not described");
    buf_reset(&f.b);
    pkt_ng_section(&f);
    for (unsigned i = 0; i <= CAP_INTERFACE_MAX; i++)
        pkt_ng_interface(&f, CAP_LINK_RAW, 0, -1, 0);
    check_refused(buf_view(&f.b), ERR_LIMIT, "more than 4096 interfaces");
    buf_reset(&f.b);
    pkt_ng_section(&f);
    pkt_ng_interface(&f, CAP_LINK_RAW, 0, 0, INT64_MAX);
    pkt_ng_add(&f, 0, UINT64_MAX, SPAN_LIT("x"), 1);
    check_refused(buf_view(&f.b), ERR_FORMAT, "beyond all calendars");
    f.b.p[f.b.n - 1] ^= 1;
    pkt_ng_section(&f);
    check_refused(buf_view(&f.b), ERR_FORMAT, "beyond all calendars");
    buf_done(&f.b);
}

static void a_block_whose_two_lengths_differ_is_refused(void **state)
{
    (void)state;
    struct pkt_file f = {0};
    pkt_ng_section(&f);
    pkt_ng_interface(&f, CAP_LINK_RAW, 0, -1, 0);
    pkt_ng_block(&f, 0x0bad, SPAN_LIT("four"));
    f.b.p[f.b.n - 4] = 99;
    check_refused(buf_view(&f.b), ERR_FORMAT, "a block of 16 bytes ends as one of 99");
    buf_done(&f.b);
}

/* --- several files ---------------------------------------------------------------- */

/* Three files: two that tell their drops, one that does not. */
struct files {
    char path[3][32];
    const char *paths[3];
};

static void write_file(char path[32], struct span bytes)
{
    snprintf(path, 32, "/tmp/test_source.XXXXXX");
    int fd = mkstemp(path);
    check_true(fd >= 0);
    check_true(write(fd, bytes.p, bytes.n) == (ssize_t)bytes.n);
    close(fd);
}

static void make_files(struct files *f)
{
    struct pkt_file plain = {.nanoseconds = true};
    pkt_pcap(&plain, CAP_LINK_RAW);
    pkt_pcap_add(&plain, START + 77, SPAN_LIT("zebra"), 6);
    for (int i = 0; i < 2; i++) {
        struct pkt_file one = mixed(i);
        write_file(f->path[i], buf_view(&one.b));
        buf_done(&one.b);
    }
    write_file(f->path[2], buf_view(&plain.b));
    buf_done(&plain.b);
    for (int i = 0; i < 3; i++)
        f->paths[i] = f->path[i];
}

static void remove_files(const struct files *f)
{
    for (int i = 0; i < 3; i++)
        unlink(f->path[i]);
}

/* The lowest free descriptor: the same again when none was left open. */
static int free_descriptor(void)
{
    int fd = dup(2);
    check_true(fd >= 0);
    close(fd);
    return fd;
}

/* First bytes of all packets that come, and the outcome at the end. */
static int first_bytes(struct cap_source *s, char out[32], struct err *e)
{
    struct cap_packet p;
    int rc;
    size_t n = 0;
    while ((rc = cap_source_next(s, &p, e)) == CAP_SOURCE_PACKET && n < 31)
        out[n++] = p.bytes.n ? (char)p.bytes.p[0] : '-';
    out[n] = 0;
    return rc;
}

static void several_files_are_one_source(void **state)
{
    (void)state;
    struct files f;
    struct cap_source *s;
    struct cap_packet p;
    struct err e = {0};
    char firsts[32];
    int before = free_descriptor();
    make_files(&f);
    check_ok(cap_source_open_list(&s, f.paths, 2, &e), &e);
    check_int(cap_source_fd(s), ==, -1);
    const struct cap_source_counts *c = cap_source_counts(s);
    check_true(!c->drops_known); /* the first file has not told them yet */
    for (int i = 0; i < 8; i++)
        check_int(cap_source_next(s, &p, &e), ==, CAP_SOURCE_PACKET);
    check_int(cap_source_counts(s)->untimed, ==, 2);
    check_int(cap_source_counts(s)->other_blocks, ==, 1);
    check_int(cap_source_counts(s)->kernel_drops, ==, 15);
    check_int(cap_source_counts(s)->interface_drops, ==, 4);
    check_true(cap_source_counts(s)->drops_known);
    check_int(cap_source_next(s, &p, &e), ==, CAP_SOURCE_PACKET); /* of the second */
    check_int(cap_source_counts(s)->kernel_drops, ==, 15);
    check_true(!cap_source_counts(s)->drops_known); /* which tells them at its end */
    check_int(first_bytes(s, firsts, &e), ==, CAP_SOURCE_END);
    check_str(firsts, "bcdefgh");
    check_int(cap_source_next(s, &p, &e), ==, CAP_SOURCE_END);
    c = cap_source_counts(s);
    check_int(c->packets, ==, 16);
    check_int(c->captured_bytes, ==, 2 * 38);
    check_int(c->untimed, ==, 4);
    check_int(c->other_blocks, ==, 2);
    check_int(c->kernel_drops, ==, 30);
    check_int(c->interface_drops, ==, 8);
    check_true(c->drops_known);
    cap_source_close(s);
    check_int(free_descriptor(), ==, before);
    remove_files(&f);
}

static void drops_of_several_files_are_known_where_each_tells_them(void **state)
{
    (void)state;
    struct files f;
    struct cap_source *s;
    struct err e = {0};
    char firsts[32];
    make_files(&f);
    check_ok(cap_source_open_list(&s, f.paths + 1, 2, &e), &e);
    check_int(first_bytes(s, firsts, &e), ==, CAP_SOURCE_END);
    check_str(firsts, "abcdefghz");
    check_true(!cap_source_counts(s)->drops_known);
    check_int(cap_source_counts(s)->kernel_drops, ==, 15);
    cap_source_close(s);
    /* One that does not tell is not forgotten for one that does. */
    const char *const turned[] = {f.path[2], f.path[0]};
    check_ok(cap_source_open_list(&s, turned, 2, &e), &e);
    check_int(first_bytes(s, firsts, &e), ==, CAP_SOURCE_END);
    check_str(firsts, "zabcdefgh");
    check_true(!cap_source_counts(s)->drops_known);
    cap_source_close(s);
    remove_files(&f);
}

static void a_file_that_cannot_be_read_is_named(void **state)
{
    (void)state;
    struct files f;
    struct cap_source *s;
    char firsts[32];
    make_files(&f);
    int before = free_descriptor();
    /* Before a packet is read, whichever of them it is. */
    for (int i = 0; i < 3; i++) {
        struct err e = {0};
        const char *paths[] = {f.path[0], f.path[1], f.path[2]};
        paths[i] = "/nowhere/day.pcap";
        check_int(cap_source_open_list(&s, paths, 3, &e), ==, ERR_IO);
        check_str_has(e.text, "/nowhere/day.pcap");
        check_true(s == NULL);
        check_int(free_descriptor(), ==, before);
    }
    /* Damage is met where it stands. */
    struct err e = {0};
    struct pkt_file second = mixed(true);
    check_true(truncate(f.path[1], (off_t)second.b.n - 3) == 0);
    buf_done(&second.b);
    check_ok(cap_source_open_list(&s, f.paths, 3, &e), &e);
    check_int(first_bytes(s, firsts, &e), ==, ERR_TRUNCATED);
    check_str(firsts, "abcdefghabcdefgh");
    check_str_has(e.text, "reading '");
    check_str_has(e.text, f.path[1]);
    cap_source_close(s);
    check_int(free_descriptor(), ==, before);
    /* One that is gone when its turn comes. */
    e = (struct err){0};
    const char *const two[] = {f.path[0], f.path[2]};
    check_ok(cap_source_open_list(&s, two, 2, &e), &e);
    unlink(f.path[2]);
    check_int(first_bytes(s, firsts, &e), ==, ERR_IO);
    check_str(firsts, "abcdefgh");
    check_str_has(e.text, f.path[2]);
    cap_source_close(s);
    check_int(free_descriptor(), ==, before);
    remove_files(&f);
}

/* It cannot be looked at beforehand. */
static void standard_input_may_be_one_of_several(void **state)
{
    (void)state;
    struct files f;
    struct cap_source *s;
    struct err e = {0};
    char firsts[32];
    int ends[2], saved = dup(0);
    make_files(&f);
    struct pkt_file one = mixed(false);
    check_int(pipe(ends), ==, 0);
    check_int(write(ends[1], one.b.p, one.b.n), ==, (ssize_t)one.b.n);
    check_int(dup2(ends[0], 0), ==, 0);
    close(ends[0]);
    close(ends[1]);
    const char *const paths[] = {f.path[2], "-"};
    check_ok(cap_source_open_list(&s, paths, 2, &e), &e);
    check_int(first_bytes(s, firsts, &e), ==, CAP_SOURCE_END);
    check_str(firsts, "zabcdefgh");
    cap_source_close(s);
    check_int(dup2(saved, 0), ==, 0);
    close(saved);
    buf_done(&one.b);
    remove_files(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pcap_of_both_resolutions_and_byte_orders_is_read),
        cmocka_unit_test(pcapng_with_several_interfaces_and_resolutions_is_read),
        cmocka_unit_test(what_the_kernel_dropped_is_read_from_statistics),
        cmocka_unit_test(the_packet_block_of_old_files_is_read),
        cmocka_unit_test(a_file_cut_anywhere_gives_what_came_before),
        cmocka_unit_test(a_truncated_packet_names_its_place),
        cmocka_unit_test(flipped_bits_never_crash_and_never_run_away),
        cmocka_unit_test(compressed_files_and_pipes_are_read_alike),
        cmocka_unit_test(a_file_longer_than_the_buffer_comes_through_whole),
        cmocka_unit_test(what_cannot_be_is_refused_with_its_place),
        cmocka_unit_test(a_block_whose_two_lengths_differ_is_refused),
        cmocka_unit_test(several_files_are_one_source),
        cmocka_unit_test(drops_of_several_files_are_known_where_each_tells_them),
        cmocka_unit_test(a_file_that_cannot_be_read_is_named),
        cmocka_unit_test(standard_input_may_be_one_of_several),
    };
    return cmocka_run_group_tests_name("source", tests, NULL, NULL);
}

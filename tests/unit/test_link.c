/*
 * test_link.c - the TCP segment in a packet, whatever it is wrapped in.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "capture/link.h"

#include <stdlib.h>
#include <string.h>

#include "capture/fragment.h"
#include "tests/unit/check.h"
#include "tests/unit/pktbuild.h"
#include "traces/base/rng.h"

static const int LINKS[] = {CAP_LINK_ETHERNET, CAP_LINK_SLL,  CAP_LINK_SLL2,
                            CAP_LINK_NULL,     CAP_LINK_LOOP, CAP_LINK_RAW};
#define LINK_COUNT (sizeof LINKS / sizeof LINKS[0])

struct fixture {
    struct cap_link *l;
    struct buf frame;
    struct cap_segment seg;
};

static int setup(void **state)
{
    struct fixture *x = calloc(1, sizeof *x);
    x->l = cap_link_new(NULL);
    *state = x;
    return x->l ? 0 : -1;
}

static int teardown(void **state)
{
    struct fixture *x = *state;
    cap_link_free(x->l);
    buf_done(&x->frame);
    free(x);
    return 0;
}

static struct pkt_tcp hello(bool ip6)
{
    return (struct pkt_tcp){.src = pkt_end(ip6, 1, 40000),
                            .dst = pkt_end(ip6, 2, 9000),
                            .seq = 0xfffffff0,
                            .ack = 77,
                            .flags = CAP_ACK | 0x08, /* PSH too */
                            .window = 512,
                            .payload = SPAN_LIT("hello, segment")};
}

/* Decodes x->frame cut to n captured bytes, from a copy of exactly that size. */
static enum cap_seen decode_cut(struct fixture *x, int link_type, size_t n, int64_t ns)
{
    static uint8_t *exact; /* x->seg borrows it until the next call */
    free(exact);
    exact = malloc(n ? n : 1);
    check_true(exact != NULL);
    if (n)
        memcpy(exact, x->frame.p, n);
    struct cap_packet p = {.at.ns = ns,
                           .bytes = span_of(exact, n),
                           .wire_bytes = (uint32_t)x->frame.n,
                           .interface = 3,
                           .link_type = link_type};
    return cap_link_decode(x->l, &p, &x->seg);
}

static enum cap_seen decode(struct fixture *x, int link_type)
{
    return decode_cut(x, link_type, x->frame.n, 5);
}

static enum cap_seen decode_frame(struct fixture *x, const struct pkt_style *how,
                                  const struct pkt_tcp *t)
{
    buf_reset(&x->frame);
    pkt_frame(&x->frame, how, t);
    return decode(x, how->link_type);
}

static void check_segment(const struct cap_segment *seg, const struct pkt_tcp *t)
{
    check_true(memcmp(seg->src.addr, t->src.addr, 16) == 0);
    check_true(memcmp(seg->dst.addr, t->dst.addr, 16) == 0);
    check_int(seg->src.port, ==, t->src.port);
    check_int(seg->dst.port, ==, t->dst.port);
    check_int(seg->seq, ==, t->seq);
    check_int(seg->ack, ==, t->ack);
    check_int(seg->flags, ==, t->flags & (CAP_FIN | CAP_SYN | CAP_RST | CAP_ACK));
    check_int(seg->window, ==, t->window);
    check_int(seg->payload_bytes, ==, t->payload.n);
    check_true(span_eq(seg->payload, t->payload));
}

static void every_link_type_with_every_ip_gives_the_segment(void **state)
{
    struct fixture *x = *state;
    for (size_t i = 0; i < 4 * LINK_COUNT; i++) {
        struct pkt_style how = {.link_type = LINKS[i / 4],
                                .ip6 = i & 1,
                                .swapped = i & 2,
                                .tcp_options = i & 2 ? 12 : 0};
        struct pkt_tcp t = hello(how.ip6);
        check_int(decode_frame(x, &how, &t), ==, CAP_SEEN_SEGMENT);
        check_segment(&x->seg, &t);
        check_int(x->seg.at.ns, ==, 5);
    }
    struct pkt_style alone = {.link_type = CAP_LINK_IPV4};
    struct pkt_tcp t = hello(false);
    check_int(decode_frame(x, &alone, &t), ==, CAP_SEEN_SEGMENT);
    check_segment(&x->seg, &t);
    check_int(decode(x, CAP_LINK_IPV6), ==, CAP_SEEN_MALFORMED);
    alone = (struct pkt_style){.link_type = CAP_LINK_IPV6, .ip6 = true};
    t = hello(true);
    check_int(decode_frame(x, &alone, &t), ==, CAP_SEEN_SEGMENT);
    check_segment(&x->seg, &t);
    check_int(decode(x, CAP_LINK_IPV4), ==, CAP_SEEN_MALFORMED);
    check_int(decode(x, 12), ==, CAP_SEEN_SEGMENT); /* raw, by another number */
}

static void vlan_tags_are_passed_over(void **state)
{
    struct fixture *x = *state;
    static const int links[] = {CAP_LINK_ETHERNET, CAP_LINK_SLL, CAP_LINK_SLL2};
    for (unsigned i = 0; i < 3; i++)
        for (unsigned tags = 0; tags <= CAP_VLAN_MAX + 1; tags++) {
            struct pkt_style how = {
                .link_type = links[i], .vlans = tags, .ip6 = tags & 1};
            struct pkt_tcp t = hello(how.ip6);
            enum cap_seen seen = decode_frame(x, &how, &t);
            if (tags > CAP_VLAN_MAX) {
                check_int(seen, ==, CAP_SEEN_NOT_IP);
                continue;
            }
            check_int(seen, ==, CAP_SEEN_SEGMENT);
            check_segment(&x->seg, &t);
        }
}

static void cooked_links_tell_sent_from_received(void **state)
{
    struct fixture *x = *state;
    struct pkt_tcp t = hello(false);
    struct pkt_style how = {.link_type = CAP_LINK_SLL, .outgoing = 1};
    check_int(decode_frame(x, &how, &t), ==, CAP_SEEN_SEGMENT);
    check_int(x->seg.outgoing, ==, 1);
    check_int(x->seg.interface, ==, 3);
    how = (struct pkt_style){.link_type = CAP_LINK_SLL2, .ifindex = 17};
    check_int(decode_frame(x, &how, &t), ==, CAP_SEEN_SEGMENT);
    check_int(x->seg.outgoing, ==, 0);
    check_int(x->seg.interface, ==, 17);
    how.link_type = CAP_LINK_ETHERNET;
    check_int(decode_frame(x, &how, &t), ==, CAP_SEEN_SEGMENT);
    check_int(x->seg.outgoing, ==, 2);
}

static void options_and_extension_headers_are_passed_over(void **state)
{
    struct fixture *x = *state;
    for (unsigned n = 0; n <= 40; n += 4) {
        struct pkt_style how = {
            .link_type = CAP_LINK_ETHERNET, .ip_options = n, .tcp_options = 40 - n};
        struct pkt_tcp t = hello(false);
        check_int(decode_frame(x, &how, &t), ==, CAP_SEEN_SEGMENT);
        check_segment(&x->seg, &t);
    }
    for (unsigned n = 0; n <= 12; n++) {
        struct pkt_style how = {
            .link_type = CAP_LINK_ETHERNET, .ip6 = true, .extensions = n};
        struct pkt_tcp t = hello(true);
        check_int(decode_frame(x, &how, &t), ==, CAP_SEEN_SEGMENT);
        check_segment(&x->seg, &t);
    }
}

static void padding_of_short_frames_is_no_payload(void **state)
{
    struct fixture *x = *state;
    for (int ip6 = 0; ip6 < 2; ip6++) {
        struct pkt_style how = {
            .link_type = CAP_LINK_ETHERNET, .ip6 = ip6, .padding = 6};
        struct pkt_tcp t = hello(ip6);
        t.payload = (struct span){0};
        check_int(decode_frame(x, &how, &t), ==, CAP_SEEN_SEGMENT);
        check_int(x->seg.payload_bytes, ==, 0);
        t.payload = SPAN_LIT("x");
        check_int(decode_frame(x, &how, &t), ==, CAP_SEEN_SEGMENT);
        check_segment(&x->seg, &t);
    }
}

static void bad_checksums_of_offload_are_accepted(void **state)
{
    struct fixture *x = *state;
    struct pkt_style how = {.link_type = CAP_LINK_ETHERNET, .bad_checksums = true};
    struct pkt_tcp t = hello(false);
    check_int(decode_frame(x, &how, &t), ==, CAP_SEEN_SEGMENT);
    check_segment(&x->seg, &t);
}

static void big_segments_with_length_zero_are_whole(void **state)
{
    struct fixture *x = *state;
    static uint8_t body[200000];
    for (size_t i = 0; i < sizeof body; i++)
        body[i] = (uint8_t)(i * 7);
    for (size_t i = 0; i < 2 * LINK_COUNT; i++) {
        struct pkt_style how = {
            .link_type = LINKS[i / 2], .ip6 = i & 1, .no_length = true};
        struct pkt_tcp t = hello(how.ip6);
        t.payload = span_of(body, sizeof body);
        check_int(decode_frame(x, &how, &t), ==, CAP_SEEN_SEGMENT);
        check_segment(&x->seg, &t);
    }
    /* GRO within 16 bits, with its length */
    struct pkt_style how = {.link_type = CAP_LINK_ETHERNET};
    struct pkt_tcp t = hello(false);
    t.payload = span_of(body, 65495);
    check_int(decode_frame(x, &how, &t), ==, CAP_SEEN_SEGMENT);
    check_segment(&x->seg, &t);
}

static void a_packet_cut_by_the_snapshot_length_tells_how_much_is_missing(void **state)
{
    struct fixture *x = *state;
    for (size_t i = 0; i < 4 * LINK_COUNT; i++) {
        struct pkt_style how = {.link_type = LINKS[i / 4],
                                .ip6 = i & 1,
                                .extensions = 2,
                                .tcp_options = i & 2 ? 12 : 0};
        struct pkt_tcp t = hello(how.ip6);
        decode_frame(x, &how, &t);
        size_t fixed = x->frame.n - t.payload.n - how.tcp_options;
        for (size_t n = 0; n < x->frame.n; n++) {
            enum cap_seen seen = decode_cut(x, how.link_type, n, 5);
            if (n < fixed) {
                check_int(seen, ==, CAP_SEEN_CUT);
                continue;
            }
            check_int(seen, ==, CAP_SEEN_SEGMENT);
            size_t got = n > fixed + how.tcp_options ? n - fixed - how.tcp_options : 0;
            check_int(x->seg.payload_bytes, ==, t.payload.n);
            check_true(span_eq(x->seg.payload, span_sub(t.payload, 0, got)));
        }
    }
}

static void a_packet_shorter_than_it_says_is_malformed(void **state)
{
    struct fixture *x = *state;
    for (int ip6 = 0; ip6 < 2; ip6++) {
        struct pkt_style how = {.link_type = CAP_LINK_ETHERNET, .ip6 = ip6};
        struct pkt_tcp t = hello(ip6);
        decode_frame(x, &how, &t);
        while (x->frame.n-- > 0)
            check_int(decode(x, how.link_type), ==, CAP_SEEN_MALFORMED);
    }
}

static void what_is_not_tcp_is_told_apart(void **state)
{
    struct fixture *x = *state;
    struct pkt_style how = {.link_type = CAP_LINK_ETHERNET};
    struct pkt_tcp t = hello(false);
    decode_frame(x, &how, &t);
    x->frame.p[14 + 9] = 17; /* UDP */
    check_int(decode(x, CAP_LINK_ETHERNET), ==, CAP_SEEN_NOT_TCP);
    x->frame.p[13] = 6; /* ARP */
    check_int(decode(x, CAP_LINK_ETHERNET), ==, CAP_SEEN_NOT_IP);
    check_int(decode(x, 105), ==, CAP_SEEN_OTHER_LINK); /* 802.11 */
    how = (struct pkt_style){.link_type = CAP_LINK_RAW, .ip6 = true, .extensions = 1};
    t = hello(true);
    decode_frame(x, &how, &t);
    x->frame.p[40] = 50; /* ESP behind hop-by-hop options */
    check_int(decode(x, CAP_LINK_RAW), ==, CAP_SEEN_NOT_TCP);
    x->frame.p[0] = 0x50;
    check_int(decode(x, CAP_LINK_RAW), ==, CAP_SEEN_NOT_IP);
    const struct cap_link_counts *c = cap_link_counts(x->l);
    check_int(c->packets[CAP_SEEN_NOT_TCP], ==, 2);
    check_int(c->packets[CAP_SEEN_NOT_IP], ==, 2);
    check_int(c->packets[CAP_SEEN_OTHER_LINK], ==, 1);
    check_int(c->packets[CAP_SEEN_SEGMENT], ==, 2);
    check_int(c->wire_bytes[CAP_SEEN_OTHER_LINK], ==, 14 + 20 + 20 + 14);
    check_str(cap_seen_names[CAP_SEEN_NOT_TCP], "not tcp");
}

static void damaged_headers_never_crash(void **state)
{
    struct fixture *x = *state;
    for (size_t i = 0; i < 4 * LINK_COUNT; i++) {
        struct pkt_style how = {.link_type = LINKS[i / 4],
                                .ip6 = i & 1,
                                .extensions = 3,
                                .ip_options = 8,
                                .vlans = i & 2 ? 2 : 0};
        struct pkt_tcp t = hello(how.ip6);
        decode_frame(x, &how, &t);
        for (size_t bit = 0; bit < 8 * x->frame.n; bit++) {
            x->frame.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
            if (decode(x, how.link_type) == CAP_SEEN_SEGMENT)
                check_true(x->seg.payload.n <= x->seg.payload_bytes &&
                           x->seg.payload_bytes <= x->frame.n);
            x->frame.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
    }
}

/* --- fragments --- */

static const uint8_t *long_body(size_t n)
{
    static uint8_t body[65535];
    check_true(n <= sizeof body);
    for (size_t i = 0; i < sizeof body; i++)
        body[i] = (uint8_t)(i * 31 + i / 256);
    return body;
}

static enum cap_seen add_fragment(struct fixture *x, const struct pkt_style *how,
                                  const struct pkt_tcp *t, uint32_t id, size_t from,
                                  size_t to, int64_t ns)
{
    buf_reset(&x->frame);
    pkt_fragment(&x->frame, how, t, id, from, to);
    return decode_cut(x, how->link_type, x->frame.n, ns);
}

static void fragments_in_any_order_give_the_segment(void **state)
{
    struct fixture *x = *state;
    struct rng r;
    rng_init(&r, 26);
    for (unsigned round = 0; round < 200; round++) {
        struct pkt_style how = {.link_type = LINKS[rng_below(&r, LINK_COUNT)],
                                .ip6 = round & 1,
                                .extensions = round % 3,
                                .tcp_options = 8};
        struct pkt_tcp t = hello(how.ip6);
        size_t n = 1 + rng_below(&r, 9000), size = 8 * (1 + rng_below(&r, 180));
        if ((n + 28) / size > 60)
            size = 1480;
        t.payload = span_of(long_body(n), n);
        size_t total = n + 28, count = (total + size - 1) / size, order[64];
        for (size_t i = 0; i < count; i++) {
            size_t k = rng_below(&r, i + 1);
            order[i] = order[k];
            order[k] = i;
        }
        for (size_t i = 0; i < count; i++) {
            size_t from = order[i] * size;
            if (i > 0 && rng_below(&r, 3) == 0) /* one comes twice */
                check_int(add_fragment(x, &how, &t, round, order[i - 1] * size,
                                       order[i - 1] * size + size, round),
                          ==, CAP_SEEN_FRAGMENT);
            check_int(add_fragment(x, &how, &t, round, from, from + size, round), ==,
                      i + 1 < count || count == 1
                          ? count == 1 ? CAP_SEEN_SEGMENT : CAP_SEEN_FRAGMENT
                          : CAP_SEEN_SEGMENT);
        }
        check_segment(&x->seg, &t);
    }
    check_int(cap_link_counts(x->l)->fragments_lost, ==, 0);
}

static void overlapping_fragments_are_refused_as_a_whole(void **state)
{
    struct fixture *x = *state;
    for (int ip6 = 0; ip6 < 2; ip6++) {
        struct pkt_style how = {.link_type = CAP_LINK_ETHERNET, .ip6 = ip6};
        struct pkt_tcp t = hello(ip6);
        t.payload = span_of(long_body(3000), 3000);
        uint32_t id = 1;
        check_int(add_fragment(x, &how, &t, id, 0, 800, 0), ==, CAP_SEEN_FRAGMENT);
        check_int(add_fragment(x, &how, &t, id, 792, 1600, 0), ==, CAP_SEEN_OVERLAP);
        check_int(add_fragment(x, &how, &t, id, 800, 1600, 0), ==, CAP_SEEN_OVERLAP);
        check_int(add_fragment(x, &how, &t, id, 1600, 9999, 0), ==, CAP_SEEN_OVERLAP);
        id = 2; /* the same place with other bytes */
        check_int(add_fragment(x, &how, &t, id, 0, 800, 0), ==, CAP_SEEN_FRAGMENT);
        t.payload.p++;
        check_int(add_fragment(x, &how, &t, id, 0, 800, 0), ==, CAP_SEEN_OVERLAP);
        t.payload.p--;
        id = 3; /* over a hole and both its sides */
        check_int(add_fragment(x, &how, &t, id, 0, 800, 0), ==, CAP_SEEN_FRAGMENT);
        check_int(add_fragment(x, &how, &t, id, 1600, 2400, 0), ==, CAP_SEEN_FRAGMENT);
        check_int(add_fragment(x, &how, &t, id, 400, 2000, 0), ==, CAP_SEEN_OVERLAP);
        id = 4; /* two ends */
        check_int(add_fragment(x, &how, &t, id, 1600, 9999, 0), ==, CAP_SEEN_FRAGMENT);
        t.payload.n = 2000;
        check_int(add_fragment(x, &how, &t, id, 1600, 9999, 0), ==, CAP_SEEN_OVERLAP);
        t.payload.n = 3000;
        check_int(add_fragment(x, &how, &t, 5, 0, 9999, 0), ==, CAP_SEEN_SEGMENT);
        check_segment(&x->seg, &t);
    }
    check_int(cap_link_counts(x->l)->fragments_lost, ==, 2 * 5);
}

static void lost_fragments_give_no_segment_and_make_room(void **state)
{
    struct fixture *x = *state;
    struct pkt_style how = {.link_type = CAP_LINK_ETHERNET};
    struct pkt_tcp t = hello(false);
    t.payload = span_of(long_body(3000), 3000);
    for (uint32_t id = 0; id < 1000; id++)
        check_int(add_fragment(x, &how, &t, id, 0, 800, id), ==, CAP_SEEN_FRAGMENT);
    check_int(cap_link_counts(x->l)->fragments_lost, ==, 1000 - CAP_FRAG_DATAGRAMS);
    /* The newest is still there; after 30 s of packet time it is not. */
    check_int(add_fragment(x, &how, &t, 999, 800, 9999, 999), ==, CAP_SEEN_SEGMENT);
    check_segment(&x->seg, &t);
    check_int(add_fragment(x, &how, &t, 998, 800, 9999, 1000 + CAP_FRAG_NS), ==,
              CAP_SEEN_FRAGMENT);
    check_int(cap_link_counts(x->l)->fragments_lost, ==, 999);
}

static void fragments_beyond_the_limits_are_refused(void **state)
{
    struct fixture *x = *state;
    struct pkt_style how = {.link_type = CAP_LINK_RAW};
    struct pkt_tcp t = hello(false);
    t.payload = span_of(long_body(60000), 60000);
    for (unsigned i = 0; i < CAP_FRAG_RANGES; i++)
        check_int(add_fragment(x, &how, &t, 1, 16 * i, 16 * i + 8, 0), ==,
                  CAP_SEEN_FRAGMENT);
    check_int(add_fragment(x, &how, &t, 1, 16 * CAP_FRAG_RANGES, 59000, 0), ==,
              CAP_SEEN_LIMIT);
    check_int(add_fragment(x, &how, &t, 2, 0, 801, 0), ==, CAP_SEEN_MALFORMED);
    check_int(decode_cut(x, CAP_LINK_RAW, 200, 0), ==, CAP_SEEN_CUT);
    t.payload = span_of(long_body(65535), 65535 - 20);
    check_int(add_fragment(x, &how, &t, 3, 65528, 65535, 0), ==, CAP_SEEN_FRAGMENT);
    x->frame.p[2] = 0; /* as long as the frame, which is longer: over 65535 */
    x->frame.p[3] = 0;
    buf_zeros(&x->frame, 8);
    check_int(decode(x, CAP_LINK_RAW), ==, CAP_SEEN_MALFORMED);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(every_link_type_with_every_ip_gives_the_segment),
        TEST(vlan_tags_are_passed_over),
        TEST(cooked_links_tell_sent_from_received),
        TEST(options_and_extension_headers_are_passed_over),
        TEST(padding_of_short_frames_is_no_payload),
        TEST(bad_checksums_of_offload_are_accepted),
        TEST(big_segments_with_length_zero_are_whole),
        TEST(a_packet_cut_by_the_snapshot_length_tells_how_much_is_missing),
        TEST(a_packet_shorter_than_it_says_is_malformed),
        TEST(what_is_not_tcp_is_told_apart),
        TEST(damaged_headers_never_crash),
        TEST(fragments_in_any_order_give_the_segment),
        TEST(overlapping_fragments_are_refused_as_a_whole),
        TEST(lost_fragments_give_no_segment_and_make_room),
        TEST(fragments_beyond_the_limits_are_refused),
    };
    return cmocka_run_group_tests_name("link", tests, NULL, NULL);
}

/*
 * test_packets.c - from a capture file to the bytes of its connections, through all
 * layers: frames of our own of every kind, and what a real system sent.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>
#include <string.h>

#include "capture/flow.h"
#include "capture/link.h"
#include "capture/source.h"
#include "tests/unit/check.h"
#include "tests/unit/pktbuild.h"
#include "traces/base/rng.h"

static const uint16_t PORTS[] = {9000, 9999, 9998, 8080, 8081, 9010, 9011, 9092};
#define PORT_COUNT (sizeof PORTS / sizeof PORTS[0])

/* What came of a file, by the server's port. */
struct result {
    uint64_t data[PORT_COUNT][2], gaps[PORT_COUNT][2];
    uint64_t opened, closed, midway;
    struct buf bytes[2]; /* of port 9000 */
    struct cap_flow_totals totals;
    uint64_t segments;
    int rc;
};

struct conn {
    struct result *r;
    size_t port;
};

static void *on_open(void *arg, const struct cap_flow_info *info, struct clk_wall at)
{
    (void)at;
    struct conn *c = calloc(1, sizeof *c);
    check_true(c != NULL);
    c->r = arg;
    c->r->opened++;
    c->r->midway += !info->from_start;
    while (c->port + 1 < PORT_COUNT && PORTS[c->port] != info->server.port)
        c->port++;
    check_int(PORTS[c->port], ==, info->server.port);
    return c;
}

static void on_data(void *arg, void *conn, int dir, struct clk_wall at,
                    struct span bytes)
{
    struct conn *c = conn;
    (void)arg;
    (void)at;
    c->r->data[c->port][dir] += bytes.n;
    if (c->port == 0)
        buf_span(&c->r->bytes[dir], bytes);
}

static void on_gap(void *arg, void *conn, int dir, struct clk_wall at, uint64_t bytes,
                   enum cap_gap why)
{
    struct conn *c = conn;
    (void)arg;
    (void)at;
    (void)why;
    c->r->gaps[c->port][dir] += bytes;
}

static void on_finish(void *arg, void *conn, int dir, struct clk_wall at)
{
    (void)arg;
    (void)conn;
    (void)dir;
    (void)at;
}

static void on_close(void *arg, void *conn, struct clk_wall at, enum cap_end how)
{
    (void)arg;
    (void)at;
    (void)how;
    struct conn *c = conn;
    c->r->closed++;
    free(c);
}

static void read_all(struct cap_source *s, struct result *r)
{
    struct cap_flow_sink sink = {on_open,  on_data, on_gap, on_finish,
                                 on_close, r,       NULL};
    struct err e = {0};
    struct cap_flows *f = cap_flows_new(&sink, PORTS, PORT_COUNT, &e);
    struct cap_link *l = cap_link_new(&e);
    check_true(f && l);
    struct cap_packet p;
    struct cap_segment seg;
    while ((r->rc = cap_source_next(s, &p, &e)) == CAP_SOURCE_PACKET)
        if (cap_link_decode(l, &p, &seg) == CAP_SEEN_SEGMENT) {
            r->segments++;
            cap_flows_segment(f, &seg);
        }
    cap_flows_end(f);
    r->totals = *cap_flows_totals(f);
    check_int(r->opened, ==, r->closed);
    cap_link_free(l);
    cap_flows_free(f);
    cap_source_close(s);
}

static void result_done(struct result *r)
{
    buf_done(&r->bytes[0]);
    buf_done(&r->bytes[1]);
}

/* --- our own -------------------------------------------------------------------------
 */

/* Adds a segment in the style, now and then in fragments, or with a copy. */
static void add_frame(struct pkt_file *f, struct rng *r, const struct pkt_style *how,
                      const struct pkt_tcp *t, int64_t ns)
{
    struct buf frame = {0};
    if (t->payload.n > 100 && rng_below(r, 5) == 0) {
        size_t all = 20 + how->tcp_options + t->payload.n, half = all / 16 * 8;
        uint32_t id = (uint32_t)rng_u64(r);
        pkt_fragment(&frame, how, t, id, half, all);
        pkt_pcap_add(f, ns, buf_view(&frame), frame.n);
        buf_reset(&frame);
        pkt_fragment(&frame, how, t, id, 0, half);
    } else {
        pkt_frame(&frame, how, t);
    }
    pkt_pcap_add(f, ns + 500, buf_view(&frame), frame.n);
    buf_done(&frame);
}

/* A conversation of `n` bytes each way, in the style. */
static void converse(struct pkt_file *f, struct rng *r, struct pkt_style how, size_t n,
                     const uint8_t *bytes)
{
    struct cap_endpoint end[2] = {pkt_end(how.ip6, 1, 40001),
                                  pkt_end(how.ip6, 2, 9000)};
    uint32_t seq[2] = {(uint32_t)rng_u64(r), (uint32_t)rng_u64(r)};
    size_t sent[2] = {0, 0};
    int64_t ns = INT64_C(1790000000) * CLK_SEC;
    for (int dir = 0; dir < 2; dir++) {
        struct pkt_tcp t = {.src = end[dir],
                            .dst = end[!dir],
                            .seq = seq[dir] - 1,
                            .ack = dir ? seq[0] : 0,
                            .flags = CAP_SYN | (dir ? CAP_ACK : 0)};
        add_frame(f, r, &how, &t, ns);
        ns += CLK_US;
    }
    while (sent[0] < n || sent[1] < n) {
        int dir = sent[1] == n || (sent[0] < n && rng_below(r, 2)) ? 0 : 1;
        size_t k = 1 + rng_below(r, 700);
        if (k > n - sent[dir])
            k = n - sent[dir];
        struct pkt_tcp t = {.src = end[dir],
                            .dst = end[!dir],
                            .seq = seq[dir] + (uint32_t)sent[dir],
                            .ack = seq[!dir] + (uint32_t)sent[!dir],
                            .flags = CAP_ACK,
                            .payload = span_of(bytes + sent[dir], k)};
        add_frame(f, r, &how, &t, ns);
        if (how.link_type == CAP_LINK_SLL || how.link_type == CAP_LINK_SLL2) {
            struct pkt_style received = how;
            received.outgoing = !how.outgoing;
            struct buf frame = {0};
            pkt_frame(&frame, &received, &t);
            pkt_pcap_add(f, ns + CLK_US, buf_view(&frame), frame.n);
            buf_done(&frame);
        }
        sent[dir] += k;
        ns += CLK_MS;
    }
}

static void every_kind_of_frame_gives_the_exact_bytes(void **state)
{
    (void)state;
    static const int links[] = {CAP_LINK_ETHERNET, CAP_LINK_SLL,  CAP_LINK_SLL2,
                                CAP_LINK_NULL,     CAP_LINK_LOOP, CAP_LINK_RAW};
    struct rng r;
    rng_init(&r, 20);
    uint8_t bytes[9000];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)rng_u64(&r);
    for (int i = 0; i < 96; i++) {
        struct pkt_style how = {.link_type = links[i % 6],
                                .ip6 = i / 6 & 1,
                                .vlans = (unsigned)i / 12 % 3,
                                .bad_checksums = i / 24 & 1,
                                .padding = i / 48 & 1 ? 6 : 0,
                                .extensions = (unsigned)rng_below(&r, 4),
                                .ip_options = 4 * (unsigned)rng_below(&r, 11),
                                .tcp_options = 4 * (unsigned)rng_below(&r, 11)};
        struct pkt_file f = {.big = i & 1, .nanoseconds = i & 2};
        pkt_pcap(&f, how.link_type);
        converse(&f, &r, how, sizeof bytes, bytes);
        struct cap_source *s;
        struct result got = {0};
        check_ok(cap_source_open_bytes(&s, buf_view(&f.b), NULL), NULL);
        read_all(s, &got);
        check_int(got.rc, ==, CAP_SOURCE_END);
        check_int(got.opened, ==, 1);
        check_int(got.midway, ==, 0);
        for (int dir = 0; dir < 2; dir++) {
            check_true(
                span_eq(buf_view(&got.bytes[dir]), span_of(bytes, sizeof bytes)));
            check_int(got.totals.dir[dir].gap_bytes, ==, 0);
        }
        bool cooked = links[i % 6] == CAP_LINK_SLL || links[i % 6] == CAP_LINK_SLL2;
        check_true((got.totals.copies_dropped > 0) == cooked);
        check_int(got.totals.dir[0].retransmissions, ==, 0);
        result_done(&got);
        buf_done(&f.b);
    }
}

/* --- real ----------------------------------------------------------------------------
 */

struct wanted {
    uint16_t port;
    uint64_t data[2]; /* to the server, to the client: tshark's sums of tcp.len */
};

static void check_capture(const char *path, uint64_t duplicates,
                          const struct wanted *wanted, size_t n)
{
    struct cap_source *s;
    struct err e = {0};
    struct result got = {0};
    check_ok(cap_source_open_file(&s, path, &e), &e);
    read_all(s, &got);
    check_int(got.rc, ==, CAP_SOURCE_END);
    uint64_t all = 0;
    for (size_t i = 0; i < PORT_COUNT; i++) {
        struct wanted w = {PORTS[i], {0, 0}};
        for (size_t k = 0; k < n; k++)
            if (wanted[k].port == PORTS[i])
                w = wanted[k];
        for (int dir = 0; dir < 2; dir++) {
            check_int(got.data[i][dir], ==, w.data[dir]);
            check_int(got.gaps[i][dir], ==, 0);
            all += w.data[dir];
        }
    }
    uint64_t delivered = 0, again = 0;
    for (int dir = 0; dir < 2; dir++) {
        const struct cap_flow_counts *c = &got.totals.dir[dir];
        delivered += c->delivered_bytes;
        again += c->duplicate_bytes;
        check_int(c->payload_bytes, ==, c->delivered_bytes + c->duplicate_bytes);
    }
    check_int(delivered, ==, all);
    check_int(again, ==, duplicates);
    result_done(&got);
}

static void real_rest_calls_lose_no_byte(void **state)
{
    (void)state;
    static const struct wanted wanted[] = {
        {9000, {60000, 124010}}, {9999, {71200, 112400}}, {8080, {81800, 107400}}};
    check_capture("tests/data/scv2-captures/rest-200.pcap.zst", 0, wanted, 3);
}

static void real_grpc_calls_joined_midway_lose_no_byte(void **state)
{
    (void)state;
    static const struct wanted wanted[] = {
        {9000, {31337, 30950}}, {9998, {29845, 34799}}, {8081, {29463, 74940}}};
    check_capture("tests/data/scv2-captures/grpc-200.pcap.zst", 0, wanted, 3);
}

static void real_pipeline_calls_with_kafka_lose_no_byte(void **state)
{
    (void)state;
    static const struct wanted wanted[] = {{9000, {12414, 16070}},
                                           {9010, {10752, 11179}},
                                           {9998, {4112, 3982}},
                                           {9092, {72402, 60419}}};
    check_capture("tests/data/scv2-captures/pipeline-start.pcap.zst", 0, wanted, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_frame_gives_the_exact_bytes),
        cmocka_unit_test(real_rest_calls_lose_no_byte),
        cmocka_unit_test(real_grpc_calls_joined_midway_lose_no_byte),
        cmocka_unit_test(real_pipeline_calls_with_kafka_lose_no_byte),
    };
    return cmocka_run_group_tests_name("packets", tests, NULL, NULL);
}

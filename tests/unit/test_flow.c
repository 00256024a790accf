/*
 * test_flow.c - TCP connections put back together, whatever happened on the way.
 *
 * What the sink is told is written down as one line: `open`, 0"bytes to the server",
 * 1"bytes to the client", gap0:5:acked, fin1, close:fin. Identities of the counters are
 * checked after every segment.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "capture/flow.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/check.h"
#include "tests/unit/pktbuild.h"
#include "traces/base/rng.h"

static const char *const GAPS[] = {"acked",   "time",    "ceiling",
                                   "snaplen", "evicted", "ended"};
static const char *const ENDS[] = {"fin", "rst", "idle", "evicted", "reused", "file"};

struct world {
    struct cap_flows *f;
    struct buf told;
    bool quiet; /* data and gaps are counted, not written down */
    int64_t ns;
    uint32_t isn[2];
    uint16_t port; /* the client's */
    uint16_t window;
    uint32_t interface;
    uint8_t outgoing;
    uint64_t sent, data[2], gap[2]; /* bytes */
    uint64_t opened, closed;
    uint64_t unseen[2]; /* calls */
    struct clk_wall at; /* of the last data */
    void (*on_data)(struct world *w, int dir, struct span bytes);
};

/* --- the sink --- */

static void *on_open(void *arg, const struct cap_flow_info *info, struct clk_wall at)
{
    struct world *w = arg;
    (void)at;
    check_int(info->ordinal, ==, w->opened);
    w->opened++;
    if (!w->quiet)
        buf_fmt(&w->told, "open(%u>%u%s) ", info->client.port, info->server.port,
                info->from_start ? "" : ",midway");
    return w;
}

static void on_data(void *arg, void *conn, int dir, struct clk_wall at,
                    struct span bytes)
{
    struct world *w = arg;
    check_true(conn == arg && bytes.n > 0);
    w->data[dir] += bytes.n;
    w->at = at;
    if (w->on_data)
        w->on_data(w, dir, bytes);
    if (w->quiet)
        return;
    if (bytes.n > 60)
        buf_fmt(&w->told, "%d#%zu ", dir, bytes.n);
    else
        buf_fmt(&w->told, "%d\"%.*s\" ", dir, SPAN_ARG(bytes));
}

static void on_gap(void *arg, void *conn, int dir, struct clk_wall at, uint64_t bytes,
                   enum cap_gap why)
{
    struct world *w = arg;
    (void)at;
    check_true(conn == arg && bytes > 0);
    w->gap[dir] += bytes;
    if (!w->quiet)
        buf_fmt(&w->told, "gap%d:%llu:%s ", dir, (unsigned long long)bytes, GAPS[why]);
}

static void on_finish(void *arg, void *conn, int dir, struct clk_wall at)
{
    struct world *w = arg;
    (void)at;
    check_true(conn == arg);
    if (!w->quiet)
        buf_fmt(&w->told, "fin%d ", dir);
}

static void on_close(void *arg, void *conn, struct clk_wall at, enum cap_end how)
{
    struct world *w = arg;
    (void)at;
    check_true(conn == arg);
    w->closed++;
    if (!w->quiet)
        buf_fmt(&w->told, "close:%s ", ENDS[how]);
}

static void on_unseen(void *arg, void *conn, int dir)
{
    struct world *w = arg;
    check_true(conn == arg);
    w->unseen[dir]++;
}

/* --- the world --- */

static struct world *world_new(void)
{
    struct world *w = calloc(1, sizeof *w);
    check_true(w != NULL);
    struct cap_flow_sink sink = {on_open,  on_data, on_gap,   on_finish,
                                 on_close, w,       on_unseen};
    w->f = cap_flows_new(&sink, &(uint16_t){9000}, 1, NULL);
    check_true(w->f != NULL);
    w->ns = INT64_C(1790000000) * CLK_SEC;
    w->isn[0] = 1000;
    w->isn[1] = 5000000;
    w->port = 40000;
    w->window = 512;
    w->outgoing = 2;
    return w;
}

/* What must hold after every segment. */
static void check_identity(const struct world *w)
{
    const struct cap_flow_totals *t = cap_flows_totals(w->f);
    uint64_t seen = t->waiting_bytes;
    for (int dir = 0; dir < 2; dir++) {
        const struct cap_flow_counts *c = &t->dir[dir];
        if (c->payload_bytes != c->delivered_bytes + c->gap_bytes + c->duplicate_bytes +
                                    c->stray_bytes + c->held_bytes)
            fail_msg("direction %d: %llu bytes are not what became of them", dir,
                     (unsigned long long)c->payload_bytes);
        if (c->delivered_bytes != w->data[dir] || c->gap_bytes != w->gap[dir])
            fail_msg("direction %d: the sink was told other numbers", dir);
        check_true(c->snaplen_bytes <= c->gap_bytes);
        check_true(c->conflicting_bytes <= c->duplicate_bytes);
        seen += c->payload_bytes - (c->gap_bytes - c->snaplen_bytes);
    }
    if (seen != w->sent)
        fail_msg("%llu bytes were sent, %llu are accounted for",
                 (unsigned long long)w->sent, (unsigned long long)seen);
    if (t->memory_bytes > CAP_FLOW_MEMORY_BYTES || t->open > CAP_FLOW_MAX)
        fail_msg("over the limits: %llu bytes, %llu flows",
                 (unsigned long long)t->memory_bytes, (unsigned long long)t->open);
}

/* One segment: its first byte at `at` of the direction's stream, everything before
 * `ack` of the other acknowledged. cut: bytes that were not captured. */
static void send_cut(struct world *w, int dir, int64_t at, int64_t ack, unsigned flags,
                     struct span payload, uint32_t cut)
{
    struct cap_endpoint client = pkt_end(false, 1, w->port);
    struct cap_endpoint server = pkt_end(false, 2, 9000);
    uint32_t first = w->isn[dir] + (flags & CAP_SYN ? 0 : 1);
    struct cap_segment seg = {
        .at.ns = w->ns,
        .src = dir ? server : client,
        .dst = dir ? client : server,
        .seq = first + (uint32_t)at,
        .ack = ack < 0 ? 0 : w->isn[!dir] + 1 + (uint32_t)ack,
        .flags = (uint8_t)(flags | (ack < 0 ? 0 : CAP_ACK)),
        .window = w->window,
        .payload = span_sub(payload, 0, payload.n - cut),
        .payload_bytes = (uint32_t)payload.n,
        .interface = w->interface,
        .outgoing = w->outgoing,
    };
    uint64_t copies = cap_flows_totals(w->f)->copies_dropped;
    cap_flows_segment(w->f, &seg);
    if (copies == cap_flows_totals(w->f)->copies_dropped)
        w->sent += payload.n;
    check_identity(w);
}

static void put(struct world *w, int dir, int64_t at, int64_t ack, unsigned flags,
                const char *text)
{
    send_cut(w, dir, at, ack, flags, span_str(text), 0);
    w->ns += CLK_MS;
}

static void handshake(struct world *w)
{
    put(w, 0, 0, -1, CAP_SYN, "");
    put(w, 1, 0, 0, CAP_SYN, "");
    put(w, 0, 0, 0, 0, "");
}

static void pass_time(struct world *w, int64_t ns)
{
    w->ns += ns;
    cap_flows_time(w->f, (struct clk_wall){w->ns});
    check_identity(w);
}

/* What is not there yet will not come. */
static void pass_grace(struct world *w)
{
    pass_time(w, CAP_FLOW_GRACE_MOST_NS);
}

static const struct cap_flow_counts *counts(const struct world *w, int dir)
{
    return &cap_flows_totals(w->f)->dir[dir];
}

static void check_told(struct world *w, const char *wanted)
{
    check_str(buf_text(&w->told), wanted);
    buf_reset(&w->told);
}

static void world_free(struct world *w)
{
    cap_flows_end(w->f);
    check_identity(w);
    check_int(counts(w, 0)->held_bytes + counts(w, 1)->held_bytes, ==, 0);
    check_int(cap_flows_totals(w->f)->flows, ==, w->opened);
    check_int(w->closed, ==, w->opened);
    check_int(cap_flows_totals(w->f)->open, ==, 0);
    cap_flows_free(w->f);
    buf_done(&w->told);
    free(w);
}

/* --- order --- */

static void a_plain_conversation_is_told_as_it_was(void **state)
{
    (void)state;
    struct world *w = world_new();
    handshake(w);
    put(w, 0, 0, 0, 0, "GET /");
    put(w, 1, 0, 5, 0, "200 OK");
    put(w, 0, 5, 6, CAP_FIN, " bye");
    put(w, 1, 6, 10, CAP_FIN, "");
    put(w, 0, 10, 7, 0, "");
    check_told(
        w, "open(40000>9000) 0\"GET /\" 1\"200 OK\" 0\" bye\" fin0 fin1 close:fin ");
    check_int(cap_flows_totals(w->f)->flows_midway, ==, 0);
    check_int(counts(w, 0)->retransmissions + counts(w, 0)->out_of_order, ==, 0);
    world_free(w);
}

static void shuffled_segments_are_put_in_order(void **state)
{
    (void)state;
    struct world *w = world_new();
    handshake(w);
    put(w, 0, 9, 0, 0, "jkl");
    put(w, 0, 3, 0, 0, "def");
    put(w, 0, 6, 0, 0, "ghi");
    put(w, 0, 0, 0, 0, "abc");
    check_told(w, "open(40000>9000) 0\"abc\" 0\"def\" 0\"ghi\" 0\"jkl\" ");
    check_int(counts(w, 0)->out_of_order, ==, 3);
    check_int(counts(w, 0)->retransmissions, ==, 0);
    world_free(w);
}

static void full_and_partial_retransmissions_add_nothing(void **state)
{
    (void)state;
    struct world *w = world_new();
    handshake(w);
    put(w, 0, 0, 0, 0, "abcdef");
    put(w, 0, 0, 0, 0, "abcdef"); /* all of it */
    put(w, 0, 2, 0, 0, "cd");     /* its middle */
    put(w, 0, 4, 0, 0, "efgh");   /* its end, and more */
    put(w, 0, 12, 0, 0, "mn");    /* ahead */
    put(w, 0, 12, 0, 0, "mn");
    put(w, 0, 11, 0, 0, "lmno"); /* around what is held */
    put(w, 0, 6, 0, 0, "ghijkl");
    check_told(w,
               "open(40000>9000) 0\"abcdef\" 0\"gh\" 0\"ijk\" 0\"l\" 0\"mn\" 0\"o\" ");
    check_int(counts(w, 0)->duplicate_bytes, ==, 6 + 2 + 2 + 2 + 2 + 3);
    check_int(counts(w, 0)->conflicting_bytes, ==, 0);
    check_int(counts(w, 0)->retransmissions, ==, 6);
    world_free(w);
}

static void overlaps_with_equal_bytes_are_joined(void **state)
{
    (void)state;
    struct world *w = world_new();
    handshake(w);
    put(w, 0, 2, 0, 0, "cde");
    put(w, 0, 6, 0, 0, "ghi");
    put(w, 0, 1, 0, 0, "bcdefghijk"); /* over both, the hole between, both sides */
    put(w, 0, 0, 0, 0, "abcdefghijkl");
    check_told(
        w, "open(40000>9000) 0\"a\" 0\"b\" 0\"cde\" 0\"f\" 0\"ghi\" 0\"jk\" 0\"l\" ");
    check_int(counts(w, 0)->conflicting_bytes, ==, 0);
    world_free(w);
}

static void of_overlaps_with_different_bytes_the_first_win(void **state)
{
    (void)state;
    struct world *w = world_new();
    handshake(w);
    put(w, 0, 2, 0, 0, "cde");
    put(w, 0, 1, 0, 0, "bXdYf"); /* held: two bytes differ */
    put(w, 0, 0, 0, 0, "aZ");    /* one more */
    check_told(w, "open(40000>9000) 0\"a\" 0\"b\" 0\"cde\" 0\"f\" ");
    check_int(counts(w, 0)->conflicting_bytes, ==, 3);
    put(w, 0, 3, 0, 0, "dEFg"); /* delivered: two */
    check_told(w, "0\"g\" ");
    check_int(counts(w, 0)->conflicting_bytes, ==, 5);
    world_free(w);
}

static void conflicts_are_seen_in_the_last_bytes_delivered(void **state)
{
    (void)state;
    struct world *w = world_new();
    char text[201];
    for (int i = 0; i < 200; i++)
        text[i] = (char)('a' + i % 26);
    text[200] = 0;
    handshake(w);
    for (int i = 0; i < 200; i += 7) { /* the tail's ring turns over */
        send_cut(w, 0, i, 0, 0, span_sub(span_str(text), (size_t)i, (size_t)i + 7), 0);
        w->ns += CLK_MS;
    }
    check_int(w->data[0], ==, 200);
    put(w, 0, 0, 0, 0, text);
    check_int(counts(w, 0)->conflicting_bytes, ==, 0);
    for (int i = 0; i < 200; i++)
        text[i] ^= 1;
    put(w, 0, 0, 0, 0, text);
    check_int(counts(w, 0)->conflicting_bytes, ==, CAP_FLOW_TAIL);
    check_int(counts(w, 0)->duplicate_bytes, ==, 400);
    world_free(w);
}

static void keep_alive_probes_are_no_data(void **state)
{
    (void)state;
    struct world *w = world_new();
    handshake(w);
    put(w, 0, 0, 0, 0, "abc");
    put(w, 0, 2, 0, 0, "");  /* Linux: one behind, empty */
    put(w, 0, 2, 0, 0, "?"); /* others: with a byte that may be any */
    put(w, 1, 0, 3, 0, "");
    put(w, 0, 3, 0, 0, "def");
    check_told(w, "open(40000>9000) 0\"abc\" 0\"def\" ");
    check_int(counts(w, 0)->duplicate_bytes, ==, 1);
    check_int(counts(w, 0)->conflicting_bytes, ==, 0);
    world_free(w);
}

static void the_sequence_may_wrap_inside_a_body(void **state)
{
    (void)state;
    for (uint32_t before = 0; before < 12; before++) {
        struct world *w = world_new();
        w->isn[0] = UINT32_MAX - before;
        w->isn[1] = UINT32_MAX - 2 * before;
        handshake(w);
        put(w, 1, 4, 0, 0, "late");
        put(w, 0, 8, 0, 0, "ijkl");
        put(w, 0, 0, 0, 0, "abcd");
        put(w, 0, 4, 0, 0, "efgh");
        put(w, 1, 0, 12, 0, "soon");
        put(w, 0, 12, 8, CAP_FIN, "");
        check_told(
            w,
            "open(40000>9000) 0\"abcd\" 0\"efgh\" 0\"ijkl\" 1\"soon\" 1\"late\" fin0 ");
        world_free(w);
    }
}

static void a_connection_may_carry_more_than_4_gib(void **state)
{
    (void)state;
    static uint8_t body[1 << 20];
    struct world *w = world_new();
    handshake(w);
    w->quiet = true;
    for (int64_t i = 0; i < 5000; i++) { /* every second pair in the wrong order */
        send_cut(w, 1, (i ^ (i % 4 < 2)) * (1 << 20), 0, 0, span_of(body, 1 << 20), 0);
        w->ns += CLK_US;
    }
    w->quiet = false;
    put(w, 0, 0, INT64_C(5000) << 20, 0, "thanks");
    put(w, 1, INT64_C(5000) << 20, 6, 0, "bye");
    check_told(w, "0\"thanks\" 1\"bye\" ");
    check_int(w->data[1], ==, (INT64_C(5000) << 20) + 3);
    check_int(w->gap[1], ==, 0);
    world_free(w);
}

/* --- gaps --- */

static void what_the_peer_acknowledged_will_not_come(void **state)
{
    (void)state;
    struct world *w = world_new();
    handshake(w);
    put(w, 0, 0, 0, 0, "abc");
    put(w, 0, 6, 0, 0, "ghi");
    put(w, 1, 0, 3, 0, ""); /* says nothing of the hole */
    check_told(w, "open(40000>9000) 0\"abc\" ");
    put(w, 1, 0, 5, 0, "");
    check_told(w, "");
    pass_grace(w);
    check_told(w, "gap0:2:acked ");
    put(w, 1, 0, 9, 0, "");
    pass_grace(w);
    check_told(w, "gap0:1:acked 0\"ghi\" ");
    check_int(w->unseen[0] + w->unseen[1], ==, 0);
    put(w, 1, 0, 12, 0, ""); /* of bytes that no later one proves */
    pass_grace(w);
    check_told(w, "");
    check_int(w->unseen[0], ==, 1); /* but that they are there is said */
    check_int(w->unseen[1], ==, 0);
    put(w, 0, 12, 0, 0, "mno"); /* now they are proven */
    pass_grace(w);
    check_told(w, "gap0:3:acked 0\"mno\" ");
    put(w, 0, 9, 0, 0, "jkl"); /* too late */
    check_told(w, "");
    check_int(counts(w, 0)->stray_bytes, ==, 3);
    check_int(counts(w, 0)->duplicate_bytes, ==, 0);
    world_free(w);
}

static void a_gap_that_is_never_filled_ends_by_packet_time(void **state)
{
    (void)state;
    struct world *w = world_new();
    handshake(w);
    put(w, 0, 3, 0, 0, "def");
    int64_t came = w->ns - CLK_MS;
    put(w, 0, 9, 0, 0, "jkl");
    pass_time(w, CAP_FLOW_GAP_NS - 3 * CLK_MS);
    check_told(w, "open(40000>9000) ");
    pass_time(w, CLK_MS);
    check_told(w, "gap0:3:time 0\"def\" ");
    check_int(w->at.ns, ==, came); /* not two seconds later */
    pass_time(w, CLK_MS);
    check_told(w, "gap0:3:time 0\"jkl\" ");
    put(w, 0, 12, 0, 0, "mno");
    check_told(w, "0\"mno\" ");
    world_free(w);
}

static void a_filled_hole_gives_its_bytes_the_time_of_the_filling(void **state)
{
    (void)state;
    struct world *w = world_new();
    handshake(w);
    put(w, 0, 3, 0, 0, "def");
    w->ns += 500 * CLK_MS;
    int64_t filled = w->ns;
    put(w, 0, 0, 0, 0, "abc");
    check_told(w, "open(40000>9000) 0\"abc\" 0\"def\" ");
    check_int(w->at.ns, ==, filled);
    world_free(w);
}

static void a_fin_proves_the_bytes_before_it(void **state)
{
    (void)state;
    struct world *w = world_new();
    handshake(w);
    put(w, 0, 0, 0, 0, "abc");
    put(w, 0, 8, 0, CAP_FIN, "");
    check_told(w, "open(40000>9000) 0\"abc\" ");
    put(w, 1, 0, 9, 0, "");
    pass_grace(w);
    check_told(w, "gap0:5:acked fin0 ");
    world_free(w);
    w = world_new(); /* not a byte was seen */
    handshake(w);
    put(w, 0, 8, 0, CAP_FIN, "");
    check_told(w, "open(40000>9000) ");
    pass_time(w, 2 * CAP_FLOW_GAP_NS);
    check_told(w, "gap0:8:time fin0 ");
    world_free(w);
}

static void what_is_missing_at_the_end_is_said(void **state)
{
    (void)state;
    struct world *w = world_new();
    handshake(w);
    put(w, 0, 4, 0, 0, "efg");
    put(w, 1, 2, 0, 0, "xyz");
    cap_flows_end(w->f);
    check_told(
        w, "open(40000>9000) gap0:4:ended 0\"efg\" gap1:2:ended 1\"xyz\" close:file ");
    world_free(w);
}

static void holes_are_given_up_when_too_much_is_held(void **state)
{
    (void)state;
    static uint8_t body[1 << 20];
    struct world *w = world_new();
    handshake(w);
    for (int64_t i = 1; i <= 4; i++)
        send_cut(w, 0, i << 20, 0, 0, span_of(body, sizeof body), 0);
    check_told(w, "open(40000>9000) ");
    put(w, 0, (5 << 20) + 7, 0, 0, "more");
    check_told(w, "gap0:1048576:ceiling 0#1048576 0#1048576 0#1048576 0#1048576 ");
    check_int(counts(w, 0)->held_bytes, ==, 4);
    world_free(w);
    w = world_new(); /* by number */
    handshake(w);
    for (int64_t i = 0; i < CAP_FLOW_HOLD_COUNT; i++)
        put(w, 0, 1 + 2 * i, 0, 0, "x");
    check_told(w, "open(40000>9000) ");
    put(w, 0, 2 * CAP_FLOW_HOLD_COUNT + 1, 0, 0, "y");
    check_told(w, "gap0:1:ceiling 0\"x\" ");
    check_int(counts(w, 0)->held_bytes, ==, CAP_FLOW_HOLD_COUNT);
    world_free(w);
    w = world_new(); /* the new one comes before all that is held: it is not lost */
    handshake(w);
    for (int64_t i = 0; i < CAP_FLOW_HOLD_COUNT; i++)
        put(w, 0, 10 + 2 * i, 0, 0, "x");
    put(w, 0, 3, 0, 0, "def");
    check_told(w, "open(40000>9000) gap0:3:ceiling 0\"def\" ");
    world_free(w);
}

/* --- beginnings and ends --- */

static void a_syn_may_carry_data(void **state)
{
    (void)state;
    struct world *w = world_new();
    put(w, 0, 0, -1, CAP_SYN, "early");
    put(w, 0, 0, -1, CAP_SYN, "early"); /* once more */
    put(w, 1, 0, 5, CAP_SYN, "soon");
    put(w, 0, 5, 4, 0, " bird");
    check_told(w, "open(40000>9000) 0\"early\" 1\"soon\" 0\" bird\" ");
    check_int(counts(w, 0)->duplicate_bytes, ==, 5);
    world_free(w);
}

static void simultaneous_and_half_close(void **state)
{
    (void)state;
    struct world *w = world_new();
    handshake(w);
    put(w, 0, 0, 0, 0, "a");
    put(w, 0, 1, 0, CAP_FIN, "");
    put(w, 1, 0, 1, CAP_FIN, ""); /* it has not seen the other's */
    put(w, 0, 2, 1, 0, "");
    put(w, 1, 1, 2, 0, "");
    check_told(w, "open(40000>9000) 0\"a\" fin0 fin1 close:fin ");
    world_free(w);
    w = world_new();
    handshake(w);
    put(w, 0, 0, 0, CAP_FIN, "question");
    put(w, 1, 0, 9, 0, "a long ");
    put(w, 1, 7, 9, 0, "answer");
    put(w, 0, 9, 13, 0, ""); /* acknowledgements go on */
    put(w, 1, 13, 9, CAP_FIN, "");
    check_told(
        w,
        "open(40000>9000) 0\"question\" fin0 1\"a long \" 1\"answer\" fin1 close:fin ");
    world_free(w);
}

static void a_reset_ends_both_directions(void **state)
{
    (void)state;
    struct world *w = world_new();
    handshake(w);
    put(w, 0, 0, 0, 0, "abc");
    put(w, 0, 5, 0, 0, "fgh"); /* seen, so handed on */
    put(w, 1, 0, 3, CAP_RST, "why not");
    pass_grace(w); /* in which the hole could be filled */
    check_told(w, "open(40000>9000) 0\"abc\" gap0:2:ended 0\"fgh\" close:rst ");
    put(w, 0, 0, 0, 0, "abc"); /* what was under way */
    put(w, 0, 8, 0, 0, "ijk");
    check_told(w, "");
    check_int(counts(w, 0)->stray_bytes, ==, 3);
    check_int(counts(w, 0)->duplicate_bytes, ==, 3);
    check_int(counts(w, 1)->stray_bytes, ==, 7);
    world_free(w);
}

static void a_reset_far_from_the_window_is_not_believed(void **state)
{
    (void)state;
    struct world *w = world_new();
    handshake(w);
    put(w, 0, 0, 0, 0, "abc");
    put(w, 1, INT64_C(1) << 30, -1, CAP_RST, "");
    put(w, 0, 3, 0, 0, "def");
    check_told(w, "open(40000>9000) 0\"abc\" 0\"def\" ");
    world_free(w);
}

static void a_refused_connection_is_never_opened(void **state)
{
    (void)state;
    struct world *w = world_new();
    put(w, 0, 0, -1, CAP_SYN, "");
    w->isn[1] = UINT32_MAX; /* its number is 0 */
    put(w, 1, 0, 0, CAP_RST, "");
    check_told(w, "");
    check_int(cap_flows_totals(w->f)->flows_empty, ==, 1);
    check_int(cap_flows_totals(w->f)->flows, ==, 0);
    world_free(w);
}

static void ports_are_used_again_with_and_without_a_fin(void **state)
{
    (void)state;
    struct world *w = world_new();
    handshake(w);
    put(w, 0, 0, 0, CAP_FIN, "one");
    put(w, 1, 0, 4, CAP_FIN, "uno");
    check_told(w, "open(40000>9000) 0\"one\" fin0 1\"uno\" fin1 close:fin ");
    w->isn[0] += 7000; /* with */
    w->isn[1] += 90000;
    handshake(w);
    put(w, 0, 0, 0, 0, "two");
    put(w, 1, 0, 3, 0, "due");
    check_told(w, "open(40000>9000) 0\"two\" 1\"due\" ");
    w->isn[0] += 7000; /* without */
    w->isn[1] += 90000;
    handshake(w);
    put(w, 0, 0, 0, 0, "three");
    check_told(w, "close:reused open(40000>9000) 0\"three\" ");
    w->isn[0] += 1u << 30; /* and without a SYN: joined midway at the second segment */
    put(w, 0, 0, -1, 0, "fo");
    put(w, 0, 2, -1, 0, "ur");
    put(w, 0, 4, -1, 0, "th");
    pass_grace(w);
    check_told(w, "close:reused open(40000>9000,midway) 0\"ur\" 0\"th\" ");
    check_int(counts(w, 0)->stray_bytes, ==, 2);
    check_int(counts(w, 0)->gap_bytes, ==, 0);
    world_free(w);
}

static void ports_used_again_soon_after_a_fin_without_a_syn(void **state)
{
    (void)state;
    struct world *w = world_new();
    handshake(w);
    put(w, 0, 0, 0, CAP_FIN, "one");
    put(w, 1, 0, 4, CAP_FIN, "");
    w->isn[0] += 1u << 31;
    put(w, 0, 0, 0, 0, "two");
    pass_grace(w);
    check_told(w, "open(40000>9000) 0\"one\" fin0 fin1 close:fin "
                  "open(40000>9000,midway) 0\"two\" ");
    put(w, 0, 3, 0, CAP_RST, "");
    pass_time(w, CAP_FLOW_LINGER_NS);
    put(w, 0, 3, 0, 0, "near, but long after");
    pass_grace(w);
    check_told(w, "close:rst open(40000>9000,midway) 0\"near, but long after\" ");
    world_free(w);
}

static void one_direction_alone_is_enough(void **state)
{
    (void)state;
    struct world *w = world_new();
    put(w, 1, 100, 7, 0, "answer");
    put(w, 1, 106, 9, 0, " two");
    put(w, 1, 110, 9, CAP_FIN, "");
    pass_grace(w);
    check_told(w, "open(40000>9000,midway) 1\"answer\" 1\" two\" fin1 ");
    check_int(w->gap[0] + w->gap[1], ==, 0); /* no later byte proves a gap */
    world_free(w);
}

static void acknowledgements_that_advance_change_nothing(void **state)
{
    (void)state;
    struct world *w = world_new();
    handshake(w);
    put(w, 0, 0, 0, 0, "POST ");
    put(w, 1, 0, 5, 0, "100 ");
    put(w, 0, 5, 2, 0, "bo");
    put(w, 0, 7, 4, 0, "dy");
    check_told(w, "open(40000>9000) 0\"POST \" 1\"100 \" 0\"bo\" 0\"dy\" ");
    world_free(w);
}

static void zero_window_probes_give_their_byte_once(void **state)
{
    (void)state;
    struct world *w = world_new();
    handshake(w);
    put(w, 0, 0, 0, 0, "abc");
    w->window = 0;
    put(w, 1, 0, 3, 0, ""); /* closed */
    put(w, 0, 3, 0, 0, "d");
    put(w, 1, 0, 3, 0, ""); /* not taken */
    put(w, 0, 3, 0, 0, "d");
    put(w, 1, 0, 3, 0, "");
    w->window = 512;
    put(w, 1, 0, 3, 0, "");
    put(w, 0, 3, 0, 0, "def");
    check_told(w, "open(40000>9000) 0\"abc\" 0\"d\" 0\"ef\" ");
    check_int(counts(w, 0)->conflicting_bytes, ==, 0);
    world_free(w);
}

static void urgent_bytes_stay_in_their_place(void **state)
{
    (void)state;
    struct world *w = world_new();
    handshake(w);
    put(w, 0, 0, 0, CAP_URG, "a!");
    put(w, 0, 2, 0, 0, "b");
    check_told(w, "open(40000>9000) 0\"a!\" 0\"b\" ");
    world_free(w);
}

static void segments_of_one_byte(void **state)
{
    (void)state;
    struct world *w = world_new();
    static const char text[] = "one byte at a time";
    handshake(w);
    for (int64_t i = 0; text[i]; i += 2) { /* odd ones first */
        if (text[i + 1])
            send_cut(w, 0, i + 1, 0, 0, span_of(text + i + 1, 1), 0);
        send_cut(w, 0, i, 0, 0, span_of(text + i, 1), 0);
    }
    struct buf got = {0}, wanted = {0};
    buf_str(&wanted, "open(40000>9000) ");
    for (const char *p = text; *p; p++)
        buf_fmt(&wanted, "0\"%c\" ", *p);
    buf_span(&got, buf_view(&w->told));
    check_str(buf_text(&got), buf_text(&wanted));
    buf_done(&got);
    buf_done(&wanted);
    world_free(w);
}

static void segments_beyond_64_kib(void **state)
{
    (void)state;
    static uint8_t body[200000];
    struct world *w = world_new();
    handshake(w);
    send_cut(w, 1, 200000, 0, 0, span_of(body, sizeof body), 0);
    send_cut(w, 1, 0, 0, 0, span_of(body, sizeof body), 0);
    send_cut(w, 1, 100000, 0, 0, span_of(body, sizeof body), 0);
    check_told(w, "open(40000>9000) 1#200000 1#200000 ");
    world_free(w);
}

static void what_the_snapshot_length_cut_off_is_a_gap(void **state)
{
    (void)state;
    struct world *w = world_new();
    handshake(w);
    send_cut(w, 0, 0, 0, 0, SPAN_LIT("abcdef"), 2);
    send_cut(w, 0, 12, 0, 0, SPAN_LIT("mnopqr"), 5); /* held */
    send_cut(w, 0, 14, 0, 0, SPAN_LIT("opqrst"), 1); /* overlaps the part cut off */
    send_cut(w, 0, 6, 0, 0, SPAN_LIT("ghijkl"), 6);
    check_told(w, "open(40000>9000) 0\"abcd\" gap0:2:snaplen gap0:6:snaplen 0\"m\" "
                  "gap0:5:snaplen 0\"s\" gap0:1:snaplen ");
    check_int(counts(w, 0)->snaplen_bytes, ==, 14);
    check_int(counts(w, 0)->conflicting_bytes, ==, 0);
    world_free(w);
}

static void copies_on_lo_any_and_bridges_are_dropped(void **state)
{
    (void)state;
    struct world *w = world_new();
    for (int i = 0; i < 3; i++) { /* lo seen through any: sent, then received */
        for (uint8_t outgoing = 2; outgoing-- > 0;) {
            w->outgoing = outgoing;
            send_cut(w, 0, 3 * i, 0, 0, SPAN_LIT("abc"), 0);
            w->ns += CLK_US;
        }
    }
    pass_grace(w);
    check_told(w, "open(40000>9000,midway) 0\"abc\" 0\"abc\" 0\"abc\" ");
    check_int(cap_flows_totals(w->f)->copies_dropped, ==, 3);
    check_int(counts(w, 0)->retransmissions, ==, 0);
    w->outgoing = 1;
    for (w->interface = 5; w->interface < 8; w->interface++) /* through a bridge */
        send_cut(w, 0, 9, 0, 0, SPAN_LIT("def"), 0);
    check_int(cap_flows_totals(w->f)->copies_dropped, ==, 5);
    w->interface--;
    w->ns += CAP_FLOW_COPY_NS + 1; /* too long after: sent again */
    send_cut(w, 0, 9, 0, 0, SPAN_LIT("def"), 0);
    check_int(counts(w, 0)->retransmissions, ==, 1);
    send_cut(w, 0, 9, 0, 0, SPAN_LIT("def"), 0); /* in the same place: sent again */
    check_int(counts(w, 0)->retransmissions, ==, 2);
    check_int(cap_flows_totals(w->f)->copies_dropped, ==, 5);
    check_told(w, "0\"def\" ");
    world_free(w);
}

static void a_clock_that_goes_backwards_stops_no_timeout(void **state)
{
    (void)state;
    struct world *w = world_new();
    handshake(w);
    put(w, 0, 3, 0, 0, "def");
    w->ns -= 3600 * CLK_SEC; /* the machine's clock was set */
    put(w, 0, 6, 0, 0, "ghi");
    check_told(w, "open(40000>9000) ");
    pass_time(w, CAP_FLOW_GAP_NS);
    check_told(w, "gap0:3:time 0\"def\" 0\"ghi\" ");
    check_int(cap_flows_totals(w->f)->clock_steps, ==, 1);
    put(w, 0, 12, 0, 0, "mno");
    for (int i = 0; i < 1000; i++) { /* two processors, 2 ms apart: no time passes */
        w->ns += i & 1 ? -2 * CLK_MS : 2 * CLK_MS;
        cap_flows_time(w->f, (struct clk_wall){w->ns});
    }
    check_told(w, "");
    cap_flows_time(w->f, (struct clk_wall){INT64_MIN}); /* nonsense does no harm */
    cap_flows_time(w->f, (struct clk_wall){INT64_MAX});
    cap_flows_time(w->f, (struct clk_wall){INT64_MIN});
    check_told(w, "gap0:3:time 0\"mno\" close:idle ");
    world_free(w);
}

/* --- joining, idling, limits --- */

static void a_connection_is_joined_at_the_first_byte_seen(void **state)
{
    (void)state;
    struct world *w = world_new();
    put(w, 1, 500, 700, 0, ""); /* no byte: nothing to join */
    put(w, 0, 700, 500, 0, "middle");
    pass_grace(w);
    put(w, 0, 690, 500, 0, "before the middle"); /* 10 from before, 6 again, 1 new */
    check_told(w, "open(40000>9000,midway) 0\"middle\" 0\"e\" ");
    check_int(counts(w, 0)->stray_bytes, ==, 10);
    check_int(counts(w, 0)->duplicate_bytes, ==, 6);
    check_int(cap_flows_totals(w->f)->flows_midway, ==, 1);
    world_free(w);

    w = world_new();
    put(w, 0, 700, 500, 0, "middle");
    put(w, 1, 503, 706, 0, "def"); /* "abc" may have been sent before the capture */
    pass_grace(w);
    check_told(w, "open(40000>9000,midway) 0\"middle\" 1\"def\" ");
    world_free(w);
}

/* Nothing of the server's side was captured: how much it sent, the client says. Not so
 * in the first moments, when that may have been under way. */
static void a_direction_that_is_not_seen_is_missing_as_far_as_acknowledged(void **state)
{
    (void)state;
    struct world *w = world_new();
    put(w, 0, 700, 500, 0, "one");
    pass_time(w, CAP_FLOW_JOINED_NS);
    put(w, 0, 703, 600, 0, "two"); /* 100 bytes until here: from whenever */
    put(w, 0, 706, 650, 0, "three");
    put(w, 0, 711, 640, 0, "");                           /* an old one */
    put(w, 0, 711, 650 + CAP_FLOW_JUMP_BYTES + 1, 0, ""); /* of no use */
    put(w, 0, 711, 800, 0, "");
    check_told(w, "open(40000>9000,midway) 0\"one\" 0\"two\" 0\"three\" ");
    world_free(w); /* which checks the sum, too */

    w = world_new();
    put(w, 0, 700, 500, 0, "one");
    pass_time(w, CAP_FLOW_JOINED_NS);
    put(w, 0, 703, 600, 0, "two");
    put(w, 0, 706, 800, 0, "");
    cap_flows_end(w->f); /* the last one may be a FIN */
    check_told(w, "open(40000>9000,midway) 0\"one\" 0\"two\" gap1:199:acked "
                  "close:file ");
    world_free(w);

    /* Where some of it is seen later, what the client had before that is a gap; so is
     * what it has more at the end. */
    w = world_new();
    put(w, 0, 700, 500, 0, "one");
    pass_time(w, CAP_FLOW_JOINED_NS);
    put(w, 0, 703, 600, 0, "two");
    put(w, 0, 706, 690, 0, "");
    put(w, 1, 690, 706, 0, "answer");
    pass_grace(w);
    put(w, 0, 706, 700, 0, "");
    pass_grace(w);
    put(w, 0, 706, 700, CAP_FIN, "");
    cap_flows_end(w->f);
    check_told(w, "open(40000>9000,midway) 0\"one\" 0\"two\" gap1:90:acked 1\"answer\" "
                  "fin0 gap1:3:acked close:file ");
    world_free(w);

    /* What comes from before that place was not under way for so long: the other file
     * of two that were joined. */
    w = world_new();
    put(w, 0, 700, 500, 0, "one");
    pass_time(w, CAP_FLOW_JOINED_NS);
    put(w, 0, 703, 600, 0, "two");
    put(w, 1, 500, 706, 0, "all");
    pass_grace(w);
    check_told(w, "open(40000>9000,midway) 0\"one\" 0\"two\" 1\"all\" ");
    world_free(w);
}

static void the_server_is_the_mapped_port_else_who_got_the_syn_else_the_lower(void **s)
{
    (void)s;
    static const struct {
        uint16_t from, to;
        uint8_t flags;
        const char *wanted;
    } cases[] = {
        {9000, 40000, 0, "open(40000>9000,midway) "},
        {9000, 80, CAP_SYN, "open(80>9000) "}, /* mapped, though it sent the SYN */
        {7000, 8000, CAP_SYN, "open(7000>8000) "},
        {7000, 8000, CAP_SYN | CAP_ACK, "open(8000>7000) "},
        {7000, 8000, 0, "open(8000>7000,midway) "},
        {8000, 7000, 0, "open(8000>7000,midway) "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct world *w = world_new();
        struct cap_segment seg = {.at.ns = w->ns,
                                  .src = pkt_end(true, 1, cases[i].from),
                                  .dst = pkt_end(true, 2, cases[i].to),
                                  .flags = cases[i].flags,
                                  .payload = SPAN_LIT("x"),
                                  .payload_bytes = 1};
        cap_flows_segment(w->f, &seg);
        w->sent = 1;
        pass_grace(w);
        struct span told = buf_view(&w->told);
        check_true(told.n > 5);
        check_span(span_sub(told, 0, told.n - 5), cases[i].wanted); /* without 0"x" */
        world_free(w);
    }
}

static void a_lost_answer_to_the_syn_hides_no_gap(void **state)
{
    (void)state;
    struct world *w = world_new();
    put(w, 0, 0, -1, CAP_SYN, "");
    put(w, 0, 0, 0, 0, ""); /* says where the server begins */
    put(w, 1, 3, 0, 0, "def");
    put(w, 0, 0, 6, 0, "");
    pass_grace(w);
    check_told(w, "open(40000>9000) gap1:3:acked 1\"def\" ");
    world_free(w);
}

static void idle_connections_are_closed_by_packet_time(void **state)
{
    (void)state;
    struct world *w = world_new();
    handshake(w);
    put(w, 0, 0, 0, 0, "abc");
    pass_time(w, CAP_FLOW_IDLE_NS - 2 * CLK_MS);
    put(w, 0, 3, 0, 0, "def");
    pass_time(w, CAP_FLOW_IDLE_NS - 2 * CLK_MS);
    check_told(w, "open(40000>9000) 0\"abc\" 0\"def\" ");
    pass_time(w, CLK_MS);
    check_told(w, "close:idle ");
    put(w, 0, 6, 0, 0, "ghi");
    pass_grace(w);
    check_told(w, "open(40000>9000,midway) 0\"ghi\" ");
    world_free(w);
}

static void too_many_connections_evict_the_longest_idle(void **state)
{
    (void)state;
    struct world *w = world_new();
    w->port = 1;
    put(w, 0, 0, 0, 0, "abc");
    put(w, 0, 6, 0, 0, "ghi");
    pass_grace(w);
    check_told(w, "open(1>9000,midway) 0\"abc\" ");
    w->quiet = true;
    uint64_t before = cap_flows_totals(w->f)->steps;
    for (unsigned i = 1; i < 3 * CAP_FLOW_MAX; i++) {
        struct cap_segment seg = {.at.ns = w->ns,
                                  .src = pkt_end(false, (uint8_t)(3 + i / 60000), 0),
                                  .dst = pkt_end(false, 2, 9000),
                                  .payload = SPAN_LIT("x"),
                                  .payload_bytes = 1};
        seg.src.port = (uint16_t)(i % 60000);
        w->sent++;
        if (i == CAP_FLOW_MAX)
            w->quiet = false;
        cap_flows_segment(w->f, &seg);
        if (i == CAP_FLOW_MAX) {
            w->quiet = true;
            struct span told = buf_view(&w->told);
            check_true(span_starts(told, "gap0:3:evicted 0\"ghi\" close:evicted "));
            buf_reset(&w->told);
        }
    }
    check_identity(w);
    check_int(cap_flows_totals(w->f)->open, ==, CAP_FLOW_MAX);
    check_int(cap_flows_totals(w->f)->flows_evicted, ==, 2 * CAP_FLOW_MAX);
    check_int(cap_flows_totals(w->f)->steps - before, <, 10 * 3 * CAP_FLOW_MAX);
    world_free(w);
}

static void memory_has_a_ceiling_over_all_connections(void **state)
{
    (void)state;
    static uint8_t body[1 << 20];
    struct world *w = world_new();
    w->quiet = true;
    for (uint16_t i = 0; i < 100; i++) { /* 300 MiB ahead of holes */
        w->port = (uint16_t)(1000 + i);
        put(w, 0, 0, 0, 0, "x");
        for (int64_t k = 1; k < 4; k++)
            send_cut(w, 0, k << 20, 0, 0, span_of(body, sizeof body), 0);
        w->ns += CLK_US;
    }
    check_int(cap_flows_totals(w->f)->memory_most, <=, CAP_FLOW_MEMORY_BYTES);
    check_int(cap_flows_totals(w->f)->memory_most, >, CAP_FLOW_MEMORY_BYTES / 10 * 9);
    check_int(counts(w, 0)->gaps, >=, 58);
    check_int(w->data[0] + counts(w, 0)->held_bytes, ==, 100 + 100 * 3 * (1 << 20));
    world_free(w);
}

static void a_million_half_open_connections_cost_little(void **state)
{
    (void)state;
    struct world *w = world_new();
    handshake(w);
    put(w, 0, 0, 0, 0, "before");
    uint64_t before = cap_flows_totals(w->f)->steps;
    for (uint32_t i = 0; i < 1000000; i++) {
        struct cap_segment seg = {.at.ns = w->ns + i * CLK_US,
                                  .src = pkt_end(true, (uint8_t)(i >> 16), (uint16_t)i),
                                  .dst = pkt_end(true, 2, 9000),
                                  .seq = i * 77,
                                  .flags = CAP_SYN};
        seg.src.addr[14] = 9;
        cap_flows_segment(w->f, &seg);
    }
    const struct cap_flow_totals *t = cap_flows_totals(w->f);
    check_int(t->steps - before, <, 8000000); /* a few for each */
    check_int(t->open, ==, CAP_FLOW_MAX);
    check_int(t->flows, ==, 1);
    check_int(t->memory_bytes, <, 64 << 20);
    w->ns += CLK_SEC;
    put(w, 0, 6, 0, 0, " and after"); /* who talked was not evicted */
    check_told(w, "open(40000>9000) 0\"before\" 0\" and after\" ");
    cap_flows_end(w->f);
    check_int(t->flows_empty, ==, 1000000);
    world_free(w);
}

static void a_flood_of_holes_costs_little(void **state)
{
    (void)state;
    struct world *w = world_new();
    handshake(w);
    w->quiet = true;
    uint64_t before = cap_flows_totals(w->f)->steps;
    for (int64_t i = 0; i < 200000; i++) { /* the second half of each window */
        send_cut(w, 0, 64 * i + 32, 0, 0, SPAN_LIT("thirty-two bytes: the second half"),
                 0);
        w->ns += CLK_US / 10;
    }
    const struct cap_flow_totals *t = cap_flows_totals(w->f);
    check_int(t->dir[0].held_bytes, <=, CAP_FLOW_HOLD_BYTES);
    /* 1024 pieces: 20 levels at most, down for the place, the tree, and its first */
    check_int(t->steps - before, <, 200000 * 70);
    check_int(t->memory_most, <, 4 << 20);
    check_int(w->gap[0] + w->data[0], >, 64 * (200000 - 1100));
    before = t->steps;
    for (int64_t i = 0; i < 2000; i++) /* the same window for ever */
        send_cut(w, 0, 64 * 199990 + 32 + 64 * (i % 10), 0, 0,
                 SPAN_LIT("thirty-two bytes: the second half"), 0);
    check_int(t->steps - before, <, 2000 * 70);
    world_free(w);
}

/* --- any stream, cut and mixed in any way --- */

static uint8_t byte_at(int dir, uint64_t at)
{
    return (uint8_t)(rng_hash((uint64_t)dir, at / 8) >> at % 8 * 8);
}

/* Every byte that is told stands at its place, gaps counted. */
static void check_content(struct world *w, int dir, struct span bytes)
{
    uint64_t at = w->data[dir] - bytes.n + w->gap[dir];
    for (size_t i = 0; i < bytes.n; i++)
        if (bytes.p[i] != byte_at(dir, at + i))
            fail_msg("byte %llu of direction %d is wrong", (unsigned long long)(at + i),
                     dir);
}

struct piece {
    int64_t at;
    uint32_t n, cut;
};

/* Cuts [0, total) into segments; some twice, some overlapping. */
static size_t cut_up(struct rng *r, int64_t total, struct piece *p, size_t room,
                     uint32_t most)
{
    size_t n = 0;
    for (int64_t at = 0; at < total && n + 2 < room;) {
        uint32_t k = 1 + (uint32_t)rng_below(r, most);
        if (at + k > total || n + 3 == room)
            k = (uint32_t)(total - at);
        p[n++] = (struct piece){at, k, 0};
        if (rng_below(r, 4) == 0) { /* again, from a little before */
            uint32_t back = (uint32_t)rng_below(r, (uint64_t)(at < 50 ? at + 1 : 50));
            p[n++] = (struct piece){at - back, (uint32_t)rng_below(r, k + back) + 1, 0};
        }
        at += k;
    }
    return n;
}

/* Each segment moves by less than `reach` places. */
static void shuffle(struct rng *r, struct piece *p, size_t n, size_t reach)
{
    size_t key[600];
    check_int(n, <=, 600);
    for (size_t i = 0; i < n; i++) {
        struct piece moved = p[i];
        size_t own = i + rng_below(r, reach), at = i;
        for (; at > 0 && key[at - 1] > own; at--) {
            key[at] = key[at - 1];
            p[at] = p[at - 1];
        }
        key[at] = own;
        p[at] = moved;
    }
}

static void send_piece(struct world *w, int dir, const struct piece *p, int64_t ack)
{
    static uint8_t bytes[1 << 16];
    for (uint32_t i = 0; i < p->n; i++)
        bytes[i] = byte_at(dir, (uint64_t)p->at + i);
    send_cut(w, dir, p->at, ack, 0, span_of(bytes, p->n), p->cut);
    w->ns += CLK_US * 50;
}

static void any_mix_of_segments_gives_the_exact_bytes(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 1);
    for (int round = 0; round < 300; round++) {
        struct world *w = world_new();
        struct piece p[2][600];
        size_t n[2], sent[2] = {0, 0};
        int64_t total[2];
        w->quiet = true;
        w->on_data = check_content;
        for (int dir = 0; dir < 2; dir++) {
            w->isn[dir] = rng_below(&r, 2) ? (uint32_t)rng_u64(&r)
                                           : UINT32_MAX - (uint32_t)rng_below(&r, 9000);
            total[dir] = 1 + (int64_t)rng_below(&r, 20000);
            n[dir] = cut_up(&r, total[dir], p[dir], 600, 100);
            shuffle(&r, p[dir], n[dir], 1 + rng_below(&r, 40));
        }
        handshake(w);
        while (sent[0] < n[0] || sent[1] < n[1]) {
            int dir = sent[1] == n[1] || (sent[0] < n[0] && rng_below(&r, 2)) ? 0 : 1;
            send_piece(w, dir, &p[dir][sent[dir]++], 0);
        }
        for (int dir = 0; dir < 2; dir++) {
            check_int(w->data[dir], ==, total[dir]);
            check_int(w->gap[dir], ==, 0);
            check_int(counts(w, dir)->conflicting_bytes, ==, 0);
            put(w, dir, total[dir], total[!dir], CAP_FIN, "");
        }
        check_int(w->closed, ==, 1);
        world_free(w);
    }
}

static void lost_segments_give_the_exact_gaps(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 2);
    for (int round = 0; round < 300; round++) {
        struct world *w = world_new();
        struct piece p[600];
        static bool had[70000];
        memset(had, 0, sizeof had);
        w->quiet = true;
        w->on_data = check_content;
        w->isn[0] = (uint32_t)rng_u64(&r);
        int64_t total = 1000 + (int64_t)rng_below(&r, 60000), highest = 0;
        size_t n = cut_up(&r, total, p, 600, 300);
        bool acks = rng_below(&r, 2);
        shuffle(&r, p, n, 1 + rng_below(&r, 20));
        handshake(w);
        for (size_t i = 0; i < n; i++) {
            if (rng_below(&r, 10) == 0)
                continue; /* lost to the capture, not to the peer */
            if (rng_below(&r, 20) == 0)
                p[i].cut = (uint32_t)rng_below(&r, p[i].n + 1);
            /* What is cut off counts as had only for who comes first, so a cut segment
             * overlaps with no other. */
            for (int64_t k = p[i].at; k < p[i].at + p[i].n; k++)
                if (had[k])
                    p[i].cut = 0;
            for (uint32_t k = 0; k < p[i].n - p[i].cut; k++)
                had[p[i].at + k] = true;
            if (p[i].cut) /* later copies would fill it, were it not "first wins" */
                for (size_t k = i + 1; k < n; k++)
                    if (p[k].at < p[i].at + p[i].n && p[k].at + p[k].n > p[i].at)
                        p[k].n = p[i].at > p[k].at ? (uint32_t)(p[i].at - p[k].at) : 0;
            if (!p[i].n)
                continue;
            send_piece(w, 0, &p[i], 0);
            if (p[i].at + p[i].n > highest)
                highest = p[i].at + p[i].n;
            if (acks)
                put(w, 1, 0, highest, 0, "");
        }
        put(w, 0, total, 0, CAP_FIN, "");
        put(w, 1, 0, total + 1, 0, "");
        pass_time(w, CAP_FLOW_GAP_NS); /* acknowledged by and by: more than once */
        int64_t lost = 0;
        for (int64_t k = 0; k < total; k++)
            lost += !had[k];
        check_int(w->data[0], ==, total - lost);
        check_int(w->gap[0], ==, lost);
        world_free(w);
    }
}

/* --- packets in another order than they were sent in --- */

static void bytes_that_come_after_their_acknowledgement_are_no_gap(void **state)
{
    (void)state;
    struct world *w = world_new();
    handshake(w);
    put(w, 1, 0, 9, 0, "answer"); /* before the question */
    put(w, 0, 9, 6, 0, "thanks"); /* it has the answer */
    put(w, 0, 5, 0, 0, "tion");
    check_told(w, "open(40000>9000) ");
    check_int(cap_flows_totals(w->f)->waiting_bytes, ==, 12);
    put(w, 0, 0, 0, 0, "quest");
    int64_t came = w->ns - CLK_MS;
    check_told(w, "0\"quest\" 0\"tion\" 1\"answer\" 0\"thanks\" ");
    check_int(w->at.ns, ==, came); /* none before what it answers */
    check_int(cap_flows_totals(w->f)->waiting_bytes, ==, 0);
    check_int(cap_flows_totals(w->f)->waited, ==, 2);
    world_free(w);
}

static void a_grace_ends_by_packets_and_time(void **state)
{
    (void)state;
    struct world *w = world_new();
    handshake(w);
    put(w, 0, 3, 0, 0, "def");
    put(w, 1, 0, 6, 0, "ok"); /* abc is missing */
    check_told(w, "open(40000>9000) ");
    w->ns += CAP_FLOW_GRACE_NS;
    for (unsigned i = 2; i < CAP_FLOW_GRACE_PACKETS; i++)
        send_cut(w, 0, 0, 0, 0, SPAN_LIT(""), 0);
    check_told(w, "");
    send_cut(w, 0, 0, 0, 0, SPAN_LIT(""), 0);
    send_cut(w, 0, 0, 0, 0, SPAN_LIT(""), 0);
    check_told(w, "gap0:3:acked 0\"def\" 1\"ok\" ");
    put(w, 0, 6, 0, 0, "ghi");
    check_told(w, "0\"ghi\" ");
    put(w, 1, 2, 10, 0, "no"); /* too few packets: by time alone */
    pass_time(w, CAP_FLOW_GRACE_MOST_NS - 2 * CLK_MS);
    check_told(w, "");
    pass_time(w, CLK_MS);
    check_told(w, "1\"no\" ");
    check_int(w->unseen[0], ==, 1);
    put(w, 1, 4, 12, 0, "nor"); /* not one byte since: not waited for again */
    check_told(w, "1\"nor\" ");
    world_free(w);
}

static void a_syn_may_come_after_bytes(void **state)
{
    (void)state;
    struct world *w = world_new();
    put(w, 0, 3, 2, 0, "def");
    put(w, 1, 0, 3, 0, "xy");
    put(w, 0, 0, 0, 0, "abc");
    put(w, 1, 0, 0, CAP_SYN, "");
    put(w, 0, 0, -1, CAP_SYN, "");
    check_told(w, "open(40000>9000) 0\"abc\" 1\"xy\" 0\"def\" ");
    check_int(cap_flows_totals(w->f)->flows_midway, ==, 0);
    world_free(w);
    w = world_new(); /* none comes: the first is the lowest */
    put(w, 1, 20, 106, 0, "xy");
    put(w, 0, 103, 22, 0, "def");
    put(w, 0, 100, 20, 0, "abc");
    pass_grace(w);
    check_told(w, "open(40000>9000,midway) 0\"abc\" 0\"def\" 1\"xy\" ");
    check_int(counts(w, 0)->stray_bytes + counts(w, 1)->stray_bytes, ==, 0);
    world_free(w);
}

static void ends_may_come_before_bytes(void **state)
{
    (void)state;
    struct world *w = world_new();
    handshake(w);
    put(w, 1, 5, 10, CAP_FIN, "");
    put(w, 0, 9, 0, CAP_FIN, "");
    put(w, 1, 0, 9, 0, "answe");
    put(w, 0, 0, 0, 0, "questions");
    check_told(w, "open(40000>9000) 0\"questions\" fin0 1\"answe\" fin1 close:fin ");
    world_free(w);
    w = world_new();
    handshake(w);
    put(w, 0, 8, 6, CAP_RST, "");
    put(w, 1, 0, 8, 0, "answer");
    check_told(w, "");
    put(w, 0, 0, 0, 0, "question");
    check_told(w, "open(40000>9000) 0\"question\" 1\"answer\" close:rst ");
    world_free(w);
    w = world_new(); /* what does not come holds no reset up for long */
    handshake(w);
    put(w, 0, 0, 0, 0, "abc");
    put(w, 0, 8, 0, CAP_RST, "");
    pass_grace(w);
    check_told(w, "open(40000>9000) 0\"abc\" close:rst ");
    world_free(w);
}

static void too_much_does_not_wait(void **state)
{
    (void)state;
    static uint8_t body[64 << 10];
    struct world *w = world_new();
    w->quiet = true;
    handshake(w);
    for (int i = 0; i < 2000; i++) { /* of a question that is not there */
        send_cut(w, 1, (int64_t)i * (int64_t)sizeof body, 9 + i, 0,
                 span_of(body, sizeof body), 0);
        check_int(cap_flows_totals(w->f)->waiting_bytes, <=, CAP_FLOW_HOLD_BYTES);
    }
    check_int(w->data[1], >, (2000 - 64) * sizeof body);
    check_int(w->gap[0] + w->gap[1], ==, 0);
    world_free(w);
}

struct packet_of {
    int dir;
    int64_t at, ack;
    unsigned flags;
    uint32_t n;
};

#define TALKS 40

/* Questions and answers, each acknowledged; the number of packets. */
static size_t conversation(struct rng *r, struct packet_of *p, int64_t total[2])
{
    size_t n = 0;
    p[n++] = (struct packet_of){0, 0, -1, CAP_SYN, 0};
    p[n++] = (struct packet_of){1, 0, 0, CAP_SYN, 0};
    p[n++] = (struct packet_of){0, 0, 0, 0, 0};
    for (int talk = 0; talk < 2 * TALKS; talk++) {
        int dir = talk & 1;
        for (uint64_t k = 1 + rng_below(r, 3); k > 0; k--) {
            uint32_t bytes = 1 + (uint32_t)rng_below(r, 90);
            p[n++] = (struct packet_of){dir, total[dir], total[!dir], 0, bytes};
            total[dir] += bytes;
        }
        if (rng_below(r, 2))
            p[n++] = (struct packet_of){!dir, total[!dir], total[dir], 0, 0};
    }
    p[n++] = (struct packet_of){0, total[0], total[1], CAP_FIN, 0};
    p[n++] = (struct packet_of){1, total[1], total[0] + 1, CAP_FIN, 0};
    return n;
}

static void conversations_survive_64_places_of_disorder(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 3);
    for (int round = 0; round < 400; round++) {
        struct world *w = world_new();
        struct packet_of p[16 * TALKS], *now;
        size_t key[16 * TALKS];
        int64_t total[2] = {0, 0};
        w->quiet = true;
        w->on_data = check_content;
        size_t n = conversation(&r, p, total), first = rng_below(&r, 2) ? 0 : 3;
        for (size_t i = first; i < n; i++) { /* by place, of 65 from its own on */
            struct packet_of moved = p[i];
            size_t own = i + rng_below(&r, 65), at = i;
            for (; at > first && key[at - 1] > own; at--) {
                key[at] = key[at - 1];
                p[at] = p[at - 1];
            }
            key[at] = own;
            p[at] = moved;
        }
        for (now = p + first; now < p + n; now++) {
            uint8_t bytes[128];
            for (uint32_t i = 0; i < now->n; i++)
                bytes[i] = byte_at(now->dir, (uint64_t)now->at + i);
            send_cut(w, now->dir, now->at, now->ack, now->flags, span_of(bytes, now->n),
                     0);
            w->ns += 70 * CLK_US; /* 64 places: 4.5 ms */
        }
        pass_grace(w);
        for (int dir = 0; dir < 2; dir++) {
            check_int(w->data[dir], ==, total[dir]);
            check_int(w->gap[dir] + counts(w, dir)->stray_bytes, ==, 0);
        }
        check_int(w->closed, ==, 1);
        check_int(cap_flows_totals(w->f)->flows_midway, ==, first > 0);
        world_free(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_conversation_is_told_as_it_was),
        cmocka_unit_test(shuffled_segments_are_put_in_order),
        cmocka_unit_test(full_and_partial_retransmissions_add_nothing),
        cmocka_unit_test(overlaps_with_equal_bytes_are_joined),
        cmocka_unit_test(of_overlaps_with_different_bytes_the_first_win),
        cmocka_unit_test(conflicts_are_seen_in_the_last_bytes_delivered),
        cmocka_unit_test(keep_alive_probes_are_no_data),
        cmocka_unit_test(the_sequence_may_wrap_inside_a_body),
        cmocka_unit_test(a_connection_may_carry_more_than_4_gib),
        cmocka_unit_test(what_the_peer_acknowledged_will_not_come),
        cmocka_unit_test(a_gap_that_is_never_filled_ends_by_packet_time),
        cmocka_unit_test(a_filled_hole_gives_its_bytes_the_time_of_the_filling),
        cmocka_unit_test(a_fin_proves_the_bytes_before_it),
        cmocka_unit_test(what_is_missing_at_the_end_is_said),
        cmocka_unit_test(holes_are_given_up_when_too_much_is_held),
        cmocka_unit_test(a_syn_may_carry_data),
        cmocka_unit_test(simultaneous_and_half_close),
        cmocka_unit_test(a_reset_ends_both_directions),
        cmocka_unit_test(a_reset_far_from_the_window_is_not_believed),
        cmocka_unit_test(a_refused_connection_is_never_opened),
        cmocka_unit_test(ports_are_used_again_with_and_without_a_fin),
        cmocka_unit_test(ports_used_again_soon_after_a_fin_without_a_syn),
        cmocka_unit_test(one_direction_alone_is_enough),
        cmocka_unit_test(acknowledgements_that_advance_change_nothing),
        cmocka_unit_test(zero_window_probes_give_their_byte_once),
        cmocka_unit_test(urgent_bytes_stay_in_their_place),
        cmocka_unit_test(segments_of_one_byte),
        cmocka_unit_test(segments_beyond_64_kib),
        cmocka_unit_test(what_the_snapshot_length_cut_off_is_a_gap),
        cmocka_unit_test(copies_on_lo_any_and_bridges_are_dropped),
        cmocka_unit_test(a_clock_that_goes_backwards_stops_no_timeout),
        cmocka_unit_test(a_connection_is_joined_at_the_first_byte_seen),
        cmocka_unit_test(
            a_direction_that_is_not_seen_is_missing_as_far_as_acknowledged),
        cmocka_unit_test(
            the_server_is_the_mapped_port_else_who_got_the_syn_else_the_lower),
        cmocka_unit_test(a_lost_answer_to_the_syn_hides_no_gap),
        cmocka_unit_test(idle_connections_are_closed_by_packet_time),
        cmocka_unit_test(too_many_connections_evict_the_longest_idle),
        cmocka_unit_test(memory_has_a_ceiling_over_all_connections),
        cmocka_unit_test(a_million_half_open_connections_cost_little),
        cmocka_unit_test(a_flood_of_holes_costs_little),
        cmocka_unit_test(any_mix_of_segments_gives_the_exact_bytes),
        cmocka_unit_test(lost_segments_give_the_exact_gaps),
        cmocka_unit_test(bytes_that_come_after_their_acknowledgement_are_no_gap),
        cmocka_unit_test(a_grace_ends_by_packets_and_time),
        cmocka_unit_test(a_syn_may_come_after_bytes),
        cmocka_unit_test(ends_may_come_before_bytes),
        cmocka_unit_test(too_much_does_not_wait),
        cmocka_unit_test(conversations_survive_64_places_of_disorder),
    };
    return cmocka_run_group_tests_name("flow", tests, NULL, NULL);
}

/*
 * fuzz_flow.c - whatever segments come, bytes are told in order, and every byte is
 * accounted for.
 *
 * The input is a row of segments of 8 bytes: connection and direction; flags; place
 * (two bytes, signed); length; captured of it, or the step of the place; time that
 * passes; acknowledgement. The byte at a sequence number is its low 8 bits, so that the
 * sink can check that nothing is told twice or out of its place.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>
#include <string.h>

#include "capture/flow.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CONNECTIONS 4

struct conn {
    bool open, finished[2], started[2];
    uint8_t next[2]; /* the byte that has to come */
};

struct world {
    struct cap_flows *f;
    uint64_t data[2], gap[2], seen, opened, closed;
};

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void *on_open(void *arg, const struct cap_flow_info *info, struct clk_wall at)
{
    struct world *w = arg;
    (void)at;
    must(info->ordinal == w->opened++);
    struct conn *c = calloc(1, sizeof *c);
    must(c != NULL);
    c->open = true;
    return c;
}

static void on_data(void *arg, void *conn, int dir, struct clk_wall at,
                    struct span bytes)
{
    struct world *w = arg;
    struct conn *c = conn;
    (void)at;
    must(c->open && !c->finished[dir] && bytes.n > 0);
    w->data[dir] += bytes.n;
    for (size_t i = 0; i < bytes.n; i++) {
        must(!c->started[dir] || bytes.p[i] == c->next[dir]);
        c->started[dir] = true;
        c->next[dir] = (uint8_t)(bytes.p[i] + 1);
    }
}

static void on_gap(void *arg, void *conn, int dir, struct clk_wall at, uint64_t bytes,
                   enum cap_gap why)
{
    struct world *w = arg;
    struct conn *c = conn;
    (void)at;
    must(c->open && !c->finished[dir] && bytes > 0 && why <= CAP_GAP_ENDED);
    w->gap[dir] += bytes;
    c->next[dir] = (uint8_t)(c->next[dir] + bytes);
}

static void on_finish(void *arg, void *conn, int dir, struct clk_wall at)
{
    struct conn *c = conn;
    (void)arg;
    (void)at;
    must(c->open && !c->finished[dir]);
    c->finished[dir] = true;
}

static void on_close(void *arg, void *conn, struct clk_wall at, enum cap_end how)
{
    struct world *w = arg;
    struct conn *c = conn;
    (void)at;
    must(c->open && how <= CAP_END_FILE);
    w->closed++;
    free(c);
}

static void check(const struct world *w)
{
    const struct cap_flow_totals *t = cap_flows_totals(w->f);
    uint64_t seen = t->waiting_bytes;
    for (int dir = 0; dir < 2; dir++) {
        const struct cap_flow_counts *c = &t->dir[dir];
        must(c->payload_bytes == c->delivered_bytes + c->gap_bytes +
                                     c->duplicate_bytes + c->stray_bytes +
                                     c->held_bytes);
        must(c->delivered_bytes == w->data[dir] && c->gap_bytes == w->gap[dir]);
        must(c->snaplen_bytes <= c->gap_bytes && c->conflicting_bytes == 0);
        seen += c->payload_bytes - (c->gap_bytes - c->snaplen_bytes);
    }
    must(seen == w->seen);
}

/* Where the connections stand in their sequence spaces. */
struct place {
    uint32_t seq[2];
};

static void send_one(struct world *w, struct place *places, const uint8_t *p,
                     struct clk_wall *now)
{
    static uint8_t bytes[256 * 256];
    int dir = p[0] & 1;
    unsigned k = p[0] >> 1 & (CONNECTIONS - 1);
    struct place *place = &places[k];
    int16_t offset = (int16_t)(p[2] << 8 | p[3]);
    uint32_t n = p[0] & 0x80 ? p[4] * 256u : p[4];
    uint32_t have = p[0] & 0x40 ? n * p[5] / 255 : n;
    int32_t step = offset * (p[0] & 0x20 ? 4096 : 1);
    uint32_t seq = place->seq[dir] + (uint32_t)step;
    now->ns += p[6] < 128 ? p[6] * CLK_MS : (p[6] - 192) * CLK_SEC;
    uint32_t first = seq + (p[1] & CAP_SYN ? 1 : 0);
    for (uint32_t i = 0; i < have; i++)
        bytes[i] = (uint8_t)(first + i);
    struct cap_segment seg = {
        .at = *now,
        .src = {.addr = {1}, .port = (uint16_t)(dir ? 9000 : 40000 + k)},
        .dst = {.addr = {1}, .port = (uint16_t)(dir ? 40000 + k : 9000)},
        .seq = seq,
        .ack = place->seq[!dir] + (uint32_t)((int8_t)p[7] * 16),
        .flags = p[1] & (CAP_FIN | CAP_SYN | CAP_RST | CAP_ACK | CAP_URG),
        .payload = span_of(bytes, have),
        .payload_bytes = n,
        .outgoing = p[1] >> 6 & 1,
    };
    uint64_t copies = cap_flows_totals(w->f)->copies_dropped;
    cap_flows_segment(w->f, &seg);
    if (copies == cap_flows_totals(w->f)->copies_dropped)
        w->seen += n;
    if (p[1] & 0x80) /* the place moves on */
        place->seq[dir] = first + n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world w = {0};
    struct cap_flow_sink sink = {on_open,  on_data, on_gap, on_finish,
                                 on_close, &w,      NULL};
    struct place places[CONNECTIONS] = {{{0, UINT32_MAX - 100}}};
    struct clk_wall now = {.ns = 1000 * CLK_SEC};
    w.f = cap_flows_new(&sink, &(uint16_t){9000}, 1, NULL);
    must(w.f != NULL);
    size_t count = size / 8 < 2000 ? size / 8 : 2000;
    for (size_t i = 0; i < count; i++) {
        send_one(&w, places, data + 8 * i, &now);
        check(&w);
    }
    /* No more than a few walks down a tree of 1024 for each segment, and for each
     * piece that it can be cut into. */
    must(cap_flows_totals(w.f)->steps <= 1000 * count + 25 * (w.seen + 1));
    cap_flows_end(w.f);
    check(&w);
    must(w.opened == w.closed && cap_flows_totals(w.f)->open == 0);
    must(cap_flows_totals(w.f)->dir[0].held_bytes == 0);
    cap_flows_free(w.f);
    return 0;
}

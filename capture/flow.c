/*
 * flow.c - the table of connections; see flow.h, and flow_own.h for the other files.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "capture/flow.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "capture/flow_own.h"
#include "capture/flow_wait.h"
#include "traces/base/rng.h"

/* Both directions of a connection, without which is which. */
struct pair {
    const struct cap_endpoint *end[2]; /* within the segment */
    uint64_t hash;
    int side; /* of the segment's sender */
};

/* --- lists --------------------------------------------------------------------------
 */

static void unlink_flow(struct cap_flows *f, struct flow *fl)
{
    struct list *l = &f->lists[fl->list];
    *(fl->before ? &fl->before->after : &l->first) = fl->after;
    *(fl->after ? &fl->after->before : &l->last) = fl->before;
    fl->before = fl->after = NULL;
}

static void append_flow(struct cap_flows *f, struct flow *fl, enum flow_list list)
{
    struct list *l = &f->lists[list];
    fl->list = list;
    fl->touched = f->clock;
    fl->before = l->last;
    *(l->last ? &l->last->after : &l->first) = fl;
    l->last = fl;
}

static void move_flow(struct cap_flows *f, struct flow *fl, enum flow_list list)
{
    unlink_flow(f, fl);
    append_flow(f, fl, list);
}

/* --- looking up ---------------------------------------------------------------------
 */

static uint64_t word(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* In byte order. */
static bool is_above(const struct cap_endpoint *a, const struct cap_endpoint *b)
{
    for (size_t at = 0; at < sizeof a->addr; at += sizeof(uint64_t)) {
        uint64_t x = be64toh(word(a->addr + at)), y = be64toh(word(b->addr + at));
        if (x != y)
            return x > y;
    }
    return a->port > b->port;
}

static bool same_end(const struct cap_endpoint *a, const struct cap_endpoint *b)
{
    return a->port == b->port && memcmp(a->addr, b->addr, sizeof a->addr) == 0;
}

/* A universal hash (NH of Black et al., UMAC, 1999, with keys of 64 bits), so that no
 * one who does not know the keys can choose connections that fall together. */
static uint64_t hash_of(const struct cap_flows *f,
                        const struct cap_endpoint *const end[2])
{
    __extension__ typedef unsigned __int128 wide;
    const uint64_t *k = f->key;
    wide sum = (wide)(word(end[0]->addr) + k[0]) * (word(end[0]->addr + 8) + k[1]);
    sum += (wide)(word(end[1]->addr) + k[2]) * (word(end[1]->addr + 8) + k[3]);
    sum += (wide)(((uint64_t)end[0]->port << 16 | end[1]->port) + k[4]) * k[5];
    return rng_hash((uint64_t)(sum >> 64), (uint64_t)sum);
}

static struct pair pair_of(const struct cap_flows *f, const struct cap_segment *seg)
{
    struct pair p = {.side = is_above(&seg->src, &seg->dst)};
    p.end[p.side] = &seg->src;
    p.end[!p.side] = &seg->dst;
    p.hash = hash_of(f, p.end);
    return p;
}

static struct flow *find(struct cap_flows *f, const struct pair *p)
{
    struct flow *fl = f->buckets[p->hash & (FLOW_BUCKETS - 1)];
    for (; fl; fl = fl->chain) {
        f->totals.steps++;
        if (fl->hash == p->hash && same_end(&fl->end[0], p->end[0]) &&
            same_end(&fl->end[1], p->end[1]))
            return fl;
    }
    return NULL;
}

/* --- beginning and ending -----------------------------------------------------------
 */

static bool is_mapped(const struct cap_flows *f, uint16_t port)
{
    return f->mapped[port / 8] >> port % 8 & 1;
}

static uint8_t server_side_of(const struct cap_flows *f, const struct flow *fl)
{
    bool first = is_mapped(f, fl->end[0].port), second = is_mapped(f, fl->end[1].port);
    if (first != second)
        return second;
    if (fl->syn_side >= 0)
        return !fl->syn_side;
    return fl->end[1].port < fl->end[0].port;
}

/* The sink learns of the connection: it has a byte. */
static void activate(struct cap_flows *f, struct flow *fl, struct clk_wall at)
{
    if (fl->list == LIST_ACTIVE)
        return;
    move_flow(f, fl, LIST_ACTIVE);
    fl->server_side = server_side_of(f, fl);
    f->totals.flows++;
    f->totals.flows_midway += fl->syn_side < 0;
    struct cap_flow_info info = {.ordinal = f->ordinals++,
                                 .client = fl->end[!fl->server_side],
                                 .server = fl->end[fl->server_side],
                                 .from_start = fl->syn_side >= 0};
    fl->conn = f->sink.open(f->sink.arg, &info, at);
    for (int side = 0; side < 2; side++)
        if (fl->from[side].finished)
            f->sink.finish(f->sink.arg, fl->conn, flow_dir(&fl->from[side]), at);
}

/* The connection ends; its place in the table stays for a while. */
static void end_flow(struct cap_flows *f, struct flow *fl, struct clk_wall at,
                     enum cap_end how)
{
    if (fl->list == LIST_BEGUN)
        activate(f, fl, at); /* the bytes that wait are too late for it */
    if (fl->list == LIST_ACTIVE) {
        enum cap_gap why = how == CAP_END_EVICTED ? CAP_GAP_EVICTED : CAP_GAP_ENDED;
        for (int dir = 0; dir < 2; dir++)
            flow_flush(f, &fl->from[fl->server_side ^ !dir], why);
        f->sink.close(f->sink.arg, fl->conn, at, how);
        f->totals.flows_evicted += how == CAP_END_EVICTED;
        fl->conn = NULL;
    } else if (fl->list != LIST_OVER) {
        fl->server_side = server_side_of(f, fl);
        f->totals.flows_empty++;
    }
    move_flow(f, fl, LIST_OVER);
}

/* What waits for a flow that is given up. */
static void drop_waiting(struct cap_flows *f, struct flow *fl)
{
    struct flow_waiting *w;
    while ((w = fl->wait_first)) {
        struct cap_flow_counts *c = flow_counts(f, &fl->from[flow_wait_side(w)]);
        c->segments++;
        c->payload_bytes += w->seg.payload_bytes;
        c->stray_bytes += w->seg.payload_bytes;
        flow_wait_take(f, w);
        free(w);
    }
}

static void forget(struct cap_flows *f, struct flow *fl)
{
    drop_waiting(f, fl);
    struct flow **link = &f->buckets[fl->hash & (FLOW_BUCKETS - 1)];
    for (; *link != fl; link = &(*link)->chain)
        f->totals.steps++;
    *link = fl->chain;
    unlink_flow(f, fl);
    fl->chain = f->spare;
    f->spare = fl;
    f->totals.open = --f->count;
}

static void end_and_forget(struct cap_flows *f, struct flow *fl, enum cap_end how)
{
    if (fl->list != LIST_OVER)
        end_flow(f, fl, f->newest, how);
    forget(f, fl);
}

static bool evict_one(struct cap_flows *f)
{
    for (int list = 0; list < LIST_COUNT; list++)
        if (f->lists[list].first) {
            end_and_forget(f, f->lists[list].first, CAP_END_EVICTED);
            return true;
        }
    return false;
}

/* Memory of a flow; NULL: there is none, not even that of another. */
static struct flow *get_flow(struct cap_flows *f)
{
    if (f->count >= CAP_FLOW_MAX)
        evict_one(f);
    while (!f->spare &&
           f->totals.memory_bytes + sizeof(struct flow) > CAP_FLOW_MEMORY_BYTES) {
        if (f->due_count)
            flow_give_up(f, f->due[0], CAP_GAP_CEILING);
        else if (!evict_one(f))
            return NULL;
    }
    struct flow *fl = f->spare;
    if (!fl) {
        fl = malloc(sizeof *fl);
        if (fl)
            flow_memory(f, sizeof *fl);
        else if (evict_one(f))
            fl = f->spare;
    }
    if (fl && fl == f->spare)
        f->spare = fl->chain;
    return fl;
}

static struct flow *new_flow(struct cap_flows *f, const struct pair *p)
{
    struct flow *fl = get_flow(f);
    if (!fl)
        return NULL;
    *fl = (struct flow){.hash = p->hash, .begun = f->newest, .syn_side = -1};
    for (int side = 0; side < 2; side++) {
        fl->end[side] = *p->end[side];
        fl->from[side].owner = fl;
        fl->from[side].side = (uint8_t)side;
        fl->from[side].told.ns = INT64_MIN;
    }
    struct flow **bucket = &f->buckets[p->hash & (FLOW_BUCKETS - 1)];
    fl->chain = *bucket;
    *bucket = fl;
    append_flow(f, fl, LIST_EMPTY);
    f->totals.open = ++f->count;
    if (f->totals.open > f->totals.open_most)
        f->totals.open_most = f->totals.open;
    return fl;
}

/* --- segments -----------------------------------------------------------------------
 */

/* What copies of a packet have in common. */
static uint64_t copy_key(const struct pair *p, const struct cap_segment *seg)
{
    uint64_t rest = (uint64_t)seg->payload_bytes << 9 | (uint64_t)seg->flags << 1;
    return p->hash ^
           rng_hash(rest | (uint64_t)p->side, (uint64_t)seg->seq << 32 | seg->ack);
}

static struct copy *copy_place(struct cap_flows *f, uint64_t key)
{
    return &f->copies[key & (FLOW_COPY_PLACES - 1)];
}

/* Whether the packet was seen a moment ago somewhere else: sent on one interface and
 * received on another, or both on `lo`. */
static bool is_copy(struct cap_flows *f, uint64_t key, const struct cap_segment *seg)
{
    struct copy *c = copy_place(f, key);
    int64_t apart;
    if (c->key == key && !__builtin_sub_overflow(seg->at.ns, c->at.ns, &apart) &&
        apart <= CAP_FLOW_COPY_NS && apart >= -CAP_FLOW_COPY_NS &&
        (c->interface != seg->interface || c->outgoing != seg->outgoing))
        return true;
    *c = (struct copy){key, seg->at, seg->interface, seg->outgoing};
    return false;
}

/* A SYN, or the answer to one: the flow that it belongs to, a new one when the ports
 * are used again. */
static struct flow *take_syn(struct cap_flows *f, struct flow *fl, const struct pair *p,
                             const struct cap_segment *seg)
{
    uint32_t first = seg->seq + 1;
    bool answer = seg->flags & CAP_ACK;
    if (fl) {
        struct stream *s = &fl->from[p->side];
        if (s->anchored && (uint32_t)s->base == first)
            return fl; /* once more */
        if (s->anchored || fl->list == LIST_OVER) {
            end_and_forget(f, fl, CAP_END_REUSED);
            fl = NULL;
        }
    }
    if (!fl && !(fl = new_flow(f, p)))
        return NULL;
    flow_anchor(&fl->from[p->side], first);
    if (fl->syn_side < 0)
        fl->syn_side = (int8_t)(answer ? !p->side : p->side);
    if (answer && !fl->from[!p->side].anchored)
        flow_anchor(&fl->from[!p->side], seg->ack);
    return fl;
}

/* Payload for a connection that is over. False: it belongs to another, whose SYN was
 * not seen. */
static bool take_late(struct cap_flows *f, struct flow *fl, const struct pair *p,
                      const struct cap_segment *seg)
{
    struct stream *s = &fl->from[p->side];
    bool near = false;
    uint64_t from = s->anchored ? flow_widen(s, seg->seq, &near) : 0;
    if (!near)
        return false;
    struct cap_flow_counts *c = flow_counts(f, s);
    c->segments++;
    c->payload_bytes += seg->payload_bytes;
    uint64_t had = from < s->next ? s->next - from : 0;
    if (had > seg->payload_bytes)
        had = seg->payload_bytes;
    c->duplicate_bytes += had;
    c->retransmissions += had > 0;
    c->stray_bytes += seg->payload_bytes - had;
    return true;
}

/* A segment far from its stream's place: false when it is put aside; true when it
 * begins another connection on the same ports, and *fl is that. */
static bool take_far(struct cap_flows *f, struct flow **fl, const struct pair *p,
                     const struct cap_segment *seg)
{
    struct stream *s = &(*fl)->from[p->side];
    if (s->far && s->far_next == seg->seq) {
        end_and_forget(f, *fl, CAP_END_REUSED);
        *fl = new_flow(f, p);
        f->totals.unplaced_bytes += *fl ? 0 : seg->payload_bytes;
        return *fl;
    }
    struct cap_flow_counts *c = flow_counts(f, s);
    s->far = true;
    s->far_next = seg->seq + seg->payload_bytes;
    c->segments++;
    c->payload_bytes += seg->payload_bytes;
    c->stray_bytes += seg->payload_bytes;
    return false;
}

static void take_payload(struct cap_flows *f, struct flow **fl, const struct pair *p,
                         const struct cap_segment *seg)
{
    uint32_t seq = seg->seq + (seg->flags & CAP_SYN ? 1 : 0);
    struct stream *s = &(*fl)->from[p->side];
    bool near = true;
    if (s->anchored)
        flow_widen(s, seq, &near);
    activate(f, *fl, seg->at);
    if (!near) {
        if (!take_far(f, fl, p, seg))
            return;
        activate(f, *fl, seg->at);
        s = &(*fl)->from[p->side];
    }
    s->far = false;
    if (!s->anchored)
        flow_join(f, s, seq);
    if (seg->flags & CAP_RST) { /* why, in words: no part of the stream */
        flow_counts(f, s)->segments++;
        flow_counts(f, s)->payload_bytes += seg->payload_bytes;
        flow_counts(f, s)->stray_bytes += seg->payload_bytes;
        return;
    }
    flow_take(f, s, flow_widen(s, seq, &near), seg);
}

static bool is_long_after(struct clk_wall at, struct clk_wall joined)
{
    int64_t passed;
    return !__builtin_sub_overflow(at.ns, joined.ns, &passed) &&
           passed >= CAP_FLOW_JOINED_NS;
}

static void take_ack(struct cap_flows *f, struct flow *fl, const struct pair *p,
                     const struct cap_segment *seg)
{
    struct stream *peer = &fl->from[!p->side];
    if (!(seg->flags & CAP_ACK))
        return;
    /* Without the answer to a SYN, this says where the peer begins. Of a connection
     * joined midway it does not at first: what the peer has under way may have been
     * sent before the capture began, and is not missing then. */
    if (peer->anchored)
        flow_take_ack(f, peer, seg->ack);
    else if (fl->syn_side >= 0)
        flow_anchor(peer, seg->ack);
    else if (is_long_after(seg->at, fl->begun))
        flow_note_ack(peer, seg->ack);
}

static void take_fin(struct cap_flows *f, struct flow *fl, const struct pair *p,
                     const struct cap_segment *seg)
{
    struct stream *s = &fl->from[p->side];
    uint32_t seq = seg->seq + seg->payload_bytes + (seg->flags & CAP_SYN ? 1 : 0);
    if (!s->anchored)
        flow_join(f, s, seq);
    bool near;
    uint64_t at = flow_widen(s, seq, &near);
    if (!near)
        return;
    if (at > s->next)
        activate(f, fl, seg->at); /* bytes are missing, so there were some */
    flow_take_fin(f, s, at, seg->at);
}

static void take_rst(struct cap_flows *f, struct flow *fl, const struct pair *p,
                     const struct cap_segment *seg)
{
    struct stream *s = &fl->from[p->side];
    bool near = true;
    if (s->anchored)
        flow_widen(s, seg->seq, &near);
    /* Who refuses a connection, or has forgotten it, sends 0 and acknowledges. */
    if (near || (seg->seq == 0 && seg->flags & CAP_ACK))
        end_flow(f, fl, seg->at, CAP_END_RST);
}

/* The flow of a segment, by the one that was found for it; NULL: it is of none, and
 * begins none. */
static struct flow *flow_of(struct cap_flows *f, struct flow *fl, const struct pair *p,
                            const struct cap_segment *seg)
{
    if (seg->flags & CAP_SYN && !(seg->flags & CAP_RST))
        fl = take_syn(f, fl, p, seg);
    if (fl && fl->list == LIST_OVER) {
        if (seg->payload_bytes == 0 || take_late(f, fl, p, seg))
            return NULL;
        forget(f, fl);
        fl = NULL;
    }
    if (!fl && seg->payload_bytes > 0) {
        fl = new_flow(f, p);
        f->totals.unplaced_bytes += fl ? 0 : seg->payload_bytes;
    }
    return fl;
}

/* Takes the segment as the next of its flow. fl: what was found for it. */
static void take(struct cap_flows *f, struct flow *fl, const struct pair *p,
                 const struct cap_segment *seg)
{
    fl = flow_of(f, fl, p, seg);
    if (!fl)
        return;
    move_flow(f, fl, fl->list);
    take_ack(f, fl, p, seg);
    if (seg->payload_bytes > 0) {
        take_payload(f, &fl, p, seg);
        if (!fl)
            return;
    }
    if (seg->flags & CAP_FIN)
        take_fin(f, fl, p, seg);
    if (seg->flags & CAP_RST)
        take_rst(f, fl, p, seg);
    else if (fl->from[0].finished && fl->from[1].finished)
        end_flow(f, fl, seg->at, CAP_END_FIN);
}

/* --- in the order of sending --------------------------------------------------------
 */

/* Takes one that has waited. It was not sent before what it acknowledges came. */
static void take_waiting(struct cap_flows *f, struct flow_waiting *w)
{
    struct flow *fl = w->owner;
    struct pair p = pair_of(f, &w->seg);
    const struct stream *peer = &fl->from[!p.side];
    flow_wait_take(f, w);
    if (peer->anchored && w->seg.ack == (uint32_t)peer->next &&
        w->seg.at.ns < peer->told.ns)
        w->seg.at = peer->told;
    take(f, fl, &p, &w->seg);
    free(w);
}

/* A segment of this flow was taken: so are those now that waited for it. */
static void take_ready(struct cap_flows *f, const struct pair *p)
{
    struct flow *fl;
    struct flow_waiting *w;
    while ((fl = find(f, p)) && fl->wait_first && (w = flow_wait_ready(f, fl)))
        take_waiting(f, w);
}

/* Takes the segment that was sent first of those that wait for this flow, though what
 * it waits for has not come. */
static void take_first_sent(struct cap_flows *f, struct flow *fl)
{
    struct flow_waiting *w = flow_wait_first_sent(f, fl);
    const struct cap_segment seg = w->seg; /* whose ends the pair points at */
    struct pair p = pair_of(f, &seg);
    struct stream *peer = &fl->from[!p.side];
    peer->silent = peer->anchored && peer->seen < w->packets;
    take_waiting(f, w);
    take_ready(f, &p);
}

static bool begins_anew(const struct flow *fl, const struct pair *p,
                        const struct cap_segment *seg)
{
    const struct stream *s = &fl->from[p->side];
    return seg->flags & CAP_SYN && s->anchored && (uint32_t)s->base != seg->seq + 1;
}

/* False: it cannot wait; what waited for the flow does not either. */
static bool wait_for_others(struct cap_flows *f, struct flow *fl, const struct pair *p,
                            const struct cap_segment *seg)
{
    if (!fl && !(fl = new_flow(f, p))) {
        f->totals.unplaced_bytes += seg->payload_bytes;
        return true;
    }
    bool begins = fl->list == LIST_EMPTY && seg->payload_bytes > 0;
    move_flow(f, fl, begins ? LIST_BEGUN : fl->list);
    if (seg->payload_bytes > 0) {
        fl->from[p->side].silent = false;
        fl->from[p->side].seen = f->packets;
    }
    return flow_wait_add(f, fl, seg);
}

/* In the order in which they came in, a packet's copies apart. */
static void take_or_wait(struct cap_flows *f, struct flow *fl, const struct pair *p,
                         const struct cap_segment *seg)
{
    while (fl && fl->wait_first && begins_anew(fl, p, seg)) {
        take_first_sent(f, fl);
        fl = find(f, p);
    }
    while (flow_must_wait(f, fl, p->side, seg) ||
           (seg->flags & CAP_RST && fl && fl->wait_first)) {
        if (wait_for_others(f, fl, p, seg))
            return;
        fl = find(f, p);
        if (!fl || !fl->wait_first)
            break;
        take_first_sent(f, fl);
        fl = find(f, p);
    }
    take(f, fl, p, seg);
    if (f->wait_first)
        take_ready(f, p);
}

/* --- time ---------------------------------------------------------------------------
 */

static void advance(struct cap_flows *f, struct clk_wall at)
{
    if (!f->started) {
        f->started = true;
        f->newest = at;
        return;
    }
    int64_t passed;
    if (__builtin_sub_overflow(at.ns, f->newest.ns, &passed))
        passed = at.ns > f->newest.ns ? INT64_MAX : INT64_MIN;
    if (passed < -CAP_FLOW_STEP_NS)
        f->totals.clock_steps++;
    else if (passed <= 0)
        return; /* packets of several processors, a little out of order */
    f->newest = at;
    /* Longer pauses change nothing more; so the sum cannot overflow soon. */
    if (passed > 2 * CAP_FLOW_IDLE_NS)
        passed = 2 * CAP_FLOW_IDLE_NS;
    if (passed > 0 && f->clock < INT64_MAX / 2)
        f->clock += passed;
}

/* Sets when a look at the lists is worth it again: a flow that is put there after this
 * one stays as long as its list says. */
static void expire_lists(struct cap_flows *f)
{
    static const struct {
        enum flow_list list;
        int64_t ns;
    } stays[] = {{LIST_OVER, CAP_FLOW_LINGER_NS},
                 {LIST_EMPTY, CAP_FLOW_IDLE_NS},
                 {LIST_ACTIVE, CAP_FLOW_IDLE_NS},
                 {LIST_BEGUN, CAP_FLOW_IDLE_NS}};
    for (size_t i = 0; i < LIST_COUNT; i++) {
        struct list *l = &f->lists[stays[i].list];
        while (l->first && f->clock - l->first->touched >= stays[i].ns)
            end_and_forget(f, l->first, CAP_END_IDLE);
    }
    f->wake = INT64_MAX;
    for (size_t i = 0; i < LIST_COUNT; i++) {
        const struct flow *first = f->lists[stays[i].list].first;
        int64_t next = (first ? first->touched : f->clock) + stays[i].ns;
        f->wake = next < f->wake ? next : f->wake;
    }
}

static void expire(struct cap_flows *f)
{
    while (f->due_count && f->due[0]->due <= f->clock)
        flow_give_up(f, f->due[0], CAP_GAP_TIME);
    while (flow_wait_is_over(f))
        take_first_sent(f, f->wait_first->owner);
    if (f->clock >= f->wake)
        expire_lists(f);
}

void cap_flows_time(struct cap_flows *f, struct clk_wall now)
{
    advance(f, now);
    expire(f);
}

/* --- the face ---------------------------------------------------------------------
 */

void cap_flows_segment(struct cap_flows *f, const struct cap_segment *seg)
{
    struct pair p = pair_of(f, seg);
    uint64_t key = 0;
    f->packets++;
    if (seg->payload_bytes > 0) {
        key = copy_key(&p, seg);
        __builtin_prefetch(copy_place(f, key), 1); /* while the flow is looked up */
    }
    cap_flows_time(f, seg->at);
    struct flow *fl = find(f, &p);
    if (seg->payload_bytes > 0 && is_copy(f, key, seg)) {
        f->totals.copies_dropped++;
        return;
    }
    take_or_wait(f, fl, &p, seg);
}

/* --- the table ----------------------------------------------------------------------
 */

struct cap_flows *cap_flows_new(const struct cap_flow_sink *sink,
                                const uint16_t *server_ports, size_t port_count,
                                struct err *e)
{
    struct cap_flows *f = calloc(1, sizeof *f);
    if (f)
        f->buckets = calloc(FLOW_BUCKETS, sizeof(struct flow *));
    if (!f || !f->buckets) {
        free(f);
        err_set(e, ERR_NOMEM, "no memory for the table of connections");
        return NULL;
    }
    f->sink = *sink;
    for (size_t i = 0; i < port_count; i++)
        f->mapped[server_ports[i] / 8] |= (uint8_t)(1u << server_ports[i] % 8);
    if (getentropy(f->key, sizeof f->key) < 0)
        f->key[0] = (uint64_t)(uintptr_t)f; /* slower to attack is all it is for */
    f->key[5] |= 1;
    flow_memory(f, (int64_t)(sizeof *f + FLOW_BUCKETS * sizeof(struct flow *)));
    return f;
}

void cap_flows_end(struct cap_flows *f)
{
    while (f->wait_first)
        take_first_sent(f, f->wait_first->owner);
    for (int list = LIST_COUNT; list-- > 0;)
        while (f->lists[list].first)
            end_and_forget(f, f->lists[list].first, CAP_END_FILE);
}

void cap_flows_free(struct cap_flows *f)
{
    if (!f)
        return;
    cap_flows_end(f);
    for (struct flow *fl = f->spare, *next; fl; fl = next) {
        next = fl->chain;
        free(fl);
    }
    free(f->due);
    free(f->buckets);
    free(f);
}

const struct cap_flow_totals *cap_flows_totals(const struct cap_flows *f)
{
    return &f->totals;
}

/*
 * flow_own.h - the structs of the flow table; for flow*.c alone.
 *
 *   flow.c         the table: who a segment belongs to, how connections begin and end
 *   flow_stream.c  one direction: bytes into order, gaps
 *   flow_hold.c    what came ahead of its turn
 *   flow_due.c     which hole has waited the longest
 *   flow_wait.c    segments that wait for others, before they are taken
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CAPTURE_FLOW_OWN_H
#define CAPTURE_FLOW_OWN_H

#include "capture/flow.h"
#include "capture/flow_hold.h"

#define FLOW_BUCKETS     (1u << 17) /* a power of 2 */
#define FLOW_COPY_PLACES 4096u      /* a power of 2 */
#define FLOW_GAPS        4u
#define FLOW_PORTS       65536u

struct flow;
struct flow_waiting;

/* One direction, named by its sender. Sequence numbers are widened to 64 bits, around
 * the highest of next and acked. */
struct stream {
    struct flow *owner;
    bool anchored; /* base, next are known */
    bool fin;      /* end is known */
    bool finished; /* the sink was told */
    bool far;      /* a segment far from its place was seen, which ended at far_next */
    bool silent;   /* acknowledged bytes did not come, and none since: wait for none */
    bool said;     /* not anchored: the peer said that it goes on at said_from, */
    uint32_t said_from, said_to; /* and, later, that it has got all up to said_to */
    uint8_t side;
    uint32_t far_next;
    uint64_t base;  /* first byte of the connection, or the first that was seen */
    uint64_t next;  /* first byte neither delivered nor given up */
    uint64_t acked; /* by the peer: all before; 0: nothing yet */
    uint64_t end;   /* place of the FIN */
    uint64_t seen;  /* the table's count when its last payload came */
    struct {
        uint64_t from, to;
    } gaps[FLOW_GAPS];    /* the latest: what comes late for them is told apart */
    uint32_t gap_count;   /* of all */
    uint64_t tail_from;   /* tail has the bytes [max(this, next - TAIL), next) */
    struct clk_wall told; /* time of the last bytes delivered, since a gap */
    struct clk_wall fin_at;
    int64_t fin_since; /* the table's clock */
    struct flow_hold hold;
    uint32_t due_place; /* in the heap, from 1; 0: not there */
    int64_t due;        /* when its first hole is given up */
    uint8_t tail[CAP_FLOW_TAIL];
};

enum flow_list {
    LIST_OVER,   /* closed; stays for what comes late */
    LIST_EMPTY,  /* no payload yet: the sink does not know of it */
    LIST_ACTIVE, /* open at the sink */
    LIST_BEGUN,  /* no payload that was taken yet, but some that waits */
    LIST_COUNT
};

struct flow {
    struct flow *chain;          /* of its bucket */
    struct flow *before, *after; /* in its list, by time of the last segment */
    enum flow_list list;
    int64_t touched;       /* the table's clock */
    struct clk_wall begun; /* packet time of its first segment */
    uint64_t hash;
    struct cap_endpoint end[2]; /* in byte order */
    struct stream from[2];      /* by sender */
    int8_t syn_side;            /* who sent the SYN; -1: not seen */
    uint8_t server_side;        /* once active */
    void *conn;                 /* the sink's */
    struct flow_waiting *wait_first, *wait_last;
    uint32_t wait_count;
    size_t wait_memory;
};

struct list {
    struct flow *first, *last;
};

/* The latest packet that fell on this place: to tell its copies. */
struct copy {
    uint64_t key;
    struct clk_wall at;
    uint32_t interface;
    uint8_t outgoing;
};

struct cap_flows {
    struct cap_flow_sink sink;
    struct cap_flow_totals totals;
    struct flow **buckets;
    struct list lists[LIST_COUNT];
    struct flow *spare; /* chained by `chain` */
    uint32_t count;     /* flows in the table */
    uint64_t key[6];    /* of the hash: random, nothing but speed depends on it */
    bool started;
    struct clk_wall newest; /* packet time */
    int64_t clock;          /* advances with it, up to INT64_MAX / 2 or so */
    int64_t wake;           /* of the clock: before it no flow has stayed its time */
    struct stream **due;    /* a heap: the earliest first */
    uint32_t due_count, due_room;
    uint64_t ordinals;
    uint64_t packets;                            /* segments */
    struct flow_waiting *wait_first, *wait_last; /* of all flows */
    struct copy copies[FLOW_COPY_PLACES];
    uint8_t mapped[FLOW_PORTS / 8];
};

/* --- flow_due.c --- */
/* Sets when s is due. False: out of memory, s is not in the heap. */
bool flow_due_set(struct cap_flows *f, struct stream *s, int64_t due);
void flow_due_remove(struct cap_flows *f, struct stream *s);

/* --- flow_stream.c --- */
/* dir as the sink counts it: 0 towards the server. The flow is active. */
int flow_dir(const struct stream *s);
struct cap_flow_counts *flow_counts(struct cap_flows *f, const struct stream *s);
void flow_anchor(struct stream *s, uint32_t seq);
/* Of a direction that is not anchored: the peer's acknowledgement. */
void flow_note_ack(struct stream *s, uint32_t ack);
/* Anchors at the first byte seen, or in front of it where the peer said. */
void flow_join(struct cap_flows *f, struct stream *s, uint32_t seq);
/* seq in the 64-bit space; *near: it is credible. */
uint64_t flow_widen(const struct stream *s, uint32_t seq, bool *near);
/* What the segment carries, whose first byte is at `from`. */
void flow_take(struct cap_flows *f, struct stream *s, uint64_t from,
               const struct cap_segment *seg);
void flow_take_fin(struct cap_flows *f, struct stream *s, uint64_t at,
                   struct clk_wall time);
void flow_take_ack(struct cap_flows *f, struct stream *s, uint32_t ack);
/* Gives up the first hole. */
void flow_give_up(struct cap_flows *f, struct stream *s, enum cap_gap why);
/* Gives up all holes, and what was acknowledged and not seen; nothing is held any more.
 */
void flow_flush(struct cap_flows *f, struct stream *s, enum cap_gap why);
void flow_memory(struct cap_flows *f, int64_t change);

#endif

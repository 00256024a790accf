/*
 * flow.h - TCP connections out of segments: each direction as one ordered run of bytes.
 *
 * Sequence numbers live in a 64-bit space, so neither wrap nor 4 GiB end a connection.
 * First bytes win; an overlap with other bytes is counted, as far as the first ones are
 * at hand: they are held, or among the last CAP_FLOW_TAIL delivered. Bytes that will
 * not come (acknowledged by the peer, older than CAP_FLOW_GAP_NS of packet time, or
 * beyond the buffers' ceilings) are declared a gap, and the sink is told. A direction
 * joined in its middle starts at the first byte seen, or, when none was for
 * CAP_FLOW_JOINED_NS, where the peer's acknowledgement then says. No path costs more
 * than O(log n) in held segments, and no more than that for each byte of a segment.
 *
 * Packets need not come in the order in which they were sent: cards with several queues
 * and merged files mix them a little. So a segment that acknowledges bytes of the other
 * direction which were not seen waits: until they are there, or for a grace of
 * CAP_FLOW_GRACE_PACKETS more packets (of any connection) and CAP_FLOW_GRACE_NS of
 * packet time, CAP_FLOW_GRACE_MOST_NS at most. So do the first ones of a direction
 * whose SYN was not seen (yet), and a reset behind what waits. What waits too long, or
 * is too much (flow_wait.h), is taken as if it had come in its turn then: only now
 * acknowledged bytes that were not seen are a gap.
 *
 * One thread at a time. The table owns its memory and stays within its limits: first
 * what was over is forgotten, then connections without a byte (half open), then those
 * idle the longest; their missing bytes are declared lost, what is held is delivered,
 * and everything is counted. Nothing depends on the real clock: packet times drive the
 * table's own clock, which never goes backwards (a step back of the packets' time over
 * CAP_FLOW_STEP_NS stops it for that packet alone).
 *
 * Times that the sink is told: for bytes, when the receiver could have them: the latest
 * capture time of them and of what they had to wait for, in both directions; bytes
 * behind a gap wait for nothing that was seen.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CAPTURE_FLOW_H
#define CAPTURE_FLOW_H

#include "capture/packet.h"
#include "traces/base/err.h"

#define CAP_FLOW_GAP_NS        (2 * CLK_SEC)
#define CAP_FLOW_GRACE_PACKETS 128u /* one may come 64 places late, one 64 early */
#define CAP_FLOW_GRACE_NS      (10 * CLK_MS)
#define CAP_FLOW_GRACE_MOST_NS (250 * CLK_MS)
#define CAP_FLOW_JOINED_NS     (250 * CLK_MS) /* what was sent before the join came */
#define CAP_FLOW_MAX           65536u
#define CAP_FLOW_IDLE_NS       (3600 * CLK_SEC) /* Envoy's default idle timeout */
#define CAP_FLOW_HOLD_BYTES    (4u << 20)
#define CAP_FLOW_HOLD_COUNT    1024u
#define CAP_FLOW_MEMORY_BYTES  ((size_t)128 << 20)
#define CAP_FLOW_LINGER_NS     (2 * CLK_SEC) /* for what comes after the end */
#define CAP_FLOW_COPY_NS       CLK_MS        /* between two copies of a packet */
#define CAP_FLOW_STEP_NS       CLK_SEC
#define CAP_FLOW_TAIL          64u
/* A segment further than this from its place belongs to another connection on the same
 * ports: when a second one follows it without a hole, the first connection is over. */
#define CAP_FLOW_JUMP_BYTES (64u << 20)

enum cap_gap {
    CAP_GAP_ACKED,
    CAP_GAP_TIME,
    CAP_GAP_CEILING,
    CAP_GAP_SNAPLEN,
    CAP_GAP_EVICTED,
    CAP_GAP_ENDED, /* the connection or the capture was over first */
};
enum cap_end {
    CAP_END_FIN,
    CAP_END_RST,
    CAP_END_IDLE,
    CAP_END_EVICTED,
    CAP_END_REUSED,
    CAP_END_FILE
};

/* Direction 0 flows towards the server (the endpoint whose port is mapped to a tier,
 * else the one that was sent the SYN, else the lower port), direction 1 back to the
 * client. */
struct cap_flow_info {
    uint64_t ordinal; /* of the connection within the capture */
    struct cap_endpoint client, server;
    bool from_start; /* its SYN, or the answer to it, was seen */
};

/* Who receives the bytes. `conn` is whatever open returned; spans are borrowed for the
 * call. For each direction calls come in order of the stream; data and gap never
 * overlap. */
struct cap_flow_sink {
    void *(*open)(void *arg, const struct cap_flow_info *info, struct clk_wall at);
    void (*data)(void *arg, void *conn, int dir, struct clk_wall at, struct span bytes);
    void (*gap)(void *arg, void *conn, int dir, struct clk_wall at, uint64_t bytes,
                enum cap_gap why);
    /* One direction is finished (FIN): nothing more comes in it. */
    void (*finish)(void *arg, void *conn, int dir, struct clk_wall at);
    /* The connection is over; conn is not used again. */
    void (*close)(void *arg, void *conn, struct clk_wall at, enum cap_end how);
    void *arg;
    /* The peer has acknowledged bytes of this direction that were not seen; they may
     * still come, and are no gap yet. May be NULL. */
    void (*unseen)(void *arg, void *conn, int dir);
};

/* Per direction: payload_bytes = delivered + gap + duplicate + stray + held at this
 * moment, exactly. payload_bytes are those that are known to have been on the wire: of
 * the segments seen (copies apart; with what the snapshot length cut off), and of gaps;
 * gap_bytes counts only bytes that a later one (or a FIN), or at the end of the
 * connection the peer's acknowledgement, proves to have existed. */
struct cap_flow_counts {
    uint64_t segments; /* with payload */
    uint64_t payload_bytes, delivered_bytes, duplicate_bytes, gap_bytes;
    uint64_t snaplen_bytes;     /* of gap_bytes: seen, but cut off */
    uint64_t conflicting_bytes; /* of duplicate_bytes: not what came first */
    uint64_t out_of_order;      /* segments that came ahead of their turn */
    uint64_t retransmissions;   /* segments with duplicate bytes */
    uint64_t held_bytes;
    uint64_t stray_bytes; /* after the end, before the first byte seen, too late for one
                             of the latest gaps, or far from any window */
    uint64_t gaps;        /* calls of the sink */
};
struct cap_flow_totals {
    struct cap_flow_counts dir[2];
    uint64_t flows; /* that had a byte; the next two are of these */
    uint64_t flows_midway, flows_evicted;
    uint64_t flows_empty; /* ended or evicted without a byte: half open, refused */
    uint64_t copies_dropped;
    uint64_t waited;        /* segments that had to wait for others */
    uint64_t waiting_bytes; /* payload of those that do: in no other count yet */
    uint64_t
        unplaced_bytes;   /* payload of segments for whose flow there was no memory */
    uint64_t clock_steps; /* back, over CAP_FLOW_STEP_NS */
    uint64_t open, open_most; /* entries of the table now, and at most */
    uint64_t memory_bytes, memory_most;
    uint64_t steps; /* of searching and sorting: what tests bound */
};

struct cap_flows;
/* server_ports: the mapped ports (host byte order). NULL with ERR_NOMEM in *e. */
struct cap_flows *cap_flows_new(const struct cap_flow_sink *sink,
                                const uint16_t *server_ports, size_t port_count,
                                struct err *e);
void cap_flows_segment(struct cap_flows *f, const struct cap_segment *seg);
/* Lets packet time pass without a packet (end of a quiet second of a live capture). */
void cap_flows_time(struct cap_flows *f, struct clk_wall now);
/* Declares what is missing and closes every connection (CAP_END_FILE): the totals are
 * final. */
void cap_flows_end(struct cap_flows *f);
void cap_flows_free(struct cap_flows *f); /* ends first; NULL is fine */
const struct cap_flow_totals *cap_flows_totals(const struct cap_flows *f);

#endif

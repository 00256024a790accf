/*
 * flow.h - TCP connections out of segments: each direction as one ordered run of bytes.
 *
 * Sequence numbers live in a 64-bit space, so neither wrap nor 4 GiB end a connection.
 * First bytes win; an overlap with other bytes is flagged and counted. Bytes that will
 * not come (acknowledged by the peer, older than CAP_FLOW_GAP_NS of packet time, or
 * beyond the buffers' ceilings) are declared a gap, and the sink is told. A connection
 * joined in its middle starts at the first byte seen. No path costs more than O(log n)
 * in held segments.
 *
 * One thread at a time. The table owns its memory and stays within its limits: flows
 * are evicted oldest first, with their pending bytes declared lost, and everything is
 * counted.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CAPTURE_FLOW_H
#define CAPTURE_FLOW_H

#include "capture/packet.h"
#include "traces/base/err.h"

#define CAP_FLOW_GAP_NS       (2 * CLK_SEC)
#define CAP_FLOW_MAX          65536u
#define CAP_FLOW_IDLE_NS      (300 * CLK_SEC)
#define CAP_FLOW_HOLD_BYTES   (4u << 20)
#define CAP_FLOW_HOLD_COUNT   1024u
#define CAP_FLOW_MEMORY_BYTES ((size_t)128 << 20)

enum cap_gap {
    CAP_GAP_ACKED,
    CAP_GAP_TIME,
    CAP_GAP_CEILING,
    CAP_GAP_SNAPLEN,
    CAP_GAP_EVICTED
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
    bool from_start; /* its SYN was seen */
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
};

/* Per direction: payload_bytes = delivered + gap + duplicate + held at this moment,
 * exactly; gap counts only bytes that a later byte proves to have existed. */
struct cap_flow_counts {
    uint64_t segments, payload_bytes, delivered_bytes, duplicate_bytes, gap_bytes,
        snaplen_bytes, conflicting_bytes, out_of_order, retransmissions, held_bytes;
};
struct cap_flow_totals {
    struct cap_flow_counts dir[2];
    uint64_t flows, flows_midway, flows_evicted, copies_dropped;
};

struct cap_flows;
/* server_ports: the mapped ports (host byte order). NULL with ERR_NOMEM in *e. */
struct cap_flows *cap_flows_new(const struct cap_flow_sink *sink,
                                const uint16_t *server_ports, size_t port_count,
                                struct err *e);
void cap_flows_segment(struct cap_flows *f, const struct cap_segment *seg);
/* Lets packet time pass without a packet (end of a quiet second of a live capture). */
void cap_flows_time(struct cap_flows *f, struct clk_wall now);
/* Declares what is missing, closes every connection (CAP_END_FILE) and frees f. */
void cap_flows_free(struct cap_flows *f);
const struct cap_flow_totals *cap_flows_totals(const struct cap_flows *f);

#endif

/*
 * packet.h - a packet as it was recorded, and the TCP segment that is in it.
 *
 * The structs that sources, the link decoder and the flow table hand on. Bytes are
 * borrowed until the next packet is asked for. Times are wall-clock nanoseconds as the
 * capture stamped them; they drive every timeout of a capture, the real clock drives
 * none.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CAPTURE_PACKET_H
#define CAPTURE_PACKET_H

#include "traces/base/clk.h"
#include "traces/base/span.h"

/* Link types: the numbers of the pcap and pcapng formats (LINKTYPE_…). */
enum cap_link_type {
    CAP_LINK_NULL = 0,
    CAP_LINK_ETHERNET = 1,
    CAP_LINK_RAW = 101,
    CAP_LINK_LOOP = 108,
    CAP_LINK_SLL = 113,
    CAP_LINK_IPV4 = 228,
    CAP_LINK_IPV6 = 229,
    CAP_LINK_SLL2 = 276,
};

struct cap_packet {
    struct clk_wall at;
    struct span bytes; /* what was captured */
    uint32_t
        wire_bytes; /* what was on the wire; more than bytes.n when snaplen cut it */
    uint32_t interface; /* ordinal within the source */
    int link_type;
};

struct cap_endpoint {
    uint8_t addr[16]; /* IPv4 as ::ffff:a.b.c.d */
    uint16_t port;
};

enum cap_tcp_flag {
    CAP_FIN = 1u << 0,
    CAP_SYN = 1u << 1,
    CAP_RST = 1u << 2,
    CAP_ACK = 1u << 4,
    CAP_URG = 1u << 5,
};

struct cap_segment {
    struct clk_wall at;
    struct cap_endpoint src, dst;
    uint32_t seq, ack;
    uint8_t flags;
    uint16_t window;
    struct span payload;    /* what was captured of it */
    uint32_t payload_bytes; /* what was on the wire */
    uint32_t interface;     /* of the source; Linux cooked v2: the kernel's index */
    uint8_t outgoing;       /* Linux cooked: 1 outgoing, 0 incoming; 2 not known */
};

#endif

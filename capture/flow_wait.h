/*
 * flow_wait.h - segments that came before others which were sent before them.
 *
 * A segment that acknowledges bytes which were not seen waits for them for a grace
 * (flow.h); what comes ahead of bytes of its own direction is held where it belongs
 * (flow_hold.h). It is then taken when what it waits for has come, or when
 * the grace of the flow's oldest is over: first those that were sent first, as far as
 * their numbers tell, else in the order in which they came.
 *
 * A flow's segments that wait are at most FLOW_WAIT_COUNT, so that walking them all is
 * a constant. For flow.c alone; one thread at a time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CAPTURE_FLOW_WAIT_H
#define CAPTURE_FLOW_WAIT_H

#include "capture/flow_own.h"

#define FLOW_WAIT_COUNT 128u

struct flow_waiting {
    struct flow_waiting *before, *after; /* of its flow, in the order of coming */
    struct flow_waiting *older, *newer;  /* of the table */
    struct flow *owner;
    int64_t since;          /* the table's clock, */
    uint64_t packets;       /* and count, when it came */
    struct cap_segment seg; /* its payload is data */
    uint8_t data[];
};

/* Whether the segment, sent by `side`, has to wait. fl: its flow, NULL: there is none.
 */
bool flow_must_wait(struct cap_flows *f, const struct flow *fl, int side,
                    const struct cap_segment *seg);
/* Puts a copy behind those that wait. False: there is no room, or no memory. */
bool flow_wait_add(struct cap_flows *f, struct flow *fl, const struct cap_segment *seg);
/* One of the flow that need not wait any more; NULL: none. */
struct flow_waiting *flow_wait_ready(struct cap_flows *f, const struct flow *fl);
/* The one of the flow that was sent first. The flow has one. */
struct flow_waiting *flow_wait_first_sent(struct cap_flows *f, const struct flow *fl);
/* Out of both lists; the caller frees it with free(). */
void flow_wait_take(struct cap_flows *f, struct flow_waiting *w);
/* Whether the table's oldest has waited long enough. */
bool flow_wait_is_over(const struct cap_flows *f);
/* By whom it was sent. */
int flow_wait_side(const struct flow_waiting *w);

#endif

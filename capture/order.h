/*
 * order.h - operations in order of arrival, out of exchanges in order of completion.
 *
 * A trace is written in order of arrival, but an exchange is known only when its answer
 * is complete. So operations are held back: until nothing can arrive any more that came
 * before (whoever calls says up to when that holds), and CAP_ORDER_HOLD_NS of packet
 * time at most. What comes later than that is written at the earliest moment that is
 * left, and counted as moved; its latencies stay. A request may come without its
 * answer; the answer then finds it, held or written.
 *
 * Memory is bounded. As the bound comes near, bodies of new answers are let go, then
 * bodies of new requests (their length and hash stay), then half of the connections,
 * chosen by a stable hash, and at the bound everything: all of it counted.
 *
 * An operation without an id whose headers could not be decoded gets the id of another
 * leg of the same call, where one of its nameless values is that id.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CAPTURE_ORDER_H
#define CAPTURE_ORDER_H

#include "capture/record.h"
#include "capture/spare.h"
#include "traces/container/trc_writer.h"

#define CAP_ORDER_HOLD_NS (5 * CLK_SEC)
#define CAP_ORDER_MEMORY  ((size_t)64 << 20)
#define CAP_WAITING_MAX   65536u /* requests told whose answers are not */

struct cap_order_options {
    struct clk_wall epoch;    /* arrival 0 */
    int64_t hold_ns;          /* 0: CAP_ORDER_HOLD_NS */
    size_t memory_bytes;      /* 0: CAP_ORDER_MEMORY */
    struct cap_spare *spares; /* borrowed; where memory of large bodies goes. NULL: none
                               */
};

struct cap_order_counts {
    uint64_t written;
    uint64_t late_answers;      /* that came after their request was written */
    uint64_t unmatched_answers; /* whose request is not remembered: passed over, shed,
                                   too old */
    uint64_t joined_ids;        /* ids told by another leg */
    uint64_t moved;             /* operations written later than they arrived */
    int64_t moved_max_ns;
    uint64_t shed_answers, shed_requests; /* bodies let go */
    uint64_t shed_body_bytes[2];          /* of requests, of answers */
    uint64_t shed_operations;
    size_t held_bytes, held_bytes_max;
};

struct cap_order;
/* Borrows w until free. ERR_NOMEM. */
int cap_order_new(struct cap_order **out, struct trc_writer *w,
                  const struct cap_order_options *options, struct err *e) MUST_USE;
void cap_order_free(struct cap_order *o); /* NULL is fine; what is held is lost */

/* Copies r, but for large bodies that stand alone in r->buffers: those it takes over.
 * `waiting`: its answer may come by itself. 1: taken; 0: shed as a whole. The errors of
 * trc_writer_op, ERR_NOMEM. */
int cap_order_add(struct cap_order *o, const struct cap_record *r, bool waiting,
                  struct err *e) MUST_USE;
/* The answer to a request that was added as waiting: answer's times, status and
 * response, whose bytes may be taken over from buffer (NULL: they stand in none). wire:
 * of a record of Kafka's wire, else NULL. 1: it found its request; 0: there is none,
 * counted. */
int cap_order_answer(struct cap_order *o, uint32_t connection, uint32_t stream,
                     const struct op *answer, struct buf *buffer,
                     const struct cap_wire_share *wire, struct err *e) MUST_USE;

/* Writes what arrived before `certain` (nothing that is still to come did), and what is
 * older than the longest hold at `now`. */
int cap_order_advance(struct cap_order *o, struct clk_wall now, struct clk_wall certain,
                      struct err *e) MUST_USE;
/* Writes what arrived before `certain`, the earliest first, until no more than so many
 * bytes are held. */
int cap_order_ease(struct cap_order *o, struct clk_wall certain, size_t bytes,
                   struct err *e) MUST_USE;
/* Writes all that is held. */
int cap_order_flush(struct cap_order *o, struct err *e) MUST_USE;

const struct cap_order_counts *cap_order_counts(const struct cap_order *o);

#endif

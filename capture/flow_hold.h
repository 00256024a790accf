/*
 * flow_hold.h - the bytes of one direction that came ahead of their turn, in order.
 *
 * Pieces that do not overlap, as a balanced tree (to find the place of a new one) whose
 * nodes are chained as well (to walk them in order). Each step costs O(log n) at most
 * and is counted. A zeroed hold is a valid empty one. One thread at a time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CAPTURE_FLOW_HOLD_H
#define CAPTURE_FLOW_HOLD_H

#include "capture/packet.h"

struct flow_piece {
    struct flow_piece *left, *right; /* the tree, by `from` */
    struct flow_piece *after;        /* the chain */
    uint64_t from;
    uint32_t bytes; /* on the wire */
    uint32_t have;  /* captured of them: the first ones */
    uint32_t level; /* of the tree */
    struct clk_wall at;
    int64_t since; /* the table's clock when it came */
    uint8_t data[];
};

struct flow_hold {
    struct flow_piece *root, *first;
    uint32_t count;
    uint64_t bytes;  /* on the wire, of all pieces */
    uint64_t memory; /* that the pieces take */
};

/* What a piece of so many captured bytes takes. */
size_t flow_piece_memory(size_t have);
uint64_t flow_piece_end(const struct flow_piece *p);
/* The last piece that starts at or before `at`; NULL: none does. Adds to *steps. */
struct flow_piece *flow_hold_find(const struct flow_hold *h, uint64_t at,
                                  uint64_t *steps);
/* Copies `have`; the piece must not overlap with any. NULL: out of memory. */
struct flow_piece *flow_hold_add(struct flow_hold *h, uint64_t from, uint32_t bytes,
                                 struct span have, uint64_t *steps);
/* Takes out the first piece, which the caller frees with free(); NULL: empty. */
struct flow_piece *flow_hold_take(struct flow_hold *h, uint64_t *steps);

#endif

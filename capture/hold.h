/*
 * hold.h - bytes of one direction that wait for more, each with the time it came.
 *
 * A zeroed hold is a valid empty one. Offsets count from the start of the hold's life,
 * so they stay valid when the front is dropped. One thread at a time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CAPTURE_HOLD_H
#define CAPTURE_HOLD_H

#include "traces/base/buf.h"
#include "traces/base/clk.h"

/* Times that are kept apart; bytes beyond take the time of the last one. */
#define CAP_HOLD_MARKS_MAX 4096u

struct cap_mark {
    uint64_t at; /* offset of the first byte that came at this time */
    struct clk_wall time;
};

struct cap_hold {
    struct buf bytes;
    size_t start; /* bytes before it are dropped already */
    uint64_t at;  /* offset of bytes.p[start] */
    struct buf marks;
    size_t first_mark;
};

void cap_hold_done(struct cap_hold *h);
void cap_hold_add(struct cap_hold *h, struct clk_wall time, struct span bytes);
/* What is held; borrowed until the next add or drop. Check failed() after adding. */
struct span cap_hold_view(const struct cap_hold *h);
uint64_t cap_hold_end(const struct cap_hold *h);
void cap_hold_drop(struct cap_hold *h, size_t n); /* from the front; amortized O(1) */
void cap_hold_cut(struct cap_hold *h, size_t n);  /* from the end */
/* When the byte at this offset, which is held, came. */
struct clk_wall cap_hold_time(const struct cap_hold *h, uint64_t offset);
/* The bytes from the front that came at one time; false when nothing is held. */
bool cap_hold_piece(const struct cap_hold *h, struct clk_wall *time,
                    struct span *bytes);
bool cap_hold_failed(const struct cap_hold *h); /* out of memory */
size_t cap_hold_memory(const struct cap_hold *h);

#endif

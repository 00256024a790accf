/*
 * spare.h - memory of large bodies that was used and will be again.
 *
 * A large body is read into one buffer, which goes from its connection to whoever holds
 * the operation back, and comes here when it is written. So a capture of large bodies
 * asks the system for memory in its first moments only; fresh pages would cost more
 * than all that is done with the bytes. What is kept here is bounded and not counted as
 * held by anyone.
 *
 * All of it is memory of malloc: a buffer that was not given back may be freed. Zeroed
 * memory is a valid empty one; where a NULL may be given, the heap takes its place. One
 * thread at a time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CAPTURE_SPARE_H
#define CAPTURE_SPARE_H

#include "traces/base/buf.h"

#define CAP_SPARE_FROM                                                                 \
    ((size_t)64 << 10) /* smaller buffers are none of its business                     \
                        */
#define CAP_SPARE_COUNT 256u
#define CAP_SPARE_BYTES ((size_t)24 << 20) /* kept at most, unless told otherwise */

struct cap_spare {
    struct buf kept[CAP_SPARE_COUNT]; /* empty ones; the last was given last */
    uint32_t count;
    size_t bytes;
    size_t limit; /* of bytes; 0: CAP_SPARE_BYTES */
};

void cap_spare_done(struct cap_spare *s);

/* Room for `more` bytes at the end of b, which keeps what it holds, and may move.
 * `expected`: bytes that will stand in b in the end, as far as anybody says; it decides
 * which spare one is taken, but never asks for much more new memory than came already.
 * Sets b->failed as buf_reserve does. */
void cap_spare_reserve(struct cap_spare *s, struct buf *b, size_t more,
                       uint64_t expected);
/* The new memory that cap_spare_reserve would at most ask for. */
size_t cap_spare_wants(const struct buf *b, size_t more, uint64_t expected);

/* Takes b's memory, which is zero afterwards. */
void cap_spare_give(struct cap_spare *s, struct buf *b);

#endif

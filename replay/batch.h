/*
 * batch.h - the memory of prepared requests: slices that live and die together.
 *
 * A batch owns up to REP_SLICE requests, the arena of their wire bytes, and a share in
 * the block of the trace from which their bodies are borrowed. The feeder takes batches
 * from a pool; releasing the last request of one, on whatever thread, gives it back.
 * Its memory is then used for a later slice, so that the steady state neither allocates
 * nor asks the kernel for fresh pages.
 *
 * Invariants: a batch is in the pool, or has `left` > 0 requests that are not yet
 * released (or is still being filled); `bytes` of it are counted in the pool's
 * bytes_in_use exactly while it is not in the pool. The pool outlives its batches' use.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef REPLAY_BATCH_H
#define REPLAY_BATCH_H

#include <stdatomic.h>

#include "replay/request.h"
#include "traces/base/arena.h"
#include "traces/container/trc_reader.h"

#define REP_SLICE 2048u /* requests of a batch, at most */

/* A decoded block of the trace, and what was prepared of its streams. */
struct rep_block {
    _Atomic uint32_t shares;
    struct trc_block *block;
    struct arena arena;          /* of the prepared streams */
    struct rep_stream **streams; /* by stream index; NULL until its first request */
};

/* Takes block over, also on failure; the caller has the first share. NULL: ERR_NOMEM.
 */
struct rep_block *rep_block_share(struct trc_block *block, struct err *e);
void rep_block_drop(struct rep_block *b);

struct rep_batch_pool;
struct rep_batch {
    _Atomic uint32_t left; /* requests not yet released */
    struct arena arena;
    struct rep_block *block;
    struct rep_request *requests; /* REP_SLICE of them; what is in them is old */
    size_t bytes;
    struct rep_batch_pool *pool;
    struct rep_batch *next; /* in the pool */
};

/* A zeroed pool is a valid empty one. */
struct rep_batch_pool {
    struct rep_batch *spare;              /* of the thread that takes */
    _Atomic(struct rep_batch *) returned; /* by any thread */
    _Atomic size_t bytes_in_use;
};

/* An empty batch with a share in the block; one thread takes. NULL: ERR_NOMEM. */
struct rep_batch *rep_batch_take(struct rep_batch_pool *p, struct rep_block *block,
                                 struct err *e);
/* It is filled: `count` requests are to be released, and `bytes` are in use. Without
 * requests it goes back at once, and false is returned. */
bool rep_batch_filled(struct rep_batch *b, uint32_t count, size_t bytes);
void rep_batch_pool_done(struct rep_batch_pool *p); /* all batches are back */

#endif

/*
 * handoff.h - pointers from one thread to one other, in order, without a lock.
 *
 * A bounded ring with one producer and one consumer (both may change over time, but
 * never overlap). What the producer wrote before put is visible to the consumer after
 * take. A zeroed handoff must be given to rep_handoff_init. NULL cannot be handed over.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef REPLAY_HANDOFF_H
#define REPLAY_HANDOFF_H

#include <stdatomic.h>
#include <stddef.h>

#include "traces/base/err.h"

/* Invariant: 0 <= put - taken <= mask + 1; slot i % (mask + 1) holds the i-th pointer.
 * Each side keeps to its own cache line. */
struct rep_handoff {
    void **slots;
    size_t mask;
    _Alignas(64) _Atomic size_t put;   /* written by the producer alone */
    _Alignas(64) _Atomic size_t taken; /* written by the consumer alone */
};

/* capacity: a power of two. ERR_NOMEM. */
int rep_handoff_init(struct rep_handoff *h, size_t capacity, struct err *e) MUST_USE;
void rep_handoff_done(struct rep_handoff *h);

/* False when the ring is full; the pointer is then still the caller's. */
bool rep_handoff_put(struct rep_handoff *h, void *p) MUST_USE;
/* NULL when the ring is empty. */
void *rep_handoff_take(struct rep_handoff *h);

#endif

/*
 * handoff.c - see handoff.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replay/handoff.h"

#include <assert.h>
#include <stdlib.h>

int rep_handoff_init(struct rep_handoff *h, size_t capacity, struct err *e)
{
    assert(capacity > 0 && (capacity & (capacity - 1)) == 0);
    h->slots = calloc(capacity, sizeof *h->slots);
    if (!h->slots)
        return err_set(e, ERR_NOMEM, "out of memory for a ring of %zu", capacity);
    h->mask = capacity - 1;
    atomic_init(&h->put, 0);
    atomic_init(&h->taken, 0);
    return 0;
}

void rep_handoff_done(struct rep_handoff *h)
{
    free(h->slots);
    h->slots = NULL;
    h->mask = 0;
}

bool rep_handoff_put(struct rep_handoff *h, void *p)
{
    size_t put = atomic_load_explicit(&h->put, memory_order_relaxed);

    assert(p != NULL);
    if (put - atomic_load_explicit(&h->taken, memory_order_acquire) > h->mask)
        return false;
    h->slots[put & h->mask] = p;
    atomic_store_explicit(&h->put, put + 1, memory_order_release);
    return true;
}

void *rep_handoff_take(struct rep_handoff *h)
{
    size_t taken = atomic_load_explicit(&h->taken, memory_order_relaxed);

    if (atomic_load_explicit(&h->put, memory_order_acquire) == taken)
        return NULL;
    void *p = h->slots[taken & h->mask];
    atomic_store_explicit(&h->taken, taken + 1, memory_order_release);
    return p;
}

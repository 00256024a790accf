/*
 * si_queue.h - workers, and a first-come first-served line in front of them.
 *
 * Knows nothing of time: whoever enters when a worker is free starts at once, and
 * whoever leaves hands the worker to the head of the line. A zeroed queue has no limit.
 * Items are linked by the si_place that they embed. One thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DEPLOY_STANDIN_SI_QUEUE_H
#define DEPLOY_STANDIN_SI_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

struct si_place {
    struct si_place *next;
};

/* Invariant: waiting is 0 unless busy == workers. */
struct si_queue {
    uint64_t workers; /* 0: unlimited */
    uint64_t busy, waiting, longest;
    struct si_place *head, *tail;
};

/* True: a worker has it and it starts now. False: it waits; si_queue_leave will return
 * it. */
bool si_queue_enter(struct si_queue *q, struct si_place *p);
/* One that had started is done. The next to start, or NULL. */
struct si_place *si_queue_leave(struct si_queue *q);

#endif

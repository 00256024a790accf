/*
 * pins.h - recorded connections: which slot of an engine carries which, and who waits.
 *
 * With `--connections recorded` an operation goes over its own connection, and those of
 * one connection go in recorded order. An engine has a bounded number of slots, each a
 * connection; a recorded connection takes one with its first operation. When all are
 * taken, it gets the one that was quiet for longest, whose connection is closed: so the
 * bound is on connections that are open at once, not on those of the trace. A zeroed
 * struct is a valid start, and holds none. One thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef REPLAY_PINS_H
#define REPLAY_PINS_H

#include "replay/request.h"

#define REP_RECORDED_MAX 4096u /* open at once, over all workers, of each protocol */

struct rep_pin_slot {
    uint32_t pin;             /* the recorded connection; OP_NONE: none yet */
    uint32_t busy;            /* requests that the engine has on it */
    struct rep_queue waiting; /* due, and to be sent on it */
    int64_t freed_ns;         /* when one of it ended last; INT64_MIN: never */
    uint32_t chain;           /* next slot of the same hash, or OP_NONE */
    uint32_t older, newer;    /* among the quiet ones */
};

struct rep_pins {
    struct rep_pin_slot *slots;
    uint32_t *heads; /* by hash: first slot, or OP_NONE */
    uint32_t capacity, used;
    uint32_t oldest, newest; /* quiet: not busy, nobody waits */
    uint64_t waiting;        /* requests in the queues of all slots */
};

int rep_pins_init(struct rep_pins *p, uint32_t capacity, struct err *e) MUST_USE;
void rep_pins_done(struct rep_pins *p);

/* The slot of a recorded connection, or OP_NONE. */
uint32_t rep_pins_find(const struct rep_pins *p, uint32_t pin);
/* A slot for one that has none; OP_NONE when each is busy or waited for. *renewed: it
 * carried another connection, which is to be closed. */
uint32_t rep_pins_take(struct rep_pins *p, uint32_t pin, bool *renewed);

/* A request waits for the slot; the first of those that wait is taken out and becomes
 * busy (NULL: none); one that was busy ended. */
void rep_pins_wait(struct rep_pins *p, uint32_t slot, struct rep_request *r);
struct rep_request *rep_pins_begin(struct rep_pins *p, uint32_t slot);
void rep_pins_end(struct rep_pins *p, uint32_t slot, int64_t now_ns);
/* The first of those that wait goes another way; it must be there. */
struct rep_request *rep_pins_leave(struct rep_pins *p, uint32_t slot);

#endif

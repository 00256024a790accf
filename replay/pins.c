/*
 * pins.c - see pins.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replay/pins.h"

#include <assert.h>
#include <stdlib.h>

#include "traces/base/rng.h"

int rep_pins_init(struct rep_pins *p, uint32_t capacity, struct err *e)
{
    assert(capacity > 0);
    *p = (struct rep_pins){.capacity = capacity, .oldest = OP_NONE, .newest = OP_NONE};
    p->slots = calloc(capacity, sizeof *p->slots);
    p->heads = calloc(capacity, sizeof *p->heads);
    if (!p->slots || !p->heads) {
        rep_pins_done(p);
        return err_set(e, ERR_NOMEM, "out of memory for %u connections", capacity);
    }
    for (uint32_t i = 0; i < capacity; i++)
        p->heads[i] = OP_NONE;
    return 0;
}

void rep_pins_done(struct rep_pins *p)
{
    free(p->slots);
    free(p->heads);
    *p = (struct rep_pins){0};
}

static uint32_t *head_of(const struct rep_pins *p, uint32_t pin)
{
    return &p->heads[rng_hash(pin, 0) % p->capacity];
}

uint32_t rep_pins_find(const struct rep_pins *p, uint32_t pin)
{
    uint32_t i = *head_of(p, pin);
    while (i != OP_NONE && p->slots[i].pin != pin)
        i = p->slots[i].chain;
    return i;
}

/* --- the quiet ones ----------------------------------------------------------------
 */

static bool quiet(const struct rep_pin_slot *s)
{
    return s->busy == 0 && !s->waiting.head;
}

static void rouse(struct rep_pins *p, uint32_t i)
{
    struct rep_pin_slot *s = &p->slots[i];
    *(s->older != OP_NONE ? &p->slots[s->older].newer : &p->oldest) = s->newer;
    *(s->newer != OP_NONE ? &p->slots[s->newer].older : &p->newest) = s->older;
}

static void rest(struct rep_pins *p, uint32_t i)
{
    struct rep_pin_slot *s = &p->slots[i];
    s->newer = OP_NONE;
    s->older = p->newest;
    *(p->newest != OP_NONE ? &p->slots[p->newest].newer : &p->oldest) = i;
    p->newest = i;
}

static void forget(struct rep_pins *p, uint32_t i)
{
    uint32_t *at = head_of(p, p->slots[i].pin);
    while (*at != i)
        at = &p->slots[*at].chain;
    *at = p->slots[i].chain;
}

uint32_t rep_pins_take(struct rep_pins *p, uint32_t pin, bool *renewed)
{
    uint32_t i = p->used < p->capacity ? p->used : p->oldest;
    *renewed = false;
    if (i == OP_NONE)
        return OP_NONE;
    struct rep_pin_slot *s = &p->slots[i];
    if (i == p->used) {
        p->used++;
        s->freed_ns = INT64_MIN;
    } else {
        rouse(p, i);
        forget(p, i);
        *renewed = true;
    }
    s->pin = pin;
    s->chain = *head_of(p, pin);
    *head_of(p, pin) = i;
    rest(p, i);
    return i;
}

/* --- requests --------------------------------------------------------------------- */

void rep_pins_wait(struct rep_pins *p, uint32_t slot, struct rep_request *r)
{
    struct rep_pin_slot *s = &p->slots[slot];
    if (quiet(s))
        rouse(p, slot);
    rep_queue_push(&s->waiting, r);
    p->waiting++;
}

struct rep_request *rep_pins_begin(struct rep_pins *p, uint32_t slot)
{
    struct rep_pin_slot *s = &p->slots[slot];
    struct rep_request *r = rep_queue_pop(&s->waiting);
    if (r) {
        s->busy++;
        p->waiting--;
    }
    return r;
}

void rep_pins_end(struct rep_pins *p, uint32_t slot, int64_t now_ns)
{
    struct rep_pin_slot *s = &p->slots[slot];
    assert(s->busy > 0);
    s->busy--;
    s->freed_ns = now_ns;
    if (quiet(s))
        rest(p, slot);
}

struct rep_request *rep_pins_leave(struct rep_pins *p, uint32_t slot)
{
    struct rep_pin_slot *s = &p->slots[slot];
    struct rep_request *r = rep_queue_pop(&s->waiting);
    assert(r != NULL);
    p->waiting--;
    if (quiet(s))
        rest(p, slot);
    return r;
}

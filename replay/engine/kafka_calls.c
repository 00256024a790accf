/*
 * kafka_calls.c - which operations are under way, and which were given up: see
 * kafka_own.h. Linear probing; what is removed leaves no mark, since those behind it
 * move up.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replay/engine/kafka_own.h"

#include <stdlib.h>
#include <string.h>

#include "traces/base/rng.h"

#define CHUNK_CALLS 256u
#define FIRST_SLOTS 1024u
#define FIRST_LATE  256u

/* call NULL: given up. */
struct rep_kafka_slot {
    uint64_t index;
    struct rep_kafka_call *call;
    bool used;
};

struct rep_kafka_chunk {
    struct rep_kafka_chunk *next;
    struct rep_kafka_call calls[CHUNK_CALLS];
};

/* --- the table -------------------------------------------------------------------- */

static size_t home(const struct rep_kafka_calls *c, uint64_t index)
{
    return (size_t)rng_hash(index, 0) & (c->cap - 1);
}

/* Where it is, or the free place where it would go. There is a free place. */
static size_t seek(const struct rep_kafka_calls *c, uint64_t index)
{
    size_t at = home(c, index);
    while (c->slots[at].used && c->slots[at].index != index)
        at = (at + 1) & (c->cap - 1);
    return at;
}

static bool grow(struct rep_kafka_calls *c)
{
    struct rep_kafka_calls bigger = {.cap = c->cap ? c->cap * 2 : FIRST_SLOTS};
    bigger.slots = calloc(bigger.cap, sizeof *bigger.slots);
    if (!bigger.slots)
        return false;
    for (size_t i = 0; i < c->cap; i++)
        if (c->slots[i].used)
            bigger.slots[seek(&bigger, c->slots[i].index)] = c->slots[i];
    free(c->slots);
    c->slots = bigger.slots;
    c->cap = bigger.cap;
    return true;
}

static void remove_at(struct rep_kafka_calls *c, size_t at)
{
    size_t mask = c->cap - 1;
    for (size_t next = (at + 1) & mask; c->slots[next].used; next = (next + 1) & mask) {
        size_t from_home = (next - home(c, c->slots[next].index)) & mask;
        if (from_home < ((next - at) & mask))
            continue; /* it would come to lie before its home */
        c->slots[at] = c->slots[next];
        at = next;
    }
    c->slots[at] = (struct rep_kafka_slot){0};
    c->used--;
}

enum rep_kafka_known rep_kafka_calls_find(const struct rep_kafka_calls *c,
                                          uint64_t index, struct rep_kafka_call **call)
{
    *call = NULL;
    if (c->used == 0)
        return REP_KAFKA_UNKNOWN;
    const struct rep_kafka_slot *s = &c->slots[seek(c, index)];
    *call = s->call;
    return !s->used  ? REP_KAFKA_UNKNOWN
           : s->call ? REP_KAFKA_UNDER_WAY
                     : REP_KAFKA_GIVEN_UP;
}

/* --- what was given up ------------------------------------------------------------ */

static bool late_grow(struct rep_kafka_calls *c)
{
    size_t cap = c->late_cap ? c->late_cap * 2 : FIRST_LATE;
    uint64_t *late = malloc(cap * sizeof *late);
    if (!late)
        return false;
    for (size_t i = c->late_taken; i < c->late_put; i++)
        late[i & (cap - 1)] = c->late[i & (c->late_cap - 1)];
    free(c->late);
    c->late = late;
    c->late_cap = cap;
    return true;
}

void rep_kafka_calls_forget(struct rep_kafka_calls *c, uint64_t index)
{
    struct rep_kafka_call *call;
    if (rep_kafka_calls_find(c, index, &call) == REP_KAFKA_GIVEN_UP)
        remove_at(c, seek(c, index));
}

/* Makes room for one more: the oldest is forgotten where there are too many. */
static bool late_room(struct rep_kafka_calls *c)
{
    if (c->late_put - c->late_taken < c->late_cap)
        return true;
    if (c->late_cap < REP_KAFKA_LATE_MAX && late_grow(c))
        return true;
    if (c->late_cap == 0)
        return false;
    rep_kafka_calls_forget(c, c->late[c->late_taken++ & (c->late_cap - 1)]);
    return true;
}

/* --- calls ------------------------------------------------------------------------ */

static struct rep_kafka_call *take(struct rep_kafka_calls *c)
{
    struct rep_kafka_call *call;
    if (!c->spare) {
        struct rep_kafka_chunk *chunk = calloc(1, sizeof *chunk);
        if (!chunk)
            return NULL;
        chunk->next = c->chunks;
        c->chunks = chunk;
        for (size_t i = CHUNK_CALLS; i-- > 0;)
            rep_kafka_calls_free(c, &chunk->calls[i]);
    }
    call = c->spare;
    c->spare = call->next;
    *call = (struct rep_kafka_call){0};
    return call;
}

struct rep_kafka_call *rep_kafka_calls_new(struct rep_kafka_calls *c, uint64_t index)
{
    if ((c->used + 1) * 2 > c->cap && !grow(c))
        return NULL;
    struct rep_kafka_call *call = take(c);
    if (!call)
        return NULL;
    size_t at = seek(c, index);
    c->used += !c->slots[at].used;
    c->slots[at] = (struct rep_kafka_slot){index, call, true};
    call->index = index;
    return call;
}

void rep_kafka_calls_end(struct rep_kafka_calls *c, struct rep_kafka_call *call,
                         bool answered)
{
    size_t at = seek(c, call->index);
    if (answered || !late_room(c)) {
        remove_at(c, at);
        return;
    }
    at = seek(c, call->index); /* what was forgotten may have moved it */
    c->slots[at].call = NULL;
    c->late[c->late_put++ & (c->late_cap - 1)] = call->index;
}

void rep_kafka_calls_free(struct rep_kafka_calls *c, struct rep_kafka_call *call)
{
    call->next = c->spare;
    c->spare = call;
}

void rep_kafka_calls_done(struct rep_kafka_calls *c)
{
    while (c->chunks) {
        struct rep_kafka_chunk *chunk = c->chunks;
        c->chunks = chunk->next;
        free(chunk);
    }
    free(c->slots);
    free(c->late);
    memset(c, 0, sizeof *c);
}

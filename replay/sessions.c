/*
 * sessions.c - see sessions.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replay/sessions.h"

#include <stdlib.h>
#include <string.h>

#include "traces/base/rng.h"

#define SESSION_OVER                                                                   \
    "an earlier operation of its session failed (--on-session-error stop)"

/* --- the book --------------------------------------------------------------------- */

/* Clients and connections count apart; 0 is nobody. */
static uint64_t key_of(const struct op *op)
{
    if (op->client != OP_NONE)
        return UINT64_C(1) << 32 | op->client;
    return op->connection != OP_NONE ? UINT64_C(2) << 32 | op->connection : 0;
}

static struct rep_session_entry *place_of(const struct rep_session_book *b,
                                          uint64_t key)
{
    uint32_t mask = b->capacity - 1, i = (uint32_t)rng_hash(key, 0) & mask;
    while (b->entries[i].key != 0 && b->entries[i].key != key)
        i = (i + 1) & mask;
    return &b->entries[i];
}

static int book_grow(struct rep_session_book *b, struct err *e)
{
    struct rep_session_book grown = {.capacity = b->capacity ? b->capacity * 2 : 1024};
    grown.entries = calloc(grown.capacity, sizeof *grown.entries);
    if (!grown.entries)
        return err_set(e, ERR_NOMEM, "out of memory for %u sessions", grown.capacity);
    for (uint32_t i = 0; i < b->capacity; i++)
        if (b->entries[i].key != 0)
            *place_of(&grown, b->entries[i].key) = b->entries[i];
    free(b->entries);
    b->entries = grown.entries;
    b->capacity = grown.capacity;
    return 0;
}

int rep_session_book_add(struct rep_session_book *b, const struct op *op,
                         struct rep_speed speed, struct rep_request *r, struct err *e)
{
    uint64_t key = key_of(op);

    r->session = OP_NONE;
    r->think_ns = -1;
    if (key == 0)
        return 0;
    if (2 * (b->count + 1) > b->capacity) {
        int rc = book_grow(b, e);
        if (rc < 0)
            return rc;
    }
    struct rep_session_entry *s = place_of(b, key);
    if (s->key == 0) {
        if (b->count == REP_SESSIONS_MAX)
            return err_set(e, ERR_LIMIT, "the trace has more than %u sessions",
                           REP_SESSIONS_MAX);
        *s = (struct rep_session_entry){.key = key, .number = b->count++};
    } else {
        int64_t think = op->arrival_ns - s->from_ns;
        r->think_ns = rep_schedule_due(speed, think > 0 ? think : 0);
        b->thinks++;
        b->gaps += !s->answered;
    }
    r->session = s->number;
    s->answered = op->last_ns != OP_TIME_NONE && op->last_ns >= 0;
    s->from_ns = op->arrival_ns + (s->answered ? op->last_ns : 0);
    return 0;
}

void rep_session_book_done(struct rep_session_book *b)
{
    free(b->entries);
    *b = (struct rep_session_book){0};
}

/* --- what is due ------------------------------------------------------------------ */

static bool before(const struct rep_request *x, const struct rep_request *y)
{
    return x->out.due_ns != y->out.due_ns ? x->out.due_ns < y->out.due_ns
                                          : x->out.op_index < y->out.op_index;
}

/* There is room: see reserve. */
static void heap_push(struct rep_sessions *s, struct rep_request *r)
{
    uint64_t i = s->heap_count++;
    while (i > 0 && before(r, s->heap[(i - 1) / 2])) {
        s->heap[i] = s->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    s->heap[i] = r;
}

struct rep_request *rep_sessions_first(const struct rep_sessions *s)
{
    return s->heap_count > 0 ? s->heap[0] : NULL;
}

struct rep_request *rep_sessions_pop(struct rep_sessions *s)
{
    if (s->heap_count == 0)
        return NULL;
    struct rep_request *first = s->heap[0], *last = s->heap[--s->heap_count];
    uint64_t i = 0, child;
    while ((child = 2 * i + 1) < s->heap_count) {
        if (child + 1 < s->heap_count && before(s->heap[child + 1], s->heap[child]))
            child++;
        if (!before(s->heap[child], last))
            break;
        s->heap[i] = s->heap[child];
        i = child;
    }
    if (s->heap_count > 0)
        s->heap[i] = last;
    s->held--;
    return first;
}

/* Room for one more, and for its session. Whatever is held can then be due at once. */
static int reserve(struct rep_sessions *s, uint32_t place, struct err *e)
{
    if (s->held == s->heap_cap) {
        uint64_t cap = s->heap_cap ? s->heap_cap * 2 : 1024;
        struct rep_request **heap = realloc(s->heap, cap * sizeof(*heap));
        if (!heap)
            return err_set(e, ERR_NOMEM, "out of memory for what sessions hold");
        s->heap = heap;
        s->heap_cap = cap;
    }
    if (place != OP_NONE && place >= s->capacity) {
        uint32_t cap = s->capacity ? s->capacity : 256;
        while (cap <= place)
            cap *= 2;
        struct rep_session *grown = realloc(s->sessions, cap * sizeof *grown);
        if (!grown)
            return err_set(e, ERR_NOMEM, "out of memory for %u sessions", cap);
        memset(grown + s->capacity, 0, (cap - s->capacity) * sizeof *grown);
        s->sessions = grown;
        s->capacity = cap;
    }
    return 0;
}

/* The next of a session, now that the end of the one before is known. */
static void begin(struct rep_sessions *s, struct rep_session *of, struct rep_request *r,
                  int64_t end_ns)
{
    of->busy = true;
    r->next = NULL;
    r->out.due_ns = end_ns + (r->think_ns > 0 ? r->think_ns : 0);
    if (of->failed && !r->refusal)
        r->refusal = SESSION_OVER;
    heap_push(s, r);
}

int rep_sessions_add(struct rep_sessions *s, struct rep_request *r, int64_t *due_ns,
                     struct err *e)
{
    uint32_t place = r->session == OP_NONE ? OP_NONE : r->session / s->workers;
    int rc = reserve(s, place, e);
    if (rc < 0)
        return rc;
    s->held++;
    *due_ns = r->out.due_ns;
    struct rep_session *of = place == OP_NONE ? NULL : &s->sessions[place];
    if (!of || !of->seen) {
        if (of)
            of->seen = of->busy = true;
        heap_push(s, r);
        return 0;
    }
    if (!of->busy) {
        begin(s, of, r, of->ended_ns);
        *due_ns = r->out.due_ns;
        return 0;
    }
    r->next = NULL;
    if (of->tail)
        of->tail->next = r;
    else
        of->head = r;
    of->tail = r;
    *due_ns = REP_NEVER;
    return 0;
}

static struct rep_request *unpark(struct rep_session *of)
{
    struct rep_request *r = of->head;
    if (r) {
        of->head = r->next;
        of->tail = of->head ? of->tail : NULL;
        r->next = NULL;
    }
    return r;
}

void rep_sessions_ended(struct rep_sessions *s, const struct rep_request *r,
                        int64_t end_ns)
{
    if (r->session == OP_NONE)
        return;
    struct rep_session *of = &s->sessions[r->session / s->workers];
    of->failed = of->failed || (s->stops && !outcome_ok(&r->out));
    struct rep_request *next = unpark(of);
    of->busy = false;
    of->ended_ns = end_ns;
    if (next)
        begin(s, of, next, end_ns);
}

struct rep_request *rep_sessions_drain(struct rep_sessions *s)
{
    struct rep_request *r = rep_sessions_pop(s);
    for (uint32_t i = s->capacity; !r && s->held > 0 && i-- > 0;) {
        r = unpark(&s->sessions[i]);
        s->held -= r != NULL;
        if (!r)
            s->capacity = i; /* nothing more here: do not look again */
    }
    return r;
}

void rep_sessions_done(struct rep_sessions *s)
{
    free(s->sessions);
    free(s->heap);
    *s = (struct rep_sessions){.workers = s->workers, .stops = s->stops};
}

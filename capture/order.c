/*
 * order.c - see order.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "capture/order.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "capture/pool.h"
#include "traces/base/rng.h"

#define BUCKETS     65536u /* of the waiting, and of ids that were told by name */
#define NOT_WAITED  UINT32_MAX
#define FETCH_LINE  64u
#define FETCH_BYTES 1024u
#define ID_MIN      4u /* a shorter value says too little to be taken for an id */

/* An operation with all that it points to, in one allocation but for large bodies. */
struct held {
    int64_t at_ns; /* wall */
    uint64_t seq;
    size_t bytes;     /* of memory, */
    size_t block;     /* of which so many are its own block's */
    uint32_t waiting; /* entry that waits for its answer, or NOT_WAITED */
    uint32_t nameless_count;
    struct span *nameless;
    struct op op;
    struct op_stream stream;
    struct buf taken[2]; /* what large bodies, of request and answer, stand in */
    uint8_t *answer; /* that came by itself: its messages, and its body unless taken;
                        own allocation, or NULL */
};

/* A request whose answer is to come: held, or written under an index. */
struct waiting {
    uint32_t connection, stream;
    struct held *held;
    uint64_t index;
    uint32_t next;         /* of its bucket, or of the free ones */
    uint32_t older, newer; /* by age */
};

/* Where an operation stands in time, beside what holds it: orders are compared without
 * a look at it. */
struct slot {
    int64_t at_ns;
    uint64_t seq;
    struct held *held;
};

/* Most operations come in order: they stand in `line`, a ring, ascending. Others go
 * through `heap`, the least first. The next to be written is the lesser of both firsts.
 */
struct cap_order {
    struct trc_writer *w;
    struct cap_order_options o;
    struct slot *line; /* ring of line_cap, a power of two */
    size_t line_first, line_n, line_cap;
    struct slot *heap;
    size_t n, cap;
    uint64_t seq;
    int64_t last_ns; /* arrival of the last written, since the epoch */
    struct waiting *waiting;
    uint32_t *buckets;
    uint32_t free_waiting, oldest, newest;
    uint32_t waiting_used; /* those from here on were never touched, and are free */
    uint64_t *ids;         /* hashes of ids told by name */
    struct cap_pool pool;  /* of what is held */
    struct cap_order_counts counts;
};

/* What is held for long has left the cache. */
static void fetch(const void *p)
{
    const uint8_t *at = p;
    for (size_t i = 0; i < FETCH_BYTES; i += FETCH_LINE)
        __builtin_prefetch(at + i);
}

/* --- those that are held ---------------------------------------------------------- */

static bool before(const struct slot *a, const struct slot *b)
{
    return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->seq < b->seq;
}

static struct slot *line_at(const struct cap_order *o, size_t i)
{
    return &o->line[(o->line_first + i) & (o->line_cap - 1)];
}

static int line_grow(struct cap_order *o, struct err *e)
{
    size_t cap = o->line_cap ? 2 * o->line_cap : 256;
    struct slot *line = malloc(cap * sizeof *line);
    if (!line)
        return err_set(e, ERR_NOMEM, "out of memory for %zu operations", cap);
    for (size_t i = 0; i < o->line_n; i++)
        line[i] = *line_at(o, i);
    free(o->line);
    o->line = line;
    o->line_cap = cap;
    o->line_first = 0;
    return 0;
}

static int heap_push(struct cap_order *o, struct slot s, struct err *e)
{
    if (o->n == o->cap) {
        size_t cap = o->cap ? 2 * o->cap : 256;
        struct slot *heap = realloc(o->heap, cap * sizeof *heap);
        if (!heap)
            return err_set(e, ERR_NOMEM, "out of memory for %zu operations", cap);
        o->heap = heap;
        o->cap = cap;
    }
    size_t i = o->n++;
    for (; i > 0 && before(&s, &o->heap[(i - 1) / 2]); i = (i - 1) / 2)
        o->heap[i] = o->heap[(i - 1) / 2];
    o->heap[i] = s;
    return 0;
}

static struct held *heap_pop(struct cap_order *o)
{
    struct held *top = o->heap[0].held;
    struct slot last = o->heap[--o->n];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= o->n)
            break;
        if (child + 1 < o->n && before(&o->heap[child + 1], &o->heap[child]))
            child++;
        if (!before(&o->heap[child], &last))
            break;
        o->heap[i] = o->heap[child];
        i = child;
    }
    if (o->n > 0)
        o->heap[i] = last;
    return top;
}

static int push(struct cap_order *o, struct held *h, struct err *e)
{
    struct slot s = {h->at_ns, h->seq, h};
    if (o->line_n > 0 && before(&s, line_at(o, o->line_n - 1)))
        return heap_push(o, s, e);
    if (o->line_n == o->line_cap) {
        int rc = line_grow(o, e);
        if (rc < 0)
            return rc;
    }
    *line_at(o, o->line_n++) = s;
    return 0;
}

/* The next to be written, or NULL. */
static const struct slot *first(const struct cap_order *o)
{
    const struct slot *a = o->line_n > 0 ? line_at(o, 0) : NULL;
    const struct slot *b = o->n > 0 ? &o->heap[0] : NULL;
    return !a || (b && before(b, a)) ? b : a;
}

static struct held *pop(struct cap_order *o)
{
    const struct slot *s = first(o);
    if (o->n > 0 && s == &o->heap[0])
        return heap_pop(o);
    struct held *h = s->held;
    o->line_first = (o->line_first + 1) & (o->line_cap - 1);
    o->line_n--;
    return h;
}

/* --- those that wait for an answer ------------------------------------------------ */

static uint32_t bucket_of(uint32_t connection, uint32_t stream)
{
    return (uint32_t)(rng_hash(connection, stream) % BUCKETS);
}

static uint32_t find_waiting(const struct cap_order *o, uint32_t connection,
                             uint32_t stream)
{
    uint32_t i = o->buckets[bucket_of(connection, stream)];
    while (i != NOT_WAITED &&
           (o->waiting[i].connection != connection || o->waiting[i].stream != stream))
        i = o->waiting[i].next;
    return i;
}

static void forget_waiting(struct cap_order *o, uint32_t i)
{
    struct waiting *w = &o->waiting[i];
    uint32_t *link = &o->buckets[bucket_of(w->connection, w->stream)];
    while (*link != i)
        link = &o->waiting[*link].next;
    *link = w->next;
    if (w->older != NOT_WAITED)
        o->waiting[w->older].newer = w->newer;
    else
        o->oldest = w->newer;
    if (w->newer != NOT_WAITED)
        o->waiting[w->newer].older = w->older;
    else
        o->newest = w->older;
    if (w->held)
        w->held->waiting = NOT_WAITED;
    *w = (struct waiting){.next = o->free_waiting};
    o->free_waiting = i;
}

static uint32_t take_free_waiting(struct cap_order *o)
{
    if (o->free_waiting == NOT_WAITED && o->waiting_used < CAP_WAITING_MAX)
        return o->waiting_used++;
    if (o->free_waiting == NOT_WAITED)
        forget_waiting(o, o->oldest); /* its answer will find no request */
    uint32_t i = o->free_waiting;
    o->free_waiting = o->waiting[i].next;
    return i;
}

static void start_waiting(struct cap_order *o, struct held *h)
{
    uint32_t old = find_waiting(o, h->op.connection, h->op.conn_stream);
    if (old != NOT_WAITED)
        forget_waiting(o, old);
    uint32_t i = take_free_waiting(o);
    struct waiting *w = &o->waiting[i];
    uint32_t *bucket = &o->buckets[bucket_of(h->op.connection, h->op.conn_stream)];
    *w = (struct waiting){.connection = h->op.connection,
                          .stream = h->op.conn_stream,
                          .held = h,
                          .next = *bucket,
                          .older = o->newest,
                          .newer = NOT_WAITED};
    *bucket = i;
    if (o->newest != NOT_WAITED)
        o->waiting[o->newest].newer = i;
    else
        o->oldest = i;
    o->newest = i;
    h->waiting = i;
}

/* --- ids of other legs ------------------------------------------------------------ */

static uint64_t id_hash(struct span id)
{
    uint64_t h[2];
    op_body_hash(id, h);
    return h[0] | 1; /* never the empty slot's 0 */
}

/* One hash a slot, newest wins: an id is wanted within moments or not at all. */
static uint64_t *id_slot(const struct cap_order *o, uint64_t hash)
{
    return &o->ids[hash / 2 % BUCKETS];
}

static void join_id(struct cap_order *o, struct held *h)
{
    struct span found = {0};
    for (uint32_t i = 0; i < h->nameless_count; i++) {
        uint64_t hash = id_hash(h->nameless[i]);
        if (h->nameless[i].n < ID_MIN || *id_slot(o, hash) != hash)
            continue;
        if (found.n > 0 && !span_eq(found, h->nameless[i]))
            return; /* two ids: neither is certain */
        found = h->nameless[i];
    }
    if (found.n == 0)
        return;
    h->op.id = found;
    o->counts.joined_ids++;
}

/* --- new and free ----------------------------------------------------------------- */

int cap_order_new(struct cap_order **out, struct trc_writer *w,
                  const struct cap_order_options *options, struct err *e)
{
    struct cap_order *o = *out = calloc(1, sizeof *o);
    if (o) {
        o->waiting = calloc(CAP_WAITING_MAX, sizeof *o->waiting);
        o->buckets = malloc(BUCKETS * sizeof *o->buckets);
        o->ids = calloc(BUCKETS, sizeof *o->ids);
    }
    if (!o || !o->waiting || !o->buckets || !o->ids) {
        cap_order_free(o);
        *out = NULL;
        return err_set(e, ERR_NOMEM, "out of memory for ordering operations");
    }
    o->w = w;
    o->o = *options;
    if (o->o.hold_ns == 0)
        o->o.hold_ns = CAP_ORDER_HOLD_NS;
    if (o->o.memory_bytes == 0)
        o->o.memory_bytes = CAP_ORDER_MEMORY;
    memset(o->buckets, 0xff, BUCKETS * sizeof *o->buckets);
    o->free_waiting = o->oldest = o->newest = NOT_WAITED;
    return 0;
}

static void free_held(struct cap_order *o, struct held *h)
{
    o->counts.held_bytes -= h->bytes;
    cap_spare_give(o->o.spares, &h->taken[0]);
    cap_spare_give(o->o.spares, &h->taken[1]);
    free(h->answer);
    cap_pool_give(&o->pool, h, h->block);
}

void cap_order_free(struct cap_order *o)
{
    if (!o)
        return;
    while (first(o))
        free_held(o, pop(o));
    free(o->line);
    free(o->heap);
    free(o->waiting);
    free(o->buckets);
    free(o->ids);
    cap_pool_done(&o->pool);
    free(o);
}

const struct cap_order_counts *cap_order_counts(const struct cap_order *o)
{
    return &o->counts;
}

/* --- in --------------------------------------------------------------------------- */

/* which: 0 a request, 1 an answer. What a body took on the wire is told by wire where
 * that is another number of bytes. */
static void let_go(struct cap_order_counts *c, struct op_body *body, int which,
                   const struct cap_wire_share *wire)
{
    if (body->state != OP_BODY_KEPT)
        return;
    body->state = OP_BODY_ELIDED;
    body->data = (struct span){0};
    *(which ? &c->shed_answers : &c->shed_requests) += 1;
    if (wire && wire->bytes)
        c->shed_body_bytes[wire->dir] += wire->bytes;
    else
        c->shed_body_bytes[which] += body->bytes;
}

/* Whether a body is taken over with the buffer that it stands in. A small one, and one
 * that fills less than half of it, is better copied. */
static bool is_taken(const struct op_body *body, const struct buf *b)
{
    return b && b->cap >= CAP_SPARE_FROM && body->data.n >= b->cap / 2 &&
           body->data.p >= b->p && body->data.p + body->data.n <= b->p + b->n;
}

/* Memory that a body will take. */
static size_t weight(const struct op_body *body, const struct buf *b)
{
    return is_taken(body, b) ? b->cap : body->data.n;
}

/* Lightens op as memory asks for it; false: shed it as a whole. */
static bool fits(struct cap_order *o, const struct cap_record *r, struct op *op)
{
    struct cap_order_counts *c = &o->counts;
    size_t most = o->o.memory_bytes, held = c->held_bytes;
    size_t request = weight(&op->request, r->buffers[0]);
    if (held + request + weight(&op->response, r->buffers[1]) > most / 2)
        let_go(c, &op->response, 1, &r->wire[1]);
    if (held + request > most / 4 * 3)
        let_go(c, &op->request, 0, &r->wire[0]);
    if (held > most || (held > most / 8 * 7 && (rng_hash(op->connection, 0) & 1))) {
        c->shed_operations++;
        return false;
    }
    return true;
}

/* Bytes behind struct held. take: which bodies are not copied there. */
static size_t room_for(const struct cap_record *r, const struct op *op,
                       const bool take[2])
{
    const struct op_stream *s = &r->stream;
    size_t n = (op->request_messages.count + op->response_messages.count) *
                   sizeof(struct op_message) +
               s->header_count * sizeof(struct op_header) +
               r->nameless_count * sizeof(struct span) + s->name.n + s->model_type.n +
               s->method.n + s->path.n + s->content_type.n + s->content_encoding.n +
               op->id.n + (take[0] ? 0 : op->request.data.n) +
               (take[1] ? 0 : op->response.data.n);
    for (uint32_t i = 0; i < s->header_count; i++)
        n += s->headers[i].name.n + s->headers[i].value.n;
    for (uint32_t i = 0; i < r->nameless_count; i++)
        n += r->nameless[i].n;
    return n;
}

static void move_in(struct span *s, uint8_t **at)
{
    if (s->n > 0)
        memcpy(*at, s->p, s->n);
    s->p = *at;
    *at += s->n;
}

static struct op_message *move_messages(struct op_messages *m, struct op_message *at)
{
    if (m->count > 0)
        memcpy(at, m->v, m->count * sizeof *at);
    m->v = at;
    return at + m->count;
}

/* The body's bytes are the held one's now, and stay where they are. */
static void take_over(struct held *h, int which, struct buf *b)
{
    h->taken[which] = *b;
    *b = (struct buf){0};
    h->bytes += h->taken[which].cap;
}

static struct held *hold(struct cap_order *o, const struct cap_record *r,
                         const struct op *op)
{
    const bool take[2] = {is_taken(&op->request, r->buffers[0]),
                          is_taken(&op->response, r->buffers[1])};
    size_t bytes = sizeof(struct held) + room_for(r, op, take);
    struct held *h = cap_pool_take(&o->pool, bytes);
    if (!h)
        return NULL;
    *h = (struct held){.at_ns = r->at.ns,
                       .bytes = bytes,
                       .block = bytes,
                       .waiting = NOT_WAITED,
                       .nameless_count = r->nameless_count,
                       .op = *op,
                       .stream = r->stream};
    struct op_stream *s = &h->stream;
    struct op_header *headers = (struct op_header *)(h + 1);
    h->nameless = (struct span *)(headers + s->header_count);
    struct op_message *messages =
        (struct op_message *)(h->nameless + r->nameless_count);
    messages = move_messages(&h->op.request_messages, messages);
    messages = move_messages(&h->op.response_messages, messages);
    uint8_t *at = (uint8_t *)messages;
    for (uint32_t i = 0; i < s->header_count; i++) {
        headers[i] = r->stream.headers[i];
        move_in(&headers[i].name, &at);
        move_in(&headers[i].value, &at);
    }
    s->headers = headers;
    struct span *spans[] = {&s->name, &s->model_type,   &s->method,
                            &s->path, &s->content_type, &s->content_encoding,
                            &h->op.id};
    for (size_t i = 0; i < sizeof spans / sizeof *spans; i++)
        move_in(spans[i], &at);
    struct span *bodies[] = {&h->op.request.data, &h->op.response.data};
    for (int i = 0; i < 2; i++) {
        if (take[i])
            take_over(h, i, r->buffers[i]);
        else
            move_in(bodies[i], &at);
    }
    for (uint32_t i = 0; i < r->nameless_count; i++) {
        h->nameless[i] = r->nameless[i];
        move_in(&h->nameless[i], &at);
    }
    assert(at == (uint8_t *)h + bytes);
    h->op.stream = s;
    return h;
}

static void count_held(struct cap_order *o, size_t more)
{
    o->counts.held_bytes += more;
    if (o->counts.held_bytes > o->counts.held_bytes_max)
        o->counts.held_bytes_max = o->counts.held_bytes;
}

int cap_order_add(struct cap_order *o, const struct cap_record *r, bool waiting,
                  struct err *e)
{
    struct op op = r->op;
    if (!fits(o, r, &op))
        return 0;
    uint64_t id = op.id.n > 0 ? id_hash(op.id) : 0;
    __builtin_prefetch(id_slot(o, id), 1); /* which is there once the rest is copied */
    struct held *h = hold(o, r, &op);
    if (!h)
        return err_set(e, ERR_NOMEM, "out of memory for an operation");
    h->seq = o->seq++;
    count_held(o, h->bytes);
    int rc = push(o, h, e);
    if (rc < 0) {
        free_held(o, h);
        return rc;
    }
    if (id)
        *id_slot(o, id) = id;
    if (waiting)
        start_waiting(o, h);
    return 1;
}

/* --- answers that come by themselves ---------------------------------------------- */

static int answer_held(struct cap_order *o, struct held *h, const struct op *answer,
                       struct buf *buffer, const struct cap_wire_share *wire,
                       struct err *e)
{
    struct op_body body = answer->response;
    struct cap_order_counts *c = &o->counts;
    if (c->held_bytes + weight(&body, buffer) > o->o.memory_bytes / 2)
        let_go(c, &body, 1, wire);
    bool take = is_taken(&body, buffer);
    struct op_messages messages = answer->response_messages;
    size_t listed = messages.count * sizeof *messages.v;
    size_t n = listed + (take ? 0 : body.data.n), before = h->bytes;
    if (n > 0) {
        h->answer = malloc(n);
        if (!h->answer)
            return err_set(e, ERR_NOMEM, "out of memory for an answer");
        h->bytes += n;
        uint8_t *at = h->answer + listed;
        move_messages(&messages, (struct op_message *)(void *)h->answer);
        if (!take)
            move_in(&body.data, &at);
    }
    if (take)
        take_over(h, 1, buffer);
    count_held(o, h->bytes - before);
    op_take_answer(&h->op, answer);
    h->op.response = body;
    h->op.response_messages = messages;
    return 0;
}

int cap_order_answer(struct cap_order *o, uint32_t connection, uint32_t stream,
                     const struct op *answer, struct buf *buffer,
                     const struct cap_wire_share *wire, struct err *e)
{
    uint32_t i = find_waiting(o, connection, stream);
    if (i == NOT_WAITED) {
        o->counts.unmatched_answers++;
        return 0;
    }
    struct waiting w = o->waiting[i];
    forget_waiting(o, i);
    int rc;
    if (w.held) {
        rc = answer_held(o, w.held, answer, buffer, wire, e);
    } else {
        struct op late = op_empty();
        late.index = w.index;
        op_take_answer(&late, answer);
        rc = trc_writer_late(o->w, &late, e);
        o->counts.late_answers++;
    }
    return rc < 0 ? rc : 1;
}

/* --- out -------------------------------------------------------------------------- */

static int write_first(struct cap_order *o, struct err *e)
{
    struct held *h = pop(o);
    const struct slot *next = first(o);
    if (next)
        fetch(next->held);
    int64_t arrival = h->at_ns - o->o.epoch.ns;
    if (arrival < o->last_ns) {
        int64_t moved = o->last_ns - arrival;
        arrival = o->last_ns;
        o->counts.moved++;
        if (moved > o->counts.moved_max_ns)
            o->counts.moved_max_ns = moved;
    }
    if (h->op.id.n == 0)
        join_id(o, h);
    h->op.arrival_ns = arrival;
    int rc = trc_writer_op(o->w, &h->op, e);
    if (h->waiting != NOT_WAITED) {
        struct waiting *w = &o->waiting[h->waiting];
        w->held = NULL;
        w->index = o->counts.written;
    }
    o->last_ns = arrival;
    o->counts.written++;
    free_held(o, h);
    return rc;
}

int cap_order_advance(struct cap_order *o, struct clk_wall now, struct clk_wall certain,
                      struct err *e)
{
    const struct slot *s;
    int rc = 0;
    while (rc == 0 && (s = first(o)) != NULL &&
           (s->at_ns < certain.ns || s->at_ns < now.ns - o->o.hold_ns))
        rc = write_first(o, e);
    return rc;
}

int cap_order_ease(struct cap_order *o, struct clk_wall certain, size_t bytes,
                   struct err *e)
{
    const struct slot *s;
    int rc = 0;
    while (rc == 0 && o->counts.held_bytes > bytes && (s = first(o)) != NULL &&
           s->at_ns < certain.ns)
        rc = write_first(o, e);
    return rc;
}

int cap_order_flush(struct cap_order *o, struct err *e)
{
    int rc = 0;
    while (rc == 0 && first(o))
        rc = write_first(o, e);
    return rc;
}

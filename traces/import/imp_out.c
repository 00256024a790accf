/*
 * imp_out.c - see imp_out.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/import/imp_out.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "traces/base/buf.h"
#include "traces/base/units.h"
#include "traces/container/trc_encode.h"
#include "traces/synth/making.h"
#include "traces/tool/trc_copy.h"

#define NOTES     8
#define NO_SLOT   UINT32_MAX
#define BUCKETS   65536u
#define DRAW_MASK 0xfff /* operations between looks for a signal, less one */

const char *const imp_left_texts[IMP_LEFT_COUNT] = {
    [IMP_LEFT_OTHER] = "calls that are no V2 inference",
    [IMP_LEFT_UNNAMED] = "inferences of which nothing says what model is meant",
    [IMP_LEFT_LONG] = "calls with a name, path or id that is too long",
    [IMP_LEFT_GRPC] = "gRPC calls whose body is not one whole, plain message",
    [IMP_LEFT_HTTP] = "payloads that are no whole HTTP/1.1 message",
    [IMP_LEFT_REPLAYED] = "answers to a replay, not to the recorded requests",
    [IMP_LEFT_UNMATCHED] = "answers whose request is not there",
};

const char *const imp_spread_names[] = {"refuse", "uniform", "none", NULL};

/* One allocation: this, headers, messages, bytes. */
struct held {
    int64_t at_ns;
    uint64_t seq;
    uint32_t slot; /* where it waits for its answer, or NO_SLOT */
    size_t bytes;
    struct op op;
    struct op_stream stream;
    uint8_t *answer; /* of an answer that came by itself */
};

/* An operation that an answer may come to. */
struct waiting {
    uint64_t key; /* 0: nobody */
    struct held *held;
    uint64_t index; /* where it is written already: of the trace */
    int64_t at_ns;
    uint32_t next; /* in its bucket */
};

struct imp_out {
    struct imp_out_options how;
    struct trc_writer *w;
    struct imp_out_done done;
    char *notes[NOTES][2];
    size_t note_count;
    struct held **heap;
    size_t n, cap, bytes;
    uint64_t seq;
    struct imp_grid grid;
    struct rng rng;
    bool has_epoch, started;
    int64_t epoch_ns;              /* of the arrivals as they are added */
    int64_t wall_ns;               /* of the trace */
    int64_t before_ns, written_ns; /* added last; written last */
    struct waiting *waiting;       /* a ring; NULL until a key comes */
    uint32_t *buckets, ring_next;
};

/* --- the start -------------------------------------------------------------------- */

int imp_out_open(struct imp_out **o, const struct imp_out_options *how, struct err *e)
{
    struct imp_out *s = calloc(1, sizeof *s);
    char text[IMP_OUT_WHERE_MAX];
    const char *slash = strrchr(how->source, '/');
    *o = s;
    if (!s)
        return err_set(e, ERR_NOMEM, "out of memory for operations");
    s->how = *how;
    s->how.ops_max = how->ops_max ? how->ops_max : IMP_OUT_OPS;
    s->how.bytes_max = how->bytes_max ? how->bytes_max : IMP_OUT_BYTES;
    struct rng root;
    rng_init(&root, how->seed);
    s->rng = rng_fork(&root, "spread");
    snprintf(text, sizeof text, "import %s", how->format);
    int rc = imp_out_note(s, "tool.version", REPRISE_VERSION, e);
    if (rc == 0)
        rc = imp_out_note(s, "tool.command", text, e);
    if (rc == 0)
        rc = imp_out_note(s, "import.source", slash ? slash + 1 : how->source, e);
    return rc;
}

struct imp_out_done *imp_out_done(struct imp_out *o)
{
    return &o->done;
}

int imp_out_note(struct imp_out *o, const char *key, const char *value, struct err *e)
{
    char **note = o->notes[o->note_count];
    if (o->note_count == NOTES)
        return err_set(e, ERR_LIMIT, "more than %d notes", NOTES);
    note[0] = strdup(key);
    note[1] = strdup(value);
    o->note_count++;
    return note[0] && note[1] ? 0 : err_set(e, ERR_NOMEM, "out of memory for a note");
}

void imp_out_epoch(struct imp_out *o, int64_t epoch_wall_ns)
{
    o->has_epoch = true;
    o->wall_ns = epoch_wall_ns;
}

void imp_out_leave(struct imp_out *o, enum imp_left why, const char *where)
{
    if (o->done.left[why]++ == 0)
        snprintf(o->done.left_first[why], IMP_OUT_WHERE_MAX, "%s", where);
}

/* --- copies ----------------------------------------------------------------------- */

static void move(struct span *s, uint8_t **at)
{
    if (s->n == 0)
        return;
    memcpy(*at, s->p, s->n);
    s->p = *at;
    *at += s->n;
}

static void move_messages(struct op_messages *m, struct op_message **at)
{
    if (m->count == 0)
        return;
    memcpy(*at, m->v, m->count * sizeof *m->v);
    m->v = *at;
    *at += m->count;
}

#define STREAM_TEXTS 6
static void texts_of(struct op_stream *s, struct span *texts[STREAM_TEXTS])
{
    struct span *all[STREAM_TEXTS] = {&s->name, &s->model_type,   &s->method,
                                      &s->path, &s->content_type, &s->content_encoding};
    memcpy(texts, all, sizeof all);
}

static struct held *copy_of(const struct op *op)
{
    struct op_stream stream = *op->stream;
    struct span *texts[STREAM_TEXTS];
    size_t lists = op->request_messages.count + (size_t)op->response_messages.count;
    size_t heads = stream.header_count * sizeof(struct op_header);
    size_t n = op->id.n + op->request.data.n + op->response.data.n;
    texts_of(&stream, texts);
    for (size_t i = 0; i < STREAM_TEXTS; i++)
        n += texts[i]->n;
    for (uint32_t i = 0; i < stream.header_count; i++)
        n += stream.headers[i].name.n + stream.headers[i].value.n;
    n += sizeof(struct held) + heads + lists * sizeof(struct op_message);
    struct held *h = malloc(n);
    if (!h)
        return NULL;
    *h = (struct held){.bytes = n, .op = *op, .stream = stream, .slot = NO_SLOT};
    struct op_header *headers = (struct op_header *)(h + 1);
    struct op_message *messages =
        (struct op_message *)(void *)(headers + stream.header_count);
    uint8_t *at = (uint8_t *)(messages + lists);
    if (heads)
        memcpy(headers, stream.headers, heads);
    for (uint32_t i = 0; i < stream.header_count; i++) {
        move(&headers[i].name, &at);
        move(&headers[i].value, &at);
    }
    texts_of(&h->stream, texts);
    for (size_t i = 0; i < STREAM_TEXTS; i++)
        move(texts[i], &at);
    move_messages(&h->op.request_messages, &messages);
    move_messages(&h->op.response_messages, &messages);
    move(&h->op.id, &at);
    move(&h->op.request.data, &at);
    move(&h->op.response.data, &at);
    h->stream.headers = headers;
    h->op.stream = &h->stream;
    return h;
}

static void free_held(struct held *h)
{
    free(h->answer);
    free(h);
}

/* --- order ------------------------------------------------------------------------ */

static bool earlier(const struct held *a, const struct held *b)
{
    return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->seq < b->seq;
}

static void sift_up(struct imp_out *o, size_t i, struct held *h)
{
    for (; i > 0 && earlier(h, o->heap[(i - 1) / 2]); i = (i - 1) / 2)
        o->heap[i] = o->heap[(i - 1) / 2];
    o->heap[i] = h;
}

static int push(struct imp_out *o, struct held *h, struct err *e)
{
    if (o->n == o->cap) {
        size_t cap = o->cap ? 2 * o->cap : 256;
        struct held **v = realloc(o->heap, cap * sizeof *v);
        if (!v)
            return err_set(e, ERR_NOMEM, "out of memory for operations");
        o->heap = v;
        o->cap = cap;
    }
    sift_up(o, o->n++, h);
    o->bytes += h->bytes;
    return 0;
}

static struct held *pop(struct imp_out *o)
{
    struct held *first = o->heap[0], *last = o->heap[--o->n];
    size_t i = 0;
    for (size_t child = 1; child < o->n; child = 2 * i + 1) {
        if (child + 1 < o->n && earlier(o->heap[child + 1], o->heap[child]))
            child++;
        if (!earlier(o->heap[child], last))
            break;
        o->heap[i] = o->heap[child];
        i = child;
    }
    if (o->n > 0)
        o->heap[i] = last;
    o->bytes -= first->bytes;
    return first;
}

/* --- answers that are to come ----------------------------------------------------- */

static int make_ring(struct imp_out *o, struct err *e)
{
    o->waiting = calloc(IMP_OUT_WAITING, sizeof *o->waiting);
    o->buckets = malloc(BUCKETS * sizeof *o->buckets);
    if (!o->waiting || !o->buckets)
        return err_set(e, ERR_NOMEM, "out of memory for requests without answer");
    memset(o->buckets, 0xff, BUCKETS * sizeof *o->buckets); /* NO_SLOT */
    return 0;
}

static void forget(struct imp_out *o, uint32_t slot)
{
    struct waiting *w = &o->waiting[slot];
    uint32_t *link = &o->buckets[w->key % BUCKETS];
    while (*link != slot)
        link = &o->waiting[*link].next;
    *link = w->next;
    if (w->held)
        w->held->slot = NO_SLOT;
    *w = (struct waiting){.key = 0};
}

static int wait_for(struct imp_out *o, struct held *h, uint64_t key, int64_t at_ns,
                    struct err *e)
{
    int rc = o->waiting ? 0 : make_ring(o, e);
    if (rc < 0)
        return rc;
    uint32_t slot = o->ring_next++ % IMP_OUT_WAITING;
    if (o->waiting[slot].key)
        forget(o, slot);
    uint32_t *bucket = &o->buckets[key % BUCKETS];
    o->waiting[slot] =
        (struct waiting){.key = key, .held = h, .at_ns = at_ns, .next = *bucket};
    *bucket = slot;
    h->slot = slot;
    return 0;
}

static uint32_t find(const struct imp_out *o, uint64_t key)
{
    uint32_t slot = o->waiting && key ? o->buckets[key % BUCKETS] : NO_SLOT;
    while (slot != NO_SLOT && o->waiting[slot].key != key)
        slot = o->waiting[slot].next;
    return slot;
}

bool imp_out_waiting(const struct imp_out *o, uint64_t key, int64_t *arrival_ns)
{
    uint32_t slot = find(o, key);
    if (slot != NO_SLOT)
        *arrival_ns = o->waiting[slot].at_ns;
    return slot != NO_SLOT;
}

int imp_out_answer(struct imp_out *o, uint64_t key, const struct op *answer,
                   struct err *e)
{
    uint32_t slot = find(o, key);
    struct waiting w = o->waiting[slot];
    forget(o, slot);
    o->done.answers++;
    if (!w.held) {
        struct op late = op_empty();
        op_take_answer(&late, answer);
        late.index = w.index;
        o->done.late++;
        return trc_writer_late(o->w, &late, e);
    }
    struct span body = answer->response.data;
    op_take_answer(&w.held->op, answer);
    if (body.n == 0)
        return 0;
    w.held->answer = malloc(body.n);
    if (!w.held->answer)
        return err_set(e, ERR_NOMEM, "out of memory for an answer");
    memcpy(w.held->answer, body.p, body.n);
    w.held->op.response.data = span_of(w.held->answer, body.n);
    w.held->bytes += body.n;
    o->bytes += body.n;
    return 0;
}

/* --- out -------------------------------------------------------------------------- */

/* A time on the grid becomes one of its cell. */
static void spread(struct imp_out *o, struct held *h)
{
    if (!o->done.spread || !imp_grid_on(&o->grid, h->at_ns))
        return;
    h->at_ns = imp_grid_cell_start(&o->grid, h->at_ns) +
               (int64_t)rng_below(&o->rng, (uint64_t)o->grid.period_ns);
    h->op.flags |= OP_FLAG_DEQUANTIZED;
}

static int find_grid(struct imp_out *o, struct err *e)
{
    struct imp_rows rows = {0};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < o->n; i++)
        rc = imp_rows_add(&rows, o->heap[i]->at_ns, 0, 0, e);
    if (rc == 0)
        rc = imp_rows_sort(&rows, e);
    if (rc == 0) {
        imp_grid_find(&rows, &o->grid);
        imp_grid_text(&o->grid, rows.n, o->done.grid);
    }
    imp_rows_done(&rows);
    return rc;
}

/* Judges the times that are held, while none is written. */
static int judge(struct imp_out *o, struct err *e)
{
    int rc = o->n >= IMP_OUT_JUDGE && !o->has_epoch ? find_grid(o, e) : 0;
    if (rc < 0)
        return rc;
    bool shared = o->grid.period_ns == 0 || o->grid.ties >= IMP_GRID_TIES;
    if (!o->grid.matters || !shared || o->how.spread == IMP_SPREAD_NONE)
        return 0;
    if (o->how.spread == IMP_SPREAD_REFUSE)
        return err_set(e, ERR_FORMAT, "%s; say --spread uniform or --spread none",
                       o->done.grid);
    if (o->grid.period_ns == 0)
        return err_set(e, ERR_FORMAT, "%s: there is no cell to spread them over",
                       o->done.grid);
    o->done.spread = true;
    for (size_t i = 0; i < o->n; i++)
        spread(o, o->heap[i]);
    for (size_t i = 1; i < o->n; i++) /* a heap again, from the front */
        sift_up(o, i, o->heap[i]);
    return 0;
}

static int note_grid(struct imp_out *o, struct err *e)
{
    struct buf text = {0};
    if (!o->done.grid[0])
        return 0;
    buf_fmt(&text, "%s%s", o->done.grid,
            o->done.spread ? "; spread: drawn uniformly from each cell" : "");
    int rc = buf_check(&text, e);
    if (rc == 0)
        rc = imp_out_note(o, "import.grid", buf_text(&text), e);
    buf_done(&text);
    return rc;
}

static int start(struct imp_out *o, struct err *e)
{
    int rc = judge(o, e);
    if (rc == 0)
        rc = note_grid(o, e);
    if (rc < 0)
        return rc;
    int64_t first_ns = o->heap[0]->at_ns;
    if (!o->has_epoch) {
        o->epoch_ns = first_ns;
        o->wall_ns = o->how.calendar ? first_ns : 0;
    }
    const struct trc_options options = {.kind = TRC_TRACE, .epoch_wall_ns = o->wall_ns};
    rc = trc_writer_open(&o->w, o->how.path, &options, e);
    for (size_t i = 0; rc == 0 && i < o->note_count; i++)
        rc = trc_writer_note(o->w, o->notes[i][0], o->notes[i][1], e);
    o->started = rc == 0;
    return rc;
}

static int write_first(struct imp_out *o, struct err *e)
{
    int rc = o->started ? 0 : start(o, e);
    if (rc < 0)
        return rc;
    struct held *h = pop(o);
    h->op.arrival_ns = h->at_ns - o->epoch_ns;
    rc = trc_writer_op(o->w, &h->op, e);
    if (rc == 0 && h->slot != NO_SLOT) {
        o->waiting[h->slot].held = NULL;
        o->waiting[h->slot].index = o->done.operations;
    }
    o->done.operations++;
    o->done.last_ns = h->op.arrival_ns;
    o->written_ns = h->at_ns;
    free_held(h);
    if (rc == 0 && (o->done.operations & DRAW_MASK) == 0 && making_stopped())
        rc = err_set(e, ERR_STOPPED, "stopped after %" PRIu64 " operations",
                     o->done.operations);
    return rc;
}

/* Whether its place is still ahead. */
static int check_place(const struct imp_out *o, int64_t at_ns, struct err *e)
{
    char back[UNITS_TEXT_MAX], room[UNITS_TEXT_MAX];
    if (o->started && at_ns < o->written_ns)
        return err_set(e, ERR_FORMAT,
                       "it comes %s before one that is written already; %zu operations "
                       "and %s are held to put them in order: sort the file by time",
                       units_duration_text(o->written_ns - at_ns, back), o->how.ops_max,
                       units_size_text(o->how.bytes_max, room));
    return 0;
}

static void count_disorder(struct imp_out *o, int64_t at_ns)
{
    if (o->seq > 0 && at_ns < o->before_ns) {
        int64_t by = o->before_ns - at_ns;
        o->done.steps_back++;
        if (by > o->done.worst_back_ns)
            o->done.worst_back_ns = by;
    }
    o->before_ns = at_ns;
}

/* What the writer would refuse later, when nobody knows where it came from. */
static int check_op(const struct op *op, struct err *e)
{
    struct op_stream s = *op->stream;
    struct span *texts[STREAM_TEXTS];
    size_t bytes = 0;
    bool fits = s.header_count <= TRC_HEADERS_MAX;
    texts_of(&s, texts);
    for (size_t i = 0; i < STREAM_TEXTS; i++)
        fits = fits && texts[i]->n <= TRC_STRING_MAX;
    for (uint32_t i = 0; i < s.header_count; i++)
        bytes += s.headers[i].name.n + s.headers[i].value.n;
    if (!fits || bytes > TRC_HEADERS_BYTES)
        return err_set(e, ERR_LIMIT, "a text of more than %u bytes, or headers of more",
                       TRC_STRING_MAX);
    int rc = trc_check_op(op, e);
    if (rc == ERR_USAGE && e) /* of the file, not of ours */
        e->code = ERR_FORMAT;
    return rc == ERR_USAGE ? ERR_FORMAT : rc;
}

int imp_out_add(struct imp_out *o, const struct op *op, uint64_t key, struct err *e)
{
    if (op->arrival_ns < 0)
        return err_set(e, ERR_FORMAT, "a time before the beginning");
    int rc = check_op(op, e);
    if (rc < 0)
        return rc;
    struct held *h = copy_of(op);
    if (!h)
        return err_set(e, ERR_NOMEM, "out of memory for an operation");
    h->at_ns = op->arrival_ns;
    spread(o, h);
    h->seq = o->seq;
    rc = check_place(o, h->at_ns, e);
    if (rc == 0)
        rc = push(o, h, e);
    if (rc < 0) {
        free_held(h);
        return rc;
    }
    count_disorder(o, op->arrival_ns);
    o->seq++;
    o->done.answers += op->status != 0 || op->grpc_status >= 0;
    if (key)
        rc = wait_for(o, h, key, op->arrival_ns, e);
    while (rc == 0 && (o->n > o->how.ops_max || o->bytes > o->how.bytes_max))
        rc = write_first(o, e);
    return rc;
}

int imp_out_close(struct imp_out *o, int rc, struct imp_out_done *done, struct err *e)
{
    struct err failed = {0};
    bool stopped = rc == ERR_STOPPED;
    if (!o)
        return rc;
    if (rc == 0 && o->seq == 0)
        rc = err_set(e, ERR_FORMAT, "no operation in it");
    while (rc == 0 && o->n > 0)
        rc = write_first(o, e);
    if (stopped && o->w) { /* what was written is whole */
        rc = trc_writer_note(o->w, "import.stopped", "by a signal", &failed);
        if (trc_writer_close(o->w, &failed) < 0 || rc < 0)
            *e = failed;
        rc = e->code;
    } else if (o->w) {
        rc = trc_copy_finish(o->w, o->how.path, rc, e);
    }
    *done = o->done;
    while (o->n > 0)
        free_held(pop(o));
    for (size_t i = 0; i < o->note_count; i++) {
        free(o->notes[i][0]);
        free(o->notes[i][1]);
    }
    free(o->heap);
    free(o->waiting);
    free(o->buckets);
    free(o);
    return rc;
}

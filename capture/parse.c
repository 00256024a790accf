/*
 * parse.c - see parse.h and parse_own.h: counting, the pool of pending exchanges, and
 * handing one on.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "capture/parse.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "capture/parse_own.h"
#include "capture/spare.h"
#include "traces/payload/pay_tensor.h"

#define POOL_MAX        64u
#define POOL_BUFFER_MAX (64u << 10) /* a larger buffer is given back at once */

struct cap_parse *cap_parse_new(const struct cap_parse_config *config, struct err *e)
{
    struct cap_parse *w = calloc(1, sizeof *w);
    if (!w) {
        err_set(e, ERR_NOMEM, "no memory for the parsers");
        return NULL;
    }
    w->config = *config;
    if (!w->config.unanswered_ns)
        w->config.unanswered_ns = CAP_UNANSWERED_NS;
    return w;
}

static void half_free(struct cap_half *h)
{
    buf_done(&h->text);
    buf_done(&h->fields);
    buf_done(&h->body);
    buf_done(&h->parts);
    op_hash_free(h->hash);
}

void cap_parse_free(struct cap_parse *w)
{
    if (!w)
        return;
    while (w->pool) {
        struct cap_pending *p = w->pool;
        w->pool = p->next;
        half_free(&p->half[0]);
        half_free(&p->half[1]);
        free(p);
    }
    arena_done(&w->arena);
    free(w);
}

const struct cap_parse_totals *cap_parse_totals(const struct cap_parse *w)
{
    return &w->totals;
}

/* --- counting --------------------------------------------------------------------- */

void cap_charge_conn(struct cap_conn *c, uint64_t bytes)
{
    struct cap_budget *b = c->parse->config.budget;
    b->used_bytes += bytes - c->held_bytes;
    c->held_bytes = bytes;
    if (b->used_bytes > b->peak_bytes)
        b->peak_bytes = b->used_bytes;
}

/* --- pending exchanges ------------------------------------------------------------ */

struct cap_pending *cap_pending_new(struct cap_conn *c, uint32_t stream)
{
    struct cap_parse *w = c->parse;
    struct cap_pending *p = w->pool;
    if (p) {
        w->pool = p->next;
        w->pool_count--;
        p->next = NULL;
    } else if (!(p = calloc(1, sizeof *p))) {
        c->failed = true;
        return NULL;
    }
    p->stream = stream;
    p->gaps = c->gaps;
    p->grpc_status = -1;
    p->conn = c;
    return p;
}

/* Empties a buffer, and keeps its memory unless there is too much of it. */
static void recycle(struct cap_conn *c, struct buf *b)
{
    if (b->cap > POOL_BUFFER_MAX)
        cap_spare_give(c->parse->config.spares, b);
    buf_reset(b);
}

static void half_reset(struct cap_conn *c, struct cap_half *h)
{
    c->parse->config.budget->used_bytes -= h->charged;
    if (h->hash)
        op_hash_free(h->hash);
    memset(h, 0, offsetof(struct cap_half, text));
    recycle(c, &h->text);
    recycle(c, &h->fields);
    recycle(c, &h->body);
    recycle(c, &h->parts);
}

static void pending_free(struct cap_conn *c, struct cap_pending *p)
{
    struct cap_parse *w = c->parse;
    half_reset(c, &p->half[0]);
    half_reset(c, &p->half[1]);
    if (w->pool_count >= POOL_MAX) {
        half_free(&p->half[0]);
        half_free(&p->half[1]);
        free(p);
        return;
    }
    memset(p, 0, offsetof(struct cap_pending, half));
    p->next = w->pool;
    w->pool = p;
    w->pool_count++;
}

static void unqueue(struct cap_pending *p)
{
    struct cap_queue *q = p->queue;
    if (!q)
        return;
    *(p->queue_prev ? &p->queue_prev->queue_next : &q->head) = p->queue_next;
    *(p->queue_next ? &p->queue_next->queue_prev : &q->tail) = p->queue_prev;
    p->queue_prev = p->queue_next = NULL;
    p->queue = NULL;
}

static void enqueue(struct cap_queue *q, struct cap_pending *p, struct clk_wall at)
{
    unqueue(p);
    p->queue = q;
    p->queued = at;
    p->queue_prev = q->tail;
    *(q->tail ? &q->tail->queue_next : &q->head) = p;
    q->tail = p;
}

void cap_pending_begun(struct cap_pending *p)
{
    struct cap_parse *w = p->conn->parse;
    struct clk_wall first = p->half[CAP_TO_SERVER].first;
    if (w->open_last && first.ns < w->open_last->half[CAP_TO_SERVER].first.ns) {
        if (w->open_late++ == 0 || first.ns < w->late_first.ns)
            w->late_first = first;
        p->late = true;
        return;
    }
    p->open = true;
    p->open_next = NULL;
    p->open_prev = w->open_last;
    *(w->open_last ? &w->open_last->open_next : &w->open_first) = p;
    w->open_last = p;
}

/* It is told, or given up. */
static void no_longer_open(struct cap_pending *p)
{
    struct cap_parse *w = p->conn->parse;
    w->open_late -= p->late;
    p->late = false;
    if (!p->open)
        return;
    *(p->open_prev ? &p->open_prev->open_next : &w->open_first) = p->open_next;
    *(p->open_next ? &p->open_next->open_prev : &w->open_last) = p->open_prev;
    p->open = false;
}

struct clk_wall cap_parse_oldest(const struct cap_parse *w, struct clk_wall now)
{
    const struct cap_pending *p = w->open_first;
    if (w->open_late && w->late_first.ns < now.ns)
        now = w->late_first;
    return p && p->half[CAP_TO_SERVER].first.ns < now.ns ? p->half[CAP_TO_SERVER].first
                                                         : now;
}

void cap_pending_asked(struct cap_pending *p)
{
    enqueue(&p->conn->parse->early, p, p->half[CAP_TO_SERVER].last);
}

void cap_half_drop(struct cap_conn *c, int dir, struct cap_half *h, enum cap_fate fate)
{
    cap_count_settle(c, dir, fate, h->held);
    half_reset(c, h);
}

void cap_pending_drop(struct cap_conn *c, struct cap_pending *p, enum cap_fate fate)
{
    unqueue(p);
    no_longer_open(p);
    for (int dir = 0; dir < 2; dir++)
        cap_count_settle(c, dir, fate, p->half[dir].held);
    pending_free(c, p);
}

void cap_pending_move_answer(struct cap_pending *to, struct cap_pending *from)
{
    struct cap_half spare = to->half[1];
    to->half[1] = from->half[1];
    from->half[1] = spare;
    to->status = from->status;
    to->grpc_status = from->grpc_status;
    to->status_unknown = from->status_unknown;
    to->trailers = from->trailers;
    to->gap_near = to->gap_near || from->gap_near;
    if (from->gaps < to->gaps)
        to->gaps = from->gaps;
}

/* --- handing on ------------------------------------------------------------------- */

static struct op_body body_of(const struct cap_half *h)
{
    struct span kept = buf_view(&h->body);
    if (h->broken)
        return (struct op_body){.state = OP_BODY_ELIDED, .bytes = h->body_bytes};
    if (!h->full)
        return op_body_of(kept);
    struct op_body body = {.state = OP_BODY_ELIDED, .bytes = h->body_bytes};
    op_hash_end(h->hash, body.hash);
    return body;
}

static struct op_body part_body(const struct cap_half *h, const struct cap_piece *part)
{
    if (part->kept && h->broken && h->body.n < part->from + part->bytes)
        return (struct op_body){.state = OP_BODY_ELIDED, .bytes = part->bytes};
    if (part->kept)
        return op_body_of(span_of(h->body.p + part->from, (size_t)part->bytes));
    return (struct op_body){.state = OP_BODY_ELIDED,
                            .bytes = part->bytes,
                            .hash = {part->hash[0], part->hash[1]}};
}

/* The message that a gRPC stream was in when it ended. */
static struct op_body cut_body(const struct cap_half *h)
{
    if (!h->broken && !h->full)
        return op_body_of(span_sub(buf_view(&h->body), h->from, h->body.n));
    return (struct op_body){.state = OP_BODY_ELIDED, .bytes = h->body_bytes};
}

static bool list_headers(struct arena *a, const struct cap_half *h,
                         struct cap_message *m)
{
    const struct cap_text *t = (const void *)h->fields.p;
    uint32_t n = (uint32_t)(h->fields.n / (2 * sizeof *t));
    struct op_header *list = arena_alloc(a, (n ? n : 1) * sizeof *list);
    if (!list)
        return false;
    for (uint32_t i = 0; i < n; i++)
        list[i] = (struct op_header){cap_half_span(h, t[2 * i]),
                                     cap_half_span(h, t[2 * i + 1])};
    m->headers = list;
    m->header_count = n;
    return true;
}

static bool list_messages(struct arena *a, const struct cap_half *h,
                          struct cap_message *m)
{
    const struct cap_piece *part = (const void *)h->parts.p;
    uint32_t n = h->events ? 0 : (uint32_t)(h->parts.n / sizeof *part);
    struct cap_grpc_message *list = arena_alloc(a, (n ? n : 1) * sizeof *list);
    if (!list)
        return false;
    for (uint32_t i = 0; i < n; i++)
        list[i] = (struct cap_grpc_message){.first = part[i].first,
                                            .last = part[i].last,
                                            .body = part_body(h, &part[i]),
                                            .compressed = part[i].compressed};
    m->messages = list;
    m->messages_listed = n;
    return true;
}

static bool fill_message(struct cap_parse *w, struct cap_half *h, bool grpc,
                         struct cap_message *m)
{
    *m = (struct cap_message){
        .first = h->first,
        .last = h->last,
        .headers_opaque = h->headers_opaque,
        .loss = h->loss,
        .counted_bytes = h->held,
        .buffer = &h->body,
    };
    if (!list_headers(&w->arena, h, m))
        return false;
    if (!grpc) {
        m->body = body_of(h);
        m->arrivals = h->events ? (const void *)h->parts.p : NULL;
        m->arrival_count = h->events ? (uint32_t)(h->parts.n / sizeof *m->arrivals) : 0;
    } else {
        if (!list_messages(&w->arena, h, m))
            return false;
        m->grpc_messages = h->messages;
        m->message_bytes = h->message_bytes;
        m->grpc_compressed = h->compressed;
        m->body = m->messages_listed ? m->messages[0].body : cut_body(h);
        m->in_message = h->in_message || h->prefix_n || h->grpc == CAP_GRPC_OFF;
        if (m->in_message && h->ended && m->loss == CAP_LOSS_NONE)
            m->loss = CAP_LOSS_RESET; /* its sender ended the stream inside a message */
    }
    if (h->full && m->loss == CAP_LOSS_NONE)
        m->loss = CAP_LOSS_LIMIT;
    return true;
}

/* A tensor has a type (field 2), whatever else it holds. */
static bool is_tensor(struct span bytes)
{
    struct cursor c = cursor_of(bytes);
    bool typed = false;
    while (cursor_left(&c) > 0 && !c.bad) {
        uint64_t tag = cursor_varint(&c), value = cursor_varint(&c);
        enum pay_type type;
        if ((tag & 7) == 2) {
            struct span text = cursor_take(&c, (size_t)value);
            typed |= tag >> 3 == 2 && pay_type_of(text, &type) == 0;
        } else if ((tag & 7) != 0) { /* a dimension may stand alone */
            return false;
        }
    }
    return !c.bad && typed;
}

/* What the path must have been when it is not known: a message with a model's name
 * (field 1) and a tensor (5) is a ModelInferRequest, and no other method takes one.
 * Also when it is wrong as such: a server says so, and its answer belongs to the
 * request. */
static bool is_model_infer(const struct cap_message *m)
{
    if (m->body.state != OP_BODY_KEPT || m->grpc_compressed || m->grpc_messages == 0)
        return false;
    struct cursor c = cursor_of(m->body.data);
    bool named = false, tensor = false;
    while (cursor_left(&c) > 0 && !c.bad) {
        uint64_t tag = cursor_varint(&c), field = tag >> 3;
        struct span value = cursor_take(&c, (size_t)cursor_varint(&c));
        if ((tag & 7) != 2 || field < 1 || field > 7 || c.bad)
            return false;
        if (field == 5 && !is_tensor(value))
            return false;
        named |= field == 1 && value.n > 0;
        tensor |= field == 5;
    }
    return !c.bad && named && tensor;
}

/* A call of one message each way may be a stream, too; nearly none is. */
static struct span inferred_path(const struct cap_exchange *x)
{
    return x->request.grpc_messages > 1 || x->answer.grpc_messages > 1
               ? SPAN_LIT("/inference.GRPCInferenceService/ModelStreamInfer")
               : SPAN_LIT("/inference.GRPCInferenceService/ModelInfer");
}

/* Its last message does not tell how a stream ends. */
static bool is_stream(const struct cap_exchange *x)
{
    return x->request.grpc_messages > 1 || x->answer.grpc_messages != 1 ||
           span_ends(x->path, "/ModelStreamInfer");
}

static void infer(struct cap_parse *w, struct cap_pending *p, struct cap_exchange *x)
{
    if (p->told) {
        x->inferred = p->inferred;
        x->path = p->inferred ? inferred_path(x) : x->path;
    }
    if (x->grpc && !p->told && !p->path_known && is_model_infer(&x->request)) {
        x->path = inferred_path(x);
        if (!p->method_known)
            x->method = SPAN_LIT("POST");
        x->inferred = p->inferred = true;
        w->totals.inferred++;
    }
    if (x->grpc && x->answered && p->trailers && p->status_unknown &&
        x->grpc_status < 0 && !is_stream(x) && x->answer.loss == CAP_LOSS_NONE) {
        x->grpc_status = 0;
        x->grpc_status_inferred = true;
    }
}

static bool fill_exchange(struct cap_conn *c, struct cap_pending *p,
                          struct cap_exchange *x)
{
    struct cap_half *request = &p->half[0], *answer = &p->half[1];
    /* Of two halves that only look like it, neither may look otherwise. */
    bool grpc = request->grpc == CAP_GRPC_ON || answer->grpc == CAP_GRPC_ON ||
                cap_half_is_grpc(request);
    *x = (struct cap_exchange){
        .wire = p->h2 ? CAP_WIRE_HTTP2 : CAP_WIRE_HTTP1,
        .connection = c->info.ordinal,
        .stream = p->stream,
        .client = c->info.client,
        .server = c->info.server,
        .grpc = grpc,
        .gap_near = p->gap_near || p->gaps != c->gaps,
        .method = cap_half_span(request, p->method),
        .path = cap_half_span(request, p->path),
        .authority = cap_half_span(request, p->authority),
        .answered = answer->begun,
        .status = p->status,
        .grpc_status = p->grpc_status,
    };
    if (!fill_message(c->parse, request, grpc, &x->request) ||
        !fill_message(c->parse, answer, grpc, &x->answer))
        return false;
    infer(c->parse, p, x);
    return true;
}

static bool hand_on(struct cap_conn *c, struct cap_pending *p, enum cap_part part)
{
    struct cap_parse *w = c->parse;
    struct cap_exchange x;
    arena_reset(&w->arena);
    if (!fill_exchange(c, p, &x)) {
        c->failed = true;
        return false;
    }
    x.part = part;
    if (part == CAP_PART_REQUEST)
        x.answered = false;
    w->config.exchange(w->config.arg, &x);
    return true;
}

void cap_pending_emit(struct cap_conn *c, struct cap_pending *p)
{
    struct cap_parse *w = c->parse;
    if (!hand_on(c, p, p->told ? CAP_PART_ANSWER : CAP_PART_WHOLE)) {
        w->totals.lost_shed += !p->told;
        cap_pending_drop(c, p, CAP_FATE_SHED);
        return;
    }
    w->totals.exchanges++;
    *(p->half[CAP_TO_CLIENT].begun ? &w->totals.answered : &w->totals.unanswered) += 1;
    cap_pending_drop(c, p, CAP_FATE_RECORD);
}

/* Tells the request ahead of its answer. What identifies it stays; its body goes. */
static void tell_request(struct cap_pending *p)
{
    struct cap_conn *c = p->conn;
    struct cap_half *h = &p->half[CAP_TO_SERVER];
    struct cap_half answer = p->half[CAP_TO_CLIENT];
    p->half[CAP_TO_CLIENT] = (struct cap_half){0}; /* nothing of it is told yet */
    bool done = hand_on(c, p, CAP_PART_REQUEST);
    p->half[CAP_TO_CLIENT] = answer;
    cap_count_settle(c, CAP_TO_SERVER, done ? CAP_FATE_RECORD : CAP_FATE_SHED, h->held);
    h->held = 0;
    cap_spare_give(c->parse->config.spares, &h->body);
    buf_done(&h->parts);
    op_hash_free(h->hash);
    h->hash = NULL;
    h->broken = true; /* its body is not there any more */
    p->told = true;
    no_longer_open(p);
    cap_half_charge(c, h);
}

void cap_parse_time(struct cap_parse *w, struct clk_wall now)
{
    const struct cap_budget *b = w->config.budget;
    struct cap_pending *p;
    while ((p = w->early.head) && (now.ns - p->queued.ns >= CAP_EXCHANGE_EARLY_NS ||
                                   b->used_bytes > b->limit_bytes / 2)) {
        struct clk_wall asked = p->queued;
        tell_request(p);
        enqueue(&w->late, p, asked);
    }
    while ((p = w->late.head) && now.ns - p->queued.ns >= w->config.unanswered_ns) {
        if (p->half[CAP_TO_CLIENT].begun) { /* it is still being answered */
            enqueue(&w->late, p, now);
            continue;
        }
        unqueue(p);
        p->half[CAP_TO_CLIENT].loss = CAP_LOSS_UNANSWERED;
        const struct cap_keeper *keeper = &p->conn->keeper[p->h2];
        keeper->aged(keeper->owner, p);
    }
}

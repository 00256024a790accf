/* si_core.c - see si_core.h. SPDX-License-Identifier: Apache-2.0 */
#include "deploy/standin/si_core.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "traces/base/jsonw.h"

/* What a pooled exchange may keep, so that a burst of large bodies is given back. */
#define KEEP_BYTES (1u << 20)
/* How long an answer waits for another to be exchanged with. */
#define CROSS_WAIT_NS (50 * CLK_MS)

const char *const si_draw_names[] = {"order", "body", "id", NULL};

static void serve_from(struct si_exchange *ex, struct clk_mono start, bool queued);

void si_core_init(struct si_core *core, const struct si_core_options *o, struct ev *ev,
                  struct si_world *world)
{
    *core = (struct si_core){.o = *o, .ev = ev, .world = world};
    core->queue.workers = o->workers;
}

static void free_exchange(struct si_exchange *ex)
{
    arena_done(&ex->call.arena);
    buf_done(&ex->body);
    free(ex);
}

void si_core_done(struct si_core *core)
{
    for (struct si_exchange *ex = core->in_use, *next; ex; ex = next) {
        next = ex->next;
        if (ex->timer)
            ev_timer_cancel(core->ev, ex->timer);
        free_exchange(ex);
    }
    for (struct si_exchange *ex = core->unused, *next; ex; ex = next) {
        next = ex->next;
        free_exchange(ex);
    }
    si_stamps_done(&core->stamps);
    buf_done(&core->log_line);
    memset(core, 0, sizeof *core);
}

struct si_exchange *si_core_take(struct si_core *core, const struct si_tier *tier,
                                 const struct si_wire *wire, void *conn,
                                 uint32_t conn_ordinal, struct clk_mono at)
{
    struct si_exchange *ex = core->unused;
    if (ex)
        core->unused = ex->next;
    else if (!(ex = calloc(1, sizeof *ex)))
        return NULL;
    struct arena arena = ex->call.arena;
    struct buf body = ex->body;
    *ex = (struct si_exchange){.core = core,
                               .tier = tier,
                               .wire = wire,
                               .conn = conn,
                               .first_byte = at,
                               .ordinal = core->next_ordinal++};
    ex->call.arena = arena;
    ex->body = body;
    ex->next = core->in_use;
    if (ex->next)
        ex->next->prev = ex;
    core->in_use = ex;
    ex->stamp = si_stamps_add(&core->stamps);
    if (ex->stamp)
        *ex->stamp = (struct si_stamp){
            .first_ns = at.ns, .connection = conn_ordinal, .tier = tier->name};
    return ex;
}

static void put_back(struct si_exchange *ex)
{
    struct si_core *core = ex->core;
    if (ex->prev)
        ex->prev->next = ex->next;
    else
        core->in_use = ex->next;
    if (ex->next)
        ex->next->prev = ex->prev;
    if (core->crossing == ex)
        core->crossing = NULL;
    if (ex->timer)
        ev_timer_cancel(core->ev, ex->timer);
    ex->timer = NULL;
    if (ex->call.arena.total > KEEP_BYTES)
        arena_done(&ex->call.arena);
    else
        arena_reset(&ex->call.arena);
    if (ex->body.cap > KEEP_BYTES)
        buf_done(&ex->body);
    else
        buf_reset(&ex->body);
    ex->prev = NULL;
    ex->next = core->unused;
    core->unused = ex;
}

/* --- calls that fly through the gateway, by key -------------------------------- */

static struct si_exchange **bucket_of(struct si_core *core, struct span key)
{
    uint64_t hash[2];
    op_body_hash(key, hash);
    return &core->flying[hash[0] % SI_FLYING];
}

static struct si_exchange **find_flying(struct si_core *core, struct span key)
{
    struct si_exchange **at = bucket_of(core, key);
    while (*at && !span_eq((*at)->call.flight_key, key))
        at = &(*at)->next_flying;
    return at;
}

static void forget_flying(struct si_exchange *ex)
{
    struct si_exchange **at = bucket_of(ex->core, ex->call.flight_key);
    while (*at && *at != ex)
        at = &(*at)->next_flying;
    if (*at)
        *at = ex->next_flying;
    ex->next_flying = NULL;
}

/* A later call of the same key takes the place of the earlier one. */
static void start_flying(struct si_exchange *ex)
{
    struct si_exchange **at = find_flying(ex->core, ex->call.flight_key);
    struct si_exchange *earlier = *at;
    if (earlier) {
        *at = earlier->next_flying;
        earlier->next_flying = NULL;
    }
    struct si_exchange **bucket = bucket_of(ex->core, ex->call.flight_key);
    ex->next_flying = *bucket;
    *bucket = ex;
}

static void swap_clients(struct si_exchange *x, struct si_exchange *y)
{
    void *conn = x->conn;
    int32_t stream = x->stream;
    struct si_stamp *stamp = x->stamp;
    x->conn = y->conn;
    x->stream = y->stream;
    x->stamp = y->stamp;
    y->conn = conn;
    y->stream = stream;
    y->stamp = stamp;
    if (x->conn)
        x->wire->rebind(x);
    if (y->conn)
        y->wire->rebind(y);
}

/* The answer to ex arrives at the gateway, which gives it to whoever waits under its
 * key. False: nobody does, and the caller of ex waits for ever. */
static bool land(struct si_exchange *ex)
{
    struct si_exchange *waiting = *find_flying(ex->core, ex->call.flight_key);
    if (!waiting)
        return false;
    forget_flying(waiting);
    if (waiting == ex)
        return true;
    if (waiting->wire != ex->wire)
        return false;
    swap_clients(ex, waiting);
    return true;
}

/* --- answering ----------------------------------------------------------------- */

static void note_answer(struct si_exchange *ex)
{
    struct si_reply *r = &ex->call.reply;
    struct si_core *core = ex->core;
    bool failed =
        r->grpc_status == SI_NO_GRPC ? r->status >= 400 : r->grpc_status != SI_OK;
    core->counts.answered++;
    core->counts.failed += failed;
    core->counts.faults[ex->fault]++;
    if (!ex->stamp)
        return;
    ex->stamp->replied_ns = ev_now(core->ev).ns;
    ex->stamp->status =
        (uint16_t)(r->grpc_status == SI_NO_GRPC ? r->status
                                                : (uint16_t)(1000 + r->grpc_status));
}

/* Where the message, or event, that begins at `from` ends. */
static size_t message_end(const struct si_reply *r, size_t from)
{
    const uint8_t *p = r->body.p + from;
    size_t left = r->body.n - from, n = 0;
    if (r->grpc_status != SI_NO_GRPC)
        n = left < 5 ? left
                     : 5 + ((size_t)p[1] << 24 | (size_t)p[2] << 16 |
                            (size_t)p[3] << 8 | p[4]);
    else
        while (n < left && !(n > 1 && p[n - 1] == '\n' && p[n - 2] == '\n'))
            n++;
    return from + (n < left ? n : left);
}

static void release_next(struct ev *ev, void *arg);

/* The next message, and all the others if the time of the one behind it cannot be
 * waited for. */
static void release(struct si_exchange *ex)
{
    const struct si_reply *r = &ex->call.reply;
    struct si_core *core = ex->core;
    bool paced = r->streams && core->o.stream_gap_ns > 0 && ex->fault == SI_FAULT_NONE;

    ex->released = paced ? message_end(r, ex->released) : r->body.n;
    if (ex->released == r->body.n)
        return;
    ex->timer =
        ev_timer_at(core->ev, clk_mono_add(ev_now(core->ev), core->o.stream_gap_ns),
                    release_next, ex);
    if (!ex->timer)
        ex->released = r->body.n;
}

static void release_next(struct ev *ev, void *arg)
{
    struct si_exchange *ex = arg;
    (void)ev;
    ex->timer = NULL;
    release(ex);
    ex->wire->more(ex); /* may be its end */
}

static void answer(struct si_exchange *ex)
{
    struct si_call *c = &ex->call;
    if (c->reply.has_elapsed) {
        int64_t ms = (ev_now(ex->core->ev).ns - ex->first_byte.ns) / CLK_MS;
        si_fields_set(&c->reply.fields, &c->arena,
                      SPAN_LIT("x-envoy-upstream-service-time"),
                      si_text(&c->arena, "%lld", (long long)ms));
    }
    ex->state = SI_DONE;
    note_answer(ex);
    release(ex);
    ex->wire->answer(ex);
}

static void timed_out(struct ev *ev, void *arg)
{
    struct si_exchange *ex = arg;
    (void)ev;
    ex->timer = NULL;
    ex->fault = SI_FAULT_NONE;
    si_envoy_stream_timeout(ex->core->world, &ex->call);
    ex->call.reply.has_elapsed = false;
    answer(ex);
}

static void hang(struct si_exchange *ex)
{
    ex->state = SI_HANGING;
    ex->core->counts.hung++;
    if (!ex->conn) {
        put_back(ex);
        return;
    }
    if (ex->tier->times_out)
        ex->timer = ev_timer_at(
            ex->core->ev, clk_mono_add(ex->first_byte, ex->core->o.stream_timeout_ns),
            timed_out, ex);
}

/* No other came. */
static void cross_over(struct ev *ev, void *arg)
{
    struct si_exchange *ex = arg;
    (void)ev;
    ex->timer = NULL;
    ex->core->crossing = NULL;
    ex->fault = SI_FAULT_NONE;
    answer(ex);
}

/* Exchanges the answer of ex with that of another call of its tier. False: it cannot
 * wait for one. */
static bool cross(struct si_exchange *ex)
{
    struct si_core *core = ex->core;
    struct si_exchange *other = core->crossing;
    if (!other) {
        ex->timer = ev_timer_at(core->ev, clk_mono_add(ev_now(core->ev), CROSS_WAIT_NS),
                                cross_over, ex);
        if (ex->timer) {
            ex->state = SI_HANGING;
            core->crossing = ex;
        }
        return ex->timer != NULL;
    }
    if (other->wire != ex->wire || other->tier != ex->tier)
        return false;
    core->crossing = NULL;
    ev_timer_cancel(core->ev, other->timer);
    other->timer = NULL;
    swap_clients(ex, other);
    answer(ex);
    answer(other);
    return true;
}

/* Everything has been waited for. */
static void finish(struct si_exchange *ex)
{
    if (ex->call.reply.fate == SI_ANSWERED && ex->call.flight_key.n &&
        ex->call.reply.served && !land(ex)) {
        hang(ex);
        return;
    }
    if (!ex->conn) {
        put_back(ex);
        return;
    }
    if (ex->call.reply.fate == SI_DROPPED) {
        ex->state = SI_DONE;
        ex->core->counts.cut++;
        ex->wire->cut(ex);
        return;
    }
    if (ex->fault == SI_FAULT_CROSS && cross(ex))
        return;
    ex->fault = ex->fault == SI_FAULT_CROSS ? SI_FAULT_NONE : ex->fault;
    answer(ex);
}

/* --- serving ------------------------------------------------------------------- */

static void extra_over(struct ev *ev, void *arg)
{
    struct si_exchange *ex = arg;
    (void)ev;
    ex->timer = NULL;
    finish(ex);
}

/* Back-off and the like: waits without a worker. */
static void wait_extra(struct si_exchange *ex, struct clk_mono from)
{
    int64_t ns = ex->call.reply.extra_ns;
    if (ns > 0) {
        ex->timer = ev_timer_at(ex->core->ev, clk_mono_add(from, ns), extra_over, ex);
        if (ex->timer)
            return;
    }
    finish(ex);
}

static void service_over(struct ev *ev, void *arg)
{
    struct si_exchange *ex = arg;
    struct si_core *core = ex->core;
    (void)ev;
    ex->timer = NULL;
    struct clk_mono due = ex->due;
    struct si_place *place = si_queue_leave(&core->queue);
    wait_extra(ex, due);
    /* The worker was free when the service ended, not when the timer told us. */
    if (place)
        serve_from(
            (struct si_exchange *)((char *)place - offsetof(struct si_exchange, place)),
            due, true);
}

/* One from the queue always goes over the loop, so that a row of instant ones does not
 * become a deep recursion. */
static void serve_from(struct si_exchange *ex, struct clk_mono start, bool queued)
{
    ex->due = clk_mono_add(start, ex->service_ns);
    if (ex->service_ns > 0 || queued) {
        ex->timer = ev_timer_at(ex->core->ev, ex->due, service_over, ex);
        if (ex->timer)
            return;
    }
    service_over(ex->core->ev, ex);
}

static uint64_t key_of(const struct si_exchange *ex)
{
    uint64_t hash[2];
    switch ((enum si_draw)ex->core->o.draw) {
    case SI_DRAW_BODY:
        op_body_hash(ex->call.request.body, hash);
        return hash[0];
    case SI_DRAW_ID:
        op_body_hash(si_fields_get(&ex->call.request.fields, "x-request-id"), hash);
        return hash[0];
    default:
        return ex->ordinal;
    }
}

static int64_t total_service(const struct si_exchange *ex, uint64_t key)
{
    uint32_t runs = ex->call.reply.runs ? ex->call.reply.runs : 1;
    int64_t ns = si_service_draw(&ex->core->o.service, key);
    for (uint32_t i = 1; i < runs; i++)
        ns += si_service_draw(&ex->core->o.service, rng_hash(key, i));
    return ns;
}

static void answer_with_error(struct si_exchange *ex)
{
    struct si_call *c = &ex->call;
    struct si_core_options *o = &ex->core->o;
    c->reply.fields.n = c->reply.trailers.n = 0;
    c->reply.chunked = c->reply.has_elapsed = c->reply.grpc_has_message = false;
    if (c->request.grpc)
        si_reply_grpc(c, o->error_code, SPAN_LIT("injected by the stand-in"));
    else
        si_reply_rest(c, o->error_status, "application/json",
                      SPAN_LIT("{\"error\":\"injected by the stand-in\"}"));
}

static void apply_fault(struct si_exchange *ex)
{
    if (ex->fault == SI_FAULT_ERROR && !ex->core->o.error_at_model)
        answer_with_error(ex);
    else if (ex->fault == SI_FAULT_NEVER)
        ex->call.reply.fate = SI_HANGS;
}

/* One line of JSON about the request as it came. A failed write shows when the file is
 * closed. */
static void log_request(struct si_exchange *ex)
{
    struct si_core *core = ex->core;
    const struct si_request *q = &ex->call.request;
    struct jsonw w = {.out = &core->log_line};
    buf_reset(&core->log_line);
    jsonw_object(&w);
    jsonw_key_str(&w, "tier", ex->tier->name);
    jsonw_key_str(&w, "protocol", q->grpc ? "grpc" : "rest");
    jsonw_key_str(&w, "http", q->http2 ? "2" : q->minor_version ? "1.1" : "1.0");
    jsonw_key(&w, "method");
    jsonw_span(&w, q->method);
    jsonw_key(&w, "path");
    jsonw_span(&w, q->target);
    if (q->http2) {
        jsonw_key(&w, "authority");
        jsonw_span(&w, q->authority);
    }
    jsonw_key(&w, "fields");
    jsonw_array(&w);
    for (uint32_t i = 0; i < q->fields.n; i++) {
        jsonw_array(&w);
        jsonw_span(&w, q->fields.v[i].name);
        jsonw_span(&w, q->fields.v[i].value);
        jsonw_end(&w);
    }
    jsonw_end(&w);
    jsonw_key_u64(&w, "body_bytes", q->body.n);
    jsonw_end(&w);
    buf_u8(&core->log_line, '\n');
    fwrite(core->log_line.p, 1, core->log_line.n, core->log);
}

void si_core_request(struct si_exchange *ex, struct clk_mono at)
{
    struct si_core *core = ex->core;
    struct si_call *c = &ex->call;
    core->counts.requests++;
    if (core->log)
        log_request(ex);
    uint64_t key = key_of(ex);
    ex->fault = si_fault_pick(&core->o.faults, key);
    if (ex->fault == SI_FAULT_ERROR && core->o.error_at_model)
        c->mishap.status = core->o.error_status;
    ex->state = SI_SERVING;
    c->reply = (struct si_reply){.grpc_status = SI_NO_GRPC};
    (c->request.grpc ? ex->tier->grpc : ex->tier->rest)(core->world, c);
    if (c->reply.served && c->reply.fate == SI_ANSWERED)
        apply_fault(ex);
    else
        ex->fault = SI_FAULT_NONE;
    if (c->reply.fate == SI_HANGS) {
        core->counts.faults[ex->fault]++;
        hang(ex);
        return;
    }
    if (!c->reply.served) {
        wait_extra(ex, at);
        return;
    }
    ex->service_ns = total_service(ex, key);
    if (c->flight_key.n)
        start_flying(ex);
    if (si_queue_enter(&core->queue, &ex->place))
        serve_from(ex, at, false);
}

void si_core_drop(struct si_exchange *ex)
{
    struct si_core *core = ex->core;
    ex->conn = NULL;
    if (ex->state == SI_SERVING) {
        core->counts.abandoned++; /* its worker goes on; finish() puts it back */
        return;
    }
    if (ex->state != SI_DONE)
        core->counts.abandoned++;
    put_back(ex);
}

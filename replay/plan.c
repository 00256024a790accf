/*
 * plan.c - see plan.h.
 *
 * A block of the trace is cut into slices of up to REP_SLICE operations, each of which
 * fills a batch (batch.h).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replay/plan.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "replay/batch.h"
#include "replay/prepare.h"
#include "replay/sessions.h"

#define NAP_NS (4 * CLK_MS)

struct rep_plan {
    struct rep_plan_config config;
    struct trc_reader *reader;
    struct trc_block *first; /* read ahead by open */
    struct trc_info opened;  /* what was known then; the reader is the feeder's since */
    struct rep_preparer preparer;
    struct rep_session_book book;
    struct rep_handoff rings[REP_WORKERS_MAX];
    pthread_t thread;
    bool feeding; /* from the start on, also when the feeder was joined */
    bool started;
    _Atomic bool stop, ended, primed;
    _Atomic int64_t wait_until; /* absolute: no longer for a pipe */
    _Atomic unsigned protocols;
    struct rep_batch_pool pool;
    uint64_t dealt; /* of the feeder, until it is joined */
    bool epoch_known;
    struct rep_plan_counts counts; /* of the feeder, until it is joined */
    int rc;
    struct err err;
};

/* While the workers have plenty. A thread that wakes takes a processor from one that
 * may have to send, so not more often than a full ring asks for. */
static void nap(void)
{
    rep_share_work(false);
    nanosleep(&(struct timespec){.tv_nsec = NAP_NS}, NULL);
}

static void release_chain(struct rep_request *r)
{
    while (r) {
        struct rep_request *next = r->next;
        rep_request_release(r);
        r = next;
    }
}

/* --- planning --------------------------------------------------------------------- */

/* Beyond what the user asked to replay. */
static bool past_limit(const struct rep_plan *p, const struct op *op)
{
    return rep_schedule_due(p->config.speed, op->arrival_ns - p->counts.epoch_ns) >=
           p->config.limit_ns;
}

static bool wanted(const struct rep_plan *p, const struct op *op)
{
    enum op_protocol protocol = op->stream->protocol;
    return protocol == OP_REST   ? p->config.rest_wanted
           : protocol == OP_GRPC ? p->config.grpc_wanted
                                 : true;
}

static int plan_op(struct rep_plan *p, struct rep_batch *b, const struct op *op,
                   struct rep_request *r, struct err *e)
{
    struct rep_stream **stream = &b->block->streams[op->stream_index];
    *r = (struct rep_request){0};
    int rc = *stream ? 0
                     : rep_prepare_stream(&p->preparer, op->stream, &b->block->arena,
                                          stream, e);
    if (rc == 0)
        rc = rep_prepare_request(&p->preparer, op, *stream, &b->arena, r, e);
    if (rc < 0)
        return rc;
    r->batch = b;
    r->out.due_ns =
        rep_schedule_due(p->config.speed, op->arrival_ns - p->counts.epoch_ns);
    if (r->out.due_ns == REP_NEVER)
        return err_set(e, ERR_LIMIT, "operation %llu is due centuries from now",
                       (unsigned long long)op->index);
    r->pin = p->config.pins ? op->connection : OP_NONE;
    if (p->config.pins && r->pin == OP_NONE && !r->refusal)
        r->refusal = "the trace does not say which connection it came on";
    r->session = OP_NONE;
    if (p->config.sessions &&
        (rc = rep_session_book_add(&p->book, op, p->config.speed, r, e)) < 0)
        return rc;
    if (!r->refusal)
        atomic_fetch_or(&p->protocols, 1u << op->stream->protocol);
    r->sequence = p->counts.planned++;
    p->counts.last_due_ns = r->out.due_ns;
    return 0;
}

static bool hand_over(struct rep_plan *p, uint32_t worker, struct rep_request *head)
{
    while (!rep_handoff_put(&p->rings[worker], head)) {
        atomic_store(&p->primed, true);
        if (atomic_load(&p->stop))
            return false;
        nap();
    }
    rep_share_work(true);
    return true;
}

/* Whose turn it is; the operations of a session stay together, and so do those of a
 * recorded connection. */
static uint32_t worker_of(struct rep_plan *p, const struct rep_request *r)
{
    uint64_t n = r->session != OP_NONE ? r->session
                 : r->pin != OP_NONE   ? r->pin
                                       : p->dealt++;
    return (uint32_t)(n % p->config.workers);
}

/* Deals the requests of a slice in turn, and hands each worker its own as one chain.
 * What can no longer be handed over is released. */
static void deal(struct rep_plan *p, struct rep_batch *b, uint32_t count)
{
    struct rep_queue hands[REP_WORKERS_MAX] = {0};

    for (uint32_t i = 0; i < count; i++)
        rep_queue_push(&hands[worker_of(p, &b->requests[i])], &b->requests[i]);
    for (uint32_t w = 0; w < p->config.workers; w++) {
        if (hands[w].head && !hand_over(p, w, hands[w].head)) {
            p->counts.planned -= hands[w].count;
            release_chain(hands[w].head);
        }
    }
}

/* Waits until there is room for more. False when told to stop. */
static bool await_room(struct rep_plan *p)
{
    while (atomic_load(&p->pool.bytes_in_use) > REP_PLAN_BYTES_MAX) {
        atomic_store(&p->primed, true);
        if (atomic_load(&p->stop))
            return false;
        nap();
    }
    return !atomic_load(&p->stop);
}

/* Plans operations [from, to) of a block. 1: go on; 0: stop, or past the limit. */
static int plan_slice(struct rep_plan *p, struct rep_block *block, uint32_t from,
                      uint32_t to, struct err *e)
{
    uint32_t count = 0;
    bool over = false;
    int rc = 0;

    if (!await_room(p))
        return 0;
    struct rep_batch *b = rep_batch_take(&p->pool, block, e);
    if (!b)
        return ERR_NOMEM;
    rep_preparer_next_slice(&p->preparer);
    size_t bytes = REP_SLICE * sizeof *b->requests;
    for (uint32_t i = from; i < to && rc == 0; i++) {
        const struct op *op = &block->block->ops[i];
        if (p->config.limit_ns != REP_NEVER && past_limit(p, op)) {
            over = true;
            break;
        }
        if (!rep_shard_has(p->config.shard, op->index))
            continue;
        if (!wanted(p, op)) {
            p->counts.filtered++;
            continue;
        }
        bytes += op->request.data.n;
        rc = plan_op(p, b, op, &b->requests[count], e);
        count += rc == 0;
    }
    if (rep_batch_filled(b, count, bytes + b->arena.total))
        deal(p, b, count);
    return rc < 0 ? rc : !over;
}

static int plan_block(struct rep_plan *p, struct trc_block *block, struct err *e)
{
    int rc = 1;
    struct rep_block *b = rep_block_share(block, e);
    if (!b)
        return ERR_NOMEM;
    if (!p->epoch_known && block->count > 0) {
        p->counts.epoch_ns = block->ops[0].arrival_ns;
        p->epoch_known = true;
    }
    for (uint32_t from = 0; from < block->count && rc == 1; from += REP_SLICE) {
        uint32_t to = block->count - from > REP_SLICE ? from + REP_SLICE : block->count;
        rc = plan_slice(p, b, from, to, e);
    }
    rep_block_drop(b);
    return rc;
}

/* Whether a pipe has been waited for long enough. Before the start it is the caller's
 * thread that waits, then the feeder. */
static bool stopped(void *arg)
{
    const struct rep_plan *p = arg;
    if (!p->feeding)
        return p->config.interrupts && *p->config.interrupts > 0;
    return atomic_load(&p->stop) ||
           clk_mono_now(clk_system()).ns >= atomic_load(&p->wait_until);
}

/* What comes through a pipe may be waited for: that is no work. */
static int read_block(struct rep_plan *p, struct trc_block **block)
{
    if (strcmp(p->config.trace, "-") == 0)
        rep_share_work(false);
    return trc_reader_next(p->reader, block, &p->err);
}

static void *feed(void *arg)
{
    struct rep_plan *p = arg;
    int rc = 1;

    pthread_setname_np(pthread_self(), "feeder");
    rep_share_join(p->config.share);
    if (p->first) {
        rc = plan_block(p, p->first, &p->err);
        p->first = NULL;
    }
    while (rc == 1) {
        struct trc_block *block = NULL;
        rc = read_block(p, &block);
        if (rc == 1)
            rc = plan_block(p, block, &p->err);
    }
    rep_share_leave();
    p->rc = rc < 0 && rc != ERR_STOPPED ? rc : 0;
    atomic_store(&p->primed, true);
    atomic_store(&p->ended, true);
    return NULL;
}

/* --- face ------------------------------------------------------------------------- */

int rep_plan_open(struct rep_plan **out, const struct rep_plan_config *c, struct err *e)
{
    struct rep_plan *p = calloc(1, sizeof *p);
    int rc = p ? 0 : err_set(e, ERR_NOMEM, "out of memory for a plan");

    assert(c->workers > 0 && c->workers <= REP_WORKERS_MAX);
    if (rc == 0) {
        p->config = *c;
        p->preparer.config = &p->config;
        atomic_init(&p->wait_until, REP_NEVER);
        rc = trc_reader_open_until(&p->reader, c->trace, stopped, p, e);
    }
    if (rc == 0 && trc_reader_info(p->reader)->kind != TRC_TRACE)
        rc = err_set(e, ERR_FORMAT, "'%s' is a run, not a trace", c->trace);
    for (uint32_t i = 0; rc == 0 && i < c->workers; i++)
        rc = rep_handoff_init(&p->rings[i], REP_RING, e);
    if (rc == 0)
        rc = trc_reader_next(p->reader, &p->first, e);
    if (rc == 0)
        rc = err_set(e, ERR_FORMAT, "'%s' holds no operation", c->trace);
    if (rc > 0)
        p->opened = *trc_reader_info(p->reader);
    if (rc < 0) {
        rep_plan_close(p);
        return rc;
    }
    *out = p;
    return 0;
}

const struct trc_info *rep_plan_info(const struct rep_plan *p)
{
    return p->started ? &p->opened : trc_reader_info(p->reader);
}

bool rep_plan_first(const struct rep_plan *p, int64_t *arrival_ns)
{
    if (!p->first || p->first->count == 0)
        return false;
    *arrival_ns = p->first->ops[0].arrival_ns;
    return true;
}

const char *rep_plan_note(const struct rep_plan *p, const char *key)
{
    return p->started ? NULL : trc_reader_note(p->reader, key);
}

int rep_plan_start(struct rep_plan *p, struct err *e)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    p->feeding = true;
    int sys = pthread_create(&p->thread, NULL, feed, p);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (sys != 0)
        return err_sys(e, sys, "cannot start the feeder");
    p->started = true;
    return 0;
}

struct rep_request *rep_plan_take(struct rep_plan *p, uint32_t worker)
{
    return rep_handoff_take(&p->rings[worker]);
}

bool rep_plan_ended(const struct rep_plan *p)
{
    return atomic_load(&p->ended);
}

uint32_t rep_plan_workers(const struct rep_plan *p)
{
    return p->config.workers;
}

bool rep_plan_primed(const struct rep_plan *p)
{
    return atomic_load(&p->primed);
}

unsigned rep_plan_protocols(const struct rep_plan *p)
{
    return atomic_load(&p->protocols);
}

void rep_plan_stop(struct rep_plan *p)
{
    atomic_store(&p->stop, true);
}

void rep_plan_wait_until(struct rep_plan *p, int64_t at_ns)
{
    atomic_store(&p->wait_until, at_ns);
}

int rep_plan_join(struct rep_plan *p, struct err *e)
{
    if (p->started) {
        pthread_join(p->thread, NULL);
        p->started = false;
    }
    if (p->rc < 0)
        return err_set(e, p->err.code, "%s", p->err.text);
    return 0;
}

struct rep_plan_counts rep_plan_counts(const struct rep_plan *p)
{
    struct rep_plan_counts counts = p->counts;
    counts.sessions = p->book.count;
    counts.thinks = p->book.thinks;
    counts.gaps = p->book.gaps;
    return counts;
}

void rep_plan_close(struct rep_plan *p)
{
    if (!p)
        return;
    assert(!p->started);
    for (uint32_t w = 0; w < p->config.workers && p->rings[w].slots; w++) {
        struct rep_request *r;
        while ((r = rep_plan_take(p, w)) != NULL)
            release_chain(r);
    }
    trc_block_free(p->first);
    trc_reader_close(p->reader);
    rep_preparer_done(&p->preparer);
    rep_batch_pool_done(&p->pool);
    rep_session_book_done(&p->book);
    for (uint32_t i = 0; i < REP_WORKERS_MAX; i++)
        rep_handoff_done(&p->rings[i]);
    free(p);
}

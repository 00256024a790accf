/*
 * kafka_engine.c - requests are produced to Seldon Core v2's topics, and answers
 * consumed and joined to them by key.
 *
 * `sent` is read just before a message is handed to librdkafka, whose threads write it:
 * with linger.ms=0 at once. When the broker had it is a time of its own (delivery).
 * `first` and `done` are read after the call that brought the answer's record from
 * librdkafka's queue. An answer is a record with the request's key on the topic where
 * its answer has to come; all others are counted by what they are (kafka_brokers.h).
 *
 * A message is never sent twice, so one that was lost with its broker's connection ends
 * its operation: OUT_RESET where the broker may have it, else OUT_CONNECT. What models
 * and brokers say when they refuse is OUT_STATUS; the texts are counted. While
 * librdkafka's queue is full nothing is free: back-pressure.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "replay/engine/kafka_own.h"
#include "replay/mark.h"
#include "replay/schedule.h"
#include "traces/base/log.h"

#define LOOK_NS  (20 * CLK_MS) /* at the latest, librdkafka is asked for news */
#define CLOSE_MS 2000          /* for reports of messages that were purged */

int64_t rep_kafka_now(struct rep_kafka_engine *en)
{
    return clk_mono_now(en->base.config.clk).ns;
}

/* --- how requests end ------------------------------------------------------------- */

/* The request goes back; its call lives on while its delivery is not known. */
void rep_kafka_finish(struct rep_kafka_engine *en, struct rep_kafka_call *call,
                      enum out_cause cause)
{
    struct rep_request *r = call->r;
    rep_kafka_calls_end(&en->calls, call,
                        cause == OUT_OK || cause == OUT_STATUS ||
                            cause == OUT_GARBAGE || cause == OUT_TOO_BIG);
    call->r = NULL;
    if (!call->queued)
        rep_kafka_calls_free(&en->calls, call);
    rep_queue_remove(&en->flight, r);
    r->place = NULL;
    r->out.cause = cause;
    if (r->out.done_ns == OP_TIME_NONE && cause != OUT_STOPPED)
        r->out.done_ns = rep_kafka_now(en);
    en->base.config.done(en->base.config.arg, r);
}

/* --- sending ---------------------------------------------------------------------- */

static rd_kafka_headers_t *headers_of(const struct rep_request *r)
{
    const struct rep_stream *s = r->stream;
    rd_kafka_headers_t *h = rd_kafka_headers_new(s->field_count + 1);
    for (uint32_t i = 0; i < s->field_count; i++)
        rd_kafka_header_add(h, (const char *)s->fields[i].name.p,
                            (ssize_t)s->fields[i].name.n, s->fields[i].value.p,
                            (ssize_t)s->fields[i].value.n);
    rd_kafka_header_add(h, REP_MARK_FIELD, sizeof REP_MARK_FIELD - 1, r->id.p,
                        (ssize_t)r->id.n);
    return h;
}

/* With the newest style the sender chooses the partition and names it in the key; with
 * the others librdkafka does, by the key. */
static int32_t choose_partition(struct rep_kafka_engine *en,
                                struct rep_kafka_route *route)
{
    if (en->k->config.keys != KAFKA_KEY_PARTITION_NAME_ID)
        return RD_KAFKA_PARTITION_UA;
    int32_t p = route->next_partition;
    route->next_partition = p + 1 < route->partitions ? p + 1 : 0;
    return p;
}

void rep_kafka_make_key(struct rep_kafka_engine *en, const struct rep_kafka_call *call)
{
    buf_reset(&en->key);
    kafka_key_write(en->k->config.keys, call->partition, call->route->base.name,
                    call->r->id, &en->key);
}

/* librdkafka does not take it, and the reason is not that it has too many. */
static void refused(struct rep_kafka_engine *en, struct rep_kafka_call *call,
                    rd_kafka_resp_err_t code)
{
    rep_kafka_count_error(en, "not taken", call->route->base.topic,
                          span_str(rd_kafka_err2str(code)));
    en->k->counts.undelivered++;
    call->r->out.sent_ns = OP_TIME_NONE;
    call->r->out.attempts = 0;
    rep_kafka_finish(en, call,
                     code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE ? OUT_STATUS
                                                                  : OUT_CONNECT);
}

/* False: the queue is full. */
static bool produce(struct rep_kafka_engine *en, struct rep_kafka_call *call)
{
    struct rep_request *r = call->r;
    rd_kafka_headers_t *headers = headers_of(r);
    rep_kafka_make_key(en, call);
    rep_request_waited(r, en->room_ns, OUT_WAIT_SLOT);
    call->sent_ns = r->out.sent_ns = rep_kafka_now(en);
    r->out.attempts = 1;
    call->queued = true;
    /* librdkafka copies the value, and its parameters are not const. */
    union {
        const uint8_t *from;
        void *to;
    } value = {.from = r->wire[0].p};
    rd_kafka_resp_err_t code = rd_kafka_producev(
        en->k->producer, RD_KAFKA_V_RKT(call->route->to),
        RD_KAFKA_V_PARTITION(call->partition), RD_KAFKA_V_VALUE(value.to, r->wire[0].n),
        RD_KAFKA_V_KEY(en->key.p, en->key.n), RD_KAFKA_V_HEADERS(headers),
        RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_OPAQUE(call),
        RD_KAFKA_V_END);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        en->queued++;
        en->full = en->queued >= en->k->queue_max;
        return true;
    }
    rd_kafka_headers_destroy(headers);
    call->queued = false;
    if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL || en->queued == 0) {
        refused(en, call, code);
        return true;
    }
    r->out.sent_ns = OP_TIME_NONE;
    r->out.attempts = 0;
    en->k->counts.queue_full++;
    en->full = true;
    return false;
}

static void wait_again(struct rep_kafka_engine *en, struct rep_kafka_call *call)
{
    call->next = NULL;
    *en->again_tail = call;
    en->again_tail = &call->next;
}

static void leave_again(struct rep_kafka_engine *en, const struct rep_kafka_call *call)
{
    struct rep_kafka_call **at = &en->again;
    while (*at && *at != call)
        at = &(*at)->next;
    if (!*at)
        return;
    *at = call->next;
    if (!*at)
        en->again_tail = at;
}

static void kafka_send(struct rep_engine *base, struct rep_request *r)
{
    struct rep_kafka_engine *en = (struct rep_kafka_engine *)base;
    union {
        const struct rep_route *from;
        struct rep_kafka_route *to;
    } route = {.from = r->stream->route};
    rep_flight_add(&en->flight, r, rep_kafka_now(en));
    r->tries++;
    struct rep_kafka_call *call = rep_kafka_calls_new(&en->calls, r->out.op_index);
    if (!call) {
        base->stats.client_errors++;
        rep_queue_remove(&en->flight, r);
        r->out.cause = OUT_CONNECT;
        r->out.done_ns = rep_kafka_now(en);
        base->config.done(base->config.arg, r);
        return;
    }
    r->place = call;
    call->r = r;
    call->route = route.to;
    call->partition = choose_partition(en, route.to);
    if (en->again || !produce(en, call))
        wait_again(en, call);
}

/* --- delivery --------------------------------------------------------------------- */

static bool is_local(rd_kafka_resp_err_t code)
{
    return code < RD_KAFKA_RESP_ERR_UNKNOWN;
}

static void lost(struct rep_kafka_engine *en, struct rep_kafka_call *call,
                 const rd_kafka_message_t *m)
{
    const char *what = rd_kafka_err2str(m->err);
    bool never = rd_kafka_message_status(m) == RD_KAFKA_MSG_STATUS_NOT_PERSISTED;
    en->k->counts.undelivered++;
    if (!call->r)
        return;
    if (!is_local(m->err)) {
        rep_kafka_count_error(en, "broker, of", call->route->base.topic,
                              span_str(what));
        rep_kafka_finish(en, call, OUT_STATUS);
        return;
    }
    if (never)
        call->r->out.attempts = 0;
    rep_kafka_count_error(en, never ? "not delivered to" : "perhaps not delivered to",
                          call->route->base.topic, span_str(what));
    rep_kafka_finish(en, call, never ? OUT_CONNECT : OUT_RESET);
}

void rep_kafka_delivered(struct rep_engine *base, const void *message)
{
    struct rep_kafka_engine *en = (struct rep_kafka_engine *)base;
    const rd_kafka_message_t *m = message;
    struct rep_kafka_call *call = m->_private;
    int64_t now = rep_kafka_now(en);

    en->queued--;
    if (en->full && en->queued < en->k->queue_max) {
        en->full = false;
        en->room_ns = now;
    }
    if (m->err) {
        bool ended = call->r == NULL;
        call->queued = false;
        lost(en, call, m); /* frees it, unless it had ended before */
        if (ended)
            rep_kafka_calls_free(&en->calls, call);
        return;
    }
    en->k->counts.delivered++;
    hist_add(&en->k->counts.delivery, now - call->sent_ns);
    call->queued = false;
    if (!call->r)
        rep_kafka_calls_free(&en->calls, call);
}

void rep_kafka_trouble(struct rep_engine *base, const char *text)
{
    base->stats.connect_failures++;
    if (rep_failures_add(&base->stats.failures, text, 1))
        log_warn("engine", "kafka: %s", text);
}

/* --- news ------------------------------------------------------------------------- */

/* Everything that librdkafka has for us. */
static void look(struct rep_kafka_engine *en)
{
    ssize_t n;
    en->looked_ns = rep_kafka_now(en);
    rd_kafka_poll(en->k->producer, 0);
    rd_kafka_poll(en->k->consumer, 0);
    do {
        n = rd_kafka_consume_batch_queue(en->k->records, 0, en->batch, REP_KAFKA_BATCH);
        int64_t now = n > 0 ? rep_kafka_now(en) : 0;
        for (ssize_t i = 0; i < n; i++) {
            if (en->batch[i]->rkt)
                rep_kafka_take_event(en, en->batch[i], now);
            rd_kafka_message_destroy(en->batch[i]);
        }
    } while (n == REP_KAFKA_BATCH);
}

static void on_news(struct ev *ev, int fd, unsigned events, void *arg)
{
    uint64_t count;
    (void)ev;
    (void)events;
    if (read(fd, &count, sizeof count) == (ssize_t)sizeof count)
        look(arg);
}

/* --- the engine's face ------------------------------------------------------------ */

static void kafka_close(struct rep_engine *base)
{
    struct rep_kafka_engine *en = (struct rep_kafka_engine *)base;
    if (!en)
        return;
    struct rep_kafka *k = en->k;
    if (k->engine == base) {
        /* What was acknowledged is known soon; what was not, no more. */
        rd_kafka_flush(k->producer, CLOSE_MS);
        rd_kafka_purge(k->producer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
        rd_kafka_flush(k->producer, CLOSE_MS);
        k->engine = NULL; /* no report finds its call from here on */
    }
    if (en->watched) {
        rd_kafka_queue_io_event_enable(k->records, -1, NULL, 0);
        for (int i = 0; i < 2; i++)
            rd_kafka_queue_io_event_enable(k->events[i], -1, NULL, 0);
        ev_remove(base->config.ev, en->fd);
    }
    if (en->fd >= 0)
        close(en->fd);
    rep_kafka_calls_done(&en->calls);
    buf_done(&en->key);
    free(en);
}

static int kafka_open(struct rep_engine **out, const struct rep_engine_config *config,
                      struct err *e)
{
    static const uint64_t one = 1;
    struct rep_kafka_engine *en = calloc(1, sizeof *en);
    if (!en)
        return err_set(e, ERR_NOMEM, "out of memory for the Kafka engine");
    en->base = (struct rep_engine){.ops = &rep_kafka_engine, .config = *config};
    en->k = config->kafka;
    en->again_tail = &en->again;
    /* librdkafka tells when a queue is no longer empty: what is in one already has to
     * be looked for once. */
    en->fd = eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC);
    int rc = en->fd >= 0 ? ev_add(config->ev, en->fd, EV_READ, on_news, en, e)
                         : err_sys(e, errno, "cannot make an eventfd");
    if (rc < 0) {
        kafka_close(&en->base);
        return rc;
    }
    en->watched = true;
    en->k->engine = &en->base;
    rd_kafka_queue_io_event_enable(en->k->records, en->fd, &one, sizeof one);
    for (int i = 0; i < 2; i++)
        rd_kafka_queue_io_event_enable(en->k->events[i], en->fd, &one, sizeof one);
    *out = &en->base;
    return 0;
}

/* Until all that answers may come from is read up to where it ended: from then on
 * fetches wait for what comes. */
static bool kafka_warming(const struct rep_engine *base)
{
    const struct rep_kafka_engine *en = (const struct rep_kafka_engine *)base;
    return en->at_end < atomic_load(&en->k->started);
}

static uint32_t kafka_live(const struct rep_engine *base)
{
    return kafka_warming(base) ? 0 : 1;
}

static uint32_t kafka_free_slots(const struct rep_engine *base)
{
    const struct rep_kafka_engine *en = (const struct rep_kafka_engine *)base;
    return en->full || en->again ? 0 : UINT32_MAX;
}

static void kafka_flush(struct rep_engine *base)
{
    struct rep_kafka_engine *en = (struct rep_kafka_engine *)base;
    if (rep_kafka_now(en) - en->looked_ns >= LOOK_NS)
        look(en);
    while (en->again && !en->full) {
        struct rep_kafka_call *call = en->again;
        leave_again(en, call);
        if (produce(en, call))
            continue;
        call->next = en->again;
        if (!en->again)
            en->again_tail = &call->next;
        en->again = call;
    }
}

static int64_t kafka_expire(struct rep_engine *base, int64_t now)
{
    struct rep_kafka_engine *en = (struct rep_kafka_engine *)base;
    struct rep_request *r;
    while ((r = en->flight.head) != NULL &&
           r->started_ns + base->config.deadline_ns <= now) {
        leave_again(en, r->place);
        rep_kafka_finish(en, r->place, OUT_DEADLINE);
    }
    return r ? r->started_ns + base->config.deadline_ns : REP_NEVER;
}

static uint32_t kafka_in_flight(const struct rep_engine *base)
{
    return (uint32_t)((const struct rep_kafka_engine *)base)->flight.count;
}

static void kafka_cancel(struct rep_engine *base, enum out_cause cause)
{
    struct rep_kafka_engine *en = (struct rep_kafka_engine *)base;
    en->again = NULL;
    en->again_tail = &en->again;
    if (en->flight.head) /* what is not written yet stays unwritten */
        rd_kafka_purge(en->k->producer,
                       RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_NON_BLOCKING);
    while (en->flight.head)
        rep_kafka_finish(en, en->flight.head->place, cause);
}

const struct rep_engine_ops rep_kafka_engine = {
    .name = "kafka",
    .protocol = OP_KAFKA,
    .open = kafka_open,
    .warming = kafka_warming,
    .live = kafka_live,
    .free_slots = kafka_free_slots,
    .send = kafka_send,
    .flush = kafka_flush,
    .expire = kafka_expire,
    .in_flight = kafka_in_flight,
    .cancel = kafka_cancel,
    .close = kafka_close,
};

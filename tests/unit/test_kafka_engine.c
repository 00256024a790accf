/*
 * test_kafka_engine.c - the Kafka engine against a cluster in this process
 * (librdkafka's mock): what is asked goes out as it should, and of all that is read
 * only the answer ends an operation.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "check.h"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "replay/engine/kafka_own.h"
#include "replay/mark.h"
#include "traces/base/log.h"

#define NONCE  UINT64_C(0xabcdef12)
#define IN     "seldon.ns.model.iris.inputs"
#define OUT    "seldon.ns.model.iris.outputs"
#define ERRS   "seldon.ns.errors.errors"
#define PIN    "seldon.ns.pipeline.p.inputs"
#define POUT   "seldon.ns.pipeline.p.outputs"
#define PARTS  3
#define ASKED  8 /* requests of one test, at most */
#define PLENTY (30 * CLK_SEC)

struct rig {
    rd_kafka_t *rk; /* another producer, whose cluster it is */
    rd_kafka_mock_cluster_t *cluster;
    rd_kafka_topic_t *topics[5]; /* of the producer */
    rd_kafka_t *reader;
    struct rep_kafka_config config;
    struct rep_kafka *k;
    struct ev *ev;
    struct rep_engine *en;
    struct rep_stream streams[2]; /* of iris, of p */
    struct op_header pipeline;
    struct rep_request asked[ASKED];
    char ids[ASKED][REP_ID_MAX];
    unsigned done;
    struct err e;
};

static void on_done(void *arg, struct rep_request *r)
{
    struct rig *g = arg;
    check_true(r->place == NULL);
    g->done++;
}

static void make_topic(struct rig *g, const char *name)
{
    check_int(rd_kafka_mock_topic_create(g->cluster, name, PARTS, 1), ==, 0);
}

/* The cluster, with all topics but those of `without`. */
static void start_cluster(struct rig *g, const char *without)
{
    static const char *const topics[] = {IN, OUT, ERRS, PIN, POUT};
    static const char *const swift[] = {"fetch.wait.max.ms=5"};
    char why[256];
    memset(g, 0, sizeof *g);
    log_setup(true, NULL);
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    check_int(rd_kafka_conf_set(conf, "log_level", "0", why, sizeof why), ==, 0);
    rd_kafka_conf_set(conf, "message.max.bytes", "4000000", why, sizeof why);
    g->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    check_true(g->rk != NULL);
    g->cluster = rd_kafka_mock_cluster_new(g->rk, 1);
    check_true(g->cluster != NULL);
    check_int(rd_kafka_brokers_add(g->rk, rd_kafka_mock_cluster_bootstraps(g->cluster)),
              ==, 1);
    for (size_t i = 0; i < sizeof topics / sizeof *topics; i++)
        if (!without || strcmp(topics[i], without) != 0)
            make_topic(g, topics[i]);
    /* Else its first record of each topic waits until it is known where to send it. */
    const struct rd_kafka_metadata *md = NULL;
    for (size_t i = 0; i < 5 && !without; i++)
        g->topics[i] = rd_kafka_topic_new(g->rk, topics[i], NULL);
    if (!without && rd_kafka_metadata(g->rk, 0, NULL, &md, 10000) == 0)
        rd_kafka_metadata_destroy(md);
    g->config = (struct rep_kafka_config){
        .brokers = rd_kafka_mock_cluster_bootstraps(g->cluster),
        .prefix = "seldon",
        .name_space = "ns",
        /* The mock answers a fetch that finds nothing when all of this is over. */
        .options = swift,
        .option_count = 1,
        .keys = KAFKA_KEY_PARTITION_NAME_ID,
        .id_nonce = NONCE,
        .connect_ns = 10 * CLK_SEC,
        .deadline_ns = PLENTY};
}

static void stop_cluster(struct rig *g)
{
    for (int i = 0; i < 5 && g->topics[i]; i++)
        rd_kafka_topic_destroy(g->topics[i]);
    rd_kafka_mock_cluster_destroy(g->cluster);
    rd_kafka_destroy(g->rk);
}

static void turn(struct rig *g)
{
    int64_t now = clk_mono_now(clk_system()).ns;
    (void)g->en->ops->expire(g->en, now);
    g->en->ops->flush(g->en);
    check_true(ev_turn(g->ev, (struct clk_mono){now + 5 * CLK_MS}, &g->e) >= 0);
}

#define TURN_UNTIL(g, condition)                                                       \
    do {                                                                               \
        int64_t end_ = clk_mono_now(clk_system()).ns + PLENTY;                         \
        while (!(condition) && clk_mono_now(clk_system()).ns < end_)                   \
            turn(g);                                                                   \
        check_true(condition);                                                         \
    } while (0)

static const struct rep_route *route(struct rig *g, enum op_resource resource,
                                     const char *name, const char **why)
{
    struct rep_routes routes = rep_kafka_routes(g->k);
    return routes.find(routes.arg, resource, span_str(name), why);
}

/* Clients and engine, ready to send. options: of librdkafka. */
static void start_engine(struct rig *g, int64_t deadline_ns)
{
    const char *why = NULL;
    g->config.deadline_ns = deadline_ns;
    check_ok(rep_kafka_open(&g->k, &g->config, &g->e), &g->e);
    g->ev = ev_new(clk_system(), &g->e);
    check_true(g->ev != NULL);
    struct rep_engine_config c = {.ev = g->ev,
                                  .clk = clk_system(),
                                  .connections = 1,
                                  .streams = 1,
                                  .deadline_ns = deadline_ns,
                                  .answer_max = 1 << 20,
                                  .keep_answers = true,
                                  .kafka = g->k,
                                  .done = on_done,
                                  .arg = g};
    g->pipeline = (struct op_header){SPAN_LIT("pipeline"), SPAN_LIT("p")};
    for (int i = 0; i < 2; i++) {
        struct rep_stream *s = &g->streams[i];
        s->route = route(g, i ? OP_PIPELINE : OP_MODEL, i ? "p" : "iris", &why);
        check_true(s->route != NULL);
        s->fields = &g->pipeline;
        s->field_count = i ? 1 : 0;
        s->as_sent.protocol = OP_KAFKA;
    }
    check_ok(rep_kafka_engine.open(&g->en, &c, &g->e), &g->e);
    TURN_UNTIL(g, !g->en->ops->warming(g->en));
}

static void start(struct rig *g)
{
    start_cluster(g, NULL);
    start_engine(g, PLENTY);
}

static void stop(struct rig *g)
{
    g->en->ops->cancel(g->en, OUT_STOPPED);
    g->en->ops->close(g->en);
    rep_kafka_close(g->k);
    ev_free(g->ev);
    for (int i = 0; i < ASKED; i++)
        buf_done(&g->asked[i].answer);
    if (g->reader)
        rd_kafka_destroy(g->reader);
    stop_cluster(g);
}

/* Asks iris, or the pipeline p, as operation i. */
static struct rep_request *ask(struct rig *g, unsigned i, bool pipeline)
{
    struct rep_request *r = &g->asked[i];
    size_t n = rep_mark_make(NONCE, i, g->ids[i]);
    *r = (struct rep_request){.stream = &g->streams[pipeline],
                              .wire = {SPAN_LIT("value")},
                              .id = span_of(g->ids[i], n),
                              .minted = true,
                              .out = outcome_empty()};
    r->out.op_index = i;
    r->out.due_ns = r->out.ready_ns = clk_mono_now(clk_system()).ns;
    g->en->ops->send(g->en, r);
    return r;
}

/* A record by somebody else; key with the id of operation i behind `front`. */
static void tell(struct rig *g, const char *topic, int32_t partition, const char *front,
                 unsigned i, const char *value, const char *pipeline,
                 const char *failed)
{
    char key[128], id[REP_ID_MAX];
    size_t n = rep_mark_make(NONCE, i, id);
    int key_n = snprintf(key, sizeof key, "%s%.*s", front, (int)n, id);
    rd_kafka_headers_t *h = rd_kafka_headers_new(4);
    rd_kafka_header_add(h, "x-request-id", -1, id, (ssize_t)n);
    if (pipeline)
        rd_kafka_header_add(h, "pipeline", -1, pipeline, -1);
    if (failed)
        rd_kafka_header_add(h, "seldon-pipeline-errors", -1, failed, -1);
    check_int(rd_kafka_producev(
                  g->rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(partition),
                  RD_KAFKA_V_KEY(key, (size_t)key_n),
                  RD_KAFKA_V_VALUE((void *)(uintptr_t)value, strlen(value)),
                  RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_HEADERS(h),
                  RD_KAFKA_V_END),
              ==, RD_KAFKA_RESP_ERR_NO_ERROR);
    check_int(rd_kafka_flush(g->rk, 10000), ==, RD_KAFKA_RESP_ERR_NO_ERROR);
}

/* The record that went to a topic's partition; it is the caller's. */
static rd_kafka_message_t *first_of(struct rig *g, const char *topic, int32_t partition)
{
    char why[256];
    if (!g->reader) {
        rd_kafka_conf_t *conf = rd_kafka_conf_new();
        rd_kafka_conf_set(conf, "bootstrap.servers", g->config.brokers, why,
                          sizeof why);
        rd_kafka_conf_set(conf, "fetch.wait.max.ms", "5", why, sizeof why);
        g->reader = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why);
        check_true(g->reader != NULL);
    }
    rd_kafka_topic_t *t = rd_kafka_topic_new(g->reader, topic, NULL);
    check_int(rd_kafka_consume_start(t, partition, 0), ==, 0);
    rd_kafka_message_t *m = rd_kafka_consume(t, partition, 10000);
    check_true(m != NULL && m->err == 0);
    rd_kafka_consume_stop(t, partition);
    rd_kafka_topic_destroy(t);
    return m;
}

static const struct rep_kafka_counts *counts(struct rig *g)
{
    return rep_kafka_counts(g->k);
}

/* --- asking and answering --------------------------------------------------------- */

static void a_model_is_asked_and_answers_by_key(void **state)
{
    struct rig g;
    (void)state;
    start(&g);
    struct rep_request *r = ask(&g, 5, false);
    rd_kafka_message_t *m = first_of(&g, IN, 0);
    check_span(span_of(m->key, m->key_len), "0.iris.abcdef12-5");
    check_span(span_of(m->payload, m->len), "value");
    rd_kafka_headers_t *h = NULL;
    const void *v;
    size_t n;
    check_int(rd_kafka_message_headers(m, &h), ==, 0);
    check_int((int)rd_kafka_header_cnt(h), ==, 1);
    check_int(rd_kafka_header_get_last(h, "x-request-id", &v, &n), ==, 0);
    check_span(span_of(v, n), "abcdef12-5");
    rd_kafka_message_destroy(m);
    tell(&g, OUT, 0, "0.iris.", 5, "answer", NULL, NULL);
    TURN_UNTIL(&g, g.done == 1 && counts(&g)->delivered == 1);
    check_int(r->out.cause, ==, OUT_OK);
    check_span(buf_view(&r->answer), "answer");
    check_int(r->out.bytes_in, ==, 6);
    check_int(r->out.status, ==, 0);
    check_int(r->out.attempts, ==, 1);
    check_int(r->mark, ==, REP_MARK_OWN);
    check_true(r->out.due_ns <= r->out.sent_ns && r->out.sent_ns <= r->out.first_ns);
    check_int(r->out.first_ns, ==, r->out.done_ns);
    check_int(counts(&g)->answers, ==, 1);
    check_int(counts(&g)->delivery.total, ==, 1);
    stop(&g);
}

static void keys_and_partitions_are_those_of_the_release(void **state)
{
    static const char *const fronts[] = {"", "iris."};
    (void)state;
    for (int style = KAFKA_KEY_ID; style <= KAFKA_KEY_NAME_ID; style++) {
        struct rig g;
        start_cluster(&g, NULL);
        g.config.keys = (enum kafka_key_style)style;
        start_engine(&g, PLENTY);
        struct rep_request *r = ask(&g, 1, false);
        TURN_UNTIL(&g, counts(&g)->delivered == 1);
        check_true(r->place != NULL);
        tell(&g, OUT, 2, fronts[style], 1, "a", NULL, NULL);
        TURN_UNTIL(&g, g.done == 1);
        check_int(r->out.cause, ==, OUT_OK);
        stop(&g);
    }
    struct rig g; /* the newest style: in turn, and named in the key */
    start(&g);
    for (unsigned i = 0; i < PARTS + 1; i++)
        ask(&g, i, false);
    TURN_UNTIL(&g, counts(&g)->delivered == PARTS + 1);
    for (int p = 0; p < PARTS; p++) {
        char want[64];
        rd_kafka_message_t *m = first_of(&g, IN, p);
        snprintf(want, sizeof want, "%d.iris.abcdef12-%d", p, p);
        check_span(span_of(m->key, m->key_len), want);
        rd_kafka_message_destroy(m);
    }
    stop(&g);
}

static void failures_say_what_the_model_said(void **state)
{
    struct rig g;
    (void)state;
    start(&g);
    struct rep_request *model = ask(&g, 0, false), *pipeline = ask(&g, 1, true);
    rd_kafka_message_t *m = first_of(&g, PIN, 0);
    check_span(span_of(m->key, m->key_len), "0.p.abcdef12-1");
    rd_kafka_headers_t *h = NULL;
    const void *v;
    size_t n;
    check_int(rd_kafka_message_headers(m, &h), ==, 0);
    check_int(rd_kafka_header_get_last(h, "pipeline", &v, &n), ==, 0);
    check_span(span_of(v, n), "p");
    rd_kafka_message_destroy(m);
    /* A step's error comes by the errors topic first, which is not the answer yet. */
    tell(&g, ERRS, 0, "0.p.", 1, "boom", "p", "step");
    tell(&g, ERRS, 0, "0.iris.", 0, "b\001d", NULL, "iris");
    TURN_UNTIL(&g, g.done == 1);
    check_int(model->out.cause, ==, OUT_STATUS);
    check_int(counts(&g)->hops, ==, 1);
    check_true(pipeline->place != NULL);
    tell(&g, POUT, 0, "0.p.", 1, "boom", "p", "step");
    TURN_UNTIL(&g, g.done == 2);
    check_int(pipeline->out.cause, ==, OUT_STATUS);
    check_int(counts(&g)->failures, ==, 2);
    check_int(counts(&g)->errors.n, ==, 2);
    check_str(counts(&g)->errors.v[0].text, "model iris: b?d");
    check_str(counts(&g)->errors.v[1].text, "model step: boom");
    stop(&g);
}

static void only_the_answer_ends_an_operation(void **state)
{
    struct rig g;
    (void)state;
    start(&g);
    struct rep_request *r = ask(&g, 3, false), *p = ask(&g, 4, true);
    tell(&g, OUT, 0, "someone.else.", 0, "x", NULL, NULL); /* ours, but not sent */
    tell(&g, OUT, 1, "1.iris.", 3, "x", NULL, NULL);       /* another partition's key */
    tell(&g, OUT, 0, "0.p.", 4, "x", "p", NULL);           /* a step of the pipeline */
    tell(&g, POUT, 0, "0.iris.", 3, "x", NULL, NULL);      /* on another's topic */
    TURN_UNTIL(&g, counts(&g)->again + counts(&g)->unknown + counts(&g)->hops == 4);
    check_int(counts(&g)->again, ==, 1);
    check_int(counts(&g)->unknown, ==, 2);
    check_int(counts(&g)->hops, ==, 1);
    check_int(g.done, ==, 0);
    tell(&g, OUT, 0, "0.iris.", 3, "first", NULL, NULL);
    tell(&g, OUT, 0, "0.iris.", 3, "second", NULL, NULL);
    TURN_UNTIL(&g, counts(&g)->again == 2);
    check_span(buf_view(&r->answer), "first");
    check_int(g.done, ==, 1);
    check_true(p->place != NULL);
    stop(&g);
}

static void foreign_keys_are_unknown(void **state)
{
    static const char *const keys[] = {
        "",     "0.iris.",          "0.iris.12345678-1",
        "junk", "0.iris.abcdef12-", "0.iris.abcdef12-00zz"};
    struct rig g;
    (void)state;
    start(&g);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        check_int(rd_kafka_producev(
                      g.rk, RD_KAFKA_V_TOPIC(OUT), RD_KAFKA_V_PARTITION(0),
                      RD_KAFKA_V_KEY((void *)(uintptr_t)keys[i], strlen(keys[i])),
                      RD_KAFKA_V_VALUE((void *)(uintptr_t) "v", 1), RD_KAFKA_V_END),
                  ==, 0);
    rd_kafka_flush(g.rk, 10000);
    TURN_UNTIL(&g, counts(&g)->unknown == sizeof keys / sizeof *keys);
    stop(&g);
}

static void what_is_no_answer_is_garbage_or_too_big(void **state)
{
    static char big[(1 << 20) + 2];
    struct rig g;
    (void)state;
    memset(big, 'x', sizeof big - 1);
    start(&g);
    struct rep_request *framed = ask(&g, 0, false), *broken = ask(&g, 1, false),
                       *large = ask(&g, 2, false);
    /* "\0…" cannot be told as a string: one byte, which no framing is made of. */
    check_int(
        rd_kafka_producev(g.rk, RD_KAFKA_V_TOPIC(OUT), RD_KAFKA_V_PARTITION(0),
                          RD_KAFKA_V_KEY((void *)(uintptr_t) "0.iris.abcdef12-0", 17),
                          RD_KAFKA_V_VALUE((void *)(uintptr_t) "\0\0\0\0\7\0body", 10),
                          RD_KAFKA_V_END),
        ==, 0);
    check_int(rd_kafka_producev(
                  g.rk, RD_KAFKA_V_TOPIC(OUT), RD_KAFKA_V_PARTITION(1),
                  RD_KAFKA_V_KEY((void *)(uintptr_t) "1.iris.abcdef12-1", 17),
                  RD_KAFKA_V_VALUE((void *)(uintptr_t) "\0", 1), RD_KAFKA_V_END),
              ==, 0);
    tell(&g, OUT, 2, "2.iris.", 2, big, NULL, NULL);
    TURN_UNTIL(&g, g.done == 3);
    check_int(framed->out.cause, ==, OUT_OK);
    check_span(buf_view(&framed->answer), "body");
    check_int(broken->out.cause, ==, OUT_GARBAGE);
    check_int(large->out.cause, ==, OUT_TOO_BIG);
    stop(&g);
}

/* --- when it begins and ends ------------------------------------------------------ */

static void what_was_there_before_is_not_read(void **state)
{
    struct rig g;
    (void)state;
    start_cluster(&g, NULL);
    tell(&g, OUT, 0, "0.iris.", 0, "stale", NULL, NULL);
    start_engine(&g, PLENTY);
    struct rep_request *r = ask(&g, 0, false);
    tell(&g, OUT, 0, "0.iris.", 0, "fresh", NULL, NULL);
    TURN_UNTIL(&g, g.done == 1);
    check_span(buf_view(&r->answer), "fresh");
    check_int(counts(&g)->again + counts(&g)->unknown, ==, 0);
    stop(&g);
}

static void a_topic_of_answers_may_come_late(void **state)
{
    struct rig g;
    (void)state;
    start_cluster(&g, ERRS);
    start_engine(&g, PLENTY);
    check_int(g.k->missing, ==, 1);
    struct rep_request *r = ask(&g, 0, false);
    TURN_UNTIL(&g, counts(&g)->delivered == 1);
    make_topic(&g, ERRS);
    tell(&g, ERRS, 0, "0.iris.", 0, "no", NULL, "iris");
    TURN_UNTIL(&g, g.done == 1);
    check_int(r->out.cause, ==, OUT_STATUS);
    check_int(counts(&g)->topics_late, ==, 1);
    stop(&g);
}

static void a_deadline_is_kept_and_its_answer_is_late(void **state)
{
    struct rig g;
    (void)state;
    start_cluster(&g, NULL);
    start_engine(&g, 200 * CLK_MS);
    struct rep_request *r = ask(&g, 0, false);
    TURN_UNTIL(&g, g.done == 1);
    check_int(r->out.cause, ==, OUT_DEADLINE);
    check_true(r->out.done_ns - r->started_ns >= 200 * CLK_MS);
    tell(&g, OUT, 0, "0.iris.", 0, "late", NULL, NULL);
    tell(&g, OUT, 0, "0.iris.", 0, "again", NULL, NULL);
    TURN_UNTIL(&g, counts(&g)->again == 1);
    check_int(counts(&g)->late, ==, 1);
    check_int(g.done, ==, 1);
    stop(&g);
}

static void a_full_queue_is_back_pressure(void **state)
{
    static const char *const options[] = {"queue.buffering.max.messages=2",
                                          "fetch.wait.max.ms=5"};
    struct rig g;
    (void)state;
    start_cluster(&g, NULL);
    g.config.options = options;
    g.config.option_count = 2;
    start_engine(&g, PLENTY);
    check_true(g.en->ops->free_slots(g.en) > 0);
    ask(&g, 0, false);
    ask(&g, 1, false);
    check_int(g.en->ops->free_slots(g.en), ==, 0);
    struct rep_request *r = ask(&g, 2, false); /* handed over all the same: it waits */
    check_true(r->out.sent_ns == OP_TIME_NONE);
    TURN_UNTIL(&g, counts(&g)->delivered == 3);
    check_int(counts(&g)->queue_full, ==, 1);
    check_true(g.en->ops->free_slots(g.en) > 0);
    check_int(r->out.wait, ==, OUT_WAIT_SLOT);
    check_true(r->out.ready_ns > r->out.due_ns && r->out.ready_ns <= r->out.sent_ns);
    stop(&g);
}

static void what_a_broker_refuses_ends_with_its_words(void **state)
{
    struct rig g;
    (void)state;
    start(&g);
    rd_kafka_mock_push_request_errors(g.cluster, 0 /* Produce */, 1,
                                      RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
    struct rep_request *r = ask(&g, 0, false);
    TURN_UNTIL(&g, g.done == 1);
    check_int(r->out.cause, ==, OUT_STATUS);
    check_int(counts(&g)->undelivered, ==, 1);
    check_int(counts(&g)->errors.n, ==, 1);
    check_str_has(counts(&g)->errors.v[0].text, "broker, of " IN ": ");
    check_str_has(counts(&g)->errors.v[0].text, "authorization");
    stop(&g);
}

static void a_broker_that_goes_leaves_no_operation_without_an_end(void **state)
{
    struct rig g;
    (void)state;
    start_cluster(&g, NULL);
    start_engine(&g, 500 * CLK_MS);
    rd_kafka_mock_broker_set_down(g.cluster, 1);
    for (unsigned i = 0; i < 4; i++)
        ask(&g, i, i & 1);
    TURN_UNTIL(&g, g.done == 4);
    for (unsigned i = 0; i < 4; i++) {
        enum out_cause c = g.asked[i].out.cause;
        check_true(c == OUT_CONNECT || c == OUT_RESET || c == OUT_DEADLINE);
    }
    check_int(g.en->ops->in_flight(g.en), ==, 0);
    stop(&g);
}

static void cancelled_operations_are_stopped(void **state)
{
    struct rig g;
    (void)state;
    start(&g);
    struct rep_request *r = ask(&g, 0, false);
    g.en->ops->cancel(g.en, OUT_STOPPED);
    check_int(g.done, ==, 1);
    check_int(r->out.cause, ==, OUT_STOPPED);
    check_true(r->out.done_ns == OP_TIME_NONE);
    stop(&g);
}

/* --- what prevents a run ---------------------------------------------------------- */

static void a_model_without_topics_is_refused(void **state)
{
    const char *why = NULL;
    struct rig g;
    (void)state;
    start(&g);
    check_true(route(&g, OP_MODEL, "nobody", &why) == NULL);
    check_str_has(why, "the brokers have no topic for its requests");
    check_true(route(&g, OP_MODEL, "iris", &why) == g.streams[0].route);
    check_true(why == NULL);
    stop(&g);
}

static void brokers_that_are_not_there_or_not_ours_are_told(void **state)
{
    static const char *const options[] = {"sasl.password=hush", "retries=3",
                                          "enable.idempotence=true", "no.such=1"};
    struct rig g;
    (void)state;
    start_cluster(&g, NULL);
    g.config.prefix = "elsewhere";
    check_int(rep_kafka_open(&g.k, &g.config, &g.e), ==, ERR_PEER);
    check_str_has(g.e.text, "have no topic elsewhere.ns.*");
    check_str_has(g.e.text, "--namespace");
    g.config.prefix = "seldon";
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        g.e = (struct err){0};
        g.config.options = &options[i];
        g.config.option_count = 1;
        check_int(rep_kafka_open(&g.k, &g.config, &g.e), ==, ERR_USAGE);
        check_str_has(g.e.text, "--kafka-option");
        check_true(strstr(g.e.text, "hush") == NULL);
    }
    g.config.option_count = 0;
    g.config.brokers = "127.0.0.1:1";
    g.config.connect_ns = CLK_SEC / 2;
    g.e = (struct err){0};
    check_int(rep_kafka_open(&g.k, &g.config, &g.e), ==, ERR_PEER);
    check_str_has(g.e.text, "cannot reach the Kafka brokers 127.0.0.1:1: ");
    check_str_has(g.e.text, "is it --kafka");
    stop_cluster(&g);
}

static void only_ids_of_this_run_have_an_index(void **state)
{
    static const char *const others[] = {"abcdef13-1",
                                         "abcdef12",
                                         "abcdef12-",
                                         "ABCDEF12-1",
                                         "abcdef12-1.",
                                         "xabcdef12-1",
                                         "abcdef12-00000000000000001"};
    static const uint64_t indexes[] = {0, 9, 255, UINT64_MAX};
    char id[REP_ID_MAX];
    uint64_t index;
    (void)state;
    for (size_t i = 0; i < sizeof indexes / sizeof *indexes; i++) {
        size_t n = rep_mark_make(NONCE, indexes[i], id);
        check_true(rep_mark_read(NONCE, span_of(id, n), &index));
        check_true(index == indexes[i]);
        check_true(!rep_mark_read(NONCE + 1, span_of(id, n), &index));
    }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        check_true(!rep_mark_read(NONCE, span_str(others[i]), &index));
}

/* --- the table of calls ----------------------------------------------------------- */

static void calls_are_found_until_they_end(void **state)
{
    enum { N = 20000 };
    struct rep_kafka_calls c = {0};
    static struct rep_kafka_call *made[N];
    struct rep_kafka_call *found;
    (void)state;
    check_int(rep_kafka_calls_find(&c, 7, &found), ==, REP_KAFKA_UNKNOWN);
    for (uint64_t i = 0; i < N; i++) {
        made[i] = rep_kafka_calls_new(&c, i * 1000003);
        check_true(made[i] != NULL);
    }
    for (uint64_t i = 0; i < N; i += 3) { /* a third is answered, a third given up */
        rep_kafka_calls_end(&c, made[i], true);
        rep_kafka_calls_free(&c, made[i]);
        if (i + 1 < N) {
            rep_kafka_calls_end(&c, made[i + 1], false);
            rep_kafka_calls_free(&c, made[i + 1]);
        }
    }
    for (uint64_t i = 0; i < N; i++) {
        enum rep_kafka_known k = rep_kafka_calls_find(&c, i * 1000003, &found);
        check_int(k, ==,
                  i % 3 == 0   ? REP_KAFKA_UNKNOWN
                  : i % 3 == 1 ? REP_KAFKA_GIVEN_UP
                               : REP_KAFKA_UNDER_WAY);
        check_true(found == (i % 3 == 2 ? made[i] : NULL));
    }
    rep_kafka_calls_forget(&c, 1000003);
    check_int(rep_kafka_calls_find(&c, 1000003, &found), ==, REP_KAFKA_UNKNOWN);
    rep_kafka_calls_done(&c);
}

static void what_was_given_up_is_remembered_up_to_a_bound(void **state)
{
    struct rep_kafka_calls c = {0};
    struct rep_kafka_call *found;
    const uint64_t n = REP_KAFKA_LATE_MAX + 10;
    (void)state;
    for (uint64_t i = 0; i < n; i++) {
        struct rep_kafka_call *call = rep_kafka_calls_new(&c, i);
        check_true(call != NULL);
        rep_kafka_calls_end(&c, call, false);
        rep_kafka_calls_free(&c, call);
    }
    check_int(c.used, ==, REP_KAFKA_LATE_MAX);
    check_int(rep_kafka_calls_find(&c, 9, &found), ==, REP_KAFKA_UNKNOWN);
    check_int(rep_kafka_calls_find(&c, 10, &found), ==, REP_KAFKA_GIVEN_UP);
    check_int(rep_kafka_calls_find(&c, n - 1, &found), ==, REP_KAFKA_GIVEN_UP);
    rep_kafka_calls_done(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_model_is_asked_and_answers_by_key),
        cmocka_unit_test(keys_and_partitions_are_those_of_the_release),
        cmocka_unit_test(failures_say_what_the_model_said),
        cmocka_unit_test(only_the_answer_ends_an_operation),
        cmocka_unit_test(foreign_keys_are_unknown),
        cmocka_unit_test(what_is_no_answer_is_garbage_or_too_big),
        cmocka_unit_test(what_was_there_before_is_not_read),
        cmocka_unit_test(a_topic_of_answers_may_come_late),
        cmocka_unit_test(a_deadline_is_kept_and_its_answer_is_late),
        cmocka_unit_test(a_full_queue_is_back_pressure),
        cmocka_unit_test(what_a_broker_refuses_ends_with_its_words),
        cmocka_unit_test(a_broker_that_goes_leaves_no_operation_without_an_end),
        cmocka_unit_test(cancelled_operations_are_stopped),
        cmocka_unit_test(a_model_without_topics_is_refused),
        cmocka_unit_test(brokers_that_are_not_there_or_not_ours_are_told),
        cmocka_unit_test(only_ids_of_this_run_have_an_index),
        cmocka_unit_test(calls_are_found_until_they_end),
        cmocka_unit_test(what_was_given_up_is_remembered_up_to_a_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * si_kafka.c - see si_kafka.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "deploy/standin/si_kafka.h"

#include <errno.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "traces/base/jsonw.h"
#include "traces/base/log.h"
#include "traces/wire/kafka_conf.h"
#include "traces/wire/kafka_topic.h"

#define BATCH        256
#define AREA         "kafka"
#define ERROR_HEADER "seldon-pipeline-errors"
#define CLOSE_MS     1000
#define METADATA_MS  5000

/* What a topic of requests stands for. */
struct service {
    struct service *next;
    struct si_chain chain; /* of a model, itself */
    bool pipeline;
    rd_kafka_topic_t *in;
    rd_kafka_topic_t *out; /* of its answers */
};

/* A request until it is answered. */
struct job {
    struct si_place place; /* first: the queue gives it back */
    struct si_kafka *k;
    const struct service *service;
    rd_kafka_message_t *m;
    enum si_fault fault;
    int64_t takes_ns;
    struct ev_timer *timer;
    struct job *next, *prev;
};

struct si_kafka {
    struct si_core *core;
    struct si_kafka_options o;
    rd_kafka_t *producer, *consumer; /* the cluster is the producer's */
    rd_kafka_mock_cluster_t *cluster;
    rd_kafka_queue_t *records;
    struct service *services;
    rd_kafka_topic_t *errors;
    struct job *jobs;
    int fd;
    bool watched;
    struct arena arena; /* of the answer at hand */
    rd_kafka_message_t *batch[BATCH];
};

/* --- records out ------------------------------------------------------------------ */

static rd_kafka_headers_t *headers_of(const rd_kafka_message_t *m)
{
    rd_kafka_headers_t *h = NULL;
    if (rd_kafka_message_headers(m, &h) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return rd_kafka_headers_new(4);
    return rd_kafka_headers_copy(h);
}

static void add_header(rd_kafka_headers_t *h, const char *name, struct span value)
{
    rd_kafka_header_add(h, name, -1, value.p, (ssize_t)value.n);
}

static struct span header(const rd_kafka_message_t *m, const char *name)
{
    rd_kafka_headers_t *h = NULL;
    const void *p;
    size_t n;
    if (rd_kafka_message_headers(m, &h) != RD_KAFKA_RESP_ERR_NO_ERROR ||
        rd_kafka_header_get_last(h, name, &p, &n) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return (struct span){0};
    return span_of(p, p ? n : 0);
}

/* Takes the headers over. */
static void produce(struct si_kafka *k, rd_kafka_topic_t *topic,
                    const rd_kafka_message_t *m, rd_kafka_headers_t *headers,
                    struct span value)
{
    union {
        const uint8_t *from;
        void *to;
    } v = {.from = value.p};
    rd_kafka_resp_err_t code = rd_kafka_producev(
        k->producer, RD_KAFKA_V_RKT(topic), RD_KAFKA_V_PARTITION(m->partition),
        RD_KAFKA_V_VALUE(v.to, value.n), RD_KAFKA_V_KEY(m->key, m->key_len),
        RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
        RD_KAFKA_V_END);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return;
    rd_kafka_headers_destroy(headers);
    log_warn(AREA, "an answer is lost: %s", rd_kafka_err2str(code));
}

/* --- answers ---------------------------------------------------------------------- */

static void answer_error(struct job *j, struct span model, struct span text)
{
    struct si_kafka *k = j->k;
    rd_kafka_headers_t *h = headers_of(j->m);
    add_header(h, ERROR_HEADER, model);
    produce(k, k->errors, j->m, h, text);
    if (j->service->pipeline) { /* the copy that the dataflow engine makes of it */
        h = headers_of(j->m);
        add_header(h, ERROR_HEADER, model);
        add_header(h, "x-pipeline-version", SPAN_LIT("1"));
        produce(k, j->service->out, j->m, h, text);
    }
    k->core->counts.answered++;
    k->core->counts.failed++;
}

/* The message of an answer, as protobuf or JSON. */
static void put_answer(const struct job *j, const struct si_model *model, bool json,
                       const struct si_work *work, struct buf *b)
{
    struct span name = (struct span){0};
    if (!j->service->pipeline)
        name = si_internal_name(&j->k->arena, model);
    if (json) {
        struct jsonw w = {.out = b};
        jsonw_object(&w);
        jsonw_key(&w, "model_name");
        jsonw_span(&w, name);
        jsonw_key(&w, "outputs");
        jsonw_raw(&w, work->outputs);
        jsonw_end(&w);
        return;
    }
    si_proto_put_string(b, 1, name);
    if (name.n)
        si_proto_put_string(b, 2, SPAN_LIT("1"));
    si_proto_put_string(b, 3, work->id);
    buf_span(b, work->outputs);
}

static void answer_good(struct job *j, const struct si_model *models, bool json,
                        const struct si_work *work)
{
    struct si_kafka *k = j->k;
    struct buf b = {0};
    rd_kafka_headers_t *h = headers_of(j->m);
    for (uint32_t i = 0; i < j->service->chain.step_count; i++) {
        struct span name = si_internal_name(&k->arena, &models[i]);
        add_header(h, "x-seldon-route", si_text(&k->arena, ":%.*s:", SPAN_ARG(name)));
    }
    if (j->service->pipeline)
        add_header(h, "x-pipeline-version", SPAN_LIT("1"));
    put_answer(j, &models[0], json, work, &b);
    if (j->fault == SI_FAULT_GARBAGE) { /* a framing that nobody can read */
        buf_reset(&b);
        buf_add(&b, "\0\1", 2);
    }
    produce(k, j->service->out, j->m, h, buf_view(&b));
    buf_done(&b);
    k->core->counts.answered++;
}

static void answer(struct job *j)
{
    struct si_kafka *k = j->k;
    const struct si_chain *chain = &j->service->chain;
    const struct model_type *types[SI_STEPS_MAX];
    struct si_model models[SI_STEPS_MAX];
    struct span body = kafka_value_of(span_of(j->m->payload, j->m->len)).body;
    bool json = body.n > 0 && body.p[0] == '{';
    struct si_work work = {0};
    struct err e = {0};

    arena_reset(&k->arena);
    for (uint32_t i = 0; i < chain->step_count; i++) {
        if (!si_catalog_find(&k->core->world->catalog, chain->steps[i], &models[i])) {
            k->core->counts.hung++; /* a pipeline without its model */
            return;
        }
        types[i] = models[i].type;
    }
    if (j->fault == SI_FAULT_ERROR) {
        answer_error(j, models[0].name,
                     SPAN_LIT("rpc error: code = Unavailable desc = made to fail"));
        return;
    }
    if (si_work(k->core->world->works, types, chain->step_count,
                json ? SI_JSON_MLSERVER : SI_PROTO, body, &k->arena, &work, &e) < 0) {
        log_warn(AREA, "no answer: %s", e.text);
        k->core->counts.hung++;
    } else if (work.kind != SI_WORK_OK) {
        uint32_t step = work.kind == SI_WORK_REFUSED ? work.step : 0;
        answer_error(j, models[step].name,
                     si_text(&k->arena, "rpc error: code = Internal desc = %.*s",
                             SPAN_ARG(work.text)));
    } else if (j->service->pipeline && work.tensors_in == 0) {
        k->core->counts.hung++;
    } else {
        answer_good(j, models, json, &work);
    }
}

/* --- jobs ------------------------------------------------------------------------- */

static void job_free(struct job *j)
{
    if (j->prev)
        j->prev->next = j->next;
    else
        j->k->jobs = j->next;
    if (j->next)
        j->next->prev = j->prev;
    if (j->timer)
        ev_timer_cancel(j->k->core->ev, j->timer);
    rd_kafka_message_destroy(j->m);
    free(j);
}

static void on_served(struct ev *ev, void *arg);

static void start(struct job *j)
{
    struct ev *ev = j->k->core->ev;
    j->timer = ev_timer_at(ev, clk_mono_add(ev_now(ev), j->takes_ns), on_served, j);
    if (!j->timer)
        on_served(ev, j);
}

static void on_served(struct ev *ev, void *arg)
{
    struct job *j = arg;
    struct si_queue *queue = &j->k->core->queue;
    (void)ev;
    j->timer = NULL;
    if (j->fault == SI_FAULT_NEVER)
        j->k->core->counts.hung++;
    else
        answer(j);
    job_free(j);
    struct si_place *next = si_queue_leave(queue);
    if (next)
        start((struct job *)next);
}

static void take(struct si_kafka *k, rd_kafka_message_t *m)
{
    const struct service *s = rd_kafka_topic_opaque(m->rkt);
    struct si_core *core = k->core;
    struct job *j = calloc(1, sizeof *j);
    uint64_t key = core->next_ordinal++;
    core->counts.requests++;
    if (!j || (s->pipeline && !span_eq(header(m, "pipeline"), s->chain.name))) {
        core->counts.hung++;
        free(j);
        rd_kafka_message_destroy(m);
        return;
    }
    *j = (struct job){.k = k,
                      .service = s,
                      .m = m,
                      .fault = si_fault_pick(&core->o.faults, key),
                      .takes_ns = si_service_draw(&core->o.service, key),
                      .next = k->jobs};
    if (j->next)
        j->next->prev = j;
    k->jobs = j;
    core->counts.faults[j->fault]++;
    if (si_queue_enter(&core->queue, &j->place))
        start(j);
}

static void on_records(struct ev *ev, int fd, unsigned events, void *arg)
{
    struct si_kafka *k = arg;
    uint64_t count;
    ssize_t n;
    (void)ev;
    (void)events;
    if (read(fd, &count, sizeof count) != (ssize_t)sizeof count)
        return;
    do {
        n = rd_kafka_consume_batch_queue(k->records, 0, k->batch, BATCH);
        for (ssize_t i = 0; i < n; i++) {
            if (k->batch[i]->err)
                rd_kafka_message_destroy(k->batch[i]);
            else
                take(k, k->batch[i]);
        }
    } while (n == BATCH);
}

/* --- topics ----------------------------------------------------------------------- */

static void on_log(const rd_kafka_t *rk, int level, const char *facility,
                   const char *text)
{
    (void)rk;
    (void)level;
    log_debug(AREA, "%s: %s", facility, text);
}

static int make_client(rd_kafka_type_t type, const char *brokers, rd_kafka_t **rk,
                       struct err *e)
{
    static const char *const of_producer[][2] = {{"linger.ms", "0"},
                                                 {"message.max.bytes", "1000000000"}};
    static const char *const of_consumer[][2] = {
        /* A fetch that finds nothing is answered when it has waited for all of this,
           whatever comes meanwhile. */
        {"fetch.wait.max.ms", "2"},
        {"receive.message.max.bytes", "1073741824"}};
    const char *const(*settings)[2] =
        type == RD_KAFKA_PRODUCER ? of_producer : of_consumer;
    char why[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    int rc = kafka_conf_set(conf, "client.id", "reprise-standin", e);
    for (int i = 0; rc == 0 && i < 2; i++)
        rc = kafka_conf_set(conf, settings[i][0], settings[i][1], e);
    if (rc == 0 && brokers)
        rc = kafka_conf_set(conf, "bootstrap.servers", brokers, e);
    if (rc < 0) {
        rd_kafka_conf_destroy(conf);
        return rc;
    }
    rd_kafka_conf_set_log_cb(conf, on_log);
    *rk = rd_kafka_new(type, conf, why, sizeof why);
    if (*rk)
        return 0;
    rd_kafka_conf_destroy(conf);
    return err_set(e, ERR_NOMEM, "Kafka client: %s", why);
}

/* Makes a topic, or takes it to be there, and what its client knows it by. NULL on
 * failure. */
static rd_kafka_topic_t *make_topic(struct si_kafka *k, enum kafka_topic_kind kind,
                                    struct service *s, struct err *e)
{
    struct buf name = {0};
    rd_kafka_topic_t *topic = NULL;
    kafka_topic_write(kind, s && s->pipeline ? OP_PIPELINE : OP_MODEL,
                      s ? s->chain.name : (struct span){0}, k->o.prefix,
                      k->o.name_space, &name);
    const char *text = buf_text(&name);
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
    if (k->cluster)
        code = rd_kafka_mock_topic_create(k->cluster, text, (int)k->o.partitions, 1);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        rd_kafka_topic_conf_t *conf = rd_kafka_topic_conf_new();
        rd_kafka_topic_conf_set_opaque(conf, s);
        topic = rd_kafka_topic_new(
            kind == KAFKA_TOPIC_INPUTS ? k->consumer : k->producer, text, conf);
        code = topic ? code : rd_kafka_last_error();
    }
    if (!topic)
        err_set(e, ERR_NOMEM, "topic %s: %s", text, rd_kafka_err2str(code));
    buf_done(&name);
    return topic;
}

/* Topics of a model or pipeline; the one of its requests is read from here on. */
static int add_service(struct si_kafka *k, const struct si_chain *chain, bool pipeline,
                       struct err *e)
{
    struct service *s = calloc(1, sizeof *s);
    if (!s)
        return err_set(e, ERR_NOMEM, "out of memory for topics");
    s->chain = *chain;
    s->pipeline = pipeline;
    s->next = k->services;
    k->services = s;
    s->out = make_topic(k, KAFKA_TOPIC_OUTPUTS, s, e);
    s->in = s->out ? make_topic(k, KAFKA_TOPIC_INPUTS, s, e) : NULL;
    for (uint32_t i = 0; s->in && i < k->o.partitions; i++)
        if (rd_kafka_consume_start_queue(s->in, (int32_t)i,
                                         k->cluster ? 0 : RD_KAFKA_OFFSET_END,
                                         k->records) != 0)
            return err_set(e, ERR_NOMEM, "topic %s cannot be read",
                           rd_kafka_topic_name(s->in));
    return s->in ? 0 : ERR_NOMEM;
}

static int add_services(struct si_kafka *k, struct err *e)
{
    const struct si_catalog *c = &k->core->world->catalog;
    const struct rd_kafka_metadata *md = NULL;
    k->errors = make_topic(k, KAFKA_TOPIC_ERRORS, NULL, e);
    int rc = k->errors ? 0 : ERR_NOMEM;
    for (size_t i = 0; rc == 0 && i < c->model_count; i++) {
        struct si_chain chain = {.name = c->models[i].name, .step_count = 1};
        chain.steps[0] = c->models[i].name;
        rc = add_service(k, &chain, false, e);
    }
    for (size_t i = 0; rc == 0 && i < c->pipeline_count; i++)
        rc = add_service(k, &c->pipelines[i], true, e);
    /* Else the first answer of each topic waits until it is known where to send it. */
    if (rc == 0 && rd_kafka_metadata(k->producer, 0, NULL, &md, METADATA_MS) ==
                       RD_KAFKA_RESP_ERR_NO_ERROR)
        rd_kafka_metadata_destroy(md);
    return rc;
}

/* --- opening and closing ---------------------------------------------------------- */

static int check(const struct si_core *core, const struct si_kafka_options *o,
                 struct err *e)
{
    const struct si_catalog *c = &core->world->catalog;
    const double *rates = core->o.faults.rates;
    if (c->model_count + c->pipeline_count == 0)
        return err_set(e, ERR_USAGE,
                       "--tier kafka needs --model-type, --models or --pipeline: its "
                       "topics have to be there before they are asked for");
    if (rates[SI_FAULT_CLOSE] > 0 || rates[SI_FAULT_CROSS] > 0)
        return err_set(e, ERR_USAGE,
                       "--close-rate and --cross-rate are not for --tier kafka");
    if (o->partitions < 1 || o->partitions > SI_PARTITIONS_MAX)
        return err_set(e, ERR_USAGE, "--kafka-partitions is between 1 and %u",
                       SI_PARTITIONS_MAX);
    return 0;
}

static int watch(struct si_kafka *k, struct err *e)
{
    static const uint64_t one = 1;
    /* Told is when the queue is no longer empty: what is in it already is looked for.
     */
    k->fd = eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC);
    if (k->fd < 0)
        return err_sys(e, errno, "cannot make an eventfd");
    int rc = ev_add(k->core->ev, k->fd, EV_READ, on_records, k, e);
    k->watched = rc >= 0;
    if (k->watched)
        rd_kafka_queue_io_event_enable(k->records, k->fd, &one, sizeof one);
    return rc < 0 ? rc : 0;
}

int si_kafka_open(struct si_kafka **out, struct si_core *core,
                  const struct si_kafka_options *options, struct err *e)
{
    *out = NULL;
    int rc = check(core, options, e);
    if (rc < 0)
        return rc;
    struct si_kafka *k = calloc(1, sizeof *k);
    if (!k)
        return err_set(e, ERR_NOMEM, "out of memory for a broker");
    k->core = core;
    k->o = *options;
    k->fd = -1;
    rc = make_client(RD_KAFKA_PRODUCER, k->o.brokers, &k->producer, e);
    if (rc == 0 && !k->o.brokers &&
        !(k->cluster = rd_kafka_mock_cluster_new(k->producer, 1)))
        rc = err_set(e, ERR_IO, "the broker cannot be started");
    if (rc == 0 && k->cluster)
        rd_kafka_brokers_add(k->producer, si_kafka_brokers(k));
    if (rc == 0)
        rc = make_client(RD_KAFKA_CONSUMER, si_kafka_brokers(k), &k->consumer, e);
    if (rc == 0) {
        k->records = rd_kafka_queue_new(k->consumer);
        rc = add_services(k, e);
    }
    if (rc == 0)
        rc = watch(k, e);
    if (rc < 0) {
        si_kafka_close(k);
        return rc;
    }
    *out = k;
    return 0;
}

const char *si_kafka_brokers(const struct si_kafka *k)
{
    return k->cluster ? rd_kafka_mock_cluster_bootstraps(k->cluster) : k->o.brokers;
}

static void service_free(struct si_kafka *k, struct service *s)
{
    for (uint32_t i = 0; s->in && i < k->o.partitions; i++)
        rd_kafka_consume_stop(s->in, (int32_t)i);
    if (s->in)
        rd_kafka_topic_destroy(s->in);
    if (s->out)
        rd_kafka_topic_destroy(s->out);
    free(s);
}

void si_kafka_close(struct si_kafka *k)
{
    if (!k)
        return;
    if (k->watched) {
        rd_kafka_queue_io_event_enable(k->records, -1, NULL, 0);
        ev_remove(k->core->ev, k->fd);
    }
    if (k->fd >= 0)
        close(k->fd);
    while (k->jobs)
        job_free(k->jobs);
    while (k->services) {
        struct service *s = k->services;
        k->services = s->next;
        service_free(k, s);
    }
    if (k->errors)
        rd_kafka_topic_destroy(k->errors);
    if (k->records)
        rd_kafka_queue_destroy(k->records);
    if (k->consumer)
        rd_kafka_destroy(k->consumer);
    if (k->producer)
        rd_kafka_flush(k->producer, CLOSE_MS);
    if (k->cluster)
        rd_kafka_mock_cluster_destroy(k->cluster);
    if (k->producer)
        rd_kafka_destroy(k->producer);
    arena_done(&k->arena);
    free(k);
}

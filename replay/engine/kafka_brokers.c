/*
 * kafka_brokers.c - clients of the Kafka engine, opening and closing: see
 * kafka_brokers.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replay/engine/kafka_brokers.h"

#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>

#include "replay/engine/kafka_own.h"
#include "traces/base/log.h"
#include "traces/wire/kafka_conf.h"

#define AREA        "kafka"
#define DELIVERY_NS (600 * CLK_SEC) /* above: counted as beyond */

/* --- clients ---------------------------------------------------------------------- */

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
    struct rep_kafka *k = opaque;
    (void)rk;
    if (k->engine)
        rep_kafka_delivered(k->engine, m);
}

static void on_error(rd_kafka_t *rk, int code, const char *reason, void *opaque)
{
    struct rep_kafka *k = opaque;
    (void)rk;
    snprintf(k->trouble, sizeof k->trouble, "%s: %s",
             rd_kafka_err2str((rd_kafka_resp_err_t)code), reason);
    log_debug(AREA, "%s", k->trouble);
    if (k->engine)
        rep_kafka_trouble(k->engine, rd_kafka_err2str((rd_kafka_resp_err_t)code));
}

static void on_log(const rd_kafka_t *rk, int level, const char *facility,
                   const char *text)
{
    (void)rk;
    (void)level;
    log_debug(AREA, "%s: %s", facility, text);
}

/* What only one of the two clients is told. */
struct setting {
    const char *name, *value;
};

static int make_client(struct rep_kafka *k, bool producer,
                       const struct setting *settings, size_t count,
                       rd_kafka_t **client, struct err *e)
{
    /* A message that may have been taken is never sent twice, and none is sent that
     * nobody waits for any more. */
    static const char *const own[] = {
        "retries",   "idempotence",        "transactional.", "message.timeout.ms",
        "delivery.", "auto.create.topics", "enable.sparse.", NULL};
    const struct rep_kafka_config *c = &k->config;
    char why[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    int rc = kafka_conf_set(conf, "bootstrap.servers", c->brokers, e);
    if (rc == 0)
        rc = kafka_conf_set(conf, "client.id", "reprise-replay", e);
    if (rc == 0) /* else the first message to a broker pays for the connection */
        rc = kafka_conf_set(conf, "enable.sparse.connections", "false", e);
    for (size_t i = 0; i < count && rc == 0; i++)
        rc = kafka_conf_set(conf, settings[i].name, settings[i].value, e);
    for (size_t i = 0; i < c->option_count && rc == 0; i++)
        rc = kafka_conf_option(conf, c->options[i], own, "a replay", e);
    if (rc < 0) {
        rd_kafka_conf_destroy(conf);
        return rc;
    }
    rd_kafka_conf_set_opaque(conf, k);
    rd_kafka_conf_set_error_cb(conf, on_error);
    rd_kafka_conf_set_log_cb(conf, on_log);
    if (producer)
        rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    *client = rd_kafka_new(producer ? RD_KAFKA_PRODUCER : RD_KAFKA_CONSUMER, conf, why,
                           sizeof why);
    if (*client)
        return 0;
    rd_kafka_conf_destroy(conf);
    return err_set(e, ERR_USAGE, "Kafka client: %s", why);
}

/* How many messages may wait, as it stands after the user's options. */
static uint64_t queue_max(rd_kafka_t *producer)
{
    char text[32];
    size_t n = sizeof text;
    uint64_t max;
    if (rd_kafka_conf_get(rd_kafka_conf(producer), "queue.buffering.max.messages", text,
                          &n) != RD_KAFKA_CONF_OK ||
        !span_u64(span_str(text), &max) || max == 0)
        return UINT32_MAX; /* 0: no limit but that of bytes */
    return max;
}

static int make_clients(struct rep_kafka *k, struct err *e)
{
    char timeout[24];
    const struct setting producer[] = {
        {"linger.ms", "0"}, /* as the gateways of Seldon Core v2 */
        {"retries", "0"},
        {"message.timeout.ms", timeout},
        {"message.max.bytes", "1000000000"},
        {"socket.nagle.disable", "true"},
    };
    static const struct setting consumer[] = {
        {"enable.partition.eof", "true"},
        {"enable.auto.commit", "false"},
        {"enable.auto.offset.store", "false"},
        {"auto.offset.reset", "error"},
        {"allow.auto.create.topics", "false"},
        /* A partition that is added waits for the fetch that is under way. */
        {"fetch.wait.max.ms", "100"},
        {"receive.message.max.bytes", "1073741824"},
        {"socket.nagle.disable", "true"},
        {"topic.metadata.refresh.interval.ms", "10000"},
    };
    int64_t ms = k->config.deadline_ns / CLK_MS;
    snprintf(timeout, sizeof timeout, "%" PRId64,
             ms < 1           ? 1
             : ms > INT32_MAX ? INT32_MAX
                              : ms);
    int rc = make_client(k, true, producer, sizeof producer / sizeof *producer,
                         &k->producer, e);
    if (rc == 0)
        rc = make_client(k, false, consumer, sizeof consumer / sizeof *consumer,
                         &k->consumer, e);
    if (rc < 0)
        return rc;
    k->queue_max = queue_max(k->producer);
    k->records = rd_kafka_queue_new(k->consumer);
    k->events[0] = rd_kafka_queue_get_main(k->producer);
    k->events[1] = rd_kafka_queue_get_main(k->consumer);
    return 0;
}

/* --- opening and closing ---------------------------------------------------------- */

static int unreachable(struct rep_kafka *k, const char *what, const char *reason,
                       struct err *e)
{
    rd_kafka_poll(k->consumer, 0); /* takes the causes that are known by now */
    return err_set(e, ERR_PEER,
                   "cannot reach the Kafka brokers %s: %s: %s%s%s; is it --kafka, or "
                   "security.protocol of --kafka-option?",
                   k->config.brokers, what, reason, *k->trouble ? "; " : "",
                   k->trouble);
}

/* Whether the installation is there at all. */
static int look_around(struct rep_kafka *k, struct err *e)
{
    int code = rep_kafka_list_topics(k);
    bool found = false;
    if (code)
        return unreachable(k, "list of topics",
                           rd_kafka_err2str((rd_kafka_resp_err_t)code), e);
    for (int i = 0; i < k->list->topic_cnt && !found; i++)
        found = kafka_topic_of(span_str(k->list->topics[i].topic), k->config.prefix,
                               k->config.name_space)
                    .kind != KAFKA_TOPIC_OTHER;
    if (!found)
        return err_set(e, ERR_PEER,
                       "the Kafka brokers %s have no topic %s.%s.*: are --topic-prefix "
                       "and --namespace those of the installation, and is a model "
                       "loaded?",
                       k->config.brokers, k->config.prefix, k->config.name_space);
    return 0;
}

int rep_kafka_open(struct rep_kafka **out, const struct rep_kafka_config *config,
                   struct err *e)
{
    struct rep_kafka *k = calloc(1, sizeof *k);
    const char *why;
    *out = NULL;
    if (!k)
        return err_set(e, ERR_NOMEM, "out of memory for Kafka clients");
    k->config = *config;
    pthread_mutex_init(&k->lock, NULL);
    pthread_cond_init(&k->changed, NULL);
    int rc = hist_init(&k->counts.delivery, DELIVERY_NS, e);
    if (rc == 0)
        rc = make_clients(k, e);
    if (rc == 0)
        rc = look_around(k, e);
    if (rc == 0 && rep_kafka_watch_errors(k, &why) < 0)
        rc = unreachable(k, "topic of errors", why, e);
    if (rc < 0) {
        rep_kafka_close(k);
        return rc;
    }
    *out = k;
    return 0;
}

void rep_kafka_close(struct rep_kafka *k)
{
    if (!k)
        return;
    rep_kafka_close_topics(k);
    if (k->records)
        rd_kafka_queue_destroy(k->records);
    for (int i = 0; i < 2; i++)
        if (k->events[i])
            rd_kafka_queue_destroy(k->events[i]);
    if (k->producer)
        rd_kafka_destroy(k->producer);
    if (k->consumer)
        rd_kafka_destroy(k->consumer);
    hist_done(&k->counts.delivery);
    pthread_cond_destroy(&k->changed);
    pthread_mutex_destroy(&k->lock);
    free(k);
}

const char *const rep_kafka_key_names[] = {"2.7", "2.8", "2.10"};

const struct rep_kafka_counts *rep_kafka_counts(struct rep_kafka *k)
{
    k->counts.topics_late = atomic_load(&k->topics_late);
    return &k->counts;
}

const char *rep_kafka_version(void)
{
    return rd_kafka_version_str();
}

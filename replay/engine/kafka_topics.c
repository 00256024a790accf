/*
 * kafka_topics.c - topics of the Kafka engine: those that requests go to, those that
 * answers come from, and those that come late.
 *
 * Records are read with librdkafka's simple consumer, all partitions into one queue: a
 * partition can be added from any thread while others are read.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <librdkafka/rdkafka.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "replay/engine/kafka_own.h"
#include "traces/base/log.h"

#define AREA     "kafka"
#define SEEK_NS  CLK_SEC        /* between looks for topics that are missing */
#define AGAIN_NS (50 * CLK_MS)  /* between questions that had no answer */
#define LIST_NS  (200 * CLK_MS) /* a younger list of topics is not asked for again */

#define NO_TOPIC                                                                       \
    "the brokers have no topic for its requests: its model or pipeline is not loaded"
#define NO_ANSWER "the brokers did not tell where its topics end"
#define NO_MEMORY "there was no memory for its topics"
#define TOO_MANY  "it is of more models, pipelines or partitions than a replay reads"

/* --- topics ----------------------------------------------------------------------- */

static int wait_ms(const struct rep_kafka *k)
{
    int64_t ms = k->config.connect_ns / CLK_MS;
    return ms < 1 ? 1 : ms > INT32_MAX ? INT32_MAX : (int)ms;
}

static rd_kafka_topic_t *topic_new(rd_kafka_t *rk, const char *name, void *opaque)
{
    rd_kafka_topic_conf_t *conf = rd_kafka_default_topic_conf_dup(rk);
    rd_kafka_topic_conf_set_opaque(conf, opaque);
    return rd_kafka_topic_new(rk, name, conf);
}

int rep_kafka_list_topics(struct rep_kafka *k)
{
    const struct rd_kafka_metadata *list = NULL;
    rd_kafka_resp_err_t code =
        rd_kafka_metadata(k->consumer, 1, NULL, &list, wait_ms(k));
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return code;
    if (k->list)
        rd_kafka_metadata_destroy(k->list);
    k->list = list;
    k->listed_ns = clk_mono_now(clk_system()).ns;
    return code;
}

static int32_t listed(const struct rep_kafka *k, const char *name)
{
    for (int i = 0; k->list && i < k->list->topic_cnt; i++)
        if (strcmp(k->list->topics[i].topic, name) == 0)
            return k->list->topics[i].partition_cnt;
    return 0;
}

/* Partitions of a topic: 0 when it is not there. A negative number: no answer. */
static int32_t partitions_of(struct rep_kafka *k, const char *name)
{
    int32_t n = listed(k, name);
    if (n > 0 || clk_mono_now(clk_system()).ns - k->listed_ns < LIST_NS)
        return n;
    return rep_kafka_list_topics(k) == RD_KAFKA_RESP_ERR_NO_ERROR ? listed(k, name)
                                                                  : -1;
}

static bool all_known(const rd_kafka_topic_partition_list_t *l)
{
    for (int i = 0; i < l->cnt; i++)
        if (l->elems[i].err || l->elems[i].offset < 0)
            return false;
    return true;
}

/* Where the partitions of a source end. (rd_kafka_query_watermark_offsets would wait
 * for ever for a broker that goes meanwhile.) NULL: no answer. */
static rd_kafka_topic_partition_list_t *ends_of(const struct rep_kafka_source *s)
{
    struct rep_kafka *k = s->kafka;
    rd_kafka_topic_partition_list_t *l =
        rd_kafka_topic_partition_list_new(s->partitions);
    for (int32_t i = 0; i < s->partitions; i++)
        rd_kafka_topic_partition_list_add(l, rd_kafka_topic_name(s->topic), i)->offset =
            RD_KAFKA_OFFSET_END; /* as a time, it stands for the latest */
    if (rd_kafka_offsets_for_times(k->consumer, l, wait_ms(k)) ==
            RD_KAFKA_RESP_ERR_NO_ERROR &&
        all_known(l))
        return l;
    rd_kafka_topic_partition_list_destroy(l);
    return NULL;
}

/* A topic that was just made may have no leader yet: it is asked again. */
static rd_kafka_topic_partition_list_t *await_ends(const struct rep_kafka_source *s)
{
    int64_t until = clk_mono_now(clk_system()).ns + s->kafka->config.connect_ns;
    rd_kafka_topic_partition_list_t *l;
    while (!(l = ends_of(s)) && clk_mono_now(clk_system()).ns < until)
        nanosleep(&(struct timespec){.tv_nsec = AGAIN_NS}, NULL);
    return l;
}

/* Begins to read the partitions: at their ends, or from their beginnings. */
static const char *begin_source(struct rep_kafka_source *s, bool from_end)
{
    struct rep_kafka *k = s->kafka;
    rd_kafka_topic_partition_list_t *ends = from_end ? await_ends(s) : NULL;
    if (from_end && !ends)
        return NO_ANSWER;
    for (; s->reads < s->partitions; s->reads++) {
        int64_t at = ends ? ends->elems[s->reads].offset : RD_KAFKA_OFFSET_BEGINNING;
        if (rd_kafka_consume_start_queue(s->topic, s->reads, at, k->records) != 0)
            break;
        atomic_fetch_add(&k->started, 1);
    }
    if (ends)
        rd_kafka_topic_partition_list_destroy(ends);
    return s->reads < s->partitions ? NO_ANSWER : NULL;
}

/* Reads the partitions that are not read yet. */
static const char *read_source(struct rep_kafka_source *s, bool from_end)
{
    struct rep_kafka *k = s->kafka;
    uint32_t n = (uint32_t)s->partitions;
    if (!s->at_end) {
        if (k->partition_count + n > REP_KAFKA_PARTITIONS_MAX)
            return TOO_MANY;
        s->at_end = calloc(n, sizeof *s->at_end);
        if (!s->at_end)
            return NO_MEMORY;
        k->partition_count += n;
    }
    return begin_source(s, from_end);
}

/* Looks for a source's topic, by its name. 1: it is there, and read; 0: it is not; a
 * negative number: neither, for the reason in *why. */
static int open_source(struct rep_kafka_source *s, const char *name, bool from_end,
                       const char **why)
{
    struct rep_kafka *k = s->kafka;
    if (s->partitions == 0) {
        int32_t n = partitions_of(k, name);
        *why = NO_ANSWER;
        if (n <= 0)
            return n;
        s->partitions = n;
    }
    if (!s->topic)
        s->topic = topic_new(k->consumer, name, s);
    *why = s->topic ? read_source(s, from_end) : NO_MEMORY;
    return *why ? -1 : 1;
}

static int open_outputs(struct rep_kafka *k, struct rep_kafka_route *r, bool from_end,
                        const char **why)
{
    struct buf name = {0};
    kafka_topic_write(KAFKA_TOPIC_OUTPUTS, r->base.resource, r->base.name,
                      k->config.prefix, k->config.name_space, &name);
    int rc = open_source(&r->from, buf_text(&name), from_end, why);
    buf_done(&name);
    return rc;
}

static int open_errors(struct rep_kafka *k, bool from_end, const char **why)
{
    struct buf name = {0};
    k->errors.kafka = k;
    kafka_topic_write(KAFKA_TOPIC_ERRORS, OP_MODEL, (struct span){0}, k->config.prefix,
                      k->config.name_space, &name);
    int rc = open_source(&k->errors, buf_text(&name), from_end, why);
    buf_done(&name);
    return rc;
}

static void close_source(struct rep_kafka_source *s)
{
    for (int32_t i = 0; i < s->reads; i++)
        rd_kafka_consume_stop(s->topic, i);
    if (s->topic)
        rd_kafka_topic_destroy(s->topic);
    free(s->at_end);
}

/* --- topics that come late -------------------------------------------------------- */

/* What was not there before the first request to it holds nothing that is older, so it
 * is read from its beginning. rc: of the look for it; what could not be read is tried
 * again. */
static void came_late(struct rep_kafka *k, int rc, bool *missing)
{
    if (rc <= 0)
        return;
    *missing = false;
    k->missing--;
    atomic_fetch_add(&k->topics_late, 1);
}

static void look_again(struct rep_kafka *k)
{
    const char *why;
    if (rep_kafka_list_topics(k) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return;
    if (k->no_errors)
        came_late(k, open_errors(k, false, &why), &k->no_errors);
    for (struct rep_kafka_route *r = k->routes; r && !k->closing; r = r->next)
        if (r->missing)
            came_late(k, open_outputs(k, r, false, &why), &r->missing);
}

static void *seek_topics(void *arg)
{
    struct rep_kafka *k = arg;
    pthread_mutex_lock(&k->lock);
    while (!k->closing) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += SEEK_NS / CLK_SEC;
        pthread_cond_timedwait(&k->changed, &k->lock, &until);
        if (k->closing || k->missing == 0)
            continue;
        look_again(k);
    }
    pthread_mutex_unlock(&k->lock);
    return NULL;
}

/* The lock is held. */
static void is_missing(struct rep_kafka *k)
{
    k->missing++;
    if (!k->seeking)
        k->seeking = pthread_create(&k->seeker, NULL, seek_topics, k) == 0;
    if (!k->seeking)
        log_warn(AREA, "a topic that does not exist yet cannot be waited for");
}

/* --- routes ----------------------------------------------------------------------- */

static void route_free(struct rep_kafka_route *r)
{
    union {
        const uint8_t *from;
        void *to;
    } name = {.from = r->base.name.p}, topic = {.from = r->base.topic.p};
    close_source(&r->from);
    if (r->to)
        rd_kafka_topic_destroy(r->to);
    free(name.to);
    free(topic.to);
    free(r);
}

static bool keep(struct span s, struct span *out)
{
    uint8_t *p = malloc(s.n + 1);
    if (!p)
        return false;
    memcpy(p, s.p, s.n);
    p[s.n] = 0;
    *out = span_of(p, s.n);
    return true;
}

/* Where requests go, and into how many partitions. */
static const char *open_inputs(struct rep_kafka *k, struct rep_kafka_route *r)
{
    const char *name = (const char *)r->base.topic.p;
    if (r->to)
        return NULL;
    r->partitions = partitions_of(k, name);
    if (r->partitions <= 0)
        return r->partitions == 0 ? NO_TOPIC : NO_ANSWER;
    rd_kafka_topic_t *to = topic_new(k->producer, name, NULL);
    if (!to)
        return NO_MEMORY;
    /* So that the first message need not wait for it. */
    const struct rd_kafka_metadata *md = NULL;
    if (rd_kafka_metadata(k->producer, 0, to, &md, wait_ms(k)) !=
        RD_KAFKA_RESP_ERR_NO_ERROR) {
        rd_kafka_topic_destroy(to);
        return NO_ANSWER;
    }
    rd_kafka_metadata_destroy(md);
    r->to = to;
    return NULL;
}

/* Finds the topics of a route, or those that could not be found before. */
static const char *open_route(struct rep_kafka *k, struct rep_kafka_route *r)
{
    const char *why = open_inputs(k, r);
    if (why)
        return why;
    int rc = open_outputs(k, r, true, &why);
    if (rc < 0)
        return why;
    r->missing = rc == 0;
    if (r->missing) {
        log_info(AREA,
                 "the topic that answers %.*s does not exist yet; it is waited for",
                 SPAN_ARG(r->base.topic));
        is_missing(k);
    }
    return NULL;
}

static struct rep_kafka_route *new_route(struct rep_kafka *k, enum op_resource resource,
                                         struct span name)
{
    struct buf text = {0};
    struct rep_kafka_route *r = calloc(1, sizeof *r);
    kafka_topic_write(KAFKA_TOPIC_INPUTS, resource, name, k->config.prefix,
                      k->config.name_space, &text);
    if (!r || buf_check(&text, NULL) < 0 || !keep(name, &r->base.name) ||
        !keep(buf_view(&text), &r->base.topic)) {
        buf_done(&text);
        if (r)
            route_free(r);
        return NULL;
    }
    buf_done(&text);
    r->base.resource = resource;
    r->from.kafka = k;
    r->from.route = r;
    r->next = k->routes;
    k->routes = r;
    k->route_count++;
    return r;
}

/* A route that could not be used is asked for again once its second is over: a model
 * may be loaded meanwhile. The lock is held. */
static struct rep_kafka_route *route_of(struct rep_kafka *k, enum op_resource resource,
                                        struct span name, const char **why)
{
    int64_t now = clk_mono_now(clk_system()).ns;
    struct rep_kafka_route *r = k->routes;
    while (r && (r->base.resource != resource || !span_eq(r->base.name, name)))
        r = r->next;
    if (r && (!r->why || now - r->asked_ns < SEEK_NS)) {
        *why = r->why;
        return r;
    }
    if (!r && k->route_count == REP_KAFKA_ROUTES_MAX) {
        *why = TOO_MANY;
        return NULL;
    }
    if (!r && !(r = new_route(k, resource, name))) {
        *why = NO_MEMORY;
        return NULL;
    }
    bool known = r->why != NULL;
    *why = r->why = open_route(k, r);
    r->asked_ns = now;
    if (r->why && !known)
        log_warn(AREA, "%.*s: %s", SPAN_ARG(r->base.topic), r->why);
    return r;
}

static const struct rep_route *find_route(void *arg, enum op_resource resource,
                                          struct span name, const char **why)
{
    struct rep_kafka *k = arg;
    pthread_mutex_lock(&k->lock);
    struct rep_kafka_route *r = route_of(k, resource, name, why);
    pthread_mutex_unlock(&k->lock);
    return *why ? NULL : &r->base;
}

struct rep_routes rep_kafka_routes(struct rep_kafka *k)
{
    return (struct rep_routes){find_route, k};
}

/* --- the whole -------------------------------------------------------------------- */

int rep_kafka_watch_errors(struct rep_kafka *k, const char **why)
{
    pthread_mutex_lock(&k->lock);
    int rc = open_errors(k, true, why);
    k->no_errors = rc == 0;
    if (k->no_errors)
        is_missing(k);
    pthread_mutex_unlock(&k->lock);
    return rc;
}

void rep_kafka_close_topics(struct rep_kafka *k)
{
    atomic_store(&k->closing, true);
    pthread_mutex_lock(&k->lock);
    pthread_cond_signal(&k->changed);
    pthread_mutex_unlock(&k->lock);
    if (k->seeking)
        pthread_join(k->seeker, NULL);
    while (k->routes) {
        struct rep_kafka_route *r = k->routes;
        k->routes = r->next;
        route_free(r);
    }
    close_source(&k->errors);
    if (k->list)
        rd_kafka_metadata_destroy(k->list);
}

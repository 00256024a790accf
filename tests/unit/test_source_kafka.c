/*
 * test_source_kafka.c - topics of a cluster in this process (librdkafka's mock) become
 * a trace: all key styles, errors, framing, duplicates, bounds; nothing is left on the
 * brokers.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "check.h"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "capture/kafka_session.h"
#include "traces/container/trc_reader.h"

#define T0    INT64_C(1800000000000) /* ms */
#define IN    "seldon.ns.model.iris.inputs"
#define OUT   "seldon.ns.model.iris.outputs"
#define ERRS  "seldon.ns.errors.errors"
#define PIN   "seldon.ns.pipeline.p.inputs"
#define POUT  "seldon.ns.pipeline.p.outputs"
#define PARTS 3

struct rig {
    rd_kafka_t *rk; /* the producer, whose cluster it is */
    rd_kafka_mock_cluster_t *cluster;
    struct cap_kafka_session_config c;
    struct cap_kafka_result result;
    char path[64];
    struct err e;
};

static void start(struct rig *g)
{
    static const char *const topics[] = {IN, OUT, ERRS, PIN, POUT, "other.topic"};
    char why[256];
    *g = (struct rig){.path = "/tmp/test_source_kafka.XXXXXX"};
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    check_int(rd_kafka_conf_set(conf, "log_level", "0", why, sizeof why), ==,
              RD_KAFKA_CONF_OK);
    g->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    check_true(g->rk != NULL);
    g->cluster = rd_kafka_mock_cluster_new(g->rk, 1);
    check_true(g->cluster != NULL);
    const char *brokers = rd_kafka_mock_cluster_bootstraps(g->cluster);
    check_int(rd_kafka_brokers_add(g->rk, brokers), ==, 1);
    for (size_t i = 0; i < sizeof topics / sizeof *topics; i++)
        check_int(rd_kafka_mock_topic_create(g->cluster, topics[i], PARTS, 1), ==, 0);
    int fd = mkstemp(g->path);
    check_int(fd, >=, 0);
    close(fd);
    g->c = (struct cap_kafka_session_config){.source = {.brokers = brokers,
                                                        .prefix = "seldon",
                                                        .name_space = "ns",
                                                        .from = "beginning",
                                                        .until_end = true,
                                                        .connect_ns = 10 * CLK_SEC},
                                             .out = g->path,
                                             .answer_wait_ns = 60 * CLK_SEC,
                                             .hold_ns = 5 * CLK_SEC,
                                             .flush_ns = CLK_SEC,
                                             .memory_bytes = 32 << 20};
}

static void stop(struct rig *g)
{
    unlink(g->path);
    rd_kafka_mock_cluster_destroy(g->cluster);
    rd_kafka_destroy(g->rk);
}

static void produce(struct rig *g, const char *topic, int32_t partition, int64_t ms,
                    const char *key, struct span value, const char *pipeline,
                    const char *failed)
{
    rd_kafka_headers_t *h = rd_kafka_headers_new(4);
    rd_kafka_header_add(h, "Pipeline", -1, pipeline, -1);
    rd_kafka_header_add(h, "authorization", -1, "Bearer hush", -1);
    if (failed)
        rd_kafka_header_add(h, "seldon-pipeline-errors", -1, failed, -1);
    check_int(rd_kafka_producev(g->rk, RD_KAFKA_V_TOPIC(topic),
                                RD_KAFKA_V_PARTITION(partition),
                                RD_KAFKA_V_TIMESTAMP(T0 + ms),
                                RD_KAFKA_V_KEY((void *)(uintptr_t)key, strlen(key)),
                                RD_KAFKA_V_VALUE((void *)(uintptr_t)value.p, value.n),
                                RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                                RD_KAFKA_V_HEADERS(h), RD_KAFKA_V_END),
              ==, RD_KAFKA_RESP_ERR_NO_ERROR);
}

static void all_produced(struct rig *g)
{
    check_int(rd_kafka_flush(g->rk, 10000), ==, RD_KAFKA_RESP_ERR_NO_ERROR);
}

static void capture(struct rig *g)
{
    all_produced(g);
    g->e = (struct err){0};
    check_ok(cap_kafka_session_run(&g->c, &g->result, &g->e), &g->e);
    check_true(g->result.closed);
}

/* The one block of the trace that was written. */
static struct trc_block *read_back(struct rig *g, struct trc_reader **r)
{
    struct trc_block *block = NULL;
    check_ok(trc_reader_open(r, g->path, &g->e), &g->e);
    check_int(trc_reader_next(*r, &block, &g->e), ==, 1);
    return block;
}

static void check_op(const struct op *op, int64_t arrival_ms, enum op_resource resource,
                     const char *name, const char *id, const char *body)
{
    check_int(op->stream->protocol, ==, OP_KAFKA);
    check_int(op->stream->tier, ==, OP_TIER_KAFKA);
    check_int(op->stream->resource, ==, resource);
    check_int(op->stream->header_count, ==, 0);
    check_int(op->arrival_ns, ==, arrival_ms * CLK_MS);
    check_span(op->stream->name, name);
    check_span(op->id, id);
    check_span(op->request.data, body);
}

static void check_answer(const struct op *op, int64_t ms, int status, const char *body)
{
    check_int(op->first_ns, ==, ms * CLK_MS);
    check_int(op->last_ns, ==, ms * CLK_MS);
    check_int(op->status, ==, status);
    check_span(op->response.data, body);
}

static void topics_become_a_trace(void **state)
{
    (void)state;
    struct rig g;
    struct trc_reader *r;
    start(&g);
    /* Not in order of time, over partitions and topics. */
    produce(&g, OUT, 0, 30, "a", SPAN_LIT("{\"out\":1}"), "iris", NULL);
    produce(&g, POUT, 2, 45, "2.p.d", SPAN_LIT("broken"), "p", "iris");
    produce(&g, ERRS, 2, 45, "2.p.d", SPAN_LIT("broken"), "p", "iris");
    produce(&g, IN, 2, 40, "2.p.d", SPAN_LIT("in d"), "p", NULL);
    produce(&g, PIN, 2, 40, "2.p.d", SPAN_LIT("in d"), "p", NULL);
    produce(&g, IN, 1, 20, "iris.b", SPAN_LIT("\0\0\0\0\7\0in b"), "iris", NULL);
    produce(&g, OUT, 1, 27, "iris.b", SPAN_LIT("\0\0\0\0\7\0out b"), "iris", NULL);
    produce(&g, OUT, 1, 28, "iris.b", SPAN_LIT("\0\0\0\0\7\0out b"), "iris", NULL);
    produce(&g, IN, 0, 10, "a", SPAN_LIT("in a"), "iris", NULL);
    produce(&g, IN, 0, 50, "0.iris.c", SPAN_LIT("in c"), "iris", NULL);
    produce(&g, OUT, 0, 50, "unknown", SPAN_LIT("out"), "iris", NULL);
    produce(&g, "other.topic", 0, 50, "x", SPAN_LIT("y"), "iris", NULL);
    capture(&g);
    const struct cap_kafka_counts *n = &g.result.counts;
    check_int(n->records, ==, 11);
    check_int(n->inputs, ==, 5);
    check_int(g.result.recorded, ==, 5);
    check_int(n->answered, ==, 4);
    check_int(n->failed, ==, 2);
    check_int(n->duplicates, ==, 1);
    check_int(n->unmatched, ==, 1);
    check_int(n->framed, ==, 3);
    check_int(n->clocks[CAP_KAFKA_CLOCK_CREATE], ==, 11);
    check_int(g.result.reads.partitions, ==, 5 * PARTS);
    struct trc_block *b = read_back(&g, &r);
    check_int(b->count, ==, 5);
    check_op(&b->ops[0], 0, OP_MODEL, "iris", "a", "in a");
    check_answer(&b->ops[0], 20, 200, "{\"out\":1}");
    check_op(&b->ops[1], 10, OP_MODEL, "iris", "b", "in b");
    check_answer(&b->ops[1], 7, 200, "out b");
    int model = b->ops[2].stream->resource == OP_MODEL ? 2 : 3; /* at the same time */
    check_op(&b->ops[model], 30, OP_MODEL, "iris", "d", "in d");
    check_answer(&b->ops[model], 5, 400, "broken");
    check_op(&b->ops[5 - model], 30, OP_PIPELINE, "p", "d", "in d");
    check_answer(&b->ops[5 - model], 5, 400, "broken");
    check_op(&b->ops[4], 40, OP_MODEL, "iris", "c", "in c");
    check_int(b->ops[4].first_ns, ==, OP_TIME_NONE);
    trc_block_free(b);
    trc_reader_close(r);
    stop(&g);
}

static void it_begins_where_it_is_told_to(void **state)
{
    (void)state;
    struct rig g;
    start(&g);
    for (int i = 0; i < 10; i++)
        produce(&g, IN, 0, i, "k", SPAN_LIT("in"), "iris", NULL);
    g.c.source.from = "7";
    capture(&g);
    check_int(g.result.recorded, ==, 3);
    g.c.source.from = "end";
    capture(&g);
    check_int(g.result.counts.records, ==, 0);
    g.c.source.from = "beginning";
    g.c.duration_ns = 5 * CLK_MS;
    capture(&g);
    check_int(g.result.recorded, ==, 6);
    stop(&g);
}

static volatile sig_atomic_t signals;

/* A live capture that a signal ends: what came is there, and the trace is whole. */
static void live_capture_ends_by_a_signal(void **state)
{
    (void)state;
    struct rig g;
    struct trc_reader *r;
    start(&g);
    produce(&g, IN, 0, 0, "k", SPAN_LIT("in"), "iris", NULL);
    struct cap_kafka_config live = g.c.source;
    struct cap_kafka_source *s;
    struct cap_kafka_record record;
    live.until_end = false;
    all_produced(&g);
    check_ok(cap_kafka_open(&s, &live, &g.e), &g.e);
    int rc, records = 0, quiet = 0;
    for (int i = 0; i < 100000 && records < 2; i++) {
        rc = cap_kafka_next(s, &record, &g.e);
        check_true(rc == CAP_KAFKA_RECORD || rc == CAP_KAFKA_QUIET);
        records += rc == CAP_KAFKA_RECORD;
        quiet += rc == CAP_KAFKA_QUIET;
        if (records == 1 && quiet % 64 == 0)
            produce(&g, OUT, 1, 5, "k", SPAN_LIT("out"), "iris", NULL);
    }
    check_int(records, ==, 2);
    check_span(record.value, "out");
    check_span(record.headers[0].name, "pipeline");
    cap_kafka_close(s);
    signals = 1;
    g.c.source.until_end = false;
    g.c.interrupts = &signals;
    check_int(cap_kafka_session_run(&g.c, &g.result, &g.e), ==, ERR_STOPPED);
    check_true(g.result.closed && g.result.interrupted);
    check_ok(trc_reader_open(&r, g.path, &g.e), NULL);
    trc_reader_close(r);
    stop(&g);
}

static void refuses(struct rig *g, const char *option, const char *why)
{
    g->c.source.options = &option;
    g->c.source.option_count = 1;
    g->e = (struct err){0};
    check_int(cap_kafka_session_run(&g->c, &g->result, &g->e), ==, ERR_USAGE);
    check_str_has(g->e.text, why);
    check_true(strstr(g->e.text, "hush") == NULL);
}

static void options_tell_no_secret_and_change_nothing_of_ours(void **state)
{
    (void)state;
    struct rig g;
    start(&g);
    refuses(&g, "sasl.password=hush", "from file:PATH or env:NAME");
    refuses(&g, "ssl.key.password=hush", "from file:PATH or env:NAME");
    refuses(&g, "group.id=x", "decides that by itself");
    refuses(&g, "enable.auto.commit=true", "decides that by itself");
    refuses(&g, "plugin.library.paths=x", "decides that by itself");
    refuses(&g, "security.protocol", "is KEY=VALUE");
    refuses(&g, "no.such.key=1", "no.such.key");
    refuses(&g, "sasl.password=env:REPRISE_NO_SUCH", "REPRISE_NO_SUCH");
    setenv("REPRISE_TEST_SECRET", "hush", 1);
    refuses(&g, "security.protocol=env:REPRISE_TEST_SECRET", "refuses it");
    const char *fine = "sasl.password=env:REPRISE_TEST_SECRET";
    g.c.source.options = &fine;
    capture(&g);
    g.c.source.option_count = 0;
    g.c.source.from = "yesterday";
    g.e = (struct err){0};
    check_int(cap_kafka_session_run(&g.c, &g.result, &g.e), ==, ERR_USAGE);
    check_str_has(g.e.text, "yesterday");
    stop(&g);
}

static void brokers_without_our_topics_or_that_are_not_there_are_told(void **state)
{
    (void)state;
    struct rig g;
    start(&g);
    g.c.source.prefix = "elsewhere";
    check_int(cap_kafka_session_run(&g.c, &g.result, &g.e), ==, ERR_PEER);
    check_str_has(g.e.text, "no topic elsewhere.ns.*");
    g.c.source.brokers = "127.0.0.1:1";
    g.c.source.connect_ns = CLK_SEC / 2;
    g.e = (struct err){0};
    check_int(cap_kafka_session_run(&g.c, &g.result, &g.e), ==, ERR_PEER);
    check_str_has(g.e.text, "list of topics");
    stop(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(topics_become_a_trace),
        cmocka_unit_test(it_begins_where_it_is_told_to),
        cmocka_unit_test(live_capture_ends_by_a_signal),
        cmocka_unit_test(options_tell_no_secret_and_change_nothing_of_ours),
        cmocka_unit_test(brokers_without_our_topics_or_that_are_not_there_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * test_kafka_wire.c - Kafka's wire protocol as it is watched: records of both versions
 * of strings and arrays, each told once, joined, compressed, cut, joined midway.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/check.h"

#include <stdlib.h>
#include <string.h>

#include <zlib.h>
#include <zstd.h>

#include "capture/kafka_batch.h"
#include "capture/kafka_inflate.h"
#include "capture/stream.h"

#define INPUTS  "seldon.default.model.iris.inputs"
#define OUTPUTS "seldon.default.model.iris.outputs"

/* --- one connection, and what is told of it --- */

struct bench {
    struct cap_budget budget;
    struct cap_parse *parse;
    struct cap_kafka_join *join;
    struct cap_kwire_shared shared;
    struct cap_stream *stream;
    struct buf story;
    uint64_t told_bytes[2], seen[2];
    int64_t now_ms;
};

static int hear(void *arg, enum cap_part part, struct cap_record *r, struct err *e)
{
    struct bench *b = arg;
    (void)e;
    for (int i = 0; i < 2; i++)
        b->told_bytes[r->wire[i].dir] += r->wire[i].bytes;
    if (part != CAP_PART_ANSWER)
        buf_fmt(&b->story, "%.*s %.*s [%.*s] @%d", SPAN_ARG(r->stream.path),
                SPAN_ARG(r->op.id), SPAN_ARG(r->op.request.data),
                (int)(r->at.ns / CLK_MS));
    buf_str(&b->story, r->op.flags & OP_FLAG_GAP ? " late" : "");
    if (part == CAP_PART_REQUEST)
        buf_str(&b->story, " told early");
    else if (r->op.first_ns != OP_TIME_NONE)
        buf_fmt(&b->story, " -> %u [%.*s] +%d", r->op.status,
                SPAN_ARG(r->op.response.data), (int)(r->op.last_ns / CLK_MS));
    buf_str(&b->story, "\n");
    return 0;
}

static void no_exchange(void *arg, const struct cap_exchange *x)
{
    (void)arg;
    (void)x;
    fail_msg("a connection to Kafka told an exchange of HTTP");
}

static void begin(struct bench *b, bool midway)
{
    struct err e = {0};
    *b = (struct bench){.budget = {.limit_bytes = 64u << 20}};
    struct cap_parse_config config = {.exchange = no_exchange, .budget = &b->budget};
    struct cap_kafka_join_options join = {.take = hear,
                                          .arg = b,
                                          .answer_wait_ns = 60 * CLK_SEC,
                                          .memory_bytes = 16u << 20};
    const struct cap_flow_info info = {.ordinal = 7, .from_start = !midway};
    b->parse = cap_parse_new(&config, &e);
    check_ok(cap_kafka_join_new(&b->join, &join, &e), &e);
    check_ok(cap_krecords_new(&b->shared.records, b->join, &e), &e);
    b->stream = cap_stream_new_kafka(b->parse, &b->shared, &info);
    assert_non_null(b->stream);
}

/* Of the records, each byte has one place. */
static void account_records(const struct bench *b, int dir)
{
    const struct cap_parse_counts *n = &cap_parse_totals(b->parse)->dir[dir];
    const struct cap_kafka_counts *k = cap_kafka_join_counts(b->join);
    const struct cap_krecords_counts *r = cap_krecords_counts(b->shared.records);
    check_int(b->told_bytes[dir] + k->pending_bytes[dir] + k->orphan_bytes[dir] +
                  k->passed_bytes[dir] + k->refused_bytes[dir] + r->passed_bytes[dir] +
                  r->held_bytes[dir] + r->opaque_bytes[dir] +
                  b->shared.counts.unread_bytes[dir],
              ==, n->record_bytes);
}

static void account(const struct bench *b)
{
    for (int dir = 0; dir < 2; dir++) {
        const struct cap_parse_counts *n = cap_stream_counts(b->stream, dir);
        check_int(n->record_bytes + n->framing_bytes + n->opaque_bytes + n->shed_bytes +
                      n->pending_bytes,
                  ==, b->seen[dir]);
        account_records(b, dir);
    }
}

/* Bytes a step of 1 ms later, in pieces. */
static void give(struct bench *b, int dir, struct span bytes, size_t piece)
{
    b->now_ms++;
    while (bytes.n > 0) {
        size_t n = piece && piece < bytes.n ? piece : bytes.n;
        uint8_t *exact = malloc(n);
        memcpy(exact, bytes.p, n);
        cap_stream_data(b->stream, dir, (struct clk_wall){b->now_ms * CLK_MS},
                        span_of(exact, n));
        free(exact);
        b->seen[dir] += n;
        account(b);
        bytes = span_sub(bytes, n, bytes.n);
    }
}

static void end(struct bench *b, const char *want)
{
    struct err e = {0};
    cap_stream_close(b->stream, (struct clk_wall){b->now_ms * CLK_MS}, CAP_END_FIN);
    cap_krecords_flush(b->shared.records);
    account_records(b, 0);
    account_records(b, 1);
    check_ok(cap_krecords_check(b->shared.records, &e), &e);
    check_ok(cap_kafka_join_flush(b->join, &e), &e);
    check_str(buf_text(&b->story), want);
    check_int(b->budget.used_bytes, ==, 0);
    cap_krecords_free(b->shared.records);
    cap_kafka_join_free(b->join);
    cap_parse_free(b->parse);
    buf_done(&b->story);
}

/* --- building ---
 * Numbers are as the protocol's description has them: big-endian; flexible versions
 * have varints of length + 1. */

static void u16(struct buf *b, unsigned v)
{
    buf_u8(b, (uint8_t)(v >> 8));
    buf_u8(b, (uint8_t)v);
}

static void u64(struct buf *b, uint64_t v)
{
    buf_u32_be(b, (uint32_t)(v >> 32));
    buf_u32_be(b, (uint32_t)v);
}

static void sized(struct buf *b, bool flexible, bool wide, struct span s)
{
    if (flexible)
        buf_varint(b, s.n + 1);
    else if (wide)
        buf_u32_be(b, (uint32_t)s.n);
    else
        u16(b, (unsigned)s.n);
    buf_span(b, s);
}

static void count(struct buf *b, bool flexible, unsigned n)
{
    if (flexible)
        buf_varint(b, n + 1);
    else
        buf_u32_be(b, n);
}

static void tags(struct buf *b, bool flexible)
{
    if (flexible)
        buf_u8(b, 0);
}

static void field(struct buf *b, const char *text)
{
    buf_zigzag(b, text ? (int64_t)strlen(text) : -1);
    buf_str(b, text ? text : "");
}

/* A record with the header that SCv2's gateways write, unless id is NULL. */
static void put_record(struct buf *out, int64_t delta, const char *key, const char *id,
                       const char *value)
{
    struct buf r = {0};
    buf_u8(&r, 0);
    buf_zigzag(&r, 0);
    buf_zigzag(&r, delta);
    field(&r, key);
    field(&r, value);
    buf_zigzag(&r, id ? 1 : 0);
    if (id) {
        field(&r, "X-Request-Id");
        field(&r, id);
    }
    buf_zigzag(out, (int64_t)r.n);
    buf_span(out, buf_view(&r));
    buf_done(&r);
}

/* A batch of so many records, which may be compressed. */
static void put_batch(struct buf *out, int64_t offset, unsigned codec, unsigned records,
                      struct span data)
{
    struct buf tail = {0};
    u16(&tail, codec);
    buf_u32_be(&tail, records - 1);
    u64(&tail, 1700000000000);
    u64(&tail, 1700000000000);
    u64(&tail, UINT64_MAX);
    u16(&tail, 0xffff);
    buf_u32_be(&tail, UINT32_MAX);
    buf_u32_be(&tail, records);
    buf_span(&tail, data);
    u64(out, (uint64_t)offset);
    buf_u32_be(out, (uint32_t)(9 + tail.n));
    buf_u32_be(out, 0);
    buf_u8(out, 2);
    buf_u32_be(out, cap_crc32c(buf_view(&tail)));
    buf_span(out, buf_view(&tail));
    buf_done(&tail);
}

static void one_record(struct buf *out, int64_t offset, const char *key, const char *id,
                       const char *value)
{
    struct buf data = {0};
    put_record(&data, 0, key, id, value);
    put_batch(out, offset, 0, 1, buf_view(&data));
    buf_done(&data);
}

static void frame(struct buf *out, struct buf *content)
{
    buf_u32_be(out, (uint32_t)content->n);
    buf_span(out, buf_view(content));
    buf_done(content);
}

static void request_head(struct buf *c, int api, int version, uint32_t correlation,
                         bool flexible)
{
    u16(c, (unsigned)api);
    u16(c, (unsigned)version);
    buf_u32_be(c, correlation);
    sized(c, false, false, SPAN_LIT("client-1"));
    tags(c, flexible);
}

static const uint8_t id_inputs[16] = "inputs-topic-id.",
                     id_outputs[16] = "outputs-topic-i";

static void put_topic(struct buf *c, bool ids, bool flexible, const char *topic)
{
    if (ids)
        buf_add(c, strcmp(topic, INPUTS) == 0 ? id_inputs : id_outputs, 16);
    else
        sized(c, flexible, false, span_str(topic));
}

static void produce(struct buf *out, int version, uint32_t correlation, int acks,
                    const char *topic, struct span records)
{
    struct buf c = {0};
    bool flexible = version >= 9;
    request_head(&c, 0, version, correlation, flexible);
    if (version >= 3)
        sized(&c, flexible, false, (struct span){0});
    u16(&c, (unsigned)acks);
    buf_u32_be(&c, 30000);
    count(&c, flexible, 1);
    put_topic(&c, version >= 13, flexible, topic);
    count(&c, flexible, 1);
    buf_u32_be(&c, 3); /* partition */
    sized(&c, flexible, true, records);
    tags(&c, flexible);
    tags(&c, flexible);
    tags(&c, flexible);
    frame(out, &c);
}

static void produced(struct buf *out, int version, uint32_t correlation,
                     const char *topic, int64_t offset)
{
    struct buf c = {0};
    bool flexible = version >= 9;
    buf_u32_be(&c, correlation);
    tags(&c, flexible);
    count(&c, flexible, 1);
    put_topic(&c, version >= 13, flexible, topic);
    count(&c, flexible, 1);
    buf_u32_be(&c, 3);
    u16(&c, 0);
    u64(&c, (uint64_t)offset);
    if (version >= 2)
        u64(&c, UINT64_MAX);
    if (version >= 5)
        u64(&c, 0);
    if (version >= 8) {
        count(&c, flexible, 0);
        sized(&c, flexible, false, (struct span){0});
    }
    tags(&c, flexible);
    tags(&c, flexible);
    if (version >= 1)
        buf_u32_be(&c, 0);
    tags(&c, flexible);
    frame(out, &c);
}

/* A request of any api whose content does not matter. */
static void ask(struct buf *out, int api, int version, uint32_t correlation)
{
    struct buf c = {0};
    request_head(&c, api, version, correlation, false);
    buf_str(&c, "whatever it may be that is asked");
    frame(out, &c);
}

static void fetched(struct buf *out, int version, uint32_t correlation,
                    const char *topic, struct span records)
{
    struct buf c = {0};
    bool flexible = version >= 12;
    buf_u32_be(&c, correlation);
    tags(&c, flexible);
    if (version >= 1)
        buf_u32_be(&c, 0);
    if (version >= 7) {
        u16(&c, 0);
        buf_u32_be(&c, 99);
    }
    count(&c, flexible, 1);
    put_topic(&c, version >= 13, flexible, topic);
    count(&c, flexible, 1);
    buf_u32_be(&c, 3);
    u16(&c, 0);
    u64(&c, 5);
    if (version >= 4)
        u64(&c, 5);
    if (version >= 5)
        u64(&c, 0);
    if (version >= 4)
        count(&c, flexible, 0);
    if (version >= 11)
        buf_u32_be(&c, UINT32_MAX);
    sized(&c, flexible, true, records);
    tags(&c, flexible);
    tags(&c, flexible);
    tags(&c, flexible);
    frame(out, &c);
}

static void metadata(struct buf *out, int version, uint32_t correlation,
                     const char *topic)
{
    struct buf c = {0};
    buf_u32_be(&c, correlation);
    buf_u8(&c, 0);
    buf_u32_be(&c, 0);
    count(&c, true, 1); /* a broker */
    buf_u32_be(&c, 1);
    sized(&c, true, false, SPAN_LIT("broker"));
    buf_u32_be(&c, 9092);
    buf_u8(&c, 0);
    buf_u8(&c, 0);
    sized(&c, true, false, SPAN_LIT("cluster"));
    buf_u32_be(&c, 1);
    count(&c, true, 1);
    u16(&c, 0);
    sized(&c, true, false, span_str(topic));
    put_topic(&c, true, true, topic);
    buf_u8(&c, 0);
    count(&c, true, 1); /* a partition with one replica */
    u16(&c, 0);
    buf_u32_be(&c, 3);
    buf_u32_be(&c, 1);
    buf_u32_be(&c, 0);
    for (int list = 0; list < 3; list++) {
        count(&c, true, list < 2 ? 1 : 0);
        if (list < 2)
            buf_u32_be(&c, 1);
    }
    buf_u8(&c, 0);
    buf_u32_be(&c, 0);
    buf_u8(&c, 0);
    if (version == 10)
        buf_u32_be(&c, 0);
    if (version >= 13)
        u16(&c, 0);
    buf_u8(&c, 0);
    frame(out, &c);
}

/* --- tests --- */

#define KEY    "0.iris.a1"
#define WANTED INPUTS " a1 [ask] @1 -> 200 [told] +2\n"

static void every_version_of_produce_is_read(void **state)
{
    (void)state;
    for (int version = 3; version <= 12; version++)
        for (size_t piece = 0; piece < 3; piece++) {
            struct bench b;
            struct buf in = {0}, out = {0}, r1 = {0}, r2 = {0};
            one_record(&r1, 0, KEY, "a1", "ask");
            one_record(&r2, 0, KEY, "a1", "told");
            produce(&in, version, 1, 1, INPUTS, buf_view(&r1));
            produced(&out, version, 1, INPUTS, 40);
            begin(&b, false);
            give(&b, 0, buf_view(&in), piece);
            give(&b, 1, buf_view(&out), piece);
            buf_reset(&in);
            produce(&in, version, 2, 1, OUTPUTS, buf_view(&r2));
            give(&b, 0, buf_view(&in), piece);
            check_int(b.shared.counts.malformed, ==, 0);
            check_int(b.shared.counts.unmatched, ==, 0);
            end(&b, WANTED);
            buf_done(&in);
            buf_done(&out);
            buf_done(&r1);
            buf_done(&r2);
        }
}

static void a_record_that_is_fetched_too_is_told_once(void **state)
{
    (void)state;
    for (int version = 4; version <= 12; version++) {
        struct bench b;
        struct buf in = {0}, out = {0}, records = {0}, there = {0};
        one_record(&records, 0, KEY, "a1", "ask");
        one_record(&there, 77, KEY, "a1", "ask");
        produce(&in, 7, 1, 1, INPUTS, buf_view(&records));
        ask(&in, 1, version, 2);
        ask(&in, 1, version, 3);
        produced(&out, 7, 1, INPUTS, 77);
        fetched(&out, version, 2, INPUTS, buf_view(&there));
        buf_reset(&there); /* the same content at another place is another record */
        one_record(&there, 78, KEY, "a1", "ask");
        fetched(&out, version, 3, INPUTS, buf_view(&there));
        begin(&b, false);
        give(&b, 0, buf_view(&in), 0);
        give(&b, 1, buf_view(&out), 0);
        check_int(b.shared.counts.malformed, ==, 0);
        check_int(cap_krecords_counts(b.shared.records)->copies, ==, 1);
        end(&b, INPUTS " a1 [ask] @1\n" INPUTS " a1 [ask] @2 late\n");
        buf_done(&in);
        buf_done(&out);
        buf_done(&records);
        buf_done(&there);
    }
}

static void topic_ids_are_told_by_metadata(void **state)
{
    (void)state;
    for (int version = 10; version <= 13; version++) {
        struct bench b;
        struct buf in = {0}, out = {0}, records = {0};
        one_record(&records, 5, KEY, "a1", "ask");
        ask(&in, 3, version, 1);
        ask(&in, 1, 16, 2);
        metadata(&out, version, 1, INPUTS);
        fetched(&out, 16, 2, INPUTS, buf_view(&records));
        begin(&b, false);
        give(&b, 0, buf_view(&in), 0);
        give(&b, 1, buf_view(&out), 0);
        check_int(cap_krecords_counts(b.shared.records)->topics_told, ==, 1);
        end(&b, INPUTS " a1 [ask] @2\n");
        buf_done(&in);
        buf_done(&out);
        buf_done(&records);
    }
}

/* Without Metadata, a batch that was produced under the name and placed tells the id;
 * until then what is fetched waits. */
static void topic_ids_are_told_by_batches_that_come_again(void **state)
{
    (void)state;
    struct bench b;
    struct buf in = {0}, out = {0}, first = {0}, mine = {0}, again = {0}, later = {0};
    one_record(&first, 3, "0.iris.zz", "zz", "before");
    one_record(&mine, 0, KEY, "a1", "ask");
    one_record(&again, 4, KEY, "a1", "ask");
    one_record(&later, 5, "0.iris.b2", "b2", "more");
    for (uint32_t i = 1; i <= 3; i++)
        ask(&in, 1, 17, i);
    produce(&in, 10, 4, -1, INPUTS, buf_view(&mine));
    fetched(&out, 17, 1, INPUTS, buf_view(&first));
    begin(&b, false);
    give(&b, 0, buf_view(&in), 0);
    give(&b, 1, buf_view(&out), 0);
    check_int(cap_krecords_counts(b.shared.records)->topics_unknown, ==, 0);
    check_int(cap_krecords_counts(b.shared.records)->held_bytes[1], ==, first.n - 61);
    /* Its place is not known yet: no id is learned by content alone. */
    buf_reset(&out);
    fetched(&out, 17, 2, INPUTS, buf_view(&again));
    give(&b, 1, buf_view(&out), 0);
    check_int(cap_krecords_counts(b.shared.records)->topics_matched, ==, 0);
    buf_reset(&out);
    cap_krecords_placed(b.shared.records, 99, 4); /* of no set */
    cap_krecords_placed(b.shared.records, 0, 4);
    fetched(&out, 17, 3, INPUTS, buf_view(&again));
    buf_reset(&in);
    ask(&in, 1, 17, 5);
    ask(&in, 1, 17, 6);
    give(&b, 1, buf_view(&out), 0);
    buf_reset(&out);
    produced(&out, 10, 4, INPUTS, 4);
    fetched(&out, 17, 5, INPUTS, buf_view(&again));
    fetched(&out, 17, 6, INPUTS, buf_view(&later));
    give(&b, 0, buf_view(&in), 0);
    give(&b, 1, buf_view(&out), 0);
    check_int(cap_krecords_counts(b.shared.records)->topics_matched, ==, 1);
    check_int(cap_krecords_counts(b.shared.records)->copies, ==, 3);
    end(&b, INPUTS " a1 [ask] @1\n" INPUTS " zz [before] @2 late\n" INPUTS
                   " b2 [more] @6 late\n");
    buf_done(&in);
    buf_done(&out);
    buf_done(&first);
    buf_done(&mine);
    buf_done(&again);
    buf_done(&later);
}

/* Bytes of one Fetch after another, each answered in a step of its own. */
static void fetch_all(struct bench *b, uint32_t first, unsigned n,
                      const struct buf *answers)
{
    struct buf in = {0};
    for (unsigned i = 0; i < n; i++)
        ask(&in, 1, 16, first + i);
    give(b, 0, buf_view(&in), 0);
    buf_done(&in);
    for (unsigned i = 0; i < n; i++)
        give(b, 1, buf_view(&answers[i]), 0);
}

static void what_is_fetched_waits_for_the_name_of_its_topic(void **state)
{
    (void)state;
    for (int late = 0; late < 2; late++) {
        struct bench b;
        struct buf out[2] = {0}, in = {0}, told = {0}, r1 = {0}, r2 = {0};
        one_record(&r1, 5, KEY, "a1", "ask");
        one_record(&r2, 6, "0.iris.b2", "b2", "more");
        fetched(&out[0], 16, 1, INPUTS, buf_view(&r1));
        fetched(&out[1], 16, 2, INPUTS, buf_view(&r2));
        ask(&in, 3, 12, 3);
        metadata(&told, 12, 3, INPUTS);
        begin(&b, false);
        fetch_all(&b, 1, 2, out);
        const struct cap_krecords_counts *n = cap_krecords_counts(b.shared.records);
        check_int(n->held_bytes[1], ==, r1.n + r2.n - 2 * 61);
        struct clk_wall oldest =
            cap_krecords_oldest(b.shared.records, (struct clk_wall){CLK_SEC});
        check_int(oldest.ns, ==, 2 * CLK_MS);
        if (late)
            b.now_ms += CAP_KAFKA_UNKNOWN_NS / CLK_MS;
        cap_krecords_time(b.shared.records, (struct clk_wall){b.now_ms * CLK_MS});
        give(&b, 0, buf_view(&in), 0);
        give(&b, 1, buf_view(&told), 0);
        check_int(n->held_bytes[1], ==, 0);
        check_int(n->topics_unknown, ==, late ? 2 : 0);
        check_int(n->opaque_bytes[1], ==, late ? r1.n + r2.n - 2 * 61 : 0);
        end(&b, late ? "" : INPUTS " a1 [ask] @2\n" INPUTS " b2 [more] @3\n");
        buf_done(&out[0]);
        buf_done(&out[1]);
        buf_done(&in);
        buf_done(&told);
        buf_done(&r1);
        buf_done(&r2);
    }
}

/* An id that stays unknown does not hold everything back for ever. */
static void an_id_that_is_not_told_is_waited_for_once(void **state)
{
    (void)state;
    struct bench b;
    struct buf out[3] = {0}, r[3] = {0};
    const char *const keys[] = {"0.iris.a", "0.iris.b", "0.iris.c"};
    begin(&b, false);
    for (unsigned i = 0; i < 3; i++) {
        one_record(&r[i], i, keys[i], "x", "ask");
        fetched(&out[i], 16, i, INPUTS, buf_view(&r[i]));
        fetch_all(&b, i, 1, &out[i]);
        b.now_ms += 2 * CAP_KAFKA_UNKNOWN_NS / CLK_MS;
    }
    const struct cap_krecords_counts *n = cap_krecords_counts(b.shared.records);
    check_int(n->topics_unknown, ==, 3);
    check_int(n->opaque_bytes[1], ==, r[0].n - 61); /* of the one that waited */
    check_int(cap_stream_counts(b.stream, 1)->opaque_bytes, ==,
              r[1].n + r[2].n - 2 * 61);
    end(&b, "");
    for (unsigned i = 0; i < 3; i++) {
        buf_done(&out[i]);
        buf_done(&r[i]);
    }
}

/* Two steps of a pipeline that are given the same input, at the same place. */
static void the_like_in_two_topics_tells_no_id(void **state)
{
    (void)state;
    struct bench b;
    struct buf in = {0}, out = {0}, mine = {0}, again = {0};
    one_record(&mine, 0, KEY, "a1", "ask");
    one_record(&again, 4, KEY, "a1", "ask");
    produce(&in, 10, 1, -1, INPUTS, buf_view(&mine));
    produce(&in, 10, 2, -1, "seldon.default.model.other.inputs", buf_view(&mine));
    ask(&in, 1, 17, 3);
    produced(&out, 10, 1, INPUTS, 4);
    produced(&out, 10, 2, "seldon.default.model.other.inputs", 4);
    fetched(&out, 17, 3, INPUTS, buf_view(&again));
    begin(&b, false);
    give(&b, 0, buf_view(&in), 0);
    give(&b, 1, buf_view(&out), 0);
    check_int(cap_krecords_counts(b.shared.records)->topics_matched, ==, 0);
    end(&b, INPUTS " a1 [ask] @1\nseldon.default.model.other.inputs a1 [ask] @1\n");
    buf_done(&in);
    buf_done(&out);
    buf_done(&mine);
    buf_done(&again);
}

/* The end of what a fetch may be given lies anywhere; what is cut off comes again. */
static void a_batch_that_a_fetch_cuts_off_is_no_loss(void **state)
{
    (void)state;
    struct buf r1 = {0}, both = {0};
    one_record(&r1, 5, KEY, "a1", "ask");
    buf_span(&both, buf_view(&r1));
    one_record(&both, 6, "0.iris.b2", "b2", "more");
    for (size_t n = r1.n + 1; n < both.n; n++) {
        struct bench b;
        struct buf out[2] = {0};
        fetched(&out[0], 11, 1, INPUTS, span_sub(buf_view(&both), 0, n));
        fetched(&out[1], 11, 2, INPUTS, span_sub(buf_view(&both), r1.n, both.n));
        begin(&b, false);
        struct buf in = {0};
        ask(&in, 1, 11, 1);
        ask(&in, 1, 11, 2);
        give(&b, 0, buf_view(&in), 0);
        give(&b, 1, buf_view(&out[0]), 0);
        give(&b, 1, buf_view(&out[1]), 0);
        check_int(cap_krecords_counts(b.shared.records)->cut, ==, 1);
        check_int(cap_stream_counts(b.stream, 1)->opaque_bytes, ==, 0);
        end(&b, INPUTS " a1 [ask] @2\n" INPUTS " b2 [more] @3\n");
        buf_done(&in);
        buf_done(&out[0]);
        buf_done(&out[1]);
    }
    buf_done(&r1);
    buf_done(&both);
}

static void tombstones_and_control_batches_are_passed_over(void **state)
{
    (void)state;
    struct bench b;
    struct buf in = {0}, data = {0}, batch = {0};
    put_record(&data, 0, KEY, "a1", NULL);
    put_record(&data, 1, KEY, "a1", "");
    put_batch(&batch, 0, 0, 2, buf_view(&data));
    buf_reset(&data);
    put_record(&data, 0, "\1\1\1\1", NULL, "\1\1\1\1\1\1");
    put_batch(&batch, 2, 0x30, 1, buf_view(&data)); /* a marker of a transaction */
    produce(&in, 7, 1, 1, INPUTS, buf_view(&batch));
    begin(&b, false);
    give(&b, 0, buf_view(&in), 0);
    check_int(cap_kafka_join_counts(b.join)->tombstones, ==, 1);
    check_int(cap_stream_counts(b.stream, 0)->opaque_bytes, ==, 0);
    end(&b, INPUTS " a1 [] @1\n"); /* an empty message is one */
    buf_done(&in);
    buf_done(&data);
    buf_done(&batch);
}

static struct span gzipped(struct span s, uint8_t *to, size_t room)
{
    z_stream z = {0};
    check_int(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), ==,
              Z_OK);
    z.next_in = (Bytef *)(uintptr_t)s.p;
    z.avail_in = (uInt)s.n;
    z.next_out = to;
    z.avail_out = (uInt)room;
    check_int(deflate(&z, Z_FINISH), ==, Z_STREAM_END);
    struct span out = span_of(to, room - z.avail_out);
    deflateEnd(&z);
    return out;
}

/* Snappy's raw format, with a copy where the text allows one. */
static void snapped(struct span s, struct buf *out)
{
    buf_varint(out, s.n);
    for (size_t at = 0; at < s.n;) {
        size_t n = s.n - at < 60 ? s.n - at : 60;
        if (at >= 4 && s.n - at >= 4 && memcmp(s.p + at, s.p + at - 4, 4) == 0) {
            buf_u8(out, 1);
            buf_u8(out, 4); /* 4 bytes from 4 back */
            at += 4;
            continue;
        }
        n = n > 4 ? 4 : n;
        buf_u8(out, (uint8_t)((n - 1) << 2));
        buf_add(out, s.p + at, n);
        at += n;
    }
}

static void compressed(unsigned codec, struct span s, struct buf *out)
{
    uint8_t room[4096];
    struct buf block = {0};
    switch (codec) {
    case CAP_KAFKA_GZIP:
        buf_span(out, gzipped(s, room, sizeof room));
        break;
    case CAP_KAFKA_SNAPPY:
        snapped(s, out);
        break;
    case CAP_KAFKA_LZ4: /* a frame with one block that is stored, one of literals */
        buf_u32(out, 0x184D2204);
        buf_u8(out, 0x60);
        buf_u8(out, 0x40);
        buf_u8(out, 0x82);
        buf_u32(out, 0x80000000u | 2);
        buf_span(out, span_sub(s, 0, 2));
        buf_u8(&block, 0xf0);
        for (size_t left = s.n - 2 - 15; left >= 255; left -= 255)
            buf_u8(&block, 255);
        buf_u8(&block, (uint8_t)((s.n - 2 - 15) % 255));
        buf_span(&block, span_sub(s, 2, s.n));
        buf_u32(out, (uint32_t)block.n);
        buf_span(out, buf_view(&block));
        buf_u32(out, 0);
        break;
    default:
        buf_add(out, room, ZSTD_compress(room, sizeof room, s.p, s.n, 3));
    }
    buf_done(&block);
}

static void compressed_batches_are_read(void **state)
{
    (void)state;
    for (unsigned codec = CAP_KAFKA_GZIP; codec <= CAP_KAFKA_ZSTD; codec++) {
        struct bench b;
        struct buf in = {0}, plain = {0}, packed = {0}, batch = {0};
        put_record(&plain, 0, KEY, "a1", "ask-ask-ask-ask-");
        put_record(&plain, 1, "0.iris.b2", "b2", "more");
        compressed(codec, buf_view(&plain), &packed);
        put_batch(&batch, 0, codec, 2, buf_view(&packed));
        produce(&in, 7, 1, 1, INPUTS, buf_view(&batch));
        begin(&b, false);
        give(&b, 0, buf_view(&in), 0);
        check_int(cap_stream_counts(b.stream, 0)->record_bytes, ==, packed.n);
        end(&b, INPUTS " a1 [ask-ask-ask-ask-] @1\n" INPUTS " b2 [more] @1\n");
        buf_done(&in);
        buf_done(&plain);
        buf_done(&packed);
        buf_done(&batch);
    }
}

/* A message of magic 0 or 1. */
static void put_message(struct buf *out, int64_t offset, unsigned magic, unsigned codec,
                        const char *key, struct span value)
{
    struct buf m = {0};
    buf_u8(&m, (uint8_t)magic);
    buf_u8(&m, (uint8_t)codec);
    if (magic == 1)
        u64(&m, 1700000000000);
    if (key)
        sized(&m, false, true, span_str(key));
    else
        buf_u32_be(&m, UINT32_MAX);
    sized(&m, false, true, value);
    u64(out, (uint64_t)offset);
    buf_u32_be(out, (uint32_t)(4 + m.n));
    buf_u32_be(out, (uint32_t)crc32(0, m.p, (uInt)m.n));
    buf_span(out, buf_view(&m));
    buf_done(&m);
}

/* Old clients' messages, plain and compressed; fetched by a new client, and by an old
 * one, they are copies. Headers there are none: the key tells the id. */
static void messages_of_old_formats_are_read(void **state)
{
    (void)state;
    for (unsigned magic = 0; magic < 2; magic++)
        for (int packed = 0; packed < 2; packed++) {
            struct bench b;
            struct buf in = {0}, out = {0}, set = {0}, r = {0}, again = {0};
            uint8_t room[1000];
            put_message(&set, 0, magic, 0, "0.iris.a1", SPAN_LIT("ask"));
            put_message(&set, 1, magic, 0, "0.iris.b2", SPAN_LIT("more"));
            if (packed) {
                struct buf inner = set;
                set = (struct buf){0};
                struct span z = gzipped(buf_view(&inner), room, sizeof room);
                put_message(&set, 0, magic, 1, NULL, z);
                put_message(&again, 41, magic, 1, NULL, z);
                buf_done(&inner);
            } else {
                put_message(&again, 40, magic, 0, "0.iris.a1", SPAN_LIT("ask"));
                put_message(&again, 41, magic, 0, "0.iris.b2", SPAN_LIT("more"));
            }
            produce(&in, magic ? 2 : 0, 1, 1, INPUTS, buf_view(&set));
            produced(&out, magic ? 2 : 0, 1, INPUTS, 40);
            ask(&in, 1, 11, 2);
            ask(&in, 1, 2, 3);
            put_record(&r, 0, "0.iris.a1", NULL, "ask");
            put_record(&r, 1, "0.iris.b2", NULL, "more");
            buf_reset(&set);
            put_batch(&set, 40, 0, 2, buf_view(&r));
            fetched(&out, 11, 2, INPUTS, buf_view(&set));
            fetched(&out, 2, 3, INPUTS, buf_view(&again));
            begin(&b, false);
            give(&b, 0, buf_view(&in), 0);
            give(&b, 1, buf_view(&out), 0);
            const struct cap_krecords_counts *n = cap_krecords_counts(b.shared.records);
            check_int(n->copies, ==, packed ? 2 : 3);
            check_int(n->old_format, ==, packed ? 2 : 4);
            check_int(n->malformed + n->checksums_wrong + n->cut, ==, 0);
            check_int(cap_stream_counts(b.stream, 0)->opaque_bytes, ==, 0);
            check_int(cap_stream_counts(b.stream, 1)->opaque_bytes, ==, 0);
            end(&b, INPUTS " a1 [ask] @1\n" INPUTS " b2 [more] @1\n");
            buf_done(&in);
            buf_done(&out);
            buf_done(&set);
            buf_done(&r);
            buf_done(&again);
        }
}

/* What a new client produced, as a broker gives it to an old one. */
static void a_batch_that_is_fetched_in_an_old_format_is_a_copy(void **state)
{
    (void)state;
    struct bench b;
    struct buf in = {0}, out = {0}, r = {0}, set = {0};
    one_record(&r, 0, KEY, "a1", "ask");
    produce(&in, 7, 1, 1, INPUTS, buf_view(&r));
    produced(&out, 7, 1, INPUTS, 8);
    ask(&in, 1, 2, 2);
    put_message(&set, 8, 1, 0, KEY, SPAN_LIT("ask"));
    put_message(&set, 9, 1, 0, "0.iris.b2", SPAN_LIT("more"));
    fetched(&out, 2, 2, INPUTS, buf_view(&set));
    begin(&b, false);
    give(&b, 0, buf_view(&in), 0);
    give(&b, 1, buf_view(&out), 0);
    check_int(cap_krecords_counts(b.shared.records)->copies, ==, 1);
    check_int(cap_krecords_counts(b.shared.records)->late, ==, 1);
    end(&b, INPUTS " a1 [ask] @1\n" INPUTS " b2 [more] @2 late\n");
    buf_done(&in);
    buf_done(&out);
    buf_done(&r);
    buf_done(&set);
}

static void what_cannot_be_read_is_opaque_with_its_reason(void **state)
{
    (void)state;
    for (int fault = 0; fault < 5; fault++) {
        struct bench b;
        struct buf in = {0}, plain = {0}, batch = {0};
        put_record(&plain, 0, KEY, "a1", "ask");
        put_batch(&batch, 0, fault == 1 ? 5 : 0, fault == 4 ? 2 : 1, buf_view(&plain));
        if (fault == 0)
            batch.p[batch.n - 1] ^= 1;
        if (fault == 2)
            batch.p[16] = 1;
        if (fault == 3)
            batch.n -= 3;
        produce(&in, 7, 1, 1, INPUTS, buf_view(&batch));
        begin(&b, false);
        give(&b, 0, buf_view(&in), 0);
        const struct cap_krecords_counts *n = cap_krecords_counts(b.shared.records);
        const uint64_t counts[] = {n->checksums_wrong, n->packed, 0, n->cut,
                                   n->malformed};
        for (int i = 0; i < 5; i++) /* another format's sum is wrong too */
            check_int(counts[i], ==, i == (fault == 2 ? 0 : fault));
        check_true(cap_stream_counts(b.stream, 0)->opaque_bytes >= plain.n);
        end(&b, "");
        buf_done(&in);
        buf_done(&plain);
        buf_done(&batch);
    }
}

/* Joined at any byte: the frame that was cut is opaque, and those behind it are read.
 */
static void a_connection_joined_midway_is_read_from_the_next_frame(void **state)
{
    (void)state;
    struct buf in = {0}, out = {0}, r1 = {0}, r2 = {0};
    one_record(&r1, 0, "0.iris.zz", "zz", "lost");
    one_record(&r2, 0, KEY, "a1", "ask");
    produce(&in, 7, 1, 1, INPUTS, buf_view(&r1));
    size_t first = in.n;
    produce(&in, 7, 2, 1, INPUTS, buf_view(&r2));
    ask(&in, 18, 3, 3);
    produced(&out, 7, 1, INPUTS, 1);
    produced(&out, 7, 2, INPUTS, 2);
    for (size_t cut = 1; cut <= first; cut++)
        for (size_t piece = 0; piece < 30; piece += 7) {
            struct bench b;
            begin(&b, true);
            give(&b, 0, span_sub(buf_view(&in), cut, in.n), piece);
            give(&b, 1, buf_view(&out), piece);
            check_int(cap_stream_counts(b.stream, 0)->opaque_bytes, ==, first - cut);
            check_int(b.shared.counts.responses, ==, 2);
            check_int(b.shared.counts.unmatched, ==, 1);
            end(&b, INPUTS " a1 [ask] @1\n");
        }
    buf_done(&in);
    buf_done(&out);
    buf_done(&r1);
    buf_done(&r2);
}

/* The answer to a Fetch from before the capture is read as one all the same. */
static void what_was_asked_for_before_the_capture_is_read_where_it_reads(void **state)
{
    (void)state;
    struct buf in = {0}, out = {0}, r1 = {0}, r2 = {0};
    one_record(&r1, 8, KEY, "a1", "ask");
    one_record(&r2, 9, "0.iris.b2", "b2", "more");
    ask(&in, 1, 11, 31);
    fetched(&out, 11, 30, INPUTS, buf_view(&r1));
    fetched(&out, 11, 31, INPUTS, buf_view(&r2));
    for (size_t piece = 0; piece < 30; piece += 7) {
        struct bench b;
        begin(&b, true);
        give(&b, 0, buf_view(&in), 0);
        give(&b, 1, buf_view(&out), piece);
        check_int(b.shared.counts.unmatched, ==, 0);
        check_int(cap_stream_counts(b.stream, 1)->opaque_bytes, ==, 0);
        end(&b, INPUTS " a1 [ask] @2\n" INPUTS " b2 [more] @2\n");
    }
    buf_done(&in);
    buf_done(&out);
    buf_done(&r1);
    buf_done(&r2);
}

static void a_gap_inside_a_frame_costs_that_frame(void **state)
{
    (void)state;
    struct buf in = {0}, r1 = {0}, r2 = {0};
    one_record(&r1, 0, "0.iris.zz", "zz", "lost");
    one_record(&r2, 0, KEY, "a1", "ask");
    produce(&in, 9, 1, 1, INPUTS, buf_view(&r1));
    size_t first = in.n;
    produce(&in, 9, 2, 1, INPUTS, buf_view(&r2));
    for (size_t from = 20; from < first; from += 13) {
        struct bench b;
        begin(&b, false);
        give(&b, 0, span_sub(buf_view(&in), 0, from), 0);
        cap_stream_gap(b.stream, 0, (struct clk_wall){2 * CLK_MS}, first - from);
        give(&b, 0, span_sub(buf_view(&in), first, in.n), 0);
        check_int(b.shared.counts.broken, ==, 1);
        check_int(cap_parse_totals(b.parse)->lost_to_gap, ==, 1);
        check_int(b.shared.counts.resyncs, ==, 0);
        end(&b, INPUTS " a1 [ask] @2\n");
    }
    buf_done(&in);
    buf_done(&r1);
    buf_done(&r2);
}

static void other_topics_and_apis_are_passed_by(void **state)
{
    (void)state;
    struct bench b;
    struct buf in = {0}, records = {0};
    one_record(&records, 0, "k", "a1", "v");
    produce(&in, 7, 1, 1, "__consumer_offsets", buf_view(&records));
    ask(&in, 18, 3, 2);
    begin(&b, false);
    give(&b, 0, buf_view(&in), 0);
    check_int(cap_krecords_counts(b.shared.records)->passed_bytes[0], ==,
              records.n - 61);
    check_true(b.shared.counts.unread_bytes[0] > 0);
    check_int(cap_stream_counts(b.stream, 0)->opaque_bytes, ==, 0);
    end(&b, "");
    buf_done(&in);
    buf_done(&records);
}

/* A request or response of another api, of so many bytes behind its head. */
static void other(struct buf *out, int dir, int api, int version, uint32_t correlation,
                  struct span rest)
{
    struct buf c = {0};
    if (dir == 0)
        request_head(&c, api, version, correlation, false);
    else
        buf_u32_be(&c, correlation);
    buf_span(&c, rest);
    frame(out, &c);
}

static void sized_token(struct buf *out, struct span token)
{
    buf_u32_be(out, (uint32_t)token.n);
    buf_span(out, token);
}

/* SASL as Kafka 1.0 and later have it: its tokens are in requests of their own. */
static void sasl_in_frames_is_passed_by(void **state)
{
    (void)state;
    struct bench b;
    struct buf in = {0}, out = {0}, records = {0};
    one_record(&records, 0, KEY, "a1", "ask");
    other(&in, 0, 17, 1, 1, SPAN_LIT("\0\5PLAIN"));
    other(&in, 0, 36, 0, 2, SPAN_LIT("\0\0\0\013\0user\0secret"));
    produce(&in, 7, 3, 1, INPUTS, buf_view(&records));
    other(&out, 1, 0, 0, 1, SPAN_LIT("\0\0\0\0\0\1\0\5PLAIN"));
    other(&out, 1, 0, 0, 2, SPAN_LIT("\0\0\xff\xff\0\0\0\0"));
    produced(&out, 7, 3, INPUTS, 1);
    begin(&b, false);
    give(&b, 0, buf_view(&in), 0);
    give(&b, 1, buf_view(&out), 0);
    check_int(b.shared.counts.responses, ==, 3);
    check_int(b.shared.counts.unmatched, ==, 0);
    check_int(cap_stream_counts(b.stream, 0)->opaque_bytes, ==, 0);
    check_true(b.shared.counts.unread_bytes[0] > 30);
    end(&b, INPUTS " a1 [ask] @1\n");
    buf_done(&in);
    buf_done(&out);
    buf_done(&records);
}

/* As clients before that have it: a handshake, then bare tokens with a length in front,
 * which are no frames of Kafka. They are opaque, never read as anything else, and what
 * follows them is read. */
static void sasl_tokens_outside_of_frames_are_opaque(void **state)
{
    (void)state;
    struct buf in = {0}, out = {0}, records = {0};
    one_record(&records, 0, KEY, "a1", "ask");
    other(&in, 0, 17, 0, 1, SPAN_LIT("\0\5PLAIN"));
    size_t frames = in.n;
    sized_token(&in, SPAN_LIT("\0user-of-kafka\0secret-of-kafka"));
    size_t token = in.n - frames;
    produce(&in, 7, 2, 1, INPUTS, buf_view(&records));
    other(&out, 1, 0, 0, 1, SPAN_LIT("\0\0\0\0\0\1\0\5PLAIN"));
    sized_token(&out, (struct span){0}); /* welcome */
    produced(&out, 7, 2, INPUTS, 1);
    for (size_t piece = 0; piece < 40; piece += 3) {
        struct bench b;
        begin(&b, false);
        give(&b, 0, buf_view(&in), piece);
        give(&b, 1, buf_view(&out), piece);
        check_int(cap_stream_counts(b.stream, 0)->opaque_bytes, ==, token);
        /* Itself, and the length in front of what is found behind it. */
        check_int(cap_stream_counts(b.stream, 1)->opaque_bytes, ==, 8);
        check_int(b.shared.counts.produces, ==, 1);
        end(&b, INPUTS " a1 [ask] @1\n");
    }
    buf_done(&in);
    buf_done(&out);
    buf_done(&records);
}

static void tls_is_opaque(void **state)
{
    (void)state;
    struct bench b;
    begin(&b, false);
    give(&b, 0, SPAN_LIT("\x16\x03\x01\x00\x05hello\x16\x03\x01\x00\x05hello"), 0);
    check_int(cap_stream_counts(b.stream, 0)->opaque_bytes, ==, 20);
    check_int(cap_parse_totals(b.parse)->connections_tls, ==, 1);
    end(&b, "");
}

static void memory_is_bounded_and_what_is_let_go_is_counted(void **state)
{
    (void)state;
    struct bench b;
    struct buf in = {0}, records = {0}, value = {0};
    for (int i = 0; i < 40000; i++)
        buf_str(&value, "0123456789");
    one_record(&records, 0, KEY, "a1", buf_text(&value));
    produce(&in, 7, 1, 1, INPUTS, buf_view(&records));
    begin(&b, false);
    b.budget.limit_bytes = 200000;
    give(&b, 0, buf_view(&in), 1448);
    check_int(b.shared.counts.shed, ==, 1);
    check_int(cap_stream_counts(b.stream, 0)->shed_bytes, ==, in.n);
    check_int(cap_parse_totals(b.parse)->lost_shed, ==, 1);
    check_true(b.budget.peak_bytes < 200000);
    end(&b, "");
    buf_done(&in);
    buf_done(&records);
    buf_done(&value);
}

static void crc32c_gives_the_published_sums(void **state)
{
    (void)state;
    uint8_t zeros[32] = {0}, ones[32];
    memset(ones, 0xff, sizeof ones);
    check_int(cap_crc32c(span_of(zeros, 32)), ==, 0x8a9136aau); /* RFC 3720 B.4 */
    check_int(cap_crc32c(span_of(ones, 32)), ==, 0x62a8ab43u);
    check_int(cap_crc32c(SPAN_LIT("123456789")), ==, 0xe3069283u);
}

static void topics_are_known_under_any_prefix(void **state)
{
    (void)state;
    struct kafka_topic t =
        kafka_topic_guess(SPAN_LIT("a.b.seldon-mesh.pipeline.p.outputs"));
    check_int(t.kind, ==, KAFKA_TOPIC_OUTPUTS);
    check_int(t.resource, ==, OP_PIPELINE);
    check_span(t.name, "p");
    t = kafka_topic_guess(SPAN_LIT("seldon.default.errors.errors"));
    check_int(t.kind, ==, KAFKA_TOPIC_ERRORS);
    const char *const others[] = {"model.x.inputs",
                                  "a.model.x.inputs",
                                  "",
                                  "seldon.default.model.inputs",
                                  "a.b.model.x.in",
                                  "..."};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        check_int(kafka_topic_guess(span_str(others[i])).kind, ==, KAFKA_TOPIC_OTHER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_version_of_produce_is_read),
        cmocka_unit_test(a_record_that_is_fetched_too_is_told_once),
        cmocka_unit_test(topic_ids_are_told_by_metadata),
        cmocka_unit_test(topic_ids_are_told_by_batches_that_come_again),
        cmocka_unit_test(what_is_fetched_waits_for_the_name_of_its_topic),
        cmocka_unit_test(an_id_that_is_not_told_is_waited_for_once),
        cmocka_unit_test(the_like_in_two_topics_tells_no_id),
        cmocka_unit_test(a_batch_that_a_fetch_cuts_off_is_no_loss),
        cmocka_unit_test(tombstones_and_control_batches_are_passed_over),
        cmocka_unit_test(compressed_batches_are_read),
        cmocka_unit_test(messages_of_old_formats_are_read),
        cmocka_unit_test(a_batch_that_is_fetched_in_an_old_format_is_a_copy),
        cmocka_unit_test(what_cannot_be_read_is_opaque_with_its_reason),
        cmocka_unit_test(a_connection_joined_midway_is_read_from_the_next_frame),
        cmocka_unit_test(what_was_asked_for_before_the_capture_is_read_where_it_reads),
        cmocka_unit_test(a_gap_inside_a_frame_costs_that_frame),
        cmocka_unit_test(other_topics_and_apis_are_passed_by),
        cmocka_unit_test(sasl_in_frames_is_passed_by),
        cmocka_unit_test(sasl_tokens_outside_of_frames_are_opaque),
        cmocka_unit_test(tls_is_opaque),
        cmocka_unit_test(memory_is_bounded_and_what_is_let_go_is_counted),
        cmocka_unit_test(crc32c_gives_the_published_sums),
        cmocka_unit_test(topics_are_known_under_any_prefix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * fuzz_kafka_wire.c - any bytes of a connection to Kafka: each is accounted for after
 * every call, those of records exactly once, nothing stays charged; and any bytes as
 * compressed records.
 *
 * Input: a byte of options (1 midway, 2 little memory, 4 compressed records alone, by
 * the codec in bits 3 to 5), then as fuzz_h1_capture.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "capture/kafka_inflate.h"
#include "tests/fuzz/wire_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct heard {
    uint64_t sum, bytes[2];
};

static int hear(void *arg, enum cap_part part, struct cap_record *r, struct err *e)
{
    struct heard *h = arg;
    (void)e;
    for (int i = 0; i < 2; i++)
        h->bytes[r->wire[i].dir] += r->wire[i].bytes;
    wire_add(&h->sum, &part, sizeof part);
    wire_add(&h->sum, r->op.request.data.p, r->op.request.data.n);
    wire_add(&h->sum, r->op.response.data.p, r->op.response.data.n);
    wire_add(&h->sum, r->op.id.p, r->op.id.n);
    return 0;
}

struct rig {
    struct heard heard;
    struct cap_budget budget;
    struct cap_parse *parse;
    struct cap_kafka_join *join;
    struct cap_kwire_shared shared;
    struct cap_stream *stream;
    uint64_t seen[2];
};

static void check_records(const struct rig *r)
{
    const struct cap_kafka_counts *k = cap_kafka_join_counts(r->join);
    const struct cap_krecords_counts *n = cap_krecords_counts(r->shared.records);
    for (int dir = 0; dir < 2; dir++) {
        const struct cap_parse_counts *c = &cap_parse_totals(r->parse)->dir[dir];
        if (r->heard.bytes[dir] + k->pending_bytes[dir] + k->orphan_bytes[dir] +
                k->passed_bytes[dir] + k->refused_bytes[dir] + n->passed_bytes[dir] +
                n->held_bytes[dir] + n->opaque_bytes[dir] +
                r->shared.counts.unread_bytes[dir] !=
            c->record_bytes)
            abort();
    }
}

static void run_steps(struct rig *r, const uint8_t *data, size_t size, size_t piece)
{
    int64_t at = 0;
    for (size_t i = 1; i + 1 < size; at += CLK_SEC / 10) {
        uint8_t what = data[i];
        size_t n = data[i + 1];
        int dir = what & 1;
        i += 2;
        if ((what & 0xf0) == 0xf0) {
            cap_stream_gap(r->stream, dir, (struct clk_wall){at}, n + 1);
            continue;
        }
        n = n < size - i ? n : size - i;
        wire_give(r->stream, dir, at, span_of(data + i, n), piece, r->seen);
        check_records(r);
        i += n;
    }
    cap_stream_close(r->stream, (struct clk_wall){at}, CAP_END_FIN);
}

static uint64_t run(const uint8_t *data, size_t size, size_t piece, uint64_t *resyncs)
{
    struct rig r = {.budget = {.limit_bytes = data[0] & 2 ? 20000 : 1u << 28}};
    struct cap_parse_config config = {.exchange = wire_hear, .budget = &r.budget};
    struct cap_kafka_join_options join = {.take = hear,
                                          .arg = &r.heard,
                                          .answer_wait_ns = CLK_SEC,
                                          .memory_bytes = 10000};
    struct cap_flow_info info = {.from_start = !(data[0] & 1)};
    r.parse = cap_parse_new(&config, NULL);
    if (!r.parse || cap_kafka_join_new(&r.join, &join, NULL) < 0 ||
        cap_krecords_new(&r.shared.records, r.join, NULL) < 0)
        abort();
    r.stream = cap_stream_new_kafka(r.parse, &r.shared, &info);
    if (!r.stream)
        abort();
    run_steps(&r, data, size, piece);
    cap_krecords_flush(r.shared.records);
    if (cap_kafka_join_flush(r.join, NULL) < 0 || r.budget.used_bytes != 0)
        abort();
    check_records(&r);
    *resyncs = r.shared.counts.resyncs;
    cap_krecords_free(r.shared.records);
    cap_kafka_join_free(r.join);
    cap_parse_free(r.parse);
    return r.heard.sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 8192)
        return 0;
    if (data[0] & 4) {
        struct buf out = {0};
        cap_kafka_inflate(data[0] >> 3 & 7, span_of(data + 1, size - 1), &out);
        buf_done(&out);
        return 0;
    }
    uint64_t resyncs, other;
    uint64_t whole = run(data, size, 0, &resyncs);
    /* In sync from start to end, pieces tell the same. A search goes by where bytes end
     * as well. */
    if (!(data[0] & 3) && resyncs == 0 && whole != run(data, size, 1, &other))
        abort();
    return 0;
}

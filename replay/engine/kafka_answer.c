/*
 * kafka_answer.c - whose answer is this record, and what does it say: see kafka_own.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <librdkafka/rdkafka.h>
#include <stdio.h>

#include "replay/engine/kafka_own.h"
#include "replay/mark.h"
#include "traces/base/log.h"

#define TEXT_KEPT 160 /* of what a model says when it fails */

/* What a model or a broker said, once each. Not printable: shown as '?'. */
void rep_kafka_count_error(struct rep_kafka_engine *en, const char *who,
                           struct span name, struct span said)
{
    char text[REP_FAILURE_TEXT_MAX];
    int n = snprintf(text, sizeof text, "%s%s%.*s: ", who, name.n ? " " : "",
                     SPAN_ARG(name));
    size_t at = n > 0 && (size_t)n < sizeof text ? (size_t)n : 0;
    for (size_t i = 0; i < said.n && i < TEXT_KEPT && at + 1 < sizeof text; i++)
        text[at++] = (char)(said.p[i] >= ' ' && said.p[i] < 0x7f ? said.p[i] : '?');
    text[at] = 0;
    if (rep_failures_add(&en->k->counts.errors, text, 1))
        log_info("kafka", "first failure of its kind: %s", text);
}

/* The last value of a header, as Seldon Core's own readers take it; false: none. */
static bool header(const rd_kafka_message_t *m, const char *name, struct span *value)
{
    rd_kafka_headers_t *headers = NULL;
    const void *p;
    size_t n;
    *value = (struct span){0};
    if (rd_kafka_message_headers(m, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR ||
        rd_kafka_header_get_last(headers, name, &p, &n) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return false;
    *value = span_of(p, p ? n : 0);
    return true;
}

/* The id in a key of any style: no minted id has a dot in it. */
static bool index_of(const struct rep_kafka_engine *en, struct span key,
                     uint64_t *index)
{
    size_t at = key.n;
    while (at > 0 && key.p[at - 1] != '.')
        at--;
    return rep_mark_read(en->k->config.id_nonce, span_sub(key, at, key.n), index);
}

/* A record that the pipeline's engine passed on from step to step, or a step's error,
 * whose copy comes to the pipeline's own outputs: it says whose request it is of. */
static bool is_hop(const struct rep_kafka_source *s, const rd_kafka_message_t *m)
{
    struct span pipeline;
    if (!header(m, REP_KAFKA_PIPELINE_HEADER, &pipeline) || pipeline.n == 0)
        return false;
    return !s->route || !span_eq(pipeline, s->route->base.name);
}

/* Whether the call's answer has to come from there, under that key. */
static bool belongs(struct rep_kafka_engine *en, const struct rep_kafka_call *call,
                    const struct rep_kafka_source *s, struct span key)
{
    if (s->route ? s->route != call->route : call->route->base.resource != OP_MODEL)
        return false;
    rep_kafka_make_key(en, call);
    return span_eq(buf_view(&en->key), key);
}

static void look_at_marks(struct rep_request *r, const rd_kafka_message_t *m)
{
    rd_kafka_headers_t *headers = NULL;
    const void *p;
    size_t n;
    if (rd_kafka_message_headers(m, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return;
    for (size_t i = 0; rd_kafka_header_get(headers, i, REP_MARK_FIELD, &p, &n) ==
                       RD_KAFKA_RESP_ERR_NO_ERROR;
         i++)
        rep_mark_look(r, span_of(p, p ? n : 0));
}

/* What an answer says: its body without framing, or why it is none. */
static enum out_cause take_body(struct rep_kafka_engine *en, struct rep_request *r,
                                const rd_kafka_message_t *m)
{
    struct kafka_value v = kafka_value_of(span_of(m->payload, m->payload ? m->len : 0));
    if (m->len > en->base.config.answer_max)
        return OUT_TOO_BIG;
    r->out.bytes_in = v.body.n;
    if (!m->payload || v.framing == KAFKA_FRAMING_BROKEN)
        return OUT_GARBAGE;
    r->out.answer_hash = outcome_answer_hash(v.body);
    if (en->base.config.keep_answers) {
        buf_span(&r->answer, v.body);
        if (r->answer.failed) {
            en->base.stats.client_errors++;
            return OUT_TOO_BIG;
        }
    }
    return OUT_OK;
}

static void answered(struct rep_kafka_engine *en, struct rep_kafka_call *call,
                     const struct rep_kafka_source *s, const rd_kafka_message_t *m,
                     int64_t now)
{
    struct rep_request *r = call->r;
    struct span model;
    bool failed = header(m, REP_KAFKA_ERROR_HEADER, &model) || !s->route;
    r->out.first_ns = r->out.done_ns = now;
    look_at_marks(r, m);
    en->k->counts.answers++;
    if (!failed) {
        rep_kafka_finish(en, call, take_body(en, r, m));
        return;
    }
    en->k->counts.failures++;
    struct span said = span_of(m->payload, m->payload ? m->len : 0);
    rep_kafka_count_error(en, "model", model, said);
    r->out.bytes_in = said.n;
    if (said.n > 0)
        r->out.answer_hash = outcome_answer_hash(said);
    rep_kafka_finish(en, call, OUT_STATUS);
}

static void take_record(struct rep_kafka_engine *en, const rd_kafka_message_t *m,
                        int64_t now)
{
    const struct rep_kafka_source *s = rd_kafka_topic_opaque(m->rkt);
    struct rep_kafka_counts *counts = &en->k->counts;
    struct span key = span_of(m->key, m->key ? m->key_len : 0);
    struct rep_kafka_call *call;
    uint64_t index;

    if (!index_of(en, key, &index)) {
        counts->unknown++;
        return;
    }
    if (is_hop(s, m)) {
        counts->hops++;
        return;
    }
    switch (rep_kafka_calls_find(&en->calls, index, &call)) {
    case REP_KAFKA_UNDER_WAY:
        if (belongs(en, call, s, key))
            answered(en, call, s, m, now);
        else
            counts->unknown++;
        return;
    case REP_KAFKA_GIVEN_UP:
        counts->late++;
        rep_kafka_calls_forget(&en->calls, index);
        return;
    case REP_KAFKA_UNKNOWN:
        counts->again++;
    }
}

void rep_kafka_take_event(struct rep_kafka_engine *en, const rd_kafka_message_t *m,
                          int64_t now)
{
    struct rep_kafka_source *s = rd_kafka_topic_opaque(m->rkt);
    if (m->err && m->err != RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        en->k->counts.read_errors++;
        rep_kafka_count_error(en, "cannot read", span_str(rd_kafka_topic_name(m->rkt)),
                              span_str(rd_kafka_message_errstr(m)));
        return;
    }
    if (!s->at_end[m->partition]) {
        s->at_end[m->partition] = true;
        en->at_end++;
    }
    if (!m->err)
        take_record(en, m, now);
}

/*
 * kafka_session.c - see kafka_session.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "capture/kafka_session.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "traces/capture_notes.h"
#include "traces/payload/call_type.h"

#define ADVANCE_RECORDS 256u /* between looks at what is held */

struct session {
    const struct cap_kafka_session_config *c;
    struct cap_kafka_result *result;
    struct cap_kafka_source *source;
    struct cap_kafka_join *join;
    struct cap_redact *redact;
    struct cap_order *order;
    struct trc_writer *w;
    struct arena arena; /* of one operation */
    bool begun;
    struct clk_wall epoch, now; /* records' time; now never goes back */
    struct clk_mono now_read;
    uint32_t since_advance;
    struct err *e;
};

/* --- operations ------------------------------------------------------------------- */

static bool is_json(struct span body)
{
    return body.n && body.p[0] == '{';
}

static struct span type_of(struct session *s, const struct cap_record *r)
{
    struct span body = r->op.request.data;
    if (r->stream.resource != OP_MODEL || r->op.request.state != OP_BODY_KEPT)
        return (struct span){0};
    const struct model_type *type = call_type_of(
        r->stream.name, is_json(body) ? OP_REST : OP_GRPC, body, &s->arena);
    return span_str(type ? type->name : NULL);
}

static int take(void *arg, enum cap_part part, struct cap_record *r, struct err *e)
{
    struct session *s = arg;
    struct cap_exchange none = {.grpc = !is_json(r->op.response.data)};
    arena_reset(&s->arena);
    if (part == CAP_PART_ANSWER) {
        int rc = cap_redact_answer(s->redact, &none, &r->op, &s->arena, e);
        return rc < 0 ? rc
                      : cap_order_answer(s->order, r->op.connection, r->op.conn_stream,
                                         &r->op, NULL, NULL, e);
    }
    r->stream.model_type = type_of(s, r);
    int rc = cap_redact_record(s->redact, &none, r, &s->arena, e);
    if (rc == 0)
        rc = cap_order_add(s->order, r, part == CAP_PART_REQUEST, e);
    s->result->recorded += rc == 1;
    s->result->shed += rc == 0;
    return rc;
}

/* --- the trace -------------------------------------------------------------------- */

static int note(struct session *s, int rc, const char *key, struct buf *text)
{
    if (rc == 0)
        rc = buf_check(text, s->e);
    if (rc == 0)
        rc = trc_writer_note(s->w, key, buf_text(text), s->e);
    buf_reset(text);
    return rc;
}

static int note_start(struct session *s)
{
    const struct cap_kafka_config *k = &s->c->source;
    struct buf text = {0};
    uint64_t h[2];
    char key[17];
    buf_str(&text, REPRISE_VERSION);
    int rc = note(s, 0, "tool.version", &text);
    buf_str(&text, "capture");
    rc = note(s, rc, "tool.command", &text);
    buf_fmt(&text, "kafka topics %s.%s.*, from %s", k->prefix, k->name_space, k->from);
    rc = note(s, rc, NOTE_CAPTURE_SOURCE, &text);
    cap_redact_describe(s->redact, &text);
    op_body_hash(buf_view(&text), h);
    rc = note(s, rc, NOTE_REDACTION, &text);
    buf_fmt(&text, "%016" PRIx64 "%016" PRIx64, h[1], h[0]);
    rc = note(s, rc, NOTE_REDACTION_HASH, &text);
    cap_redact_key_text(s->redact, key);
    buf_str(&text, key);
    if (*key)
        rc = note(s, rc, NOTE_REDACTION_KEY, &text);
    buf_done(&text);
    return rc;
}

static int begin(struct session *s, struct clk_wall epoch)
{
    struct trc_options options = {.kind = TRC_TRACE,
                                  .resolution_ns = CAP_KAFKA_RESOLUTION_NS,
                                  .epoch_wall_ns = epoch.ns};
    struct cap_order_options order = {.epoch = epoch,
                                      .hold_ns = s->c->hold_ns,
                                      .memory_bytes = s->c->memory_bytes / 2};
    struct cap_kafka_join_options join = {.take = take,
                                          .arg = s,
                                          .answer_wait_ns = s->c->answer_wait_ns,
                                          .memory_bytes = s->c->memory_bytes / 2};
    if (!s->c->source.until_end || strcmp(s->c->out, "-") == 0)
        options.flush_ns = s->c->flush_ns;
    s->begun = true;
    s->epoch = s->now = epoch;
    int rc = trc_writer_open(&s->w, s->c->out, &options, s->e);
    if (rc == 0)
        rc = note_start(s);
    if (rc == 0)
        rc = cap_order_new(&s->order, s->w, &order, s->e);
    return rc == 0 ? cap_kafka_join_new(&s->join, &join, s->e) : rc;
}

/* --- records ---------------------------------------------------------------------- */

static int advance(struct session *s)
{
    s->since_advance = 0;
    int rc = cap_kafka_join_time(s->join, s->now, s->e);
    if (rc == 0)
        rc = cap_order_advance(s->order, s->now, cap_kafka_join_oldest(s->join, s->now),
                               s->e);
    return rc == 0 ? trc_writer_tick(s->w, s->e) : rc;
}

static int on_record(struct session *s, const struct cap_kafka_record *r)
{
    bool timed = r->clock != CAP_KAFKA_CLOCK_NONE;
    int rc = s->begun ? 0 : begin(s, timed ? r->at : clk_wall_now(clk_system()));
    if (rc < 0)
        return rc;
    if (timed && r->at.ns > s->now.ns)
        s->now = r->at;
    s->now_read = clk_mono_now(clk_system());
    rc = cap_kafka_join_add(s->join, r, s->e);
    if (rc == 0 && ++s->since_advance >= ADVANCE_RECORDS)
        rc = advance(s);
    return rc;
}

/* Nothing came: live, records' time passes as the real one does. */
static int on_quiet(struct session *s)
{
    if (!s->begun || s->c->source.until_end)
        return 0;
    struct clk_mono now = clk_mono_now(clk_system());
    s->now.ns += clk_mono_diff(now, s->now_read);
    s->now_read = now;
    return advance(s);
}

static bool over(struct session *s)
{
    if (s->c->interrupts && *s->c->interrupts > 0)
        s->result->interrupted = true;
    return s->result->interrupted || (s->begun && s->c->duration_ns > 0 &&
                                      s->now.ns - s->epoch.ns >= s->c->duration_ns);
}

static int read_records(struct session *s)
{
    int rc = 0;
    while (rc == 0 && !over(s)) {
        struct cap_kafka_record r;
        int event = cap_kafka_next(s->source, &r, s->e);
        if (event <= CAP_KAFKA_END)
            return event;
        rc = event == CAP_KAFKA_RECORD ? on_record(s, &r) : on_quiet(s);
    }
    return rc;
}

/* --- the end ---------------------------------------------------------------------- */

static void take_counts(struct session *s)
{
    struct cap_kafka_result *r = s->result;
    if (s->join)
        r->counts = *cap_kafka_join_counts(s->join);
    if (s->source)
        r->reads = *cap_kafka_reads(s->source);
    if (s->order)
        r->order = *cap_order_counts(s->order);
    if (s->redact)
        r->redact = *cap_redact_counts(s->redact);
    r->span_ns = s->begun ? s->now.ns - s->epoch.ns : 0;
}

bool cap_kafka_share(const struct cap_kafka_result *r, double *share)
{
    if (r->counts.inputs > 0)
        *share = (double)r->recorded / (double)r->counts.inputs;
    return r->counts.inputs > 0;
}

struct row {
    const char *name;
    uint64_t value;
};
#define ROWS_MAX 32

static size_t rows_of(const struct cap_kafka_result *r, struct row rows[ROWS_MAX])
{
    const struct cap_kafka_counts *t = &r->counts;
    const struct row all[] = {
        {"topics", r->reads.topics},
        {"partitions", r->reads.partitions},
        {"partitions_not_read", r->reads.partitions_new},
        {"silences", r->reads.silences},
        {"offsets_deleted", r->reads.offsets_skipped},
        {"offsets_empty", r->reads.offsets_empty},
        {"headers_left_out", r->reads.headers_left_out},
        {"bytes", r->reads.bytes},
        {"records", t->records},
        {"inputs", t->inputs},
        {"outputs", t->outputs},
        {"errors", t->errors},
        {"tombstones", t->tombstones},
        {"recorded", r->recorded},
        {"shed", r->shed},
        {"untimed", t->untimed},
        {"refused", t->refused},
        {"answered", t->answered},
        {"failed", t->failed},
        {"unanswered", r->counts.told - t->answered},
        {"without_key", t->keyless},
        {"forgotten", t->forgotten},
        {"keys_repeated", t->repeated},
        {"duplicate_answers", t->duplicates},
        {"unmatched_answers", t->unmatched},
        {"answers_before_requests", t->backwards},
        {"framed", t->framed},
        {"framing_broken", t->broken_framing},
        {"create_time", t->clocks[CAP_KAFKA_CLOCK_CREATE]},
        {"log_append_time", t->clocks[CAP_KAFKA_CLOCK_APPEND]},
    };
    _Static_assert(sizeof all / sizeof *all <= ROWS_MAX, "rows fit");
    memcpy(rows, all, sizeof all);
    return sizeof all / sizeof *all;
}

static const char *clock_text(const struct cap_kafka_result *r)
{
    bool create = r->counts.clocks[CAP_KAFKA_CLOCK_CREATE] > 0;
    bool append = r->counts.clocks[CAP_KAFKA_CLOCK_APPEND] > 0;
    if (create && append)
        return "CreateTime and LogAppendTime, 1 ms";
    return create ? "CreateTime, 1 ms" : append ? "LogAppendTime, 1 ms" : "none";
}

static void sentence(const struct cap_kafka_result *r, struct buf *out)
{
    buf_fmt(out, "%" PRIu64 " of %" PRIu64 " requests in %u partitions of %u topics",
            r->recorded, r->counts.inputs, r->reads.partitions, r->reads.topics);
    if (r->reads.partitions_new > 0)
        buf_fmt(out, "; %u partitions that appeared later were not read",
                r->reads.partitions_new);
    if (r->reads.offsets_skipped > 0)
        buf_fmt(out, "; %" PRIu64 " records had been deleted before",
                r->reads.offsets_skipped);
}

static int note_end(struct session *s, const char *why)
{
    const struct cap_kafka_result *r = s->result;
    struct buf text = {0};
    struct row rows[ROWS_MAX];
    char key[64];
    double share;
    size_t n = rows_of(r, rows);
    sentence(r, &text);
    int rc = note(s, 0, NOTE_COVERAGE, &text);
    if (cap_kafka_share(r, &share)) {
        /* Rounding must not make whole what is not. */
        buf_fmt(&text, "%.9f", share < 1 && share > 0.999999999 ? 0.999999999 : share);
        rc = note(s, rc, NOTE_COVERAGE_SHARE, &text);
    }
    for (size_t i = 0; i < n; i++) {
        snprintf(key, sizeof key, NOTE_COVERAGE_PREFIX "kafka.%s", rows[i].name);
        buf_fmt(&text, "%" PRIu64, rows[i].value);
        rc = note(s, rc, key, &text);
    }
    buf_str(&text, clock_text(r));
    rc = note(s, rc, NOTE_CAPTURE_CLOCK, &text);
    if (why) {
        buf_str(&text, why);
        rc = note(s, rc, NOTE_CAPTURE_STOPPED, &text);
    }
    buf_done(&text);
    return rc;
}

static int finish(struct session *s, const char *why)
{
    int rc = cap_kafka_join_flush(s->join, s->e);
    if (rc == 0)
        rc = cap_order_flush(s->order, s->e);
    take_counts(s);
    if (rc == 0)
        rc = note_end(s, why);
    if (rc == 0) {
        rc = trc_writer_close(s->w, s->e);
        s->w = NULL;
    }
    s->result->closed = rc == 0;
    return rc;
}

static void release(struct session *s)
{
    cap_kafka_join_free(s->join);
    cap_order_free(s->order);
    trc_writer_abandon(s->w);
    cap_redact_free(s->redact);
    cap_kafka_close(s->source);
    arena_done(&s->arena);
}

int cap_kafka_session_run(const struct cap_kafka_session_config *config,
                          struct cap_kafka_result *result, struct err *e)
{
    struct err own = {0}, read_err = {0};
    struct session s = {.c = config, .result = result, .e = &own};
    *result = (struct cap_kafka_result){0};
    int rc = cap_redact_new(&s.redact, &config->redact, &own), read_rc = 0;
    if (rc == 0)
        rc = cap_kafka_open(&s.source, &config->source, &own);
    if (rc == 0) {
        read_rc = read_records(&s);
        read_err = own;
        own = (struct err){0};
        if (!s.begun && read_rc == 0) /* no record still makes a trace, of nothing */
            rc = begin(&s, clk_wall_now(clk_system()));
        if (rc == 0 && s.join)
            rc = finish(&s, result->interrupted ? "by a signal"
                            : read_rc < 0       ? "the brokers could not be read on"
                                                : NULL);
    }
    take_counts(&s);
    if (read_rc < 0) { /* the cause of what failed after it */
        own = read_err;
        rc = read_rc;
    } else if (rc == 0 && result->interrupted) {
        rc = err_set(&own, ERR_STOPPED,
                     "stopped by a signal; the trace is whole up to there");
    }
    release(&s);
    if (rc < 0 && e && e->code == ERR_OK)
        *e = own;
    return rc;
}

/* --- summaries -------------------------------------------------------------------- */

void cap_kafka_text(const struct cap_kafka_result *r, struct buf *out)
{
    const struct cap_kafka_counts *t = &r->counts;
    buf_str(out, "  coverage    ");
    sentence(r, out);
    buf_fmt(out,
            "\n  answers     %" PRIu64 ", %" PRIu64 " of them errors; %" PRIu64
            " requests without one\n",
            t->answered, t->failed, t->told - t->answered);
    if (t->unmatched + t->duplicates + t->repeated > 0)
        buf_fmt(out,
                "  keys        %" PRIu64
                " answers to no request that was read, %" PRIu64 " duplicates; %" PRIu64
                " requests repeat a key\n",
                t->unmatched, t->duplicates, t->repeated);
    if (t->untimed + t->refused + r->shed > 0)
        buf_fmt(out,
                "  lost        %" PRIu64 " without a time, %" PRIu64
                " with a name that does not fit, %" PRIu64 " for lack of memory\n",
                t->untimed, t->refused, r->shed);
    buf_fmt(out, "  times       %s", clock_text(r));
    if (t->backwards > 0)
        buf_fmt(out, "; %" PRIu64 " answers older than their requests", t->backwards);
    buf_str(out, "\n");
}

void cap_kafka_json(const struct cap_kafka_result *r, struct jsonw *w)
{
    struct row rows[ROWS_MAX];
    size_t n = rows_of(r, rows);
    double share;
    if (cap_kafka_share(r, &share))
        jsonw_key_f64(w, "coverage", share);
    jsonw_key_str(w, "clock", clock_text(r));
    jsonw_key(w, "kafka");
    jsonw_object(w);
    for (size_t i = 0; i < n; i++)
        jsonw_key_u64(w, rows[i].name, rows[i].value);
    jsonw_end(w);
}

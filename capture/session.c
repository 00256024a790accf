/*
 * session.c - see session.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "capture/session.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "capture/recorder.h"
#include "capture/stream.h"
#include "traces/capture_notes.h"

#define ADVANCE_NS      (2 * CLK_MS) /* of packet time between looks at what is held */
#define DRAIN_MOST_NS   (20 * CLK_SEC) /* that a signal waits for a ring to be read */
#define ADVANCE_PACKETS 512u
#define PLAIN_FROM      (16u << 10) /* bytes of a body that is stored, see COVERAGE.md */
/* Of memory: all that order may hold; what it holds for certainty's sake, in the cache;
 * what it holds at all before it goes on without; how much more asks for a look. */
#define ORDER_SHARE   4
#define HOLD_SHARE    32
#define LAST_SHARE    16
#define ADVANCE_SHARE 128
#define LOOK_PACKETS  256u /* between looks at the real clock */
#define SLACK_LIVE_NS (20 * CLK_MS)
#define SLACK_FILE_NS (200 * CLK_MS)

struct session {
    const struct cap_session_config *c;
    struct cap_session_result *result;
    struct cap_source *source;
    struct cap_link *link;
    struct cap_flows *flows;
    struct cap_parse *parse;
    struct cap_budget budget;
    struct cap_spare spares;
    struct cap_redact *redact;
    struct cap_order *order;
    struct cap_recorder *recorder;
    struct cap_kafka_join *join;
    struct cap_kwire_shared kafka;
    struct trc_writer *w;
    struct clk_mono opened; /* when the source was */
    bool begun;
    struct clk_wall epoch, now; /* packet time; now never goes back */
    struct clk_mono now_read;   /* when `now` was last moved by a packet */
    struct clk_wall advanced;
    size_t held_advance; /* held bytes that ask for the next look */
    uint32_t since_advance, since_look;
    struct clk_mono progress_due;
    struct clk_wall asked; /* when a signal asked for the end, */
    struct clk_mono asked_mono;
    int64_t second; /* the account's, since the epoch */
    struct err *e;  /* of the run */
};

/* --- connections ------------------------------------------------------------------ */

static bool is_kafka(void *arg, const struct cap_flow_info *info)
{
    const struct session *s = arg;
    return cap_tiers_find(&s->c->tiers, &info->client, &info->server) == OP_TIER_KAFKA;
}

/* --- the trace -------------------------------------------------------------------- */

static int note(struct session *s, const char *key, struct buf *text)
{
    int rc = buf_check(text, s->e);
    if (rc == 0)
        rc = trc_writer_note(s->w, key, buf_text(text), s->e);
    buf_reset(text);
    return rc;
}

static int note_start(struct session *s)
{
    struct buf text = {0};
    uint64_t h[2];
    char key[17];
    const char *file = s->c->interface ? "" : s->c->files[0];
    const char *slash = strrchr(file, '/');
    buf_str(&text, REPRISE_VERSION);
    int rc = note(s, "tool.version", &text);
    buf_str(&text, "capture");
    if (rc == 0)
        rc = note(s, "tool.command", &text);
    if (s->c->interface)
        buf_fmt(&text, "interface %s", s->c->interface);
    else if (strcmp(file, "-") == 0)
        buf_str(&text, "standard input");
    else
        buf_fmt(&text, "file %s", slash ? slash + 1 : file);
    if (s->c->file_count > 1)
        buf_fmt(&text, " and %zu more", s->c->file_count - 1);
    if (rc == 0)
        rc = note(s, NOTE_CAPTURE_SOURCE, &text);
    buf_str(&text, s->c->map);
    if (rc == 0)
        rc = note(s, NOTE_CAPTURE_MAP, &text);
    buf_fmt(&text, "%" PRId64, s->epoch.ns);
    if (rc == 0)
        rc = note(s, NOTE_CAPTURE_EPOCH, &text);
    cap_redact_describe(s->redact, &text);
    op_body_hash(buf_view(&text), h);
    if (rc == 0)
        rc = note(s, NOTE_REDACTION, &text);
    buf_fmt(&text, "%016" PRIx64 "%016" PRIx64, h[1], h[0]);
    if (rc == 0)
        rc = note(s, NOTE_REDACTION_HASH, &text);
    cap_redact_key_text(s->redact, key);
    buf_str(&text, key);
    if (rc == 0 && *key)
        rc = note(s, NOTE_REDACTION_KEY, &text);
    buf_done(&text);
    return rc;
}

/* Opens the trace whose arrival 0 is `epoch`. */
static int begin(struct session *s, struct clk_wall epoch)
{
    struct trc_options options = {.kind = TRC_TRACE,
                                  .epoch_wall_ns = epoch.ns,
                                  .level = s->c->store ? TRC_LEVEL_STORE : 0,
                                  .plain_from = s->c->compress ? 0 : PLAIN_FROM,
                                  .trust_hashes = true};
    struct cap_order_options order = {.spares = &s->spares,
                                      .epoch = epoch,
                                      .hold_ns = s->c->hold_ns,
                                      .memory_bytes = s->c->memory_bytes / ORDER_SHARE};
    if (s->c->interface || strcmp(s->c->out, "-") == 0)
        options.flush_ns = s->c->flush_ns;
    s->begun = true;
    s->epoch = s->now = s->advanced = epoch;
    int rc = trc_writer_open(&s->w, s->c->out, &options, s->e);
    if (rc == 0)
        rc = note_start(s);
    if (rc == 0)
        rc = cap_order_new(&s->order, s->w, &order, s->e);
    if (rc == 0)
        rc = cap_recorder_new(&s->recorder, &s->c->tiers, s->redact, s->order, s->e);
    if (rc < 0)
        return rc;
    struct cap_parse_config parse = {.exchange = cap_recorder_take,
                                     .arg = s->recorder,
                                     .is_kafka = is_kafka,
                                     .is_kafka_arg = s,
                                     .kafka = &s->kafka,
                                     .budget = &s->budget,
                                     .spares = &s->spares,
                                     .unanswered_ns = s->c->answer_wait_ns};
    s->budget.limit_bytes = s->c->memory_bytes / 4;
    if (s->c->memory_bytes / 8 < CAP_SPARE_BYTES)
        s->spares.limit = s->c->memory_bytes / 8;
    s->parse = cap_parse_new(&parse, s->e);
    if (!s->parse)
        return s->e->code;
    struct cap_kafka_join_options join = {.take = cap_recorder_kafka,
                                          .arg = s->recorder,
                                          .answer_wait_ns = s->c->answer_wait_ns,
                                          .memory_bytes = s->c->memory_bytes / 8};
    rc = cap_kafka_join_new(&s->join, &join, s->e);
    if (rc == 0)
        rc = cap_krecords_new(&s->kafka.records, s->join, s->e);
    if (rc < 0)
        return rc;
    struct cap_flow_sink sink = cap_stream_sink(s->parse);
    uint16_t ports[CAP_TIERS_MAX];
    size_t n = cap_tiers_ports(&s->c->tiers, ports);
    s->flows = cap_flows_new(&sink, ports, n, s->e);
    return s->flows ? 0 : s->e->code;
}

/* --- time ------------------------------------------------------------------------- */

static struct cap_parts parts_now(struct session *s)
{
    return (struct cap_parts){
        .tallies = s->recorder ? cap_recorder_tallies(s->recorder) : NULL,
        .flows = s->flows ? cap_flows_totals(s->flows) : NULL,
        .parse = s->parse ? cap_parse_totals(s->parse) : NULL,
        .order = s->order ? cap_order_counts(s->order) : NULL,
        .link = s->link ? cap_link_counts(s->link) : NULL,
        .source = s->source ? cap_source_counts(s->source) : NULL,
        .kwire = &s->kafka.counts,
        .krecords = s->kafka.records ? cap_krecords_counts(s->kafka.records) : NULL,
        .kafka = s->join ? cap_kafka_join_counts(s->join) : NULL,
    };
}

/* Up to when every arrival is known: not beyond the oldest request that is being read,
 * nor into the time that a head may take to be whole, and that a hole in some
 * connection may hold its bytes back. */
static struct clk_wall certain_until(const struct session *s, struct clk_wall oldest)
{
    const struct cap_flow_totals *t = cap_flows_totals(s->flows);
    int64_t slack = s->c->interface ? SLACK_LIVE_NS : SLACK_FILE_NS;
    if (t->dir[0].held_bytes + t->waiting_bytes > 0)
        slack = CAP_FLOW_GAP_NS;
    if (oldest.ns > s->now.ns - slack)
        oldest.ns = s->now.ns - slack;
    return oldest;
}

/* Writes what need not wait. Beyond so much memory order makes do with the requests
 * that are being read: the earliest go. Beyond more a request that is slow to come does
 * not hold them back either: it is written later than it arrived, and counted as moved,
 * where else bodies would be shed (order.h, from a half of its memory on). */
static int write_certain(struct session *s)
{
    struct clk_wall oldest = cap_krecords_oldest(
        s->kafka.records,
        cap_kafka_join_oldest(s->join, cap_parse_oldest(s->parse, s->now)));
    int rc = cap_order_advance(s->order, s->now, certain_until(s, oldest), s->e);
    if (rc == 0)
        rc = cap_order_ease(s->order, oldest, s->c->memory_bytes / HOLD_SHARE, s->e);
    if (rc == 0)
        rc = cap_order_ease(s->order, (struct clk_wall){INT64_MAX},
                            s->c->memory_bytes / LAST_SHARE, s->e);
    s->held_advance =
        cap_order_counts(s->order)->held_bytes + s->c->memory_bytes / ADVANCE_SHARE;
    return rc;
}

static int advance(struct session *s)
{
    s->advanced = s->now;
    s->since_advance = 0;
    int64_t second = (s->now.ns - s->epoch.ns) / CLK_SEC;
    if (second != s->second) {
        struct cap_parts parts = parts_now(s);
        cap_series_add(&s->result->series, &parts, s->second * CLK_SEC);
        s->second = second;
    }
    cap_parse_time(s->parse, s->now);
    cap_krecords_time(s->kafka.records, s->now);
    int rc = cap_recorder_check(s->recorder, s->e);
    if (rc == 0)
        rc = cap_krecords_check(s->kafka.records, s->e);
    if (rc == 0)
        rc = cap_kafka_join_time(s->join, s->now, s->e);
    if (rc == 0)
        rc = write_certain(s);
    if (rc == 0)
        rc = trc_writer_tick(s->w, s->e);
    return rc;
}

static void look(struct session *s)
{
    struct clk_mono now = clk_mono_now(clk_system());
    s->since_look = 0;
    if (!s->c->progress || now.ns < s->progress_due.ns)
        return;
    struct cap_parts parts = parts_now(s);
    s->c->progress(s->c->progress_arg, &parts, s->now.ns - s->epoch.ns);
    s->progress_due = clk_mono_add(now, CLK_SEC);
}

static int on_packet(struct session *s, const struct cap_packet *p)
{
    struct cap_segment seg;
    int rc = s->begun ? 0 : begin(s, p->at);
    if (rc < 0)
        return rc;
    if (p->at.ns > s->now.ns)
        s->now = p->at;
    if (s->c->interface)
        s->now_read = clk_mono_now(clk_system());
    if (cap_link_decode(s->link, p, &seg) == CAP_SEEN_SEGMENT)
        cap_flows_segment(s->flows, &seg);
    if (++s->since_look >= LOOK_PACKETS)
        look(s);
    if (++s->since_advance >= ADVANCE_PACKETS ||
        cap_order_counts(s->order)->held_bytes >= s->held_advance ||
        s->now.ns - s->advanced.ns >= ADVANCE_NS)
        rc = advance(s);
    return rc;
}

/* A live source had nothing: packet time passes as the real one does. */
static int on_quiet(struct session *s)
{
    look(s);
    if (!s->begun)
        return 0;
    struct clk_mono now = clk_mono_now(clk_system());
    s->now.ns += clk_mono_diff(now, s->now_read);
    s->now_read = now;
    cap_flows_time(s->flows, s->now);
    return advance(s);
}

/* --- the run ---------------------------------------------------------------------- */

static int open_source(struct session *s)
{
    const struct cap_session_config *c = s->c;
    uint16_t ports[CAP_TIERS_MAX];
    struct cap_live live = {.interface = c->interface,
                            .ports = ports,
                            .port_count = cap_tiers_ports(&c->tiers, ports),
                            .ring_bytes = c->ring_bytes,
                            .user = c->user};
    if (c->interface)
        return cap_source_open_live(&s->source, &live, s->e);
    return cap_source_open_list(&s->source, c->files, c->file_count, s->e);
}

/* A signal ends a file at once, and a live capture once what had come by then is read:
 * on a busy machine that stands in the ring for a while. */
static bool over(struct session *s)
{
    if (s->c->interrupts && *s->c->interrupts > 0 && !s->result->interrupted) {
        s->result->interrupted = true;
        s->asked = clk_wall_now(clk_system());
        s->asked_mono = clk_mono_now(clk_system());
    }
    if (s->result->interrupted && !s->c->interface)
        return true;
    if (s->c->duration_ns <= 0)
        return false;
    if (s->begun)
        return s->now.ns - s->epoch.ns >= s->c->duration_ns;
    return s->c->interface &&
           clk_mono_diff(clk_mono_now(clk_system()), s->opened) >= s->c->duration_ns;
}

/* Whether an event is behind all that a signal's capture holds. */
static bool drained(const struct session *s, int event, const struct cap_packet *p)
{
    if (!s->result->interrupted)
        return false;
    int64_t since = clk_mono_diff(clk_mono_now(clk_system()), s->asked_mono);
    return event == CAP_SOURCE_PACKET ? p->at.ns > s->asked.ns || since > DRAIN_MOST_NS
                                      : since >= CAP_LIVE_WAIT_MS * CLK_MS;
}

/* 0: the end was reached, or asked for. */
static int read_packets(struct session *s)
{
    int rc = 0;
    while (rc == 0 && !over(s)) {
        struct cap_packet p;
        int event = cap_source_next(s->source, &p, s->e);
        if (event <= CAP_SOURCE_END)
            return event;
        if (drained(s, event, &p))
            return 0;
        rc = event == CAP_SOURCE_PACKET ? on_packet(s, &p) : on_quiet(s);
    }
    return rc;
}

static bool input_damaged(int rc)
{
    return rc == ERR_TRUNCATED || rc == ERR_FORMAT || rc == ERR_LIMIT;
}

static const char *why_stopped(const struct session *s, int rc)
{
    if (s->result->interrupted)
        return "by a signal";
    return input_damaged(rc) ? "the input is damaged or cut off" : NULL;
}

/* Ends every part in the order of the path, and closes the trace. */
static int finish(struct session *s, int read_rc)
{
    struct cap_session_result *r = s->result;
    cap_flows_end(s->flows);
    cap_krecords_flush(s->kafka.records);
    int rc = cap_recorder_check(s->recorder, s->e);
    if (rc == 0)
        rc = cap_krecords_check(s->kafka.records, s->e);
    if (rc == 0)
        rc = cap_kafka_join_flush(s->join, s->e);
    if (rc == 0)
        rc = cap_order_flush(s->order, s->e);
    struct cap_parts parts = parts_now(s);
    cap_series_add(&r->series, &parts, s->second * CLK_SEC);
    if (rc == 0)
        rc = cap_account_note(&parts, &r->series, s->w, s->e);
    if (rc == 0)
        rc = cap_recorder_note(s->recorder, s->w, s->e);
    const char *why = why_stopped(s, read_rc);
    if (rc == 0 && why)
        rc = trc_writer_note(s->w, NOTE_CAPTURE_STOPPED, why, s->e);
    if (rc == 0) {
        rc = trc_writer_close(s->w, s->e);
        s->w = NULL;
    }
    r->closed = rc == 0;
    return rc;
}

static void take_results(struct session *s)
{
    struct cap_session_result *r = s->result;
    struct cap_parts p = parts_now(s);
    if (p.tallies)
        r->tallies = *p.tallies;
    if (p.flows)
        r->flows = *p.flows;
    if (p.parse)
        r->parse = *p.parse;
    if (p.order)
        r->order = *p.order;
    if (p.link)
        r->link = *p.link;
    if (p.source)
        r->source = *p.source;
    if (s->redact)
        r->redact = *cap_redact_counts(s->redact);
    if (p.kwire)
        r->kwire = *p.kwire;
    if (p.krecords)
        r->krecords = *p.krecords;
    if (p.kafka)
        r->kafka = *p.kafka;
    r->parts =
        (struct cap_parts){&r->tallies, &r->flows, &r->parse,    &r->order, &r->link,
                           &r->source,  &r->kwire, &r->krecords, &r->kafka};
    r->span_ns = s->begun ? s->now.ns - s->epoch.ns : 0;
}

static void release(struct session *s)
{
    cap_flows_free(s->flows);
    cap_parse_free(s->parse);
    cap_krecords_free(s->kafka.records);
    cap_kafka_join_free(s->join);
    cap_recorder_free(s->recorder);
    cap_order_free(s->order);
    cap_spare_done(&s->spares);
    trc_writer_abandon(s->w);
    cap_redact_free(s->redact);
    cap_link_free(s->link);
    cap_source_close(s->source);
}

/* What failed while packets were read is the cause of what failed after it, but for a
 * damaged input, which does not keep the trace from being closed. */
static int outcome(struct session *s, int read_rc, const struct err *read_err, int rc)
{
    if (rc < 0 && (read_rc == 0 || input_damaged(read_rc)))
        return rc;
    if (read_rc < 0) {
        *s->e = *read_err;
        return read_rc;
    }
    if (s->result->interrupted)
        return err_set(s->e, ERR_STOPPED,
                       "stopped by a signal; the trace is whole up to there");
    return 0;
}

int cap_session_run(const struct cap_session_config *config,
                    struct cap_session_result *result, struct err *e)
{
    struct err own = {0}, read_err = {0};
    struct session s = {.c = config, .result = result, .e = &own};
    *result = (struct cap_session_result){0};
    int rc = cap_redact_new(&s.redact, &config->redact, &own), read_rc = 0;
    if (rc == 0)
        rc = open_source(&s);
    if (rc == 0) {
        s.link = cap_link_new(&own);
        rc = s.link ? 0 : own.code;
    }
    if (rc == 0) {
        s.opened = clk_mono_now(clk_system());
        read_rc = read_packets(&s);
        read_err = own;
        own = (struct err){0};
        /* An input without a packet still makes a trace, of nothing. */
        if (!s.begun && (read_rc == 0 || read_rc == ERR_TRUNCATED))
            rc = begin(&s, !config->interface ? (struct clk_wall){0}
                                              : clk_wall_now(clk_system()));
        if (rc == 0 && s.flows)
            rc = finish(&s, read_rc);
    }
    take_results(&s);
    rc = outcome(&s, read_rc, &read_err, rc);
    release(&s);
    if (rc < 0 && e && e->code == ERR_OK)
        *e = own;
    return rc;
}

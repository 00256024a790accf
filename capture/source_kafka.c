/*
 * source_kafka.c - see source_kafka.h. librdkafka's simple consumer, one queue for each
 * partition, merged by time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "capture/source_kafka.h"

#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "traces/base/buf.h"
#include "traces/base/log.h"
#include "traces/base/units.h"
#include "traces/wire/kafka_conf.h"

#define IDLE_POLL_NS (5 * CLK_MS)
#define LOOK_NS      (30 * CLK_SEC) /* between looks for new partitions */

/* What is asked of each partition at the start: its first offset, the one behind its
 * last, and the first whose record is not older than a time. */
enum place { FIRST, END, OF_TIME, PLACE_COUNT };

struct part {
    rd_kafka_topic_t *topic; /* owned by the source's list */
    struct kafka_topic what; /* borrows from the topic's name */
    int32_t number;
    int64_t found[PLACE_COUNT];
    int64_t next;  /* offset that is expected */
    int64_t until; /* to be read up to, exclusive; -1: without end */
    rd_kafka_message_t *head;
    bool started, at_end, over;
    struct clk_mono heard, poll_due;
};

struct cap_kafka_source {
    rd_kafka_t *rk;
    rd_kafka_topic_t **topics;
    struct part *parts;
    struct buf prefix, name_space;
    rd_kafka_message_t *given;
    struct op_header headers[CAP_KAFKA_HEADERS_MAX];
    struct buf names; /* of headers, in lower case */
    struct cap_kafka_reads reads;
    struct clk_mono look_due;
    int64_t wait_ns;
    bool live;
    uint32_t known;    /* partitions at the last look */
    char trouble[160]; /* what librdkafka said last */
};

/* --- configuration ---------------------------------------------------------------- */

static void on_error(rd_kafka_t *rk, int code, const char *reason, void *opaque)
{
    struct cap_kafka_source *s = opaque;
    (void)rk;
    snprintf(s->trouble, sizeof s->trouble, "%s: %s",
             rd_kafka_err2str((rd_kafka_resp_err_t)code), reason);
    log_debug("kafka", "%s", s->trouble);
}

static void on_log(const rd_kafka_t *rk, int level, const char *facility,
                   const char *text)
{
    (void)rk;
    (void)level;
    log_debug("kafka", "%s: %s", facility, text);
}

static int connect_to(struct cap_kafka_source *s, const struct cap_kafka_config *c,
                      struct err *e)
{
    static const char *const fixed[][2] = {
        {"client.id", "reprise-capture"},
        {"enable.partition.eof", "true"},
        {"enable.auto.commit", "false"},
        {"enable.auto.offset.store", "false"},
        {"auto.offset.reset", "error"},
        {"allow.auto.create.topics", "false"},
        {"queued.max.messages.kbytes", "4096"},
        {"queued.min.messages", "10000"},
        {"fetch.wait.max.ms", "100"},
        {"receive.message.max.bytes", "1073741824"},
    };
    char why[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    int rc = kafka_conf_set(conf, "bootstrap.servers", c->brokers, e);
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed && rc == 0; i++)
        rc = kafka_conf_set(conf, fixed[i][0], fixed[i][1], e);
    for (size_t i = 0; i < c->option_count && rc == 0; i++)
        rc = kafka_conf_option(conf, c->options[i], NULL, "a capture", e);
    if (rc == 0) {
        rd_kafka_conf_set_opaque(conf, s);
        rd_kafka_conf_set_error_cb(conf, on_error);
        rd_kafka_conf_set_log_cb(conf, on_log);
        s->rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why);
        if (!s->rk)
            rc = err_set(e, ERR_USAGE, "Kafka client: %s", why);
    }
    if (!s->rk)
        rd_kafka_conf_destroy(conf);
    return rc;
}

/* --- partitions ------------------------------------------------------------------- */

static int peer_error(struct cap_kafka_source *s, const char *what,
                      rd_kafka_resp_err_t code, struct err *e)
{
    rd_kafka_poll(s->rk, 0); /* takes the causes that are known by now */
    return err_set(e, ERR_PEER, "Kafka: %s: %s%s%s", what, rd_kafka_err2str(code),
                   *s->trouble ? "; " : "", s->trouble);
}

static int ask_topics(struct cap_kafka_source *s, const struct rd_kafka_metadata **md,
                      int64_t wait_ns, struct err *e)
{
    rd_kafka_resp_err_t code =
        rd_kafka_metadata(s->rk, 1, NULL, md, (int)(wait_ns / CLK_MS));
    return code ? peer_error(s, "list of topics", code, e) : 0;
}

static struct kafka_topic what_is(struct cap_kafka_source *s, const char *name)
{
    return kafka_topic_of(span_str(name), buf_text(&s->prefix),
                          buf_text(&s->name_space));
}

/* Topics and partitions that are ours; false: more than can be read. */
static bool count_ours(struct cap_kafka_source *s, const struct rd_kafka_metadata *md,
                       uint32_t *topics, uint32_t *partitions)
{
    uint64_t n = 0;
    *topics = 0;
    for (int i = 0; i < md->topic_cnt; i++) {
        const rd_kafka_metadata_topic_t *t = &md->topics[i];
        if (what_is(s, t->topic).kind != KAFKA_TOPIC_OTHER && t->partition_cnt > 0) {
            ++*topics;
            n += (uint64_t)t->partition_cnt;
        }
    }
    *partitions = (uint32_t)(n < UINT32_MAX ? n : UINT32_MAX);
    return n <= CAP_KAFKA_PARTITIONS_MAX;
}

static int add_topics(struct cap_kafka_source *s, const struct rd_kafka_metadata *md,
                      struct err *e)
{
    uint32_t topics, partitions, t = 0, p = 0;
    if (!count_ours(s, md, &topics, &partitions))
        return err_set(e, ERR_LIMIT, "%u partitions are more than a capture reads: %u",
                       partitions, CAP_KAFKA_PARTITIONS_MAX);
    s->topics = calloc(topics + 1, sizeof(rd_kafka_topic_t *));
    s->parts = calloc(partitions + 1, sizeof *s->parts);
    if (!s->topics || !s->parts)
        return err_set(e, ERR_NOMEM, "out of memory for %u partitions", partitions);
    s->known = partitions;
    for (int i = 0; i < md->topic_cnt; i++) {
        const rd_kafka_metadata_topic_t *m = &md->topics[i];
        if (what_is(s, m->topic).kind == KAFKA_TOPIC_OTHER || m->partition_cnt <= 0)
            continue;
        rd_kafka_topic_t *topic = rd_kafka_topic_new(s->rk, m->topic, NULL);
        if (!topic)
            return peer_error(s, m->topic, rd_kafka_last_error(), e);
        s->topics[t++] = topic;
        s->reads.topics = t;
        for (int k = 0; k < m->partition_cnt; k++)
            s->parts[p++] =
                (struct part){.topic = topic,
                              .what = what_is(s, rd_kafka_topic_name(topic)),
                              .number = m->partitions[k].id,
                              .until = -1};
        s->reads.partitions = p;
    }
    return 0;
}

/* --- where to begin --------------------------------------------------------------- */

enum from_kind { FROM_BEGINNING, FROM_END, FROM_OFFSET, FROM_TIME };
struct from {
    enum from_kind kind;
    int64_t value; /* offset, or ms since 1970 */
};

static int parse_from(const char *text, struct from *f, struct err *e)
{
    struct tm tm = {0};
    uint64_t offset;
    int64_t ago;
    struct err ignored = {0};
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm);
    *f = (struct from){0};
    if (strcmp(text, "beginning") == 0) {
        f->kind = FROM_BEGINNING;
    } else if (strcmp(text, "end") == 0) {
        f->kind = FROM_END;
    } else if (span_u64(span_str(text), &offset) && offset <= INT64_MAX) {
        *f = (struct from){FROM_OFFSET, (int64_t)offset};
    } else if (rest && !*rest) {
        *f = (struct from){FROM_TIME, (int64_t)timegm(&tm) * 1000};
    } else if (units_duration(text, &ago, &ignored) == 0) {
        *f = (struct from){FROM_TIME, (clk_wall_now(clk_system()).ns - ago) / CLK_MS};
    } else {
        return err_set(e, ERR_USAGE,
                       "--from '%s' is not beginning, end, an offset, a time like "
                       "2031-05-04T12:00:00Z, or a duration before now like 15m",
                       text);
    }
    return 0;
}

/* ms: a time, or RD_KAFKA_OFFSET_BEGINNING or _END. What is found is
 * RD_KAFKA_OFFSET_END where no record is as young as the time.
 * (rd_kafka_query_watermark_offsets would wait for ever for a broker that goes
 * meanwhile.) */
static int ask_offsets(struct cap_kafka_source *s, int64_t ms, enum place place,
                       int64_t wait_ns, struct err *e)
{
    rd_kafka_topic_partition_list_t *l =
        rd_kafka_topic_partition_list_new((int)s->reads.partitions);
    for (uint32_t i = 0; i < s->reads.partitions; i++)
        rd_kafka_topic_partition_list_add(l, rd_kafka_topic_name(s->parts[i].topic),
                                          s->parts[i].number)
            ->offset = ms;
    rd_kafka_resp_err_t code =
        rd_kafka_offsets_for_times(s->rk, l, (int)(wait_ns / CLK_MS));
    int rc = code ? peer_error(s, "offsets of partitions", code, e) : 0;
    for (int i = 0; i < l->cnt && rc == 0; i++) {
        if (l->elems[i].err)
            rc = peer_error(s, l->elems[i].topic, l->elems[i].err, e);
        s->parts[i].found[place] = l->elems[i].offset;
    }
    rd_kafka_topic_partition_list_destroy(l);
    return rc;
}

static int find_offsets(struct cap_kafka_source *s, const struct from *f,
                        int64_t wait_ns, struct err *e)
{
    int rc = ask_offsets(s, RD_KAFKA_OFFSET_BEGINNING, FIRST, wait_ns, e);
    if (rc == 0)
        rc = ask_offsets(s, RD_KAFKA_OFFSET_END, END, wait_ns, e);
    if (rc == 0 && f->kind == FROM_TIME)
        rc = ask_offsets(s, f->value, OF_TIME, wait_ns, e);
    return rc;
}

static int begin_part(struct cap_kafka_source *s, struct part *p, const struct from *f,
                      const struct cap_kafka_config *c, struct err *e)
{
    int64_t low = p->found[FIRST], high = p->found[END], of_time = p->found[OF_TIME];
    switch (f->kind) {
    case FROM_BEGINNING:
        p->next = low;
        break;
    case FROM_END:
        p->next = high;
        break;
    case FROM_TIME:
        p->next = of_time < 0 ? high : of_time;
        break;
    case FROM_OFFSET:
        p->next = f->value;
        break;
    }
    if (p->next < low) {
        s->reads.offsets_skipped += (uint64_t)(low - p->next);
        p->next = low;
    }
    if (p->next > high)
        p->next = high;
    if (c->until_end)
        p->until = high;
    p->over = p->until >= 0 && p->next >= p->until;
    p->heard = clk_mono_now(clk_system());
    if (p->over)
        return 0;
    if (rd_kafka_consume_start(p->topic, p->number, p->next) != 0)
        return peer_error(s, rd_kafka_topic_name(p->topic), rd_kafka_last_error(), e);
    p->started = true;
    return 0;
}

int cap_kafka_open(struct cap_kafka_source **out, const struct cap_kafka_config *config,
                   struct err *e)
{
    const struct rd_kafka_metadata *md = NULL;
    struct from from;
    struct cap_kafka_source *s = *out = calloc(1, sizeof *s);
    if (!s)
        return err_set(e, ERR_NOMEM, "out of memory for a Kafka client");
    s->live = !config->until_end;
    s->wait_ns = config->connect_ns;
    buf_str(&s->prefix, config->prefix);
    buf_str(&s->name_space, config->name_space);
    int rc = parse_from(config->from, &from, e);
    if (rc == 0)
        rc = connect_to(s, config, e);
    if (rc == 0)
        rc = ask_topics(s, &md, config->connect_ns, e);
    if (rc == 0)
        rc = add_topics(s, md, e);
    if (rc == 0 && s->reads.partitions == 0)
        rc = err_set(e, ERR_PEER, "Kafka: the brokers have no topic %s.%s.*",
                     config->prefix, config->name_space);
    if (rc == 0)
        rc = find_offsets(s, &from, config->connect_ns, e);
    for (uint32_t i = 0; i < s->reads.partitions && rc == 0; i++)
        rc = begin_part(s, &s->parts[i], &from, config, e);
    s->look_due = clk_mono_add(clk_mono_now(clk_system()), LOOK_NS);
    rd_kafka_metadata_destroy(md);
    if (rc < 0) {
        cap_kafka_close(s);
        *out = NULL;
    }
    return rc;
}

static void drop_message(rd_kafka_message_t **m)
{
    if (*m)
        rd_kafka_message_destroy(*m);
    *m = NULL;
}

void cap_kafka_close(struct cap_kafka_source *s)
{
    if (!s)
        return;
    drop_message(&s->given);
    for (uint32_t i = 0; s->parts && i < s->reads.partitions; i++) {
        drop_message(&s->parts[i].head);
        if (s->parts[i].started)
            rd_kafka_consume_stop(s->parts[i].topic, s->parts[i].number);
    }
    for (uint32_t i = 0; s->topics && i < s->reads.topics; i++)
        rd_kafka_topic_destroy(s->topics[i]);
    if (s->rk)
        rd_kafka_destroy(s->rk);
    buf_done(&s->prefix);
    buf_done(&s->name_space);
    buf_done(&s->names);
    free(s->topics);
    free(s->parts);
    free(s);
}

/* --- reading ---------------------------------------------------------------------- */

static int take_event(struct cap_kafka_source *s, struct part *p, rd_kafka_message_t *m,
                      struct err *e)
{
    if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        p->at_end = true;
        p->over = p->until >= 0 && m->offset >= p->until;
        rd_kafka_message_destroy(m);
        return 0;
    }
    if (m->err) {
        int rc = err_set(e, ERR_PEER, "Kafka: %s [%d] at offset %" PRId64 ": %s",
                         rd_kafka_topic_name(p->topic), p->number, p->next,
                         rd_kafka_message_errstr(m));
        rd_kafka_message_destroy(m);
        return rc;
    }
    if (p->until >= 0 && m->offset >= p->until) {
        p->over = true;
        rd_kafka_message_destroy(m);
        return 0;
    }
    if (m->offset > p->next)
        s->reads.offsets_empty += (uint64_t)(m->offset - p->next);
    p->next = m->offset + 1;
    p->head = m;
    p->at_end = false;
    return 0;
}

/* Waits so long for the next of a partition. */
static int fill(struct cap_kafka_source *s, struct part *p, int wait_ms, struct err *e)
{
    rd_kafka_message_t *m = rd_kafka_consume(p->topic, p->number, wait_ms);
    struct clk_mono now = clk_mono_now(clk_system());
    if (m) {
        p->heard = now;
        return take_event(s, p, m, e);
    }
    if (!p->at_end && s->live && clk_mono_diff(now, p->heard) > CAP_KAFKA_SILENT_NS) {
        p->at_end = true; /* its broker may be gone: the others go on */
        s->reads.silences++;
    }
    p->poll_due = clk_mono_add(now, IDLE_POLL_NS);
    return 0;
}

static int64_t time_of(const rd_kafka_message_t *m)
{
    return rd_kafka_message_timestamp(m, NULL); /* -1: none; comes at once */
}

/* Requests go before what else has their time. */
static bool before(const struct part *a, const struct part *b)
{
    int64_t x = time_of(a->head), y = time_of(b->head);
    return x != y ? x < y : a->what.kind < b->what.kind;
}

/* *next: the partition whose head comes next, or NULL; *waiting: one that may have a
 * record that is older. */
static int look_at_all(struct cap_kafka_source *s, struct part **next,
                       struct part **waiting, struct err *e)
{
    struct clk_mono now = clk_mono_now(clk_system());
    int rc = 0;
    *next = *waiting = NULL;
    for (uint32_t i = 0; i < s->reads.partitions && rc == 0; i++) {
        struct part *p = &s->parts[i];
        if (p->over && !p->head)
            continue;
        if (!p->head && (!p->at_end || clk_mono_diff(now, p->poll_due) >= 0))
            rc = fill(s, p, 0, e);
        if (p->head && (!*next || before(p, *next)))
            *next = p;
        if (!p->head && !p->over && !p->at_end)
            *waiting = p;
    }
    return rc;
}

static void look_for_new(struct cap_kafka_source *s)
{
    const struct rd_kafka_metadata *md = NULL;
    struct err ignored = {0};
    uint32_t topics, partitions;
    struct clk_mono now = clk_mono_now(clk_system());
    if (!s->live || clk_mono_diff(now, s->look_due) < 0)
        return;
    s->look_due = clk_mono_add(now, LOOK_NS);
    if (ask_topics(s, &md, CLK_SEC, &ignored) < 0)
        return;
    count_ours(s, md, &topics, &partitions);
    rd_kafka_metadata_destroy(md);
    if (partitions > s->known) {
        log_warn("kafka",
                 "partitions appeared that are not read: begin a capture anew to have "
                 "them; count=%u",
                 partitions - s->known);
        s->reads.partitions_new += partitions - s->known;
        s->known = partitions;
    }
}

static bool all_over(const struct cap_kafka_source *s)
{
    for (uint32_t i = 0; i < s->reads.partitions; i++)
        if (!s->parts[i].over || s->parts[i].head)
            return false;
    return true;
}

/* --- records ---------------------------------------------------------------------- */

static bool is_printable(const void *p, size_t n)
{
    const uint8_t *b = p;
    for (size_t i = 0; i < n; i++)
        if (b[i] < 0x20 || b[i] == 0x7f)
            return false;
    return true;
}

static void take_headers(struct cap_kafka_source *s, const rd_kafka_message_t *m,
                         struct cap_kafka_record *r)
{
    rd_kafka_headers_t *list;
    const char *name;
    const void *value;
    size_t size, at = 0;
    buf_reset(&s->names);
    r->headers = s->headers;
    if (rd_kafka_message_headers(m, &list) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return;
    for (size_t i = 0; rd_kafka_header_get_all(list, i, &name, &value, &size) ==
                       RD_KAFKA_RESP_ERR_NO_ERROR;
         i++) {
        size_t n = strlen(name);
        s->reads.bytes += n + size;
        if (n == 0 || r->header_count == CAP_KAFKA_HEADERS_MAX ||
            !is_printable(name, n) || !is_printable(value, size)) {
            s->reads.headers_left_out++;
            continue;
        }
        for (size_t k = 0; k < n; k++)
            buf_u8(&s->names, name[k] >= 'A' && name[k] <= 'Z'
                                  ? (uint8_t)(name[k] | 0x20)
                                  : (uint8_t)name[k]);
        s->headers[r->header_count++] =
            (struct op_header){{NULL, n}, span_of(value, size)};
    }
    for (uint32_t i = 0; i < r->header_count && !s->names.failed; i++) {
        s->headers[i].name.p = s->names.p + at; /* it moves no more */
        at += s->headers[i].name.n;
    }
}

static int give(struct cap_kafka_source *s, struct part *p, struct cap_kafka_record *r,
                struct err *e)
{
    static const enum cap_kafka_clock clocks[] = {
        [RD_KAFKA_TIMESTAMP_NOT_AVAILABLE] = CAP_KAFKA_CLOCK_NONE,
        [RD_KAFKA_TIMESTAMP_CREATE_TIME] = CAP_KAFKA_CLOCK_CREATE,
        [RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME] = CAP_KAFKA_CLOCK_APPEND,
    };
    rd_kafka_timestamp_type_t type = RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
    rd_kafka_message_t *m = s->given = p->head;
    p->head = NULL;
    int64_t ms = rd_kafka_message_timestamp(m, &type);
    *r = (struct cap_kafka_record){
        .topic = p->what,
        .topic_name = span_str(rd_kafka_topic_name(p->topic)),
        .source = (uint32_t)(p - s->parts),
        .offset = m->offset,
        .clock =
            ms < 0 || ms > INT64_MAX / CLK_MS ? CAP_KAFKA_CLOCK_NONE : clocks[type],
        .key = span_of(m->key, m->key ? m->key_len : 0),
        .value = span_of(m->payload, m->payload ? m->len : 0),
        .tombstone = !m->payload};
    if (r->clock != CAP_KAFKA_CLOCK_NONE)
        r->at.ns = ms * CLK_MS;
    s->reads.bytes += r->key.n + r->value.n;
    take_headers(s, m, r);
    p->over = p->until >= 0 && p->next >= p->until;
    int rc = buf_check(&s->names, e);
    return rc < 0 ? rc : CAP_KAFKA_RECORD;
}

int cap_kafka_next(struct cap_kafka_source *s, struct cap_kafka_record *r,
                   struct err *e)
{
    struct part *next, *waiting;
    drop_message(&s->given);
    rd_kafka_poll(s->rk, 0);
    look_for_new(s);
    int rc = look_at_all(s, &next, &waiting, e);
    if (rc == 0 && waiting) {
        rc = fill(s, waiting, CAP_KAFKA_WAIT_MS, e);
        return rc < 0 ? rc
                      : CAP_KAFKA_QUIET; /* the caller sees to signals and asks again */
    }
    if (rc < 0)
        return rc;
    if (next)
        return give(s, next, r, e);
    if (all_over(s))
        return CAP_KAFKA_END;
    struct timespec rest = {.tv_nsec = IDLE_POLL_NS};
    nanosleep(&rest, NULL);
    return CAP_KAFKA_QUIET;
}

const struct cap_kafka_reads *cap_kafka_reads(const struct cap_kafka_source *s)
{
    return &s->reads;
}

/*
 * exp_hlog.c - a run's latencies as a HdrHistogram log; see trc_export.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdlib.h>

#include "traces/base/clk.h"
#include "traces/outcome.h"
#include "traces/run_notes.h"
#include "traces/tool/hdr.h"
#include "traces/tool/trc_copy.h"
#include "traces/tool/trc_export.h"

#define LEAST_INTERVAL INT64_C(1000000) /* the log prints times in ms */
#define NS_PER_MS      1e6

enum tag { RESPONSE_OK, SERVICE, TTFB, LATENESS, TAG_COUNT };
static const char *const tag_names[TAG_COUNT] = {"response_ok", "service", "ttfb",
                                                 "lateness"};

/* An interval [number, number + 1) * interval_ns of due times. */
struct slot {
    int64_t number;
    bool used;
    struct hdr of[TAG_COUNT];
};

/* Outcomes come nearly in order of due. The slots are a ring over the newest intervals;
 * an interval that leaves it is written. What is older still has one slot. */
struct hlog {
    struct slot slots[TRC_HLOG_OPEN], old;
    int64_t interval_ns, newest; /* newest: number of the greatest interval so far */
    bool any;
    uint64_t failed; /* outcomes that are not good */
    struct buf out;
    FILE *to;
};

static void put_seconds(struct buf *out, int64_t ms)
{
    buf_fmt(out, "%" PRId64 ".%03d", ms / 1000, (int)(ms % 1000));
}

/* Times of the log are since its BaseTime, which is due = 0 of the run. */
static int put_slot(struct hlog *l, struct slot *s, struct err *e)
{
    int64_t start_ms = s->number * l->interval_ns / LEAST_INTERVAL;
    int rc = 0;
    for (int t = 0; rc == 0 && t < TAG_COUNT; t++) {
        if (s->of[t].total == 0)
            continue;
        buf_fmt(&l->out, "Tag=%s,", tag_names[t]);
        put_seconds(&l->out, start_ms);
        buf_u8(&l->out, ',');
        put_seconds(&l->out, l->interval_ns / LEAST_INTERVAL);
        buf_fmt(&l->out, ",%.6f,", (double)s->of[t].max / NS_PER_MS);
        rc = hdr_encode(&s->of[t], &l->out, e);
        buf_u8(&l->out, '\n');
        hdr_reset(&s->of[t]);
    }
    s->used = false;
    if (rc == 0 && (l->out.n >= TRC_EXPORT_CHUNK || l->out.failed))
        rc = trc_export_flush(&l->out, l->to, e);
    return rc;
}

/* Writes, in order, what is open and before `number`. */
static int close_before(struct hlog *l, int64_t number, struct err *e)
{
    int rc = 0;
    int64_t from = l->newest - (int64_t)TRC_HLOG_OPEN + 1;
    for (int64_t n = from < 0 ? 0 : from; l->any && rc == 0 && n <= l->newest; n++) {
        struct slot *s = &l->slots[n % TRC_HLOG_OPEN];
        if (n < number && s->used && s->number == n)
            rc = put_slot(l, s, e);
    }
    return rc;
}

/* The slot of a due time. */
static int slot_of(struct hlog *l, int64_t due_ns, struct slot **out, struct err *e)
{
    int64_t number = due_ns / l->interval_ns;
    int rc = 0;
    if (!l->any || number > l->newest) {
        rc = close_before(l, number - (int64_t)TRC_HLOG_OPEN + 1, e);
        l->newest = number;
        l->any = true;
    }
    bool in_ring = number > l->newest - (int64_t)TRC_HLOG_OPEN;
    struct slot *s = in_ring ? &l->slots[number % TRC_HLOG_OPEN] : &l->old;
    if (rc == 0 && s->used && s->number != number)
        rc = put_slot(l, s, e); /* in the ring they are closed already */
    s->number = number;
    s->used = true;
    *out = s;
    return rc;
}

static int add_time(struct slot *s, enum tag t, int64_t from, int64_t to, struct err *e)
{
    if (from == OP_TIME_NONE || to == OP_TIME_NONE)
        return 0;
    if (to < from)
        return err_set(e, ERR_FORMAT, "%s below 0: %" PRId64 " ns", tag_names[t],
                       to - from);
    return hdr_add(&s->of[t], to - from, e);
}

static int add(struct hlog *l, const struct outcome *o, struct err *e)
{
    struct slot *s;
    if (o->due_ns < 0)
        return err_set(e, ERR_FORMAT,
                       "outcome of operation %" PRIu64 " is due before the run begins",
                       o->op_index);
    int rc = slot_of(l, o->due_ns, &s, e);
    if (rc == 0)
        rc = add_time(s, LATENESS, o->due_ns, o->sent_ns, e);
    if (!outcome_ok(o))
        l->failed++;
    else if (rc == 0 &&
             (rc = add_time(s, RESPONSE_OK, o->due_ns, o->done_ns, e)) == 0 &&
             (rc = add_time(s, SERVICE, o->sent_ns, o->done_ns, e)) == 0)
        rc = add_time(s, TTFB, o->sent_ns, o->first_ns, e);
    return rc < 0 ? err_note(e, "operation %" PRIu64, o->op_index) : 0;
}

static void put_head(struct hlog *l, const struct trc_reader *r)
{
    uint64_t wall = 0;
    char when[CLK_TEXT_MAX];
    const char *note = trc_reader_note(r, NOTE_START_WALL);
    if (!span_u64(span_str(note), &wall) || wall > INT64_MAX)
        wall = 0;
    clk_wall_text((struct clk_wall){(int64_t)wall}, when);
    buf_str(&l->out, "#[Logged with reprise " REPRISE_VERSION "]\n"
                     "#[Histogram log format version 1.3]\n");
    for (int i = 0; i < 2; i++) {
        buf_fmt(&l->out, "#[%s: ", i ? "BaseTime" : "StartTime");
        put_seconds(&l->out, (int64_t)wall / LEAST_INTERVAL);
        buf_str(&l->out, " (seconds since epoch)");
        buf_fmt(&l->out, i ? "]\n" : ", %s]\n", when);
    }
    if (wall == 0)
        buf_str(&l->out, "#[The run does not say when it began: 1970]\n");
    buf_str(&l->out, "#[Values in ns, maxima in ms; intervals are of due times. Good "
                     "outcomes only, but lateness: all that were sent]\n"
                     "\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\","
                     "\"Interval_Compressed_Histogram\"\n");
}

static int read_all(struct hlog *l, struct trc_reader *r, struct trc_export_done *done,
                    struct err *e)
{
    struct trc_block *b;
    int rc = 0, got;
    trc_reader_want(r, TRC_READ_SCHEDULE | TRC_READ_ANSWERS);
    while (rc == 0 && (got = trc_copy_next(r, &b, &done->unclosed, e)) != 0) {
        if (got < 0)
            return got;
        for (uint32_t i = 0; rc == 0 && i < b->count; i++)
            rc = add(l, &b->outcomes[i], e);
        done->records += b->count;
        trc_block_free(b);
    }
    return rc;
}

int trc_export_hlog(struct trc_reader *r, int64_t interval_ns, FILE *to,
                    struct trc_export_done *done, struct err *e)
{
    if (trc_reader_info(r)->kind != TRC_RUN)
        return err_set(e, ERR_USAGE, "a trace has no latencies of a run to log");
    if (interval_ns < LEAST_INTERVAL || interval_ns % LEAST_INTERVAL)
        return err_set(e, ERR_USAGE, "--interval is whole milliseconds, at least one");
    struct hlog *l = calloc(1, sizeof *l);
    if (!l)
        return err_set(e, ERR_NOMEM, "out of memory");
    l->interval_ns = interval_ns;
    l->to = to;
    put_head(l, r);
    int rc = read_all(l, r, done, e);
    if (rc == 0 && l->old.used)
        rc = put_slot(l, &l->old, e);
    if (rc == 0)
        rc = close_before(l, INT64_MAX, e);
    if (rc == 0) {
        buf_fmt(&l->out,
                "#[Not in the latencies: %" PRIu64 " outcomes that are not good]\n",
                l->failed);
        rc = trc_export_flush(&l->out, to, e);
    }
    done->written = done->records - l->failed;
    for (int t = 0; t < TAG_COUNT; t++) {
        hdr_done(&l->old.of[t]);
        for (size_t i = 0; i < TRC_HLOG_OPEN; i++)
            hdr_done(&l->slots[i].of[t]);
    }
    buf_done(&l->out);
    free(l);
    return rc;
}

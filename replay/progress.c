/*
 * progress.c - see progress.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replay/progress.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "traces/base/units.h"

#define LIMIT_NS (600 * CLK_SEC)

int rep_progress_init(struct rep_progress *p, FILE *out, struct err *e)
{
    memset(p, 0, sizeof *p);
    p->out = out;
    p->terminal = out && isatty(fileno(out));
    p->every_ns = p->terminal ? CLK_SEC : 10 * CLK_SEC;
    p->next_ns = p->every_ns;
    int rc = hist_init(&p->response, LIMIT_NS, e);
    return rc < 0 ? rc : hist_init(&p->generator, LIMIT_NS, e);
}

void rep_progress_done(struct rep_progress *p)
{
    hist_done(&p->response);
    hist_done(&p->generator);
}

void rep_progress_add(struct rep_progress *p, const struct outcome *o)
{
    p->ended++;
    p->failed += !outcome_ok(o);
    if (o->sent_ns != OP_TIME_NONE)
        hist_add(&p->generator, o->sent_ns - o->ready_ns);
    if (o->cause == OUT_OK || o->cause == OUT_STATUS)
        hist_add(&p->response, o->done_ns - o->due_ns);
}

int64_t rep_progress_left_ns(const struct rep_progress *p, int64_t now_ns, uint64_t due)
{
    if (!p->closed)
        return p->span_ns <= 0 ? -1 : p->span_ns > now_ns ? p->span_ns - now_ns : 0;
    if (p->total == 0 || due == 0)
        return -1;
    if (due > p->total)
        return 0;
    return (int64_t)((double)now_ns * ((double)p->total / (double)due - 1));
}

static void put_finish(const struct rep_progress *p, int64_t now_ns,
                       struct clk_wall wall, uint64_t due, struct buf *out)
{
    int64_t left = rep_progress_left_ns(p, now_ns, due);
    char text[CLK_TEXT_MAX];
    if (left < 0)
        return;
    clk_wall_text((struct clk_wall){wall.ns + left}, text);
    buf_fmt(out, ", ends %s", text);
}

void rep_progress_line(const struct rep_progress *p, int64_t now_ns,
                       struct clk_wall wall, const struct rep_progress_counts *c,
                       struct buf *out)
{
    double seconds = (double)(now_ns - p->last_ns) / (double)CLK_SEC;
    char a[UNITS_TEXT_MAX], b[UNITS_TEXT_MAX], d[UNITS_TEXT_MAX];

    buf_fmt(out, "replay: at %s", units_duration_text(now_ns, a));
    if (p->span_ns > 0 && !p->closed)
        buf_fmt(out, " of %s", units_duration_text(p->span_ns, a));
    buf_fmt(out, ", %" PRIu64, c->due);
    if (p->total > 0)
        buf_fmt(out, " of %" PRIu64, p->total);
    buf_str(out, " operations");
    if (seconds > 0)
        buf_fmt(out, "; due %s, sent %s, done %s",
                units_rate_text((double)(c->due - p->last_due) / seconds, a),
                units_rate_text((double)(c->sent - p->last_sent) / seconds, b),
                units_rate_text((double)(p->ended - p->last_ended) / seconds, d));
    buf_fmt(out, "; in flight %" PRIu64, c->in_flight);
    if (c->waiting > 0)
        buf_fmt(out, ", waiting %" PRIu64, c->waiting);
    if (p->response.total > 0)
        buf_fmt(out, "; from due p50 %s, p99 %s",
                units_duration_text(hist_quantile(&p->response, 0.5), a),
                units_duration_text(hist_quantile(&p->response, 0.99), b));
    if (p->generator.total > 0)
        buf_fmt(out, "; late p99 %s",
                units_duration_text(hist_quantile(&p->generator, 0.99), a));
    buf_fmt(out, "; failed %" PRIu64, p->failed);
    put_finish(p, now_ns, wall, c->due, out);
}

bool rep_progress_is_time(const struct rep_progress *p, int64_t now_ns)
{
    return now_ns >= p->next_ns;
}

void rep_progress_step(struct rep_progress *p, int64_t now_ns,
                       const struct rep_progress_counts *c)
{
    hist_reset(&p->response);
    hist_reset(&p->generator);
    p->last_due = c->due;
    p->last_sent = c->sent;
    p->last_ended = p->ended;
    p->last_ns = now_ns;
    while (p->next_ns <= now_ns)
        p->next_ns += p->every_ns;
}

void rep_progress_tick(struct rep_progress *p, int64_t now_ns, struct clk_wall wall,
                       const struct rep_progress_counts *c)
{
    struct buf line = {0};

    if (!p->out || !rep_progress_is_time(p, now_ns))
        return;
    rep_progress_line(p, now_ns, wall, c, &line);
    if (p->terminal) {
        int width = (int)line.n;
        fprintf(p->out, "\r%s%*s", buf_text(&line),
                p->width > width ? p->width - width : 0, "");
        p->width = width;
    } else {
        fprintf(p->out, "%s\n", buf_text(&line));
    }
    fflush(p->out);
    buf_done(&line);
    rep_progress_step(p, now_ns, c);
}

void rep_progress_end(struct rep_progress *p)
{
    if (p->out && p->terminal && p->width > 0)
        fputc('\n', p->out);
    p->width = 0;
}

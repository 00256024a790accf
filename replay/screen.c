/*
 * screen.c - see screen.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replay/screen.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "traces/base/log.h"
#include "traces/base/units.h"

#define ENTER "\x1b[?1049h\x1b[?25l" /* alternate screen, no cursor */
#define LEAVE "\x1b[?25h\x1b[?1049l"
#define HOME  "\x1b[H"
#define CLEAR "\x1b[K" /* to the end of the line */
#define BELOW "\x1b[J" /* all lines below */

#define ROWS_DEFAULT    24
#define COLUMNS_DEFAULT 80
#define CLASSES_SHOWN   5

static volatile sig_atomic_t shown; /* a screen is on */

/* --- the text --------------------------------------------------------------------- */

static void put_position(const struct rep_screen_view *v, struct buf *out)
{
    const struct rep_progress *p = v->progress;
    char a[UNITS_TEXT_MAX], when[CLK_TEXT_MAX];

    buf_fmt(out, "position    %s", units_duration_text(v->now_ns, a));
    if (p->span_ns > 0 && !p->closed)
        buf_fmt(out, " of %s (%.0f %%)", units_duration_text(p->span_ns, a),
                100 * (v->now_ns < p->span_ns ? (double)v->now_ns / (double)p->span_ns
                                              : 1));
    int64_t left = rep_progress_left_ns(p, v->now_ns, v->counts->due);
    if (left >= 0) {
        clk_wall_text((struct clk_wall){v->wall.ns + left}, when);
        buf_fmt(out, ", ends %s", when);
    }
    buf_str(out, "\n");
}

static void put_counts(const struct rep_screen_view *v, struct buf *out)
{
    const struct rep_progress *p = v->progress;
    const struct rep_tally *t = v->tally;
    const struct rep_progress_counts *c = v->counts;
    double seconds = (double)(v->now_ns - p->last_ns) / (double)CLK_SEC;
    char a[UNITS_TEXT_MAX], b[UNITS_TEXT_MAX], d[UNITS_TEXT_MAX];

    buf_fmt(out, "operations  due %" PRIu64, c->due);
    if (p->total > 0)
        buf_fmt(out, " of %" PRIu64, p->total);
    buf_fmt(out,
            ", sent %" PRIu64 ", ok %" PRIu64 ", failed %" PRIu64 ", dropped %" PRIu64
            ", refused %" PRIu64 "\n",
            c->sent, t->ok, t->failed, t->dropped, t->refused);
    if (seconds > 0)
        buf_fmt(out, "rate        due %s, sent %s, done %s\n",
                units_rate_text((double)(c->due - p->last_due) / seconds, a),
                units_rate_text((double)(c->sent - p->last_sent) / seconds, b),
                units_rate_text((double)(p->ended - p->last_ended) / seconds, d));
    buf_fmt(out, "in flight   %" PRIu64 ", waiting %" PRIu64 "\n", c->in_flight,
            c->waiting);
}

static void put_times(struct buf *out, const char *name, const struct hist *h)
{
    char a[UNITS_TEXT_MAX], b[UNITS_TEXT_MAX], d[UNITS_TEXT_MAX];
    if (h->total == 0)
        buf_fmt(out, "  %-22s -\n", name);
    else
        buf_fmt(out, "  %-22s p50 %-9s p99 %-9s max %s\n", name,
                units_duration_text(hist_quantile(h, 0.5), a),
                units_duration_text(hist_quantile(h, 0.99), b),
                units_duration_text(h->max_ns, d));
}

static void put_errors(const struct rep_screen_view *v, struct buf *out)
{
    const struct rep_tally *t = v->tally;
    bool told[REP_CLASSES_MAX] = {false};

    /* The most frequent first. */
    for (int n = 0; n < CLASSES_SHOWN; n++) {
        size_t most = REP_CLASSES_MAX;
        for (size_t i = 0; i < t->class_count; i++)
            if (!told[i] && (most == REP_CLASSES_MAX ||
                             t->classes[i].count > t->classes[most].count))
                most = i;
        if (most == REP_CLASSES_MAX)
            return;
        told[most] = true;
        buf_fmt(out, "  %-22s %" PRIu64 "\n", t->classes[most].text,
                t->classes[most].count);
    }
}

static void put_health(const struct rep_screen_view *v, struct buf *out)
{
    buf_fmt(out, "health      %s so far\n", rep_verdict_names[v->health->verdict]);
    for (size_t i = 0; i < v->health->count; i++)
        buf_fmt(out, "  %s: %s\n", v->health->causes[i].code,
                v->health->causes[i].text);
}

/* The first rows of `all`, each cut to the columns. */
static void fit(struct span all, unsigned rows, unsigned columns, struct buf *out)
{
    size_t at = 0;
    for (unsigned row = 0; row < rows && at < all.n; row++) {
        size_t end = span_find(all, '\n', at);
        size_t cut = end - at > columns ? at + columns : end;
        buf_span(out, span_sub(all, at, cut));
        buf_str(out, "\n");
        at = end + 1;
    }
}

void rep_screen_text(const struct rep_screen_view *v, unsigned rows, unsigned columns,
                     struct buf *out)
{
    struct buf all = {0};

    buf_fmt(&all, "reprise replay %s\nrun file    %s\n", v->title, v->out);
    put_position(v, &all);
    put_counts(v, &all);
    buf_str(&all, "since the last look\n");
    put_times(&all, "response, from due", &v->progress->response);
    put_times(&all, "lateness, generator", &v->progress->generator);
    buf_str(&all, "so far\n");
    put_times(&all, "response, from due", &v->tally->response);
    put_times(&all, "service, from sent", &v->tally->service);
    put_times(&all, "lateness, generator", &v->tally->generator);
    put_times(&all, "lateness, back-pressure", &v->tally->pressure);
    put_health(v, &all);
    if (v->tally->class_count > 0)
        buf_str(&all, "errors\n");
    put_errors(v, &all);
    if (v->held > 0)
        buf_fmt(&all, "log lines   %" PRIu64 ", shown at the end\n", v->held);
    fit(buf_view(&all), rows, columns, out);
    buf_done(&all);
}

/* --- the terminal ----------------------------------------------------------------- */

static void put(int fd, const void *p, size_t n)
{
    const uint8_t *at = p;
    while (n > 0) {
        ssize_t wrote = write(fd, at, n);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0)
            return; /* a terminal that is gone has nobody to tell */
        at += wrote;
        n -= (size_t)wrote;
    }
}

void rep_screen_restore(void)
{
    if (shown)
        put(STDERR_FILENO, LEAVE, strlen(LEAVE));
    shown = 0;
}

int rep_screen_enter(struct rep_screen *s, struct err *e)
{
    *s = (struct rep_screen){.fd = STDERR_FILENO, .log_fd = -1};
    if (!isatty(s->fd))
        return err_set(e, ERR_USAGE, "--live needs a terminal on standard error");
    s->log_fd = memfd_create("log", MFD_CLOEXEC);
    if (s->log_fd < 0)
        return err_sys(e, errno, "--live: cannot hold log lines back");
    log_divert(s->log_fd);
    s->on = true;
    shown = 1;
    put(s->fd, ENTER, strlen(ENTER));
    return 0;
}

void rep_screen_draw(struct rep_screen *s, struct rep_screen_view *v)
{
    struct winsize size = {0};
    struct buf text = {0}, out = {0};
    struct span line;

    if (ioctl(s->fd, TIOCGWINSZ, &size) < 0 || size.ws_row == 0 || size.ws_col == 0) {
        size.ws_row = ROWS_DEFAULT;
        size.ws_col = COLUMNS_DEFAULT;
    }
    v->held = log_diverted();
    /* The last row stays free: a line feed there would scroll. */
    rep_screen_text(v, size.ws_row > 1 ? size.ws_row - 1u : 1, size.ws_col, &text);
    buf_str(&out, HOME);
    for (struct span all = buf_view(&text); all.n > 0;) {
        size_t end = span_find(all, '\n', 0);
        line = span_sub(all, 0, end);
        all = span_sub(all, end < all.n ? end + 1 : end, all.n);
        buf_span(&out, line);
        buf_str(&out, CLEAR "\r\n");
    }
    buf_str(&out, BELOW);
    if (!out.failed)
        put(s->fd, out.p, out.n);
    buf_done(&text);
    buf_done(&out);
}

void rep_screen_leave(struct rep_screen *s)
{
    char piece[4096];
    ssize_t n;

    if (!s->on)
        return;
    s->on = false;
    rep_screen_restore();
    log_divert(-1);
    for (off_t at = 0; (n = pread(s->log_fd, piece, sizeof piece, at)) > 0; at += n)
        put(s->fd, piece, (size_t)n);
    close(s->log_fd);
    s->log_fd = -1;
}

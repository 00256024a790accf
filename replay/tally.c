/*
 * tally.c - see tally.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replay/tally.h"

#include <string.h>

#include "traces/base/clk.h"

#define LIMIT_NS          (600 * CLK_SEC) /* above: counted as beyond */
#define TREND_WINDOWS_MIN 10

int rep_tally_init(struct rep_tally *t, struct err *e)
{
    struct hist *hists[] = {&t->response,  &t->service,   &t->ttfb,
                            &t->undelayed, &t->generator, &t->pressure};
    memset(t, 0, sizeof *t);
    t->first_due_ns = t->first_sent_ns = INT64_MAX;
    t->last_due_ns = t->last_sent_ns = t->last_end_ns = INT64_MIN;
    for (size_t i = 0; i < REP_WINDOWS; i++)
        t->trend.least_ns[i] = INT64_MAX;
    for (size_t i = 0; i < sizeof hists / sizeof *hists; i++) {
        int rc = hist_init(hists[i], LIMIT_NS, e);
        if (rc < 0) {
            rep_tally_done(t);
            return rc;
        }
    }
    return 0;
}

void rep_tally_done(struct rep_tally *t)
{
    hist_done(&t->response);
    hist_done(&t->service);
    hist_done(&t->ttfb);
    hist_done(&t->undelayed);
    hist_done(&t->generator);
    hist_done(&t->pressure);
    memset(t, 0, sizeof *t);
}

static bool count_class(struct rep_tally *t, const struct outcome *o)
{
    char text[OUT_CLASS_MAX];
    outcome_class(o, text);
    for (size_t i = 0; i < t->class_count; i++) {
        if (strcmp(t->classes[i].text, text) == 0) {
            t->classes[i].count++;
            return false;
        }
    }
    if (t->class_count == REP_CLASSES_MAX) {
        t->other_classes++;
        return false;
    }
    memcpy(t->classes[t->class_count].text, text, sizeof text);
    t->classes[t->class_count++].count = 1;
    return true;
}

/* True when it is a new one. */
static bool count_reason(struct rep_reason reasons[REP_REASONS_MAX], size_t *count,
                         const char *why)
{
    for (size_t i = 0; i < *count; i++) {
        if (strcmp(reasons[i].text, why) == 0) {
            reasons[i].count++;
            return false;
        }
    }
    if (*count == REP_REASONS_MAX)
        return false;
    reasons[(*count)++] = (struct rep_reason){why, 1};
    return true;
}

/* --- trend ------------------------------------------------------------------------ */

static void close_window(struct rep_trend *t, int64_t window)
{
    int64_t *least = &t->least_ns[window % REP_WINDOWS];
    if (window >= 0 && *least != INT64_MAX) {
        double x = (double)window, y = (double)*least / (double)CLK_SEC;
        t->n++;
        t->sum_x += x;
        t->sum_y += y;
        t->sum_xx += x * x;
        t->sum_xy += x * y;
        t->last_least_ns = *least;
    }
    *least = INT64_MAX;
}

static void add_trend(struct rep_trend *t, int64_t due_ns, int64_t late_ns)
{
    int64_t window = due_ns / CLK_SEC;
    if (window > t->window + REP_WINDOWS) {
        /* A gap in the schedule: close what is open, and jump. */
        for (int64_t i = t->window + 1 - REP_WINDOWS; i <= t->window; i++)
            if (i >= 0)
                close_window(t, i);
        t->window = window;
    }
    while (t->window < window) {
        t->window++;
        if (t->window >= REP_WINDOWS)
            close_window(t, t->window - REP_WINDOWS);
    }
    if (window <= t->window - REP_WINDOWS)
        return; /* ended long after its time: its second is closed */
    int64_t *least = &t->least_ns[window % REP_WINDOWS];
    if (late_ns < *least)
        *least = late_ns;
}

double rep_tally_trend_ppm(struct rep_tally *t)
{
    struct rep_trend r = t->trend;
    for (int64_t i = r.window + 1 - REP_WINDOWS; i <= r.window; i++)
        if (i >= 0)
            close_window(&r, i);
    double d = r.n * r.sum_xx - r.sum_x * r.sum_x;
    if (r.n < TREND_WINDOWS_MIN || d <= 0)
        return 0;
    return (r.n * r.sum_xy - r.sum_x * r.sum_y) / d * 1e6;
}

/* --- adding ----------------------------------------------------------------------- */

static void grow(int64_t *least, int64_t *most, int64_t v)
{
    *least = v < *least ? v : *least;
    *most = v > *most ? v : *most;
}

static void count_kind(struct rep_tally *t, const struct outcome *o)
{
    t->due++;
    t->answered += o->cause == OUT_OK || o->cause == OUT_STATUS;
    t->right += o->check == OUT_RIGHT;
    t->wrong += o->check == OUT_WRONG;
    t->crossed += o->check == OUT_CROSSED;
    if (o->cause == OUT_DROPPED)
        t->dropped++;
    else if (o->cause == OUT_REFUSED)
        t->refused++;
    else if (o->cause == OUT_STOPPED)
        t->stopped++;
    else if (outcome_ok(o))
        t->ok++;
    else
        t->failed++;
}

static void add_times(struct rep_tally *t, const struct outcome *o)
{
    grow(&t->first_due_ns, &t->last_due_ns, o->due_ns);
    if (o->done_ns != OP_TIME_NONE && o->done_ns > t->last_end_ns)
        t->last_end_ns = o->done_ns;
    if (o->sent_ns == OP_TIME_NONE)
        return;
    t->sent++;
    t->retried += o->attempts > 1;
    grow(&t->first_sent_ns, &t->last_sent_ns, o->sent_ns);
    hist_add(&t->generator, o->sent_ns - o->ready_ns);
    hist_add(&t->pressure, o->ready_ns - o->due_ns);
    add_trend(&t->trend, o->due_ns, o->sent_ns - o->ready_ns);
    if (o->cause != OUT_OK && o->cause != OUT_STATUS)
        return;
    hist_add(&t->response, o->done_ns - o->due_ns);
    hist_add(&t->undelayed, o->done_ns - o->due_ns - (o->sent_ns - o->ready_ns));
    hist_add(&t->service, o->done_ns - o->sent_ns);
    hist_add(&t->ttfb, o->first_ns - o->sent_ns);
}

bool rep_tally_add(struct rep_tally *t, const struct outcome *o, const char *refusal)
{
    count_kind(t, o);
    add_times(t, o);
    t->bytes_in += o->bytes_in;
    t->bytes_out += o->attempts > 0 ? o->bytes_out : 0;
    bool news = !outcome_ok(o) && count_class(t, o);
    if (refusal && count_reason(t->reasons, &t->reason_count, refusal))
        news = true;
    return news;
}

void rep_tally_unjudged(struct rep_tally *t, const char *why)
{
    t->unjudged++;
    count_reason(t->unjudged_reasons, &t->unjudged_reason_count, why);
}

static double per_second(uint64_t n, int64_t from, int64_t to)
{
    return n > 1 && to > from ? (double)(n - 1) * (double)CLK_SEC / (double)(to - from)
                              : 0;
}

double rep_tally_offered(const struct rep_tally *t)
{
    return per_second(t->due, t->first_due_ns, t->last_due_ns);
}

double rep_tally_achieved(const struct rep_tally *t)
{
    return per_second(t->sent, t->first_sent_ns, t->last_sent_ns);
}

double rep_tally_kept(const struct rep_tally *t)
{
    return per_second(t->due, t->first_due_ns, t->last_due_ns + t->trend.last_least_ns);
}

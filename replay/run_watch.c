/*
 * run_watch.c - what the caller's thread does while a run lasts: outcomes, rules, the
 * live view. See run_own.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replay/run_own.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "traces/base/log.h"
#include "traces/base/units.h"

#define WRONG_SHOWN 10 /* wrong answers that get a line in the log; crossed too */

static void to_start(int64_t *t, int64_t start)
{
    if (*t != OP_TIME_NONE)
        *t -= start;
}

static void judge_answer(struct rep_running *x, struct rep_request *r)
{
    struct err why = {0};

    rep_answer_judge(r, &x->config->answers, &x->arena, &why);
    if (r->out.check == OUT_WRONG && x->wrong_shown++ < WRONG_SHOWN)
        log_warn(REP_RUN_AREA, "wrong answer to operation %" PRIu64 " (%.*s): %s%s",
                 r->out.op_index, SPAN_ARG(r->stream->as_sent.name), why.text,
                 x->wrong_shown == WRONG_SHOWN ? "; no more of these are shown" : "");
}

static void report_news(struct rep_running *x, const struct rep_request *r)
{
    char class[OUT_CLASS_MAX];
    outcome_class(&r->out, class);
    if (r->refusal)
        log_warn(REP_RUN_AREA, "operation %" PRIu64 " (%.*s) is not sent: %s",
                 r->out.op_index, SPAN_ARG(r->stream->as_sent.name), r->refusal);
    else if (r->out.cause != OUT_STOPPED && r->out.check < OUT_WRONG)
        log_info(REP_RUN_AREA, "first '%s': operation %" PRIu64 " (%.*s)", class,
                 r->out.op_index, SPAN_ARG(r->stream->as_sent.name));
    (void)x;
}

void rep_running_outcome(void *arg, struct rep_request *r)
{
    struct rep_running *x = arg;
    struct outcome *o = &r->out;

    if (o->check == OUT_CROSSED && x->crossed_shown++ < WRONG_SHOWN)
        log_warn(REP_RUN_AREA,
                 "operation %" PRIu64 " (%.*s) got the answer of another operation%s",
                 o->op_index, SPAN_ARG(r->stream->as_sent.name),
                 x->crossed_shown == WRONG_SHOWN ? "; no more of these are shown" : "");
    if ((x->config->answers.model || x->config->answers.recorded) &&
        o->check == OUT_UNCHECKED && o->cause == OUT_OK)
        rep_tally_unjudged(&x->result->tally,
                           r->unjudged ? r->unjudged : "it was not looked at");
    if (rep_tally_add(&x->result->tally, o, r->refusal))
        report_news(x, r);
    if (o->sent_ns != OP_TIME_NONE && x->config->users == 0)
        rep_gaps_add(&x->gaps, r->sequence, o->ready_ns, o->sent_ns);
    rep_progress_add(&x->progress, o);
    if (x->config->rule_count > 0)
        rep_rules_add(&x->rules, clk_mono_now(x->clk).ns - x->start_ns, o,
                      o->due_ns < x->config->warmup_ns);
    if (x->fault.code == ERR_OK && trc_writer_outcome(x->writer, o, &x->fault) < 0)
        rep_running_stop(x);
}

/* A request has ended: judges its answer, writes its outcome, gives its memory back. */
static void settle(struct rep_running *x, struct rep_request *r)
{
    struct outcome *o = &r->out;

    if (o->cause == OUT_STOPPED && o->due_ns == OP_TIME_NONE) {
        rep_request_release(r); /* was never due: no outcome */
        return;
    }
    to_start(&o->due_ns, x->start_ns);
    to_start(&o->ready_ns, x->start_ns);
    to_start(&o->sent_ns, x->start_ns);
    to_start(&o->first_ns, x->start_ns);
    to_start(&o->done_ns, x->start_ns);
    if (r->mark == REP_MARK_OTHER || rep_answer_wanted(&x->config->answers))
        judge_answer(x, r);
    if (x->config->answers.model) {
        rep_suspects_add(&x->suspects, r, clk_mono_now(x->clk).ns);
        return;
    }
    rep_running_outcome(x, r);
    rep_request_release(r);
}

static bool collect(struct rep_running *x)
{
    bool any = false;
    for (uint32_t i = 0; i < x->worker_count; i++) {
        struct rep_request *r;
        while ((r = rep_worker_take(x->workers[i])) != NULL) {
            any = true;
            rep_share_work(true);
            while (r) {
                struct rep_request *next = r->next;
                settle(x, r);
                r = next;
            }
        }
    }
    return any;
}

/* Since the start; 0: not at all, or unknown. */
static int64_t throttled(const struct rep_running *x)
{
    int64_t now = x->throttled_before_ns < 0 ? -1 : rep_throttled_ns();
    return now > x->throttled_before_ns ? now - x->throttled_before_ns : 0;
}

void rep_running_gather(struct rep_running *x, int64_t duration_ns,
                        struct rep_health_facts *f)
{
    struct rep_tally *t = &x->result->tally;
    struct rep_cpu_times now = rep_cpu_times_read();
    bool closed = x->config->users > 0;

    *f = (struct rep_health_facts){
        .due = x->due_by_workers > 0 ? x->due_by_workers : t->due,
        .outcomes = t->due,
        .sent = t->sent,
        .generator_p99_ns = hist_quantile(&t->generator, 0.99),
        .undelayed_p99_ns = hist_quantile(&t->undelayed, 0.99),
        .service_p50_ns = hist_quantile(&t->service, 0.5),
        .response_p50_ns = hist_quantile(&t->response, 0.5),
        .response_p99_ns = hist_quantile(&t->response, 0.99),
        .trend_ppm = closed ? 0 : rep_tally_trend_ppm(t),
        .offered = closed ? 0 : rep_tally_offered(t),
        .achieved = closed ? 0 : rep_tally_kept(t),
        .starved_ns = x->stats.starved_ns,
        .duration_ns = duration_ns,
        .steal_share = rep_cpu_steal(&x->cpu_before, &now),
        .throttled_ns = throttled(x),
        .worked_share =
            duration_ns > 0 ? (double)x->stats.worked_ns / (double)duration_ns : 0,
        .waited_ns = x->stats.waited_ns,
        .gap_distance = rep_gaps_distance(&x->gaps),
        .coverage_lack = x->coverage_lack,
        .workers_lost = x->workers_lost,
        .wall_step_ns = x->clock.stepped_ns,
        .clock_backwards = x->stats.clock_backwards,
        .interrupted = x->result->interrupted,
        .client_errors = x->stats.engine.client_errors,
    };
}

static struct rep_progress_counts live_counts(const struct rep_running *x)
{
    struct rep_progress_counts sum = {0};
    for (uint32_t i = 0; i < x->worker_count; i++) {
        struct rep_worker_live live = rep_worker_live(x->workers[i]);
        sum.due += live.due;
        sum.sent += live.sent;
        sum.in_flight += live.in_flight;
        sum.waiting += live.waiting;
    }
    return sum;
}

/* As far as it can be told before the workers are joined. */
static void judge_so_far(struct rep_running *x, struct rep_health *h)
{
    struct rep_health_facts facts;
    rep_running_gather(x, clk_mono_now(x->clk).ns - x->start_ns, &facts);
    rep_health_judge(&facts, h);
}

static void draw_screen(struct rep_running *x, int64_t now,
                        struct rep_progress_counts *counts)
{
    const struct rep_run_config *c = x->config;
    char title[2048];
    struct rep_health health;
    struct rep_screen_view view = {
        .title = title,
        .out = c->out,
        .progress = &x->progress,
        .counts = counts,
        .tally = &x->result->tally,
        .health = &health,
        .now_ns = now,
        .wall = clk_wall_now(x->clk),
    };
    judge_so_far(x, &health);
    snprintf(title, sizeof title, "%s to %s%s%s%s%s%s%s", c->trace,
             op_tier_names[c->tier], c->http ? ", http " : "",
             c->http ? x->http.text : "", c->grpc ? ", grpc " : "",
             c->grpc ? x->grpc.text : "", c->kafka.brokers ? ", " : "",
             c->kafka.brokers ? c->kafka.brokers : "");
    rep_screen_draw(&x->screen, &view);
    rep_progress_step(&x->progress, now, counts);
}

static void show_progress(struct rep_running *x)
{
    int64_t now = clk_mono_now(x->clk).ns - x->start_ns;
    if (!x->progress.out || !rep_progress_is_time(&x->progress, now))
        return;
    struct rep_progress_counts counts = live_counts(x);
    if (x->screen.on)
        draw_screen(x, now, &counts);
    else
        rep_progress_tick(&x->progress, now, clk_wall_now(x->clk), &counts);
}

static void make_page(void *arg, struct buf *page)
{
    struct rep_running *x = arg;
    struct rep_health health;
    struct rep_progress_counts counts = live_counts(x);
    bool begun = x->start_ns > 0 && clk_mono_now(x->clk).ns > x->start_ns;
    struct rep_metrics_view view = {
        .tier = op_tier_names[x->config->tier],
        .tally = &x->result->tally,
        .counts = &counts,
        .health = &health,
        .position_ns = begun ? clk_mono_now(x->clk).ns - x->start_ns : 0,
        .span_ns = x->progress.closed ? 0 : x->progress.span_ns,
    };
    judge_so_far(x, &health);
    rep_metrics_page(&view, page);
}

static void serve_metrics(struct rep_running *x)
{
    int64_t now = clk_mono_now(x->clk).ns;
    if (!x->metrics || now < x->metrics_next_ns)
        return;
    x->metrics_next_ns = now + REP_RUN_NAP_NS;
    rep_metrics_serve(x->metrics, now, make_page, x);
}

PRINTF_LIKE(2, 3)
static void abort_run(struct rep_running *x, const char *format, ...)
{
    va_list args;
    if (*x->result->aborted)
        return;
    va_start(args, format);
    vsnprintf(x->result->aborted, sizeof x->result->aborted, format, args);
    va_end(args);
    rep_running_stop(x);
}

void rep_running_look_at_rules(struct rep_running *x)
{
    char text[UNITS_TEXT_MAX], broken[REP_RULES_TEXT_MAX];
    struct rep_rule_counts sum = {0};
    int64_t now = clk_mono_now(x->clk).ns - x->start_ns;

    for (uint32_t i = 0; i < x->worker_count && x->config->rule_count > 0; i++) {
        struct rep_worker_live live = rep_worker_live(x->workers[i]);
        sum.due += live.due;
        sum.sent += live.sent;
        sum.outstanding += live.in_flight + live.waiting;
    }
    if (x->start_ns > 0 && x->worker_count > 0 && !rep_running_interrupted(x) &&
        rep_rules_look(&x->rules, now, &sum, broken))
        abort_run(x, "%s", broken);
    if (atomic_load(&x->control.too_late))
        abort_run(x, "an operation waited longer than --abort-late %s",
                  units_duration_text(x->config->policy.abort_late_ns, text));
}

static bool workers_ended(const struct rep_running *x)
{
    for (uint32_t i = 0; i < x->worker_count; i++)
        if (!rep_worker_ended(x->workers[i]))
            return false;
    return true;
}

void rep_running_watch(struct rep_running *x)
{
    bool told = false;
    rep_share_join(&x->share);
    for (;;) {
        bool ended = workers_ended(x);
        bool any = collect(x);
        rep_suspects_tick(&x->suspects, clk_mono_now(x->clk).ns);
        if (ended && !any)
            break;
        if (x->writer && x->fault.code == ERR_OK &&
            trc_writer_tick(x->writer, &x->fault) < 0)
            rep_running_stop(x);
        rep_clock_look(&x->clock, x->clk);
        if (rep_running_interrupted(x) && !told) {
            told = true;
            rep_running_stop(x);
        }
        rep_running_look_at_rules(x);
        if (x->start_ns > 0 && clk_mono_now(x->clk).ns >= x->start_ns)
            show_progress(x);
        serve_metrics(x);
        if (!any) {
            rep_share_work(false);
            rep_running_nap();
        }
    }
    rep_share_leave();
    rep_suspects_done(&x->suspects);
    rep_progress_end(&x->progress);
    rep_screen_leave(&x->screen);
}

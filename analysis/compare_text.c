/*
 * compare_text.c - `reprise compare` for a terminal of 80 columns, and its one line.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "analysis/compare.h"
#include "analysis/text.h"
#include "traces/run_notes.h"

#define WIDTH    80
#define LABEL    10
#define TITLE    17 /* of a gate */
#define ROWS_MAX 12 /* gates, and classes of errors */

static void label(struct buf *out, const char *text)
{
    ana_text_cell(out, text, LABEL, false);
}

static void put_wrapped(struct buf *out, const char *name, const char *text)
{
    label(out, name);
    ana_text_wrap(out, text, LABEL, LABEL, WIDTH);
}

/* --- what was compared --------------------------------------------------------------
 */

static void put_arm(const struct ana_comparison *c, int arm, struct buf *out)
{
    const struct ana_run *run = &c->runs[arm == 0 ? 0 : c->a_count];
    const char *tier = ana_run_note(run, NOTE_TARGET_TIER);
    const char *http = ana_run_note(run, NOTE_TARGET_HTTP);
    const char *kafka = ana_run_note(run, NOTE_TARGET_KAFKA);
    size_t runs = arm == 0 ? c->a_count : c->run_count - c->a_count;

    label(out, arm == 0 ? "A" : "B");
    if (strcmp(c->arm[arm], arm == 0 ? "A" : "B") != 0) {
        ana_text_name(out, c->arm[arm], 24);
        buf_str(out, "  ");
    }
    if (c->version[arm]) {
        buf_str(out, "version ");
        ana_text_name(out, c->version[arm], 20);
        buf_str(out, "  ");
    }
    if (tier) {
        ana_text_name(out, tier, 16);
        buf_str(out, "  ");
    }
    if (http || kafka) {
        ana_text_name(out, http ? http : kafka, 32);
        buf_str(out, "  ");
    }
    buf_fmt(out, "%zu run%s", runs, runs == 1 ? "" : "s");
    if (c->invalid_runs[arm] > 0)
        buf_fmt(out, ", %u invalid", c->invalid_runs[arm]);
    buf_str(out, "\n");
}

/* One letter for each run, in order of time; x for one that is INVALID. Pairs stand
 * together where they ran together: "AB BA xB AB". */
static void put_strip(const struct ana_comparison *c, struct buf *out)
{
    bool pairs = c->layout.kind == ANA_LAYOUT_PAIRED_RANDOM ||
                 c->layout.kind == ANA_LAYOUT_PAIRED_FIXED;
    size_t at = 0;

    buf_str(out, "  ");
    for (size_t i = 0; i < c->run_count; i++, at++) {
        size_t run = c->by_time[i];
        if (at >= 48) {
            buf_str(out, "...");
            return;
        }
        if (pairs && i > 0 && i % 2 == 0 && c->layout.unpaired == 0) {
            buf_str(out, " ");
            at++;
        }
        buf_str(out, c->runs[run].health == ANA_UNFIT ? "x"
                     : run < c->a_count               ? "A"
                                                      : "B");
    }
}

static void put_layout(const struct ana_comparison *c, struct buf *out)
{
    label(out, "layout");
    buf_str(out, ana_layout_names[c->layout.kind]);
    put_strip(c, out);
    buf_str(out, "\n");
    if (c->layout.unpaired > 0)
        buf_fmt(out, "%*s%zu run%s without a partner left out\n", LABEL, "",
                c->layout.unpaired, c->layout.unpaired == 1 ? "" : "s");
    if (c->layout.reason) {
        buf_fmt(out, "%*s", LABEL, "");
        ana_text_wrap(out, c->layout.reason, LABEL, LABEL, WIDTH);
    }
    if (c->attrition) {
        char text[160];
        snprintf(text, sizeof text,
                 "no green verdict: %u runs of A and %u of B were invalid, and a slow "
                 "target can be what made them so",
                 c->invalid_runs[0], c->invalid_runs[1]);
        buf_fmt(out, "%*s", LABEL, "");
        ana_text_wrap(out, text, LABEL, LABEL, WIDTH);
    }
}

/* --- gates ------------------------------------------------------------------------ */

static void put_value(struct buf *out, const struct ana_gate *g, int64_t ns,
                      double rate)
{
    char text[ANA_NS_TEXT_MAX];
    if (g->spec.errors)
        snprintf(text, sizeof text, "%.3g %%", 100 * rate);
    else
        ana_ns_text(ana_gate_shown(g) ? ns : ANA_NONE, text);
    ana_text_cell(out, text, 9, true);
}

static void put_interval(struct buf *out, const struct ana_gate *g)
{
    char low[ANA_NS_TEXT_MAX], high[ANA_NS_TEXT_MAX], both[2 * ANA_NS_TEXT_MAX + 2];
    if (ana_unbounded(&g->ci)) {
        ana_text_cell(out, "none", 15, true);
        return;
    }
    ana_effect_text(g, g->ci.low, low);
    ana_effect_text(g, g->ci.high, high);
    char *unit = strchr(low, ' '); /* once is enough */
    if (unit)
        *unit = '\0';
    if ((unit = strchr(high, ' ')))
        *unit = '\0';
    snprintf(both, sizeof both, "%s..%s", low, high);
    ana_text_cell(out, both, 15, true);
}

static void put_gate(const struct ana_gate *g, bool colour, struct buf *out)
{
    char text[ANA_NS_TEXT_MAX];

    ana_gate_title_cell(g, TITLE, out);
    put_value(out, g, g->a_ns, g->a_rate);
    put_value(out, g, g->b_ns, g->b_rate);
    if (g->why == ANA_WHY_NOTHING) {
        ana_text_cell(out, ana_effect_text(g, g->centre.estimate, text), 10, true);
        put_interval(out, g);
        snprintf(text, sizeof text, "%.2g",
                 100 * (g->spec.errors ? g->tolerance : expm1(g->tolerance)));
        ana_text_cell(out, text, 5, true);
    } else {
        ana_text_cell(out, ana_why_names[g->why], 30, true);
    }
    buf_str(out, "  ");
    ana_text_verdict(out, g->verdict, colour);
    if (g->capped)
        buf_str(out, "!");
    buf_str(out, "\n");
}

static void put_gates(const struct ana_comparison *c, bool colour, struct buf *out)
{
    bool capped = false;

    char ci[32];
    snprintf(ci, sizeof ci, "%.3g %% CI", 100 * (1 - 2 * c->config.alpha));
    buf_fmt(out, "\n%-*s%9s%9s%10s%15s%5s  verdict\n", TITLE, "gate", "A", "B",
            "effect", ci, "tol.");
    for (size_t i = 0; i < c->gate_count && i < ROWS_MAX; i++) {
        put_gate(&c->gates[i], colour, out);
        capped = capped || c->gates[i].capped;
    }
    if (c->gate_count > ROWS_MAX)
        buf_fmt(out, "and %zu gates more; --json has them all\n",
                c->gate_count - ROWS_MAX);
    if (capped)
        buf_str(
            out,
            "! the numbers alone say more than the way they were measured allows\n");
}

/* --- the rest --------------------------------------------------------------------- */

/* Gates whose effect hangs on the order in the pair, or on the time of day. */
static void put_drift(const struct ana_comparison *c, struct buf *out)
{
    char effect[ANA_NS_TEXT_MAX];

    for (size_t i = 0; i < c->gate_count; i++) {
        const struct ana_gate *g = &c->gates[i];
        bool order = g->drift.order_p < ANA_DRIFT_P,
             trend = g->drift.trend_p < ANA_DRIFT_P;
        struct buf line = {0};
        if (g->why != ANA_WHY_NOTHING || (!order && !trend))
            continue;
        ana_gate_title(g, &line);
        if (order)
            buf_fmt(&line,
                    ": the effect differs by %s with the order in the pair (p %.2g)",
                    ana_effect_text(g, g->drift.order, effect), g->drift.order_p);
        if (trend)
            buf_fmt(&line, "%s the effect drifts by %s a pair (p %.2g)",
                    order ? ";" : ":", ana_effect_text(g, g->drift.trend, effect),
                    g->drift.trend_p);
        put_wrapped(out, "note", buf_text(&line));
        buf_done(&line);
    }
}

static void put_errors(const struct ana_comparison *c, struct buf *out)
{
    if (c->bad[0] == 0 && c->bad[1] == 0) {
        label(out, "errors");
        buf_fmt(out,
                "none in %" PRIu64 " + %" PRIu64
                " operations (rate below %.2g %%, 95 %%)\n",
                c->due[0], c->due[1], 300.0 / (double)(c->due[1] ? c->due[1] : 1));
        return;
    }
    for (size_t i = 0; i < c->class_count && i < ROWS_MAX; i++) {
        const struct ana_error_class *k = &c->classes[i];
        label(out, i == 0 ? "errors" : "");
        ana_text_name(out, k->name, 32);
        buf_fmt(out, ": %" PRIu64 " in A, %" PRIu64 " in B%s\n", k->a, k->b,
                k->a == 0 ? "  (new)" : "");
    }
}

static void put_answers(const struct ana_comparison *c, struct buf *out)
{
    struct buf line = {0};

    if (c->answers.reason)
        return; /* --json tells it */
    ana_answers_text(&c->answers, &line);
    put_wrapped(out, "answers", buf_text(&line));
    buf_done(&line);
}

/* The least q, and the largest effect among equals, that is not among `shown`. */
static const struct ana_gate *next_finding(const struct ana_comparison *c,
                                           const struct ana_gate *const *shown,
                                           size_t n)
{
    const struct ana_gate *best = NULL;
    for (size_t i = 0; i < c->explored_count; i++) {
        const struct ana_gate *g = &c->explored[i];
        bool taken = !(g->q <= 0.05);
        for (size_t k = 0; k < n; k++)
            taken = taken || shown[k] == g;
        if (taken)
            continue;
        if (!best || g->q < best->q ||
            (g->q == best->q && fabs(g->centre.estimate) > fabs(best->centre.estimate)))
            best = g;
    }
    return best;
}

static void put_explored(const struct ana_comparison *c, struct buf *out)
{
    enum { SHOWN = 3 };
    const struct ana_gate *shown[SHOWN];
    char effect[ANA_NS_TEXT_MAX];

    label(out, "explored");
    buf_fmt(out, "%zu further numbers, %zu with q <= 0.05; they cannot fail a build\n",
            c->explored_count, c->discoveries);
    for (size_t n = 0; n < SHOWN && (shown[n] = next_finding(c, shown, n)); n++) {
        struct buf line = {0};
        ana_gate_title(shown[n], &line);
        buf_fmt(&line, " %s, q = %.2g",
                ana_effect_text(shown[n], shown[n]->centre.estimate, effect),
                shown[n]->q);
        buf_fmt(out, "%*s", LABEL, "");
        ana_text_wrap(out, buf_text(&line), LABEL, LABEL + 2, WIDTH);
        buf_done(&line);
    }
}

/* The file without its folders: they are mostly the same. */
static const char *file_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

/* How many of each, then the worst few with their first cause. */
static void put_health(const struct ana_comparison *c, struct buf *out)
{
    enum { SHOWN = 4 };
    size_t counts[ANA_HEALTH_COUNT] = {0}, shown = 0;

    for (size_t i = 0; i < c->run_count; i++)
        counts[c->runs[i].health]++;
    label(out, "health");
    buf_fmt(out, "%zu runs VALID, %zu DEGRADED, %zu INVALID\n", counts[ANA_VALID],
            counts[ANA_DEGRADED], counts[ANA_UNFIT]);
    for (int h = ANA_HEALTH_COUNT; h-- > ANA_DEGRADED;)
        for (size_t i = 0; i < c->run_count && shown < SHOWN; i++) {
            const struct ana_run *run = &c->runs[c->by_time[i]];
            struct buf line = {0};
            if ((int)run->health != h)
                continue;
            ana_text_name(&line, file_name(run->path), 40);
            buf_fmt(&line, " %s: ", ana_health_names[h]);
            ana_text_name(&line, run->cause_count ? run->causes[0].text : "", 200);
            buf_fmt(out, "%*s", LABEL, "");
            ana_text_wrap(out, buf_text(&line), LABEL, LABEL + 2, WIDTH);
            buf_done(&line);
            shown++;
        }
    size_t unsound = counts[ANA_DEGRADED] + counts[ANA_UNFIT];
    if (unsound > shown)
        buf_fmt(out, "%*sand %zu runs more; --json has them all\n", LABEL, "",
                unsound - shown);
}

void ana_compare_text(const struct ana_comparison *c, bool colour, struct buf *out)
{
    ana_text_verdict(out, c->verdict, colour);
    buf_str(out, c->fragile ? "  (fragile: one pair decides)\n" : "\n");
    ana_text_wrap(out, c->sentence, 0, 0, WIDTH);
    buf_str(out, "\n");
    put_arm(c, 0, out);
    put_arm(c, 1, out);
    put_layout(c, out);
    if (!c->invalid) {
        put_gates(c, colour, out);
        buf_str(out, "\n");
        put_drift(c, out);
        put_errors(c, out);
        put_explored(c, out);
    }
    put_answers(c, out);
    put_health(c, out);
    if (c->next_step)
        put_wrapped(out, "next", c->next_step);
}

void ana_compare_line(const struct ana_comparison *c, struct buf *out)
{
    char effect[ANA_NS_TEXT_MAX];
    unsigned at_fault = c->counts[c->verdict];

    buf_fmt(out, "VERDICT %s gates=%u/%zu pairs=%u", ana_verdict_names[c->verdict],
            at_fault, c->gate_count, c->pair_count);
    if (c->worst) {
        buf_str(out, " worst=\"");
        ana_gate_title(c->worst, out);
        if (c->worst->why == ANA_WHY_NOTHING)
            buf_fmt(out, " %s",
                    ana_effect_text(c->worst, c->worst->centre.estimate, effect));
        buf_str(out, "\"");
    }
    if (c->invalid) {
        buf_str(out, " reason=\"");
        ana_text_name(out, c->invalid, 200);
        buf_str(out, "\"");
    }
    buf_str(out, "\n");
}

/*
 * html_compare.c - `reprise compare --html`: the page. html_compare_charts.c draws.
 *
 * The order of the panels is the order of a reader's questions: what is the verdict,
 * what was compared, which gates, where in the distribution, how consistently, and can
 * it be believed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "analysis/html_compare.h"
#include "analysis/text.h"
#include "traces/run_notes.h"

#define EXPLORED_MAX 1000 /* rows: beyond, a page is no place for them */

const char *ana_verdict_class(enum ana_verdict v)
{
    return v == ANA_REGRESSED || v == ANA_INVALID ? "bad"
           : v == ANA_INCONCLUSIVE                ? "warn"
                                                  : "good";
}

static const char *icon_of(enum ana_verdict v)
{
    static const char *const icons[] = {"\xe2\x96\xbc", "\xef\xbc\x9d",
                                        "\xe2\x89\xa4", "?",
                                        "\xe2\x9c\x95", "\xe2\x96\xb2"};
    return icons[v];
}

/* --- banner ----------------------------------------------------------------------- */

static void put_counts(const struct ana_comparison *c, struct buf *out)
{
    char text[128];

    buf_str(out, "<dl class=\"facts\">\n");
    for (int v = ANA_VERDICT_COUNT; v-- > 0;)
        if (c->counts[v] > 0) {
            snprintf(text, sizeof text, "%u of %zu", c->counts[v], c->gate_count);
            ana_html_fact(out, ana_verdict_names[v], text);
        }
    snprintf(text, sizeof text, "%u valid, %u dropped", c->pair_count,
             c->invalid_pairs);
    ana_html_fact(out, "pairs", text);
    ana_html_fact(out, "layout", ana_layout_names[c->layout.kind]);
    if (!c->invalid && !c->layout.capped && c->pair_count > c->least_pairs &&
        c->verdict != ANA_INCONCLUSIVE)
        ana_html_fact(out, "leaving out any one pair",
                      c->fragile ? "changes the verdict: fragile" : "changes nothing");
    snprintf(text, sizeof text, "%d", (int)c->status);
    ana_html_fact(out, "exit status", text);
    ana_html_fact(out, "plan", c->plan_hash);
    buf_str(out, "</dl>\n");
}

static void put_banner(const struct ana_comparison *c, struct buf *out)
{
    const char *class = ana_verdict_class(c->verdict);

    buf_str(out, "<h1>reprise compare</h1>\n");
    buf_fmt(out, "<div class=\"banner %s\">\n<p class=\"word %s\">%s %s</p>\n<p>",
            class, class, icon_of(c->verdict), ana_verdict_names[c->verdict]);
    ana_escape(out, c->sentence);
    buf_str(out, "</p>\n");
    if (c->next_step) {
        buf_str(out, "<p><b>Next:</b> ");
        ana_escape(out, c->next_step);
        buf_str(out, ".</p>\n");
    }
    put_counts(c, out);
    buf_str(out, "</div>\n");
}

/* --- what was compared --------------------------------------------------------------
 */

static void put_arm(const struct ana_comparison *c, int arm, struct buf *out)
{
    const struct ana_run *run = &c->runs[arm == 0 ? 0 : c->a_count];
    char text[64];

    buf_fmt(out, "<dl class=\"facts\"><div><dt>arm</dt><dd><i class=\"key %s\"></i>%s",
            arm == 0 ? "a" : "b", arm == 0 ? "A, the baseline" : "B, the candidate");
    if (strcmp(c->arm[arm], arm == 0 ? "A" : "B") != 0) {
        buf_str(out, ": ");
        ana_escape(out, c->arm[arm]);
    }
    buf_str(out, "</dd></div>\n");
    ana_html_fact(out, "version", c->version[arm]);
    ana_html_fact(out, "tier", ana_run_note(run, NOTE_TARGET_TIER));
    ana_html_fact(out, "http", ana_run_note(run, NOTE_TARGET_HTTP));
    ana_html_fact(out, "grpc", ana_run_note(run, NOTE_TARGET_GRPC));
    ana_html_fact(out, "kafka", ana_run_note(run, NOTE_TARGET_KAFKA));
    snprintf(text, sizeof text, "%zu, %u of them invalid",
             arm == 0 ? c->a_count : c->run_count - c->a_count, c->invalid_runs[arm]);
    ana_html_fact(out, "runs", text);
    buf_str(out, "</dl>\n");
}

static void put_compared(const struct ana_comparison *c, struct buf *out)
{
    const struct ana_run *run = &c->runs[0];

    ana_html_section(out, "What was compared", c->layout.reason);
    put_arm(c, 0, out);
    put_arm(c, 1, out);
    buf_str(out, "<dl class=\"facts\">\n");
    ana_html_fact(out, "trace", ana_run_note(run, NOTE_TRACE_FILE));
    ana_html_fact(out, "trace hash", ana_run_note(run, NOTE_TRACE_HASH));
    ana_html_fact(out, "speed", ana_run_note(run, NOTE_SCHEDULE_SPEED));
    ana_html_fact(out, "loop", ana_run_note(run, NOTE_SCHEDULE_MODE));
    ana_html_fact(out, "first start",
                  ana_run_note(&c->runs[c->by_time[0]], NOTE_START));
    buf_str(out, "</dl>\n");
    ana_draw_strip(c, out);
    ana_html_section_end(out);
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
    ana_html_td(out, "n", text);
}

static void put_difference(struct buf *out, const struct ana_gate *g)
{
    char text[ANA_NS_TEXT_MAX], signed_text[ANA_NS_TEXT_MAX + 1];

    if (g->spec.errors || g->why != ANA_WHY_NOTHING || g->a_ns == ANA_INF ||
        g->b_ns == ANA_INF) {
        ana_html_td(out, "n", "");
        return;
    }
    ana_ns_text(g->b_ns - g->a_ns, text);
    snprintf(signed_text, sizeof signed_text, "%s%s", g->b_ns >= g->a_ns ? "+" : "",
             text);
    ana_html_td(out, "n", signed_text);
}

static void put_interval(struct buf *out, const struct ana_gate *g,
                         const struct ana_interval *i)
{
    char low[ANA_NS_TEXT_MAX], high[ANA_NS_TEXT_MAX], both[2 * ANA_NS_TEXT_MAX + 8];
    if (ana_unbounded(i)) {
        ana_html_td(out, "n grey", "none");
        return;
    }
    ana_effect_text(g, i->low, low);
    char *unit = strchr(low, ' '); /* once is enough */
    if (unit && isfinite(i->high))
        *unit = '\0';
    snprintf(both, sizeof both, "%s to %s", low, ana_effect_text(g, i->high, high));
    ana_html_td(out, "n", both);
}

static void put_p(struct buf *out, double p)
{
    char text[32];
    snprintf(text, sizeof text, "%.3g", p);
    ana_html_td(out, "n", isnan(p) ? "" : text);
}

static void put_gate_row(const struct ana_gate *g, struct buf *out)
{
    struct buf title = {0};
    char text[ANA_NS_TEXT_MAX];

    ana_gate_title(g, &title);
    buf_str(out, "<tr>");
    ana_html_td(out, "wrap", buf_text(&title));
    buf_done(&title);
    put_value(out, g, g->a_ns, g->a_rate);
    put_value(out, g, g->b_ns, g->b_rate);
    if (g->why != ANA_WHY_NOTHING) {
        buf_fmt(out,
                "<td colspan=\"7\" class=\"grey\">%s: needs %" PRIu64
                " operations a run, smallest has %" PRIu64 "</td>",
                ana_why_names[g->why], g->needed_n, g->least_n);
    } else {
        put_difference(out, g);
        ana_html_td(out, "n", ana_effect_text(g, g->centre.estimate, text));
        put_interval(out, g, &g->ci);
        put_interval(out, g, &g->ci_all);
        put_p(out, fmin(g->adj_worse, g->adj_better));
        snprintf(text, sizeof text, g->spec.errors ? "%.3g pp" : "%.3g %%",
                 100 * (g->spec.errors ? g->tolerance : expm1(g->tolerance)));
        ana_html_td(out, "n", text);
        if (isinf(g->mde))
            ana_html_td(out, "n grey", "none");
        else
            ana_html_td(out, "n", ana_effect_text(g, g->mde, text) + 1);
    }
    buf_fmt(out, "<td class=\"word %s\">%s %s%s</td></tr>\n",
            ana_verdict_class(g->verdict), icon_of(g->verdict),
            ana_verdict_names[g->verdict], g->capped ? " (capped)" : "");
}

static void put_gates(const struct ana_comparison *c, struct buf *out)
{
    char ci[32];

    ana_html_section(
        out, "Gates",
        "The bar is the confidence interval of the effect over pairs, the shaded field "
        "the tolerance, the tick the smallest effect that would have been found in 4 "
        "of 5 such experiments. Right is worse.");
    ana_draw_forest(c, out);
    snprintf(ci, sizeof ci, "%.3g %% CI", 100 * (1 - 2 * c->config.alpha));
    buf_str(out, "<div class=\"scroll\"><table><thead><tr><th>gate</th><th "
                 "class=\"n\">A</th><th class=\"n\">B</th><th class=\"n\">B - "
                 "A</th><th class=\"n\">effect</th>");
    ana_html_th(out, "n", ci);
    buf_str(out, "<th class=\"n\">CI, all at once</th><th class=\"n\">adj. p</th><th "
                 "class=\"n\">tolerance</th><th "
                 "class=\"n\">MDE</th><th>verdict</th></tr></thead><tbody>\n");
    for (size_t i = 0; i < c->gate_count; i++)
        put_gate_row(&c->gates[i], out);
    buf_str(out, "</tbody></table></div>\n");
    ana_html_section_end(out);
}

/* --- the rest --------------------------------------------------------------------- */

static void put_explored_row(const struct ana_gate *g, struct buf *out)
{
    char text[ANA_NS_TEXT_MAX];
    struct buf title = {0};

    ana_gate_title(g, &title);
    buf_str(out, "<tr>");
    ana_html_td(out, "wrap", buf_text(&title));
    buf_done(&title);
    buf_fmt(out, "<td class=\"n\">%" PRIu64 "</td>", g->least_n);
    put_value(out, g, g->a_ns, g->a_rate);
    put_value(out, g, g->b_ns, g->b_rate);
    if (g->why != ANA_WHY_NOTHING) {
        buf_fmt(out, "<td colspan=\"4\" class=\"grey\">%s</td></tr>\n",
                ana_why_names[g->why]);
        return;
    }
    put_difference(out, g);
    ana_html_td(out, "n", ana_effect_text(g, g->centre.estimate, text));
    put_interval(out, g, &g->ci);
    put_p(out, g->q);
    buf_str(out, "</tr>\n");
}

static void put_explored(const struct ana_comparison *c, struct buf *out)
{
    ana_html_section(
        out, "Everything else",
        "Explored, not judged: q is the share of false findings among all numbers with "
        "this q or less (Benjamini, Hochberg). Nothing here can fail a build.");
    buf_str(
        out,
        "<details open=\"open\"><summary>all numbers</summary><div "
        "class=\"scroll\"><table><thead><tr><th>number</th><th "
        "class=\"n\">operations</th><th class=\"n\">A</th><th class=\"n\">B</th><th "
        "class=\"n\">B - A</th><th class=\"n\">effect</th><th class=\"n\">CI</th><th "
        "class=\"n\">q</th></tr></thead><tbody>\n");
    for (size_t i = 0; i < c->explored_count && i < EXPLORED_MAX; i++)
        put_explored_row(&c->explored[i], out);
    buf_str(out, "</tbody></table></div></details>\n");
    if (c->explored_count > EXPLORED_MAX)
        buf_fmt(out,
                "<p class=\"lead\">And %zu numbers more; --json has them all.</p>\n",
                c->explored_count - EXPLORED_MAX);
    ana_html_section_end(out);
}

static void put_errors(const struct ana_comparison *c, struct buf *out)
{
    char lead[160];

    if (c->bad[0] + c->bad[1] == 0)
        snprintf(
            lead, sizeof lead,
            "None in %" PRIu64 " operations of A and %" PRIu64
            " of B: the rate of B lies below %.2g %% (95 %%, if errors come singly).",
            c->due[0], c->due[1], 300.0 / (double)(c->due[1] ? c->due[1] : 1));
    else
        snprintf(lead, sizeof lead,
                 "%" PRIu64 " of %" PRIu64 " operations in A, %" PRIu64 " of %" PRIu64
                 " in B. Classes that A never showed come first.",
                 c->bad[0], c->due[0], c->bad[1], c->due[1]);
    ana_html_section(out, "Errors", lead);
    if (c->class_count > 0) {
        buf_str(
            out,
            "<div class=\"scroll\"><table><thead><tr><th>class</th><th "
            "class=\"n\">A</th><th class=\"n\">B</th><th></th></tr></thead><tbody>\n");
        for (size_t i = 0; i < c->class_count; i++) {
            buf_str(out, "<tr>");
            ana_html_td(out, "wrap", c->classes[i].name);
            buf_fmt(out,
                    "<td class=\"n\">%" PRIu64 "</td><td class=\"n\">%" PRIu64
                    "</td><td class=\"bad\">%s</td></tr>\n",
                    c->classes[i].a, c->classes[i].b,
                    c->classes[i].a == 0 ? "new" : "");
        }
        buf_str(out, "</tbody></table></div>\n");
    }
    ana_html_section_end(out);
}

static void put_answers(const struct ana_comparison *c, struct buf *out)
{
    struct buf lead = {0};

    if (c->answers.reason)
        return;
    ana_answers_text(&c->answers, &lead);
    ana_html_section(out, "Answers", buf_text(&lead));
    ana_html_section_end(out);
    buf_done(&lead);
}

static void put_run_row(const struct ana_comparison *c, size_t i, struct buf *out)
{
    static const char *const class[] = {"good", "warn", "bad"};
    const struct ana_run *run = &c->runs[i];
    char text[ANA_NS_TEXT_MAX];

    buf_str(out, "<tr>");
    ana_html_td(out, NULL, i < c->a_count ? "A" : "B");
    ana_html_td(out, "wrap", run->path);
    ana_html_td(out, NULL,
                ana_run_note(run, NOTE_START) ? ana_run_note(run, NOTE_START) : "");
    buf_fmt(out, "<td class=\"n\">%" PRIu64 "</td><td class=\"n\">%" PRIu64 "</td>",
            run->all.counts.due, run->all.counts.due - run->all.counts.ok);
    ana_html_td(
        out, "n",
        ana_quantile_text(run, &run->all.latency[ANA_GENERATOR], ANA_P(99), text));
    buf_fmt(out, "<td class=\"word %s\">%s</td><td class=\"wrap\">", class[run->health],
            ana_health_names[run->health]);
    for (size_t k = 0; k < run->cause_count; k++) {
        buf_fmt(out, "%s%s ", k ? "; " : "", ana_health_names[run->causes[k].severity]);
        ana_escape(out, run->causes[k].text);
    }
    buf_str(out, "</td></tr>\n");
}

static void put_health(const struct ana_comparison *c, struct buf *out)
{
    ana_html_section(out, "Health of the runs",
                     "In order of time. An INVALID run takes its pair out of the "
                     "comparison; nothing else is ever left out.");
    buf_str(
        out,
        "<div "
        "class=\"scroll\"><table><thead><tr><th>arm</th><th>run</th><th>start</th><th "
        "class=\"n\">due</th><th class=\"n\">bad</th><th class=\"n\">generator late, "
        "p99</th><th>health</th><th>causes</th></tr></thead><tbody>\n");
    for (size_t i = 0; i < c->run_count; i++)
        put_run_row(c, c->by_time[i], out);
    buf_str(out, "</tbody></table></div>\n");
    ana_html_section_end(out);
}

static void put_method(const struct ana_comparison *c, struct buf *out)
{
    ana_html_section(out, "Method", NULL);
    buf_fmt(out,
            "<p>The replicate is the run, the evidence the pair of runs. For each gate "
            "and pair the effect is log(B/A) of an exact quantile (rank ceil(p n), an "
            "observed value; failures infinite), for errors the difference of rates. "
            "Tests flip the signs of the effects: %s patterns, statistic the "
            "studentised mean, adjusted over all gates by the step-down maximum "
            "(Westfall, Young). Intervals invert the same test. REGRESSED needs an "
            "adjusted p of at most %.3g and an estimate of at least the tolerance; NO "
            "CHANGE needs both one-sided tests against the tolerance to reject at "
            "%.3g.</p>\n<p>The tolerance is the larger of its share and of a floor: "
            "%.3g &#181;s or twice the generator's own lateness. Seed %" PRIu64
            ", reprise " REPRISE_VERSION ".</p>\n"
            "<p>Not claimed: anything about other traffic, other machines, or "
            "quantiles with fewer than 20 observations beyond them. Effects that last "
            "from one run into the next are not seen.</p>\n",
            c->pair_count <= ANA_EXACT_PAIRS ? "all" : "9,999 random", c->config.alpha,
            c->config.alpha, (double)c->config.floor_ns / 1e3, c->config.seed);
    ana_html_section_end(out);
}

void ana_compare_html(const struct ana_comparison *c, struct buf *out)
{
    struct buf title = {0};

    assert(c->config.charts);
    buf_fmt(&title, "%s: reprise compare", ana_verdict_names[c->verdict]);
    ana_html_open(out, buf_text(&title));
    buf_done(&title);
    put_banner(c, out);
    put_compared(c, out);
    if (!c->invalid) {
        put_gates(c, out);
        ana_draw_distribution(c, out);
        ana_draw_shift(c, out);
        ana_draw_pairs(c, out);
        ana_draw_parts(c, out);
        ana_draw_over_time(c, out);
        put_explored(c, out);
        put_errors(c, out);
    }
    put_answers(c, out);
    put_health(c, out);
    put_method(c, out);
    ana_html_close(out);
}

/*
 * html_report.c - `reprise report --html`.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "analysis/html.h"
#include "analysis/report.h"
#include "analysis/text.h"
#include "traces/base/clk.h"
#include "traces/base/units.h"
#include "traces/run_notes.h"

static const char *const metric_words[] = {
    "response (from due; failures infinite)",
    "response of good answers",
    "service (from sent)",
    "first byte (from sent)",
    "lateness: generator",
    "lateness: target",
    "first message (from sent)",
    "between messages",
};

/* --- banner ----------------------------------------------------------------------- */

static void put_facts(const struct ana_run *run, struct buf *out)
{
    char text[CLK_TEXT_MAX];

    buf_str(out, "<dl class=\"facts\">\n");
    ana_html_fact(out, "run", run->path);
    ana_html_fact(out, "trace", ana_run_note(run, NOTE_TRACE_FILE));
    ana_html_fact(out, "trace hash", ana_run_note(run, NOTE_TRACE_HASH));
    ana_html_fact(out, "tier", ana_run_note(run, NOTE_TARGET_TIER));
    ana_html_fact(out, "http", ana_run_note(run, NOTE_TARGET_HTTP));
    ana_html_fact(out, "grpc", ana_run_note(run, NOTE_TARGET_GRPC));
    ana_html_fact(out, "kafka", ana_run_note(run, NOTE_TARGET_KAFKA));
    ana_html_fact(out, "version", ana_run_note(run, NOTE_LABEL_VERSION));
    ana_html_fact(out, "loop", ana_run_note(run, NOTE_SCHEDULE_MODE));
    ana_html_fact(out, "speed", ana_run_note(run, NOTE_SCHEDULE_SPEED));
    if (run->start_wall_ns > 0) {
        clk_wall_text((struct clk_wall){run->start_wall_ns}, text);
        ana_html_fact(out, "start", text);
    }
    buf_str(out, "</dl>\n");
}

static void put_banner(const struct ana_run *run, struct buf *out)
{
    static const char *const class[] = {"good", "warn", "bad"};
    static const char *const icon[] = {"\xe2\x9c\x93", "!", "\xe2\x9c\x95"};
    const struct ana_counts *c = &run->all.counts;
    char p50[ANA_NS_TEXT_MAX], p99[ANA_NS_TEXT_MAX];
    const struct ana_latency *l = &run->all.latency[ANA_RESPONSE];

    buf_str(out, "<h1>reprise report</h1>\n");
    buf_fmt(out, "<div class=\"banner %s\">\n<p class=\"word %s\">%s %s</p>\n<p>",
            class[run->health], class[run->health], icon[run->health],
            ana_health_names[run->health]);
    buf_fmt(out, "%" PRIu64 " operations were due, %" PRIu64 " were answered well. ",
            c->due, c->ok);
    buf_fmt(out, "Response time from due: p50 %s, p99 %s.</p>\n",
            ana_quantile_text(run, l, ANA_P(50), p50),
            ana_quantile_text(run, l, ANA_P(99), p99));
    for (size_t i = 0; i < run->cause_count; i++) {
        buf_fmt(out, "<p><b>%s</b> ", ana_health_names[run->causes[i].severity]);
        ana_escape(out, run->causes[i].code);
        buf_str(out, ": ");
        ana_escape(out, run->causes[i].text);
        buf_str(out, "</p>\n");
    }
    put_facts(run, out);
    buf_str(out, "</div>\n");
}

/* --- numbers ---------------------------------------------------------------------- */

static void put_count(struct buf *out, const char *name, uint64_t n)
{
    char text[32];
    snprintf(text, sizeof text, "%" PRIu64, n);
    ana_html_fact(out, name, text);
}

static void put_operations(const struct ana_run *run, struct buf *out)
{
    const struct ana_counts *c = &run->all.counts;
    char text[UNITS_TEXT_MAX];

    ana_html_section(out, "Operations",
                     "due = done + dropped + refused + stopped, and done = ok + "
                     "failed; nothing is missing from these sums.");
    buf_str(out, "<dl class=\"facts\">\n");
    put_count(out, "due", c->due);
    put_count(out, "sent", c->sent);
    put_count(out, "done", c->done);
    put_count(out, "ok", c->ok);
    put_count(out, "failed", c->failed);
    put_count(out, "dropped", c->dropped);
    put_count(out, "refused", c->refused);
    put_count(out, "stopped", c->stopped);
    if (run->cut > 0)
        put_count(out, "left out as warm-up", run->cut);
    if (run->cut_late > 0)
        put_count(out, "left out as cool-down", run->cut_late);
    if (!isnan(ana_rate_offered(run)))
        ana_html_fact(out, "offered", units_rate_text(ana_rate_offered(run), text));
    if (!isnan(ana_rate_achieved(run)))
        ana_html_fact(out, "achieved", units_rate_text(ana_rate_achieved(run), text));
    ana_html_fact(out, "body bytes out", units_size_text(c->bytes_out, text));
    ana_html_fact(out, "body bytes in", units_size_text(c->bytes_in, text));
    buf_str(out, "</dl>\n");
    ana_html_section_end(out);
}

static void put_latency_row(const struct ana_run *run, const char *name,
                            const struct ana_latency *l, struct buf *out)
{
    char text[ANA_NS_TEXT_MAX];
    int64_t mean = isnan(l->d.mean)   ? ANA_NONE
                   : isinf(l->d.mean) ? ANA_INF
                                      : (int64_t)llround(l->d.mean);

    buf_str(out, "<tr>");
    ana_html_td(out, NULL, name);
    for (size_t i = 0; i < ANA_STANDARD_COUNT; i++)
        ana_html_td(out, "n", ana_quantile_text(run, l, ana_standard_p[i], text));
    ana_html_td(out, "n", ana_ns_text(l->d.max, text));
    ana_html_td(out, "n", ana_ns_text(mean, text));
    buf_str(out, "</tr>\n");
}

static void put_latency_head(const char *first, struct buf *out)
{
    static const char *const heads[] = {"p50",   "p90", "p95", "p99",
                                        "p99.9", "max", "mean"};
    buf_str(out, "<div class=\"scroll\"><table><thead><tr>");
    ana_html_th(out, NULL, first);
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++)
        ana_html_th(out, "n", heads[i]);
    buf_str(out, "</tr></thead>\n<tbody>\n");
}

struct shown {
    enum ana_metric metric;
    const char *class, *hint;
};

static void draw_percentiles(const struct ana_run *run, unsigned id, const char *title,
                             const struct shown *shown, size_t n, struct buf *out)
{
    double y[2][ANA_CURVE];
    struct ana_line lines[2];

    for (size_t i = 0; i < n; i++) {
        ana_curve_seconds(run, shown[i].metric, y[i]);
        lines[i] = (struct ana_line){shown[i].class, shown[i].hint, y[i]};
    }
    ana_html_percentiles(out, id, title,
                         "Latency over the share of operations that were at least as "
                         "fast; the table below has the same numbers.",
                         lines, n,
                         ana_curve_trusted(run->all.latency[shown[0].metric].d.n));
}

static void put_percentiles(const struct ana_run *run, struct buf *out)
{
    static const struct shown response[] = {
        {ANA_SERVICE, "mid ink dots", "service, good answers"},
        {ANA_RESPONSE, "thick a", "response, failures infinite"},
    };
    static const struct shown lateness[] = {
        {ANA_BACK_PRESSURE, "thick a", "lateness by back-pressure"},
        {ANA_GENERATOR, "thick b", "lateness of the generator"},
    };

    ana_html_section(
        out, "Latency",
        "Exact quantiles. The axis gives every further nine the same room. A curve "
        "that leaves at the top has reached the operations that failed.");
    draw_percentiles(run, 1, "Percentiles of response and service", response, 2, out);
    buf_str(out, "<p class=\"legend\"><span><i class=\"key a\"></i>response, from "
                 "due</span><span>dotted: service, from sent</span></p>\n");
    draw_percentiles(run, 2, "Percentiles of lateness", lateness, 2, out);
    buf_str(
        out,
        "<p class=\"legend\"><span><i class=\"key b\"></i>lateness of the generator: "
        "our fault</span><span><i class=\"key a\"></i>lateness by back-pressure: the "
        "target held everything</span><span>zero lies on the lower edge</span></p>\n");
    put_latency_head("", out);
    for (int m = 0; m < ANA_METRIC_COUNT; m++)
        if (!ana_is_of_streams((enum ana_metric)m) || run->all.latency[m].d.n > 0)
            put_latency_row(run, metric_words[m], &run->all.latency[m], out);
    buf_str(out,
            "</tbody></table></div>\n<p class=\"lead\">- : fewer than 10 observations "
            "beyond; * : fewer than 20, shown but never judged.</p>\n");
    ana_html_section_end(out);
}

/* What back-pressure was made of. */
static void put_waits(const struct ana_run *run, struct buf *out)
{
    char text[UNITS_TEXT_MAX];
    uint64_t waited = 0;

    for (int i = OUT_WAIT_SLOT; i < OUT_WAIT_COUNT; i++)
        waited += run->waits[i].count;
    ana_html_section(out, "Waits",
                     waited
                         ? "What operations waited for between due and ready: lateness "
                           "that is the target's."
                         : "None: whatever was due found a connection or stream free.");
    if (waited > 0) {
        buf_str(out, "<div class=\"scroll\"><table><thead><tr><th>waited for</th><th "
                     "class=\"n\">operations</th><th class=\"n\">in all</th><th "
                     "class=\"n\">at most</th></tr></thead><tbody>\n");
        for (int i = OUT_WAIT_SLOT; i < OUT_WAIT_COUNT; i++) {
            const struct ana_wait *w = &run->waits[i];
            if (w->count == 0)
                continue;
            buf_str(out, "<tr>");
            ana_html_td(out, NULL, ana_wait_words[i]);
            buf_fmt(out, "<td class=\"n\">%" PRIu64 "</td>", w->count);
            ana_html_td(out, "n", units_duration_text(w->total_ns, text));
            ana_html_td(out, "n", units_duration_text(w->most_ns, text));
            buf_str(out, "</tr>\n");
        }
        buf_str(out, "</tbody></table></div>\n");
    }
    ana_html_section_end(out);
}

static double block_seconds(int64_t ns)
{
    return ns == ANA_NONE ? NAN : ns == ANA_INF ? INFINITY : (double)ns / 1e9;
}

static void put_blocks_table(const struct ana_run *run, const char *high,
                             struct buf *out)
{
    char text[ANA_NS_TEXT_MAX];

    buf_fmt(out,
            "<details><summary>the numbers</summary><div "
            "class=\"scroll\"><table><thead><tr><th class=\"n\">from</th><th "
            "class=\"n\">due</th><th class=\"n\">bad</th><th class=\"n\">p50</th><th "
            "class=\"n\">%s</th><th class=\"n\">generator %s</th><th "
            "class=\"n\">back-pressure %s</th></tr></thead><tbody>\n",
            high, high, high);
    for (size_t b = 0; b < run->block_count; b++) {
        const struct ana_block *k = &run->blocks[b];
        buf_str(out, "<tr>");
        ana_html_td(out, "n",
                    ana_ns_text(run->first_due_ns + (int64_t)b * run->block_ns, text));
        buf_fmt(out, "<td class=\"n\">%" PRIu64 "</td><td class=\"n\">%" PRIu64 "</td>",
                k->due, k->failed);
        ana_html_td(out, "n", ana_ns_text(k->p50, text));
        ana_html_td(out, "n", ana_ns_text(k->high, text));
        ana_html_td(out, "n", ana_ns_text(k->generator_high, text));
        ana_html_td(out, "n", ana_ns_text(k->back_pressure_high, text));
        buf_str(out, "</tr>\n");
    }
    buf_str(out, "</tbody></table></div></details>\n");
}

static void put_timeline(const struct ana_run *run, struct buf *out)
{
    double p50[ANA_BLOCKS], top[ANA_BLOCKS], late[ANA_BLOCKS], pressure[ANA_BLOCKS];
    double span = (double)run->block_ns * (double)run->block_count / 1e9;
    struct ana_line response[] = {{"mid a", "response, p50", p50},
                                  {"thick a", "response, high", top}};
    struct ana_line lateness[] = {{"thick a", "back-pressure, high", pressure},
                                  {"thick b", "generator lateness, high", late}};
    char high[ANA_P_TEXT_MAX], lead[240];

    ana_p_text(run->high_p, high);
    for (size_t b = 0; b < run->block_count; b++) {
        p50[b] = block_seconds(run->blocks[b].p50);
        top[b] = block_seconds(run->blocks[b].high);
        late[b] = block_seconds(run->blocks[b].generator_high);
        pressure[b] = block_seconds(run->blocks[b].back_pressure_high);
    }
    snprintf(lead, sizeof lead,
             "The run in %zu slices of equal length, by due time; where %s of a slice "
             "falls among its failures, the line leaves at the top.",
             run->block_count, high);
    ana_html_section(out, "Over time", lead);
    ana_html_timeline(out, 3, "Response time over the time of the run",
                      "The median and a high quantile of response time by slice; the "
                      "table below has the numbers.",
                      response, 2, run->block_count, span);
    buf_fmt(out,
            "<p class=\"legend\"><span><i class=\"key a\"></i>response: %s thick, p50 "
            "thin</span></p>\n",
            high);
    ana_html_timeline(out, 4, "Lateness over the time of the run",
                      "A high quantile of both kinds of lateness by slice; the table "
                      "below has the numbers.",
                      lateness, 2, run->block_count, span);
    buf_fmt(out,
            "<p class=\"legend\"><span><i class=\"key b\"></i>generator lateness, "
            "%s</span><span><i class=\"key a\"></i>back-pressure, %s</span></p>\n",
            high, high);
    put_blocks_table(run, high, out);
    ana_html_section_end(out);
}

/* --- tables ----------------------------------------------------------------------- */

static void put_errors(const struct ana_run *run, struct buf *out)
{
    ana_html_section(out, "Errors",
                     run->class_count == 0 ? "None: every operation was answered well."
                                           : NULL);
    if (run->class_count > 0) {
        buf_str(
            out,
            "<div class=\"scroll\"><table><thead><tr><th>class</th><th "
            "class=\"n\">count</th><th class=\"n\">of due</th></tr></thead><tbody>\n");
        for (size_t i = 0; i < run->class_count; i++) {
            buf_str(out, "<tr>");
            ana_html_td(out, "wrap", run->classes[i].name);
            buf_fmt(out,
                    "<td class=\"n\">%" PRIu64
                    "</td><td class=\"n\">%.3g %%</td></tr>\n",
                    run->classes[i].count,
                    100 * (double)run->classes[i].count / (double)run->all.counts.due);
        }
        buf_str(out, "</tbody></table></div>\n");
    }
    ana_html_section_end(out);
}

static void put_cells(const struct ana_run *run, const struct ana_cell *cells, size_t n,
                      struct buf *out)
{
    char text[ANA_NS_TEXT_MAX];

    if (n == 0)
        return;
    ana_html_section(out, cells[0].by_type ? "Model types" : "Models",
                     "Response time from due, failures infinite.");
    buf_str(out,
            "<div "
            "class=\"scroll\"><table><thead><tr><th>model</th><th>protocol</"
            "th><th>tier</th><th class=\"n\">due</th><th class=\"n\">bad</th><th "
            "class=\"n\">p50</th><th class=\"n\">p90</th><th class=\"n\">p95</th><th "
            "class=\"n\">p99</th><th class=\"n\">p99.9</th></tr></thead><tbody>\n");
    for (size_t i = 0; i < n; i++) {
        const struct ana_cell *c = &cells[i];
        buf_str(out, "<tr>");
        ana_html_td(out, "wrap", c->name);
        ana_html_td(out, NULL, op_protocol_names[c->protocol]);
        ana_html_td(out, NULL, op_tier_names[c->tier]);
        buf_fmt(out, "<td class=\"n\">%" PRIu64 "</td><td class=\"n\">%" PRIu64 "</td>",
                c->counts.due, c->counts.due - c->counts.ok);
        for (size_t k = 0; k < ANA_STANDARD_COUNT; k++)
            ana_html_td(out, "n",
                        ana_quantile_text(run, &c->latency[ANA_RESPONSE],
                                          ana_standard_p[k], text));
        buf_str(out, "</tr>\n");
    }
    buf_str(out, "</tbody></table></div>\n");
    ana_html_section_end(out);
}

static void put_notes(const struct ana_run *run, struct buf *out)
{
    ana_html_section(out, "What the run says of itself", NULL);
    buf_str(
        out,
        "<details><summary>all notes</summary><div class=\"scroll\"><table><tbody>\n");
    for (size_t i = 0; i < run->note_count; i++) {
        buf_str(out, "<tr>");
        ana_html_td(out, NULL, run->notes[i].key);
        ana_html_td(out, "wrap", run->notes[i].value);
        buf_str(out, "</tr>\n");
    }
    buf_str(out, "</tbody></table></div></details>\n");
    ana_html_section_end(out);
}

void ana_report_html(const struct ana_run *run, struct buf *out)
{
    assert(run->charts);
    ana_html_open(out, "reprise report");
    put_banner(run, out);
    put_operations(run, out);
    put_percentiles(run, out);
    put_waits(run, out);
    if (run->block_count > 1)
        put_timeline(run, out);
    put_errors(run, out);
    put_cells(run, run->types, run->type_count, out);
    put_cells(run, run->cells, run->cell_count, out);
    put_notes(run, out);
    ana_html_close(out);
}

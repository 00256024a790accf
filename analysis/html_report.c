/*
 * html_report.c - `reprise report --html`.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
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

    ana_html_section(
        out, "Operations",
        "due = done + dropped + refused + stopped, and done = ok + failed; "
        "nothing is missing from these sums.");
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

static void put_percentiles(const struct ana_run *run, struct buf *out)
{
    static const struct {
        enum ana_metric metric;
        const char *class, *hint;
    } shown[] = {
        {ANA_SERVICE, "mid softline dots", "service, good answers"},
        {ANA_GENERATOR, "mid b", "lateness of the generator"},
        {ANA_BACK_PRESSURE, "mid ink dots", "lateness by back-pressure"},
        {ANA_RESPONSE, "thick a", "response, failures infinite"},
    };
    enum { SHOWN = sizeof shown / sizeof *shown };
    double y[SHOWN][ANA_CURVE];
    struct ana_line lines[SHOWN];

    for (size_t i = 0; i < SHOWN; i++) {
        ana_curve_seconds(run, shown[i].metric, y[i]);
        lines[i] = (struct ana_line){shown[i].class, shown[i].hint, y[i]};
    }
    ana_html_section(
        out, "Latency",
        "Exact quantiles. The axis gives every further nine the same room. A "
        "curve that leaves at the top has reached the operations that failed.");
    ana_html_percentiles(
        out, 1, "Percentiles of response, service and lateness",
        "Latency over the share of operations that were at least as fast; "
        "the table below has the same numbers.",
        lines, SHOWN, ana_curve_trusted(run->all.latency[ANA_RESPONSE].d.n));
    buf_str(out,
            "<p class=\"legend\"><span><i class=\"key a\"></i>response, from due</span>"
            "<span>dotted grey: service, from sent</span>"
            "<span><i class=\"key b\"></i>lateness of the generator</span>"
            "<span>dotted dark: lateness by back-pressure</span></p>\n");
    put_latency_head("", out);
    for (int m = 0; m < ANA_METRIC_COUNT; m++)
        put_latency_row(run, metric_words[m], &run->all.latency[m], out);
    buf_str(out,
            "</tbody></table></div>\n<p class=\"lead\">- : fewer than 10 observations "
            "beyond; * : fewer than 20, shown but never judged.</p>\n");
    ana_html_section_end(out);
}

static double block_seconds(int64_t ns)
{
    return ns == ANA_NONE ? NAN : ns == ANA_INF ? INFINITY : (double)ns / 1e9;
}

static void put_blocks_table(const struct ana_run *run, struct buf *out)
{
    char text[ANA_NS_TEXT_MAX];

    buf_str(
        out,
        "<details><summary>the numbers</summary><div class=\"scroll\"><table><thead>"
        "<tr><th class=\"n\">from</th><th class=\"n\">due</th>"
        "<th class=\"n\">bad</th><th class=\"n\">p50</th><th class=\"n\">p99</th>"
        "<th class=\"n\">generator p99</th><th class=\"n\">back-pressure p99</th>"
        "</tr></thead><tbody>\n");
    for (size_t b = 0; b < ANA_BLOCKS; b++) {
        const struct ana_block *k = &run->blocks[b];
        if (k->due == 0)
            continue;
        buf_str(out, "<tr>");
        ana_html_td(out, "n",
                    ana_ns_text(run->first_due_ns + (int64_t)b * run->block_ns, text));
        buf_fmt(out, "<td class=\"n\">%" PRIu64 "</td><td class=\"n\">%" PRIu64 "</td>",
                k->due, k->failed);
        ana_html_td(out, "n", ana_ns_text(k->p50, text));
        ana_html_td(out, "n", ana_ns_text(k->p99, text));
        ana_html_td(out, "n", ana_ns_text(k->generator_p99, text));
        ana_html_td(out, "n", ana_ns_text(k->back_pressure_p99, text));
        buf_str(out, "</tr>\n");
    }
    buf_str(out, "</tbody></table></div></details>\n");
}

static void put_timeline(const struct ana_run *run, struct buf *out)
{
    double p50[ANA_BLOCKS], p99[ANA_BLOCKS], late[ANA_BLOCKS], pressure[ANA_BLOCKS];
    struct ana_line lines[] = {{"mid ink dots", "back-pressure p99", pressure},
                               {"mid b", "generator lateness p99", late},
                               {"mid a", "response p50", p50},
                               {"thick a", "response p99", p99}};

    for (size_t b = 0; b < ANA_BLOCKS; b++) {
        p50[b] = block_seconds(run->blocks[b].p50);
        p99[b] = block_seconds(run->blocks[b].p99);
        late[b] = block_seconds(run->blocks[b].generator_p99);
        pressure[b] = block_seconds(run->blocks[b].back_pressure_p99);
    }
    ana_html_section(
        out, "Over time",
        "The run in sixty slices of equal length, by due time. A slice whose "
        "p99 failed ends its line at the top.");
    ana_html_timeline(
        out, 2, "Latency over the time of the run",
        "p50 and p99 of response, p99 of both kinds of lateness, by slice.", lines, 4,
        (double)run->block_ns * ANA_BLOCKS / 1e9);
    buf_str(out,
            "<p class=\"legend\"><span><i class=\"key a\"></i>response: p99 thick, p50 "
            "thin</span><span><i class=\"key b\"></i>generator lateness p99</span>"
            "<span>dotted: back-pressure p99</span></p>\n");
    put_blocks_table(run, out);
    ana_html_section_end(out);
}

/* --- tables ----------------------------------------------------------------------- */

static void put_errors(const struct ana_run *run, struct buf *out)
{
    ana_html_section(out, "Errors",
                     run->class_count == 0 ? "None: every operation was answered well."
                                           : NULL);
    if (run->class_count > 0) {
        buf_str(out,
                "<div class=\"scroll\"><table><thead><tr><th>class</th>"
                "<th class=\"n\">count</th><th class=\"n\">of due</th></tr></thead>"
                "<tbody>\n");
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

static void put_cells(const struct ana_run *run, struct buf *out)
{
    char text[ANA_NS_TEXT_MAX];

    ana_html_section(out, run->grouped ? "Model types" : "Models",
                     "Response time from due, failures infinite.");
    buf_str(out,
            "<div class=\"scroll\"><table><thead><tr><th>model</th><th>protocol</th>"
            "<th>tier</th><th class=\"n\">due</th><th class=\"n\">bad</th>"
            "<th class=\"n\">p50</th><th class=\"n\">p90</th><th class=\"n\">p95</th>"
            "<th class=\"n\">p99</th><th class=\"n\">p99.9</th></tr></thead><tbody>\n");
    for (size_t i = 0; i < run->cell_count; i++) {
        const struct ana_cell *c = &run->cells[i];
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
    ana_html_open(out, "reprise report");
    put_banner(run, out);
    put_operations(run, out);
    put_percentiles(run, out);
    if (run->all.counts.due > 0)
        put_timeline(run, out);
    put_errors(run, out);
    put_cells(run, out);
    put_notes(run, out);
    ana_html_close(out);
}

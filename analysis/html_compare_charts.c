/*
 * html_compare_charts.c - see html_compare.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/html_compare.h"
#include "analysis/text.h"

#define WIDTH 1000

/* Drawings have numbers, for their titles to be found by. */
enum {
    ID_STRIP = 1,
    ID_GATES,
    ID_ERROR_GATES,
    ID_PERCENTILES,
    ID_SHIFT,
    ID_PAIRS,
    ID_PARTS,
    ID_TIME
};

/* --- the runs in order of time
 * ---------------------------------------------------------- */

void ana_draw_strip(const struct ana_comparison *c, struct buf *out)
{
    struct ana_svg s = {.out = out, .width = WIDTH, .height = 46};
    double step = (WIDTH - 4.0) / (double)(c->run_count ? c->run_count : 1);
    double w = step > 60 ? 60 : step;

    buf_str(out, "<div class=\"chart\">");
    ana_svg_open(&s, ID_STRIP, "The runs in order of time",
                 "One box for each run, A or B; INVALID runs are hollow. The table of "
                 "the health of the runs lists them in the same order.");
    for (size_t i = 0; i < c->run_count; i++) {
        size_t run = c->by_time[i];
        bool is_b = run >= c->a_count, bad = c->runs[run].health == ANA_UNFIT;
        char class[40], hint[600];
        snprintf(class, sizeof class, "%s",
                 bad    ? (is_b ? "hollow b" : "hollow a")
                 : is_b ? "fill-b"
                        : "fill-a");
        snprintf(hint, sizeof hint, "%.480s: %s", c->runs[run].path,
                 ana_health_names[c->runs[run].health]);
        double x = 2 + w * (double)i;
        ana_svg_rect(&s, class, x, 6, w - 3, is_b ? 34 : 26, hint);
        if (w >= 16)
            ana_svg_text(&s, bad ? "soft" : "on", x + (w - 3) / 2, 24, "middle",
                         is_b ? "B" : "A");
    }
    ana_svg_close(&s);
    buf_str(out, "</div>\n");
}

/* --- forest
 * --------------------------------------------------------------------------- */

struct forest {
    const struct ana_comparison *c;
    bool errors; /* the gates of error rates, or the others */
    size_t rows;
};

static bool in_forest(const struct forest *f, size_t i)
{
    return f->c->gates[i].spec.errors == f->errors &&
           f->c->gates[i].why == ANA_WHY_NOTHING;
}

/* The axis holds zero, every finite end of an interval, tolerance and estimate. */
static double reach_of(const struct forest *f)
{
    double reach = 0;
    for (size_t i = 0; i < f->c->gate_count; i++) {
        const struct ana_gate *g = &f->c->gates[i];
        double ends[] = {g->centre.estimate, g->ci.low, g->ci.high, g->tolerance};
        if (!in_forest(f, i))
            continue;
        for (size_t k = 0; k < 4; k++)
            if (isfinite(ends[k]))
                reach = fmax(reach, fabs(ends[k]));
    }
    return reach > 0 ? reach * 1.08 : 0.01;
}

static double bounded(const struct ana_svg *s, double v)
{
    return ana_place(&s->x, fmax(s->x.low, fmin(s->x.high, v)));
}

static void draw_gate(const struct ana_svg *s, const struct ana_gate *g, double y)
{
    char effect[ANA_NS_TEXT_MAX], word[96], class[32];
    struct buf title = {0};
    double x = bounded(s, g->centre.estimate);

    ana_gate_title(g, &title);
    struct buf name = {0};
    ana_text_name(&name, buf_text(&title), 36);
    ana_svg_rect(s, "tol", bounded(s, -g->tolerance), y - 13,
                 bounded(s, g->tolerance) - bounded(s, -g->tolerance), 26, "tolerance");
    if (isfinite(g->mde) && ana_within(&s->x, g->mde))
        ana_svg_line(s, "mde", bounded(s, g->mde), y - 9, bounded(s, g->mde), y + 9);
    ana_svg_line(s, ana_unbounded(&g->ci) ? "ci dots" : "ci", bounded(s, g->ci.low), y,
                 bounded(s, g->ci.high), y);
    ana_svg_dot(s, "fill-ink", x, y, 5, ana_effect_text(g, g->centre.estimate, effect));
    ana_svg_text(s, "", 0, y + 4, "start", buf_text(&name));
    snprintf(word, sizeof word, "%s", ana_verdict_names[g->verdict]);
    snprintf(class, sizeof class, "strong %s", ana_verdict_class(g->verdict));
    ana_svg_text(s, "", s->x.to + 74, y + 4, "end",
                 ana_effect_text(g, g->centre.estimate, effect));
    ana_svg_text(s, class, s->x.to + 86, y + 4, "start", word);
    buf_done(&name);
    buf_done(&title);
}

static void label_points(double v, char *out, size_t size)
{
    snprintf(out, size, fabs(v) < 1e-9 ? "0 pp" : "%+.2g pp", 100 * v);
}

/* Round percentages between two log ratios, at most nine or so. */
static size_t percent_ticks(const struct ana_scale *scale, double out[24])
{
    static const double steps[] = {0.1, 0.2, 0.5, 1,   2,   5,   10,  20,
                                   50,  100, 200, 500, 1e3, 1e4, 1e5, 1e6};
    double reach = 100 * fmax(fabs(expm1(scale->high)), fabs(expm1(scale->low)));
    double step = steps[0];
    size_t n = 0;

    for (size_t i = 0; i < sizeof steps / sizeof *steps && reach / step > 4; i++)
        step = steps[i];
    for (int k = -10; k <= 10; k++) {
        double percent = k * step;
        if (percent > -100 && ana_within(scale, log1p(percent / 100)))
            out[n++] = log1p(percent / 100);
    }
    return n;
}

static void percent_x_axis(const struct ana_svg *s, const char *name)
{
    double ticks[24];
    char text[64];

    for (size_t i = 0, n = percent_ticks(&s->x, ticks); i < n; i++) {
        ana_label_percent(ticks[i], text, sizeof text);
        ana_svg_x_tick(s, ticks[i], text);
    }
    ana_svg_x_name(s, name);
}

static void percent_y_axis(const struct ana_svg *s, const char *name)
{
    double ticks[24];
    char text[64];

    for (size_t i = 0, n = percent_ticks(&s->y, ticks); i < n; i++) {
        ana_label_percent(ticks[i], text, sizeof text);
        ana_svg_y_tick(s, ticks[i], text);
    }
    ana_svg_text(s, "name", s->x.from, s->top - 10, "start", name);
}

static void draw_forest(const struct forest *f, unsigned id, struct buf *out)
{
    struct ana_svg s = {.out = out,
                        .width = WIDTH,
                        .left = 250,
                        .right = 210,
                        .top = 14,
                        .bottom = 48,
                        .height = 62 + 36.0 * (double)f->rows};
    double reach = reach_of(f), y = s.top + 18;

    buf_str(out, "<div class=\"chart\">");
    ana_svg_open(
        &s, id, f->errors ? "Gates of error rates" : "Gates of latency",
        "One row for each gate: effect, confidence interval, tolerance, smallest "
        "detectable effect, verdict. The table below has the same numbers.");
    s.x.low = -reach;
    s.x.high = reach;
    if (f->errors)
        ana_svg_x_axis(&s, label_points, "B - A, percentage points; right is worse");
    else
        percent_x_axis(&s, "B against A; right is worse");
    ana_svg_line(&s, "zero", ana_place(&s.x, 0), s.y.from, ana_place(&s.x, 0), s.y.to);
    for (size_t i = 0; i < f->c->gate_count; i++)
        if (in_forest(f, i)) {
            draw_gate(&s, &f->c->gates[i], y);
            y += 36;
        }
    ana_svg_close(&s);
    buf_str(out, "</div>\n");
}

void ana_draw_forest(const struct ana_comparison *c, struct buf *out)
{
    for (int errors = 0; errors < 2; errors++) {
        struct forest f = {c, errors == 1, 0};
        for (size_t i = 0; i < c->gate_count; i++)
            f.rows += in_forest(&f, i);
        if (f.rows > 0)
            draw_forest(&f, errors ? ID_ERROR_GATES : ID_GATES, out);
    }
}

/* --- percentiles
 * ------------------------------------------------------------------------ */

static int by_value(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* Lower median; NaN when any is. */
static double median(double *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (isnan(v[i]))
            return NAN;
    qsort(v, n, sizeof *v, by_value);
    return n ? v[(n - 1) / 2] : NAN;
}

static void median_curve(const struct ana_comparison *c, int arm,
                         enum ana_metric metric, double out[ANA_CURVE])
{
    double v[ANA_PAIRS_MAX], curve[ANA_CURVE];

    for (size_t i = 0; i < ANA_CURVE; i++) {
        for (unsigned k = 0; k < c->pair_count; k++) {
            int64_t ns = ana_pair_run(c, k, arm)->curve[metric][i];
            v[k] = ns < 0 ? NAN : ns == ANA_INF ? INFINITY : (double)ns / 1e9;
        }
        out[i] = median(v, c->pair_count);
    }
    ana_curve_seconds(ana_pair_run(c, 0, arm), metric, curve);
    for (size_t i = 0; i < ANA_CURVE; i++)
        if (isnan(curve[i]))
            out[i] = NAN;
}

static size_t trusted_points(const struct ana_comparison *c)
{
    size_t least = ANA_CURVE;
    for (unsigned k = 0; k < c->pair_count; k++)
        for (int arm = 0; arm < 2; arm++) {
            uint64_t n = ana_pair_run(c, k, arm)->all.latency[ANA_RESPONSE].d.n;
            size_t t = ana_curve_trusted(n);
            least = t < least ? t : least;
        }
    return least;
}

static void quantile_table(const struct ana_comparison *c, struct buf *out)
{
    char text[ANA_NS_TEXT_MAX], p[ANA_P_TEXT_MAX];

    buf_str(out, "<details><summary>the numbers</summary><div "
                 "class=\"scroll\"><table><thead><tr><th>arm</th><th>run</th>");
    for (size_t i = 0; i < ANA_STANDARD_COUNT; i++)
        ana_html_th(out, "n", ana_p_text(ana_standard_p[i], p));
    buf_str(out, "</tr></thead><tbody>\n");
    for (unsigned k = 0; k < c->pair_count; k++)
        for (int arm = 0; arm < 2; arm++) {
            const struct ana_run *run = ana_pair_run(c, k, arm);
            buf_fmt(out, "<tr><td>%c</td>", "AB"[arm]);
            ana_html_td(out, "wrap", run->path);
            for (size_t i = 0; i < ANA_STANDARD_COUNT; i++)
                ana_html_td(out, "n",
                            ana_quantile_text(run, &run->all.latency[ANA_RESPONSE],
                                              ana_standard_p[i], text));
            buf_str(out, "</tr>\n");
        }
    buf_str(out, "</tbody></table></div></details>\n");
}

static const char legend[] =
    "<p class=\"legend\"><span><i class=\"key a\"></i>A, median of its "
    "runs</span><span><i class=\"key b\"></i>B, median of its runs</span><span><i "
    "class=\"key a thin\"></i>single runs</span></p>\n";

void ana_draw_distribution(const struct ana_comparison *c, struct buf *out)
{
    size_t n = 2 * (size_t)c->pair_count + 2, at = 0;
    struct ana_line *lines = calloc(n, sizeof *lines);
    double(*y)[ANA_CURVE] = calloc(n, sizeof *y);

    if (!lines || !y) {
        out->failed = true;
    } else {
        for (unsigned k = 0; k < c->pair_count; k++)
            for (int arm = 0; arm < 2; arm++, at++) {
                const struct ana_run *run = ana_pair_run(c, k, arm);
                ana_curve_seconds(run, ANA_RESPONSE, y[at]);
                lines[at] =
                    (struct ana_line){arm ? "thin b" : "thin a", run->path, y[at]};
            }
        for (int arm = 0; arm < 2; arm++, at++) {
            median_curve(c, arm, ANA_RESPONSE, y[at]);
            lines[at] = (struct ana_line){
                arm ? "thick b" : "thick a",
                arm ? "B, median of runs" : "A, median of runs", y[at]};
        }
        ana_html_section(
            out, "Response time",
            "From due, failures infinite. The axis gives every further nine the same "
            "room; a line that leaves at the top has reached the failures.");
        ana_html_percentiles(
            out, ID_PERCENTILES, "Percentiles of response time, A and B",
            "One thin line for each run, one thick line for the median of each arm. "
            "The table has the standard quantiles of each run.",
            lines, n, trusted_points(c));
        buf_str(out, legend);
        quantile_table(c, out);
        ana_html_section_end(out);
    }
    free(lines);
    free(y);
}

/* --- shift function
 * ----------------------------------------------------------------------- */

struct shift {
    double x[ANA_CURVE], mean[ANA_CURVE], low[ANA_CURVE], high[ANA_CURVE];
    double tolerance[ANA_CURVE], under[ANA_CURVE];
    double (*d)[ANA_CURVE]; /* by pair */
    size_t first, points;   /* both ends need observations beyond */
};

static double shift_at(const struct ana_comparison *c, unsigned pair, size_t i)
{
    int64_t a = ana_pair_run(c, pair, 0)->curve[ANA_RESPONSE][i];
    int64_t b = ana_pair_run(c, pair, 1)->curve[ANA_RESPONSE][i];
    if (a < 0 || b < 0 || a == ANA_INF || b == ANA_INF)
        return NAN;
    return log((double)(b > 0 ? b : 1)) - log((double)(a > 0 ? a : 1));
}

static uint64_t least_rank(const struct ana_comparison *c, uint32_t p)
{
    uint64_t least = UINT64_MAX;
    for (unsigned k = 0; k < c->pair_count; k++)
        for (int arm = 0; arm < 2; arm++) {
            uint64_t n = ana_pair_run(c, k, arm)->all.latency[ANA_RESPONSE].d.n;
            least = ana_rank(n, p) < least ? ana_rank(n, p) : least;
        }
    return least;
}

static void shift_tolerance(const struct ana_comparison *c, struct shift *f, size_t i)
{
    double share = ana_tolerance_share(c, ana_curve_p(i)), a[ANA_PAIRS_MAX];
    for (unsigned k = 0; k < c->pair_count; k++)
        a[k] = (double)ana_pair_run(c, k, 0)->curve[ANA_RESPONSE][i];
    double base = median(a, c->pair_count);
    f->tolerance[i] = log1p(base > 0 ? fmax(share, (double)c->floor_ns / base) : share);
    f->under[i] = -f->tolerance[i];
}

static void fill_shift(const struct ana_comparison *c, struct ana_flips *flips,
                       struct shift *f)
{
    double d[ANA_PAIRS_MAX];

    f->points = trusted_points(c);
    while (f->first < f->points &&
           least_rank(c, ana_curve_p(f->first)) <= ANA_BEYOND_JUDGED)
        f->first++;
    for (size_t i = f->first; i < f->points; i++) {
        bool whole = true;
        f->x[i] = 0.05 * (double)i;
        for (unsigned k = 0; k < c->pair_count; k++) {
            d[k] = f->d[k][i] = shift_at(c, k, i);
            whole = whole && !isnan(d[k]);
        }
        f->mean[i] = f->low[i] = f->high[i] = NAN;
        shift_tolerance(c, f, i);
        if (!whole)
            continue;
        struct ana_interval ci = ana_flip_interval(flips, d, c->config.alpha);
        f->mean[i] = ana_centre(d, c->pair_count).estimate;
        f->low[i] = ci.low;
        f->high[i] = ci.high;
    }
}

static double shift_reach(const struct ana_comparison *c, const struct shift *f)
{
    double reach = 0.02;
    for (size_t i = f->first; i < f->points; i++) {
        if (isfinite(f->mean[i]))
            reach = fmax(reach, fabs(f->mean[i]));
        if (isfinite(f->low[i]))
            reach = fmax(reach, fmax(fabs(f->low[i]), fabs(f->high[i])));
        for (unsigned k = 0; k < c->pair_count; k++)
            if (isfinite(f->d[k][i]))
                reach = fmax(reach, fabs(f->d[k][i]));
    }
    return reach;
}

static void draw_shift(const struct ana_comparison *c, const struct shift *f,
                       struct buf *out)
{
    struct ana_svg s = {.out = out,
                        .width = WIDTH,
                        .height = 340,
                        .left = 74,
                        .right = 20,
                        .top = 32,
                        .bottom = 52};
    double reach = shift_reach(c, f);
    size_t at = f->first, n = f->points - f->first;
    const double *x = f->x + at;

    buf_str(out, "<div class=\"chart\">");
    ana_svg_open(
        &s, ID_SHIFT, "Shift function: B against A at each quantile",
        "Effect over the quantile, with a confidence band at each point, the tolerance "
        "shaded, and one faint line for each pair. The tables of gates and of "
        "everything else have the numbers at the standard quantiles.");
    s.x.low = 0;
    s.x.high = fmax(1, f->x[f->points - 1]);
    s.y.low = -reach * 1.08;
    s.y.high = reach * 1.08;
    percent_y_axis(&s, "B against A; up is worse");
    ana_nines_axis(&s);
    ana_svg_x_name(&s, "quantile");
    ana_svg_band(&s, "tol", x, f->under + at, f->tolerance + at, n);
    for (unsigned k = 0; k < c->pair_count; k++)
        ana_svg_path(&s, "thin ink", x, f->d[k] + at, n, NULL);
    ana_svg_band(&s, "band", x, f->low + at, f->high + at, n);
    ana_svg_line(&s, "zero", s.x.from, ana_place(&s.y, 0), s.x.to, ana_place(&s.y, 0));
    ana_svg_path(&s, "thick a", x, f->mean + at, n, "mean over pairs");
    ana_svg_close(&s);
    buf_str(out, "</div>\n");
}

void ana_draw_shift(const struct ana_comparison *c, struct buf *out)
{
    struct shift *f = calloc(1, sizeof *f);
    struct ana_flips flips = {0};

    if (f)
        f->d = calloc(c->pair_count, sizeof *f->d);
    if (!f || !f->d ||
        ana_flips_init(&flips, c->pair_count, c->config.seed, NULL) < 0) {
        out->failed = true;
    } else {
        fill_shift(c, &flips, f);
        if (f->points > f->first + 1) {
            ana_html_section(out, "Where in the distribution",
                             "How much slower B is at each quantile, mean over pairs, "
                             "with the interval at each point (not for all points at "
                             "once). Shaded: the tolerance.");
            draw_shift(c, f, out);
            ana_html_section_end(out);
        }
    }
    ana_flips_done(&flips);
    if (f)
        free(f->d);
    free(f);
}

/* --- pairs
 * ---------------------------------------------------------------------------- */

static const struct ana_gate *gate_to_show(const struct ana_comparison *c)
{
    if (c->worst && !c->worst->spec.errors && c->worst->why == ANA_WHY_NOTHING)
        return c->worst;
    for (size_t i = c->gate_count; i-- > 0;)
        if (!c->gates[i].spec.errors && c->gates[i].why == ANA_WHY_NOTHING)
            return &c->gates[i];
    return NULL;
}

static void draw_pair_dots(const struct ana_comparison *c, const struct ana_gate *g,
                           const struct ana_svg *s)
{
    char hint[128], effect[ANA_NS_TEXT_MAX], number[16];

    for (unsigned k = 0; k < g->n; k++) {
        bool b_first =
            ana_pair_run(c, k, 1)->start_wall_ns < ana_pair_run(c, k, 0)->start_wall_ns;
        double v = fmax(s->y.low, fmin(s->y.high, g->d[k]));
        snprintf(hint, sizeof hint, "pair %u, %s first: %s", k + 1, b_first ? "B" : "A",
                 ana_effect_text(g, g->d[k], effect));
        ana_svg_dot(s, b_first ? "hollow b" : "fill-a", ana_place(&s->x, k + 1.0),
                    ana_place(&s->y, v), 6, hint);
        if (g->n <= 30) {
            snprintf(number, sizeof number, "%u", k + 1);
            ana_svg_text(s, "tick", ana_place(&s->x, k + 1.0), s->y.from + 18, "middle",
                         number);
        }
    }
}

static void pairs_table(const struct ana_comparison *c, const struct ana_gate *g,
                        struct buf *out)
{
    char text[ANA_NS_TEXT_MAX];

    buf_str(out,
            "<details><summary>the numbers</summary><div "
            "class=\"scroll\"><table><thead><tr><th class=\"n\">pair</th><th>run of "
            "A</th><th>run of B</th><th class=\"n\">effect</th></tr></thead><tbody>\n");
    for (unsigned k = 0; k < g->n; k++) {
        buf_fmt(out, "<tr><td class=\"n\">%u</td>", k + 1);
        ana_html_td(out, "wrap", ana_pair_run(c, k, 0)->path);
        ana_html_td(out, "wrap", ana_pair_run(c, k, 1)->path);
        ana_html_td(out, "n", ana_effect_text(g, g->d[k], text));
        buf_str(out, "</tr>\n");
    }
    buf_str(out, "</tbody></table></div></details>\n");
}

static void draw_pairs(const struct ana_comparison *c, const struct ana_gate *g,
                       struct buf *out)
{
    struct ana_svg s = {.out = out,
                        .width = WIDTH,
                        .height = 280,
                        .left = 74,
                        .right = 20,
                        .top = 32,
                        .bottom = 52};
    double reach = g->tolerance;

    for (unsigned k = 0; k < g->n; k++)
        if (isfinite(g->d[k]))
            reach = fmax(reach, fabs(g->d[k]));
    buf_str(out, "<div class=\"chart\">");
    ana_svg_open(&s, ID_PAIRS, "The effect in each pair",
                 "One dot for each pair, in order of time; filled where A ran first, "
                 "hollow where B did. The table has the same numbers.");
    s.x.low = 0.5;
    s.x.high = g->n + 0.5;
    s.y.low = -reach * 1.08;
    s.y.high = reach * 1.08;
    percent_y_axis(&s, "B against A; up is worse");
    ana_svg_x_name(&s, "pair, in order of time");
    double upper = ana_place(&s.y, g->tolerance),
           lower = ana_place(&s.y, -g->tolerance);
    ana_svg_rect(&s, "tol", s.x.from, upper, s.x.to - s.x.from, lower - upper,
                 "tolerance");
    ana_svg_line(&s, "zero", s.x.from, ana_place(&s.y, 0), s.x.to, ana_place(&s.y, 0));
    if (isfinite(g->centre.estimate)) {
        double at = ana_place(&s.y, g->centre.estimate);
        ana_svg_line(&s, "mid ink dots", s.x.from, at, s.x.to, at);
    }
    draw_pair_dots(c, g, &s);
    ana_svg_close(&s);
    buf_str(out,
            "</div>\n<p class=\"legend\"><span>filled: A ran first</span><span>hollow: "
            "B ran first</span><span>dotted line: mean of the pairs</span></p>\n");
}

void ana_draw_pairs(const struct ana_comparison *c, struct buf *out)
{
    const struct ana_gate *g = gate_to_show(c);
    struct buf title = {0};

    if (!g)
        return;
    buf_str(&title, "Pair by pair: ");
    ana_gate_title(g, &title);
    ana_html_section(
        out, buf_text(&title),
        "Whether the effect is the same everywhere, drifts, or hangs on a few pairs.");
    buf_done(&title);
    draw_pairs(c, g, out);
    pairs_table(c, g, out);
    ana_html_section_end(out);
}

/* --- where the time goes
 * -------------------------------------------------------------- */

static int64_t median_quantile(const struct ana_comparison *c, int arm,
                               enum ana_metric metric, uint32_t p)
{
    int64_t v[ANA_PAIRS_MAX];
    for (unsigned k = 0; k < c->pair_count; k++) {
        const struct ana_run *run = ana_pair_run(c, k, arm);
        v[k] = ana_quantile_at(run, &run->all.latency[metric], p);
        if (v[k] == ANA_NONE)
            return ANA_NONE;
    }
    return ana_select(v, c->pair_count, (c->pair_count - 1) / 2);
}

static const struct {
    enum ana_metric metric;
    const char *name;
} parts[] = {
    {ANA_RESPONSE_OK, "response, good ones"},
    {ANA_SERVICE, "service"},
    {ANA_TTFB, "first byte"},
    {ANA_BACK_PRESSURE, "late by back-pressure"},
    {ANA_GENERATOR, "late by the generator"},
};
enum { PARTS = sizeof parts / sizeof *parts };

static void draw_part(const struct ana_comparison *c, const struct ana_svg *s,
                      size_t part, uint32_t p, double y)
{
    char text[ANA_NS_TEXT_MAX];

    ana_svg_text(s, "", s->left - 10, y + 18, "end", parts[part].name);
    for (int arm = 0; arm < 2; arm++, y += 15) {
        int64_t v = median_quantile(c, arm, parts[part].metric, p);
        if (v < 0 || v == ANA_INF)
            continue;
        double w = ana_place(&s->x, (double)v / 1e9) - s->x.from;
        ana_svg_rect(s, arm ? "fill-b" : "fill-a", s->x.from, y, w, 12, NULL);
        char named[ANA_NS_TEXT_MAX + 4];
        snprintf(named, sizeof named, "%c %s", "AB"[arm], ana_ns_text(v, text));
        ana_svg_text(s, "soft", s->x.from + w + 6, y + 11, "start", named);
    }
}

void ana_draw_parts(const struct ana_comparison *c, struct buf *out)
{
    static const uint32_t at[] = {ANA_P(50), ANA_P(99)};
    struct ana_svg s = {.out = out,
                        .width = WIDTH,
                        .left = 190,
                        .right = 110,
                        .top = 24,
                        .bottom = 8,
                        .height = 2 * (34 + 38.0 * PARTS) + 4};
    double most = 0, y = 34;

    for (size_t i = 0; i < PARTS; i++)
        for (int arm = 0; arm < 2; arm++) {
            int64_t v = median_quantile(c, arm, parts[i].metric, ANA_P(99));
            if (v > 0 && v != ANA_INF)
                most = fmax(most, (double)v / 1e9);
        }
    if (most <= 0)
        return;
    ana_html_section(out, "Where the time goes",
                     "Medians over the runs of each arm, from zero. Quantiles of parts "
                     "do not add up to the quantile of the whole. Back-pressure is the "
                     "target's doing, lateness of the generator is ours.");
    buf_str(out, "<div class=\"chart\">");
    ana_svg_open(&s, ID_PARTS,
                 "Response, service and lateness of A and B at p50 and p99",
                 "Two groups of bars, each bar with its value written beside it.");
    s.x.low = 0;
    s.x.high = most;
    for (size_t q = 0; q < 2; q++, y += 34) {
        ana_svg_text(&s, "strong", s.left - 10, y - 8, "end", q == 0 ? "p50" : "p99");
        for (size_t i = 0; i < PARTS; i++, y += 38)
            draw_part(c, &s, i, at[q], y);
    }
    ana_svg_close(&s);
    buf_str(out, "</div>\n");
    ana_html_section_end(out);
}

/* --- over time
 * ------------------------------------------------------------------------ */

static void median_blocks(const struct ana_comparison *c, int arm, bool high,
                          double out[ANA_BLOCKS])
{
    double v[ANA_PAIRS_MAX];
    for (size_t b = 0; b < ana_pair_run(c, 0, 0)->block_count; b++) {
        for (unsigned k = 0; k < c->pair_count; k++) {
            const struct ana_block *block = &ana_pair_run(c, k, arm)->blocks[b];
            int64_t ns = high ? block->high : block->p50;
            v[k] = ns < 0 ? NAN : ns == ANA_INF ? INFINITY : (double)ns / 1e9;
        }
        out[b] = median(v, c->pair_count);
    }
}

void ana_draw_over_time(const struct ana_comparison *c, struct buf *out)
{
    const struct ana_run *run = ana_pair_run(c, 0, 0);
    double y[4][ANA_BLOCKS];
    struct ana_line lines[] = {{"mid a", "A, p50", y[0]},
                               {"mid b", "B, p50", y[1]},
                               {"thick a", "A, high", y[2]},
                               {"thick b", "B, high", y[3]}};
    char high[ANA_P_TEXT_MAX], lead[240];

    if (run->block_count < 2)
        return;
    for (int i = 0; i < 4; i++)
        median_blocks(c, i % 2, i >= 2, y[i]);
    snprintf(lead, sizeof lead,
             "p50 (thin) and %s (thick) of response in %zu slices of the run, median "
             "over the runs of each arm: whether both settle, and whether one only "
             "starts slowly.",
             ana_p_text(run->high_p, high), run->block_count);
    ana_html_section(out, "Over the time of a run", lead);
    ana_html_timeline(out, ID_TIME, "Response time over the time of a run, A and B",
                      "Medians over runs by slice of run time; reprise report --html "
                      "of a run has the numbers.",
                      lines, 4, run->block_count,
                      (double)run->block_ns * (double)run->block_count / 1e9);
    buf_str(out, "<p class=\"legend\"><span><i class=\"key a\"></i>A</span><span><i "
                 "class=\"key b\"></i>B</span></p>\n");
    ana_html_section_end(out);
}

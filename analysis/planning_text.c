/*
 * planning_text.c - `reprise plan` for a terminal of 80 columns, and as JSON (schema
 * reprise/plan/1).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "analysis/planning.h"
#include "analysis/report.h"
#include "analysis/text.h"
#include "traces/base/jsonw.h"
#include "traces/base/units.h"

#define WIDTH 80
#define TITLE 26
#define LABEL 9

static void put_right(struct buf *out, const char *text, size_t width)
{
    ana_text_cell(out, text, width, true);
}

/* A spread or an effect without its sign: "1.2 %", "0.02 pp". */
static void put_size(struct buf *out, const struct ana_gate *g, double v, size_t width)
{
    char text[ANA_NS_TEXT_MAX];
    if (!isfinite(v)) {
        put_right(out, "-", width);
        return;
    }
    double percent = 100 * (g->spec.errors ? v : expm1(v));
    snprintf(text, sizeof text, "%.*f %s", percent < 9.95 ? 2 - (percent >= 0.995) : 0,
             percent, g->spec.errors ? "pp" : "%");
    put_right(out, text, width);
}

/* "16 (28)": the number ends at column `width`, the brackets stand behind it. Padded
 * for a column that follows. */
static void put_pairs(struct buf *out, const struct ana_pairs_wanted *n, size_t width,
                      bool padded)
{
    char likely[16] = "-", cautious[16] = "";

    if (n->likely > 0)
        snprintf(likely, sizeof likely, "%u", n->likely);
    if (n->likely > 0 && n->cautious == 0)
        snprintf(cautious, sizeof cautious, " (-)");
    else if (n->cautious > n->likely)
        snprintf(cautious, sizeof cautious, " (%u)", n->cautious);
    put_right(out, likely, width);
    ana_text_cell(out, cautious, padded ? 6 : strlen(cautious), false);
}

static const char *why_not(const struct ana_gate *g)
{
    return g->why != ANA_WHY_NOTHING ? ana_why_names[g->why] : "infinite";
}

/* --- tables ----------------------------------------------------------------------- */

static void put_needs(const struct ana_plan *plan, struct buf *out)
{
    char text[32];

    snprintf(text, sizeof text, "see +%.3g %%", 100 * expm1(plan->detect));
    buf_fmt(out, "%-*s%11s%11s%13s  pass if equal\n", TITLE, "gate", "spread",
            "tolerance", text);
    for (size_t i = 0; i < plan->comparison->gate_count; i++) {
        const struct ana_gate_plan *p = &plan->gates[i];
        ana_gate_title_cell(p->gate, TITLE, out);
        if (!p->possible) {
            put_right(out, why_not(p->gate), 22);
            buf_str(out, "\n");
            continue;
        }
        put_size(out, p->gate, p->sd, 11);
        put_size(out, p->gate, p->gate->tolerance, 11);
        put_pairs(out, &p->detect, 9, true);
        put_pairs(out, &p->pass, 9, false);
        buf_str(out, "\n");
    }
}

static void put_detectable(const struct ana_plan *plan, struct buf *out)
{
    char text[UNITS_TEXT_MAX];

    buf_fmt(out, "\n%-*s", TITLE, "change detected by pairs");
    for (size_t k = 0; k < ANA_PLAN_COLUMNS; k++)
        buf_fmt(out, "%9u", ana_plan_pairs[k]);
    buf_str(out, "\n");
    for (size_t i = 0; i < plan->comparison->gate_count; i++) {
        if (!plan->gates[i].possible)
            continue;
        ana_gate_title_cell(plan->gates[i].gate, TITLE, out);
        for (size_t k = 0; k < ANA_PLAN_COLUMNS; k++)
            put_size(out, plan->gates[i].gate, plan->gates[i].mde[k], 9);
        buf_str(out, "\n");
    }
    if (plan->pair_ns <= 0)
        return;
    ana_text_cell(out, "time", TITLE, false);
    for (size_t k = 0; k < ANA_PLAN_COLUMNS; k++) {
        int64_t s = plan->pair_ns / 1000000000 * ana_plan_pairs[k];
        put_right(out, units_duration_text(s * 1000000000, text), 9);
    }
    buf_str(out, "\n");
}

/* --- the answer ------------------------------------------------------------------- */

static void put_answer(const struct ana_plan *plan, struct buf *out)
{
    struct buf line = {0};
    const struct ana_pairs_wanted *n = &plan->needed;

    if (!plan->decides) {
        buf_str(&line, "no gate can be planned for: see what stands beside it");
    } else if (n->likely == 0) {
        ana_gate_title(plan->decides, &line);
        buf_fmt(&line,
                " is not served by %d pairs: a change to be seen must exceed the "
                "tolerance, and the spread of pairs; ask for a larger change "
                "(--detect), or make runs longer and quieter",
                ANA_PAIRS_MAX);
    } else {
        buf_fmt(&line, "%u pairs (", n->likely);
        ana_gate_title(plan->decides, &line);
        buf_str(&line, " decides)");
        if (n->cautious > n->likely)
            buf_fmt(&line, "; %u to be on the safe side", n->cautious);
        else if (n->cautious == 0)
            buf_str(&line, "; with a spread at its upper limit no number is enough: "
                           "measure more pairs first");
    }
    ana_text_cell(out, "needed", LABEL, false);
    ana_text_wrap(out, buf_text(&line), LABEL, LABEL, WIDTH);
    buf_done(&line);
}

void ana_plan_text(const struct ana_plan *plan, struct buf *out)
{
    const struct ana_comparison *c = plan->comparison;

    if (plan->cannot) {
        buf_str(out, "NO PLAN: ");
        ana_text_wrap(out, plan->cannot, 9, 0, WIDTH);
        return;
    }
    struct buf line = {0};
    buf_fmt(
        &line,
        "From %u pairs of runs. Pairs needed for %.3g %% power at a risk of %.3g %% "
        "over all gates (which weigh as much as %.1f independent ones); in brackets "
        "where the true spread is at its upper 80 %% limit.",
        c->pair_count, 100 * plan->power, 100 * c->config.alpha, plan->family);
    ana_text_wrap(out, buf_text(&line), 0, 0, WIDTH);
    buf_done(&line);
    buf_str(out, "\n");
    put_needs(plan, out);
    put_detectable(plan, out);
    buf_str(out, "\n");
    put_answer(plan, out);
}

/* --- JSON ------------------------------------------------------------------------- */

static void key_pairs(struct jsonw *w, const char *key, unsigned n)
{
    jsonw_key(w, key);
    if (n > 0)
        jsonw_u64(w, n);
    else
        jsonw_null(w);
}

static void put_wanted(struct jsonw *w, const char *key,
                       const struct ana_pairs_wanted *n)
{
    jsonw_key(w, key);
    jsonw_object(w);
    key_pairs(w, "likely", n->likely);
    key_pairs(w, "cautious", n->cautious);
    jsonw_end(w);
}

static void json_gate(struct jsonw *w, const struct ana_gate_plan *p)
{
    struct buf title = {0};

    ana_gate_title(p->gate, &title);
    jsonw_object(w);
    jsonw_key_str(w, "gate", buf_text(&title));
    jsonw_key_str(w, "reason", p->possible ? NULL : why_not(p->gate));
    jsonw_key_f64(w, "sd", p->possible ? p->sd : NAN);
    jsonw_key_f64(w, "sd_upper", p->possible ? p->sd_upper : NAN);
    jsonw_key_f64(w, "tolerance", p->gate->tolerance);
    put_wanted(w, "pairs_to_detect", &p->detect);
    put_wanted(w, "pairs_to_pass", &p->pass);
    jsonw_key(w, "mde");
    jsonw_array(w);
    for (size_t k = 0; k < ANA_PLAN_COLUMNS && p->possible; k++) {
        jsonw_object(w);
        jsonw_key_u64(w, "pairs", ana_plan_pairs[k]);
        jsonw_key_f64(w, "effect", p->mde[k]);
        jsonw_end(w);
    }
    jsonw_end(w);
    jsonw_end(w);
    buf_done(&title);
}

void ana_plan_json(const struct ana_plan *plan, struct buf *out)
{
    const struct ana_comparison *c = plan->comparison;
    struct jsonw w = {.out = out, .pretty = true};

    jsonw_object(&w);
    jsonw_key_str(&w, "schema", "reprise/plan/1");
    jsonw_key_str(&w, "cannot", plan->cannot);
    jsonw_key_u64(&w, "pairs", c->pair_count);
    jsonw_key_f64(&w, "alpha", c->config.alpha);
    jsonw_key_f64(&w, "power", plan->power);
    if (!plan->cannot) {
        jsonw_key_f64(&w, "detect", plan->detect);
        jsonw_key_f64(&w, "error_detect", plan->error_detect);
        jsonw_key_f64(&w, "family", plan->family);
        jsonw_key(&w, "pair_ns");
        ana_json_ns(&w, plan->pair_ns > 0 ? plan->pair_ns : ANA_NONE);
        put_wanted(&w, "needed", &plan->needed);
        jsonw_key(&w, "gates");
        jsonw_array(&w);
        for (size_t i = 0; i < c->gate_count; i++)
            json_gate(&w, &plan->gates[i]);
        jsonw_end(&w);
    }
    jsonw_end(&w);
    buf_str(out, "\n");
}

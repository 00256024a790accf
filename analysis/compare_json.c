/*
 * compare_json.c - `reprise compare --json` (schema reprise/compare/1).
 *
 * Keys are only ever added within a schema number; infinities are the strings "inf" and
 * "-inf"; what is not known or not estimable is null.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>

#include "analysis/compare.h"
#include "analysis/report.h"
#include "traces/run_notes.h"

/* Effects as ratios (errors: differences of rates, as they are). */
static double as_ratio(const struct ana_gate *g, double effect)
{
    return g->spec.errors ? effect : exp(effect);
}

static void put_pair_of(struct jsonw *w, const char *key, double low, double high)
{
    jsonw_key(w, key);
    jsonw_array(w);
    jsonw_f64(w, low);
    jsonw_f64(w, high);
    jsonw_end(w);
}

static void put_interval(struct jsonw *w, const char *key, const struct ana_gate *g,
                         const struct ana_interval *i)
{
    put_pair_of(w, key, as_ratio(g, i->low), as_ratio(g, i->high));
}

static void put_plan(struct jsonw *w, const struct ana_comparison *c)
{
    const struct ana_compare_config *config = &c->config;

    jsonw_key(w, "tool");
    jsonw_object(w);
    jsonw_key_str(w, "name", "reprise");
    jsonw_key_str(w, "version", REPRISE_VERSION);
    jsonw_end(w);
    jsonw_key(w, "plan");
    jsonw_object(w);
    jsonw_key_str(w, "hash", c->plan_hash[0] ? c->plan_hash : NULL);
    jsonw_key_u64(w, "seed", config->seed);
    jsonw_key_f64(w, "alpha", config->alpha);
    jsonw_key_i64(w, "floor_ns", config->floor_ns);
    jsonw_key_f64(w, "error_margin", config->error_margin);
    jsonw_key_i64(w, "warmup_ns", config->warmup_ns);
    jsonw_key_u64(w, "gates", c->gate_count);
    jsonw_key(w, "looks");
    jsonw_null(w);
    jsonw_end(w);
}

static void put_arms(struct jsonw *w, const struct ana_comparison *c)
{
    jsonw_key(w, "arms");
    jsonw_object(w);
    for (int arm = 0; arm < 2; arm++) {
        const struct ana_run *run = &c->runs[arm == 0 ? 0 : c->a_count];
        jsonw_key(w, arm == 0 ? "A" : "B");
        jsonw_object(w);
        jsonw_key_str(w, "name", c->arm[arm]);
        jsonw_key_str(w, "version", c->version[arm]);
        jsonw_key_str(w, "tier", ana_run_note(run, NOTE_TARGET_TIER));
        jsonw_key_str(w, "http", ana_run_note(run, NOTE_TARGET_HTTP));
        jsonw_key_str(w, "grpc", ana_run_note(run, NOTE_TARGET_GRPC));
        jsonw_key_str(w, "kafka", ana_run_note(run, NOTE_TARGET_KAFKA));
        jsonw_key_u64(w, "runs", arm == 0 ? c->a_count : c->run_count - c->a_count);
        jsonw_key_u64(w, "invalid_runs", c->invalid_runs[arm]);
        jsonw_end(w);
    }
    jsonw_end(w);
}

static void put_layout(struct jsonw *w, const struct ana_comparison *c)
{
    jsonw_key(w, "layout");
    jsonw_object(w);
    jsonw_key_str(w, "kind", ana_layout_names[c->layout.kind]);
    jsonw_key_bool(w, "paired_by_label", c->layout.by_label);
    jsonw_key_bool(w, "overlap", c->layout.overlap);
    jsonw_key_bool(w, "capped", c->layout.capped);
    jsonw_key_str(w, "reason", c->layout.reason);
    jsonw_key_u64(w, "pairs", c->layout.pair_count);
    jsonw_key_u64(w, "valid_pairs", c->pair_count);
    jsonw_key_u64(w, "unpaired_runs", c->layout.unpaired);
    jsonw_key_bool(w, "attrition", c->attrition);
    jsonw_end(w);
}

/* Index of a run's pair in order of time, or -1. */
static int pair_of(const struct ana_comparison *c, size_t run, bool *used)
{
    for (size_t i = 0; i < c->layout.pair_count; i++) {
        const struct ana_pair *p = &c->layout.pairs[i];
        if (p->a != run && p->b != run)
            continue;
        *used = !c->invalid && c->runs[p->a].health != ANA_UNFIT &&
                c->runs[p->b].health != ANA_UNFIT;
        return (int)i;
    }
    *used = false;
    return -1;
}

static void put_run(struct jsonw *w, const struct ana_comparison *c, size_t i)
{
    const struct ana_run *run = &c->runs[i];
    bool used;
    int pair = pair_of(c, i, &used);

    jsonw_object(w);
    jsonw_key_str(w, "id", run->path);
    jsonw_key_str(w, "arm", i < c->a_count ? "A" : "B");
    jsonw_key(w, "pair");
    if (pair >= 0)
        jsonw_i64(w, pair + 1);
    else
        jsonw_null(w);
    jsonw_key_str(w, "label", ana_run_note(run, NOTE_LABEL_PAIR));
    jsonw_key_str(w, "start", ana_run_note(run, NOTE_START));
    jsonw_key(w, "start_wall_ns");
    if (run->start_wall_ns > 0)
        jsonw_i64(w, run->start_wall_ns);
    else
        jsonw_null(w);
    jsonw_key_u64(w, "records", run->all.counts.due);
    jsonw_key_u64(w, "cut", run->cut);
    jsonw_key_u64(w, "cooldown_cut", run->cut_late);
    jsonw_key_bool(w, "used", used);
    jsonw_key_str(w, "trace_hash", ana_run_note(run, NOTE_TRACE_HASH));
    jsonw_key(w, "operations");
    ana_json_counts(w, &run->all.counts);
    jsonw_key(w, "health");
    ana_json_health(w, run);
    jsonw_end(w);
}

static void put_gate_key(struct jsonw *w, const struct ana_gate *g)
{
    char p[ANA_P_TEXT_MAX];

    jsonw_key(w, "key");
    if (g->is_all) {
        jsonw_null(w);
    } else {
        jsonw_object(w);
        jsonw_key_str(w, g->cell->by_type ? "model_type" : "model", g->cell->name);
        jsonw_key_str(w, "protocol", op_protocol_names[g->cell->protocol]);
        jsonw_key_str(w, "tier", op_tier_names[g->cell->tier]);
        jsonw_end(w);
    }
    jsonw_key_str(w, "metric",
                  g->spec.errors ? "errors" : ana_metric_names[g->spec.metric]);
    jsonw_key_str(w, "quantile", g->spec.errors ? NULL : ana_p_text(g->spec.p, p));
    jsonw_key_u64(w, "n", g->n);
    jsonw_key_u64(w, "operations", g->least_n);
}

static void put_values(struct jsonw *w, const struct ana_gate *g)
{
    if (g->spec.errors) {
        jsonw_key_f64(w, "A", g->a_rate);
        jsonw_key_f64(w, "B", g->b_rate);
    } else {
        jsonw_key(w, "A");
        ana_json_ns(w, ana_gate_shown(g) ? g->a_ns : ANA_NONE);
        jsonw_key(w, "B");
        ana_json_ns(w, ana_gate_shown(g) ? g->b_ns : ANA_NONE);
    }
}

static void put_reasons(struct jsonw *w, const struct ana_comparison *c,
                        const struct ana_gate *g)
{
    jsonw_key(w, "reasons");
    jsonw_array(w);
    if (g->why != ANA_WHY_NOTHING)
        jsonw_str(w, ana_why_names[g->why]);
    if (c->layout.capped)
        jsonw_str(w, ana_layout_names[c->layout.kind]);
    if (c->pair_count < c->least_pairs)
        jsonw_str(w, "too-few-pairs");
    if (c->attrition)
        jsonw_str(w, "attrition");
    jsonw_end(w);
}

/* What gates and explored numbers have in common. */
static void put_effect(struct jsonw *w, const struct ana_gate *g)
{
    jsonw_key_f64(w, g->spec.errors ? "difference" : "ratio",
                  as_ratio(g, g->centre.estimate));
    put_interval(w, "ci", g, &g->ci);
    put_interval(w, "ci_t", g, &g->ci_t);
    jsonw_key(w, "p");
    jsonw_object(w);
    jsonw_key_f64(w, "worse", g->p_worse);
    jsonw_key_f64(w, "better", g->p_better);
    jsonw_end(w);
    jsonw_key_bool(w, "by_sign", g->centre.by_sign);
    jsonw_key(w, "effects");
    jsonw_array(w);
    for (unsigned i = 0; i < g->n; i++)
        jsonw_f64(w, g->d[i]);
    jsonw_end(w);
}

/* Effects as they are: differences of log ratios, or of rates. */
static void put_drift(struct jsonw *w, const struct ana_gate *g)
{
    jsonw_key(w, "drift");
    jsonw_object(w);
    jsonw_key_f64(w, "order", g->drift.order);
    jsonw_key_f64(w, "order_p", g->drift.order_p);
    jsonw_key_f64(w, "trend_per_pair", g->drift.trend);
    jsonw_key_f64(w, "trend_p", g->drift.trend_p);
    jsonw_end(w);
}

static void put_judged(struct jsonw *w, const struct ana_gate *g)
{
    put_interval(w, "ci_simultaneous", g, &g->ci_all);
    jsonw_key(w, "p_adj");
    jsonw_object(w);
    jsonw_key_f64(w, "worse", g->adj_worse);
    jsonw_key_f64(w, "better", g->adj_better);
    jsonw_end(w);
    jsonw_key(w, "tost");
    jsonw_object(w);
    jsonw_key_f64(w, "lo", g->p_above);
    jsonw_key_f64(w, "hi", g->p_below);
    jsonw_end(w);
    put_drift(w, g);
    jsonw_key_f64(w, "mde", g->spec.errors ? g->mde : expm1(g->mde));
    jsonw_key(w, "needed_pairs");
    if (g->needed_pairs > 0)
        jsonw_u64(w, g->needed_pairs);
    else
        jsonw_null(w);
}

static void put_gate(struct jsonw *w, const struct ana_comparison *c,
                     const struct ana_gate *g)
{
    struct buf text = {0};

    jsonw_object(w);
    put_gate_key(w, g);
    put_values(w, g);
    jsonw_key_f64(w, "tolerance", g->spec.errors ? g->tolerance : expm1(g->tolerance));
    if (g->why == ANA_WHY_NOTHING) {
        put_effect(w, g);
        put_judged(w, g);
    }
    jsonw_key_str(w, "verdict", ana_verdict_names[g->verdict]);
    jsonw_key_str(w, "evidence", ana_verdict_names[g->evidence]);
    put_reasons(w, c, g);
    ana_gate_title(g, &text);
    buf_str(&text, " ");
    ana_gate_evidence(c, g, &text);
    jsonw_key_str(w, "sentence", buf_text(&text));
    jsonw_end(w);
    buf_done(&text);
}

static void put_cell(struct jsonw *w, const struct ana_gate *g)
{
    jsonw_object(w);
    put_gate_key(w, g);
    put_values(w, g);
    if (g->why == ANA_WHY_NOTHING)
        put_effect(w, g);
    else
        jsonw_key_str(w, "reason", ana_why_names[g->why]);
    jsonw_key_f64(w, "q", g->q);
    jsonw_end(w);
}

static void put_errors(struct jsonw *w, const struct ana_comparison *c)
{
    static const char *const arms[] = {"A", "B"};

    jsonw_key(w, "errors");
    jsonw_object(w);
    for (int arm = 0; arm < 2; arm++) {
        jsonw_key(w, arms[arm]);
        jsonw_object(w);
        jsonw_key_u64(w, "due", c->due[arm]);
        jsonw_key_u64(w, "bad", c->bad[arm]);
        jsonw_key(w, "upper_bound_95"); /* of the rate, where none was seen: 3 / n */
        if (c->bad[arm] == 0 && c->due[arm] > 0)
            jsonw_f64(w, 3.0 / (double)c->due[arm]);
        else
            jsonw_null(w);
        jsonw_end(w);
    }
    jsonw_key(w, "classes");
    jsonw_array(w);
    for (size_t i = 0; i < c->class_count; i++) {
        jsonw_object(w);
        jsonw_key_str(w, "class", c->classes[i].name);
        jsonw_key_u64(w, "A", c->classes[i].a);
        jsonw_key_u64(w, "B", c->classes[i].b);
        jsonw_key_bool(w, "new", c->classes[i].a == 0);
        jsonw_end(w);
    }
    jsonw_end(w);
    jsonw_end(w);
}

static void put_answer_counts(struct jsonw *w, const char *key,
                              const struct ana_answer_counts *n)
{
    jsonw_key(w, key);
    jsonw_object(w);
    jsonw_key_u64(w, "compared", n->compared);
    jsonw_key_u64(w, "differ", n->differ);
    jsonw_end(w);
}

static void put_answers(struct jsonw *w, const struct ana_comparison *c)
{
    const struct ana_answers *a = &c->answers;
    jsonw_key(w, "answers");
    jsonw_object(w);
    jsonw_key_str(w, "reason", a->reason);
    if (!a->reason) {
        put_answer_counts(w, "A_B", &a->ab);
        put_answer_counts(w, "A_A", &a->aa);
        jsonw_key(w, "first");
        if (a->any_differ) {
            jsonw_object(w);
            jsonw_key_u64(w, "op", a->first_op);
            jsonw_key_str(w, "model", a->first_model);
            jsonw_end(w);
        } else {
            jsonw_null(w);
        }
    }
    jsonw_end(w);
}

static void put_verdict(struct jsonw *w, const struct ana_comparison *c)
{
    jsonw_key(w, "verdict");
    jsonw_object(w);
    jsonw_key_str(w, "overall", ana_verdict_names[c->verdict]);
    jsonw_key_i64(w, "exit_code", c->status);
    jsonw_key_bool(w, "fragile", c->fragile);
    jsonw_key_str(w, "sentence", c->sentence);
    jsonw_key_str(w, "invalid", c->invalid);
    jsonw_key_str(w, "next", c->next_step);
    jsonw_key(w, "counts");
    jsonw_object(w);
    for (int v = 0; v < ANA_VERDICT_COUNT; v++)
        jsonw_key_u64(w, ana_verdict_names[v], c->counts[v]);
    jsonw_end(w);
    jsonw_end(w);
}

void ana_compare_json(const struct ana_comparison *c, struct buf *out)
{
    struct jsonw w = {.out = out, .pretty = true};

    jsonw_object(&w);
    jsonw_key_str(&w, "schema", "reprise/compare/1");
    put_plan(&w, c);
    put_verdict(&w, c);
    put_arms(&w, c);
    put_layout(&w, c);
    jsonw_key(&w, "gates");
    jsonw_array(&w);
    for (size_t i = 0; i < c->gate_count; i++)
        put_gate(&w, c, &c->gates[i]);
    jsonw_end(&w);
    put_errors(&w, c);
    put_answers(&w, c);
    jsonw_key(&w, "cells");
    jsonw_array(&w);
    for (size_t i = 0; i < c->explored_count; i++)
        put_cell(&w, &c->explored[i]);
    jsonw_end(&w);
    jsonw_key(&w, "runs");
    jsonw_array(&w);
    for (size_t i = 0; i < c->run_count; i++)
        put_run(&w, c, i);
    jsonw_end(&w);
    jsonw_end(&w);
    buf_str(out, "\n");
}

/*
 * sentence.c - the verdict in words that carry their evidence; see compare.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "analysis/compare.h"
#include "analysis/text.h"

void ana_gate_title(const struct ana_gate *g, struct buf *out)
{
    char p[ANA_P_TEXT_MAX];

    if (g->spec.errors)
        buf_str(out, "error rate");
    else
        buf_fmt(out, "%s %s", ana_metric_names[g->spec.metric],
                ana_p_text(g->spec.p, p));
    if (g->is_all)
        return;
    buf_str(out, g->cell->by_type ? " of type " : " of ");
    ana_text_name(out, g->cell->name, 40);
    buf_fmt(out, " (%s)", op_protocol_names[g->cell->protocol]);
}

void ana_gate_title_cell(const struct ana_gate *g, size_t width, struct buf *out)
{
    struct buf title = {0};

    ana_gate_title(g, &title);
    const char *name = buf_text(&title);
    ana_text_cell(out, name, width, false);
    if (ana_text_width(name) > width)
        buf_fmt(out, "\n%*s", (int)width, "");
    buf_done(&title);
}

char *ana_effect_text(const struct ana_gate *g, double effect, char *out)
{
    return g->spec.errors ? ana_points_text(effect, out)
                          : ana_percent_text(effect, out);
}

bool ana_gate_shown(const struct ana_gate *g)
{
    return g->spec.errors || ana_estimable(g->least_n, g->spec.p) != ANA_NOT_ESTIMABLE;
}

bool ana_unbounded(const struct ana_interval *i)
{
    return isinf(i->low) && isinf(i->high) && i->low < i->high;
}

/* "3 %", "0.1 pp": a size, without a sign. */
static void put_size(const struct ana_gate *g, double effect, struct buf *out)
{
    if (isinf(effect))
        buf_str(out, "none");
    else if (g->spec.errors)
        buf_fmt(out, "%.3g pp", 100 * effect);
    else
        buf_fmt(out, "%.3g %%", 100 * expm1(effect));
}

static void put_reason(const struct ana_gate *g, struct buf *out)
{
    char p[ANA_P_TEXT_MAX];

    ana_p_text(g->spec.p, p);
    if (g->why == ANA_WHY_NOT_ESTIMABLE)
        buf_fmt(out,
                "not estimable: %s needs %" PRIu64
                " operations a run, the smallest has %" PRIu64,
                p, g->needed_n, g->least_n);
    else if (g->why == ANA_WHY_ERRORS_DOMINATE)
        buf_fmt(out, "dominated by errors: %s falls among the failures in both arms",
                p);
    else
        buf_str(out, "no values in some run");
}

void ana_gate_evidence(const struct ana_comparison *c, const struct ana_gate *g,
                       struct buf *out)
{
    char effect[ANA_NS_TEXT_MAX], low[ANA_NS_TEXT_MAX], high[ANA_NS_TEXT_MAX];

    if (g->why != ANA_WHY_NOTHING) {
        put_reason(g, out);
        return;
    }
    buf_fmt(out, "%s (", ana_effect_text(g, g->centre.estimate, effect));
    if (ana_unbounded(&g->ci))
        buf_str(out, "no CI");
    else
        buf_fmt(out, "%.3g %% CI %s to %s", 100 * (1 - 2 * c->config.alpha),
                ana_effect_text(g, g->ci.low, low),
                ana_effect_text(g, g->ci.high, high));
    buf_fmt(out, "; %u pair%s; tolerance ", g->n, g->n == 1 ? "" : "s");
    put_size(g, g->tolerance, out);
    buf_str(out, "; MDE ");
    put_size(g, g->mde, out);
    buf_str(out, ")");
}

/* --- the sentence -------------------------------------------------------------------
 */

static void put_arm(const struct ana_comparison *c, int arm, struct buf *out)
{
    ana_text_name(out, c->arm[arm], 32);
    if (c->version[arm] && strcmp(c->version[arm], c->arm[arm]) != 0) {
        buf_str(out, " (");
        ana_text_name(out, c->version[arm], 32);
        buf_str(out, ")");
    }
}

static void put_claim(const struct ana_comparison *c, struct buf *out)
{
    bool errors = c->worst->spec.errors;

    switch (c->verdict) {
    case ANA_REGRESSED:
        put_arm(c, 1, out);
        buf_str(out, errors ? " fails more often than " : " is slower than ");
        put_arm(c, 0, out);
        break;
    case ANA_IMPROVED:
        put_arm(c, 1, out);
        buf_str(out, errors ? " fails less often than " : " is faster than ");
        put_arm(c, 0, out);
        if (c->counts[ANA_IMPROVED] < c->gate_count)
            buf_str(out, ", and worse in nothing that was judged");
        break;
    case ANA_NO_CHANGE:
        put_arm(c, 1, out);
        buf_str(out, " does not differ from ");
        put_arm(c, 0, out);
        buf_str(out, " by more than the tolerance");
        break;
    case ANA_NOT_WORSE:
        put_arm(c, 1, out);
        buf_str(out, " is not worse than ");
        put_arm(c, 0, out);
        buf_str(out, " by the tolerance or more");
        break;
    default:
        buf_str(out, "The evidence does not decide between ");
        put_arm(c, 0, out);
        buf_str(out, " and ");
        put_arm(c, 1, out);
        if (c->layout.capped)
            buf_fmt(out, ": %s", c->layout.reason);
        else if (c->pair_count < c->least_pairs)
            buf_fmt(out, ": %u %s too few for any conclusion at %.3g %%", c->pair_count,
                    c->pair_count == 1 ? "pair is" : "pairs are",
                    100 * c->config.alpha);
        else if (c->attrition)
            buf_fmt(out,
                    ": %u runs of A and %u of B were invalid, and a slow target can be "
                    "what made them so",
                    c->invalid_runs[0], c->invalid_runs[1]);
    }
}

static void put_sentence(const struct ana_comparison *c, struct buf *out)
{
    if (c->invalid) {
        buf_str(out, "This comparison says nothing about the target: ");
        ana_text_name(out, c->invalid, 400);
        buf_str(out, ".");
        return;
    }
    put_claim(c, out);
    buf_str(out,
            c->verdict == ANA_INCONCLUSIVE && c->layout.capped ? "; seen: " : ": ");
    ana_gate_title(c->worst, out);
    buf_str(out, " ");
    ana_gate_evidence(c, c->worst, out);
    buf_str(out, ".");
}

/* --- the next step ------------------------------------------------------------------
 */

static unsigned most_needed(const struct ana_comparison *c)
{
    unsigned most = 0;
    for (size_t i = 0; i < c->gate_count; i++) {
        const struct ana_gate *g = &c->gates[i];
        if (g->verdict == ANA_INCONCLUSIVE && g->why == ANA_WHY_NOTHING &&
            g->needed_pairs > most)
            most = g->needed_pairs;
    }
    return most;
}

static void put_inconclusive_step(const struct ana_comparison *c, struct buf *out)
{
    unsigned need = most_needed(c);

    if (c->layout.capped) {
        buf_str(out, "run A and B in pairs, next to each other in time and in random "
                     "order: reprise campaign does that");
    } else if (c->worst->why == ANA_WHY_NOT_ESTIMABLE) {
        buf_fmt(out,
                "make the trace longer (%" PRIu64
                " operations or more), or gate on a lower quantile",
                c->worst->needed_n);
    } else if (c->worst->why == ANA_WHY_ERRORS_DOMINATE) {
        buf_str(out, "mend the errors first: no latency can be judged beneath them");
    } else if (c->attrition) {
        buf_str(out, "find out why the runs were invalid, then repeat them");
    } else if (need > c->pair_count && need < ANA_NEEDED_MAX) {
        buf_fmt(out,
                "run about %u more pairs (%u in all): enough in 4 of 5 cases to tell "
                "an effect of the tolerance from none",
                need - c->pair_count, need);
    } else if (need >= ANA_NEEDED_MAX) {
        buf_str(out, "the runs vary too much for this tolerance: steady the "
                     "environment, or widen it");
    } else {
        buf_str(out, "the effect lies near the tolerance: run more pairs, or widen it");
    }
}

static void put_next_step(const struct ana_comparison *c, struct buf *out)
{
    if (c->invalid) {
        if (c->invalid_pairs > 0 && c->pair_count == 0)
            buf_str(out, "see the health of each run: reprise report RUN");
        return;
    }
    if (c->verdict == ANA_INCONCLUSIVE)
        put_inconclusive_step(c, out);
    else if (c->verdict == ANA_REGRESSED && c->fragile)
        buf_str(out, "run more pairs: leaving out one of them changes the verdict");
}

int ana_sentences(struct ana_comparison *c, struct err *e)
{
    struct buf text = {0};
    int rc;

    put_sentence(c, &text);
    rc = buf_check(&text, e);
    if (rc == 0)
        c->sentence = arena_str(&c->arena, buf_text(&text));
    buf_reset(&text);
    put_next_step(c, &text);
    if (rc == 0)
        rc = buf_check(&text, e);
    if (rc == 0 && text.n > 0)
        c->next_step = arena_str(&c->arena, buf_text(&text));
    buf_done(&text);
    if (rc == 0 && !c->sentence)
        rc = err_set(e, ERR_NOMEM, "out of memory");
    return rc;
}

/*
 * planning.c - see planning.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "analysis/planning.h"

#include <math.h>

#include "analysis/special.h"

#define CONFIDENCE 0.8 /* of the upper limit of the spread */

const unsigned ana_plan_pairs[ANA_PLAN_COLUMNS] = {6, 8, 10, 15, 20, 30};

/* --- power ------------------------------------------------------------------------ */

static double critical(unsigned n, double alpha, double family)
{
    return ana_t_quantile_upper(alpha / family, n - 1.0);
}

double ana_plan_power(unsigned n, double effect, double sd, double tolerance,
                      double alpha, double family)
{
    if (n < ana_least_pairs(alpha))
        return 0; /* no pattern of signs is rare enough */
    if (sd <= 0)
        return effect >= tolerance ? 1 : 0;
    return ana_t_power(n, effect, sd, critical(n, alpha, family), tolerance);
}

double ana_sd_upper(double sd, unsigned n, double confidence)
{
    double k = n - 1.0, share = 2 / (9 * k);
    double root = 1 - share + ana_normal_quantile(1 - confidence) * sqrt(share);
    return sd * sqrt(1 / (root * root * root));
}

/* --- how many pairs --------------------------------------------------------------- */

static unsigned to_detect(const struct ana_plan *plan, const struct ana_gate *g,
                          double effect, double sd)
{
    double alpha = plan->comparison->config.alpha;

    for (unsigned n = ana_least_pairs(alpha); n <= ANA_PAIRS_MAX; n++)
        if (ana_plan_power(n, effect, sd, g->tolerance, alpha, plan->family) >=
            plan->power)
            return n;
    return 0;
}

static unsigned to_pass(const struct ana_plan *plan, const struct ana_gate *g,
                        double sd)
{
    double alpha = plan->comparison->config.alpha;
    unsigned n = ana_needed_pairs(sd, g->tolerance, alpha, plan->power),
             least = ana_least_pairs(alpha);

    return n > ANA_PAIRS_MAX ? 0 : n > least ? n : least;
}

static void plan_gate(const struct ana_plan *plan, struct ana_gate_plan *p)
{
    const struct ana_gate *g = p->gate;
    double alpha = plan->comparison->config.alpha;
    double effect = g->spec.errors ? plan->error_detect : plan->detect;

    p->possible = g->why == ANA_WHY_NOTHING && !g->centre.by_sign;
    if (!p->possible)
        return;
    p->sd = g->centre.sd;
    p->sd_upper = ana_sd_upper(p->sd, g->n, CONFIDENCE);
    p->detect.likely = to_detect(plan, g, effect, p->sd);
    p->detect.cautious = to_detect(plan, g, effect, p->sd_upper);
    p->pass.likely = to_pass(plan, g, p->sd);
    p->pass.cautious = to_pass(plan, g, p->sd_upper);
    for (size_t i = 0; i < ANA_PLAN_COLUMNS; i++) {
        unsigned n = ana_plan_pairs[i];
        double t =
            n < ana_least_pairs(alpha) ? INFINITY : critical(n, alpha, plan->family);
        p->mde[i] = ana_mde(n, p->sd, t, g->tolerance, plan->power);
    }
}

/* 0 is no number: more than any. */
static unsigned more(unsigned a, unsigned b)
{
    return a == 0 || b == 0 ? 0 : a > b ? a : b;
}

static bool exceeds(unsigned a, unsigned b)
{
    return a != b && more(a, b) == a;
}

static void find_needed(struct ana_plan *plan)
{
    struct ana_pairs_wanted *most = &plan->needed;

    for (size_t i = 0; i < plan->comparison->gate_count; i++) {
        const struct ana_gate_plan *p = &plan->gates[i];
        unsigned likely = more(p->detect.likely, p->pass.likely);
        unsigned cautious = more(p->detect.cautious, p->pass.cautious);
        if (!p->possible)
            continue;
        if (!plan->decides) {
            *most = (struct ana_pairs_wanted){likely, cautious};
            plan->decides = p->gate;
            continue;
        }
        if (exceeds(likely, most->likely))
            plan->decides = p->gate;
        most->likely = more(most->likely, likely);
        most->cautious = more(most->cautious, cautious);
    }
}

/* --- from a comparison ------------------------------------------------------------ */

/* The gates share one critical value, which is that of so many independent ones. */
static double weigh_family(const struct ana_comparison *c)
{
    size_t m = 0;
    for (size_t i = 0; i < c->gate_count; i++)
        m += c->gates[i].why == ANA_WHY_NOTHING;
    double most = m > 0 ? (double)m : 1;
    if (!isfinite(c->critical))
        return most;
    double alone = ana_t_upper(c->critical, c->pair_count - 1.0);
    return fmin(fmax(c->config.alpha / alone, 1), most);
}

static int64_t pair_start(const struct ana_comparison *c, unsigned pair)
{
    int64_t a = ana_pair_run(c, pair, 0)->start_wall_ns,
            b = ana_pair_run(c, pair, 1)->start_wall_ns;
    return a < b ? a : b;
}

static int64_t time_of_a_pair(const struct ana_comparison *c)
{
    int64_t gaps[ANA_PAIRS_MAX];
    size_t n = 0;

    for (unsigned i = 0; i < c->pair_count; i++) {
        if (pair_start(c, i) == 0)
            return 0;
        if (i > 0)
            gaps[n++] = pair_start(c, i) - pair_start(c, i - 1);
    }
    return n > 0 ? ana_select(gaps, n, (n - 1) / 2) : 0;
}

static const char *why_not(const struct ana_comparison *c)
{
    if (c->invalid)
        return c->invalid;
    if (c->layout.kind != ANA_LAYOUT_PAIRED_RANDOM &&
        c->layout.kind != ANA_LAYOUT_PAIRED_FIXED)
        return "the runs are not pairs that ran next to each other, so their "
               "differences hold what changed with time: run a campaign";
    if (c->pair_count < ANA_PLAN_LEAST)
        return "fewer than 4 valid pairs say nothing about how far pairs spread";
    return NULL;
}

int ana_plan_make(struct ana_plan *plan, struct ana_comparison *c, double detect,
                  double error_detect, double power, struct err *e)
{
    *plan = (struct ana_plan){.comparison = c,
                              .detect = detect,
                              .error_detect = error_detect,
                              .power = power,
                              .cannot = why_not(c)};
    if (plan->cannot)
        return 0;
    plan->gates = arena_zalloc(&c->arena, c->gate_count * sizeof *plan->gates);
    if (!plan->gates)
        return err_set(e, ERR_NOMEM, "out of memory");
    plan->family = weigh_family(c);
    plan->pair_ns = time_of_a_pair(c);
    for (size_t i = 0; i < c->gate_count; i++) {
        plan->gates[i].gate = &c->gates[i];
        plan_gate(plan, &plan->gates[i]);
    }
    find_needed(plan);
    return 0;
}

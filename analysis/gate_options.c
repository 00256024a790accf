/*
 * gate_options.c - see gate_options.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "analysis/gate_options.h"

#include <stdio.h>
#include <string.h>

#include "analysis/reading.h"
#include "traces/base/units.h"

/* --vs is exchanged for this word, which is then known by its address. */
static char vs_mark[] = "vs";

void ana_vs_mark(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--vs") == 0)
            argv[i] = vs_mark;
}

/* Place of the mark among the operands argv[1..n]. */
static int find_vs(const struct ana_gate_options *o, int n, char **argv, struct err *e)
{
    int at = 0;

    if (o->vs)
        return err_set(e, ERR_USAGE,
                       "write --vs as a word of its own: A.run --vs B.run");
    for (int i = 1; i <= n; i++) {
        if (argv[i] != vs_mark)
            continue;
        if (at > 0)
            return err_set(e, ERR_USAGE, "--vs is given twice");
        at = i;
    }
    if (at == 0)
        return err_set(e, ERR_USAGE, "--vs is missing: runs of A, --vs, runs of B");
    if (at == 1 || at == n)
        return err_set(e, ERR_USAGE, "no run of %s: runs of A, --vs, runs of B",
                       at == 1 ? "A" : "B");
    return at;
}

/* --- gates and tolerances
 * ------------------------------------------------------------- */

/* "p99.9" to billionths. */
static int parse_quantile(struct span text, uint32_t *p, struct err *e)
{
    char number[24];
    double percent;

    if (text.n < 2 || text.n >= sizeof number || text.p[0] != 'p')
        return err_set(e, ERR_USAGE, "'%.*s' is not a quantile such as p50 or p99.9",
                       SPAN_ARG(text));
    snprintf(number, sizeof number, "%.*s", (int)text.n - 1, (const char *)text.p + 1);
    if (units_f64(number, &percent, NULL) < 0 || !(percent > 0 && percent < 100))
        return err_set(e, ERR_USAGE, "'%.*s' is not a quantile between p0 and p100",
                       SPAN_ARG(text));
    *p = ANA_P(percent);
    if (*p == 0 || *p >= ANA_P_ONE)
        return err_set(e, ERR_USAGE, "'%.*s' has more digits than can be told apart",
                       SPAN_ARG(text));
    return 0;
}

static int parse_metric(struct span name, struct ana_gate_spec *g, struct err *e)
{
    if (span_eq_str(name, "errors")) {
        g->errors = true;
        return 0;
    }
    for (int m = ANA_RESPONSE; m < ANA_METRIC_COUNT; m++)
        if (m != ANA_GENERATOR && m != ANA_BACK_PRESSURE &&
            span_eq_str(name, ana_metric_names[m])) {
            g->metric = (enum ana_metric)m;
            return 0;
        }
    return err_set(e, ERR_USAGE,
                   "'%.*s' is not one of: response, response_ok, service, ttfb, "
                   "first_message, message_gap, errors",
                   SPAN_ARG(name));
}

/* METRIC:QUANTILE[:MODEL], errors[:MODEL]. Model names may hold colons. */
static int parse_gate(const char *text, struct ana_gate_spec *g, struct err *e)
{
    struct span whole = span_str(text);
    size_t colon = span_find(whole, ':', 0);
    int rc;

    *g = (struct ana_gate_spec){0};
    rc = parse_metric(span_sub(whole, 0, colon), g, e);
    if (rc < 0)
        return rc;
    if (!g->errors) {
        size_t next = span_find(whole, ':', colon + 1);
        if (colon == whole.n)
            return err_set(e, ERR_USAGE, "a quantile is missing: %s:p99", text);
        rc = parse_quantile(span_sub(whole, colon + 1, next), &g->p, e);
        if (rc < 0)
            return rc;
        colon = next;
    }
    if (colon < whole.n)
        g->model = text + colon + 1;
    if (g->model && !*g->model)
        return err_set(e, ERR_USAGE, "a model is missing after the last ':'");
    return 0;
}

static int parse_gates(const struct opt_strv *v, struct ana_gate_spec *gates, size_t *n,
                       struct err *e)
{
    static const char *const standard[] = {"response:p50", "response:p95",
                                           "response:p99"};

    *n = 0;
    for (size_t i = 0; i < v->n; i++) {
        size_t words = strcmp(v->v[i], "default") == 0 ? 3 : 1;
        if (*n + words > ANA_GATES_MAX)
            return err_set(e, ERR_USAGE, "more than %d gates", ANA_GATES_MAX);
        for (size_t k = 0; k < words; k++) {
            const char *text = words == 3 ? standard[k] : v->v[i];
            int rc = parse_gate(text, &gates[(*n)++], e);
            if (rc < 0)
                return err_note(e, "--gate %s", text);
        }
    }
    return 0;
}

static int parse_tolerances(const struct opt_strv *v, struct ana_tolerance *out,
                            struct err *e)
{
    if (v->n > ANA_GATES_MAX)
        return err_set(e, ERR_USAGE, "more than %d tolerances", ANA_GATES_MAX);
    for (size_t i = 0; i < v->n; i++) {
        struct span whole = span_str(v->v[i]);
        size_t equals = span_find(whole, '=', 0);
        const char *number = v->v[i] + equals + (equals < whole.n);
        double percent;
        int rc = parse_quantile(span_sub(whole, 0, equals), &out[i].p, e);
        if (rc == 0 && (units_f64(number, &percent, NULL) < 0 ||
                        !(percent >= 0 && percent <= 1000)))
            rc = err_set(e, ERR_USAGE, "'%s' is not a percentage", number);
        if (rc < 0)
            return err_note(e, "--tolerance %s", v->v[i]);
        out[i].share = percent / 100;
    }
    return 0;
}

/* --- the request ------------------------------------------------------------------ */

static int check_numbers(const struct ana_gate_options *o, struct err *e)
{
    if (!(o->alpha > 0 && o->alpha < 50))
        return err_set(e, ERR_USAGE, "--alpha must lie between 0 and 50 percent");
    if (!(o->error_margin >= 0 && o->error_margin <= 100))
        return err_set(e, ERR_USAGE,
                       "--error-margin must lie between 0 and 100 points");
    if (o->floor_ns < 0 || o->warmup_ns < 0)
        return err_set(e, ERR_USAGE, "--floor and --warmup cannot be negative");
    return 0;
}

int ana_gate_options_read(struct ana_gate_request *r, const struct ana_gate_options *o,
                          int operands, char **argv, struct err *e)
{
    int mark = find_vs(o, operands, argv, e), rc;

    if (mark < 0)
        return mark;
    rc = check_numbers(o, e);
    if (rc < 0)
        return rc;
    r->compare = (struct ana_compare_config){
        .a = (const char *const *)(argv + 1),
        .b = (const char *const *)(argv + mark + 1),
        .a_count = (size_t)mark - 1,
        .b_count = (size_t)(operands - mark),
        .gates = r->gates,
        .tolerances = r->tolerances,
        .tolerance_count = o->tolerances.n,
        .error_margin = o->error_margin / 100,
        .floor_ns = o->floor_ns,
        .alpha = o->alpha / 100,
        .warmup_ns = o->warmup_ns,
        .seed = o->seed,
    };
    rc = parse_gates(&o->gates, r->gates, &r->compare.gate_count, e);
    return rc == 0 ? parse_tolerances(&o->tolerances, r->tolerances, e) : rc;
}

void ana_gate_options_done(struct ana_gate_options *o)
{
    opt_strv_done(&o->gates);
    opt_strv_done(&o->tolerances);
}

int ana_compare_shown(struct ana_comparison *c, struct ana_compare_config *config,
                      bool quiet, struct err *e)
{
    struct ana_reading reading;
    ana_reading_init(&reading, quiet);
    ana_reading_expect(&reading, config->a, config->a_count);
    ana_reading_expect(&reading, config->b, config->b_count);
    config->reading = &reading;
    int rc = ana_compare(c, config, e);
    config->reading = c->config.reading = NULL;
    ana_reading_done(&reading);
    return rc;
}

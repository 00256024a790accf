/*
 * search.c - see search.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replay/search.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "traces/base/span.h"
#include "traces/base/units.h"

const char *const rep_probe_names[] = {"within", "beyond", "invalid", NULL};
const char *const rep_search_end_names[] = {
    "goes-on", "found", "all-within", "all-beyond", "invalid", "probes-spent", NULL};

#define STEP 2.0 /* while only one side is known */

double rep_search_error(const struct rep_search *s)
{
    return s->low > 0 && s->high > 0 ? s->high / s->low - 1 : 0;
}

static bool ends(struct rep_search *s, enum rep_search_end end)
{
    s->end = end;
    return false;
}

static bool probes(struct rep_search *s, double *rate, double at)
{
    s->last = at;
    *rate = at;
    return true;
}

bool rep_search_next(struct rep_search *s, double *rate)
{
    const struct rep_search_config *c = &s->config;
    bool near = s->low > 0 && s->high > 0 && rep_search_error(s) <= c->error;

    if (s->end != REP_SEARCH_GOES_ON)
        return false;
    if (s->nothings > 1)
        return ends(s, REP_SEARCH_NOTHING);
    if (near && s->confirmed)
        return ends(s, REP_SEARCH_FOUND);
    if (s->high == 0 && s->low >= c->to && s->confirmed)
        return ends(s, REP_SEARCH_ALL_WITHIN);
    if (s->low == 0 && s->high > 0 && s->high <= c->from)
        return ends(s, REP_SEARCH_ALL_BEYOND);
    if (s->count == c->probes)
        return ends(s, near                              ? REP_SEARCH_FOUND
                       : s->high == 0 && s->low >= c->to ? REP_SEARCH_ALL_WITHIN
                                                         : REP_SEARCH_SPENT);
    if (s->nothings == 1)
        return probes(s, rate, s->last);
    if (s->low == 0 && s->high == 0)
        return probes(s, rate, c->start);
    if (near || (s->high == 0 && s->low >= c->to))
        return probes(s, rate, s->low);
    if (s->high == 0)
        return probes(s, rate, fmin(s->low * STEP, c->to));
    if (s->low == 0)
        return probes(s, rate, fmax(s->high / STEP, c->from));
    return probes(s, rate, sqrt(s->low * s->high));
}

/* What passed before, and lies below what did not. */
static double highest_within(const struct rep_search *s)
{
    double best = 0;
    for (unsigned i = 0; i < s->within_count; i++)
        if (s->within[i] < s->high && s->within[i] > best)
            best = s->within[i];
    return best;
}

void rep_search_tell(struct rep_search *s, enum rep_probe said)
{
    s->count++;
    if (said == REP_PROBE_NOTHING) {
        s->nothings++;
        return;
    }
    s->nothings = 0;
    if (said == REP_PROBE_WITHIN) {
        s->confirmed = s->last == s->low;
        s->low = s->last;
        s->within[s->within_count++] = s->last;
        return;
    }
    s->high = s->last;
    if (s->low >= s->high) { /* chance had let it pass */
        s->low = highest_within(s);
        s->confirmed = false;
    }
}

/* --- limits ----------------------------------------------------------------------- */

static int bad_limit(const char *text, struct err *e)
{
    return err_set(e, ERR_USAGE,
                   "--limit '%s' is not QUANTILE<DURATION, METRIC:QUANTILE<DURATION or "
                   "errors<PERCENT%%: p99<50ms, service:p99.9<1s, errors<1%%; METRIC "
                   "is response, service or ttfb, QUANTILE p50, p90, p95, p99 or p99.9",
                   text);
}

static bool is_one_of(struct span s, const char *const *names)
{
    for (size_t i = 0; names[i]; i++)
        if (span_eq_str(s, names[i]))
            return true;
    return false;
}

static bool parse_errors(struct span bound, struct rep_limit *l)
{
    char number[24];
    if (bound.n < 2 || bound.n > sizeof number || bound.p[bound.n - 1] != '%')
        return false;
    snprintf(number, sizeof number, "%.*s", (int)bound.n - 1, (const char *)bound.p);
    if (units_f64(number, &l->below_share, NULL) < 0)
        return false;
    l->below_share /= 100;
    return l->below_share > 0 && l->below_share <= 1;
}

int rep_limit_parse(struct rep_limit *l, const char *text, struct err *e)
{
    static const char *const metrics[] = {"response", "service", "ttfb", NULL};
    static const char *const quantiles[] = {"p50", "p90", "p95", "p99", "p99.9", NULL};
    struct span whole = span_str(text);
    size_t less = span_find(whole, '<', 0);
    struct span name = span_trim(span_sub(whole, 0, less));
    struct span bound = span_trim(span_sub(whole, less + 1, whole.n));
    size_t colon = span_find(name, ':', 0);
    struct span metric =
        colon < name.n ? span_sub(name, 0, colon) : SPAN_LIT("response");
    struct span quantile = colon < name.n ? span_sub(name, colon + 1, name.n) : name;
    char duration[32];

    *l = (struct rep_limit){.text = text};
    if (span_eq_str(name, "errors")) {
        l->errors = true;
        return parse_errors(bound, l) ? 0 : bad_limit(text, e);
    }
    if (!is_one_of(metric, metrics) || !is_one_of(quantile, quantiles) ||
        bound.n >= sizeof duration)
        return bad_limit(text, e);
    snprintf(l->metric, sizeof l->metric, "%.*s", SPAN_ARG(metric));
    snprintf(l->quantile, sizeof l->quantile, "%.*s", SPAN_ARG(quantile));
    snprintf(duration, sizeof duration, "%.*s", SPAN_ARG(bound));
    if (units_duration(duration, &l->below_ns, NULL) < 0 || l->below_ns <= 0)
        return bad_limit(text, e);
    return 0;
}

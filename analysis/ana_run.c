/*
 * ana_run.c - see ana_run.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "analysis/ana_run.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "traces/base/units.h"

const char *const ana_metric_names[] = {"response",      "response_ok", "service",
                                        "ttfb",          "generator",   "back_pressure",
                                        "first_message", "message_gap", NULL};

bool ana_is_of_streams(enum ana_metric metric)
{
    return metric == ANA_FIRST_MESSAGE || metric == ANA_MESSAGE_GAP;
}

const uint32_t ana_standard_p[] = {ANA_P(50), ANA_P(90), ANA_P(95), ANA_P(99),
                                   ANA_P(99.9)};

/* --- notes ------------------------------------------------------------------------ */

const char *ana_shard_note(const struct ana_shard *shard, const char *key)
{
    for (size_t i = 0; i < shard->note_count; i++)
        if (strcmp(shard->notes[i].key, key) == 0)
            return shard->notes[i].value;
    return NULL;
}

const char *ana_run_note(const struct ana_run *run, const char *key)
{
    for (size_t i = 0; i < run->note_count; i++)
        if (strcmp(run->notes[i].key, key) == 0)
            return run->notes[i].value;
    return NULL;
}

bool ana_run_note_u64(const struct ana_run *run, const char *key, uint64_t *v)
{
    const char *text = ana_run_note(run, key);
    return text && span_u64(span_str(text), v);
}

bool ana_note_line(struct span *rest, uint64_t *count, struct span *what)
{
    while (rest->n > 0) {
        size_t end = span_find(*rest, '\n', 0);
        struct span line = span_sub(*rest, 0, end);
        size_t colon = span_find(line, ':', 0);
        *rest = span_sub(*rest, end + 1, rest->n);
        if (!span_u64(span_sub(line, 0, colon), count))
            continue;
        *what = span_trim(span_sub(line, colon + 1, line.n));
        return true;
    }
    return false;
}

/* --- quantiles and rates ---------------------------------------------------------- */

size_t ana_p_index(const struct ana_run *run, uint32_t p)
{
    size_t i = 0;
    while (i < run->p_count && run->p[i] != p)
        i++;
    return i;
}

int64_t ana_quantile_at(const struct ana_run *run, const struct ana_latency *l,
                        uint32_t p)
{
    size_t i = ana_p_index(run, p);
    return i < run->p_count ? l->q[i] : ANA_NONE;
}

char *ana_p_text(uint32_t p, char out[ANA_P_TEXT_MAX])
{
    int n = snprintf(out, ANA_P_TEXT_MAX, "p%u.%07u", p / 10000000, p % 10000000);
    while (n > 0 && out[n - 1] == '0')
        out[--n] = '\0';
    if (n > 0 && out[n - 1] == '.')
        out[n - 1] = '\0';
    return out;
}

/* 1 - 10^-x for x = 0, 0.05 … 5. */
uint32_t ana_curve_p(size_t i)
{
    uint32_t p = (uint32_t)(ANA_P_ONE * (1 - pow(10, -0.05 * (double)i)) + 0.5);
    return p ? p : 1;
}

static double rate(uint64_t n, int64_t first, int64_t last)
{
    if (n < 2 || first == OP_TIME_NONE || last <= first)
        return NAN;
    return (double)(n - 1) / ((double)(last - first) / 1e9);
}

double ana_rate_offered(const struct ana_run *run)
{
    return rate(run->all.counts.due, run->first_due_ns, run->last_due_ns);
}

double ana_rate_achieved(const struct ana_run *run)
{
    return rate(run->all.counts.sent, run->first_sent_ns, run->last_sent_ns);
}

double ana_rate_ok(const struct ana_run *run)
{
    if (run->all.counts.ok == 0)
        return 0;
    return rate(run->all.counts.ok + 1, run->first_due_ns, run->last_done_ns);
}

void ana_run_done(struct ana_run *run)
{
    arena_done(&run->arena);
    *run = (struct ana_run){0};
}

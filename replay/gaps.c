/*
 * gaps.c - see gaps.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replay/gaps.h"

#include <stdlib.h>
#include <string.h>

#include "traces/base/clk.h"

#define LIMIT_NS (3600 * CLK_SEC)

int rep_gaps_init(struct rep_gaps *g, struct err *e)
{
    memset(g, 0, sizeof *g);
    g->ends = calloc(REP_GAPS_OPEN, sizeof *g->ends);
    int rc = g->ends ? hist_init(&g->planned, LIMIT_NS, e)
                     : err_set(e, ERR_NOMEM, "out of memory for the arrival test");
    if (rc == 0)
        rc = hist_init(&g->sent, LIMIT_NS, e);
    if (rc < 0)
        rep_gaps_done(g);
    return rc;
}

void rep_gaps_done(struct rep_gaps *g)
{
    free(g->ends);
    hist_done(&g->planned);
    hist_done(&g->sent);
    memset(g, 0, sizeof *g);
}

static const struct rep_gap_end *find(const struct rep_gaps *g, uint64_t sequence)
{
    const struct rep_gap_end *end = &g->ends[sequence % REP_GAPS_OPEN];
    return end->sequence == sequence + 1 ? end : NULL;
}

static void add_gap(struct rep_gaps *g, const struct rep_gap_end *from,
                    const struct rep_gap_end *to)
{
    hist_add(&g->planned, to->ready_ns - from->ready_ns);
    hist_add(&g->sent, to->sent_ns - from->sent_ns);
}

void rep_gaps_add(struct rep_gaps *g, uint64_t sequence, int64_t ready_ns,
                  int64_t sent_ns)
{
    struct rep_gap_end *end = &g->ends[sequence % REP_GAPS_OPEN];
    *end = (struct rep_gap_end){sequence + 1, ready_ns, sent_ns};
    const struct rep_gap_end *before = sequence > 0 ? find(g, sequence - 1) : NULL;
    const struct rep_gap_end *after = find(g, sequence + 1);
    if (before)
        add_gap(g, before, end);
    if (after)
        add_gap(g, end, after);
}

/* The most by which `a` exceeds `b`, of which the slack is taken: max of
 * F_a(x) - F_b(x + slack(x)). */
static double excess(const struct hist *a, const struct hist *b)
{
    uint64_t of_a = 0, of_b = 0;
    uint32_t j = 0;
    double most = 0;

    for (uint32_t i = 0; i < a->bucket_count; i++) {
        if (a->counts[i] == 0)
            continue;
        of_a += a->counts[i];
        int64_t x = hist_bucket_top(i);
        int64_t slack = (int64_t)((double)x * REP_GAPS_SLACK_SHARE);
        slack = slack > REP_GAPS_SLACK_NS ? slack : REP_GAPS_SLACK_NS;
        while (j < b->bucket_count && hist_bucket_top(j) <= x + slack)
            of_b += b->counts[j++];
        double d = (double)of_a / (double)a->total - (double)of_b / (double)b->total;
        most = d > most ? d : most;
    }
    return most;
}

double rep_gaps_distance(const struct rep_gaps *g)
{
    if (g->sent.total < REP_GAPS_LEAST)
        return 0;
    double bunched = excess(&g->sent, &g->planned);
    double stretched = excess(&g->planned, &g->sent);
    return bunched > stretched ? bunched : stretched;
}

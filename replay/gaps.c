/*
 * gaps.c - see gaps.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replay/gaps.h"

#include <stdlib.h>
#include <string.h>

int rep_gaps_init(struct rep_gaps *g, struct err *e)
{
    memset(g, 0, sizeof *g);
    g->ends = calloc(REP_GAPS_OPEN, sizeof *g->ends);
    return g->ends ? 0 : err_set(e, ERR_NOMEM, "out of memory for the arrival test");
}

void rep_gaps_done(struct rep_gaps *g)
{
    free(g->ends);
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
    int64_t planned = to->ready_ns - from->ready_ns;
    int64_t off = to->sent_ns - from->sent_ns - planned;
    int64_t slack = planned / REP_GAPS_SLACK_SHARE;

    slack = slack > REP_GAPS_SLACK_NS ? slack : REP_GAPS_SLACK_NS;
    g->total++;
    g->shorter += off < -slack;
    g->longer += off > slack;
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

double rep_gaps_distance(const struct rep_gaps *g)
{
    uint64_t more = g->shorter > g->longer ? g->shorter : g->longer;
    return g->total < REP_GAPS_LEAST ? 0 : (double)more / (double)g->total;
}

/*
 * gaps.h - the arrival test: were the gaps between sends those of the schedule?
 *
 * The gap between two operations that follow each other in the schedule is taken twice:
 * as planned (between the moments at which they were ready to be sent, so that
 * back-pressure is left out) and as sent. What is judged is the share of gaps that were
 * sent shorter, or the share that were sent longer, whichever is more, but for the
 * allowance below. Each gap is held against its own: the distance of Kolmogorov and
 * Smirnov between both distributions (with the same allowance) is never more than that,
 * and knows nothing of gaps that are right in number and at the wrong place.
 *
 * A gap is counted when the second of its outcomes comes, in whatever order; one whose
 * outcomes lie REP_GAPS_OPEN operations apart may be left out, and so is one beside an
 * operation that was not sent. One thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef REPLAY_GAPS_H
#define REPLAY_GAPS_H

#include <stdint.h>

#include "traces/base/err.h"

#define REP_GAPS_OPEN 16384u /* a power of two */
/* A gap that is off by less than the larger of both is not judged. */
#define REP_GAPS_SLACK_NS    250000 /* what a wake-up may cost */
#define REP_GAPS_SLACK_SHARE 100    /* its hundredth part */
#define REP_GAPS_LEAST       100    /* fewer gaps than this tell nothing */

struct rep_gap_end {
    uint64_t sequence; /* + 1; 0: nothing yet */
    int64_t ready_ns, sent_ns;
};

struct rep_gaps {
    struct rep_gap_end *ends; /* of operation n at n modulo REP_GAPS_OPEN */
    uint64_t total, shorter, longer;
};

int rep_gaps_init(struct rep_gaps *g, struct err *e) MUST_USE;
void rep_gaps_done(struct rep_gaps *g); /* zeroed is fine */
/* sequence: of the operation in the schedule as it is dealt out, from 0. */
void rep_gaps_add(struct rep_gaps *g, uint64_t sequence, int64_t ready_ns,
                  int64_t sent_ns);
/* From 0 to 1: the larger share of the two; 0 for too few gaps. */
double rep_gaps_distance(const struct rep_gaps *g);

#endif

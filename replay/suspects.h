/*
 * suspects.h - wrong answers whose tensors may tell whose they are.
 *
 * Where the right answer follows from the request element by element (sums, echoes),
 * one that is wrong for its own request may be right for another: then it is crossed,
 * also at tiers that show no request id. It is held against the REP_SUSPECTS_SEEN
 * requests that ended before it and as many that end after it, but for no longer than
 * REP_SUSPECTS_NS; until that is decided, its outcome waits, and requests are released
 * later than they end. Answers to equal
 * bodies cannot be told apart, and are not. Zeroed is a valid start. One thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef REPLAY_SUSPECTS_H
#define REPLAY_SUSPECTS_H

#include "replay/request.h"
#include "traces/base/arena.h"
#include "traces/base/clk.h"

#define REP_SUSPECTS_SEEN 256u
#define REP_SUSPECTS_MAX  32u            /* at once; beyond, the oldest stays wrong */
#define REP_SUSPECTS_NS   (250 * CLK_MS) /* longest wait: a killed run lacks it */

struct rep_suspect {
    struct rep_request *r;
    uint64_t until; /* of the clock: then it is given up */
    int64_t until_ns;
};

struct rep_suspects {
    struct rep_request *seen[REP_SUSPECTS_SEEN]; /* a ring of the last ones */
    uint64_t count, clock;                       /* remembered; added */
    struct rep_suspect held[REP_SUSPECTS_MAX];   /* oldest first */
    size_t held_count;
    struct arena arena;
    /* What is decided, once for each request; it is still ours. */
    void (*decided)(void *arg, struct rep_request *r);
    void *arg;
};

/* Takes a request that was judged. now_ns: of the monotonic clock. */
void rep_suspects_add(struct rep_suspects *s, struct rep_request *r, int64_t now_ns);
/* Gives up those that have waited long enough, for callers that idle. */
void rep_suspects_tick(struct rep_suspects *s, int64_t now_ns);
/* Decides and releases all there is. */
void rep_suspects_done(struct rep_suspects *s);

#endif

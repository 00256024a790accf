/*
 * shard.h - one schedule over several machines: which operations are this one's, and at
 * what moment all of them start.
 *
 * Shard I/N has the operations whose index in the trace is I - 1 modulo N. Their due
 * times are those of the whole trace, so N shards that start at one instant of the wall
 * clock send what one replay would have sent. Pure functions but for
 * rep_start_mono, which reads its clock; thread-safe.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef REPLAY_SHARD_H
#define REPLAY_SHARD_H

#include "traces/base/clk.h"
#include "traces/base/err.h"

#define REP_SHARDS_MAX 4096u

/* index < count. A count of 0 is the whole trace. */
struct rep_shard {
    uint32_t index, count;
};

/* "1/3" … "3/3"; or "auto/3", where completion_index ("0" … "2", or NULL: not known) is
 * what Kubernetes calls JOB_COMPLETION_INDEX in the pods of an Indexed Job. ERR_USAGE.
 */
int rep_shard_parse(const char *text, const char *completion_index, struct rep_shard *s,
                    struct err *e) MUST_USE;
bool rep_shard_has(struct rep_shard s, uint64_t op_index);
/* How many of the operations [0, total) are its own. */
uint64_t rep_shard_size(struct rep_shard s, uint64_t total);

/* An instant: RFC 3339 ("2031-05-04T12:00:00Z", with decimals and offset where wanted),
 * or "+5s", which counts from now. ERR_USAGE. Leap seconds are not known. */
int rep_start_parse(const char *text, struct clk_wall now, struct clk_wall *t,
                    struct err *e) MUST_USE;
/* The same instant on the monotonic clock, as both clocks stand now. */
int64_t rep_start_mono(const struct clk *clk, struct clk_wall t);

#endif

/*
 * shards.h - runs of the shards of one schedule (replay --shard I/N) are one run.
 *
 * Their outcomes are read together, so counts and quantiles of the whole are exact.
 * Notes that count are added, a longest time is the longest of all, what all shards say
 * alike is kept, and what they say differently is left out. Each shard keeps the
 * verdict that replay gave it: the whole is as healthy as the worst of them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ANALYSIS_SHARDS_H
#define ANALYSIS_SHARDS_H

#include "analysis/ana_run.h"

/* Makes run->notes of the notes of its shards, all read. ERR_NOMEM. ERR_USAGE: they are
 * not shards of one run (no shard, another N, a shard twice, other labels). */
int ana_shards_merge(struct ana_run *run, struct err *e) MUST_USE;

/* Why the shards are not the whole of one run: one is missing, they replayed different
 * things, they did not start together. False: they are; text is then empty. *severity
 * is the worst of it. */
#define ANA_SHARDS_TEXT_MAX 256
bool ana_shards_lack(const struct ana_run *run, enum ana_health *severity,
                     char text[ANA_SHARDS_TEXT_MAX]);

/* Run files that belong together, in the order of their first. */
struct ana_group {
    const char **paths;
    size_t count;
};

/* Sorts the files of one arm into runs: shards that have the same labels "arm" and
 * "pair", or none. A file that cannot be read, or that is a stream, stands alone.
 * Everything lies in the arena. ERR_NOMEM. ERR_USAGE: a shard twice. */
int ana_shards_group(struct arena *arena, const char *const *paths, size_t n,
                     struct ana_group **groups, size_t *count, struct err *e) MUST_USE;

#endif

/*
 * fake_run.h - writes run files of a known truth, for tests of the analysis.
 *
 * Operations are due every millisecond, dealt over three cells (iris by REST, tfsimple
 * by gRPC, the pipeline chain by REST). Response times are log-normal around 10 ms;
 * everything follows from the seed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_UNIT_FAKE_RUN_H
#define TESTS_UNIT_FAKE_RUN_H

#include <stdbool.h>
#include <stdint.h>

struct fake_run {
    uint64_t seed;
    uint32_t operations;
    double slow;         /* all services times this; 0 means 1 */
    double slow_tail;    /* those beyond p98 times this; 0 means 1 */
    double errors;       /* share that is answered with HTTP 503 */
    double deadlines;    /* share that is not answered in time */
    uint32_t drop_every; /* every so many operations is dropped; 0: none */
    int64_t late_ns;     /* generator lateness: exponential with this mean; 0: 2 us */
    const char *arm, *pair, *trace_hash, *health, *health_causes, *version;
    const char *policy, *mode;              /* NULL: none is noted; "open" */
    const char *connects, *connection_ends; /* NULL: none is noted */
    const char *digest;    /* that answers have; NULL: they have none */
    uint32_t differ_every; /* every so many answers is another one; 0: none */
    int64_t start_wall_ns;
    bool abandon;                        /* leave the file without its end */
    uint32_t cells;                      /* 0 means the three; else so many models */
    int64_t warmup_ns, cooldown_from_ns; /* phases that are noted; 0: none */
    uint32_t shard, shards;              /* part 1 .. shards alone; 0: the whole */
};

void fake_run_write(const char *path, const struct fake_run *f);

/* Folders of pairs, each of its own truth: slow, tail, fast, same, errors, broken,
 * sequential, fixed, single, few, short, unfit, attrition, other, policies,
 * disciplines, answers, bodies, named. In each
 * NN-A.run and NN-B.run; pairs are labelled, and B comes first in every third. */
void fake_worlds_write(const char *dir);

#endif

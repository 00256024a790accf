/*
 * trc_random.h - random records for the tests of the container, and their comparison.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_UNIT_TRC_RANDOM_H
#define TESTS_UNIT_TRC_RANDOM_H

#include "traces/base/arena.h"
#include "traces/base/rng.h"
#include "traces/container/trc_reader.h"

/* What random records look like. */
struct trc_random {
    uint32_t streams, bodies; /* distinct ones */
    uint32_t body_max;        /* bytes */
    bool answers, ids;
    int64_t unit; /* of all times */
};

/* n records in a; stream and body contents are shared between them. Times ascend. */
struct op *trc_random_ops(struct arena *a, uint64_t seed, size_t n,
                          const struct trc_random *how);
struct outcome *trc_random_outcomes(struct arena *a, uint64_t seed, size_t n,
                                    const struct trc_random *how);

/* NULL when equal in all that is stored (indices included), else the field that
 * differs. */
const char *trc_op_difference(const struct op *a, const struct op *b);
const char *trc_answer_difference(const struct op *a, const struct op *b);
const char *trc_outcome_difference(const struct outcome *a, const struct outcome *b);

#endif

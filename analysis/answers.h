/*
 * answers.h - how many answers differ between A and B.
 *
 * Pairs of answers to the same operation (by its index in the trace) in the two runs of
 * a pair, both good, by the digest that replay noted. Only digests of what answers say
 * (note answer.digest = content) are compared: bytes differ by ids and versions between
 * equal answers. Beside it stands how many differ between two runs of A, of
 * neighbouring pairs: what the target's own chance makes. No gate: a named result.
 * Memory: 8 bytes for each operation of the trace. One thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ANALYSIS_ANSWERS_H
#define ANALYSIS_ANSWERS_H

#include "analysis/ana_run.h"
#include "traces/base/buf.h"

#define ANA_ANSWERS_MAX                                                                \
    (UINT64_C(1) << 28) /* operations; beyond, nothing is compared */

struct ana_answer_counts {
    uint64_t compared, differ;
};

struct ana_answers {
    const char *reason; /* constant: why nothing is said; NULL: what follows holds */
    struct ana_answer_counts ab, aa;
    bool any_differ; /* then the first of A against B: */
    uint64_t first_op;
    char first_model[64];
};

struct ana_run_pair {
    const struct ana_run *a, *b;
};

/* Reads the files of all runs once more. ERR_IO, ERR_NOMEM; damaged blocks are passed
 * over, as the scan did. */
int ana_answers_find(struct ana_answers *out, const struct ana_run_pair *pairs,
                     size_t count, struct err *e) MUST_USE;

/* "3 of 400 differ between A and B, 0 of 400 between runs of A; the first is operation
 * 7 (iris)". There must be no reason against it. */
void ana_answers_text(const struct ana_answers *a, struct buf *out);

#endif

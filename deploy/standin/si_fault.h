/*
 * si_fault.h - what goes wrong on purpose, at which rate, always for the same calls.
 *
 * One uniform number per call, made from seed and key, is cut into the rates one after
 * the other: faults exclude each other and each comes at its own rate exactly.
 * Thread-safe.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DEPLOY_STANDIN_SI_FAULT_H
#define DEPLOY_STANDIN_SI_FAULT_H

#include <stdint.h>

#include "traces/base/err.h"

enum si_fault {
    SI_FAULT_NONE,
    SI_FAULT_ERROR,   /* an error status instead of the answer */
    SI_FAULT_CLOSE,   /* half an answer, then the end */
    SI_FAULT_GARBAGE, /* an answer that breaks its protocol */
    SI_FAULT_NEVER,   /* no answer */
    SI_FAULT_CROSS,   /* the answer of another call, which gets this one's */
    SI_FAULT_COUNT
};

struct si_faults {
    double rates[SI_FAULT_COUNT]; /* of SI_FAULT_NONE: not used */
    uint64_t seed;
};

/* ERR_USAGE when a rate is not within 0 and 1, or their sum is above 1. */
int si_faults_check(const struct si_faults *f, struct err *e) MUST_USE;
enum si_fault si_fault_pick(const struct si_faults *f, uint64_t key);

#endif

/*
 * layout.h - in which order runs were made, and what that order allows to conclude.
 *
 * Time changes machines, so a difference between A and B is evidence only if A and B
 * ran next to each other, again and again, in an order that does not favour one of
 * them. Pairs come from labels where every run has one, else from time; whether they
 * deserve the name is decided by time alone. Pure functions, thread-safe.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ANALYSIS_LAYOUT_H
#define ANALYSIS_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

#include "traces/base/err.h"

enum ana_layout_kind {
    ANA_LAYOUT_PAIRED_RANDOM, /* pairs next to each other, A first in some, B in others
                               */
    ANA_LAYOUT_PAIRED_FIXED,  /* pairs next to each other, always in the same order */
    ANA_LAYOUT_INTERLEAVED,   /* mixed in time, but not in pairs */
    ANA_LAYOUT_SEQUENTIAL,    /* all of one arm, then all of the other */
    ANA_LAYOUT_SINGLE,        /* one run of each, or less */
    ANA_LAYOUT_UNKNOWN,       /* a start time is missing */
    ANA_LAYOUT_COUNT
};
extern const char *const ana_layout_names[]; /* "paired-random" … */

struct ana_stamp {
    int arm;          /* 0 is A, the baseline; 1 is B */
    const char *pair; /* label; NULL: none */
    int64_t start_ns; /* wall clock; 0: not known */
    int64_t end_ns;   /* 0: not known */
};

struct ana_pair {
    size_t a, b; /* indices of stamps */
};

struct ana_layout {
    enum ana_layout_kind kind;
    bool by_label;      /* pairs come from labels */
    bool overlap;       /* the two runs of a pair ran at the same time */
    bool capped;        /* no verdict beyond INCONCLUSIVE may be drawn */
    const char *reason; /* a sentence about what limits the conclusion, or NULL */
    struct ana_pair
        *pairs; /* owned, in order of time (of labels where time is not known) */
    size_t pair_count;
    size_t unpaired; /* runs without a partner */
};

/* ERR_NOMEM. ERR_USAGE: a pair label twice in one arm. */
int ana_layout_find(struct ana_layout *l, const struct ana_stamp *stamps, size_t n,
                    struct err *e) MUST_USE;
void ana_layout_done(struct ana_layout *l);

#endif

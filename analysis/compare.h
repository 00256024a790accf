/*
 * compare.h - A runs against B runs: pairs, gates, verdict. METHOD.md has the
 * definitions.
 *
 * ana_compare reads the runs one after the other (memory is that of one run and of
 * small summaries), pairs them, checks that they may be compared, judges every gate,
 * and explores the rest. Nothing in the result depends on the clock: equal input gives
 * equal output.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ANALYSIS_COMPARE_H
#define ANALYSIS_COMPARE_H

#include "analysis/ana_run.h"
#include "analysis/answers.h"
#include "analysis/drift.h"
#include "analysis/layout.h"
#include "analysis/signflip.h"
#include "analysis/verdict.h"
#include "traces/base/buf.h"

#define ANA_GATES_MAX 64

/* What a gate looks at. errors: the share of operations that were not answered well. */
struct ana_gate_spec {
    bool errors;
    enum ana_metric metric;
    uint32_t p;
    const char *model; /* NULL: all operations; borrowed */
};

struct ana_tolerance {
    uint32_t p;
    double share; /* 0.03 is 3 % */
};

struct ana_compare_config {
    const char *const *a, *const *b; /* paths; a is the baseline */
    size_t a_count, b_count;
    const struct ana_gate_spec *gates; /* of latency; none: p50, p95, p99 of response */
    size_t gate_count;
    const struct ana_tolerance *tolerances; /* instead of the defaults */
    size_t tolerance_count;
    double error_margin; /* 0.001: a tenth of a percentage point */
    int64_t floor_ns;    /* differences below it do not matter */
    double alpha;        /* of each one-sided test */
    int64_t warmup_ns;
    uint64_t seed;
    struct ana_policy policy;
    bool charts;                 /* of runs, for ana_compare_html (scan.h) */
    struct ana_reading *reading; /* is told how far it is; NULL: nobody is */
};

/* Why a gate has no evidence of its own; stable in JSON. */
enum ana_why {
    ANA_WHY_NOTHING,
    ANA_WHY_NOT_ESTIMABLE,   /* "not-estimable" */
    ANA_WHY_ERRORS_DOMINATE, /* "errors-dominate" */
    ANA_WHY_NO_VALUES,       /* "no-values" */
    ANA_WHY_COUNT
};
extern const char *const ana_why_names[];

/* One quantile (or error rate) of one cell, over the valid pairs. Effects are log(B /
 * A), or B - A of error rates; positive is worse. */
struct ana_gate {
    struct ana_gate_spec spec;
    const struct ana_cell *cell; /* of the first run: name, protocol, tier */
    bool is_all;                 /* all operations */
    double *d;                   /* by pair */
    unsigned n;                  /* pairs */
    uint64_t least_n,
        needed_n;          /* operations in the smallest run; needed to be judged */
    enum ana_why why;      /* other than NOTHING: what follows is not set */
    int64_t a_ns, b_ns;    /* medians over pairs */
    double a_rate, b_rate; /* errors: means over pairs */
    double tolerance; /* log ratio, or difference of rates; the larger of the two */
    double relative, floor; /* the two: share as given, and floor_ns as a share of A */
    struct ana_centre centre;
    struct ana_interval ci, ci_t,
        ci_all;                   /* by flips, by t, simultaneous for all gates */
    double p_worse, p_better;     /* one-sided, of this gate alone */
    double adj_worse, adj_better; /* adjusted for all gates */
    double p_above, p_below;      /* of effect > -tolerance, effect < tolerance */
    struct ana_drift drift;       /* a warning, no part of the verdict */
    double q;   /* exploratory: two-sided, Benjamini-Hochberg; NaN for gates */
    double mde; /* effect detected with 80 % probability; infinite: none */
    unsigned needed_pairs;
    enum ana_verdict verdict;
    bool
        capped; /* the evidence said `evidence`, the layout or attrition allowed less */
    enum ana_verdict evidence;
};

struct ana_error_class {
    const char *name;
    uint64_t a, b; /* in the valid pairs */
};

struct ana_comparison {
    struct ana_compare_config config;
    struct arena arena;
    struct ana_run *runs; /* a_count of A, then b_count of B */
    size_t run_count, a_count;
    size_t *
        by_time; /* indices of runs, earliest first; as given where that is not known */
    const char *arm[2];     /* what the runs call themselves, else "A" and "B" */
    const char *version[2]; /* NULL: not known, or several */
    struct ana_layout layout;
    struct ana_pair *pairs; /* valid ones, borrowed from layout's order */
    unsigned pair_count;
    unsigned least_pairs;     /* with fewer, nothing follows at this alpha */
    unsigned invalid_pairs;   /* dropped for health */
    unsigned invalid_runs[2]; /* by arm, among paired runs */
    bool attrition;           /* so unevenly that no green verdict is given */

    struct ana_gate *gates;
    size_t gate_count;
    double critical; /* studentised effect that the greatest of the gates exceeds by
                        chance with probability alpha; infinite: too few pairs */
    struct ana_gate *explored;
    size_t explored_count;
    size_t discoveries;              /* explored with q <= 0.05 */
    struct ana_error_class *classes; /* new in B first, then by count */
    size_t class_count;
    uint64_t due[2], bad[2]; /* operations in the valid pairs */
    struct ana_answers answers;
    int64_t
        floor_ns; /* differences below it do not matter: asked for, or our own noise */

    enum ana_verdict verdict;
    enum exit_status status;
    const char *invalid;          /* why the session as a whole says nothing, or NULL */
    const struct ana_gate *worst; /* the gate that decided; NULL when invalid */
    bool fragile;                 /* leaving out one pair changes the verdict */
    unsigned fragile_pair;        /* index of such a pair */
    unsigned counts[ANA_VERDICT_COUNT]; /* gates by verdict */
    const char *sentence;               /* the verdict with its evidence */
    const char *next_step;              /* what to do about it, or NULL */
    char plan_hash[33];                 /* label.plan when all runs share it, else "" */
};

/* ERR_USAGE: a gate's model is in no run, a run given twice, too many pairs.
 * ERR_FORMAT, ERR_IO, ERR_NOMEM, ERR_LIMIT from reading. c is to be given to
 * ana_comparison_done in any case. */
int ana_compare(struct ana_comparison *c, const struct ana_compare_config *config,
                struct err *e) MUST_USE;
void ana_comparison_done(struct ana_comparison *c);

/* --- parts, in the order in which ana_compare does them -----------------------------
 */

/* gates.c: effects, tests and verdicts of all gates, and of what is explored. */
int ana_gates_build(struct ana_comparison *c, struct err *e) MUST_USE;
int ana_gates_judge(struct ana_comparison *c, struct err *e) MUST_USE;
/* The tolerated change of quantile p, as a share. */
double ana_tolerance_share(const struct ana_comparison *c, uint32_t p);
/* The run of a pair. */
const struct ana_run *ana_pair_run(const struct ana_comparison *c, unsigned pair,
                                   int arm);
/* sentence.c */
int ana_sentences(struct ana_comparison *c, struct err *e) MUST_USE;
/* "response p99", "error rate", "response p99 of iris (grpc)" */
void ana_gate_title(const struct ana_gate *g, struct buf *out);
/* The same in a column; one that is longer gets a line of its own. */
void ana_gate_title_cell(const struct ana_gate *g, size_t width, struct buf *out);
/* "+6.1 % (90 % CI +3.9 % to +8.4 %; 10 pairs; tolerance 3 %; MDE 4.4 %)" */
void ana_gate_evidence(const struct ana_comparison *c, const struct ana_gate *g,
                       struct buf *out);
/* Whether its quantiles have observations enough (10 beyond) to be shown at all. */
bool ana_gate_shown(const struct ana_gate *g);
/* No pairs to bound it: from -inf to inf. */
bool ana_unbounded(const struct ana_interval *i);
/* Effect as text: "+6.1 %", or "+0.12 pp" for errors. */
char *ana_effect_text(const struct ana_gate *g, double effect, char *out);

/* --- telling ------------------------------------------------------------------------
 */
void ana_compare_text(const struct ana_comparison *c, bool colour, struct buf *out);
void ana_compare_line(const struct ana_comparison *c, struct buf *out); /* --quiet */
void ana_compare_json(const struct ana_comparison *c, struct buf *out);
void ana_compare_html(const struct ana_comparison *c, struct buf *out); /* charts */
void ana_compare_junit(const struct ana_comparison *c, struct buf *out);

#endif

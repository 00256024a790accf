/*
 * search.h - where the highest rate within a limit lies, in few probes.
 *
 * The answer to a probe at rate r (here: a speed) is within the limit, beyond it, or
 * says nothing. The search doubles (or halves) from its start until it has a rate
 * within and one beyond, then takes the geometric mean of the two until they are no
 * further apart than the error that is allowed, and asks once more at the lower one:
 * chance may have let it pass. If that one is beyond now, it goes on below. A probe
 * that says nothing is repeated once; twice in a row they end the search.
 *
 * From a start within a factor of 32 of the knee, 5 % are reached in 5 + 1 + 4 probes
 * and one that confirms. Pure; one thread. Zeroed but for config is a valid start.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef REPLAY_SEARCH_H
#define REPLAY_SEARCH_H

#include "traces/base/err.h"

#define REP_PROBES_MAX 64

struct rep_search_config {
    double from, to, start; /* 0 < from <= start <= to */
    double error;           /* 0.05: high / low <= 1.05 */
    unsigned probes;        /* at most so many; <= REP_PROBES_MAX */
};

enum rep_probe { REP_PROBE_WITHIN, REP_PROBE_BEYOND, REP_PROBE_NOTHING };
extern const char *const rep_probe_names[]; /* "within" "beyond" "invalid" */

enum rep_search_end {
    REP_SEARCH_GOES_ON,
    REP_SEARCH_FOUND,
    REP_SEARCH_ALL_WITHIN, /* also at `to` */
    REP_SEARCH_ALL_BEYOND, /* also at `from` */
    REP_SEARCH_NOTHING,    /* two probes in a row said nothing */
    REP_SEARCH_SPENT       /* the probes ran out before the error was reached */
};
extern const char *const rep_search_end_names[]; /* "goes-on" "found" … */

struct rep_search {
    struct rep_search_config config;
    double low, high;  /* highest within, lowest beyond; 0: none yet */
    bool confirmed;    /* low was within twice */
    unsigned count;    /* probes made */
    unsigned nothings; /* in a row */
    double last;       /* rate of the last probe */
    double within[REP_PROBES_MAX];
    unsigned within_count;
    enum rep_search_end end;
};

/* The rate to probe next. False: the search has ended, s->end says how. */
bool rep_search_next(struct rep_search *s, double *rate);
/* What the probe at the rate of the last rep_search_next said. */
void rep_search_tell(struct rep_search *s, enum rep_probe said);
/* How far above low the knee may lie, as a share; 0 unless both are known. */
double rep_search_error(const struct rep_search *s);

/* A limit: "p99<50ms" (response, from due), "service:p99.9<1s", "errors<1%". */
struct rep_limit {
    const char *text; /* borrowed */
    bool errors;
    char metric[16], quantile[8]; /* as the report's JSON names them */
    int64_t below_ns;
    double below_share;
};
/* ERR_USAGE. */
int rep_limit_parse(struct rep_limit *l, const char *text, struct err *e) MUST_USE;

#endif

/*
 * rules.h - when a run is to end early: bounds on what happened in the last seconds.
 *
 * The window slides by tenths of a second, or by its 1,200th part where that is more: a
 * look sees the last `window_ns` and up to one such step more. The first is made when a
 * whole window has passed, ten follow in a second, so that a window that breaks a rule
 * ends the run within a second. A rule is judged only where enough has happened to
 * judge it: 1 / (1 - p) ended operations for a quantile, 20 for a share. A quantile is
 * exact: what is counted is how many lie beyond its bound. One thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef REPLAY_RULES_H
#define REPLAY_RULES_H

#include "traces/base/buf.h"
#include "traces/outcome.h"

#define REP_RULES_MAX     16
#define REP_RULE_TEXT_MAX 48
/* Steps of a window; 10 minutes slide by half a second. */
#define REP_RULE_SLOTS_MAX 1200

enum rep_rule_kind {
    REP_RULE_LATENCY,    /* p99>200ms: response, from due; what failed is infinite */
    REP_RULE_ERRORS,     /* errors>5%: of what ended, dropped and refused included */
    REP_RULE_LATENESS,   /* lateness>10ms: the generator's, p99 */
    REP_RULE_ACHIEVED,   /* achieved<90%: sent, as a share of what was due */
    REP_RULE_OUTSTANDING /* outstanding>1000: due and not ended, all window long */
};

struct rep_rule {
    enum rep_rule_kind kind;
    double p;                     /* LATENCY, LATENESS: which quantile */
    double bound;                 /* ns, share, or number */
    char text[REP_RULE_TEXT_MAX]; /* as given */
};

/* ERR_USAGE, with what is wrong. */
int rep_rule_parse(const char *text, struct rep_rule *r, struct err *e) MUST_USE;

struct rep_rule_slot {
    int64_t number; /* of the step, from the start */
    uint64_t ended, failed;
    uint64_t measured;            /* of ended: not in the warm-up */
    uint64_t timed;               /* sent, so that they have a lateness */
    uint64_t over[REP_RULES_MAX]; /* beyond the bound of each rule on times */
    uint64_t due, sent;           /* by all, when the slot began */
    uint64_t outstanding;         /* least that was seen */
};

struct rep_rules {
    const struct rep_rule *rules; /* borrowed */
    size_t count;
    int64_t window_ns, slot_ns, next_look_ns;
    struct rep_rule_slot *slots; /* the window, and the one that fills; a ring */
    size_t slot_count;
};

/* What the workers have done so far, summed. */
struct rep_rule_counts {
    uint64_t due, sent, outstanding;
};

/* At most REP_RULES_MAX rules; window_ns > 0. ERR_NOMEM. No rules: nothing is kept, and
 * no look finds anything. */
int rep_rules_init(struct rep_rules *s, const struct rep_rule *rules, size_t count,
                   int64_t window_ns, struct err *e) MUST_USE;
void rep_rules_done(struct rep_rules *s);
/* An operation has ended; now_ns counts from the start, and never falls. warm: it was
 * due in the warm-up, and the rules on latency leave it out, as reports do. */
void rep_rules_add(struct rep_rules *s, int64_t now_ns, const struct outcome *o,
                   bool warm);
/* True when a rule is broken; the text then says which, and by what. Cheap: most calls
 * do nothing, ten in a second look. */
#define REP_RULES_TEXT_MAX 160
bool rep_rules_look(struct rep_rules *s, int64_t now_ns,
                    const struct rep_rule_counts *c, char text[REP_RULES_TEXT_MAX]);

#endif

/*
 * tally.h - what a run amounts to while it is being written: counts, classes,
 * histograms.
 *
 * Feeds the live view, the summary and the health verdict; exact quantiles come from
 * the run file, by `reprise report`. Every outcome is counted once, and due = ok +
 * failed + dropped + refused + stopped. One thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef REPLAY_TALLY_H
#define REPLAY_TALLY_H

#include "traces/base/hist.h"
#include "traces/outcome.h"

#define REP_CLASSES_MAX 64
#define REP_REASONS_MAX 32
#define REP_WINDOWS     4 /* of due time that are open at once */

struct rep_class {
    char text[OUT_CLASS_MAX];
    uint64_t count;
};
struct rep_reason {
    const char *text; /* constant */
    uint64_t count;
};

/* The generator's least lateness per second of due time: a hiccup does not lift it, a
 * schedule that slips does. */
struct rep_trend {
    int64_t window; /* number of the newest second; the array holds those before */
    int64_t least_ns[REP_WINDOWS]; /* INT64_MAX: nothing yet */
    int64_t last_least_ns;         /* of the newest closed second that had any */
    double n, sum_x, sum_y, sum_xx, sum_xy;
};

struct rep_tally {
    uint64_t due, sent, answered, ok, failed, dropped, refused, stopped;
    uint64_t right, wrong, crossed, unjudged;
    uint64_t retried; /* sent more than once */
    uint64_t bytes_in, bytes_out;
    int64_t first_due_ns, last_due_ns, first_sent_ns, last_sent_ns, last_end_ns;
    struct hist response, service, ttfb; /* of answered ones */
    struct hist undelayed;           /* response times less the generator's lateness */
    struct hist generator, pressure; /* of sent ones */
    struct rep_class classes[REP_CLASSES_MAX];
    size_t class_count;
    uint64_t other_classes; /* outcomes of classes that found no place */
    struct rep_reason reasons[REP_REASONS_MAX]; /* why operations were refused */
    size_t reason_count;
    struct rep_reason unjudged_reasons[REP_REASONS_MAX]; /* … answers not judged */
    size_t unjudged_reason_count;
    struct rep_trend trend;
};

int rep_tally_init(struct rep_tally *t, struct err *e) MUST_USE;
void rep_tally_done(struct rep_tally *t);

/* o has times since the start; refusal: why it was not sent, or NULL. True when this
 * class or reason is new: worth a line in the log. */
bool rep_tally_add(struct rep_tally *t, const struct outcome *o, const char *refusal);

/* A good answer was to be judged and was not; why: constant text. */
void rep_tally_unjudged(struct rep_tally *t, const char *why);

/* Starts per second; 0 when there are fewer than two. */
double rep_tally_offered(const struct rep_tally *t);
double rep_tally_achieved(const struct rep_tally *t);
/* As offered, over the time that the generator alone would have taken. */
double rep_tally_kept(const struct rep_tally *t);
/* Growth of the generator's lateness, in millionths of the run time; 0 below ten
 * seconds. */
double rep_tally_trend_ppm(struct rep_tally *t);

#endif

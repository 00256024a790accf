/*
 * ana_run.h - what is known of a run: its counts, its latencies, what its notes say.
 *
 * Latencies, by these definitions and no others (outcome.h has the moments):
 *
 *   response       done - due of every operation that was due; +inf where it failed,
 *                  was dropped or refused. The judged one: no omission can improve it
 *   response_ok    the same of good answers alone
 *   service        done - sent of good answers
 *   ttfb           first - sent of good answers
 *   generator      sent - ready of everything sent: our own lateness
 *   back_pressure  ready - due of everything sent: the target's
 *   first_message  first byte of the first message - sent of good answers that stream
 *   message_gap    between the first bytes of successive messages of those
 *
 * Operations that an interrupt stopped count as `stopped` and have no latency.
 *
 * A cell is a model (or pipeline, experiment) by name, with its protocol and tier; a
 * run with more than ANA_CELLS_MAX of them is told by model type instead. scan.h fills
 * all of it but the health, which run_health.h judges; from then on nobody changes it,
 * and any thread may read it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ANALYSIS_ANA_RUN_H
#define ANALYSIS_ANA_RUN_H

#include "analysis/quantile.h"
#include "traces/base/arena.h"
#include "traces/outcome.h"

#define ANA_CELLS_MAX   1024      /* cells told apart in results */
#define ANA_OTHER       "(other)" /* a cell of what has no model type */
#define ANA_CLASSES_MAX 256       /* kinds of error told apart; beyond, "other" */
#define ANA_BLOCKS      60        /* slices of run time in the series, at most */
#define ANA_BLOCK_LEAST 200 /* operations in one, on average: p95 has 10 beyond it */
#define ANA_CURVE       101 /* points of the percentile curve: 0, 0.05 … 5 nines */

enum ana_metric {
    ANA_RESPONSE,
    ANA_RESPONSE_OK,
    ANA_SERVICE,
    ANA_TTFB,
    ANA_GENERATOR,
    ANA_BACK_PRESSURE,
    ANA_FIRST_MESSAGE,
    ANA_MESSAGE_GAP,
    ANA_METRIC_COUNT
};
extern const char *const ana_metric_names[]; /* "response" … "message_gap" */
/* Of streams: no values where nothing streamed, and left out of reports then. */
bool ana_is_of_streams(enum ana_metric metric);

/* due = done + dropped + refused + stopped; done = ok + failed; sent = done +
 * stopped_sent. */
struct ana_counts {
    uint64_t due, sent, done, ok, failed, dropped, refused, stopped, stopped_sent;
    uint64_t bytes_out, bytes_in;
};

/* q[i] is the quantile run.p[i], ANA_INF where it falls among failures, ANA_NONE for no
 * values; whether it may be shown or judged is for ana_estimable(d.n, p) to say. */
struct ana_latency {
    struct ana_dist d;
    int64_t *q;
};

struct ana_cell {
    const char *name; /* "" for all operations; a model type when by_type */
    enum op_protocol protocol;
    enum op_tier tier;
    bool by_type;
    struct ana_counts counts;
    struct ana_latency latency[ANA_METRIC_COUNT];
};

/* Operations that waited for one thing (enum out_wait), and how long. */
struct ana_wait {
    uint64_t count;
    int64_t total_ns, most_ns;
};

struct ana_class {
    const char *name; /* "http 503", as outcome_class gives it */
    uint64_t count;
};

/* One slice of run time, by due time. `high` quantiles are at run.high_p: p99 where
 * slices hold 1,000 operations on average, else p95. */
struct ana_block {
    uint64_t due, failed;
    int64_t p50, high; /* response; ANA_INF, ANA_NONE as ever */
    int64_t generator_p50, generator_high, back_pressure_high;
};

enum ana_health { ANA_VALID, ANA_DEGRADED, ANA_UNFIT, ANA_HEALTH_COUNT };
extern const char *const ana_health_names[]; /* "VALID" "DEGRADED" "INVALID" */

#define ANA_CAUSES_MAX 32
struct ana_cause {
    enum ana_health severity;
    const char *code, *text;
};

struct ana_note {
    const char *key, *value;
};

/* A file of a run: the only one, or one of its shards (shards.h). */
struct ana_shard {
    const char *path;
    uint32_t index, count; /* index from 0; count 0: it is no shard */
    int64_t start_wall_ns; /* of due = 0; 0: not known */
    struct ana_note *notes;
    size_t note_count;
};

struct ana_run {
    struct arena arena; /* everything below that is a pointer */
    const char *path;   /* of several shards: the first, and how many more */
    struct ana_shard *shards;
    size_t shard_count; /* at least 1 */

    /* the file; of shards, all together */
    uint64_t file_bytes, lost_blocks;
    bool complete;
    struct err fault; /* the first place that could not be read; empty: none */
    struct ana_note *notes;
    size_t note_count;
    int64_t start_wall_ns; /* of due = 0; 0: not known */

    /* what was measured, after the warm-up cut */
    uint64_t cut;          /* operations left out: due in the warm-up */
    uint64_t cut_late;     /* … in the cool-down */
    uint64_t clock_faults; /* outcomes whose moments run backwards */
    int64_t first_due_ns, last_due_ns, last_sent_ns, first_sent_ns, last_done_ns;
    const uint32_t *p; /* the quantiles of every ana_latency, ascending */
    size_t p_count;
    struct ana_cell all;
    struct ana_cell *cells; /* by name, protocol, tier */
    size_t cell_count;
    bool grouped; /* cells are model types */
    struct ana_cell
        *types;        /* the same operations by model type; none where that is no */
    size_t type_count; /* different from cells */
    struct ana_class *classes; /* most frequent first; good ones are not among them */
    size_t class_count;
    struct ana_wait waits[OUT_WAIT_COUNT]; /* back-pressure by what was waited for */
    double tail_share; /* of generator lateness in the responses at or above p99; NaN:
                          none */

    bool charts; /* what follows was asked for; else it is empty */
    int64_t curve[ANA_METRIC_COUNT][ANA_CURVE]; /* of all, at ana_curve_p */
    struct ana_block blocks[ANA_BLOCKS];
    size_t block_count;
    uint32_t high_p;
    int64_t block_ns;

    /* run_health.h */
    enum ana_health health;
    struct ana_cause causes[ANA_CAUSES_MAX];
    size_t cause_count;
};

/* The five that are always there. */
extern const uint32_t ana_standard_p[];
#define ANA_STANDARD_COUNT 5

void ana_run_done(struct ana_run *run);

const char *ana_shard_note(const struct ana_shard *shard, const char *key);
const char *ana_run_note(const struct ana_run *run, const char *key); /* NULL: none */
bool ana_run_note_u64(const struct ana_run *run, const char *key, uint64_t *v);
/* Takes the next line of a note of "COUNT: what" lines off *rest. False: none is left;
 * what is no such line is passed over. */
bool ana_note_line(struct span *rest, uint64_t *count, struct span *what);
/* Index of p in run->p; p must be one of them. */
size_t ana_p_index(const struct ana_run *run, uint32_t p);
int64_t ana_quantile_at(const struct ana_run *run, const struct ana_latency *l,
                        uint32_t p);
/* "p50", "p99.9" */
#define ANA_P_TEXT_MAX 16
char *ana_p_text(uint32_t p, char out[ANA_P_TEXT_MAX]);
uint32_t ana_curve_p(size_t i); /* probability of the i-th point of a curve */

/* Per second; NaN where fewer than two operations leave no span. */
double ana_rate_offered(const struct ana_run *run);
double ana_rate_achieved(const struct ana_run *run); /* from sent times */
double ana_rate_ok(const struct ana_run *run); /* good answers, until the last end */

#endif

/*
 * imp_out.h - operations of a foreign file on their way into a trace: put in order of
 * time, joined with answers that come by themselves, and what was left out counted.
 *
 * A trace ascends in time; logs often do not quite, because a call is logged when it is
 * over. Operations are held, as copies, until IMP_OUT_OPS of them or IMP_OUT_BYTES are
 * there; the earliest leaves first. One that comes later than that can put right is
 * refused: its time would have to be bent. So memory is flat over the file. The trace
 * begins at the first arrival, unless the file tells an epoch.
 *
 * Where IMP_OUT_JUDGE or more are held when the first leaves, their times are judged:
 * on a grid of which operations share cells (imp_grid.h) they are refused, or spread.
 * Not thread-safe.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_IMPORT_IMP_OUT_H
#define TRACES_IMPORT_IMP_OUT_H

#include "traces/container/trc_writer.h"
#include "traces/import/imp_grid.h"

#define IMP_OUT_OPS     65536u
#define IMP_OUT_BYTES   ((size_t)64 << 20)
#define IMP_OUT_JUDGE   100u
#define IMP_OUT_WAITING 65536u /* operations that an answer may still come to */

/* Why something of a file is in no trace. */
enum imp_left {
    IMP_LEFT_OTHER,     /* a call that is no inference */
    IMP_LEFT_UNNAMED,   /* an inference, but nothing says of which model */
    IMP_LEFT_LONG,      /* a name, path or id beyond what a trace is given */
    IMP_LEFT_GRPC,      /* not one whole, plain message of gRPC */
    IMP_LEFT_HTTP,      /* bytes that are no whole HTTP/1.1 message */
    IMP_LEFT_REPLAYED,  /* what another tool's replay was answered */
    IMP_LEFT_UNMATCHED, /* an answer whose request is not there */
    IMP_LEFT_COUNT
};
extern const char *const imp_left_texts[IMP_LEFT_COUNT]; /* "calls that are no …" */

/* What is done about a grid. */
enum imp_spread {
    IMP_SPREAD_REFUSE,
    IMP_SPREAD_UNIFORM, /* each time is drawn uniformly from its cell, and flagged */
    IMP_SPREAD_NONE,    /* the bursts are taken as they stand */
};
extern const char *const imp_spread_names[]; /* "refuse" "uniform" "none" */

#define IMP_OUT_WHERE_MAX 64
struct imp_out_done {
    uint64_t operations, answers, late; /* written; late: answers among these that came
                                           after their operation was */
    int64_t last_ns;                    /* the last arrival */
    uint64_t steps_back; /* arrivals before that of the operation before, sorted */
    int64_t worst_back_ns;
    char grid[IMP_GRID_TEXT_MAX]; /* empty: not judged */
    bool spread;
    uint64_t left[IMP_LEFT_COUNT];
    char left_first[IMP_LEFT_COUNT][IMP_OUT_WHERE_MAX]; /* where the first one was */
    uint64_t headers_denied, queries_cut;               /* as capture's rules have it */
    uint64_t bodies_missing;   /* their length is known alone, or not even that */
    uint64_t bodies_none;      /* requests of a table without one */
    uint64_t bodies_made;      /* of a model type, because there was none */
    uint64_t bodies_decoded;   /* kept without the encoding that they were sent in */
    uint64_t answers_left_out; /* of operations that are there */
};

struct imp_out_options {
    const char *path;   /* of the trace; "-" is a pipe */
    const char *format; /* "har" */
    const char *source; /* the file's name */
    bool calendar;      /* arrivals count from 1970 */
    enum imp_spread spread;
    uint64_t seed;             /* of what is drawn */
    size_t ops_max, bytes_max; /* 0: the limits above */
};

struct imp_out;
int imp_out_open(struct imp_out **o, const struct imp_out_options *how,
                 struct err *e) MUST_USE;
/* What the summary says; counted up by importers as well. */
struct imp_out_done *imp_out_done(struct imp_out *o);
/* A note for the trace; before the first operation is added. ERR_LIMIT, ERR_NOMEM. */
int imp_out_note(struct imp_out *o, const char *key, const char *value,
                 struct err *e) MUST_USE;
/* From now on arrivals are those of the trace itself, since this moment of the
 * calendar (0: none). Before the first operation is added. */
void imp_out_epoch(struct imp_out *o, int64_t epoch_wall_ns);

/* Takes a copy of an operation. key: what an answer will name it by; 0: none will come.
 * ERR_FORMAT when it comes too late to be put in order, before the epoch, or says what
 * no trace can; ERR_LIMIT when it is more than a trace holds. */
int imp_out_add(struct imp_out *o, const struct op *op, uint64_t key,
                struct err *e) MUST_USE;
/* The answer to the latest operation of that key: status, times since the arrival,
 * response, flags. *waiting, its arrival as it was added, tells it apart before it is
 * answered. False where none waits. */
bool imp_out_waiting(const struct imp_out *o, uint64_t key, int64_t *arrival_ns);
int imp_out_answer(struct imp_out *o, uint64_t key, const struct op *answer,
                   struct err *e) MUST_USE;

/* Counts one thing that is left out; where: "line 7", of the first. */
void imp_out_leave(struct imp_out *o, enum imp_left why, const char *where);

/* Writes what is held and closes the trace when rc is 0 (ERR_FORMAT when there is no
 * operation), also after ERR_STOPPED; else leaves no file. Frees o. Returns the code
 * that counts, and *done. */
int imp_out_close(struct imp_out *o, int rc, struct imp_out_done *done, struct err *e);

#endif

/*
 * arr_rate.h - a rate of arrivals over time, and the way back from arrivals to time.
 *
 * The first of three layers of synthesis: a rate L(t) says how many arrivals are
 * expected per second, a process at unit rate (arr_process.h) says how they are spaced
 * in operational time, and arrivals.h composes the two by t = inverse of (integral of
 * L). A rate is handed out as a sequence of pieces that are linear in time, so that a
 * constant, stages with ramps, and any function that can be drawn as short lines are
 * all one interface; pieces stream, so a rate may be endless.
 *
 * Arithmetic: operational time is a whole number of arrivals and a part below one
 * (struct arr_count), so adding a billion gaps loses no more than 1e-7 of an arrival.
 * Each time is computed from the start of its piece and the operational time there,
 * never by adding gaps: nothing drifts, and the error stays below 1 ns for pieces of up
 * to 2^51 ns (26 days). Not thread-safe.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_SYNTH_ARR_RATE_H
#define TRACES_SYNTH_ARR_RATE_H

#include <stddef.h>

#include "traces/base/err.h"

/* The duration of what has no end (73 years, the limit of the container), and the time
 * after the last arrival. */
#define ARR_ENDLESS (INT64_C(1) << 61)
#define ARR_END     INT64_MAX
/* Longest piece that options may ask for: 366 days. */
#define ARR_DURATION_MAX (INT64_C(366) * 86400 * 1000000000)

/* A number of arrivals: whole + part, with 0 <= part < 1. */
struct arr_count {
    uint64_t whole;
    double part;
};
/* Adds x >= 0. False, and a unchanged, when x is not a number or above 2^62. */
bool arr_count_add(struct arr_count *a, double x);
/* a - b as a double. */
double arr_count_minus(struct arr_count a, struct arr_count b);

struct arr_piece {
    int64_t duration_ns; /* > 0 */
    double from, to;     /* arrivals per second at its start and at its end; >= 0 */
};
/* The integral of the rate over the piece. */
double arr_piece_events(const struct arr_piece *p);

/* Where pieces come from: next sets *piece and is true, or is false at the end of time.
 */
struct arr_rate {
    bool (*next)(struct arr_rate *r, struct arr_piece *piece);
};

/* A rate that is a list of pieces; the list is borrowed. */
struct arr_list {
    struct arr_rate rate; /* first, so that &list->rate is the interface */
    const struct arr_piece *pieces;
    size_t count, at;
};
void arr_list_init(struct arr_list *l, const struct arr_piece *pieces, size_t count);

/* Stages as SCv2's k6 script infer_multiple_rates runs them: from ARR_STAGE_START per
 * second, for each stage a ramp of a third of its hold (rounded up to whole seconds) to
 * its rate, then the hold. Writes 2 * count pieces. ERR_USAGE for a rate below 0 or
 * above ARR_RATE_MAX, or a hold that is not above 0. */
#define ARR_STAGE_START 5.0
#define ARR_RATE_MAX    1e9
int arr_stages(const double *rates, const int64_t *holds_ns, size_t count,
               struct arr_piece *pieces, struct err *e) MUST_USE;

/* The inverse of the integrated rate. Zeroed is not valid: init. */
struct arr_map {
    struct arr_rate *rate;
    struct arr_piece piece;
    double events;           /* of piece */
    int64_t start_ns;        /* of piece */
    struct arr_count before; /* integral up to start_ns */
    bool has_piece, ended;
};
void arr_map_init(struct arr_map *m, struct arr_rate *rate);
/* The first moment at which the integral reaches u, or ARR_END when it never does.
 * Calls come with u that never falls. */
int64_t arr_map_time(struct arr_map *m, struct arr_count u);

#endif

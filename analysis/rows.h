/*
 * rows.h - what is kept of each operation while a run is read: five latencies, and a
 * due time where charts are drawn over run time, as columns in pieces.
 *
 * Memory that is touched for the first time is the dearest part of a scan: each page of
 * 4 KiB costs as much as all that is done with its values. So latencies are narrow, and
 * pieces lie in slabs of huge pages (where the system has them) that the next run uses
 * again. A piece never moves; each is twice the one before it, up to ANA_PIECE_ROWS.
 * Not thread-safe on the same slabs.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ANALYSIS_ROWS_H
#define ANALYSIS_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "traces/base/err.h"

enum ana_column {
    ANA_COL_RESPONSE, /* ANA_INF where it failed */
    ANA_COL_SERVICE,
    ANA_COL_TTFB,
    ANA_COL_GENERATOR,
    ANA_COL_BACK_PRESSURE,
    ANA_COLUMN_COUNT
};

/* Columns are aligned: index i of each is one operation. A latency that does not fit
 * (ANA_NONE, ANA_INF, 4.3 s and more) is ANA_WIDE here, and the next of its leaf's wide
 * ones. That of back-pressure is NULL while all of it is 0, which it nearly always is.
 */
#define ANA_PIECE_LEAST 64
#define ANA_PIECE_ROWS  16384
struct ana_piece {
    struct ana_piece *next;
    size_t n, cap;
    int64_t *due; /* NULL: not wanted */
    uint32_t *narrow[ANA_COLUMN_COUNT];
};

#define ANA_SLAB ((size_t)16 << 20)
struct ana_slabs { /* zeroed: none yet */
    char **slabs;
    size_t count, cap;
    size_t at, used; /* the one that is given from, and how much of it is gone */
};
void ana_slabs_reset(struct ana_slabs *s); /* all is free again, and still there */
void ana_slabs_done(struct ana_slabs *s);

/* A piece to follow `last` (NULL: the first of a leaf). Valid until reset or done;
 * NULL: out of memory. */
struct ana_piece *ana_piece_new(struct ana_slabs *s, struct ana_piece *last,
                                bool with_due) MUST_USE;
/* Makes the column of back-pressure, 0 so far. False: out of memory. */
bool ana_piece_press(struct ana_slabs *s, struct ana_piece *p) MUST_USE;

#endif

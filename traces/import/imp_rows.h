/*
 * imp_rows.h - rows of a foreign trace: a time and two sizes, all in memory.
 *
 * Importers of row formats fill one of these, so that a file is understood whole before
 * anything is written: order, span, time grid. 24 bytes a row; a zeroed struct is a
 * valid empty one. Not thread-safe.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_IMPORT_IMP_ROWS_H
#define TRACES_IMPORT_IMP_ROWS_H

#include <stddef.h>

#include "traces/container/zin.h"
#include "traces/op.h"

#define IMP_ROWS_MAX    (1u << 26) /* 67 million: 1.5 GiB */
#define IMP_TOKENS_MAX  ((1u << 31) - 1)
#define IMP_SPAN_MAX_NS (INT64_C(1) << 61) /* 73 years, the limit of the container */

struct imp_row {
    int64_t
        at_ns; /* since 1970 where there is a calendar, else since the file's zero */
    uint32_t tokens_in;
    uint32_t tokens_out : 31;
    uint32_t spread : 1; /* at_ns was moved within its grid cell (imp_grid.h) */
    uint32_t client;     /* or OP_NONE */
    uint32_t took_ms;    /* from the request to the answer's end, or OP_NONE */
};

struct imp_rows {
    struct imp_row *v;
    size_t n, cap;
    bool has_calendar;
    uint64_t steps_back; /* rows that came with an earlier time than the one before */
    int64_t worst_back_ns;
};

/* ERR_LIMIT above IMP_ROWS_MAX or IMP_SPAN_MAX_NS, ERR_NOMEM. */
int imp_rows_add(struct imp_rows *rows, int64_t at_ns, uint64_t tokens_in,
                 uint64_t tokens_out, struct err *e) MUST_USE;
/* Of the row added last. */
void imp_rows_more(struct imp_rows *rows, uint32_t client, uint32_t took_ms);
/* By time; rows of equal time keep their order. ERR_NOMEM. */
int imp_rows_sort(struct imp_rows *rows, struct err *e) MUST_USE;
void imp_rows_done(struct imp_rows *rows);

/* --- what CSV formats share ----------------------------------------------------------
 */

#define IMP_CELLS_MAX 32

struct imp_cells {
    struct span v[IMP_CELLS_MAX];
    size_t n;
};
/* Reads the header line: where each of names stands, and how many columns there are.
 * ERR_FORMAT names a column that is missing or there twice, or says that there is no
 * line. */
int imp_cells_header(struct zin *in, const char *const *names, size_t n, size_t *at,
                     size_t *width, struct err *e) MUST_USE;
/* The same where only the first `needed` of names must be there; at is SIZE_MAX of the
 * others that are not. */
int imp_cells_header_some(struct zin *in, const char *const *names, size_t n,
                          size_t needed, size_t *at, size_t *width,
                          struct err *e) MUST_USE;
/* Splits a row. ERR_FORMAT when it has not width cells. */
int imp_cells_row(struct imp_cells *c, struct span line, size_t width,
                  struct err *e) MUST_USE;
/* A plain decimal number with high >= value >= low. ERR_FORMAT names the column. */
int imp_u64(struct span cell, const char *name, uint64_t low, uint64_t high,
            uint64_t *value, struct err *e) MUST_USE;
/* "12.5" in units of 10^digits ns (9: seconds), without a detour over binary fractions;
 * what is finer than a nanosecond is cut. False when it is no such number, negative or
 * beyond IMP_SPAN_MAX_NS. */
bool imp_decimal_ns(struct span cell, int digits, int64_t *ns);
/* Likewise, with point and exponent; "nan", "inf" and hexadecimal are none. */
int imp_f64(struct span cell, const char *name, double low, double high, double *value,
            struct err *e) MUST_USE;

#endif

/*
 * csv_rows.h - rows of comma-separated values (RFC 4180), of any length that has a
 * name.
 *
 * Lines end with LF or CRLF; a cell in quotes may hold separators, line ends and quotes
 * (doubled). Blank lines are passed over, and so is a byte order mark at the beginning.
 * What the RFC leaves open is refused: quotes inside of a cell without quotes, bytes
 * behind a closing quote, a bare carriage return. Not thread-safe.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_IMPORT_CSV_ROWS_H
#define TRACES_IMPORT_CSV_ROWS_H

#include "traces/base/buf.h"
#include "traces/container/zin.h"

#define CSV_CELLS_MAX 128
#define CSV_ROW_MAX   (128u << 20) /* bytes of a row: a body of 64 MiB in base64 */

struct csv_rows {
    struct zin *in; /* borrowed */
    uint8_t separator;
    struct span window;
    size_t at; /* in the window */
    struct buf bytes;
    size_t ends[CSV_CELLS_MAX]; /* of the row's cells, in bytes */
    struct span cells[CSV_CELLS_MAX];
    size_t n;
    uint64_t line; /* that the row begins in, from 1 */
    uint64_t next_line;
};

void csv_rows_init(struct csv_rows *c, struct zin *in, char separator);
void csv_rows_done(struct csv_rows *c);

/* The next row: cells[0..n), borrowed until the next call. 1: there is one; 0: clean
 * end; ERR_FORMAT, ERR_TRUNCATED (inside of quotes), ERR_LIMIT, or what zin_peek gives.
 * The row's line is known after an error too. */
int csv_rows_next(struct csv_rows *c, struct err *e) MUST_USE;

#endif

/*
 * csv_rows.c - see csv_rows.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/import/csv_rows.h"

enum place {
    AT_START, /* of a cell */
    IN_PLAIN,
    IN_QUOTES,
    BEHIND_QUOTE, /* which closes the cell, or is the first of two */
    BEHIND_CR,
    ROW_OVER,
};

void csv_rows_init(struct csv_rows *c, struct zin *in, char separator)
{
    *c = (struct csv_rows){.in = in, .separator = (uint8_t)separator};
    c->line = c->next_line = 1;
}

void csv_rows_done(struct csv_rows *c)
{
    buf_done(&c->bytes);
}

/* More bytes in the window; none at the end of the file. */
static int refill(struct csv_rows *c, struct err *e)
{
    int rc = zin_skip(c->in, c->at, e);
    c->at = 0;
    c->window = (struct span){0};
    return rc == 0 ? zin_peek(c->in, 1, &c->window, e) : rc;
}

static int end_cell(struct csv_rows *c, struct err *e)
{
    if (c->n == CSV_CELLS_MAX)
        return err_set(e, ERR_LIMIT, "more than %d cells", CSV_CELLS_MAX);
    c->ends[c->n++] = c->bytes.n;
    return 0;
}

/* One byte, whose place this is; the next place, or an error. */
static int step(struct csv_rows *c, enum place place, uint8_t b, struct err *e)
{
    bool ends = b == c->separator || b == '\n' || b == '\r';
    if (place == IN_QUOTES || (place == BEHIND_QUOTE && b == '"')) {
        if (place == IN_QUOTES && b == '"')
            return BEHIND_QUOTE;
        c->next_line += b == '\n';
        buf_u8(&c->bytes, b);
        return IN_QUOTES;
    }
    if (place == BEHIND_CR && b != '\n')
        return err_set(e, ERR_FORMAT, "a carriage return without a line feed");
    if (place == BEHIND_QUOTE && !ends)
        return err_set(e, ERR_FORMAT, "bytes behind a closing quote");
    if (b == '"' && place == IN_PLAIN)
        return err_set(e, ERR_FORMAT,
                       "a quote inside of a cell that does not begin with one");
    if (b == '"')
        return IN_QUOTES;
    if (!ends) {
        buf_u8(&c->bytes, b);
        return IN_PLAIN;
    }
    int rc = place == BEHIND_CR ? 0 : end_cell(c, e);
    c->next_line += b == '\n';
    return rc < 0              ? rc
           : b == c->separator ? (int)AT_START
           : b == '\r'         ? (int)BEHIND_CR
                               : (int)ROW_OVER;
}

/* The file ends at this place. */
static int at_end(struct csv_rows *c, enum place place, struct err *e)
{
    if (place == IN_QUOTES)
        return err_set(e, ERR_TRUNCATED, "the file ends inside of quotes");
    if (place == BEHIND_CR)
        return err_set(e, ERR_FORMAT, "a carriage return without a line feed");
    if (place == AT_START && c->n == 0)
        return 0;
    int rc = end_cell(c, e);
    return rc < 0 ? rc : 1;
}

/* A row, blank or not: 1; the end: 0. */
static int read_row(struct csv_rows *c, struct err *e)
{
    int place = AT_START;
    c->n = 0;
    c->line = c->next_line;
    buf_reset(&c->bytes);
    while (place != ROW_OVER) {
        if (c->at == c->window.n) {
            int rc = refill(c, e);
            if (rc < 0)
                return rc;
            if (c->window.n == 0)
                return at_end(c, (enum place)place, e);
        }
        while (c->at < c->window.n && place != ROW_OVER) {
            place = step(c, (enum place)place, c->window.p[c->at++], e);
            if (place < 0)
                return place;
        }
        if (c->bytes.n > CSV_ROW_MAX)
            return err_set(e, ERR_LIMIT, "a row of more than %u bytes", CSV_ROW_MAX);
    }
    return 1;
}

static int skip_mark(struct csv_rows *c, struct err *e)
{
    int rc = zin_peek(c->in, 3, &c->window, e);
    if (rc == 0 && c->window.n >= 3 && memcmp(c->window.p, "\xef\xbb\xbf", 3) == 0)
        c->at = 3;
    return rc;
}

int csv_rows_next(struct csv_rows *c, struct err *e)
{
    int rc = c->next_line == 1 && c->window.n == 0 ? skip_mark(c, e) : 0;
    if (rc < 0)
        return rc;
    do
        rc = read_row(c, e);
    while (rc == 1 && c->n == 1 && c->bytes.n == 0);
    if (rc < 1)
        return rc;
    if ((rc = buf_check(&c->bytes, e)) < 0)
        return rc;
    for (size_t i = 0, from = 0; i < c->n; from = c->ends[i++])
        c->cells[i] = span_sub(buf_view(&c->bytes), from, c->ends[i]);
    return 1;
}

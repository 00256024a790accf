/*
 * imp_rows.c - see imp_rows.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/import/imp_rows.h"

#include <stdlib.h>
#include <string.h>

int imp_rows_add(struct imp_rows *rows, int64_t at_ns, uint64_t tokens_in,
                 uint64_t tokens_out, struct err *e)
{
    if (rows->n == IMP_ROWS_MAX)
        return err_set(e, ERR_LIMIT, "more than %u rows", IMP_ROWS_MAX);
    if (at_ns < 0 || at_ns > IMP_SPAN_MAX_NS)
        return err_set(e, ERR_LIMIT, "a time beyond 73 years");
    if (tokens_in > IMP_TOKENS_MAX || tokens_out > IMP_TOKENS_MAX)
        return err_set(e, ERR_LIMIT, "more than %u tokens", IMP_TOKENS_MAX);
    if (rows->n == rows->cap) {
        size_t cap = rows->cap ? 2 * rows->cap : 1024;
        struct imp_row *v = realloc(rows->v, cap * sizeof *v);
        if (!v)
            return err_set(e, ERR_NOMEM, "no memory for %zu rows", cap);
        rows->v = v;
        rows->cap = cap;
    }
    if (rows->n > 0 && at_ns < rows->v[rows->n - 1].at_ns) {
        int64_t back = rows->v[rows->n - 1].at_ns - at_ns;
        rows->steps_back++;
        if (back > rows->worst_back_ns)
            rows->worst_back_ns = back;
    }
    rows->v[rows->n++] = (struct imp_row){.at_ns = at_ns,
                                          .tokens_in = (uint32_t)tokens_in,
                                          .tokens_out = tokens_out & IMP_TOKENS_MAX,
                                          .client = OP_NONE,
                                          .took_ms = OP_NONE};
    return 0;
}

void imp_rows_more(struct imp_rows *rows, uint32_t client, uint32_t took_ms)
{
    rows->v[rows->n - 1].client = client;
    rows->v[rows->n - 1].took_ms = took_ms;
}

/* Merges v[low, middle) and v[middle, high), both in order, by way of spare. */
static void merge(struct imp_row *v, struct imp_row *spare, size_t low, size_t middle,
                  size_t high)
{
    size_t n = middle - low, i = 0, k = middle, to = low;
    memcpy(spare, v + low, n * sizeof *v);
    while (i < n && k < high)
        v[to++] = v[k].at_ns < spare[i].at_ns ? v[k++] : spare[i++];
    memcpy(v + to, spare + i, (n - i) * sizeof *v);
}

/* Merging from the bottom up, past what is in order already: rows are nearly sorted. */
int imp_rows_sort(struct imp_rows *rows, struct err *e)
{
    struct imp_row *v = rows->v, *spare;
    bool sorted = true;
    for (size_t i = 1; i < rows->n && sorted; i++)
        sorted = v[i - 1].at_ns <= v[i].at_ns;
    if (sorted)
        return 0;
    spare = malloc(rows->n * sizeof *spare);
    if (!spare)
        return err_set(e, ERR_NOMEM, "no memory to sort %zu rows", rows->n);
    for (size_t width = 1; width < rows->n; width *= 2)
        for (size_t low = 0; low + width < rows->n; low += 2 * width) {
            size_t middle = low + width, high = middle + width;
            if (v[middle - 1].at_ns > v[middle].at_ns)
                merge(v, spare, low, middle, high < rows->n ? high : rows->n);
        }
    free(spare);
    return 0;
}

void imp_rows_done(struct imp_rows *rows)
{
    free(rows->v);
    *rows = (struct imp_rows){0};
}

/* Cells between commas, without the blanks around them. Numbers and times need no
 * quotes. */
static int split(struct imp_cells *c, struct span line, struct err *e)
{
    c->n = 0;
    if (span_find(line, '"', 0) < line.n)
        return err_set(e, ERR_FORMAT, "quotes are not part of this format");
    for (size_t at = 0; at <= line.n;) {
        size_t comma = span_find(line, ',', at);
        if (c->n == IMP_CELLS_MAX)
            return err_set(e, ERR_FORMAT, "more than %d columns", IMP_CELLS_MAX);
        c->v[c->n++] = span_trim(span_sub(line, at, comma));
        at = comma + 1;
    }
    return 0;
}

static int find(const struct imp_cells *header, const char *const *names, size_t n,
                size_t needed, size_t *at, struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        size_t found = 0;
        at[i] = SIZE_MAX;
        for (size_t k = 0; k < header->n; k++)
            if (span_eq_str(header->v[k], names[i])) {
                at[i] = k;
                found++;
            }
        if (found > 1 || (found == 0 && i < needed))
            return err_set(e, ERR_FORMAT, "the header has %s column '%s'",
                           found ? "more than one" : "no", names[i]);
    }
    return 0;
}

int imp_cells_header(struct zin *in, const char *const *names, size_t n, size_t *at,
                     size_t *width, struct err *e)
{
    return imp_cells_header_some(in, names, n, n, at, width, e);
}

int imp_cells_header_some(struct zin *in, const char *const *names, size_t n,
                          size_t needed, size_t *at, size_t *width, struct err *e)
{
    struct span line;
    struct imp_cells cells;
    int rc = zin_line(in, &line, e);
    if (rc == 0)
        return err_set(e, ERR_FORMAT, "the file is empty");
    if (rc < 0)
        return rc;
    rc = split(&cells, line, e);
    if (rc == 0)
        rc = find(&cells, names, n, needed, at, e);
    *width = rc == 0 ? cells.n : 0;
    return rc < 0 ? err_note(e, "line 1") : 0;
}

int imp_cells_row(struct imp_cells *c, struct span line, size_t width, struct err *e)
{
    int rc = split(c, line, e);
    if (rc == 0 && c->n != width)
        rc = err_set(e, ERR_FORMAT, "%zu columns, where the header has %zu", c->n,
                     width);
    return rc;
}

static int bad_cell(struct span cell, const char *name, const char *what, struct err *e)
{
    return err_set(e, ERR_FORMAT, "%s '%.*s' is not a number %s", name,
                   cell.n > 40 ? 40 : (int)cell.n, (const char *)cell.p, what);
}

int imp_u64(struct span cell, const char *name, uint64_t low, uint64_t high,
            uint64_t *value, struct err *e)
{
    if (!span_u64(cell, value))
        return bad_cell(cell, name, "of plain digits", e);
    if (*value < low || *value > high)
        return err_set(e, ERR_FORMAT, "%s %llu is not in %llu..%llu", name,
                       (unsigned long long)*value, (unsigned long long)low,
                       (unsigned long long)high);
    return 0;
}

bool imp_decimal_ns(struct span s, int digits, int64_t *ns)
{
    size_t point = span_find(s, '.', 0);
    uint64_t whole = 0;
    struct span fraction = span_sub(s, point + 1, s.n);
    if (s.n == 0 || (point < s.n && fraction.n == 0) ||
        !span_u64(span_sub(s, 0, point), &whole))
        return false;
    for (size_t i = 0; i < fraction.n; i++)
        if (fraction.p[i] < '0' || fraction.p[i] > '9')
            return false;
    for (int i = 0; i < digits; i++) {
        uint8_t next = (size_t)i < fraction.n ? fraction.p[i] - '0' : 0;
        if (whole > (uint64_t)IMP_SPAN_MAX_NS / 10)
            return false;
        whole = whole * 10 + next;
    }
    *ns = (int64_t)whole;
    return whole <= (uint64_t)IMP_SPAN_MAX_NS;
}

int imp_f64(struct span cell, const char *name, double low, double high, double *value,
            struct err *e)
{
    char text[64], *end;
    bool plain = cell.n > 0 && cell.n < sizeof text;
    for (size_t i = 0; i < cell.n && plain; i++)
        plain = (cell.p[i] >= '0' && cell.p[i] <= '9') || cell.p[i] == '.' ||
                cell.p[i] == '-' || cell.p[i] == '+' || cell.p[i] == 'e' ||
                cell.p[i] == 'E';
    if (!plain)
        return bad_cell(cell, name, "of digits, point and exponent", e);
    memcpy(text, cell.p, cell.n);
    text[cell.n] = '\0';
    *value = strtod(text, &end);
    if (*end != '\0')
        return bad_cell(cell, name, "of digits, point and exponent", e);
    if (!(*value >= low && *value <= high))
        return err_set(e, ERR_FORMAT, "%s %s is not in %g..%g", name, text, low, high);
    return 0;
}

/*
 * imp_burst.c - see imp_burst.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/import/imp_burst.h"

#include "traces/base/clk.h"
#include "traces/import/imp_names.h"

enum { TIME, MODEL, ASKED, ANSWERED, NEEDED, SESSION = NEEDED, ELAPSED, LOG, COLUMNS };
static const char *const names[COLUMNS] = {
    "Timestamp",  "Model",        "Request tokens", "Response tokens",
    "Session ID", "Elapsed time", "Log Type"};

struct reading {
    struct imp_burst *b;
    struct imp_rows *rows;
    struct imp_names sessions;
    size_t at[COLUMNS], width;
    struct imp_cells cells;
    struct err *e;
};

/* Empty where there is no such column. */
static struct span cell(const struct reading *r, int column)
{
    return r->at[column] == SIZE_MAX ? (struct span){0} : r->cells.v[r->at[column]];
}

static int seconds(struct reading *r, int column, int64_t *ns)
{
    struct span text = cell(r, column);
    return imp_decimal_ns(text, 9, ns)
               ? 0
               : err_set(r->e, ERR_FORMAT, "%s '%.*s' is not a number of seconds",
                         names[column], text.n > 40 ? 40 : (int)text.n,
                         (const char *)text.p);
}

/* What only some rows have. */
static int take_more(struct reading *r)
{
    uint32_t client = OP_NONE, took_ms = OP_NONE;
    int64_t ns = 0;
    struct span session = cell(r, SESSION);
    int rc = session.n ? imp_names_of(&r->sessions, session, &client, r->e) : 0;
    if (rc == 0 && cell(r, ELAPSED).n) {
        rc = seconds(r, ELAPSED, &ns);
        int64_t ms = (ns + CLK_MS / 2) / CLK_MS;
        if (rc == 0 && ms >= OP_NONE)
            rc = err_set(r->e, ERR_LIMIT, "%s of more than 49 days", names[ELAPSED]);
        took_ms = (uint32_t)ms;
    }
    if (rc == 0)
        imp_rows_more(r->rows, client, took_ms);
    return rc;
}

static int read_row(struct reading *r, struct span line)
{
    uint64_t asked, answered;
    int64_t at_ns;
    int rc = imp_cells_row(&r->cells, line, r->width, r->e);
    if (rc == 0)
        rc = seconds(r, TIME, &at_ns);
    if (rc == 0)
        rc = imp_u64(cell(r, ASKED), names[ASKED], 0, IMP_TOKENS_MAX, &asked, r->e);
    if (rc == 0)
        rc = imp_u64(cell(r, ANSWERED), names[ANSWERED], 0, IMP_TOKENS_MAX, &answered,
                     r->e);
    if (rc < 0)
        return rc;
    if ((r->b->model && !span_eq_str(cell(r, MODEL), r->b->model)) ||
        (r->b->log_type && !span_eq_str(cell(r, LOG), r->b->log_type))) {
        r->b->left_out++;
        return 0;
    }
    r->b->failures += answered == 0;
    rc = imp_rows_add(r->rows, at_ns, asked, answered, r->e);
    return rc == 0 ? take_more(r) : rc;
}

int imp_burst_read(struct zin *in, struct imp_burst *b, struct imp_rows *rows,
                   struct err *e)
{
    struct reading r = {.b = b, .rows = rows, .e = e};
    struct span line;
    int rc = imp_cells_header_some(in, names, COLUMNS, NEEDED, r.at, &r.width, e);
    if (rc == 0 && b->log_type && r.at[LOG] == SIZE_MAX)
        rc = err_set(e, ERR_FORMAT, "the header has no column '%s'", names[LOG]);
    if (rc < 0)
        return rc;
    while (rc == 0 && (rc = zin_line(in, &line, e)) > 0) {
        rc = read_row(&r, line);
        if (rc < 0)
            err_note(e, "line %llu", (unsigned long long)zin_line_number(in));
    }
    imp_names_done(&r.sessions);
    if (rc == 0 && rows->n == 0)
        return err_set(e, ERR_FORMAT,
                       b->left_out ? "no row of that Model and Log Type"
                                   : "a header and no rows");
    return rc;
}

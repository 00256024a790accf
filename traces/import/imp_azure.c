/*
 * imp_azure.c - see imp_azure.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/import/imp_azure.h"

#include "traces/synth/when.h"

enum { TIMESTAMP, CONTEXT, GENERATED, COLUMNS };
static const char *const names[COLUMNS] = {"TIMESTAMP", "ContextTokens",
                                           "GeneratedTokens"};

static int read_row(struct span line, const size_t at[COLUMNS], size_t width,
                    struct imp_rows *rows, struct err *e)
{
    struct imp_cells cells;
    struct clk_wall t;
    uint64_t context, generated;
    int rc = imp_cells_row(&cells, line, width, e);
    if (rc == 0)
        rc = when_parse(cells.v[at[TIMESTAMP]], &t, e);
    if (rc == 0)
        rc = imp_u64(cells.v[at[CONTEXT]], names[CONTEXT], 0, IMP_TOKENS_MAX, &context,
                     e);
    if (rc == 0)
        rc = imp_u64(cells.v[at[GENERATED]], names[GENERATED], 0, IMP_TOKENS_MAX,
                     &generated, e);
    return rc == 0 ? imp_rows_add(rows, t.ns, context, generated, e) : rc;
}

int imp_azure_read(struct zin *in, struct imp_rows *rows, struct err *e)
{
    size_t at[COLUMNS], width;
    struct span line;
    int rc = imp_cells_header(in, names, COLUMNS, at, &width, e);
    if (rc < 0)
        return rc;
    rows->has_calendar = true;
    while ((rc = zin_line(in, &line, e)) > 0) {
        rc = read_row(line, at, width, rows, e);
        if (rc < 0)
            return err_note(e, "line %llu", (unsigned long long)zin_line_number(in));
    }
    if (rc == 0 && rows->n == 0)
        return err_set(e, ERR_FORMAT, "a header and no rows");
    return rc;
}

/*
 * imp_mooncake.c - see imp_mooncake.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/import/imp_mooncake.h"

#include <jansson.h>
#include <math.h>

#include "traces/base/clk.h"

/* Milliseconds, whole or not. */
static int member_time(const json_t *row, int64_t *ns, struct err *e)
{
    const json_t *v = json_object_get(row, "timestamp");
    if (!json_is_number(v))
        return err_set(e, ERR_FORMAT, "'timestamp' is %s",
                       v ? "not a number" : "missing");
    double ms = json_number_value(v);
    if (!(ms >= 0 && ms <= (double)(IMP_SPAN_MAX_NS / CLK_MS)))
        return err_set(e, ERR_FORMAT, "timestamp %g is not in 0..%lld milliseconds", ms,
                       (long long)(IMP_SPAN_MAX_NS / CLK_MS));
    *ns = json_is_integer(v) ? json_integer_value(v) * CLK_MS
                             : llround(ms * (double)CLK_MS);
    return 0;
}

static int member_tokens(const json_t *row, const char *name, uint64_t *tokens,
                         struct err *e)
{
    const json_t *v = json_object_get(row, name);
    if (!json_is_integer(v))
        return err_set(e, ERR_FORMAT, "'%s' is %s", name,
                       v ? "not a whole number" : "missing");
    if (json_integer_value(v) < 0 || json_integer_value(v) > IMP_TOKENS_MAX)
        return err_set(e, ERR_FORMAT, "%s %lld is not in 0..%u", name,
                       (long long)json_integer_value(v), IMP_TOKENS_MAX);
    *tokens = (uint64_t)json_integer_value(v);
    return 0;
}

static int read_row(struct span line, struct imp_rows *rows, struct err *e)
{
    json_error_t why;
    json_t *row =
        json_loadb((const char *)line.p, line.n, JSON_REJECT_DUPLICATES, &why);
    if (!row)
        return err_set(e, ERR_FORMAT, "not JSON: %s (column %d)", why.text, why.column);
    int64_t ns = 0;
    uint64_t in = 0, out = 0;
    int rc = json_is_object(row) ? 0 : err_set(e, ERR_FORMAT, "not a JSON object");
    if (rc == 0)
        rc = member_time(row, &ns, e);
    if (rc == 0)
        rc = member_tokens(row, "input_length", &in, e);
    if (rc == 0)
        rc = member_tokens(row, "output_length", &out, e);
    json_decref(row);
    return rc == 0 ? imp_rows_add(rows, ns, in, out, e) : rc;
}

int imp_mooncake_read(struct zin *in, struct imp_rows *rows, struct err *e)
{
    struct span line;
    int rc;
    while ((rc = zin_line(in, &line, e)) > 0) {
        rc = read_row(line, rows, e);
        if (rc < 0)
            return err_note(e, "line %llu", (unsigned long long)zin_line_number(in));
    }
    if (rc == 0 && rows->n == 0)
        return err_set(e, ERR_FORMAT, "the file is empty");
    return rc;
}

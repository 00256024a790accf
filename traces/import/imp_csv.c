/*
 * imp_csv.c - see imp_csv.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/import/imp_csv.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "traces/import/csv_rows.h"
#include "traces/import/imp_names.h"
#include "traces/payload/base64.h"
#include "traces/payload/call_name.h"
#include "traces/synth/when.h"

#define BODY_MAX   ((size_t)64 << 20)
#define FILE_MAX   1024u /* bytes of a body's file name */
#define HEADER_TAG "header:"

const char *const imp_unit_names[] = {"ns", "us", "ms", "s", "calendar", NULL};

enum column {
    ARRIVAL,
    MODEL,
    RESOURCE,
    MODEL_TYPE,
    PROTOCOL,
    TIER,
    METHOD,
    PATH,
    CONTENT_TYPE,
    CONTENT_ENCODING,
    BODY,
    BODY_BASE64,
    BODY_FILE,
    ID,
    CONNECTION,
    CLIENT,
    TOKENS_IN,
    TOKENS_OUT,
    STATUS,
    GRPC_STATUS,
    FIRST,
    LAST,
    COLUMNS
};
static const char *const column_names[COLUMNS] = {
    "arrival", "model",       "resource",   "model_type",   "protocol",
    "tier",    "method",      "path",       "content_type", "content_encoding",
    "body",    "body_base64", "body_file",  "id",           "connection",
    "client",  "tokens_in",   "tokens_out", "status",       "grpc_status",
    "first",   "last"};

#define NOWHERE SIZE_MAX

struct reading {
    const struct imp_csv *how;
    struct imp_out *o;
    struct imp_out_done *done;
    struct csv_rows rows;
    size_t width, at[COLUMNS]; /* NOWHERE: there is no such column */
    struct arena names;        /* of the header */
    const char *header_names[IMP_CSV_HEADERS_MAX];
    size_t header_at[IMP_CSV_HEADERS_MAX], header_count;
    struct arena a; /* of the row */
    struct buf body;
    struct imp_names connections, clients;
    struct err *e;
};

/* --- the header ------------------------------------------------------------------- */

/* What a column of ours is called in the file. */
static struct span called(const struct imp_csv *how, size_t column)
{
    size_t n = strlen(column_names[column]);
    for (size_t i = 0; i < how->renamed_count; i++)
        if (strncmp(how->renamed[i], column_names[column], n) == 0 &&
            how->renamed[i][n] == '=')
            return span_str(how->renamed[i] + n + 1);
    return span_str(column_names[column]);
}

static int check_renamed(const struct imp_csv *how, struct err *e)
{
    for (size_t i = 0; i < how->renamed_count; i++) {
        struct span text = span_str(how->renamed[i]);
        size_t equals = span_find(text, '=', 0), k = 0;
        while (k < COLUMNS && !span_eq_str(span_sub(text, 0, equals), column_names[k]))
            k++;
        if (k == COLUMNS || equals + 1 >= text.n)
            return err_set(e, ERR_USAGE,
                           "--column '%s' is not OURS=THEIRS with a column of ours",
                           how->renamed[i]);
    }
    return 0;
}

static int add_header(struct reading *r, struct span name, size_t at)
{
    char *copy;
    if (r->header_count == IMP_CSV_HEADERS_MAX)
        return err_set(r->e, ERR_LIMIT, "more than %d columns of headers",
                       IMP_CSV_HEADERS_MAX);
    name = arena_dup(&r->names, span_sub(name, strlen(HEADER_TAG), name.n));
    copy = (char *)(uintptr_t)name.p;
    if (!copy)
        return err_set(r->e, ERR_NOMEM, "out of memory for a header");
    r->header_names[r->header_count] = copy;
    r->header_at[r->header_count++] = at;
    return 0;
}

/* Appends to a list that may be cut. */
static void tell_unread(struct span name, char *unread, size_t n)
{
    size_t used = strlen(unread);
    snprintf(unread + used, n - used, "%s%.*s", used ? ", " : "",
             name.n > 40 ? 40 : (int)name.n, (const char *)name.p);
}

static int take_columns(struct reading *r, char *unread, size_t n)
{
    for (size_t k = 0; k < COLUMNS; k++)
        r->at[k] = NOWHERE;
    for (size_t i = 0; i < r->rows.n; i++) {
        struct span name = span_trim(r->rows.cells[i]);
        size_t k = 0;
        while (k < COLUMNS && !span_eq(name, called(r->how, k)))
            k++;
        if (k < COLUMNS && r->at[k] != NOWHERE)
            return err_set(r->e, ERR_FORMAT, "two columns '%.*s'", SPAN_ARG(name));
        if (k < COLUMNS) {
            r->at[k] = i;
        } else if (span_starts(name, HEADER_TAG) && name.n > strlen(HEADER_TAG)) {
            int rc = add_header(r, name, i);
            if (rc < 0)
                return rc;
        } else {
            tell_unread(name, unread, n);
        }
    }
    r->width = r->rows.n;
    struct span arrival = called(r->how, ARRIVAL), model = called(r->how, MODEL),
                path = called(r->how, PATH);
    if (r->at[ARRIVAL] == NOWHERE)
        return err_set(r->e, ERR_FORMAT, "no column '%.*s'", SPAN_ARG(arrival));
    if (r->at[MODEL] == NOWHERE && r->at[PATH] == NOWHERE)
        return err_set(r->e, ERR_FORMAT, "neither a column '%.*s' nor '%.*s'",
                       SPAN_ARG(model), SPAN_ARG(path));
    return 0;
}

/* --- cells ------------------------------------------------------------------------ */

static struct span cell(const struct reading *r, enum column column)
{
    return r->at[column] == NOWHERE ? (struct span){0} : r->rows.cells[r->at[column]];
}

static int bad_cell(const struct reading *r, enum column column, const char *what)
{
    struct span c = cell(r, column), name = called(r->how, column);
    return err_set(r->e, ERR_FORMAT, "%.*s '%.*s' is not %s", SPAN_ARG(name),
                   c.n > 40 ? 40 : (int)c.n, (const char *)c.p, what);
}

static int digits_of(enum imp_unit unit)
{
    return 3 * (int)unit; /* ns, us, ms, s */
}

static int take_arrival(struct reading *r, int64_t *ns)
{
    struct span text = span_trim(cell(r, ARRIVAL));
    struct clk_wall t;
    if (r->how->unit == IMP_UNIT_CALENDAR) {
        int rc = when_parse(text, &t, r->e);
        if (rc == 0)
            *ns = t.ns;
        return rc;
    }
    return imp_decimal_ns(text, digits_of(r->how->unit), ns)
               ? 0
               : bad_cell(r, ARRIVAL, "a decimal number of up to 73 years");
}

static int take_latency(struct reading *r, enum column column, int64_t *ns)
{
    struct span text = span_trim(cell(r, column));
    return text.n == 0 || imp_decimal_ns(text, digits_of(r->how->latency_unit), ns)
               ? 0
               : bad_cell(r, column, "a decimal number of up to 73 years");
}

static int take_number(struct reading *r, enum column column, uint64_t most,
                       uint64_t *out)
{
    struct span text = span_trim(cell(r, column)), name = called(r->how, column);
    uint64_t v;
    if (text.n == 0)
        return 0;
    if (!span_u64(text, &v))
        return bad_cell(r, column, "a number of plain digits");
    if (v > most)
        return err_set(r->e, ERR_FORMAT, "%.*s %" PRIu64 " is above %" PRIu64,
                       SPAN_ARG(name), v, most);
    *out = v;
    return 0;
}

static int take_choice(struct reading *r, enum column column, const char *const *names,
                       int *out)
{
    struct span text = span_trim(cell(r, column));
    if (text.n == 0)
        return 0;
    for (int i = 0; names[i]; i++)
        if (span_eq_str(text, names[i])) {
            *out = i;
            return 0;
        }
    return bad_cell(r, column, "a name that is known");
}

/* --- what is called --------------------------------------------------------------- */

static int take_headers(struct reading *r, struct op_stream *s)
{
    struct op_header headers[IMP_CSV_HEADERS_MAX];
    struct imp_call c = {.headers = headers};
    struct imp_rule rule = {.keep = r->header_names, .keep_count = r->header_count};
    for (size_t i = 0; i < r->header_count; i++) {
        struct op_header h = {span_str(r->header_names[i]),
                              r->rows.cells[r->header_at[i]]};
        if (h.value.n > 0)
            headers[c.header_count++] = h;
    }
    return imp_take_headers(&rule, &c, &r->a, s, r->done)
               ? 0
               : err_set(r->e, ERR_LIMIT, "a header is too long");
}

/* 1: *s says who is called; 0: the row is left out. */
static int take_name(struct reading *r, struct op_stream *s)
{
    struct call_name by;
    struct span model = span_trim(cell(r, MODEL));
    bool grpc = s->protocol == OP_GRPC;
    int resource = -1;
    bool known = model.n > 0 ? call_name_of_value(model, &by)
                             : call_is_inference(grpc, s->method, s->path) &&
                                   call_name_of_path(s->path, &by);
    int rc = take_choice(r, RESOURCE, op_resource_names, &resource);
    if (rc < 0)
        return rc;
    if (!known) {
        char where[IMP_OUT_WHERE_MAX];
        snprintf(where, sizeof where, "line %" PRIu64, r->rows.line);
        imp_out_leave(r->o,
                      grpc && call_is_inference(grpc, s->method, s->path)
                          ? IMP_LEFT_UNNAMED
                          : IMP_LEFT_OTHER,
                      where);
        return 0;
    }
    s->name = by.name;
    s->resource = resource < 0 ? by.resource : (enum op_resource)resource;
    if (s->name.n > IMP_NAME_MAX)
        return err_set(r->e, ERR_LIMIT, "a name of %zu bytes, limit %u", s->name.n,
                       IMP_NAME_MAX);
    return 1;
}

static int take_stream(struct reading *r, struct op_stream *s)
{
    int protocol = (int)r->how->protocol, tier = (int)r->how->rule.tier;
    int rc = take_choice(r, PROTOCOL, op_protocol_names, &protocol);
    if (rc == 0 && protocol == OP_CONTROL)
        rc = bad_cell(r, PROTOCOL, "rest, grpc or kafka");
    if (rc == 0)
        rc = take_choice(r, TIER, op_tier_names, &tier);
    if (rc < 0)
        return rc;
    struct span whole = span_trim(cell(r, PATH)), method = span_trim(cell(r, METHOD));
    if (protocol != OP_KAFKA)
        whole = imp_path_of(whole);
    size_t query = protocol == OP_KAFKA || r->how->rule.keep_query
                       ? whole.n
                       : span_find(whole, '?', 0);
    *s = (struct op_stream){.protocol = (enum op_protocol)protocol,
                            .tier = (enum op_tier)tier,
                            .model_type = span_trim(cell(r, MODEL_TYPE)),
                            .path = span_sub(whole, 0, query),
                            .content_type = span_trim(cell(r, CONTENT_TYPE)),
                            .content_encoding = span_trim(cell(r, CONTENT_ENCODING))};
    if (s->model_type.n == 0)
        s->model_type = span_str(r->how->model_type);
    if (protocol == OP_REST)
        s->method = method.n ? method : SPAN_LIT("POST");
    if (whole.n > IMP_PATH_MAX || s->method.n > IMP_NAME_MAX ||
        s->model_type.n > IMP_NAME_MAX || s->content_type.n > IMP_ID_MAX ||
        s->content_encoding.n > IMP_ID_MAX)
        return err_set(r->e, ERR_LIMIT, "a path, method or type is too long");
    rc = take_name(r, s);
    if (rc == 1)
        r->done->queries_cut += query < whole.n;
    return rc;
}

/* --- bodies ----------------------------------------------------------------------- */

/* A file of --body-dir, and nowhere else. */
static int read_file(struct reading *r, struct span name)
{
    char path[FILE_MAX * 2];
    bool away = name.p[0] == '/' || memchr(name.p, '\0', name.n);
    for (size_t at = 0; at < name.n && !away; at = span_find(name, '/', at) + 1)
        away = span_eq_str(span_sub(name, at, span_find(name, '/', at)), "..");
    if (!r->how->body_dir)
        return err_set(r->e, ERR_USAGE, "the file names bodies: say --body-dir");
    int n = snprintf(path, sizeof path, "%s/%.*s", r->how->body_dir, SPAN_ARG(name));
    if (away || name.n > FILE_MAX || n >= (int)sizeof path)
        return bad_cell(r, BODY_FILE, "a file below --body-dir");
    return buf_read_file(&r->body, path, BODY_MAX, r->e);
}

static int make_body(struct reading *r, struct op *op)
{
    const struct op_stream *s = op->stream;
    const struct model_type *type = model_type_find(s->model_type);
    const struct mt_request q = {
        .protocol = s->protocol, .batch = 1, .values = MT_CONSTANT};
    if (!type)
        return err_set(r->e, ERR_FORMAT,
                       "no body, and no model type that is known to make one of");
    int rc = model_type_request(type, &q, &r->body, r->e);
    op->flags |= OP_FLAG_SYNTHETIC;
    r->done->bodies_made++;
    return rc;
}

static int take_body(struct reading *r, struct op_stream *s, struct op *op)
{
    struct span text = cell(r, BODY), packed = span_trim(cell(r, BODY_BASE64)),
                file = span_trim(cell(r, BODY_FILE));
    int told = (text.n > 0) + (packed.n > 0) + (file.n > 0), rc = 0;
    buf_reset(&r->body);
    if (told > 1)
        return err_set(r->e, ERR_FORMAT,
                       "more than one of body, body_base64, body_file");
    if (text.n > 0 && s->protocol != OP_REST)
        return err_set(r->e, ERR_FORMAT,
                       "a message of %s is no text: it belongs in body_base64 or "
                       "body_file",
                       op_protocol_names[s->protocol]);
    if (packed.n > 0 && (rc = base64_decode(packed, &r->a, &text, r->e)) < 0)
        return err_note(r->e, "body_base64");
    if (file.n > 0)
        rc = read_file(r, file);
    else if (told == 0 && r->how->make_bodies)
        rc = make_body(r, op);
    if (rc < 0)
        return rc;
    if (r->body.n > 0)
        text = buf_view(&r->body);
    if (text.n > BODY_MAX)
        return err_set(r->e, ERR_LIMIT, "a body of %zu bytes, limit %zu", text.n,
                       BODY_MAX);
    op->request = op_body_of(text);
    r->done->bodies_none += text.n == 0;
    if (text.n > 0 && s->protocol == OP_REST && s->content_type.n == 0)
        s->content_type = SPAN_LIT("application/json");
    return 0;
}

/* --- rows ------------------------------------------------------------------------- */

static int take_ordinal(struct reading *r, enum column column, struct imp_names *names,
                        uint32_t *out)
{
    struct span text = span_trim(cell(r, column));
    return text.n == 0 ? 0 : imp_names_of(names, text, out, r->e);
}

static int take_identity(struct reading *r, struct op *op)
{
    uint64_t in = OP_NONE, out = OP_NONE;
    op->id = span_trim(cell(r, ID));
    if (op->id.n > IMP_ID_MAX)
        return err_set(r->e, ERR_LIMIT, "an id of %zu bytes, limit %u", op->id.n,
                       IMP_ID_MAX);
    int rc = take_ordinal(r, CONNECTION, &r->connections, &op->connection);
    if (rc == 0)
        rc = take_ordinal(r, CLIENT, &r->clients, &op->client);
    if (rc == 0)
        rc = take_number(r, TOKENS_IN, IMP_TOKENS_MAX, &in);
    if (rc == 0)
        rc = take_number(r, TOKENS_OUT, IMP_TOKENS_MAX, &out);
    op->tokens_in = (uint32_t)in;
    op->tokens_out = (uint32_t)out;
    return rc;
}

static int take_answer(struct reading *r, struct op *op)
{
    uint64_t status = 0, grpc = UINT64_MAX;
    int rc = take_number(r, STATUS, UINT16_MAX, &status);
    if (rc == 0)
        rc = take_number(r, GRPC_STATUS, INT16_MAX, &grpc);
    if (rc == 0)
        rc = take_latency(r, FIRST, &op->first_ns);
    if (rc == 0)
        rc = take_latency(r, LAST, &op->last_ns);
    op->status = (uint16_t)status;
    op->grpc_status = grpc == UINT64_MAX ? -1 : (int16_t)grpc;
    return rc;
}

static int read_row(struct reading *r)
{
    struct op op = op_empty();
    struct op_stream s;
    if (r->rows.n != r->width)
        return err_set(r->e, ERR_FORMAT, "%zu cells, where the header has %zu",
                       r->rows.n, r->width);
    int rc = take_arrival(r, &op.arrival_ns);
    if (rc == 0)
        rc = take_stream(r, &s);
    if (rc < 1)
        return rc;
    op.stream = &s;
    rc = take_headers(r, &s);
    if (rc == 0)
        rc = take_body(r, &s, &op);
    if (rc == 0)
        imp_call_type(&s, &op.request, &r->a);
    if (rc == 0)
        rc = take_identity(r, &op);
    if (rc == 0)
        rc = take_answer(r, &op);
    return rc == 0 ? imp_out_add(r->o, &op, 0, r->e) : rc;
}

static int read_rows(struct reading *r, char *unread, size_t n)
{
    int rc = csv_rows_next(&r->rows, r->e);
    if (rc == 0)
        return err_set(r->e, ERR_FORMAT, "the file is empty");
    rc = rc == 1 ? take_columns(r, unread, n) : rc;
    while (rc == 0 && (rc = csv_rows_next(&r->rows, r->e)) == 1) {
        arena_reset(&r->a);
        rc = read_row(r);
    }
    return rc < 0 && rc != ERR_STOPPED ? err_note(r->e, "line %" PRIu64, r->rows.line)
                                       : rc;
}

int imp_csv_read(struct zin *in, const struct imp_csv *how, struct imp_out *o,
                 char *unread, size_t n, struct err *e)
{
    struct err local = {0};
    struct reading r = {
        .how = how, .o = o, .done = imp_out_done(o), .e = e ? e : &local};
    unread[0] = '\0';
    csv_rows_init(&r.rows, in, how->separator);
    int rc = check_renamed(how, r.e);
    if (rc == 0)
        rc = read_rows(&r, unread, n);
    csv_rows_done(&r.rows);
    buf_done(&r.body);
    arena_done(&r.names);
    arena_done(&r.a);
    imp_names_done(&r.connections);
    imp_names_done(&r.clients);
    return rc;
}

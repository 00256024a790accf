/*
 * imp_har.c - see imp_har.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/import/imp_har.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "traces/import/har_doc.h"
#include "traces/import/imp_names.h"
#include "traces/payload/base64.h"
#include "traces/synth/when.h"
#include "traces/tool/trc_print.h"
#include "traces/tool/trc_secret.h"
#include "traces/wire/content_encoding.h"

#define HEADERS_MAX 1024u /* of a request, of an answer */
#define MS_MAX      1e12  /* of a timing: 31 years */

struct reading {
    const struct imp_rule *rule;
    struct imp_out *o;
    struct imp_out_done *done;
    struct arena a; /* of the entry */
    struct imp_names connections;
    bool own;         /* written by reprise */
    bool own_arrival; /* with _arrivalNs, and an epoch in front */
    char where[IMP_OUT_WHERE_MAX];
    struct err *e;
};

/* --- members ---------------------------------------------------------------------- */

static int wrong(struct reading *r, const char *key, const char *what)
{
    return err_set(r->e, ERR_FORMAT, "%s is not %s", key, what);
}

static int no_memory(struct reading *r)
{
    return err_set(r->e, ERR_NOMEM, "out of memory for an entry");
}

static struct span text_of(const json_t *v)
{
    return json_is_string(v) ? span_of(json_string_value(v), json_string_length(v))
                             : (struct span){0};
}

/* A member that must be a text. */
static int must_text(struct reading *r, const json_t *object, const char *key,
                     struct span *out)
{
    const json_t *v = json_object_get(object, key);
    *out = text_of(v);
    return json_is_string(v) ? 0 : wrong(r, key, "a text");
}

/* A whole number that may be left out; -1 stands for "not known" in many of them. */
static int maybe_int(struct reading *r, const json_t *object, const char *key,
                     int64_t low, int64_t high, int64_t *out)
{
    const json_t *v = json_object_get(object, key);
    if (!v || json_is_null(v))
        return 0;
    double d = json_number_value(v);
    if (!json_is_number(v) || !(d >= (double)low && d <= (double)high) ||
        (json_is_real(v) && (fabs(d) > 9e15 || floor(d) < d)))
        return err_set(r->e, ERR_FORMAT,
                       "%s is not a whole number from %" PRId64 " to %" PRId64, key,
                       low, high);
    *out = json_is_integer(v) ? json_integer_value(v) : (int64_t)d;
    return *out >= low && *out <= high ? 0 : wrong(r, key, "within its range");
}

static int maybe_ordinal(struct reading *r, const json_t *object, const char *key,
                         uint32_t *out)
{
    int64_t v = *out;
    int rc = maybe_int(r, object, key, 0, (int64_t)OP_NONE - 1, &v);
    *out = (uint32_t)v;
    return rc;
}

/* Milliseconds of a timing; -1 where it is not known. */
static int timing(struct reading *r, const json_t *timings, const char *key,
                  int64_t *ns)
{
    const json_t *v = json_object_get(timings, key);
    *ns = -1;
    if (!v || json_is_null(v))
        return 0;
    double ms = json_number_value(v);
    if (!json_is_number(v) || !(ms >= -MS_MAX && ms <= MS_MAX))
        return err_set(r->e, ERR_FORMAT, "timings.%s is not a number of milliseconds",
                       key);
    if (ms >= 0)
        *ns = llround(ms * 1e6);
    return 0;
}

/* --- headers and bodies ----------------------------------------------------------- */

static int take_headers(struct reading *r, const json_t *of, struct op_header **out,
                        uint32_t *count)
{
    const json_t *list = json_object_get(of, "headers");
    size_t n = json_array_size(list);
    *count = 0;
    if (list && !json_is_array(list))
        return wrong(r, "headers", "an array");
    if (n > HEADERS_MAX)
        return err_set(r->e, ERR_LIMIT, "more than %u headers", HEADERS_MAX);
    *out = arena_alloc(&r->a, (n + 1) * sizeof **out);
    if (!*out)
        return no_memory(r);
    for (size_t i = 0; i < n; i++) {
        struct op_header h;
        int rc = must_text(r, json_array_get(list, i), "name", &h.name);
        if (rc == 0)
            rc = must_text(r, json_array_get(list, i), "value", &h.value);
        if (rc < 0)
            return err_note(r->e, "headers");
        (*out)[(*count)++] = h;
    }
    return 0;
}

/* What a body's text says; `of` may be NULL. size: bytes that there were, or -1. A body
 * whose text is not there is elided. */
static int take_body(struct reading *r, const json_t *of, const char *encoding,
                     int64_t size, struct op_body *body)
{
    const json_t *text = json_object_get(of, "text");
    const json_t *hash = json_object_get(of, "_hash");
    struct span bytes = text_of(text);
    *body = (struct op_body){.state = OP_BODY_NONE};
    if (text && !json_is_string(text))
        return wrong(r, "text", "a text");
    if (hash && r->own) {
        if (!trc_hash_parse(text_of(hash), body->hash))
            return wrong(r, "_hash", "32 hex digits");
        body->state = OP_BODY_ELIDED;
        body->bytes = size < 0 ? 0 : (uint64_t)size;
        return 0;
    }
    if (span_eq_str(text_of(json_object_get(of, encoding)), "base64") &&
        base64_decode(bytes, &r->a, &bytes, r->e) < 0)
        return err_note(r->e, "text");
    if (bytes.n > 0) {
        *body = op_body_of(bytes);
    } else if (size > 0) { /* the hash 0 says that its bytes are not there */
        *body = (struct op_body){.state = OP_BODY_ELIDED, .bytes = (uint64_t)size};
        r->done->bodies_missing++;
    } else if (r->own && text) {
        *body = (struct op_body){.state = OP_BODY_KEPT};
        op_body_hash((struct span){0}, body->hash);
    }
    return 0;
}

static int take_messages(struct reading *r, const json_t *entry, const char *key,
                         const struct op_body *body, struct op_messages *out)
{
    const json_t *v = r->own ? json_object_get(entry, key) : NULL;
    size_t n = json_array_size(v);
    if (!v)
        return 0;
    struct op_message *m =
        n <= OP_MESSAGES_MAX ? arena_alloc(&r->a, (n + 1) * sizeof *m) : NULL;
    if (!json_is_array(v) || n > OP_MESSAGES_MAX)
        return wrong(r, key, "an array of at most 65535 messages");
    if (!m)
        return no_memory(r);
    for (size_t i = 0; i < n; i++) {
        const json_t *pair = json_array_get(v, i), *at = json_array_get(pair, 0),
                     *bytes = json_array_get(pair, 1);
        if (json_array_size(pair) != 2 || !json_is_integer(at) ||
            !json_is_integer(bytes) || json_integer_value(bytes) < 0)
            return wrong(r, key, "an array of [time, bytes]");
        m[i] = (struct op_message){json_integer_value(at),
                                   (uint64_t)json_integer_value(bytes)};
    }
    *out = (struct op_messages){m, (uint32_t)n};
    return op_messages_fit(out, body) ? 0 : wrong(r, key, "as long as the body");
}

/* --- the parts of an entry -------------------------------------------------------- */

/* When the request was sent, and how long after that the answer came. */
static int take_times(struct reading *r, const json_t *entry, struct op *op)
{
    static const char *const keys[] = {"blocked", "dns",  "connect",
                                       "send",    "wait", "receive"};
    int64_t ns[6] = {0}, last = OP_TIME_NONE;
    struct span started;
    struct clk_wall at = {0};
    const json_t *timings = json_object_get(entry, "timings");
    int rc = must_text(r, entry, "startedDateTime", &started);
    if (rc == 0 && (rc = when_parse(started, &at, r->e)) < 0)
        err_note(r->e, "startedDateTime");
    if (rc == 0 && timings && !json_is_object(timings))
        rc = wrong(r, "timings", "an object");
    for (size_t i = 0; rc == 0 && i < 6; i++)
        rc = timing(r, timings, keys[i], &ns[i]);
    for (size_t i = 0; i < 3; i++)
        at.ns += ns[i] > 0 ? ns[i] : 0;
    op->arrival_ns = at.ns;
    if (ns[4] >= 0)
        op->first_ns = ns[4] + (ns[3] > 0 ? ns[3] : 0);
    if (ns[4] >= 0 && ns[5] >= 0)
        op->last_ns = op->first_ns + ns[5];
    if (rc == 0 && r->own_arrival)
        rc = maybe_int(r, entry, "_arrivalNs", 0, INT64_C(1) << 61, &op->arrival_ns);
    if (rc == 0 && r->own)
        rc = maybe_int(r, entry, "_lastNs", -(INT64_C(1) << 61), INT64_C(1) << 61,
                       &last);
    if (last != OP_TIME_NONE)
        op->last_ns = last;
    return rc;
}

/* An answer's bytes are what the client made of them; encodings are undone in a HAR,
 * unless reprise says that it could not. */
static void take_codings(struct reading *r, const json_t *content,
                         const struct op_header *headers, uint32_t n, struct op *op)
{
    uint16_t codings = 0;
    bool grpc = op->stream->protocol == OP_GRPC;
    for (uint32_t i = 0; i < n; i++)
        if (span_eq_nocase(headers[i].name,
                           grpc ? "grpc-encoding" : "content-encoding"))
            content_codings_add(&codings, headers[i].value);
    bool as_sent = op->response.state != OP_BODY_KEPT ||
                   (r->own && json_is_true(json_object_get(content, "_encoded")));
    if (as_sent)
        op->response_codings = r->own ? codings : 0;
    else
        r->done->bodies_decoded += codings != 0;
}

/* What gRPC says of a call in its trailers, where a tool lists these as headers. */
static void take_grpc_status(const struct op_header *headers, uint32_t n, struct op *op)
{
    uint64_t v;
    for (uint32_t i = 0; i < n; i++)
        if (span_eq_nocase(headers[i].name, "grpc-status") &&
            span_u64(span_trim(headers[i].value), &v) && v <= 16)
            op->grpc_status = (int16_t)v;
}

/* A body of gRPC comes framed, but for what reprise writes. */
static bool unframe(const struct reading *r, struct op *op)
{
    struct span message;
    if (r->own || op->stream->protocol != OP_GRPC || op->response.state != OP_BODY_KEPT)
        return true;
    if (!imp_grpc_message(op->response.data, &message))
        return false;
    op->response = op_body_of(message);
    return true;
}

static int take_response(struct reading *r, const json_t *entry, struct op *op)
{
    const json_t *response = json_object_get(entry, "response");
    const json_t *content = json_object_get(response, "content");
    struct op_header *headers;
    uint32_t n;
    int64_t status = 0, grpc = -1, size = -1;
    if (response && !json_is_object(response))
        return wrong(r, "response", "an object");
    /* Some tools write -1 or null where there was no answer. */
    int rc = maybe_int(r, response, "status", -1, UINT16_MAX, &status);
    if (rc == 0)
        rc = maybe_int(r, content, "size", INT32_MIN, INT64_MAX >> 4, &size);
    if (rc == 0 && r->own)
        rc = maybe_int(r, response, "_grpcStatus", -1, INT16_MAX, &grpc);
    if (rc == 0)
        rc = take_headers(r, response, &headers, &n);
    if (rc == 0)
        rc = take_body(r, content, "encoding", size, &op->response);
    if (rc < 0)
        return err_note(r->e, "response");
    op->status = status < 0 ? 0 : (uint16_t)status;
    op->grpc_status = (int16_t)grpc;
    take_codings(r, content, headers, n, op);
    if (!r->own && op->stream->protocol == OP_GRPC)
        take_grpc_status(headers, n, op);
    if (!unframe(r, op)) {
        op->response = (struct op_body){.state = OP_BODY_NONE};
        r->done->answers_left_out++;
    }
    return take_messages(r, entry, "_responseMessages", &op->response,
                         &op->response_messages);
}

/* What reprise says of an operation beside what every HAR says. */
static int take_own(struct reading *r, const json_t *entry, struct op_stream *s,
                    struct op *op)
{
    const json_t *flags = json_object_get(entry, "_flags"),
                 *weight = json_object_get(entry, "_weight");
    int64_t bits = 0;
    int rc = maybe_ordinal(r, entry, "_connStream", &op->conn_stream);
    if (rc == 0)
        rc = maybe_ordinal(r, entry, "_client", &op->client);
    if (rc == 0)
        rc = maybe_ordinal(r, entry, "_tokensIn", &op->tokens_in);
    if (rc == 0)
        rc = maybe_ordinal(r, entry, "_tokensOut", &op->tokens_out);
    if (rc == 0 && flags)
        rc = maybe_int(r, entry, "_flags", 0, UINT32_MAX, &bits);
    if (rc == 0 && weight && !(json_number_value(weight) > 0))
        rc = wrong(r, "_weight", "a number above 0");
    if (rc == 0 && weight)
        op->weight = (float)json_number_value(weight);
    op->flags = (uint32_t)bits;
    s->model_type = text_of(json_object_get(entry, "_modelType"));
    return rc;
}

/* The name of a choice. */
static bool named(struct span text, const char *const *names, int *out)
{
    for (int i = 0; names[i]; i++)
        if (span_eq_str(text, names[i])) {
            *out = i;
            return true;
        }
    return false;
}

/* Headers of reprise's own are kept, but for credentials; three stand elsewhere in a
 * trace. */
static int own_headers(struct reading *r, const struct imp_call *c, struct op_stream *s,
                       struct op *op)
{
    struct op_header *kept = arena_alloc(&r->a, (c->header_count + 1) * sizeof *kept);
    if (!kept)
        return no_memory(r);
    s->headers = kept;
    for (uint32_t i = 0; i < c->header_count; i++) {
        struct op_header h = c->headers[i];
        if (span_eq_str(h.name, "content-type"))
            s->content_type = h.value;
        else if (span_eq_str(h.name, "content-encoding"))
            s->content_encoding = h.value;
        else if (span_eq_str(h.name, "x-request-id"))
            op->id = h.value;
        else if (trc_secret_header(h.name))
            r->done->headers_denied++;
        else
            kept[s->header_count++] = h;
    }
    return 0;
}

/* An entry of reprise's own tells its operation; hosts are names of tiers. */
static int own_call(struct reading *r, const json_t *entry, const struct imp_call *c,
                    struct op_stream *s, struct op *op)
{
    struct span kind = text_of(json_object_get(entry, "_resourceKind"));
    struct span host = span_sub(c->target, strlen("http://"), c->target.n);
    size_t dot = span_find(host, '.', 0), slash = span_find(host, '/', 0);
    bool grpc = span_eq_str(text_of(json_object_get(entry, "_protocol")), "grpc");
    int resource = OP_MODEL, tier = OP_TIER_ANY;
    if (!span_starts(c->target, "http://") || dot >= slash ||
        !named(span_sub(host, 0, dot), op_tier_names, &tier))
        return wrong(r, "request.url", "one of a tier, as reprise writes it");
    if (kind.n && !named(kind, op_resource_names, &resource))
        return wrong(r, "_resourceKind", "a kind that is known");
    *s = (struct op_stream){.protocol = grpc ? OP_GRPC : OP_REST,
                            .tier = (enum op_tier)tier,
                            .resource = (enum op_resource)resource,
                            .name = text_of(json_object_get(entry, "_resource")),
                            .method = grpc ? (struct span){0} : c->method,
                            .path = span_sub(host, slash, host.n)};
    if (s->name.n == 0)
        return wrong(r, "_resource", "a name");
    op->stream = s;
    op->request = c->body;
    int rc = own_headers(r, c, s, op);
    return rc == 0 ? take_own(r, entry, s, op) : rc;
}

static int take_connection(struct reading *r, const json_t *entry, struct op *op)
{
    struct span text = text_of(json_object_get(entry, "connection"));
    uint64_t number;
    if (text.n == 0)
        return 0;
    if (!r->own)
        return imp_names_of(&r->connections, text, &op->connection, r->e);
    if (!span_u64(text, &number) || number >= OP_NONE)
        return wrong(r, "connection", "a number");
    op->connection = (uint32_t)number;
    return 0;
}

static int take_request(struct reading *r, const json_t *entry, struct imp_call *c)
{
    const json_t *request = json_object_get(entry, "request");
    const json_t *post = json_object_get(request, "postData");
    struct op_header *headers;
    int64_t size = -1;
    if (!json_is_object(request))
        return wrong(r, "request", "an object");
    int rc = must_text(r, request, "method", &c->method);
    if (rc == 0)
        rc = must_text(r, request, "url", &c->target);
    if (rc == 0)
        rc = maybe_int(r, request, "bodySize", -1, INT64_MAX >> 4, &size);
    if (rc == 0)
        rc = take_headers(r, request, &headers, &c->header_count);
    if (rc == 0) {
        c->headers = headers;
        rc = take_body(r, post,
                       json_object_get(post, "_encoding") ? "_encoding" : "encoding",
                       size, &c->body);
    }
    return rc < 0 ? err_note(r->e, "request") : 0;
}

static int read_entry(struct reading *r, const json_t *entry)
{
    struct imp_call c = {.framed = true};
    struct op_stream s;
    struct op op = op_empty();
    enum imp_left why;
    uint64_t missing = r->done->bodies_missing;
    int rc = take_request(r, entry, &c);
    if (rc == 0)
        rc = take_times(r, entry, &op);
    if (rc == 0 && r->own) {
        rc = own_call(r, entry, &c, &s, &op);
    } else if (rc == 0 && !imp_call_make(r->rule, &c, &r->a, &s, &op, &why, r->done)) {
        r->done->bodies_missing = missing; /* of calls that are taken */
        imp_out_leave(r->o, why, r->where);
        return 0;
    }
    if (rc == 0)
        rc = take_messages(r, entry, "_requestMessages", &op.request,
                           &op.request_messages);
    if (rc == 0)
        rc = take_response(r, entry, &op);
    if (rc == 0)
        rc = take_connection(r, entry, &op);
    if (rc == 0)
        rc = imp_out_add(r->o, &op, 0, r->e);
    return rc;
}

/* --- the document ----------------------------------------------------------------- */

static json_t *parse(struct span text, struct err *e)
{
    json_error_t why;
    json_t *v = json_loadb((const char *)text.p, text.n,
                           JSON_ALLOW_NUL | JSON_DECODE_ANY, &why);
    if (!v)
        err_set(e, ERR_FORMAT, "not JSON: %s (%d bytes into it)", why.text,
                why.position);
    return v;
}

/* Who wrote it, known when the first entry comes. */
static int take_creator(struct reading *r, const struct har_doc *d)
{
    json_t *creator = d->creator.n ? parse(buf_view(&d->creator), r->e) : NULL;
    json_t *epoch = d->epoch.n ? parse(buf_view(&d->epoch), r->e) : NULL;
    bool bad = (d->creator.n && !creator) || (d->epoch.n && !epoch);
    r->own = span_eq_str(text_of(json_object_get(creator, "name")), "reprise");
    r->own_arrival = r->own && json_is_integer(epoch);
    if (r->own_arrival)
        imp_out_epoch(r->o, json_integer_value(epoch));
    json_decref(creator);
    json_decref(epoch);
    return bad ? err_note(r->e, "log") : 0;
}

static int read_entries(struct reading *r, struct har_doc *d)
{
    struct span text;
    int rc;
    while ((rc = har_doc_next(d, &text, r->e)) == 1) {
        snprintf(r->where, sizeof r->where, "entry %" PRIu64 " at byte %" PRIu64,
                 d->entries, d->entry_at);
        arena_reset(&r->a);
        rc = d->entries == 1 ? take_creator(r, d) : 0;
        if (rc < 0)
            return rc;
        json_t *entry = parse(text, r->e);
        rc = entry ? read_entry(r, entry) : ERR_FORMAT;
        json_decref(entry);
        if (rc == ERR_STOPPED)
            return rc;
        if (rc < 0)
            return err_note(r->e, "%s", r->where);
    }
    return rc;
}

int imp_har_read(struct zin *in, const struct imp_rule *rule, struct imp_out *o,
                 struct err *e)
{
    struct err local = {0};
    struct har_doc d;
    struct reading r = {
        .rule = rule, .o = o, .done = imp_out_done(o), .e = e ? e : &local};
    har_doc_init(&d, in);
    int rc = read_entries(&r, &d);
    har_doc_done(&d);
    arena_done(&r.a);
    imp_names_done(&r.connections);
    return rc;
}

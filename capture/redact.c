/*
 * redact.c - see redact.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "capture/redact.h"

#include <stdlib.h>
#include <string.h>

#include "traces/base/keyed_hash.h"
#include "traces/payload/pay_mask.h"
#include "traces/tool/trc_secret.h"

enum bodies { BODIES_KEEP, BODIES_HASH, BODIES_SHAPE, BODIES_MASK };

struct cap_redact {
    struct cap_redact_options o;
    enum bodies bodies;
    struct pay_mask masks[PAY_MASKS_MAX];
    size_t mask_count;
    uint8_t key[KEYED_HASH_BYTES];
    struct op_header kept[CAP_HEADERS_MAX];
    struct buf scratch;
    struct cap_redact_counts counts;
};

/* --- the policy ------------------------------------------------------------------- */

static int parse_masks(struct cap_redact *r, struct span list, struct err *e)
{
    for (;;) {
        size_t comma = span_find(list, ',', 0);
        if (r->mask_count == PAY_MASKS_MAX)
            return err_set(e, ERR_USAGE, "--bodies mask: more than %u paths",
                           PAY_MASKS_MAX);
        int rc = pay_mask_parse(span_trim(span_sub(list, 0, comma)),
                                &r->masks[r->mask_count++], e);
        if (rc < 0)
            return err_note(e, "--bodies mask");
        if (comma == list.n)
            return 0;
        list = span_sub(list, comma + 1, list.n);
    }
}

static int parse_policy(struct cap_redact *r, struct err *e)
{
    struct span mode = span_str(r->o.bodies);
    for (size_t i = 0; i < r->o.header_count; i++)
        if (trc_secret_header(span_str(r->o.headers[i])))
            return err_set(
                e, ERR_USAGE,
                "--keep-header '%s': headers that may hold credentials are never kept",
                r->o.headers[i]);
    if (mode.n == 0 || span_eq_str(mode, "keep"))
        r->bodies = BODIES_KEEP;
    else if (span_eq_str(mode, "hash"))
        r->bodies = BODIES_HASH;
    else if (span_eq_str(mode, "shape"))
        r->bodies = BODIES_SHAPE;
    else if (span_starts(mode, "mask:"))
        r->bodies = BODIES_MASK;
    else
        return err_set(e, ERR_USAGE,
                       "--bodies '%s' is not keep, hash, shape or mask:PATH,...",
                       r->o.bodies);
    return r->bodies == BODIES_MASK
               ? parse_masks(r, span_sub(mode, strlen("mask:"), mode.n), e)
               : 0;
}

int cap_redact_new(struct cap_redact **out, const struct cap_redact_options *options,
                   struct err *e)
{
    struct cap_redact *r = *out = calloc(1, sizeof *r);
    if (!r)
        return err_set(e, ERR_NOMEM, "out of memory for the redaction policy");
    r->o = *options;
    int rc = parse_policy(r, e);
    if (rc == 0)
        rc = keyed_hash_key(r->o.key_file, KAFKA_KEY_ENV, r->key, e);
    if (rc < 0) {
        cap_redact_free(r);
        *out = NULL;
    }
    return rc;
}

void cap_redact_free(struct cap_redact *r)
{
    if (!r)
        return;
    explicit_bzero(r->key, sizeof r->key);
    buf_done(&r->scratch);
    free(r);
}

/* --- bodies ----------------------------------------------------------------------- */

/* Length and keyed hash; of a body that is not at hand, a keyed hash of its hash. */
static void hash_body(struct cap_redact *r, struct op_body *body)
{
    if (body->state == OP_BODY_KEPT) {
        keyed_hash(r->key, body->data, body->hash);
    } else if (body->hash[0] != 0 || body->hash[1] != 0) {
        uint64_t known[2] = {body->hash[0], body->hash[1]};
        keyed_hash(r->key, span_of(known, sizeof known), body->hash);
    }
    body->state = OP_BODY_ELIDED;
    body->data = (struct span){0};
}

static int rewrite(struct cap_redact *r, const struct op_stream *s, bool answer,
                   struct span body, struct arena *a, struct err *e)
{
    enum op_protocol form = pay_mask_form(s->protocol, body);
    if (r->bodies == BODIES_SHAPE)
        return pay_mask_shape(form, answer, body, a, &r->scratch, e);
    if (form == OP_REST)
        return pay_mask_json(r->masks, r->mask_count, body, a, &r->scratch, e);
    return pay_mask_proto(r->masks, r->mask_count, answer, body, a, &r->scratch, e);
}

/* All messages of a stream, one after the other, into scratch; *parts becomes what they
 * are then. The errors of rewrite. */
static int rewrite_stream(struct cap_redact *r, const struct op_stream *s, bool answer,
                          struct span body, struct op_messages *parts, struct arena *a,
                          struct err *e)
{
    struct buf all = {0};
    struct op_message *list = arena_alloc(a, parts->count * sizeof *list);
    size_t at = 0;
    int rc = list ? 0 : err_set(e, ERR_NOMEM, "out of memory for messages");
    for (uint32_t i = 0; rc == 0 && i < parts->count; i++) {
        size_t end = at + (size_t)parts->v[i].bytes, before = all.n;
        buf_reset(&r->scratch);
        if (end > at)
            rc = rewrite(r, s, answer, span_sub(body, at, end), a, e);
        buf_span(&all, buf_view(&r->scratch));
        list[i] = (struct op_message){parts->v[i].at_ns, all.n - before};
        at = end;
    }
    if (rc == 0)
        rc = buf_check(&all, e);
    if (rc == 0)
        *parts = (struct op_messages){list, parts->count};
    buf_done(&r->scratch);
    r->scratch = all;
    return rc;
}

static bool is_encoded(const struct cap_message *m)
{
    if (m->grpc_compressed)
        return true;
    for (uint32_t i = 0; i < m->header_count; i++)
        if (span_eq_str(m->headers[i].name, "content-encoding") &&
            !span_eq_nocase(span_trim(m->headers[i].value), "identity"))
            return true;
    return false;
}

/* m: the message that the body is of. */
static int redact_body(struct cap_redact *r, const struct op_stream *s, bool answer,
                       const struct cap_message *m, struct op *op, struct arena *a,
                       struct err *e)
{
    struct op_body *body = answer ? &op->response : &op->request;
    if (body->state == OP_BODY_NONE)
        return 0;
    if (r->bodies == BODIES_KEEP) {
        if (!answer || !r->o.no_answers || body->state != OP_BODY_KEPT)
            return 0;
        body->state = OP_BODY_ELIDED;
        body->data = (struct span){0};
        return 0;
    }
    if (r->bodies == BODIES_HASH || body->state == OP_BODY_ELIDED ||
        (answer && r->o.no_answers)) {
        hash_body(r, body);
        r->counts.bodies_hashed++;
        op->flags |= answer ? 0 : OP_FLAG_REDACTED;
        return 0;
    }
    struct err why = {0};
    struct op_messages *parts = answer ? &op->response_messages : &op->request_messages;
    struct op_messages now = *parts;
    buf_reset(&r->scratch);
    int rc = is_encoded(m) ? ERR_FORMAT
             : now.count   ? rewrite_stream(r, s, answer, body->data, &now, a, &why)
                           : rewrite(r, s, answer, body->data, a, &why);
    if (rc == ERR_NOMEM) {
        *e = why;
        return rc;
    }
    if (rc < 0) {
        hash_body(r, body);
        r->counts.bodies_refused++;
        op->flags |= answer ? 0 : OP_FLAG_REDACTED;
        return 0;
    }
    if (span_eq(buf_view(&r->scratch), body->data))
        return 0;
    struct span copy = arena_dup(a, buf_view(&r->scratch));
    if (!copy.p)
        return err_set(e, ERR_NOMEM, "out of memory for a body of %zu bytes",
                       r->scratch.n);
    *body = op_body_of(copy);
    *parts = now;
    r->counts.bodies_changed++;
    op->flags |= answer ? 0 : OP_FLAG_REDACTED;
    return 0;
}

int cap_redact_answer(struct cap_redact *r, const struct cap_exchange *x, struct op *op,
                      struct arena *a, struct err *e)
{
    struct op_stream s = {.protocol = x->grpc ? OP_GRPC : OP_REST};
    return redact_body(r, &s, true, &x->answer, op, a, e);
}

/* --- headers ---------------------------------------------------------------------- */

/* Keeps the allowed headers, in their order. */
static void redact_headers(struct cap_redact *r, struct cap_record *rec)
{
    uint32_t n = 0;
    size_t bytes = 0;
    for (uint32_t i = 0; i < rec->stream.header_count; i++) {
        struct op_header h = rec->stream.headers[i];
        if (span_eq_str(h.name, "content-type") ||
            span_eq_str(h.name, "content-encoding"))
            continue; /* fields of the stream */
        enum trc_header_fate fate =
            trc_header_fate(h.name, r->o.headers, r->o.header_count);
        bool there = fate != TRC_HEADER_DENIED;
        if (fate == TRC_HEADER_PRESENCE)
            h.value = (struct span){0};
        bytes += there ? h.name.n + h.value.n : 0;
        if (there && n < CAP_HEADERS_MAX && bytes <= CAP_HEADERS_BYTES)
            r->kept[n++] = h;
        else
            r->counts.headers_denied++;
    }
    rec->stream.headers = r->kept;
    rec->stream.header_count = n;
}

int cap_redact_record(struct cap_redact *r, const struct cap_exchange *x,
                      struct cap_record *rec, struct arena *a, struct err *e)
{
    redact_headers(r, rec);
    if (r->o.keep_query && rec->query_cut && x->path.n <= CAP_PATH_MAX) {
        rec->stream.path = x->path;
        rec->query_cut = false;
    }
    if (rec->query_cut)
        rec->op.flags |= OP_FLAG_REDACTED;
    int rc = redact_body(r, &rec->stream, false, &x->request, &rec->op, a, e);
    if (rc == 0)
        rc = redact_body(r, &rec->stream, true, &x->answer, &rec->op, a, e);
    return rc;
}

/* --- what is told of it ----------------------------------------------------------- */

void cap_redact_describe(const struct cap_redact *r, struct buf *out)
{
    buf_fmt(out, "bodies=%s answers=%s query=%s headers=",
            r->o.bodies && *r->o.bodies ? r->o.bodies : "keep",
            r->o.no_answers ? "hash" : "as-bodies", r->o.keep_query ? "keep" : "cut");
    buf_str(out, "content-type,content-encoding," TRC_HEADERS_DEFAULT);
    for (size_t i = 0; i < r->o.header_count; i++)
        buf_fmt(out, ",%s", r->o.headers[i]);
}

void cap_redact_key_text(const struct cap_redact *r, char out[17])
{
    out[0] = 0;
    if (r->bodies != BODIES_KEEP)
        keyed_hash_key_text(r->key, out);
}

const struct cap_redact_counts *cap_redact_counts(const struct cap_redact *r)
{
    return &r->counts;
}

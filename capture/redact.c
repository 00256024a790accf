/*
 * redact.c - see redact.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "capture/redact.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "capture/mask.h"

#define KEY_FILE_MAX 4096u

enum bodies { BODIES_KEEP, BODIES_HASH, BODIES_SHAPE, BODIES_MASK };

struct cap_redact {
    struct cap_redact_options o;
    enum bodies bodies;
    struct cap_mask masks[CAP_MASKS_MAX];
    size_t mask_count;
    uint8_t key[CAP_KEY_BYTES];
    struct op_header kept[CAP_HEADERS_MAX];
    struct buf scratch;
    struct cap_redact_counts counts;
};

/* --- keyed hashes ----------------------------------------------------------------- */

static uint64_t load64(const uint8_t *p)
{
    uint64_t v = 0;
    for (int i = 0; i < 8; i++)
        v |= (uint64_t)p[i] << (8 * i);
    return v;
}

static uint64_t rotate(uint64_t v, int by)
{
    return v << by | v >> (64 - by);
}

static void sip_rounds(uint64_t v[4], int n)
{
    while (n-- > 0) {
        v[0] += v[1];
        v[1] = rotate(v[1], 13) ^ v[0];
        v[0] = rotate(v[0], 32);
        v[2] += v[3];
        v[3] = rotate(v[3], 16) ^ v[2];
        v[0] += v[3];
        v[3] = rotate(v[3], 21) ^ v[0];
        v[2] += v[1];
        v[1] = rotate(v[1], 17) ^ v[2];
        v[2] = rotate(v[2], 32);
    }
}

void cap_keyed_hash(const uint8_t key[CAP_KEY_BYTES], struct span s, uint64_t out[2])
{
    uint64_t k0 = load64(key), k1 = load64(key + 8);
    uint64_t v[4] = {k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d,
                     k0 ^ 0x6c7967656e657261, k1 ^ 0x7465646279746573};
    uint64_t last = (uint64_t)s.n << 56;
    size_t at = 0;
    v[1] ^= 0xee;
    for (; s.n - at >= 8; at += 8) {
        uint64_t word = load64(s.p + at);
        v[3] ^= word;
        sip_rounds(v, 2);
        v[0] ^= word;
    }
    for (int i = 0; at < s.n; at++, i++)
        last |= (uint64_t)s.p[at] << (8 * i);
    v[3] ^= last;
    sip_rounds(v, 2);
    v[0] ^= last;
    v[2] ^= 0xee;
    sip_rounds(v, 4);
    out[0] = v[0] ^ v[1] ^ v[2] ^ v[3];
    v[1] ^= 0xdd;
    sip_rounds(v, 4);
    out[1] = v[0] ^ v[1] ^ v[2] ^ v[3];
}

static int parse_key(struct span text, uint8_t key[CAP_KEY_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    text = span_trim(text);
    if (text.n != 2 * (size_t)CAP_KEY_BYTES)
        return -1;
    memset(key, 0, CAP_KEY_BYTES);
    for (size_t i = 0; i < text.n; i++) {
        uint8_t c = text.p[i];
        const char *d = memchr(digits, c >= 'A' && c <= 'F' ? c + 32 : c, 16);
        if (!d)
            return -1;
        key[i / 2] = (uint8_t)(key[i / 2] << 4 | (d - digits));
    }
    return 0;
}

static int take_key(struct cap_redact *r, struct err *e)
{
    const char *file = r->o.key_file, *given = getenv(CAP_KEY_ENV);
    struct buf text = {0};
    int rc = 0;
    if (file) {
        rc = buf_read_file(&text, file, KEY_FILE_MAX, e);
        if (rc == 0 && parse_key(buf_view(&text), r->key) < 0)
            rc = err_set(e, ERR_FORMAT, "key file '%s' is not 32 hex digits", file);
        buf_done(&text);
    } else if (given && *given) {
        if (parse_key(span_str(given), r->key) < 0)
            rc = err_set(e, ERR_USAGE, CAP_KEY_ENV " is not 32 hex digits");
    } else if (getrandom(r->key, sizeof r->key, 0) != sizeof r->key) {
        rc = err_sys(e, errno, "cannot draw a key");
    }
    return rc;
}

/* --- the policy ------------------------------------------------------------------- */

bool cap_redact_never(struct span name)
{
    static const char *const parts[] = {
        "auth",      "cookie",     "token",   "secret",     "password",  "api-key",
        "apikey",    "api_key",    "session", "credential", "signature", "jwt",
        "x-amz-sec", "x-goog-iam", "csrf",    "xsrf"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        size_t n = strlen(parts[i]);
        for (size_t at = 0; name.n >= n && at <= name.n - n; at++)
            if (span_eq_nocase(span_sub(name, at, at + n), parts[i]))
                return !span_eq_nocase(name, "authority");
    }
    return false;
}

static int parse_masks(struct cap_redact *r, struct span list, struct err *e)
{
    for (;;) {
        size_t comma = span_find(list, ',', 0);
        if (r->mask_count == CAP_MASKS_MAX)
            return err_set(e, ERR_USAGE, "--bodies mask: more than %u paths",
                           CAP_MASKS_MAX);
        int rc = cap_mask_parse(span_trim(span_sub(list, 0, comma)),
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
        if (cap_redact_never(span_str(r->o.headers[i])))
            return err_set(e, ERR_USAGE,
                           "--keep-header '%s': headers that may hold credentials are "
                           "never kept",
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
        rc = take_key(r, e);
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
        cap_keyed_hash(r->key, body->data, body->hash);
    } else if (body->hash[0] != 0 || body->hash[1] != 0) {
        uint64_t known[2] = {body->hash[0], body->hash[1]};
        cap_keyed_hash(r->key, span_of(known, sizeof known), body->hash);
    }
    body->state = OP_BODY_ELIDED;
    body->data = (struct span){0};
}

/* A value in Kafka is a message as gRPC has it, or JSON, which begins as none does. */
static enum op_protocol form_of(const struct op_stream *s, struct span body)
{
    if (s->protocol != OP_KAFKA)
        return s->protocol;
    return body.n && body.p[0] == '{' ? OP_REST : OP_GRPC;
}

static int rewrite(struct cap_redact *r, const struct op_stream *s, bool answer,
                   struct span body, struct arena *a, struct err *e)
{
    enum op_protocol form = form_of(s, body);
    if (r->bodies == BODIES_SHAPE)
        return cap_mask_shape(form, answer, body, a, &r->scratch, e);
    if (form == OP_REST)
        return cap_mask_json(r->masks, r->mask_count, body, a, &r->scratch, e);
    return cap_mask_proto(r->masks, r->mask_count, answer, body, a, &r->scratch, e);
}

static int redact_body(struct cap_redact *r, const struct op_stream *s, bool answer,
                       bool encoded, struct op *op, struct arena *a, struct err *e)
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
    buf_reset(&r->scratch);
    int rc = encoded ? ERR_FORMAT : rewrite(r, s, answer, body->data, a, &why);
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
    r->counts.bodies_changed++;
    op->flags |= answer ? 0 : OP_FLAG_REDACTED;
    return 0;
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

int cap_redact_answer(struct cap_redact *r, const struct cap_exchange *x, struct op *op,
                      struct arena *a, struct err *e)
{
    struct op_stream s = {.protocol = x->grpc ? OP_GRPC : OP_REST};
    return redact_body(r, &s, true, is_encoded(&x->answer), op, a, e);
}

/* --- headers ---------------------------------------------------------------------- */

static bool standard(struct span name)
{
    return span_eq_str(name, "accept-encoding") || span_eq_str(name, "seldon-model");
}

/* Asked for by the user, and none that is never kept. */
static bool asked(const struct cap_redact *r, struct span name)
{
    for (size_t i = 0; i < r->o.header_count; i++)
        if (span_eq_nocase(name, r->o.headers[i]))
            return !cap_redact_never(name);
    return false;
}

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
        bool there = standard(h.name) || asked(r, h.name);
        if (!there && (span_eq_str(h.name, "traceparent") ||
                       span_eq_str(h.name, "x-seldon-route"))) {
            h.value = (struct span){0};
            there = true;
        }
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
    int rc =
        redact_body(r, &rec->stream, false, is_encoded(&x->request), &rec->op, a, e);
    if (rc == 0)
        rc = redact_body(r, &rec->stream, true, is_encoded(&x->answer), &rec->op, a, e);
    return rc;
}

/* --- what is told of it ----------------------------------------------------------- */

void cap_redact_describe(const struct cap_redact *r, struct buf *out)
{
    buf_fmt(out, "bodies=%s answers=%s query=%s headers=",
            r->o.bodies && *r->o.bodies ? r->o.bodies : "keep",
            r->o.no_answers ? "hash" : "as-bodies", r->o.keep_query ? "keep" : "cut");
    buf_str(out, "content-type,content-encoding,accept-encoding,seldon-model,"
                 "traceparent(presence),x-seldon-route(presence)");
    for (size_t i = 0; i < r->o.header_count; i++)
        buf_fmt(out, ",%s", r->o.headers[i]);
}

void cap_redact_key_text(const struct cap_redact *r, char out[17])
{
    static const char digits[] = "0123456789abcdef";
    uint64_t h[2];
    out[0] = 0;
    if (r->bodies == BODIES_KEEP)
        return;
    cap_keyed_hash(r->key, SPAN_LIT("the name of a key"), h);
    for (int i = 0; i < 16; i++)
        out[i] = digits[h[0] >> (60 - 4 * i) & 15];
    out[16] = 0;
}

const struct cap_redact_counts *cap_redact_counts(const struct cap_redact *r)
{
    return &r->counts;
}

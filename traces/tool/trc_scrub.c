/*
 * trc_scrub.c - see trc_scrub.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/tool/trc_scrub.h"

#include <stdio.h>
#include <string.h>

#include "traces/capture_notes.h"
#include "traces/tool/trc_copy.h"
#include "traces/tool/trc_print.h"
#include "traces/tool/trc_secret.h"

#define NOTE_SCRUB_KEY "scrub.key" /* names the key of this tool's keyed hashes */

struct scrubbing {
    const struct trc_scrub *how;
    struct trc_scrub_done *done;
    struct pay_mask masks[PAY_MASKS_MAX];
    uint8_t key[KEYED_HASH_BYTES];
    struct arena block, body; /* scratch: for a block, for an operation */
    struct buf text;
};

/* What became of one stream of a block. */
struct stream {
    struct op_stream s;
    uint32_t denied; /* headers */
    bool changed;
};

/* --- streams ---------------------------------------------------------------------- */

static int scrub_stream(struct scrubbing *m, const struct op_stream *in,
                        struct stream *out, struct err *e)
{
    size_t query = span_find(in->path, '?', 0);
    struct op_header *kept =
        arena_alloc(&m->block, sizeof *kept * (in->header_count + 1));
    if (!kept)
        return err_set(e, ERR_NOMEM, "out of memory for headers");
    *out = (struct stream){.s = *in};
    out->s.headers = kept;
    out->s.header_count = 0;
    if (!m->how->keep_query && query < in->path.n) {
        out->s.path = span_sub(in->path, 0, query);
        out->changed = true;
    }
    for (uint32_t i = 0; i < in->header_count; i++) {
        struct op_header h = in->headers[i];
        enum trc_header_fate fate =
            trc_header_fate(h.name, m->how->headers, m->how->header_count);
        if (fate == TRC_HEADER_PRESENCE) {
            out->changed |= h.value.n > 0;
            h.value = (struct span){0};
        }
        if (fate == TRC_HEADER_DENIED)
            out->denied++;
        else
            kept[out->s.header_count++] = h;
    }
    out->changed |= out->denied > 0;
    return 0;
}

static int scrub_streams(struct scrubbing *m, const struct trc_block *b,
                         struct stream **streams, struct err *e)
{
    *streams = arena_alloc(&m->block, sizeof **streams * (b->stream_count + 1u));
    if (!*streams)
        return err_set(e, ERR_NOMEM, "out of memory for streams");
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < b->stream_count; i++)
        rc = scrub_stream(m, &b->streams[i], &(*streams)[i], e);
    return rc;
}

/* --- bodies ----------------------------------------------------------------------- */

static void elide(struct scrubbing *m, struct op_body *body)
{
    if (body->state == OP_BODY_KEPT) {
        keyed_hash(m->key, body->data, body->hash);
    } else if (body->hash[0] != 0 || body->hash[1] != 0) {
        uint64_t known[2] = {body->hash[0], body->hash[1]};
        keyed_hash(m->key, span_of(known, sizeof known), body->hash);
    }
    body->state = OP_BODY_ELIDED;
    body->data = (struct span){0};
    m->done->bodies_refused++;
}

/* Appends the message as it may stay. */
static int rewrite(struct scrubbing *m, enum op_protocol form, bool answer,
                   struct span body, struct err *e)
{
    if (m->how->shape_only)
        return pay_mask_shape(form, answer, body, &m->body, &m->text, e);
    if (form == OP_REST)
        return pay_mask_json(m->masks, m->how->path_count, body, &m->body, &m->text, e);
    return pay_mask_proto(m->masks, m->how->path_count, answer, body, &m->body,
                          &m->text, e);
}

/* A body of one message, or of those of a stream, whose lengths become new ones. */
static int rewrite_all(struct scrubbing *m, enum op_protocol form, bool answer,
                       struct span body, struct op_messages *parts, struct err *e)
{
    struct op_message *v = arena_alloc(&m->body, sizeof *v * (parts->count + 1u));
    size_t at = 0;
    int rc = 0;
    buf_reset(&m->text);
    if (!v)
        return err_set(e, ERR_NOMEM, "out of memory for messages");
    if (parts->count == 0)
        return rewrite(m, form, answer, body, e);
    for (uint32_t i = 0; rc == 0 && i < parts->count; i++) {
        size_t end = at + (size_t)parts->v[i].bytes, before = m->text.n;
        rc = rewrite(m, form, answer, span_sub(body, at, end), e);
        v[i] = (struct op_message){parts->v[i].at_ns, m->text.n - before};
        at = end;
    }
    if (rc == 0)
        parts->v = v;
    return rc;
}

/* A late answer comes without its stream: only its bytes tell its form. */
static int rewrite_late(struct scrubbing *m, struct span body,
                        struct op_messages *parts, struct err *e)
{
    struct span start = span_trim(body);
    int rc = ERR_FORMAT;
    if (start.n && start.p[0] == '{')
        rc = rewrite_all(m, OP_REST, true, body, parts, e);
    if (rc < 0 && rc != ERR_NOMEM) {
        err_clear(e);
        rc = rewrite_all(m, OP_GRPC, true, body, parts, e);
    }
    return rc;
}

static bool encoded(const struct op_stream *s)
{
    return s->content_encoding.n > 0 &&
           !span_eq_nocase(s->content_encoding, "identity");
}

/* s: NULL for a late answer. packed: its bytes are encoded, so that they cannot be
 * masked. */
static int scrub_body(struct scrubbing *m, const struct op_stream *s, bool answer,
                      bool packed, struct op_body *body, struct op_messages *parts,
                      bool *changed, struct err *e)
{
    if (body->state == OP_BODY_NONE || (!m->how->shape_only && m->how->path_count == 0))
        return 0;
    struct err why = {0};
    int rc = ERR_FORMAT;
    if (body->state != OP_BODY_KEPT || packed)
        buf_reset(&m->text);
    else if (s)
        rc = rewrite_all(m, pay_mask_form(s->protocol, body->data), answer, body->data,
                         parts, &why);
    else
        rc = rewrite_late(m, body->data, parts, &why);
    if (rc == ERR_NOMEM) {
        *e = why;
        return rc;
    }
    if (rc == 0 && span_eq(buf_view(&m->text), body->data))
        return 0;
    *changed = true;
    if (rc < 0) {
        elide(m, body);
        return 0;
    }
    struct span copy = arena_dup(&m->body, buf_view(&m->text));
    if (!copy.p)
        return err_set(e, ERR_NOMEM, "out of memory for a body of %zu bytes",
                       m->text.n);
    *body = op_body_of(copy);
    m->done->bodies_masked++;
    return 0;
}

/* --- operations ------------------------------------------------------------------- */

/* A keyed hash, written as a UUID, which files hold in 16 bytes. */
static int hash_id(struct scrubbing *m, struct op *o, struct err *e)
{
    uint64_t h[2];
    char text[40];
    keyed_hash(m->key, o->id, h);
    snprintf(text, sizeof text, "%08x-%04x-%04x-%04x-%012llx", (unsigned)(h[0] >> 32),
             (unsigned)(h[0] >> 16 & 0xffff), (unsigned)(h[0] & 0xffff),
             (unsigned)(h[1] >> 48), (unsigned long long)(h[1] & 0xffffffffffff));
    o->id = arena_dup(&m->body, span_str(text));
    m->done->ids_hashed++;
    return o->id.p ? 0 : err_set(e, ERR_NOMEM, "out of memory for an id");
}

static int scrub_answer(struct scrubbing *m, const struct op_stream *s, struct op *o,
                        bool *changed, struct err *e)
{
    if (!m->how->drop_answers)
        return scrub_body(m, s, true, o->response_codings != 0, &o->response,
                          &o->response_messages, changed, e);
    if (o->response.state != OP_BODY_NONE) {
        o->response = (struct op_body){0};
        o->response_messages = (struct op_messages){0};
        o->response_codings = 0;
        m->done->answers_dropped++;
        *changed = true;
    }
    return 0;
}

static int scrub_op(struct scrubbing *m, const struct stream *stream, struct op *o,
                    struct err *e)
{
    bool changed = stream->changed;
    o->stream = &stream->s;
    m->done->headers_denied += stream->denied;
    int rc = scrub_body(m, &stream->s, false, encoded(&stream->s), &o->request,
                        &o->request_messages, &changed, e);
    if (rc == 0)
        rc = scrub_answer(m, &stream->s, o, &changed, e);
    if (rc == 0 && m->how->hash_ids && o->id.n > 0) {
        rc = hash_id(m, o, e);
        changed = true;
    }
    if (changed)
        o->flags |= OP_FLAG_REDACTED;
    m->done->operations++;
    m->done->changed += changed;
    return rc;
}

/* Nothing is left out, so operations keep their index, and late answers theirs. */
static int scrub_block(struct scrubbing *m, const struct trc_block *b,
                       struct trc_writer *w, struct err *e)
{
    struct stream *streams;
    arena_reset(&m->block);
    int rc = scrub_streams(m, b, &streams, e);
    for (uint32_t i = 0; rc == 0 && i < b->count; i++) {
        struct op o = b->ops[i];
        arena_reset(&m->body);
        rc = scrub_op(m, &streams[o.stream_index], &o, e);
        if (rc == 0)
            rc = trc_writer_op(w, &o, e);
    }
    for (uint32_t i = 0; rc == 0 && i < b->late_count; i++) {
        struct op o = b->late[i];
        bool changed = false;
        arena_reset(&m->body);
        rc = scrub_answer(m, NULL, &o, &changed, e);
        if (changed)
            o.flags |= OP_FLAG_REDACTED;
        if (rc == 0)
            rc = trc_writer_late(w, &o, e);
    }
    return rc;
}

/* --- the whole -------------------------------------------------------------------- */

static int prepare(struct scrubbing *m, struct err *e)
{
    const struct trc_scrub *how = m->how;
    for (size_t i = 0; i < how->header_count; i++)
        if (trc_secret_header(span_str(how->headers[i])))
            return err_set(
                e, ERR_USAGE,
                "--keep-header '%s': headers that may hold credentials are never kept",
                how->headers[i]);
    if (how->shape_only && how->path_count > 0)
        return err_set(e, ERR_USAGE, "--shape-only leaves nothing for --mask");
    if (how->path_count > PAY_MASKS_MAX)
        return err_set(e, ERR_USAGE, "--mask: more than %u paths", PAY_MASKS_MAX);
    for (size_t i = 0; i < how->path_count; i++)
        if (pay_mask_parse(span_str(how->paths[i]), &m->masks[i], e) < 0)
            return err_note(e, "--mask");
    return keyed_hash_key(how->key_file, TRC_SCRUB_KEY_ENV, m->key, e);
}

static void describe(const struct trc_scrub *how, struct buf *out)
{
    buf_fmt(out, "scrub: bodies=%s", how->shape_only ? "shape" : "keep");
    for (size_t i = 0; i < how->path_count; i++)
        buf_fmt(out, "%s%s", i ? "," : " mask=", how->paths[i]);
    buf_fmt(out, " answers=%s query=%s ids=%s headers=" TRC_HEADERS_DEFAULT,
            how->drop_answers ? "none" : "as-bodies", how->keep_query ? "keep" : "cut",
            how->hash_ids ? "hash" : "keep");
    for (size_t i = 0; i < how->header_count; i++)
        buf_fmt(out, ",%s", how->headers[i]);
}

/* What was taken out before stays told. The key is named only where a hash was made. */
static int note_policy(struct scrubbing *m, const struct trc_reader *r,
                       struct trc_writer *w, struct err *e)
{
    const char *before = trc_reader_note(r, NOTE_REDACTION);
    char hash_text[TRC_HASH_TEXT], key_text[17];
    uint64_t hash[2];
    buf_reset(&m->text);
    buf_fmt(&m->text, "%s%s", before ? before : "", before ? ", then " : "");
    describe(m->how, &m->text);
    int rc = buf_check(&m->text, e);
    if (rc == 0)
        rc = trc_writer_note(w, NOTE_REDACTION, buf_text(&m->text), e);
    op_body_hash(buf_view(&m->text), hash);
    if (rc == 0)
        rc = trc_writer_note(w, NOTE_REDACTION_HASH, trc_hash_text(hash, hash_text), e);
    keyed_hash_key_text(m->key, key_text);
    if (rc == 0 && (m->done->ids_hashed || m->done->bodies_refused))
        rc = trc_writer_note(w, NOTE_SCRUB_KEY, key_text, e);
    return rc;
}

/* Notes of a captured trace's policy are replaced, but its key's name stays: there are
 * hashes under it. */
static int copy_notes(struct scrubbing *m, const struct trc_reader *r,
                      struct trc_writer *w, struct err *e)
{
    int rc = trc_copy_notes(r, NOTE_REDACTION, w, e);
    return rc == 0 ? note_policy(m, r, w, e) : rc;
}

static int run(struct scrubbing *m, struct trc_reader *r, const char *out,
               struct err *e)
{
    const struct trc_info *info = trc_reader_info(r);
    struct trc_options options = {.kind = TRC_TRACE,
                                  .resolution_ns = info->resolution_ns,
                                  .epoch_wall_ns = info->epoch_wall_ns};
    struct trc_writer *w;
    struct trc_block *b;
    int got = 1, rc = trc_writer_open(&w, out, &options, e);
    if (rc < 0)
        return rc;
    rc = copy_notes(m, r, w, e);
    while (rc == 0 && (got = trc_copy_next(r, &b, &m->done->unclosed, e)) == 1) {
        rc = scrub_block(m, b, w, e);
        trc_block_free(b);
    }
    rc = got < 0 ? got : rc;
    if (rc == 0)
        rc = copy_notes(m, r, w, e);
    return trc_copy_finish(w, out, rc, e);
}

int trc_scrub(const char *in, const char *out, const struct trc_scrub *how,
              struct trc_scrub_done *done, struct err *e)
{
    struct scrubbing m = {.how = how, .done = done};
    struct trc_reader *r = NULL;
    *done = (struct trc_scrub_done){0};
    int rc = prepare(&m, e);
    if (rc == 0)
        rc = trc_copy_open(&r, in, e);
    if (rc == 0)
        rc = run(&m, r, out, e);
    trc_reader_close(r);
    explicit_bzero(m.key, sizeof m.key);
    arena_done(&m.block);
    arena_done(&m.body);
    buf_done(&m.text);
    return rc;
}

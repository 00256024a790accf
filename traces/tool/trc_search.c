/*
 * trc_search.c - see trc_search.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/tool/trc_search.h"

#include <stdlib.h>
#include <string.h>

#include "traces/base/arena.h"
#include "traces/tool/trc_copy.h"
#include "traces/tool/trc_secret.h"

const char *const trc_place_names[] = {"note", "name",    "path",   "header",
                                       "id",   "request", "answer", NULL};
_Static_assert(sizeof trc_place_names / sizeof *trc_place_names == TRC_PLACE_COUNT + 1,
               "a name for each place");

struct search {
    trc_search_fn *fn;
    void *ctx;
    struct trc_search_done *done;
    struct arena a;
    struct trc_hit at; /* the place that is looked at */
    size_t base;       /* where the part that is looked at begins in it */
    int rc;            /* of fn */
    struct err *e;
};

static void hit(void *ctx, const struct trc_finding *found)
{
    struct search *s = ctx;
    if (s->rc < 0)
        return;
    s->at.found = *found;
    if (!found->inside)
        s->at.found.at += s->base;
    s->done->hits++;
    s->rc = s->fn(s->ctx, &s->at, s->e);
}

static void no_name(void *ctx, const struct trc_finding *found)
{
    (void)found;
    *(struct span *)ctx = (struct span){0};
}

/* A name that is a secret itself is not told. */
static void set_place(struct search *s, enum trc_place place, struct span name)
{
    s->at.place = place;
    s->at.name = name;
    trc_find_text(name, no_name, &s->at.name);
}

static void look(struct search *s, enum trc_place place, struct span name,
                 struct span text)
{
    set_place(s, place, name);
    trc_find_text(text, hit, s);
}

static void look_at_stream(struct search *s, const struct op_stream *stream)
{
    struct span none = {0};
    look(s, TRC_PLACE_NAME, none, stream->name);
    look(s, TRC_PLACE_NAME, none, stream->model_type);
    set_place(s, TRC_PLACE_PATH, none);
    trc_find_path(stream->path, hit, s);
    for (uint32_t i = 0; i < stream->header_count; i++) {
        const struct op_header *h = &stream->headers[i];
        if (trc_secret_header(h->name) && h->value.n > 0) { /* whatever it says */
            set_place(s, TRC_PLACE_HEADER, h->name);
            hit(s, &(struct trc_finding){.kind = TRC_FIND_HEADER, .bytes = h->value.n});
        } else {
            look(s, TRC_PLACE_HEADER, h->name, h->value);
            look(s, TRC_PLACE_HEADER, none, h->name);
        }
    }
    look(s, TRC_PLACE_HEADER, SPAN_LIT("content-type"), stream->content_type);
    look(s, TRC_PLACE_HEADER, SPAN_LIT("content-encoding"), stream->content_encoding);
}

/* gzip, zlib and zstd begin so; neither JSON nor a V2 message does. */
static bool compressed(struct span body)
{
    static const char *const starts[] = {"\x1f\x8b", "\x78\x01", "\x78\x9c", "\x78\xda",
                                         "\x28\xb5\x2f\xfd"};
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++)
        if (span_starts(body, starts[i]))
            return true;
    return false;
}

static int look_at_part(struct search *s, struct span body, size_t from, size_t to)
{
    s->base = from;
    int rc = trc_find_body(span_sub(body, from, to), &s->a, hit, s, s->e);
    s->base = 0;
    return rc;
}

/* Server-sent events: what stands behind "data:" in a line is a body of its own. */
static int look_at_events(struct search *s, struct span body)
{
    int rc = 0;
    for (size_t at = 0; rc == 0 && at < body.n;) {
        size_t end = span_find(body, '\n', at);
        bool data = span_starts(span_sub(body, at, end), "data:");
        rc = look_at_part(s, body, data ? at + strlen("data:") : at, end);
        at = end + 1;
    }
    return rc;
}

static int look_at_messages(struct search *s, const struct op_body *body,
                            const struct op_messages *parts)
{
    size_t at = 0;
    int rc = 0;
    if (span_starts(body->data, "data:") || span_starts(body->data, "event:"))
        return look_at_events(s, body->data);
    if (parts->count == 0)
        return look_at_part(s, body->data, 0, body->data.n);
    for (uint32_t i = 0; rc == 0 && i < parts->count; i++) {
        size_t end = at + (size_t)parts->v[i].bytes;
        rc = look_at_part(s, body->data, at, end);
        at = end;
    }
    return rc;
}

static int look_at_body(struct search *s, enum trc_place place, struct span encoding,
                        const struct op_body *body, const struct op_messages *parts)
{
    if (body->state != OP_BODY_KEPT)
        return 0;
    if (compressed(body->data) ||
        (encoding.n > 0 && !span_eq_nocase(encoding, "identity"))) {
        s->done->unopened++;
        return 0;
    }
    s->done->bodies++;
    set_place(s, place, (struct span){0});
    return look_at_messages(s, body, parts);
}

static int look_at_op(struct search *s, const struct op *o)
{
    struct span none = {0};
    int rc = 0;
    s->at.index = o->index;
    look(s, TRC_PLACE_ID, none, o->id);
    if (o->stream)
        rc = look_at_body(s, TRC_PLACE_REQUEST, o->stream->content_encoding,
                          &o->request, &o->request_messages);
    if (rc == 0)
        rc = look_at_body(s, TRC_PLACE_ANSWER, none, &o->response,
                          &o->response_messages);
    return rc;
}

/* Streams are told for the first record that is of them. */
static int look_at_block(struct search *s, const struct trc_block *b)
{
    bool *seen = calloc(b->stream_count + 1u, sizeof *seen);
    if (!seen)
        return err_set(s->e, ERR_NOMEM, "out of memory for streams");
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < b->count; i++) {
        uint32_t k = b->ops ? b->ops[i].stream_index : b->outcomes[i].stream_index;
        s->at.index = b->ops ? b->ops[i].index : b->outcomes[i].op_index;
        if (!seen[k]) {
            seen[k] = true;
            look_at_stream(s, &b->streams[k]);
        }
        if (b->ops)
            rc = look_at_op(s, &b->ops[i]);
        s->done->records++;
        rc = s->rc < 0 ? s->rc : rc;
    }
    for (uint32_t i = 0; rc == 0 && i < b->late_count; i++) {
        s->at.index = b->late[i].index;
        const struct op *l = &b->late[i];
        rc = look_at_body(s, TRC_PLACE_ANSWER, (struct span){0}, &l->response,
                          &l->response_messages);
        rc = s->rc < 0 ? s->rc : rc;
    }
    free(seen);
    return rc;
}

static void look_at_notes(struct search *s, const struct trc_reader *r)
{
    const char *key, *value;
    for (size_t i = 0; trc_reader_note_at(r, i, &key, &value); i++) {
        look(s, TRC_PLACE_NOTE, span_str(key), span_str(value));
        look(s, TRC_PLACE_NOTE, (struct span){0}, span_str(key));
    }
}

int trc_search(const char *path, trc_search_fn *fn, void *ctx,
               struct trc_search_done *done, struct err *e)
{
    struct search s = {.fn = fn, .ctx = ctx, .done = done, .e = e};
    struct trc_reader *r;
    struct trc_block *b;
    *done = (struct trc_search_done){0};
    int got, rc = trc_reader_open(&r, path, e);
    if (rc < 0)
        return rc;
    while ((got = trc_copy_next(r, &b, &done->unclosed, e)) == 1 && rc == 0) {
        rc = look_at_block(&s, b);
        trc_block_free(b);
        if (rc < 0)
            break;
    }
    if (rc == 0)
        rc = got;
    if (rc == 0) { /* last: a stream knows all of them at its end only */
        look_at_notes(&s, r);
        rc = s.rc;
    }
    trc_reader_close(r);
    arena_done(&s.a);
    return rc;
}

/*
 * trc_decode.c - see trc_decode.h.
 *
 * Columns are decoded TRC_CHUNK rows at a time into a small array and from there into
 * the records, so that a record's memory is still near when its next column comes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/container/trc_decode.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "traces/container/trc_body.h"
#include "traces/container/trc_feed.h"
#include "traces/container/trc_hash.h"
#include "traces/container/trc_ident.h"
#include "traces/container/trc_messages.h"
#include "traces/container/trc_outcomes.h"
#include "traces/container/trc_stream.h"
#include "traces/wire/content_encoding.h"

/* The columns of a kind, per group. */
static const uint8_t ops_columns[TRC_GROUPS][16] = {
    {TRC_COL_TIME, TRC_COL_STREAM, TRC_COL_REQUEST, TRC_COL_FLAGS,
     TRC_COL_STREAM_TABLE},
    {TRC_COL_STATUS, TRC_COL_GRPC, TRC_COL_FIRST, TRC_COL_LAST, TRC_COL_RESPONSE,
     TRC_COL_CODINGS},
    {TRC_COL_ID_FORM, TRC_COL_ID_BYTES, TRC_COL_CONNECTION, TRC_COL_CONN_STREAM,
     TRC_COL_CLIENT, TRC_COL_TOKENS_IN, TRC_COL_TOKENS_OUT, TRC_COL_WEIGHT},
    {TRC_COL_REQUEST_TABLE, TRC_COL_REQUEST_TABLE + 1, TRC_COL_REQUEST_TABLE + 2,
     TRC_COL_RESPONSE_TABLE, TRC_COL_RESPONSE_TABLE + 1, TRC_COL_RESPONSE_TABLE + 2,
     TRC_COL_ASKED, TRC_COL_ASKED + 1, TRC_COL_ASKED + 2, TRC_COL_ANSWERED,
     TRC_COL_ANSWERED + 1, TRC_COL_ANSWERED + 2},
};
static const uint8_t late_columns[TRC_GROUPS][16] = {
    {0},
    {TRC_COL_FLAGS, TRC_COL_STATUS, TRC_COL_GRPC, TRC_COL_FIRST, TRC_COL_LAST,
     TRC_COL_RESPONSE, TRC_COL_CODINGS, TRC_COL_LATE_INDEX},
    {0},
    {TRC_COL_RESPONSE_TABLE, TRC_COL_RESPONSE_TABLE + 1, TRC_COL_RESPONSE_TABLE + 2,
     TRC_COL_ANSWERED, TRC_COL_ANSWERED + 1, TRC_COL_ANSWERED + 2},
};
static const uint8_t outcome_columns[TRC_GROUPS][16] = {
    {TRC_COL_TIME, TRC_COL_STREAM, TRC_COL_STREAM_TABLE, TRC_COL_OP_INDEX},
    {TRC_COL_STATUS, TRC_COL_GRPC, TRC_COL_CAUSE, TRC_COL_CHECK, TRC_COL_READY,
     TRC_COL_SENT, TRC_COL_OUT_FIRST, TRC_COL_DONE, TRC_COL_ATTEMPTS, TRC_COL_WAIT,
     TRC_COL_STREAMED, TRC_COL_STREAMED + 1, TRC_COL_STREAMED + 2},
    {TRC_COL_CONNECTION, TRC_COL_WORKER, TRC_COL_BYTES_OUT, TRC_COL_BYTES_IN},
    {TRC_COL_HASH_REF, TRC_COL_HASH_TABLE},
};

/* --- bodies --- */

struct body_parts {
    const struct trc_group *g;
    unsigned id;
    struct cursor details, bytes;
};

static int decode_body(struct trc_decoding *d, struct body_parts *p, int64_t form,
                       struct op_body *out)
{
    uint64_t bytes = (uint64_t)form >> 3;
    unsigned kind = (unsigned)(form & 7);
    if (kind > TRC_BODY_ELIDED)
        return trc_column_error(p->g, p->id, "unknown form of a body", d->e);
    if (kind != TRC_BODY_ELIDED && bytes > TRC_BODY_MAX)
        return trc_column_error(p->g, p->id, "a body beyond the limit", d->e);
    *out = (struct op_body){.state = OP_BODY_KEPT, .bytes = bytes};
    if (kind == TRC_BODY_INLINE) {
        out->data = cursor_take(&p->bytes, (size_t)bytes);
        if (p->bytes.bad)
            return trc_column_error(p->g, p->id + 2, "fewer bytes than the bodies have",
                                    d->e);
        trc_xxh128(out->data.p, out->data.n, out->hash);
        return 0;
    }
    uint64_t first = 0, fragments = 0;
    if (kind == TRC_BODY_BLOB) {
        first = cursor_varint(&p->details);
        fragments = cursor_varint(&p->details);
    }
    out->hash[0] = cursor_u64(&p->details);
    out->hash[1] = cursor_u64(&p->details);
    if (p->details.bad)
        return trc_column_error(p->g, p->id + 1, "ends early", d->e);
    if (kind == TRC_BODY_ELIDED) {
        out->state = OP_BODY_ELIDED;
        return 0;
    }
    if (fragments < 1 || fragments > TRC_BODY_MAX / TRC_BLOB_MAX + 1)
        return trc_column_error(p->g, p->id + 1, "impossible count of fragments", d->e);
    return d->blobs->fetch(d->blobs->arg, d->b, first, (uint32_t)fragments, out, d->e);
}

static int decode_bodies(struct trc_decoding *d, int which)
{
    struct trc_group *g = &d->groups[TRC_PAYLOAD];
    struct body_parts p = {
        .g = g, .id = which ? TRC_COL_RESPONSE_TABLE : TRC_COL_REQUEST_TABLE};
    struct span content, details, bytes;
    bool present = trc_group_find(g, p.id, &content);
    trc_group_find(g, p.id + 1, &details);
    trc_group_find(g, p.id + 2, &bytes);
    p.details = cursor_of(details);
    p.bytes = cursor_of(bytes);
    if (present) {
        struct cursor c = cursor_of(content);
        uint64_t n = cursor_varint(&c);
        struct trc_ints forms;
        if (c.bad || n > d->b->head.records)
            return trc_column_error(g, p.id, "more bodies than records", d->e);
        if (!trc_ints_init(&forms, span_sub(content, cursor_offset(&c), content.n)))
            return trc_column_error(g, p.id, "malformed integers", d->e);
        d->bodies[which] = malloc((n ? n : 1) * sizeof(struct op_body));
        if (!d->bodies[which])
            return err_set(d->e, ERR_NOMEM, "out of memory for bodies");
        d->body_count[which] = n;
        for (uint64_t i = 0; i < n; i++) {
            int64_t form;
            if (!trc_ints_take(&forms, &form, 1) || form < 0)
                return trc_column_error(g, p.id, "malformed integers", d->e);
            int rc = decode_body(d, &p, form, &d->bodies[which][i]);
            if (rc < 0)
                return rc;
        }
        if (!trc_ints_ended(&forms))
            return trc_column_error(g, p.id, "bytes left over", d->e);
    }
    if (cursor_left(&p.details) || cursor_left(&p.bytes))
        return trc_column_error(g, p.id, "details or bytes left over", d->e);
    return 0;
}

/* That there were bodies is known, and nothing else of them. */
static int take_lacking(struct trc_resolver *refs, struct op *o, size_t n, bool answers)
{
    int64_t v[TRC_CHUNK];
    int rc = trc_feed(&refs->f, v, n);
    for (size_t i = 0; rc == 0 && i < n; i++)
        if (v[i] != 0) {
            *(answers ? &o[i].response : &o[i].request) =
                (struct op_body){.state = OP_BODY_ELIDED};
            o[i].flags |= OP_FLAG_TRUNCATED;
        }
    return rc;
}

/* --- answers, shared by OPS and LATE --- */

struct answers {
    struct trc_feeder status, grpc, first, last, codings;
    struct trc_resolver response;
};

static int answers_open(struct answers *a, struct trc_decoding *d)
{
    int64_t time_max = TRC_TIME_MAX / d->b->head.resolution_ns;
    int rc =
        trc_feeder_open(&a->status, d, TRC_ANSWERS, TRC_COL_STATUS, 0, 0, UINT16_MAX);
    if (rc == 0)
        rc = trc_feeder_open(&a->grpc, d, TRC_ANSWERS, TRC_COL_GRPC, TRC_NULL, 0,
                             INT16_MAX);
    if (rc == 0)
        rc = trc_feeder_open(&a->first, d, TRC_ANSWERS, TRC_COL_FIRST, TRC_NULL,
                             -time_max, time_max);
    if (rc == 0)
        rc = trc_feeder_open(&a->last, d, TRC_ANSWERS, TRC_COL_LAST, TRC_NULL,
                             -time_max, time_max);
    if (rc == 0)
        rc = trc_feeder_open(&a->codings, d, TRC_ANSWERS, TRC_COL_CODINGS, 0, 0,
                             UINT16_MAX);
    if (rc == 0)
        rc = trc_resolver_open(&a->response, d, TRC_ANSWERS, TRC_COL_RESPONSE,
                               d->body_count[1]);
    return rc;
}

static int answers_take(struct answers *a, struct op *o, size_t n, int64_t unit)
{
    int64_t v[TRC_CHUNK];
    int rc = trc_feed(&a->status, v, n);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < n; i++)
        o[i].status = (uint16_t)v[i];
    if ((rc = trc_feed(&a->grpc, v, n)) < 0)
        return rc;
    for (size_t i = 0; i < n; i++)
        o[i].grpc_status = v[i] == TRC_NULL ? -1 : (int16_t)v[i];
    if ((rc = trc_feed(&a->first, v, n)) < 0)
        return rc;
    for (size_t i = 0; i < n; i++)
        o[i].first_ns = v[i] == TRC_NULL ? OP_TIME_NONE : v[i] * unit;
    if ((rc = trc_feed(&a->last, v, n)) < 0)
        return rc;
    for (size_t i = 0; i < n; i++) {
        int64_t base = o[i].first_ns == OP_TIME_NONE ? 0 : o[i].first_ns;
        o[i].last_ns = v[i] == TRC_NULL ? OP_TIME_NONE : base + v[i] * unit;
    }
    if ((rc = trc_feed(&a->codings, v, n)) < 0)
        return rc;
    for (size_t i = 0; i < n; i++) {
        o[i].response_codings = (uint16_t)v[i];
        if (!content_codings_valid(o[i].response_codings))
            return trc_complain(&a->codings, "a list with a hole");
    }
    if (a->status.d->wanted & TRC_READ_LACKING)
        return take_lacking(&a->response, o, n, true);
    if (!(a->status.d->wanted & TRC_READ_PAYLOAD))
        return 0;
    if ((rc = trc_resolve(&a->response, v, n)) < 0)
        return rc;
    const struct op_body *bodies = a->response.f.d->bodies[1];
    for (size_t i = 0; i < n; i++)
        if (v[i] >= 0)
            o[i].response = bodies[v[i]];
    return 0;
}

static int answers_end(struct answers *a)
{
    int rc = trc_feeder_end(&a->status);
    if (rc == 0)
        rc = trc_feeder_end(&a->grpc);
    if (rc == 0)
        rc = trc_feeder_end(&a->first);
    if (rc == 0)
        rc = trc_feeder_end(&a->last);
    if (rc == 0)
        rc = trc_feeder_end(&a->codings);
    if (rc == 0 && (a->status.d->wanted & TRC_READ_PAYLOAD))
        rc = trc_resolver_end(&a->response);
    return rc;
}

/* --- messages of streams, once the bodies stand --- */

static int take_messages(struct trc_decoding *d, int which)
{
    uint32_t records = d->b->head.records;
    struct op_messages *lists;
    unsigned id = which ? TRC_COL_ANSWERED : TRC_COL_ASKED;
    int rc = trc_messages_decode(&d->groups[TRC_PAYLOAD], id, records,
                                 d->b->head.resolution_ns, &d->b->arena, &lists, d->e);
    for (uint32_t i = 0; rc == 0 && lists && i < records; i++) {
        struct op *o = &d->b->ops[i];
        if (!op_messages_fit(&lists[i], which ? &o->response : &o->request))
            return trc_column_error(&d->groups[TRC_PAYLOAD], id + 2,
                                    "messages are not as many bytes as their body",
                                    d->e);
        *(which ? &o->response_messages : &o->request_messages) = lists[i];
    }
    return rc;
}

/* --- the identity of operations --- */

struct idents {
    struct trc_feeder form, connection, conn_stream, client, tokens_in, tokens_out,
        weight;
    struct cursor bytes;
    uint8_t *text; /* room for ids that are stored packed */
};

/* Packed ids become text: how much, over all rows. A second pass over the forms. */
static int ident_text_bytes(struct trc_decoding *d, size_t *bytes)
{
    struct trc_feeder f;
    int64_t v[TRC_CHUNK];
    int rc = trc_feeder_open(&f, d, TRC_IDS, TRC_COL_ID_FORM, 0, 0, TRC_STRING_MAX + 3);
    *bytes = 0;
    for (size_t at = 0; rc == 0 && at < d->b->head.records; at += TRC_CHUNK) {
        size_t n = d->b->head.records - at;
        n = n < TRC_CHUNK ? n : TRC_CHUNK;
        rc = trc_feed(&f, v, n);
        for (size_t i = 0; rc == 0 && i < n; i++)
            *bytes += v[i] == 1 ? TRC_UUID_TEXT : v[i] == 2 ? TRC_XID_TEXT : 0;
    }
    return rc;
}

static int idents_open(struct idents *s, struct trc_decoding *d)
{
    struct span bytes;
    size_t text;
    trc_group_find(&d->groups[TRC_IDS], TRC_COL_ID_BYTES, &bytes);
    s->bytes = cursor_of(bytes);
    int rc = ident_text_bytes(d, &text);
    if (rc < 0)
        return rc;
    /* Each packed id has 12 bytes at least in the group, so text stays in proportion.
     */
    if (text / 3 > bytes.n)
        return trc_column_error(&d->groups[TRC_IDS], TRC_COL_ID_BYTES, "ends early",
                                d->e);
    s->text = arena_alloc(&d->b->arena, text);
    if (!s->text)
        return err_set(d->e, ERR_NOMEM, "out of memory for request ids");
    struct {
        struct trc_feeder *f;
        unsigned id;
        int64_t def, low, high;
    } columns[] = {
        {&s->form, TRC_COL_ID_FORM, 0, 0, TRC_STRING_MAX + 3},
        {&s->connection, TRC_COL_CONNECTION, TRC_NULL, 0, OP_NONE - 1},
        {&s->conn_stream, TRC_COL_CONN_STREAM, TRC_NULL, 0, OP_NONE - 1},
        {&s->client, TRC_COL_CLIENT, TRC_NULL, 0, OP_NONE - 1},
        {&s->tokens_in, TRC_COL_TOKENS_IN, TRC_NULL, 0, OP_NONE - 1},
        {&s->tokens_out, TRC_COL_TOKENS_OUT, TRC_NULL, 0, OP_NONE - 1},
        {&s->weight, TRC_COL_WEIGHT, TRC_WEIGHT_ONE, 0, UINT32_MAX},
    };
    for (size_t i = 0; rc == 0 && i < sizeof columns / sizeof *columns; i++)
        rc = trc_feeder_open(columns[i].f, d, TRC_IDS, columns[i].id, columns[i].def,
                             columns[i].low, columns[i].high);
    return rc;
}

static int take_ids(struct idents *s, struct op *o, size_t n)
{
    int64_t v[TRC_CHUNK];
    int rc = trc_feed(&s->form, v, n);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < n; i++) {
        if (v[i] == 0)
            continue;
        if (v[i] >= 3) {
            o[i].id = cursor_take(&s->bytes, (size_t)v[i] - 3);
            continue;
        }
        struct span packed = cursor_take(&s->bytes, v[i] == 1 ? 16 : 12);
        if (s->bytes.bad)
            break;
        size_t length = v[i] == 1 ? TRC_UUID_TEXT : TRC_XID_TEXT;
        if (v[i] == 1)
            trc_uuid_text(packed.p, s->text);
        else
            trc_xid_text(packed.p, s->text);
        o[i].id = span_of(s->text, length);
        s->text += length;
    }
    return s->bytes.bad ? trc_complain(&s->form, "ids end early") : 0;
}

static uint32_t ordinal_of(int64_t v)
{
    return v == TRC_NULL ? OP_NONE : (uint32_t)v;
}

#define TAKE_ORDINALS(feeder, field)                                                   \
    do {                                                                               \
        if ((rc = trc_feed(feeder, v, n)) < 0)                                         \
            return rc;                                                                 \
        for (size_t i = 0; i < n; i++)                                                 \
            o[i].field = ordinal_of(v[i]);                                             \
    } while (0)

static int idents_take(struct idents *s, struct op *o, size_t n)
{
    int64_t v[TRC_CHUNK];
    int rc = take_ids(s, o, n);
    if (rc < 0)
        return rc;
    TAKE_ORDINALS(&s->connection, connection);
    TAKE_ORDINALS(&s->conn_stream, conn_stream);
    TAKE_ORDINALS(&s->client, client);
    TAKE_ORDINALS(&s->tokens_in, tokens_in);
    TAKE_ORDINALS(&s->tokens_out, tokens_out);
    if ((rc = trc_feed(&s->weight, v, n)) < 0)
        return rc;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits = (uint32_t)v[i];
        memcpy(&o[i].weight, &bits, sizeof bits);
        if (!(o[i].weight > 0) || isinf(o[i].weight))
            return trc_complain(&s->weight, "a weight that is not above 0");
    }
    return 0;
}

static int idents_end(struct idents *s)
{
    const struct trc_feeder *all[] = {&s->form,   &s->connection, &s->conn_stream,
                                      &s->client, &s->tokens_in,  &s->tokens_out,
                                      &s->weight};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        int rc = trc_feeder_end(all[i]);
        if (rc < 0)
            return rc;
    }
    return cursor_left(&s->bytes) ? trc_complain(&s->form, "ids are longer than said")
                                  : 0;
}

/* --- operations --- */

struct schedule {
    struct trc_feeder time, stream, flags;
    struct trc_resolver request;
    int64_t now;
};

static int schedule_open(struct schedule *s, struct trc_decoding *d)
{
    const struct trc_head *h = &d->b->head;
    int rc = trc_required(d, TRC_SCHEDULE, TRC_COL_TIME);
    if (rc == 0 && h->records > 0)
        rc = trc_streams_decode(&d->groups[TRC_SCHEDULE], &d->b->arena,
                                &d->b->pub.streams, &d->b->pub.stream_count, d->e);
    if (rc == 0)
        rc = trc_feeder_open(&s->time, d, TRC_SCHEDULE, TRC_COL_TIME, 0, 0,
                             TRC_TIME_MAX / h->resolution_ns);
    if (rc == 0)
        rc = trc_feeder_open(&s->stream, d, TRC_SCHEDULE, TRC_COL_STREAM, 0, 0,
                             (int64_t)d->b->pub.stream_count - 1);
    if (rc == 0)
        rc = trc_feeder_open(&s->flags, d, TRC_SCHEDULE, TRC_COL_FLAGS, 0, 0,
                             UINT32_MAX);
    if (rc == 0)
        rc = trc_resolver_open(&s->request, d, TRC_SCHEDULE, TRC_COL_REQUEST,
                               d->body_count[0]);
    s->now = h->t_min;
    if (rc == 0 && h->t_min % h->resolution_ns)
        rc = trc_complain(&s->time, "t_min is not a multiple of the resolution");
    return rc;
}

static int schedule_take(struct schedule *s, struct op *o, size_t n)
{
    int64_t v[TRC_CHUNK];
    const struct trc_block_own *b = s->time.d->b;
    const struct op_stream *streams = b->pub.streams;
    int64_t unit = b->head.resolution_ns, now = s->now;
    int rc = trc_feed(&s->time, v, n);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < n; i++) {
        if (v[i] > (b->head.t_max - now) / unit)
            return trc_complain(&s->time, "an arrival behind t_max");
        now += v[i] * unit;
        o[i].arrival_ns = now;
    }
    s->now = now;
    if ((rc = trc_feed(&s->stream, v, n)) < 0)
        return rc;
    for (size_t i = 0; i < n; i++) {
        o[i].stream = &streams[v[i]];
        o[i].stream_index = (uint32_t)v[i];
    }
    if ((rc = trc_feed(&s->flags, v, n)) < 0)
        return rc;
    for (size_t i = 0; i < n; i++)
        o[i].flags = (uint32_t)v[i];
    if (s->time.d->wanted & TRC_READ_LACKING)
        return take_lacking(&s->request, o, n, false);
    if (!(s->time.d->wanted & TRC_READ_PAYLOAD))
        return 0;
    if ((rc = trc_resolve(&s->request, v, n)) < 0)
        return rc;
    const struct op_body *bodies = s->time.d->bodies[0];
    for (size_t i = 0; i < n; i++)
        if (v[i] >= 0)
            o[i].request = bodies[v[i]];
    return 0;
}

static int schedule_end(struct schedule *s)
{
    const struct trc_head *h = &s->time.d->b->head;
    int rc = trc_feeder_end(&s->time);
    if (rc == 0)
        rc = trc_feeder_end(&s->stream);
    if (rc == 0)
        rc = trc_feeder_end(&s->flags);
    if (rc == 0 && (s->time.d->wanted & TRC_READ_PAYLOAD))
        rc = trc_resolver_end(&s->request);
    if (rc == 0 && h->records > 0 && s->now != h->t_max)
        rc = trc_complain(&s->time, "the last arrival is not t_max");
    return rc;
}

/* Records of one kind cannot be more than what their smallest column can say; constant
 * columns say any number in few bytes, so only the header's limit bounds them. */
static int alloc_ops(struct trc_decoding *d)
{
    uint32_t n = d->b->head.records;
    d->b->ops = malloc((n ? n : 1) * sizeof(struct op));
    return d->b->ops ? 0 : err_set(d->e, ERR_NOMEM, "out of memory for %u records", n);
}

static int decode_ops(struct trc_decoding *d)
{
    struct schedule schedule;
    struct answers answers;
    struct idents idents;
    unsigned wanted = d->wanted;
    uint32_t records = d->b->head.records;
    int rc = schedule_open(&schedule, d);
    if (rc == 0 && (wanted & TRC_READ_ANSWERS))
        rc = answers_open(&answers, d);
    if (rc == 0 && (wanted & TRC_READ_IDS))
        rc = idents_open(&idents, d);
    if (rc == 0)
        rc = alloc_ops(d);
    const struct op empty = op_empty();
    for (uint32_t at = 0; rc == 0 && at < records; at += TRC_CHUNK) {
        struct op *o = d->b->ops + at;
        size_t n = records - at < TRC_CHUNK ? records - at : TRC_CHUNK;
        for (size_t i = 0; i < n; i++) {
            o[i] = empty;
            o[i].index = d->b->head.first_index + at + i;
        }
        rc = schedule_take(&schedule, o, n);
        if (rc == 0 && (wanted & TRC_READ_ANSWERS))
            rc = answers_take(&answers, o, n, d->b->head.resolution_ns);
        if (rc == 0 && (wanted & TRC_READ_IDS))
            rc = idents_take(&idents, o, n);
    }
    if (rc == 0)
        rc = schedule_end(&schedule);
    if (rc == 0 && (wanted & TRC_READ_ANSWERS))
        rc = answers_end(&answers);
    if (rc == 0 && (wanted & TRC_READ_IDS))
        rc = idents_end(&idents);
    if (rc == 0 && (wanted & TRC_READ_PAYLOAD))
        rc = take_messages(d, 0);
    if (rc == 0 && (wanted & TRC_READ_PAYLOAD) && (wanted & TRC_READ_ANSWERS))
        rc = take_messages(d, 1);
    d->b->pub.ops = d->b->ops;
    d->b->pub.count = records;
    return rc;
}

static int late_indices(struct trc_decoding *d)
{
    struct trc_group *g = &d->groups[TRC_ANSWERS];
    struct span content;
    uint32_t records = d->b->head.records;
    int rc = trc_required(d, TRC_ANSWERS, TRC_COL_LATE_INDEX);
    if (rc < 0 || records == 0)
        return rc;
    trc_group_find(g, TRC_COL_LATE_INDEX, &content);
    struct cursor c = cursor_of(content);
    uint64_t index = cursor_varint(&c);
    struct trc_ints it;
    if (c.bad || !trc_ints_init(&it, span_sub(content, cursor_offset(&c), content.n)))
        return trc_column_error(g, TRC_COL_LATE_INDEX, "malformed integers", d->e);
    for (uint32_t i = 0; i < records; i++) {
        int64_t step;
        if (!trc_ints_take(&it, &step, 1) || step < 0)
            return trc_column_error(g, TRC_COL_LATE_INDEX, "indices descend", d->e);
        index += (uint64_t)step;
        if (index >= d->b->head.first_index)
            return trc_column_error(g, TRC_COL_LATE_INDEX,
                                    "an operation that does not stand before", d->e);
        d->b->ops[i] = op_empty();
        d->b->ops[i].index = index;
    }
    return trc_ints_ended(&it)
               ? 0
               : trc_column_error(g, TRC_COL_LATE_INDEX, "bytes left over", d->e);
}

/* What the answers add to the flags of their operations. */
static int late_flags(struct trc_decoding *d)
{
    struct trc_feeder flags;
    int64_t v[TRC_CHUNK];
    uint32_t records = d->b->head.records;
    int rc = trc_feeder_open(&flags, d, TRC_ANSWERS, TRC_COL_FLAGS, 0, 0, UINT32_MAX);
    for (uint32_t at = 0; rc == 0 && at < records; at += TRC_CHUNK) {
        size_t n = records - at < TRC_CHUNK ? records - at : TRC_CHUNK;
        rc = trc_feed(&flags, v, n);
        for (size_t i = 0; rc == 0 && i < n; i++)
            d->b->ops[at + i].flags = (uint32_t)v[i];
    }
    return rc == 0 ? trc_feeder_end(&flags) : rc;
}

static int decode_late(struct trc_decoding *d)
{
    struct answers answers;
    uint32_t records = d->b->head.records;
    int rc = alloc_ops(d);
    if (rc == 0)
        rc = late_indices(d);
    if (rc == 0)
        rc = late_flags(d);
    if (rc == 0)
        rc = answers_open(&answers, d);
    for (uint32_t at = 0; rc == 0 && at < records; at += TRC_CHUNK) {
        size_t n = records - at < TRC_CHUNK ? records - at : TRC_CHUNK;
        rc = answers_take(&answers, d->b->ops + at, n, d->b->head.resolution_ns);
    }
    if (rc == 0)
        rc = answers_end(&answers);
    if (rc == 0 && (d->wanted & TRC_READ_PAYLOAD))
        rc = take_messages(d, 1);
    d->b->pub.late = d->b->ops;
    d->b->pub.late_count = records;
    return rc;
}

/* --- the block --- */

void trc_block_own_free(struct trc_block_own *b)
{
    if (!b)
        return;
    for (struct trc_pin *p = b->pins; p; p = p->next)
        trc_blob_block_drop(p->blobs);
    for (int g = 0; g < TRC_GROUPS; g++)
        free(b->raw[g]);
    free(b->ops);
    free(b->outcomes);
    free(b->values);
    arena_done(&b->arena);
    free(b);
}

static int parse_groups(struct trc_decoding *d, const uint8_t known[TRC_GROUPS][16])
{
    for (int i = 0; i < TRC_GROUPS; i++) {
        struct trc_group *g = &d->groups[i];
        g->block = d->name;
        g->name = trc_group_names[i];
        g->at = d->at;
        if (!d->b->raw[i])
            continue;
        int rc = trc_group_parse(g, span_of(d->b->raw[i], d->b->head.raw[i]), known[i],
                                 d->e);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int trc_decode_block(struct trc_block_own *b, uint64_t at, unsigned groups,
                     uint32_t columns, const struct trc_blob_source *blobs,
                     struct err *e)
{
    struct trc_decoding *d = calloc(1, sizeof *d);
    if (!d)
        return err_set(e, ERR_NOMEM, "out of memory for a block");
    *d = (struct trc_decoding){
        .b = b, .at = at, .blobs = blobs, .wanted = groups | TRC_READ_SCHEDULE, .e = e};
    snprintf(d->name, sizeof d->name, "%s block %" PRIu32, trc_kind_name(b->head.kind),
             b->head.ordinal);
    b->pub.offset = at;
    b->pub.first_index = b->head.first_index;
    int rc;
    if (b->head.kind == TRC_OUTCOMES) {
        rc = parse_groups(d, outcome_columns);
        if (rc == 0)
            rc = columns ? trc_decode_columns(d, columns) : trc_decode_outcomes(d);
    } else {
        bool late = b->head.kind == TRC_LATE;
        rc = parse_groups(d, late ? late_columns : ops_columns);
        for (int which = late ? 1 : 0; rc == 0 && which < 2; which++)
            if (d->wanted & TRC_READ_PAYLOAD)
                rc = decode_bodies(d, which);
        if (rc == 0)
            rc = late ? decode_late(d) : decode_ops(d);
    }
    free(d->bodies[0]);
    free(d->bodies[1]);
    free(d);
    return rc;
}

/*
 * trc_decode.c - see trc_decode.h.
 *
 * Columns are decoded CHUNK rows at a time into a small array and from there into the
 * records, so that a record's memory is still near when its next column comes.
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
#include "traces/container/trc_hash.h"
#include "traces/container/trc_ident.h"
#include "traces/container/trc_messages.h"
#include "traces/container/trc_stream.h"

#define CHUNK 256

/* The columns of a kind, per group. */
static const uint8_t ops_columns[TRC_GROUPS][16] = {
    {TRC_COL_TIME, TRC_COL_STREAM, TRC_COL_REQUEST, TRC_COL_FLAGS,
     TRC_COL_STREAM_TABLE},
    {TRC_COL_STATUS, TRC_COL_GRPC, TRC_COL_FIRST, TRC_COL_LAST, TRC_COL_RESPONSE},
    {TRC_COL_ID_FORM, TRC_COL_ID_BYTES, TRC_COL_CONNECTION, TRC_COL_CONN_STREAM,
     TRC_COL_CLIENT, TRC_COL_TOKENS_IN, TRC_COL_TOKENS_OUT, TRC_COL_WEIGHT},
    {TRC_COL_REQUEST_TABLE, TRC_COL_REQUEST_TABLE + 1, TRC_COL_REQUEST_TABLE + 2,
     TRC_COL_RESPONSE_TABLE, TRC_COL_RESPONSE_TABLE + 1, TRC_COL_RESPONSE_TABLE + 2,
     TRC_COL_ASKED, TRC_COL_ASKED + 1, TRC_COL_ASKED + 2, TRC_COL_ANSWERED,
     TRC_COL_ANSWERED + 1, TRC_COL_ANSWERED + 2},
};
static const uint8_t late_columns[TRC_GROUPS][16] = {
    {0},
    {TRC_COL_STATUS, TRC_COL_GRPC, TRC_COL_FIRST, TRC_COL_LAST, TRC_COL_RESPONSE,
     TRC_COL_LATE_INDEX},
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

struct decoding {
    struct trc_block_own *b;
    uint64_t at;
    char name[48];
    struct trc_group groups[TRC_GROUPS];
    const struct trc_blob_source *blobs;
    struct op_body *bodies[2]; /* requests, responses; freed by finish */
    size_t body_count[2];
    unsigned wanted;
    struct err *e;
};

/* One integer column on its way into the records. */
struct feeder {
    struct decoding *d;
    const struct trc_group *g;
    unsigned id;
    struct trc_ints it;
    int64_t low, high; /* inclusive; TRC_NULL passes when null_ok */
    bool null_ok;
};

static int complain(const struct feeder *f, const char *reason)
{
    return trc_column_error(f->g, f->id, reason, f->d->e);
}

static int feeder_open(struct feeder *f, struct decoding *d, int group, unsigned id,
                       int64_t def, int64_t low, int64_t high)
{
    *f = (struct feeder){.d = d,
                         .g = &d->groups[group],
                         .id = id,
                         .low = low,
                         .high = high,
                         .null_ok = def == TRC_NULL};
    int rc = trc_ints_open(&f->it, f->g, id, def, d->e);
    /* A value takes a byte at least: so many records are told to be impossible before
     * anything is made for them. */
    if (rc == 0 && !f->it.constant &&
        (size_t)(f->it.end - f->it.p) < d->b->head.records)
        rc = complain(f, "malformed integers");
    return rc;
}

/* The next n values, each within its range. */
static int feed(struct feeder *f, int64_t *v, size_t n)
{
    if (!trc_ints_take(&f->it, v, n))
        return complain(f, "malformed integers");
    bool fits = true;
    if (f->null_ok)
        for (size_t i = 0; i < n; i++)
            fits &= (v[i] >= f->low && v[i] <= f->high) || v[i] == TRC_NULL;
    else
        for (size_t i = 0; i < n; i++)
            fits &= v[i] >= f->low && v[i] <= f->high;
    return fits ? 0 : complain(f, "a value out of range");
}

static int feeder_end(const struct feeder *f)
{
    return trc_ints_ended(&f->it) ? 0 : complain(f, "bytes left over");
}

static int required(struct decoding *d, int group, unsigned id)
{
    struct span content;
    if (d->b->head.records == 0 || trc_group_find(&d->groups[group], id, &content))
        return 0;
    return trc_column_error(&d->groups[group], id, "the column is absent", d->e);
}

/* --- bodies --- */

struct body_parts {
    const struct trc_group *g;
    unsigned id;
    struct cursor details, bytes;
};

static int decode_body(struct decoding *d, struct body_parts *p, int64_t form,
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

static int decode_bodies(struct decoding *d, int which)
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

/* References of a column, turned into indices of the body table; -1: no body. */
struct resolver {
    struct feeder f;
    size_t next, count;
};

static int resolver_open(struct resolver *r, struct decoding *d, int group, unsigned id,
                         size_t count)
{
    r->next = 0;
    r->count = count;
    return feeder_open(&r->f, d, group, id, 0, 0, (int64_t)TRC_RECORDS_MAX + 1);
}

static int resolve(struct resolver *r, int64_t *v, size_t n)
{
    int rc = feed(&r->f, v, n);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        size_t back = v[i] > 0 ? (size_t)v[i] - 1 : 0;
        if (v[i] == 0)
            v[i] = -1;
        else if (back == 0 && r->next < r->count)
            v[i] = (int64_t)r->next++;
        else if (back > 0 && back <= r->next)
            v[i] = (int64_t)(r->next - back);
        else
            rc = complain(&r->f, "a reference outside of its table");
    }
    return rc;
}

static int resolver_end(struct resolver *r)
{
    if (r->next != r->count)
        return complain(&r->f, "a table entry that nothing refers to");
    return feeder_end(&r->f);
}

/* --- answers, shared by OPS and LATE --- */

struct answers {
    struct feeder status, grpc, first, last;
    struct resolver response;
};

static int answers_open(struct answers *a, struct decoding *d)
{
    int64_t time_max = TRC_TIME_MAX / d->b->head.resolution_ns;
    int rc = feeder_open(&a->status, d, TRC_ANSWERS, TRC_COL_STATUS, 0, 0, UINT16_MAX);
    if (rc == 0)
        rc =
            feeder_open(&a->grpc, d, TRC_ANSWERS, TRC_COL_GRPC, TRC_NULL, 0, INT16_MAX);
    if (rc == 0)
        rc = feeder_open(&a->first, d, TRC_ANSWERS, TRC_COL_FIRST, TRC_NULL, -time_max,
                         time_max);
    if (rc == 0)
        rc = feeder_open(&a->last, d, TRC_ANSWERS, TRC_COL_LAST, TRC_NULL, -time_max,
                         time_max);
    if (rc == 0)
        rc = resolver_open(&a->response, d, TRC_ANSWERS, TRC_COL_RESPONSE,
                           d->body_count[1]);
    return rc;
}

static int answers_take(struct answers *a, struct op *o, size_t n, int64_t unit)
{
    int64_t v[CHUNK];
    int rc = feed(&a->status, v, n);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < n; i++)
        o[i].status = (uint16_t)v[i];
    if ((rc = feed(&a->grpc, v, n)) < 0)
        return rc;
    for (size_t i = 0; i < n; i++)
        o[i].grpc_status = v[i] == TRC_NULL ? -1 : (int16_t)v[i];
    if ((rc = feed(&a->first, v, n)) < 0)
        return rc;
    for (size_t i = 0; i < n; i++)
        o[i].first_ns = v[i] == TRC_NULL ? OP_TIME_NONE : v[i] * unit;
    if ((rc = feed(&a->last, v, n)) < 0)
        return rc;
    for (size_t i = 0; i < n; i++) {
        int64_t base = o[i].first_ns == OP_TIME_NONE ? 0 : o[i].first_ns;
        o[i].last_ns = v[i] == TRC_NULL ? OP_TIME_NONE : base + v[i] * unit;
    }
    if (!(a->status.d->wanted & TRC_READ_PAYLOAD))
        return 0;
    if ((rc = resolve(&a->response, v, n)) < 0)
        return rc;
    const struct op_body *bodies = a->response.f.d->bodies[1];
    for (size_t i = 0; i < n; i++)
        if (v[i] >= 0)
            o[i].response = bodies[v[i]];
    return 0;
}

static int answers_end(struct answers *a)
{
    int rc = feeder_end(&a->status);
    if (rc == 0)
        rc = feeder_end(&a->grpc);
    if (rc == 0)
        rc = feeder_end(&a->first);
    if (rc == 0)
        rc = feeder_end(&a->last);
    if (rc == 0 && (a->status.d->wanted & TRC_READ_PAYLOAD))
        rc = resolver_end(&a->response);
    return rc;
}

/* --- messages of streams, once the bodies stand --- */

static int take_messages(struct decoding *d, int which)
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
    struct feeder form, connection, conn_stream, client, tokens_in, tokens_out, weight;
    struct cursor bytes;
    uint8_t *text; /* room for ids that are stored packed */
};

/* Packed ids become text: how much, over all rows. A second pass over the forms. */
static int ident_text_bytes(struct decoding *d, size_t *bytes)
{
    struct feeder f;
    int64_t v[CHUNK];
    int rc = feeder_open(&f, d, TRC_IDS, TRC_COL_ID_FORM, 0, 0, TRC_STRING_MAX + 3);
    *bytes = 0;
    for (size_t at = 0; rc == 0 && at < d->b->head.records; at += CHUNK) {
        size_t n = d->b->head.records - at;
        n = n < CHUNK ? n : CHUNK;
        rc = feed(&f, v, n);
        for (size_t i = 0; rc == 0 && i < n; i++)
            *bytes += v[i] == 1 ? TRC_UUID_TEXT : v[i] == 2 ? TRC_XID_TEXT : 0;
    }
    return rc;
}

static int idents_open(struct idents *s, struct decoding *d)
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
        struct feeder *f;
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
        rc = feeder_open(columns[i].f, d, TRC_IDS, columns[i].id, columns[i].def,
                         columns[i].low, columns[i].high);
    return rc;
}

static int take_ids(struct idents *s, struct op *o, size_t n)
{
    int64_t v[CHUNK];
    int rc = feed(&s->form, v, n);
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
    return s->bytes.bad ? complain(&s->form, "ids end early") : 0;
}

static uint32_t ordinal_of(int64_t v)
{
    return v == TRC_NULL ? OP_NONE : (uint32_t)v;
}

#define TAKE_ORDINALS(feeder, field)                                                   \
    do {                                                                               \
        if ((rc = feed(feeder, v, n)) < 0)                                             \
            return rc;                                                                 \
        for (size_t i = 0; i < n; i++)                                                 \
            o[i].field = ordinal_of(v[i]);                                             \
    } while (0)

static int idents_take(struct idents *s, struct op *o, size_t n)
{
    int64_t v[CHUNK];
    int rc = take_ids(s, o, n);
    if (rc < 0)
        return rc;
    TAKE_ORDINALS(&s->connection, connection);
    TAKE_ORDINALS(&s->conn_stream, conn_stream);
    TAKE_ORDINALS(&s->client, client);
    TAKE_ORDINALS(&s->tokens_in, tokens_in);
    TAKE_ORDINALS(&s->tokens_out, tokens_out);
    if ((rc = feed(&s->weight, v, n)) < 0)
        return rc;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits = (uint32_t)v[i];
        memcpy(&o[i].weight, &bits, sizeof bits);
        if (!(o[i].weight > 0) || isinf(o[i].weight))
            return complain(&s->weight, "a weight that is not above 0");
    }
    return 0;
}

static int idents_end(struct idents *s)
{
    const struct feeder *all[] = {&s->form,   &s->connection, &s->conn_stream,
                                  &s->client, &s->tokens_in,  &s->tokens_out,
                                  &s->weight};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        int rc = feeder_end(all[i]);
        if (rc < 0)
            return rc;
    }
    return cursor_left(&s->bytes) ? complain(&s->form, "ids are longer than said") : 0;
}

/* --- operations --- */

struct schedule {
    struct feeder time, stream, flags;
    struct resolver request;
    int64_t now;
};

static int schedule_open(struct schedule *s, struct decoding *d)
{
    const struct trc_head *h = &d->b->head;
    int rc = required(d, TRC_SCHEDULE, TRC_COL_TIME);
    if (rc == 0 && h->records > 0)
        rc = trc_streams_decode(&d->groups[TRC_SCHEDULE], &d->b->arena,
                                &d->b->pub.streams, &d->b->pub.stream_count, d->e);
    if (rc == 0)
        rc = feeder_open(&s->time, d, TRC_SCHEDULE, TRC_COL_TIME, 0, 0,
                         TRC_TIME_MAX / h->resolution_ns);
    if (rc == 0)
        rc = feeder_open(&s->stream, d, TRC_SCHEDULE, TRC_COL_STREAM, 0, 0,
                         (int64_t)d->b->pub.stream_count - 1);
    if (rc == 0)
        rc = feeder_open(&s->flags, d, TRC_SCHEDULE, TRC_COL_FLAGS, 0, 0, UINT32_MAX);
    if (rc == 0)
        rc = resolver_open(&s->request, d, TRC_SCHEDULE, TRC_COL_REQUEST,
                           d->body_count[0]);
    s->now = h->t_min;
    if (rc == 0 && h->t_min % h->resolution_ns)
        rc = complain(&s->time, "t_min is not a multiple of the resolution");
    return rc;
}

static int schedule_take(struct schedule *s, struct op *o, size_t n)
{
    int64_t v[CHUNK];
    const struct trc_block_own *b = s->time.d->b;
    const struct op_stream *streams = b->pub.streams;
    int64_t unit = b->head.resolution_ns, now = s->now;
    int rc = feed(&s->time, v, n);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < n; i++) {
        if (v[i] > (b->head.t_max - now) / unit)
            return complain(&s->time, "an arrival behind t_max");
        now += v[i] * unit;
        o[i].arrival_ns = now;
    }
    s->now = now;
    if ((rc = feed(&s->stream, v, n)) < 0)
        return rc;
    for (size_t i = 0; i < n; i++) {
        o[i].stream = &streams[v[i]];
        o[i].stream_index = (uint32_t)v[i];
    }
    if ((rc = feed(&s->flags, v, n)) < 0)
        return rc;
    for (size_t i = 0; i < n; i++)
        o[i].flags = (uint32_t)v[i];
    if (!(s->time.d->wanted & TRC_READ_PAYLOAD))
        return 0;
    if ((rc = resolve(&s->request, v, n)) < 0)
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
    int rc = feeder_end(&s->time);
    if (rc == 0)
        rc = feeder_end(&s->stream);
    if (rc == 0)
        rc = feeder_end(&s->flags);
    if (rc == 0 && (s->time.d->wanted & TRC_READ_PAYLOAD))
        rc = resolver_end(&s->request);
    if (rc == 0 && h->records > 0 && s->now != h->t_max)
        rc = complain(&s->time, "the last arrival is not t_max");
    return rc;
}

/* Records of one kind cannot be more than what their smallest column can say; constant
 * columns say any number in few bytes, so only the header's limit bounds them. */
static int alloc_ops(struct decoding *d)
{
    uint32_t n = d->b->head.records;
    d->b->ops = malloc((n ? n : 1) * sizeof(struct op));
    return d->b->ops ? 0 : err_set(d->e, ERR_NOMEM, "out of memory for %u records", n);
}

static int decode_ops(struct decoding *d)
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
    for (uint32_t at = 0; rc == 0 && at < records; at += CHUNK) {
        struct op *o = d->b->ops + at;
        size_t n = records - at < CHUNK ? records - at : CHUNK;
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

static int late_indices(struct decoding *d)
{
    struct trc_group *g = &d->groups[TRC_ANSWERS];
    struct span content;
    uint32_t records = d->b->head.records;
    int rc = required(d, TRC_ANSWERS, TRC_COL_LATE_INDEX);
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

static int decode_late(struct decoding *d)
{
    struct answers answers;
    uint32_t records = d->b->head.records;
    int rc = alloc_ops(d);
    if (rc == 0)
        rc = late_indices(d);
    if (rc == 0)
        rc = answers_open(&answers, d);
    for (uint32_t at = 0; rc == 0 && at < records; at += CHUNK) {
        size_t n = records - at < CHUNK ? records - at : CHUNK;
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

/* --- outcomes --- */

struct outcomes {
    struct feeder due, stream, status, grpc, cause, check, ready, sent, first, done,
        attempts, wait, connection, worker, bytes_out, bytes_in;
    struct resolver hash;
    struct trc_ints op_index;
    uint64_t next_op;
    int64_t now;
    struct span hashes;
};

static int outcomes_columns(struct outcomes *s, struct decoding *d)
{
    const int64_t t = 2 * (TRC_TIME_MAX / 2);
    const struct {
        struct feeder *f;
        int group;
        unsigned id;
        int64_t def, low, high;
    } columns[] = {
        {&s->due, TRC_SCHEDULE, TRC_COL_TIME, 0, -2 * t, 2 * t},
        {&s->stream, TRC_SCHEDULE, TRC_COL_STREAM, 0, 0,
         (int64_t)d->b->pub.stream_count - 1},
        {&s->status, TRC_ANSWERS, TRC_COL_STATUS, 0, 0, UINT16_MAX},
        {&s->grpc, TRC_ANSWERS, TRC_COL_GRPC, TRC_NULL, 0, INT16_MAX},
        {&s->cause, TRC_ANSWERS, TRC_COL_CAUSE, 0, 0, OUT_CAUSE_COUNT - 1},
        {&s->check, TRC_ANSWERS, TRC_COL_CHECK, 0, 0, OUT_CHECK_COUNT - 1},
        {&s->ready, TRC_ANSWERS, TRC_COL_READY, TRC_NULL, -2 * t, 2 * t},
        {&s->sent, TRC_ANSWERS, TRC_COL_SENT, TRC_NULL, -2 * t, 2 * t},
        {&s->first, TRC_ANSWERS, TRC_COL_OUT_FIRST, TRC_NULL, -2 * t, 2 * t},
        {&s->done, TRC_ANSWERS, TRC_COL_DONE, TRC_NULL, -2 * t, 2 * t},
        {&s->attempts, TRC_ANSWERS, TRC_COL_ATTEMPTS, 1, 0, UINT8_MAX},
        {&s->wait, TRC_ANSWERS, TRC_COL_WAIT, 0, 0, OUT_WAIT_COUNT - 1},
        {&s->connection, TRC_IDS, TRC_COL_CONNECTION, TRC_NULL, 0, OP_NONE - 1},
        {&s->worker, TRC_IDS, TRC_COL_WORKER, 0, 0, UINT16_MAX},
        {&s->bytes_out, TRC_IDS, TRC_COL_BYTES_OUT, 0, 0, INT64_MAX},
        {&s->bytes_in, TRC_IDS, TRC_COL_BYTES_IN, 0, 0, INT64_MAX},
    };
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof columns / sizeof *columns; i++)
        rc = feeder_open(columns[i].f, d, columns[i].group, columns[i].id,
                         columns[i].def, columns[i].low, columns[i].high);
    return rc;
}

static int outcomes_open(struct outcomes *s, struct decoding *d)
{
    struct trc_group *g = &d->groups[TRC_SCHEDULE];
    int rc = required(d, TRC_SCHEDULE, TRC_COL_TIME);
    if (rc == 0)
        rc = required(d, TRC_SCHEDULE, TRC_COL_OP_INDEX);
    if (rc == 0 && d->b->head.records > 0)
        rc = trc_streams_decode(g, &d->b->arena, &d->b->pub.streams,
                                &d->b->pub.stream_count, d->e);
    if (rc == 0)
        rc = outcomes_columns(s, d);
    if (rc < 0)
        return rc;
    struct span content;
    s->now = d->b->head.t_min;
    if (trc_group_find(g, TRC_COL_OP_INDEX, &content)) {
        struct cursor c = cursor_of(content);
        s->next_op = cursor_varint(&c);
        if (c.bad || !trc_ints_init(&s->op_index,
                                    span_sub(content, cursor_offset(&c), content.n)))
            return trc_column_error(g, TRC_COL_OP_INDEX, "malformed integers", d->e);
    }
    trc_group_find(&d->groups[TRC_PAYLOAD], TRC_COL_HASH_TABLE, &s->hashes);
    if (s->hashes.n % 8 || s->hashes.n / 8 > d->b->head.records)
        return trc_column_error(&d->groups[TRC_PAYLOAD], TRC_COL_HASH_TABLE,
                                "impossible length", d->e);
    return resolver_open(&s->hash, d, TRC_PAYLOAD, TRC_COL_HASH_REF, s->hashes.n / 8);
}

#define EACH(feeder, assignment)                                                       \
    do {                                                                               \
        if ((rc = feed(feeder, v, n)) < 0)                                             \
            return rc;                                                                 \
        for (size_t i = 0; i < n; i++)                                                 \
            assignment;                                                                \
    } while (0)

static int outcomes_schedule(struct outcomes *s, struct outcome *o, size_t n)
{
    int64_t v[CHUNK];
    const struct trc_block_own *b = s->due.d->b;
    int rc = feed(&s->due, v, n);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < n; i++) {
        s->now += v[i];
        if (s->now < b->head.t_min || s->now > b->head.t_max)
            return complain(&s->due, "a time outside of t_min and t_max");
        o[i].due_ns = s->now;
    }
    if (!trc_ints_take(&s->op_index, v, n))
        return trc_column_error(s->due.g, TRC_COL_OP_INDEX, "malformed integers",
                                s->due.d->e);
    for (size_t i = 0; i < n; i++) {
        s->next_op += (uint64_t)v[i];
        o[i].op_index = s->next_op++;
    }
    EACH(&s->stream,
         (o[i].stream = &b->pub.streams[v[i]], o[i].stream_index = (uint32_t)v[i]));
    return 0;
}

/* A time column: each value is since the latest time that came before it. */
static int outcomes_time(struct feeder *f, int64_t *base, int64_t *v, size_t n)
{
    int rc = feed(f, v, n);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        if (v[i] == TRC_NULL)
            continue;
        v[i] += base[i];
        if (v[i] < -TRC_TIME_MAX || v[i] > TRC_TIME_MAX)
            rc = complain(f, "a value out of range");
        base[i] = v[i];
    }
    return rc;
}

static int outcomes_answers(struct outcomes *s, struct outcome *o, size_t n)
{
    int64_t v[CHUNK], base[CHUNK];
    int rc;
    EACH(&s->status, o[i].status = (uint16_t)v[i]);
    EACH(&s->grpc, o[i].grpc_status = v[i] == TRC_NULL ? -1 : (int16_t)v[i]);
    EACH(&s->cause, o[i].cause = (enum out_cause)v[i]);
    EACH(&s->check, o[i].check = (enum out_check)v[i]);
    EACH(&s->attempts, o[i].attempts = (uint8_t)v[i]);
    EACH(&s->wait, o[i].wait = (enum out_wait)v[i]);
    for (size_t i = 0; i < n; i++)
        base[i] = o[i].due_ns;
    if ((rc = outcomes_time(&s->ready, base, v, n)) < 0)
        return rc;
    for (size_t i = 0; i < n; i++)
        o[i].ready_ns = v[i];
    if ((rc = outcomes_time(&s->sent, base, v, n)) < 0)
        return rc;
    for (size_t i = 0; i < n; i++)
        o[i].sent_ns = v[i];
    if ((rc = outcomes_time(&s->first, base, v, n)) < 0)
        return rc;
    for (size_t i = 0; i < n; i++)
        o[i].first_ns = v[i];
    if ((rc = outcomes_time(&s->done, base, v, n)) < 0)
        return rc;
    for (size_t i = 0; i < n; i++)
        o[i].done_ns = v[i];
    return 0;
}

static int outcomes_ids(struct outcomes *s, struct outcome *o, size_t n)
{
    int64_t v[CHUNK];
    int rc;
    EACH(&s->connection, o[i].connection = ordinal_of(v[i]));
    EACH(&s->worker, o[i].worker = (uint16_t)v[i]);
    EACH(&s->bytes_out, o[i].bytes_out = (uint64_t)v[i]);
    EACH(&s->bytes_in, o[i].bytes_in = (uint64_t)v[i]);
    return 0;
}

static int outcomes_hashes(struct outcomes *s, struct outcome *o, size_t n)
{
    int64_t v[CHUNK];
    int rc = resolve(&s->hash, v, n);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        if (v[i] < 0)
            continue;
        struct cursor c = cursor_of(span_sub(s->hashes, 8 * (size_t)v[i], s->hashes.n));
        o[i].answer_hash = cursor_u64(&c);
    }
    return rc;
}

static int outcomes_end(struct outcomes *s, unsigned wanted)
{
    const struct feeder *all[] = {
        &s->due,        &s->stream, &s->status,    &s->grpc,    &s->cause,    &s->check,
        &s->ready,      &s->sent,   &s->first,     &s->done,    &s->attempts, &s->wait,
        &s->connection, &s->worker, &s->bytes_out, &s->bytes_in};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        bool read = i < 2 || (i < 12 && (wanted & TRC_READ_ANSWERS)) ||
                    (i >= 12 && (wanted & TRC_READ_IDS));
        int rc = read ? feeder_end(all[i]) : 0;
        if (rc < 0)
            return rc;
    }
    if (s->op_index.p != s->op_index.end)
        return trc_column_error(s->due.g, TRC_COL_OP_INDEX, "bytes left over",
                                s->due.d->e);
    return wanted & TRC_READ_PAYLOAD ? resolver_end(&s->hash) : 0;
}

static int take_streamed(struct decoding *d, struct outcome *all)
{
    uint32_t records = d->b->head.records;
    struct op_messages *lists;
    int rc = trc_messages_decode(&d->groups[TRC_ANSWERS], TRC_COL_STREAMED, records, 1,
                                 &d->b->arena, &lists, d->e);
    for (uint32_t i = 0; rc == 0 && lists && i < records; i++)
        all[i].messages = lists[i];
    return rc;
}

static int decode_outcomes(struct decoding *d)
{
    struct outcomes s = {0};
    unsigned wanted = d->wanted;
    uint32_t records = d->b->head.records;
    int rc = outcomes_open(&s, d);
    if (rc < 0)
        return rc;
    struct outcome *all = malloc((records ? records : 1) * sizeof *all);
    if (!all)
        return err_set(d->e, ERR_NOMEM, "out of memory for %u records", records);
    d->b->outcomes = all;
    const struct outcome empty = outcome_empty();
    for (uint32_t at = 0; rc == 0 && at < records; at += CHUNK) {
        struct outcome *o = all + at;
        size_t n = records - at < CHUNK ? records - at : CHUNK;
        for (size_t i = 0; i < n; i++)
            o[i] = empty;
        rc = outcomes_schedule(&s, o, n);
        if (rc == 0 && (wanted & TRC_READ_ANSWERS))
            rc = outcomes_answers(&s, o, n);
        if (rc == 0 && (wanted & TRC_READ_IDS))
            rc = outcomes_ids(&s, o, n);
        if (rc == 0 && (wanted & TRC_READ_PAYLOAD))
            rc = outcomes_hashes(&s, o, n);
    }
    if (rc == 0)
        rc = outcomes_end(&s, wanted);
    if (rc == 0 && (wanted & TRC_READ_ANSWERS))
        rc = take_streamed(d, all);
    d->b->pub.outcomes = all;
    d->b->pub.count = records;
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
    arena_done(&b->arena);
    free(b);
}

static int parse_groups(struct decoding *d, const uint8_t known[TRC_GROUPS][16])
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
                     const struct trc_blob_source *blobs, struct err *e)
{
    struct decoding *d = calloc(1, sizeof *d);
    if (!d)
        return err_set(e, ERR_NOMEM, "out of memory for a block");
    *d = (struct decoding){
        .b = b, .at = at, .blobs = blobs, .wanted = groups | TRC_READ_SCHEDULE, .e = e};
    snprintf(d->name, sizeof d->name, "%s block %" PRIu32, trc_kind_name(b->head.kind),
             b->head.ordinal);
    b->pub.offset = at;
    b->pub.first_index = b->head.first_index;
    int rc;
    if (b->head.kind == TRC_OUTCOMES) {
        rc = parse_groups(d, outcome_columns);
        if (rc == 0)
            rc = decode_outcomes(d);
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

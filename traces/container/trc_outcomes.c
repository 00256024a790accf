/*
 * trc_outcomes.c - see trc_outcomes.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/container/trc_outcomes.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "traces/container/trc_messages.h"
#include "traces/container/trc_stream.h"

struct outcomes {
    struct trc_feeder due, stream, status, grpc, cause, check, ready, sent, first, done,
        attempts, wait, connection, worker, bytes_out, bytes_in;
    struct trc_resolver hash;
    struct trc_ints op_index;
    uint64_t next_op;
    int64_t now;
    struct span hashes;
};

static int outcomes_columns(struct outcomes *s, struct trc_decoding *d)
{
    const int64_t t = 2 * (TRC_TIME_MAX / 2);
    const struct {
        struct trc_feeder *f;
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
        rc = trc_feeder_open(columns[i].f, d, columns[i].group, columns[i].id,
                             columns[i].def, columns[i].low, columns[i].high);
    return rc;
}

static int outcomes_open(struct outcomes *s, struct trc_decoding *d)
{
    struct trc_group *g = &d->groups[TRC_SCHEDULE];
    int rc = trc_required(d, TRC_SCHEDULE, TRC_COL_TIME);
    if (rc == 0)
        rc = trc_required(d, TRC_SCHEDULE, TRC_COL_OP_INDEX);
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
    return trc_resolver_open(&s->hash, d, TRC_PAYLOAD, TRC_COL_HASH_REF,
                             s->hashes.n / 8);
}

static uint64_t hash_at(const struct outcomes *s, int64_t i)
{
    struct cursor c = cursor_of(span_sub(s->hashes, 8 * (size_t)i, s->hashes.n));
    return cursor_u64(&c);
}

static int op_index_end(const struct outcomes *s)
{
    return trc_ints_ended(&s->op_index)
               ? 0
               : trc_column_error(s->due.g, TRC_COL_OP_INDEX, "bytes left over",
                                  s->due.d->e);
}

/* --- as columns --- */

/* Where a column is and what makes it. */
struct place {
    uint32_t bit;
    unsigned width; /* bytes of a value */
    size_t at;      /* of its pointer in struct trc_columns */
    size_t feeder;  /* of its feeder in struct outcomes; NONE: it is made its own way */
    int64_t null;   /* what "none" becomes */
};
#define NONE SIZE_MAX
#define PLACE(bit, field, feeder, null)                                                \
    {                                                                                  \
        bit, sizeof *((struct trc_columns *)0)->field,                                 \
            offsetof(struct trc_columns, field), feeder, null                          \
    }
#define FED(field) offsetof(struct outcomes, field)

/* Wide ones first, so that each is aligned. */
static const struct place places[] = {
    PLACE(TRC_WANT_DUE, due_ns, NONE, 0),
    PLACE(TRC_WANT_READY, ready_ns, NONE, 0),
    PLACE(TRC_WANT_SENT, sent_ns, NONE, 0),
    PLACE(TRC_WANT_FIRST, first_ns, NONE, 0),
    PLACE(TRC_WANT_DONE, done_ns, NONE, 0),
    PLACE(TRC_WANT_OP_INDEX, op_index, NONE, 0),
    PLACE(TRC_WANT_ANSWER_HASH, answer_hash, NONE, 0),
    PLACE(TRC_WANT_BYTES_OUT, bytes_out, FED(bytes_out), 0),
    PLACE(TRC_WANT_BYTES_IN, bytes_in, FED(bytes_in), 0),
    PLACE(TRC_WANT_STREAM, stream_index, FED(stream), 0),
    PLACE(TRC_WANT_CONNECTION, connection, FED(connection), OP_NONE),
    PLACE(TRC_WANT_STATUS, status, FED(status), 0),
    PLACE(TRC_WANT_GRPC_STATUS, grpc_status, FED(grpc), -1),
    PLACE(TRC_WANT_WORKER, worker, FED(worker), 0),
    PLACE(TRC_WANT_CAUSE, cause, FED(cause), 0),
    PLACE(TRC_WANT_CHECK, check, FED(check), 0),
    PLACE(TRC_WANT_WAIT, wait, FED(wait), 0),
    PLACE(TRC_WANT_ATTEMPTS, attempts, FED(attempts), 0),
};
#define EACH_PLACE(p)                                                                  \
    const struct place *p = places;                                                    \
    p < places + sizeof places / sizeof *places;                                       \
    p++

static void *array_of(struct trc_columns *c, const struct place *p)
{
    void *array;
    memcpy(&array, (char *)c + p->at, sizeof array);
    return array;
}

/* Behind each column is a cache line more: those of a block of 2^14 records would else
 * all begin at one place of their pages, and row i of each fall on one set of a cache.
 */
#define APART 64

static int alloc_columns(struct trc_decoding *d)
{
    struct trc_columns *c = &d->b->columns;
    size_t records = d->b->head.records, bytes = 8;
    for (EACH_PLACE(p))
        if (c->asked & p->bit)
            bytes += p->width * records + APART;
    char *next = d->b->values = malloc(bytes);
    if (!next)
        return err_set(d->e, ERR_NOMEM, "out of memory for %zu records", records);
    for (EACH_PLACE(p)) {
        if (!(c->asked & p->bit))
            continue;
        memcpy((char *)c + p->at, &next, sizeof next);
        next += p->width * records + APART;
    }
    return 0;
}

/* The length of a whole chunk is said to the compiler, which then takes several values
 * at a time. */
#define NARROW(type)                                                                   \
    do {                                                                               \
        type *narrow = to;                                                             \
        if (n == TRC_CHUNK)                                                            \
            for (size_t i = 0; i < TRC_CHUNK; i++)                                     \
                narrow[i] = (type)v[i];                                                \
        else                                                                           \
            for (size_t i = 0; i < n; i++)                                             \
                narrow[i] = (type)v[i];                                                \
    } while (0)

static void narrow(void *restrict to, unsigned width, const int64_t *restrict v,
                   size_t n)
{
    if (width == 1)
        NARROW(uint8_t);
    else if (width == 2)
        NARROW(uint16_t);
    else
        NARROW(uint32_t);
}

static void replace_null(int64_t *v, size_t n, int64_t by)
{
    for (size_t i = 0; i < n; i++)
        v[i] = v[i] == TRC_NULL ? by : v[i];
}

/* The same of a chunk where nothing else has the top bit. */
static void replace_top(int64_t *v, int64_t by)
{
    for (size_t i = 0; i < TRC_CHUNK; i++) {
        uint64_t none = (uint64_t)v[i] >> 63;
        v[i] = (v[i] & INT64_MAX) | (int64_t)((0 - none) & (uint64_t)by);
    }
}

static void fill(void *array, unsigned width, int64_t v, size_t n)
{
    if (width == 1)
        memset(array, (int)v, n);
    else if (width == 2)
        for (size_t i = 0; i < n; i++)
            ((uint16_t *)array)[i] = (uint16_t)v;
    else if (width == 4)
        for (size_t i = 0; i < n; i++)
            ((uint32_t *)array)[i] = (uint32_t)v;
    else
        for (size_t i = 0; i < n; i++)
            ((int64_t *)array)[i] = v;
}

static bool may_be_null(const struct trc_feeder *f)
{
    return f->null_ok && (f->it.nullable || f->it.constant);
}

/* One column that stands for itself, whole. */
static int take_column(struct trc_feeder *f, const struct place *p, void *array,
                       size_t n)
{
    int64_t v[TRC_CHUNK];
    if (f->it.constant && n > 0) {
        int rc = trc_feed(f, v, 1);
        replace_null(v, 1, p->null);
        fill(array, p->width, v[0], n);
        return rc < 0 ? rc : trc_feeder_end(f);
    }
    for (size_t at = 0; at < n; at += TRC_CHUNK) {
        size_t some = n - at < TRC_CHUNK ? n - at : TRC_CHUNK;
        int64_t *to = p->width == 8 ? (int64_t *)array + at : v;
        int rc = trc_feed(f, to, some);
        if (rc < 0)
            return rc;
        if (may_be_null(f) && some == TRC_CHUNK && !f->it.is_signed)
            replace_top(to, p->null);
        else if (may_be_null(f))
            replace_null(to, some, p->null);
        if (p->width < 8)
            narrow((char *)array + at * p->width, p->width, v, some);
    }
    return trc_feeder_end(f);
}

static int take_due(struct outcomes *s, int64_t *out, size_t n)
{
    const struct trc_head *h = &s->due.d->b->head;
    uint64_t now = (uint64_t)s->now, bits = 0, bad = 0;
    uint64_t least = (uint64_t)h->t_min, span = (uint64_t)h->t_max - least;
    int rc = trc_feed(&s->due, out, n);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        now += (uint64_t)out[i];
        bits |= now - least;
        out[i] = (int64_t)now;
    }
    for (size_t i = 0; rc == 0 && i < n && bits > span; i++)
        bad |= (uint64_t)out[i] - least > span; /* all bits together may be more */
    s->now = (int64_t)now;
    if (rc == 0 && (bad || h->t_min > h->t_max) && n > 0)
        rc = trc_complain(&s->due, "a time outside of t_min and t_max");
    return rc;
}

/* Adds from to out. Returns the bits of all results together, counted from the least
 * moment that is allowed: below twice TRC_TIME_MAX, and each is. */
static uint64_t add_chunk(int64_t *restrict out, const int64_t *restrict from)
{
    uint64_t bits = 0;
    for (size_t i = 0; i < TRC_CHUNK; i++) {
        uint64_t t = (uint64_t)from[i] + (uint64_t)out[i];
        bits |= t + (uint64_t)TRC_TIME_MAX;
        out[i] = (int64_t)t;
    }
    return bits;
}

/* The same of one value for all. */
static uint64_t add_same(int64_t *restrict out, const int64_t *restrict from,
                         int64_t value)
{
    uint64_t bits = 0;
    for (size_t i = 0; i < TRC_CHUNK; i++) {
        uint64_t t = (uint64_t)from[i] + (uint64_t)value;
        bits |= t + (uint64_t)TRC_TIME_MAX;
        out[i] = (int64_t)t;
    }
    return bits;
}

static uint64_t add_rest(int64_t *out, const int64_t *from, size_t n)
{
    uint64_t bits = 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t t = (uint64_t)from[i] + (uint64_t)out[i];
        bits |= t + (uint64_t)TRC_TIME_MAX;
        out[i] = (int64_t)t;
    }
    return bits;
}

static bool is_beyond(int64_t t)
{
    return t < -TRC_TIME_MAX || t > TRC_TIME_MAX;
}

/* The same where some did not come; latest: the last moment that did. */
static bool add_those_that_came(int64_t *out, const int64_t *from, int64_t *latest,
                                size_t n)
{
    bool bad = false;
    for (size_t i = 0; i < n; i++) {
        bool came = out[i] != TRC_NULL;
        uint64_t t = (uint64_t)from[i] + (came ? (uint64_t)out[i] : 0);
        bad |= came & is_beyond((int64_t)t);
        out[i] = came ? (int64_t)t : OP_TIME_NONE;
        latest[i] = (int64_t)t;
    }
    return bad;
}

/* A moment of n outcomes, each since the latest that came before it, *base. From then
 * on *base is the latest with this one: the array itself, or `latest` where some did
 * not come. */
static int take_moment(struct trc_feeder *f, const int64_t **base, int64_t *latest,
                       int64_t *out, size_t n)
{
    const int64_t *from = *base;
    bool bad = false, constant = f->it.constant && n > 0;
    int rc = trc_feed(f, out, constant ? 1 : n);
    if (rc < 0)
        return rc;
    bool came = !may_be_null(f) || (constant && out[0] != TRC_NULL);
    bool same = constant && came && n == TRC_CHUNK;
    if (constant && !same)
        fill(out, sizeof *out, out[0], n);
    *base = out;
    if (!came) {
        bad = add_those_that_came(out, from, latest, n);
        *base = latest;
    } else if ((same ? add_same(out, from, out[0])
                : n == TRC_CHUNK
                    ? add_chunk(out, from)
                    : add_rest(out, from, n)) >= 2 * (uint64_t)TRC_TIME_MAX) {
        for (size_t i = 0; i < n; i++)
            bad |= is_beyond(out[i]);
    }
    return bad ? trc_complain(f, "a value out of range") : 0;
}

static int take_moments(struct outcomes *s, struct trc_columns *c, size_t n)
{
    struct {
        struct trc_feeder *f;
        int64_t *array;
    } moments[] = {{&s->ready, c->ready_ns},
                   {&s->sent, c->sent_ns},
                   {&s->first, c->first_ns},
                   {&s->done, c->done_ns}};
    int64_t latest[TRC_CHUNK];
    int rc = 0;
    for (size_t at = 0; rc == 0 && at < n; at += TRC_CHUNK) {
        size_t some = n - at < TRC_CHUNK ? n - at : TRC_CHUNK;
        const int64_t *base = c->due_ns + at;
        rc = take_due(s, c->due_ns + at, some);
        for (size_t k = 0; k < 4 && moments[k].array && rc == 0; k++)
            rc = take_moment(moments[k].f, &base, latest, moments[k].array + at, some);
    }
    if (rc == 0)
        rc = trc_feeder_end(&s->due);
    for (size_t k = 0; k < 4 && moments[k].array && rc == 0; k++)
        rc = trc_feeder_end(moments[k].f);
    return rc;
}

static int take_op_index(struct outcomes *s, uint64_t *out, size_t n)
{
    int64_t v[TRC_CHUNK];
    for (size_t at = 0; at < n; at += TRC_CHUNK) {
        size_t some = n - at < TRC_CHUNK ? n - at : TRC_CHUNK;
        if (!trc_ints_take(&s->op_index, v, some))
            return trc_column_error(s->due.g, TRC_COL_OP_INDEX, "malformed integers",
                                    s->due.d->e);
        for (size_t i = 0; i < some; i++) {
            s->next_op += (uint64_t)v[i];
            out[at + i] = s->next_op++;
        }
    }
    return op_index_end(s);
}

static int take_hashes(struct outcomes *s, uint64_t *out, size_t n)
{
    int64_t v[TRC_CHUNK];
    for (size_t at = 0; at < n; at += TRC_CHUNK) {
        size_t some = n - at < TRC_CHUNK ? n - at : TRC_CHUNK;
        int rc = trc_resolve(&s->hash, v, some);
        if (rc < 0)
            return rc;
        for (size_t i = 0; i < some; i++)
            out[at + i] = v[i] < 0 ? 0 : hash_at(s, v[i]);
    }
    return trc_resolver_end(&s->hash);
}

/* With a moment come those that it is counted from. */
static uint32_t with_what_it_needs(uint32_t asked)
{
    static const uint32_t moments[] = {TRC_WANT_DONE, TRC_WANT_FIRST, TRC_WANT_SENT,
                                       TRC_WANT_READY, TRC_WANT_DUE};
    for (size_t i = 0; i + 1 < sizeof moments / sizeof *moments; i++)
        if (asked & moments[i])
            asked |= moments[i + 1];
    return asked;
}

static int take_columns(struct outcomes *s, struct trc_columns *c, size_t n)
{
    int rc = c->due_ns ? take_moments(s, c, n) : 0;
    if (rc == 0 && c->op_index)
        rc = take_op_index(s, c->op_index, n);
    if (rc == 0 && c->answer_hash)
        rc = take_hashes(s, c->answer_hash, n);
    for (EACH_PLACE(p)) {
        if (rc < 0 || p->feeder == NONE || !(c->asked & p->bit))
            continue;
        struct trc_feeder *f = (struct trc_feeder *)(void *)((char *)s + p->feeder);
        if (f->it.constant)
            c->uniform |= p->bit;
        rc = take_column(f, p, array_of(c, p), n);
    }
    return rc;
}

int trc_decode_columns(struct trc_decoding *d, uint32_t asked)
{
    struct outcomes s = {0};
    struct trc_columns *c = &d->b->columns;
    uint32_t records = d->b->head.records;
    struct op_messages *lists = NULL;
    int rc = outcomes_open(&s, d);
    c->asked = with_what_it_needs(asked);
    if (rc == 0)
        rc = alloc_columns(d);
    if (rc == 0)
        rc = take_columns(&s, c, records);
    if (rc == 0 && (asked & TRC_WANT_MESSAGES))
        rc = trc_messages_decode(&d->groups[TRC_ANSWERS], TRC_COL_STREAMED, records, 1,
                                 &d->b->arena, &lists, d->e);
    c->messages = lists;
    d->b->pub.columns = c;
    d->b->pub.count = records;
    return rc;
}

/* --- as records --- */

int trc_decode_outcomes(struct trc_decoding *d)
{
    uint32_t records = d->b->head.records;
    int rc = trc_decode_columns(d, trc_columns_of(d->wanted));
    if (rc < 0)
        return rc;
    struct outcome *all = malloc((records ? records : 1) * sizeof *all);
    if (!all)
        return err_set(d->e, ERR_NOMEM, "out of memory for %u records", records);
    for (uint32_t i = 0; i < records; i++)
        all[i] = trc_columns_row(&d->b->columns, d->b->pub.streams, i);
    d->b->outcomes = all;
    d->b->pub.outcomes = all;
    d->b->pub.columns = NULL;
    free(d->b->values);
    d->b->values = NULL;
    return 0;
}

/*
 * trc_encode.c - see trc_encode.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/container/trc_encode.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "traces/container/trc_ident.h"
#include "traces/wire/content_encoding.h"

#define ROW_GAP 24u /* three lines of a cache, in integers */

int trc_build_init(struct trc_build *b, bool run, int64_t unit, uint32_t cap,
                   struct err *e)
{
    *b = (struct trc_build){.unit = unit, .cap = cap};
    /* The columns of a block are as long as the block can be; pages that no record
     * reaches are never touched. A record writes to all of them at the same place: a
     * distance that is no power of two keeps them from falling on the same lines of
     * the cache. */
    size_t apart = (size_t)cap + ROW_GAP;
    b->scratch = malloc(cap * sizeof *b->scratch);
    if (run)
        b->outcomes = malloc(cap * sizeof *b->outcomes);
    else
        b->rows[0] = malloc(TRC_ROW_COUNT * apart * sizeof(int64_t));
    if (!b->scratch || !(run ? (void *)b->outcomes : (void *)b->rows[0])) {
        trc_build_done(b);
        return err_set(e, ERR_NOMEM, "out of memory for a block of %u records", cap);
    }
    for (int i = 1; !run && i < TRC_ROW_COUNT; i++)
        b->rows[i] = b->rows[0] + (size_t)i * apart;
    return 0;
}

void trc_build_reset(struct trc_build *b)
{
    b->n = 0;
    trc_streams_reset(&b->streams);
    trc_bodies_reset(&b->bodies[0]);
    trc_bodies_reset(&b->bodies[1]);
    trc_messages_reset(&b->messages[0]);
    trc_messages_reset(&b->messages[1]);
    buf_reset(&b->ids);
}

void trc_build_done(struct trc_build *b)
{
    free(b->rows[0]);
    free(b->outcomes);
    free(b->scratch);
    trc_streams_done(&b->streams);
    trc_bodies_done(&b->bodies[0]);
    trc_bodies_done(&b->bodies[1]);
    trc_messages_done(&b->messages[0]);
    trc_messages_done(&b->messages[1]);
    buf_done(&b->ids);
    *b = (struct trc_build){0};
}

size_t trc_build_payload(const struct trc_build *b)
{
    return b->bodies[0].bytes.n + b->bodies[1].bytes.n + b->ids.n +
           b->streams.entries.n +
           (b->messages[0].n + b->messages[1].n) * sizeof(struct op_message);
}

/* --- checks --- */

static bool time_fits(int64_t ns)
{
    return ns == OP_TIME_NONE || (ns >= -TRC_TIME_MAX && ns <= TRC_TIME_MAX);
}

/* The last byte is stored since the first, on a grid of up to 1 ms. */
static bool span_fits(int64_t first, int64_t last)
{
    const int64_t most = TRC_TIME_MAX - 1000000;
    return first == OP_TIME_NONE || last == OP_TIME_NONE ||
           (last - first >= -most && last - first <= most);
}

static int check_body(const struct op_body *b, const char *what, struct err *e)
{
    if ((unsigned)b->state > OP_BODY_ELIDED)
        return err_set(e, ERR_USAGE, "%s body of unknown state", what);
    if (b->state == OP_BODY_KEPT && b->bytes != b->data.n)
        return err_set(e, ERR_USAGE,
                       "%s body of %zu bytes that claims to have %" PRIu64, what,
                       b->data.n, b->bytes);
    if (b->state == OP_BODY_KEPT && b->bytes > TRC_BODY_MAX)
        return err_set(e, ERR_LIMIT, "%s body of %" PRIu64 " bytes, limit %u", what,
                       b->bytes, TRC_BODY_MAX);
    if (b->state != OP_BODY_NONE && b->bytes > (uint64_t)INT64_MAX >> 4)
        return err_set(e, ERR_LIMIT, "%s body of %" PRIu64 " bytes", what, b->bytes);
    return 0;
}

int trc_check_answer(const struct op *o, struct err *e)
{
    if (!time_fits(o->first_ns) || !time_fits(o->last_ns) ||
        !span_fits(o->first_ns, o->last_ns))
        return err_set(e, ERR_LIMIT,
                       "operation %" PRIu64 ": answer time beyond 2^61 ns", o->index);
    if (o->grpc_status < -1)
        return err_set(e, ERR_USAGE, "operation %" PRIu64 ": gRPC status %d", o->index,
                       o->grpc_status);
    if (!content_codings_valid(o->response_codings))
        return err_set(e, ERR_USAGE, "operation %" PRIu64 ": codings %#x", o->index,
                       (unsigned)o->response_codings);
    int rc = check_body(&o->response, "response", e);
    return rc < 0
               ? rc
               : trc_messages_check(&o->response_messages, &o->response, "response", e);
}

int trc_check_op(const struct op *o, struct err *e)
{
    if (!o->stream)
        return err_set(e, ERR_USAGE, "operation without a stream");
    if (o->arrival_ns < 0 || o->arrival_ns > TRC_TIME_MAX)
        return err_set(e, ERR_USAGE,
                       "arrival %" PRId64 " ns is not within 0 and 2^61 ns",
                       o->arrival_ns);
    if (o->id.n > TRC_STRING_MAX)
        return err_set(e, ERR_LIMIT, "request id of %zu bytes, limit %u", o->id.n,
                       TRC_STRING_MAX);
    if (!(o->weight > 0) || isinf(o->weight))
        return err_set(e, ERR_USAGE, "weight %g is not above 0", (double)o->weight);
    int rc = check_body(&o->request, "request", e);
    if (rc == 0)
        rc = trc_messages_check(&o->request_messages, &o->request, "request", e);
    return rc < 0 ? rc : trc_check_answer(o, e);
}

int trc_check_outcome(const struct outcome *o, struct err *e)
{
    if (!o->stream)
        return err_set(e, ERR_USAGE, "outcome without a stream");
    if ((unsigned)o->cause >= OUT_CAUSE_COUNT ||
        (unsigned)o->check >= OUT_CHECK_COUNT || (unsigned)o->wait >= OUT_WAIT_COUNT)
        return err_set(e, ERR_USAGE, "outcome with cause %u, check %u, wait %u",
                       (unsigned)o->cause, (unsigned)o->check, (unsigned)o->wait);
    if (o->grpc_status < -1)
        return err_set(e, ERR_USAGE, "outcome with gRPC status %d", o->grpc_status);
    if (o->due_ns == OP_TIME_NONE || !time_fits(o->due_ns) || !time_fits(o->ready_ns) ||
        !time_fits(o->sent_ns) || !time_fits(o->first_ns) || !time_fits(o->done_ns))
        return err_set(e, ERR_USAGE, "outcome without due time, or beyond 2^61 ns");
    if (o->op_index > INT64_MAX || o->bytes_out > INT64_MAX || o->bytes_in > INT64_MAX)
        return err_set(e, ERR_LIMIT, "outcome with a count above 2^63");
    return trc_messages_check_run(&o->messages, o->bytes_in, e);
}

/* --- records in --- */

static int64_t ordinal_row(uint32_t v)
{
    return v == OP_NONE ? TRC_NULL : (int64_t)v;
}

/* On the grid, towards 0. */
static int64_t to_units(const struct trc_build *b, int64_t ns)
{
    return ns == OP_TIME_NONE ? TRC_NULL : ns / b->unit;
}

bool trc_build_answered(const struct trc_build *b, uint32_t row)
{
    return b->rows[TRC_ROW_STATUS][row] != 0 ||
           b->rows[TRC_ROW_GRPC][row] != TRC_NULL ||
           b->rows[TRC_ROW_FIRST][row] != TRC_NULL ||
           b->rows[TRC_ROW_LAST][row] != TRC_NULL ||
           b->rows[TRC_ROW_RESPONSE][row] != 0 || b->rows[TRC_ROW_CODINGS][row] != 0 ||
           b->rows[TRC_ROW_ANSWERED][row] != 0;
}

static int add_body(struct trc_build *b, int which, struct trc_blob_memory *m,
                    uint32_t block, struct op_body *body, int64_t *ref, struct err *e)
{
    uint64_t hash[2];
    int rc = trc_bodies_add(&b->bodies[which], m, block, body, ref, hash, e);
    body->hash[0] = hash[0];
    body->hash[1] = hash[1];
    if (body->state == OP_BODY_NONE)
        body->bytes = 0;
    return rc;
}

int trc_build_answer(struct trc_build *b, struct trc_blob_memory *m, uint32_t block,
                     uint32_t row, struct op *o, struct err *e)
{
    int64_t first = to_units(b, o->first_ns), last = to_units(b, o->last_ns);
    int rc = add_body(b, 1, m, block, &o->response, &b->rows[TRC_ROW_RESPONSE][row], e);
    if (rc == 0)
        rc = trc_messages_add(&b->messages[1], &o->response_messages, b->unit,
                              &b->rows[TRC_ROW_ANSWERED][row], e);
    if (rc < 0)
        return rc;
    b->rows[TRC_ROW_STATUS][row] = o->status;
    b->rows[TRC_ROW_CODINGS][row] = o->response_codings;
    b->rows[TRC_ROW_GRPC][row] = o->grpc_status < 0 ? TRC_NULL : o->grpc_status;
    b->rows[TRC_ROW_FIRST][row] = first;
    b->rows[TRC_ROW_LAST][row] =
        last == TRC_NULL || first == TRC_NULL ? last : last - first;
    if (first != TRC_NULL)
        o->first_ns = first * b->unit;
    if (last != TRC_NULL)
        o->last_ns = last * b->unit;
    return 0;
}

int trc_build_op(struct trc_build *b, struct trc_blob_memory *m, uint32_t block,
                 struct op *o, struct err *e)
{
    uint32_t row = b->n, weight;
    int rc = trc_streams_find(&b->streams, o->stream, &o->stream_index, e);
    if (rc < 0)
        return rc;
    rc = add_body(b, 0, m, block, &o->request, &b->rows[TRC_ROW_REQUEST][row], e);
    if (rc == 0)
        rc = trc_messages_add(&b->messages[0], &o->request_messages, b->unit,
                              &b->rows[TRC_ROW_ASKED][row], e);
    if (rc == 0)
        rc = trc_build_answer(b, m, block, row, o, e);
    if (rc < 0)
        return rc;
    int64_t arrival = o->arrival_ns / b->unit;
    o->arrival_ns = arrival * b->unit;
    b->rows[TRC_ROW_TIME][row] = arrival;
    b->rows[TRC_ROW_STREAM][row] = o->stream_index;
    b->rows[TRC_ROW_FLAGS][row] = o->flags;
    b->rows[TRC_ROW_ID_FORM][row] = trc_ident_put(o->id, &b->ids);
    b->rows[TRC_ROW_CONNECTION][row] = ordinal_row(o->connection);
    b->rows[TRC_ROW_CONN_STREAM][row] = ordinal_row(o->conn_stream);
    b->rows[TRC_ROW_CLIENT][row] = ordinal_row(o->client);
    b->rows[TRC_ROW_TOKENS_IN][row] = ordinal_row(o->tokens_in);
    b->rows[TRC_ROW_TOKENS_OUT][row] = ordinal_row(o->tokens_out);
    memcpy(&weight, &o->weight, sizeof weight);
    b->rows[TRC_ROW_WEIGHT][row] = weight;
    if (row == 0)
        b->t_min = o->arrival_ns;
    b->t_max = o->arrival_ns;
    b->streams.v[o->stream_index].count++;
    b->n++;
    return buf_check(&b->ids, e);
}

int trc_build_late(struct trc_build *b, struct trc_blob_memory *m, uint32_t block,
                   struct op *o, struct err *e)
{
    int rc = trc_build_answer(b, m, block, b->n, o, e);
    if (rc < 0)
        return rc;
    b->rows[TRC_ROW_FLAGS][b->n] = o->flags;
    b->rows[TRC_ROW_TIME][b->n++] = (int64_t)o->index;
    return 0;
}

int trc_build_outcome(struct trc_build *b, struct outcome *o, struct err *e)
{
    int64_t list = 0;
    int rc = trc_streams_find(&b->streams, o->stream, &o->stream_index, e);
    if (rc == 0)
        rc = trc_messages_add(&b->messages[1], &o->messages, 1, &list, e);
    if (rc < 0)
        return rc;
    if (b->n == 0 || o->due_ns < b->t_min)
        b->t_min = o->due_ns;
    if (b->n == 0 || o->due_ns > b->t_max)
        b->t_max = o->due_ns;
    b->streams.v[o->stream_index].count++;
    b->outcomes[b->n] = *o;
    b->outcomes[b->n].messages = (struct op_messages){NULL, (uint32_t)list};
    b->outcomes[b->n++].stream = NULL;
    return 0;
}

/* --- groups out --- */

struct row_column {
    unsigned id;
    enum trc_row row;
    bool required;
    int64_t def;
};

static void put_rows(struct trc_build *b, struct trc_group_out *g,
                     const struct row_column *columns, size_t n)
{
    for (size_t i = 0; i < n; i++)
        trc_put_ints(g, columns[i].id, columns[i].required, b->rows[columns[i].row],
                     b->n, columns[i].def);
}

/* A column of body references, and the order of its table. */
static int put_refs(struct trc_build *b, struct trc_group_out *g, unsigned id,
                    int which, struct err *e)
{
    const int64_t *refs = b->rows[which ? TRC_ROW_RESPONSE : TRC_ROW_REQUEST];
    int rc = trc_bodies_codes(&b->bodies[which], refs, b->n, b->scratch, e);
    if (rc == 0)
        trc_put_ints(g, id, true, b->scratch, b->n, 0);
    return rc;
}

static int put_answers(struct trc_build *b, struct trc_group_out *g, struct err *e)
{
    static const struct row_column columns[] = {
        {TRC_COL_STATUS, TRC_ROW_STATUS, false, 0},
        {TRC_COL_GRPC, TRC_ROW_GRPC, false, TRC_NULL},
        {TRC_COL_FIRST, TRC_ROW_FIRST, false, TRC_NULL},
        {TRC_COL_LAST, TRC_ROW_LAST, false, TRC_NULL},
    };
    put_rows(b, g, columns, sizeof columns / sizeof *columns);
    int rc = put_refs(b, g, TRC_COL_RESPONSE, 1, e);
    trc_put_ints(g, TRC_COL_CODINGS, false, b->rows[TRC_ROW_CODINGS], b->n, 0);
    return rc;
}

static int put_messages(struct trc_build *b, struct trc_group_out *g, int which,
                        struct err *e)
{
    return trc_messages_put(
        &b->messages[which], b->rows[which ? TRC_ROW_ANSWERED : TRC_ROW_ASKED], b->n,
        b->unit, which ? TRC_COL_ANSWERED : TRC_COL_ASKED, which == 0, g, e);
}

static void put_ids(struct trc_build *b, struct trc_group_out *g)
{
    static const struct row_column columns[] = {
        {TRC_COL_CONNECTION, TRC_ROW_CONNECTION, false, TRC_NULL},
        {TRC_COL_CONN_STREAM, TRC_ROW_CONN_STREAM, false, TRC_NULL},
        {TRC_COL_CLIENT, TRC_ROW_CLIENT, false, TRC_NULL},
        {TRC_COL_TOKENS_IN, TRC_ROW_TOKENS_IN, false, TRC_NULL},
        {TRC_COL_TOKENS_OUT, TRC_ROW_TOKENS_OUT, false, TRC_NULL},
        {TRC_COL_WEIGHT, TRC_ROW_WEIGHT, false, TRC_WEIGHT_ONE},
    };
    trc_put_ints(g, TRC_COL_ID_FORM, false, b->rows[TRC_ROW_ID_FORM], b->n, 0);
    if (b->ids.n)
        trc_put_bytes(g, TRC_COL_ID_BYTES, false, buf_view(&b->ids));
    put_rows(b, g, columns, sizeof columns / sizeof *columns);
}

static int check_groups(const struct trc_group_out *g, struct err *e)
{
    size_t raw = 0;
    for (int i = 0; i < TRC_GROUPS; i++) {
        int rc = buf_check(&g[i].raw, e);
        if (rc < 0)
            return rc;
        raw += g[i].raw.n;
    }
    if (raw > TRC_RAW_MAX)
        return err_set(e, ERR_LIMIT, "block of %zu raw bytes, limit %u", raw,
                       TRC_RAW_MAX);
    return 0;
}

int trc_encode_ops(struct trc_build *b, struct trc_group_out *g, struct err *e)
{
    const int64_t *time = b->rows[TRC_ROW_TIME];
    for (uint32_t i = 0; i < b->n; i++)
        b->scratch[i] = i ? time[i] - time[i - 1] : 0;
    trc_put_prefixed(&g[TRC_SCHEDULE], TRC_COL_TIME, true, (struct span){0}, b->scratch,
                     b->n);
    trc_put_ints(&g[TRC_SCHEDULE], TRC_COL_STREAM, true, b->rows[TRC_ROW_STREAM], b->n,
                 0);
    int rc = put_refs(b, &g[TRC_SCHEDULE], TRC_COL_REQUEST, 0, e);
    trc_put_ints(&g[TRC_SCHEDULE], TRC_COL_FLAGS, false, b->rows[TRC_ROW_FLAGS], b->n,
                 0);
    trc_streams_put(&b->streams, &g[TRC_SCHEDULE]);
    if (rc == 0)
        rc = put_answers(b, &g[TRC_ANSWERS], e);
    if (rc < 0)
        return rc;
    put_ids(b, &g[TRC_IDS]);
    trc_bodies_put(&b->bodies[0], TRC_COL_REQUEST_TABLE, &g[TRC_PAYLOAD]);
    trc_bodies_put(&b->bodies[1], TRC_COL_RESPONSE_TABLE, &g[TRC_PAYLOAD]);
    rc = put_messages(b, &g[TRC_PAYLOAD], 0, e);
    if (rc == 0)
        rc = put_messages(b, &g[TRC_PAYLOAD], 1, e);
    return rc < 0 ? rc : check_groups(g, e);
}

/* The first value as a varint in front, the steps between values as integers. */
static void put_based(struct trc_build *b, struct trc_group_out *g, unsigned id,
                      uint64_t base)
{
    struct buf prefix = {0};
    buf_varint(&prefix, base);
    g->raw.failed |= prefix.failed;
    trc_put_prefixed(g, id, true, buf_view(&prefix), b->scratch, b->n);
    buf_done(&prefix);
}

struct late_key {
    int64_t index;
    uint32_t row;
};

static int by_index(const void *a, const void *b)
{
    const struct late_key *x = a, *y = b;
    if (x->index != y->index)
        return x->index < y->index ? -1 : 1;
    return x->row < y->row ? -1 : 1;
}

/* Answers come in any order; stored they ascend by index, equal ones as they came. */
static int sort_late(struct trc_build *b, struct err *e)
{
    static const enum trc_row rows[] = {
        TRC_ROW_TIME,     TRC_ROW_STATUS,  TRC_ROW_GRPC,
        TRC_ROW_FIRST,    TRC_ROW_LAST,    TRC_ROW_RESPONSE,
        TRC_ROW_ANSWERED, TRC_ROW_CODINGS, TRC_ROW_FLAGS};
    struct late_key *keys = malloc(b->n * sizeof *keys);
    if (!keys)
        return err_set(e, ERR_NOMEM, "out of memory to sort a block");
    for (uint32_t i = 0; i < b->n; i++)
        keys[i] = (struct late_key){b->rows[TRC_ROW_TIME][i], i};
    qsort(keys, b->n, sizeof *keys, by_index);
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        int64_t *row = b->rows[rows[r]];
        for (uint32_t i = 0; i < b->n; i++)
            b->scratch[i] = row[keys[i].row];
        memcpy(row, b->scratch, b->n * sizeof *row);
    }
    free(keys);
    return 0;
}

int trc_encode_late(struct trc_build *b, struct trc_group_out *g, struct err *e)
{
    int rc = sort_late(b, e);
    if (rc < 0)
        return rc;
    trc_put_ints(&g[TRC_ANSWERS], TRC_COL_FLAGS, false, b->rows[TRC_ROW_FLAGS], b->n,
                 0);
    rc = put_answers(b, &g[TRC_ANSWERS], e);
    if (rc < 0)
        return rc;
    const int64_t *index = b->rows[TRC_ROW_TIME];
    for (uint32_t i = 0; i < b->n; i++)
        b->scratch[i] = i ? index[i] - index[i - 1] : 0;
    put_based(b, &g[TRC_ANSWERS], TRC_COL_LATE_INDEX, (uint64_t)index[0]);
    trc_bodies_put(&b->bodies[1], TRC_COL_RESPONSE_TABLE, &g[TRC_PAYLOAD]);
    rc = put_messages(b, &g[TRC_PAYLOAD], 1, e);
    return rc < 0 ? rc : check_groups(g, e);
}

/* Stable, by operation; workers hand their outcomes over nearly in order. */
static int sort_outcomes(struct trc_build *b, struct err *e)
{
    bool sorted = true;
    for (uint32_t i = 1; i < b->n && sorted; i++)
        sorted = b->outcomes[i - 1].op_index <= b->outcomes[i].op_index;
    if (sorted)
        return 0;
    struct outcome *other = malloc(b->cap * sizeof *other);
    if (!other)
        return err_set(e, ERR_NOMEM, "out of memory to sort a block");
    for (uint32_t width = 1; width < b->n; width *= 2) {
        for (uint32_t at = 0; at < b->n; at += 2 * width) {
            uint32_t i = at, mid = at + width < b->n ? at + width : b->n, k = mid,
                     end = mid + width < b->n ? mid + width : b->n;
            for (uint32_t o = at; o < end; o++) {
                bool left = i < mid && (k == end || b->outcomes[i].op_index <=
                                                        b->outcomes[k].op_index);
                other[o] = b->outcomes[left ? i++ : k++];
            }
        }
        struct outcome *swap = b->outcomes;
        b->outcomes = other;
        other = swap;
    }
    free(other);
    return 0;
}

#define PUT_EACH(group, id, required, def, value)                                      \
    do {                                                                               \
        for (uint32_t i = 0; i < b->n; i++) {                                          \
            const struct outcome *o = &b->outcomes[i];                                 \
            b->scratch[i] = (int64_t)(value);                                          \
        }                                                                              \
        trc_put_ints(&g[group], id, required, b->scratch, b->n, def);                  \
    } while (0)

/* The latest of the first `upto` of due, ready, sent, first that came. */
static int64_t time_before(const struct outcome *o, int upto)
{
    const int64_t times[] = {o->due_ns, o->ready_ns, o->sent_ns, o->first_ns};
    int i = upto - 1;
    while (i > 0 && times[i] == OP_TIME_NONE)
        i--;
    return times[i];
}

static int64_t since(const struct outcome *o, int upto, int64_t ns)
{
    return ns == OP_TIME_NONE ? TRC_NULL : ns - time_before(o, upto);
}

/* Answer hashes: each once in a table, references in b->scratch. */
static int put_hashes(struct trc_build *b, struct trc_group_out *g, struct err *e)
{
    uint32_t slots = 64, used = 0;
    while (slots < 2 * b->n)
        slots *= 2;
    uint32_t *slot = calloc(slots, sizeof *slot); /* index in the table + 1 */
    struct buf table = {0};
    if (!slot)
        return err_set(e, ERR_NOMEM, "out of memory for answer hashes");
    for (uint32_t i = 0; i < b->n && !table.failed; i++) {
        uint64_t hash = b->outcomes[i].answer_hash;
        b->scratch[i] = 0;
        if (hash == 0)
            continue;
        uint32_t at = (uint32_t)(hash ^ hash >> 32) & (slots - 1);
        for (; slot[at]; at = (at + 1) & (slots - 1)) {
            uint64_t old;
            memcpy(&old, table.p + 8 * (size_t)(slot[at] - 1), 8);
            if (old == hash)
                break;
        }
        if (slot[at]) {
            b->scratch[i] = (int64_t)(used - (slot[at] - 1)) + 1;
            continue;
        }
        buf_add(&table, &hash, 8); /* as it lies in memory, mended below */
        slot[at] = ++used;
        b->scratch[i] = 1;
    }
    free(slot);
    trc_put_ints(g, TRC_COL_HASH_REF, false, b->scratch, b->n, 0);
    struct buf stored = {0};
    for (uint32_t i = 0; i < used && !table.failed; i++) {
        uint64_t hash;
        memcpy(&hash, table.p + 8 * (size_t)i, 8);
        buf_u64(&stored, hash);
    }
    g->raw.failed |= table.failed || stored.failed;
    if (used)
        trc_put_bytes(g, TRC_COL_HASH_TABLE, false, buf_view(&stored));
    buf_done(&table);
    buf_done(&stored);
    return 0;
}

static void put_outcome_schedule(struct trc_build *b, struct trc_group_out *g)
{
    int64_t due = b->t_min;
    for (uint32_t i = 0; i < b->n; i++) {
        b->scratch[i] = b->outcomes[i].due_ns - due;
        due = b->outcomes[i].due_ns;
    }
    trc_put_prefixed(&g[TRC_SCHEDULE], TRC_COL_TIME, true, (struct span){0}, b->scratch,
                     b->n);
    PUT_EACH(TRC_SCHEDULE, TRC_COL_STREAM, true, 0, o->stream_index);
    trc_streams_put(&b->streams, &g[TRC_SCHEDULE]);
    for (uint32_t i = 0; i < b->n; i++)
        b->scratch[i] =
            i ? (int64_t)(b->outcomes[i].op_index - b->outcomes[i - 1].op_index) - 1
              : 0;
    put_based(b, &g[TRC_SCHEDULE], TRC_COL_OP_INDEX, b->outcomes[0].op_index);
}

int trc_encode_outcomes(struct trc_build *b, struct trc_group_out *g, struct err *e)
{
    int rc = sort_outcomes(b, e);
    if (rc < 0)
        return rc;
    put_outcome_schedule(b, g);
    PUT_EACH(TRC_ANSWERS, TRC_COL_STATUS, false, 0, o->status);
    PUT_EACH(TRC_ANSWERS, TRC_COL_GRPC, false, TRC_NULL,
             o->grpc_status < 0 ? TRC_NULL : o->grpc_status);
    PUT_EACH(TRC_ANSWERS, TRC_COL_CAUSE, false, 0, o->cause);
    PUT_EACH(TRC_ANSWERS, TRC_COL_CHECK, false, 0, o->check);
    PUT_EACH(TRC_ANSWERS, TRC_COL_READY, false, TRC_NULL, since(o, 1, o->ready_ns));
    PUT_EACH(TRC_ANSWERS, TRC_COL_SENT, false, TRC_NULL, since(o, 2, o->sent_ns));
    PUT_EACH(TRC_ANSWERS, TRC_COL_OUT_FIRST, false, TRC_NULL, since(o, 3, o->first_ns));
    PUT_EACH(TRC_ANSWERS, TRC_COL_DONE, false, TRC_NULL, since(o, 4, o->done_ns));
    PUT_EACH(TRC_ANSWERS, TRC_COL_ATTEMPTS, false, 1, o->attempts);
    PUT_EACH(TRC_ANSWERS, TRC_COL_WAIT, false, 0, o->wait);
    PUT_EACH(TRC_IDS, TRC_COL_CONNECTION, false, TRC_NULL, ordinal_row(o->connection));
    PUT_EACH(TRC_IDS, TRC_COL_WORKER, false, 0, o->worker);
    PUT_EACH(TRC_IDS, TRC_COL_BYTES_OUT, false, 0, o->bytes_out);
    PUT_EACH(TRC_IDS, TRC_COL_BYTES_IN, false, 0, o->bytes_in);
    for (uint32_t i = 0; i < b->n; i++)
        b->scratch[i] = b->outcomes[i].messages.count; /* number of its list */
    rc = trc_messages_put(&b->messages[1], b->scratch, b->n, 1, TRC_COL_STREAMED, false,
                          &g[TRC_ANSWERS], e);
    if (rc == 0)
        rc = put_hashes(b, &g[TRC_PAYLOAD], e);
    return rc < 0 ? rc : check_groups(g, e);
}

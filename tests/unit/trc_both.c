/*
 * trc_both.c - see trc_both.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/trc_both.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "traces/container/trc_reader.h"

static char why[200];

#define SAY(...) (snprintf(why, sizeof why, __VA_ARGS__), why)

static const uint32_t sets[] = {
    TRC_WANT_DUE,
    TRC_WANT_READY,
    TRC_WANT_SENT,
    TRC_WANT_FIRST,
    TRC_WANT_DONE,
    TRC_WANT_OP_INDEX,
    TRC_WANT_BYTES_OUT,
    TRC_WANT_BYTES_IN,
    TRC_WANT_ANSWER_HASH,
    TRC_WANT_STREAM,
    TRC_WANT_CONNECTION,
    TRC_WANT_STATUS,
    TRC_WANT_GRPC_STATUS,
    TRC_WANT_WORKER,
    TRC_WANT_CAUSE,
    TRC_WANT_CHECK,
    TRC_WANT_WAIT,
    TRC_WANT_ATTEMPTS,
    TRC_WANT_MESSAGES,
    TRC_WANT_DONE | TRC_WANT_STREAM | TRC_WANT_CAUSE | TRC_WANT_CHECK,
};

static const char *messages_differ(const struct op_messages *a,
                                   const struct op_messages *b)
{
    if (a->count != b->count)
        return "messages.count";
    for (uint32_t i = 0; i < a->count; i++)
        if (a->v[i].at_ns != b->v[i].at_ns || a->v[i].bytes != b->v[i].bytes)
            return "messages";
    return NULL;
}

/* a: read as a record. b: from columns, `asked` of them. */
static const char *fields_differ(const struct outcome *a, const struct outcome *b,
                                 uint32_t asked)
{
    const struct outcome empty = outcome_empty();
#define SAME(bit, field)                                                               \
    do {                                                                               \
        if (b->field != (asked & (bit) ? a : &empty)->field)                           \
            return #field;                                                             \
    } while (0)
    SAME(TRC_WANT_DUE, due_ns);
    SAME(TRC_WANT_READY, ready_ns);
    SAME(TRC_WANT_SENT, sent_ns);
    SAME(TRC_WANT_FIRST, first_ns);
    SAME(TRC_WANT_DONE, done_ns);
    SAME(TRC_WANT_OP_INDEX, op_index);
    SAME(TRC_WANT_BYTES_OUT, bytes_out);
    SAME(TRC_WANT_BYTES_IN, bytes_in);
    SAME(TRC_WANT_ANSWER_HASH, answer_hash);
    SAME(TRC_WANT_STREAM, stream_index);
    SAME(TRC_WANT_CONNECTION, connection);
    SAME(TRC_WANT_STATUS, status);
    SAME(TRC_WANT_GRPC_STATUS, grpc_status);
    SAME(TRC_WANT_WORKER, worker);
    SAME(TRC_WANT_CAUSE, cause);
    SAME(TRC_WANT_CHECK, check);
    SAME(TRC_WANT_WAIT, wait);
    SAME(TRC_WANT_ATTEMPTS, attempts);
#undef SAME
    if (asked & TRC_WANT_STREAM)
        if (!b->stream || !span_eq(a->stream->name, b->stream->name) ||
            a->stream->protocol != b->stream->protocol ||
            a->stream->tier != b->stream->tier)
            return "stream";
    return messages_differ(asked & TRC_WANT_MESSAGES ? &a->messages : &empty.messages,
                           &b->messages);
}

/* Of a uniform column every value is the first. */
static const char *uniform_is_broken(const struct trc_block *b, uint32_t i)
{
    const struct trc_columns *c = b->columns;
#define HOLD(bit, array)                                                               \
    do {                                                                               \
        if ((c->uniform & (bit)) && c->array[i] != c->array[0])                        \
            return #array " is not uniform";                                           \
    } while (0)
    HOLD(TRC_WANT_BYTES_OUT, bytes_out);
    HOLD(TRC_WANT_BYTES_IN, bytes_in);
    HOLD(TRC_WANT_STREAM, stream_index);
    HOLD(TRC_WANT_CONNECTION, connection);
    HOLD(TRC_WANT_STATUS, status);
    HOLD(TRC_WANT_GRPC_STATUS, grpc_status);
    HOLD(TRC_WANT_WORKER, worker);
    HOLD(TRC_WANT_CAUSE, cause);
    HOLD(TRC_WANT_CHECK, check);
    HOLD(TRC_WANT_WAIT, wait);
    HOLD(TRC_WANT_ATTEMPTS, attempts);
#undef HOLD
    return NULL;
}

static const char *blocks_differ(const struct trc_block *a, const struct trc_block *b,
                                 uint32_t asked)
{
    if (!b->columns || b->outcomes || (b->columns->asked & asked) != asked)
        return SAY("columns %" PRIx32 " were asked for and not given", asked);
    if (a->count != b->count || a->offset != b->offset ||
        a->first_index != b->first_index || a->stream_count != b->stream_count)
        return SAY("another block at byte %" PRIu64, a->offset);
    for (uint32_t i = 0; i < a->count; i++) {
        struct outcome row = trc_columns_row(b->columns, b->streams, i);
        const char *field = fields_differ(&a->outcomes[i], &row, b->columns->asked);
        if (!field)
            field = uniform_is_broken(b, i);
        if (field)
            return SAY("block at byte %" PRIu64 ": outcome %" PRIu32
                       ", columns %" PRIx32 ": %s",
                       a->offset, i, asked, field);
    }
    return NULL;
}

/* *sound: no block was refused. */
static const char *readings_differ(struct trc_reader *rows, struct trc_reader *columns,
                                   uint32_t asked, bool *sound)
{
    const char *differ = NULL;
    trc_reader_want_columns(columns, asked);
    for (int rc = 1; rc != 0 && rc != ERR_TRUNCATED && !differ;) {
        struct trc_block *a = NULL, *b = NULL;
        struct err ea = {0}, eb = {0};
        rc = trc_reader_next(rows, &a, &ea);
        int other = trc_reader_next(columns, &b, &eb);
        *sound &= rc >= 0;
        if (rc != other || ea.has_at != eb.has_at || ea.at != eb.at)
            differ = SAY("%d '%.60s' as records, %d '%.60s' as columns", rc, ea.text,
                         other, eb.text);
        else if (rc == 1)
            differ = blocks_differ(a, b, asked);
        trc_block_free(a);
        trc_block_free(b);
        if (rc == ERR_NOMEM || rc == ERR_IO)
            break;
    }
    return differ;
}

static const char *read_both(const char *path, uint32_t asked, bool *sound)
{
    struct trc_reader *rows = NULL, *columns = NULL;
    const char *differ = NULL;
    if (trc_reader_open(&rows, path, NULL) == 0 &&
        trc_reader_open(&columns, path, NULL) == 0 &&
        trc_reader_info(rows)->kind == TRC_RUN)
        differ = readings_differ(rows, columns, asked, sound);
    else
        *sound = false;
    trc_reader_close(rows);
    trc_reader_close(columns);
    return differ;
}

const char *trc_both_ways(const char *path)
{
    bool sound = true;
    const char *differ = read_both(path, TRC_WANT_ALL, &sound);
    /* What is not asked for is not looked at: only sound files are told the same. */
    for (size_t i = 0; i < sizeof sets / sizeof *sets && !differ && sound; i++)
        differ = read_both(path, sets[i], &sound);
    return differ;
}

/*
 * trc_audit.c - see trc_audit.h; and trc_reader_verify.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/container/trc_audit.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "traces/container/trc_hash.h"
#include "traces/container/trc_reader_own.h"
#include "traces/container/trc_stream.h"

void trc_audit_done(struct trc_audit *a)
{
    trc_tally_done(&a->tally);
    trc_index_done(&a->index);
    buf_done(&a->scratch);
}

static bool same_entry(const struct trc_entry *a, const struct trc_entry *b)
{
    return a->offset == b->offset && a->kind == b->kind &&
           a->first_index == b->first_index && a->records == b->records &&
           a->t_min == b->t_min && a->t_max == b->t_max;
}

static int confirm_index(struct trc_audit *a, struct trc_reader *r,
                         const struct trc_head *h, struct span block, uint64_t at,
                         struct err *e)
{
    uint8_t *raw[TRC_GROUPS] = {0};
    struct trc_index told = {0};
    int rc = trc_reader_unpack(r, h, block, at, 1u << TRC_SCHEDULE, raw, e);
    if (rc == 0)
        rc = trc_index_parse(&told, h, span_of(raw[0], raw[0] ? h->raw[0] : 0), at, at,
                             e);
    for (size_t i = 0; rc == 0 && i < told.n; i++) {
        if (a->confirmed == a->index.n ||
            !same_entry(&told.v[i], &a->index.v[a->confirmed++]))
            rc = err_at(e, ERR_FORMAT, at,
                        "INDEX block %" PRIu32 ": entry %zu is not what the file holds",
                        h->ordinal, i);
    }
    trc_index_done(&told);
    for (int g = 0; g < TRC_GROUPS; g++)
        free(raw[g]);
    return rc;
}

int trc_audit_block(struct trc_audit *a, struct trc_reader *r, const struct trc_head *h,
                    struct span block, uint64_t at, struct err *e)
{
    size_t offset = h->frame_bytes;
    for (int g = 0; g < TRC_GROUPS; g++) {
        if (h->packed[g] && trc_xxh64(block.p + offset, h->packed[g]) != h->hash[g])
            return err_at(e, ERR_FORMAT, at, "block %" PRIu32 ": %s: checksum mismatch",
                          h->ordinal, trc_group_names[g]);
        offset += h->packed[g];
    }
    if (h->kind == TRC_INDEX)
        return confirm_index(a, r, h, block, at, e);
    if (h->kind == TRC_BLOBS)
        a->totals.blobs += h->records;
    struct trc_entry entry = {at,       h->first_index, h->t_min,
                              h->t_max, h->records,     h->kind};
    return h->kind == TRC_FOOTER ? 0 : trc_index_add(&a->index, &entry, e);
}

static void audit_time(struct trc_audit *a, int64_t ns)
{
    struct trc_totals *t = &a->totals;
    if (t->records == 0 || ns < t->first_ns)
        t->first_ns = ns;
    if (t->records == 0 || ns > t->last_ns)
        t->last_ns = ns;
    t->records++;
}

/* Hashes of the block's streams, two words each. */
static int stream_hashes(struct trc_audit *a, const struct trc_block *b,
                         uint64_t **hashes, struct err *e)
{
    *hashes = calloc(b->stream_count + 1, 2 * sizeof **hashes);
    if (!*hashes)
        return err_set(e, ERR_NOMEM, "out of memory for streams");
    for (uint32_t i = 0; i < b->stream_count; i++) {
        buf_reset(&a->scratch);
        trc_stream_encode(&b->streams[i], &a->scratch);
        int rc = buf_check(&a->scratch, e);
        if (rc < 0)
            return rc;
        trc_xxh128(a->scratch.p, a->scratch.n, *hashes + 2 * (size_t)i);
    }
    return 0;
}

int trc_audit_records(struct trc_audit *a, const struct trc_block *b, struct err *e)
{
    uint64_t *hashes = NULL;
    uint64_t *counts = calloc(b->stream_count + 1, sizeof *counts);
    int rc = counts ? stream_hashes(a, b, &hashes, e)
                    : err_set(e, ERR_NOMEM, "out of memory for streams");
    for (uint32_t i = 0; rc == 0 && i < b->count; i++) {
        if (b->ops) {
            const struct op *o = &b->ops[i];
            counts[o->stream_index]++;
            audit_time(a, o->arrival_ns);
            trc_hash_op(o, hashes + 2 * (size_t)o->stream_index, a->totals.hash);
            trc_hash_answer(o, a->totals.hash);
            if (o->request.state == OP_BODY_KEPT)
                a->totals.payload_bytes += o->request.bytes;
        } else {
            const struct outcome *o = &b->outcomes[i];
            counts[o->stream_index]++;
            audit_time(a, o->due_ns);
            trc_hash_outcome(o, hashes + 2 * (size_t)o->stream_index, a->totals.hash);
            trc_tally_outcome(&a->tally, o);
        }
    }
    for (uint32_t i = 0; rc == 0 && i < b->late_count; i++)
        trc_hash_late(&b->late[i], a->totals.hash);
    for (uint32_t i = 0; rc == 0 && i < b->stream_count; i++)
        if (counts[i])
            rc = trc_tally_stream(&a->tally, &b->streams[i], counts[i], e);
    free(counts);
    free(hashes);
    return rc;
}

static bool same_models(const struct trc_counts *a, const struct trc_counts *b)
{
    if (a->model_count != b->model_count || a->other != b->other)
        return false;
    for (uint32_t i = 0; i < a->model_count; i++)
        if (a->models[i].resource != b->models[i].resource ||
            a->models[i].count != b->models[i].count ||
            !span_eq(a->models[i].name, b->models[i].name))
            return false;
    return true;
}

/* What the footer says of places, where it does. */
static bool same_places(const struct trc_places *told, const struct trc_places *mine)
{
    return !told->known || (told->blob_blocks == mine->blob_blocks &&
                            told->late_blocks == mine->late_blocks &&
                            told->meta_count == mine->meta_count &&
                            memcmp(told->metas, mine->metas, sizeof told->metas) == 0);
}

int trc_audit_footer(struct trc_audit *a, const struct trc_totals *t,
                     const struct trc_counts *counts, uint64_t at, struct err *e)
{
    trc_tally_sort(&a->tally);
    const struct trc_totals *mine = &a->totals;
    if (a->confirmed != a->index.n)
        return err_at(e, ERR_FORMAT, at,
                      "the index tells of %zu blocks, the file has %zu", a->confirmed,
                      a->index.n);
    if (t->records != mine->records)
        return err_at(e, ERR_FORMAT, at,
                      "the footer tells of %" PRIu64 " records, the file has %" PRIu64,
                      t->records, mine->records);
    if (t->hash[0] != mine->hash[0] || t->hash[1] != mine->hash[1])
        return err_at(e, ERR_FORMAT, at,
                      "the content hash of the footer is not the file's");
    if (t->first_ns != mine->first_ns || t->last_ns != mine->last_ns ||
        t->payload_bytes != mine->payload_bytes || t->blobs != mine->blobs)
        return err_at(e, ERR_FORMAT, at, "totals of the footer are not the file's");
    struct trc_places places = trc_index_places(&a->index);
    if (!same_places(&t->places, &places))
        return err_at(e, ERR_FORMAT, at, "places of the footer are not the file's");
    const struct trc_counts *c = &a->tally.counts;
    if (memcmp(c->protocol, counts->protocol, sizeof c->protocol) != 0 ||
        memcmp(c->tier, counts->tier, sizeof c->tier) != 0 ||
        memcmp(c->cause, counts->cause, sizeof c->cause) != 0 ||
        memcmp(c->check, counts->check, sizeof c->check) != 0 ||
        !same_models(c, counts))
        return err_at(e, ERR_FORMAT, at, "counts of the footer are not the file's");
    return 0;
}

int trc_audit_end(struct trc_audit *a, struct trc_reader *r, struct err *e)
{
    (void)a;
    struct span s;
    int rc = trc_source_peek(&r->source, 1, &s, e);
    if (rc < 0 || s.n == 0)
        return rc;
    if (r->source.seekable)
        return err_at(e, ERR_FORMAT, r->source.pos,
                      "%" PRIu64 " bytes stand behind the end of the file's own",
                      r->source.size - r->source.pos);
    return err_at(e, ERR_FORMAT, r->source.pos,
                  "bytes stand behind the end of the file's own");
}

int trc_reader_verify(struct trc_reader *r, struct err *e)
{
    struct trc_audit audit = {0};
    unsigned wanted = r->wanted;
    uint32_t columns = r->columns;
    if (r->source.seekable)
        trc_reader_rewind(r);
    r->wanted = TRC_READ_ALL;
    r->columns = 0;
    r->audit = &audit;
    int rc = 1;
    struct trc_block *b;
    while (rc == 1 && (rc = trc_reader_next(r, &b, e)) == 1) {
        int bad = trc_audit_records(&audit, b, e);
        trc_block_free(b);
        rc = bad < 0 ? bad : 1;
    }
    r->audit = NULL;
    r->wanted = wanted;
    r->columns = columns;
    trc_audit_done(&audit);
    if (r->source.seekable)
        trc_reader_rewind(r);
    return rc;
}

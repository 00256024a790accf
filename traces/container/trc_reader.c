/*
 * trc_reader.c - from block to block: headers, damage, and what each kind of block is
 * for.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/container/trc_reader.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "traces/container/trc_audit.h"
#include "traces/container/trc_hash.h"
#include "traces/container/trc_reader_own.h"

#define FIND_WINDOW (256u * 1024)
#define PART_READ   (64u * 1024) /* asked for at once where blocks are read in part */

const struct trc_info *trc_reader_info(const struct trc_reader *r)
{
    return &r->info;
}

void trc_reader_want(struct trc_reader *r, unsigned groups)
{
    r->wanted = groups | TRC_READ_SCHEDULE;
    r->columns = 0;
}

void trc_reader_want_columns(struct trc_reader *r, uint32_t columns)
{
    trc_reader_want(r, columns ? trc_columns_groups(columns) : TRC_READ_ALL);
    r->source.least = r->wanted & TRC_READ_PAYLOAD ? 0 : PART_READ;
    r->columns = columns & TRC_WANT_ALL;
}

const struct trc_counts *trc_reader_counts(const struct trc_reader *r)
{
    return r->info.complete ? &r->tally.counts : NULL;
}

const char *trc_reader_note(const struct trc_reader *r, const char *key)
{
    return trc_notes_get(&r->notes, key);
}

bool trc_reader_note_at(const struct trc_reader *r, size_t i, const char **key,
                        const char **value)
{
    if (i >= r->notes.n)
        return false;
    *key = r->notes.v[i].key;
    *value = r->notes.v[i].value;
    return true;
}

uint64_t trc_reader_lost_blocks(const struct trc_reader *r)
{
    return r->lost_blocks;
}

struct trc_loss trc_reader_loss(const struct trc_reader *r)
{
    return (struct trc_loss){r->lost_blocks, r->lost_records, r->loss_from, r->loss_to};
}

/* Counts n blocks with (at least) so many records as lost, between the given times. */
static void count_loss(struct trc_reader *r, uint64_t blocks, uint64_t records,
                       int64_t from_ns, int64_t to_ns)
{
    if (r->lost_blocks == 0 || from_ns < r->loss_from)
        r->loss_from = from_ns;
    if (r->lost_blocks == 0 || to_ns > r->loss_to)
        r->loss_to = to_ns;
    r->lost_blocks += blocks;
    r->lost_records += records;
    r->lossy = true;
    r->data_lost |= !r->in_end;
}

static bool holds_records(unsigned kind)
{
    return kind == TRC_OPS || kind == TRC_OUTCOMES;
}

void trc_block_free(struct trc_block *b)
{
    trc_block_own_free((struct trc_block_own *)(void *)b);
}

void trc_reader_close(struct trc_reader *r)
{
    if (!r)
        return;
    trc_block_own_free(r->held);
    trc_source_close(&r->source);
    trc_unpack_free(r->unpack);
    trc_notes_done(&r->notes);
    trc_tally_done(&r->tally);
    trc_index_done(&r->index);
    trc_blob_cache_done(&r->blobs);
    free(r->path);
    free(r);
}

void trc_reader_rewind(struct trc_reader *r)
{
    trc_source_seek(&r->source, 0);
    trc_block_own_free(r->held);
    r->held = NULL;
    r->loose = r->ended = r->lossy = false;
    r->prev_known = true;
    r->ordinal = r->prev_bytes = 0;
    r->records = r->blob_count = r->lost_blocks = r->lost_records = 0;
    r->torn = r->in_end = r->data_lost = false;
    r->partly = (struct trc_partly){0};
    r->last_ns = 0;
    err_clear(&r->pending);
}

/* --- bytes of a block --- */

int trc_reader_unpack(struct trc_reader *r, const struct trc_head *h, struct span block,
                      uint64_t at, unsigned wanted, uint8_t *raw[TRC_GROUPS],
                      struct err *e)
{
    size_t offset = h->frame_bytes;
    const char *kind = trc_kind_name(h->kind);
    for (int g = 0; g < TRC_GROUPS; g++) {
        struct span frame = span_sub(block, offset, offset + h->packed[g]);
        offset += h->packed[g];
        if (!(wanted & 1u << g) || h->raw[g] == 0)
            continue;
        if (frame.n != h->packed[g] || trc_xxh64(frame.p, frame.n) != h->hash[g])
            return err_at(e, ERR_FORMAT, at,
                          "%s block %" PRIu32 ": %s: checksum mismatch",
                          kind ? kind : "unknown", h->ordinal, trc_group_names[g]);
        raw[g] = malloc(h->raw[g]);
        if (!raw[g])
            return err_set(e, ERR_NOMEM, "out of memory for a block of %u bytes",
                           h->raw[g]);
        struct err inner = {0};
        int rc = trc_unpack_group(r->unpack, frame, raw[g], h->raw[g], &inner);
        if (rc < 0)
            return err_at(e, (enum err_code)rc, at, "%s block %" PRIu32 ": %s: %s",
                          kind ? kind : "unknown", h->ordinal, trc_group_names[g],
                          inner.text);
    }
    return 0;
}

static void free_groups(uint8_t *raw[TRC_GROUPS])
{
    for (int g = 0; g < TRC_GROUPS; g++)
        free(raw[g]);
}

int trc_reader_pread_block(struct trc_reader *r, uint64_t at, struct trc_head *h,
                           struct buf *out, struct err *e)
{
    size_t got, more = 0;
    bool checked;
    buf_reset(out);
    uint8_t *p = buf_grow(out, TRC_HEAD_BYTES);
    if (!p)
        return buf_check(out, e);
    int rc = trc_source_pread(&r->source, at, p, TRC_HEAD_BYTES, &got, e);
    if (rc < 0)
        return rc;
    uint32_t n = got == TRC_HEAD_BYTES ? trc_head_probe(p) : 0;
    if (n == 0)
        return err_at(e, ERR_FORMAT, at, "no block header");
    if (n > got) { /* a later version's, with more fields */
        p = buf_grow(out, n - got);
        if (!p)
            return buf_check(out, e);
        rc = trc_source_pread(&r->source, at + got, p, n - got, &more, e);
        if (rc < 0)
            return rc;
        if (more != n - got)
            return err_at(e, ERR_FORMAT, at, "no block header");
    }
    rc = trc_head_decode(buf_view(out), at, h, &checked, e);
    if (rc < 0)
        return rc;
    if (h->file_id != r->file_id)
        return err_at(e, ERR_FORMAT, at, "a block of another file");
    uint64_t rest = trc_head_block_bytes(h) - n;
    if (at + n + rest > r->source.size && at + n + rest > trc_source_size(&r->source))
        return err_at(e, ERR_TRUNCATED, at,
                      "block of %" PRIu64 " bytes, file of %" PRIu64, n + rest,
                      r->source.size);
    p = buf_grow(out, (size_t)rest);
    if (!p)
        return buf_check(out, e);
    rc = trc_source_pread(&r->source, at + n, p, (size_t)rest, &got, e);
    if (rc == 0 && got != rest)
        rc = err_at(e, ERR_TRUNCATED, at, "block ends early");
    return rc;
}

int trc_reader_take_meta(struct trc_reader *r, const struct trc_head *h,
                         struct span block, uint64_t at, struct err *e)
{
    uint8_t *raw[TRC_GROUPS] = {0};
    struct trc_facts facts;
    int rc = trc_reader_unpack(r, h, block, at, 1u << TRC_SCHEDULE, raw, e);
    if (rc == 0)
        rc = trc_meta_parse(h, span_of(raw[0], raw[0] ? h->raw[0] : 0), at, &facts,
                            &r->notes, e);
    if (rc == 0)
        r->info.epoch_wall_ns = facts.epoch_wall_ns;
    free_groups(raw);
    return rc;
}

/* --- blobs --- */

/* Loads the BLOBS block of a place from a seekable file. */
static int load_place(struct trc_reader *r, struct trc_blob_place *p, struct err *e)
{
    struct trc_head h;
    struct buf block = {0};
    uint8_t *raw[TRC_GROUPS] = {0};
    struct trc_blob_block *b = NULL;
    int rc = trc_reader_pread_block(r, p->offset, &h, &block, e);
    if (rc == 0 && (h.kind != TRC_BLOBS || h.first_index != p->first))
        rc = err_at(e, ERR_FORMAT, p->offset, "no BLOBS block from blob %" PRIu64 " on",
                    p->first);
    if (rc == 0)
        rc = trc_reader_unpack(r, &h, buf_view(&block), p->offset, 1u << TRC_PAYLOAD,
                               raw, e);
    if (rc == 0) {
        rc = trc_blob_block_new(&b, &h, p->offset, raw[TRC_PAYLOAD], e);
        raw[TRC_PAYLOAD] = NULL;
    }
    free_groups(raw);
    buf_done(&block);
    if (rc == 0) {
        trc_blob_cache_put(&r->blobs, p, b);
        trc_blob_cache_trim(&r->blobs, TRC_BLOB_CACHE, p);
    }
    return rc;
}

static int pin(struct trc_block_own *b, struct trc_blob_block *blobs, struct err *e)
{
    for (struct trc_pin *p = b->pins; p; p = p->next)
        if (p->blobs == blobs)
            return 0;
    struct trc_pin *p = arena_alloc(&b->arena, sizeof *p);
    if (!p)
        return err_set(e, ERR_NOMEM, "out of memory for a block");
    *p = (struct trc_pin){trc_blob_block_hold(blobs), b->pins};
    b->pins = p;
    return 0;
}

/* Blob number `blob` for b. 1: *blobs is loaded. 0: it is lost to damage. */
static int find_blob(struct trc_reader *r, const struct trc_block_own *b, uint64_t blob,
                     struct trc_blob_block **blobs, struct err *e)
{
    struct trc_blob_place *p = trc_blob_cache_find(&r->blobs, blob);
    if (!p && r->unread) {
        int rc = trc_reader_need_index(r, e);
        if (rc < 0)
            return rc;
        p = trc_blob_cache_find(&r->blobs, blob);
    }
    const struct trc_blob_place *last = r->blobs.n ? &r->blobs.v[r->blobs.n - 1] : NULL;
    bool behind = p && p->offset >= b->pub.offset;
    if (!p && r->lossy && last && blob < last->first + last->n)
        return 0; /* in a BLOBS block that damage took away */
    if (!p && r->lossy)
        return 0;
    if (!p || behind)
        return err_at(e, ERR_FORMAT, b->pub.offset,
                      "OPS block %" PRIu32 ": blob %" PRIu64
                      " does not stand before the block",
                      b->head.ordinal, blob);
    if (p->lost)
        return 0;
    if (!p->loaded && !r->source.seekable)
        return err_at(e, ERR_LIMIT, b->pub.offset,
                      "OPS block %" PRIu32 ": blob %" PRIu64
                      " lies more than %u bytes back",
                      b->head.ordinal, blob, TRC_BLOB_WINDOW);
    if (!p->loaded) {
        struct err why = {0};
        int rc = load_place(r, p, &why);
        if (rc == ERR_NOMEM || rc == ERR_IO) {
            *e = why;
            return rc;
        }
        if (rc < 0) {
            p->lost = true;
            if (!r->blob_error.code)
                r->blob_error = why;
            return 0;
        }
    }
    *blobs = p->loaded;
    return 1;
}

/* See struct trc_blob_source. */
static int fetch_body(void *arg, struct trc_block_own *b, uint64_t first,
                      uint32_t fragments, struct op_body *out, struct err *e)
{
    struct trc_reader *r = arg;
    uint64_t hash[2] = {0};
    uint8_t *joined = NULL;
    size_t at = 0;
    if (fragments > 1 && !(joined = arena_alloc(&b->arena, (size_t)out->bytes)))
        return err_set(e, ERR_NOMEM, "out of memory for a body");
    for (uint32_t i = 0; i < fragments; i++) {
        struct trc_blob_block *blobs;
        int rc = find_blob(r, b, first + i, &blobs, e);
        if (rc < 0)
            return rc;
        if (rc == 0) {
            out->state = OP_BODY_ELIDED;
            return 0;
        }
        uint64_t k = first + i - blobs->first;
        struct span s = blobs->blobs[k];
        if (s.n > out->bytes - at)
            break;
        at += s.n;
        if (joined) {
            memcpy(joined + at - s.n, s.p, s.n);
            continue;
        }
        if ((rc = pin(b, blobs, e)) < 0)
            return rc;
        out->data = s;
        memcpy(hash, blobs->hashes[k], sizeof hash);
    }
    if (joined) {
        out->data = span_of(joined, at);
        trc_xxh128(joined, at, hash);
    }
    if (at != out->bytes || hash[0] != out->hash[0] || hash[1] != out->hash[1])
        return err_at(e, ERR_FORMAT, b->pub.offset,
                      "%s block %" PRIu32 ": blob %" PRIu64
                      " is not the body that is meant",
                      trc_kind_name(b->head.kind), b->head.ordinal, first);
    return 0;
}

/* --- headers --- */

static bool is_ours(const struct trc_reader *r, const struct trc_head *h)
{
    return r->file_id == 0 || h->file_id == r->file_id;
}

int trc_reader_find_header(struct trc_reader *r, uint64_t limit, struct trc_head *h,
                           struct err *e)
{
    uint64_t from = r->source.pos;
    int rc = trc_source_skip(&r->source, 1, e);
    while (rc == 0 && (limit == 0 || r->source.pos - from < limit)) {
        struct span s;
        rc = trc_source_peek(&r->source, FIND_WINDOW, &s, e);
        if (rc < 0 || s.n < TRC_HEAD_BYTES)
            return rc;
        /* The magic stands 8 bytes behind the frame's start. */
        size_t step = s.n - TRC_HEAD_BYTES + 1;
        for (size_t at = 0; at < step;) {
            const uint8_t *hit = memmem(s.p + at + 8, s.n - at - 8, "\x89TRZ", 4);
            if (!hit || (at = (size_t)(hit - s.p) - 8) >= step)
                break;
            uint32_t n = trc_head_probe(s.p + at);
            bool checked = false;
            if (n > 0 && n <= s.n - at &&
                trc_head_decode(span_of(s.p + at, n), 0, h, &checked, NULL) == 0 &&
                is_ours(r, h)) {
                rc = trc_source_skip(&r->source, at, e);
                return rc < 0 ? rc : 1;
            }
            if (n > s.n - at && at > 0)
                step = at; /* a longer header: look again with more of it in view */
            else
                at++;
        }
        rc = trc_source_skip(&r->source, step, e);
    }
    return rc;
}

/* Nothing valid stands here. Goes to the next header of this file, if there is one. */
static int resync(struct trc_reader *r, struct err *why, struct err *e)
{
    uint64_t at = r->source.pos;
    struct trc_head h;
    int rc = trc_reader_find_header(r, 0, &h, e);
    r->lossy = true;
    if (rc < 0)
        return rc;
    if (rc == 0) {
        count_loss(r, 1, 0, r->last_ns, INT64_MAX);
        r->ended = true;
        return err_at(e, ERR_TRUNCATED, at, "no block of this file from here on: %s",
                      why->text);
    }
    uint64_t skipped = r->source.pos - at;
    r->torn |= h.kind != TRC_INDEX && h.kind != TRC_FOOTER;
    if (h.ordinal >= r->ordinal) {
        if (h.ordinal > r->ordinal)
            count_loss(r, h.ordinal - r->ordinal, 0, r->last_ns,
                       holds_records(h.kind) ? h.t_min : INT64_MAX);
        r->ordinal = h.ordinal;
        r->loose = true;
    }
    return err_at(e, ERR_FORMAT, at, "%s; %" PRIu64 " bytes skipped", why->text,
                  skipped);
}

/* The end of the bytes without a footer. */
static int end_early(struct trc_reader *r, struct err *e)
{
    r->ended = true;
    return err_at(e, ERR_TRUNCATED, r->source.pos,
                  "the file was not closed: it ends without a footer");
}

/* h: the header, when that much is there. */
static int cut_short(struct trc_reader *r, const struct trc_head *h, uint64_t wanted,
                     uint64_t got, struct err *e)
{
    r->ended = true;
    r->in_end |= h && (h->kind == TRC_INDEX || h->kind == TRC_FOOTER);
    count_loss(r, 1, h && holds_records(h->kind) ? h->records : 0, r->last_ns,
               INT64_MAX);
    return err_at(e, ERR_TRUNCATED, r->source.pos,
                  "block %" PRIu32 " is cut off: wanted %" PRIu64
                  " bytes, got %" PRIu64,
                  r->ordinal, wanted, got);
}

/* A header that seems to run past the end of the file: cut off, unless more of the file
 * follows, and then it is its length that is damaged. */
static int cut_or_torn(struct trc_reader *r, uint64_t wanted, uint64_t got,
                       struct err *e)
{
    uint64_t at = r->source.pos;
    struct err why = {0};
    err_set(&why, ERR_FORMAT, "no block header");
    int rc = resync(r, &why, NULL);
    if (rc != ERR_TRUNCATED)
        return rc == ERR_FORMAT
                   ? err_at(e, rc, at, "no block header; %" PRIu64 " bytes skipped",
                            r->source.pos - at)
                   : err_set(e, (enum err_code)rc, "cannot read on");
    return err_at(e, ERR_TRUNCATED, at,
                  "block %" PRIu32 " is cut off: wanted %" PRIu64
                  " bytes, got %" PRIu64,
                  r->ordinal, wanted, got);
}

static bool is_tail(const struct trc_reader *r, struct span s)
{
    uint64_t id, footer;
    return s.n >= TRC_TAIL_BYTES && trc_tail_decode(s.p, &id, &footer) &&
           id == r->file_id;
}

/* The tail without a sound footer in front of it. */
static int end_damaged(struct trc_reader *r, struct err *e)
{
    r->ended = true;
    return err_at(e, ERR_TRUNCATED, r->source.pos,
                  "the file ends without a sound footer");
}

/* The header at the source's place. 1: *h is valid and of this file. Otherwise as
 * trc_reader_next. */
static int take_header(struct trc_reader *r, struct trc_head *h, struct err *e)
{
    struct span s;
    uint64_t at = r->source.pos;
    int rc = trc_source_peek(&r->source, TRC_HEAD_BYTES, &s, e);
    if (rc < 0)
        return rc;
    if (s.n == 0)
        return end_early(r, e);
    struct err why = {0};
    uint32_t n = s.n >= 12 ? trc_head_probe(s.p) : 0;
    if (n > s.n && (rc = trc_source_peek(&r->source, n, &s, e)) < 0)
        return rc;
    if (n == 0 && is_tail(r, s))
        return end_damaged(r, e);
    if (n > s.n || (n == 0 && trc_head_begins(s)))
        return cut_or_torn(r, n ? n : TRC_HEAD_BYTES, s.n, e);
    if (n == 0) {
        err_set(&why, ERR_FORMAT, "no block header");
        return resync(r, &why, e);
    }
    bool checked;
    rc = trc_head_decode(span_sub(s, 0, n), at, h, &checked, &why);
    if (rc == 0 && is_ours(r, h))
        return 1;
    if (rc == 0)
        err_set(&why, ERR_FORMAT, "a block of another file");
    if (!checked || !is_ours(r, h))
        return resync(r, &why, e);
    /* Lengths that the writer signed but that we do not accept: go on behind them. */
    count_loss(r, 1, holds_records(h->kind) ? h->records : 0, h->t_min, h->t_max);
    r->torn = true;
    r->ordinal = h->ordinal + 1;
    r->loose = true;
    if (e && e->code == ERR_OK)
        *e = why;
    int skip = trc_source_skip(&r->source, trc_head_block_bytes(h), NULL);
    return skip < 0 ? skip : rc;
}

/* The ordinal of a block that was not jumped to. 0: it is the one that was expected.
 * Blocks that are missing are told, and theirs is read on the next call; one that comes
 * again is passed over. */
static int check_ordinal(struct trc_reader *r, const struct trc_head *h, struct err *e)
{
    uint64_t at = r->source.pos;
    uint32_t expected = r->ordinal;
    if (r->loose || h->ordinal == expected)
        return 0;
    r->lossy = true;
    r->torn = true;
    if (h->ordinal > expected) {
        count_loss(r, h->ordinal - expected, 0, r->last_ns,
                   holds_records(h->kind) ? h->t_min : INT64_MAX);
        r->ordinal = h->ordinal;
        r->loose = true;
        return err_at(e, ERR_FORMAT, at,
                      "blocks %" PRIu32 " to %" PRIu32 " are missing", expected,
                      h->ordinal - 1);
    }
    r->prev_known = false;
    int rc = trc_source_skip(&r->source, trc_head_block_bytes(h), e);
    return rc < 0 ? rc
                  : err_at(e, ERR_FORMAT, at,
                           "block %" PRIu32 " where block %" PRIu32 " belongs",
                           h->ordinal, expected);
}

/* What the header says about its place in the file. 0: as expected. */
static int check_place(struct trc_reader *r, const struct trc_head *h, struct err *e)
{
    uint64_t at = r->source.pos;
    if (h->resolution_ns != r->info.resolution_ns ||
        h->run != (r->info.kind == TRC_RUN))
        return err_at(e, ERR_FORMAT, at, "block %" PRIu32 ": another kind of file",
                      h->ordinal);
    bool records = holds_records(h->kind);
    uint64_t expected = records ? r->records : r->blob_count;
    if (!r->loose && r->prev_known && h->prev_bytes != r->prev_bytes)
        return err_at(e, ERR_FORMAT, at,
                      "block %" PRIu32 ": the block before has %" PRIu32
                      " bytes, not %" PRIu32,
                      h->ordinal, r->prev_bytes, h->prev_bytes);
    if ((records || h->kind == TRC_BLOBS) &&
        (r->lossy || r->loose ? h->first_index < expected : h->first_index != expected))
        return err_at(e, ERR_FORMAT, at,
                      "block %" PRIu32 ": first index %" PRIu64 " where %" PRIu64
                      " belongs",
                      h->ordinal, h->first_index, expected);
    if (h->kind == TRC_OPS && h->t_min < r->last_ns)
        return err_at(e, ERR_FORMAT, at, "block %" PRIu32 ": arrivals step back",
                      h->ordinal);
    return 0;
}

/* Goes behind the block. */
static int pass(struct trc_reader *r, const struct trc_head *h, struct err *e)
{
    r->loose = false;
    r->prev_known = true;
    r->in_end |= h->kind == TRC_INDEX;
    r->ordinal = h->ordinal + 1;
    r->prev_bytes = (uint32_t)trc_head_block_bytes(h);
    if (holds_records(h->kind)) {
        if (r->lossy && h->first_index > r->records)
            r->lost_records += h->first_index - r->records;
        r->records = h->first_index + h->records;
    }
    if (h->kind == TRC_BLOBS)
        r->blob_count = h->first_index + h->records;
    if (h->kind == TRC_OPS)
        r->last_ns = h->t_max;
    return trc_source_skip(&r->source, trc_head_block_bytes(h), e);
}

/* --- blocks --- */

static void grow_info(struct trc_reader *r, const struct trc_head *h)
{
    struct trc_info *info = &r->info;
    if (info->complete)
        return;
    if (h->ordinal + 1 > info->blocks)
        info->blocks = h->ordinal + 1;
    if (!holds_records(h->kind))
        return;
    if (info->records == 0 || h->t_min < info->first_ns)
        info->first_ns = h->t_min;
    if (info->records == 0 || h->t_max > info->last_ns)
        info->last_ns = h->t_max;
    if (h->first_index + h->records > info->records)
        info->records = h->first_index + h->records;
}

/* The groups that are whole; *lost: bits of the others. */
static int unpack_whole(struct trc_reader *r, const struct trc_head *h,
                        struct span block, uint64_t at, uint8_t *raw[TRC_GROUPS],
                        unsigned *lost, struct err *e)
{
    *lost = 0;
    for (int g = 0; g < TRC_GROUPS; g++) {
        struct err why = {0};
        int rc = trc_reader_unpack(r, h, block, at, 1u << g, raw, &why);
        if (rc == ERR_NOMEM)
            return err_set(e, ERR_NOMEM, "%s", why.text);
        if (rc < 0) {
            free(raw[g]);
            raw[g] = NULL;
            *lost |= 1u << g;
        }
    }
    return 0;
}

/* Whether the others say enough without these. A lost answer or id is none, a lost body
 * is known to have been there; an outcome without its answers would pass for a good
 * one. */
static bool may_lack(unsigned kind, unsigned lost)
{
    unsigned fine = kind == TRC_OPS ? TRC_READ_ANSWERS | TRC_READ_IDS | TRC_READ_PAYLOAD
                                    : TRC_READ_PAYLOAD;
    return (lost & ~fine) == 0;
}

/* Weights stand among the ids: where they matter, these cannot be done without. */
static bool needs_weights(const struct trc_block_own *b, unsigned lost)
{
    bool needed = false;
    for (uint32_t i = 0; lost & TRC_READ_IDS && i < b->pub.count; i++)
        needed |= (b->pub.ops[i].flags & OP_FLAG_SAMPLED) != 0;
    return needed;
}

static void count_partly(struct trc_reader *r, const struct trc_head *h, unsigned lost)
{
    r->torn = true;
    r->partly.blocks++;
    r->partly.records += holds_records(h->kind) ? h->records : 0;
    r->partly.lack_answers += (lost & TRC_READ_ANSWERS) != 0;
    r->partly.lack_ids += (lost & TRC_READ_IDS) != 0;
    r->partly.lack_payload += (lost & TRC_READ_PAYLOAD) != 0;
}

static int take_records(struct trc_reader *r, const struct trc_head *h,
                        struct span block, struct trc_block_own **out, struct err *e)
{
    uint64_t at = r->source.pos;
    bool run = r->info.kind == TRC_RUN;
    if (run != (h->kind == TRC_OUTCOMES))
        return err_at(e, ERR_FORMAT, at, "%s block %" PRIu32 " in a %s",
                      trc_kind_name(h->kind), h->ordinal, run ? "run" : "trace");
    struct trc_block_own *b = calloc(1, sizeof *b);
    if (!b)
        return err_set(e, ERR_NOMEM, "out of memory for a block");
    b->head = *h;
    struct trc_blob_source blobs = {fetch_body, r};
    b->pub.offset = at;
    unsigned lost = 0, wanted = r->wanted;
    int rc = r->salvage ? unpack_whole(r, h, block, at, b->raw, &lost, e) : 0;
    if (rc == 0 && (!r->salvage || !may_lack(h->kind, lost)))
        rc = trc_reader_unpack(r, h, block, at, lost ? lost : wanted, b->raw, e);
    if (lost)
        wanted = (wanted & ~lost) | (lost & TRC_READ_PAYLOAD ? TRC_READ_LACKING : 0);
    if (rc == 0)
        rc = trc_decode_block(b, at, wanted, r->columns, &blobs, e);
    if (rc == 0 && needs_weights(b, lost))
        rc = err_at(e, ERR_FORMAT, at, "OPS block %" PRIu32 ": weights are lost",
                    h->ordinal);
    if (rc == 0 && lost)
        count_partly(r, h, lost);
    if (rc < 0) {
        trc_block_own_free(b);
        return rc;
    }
    *out = b;
    return 1;
}

static int take_blobs(struct trc_reader *r, const struct trc_head *h, struct span block,
                      struct err *e)
{
    uint64_t at = r->source.pos;
    int rc = trc_blob_cache_add(&r->blobs, h->first_index, h->records, at, e);
    if (rc < 0 || r->headers_only || (r->source.seekable && !r->audit && !r->collect))
        return rc;
    uint8_t *raw[TRC_GROUPS] = {0};
    struct trc_blob_block *b;
    struct trc_blob_place *p = trc_blob_cache_find(&r->blobs, h->first_index);
    rc = trc_reader_unpack(r, h, block, at, 1u << TRC_PAYLOAD, raw, e);
    if (rc == 0) {
        rc = trc_blob_block_new(&b, h, at, raw[TRC_PAYLOAD], e);
        raw[TRC_PAYLOAD] = NULL;
    }
    free_groups(raw);
    if (rc < 0 || !p) {
        if (p)
            p->lost = true;
        else if (rc == 0)
            trc_blob_block_drop(b);
        return rc;
    }
    trc_blob_cache_put(&r->blobs, p, b);
    if (r->source.seekable)
        trc_blob_cache_trim(&r->blobs, TRC_BLOB_CACHE, p);
    return 0;
}

/* The footer as it passes by: complete files have told theirs at the open. */
static int take_footer(struct trc_reader *r, const struct trc_head *h,
                       struct span block, struct err *e)
{
    uint64_t at = r->source.pos;
    uint8_t *raw[TRC_GROUPS] = {0};
    struct trc_totals totals = {0};
    struct trc_tally tally = {0};
    int rc = trc_reader_unpack(r, h, block, at, 1u << TRC_SCHEDULE, raw, e);
    if (rc == 0)
        rc = trc_footer_parse(h, span_of(raw[0], raw[0] ? h->raw[0] : 0), at, &totals,
                              &tally, e);
    free_groups(raw);
    if (rc == 0 && r->audit)
        rc = trc_audit_footer(r->audit, &totals, &tally.counts, at, e);
    if (rc == 0 && !r->info.complete) {
        trc_tally_done(&r->tally);
        r->tally = tally;
        r->totals = totals;
        tally = (struct trc_tally){0};
    }
    trc_tally_done(&tally);
    return rc;
}

void trc_reader_adopt_footer(struct trc_reader *r)
{
    struct trc_info *info = &r->info;
    info->complete = true;
    info->records = r->totals.records;
    info->blocks = r->totals.blocks + 1;
    info->first_ns = r->totals.first_ns;
    info->last_ns = r->totals.last_ns;
    info->payload_bytes = r->totals.payload_bytes;
    info->content_hash[0] = r->totals.hash[0];
    info->content_hash[1] = r->totals.hash[1];
}

/* Behind the footer: the tail, and with it the clean end. */
static int take_tail(struct trc_reader *r, uint64_t footer_at, struct err *e)
{
    struct span s;
    uint64_t id, footer;
    int rc = trc_source_peek(&r->source, TRC_TAIL_BYTES, &s, e);
    if (rc < 0)
        return rc;
    r->ended = true;
    if (s.n < TRC_TAIL_BYTES)
        return err_at(e, ERR_TRUNCATED, r->source.pos,
                      "the tail is cut off: wanted %u bytes, got %zu", TRC_TAIL_BYTES,
                      s.n);
    if (!trc_tail_decode(s.p, &id, &footer) || id != r->file_id || footer != footer_at)
        return err_at(e, ERR_FORMAT, r->source.pos, "the tail is damaged");
    rc = trc_source_skip(&r->source, TRC_TAIL_BYTES, e);
    if (rc == 0 && !r->info.complete)
        trc_reader_adopt_footer(r);
    if (rc == 0 && r->audit)
        rc = trc_audit_end(r->audit, r, e);
    return rc;
}

/* How much of a block is read. Hashes of answers are its last group, and half of it
 * where each answer is another; a file that can be sought in spares them. */
static uint64_t bytes_to_load(const struct trc_reader *r, const struct trc_head *h)
{
    bool spared = h->kind == TRC_OUTCOMES && r->source.seekable && !r->audit &&
                  !(r->wanted & TRC_READ_PAYLOAD);
    return trc_head_block_bytes(h) - (spared ? h->packed[TRC_PAYLOAD] : 0);
}

static bool is_cut(struct trc_reader *r, uint64_t end)
{
    return r->source.seekable && end > r->source.size &&
           end > trc_source_size(&r->source);
}

/* One block. 1: *out is a block of records; 2: one that has none; 0: the end. */
static int take_block(struct trc_reader *r, const struct trc_head *h,
                      struct trc_block_own **out, struct err *e)
{
    uint64_t at = r->source.pos;
    bool records = holds_records(h->kind) || h->kind == TRC_LATE;
    bool skip = h->kind == TRC_LATE && !(r->wanted & TRC_READ_ANSWERS);
    bool load = h->kind == TRC_META || h->kind == TRC_FOOTER || r->audit ||
                (r->collect && !r->headers_only) ||
                (!r->headers_only && !skip &&
                 (records || (h->kind == TRC_BLOBS && !r->source.seekable)));
    struct span block = {0};
    uint64_t bytes = trc_head_block_bytes(h), some = load ? bytes_to_load(r, h) : 0;
    int rc = 0;
    if (load) {
        rc = trc_source_peek(&r->source, (size_t)some, &block, e);
        if (rc == 0 && block.n < some)
            return cut_short(r, h, bytes, block.n, e);
    }
    if (rc == 0 && some < bytes && is_cut(r, at + bytes))
        return cut_short(r, h, bytes, r->source.size - at, e);
    if (rc == 0 && r->audit)
        rc = trc_audit_block(r->audit, r, h, block, at, e);
    if (rc < 0)
        return rc;
    switch (h->kind) {
    case TRC_META:
        rc = trc_reader_take_meta(r, h, block, at, e);
        break;
    case TRC_OPS:
    case TRC_OUTCOMES:
    case TRC_LATE:
        if (load && !r->headers_only)
            rc = take_records(r, h, block, out, e);
        break;
    case TRC_BLOBS:
        rc = take_blobs(r, h, block, e);
        break;
    case TRC_FOOTER:
        rc = take_footer(r, h, block, e);
        break;
    default:
        if (!trc_kind_name(h->kind) && (h->kind & TRC_REQUIRED))
            rc = err_at(e, ERR_FORMAT, at,
                        "block %" PRIu32 " is of kind 0x%02x, which must be understood "
                        "and is not known to this version",
                        h->ordinal, h->kind);
    }
    return rc < 0 ? rc : rc == 1 ? 1 : 2;
}

/* Gives a block out, or keeps it while an error about its blobs is told first. */
static int hand_over(struct trc_reader *r, struct trc_block_own *b,
                     struct trc_block **out, struct err *e)
{
    if (!r->source.seekable)
        trc_blob_cache_slide(&r->blobs, TRC_BLOB_WINDOW);
    if (r->blob_error.code) {
        r->held = b;
        r->torn = true;
        count_loss(r, 1, 0, b->head.t_min, b->head.t_max);
        int rc = r->blob_error.code;
        *e = r->blob_error;
        err_clear(&r->blob_error);
        err_note(e, "'%s'", r->path);
        return rc;
    }
    *out = &b->pub;
    return 1;
}

/* A block that was there in full but cannot be read. */
static int lose(struct trc_reader *r, const struct trc_head *h, int rc, struct err *e)
{
    if (rc == ERR_NOMEM || rc == ERR_IO || r->ended)
        return rc;
    r->in_end |= h->kind == TRC_INDEX || h->kind == TRC_FOOTER;
    r->torn |= !r->in_end;
    count_loss(r, 1, holds_records(h->kind) ? h->records : 0,
               holds_records(h->kind) ? h->t_min : r->last_ns,
               holds_records(h->kind) ? h->t_max : r->last_ns);
    err_clear(&r->blob_error);
    int skip = pass(r, h, e);
    return skip < 0 ? skip : rc;
}

/* A survey builds the index that the file lacks. */
static int note_entry(struct trc_reader *r, const struct trc_head *h, uint64_t at,
                      struct err *e)
{
    struct trc_entry entry = {at,       h->first_index, h->t_min,
                              h->t_max, h->records,     h->kind};
    if (h->kind == TRC_INDEX || h->kind == TRC_FOOTER)
        return 0;
    r->survey_end = at + trc_head_block_bytes(h);
    return trc_index_add(&r->index, &entry, e);
}

static int next(struct trc_reader *r, struct trc_block_own **out, struct err *e)
{
    for (;;) {
        struct trc_head h;
        uint64_t at = r->source.pos;
        int passed, rc = take_header(r, &h, e);
        if (rc <= 0)
            return rc;
        rc = check_ordinal(r, &h, e);
        if (rc < 0)
            return rc;
        rc = check_place(r, &h, e);
        if (rc == 0)
            rc = take_block(r, &h, out, e);
        if (rc < 0)
            return lose(r, &h, rc, e);
        grow_info(r, &h);
        if (r->collect && (passed = note_entry(r, &h, at, e)) < 0)
            return passed;
        passed = pass(r, &h, e);
        if (passed < 0)
            return passed;
        if (rc == 1 || h.kind == TRC_FOOTER)
            return rc == 1 ? 1 : take_tail(r, at, e);
    }
}

int trc_reader_next(struct trc_reader *r, struct trc_block **b, struct err *e)
{
    *b = NULL;
    struct err local = {0};
    if (!e)
        e = &local;
    if (r->pending.code) {
        int rc = r->pending.code;
        *e = r->pending;
        err_clear(&r->pending);
        err_note(e, "'%s'", r->path);
        return rc;
    }
    if (r->held) {
        *b = &r->held->pub;
        r->held = NULL;
        return 1;
    }
    if (r->ended)
        return 0;
    struct trc_block_own *own = NULL;
    int rc = next(r, &own, e);
    if (rc == 1)
        return hand_over(r, own, b, e);
    if (rc < 0)
        err_note(e, "'%s'", r->path);
    return rc;
}

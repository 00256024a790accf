/*
 * trc_open.c - opening a file: its first block, its footer and index; seeking.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/container/trc_reader.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "traces/container/trc_reader_own.h"

#define FIRST_LIMIT                                                                    \
    (1u << 20) /* how far a first header is looked for when byte 0 has none */
#define END_BYTES (64u << 10) /* of a file's end, read at once */

static void adopt_head(struct trc_reader *r, const struct trc_head *h)
{
    r->file_id = h->file_id;
    r->info.kind = h->run ? TRC_RUN : TRC_TRACE;
    r->info.version_major = TRC_MAJOR;
    r->info.version_minor = h->minor;
    r->info.resolution_ns = h->resolution_ns;
}

/* No valid header at byte 0: one soon behind it makes this a damaged file of ours. */
static int first_header_later(struct trc_reader *r, const struct err *why,
                              struct err *e)
{
    struct trc_head h;
    int rc = trc_reader_find_header(r, FIRST_LIMIT, &h, e);
    if (rc < 0)
        return rc;
    if (rc == 0) {
        if (e && e->code == ERR_OK)
            *e = *why;
        return why->code;
    }
    adopt_head(r, &h);
    err_at(&r->pending, ERR_FORMAT, 0, "%s; %" PRIu64 " bytes skipped", why->text,
           r->source.pos);
    r->lost_blocks = h.ordinal;
    r->loss_to = h.t_min;
    r->torn = r->data_lost = true;
    r->ordinal = h.ordinal;
    r->loose = true;
    r->lossy = true;
    return 0;
}

/* Learns from the first block what the file is; consumes nothing of a sound one. */
static int first_block(struct trc_reader *r, struct err *e)
{
    struct span s;
    struct trc_head h;
    struct err why = {0};
    bool checked;
    int rc = trc_source_peek(&r->source, TRC_HEAD_BYTES, &s, e);
    if (rc < 0)
        return rc;
    if (s.n == 0)
        return err_set(e, ERR_TRUNCATED, "the file is empty");
    uint32_t n = s.n >= 12 ? trc_head_probe(s.p) : 0;
    if (n > s.n && (rc = trc_source_peek(&r->source, n, &s, e)) < 0)
        return rc;
    if (n > s.n || (n == 0 && trc_head_begins(s)))
        err_at(&why, ERR_TRUNCATED, s.n, "the file ends within its first header");
    else if (n == 0)
        err_at(&why, ERR_FORMAT, 0, "not a trace or run: no block header");
    if (why.code)
        return first_header_later(r, &why, e);
    rc = trc_head_decode(s, 0, &h, &checked, &why);
    if (rc < 0)
        return first_header_later(r, &why, e);
    adopt_head(r, &h);
    uint64_t bytes = trc_head_block_bytes(&h);
    if (h.kind != TRC_META || h.ordinal != 0)
        return 0;
    rc = trc_source_peek(&r->source, (size_t)bytes, &s, e);
    if (rc < 0)
        return rc;
    /* Damage to it is no matter here: it is told when the block passes. */
    rc = s.n == bytes ? trc_reader_take_meta(r, &h, s, 0, NULL) : 0;
    return rc == ERR_NOMEM ? err_set(e, rc, "out of memory for notes") : 0;
}

static int read_index(struct trc_reader *r, uint64_t footer_at, struct buf *block,
                      struct err *e)
{
    uint64_t at = r->totals.index_offset;
    struct trc_head h;
    for (uint64_t i = 0; i < r->totals.index_blocks; i++) {
        uint8_t *raw[TRC_GROUPS] = {0};
        int rc = trc_reader_pread_block(r, at, &h, block, e);
        if (rc == 0 && h.kind != TRC_INDEX)
            rc = err_at(e, ERR_FORMAT, at, "no INDEX block");
        if (rc == 0)
            rc = trc_reader_unpack(r, &h, buf_view(block), at, 1, raw, e);
        if (rc == 0)
            rc = trc_index_parse(&r->index, &h, span_of(raw[0], raw[0] ? h.raw[0] : 0),
                                 at, footer_at, e);
        free(raw[0]);
        if (rc < 0)
            return rc;
        at += trc_head_block_bytes(&h);
    }
    return at == footer_at ? 0 : err_at(e, ERR_FORMAT, at, "no FOOTER block");
}

static int read_footer(struct trc_reader *r, uint64_t at, struct buf *block,
                       struct err *e)
{
    struct trc_head h;
    uint8_t *raw[TRC_GROUPS] = {0};
    int rc = trc_reader_pread_block(r, at, &h, block, e);
    if (rc == 0 && h.kind != TRC_FOOTER)
        rc = err_at(e, ERR_FORMAT, at, "no FOOTER block");
    if (rc == 0)
        rc = trc_reader_unpack(r, &h, buf_view(block), at, 1, raw, e);
    if (rc == 0)
        rc = trc_footer_parse(&h, span_of(raw[0], raw[0] ? h.raw[0] : 0), at,
                              &r->totals, &r->tally, e);
    free(raw[0]);
    return rc;
}

static int read_later_meta(struct trc_reader *r, uint64_t at, struct buf *block,
                           struct err *e)
{
    struct trc_head h;
    int rc = trc_reader_pread_block(r, at, &h, block, e);
    if (rc == 0 && h.kind == TRC_META)
        rc = trc_reader_take_meta(r, &h, buf_view(block), at, e);
    return rc;
}

/* The blobs' places. */
static int use_index(struct trc_reader *r, struct err *e)
{
    uint64_t blobs = 0;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < r->index.n; i++) {
        const struct trc_entry *x = &r->index.v[i];
        if (x->kind != TRC_BLOBS)
            continue;
        if (x->first_index < blobs)
            return err_at(e, ERR_FORMAT, x->offset, "blobs of the index do not ascend");
        blobs = x->first_index + x->records;
        rc = trc_blob_cache_add(&r->blobs, x->first_index, x->records, x->offset, e);
    }
    return rc;
}

int trc_reader_need_index(struct trc_reader *r, struct err *e)
{
    if (!r->unread)
        return 0;
    r->unread = false;
    struct buf block = {0};
    struct err why = {0};
    int rc = read_index(r, r->footer_at, &block, &why);
    if (rc == 0)
        rc = use_index(r, &why);
    buf_done(&block);
    if (rc == 0)
        return 0;
    trc_index_done(&r->index);
    r->indexed = false;
    return rc == ERR_NOMEM || rc == ERR_IO
               ? err_set(e, (enum err_code)rc, "%s", why.text)
               : 0;
}

/* Footer and later notes of a file whose footer tells where they are; else those of the
 * index, which is read. */
static int read_parts(struct trc_reader *r, struct buf *block)
{
    int rc = read_footer(r, r->footer_at, block, NULL);
    if (rc < 0)
        return rc;
    r->indexed = r->unread = true;
    struct trc_places places = r->totals.places;
    if (!places.known) {
        rc = trc_reader_need_index(r, NULL);
        if (rc == 0 && !r->indexed)
            rc = ERR_FORMAT;
        for (size_t i = 1; rc == 0 && i < r->index.n; i++)
            if (r->index.v[i].kind == TRC_META && places.meta_count < TRC_METAS_MAX)
                places.metas[places.meta_count++] = r->index.v[i].offset;
    }
    for (uint32_t i = 0; rc == 0 && i < places.meta_count; i++)
        rc = read_later_meta(r, places.metas[i], block, NULL);
    return rc;
}

/* Footer, index and later notes, when the file has them and they are sound; else the
 * file counts as incomplete, and what is wrong with it is told when it passes. The end
 * of the file is read at once, whatever stands in it. */
static void read_end(struct trc_reader *r)
{
    uint8_t tail[TRC_TAIL_BYTES];
    uint64_t id, size = r->source.size;
    size_t got, end = size < END_BYTES ? (size_t)size : END_BYTES;
    if (size < TRC_TAIL_BYTES + TRC_HEAD_BYTES ||
        trc_source_keep(&r->source, size - end, end, NULL) < 0 ||
        trc_source_pread(&r->source, size - TRC_TAIL_BYTES, tail, sizeof tail, &got,
                         NULL) < 0 ||
        got != sizeof tail || !trc_tail_decode(tail, &id, &r->footer_at) ||
        id != r->file_id || r->footer_at >= size)
        return;
    struct buf block = {0};
    int rc = read_parts(r, &block);
    buf_done(&block);
    if (rc < 0) {
        trc_tally_done(&r->tally);
        trc_index_done(&r->index);
        r->indexed = r->unread = false;
        return;
    }
    trc_reader_adopt_footer(r);
}

int trc_reader_open(struct trc_reader **out, const char *path, struct err *e)
{
    return trc_reader_open_until(out, path, NULL, NULL, e);
}

int trc_reader_open_until(struct trc_reader **out, const char *path,
                          bool (*stopped)(void *arg), void *arg, struct err *e)
{
    *out = NULL;
    struct trc_reader *r = calloc(1, sizeof *r);
    if (!r)
        return err_set(e, ERR_NOMEM, "out of memory for '%s'", path);
    r->source.fd = -1;
    r->wanted = TRC_READ_ALL;
    r->prev_known = true;
    r->path = strdup(path);
    r->unpack = trc_unpack_new();
    if (!r->path || !r->unpack) {
        trc_reader_close(r);
        return err_set(e, ERR_NOMEM, "out of memory for '%s'", path);
    }
    int rc = trc_source_open(&r->source, path, e);
    if (rc < 0) {
        trc_reader_close(r);
        return rc;
    }
    r->source.stopped = stopped;
    r->source.stopped_arg = arg;
    struct err why = {0};
    rc = first_block(r, &why);
    if (rc < 0) {
        err_note(&why, "'%s'", path);
        if (e && e->code == ERR_OK)
            *e = why;
        trc_reader_close(r);
        return rc;
    }
    r->info.file_bytes = r->source.size;
    if (r->source.seekable)
        read_end(r);
    rc = trc_source_keep(&r->source, 0, 0, NULL); /* lets go of the end */
    assert(rc == 0);
    *out = r;
    return 0;
}

/* --- moving about --- */

/* Header by header, without records: fills r->index and what info can know. */
int trc_reader_survey(struct trc_reader *r, struct err *e)
{
    if (!r->source.seekable)
        return err_set(e, ERR_USAGE, "'%s' is a pipe", r->path);
    if (r->indexed) {
        trc_reader_rewind(r);
        return 0;
    }
    trc_reader_rewind(r);
    r->headers_only = r->collect = true;
    r->source.least = TRC_HEAD_BYTES; /* what stands between headers is skipped */
    trc_index_done(&r->index);
    int rc;
    struct trc_block *b;
    do
        rc = trc_reader_next(r, &b, NULL);
    while (!r->ended && rc != ERR_NOMEM && rc != ERR_IO);
    uint64_t lost = r->lost_blocks;
    r->headers_only = r->collect = false;
    r->source.least = 0;
    r->indexed = rc != ERR_NOMEM && rc != ERR_IO;
    trc_reader_rewind(r);
    r->lost_blocks = lost;
    return r->indexed ? 0 : err_set(e, (enum err_code)rc, "cannot read '%s'", r->path);
}

bool trc_reader_has_late(const struct trc_reader *r)
{
    if (r->unread)
        return r->totals.places.late_blocks > 0;
    for (size_t i = 0; i < r->index.n; i++)
        if (r->index.v[i].kind == TRC_LATE)
            return true;
    return !r->indexed;
}

static bool holds(const struct trc_reader *r, const struct trc_entry *x, int64_t ns)
{
    return x->kind == (r->info.kind == TRC_RUN ? TRC_OUTCOMES : TRC_OPS) &&
           x->t_max >= ns;
}

int trc_reader_seek(struct trc_reader *r, int64_t arrival_ns, struct err *e)
{
    int rc = trc_reader_need_index(r, e);
    if (rc == 0)
        rc = trc_reader_survey(r, e);
    if (rc < 0)
        return rc;
    size_t i = 0;
    while (i < r->index.n && !holds(r, &r->index.v[i], arrival_ns))
        i++;
    uint64_t to = i < r->index.n     ? r->index.v[i].offset
                  : r->info.complete ? r->totals.index_offset
                                     : r->source.size;
    if (i == r->index.n && r->index.n && !r->info.complete)
        to = r->survey_end;
    trc_source_seek(&r->source, to);
    r->loose = true;
    return 0;
}

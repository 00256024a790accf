/*
 * trc_writer.c - see trc_writer.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/container/trc_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "traces/container/trc_encode.h"
#include "traces/container/trc_hash.h"
#include "traces/container/trc_plain.h"
#include "traces/container/trc_writer_own.h"
#include "traces/container/trc_zstd.h"

#define BLOCK_RECORDS     16384u
#define BLOCK_RECORDS_MAX 131072u /* so that columns alone stay below TRC_RAW_MAX */
#define LEVEL             2
#define LEVEL_MAX         19 /* beyond it zstd's window may exceed TRC_WINDOW_LOG_MAX */
#define PAYS_SHARE        8u /* compressing bodies pays from one part in so many on */
#define LATE_RECORDS      4096u
#define WRITEOUT_BYTES    (8u << 20)

struct trc_writer {
    struct trc_options options;
    char *path;
    int fd;
    bool regular; /* can be cut back after a failed write */
    bool broken;  /* a failure after which nothing more may be written */
    bool choosy;  /* no level was asked for: bodies are compressed where that pays */
    bool full; /* the block goes out before the next record: late answers may still join
                */
    bool flagged;   /* LATE has an answer with flags to an operation of the block in the
                       making: none joins these any more, it would be taken for older */
    bool meta_done; /* the first META is written: later notes go to the second */
    uint64_t offset, file_id;
    uint64_t sent_out; /* up to where the disk was told to begin */
    uint32_t ordinal, prev_bytes, flushes;
    struct trc_facts facts;
    struct trc_notes notes, late_notes;
    struct trc_build build, late;
    struct trc_blob_memory blobs;
    struct trc_index index;
    struct trc_tally tally;
    struct trc_totals totals;
    uint64_t plain_bytes;   /* written as plain blobs since the last flush */
    int64_t last_arrival;   /* in units; -1: none yet */
    struct clk_mono opened; /* when the block got its first record */
    struct clk_mono synced; /* when the file was last made sure to be on disk */
    struct trc_pack *pack;
    struct trc_group_out groups[TRC_GROUPS];
    struct buf packed[TRC_GROUPS];
    struct trc_plain plain[TRC_GROUPS];
    struct iovec *out; /* of one block */
    size_t out_cap;
};

static void free_writer(struct trc_writer *w)
{
    if (w->fd >= 0)
        close(w->fd);
    trc_build_done(&w->build);
    trc_build_done(&w->late);
    trc_blob_memory_done(&w->blobs);
    trc_index_done(&w->index);
    trc_tally_done(&w->tally);
    trc_notes_done(&w->notes);
    trc_notes_done(&w->late_notes);
    trc_pack_free(w->pack);
    for (int g = 0; g < TRC_GROUPS; g++) {
        trc_group_out_done(&w->groups[g]);
        buf_done(&w->packed[g]);
        trc_plain_done(&w->plain[g]);
    }
    free(w->out);
    free(w->path);
    free(w);
}

static int check_options(struct trc_options *o, struct err *e)
{
    if (o->resolution_ns == 0)
        o->resolution_ns = 1;
    if (o->resolution_ns != 1 && o->resolution_ns != 1000 &&
        o->resolution_ns != 1000000)
        return err_set(e, ERR_USAGE,
                       "resolution of %" PRId64 " ns: use 1, 1000 or 1000000",
                       o->resolution_ns);
    if (o->kind == TRC_RUN && o->resolution_ns != 1)
        return err_set(e, ERR_USAGE, "a run is kept to the nanosecond");
    if ((o->level < 0 && o->level != TRC_LEVEL_STORE) || o->level > LEVEL_MAX)
        return err_set(e, ERR_USAGE, "compression level %d: use 1 to %d", o->level,
                       LEVEL_MAX);
    if (o->plain_from != 0 && o->plain_from < TRC_PLAIN_MIN)
        return err_set(e, ERR_USAGE,
                       "bodies are plain from %u bytes on: use %u or more",
                       o->plain_from, TRC_PLAIN_MIN);
    if (o->block_records == 0)
        o->block_records = BLOCK_RECORDS;
    if (o->block_records > BLOCK_RECORDS_MAX)
        return err_set(e, ERR_USAGE, "blocks of %u records: limit %u", o->block_records,
                       BLOCK_RECORDS_MAX);
    if (!o->clk)
        o->clk = clk_system();
    return 0;
}

static int open_output(struct trc_writer *w, bool fresh, struct err *e)
{
    int flags = O_WRONLY | O_CLOEXEC | (fresh ? O_CREAT | O_TRUNC : 0);
    bool standard = strcmp(w->path, "-") == 0;
    w->fd = standard ? fcntl(1, F_DUPFD_CLOEXEC, 3) : open(w->path, flags, 0666);
    if (w->fd < 0)
        return err_sys(e, errno, "cannot write '%s'", w->path);
    struct stat st;
    w->regular = !standard && fstat(w->fd, &st) == 0 && S_ISREG(st.st_mode);
    return 0;
}

static int write_plain(void *arg, struct span blob, struct err *e);

static int open_writer(struct trc_writer **out, const char *path,
                       const struct trc_options *options, bool fresh, struct err *e)
{
    *out = NULL;
    struct trc_writer *w = calloc(1, sizeof *w);
    if (!w)
        return err_set(e, ERR_NOMEM, "out of memory for '%s'", path);
    w->fd = -1;
    w->options = *options;
    w->last_arrival = -1;
    w->path = strdup(path);
    int rc = check_options(&w->options, e);
    w->choosy = w->options.level == 0;
    if (w->choosy)
        w->options.level = LEVEL;
    w->blobs.trusted = w->options.trust_hashes;
    w->blobs.plain_from = w->options.plain_from;
    w->blobs.plain_all = w->options.level == TRC_LEVEL_STORE;
    w->blobs.write_plain = write_plain;
    w->blobs.arg = w;
    w->facts = (struct trc_facts){.run = w->options.kind == TRC_RUN,
                                  .epoch_wall_ns = w->options.epoch_wall_ns};
    if (rc == 0)
        rc = trc_build_init(&w->build, w->facts.run, w->options.resolution_ns,
                            w->options.block_records, e);
    w->pack = trc_pack_new();
    if (rc == 0 && (!w->path || !w->pack))
        rc = err_set(e, ERR_NOMEM, "out of memory for '%s'", path);
    if (rc == 0)
        rc = open_output(w, fresh, e);
    if (rc < 0) {
        free_writer(w);
        return rc;
    }
    *out = w;
    return 0;
}

int trc_writer_open(struct trc_writer **out, const char *path,
                    const struct trc_options *options, struct err *e)
{
    return open_writer(out, path, options, true, e);
}

int trc_writer_resume(struct trc_writer **out, const char *path,
                      const struct trc_options *options, struct trc_resume *at,
                      struct err *e)
{
    struct trc_options o = *options;
    o.block_records = 1; /* no record is to come */
    int rc = open_writer(out, path, &o, false, e);
    if (rc < 0)
        return rc;
    struct trc_writer *w = *out;
    w->meta_done = true;
    w->file_id = at->file_id;
    w->offset = at->offset;
    w->ordinal = at->ordinal;
    w->prev_bytes = at->prev_bytes;
    w->totals = at->totals;
    w->blobs.count = at->totals.blobs;
    w->index = at->index;
    w->tally = at->tally;
    at->index = (struct trc_index){0};
    at->tally = (struct trc_tally){0};
    if (lseek(w->fd, (off_t)at->offset, SEEK_SET) < 0) {
        err_sys(e, errno, "cannot go to byte %" PRIu64 " of '%s'", at->offset, path);
        free_writer(w);
        *out = NULL;
        return ERR_IO;
    }
    return 0;
}

int trc_writer_note(struct trc_writer *w, const char *key, const char *value,
                    struct err *e)
{
    const char *old = trc_notes_get(&w->notes, key);
    if (old && strcmp(old, value) == 0)
        return 0;
    int rc = trc_notes_set(&w->notes, span_str(key), span_str(value), e);
    if (rc == 0 && w->meta_done)
        rc = trc_notes_set(&w->late_notes, span_str(key), span_str(value), e);
    return rc;
}

/* --- blocks out --- */

/* Writes all parts, or cuts the file back to where it was. */
static int write_all(struct trc_writer *w, struct iovec *v, size_t n, struct err *e)
{
    uint64_t done = 0;
    while (n > 0) {
        ssize_t k = writev(w->fd, v, n < IOV_MAX ? (int)n : IOV_MAX);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0) {
            int sys = k < 0 ? errno : ENOSPC;
            w->broken = true;
            err_sys(e, sys, "cannot write '%s' at byte %" PRIu64, w->path,
                    w->offset + done);
            if (w->regular && ftruncate(w->fd, (off_t)w->offset) < 0)
                return err_note(e, "cannot cut back to byte %" PRIu64, w->offset);
            return ERR_IO;
        }
        done += (uint64_t)k;
        size_t left = (size_t)k;
        while (n > 0 && left >= v->iov_len) {
            left -= v->iov_len;
            v++;
            n--;
        }
        if (n > 0) {
            v->iov_base = (uint8_t *)v->iov_base + left;
            v->iov_len -= left;
        }
    }
    w->offset += done;
    return 0;
}

/* The disk begins with what will be synced: of large bodies so much comes until then
 * that who writes would wait for long. A failure shows in the sync. */
static void begin_writeout(struct trc_writer *w)
{
    if (w->options.flush_ns <= 0 || !w->regular ||
        w->offset - w->sent_out < WRITEOUT_BYTES)
        return;
    (void)sync_file_range(w->fd, (off_t)w->sent_out, (off_t)(w->offset - w->sent_out),
                          SYNC_FILE_RANGE_WRITE);
    w->sent_out = w->offset;
}

static int sync_file(struct trc_writer *w, struct err *e)
{
    if (fdatasync(w->fd) == 0 || errno == EINVAL || errno == EROFS || errno == ENOTSUP)
        return 0; /* pipes and their like have nothing to sync */
    w->broken = true;
    return err_sys(e, errno, "cannot sync '%s'", w->path);
}

/* Room for the pieces of a block. */
static int room_out(struct trc_writer *w, size_t n, struct err *e)
{
    if (n <= w->out_cap)
        return 0;
    struct iovec *v = realloc(w->out, 2 * n * sizeof *v);
    if (!v)
        return err_set(e, ERR_NOMEM, "out of memory for a block");
    w->out = v;
    w->out_cap = 2 * n;
    return 0;
}

/* What is not records has one level, so that a repaired file ends like a closed one. */
static int level_of(const struct trc_writer *w, const struct trc_head *h)
{
    return h->kind == TRC_OPS || h->kind == TRC_OUTCOMES || h->kind == TRC_LATE ||
                   h->kind == TRC_BLOBS
               ? w->options.level
               : LEVEL;
}

/* Compresses group g. *plain: as it is, it is better kept. Random numbers lose a tenth
 * or less (their exponents are alike, their fractions are not), and whoever replays
 * them would pay a microsecond for each KiB to have it back. */
static int pack_group(struct trc_writer *w, int level, int g, bool *plain,
                      struct err *e)
{
    const size_t raw = w->groups[g].raw.n;
    int rc = trc_pack_group(w->pack, level, &w->groups[g], &w->packed[g], e);
    *plain = w->choosy && g == TRC_PAYLOAD && w->packed[g].n > raw - raw / PAYS_SHARE;
    return rc;
}

/* Makes a frame of group g (and of back, joined to it), and adds its pieces to w->out,
 * which has *n. */
static int frame_group(struct trc_writer *w, struct trc_head *h, int g,
                       struct span back, size_t *n, struct err *e)
{
    const struct buf *raw = &w->groups[g].raw;
    struct iovec one;
    const struct iovec *v = &one;
    size_t count = 1;
    int level = level_of(w, h), rc = 0;
    bool plain = level == TRC_LEVEL_STORE || back.n;
    if (!plain)
        rc = pack_group(w, level, g, &plain, e);
    if (rc == 0 && plain) {
        rc = trc_plain_frame(&w->plain[g], buf_view(raw), back, e);
        v = w->plain[g].v;
        count = w->plain[g].n;
        h->packed[g] = (uint32_t)w->plain[g].bytes;
    } else {
        one = (struct iovec){w->packed[g].p, w->packed[g].n};
        h->packed[g] = (uint32_t)one.iov_len;
    }
    h->raw[g] = (uint32_t)(raw->n + back.n);
    if (rc == 0)
        rc = room_out(w, *n + count, e);
    if (rc < 0)
        return rc;
    h->hash[g] = trc_xxh64_pieces(v, count);
    memcpy(w->out + *n, v, count * sizeof *v);
    *n += count;
    return 0;
}

/* Frames w->groups and writes the block that h describes but for its lengths. back: the
 * end of its payload, or empty. */
static int write_block(struct trc_writer *w, struct trc_head *h, struct span back,
                       struct err *e)
{
    h->frame_bytes = TRC_HEAD_BYTES;
    h->run = w->facts.run;
    h->resolution_ns = w->options.resolution_ns;
    h->ordinal = w->ordinal;
    h->prev_bytes = w->prev_bytes;
    h->file_id = w->file_id;
    uint8_t head[TRC_HEAD_BYTES];
    size_t n = 1;
    int rc = room_out(w, n, e);
    for (int g = 0; rc == 0 && g < TRC_GROUPS; g++)
        if (w->groups[g].raw.n > 0)
            rc =
                frame_group(w, h, g, g == TRC_PAYLOAD ? back : (struct span){0}, &n, e);
    if (rc < 0) {
        w->broken = true;
        return err_note(e, "writing '%s'", w->path);
    }
    trc_head_encode(h, head);
    w->out[0] = (struct iovec){head, sizeof head};
    struct trc_entry entry = {w->offset, h->first_index, h->t_min,
                              h->t_max,  h->records,     h->kind};
    rc = write_all(w, w->out, n, e);
    begin_writeout(w);
    if (rc == 0 && h->kind != TRC_INDEX && h->kind != TRC_FOOTER)
        rc = trc_index_add(&w->index, &entry, e);
    w->prev_bytes = (uint32_t)trc_head_block_bytes(h);
    w->ordinal++;
    for (int g = 0; g < TRC_GROUPS; g++)
        trc_group_out_reset(&w->groups[g]);
    return rc;
}

static int write_meta(struct trc_writer *w, const struct trc_notes *notes,
                      struct err *e)
{
    struct trc_group_out *g = &w->groups[0];
    trc_meta_put(&w->facts, notes, g);
    int rc = buf_check(&g->raw, e);
    if (rc < 0)
        return rc;
    if (w->file_id == 0)
        w->file_id = w->options.file_id;
    if (w->file_id == 0) {
        /* Equal beginnings give equal ids, so that equal input gives equal bytes. */
        uint64_t seed[5] = {trc_xxh64(g->raw.p, g->raw.n),
                            (uint64_t)w->options.resolution_ns, w->totals.hash[0],
                            w->totals.hash[1], w->totals.records};
        w->file_id = trc_xxh64(seed, sizeof seed);
        w->file_id += w->file_id == 0;
    }
    struct trc_head h = {.kind = TRC_META, .records = (uint32_t)notes->n};
    return write_block(w, &h, (struct span){0}, e);
}

static int ensure_meta(struct trc_writer *w, struct err *e)
{
    if (w->meta_done)
        return 0;
    w->meta_done = true;
    return write_meta(w, &w->notes, e);
}

/* The blobs that wait, in BLOBS blocks of at most TRC_BLOB_MAX bytes. */
static int write_blobs(struct trc_writer *w, struct err *e)
{
    struct trc_blob_memory *m = &w->blobs;
    uint64_t first = m->count - m->pending_count;
    size_t at = 0;
    for (size_t i = 0; i < m->pending_count;) {
        size_t n = 0, bytes = 0;
        while (i + n < m->pending_count && n < TRC_RECORDS_MAX &&
               bytes + (size_t)m->lengths[i + n] <= TRC_BLOB_MAX)
            bytes += (size_t)m->lengths[i + n++];
        struct trc_group_out *g = &w->groups[TRC_PAYLOAD];
        trc_put_ints(g, TRC_COL_BLOB_BYTES, true, m->lengths + i, n, 0);
        trc_put_bytes(g, TRC_COL_BLOBS, true, span_of(m->pending.p + at, bytes));
        int rc = buf_check(&g->raw, e);
        struct trc_head h = {
            .kind = TRC_BLOBS, .records = (uint32_t)n, .first_index = first + i};
        if (rc == 0)
            rc = write_block(w, &h, (struct span){0}, e);
        if (rc < 0)
            return rc;
        i += n;
        at += bytes;
    }
    m->pending_count = 0;
    buf_reset(&m->pending);
    return 0;
}

/* See trc_blob_memory.write_plain. */
static int write_plain(void *arg, struct span blob, struct err *e)
{
    struct trc_writer *w = arg;
    int rc = ensure_meta(w, e);
    if (rc == 0)
        rc = write_blobs(w, e); /* they have the numbers before it */
    if (rc < 0)
        return rc;
    struct trc_group_out *g = &w->groups[TRC_PAYLOAD];
    const int64_t length = (int64_t)blob.n;
    trc_put_ints(g, TRC_COL_BLOB_BYTES, true, &length, 1, 0);
    trc_put_head(g, TRC_COL_BLOBS, true, blob.n);
    rc = buf_check(&g->raw, e);
    struct trc_head h = {
        .kind = TRC_BLOBS, .records = 1, .first_index = w->blobs.count};
    w->plain_bytes += blob.n;
    return rc < 0 ? rc : write_block(w, &h, blob, e);
}

static int write_late(struct trc_writer *w, struct err *e)
{
    int rc = trc_encode_late(&w->late, w->groups, e);
    struct trc_head h = {
        .kind = TRC_LATE, .records = w->late.n, .first_index = w->totals.records};
    if (rc == 0)
        rc = write_block(w, &h, (struct span){0}, e);
    trc_build_reset(&w->late);
    return rc;
}

static int write_records(struct trc_writer *w, struct err *e)
{
    struct trc_build *b = &w->build;
    bool run = w->facts.run;
    int rc =
        run ? trc_encode_outcomes(b, w->groups, e) : trc_encode_ops(b, w->groups, e);
    struct trc_head h = {.kind = run ? TRC_OUTCOMES : TRC_OPS,
                         .records = b->n,
                         .first_index = w->totals.records - b->n,
                         .t_min = b->t_min,
                         .t_max = b->t_max};
    if (rc == 0)
        rc = write_block(w, &h, (struct span){0}, e);
    for (uint32_t i = 0; rc == 0 && i < b->streams.n; i++)
        if (b->streams.v[i].count)
            rc = trc_tally_stream(&w->tally, &b->streams.v[i].s, b->streams.v[i].count,
                                  e);
    trc_build_reset(b);
    return rc;
}

static int flush(struct trc_writer *w, struct err *e)
{
    if (w->build.n == 0 && w->late.n == 0)
        return 0;
    int rc = ensure_meta(w, e);
    if (rc == 0)
        rc = write_blobs(w, e);
    if (rc == 0 && w->build.n)
        rc = write_records(w, e);
    if (rc == 0 && w->late.n)
        rc = write_late(w, e);
    w->flushes++;
    w->plain_bytes = 0;
    w->full = w->flagged = false;
    if (rc < 0)
        w->broken = true;
    return rc;
}

/* With flush_ns, what is full or old goes out, and what went out is on disk soon after.
 */
static int flush_by_age(struct trc_writer *w, struct err *e)
{
    if (w->options.flush_ns <= 0 || (w->build.n == 0 && w->late.n == 0))
        return 0;
    struct clk_mono now = clk_mono_now(w->options.clk);
    bool aged = clk_mono_diff(now, w->opened) >= w->options.flush_ns;
    if (!aged && !w->full)
        return 0;
    int rc = flush(w, e);
    if (rc < 0 || (!aged && clk_mono_diff(now, w->synced) < w->options.flush_ns))
        return rc;
    w->synced = now;
    return sync_file(w, e);
}

int trc_writer_tick(struct trc_writer *w, struct err *e)
{
    if (w->broken)
        return err_set(e, ERR_IO, "'%s': an earlier write failed", w->path);
    return flush_by_age(w, e);
}

/* --- records in --- */

static int ready_for(struct trc_writer *w, enum trc_kind kind, struct err *e)
{
    if (w->broken)
        return err_set(e, ERR_IO, "'%s': an earlier write failed", w->path);
    if (w->options.kind != kind)
        return err_set(e, ERR_USAGE, "'%s': a %s takes no %s", w->path,
                       w->facts.run ? "run" : "trace",
                       kind == TRC_RUN ? "outcomes" : "operations");
    return 0;
}

/* What follows a record that was added: the block may be full or old. */
static int after_record(struct trc_writer *w, struct err *e)
{
    size_t payload = trc_build_payload(&w->build) + trc_build_payload(&w->late) +
                     w->blobs.pending.n + (size_t)w->plain_bytes;
    if (w->options.flush_ns > 0 && w->build.n + w->late.n == 1)
        w->opened = clk_mono_now(w->options.clk);
    w->full = w->build.n == w->build.cap || payload >= TRC_BLOCK_PAYLOAD;
    if ((w->late.cap && w->late.n == w->late.cap) || payload >= 2 * TRC_BLOCK_PAYLOAD)
        return flush(w, e);
    return flush_by_age(w, e);
}

/* A record that failed half-way may have left parts behind: the block is spoiled. */
static int spoiled(struct trc_writer *w, int rc)
{
    if (rc == ERR_NOMEM)
        w->broken = true;
    return rc;
}

static void count_time(struct trc_writer *w, int64_t ns)
{
    struct trc_totals *t = &w->totals;
    if (t->records == 0 || ns < t->first_ns)
        t->first_ns = ns;
    if (t->records == 0 || ns > t->last_ns)
        t->last_ns = ns;
    t->records++;
}

int trc_writer_op(struct trc_writer *w, const struct op *given, struct err *e)
{
    struct op o = *given;
    o.index = w->totals.records;
    int rc = ready_for(w, TRC_TRACE, e);
    if (rc == 0)
        rc = trc_check_op(&o, e);
    if (rc < 0)
        return rc;
    if (o.arrival_ns / w->options.resolution_ns < w->last_arrival)
        return err_set(e, ERR_USAGE,
                       "operation %" PRIu64 " arrives before the one in front of it",
                       o.index);
    bool large = o.request.data.n + o.response.data.n >= TRC_BLOCK_PAYLOAD;
    if (w->full || (large && w->build.n + w->late.n) ||
        w->build.streams.n == TRC_STREAMS_MAX)
        rc = flush(w, e);
    if (rc == 0)
        rc = trc_build_op(&w->build, &w->blobs, w->flushes, &o, e);
    if (rc < 0)
        return spoiled(w, rc);
    w->last_arrival = o.arrival_ns / w->options.resolution_ns;
    trc_hash_op(&o, w->build.streams.v[o.stream_index].hash, w->totals.hash);
    trc_hash_answer(&o, w->totals.hash);
    count_time(w, o.arrival_ns);
    if (o.request.state == OP_BODY_KEPT)
        w->totals.payload_bytes += o.request.bytes;
    return after_record(w, e);
}

int trc_writer_late(struct trc_writer *w, const struct op *answer, struct err *e)
{
    struct op o = *answer;
    int rc = ready_for(w, TRC_TRACE, e);
    if (rc == 0)
        rc = trc_check_answer(&o, e);
    if (rc < 0)
        return rc;
    if (o.index >= w->totals.records)
        return err_set(e, ERR_USAGE, "an answer to operation %" PRIu64 " of %" PRIu64,
                       o.index, w->totals.records);
    uint64_t first = w->totals.records - w->build.n; /* of the block in the making */
    if (o.response.data.n >= TRC_BLOCK_PAYLOAD) {
        rc = flush(w, e);
        first = w->totals.records;
    }
    uint32_t row = (uint32_t)(o.index - first);
    if (rc == 0 && w->late.cap == 0)
        rc = trc_build_init(&w->late, false, w->options.resolution_ns, LATE_RECORDS, e);
    w->flagged |= o.index >= first && o.flags != 0;
    if (rc == 0 && o.index >= first && !w->flagged &&
        !trc_build_answered(&w->build, row))
        rc = trc_build_answer(&w->build, &w->blobs, w->flushes, row, &o, e);
    else if (rc == 0)
        rc = trc_build_late(&w->late, &w->blobs, w->flushes, &o, e);
    if (rc < 0)
        return spoiled(w, rc);
    trc_hash_late(&o, w->totals.hash);
    return after_record(w, e);
}

int trc_writer_outcome(struct trc_writer *w, const struct outcome *given, struct err *e)
{
    struct outcome o = *given;
    int rc = ready_for(w, TRC_RUN, e);
    if (rc == 0)
        rc = trc_check_outcome(&o, e);
    if (rc == 0 && (w->full || w->build.streams.n == TRC_STREAMS_MAX))
        rc = flush(w, e);
    if (rc == 0)
        rc = trc_build_outcome(&w->build, &o, e);
    if (rc < 0)
        return spoiled(w, rc);
    trc_hash_outcome(&o, w->build.streams.v[o.stream_index].hash, w->totals.hash);
    trc_tally_outcome(&w->tally, &o);
    count_time(w, o.due_ns);
    return after_record(w, e);
}

/* --- the end --- */

static int write_index(struct trc_writer *w, struct err *e)
{
    w->totals.index_offset = w->offset;
    w->totals.index_blocks = 0;
    for (size_t at = 0; at < w->index.n; at += TRC_RECORDS_MAX) {
        size_t n = w->index.n - at;
        n = n < TRC_RECORDS_MAX ? n : TRC_RECORDS_MAX;
        int rc = trc_index_put(&w->index, at, n, &w->groups[0], e);
        struct trc_head h = {.kind = TRC_INDEX, .records = (uint32_t)n};
        if (rc == 0)
            rc = write_block(w, &h, (struct span){0}, e);
        if (rc < 0)
            return rc;
        w->totals.index_blocks++;
    }
    return 0;
}

static int write_footer(struct trc_writer *w, struct err *e)
{
    uint64_t at = w->offset;
    w->totals.blocks = w->ordinal;
    w->totals.blobs = w->blobs.count;
    w->totals.places = trc_index_places(&w->index);
    trc_tally_sort(&w->tally);
    trc_footer_put(&w->totals, &w->tally, w->facts.run, &w->groups[0]);
    int rc = buf_check(&w->groups[0].raw, e);
    struct trc_head h = {.kind = TRC_FOOTER};
    if (rc == 0)
        rc = write_block(w, &h, (struct span){0}, e);
    uint8_t tail[TRC_TAIL_BYTES];
    trc_tail_encode(w->file_id, at, tail);
    struct iovec v = {tail, sizeof tail};
    return rc < 0 ? rc : write_all(w, &v, 1, e);
}

int trc_writer_close(struct trc_writer *w, struct err *e)
{
    if (w->broken) {
        int rc =
            err_set(e, ERR_IO, "'%s' is incomplete: an earlier write failed", w->path);
        free_writer(w);
        return rc;
    }
    int rc = flush(w, e);
    if (rc == 0)
        rc = ensure_meta(w, e);
    if (rc == 0 && w->late_notes.n)
        rc = write_meta(w, &w->late_notes, e);
    if (rc == 0)
        rc = write_index(w, e);
    if (rc == 0)
        rc = write_footer(w, e);
    if (rc == 0)
        rc = sync_file(w, e);
    if (close(w->fd) < 0 && rc == 0)
        rc = err_sys(e, errno, "cannot close '%s'", w->path);
    w->fd = -1;
    free_writer(w);
    return rc;
}

void trc_writer_abandon(struct trc_writer *w)
{
    if (w)
        free_writer(w);
}

/*
 * trc_repair.c - see trc_repair.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/container/trc_repair.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "traces/container/trc_audit.h"
#include "traces/container/trc_reader_own.h"
#include "traces/container/trc_writer_own.h"

#define COPY_CHUNK (1u << 20)

/* Reads all that can be read and counts it. */
static int survey(struct trc_reader *r, struct trc_audit *audit, struct err *e)
{
    struct trc_block *b;
    struct err why = {0};
    r->collect = true;
    trc_index_done(&r->index);
    trc_reader_rewind(r);
    int rc;
    for (;;) {
        rc = trc_reader_next(r, &b, &why);
        if (rc == ERR_NOMEM || rc == ERR_IO)
            break;
        if (rc == 1) {
            rc = trc_audit_records(audit, b, &why);
            trc_block_free(b);
            if (rc < 0)
                break;
        } else if (r->ended) {
            rc = 0;
            break;
        }
        err_clear(&why);
    }
    r->collect = false;
    if (rc < 0 && e && e->code == ERR_OK)
        *e = why;
    return rc;
}

static int copy_bytes(struct trc_reader *r, const char *to, uint64_t n, struct err *e)
{
    int fd = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0)
        return err_sys(e, errno, "cannot write '%s'", to);
    uint8_t *chunk = malloc(COPY_CHUNK);
    int rc = chunk ? 0 : err_set(e, ERR_NOMEM, "out of memory to copy");
    for (uint64_t at = 0; rc == 0 && at < n;) {
        size_t got, want = n - at < COPY_CHUNK ? (size_t)(n - at) : COPY_CHUNK;
        rc = trc_source_pread(&r->source, at, chunk, want, &got, e);
        if (rc == 0 && got != want)
            rc = err_at(e, ERR_TRUNCATED, at + got, "the file became shorter");
        for (size_t done = 0; rc == 0 && done < got;) {
            ssize_t k = write(fd, chunk + done, got - done);
            if (k < 0 && errno == EINTR)
                continue;
            if (k <= 0)
                rc = err_sys(e, k < 0 ? errno : ENOSPC,
                             "cannot write '%s' at byte %" PRIu64, to, at + done);
            else
                done += (size_t)k;
        }
        at += want;
    }
    free(chunk);
    if (close(fd) < 0 && rc == 0)
        rc = err_sys(e, errno, "cannot close '%s'", to);
    return rc;
}

/* The old blocks, and a new end behind them. */
static int seal_copy(struct trc_reader *r, struct trc_audit *audit, const char *to,
                     struct err *e)
{
    struct trc_head last;
    struct buf block = {0};
    size_t n = r->index.n;
    int rc = trc_reader_pread_block(r, r->index.v[n - 1].offset, &last, &block, e);
    buf_done(&block);
    if (rc < 0)
        return rc;
    struct trc_resume at = {.offset = r->survey_end,
                            .file_id = r->file_id,
                            .ordinal = last.ordinal + 1,
                            .prev_bytes = (uint32_t)trc_head_block_bytes(&last),
                            .totals = audit->totals,
                            .index = r->index,
                            .tally = audit->tally};
    at.totals.blobs = r->blob_count;
    r->index = (struct trc_index){0};
    audit->tally = (struct trc_tally){0};
    struct trc_options options = {.kind = r->info.kind,
                                  .resolution_ns = r->info.resolution_ns};
    struct trc_writer *w = NULL;
    rc = copy_bytes(r, to, at.offset, e);
    if (rc == 0)
        rc = trc_writer_resume(&w, to, &options, &at, e);
    trc_index_done(&at.index);
    trc_tally_done(&at.tally);
    return rc < 0 ? rc : trc_writer_close(w, e);
}

/* Where operations went: index in the old file to index in the new one, block by block.
 */
struct moved {
    uint64_t from, to;
    uint32_t n;
};
struct moves {
    struct moved *v;
    size_t n, cap;
};

static int add_move(struct moves *m, const struct trc_block *b, uint64_t to,
                    struct err *e)
{
    if (m->n == m->cap) {
        size_t cap = m->cap ? 2 * m->cap : 64;
        struct moved *v = realloc(m->v, cap * sizeof *v);
        if (!v)
            return err_set(e, ERR_NOMEM, "out of memory to repair");
        m->v = v;
        m->cap = cap;
    }
    m->v[m->n++] = (struct moved){b->first_index, to, b->count};
    return 0;
}

static bool find_move(const struct moves *m, uint64_t from, uint64_t *to)
{
    size_t low = 0, high = m->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (m->v[mid].from <= from)
            low = mid + 1;
        else
            high = mid;
    }
    if (low == 0 || from - m->v[low - 1].from >= m->v[low - 1].n)
        return false;
    *to = m->v[low - 1].to + (from - m->v[low - 1].from);
    return true;
}

static int write_block(struct trc_writer *w, const struct trc_block *b, struct moves *m,
                       struct trc_repaired *done, struct err *e)
{
    int rc = b->count && b->ops ? add_move(m, b, done->records, e) : 0;
    for (uint32_t i = 0; rc == 0 && i < b->count; i++, done->records++)
        rc = b->ops ? trc_writer_op(w, &b->ops[i], e)
                    : trc_writer_outcome(w, &b->outcomes[i], e);
    for (uint32_t i = 0; rc == 0 && i < b->late_count; i++) {
        struct op late = b->late[i];
        if (find_move(m, late.index, &late.index))
            rc = trc_writer_late(w, &late, e);
        else
            done->lost_answers++;
    }
    return rc;
}

static int note_number(struct trc_writer *w, const char *key, uint64_t v, struct err *e)
{
    char text[32];
    snprintf(text, sizeof text, "%" PRIu64, v);
    return trc_writer_note(w, key, text, e);
}

static int note_partly(struct trc_writer *w, const struct trc_partly *p, struct err *e)
{
    char text[256];
    snprintf(text, sizeof text,
             "%" PRIu64 " blocks with %" PRIu64
             " operations were kept in part; without "
             "bodies or hashes: %" PRIu64 ", without answers: %" PRIu64
             ", without ids, connections and tokens: %" PRIu64,
             p->blocks, p->records, p->lack_payload, p->lack_answers, p->lack_ids);
    return trc_writer_note(w, "repair.partly", text, e);
}

static int write_notes(struct trc_reader *r, struct trc_writer *w,
                       const struct trc_repaired *done, struct err *e)
{
    const struct trc_loss *loss = &done->loss;
    const char *key, *value;
    int rc = 0;
    for (size_t i = 0; rc == 0 && trc_reader_note_at(r, i, &key, &value); i++)
        rc = trc_writer_note(w, key, value, e);
    if (rc == 0 && done->partly.blocks)
        rc = note_partly(w, &done->partly, e);
    if (rc < 0 || loss->blocks == 0)
        return rc;
    rc = note_number(w, "repair.lost_blocks", loss->blocks, e);
    if (rc == 0)
        rc = note_number(w, "repair.lost_operations", loss->records, e);
    if (rc == 0)
        rc = note_number(w, "repair.lost_from_ns", (uint64_t)loss->from_ns, e);
    if (rc == 0 && loss->to_ns != INT64_MAX)
        rc = note_number(w, "repair.lost_to_ns", (uint64_t)loss->to_ns, e);
    return rc;
}

/* All that can be read, written anew. */
static int rewrite(struct trc_reader *r, const char *to, struct trc_repaired *done,
                   struct err *e)
{
    struct trc_options options = {.kind = r->info.kind,
                                  .resolution_ns = r->info.resolution_ns,
                                  .epoch_wall_ns = r->info.epoch_wall_ns};
    struct trc_writer *w;
    struct moves moves = {0};
    int rc = trc_writer_open(&w, to, &options, e);
    if (rc < 0)
        return rc;
    rc = write_notes(r, w, done, e);
    done->records = 0;
    trc_reader_rewind(r);
    while (rc == 0 && !r->ended) {
        struct trc_block *b;
        struct err why = {0};
        int got = trc_reader_next(r, &b, &why);
        if (got == ERR_NOMEM || got == ERR_IO) {
            rc = got;
            if (e && e->code == ERR_OK)
                *e = why;
        } else if (got == 1) {
            rc = write_block(w, b, &moves, done, e);
            trc_block_free(b);
        }
    }
    free(moves.v);
    if (rc < 0) {
        trc_writer_abandon(w);
        return rc;
    }
    return trc_writer_close(w, e);
}

static int repair_to(struct trc_reader *r, const char *to, struct trc_repaired *done,
                     struct err *e)
{
    struct trc_audit audit = {0};
    r->salvage = true;
    int rc = survey(r, &audit, e);
    done->records = audit.totals.records;
    done->loss = trc_reader_loss(r);
    done->partly = r->partly;
    /* What is left of an end that we make anew is no loss. */
    bool footer_agrees = r->info.complete &&
                         r->totals.records == audit.totals.records &&
                         r->totals.hash[0] == audit.totals.hash[0] &&
                         r->totals.hash[1] == audit.totals.hash[1];
    if (footer_agrees || !r->data_lost)
        done->loss = (struct trc_loss){0};
    else if (r->info.complete && r->totals.records > audit.totals.records)
        done->loss.records = r->totals.records - audit.totals.records;
    done->copied = !r->torn;
    if (rc == 0 && (r->index.n == 0 || (done->loss.blocks && done->records == 0)))
        rc = err_set(e, ERR_FORMAT, "'%s': nothing in it can be used", r->path);
    if (rc == 0)
        rc = done->copied ? seal_copy(r, &audit, to, e) : rewrite(r, to, done, e);
    trc_audit_done(&audit);
    return rc;
}

int trc_repair(const char *in, const char *out, struct trc_repaired *done,
               struct err *e)
{
    struct trc_reader *r;
    char to[4096];
    *done = (struct trc_repaired){0};
    int n = snprintf(to, sizeof to, "%s.repair-%ld", out, (long)getpid());
    if (n < 0 || (size_t)n >= sizeof to)
        return err_set(e, ERR_USAGE, "the name '%s' is too long", out);
    if (strcmp(out, "-") == 0 || strcmp(in, "-") == 0)
        return err_set(e, ERR_USAGE, "repair works on files, not on streams");
    int rc = trc_reader_open(&r, in, e);
    if (rc < 0)
        return rc;
    if (!r->source.seekable)
        rc = err_set(e, ERR_USAGE, "'%s' is a pipe: repair works on files", in);
    else
        rc = repair_to(r, to, done, e);
    trc_reader_close(r);
    if (rc == 0 && rename(to, out) < 0)
        rc = err_sys(e, errno, "cannot rename '%s' to '%s'", to, out);
    if (rc < 0)
        unlink(to);
    return rc;
}

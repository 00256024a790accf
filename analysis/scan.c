/*
 * scan.c - see scan.h. The files, their notes and blocks; scan_leaves.c and scan_rows.c
 * take what is in a block, scan_summary.c makes quantiles of all of it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "analysis/scan.h"

#include <stdlib.h>
#include <string.h>

#include "analysis/reading.h"
#include "analysis/scan_own.h"
#include "analysis/shards.h"
#include "traces/base/units.h"
#include "traces/run_notes.h"

/* What a report needs of an outcome. */
#define WANTED                                                                         \
    (TRC_WANT_DUE | TRC_WANT_READY | TRC_WANT_SENT | TRC_WANT_FIRST | TRC_WANT_DONE |  \
     TRC_WANT_STREAM | TRC_WANT_CAUSE | TRC_WANT_CHECK | TRC_WANT_WAIT |               \
     TRC_WANT_STATUS | TRC_WANT_GRPC_STATUS | TRC_WANT_BYTES_OUT | TRC_WANT_BYTES_IN | \
     TRC_WANT_MESSAGES)

/* --- blocks ----------------------------------------------------------------------- */

static int make_map(struct ana_scan *s, uint32_t streams, struct err *e)
{
    if (streams <= s->map_cap)
        return 0;
    struct ana_leaf **map = realloc(s->map, streams * sizeof *map);
    if (!map)
        return err_set(e, ERR_NOMEM, "out of memory");
    s->map = map;
    uint32_t *indices = realloc(s->indices, streams * sizeof *indices);
    if (!indices)
        return err_set(e, ERR_NOMEM, "out of memory");
    s->indices = indices;
    s->map_cap = streams;
    return 0;
}

static int take_block(struct ana_scan *s, const struct trc_block *b, struct err *e)
{
    int rc = make_map(s, b->stream_count, e);

    for (uint32_t i = 0; i < b->stream_count && rc == 0; i++)
        rc = ana_scan_leaf(s, &b->streams[i], &s->indices[i], e);
    for (uint32_t i = 0; i < b->stream_count && rc == 0; i++)
        s->map[i] = &s->leaves[s->indices[i]]; /* they stay where they are from now */
    return rc == 0 ? ana_scan_rows(s, b, e) : rc;
}

/* --- notes ------------------------------------------------------------------------ */

static int take_notes(struct ana_run *run, const struct trc_reader *r,
                      struct ana_shard *shard, struct err *e)
{
    const char *key, *value;
    size_t n = 0;

    while (trc_reader_note_at(r, n, &key, &value))
        n++;
    shard->notes = arena_alloc(&run->arena, (n + 1) * sizeof *shard->notes);
    if (!shard->notes)
        return err_set(e, ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < n && trc_reader_note_at(r, i, &key, &value); i++) {
        struct ana_note *note = &shard->notes[shard->note_count++];
        note->key = arena_str(&run->arena, key);
        note->value = arena_str(&run->arena, value);
        if (!note->key || !note->value)
            return err_set(e, ERR_NOMEM, "out of memory");
    }
    return 0;
}

static void take_info(struct ana_run *run, const struct trc_reader *r,
                      struct ana_shard *shard)
{
    const struct trc_info *info = trc_reader_info(r);
    const char *start = trc_reader_note(r, NOTE_START_WALL);
    uint64_t ns;

    run->complete = run->complete && info->complete;
    run->file_bytes += info->file_bytes;
    run->lost_blocks += trc_reader_lost_blocks(r);
    shard->start_wall_ns = info->epoch_wall_ns;
    if (start && span_u64(span_str(start), &ns) && ns <= INT64_MAX)
        shard->start_wall_ns = (int64_t)ns;
}

/* --- the file --------------------------------------------------------------------- */

/* The notes of the phases stand before the first outcome. */
static void find_phases(struct ana_scan *s, const struct trc_reader *r)
{
    const char *warmup = trc_reader_note(r, NOTE_WARMUP);
    const char *cooldown = trc_reader_note(r, NOTE_COOLDOWN);
    uint64_t ns;

    s->warmup_ns = s->config->warmup_ns;
    s->cooldown_from_ns = INT64_MAX;
    if (warmup && span_u64(span_str(warmup), &ns) && ns < INT64_MAX &&
        (int64_t)ns > s->warmup_ns)
        s->warmup_ns = (int64_t)ns;
    if (cooldown && span_u64(span_str(cooldown), &ns) && ns < INT64_MAX)
        s->cooldown_from_ns = (int64_t)ns;
}

/* Damage costs what it hit and is remembered; only what no report can survive ends it.
 */
static int read_blocks(struct ana_scan *s, struct trc_reader *r, struct err *e)
{
    uint64_t at = 0;
    for (;;) {
        struct trc_block *b = NULL;
        struct err fault = {0};
        int rc = trc_reader_next(r, &b, &fault);
        if (rc == 0)
            return 0;
        if (rc > 0) {
            find_phases(s, r);
            rc = take_block(s, b, e);
            ana_reading_add(s->config->reading, b->count, b->offset - at);
            at = b->offset;
            trc_block_free(b);
            if (rc < 0)
                return rc;
            continue;
        }
        if (rc != ERR_FORMAT && rc != ERR_TRUNCATED) {
            if (e && e->code == ERR_OK)
                *e = fault;
            return rc;
        }
        if (s->run->fault.code == ERR_OK)
            s->run->fault = fault;
        if (rc == ERR_TRUNCATED)
            return 0;
    }
}

static void scan_done(struct ana_scan *s)
{
    for (size_t i = 0; i < s->leaf_count; i++) {
        struct ana_leaf *l = &s->leaves[i];
        for (int c = 0; c < ANA_COLUMN_COUNT; c++)
            free(l->wide[c].v);
        free(l->first_message.v);
        free(l->message_gap.v);
    }
    free(s->leaves);
    free(s->table);
    free(s->map);
    free(s->indices);
    buf_done(&s->name);
}

static int scan_file(struct ana_scan *s, struct ana_shard *shard, struct err *e)
{
    struct trc_reader *r = NULL;
    int rc = trc_reader_open(&r, shard->path, e);

    if (rc == 0 && trc_reader_info(r)->kind != TRC_RUN)
        rc = err_set(e, ERR_FORMAT, "'%s' is a trace, not a run", shard->path);
    if (rc == 0) { /* hashes of answers are half of a file, and no part of a report */
        trc_reader_want_columns(r, WANTED);
        rc = read_blocks(s, r, e);
    }
    if (rc == 0)
        rc = take_notes(s->run, r, shard, e);
    if (rc == 0)
        take_info(s->run, r, shard);
    trc_reader_close(r);
    return rc;
}

static int name_run(struct ana_run *run, const char *const *paths, size_t n,
                    struct err *e)
{
    struct buf name = {0};

    buf_str(&name, paths[0]);
    if (n > 1)
        buf_fmt(&name, " and %zu more shard%s", n - 1, n > 2 ? "s" : "");
    int rc = buf_check(&name, e);
    if (rc == 0) {
        run->path = arena_str(&run->arena, buf_text(&name));
        run->shards = arena_zalloc(&run->arena, n * sizeof *run->shards);
    }
    buf_done(&name);
    if (rc == 0 && (!run->path || !run->shards))
        rc = err_set(e, ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < n && rc == 0; i++) {
        run->shards[i].path = arena_str(&run->arena, paths[i]);
        if (!run->shards[i].path)
            rc = err_set(e, ERR_NOMEM, "out of memory");
    }
    return rc;
}

int ana_scan_shards(struct ana_run *run, const char *const *paths, size_t n,
                    const struct ana_scan_config *config, struct err *e)
{
    struct ana_slabs own = {0};
    struct ana_scan s = {.run = run,
                         .config = config,
                         .slabs = config->slabs ? config->slabs : &own,
                         .last_due_ns = INT64_MIN};

    *run =
        (struct ana_run){.shard_count = n, .complete = true, .charts = config->charts};
    run->first_due_ns = run->last_due_ns = run->last_done_ns = OP_TIME_NONE;
    run->first_sent_ns = run->last_sent_ns = OP_TIME_NONE;
    int rc = name_run(run, paths, n, e);
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = scan_file(&s, &run->shards[i], e);
    if (rc == 0)
        rc = ana_shards_merge(run, e);
    for (size_t i = 0; i < n && rc == 0; i++)
        if (i == 0 || run->shards[i].start_wall_ns < run->start_wall_ns)
            run->start_wall_ns = run->shards[i].start_wall_ns;
    if (rc == 0)
        rc = ana_summarize(&s, e);
    scan_done(&s);
    ana_slabs_reset(s.slabs);
    ana_slabs_done(&own);
    return rc;
}

int ana_scan(struct ana_run *run, const char *path,
             const struct ana_scan_config *config, struct err *e)
{
    return ana_scan_shards(run, &path, 1, config, e);
}

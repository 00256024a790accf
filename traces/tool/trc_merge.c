/*
 * trc_merge.c - see trc_merge.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/tool/trc_merge.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "traces/base/buf.h"
#include "traces/tool/trc_copy.h"
#include "traces/tool/trc_remap.h"

struct input {
    struct trc_reader *r;
    struct trc_block *b;
    uint32_t at; /* next operation of b */
    bool ended;
    int64_t shift; /* added to its arrivals */
    struct trc_remap remap;
    bool late;
};

struct merging {
    struct input *in;
    size_t n;
    struct trc_writer *w;
    struct trc_merge_done *done;
    bool by_calendar;
    struct trc_options options;
};

/* Makes the next operation of x available, or notes its end; late answers on the way go
 * out. */
static int fill(struct merging *m, struct input *x, struct err *e)
{
    while (!x->ended && (!x->b || x->at == x->b->count)) {
        trc_block_free(x->b);
        x->b = NULL;
        x->at = 0;
        int rc = trc_copy_next(x->r, &x->b, &m->done->unclosed, e);
        if (rc < 0)
            return rc;
        x->ended = rc == 0;
        if (rc == 1 && (rc = trc_remap_late(&x->remap, x->b, m->w, e)) < 0)
            return rc;
    }
    return 0;
}

static int64_t arrival(const struct input *x)
{
    return x->b->ops[x->at].arrival_ns + x->shift;
}

/* Ordinals of different inputs stay apart; one that no longer fits is not known any
 * more. */
static uint32_t apart(uint32_t ordinal, size_t n, size_t i)
{
    uint64_t v = (uint64_t)ordinal * n + i;
    return ordinal == OP_NONE || v >= OP_NONE ? OP_NONE : (uint32_t)v;
}

static int take(struct merging *m, size_t i, struct err *e)
{
    struct input *x = &m->in[i];
    struct op o = x->b->ops[x->at++];
    int rc = x->late ? trc_remap_add(&x->remap, o.index, m->done->written, e) : 0;
    o.arrival_ns += x->shift;
    o.connection = apart(o.connection, m->n, i);
    o.client = apart(o.client, m->n, i);
    if (rc == 0)
        rc = trc_writer_op(m->w, &o, e);
    m->done->read++;
    m->done->written++;
    return rc;
}

static int merge_all(struct merging *m, struct err *e)
{
    for (;;) {
        size_t first = m->n;
        for (size_t i = 0; i < m->n; i++) {
            int rc = fill(m, &m->in[i], e);
            if (rc < 0)
                return rc;
            if (!m->in[i].ended &&
                (first == m->n || arrival(&m->in[i]) < arrival(&m->in[first])))
                first = i;
        }
        if (first == m->n)
            return 0;
        int rc = take(m, first, e);
        if (rc < 0)
            return rc;
    }
}

static int place_inputs(struct merging *m, const char *const *paths, struct err *e)
{
    int64_t earliest = INT64_MAX;
    m->options.resolution_ns = 1000000;
    for (size_t i = 0; i < m->n; i++) {
        const struct trc_info *info = trc_reader_info(m->in[i].r);
        if (info->resolution_ns < m->options.resolution_ns)
            m->options.resolution_ns = info->resolution_ns;
        if (m->by_calendar && info->epoch_wall_ns == 0)
            return err_set(e, ERR_USAGE, "'%s' has no calendar time to merge by",
                           paths[i]);
        if (info->epoch_wall_ns < earliest)
            earliest = info->epoch_wall_ns;
    }
    m->options.epoch_wall_ns =
        m->by_calendar ? earliest : trc_reader_info(m->in[0].r)->epoch_wall_ns;
    for (size_t i = 0; m->by_calendar && i < m->n; i++)
        m->in[i].shift = trc_reader_info(m->in[i].r)->epoch_wall_ns - earliest;
    return 0;
}

static int note_inputs(struct merging *m, struct err *e)
{
    for (size_t i = 0; i < m->n; i++) {
        const char *key, *value;
        char name[300];
        for (size_t k = 0; trc_reader_note_at(m->in[i].r, k, &key, &value); k++) {
            if ((size_t)snprintf(name, sizeof name, "merge.%zu.%s", i + 1, key) > 250)
                continue; /* a key that has no room for its origin */
            int rc = trc_writer_note(m->w, name, value, e);
            if (rc < 0)
                return rc;
        }
    }
    return 0;
}

static int run(struct merging *m, const char *const *paths, const char *out,
               struct err *e)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < m->n; i++) {
        rc = trc_copy_open(&m->in[i].r, paths[i], e);
        if (rc == 0)
            m->in[i].late = trc_reader_has_late(m->in[i].r);
    }
    if (rc == 0)
        rc = place_inputs(m, paths, e);
    m->options.kind = TRC_TRACE;
    if (rc == 0)
        rc = trc_writer_open(&m->w, out, &m->options, e);
    if (rc < 0)
        return rc;
    rc = note_inputs(m, e);
    if (rc == 0)
        rc = merge_all(m, e);
    if (rc == 0)
        rc = note_inputs(m, e); /* those that streams told at their end */
    return trc_copy_finish(m->w, out, rc, e);
}

int trc_merge(const char *const *in, size_t n, const char *out, bool by_calendar,
              struct trc_merge_done *done, struct err *e)
{
    *done = (struct trc_merge_done){0};
    if (n < 1 || n > TRC_MERGE_MAX)
        return err_set(e, ERR_USAGE, "1 to %d traces can be merged, not %zu",
                       TRC_MERGE_MAX, n);
    struct merging m = {.n = n, .done = done, .by_calendar = by_calendar};
    m.in = calloc(n, sizeof *m.in);
    int rc = m.in ? run(&m, in, out, e) : err_set(e, ERR_NOMEM, "out of memory");
    for (size_t i = 0; m.in && i < n; i++) {
        done->lost_answers += m.in[i].remap.lost;
        trc_block_free(m.in[i].b);
        trc_reader_close(m.in[i].r);
        trc_remap_done(&m.in[i].remap);
    }
    free(m.in);
    return rc;
}

/* --- filter --- */

static int filter_block(const struct trc_block *b, const struct trc_select *select,
                        bool invert, struct trc_remap *remap, bool late,
                        struct trc_writer *w, struct trc_merge_done *done,
                        struct err *e)
{
    for (uint32_t i = 0; i < b->count; i++) {
        const struct op *o = &b->ops[i];
        bool taken = trc_select_op(select, o) != invert;
        int rc =
            late ? trc_remap_add(remap, o->index, taken ? done->written : UINT64_MAX, e)
                 : 0;
        if (rc == 0 && taken)
            rc = trc_writer_op(w, o, e);
        if (rc < 0)
            return rc;
        done->read++;
        done->written += taken;
    }
    return trc_remap_late(remap, b, w, e);
}

/* A trace that was filtered before tells both filters. */
static int note_filter(const struct trc_reader *r, struct trc_writer *w,
                       const char *note, struct err *e)
{
    const char *before = trc_reader_note(r, "filter");
    struct buf text = {0};
    buf_fmt(&text, "%s%s%s", before ? before : "", before ? ", then " : "", note);
    int rc = buf_check(&text, e);
    if (rc == 0)
        rc = trc_writer_note(w, "filter", buf_text(&text), e);
    buf_done(&text);
    return rc;
}

int trc_filter(const char *in, const char *out, const struct trc_select *select,
               bool invert, const char *note, struct trc_merge_done *done,
               struct err *e)
{
    struct trc_reader *r;
    struct trc_writer *w;
    struct trc_block *b;
    struct trc_remap remap = {0};
    *done = (struct trc_merge_done){0};
    int rc = trc_copy_open(&r, in, e);
    if (rc < 0)
        return rc;
    const struct trc_info *info = trc_reader_info(r);
    struct trc_options options = {.kind = TRC_TRACE,
                                  .resolution_ns = info->resolution_ns,
                                  .epoch_wall_ns = info->epoch_wall_ns};
    bool late = trc_reader_has_late(r);
    rc = trc_writer_open(&w, out, &options, e);
    if (rc == 0) {
        int got = 1;
        rc = trc_copy_notes(r, "filter", w, e);
        if (rc == 0)
            rc = note_filter(r, w, note, e);
        while (rc == 0 && (got = trc_copy_next(r, &b, &done->unclosed, e)) == 1) {
            rc = filter_block(b, select, invert, &remap, late, w, done, e);
            trc_block_free(b);
        }
        rc = got < 0 ? got : rc;
        if (rc == 0)
            rc = trc_copy_notes(r, "filter", w, e);
        rc = trc_copy_finish(w, out, rc, e);
    }
    done->lost_answers = remap.lost;
    trc_remap_done(&remap);
    trc_reader_close(r);
    return rc;
}

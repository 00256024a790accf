/*
 * trc_cut.c - see trc_cut.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/tool/trc_cut.h"

#include <inttypes.h>

#include "traces/tool/trc_copy.h"

struct cutting {
    const struct trc_cut *how;
    struct trc_cut_done *done;
    struct trc_writer *w;
    int64_t shift;
    uint64_t first, last; /* indices of the operations that were taken: [first, last) */
    bool full;            /* no more operations: only late answers may follow */
};

/* 1: the operation lies behind the part that is wanted. */
static int take_op(struct cutting *c, const struct op *from, struct err *e)
{
    const struct trc_cut *how = c->how;
    if (from->arrival_ns < how->from_ns)
        return 0;
    if (from->arrival_ns >= how->to_ns ||
        (how->count && c->done->written == how->count))
        return 1;
    struct op o = *from;
    o.arrival_ns -= c->shift;
    if (c->done->written == 0)
        c->first = from->index;
    c->last = from->index + 1;
    c->done->written++;
    return trc_writer_op(c->w, &o, e);
}

static int take_block(struct cutting *c, const struct trc_block *b, struct err *e)
{
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < b->count && !c->full; i++) {
        rc = take_op(c, &b->ops[i], e);
        c->done->read++;
        c->full = rc == 1;
        rc = rc == 1 ? 0 : rc;
    }
    for (uint32_t i = 0; rc == 0 && i < b->late_count; i++) {
        struct op late = b->late[i];
        if (late.index < c->first || late.index >= c->last)
            continue;
        late.index -= c->first;
        rc = trc_writer_late(c->w, &late, e);
    }
    return rc;
}

static int describe(struct cutting *c, const struct trc_reader *r, struct err *e)
{
    int rc = trc_copy_notes(r, NULL, c->w, e);
    if (rc == 0 && c->how->from_ns > 0)
        rc = trc_copy_note_u64(c->w, "cut.from_ns", (uint64_t)c->how->from_ns, e);
    if (rc == 0 && c->how->to_ns != INT64_MAX)
        rc = trc_copy_note_u64(c->w, "cut.to_ns", (uint64_t)c->how->to_ns, e);
    if (rc == 0 && c->how->count)
        rc = trc_copy_note_u64(c->w, "cut.count", c->how->count, e);
    return rc;
}

/* Reads until the part is over. Late answers to its operations may stand far behind: an
 * indexed file says whether any are to come, so a file without is not read to its end.
 */
static int run(struct cutting *c, struct trc_reader *r, struct err *e)
{
    int rc = 0, got;
    struct trc_block *b;
    bool to_end = trc_reader_has_late(r);
    while (rc == 0 && !(c->full && !to_end) &&
           (got = trc_copy_next(r, &b, &c->done->unclosed, e)) != 0) {
        if (got < 0)
            return got;
        rc = take_block(c, b, e);
        to_end |= b->late_count > 0;
        trc_block_free(b);
    }
    return rc;
}

int trc_cut(const char *in, const char *out, const struct trc_cut *how,
            struct trc_cut_done *done, struct err *e)
{
    struct trc_reader *r;
    *done = (struct trc_cut_done){0};
    struct cutting c = {.how = how, .done = done};
    int rc = trc_copy_open(&r, in, e);
    if (rc < 0)
        return rc;
    const struct trc_info *info = trc_reader_info(r);
    if (!how->keep_times) /* on the grid, so that cutting is exact */
        c.shift = how->from_ns / info->resolution_ns * info->resolution_ns;
    struct trc_options options = {
        .kind = TRC_TRACE,
        .resolution_ns = info->resolution_ns,
        .epoch_wall_ns = info->epoch_wall_ns ? info->epoch_wall_ns + c.shift : 0};
    if (how->from_ns > 0 && info->complete)
        rc = trc_reader_seek(r, how->from_ns, e);
    if (rc == 0)
        rc = trc_writer_open(&c.w, out, &options, e);
    if (rc == 0) {
        rc = describe(&c, r, e);
        if (rc == 0)
            rc = run(&c, r, e);
        if (rc == 0)
            rc = trc_copy_notes(r, "cut.", c.w, e);
        rc = trc_copy_finish(c.w, out, rc, e);
    }
    trc_reader_close(r);
    return rc;
}

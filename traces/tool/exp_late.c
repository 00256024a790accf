/*
 * exp_late.c - see exp_late.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/tool/exp_late.h"

#include <stdlib.h>
#include <string.h>

/* Of two answers to one operation the later counts, also where it is not kept. */
struct exp_late_one {
    uint64_t index;
    size_t seq;
    const struct op *answer; /* NULL: beyond the limit */
};

void exp_late_done(struct exp_late *l)
{
    free(l->v);
    arena_done(&l->arena);
    *l = (struct exp_late){0};
}

static int out_of_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, "out of memory for answers that came late");
}

/* A copy, *out; NULL where there is no room for it. */
static int keep(struct exp_late *l, const struct op *late, const struct op **out,
                struct err *e)
{
    size_t listed = late->response_messages.count * sizeof *late->response_messages.v;
    size_t most = l->bytes_max ? l->bytes_max : EXP_LATE_BYTES_MAX;
    *out = NULL;
    if (l->arena.used + sizeof *late + listed + late->response.data.n > most)
        return 0;
    struct op *o = arena_alloc(&l->arena, sizeof *o);
    if (!o)
        return out_of_memory(e);
    *o = *late;
    if (o->response.data.n > 0 &&
        !(o->response.data = arena_dup(&l->arena, o->response.data)).p)
        return out_of_memory(e);
    if (listed > 0) {
        struct op_message *v = arena_alloc(&l->arena, listed);
        if (!v)
            return out_of_memory(e);
        memcpy(v, late->response_messages.v, listed);
        o->response_messages.v = v;
    }
    *out = o;
    return 0;
}

static int gather(struct exp_late *l, const struct op *late, struct err *e)
{
    if (l->n == l->cap) {
        size_t cap = l->cap ? 2 * l->cap : 64;
        struct exp_late_one *v = realloc(l->v, cap * sizeof *v);
        if (!v)
            return out_of_memory(e);
        l->v = v;
        l->cap = cap;
    }
    struct exp_late_one *one = &l->v[l->n];
    *one = (struct exp_late_one){.index = late->index, .seq = l->n};
    l->n++;
    return keep(l, late, &one->answer, e);
}

static int by_operation(const void *a, const void *b)
{
    const struct exp_late_one *x = a, *y = b;
    if (x->index != y->index)
        return x->index < y->index ? -1 : 1;
    return x->seq < y->seq ? -1 : x->seq > y->seq;
}

static int read_all(struct exp_late *l, struct trc_reader *r, struct err *e)
{
    struct trc_block *b;
    int rc = 0;
    trc_reader_want(r, TRC_READ_ANSWERS | TRC_READ_PAYLOAD);
    while (rc == 0 && trc_reader_next(r, &b, NULL) == 1) {
        for (uint32_t i = 0; rc == 0 && i < b->late_count; i++)
            rc = gather(l, &b->late[i], e);
        trc_block_free(b);
    }
    return rc;
}

int exp_late_read(struct exp_late *l, const char *path, struct err *e)
{
    struct trc_reader *r;
    int rc = trc_reader_open(&r, path, e);
    if (rc < 0)
        return rc;
    const struct trc_info *info = trc_reader_info(r);
    if (info->kind == TRC_TRACE && info->file_bytes > 0 && trc_reader_has_late(r))
        rc = read_all(l, r, e);
    trc_reader_close(r);
    if (l->n > 0)
        qsort(l->v, l->n, sizeof *l->v, by_operation);
    return rc;
}

/* The last one of operation `index`; NULL: there is none, or it was not kept. */
static const struct op *find(const struct exp_late *l, uint64_t index)
{
    size_t from = 0, to = l->n; /* the first that is beyond it */
    while (from < to) {
        size_t mid = from + (to - from) / 2;
        if (l->v[mid].index <= index)
            from = mid + 1;
        else
            to = mid;
    }
    return from > 0 && l->v[from - 1].index == index ? l->v[from - 1].answer : NULL;
}

bool exp_late_has(const struct exp_late *l, uint64_t index)
{
    return l && find(l, index);
}

void exp_late_join(const struct exp_late *l, struct op *o)
{
    const struct op *late = l ? find(l, o->index) : NULL;
    if (!late)
        return;
    op_take_answer(o, late);
}

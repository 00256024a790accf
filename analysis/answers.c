/*
 * answers.c - see answers.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "analysis/answers.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/text.h"
#include "traces/container/trc_reader.h"
#include "traces/run_notes.h"

/* Digests by operation index; 0: no good answer. */
struct digests {
    uint64_t *v;
    uint64_t n, cap;
    bool too_many;
};

typedef int each_fn(void *arg, const struct outcome *o, struct err *e);

static int each_outcome_of(const char *path, each_fn *fn, void *arg, struct err *e)
{
    struct trc_reader *r = NULL;
    struct trc_block *b = NULL;
    int rc = trc_reader_open(&r, path, e);

    if (rc < 0)
        return rc;
    trc_reader_want_columns(r, TRC_WANT_OP_INDEX | TRC_WANT_STREAM | TRC_WANT_CAUSE |
                                   TRC_WANT_CHECK | TRC_WANT_ANSWER_HASH);
    for (;;) {
        struct err fault = {0};
        rc = trc_reader_next(r, &b, &fault);
        if (rc == ERR_FORMAT)
            continue; /* a damaged block: the run's health says so */
        if (rc < 0 && rc != ERR_TRUNCATED) {
            err_set(e, fault.code, "%s", fault.text);
            break;
        }
        if (rc <= 0) {
            rc = 0;
            break;
        }
        for (uint32_t i = 0; i < b->count && rc >= 0; i++) {
            struct outcome o = trc_columns_row(b->columns, b->streams, i);
            if (outcome_ok(&o) && o.answer_hash != 0)
                rc = fn(arg, &o, e);
        }
        trc_block_free(b);
        if (rc < 0)
            break;
    }
    trc_reader_close(r);
    return rc;
}

static int each_outcome(const struct ana_run *run, each_fn *fn, void *arg,
                        struct err *e)
{
    int rc = 0;
    for (size_t i = 0; i < run->shard_count && rc == 0; i++)
        rc = each_outcome_of(run->shards[i].path, fn, arg, e);
    return rc;
}

static int collect(void *arg, const struct outcome *o, struct err *e)
{
    struct digests *d = arg;
    if (o->op_index >= ANA_ANSWERS_MAX) {
        d->too_many = true;
        return 0;
    }
    if (o->op_index >= d->cap) {
        uint64_t cap = d->cap ? d->cap : 4096;
        while (cap <= o->op_index)
            cap *= 2;
        uint64_t *grown = realloc(d->v, cap * sizeof *grown);
        if (!grown)
            return err_set(e, ERR_NOMEM, "out of memory for digests of answers");
        memset(grown + d->cap, 0, (cap - d->cap) * sizeof *grown);
        d->v = grown;
        d->cap = cap;
    }
    d->v[o->op_index] = o->answer_hash;
    return 0;
}

struct matching {
    const struct digests *a;
    struct ana_answer_counts *counts;
    struct ana_answers *first; /* NULL: not wanted */
};

static int match(void *arg, const struct outcome *o, struct err *e)
{
    struct matching *m = arg;
    (void)e;
    if (o->op_index >= m->a->cap || m->a->v[o->op_index] == 0)
        return 0;
    m->counts->compared++;
    if (m->a->v[o->op_index] == o->answer_hash)
        return 0;
    m->counts->differ++;
    if (m->first && (!m->first->any_differ || o->op_index < m->first->first_op)) {
        m->first->any_differ = true;
        m->first->first_op = o->op_index;
        snprintf(m->first->first_model, sizeof m->first->first_model, "%.*s",
                 SPAN_ARG(o->stream->name));
    }
    return 0;
}

static bool says_content(const struct ana_run *run)
{
    for (size_t i = 0; i < run->shard_count; i++) {
        const char *digest = ana_shard_note(&run->shards[i], NOTE_ANSWER_DIGEST);
        if (!digest || strcmp(digest, "content") != 0)
            return false;
    }
    return true;
}

int ana_answers_find(struct ana_answers *out, const struct ana_run_pair *pairs,
                     size_t count, struct err *e)
{
    int rc = 0;

    *out = (struct ana_answers){0};
    if (count == 0)
        out->reason = "not compared: no two runs of A and B are of the same trace";
    for (size_t i = 0; i < count; i++)
        if (!says_content(pairs[i].a) || !says_content(pairs[i].b))
            out->reason =
                "not compared: replay --digest content notes what answers say";
    for (size_t i = 0; i < count && rc == 0 && !out->reason; i++) {
        struct digests d = {0};
        struct ana_answers *first = out->any_differ ? NULL : out;
        rc = each_outcome(pairs[i].a, collect, &d, e);
        if (rc == 0)
            rc = each_outcome(pairs[i].b, match,
                              &(struct matching){&d, &out->ab, first}, e);
        if (rc == 0 && i + 1 < count && pairs[i + 1].a != pairs[i].a)
            rc = each_outcome(pairs[i + 1].a, match,
                              &(struct matching){&d, &out->aa, NULL}, e);
        if (d.too_many)
            out->reason = "not compared: the trace is too long for it";
        free(d.v);
    }
    return rc;
}

void ana_answers_text(const struct ana_answers *a, struct buf *out)
{
    buf_fmt(out, "%" PRIu64 " of %" PRIu64 " differ between A and B", a->ab.differ,
            a->ab.compared);
    if (a->aa.compared > 0)
        buf_fmt(out, ", %" PRIu64 " of %" PRIu64 " between runs of A", a->aa.differ,
                a->aa.compared);
    if (!a->any_differ)
        return;
    buf_fmt(out, "; the first is operation %" PRIu64 " (", a->first_op);
    ana_text_name(out, a->first_model, 40);
    buf_str(out, ")");
}

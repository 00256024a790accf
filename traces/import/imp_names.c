/*
 * imp_names.c - see imp_names.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/import/imp_names.h"

#include <stdlib.h>

#include "traces/op.h"

struct imp_name {
    uint64_t hash[2];
    uint32_t ordinal;
    bool used;
};

void imp_names_done(struct imp_names *t)
{
    free(t->v);
    *t = (struct imp_names){0};
}

/* Where a hash is, or the free place where it belongs. */
static struct imp_name *place(struct imp_name *v, uint32_t cap, const uint64_t hash[2])
{
    uint32_t i = (uint32_t)hash[0] & (cap - 1);
    while (v[i].used && (v[i].hash[0] != hash[0] || v[i].hash[1] != hash[1]))
        i = (i + 1) & (cap - 1);
    return &v[i];
}

static int grow(struct imp_names *t, struct err *e)
{
    uint32_t cap = t->cap ? 2 * t->cap : 64;
    struct imp_name *v = calloc(cap, sizeof *v);
    if (!v)
        return err_set(e, ERR_NOMEM, "out of memory for names");
    for (uint32_t i = 0; i < t->cap; i++)
        if (t->v[i].used)
            *place(v, cap, t->v[i].hash) = t->v[i];
    free(t->v);
    t->v = v;
    t->cap = cap;
    return 0;
}

int imp_names_of(struct imp_names *t, struct span text, uint32_t *ordinal,
                 struct err *e)
{
    uint64_t hash[2];
    int rc = t->n >= t->cap / 2 ? grow(t, e) : 0;
    if (rc < 0)
        return rc;
    op_body_hash(text, hash);
    struct imp_name *at = place(t->v, t->cap, hash);
    if (!at->used && t->n == IMP_NAMES_MAX)
        return err_set(e, ERR_LIMIT, "more than %u different names", IMP_NAMES_MAX);
    if (!at->used)
        *at = (struct imp_name){{hash[0], hash[1]}, t->n++, true};
    *ordinal = at->ordinal;
    return 0;
}

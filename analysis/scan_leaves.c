/*
 * scan_leaves.c - which operations are summarized together while a run is read: those
 * of one name, protocol and tier.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "analysis/scan_own.h"

#include <stdlib.h>
#include <string.h>

static uint64_t hash_name(const char *name, unsigned salt)
{
    uint64_t h = UINT64_C(14695981039346656037) + salt; /* FNV-1a */
    for (; *name; name++)
        h = (h ^ (uint8_t)*name) * UINT64_C(1099511628211);
    return h ^ h >> 32;
}

static bool leaf_is(const struct ana_leaf *l, const char *name,
                    const struct op_stream *s)
{
    return l->protocol == s->protocol && l->tier == s->tier &&
           strcmp(l->name, name) == 0;
}

static int grow_table(struct ana_scan *s, struct err *e)
{
    size_t size = s->table_size ? s->table_size * 2 : 256;
    uint32_t *table = calloc(size, sizeof *table);
    if (!table)
        return err_set(e, ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < s->leaf_count; i++) {
        size_t at = s->leaves[i].hash & (size - 1);
        while (table[at])
            at = (at + 1) & (size - 1);
        table[at] = (uint32_t)i + 1;
    }
    free(s->table);
    s->table = table;
    s->table_size = size;
    return 0;
}

static int add_leaf(struct ana_scan *s, const char *name,
                    const struct op_stream *stream, uint64_t hash, struct err *e)
{
    if (s->leaf_count == s->leaf_cap) {
        size_t cap = s->leaf_cap ? s->leaf_cap * 2 : 64;
        struct ana_leaf *leaves = realloc(s->leaves, cap * sizeof *leaves);
        if (!leaves)
            return err_set(e, ERR_NOMEM, "out of memory");
        s->leaves = leaves;
        s->leaf_cap = cap;
    }
    struct ana_leaf *l = &s->leaves[s->leaf_count];
    *l = (struct ana_leaf){
        .hash = hash, .protocol = stream->protocol, .tier = stream->tier};
    l->name = arena_str(&s->run->arena, name);
    l->type = (const char *)arena_dup(&s->run->arena, stream->model_type).p;
    if (!l->name || !l->type)
        return err_set(e, ERR_NOMEM, "out of memory");
    s->leaf_count++;
    return 0;
}

/* By what a leaf is named: its name, and once there are too many of those its model
 * type. */
enum naming { BY_NAME, BY_TYPE, BY_NOTHING };
static const size_t naming_limit[] = {ANA_LEAVES_MAX, ANA_LEAVES_MAX + ANA_CELLS_MAX,
                                      SIZE_MAX};

/* What a report calls it: pipelines and experiments carry their suffix. */
static void leaf_name(const struct op_stream *stream, enum naming naming,
                      struct buf *out)
{
    buf_reset(out);
    if (naming == BY_NOTHING) {
        buf_str(out, ANA_OTHER);
    } else if (naming == BY_TYPE) {
        buf_span(out, stream->model_type.n ? stream->model_type : span_str(ANA_OTHER));
    } else {
        buf_span(out, stream->name);
        if (stream->resource != OP_MODEL)
            buf_fmt(out, ".%s", op_resource_names[stream->resource]);
    }
}

/* 1: found, its index in *index. 0: not there; *slot is where it would be. */
static int look_up(struct ana_scan *s, const struct op_stream *stream, const char *name,
                   uint64_t hash, uint32_t *index, size_t *slot)
{
    size_t at = hash & (s->table_size - 1);
    for (; s->table[at]; at = (at + 1) & (s->table_size - 1)) {
        *index = s->table[at] - 1;
        if (leaf_is(&s->leaves[*index], name, stream))
            return 1;
    }
    *slot = at;
    return 0;
}

int ana_scan_leaf(struct ana_scan *s, const struct op_stream *stream, uint32_t *index,
                  struct err *e)
{
    int rc;

    if (2 * (s->leaf_count + 1) > s->table_size && (rc = grow_table(s, e)) < 0)
        return rc;
    for (enum naming naming = BY_NAME;; naming++) {
        size_t slot;
        leaf_name(stream, naming, &s->name);
        if ((rc = buf_check(&s->name, e)) < 0)
            return rc;
        const char *name = buf_text(&s->name);
        uint64_t hash = hash_name(name, (unsigned)stream->protocol * 16 + stream->tier);
        if (look_up(s, stream, name, hash, index, &slot))
            return 0;
        if (s->leaf_count >= naming_limit[naming])
            continue;
        if ((rc = add_leaf(s, name, stream, hash, e)) < 0)
            return rc;
        *index = (uint32_t)s->leaf_count - 1;
        s->table[slot] = *index + 1;
        return 0;
    }
}

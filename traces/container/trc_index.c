/*
 * trc_index.c - see trc_index.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/container/trc_index.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_BYTES 48

/* The group 0 of a block that stands outside of the records. */
static int parse(const struct trc_head *head, struct span raw, uint64_t at,
                 const uint8_t *known, char name[NAME_BYTES], struct trc_group *g,
                 struct err *e)
{
    snprintf(name, NAME_BYTES, "%s block %" PRIu32, trc_kind_name(head->kind),
             head->ordinal);
    *g = (struct trc_group){.block = name, .name = trc_group_names[0], .at = at};
    return trc_group_parse(g, raw, known, e);
}

/* --- index --- */

void trc_index_done(struct trc_index *x)
{
    free(x->v);
    *x = (struct trc_index){0};
}

static int index_room(struct trc_index *x, size_t more, struct err *e)
{
    if (x->n + more <= x->cap)
        return 0;
    size_t cap = x->cap * 2 > x->n + more ? x->cap * 2 : x->n + more + 16;
    struct trc_entry *v = realloc(x->v, cap * sizeof *v);
    if (!v)
        return err_set(e, ERR_NOMEM, "out of memory for the index");
    x->v = v;
    x->cap = cap;
    return 0;
}

int trc_index_add(struct trc_index *x, const struct trc_entry *entry, struct err *e)
{
    int rc = index_room(x, 1, e);
    if (rc == 0)
        x->v[x->n++] = *entry;
    return rc;
}

int trc_index_put(const struct trc_index *x, size_t from, size_t n,
                  struct trc_group_out *g, struct err *e)
{
    int64_t *v = malloc((n ? n : 1) * sizeof *v);
    if (!v)
        return err_set(e, ERR_NOMEM, "out of memory for the index");
    const struct trc_entry *x0 = x->v + from, none = {0};
    for (int column = TRC_COL_IX_OFFSET; column <= TRC_COL_IX_SPAN; column++) {
        for (size_t i = 0; i < n; i++) {
            const struct trc_entry *b = i ? &x0[i - 1] : &none;
            v[i] = column == TRC_COL_IX_OFFSET ? (int64_t)(x0[i].offset - b->offset)
                   : column == TRC_COL_IX_KIND ? x0[i].kind
                   : column == TRC_COL_IX_FIRST
                       ? (int64_t)(x0[i].first_index - b->first_index)
                   : column == TRC_COL_IX_RECORDS ? x0[i].records
                   : column == TRC_COL_IX_TMIN    ? x0[i].t_min - b->t_min
                                                  : x0[i].t_max - x0[i].t_min;
        }
        trc_put_prefixed(g, (unsigned)column, true, (struct span){0}, v, n);
    }
    free(v);
    return buf_check(&g->raw, e);
}

static bool entry_is_sane(const struct trc_entry *n, const struct trc_entry *before,
                          uint64_t limit)
{
    return n->offset < limit && (!before || n->offset > before->offset) &&
           n->records <= TRC_RECORDS_MAX && n->t_min >= -TRC_TIME_MAX &&
           n->t_min <= n->t_max && n->t_max <= TRC_TIME_MAX &&
           n->first_index <= UINT64_MAX / 2;
}

/* A column of n entries, columns in ascending order. Sums are unsigned: nonsense wraps,
 * and entry_is_sane refuses it. */
static void set_column(struct trc_entry *to, unsigned column, const int64_t *v,
                       size_t n)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += (uint64_t)v[i];
        switch (column) {
        case TRC_COL_IX_OFFSET:
            to[i] = (struct trc_entry){.offset = sum};
            break;
        case TRC_COL_IX_KIND:
            to[i].kind = (uint8_t)v[i];
            break;
        case TRC_COL_IX_FIRST:
            to[i].first_index = sum;
            break;
        case TRC_COL_IX_RECORDS:
            to[i].records = (uint32_t)v[i];
            break;
        case TRC_COL_IX_TMIN:
            to[i].t_min = (int64_t)sum;
            break;
        default: /* TRC_COL_IX_SPAN */
            to[i].t_max = (int64_t)((uint64_t)to[i].t_min + (uint64_t)v[i]);
        }
    }
}

int trc_index_parse(struct trc_index *x, const struct trc_head *head, struct span raw,
                    uint64_t at, uint64_t limit, struct err *e)
{
    static const uint8_t known[] = {TRC_COL_IX_OFFSET,
                                    TRC_COL_IX_KIND,
                                    TRC_COL_IX_FIRST,
                                    TRC_COL_IX_RECORDS,
                                    TRC_COL_IX_TMIN,
                                    TRC_COL_IX_SPAN,
                                    0};
    char name[NAME_BYTES];
    struct trc_group g;
    size_t n = head->records;
    /* A block is longer than its header, so this bounds what is allocated by the file.
     */
    if (n + x->n > limit / TRC_HEAD_BYTES)
        return err_at(e, ERR_LIMIT, at,
                      "INDEX block %" PRIu32 ": more entries than blocks",
                      head->ordinal);
    int rc = parse(head, raw, at, known, name, &g, e);
    if (rc == 0)
        rc = index_room(x, n, e);
    if (rc < 0)
        return rc;
    int64_t *v = malloc((n + 1) * sizeof *v);
    if (!v)
        return err_set(e, ERR_NOMEM, "out of memory for the index");
    struct trc_entry *entries = x->v ? x->v + x->n : NULL; /* none: no entry */
    for (unsigned c = 0; rc == 0 && c < 6; c++) {
        rc = trc_ints_all(&g, TRC_COL_IX_OFFSET + c, TRC_NULL, v, n, e);
        for (size_t i = 0; rc == 0 && i < n; i++)
            if (v[i] == TRC_NULL)
                rc = trc_column_error(&g, TRC_COL_IX_OFFSET + c, "a value is none", e);
        if (rc == 0)
            set_column(entries, TRC_COL_IX_OFFSET + c, v, n);
    }
    free(v);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        if (!entry_is_sane(&entries[i], x->n ? &x->v[x->n - 1] : NULL, limit))
            rc = trc_column_error(&g, TRC_COL_IX_OFFSET, "impossible entry", e);
        x->n += rc == 0;
    }
    return rc;
}

struct trc_places trc_index_places(const struct trc_index *x)
{
    struct trc_places p = {.known = x->n > 0 && x->v[0].kind == TRC_META &&
                                    x->v[0].offset == 0};
    for (size_t i = 1; i < x->n; i++) {
        p.blob_blocks += x->v[i].kind == TRC_BLOBS;
        p.late_blocks += x->v[i].kind == TRC_LATE;
        if (x->v[i].kind != TRC_META)
            continue;
        if (p.meta_count == TRC_METAS_MAX)
            return (struct trc_places){0};
        p.metas[p.meta_count++] = x->v[i].offset;
    }
    return p.known ? p : (struct trc_places){0};
}

/* --- counts --- */

void trc_tally_done(struct trc_tally *t)
{
    free(t->models);
    free(t->slots);
    arena_done(&t->arena);
    *t = (struct trc_tally){0};
}

static uint64_t model_hash(enum op_resource resource, struct span name)
{
    return trc_xxh64(name.p, name.n) + resource;
}

static bool tally_grow(struct trc_tally *t)
{
    uint32_t cap = t->cap ? 2 * t->cap : 32, count = 2 * cap;
    struct trc_model_count *models = realloc(t->models, cap * sizeof *models);
    if (!models)
        return false;
    t->models = models;
    uint32_t *slots = calloc(count, sizeof *slots);
    if (!slots)
        return false;
    t->cap = cap;
    for (uint32_t i = 0; i < t->counts.model_count; i++) {
        uint32_t at =
            (uint32_t)model_hash(models[i].resource, models[i].name) & (count - 1);
        while (slots[at])
            at = (at + 1) & (count - 1);
        slots[at] = i + 1;
    }
    free(t->slots);
    t->slots = slots;
    t->slot_count = count;
    return true;
}

/* Appends a model without looking whether it is there. */
static int tally_append(struct trc_tally *t, enum op_resource resource,
                        struct span name, uint64_t count, struct err *e)
{
    if (t->counts.model_count == t->cap && !tally_grow(t))
        return err_set(e, ERR_NOMEM, "out of memory for the counts of models");
    struct span copy = arena_dup(&t->arena, name);
    if (!copy.p)
        return err_set(e, ERR_NOMEM, "out of memory for the counts of models");
    uint32_t at = (uint32_t)model_hash(resource, name) & (t->slot_count - 1);
    while (t->slots[at])
        at = (at + 1) & (t->slot_count - 1);
    t->models[t->counts.model_count++] =
        (struct trc_model_count){.resource = resource, .name = copy, .count = count};
    t->slots[at] = t->counts.model_count;
    t->counts.models = t->models;
    return 0;
}

int trc_tally_stream(struct trc_tally *t, const struct op_stream *s, uint64_t count,
                     struct err *e)
{
    t->counts.protocol[s->protocol] += count;
    t->counts.tier[s->tier] += count;
    for (uint32_t at = (uint32_t)model_hash(s->resource, s->name) & (t->slot_count - 1);
         t->slot_count && t->slots[at]; at = (at + 1) & (t->slot_count - 1)) {
        struct trc_model_count *m = &t->models[t->slots[at] - 1];
        if (m->resource == s->resource && span_eq(m->name, s->name)) {
            m->count += count;
            return 0;
        }
    }
    if (t->counts.model_count == TRC_MODELS_MAX) {
        t->counts.other += count;
        return 0;
    }
    return tally_append(t, s->resource, s->name, count, e);
}

void trc_tally_outcome(struct trc_tally *t, const struct outcome *o)
{
    t->counts.cause[o->cause]++;
    t->counts.check[o->check]++;
}

static int model_order(const struct trc_model_count *a, const struct trc_model_count *b)
{
    if (a->resource != b->resource)
        return a->resource < b->resource ? -1 : 1;
    size_t n = a->name.n < b->name.n ? a->name.n : b->name.n;
    int c = n ? memcmp(a->name.p, b->name.p, n) : 0;
    return c ? c : (a->name.n > b->name.n) - (a->name.n < b->name.n);
}

static int by_model(const void *a, const void *b)
{
    return model_order(a, b);
}

void trc_tally_sort(struct trc_tally *t)
{
    if (t->counts.model_count)
        qsort(t->models, t->counts.model_count, sizeof *t->models, by_model);
}

/* --- footer --- */

static const struct {
    unsigned id;
    size_t at, n;
} count_columns[] = {
    {TRC_COL_BY_PROTOCOL, offsetof(struct trc_counts, protocol), OP_PROTOCOL_COUNT},
    {TRC_COL_BY_TIER, offsetof(struct trc_counts, tier), OP_TIER_COUNT},
    {TRC_COL_BY_CAUSE, offsetof(struct trc_counts, cause), OUT_CAUSE_COUNT},
    {TRC_COL_BY_CHECK, offsetof(struct trc_counts, check), OUT_CHECK_COUNT},
};
#define COUNT_COLUMNS (sizeof count_columns / sizeof *count_columns)

static void put_models(const struct trc_counts *c, struct buf *b,
                       struct trc_group_out *g)
{
    buf_reset(b);
    for (uint32_t i = 0; i < c->model_count; i++) {
        buf_varint(b, c->models[i].resource);
        buf_varint(b, c->models[i].name.n);
        buf_span(b, c->models[i].name);
        buf_varint(b, c->models[i].count);
    }
    if (c->model_count)
        trc_put_bytes(g, TRC_COL_MODELS, false, buf_view(b));
    buf_reset(b);
    buf_varint(b, c->other);
    if (c->other)
        trc_put_bytes(g, TRC_COL_MODELS_OTHER, false, buf_view(b));
}

static void put_places(const struct trc_places *p, struct buf *b,
                       struct trc_group_out *g)
{
    uint64_t before = 0;
    if (!p->known)
        return;
    buf_reset(b);
    buf_varint(b, p->blob_blocks);
    buf_varint(b, p->late_blocks);
    for (uint32_t i = 0; i < p->meta_count; i++) {
        buf_varint(b, p->metas[i] - before);
        before = p->metas[i];
    }
    trc_put_bytes(g, TRC_COL_PLACES, false, buf_view(b));
}

void trc_footer_put(const struct trc_totals *totals, const struct trc_tally *t,
                    bool run, struct trc_group_out *g)
{
    struct buf b = {0};
    buf_varint(&b, totals->records);
    buf_varint(&b, totals->blocks);
    buf_zigzag(&b, totals->first_ns);
    buf_zigzag(&b, totals->last_ns);
    buf_varint(&b, totals->payload_bytes);
    buf_varint(&b, totals->blobs);
    buf_u64(&b, totals->hash[0]);
    buf_u64(&b, totals->hash[1]);
    buf_varint(&b, totals->index_offset);
    buf_varint(&b, totals->index_blocks);
    trc_put_bytes(g, TRC_COL_TOTALS, true, buf_view(&b));
    for (size_t k = 0; k < (run ? COUNT_COLUMNS : 2); k++) {
        const uint64_t *v = (const uint64_t *)(const void *)((const char *)&t->counts +
                                                             count_columns[k].at);
        buf_reset(&b);
        for (size_t i = 0; i < count_columns[k].n; i++)
            if (v[i]) {
                buf_varint(&b, i);
                buf_varint(&b, v[i]);
            }
        if (b.n)
            trc_put_bytes(g, count_columns[k].id, false, buf_view(&b));
    }
    put_models(&t->counts, &b, g);
    put_places(&totals->places, &b, g);
    g->raw.failed |= b.failed;
    buf_done(&b);
}

static int parse_models(const struct trc_group *g, struct trc_tally *t, struct err *e)
{
    struct span content;
    if (trc_group_find(g, TRC_COL_MODELS_OTHER, &content)) {
        struct cursor c = cursor_of(content);
        t->counts.other = cursor_varint(&c);
        if (c.bad || cursor_left(&c))
            return trc_column_error(g, TRC_COL_MODELS_OTHER, "malformed", e);
    }
    trc_group_find(g, TRC_COL_MODELS, &content);
    struct cursor c = cursor_of(content);
    while (cursor_left(&c) > 0) {
        uint64_t resource = cursor_varint(&c), n = cursor_varint(&c);
        struct span name = cursor_take(&c, n > TRC_STRING_MAX ? SIZE_MAX : (size_t)n);
        uint64_t count = cursor_varint(&c);
        if (c.bad || resource >= OP_RESOURCE_COUNT)
            return trc_column_error(g, TRC_COL_MODELS, "malformed", e);
        if (t->counts.model_count == TRC_MODELS_MAX)
            return trc_column_error(g, TRC_COL_MODELS, "too many models", e);
        int rc = tally_append(t, (enum op_resource)resource, name, count, e);
        if (rc < 0)
            return rc;
        uint32_t last = t->counts.model_count - 1;
        if (last && model_order(&t->models[last - 1], &t->models[last]) >= 0)
            return trc_column_error(g, TRC_COL_MODELS, "models do not ascend", e);
    }
    return 0;
}

static int parse_counts(const struct trc_group *g, struct trc_tally *t, struct err *e)
{
    for (size_t k = 0; k < COUNT_COLUMNS; k++) {
        struct span content;
        uint64_t *v = (uint64_t *)(void *)((char *)&t->counts + count_columns[k].at);
        trc_group_find(g, count_columns[k].id, &content);
        struct cursor c = cursor_of(content);
        while (cursor_left(&c) > 0) {
            uint64_t i = cursor_varint(&c), n = cursor_varint(&c);
            if (c.bad || i >= count_columns[k].n || v[i] != 0)
                return trc_column_error(g, count_columns[k].id, "malformed", e);
            v[i] = n;
        }
    }
    return parse_models(g, t, e);
}

static int parse_places(const struct trc_group *g, uint64_t end, struct trc_places *p,
                        struct err *e)
{
    struct span content;
    uint64_t offset = 0;
    if (!trc_group_find(g, TRC_COL_PLACES, &content))
        return 0;
    struct cursor c = cursor_of(content);
    p->known = true;
    p->blob_blocks = cursor_varint(&c);
    p->late_blocks = cursor_varint(&c);
    while (!c.bad && cursor_left(&c) > 0 && p->meta_count < TRC_METAS_MAX) {
        uint64_t step = cursor_varint(&c);
        if (step == 0 || step > end - offset)
            return trc_column_error(g, TRC_COL_PLACES, "impossible offset", e);
        p->metas[p->meta_count++] = offset += step;
    }
    return c.bad || cursor_left(&c)
               ? trc_column_error(g, TRC_COL_PLACES, "malformed", e)
               : 0;
}

int trc_footer_parse(const struct trc_head *head, struct span raw, uint64_t at,
                     struct trc_totals *totals, struct trc_tally *t, struct err *e)
{
    static const uint8_t known[] = {
        TRC_COL_TOTALS,       TRC_COL_BY_PROTOCOL, TRC_COL_BY_TIER,
        TRC_COL_BY_CAUSE,     TRC_COL_BY_CHECK,    TRC_COL_MODELS,
        TRC_COL_MODELS_OTHER, TRC_COL_PLACES,      0};
    char name[NAME_BYTES];
    struct trc_group g;
    struct span content;
    int rc = parse(head, raw, at, known, name, &g, e);
    if (rc < 0)
        return rc;
    if (!trc_group_find(&g, TRC_COL_TOTALS, &content))
        return trc_column_error(&g, TRC_COL_TOTALS, "the column is absent", e);
    struct cursor c = cursor_of(content);
    totals->records = cursor_varint(&c);
    totals->blocks = cursor_varint(&c);
    totals->first_ns = cursor_zigzag(&c);
    totals->last_ns = cursor_zigzag(&c);
    totals->payload_bytes = cursor_varint(&c);
    totals->blobs = cursor_varint(&c);
    totals->hash[0] = cursor_u64(&c);
    totals->hash[1] = cursor_u64(&c);
    totals->index_offset = cursor_varint(&c);
    totals->index_blocks = cursor_varint(&c);
    if (c.bad || totals->first_ns > totals->last_ns || totals->index_offset > at ||
        totals->blocks != head->ordinal || totals->first_ns < -TRC_TIME_MAX ||
        totals->last_ns > TRC_TIME_MAX)
        return trc_column_error(&g, TRC_COL_TOTALS, "malformed", e);
    rc = parse_places(&g, totals->index_offset, &totals->places, e);
    return rc < 0 ? rc : parse_counts(&g, t, e);
}

/* --- notes --- */

void trc_notes_done(struct trc_notes *t)
{
    for (size_t i = 0; i < t->n; i++) {
        free(t->v[i].key);
        free(t->v[i].value);
    }
    free(t->v);
    *t = (struct trc_notes){0};
}

/* Where key stands, or would stand. */
static size_t note_at(const struct trc_notes *t, const char *key, bool *found)
{
    size_t low = 0, high = t->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int c = strcmp(t->v[mid].key, key);
        if (c == 0) {
            *found = true;
            return mid;
        }
        if (c < 0)
            low = mid + 1;
        else
            high = mid;
    }
    *found = false;
    return low;
}

static char *text_of(struct span s)
{
    char *text = malloc(s.n + 1);
    if (text) {
        if (s.n)
            memcpy(text, s.p, s.n);
        text[s.n] = '\0';
    }
    return text;
}

static int check_note(const struct trc_notes *t, struct span key, struct span value,
                      struct err *e)
{
    if (key.n == 0 || key.n > TRC_NOTE_KEY_MAX)
        return err_set(e, ERR_LIMIT, "note with a key of %zu bytes, limit 1 to %u",
                       key.n, TRC_NOTE_KEY_MAX);
    if (memchr(key.p, 0, key.n) || (value.n && memchr(value.p, 0, value.n)))
        return err_set(e, ERR_FORMAT, "note with a NUL byte");
    if (value.n > TRC_NOTE_MAX)
        return err_set(e, ERR_LIMIT, "note '%.*s' of %zu bytes, limit %u",
                       SPAN_ARG(key), value.n, TRC_NOTE_MAX);
    if (t->n >= TRC_NOTES_MAX || t->bytes + key.n + value.n > TRC_NOTES_BYTES)
        return err_set(e, ERR_LIMIT, "more than %u notes, or %u bytes of them",
                       TRC_NOTES_MAX, TRC_NOTES_BYTES);
    return 0;
}

int trc_notes_set(struct trc_notes *t, struct span key, struct span value,
                  struct err *e)
{
    int rc = check_note(t, key, value, e);
    if (rc < 0)
        return rc;
    char *k = text_of(key), *v = text_of(value);
    if (k && v && t->n == t->cap) {
        size_t cap = t->cap ? 2 * t->cap : 16;
        struct trc_note *wide = realloc(t->v, cap * sizeof *wide);
        if (wide) {
            t->v = wide;
            t->cap = cap;
        }
    }
    if (!k || !v || t->n == t->cap) {
        free(k);
        free(v);
        return err_set(e, ERR_NOMEM, "out of memory for notes");
    }
    bool found;
    size_t at = note_at(t, k, &found);
    if (found) {
        t->bytes -= key.n + strlen(t->v[at].value);
        free(t->v[at].key);
        free(t->v[at].value);
    } else {
        memmove(t->v + at + 1, t->v + at, (t->n - at) * sizeof *t->v);
        t->n++;
    }
    t->v[at] = (struct trc_note){k, v};
    t->bytes += key.n + value.n;
    return 0;
}

const char *trc_notes_get(const struct trc_notes *t, const char *key)
{
    bool found;
    size_t at = note_at(t, key, &found);
    return found ? t->v[at].value : NULL;
}

void trc_meta_put(const struct trc_facts *facts, const struct trc_notes *notes,
                  struct trc_group_out *g)
{
    struct buf b = {0};
    buf_varint(&b, facts->run ? 1 : 0);
    buf_zigzag(&b, facts->epoch_wall_ns);
    trc_put_bytes(g, TRC_COL_FACTS, true, buf_view(&b));
    buf_reset(&b);
    for (size_t i = 0; i < notes->n; i++) {
        buf_varint(&b, strlen(notes->v[i].key));
        buf_str(&b, notes->v[i].key);
        buf_varint(&b, strlen(notes->v[i].value));
        buf_str(&b, notes->v[i].value);
    }
    if (b.n)
        trc_put_bytes(g, TRC_COL_NOTES, false, buf_view(&b));
    g->raw.failed |= b.failed;
    buf_done(&b);
}

int trc_meta_parse(const struct trc_head *head, struct span raw, uint64_t at,
                   struct trc_facts *facts, struct trc_notes *notes, struct err *e)
{
    static const uint8_t known[] = {TRC_COL_FACTS, TRC_COL_NOTES, 0};
    char name[NAME_BYTES];
    struct trc_group g;
    struct span content;
    int rc = parse(head, raw, at, known, name, &g, e);
    if (rc < 0)
        return rc;
    if (!trc_group_find(&g, TRC_COL_FACTS, &content))
        return trc_column_error(&g, TRC_COL_FACTS, "the column is absent", e);
    struct cursor c = cursor_of(content);
    uint64_t kind = cursor_varint(&c);
    facts->epoch_wall_ns = cursor_zigzag(&c);
    facts->run = kind == 1;
    if (c.bad || kind > 1 || facts->run != head->run)
        return trc_column_error(&g, TRC_COL_FACTS, "malformed", e);
    trc_group_find(&g, TRC_COL_NOTES, &content);
    c = cursor_of(content);
    for (uint32_t i = 0; i < head->records; i++) {
        uint64_t kn = cursor_varint(&c);
        struct span key =
            cursor_take(&c, kn > TRC_NOTE_KEY_MAX ? SIZE_MAX : (size_t)kn);
        uint64_t vn = cursor_varint(&c);
        struct span value = cursor_take(&c, vn > TRC_NOTE_MAX ? SIZE_MAX : (size_t)vn);
        if (c.bad)
            return trc_column_error(&g, TRC_COL_NOTES, "malformed", e);
        rc = trc_notes_set(notes, key, value, e);
        if (rc < 0)
            return err_note(e, "%s at byte %" PRIu64, name, at);
    }
    return cursor_left(&c) ? trc_column_error(&g, TRC_COL_NOTES, "bytes left over", e)
                           : 0;
}

/*
 * trc_legs.c - see trc_legs.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/tool/trc_legs.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "traces/base/jsonw.h"
#include "traces/base/units.h"

#define NEST_MAX 64u /* legs within legs that are told apart */

/* --- reading ---------------------------------------------------------------------- */

static uint64_t id_hash(struct span id)
{
    uint64_t h[2];
    op_body_hash(id, h);
    return h[0];
}

static int grow(struct trc_legs *l, size_t *cap, struct err *e)
{
    if (l->n < *cap)
        return 0;
    if (l->n == TRC_LEGS_MAX)
        return err_set(e, ERR_LIMIT,
                       "more than %u operations: cut the trace into parts first",
                       TRC_LEGS_MAX);
    size_t more = *cap ? *cap * 2 : 4096;
    struct trc_leg *legs = realloc(l->legs, more * sizeof *legs);
    if (!legs)
        return err_set(e, ERR_NOMEM, "out of memory for %zu operations", more);
    l->legs = legs;
    *cap = more;
    return 0;
}

static bool failed(const struct op *o)
{
    return o->status >= 400 || o->grpc_status > 0;
}

static int add_block(struct trc_legs *l, size_t *cap, const struct trc_block *b,
                     struct err *e)
{
    for (uint32_t i = 0; b->ops && i < b->count; i++) {
        const struct op *o = &b->ops[i];
        l->operations++;
        if (o->id.n == 0) {
            l->without_id++;
            continue;
        }
        int rc = grow(l, cap, e);
        if (rc < 0)
            return rc;
        l->legs[l->n++] = (struct trc_leg){.id_hash = id_hash(o->id),
                                           .index = b->first_index + i,
                                           .arrival_ns = o->arrival_ns,
                                           .last_ns = o->last_ns,
                                           .own_ns = OP_TIME_NONE,
                                           .tier = (uint8_t)o->stream->tier,
                                           .protocol = (uint8_t)o->stream->protocol,
                                           .resource = (uint8_t)o->stream->resource,
                                           .failed = failed(o)};
    }
    return 0;
}

static int by_index(const void *key, const void *leg)
{
    uint64_t a = *(const uint64_t *)key, b = ((const struct trc_leg *)leg)->index;
    return a < b ? -1 : a > b;
}

/* Answers that were written later; legs are still in order of the file. */
static void add_late(struct trc_legs *l, const struct trc_block *b)
{
    for (uint32_t i = 0; b->late && i < b->late_count && l->n > 0; i++) {
        struct trc_leg *leg =
            bsearch(&b->late[i].index, l->legs, l->n, sizeof *l->legs, by_index);
        if (!leg)
            continue;
        leg->last_ns = b->late[i].last_ns;
        leg->failed = failed(&b->late[i]);
    }
}

/* --- nesting ---------------------------------------------------------------------- */

static int64_t end_of(const struct trc_leg *leg)
{
    return leg->arrival_ns + (leg->last_ns == OP_TIME_NONE ? 0 : leg->last_ns);
}

static int by_id(const void *pa, const void *pb)
{
    const struct trc_leg *a = pa, *b = pb;
    if (a->id_hash != b->id_hash)
        return a->id_hash < b->id_hash ? -1 : 1;
    if (a->arrival_ns != b->arrival_ns)
        return a->arrival_ns < b->arrival_ns ? -1 : 1;
    if (end_of(a) != end_of(b))
        return end_of(a) > end_of(b) ? -1 : 1;
    return a->index < b->index ? -1 : a->index > b->index;
}

/* What of each leg's time lies in no leg inside it. */
static void find_own(struct trc_leg *legs, size_t n)
{
    struct {
        struct trc_leg *leg;
        int64_t covered; /* up to here, by legs inside */
    } open[NEST_MAX];
    size_t depth = 0;
    for (size_t i = 0; i < n; i++) {
        if (legs[i].last_ns == OP_TIME_NONE)
            continue;
        int64_t from = legs[i].arrival_ns, to = end_of(&legs[i]);
        legs[i].own_ns = legs[i].last_ns;
        while (depth > 0 && end_of(open[depth - 1].leg) < to)
            depth--;
        if (depth > 0) {
            int64_t start =
                from > open[depth - 1].covered ? from : open[depth - 1].covered;
            if (to > start) {
                open[depth - 1].leg->own_ns -= to - start;
                open[depth - 1].covered = to;
            }
        }
        if (depth < NEST_MAX) {
            open[depth].leg = &legs[i];
            open[depth++].covered = from;
        }
    }
}

/* --- kinds ------------------------------------------------------------------------ */

static int by_time(const void *pa, const void *pb)
{
    int64_t a = *(const int64_t *)pa, b = *(const int64_t *)pb;
    return a < b ? -1 : a > b;
}

static int64_t quantile(const int64_t *sorted, size_t n, double p)
{
    size_t rank = (size_t)(p * (double)n);
    if ((double)rank < p * (double)n)
        rank++;
    return n ? sorted[rank ? rank - 1 : 0] : 0;
}

static bool of_kind(const struct trc_leg *leg, const struct trc_leg_kind *k)
{
    return leg->tier == k->tier && leg->protocol == k->protocol &&
           leg->resource == k->resource;
}

/* `values` has room for all legs. */
static void measure(const struct trc_legs *l, struct trc_leg_kind *k, int64_t *values)
{
    size_t n = 0, own = 0;
    for (size_t i = 0; i < l->n; i++) {
        const struct trc_leg *leg = &l->legs[i];
        if (!of_kind(leg, k))
            continue;
        k->legs++;
        k->failed += leg->failed;
        if (leg->last_ns != OP_TIME_NONE)
            values[n++] = leg->last_ns;
    }
    k->answered = n;
    qsort(values, n, sizeof *values, by_time);
    k->p50_ns = quantile(values, n, 0.5);
    k->p99_ns = quantile(values, n, 0.99);
    for (size_t i = 0; i < l->n; i++)
        if (of_kind(&l->legs[i], k) && l->legs[i].own_ns != OP_TIME_NONE)
            values[own++] = l->legs[i].own_ns;
    qsort(values, own, sizeof *values, by_time);
    k->own_p50_ns = quantile(values, own, 0.5);
    k->own_p99_ns = quantile(values, own, 0.99);
}

static int slowest_first(const void *pa, const void *pb)
{
    const struct trc_leg_kind *a = pa, *b = pb;
    if (a->p50_ns != b->p50_ns)
        return a->p50_ns > b->p50_ns ? -1 : 1;
    return a->tier != b->tier ? (int)a->tier - b->tier : (int)a->protocol - b->protocol;
}

static int find_kinds(struct trc_legs *l, struct err *e)
{
    for (size_t i = 0; i < l->n; i++) {
        size_t k = 0;
        while (k < l->kind_count && !of_kind(&l->legs[i], &l->kinds[k]))
            k++;
        if (k == l->kind_count)
            l->kinds[l->kind_count++] =
                (struct trc_leg_kind){.tier = l->legs[i].tier,
                                      .protocol = l->legs[i].protocol,
                                      .resource = l->legs[i].resource};
    }
    int64_t *values = malloc((l->n ? l->n : 1) * sizeof *values);
    if (!values)
        return err_set(e, ERR_NOMEM, "out of memory for %zu latencies", l->n);
    for (size_t k = 0; k < l->kind_count; k++)
        measure(l, &l->kinds[k], values);
    free(values);
    qsort(l->kinds, l->kind_count, sizeof *l->kinds, slowest_first);
    return 0;
}

/* Keeps the calls with more than one leg. */
static void group(struct trc_legs *l)
{
    size_t kept = 0;
    if (l->n > 0)
        qsort(l->legs, l->n, sizeof *l->legs, by_id);
    for (size_t i = 0, next; i < l->n; i = next) {
        next = i + 1;
        while (next < l->n && l->legs[next].id_hash == l->legs[i].id_hash)
            next++;
        if (next - i == 1) {
            l->single++;
            continue;
        }
        l->calls++;
        memmove(l->legs + kept, l->legs + i, (next - i) * sizeof *l->legs);
        find_own(l->legs + kept, next - i);
        kept += next - i;
    }
    l->n = kept;
}

int trc_legs_read(struct trc_legs *l, struct trc_reader *r, struct err *e)
{
    struct trc_block *b;
    size_t cap = 0;
    int rc;
    *l = (struct trc_legs){0};
    if (trc_reader_info(r)->kind != TRC_TRACE)
        return err_set(e, ERR_USAGE, "a run has no legs: they are in a captured trace");
    trc_reader_want(r, TRC_READ_SCHEDULE | TRC_READ_ANSWERS | TRC_READ_IDS);
    while ((rc = trc_reader_next(r, &b, e)) == 1) {
        rc = add_block(l, &cap, b, e);
        add_late(l, b);
        trc_block_free(b);
        if (rc < 0)
            return rc;
    }
    if (rc < 0)
        return rc;
    group(l);
    return find_kinds(l, e);
}

void trc_legs_done(struct trc_legs *l)
{
    free(l->legs);
    *l = (struct trc_legs){0};
}

/* --- telling ---------------------------------------------------------------------- */

static void heading(struct buf *out)
{
    buf_fmt(out, "%-16s %-8s %-11s", "tier", "protocol", "resource");
}

static void kind_text(const char *tier, const char *protocol, const char *resource,
                      struct buf *out)
{
    buf_fmt(out, "%-16s %-8s %-11s", tier, protocol, resource);
}

void trc_legs_text(const struct trc_legs *l, struct buf *out)
{
    char a[UNITS_TEXT_MAX], b[UNITS_TEXT_MAX], c[UNITS_TEXT_MAX], d[UNITS_TEXT_MAX];
    buf_fmt(out,
            "calls seen at more than one tier: %" PRIu64 ", at one: %" PRIu64
            "; operations without an id: %" PRIu64 "\n",
            l->calls, l->single, l->without_id);
    if (l->kind_count == 0)
        return;
    heading(out);
    buf_fmt(out, " %10s %10s %11s %11s %11s %11s\n", "legs", "failed", "p50", "p99",
            "own p50", "own p99");
    for (size_t i = 0; i < l->kind_count; i++) {
        const struct trc_leg_kind *k = &l->kinds[i];
        kind_text(op_tier_names[k->tier], op_protocol_names[k->protocol],
                  op_resource_names[k->resource], out);
        buf_fmt(out, " %10" PRIu64 " %10" PRIu64 " %11s %11s %11s %11s\n", k->legs,
                k->failed, units_duration_text(k->p50_ns, a),
                units_duration_text(k->p99_ns, b),
                units_duration_text(k->own_p50_ns, c),
                units_duration_text(k->own_p99_ns, d));
    }
}

void trc_legs_json(const struct trc_legs *l, struct buf *out)
{
    struct jsonw w = {.out = out, .pretty = true};
    jsonw_object(&w);
    jsonw_key_str(&w, "schema", "reprise/trace-legs/1");
    jsonw_key_u64(&w, "operations", l->operations);
    jsonw_key_u64(&w, "calls", l->calls);
    jsonw_key_u64(&w, "single", l->single);
    jsonw_key_u64(&w, "without_id", l->without_id);
    jsonw_key(&w, "legs");
    jsonw_array(&w);
    for (size_t i = 0; i < l->kind_count; i++) {
        const struct trc_leg_kind *k = &l->kinds[i];
        jsonw_object(&w);
        jsonw_key_str(&w, "tier", op_tier_names[k->tier]);
        jsonw_key_str(&w, "protocol", op_protocol_names[k->protocol]);
        jsonw_key_str(&w, "resource", op_resource_names[k->resource]);
        jsonw_key_u64(&w, "count", k->legs);
        jsonw_key_u64(&w, "answered", k->answered);
        jsonw_key_u64(&w, "failed", k->failed);
        const struct {
            const char *key;
            int64_t ns;
        } times[] = {{"p50_ns", k->p50_ns},
                     {"p99_ns", k->p99_ns},
                     {"own_p50_ns", k->own_p50_ns},
                     {"own_p99_ns", k->own_p99_ns}};
        for (size_t t = 0; t < sizeof times / sizeof *times; t++) {
            jsonw_key(&w, times[t].key);
            if (k->answered)
                jsonw_i64(&w, times[t].ns);
            else
                jsonw_null(&w);
        }
        jsonw_end(&w);
    }
    jsonw_end(&w);
    jsonw_end(&w);
    buf_u8(out, '\n');
}

size_t trc_legs_of(const struct trc_legs *l, struct span id, struct buf *out)
{
    char a[UNITS_TEXT_MAX], b[UNITS_TEXT_MAX], c[UNITS_TEXT_MAX];
    uint64_t hash = id_hash(id);
    size_t n = 0;
    int64_t start = 0;
    for (size_t i = 0; i < l->n; i++) {
        const struct trc_leg *leg = &l->legs[i];
        if (leg->id_hash != hash)
            continue;
        if (n++ == 0) {
            start = leg->arrival_ns;
            heading(out);
            buf_fmt(out, " %10s %11s %11s %11s\n", "operation", "begins", "took",
                    "own");
        }
        bool answered = leg->last_ns != OP_TIME_NONE;
        kind_text(op_tier_names[leg->tier], op_protocol_names[leg->protocol],
                  op_resource_names[leg->resource], out);
        buf_fmt(out, " %10" PRIu64 " %11s %11s %11s%s\n", leg->index,
                units_duration_text(leg->arrival_ns - start, a),
                answered ? units_duration_text(leg->last_ns, b) : "no answer",
                answered ? units_duration_text(leg->own_ns, c) : "-",
                leg->failed ? " failed" : "");
    }
    return n;
}

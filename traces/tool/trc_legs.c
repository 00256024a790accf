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
#define LOOK_MAX 64u /* legs with one message that are looked at, each way */

/* --- reading ---------------------------------------------------------------------- */

static uint64_t id_hash(struct span id)
{
    uint64_t h[2];
    op_body_hash(id, h);
    return h[0] | 1; /* 0: no id */
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
        struct span id = {0};
        int rc = grow(l, cap, e);
        if (rc == 0 && l->keep_ids && o->id.n > 0) {
            id = arena_dup(&l->ids, o->id);
            if (!id.p)
                rc = err_set(e, ERR_NOMEM, "out of memory for request ids");
        }
        if (rc < 0)
            return rc;
        bool message = o->request.state != OP_BODY_NONE;
        l->legs[l->n++] = (struct trc_leg){.id_hash = o->id.n ? id_hash(o->id) : 0,
                                           .id = id.p,
                                           .id_bytes = (uint32_t)id.n,
                                           .message = message ? o->request.hash[0] : 0,
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

/* --- legs without an id ----------------------------------------------------------- */

static int64_t end_of(const struct trc_leg *leg)
{
    return leg->arrival_ns + (leg->last_ns == OP_TIME_NONE ? 0 : leg->last_ns);
}

static int by_message(const void *pa, const void *pb)
{
    const struct trc_leg *a = pa, *b = pb;
    if (a->message != b->message)
        return a->message < b->message ? -1 : 1;
    if (a->arrival_ns != b->arrival_ns)
        return a->arrival_ns < b->arrival_ns ? -1 : 1;
    return a->index < b->index ? -1 : a->index > b->index;
}

static bool same_kind(const struct trc_leg *a, const struct trc_leg *b)
{
    return a->tier == b->tier && a->protocol == b->protocol &&
           a->resource == b->resource;
}

static bool nested(const struct trc_leg *a, const struct trc_leg *b)
{
    return (a->arrival_ns <= b->arrival_ns && end_of(a) >= end_of(b)) ||
           (b->arrival_ns <= a->arrival_ns && end_of(b) >= end_of(a));
}

/* Legs with one message, in order of arrival. */
struct group {
    struct trc_leg *legs;
    size_t n;
    int64_t longest_ns; /* that one of them took */
};

/* Those around i that may overlap [start, end]: [*from, *to). False: too many to tell.
 */
static bool around(const struct group *g, size_t i, int64_t start, int64_t end,
                   size_t *from, size_t *to)
{
    *from = i;
    *to = i + 1;
    while (*from > 0 && g->legs[*from - 1].arrival_ns >= start - g->longest_ns)
        if (i - --*from > LOOK_MAX)
            return false;
    while (*to < g->n && g->legs[*to].arrival_ns <= end)
        if (++*to - i > LOOK_MAX)
            return false;
    return true;
}

/* The leg whose id is i's: NULL where there is none, or more than one id. */
static const struct trc_leg *candidate_of(const struct group *g, size_t i)
{
    const struct trc_leg *me = &g->legs[i], *found = NULL;
    size_t from, to;
    if (!around(g, i, me->arrival_ns, end_of(me), &from, &to))
        return NULL;
    for (size_t k = from; k < to; k++) {
        const struct trc_leg *leg = &g->legs[k];
        if (!leg->id_hash || !nested(me, leg) || same_kind(me, leg))
            continue;
        if (found && found->id_hash != leg->id_hash)
            return NULL;
        found = leg;
    }
    return found;
}

/* Whether another leg of i's kind is of that call, or may be. */
static bool has_rival(const struct group *g, size_t i, const struct trc_leg *found)
{
    const struct trc_leg *me = &g->legs[i];
    int64_t start =
        found->arrival_ns < me->arrival_ns ? found->arrival_ns : me->arrival_ns;
    int64_t end = end_of(found) > end_of(me) ? end_of(found) : end_of(me);
    size_t from, to;
    if (!around(g, i, start, end, &from, &to))
        return true;
    for (size_t k = from; k < to; k++) {
        const struct trc_leg *leg = &g->legs[k];
        if (k != i && same_kind(me, leg) &&
            (leg->id_hash == found->id_hash || (!leg->id_hash && nested(leg, found))))
            return true;
    }
    return false;
}

static void match_group(struct trc_legs *l, struct group *g)
{
    for (size_t i = 0; i < g->n; i++)
        if (g->legs[i].last_ns > g->longest_ns)
            g->longest_ns = g->legs[i].last_ns;
    for (size_t i = 0; i < g->n; i++) {
        struct trc_leg *me = &g->legs[i];
        const struct trc_leg *found =
            me->id_hash || !me->message ? NULL : candidate_of(g, i);
        if (!found || has_rival(g, i, found))
            continue;
        me->id_hash = found->id_hash;
        me->id = found->id;
        me->id_bytes = found->id_bytes;
        l->matched++;
    }
}

/* Gives ids to those that can be told by their message, and drops the others. */
static void match(struct trc_legs *l)
{
    size_t kept = 0;
    if (l->n > 0)
        qsort(l->legs, l->n, sizeof *l->legs, by_message);
    for (size_t i = 0, next; i < l->n; i = next) {
        next = i + 1;
        while (next < l->n && l->legs[next].message == l->legs[i].message)
            next++;
        match_group(l, &(struct group){.legs = l->legs + i, .n = next - i});
    }
    for (size_t i = 0; i < l->n; i++)
        if (l->legs[i].id_hash)
            l->legs[kept++] = l->legs[i];
    l->without_id = l->n - kept;
    l->n = kept;
}

/* --- nesting ---------------------------------------------------------------------- */

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
    k->p90_ns = quantile(values, n, 0.9);
    k->p99_ns = quantile(values, n, 0.99);
    k->max_ns = quantile(values, n, 1);
    for (size_t i = 0; i < l->n; i++)
        if (of_kind(&l->legs[i], k) && l->legs[i].own_ns != OP_TIME_NONE)
            values[own++] = l->legs[i].own_ns;
    qsort(values, own, sizeof *values, by_time);
    k->own_p50_ns = quantile(values, own, 0.5);
    k->own_p90_ns = quantile(values, own, 0.9);
    k->own_p99_ns = quantile(values, own, 0.99);
    k->own_max_ns = quantile(values, own, 1);
    for (size_t i = 0; i < own; i++)
        k->share += (double)values[i]; /* made a share once all are known */
}

static void make_shares(struct trc_legs *l)
{
    double all = 0;
    for (size_t k = 0; k < l->kind_count; k++)
        all += l->kinds[k].share;
    for (size_t k = 0; k < l->kind_count; k++)
        l->kinds[k].share = all > 0 ? l->kinds[k].share / all : 0;
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
    make_shares(l);
    qsort(l->kinds, l->kind_count, sizeof *l->kinds, slowest_first);
    return 0;
}

/* How many of the legs, by_id, are of the first one's call: its id is used again where
 * one at its tier begins when all before it are over; where that is not known, for one
 * has no answer, only one of its kind tells. *kinds: there is more than one. */
static size_t call_of(const struct trc_leg *legs, size_t n, bool *kinds)
{
    int64_t end = end_of(&legs[0]);
    bool answered = legs[0].last_ns != OP_TIME_NONE;
    size_t i = 1;
    *kinds = false;
    for (; i < n && legs[i].id_hash == legs[0].id_hash; i++) {
        bool again =
            answered ? legs[i].tier == legs[0].tier : same_kind(&legs[i], &legs[0]);
        if (again && legs[i].arrival_ns > end)
            break;
        answered = answered && legs[i].last_ns != OP_TIME_NONE;
        end = end_of(&legs[i]) > end ? end_of(&legs[i]) : end;
        *kinds |= !same_kind(&legs[i], &legs[0]);
    }
    return i;
}

/* Keeps the calls with legs of more than one kind. */
static void group(struct trc_legs *l)
{
    size_t kept = 0;
    if (l->n > 0)
        qsort(l->legs, l->n, sizeof *l->legs, by_id);
    for (size_t i = 0, n; i < l->n; i += n) {
        bool kinds;
        n = call_of(l->legs + i, l->n - i, &kinds);
        if (!kinds) {
            l->single++;
            continue;
        }
        l->calls++;
        memmove(l->legs + kept, l->legs + i, n * sizeof *l->legs);
        find_own(l->legs + kept, n);
        for (size_t k = kept; k < kept + n; k++)
            l->legs[k].call = (uint32_t)l->calls;
        kept += n;
    }
    l->n = kept;
}

int trc_legs_read(struct trc_legs *l, struct trc_reader *r, struct err *e)
{
    struct trc_block *b;
    size_t cap = 0;
    int rc;
    *l = (struct trc_legs){.keep_ids = l->keep_ids};
    if (trc_reader_info(r)->kind != TRC_TRACE)
        return err_set(e, ERR_USAGE, "a run has no legs: they are in a captured trace");
    trc_reader_want(r, TRC_READ_SCHEDULE | TRC_READ_ANSWERS | TRC_READ_IDS |
                           TRC_READ_PAYLOAD);
    while ((rc = trc_reader_next(r, &b, e)) == 1) {
        rc = add_block(l, &cap, b, e);
        add_late(l, b);
        trc_block_free(b);
        if (rc < 0)
            return rc;
    }
    if (rc < 0)
        return rc;
    match(l);
    group(l);
    return find_kinds(l, e);
}

void trc_legs_done(struct trc_legs *l)
{
    free(l->legs);
    arena_done(&l->ids);
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
    buf_fmt(out,
            "calls seen at more than one tier: %" PRIu64 ", at one: %" PRIu64
            "; operations without an id: %" PRIu64,
            l->calls, l->single, l->without_id);
    if (l->matched)
        buf_fmt(out, "; told by their message: %" PRIu64, l->matched);
    buf_u8(out, '\n');
    if (l->kind_count == 0)
        return;
    heading(out);
    static const char *const columns[] = {"p50",     "p90",     "p99",     "max",
                                          "own p50", "own p90", "own p99", "own max"};
    buf_fmt(out, " %8s %7s", "legs", "failed");
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
        buf_fmt(out, " %9s", columns[i]);
    buf_fmt(out, " %6s\n", "share");
    for (size_t i = 0; i < l->kind_count; i++) {
        const struct trc_leg_kind *k = &l->kinds[i];
        const int64_t times[] = {k->p50_ns,     k->p90_ns,     k->p99_ns,
                                 k->max_ns,     k->own_p50_ns, k->own_p90_ns,
                                 k->own_p99_ns, k->own_max_ns};
        kind_text(op_tier_names[k->tier], op_protocol_names[k->protocol],
                  op_resource_names[k->resource], out);
        buf_fmt(out, " %8" PRIu64 " %7" PRIu64, k->legs, k->failed);
        for (size_t t = 0; t < sizeof times / sizeof *times; t++) {
            char text[UNITS_TEXT_MAX];
            buf_fmt(out, " %9s",
                    k->answered ? units_duration_text(times[t], text) : "-");
        }
        buf_fmt(out, " %4.1f %%\n", 100 * k->share);
    }
    buf_str(out, "own: what a tier adds to the legs inside it; share: of the time of "
                 "all calls\n");
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
    jsonw_key_u64(&w, "matched", l->matched);
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
        } times[] = {{"p50_ns", k->p50_ns},         {"p90_ns", k->p90_ns},
                     {"p99_ns", k->p99_ns},         {"max_ns", k->max_ns},
                     {"own_p50_ns", k->own_p50_ns}, {"own_p90_ns", k->own_p90_ns},
                     {"own_p99_ns", k->own_p99_ns}, {"own_max_ns", k->own_max_ns}};
        for (size_t t = 0; t < sizeof times / sizeof *times; t++) {
            jsonw_key(&w, times[t].key);
            if (k->answered)
                jsonw_i64(&w, times[t].ns);
            else
                jsonw_null(&w);
        }
        jsonw_key_f64(&w, "share", k->share);
        jsonw_end(&w);
    }
    jsonw_end(&w);
    jsonw_end(&w);
    buf_u8(out, '\n');
}

static void leg_json(const struct trc_leg *leg, int64_t start, struct jsonw *w)
{
    jsonw_object(w);
    jsonw_key_str(w, "tier", op_tier_names[leg->tier]);
    jsonw_key_str(w, "protocol", op_protocol_names[leg->protocol]);
    jsonw_key_str(w, "resource", op_resource_names[leg->resource]);
    jsonw_key_u64(w, "operation", leg->index);
    jsonw_key_i64(w, "begins_ns", leg->arrival_ns - start);
    if (leg->last_ns != OP_TIME_NONE) {
        jsonw_key_i64(w, "took_ns", leg->last_ns);
        jsonw_key_i64(w, "own_ns", leg->own_ns);
    }
    jsonw_key_bool(w, "failed", leg->failed);
    jsonw_end(w);
}

/* The legs [first, next) are of one call; the first arrived first. */
struct call {
    size_t first, next;
    int64_t arrival_ns;
};

static int by_arrival(const void *pa, const void *pb)
{
    const struct call *a = pa, *b = pb;
    if (a->arrival_ns != b->arrival_ns)
        return a->arrival_ns < b->arrival_ns ? -1 : 1;
    return a->first < b->first ? -1 : a->first > b->first;
}

static void call_json(const struct trc_legs *l, const struct call *c, struct buf *out)
{
    struct jsonw w = {.out = out};
    const struct trc_leg *legs = l->legs + c->first;
    int64_t end = c->arrival_ns;
    for (size_t i = 0; i < c->next - c->first; i++)
        end = end_of(&legs[i]) > end ? end_of(&legs[i]) : end;
    jsonw_object(&w);
    jsonw_key(&w, "id");
    jsonw_span(&w, span_of(legs->id, legs->id_bytes));
    jsonw_key_i64(&w, "arrival_ns", c->arrival_ns);
    jsonw_key_i64(&w, "took_ns", end - c->arrival_ns);
    jsonw_key(&w, "legs");
    jsonw_array(&w);
    for (size_t i = 0; i < c->next - c->first; i++)
        leg_json(&legs[i], c->arrival_ns, &w);
    jsonw_end(&w);
    jsonw_end(&w);
    buf_u8(out, '\n');
}

void trc_legs_calls(const struct trc_legs *l, struct buf *out)
{
    struct call *calls = malloc((l->calls ? l->calls : 1) * sizeof *calls);
    size_t n = 0;
    if (!calls) {
        out->failed = true;
        return;
    }
    for (size_t i = 0, next; i < l->n; i = next) {
        next = i + 1;
        while (next < l->n && l->legs[next].call == l->legs[i].call)
            next++;
        calls[n++] = (struct call){i, next, l->legs[i].arrival_ns};
    }
    if (n > 0)
        qsort(calls, n, sizeof *calls, by_arrival);
    for (size_t i = 0; i < n; i++)
        call_json(l, &calls[i], out);
    free(calls);
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

/*
 * scan.c - see scan.h. Reading; scan_summary.c makes quantiles of what was read.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "analysis/scan.h"

#include <stdlib.h>
#include <string.h>

#include "analysis/reading.h"
#include "analysis/scan_columns.h"
#include "analysis/shards.h"
#include "traces/base/units.h"
#include "traces/container/trc_reader.h"
#include "traces/run_notes.h"

/* --- names ------------------------------------------------------------------------ */

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

/* The leaf of a stream, made if it is new; its index in *index. */
static int find_leaf(struct ana_scan *s, const struct op_stream *stream,
                     uint32_t *index, struct err *e)
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

/* What a report needs of an outcome. */
#define WANTED                                                                         \
    (TRC_WANT_DUE | TRC_WANT_READY | TRC_WANT_SENT | TRC_WANT_FIRST | TRC_WANT_DONE |  \
     TRC_WANT_STREAM | TRC_WANT_CAUSE | TRC_WANT_CHECK | TRC_WANT_WAIT |               \
     TRC_WANT_STATUS | TRC_WANT_GRPC_STATUS | TRC_WANT_BYTES_OUT | TRC_WANT_BYTES_IN | \
     TRC_WANT_MESSAGES)

/* --- outcomes --------------------------------------------------------------------- */

static int add_piece(struct ana_scan *s, struct ana_leaf *l, struct err *e)
{
    struct ana_piece *p = ana_piece_new(s->slabs, l->last, s->run->charts);
    if (!p)
        return err_set(e, ERR_NOMEM,
                       "out of memory for more than %zu operations of "
                       "'%s'",
                       l->n, l->name);
    if (!l->first)
        l->first = p;
    l->last = p;
    l->piece_count++;
    return 0;
}

static inline bool has_room(const struct ana_leaf *l)
{
    return l->last && l->last->n < l->last->cap;
}

/* The first of a piece that is not 0 makes its column. */
static int press(struct ana_scan *s, struct ana_leaf *l, struct err *e)
{
    if (l->last->narrow[ANA_COL_BACK_PRESSURE] || ana_piece_press(s->slabs, l->last))
        return 0;
    return err_set(e, ERR_NOMEM, "out of memory for %zu operations of '%s'", l->n,
                   l->name);
}

static void count_due(struct ana_scan *s, int64_t due)
{
    s->disordered |= due < s->last_due_ns;
    s->last_due_ns = due;
}

static int64_t difference(struct ana_scan *s, int64_t later, int64_t earlier)
{
    if (later == OP_TIME_NONE || earlier == OP_TIME_NONE)
        return ANA_NONE;
    if (later < earlier || __builtin_sub_overflow(later, earlier, &later) ||
        later == ANA_INF) {
        s->clock_fault = true;
        return ANA_NONE;
    }
    return later;
}

static void count_outcome(struct ana_counts *c, const struct outcome *o, bool ok)
{
    c->due++;
    c->bytes_out += o->bytes_out;
    c->bytes_in += o->bytes_in;
    switch (o->cause) {
    case OUT_DROPPED:
        c->dropped++;
        return;
    case OUT_REFUSED:
        c->refused++;
        return;
    case OUT_STOPPED:
        c->stopped++;
        c->stopped_sent += o->sent_ns != OP_TIME_NONE;
        c->sent += o->sent_ns != OP_TIME_NONE;
        return;
    default:
        c->sent++;
        c->done++;
        c->ok += ok;
        c->failed += !ok;
    }
}

static int count_class(struct ana_scan *s, const struct outcome *o, struct err *e)
{
    char name[OUT_CLASS_MAX];
    size_t i;

    outcome_class(o, name);
    for (i = 0; i < s->class_count; i++)
        if (strcmp(s->classes[i].name, name) == 0)
            break;
    if (i == ANA_CLASSES_MAX) {
        i--; /* the last one is kept for all others */
    } else if (i == s->class_count) {
        const char *kept = i == ANA_CLASSES_MAX - 1 ? "other" : name;
        s->classes[i].name = arena_str(&s->run->arena, kept);
        s->classes[i].count = 0;
        if (!s->classes[i].name)
            return err_set(e, ERR_NOMEM, "out of memory");
        s->class_count++;
    }
    s->classes[i].count++;
    return 0;
}

static void widen(int64_t *first, int64_t *last, int64_t t)
{
    if (t == OP_TIME_NONE)
        return;
    if (*first == OP_TIME_NONE || t < *first)
        *first = t;
    if (*last == OP_TIME_NONE || t > *last)
        *last = t;
}

/* Moments count from the start of the run; what lies outside of 146 years is damage. */
static bool in_range(int64_t t)
{
    return t == OP_TIME_NONE || (t >= 0 && t < INT64_C(1) << 62);
}

static bool moments_in_range(const struct outcome *o)
{
    return o->due_ns != OP_TIME_NONE && in_range(o->due_ns) && in_range(o->ready_ns) &&
           in_range(o->sent_ns) && in_range(o->first_ns) && in_range(o->done_ns);
}

static int add_value(struct ana_values *to, int64_t v, struct err *e)
{
    if (to->n == to->cap) {
        size_t cap = to->cap ? to->cap * 2 : 64;
        int64_t *grown = realloc(to->v, cap * sizeof *grown);
        if (!grown)
            return err_set(e, ERR_NOMEM, "out of memory for %zu messages", cap);
        to->v = grown;
        to->cap = cap;
    }
    to->v[to->n++] = v;
    return 0;
}

/* The messages of a good answer that streams. */
static int take_messages(struct ana_scan *s, const struct op_messages *m,
                         struct ana_leaf *l, struct err *e)
{
    int rc = 0;
    for (uint32_t i = 0; i < m->count && rc == 0; i++) {
        int64_t v = difference(s, m->v[i].at_ns, i ? m->v[i - 1].at_ns : 0);
        if (v != ANA_NONE)
            rc = add_value(i ? &l->message_gap : &l->first_message, v, e);
    }
    return rc;
}

static void count_wait(struct ana_run *run, enum out_wait wait, int64_t ns)
{
    struct ana_wait *w = &run->waits[wait];
    if (wait == OUT_WAIT_NONE || ns <= 0)
        return;
    w->count++;
    w->most_ns = ns > w->most_ns ? ns : w->most_ns;
    if (__builtin_add_overflow(w->total_ns, ns, &w->total_ns))
        w->total_ns = INT64_MAX;
}

static int put(struct ana_leaf *l, enum ana_column c, int64_t v, struct err *e)
{
    bool fits = v >= 0 && v < ANA_WIDE;
    l->last->narrow[c][l->last->n] = fits ? (uint32_t)v : ANA_WIDE;
    return fits ? 0 : add_value(&l->wide[c], v, e);
}

static int take_outcome(struct ana_scan *s, const struct outcome *o, struct ana_leaf *l,
                        struct err *e)
{
    bool ok = outcome_ok(o);
    int64_t ignored = OP_TIME_NONE;
    int rc;

    if (o->due_ns != OP_TIME_NONE && o->due_ns < s->warmup_ns) {
        s->run->cut++;
        return 0;
    }
    if (o->due_ns != OP_TIME_NONE && o->due_ns >= s->cooldown_from_ns) {
        s->run->cut_late++;
        return 0;
    }
    if (!moments_in_range(o)) { /* counted, but it has no latency */
        s->run->clock_faults++;
        count_outcome(&l->counts, o, ok);
        return ok ? 0 : count_class(s, o, e);
    }
    if (!has_room(l) && (rc = add_piece(s, l, e)) < 0)
        return rc;
    s->clock_fault = false;
    int64_t response = difference(s, o->done_ns, o->due_ns);
    int64_t service = difference(s, o->done_ns, o->sent_ns);
    int64_t ttfb = difference(s, o->first_ns, o->sent_ns);
    if (!ok)
        response = o->cause == OUT_STOPPED ? ANA_NONE : ANA_INF;
    int64_t back_pressure =
        o->sent_ns == OP_TIME_NONE ? ANA_NONE : difference(s, o->ready_ns, o->due_ns);
    count_due(s, o->due_ns);
    if (l->last->due)
        l->last->due[l->last->n] = o->due_ns;
    if ((rc = put(l, ANA_COL_RESPONSE, response, e)) < 0 ||
        (rc = put(l, ANA_COL_SERVICE, ok ? service : ANA_NONE, e)) < 0 ||
        (rc = put(l, ANA_COL_TTFB, ok ? ttfb : ANA_NONE, e)) < 0 ||
        (rc = put(l, ANA_COL_GENERATOR, difference(s, o->sent_ns, o->ready_ns), e)) < 0)
        return rc;
    if (back_pressure != 0 && (rc = press(s, l, e)) < 0)
        return rc;
    if (l->last->narrow[ANA_COL_BACK_PRESSURE] &&
        (rc = put(l, ANA_COL_BACK_PRESSURE, back_pressure, e)) < 0)
        return rc;
    l->last->n++;
    l->n++;
    if (ok && (rc = take_messages(s, &o->messages, l, e)) < 0)
        return rc;
    s->run->clock_faults += s->clock_fault;
    count_outcome(&l->counts, o, ok);
    if (o->sent_ns != OP_TIME_NONE && o->ready_ns != OP_TIME_NONE)
        count_wait(s->run, o->wait, o->ready_ns - o->due_ns);
    widen(&s->run->first_due_ns, &s->run->last_due_ns, o->due_ns);
    widen(&s->run->first_sent_ns, &s->run->last_sent_ns, o->sent_ns);
    widen(&ignored, &s->run->last_done_ns, o->done_ns);
    return ok ? 0 : count_class(s, o, e);
}

/* --- plain outcomes --- */

/* The least and greatest moments of the plain outcomes of a block. */
struct extent {
    int64_t first_due, last_due, first_sent, last_sent, last_done;
};

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t greatest(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Good, answered in 4.3 s, and with moments in order: nearly all of them, and what
 * take_outcome does with such a one is short. */
static bool is_plain(const struct ana_scan *s, const struct trc_columns *c, uint32_t i)
{
    int64_t due = c->due_ns[i], ready = c->ready_ns[i], sent = c->sent_ns[i],
            first = c->first_ns[i], done = c->done_ns[i];
    return (c->cause[i] == OUT_OK) & (c->check[i] < OUT_WRONG) & (due >= 0) &
           (ready >= due) & (sent >= ready) & (first >= sent) & (done >= first) &
           (done < INT64_C(1) << 62) & ((uint64_t)done - (uint64_t)due < ANA_WIDE) &
           (due >= s->warmup_ns) & (due < s->cooldown_from_ns) &
           (!c->messages || c->messages[i].count == 0);
}

/* What goes into the columns of a leaf. */
struct row {
    int64_t due;
    uint32_t response, service, ttfb, generator, back_pressure;
};

static inline __attribute__((always_inline)) int
put_row(struct ana_scan *s, struct ana_leaf *l, const struct row *r, struct err *e)
{
    int rc = has_room(l) ? 0 : add_piece(s, l, e);
    if (rc == 0 && r->back_pressure > 0)
        rc = press(s, l, e);
    if (rc < 0)
        return rc;
    struct ana_piece *p = l->last;
    size_t n = p->n++;
    if (p->due)
        p->due[n] = r->due;
    p->narrow[ANA_COL_RESPONSE][n] = r->response;
    p->narrow[ANA_COL_SERVICE][n] = r->service;
    p->narrow[ANA_COL_TTFB][n] = r->ttfb;
    p->narrow[ANA_COL_GENERATOR][n] = r->generator;
    if (p->narrow[ANA_COL_BACK_PRESSURE])
        p->narrow[ANA_COL_BACK_PRESSURE][n] = r->back_pressure;
    return 0;
}

/* What is counted of a plain outcome for its leaf; settle_plain makes the rest of it.
 */
static void count_plain(struct ana_leaf *l, const struct trc_columns *c, uint32_t i)
{
    l->plain++;
    l->counts.bytes_out += c->bytes_out[i];
    l->counts.bytes_in += c->bytes_in[i];
}

static int take_plain(struct ana_scan *s, const struct trc_columns *c, uint32_t i,
                      struct ana_leaf *l, struct extent *x, struct err *e)
{
    int64_t due = c->due_ns[i], ready = c->ready_ns[i], sent = c->sent_ns[i],
            done = c->done_ns[i];
    struct row r = {.due = due,
                    .response = (uint32_t)(done - due),
                    .service = (uint32_t)(done - sent),
                    .ttfb = (uint32_t)(c->first_ns[i] - sent),
                    .generator = (uint32_t)(sent - ready),
                    .back_pressure = (uint32_t)(ready - due)};
    int rc = put_row(s, l, &r, e);
    if (rc < 0)
        return rc;
    count_due(s, due);
    count_plain(l, c, i);
    count_wait(s->run, (enum out_wait)c->wait[i], ready - due);
    x->first_due = least(x->first_due, due);
    x->last_due = greatest(x->last_due, due);
    x->first_sent = least(x->first_sent, sent);
    x->last_sent = greatest(x->last_sent, sent);
    x->last_done = greatest(x->last_done, done);
    return 0;
}

/* --- plain outcomes, many together --- */

#define TOGETHER 64

/* Differences are made of so many at once, by loops over vectors. */
struct latencies {
    uint32_t response[TOGETHER], service[TOGETHER], ttfb[TOGETHER], generator[TOGETHER],
        back_pressure[TOGETHER];
    bool pressed; /* some back-pressure is not 0 */
};

/* later - earlier, as far as 32 bits hold it. Returns the bits of all differences
 * together. */
static uint64_t subtract(const int64_t *restrict later, const int64_t *restrict earlier,
                         uint32_t *restrict out)
{
    uint64_t bits = 0;
    for (int i = 0; i < TOGETHER; i++) {
        uint64_t d = (uint64_t)later[i] - (uint64_t)earlier[i];
        bits |= d;
        out[i] = (uint32_t)d;
    }
    return bits;
}

static bool all_good(const struct trc_columns *c, uint32_t at)
{
    const uint8_t *cause = c->cause + at, *check = c->check + at;
    unsigned bad = 0;
    for (int i = 0; i < TOGETHER; i++)
        bad |= (cause[i] != OUT_OK) | (check[i] >= OUT_WRONG);
    for (int i = 0; i < TOGETHER && c->messages; i++)
        bad |= c->messages[at + (uint32_t)i].count > 0;
    return !bad;
}

static bool ascends(const int64_t *v)
{
    uint64_t bits = (uint64_t)v[TOGETHER - 1] - (uint64_t)v[TOGETHER - 2];
    for (int i = 0; i < TOGETHER - 2; i++) /* an even number: two fit a vector */
        bits |= (uint64_t)v[i + 1] - (uint64_t)v[i];
    return !(bits >> 63);
}

/* Whether these outcomes are surely plain, all of them, and due one after another.
 * Differences below 2^31 that begin at moments below 2^61 are what they seem to be. */
static bool are_plain(const struct ana_scan *s, const struct trc_columns *c,
                      uint32_t at, struct latencies *l)
{
    const int64_t *due = c->due_ns + at, *ready = c->ready_ns + at,
                  *sent = c->sent_ns + at, *first = c->first_ns + at,
                  *done = c->done_ns + at;
    int64_t from = due[0], to = due[TOGETHER - 1];
    uint32_t rest[TOGETHER];

    if (!all_good(c, at) || from < 0 || from < s->warmup_ns || to >= INT64_C(1) << 61 ||
        to >= s->cooldown_from_ns || !ascends(due))
        return false;
    uint64_t pressed = subtract(ready, due, l->back_pressure);
    l->pressed = pressed != 0;
    uint64_t bits = pressed | subtract(sent, ready, l->generator);
    bits |= subtract(first, sent, l->ttfb);
    bits |= subtract(done, first, rest);
    bits |= subtract(done, sent, l->service);
    bits |= subtract(done, due, l->response);
    return bits <= INT32_MAX;
}

static void widen_together(struct extent *x, const struct trc_columns *c, uint32_t at)
{
    const int64_t *due = c->due_ns + at, *sent = c->sent_ns + at,
                  *done = c->done_ns + at;
    int64_t last_sent = x->last_sent, last_done = x->last_done;

    x->first_due = least(x->first_due, due[0]);
    x->last_due = greatest(x->last_due, due[TOGETHER - 1]);
    for (int i = 0; i < TOGETHER; i++) {
        last_sent = greatest(last_sent, sent[i]);
        last_done = greatest(last_done, done[i]);
    }
    x->last_sent = last_sent;
    x->last_done = last_done;
    for (int i = 0; i < TOGETHER && due[0] < x->first_sent; i++)
        x->first_sent = least(x->first_sent, sent[i]);
}

static int take_together(struct ana_scan *s, const struct trc_columns *c, uint32_t at,
                         const struct latencies *v, struct extent *x, struct err *e)
{
    for (uint32_t i = 0; i < TOGETHER; i++) {
        struct ana_leaf *l = s->map[c->stream_index[at + i]];
        struct row r = {c->due_ns[at + i], v->response[i],  v->service[i],
                        v->ttfb[i],        v->generator[i], v->back_pressure[i]};
        int rc = put_row(s, l, &r, e);
        if (rc < 0)
            return rc;
        count_plain(l, c, at + i);
    }
    for (uint32_t i = 0; i < TOGETHER && v->pressed; i++)
        count_wait(s->run, (enum out_wait)c->wait[at + i], v->back_pressure[i]);
    count_due(s, c->due_ns[at]);
    count_due(s, c->due_ns[at + TOGETHER - 1]);
    widen_together(x, c, at);
    return 0;
}

/* What take_plain left for the end of the block. */
static void settle_plain(struct ana_scan *s, const struct trc_block *b,
                         const struct extent *x)
{
    struct ana_run *run = s->run;
    uint64_t plain = 0;
    int64_t ignored = OP_TIME_NONE;

    for (uint32_t i = 0; i < b->stream_count; i++) {
        struct ana_leaf *l = s->map[i];
        plain += l->plain;
        l->n += l->plain;
        l->counts.due += l->plain;
        l->counts.sent += l->plain;
        l->counts.done += l->plain;
        l->counts.ok += l->plain;
        l->plain = 0;
    }
    if (plain == 0)
        return;
    widen(&run->first_due_ns, &run->last_due_ns, x->first_due);
    widen(&run->first_due_ns, &run->last_due_ns, x->last_due);
    widen(&run->first_sent_ns, &run->last_sent_ns, x->first_sent);
    widen(&run->first_sent_ns, &run->last_sent_ns, x->last_sent);
    widen(&ignored, &run->last_done_ns, x->last_done);
}

static int take_row(struct ana_scan *s, const struct trc_block *b, uint32_t i,
                    struct extent *x, struct err *e)
{
    const struct trc_columns *c = b->columns;
    struct ana_leaf *l = s->map[c->stream_index[i]];
    if (is_plain(s, c, i))
        return take_plain(s, c, i, l, x, e);
    struct outcome o = trc_columns_row(c, b->streams, i);
    return take_outcome(s, &o, l, e);
}

static int take_rows(struct ana_scan *s, const struct trc_block *b, struct err *e)
{
    struct extent x = {INT64_MAX, INT64_MIN, INT64_MAX, INT64_MIN, INT64_MIN};
    struct latencies v;
    int rc = 0;

    for (uint32_t at = 0; at < b->count && rc == 0;) {
        uint32_t some = b->count - at < TOGETHER ? b->count - at : TOGETHER;
        if (some == TOGETHER && are_plain(s, b->columns, at, &v))
            rc = take_together(s, b->columns, at, &v, &x, e);
        else
            for (uint32_t i = 0; i < some && rc == 0; i++)
                rc = take_row(s, b, at + i, &x, e);
        at += some;
    }
    settle_plain(s, b, &x);
    return rc;
}

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
        rc = find_leaf(s, &b->streams[i], &s->indices[i], e);
    for (uint32_t i = 0; i < b->stream_count && rc == 0; i++)
        s->map[i] = &s->leaves[s->indices[i]]; /* they stay where they are from now */
    return rc == 0 ? take_rows(s, b, e) : rc;
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

const char *ana_shard_note(const struct ana_shard *shard, const char *key)
{
    for (size_t i = 0; i < shard->note_count; i++)
        if (strcmp(shard->notes[i].key, key) == 0)
            return shard->notes[i].value;
    return NULL;
}

const char *ana_run_note(const struct ana_run *run, const char *key)
{
    for (size_t i = 0; i < run->note_count; i++)
        if (strcmp(run->notes[i].key, key) == 0)
            return run->notes[i].value;
    return NULL;
}

bool ana_run_note_u64(const struct ana_run *run, const char *key, uint64_t *v)
{
    const char *text = ana_run_note(run, key);
    return text && span_u64(span_str(text), v);
}

bool ana_note_line(struct span *rest, uint64_t *count, struct span *what)
{
    while (rest->n > 0) {
        size_t end = span_find(*rest, '\n', 0);
        struct span line = span_sub(*rest, 0, end);
        size_t colon = span_find(line, ':', 0);
        *rest = span_sub(*rest, end + 1, rest->n);
        if (!span_u64(span_sub(line, 0, colon), count))
            continue;
        *what = span_trim(span_sub(line, colon + 1, line.n));
        return true;
    }
    return false;
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

void ana_run_done(struct ana_run *run)
{
    arena_done(&run->arena);
    *run = (struct ana_run){0};
}

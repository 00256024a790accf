/*
 * scan_rows.c - from the outcomes of a block to counts and columns.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "analysis/scan_own.h"

#include <stdlib.h>
#include <string.h>

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

int ana_scan_rows(struct ana_scan *s, const struct trc_block *b, struct err *e)
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

/*
 * imp_servegen.c - see imp_servegen.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/import/imp_servegen.h"

#include <assert.h>
#include <stdlib.h>

#include "traces/base/clk.h"
#include "traces/synth/arrivals.h"

enum { CLIENT, START, RATE, CV, FAMILY, SHAPE, SCALE, COLUMNS };
static const char *const names[COLUMNS] = {
    "client", "window_start_s", "rate_rps", "iat_cv", "family", "shape", "scale"};

struct window {
    uint32_t client;
    uint32_t start_s, line; /* line: for messages */
    enum arr_family family;
    double rate, shape;
};

/* One client on its way through its windows, which are v[at..end). */
struct walker {
    struct arr_piece piece;
    struct arr_list rate;
    struct arr_process process;
    struct arrivals arrivals;
    size_t at, end;
    int64_t window_start_ns; /* of v[at - 1], since the origin */
    int64_t next_ns;         /* its next arrival, since the origin */
    bool in_window;
};

struct imp_servegen {
    struct window *v;
    size_t n, cap;
    uint32_t origin_s; /* start of the file's first window */
    uint32_t window_s;
    int64_t from_ns, to_ns;
    uint64_t seed;
    struct walker *walkers;
    uint32_t *heap; /* walkers by (next_ns, client); the first is next */
    uint32_t walker_count, heap_count;
    double expected;
};

/* --- reading -------------------------------------------------------------------------
 */

struct row {
    uint64_t client, start_s;
    double rate, shape;
    enum arr_family family;
};

static int read_family(struct span cell, struct row *row, struct err *e)
{
    row->family = ARR_CONSTANT; /* stands for none */
    if (span_eq_str(cell, "Gamma"))
        row->family = ARR_GAMMA;
    else if (span_eq_str(cell, "Weibull"))
        row->family = ARR_WEIBULL;
    else if (cell.n > 0)
        return err_set(e, ERR_FORMAT, "family '%.*s' is not Gamma, Weibull or empty",
                       cell.n > 40 ? 40 : (int)cell.n, (const char *)cell.p);
    if (row->family == ARR_CONSTANT && row->rate > 0)
        return err_set(e, ERR_FORMAT, "rate_rps %g without a family", row->rate);
    return 0;
}

static int read_row(struct span line, const size_t at[COLUMNS], size_t width,
                    struct row *row, struct err *e)
{
    struct imp_cells c;
    struct arr_process process;
    double unused;
    int rc = imp_cells_row(&c, line, width, e);
    if (rc == 0)
        rc = imp_u64(c.v[at[CLIENT]], names[CLIENT], 0, IMP_CLIENTS_MAX - 1,
                     &row->client, e);
    if (rc == 0)
        rc =
            imp_u64(c.v[at[START]], names[START], 0, IMP_START_S_MAX, &row->start_s, e);
    if (rc == 0)
        rc = imp_f64(c.v[at[RATE]], names[RATE], 0, IMP_RATE_MAX, &row->rate, e);
    if (rc == 0)
        rc = imp_f64(c.v[at[CV]], names[CV], 0, 1e12, &unused, e);
    if (rc == 0)
        rc = read_family(c.v[at[FAMILY]], row, e);
    if (rc == 0)
        rc = imp_f64(c.v[at[SHAPE]], names[SHAPE], 0, 1e12, &row->shape, e);
    if (rc == 0)
        rc = imp_f64(c.v[at[SCALE]], names[SCALE], 0, 1e300, &unused, e);
    if (rc == 0 && row->rate > 0 &&
        arr_process_init(&process, row->family, row->shape, e) < 0) {
        if (e)
            e->code = ERR_FORMAT; /* it is the file that asks for it, not the user */
        rc = ERR_FORMAT;
    }
    return rc;
}

static int keep(struct imp_servegen *s, const struct row *row, uint64_t line,
                struct err *e)
{
    if (s->n == IMP_WINDOWS_MAX || line > UINT32_MAX)
        return err_set(e, ERR_LIMIT, "more than %u windows", IMP_WINDOWS_MAX);
    if (s->n == s->cap) {
        size_t cap = s->cap ? 2 * s->cap : 1024;
        struct window *v = realloc(s->v, cap * sizeof *v);
        if (!v)
            return err_set(e, ERR_NOMEM, "no memory for %zu windows", cap);
        s->v = v;
        s->cap = cap;
    }
    s->v[s->n++] = (struct window){.client = (uint32_t)row->client,
                                   .start_s = (uint32_t)row->start_s,
                                   .line = (uint32_t)line,
                                   .family = row->family,
                                   .rate = row->rate,
                                   .shape = row->shape};
    return 0;
}

/* Reads all rows; keeps those with a rate above 0 of clients that take part, whatever
 * their time: the origin is known at the end only. The least step between two rows of a
 * client is the length of a window. */
static int read_rows(struct imp_servegen *s, struct zin *in,
                     const struct imp_span *span, struct err *e)
{
    size_t at[COLUMNS], width;
    struct span line;
    struct row row, last = {.client = UINT64_MAX};
    uint64_t step = UINT64_MAX, origin = UINT64_MAX;
    int rc = imp_cells_header(in, names, COLUMNS, at, &width, e);
    if (rc < 0)
        return rc;
    while ((rc = zin_line(in, &line, e)) > 0) {
        uint64_t number = zin_line_number(in);
        rc = read_row(line, at, width, &row, e);
        if (rc == 0 && row.rate > 0 && (!span->clients || span->clients[row.client]))
            rc = keep(s, &row, number, e);
        if (rc < 0)
            return err_note(e, "line %llu", (unsigned long long)number);
        if (row.client == last.client && row.start_s > last.start_s &&
            row.start_s - last.start_s < step)
            step = row.start_s - last.start_s;
        if (row.start_s < origin)
            origin = row.start_s;
        last = row;
    }
    if (rc < 0)
        return rc;
    if (origin == UINT64_MAX)
        return err_set(e, ERR_FORMAT, "a header and no rows");
    s->origin_s = (uint32_t)origin;
    s->window_s = step <= IMP_WINDOW_S_MAX ? (uint32_t)step : IMP_WINDOW_S;
    return 0;
}

static int by_client_and_start(const void *a, const void *b)
{
    const struct window *x = a, *y = b;
    if (x->client != y->client)
        return x->client < y->client ? -1 : 1;
    if (x->start_s != y->start_s)
        return x->start_s < y->start_s ? -1 : 1;
    return x->line < y->line ? -1 : 1;
}

static int64_t start_of(const struct imp_servegen *s, const struct window *w)
{
    return (int64_t)(w->start_s - s->origin_s) * CLK_SEC;
}

/* Sorts, refuses windows that overlap, and drops those outside of the span. */
static int settle(struct imp_servegen *s, struct err *e)
{
    int64_t length = s->window_s * CLK_SEC;
    size_t kept = 0;
    if (s->n > 0)
        qsort(s->v, s->n, sizeof *s->v, by_client_and_start);
    for (size_t i = 0; i < s->n; i++) {
        const struct window *w = &s->v[i];
        if (i > 0 && w->client == s->v[i - 1].client &&
            w->start_s - s->v[i - 1].start_s < s->window_s)
            return err_set(
                e, ERR_FORMAT,
                "line %u: the window of client %u at %u s overlaps the one of line %u",
                w->line, w->client, w->start_s, s->v[i - 1].line);
    }
    for (size_t i = 0; i < s->n; i++) {
        int64_t start = start_of(s, &s->v[i]), end = start + length;
        int64_t from = start > s->from_ns ? start : s->from_ns;
        int64_t to = end < s->to_ns ? end : s->to_ns;
        if (from >= to)
            continue;
        s->expected += s->v[i].rate * (double)(to - from) / (double)CLK_SEC;
        s->v[kept++] = s->v[i];
    }
    s->n = kept;
    return kept > 0
               ? 0
               : err_set(e, ERR_FORMAT, "no window with a rate above 0 in the span");
}

/* --- arrivals ------------------------------------------------------------------------
 */

/* A seed that no other window has, whatever part of the file is read. */
static uint64_t seed_of(const struct imp_servegen *s, const struct window *w)
{
    return rng_hash(rng_hash(s->seed, w->client), w->start_s - s->origin_s);
}

static void enter_window(struct imp_servegen *s, struct walker *k)
{
    const struct window *w = &s->v[k->at++];
    struct rng rng;
    rng_init(&rng, seed_of(s, w));
    k->piece = (struct arr_piece){s->window_s * CLK_SEC, w->rate, w->rate};
    arr_list_init(&k->rate, &k->piece, 1);
    int rc = arr_process_init(&k->process, w->family, w->shape, NULL);
    assert(rc == 0); /* it was tried when the row was read */
    (void)rc;
    arrivals_init(&k->arrivals, &k->rate.rate, &k->process, rng);
    k->window_start_ns = start_of(s, w);
    k->in_window = true;
}

/* Sets next_ns to the next arrival in the span; false when there is none. */
static bool advance(struct imp_servegen *s, struct walker *k)
{
    for (;;) {
        if (!k->in_window) {
            if (k->at == k->end)
                return false;
            enter_window(s, k);
        }
        int64_t ns = arrivals_next(&k->arrivals);
        k->in_window = ns < k->piece.duration_ns; /* the end belongs to the next one */
        if (!k->in_window)
            continue;
        k->next_ns = k->window_start_ns + ns;
        if (k->next_ns >= s->to_ns)
            return false;
        if (k->next_ns >= s->from_ns)
            return true;
    }
}

static bool before(const struct imp_servegen *s, uint32_t a, uint32_t b)
{
    int64_t x = s->walkers[a].next_ns, y = s->walkers[b].next_ns;
    return x != y ? x < y : a < b; /* walkers stand in order of clients */
}

static void sink(struct imp_servegen *s, uint32_t at)
{
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= s->heap_count)
            return;
        if (child + 1 < s->heap_count && before(s, s->heap[child + 1], s->heap[child]))
            child++;
        if (!before(s, s->heap[child], s->heap[at]))
            return;
        uint32_t moved = s->heap[at];
        s->heap[at] = s->heap[child];
        s->heap[child] = moved;
        at = child;
    }
}

static int start_walkers(struct imp_servegen *s, struct err *e)
{
    for (size_t i = 0; i < s->n; i++)
        s->walker_count += i == 0 || s->v[i].client != s->v[i - 1].client;
    s->walkers = calloc(s->walker_count, sizeof *s->walkers);
    s->heap = calloc(s->walker_count, sizeof *s->heap);
    if (!s->walkers || !s->heap)
        return err_set(e, ERR_NOMEM, "no memory for %u clients", s->walker_count);
    uint32_t at = 0;
    for (size_t from = 0, to; from < s->n; from = to, at++) {
        for (to = from + 1; to < s->n && s->v[to].client == s->v[from].client;)
            to++;
        s->walkers[at].at = from;
        s->walkers[at].end = to;
        if (advance(s, &s->walkers[at]))
            s->heap[s->heap_count++] = at;
    }
    for (uint32_t i = s->heap_count / 2; i-- > 0;)
        sink(s, i);
    return 0;
}

int imp_servegen_read(struct imp_servegen **out, struct zin *in,
                      const struct imp_span *span, uint64_t seed, struct err *e)
{
    struct imp_servegen *s = calloc(1, sizeof *s);
    *out = NULL;
    if (!s)
        return err_set(e, ERR_NOMEM, "no memory for windows");
    s->seed = seed;
    s->from_ns = span->from_ns;
    s->to_ns = span->from_ns + span->duration_ns;
    int rc = read_rows(s, in, span, e);
    if (rc == 0)
        rc = settle(s, e);
    if (rc == 0)
        rc = start_walkers(s, e);
    if (rc < 0) {
        imp_servegen_free(s);
        return rc;
    }
    *out = s;
    return 0;
}

void imp_servegen_free(struct imp_servegen *s)
{
    if (!s)
        return;
    free(s->v);
    free(s->walkers);
    free(s->heap);
    free(s);
}

bool imp_servegen_next(struct imp_servegen *s, int64_t *at_ns, uint32_t *client)
{
    if (s->heap_count == 0)
        return false;
    uint32_t first = s->heap[0];
    struct walker *k = &s->walkers[first];
    *at_ns = k->next_ns - s->from_ns;
    *client = s->v[k->end - 1].client;
    if (!advance(s, k))
        s->heap[0] = s->heap[--s->heap_count];
    sink(s, 0);
    return true;
}

struct imp_servegen_info imp_servegen_info(const struct imp_servegen *s)
{
    return (struct imp_servegen_info){.windows = s->n,
                                      .clients = s->walker_count,
                                      .window_ns = s->window_s * CLK_SEC,
                                      .expected = s->expected};
}

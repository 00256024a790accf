/*
 * arr_rate.c - pieces of a rate, k6's stages, and the inverse of the integral.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/synth/arr_rate.h"

#include <assert.h>
#include <math.h>

#include "traces/base/clk.h"

bool arr_count_add(struct arr_count *a, double x)
{
    if (!(x >= 0 && x < 0x1p62))
        return false;
    double whole = floor(x);
    double part = a->part + (x - whole);
    a->whole += (uint64_t)whole;
    if (part >= 1) { /* the subtraction is exact */
        part -= 1;
        a->whole++;
    }
    a->part = part;
    return a->whole < (UINT64_C(1) << 62);
}

double arr_count_minus(struct arr_count a, struct arr_count b)
{
    double whole =
        a.whole >= b.whole ? (double)(a.whole - b.whole) : -(double)(b.whole - a.whole);
    return whole + (a.part - b.part);
}

/* Multiplied before it is divided: exact where rates, durations and result are. */
double arr_piece_events(const struct arr_piece *p)
{
    return (p->from + p->to) / 2 * (double)p->duration_ns / (double)CLK_SEC;
}

static bool list_next(struct arr_rate *r, struct arr_piece *piece)
{
    struct arr_list *l = (struct arr_list *)r;
    if (l->at == l->count)
        return false;
    *piece = l->pieces[l->at++];
    return true;
}

void arr_list_init(struct arr_list *l, const struct arr_piece *pieces, size_t count)
{
    *l = (struct arr_list){{list_next}, pieces, count, 0};
}

int arr_stages(const double *rates, const int64_t *holds_ns, size_t count,
               struct arr_piece *pieces, struct err *e)
{
    double from = ARR_STAGE_START;
    int64_t total_ns = 0;
    for (size_t i = 0; i < count; i++) {
        if (!(rates[i] >= 0 && rates[i] <= ARR_RATE_MAX))
            return err_set(e, ERR_USAGE, "stage %zu: rate %g is not in 0..%g", i + 1,
                           rates[i], ARR_RATE_MAX);
        if (holds_ns[i] <= 0 || holds_ns[i] > ARR_DURATION_MAX)
            return err_set(e, ERR_USAGE, "stage %zu: cannot hold for %lld ns", i + 1,
                           (long long)holds_ns[i]);
        int64_t third = 3 * CLK_SEC;
        int64_t ramp_ns = (holds_ns[i] + third - 1) / third * CLK_SEC;
        pieces[2 * i] = (struct arr_piece){ramp_ns, from, rates[i]};
        pieces[2 * i + 1] = (struct arr_piece){holds_ns[i], rates[i], rates[i]};
        total_ns += ramp_ns + holds_ns[i];
        if (total_ns > ARR_ENDLESS)
            return err_set(e, ERR_USAGE, "stage %zu: stages of more than 73 years",
                           i + 1);
        from = rates[i];
    }
    return 0;
}

void arr_map_init(struct arr_map *m, struct arr_rate *rate)
{
    *m = (struct arr_map){.rate = rate};
}

/* Moves on to the piece behind the one that u has left. */
static void next_piece(struct arr_map *m)
{
    if (m->has_piece) {
        if (m->piece.duration_ns > ARR_ENDLESS - m->start_ns ||
            !arr_count_add(&m->before, m->events)) {
            m->ended = true; /* past the time that an int64_t of ns can hold */
            return;
        }
        m->start_ns += m->piece.duration_ns;
    }
    m->has_piece = m->rate->next(m->rate, &m->piece);
    m->ended = !m->has_piece;
    if (m->ended)
        return;
    assert(m->piece.duration_ns > 0 && m->piece.from >= 0 && m->piece.to >= 0);
    m->events = arr_piece_events(&m->piece);
}

/* Solves from t + (to - from) t^2 / 2d = u for the seconds t, by the form of the
 * quadratic formula that subtracts nothing from its like. */
static double seconds_in_piece(const struct arr_piece *p, double u)
{
    if (u <= 0)
        return 0;
    if (p->from == p->to)
        return u / p->from;
    double slope = (p->to - p->from) / ((double)p->duration_ns / (double)CLK_SEC);
    double square = p->from * p->from + 2 * slope * u;
    return 2 * u / (p->from + sqrt(square > 0 ? square : 0));
}

int64_t arr_map_time(struct arr_map *m, struct arr_count u)
{
    if (!m->has_piece && !m->ended)
        next_piece(m);
    while (!m->ended && arr_count_minus(u, m->before) > m->events)
        next_piece(m);
    if (m->ended)
        return ARR_END;
    double ns =
        seconds_in_piece(&m->piece, arr_count_minus(u, m->before)) * (double)CLK_SEC;
    if (ns >= (double)m->piece.duration_ns)
        return m->start_ns + m->piece.duration_ns;
    return m->start_ns + (int64_t)llround(ns);
}

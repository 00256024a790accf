/*
 * layout.c - see layout.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "analysis/layout.h"

#include <stdlib.h>
#include <string.h>

const char *const ana_layout_names[] = {
    "paired-random", "paired-fixed", "interleaved", "sequential",
    "single",        "unknown",      NULL};

/* Runs in order of time; equal times keep the order in which they were given. */
struct order {
    const struct ana_stamp *stamps;
    size_t *by_time; /* index of the k-th run */
    size_t *place;   /* when the i-th stamp ran */
    size_t n;
    bool timed; /* every run has a start */
};

static int order_init(struct order *o, const struct ana_stamp *stamps, size_t n,
                      struct err *e)
{
    *o = (struct order){.stamps = stamps, .n = n, .timed = true};
    o->by_time = calloc(n + 1, sizeof *o->by_time);
    o->place = calloc(n + 1, sizeof *o->place);
    if (!o->by_time || !o->place)
        return err_set(e, ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < n; i++)
        o->timed = o->timed && stamps[i].start_ns > 0;
    for (size_t i = 0; i < n; i++) { /* insertion keeps equal times in place */
        size_t k = i;
        for (; k > 0 && o->timed &&
               stamps[o->by_time[k - 1]].start_ns > stamps[i].start_ns;
             k--)
            o->by_time[k] = o->by_time[k - 1];
        o->by_time[k] = i;
    }
    for (size_t k = 0; k < n; k++)
        o->place[o->by_time[k]] = k;
    return 0;
}

static void order_done(struct order *o)
{
    free(o->by_time);
    free(o->place);
}

static void add_pair(struct ana_layout *l, const struct order *o, size_t i, size_t k)
{
    bool i_is_a = o->stamps[i].arm == 0;
    l->pairs[l->pair_count++] = (struct ana_pair){i_is_a ? i : k, i_is_a ? k : i};
}

/* 1: every run has a label, and they give the pairs. */
static int pair_by_label(struct ana_layout *l, const struct order *o, struct err *e)
{
    for (size_t i = 0; i < o->n; i++)
        if (!o->stamps[i].pair)
            return 0;
    for (size_t at = 0; at < o->n; at++) {
        size_t i = o->by_time[at];
        for (size_t later = at + 1; later < o->n; later++) {
            size_t k = o->by_time[later];
            if (strcmp(o->stamps[i].pair, o->stamps[k].pair) != 0)
                continue;
            if (o->stamps[i].arm == o->stamps[k].arm)
                return err_set(e, ERR_USAGE, "pair '%s' has two runs in arm %c",
                               o->stamps[i].pair, "AB"[o->stamps[i].arm]);
            add_pair(l, o, i, k);
        }
    }
    l->by_label = true;
    return 1;
}

/* Couples of neighbours in time, if each holds one run of each arm. */
static bool pair_neighbours(struct ana_layout *l, const struct order *o)
{
    for (size_t k = 0; k + 1 < o->n; k += 2)
        if (o->stamps[o->by_time[k]].arm == o->stamps[o->by_time[k + 1]].arm)
            return false;
    for (size_t k = 0; k + 1 < o->n; k += 2)
        add_pair(l, o, o->by_time[k], o->by_time[k + 1]);
    return true;
}

/* The i-th A with the i-th B: something to show, though not to conclude from. */
static void pair_by_rank(struct ana_layout *l, const struct order *o)
{
    size_t b = 0;
    for (size_t a = 0; a < o->n; a++) {
        if (o->stamps[o->by_time[a]].arm != 0)
            continue;
        while (b < o->n && o->stamps[o->by_time[b]].arm != 1)
            b++;
        if (b == o->n)
            return;
        add_pair(l, o, o->by_time[a], o->by_time[b++]);
    }
}

static bool arms_are_separate(const struct order *o)
{
    size_t changes = 0;
    for (size_t k = 1; k < o->n; k++)
        changes += o->stamps[o->by_time[k]].arm != o->stamps[o->by_time[k - 1]].arm;
    return changes <= 1;
}

/* Between the two runs of a pair no other pair's run was started. */
static bool pairs_are_adjacent(const struct ana_layout *l, const struct order *o)
{
    for (size_t i = 0; i < l->pair_count; i++) {
        size_t a = o->place[l->pairs[i].a], b = o->place[l->pairs[i].b];
        size_t low = a < b ? a : b, high = a < b ? b : a;
        for (size_t k = 0; k < l->pair_count; k++) {
            size_t other_a = o->place[l->pairs[k].a], other_b = o->place[l->pairs[k].b];
            if (k != i && ((other_a > low && other_a < high) ||
                           (other_b > low && other_b < high)))
                return false;
        }
    }
    return true;
}

static enum ana_layout_kind kind_of(const struct ana_layout *l, const struct order *o)
{
    size_t a_first = 0;

    if (l->pair_count < 2)
        return ANA_LAYOUT_SINGLE;
    if (!o->timed)
        return ANA_LAYOUT_UNKNOWN;
    if (arms_are_separate(o))
        return ANA_LAYOUT_SEQUENTIAL;
    if (!pairs_are_adjacent(l, o))
        return ANA_LAYOUT_INTERLEAVED;
    for (size_t i = 0; i < l->pair_count; i++)
        a_first += o->place[l->pairs[i].a] < o->place[l->pairs[i].b];
    return a_first == 0 || a_first == l->pair_count ? ANA_LAYOUT_PAIRED_FIXED
                                                    : ANA_LAYOUT_PAIRED_RANDOM;
}

static bool runs_overlap(const struct ana_layout *l, const struct ana_stamp *stamps)
{
    for (size_t i = 0; i < l->pair_count; i++) {
        const struct ana_stamp *a = &stamps[l->pairs[i].a], *b = &stamps[l->pairs[i].b];
        if (a->start_ns <= 0 || b->start_ns <= 0 || a->end_ns <= 0 || b->end_ns <= 0)
            continue;
        if (a->start_ns < b->end_ns && b->start_ns < a->end_ns)
            return true;
    }
    return false;
}

static void conclude(struct ana_layout *l)
{
    static const char *const reasons[] = {
        [ANA_LAYOUT_PAIRED_RANDOM] = NULL,
        [ANA_LAYOUT_PAIRED_FIXED] = "every pair ran in the same order: an effect of "
                                    "the order would look like a difference",
        [ANA_LAYOUT_INTERLEAVED] = "the runs are not in pairs next to each other in "
                                   "time, so no paired test holds",
        [ANA_LAYOUT_SEQUENTIAL] = "confounded with time: all runs of one arm were made "
                                  "before all of the other",
        [ANA_LAYOUT_SINGLE] =
            "one run against one run cannot tell a difference from chance",
        [ANA_LAYOUT_UNKNOWN] =
            "start times are missing, so the order of the runs cannot be judged",
    };
    l->capped =
        l->kind != ANA_LAYOUT_PAIRED_RANDOM && l->kind != ANA_LAYOUT_PAIRED_FIXED;
    l->reason = reasons[l->kind];
    if (!l->reason && l->overlap)
        l->reason = "the two runs of a pair ran at the same time and may have "
                    "disturbed each other";
}

int ana_layout_find(struct ana_layout *l, const struct ana_stamp *stamps, size_t n,
                    struct err *e)
{
    struct order o;
    int rc;

    *l = (struct ana_layout){0};
    l->pairs = calloc(n + 1, sizeof *l->pairs);
    rc = order_init(&o, stamps, n, e);
    if (rc == 0 && !l->pairs)
        rc = err_set(e, ERR_NOMEM, "out of memory");
    if (rc == 0)
        rc = pair_by_label(l, &o, e);
    if (rc == 0 && !(o.timed && pair_neighbours(l, &o)))
        pair_by_rank(l, &o);
    if (rc >= 0) {
        l->unpaired = n - 2 * l->pair_count;
        l->overlap = runs_overlap(l, stamps);
        l->kind = kind_of(l, &o);
        conclude(l);
        rc = 0;
    } else {
        ana_layout_done(l);
    }
    order_done(&o);
    return rc;
}

void ana_layout_done(struct ana_layout *l)
{
    free(l->pairs);
    *l = (struct ana_layout){0};
}

/*
 * compare.c - see compare.h. Reads, pairs, checks; gates.c judges.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "analysis/compare.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/read_runs.h"
#include "analysis/run_health.h"
#include "analysis/shards.h"
#include "traces/run_notes.h"

const char *const ana_why_names[] = {"", "not-estimable", "errors-dominate",
                                     "no-values", NULL};

#define ATTRITION_LEAST 2 /* more invalid runs in one arm than in the other */

/* --- reading ---------------------------------------------------------------------- */

static int refuse_duplicates(const struct ana_compare_config *config, struct err *e)
{
    size_t n = config->a_count + config->b_count;
    for (size_t i = 0; i < n; i++)
        for (size_t k = i + 1; k < n; k++) {
            const char *x =
                i < config->a_count ? config->a[i] : config->b[i - config->a_count];
            const char *y =
                k < config->a_count ? config->a[k] : config->b[k - config->a_count];
            if (strcmp(x, y) == 0)
                return err_set(e, ERR_USAGE, "run '%s' is given twice", x);
        }
    return 0;
}

static int read_runs(struct ana_comparison *c, struct err *e)
{
    const struct ana_compare_config *config = &c->config;
    uint32_t p[ANA_GATES_MAX];
    struct ana_scan_config scan = {.warmup_ns = config->warmup_ns,
                                   .p = p,
                                   .charts = config->charts,
                                   .reading = config->reading};

    for (size_t i = 0; i < config->gate_count; i++)
        if (!config->gates[i].errors)
            p[scan.p_count++] = config->gates[i].p;
    struct ana_group *groups[2];
    size_t counts[2];
    int rc = ana_shards_group(&c->arena, config->a, config->a_count, &groups[0],
                              &counts[0], e);
    if (rc == 0)
        rc = ana_shards_group(&c->arena, config->b, config->b_count, &groups[1],
                              &counts[1], e);
    if (rc < 0)
        return rc;
    c->run_count = counts[0] + counts[1];
    c->a_count = counts[0];
    c->runs = calloc(c->run_count + 1, sizeof *c->runs);
    const struct ana_group **all =
        arena_alloc(&c->arena, (c->run_count + 1) * sizeof *all);
    if (!c->runs || !all)
        return err_set(e, ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < c->run_count; i++)
        all[i] = i < c->a_count ? &groups[0][i] : &groups[1][i - c->a_count];
    return ana_read_runs(c->runs, all, c->run_count, &scan, e);
}

static int order_runs(struct ana_comparison *c, struct err *e)
{
    bool timed = true;

    c->by_time = arena_alloc(&c->arena, (c->run_count + 1) * sizeof *c->by_time);
    if (!c->by_time)
        return err_set(e, ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < c->run_count; i++)
        timed = timed && c->runs[i].start_wall_ns > 0;
    for (size_t i = 0; i < c->run_count; i++) {
        size_t k = i;
        for (; k > 0 && timed &&
               c->runs[c->by_time[k - 1]].start_wall_ns > c->runs[i].start_wall_ns;
             k--)
            c->by_time[k] = c->by_time[k - 1];
        c->by_time[k] = i;
    }
    return 0;
}

/* --- pairs ------------------------------------------------------------------------ */

static int64_t end_of(const struct ana_run *run)
{
    uint64_t duration;
    if (run->start_wall_ns <= 0)
        return 0;
    if (ana_run_note_u64(run, NOTE_DURATION, &duration) && duration < INT64_C(1) << 60)
        return run->start_wall_ns + (int64_t)duration;
    return run->last_done_ns == OP_TIME_NONE ? 0
                                             : run->start_wall_ns + run->last_done_ns;
}

static int find_pairs(struct ana_comparison *c, struct err *e)
{
    struct ana_stamp *stamps = calloc(c->run_count + 1, sizeof *stamps);
    int rc;

    if (!stamps)
        return err_set(e, ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < c->run_count; i++)
        stamps[i] =
            (struct ana_stamp){.arm = i >= c->a_count,
                               .pair = ana_run_note(&c->runs[i], NOTE_LABEL_PAIR),
                               .start_ns = c->runs[i].start_wall_ns,
                               .end_ns = end_of(&c->runs[i])};
    rc = ana_layout_find(&c->layout, stamps, c->run_count, e);
    free(stamps);
    if (rc < 0)
        return rc;
    if (c->layout.pair_count > ANA_PAIRS_MAX)
        return err_set(e, ERR_USAGE, "%zu pairs; at most %d are taken",
                       c->layout.pair_count, ANA_PAIRS_MAX);
    return 0;
}

/* An invalid run takes its pair with it, and nothing else ever does. */
static int keep_valid_pairs(struct ana_comparison *c, struct err *e)
{
    c->pairs = arena_alloc(&c->arena, (c->layout.pair_count + 1) * sizeof *c->pairs);
    if (!c->pairs)
        return err_set(e, ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < c->layout.pair_count; i++) {
        const struct ana_pair *pair = &c->layout.pairs[i];
        bool a = c->runs[pair->a].health == ANA_UNFIT;
        bool b = c->runs[pair->b].health == ANA_UNFIT;
        c->invalid_runs[0] += a;
        c->invalid_runs[1] += b;
        if (a || b)
            c->invalid_pairs++;
        else
            c->pairs[c->pair_count++] = *pair;
    }
    unsigned a = c->invalid_runs[0], b = c->invalid_runs[1];
    c->attrition = (a > b ? a - b : b - a) >= ATTRITION_LEAST;
    return 0;
}

/* --- may they be compared? ----------------------------------------------------------
 */

PRINTF_LIKE(2, 3)
static int declare_invalid(struct ana_comparison *c, const char *format, ...)
{
    char text[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    c->invalid = arena_str(&c->arena, text);
    return c->invalid ? 0 : ERR_NOMEM;
}

static const char *shared_note(const struct ana_comparison *c, int arm, const char *key)
{
    const char *shared = NULL;
    size_t from = arm == 0 ? 0 : c->a_count, to = arm == 0 ? c->a_count : c->run_count;
    for (size_t i = from; i < to; i++) {
        const char *v = ana_run_note(&c->runs[i], key);
        if (!v || (shared && strcmp(shared, v) != 0))
            return NULL;
        shared = v;
    }
    return shared;
}

/* Runs of one arm that call themselves differently were sorted wrongly by whoever
 * called. */
static int check_arms(struct ana_comparison *c)
{
    for (int arm = 0; arm < 2; arm++) {
        const char *first = NULL;
        size_t from = arm == 0 ? 0 : c->a_count,
               to = arm == 0 ? c->a_count : c->run_count;
        for (size_t i = from; i < to; i++) {
            const char *v = ana_run_note(&c->runs[i], NOTE_LABEL_ARM);
            if (v && first && strcmp(v, first) != 0)
                return declare_invalid(
                    c,
                    "the runs on one side call themselves '%s' and '%s': '%s' is on "
                    "the wrong side of --vs, or has the wrong label",
                    first, v, c->runs[i].path);
            first = first ? first : v;
        }
    }
    return 0;
}

static bool notes_differ(const struct ana_run *x, const struct ana_run *y,
                         const char *key)
{
    const char *a = ana_run_note(x, key), *b = ana_run_note(y, key);
    return a && b && strcmp(a, b) != 0;
}

/* Runs that put another load on their targets say nothing about these. 0, also when
 * c->invalid was set. */
static int check_load(struct ana_comparison *c, const struct ana_run *x,
                      const struct ana_run *y)
{
    static const struct {
        const char *key, *what;
    } notes[] = {
        {NOTE_SCHEDULE_MODE, "discipline of arrivals"},
        {NOTE_SCHEDULE_SPEED, "--speed"},
        {NOTE_SCHEDULE_USERS, "--closed-loop"},
        {NOTE_SESSION_ERROR, "--on-session-error"},
        {NOTE_SCHEDULE_POLICY, "policy when nothing is free"},
        {NOTE_ENGINE, "--engine"},
        {NOTE_CONNECTIONS, "connections"},
    };
    for (size_t i = 0; i < sizeof notes / sizeof *notes; i++)
        if (notes_differ(x, y, notes[i].key))
            return declare_invalid(
                c, "'%s' and '%s' differ in what makes the load: %s (%.80s and %.80s)",
                x->path, y->path, notes[i].what, ana_run_note(x, notes[i].key),
                ana_run_note(y, notes[i].key));
    return 0;
}

/* The same operations of the same trace, at the same speed. */
static int check_pair_of_runs(struct ana_comparison *c, const struct ana_run *x,
                              const struct ana_run *y)
{
    if (notes_differ(x, y, NOTE_TRACE_HASH))
        return declare_invalid(c, "'%s' and '%s' replay different traces", x->path,
                               y->path);
    int rc = check_load(c, x, y);
    if (rc < 0 || c->invalid)
        return rc;
    if (x->cell_count != y->cell_count)
        return declare_invalid(
            c, "'%s' has %zu kinds of operations (model, protocol), '%s' has %zu",
            x->path, x->cell_count, y->path, y->cell_count);
    if (x->type_count != y->type_count)
        return declare_invalid(c, "'%s' and '%s' name different model types", x->path,
                               y->path);
    for (size_t i = 0; i < x->cell_count; i++) {
        const struct ana_cell *p = &x->cells[i], *q = &y->cells[i];
        if (strcmp(p->name, q->name) != 0 || p->protocol != q->protocol)
            return declare_invalid(
                c, "'%s' has operations of '%.60s' where '%s' has '%.60s'", x->path,
                p->name, y->path, q->name);
        if (p->counts.due != q->counts.due)
            return declare_invalid(
                c, "'%s' has %" PRIu64 " operations of '%.60s' (%s), '%s' has %" PRIu64,
                x->path, p->counts.due, p->name, op_protocol_names[p->protocol],
                y->path, q->counts.due);
    }
    return 0;
}

static int check_mix(struct ana_comparison *c)
{
    const struct ana_run *first = &c->runs[c->pairs[0].a];
    int rc = 0;
    for (unsigned i = 0; i < c->pair_count && rc == 0 && !c->invalid; i++) {
        if (i > 0)
            rc = check_pair_of_runs(c, first, &c->runs[c->pairs[i].a]);
        if (rc == 0 && !c->invalid)
            rc = check_pair_of_runs(c, first, &c->runs[c->pairs[i].b]);
    }
    return rc;
}

static int check_session(struct ana_comparison *c, struct err *e)
{
    int rc = check_arms(c);
    if (rc == 0 && !c->invalid && c->pair_count == 0) {
        if (c->invalid_pairs > 0)
            rc = declare_invalid(
                c, "no pair is left: in each, at least one run is INVALID");
        else
            rc = declare_invalid(c, "no run of A has a partner in B");
    }
    if (rc == 0 && !c->invalid)
        rc = check_mix(c);
    return rc < 0 ? err_set(e, ERR_NOMEM, "out of memory") : 0;
}

static void name_arms(struct ana_comparison *c)
{
    static const char *const letters[] = {"A", "B"};
    const char *plan[2];

    for (int arm = 0; arm < 2; arm++) {
        const char *name = shared_note(c, arm, NOTE_LABEL_ARM);
        c->arm[arm] = name ? name : letters[arm];
        c->version[arm] = shared_note(c, arm, NOTE_LABEL_VERSION);
        plan[arm] = shared_note(c, arm, NOTE_LABEL_PLAN);
    }
    if (strcmp(c->arm[0], c->arm[1]) == 0) {
        c->arm[0] = letters[0];
        c->arm[1] = letters[1];
    }
    if (plan[0] && plan[1] && strcmp(plan[0], plan[1]) == 0)
        snprintf(c->plan_hash, sizeof c->plan_hash, "%s", plan[0]);
}

/* --- errors by class ----------------------------------------------------------------
 */

static int add_class(struct ana_comparison *c, size_t *cap, const struct ana_class *k,
                     int arm, struct err *e)
{
    size_t i = 0;
    while (i < c->class_count && strcmp(c->classes[i].name, k->name) != 0)
        i++;
    if (i == *cap) {
        size_t more = *cap ? *cap * 2 : 16;
        struct ana_error_class *grown = arena_alloc(&c->arena, more * sizeof *grown);
        if (!grown)
            return err_set(e, ERR_NOMEM, "out of memory");
        if (c->class_count > 0)
            memcpy(grown, c->classes, c->class_count * sizeof *grown);
        c->classes = grown;
        *cap = more;
    }
    if (i == c->class_count)
        c->classes[c->class_count++] = (struct ana_error_class){k->name, 0, 0};
    *(arm == 0 ? &c->classes[i].a : &c->classes[i].b) += k->count;
    return 0;
}

static int new_first(const void *a, const void *b)
{
    const struct ana_error_class *x = a, *y = b;
    bool new_x = x->a == 0, new_y = y->a == 0;
    if (new_x != new_y)
        return new_x ? -1 : 1;
    if (x->b != y->b)
        return x->b > y->b ? -1 : 1;
    return strcmp(x->name, y->name);
}

static int count_errors(struct ana_comparison *c, struct err *e)
{
    size_t cap = 0;
    for (unsigned i = 0; i < c->pair_count; i++)
        for (int arm = 0; arm < 2; arm++) {
            const struct ana_run *run =
                &c->runs[arm == 0 ? c->pairs[i].a : c->pairs[i].b];
            c->due[arm] += run->all.counts.due;
            c->bad[arm] += run->all.counts.due - run->all.counts.ok;
            for (size_t k = 0; k < run->class_count; k++) {
                int rc = add_class(c, &cap, &run->classes[k], arm, e);
                if (rc < 0)
                    return rc;
            }
        }
    if (c->class_count > 0)
        qsort(c->classes, c->class_count, sizeof *c->classes, new_first);
    return 0;
}

/* --- answers ---------------------------------------------------------------------- */

/* Of every pair, INVALID runs included: what an answer says does not hang on the moment
 * at which it was asked for, nor on what else was. */
static int compare_answers(struct ana_comparison *c, struct err *e)
{
    const struct ana_layout *l = &c->layout;
    struct ana_run_pair *pairs =
        arena_alloc(&c->arena, (l->pair_count + 1) * sizeof *pairs);
    size_t count = 0;

    if (!pairs)
        return err_set(e, ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < l->pair_count; i++) {
        const struct ana_run *a = &c->runs[l->pairs[i].a], *b = &c->runs[l->pairs[i].b];
        if (!notes_differ(a, b, NOTE_TRACE_HASH))
            pairs[count++] = (struct ana_run_pair){a, b};
    }
    return ana_answers_find(&c->answers, pairs, count, e);
}

/* --- the whole -------------------------------------------------------------------- */

int ana_compare(struct ana_comparison *c, const struct ana_compare_config *config,
                struct err *e)
{
    int rc;

    *c = (struct ana_comparison){.config = *config,
                                 .verdict = ANA_INVALID,
                                 .least_pairs = ana_least_pairs(config->alpha)};
    rc = refuse_duplicates(config, e);
    if (rc == 0)
        rc = read_runs(c, e);
    if (rc == 0)
        rc = order_runs(c, e);
    if (rc == 0)
        rc = find_pairs(c, e);
    if (rc == 0)
        rc = keep_valid_pairs(c, e);
    if (rc == 0) {
        name_arms(c);
        rc = check_session(c, e);
    }
    if (rc == 0)
        rc = compare_answers(c, e);
    if (rc == 0 && !c->invalid) {
        rc = count_errors(c, e);
        if (rc == 0)
            rc = ana_gates_build(c, e);
        if (rc == 0)
            rc = ana_gates_judge(c, e);
    }
    c->status = ana_verdict_status(c->verdict, &config->policy);
    return rc == 0 ? ana_sentences(c, e) : rc;
}

void ana_comparison_done(struct ana_comparison *c)
{
    for (size_t i = 0; i < c->run_count && c->runs; i++)
        ana_run_done(&c->runs[i]);
    free(c->runs);
    ana_layout_done(&c->layout);
    arena_done(&c->arena);
    *c = (struct ana_comparison){0};
}

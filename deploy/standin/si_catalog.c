/* si_catalog.c - see si_catalog.h. SPDX-License-Identifier: Apache-2.0 */
#include "deploy/standin/si_catalog.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void si_catalog_done(struct si_catalog *c)
{
    free(c->models);
    free(c->pipelines);
    free(c->experiments);
    arena_done(&c->arena);
    memset(c, 0, sizeof *c);
}

/* --- names by rule ------------------------------------------------------------- */

/* How much of name spells the type, with '-' for '_' allowed; 0 when it does not. */
static size_t spells(struct span name, const char *type)
{
    size_t n = strlen(type);
    if (name.n < n)
        return 0;
    for (size_t i = 0; i < n; i++)
        if (name.p[i] != (uint8_t)type[i] && !(type[i] == '_' && name.p[i] == '-'))
            return 0;
    return n;
}

/* The longest type that the name starts with: "tfsimple-string1" is no tfsimple. */
static const struct model_type *type_of_prefix(struct span name, struct span *rest)
{
    const struct model_type *best = NULL;
    size_t longest = 0;
    for (size_t i = 0; model_type_at(i); i++) {
        size_t n = spells(name, model_type_at(i)->name);
        if (n > longest) {
            longest = n;
            best = model_type_at(i);
        }
    }
    *rest = span_sub(name, longest, name.n);
    return best;
}

/* Nothing, digits, or a dash and digits. */
static bool is_ordinal(struct span s)
{
    if (s.n && s.p[0] == '-') {
        s = span_sub(s, 1, s.n);
        if (!s.n)
            return false;
    }
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    return true;
}

static bool model_by_rule(struct span name, struct si_model *m)
{
    struct span rest;
    const struct model_type *type = type_of_prefix(name, &rest);
    if (!type || !is_ordinal(rest))
        return false;
    *m = (struct si_model){name, type, 1};
    return true;
}

static bool pipeline_by_rule(const struct si_catalog *c, struct span name,
                             struct arena *scratch, struct si_chain *chain)
{
    static const char *const words[] = {"-pipeline", "pipeline", "-pipe", "pipe", ""};
    struct span rest;
    struct si_model m;
    const struct model_type *type = type_of_prefix(name, &rest);
    if (!type)
        return false;
    size_t w = 0;
    while (!span_starts(rest, words[w]))
        w++;
    struct span ordinal = span_sub(rest, strlen(words[w]), rest.n);
    size_t stem = name.n - rest.n;
    uint8_t *step = arena_alloc(scratch, stem + ordinal.n + 1);
    if (!step)
        return false;
    memcpy(step, name.p, stem);
    if (ordinal.n)
        memcpy(step + stem, ordinal.p, ordinal.n);
    *chain = (struct si_chain){.name = name, .step_count = 1};
    chain->steps[0] = span_of(step, stem + ordinal.n);
    return is_ordinal(ordinal) && si_catalog_find(c, chain->steps[0], &m);
}

/* --- lookups ------------------------------------------------------------------- */

static int compare_names(struct span a, struct span b)
{
    int order = memcmp(a.p, b.p, a.n < b.n ? a.n : b.n);
    return order ? order : (a.n > b.n) - (a.n < b.n);
}

static int compare_models(const void *a, const void *b)
{
    return compare_names(((const struct si_model *)a)->name,
                         ((const struct si_model *)b)->name);
}

void si_catalog_ready(struct si_catalog *c)
{
    if (c->model_count)
        qsort(c->models, c->model_count, sizeof *c->models, compare_models);
    c->sorted = true;
}

static const struct si_model *find_sorted(const struct si_catalog *c, struct span name)
{
    size_t low = 0, high = c->model_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare_names(c->models[middle].name, name);
        if (order == 0)
            return &c->models[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

bool si_catalog_find(const struct si_catalog *c, struct span name, struct si_model *m)
{
    if (!c->model_count)
        return model_by_rule(name, m);
    if (c->sorted) {
        const struct si_model *found = find_sorted(c, name);
        if (found)
            *m = *found;
        return found != NULL;
    }
    for (size_t i = 0; i < c->model_count; i++)
        if (span_eq(c->models[i].name, name)) {
            *m = c->models[i];
            return true;
        }
    return false;
}

bool si_catalog_find_internal(const struct si_catalog *c, struct span internal,
                              struct si_model *m)
{
    size_t cut = internal.n;
    while (cut && internal.p[cut - 1] != '_')
        cut--;
    uint64_t version;
    if (cut < 2 || !span_u64(span_sub(internal, cut, internal.n), &version))
        return false;
    return si_catalog_find(c, span_sub(internal, 0, cut - 1), m) &&
           m->version == version;
}

static const struct si_chain *find_chain(const struct si_chain *chains, size_t n,
                                         struct span name)
{
    for (size_t i = 0; i < n; i++)
        if (span_eq(chains[i].name, name))
            return &chains[i];
    return NULL;
}

bool si_catalog_find_pipeline(const struct si_catalog *c, struct span name,
                              struct arena *scratch, struct si_chain *chain)
{
    if (!c->pipeline_count)
        return pipeline_by_rule(c, name, scratch, chain);
    const struct si_chain *found = find_chain(c->pipelines, c->pipeline_count, name);
    if (found)
        *chain = *found;
    return found != NULL;
}

const struct si_chain *si_catalog_find_experiment(const struct si_catalog *c,
                                                  struct span name)
{
    return find_chain(c->experiments, c->experiment_count, name);
}

/* --- declarations -------------------------------------------------------------- */

/* A slot more in *array, zeroed. */
static void *grow(void *array, size_t count, size_t *cap, size_t size, struct err *e)
{
    if (count >= SI_CATALOG_MAX) {
        err_set(e, ERR_LIMIT, "more than %d names", SI_CATALOG_MAX);
        return NULL;
    }
    if (count < *cap)
        return array;
    size_t bigger = *cap ? *cap * 2 : 16;
    void *p = realloc(array, bigger * size);
    if (!p) {
        err_set(e, ERR_NOMEM, "out of memory for the catalog");
        return NULL;
    }
    *cap = bigger;
    return p;
}

static int add_model(struct si_catalog *c, struct span name, struct span type_name,
                     uint64_t version, struct err *e)
{
    const struct model_type *type = model_type_find(type_name);
    if (!type)
        return err_set(e, ERR_USAGE, "unknown MODEL_TYPE '%.*s'", SPAN_ARG(type_name));
    struct si_model *models =
        grow(c->models, c->model_count, &c->model_cap, sizeof *models, e);
    if (!models)
        return e ? e->code : ERR_NOMEM;
    c->models = models;
    struct span own = arena_dup(&c->arena, name);
    if (!own.p)
        return err_set(e, ERR_NOMEM, "out of memory for the catalog");
    models[c->model_count++] = (struct si_model){own, type, version};
    return 0;
}

/* Splits "NAME=REST"; both parts not empty. */
static int split_equals(const char *text, const char *what, struct span *name,
                        struct span *rest, struct err *e)
{
    struct span s = span_str(text);
    size_t at = span_find(s, '=', 0);
    *name = span_sub(s, 0, at);
    *rest = span_sub(s, at + 1, s.n);
    if (at == 0 || at + 1 >= s.n)
        return err_set(e, ERR_USAGE, "'%s' is not %s", text, what);
    return 0;
}

int si_catalog_model(struct si_catalog *c, const char *text, struct err *e)
{
    struct span name, rest;
    int rc = split_equals(text, "NAME=TYPE or NAME=TYPE:VERSION", &name, &rest, e);
    if (rc < 0)
        return rc;
    size_t colon = span_find(rest, ':', 0);
    uint64_t version = 1;
    if (colon < rest.n && !span_u64(span_sub(rest, colon + 1, rest.n), &version))
        return err_set(e, ERR_USAGE, "'%s': a version is a number", text);
    struct si_model known;
    if (c->model_count && si_catalog_find(c, name, &known))
        return err_set(e, ERR_USAGE, "model '%.*s' is declared twice", SPAN_ARG(name));
    return add_model(c, name, span_sub(rest, 0, colon), version, e);
}

int si_catalog_types(struct si_catalog *c, const char *list, uint64_t instances,
                     struct err *e)
{
    if (instances < 1 || instances > SI_INSTANCES_MAX)
        return err_set(e, ERR_USAGE, "instances must be between 1 and %d",
                       SI_INSTANCES_MAX);
    struct span rest = span_str(list);
    while (rest.n) {
        size_t comma = span_find(rest, ',', 0);
        struct span type = span_trim(span_sub(rest, 0, comma));
        rest = span_sub(rest, comma + 1, rest.n);
        for (uint64_t i = 0; i < instances; i++) {
            char name[128];
            int n = snprintf(name, sizeof name, "%.*s%llu",
                             (int)(type.n < 80 ? type.n : 80), (const char *)type.p,
                             (unsigned long long)i);
            for (char *p = name; *p; p++)
                if (*p == '_')
                    *p = '-';
            int rc = add_model(c, span_of(name, (size_t)n), type, 1, e);
            if (rc < 0)
                return rc;
        }
    }
    return 0;
}

static int parse_chain(struct si_catalog *c, const char *text, const char *what,
                       bool weights, struct si_chain *chain, struct err *e)
{
    struct span rest;
    int rc = split_equals(text, what, &chain->name, &rest, e);
    if (rc < 0)
        return rc;
    chain->name = arena_dup(&c->arena, chain->name);
    rest = arena_dup(&c->arena, rest);
    if (!chain->name.p || !rest.p)
        return err_set(e, ERR_NOMEM, "out of memory for the catalog");
    while (rest.n) {
        size_t comma = span_find(rest, ',', 0);
        struct span step = span_trim(span_sub(rest, 0, comma));
        rest = span_sub(rest, comma + 1, rest.n);
        uint64_t weight = 1;
        size_t colon = weights ? span_find(step, ':', 0) : step.n;
        if (colon < step.n && (!span_u64(span_sub(step, colon + 1, step.n), &weight) ||
                               weight == 0 || weight > 1000000))
            return err_set(e, ERR_USAGE, "'%s': a weight is a number from 1 to 1000000",
                           text);
        step = span_sub(step, 0, colon);
        if (!step.n)
            return err_set(e, ERR_USAGE, "'%s' is not %s", text, what);
        if (chain->step_count == SI_STEPS_MAX)
            return err_set(e, ERR_USAGE, "'%s' has more than %d models", text,
                           SI_STEPS_MAX);
        chain->weights[chain->step_count] = (uint32_t)weight;
        chain->steps[chain->step_count++] = step;
    }
    return 0;
}

static int add_chain(struct si_chain **chains, size_t *count, size_t *cap,
                     const struct si_chain *chain, struct err *e)
{
    if (find_chain(*chains, *count, chain->name))
        return err_set(e, ERR_USAGE, "'%.*s' is declared twice", SPAN_ARG(chain->name));
    struct si_chain *grown = grow(*chains, *count, cap, sizeof *grown, e);
    if (!grown)
        return e ? e->code : ERR_NOMEM;
    *chains = grown;
    grown[(*count)++] = *chain;
    return 0;
}

int si_catalog_pipeline(struct si_catalog *c, const char *text, struct err *e)
{
    struct si_chain chain = {0};
    int rc = parse_chain(c, text, "NAME=MODEL[,MODEL]...", false, &chain, e);
    return rc < 0 ? rc
                  : add_chain(&c->pipelines, &c->pipeline_count, &c->pipeline_cap,
                              &chain, e);
}

int si_catalog_experiment(struct si_catalog *c, const char *text, struct err *e)
{
    struct si_chain chain = {0};
    int rc = parse_chain(c, text, "NAME=MODEL[:WEIGHT][,MODEL[:WEIGHT]]...", true,
                         &chain, e);
    return rc < 0 ? rc
                  : add_chain(&c->experiments, &c->experiment_count, &c->experiment_cap,
                              &chain, e);
}

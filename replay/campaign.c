/*
 * campaign.c - see campaign.h. Reads the plan with jansson; runs nothing.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replay/campaign.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "traces/base/buf.h"
#include "traces/base/rng.h"
#include "traces/base/units.h"
#include "traces/op.h"

/* --- values ----------------------------------------------------------------------- */

static int take_string(struct rep_campaign *c, const char *key, const json_t *v,
                       const char **out, struct err *e)
{
    if (!json_is_string(v) || json_string_length(v) == 0)
        return err_set(e, ERR_FORMAT, "\"%s\" must be a text that is not empty", key);
    if (strlen(json_string_value(v)) != json_string_length(v))
        return err_set(e, ERR_FORMAT, "\"%s\" holds a NUL character", key);
    *out = arena_str(&c->arena, json_string_value(v));
    return *out ? 0 : err_set(e, ERR_NOMEM, "out of memory");
}

static int take_count(const char *key, const json_t *v, json_int_t low, json_int_t high,
                      uint64_t *out, struct err *e)
{
    if (!json_is_integer(v) || json_integer_value(v) < low ||
        json_integer_value(v) > high)
        return err_set(e, ERR_FORMAT, "\"%s\" must be a whole number from %lld to %lld",
                       key, (long long)low, (long long)high);
    *out = (uint64_t)json_integer_value(v);
    return 0;
}

static int take_args(struct rep_campaign *c, const char *key, const json_t *v,
                     struct rep_args *out, struct err *e)
{
    if (!json_is_array(v))
        return err_set(e, ERR_FORMAT, "\"%s\" must be a list of texts", key);
    if (json_array_size(v) > REP_ARGS_MAX)
        return err_set(e, ERR_LIMIT, "\"%s\" has %zu entries, at most %d are taken",
                       key, json_array_size(v), REP_ARGS_MAX);
    for (size_t i = 0; i < json_array_size(v); i++) {
        int rc = take_string(c, key, json_array_get(v, i), &out->v[out->n], e);
        if (rc < 0)
            return rc;
        out->n++;
    }
    return 0;
}

static int take_duration(const char *key, const json_t *v, int64_t *out, struct err *e)
{
    if (!json_is_string(v))
        return err_set(e, ERR_FORMAT, "\"%s\" must be a duration such as \"2s\"", key);
    if (units_duration(json_string_value(v), out, e) < 0) {
        if (e)
            e->code = ERR_FORMAT; /* the user's file is wrong, not the command line */
        return err_note(e, "\"%s\"", key);
    }
    return 0;
}

/* --- arms ------------------------------------------------------------------------- */

static bool name_is_plain(const char *name)
{
    const char *plain =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    return strlen(name) <= 32 && strspn(name, plain) == strlen(name);
}

static int take_arm(struct rep_campaign *c, json_t *v, struct err *e)
{
    struct rep_arm *arm = &c->arms[c->arm_count];
    const char *key;
    json_t *member;

    if (!json_is_object(v))
        return err_set(e, ERR_FORMAT, "every arm must be an object");
    json_object_foreach(v, key, member)
    {
        int rc;
        if (strcmp(key, "name") == 0)
            rc = take_string(c, key, member, &arm->name, e);
        else if (strcmp(key, "version") == 0)
            rc = take_string(c, key, member, &arm->version, e);
        else if (strcmp(key, "replay") == 0)
            rc = take_args(c, key, member, &arm->replay, e);
        else
            rc = err_set(e, ERR_FORMAT, "unknown key \"%s\" in an arm", key);
        if (rc < 0)
            return rc;
    }
    if (!arm->name || !name_is_plain(arm->name))
        return err_set(
            e, ERR_FORMAT,
            "every arm needs a \"name\" of at most 32 letters, digits, - and _");
    for (size_t i = 0; i < c->arm_count; i++)
        if (strcmp(c->arms[i].name, arm->name) == 0)
            return err_set(e, ERR_FORMAT, "two arms are called \"%s\"", arm->name);
    c->arm_count++;
    return 0;
}

static int take_arms(struct rep_campaign *c, const json_t *v, struct err *e)
{
    if (!json_is_array(v) || json_array_size(v) < 2 ||
        json_array_size(v) > REP_ARMS_MAX)
        return err_set(e, ERR_FORMAT, "\"arms\" must be a list of 2 to %d arms",
                       REP_ARMS_MAX);
    for (size_t i = 0; i < json_array_size(v); i++) {
        int rc = take_arm(c, json_array_get(v, i), e);
        if (rc < 0)
            return err_note(e, "arm %zu", i + 1);
    }
    return 0;
}

/* --- the plan --------------------------------------------------------------------- */

static int take_member(struct rep_campaign *c, const char *key, const json_t *v,
                       struct err *e)
{
    if (strcmp(key, "trace") == 0)
        return take_string(c, key, v, &c->trace, e);
    if (strcmp(key, "pairs") == 0)
        return take_count(key, v, 1, REP_PAIRS_MAX, &c->pairs, e);
    if (strcmp(key, "spares") == 0)
        return take_count(key, v, 0, REP_PAIRS_MAX, &c->spares, e);
    if (strcmp(key, "seed") == 0)
        return take_count(key, v, 0, INT64_MAX, &c->seed, e);
    if (strcmp(key, "pause") == 0)
        return take_duration(key, v, &c->pause_ns, e);
    if (strcmp(key, "replay") == 0)
        return take_args(c, key, v, &c->replay, e);
    if (strcmp(key, "gates") == 0)
        return take_args(c, key, v, &c->gates, e);
    if (strcmp(key, "before_run") == 0)
        return take_args(c, key, v, &c->before_run, e);
    if (strcmp(key, "arms") == 0)
        return take_arms(c, v, e);
    return err_set(e, ERR_FORMAT, "unknown key \"%s\"", key);
}

/* The hash is over the plan as it was understood, not over the file: white space and
 * the order of keys do not make another plan. */
static int hash_plan(struct rep_campaign *c, const json_t *root, struct err *e)
{
    uint64_t hash[2];
    char *text = json_dumps(root, JSON_COMPACT | JSON_SORT_KEYS);
    if (!text)
        return err_set(e, ERR_NOMEM, "out of memory");
    op_body_hash(span_str(text), hash);
    free(text);
    snprintf(c->hash, sizeof c->hash, "%016" PRIx64 "%016" PRIx64, hash[1], hash[0]);
    return 0;
}

static int take_plan(struct rep_campaign *c, json_t *root, struct err *e)
{
    const char *key;
    json_t *v;

    if (!json_is_object(root))
        return err_set(e, ERR_FORMAT, "a plan is a JSON object");
    json_object_foreach(root, key, v)
    {
        int rc = take_member(c, key, v, e);
        if (rc < 0)
            return rc;
    }
    if (!c->trace)
        return err_set(e, ERR_FORMAT, "\"trace\" is missing");
    if (c->arm_count == 0)
        return err_set(e, ERR_FORMAT, "\"arms\" is missing");
    return hash_plan(c, root, e);
}

int rep_campaign_parse(struct rep_campaign *c, struct span text, struct err *e)
{
    json_error_t fault;
    json_t *root;
    int rc;

    *c = (struct rep_campaign){.pairs = 10, .spares = 2, .seed = 1};
    root = json_loadb((const char *)text.p, text.n, JSON_REJECT_DUPLICATES, &fault);
    if (root)
        rc = take_plan(c, root, e);
    else
        rc = err_set(e, ERR_FORMAT, "line %d, column %d: %s", fault.line, fault.column,
                     fault.text);
    json_decref(root);
    if (rc < 0)
        rep_campaign_done(c);
    return rc;
}

int rep_campaign_load(struct rep_campaign *c, const char *path, struct err *e)
{
    struct buf text = {0};
    int rc = buf_read_file(&text, path, REP_PLAN_BYTES_MAX, e);

    *c = (struct rep_campaign){0};
    if (rc >= 0)
        rc = rep_campaign_parse(c, buf_view(&text), e);
    buf_done(&text);
    return rc < 0 ? err_note(e, "plan '%s'", path) : 0;
}

void rep_campaign_done(struct rep_campaign *c)
{
    arena_done(&c->arena);
    *c = (struct rep_campaign){0};
}

void rep_campaign_order(const struct rep_campaign *c, uint64_t pair,
                        size_t order[REP_ARMS_MAX])
{
    struct rng r;

    rng_init(&r, rng_hash(c->seed, pair));
    for (size_t i = 0; i < c->arm_count; i++)
        order[i] = i;
    for (size_t i = c->arm_count; i > 1; i--) { /* Fisher-Yates */
        size_t j = (size_t)rng_below(&r, i), kept = order[i - 1];
        order[i - 1] = order[j];
        order[j] = kept;
    }
}

/*
 * search_probe.c - see search_probe.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replay/search_probe.h"

#include <stdio.h>
#include <string.h>

#include <jansson.h>

static const char *text_at(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

static void says_nothing(struct rep_probe_facts *f, const char *why, const char *what)
{
    f->said = REP_PROBE_NOTHING;
    if (!*f->reason)
        snprintf(f->reason, sizeof f->reason, "%.90s%.100s", why, what);
}

static void read_health(struct rep_probe_facts *f, const json_t *root, bool by_health)
{
    const json_t *health = json_object_get(root, "health");
    const json_t *cause = json_array_get(json_object_get(health, "causes"), 0);
    char why[96];

    snprintf(f->health, sizeof f->health, "%s", text_at(health, "verdict"));
    if (!by_health || strcmp(f->health, "INVALID") != 0)
        return;
    snprintf(why, sizeof why, "the run is INVALID: %.40s: ", text_at(cause, "code"));
    says_nothing(f, why, text_at(cause, "text"));
}

static void read_errors(struct rep_probe_facts *f, size_t i, const json_t *root,
                        const struct rep_limit *l)
{
    const json_t *counts = json_object_get(root, "operations");
    double due = json_number_value(json_object_get(counts, "due"));
    double ok = json_number_value(json_object_get(counts, "ok"));

    if (due <= 0) {
        says_nothing(f, "nothing was due", "");
        return;
    }
    f->values[i].known = true;
    f->values[i].share = 1 - ok / due;
    f->values[i].beyond = f->values[i].share >= l->below_share;
}

/* The report leaves out (null) what too few observations lie beyond. */
static void read_latency(struct rep_probe_facts *f, size_t i, const json_t *root,
                         const struct rep_limit *l)
{
    const json_t *v = json_object_get(
        json_object_get(json_object_get(root, "latency_ns"), l->metric), l->quantile);
    const char *text = json_string_value(v);

    if (json_is_integer(v)) {
        f->values[i].ns = json_integer_value(v);
    } else if (text && strcmp(text, "inf") == 0) {
        f->values[i].infinite = true;
    } else {
        says_nothing(f, "the run has too few operations for ", l->quantile);
        return;
    }
    f->values[i].known = true;
    f->values[i].beyond = f->values[i].infinite || f->values[i].ns >= l->below_ns;
}

static void judge(struct rep_probe_facts *f, const json_t *root,
                  const struct rep_limit *limits, size_t count, bool by_health)
{
    const json_t *rate = json_object_get(root, "rate");

    f->offered = json_number_value(json_object_get(rate, "offered"));
    f->achieved = json_number_value(json_object_get(rate, "achieved"));
    f->said = REP_PROBE_WITHIN;
    for (size_t i = 0; i < count; i++) {
        if (limits[i].errors)
            read_errors(f, i, root, &limits[i]);
        else
            read_latency(f, i, root, &limits[i]);
        if (f->values[i].beyond && f->said == REP_PROBE_WITHIN)
            f->said = REP_PROBE_BEYOND;
    }
    read_health(f, root, by_health);
}

int rep_probe_judge(struct rep_probe_facts *f, struct span json,
                    const struct rep_limit *limits, size_t count, bool by_health,
                    struct err *e)
{
    json_error_t fault;
    json_t *root = json_loadb((const char *)json.p, json.n, 0, &fault);
    int rc = 0;

    *f = (struct rep_probe_facts){0};
    if (strcmp(text_at(root, "schema"), "reprise/report/1") == 0)
        judge(f, root, limits, count, by_health);
    else
        rc = err_set(e, ERR_FORMAT, "no report of a run: %s",
                     root ? "the schema is another" : fault.text);
    json_decref(root);
    return rc;
}

/*
 * trc_select.c - see trc_select.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/tool/trc_select.h"

#include <string.h>

#include "traces/base/opt.h"

#define ITEMS_MAX 256

/* Splits a comma list; empty parts are dropped. */
static int split(struct arena *a, const char *list, struct span items[ITEMS_MAX],
                 size_t *n, struct err *e)
{
    *n = 0;
    struct span s = arena_dup(a, span_str(list ? list : ""));
    for (size_t at = 0; s.p && at <= s.n;) {
        size_t end = span_find(s, ',', at);
        struct span item = span_trim(span_sub(s, at, end));
        at = end + 1;
        if (item.n == 0)
            continue;
        if (*n == ITEMS_MAX)
            return err_set(e, ERR_USAGE, "a list of more than %d items", ITEMS_MAX);
        items[(*n)++] = item;
    }
    return s.p ? 0 : err_set(e, ERR_NOMEM, "out of memory");
}

static int find_name(const char *const *names, struct span item)
{
    for (int i = 0; names[i]; i++)
        if (span_eq_str(item, names[i]))
            return i;
    return -1;
}

/* Bits of the named values. */
static int parse_names(struct arena *a, const char *list, const char *const *names,
                       const char *what, uint32_t *bits, struct err *e)
{
    struct span items[ITEMS_MAX];
    size_t n;
    *bits = 0;
    int rc = split(a, list, items, &n, e);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        int at = find_name(names, items[i]);
        char word[64] = "";
        if (at >= 0) {
            *bits |= 1u << at;
            continue;
        }
        if (items[i].n < sizeof word)
            memcpy(word, items[i].p, items[i].n);
        const char *near = opt_nearest(word, names);
        rc =
            err_set(e, ERR_USAGE, "unknown %s '%.*s'%s%s%s", what, SPAN_ARG(items[i]),
                    near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    }
    return rc;
}

static bool parse_grpc(struct span s, int *value)
{
    uint64_t code;
    if (span_u64(s, &code) && code <= 16) {
        *value = (int)code;
        return true;
    }
    for (int i = 0; i <= 16; i++)
        if (out_grpc_name(i) && span_eq_nocase(s, out_grpc_name(i))) {
            *value = i;
            return true;
        }
    return false;
}

static bool parse_status(struct span s, struct trc_status_item *item)
{
    uint64_t code;
    int cause = find_name(out_cause_names, s);
    *item = (struct trc_status_item){0};
    if (span_u64(s, &code) && code >= 100 && code <= 999) {
        *item = (struct trc_status_item){TRC_STATUS_HTTP, (int)code};
    } else if (s.n == 3 && s.p[0] >= '1' && s.p[0] <= '5' && s.p[1] == 'x' &&
               s.p[2] == 'x') {
        *item = (struct trc_status_item){TRC_STATUS_HUNDRED, s.p[0] - '0'};
    } else if (span_starts(s, "grpc:")) {
        item->kind = TRC_STATUS_GRPC;
        return parse_grpc(span_sub(s, 5, s.n), &item->value);
    } else if (span_eq_str(s, "ok")) {
        item->kind = TRC_STATUS_OK;
    } else if (span_eq_str(s, "failed")) {
        item->kind = TRC_STATUS_FAILED;
    } else if (span_eq_str(s, "none")) {
        item->kind = TRC_STATUS_NONE;
    } else if (cause >= 0) {
        *item = (struct trc_status_item){TRC_STATUS_CAUSE, cause};
    } else {
        return false;
    }
    return true;
}

static int parse_statuses(struct trc_select *s, const char *list, struct err *e)
{
    struct span items[ITEMS_MAX];
    int rc = split(&s->arena, list, items, &s->status_count, e);
    if (rc < 0 || s->status_count == 0)
        return rc;
    s->statuses = arena_alloc(&s->arena, s->status_count * sizeof *s->statuses);
    if (!s->statuses)
        return err_set(e, ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < s->status_count; i++)
        if (!parse_status(items[i], &s->statuses[i]))
            return err_set(e, ERR_USAGE,
                           "unknown status '%.*s': use 503, 5xx, grpc:14, "
                           "grpc:UNAVAILABLE, ok, failed, none or a cause of failure",
                           SPAN_ARG(items[i]));
    return 0;
}

int trc_select_init(struct trc_select *s, const char *models, const char *tiers,
                    const char *protocols, const char *statuses, int64_t from_ns,
                    int64_t to_ns, struct err *e)
{
    struct span items[ITEMS_MAX];
    *s = (struct trc_select){.from_ns = from_ns, .to_ns = to_ns};
    int rc = split(&s->arena, models, items, &s->model_count, e);
    if (rc == 0 && s->model_count) {
        s->models = arena_alloc(&s->arena, s->model_count * sizeof *s->models);
        if (s->models)
            memcpy(s->models, items, s->model_count * sizeof *items);
        else
            rc = err_set(e, ERR_NOMEM, "out of memory");
    }
    if (rc == 0)
        rc = parse_names(&s->arena, tiers, op_tier_names, "tier", &s->tiers, e);
    if (rc == 0)
        rc = parse_names(&s->arena, protocols, op_protocol_names, "protocol",
                         &s->protocols, e);
    if (rc == 0)
        rc = parse_statuses(s, statuses, e);
    if (rc == 0 && from_ns >= to_ns)
        rc = err_set(e, ERR_USAGE, "--from must be before --to");
    if (rc < 0)
        trc_select_done(s);
    return rc;
}

void trc_select_done(struct trc_select *s)
{
    arena_done(&s->arena);
    *s = (struct trc_select){0};
}

bool trc_select_stream(const struct trc_select *s, const struct op_stream *stream)
{
    if ((s->tiers && !(s->tiers & 1u << stream->tier)) ||
        (s->protocols && !(s->protocols & 1u << stream->protocol)))
        return false;
    for (size_t i = 0; i < s->model_count; i++)
        if (span_eq(s->models[i], stream->name))
            return true;
    return s->model_count == 0;
}

static bool status_matches(const struct trc_status_item *item, const struct outcome *o)
{
    switch (item->kind) {
    case TRC_STATUS_HTTP:
        return o->status == item->value;
    case TRC_STATUS_HUNDRED:
        return o->status / 100 == item->value;
    case TRC_STATUS_GRPC:
        return o->grpc_status == item->value;
    case TRC_STATUS_OK:
        return outcome_ok(o);
    case TRC_STATUS_FAILED:
        return !outcome_ok(o);
    case TRC_STATUS_NONE:
        return o->status == 0 && o->grpc_status < 0;
    case TRC_STATUS_CAUSE:
        return o->cause == (enum out_cause)item->value;
    }
    return false;
}

static bool select_status(const struct trc_select *s, const struct outcome *o)
{
    for (size_t i = 0; i < s->status_count; i++)
        if (status_matches(&s->statuses[i], o))
            return true;
    return s->status_count == 0;
}

/* What a recorded answer would be as an outcome; without an answer it is neither ok nor
 * failed. */
static bool select_answer(const struct trc_select *s, const struct op *o)
{
    struct outcome as = outcome_empty();
    as.status = o->status;
    as.grpc_status = o->grpc_status;
    bool answered = o->status != 0 || o->grpc_status >= 0;
    bool good = (o->status == 0 || o->status / 100 == 2) && o->grpc_status <= 0;
    as.cause = good ? OUT_OK : OUT_STATUS;
    for (size_t i = 0; i < s->status_count; i++) {
        enum trc_status_kind kind = s->statuses[i].kind;
        bool judged = kind == TRC_STATUS_OK || kind == TRC_STATUS_FAILED ||
                      kind == TRC_STATUS_CAUSE;
        if ((answered || !judged) && status_matches(&s->statuses[i], &as))
            return true;
    }
    return s->status_count == 0;
}

bool trc_select_op(const struct trc_select *s, const struct op *o)
{
    return o->arrival_ns >= s->from_ns && o->arrival_ns < s->to_ns &&
           trc_select_stream(s, o->stream) && select_answer(s, o);
}

bool trc_select_outcome(const struct trc_select *s, const struct outcome *o)
{
    return o->due_ns >= s->from_ns && o->due_ns < s->to_ns &&
           trc_select_stream(s, o->stream) && select_status(s, o);
}

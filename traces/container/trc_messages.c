/*
 * trc_messages.c - see trc_messages.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/container/trc_messages.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

void trc_messages_reset(struct trc_messages *t)
{
    t->n = t->list_n = 0;
}

void trc_messages_done(struct trc_messages *t)
{
    free(t->v);
    free(t->lists);
    *t = (struct trc_messages){0};
}

static int check_limits(const struct op_messages *m, const char *what, struct err *e)
{
    if (m->count > OP_MESSAGES_MAX)
        return err_set(e, ERR_LIMIT, "%s of %" PRIu32 " messages, limit %u", what,
                       m->count, OP_MESSAGES_MAX);
    for (uint32_t i = 0; i < m->count; i++)
        if (m->v[i].at_ns < -TRC_TIME_MAX || m->v[i].at_ns > TRC_TIME_MAX)
            return err_set(e, ERR_LIMIT, "%s with a message beyond 2^61 ns", what);
    return 0;
}

int trc_messages_check_run(const struct op_messages *m, uint64_t bytes, struct err *e)
{
    int rc = check_limits(m, "answer", e);
    for (uint32_t i = 0; rc == 0 && i < m->count; i++) {
        if (m->v[i].bytes > bytes)
            return err_set(e, ERR_USAGE,
                           "answer whose messages are more than its bytes");
        bytes -= m->v[i].bytes;
    }
    return rc;
}

int trc_messages_check(const struct op_messages *m, const struct op_body *body,
                       const char *what, struct err *e)
{
    int rc = check_limits(m, what, e);
    if (rc < 0)
        return rc;
    if (!op_messages_fit(m, body))
        return err_set(e, ERR_USAGE,
                       "%s whose messages are not as many bytes as its body", what);
    return 0;
}

static bool grow(void **v, size_t *cap, size_t want, size_t size)
{
    size_t more = *cap ? *cap : 64;
    while (more < want)
        more *= 2;
    if (more == *cap)
        return true;
    void *grown = realloc(*v, more * size);
    if (grown) {
        *v = grown;
        *cap = more;
    }
    return grown != NULL;
}

int trc_messages_add(struct trc_messages *t, struct op_messages *m, int64_t unit,
                     int64_t *ref, struct err *e)
{
    *ref = 0;
    if (m->count == 0)
        return 0;
    void *v = t->v, *lists = t->lists;
    bool room = grow(&v, &t->cap, t->n + m->count, sizeof *t->v);
    t->v = v;
    if (room)
        room = grow(&lists, &t->list_cap, t->list_n + 1, sizeof *t->lists);
    t->lists = lists;
    if (!room)
        return err_set(e, ERR_NOMEM, "out of memory for messages");
    struct op_message *to = t->v + t->n;
    for (uint32_t i = 0; i < m->count; i++) {
        to[i] = m->v[i];
        to[i].at_ns = m->v[i].at_ns / unit * unit;
    }
    t->lists[t->list_n++] = (struct trc_message_list){t->n, m->count};
    t->n += m->count;
    m->v = to;
    *ref = (int64_t)t->list_n;
    return 0;
}

int trc_messages_put(const struct trc_messages *t, const int64_t *refs, size_t n,
                     int64_t unit, unsigned first_id, bool required,
                     struct trc_group_out *g, struct err *e)
{
    if (t->list_n == 0)
        return 0;
    int64_t *counts = malloc((n + 2 * t->n) * sizeof *counts);
    if (!counts)
        return err_set(e, ERR_NOMEM, "out of memory for messages");
    int64_t *times = counts + n, *bytes = times + t->n;
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        counts[i] = 0;
        if (refs[i] == 0)
            continue;
        const struct trc_message_list *list = &t->lists[refs[i] - 1];
        const struct op_message *m = t->v + list->first;
        counts[i] = list->count;
        for (uint32_t k = 0; k < list->count; k++, at++) {
            times[at] = (m[k].at_ns - (k ? m[k - 1].at_ns : 0)) / unit;
            bytes[at] = (int64_t)m[k].bytes;
        }
    }
    trc_put_prefixed(g, first_id, required, (struct span){0}, counts, n);
    trc_put_prefixed(g, first_id + 1, required, (struct span){0}, times, at);
    trc_put_prefixed(g, first_id + 2, required, (struct span){0}, bytes, at);
    free(counts);
    return 0;
}

/* --- reading --- */

struct walk {
    const struct trc_group *g;
    unsigned id;
    struct trc_ints counts, times, bytes;
    int64_t time_max; /* in units */
    struct err *e;
};

static int bad(const struct walk *w, unsigned column, const char *reason)
{
    return trc_column_error(w->g, w->id + column, reason, w->e);
}

static int walk_open(struct walk *w)
{
    int rc = trc_ints_open(&w->counts, w->g, w->id, 0, w->e);
    if (rc == 0)
        rc = trc_ints_open(&w->times, w->g, w->id + 1, 0, w->e);
    return rc < 0 ? rc : trc_ints_open(&w->bytes, w->g, w->id + 2, 0, w->e);
}

/* How many messages the counts tell, before anything is made for them. */
static int walk_total(struct walk w, uint32_t records, size_t *total)
{
    *total = 0;
    for (uint32_t i = 0; i < records; i++) {
        int64_t n;
        if (!trc_ints_take(&w.counts, &n, 1))
            return bad(&w, 0, "malformed integers");
        if (n < 0 || n > OP_MESSAGES_MAX)
            return bad(&w, 0, "a value out of range");
        *total += (size_t)n;
        if (*total > TRC_MESSAGES_MAX)
            return bad(&w, 0, "more messages than a block may have");
    }
    return trc_ints_ended(&w.counts) ? 0 : bad(&w, 0, "bytes left over");
}

static int walk_record(struct walk *w, struct op_message *v, uint32_t n, int64_t unit)
{
    int64_t now = 0;
    for (uint32_t k = 0; k < n; k++) {
        int64_t step, bytes;
        if (!trc_ints_take(&w->times, &step, 1))
            return bad(w, 1, "malformed integers");
        if (!trc_ints_take(&w->bytes, &bytes, 1))
            return bad(w, 2, "malformed integers");
        if (bytes < 0)
            return bad(w, 2, "a value out of range");
        if (step < -2 * w->time_max || step > 2 * w->time_max)
            return bad(w, 1, "a value out of range");
        now += step;
        if (now < -w->time_max || now > w->time_max)
            return bad(w, 1, "a value out of range");
        v[k] = (struct op_message){now * unit, (uint64_t)bytes};
    }
    return 0;
}

int trc_messages_decode(const struct trc_group *g, unsigned first_id, uint32_t records,
                        int64_t unit, struct arena *a, struct op_messages **out,
                        struct err *e)
{
    struct walk w = {.g = g, .id = first_id, .time_max = TRC_TIME_MAX / unit, .e = e};
    struct span content;
    size_t total = 0;
    *out = NULL;
    if (!trc_group_find(g, first_id, &content)) {
        if (trc_group_find(g, first_id + 1, &content) ||
            trc_group_find(g, first_id + 2, &content))
            return bad(&w, 0, "the column is absent");
        return 0;
    }
    int rc = walk_open(&w);
    if (rc == 0)
        rc = walk_total(w, records, &total);
    if (rc < 0)
        return rc;
    struct op_messages *lists = arena_zalloc(a, (records + 1) * sizeof *lists);
    struct op_message *v = arena_alloc(a, (total + 1) * sizeof *v);
    if (!lists || !v)
        return err_set(e, ERR_NOMEM, "out of memory for messages");
    for (uint32_t i = 0; rc == 0 && i < records; i++) {
        int64_t n;
        if (!trc_ints_take(&w.counts, &n, 1))
            return bad(&w, 0, "malformed integers");
        lists[i] = (struct op_messages){n ? v : NULL, (uint32_t)n};
        rc = walk_record(&w, v, (uint32_t)n, unit);
        v += n;
    }
    if (rc == 0 && !trc_ints_ended(&w.times))
        rc = bad(&w, 1, "bytes left over");
    if (rc == 0 && !trc_ints_ended(&w.bytes))
        rc = bad(&w, 2, "bytes left over");
    *out = lists;
    return rc;
}

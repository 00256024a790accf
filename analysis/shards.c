/*
 * shards.c - see shards.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "analysis/shards.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "traces/base/buf.h"
#include "traces/base/clk.h"
#include "traces/base/units.h"
#include "traces/container/trc_reader.h"
#include "traces/run_notes.h"

/* How far apart shards may start. Beyond, the target did not see the schedule of the
 * trace. */
#define APART_SUSPECT_NS (10 * CLK_MS)
#define APART_INVALID_NS CLK_SEC
/* Of a note: more than replay writes, so few that a made file costs nothing. */
#define LINES_MAX 64

/* "2/3". False: it is no shard. */
static bool read_shard(const char *text, uint32_t *index, uint32_t *count)
{
    uint64_t i, n;
    struct span whole = span_str(text ? text : "");
    size_t slash = span_find(whole, '/', 0);

    if (!span_u64(span_sub(whole, 0, slash), &i) ||
        !span_u64(span_sub(whole, slash + 1, whole.n), &n) || i == 0 || i > n ||
        n > UINT32_MAX)
        return false;
    *index = (uint32_t)i - 1;
    *count = (uint32_t)n;
    return true;
}

/* --- notes ------------------------------------------------------------------------ */

enum merging {
    ALIKE, /* kept where all have the same */
    SUM,   /* of all; missing where one has none */
    MOST,
    EARLIEST, /* of the shard that started first */
    ANY,      /* of the first that says other than "no" */
    LINES,    /* "COUNT: what": counts of the same are summed */
    BY_SHARD  /* judged shard by shard */
};

static enum merging merging_of(const char *key)
{
    static const struct {
        const char *key;
        enum merging how;
    } rules[] = {
        {NOTE_DUE, SUM},
        {NOTE_SENT, SUM},
        {NOTE_NEVER_DUE, SUM},
        {NOTE_FILTERED, SUM},
        {NOTE_CHECK_RIGHT, SUM},
        {NOTE_CHECK_WRONG, SUM},
        {NOTE_CHECK_UNJUDGED, SUM},
        {NOTE_CHECK_CROSSED, SUM},
        {NOTE_STARVED, SUM},
        {NOTE_CPU_OWN, SUM},
        {NOTE_GAPS, SUM},
        {NOTE_CLIENT_ERRORS, SUM},
        {NOTE_CONNECTS, SUM},
        {NOTE_RETRIES, SUM},
        {NOTE_TLS_FULL, SUM},
        {NOTE_TLS_RESUMED, SUM},
        {NOTE_REFUSALS, LINES},
        {NOTE_CHECK_REASONS, LINES},
        {NOTE_CONNECTION_ENDS, LINES},
        {NOTE_CONNECT_FAILURES, LINES},
        {NOTE_WARM_FAILED, SUM},
        {NOTE_DURATION, MOST},
        {NOTE_GENERATOR_MAX, MOST},
        {NOTE_PRESSURE_MAX, MOST},
        {NOTE_CLOCK_STEP, MOST},
        {NOTE_PACER_MARGIN, MOST},
        {NOTE_PACER_SLICE, MOST},
        {NOTE_PACER_SHARED, BY_SHARD},
        {NOTE_START, EARLIEST},
        {NOTE_START_WALL, EARLIEST},
        {NOTE_INTERRUPTED, ANY},
        {NOTE_ENDED_BY, ANY},
        {NOTE_CLOCK_BACKWARDS, ANY},
        {NOTE_HEALTH_VERDICT, BY_SHARD},
        {NOTE_HEALTH_CAUSES, BY_SHARD},
        {NOTE_SCHEDULE_SHARD, BY_SHARD},
    };
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (strcmp(rules[i].key, key) == 0)
            return rules[i].how;
    return ALIKE;
}

static const struct ana_shard *earliest(const struct ana_run *run)
{
    const struct ana_shard *first = &run->shards[0];
    for (size_t i = 1; i < run->shard_count; i++)
        if (run->shards[i].start_wall_ns < first->start_wall_ns)
            first = &run->shards[i];
    return first;
}

/* The sum, or the largest, as text in `out`; NULL where a shard has none. */
static const char *merge_numbers(const struct ana_run *run, const char *key,
                                 enum merging how, char out[32])
{
    uint64_t result = 0;
    for (size_t i = 0; i < run->shard_count; i++) {
        const char *text = ana_shard_note(&run->shards[i], key);
        uint64_t v;
        if (!text || !span_u64(span_str(text), &v))
            return NULL;
        if (how == MOST)
            result = v > result ? v : result;
        else if (__builtin_add_overflow(result, v, &result))
            return NULL;
    }
    snprintf(out, 32, "%" PRIu64, result);
    return out;
}

/* Where one says nothing, the others are believed: labels may be on a few alone. */
static const char *merge_alike(const struct ana_run *run, const char *key)
{
    const char *shared = NULL;
    for (size_t i = 0; i < run->shard_count; i++) {
        const char *v = ana_shard_note(&run->shards[i], key);
        if (v && shared && strcmp(v, shared) != 0)
            return NULL;
        shared = v ? v : shared;
    }
    return shared;
}

static const char *merge_any(const struct ana_run *run, const char *key)
{
    const char *said = NULL;
    for (size_t i = 0; i < run->shard_count; i++) {
        const char *v = ana_shard_note(&run->shards[i], key);
        if (v && strcmp(v, "no") != 0)
            return v;
        said = v ? v : said;
    }
    return said;
}

/* How often the first `shards` say `what`. */
static uint64_t lines_of(const struct ana_run *run, size_t shards, const char *key,
                         struct span what)
{
    uint64_t sum = 0, count;
    struct span other;
    for (size_t i = 0; i < shards; i++) {
        struct span rest = span_str(ana_shard_note(&run->shards[i], key));
        for (int n = 0; n < LINES_MAX && ana_note_line(&rest, &count, &other); n++)
            sum += span_eq(what, other) ? count : 0;
    }
    return sum;
}

/* In the arena; NULL where there is no memory. */
static const char *merge_lines(struct ana_run *run, const char *key)
{
    struct buf out = {0};
    struct span what;
    uint64_t count;
    for (size_t i = 0; i < run->shard_count; i++) {
        struct span rest = span_str(ana_shard_note(&run->shards[i], key));
        for (int n = 0; n < LINES_MAX && ana_note_line(&rest, &count, &what); n++)
            if (lines_of(run, i, key, what) == 0)
                buf_fmt(&out, "%s%" PRIu64 ": %.*s", out.n ? "\n" : "",
                        lines_of(run, run->shard_count, key, what), SPAN_ARG(what));
    }
    const char *text = out.failed ? NULL : arena_str(&run->arena, buf_text(&out));
    buf_done(&out);
    return text;
}

static const char *merge_key(const struct ana_run *run, const char *key, char out[32])
{
    switch (merging_of(key)) {
    case SUM:
    case MOST:
        return merge_numbers(run, key, merging_of(key), out);
    case EARLIEST:
        return ana_shard_note(earliest(run), key);
    case ANY:
        return merge_any(run, key);
    case LINES: /* merge_notes does */
    case BY_SHARD:
        return NULL;
    case ALIKE:
    default:
        return merge_alike(run, key);
    }
}

static bool has_key(const struct ana_run *run, size_t shards, const char *key)
{
    for (size_t i = 0; i < shards; i++)
        if (ana_shard_note(&run->shards[i], key))
            return true;
    return false;
}

static int merge_notes(struct ana_run *run, struct err *e)
{
    size_t most = 0;
    for (size_t i = 0; i < run->shard_count; i++)
        most += run->shards[i].note_count;
    run->notes = arena_alloc(&run->arena, (most + 1) * sizeof *run->notes);
    if (!run->notes)
        return err_set(e, ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < run->shard_count; i++)
        for (size_t k = 0; k < run->shards[i].note_count; k++) {
            const char *key = run->shards[i].notes[k].key;
            char number[32];
            if (has_key(run, i, key)) /* an earlier shard brought it */
                continue;
            bool lines = merging_of(key) == LINES;
            const char *v = lines ? merge_lines(run, key) : merge_key(run, key, number);
            if (lines && !v)
                return err_set(e, ERR_NOMEM, "out of memory");
            if (v == number)
                v = arena_str(&run->arena, number);
            else if (!v)
                continue;
            if (!v)
                return err_set(e, ERR_NOMEM, "out of memory");
            run->notes[run->note_count++] = (struct ana_note){key, v};
        }
    return 0;
}

/* --- are they shards of one run? -------------------------------------------------- */

static bool differ(const struct ana_shard *x, const struct ana_shard *y,
                   const char *key)
{
    const char *a = ana_shard_note(x, key), *b = ana_shard_note(y, key);
    return a && b && strcmp(a, b) != 0;
}

static int check_set(const struct ana_run *run, struct err *e)
{
    const struct ana_shard *first = &run->shards[0];

    for (size_t i = 0; i < run->shard_count; i++) {
        const struct ana_shard *s = &run->shards[i];
        if (s->count == 0)
            return err_set(e, ERR_USAGE,
                           "'%s' is no shard: several files are taken together only if "
                           "they are the shards of one run",
                           s->path);
        if (s->count != first->count)
            return err_set(e, ERR_USAGE, "'%s' is one of %u shards, '%s' one of %u",
                           first->path, first->count, s->path, s->count);
        if (differ(first, s, NOTE_LABEL_ARM) || differ(first, s, NOTE_LABEL_PAIR))
            return err_set(e, ERR_USAGE,
                           "'%s' and '%s' have different labels: they are shards of "
                           "different runs",
                           first->path, s->path);
        for (size_t k = 0; k < i; k++)
            if (run->shards[k].index == s->index)
                return err_set(e, ERR_USAGE, "shard %u/%u is there twice: '%s', '%s'",
                               s->index + 1, s->count, run->shards[k].path, s->path);
    }
    return 0;
}

int ana_shards_merge(struct ana_run *run, struct err *e)
{
    for (size_t i = 0; i < run->shard_count; i++) {
        struct ana_shard *s = &run->shards[i];
        if (!read_shard(ana_shard_note(s, NOTE_SCHEDULE_SHARD), &s->index, &s->count))
            s->index = s->count = 0;
    }
    if (run->shard_count == 1) {
        run->notes = run->shards[0].notes;
        run->note_count = run->shards[0].note_count;
        return 0;
    }
    int rc = check_set(run, e);
    return rc == 0 ? merge_notes(run, e) : rc;
}

/* --- is it the whole? ------------------------------------------------------------- */

static void list_missing(const struct ana_run *run, char *text)
{
    uint32_t count = run->shards[0].count;
    size_t used = (size_t)snprintf(
        text, ANA_SHARDS_TEXT_MAX,
        "%zu of %u shards are here; missing:", run->shard_count, count);
    for (uint32_t i = 0, shown = 0; i < count; i++) {
        bool here = false;
        for (size_t k = 0; k < run->shard_count; k++)
            here = here || run->shards[k].index == i;
        if (here)
            continue;
        if (++shown > 8) {
            snprintf(text + used, ANA_SHARDS_TEXT_MAX - used, " and more");
            return;
        }
        used += (size_t)snprintf(text + used, ANA_SHARDS_TEXT_MAX - used, " %u/%u",
                                 i + 1, count);
    }
}

bool ana_shards_lack(const struct ana_run *run, enum ana_health *severity,
                     char text[ANA_SHARDS_TEXT_MAX])
{
    static const char *const same[] = {NOTE_TRACE_HASH, NOTE_SCHEDULE_SPEED,
                                       NOTE_SCHEDULE_MODE, NOTE_TARGET_TIER};
    const struct ana_shard *first = &run->shards[0];
    char apart[UNITS_TEXT_MAX];
    int64_t last = first->start_wall_ns;

    *severity = ANA_VALID;
    *text = '\0';
    if (first->count == 0)
        return false;
    *severity = ANA_UNFIT;
    if (run->shard_count < first->count) {
        list_missing(run, text);
        return true;
    }
    for (size_t i = 1; i < run->shard_count; i++) {
        for (size_t k = 0; k < sizeof same / sizeof *same; k++)
            if (differ(first, &run->shards[i], same[k])) {
                snprintf(text, ANA_SHARDS_TEXT_MAX,
                         "shards %u/%u and %u/%u differ in %s", first->index + 1,
                         first->count, run->shards[i].index + 1, first->count, same[k]);
                return true;
            }
        if (run->shards[i].start_wall_ns > last)
            last = run->shards[i].start_wall_ns;
    }
    last -= earliest(run)->start_wall_ns;
    *severity = last > APART_INVALID_NS   ? ANA_UNFIT
                : last > APART_SUSPECT_NS ? ANA_DEGRADED
                                          : ANA_VALID;
    if (*severity != ANA_VALID)
        snprintf(text, ANA_SHARDS_TEXT_MAX,
                 "the shards started %s apart by their own wall clocks: the target did "
                 "not see the schedule of the trace",
                 units_duration_text(last, apart));
    return *severity != ANA_VALID;
}

/* --- grouping --------------------------------------------------------------------- */

struct tag {
    uint32_t index, count; /* count 0: stands alone */
    const char *arm, *pair;
    size_t group;
};

static const char *copy_note(struct arena *arena, struct trc_reader *r, const char *key)
{
    const char *v = trc_reader_note(r, key);
    return arena_str(arena, v ? v : "");
}

/* Notes of the start stand before the first outcome. What cannot be read is for the
 * reading of the whole file to say. */
static int read_tag(struct arena *arena, const char *path, struct tag *t, struct err *e)
{
    struct trc_reader *r = NULL;
    struct trc_block *b = NULL;
    struct err ignored = {0};

    *t = (struct tag){0};
    if (strcmp(path, "-") == 0 || trc_reader_open(&r, path, &ignored) < 0)
        return 0;
    if (trc_reader_next(r, &b, &ignored) > 0)
        trc_block_free(b);
    if (!read_shard(trc_reader_note(r, NOTE_SCHEDULE_SHARD), &t->index, &t->count))
        t->count = 0;
    t->arm = copy_note(arena, r, NOTE_LABEL_ARM);
    t->pair = copy_note(arena, r, NOTE_LABEL_PAIR);
    trc_reader_close(r);
    return t->arm && t->pair ? 0 : err_set(e, ERR_NOMEM, "out of memory");
}

static bool same_run(const struct tag *x, const struct tag *y)
{
    return x->count > 0 && x->count == y->count && strcmp(x->arm, y->arm) == 0 &&
           strcmp(x->pair, y->pair) == 0;
}

/* Finds the group of file i among those before it. */
static int place(const char *const *paths, struct tag *tags, size_t i, size_t *groups,
                 struct err *e)
{
    tags[i].group = *groups;
    for (size_t k = 0; k < i; k++) {
        if (!same_run(&tags[k], &tags[i]))
            continue;
        if (tags[k].index == tags[i].index)
            return err_set(e, ERR_USAGE,
                           "shard %u/%u is there twice: '%s', '%s'; --label pair=... "
                           "tells the runs of one arm apart",
                           tags[i].index + 1, tags[i].count, paths[k], paths[i]);
        tags[i].group = tags[k].group;
    }
    *groups += tags[i].group == *groups;
    return 0;
}

int ana_shards_group(struct arena *arena, const char *const *paths, size_t n,
                     struct ana_group **groups, size_t *count, struct err *e)
{
    struct tag *tags = arena_alloc(arena, (n + 1) * sizeof *tags);

    *count = 0;
    *groups = arena_zalloc(arena, (n + 1) * sizeof **groups);
    if (!tags || !*groups)
        return err_set(e, ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < n; i++) {
        int rc = read_tag(arena, paths[i], &tags[i], e);
        if (rc == 0)
            rc = place(paths, tags, i, count, e);
        if (rc < 0)
            return rc;
        (*groups)[tags[i].group].count++;
    }
    for (size_t g = 0; g < *count; g++) {
        struct ana_group *group = &(*groups)[g];
        group->paths = arena_alloc(arena, group->count * sizeof *group->paths);
        if (!group->paths)
            return err_set(e, ERR_NOMEM, "out of memory");
        group->count = 0;
        for (size_t i = 0; i < n; i++)
            if (tags[i].group == g)
                group->paths[group->count++] = paths[i];
    }
    return 0;
}

/*
 * trc_show.c - see trc_show.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/tool/trc_show.h"

#include <inttypes.h>
#include <string.h>

#include "traces/base/clk.h"
#include "traces/base/jsonw.h"
#include "traces/base/units.h"
#include "traces/capture_notes.h"
#include "traces/tool/trc_print.h"

#define COVERAGE_NOTE "coverage"
#define COUNTS_LINE   96 /* bytes after which a line of counts is broken */
#define MODELS_SHOWN  20 /* in text; JSON has all that the file lists */

static int64_t span_ns(const struct trc_info *info)
{
    return info->records ? info->last_ns - info->first_ns : 0;
}

/* --- JSON --- */

static void counts_json(struct jsonw *w, const char *key, const uint64_t *counts,
                        const char *const *names)
{
    jsonw_key(w, key);
    if (!counts) {
        jsonw_null(w);
        return;
    }
    jsonw_object(w);
    for (size_t i = 0; names[i]; i++)
        if (counts[i])
            jsonw_key_u64(w, names[i], counts[i]);
    jsonw_end(w);
}

static void models_json(struct jsonw *w, const struct trc_counts *c)
{
    jsonw_key(w, "models");
    if (!c) {
        jsonw_null(w);
        return;
    }
    jsonw_array(w);
    for (uint32_t i = 0; i < c->model_count; i++) {
        jsonw_object(w);
        jsonw_key_str(w, "resource", op_resource_names[c->models[i].resource]);
        jsonw_key(w, "name");
        jsonw_span(w, c->models[i].name);
        jsonw_key_u64(w, "operations", c->models[i].count);
        jsonw_end(w);
    }
    jsonw_end(w);
    if (c->other)
        jsonw_key_u64(w, "operations_of_models_not_listed", c->other);
}

static void notes_json(struct jsonw *w, const struct trc_reader *r)
{
    const char *key, *value;
    const char *coverage = trc_reader_note(r, COVERAGE_NOTE);
    if (coverage)
        jsonw_key_str(w, "coverage", coverage);
    jsonw_key(w, "notes");
    jsonw_object(w);
    for (size_t i = 0; trc_reader_note_at(r, i, &key, &value); i++)
        jsonw_key_str(w, key, value);
    jsonw_end(w);
}

static void identity_json(struct jsonw *w, const struct trc_info *info)
{
    char hash[TRC_HASH_TEXT], wall[CLK_TEXT_MAX];
    jsonw_key_str(w, "hash",
                  info->complete ? trc_hash_text(info->content_hash, hash) : NULL);
    jsonw_key_i64(w, "resolution_ns", info->resolution_ns);
    if (info->epoch_wall_ns)
        clk_wall_text((struct clk_wall){info->epoch_wall_ns}, wall);
    jsonw_key_str(w, "epoch", info->epoch_wall_ns ? wall : NULL);
    struct buf v = {0};
    buf_fmt(&v, "%u.%u", (unsigned)info->version_major, (unsigned)info->version_minor);
    jsonw_key_str(w, "version", buf_text(&v));
    buf_done(&v);
}

void trc_show_json(const struct trc_reader *r, const char *path, struct buf *out)
{
    const struct trc_info *info = trc_reader_info(r);
    const struct trc_counts *c = trc_reader_counts(r);
    bool run = info->kind == TRC_RUN;
    struct jsonw w = {.out = out, .pretty = true};
    jsonw_object(&w);
    jsonw_key_str(&w, "schema", "reprise/trace-info/1");
    jsonw_key_str(&w, "file", path);
    jsonw_key_str(&w, "kind", run ? "run" : "trace");
    jsonw_key_bool(&w, "complete", info->complete);
    jsonw_key_u64(&w, "operations", info->records);
    jsonw_key_i64(&w, "span_ns", span_ns(info));
    jsonw_key_i64(&w, "first_ns", info->first_ns);
    jsonw_key_i64(&w, "last_ns", info->last_ns);
    models_json(&w, c);
    counts_json(&w, "tiers", c ? c->tier : NULL, op_tier_names);
    counts_json(&w, "protocols", c ? c->protocol : NULL, op_protocol_names);
    if (run) {
        counts_json(&w, "causes", c ? c->cause : NULL, out_cause_names);
        counts_json(&w, "checks", c ? c->check : NULL, out_check_names);
    }
    identity_json(&w, info);
    jsonw_key(&w, "payload_bytes");
    if (info->complete)
        jsonw_u64(&w, info->payload_bytes);
    else
        jsonw_null(&w);
    jsonw_key(&w, "file_bytes");
    if (info->file_bytes)
        jsonw_u64(&w, info->file_bytes);
    else
        jsonw_null(&w);
    jsonw_key_u64(&w, "blocks", info->blocks);
    jsonw_key_u64(&w, "lost_blocks", trc_reader_lost_blocks(r));
    notes_json(&w, r);
    jsonw_end(&w);
    buf_u8(out, '\n');
}

void trc_show_notes(const struct trc_reader *r, struct buf *out)
{
    const char *key, *value;
    struct jsonw w = {.out = out};
    jsonw_object(&w);
    for (size_t i = 0; trc_reader_note_at(r, i, &key, &value); i++)
        jsonw_key_str(&w, key, value);
    jsonw_end(&w);
}

void trc_show_header(const struct trc_reader *r, struct span notes, struct buf *out)
{
    const struct trc_info *info = trc_reader_info(r);
    struct jsonw w = {.out = out};
    jsonw_object(&w);
    jsonw_key_str(&w, "reprise", info->kind == TRC_RUN ? "run" : "trace");
    jsonw_key_i64(&w, "resolution_ns", info->resolution_ns);
    jsonw_key_i64(&w, "epoch_wall_ns", info->epoch_wall_ns);
    jsonw_key(&w, "notes");
    jsonw_raw(&w, notes);
    jsonw_end(&w);
    buf_u8(out, '\n');
}

/* --- text --- */

static void counts_text(struct buf *out, const char *what, const uint64_t *counts,
                        const char *const *names)
{
    buf_fmt(out, "%-12s", what);
    const char *comma = "";
    for (size_t i = 0; names[i]; i++) {
        if (counts[i] == 0)
            continue;
        buf_fmt(out, "%s%s %" PRIu64, comma, names[i], counts[i]);
        comma = ", ";
    }
    buf_str(out, *comma ? "\n" : "none\n");
}

static void models_text(struct buf *out, const struct trc_counts *c)
{
    for (uint32_t i = 0; i < c->model_count && i < MODELS_SHOWN; i++)
        buf_fmt(out, "%-12s%-10s %-24.*s %" PRIu64 "\n", i ? "" : "models",
                op_resource_names[c->models[i].resource], SPAN_ARG(c->models[i].name),
                c->models[i].count);
    if (c->model_count > MODELS_SHOWN)
        buf_fmt(out, "%-12sand %" PRIu32 " more\n", "", c->model_count - MODELS_SHOWN);
}

static void size_text(const struct trc_info *info, struct buf *out)
{
    char size[UNITS_TEXT_MAX];
    buf_fmt(out, "%-12s", "file");
    if (info->file_bytes) {
        buf_fmt(out, "%s", units_size_text(info->file_bytes, size));
        if (info->records)
            buf_fmt(out, " (%.1f B per operation)",
                    (double)info->file_bytes / (double)info->records);
        buf_str(out, ", ");
    }
    buf_fmt(out, "%" PRIu64 " blocks", info->blocks);
    if (info->complete)
        buf_fmt(out, ", payload %s", units_size_text(info->payload_bytes, size));
    buf_u8(out, '\n');
}

/* --- notes, for people -------------------------------------------------------------
 */

static bool is_coverage(const char *key)
{
    return strcmp(key, NOTE_COVERAGE) == 0 ||
           span_starts(span_str(key), NOTE_COVERAGE_PREFIX);
}

/* A count of what a capture saw that is not 0: its group, and its name within. */
static bool is_count(const char *key, const char *value, struct span *group,
                     const char **name)
{
    size_t n = strlen(NOTE_COVERAGE_PREFIX);
    const char *dot = strchr(key + n, '.');
    if (!dot || strcmp(value, "0") == 0 ||
        span_starts(span_str(key), NOTE_COVERAGE_SERIES))
        return false; /* the series has a row a second: for programs */
    *group = span_of(key + n, (size_t)(dot - key) - n);
    *name = dot + 1;
    return true;
}

/* What a capture says of itself: a sentence, and a line for each group of counts that
 * are not 0. */
static void coverage_text(const struct trc_reader *r, struct buf *out)
{
    const char *key, *value, *name;
    struct span group, last = {0};
    size_t line = 0;
    for (size_t i = 0; trc_reader_note_at(r, i, &key, &value); i++) {
        if (strcmp(key, NOTE_COVERAGE) == 0) {
            buf_fmt(out, "%-12s%s\n", NOTE_COVERAGE, value);
            continue;
        }
        if (!is_coverage(key) || !is_count(key, value, &group, &name))
            continue;
        bool same = span_eq(group, last);
        if (same && out->n - line < COUNTS_LINE) {
            buf_fmt(out, ", %s %s", name, value);
            continue;
        }
        buf_str(out, last.n ? (same ? ",\n" : "\n") : "");
        line = out->n;
        buf_fmt(out, "%-12s%-10.*s %s %s", "", same ? 0 : (int)group.n, group.p, name,
                value);
        last = group;
    }
    buf_str(out, last.n ? "\n" : "");
}

static void notes_text(const struct trc_reader *r, struct buf *out)
{
    const char *key, *value;
    const char *heading = "notes";
    for (size_t i = 0; trc_reader_note_at(r, i, &key, &value); i++) {
        if (is_coverage(key))
            continue;
        buf_fmt(out, "%-12s%s = %s\n", heading, key, value);
        heading = "";
    }
}

void trc_show_text(const struct trc_reader *r, const char *path, struct buf *out)
{
    const struct trc_info *info = trc_reader_info(r);
    const struct trc_counts *c = trc_reader_counts(r);
    char text[UNITS_TEXT_MAX], wall[CLK_TEXT_MAX], hash[TRC_HASH_TEXT];
    buf_fmt(out, "%-12s%s, %s\n", info->kind == TRC_RUN ? "run" : "trace", path,
            info->complete ? "complete" : "not closed: without index and footer");
    if (trc_reader_lost_blocks(r))
        buf_fmt(out, "%-12s%" PRIu64 " blocks are damaged or missing\n", "damage",
                trc_reader_lost_blocks(r));
    buf_fmt(out, "%-12s%" PRIu64 "\n", "operations", info->records);
    buf_fmt(out, "%-12s%s\n", "span", units_duration_text(span_ns(info), text));
    if (info->epoch_wall_ns) {
        clk_wall_text((struct clk_wall){info->epoch_wall_ns}, wall);
        buf_fmt(out, "%-12s%s\n", "epoch", wall);
    }
    buf_fmt(out, "%-12s%s\n", "resolution",
            units_duration_text(info->resolution_ns, text));
    if (c) {
        counts_text(out, "protocols", c->protocol, op_protocol_names);
        counts_text(out, "tiers", c->tier, op_tier_names);
        models_text(out, c);
        if (info->kind == TRC_RUN) {
            counts_text(out, "outcomes", c->cause, out_cause_names);
            counts_text(out, "checks", c->check, out_check_names);
        }
        buf_fmt(out, "%-12s%s\n", "hash", trc_hash_text(info->content_hash, hash));
    }
    size_text(info, out);
    coverage_text(r, out);
    notes_text(r, out);
}

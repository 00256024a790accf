/*
 * run_health.c - see run_health.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "analysis/run_health.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/shards.h"
#include "traces/base/clk.h"
#include "traces/base/units.h"
#include "traces/run_notes.h"

const char *const ana_health_names[] = {"VALID", "DEGRADED", "INVALID", NULL};

/* Generator lateness, p99: of the service time, of the response time, and at all. A
 * share counts only beyond the absolute floor, which is also the least difference that
 * a comparison takes seriously. */
#define LATE_SUSPECT_SHARE 0.05
#define LATE_INVALID_SHARE 0.10
#define LATE_SUSPECT_NS    (500 * CLK_US)
#define LATE_INVALID_NS    (2 * CLK_MS)
#define LATE_FLOOR_NS      (100 * CLK_US)
/* Its share in the responses beyond p99. */
#define TAIL_SUSPECT_SHARE 0.01
#define TAIL_INVALID_SHARE 0.05
/* How far the schedule slips over the run, in millionths of run time. */
#define TREND_SUSPECT_PPM 20
#define TREND_INVALID_PPM 200

PRINTF_LIKE(4, 5)
static int add_cause(struct ana_run *run, enum ana_health severity, const char *code,
                     const char *format, ...)
{
    char text[512];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (severity > run->health)
        run->health = severity;
    if (run->cause_count == ANA_CAUSES_MAX) /* the verdict still counts */
        return 0;
    struct ana_cause *c = &run->causes[run->cause_count];
    *c = (struct ana_cause){severity, arena_str(&run->arena, code),
                            arena_str(&run->arena, text)};
    if (!c->code || !c->text)
        return ERR_NOMEM;
    run->cause_count++;
    return 0;
}

/* --- what the run says of itself ----------------------------------------------------
 */

/* Cuts the severity off the front of a line. Where none is told, `verdict` is. */
static enum ana_health take_severity(struct span *line, enum ana_health verdict)
{
    for (int h = ANA_DEGRADED; h < ANA_HEALTH_COUNT; h++) {
        struct span name = span_str(ana_health_names[h]);
        if (span_starts(*line, ana_health_names[h]) && line->n > name.n &&
            line->p[name.n] == ' ') {
            *line = span_sub(*line, name.n + 1, line->n);
            return (enum ana_health)h;
        }
    }
    return verdict;
}

/* Whether the file itself shows what replay says: then once is enough. */
static bool is_told(const struct ana_run *run, const char *code,
                    enum ana_health severity)
{
    for (size_t i = 0; i < run->cause_count && run->shard_count <= 1; i++)
        if (strcmp(run->causes[i].code, code) == 0 &&
            run->causes[i].severity >= severity)
            return true;
    return false;
}

/* A line "SEVERITY code: text"; what has no code is a cause all the same. */
static int take_cause(struct ana_run *run, struct span line, const char *where,
                      enum ana_health verdict)
{
    enum ana_health severity = take_severity(&line, verdict);
    size_t colon = span_find(line, ':', 0);
    char code[64] = "noted";

    if (colon == line.n || colon == 0 || colon >= sizeof code)
        return add_cause(run, severity, code, "%s%.*s", where, SPAN_ARG(line));
    snprintf(code, sizeof code, "%.*s", (int)colon, (const char *)line.p);
    if (is_told(run, code, severity))
        return 0;
    struct span text = span_trim(span_sub(line, colon + 1, line.n));
    return add_cause(run, severity, code, "%s%.*s", where, SPAN_ARG(text));
}

static int take_causes(struct ana_run *run, const struct ana_shard *shard,
                       enum ana_health verdict)
{
    const char *line = ana_shard_note(shard, NOTE_HEALTH_CAUSES);
    char where[40] = "";
    int rc = 0;

    if (run->shard_count > 1)
        snprintf(where, sizeof where, "shard %u/%u: ", shard->index + 1, shard->count);
    if (verdict > ANA_VALID && (!line || !*line))
        return add_cause(run, verdict, "noted", "%sreplay gave no cause", where);
    while (line && *line && rc == 0) {
        struct span whole = span_of(line, strcspn(line, "\n"));
        if (whole.n > 0)
            rc = take_cause(run, whole, where, verdict);
        line += whole.n + (line[whole.n] == '\n');
    }
    if (verdict > run->health) /* whatever its causes say */
        run->health = verdict;
    return rc;
}

/* 1: it has a verdict of its own. */
static int take_verdict(struct ana_run *run, const struct ana_shard *shard)
{
    const char *verdict = ana_shard_note(shard, NOTE_HEALTH_VERDICT);

    for (int h = 0; verdict && h < ANA_HEALTH_COUNT; h++) {
        if (strcmp(verdict, ana_health_names[h]) != 0)
            continue;
        int rc = take_causes(run, shard, (enum ana_health)h);
        return rc < 0 ? rc : 1;
    }
    return 0;
}

/* 1: all files have. */
static int take_note(struct ana_run *run)
{
    int all = 1;
    for (size_t i = 0; i < run->shard_count && all >= 0; i++) {
        int rc = take_verdict(run, &run->shards[i]);
        all = rc < all ? rc : all;
    }
    return all;
}

static int judge_shards(struct ana_run *run)
{
    char text[ANA_SHARDS_TEXT_MAX];
    enum ana_health severity;

    if (!ana_shards_lack(run, &severity, text))
        return 0;
    return add_cause(run, severity, "shards", "%s", text);
}

/* --- what the file shows ------------------------------------------------------------
 */

static int judge_file(struct ana_run *run)
{
    int rc = 0;
    if (run->fault.code == ERR_TRUNCATED ||
        (run->fault.code == ERR_OK && !run->complete)) {
        if (run->fault.has_at)
            rc = add_cause(run, ANA_UNFIT, "truncated",
                           "the file ends early, at byte %" PRIu64
                           ": what came before is reported",
                           run->fault.at);
        else
            rc = add_cause(run, ANA_UNFIT, "truncated",
                           "the file was not closed, it ends at byte %" PRIu64,
                           run->file_bytes);
    }
    if (rc == 0 && (run->fault.code == ERR_FORMAT || run->lost_blocks > 0))
        rc = add_cause(run, ANA_UNFIT, "damaged",
                       "%" PRIu64 " blocks could not be read; %s", run->lost_blocks,
                       run->fault.text);
    if (rc == 0 && run->clock_faults > 0)
        rc = add_cause(run, ANA_UNFIT, "clock",
                       "the moments of %" PRIu64 " operations run backwards",
                       run->clock_faults);
    return rc;
}

static int judge_completeness(struct ana_run *run)
{
    const struct ana_counts *c = &run->all.counts;
    const char *by = ana_run_note(run, NOTE_ENDED_BY);
    uint64_t noted;
    int rc = 0;

    if (c->due == 0)
        return add_cause(run, ANA_UNFIT, "empty", "no operation was due%s",
                         run->cut + run->cut_late > 0 ? " between warm-up and cool-down"
                                                      : "");
    if (c->stopped > 0)
        rc = add_cause(run, ANA_UNFIT, "interrupted",
                       "%" PRIu64 " of %" PRIu64
                       " operations were stopped before they ended%s%s",
                       c->stopped, c->due, by ? ": " : "", by ? by : "");
    else if (ana_run_note(run, NOTE_INTERRUPTED) &&
             strcmp(ana_run_note(run, NOTE_INTERRUPTED), "yes") == 0)
        rc = add_cause(run, ANA_UNFIT, "interrupted", "the run was interrupted%s%s",
                       by ? ": " : "", by ? by : "");
    if (rc == 0 && ana_run_note_u64(run, NOTE_DUE, &noted) &&
        noted != c->due + run->cut + run->cut_late)
        rc = add_cause(run, ANA_UNFIT, "missing",
                       "%" PRIu64 " operations were due, the file holds %" PRIu64,
                       noted, c->due + run->cut + run->cut_late);
    return rc;
}

/* --- lateness, where replay did not judge it -----------------------------------------
 */

static enum ana_health beyond(double value, double suspect, double invalid)
{
    return value > invalid ? ANA_UNFIT : value > suspect ? ANA_DEGRADED : ANA_VALID;
}

static int judge_lateness(struct ana_run *run)
{
    int64_t late = ana_quantile_at(run, &run->all.latency[ANA_GENERATOR], ANA_P(99));
    int64_t service = ana_quantile_at(run, &run->all.latency[ANA_SERVICE], ANA_P(50));
    int64_t response =
        ana_quantile_at(run, &run->all.latency[ANA_RESPONSE_OK], ANA_P(50));
    char text[UNITS_TEXT_MAX];

    if (late < 0)
        return 0;
    enum ana_health h = beyond((double)late, LATE_SUSPECT_NS, LATE_INVALID_NS);
    if (late > LATE_FLOOR_NS && response > 0 &&
        (double)late > LATE_INVALID_SHARE * (double)response)
        h = ANA_UNFIT;
    if (late > LATE_FLOOR_NS && service > 0 && h == ANA_VALID &&
        (double)late > LATE_SUSPECT_SHARE * (double)service)
        h = ANA_DEGRADED;
    if (h == ANA_VALID)
        return 0;
    return add_cause(
        run, h, "generator-late",
        "the generator itself was late by %s at p99 (%.3g %% of the median response)",
        units_duration_text(late, text),
        response > 0 ? 100 * (double)late / (double)response : NAN);
}

static int judge_tail(struct ana_run *run)
{
    enum ana_health h = beyond(run->tail_share, TAIL_SUSPECT_SHARE, TAIL_INVALID_SHARE);
    if (!(run->tail_share > 0) || h == ANA_VALID)
        return 0;
    return add_cause(run, h, "generator-in-tail",
                     "%.3g %% of the slowest responses is the generator's own lateness",
                     100 * run->tail_share);
}

static int by_value(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

double ana_theil_sen(const double *y, size_t n)
{
    double slopes[ANA_BLOCKS * (ANA_BLOCKS - 1) / 2];
    size_t m = 0;

    for (size_t i = 0; i < n && i < ANA_BLOCKS; i++)
        for (size_t k = i + 1; k < n && k < ANA_BLOCKS; k++)
            if (!isnan(y[i]) && !isnan(y[k]))
                slopes[m++] = (y[k] - y[i]) / (double)(k - i);
    if (m == 0)
        return NAN;
    qsort(slopes, m, sizeof *slopes, by_value);
    return (slopes[(m - 1) / 2] + slopes[m / 2]) / 2;
}

static int judge_trend(struct ana_run *run)
{
    double median[ANA_BLOCKS];

    for (size_t b = 0; b < run->block_count; b++)
        median[b] = run->blocks[b].generator_p50 < 0
                        ? NAN
                        : (double)run->blocks[b].generator_p50;
    double slope = run->block_ns > 0 ? ana_theil_sen(median, run->block_count) : NAN;
    double ppm = slope / (double)run->block_ns * 1e6;
    enum ana_health h = beyond(ppm, TREND_SUSPECT_PPM, TREND_INVALID_PPM);
    if (isnan(ppm) || h == ANA_VALID)
        return 0;
    return add_cause(run, h, "schedule-slips",
                     "the generator falls behind its schedule by %.3g ppm of run time",
                     ppm);
}

/* Worst first, else in the order in which they were found. */
static void sort_causes(struct ana_run *run)
{
    for (size_t i = 1; i < run->cause_count; i++)
        for (size_t k = i;
             k > 0 && run->causes[k - 1].severity < run->causes[k].severity; k--) {
            struct ana_cause kept = run->causes[k];
            run->causes[k] = run->causes[k - 1];
            run->causes[k - 1] = kept;
        }
}

int ana_health_judge(struct ana_run *run, struct err *e)
{
    int noted, rc;

    run->health = ANA_VALID;
    run->cause_count = 0;
    rc = judge_file(run);
    if (rc == 0)
        rc = judge_shards(run);
    if (rc == 0)
        rc = judge_completeness(run);
    noted = rc < 0 ? rc : take_note(run);
    rc = noted < 0 ? noted : 0;
    if (noted == 0 && rc == 0)
        rc = judge_lateness(run);
    if (noted == 0 && rc == 0)
        rc = judge_tail(run);
    if (noted == 0 && rc == 0)
        rc = judge_trend(run);
    sort_causes(run);
    return rc < 0 ? err_set(e, ERR_NOMEM, "out of memory") : 0;
}

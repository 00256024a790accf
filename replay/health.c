/*
 * health.c - see health.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replay/health.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "traces/base/clk.h"
#include "traces/base/units.h"

const char *const rep_verdict_names[] = {"VALID", "DEGRADED", "INVALID", NULL};

/* What is compared; above `degraded` or `invalid` the row strikes. */
enum measure {
    M_LATENESS,  /* p99 of the generator's lateness over its bound */
    M_EXPLAINED, /* what it adds to the p99 of the response time, as a share of that */
    M_TREND,     /* ppm */
    M_MISSED,    /* share of the offered rate that was not achieved */
    M_LOST,      /* outcomes that are missing */
    M_STARVED,   /* share of the run spent waiting for the trace */
    M_STEAL,
    M_THROTTLED, /* share of the run */
    M_WORKED,    /* share of the busiest worker's time */
    M_ARRIVALS,  /* share of gaps that were off */
    M_COVERAGE,  /* share that the trace lacks */
    M_WORKER,    /* workers that ended early */
    M_BACKWARDS,
    M_STEP,   /* seconds */
    M_CLIENT, /* share of operations */
    M_STOPPED,
};

static const struct row {
    enum measure measure;
    const char *code;
    double degraded, invalid; /* strictly above */
} rows[] = {
    {M_LOST, "lost", 0, 0},
    {M_BACKWARDS, "clock", 0, 0},
    {M_WORKER, "worker-lost", 0, 0},
    {M_LATENESS, "lateness", 0, 1}, /* steps: see lateness_step */
    {M_EXPLAINED, "lateness-share", 0.01, 0.05},
    {M_TREND, "schedule-slips", 20, 200},
    {M_MISSED, "rate", 0.001, 0.005},
    {M_ARRIVALS, "arrivals", 0.01, 0.05},
    {M_STARVED, "trace-reading", 0.0001, 0.01},
    {M_STEAL, "steal", 0.01, 0.05},
    {M_THROTTLED, "throttled", 0.01, 0.05},
    {M_WORKED, "saturated", 0.7, 0.9},
    {M_CLIENT, "client-errors", 0, 0.0001},
    {M_STEP, "clock-step", 0.001, 1e9},
    {M_COVERAGE, "trace-coverage", 0.001, 1e9},
    {M_STOPPED, "interrupted", 0, 0},
};

#define DEGRADED_NS      (500 * CLK_US)
#define DEGRADED_SERVICE 0.05 /* of the p50 of the service time */
#define INVALID_NS       (2 * CLK_MS)
#define WAKE_UP_NS       (250 * CLK_US) /* an effect below this is not judged */
#define WAITED_TOLD      0.01 /* share of the run from which waiting is told */
#define INVALID_RESPONSE 0.10 /* of the p50 of the response time */

static double larger(double a, double b)
{
    return a > b ? a : b;
}

/* 0: fine, 1: beyond the bound of DEGRADED, 2: of INVALID. */
static double lateness_step(const struct rep_health_facts *f)
{
    double late = (double)f->generator_p99_ns;
    if (late > larger(INVALID_NS, INVALID_RESPONSE * (double)f->response_p50_ns))
        return 2;
    return late > larger(DEGRADED_NS, DEGRADED_SERVICE * (double)f->service_p50_ns);
}

static double ratio(double a, double b)
{
    return b > 0 ? a / b : 0;
}

/* What would be missing from the p99 of the response time, had we been punctual. */
static int64_t own_part(const struct rep_health_facts *f)
{
    return f->undelayed_p99_ns > 0 ? f->response_p99_ns - f->undelayed_p99_ns : 0;
}

static double measure(enum measure m, const struct rep_health_facts *f)
{
    switch (m) {
    case M_LATENESS:
        return lateness_step(f);
    case M_EXPLAINED:
        return own_part(f) <= WAKE_UP_NS
                   ? 0
                   : ratio((double)own_part(f), (double)f->response_p99_ns);
    case M_TREND:
        return f->trend_ppm;
    case M_MISSED:
        return f->offered > 0 ? 1 - f->achieved / f->offered : 0;
    case M_LOST:
        return f->outcomes < f->due ? (double)(f->due - f->outcomes) : 0;
    case M_STARVED:
        return ratio((double)f->starved_ns, (double)f->duration_ns);
    case M_STEAL:
        return f->steal_share;
    case M_THROTTLED:
        return ratio((double)f->throttled_ns, (double)f->duration_ns);
    case M_WORKED:
        return f->worked_share;
    case M_ARRIVALS:
        return f->gap_distance;
    case M_COVERAGE:
        return f->coverage_lack;
    case M_WORKER:
        return f->workers_lost;
    case M_BACKWARDS:
        return f->clock_backwards;
    case M_STEP:
        return (double)f->wall_step_ns / (double)CLK_SEC;
    case M_CLIENT:
        return ratio((double)f->client_errors, (double)f->due);
    case M_STOPPED:
        return f->interrupted;
    }
    return 0;
}

/* Why it was late, as far as the kernel can tell. */
static void describe_wait(const struct rep_health_facts *f, char *out, size_t size)
{
    char a[UNITS_TEXT_MAX], b[UNITS_TEXT_MAX];
    size_t n = strlen(out);
    snprintf(out + n, size - n, "; for %s of %s it stood in line for a processor",
             units_duration_text(f->waited_ns, a),
             units_duration_text(f->duration_ns, b));
}

static void describe(enum measure m, double v, const struct rep_health_facts *f,
                     char *out, size_t size)
{
    char a[UNITS_TEXT_MAX], b[UNITS_TEXT_MAX];
    switch (m) {
    case M_LATENESS:
        snprintf(out, size, "the generator was late by %s at p99",
                 units_duration_text(f->generator_p99_ns, a));
        if (ratio((double)f->waited_ns, (double)f->duration_ns) > WAITED_TOLD)
            describe_wait(f, out, size);
        break;
    case M_EXPLAINED:
        snprintf(out, size,
                 "the generator's lateness makes %.1f %% of the response time's p99: "
                 "%s with it, %s without",
                 100 * v, units_duration_text(f->response_p99_ns, a),
                 units_duration_text(f->undelayed_p99_ns, b));
        break;
    case M_TREND:
        snprintf(out, size, "the schedule slipped by %.0f ppm of the run time", v);
        break;
    case M_MISSED:
        snprintf(out, size, "%s was offered, %s achieved",
                 units_rate_text(f->offered, a), units_rate_text(f->achieved, b));
        break;
    case M_LOST:
        snprintf(out, size,
                 "%" PRIu64 " operations were due, %" PRIu64 " have outcomes", f->due,
                 f->outcomes);
        break;
    case M_STARVED:
        snprintf(out, size, "sending waited %s for the trace to be read",
                 units_duration_text(f->starved_ns, a));
        break;
    case M_STEAL:
        snprintf(out, size, "the hypervisor took %.1f %% of the processors' time",
                 100 * v);
        break;
    case M_THROTTLED:
        snprintf(out, size, "the CPU limit of its control group held it back for %s",
                 units_duration_text(f->throttled_ns, a));
        break;
    case M_WORKED:
        snprintf(out, size,
                 "a worker was busy for %.0f %% of the time: give more --workers",
                 100 * v);
        break;
    case M_ARRIVALS:
        snprintf(out, size,
                 "the gaps between sends are not those of the schedule: %.1f %% of "
                 "them are off",
                 100 * v);
        break;
    case M_COVERAGE:
        snprintf(out, size, "the trace lacks %.2f %% of what happened", 100 * v);
        break;
    case M_WORKER:
        snprintf(out, size, "%" PRIu32 " workers gave up", f->workers_lost);
        break;
    case M_BACKWARDS:
        snprintf(out, size, "the monotonic clock went backwards");
        break;
    case M_STEP:
        snprintf(out, size, "the wall clock was stepped by %s in all",
                 units_duration_text(f->wall_step_ns, a));
        break;
    case M_CLIENT:
        snprintf(out, size,
                 "%" PRIu64
                 " errors of this machine's own: ports, descriptors or memory",
                 f->client_errors);
        break;
    case M_STOPPED:
        snprintf(out, size, "the run was ended before the trace was");
        break;
    }
}

void rep_health_judge(const struct rep_health_facts *f, struct rep_health *h)
{
    *h = (struct rep_health){.verdict = REP_VALID};
    for (enum rep_verdict weight = REP_INVALID; weight > REP_VALID; weight--) {
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
            double v = measure(rows[i].measure, f);
            enum rep_verdict is = v > rows[i].invalid    ? REP_INVALID
                                  : v > rows[i].degraded ? REP_DEGRADED
                                                         : REP_VALID;
            if (is != weight || h->count == REP_CAUSES_MAX)
                continue;
            struct rep_cause *c = &h->causes[h->count++];
            c->weight = weight;
            c->code = rows[i].code;
            describe(rows[i].measure, v, f, c->text, sizeof c->text);
            if (weight > h->verdict)
                h->verdict = weight;
        }
    }
}

void rep_health_lines(const struct rep_health *h, struct buf *out)
{
    for (size_t i = 0; i < h->count; i++)
        buf_fmt(out, "%s%s %s: %s", i > 0 ? "\n" : "",
                rep_verdict_names[h->causes[i].weight], h->causes[i].code,
                h->causes[i].text);
}

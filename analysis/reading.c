/*
 * reading.c - see reading.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "analysis/reading.h"

#include <sched.h>
#include <string.h>
#include <sys/stat.h>

#include "analysis/rows.h"
#include "analysis/run_health.h"

/* --- the line ----------------------------------------------------------------------
 */

void ana_reading_init(struct ana_reading *r, bool quiet)
{
    *r = (struct ana_reading){.operations = 0};
    making_line_init(&r->line, "reading", quiet);
    pthread_mutex_init(&r->lock, NULL);
}

void ana_reading_expect(struct ana_reading *r, const char *const *paths, size_t n)
{
    struct stat st;
    for (size_t i = 0; i < n; i++)
        if (stat(paths[i], &st) == 0 && S_ISREG(st.st_mode))
            r->total_bytes += (uint64_t)st.st_size;
}

void ana_reading_add(struct ana_reading *r, uint64_t operations, uint64_t bytes)
{
    if (!r || !r->line.on)
        return;
    pthread_mutex_lock(&r->lock);
    r->operations += operations;
    r->bytes += bytes;
    making_line_draw(&r->line, r->operations,
                     r->total_bytes ? (double)r->bytes / (double)r->total_bytes : -1);
    pthread_mutex_unlock(&r->lock);
}

void ana_reading_done(struct ana_reading *r)
{
    making_line_clear(&r->line);
    pthread_mutex_destroy(&r->lock);
}

/* --- several runs ------------------------------------------------------------------
 */

struct work {
    struct ana_run *runs;
    const struct ana_group *const *groups;
    size_t n;
    const struct ana_scan_config *config;
    pthread_mutex_t lock; /* of what follows */
    size_t next;
    size_t failed; /* the least index of a run that failed; n: none */
    struct err error;
};

/* The next run to read; n when there is none, or one before it failed. */
static size_t take(struct work *w)
{
    pthread_mutex_lock(&w->lock);
    size_t i = w->failed < w->n ? w->n : w->next;
    w->next += i < w->n;
    pthread_mutex_unlock(&w->lock);
    return i;
}

static void fail(struct work *w, size_t i, const struct err *why)
{
    pthread_mutex_lock(&w->lock);
    if (i < w->failed) {
        w->failed = i;
        w->error = *why;
    }
    pthread_mutex_unlock(&w->lock);
}

static void *read_some(void *arg)
{
    struct work *w = arg;
    struct ana_slabs slabs = {0};
    struct ana_scan_config config = *w->config;
    config.slabs = &slabs;
    for (size_t i = take(w); i < w->n; i = take(w)) {
        struct err e = {0};
        const struct ana_group *g = w->groups[i];
        int rc = ana_scan_shards(&w->runs[i], g->paths, g->count, &config, &e);
        if (rc == 0)
            rc = ana_health_judge(&w->runs[i], &e);
        if (rc < 0)
            fail(w, i, &e);
    }
    ana_slabs_done(&slabs);
    return NULL;
}

static size_t readers_for(size_t n)
{
    cpu_set_t cores;
    size_t count = 1;
    if (sched_getaffinity(0, sizeof cores, &cores) == 0)
        count = (size_t)CPU_COUNT(&cores);
    count = count > ANA_READERS_MAX ? ANA_READERS_MAX : count;
    return count > n ? n : count;
}

int ana_read_runs(struct ana_run *runs, const struct ana_group *const *groups, size_t n,
                  const struct ana_scan_config *config, struct err *e)
{
    struct work w = {
        .runs = runs, .groups = groups, .n = n, .config = config, .failed = n};
    pthread_t threads[ANA_READERS_MAX];
    size_t wanted = readers_for(n), started = 0;

    pthread_mutex_init(&w.lock, NULL);
    /* This thread reads as well; a thread that cannot be had is one fewer. */
    while (started + 1 < wanted &&
           pthread_create(&threads[started], NULL, read_some, &w) == 0)
        started++;
    read_some(&w);
    for (size_t i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    pthread_mutex_destroy(&w.lock);
    if (w.failed == n)
        return 0;
    if (e && e->code == ERR_OK)
        *e = w.error;
    return w.error.code;
}

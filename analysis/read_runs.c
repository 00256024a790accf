/*
 * read_runs.c - see read_runs.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "analysis/read_runs.h"

#include <pthread.h>
#include <sched.h>

#include "analysis/rows.h"
#include "analysis/run_health.h"

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

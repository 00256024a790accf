/*
 * metrics.h - a run in progress, for Prometheus: a text page on an address of one's own
 * choice.
 *
 * The page is made of what the thread that writes outcomes knows, and is served by that
 * thread between two looks at the workers, never by one that sends. A server this small
 * takes GET and HEAD of /metrics, one request a connection, from at most
 * REP_METRICS_CLIENTS at a time; a request longer than REP_METRICS_HEAD_MAX bytes, or a
 * client slower than REP_METRICS_PATIENCE_NS, is turned away. There is no access
 * control: the address decides who can ask. One thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef REPLAY_METRICS_H
#define REPLAY_METRICS_H

#include "replay/health.h"
#include "replay/progress.h"
#include "replay/tally.h"

#define REP_METRICS_CLIENTS     8
#define REP_METRICS_HEAD_MAX    4096u
#define REP_METRICS_PATIENCE_NS (5 * CLK_SEC)

/* What a page tells of; all borrowed. */
struct rep_metrics_view {
    const char *tier;
    const struct rep_tally *tally;
    const struct rep_progress_counts *counts;
    const struct rep_health *health; /* so far */
    int64_t position_ns, span_ns;    /* in the schedule; span 0: unknown */
};
/* The page, in the text format 0.0.4 of Prometheus. */
void rep_metrics_page(const struct rep_metrics_view *v, struct buf *out);

struct rep_metrics;
/* Listens at "HOST:PORT", "[V6]:PORT" or ":PORT", which is loopback; the host is a
 * number, port 0 takes a free one. ERR_USAGE for what is no such address, ERR_IO for
 * one that is taken. */
int rep_metrics_open(struct rep_metrics **m, const char *address,
                     struct err *e) MUST_USE;
void rep_metrics_close(struct rep_metrics *m);                /* NULL is fine */
const char *rep_metrics_address(const struct rep_metrics *m); /* "127.0.0.1:9464" */

typedef void rep_metrics_fn(void *arg, struct buf *page);
/* Takes and answers what can be taken and answered at once; never waits. make is called
 * for each page that is asked for. */
void rep_metrics_serve(struct rep_metrics *m, int64_t now_ns, rep_metrics_fn *make,
                       void *arg);

#endif

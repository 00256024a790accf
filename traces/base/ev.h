/*
 * ev.h - one epoll loop: file descriptors, timers, a wake-up from other threads.
 *
 * A turn does, in this order: wait until a descriptor is ready, a timer is due or the
 * deadline comes; handlers of descriptors; timers that are due, in order of time; the
 * `after` hook (where engines flush once per turn). A handler may change or delete any
 * descriptor or timer, its own too: events already fetched for a deleted one are
 * skipped. A handler that blocks is a bug. One thread owns a loop; only ev_wake may be
 * called from another (it is async-signal-safe).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_BASE_EV_H
#define TRACES_BASE_EV_H

#include "traces/base/clk.h"
#include "traces/base/err.h"

#define EV_READ   1u
#define EV_WRITE  2u
#define EV_HANGUP 4u /* error or hang-up; always delivered */

struct ev;
struct ev_timer; /* handle of a pending timer; gone once it has fired or is cancelled */
typedef void ev_fd_fn(struct ev *ev, int fd, unsigned events, void *arg);
typedef void ev_timer_fn(struct ev *ev, void *arg);
typedef void ev_hook_fn(struct ev *ev, void *arg);

/* Both NULL-safe on free. new: NULL with ERR_IO or ERR_NOMEM in *e. clk is borrowed. */
struct ev *ev_new(const struct clk *clk, struct err *e);
void ev_free(struct ev *ev);

/* Watches fd level-triggered; the fd stays the caller's and must be removed before
 * close. */
int ev_add(struct ev *ev, int fd, unsigned events, ev_fd_fn *fn, void *arg,
           struct err *e) MUST_USE;
int ev_change(struct ev *ev, int fd, unsigned events, struct err *e) MUST_USE;
void ev_remove(struct ev *ev, int fd);

/* Calls fn once at or after `at`. NULL when out of memory. */
struct ev_timer *ev_timer_at(struct ev *ev, struct clk_mono at, ev_timer_fn *fn,
                             void *arg);
void ev_timer_cancel(struct ev *ev, struct ev_timer *t);

void ev_after(struct ev *ev, ev_hook_fn *fn, void *arg);
void ev_wake(struct ev *ev);

/* One turn that waits no longer than until `deadline` (in the past: poll only). The
 * number of handlers called, or ERR_IO. */
int ev_turn(struct ev *ev, struct clk_mono deadline, struct err *e) MUST_USE;
/* Whatever was ready by then has been handled. A loop that was held up (its process was
 * stopped, say) has not looked for so long, and what came meanwhile came in time. 0:
 * there was no turn yet. */
struct clk_mono ev_looked(const struct ev *ev);
/* Turns until ev_stop was called. */
int ev_run(struct ev *ev, struct err *e) MUST_USE;
void ev_stop(struct ev *ev);

struct clk_mono ev_now(const struct ev *ev); /* read afresh, not cached */

#endif

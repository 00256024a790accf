/*
 * ev.c - see ev.h.
 *
 * Two traps of an epoll loop, and how they are met here. A handler may remove a
 * descriptor whose event was fetched in the same turn, and the same number may even be
 * added again before that event's turn comes: every ev_add gives the number a new
 * generation, events carry the generation that they were fetched for, and those of
 * another are skipped. And a timer that re-arms itself for a time already past must not
 * keep the others from their turn: armed while timers run, it counts as due at the
 * start of that phase, behind all that were due before it, and is left for the next
 * turn.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/base/ev.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* The kernel gives what is ready in turn, so by then every descriptor had its own. */
#define EV_FULL_MAX   256 /* full batches after which all is taken for handled */
#define EV_BATCH      256 /* events fetched in one turn; what is left comes in the next */
#define EV_NOT_QUEUED SIZE_MAX

/* What epoll hands back instead of a descriptor of the caller's. */
#define OWN_WAKE  UINT64_MAX
#define OWN_TIMER (UINT64_MAX - 1)

struct watch {
    ev_fd_fn *fn; /* NULL: not watched */
    void *arg;
    uint32_t generation;
};

struct ev_timer {
    struct clk_mono at;
    uint64_t order; /* breaks ties: first armed, first called */
    ev_timer_fn *fn;
    void *arg;
    size_t place; /* in the heap, or EV_NOT_QUEUED */
    struct ev_timer *next_free;
};

struct ev {
    const struct clk *clk;
    int epoll_fd, wake_fd;
    int timer_fd;          /* -1 unless the kernel lacks epoll_pwait2 */
    struct watch *watches; /* by descriptor */
    size_t watch_count;
    struct ev_timer **heap; /* binary heap, the earliest first */
    size_t heap_count, heap_cap;
    struct ev_timer *free_timers;
    uint64_t next_order;
    bool in_turn, in_timers, stopping;
    struct clk_mono timers_now; /* while in_timers */
    struct clk_mono asked;      /* before the last wait, or the first of full_turns */
    struct clk_mono looked;     /* see ev_looked */
    unsigned full_turns;        /* in a row, whose batch was full: more may be ready */
    ev_hook_fn *after;
    void *after_arg;
    struct epoll_event events[EV_BATCH];
};

static int watch_own(struct ev *ev, int fd, uint64_t mark)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = mark};
    return epoll_ctl(ev->epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

struct ev *ev_new(const struct clk *clk, struct err *e)
{
    struct ev *ev = calloc(1, sizeof *ev);
    if (!ev) {
        err_set(e, ERR_NOMEM, "out of memory for an event loop");
        return NULL;
    }
    ev->clk = clk;
    ev->timer_fd = ev->wake_fd = -1;
    ev->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (ev->epoll_fd >= 0)
        ev->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (ev->wake_fd < 0 || watch_own(ev, ev->wake_fd, OWN_WAKE) < 0) {
        err_sys(e, errno, "cannot make an event loop");
        ev_free(ev);
        return NULL;
    }
    return ev;
}

void ev_free(struct ev *ev)
{
    if (!ev)
        return;
    assert(!ev->in_turn);
    int fds[] = {ev->timer_fd, ev->wake_fd, ev->epoll_fd};
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    for (size_t i = 0; i < ev->heap_count; i++)
        free(ev->heap[i]);
    for (struct ev_timer *t = ev->free_timers, *next; t; t = next) {
        next = t->next_free;
        free(t);
    }
    free(ev->heap);
    free(ev->watches);
    free(ev);
}

/* --- descriptors ---------------------------------------------------------- */

static struct watch *watch_of(const struct ev *ev, int fd)
{
    bool known = fd >= 0 && (size_t)fd < ev->watch_count && ev->watches[fd].fn;
    return known ? &ev->watches[fd] : NULL;
}

static bool make_room_for(struct ev *ev, int fd)
{
    size_t wanted = (size_t)fd + 1, count = ev->watch_count ? ev->watch_count : 64;
    if (wanted <= ev->watch_count)
        return true;
    while (count < wanted)
        count *= 2;
    struct watch *watches = realloc(ev->watches, count * sizeof *watches);
    if (!watches)
        return false;
    memset(watches + ev->watch_count, 0, (count - ev->watch_count) * sizeof *watches);
    ev->watches = watches;
    ev->watch_count = count;
    return true;
}

static int control(struct ev *ev, int op, int fd, unsigned events)
{
    struct epoll_event event = {
        .events =
            (events & EV_READ ? EPOLLIN : 0u) | (events & EV_WRITE ? EPOLLOUT : 0u),
        .data.u64 = (uint64_t)ev->watches[fd].generation << 32 | (uint32_t)fd,
    };
    return epoll_ctl(ev->epoll_fd, op, fd, &event);
}

int ev_add(struct ev *ev, int fd, unsigned events, ev_fd_fn *fn, void *arg,
           struct err *e)
{
    assert(fn);
    if (fd < 0)
        return err_sys(e, EBADF, "cannot watch descriptor %d", fd);
    if (watch_of(ev, fd))
        return err_sys(e, EEXIST, "cannot watch descriptor %d twice", fd);
    if (!make_room_for(ev, fd))
        return err_set(e, ERR_NOMEM, "out of memory for descriptor %d", fd);
    struct watch *w = &ev->watches[fd];
    w->generation = (w->generation + 1) & 0x7fffffff; /* never one of our own marks */
    if (control(ev, EPOLL_CTL_ADD, fd, events) < 0)
        return err_sys(e, errno, "cannot watch descriptor %d", fd);
    w->fn = fn;
    w->arg = arg;
    return 0;
}

int ev_change(struct ev *ev, int fd, unsigned events, struct err *e)
{
    if (!watch_of(ev, fd))
        return err_sys(e, ENOENT, "descriptor %d is not watched", fd);
    if (control(ev, EPOLL_CTL_MOD, fd, events) < 0)
        return err_sys(e, errno, "cannot change what descriptor %d is watched for", fd);
    return 0;
}

void ev_remove(struct ev *ev, int fd)
{
    struct watch *w = watch_of(ev, fd);
    if (!w)
        return;
    epoll_ctl(ev->epoll_fd, EPOLL_CTL_DEL, fd,
              NULL); /* fails only if closed: gone too */
    w->fn = NULL;
}

static int dispatch(struct ev *ev, int count)
{
    int called = 0;
    for (int i = 0; i < count; i++) {
        uint32_t bits = ev->events[i].events;
        uint64_t mark = ev->events[i].data.u64;
        if (mark == OWN_WAKE || mark == OWN_TIMER) {
            uint64_t drained;
            ssize_t n = read(mark == OWN_WAKE ? ev->wake_fd : ev->timer_fd, &drained,
                             sizeof drained);
            (void)n; /* empty already: as good as drained */
            continue;
        }
        int fd = (int)(uint32_t)mark;
        struct watch *w = watch_of(ev, fd);
        if (!w || w->generation != (uint32_t)(mark >> 32))
            continue; /* removed, and maybe added anew, earlier in this turn */
        unsigned events = (bits & EPOLLIN ? EV_READ : 0) |
                          (bits & EPOLLOUT ? EV_WRITE : 0) |
                          (bits & (EPOLLERR | EPOLLHUP) ? EV_HANGUP : 0);
        w->fn(ev, fd, events, w->arg);
        called++;
    }
    return called;
}

/* --- timers --------------------------------------------------------------- */

static bool earlier(const struct ev_timer *a, const struct ev_timer *b)
{
    return a->at.ns != b->at.ns ? a->at.ns < b->at.ns : a->order < b->order;
}

static void put(struct ev *ev, size_t place, struct ev_timer *t)
{
    ev->heap[place] = t;
    t->place = place;
}

static void sift_up(struct ev *ev, struct ev_timer *t)
{
    size_t place = t->place;
    while (place > 0 && earlier(t, ev->heap[(place - 1) / 2])) {
        put(ev, place, ev->heap[(place - 1) / 2]);
        place = (place - 1) / 2;
    }
    put(ev, place, t);
}

static void sift_down(struct ev *ev, struct ev_timer *t)
{
    size_t place = t->place;
    for (;;) {
        size_t child = 2 * place + 1;
        if (child + 1 < ev->heap_count && earlier(ev->heap[child + 1], ev->heap[child]))
            child++;
        if (child >= ev->heap_count || !earlier(ev->heap[child], t))
            break;
        put(ev, place, ev->heap[child]);
        place = child;
    }
    put(ev, place, t);
}

static struct ev_timer *timer_alloc(struct ev *ev)
{
    if (ev->heap_count == ev->heap_cap) {
        size_t cap = ev->heap_cap ? ev->heap_cap * 2 : 16;
        struct ev_timer **heap = realloc(ev->heap, cap * sizeof(*heap));
        if (!heap)
            return NULL;
        ev->heap = heap;
        ev->heap_cap = cap;
    }
    struct ev_timer *t = ev->free_timers;
    if (t)
        ev->free_timers = t->next_free;
    else
        t = malloc(sizeof *t);
    return t;
}

struct ev_timer *ev_timer_at(struct ev *ev, struct clk_mono at, ev_timer_fn *fn,
                             void *arg)
{
    assert(fn);
    struct ev_timer *t = timer_alloc(ev);
    if (!t)
        return NULL;
    if (ev->in_timers && at.ns < ev->timers_now.ns)
        at = ev->timers_now;
    *t = (struct ev_timer){.at = at,
                           .order = ev->next_order++,
                           .fn = fn,
                           .arg = arg,
                           .place = ev->heap_count++};
    sift_up(ev, t);
    return t;
}

void ev_timer_cancel(struct ev *ev, struct ev_timer *t)
{
    if (!t)
        return;
    assert(t->place != EV_NOT_QUEUED && "the timer has fired or was cancelled before");
    struct ev_timer *last = ev->heap[--ev->heap_count];
    if (last != t) {
        last->place = t->place;
        sift_up(ev, last);
        sift_down(ev, last);
    }
    t->place = EV_NOT_QUEUED;
    t->next_free = ev->free_timers;
    ev->free_timers = t;
}

static int run_timers(struct ev *ev)
{
    int called = 0;
    if (ev->heap_count == 0)
        return 0;
    uint64_t newest =
        ev->next_order; /* those armed from now on wait for the next turn */
    ev->timers_now = clk_mono_now(ev->clk);
    ev->in_timers = true;
    while (ev->heap_count > 0) {
        struct ev_timer *t = ev->heap[0];
        if (t->at.ns > ev->timers_now.ns || t->order >= newest)
            break;
        ev_timer_fn *fn = t->fn;
        void *arg = t->arg;
        ev_timer_cancel(ev, t);
        fn(ev, arg);
        called++;
    }
    ev->in_timers = false;
    return called;
}

/* --- the loop ------------------------------------------------------------- */

void ev_after(struct ev *ev, ev_hook_fn *fn, void *arg)
{
    ev->after = fn;
    ev->after_arg = arg;
}

void ev_wake(struct ev *ev)
{
    int saved = errno;
    ssize_t n;
    do
        n = write(ev->wake_fd, &(uint64_t){1}, sizeof(uint64_t));
    while (n < 0 &&
           errno == EINTR); /* EAGAIN: more wake-ups pending than it can count */
    errno = saved;
}

/* For kernels before 5.11: a timerfd in the same epoll set gives the same precision. */
static int wait_by_timerfd(struct ev *ev, int64_t wait_ns)
{
    if (ev->timer_fd < 0) {
        ev->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
        if (ev->timer_fd < 0 || watch_own(ev, ev->timer_fd, OWN_TIMER) < 0)
            return -1;
    }
    struct itimerspec when = {
        .it_value = {.tv_sec = wait_ns / CLK_SEC, .tv_nsec = wait_ns % CLK_SEC}};
    if (timerfd_settime(ev->timer_fd, 0, &when, NULL) < 0)
        return -1;
    return epoll_wait(ev->epoll_fd, ev->events, EV_BATCH, -1);
}

/* wait_ns < 0 waits for ever. The number of events, or -1 with errno. */
static int wait_for_events(struct ev *ev, int64_t wait_ns)
{
    if (wait_ns <= 0)
        return epoll_wait(ev->epoll_fd, ev->events, EV_BATCH, wait_ns < 0 ? -1 : 0);
    if (ev->timer_fd < 0) {
        struct timespec ts = {.tv_sec = wait_ns / CLK_SEC,
                              .tv_nsec = wait_ns % CLK_SEC};
        int n = epoll_pwait2(ev->epoll_fd, ev->events, EV_BATCH, &ts, NULL);
        if (n >= 0 || (errno != ENOSYS && errno != EPERM))
            return n;
    }
    return wait_by_timerfd(ev, wait_ns);
}

/* A turn handled so many events; negative: a signal came instead. */
static void note_look(struct ev *ev, int count)
{
    ev->full_turns = count == EV_BATCH ? ev->full_turns + 1 : 0;
    if (count < 0 || (ev->full_turns > 0 && ev->full_turns < EV_FULL_MAX))
        return;
    ev->looked = ev->asked;
    ev->full_turns = 0;
}

int ev_turn(struct ev *ev, struct clk_mono deadline, struct err *e)
{
    assert(!ev->in_turn && "a handler must not turn its own loop");
    if (ev->heap_count > 0 && ev->heap[0]->at.ns < deadline.ns)
        deadline = ev->heap[0]->at;
    int64_t wait_ns = -1;
    struct clk_mono now = clk_mono_now(ev->clk);
    if (ev->full_turns == 0)
        ev->asked = now;
    if (deadline.ns != INT64_MAX) {
        wait_ns = deadline.ns > now.ns ? clk_mono_diff(deadline, now) : 0;
        if (wait_ns > 0 && clk_passes(ev->clk, deadline))
            wait_ns = 0;
    }
    int count = wait_for_events(ev, wait_ns);
    if (count < 0 && errno != EINTR)
        return err_sys(e, errno, "cannot wait for events");
    ev->in_turn = true;
    int called = dispatch(ev, count);
    note_look(ev, count);
    called += run_timers(ev);
    if (ev->after)
        ev->after(ev, ev->after_arg);
    ev->in_turn = false;
    return called;
}

struct clk_mono ev_looked(const struct ev *ev)
{
    return ev->looked;
}

int ev_run(struct ev *ev, struct err *e)
{
    while (!ev->stopping) {
        int rc = ev_turn(ev, (struct clk_mono){INT64_MAX}, e);
        if (rc < 0)
            return rc;
    }
    ev->stopping = false;
    return 0;
}

void ev_stop(struct ev *ev)
{
    ev->stopping = true;
}

struct clk_mono ev_now(const struct ev *ev)
{
    return clk_mono_now(ev->clk);
}

/*
 * share.c - see share.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replay/share.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Ignored where nobody handles it, so that a late one does no harm. */
#define SIGNAL SIGURG

/* struct sched_attr in the first version of the kernel's interface (48 bytes), which no
 * header of the C library declares in all of its versions. */
struct slice_attr {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime_ns, deadline_ns, period_ns;
};

/* Of a helper's thread. Invariant: while the handler may run and `works` is set, the
 * thread itself changes nothing else. */
static _Thread_local struct helper {
    struct rep_share *share; /* NULL: it is none */
    timer_t timer;
    bool timed;
    int nice_before;
    volatile sig_atomic_t works;
} helper;

bool rep_share_crowded(uint32_t workers)
{
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) == 0 &&
           (uint32_t)CPU_COUNT(&set) <= workers;
}

static bool read_attr(struct slice_attr *a)
{
    *a = (struct slice_attr){.size = sizeof *a};
    return syscall(SYS_sched_getattr, 0, a, sizeof *a, 0) == 0;
}

int64_t rep_share_hurry(void)
{
    struct slice_attr a;
    if (!read_attr(&a) || a.policy != SCHED_OTHER)
        return 0;
    a.runtime_ns = REP_SHARE_SLICE_NS;
    if (syscall(SYS_sched_setattr, 0, &a, 0) != 0)
        return 0;
    /* A kernel that knows of slices tells the one that it set; others tell none. */
    return read_attr(&a) && a.runtime_ns == REP_SHARE_SLICE_NS ? REP_SHARE_SLICE_NS : 0;
}

/* --- helpers ---------------------------------------------------------------------- */

static void set_timer(int64_t ns)
{
    if (helper.timed)
        timer_settime(helper.timer, 0, &(struct itimerspec){.it_value.tv_nsec = ns},
                      NULL);
}

/* The handler: only what is async-signal-safe. */
static void rest(int number)
{
    int saved = errno;
    (void)number;
    if (helper.works) {
        nanosleep(&(struct timespec){.tv_nsec = REP_SHARE_REST_NS}, NULL);
        set_timer(REP_SHARE_BITE_NS);
    }
    errno = saved;
}

static bool make_timer(void)
{
    struct sigaction action = {.sa_handler = rest, .sa_flags = SA_RESTART};
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGNAL};
    sigset_t ours;

    event._sigev_un._tid = gettid();
    sigfillset(&action.sa_mask);
    sigemptyset(&ours);
    sigaddset(&ours, SIGNAL);
    return sigaction(SIGNAL, &action, NULL) == 0 &&
           pthread_sigmask(SIG_UNBLOCK, &ours, NULL) == 0 &&
           timer_create(CLOCK_MONOTONIC, &event, &helper.timer) == 0;
}

void rep_share_join(struct rep_share *s)
{
    if (!s || !s->crowded)
        return;
    id_t self = (id_t)gettid();
    helper =
        (struct helper){.share = s, .nice_before = getpriority(PRIO_PROCESS, self)};
    /* Else a rest is three times as long as it should be. */
    prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
    int sys = setpriority(PRIO_PROCESS, self, helper.nice_before + REP_SHARE_NICE);
    helper.timed = make_timer();
    if (sys != 0 || !helper.timed)
        atomic_store(&s->refused, true);
}

void rep_share_work(bool has)
{
    if (!helper.share || (helper.works != 0) == has)
        return;
    if (has) {
        atomic_fetch_add(&helper.share->working, 1);
        helper.works = 1;
        set_timer(REP_SHARE_BITE_NS);
    } else {
        helper.works = 0;
        set_timer(0);
        atomic_fetch_sub(&helper.share->working, 1);
    }
}

void rep_share_leave(void)
{
    if (!helper.share)
        return;
    rep_share_work(false);
    if (helper.timed)
        timer_delete(helper.timer);
    /* Not every user may go back: then what is left of this thread's work gives way,
     * too. */
    setpriority(PRIO_PROCESS, (id_t)gettid(), helper.nice_before);
    prctl(PR_SET_TIMERSLACK, 0UL, 0UL, 0UL, 0UL);
    helper = (struct helper){0};
}

/*
 * test_share.c - helpers give way, and only where they have to.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/check.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "replay/share.h"

#define RESTS 20

static int own_nice(void)
{
    return getpriority(PRIO_PROCESS, (id_t)gettid());
}

static long sleeps_so_far(void)
{
    struct rusage use;
    assert_int_equal(getrusage(RUSAGE_THREAD, &use), 0);
    return use.ru_nvcsw;
}

static int64_t thread_cpu_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (int64_t)ts.tv_sec * CLK_SEC + ts.tv_nsec;
}

/* Timers of this process, where the kernel lists them. */
static bool can_list_timers(void)
{
    return access("/proc/self/timers", R_OK) == 0;
}

static int timers(void)
{
    char line[256];
    int n = 0;
    FILE *f = fopen("/proc/self/timers", "r");
    while (f && fgets(line, sizeof line, f))
        n += strncmp(line, "ID:", 3) == 0;
    if (f)
        fclose(f);
    return n;
}

/* Each test has a thread of its own, for not every user may undo a lower priority. */
static void in_a_thread(void *(*fn)(void *), void *arg)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, fn, arg), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void *work_until_rested(void *arg)
{
    struct rep_share *s = arg;
    int before = own_nice(), slack = prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0);
    sigset_t urgent;

    sigemptyset(&urgent); /* blocked by whoever began the thread */
    sigaddset(&urgent, SIGURG);
    assert_int_equal(pthread_sigmask(SIG_BLOCK, &urgent, NULL), 0);
    rep_share_join(s);
    check_int(prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0), ==, 1);
    check_int(timers(), ==, can_list_timers());
    check_int(own_nice(), ==,
              before + REP_SHARE_NICE > 19 ? 19 : before + REP_SHARE_NICE);
    check_int(atomic_load(&s->working), ==, 0);
    rep_share_work(true);
    rep_share_work(true);
    check_int(atomic_load(&s->working), ==, 1);
    /* Nothing here sleeps but for the rests. */
    long sleeps = sleeps_so_far();
    while (sleeps_so_far() < sleeps + RESTS)
        (void)
            thread_cpu_ns(); /* ThreadSanitizer lets signals in where libc is called */
    rep_share_work(false);
    rep_share_work(false);
    check_int(atomic_load(&s->working), ==, 0);
    rep_share_leave();
    check_int(prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0), ==, slack);
    check_int(timers(), ==, 0);
    int after = own_nice(); /* as before, for who may go back */
    if (setpriority(PRIO_PROCESS, (id_t)gettid(), before) == 0)
        check_int(after, ==, before);
    /* It is no helper any more. */
    rep_share_work(true);
    check_int(atomic_load(&s->working), ==, 0);
    rep_share_leave();
    return NULL;
}

static void a_helper_rests_again_and_again_while_it_works(void **state)
{
    struct rep_share s = {.crowded = true};
    (void)state;
    in_a_thread(work_until_rested, &s);
    check_true(!atomic_load(&s.refused));
}

/* As long as two hundred bites: whether there were rests between them. A few sleeps may
 * be the kernel's, which makes any thread wait now and then. */
static bool rests_in_a_busy_while(void)
{
    long before = sleeps_so_far();
    for (int64_t from = thread_cpu_ns();
         thread_cpu_ns() - from < 200 * REP_SHARE_BITE_NS;)
        ;
    return sleeps_so_far() - before >= RESTS;
}

static void *be_busy_without_work(void *arg)
{
    rep_share_join(arg);
    rep_share_work(true);
    rep_share_work(false);
    bool while_idle = rests_in_a_busy_while();
    rep_share_work(true);
    rep_share_leave();
    check_true(!while_idle);
    check_true(!rests_in_a_busy_while());
    return NULL;
}

static void one_without_work_or_that_left_is_not_interrupted(void **state)
{
    struct rep_share s = {.crowded = true};
    (void)state;
    in_a_thread(be_busy_without_work, &s);
    check_int(atomic_load(&s.working), ==, 0);
}

static void *help_with_room(void *arg)
{
    int before = own_nice();
    rep_share_join(arg);
    rep_share_work(true);
    check_int(own_nice(), ==, before);
    check_true(!rests_in_a_busy_while());
    check_true(!rep_share_wanted(arg));
    rep_share_work(false);
    rep_share_leave();
    return NULL;
}

static void where_there_are_processors_enough_nobody_gives_way(void **state)
{
    struct rep_share s = {0};
    (void)state;
    in_a_thread(help_with_room, &s);
    in_a_thread(help_with_room, NULL);
}

/* What is read comes after many rests, all of which interrupt the system call. */
struct line {
    struct rep_share share;
    int ends[2];
};

static void *read_slow_line(void *arg)
{
    struct line *l = arg;
    char got = 0;

    rep_share_join(&l->share);
    rep_share_work(true);
    ssize_t n = read(l->ends[0], &got, 1);
    rep_share_leave();
    check_int(n, ==, 1);
    check_int(got, ==, 'x');
    return NULL;
}

static void a_system_call_that_a_rest_interrupts_goes_on(void **state)
{
    struct line l = {.share.crowded = true};
    pthread_t reader;
    (void)state;
    assert_int_equal(pipe(l.ends), 0);
    assert_int_equal(pthread_create(&reader, NULL, read_slow_line, &l), 0);
    while (!rep_share_wanted(&l.share))
        nanosleep(&(struct timespec){.tv_nsec = CLK_MS}, NULL);
    nanosleep(&(struct timespec){.tv_nsec = 20 * CLK_MS}, NULL);
    assert_int_equal(write(l.ends[1], "x", 1), 1);
    assert_int_equal(pthread_join(reader, NULL), 0);
    close(l.ends[0]);
    close(l.ends[1]);
}

static void *help_without_a_timer(void *arg)
{
    struct rep_share *s = arg;
    struct rlimit before, none;
    assert_int_equal(getrlimit(RLIMIT_SIGPENDING, &before), 0);
    none = before;
    none.rlim_cur = 0; /* a timer needs a signal that may be pending */
    assert_int_equal(setrlimit(RLIMIT_SIGPENDING, &none), 0);
    rep_share_join(s);
    assert_int_equal(setrlimit(RLIMIT_SIGPENDING, &before), 0);
    rep_share_work(true);
    check_int(atomic_load(&s->working), ==, 1);
    check_true(!rests_in_a_busy_while());
    rep_share_leave();
    check_int(atomic_load(&s->working), ==, 0);
    return NULL;
}

static void a_helper_that_gets_no_timer_says_so_and_helps(void **state)
{
    struct rep_share s = {.crowded = true};
    (void)state;
    in_a_thread(help_without_a_timer, &s);
    check_true(atomic_load(&s.refused));
}

static void *hurry_as_a_batch(void *arg)
{
    struct sched_param param = {0};
    assert_int_equal(sched_setscheduler(0, SCHED_BATCH, &param), 0);
    *(int64_t *)arg = rep_share_hurry();
    check_int(sched_getscheduler(0), ==, SCHED_BATCH);
    return NULL;
}

static void a_thread_of_another_policy_is_left_alone(void **state)
{
    int64_t slice = -1;
    (void)state;
    in_a_thread(hurry_as_a_batch, &slice);
    check_int(slice, ==, 0);
}

static void *look_around_on_one_processor(void *arg)
{
    cpu_set_t all, one;
    (void)arg;
    assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
    CPU_ZERO(&one);
    for (size_t i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; i++)
        if (CPU_ISSET(i, &all))
            CPU_SET(i, &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    check_true(rep_share_crowded(1));
    check_true(rep_share_crowded(2));
    check_true(!rep_share_crowded(0));
    return NULL;
}

static void what_this_process_may_run_on_says_whether_it_is_crowded(void **state)
{
    (void)state;
    in_a_thread(look_around_on_one_processor, NULL);
}

static void *hurry(void *arg)
{
    int before = own_nice();
    *(int64_t *)arg = rep_share_hurry();
    check_int(own_nice(), ==, before);
    check_int(sched_getscheduler(0), ==, SCHED_OTHER);
    return NULL;
}

/* Since Linux 6.12. */
static bool kernel_has_slices(void)
{
    struct utsname u;
    int major = 0, minor = 0;
    assert_int_equal(uname(&u), 0);
    assert_int_equal(sscanf(u.release, "%d.%d", &major, &minor), 2);
    return major > 6 || (major == 6 && minor >= 12);
}

static void a_slice_is_the_one_asked_for_or_none_and_changes_nothing_else(void **state)
{
    int64_t slice = -1;
    (void)state;
    in_a_thread(hurry, &slice);
    check_int(slice, ==, kernel_has_slices() ? REP_SHARE_SLICE_NS : 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_helper_rests_again_and_again_while_it_works),
        cmocka_unit_test(one_without_work_or_that_left_is_not_interrupted),
        cmocka_unit_test(where_there_are_processors_enough_nobody_gives_way),
        cmocka_unit_test(a_system_call_that_a_rest_interrupts_goes_on),
        cmocka_unit_test(a_helper_that_gets_no_timer_says_so_and_helps),
        cmocka_unit_test(a_thread_of_another_policy_is_left_alone),
        cmocka_unit_test(what_this_process_may_run_on_says_whether_it_is_crowded),
        cmocka_unit_test(a_slice_is_the_one_asked_for_or_none_and_changes_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

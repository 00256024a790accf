/*
 * test_ev.c - the order of a turn, and everything that a handler may do to the loop.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/check.h"
#include "traces/base/ev.h"
#include "traces/base/rng.h"

/* What handlers did, in order. */
static char journal[256];

static void note(const char *what)
{
    strncat(journal, what, sizeof journal - strlen(journal) - 1);
}

static int start(void **state)
{
    journal[0] = '\0';
    *state = ev_new(clk_system(), NULL);
    return *state ? 0 : -1;
}

static int stop(void **state)
{
    ev_free(*state);
    return 0;
}

static void journal_timer(struct ev *ev, void *arg)
{
    (void)ev;
    note(arg);
}

static char *letter(char c)
{
    static char letters[26][2];
    letters[c - 'a'][0] = c;
    return letters[c - 'a'];
}

static struct clk_mono in(struct ev *ev, int64_t ns)
{
    return clk_mono_add(ev_now(ev), ns);
}

/* A turn that only polls. */
static int poll_turn(struct ev *ev)
{
    struct err e = {0};
    int rc = ev_turn(ev, (struct clk_mono){0}, &e);
    check_ok(rc, &e);
    return rc;
}

/* --- timers --------------------------------------------------------------- */

static void timers_fire_in_order_of_time_then_of_arming(void **state)
{
    struct ev *ev = *state;
    struct clk_mono now = ev_now(ev);
    ev_timer_at(ev, clk_mono_add(now, -10), journal_timer, letter('c'));
    ev_timer_at(ev, clk_mono_add(now, -30), journal_timer, letter('a'));
    ev_timer_at(ev, clk_mono_add(now, -10), journal_timer, letter('d'));
    ev_timer_at(ev, clk_mono_add(now, -20), journal_timer, letter('b'));
    ev_timer_at(ev, clk_mono_add(now, 3600 * CLK_SEC), journal_timer, letter('z'));
    check_int(poll_turn(ev), ==, 4);
    check_str(journal, "abcd");
    check_int(poll_turn(ev), ==, 0);
}

static void check_later(struct ev *ev, void *arg)
{
    int64_t **slot = arg; /* [0] the moment it was armed for, [1] the one before */
    (void)ev;
    check_int(*slot[0], >=, *slot[1]);
    *slot[1] = *slot[0];
}

static void a_thousand_timers_with_cancellations_keep_their_order(void **state)
{
    (void)state;
    enum { COUNT = 1000 };
    static int64_t at[COUNT], last;
    static int64_t *slots[COUNT][2];
    static struct ev_timer *timers[COUNT];
    struct clk_hand *h = clk_hand_new((struct clk_mono){0}, (struct clk_wall){0});
    struct ev *ev = ev_new(clk_hand_clk(h), NULL);
    struct rng r;
    rng_init(&r, 17);
    last = 0;
    for (int i = 0; i < COUNT; i++) {
        at[i] = (int64_t)rng_below(&r, 500) + 1;
        slots[i][0] = &at[i];
        slots[i][1] = &last;
        timers[i] = ev_timer_at(ev, (struct clk_mono){at[i]}, check_later, slots[i]);
        assert_non_null(timers[i]);
    }
    int cancelled = 0;
    for (int i = 0; i < COUNT; i++)
        if (rng_below(&r, 3) == 0) {
            ev_timer_cancel(ev, timers[i]);
            cancelled++;
        }
    ev_timer_cancel(ev, NULL);
    int called = 0, turns = 0;
    for (; called < COUNT - cancelled; turns++) {
        called += poll_turn(ev);
        clk_hand_advance(h, 1);
    }
    check_int(called, ==, COUNT - cancelled);
    check_int(turns, >, 400); /* each at its own nanosecond, none early */
    ev_free(ev);
    clk_hand_free(h);
}

static struct ev_timer *victim;

static void cancel_victim(struct ev *ev, void *arg)
{
    note(arg);
    ev_timer_cancel(ev, victim);
}

static void a_handler_may_cancel_a_timer_that_is_due(void **state)
{
    struct ev *ev = *state;
    struct clk_mono now = ev_now(ev);
    ev_timer_at(ev, clk_mono_add(now, -3), cancel_victim, letter('a'));
    victim = ev_timer_at(ev, clk_mono_add(now, -2), journal_timer, letter('b'));
    ev_timer_at(ev, clk_mono_add(now, -1), journal_timer, letter('c'));
    check_int(poll_turn(ev), ==, 2);
    check_str(journal, "ac");
}

static void rearm_in_the_past(struct ev *ev, void *arg)
{
    note(arg);
    assert_non_null(ev_timer_at(ev, (struct clk_mono){1}, rearm_in_the_past, arg));
}

static void a_timer_that_rearms_for_the_past_starves_no_other(void **state)
{
    struct ev *ev = *state;
    ev_timer_at(ev, (struct clk_mono){1}, rearm_in_the_past, letter('a'));
    ev_timer_at(ev, (struct clk_mono){2}, journal_timer, letter('b'));
    check_int(poll_turn(ev), ==, 2);
    check_str(journal, "ab");
    check_int(poll_turn(ev), ==, 1); /* once a turn */
    check_str(journal, "aba");
}

static void a_turn_waits_for_its_timer_and_never_calls_it_early(void **state)
{
    struct ev *ev = *state;
    struct err e = {0};
    for (int64_t wait = 1; wait < 3 * CLK_MS; wait = wait * 7 + 1) {
        journal[0] = '\0';
        struct clk_mono at = in(ev, wait);
        assert_non_null(ev_timer_at(ev, at, journal_timer, letter('t')));
        while (journal[0] == '\0')
            check_ok(ev_turn(ev, (struct clk_mono){INT64_MAX}, &e), &e);
        check_int(clk_mono_diff(ev_now(ev), at), >=, 0);
    }
}

static void a_turn_ends_at_its_deadline(void **state)
{
    struct ev *ev = *state;
    struct err e = {0};
    ev_timer_at(ev, in(ev, 3600 * CLK_SEC), journal_timer, letter('z'));
    struct clk_mono deadline = in(ev, 2 * CLK_MS);
    check_int(ev_turn(ev, deadline, &e), ==, 0);
    check_int(clk_mono_diff(ev_now(ev), deadline), >=, 0);
    check_str(journal, "");
}

/* --- descriptors ---------------------------------------------------------- */

static int pipe_read, pipe_write, other_read, other_write;

static void open_pipes(void)
{
    int ends[2];
    check_int(pipe2(ends, O_NONBLOCK | O_CLOEXEC), ==, 0);
    pipe_read = ends[0];
    pipe_write = ends[1];
    check_int(pipe2(ends, O_NONBLOCK | O_CLOEXEC), ==, 0);
    other_read = ends[0];
    other_write = ends[1];
}

static void close_pipes(void)
{
    close(pipe_read);
    close(pipe_write);
    close(other_read);
    close(other_write);
}

static void journal_fd(struct ev *ev, int fd, unsigned events, void *arg)
{
    (void)ev;
    (void)fd;
    note(arg);
    note(events & EV_READ ? "r" : "");
    note(events & EV_WRITE ? "w" : "");
    note(events & EV_HANGUP ? "h" : "");
}

static void descriptors_are_watched_for_what_was_asked(void **state)
{
    struct ev *ev = *state;
    struct err e = {0};
    open_pipes();
    check_ok(ev_add(ev, pipe_read, EV_READ, journal_fd, letter('p'), &e), &e);
    check_int(poll_turn(ev), ==, 0);
    check_int(write(pipe_write, "x", 1), ==, 1);
    check_int(poll_turn(ev), ==, 1);
    check_int(poll_turn(ev), ==, 1); /* level-triggered */
    check_str(journal, "prpr");
    check_ok(ev_change(ev, pipe_read, 0, &e), &e);
    check_int(poll_turn(ev), ==, 0);
    check_ok(ev_add(ev, pipe_write, EV_WRITE, journal_fd, letter('q'), &e), &e);
    check_int(poll_turn(ev), ==, 1);
    check_str(journal, "prprqw");
    ev_remove(ev, pipe_write);
    close(pipe_write);
    pipe_write = -1;
    check_int(poll_turn(ev), ==, 1); /* a hang-up is delivered unasked */
    check_str(journal, "prprqwph");
    ev_remove(ev, pipe_read);
    ev_remove(ev, pipe_read); /* twice is once */
    ev_remove(ev, -1);
    ev_remove(ev, 100000);
    check_int(poll_turn(ev), ==, 0);
    close_pipes();
}

static void faults_of_descriptors_are_errors(void **state)
{
    struct ev *ev = *state;
    struct err e = {0};
    open_pipes();
    check_int(ev_add(ev, -1, EV_READ, journal_fd, NULL, &e), ==, ERR_IO);
    check_int(e.sys, ==, EBADF);
    err_clear(&e);
    check_int(ev_add(ev, 99999, EV_READ, journal_fd, NULL, &e), ==, ERR_IO);
    check_str_has(e.text, "cannot watch descriptor 99999: Bad file descriptor");
    err_clear(&e);
    check_ok(ev_add(ev, pipe_read, EV_READ, journal_fd, letter('p'), &e), &e);
    check_int(ev_add(ev, pipe_read, EV_READ, journal_fd, NULL, &e), ==, ERR_IO);
    check_str_has(e.text, "twice");
    err_clear(&e);
    check_int(ev_change(ev, other_read, EV_READ, &e), ==, ERR_IO);
    check_str_has(e.text, "not watched");
    err_clear(&e);
    int fd = open("/proc/self/exe", O_RDONLY); /* epoll refuses plain files */
    check_int(ev_add(ev, fd, EV_READ, journal_fd, NULL, &e), ==, ERR_IO);
    check_int(e.sys, ==, EPERM);
    close(fd);
    ev_remove(ev, pipe_read);
    close_pipes();
}

/* Whichever of the two runs first removes the other, whose event is fetched already. */
static void remove_the_other(struct ev *ev, int fd, unsigned events, void *arg)
{
    (void)events;
    note(arg);
    ev_remove(ev, fd == pipe_read ? other_read : pipe_read);
}

static void an_event_fetched_for_a_removed_descriptor_is_skipped(void **state)
{
    struct ev *ev = *state;
    struct err e = {0};
    open_pipes();
    check_ok(ev_add(ev, pipe_read, EV_READ, remove_the_other, letter('x'), &e), &e);
    check_ok(ev_add(ev, other_read, EV_READ, remove_the_other, letter('x'), &e), &e);
    check_int(write(pipe_write, "x", 1), ==, 1);
    check_int(write(other_write, "x", 1), ==, 1);
    check_int(poll_turn(ev), ==, 1);
    check_str(journal, "x");
    check_int(poll_turn(ev), ==, 1); /* the first one is still watched */
    ev_remove(ev, pipe_read);
    ev_remove(ev, other_read);
    close_pipes();
}

/* Removes and closes the other, and opens and adds another pipe under the same number.
 */
static void replace_the_other(struct ev *ev, int fd, unsigned events, void *arg)
{
    (void)events;
    note(arg);
    int gone = fd == pipe_read ? other_read : pipe_read;
    int fresh[2];
    ev_remove(ev, gone);
    check_int(pipe2(fresh, O_NONBLOCK | O_CLOEXEC), ==, 0);
    check_int(dup2(fresh[0], gone), ==, gone); /* closes what was there */
    close(fresh[0]);
    close(fresh[1]);
    check_int(ev_add(ev, gone, EV_READ, journal_fd, letter('n'), NULL), ==, 0);
}

static void a_descriptor_added_anew_gets_no_event_of_its_predecessor(void **state)
{
    struct ev *ev = *state;
    struct err e = {0};
    open_pipes();
    check_ok(ev_add(ev, pipe_read, EV_READ, replace_the_other, letter('x'), &e), &e);
    check_ok(ev_add(ev, other_read, EV_READ, replace_the_other, letter('x'), &e), &e);
    check_int(write(pipe_write, "x", 1), ==, 1);
    check_int(write(other_write, "x", 1), ==, 1);
    check_int(poll_turn(ev), ==, 1);
    check_str(journal, "x"); /* and no "nr": its number was ready, it was not */
    ev_remove(ev, pipe_read);
    ev_remove(ev, other_read);
    close_pipes();
}

static void remove_itself(struct ev *ev, int fd, unsigned events, void *arg)
{
    (void)events;
    note(arg);
    ev_remove(ev, fd);
}

static void a_handler_may_remove_itself(void **state)
{
    struct ev *ev = *state;
    struct err e = {0};
    open_pipes();
    check_int(write(pipe_write, "x", 1), ==, 1);
    check_ok(ev_add(ev, pipe_read, EV_READ, remove_itself, letter('x'), &e), &e);
    check_int(poll_turn(ev), ==, 1);
    check_int(poll_turn(ev), ==, 0);
    check_ok(ev_add(ev, pipe_read, EV_READ, journal_fd, letter('y'), &e), &e);
    check_int(poll_turn(ev), ==, 1);
    check_str(journal, "xyr");
    ev_remove(ev, pipe_read);
    close_pipes();
}

static void more_descriptors_than_one_batch_all_get_their_turn(void **state)
{
    struct ev *ev = *state;
    struct err e = {0};
    enum { COUNT = 300 };
    int fds[COUNT][2], called = 0;
    for (int i = 0; i < COUNT; i++) {
        check_int(pipe2(fds[i], O_CLOEXEC), ==, 0);
        check_int(write(fds[i][1], "x", 1), ==, 1);
        check_ok(ev_add(ev, fds[i][0], EV_READ, remove_itself, letter('x'), &e), &e);
    }
    check_int(ev_looked(ev).ns, ==, 0);
    int64_t before = ev_now(ev).ns;
    called += poll_turn(ev);
    check_int(ev_looked(ev).ns, ==, 0); /* some of what was ready is still to come */
    int64_t between = ev_now(ev).ns;
    called += poll_turn(ev);
    check_int(ev_looked(ev).ns, >=, before); /* what was ready at the first turn */
    check_int(ev_looked(ev).ns, <=, between);
    called += poll_turn(ev);
    check_int(ev_looked(ev).ns, >=, between);
    check_int(called, ==, COUNT);
    for (int i = 0; i < COUNT; i++) {
        close(fds[i][0]);
        close(fds[i][1]);
    }
}

/* --- the turn ------------------------------------------------------------- */

static void journal_hook(struct ev *ev, void *arg)
{
    (void)ev;
    note(arg);
}

static void arm_due_timer(struct ev *ev, int fd, unsigned events, void *arg)
{
    (void)events;
    note(arg);
    ev_remove(ev, fd);
    ev_timer_at(ev, (struct clk_mono){0}, journal_timer, letter('t'));
}

static void a_turn_calls_descriptors_then_timers_then_the_hook(void **state)
{
    struct ev *ev = *state;
    struct err e = {0};
    open_pipes();
    ev_after(ev, journal_hook, letter('h'));
    check_int(write(pipe_write, "x", 1), ==, 1);
    check_ok(ev_add(ev, pipe_read, EV_READ, arm_due_timer, letter('d'), &e), &e);
    check_int(poll_turn(ev), ==, 2);
    check_str(journal, "dth");
    check_int(poll_turn(ev), ==, 0);
    check_str(journal, "dthh"); /* each turn, busy or not */
    close_pipes();
}

static void stop_loop(struct ev *ev, void *arg)
{
    note(arg);
    ev_stop(ev);
}

static void run_turns_until_stopped_and_may_run_again(void **state)
{
    struct ev *ev = *state;
    struct err e = {0};
    for (int i = 0; i < 2; i++) {
        ev_timer_at(ev, in(ev, 1), journal_timer, letter('a'));
        ev_timer_at(ev, in(ev, 2 * CLK_MS), stop_loop, letter('s'));
        check_ok(ev_run(ev, &e), &e);
    }
    check_str(journal, "asas");
}

static void wakes_before_the_wait_are_not_lost(void **state)
{
    struct ev *ev = *state;
    struct err e = {0};
    for (int i = 0; i < 1000; i++)
        ev_wake(ev);
    check_int(ev_turn(ev, (struct clk_mono){INT64_MAX}, &e), ==, 0); /* does not hang */
    struct clk_mono deadline = in(ev, CLK_MS);
    check_int(ev_turn(ev, deadline, &e), ==, 0); /* all were taken at once */
    check_int(clk_mono_diff(ev_now(ev), deadline), >=, 0);
}

/* Two loops in two threads wake each other in turns; the count is handed over by the
 * wake alone, so TSan sees whether a wake orders what was written before it. */
struct player {
    struct ev *own, *other;
    int *ball; /* written under no lock: whoever was woken has it */
    int *turn; /* whose it is, atomically */
    int me;
};

static void *play(void *arg)
{
    struct player *p = arg;
    for (int rounds = 0; rounds < 500;) {
        if (ev_turn(p->own, (struct clk_mono){INT64_MAX}, NULL) < 0)
            break;
        if (__atomic_load_n(p->turn, __ATOMIC_ACQUIRE) != p->me)
            continue;
        (*p->ball)++;
        rounds++;
        __atomic_store_n(p->turn, 1 - p->me, __ATOMIC_RELEASE);
        ev_wake(p->other);
    }
    return NULL;
}

static void a_wake_from_another_thread_ends_the_wait(void **state)
{
    struct ev *a = *state, *b = ev_new(clk_system(), NULL);
    int ball = 0, turn = 0;
    struct player first = {a, b, &ball, &turn, 0}, second = {b, a, &ball, &turn, 1};
    pthread_t thread;
    ev_wake(a);
    check_int(pthread_create(&thread, NULL, play, &second), ==, 0);
    play(&first);
    pthread_join(thread, NULL);
    check_int(ball, ==, 1000);
    ev_free(b);
}

static struct ev *signalled;

static void on_signal(int number)
{
    (void)number;
    ev_wake(signalled);
}

static void a_signal_ends_a_turn_without_an_error(void **state)
{
    struct ev *ev = *state;
    struct err e = {0};
    struct sigaction action = {.sa_handler = on_signal}, before;
    signalled = ev;
    sigaction(SIGALRM, &action, &before);
    timer_t timer;
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM};
    check_int(timer_create(CLOCK_MONOTONIC, &event, &timer), ==, 0);
    struct itimerspec when = {.it_value.tv_nsec = 2 * CLK_MS};
    check_int(timer_settime(timer, 0, &when, NULL), ==, 0);
    check_ok(ev_turn(ev, (struct clk_mono){INT64_MAX}, &e), &e);
    timer_delete(timer);
    sigaction(SIGALRM, &before, NULL);
}

/* In a child process whose kernel says that it has no epoll_pwait2. */
static int wait_without_pwait2(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_epoll_pwait2, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
        return 77;
    struct ev *ev = ev_new(clk_system(), NULL);
    struct err e = {0};
    for (int i = 0; i < 3; i++) {
        struct clk_mono deadline = in(ev, CLK_MS + 1);
        if (ev_turn(ev, deadline, &e) != 0 || clk_mono_diff(ev_now(ev), deadline) < 0)
            return 1;
        journal[0] = '\0';
        ev_timer_at(ev, in(ev, 300 * CLK_US), journal_timer, letter('t'));
        while (journal[0] == '\0')
            if (ev_turn(ev, (struct clk_mono){INT64_MAX}, &e) < 0)
                return 2;
        ev_wake(ev);
        if (ev_turn(ev, (struct clk_mono){INT64_MAX}, &e) != 0)
            return 3;
    }
    ev_free(ev);
    return 0;
}

static void an_older_kernel_waits_by_timerfd(void **state)
{
    (void)state;
    pid_t pid = fork();
    if (pid == 0)
        _exit(wait_without_pwait2());
    int status = 0;
    check_int(waitpid(pid, &status, 0), ==, pid);
    check_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77) {
        print_message("no seccomp filter here\n");
        skip();
    }
    check_int(WEXITSTATUS(status), ==, 0);
}

static void freeing_takes_pending_timers_along(void **state)
{
    (void)state;
    struct ev *ev = ev_new(clk_system(), NULL);
    for (int i = 0; i < 100; i++)
        victim = ev_timer_at(ev, in(ev, CLK_SEC), journal_timer, letter('a'));
    ev_timer_cancel(ev, victim);
    ev_free(ev); /* the leak checker is the judge */
    ev_free(NULL);
}

#define in_loop(test) cmocka_unit_test_setup_teardown(test, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_loop(timers_fire_in_order_of_time_then_of_arming),
        cmocka_unit_test(a_thousand_timers_with_cancellations_keep_their_order),
        in_loop(a_handler_may_cancel_a_timer_that_is_due),
        in_loop(a_timer_that_rearms_for_the_past_starves_no_other),
        in_loop(a_turn_waits_for_its_timer_and_never_calls_it_early),
        in_loop(a_turn_ends_at_its_deadline),
        in_loop(descriptors_are_watched_for_what_was_asked),
        in_loop(faults_of_descriptors_are_errors),
        in_loop(an_event_fetched_for_a_removed_descriptor_is_skipped),
        in_loop(a_descriptor_added_anew_gets_no_event_of_its_predecessor),
        in_loop(a_handler_may_remove_itself),
        in_loop(more_descriptors_than_one_batch_all_get_their_turn),
        in_loop(a_turn_calls_descriptors_then_timers_then_the_hook),
        in_loop(run_turns_until_stopped_and_may_run_again),
        in_loop(wakes_before_the_wait_are_not_lost),
        in_loop(a_wake_from_another_thread_ends_the_wait),
        in_loop(a_signal_ends_a_turn_without_an_error),
        cmocka_unit_test(an_older_kernel_waits_by_timerfd),
        cmocka_unit_test(freeing_takes_pending_timers_along),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

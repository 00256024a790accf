/*
 * test_out_of_memory.c - the first, second, third ... allocation fails, and each time
 * the caller is told, nothing leaks, and what was there before is still whole.
 *
 * The files under test are compiled into this one, with their allocator replaced.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>

#include "tests/unit/check.h"

static int until_failure; /* allocations that still succeed; negative: all do */
static int failures;

static bool fails(void)
{
    if (until_failure < 0 || until_failure-- > 0)
        return false;
    until_failure = 0; /* and all that follow */
    failures++;
    return true;
}

static void *scarce_malloc(size_t n)
{
    return fails() ? NULL : malloc(n);
}

static void *scarce_calloc(size_t n, size_t size)
{
    return fails() ? NULL : calloc(n, size);
}

static void *scarce_realloc(void *p, size_t n)
{
    return fails() ? NULL : realloc(p, n);
}

#define malloc  scarce_malloc
#define calloc  scarce_calloc
#define realloc scarce_realloc
#include "traces/base/arena.c"
#include "traces/base/buf.c"
#include "traces/base/clk.c"
#include "traces/base/ev.c"
#include "traces/base/hist.c"
#include "traces/base/opt.c"
#undef malloc
#undef calloc
#undef realloc

static void memory_for(int allocations)
{
    until_failure = allocations;
    failures = 0;
}

/* Runs f with memory for 0, 1, 2 ... allocations until it needs no more; f says whether
 * it succeeded, which it must exactly when nothing failed. The number of allocations.
 */
static int try_all(bool (*f)(void))
{
    for (int n = 0; n < 1000; n++) {
        memory_for(n);
        bool done = f();
        int failed = failures;
        memory_for(-1);
        check_int(done, ==, failed == 0);
        if (done)
            return n;
    }
    fail_msg("still failing with memory for 1000 allocations");
    return -1;
}

static bool build_text(void)
{
    struct buf b = {0};
    struct err e = {0};
    for (int i = 0; i < 500; i++)
        buf_fmt(&b, "%d,", i);
    buf_fmt(&b, "%3000d", 1);
    int rc = buf_check(&b, &e);
    if (rc < 0) {
        check_int(rc, ==, ERR_NOMEM);
        check_str_has(e.text, "out of memory");
        check_str(buf_text(&b), "");
    } else {
        check_int(b.n, ==, 10 * 2 + 90 * 3 + 400 * 4 + 3000);
    }
    buf_done(&b);
    return rc == 0;
}

static void text_that_does_not_fit_is_reported_once_at_the_end(void **state)
{
    (void)state;
    check_int(try_all(build_text), >, 5);
}

static bool read_a_file(void)
{
    struct buf b = {0};
    struct err e = {0};
    buf_str(&b, "kept");
    bool had = !b.failed;
    int rc = buf_read_file(&b, "/proc/self/status", 1 << 20, &e);
    if (rc < 0) {
        check_int(rc, ==, ERR_NOMEM);
        check_int(b.n, ==, had ? 4 : 0);
    }
    buf_done(&b);
    return rc == 0;
}

static void a_file_that_does_not_fit_leaves_the_buf_as_it_was(void **state)
{
    (void)state;
    check_int(try_all(read_a_file), >=, 2);
}

static bool fill_an_arena(void)
{
    struct arena a = {0};
    bool whole = true;
    char *first = arena_str(&a, "first");
    for (int i = 0; i < 200; i++)
        whole = arena_zalloc(&a, 1000) && whole;
    whole = arena_dup(&a, SPAN_LIT("x")).p && whole && first;
    if (first)
        check_str(first, "first");
    arena_done(&a);
    return whole;
}

static void an_arena_keeps_what_it_gave(void **state)
{
    (void)state;
    check_int(try_all(fill_an_arena), >, 3);
}

static bool make_a_clock(void)
{
    struct clk_hand *h = clk_hand_new((struct clk_mono){0}, (struct clk_wall){0});
    clk_hand_free(h);
    return h != NULL;
}

static bool make_a_histogram(void)
{
    struct hist h;
    struct err e = {0};
    int rc = hist_init(&h, 1000, &e);
    check_true(rc == 0 || (rc == ERR_NOMEM && h.counts == NULL));
    hist_done(&h);
    return rc == 0;
}

static void clocks_and_histograms_say_no(void **state)
{
    (void)state;
    check_int(try_all(make_a_clock), ==, 1);
    check_int(try_all(make_a_histogram), ==, 1);
}

static void count(struct ev *ev, void *arg)
{
    (void)ev;
    ++*(int *)arg;
}

static void ignore(struct ev *ev, int fd, unsigned events, void *arg)
{
    (void)ev;
    (void)fd;
    (void)events;
    (void)arg;
}

static bool run_a_loop(void)
{
    struct err e = {0};
    struct ev *ev = ev_new(clk_system(), &e);
    if (!ev) {
        check_int(e.code, ==, ERR_NOMEM);
        return false;
    }
    int armed = 0, called = 0;
    for (int i = 0; i < 40; i++)
        armed += ev_timer_at(ev, (struct clk_mono){i}, count, &called) != NULL;
    int fds[2];
    check_int(pipe(fds), ==, 0);
    int high = fcntl(fds[0], F_DUPFD_CLOEXEC, 200); /* makes the table grow twice */
    int rc = ev_add(ev, fds[0], EV_READ, ignore, NULL, &e);
    if (rc == 0)
        rc = ev_add(ev, high, EV_READ, ignore, NULL, &e);
    check_true(rc == 0 || rc == ERR_NOMEM);
    check_int(ev_turn(ev, (struct clk_mono){0}, NULL), ==, armed);
    check_int(called, ==,
              armed); /* those that found room fire as if nothing had been */
    ev_free(ev);
    close(fds[0]);
    close(fds[1]);
    close(high);
    return rc == 0 && armed == 40;
}

static void a_loop_without_memory_still_runs_what_it_has(void **state)
{
    (void)state;
    check_int(try_all(run_a_loop), >, 40);
}

static bool parse_options(void)
{
    static const struct opt rows[] = {
        {.name = "name", .type = OPT_STRV, .arg = "NAME", .help = "x"}, {.name = NULL}};
    static const struct opt_cmd one = {
        .name = "x", .summary = "x", .synopsis = "", .about = "", .opts = rows};
    char word[] = "x", option[] = "--name=1";
    char *argv[] = {word, option, option, option, NULL};
    struct opt_strv names = {0};
    struct err e = {0};
    int operands, rc = opt_parse(&one, 4, argv, &names, &operands, &e);
    if (rc < 0) {
        check_int(rc, ==, ERR_NOMEM);
        check_str_has(e.text, "out of memory");
    }
    opt_strv_done(&names);
    return rc == 0;
}

static void options_say_that_memory_ran_out(void **state)
{
    (void)state;
    check_int(try_all(parse_options), ==, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_that_does_not_fit_is_reported_once_at_the_end),
        cmocka_unit_test(a_file_that_does_not_fit_leaves_the_buf_as_it_was),
        cmocka_unit_test(an_arena_keeps_what_it_gave),
        cmocka_unit_test(clocks_and_histograms_say_no),
        cmocka_unit_test(a_loop_without_memory_still_runs_what_it_has),
        cmocka_unit_test(options_say_that_memory_ran_out),
    };
    until_failure = -1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}

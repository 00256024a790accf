/*
 * test_log.c - one whole line per event, from any thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/check.h"
#include "traces/base/buf.h"
#include "traces/base/log.h"

#define THREADS 4
#define LINES   500

static char path[] = "/tmp/test_log_XXXXXX";
static int saved_stderr;

/* From here to captured(), stderr goes to a file. */
static void capture(void)
{
    strcpy(path + strlen(path) - 6, "XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    saved_stderr = dup(STDERR_FILENO);
    dup2(fd, STDERR_FILENO);
    close(fd);
}

static void captured(struct buf *out)
{
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    struct err e = {0};
    check_ok(buf_read_file(out, path, 1 << 24, &e), &e);
    unlink(path);
}

static void a_line_has_time_level_area_and_text(void **state)
{
    (void)state;
    struct buf b = {0};
    log_setup(false, NULL);
    capture();
    log_warn("flow", "gap filled key=%s bytes=%d", "10.0.0.7:9000", 512);
    captured(&b);
    /* 2031-05-04T12:00:01.123Z warn flow: gap filled key=10.0.0.7:9000 bytes=512 */
    const char *text = buf_text(&b);
    static const char shape[] = "dddd-dd-ddTdd:dd:dd.dddZ ";
    for (size_t i = 0; shape[i]; i++)
        check_true(shape[i] == 'd' ? text[i] >= '0' && text[i] <= '9'
                                   : text[i] == shape[i]);
    check_str(text + sizeof shape - 1,
              "warn flow: gap filled key=10.0.0.7:9000 bytes=512\n");
    buf_done(&b);
}

static void quiet_keeps_warnings_and_errors(void **state)
{
    (void)state;
    check_true(log_enabled(LOG_INFO, "x"));
    log_setup(true, NULL);
    check_true(log_enabled(LOG_ERROR, "x") && log_enabled(LOG_WARN, "x"));
    check_true(!log_enabled(LOG_INFO, "x") && !log_enabled(LOG_DEBUG, "x"));
    struct buf b = {0};
    capture();
    log_info("x", "not seen");
    log_error("x", "seen");
    log_debug("x", "not seen either");
    captured(&b);
    check_str_has(buf_text(&b), "Z error x: seen\n");
    check_true(strstr(buf_text(&b), "not seen") == NULL);
    buf_done(&b);
    log_setup(false, NULL);
}

static void debug_is_opened_area_by_area(void **state)
{
    (void)state;
    log_setup(true, "pacer, engine");
    check_true(log_enabled(LOG_DEBUG, "pacer") && log_enabled(LOG_DEBUG, "engine"));
    check_true(!log_enabled(LOG_DEBUG, "pace") && !log_enabled(LOG_DEBUG, "engines"));
    check_true(!log_enabled(LOG_DEBUG, ""));
    log_setup(false, "all");
    check_true(log_enabled(LOG_DEBUG, "anything"));
    log_setup(false, "");
    check_true(!log_enabled(LOG_DEBUG, "pacer"));
    log_setup(false, ",,");
    check_true(!log_enabled(LOG_DEBUG, ""));
    log_setup(false, NULL);
}

static void a_disabled_debug_line_costs_no_arguments(void **state)
{
    (void)state;
    int evaluated = 0;
    log_debug("pacer", "%d", ++evaluated);
    check_int(evaluated, ==, 0);
}

static void control_bytes_cannot_forge_a_line(void **state)
{
    (void)state;
    struct buf b = {0};
    capture();
    log_warn("flow", "name=%s", "a\n2031 error b\r\x1b[2J\x7f");
    captured(&b);
    check_str_has(buf_text(&b), "name=a?2031 error b??[2J?\n");
    check_int(span_find(buf_view(&b), '\n', 0), ==, b.n - 1);
    buf_done(&b);
}

static void a_long_line_is_cut_and_says_so(void **state)
{
    (void)state;
    struct buf b = {0};
    char text[5000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    capture();
    log_warn("flow", "%s", text);
    captured(&b);
    check_int(b.n, <, 4096);
    check_int(b.n, >, 1000);
    check_true(span_ends(buf_view(&b), "x...\n"));
    buf_done(&b);
}

static void errno_survives_a_line(void **state)
{
    (void)state;
    struct buf b = {0};
    capture();
    close(STDERR_FILENO);
    errno = ERANGE;
    log_warn("flow", "nowhere to go");
    int after = errno;
    captured(&b);
    check_int(after, ==, ERANGE);
    buf_done(&b);
}

static void *write_lines(void *arg)
{
    for (int i = 0; i < LINES; i++)
        log_info("flow", "thread=%d line=%d end", *(const int *)arg, i);
    return NULL;
}

static void lines_of_several_threads_stay_whole(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    int ids[THREADS];
    struct buf b = {0};
    capture();
    for (int i = 0; i < THREADS; i++) {
        ids[i] = i;
        pthread_create(&threads[i], NULL, write_lines, &ids[i]);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    captured(&b);
    int lines = 0, next[THREADS] = {0};
    for (char *line = (char *)b.p, *end; line < (char *)b.p + b.n;
         line = end + 1, lines++) {
        end = memchr(line, '\n', (size_t)((char *)b.p + b.n - line));
        assert_non_null(end);
        *end = '\0';
        int thread = -1, number = -1, length = 0;
        check_int(sscanf(line, "%*s info flow: thread=%d line=%d end%n", &thread,
                         &number, &length),
                  ==, 2);
        check_int(length, ==, end - line);
        check_true(thread >= 0 && thread < THREADS);
        check_int(number, ==, next[thread]);
        next[thread]++;
    }
    check_int(lines, ==, THREADS * LINES);
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_has_time_level_area_and_text),
        cmocka_unit_test(quiet_keeps_warnings_and_errors),
        cmocka_unit_test(debug_is_opened_area_by_area),
        cmocka_unit_test(a_disabled_debug_line_costs_no_arguments),
        cmocka_unit_test(control_bytes_cannot_forge_a_line),
        cmocka_unit_test(a_long_line_is_cut_and_says_so),
        cmocka_unit_test(errno_survives_a_line),
        cmocka_unit_test(lines_of_several_threads_stay_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

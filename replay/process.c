/*
 * process.c - see process.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replay/process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "traces/base/clk.h"

#define WORD_MAX 4096

void rep_argv_add(struct rep_argv *a, const char *word)
{
    if (a->n + 2 > a->cap) {
        size_t cap = a->cap ? a->cap * 2 : 64;
        const char **v = realloc(a->v, cap * sizeof *v);
        if (!v) {
            a->failed = true;
            return;
        }
        a->v = v;
        a->cap = cap;
    }
    a->failed = a->failed || !word;
    a->v[a->n++] = word;
    a->v[a->n] = NULL;
}

void rep_argv_fmt(struct rep_argv *a, const char *format, ...)
{
    va_list args;
    char text[WORD_MAX];

    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (n < 0 || (size_t)n >= sizeof text)
        a->failed = true;
    else
        rep_argv_add(a, arena_str(&a->arena, text));
}

void rep_argv_done(struct rep_argv *a)
{
    free(a->v);
    arena_done(&a->arena);
    *a = (struct rep_argv){0};
}

void rep_argv_print(const struct rep_argv *a)
{
    for (size_t i = 0; i < a->n; i++) {
        const char *quote =
            a->v[i][strcspn(a->v[i], " '\"$\\*?[](){}<>|&;#~")] ? "'" : "";
        printf("%s%s%s%s", i ? " " : "", quote, a->v[i], quote);
    }
    putchar('\n');
}

int rep_self(char *out, size_t size, struct err *e)
{
    ssize_t n = readlink("/proc/self/exe", out, size - 1);
    if (n < 0)
        return err_sys(e, errno, "cannot find the program's own path");
    out[n] = '\0';
    return 0;
}

int rep_process_run(const struct rep_argv *a, const char *path, struct err *e)
{
    int status;
    pid_t pid;

    if (a->failed || a->n == 0)
        return err_set(e, ERR_LIMIT, "a command line is too long");
    fflush(stdout);
    pid = fork();
    if (pid < 0)
        return err_sys(e, errno, "cannot start '%s'", a->v[0]);
    if (pid == 0) {
        if (path) {
            int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
            if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0) {
                fprintf(stderr, "reprise: '%s': %s\n", path, strerror(errno));
                _exit(EXIT_IO);
            }
        }
        /* execvp wants char *const[]; it does not write to the words. */
        execvp(a->v[0], (char *const *)(uintptr_t)a->v);
        fprintf(stderr, "reprise: '%s': %s\n", a->v[0], strerror(errno));
        _exit(127);
    }
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return err_sys(e, errno, "waiting for '%s'", a->v[0]);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static volatile sig_atomic_t *watched;

static void on_signal(int sig)
{
    (void)sig;
    *watched = 1;
}

void rep_process_watch(volatile sig_atomic_t *flag)
{
    struct sigaction stop = {.sa_handler = on_signal};
    sigemptyset(&stop.sa_mask);
    watched = flag;
    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGTERM, &stop, NULL);
}

void rep_process_nap(int64_t ns, const volatile sig_atomic_t *flag)
{
    struct timespec left = {.tv_sec = (time_t)(ns / CLK_SEC),
                            .tv_nsec = (long)(ns % CLK_SEC)};
    while (!*flag && nanosleep(&left, &left) < 0 && errno == EINTR)
        ;
}

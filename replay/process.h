/*
 * process.h - other reprise commands, run as processes of their own.
 *
 * What a campaign or a search does can so be done by hand, and a crash of one run does
 * not take the whole with it. One thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef REPLAY_PROCESS_H
#define REPLAY_PROCESS_H

#include <signal.h>

#include "traces/base/arena.h"
#include "traces/base/err.h"

/* NULL-terminated words; text made on the way lives in the arena. Zeroed is empty. */
struct rep_argv {
    const char **v;
    size_t n, cap;
    struct arena arena;
    bool failed; /* out of memory, or a word too long: running it is an error */
};
void rep_argv_add(struct rep_argv *a, const char *word); /* borrowed */
void rep_argv_fmt(struct rep_argv *a, const char *format, ...) PRINTF_LIKE(2, 3);
void rep_argv_done(struct rep_argv *a);
/* On standard output, quoted so that a shell takes it. */
void rep_argv_print(const struct rep_argv *a);

/* The path of this program. ERR_IO. */
int rep_self(char *out, size_t size, struct err *e) MUST_USE;

/* Runs a command, its output to `path` unless that is NULL. Its exit status, 128 +
 * signal, or an error. A Ctrl-C reaches the child by itself, since it shares our
 * terminal. */
int rep_process_run(const struct rep_argv *a, const char *path, struct err *e) MUST_USE;

/* SIGINT and SIGTERM set *flag instead of ending the program. */
void rep_process_watch(volatile sig_atomic_t *flag);
/* Sleeps so long, or until *flag is set. */
void rep_process_nap(int64_t ns, const volatile sig_atomic_t *flag);

#endif

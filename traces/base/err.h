/*
 * err.h - what went wrong, where, and whether trying again can help.
 *
 * A zeroed struct err means "no error". Every fallible function returns an int
 * (negative: a code of enum err_code; 0 or a count: success) and takes a struct err *
 * last, which may be NULL. The first cause wins: err_set and err_sys write only into an
 * empty err, and err_note puts context in front of it. Not thread-safe; an err belongs
 * to one caller.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_BASE_ERR_H
#define TRACES_BASE_ERR_H

#include <stdbool.h>
#include <stdint.h>

#define MUST_USE          __attribute__((warn_unused_result))
#define PRINTF_LIKE(a, b) __attribute__((format(printf, a, b)))

enum err_code {
    ERR_OK = 0,
    ERR_NOMEM = -1,
    ERR_IO = -2,        /* the operating system refused; sys has its errno */
    ERR_FORMAT = -3,    /* input that breaks its own rules */
    ERR_TRUNCATED = -4, /* input that ends too early */
    ERR_LIMIT = -5,     /* input beyond a named limit */
    ERR_PEER = -6,      /* the other side cannot be reached, or broke the protocol */
    ERR_TIMEOUT = -7,
    ERR_USAGE = -8,   /* the user asked for something that makes no sense */
    ERR_STOPPED = -9, /* a signal asked us to stop */
};

/* Exit statuses: one table for all commands. */
enum exit_status {
    EXIT_DONE = 0,
    EXIT_REGRESSED = 1, /* or, for a search: what should not be there is there */
    EXIT_INCONCLUSIVE = 2,
    EXIT_INVALID = 3, /* a measurement not to be believed, or data repaired with loss */
    EXIT_USAGE = 64,
    EXIT_DATA = 65,
    EXIT_UNAVAILABLE = 69,
    EXIT_IO = 74,
    EXIT_INTERRUPTED = 130,
};

struct err {
    enum err_code code;
    int sys;        /* errno, or 0 */
    bool retriable; /* a time-out, an errno that passes by itself; callers may set it */
    bool has_at;
    uint64_t at; /* byte offset in the input, when has_at */
    char text[240];
};

/* Records a failure unless one is there already. Returns code. */
int err_set(struct err *e, enum err_code code, const char *format, ...)
    PRINTF_LIKE(3, 4);

/* As err_set, for input: "… at byte OFFSET" is appended, and e->at is set. */
int err_at(struct err *e, enum err_code code, uint64_t at, const char *format, ...)
    PRINTF_LIKE(4, 5);

/* As err_set with ERR_IO (ERR_NOMEM for ENOMEM); the text of errno value `sys` goes
 * last. */
int err_sys(struct err *e, int sys, const char *format, ...) PRINTF_LIKE(3, 4);

/* Puts "context: " in front of the text. An overlong text loses its middle, never the
 * cause at its end. Returns e's code (ERR_FORMAT if e is NULL), so `return err_note(e,
 * …)` works. */
int err_note(struct err *e, const char *format, ...) PRINTF_LIKE(2, 3);

/* Makes e empty again. */
void err_clear(struct err *e);

/* The exit status that the table above gives to a code. ERR_OK gives EXIT_DONE. */
enum exit_status err_exit_status(enum err_code code);

#endif

/*
 * err.c - see err.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/base/err.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define ERR_WHOLE_MAX 4096 /* longest message before it is squeezed into err.text */
#define ERR_ELLIPSIS  "..."

static bool is_utf8_continuation(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

/* Copies text into e->text; what is too long loses its middle, where paths are, because
 * the context at its start and the cause at its end are what a reader needs. */
static void keep_ends(struct err *e, const char *text)
{
    size_t n = strlen(text), room = sizeof(e->text) - 1;
    if (n <= room) {
        memcpy(e->text, text, n + 1);
        return;
    }
    size_t dots = strlen(ERR_ELLIPSIS), head = room / 4, tail = room - dots - head;
    size_t from = n - tail;
    while (head > 0 && is_utf8_continuation(text[head]))
        head--;
    while (from < n && is_utf8_continuation(text[from]))
        from++;
    memcpy(e->text, text, head);
    memcpy(e->text + head, ERR_ELLIPSIS, dots);
    memcpy(e->text + head + dots, text + from, n - from + 1);
}

static void record(struct err *e, enum err_code code, const char *suffix,
                   const char *format, va_list args) PRINTF_LIKE(4, 0);

static void record(struct err *e, enum err_code code, const char *suffix,
                   const char *format, va_list args)
{
    char whole[ERR_WHOLE_MAX + 256];
    int n = vsnprintf(whole, ERR_WHOLE_MAX, format, args);
    size_t end = n < 0 ? 0 : n < ERR_WHOLE_MAX ? (size_t)n : ERR_WHOLE_MAX - 1;
    snprintf(whole + end, sizeof(whole) - end, "%s", suffix);
    *e = (struct err){.code = code, .retriable = code == ERR_TIMEOUT};
    keep_ends(e, whole);
}

int err_set(struct err *e, enum err_code code, const char *format, ...)
{
    if (e && e->code == ERR_OK) {
        va_list args;
        va_start(args, format);
        record(e, code, "", format, args);
        va_end(args);
    }
    return code;
}

int err_at(struct err *e, enum err_code code, uint64_t at, const char *format, ...)
{
    if (e && e->code == ERR_OK) {
        char suffix[48];
        snprintf(suffix, sizeof suffix, " at byte %" PRIu64, at);
        va_list args;
        va_start(args, format);
        record(e, code, suffix, format, args);
        va_end(args);
        e->has_at = true;
        e->at = at;
    }
    return code;
}

static bool passes_by_itself(int sys)
{
    switch (sys) {
    case EAGAIN:
    case EINTR:
    case EBUSY:
    case ECONNREFUSED:
    case ECONNRESET:
    case ECONNABORTED:
    case ETIMEDOUT:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case ENETDOWN:
    case EADDRNOTAVAIL:
    case ENOBUFS:
    case EMFILE:
    case ENFILE:
        return true;
    default:
        return false;
    }
}

int err_sys(struct err *e, int sys, const char *format, ...)
{
    enum err_code code = sys == ENOMEM ? ERR_NOMEM : ERR_IO;
    if (e && e->code == ERR_OK) {
        char reason[128], suffix[160];
        snprintf(suffix, sizeof suffix, ": %s", strerror_r(sys, reason, sizeof reason));
        va_list args;
        va_start(args, format);
        record(e, code, suffix, format, args);
        va_end(args);
        e->sys = sys;
        e->retriable = passes_by_itself(sys);
    }
    return code;
}

int err_note(struct err *e, const char *format, ...)
{
    if (!e)
        return ERR_FORMAT;
    char whole[ERR_WHOLE_MAX + sizeof(e->text) + 3];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(whole, ERR_WHOLE_MAX, format, args);
    va_end(args);
    size_t end = n < 0 ? 0 : n < ERR_WHOLE_MAX ? (size_t)n : ERR_WHOLE_MAX - 1;
    snprintf(whole + end, sizeof(whole) - end, ": %s", e->text);
    keep_ends(e, whole);
    return e->code;
}

void err_clear(struct err *e)
{
    if (e)
        *e = (struct err){0};
}

enum exit_status err_exit_status(enum err_code code)
{
    switch (code) {
    case ERR_OK:
        return EXIT_DONE;
    case ERR_NOMEM:
    case ERR_IO:
        return EXIT_IO;
    case ERR_FORMAT:
    case ERR_TRUNCATED:
    case ERR_LIMIT:
        return EXIT_DATA;
    case ERR_PEER:
    case ERR_TIMEOUT:
        return EXIT_UNAVAILABLE;
    case ERR_USAGE:
        return EXIT_USAGE;
    case ERR_STOPPED:
        return EXIT_INTERRUPTED;
    }
    return EXIT_IO;
}

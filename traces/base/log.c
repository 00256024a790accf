/*
 * log.c - see log.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "traces/base/clk.h"
#include "traces/base/span.h"

#define LOG_LINE_MAX 2048 /* below PIPE_BUF, so lines of several writers do not mix */

static enum log_level passing = LOG_INFO;
static const char *debug_list; /* borrowed */
static _Atomic int diverted_to = -1;
static _Atomic uint64_t diverted_count;

void log_divert(int fd)
{
    atomic_store(&diverted_count, 0);
    atomic_store(&diverted_to, fd);
}

uint64_t log_diverted(void)
{
    return atomic_load(&diverted_count);
}

void log_setup(bool quiet, const char *debug_areas)
{
    passing = quiet ? LOG_WARN : LOG_INFO;
    debug_list = debug_areas;
}

bool log_enabled(enum log_level level, const char *area)
{
    if (level != LOG_DEBUG)
        return level <= passing;
    struct span list = span_str(debug_list);
    for (size_t from = 0; from < list.n;) {
        size_t comma = span_find(list, ',', from);
        struct span item = span_trim(span_sub(list, from, comma));
        if (span_eq_str(item, "all") || (item.n > 0 && span_eq_str(item, area)))
            return true;
        from = comma + 1;
    }
    return false;
}

/* Text may quote input: a control byte must not break the line or move the cursor. */
static void blank_controls(char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            text[i] = '?';
}

void log_line(enum log_level level, const char *area, const char *format, ...)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};
    if (!log_enabled(level, area))
        return;
    int saved = errno;
    char line[LOG_LINE_MAX], when[CLK_TEXT_MAX];
    clk_wall_text(clk_wall_now(clk_system()), when);
    size_t room = sizeof(line) - 1; /* the newline's place */
    int n = snprintf(line, room, "%s %s %.64s: ", when, names[level], area);
    size_t used = (size_t)n;
    va_list args;
    va_start(args, format);
    n = vsnprintf(line + used, room - used, format, args);
    va_end(args);
    if (n > 0 && (size_t)n >= room - used) {
        used = room - 1;
        memcpy(line + used - 3, "...", 3);
    } else if (n > 0) {
        used += (size_t)n;
    }
    blank_controls(line, used);
    line[used++] = '\n';
    int fd = atomic_load(&diverted_to);
    if (fd >= 0)
        atomic_fetch_add(&diverted_count, 1);
    ssize_t wrote;
    do
        wrote = write(fd >= 0 ? fd : STDERR_FILENO, line, used);
    while (wrote < 0 && errno == EINTR);
    errno = saved; /* a log that cannot be written has nowhere to complain */
}

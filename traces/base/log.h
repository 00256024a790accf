/*
 * log.h - one line per event on stderr: "2031-05-04T12:00:01.123Z warn flow: text
 * key=value".
 *
 * error: someone must act; warn: results may be affected; info: start, stop, summary;
 * debug: by area. Parsers and the rest of base never log. Never pass payloads,
 * credentials or header values. Thread-safe: one write per line.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_BASE_LOG_H
#define TRACES_BASE_LOG_H

#include "traces/base/err.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* What passes: warn and above for quiet, info and above by default. The areas are a
 * comma list ("pacer,engine"), "all", or NULL, and open debug for those; borrowed for
 * good, as from argv. Call before threads start. */
void log_setup(bool quiet, const char *debug_areas);
bool log_enabled(enum log_level level, const char *area);
void log_line(enum log_level level, const char *area, const char *format, ...)
    PRINTF_LIKE(3, 4);

/* Lines go to that descriptor from now on instead of standard error; -1 ends that. The
 * descriptor stays the caller's. log_diverted: how many have gone there since. */
void log_divert(int fd);
uint64_t log_diverted(void);

#define log_error(area, ...) log_line(LOG_ERROR, area, __VA_ARGS__)
#define log_warn(area, ...)  log_line(LOG_WARN, area, __VA_ARGS__)
#define log_info(area, ...)  log_line(LOG_INFO, area, __VA_ARGS__)
#define log_debug(area, ...)                                                           \
    do {                                                                               \
        if (log_enabled(LOG_DEBUG, area))                                              \
            log_line(LOG_DEBUG, area, __VA_ARGS__);                                    \
    } while (0)

#endif

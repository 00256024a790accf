/*
 * schedule.h - when an operation is due, in exact integers.
 *
 * due = floor(offset / speed), where offset is the operation's arrival since the first
 * arrival of its trace and speed is a decimal fraction taken as it was written: ×0.1 is
 * one tenth, not the nearest double. The product is formed in 128 bits, so no trace
 * length loses a nanosecond. Pure functions; thread-safe.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef REPLAY_SCHEDULE_H
#define REPLAY_SCHEDULE_H

#include "traces/base/err.h"

/* speed = num / den; both > 0. */
struct rep_speed {
    uint64_t num, den;
};

#define REP_SPEED_MIN_TEXT "0.01"
#define REP_SPEED_MAX_TEXT "1000"

/* "2", "0.25", "12.5": at most nine decimals, from 0.01 to 1000. ERR_USAGE else. */
int rep_speed_parse(const char *text, struct rep_speed *s, struct err *e) MUST_USE;

#define REP_NEVER INT64_MAX

/* Nanoseconds after the start; offset_ns >= 0. REP_NEVER: that is beyond 292 years. */
int64_t rep_schedule_due(struct rep_speed s, int64_t offset_ns);

#endif

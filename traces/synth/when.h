/*
 * when.h - moments of the calendar as people and trace files write them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_SYNTH_WHEN_H
#define TRACES_SYNTH_WHEN_H

#include "traces/base/clk.h"
#include "traces/base/err.h"
#include "traces/base/span.h"

/* Reads "2023-11-16 18:17:03.9799600": date and time with a blank or T between, up to 9
 * digits of a fraction, then nothing or Z (both UTC) or an offset (+01:00). Years 1970
 * to 2035, so that times and differences stay within the container's 2^61 ns.
 * ERR_FORMAT tells what is wrong. Thread-safe. */
int when_parse(struct span text, struct clk_wall *t, struct err *e) MUST_USE;

#endif

/*
 * run_result.h - what a run came to, for who waited for it: some lines of text, or
 * JSON.
 *
 * Both are of the whole run, warm-up and cool-down included. A quantile is told where
 * ten operations or more lie beyond it, as report does. Thread-safe.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef REPLAY_RUN_RESULT_H
#define REPLAY_RUN_RESULT_H

#include <stdio.h>

#include "replay/run.h"

void rep_result_text(const struct rep_run_result *r, FILE *f);
/* One object, schema reprise/replay/1; what is not known is null. */
void rep_result_json(const struct rep_run_result *r, FILE *f);

#endif

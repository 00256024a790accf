/*
 * answer.h - whether an answer is what its model must give to that request.
 *
 * Decodes both and asks the table of model types. Off the timing path: called by the
 * run writer for requests that have ended. One thread per arena.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef REPLAY_ANSWER_H
#define REPLAY_ANSWER_H

#include "replay/request.h"
#include "traces/base/arena.h"

/* OUT_UNCHECKED where nothing can be said: no success, no inference, unknown type, a
 * request that the type does not take. OUT_WRONG with the first difference in *why. The
 * arena is reset first. */
enum out_check rep_answer_check(const struct rep_request *r, struct arena *a,
                                struct err *why);

#endif

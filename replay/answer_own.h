/*
 * answer_own.h - what the files share that judge answers; inside replay/answer*.c only.
 *
 * answer.c judges answers of one message, and is the face; answer_stream.c those that
 * are streams, message by message.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef REPLAY_ANSWER_OWN_H
#define REPLAY_ANSWER_OWN_H

#include "replay/answer.h"

/* Why answers are not judged, where that is said at several places. */
#define REP_NO_TYPE    "its model's type does not tell what is right"
#define REP_NO_REQUEST "its request is none that its model's type takes"
#define REP_NO_RECORD  "the trace holds no answer to compare it with"
#define REP_NO_BODY    "the recorded answer's body was not kept"
#define REP_NO_MEMORY  "memory ran out"

/* Nothing can be said; the first reason stays. OUT_UNCHECKED. */
enum out_check rep_answer_unjudged(struct rep_request *r, const char *why);
/* Why what was recorded cannot be decoded, by what content_decode gave. */
const char *rep_answer_unread(int rc);
/* … and what is answered now, which is wrong where it is not what it says. */
const char *rep_answer_unread_now(int rc);

/* The method's answer is a stream of messages. */
bool rep_answer_streams(const struct op_stream *s);
/* Sets r->out.check, and answer_hash where content is wanted, as rep_answer_judge does,
 * of an answer that was a success. */
void rep_answer_judge_stream(struct rep_request *r, const struct rep_answer_want *w,
                             struct arena *a, struct err *why);

#endif

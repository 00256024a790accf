/*
 * answer.h - whether an answer is what it must be, and what it says.
 *
 * Decodes it and holds it against what its model type must give to that request, or
 * against what was answered when the trace was recorded; digests what it says, so that
 * runs can be compared by their answers. Off the timing path: called by the run writer
 * for requests that have ended. An answer that is a stream is judged message by
 * message, and right if each is. One thread per arena.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef REPLAY_ANSWER_H
#define REPLAY_ANSWER_H

#include "replay/request.h"
#include "traces/base/arena.h"

struct rep_answer_want {
    bool model;       /* check it against its model type */
    bool recorded;    /* … against the recorded answer: status, outputs */
    double tolerance; /* of floats of recorded answers, relative */
    bool content;     /* let answer_hash be of what it says, not of its bytes */
};

/* "model", "recorded", "recorded:1e-6": adds to *w. ERR_USAGE. */
int rep_answer_parse(struct rep_answer_want *w, const char *text,
                     struct err *e) MUST_USE;
/* True when answers have to be kept for it. */
bool rep_answer_wanted(const struct rep_answer_want *w);

/* Sets r->out.check, and answer_hash where content is wanted. An answer that is encoded
 * is decoded, here and in r->answer, and so is a recorded one. OUT_UNCHECKED where
 * nothing can be said, for the reason in r->unjudged if the answer was a success: no
 * inference, unknown type, a request that the type does not take; nothing recorded, or
 * not its body; an encoding, of either, that is not known or would become too much.
 * OUT_WRONG with the first difference in *why. OUT_CROSSED comes first: the answer
 * shows the mark of another request. The arena is reset first. */
void rep_answer_judge(struct rep_request *r, const struct rep_answer_want *w,
                      struct arena *a, struct err *why);

/* Whether the answer of r, wrong for r, is right for the request of other: both are of
 * types that are functions (rep_answer_tells). */
bool rep_answer_fits(const struct rep_request *r, const struct rep_request *other,
                     struct arena *a);
/* … and whether it is worth asking. */
bool rep_answer_tells(const struct rep_request *r);

#endif

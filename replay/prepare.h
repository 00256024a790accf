/*
 * prepare.h - from an operation of a trace to the bytes that a tier expects.
 *
 * A preparer turns the streams of one block into what their requests have in common,
 * and an operation into a request. Everything made lies in the arenas given. One
 * thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef REPLAY_PREPARE_H
#define REPLAY_PREPARE_H

#include "replay/plan.h"
#include "traces/base/arena.h"

/* Messages that were renamed already: identical bodies share one copy. */
#define REP_RENAMED_SLOTS 1024u
struct rep_renamed {
    const struct rep_stream *stream;
    const uint8_t *body;
    size_t body_bytes;
    struct span wire[2];
};

struct rep_preparer {
    const struct rep_plan_config *config;
    struct buf scratch;
    struct arena work;                             /* of one message */
    uint64_t streams;                              /* prepared so far */
    struct rep_renamed renamed[REP_RENAMED_SLOTS]; /* of the slice in hand */
};

void rep_preparer_done(struct rep_preparer *p);
/* Forgets shared messages, whose arena is about to be another. */
void rep_preparer_next_slice(struct rep_preparer *p);

/* ERR_NOMEM alone; what the tier cannot express is in (*out)->refusal. The result
 * borrows from s. */
int rep_prepare_stream(struct rep_preparer *p, const struct op_stream *s,
                       struct arena *a, struct rep_stream **out,
                       struct err *e) MUST_USE;

/* Fills a zeroed request: wire bytes, id, sizes and an empty outcome; refusal where
 * this operation cannot be sent. ERR_NOMEM. */
int rep_prepare_request(struct rep_preparer *p, const struct op *op,
                        const struct rep_stream *s, struct arena *a,
                        struct rep_request *r, struct err *e) MUST_USE;

#endif

/*
 * mark.h - whose answer is this? The request id that an answer shows, held against its
 * own.
 *
 * Minted ids have a form of their own (RUN-INDEX: eight hex digits of this run, a dash,
 * the operation's index), so an answer that shows the id of another request is known
 * for what it is, without asking what that request was. What tiers do with the id they
 * were given: rproxy and envoy give it back; the pipeline gateway gives
 * PARTITION.PIPELINE.ID, or PIPELINE.ID (up to 2.9), and over REST the id behind it, as
 * a second line, which envoy joins with a comma; servers give none. Ids of another form
 * are those that a tier makes itself, and say nothing. Recorded ids (--request-ids
 * keep) may repeat and are no marks. Pure; thread-safe.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef REPLAY_MARK_H
#define REPLAY_MARK_H

#include "replay/request.h"

#define REP_MARK_FIELD "x-request-id"

/* Writes the id of an operation, at most REP_ID_MAX bytes; how many. */
size_t rep_mark_make(uint64_t nonce, uint64_t op_index, char out[REP_ID_MAX]);

/* The index in an id that this run minted; false: it is none. */
bool rep_mark_read(uint64_t nonce, struct span id, uint64_t *op_index);

/* Takes a value of the answer's field in: sets r->mark to what it proves. One proof of
 * another's answer outweighs any number of own ids. */
void rep_mark_look(struct rep_request *r, struct span value);

#endif

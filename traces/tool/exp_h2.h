/*
 * exp_h2.h - a gRPC operation as the bytes of an HTTP/2 connection that carries it
 * alone.
 *
 * Frames are those of RFC 9113, headers HPACK literals with new names (RFC 7541, 6.2.2)
 * without Huffman coding, messages behind the prefix of gRPC's HTTP/2 mapping. Nothing
 * depends on what went before, so every byte can be read where it stands. Thread-safe.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_TOOL_EXP_H2_H
#define TRACES_TOOL_EXP_H2_H

#include "traces/base/buf.h"
#include "traces/op.h"

/* Whether HTTP/2 can carry the request: gRPC, its messages kept, none before the one
 * that it follows, names and values of headers without control characters. */
bool exp_h2_can_say(const struct op *o);
/* Whether it can carry the answer: its times and gRPC status are known, its messages
 * were kept if there were any, and came between its first byte and its last. */
bool exp_h2_answered(const struct op *o);

/* What a client sends first, and what a server does. */
void exp_h2_greeting(bool client, struct buf *out);
/* All on stream 1, which ends with them. A unary request or answer is whole in what the
 * first function appends; of one that streams that is its beginning alone, and its
 * messages follow, the answer's before its end. `name` is the value of seldon-model. */
void exp_h2_request(const struct op *o, struct span name, struct buf *out);
void exp_h2_request_message(const struct op *o, struct span message, bool last,
                            struct buf *out);
void exp_h2_answer(const struct op *o, struct buf *out);
void exp_h2_answer_message(const struct op *o, struct span message, struct buf *out);
void exp_h2_answer_end(const struct op *o, struct buf *out);

#endif

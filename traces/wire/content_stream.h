/*
 * content_stream.h - one encoding undone as its bytes come, for streams whose parts are
 * wanted before the end is there.
 *
 * The same encodings as content_encoding.h, each alone: a list of several is not taken
 * apart here. What comes out is bounded, and so is what a stream holds: a window of
 * 8 MiB at most (RFC 8878, 3.1.1.1.2: what every decoder should support). One thread at
 * a time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_WIRE_CONTENT_STREAM_H
#define TRACES_WIRE_CONTENT_STREAM_H

#include "traces/wire/content_encoding.h"

struct content_stream;

/* For a list of one coding that can be undone, which is to become at most `most` bytes.
 * NULL: it is another list, or memory ran out. */
struct content_stream *content_stream_new(uint16_t codings, uint64_t most);
void content_stream_free(struct content_stream *s); /* NULL is fine */

/* Consumes from the front of *in. 1: *out is the next piece of what it stands for,
 * never empty, borrowed until the next call. 0: all input was used. ERR_FORMAT,
 * ERR_LIMIT, ERR_NOMEM: nothing more can be read. How the bytes were split changes only
 * where pieces are cut. */
int content_stream_next(struct content_stream *s, struct span *in,
                        struct span *out) MUST_USE;
/* What came so far may be all: nothing did, or it ended where the coding has an end. */
bool content_stream_whole(const struct content_stream *s);

#endif

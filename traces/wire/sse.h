/*
 * sse.h - server-sent events without sockets: where each ends, and what it carries.
 *
 * An event stream (WHATWG HTML, 9.2.5 and 9.2.6) is lines that end with LF, CR LF or
 * CR; an empty line ends an event. A block of lines without a `data` field is no event
 * (a comment that keeps the connection alive, say); its bytes are counted with the
 * event behind it. Nothing is copied and nothing is kept but a few counters, so a
 * stream may be as long as it likes. A zeroed splitter is at the beginning of a stream.
 * One thread at a time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_WIRE_SSE_H
#define TRACES_WIRE_SSE_H

#include "traces/base/buf.h"

enum sse_what {
    SSE_MORE,    /* all input was used */
    SSE_EVENT,   /* an event ended; `bytes` of the stream are its own */
    SSE_NOTHING, /* a block ended that is no event */
};

struct sse {
    uint64_t bytes; /* of the event that ended, or that goes on */
    bool inside;    /* a byte of a block came that has not ended yet */
    bool has_data;  /* … and a data field */
    bool ending;    /* … and its end, a CR, which an LF may follow */
    bool after_cr, over;
    uint8_t mark;    /* bytes of a byte order mark at the very beginning */
    uint8_t matched; /* of "data", from the start of the line; more: another name */
    uint64_t column; /* bytes of the present line */
};

/* Consumes from the front of *in up to the end of a block. How the bytes were split
 * never changes the events. */
enum sse_what sse_feed(struct sse *s, struct span *in);
/* Of a stream that is there as a whole: where the block that begins at `from` ends, be
 * it an event or none; behind the empty line after its first line that is not empty.
 * s.n where that does not come. */
size_t sse_block_end(struct span s, size_t from);
/* The stream ended: SSE_EVENT where its last line end might have gone on (CR), else
 * SSE_NOTHING. What is unfinished is no event. */
enum sse_what sse_end(struct sse *s);

/* Appends the data of one whole event: its `data` lines, joined by LF. */
void sse_data(struct span event, struct buf *out);

#endif

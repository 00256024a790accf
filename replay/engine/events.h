/*
 * events.h - an answer that is a stream of server-sent events, for the engines of REST:
 * each event is noted in its request as it comes, with the time of its first byte.
 *
 * An answer in an encoding is decoded for that as it comes, if the encoding is one that
 * can be undone, alone (content_stream.h), and the target sends what it has: an event
 * begins with the bytes from which its first one could be decoded, and its size is that
 * of all that came until its end. Where decoding fails, no more events are noted; what
 * the answer amounts to is not decided here. A zeroed struct is a valid start, and is
 * to be given to done. One thread at a time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef REPLAY_ENGINE_EVENTS_H
#define REPLAY_ENGINE_EVENTS_H

#include "replay/request.h"
#include "traces/wire/content_stream.h"
#include "traces/wire/sse.h"

/* Nothing is held, and nothing done, while it is not on. */
struct rep_events {
    bool on; /* events are to be noted */
    struct sse sse;
    int64_t at_ns;                 /* when the first byte of the present one came */
    struct content_stream *unpack; /* NULL: it is in no encoding */
    uint64_t came, told; /* of encoded bytes: all, and those of events that ended */
};

/* A content type whose body is a stream of events. */
bool rep_is_event_stream(struct span content_type);

/* The head of an answer is there, which is of that type or not; codings: of its body.
 * It may become `most` bytes. */
void rep_events_begin(struct rep_events *v, bool wanted, uint16_t codings,
                      uint64_t most);
/* A piece of its body, read at now_ns. False: there are too many events. */
bool rep_events_feed(struct rep_events *v, struct rep_request *r, struct span data,
                     int64_t now_ns) MUST_USE;
/* The body is whole. False as above. */
bool rep_events_end(struct rep_events *v, struct rep_request *r) MUST_USE;
void rep_events_done(struct rep_events *v);

#endif

/*
 * events.c - see events.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replay/engine/events.h"

bool rep_is_event_stream(struct span content_type)
{
    static const char type[] = "text/event-stream";
    size_t n = sizeof type - 1;
    return content_type.n >= n && span_eq_nocase(span_sub(content_type, 0, n), type) &&
           (content_type.n == n || content_type.p[n] == ';' ||
            content_type.p[n] == ' ');
}

void rep_events_begin(struct rep_events *v, bool wanted, uint16_t codings,
                      uint64_t most)
{
    rep_events_done(v);
    if (!wanted)
        return;
    if (codings != 0)
        v->unpack = content_stream_new(codings, most);
    v->on = codings == 0 || v->unpack;
}

/* An event ended. */
static bool note(struct rep_events *v, struct rep_request *r)
{
    uint64_t bytes = v->unpack ? v->came - v->told : v->sse.bytes;
    v->told = v->came;
    return rep_request_message(r, v->at_ns, bytes) == 0;
}

static bool feed_plain(struct rep_events *v, struct rep_request *r, struct span data,
                       int64_t now_ns)
{
    while (data.n > 0) {
        if (!v->sse.inside)
            v->at_ns = now_ns;
        if (sse_feed(&v->sse, &data) == SSE_EVENT && !note(v, r))
            return false;
    }
    return true;
}

bool rep_events_feed(struct rep_events *v, struct rep_request *r, struct span data,
                     int64_t now_ns)
{
    struct span piece;
    int rc;
    if (!v->on)
        return true;
    if (!v->unpack)
        return feed_plain(v, r, data, now_ns);
    v->came += data.n;
    while ((rc = content_stream_next(v->unpack, &data, &piece)) > 0)
        if (!feed_plain(v, r, piece, now_ns))
            return false;
    if (rc < 0) /* none of what follows can be read */
        rep_events_done(v);
    return true;
}

bool rep_events_end(struct rep_events *v, struct rep_request *r)
{
    return !v->on || sse_end(&v->sse) != SSE_EVENT || note(v, r);
}

void rep_events_done(struct rep_events *v)
{
    content_stream_free(v->unpack);
    *v = (struct rep_events){0};
}

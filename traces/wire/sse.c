/*
 * sse.c - see sse.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/wire/sse.h"

#include <string.h>

#define NO_MATCH ((uint8_t)5) /* more than "data" and its colon */

/* Line by line: `column` bytes of the present one came, of which `matched` are the
 * beginning of "data". A CR ends a line; an LF right behind it belongs to it, so a
 * block that ends with CR is `ending` until the next byte is seen. */

static void line_begins(struct sse *s)
{
    s->column = 0;
    s->matched = 0;
}

static enum sse_what block_ends(struct sse *s)
{
    bool event = s->has_data;
    s->inside = s->has_data = s->ending = false;
    s->over = event; /* the next byte begins to count anew */
    return event ? SSE_EVENT : SSE_NOTHING;
}

/* The present line ended. True when it was empty. */
static bool line_ends(struct sse *s)
{
    bool empty = s->column == 0;
    s->has_data = s->has_data || s->matched == 4; /* "data" alone is a field too */
    line_begins(s);
    return empty;
}

static void line_byte(struct sse *s, uint8_t c)
{
    static const char name[] = "data";
    if (s->matched < 4)
        s->matched = c == (uint8_t)name[s->matched] && s->column == s->matched
                         ? (uint8_t)(s->matched + 1)
                         : NO_MATCH;
    else if (s->matched == 4 && c == ':')
        s->has_data = true;
    if (s->matched == 4 && s->column >= 4)
        s->matched = NO_MATCH; /* "data:" was noted, "database" is another name */
    s->column++;
}

/* A byte order mark at the very beginning is no part of the first line. */
static bool is_mark(struct sse *s, uint8_t c)
{
    static const uint8_t mark[] = {0xef, 0xbb, 0xbf};
    if (s->mark >= sizeof mark)
        return false;
    if (c != mark[s->mark]) {
        s->mark = sizeof mark;
        return false;
    }
    s->mark++;
    return true;
}

enum sse_what sse_feed(struct sse *s, struct span *in)
{
    while (in->n > 0) {
        uint8_t c = *in->p;
        if (s->ending && c != '\n') /* the CR was the whole of it */
            return block_ends(s);
        if (s->over)
            s->bytes = 0;
        s->over = false;
        s->bytes++;
        in->p++;
        in->n--;
        if (s->ending)
            return block_ends(s);
        s->inside = true;
        if (is_mark(s, c))
            continue;
        bool goes_on = c == '\n' && s->after_cr;
        s->after_cr = c == '\r';
        if (goes_on)
            continue;
        if (c != '\n' && c != '\r') {
            line_byte(s, c);
            continue;
        }
        if (!line_ends(s))
            continue;
        if (c == '\n')
            return block_ends(s);
        s->ending = true;
        s->after_cr = false;
    }
    return SSE_MORE;
}

enum sse_what sse_end(struct sse *s)
{
    return s->ending ? block_ends(s) : SSE_NOTHING;
}

/* The next line of *in, without its end. */
static bool next_line(struct span *in, struct span *line)
{
    size_t n = 0;
    if (in->n == 0)
        return false;
    while (n < in->n && in->p[n] != '\n' && in->p[n] != '\r')
        n++;
    *line = span_sub(*in, 0, n);
    n += n < in->n;
    if (n < in->n && in->p[n - 1] == '\r' && in->p[n] == '\n')
        n++;
    *in = span_sub(*in, n, in->n);
    return true;
}

void sse_data(struct span event, struct buf *out)
{
    struct span line;
    bool first = true;

    if (span_starts(event, "\xef\xbb\xbf"))
        event = span_sub(event, 3, event.n);
    while (next_line(&event, &line)) {
        if (!span_eq_str(line, "data") && !span_starts(line, "data:"))
            continue;
        line = span_sub(line, 5, line.n);
        if (span_starts(line, " "))
            line = span_sub(line, 1, line.n);
        if (!first)
            buf_u8(out, '\n');
        buf_span(out, line);
        first = false;
    }
}

size_t sse_block_end(struct span s, size_t from)
{
    bool begun = false;
    for (size_t line = from; line < s.n;) {
        size_t end = line;
        while (end < s.n && s.p[end] != '\n' && s.p[end] != '\r')
            end++;
        size_t next = end + (end < s.n);
        if (next < s.n && s.p[end] == '\r' && s.p[next] == '\n')
            next++;
        if (end == line && begun)
            return next;
        begun |= end > line;
        line = next;
    }
    return s.n;
}

/*
 * hold.c - see hold.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "capture/hold.h"

#include <assert.h>
#include <string.h>

#define COMPACT_MIN 1024u

static const struct cap_mark *marks(const struct cap_hold *h)
{
    return (const struct cap_mark *)(const void *)h->marks.p;
}

static size_t mark_count(const struct cap_hold *h)
{
    return h->marks.n / sizeof(struct cap_mark);
}

void cap_hold_done(struct cap_hold *h)
{
    buf_done(&h->bytes);
    buf_done(&h->marks);
    memset(h, 0, sizeof *h);
}

struct span cap_hold_view(const struct cap_hold *h)
{
    return span_sub(buf_view(&h->bytes), h->start, h->bytes.n);
}

uint64_t cap_hold_end(const struct cap_hold *h)
{
    return h->at + (h->bytes.n - h->start);
}

static void add_mark(struct cap_hold *h, struct clk_wall time)
{
    size_t n = mark_count(h);
    if (n > h->first_mark) {
        if (marks(h)[n - 1].time.ns == time.ns ||
            n - h->first_mark == CAP_HOLD_MARKS_MAX)
            return;
    }
    struct cap_mark mark = {.at = cap_hold_end(h), .time = time};
    buf_add(&h->marks, &mark, sizeof mark);
}

void cap_hold_add(struct cap_hold *h, struct clk_wall time, struct span bytes)
{
    if (!bytes.n)
        return;
    add_mark(h, time);
    if (!h->marks.failed) /* all of it or nothing */
        buf_span(&h->bytes, bytes);
}

static void forget_marks(struct cap_hold *h)
{
    size_t n = mark_count(h);
    while (h->first_mark + 1 < n && marks(h)[h->first_mark + 1].at <= h->at)
        h->first_mark++;
    if (h->first_mark > COMPACT_MIN / 8 && h->first_mark > n / 2) {
        buf_shift(&h->marks, h->first_mark * sizeof(struct cap_mark));
        h->first_mark = 0;
    }
}

void cap_hold_drop(struct cap_hold *h, size_t n)
{
    assert(n <= h->bytes.n - h->start);
    h->start += n;
    h->at += n;
    if (h->start == h->bytes.n) {
        h->bytes.n = h->start = 0;
        h->marks.n = h->first_mark = 0;
        return;
    }
    if (h->start > COMPACT_MIN && h->start > h->bytes.n / 2) {
        buf_shift(&h->bytes, h->start);
        h->start = 0;
    }
    forget_marks(h);
}

void cap_hold_cut(struct cap_hold *h, size_t n)
{
    assert(n <= h->bytes.n - h->start);
    h->bytes.n -= n;
    if (h->start == h->bytes.n) {
        h->bytes.n = h->start = 0;
        h->marks.n = h->first_mark = 0;
        return;
    }
    while (mark_count(h) > h->first_mark + 1 &&
           marks(h)[mark_count(h) - 1].at >= cap_hold_end(h))
        h->marks.n -= sizeof(struct cap_mark);
}

/* Index of the mark that the byte at offset belongs to. */
static size_t mark_of(const struct cap_hold *h, uint64_t offset)
{
    size_t low = h->first_mark, high = mark_count(h);
    while (high - low > 1) {
        size_t mid = low + (high - low) / 2;
        if (marks(h)[mid].at <= offset)
            low = mid;
        else
            high = mid;
    }
    return low;
}

struct clk_wall cap_hold_time(const struct cap_hold *h, uint64_t offset)
{
    return h->marks.n ? marks(h)[mark_of(h, offset)].time : (struct clk_wall){0};
}

bool cap_hold_piece(const struct cap_hold *h, struct clk_wall *time, struct span *bytes)
{
    *bytes = cap_hold_view(h);
    if (!bytes->n)
        return false;
    *time = marks(h)[h->first_mark].time;
    if (h->first_mark + 1 < mark_count(h))
        bytes->n = (size_t)(marks(h)[h->first_mark + 1].at - h->at);
    return true;
}

bool cap_hold_failed(const struct cap_hold *h)
{
    return h->bytes.failed || h->marks.failed;
}

size_t cap_hold_memory(const struct cap_hold *h)
{
    return h->bytes.cap + h->marks.cap;
}

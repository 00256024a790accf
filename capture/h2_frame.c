/*
 * h2_frame.c - see h2_frame.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "capture/h2_frame.h"

#include <stdlib.h>
#include <string.h>

/* Larger header blocks and debug data exist, but not so often that a search needs them.
 */
#define CREDIBLE_BLOCK (64u << 10)
#define SETTINGS_MAX   (6u * 64)
/* Streams of neighbouring frames: a connection has not this many open at once. */
#define NEAR_STREAMS 65536u

struct cap_h2_frame cap_h2_frame_of(const uint8_t head[CAP_H2_HEAD])
{
    uint32_t stream = (uint32_t)head[5] << 24 | (uint32_t)head[6] << 16 |
                      (uint32_t)head[7] << 8 | head[8];
    return (struct cap_h2_frame){
        .length = (uint32_t)head[0] << 16 | (uint32_t)head[1] << 8 | head[2],
        .type = head[3],
        .flags = head[4],
        .stream = stream & 0x7fffffffu,
        .reserved = stream >> 31,
    };
}

bool cap_h2_frame_legal(const struct cap_h2_frame *f)
{
    switch (f->type) {
    case CAP_H2_DATA:
    case CAP_H2_HEADERS:
    case CAP_H2_CONTINUATION:
    case CAP_H2_PUSH_PROMISE:
        return f->stream != 0;
    case CAP_H2_PRIORITY:
        return f->stream != 0 && f->length == 5;
    case CAP_H2_RST_STREAM:
        return f->stream != 0 && f->length == 4;
    case CAP_H2_SETTINGS:
        return f->stream == 0 && f->length % 6 == 0 &&
               (!(f->flags & CAP_H2_ACK) || f->length == 0);
    case CAP_H2_PING:
        return f->stream == 0 && f->length == 8;
    case CAP_H2_GOAWAY:
        return f->stream == 0 && f->length >= 8;
    case CAP_H2_WINDOW_UPDATE:
        return f->length == 4;
    default:
        return true;
    }
}

bool cap_h2_frame_credible(const struct cap_h2_frame *f)
{
    static const uint8_t flags[] = {0x09, 0x2d, 0, 0, 0x01, 0, 0x01, 0, 0, 0x04};
    if (f->type > CAP_H2_CONTINUATION || f->type == CAP_H2_PUSH_PROMISE ||
        f->flags & ~flags[f->type] || f->reserved || !cap_h2_frame_legal(f))
        return false;
    switch (f->type) {
    case CAP_H2_DATA:
        return f->stream % 2 == 1;
    case CAP_H2_HEADERS:
    case CAP_H2_CONTINUATION:
        return f->stream % 2 == 1 && f->length > 0 && f->length <= CREDIBLE_BLOCK;
    case CAP_H2_SETTINGS:
        return f->length <= SETTINGS_MAX;
    case CAP_H2_GOAWAY:
        return f->length <= CREDIBLE_BLOCK;
    default:
        return f->stream % 2 == 1 || f->stream == 0;
    }
}

static bool can_follow(const struct cap_h2_frame *a, const struct cap_h2_frame *b)
{
    bool open = (a->type == CAP_H2_HEADERS || a->type == CAP_H2_CONTINUATION) &&
                !(a->flags & CAP_H2_END_HEADERS);
    if (open)
        return b->type == CAP_H2_CONTINUATION && b->stream == a->stream;
    if (b->type == CAP_H2_CONTINUATION)
        return false;
    uint32_t apart =
        a->stream > b->stream ? a->stream - b->stream : b->stream - a->stream;
    return a->stream == 0 || b->stream == 0 || apart <= NEAR_STREAMS;
}

void cap_h2_sync_done(struct cap_h2_sync *y)
{
    free(y->list);
    memset(y, 0, sizeof *y);
}

void cap_h2_sync_restart(struct cap_h2_sync *y, uint64_t offset)
{
    y->count = 0;
    y->scan = offset;
}

/* The first header of a chain that the hold still has. */
static uint64_t first_held(const struct cap_h2_candidate *k,
                           const struct cap_hold *hold)
{
    for (uint32_t i = 0; i < k->count; i++)
        if (k->at[i] >= hold->at)
            return k->at[i];
    return k->next;
}

/* Follows one candidate over the bytes before `end`. 1: believed; 0: undecided; -1: no.
 */
static int follow(struct cap_h2_candidate *k, const struct cap_hold *hold, uint64_t end)
{
    const uint8_t *bytes = cap_hold_view(hold).p;
    while (k->next + CAP_H2_HEAD <= end) {
        struct cap_h2_frame f = cap_h2_frame_of(bytes + (k->next - hold->at));
        if (!cap_h2_frame_credible(&f) || !can_follow(&k->last, &f))
            return -1;
        k->at[k->count++] = k->next;
        k->next += CAP_H2_HEAD + f.length;
        k->last = f;
        if (k->count == CAP_H2_SYNC_FRAMES)
            return 1;
    }
    return 0;
}

static void add_candidate(struct cap_h2_sync *y, const struct cap_h2_candidate *k)
{
    if (!y->list && !(y->list = malloc(CAP_H2_CANDIDATES * sizeof *y->list)))
        return;
    if (y->count < CAP_H2_CANDIDATES) {
        y->list[y->count++] = *k;
        return;
    }
    /* The one that claims the longest frame is the least likely. */
    uint32_t far = 0;
    for (uint32_t i = 1; i < y->count; i++)
        if (y->list[i].next > y->list[far].next)
            far = i;
    if (k->next < y->list[far].next)
        y->list[far] = *k;
}

static bool follow_all(struct cap_h2_sync *y, const struct cap_hold *hold, uint64_t end,
                       uint64_t *found)
{
    for (uint32_t i = 0; i < y->count;) {
        int rc = follow(&y->list[i], hold, end);
        if (rc > 0) {
            *found = first_held(&y->list[i], hold);
            return true;
        }
        if (rc < 0)
            y->list[i] = y->list[--y->count];
        else
            i++;
    }
    return false;
}

/* Where the first header lies that a candidate waits for. */
static uint64_t next_header(const struct cap_h2_sync *y)
{
    uint64_t next = UINT64_MAX;
    for (uint32_t i = 0; i < y->count; i++)
        next = y->list[i].next < next ? y->list[i].next : next;
    return next;
}

/* The chain is believed that is complete first, counted in bytes of the connection: as
 * if they came one by one, so that in which pieces they come makes no difference. */
bool cap_h2_sync_scan(struct cap_h2_sync *y, const struct cap_hold *hold,
                      uint64_t *found)
{
    struct span bytes = cap_hold_view(hold);
    if (y->scan < hold->at)
        y->scan = hold->at;
    uint64_t waits = next_header(y);
    for (; y->scan + CAP_H2_HEAD <= hold->at + bytes.n; y->scan++) {
        if (waits <= y->scan) {
            if (follow_all(y, hold, y->scan + CAP_H2_HEAD, found))
                return true;
            waits = next_header(y);
        }
        const uint8_t *p = bytes.p + (y->scan - hold->at);
        if (p[3] > CAP_H2_CONTINUATION || p[5] & 0x80)
            continue;
        struct cap_h2_frame f = cap_h2_frame_of(p);
        if (!cap_h2_frame_credible(&f))
            continue;
        struct cap_h2_candidate k = {.at = {y->scan},
                                     .next = y->scan + CAP_H2_HEAD + f.length,
                                     .last = f,
                                     .count = 1};
        add_candidate(y, &k);
        waits = next_header(y);
    }
    return false;
}

bool cap_h2_sync_end(struct cap_h2_sync *y, const struct cap_hold *hold,
                     uint64_t *found)
{
    for (uint32_t i = 0; i < y->count; i++) {
        struct cap_h2_candidate *k = &y->list[i];
        if (k->count + 1 >= CAP_H2_SYNC_FRAMES && k->next == cap_hold_end(hold)) {
            *found = first_held(k, hold);
            return *found < cap_hold_end(hold);
        }
    }
    return false;
}

size_t cap_h2_sync_spare(const struct cap_h2_sync *y, const struct cap_hold *hold)
{
    uint64_t keep = y->scan;
    for (uint32_t i = 0; i < y->count; i++) {
        uint64_t first = first_held(&y->list[i], hold);
        keep = first < keep ? first : keep;
    }
    uint64_t end = cap_hold_end(hold);
    if (end - keep > CAP_H2_SYNC_HOLD)
        keep = end - CAP_H2_SYNC_HOLD;
    return keep > hold->at ? (size_t)(keep - hold->at) : 0;
}

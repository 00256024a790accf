/*
 * spare.c - see spare.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "capture/spare.h"

#include <stdlib.h>
#include <string.h>

/* A sender says how long its body will be, and may lie: for each byte that is there, so
 * many are believed. Above that, a body is copied as it grows. */
#define BELIEVED 4u
/* A spare buffer may be so many times as large as what goes into it. */
#define SLACK 2u

void cap_spare_done(struct cap_spare *s)
{
    for (uint32_t i = 0; i < s->count; i++)
        buf_done(&s->kept[i]);
    *s = (struct cap_spare){.limit = s->limit};
}

static size_t round_up(size_t n)
{
    return (n + 4095) & ~(size_t)4095;
}

size_t cap_spare_wants(const struct buf *b, size_t more, uint64_t expected)
{
    size_t need = b->n + more, believed = need * BELIEVED;
    if (expected > need)
        return round_up(expected < believed ? (size_t)expected : believed);
    return round_up(need < 2 * b->cap ? 2 * b->cap : need);
}

/* Takes the smallest that has room for n, and not for much more. */
static bool take(struct cap_spare *s, size_t n, struct buf *out)
{
    uint32_t best = s->count;
    for (uint32_t i = s->count; i > 0; i--) {
        size_t cap = s->kept[i - 1].cap;
        if (cap >= n && cap / SLACK <= n &&
            (best == s->count || cap < s->kept[best].cap))
            best = i - 1;
    }
    if (best == s->count)
        return false;
    *out = s->kept[best];
    s->bytes -= out->cap;
    s->count--;
    memmove(s->kept + best, s->kept + best + 1, (s->count - best) * sizeof *s->kept);
    return true;
}

void cap_spare_reserve(struct cap_spare *s, struct buf *b, size_t more,
                       uint64_t expected)
{
    if (b->failed || more <= b->cap - b->n)
        return;
    size_t need = b->n + more;
    if (!s || need < CAP_SPARE_FROM || need > BUF_MAX / BELIEVED) {
        buf_reserve(b, more);
        return;
    }
    struct buf larger = {0};
    bool known = expected > need && expected <= BUF_MAX;
    if ((!known || !take(s, (size_t)expected, &larger)) &&
        !take(s, cap_spare_wants(b, more, expected), &larger)) {
        larger.cap = cap_spare_wants(b, more, expected);
        larger.p = malloc(larger.cap);
        if (!larger.p) {
            b->failed = true;
            return;
        }
    }
    if (b->n > 0)
        memcpy(larger.p, b->p, b->n);
    larger.n = b->n;
    cap_spare_give(s, b);
    *b = larger;
}

void cap_spare_give(struct cap_spare *s, struct buf *b)
{
    size_t limit = s && s->limit ? s->limit : CAP_SPARE_BYTES;
    if (!s || b->cap < CAP_SPARE_FROM || s->count == CAP_SPARE_COUNT ||
        b->cap > limit - s->bytes) {
        buf_done(b);
        return;
    }
    s->bytes += b->cap;
    s->kept[s->count] = *b;
    s->kept[s->count].n = 0;
    s->kept[s->count++].failed = false;
    *b = (struct buf){0};
}

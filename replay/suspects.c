/*
 * suspects.c - see suspects.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replay/suspects.h"

#include <string.h>

#include "replay/answer.h"
#include "replay/plan.h"

/* Puts a decided request where later suspects look for it. */
static void remember(struct rep_suspects *s, struct rep_request *r)
{
    struct rep_request **place = &s->seen[s->count++ % REP_SUSPECTS_SEEN];
    buf_done(&r->answer);
    if (*place)
        rep_request_release(*place);
    *place = r;
}

static void decide(struct rep_suspects *s, size_t at)
{
    struct rep_request *r = s->held[at].r;
    s->held_count--;
    memmove(&s->held[at], &s->held[at + 1], (s->held_count - at) * sizeof(s->held[0]));
    s->decided(s->arg, r);
    remember(s, r);
}

/* Is one of those that are held the answer to r (or NULL)? Has one waited enough? */
static void ask_held(struct rep_suspects *s, const struct rep_request *r)
{
    for (size_t i = 0; i < s->held_count;) {
        bool fits = r && rep_answer_fits(s->held[i].r, r, &s->arena);
        if (fits)
            s->held[i].r->out.check = OUT_CROSSED;
        if (fits || s->held[i].until <= s->clock)
            decide(s, i);
        else
            i++;
    }
}

/* Two whose answers were exchanged with each other: each has what is held of the other.
 */
static bool fits_one_known(struct rep_suspects *s, const struct rep_request *r)
{
    for (size_t i = 0; i < REP_SUSPECTS_SEEN; i++)
        if (s->seen[i] && rep_answer_fits(r, s->seen[i], &s->arena))
            return true;
    for (size_t i = 0; i < s->held_count; i++)
        if (rep_answer_fits(r, s->held[i].r, &s->arena))
            return true;
    return false;
}

void rep_suspects_tick(struct rep_suspects *s, int64_t now_ns)
{
    while (s->held_count > 0 && s->held[0].until_ns <= now_ns)
        decide(s, 0);
}

void rep_suspects_add(struct rep_suspects *s, struct rep_request *r, int64_t now_ns)
{
    bool tells = rep_answer_tells(r);

    s->clock++;
    if (tells && r->out.check == OUT_WRONG && fits_one_known(s, r))
        r->out.check = OUT_CROSSED;
    ask_held(s, tells ? r : NULL);
    if (tells && r->out.check == OUT_WRONG) {
        if (s->held_count == REP_SUSPECTS_MAX)
            decide(s, 0);
        s->held[s->held_count++] =
            (struct rep_suspect){.r = r,
                                 .until = s->clock + REP_SUSPECTS_SEEN,
                                 .until_ns = now_ns + REP_SUSPECTS_NS};
        return;
    }
    s->decided(s->arg, r);
    if (tells)
        remember(s, r);
    else
        rep_request_release(r);
}

void rep_suspects_done(struct rep_suspects *s)
{
    while (s->held_count > 0)
        decide(s, 0);
    for (size_t i = 0; i < REP_SUSPECTS_SEEN; i++)
        if (s->seen[i])
            rep_request_release(s->seen[i]);
    memset(s->seen, 0, sizeof s->seen);
    s->count = s->clock = 0;
    arena_done(&s->arena);
}

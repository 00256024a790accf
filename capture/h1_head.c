/*
 * h1_head.c - heads of HTTP/1.1: at once, from what is held, or behind a gap where one
 * has to be searched for. See h1_own.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "capture/h1_own.h"

#define SEARCH_HOLD_MAX (16u << 10)

/* --- what is held ----------------------------------------------------------------- */

static size_t scanned(const struct cap_h1_side *s)
{
    return s->scanned > s->hold.at ? (size_t)(s->scanned - s->hold.at) : 0;
}

void cap_h1_drop_hold(struct cap_h1 *h, int dir, enum cap_fate fate, size_t n)
{
    cap_hold_drop(&h->side[dir].hold, n);
    cap_count_settle(h->c, dir, fate, n);
}

void cap_h1_hold_bytes(struct cap_h1 *h, int dir, struct clk_wall at, struct span bytes)
{
    struct cap_h1_side *s = &h->side[dir];
    cap_hold_add(&s->hold, at, bytes);
    if (cap_hold_failed(&s->hold)) {
        h->c->failed = true;
        return;
    }
    cap_count_pending(h->c, dir, bytes.n);
}

/* --- one head --------------------------------------------------------------------- */

static enum http1_kind kind_of(int dir)
{
    return dir == CAP_TO_SERVER ? HTTP1_REQUEST : HTTP1_RESPONSE;
}

static void count_lost(struct cap_h1 *h, int dir, const struct err *e)
{
    struct cap_parse_totals *t = &h->c->parse->totals;
    if (dir == CAP_TO_SERVER)
        *(e->code == ERR_LIMIT ? &t->lost_limit : &t->lost_malformed) += 1;
}

/* A head of a receiver's own making: begins the message. */
static void take_head(struct cap_h1 *h, int dir, struct span bytes,
                      struct clk_wall first, struct clk_wall at)
{
    const struct http1_head *head = &h->c->parse->head;
    if (dir == CAP_TO_SERVER) {
        cap_h1_begin_request(h, head, bytes, first, at);
    } else if (head->status < 200 && head->status != 101) {
        cap_count(h->c, dir, CAP_FATE_FRAMING, bytes.n); /* the answer is to come */
        h->side[dir].state = CAP_H1_START;
        h->side[dir].from_search = false;
    } else {
        cap_h1_begin_answer(h, head, bytes, first, at);
    }
}

/* The head in the hold (or what should be one) is not good: look for the next. */
static void reject_head(struct cap_h1 *h, int dir, size_t resume, const struct err *e)
{
    struct cap_h1_side *s = &h->side[dir];
    count_lost(h, dir, e);
    cap_h1_retract(h, dir);
    cap_h1_search_from(s, s->hold.at + resume);
    cap_h1_lose(h, dir);
    h->c->parse->totals.resyncs++;
}

/* A whole head in the hold. */
static void held_head(struct cap_h1 *h, int dir, size_t n)
{
    struct cap_h1_side *s = &h->side[dir];
    struct span bytes = span_sub(cap_hold_view(&s->hold), 0, n);
    struct err e = {0};
    if (http1_parse_head(kind_of(dir), bytes, &h->c->parse->head, &e) < 0) {
        reject_head(h, dir, cap_h1_bad_line(bytes, &e), &e);
        return;
    }
    cap_count_again(h->c, dir, n); /* take_head counts these bytes anew */
    take_head(h, dir, bytes, cap_hold_time(&s->hold, s->hold.at),
              cap_hold_time(&s->hold, s->hold.at + n - 1));
    cap_hold_drop(&s->hold, n);
    s->scanned = s->hold.at;
}

bool cap_h1_whole_head(struct cap_h1 *h, int dir, struct clk_wall at, struct span *in)
{
    struct cap_h1_side *s = &h->side[dir];
    if (s->trial || s->hold.bytes.n || cap_h1_can_start(dir, *in) != CAP_H1_YES)
        return false;
    struct http1_head *head = &h->c->parse->head;
    struct span bytes = span_sub(*in, 0, HTTP1_HEAD_MAX);
    if ((dir == CAP_TO_SERVER && span_starts(bytes, "PRI ")) ||
        http1_known_parse(&h->c->parse->known[dir], kind_of(dir), bytes, head, NULL) <
            0)
        return false; /* the slow way finds out why */
    take_head(h, dir, span_sub(bytes, 0, head->bytes), at, at);
    *in = span_sub(*in, head->bytes, in->n);
    return true;
}

/* --- where one must begin --------------------------------------------------------- */

/* Empty lines in front of a request (RFC 9112 2.2). */
static bool skip_empty_line(struct cap_h1 *h, int dir)
{
    struct span s = cap_hold_view(&h->side[dir].hold);
    if (dir != CAP_TO_SERVER || s.n < 2 || s.p[0] != '\r' || s.p[1] != '\n')
        return false;
    cap_h1_drop_hold(h, dir, CAP_FATE_FRAMING, 2);
    h->side[dir].scanned = h->side[dir].hold.at;
    return true;
}

bool cap_h1_examine_start(struct cap_h1 *h, int dir)
{
    struct cap_h1_side *s = &h->side[dir];
    if (skip_empty_line(h, dir))
        return true;
    struct span bytes = cap_hold_view(&s->hold);
    struct err e = {.code = ERR_FORMAT};
    if (dir == CAP_TO_SERVER && bytes.n == 1 && bytes.p[0] == '\r')
        return false;
    enum cap_h1_verdict start = s->trial && dir == CAP_TO_SERVER
                                    ? cap_h1_starts_with_known_method(bytes)
                                    : cap_h1_can_start(dir, bytes);
    if (start == CAP_H1_NO)
        reject_head(h, dir, 0, &e);
    if (start != CAP_H1_YES)
        return start == CAP_H1_NO;
    cap_h1_release(h, dir);
    if (dir == CAP_TO_SERVER && span_starts(bytes, "PRI ")) {
        s->state = CAP_H1_HTTP2;
        return true;
    }
    size_t end = cap_h1_head_end(bytes, scanned(s));
    if (end && end <= HTTP1_HEAD_MAX) {
        held_head(h, dir, end);
        return true;
    }
    s->scanned = cap_hold_end(&s->hold);
    if (bytes.n <= HTTP1_HEAD_MAX)
        return false;
    e.code = ERR_LIMIT;
    reject_head(h, dir, 1, &e);
    return true;
}

/* --- where one may begin ---------------------------------------------------------- */

/* A head that was found behind a gap must be more than well-formed. */
static bool credible(int dir, const struct http1_head *head)
{
    return dir == CAP_TO_CLIENT || head->minor_version == 0 ||
           http1_field(head, "host").n > 0;
}

/* The hold begins with a start line: is the rest of the head there, and good? */
static bool try_candidate(struct cap_h1 *h, int dir)
{
    struct cap_h1_side *s = &h->side[dir];
    struct span bytes = cap_hold_view(&s->hold);
    size_t end = cap_h1_head_end(bytes, scanned(s));
    /* Wherever the next candidate begins, nothing is looked through twice. */
    s->scanned = end ? s->hold.at + end - 1 : cap_hold_end(&s->hold);
    if (!end && bytes.n <= HTTP1_HEAD_MAX)
        return false;
    struct err e = {0};
    s->candidate = false;
    if (!end || end > HTTP1_HEAD_MAX) {
        s->resume = s->hold.at + 1;
        return true;
    }
    struct span head = span_sub(bytes, 0, end);
    if (http1_parse_head(kind_of(dir), head, &h->c->parse->head, &e) < 0 ||
        !credible(dir, &h->c->parse->head)) {
        s->resume = s->hold.at + (e.code ? cap_h1_bad_line(head, &e) : end);
        return true;
    }
    s->state = CAP_H1_START;
    s->from_search = true;
    held_head(h, dir, end);
    return true;
}

bool cap_h1_examine_search(struct cap_h1 *h, int dir)
{
    struct cap_h1_side *s = &h->side[dir];
    if (s->candidate)
        return try_candidate(h, dir);
    struct span bytes = cap_hold_view(&s->hold);
    size_t from = s->resume > s->hold.at ? (size_t)(s->resume - s->hold.at) : 0;
    size_t start = 0;
    if (from >= bytes.n)
        from = bytes.n;
    s->candidate = cap_h1_find_start(dir, bytes, &from, &start);
    if (s->candidate) {
        cap_h1_drop_hold(h, dir, CAP_FATE_OPAQUE, start);
        s->scanned = s->scanned > s->hold.at ? s->scanned : s->hold.at;
        return true;
    }
    s->resume = s->hold.at + from;
    if (bytes.n > SEARCH_HOLD_MAX || from == bytes.n)
        cap_h1_drop_hold(h, dir, CAP_FATE_OPAQUE, from);
    return false;
}

/*
 * h1_capture.c - see h1_capture.h. First the pairing of requests and answers, then one
 * message's framing, then the search for the next one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "capture/h1_capture.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "capture/hold.h"

#define WAITING_MAX      1024u /* answers whose requests have not come yet */
#define METHOD_MAX       24u
#define CHUNK_LINE_MAX   4096u
#define CHUNK_DIGITS_MAX 16u
/* Of a start line behind a gap, up to its version. */
#define SEARCH_LINE_MAX 2000u
#define SEARCH_HOLD_MAX (16u << 10)

enum state {
    ST_START, /* between messages, or in a head that is held */
    ST_LENGTH,
    ST_CLOSE,
    ST_PEEK, /* at the body of an answer whose request is not known */
    ST_CHUNK_SIZE,
    ST_CHUNK_EXT,
    ST_CHUNK_SIZE_LF,
    ST_CHUNK_DATA,
    ST_CHUNK_CR,
    ST_CHUNK_LF,
    ST_TRAILER, /* at the beginning of a line */
    ST_TRAILER_LINE,
    ST_TRAILER_LF,
    ST_TRAILER_END,
    ST_SEARCH,
    ST_TUNNEL,
    ST_HTTP2,
};

struct side {
    enum state state, after_peek;
    struct cap_hold hold;
    uint64_t scanned; /* offset in hold up to which the end of a head was looked for */
    uint64_t resume;  /* ST_SEARCH: offset from which a start line is looked for */
    bool candidate;   /* ST_SEARCH: hold begins with a start line */
    struct cap_pending *msg;   /* whose half is being read */
    struct cap_pending *trial; /* complete, but what follows it decides */
    uint64_t left;             /* of a length or a chunk */
    uint32_t digits, line;
    bool from_search;
};

struct list {
    struct cap_pending *head, *tail;
    uint32_t count;
};

struct cap_h1 {
    struct cap_conn *c;
    struct side side[2];
    struct list asked;            /* requests in order, until they are handed on */
    struct list waiting;          /* answers without a request */
    struct cap_pending *next;     /* the first of asked without an answer */
    struct cap_pending *upgraded; /* the request that asked for h2c */
    uint32_t requests;
    bool uncertain; /* messages may be missing: pair by time */
    bool pipelined;
    struct clk_wall last_answer; /* its last byte */
};

/* --- lists ------------------------------------------------------------------------ */

static void list_add(struct list *l, struct cap_pending *p)
{
    p->next = NULL;
    p->prev = l->tail;
    *(l->tail ? &l->tail->next : &l->head) = p;
    l->tail = p;
    l->count++;
}

static void list_take(struct list *l, struct cap_pending *p)
{
    *(p->prev ? &p->prev->next : &l->head) = p->next;
    *(p->next ? &p->next->prev : &l->tail) = p->prev;
    p->next = p->prev = NULL;
    l->count--;
}

/* --- pairing ---------------------------------------------------------------------- */

static void leave_asked(struct cap_h1 *h, struct cap_pending *p)
{
    if (h->next == p)
        h->next = p->next;
    list_take(&h->asked, p);
    for (int dir = 0; dir < 2; dir++) {
        struct side *s = &h->side[dir];
        if (s->msg == p)
            s->msg = NULL;
        if (s->trial == p)
            s->trial = NULL;
    }
}

static void hand_on(struct cap_h1 *h, struct cap_pending *p)
{
    leave_asked(h, p);
    cap_pending_emit(h->c, p);
}

static void orphan(struct cap_h1 *h, struct cap_pending *answer)
{
    struct side *s = &h->side[CAP_TO_CLIENT];
    h->c->parse->totals.orphan_answers++;
    list_take(&h->waiting, answer);
    if (s->trial == answer)
        s->trial = NULL;
    cap_pending_drop(h->c, answer, CAP_FATE_OPAQUE);
}

static void hand_on_when_complete(struct cap_h1 *h, struct cap_pending *p)
{
    const struct cap_half *answer = &p->half[CAP_TO_CLIENT];
    bool lost = !answer->begun && answer->loss != CAP_LOSS_NONE;
    if (p->half[0].ended && (answer->ended || lost) && h->side[0].trial != p &&
        h->side[1].trial != p)
        hand_on(h, p);
}

static bool older(struct clk_wall a, struct clk_wall b)
{
    return a.ns < b.ns;
}

static void pair(struct cap_h1 *h, struct cap_pending *request,
                 struct cap_pending *answer)
{
    struct side *s = &h->side[CAP_TO_CLIENT];
    list_take(&h->waiting, answer);
    cap_pending_move_answer(request, answer);
    if (s->msg == answer)
        s->msg = request;
    if (s->trial == answer)
        s->trial = request;
    cap_pending_drop(h->c, answer, CAP_FATE_OPAQUE); /* nothing is left in it */
    h->next = request->next;
    if (h->uncertain && !h->next && !h->waiting.count)
        h->uncertain = false; /* one question, one answer, nothing else open */
    hand_on_when_complete(h, request);
}

/* The request will not get its answer any more: that is missing. */
static void answer_is_lost(struct cap_h1 *h, struct cap_pending *request)
{
    h->next = request->next;
    request->half[CAP_TO_CLIENT].loss = CAP_LOSS_GAP;
    hand_on_when_complete(h, request);
}

/* Its answer may be among what is missing, and with it the next request: then what
 * comes now may answer that one. */
static bool answer_may_be_another(const struct cap_h1 *h,
                                  const struct cap_pending *request)
{
    bool asked_more = h->c->unseen[0] || request->half[0].lost_before != h->c->lost[0];
    return asked_more && request->half[1].lost_before != h->c->lost[1];
}

static void pair_by_time(struct cap_h1 *h)
{
    struct cap_pending *request, *answer;
    while ((request = h->next) && (answer = h->waiting.head)) {
        struct clk_wall answered = answer->half[CAP_TO_CLIENT].first;
        if (older(answered, request->half[0].first)) {
            if (answer == h->side[CAP_TO_CLIENT].msg)
                return; /* orphaned once it is complete */
            orphan(h, answer);
        } else if ((request->next && !older(answered, request->next->half[0].first)) ||
                   answer_may_be_another(h, request)) {
            answer_is_lost(h, request);
        } else {
            pair(h, request, answer);
        }
    }
}

static void pair_all(struct cap_h1 *h)
{
    if (h->uncertain) {
        pair_by_time(h);
        return;
    }
    while (h->next && h->waiting.head)
        pair(h, h->next, h->waiting.head);
}

/* Whole messages of this direction may be missing from here on. */
static void lose(struct cap_h1 *h, int dir)
{
    h->c->lost[dir]++;
    h->uncertain = true;
    if (!h->pipelined)
        return;
    /* Which of several open requests the next answer belongs to cannot be told. */
    struct cap_pending *p = h->next;
    while (p) {
        struct cap_pending *after = p->next;
        answer_is_lost(h, p);
        p = after;
    }
}

static void too_many(struct cap_h1 *h)
{
    if (h->asked.count > CAP_PIPELINED_MAX) {
        struct cap_pending *p = h->asked.head;
        h->uncertain = true;
        h->c->parse->totals.streams_dropped++;
        p->half[CAP_TO_CLIENT].loss = CAP_LOSS_LIMIT;
        if (p != h->side[0].msg && p != h->side[1].msg)
            hand_on(h, p);
    }
    if (h->waiting.count > WAITING_MAX && h->waiting.head != h->side[1].msg)
        orphan(h, h->waiting.head);
}

static void aged(void *owner, struct cap_pending *p)
{
    struct cap_h1 *h = owner;
    h->uncertain = true;
    hand_on(h, p);
}

/* --- messages --------------------------------------------------------------------- */

static struct cap_half *half_of(struct side *s, int dir)
{
    return &s->msg->half[dir];
}

static void search_from(struct side *s, uint64_t offset)
{
    s->state = ST_SEARCH;
    s->candidate = false;
    s->resume = offset;
    s->scanned = offset;
}

/* What the trial was about is decided: it is a message. */
static void release(struct cap_h1 *h, int dir)
{
    struct cap_pending *p = h->side[dir].trial;
    if (!p)
        return;
    h->side[dir].trial = NULL;
    if (dir == CAP_TO_SERVER)
        cap_pending_asked(p);
    if (p->half[0].begun)
        hand_on_when_complete(h, p);
    else
        pair_all(h);
}

/* It is not: it only looked like one. */
static void retract(struct cap_h1 *h, int dir)
{
    struct cap_pending *p = h->side[dir].trial;
    h->side[dir].trial = NULL;
    if (!p)
        return;
    if (dir == CAP_TO_CLIENT && !p->half[0].begun) {
        list_take(&h->waiting, p);
        cap_pending_drop(h->c, p, CAP_FATE_OPAQUE);
    } else if (dir == CAP_TO_CLIENT) {
        cap_half_drop(h->c, dir, &p->half[dir], CAP_FATE_OPAQUE);
        p->half[dir].loss = CAP_LOSS_GAP;
        hand_on_when_complete(h, p);
    } else if (!p->half[CAP_TO_CLIENT].begun) {
        leave_asked(h, p);
        cap_pending_drop(h->c, p, CAP_FATE_OPAQUE);
    } else { /* what seemed to be its answer is that of another */
        if (h->next == p)
            h->next = p->next;
        list_take(&h->asked, p);
        cap_half_drop(h->c, dir, &p->half[dir], CAP_FATE_OPAQUE);
        list_add(&h->waiting, p);
    }
    h->uncertain = true;
}

static void message_ends(struct cap_h1 *h, int dir, struct clk_wall at)
{
    struct side *s = &h->side[dir];
    struct cap_pending *p = s->msg;
    struct cap_half *half = half_of(s, dir);
    half->ended = true;
    half->last = at;
    s->msg = NULL;
    s->state = ST_START;
    s->scanned = s->hold.at;
    if (dir == CAP_TO_CLIENT) {
        h->last_answer = at;
        if (!h->uncertain && p->half[0].begun && p->next &&
            older(p->next->half[0].first, at))
            h->pipelined = true;
    }
    if (s->from_search) {
        s->from_search = false;
        s->trial = p;
        return;
    }
    if (dir == CAP_TO_SERVER)
        cap_pending_asked(p);
    if (p->half[0].begun)
        hand_on_when_complete(h, p);
    else
        pair_all(h);
}

/* The rest of the message is not there, and neither is where the next one begins. */
static void message_breaks(struct cap_h1 *h, int dir, struct clk_wall at)
{
    struct side *s = &h->side[dir];
    struct cap_half *half = half_of(s, dir);
    half->loss = CAP_LOSS_GAP;
    half->broken = true;
    s->from_search = false;
    message_ends(h, dir, at);
    search_from(s, s->hold.at);
    lose(h, dir);
}

static void choose_request_body(struct cap_h1 *h, const struct http1_head *head,
                                struct clk_wall at)
{
    struct side *s = &h->side[CAP_TO_SERVER];
    s->left = head->length;
    if (head->chunked)
        s->state = ST_CHUNK_SIZE;
    else if (head->has_length && head->length)
        s->state = ST_LENGTH;
    else
        message_ends(h, CAP_TO_SERVER, at);
}

static void begin_request(struct cap_h1 *h, const struct http1_head *head,
                          struct span bytes, struct clk_wall first, struct clk_wall at)
{
    struct side *s = &h->side[CAP_TO_SERVER];
    struct cap_pending *p = cap_pending_new(h->c, h->requests++);
    if (!p)
        return;
    struct cap_half *half = &p->half[0];
    half->begun = true;
    half->first = first;
    half->last = at;
    cap_pending_begun(p);
    half->lost_before = h->c->lost[0];
    /* Until its answer comes. Joined midway, what is missing in front of the first
     * answer's bytes is no gap, for nobody knows where they begin. */
    bool blind = !h->c->info.from_start && h->c->seen[1] == 0;
    p->half[1].lost_before = h->c->lost[1] - blind;
    p->gap_near = h->uncertain;
    uint32_t base = cap_half_head(half, bytes, head);
    p->method = cap_half_part(half, bytes, base, head->method);
    p->path = cap_half_part(half, bytes, base, head->target);
    p->authority = cap_half_part(half, bytes, base, http1_field(head, "host"));
    p->method_known = p->path_known = true;
    p->is_head = span_eq_str(head->method, "HEAD");
    p->is_connect = span_eq_str(head->method, "CONNECT");
    p->wants_h2c = span_eq_nocase(http1_field(head, "upgrade"), "h2c");
    cap_half_hold(h->c, CAP_TO_SERVER, half, bytes.n);
    cap_half_charge(h->c, half);
    if (!h->uncertain && older(first, h->last_answer))
        h->pipelined = true; /* it did not wait */
    list_add(&h->asked, p);
    if (!h->next)
        h->next = p;
    s->msg = p;
    choose_request_body(h, head, at);
    pair_all(h);
    too_many(h);
}

static bool is_tunnel(const struct cap_pending *p, const struct http1_head *head)
{
    return head->status == 101 || (p->is_connect && head->status / 100 == 2);
}

/* 101, or 2xx to CONNECT: no HTTP/1.1 follows. */
static void switch_protocol(struct cap_h1 *h, const struct http1_head *head,
                            struct cap_pending *p, struct clk_wall at)
{
    struct side *s = &h->side[CAP_TO_CLIENT];
    bool h2c =
        head->status == 101 && span_eq_nocase(http1_field(head, "upgrade"), "h2c");
    if (!h2c) {
        h->c->parse->totals.connections_tunnel++;
        message_ends(h, CAP_TO_CLIENT, at);
        release(h, CAP_TO_CLIENT);
        s->state = ST_TUNNEL;
        if (h->side[0].state == ST_START)
            h->side[0].state = ST_TUNNEL;
        return;
    }
    if (p->half[0].begun && !p->half[0].ended) {
        /* Its body is still to come in HTTP/1.1: it stays here, answered by the 101. */
        message_ends(h, CAP_TO_CLIENT, at);
        release(h, CAP_TO_CLIENT);
        s->state = ST_HTTP2;
        return;
    }
    s->msg = NULL;
    s->from_search = false;
    s->state = ST_HTTP2;
    /* The answer to the request comes on stream 1; this one is framing. */
    cap_half_drop(h->c, CAP_TO_CLIENT, &p->half[1], CAP_FATE_FRAMING);
    if (!p->half[0].begun) {
        list_take(&h->waiting, p);
        cap_pending_drop(h->c, p, CAP_FATE_FRAMING);
        return;
    }
    leave_asked(h, p);
    p->status = 0;
    h->upgraded = p;
}

static void choose_answer_body(struct cap_h1 *h, const struct http1_head *head,
                               struct cap_pending *p, struct clk_wall at)
{
    struct side *s = &h->side[CAP_TO_CLIENT];
    bool known = p->half[0].begun;
    if (is_tunnel(p, head)) {
        switch_protocol(h, head, p, at);
        return;
    }
    if (p->is_head || head->status == 204 || head->status == 304 ||
        (!head->chunked && head->has_length && head->length == 0)) {
        message_ends(h, CAP_TO_CLIENT, at);
        return;
    }
    s->left = head->length;
    s->state = head->chunked ? ST_CHUNK_SIZE : head->has_length ? ST_LENGTH : ST_CLOSE;
    if (!known) { /* it may answer a HEAD */
        s->after_peek = s->state;
        s->state = ST_PEEK;
    }
}

static void begin_answer(struct cap_h1 *h, const struct http1_head *head,
                         struct span bytes, struct clk_wall first, struct clk_wall at)
{
    struct side *s = &h->side[CAP_TO_CLIENT];
    /* Nearly always it is plain whose answer this is. */
    bool paired = h->next && !h->waiting.head && !h->uncertain;
    struct cap_pending *p = paired ? h->next : cap_pending_new(h->c, 0);
    if (!p)
        return;
    struct cap_half *half = &p->half[1];
    half->begun = true;
    half->first = first;
    half->last = at;
    p->status = head->status;
    cap_half_head(half, bytes, head);
    cap_half_hold(h->c, CAP_TO_CLIENT, half, bytes.n);
    cap_half_charge(h->c, half);
    s->msg = p;
    if (paired) {
        h->next = p->next;
    } else {
        p->gap_near = h->uncertain;
        list_add(&h->waiting, p);
        pair_all(h);
    }
    choose_answer_body(h, head, s->msg, at);
    too_many(h);
}

/* --- heads ------------------------------------------------------------------------ */

static bool is_token(uint8_t c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
           (c && strchr("!#$%&'*+-.^_`|~", c));
}

enum verdict { NO, YES, MORE };

/* Those that a search believes in. */
static const char *const methods[] = {"GET",   "HEAD",    "POST",  "PUT",
                                      "PATCH", "OPTIONS", "DELETE"};

static enum verdict starts_with_known_method(struct span s)
{
    enum verdict best = NO;
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        size_t n = strlen(methods[i]);
        if (memcmp(s.p, methods[i], s.n < n ? s.n : n) != 0)
            continue;
        if (s.n <= n)
            best = MORE;
        else if (s.p[n] == ' ')
            return YES;
    }
    return best;
}

/* Whether these bytes can begin a message. */
static enum verdict can_start(int dir, struct span s)
{
    if (dir == CAP_TO_CLIENT) {
        size_t n = s.n < 7 ? s.n : 7;
        return memcmp(s.p, "HTTP/1.", n) != 0 ? NO : n == 7 ? YES : MORE;
    }
    for (size_t i = 0; i < s.n && i <= METHOD_MAX; i++) {
        if (s.p[i] == ' ')
            return i ? YES : NO;
        if (!is_token(s.p[i]))
            return NO;
    }
    return s.n > METHOD_MAX ? NO : MORE;
}

/* Offset in s behind the empty line that ends a head, looking from `from`; 0: none. */
static size_t head_end(struct span s, size_t from)
{
    while (from < s.n) {
        const uint8_t *lf = memchr(s.p + from, '\n', s.n - from);
        if (!lf)
            return 0;
        size_t i = (size_t)(lf - s.p);
        if ((i >= 1 && s.p[i - 1] == '\n') ||
            (i >= 2 && s.p[i - 1] == '\r' && s.p[i - 2] == '\n'))
            return i + 1;
        from = i + 1;
    }
    return 0;
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
        begin_request(h, head, bytes, first, at);
    } else if (head->status < 200 && head->status != 101) {
        cap_count(h->c, dir, CAP_FATE_FRAMING, bytes.n); /* the answer is to come */
        h->side[dir].state = ST_START;
        h->side[dir].from_search = false;
    } else {
        begin_answer(h, head, bytes, first, at);
    }
}

/* Offset of the line that broke a head. */
static size_t bad_line(struct span head, const struct err *e)
{
    size_t at = e->has_at && e->at < head.n ? (size_t)e->at : 0;
    while (at > 0 && head.p[at - 1] != '\n')
        at--;
    return at ? at : 1;
}

/* Takes bytes that are pending in the hold out of it. */
static void drop_hold(struct cap_h1 *h, int dir, enum cap_fate fate, size_t n)
{
    cap_hold_drop(&h->side[dir].hold, n);
    cap_count_settle(h->c, dir, fate, n);
}

static void hold_bytes(struct cap_h1 *h, int dir, struct clk_wall at, struct span bytes)
{
    struct side *s = &h->side[dir];
    cap_hold_add(&s->hold, at, bytes);
    if (cap_hold_failed(&s->hold)) {
        h->c->failed = true;
        return;
    }
    cap_count_pending(h->c, dir, bytes.n);
}

/* The head in the hold (or what should be one) is not good: look for the next. */
static void reject_head(struct cap_h1 *h, int dir, size_t resume, const struct err *e)
{
    struct side *s = &h->side[dir];
    count_lost(h, dir, e);
    retract(h, dir);
    search_from(s, s->hold.at + resume);
    lose(h, dir);
    h->c->parse->totals.resyncs++;
}

/* A whole head in the hold. */
static void held_head(struct cap_h1 *h, int dir, size_t n)
{
    struct side *s = &h->side[dir];
    struct span bytes = span_sub(cap_hold_view(&s->hold), 0, n);
    struct err e = {0};
    enum http1_kind kind = dir == CAP_TO_SERVER ? HTTP1_REQUEST : HTTP1_RESPONSE;
    if (http1_parse_head(kind, bytes, &h->c->parse->head, &e) < 0) {
        reject_head(h, dir, bad_line(bytes, &e), &e);
        return;
    }
    cap_count_again(h->c, dir, n); /* take_head counts these bytes anew */
    take_head(h, dir, bytes, cap_hold_time(&s->hold, s->hold.at),
              cap_hold_time(&s->hold, s->hold.at + n - 1));
    cap_hold_drop(&s->hold, n);
    s->scanned = s->hold.at;
}

/* The common case: the whole head came at once. False when it did not. */
static bool whole_head(struct cap_h1 *h, int dir, struct clk_wall at, struct span *in)
{
    struct side *s = &h->side[dir];
    if (s->trial || s->hold.bytes.n || can_start(dir, *in) != YES)
        return false;
    enum http1_kind kind = dir == CAP_TO_SERVER ? HTTP1_REQUEST : HTTP1_RESPONSE;
    struct http1_head *head = &h->c->parse->head;
    struct span bytes = span_sub(*in, 0, HTTP1_HEAD_MAX);
    if ((dir == CAP_TO_SERVER && span_starts(bytes, "PRI ")) ||
        http1_known_parse(&h->c->parse->known[dir], kind, bytes, head, NULL) < 0)
        return false; /* the slow way finds out why */
    take_head(h, dir, span_sub(bytes, 0, head->bytes), at, at);
    *in = span_sub(*in, head->bytes, in->n);
    return true;
}

/* Empty lines in front of a request (RFC 9112 2.2). */
static bool skip_empty_line(struct cap_h1 *h, int dir)
{
    struct span s = cap_hold_view(&h->side[dir].hold);
    if (dir != CAP_TO_SERVER || s.n < 2 || s.p[0] != '\r' || s.p[1] != '\n')
        return false;
    drop_hold(h, dir, CAP_FATE_FRAMING, 2);
    h->side[dir].scanned = h->side[dir].hold.at;
    return true;
}

static size_t scanned(const struct side *s)
{
    return s->scanned > s->hold.at ? (size_t)(s->scanned - s->hold.at) : 0;
}

/* ST_START with bytes in the hold; false: more are needed. */
static bool examine_start(struct cap_h1 *h, int dir)
{
    struct side *s = &h->side[dir];
    if (skip_empty_line(h, dir))
        return true;
    struct span bytes = cap_hold_view(&s->hold);
    struct err e = {.code = ERR_FORMAT};
    if (dir == CAP_TO_SERVER && bytes.n == 1 && bytes.p[0] == '\r')
        return false;
    enum verdict start = s->trial && dir == CAP_TO_SERVER
                             ? starts_with_known_method(bytes)
                             : can_start(dir, bytes);
    if (start == NO)
        reject_head(h, dir, 0, &e);
    if (start != YES)
        return start == NO;
    release(h, dir);
    if (dir == CAP_TO_SERVER && span_starts(bytes, "PRI ")) {
        s->state = ST_HTTP2;
        return true;
    }
    size_t end = head_end(bytes, scanned(s));
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

/* --- bodies ----------------------------------------------------------------------- */

static void give_body(struct cap_h1 *h, int dir, struct clk_wall at, struct span *in,
                      size_t n)
{
    struct side *s = &h->side[dir];
    cap_half_body(h->c, dir, half_of(s, dir), at, span_sub(*in, 0, n));
    half_of(s, dir)->last = at;
    *in = span_sub(*in, n, in->n);
}

static void step_sized(struct cap_h1 *h, int dir, struct clk_wall at, struct span *in)
{
    struct side *s = &h->side[dir];
    size_t n = in->n < s->left ? in->n : (size_t)s->left;
    give_body(h, dir, at, in, n);
    s->left -= n;
    if (s->left)
        return;
    if (s->state == ST_CHUNK_DATA)
        s->state = ST_CHUNK_CR;
    else
        message_ends(h, dir, at);
}

/* An answer whose request is not known may answer a HEAD: then the next one follows. */
static bool examine_peek(struct cap_h1 *h, int dir)
{
    struct side *s = &h->side[dir];
    enum verdict next = can_start(dir, cap_hold_view(&s->hold));
    if (next == NO)
        s->state = s->after_peek; /* what is held is body */
    else if (next == YES)
        message_ends(h, dir, half_of(s, dir)->last);
    return next != MORE;
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool size_byte(struct side *s, uint8_t c)
{
    int digit = hex_digit(c);
    if (digit >= 0) {
        s->left = s->left << 4 | (unsigned)digit;
        return ++s->digits <= CHUNK_DIGITS_MAX;
    }
    s->line = 0;
    if (c == '\r')
        s->state = ST_CHUNK_SIZE_LF;
    else if (c == ';' || c == ' ' || c == '\t')
        s->state = ST_CHUNK_EXT;
    else
        return false;
    return s->digits > 0;
}

/* A line whose content does not matter. */
static bool line_byte(struct side *s, uint8_t c, uint32_t max, enum state then)
{
    if (c == '\r')
        s->state = then;
    return ++s->line <= max && c != '\n' && c != 0;
}

static bool expect_byte(struct side *s, uint8_t c, uint8_t wanted, enum state then)
{
    s->state = then;
    return c == wanted;
}

static bool size_ends(struct side *s, uint8_t c)
{
    s->state = s->left ? ST_CHUNK_DATA : ST_TRAILER;
    s->digits = s->line = 0;
    return c == '\n';
}

/* One byte of chunked framing; false: it is broken. */
static bool chunk_byte(struct side *s, uint8_t c)
{
    switch (s->state) {
    case ST_CHUNK_SIZE:
        return size_byte(s, c);
    case ST_CHUNK_EXT:
        return line_byte(s, c, CHUNK_LINE_MAX, ST_CHUNK_SIZE_LF);
    case ST_CHUNK_SIZE_LF:
        return size_ends(s, c);
    case ST_CHUNK_CR:
        return expect_byte(s, c, '\r', ST_CHUNK_LF);
    case ST_CHUNK_LF:
        s->left = 0;
        return expect_byte(s, c, '\n', ST_CHUNK_SIZE);
    case ST_TRAILER:
        s->state = c == '\r' ? ST_TRAILER_END : ST_TRAILER_LINE;
        return c != '\n';
    case ST_TRAILER_LINE:
        return line_byte(s, c, HTTP1_HEAD_MAX, ST_TRAILER_LF);
    case ST_TRAILER_LF:
        return expect_byte(s, c, '\n', ST_TRAILER);
    default: /* ST_TRAILER_END: the state says that the message is over */
        return expect_byte(s, c, '\n', ST_START);
    }
}

static void step_chunked(struct cap_h1 *h, int dir, struct clk_wall at, struct span *in)
{
    struct side *s = &h->side[dir];
    size_t n = 0;
    bool good = true;
    while (good && n < in->n && s->state != ST_CHUNK_DATA && s->state != ST_START)
        good = chunk_byte(s, in->p[n++]);
    cap_count(h->c, dir, CAP_FATE_FRAMING, n);
    *in = span_sub(*in, n, in->n);
    if (!good) {
        h->c->parse->totals.lost_malformed += dir == CAP_TO_SERVER;
        message_breaks(h, dir, at);
    } else if (s->state == ST_START) {
        message_ends(h, dir, at);
    }
}

/* --- the next start line ---------------------------------------------------------- */

/* Where the method that ends in front of s[end] begins; end when there is none. */
static size_t method_before(struct span s, size_t from, size_t end)
{
    size_t best = end;
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        size_t n = strlen(methods[i]);
        if (end - from >= n && memcmp(s.p + end - n, methods[i], n) == 0 &&
            end - n < best)
            best = end - n;
    }
    return best;
}

/* A request line whose " HTTP/1." is at `version`; false: none. */
static bool request_line(struct span s, size_t from, size_t version, size_t *start)
{
    size_t target = version;
    size_t floor = version - from > SEARCH_LINE_MAX ? version - SEARCH_LINE_MAX : from;
    while (target > floor && s.p[target - 1] > ' ' && s.p[target - 1] != 127)
        target--;
    if (target == floor || target == version || s.p[target - 1] != ' ' ||
        !(s.p[target] == '/' || s.p[target] == '*' || s.p[target] == 'h'))
        return false;
    *start = method_before(s, floor, target - 1);
    return *start < target - 1;
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

/* Behind "HTTP/1." at `p`: digit, blank, status. */
static bool status_line(const uint8_t *p)
{
    return is_digit(p[0]) && p[1] == ' ' && p[2] >= '1' && p[2] <= '5' &&
           is_digit(p[3]) && is_digit(p[4]) && (p[5] == ' ' || p[5] == '\r');
}

/* Finds the first start line at or behind s[*from]. True: *start is its place. False:
 * none; *from is where to go on when there is more. */
static bool find_start(int dir, struct span s, size_t *from, size_t *start)
{
    const char *mark = dir == CAP_TO_SERVER ? " HTTP/1." : "HTTP/1.";
    size_t n = strlen(mark), behind = dir == CAP_TO_SERVER ? 3 : 6;
    size_t begin = *from, at = *from;
    for (;;) {
        const uint8_t *p = at < s.n ? memmem(s.p + at, s.n - at, mark, n) : NULL;
        if (!p || (size_t)(s.p + s.n - p) < n + behind) {
            size_t keep = dir == CAP_TO_SERVER ? SEARCH_LINE_MAX + 32 : n + behind;
            size_t last = s.n > keep ? s.n - keep : 0;
            *from = last > begin ? last : begin;
            return false;
        }
        size_t found = (size_t)(p - s.p);
        at = found + 1;
        if (dir == CAP_TO_CLIENT) {
            *start = found;
            if (status_line(p + n))
                return true;
        } else if (is_digit(p[n]) && p[n + 1] == '\r' && p[n + 2] == '\n') {
            if (request_line(s, begin, found, start))
                return true;
            begin = found + n;
        }
    }
}

/* A head that was found behind a gap must be more than well-formed. */
static bool credible(int dir, const struct http1_head *head)
{
    return dir == CAP_TO_CLIENT || head->minor_version == 0 ||
           http1_field(head, "host").n > 0;
}

/* The hold begins with a start line: is the rest of the head there, and good? */
static bool try_candidate(struct cap_h1 *h, int dir)
{
    struct side *s = &h->side[dir];
    struct span bytes = cap_hold_view(&s->hold);
    size_t end = head_end(bytes, scanned(s));
    /* Wherever the next candidate begins, nothing is looked through twice. */
    s->scanned = end ? s->hold.at + end - 1 : cap_hold_end(&s->hold);
    if (!end && bytes.n <= HTTP1_HEAD_MAX)
        return false;
    enum http1_kind kind = dir == CAP_TO_SERVER ? HTTP1_REQUEST : HTTP1_RESPONSE;
    struct err e = {0};
    s->candidate = false;
    if (!end || end > HTTP1_HEAD_MAX) {
        s->resume = s->hold.at + 1;
        return true;
    }
    struct span head = span_sub(bytes, 0, end);
    if (http1_parse_head(kind, head, &h->c->parse->head, &e) < 0 ||
        !credible(dir, &h->c->parse->head)) {
        s->resume = s->hold.at + (e.code ? bad_line(head, &e) : end);
        return true;
    }
    s->state = ST_START;
    s->from_search = true;
    held_head(h, dir, end);
    return true;
}

/* One round of the search in the hold; false: more bytes are needed. */
static bool examine_search(struct cap_h1 *h, int dir)
{
    struct side *s = &h->side[dir];
    if (s->candidate)
        return try_candidate(h, dir);
    struct span bytes = cap_hold_view(&s->hold);
    size_t from = s->resume > s->hold.at ? (size_t)(s->resume - s->hold.at) : 0;
    size_t start = 0;
    if (from >= bytes.n)
        from = bytes.n;
    s->candidate = find_start(dir, bytes, &from, &start);
    if (s->candidate) {
        drop_hold(h, dir, CAP_FATE_OPAQUE, start);
        s->scanned = s->scanned > s->hold.at ? s->scanned : s->hold.at;
        return true;
    }
    s->resume = s->hold.at + from;
    if (bytes.n > SEARCH_HOLD_MAX || from == bytes.n)
        drop_hold(h, dir, CAP_FATE_OPAQUE, from);
    return false;
}

/* --- the connection --------------------------------------------------------------- */

/* Reads from the front of *in; the state is none that wants bytes held. */
static void step(struct cap_h1 *h, int dir, struct clk_wall at, struct span *in)
{
    struct side *s = &h->side[dir];
    switch (s->state) {
    case ST_LENGTH:
    case ST_CHUNK_DATA:
        step_sized(h, dir, at, in);
        break;
    case ST_CLOSE:
        give_body(h, dir, at, in, in->n);
        break;
    case ST_TUNNEL:
        cap_count(h->c, dir, CAP_FATE_OPAQUE, in->n);
        *in = span_sub(*in, in->n, in->n);
        break;
    default:
        step_chunked(h, dir, at, in);
    }
}

static bool wants_hold(enum state state)
{
    return state == ST_START || state == ST_SEARCH || state == ST_PEEK;
}

/* Looks at what is held; false: more bytes are needed. */
static bool examine(struct cap_h1 *h, int dir)
{
    switch (h->side[dir].state) {
    case ST_START:
        return examine_start(h, dir);
    case ST_PEEK:
        return examine_peek(h, dir);
    default:
        return examine_search(h, dir);
    }
}

static void hold_more(struct cap_h1 *h, int dir, struct clk_wall at, struct span *in)
{
    struct side *s = &h->side[dir];
    size_t max = HTTP1_HEAD_MAX;
    if (s->state == ST_PEEK)
        max = 7 - cap_hold_view(&s->hold).n;
    size_t n = in->n < max ? in->n : max;
    hold_bytes(h, dir, at, span_sub(*in, 0, n));
    *in = span_sub(*in, n, in->n);
}

/* Held bytes are read as those that come are, with their own times. */
static void step_held(struct cap_h1 *h, int dir)
{
    struct side *s = &h->side[dir];
    struct clk_wall at;
    struct span piece;
    if (!cap_hold_piece(&s->hold, &at, &piece))
        return;
    struct span rest = piece;
    cap_count_again(h->c, dir, piece.n);
    step(h, dir, at, &rest);
    cap_count_pending(h->c, dir, rest.n);
    cap_hold_drop(&s->hold, piece.n - rest.n);
}

size_t cap_h1_data(struct cap_h1 *h, int dir, struct clk_wall at, struct span bytes)
{
    struct side *s = &h->side[dir];
    struct span in = bytes;
    while (!h->c->failed && s->state != ST_HTTP2) {
        bool held = s->hold.bytes.n > 0;
        if (held && !wants_hold(s->state)) {
            step_held(h, dir);
        } else if (held && examine(h, dir)) {
            continue;
        } else if (!in.n) {
            break;
        } else if (!wants_hold(s->state)) {
            step(h, dir, at, &in);
        } else if (s->state != ST_START || !whole_head(h, dir, at, &in)) {
            hold_more(h, dir, at, &in);
        }
    }
    cap_charge_conn(h->c, cap_hold_memory(&h->side[0].hold) +
                              cap_hold_memory(&h->side[1].hold));
    return bytes.n - in.n;
}

/* Bytes that are held become opaque. */
static void give_up_hold(struct cap_h1 *h, int dir)
{
    drop_hold(h, dir, CAP_FATE_OPAQUE, cap_hold_view(&h->side[dir].hold).n);
}

void cap_h1_gap(struct cap_h1 *h, int dir, struct clk_wall at, uint64_t bytes)
{
    struct side *s = &h->side[dir];
    h->c->gaps++;
    switch (s->state) {
    case ST_LENGTH:
    case ST_CHUNK_DATA:
        cap_half_gap(half_of(s, dir), bytes < s->left ? bytes : s->left);
        if (bytes > s->left) {
            message_breaks(h, dir, at);
        } else if ((s->left -= bytes) == 0) {
            if (s->state == ST_CHUNK_DATA)
                s->state = ST_CHUNK_CR;
            else
                message_ends(h, dir, at);
        }
        break;
    case ST_CLOSE:
        cap_half_gap(half_of(s, dir), bytes);
        break;
    case ST_TUNNEL:
    case ST_HTTP2:
        break;
    case ST_START:
    case ST_SEARCH:
        if (s->hold.bytes.n && s->state == ST_START && dir == CAP_TO_SERVER)
            h->c->parse->totals.lost_to_gap++;
        give_up_hold(h, dir);
        release(h, dir);
        search_from(s, s->hold.at);
        lose(h, dir);
        break;
    default:
        give_up_hold(h, dir);
        message_breaks(h, dir, at);
    }
}

/* The direction brings nothing more. clean: its sender said so (FIN). */
static void side_ends(struct cap_h1 *h, int dir, bool clean, enum cap_loss loss)
{
    struct side *s = &h->side[dir];
    if (s->state == ST_PEEK) { /* up to six bytes of body */
        s->state = s->after_peek;
        while (s->msg && s->hold.bytes.n && !wants_hold(s->state))
            step_held(h, dir);
    }
    if (s->state == ST_HTTP2)
        return;
    give_up_hold(h, dir);
    release(h, dir);
    if (!s->msg)
        return;
    struct cap_half *half = half_of(s, dir);
    bool whole = s->state == ST_CLOSE && clean;
    if (!whole && half->loss == CAP_LOSS_NONE)
        half->loss = loss;
    s->from_search = false;
    message_ends(h, dir, half->last);
}

void cap_h1_finish(struct cap_h1 *h, int dir)
{
    side_ends(h, dir, true, CAP_LOSS_RESET);
}

void cap_h1_close(struct cap_h1 *h, enum cap_end how)
{
    enum cap_loss loss = how == CAP_END_RST ? CAP_LOSS_RESET : CAP_LOSS_UNANSWERED;
    for (int dir = 0; dir < 2; dir++)
        side_ends(h, dir, false, loss);
    while (h->asked.head) {
        struct cap_pending *p = h->asked.head;
        struct cap_half *answer = &p->half[CAP_TO_CLIENT];
        if (!answer->begun && answer->loss == CAP_LOSS_NONE)
            answer->loss = loss;
        hand_on(h, p);
    }
    while (h->waiting.head)
        orphan(h, h->waiting.head);
    if (h->upgraded)
        cap_pending_drop(h->c, h->upgraded, CAP_FATE_OPAQUE);
    for (int dir = 0; dir < 2; dir++)
        cap_hold_done(&h->side[dir].hold);
    cap_charge_conn(h->c, 0);
    free(h);
}

struct cap_h1 *cap_h1_new(struct cap_conn *c, bool midway)
{
    struct cap_h1 *h = calloc(1, sizeof *h);
    if (!h) {
        c->failed = true;
        return NULL;
    }
    h->c = c;
    h->last_answer.ns = INT64_MIN;
    c->keeper[0] = (struct cap_keeper){aged, h};
    if (midway) {
        h->uncertain = true;
        for (int dir = 0; dir < 2; dir++)
            search_from(&h->side[dir], 0);
    }
    return h;
}

bool cap_h1_upgraded(const struct cap_h1 *h, int dir)
{
    return h->side[dir].state == ST_HTTP2;
}

struct span cap_h1_upgrade_hold(struct cap_h1 *h, int dir)
{
    struct span held = cap_hold_view(&h->side[dir].hold);
    cap_count_again(h->c, dir, held.n);
    return held;
}

struct cap_pending *cap_h1_upgrade_request(struct cap_h1 *h)
{
    struct cap_pending *p = h->upgraded;
    h->upgraded = NULL;
    return p;
}

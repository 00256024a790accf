/*
 * h1_own.h - a connection of HTTP/1.1 as it is watched, for the files that read it;
 * inside capture/h1_*.c only.
 *
 * In the order in which they build on each other: h1_start.c knows what a message's
 * beginning looks like, h1_pair.c which answer belongs to which request, h1_message.c
 * begins and ends messages, h1_head.c reads heads or searches for one, h1_body.c reads
 * bodies, h1_capture.c leads the connection through all that. One thread at a time.
 *
 * Each direction is a state machine of its own. Bytes come in order; a state either
 * reads them as they come, or has them held until there are enough of them: in START,
 * PEEK and SEARCH. Out of memory is conn.failed, which every loop looks at.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CAPTURE_H1_OWN_H
#define CAPTURE_H1_OWN_H

#include "capture/hold.h"
#include "capture/parse_own.h"

enum cap_h1_state {
    CAP_H1_START, /* between messages, or in a head that is held */
    CAP_H1_LENGTH,
    CAP_H1_CLOSE,
    CAP_H1_PEEK, /* at the body of an answer whose request is not known */
    CAP_H1_CHUNK_SIZE,
    CAP_H1_CHUNK_EXT,
    CAP_H1_CHUNK_SIZE_LF,
    CAP_H1_CHUNK_DATA,
    CAP_H1_CHUNK_CR,
    CAP_H1_CHUNK_LF,
    CAP_H1_TRAILER, /* at the beginning of a line */
    CAP_H1_TRAILER_LINE,
    CAP_H1_TRAILER_LF,
    CAP_H1_TRAILER_END,
    CAP_H1_SEARCH,
    CAP_H1_TUNNEL,
    CAP_H1_HTTP2,
};

/* One direction. Invariants: msg is set from the end of a head to the end of its
 * message, and only then; trial only between messages. */
struct cap_h1_side {
    enum cap_h1_state state, after_peek;
    struct cap_hold hold;
    uint64_t scanned; /* offset in hold up to which the end of a head was looked for */
    uint64_t resume;  /* SEARCH: offset from which a start line is looked for */
    bool candidate;   /* SEARCH: hold begins with a start line */
    struct cap_pending *msg;   /* whose half is being read */
    struct cap_pending *trial; /* complete, but what follows it decides */
    uint64_t left;             /* of a length or a chunk */
    uint32_t digits, line;
    bool from_search;
};

/* Invariants: next is in asked, or NULL, and no request behind it has an answer; a
 * request whose exchange is whole has left asked. */
struct cap_h1 {
    struct cap_conn *c;
    struct cap_h1_side side[2];
    struct cap_list asked;        /* requests in order, until they are handed on */
    struct cap_list waiting;      /* answers without a request */
    struct cap_pending *next;     /* the first of asked without an answer */
    struct cap_pending *upgraded; /* the request that asked for h2c */
    uint32_t requests;
    bool uncertain; /* messages may be missing: pair by time, or by batches */
    bool pipelined; /* it asked again before it was answered, */
    bool slides;    /* and did not wait until everything was */
    uint32_t batches;
    struct clk_wall last_answer; /* its last byte */
};

static inline bool cap_h1_older(struct clk_wall a, struct clk_wall b)
{
    return a.ns < b.ns;
}

/* Of the message that is being read. */
static inline struct cap_half *cap_h1_half_of(struct cap_h1_side *s, int dir)
{
    return &s->msg->half[dir];
}

/* --- h1_start.c ------------------------------------------------------------------- */

enum cap_h1_verdict { CAP_H1_NO, CAP_H1_YES, CAP_H1_MORE };

/* Whether these bytes can begin a message; MORE: more of them are needed. */
enum cap_h1_verdict cap_h1_can_start(int dir, struct span s);
/* The same of a request, of the methods that a search believes in. */
enum cap_h1_verdict cap_h1_starts_with_known_method(struct span s);
/* Offset in s behind the empty line that ends a head, looking from `from`; 0: none. */
size_t cap_h1_head_end(struct span s, size_t from);
/* Offset of the line that broke a head, as its parser says. */
size_t cap_h1_bad_line(struct span head, const struct err *e);
/* Finds the first start line at or behind s[*from]. True: *start is its place. False:
 * none; *from is where to go on when there is more. */
bool cap_h1_find_start(int dir, struct span s, size_t *from, size_t *start);
/* Between messages: the hold has the beginning of a request, whose head is not whole.
 */
bool cap_h1_holds_begun(const struct cap_h1_side *s);

/* --- h1_pair.c -------------------------------------------------------------------- */

/* Takes a request off what was asked; no direction reads it any more. */
void cap_h1_leave_asked(struct cap_h1 *h, struct cap_pending *p);
/* The request leaves, with its answer as far as that came. */
void cap_h1_hand_on(struct cap_h1 *h, struct cap_pending *p);
void cap_h1_hand_on_when_complete(struct cap_h1 *h, struct cap_pending *p);
/* Gives up an answer that waits: nobody asked for it. */
void cap_h1_orphan(struct cap_h1 *h, struct cap_pending *answer);
/* See cap_keeper; owner is the struct cap_h1. */
void cap_h1_aged(void *owner, struct cap_pending *p);
/* Gives requests the answers that wait, as far as it can be told which. */
void cap_h1_pair_all(struct cap_h1 *h);
/* The client asks at `now`. Where it is uncertain which answers are whose, and it does
 * not wait for them, those that came belong to the requests that are open when there
 * are as many, and the client is one that asks several things in a packet, and more
 * when it has all answers: the second such batch is believed. Otherwise none of them
 * belongs to anyone. */
void cap_h1_settle_batch(struct cap_h1 *h, struct clk_wall now);
/* Whole messages of this direction may be missing from here on. */
void cap_h1_lose(struct cap_h1 *h, int dir);
/* Keeps to the bounds of open requests and of answers that wait. */
void cap_h1_too_many(struct cap_h1 *h);

/* --- h1_message.c ----------------------------------------------------------------- */

/* The direction looks for a start line, from this offset on. */
void cap_h1_search_from(struct cap_h1_side *s, uint64_t offset);
/* What the trial was about is decided: it is a message. */
void cap_h1_release(struct cap_h1 *h, int dir);
/* It is not: it only looked like one. */
void cap_h1_retract(struct cap_h1 *h, int dir);
void cap_h1_message_ends(struct cap_h1 *h, int dir, struct clk_wall at);
/* The rest of the message is not there, and neither is where the next one begins. */
void cap_h1_message_breaks(struct cap_h1 *h, int dir, struct clk_wall at);
/* A message whose head is `bytes`, which came from first to at. The state is that of
 * its body then, or of what follows. */
void cap_h1_begin_request(struct cap_h1 *h, const struct http1_head *head,
                          struct span bytes, struct clk_wall first, struct clk_wall at);
void cap_h1_begin_answer(struct cap_h1 *h, const struct http1_head *head,
                         struct span bytes, struct clk_wall first, struct clk_wall at);

/* --- h1_head.c -------------------------------------------------------------------- */

/* Holds bytes, which are pending, and takes them out again. */
void cap_h1_hold_bytes(struct cap_h1 *h, int dir, struct clk_wall at,
                       struct span bytes);
void cap_h1_drop_hold(struct cap_h1 *h, int dir, enum cap_fate fate, size_t n);
/* The common case: the whole head is there at once, and nothing is held. False, and
 * nothing done, when it is not. */
bool cap_h1_whole_head(struct cap_h1 *h, int dir, struct clk_wall at, struct span *in);
/* START or SEARCH with bytes held: one step forward. False: more are needed. */
bool cap_h1_examine_start(struct cap_h1 *h, int dir);
bool cap_h1_examine_search(struct cap_h1 *h, int dir);

/* --- h1_body.c -------------------------------------------------------------------- */

/* The first n bytes of *in are body. */
void cap_h1_give_body(struct cap_h1 *h, int dir, struct clk_wall at, struct span *in,
                      size_t n);
/* Reads from the front of *in: in LENGTH and CHUNK_DATA, and in the other states of
 * chunks. */
void cap_h1_step_sized(struct cap_h1 *h, int dir, struct clk_wall at, struct span *in);
void cap_h1_step_chunked(struct cap_h1 *h, int dir, struct clk_wall at,
                         struct span *in);

#endif

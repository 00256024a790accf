/*
 * sessions.h - partly open replay: a session's next operation follows its last answer.
 *
 * A session is what one recorded client did (by its ordinal; where that is not known,
 * one recorded connection). Its first operation is due at its time in the schedule. A
 * later one is due its think time after the end of the one before: the recorded pause
 * between that one's answer and this one's arrival, or, where the end of that answer
 * was not recorded, between the two arrivals. Both are divided by the speed. An
 * operation of neither client nor connection is a session of its own.
 *
 * The book belongs to the feeder and gives each operation its session and think time;
 * rep_sessions belongs to a worker and says what is due next. It looks ahead in the
 * plan, since a fast target makes a session run ahead of its record. Zeroed is a valid
 * start for both.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef REPLAY_SESSIONS_H
#define REPLAY_SESSIONS_H

#include "replay/request.h"
#include "replay/schedule.h"

#define REP_SESSIONS_MAX (1u << 20) /* in one replay */
/* Requests that a worker holds before their time, at most: of sessions that wait for an
 * answer, think, or have not begun. What is due by the schedule is taken in any case.
 */
#define REP_SESSION_AHEAD (1u << 14)

struct rep_session_entry {
    uint64_t key; /* 0: free */
    uint32_t number;
    bool answered;   /* from_ns is the end of its answer, else its arrival */
    int64_t from_ns; /* of its last operation: what think time counts from */
};

struct rep_session_book {
    struct rep_session_entry *entries; /* a hash table */
    uint32_t capacity, count;
    uint64_t thinks, gaps; /* operations with a think time; gaps: without the answer */
};

/* Fills r->session and r->think_ns (-1: it is the first). ERR_LIMIT, ERR_NOMEM. */
int rep_session_book_add(struct rep_session_book *b, const struct op *op,
                         struct rep_speed speed, struct rep_request *r,
                         struct err *e) MUST_USE;
void rep_session_book_done(struct rep_session_book *b);

struct rep_session {
    struct rep_request *head, *tail; /* that wait for the one before them */
    int64_t ended_ns;                /* of the last one; if seen and not busy */
    bool seen, busy, failed;
};

struct rep_sessions {
    uint32_t workers; /* sessions are dealt to so many; > 0 */
    bool stops;       /* a session ends with its first failure */
    struct rep_session *sessions;
    uint32_t capacity;
    struct rep_request **heap; /* by due time; due_ns counts from the start */
    uint64_t held, heap_count, heap_cap;
};

/* Takes the next request of the plan, in its order. Its due time if that is known
 * already, else REP_NEVER. ERR_NOMEM: r is still the caller's. */
int rep_sessions_add(struct rep_sessions *s, struct rep_request *r, int64_t *due_ns,
                     struct err *e) MUST_USE;
/* The one that is due first, or NULL. */
struct rep_request *rep_sessions_first(const struct rep_sessions *s);
struct rep_request *rep_sessions_pop(struct rep_sessions *s);
/* r, which was popped, ended so many nanoseconds after the start. */
void rep_sessions_ended(struct rep_sessions *s, const struct rep_request *r,
                        int64_t end_ns);
/* Any that is held, due or not, or NULL: for giving up. */
struct rep_request *rep_sessions_drain(struct rep_sessions *s);
void rep_sessions_done(struct rep_sessions *s);

#endif

/*
 * outcome.h - the data model of a run: what did happen to each operation of a trace.
 *
 * One outcome per operation that was due, without exception: sent + dropped + refused =
 * due. All times are nanoseconds of one monotonic clock since the start of the replay,
 * or OP_TIME_NONE when that moment never came. Where they came, in an open-loop run:
 *     due <= sent <= first <= done,   due <= ready <= sent.
 *   response time = done - due      service time = done - sent      ttfb = first - sent
 *   lateness = sent - due = back-pressure (ready - due) + generator (sent - ready)
 * `ready` is due itself when a connection or stream was free at that moment, else the
 * moment at which one became free (or, where the run limits how fast a backlog is
 * sent, that at which it was its turn): waiting for it is the target's doing, the rest
 * is ours. `wait` says what it waited for last. In a closed loop due = ready = the
 * moment at which the virtual user was free to send.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_OUTCOME_H
#define TRACES_OUTCOME_H

#include "traces/op.h"

enum out_cause {
    OUT_OK,       /* HTTP 2xx; gRPC OK */
    OUT_STATUS,   /* answered with an error status (status, grpc_status); Kafka: with
                     an error record, or refused by a broker */
    OUT_CONNECT,  /* no connection could be made */
    OUT_RESET,    /* connection or stream reset after sending began */
    OUT_CLOSED,   /* closed before the answer was complete */
    OUT_GARBAGE,  /* the answer breaks its protocol */
    OUT_TOO_BIG,  /* the answer is beyond our limit */
    OUT_DEADLINE, /* no complete answer before the deadline */
    OUT_DROPPED,  /* never sent: too late by the back-pressure policy */
    OUT_REFUSED,  /* never sent: over the in-flight cap, or impossible at this tier */
    OUT_STOPPED,  /* in flight or not yet sent when the run was interrupted */
    OUT_CAUSE_COUNT
};
extern const char *const out_cause_names[]; /* "ok" "status" "connect" … */

enum out_check {
    OUT_UNCHECKED,
    OUT_RIGHT,   /* the answer is what the model type must give */
    OUT_WRONG,   /* well-formed, but not what was asked for */
    OUT_CROSSED, /* another request's: it shows that one's mark, or fits that one */
    OUT_CHECK_COUNT
};
extern const char *const out_check_names[]; /* "unchecked" "right" "wrong" "crossed" */

/* Why `ready` is later than `due`: what was waited for last. */
enum out_wait {
    OUT_WAIT_NONE,    /* it did not wait, or that is not known */
    OUT_WAIT_SLOT,    /* no connection or stream was free */
    OUT_WAIT_OWN,     /* its recorded connection was not free; others may have been */
    OUT_WAIT_CONNECT, /* its connection had to be made first */
    OUT_WAIT_TURN,    /* the run limits how fast a backlog is sent */
    OUT_WAIT_COUNT
};
extern const char *const out_wait_names[]; /* "none" "slot" "own" "connect" "turn" */

struct outcome {
    uint64_t op_index;
    const struct op_stream *stream; /* as sent: tier is the target's */
    uint32_t stream_index;
    enum out_cause cause;
    enum out_check check;
    enum out_wait wait;
    int64_t due_ns, ready_ns, sent_ns, first_ns, done_ns;
    uint16_t status;     /* HTTP status; 0: none */
    int16_t grpc_status; /* -1: none */
    uint8_t attempts;    /* times its bytes were put on a wire; 0: never */
    uint16_t worker;
    uint32_t connection;          /* ordinal within the worker, or OP_NONE */
    uint64_t bytes_out, bytes_in; /* body bytes */
    uint64_t answer_hash;         /* of the answer, see below; 0: none */
    /* Of an answer that is a stream: its messages, each whole (also those of an answer
     * that broke off). at_ns counts from sent_ns; bytes are those of the body, together
     * at most bytes_in. Borrowed. count 0: none came, or no stream. */
    struct op_messages messages;
};

struct outcome outcome_empty(void);

/* XXH3-64 of the body of an answer, as answer_hash holds it where the run does not say
 * otherwise (note answer.digest); never 0. */
uint64_t outcome_answer_hash(struct span body);

/* What the report calls it: "http 503", "grpc 5 NOT_FOUND", "kafka error", "deadline",
 * "wrong answer", "crossed answer" (whatever its status); "ok" for a good one. Returns
 * out. */
#define OUT_CLASS_MAX 48
char *outcome_class(const struct outcome *o, char out[OUT_CLASS_MAX]);
/* Answered, with success, and found neither wrong nor another's. */
bool outcome_ok(const struct outcome *o);

/* "NOT_FOUND" for 5; NULL for a code that gRPC does not define. */
const char *out_grpc_name(int code);

#endif

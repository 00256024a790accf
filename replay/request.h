/*
 * request.h - an operation made ready to be sent, and what became of it.
 *
 * The feeder prepares requests in batches: wire bytes, schedule and an empty outcome
 * all lie in the batch's memory. A request then travels alone, by pointer, and is in
 * one place at a time: feeder -> worker -> engine -> worker -> run writer, which
 * releases it. The batch goes when its last request was released (batch.h). Whoever
 * holds a request may write to it; hand-over between threads goes through handoff.h.
 *
 * Until the run writer turns them, all times are absolute nanoseconds of the monotonic
 * clock, due_ns excepted: it counts from the start, which is not known when it is
 * planned.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef REPLAY_REQUEST_H
#define REPLAY_REQUEST_H

#include "replay/route.h"
#include "traces/base/buf.h"
#include "traces/op.h"
#include "traces/outcome.h"

#define REP_FIELDS_MAX 64 /* of one request, pseudo-header fields included */
#define REP_ID_MAX     64 /* bytes of a request id */

/* What the id that an answer shows says about whose answer it is (mark.h). */
enum rep_mark { REP_MARK_NONE, REP_MARK_OWN, REP_MARK_OTHER };

/* What requests of one op_stream have in common at this target. Lives in the batch. */
struct rep_stream {
    struct op_stream as_sent; /* tier and path are the target's; no headers */
    const char *refusal;      /* constant text, or NULL: can be sent */
    struct span head;         /* REST: request line and fields, without id and length */
    /* gRPC: all but the id, pseudo fields first; Kafka: headers, all but the id */
    struct op_header *fields;
    uint32_t field_count;
    uint64_t serial;         /* among all that the run prepares, from 1; 0: not told */
    struct span target_name; /* gRPC: model_name */
    const struct rep_route *route; /* Kafka: where to */
    bool streams; /* gRPC: both sides may send any number of messages */
    bool renames; /* gRPC: field 1 of the message is a name to be set */
    bool sends_id;
};

struct rep_batch;

struct rep_request {
    struct rep_request *next, *prev; /* of the list it is in; owned by its holder */
    struct rep_batch *batch;
    const struct rep_stream *stream;
    const char *refusal; /* of this one alone; or NULL */
    /* What goes out, in parts so that a large body need not be copied. REST: what
     * follows stream->head in its head, and its body; gRPC: message with its prefix, of
     * which the second part may be empty; Kafka: the record's value, in one part. */
    struct span wire[2];
    struct span id;   /* value of x-request-id; empty: none */
    bool minted;      /* … and it is this run's own: a mark */
    struct span body; /* as the trace has it, for checks of the answer */
    /* gRPC that streams, of more than one message: where wire[0] comes apart, and when
     * each part is sent, since the first; else count 0. In the batch's memory. */
    struct op_messages parts;
    uint32_t pin;        /* the recorded connection that it is to go over, or OP_NONE */
    uint32_t slot;       /* of a pinned engine: what carries it */
    uint32_t session;    /* of a partly open replay (sessions.h), or OP_NONE */
    int64_t think_ns;    /* after the one before in its session; -1: it is the first */
    const struct op *op; /* of the trace, for what was answered then; lives as body */
    uint64_t sequence;   /* among the operations that this run deals out, from 0 */
    struct outcome out;

    /* Of the engine that holds it. */
    int64_t started_ns; /* handed to the engine: the deadline counts from here */
    void *place;        /* connection or stream that carries it */
    uint8_t tries;      /* sendings begun, those included that put no byte on a wire */
    enum rep_mark mark; /* by rep_mark_look, for each x-request-id of the answer */
    struct buf answer;  /* body of the answer, where it is wanted; freed on release */
    /* What the answer's body is encoded in, as its header says (content_encoding.h);
     * 0 once it has been undone. */
    uint16_t answer_codings;
    /* gRPC that streams, where an encoding was named: a byte for each message of the
     * answer, 1 where it is in that encoding. Else empty; freed on release. */
    struct buf encoded;
    const char *unjudged;        /* why its answer was not judged, constant; or NULL */
    struct op_message *messages; /* out.messages.v, ours; freed on release */
    uint32_t message_cap;
};

/* A message of a streamed answer is whole: it goes to r->out.messages. first_ns: when
 * its first byte came. ERR_LIMIT, ERR_NOMEM. */
int rep_request_message(struct rep_request *r, int64_t first_ns,
                        uint64_t bytes) MUST_USE;
/* The answer broke off: what came of it, out.bytes_in, is its whole messages. */
void rep_request_cut(struct rep_request *r);

/* It could not be sent before `at`, absolute, for that reason. */
void rep_request_waited(struct rep_request *r, int64_t at, enum out_wait why);

/* Gives a request back, on any thread; its memory goes with the last one of its batch.
 */
void rep_request_release(struct rep_request *r);

/* A queue of requests by their next pointers. Zeroed is empty. */
struct rep_queue {
    struct rep_request *head, *tail;
    uint64_t count;
};
void rep_queue_push(struct rep_queue *q, struct rep_request *r);
struct rep_request *rep_queue_pop(struct rep_queue *q); /* NULL when empty */
/* Unlinks r, which must be in q, from anywhere. */
void rep_queue_remove(struct rep_queue *q, struct rep_request *r);

#endif

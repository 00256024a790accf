/*
 * h2_client.h - the client's side of an HTTP/2 connection (RFC 9113), without sockets.
 *
 * Bytes of the peer go in and events come out; what is to be sent gathers in a buffer
 * that the caller takes and writes. Nothing is written, waited for or timed here.
 *
 * What always holds:
 *   - `out` holds whole frames, in the order in which they were asked for. The caller
 *     writes what it took before it writes what it takes later.
 *   - A slot is in use from h2_client_open until the event that ends its stream (one
 *     that says `ends`, or H2_EVENT_RESET) or h2_client_cancel: exactly one of these.
 *     `live` counts them. Ids of open streams are odd and below `next_id`.
 *   - No more DATA is framed than the peer's windows allow, of a stream and of the
 *     connection; a window may be negative after its initial size shrank.
 *   - How the input was cut never changes which events come, only how DATA is divided.
 *   - Steady traffic allocates nothing: memory grows with the number of open streams
 *     and with the largest header block, and is kept until done.
 *
 * Two kinds of error, as in RFC 9113 5.4. What breaks one stream (a malformed answer, a
 * window of its own overrun) resets it and is an H2_EVENT_RESET that says `ours`. What
 * breaks the connection is a negative return of h2_client_next with a GOAWAY in `out`,
 * and final. Frames for streams that are closed are read for what they change of the
 * connection, and otherwise ignored.
 *
 * Against a hostile peer: frames, header blocks, header lists and the number of
 * CONTINUATIONs are limited; so is what it makes us answer while nothing is taken
 * (SETTINGS and PING floods), and the number of frames in a row that mean nothing.
 *
 * A zeroed struct may be given to done. One thread at a time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_WIRE_H2_CLIENT_H
#define TRACES_WIRE_H2_CLIENT_H

#include "traces/op.h"
#include "traces/wire/h2_heads.h"
#include "traces/wire/hpack_write.h"

#define H2_FRAME_MAX         16384u /* of a frame that we accept: the initial value */
#define H2_WINDOW            (16 << 20)  /* ours, of a stream and of the connection */
#define H2_BLOCK_MAX         (64u << 10) /* bytes of one header block */
#define H2_CONTINUATIONS_MAX 64u         /* of one block */
#define H2_OWED_MAX          (64u << 10) /* bytes of our replies that were not taken */
#define H2_IDLE_FRAMES_MAX   10000u      /* in a row that carry nothing */
#define H2_STREAMS_UNTOLD    100u        /* open at most before the peer's SETTINGS */
#define H2_ID_MAX            0x7fffffffu
#define H2_BLOCKS            32u /* request heads of a connection that are remembered */

/* RFC 9113, 7. */
enum h2_code {
    H2_NO_ERROR,
    H2_PROTOCOL_ERROR,
    H2_INTERNAL_ERROR,
    H2_FLOW_CONTROL_ERROR,
    H2_SETTINGS_TIMEOUT,
    H2_STREAM_CLOSED,
    H2_FRAME_SIZE_ERROR,
    H2_REFUSED_STREAM,
    H2_CANCEL,
    H2_COMPRESSION_ERROR,
    H2_CONNECT_ERROR,
    H2_ENHANCE_YOUR_CALM,
};

/* A request's head. Two requests with the same key (not 0) have the same fields, in the
 * same memory or not, and the same name of `last`. */
struct h2_request {
    uint64_t key;
    const struct op_header *fields; /* pseudo fields first, names in lower case */
    uint32_t field_count;
    struct op_header last; /* its value differs from request to request; may be empty */
};

enum h2_event_kind {
    H2_EVENT_MORE,     /* all input is used */
    H2_EVENT_HEADERS,  /* head of an answer, or trailers; interim answers are skipped */
    H2_EVENT_DATA,     /* a piece, which may be empty if it ends the stream */
    H2_EVENT_RESET,    /* by the peer, or by us because of what it sent */
    H2_EVENT_SETTINGS, /* the peer's; room and windows may have changed */
    H2_EVENT_GOAWAY,   /* no more streams; a reset follows for each that is disowned */
};

struct h2_event {
    enum h2_event_kind kind;
    void *user;       /* of the stream */
    bool ends;        /* the answer is complete, and the stream over */
    bool trailers;    /* of HEADERS */
    bool ours;        /* of RESET: the peer broke the rules */
    uint16_t status;  /* of HEADERS that are a head */
    uint32_t code;    /* of RESET and GOAWAY: enum h2_code, or beyond it */
    uint32_t last_id; /* of GOAWAY */
    int64_t began;    /* stamp of the input in which the frame began */
    const struct hpack_field *fields; /* of HEADERS; borrowed until the next call */
    size_t field_count;
    struct span data; /* of DATA; a part of the input */
};

struct h2_stream {
    void *user;
    int64_t body_left; /* of a stated content-length; -1: none was */
    uint32_t id;       /* 0: the slot is free */
    uint32_t next;     /* slot, of its bucket or of the free ones */
    int32_t send_window, recv_window;
    bool sent_all; /* our END_STREAM is in out */
    bool got_head;
};

/* A request head that was written before. */
struct h2_block {
    uint64_t key, changes; /* of the writer's table */
    uint8_t n;
    uint8_t bytes[47]; /* all fields; of the last one all but its value */
};

struct h2_client {
    struct buf out;

    struct h2_stream *streams; /* by slot */
    uint32_t *buckets;         /* first slot of an id's bucket */
    uint32_t slots, bucket_mask, free_slot, live, streams_max, next_id;

    /* As the peer wants it. */
    bool settled; /* its SETTINGS came */
    bool goaway, dead;
    uint32_t peer_streams, peer_frame;
    int32_t peer_window; /* initial, of a stream */
    int32_t send_window; /* of the connection */
    uint32_t last_id;    /* of its GOAWAY */
    int32_t recv_window;
    size_t owed;
    uint32_t idle_frames;

    /* Of the frame in hand. */
    uint8_t head[9];
    uint8_t head_got;
    bool in_frame;
    uint8_t type, flags;
    uint32_t length, id, left; /* left: of its payload, not yet read */
    uint32_t padding;          /* DATA: the last of what is left */
    bool prefixed;             /* DATA: the pad length is read, or there is none */
    int64_t began, block_began;
    struct buf part; /* payload that came in pieces */

    /* Of the block in hand, between HEADERS and END_HEADERS; id 0: none. */
    struct buf block;
    uint32_t block_id, continuations;
    bool block_ends;

    uint32_t sweep; /* slot from which on a GOAWAY still disowns; slots: done */

    struct h2_heads heads;
    struct hpack_writer writer;
    struct buf head_out; /* of a request, where it is not a remembered one */
    struct h2_block blocks[H2_BLOCKS];
};

/* Begins a connection: what it opens with is in `out`. Memory of one that ended is used
 * again. streams_max > 0. ERR_NOMEM. */
int h2_client_init(struct h2_client *h, uint32_t streams_max, struct err *e) MUST_USE;
void h2_client_done(struct h2_client *h);

/* Exchanges `out` with an empty buffer. False: memory ran out while it was filled, and
 * the connection cannot go on. */
bool h2_client_take(struct h2_client *h, struct buf *into) MUST_USE;

/* How many streams can be opened now. 0 for good after a GOAWAY, an error or the last
 * id (h2_client_ended). */
uint32_t h2_client_room(const struct h2_client *h);
bool h2_client_ended(const struct h2_client *h);

/* Sends a request's head; its stream is open, and *slot stands for it. Needs room.
 * ERR_NOMEM. */
int h2_client_open(struct h2_client *h, const struct h2_request *q, void *user,
                   uint32_t *slot, struct err *e) MUST_USE;
/* Sends of the body what the windows allow; how much that was. With `end` the body ends
 * behind it: once all is taken (of nothing, at once), no more may be sent. True in
 * *all: it is. */
size_t h2_client_data(struct h2_client *h, uint32_t slot, struct span data, bool end,
                      bool *all);
/* The same of data that lies in two parts. */
size_t h2_client_parts(struct h2_client *h, uint32_t slot, const struct span parts[2],
                       bool end, bool *all);
/* Gives a stream up. The slot is free. */
void h2_client_cancel(struct h2_client *h, uint32_t slot, enum h2_code code);

/* Consumes from the front of *in and says what was found: 1, an event; 0, all is used
 * (H2_EVENT_MORE). stamp: any number that does not fall, for `began`. ERR_PEER: the
 * peer broke the rules of the connection; ERR_NOMEM. Both are final. */
int h2_client_next(struct h2_client *h, struct span *in, int64_t stamp,
                   struct h2_event *ev, struct err *e) MUST_USE;

#endif

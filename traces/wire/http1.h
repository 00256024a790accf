/*
 * http1.h - HTTP/1.1 messages without sockets: heads and body framing (RFC 9112).
 *
 * Shared by the replay engine (responses) and the stand-in (requests). A parser is fed
 * whatever bytes came and remembers where it is; body bytes are handed out as spans of
 * the input, never copied. Strict where leniency lets two readers disagree (bare CR or
 * LF, two different lengths, length together with chunked, folded lines): ERR_FORMAT.
 * Trailers and chunk extensions are checked and dropped. A zeroed parser must be given
 * to http1_init. One thread at a time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_WIRE_HTTP1_H
#define TRACES_WIRE_HTTP1_H

#include "traces/base/buf.h"
#include "traces/op.h"

#define HTTP1_HEAD_MAX   (64u << 10)
#define HTTP1_FIELDS_MAX 256

enum http1_kind { HTTP1_REQUEST, HTTP1_RESPONSE };

struct http1_head {
    struct span method, target; /* requests */
    uint16_t status;            /* responses */
    struct span reason;
    uint8_t minor_version; /* HTTP/1.x */
    bool keep_alive, chunked, expect_continue;
    bool has_length;
    uint64_t length;
    size_t bytes; /* of the head, with its empty line */
    uint32_t field_count;
    struct op_header fields[HTTP1_FIELDS_MAX]; /* names as sent; compare without case */
};

enum http1_event {
    HTTP1_MORE, /* all input was used; feed more */
    HTTP1_HEAD, /* parser->head is complete; valid until the feed after HTTP1_END */
    HTTP1_DATA, /* a piece of body in *data, borrowed from the input */
    HTTP1_END,  /* the message is complete; the next feed starts the next one */
};

struct http1_parser {
    enum http1_kind kind;
    int state;
    bool head_request; /* response to HEAD: no body; set by the caller before feeding */
    bool over;         /* HTTP1_END was given; the next feed begins a message */
    struct buf head_bytes; /* owned copy of the head: spans in head point here */
    uint64_t body_left, body_bytes, max_body;
    uint64_t chunk_digits, line_bytes; /* so far, of the line it is in */
    struct http1_head head; /* last: the fields that are not there are never touched */
};

/* max_body in bytes: a longer body is ERR_LIMIT; UINT64_MAX for none. */
void http1_init(struct http1_parser *p, enum http1_kind kind, uint64_t max_body);
void http1_done(struct http1_parser *p);
void http1_reset(struct http1_parser *p); /* for the next connection; keeps memory */

/* Consumes from the front of *in and returns the next event, or ERR_FORMAT, ERR_LIMIT,
 * ERR_NOMEM; after an error only http1_reset helps. How the bytes were split never
 * changes the events, only where HTTP1_DATA is cut. 1xx responses are skipped (101 is
 * ERR_FORMAT), and so are empty lines before a request. Call again until HTTP1_MORE:
 * HTTP1_END may be due though *in is empty. */
int http1_feed(struct http1_parser *p, struct span *in, struct span *data,
               struct err *e) MUST_USE;

/* The peer closed. HTTP1_END when that ends a close-delimited body or falls between two
 * messages (ask http1_idle first to tell them apart), else ERR_TRUNCATED. */
int http1_eof(struct http1_parser *p, struct err *e) MUST_USE;
bool http1_idle(const struct http1_parser *p); /* between messages, nothing begun */

/* A whole head at the front of bytes, without a parser around it; what is behind its
 * empty line is not looked at. *h borrows from bytes. 0, ERR_FORMAT, ERR_LIMIT, or
 * ERR_TRUNCATED when there is no empty line. */
int http1_parse_head(enum http1_kind kind, struct span bytes, struct http1_head *h,
                     struct err *e) MUST_USE;

/* First field of that name (without case); empty span when there is none. */
struct span http1_field(const struct http1_head *h, const char *name);

#endif

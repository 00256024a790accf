/*
 * http1_known.h - heads of HTTP/1.1 that are nearly those seen before.
 *
 * Whoever talks all day says the same again: of most heads only a request id, a length
 * or a date is new. The latest heads are remembered line by line; in one that follows
 * only those lines are looked at that differ. The result is that of http1_parse_head,
 * always: what does not fit a remembered head is parsed in full. A zeroed struct is a
 * valid start, nothing is allocated, and it serves heads of one kind. One thread at a
 * time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_WIRE_HTTP1_KNOWN_H
#define TRACES_WIRE_HTTP1_KNOWN_H

#include "traces/wire/http1.h"

#define HTTP1_KNOWN_HEADS 32u   /* by a hash of where they begin; a power of 2 */
#define HTTP1_KNOWN_BYTES 1024u /* a longer head is not remembered, */
#define HTTP1_KNOWN_LINES 32u   /* nor one with so many fields */

struct http1_known_part { /* offsets in the head */
    uint16_t at, n;
};

/* A field, or the empty line. */
struct http1_known_line {
    uint16_t at, name_bytes, value, value_bytes, end; /* end: behind its line feed */
    uint8_t may_differ; /* enum in http1_known.c: what may stand for its value */
    bool differs;       /* another value did stand there */
};

struct http1_known_head {
    uint32_t bytes; /* 0: nothing is remembered */
    uint32_t line_count;
    struct http1_known_part method, target, reason;
    uint16_t status;
    uint8_t minor_version;
    bool keep_alive, chunked, expect_continue, has_length;
    uint64_t length;
    struct http1_known_line lines[HTTP1_KNOWN_LINES]; /* the last is the empty one */
    uint8_t text[HTTP1_KNOWN_BYTES];
};

struct http1_known {
    struct http1_known_head heads[HTTP1_KNOWN_HEADS];
};

/* As http1_parse_head. *h borrows from bytes alone. */
int http1_known_parse(struct http1_known *k, enum http1_kind kind, struct span bytes,
                      struct http1_head *h, struct err *e) MUST_USE;

#endif

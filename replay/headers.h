/*
 * headers.h - fields that the user adds to every request; above all, credentials.
 *
 * They come from files and from the environment, never from the command line, which
 * everybody on the machine can read. Values go to the target and nowhere else: no
 * message, note or log line made here, or of what reads this, holds one; names may be
 * told. Over REST they are header fields, over gRPC metadata. A recorded field of the
 * same name gives way to them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef REPLAY_HEADERS_H
#define REPLAY_HEADERS_H

#include "traces/base/buf.h"
#include "traces/base/err.h"
#include "traces/op.h"

#define REP_HEADERS_MAX      32
#define REP_HEADER_FILE_MAX  (64u << 10)
#define REP_HEADER_VALUE_MAX (16u << 10)

/* Zeroed is empty. Names are in lower case, and each stands once. */
struct rep_headers {
    struct op_header v[REP_HEADERS_MAX];
    uint32_t n;
    uint8_t *text[2]; /* what was read: v points into it */
    size_t text_bytes[2];
    uint32_t texts;
};

/* Adds the fields of a file: "name: value" lines; empty ones and those that begin with
 * # are passed over. Warns in the log when others may read the file. ERR_IO; ERR_FORMAT
 * with file and line: no such line, a value that cannot stand in a request, a name that
 * replay sets itself or that stands there twice. */
int rep_headers_file(struct rep_headers *h, const char *path, struct err *e) MUST_USE;
/* Adds "authorization: Bearer TOKEN", the token being all that the file holds, but for
 * blanks around it. Codes as above. */
int rep_headers_bearer_file(struct rep_headers *h, const char *path,
                            struct err *e) MUST_USE;
/* The same of a text; `from` says in messages where it came from. */
int rep_headers_bearer(struct rep_headers *h, const char *token, const char *from,
                       struct err *e) MUST_USE;

/* True when a field of that name is there, in any case of letters. */
bool rep_headers_has(const struct rep_headers *h, struct span name);
/* Appends the names, separated by ", ". */
void rep_headers_names(const struct rep_headers *h, struct buf *out);
/* Wipes what it held. */
void rep_headers_done(struct rep_headers *h);

#endif

/*
 * content_encoding.h - what an encoding made smaller: bodies of HTTP (RFC 9110, 8.4),
 * messages of gRPC ("Compression" of its HTTP/2 mapping), Kafka's batches.
 *
 * A list of codings is 16 bits: four bits each, the one applied first lowest, 0 behind
 * the last. Those that can be undone:
 *   gzip     RFC 1952, any number of members; also called x-gzip
 *   deflate  RFC 1950 (zlib's wrapping), as RFC 9110 and gRPC mean it, or RFC 1951
 *            without it, as some servers do
 *   zstd     RFC 8878, windows up to 64 MiB
 *   identity changes nothing and is in no list
 * The others are known by name, so that what nobody here can read is told from what is
 * damaged. What comes out is bounded before it is made. Pure functions; thread-safe.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_WIRE_CONTENT_ENCODING_H
#define TRACES_WIRE_CONTENT_ENCODING_H

#include "traces/base/buf.h"

/* The numbers are stored in traces (FORMAT.md, 5.1). */
enum content_coding {
    CONTENT_IDENTITY = 0,
    CONTENT_GZIP = 1,
    CONTENT_DEFLATE = 2,
    CONTENT_ZSTD = 3,
    CONTENT_BR = 4, /* from here on by name alone */
    CONTENT_COMPRESS = 5,
    CONTENT_SNAPPY = 6,
    CONTENT_OTHER = 15, /* any other word, or more codings than a list has */
};
#define CONTENT_CODINGS_MAX 4 /* in a list */

/* Enough for any body; one that would become more is left as it is. */
#define CONTENT_PLAIN_MAX ((size_t)64 << 20)

/* Adds the codings of a field's value ("gzip, br", in any case of letters) to a list,
 * which is 0 before the first field. One that has no room makes the list OTHER alone.
 */
void content_codings_add(uint16_t *codings, struct span value);
/* The list as a field has it: "gzip, br"; "" for none. Returns out. */
#define CONTENT_CODINGS_TEXT 48
char *content_codings_text(uint16_t codings, char out[CONTENT_CODINGS_TEXT]);
/* Whether it is a list as made here; a coding without name counts as one by name. */
bool content_codings_valid(uint16_t codings);
/* Whether all of them can be undone; so for an empty list. */
bool content_codings_known(uint16_t codings);

/* Appends what the codings were applied to, `most` bytes at the most, in each step. No
 * bytes stand for none, whatever the list. ERR_USAGE: a coding that is not known.
 * ERR_FORMAT: malformed, ends early, or bytes left over. ERR_LIMIT: it would become
 * more. ERR_NOMEM. After an error out holds anything. */
int content_decode(uint16_t codings, struct span packed, size_t most, struct buf *out,
                   struct err *e) MUST_USE;

/* Whether s begins as gzip does; neither JSON nor a protobuf message of V2 does so. */
bool is_gzip(struct span s);
/* One coding alone, as above. False: it is malformed, ends early, has bytes left over,
 * would become more, or memory ran out. No bytes are malformed. */
bool gunzip(struct span packed, size_t most, struct buf *out) MUST_USE;
bool unzstd(struct span packed, size_t most, struct buf *out) MUST_USE;

#endif

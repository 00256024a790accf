/*
 * zin.h - lines or bytes of a file, plain or compressed with zstd or gzip, in bounded
 * memory.
 *
 * The form is told by the first four bytes. Several zstd frames in a row, skippable
 * ones too, are read as one text, and so are several members of gzip (RFC 1952). A line
 * ends with \n or \r\n; the last one may end with the file. A byte order mark in front
 * of the first line is dropped. One thread at a time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_CONTAINER_ZIN_H
#define TRACES_CONTAINER_ZIN_H

#include "traces/base/err.h"
#include "traces/base/span.h"

#define ZIN_LINE_MAX   (1u << 20) /* bytes of a line, unless zin_line_max says more */
#define ZIN_PEEK_MAX   (1u << 21) /* bytes that can be looked at at once */
#define ZIN_WINDOW_LOG 27 /* of frames that are taken: 128 MiB, as zstd -d takes */

struct zin;

/* Opens a file ("-": standard input), or borrows bytes until close. ERR_IO, ERR_NOMEM.
 */
int zin_open(struct zin **in, const char *path, struct err *e) MUST_USE;
int zin_open_bytes(struct zin **in, struct span bytes, struct err *e) MUST_USE;
void zin_close(struct zin *in); /* NULL is fine */
/* Takes lines of up to max bytes; memory grows with the longest that comes. */
void zin_line_max(struct zin *in, size_t max);

/* The next line without its end, borrowed until the next call. 1: there is one; 0:
 * clean end; ERR_LIMIT for a longer line, ERR_FORMAT for broken compression,
 * ERR_TRUNCATED inside of a frame, ERR_IO. The texts name the line or the byte, not the
 * file. */
int zin_line(struct zin *in, struct span *line, struct err *e) MUST_USE;

/* Of the line last given, from 1; 0 before the first. */
uint64_t zin_line_number(const struct zin *in);

/* Bytes instead of lines; one input is read in one of the two ways.
 * The bytes that come next, borrowed until the next call: at least `want` (at most
 * ZIN_PEEK_MAX) unless the input has fewer left, and more when they are at hand. They
 * stay until skipped. 0, or a code as above. */
int zin_peek(struct zin *in, size_t want, struct span *bytes, struct err *e) MUST_USE;
/* Passes over n bytes, looked at or not. 0; ERR_TRUNCATED when there are fewer. */
int zin_skip(struct zin *in, uint64_t n, struct err *e) MUST_USE;
/* Bytes passed over, after decompression. */
uint64_t zin_offset(const struct zin *in);

#endif

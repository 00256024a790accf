/*
 * zst_input.h - lines or bytes of a file, plain or compressed with zstd, in bounded
 * memory.
 *
 * The form is told by the first four bytes. Several zstd frames in a row, skippable
 * ones too, are read as one text. A line ends with \n or \r\n; the last one may end
 * with the file. A byte order mark in front of the first line is dropped. One thread at
 * a time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_CONTAINER_ZST_INPUT_H
#define TRACES_CONTAINER_ZST_INPUT_H

#include "traces/base/err.h"
#include "traces/base/span.h"

#define ZST_LINE_MAX                                                                   \
    (1u << 20) /* bytes of a line, unless zst_input_line_max says more */
#define ZST_PEEK_MAX   (1u << 21) /* bytes that can be looked at at once */
#define ZST_WINDOW_LOG 27 /* of frames that are taken: 128 MiB, as zstd -d takes */

struct zst_input;

/* Opens a file ("-": standard input), or borrows bytes until close. ERR_IO, ERR_NOMEM.
 */
int zst_input_open(struct zst_input **in, const char *path, struct err *e) MUST_USE;
int zst_input_open_bytes(struct zst_input **in, struct span bytes,
                         struct err *e) MUST_USE;
void zst_input_close(struct zst_input *in); /* NULL is fine */
/* Takes lines of up to max bytes; memory grows with the longest that comes. */
void zst_input_line_max(struct zst_input *in, size_t max);

/* The next line without its end, borrowed until the next call. 1: there is one; 0:
 * clean end; ERR_LIMIT for a longer line, ERR_FORMAT for broken compression,
 * ERR_TRUNCATED inside of a frame, ERR_IO. The texts name the line or the byte, not the
 * file. */
int zst_input_line(struct zst_input *in, struct span *line, struct err *e) MUST_USE;

/* Of the line last given, from 1; 0 before the first. */
uint64_t zst_input_line_number(const struct zst_input *in);

/* Bytes instead of lines; one input is read in one of the two ways.
 * The bytes that come next, borrowed until the next call: at least `want` (at most
 * ZST_PEEK_MAX) unless the input has fewer left, and more when they are at hand. They
 * stay until skipped. 0, or a code as above. */
int zst_input_peek(struct zst_input *in, size_t want, struct span *bytes,
                   struct err *e) MUST_USE;
/* Passes over n bytes, looked at or not. 0; ERR_TRUNCATED when there are fewer. */
int zst_input_skip(struct zst_input *in, uint64_t n, struct err *e) MUST_USE;
/* Bytes passed over, after decompression. */
uint64_t zst_input_offset(const struct zst_input *in);

#endif

/*
 * h2_capture.h - HTTP/2 (RFC 9113) and gRPC read from the two directions of a
 * connection.
 *
 * Frames of any size, padding, CONTINUATION, interleaved streams, trailers, RST_STREAM
 * and GOAWAY. Joined midway or behind a gap, a direction goes on at the first of three
 * credible frame headers in a row (h2_frame.h), and headers are decoded as far as they
 * can be known (hpack.h). A gap inside one DATA frame costs that body and nothing else.
 * Pushed streams are passed over. A header block beyond CAP_H2_BLOCK_MAX bytes or
 * CAP_H2_CONTINUATIONS frames ends every open stream of the connection.
 *
 * One thread at a time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CAPTURE_H2_CAPTURE_H
#define CAPTURE_H2_CAPTURE_H

#include "capture/parse_own.h"

#define CAP_H2_PREFACE       "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" /* RFC 9113 3.4 */
#define CAP_H2_PREFACE_BYTES 24u
#define CAP_H2_BLOCK_MAX     (256u << 10)
#define CAP_H2_CONTINUATIONS 64u

struct cap_h2;

/* midway: neither direction is known to begin at a frame. NULL: out of memory. */
struct cap_h2 *cap_h2_new(struct cap_conn *c, bool midway);
/* The next bytes of this direction, which was to be searched, begin a frame. */
void cap_h2_join(struct cap_h2 *h, int dir);
/* The request of an upgrade, whose answer comes on stream 1; takes p over. */
void cap_h2_adopt(struct cap_h2 *h, struct cap_pending *p);
void cap_h2_data(struct cap_h2 *h, int dir, struct clk_wall at, struct span bytes);
void cap_h2_gap(struct cap_h2 *h, int dir, struct clk_wall at, uint64_t bytes);
void cap_h2_finish(struct cap_h2 *h, int dir);
/* Hands on what is open and frees h. */
void cap_h2_close(struct cap_h2 *h, enum cap_end how);

#endif

/*
 * h1_capture.h - HTTP/1.1 (RFC 9112) read from the two directions of a connection.
 *
 * Requests and answers are framed as their receivers frame them (length, chunks, until
 * close; answers to HEAD, 204 and 304 have no body; 1xx are passed over) and paired in
 * order. What two receivers may read differently (bare LF, folded lines, length
 * together with chunks, lengths over 64 bits) is not guessed at: the message is given
 * up, and reading goes on at the next start line.
 *
 * After a gap or a message that was given up, a start line counts only when its whole
 * head parses and what follows the message is a start line too, or nothing. A gap
 * inside a body of known length costs that body and nothing else. While it is not
 * certain which answers are missing, answers are paired by time (a request is older
 * than its answer; only one is open at a time), and not at all on a connection that
 * pipelines.
 *
 * One thread at a time. Bounds: HTTP1_HEAD_MAX and HTTP1_FIELDS_MAX for a head,
 * CAP_PIPELINED_MAX for open requests.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CAPTURE_H1_CAPTURE_H
#define CAPTURE_H1_CAPTURE_H

#include "capture/parse_own.h"

struct cap_h1;

/* midway: the first bytes of either direction may lie inside a message. NULL: out of
 * memory. */
struct cap_h1 *cap_h1_new(struct cap_conn *c, bool midway);
/* Consumes all of it, unless the direction goes over to HTTP/2: then bytes from the
 * returned count on, behind those that cap_h1_upgrade_hold gives, are HTTP/2. */
size_t cap_h1_data(struct cap_h1 *h, int dir, struct clk_wall at, struct span bytes);
void cap_h1_gap(struct cap_h1 *h, int dir, struct clk_wall at, uint64_t bytes);
void cap_h1_finish(struct cap_h1 *h, int dir);
/* Hands on what is open and frees h. */
void cap_h1_close(struct cap_h1 *h, enum cap_end how);

/* The direction speaks HTTP/2 from here on. */
bool cap_h1_upgraded(const struct cap_h1 *h, int dir);
/* Bytes of a preface that were held, uncounted by this call; borrowed until the next.
 */
struct span cap_h1_upgrade_hold(struct cap_h1 *h, int dir);
/* The request that asked for it, which becomes stream 1; the caller owns it. NULL:
 * there was none. */
struct cap_pending *cap_h1_upgrade_request(struct cap_h1 *h);

#endif

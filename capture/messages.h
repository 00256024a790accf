/*
 * messages.h - a body as the messages of a stream, each with the time of its first
 * byte.
 *
 * A gRPC call that streams, and server-sent events (HTML, "Server-sent events": events
 * end with an empty line). Unary calls and other bodies stay as they are. One thread at
 * a time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CAPTURE_MESSAGES_H
#define CAPTURE_MESSAGES_H

#include "capture/exchange.h"
#include "traces/base/arena.h"

/* Makes the bodies that op has of x the messages that were seen, in memory of a, where
 * x streams: the request's, the answer's, or both, as x->part says. ERR_NOMEM. */
int cap_messages_take(const struct cap_exchange *x, struct op *op, struct arena *a,
                      struct err *e) MUST_USE;

#endif

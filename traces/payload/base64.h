/*
 * base64.h - RFC 4648 base64 with padding, as V2 REST carries bytes that are not text.
 *
 * Thread-safe.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_PAYLOAD_BASE64_H
#define TRACES_PAYLOAD_BASE64_H

#include "traces/base/arena.h"
#include "traces/base/buf.h"

void base64_encode(struct span bytes, struct buf *out);
/* Strict: no blanks, padding required, unused bits zero. *bytes lives in a. 0,
 * ERR_FORMAT with the offset in text, or ERR_NOMEM. */
int base64_decode(struct span text, struct arena *a, struct span *bytes,
                  struct err *e) MUST_USE;

#endif

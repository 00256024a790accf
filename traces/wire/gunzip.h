/*
 * gunzip.h - what gzip made smaller (RFC 1952), as HTTP bodies and Kafka's batches have
 * it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_WIRE_GUNZIP_H
#define TRACES_WIRE_GUNZIP_H

#include "traces/base/buf.h"

/* Enough for any body; one that would become more is left as it is. */
#define GUNZIP_BODY_MOST ((size_t)64 << 20)

/* Whether s begins as gzip does; neither JSON nor a protobuf message of V2 does so. */
bool is_gzip(struct span s);

/* Appends what all members of `packed` stand for to out, `most` bytes at the most.
 * False: it is malformed, ends early, would become more, or memory ran out; out then
 * holds anything. Pure; thread-safe. */
bool gunzip(struct span packed, size_t most, struct buf *out) MUST_USE;

#endif

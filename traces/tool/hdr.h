/*
 * hdr.h - HdrHistogram's counts and their V2 compressed encoding, to be read by its
 * tools.
 *
 * 3 significant decimal digits from 1 ns on: values below 2048 are exact, above each
 * octave has 1024 buckets (relative width below 0.1 %). The array grows up to the
 * greatest value, so an empty one costs nothing. A zeroed struct hdr is a valid empty
 * one. Not thread-safe. Source: the public description of HdrHistogram's bucket layout
 * and of its V2 encoding (counts as zigzag LEB128, runs of zeros as one negative
 * number, zlib, base64).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_TOOL_HDR_H
#define TRACES_TOOL_HDR_H

#include "traces/base/buf.h"

struct hdr {
    uint64_t *counts;
    size_t size; /* of counts */
    uint64_t total;
    int64_t max; /* exact; 0 when empty */
};

void hdr_done(struct hdr *h);
void hdr_reset(struct hdr *h); /* empties, keeps memory */
/* value >= 0. ERR_NOMEM. */
int hdr_add(struct hdr *h, int64_t value, struct err *e) MUST_USE;
/* Index of the count that holds value (>= 0), and the least value of an index. */
size_t hdr_index(int64_t value);
int64_t hdr_value(size_t index);
/* Appends base64 of the compressed encoding. ERR_NOMEM. */
int hdr_encode(const struct hdr *h, struct buf *out, struct err *e) MUST_USE;

#endif

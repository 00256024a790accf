/*
 * trc_hash.h - the content hash over records: FORMAT.md, section 6. Thread-safe.
 *
 * Each call adds the terms of one record to sum (128 bits, low half first).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_CONTAINER_TRC_HASH_H
#define TRACES_CONTAINER_TRC_HASH_H

#include <sys/uio.h>

#include "traces/container/trc_format.h"

bool trc_has_answer(const struct op *o);
/* What should happen, without the answer. stream_hash: XXH3-128 of the stream's entry.
 */
void trc_hash_op(const struct op *o, const uint64_t stream_hash[2], uint64_t sum[2]);
/* What was answered, if anything was. */
void trc_hash_answer(const struct op *o, uint64_t sum[2]);
/* The same of a record of LATE, whose flags are the answer's. */
void trc_hash_late(const struct op *o, uint64_t sum[2]);
void trc_hash_outcome(const struct outcome *o, const uint64_t stream_hash[2],
                      uint64_t sum[2]);
void trc_hash_add(uint64_t sum[2], const uint64_t more[2]);
void trc_xxh128(const void *p, size_t n, uint64_t hash[2]);
uint64_t trc_xxh64_pieces(const struct iovec *v, size_t n); /* XXH3-64 of all, joined */

#endif
